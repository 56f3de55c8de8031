/*
 * Accesses to lines, and the counters of what they did
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/directory.h"
#include "atomic16.h"

/* Entries in one 4 KiB page of a shard: what a bit of the touched map says */
#define TOUCHED_ENTRIES (CXLF_PAGE / sizeof(struct cxlf_entry))

const char *const cxlf_counter_name[CXLF_COUNTERS] = {
    [CXLF_READ_HIT] = "read-hit",
    [CXLF_WRITE_HIT] = "write-hit",
    [CXLF_READ_MISS] = "read-miss",
    [CXLF_WRITE_MISS] = "write-miss",
    [CXLF_UPGRADE] = "upgrade",
    [CXLF_BISNP_SENT] = "bisnp-sent",
    [CXLF_BISNP_RECEIVED] = "bisnp-received",
    [CXLF_WRITEBACK] = "writeback",
    [CXLF_RETRY] = "retry",
    [CXLF_REFUSAL] = "refusal",
    [CXLF_ATOMIC] = "atomic",
    [CXLF_ATOMIC_RETRY] = "atomic-retry",
    [CXLF_ATOMIC_MISALIGNED] = "atomic-misaligned",
    [CXLF_BULK_TRAPPED] = "bulk-trapped",
};

/* One kind's part of a shard, as its leaf's segment has it. */
struct shard {
    enum cxlf_kind kind;
    struct cxlf_counters *counters;     /* [hosts] */
    uint64_t *touched;
    struct cxlf_entry *entries;
};

static struct shard get_shard(const struct cxlf_directory *d,
                              enum cxlf_kind kind, uint32_t leaf,
                              uint32_t shard)
{
    const struct cxlf_leaf_view *l = &d->leaf[leaf];

    return (struct shard) {
        .kind = kind,
        .counters = l->counters + (uint64_t)shard * d->topology.hosts,
        .touched = l->table[kind].touched + shard * d->touched_words[kind],
        .entries = l->table[kind].entries + shard * d->units[kind],
    };
}

static void add(struct cxlf_counters *counters, unsigned host,
                enum cxlf_counter counter, uint64_t n)
{
    __atomic_fetch_add(&counters[host].count[counter], n, __ATOMIC_RELAXED);
}

static void count_actions(struct cxlf_counters *counters, unsigned host,
                          unsigned actions, uint64_t snooped)
{
    static const struct {
        uint16_t action;
        uint8_t counter;
    } map[] = {
        { CXLF_A_READ_HIT, CXLF_READ_HIT },
        { CXLF_A_WRITE_HIT, CXLF_WRITE_HIT },
        { CXLF_A_READ_MISS, CXLF_READ_MISS },
        { CXLF_A_WRITE_MISS, CXLF_WRITE_MISS },
        { CXLF_A_UPGRADE, CXLF_UPGRADE },
        { CXLF_A_WRITEBACK, CXLF_WRITEBACK },
    };

    for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (actions & map[i].action) {
            add(counters, host, map[i].counter, 1);
        }
    }
    if (snooped) {
        add(counters, host, CXLF_BISNP_SENT, __builtin_popcountll(snooped));
        for (uint64_t left = snooped; left; left &= left - 1) {
            add(counters, __builtin_ctzll(left), CXLF_BISNP_RECEIVED, 1);
        }
    }
}

/* Whom the home snoops in a transition. */
static uint64_t snooped_hosts(const struct cxlf_move *m, unsigned host)
{
    if (!(m->actions & (CXLF_A_BISNP_INV | CXLF_A_BISNP_DATA))) {
        return 0;
    }
    return cxlf_is_transient(m->after.state) ? m->after.holders :
                                               m->before.holders &
                                               ~(1ull << host);
}

/*
 * The touched bit is set before an entry of its page first leaves I, so
 * that whatever a dead host holds is found, wherever it died.
 */
static void touch(struct shard *s, uint32_t unit)
{
    uint32_t page = unit / TOUCHED_ENTRIES;
    uint64_t *word = &s->touched[page / 64];
    uint64_t bit = 1ull << page % 64;

    if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit)) {
        __atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
    }
}

static bool decode(const struct cxlf_directory *d, enum cxlf_kind kind,
                   struct cxlf_entry entry, uint32_t index,
                   struct cxlf_line *line)
{
    uint32_t tag = CXLF_WORD_TAG(entry.word);

    line->state = CXLF_WORD_STATE(entry.word);
    line->requester = CXLF_WORD_REQUESTER(entry.word);
    line->holders = entry.copyset;
    if (CXLF_WORD_ZERO(entry.word) || (tag != 0 && tag != index + 1) ||
        (tag == 0 && line->state != CXLF_I) ||
        !cxlf_line_valid(kind, *line)) {
        return false;
    }
    return line->requester < d->topology.hosts &&
           !(line->holders >> d->topology.hosts);
}

static bool is_same(struct cxlf_line a, struct cxlf_line b)
{
    return a.state == b.state && a.requester == b.requester &&
           a.holders == b.holders;
}

/* Execute the table on an entry, and count what it did. */
static enum cxlf_result move(const struct cxlf_directory *d, struct shard *s,
                             uint32_t index, unsigned host,
                             enum cxlf_event event, struct cxlf_move *m)
{
    struct cxlf_entry *entry = &s->entries[index];

    for (unsigned try = 0; try < CXLF_TRIES; try++) {
        struct cxlf_entry old = cxlf_entry_load(entry), new;

        if (!decode(d, s->kind, old, index, &m->before) ||
            !cxlf_step(s->kind, m->before, host, event, &m->after,
                       &m->actions)) {
            return CXLF_CORRUPT;
        }
        m->generation = CXLF_WORD_GENERATION(old.word);
        if (is_same(m->before, m->after)) {
            count_actions(s->counters, host, m->actions, 0);
            return CXLF_OK;
        }
        m->generation = (m->generation + 1) & 0x3fff;
        new.word = CXLF_WORD(index + 1, m->generation, m->after.requester,
                             m->after.state);
        new.copyset = m->after.holders;
        touch(s, index);
        if (cxlf_entry_cas(entry, old, new)) {
            count_actions(s->counters, host, m->actions,
                          snooped_hosts(m, host));
            return CXLF_OK;
        }
        add(s->counters, host, CXLF_RETRY, 1);
    }
    return CXLF_AGAIN;
}

static enum cxlf_result raise(struct cxlf_directory *d, enum cxlf_kind kind,
                              unsigned host, uint32_t gfam, uint64_t dpa,
                              enum cxlf_event event, struct cxlf_move *m)
{
    struct cxlf_home home;
    struct shard s;
    enum cxlf_result result;

    if (!cxlf_topology_home(&d->topology, kind, gfam, dpa, &home)) {
        return CXLF_REFUSED;
    }
    s = get_shard(d, kind, home.leaf, home.shard);
    result = move(d, &s, home.unit, host, event, m);
    if (result == CXLF_CORRUPT) {
        add(s.counters, host, CXLF_REFUSAL, 1);
    }
    return result;
}

enum cxlf_result cxlf_access(struct cxlf_directory *d, unsigned host,
                             uint32_t gfam, uint64_t dpa,
                             enum cxlf_event event)
{
    struct cxlf_move m;

    return raise(d, CXLF_LINE_UNIT, host, gfam, dpa, event, &m);
}

enum cxlf_result cxlf_page_event(struct cxlf_directory *d, unsigned host,
                                 uint32_t gfam, uint64_t dpa,
                                 enum cxlf_event event, struct cxlf_move *m)
{
    return raise(d, CXLF_PAGE_UNIT, host, gfam, dpa, event, m);
}

bool cxlf_peek(struct cxlf_directory *d, enum cxlf_kind kind, uint32_t gfam,
               uint64_t dpa, struct cxlf_line *line)
{
    struct cxlf_home home;
    struct shard s;

    if (!cxlf_topology_home(&d->topology, kind, gfam, dpa, &home)) {
        return false;
    }
    s = get_shard(d, kind, home.leaf, home.shard);
    return decode(d, kind, cxlf_entry_load(&s.entries[home.unit]), home.unit,
                  line);
}

void cxlf_count(struct cxlf_directory *d, unsigned host, uint32_t gfam,
                uint64_t dpa, enum cxlf_counter counter, uint64_t n)
{
    struct cxlf_home home = { 0 };
    struct shard s;

    if (!cxlf_topology_home(&d->topology, CXLF_LINE_UNIT, gfam, dpa, &home)) {
        home = (struct cxlf_home) { 0 };
    }
    s = get_shard(d, CXLF_LINE_UNIT, home.leaf, home.shard);
    add(s.counters, host, counter, n);
}

void cxlf_read_counters(const struct cxlf_directory *d, int leaf, int shard,
                        int host, uint64_t sum[CXLF_COUNTERS])
{
    for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
        sum[i] = 0;
    }
    for (uint32_t l = 0; l < d->topology.leaves; l++) {
        for (uint32_t s = 0; s < d->topology.shards; s++) {
            struct shard at = get_shard(d, CXLF_LINE_UNIT, l, s);

            if ((leaf >= 0 && l != (uint32_t)leaf) ||
                (shard >= 0 && s != (uint32_t)shard)) {
                continue;
            }
            for (uint32_t h = 0; h < d->topology.hosts; h++) {
                if (host >= 0 && h != (uint32_t)host) {
                    continue;
                }
                for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
                    sum[i] += __atomic_load_n(&at.counters[h].count[i],
                                              __ATOMIC_RELAXED);
                }
            }
        }
    }
}

/* Whether an entry names a host at all: a quick look, without a promise. */
static bool names(const struct cxlf_entry *entry, unsigned host)
{
    uint64_t word = __atomic_load_n(&entry->word, __ATOMIC_RELAXED);
    uint64_t copyset = __atomic_load_n(&entry->copyset, __ATOMIC_RELAXED);

    return copyset >> host & 1 ||
           (cxlf_is_transient(CXLF_WORD_STATE(word)) &&
            CXLF_WORD_REQUESTER(word) == host);
}

static void give_up_entries(struct cxlf_directory *d, struct shard *s,
                            uint64_t first, unsigned host,
                            enum cxlf_event event, uint64_t *held,
                            uint64_t *modified)
{
    for (uint64_t i = first;
         i < first + TOUCHED_ENTRIES && i < d->units[s->kind]; i++) {
        struct cxlf_move m;
        enum cxlf_result result = CXLF_OK;

        /* Again, where the host held the unit and wanted it recalled. */
        while (names(&s->entries[i], host) && result != CXLF_CORRUPT) {
            result = move(d, s, i, host, event, &m);
            if (result == CXLF_OK && m.before.holders >> host & 1) {
                (*held)++;
                *modified += m.before.state == CXLF_M;
            }
        }
    }
}

uint64_t cxlf_give_up(struct cxlf_directory *d, unsigned host,
                      enum cxlf_event event, uint64_t *modified)
{
    uint64_t held = 0, dirty = 0;

    for (unsigned n = 0;
         n < d->topology.leaves * d->topology.shards * CXLF_UNITS; n++) {
        enum cxlf_kind kind = n % CXLF_UNITS;
        struct shard s = get_shard(d, kind, n / CXLF_UNITS /
                                   d->topology.shards, n / CXLF_UNITS %
                                   d->topology.shards);

        for (uint64_t w = 0; w < d->touched_words[kind]; w++) {
            uint64_t word = __atomic_load_n(&s.touched[w], __ATOMIC_SEQ_CST);

            for (; word; word &= word - 1) {
                uint64_t page = w * 64 + __builtin_ctzll(word);

                give_up_entries(d, &s, page * TOUCHED_ENTRIES, host, event,
                                &held, &dirty);
            }
        }
    }
    if (modified) {
        *modified = dirty;
    }
    return held;
}
