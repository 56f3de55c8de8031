/*
 * DPU Edge Coherence Agent: vCPUs that sleep in a fault, and are wanted
 *
 * A vCPU that sleeps in a page fault on a front mapping cannot answer `stop`,
 * reset or quit.  Parking has it leave the access with its instruction
 * undone; see docs/page-ownership.md, "Parking".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_PARK_H
#define HW_DPU_ECA_PARK_H

#include "hw/core/cpu.h"

/*
 * eca_park_init: install the signal's handler, and let the signal through to
 * the vCPUs there are.  Once for the process; may be called again.  BQL.
 */
bool eca_park_init(Error **errp);

/*
 * eca_park_front: a front mapping of this process.  Only accesses to one are
 * ever undone.  @size: 0 forgets it.  BQL.
 */
void eca_park_front(const void *front, uint64_t size);

/*
 * eca_park_wanted: whether someone waits for this vCPU to leave its loop:
 * `stop`, a reset, the end of the process, or other work for it.  Any thread.
 */
bool eca_park_wanted(CPUState *cpu);

/*
 * eca_park: have a vCPU that sleeps in a fault on a front mapping leave its
 * access with the instruction undone.  Any thread but its own; returns at
 * once.  Harmless at any other moment, and where the access cannot be undone:
 * then the vCPU goes on waiting.
 */
void eca_park(CPUState *cpu);

#endif /* HW_DPU_ECA_PARK_H */
