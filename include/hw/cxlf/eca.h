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

#include "exec/memattrs.h"
#include "qom/object.h"
#include "hw/cxlf/fabric.h"

#define TYPE_DPU_ECA "dpu-eca"
OBJECT_DECLARE_SIMPLE_TYPE(ECAState, DPU_ECA)

/* eca_fabric: the fabric that the agent belongs to, once realized. */
CXLFabric *eca_fabric(ECAState *s);

/*
 * eca_attach_gfam: the memory of device @gfam, HOT then BULK, as this process
 * has it mapped; must stay mapped until eca_detach_gfam().  BQL.
 */
void eca_attach_gfam(ECAState *s, uint32_t gfam, void *memory);
void eca_detach_gfam(ECAState *s, uint32_t gfam);

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

#endif /* HW_CXLF_ECA_H */
