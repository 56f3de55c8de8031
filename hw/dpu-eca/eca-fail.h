/*
 * DPU Edge Coherence Agent: accesses that fail, as the guest sees them
 *
 * What cannot be granted any more (poison, a corrupted entry, a fabric that
 * is gone) ends in a machine check with the guest physical address, as on
 * hardware; see docs/page-ownership.md, "Accesses that fail".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_FAIL_H
#define HW_DPU_ECA_FAIL_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"
#include "hw/cxlf/eca.h"

typedef void ECAFailDone(ECAState *s, uint32_t gfam, uint64_t dpa);

/*
 * eca_fail_report: a failed access at @dpa of the vCPU @cpu, or, with NULL,
 * of a device, which is only traced.  Any thread, BQL or not; never waits.
 *
 * The vCPU gets a machine check before its next translated block, unless it
 * has one under way.  Then @done is called, which may be NULL: in the vCPU's
 * thread, or in the main loop without a vCPU, with the BQL held.  The check
 * is precise if the vCPU leaves the access undone (eca_park()); what it
 * makes of an access that goes on is for the caller to say.
 */
void eca_fail_report(ECAState *s, CPUState *cpu, uint32_t gfam, uint64_t dpa,
                     ECAFailDone *done);

/*
 * eca_fail_raise: the same for the access that the vCPU of this thread makes
 * in the callback of a trapped region, with the BQL held.  Does not return if
 * the guest takes machine checks: the instruction is undone, and the check
 * is precise.  If it returns, the access goes on, and reads all ones.
 */
void eca_fail_raise(ECAState *s, uint32_t gfam, uint64_t dpa);

/*
 * eca_fail_is_taken: whether a vCPU would take a machine check now: its guest
 * has enabled them, and none is under way.  Any thread; certain only while
 * the vCPU sleeps in a fault, or in its own thread.
 */
bool eca_fail_is_taken(CPUState *cpu);

/*
 * eca_fail_cpu: the vCPU whose thread has this kernel thread id, or NULL if
 * there is none, or several share the thread.  Any thread known to RCU.
 */
CPUState *eca_fail_cpu(uint32_t thread_id);

/*
 * The part of the target, eca-mce.c: whether @cpu takes a machine check, and
 * its delivery in the vCPU's thread with the BQL held.  False: not delivered.
 */
bool eca_mce_is_taken(CPUState *cpu);
bool eca_mce_deliver(CPUState *cpu, hwaddr hpa);

#endif /* HW_DPU_ECA_FAIL_H */
