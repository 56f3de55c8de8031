/*
 * DPU Edge Coherence Agent: how often units of memory are used
 *
 * Counters of one device, behind its CHMU: docs/specs/chmu.md says what is
 * counted.  Trapped accesses are counted by their threads, what happens to
 * mapped pages by the agent's.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_HOT_H
#define HW_DPU_ECA_HOT_H

#include "eca-internal.h"

ECAHot *eca_hot_new(void);
void eca_hot_free(ECAHot *hot);

/* eca_hot_count: one event at @dpa; see eca_hot_event(). */
void eca_hot_count(ECAState *s, uint32_t gfam, uint64_t dpa, bool write);

/* eca_hot_event: the same, at the cost of a branch if nothing counts. */
static inline void eca_hot_event(ECAState *s, uint32_t gfam, uint64_t dpa,
                                 bool write)
{
    if (unlikely(qatomic_read(&s->hot_on))) {
        eca_hot_count(s, gfam, dpa, write);
    }
}

/*
 * eca_hot_touch: a mapped page that was sampled has been used; it is counted
 * whatever the down-sampling.  Any thread.
 */
void eca_hot_touch(ECAState *s, uint32_t gfam, uint64_t dpa, bool write);

/* Queries end by themselves when there was none for so long. */
#define ECA_HOT_QUERY_MS    10000

typedef struct ECAHotLine {
    uint32_t gfam, count;
    uint64_t dpa;
} ECAHotLine;

/*
 * eca_hot_query: append to @lines (of ECAHotLine) what was counted since the
 * last query, the most first, and begin anew; *@missed: events that found no
 * counter.  Returns for how many microseconds that was, 0 for the first.
 * eca_hot_forget: count no more for queries.  BQL.
 */
int64_t eca_hot_query(ECAState *s, GArray *lines, uint64_t *missed);
void eca_hot_forget(ECAState *s);

/* eca_hot_wants: whether something at @dpa would be counted.  Any thread. */
bool eca_hot_wants(ECAState *s, uint32_t gfam, uint64_t dpa);

#endif /* HW_DPU_ECA_HOT_H */
