/*
 * Directory: entries, and the table executed on them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/leaf.h"
#include "atomic16.h"
#include "shard.h"

static bool is_same(struct cxlf_line a, struct cxlf_line b)
{
    return a.state == b.state && a.requester == b.requester &&
           a.holders == b.holders;
}

/* Whom the home snoops in a transition; the host itself gets no message. */
static uint64_t snooped_hosts(const struct cxlf_move *m, unsigned host,
                              unsigned hosts)
{
    if (!(m->actions & (CXLF_A_BISNP_INV | CXLF_A_BISNP_DATA))) {
        return 0;
    }
    return cxlf_is_transient(m->after.state) ? m->after.holders :
           cxlf_set_remove(m->before.holders, host, hosts);
}

/*
 * Whether an event of a holder changes nothing, as the table has it: most
 * accesses are such hits.
 */
static inline bool is_hit(const struct cxlf_target *t, unsigned host,
                          enum cxlf_event event, struct cxlf_move *m)
{
    const struct cxlf_cell *cell;

    if (event > CXLF_STORE ||
        !cxlf_set_has(m->before.holders, host, t->shard.hosts)) {
        return false;
    }
    cell = &cxlf_table[m->before.state][CXLF_HOLDER][event];
    if (!(cell->actions & (CXLF_A_READ_HIT | CXLF_A_WRITE_HIT)) ||
        cell->next != m->before.state) {
        return false;
    }
    m->after = m->before;
    m->actions = cell->actions;
    m->snooped = 0;
    return true;
}

/*
 * What an event makes of a unit that was decoded; false where the table has
 * no such cell.
 */
static bool plan(const struct cxlf_target *t, unsigned host,
                 enum cxlf_event event, struct cxlf_move *m)
{
    unsigned hosts = t->shard.hosts;

    if (!cxlf_step_valid(t->shard.kind, hosts, m->before, host, event,
                         &m->after, &m->actions)) {
        return false;
    }
    m->snooped = snooped_hosts(m, host, hosts);
    return true;
}

static enum cxlf_result granted(const struct cxlf_move *m)
{
    return m->actions & CXLF_A_POISONED ? CXLF_POISONED : CXLF_OK;
}

enum cxlf_result cxlf_move_entry(const struct cxlf_target *t, uint32_t index,
                                 unsigned host, enum cxlf_event event,
                                 struct cxlf_move *m)
{
    const struct cxlf_shard *s = &t->shard;
    struct cxlf_entry *entry = &s->entries[index];

    for (unsigned try = 0; try < CXLF_TRIES; try++) {
        struct cxlf_entry old = cxlf_entry_load(entry);
        enum cxlf_slot slot = cxlf_entry_decode(s, old, &m->before);

        if (slot == CXLF_SLOT_EMPTY) {
            m->before = (struct cxlf_line) { .state = t->initial };
        } else if (slot == CXLF_SLOT_CORRUPT) {
            return CXLF_CORRUPT;
        } else if (slot != CXLF_SLOT_UNIT ||
                   CXLF_WORD_TAG(old.word) != t->unit + 1) {
            /* Of a finite directory: it is another unit's by now. */
            return s->finite ? CXLF_AGAIN : CXLF_CORRUPT;
        }
        m->generation = CXLF_WORD_GENERATION(old.word);
        if (!is_hit(t, host, event, m) && !plan(t, host, event, m)) {
            return CXLF_CORRUPT;
        }
        if (is_same(m->before, m->after)) {
            cxlf_count_move(t, index, host, event, m);
            return granted(m);
        }
        m->generation = cxlf_next_generation(old);
        cxlf_touch(s, index);
        if (cxlf_entry_cas(entry, old, cxlf_entry_encode(old, t->unit + 1,
                                                         m->after))) {
            cxlf_count_move(t, index, host, event, m);
            return granted(m);
        }
        cxlf_add(s, host, CXLF_RETRY, 1);
    }
    return CXLF_AGAIN;
}

enum cxlf_result cxlf_page_event(struct cxlf_directory *d, unsigned host,
                                 uint32_t gfam, uint64_t dpa,
                                 enum cxlf_event event, struct cxlf_move *m)
{
    struct cxlf_target t;
    enum cxlf_result result;
    unsigned ticket;

    *m = (struct cxlf_move) { 0 };
    if (!cxlf_find_target(d, CXLF_PAGE_UNIT, gfam, dpa, &t)) {
        return CXLF_REFUSED;
    }
    if (event == CXLF_PROMOTE && !cxlf_can_promote(d, gfam, dpa)) {
        return CXLF_REFUSED;
    }
    ticket = cxlf_enter(d, host, t.shard.leaf);
    result = cxlf_leaf_get(d, t.shard.leaf) == CXLF_LEAF_UP ?
             cxlf_move_entry(&t, t.unit, host, event, m) : CXLF_WITHHELD;
    cxlf_leave(d, host, t.shard.leaf, ticket);
    return cxlf_count_result(&t.shard, host, result);
}

bool cxlf_can_promote(const struct cxlf_directory *d, uint32_t gfam,
                      uint64_t dpa)
{
    struct cxlf_home home;

    return d->topology.tiers &&
           cxlf_topology_home(&d->topology, CXLF_LINE_UNIT, gfam, dpa, &home);
}
