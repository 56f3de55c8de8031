/*
 * DPU Edge Coherence Agent: how long, how much, and which class
 *
 * What the agent's thread decides by what it has seen: none of it matters
 * to correctness.  docs/page-ownership.md.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_POLICY_H
#define HW_DPU_ECA_POLICY_H

#include "eca-pages.h"

/* Times are microseconds of any clock that only grows. */

/* eca_policy_granted: the page has been mapped. */
void eca_policy_granted(ECAPage *page, int64_t now_us);

/* eca_policy_hold_left: how long it is kept from other hosts yet; or 0. */
int64_t eca_policy_hold_left(const ECAPage *page, int64_t now_us);

/*
 * eca_policy_lost: another host has taken the page.  Returns whether that
 * has happened @often times within 100 ms; 0 is never.
 */
bool eca_policy_lost(ECAPage *page, int64_t now_us, uint32_t often);

/*
 * Sequences of faults, each of which asks for more at once.  The last page of
 * a block is not mapped with the others, so that its fault, which needs no
 * messages, tells that the block was used up.
 */
#define ECA_STREAMS 8

typedef struct ECAStream {
    uint32_t gfam;
    uint64_t dpa, next;     /* of the last block, and behind it */
    bool used_up;           /* its last page was wanted */
    unsigned order;
    unsigned used;          /* when, in faults */
} ECAStream;

typedef struct ECAStreams {
    ECAStream stream[ECA_STREAMS];
    unsigned faults;
} ECAStreams;

/*
 * eca_streams_fault: of which order the block at a fault should be.
 * *@learned: of the blocks that have been used up in these 2 MiB.
 */
unsigned eca_streams_fault(ECAStreams *s, uint32_t gfam, uint64_t dpa,
                           unsigned min, unsigned max, uint8_t *learned);

/*
 * eca_streams_lost: a page was taken back; if its block was not used up, it
 * was too large.
 */
void eca_streams_lost(ECAStreams *s, uint32_t gfam, uint64_t dpa,
                      unsigned min, uint8_t *learned);

#endif /* HW_DPU_ECA_POLICY_H */
