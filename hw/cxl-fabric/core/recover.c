/*
 * Giving up all that a host holds: its end, orderly or not
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/leaf.h"
#include "atomic16.h"
#include "shard.h"

/* What is given up, and what came of it. */
struct giving_up {
    const struct cxlf_directory *d;
    unsigned host;
    enum cxlf_event event;
    bool some;                  /* what follows alone, else everything */
    uint32_t gfam;
    uint64_t dpa, size;
    uint64_t held, modified;
};

/* Whether who held a unit alone may have written it: pages do not tell. */
static bool may_be_modified(enum cxlf_kind kind, unsigned state)
{
    return state == CXLF_M ||
           (kind == CXLF_PAGE_UNIT &&
            (state == CXLF_E || state == CXLF_E_E || state == CXLF_E_S ||
             state == CXLF_E_I));
}

/* End what a dead host was inserting: nobody can have used the entry. */
static void unclaim(struct cxlf_shard *s, uint32_t index,
                    struct cxlf_entry old)
{
    /* If it has changed meanwhile, another host has freed it. */
    cxlf_entry_cas(&s->entries[index], old, cxlf_entry_free(old, 0));
}

/* Which memory a unit is. */
static bool find_memory(const struct cxlf_directory *d,
                        const struct cxlf_target *t, uint32_t *gfam,
                        uint64_t *dpa)
{
    struct cxlf_home home = {
        .leaf = t->shard.leaf, .shard = t->shard.shard, .unit = t->unit,
    };

    return cxlf_topology_unit(&d->topology, t->shard.kind, &home, gfam, dpa);
}

static void tell_poison(const struct cxlf_directory *d,
                        const struct cxlf_target *t)
{
    uint32_t gfam;
    uint64_t dpa;

    if (d->on_poison && find_memory(d, t, &gfam, &dpa)) {
        d->on_poison(d->opaque, t->shard.kind, gfam, dpa);
    }
}

static bool is_given_up(const struct giving_up *g,
                        const struct cxlf_target *t)
{
    uint32_t gfam;
    uint64_t dpa;

    return !g->some ||
           (find_memory(g->d, t, &gfam, &dpa) && gfam == g->gfam &&
            dpa - g->dpa < g->size);
}

static void give_up_entry(struct giving_up *g, struct cxlf_shard *s,
                          uint32_t index)
{
    enum cxlf_event event = g->event;
    unsigned host = g->host;
    bool changes = true;

    /* Again, where the host held the unit and wanted it recalled. */
    while (changes) {
        struct cxlf_entry old = cxlf_entry_load(&s->entries[index]);
        struct cxlf_target t = { .shard = *s };
        struct cxlf_line line;
        struct cxlf_move m;
        enum cxlf_slot slot = cxlf_entry_decode(s, old, &line);

        if (slot == CXLF_SLOT_NEW && line.requester == host &&
            event != CXLF_EVICT) {
            unclaim(s, index, old);
        }
        if (slot != CXLF_SLOT_UNIT ||
            cxlf_relation(line, host, s->hosts) == CXLF_STRANGER) {
            return;
        }
        t.unit = CXLF_WORD_TAG(old.word) - 1;
        if (!is_given_up(g, &t)) {
            return;
        }
        changes = false;
        if (line.state == CXLF_L_I && event == CXLF_EVICT) {
            /* It has no page to evict; its demotion ends as by its death. */
            event = CXLF_DEATH;
        }
        switch (cxlf_move_entry(&t, index, host, event, &m)) {
        case CXLF_AGAIN:
            changes = true;
            break;
        case CXLF_OK:
            if (cxlf_set_has(m.before.holders, host, s->hosts)) {
                g->held++;
                g->modified += may_be_modified(s->kind, m.before.state);
            }
            if (m.actions & CXLF_A_POISON) {
                tell_poison(g->d, &t);
            }
            /* A coarse set forgets nobody. */
            changes = m.before.state != m.after.state ||
                      m.before.holders != m.after.holders;
            break;
        default:
            break;
        }
    }
}

static void give_up_shard(struct giving_up *g, struct cxlf_shard *s)
{
    const struct cxlf_directory *d = g->d;

    for (uint64_t w = 0; w < d->touched_words[s->kind]; w++) {
        uint64_t word = __atomic_load_n(&s->touched[w], __ATOMIC_SEQ_CST);

        for (; word; word &= word - 1) {
            uint64_t page = w * 64 + __builtin_ctzll(word);
            uint64_t first = page * CXLF_TOUCHED_ENTRIES;

            for (uint64_t i = first; i < first + CXLF_TOUCHED_ENTRIES &&
                 i < d->entries[s->kind]; i++) {
                give_up_entry(g, s, i);
            }
        }
    }
}

struct visit {
    const struct cxlf_directory *d;
    unsigned host;
    cxlf_held_fn *fn;
    void *opaque;
};

static void visit_page(const struct visit *v, struct cxlf_shard *s,
                       uint32_t index)
{
    struct cxlf_entry entry = cxlf_entry_load(&s->entries[index]);
    struct cxlf_home home = { .leaf = s->leaf, .shard = s->shard };
    struct cxlf_line page;
    uint32_t gfam;
    uint64_t dpa;

    if (cxlf_entry_decode(s, entry, &page) != CXLF_SLOT_UNIT ||
        (page.state != CXLF_S && page.state != CXLF_E) ||
        cxlf_set_encoding(page.holders) == CXLF_COARSE ||
        !cxlf_set_has(page.holders, v->host, s->hosts)) {
        return;
    }
    home.unit = CXLF_WORD_TAG(entry.word) - 1;
    if (cxlf_topology_unit(&v->d->topology, CXLF_PAGE_UNIT, &home, &gfam,
                           &dpa)) {
        v->fn(v->opaque, gfam, dpa, page.state == CXLF_E ? CXLF_HELD_OWNED :
                                    CXLF_HELD_SHARED);
    }
}

static void visit_shard(const struct visit *v, struct cxlf_shard *s)
{
    for (uint64_t w = 0; w < v->d->touched_words[s->kind]; w++) {
        uint64_t word = __atomic_load_n(&s->touched[w], __ATOMIC_SEQ_CST);

        for (; word; word &= word - 1) {
            uint64_t touched = w * 64 + __builtin_ctzll(word);
            uint64_t first = touched * CXLF_TOUCHED_ENTRIES;

            for (uint64_t i = first; i < first + CXLF_TOUCHED_ENTRIES &&
                 i < v->d->entries[s->kind]; i++) {
                visit_page(v, s, i);
            }
        }
    }
}

void cxlf_each_held(const struct cxlf_directory *d, unsigned host,
                    cxlf_held_fn *fn, void *opaque)
{
    const struct visit v = { d, host, fn, opaque };

    for (uint32_t leaf = 0; leaf < d->topology.leaves; leaf++) {
        for (uint32_t i = 0; i < d->topology.shards &&
             cxlf_leaf_get(d, leaf) == CXLF_LEAF_UP; i++) {
            struct cxlf_shard s = cxlf_shard_at(d, CXLF_PAGE_UNIT, leaf, i);

            visit_shard(&v, &s);
        }
    }
}

/* Accesses that a dead host was inside of are over. */
static void clear_inside(const struct cxlf_directory *d, unsigned host,
                         uint32_t leaf)
{
    uint32_t *count = d->leaf[leaf].inside[host].count;

    __atomic_store_n(&count[0], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&count[1], 0, __ATOMIC_SEQ_CST);
}

static void give_up_all(struct giving_up *g)
{
    const struct cxlf_directory *d = g->d;

    for (uint32_t leaf = 0; leaf < d->topology.leaves; leaf++) {
        if (cxlf_leaf_get(d, leaf) != CXLF_LEAF_DOWN) {
            for (uint32_t i = 0; i < d->topology.shards * CXLF_UNITS; i++) {
                struct cxlf_shard s = cxlf_shard_at(d, i % CXLF_UNITS, leaf,
                                                    i / CXLF_UNITS);

                give_up_shard(g, &s);
            }
        }
        if (g->event != CXLF_EVICT) {
            clear_inside(d, g->host, leaf);
        }
    }
}

uint64_t cxlf_give_up(struct cxlf_directory *d, unsigned host,
                      enum cxlf_event event, uint64_t *modified)
{
    struct giving_up g = { .d = d, .host = host, .event = event };

    give_up_all(&g);
    if (modified) {
        *modified = g.modified;
    }
    return g.held;
}

uint64_t cxlf_give_up_range(struct cxlf_directory *d, unsigned host,
                            uint32_t gfam, uint64_t dpa, uint64_t size)
{
    struct giving_up g = {
        .d = d, .host = host, .event = CXLF_EVICT, .some = true,
        .gfam = gfam, .dpa = dpa, .size = size,
    };

    give_up_all(&g);
    return g.held;
}
