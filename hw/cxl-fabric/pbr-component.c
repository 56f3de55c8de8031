/*
 * PBR switch ports: component registers
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "pbr-component.h"

#define DECODER_STRIDE (A_CXL_HDM_DECODER1_CTRL - A_CXL_HDM_DECODER0_CTRL)
#define CONTROL_BI     (1u << 13)

static uint32_t get(const CXLComponentState *cstate, hwaddr offset)
{
    return (uint32_t)ldl_le_p((uint8_t *)cstate->crb.cache_mem_registers +
                              offset);
}

static void put(CXLComponentState *cstate, hwaddr offset, uint32_t value,
                uint32_t writable)
{
    stl_le_p((uint8_t *)cstate->crb.cache_mem_registers + offset, value);
    stl_le_p((uint8_t *)cstate->crb.cache_mem_regs_write_mask + offset,
             writable);
}

CXLComponentState *pbr_component(PCIDevice *dev)
{
    MemoryRegion *mr = dev->io_regions[CXL_COMPONENT_REG_BAR_IDX].memory;
    ComponentRegisters *crb = container_of(mr, ComponentRegisters,
                                           component_registers);

    return container_of(crb, CXLComponentState, crb);
}

void pbr_add_bi_capability(CXLComponentState *cstate, uint16_t id)
{
    uint32_t *mask = cstate->crb.cache_mem_regs_write_mask;
    uint32_t header = get(cstate, A_CXL_CAPABILITY_HEADER);
    uint32_t count = FIELD_EX32(header, CXL_CAPABILITY_HEADER, ARRAY_SIZE);
    hwaddr at = id == PBR_CAP_BI_ROUTE_TABLE ? PBR_BI_ROUTE_TABLE
                                             : PBR_BI_DECODER;

    count++;
    put(cstate, A_CXL_CAPABILITY_HEADER,
        FIELD_DP32(header, CXL_CAPABILITY_HEADER, ARRAY_SIZE, count), 0);
    /* ID, version 1, offset: the form of every capability header */
    put(cstate, 4 * count, id | 1u << 16 | (uint32_t)at << 20, 0);
    /* Nothing here needs an explicit commit, so status says committed. */
    put(cstate, at, 0, 0);
    put(cstate, at + 4, 0, id == PBR_CAP_BI_ROUTE_TABLE ? 0x1 : 0x7);
    put(cstate, at + 8, 1, 0);

    for (unsigned i = 0; i < CXL_HDM_DECODER_COUNT; i++) {
        unsigned control = (A_CXL_HDM_DECODER0_CTRL + i * DECODER_STRIDE) / 4;

        if (mask[control]) {
            mask[control] |= CONTROL_BI;
        }
    }
}

void pbr_decoder_read(const CXLComponentState *cstate, unsigned which,
                      PBRDecoder *d)
{
    hwaddr at = which * DECODER_STRIDE;

    d->base = (get(cstate, A_CXL_HDM_DECODER0_BASE_LO + at) & 0xf0000000u) |
              (uint64_t)get(cstate, A_CXL_HDM_DECODER0_BASE_HI + at) << 32;
    d->size = (get(cstate, A_CXL_HDM_DECODER0_SIZE_LO + at) & 0xf0000000u) |
              (uint64_t)get(cstate, A_CXL_HDM_DECODER0_SIZE_HI + at) << 32;
    d->skip = (get(cstate, A_CXL_HDM_DECODER0_DPA_SKIP_LO + at) &
               0xf0000000u) |
              (uint64_t)get(cstate, A_CXL_HDM_DECODER0_DPA_SKIP_HI + at) << 32;
    d->target = get(cstate, A_CXL_HDM_DECODER0_TARGET_LIST_LO + at) & 0xff;
    d->control = get(cstate, A_CXL_HDM_DECODER0_CTRL + at);
}

bool pbr_decoder_committed(const PBRDecoder *d)
{
    return FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, COMMITTED);
}

uint8_t pbr_decoder_ways(const PBRDecoder *d)
{
    return FIELD_EX32(d->control, CXL_HDM_DECODER0_CTRL, IW);
}

int pbr_decoder_control(hwaddr offset)
{
    hwaddr from_first = offset - A_CXL_HDM_DECODER0_CTRL;

    if (offset < A_CXL_HDM_DECODER0_CTRL || from_first % DECODER_STRIDE ||
        from_first / DECODER_STRIDE >= CXL_HDM_DECODER_COUNT) {
        return -1;
    }
    return from_first / DECODER_STRIDE;
}
