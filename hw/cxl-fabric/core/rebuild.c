/*
 * Return of a leaf: what hosts and the owner re-enter before it is up
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/leaf.h"
#include "shard.h"

uint64_t cxlf_rebuild(struct cxlf_directory *d, unsigned host, uint32_t leaf,
                      struct cxlf_log *log, uint64_t *conflicts)
{
    uint64_t cursor = 0, pages = 0, against = 0;
    struct cxlf_log_page page;

    while (cxlf_log_next(log, &cursor, &page, NULL)) {
        struct cxlf_target t;
        struct cxlf_move m = { 0 };

        if (!cxlf_find_target(d, CXLF_PAGE_UNIT, page.gfam, page.dpa, &t) ||
            t.shard.leaf != leaf) {
            continue;
        }
        while (cxlf_move_entry(&t, t.unit, host,
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
