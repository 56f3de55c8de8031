/*
 * Layout of a leaf's segment: made by the owner, checked by who joins
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/copies.h"
#include "cxlf/directory.h"

/* Shards begin at cache lines, in pairs, of their own. */
#define APART (128 / sizeof(struct cxlf_entry))

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

/* Place the directory of one kind behind @offset; returns its end. */
static uint64_t place_table(struct cxlf_leaf *h,
                            const struct cxlf_topology *t,
                            enum cxlf_kind kind, uint64_t offset)
{
    uint64_t per_word = 64 * (CXLF_PAGE / sizeof(struct cxlf_entry));
    struct cxlf_table_layout *l = &h->table[kind];

    l->entries = round_up(cxlf_topology_entries(t, kind), APART);
    /* A page for each shard's map keeps shards off each other's lines. */
    l->touched_words = round_up(round_up(l->entries, per_word) / per_word,
                                CXLF_PAGE / 8);
    l->touched_offset = offset;
    l->entries_offset = l->touched_offset + t->shards * l->touched_words * 8;
    offset = l->entries_offset +
        round_up(t->shards * l->entries * sizeof(struct cxlf_entry),
                 CXLF_PAGE);
    if (kind == CXLF_LINE_UNIT && cxlf_topology_grain(t) > CXLF_LINE) {
        l->presence_offset = offset;
        offset += round_up(t->shards * l->entries * t->hosts * 8, CXLF_PAGE);
    }
    return offset;
}

struct cxlf_leaf cxlf_leaf_header(const struct cxlf_topology *t,
                                  uint32_t leaf, const uint8_t uuid[16])
{
    struct cxlf_leaf h = {
        .segment = {
            .magic = CXLF_LEAF_MAGIC,
            .version = CXLF_ABI_VERSION,
            .header_size = sizeof(struct cxlf_leaf),
            .index = leaf,
            .hosts = t->hosts,
        },
        .leaves = t->leaves,
        .shards = t->shards,
        .grain = cxlf_topology_grain(t),
        .ways = t->line_entries ? cxlf_topology_ways(t) : 0,
        .live_offset = CXLF_PAGE,
        .inside_offset = 2 * CXLF_PAGE,
    };
    uint64_t end;

    memcpy(h.segment.uuid, uuid, 16);
    h.counters_offset = h.inside_offset +
        round_up(t->hosts * sizeof(struct cxlf_inside), CXLF_PAGE);
    h.mailbox_offset = h.counters_offset +
        round_up((uint64_t)t->shards * t->hosts *
                 sizeof(struct cxlf_counters), CXLF_PAGE);
    h.inbox_offset = h.mailbox_offset +
        round_up(t->hosts * sizeof(struct cxlf_mailbox), CXLF_PAGE);
    end = h.inbox_offset +
        round_up(t->hosts * sizeof(struct cxlf_inbox), CXLF_PAGE);
    for (int kind = 0; kind < CXLF_UNITS; kind++) {
        end = place_table(&h, t, kind, end);
    }
    h.copies_offset = end;
    end += cxlf_copies_size(t, h.table[CXLF_PAGE_UNIT].entries);
    h.segment.size = end;
    return h;
}

uint64_t cxlf_leaf_size(const struct cxlf_topology *t)
{
    static const uint8_t none[16];

    return cxlf_leaf_header(t, 0, none).segment.size;
}

void cxlf_leaf_format(void *memory, const struct cxlf_topology *t,
                      uint32_t leaf, const uint8_t uuid[16])
{
    struct cxlf_leaf h = cxlf_leaf_header(t, leaf, uuid);
    struct cxlf_leaf_live live = {
        .epoch = 2, .state = CXLF_LEAF_UP, .incarnation = 1,
    };

    memcpy(memory, &h, sizeof(h));
    memcpy((char *)memory + h.live_offset, &live, sizeof(live));
}

static bool check(const struct cxlf_leaf *have, const struct cxlf_leaf *want,
                  uint64_t size, const char **why)
{
    *why = NULL;
    if (have->segment.magic != want->segment.magic) {
        *why = "leaf segment: wrong magic number";
    } else if (have->segment.version != want->segment.version) {
        *why = "leaf segment: made by another ABI version";
    } else if (size < want->segment.size ||
               have->segment.size != want->segment.size) {
        *why = "leaf segment: its size does not fit the topology";
    } else if (memcmp(have->segment.uuid, want->segment.uuid, 16)) {
        *why = "leaf segment: belongs to another fabric";
    } else if (memcmp(have, want, sizeof(*have))) {
        *why = "leaf segment: its geometry does not fit the topology";
    }
    return *why == NULL;
}

bool cxlf_leaf_attach(struct cxlf_directory *d, void *memory, uint64_t size,
                      uint32_t leaf, const uint8_t uuid[16],
                      const char **why)
{
    struct cxlf_leaf want = cxlf_leaf_header(&d->topology, leaf, uuid);
    struct cxlf_leaf have;
    char *base = memory;

    if (leaf >= d->topology.leaves) {
        *why = "leaf segment: the topology has no such leaf";
        return false;
    }
    if (size < sizeof(have)) {
        *why = "leaf segment: smaller than its header";
        return false;
    }
    memcpy(&have, memory, sizeof(have));
    if (!check(&have, &want, size, why)) {
        return false;
    }
    d->leaf[leaf] = (struct cxlf_leaf_view) {
        .live = (void *)(base + want.live_offset),
        .inside = (void *)(base + want.inside_offset),
        .counters = (void *)(base + want.counters_offset),
        .mailboxes = (void *)(base + want.mailbox_offset),
        .inboxes = (void *)(base + want.inbox_offset),
        .copies = (void *)(base + want.copies_offset),
    };
    for (int kind = 0; kind < CXLF_UNITS; kind++) {
        const struct cxlf_table_layout *l = &want.table[kind];

        d->entries[kind] = l->entries;
        d->touched_words[kind] = l->touched_words;
        d->leaf[leaf].table[kind] = (struct cxlf_table_view) {
            .touched = (void *)(base + l->touched_offset),
            .entries = (void *)(base + l->entries_offset),
            .presence = l->presence_offset ?
                        (void *)(base + l->presence_offset) : NULL,
        };
    }
    return true;
}
