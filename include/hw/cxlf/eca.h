/*
 * DPU Edge Coherence Agent: accesses of this host to the fabric
 *
 * Every trapped access of a GFAM endpoint comes here: the agent asks the
 * line's home for the permission, and then makes one real access of the same
 * size to the shared memory.  docs/architecture.md, "The HOT path".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXLF_ECA_H
#define HW_CXLF_ECA_H

#include "exec/hwaddr.h"
#include "exec/memattrs.h"
#include "qom/object.h"
#include "hw/cxlf/fabric.h"

#define TYPE_DPU_ECA "dpu-eca"
OBJECT_DECLARE_SIMPLE_TYPE(ECAState, DPU_ECA)

/* eca_fabric: the fabric that the agent belongs to, once realized. */
CXLFabric *eca_fabric(ECAState *s);

/*
 * eca_attach_gfam: from now on this host may use @size bytes from @dpa on of
 * device @gfam: all of it (@ld is 0), or logical device @ld of it, whole
 * pages.  BQL.
 * eca_detach_gfam: no longer.  Windows show nothing of it any more.  What
 * this host holds of it is given up and out of reach when this returns;
 * accesses that are still under way fail.  Waits for no vCPU.  BQL.
 */
bool eca_attach_gfam(ECAState *s, uint32_t gfam, uint32_t ld, uint64_t dpa,
                     uint64_t size, Error **errp);
void eca_detach_gfam(ECAState *s, uint32_t gfam, uint32_t ld);

/*
 * eca_attach_extent, eca_detach_extent: the same for an extent of dynamic
 * capacity of a device that is attached; a window may have shown it before.
 * ECA_EXTENTS of each device; false if there are so many.  BQL.
 */
#define ECA_EXTENTS 128

bool eca_attach_extent(ECAState *s, uint32_t gfam, uint64_t dpa,
                       uint64_t size);
void eca_detach_extent(ECAState *s, uint32_t gfam, uint64_t dpa);

/*
 * eca_show: what vCPUs and devices see of a device's memory, page by page,
 * for windows to be aliases of; offsets are the device's DPA.  It stays, for
 * whoever holds a translation to it, while the agent does.  NULL with
 * ownership=off, or before the first eca_attach_gfam().  BQL.
 */
MemoryRegion *eca_show(ECAState *s, uint32_t gfam);

/*
 * eca_window: where in this host's physical memory a DPA range of a device
 * is, so that a failed access can be reported by its address.  @window: the
 * endpoint's own name for it.  @size 0: it is gone.  BQL.
 */
void eca_window(ECAState *s, uint32_t gfam, const void *window, uint64_t dpa,
                hwaddr hpa, uint64_t size);

/* eca_add_recovery_notifier: called after holdings were recovered.  BQL. */
void eca_add_recovery_notifier(ECAState *s, Notifier *n);

/*
 * eca_read, eca_write: one access of @size bytes (1 to 8) at @dpa of @gfam.
 *
 * BQL held.  Never waits.  In a vCPU's own access a contended line, or a
 * locked read-modify-write that lost a race, does not return: the
 * instruction is restarted.  What cannot be granted reads as all ones and
 * returns MEMTX_ERROR.
 */
MemTxResult eca_read(ECAState *s, uint32_t gfam, uint64_t dpa, uint64_t *data,
                     unsigned size, MemTxAttrs attrs);
MemTxResult eca_write(ECAState *s, uint32_t gfam, uint64_t dpa, uint64_t data,
                      unsigned size, MemTxAttrs attrs);

/* eca_refuse: count an access that found no committed path.  BQL. */
void eca_refuse(ECAState *s, uint32_t gfam, uint64_t dpa);

/*
 * eca_clear_poison: Clear Poison of the unit of @kind that holds @dpa.  BQL.
 */
bool eca_clear_poison(ECAState *s, enum cxlf_kind kind, uint32_t gfam,
                      uint64_t dpa);

/* Hotness: docs/specs/chmu.md */

/* Units that can be counted in one epoch. */
#define ECA_HOT_COUNTERS 16384

typedef struct ECAHotConfig {
    unsigned unit_shift;        /* log2 of a unit's bytes */
    unsigned sampling;          /* one event in 2^n is counted */
    bool random;                /* not each 2^n-th one, but that many */
    bool reads, writes;
    uint32_t max_count;         /* where counters stay */
    /* A bit for each 256 MiB, or NULL; the caller's, until eca_hot_stop(). */
    const uint64_t *ranges;
    uint64_t start;             /* DPA of the first unit, and of @ranges */
} ECAHotConfig;

/*
 * eca_hot_start: count in logical device @ld of @gfam (0: it has none) from
 * now on, and from 0.  BQL.
 */
void eca_hot_start(ECAState *s, uint32_t gfam, uint32_t ld,
                   const ECAHotConfig *config);
void eca_hot_stop(ECAState *s, uint32_t gfam, uint32_t ld);

/* A unit (its number) that was hot; called under a lock: only note it. */
typedef void ECAHotUnit(void *opaque, uint64_t unit, uint32_t count);

/*
 * eca_hot_epoch: end an epoch.  Calls @unit for each unit that counted
 * @threshold or more, and begins from 0 again.  BQL.
 */
void eca_hot_epoch(ECAState *s, uint32_t gfam, uint32_t ld,
                   uint32_t threshold, ECAHotUnit *unit, void *opaque);

#endif /* HW_CXLF_ECA_H */
