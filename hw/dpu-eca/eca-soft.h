/*
 * DPU Edge Coherence Agent: BULK that is coherent by software
 *
 * The private copies of all of a host's devices, the host's part in changes
 * of the mode, and the reports of conflicts (docs/software-coherence.md).
 * All functions but those that say otherwise are called by the agent's
 * thread; none of them waits.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_SOFT_H
#define HW_DPU_ECA_SOFT_H

#include "hw/cxlf/fabric.h"
#include "eca-uffd.h"

typedef struct ECASoft ECASoft;

/* What the pager does for it. */
typedef struct ECASoftIO {
    void *opaque;
    /* Give up pages of the device's BULK; whether none is held any more. */
    bool (*give_up)(void *opaque, uint32_t gfam);
    /* The front of its BULK shows something else from now on. */
    void (*switched)(void *opaque, uint32_t gfam);
    /* What vCPUs see there changes without a store of theirs. */
    void (*changed)(void *opaque, uint32_t gfam, uint64_t dpa, uint64_t size);
    /* A conflict was found. */
    void (*conflict)(void *opaque, const CXLFabricConflict *conflict);
} ECASoftIO;

typedef enum ECASoftFault {
    ECA_SOFT_NOT,       /* a matter of page ownership */
    ECA_SOFT_SERVED,
    ECA_SOFT_WAITS,     /* until the mode has changed; then it is woken */
    ECA_SOFT_FAILED,    /* no memory */
} ECASoftFault;

/* eca_soft_new: before the agent's thread runs.  BQL. */
ECASoft *eca_soft_new(CXLFabric *fabric, uint32_t host, ECAUffd *uffd,
                      const ECASoftIO *io);

/* eca_soft_free: after the agent's thread has ended.  BQL. */
void eca_soft_free(ECASoft *s);

/*
 * eca_soft_attach: a device's front and back, HOT and then BULK, registered
 * and mapped from @fd; once.  Any thread.
 */
void eca_soft_attach(ECASoft *s, uint32_t gfam, void *front, void *back,
                     int fd);

/*
 * eca_soft_is_on: whether accesses to the device's BULK are not a matter of
 * page ownership now.  Any thread.
 */
bool eca_soft_is_on(ECASoft *s, uint32_t gfam);

/* eca_soft_fault: a fault at @dpa of the front. */
ECASoftFault eca_soft_fault(ECASoft *s, uint32_t gfam, uint64_t dpa,
                            const ECAFault *fault);

/*
 * eca_soft_step: the audit, and changes of the mode.  Returns in how many
 * microseconds there is something to do again, or -1: after a doorbell.
 */
int64_t eca_soft_step(ECASoft *s);

/* eca_soft_drop_all: lose all copies, as a reset does. */
void eca_soft_drop_all(ECASoft *s);

/* eca_soft_drop: lose those of a range of whole pages. */
void eca_soft_drop(ECASoft *s, uint32_t gfam, uint64_t dpa, uint64_t size);

/*
 * eca_soft_command: flush, invalidate or both; the range is checked already.
 * Returns how many lines were written back.
 */
uint32_t eca_soft_command(ECASoft *s, uint32_t gfam, uint64_t dpa,
                          uint64_t length, bool flush, bool invalidate);

#endif /* HW_DPU_ECA_SOFT_H */
