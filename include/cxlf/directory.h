/*
 * Directory: a host's view of the shards, and accesses to lines in them
 *
 * An access finds the line's entry at its home leaf and moves it by one
 * compare-and-swap.  The entry is the directory's record and every trapped
 * holder's permission at once, so clearing another host's bit is the
 * back-invalidate and its acknowledgement (docs/architecture.md).  Nothing
 * is ever locked; a process may die at any instruction.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_DIRECTORY_H
#define CXLF_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cxlf/protocol.h"
#include "cxlf/topology.h"

/* The directory of one kind of unit in a leaf, mapped and checked. */
struct cxlf_table_view {
    uint64_t *touched;                  /* [shards][touched_words] */
    struct cxlf_entry *entries;         /* [shards][units] */
};

/* A leaf's segment as this process has it mapped and checked. */
struct cxlf_leaf_view {
    struct cxlf_counters *counters;     /* [shards][hosts] */
    struct cxlf_mailbox *mailboxes;     /* [hosts] */
    struct cxlf_table_view table[CXLF_UNITS];
};

struct cxlf_directory {
    struct cxlf_topology topology;
    uint64_t units[CXLF_UNITS];         /* of each shard */
    uint64_t touched_words[CXLF_UNITS]; /* of each shard */
    struct cxlf_leaf_view leaf[CXLF_MAX_LEAVES];
};

enum cxlf_result {
    CXLF_OK,
    CXLF_AGAIN,     /* contended: leave, let others run, and retry */
    CXLF_REFUSED,   /* no such line */
    CXLF_CORRUPT,   /* the entry or the pair is not a legal one */
};

/* Tries of one access before it is CXLF_AGAIN. */
#define CXLF_TRIES 64

extern const char *const cxlf_counter_name[CXLF_COUNTERS];

/* cxlf_leaf_size: bytes of a leaf's segment; a multiple of the page size. */
uint64_t cxlf_leaf_size(const struct cxlf_topology *t);

/*
 * cxlf_leaf_format: fill the header of a new, zeroed leaf segment.
 * @memory: cxlf_leaf_size() bytes, aligned to a page.
 */
void cxlf_leaf_format(void *memory, const struct cxlf_topology *t,
                      uint32_t leaf, const uint8_t uuid[16]);

/*
 * cxlf_leaf_attach: check a leaf's segment and make it part of @directory.
 * @memory, @size: the mapping; trusted to be mapped, not to be right.
 * @uuid: the fabric that the segment must belong to.
 * On failure *@why names the field.  @directory->topology must be set.
 */
bool cxlf_leaf_attach(struct cxlf_directory *directory, void *memory,
                      uint64_t size, uint32_t leaf, const uint8_t uuid[16],
                      const char **why);

/*
 * cxlf_access: an event of @host at the HOT line that holds @dpa (bytes) of
 * device @gfam.  Counts what it did.  Any thread; lock-free; at most
 * CXLF_TRIES compare-and-swaps.
 */
enum cxlf_result cxlf_access(struct cxlf_directory *directory, unsigned host,
                             uint32_t gfam, uint64_t dpa,
                             enum cxlf_event event);

/* What an event on a page has done. */
struct cxlf_move {
    struct cxlf_line before, after;
    unsigned actions;           /* enum cxlf_action */
    uint32_t generation;        /* of the entry, after */
};

/*
 * cxlf_page_event: an event of @host at the page that holds @dpa.  Whoever
 * raises a request posts the snoops of @move (cxlf/agent.h).  Like
 * cxlf_access() in all else.
 */
enum cxlf_result cxlf_page_event(struct cxlf_directory *directory,
                                 unsigned host, uint32_t gfam, uint64_t dpa,
                                 enum cxlf_event event,
                                 struct cxlf_move *move);

/* cxlf_peek: a unit as its entry has it; false if there is none. */
bool cxlf_peek(struct cxlf_directory *directory, enum cxlf_kind kind,
               uint32_t gfam, uint64_t dpa, struct cxlf_line *line);

/*
 * cxlf_count: add @n to a counter of @host at the home of @dpa.  An address
 * outside HOT is counted at shard 0 of leaf 0.
 */
void cxlf_count(struct cxlf_directory *directory, unsigned host,
                uint32_t gfam, uint64_t dpa, enum cxlf_counter counter,
                uint64_t n);

/* cxlf_read_counters: sums; @leaf, @shard or @host -1 means all. */
void cxlf_read_counters(const struct cxlf_directory *directory, int leaf,
                        int shard, int host, uint64_t sum[CXLF_COUNTERS]);

/*
 * cxlf_give_up: take everything that @host holds from it, by @event
 * (CXLF_EVICT for the host itself, CXLF_DEATH for the owner of the fabric).
 * For CXLF_DEATH the host must be dead or fenced.  Returns how many units it
 * held; *@modified (may be NULL) how many of them it had modified.  Its
 * transactions are ended, too.
 */
uint64_t cxlf_give_up(struct cxlf_directory *directory, unsigned host,
                      enum cxlf_event event, uint64_t *modified);

#endif /* CXLF_DIRECTORY_H */
