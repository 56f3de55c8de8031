/*
 * DPU Edge Coherence Agent: commands on a range of pages or lines
 *
 * What a guest asks of its agent by registers or queues
 * (docs/specs/dpu-eca.rst).  The agent's thread makes the steps, and never
 * waits in one: a page that another host must give up first is looked at
 * again in the next round.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_RANGE_H
#define HW_DPU_ECA_RANGE_H

#include "qemu/queue.h"
#include "cxlf/abi.h"
#include "cxlf/mailbox.h"

typedef struct ECAPager ECAPager;

#define ECA_RANGE_PAGES (1u << CXLF_MAX_ORDER)
#define ECA_RANGE_SIZE  (ECA_RANGE_PAGES * CXLF_PAGE)

typedef struct ECARange {
    /* Set by who starts it, while it is not under way. */
    uint32_t command;       /* ECA_COPY_* or ECA_PAGES_* of eca-regs.h */
    uint32_t gfam;
    uint64_t dpa;           /* of the first page; of the first byte */
    uint64_t length;        /* bytes; not more than ECA_RANGE_SIZE */
    /* Called at its end by the agent's thread, which must not be kept. */
    void (*ended)(void *opaque);
    void *opaque;
    /* The agent's thread. */
    bool active;
    unsigned pages;
    QTAILQ_ENTRY(ECARange) next;
    uint8_t tries[ECA_RANGE_PAGES];
    uint8_t state[ECA_RANGE_PAGES];
    /* Any thread, atomically; @done is set before @status. */
    uint32_t status;        /* ECA_COPY_* of eca-regs.h */
    uint32_t done;          /* pages as they should be; lines flushed */
} ECARange;

/*
 * eca_range_start: check it, which may be the end of it, and make what can
 * be made at once.
 */
void eca_range_start(ECARange *r, ECAPager *p);

/* eca_range_step: one round, if it is under way. */
void eca_range_step(ECARange *r, ECAPager *p);

/* eca_range_end: with this status, if it is under way. */
void eca_range_end(ECARange *r, ECAPager *p, uint32_t status);

#endif /* HW_DPU_ECA_RANGE_H */
