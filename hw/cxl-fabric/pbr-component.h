/*
 * PBR switch ports: what all CXL components of this project share
 *
 * Component registers: back-invalidate capabilities, and decoders.
 * CXL r3.1 sections 8.2.3 and 8.2.4.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_PBR_COMPONENT_H
#define HW_CXL_FABRIC_PBR_COMPONENT_H

#include "hw/pci/pci_device.h"
#include "hw/cxl/cxl.h"

/* CXL r3.1 Table 8-22: capability IDs */
#define PBR_CAP_BI_ROUTE_TABLE  0x0b
#define PBR_CAP_BI_DECODER      0x0c

/* Where they are in the cache_mem block, behind what QEMU places there. */
#define PBR_BI_ROUTE_TABLE      0xf00
#define PBR_BI_DECODER          0xf10

/*
 * pbr_component: registers of a CXL PCI device; its component BAR must be
 * registered.  BQL.
 */
CXLComponentState *pbr_component(PCIDevice *dev);

/*
 * pbr_add_bi_capability: append a back-invalidate capability and make the
 * decoders' BI bit writable.  Resets wipe both: call after each.
 * @id: PBR_CAP_BI_ROUTE_TABLE or PBR_CAP_BI_DECODER.  BQL.
 */
void pbr_add_bi_capability(CXLComponentState *cstate, uint16_t id);

/* One HDM decoder as the registers have it (CXL r3.1 section 8.2.4.20). */
typedef struct PBRDecoder {
    hwaddr base;
    uint64_t size;
    uint64_t skip;          /* endpoints only */
    uint32_t control;
    uint8_t target;         /* ports only: first of the list */
} PBRDecoder;

void pbr_decoder_read(const CXLComponentState *cstate, unsigned which,
                      PBRDecoder *d);
bool pbr_decoder_committed(const PBRDecoder *d);
uint8_t pbr_decoder_ways(const PBRDecoder *d);     /* encoded: 0 is one way */

/* Which decoder's control register is at @offset, or -1. */
int pbr_decoder_control(hwaddr offset);

#endif /* HW_CXL_FABRIC_PBR_COMPONENT_H */
