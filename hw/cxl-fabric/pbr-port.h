/*
 * PBR switch ports: what upstream and downstream edge ports share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_PBR_PORT_H
#define HW_CXL_FABRIC_PBR_PORT_H

#include "hw/cxl/cxl.h"

#define TYPE_CXL_PBR_UPSTREAM "cxl-pbr-upstream"

/* CXL r3.1 section 8.1.8: DVSEC Flex Bus Port Capability */
#define PBR_FLEXBUS_256B_FLIT   (1u << 13)
#define PBR_FLEXBUS_PBR_FLIT    (1u << 14)

/* The port is capable of 256 B and PBR flits; the host's link uses none. */
static inline void pbr_port_set_flits(CXLComponentState *cstate)
{
    uint8_t *capability = cstate->pdev->config +
        cstate->dvsecs[PCIE_FLEXBUS_PORT_DVSEC].lob +
        offsetof(CXLDVSECPortFlexBus, cap);

    pci_set_word(capability, pci_get_word(capability) |
                 PBR_FLEXBUS_256B_FLIT | PBR_FLEXBUS_PBR_FLIT);
}

#endif /* HW_CXL_FABRIC_PBR_PORT_H */
