/*
 * CXL fabric object: errors that a Fabric Manager has this host's ports report
 *
 * Generate AER Event names a vPPB; the error is that of the port which is the
 * vPPB here, and the guest is told of it as of any error of PCI Express.
 * Docs: docs/fabric-manager.md, "Errors of vPPBs".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie_regs.h"
#include "fabric-internal.h"
#include "pbr-port.h"
#include "pbr-slot.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(CXLF_AER_CORRECTABLE_BITS & ~PCI_ERR_COR_SUPPORTED);
QEMU_BUILD_BUG_ON(CXLF_AER_UNCORRECTABLE_BITS & ~PCI_ERR_UNC_SUPPORTED);

/* vPPB 0 is above the host's first slot; without slots, the only one. */
static PCIDevice *upstream(CXLFabric *f)
{
    Object *port;

    for (uint32_t vppb = 1; vppb < CXLF_WIRE_VPPBS; vppb++) {
        PBRSlot *slot = pbr_slot_find(f, vppb);

        if (slot) {
            return pci_bridge_get_device(pci_get_bus(slot->port));
        }
    }
    port = object_resolve_path_type("", TYPE_CXL_PBR_UPSTREAM, NULL);
    return port ? PCI_DEVICE(port) : NULL;
}

void cxl_fabric_hear_aer(CXLFabric *f, const struct cxlf_wire_aer *w)
{
    PBRSlot *slot = w->vppb ? pbr_slot_find(f, w->vppb) : NULL;
    PCIDevice *port = w->vppb ? (slot ? slot->port : NULL) : upstream(f);
    PCIEAERErr error = {
        .status = w->error & ~CXLF_AER_CORRECTABLE,
        .flags = w->error & CXLF_AER_CORRECTABLE ?
                 PCIE_AER_ERR_IS_CORRECTABLE : PCIE_AER_ERR_HEADER_VALID,
    };

    trace_cxl_fabric_aer(cxl_fabric_id(f), w->vppb, w->error, port != NULL);
    if (!port) {
        warn_report("cxl-fabric '%s': an error of vPPB %u is to be reported, "
                    "and no port is that vPPB", cxl_fabric_id(f), w->vppb);
        return;
    }
    error.source_id = pci_requester_id(port);
    for (unsigned i = 0; i < ARRAY_SIZE(error.header); i++) {
        error.header[i] = ldl_be_p(w->header + 4 * i);
    }
    pcie_aer_inject_error(port, &error);
}
