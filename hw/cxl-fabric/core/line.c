/*
 * Events on lines, in a directory with an entry for each or a finite one
 *
 * A finite directory has sets of a few ways; a unit may be in any way of its
 * set.  To put one in, a host claims a way, then looks whether another has
 * done the same, and only then lets the entry mean something:
 * docs/directory.md, "Finite directory".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/leaf.h"
#include "atomic16.h"
#include "shard.h"

/* A set of ways; of one way, the unit's own, where there is no choice. */
struct set {
    uint32_t first;
    unsigned ways;
};

static struct set set_of(const struct cxlf_directory *d,
                         const struct cxlf_target *t)
{
    unsigned ways;
    uint32_t sets;

    if (!t->shard.finite) {
        return (struct set) { .first = t->unit, .ways = 1 };
    }
    ways = cxlf_topology_ways(&d->topology);
    sets = d->topology.line_entries / ways;
    return (struct set) {
        /* Multiplication spreads units that are a power of two apart. */
        .first = ((uint64_t)(t->unit * 0x9e3779b1u) * sets >> 32) * ways,
        .ways = ways,
    };
}

static bool *lock_of(struct cxlf_directory *d, const struct cxlf_target *t,
                     const struct set *s)
{
    uint32_t n = s->first / s->ways + t->shard.shard * 7 + t->shard.leaf * 13;

    return &d->inserting[n % CXLF_INSERT_LOCKS];
}

static bool end(struct cxlf_line_access *a, enum cxlf_result result)
{
    a->result = result;
    a->phase = CXLF_LINE_END;
    return true;
}

/* Whether the leaf takes an event now: poison is back before all others. */
static bool is_open(const struct cxlf_directory *d,
                    const struct cxlf_target *t, enum cxlf_event event)
{
    return cxlf_leaf_get(d, t->shard.leaf) ==
           (event == CXLF_REBUILD_P ? CXLF_LEAF_REBUILDING : CXLF_LEAF_UP);
}

static bool begin(struct cxlf_directory *d, unsigned host,
                  const struct cxlf_target *t, struct cxlf_line_access *a)
{
    a->ticket = cxlf_enter(d, host, t->shard.leaf);
    if (!is_open(d, t, a->event)) {
        return end(a, CXLF_WITHHELD);
    }
    a->phase = d->topology.tiers ? CXLF_LINE_PAGE : CXLF_LINE_FIND;
    return true;
}

/* Lines are accessed in L only, and given up also while that ends. */
static bool look_at_page(struct cxlf_directory *d, struct cxlf_line_access *a)
{
    struct cxlf_line page;
    bool gives_up = a->event == CXLF_RECALL || a->event == CXLF_EVICT;

    if (!cxlf_peek(d, CXLF_PAGE_UNIT, a->gfam, a->dpa, &page)) {
        return end(a, CXLF_CORRUPT);
    }
    if (page.state == CXLF_L || (page.state == CXLF_L_I && gives_up)) {
        a->phase = CXLF_LINE_FIND;
        return true;
    }
    return end(a, page.state == CXLF_L_I ? CXLF_AGAIN : CXLF_BY_PAGE);
}

/* Whether an event on a unit that nobody holds changes nothing. */
static bool is_idle_event(const struct cxlf_target *t, unsigned host,
                          enum cxlf_event event, struct cxlf_move *m)
{
    m->before = (struct cxlf_line) { .state = CXLF_I };
    m->snooped = 0;
    return cxlf_step(t->shard.kind, t->shard.hosts, m->before, host, event,
                     &m->after, &m->actions) && m->after.state == CXLF_I;
}

static bool find(const struct cxlf_target *t, const struct set *s,
                 unsigned host, struct cxlf_line_access *a,
                 struct cxlf_move *m)
{
    uint64_t word;

    if (!t->shard.finite) {
        a->own = 0;
        a->phase = CXLF_LINE_USE;
        return true;
    }
    word = __atomic_load_n(&t->shard.entries[s->first + a->way].word,
                           __ATOMIC_ACQUIRE);
    if (CXLF_WORD_TAG(word) == t->unit + 1 &&
        CXLF_WORD_STATE(word) != CXLF_F) {
        if (CXLF_WORD_STATE(word) == CXLF_N) {
            return end(a, CXLF_AGAIN);
        }
        a->own = a->way;
        a->phase = CXLF_LINE_USE;
        return true;
    }
    if (++a->way < s->ways) {
        return true;
    }
    a->way = 0;
    if (is_idle_event(t, host, a->event, m)) {
        return end(a, CXLF_OK);
    }
    a->phase = CXLF_LINE_CLAIM;
    return true;
}

/*
 * Take the unit of a way from all and free the way, by one compare-and-swap.
 * Accesses that look at it now began in the epoch or the next one at the
 * latest, since this one is inside.
 */
static bool evict(const struct cxlf_directory *d, const struct cxlf_target *t,
                  uint32_t index, struct cxlf_entry old,
                  struct cxlf_line victim, unsigned host,
                  struct cxlf_move *m)
{
    struct cxlf_target at = *t;
    struct cxlf_move gone = { .before = victim };
    struct cxlf_home home = {
        .leaf = t->shard.leaf, .shard = t->shard.shard,
        .unit = CXLF_WORD_TAG(old.word) - 1,
    };

    if (!cxlf_topology_unit(&d->topology, CXLF_LINE_UNIT, &home,
                            &m->victim_gfam, &m->victim_dpa) ||
        !cxlf_step(CXLF_LINE_UNIT, t->shard.hosts, victim, host, CXLF_RECALL,
                   &gone.after, &gone.actions) ||
        !cxlf_entry_cas(&t->shard.entries[index], old,
                        cxlf_entry_free(old, cxlf_epoch(d, t->shard.leaf) +
                                        1))) {
        return false;
    }
    gone.snooped = cxlf_set_remove(victim.holders, host, t->shard.hosts);
    at.unit = home.unit;
    cxlf_count_move(&at, index, host, CXLF_RECALL, &gone);
    cxlf_add(&t->shard, host, CXLF_VICTIM, 1);
    m->evicted = true;
    m->victim = victim;
    return true;
}

/* Evict one of a set, not the way @but; units in I first. */
static bool make_room(const struct cxlf_directory *d,
                      const struct cxlf_target *t, const struct set *s,
                      unsigned but, unsigned host, struct cxlf_move *m)
{
    unsigned turn = t->unit;

    for (unsigned w = 0; w < s->ways; w++) {
        turn += CXLF_WORD_GENERATION(
            __atomic_load_n(&t->shard.entries[s->first + w].word,
                            __ATOMIC_RELAXED));
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < s->ways; i++) {
            unsigned way = (turn + i) % s->ways;
            uint32_t index = s->first + way;
            struct cxlf_entry old = cxlf_entry_load(&t->shard.entries[index]);
            unsigned state = CXLF_WORD_STATE(old.word);
            struct cxlf_line line;

            if (way == but || state > CXLF_M ||
                (round == 0 && state != CXLF_I) ||
                cxlf_entry_decode(&t->shard, old, &line) != CXLF_SLOT_UNIT) {
                continue;
            }
            if (evict(d, t, index, old, line, host, m)) {
                return true;
            }
        }
    }
    return false;
}

/* Whether a way can be claimed now; *@soon: or will be without more ado. */
static bool is_usable(const struct cxlf_directory *d,
                      const struct cxlf_target *t, struct cxlf_entry entry,
                      bool *soon)
{
    struct cxlf_line line;

    if (CXLF_WORD_TAG(entry.word) != 0 &&
        CXLF_WORD_STATE(entry.word) != CXLF_F) {
        return false;
    }
    switch (cxlf_entry_decode(&t->shard, entry, &line)) {
    case CXLF_SLOT_EMPTY:
        return true;
    case CXLF_SLOT_FREE:
        *soon = true;
        return line.holders == 0 ||
               cxlf_epoch(d, t->shard.leaf) >= line.holders + 2;
    default:
        return false;
    }
}

static bool claim(struct cxlf_directory *d, struct cxlf_target *t,
                  const struct set *s, unsigned host,
                  struct cxlf_line_access *a, struct cxlf_move *m)
{
    struct cxlf_line new = { .state = CXLF_N, .requester = host };
    bool soon = false;

    if (!a->locked) {
        if (__atomic_exchange_n(lock_of(d, t, s), true, __ATOMIC_ACQUIRE)) {
            return end(a, CXLF_AGAIN);
        }
        a->locked = true;
    }
    for (unsigned w = 0; w < s->ways; w++) {
        struct cxlf_entry *entry = &t->shard.entries[s->first + w];
        struct cxlf_entry old = cxlf_entry_load(entry);

        if (!is_usable(d, t, old, &soon)) {
            continue;
        }
        cxlf_touch(&t->shard, s->first + w);
        if (cxlf_entry_cas(entry, old, cxlf_entry_encode(old, t->unit + 1,
                                                         new))) {
            a->own = w;
            a->way = 0;
            a->phase = CXLF_LINE_VERIFY;
            return true;
        }
    }
    if (!soon && !make_room(d, t, s, s->ways, host, m)) {
        cxlf_add(&t->shard, host, CXLF_NO_ROOM, 1);
    }
    return end(a, CXLF_AGAIN);
}

/* Free an entry in N with the tag of @t, whoever claimed it. */
static void unclaim(const struct cxlf_target *t, uint32_t index)
{
    struct cxlf_entry *entry = &t->shard.entries[index];
    struct cxlf_entry old = cxlf_entry_load(entry);

    if (CXLF_WORD_STATE(old.word) == CXLF_N &&
        CXLF_WORD_TAG(old.word) == t->unit + 1) {
        cxlf_entry_cas(entry, old, cxlf_entry_free(old, 0));
    }
}

static bool is_claimed(const struct cxlf_target *t, uint32_t index,
                       unsigned host, struct cxlf_entry *entry)
{
    struct cxlf_line line;

    *entry = cxlf_entry_load(&t->shard.entries[index]);
    return cxlf_entry_decode(&t->shard, *entry, &line) == CXLF_SLOT_NEW &&
           CXLF_WORD_TAG(entry->word) == t->unit + 1 &&
           line.requester == host;
}

/* One of the other ways a step. */
static bool verify(const struct cxlf_target *t, const struct set *s,
                   unsigned host, struct cxlf_line_access *a)
{
    struct cxlf_entry own;
    uint64_t word;

    if (a->way == a->own && ++a->way == s->ways) {
        a->phase = CXLF_LINE_SETTLE;
        return true;
    }
    word = __atomic_load_n(&t->shard.entries[s->first + a->way].word,
                           __ATOMIC_SEQ_CST);
    if (CXLF_WORD_TAG(word) != t->unit + 1 ||
        CXLF_WORD_STATE(word) == CXLF_F) {
        if (++a->way == s->ways) {
            a->phase = CXLF_LINE_SETTLE;
        }
        return true;
    }
    if (CXLF_WORD_STATE(word) == CXLF_N && a->way > a->own) {
        unclaim(t, s->first + a->way);
        a->way = 0;
        return true;
    }
    if (is_claimed(t, s->first + a->own, host, &own)) {
        cxlf_entry_cas(&t->shard.entries[s->first + a->own], own,
                       cxlf_entry_free(own, 0));
    }
    return end(a, CXLF_AGAIN);
}

static bool settle(const struct cxlf_target *t, const struct set *s,
                   unsigned host, struct cxlf_line_access *a,
                   struct cxlf_move *m)
{
    uint32_t index = s->first + a->own;
    struct cxlf_entry old;

    m->before = (struct cxlf_line) { .state = CXLF_I };
    m->snooped = 0;
    if (!is_claimed(t, index, host, &old)) {
        return end(a, CXLF_AGAIN);
    }
    if (!cxlf_step(CXLF_LINE_UNIT, t->shard.hosts, m->before, host, a->event,
                   &m->after, &m->actions)) {
        unclaim(t, index);
        return end(a, CXLF_CORRUPT);
    }
    if (!cxlf_entry_cas(&t->shard.entries[index], old,
                        cxlf_entry_encode(old, t->unit + 1, m->after))) {
        return end(a, CXLF_AGAIN);
    }
    m->generation = cxlf_next_generation(old);
    cxlf_count_move(t, index, host, a->event, m);
    a->result = CXLF_OK;
    a->phase = CXLF_LINE_SPARE;
    return true;
}

/* Who comes next need not wait for a quiescent point, if this is early. */
static bool spare(const struct cxlf_directory *d, const struct cxlf_target *t,
                  const struct set *s, unsigned host,
                  struct cxlf_line_access *a, struct cxlf_move *m)
{
    bool soon = false;

    a->phase = CXLF_LINE_END;
    for (unsigned w = 0; w < s->ways; w++) {
        struct cxlf_entry entry =
            cxlf_entry_load(&t->shard.entries[s->first + w]);

        if (is_usable(d, t, entry, &soon) || soon) {
            return true;
        }
    }
    make_room(d, t, s, a->own, host, m);
    return true;
}

static bool step(struct cxlf_directory *d, struct cxlf_target *t,
                 const struct set *s, unsigned host,
                 struct cxlf_line_access *a, struct cxlf_move *m)
{
    switch (a->phase) {
    case CXLF_LINE_BEGIN:
        return begin(d, host, t, a);
    case CXLF_LINE_PAGE:
        return look_at_page(d, a);
    case CXLF_LINE_FIND:
        return find(t, s, host, a, m);
    case CXLF_LINE_USE:
        return end(a, cxlf_move_entry(t, s->first + a->own, host, a->event,
                                      m));
    case CXLF_LINE_CLAIM:
        return claim(d, t, s, host, a, m);
    case CXLF_LINE_VERIFY:
        return verify(t, s, host, a);
    case CXLF_LINE_SETTLE:
        return settle(t, s, host, a, m);
    case CXLF_LINE_SPARE:
        return spare(d, t, s, host, a, m);
    default:
        if (a->locked) {
            __atomic_store_n(lock_of(d, t, s), false, __ATOMIC_RELEASE);
            a->locked = false;
        }
        cxlf_count_result(&t->shard, host, a->result);
        cxlf_leave(d, host, t->shard.leaf, a->ticket);
        return false;
    }
}

bool cxlf_line_step(struct cxlf_directory *d, unsigned host,
                    struct cxlf_line_access *a, struct cxlf_move *m)
{
    struct cxlf_target t;
    struct set s;

    if (!cxlf_find_target(d, CXLF_LINE_UNIT, a->gfam, a->dpa, &t)) {
        a->result = CXLF_REFUSED;
        return false;
    }
    s = set_of(d, &t);
    return step(d, &t, &s, host, a, m);
}

/* Whether every line has its entry, and lines are all there is. */
static bool is_simple(const struct cxlf_directory *d,
                      const struct cxlf_target *t)
{
    return !t->shard.finite && !d->topology.tiers;
}

static enum cxlf_result simple_event(struct cxlf_directory *d, unsigned host,
                                     const struct cxlf_target *t,
                                     enum cxlf_event event,
                                     struct cxlf_move *m)
{
    return cxlf_count_result(&t->shard, host, is_open(d, t, event) ?
                             cxlf_move_entry(t, t->unit, host, event, m) :
                             CXLF_WITHHELD);
}

static enum cxlf_result all_steps(struct cxlf_directory *d, unsigned host,
                                  struct cxlf_target *t, uint32_t gfam,
                                  uint64_t dpa, enum cxlf_event event,
                                  struct cxlf_move *m)
{
    struct cxlf_line_access a = {
        .gfam = gfam, .dpa = dpa, .event = event,
    };
    struct set s = set_of(d, t);

    m->evicted = false;
    while (step(d, t, &s, host, &a, m)) {
        continue;
    }
    return a.result;
}

enum cxlf_result cxlf_line_event(struct cxlf_directory *d, unsigned host,
                                 uint32_t gfam, uint64_t dpa,
                                 enum cxlf_event event, struct cxlf_move *m)
{
    struct cxlf_target t;

    m->evicted = false;
    if (!cxlf_find_target(d, CXLF_LINE_UNIT, gfam, dpa, &t)) {
        return CXLF_REFUSED;
    }
    return is_simple(d, &t) ?
           simple_event(d, host, &t, event, m) :
           all_steps(d, host, &t, gfam, dpa, event, m);
}

static bool is_unchanged(const struct cxlf_line *a, const struct cxlf_line *b)
{
    return a->state == b->state && a->holders == b->holders;
}

/*
 * An access that its host has the permission for.  A line is held only while
 * its page is tracked by lines, so an entry that shows the permission tells
 * all: the line was this host's at that moment, and nothing is changed.  So
 * it need not be inside, as whoever changes an entry must.
 */
static bool hit(struct cxlf_directory *d, unsigned host,
                const struct cxlf_target *t, enum cxlf_event event,
                struct cxlf_move *m)
{
    struct set s = set_of(d, t);

    for (unsigned way = 0; way < s.ways; way++) {
        uint32_t index = s.first + way;
        struct cxlf_entry e = cxlf_entry_load(&t->shard.entries[index]);

        if (CXLF_WORD_TAG(e.word) != t->unit + 1 ||
            cxlf_entry_decode(&t->shard, e, &m->before) != CXLF_SLOT_UNIT) {
            continue;
        }
        if (!cxlf_step(CXLF_LINE_UNIT, t->shard.hosts, m->before, host, event,
                       &m->after, &m->actions) ||
            !(m->actions & (CXLF_A_READ_HIT | CXLF_A_WRITE_HIT)) ||
            !is_unchanged(&m->before, &m->after)) {
            return false;
        }
        m->generation = CXLF_WORD_GENERATION(e.word);
        m->snooped = 0;
        m->evicted = false;
        cxlf_count_move(t, index, host, event, m);
        return true;
    }
    return false;
}

enum cxlf_result cxlf_access_move(struct cxlf_directory *d, unsigned host,
                                  uint32_t gfam, uint64_t dpa,
                                  enum cxlf_event event,
                                  struct cxlf_move *m)
{
    enum cxlf_result result;
    struct cxlf_target t;

    m->evicted = false;
    if (!cxlf_find_target(d, CXLF_LINE_UNIT, gfam, dpa, &t)) {
        return CXLF_REFUSED;
    }
    if (is_simple(d, &t)) {
        return simple_event(d, host, &t, event, m);
    }
    if (is_open(d, &t, event) && hit(d, host, &t, event, m)) {
        return CXLF_OK;
    }
    for (unsigned try = 0; try < CXLF_TRIES; try++) {
        result = all_steps(d, host, &t, gfam, dpa, event, m);
        if (result != CXLF_AGAIN) {
            break;
        }
        /* Ways that were freed can be claimed when the epoch has moved on. */
        for (unsigned i = 0; i < 3 && cxlf_advance(d, t.shard.leaf); i++) {
            continue;
        }
    }
    if (m->evicted && t.shard.hosts <= CXLF_EXACT_HOSTS) {
        /* So that the way is ready when its set is used next. */
        cxlf_advance(d, t.shard.leaf);
    }
    return result;
}

enum cxlf_result cxlf_access(struct cxlf_directory *d, unsigned host,
                             uint32_t gfam, uint64_t dpa,
                             enum cxlf_event event)
{
    struct cxlf_move m;

    return cxlf_access_move(d, host, gfam, dpa, event, &m);
}

bool cxlf_peek(struct cxlf_directory *d, enum cxlf_kind kind, uint32_t gfam,
               uint64_t dpa, struct cxlf_line *line)
{
    struct cxlf_target t;
    struct set s;

    if (!cxlf_find_target(d, kind, gfam, dpa, &t)) {
        return false;
    }
    s = kind == CXLF_LINE_UNIT ? set_of(d, &t) :
        (struct set) { .first = t.unit, .ways = 1 };
    for (unsigned w = 0; w < s.ways; w++) {
        struct cxlf_entry e = cxlf_entry_load(&t.shard.entries[s.first + w]);
        enum cxlf_slot slot = cxlf_entry_decode(&t.shard, e, line);
        bool ours = CXLF_WORD_TAG(e.word) == t.unit + 1;

        if (slot == CXLF_SLOT_UNIT && ours) {
            return true;
        }
        if (slot == CXLF_SLOT_CORRUPT ||
            (!t.shard.finite && slot != CXLF_SLOT_EMPTY)) {
            return false;
        }
    }
    *line = (struct cxlf_line) { .state = t.initial };
    return true;
}
