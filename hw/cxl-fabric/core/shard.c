/*
 * Shards: where a unit's entry is, and what an entry says
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shard.h"

bool cxlf_find_target(const struct cxlf_directory *d, enum cxlf_kind kind,
                      uint32_t gfam, uint64_t dpa, struct cxlf_target *t)
{
    struct cxlf_home home;

    if (!cxlf_topology_home(&d->topology, kind, gfam, dpa, &home)) {
        return false;
    }
    t->shard = cxlf_shard_at(d, kind, home.leaf, home.shard);
    t->unit = home.unit;
    t->part = 0;
    t->initial = CXLF_I;
    if (kind == CXLF_PAGE_UNIT) {
        if (d->topology.tiers && dpa < d->topology.gfam[gfam].hot) {
            t->initial = CXLF_L;
        }
    } else if (t->shard.presence) {
        t->part = dpa % cxlf_topology_grain(&d->topology) / CXLF_LINE;
    }
    return true;
}

enum cxlf_slot cxlf_entry_decode(const struct cxlf_shard *s,
                                 struct cxlf_entry entry,
                                 struct cxlf_line *line)
{
    line->state = CXLF_WORD_STATE(entry.word);
    line->requester = CXLF_WORD_REQUESTER(entry.word);
    line->holders = entry.copyset;
    if (CXLF_WORD_ZERO(entry.word) || line->requester >= s->hosts) {
        return CXLF_SLOT_CORRUPT;
    }
    if (CXLF_WORD_TAG(entry.word) == 0) {
        return line->state == CXLF_I && line->requester == 0 &&
               line->holders == 0 ? CXLF_SLOT_EMPTY : CXLF_SLOT_CORRUPT;
    }
    switch (line->state) {
    case CXLF_N:
        return s->finite && line->holders == 0 ? CXLF_SLOT_NEW :
               CXLF_SLOT_CORRUPT;
    case CXLF_F:
        return s->finite && line->requester == 0 &&
               line->holders >> 62 == 0 ? CXLF_SLOT_FREE : CXLF_SLOT_CORRUPT;
    default:
        return cxlf_line_valid(s->kind, s->hosts, *line) ?
               CXLF_SLOT_UNIT : CXLF_SLOT_CORRUPT;
    }
}

struct cxlf_entry cxlf_entry_encode(struct cxlf_entry old, uint32_t tag,
                                    struct cxlf_line line)
{
    return (struct cxlf_entry) {
        .word = CXLF_WORD(tag, cxlf_next_generation(old), line.requester,
                          line.state),
        .copyset = line.holders,
    };
}

struct cxlf_entry cxlf_entry_free(struct cxlf_entry old, uint64_t epoch)
{
    struct cxlf_line free = { .state = CXLF_F, .holders = epoch };

    return cxlf_entry_encode(old, CXLF_WORD_TAG(old.word), free);
}

void cxlf_touch(const struct cxlf_shard *s, uint32_t index)
{
    uint32_t page = index / CXLF_TOUCHED_ENTRIES;
    uint64_t *word = &s->touched[page / 64];
    uint64_t bit = 1ull << page % 64;

    if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit)) {
        __atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
    }
}
