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
#include "cxlf/log.h"
#include "cxlf/protocol.h"
#include "cxlf/topology.h"

/* The directory of one kind of unit in a leaf, mapped and checked. */
struct cxlf_table_view {
    uint64_t *touched;                  /* [shards][touched_words] */
    struct cxlf_entry *entries;         /* [shards][entries] */
    uint64_t *presence;                 /* [shards][entries][hosts], or NULL */
};

/* A leaf's segment as this process has it mapped and checked. */
struct cxlf_leaf_view {
    struct cxlf_leaf_live *live;
    struct cxlf_inside *inside;         /* [hosts] */
    struct cxlf_counters *counters;     /* [shards][hosts] */
    struct cxlf_mailbox *mailboxes;     /* [hosts] */
    struct cxlf_inbox *inboxes;         /* [hosts] */
    struct cxlf_table_view table[CXLF_UNITS];
    struct cxlf_copies *copies;         /* and what follows it */
};

/* Locks of this process that keep one inserting thread in a set. */
#define CXLF_INSERT_LOCKS 64

struct cxlf_directory {
    struct cxlf_topology topology;
    uint64_t entries[CXLF_UNITS];       /* of each shard */
    uint64_t touched_words[CXLF_UNITS]; /* of each shard */
    struct cxlf_leaf_view leaf[CXLF_MAX_LEAVES];
    bool inserting[CXLF_INSERT_LOCKS];
    /*
     * For the owner of the fabric, whose list of poison outlives a leaf:
     * cxlf_give_up() tells of each unit that it poisons.  May be NULL.
     */
    void (*on_poison)(void *opaque, enum cxlf_kind kind, uint32_t gfam,
                      uint64_t dpa);
    void *opaque;
};

enum cxlf_result {
    CXLF_OK,
    CXLF_AGAIN,     /* contended: leave, let others run, and retry */
    CXLF_REFUSED,   /* no such line */
    CXLF_CORRUPT,   /* the entry or the pair is not a legal one */
    CXLF_POISONED,  /* what it held was lost with a host: all ones, poison */
    CXLF_WITHHELD,  /* its leaf is not up: retry when it has returned */
    CXLF_BY_PAGE,   /* the page is not tracked by lines: ask for the page */
};

/* Tries of one access before it is CXLF_AGAIN. */
#define CXLF_TRIES 64

extern const char *const cxlf_counter_name[CXLF_COUNTERS];

/* cxlf_leaf_size: bytes of a leaf's segment; a multiple of the page size. */
uint64_t cxlf_leaf_size(const struct cxlf_topology *t);

/* cxlf_leaf_header: what a leaf's segment of this topology begins with. */
struct cxlf_leaf cxlf_leaf_header(const struct cxlf_topology *t,
                                  uint32_t leaf, const uint8_t uuid[16]);

/*
 * cxlf_leaf_format: make a new, zeroed leaf segment one that is up.
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
 * cxlf_access: an event of @host at the line that holds @dpa (bytes) of
 * device @gfam.  Counts what it did.  Any thread; lock-free; at most
 * CXLF_TRIES compare-and-swaps.
 */
enum cxlf_result cxlf_access(struct cxlf_directory *directory, unsigned host,
                             uint32_t gfam, uint64_t dpa,
                             enum cxlf_event event);

/* What an event has done. */
struct cxlf_move {
    struct cxlf_line before, after;
    unsigned actions;           /* enum cxlf_action */
    uint32_t generation;        /* of the entry, after */
    uint64_t snooped;           /* copyset: who was sent a BISnp */
    /* A line that was recalled to make room for this one, if any. */
    bool evicted;
    uint32_t victim_gfam;
    uint64_t victim_dpa;
    struct cxlf_line victim;    /* as it was */
};

/* cxlf_access_move: cxlf_access() that tells what it did. */
enum cxlf_result cxlf_access_move(struct cxlf_directory *directory,
                                  unsigned host, uint32_t gfam, uint64_t dpa,
                                  enum cxlf_event event,
                                  struct cxlf_move *move);

/* cxlf_line_event: one try of it, which may find no way ready: again. */
enum cxlf_result cxlf_line_event(struct cxlf_directory *directory,
                                 unsigned host, uint32_t gfam, uint64_t dpa,
                                 enum cxlf_event event,
                                 struct cxlf_move *move);

/*
 * An event on a line in small steps, each of which does at most one thing
 * that others can see: what cxlf_line_event() is made of.  A host makes the
 * steps of one access after the other, and other hosts anything between.
 * Begins as zero but for the first three fields.
 */
struct cxlf_line_access {
    uint32_t gfam;
    uint64_t dpa;
    uint8_t event;          /* enum cxlf_event */
    uint8_t phase;          /* enum cxlf_line_phase */
    uint8_t ticket;         /* cxlf/leaf.h */
    uint8_t way;            /* that is looked at next */
    uint8_t own;            /* CXLF_LINE_VERIFY, _SETTLE: that is claimed */
    uint8_t locked;         /* the set's lock of this process is held */
    uint8_t result;         /* CXLF_LINE_END: enum cxlf_result */
};

enum cxlf_line_phase {
    CXLF_LINE_BEGIN,        /* enter */
    CXLF_LINE_PAGE,         /* tiers: is the page tracked by lines? */
    CXLF_LINE_FIND,         /* look for the tag, way by way */
    CXLF_LINE_USE,          /* it is in a way: raise the event there */
    CXLF_LINE_CLAIM,        /* it is in none: claim one, or make room */
    CXLF_LINE_VERIFY,       /* claimed: look for others with the tag */
    CXLF_LINE_SETTLE,       /* from N to what the event makes of I */
    CXLF_LINE_SPARE,        /* leave the next one a way that is free */
    CXLF_LINE_END,          /* leave */
};

/* cxlf_line_step: true while there is more to do. */
bool cxlf_line_step(struct cxlf_directory *directory, unsigned host,
                    struct cxlf_line_access *access, struct cxlf_move *move);

/*
 * cxlf_page_event: an event of @host at the page that holds @dpa.  Whoever
 * raises a request posts the snoops of @move (cxlf/agent.h).  With
 * CXLF_A_LINES in @move the page is tracked by lines.  Like cxlf_access() in
 * all else.
 */
enum cxlf_result cxlf_page_event(struct cxlf_directory *directory,
                                 unsigned host, uint32_t gfam, uint64_t dpa,
                                 enum cxlf_event event,
                                 struct cxlf_move *move);

/*
 * cxlf_peek: a unit as its entry has it, or as it is without one.  False if
 * there is no such unit, or its entry is corrupted.
 */
bool cxlf_peek(struct cxlf_directory *directory, enum cxlf_kind kind,
               uint32_t gfam, uint64_t dpa, struct cxlf_line *line);

/* cxlf_can_promote: whether a page can be tracked by lines at all. */
bool cxlf_can_promote(const struct cxlf_directory *directory, uint32_t gfam,
                      uint64_t dpa);

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
 * (CXLF_EVICT for the host itself, CXLF_DEATH or CXLF_LOSS, as policy says
 * of what it has modified, for the owner of the fabric).
 * For the latter two the host must be dead or fenced.  Returns how many
 * units it held; *@modified (may be NULL) how many of them it had modified.
 * Its transactions and insertions are ended, too, and for a dead host the
 * accesses that were under way.
 */
uint64_t cxlf_give_up(struct cxlf_directory *directory, unsigned host,
                      enum cxlf_event event, uint64_t *modified);

/*
 * cxlf_give_up_range: what @host itself has of whole pages of a device, by
 * CXLF_EVICT; @dpa and @size in bytes.
 */
uint64_t cxlf_give_up_range(struct cxlf_directory *directory, unsigned host,
                            uint32_t gfam, uint64_t dpa, uint64_t size);

/*
 * cxlf_each_held: call @fn for each page that @host has by its entry, shared
 * or owned: not for pages in transactions, which it may have lost already, and
 * not where the entry names groups of hosts.  Entries of leaves that are not
 * up say nothing.  Any thread; what changes meanwhile is found or not.
 */
typedef void cxlf_held_fn(void *opaque, uint32_t gfam, uint64_t dpa,
                          enum cxlf_held held);
void cxlf_each_held(const struct cxlf_directory *directory, unsigned host,
                    cxlf_held_fn *fn, void *opaque);

/*
 * cxlf_forget_range: return the entries of @leaf for @length bytes of device
 * @gfam from @dpa on to what they are in a new fabric: nobody's, not poisoned,
 * not corrupted.  For the owner of the fabric, while no host uses or may use
 * these bytes; others go on in the same leaf.  Returns how many entries had
 * something in them.
 */
uint64_t cxlf_forget_range(struct cxlf_directory *directory, uint32_t leaf,
                           uint32_t gfam, uint64_t dpa, uint64_t length);

#endif /* CXLF_DIRECTORY_H */
