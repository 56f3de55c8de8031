/*
 * A shard as the files of the directory share it: private to the core
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_CORE_SHARD_H
#define CXLF_CORE_SHARD_H

#include "cxlf/directory.h"

/* Entries in one 4 KiB page of a shard: what a bit of the touched map says */
#define CXLF_TOUCHED_ENTRIES (CXLF_PAGE / sizeof(struct cxlf_entry))

/* One kind's part of a shard, as its leaf's segment has it. */
struct cxlf_shard {
    enum cxlf_kind kind;
    bool finite;                /* fewer entries than units may be */
    unsigned hosts;
    uint32_t leaf, shard;
    struct cxlf_counters *counters;     /* [hosts] */
    uint64_t *touched;
    struct cxlf_entry *entries;
    uint64_t *presence;                 /* [entries][hosts], or NULL */
};

/* Where an event goes: a unit of a shard, and the part of it that is meant. */
struct cxlf_target {
    struct cxlf_shard shard;
    uint32_t unit;
    unsigned part;              /* line of the unit, 0 to 63 */
    unsigned initial;           /* state of a unit that has no entry yet */
};

/* What an entry holds, once it has been checked. */
enum cxlf_slot {
    CXLF_SLOT_CORRUPT,
    CXLF_SLOT_EMPTY,            /* never used: any unit's initial state */
    CXLF_SLOT_NEW,              /* N: claimed for the tag's unit */
    CXLF_SLOT_FREE,             /* F */
    CXLF_SLOT_UNIT,             /* the tag's unit, in a state of the table */
};

static inline struct cxlf_shard
cxlf_shard_at(const struct cxlf_directory *d, enum cxlf_kind kind,
              uint32_t leaf, uint32_t shard)
{
    const struct cxlf_leaf_view *l = &d->leaf[leaf];
    const struct cxlf_table_view *table = &l->table[kind];

    return (struct cxlf_shard) {
        .kind = kind,
        .finite = kind == CXLF_LINE_UNIT && d->topology.line_entries != 0,
        .hosts = d->topology.hosts,
        .leaf = leaf,
        .shard = shard,
        .counters = l->counters + (uint64_t)shard * d->topology.hosts,
        .touched = table->touched + shard * d->touched_words[kind],
        .entries = table->entries + shard * d->entries[kind],
        .presence = table->presence ? table->presence +
                    shard * d->entries[kind] * d->topology.hosts : NULL,
    };
}

/* cxlf_find_target: false if there is no such unit. */
bool cxlf_find_target(const struct cxlf_directory *directory,
                      enum cxlf_kind kind, uint32_t gfam, uint64_t dpa,
                      struct cxlf_target *target);

/* cxlf_entry_decode: check an entry that anybody may have written. */
enum cxlf_slot cxlf_entry_decode(const struct cxlf_shard *shard,
                                 struct cxlf_entry entry,
                                 struct cxlf_line *line);

/* cxlf_next_generation: of what follows @old, whatever that is. */
static inline uint32_t cxlf_next_generation(struct cxlf_entry old)
{
    return (CXLF_WORD_GENERATION(old.word) + 1) & 0x3fff;
}

/* cxlf_entry_encode: what follows @old when its unit becomes @line. */
struct cxlf_entry cxlf_entry_encode(struct cxlf_entry old, uint32_t tag,
                                    struct cxlf_line line);

/* cxlf_entry_free: what follows @old when it is freed in @epoch. */
struct cxlf_entry cxlf_entry_free(struct cxlf_entry old, uint64_t epoch);

/*
 * cxlf_touch: before an entry leaves its unit's initial state, so that
 * whatever a dead host holds is found, wherever it died.
 */
void cxlf_touch(const struct cxlf_shard *shard, uint32_t index);

/*
 * cxlf_move_entry: execute the table on the entry at @index, which must be
 * @target's or empty, and count what it did.  CXLF_AGAIN: somebody was
 * faster every time, or the entry is another unit's by now.
 */
enum cxlf_result cxlf_move_entry(const struct cxlf_target *target,
                                 uint32_t index, unsigned host,
                                 enum cxlf_event event, struct cxlf_move *m);

/* cxlf_count_move: count a transition of @host at the entry at @index. */
void cxlf_count_move(const struct cxlf_target *target, uint32_t index,
                     unsigned host, enum cxlf_event event,
                     const struct cxlf_move *m);

/* cxlf_add: add to a counter of @host in this shard. */
static inline void cxlf_add(const struct cxlf_shard *s, unsigned host,
                            enum cxlf_counter counter, uint64_t n)
{
    __atomic_fetch_add(&s->counters[host].count[counter], n,
                       __ATOMIC_RELAXED);
}

/* cxlf_count_result: count an access that was not granted; returns @result. */
static inline enum cxlf_result cxlf_count_result(const struct cxlf_shard *s,
                                                 unsigned host,
                                                 enum cxlf_result result)
{
    if (result == CXLF_WITHHELD) {
        cxlf_add(s, host, CXLF_WITHHELD_ACCESS, 1);
    } else if (result == CXLF_CORRUPT) {
        cxlf_add(s, host, CXLF_REFUSAL, 1);
    }
    return result;
}

#endif /* CXLF_CORE_SHARD_H */
