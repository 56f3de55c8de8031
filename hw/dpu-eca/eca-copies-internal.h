/*
 * DPU Edge Coherence Agent: private copies, what its two files share
 *
 * eca-copies.c has the copies and what is done with them, eca-conflicts.c
 * finds what is done wrong.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_COPIES_INTERNAL_H
#define HW_DPU_ECA_COPIES_INTERNAL_H

#include "qemu/atomic.h"
#include "qemu/queue.h"
#include "eca-copies.h"

#define ECA_COPY_WORDS  (CXLF_LINE / 8)
#define ECA_COPY_ALL    UINT64_MAX      /* lines of a page */

/* A page that this host has a copy of. */
typedef struct ECACopy {
    uint64_t page;
    struct cxlf_copy_page *record;
    uint8_t *twin;              /* NULL: the copy is as it was copied in */
    bool mapped;                /* the front shows it */
    uint64_t flushes;           /* of the page's record, when looked at */
    uint64_t stale;             /* lines that others wrote back since */
    uint64_t invalid;           /* lines to be copied in at the next fault */
    uint64_t told[ECA_CONFLICTS];   /* lines, in their epochs */
    int64_t watch_us;           /* not before */
    int64_t pause_us;           /* until it is watched again */
    uint32_t seen[CXLF_LINES_PER_PAGE];     /* records, as copied in */
    uint32_t want;              /* of another host, when looked at */
    uint64_t owed;              /* lines that were dirty then, and still are */
    int64_t owed_us;            /* when that is an error */
    int reader;
    uint32_t served;            /* the thread whose fault was the last */
    unsigned served_line;
    int64_t served_ns;          /* of that thread's own time */
    int64_t served_us;
    QTAILQ_ENTRY(ECACopy) next;
    QTAILQ_ENTRY(ECACopy) next_debtor;
    QTAILQ_ENTRY(ECACopy) next_suspect;
} ECACopy;

struct ECACopies {
    ECAUffd *uffd;
    uint8_t *front, *home, *cache;
    uint64_t size;
    int fd;                     /* of the cache */
    unsigned host;
    uint64_t *flushes;          /* of all hosts */
    const ECACopiesIO *io;
    GHashTable *table;
    QTAILQ_HEAD(, ECACopy) copies;      /* in the order of the audit */
    QTAILQ_HEAD(, ECACopy) suspects;    /* with stale lines, not used yet */
    QTAILQ_HEAD(, ECACopy) debtors;     /* that owe lines; the oldest first */
    uint32_t *wants;            /* of this host */
    uint32_t wants_seen;
    uint64_t audited;           /* *flushes, when the audit began */
    unsigned left;              /* copies that it has to look at */
    int64_t due_us;
};

static inline int64_t eca_copy_now_us(ECACopies *c)
{
    return c->io->now_us(c->io->opaque);
}

static inline void eca_copy_count(ECACopies *c, enum cxlf_counter counter,
                                  uint64_t page, uint64_t n)
{
    c->io->count(c->io->opaque, counter, page * CXLF_PAGE, n);
}

/* Lines are moved whole, word by word. */

static inline uint64_t *eca_copy_line(void *page, unsigned line)
{
    return (uint64_t *)((uint8_t *)page + line * CXLF_LINE);
}

static inline uint8_t *eca_copy_cached(ECACopies *c, const ECACopy *copy)
{
    return c->cache + copy->page * CXLF_PAGE;
}

/* The home's content when the copy was made, as far as this host knows. */
static inline uint8_t *eca_copy_base(ECACopies *c, const ECACopy *copy)
{
    return copy->twin ? copy->twin : eca_copy_cached(c, copy);
}

static inline void eca_copy_load(const uint64_t *from, uint64_t *to)
{
    for (unsigned i = 0; i < ECA_COPY_WORDS; i++) {
        to[i] = qatomic_read(&from[i]);
    }
}

static inline void eca_copy_store(uint64_t *to, const uint64_t *from)
{
    for (unsigned i = 0; i < ECA_COPY_WORDS; i++) {
        qatomic_set(&to[i], from[i]);
    }
}

static inline bool eca_copy_same(const uint64_t *a, const uint64_t *b)
{
    return !memcmp(a, b, CXLF_LINE);
}

static inline int eca_copy_writer(uint32_t record)
{
    return (int)CXLF_COPY_WRITER(record) - 1;
}

/* eca-copies.c */

/*
 * eca_copy_load_cached: a line of a copy, while vCPUs may store to it.
 * False if it may be of several moments, because they store all the time.
 */
bool eca_copy_load_cached(const uint64_t *from, uint64_t *to);

/* eca_copy_load_home: a line of the home; returns its record. */
uint32_t eca_copy_load_home(ECACopies *c, const ECACopy *copy, unsigned line,
                            uint64_t *to);

/* eca_copy_was_used: whether the access that was served last was made. */
bool eca_copy_was_used(ECACopies *c, const ECACopy *copy);

/* eca_copy_hide: the next access to the copy faults. */
void eca_copy_hide(ECACopies *c, ECACopy *copy);

/* eca-conflicts.c */

/* eca_copy_report: once for each line, kind and epoch. */
void eca_copy_report(ECACopies *c, ECACopy *copy, unsigned line,
                     ECAConflictKind kind, ECACopyOperation operation,
                     int other);

/* eca_copy_look: which lines have others written back since? */
void eca_copy_look(ECACopies *c, ECACopy *copy);

/* eca_copy_note: after a change of what is stale, or told. */
void eca_copy_note(ECACopies *c, ECACopy *copy);

/* eca_copy_want: tell who has written to the page that a line is copied in. */
void eca_copy_want(ECACopies *c, ECACopy *copy, unsigned line);

/* eca_copy_is_dirty: whether a line of a copy with a twin is. */
bool eca_copy_is_dirty(ECACopies *c, ECACopy *copy, unsigned line);

/* eca_copy_settle: these lines are owed to nobody any more. */
void eca_copy_settle(ECACopies *c, ECACopy *copy, uint64_t lines);

/* eca_copy_announce: other hosts look at their copies after this. */
void eca_copy_announce(ECACopies *c);

#endif /* HW_DPU_ECA_COPIES_INTERNAL_H */
