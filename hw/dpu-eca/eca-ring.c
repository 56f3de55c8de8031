/*
 * DPU Edge Coherence Agent: rings in guest memory
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/rcu.h"
#include "hw/pci/msix.h"
#include "eca-internal.h"
#include "eca-regs.h"
#include "eca-ring.h"

static bool dma(ECAState *s, uint64_t at, void *buffer, uint64_t size,
                DMADirection direction)
{
    const MemTxAttrs memory = { .memory = true };

    return at <= UINT64_MAX - size &&
           pci_dma_rw(&s->parent_obj, at, buffer, size, direction,
                      memory) == MEMTX_OK;
}

bool eca_dma_read(ECAState *s, uint64_t at, void *to, uint64_t size)
{
    return dma(s, at, to, size, DMA_DIRECTION_TO_DEVICE);
}

bool eca_dma_write(ECAState *s, uint64_t at, const void *from, uint64_t size)
{
    return dma(s, at, (void *)from, size, DMA_DIRECTION_FROM_DEVICE);
}

static bool is_in_front(ECAState *s, const uint8_t *at)
{
    const struct cxlf_topology *t =
        &cxl_fabric_directory(s->fabric)->topology;

    for (uint32_t i = 0; i < t->gfams; i++) {
        const uint8_t *front = s->front[i];

        if (front && at >= front &&
            at < front + t->gfam[i].hot + t->gfam[i].bulk) {
            return true;
        }
    }
    return false;
}

bool eca_is_plain(ECAState *s, uint64_t at, uint64_t size)
{
    AddressSpace *as = pci_get_address_space(&s->parent_obj);
    hwaddr offset, length = size;
    MemoryRegion *mr;

    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(as, at, &offset, &length, true,
                                 MEMTXATTRS_UNSPECIFIED);
    return length == size && memory_region_is_ram(mr) &&
           !is_in_front(s, (uint8_t *)memory_region_get_ram_ptr(mr) + offset);
}

void eca_raise(ECAState *s, unsigned vector)
{
    if (msix_enabled(&s->parent_obj)) {
        msix_notify(&s->parent_obj, vector);
    }
}

bool eca_is_ring(uint64_t base, uint32_t size, unsigned entry_size)
{
    return base % entry_size == 0 && is_power_of_2(size) &&
           size >= ECA_RING_MIN && size <= ECA_RING_MAX;
}

void eca_ring_start(ECARing *r)
{
    r->head = r->tail = 0;
    r->phase = 1;
}

bool eca_ring_has_room(const ECARing *r)
{
    return ((r->tail + 1) & (r->size - 1)) != r->head;
}

bool eca_ring_put(ECARing *r, ECAState *s, uint8_t *entry,
                  unsigned entry_size, unsigned phase)
{
    uint64_t at = r->base + r->tail * (uint64_t)entry_size;

    stw_le_p(entry + phase, r->phase ^ 1);
    if (!eca_dma_write(s, at, entry, entry_size)) {
        return false;
    }
    smp_wmb();      /* the entry before its phase */
    stw_le_p(entry + phase, r->phase);
    if (!eca_dma_write(s, at + phase, entry + phase, 2)) {
        return false;
    }
    r->tail = (r->tail + 1) & (r->size - 1);
    r->phase ^= !r->tail;
    return true;
}

uint32_t eca_ring_take(ECARing *r, uint32_t head)
{
    uint32_t mask = r->size - 1;

    if (head > mask) {
        return ECA_QUEUE_WHY_INDEX;
    }
    if (((head - r->head) & mask) > ((r->tail - r->head) & mask)) {
        return ECA_QUEUE_WHY_TAKEN;
    }
    r->head = head;
    return 0;
}
