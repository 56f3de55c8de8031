/*
 * Forgetting a range of memory that no host uses any more
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/leaf.h"
#include "atomic16.h"
#include "shard.h"

struct range {
    uint32_t gfam;
    uint64_t dpa, length;
};

/* Which unit an entry is of; where each has its own, it need not be read. */
static bool is_of_range(const struct cxlf_directory *d,
                        const struct cxlf_shard *s, uint32_t index,
                        struct cxlf_entry entry, const struct range *r)
{
    struct cxlf_home home = {
        .leaf = s->leaf, .shard = s->shard, .unit = index,
    };
    uint32_t gfam;
    uint64_t dpa;

    if (s->finite) {
        if (CXLF_WORD_TAG(entry.word) == 0) {
            return false;
        }
        home.unit = CXLF_WORD_TAG(entry.word) - 1;
    }
    return cxlf_topology_unit(&d->topology, s->kind, &home, &gfam, &dpa) &&
           gfam == r->gfam && dpa >= r->dpa && dpa - r->dpa < r->length;
}

static bool forget_entry(const struct cxlf_directory *d, struct cxlf_shard *s,
                         uint32_t index, const struct range *r)
{
    const struct cxlf_line initial = { .state = CXLF_I };
    struct cxlf_entry old, new;

    do {
        old = cxlf_entry_load(&s->entries[index]);
        if (!is_of_range(d, s, index, old, r) ||
            (CXLF_WORD_TAG(old.word) == 0 && old.copyset == 0)) {
            return false;
        }
        if (s->finite && CXLF_WORD_STATE(old.word) == CXLF_F) {
            return false;
        }
        new = s->finite ? cxlf_entry_free(old, 0) :
                          cxlf_entry_encode(old, 0, initial);
    } while (!cxlf_entry_cas(&s->entries[index], old, new));
    for (unsigned h = 0; s->presence && h < s->hosts; h++) {
        __atomic_store_n(&s->presence[(uint64_t)index * s->hosts + h], 0,
                         __ATOMIC_RELAXED);
    }
    return true;
}

uint64_t cxlf_forget_range(struct cxlf_directory *d, uint32_t leaf,
                           uint32_t gfam, uint64_t dpa, uint64_t length)
{
    const struct range r = { gfam, dpa, length };
    uint64_t forgotten = 0;

    for (uint32_t i = 0; i < d->topology.shards * CXLF_UNITS; i++) {
        enum cxlf_kind kind = i % CXLF_UNITS;
        struct cxlf_shard s = cxlf_shard_at(d, kind, leaf, i / CXLF_UNITS);

        for (uint64_t e = 0; e < d->entries[kind]; e++) {
            uint64_t page = e / CXLF_TOUCHED_ENTRIES;
            uint64_t word = __atomic_load_n(&s.touched[page / 64],
                                            __ATOMIC_SEQ_CST);

            if (!(word >> page % 64 & 1)) {
                e = (page + 1) * CXLF_TOUCHED_ENTRIES - 1;
                continue;
            }
            forgotten += forget_entry(d, &s, e, &r);
        }
    }
    return forgotten;
}
