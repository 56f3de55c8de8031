/*
 * Life of a leaf: quiescent points, failure and return
 *
 * Memory order: (Q0) an access counts itself inside, (Q1) reads the epoch
 * again, then looks at entries; (A0) who advances reads all counts, then
 * (A1) swaps the epoch.  All are sequentially consistent: either A0 sees Q0,
 * or Q1 sees A1.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/leaf.h"
#include "shard.h"

unsigned cxlf_enter(struct cxlf_directory *d, unsigned host, uint32_t leaf)
{
    const struct cxlf_leaf_view *l = &d->leaf[leaf];
    uint32_t *count = l->inside[host].count;
    uint64_t epoch = __atomic_load_n(&l->live->epoch, __ATOMIC_ACQUIRE);

    for (;;) {
        uint64_t again;

        __atomic_fetch_add(&count[epoch & 1], 1, __ATOMIC_SEQ_CST); /* Q0 */
        again = __atomic_load_n(&l->live->epoch, __ATOMIC_SEQ_CST); /* Q1 */
        if (again == epoch) {
            return epoch & 1;
        }
        __atomic_fetch_sub(&count[epoch & 1], 1, __ATOMIC_RELEASE);
        epoch = again;
    }
}

void cxlf_leave(struct cxlf_directory *d, unsigned host, uint32_t leaf,
                unsigned ticket)
{
    __atomic_fetch_sub(&d->leaf[leaf].inside[host].count[ticket & 1], 1,
                       __ATOMIC_RELEASE);
}

uint64_t cxlf_epoch(const struct cxlf_directory *d, uint32_t leaf)
{
    return __atomic_load_n(&d->leaf[leaf].live->epoch, __ATOMIC_SEQ_CST);
}

bool cxlf_advance(struct cxlf_directory *d, uint32_t leaf)
{
    const struct cxlf_leaf_view *l = &d->leaf[leaf];
    uint64_t epoch = cxlf_epoch(d, leaf);

    for (uint32_t h = 0; h < d->topology.hosts; h++) {
        if (__atomic_load_n(&l->inside[h].count[(epoch + 1) & 1],
                            __ATOMIC_SEQ_CST) != 0) {       /* A0 */
            return false;
        }
    }
    __atomic_compare_exchange_n(&l->live->epoch, &epoch, epoch + 1, false,
                                __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);          /* A1 */
    return true;
}

enum cxlf_leaf_state cxlf_leaf_get(const struct cxlf_directory *d,
                                   uint32_t leaf)
{
    uint32_t state = __atomic_load_n(&d->leaf[leaf].live->state,
                                     __ATOMIC_ACQUIRE);

    return state < CXLF_LEAF_STATES ? (enum cxlf_leaf_state)state :
                                      CXLF_LEAF_DOWN;
}

uint32_t cxlf_leaf_incarnation(const struct cxlf_directory *d, uint32_t leaf)
{
    return __atomic_load_n(&d->leaf[leaf].live->incarnation,
                           __ATOMIC_ACQUIRE);
}

void cxlf_leaf_set(struct cxlf_directory *d, uint32_t leaf,
                   enum cxlf_leaf_state state)
{
    struct cxlf_leaf_live *live = d->leaf[leaf].live;

    if (state == CXLF_LEAF_REBUILDING) {
        for (unsigned i = 0; i < 64; i++) {
            __atomic_store_n(&live->rebuilt[i], 0, __ATOMIC_RELAXED);
        }
        __atomic_fetch_add(&live->incarnation, 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&live->state, state, __ATOMIC_RELEASE);
}

uint64_t cxlf_rebuild(struct cxlf_directory *d, unsigned host, uint32_t leaf,
                      struct cxlf_log *log, uint64_t *conflicts)
{
    uint64_t cursor = 0, pages = 0, against = 0;
    struct cxlf_log_page page;

    while (cxlf_log_next(log, &cursor, &page, NULL)) {
        struct cxlf_target t;
        struct cxlf_move m = { 0 };
        struct cxlf_home home;

        if (!cxlf_topology_home(&d->topology, CXLF_PAGE_UNIT, page.gfam,
                                page.dpa, &home) || home.leaf != leaf ||
            !cxlf_find_target(d, CXLF_PAGE_UNIT, page.gfam, page.dpa, &t)) {
            continue;
        }
        while (cxlf_move_entry(&t, home.unit, host,
                               page.held == CXLF_HELD_OWNED ?
                               CXLF_REBUILD_E : CXLF_REBUILD_S, &m) ==
               CXLF_AGAIN) {
            continue;
        }
        pages++;
        against += !!(m.actions & CXLF_A_CONFLICT);
    }
    if (conflicts) {
        *conflicts = against;
    }
    __atomic_fetch_or(&d->leaf[leaf].live->rebuilt[host / 64],
                      1ull << host % 64, __ATOMIC_SEQ_CST);
    return pages;
}

/* A line's poison is told by the line: its page is one of lines. */
static bool rebuild_as_lines(struct cxlf_directory *d, uint32_t gfam,
                             uint64_t dpa)
{
    struct cxlf_target t;
    struct cxlf_move m;

    if (!d->topology.tiers) {
        return true;
    }
    return cxlf_find_target(d, CXLF_PAGE_UNIT, gfam, dpa, &t) &&
           cxlf_move_entry(&t, t.unit, 0, CXLF_PROMOTE, &m) == CXLF_OK &&
           m.after.state == CXLF_L;
}

bool cxlf_rebuild_poison(struct cxlf_directory *d, enum cxlf_kind kind,
                         uint32_t gfam, uint64_t dpa)
{
    struct cxlf_target t;
    struct cxlf_move m;

    if (kind == CXLF_LINE_UNIT) {
        return rebuild_as_lines(d, gfam, dpa) &&
               cxlf_access(d, 0, gfam, dpa, CXLF_REBUILD_P) == CXLF_OK;
    }
    return cxlf_find_target(d, kind, gfam, dpa, &t) &&
           cxlf_move_entry(&t, t.unit, 0, CXLF_REBUILD_P, &m) == CXLF_OK;
}

bool cxlf_leaf_resume(struct cxlf_directory *d, uint32_t leaf,
                      const uint64_t live[64])
{
    const struct cxlf_leaf_live *l = d->leaf[leaf].live;

    for (unsigned i = 0; i < 64; i++) {
        if (live[i] & ~__atomic_load_n(&l->rebuilt[i], __ATOMIC_SEQ_CST)) {
            return false;
        }
    }
    cxlf_leaf_set(d, leaf, CXLF_LEAF_UP);
    return true;
}
