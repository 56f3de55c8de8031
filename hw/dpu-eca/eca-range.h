/*
 * DPU Edge Coherence Agent: commands on a range of pages
 *
 * What a guest asks of its agent through BAR 0 (docs/specs/dpu-eca.md).  The
 * agent's thread makes the steps, and never waits in one: a page that another
 * host must give up first is looked at again in the next round.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_RANGE_H
#define HW_DPU_ECA_RANGE_H

#include "cxlf/abi.h"
#include "cxlf/mailbox.h"

typedef struct ECAPager ECAPager;

#define ECA_RANGE_PAGES (1u << CXLF_MAX_ORDER)

typedef struct ECARange {
    /* Set under the BQL by who starts it, while it is not under way. */
    uint32_t command;       /* ECA_PAGES_* of eca-regs.h */
    uint32_t gfam;
    uint64_t dpa;           /* of the first page */
    unsigned pages;
    /* The agent's thread. */
    bool active;
    uint8_t tries[ECA_RANGE_PAGES];
    uint8_t state[ECA_RANGE_PAGES];
    /* Any thread, atomically; @done is set before @status. */
    uint32_t status;        /* ECA_COPY_* of eca-regs.h */
    uint32_t done;          /* pages that are as they should be */
} ECARange;

/* eca_range_start: and make what can be made at once. */
void eca_range_start(ECARange *r, ECAPager *p);

/* eca_range_step: one round, if it is under way. */
void eca_range_step(ECARange *r, ECAPager *p);

/* eca_range_end: with this status, if it is under way. */
void eca_range_end(ECARange *r, uint32_t status);

#endif /* HW_DPU_ECA_RANGE_H */
