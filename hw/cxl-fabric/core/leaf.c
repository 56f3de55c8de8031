/*
 * Life of a leaf: its state, and quiescent points
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
#include "atomic16.h"
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

static uint64_t used_of(const struct cxlf_directory *d,
                        const struct cxlf_shard *s, uint64_t first)
{
    uint64_t used = 0;

    for (uint64_t i = first; i < first + CXLF_TOUCHED_ENTRIES &&
         i < d->entries[s->kind]; i++) {
        struct cxlf_line line;
        enum cxlf_slot slot =
            cxlf_entry_decode(s, cxlf_entry_load(&s->entries[i]), &line);

        used += slot == CXLF_SLOT_NEW ||
                (slot == CXLF_SLOT_UNIT && line.state != CXLF_I);
    }
    return used;
}

uint64_t cxlf_leaf_used(const struct cxlf_directory *d, uint32_t leaf,
                        enum cxlf_kind kind)
{
    uint64_t used = 0;

    for (uint32_t i = 0; i < d->topology.shards; i++) {
        struct cxlf_shard s = cxlf_shard_at(d, kind, leaf, i);

        for (uint64_t w = 0; w < d->touched_words[kind]; w++) {
            uint64_t word = __atomic_load_n(&s.touched[w], __ATOMIC_SEQ_CST);

            for (; word; word &= word - 1) {
                used += used_of(d, &s, (w * 64 + __builtin_ctzll(word)) *
                                       CXLF_TOUCHED_ENTRIES);
            }
        }
    }
    return used;
}
