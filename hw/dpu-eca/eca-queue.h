/*
 * DPU Edge Coherence Agent: queues of commands in guest memory
 *
 * docs/specs/dpu-eca.rst, "Queues".  All functions are called with the BQL
 * held; commands are fetched and completed by the main loop, and pages and
 * lines are worked on by the agent's thread.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_QUEUE_H
#define HW_DPU_ECA_QUEUE_H

#include "exec/hwaddr.h"
#include "hw/cxlf/eca.h"

/* eca_queues_init: when the function is realized; eca_queues_exit: its end. */
void eca_queues_init(ECAState *s);
void eca_queues_exit(ECAState *s);

/* eca_queues_reset: all queues are off, and nothing is under way. */
void eca_queues_reset(ECAState *s);

/* eca_queues_kick: what a queue waits for may have come. */
void eca_queues_kick(ECAState *s);

/*
 * Registers; @offset: from ECA_QUEUE on, a multiple of 8 to read, and of 4 to
 * write 32 bits; false if these cannot be written now.
 */
uint64_t eca_queue_read(ECAState *s, hwaddr offset);
bool eca_queue_write(ECAState *s, hwaddr offset, uint32_t value);

#endif /* HW_DPU_ECA_QUEUE_H */
