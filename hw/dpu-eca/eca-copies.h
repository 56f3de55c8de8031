/*
 * DPU Edge Coherence Agent: private copies of a device's BULK
 *
 * What a host without hardware coherence has: copies that are made at the
 * first touch, written back by a flush and dropped by an invalidate, and a
 * detector of conflicts (docs/software-coherence.md).  It knows no device
 * and no fabric.  All functions are called by one thread, the one that reads
 * the faults; offsets and lengths are bytes of the BULK.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_COPIES_H
#define HW_DPU_ECA_COPIES_H

#include "cxlf/copies.h"
#include "eca-uffd.h"

typedef enum ECAConflictKind {
    ECA_CONFLICT_STALE,         /* used, after another host wrote it back */
    ECA_CONFLICT_WRITE_WRITE,   /* two hosts wrote it */
    ECA_CONFLICT_LOST,          /* dropped and never flushed */
    ECA_CONFLICT_UNFLUSHED,     /* another host copied the old value in */
    ECA_CONFLICT_OVERLAP,       /* a notice: another host wrote it back */
    ECA_CONFLICTS
} ECAConflictKind;

typedef enum ECACopyOperation {
    ECA_COPY_LOAD,
    ECA_COPY_STORE,
    ECA_COPY_FLUSH,
    ECA_COPY_INVALIDATE,
    ECA_COPY_AUDIT,
} ECACopyOperation;

typedef struct ECAConflict {
    ECAConflictKind kind;
    ECACopyOperation operation;
    unsigned host;
    int other;                  /* -1: none */
    uint64_t offset;            /* of the line */
} ECAConflict;

typedef struct ECACopiesIO {
    void *opaque;
    void (*conflict)(void *opaque, const ECAConflict *conflict);
    void (*count)(void *opaque, enum cxlf_counter counter, uint64_t offset,
                  uint64_t n);
    /* The fabric's record of the page at @offset. */
    struct cxlf_copy_page *(*record)(void *opaque, uint64_t offset);
    /* Where it is counted what others want of @host. */
    uint32_t *(*wants)(void *opaque, unsigned host);
    /* What the host sees there changes without a store of its own. */
    void (*changed)(void *opaque, uint64_t offset, uint64_t size);
    /* A clock, in microseconds. */
    int64_t (*now_us)(void *opaque);
    /* How long a thread has run in all, in nanoseconds; -1: nobody knows. */
    int64_t (*thread_ns)(void *opaque, uint32_t thread);
} ECACopiesIO;

typedef struct ECACopies ECACopies;

/*
 * eca_copies_new: let @front, a registered mapping of @size bytes that has
 * no page, show private copies from now on.  @home: the device's BULK, all
 * of it; @flushes: how often hosts have flushed some of it.
 * Returns NULL with @errp set, and then @front is as it was.
 */
ECACopies *eca_copies_new(ECAUffd *uffd, void *front, void *home,
                          uint64_t size, unsigned host, uint64_t *flushes,
                          const ECACopiesIO *io, Error **errp);

/*
 * eca_copies_free: drop all copies.  The front stays as a mapping of memory
 * that nobody else sees: put another in its place with eca_uffd_show().
 */
void eca_copies_free(ECACopies *c);

/*
 * eca_copies_fault: serve a fault of the front.
 * Returns 0; or -errno, when the access cannot be made (no memory).
 */
int eca_copies_fault(ECACopies *c, const ECAFault *fault);

/*
 * eca_copies_command: flush, invalidate or both, with no store in between,
 * all lines that the range touches; it takes as long as @length says.
 * Returns how many lines were written back.
 */
uint32_t eca_copies_command(ECACopies *c, uint64_t offset, uint64_t length,
                            bool flush, bool invalidate);

/*
 * eca_copies_drain: write up to @budget copies back and drop them; true when
 * none is left.
 */
bool eca_copies_drain(ECACopies *c, unsigned budget);

/*
 * eca_copies_drop: drop the copies of a range of whole pages, or all, and
 * lose what is dirty.
 */
void eca_copies_drop(ECACopies *c, uint64_t offset, uint64_t size);
void eca_copies_drop_all(ECACopies *c);

/*
 * eca_copies_tick: a bounded piece of the audit.  Returns in how many
 * microseconds it is due again, or -1: not before there is a copy.
 */
int64_t eca_copies_tick(ECACopies *c);

#endif /* HW_DPU_ECA_COPIES_H */
