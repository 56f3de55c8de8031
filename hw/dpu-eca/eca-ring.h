/*
 * DPU Edge Coherence Agent: rings in guest memory
 *
 * What the queues (eca-queue.c) and the events (eca-events.c) have in common:
 * DMA, and rings that the agent fills and the guest empties.  All functions
 * are called with the BQL held.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_RING_H
#define HW_DPU_ECA_RING_H

#include "hw/cxlf/eca.h"

/*
 * eca_dma_read, eca_dma_write: memory of the guest, as the function can reach
 * it; registers of no device.  False if some of it is not.
 */
bool eca_dma_read(ECAState *s, uint64_t at, void *to, uint64_t size);
bool eca_dma_write(ECAState *s, uint64_t at, const void *from, uint64_t size);

/*
 * eca_is_plain: whether these bytes are the guest's own RAM, so that no other
 * host has to be waited for to reach them.
 */
bool eca_is_plain(ECAState *s, uint64_t at, uint64_t size);

/* eca_raise: the vector's interrupt, if the guest has enabled MSI-X. */
void eca_raise(ECAState *s, unsigned vector);

/* A ring that the agent fills. */
typedef struct ECARing {
    uint64_t base;
    uint32_t size;          /* entries; a power of two */
    uint32_t head;          /* the first that the guest has not taken */
    uint32_t tail;          /* the first that is not written */
    uint16_t phase;         /* of the next entry */
} ECARing;

/* eca_is_ring: whether a ring of such entries can be. */
bool eca_is_ring(uint64_t base, uint32_t size, unsigned entry_size);

/* eca_ring_start: it is empty. */
void eca_ring_start(ECARing *r);

bool eca_ring_has_room(const ECARing *r);

/*
 * eca_ring_put: write an entry, whose phase is 16 bits at @phase; there must
 * be room.  False if the ring is not in memory.
 */
bool eca_ring_put(ECARing *r, ECAState *s, uint8_t *entry,
                  unsigned entry_size, unsigned phase);

/*
 * eca_ring_take: the guest sets the head.  Returns 0, or why it must not, as
 * ECA_QUEUE_WHY_* of eca-regs.h.
 */
uint32_t eca_ring_take(ECARing *r, uint32_t head);

#endif /* HW_DPU_ECA_RING_H */
