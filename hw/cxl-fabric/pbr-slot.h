/*
 * PBR switch: vPPBs of this host, as slots where logical devices come and go
 *
 * Binding is hot-plug: what a Fabric Manager binds to vPPB n of a host appears
 * behind the downstream port that has vppb=n, and its guest's driver of PCI
 * Express slots sees it come and go.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_PBR_SLOT_H
#define HW_CXL_FABRIC_PBR_SLOT_H

#include "hw/pci/pci_device.h"
#include "hw/cxlf/fabric.h"

typedef struct PBRSlot {
    uint32_t vppb;              /* 0: the port is no slot */
    Object *eca;
    PCIDevice *port;
    QLIST_ENTRY(PBRSlot) next;
} PBRSlot;

/*
 * pbr_slot_add: the port is the place of its vPPB from now on, until
 * pbr_slot_remove().  False with @errp set if another one is.  BQL.
 */
bool pbr_slot_add(PBRSlot *slot, Error **errp);
void pbr_slot_remove(PBRSlot *slot);

/*
 * pbr_slot_init: what a port needs besides what QEMU's has: the event of a
 * link that changes.  Once it is realized.  BQL.
 */
void pbr_slot_init(PCIDevice *port);

/* pbr_slot_find: of a vPPB of this process's host in @f, or NULL.  BQL. */
PBRSlot *pbr_slot_find(CXLFabric *f, uint32_t vppb);

/*
 * pbr_slot_plug: make the endpoint of a logical device there, as device_add
 * does.  False with @errp set.  Main loop, BQL.
 */
bool pbr_slot_plug(PBRSlot *slot, uint32_t gfam, uint32_t ld, Error **errp);

/* pbr_slot_endpoint: of a logical device, in whatever port; or NULL.  BQL. */
DeviceState *pbr_slot_endpoint(CXLFabric *f, uint32_t gfam, uint32_t ld);

/*
 * pbr_slot_press: the attention button, as device_del does: the guest takes
 * the endpoint out of use, or not, and nobody waits for it.  Nothing while the
 * guest is about that slot already, since a second press would take the first
 * one back.  False with @errp set if it can never be taken out.  Main loop,
 * BQL.
 */
bool pbr_slot_press(DeviceState *endpoint, Error **errp);

/* pbr_slot_pull: take the endpoint out without asking.  Main loop, BQL. */
void pbr_slot_pull(DeviceState *endpoint);

#endif /* HW_CXL_FABRIC_PBR_SLOT_H */
