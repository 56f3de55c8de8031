/*
 * PBR switch: vPPBs of this host, as slots where logical devices come and go
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/hotplug.h"
#include "hw/pci/msi.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_regs.h"
#include "monitor/qdev.h"
#include "pbr-slot.h"
#include "trace.h"

#define TYPE_ENDPOINT "cxl-gfam"

static QLIST_HEAD(, PBRSlot) slots = QLIST_HEAD_INITIALIZER(slots);

bool pbr_slot_add(PBRSlot *slot, Error **errp)
{
    PBRSlot *other;

    QLIST_FOREACH(other, &slots, next) {
        if (other->vppb == slot->vppb && other->eca == slot->eca) {
            error_setg(errp, "'vppb': port '%s' is vPPB %u already",
                       DEVICE(other->port)->id ?: "(unnamed)", slot->vppb);
            return false;
        }
    }
    QLIST_INSERT_HEAD(&slots, slot, next);
    return true;
}

void pbr_slot_remove(PBRSlot *slot)
{
    QLIST_SAFE_REMOVE(slot, next);
}

/* An agent of another fabric, or one that is not realized, has another. */
static bool is_of(Object *eca, CXLFabric *f)
{
    return eca && object_property_get_link(eca, "fabric", NULL) == OBJECT(f);
}

PBRSlot *pbr_slot_find(CXLFabric *f, uint32_t vppb)
{
    PBRSlot *slot;

    QLIST_FOREACH(slot, &slots, next) {
        if (slot->vppb == vppb && is_of(slot->eca, f)) {
            return slot;
        }
    }
    return NULL;
}

static bool set_up(DeviceState *dev, PBRSlot *slot, uint32_t gfam,
                   uint32_t ld, Error **errp)
{
    g_autofree char *id = g_strdup_printf("gfam%u-ld%u", gfam, ld);
    BusState *bus = BUS(pci_bridge_get_sec_bus(PCI_BRIDGE(slot->port)));

    return qdev_set_id(dev, g_steal_pointer(&id), errp) &&
           object_property_set_link(OBJECT(dev), "eca", slot->eca, errp) &&
           object_property_set_uint(OBJECT(dev), "gfam", gfam, errp) &&
           object_property_set_uint(OBJECT(dev), "ld", ld, errp) &&
           qdev_realize(dev, bus, errp);
}

bool pbr_slot_plug(PBRSlot *slot, uint32_t gfam, uint32_t ld, Error **errp)
{
    DeviceState *dev = qdev_try_new(TYPE_ENDPOINT);
    bool ok;

    if (!dev) {
        error_setg(errp, "this emulator has no " TYPE_ENDPOINT);
        return false;
    }
    ok = set_up(dev, slot, gfam, ld, errp);
    if (!ok) {
        object_unparent(OBJECT(dev));
    }
    object_unref(OBJECT(dev));
    trace_pbr_slot_plug(slot->vppb, gfam, ld, ok);
    return ok;
}

typedef struct Wanted {
    CXLFabric *fabric;
    uint32_t gfam, ld;
    DeviceState *found;
} Wanted;

static int look_at(Object *obj, void *opaque)
{
    Wanted *w = opaque;

    if (!object_dynamic_cast(obj, TYPE_ENDPOINT) || !DEVICE(obj)->realized ||
        !is_of(object_property_get_link(obj, "eca", NULL), w->fabric) ||
        object_property_get_uint(obj, "gfam", NULL) != w->gfam ||
        object_property_get_uint(obj, "ld", NULL) != w->ld) {
        return 0;
    }
    w->found = DEVICE(obj);
    return 1;
}

DeviceState *pbr_slot_endpoint(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    Wanted w = { .fabric = f, .gfam = gfam, .ld = ld };

    object_child_foreach_recursive(object_get_root(), look_at, &w);
    return w.found;
}

/* The port above an endpoint, and its PCI Express capability; or NULL. */
static PCIDevice *port_of(DeviceState *endpoint, uint8_t **express)
{
    PCIBus *bus = pci_get_bus(PCI_DEVICE(endpoint));
    PCIDevice *port = pci_bus_is_root(bus) ? NULL :
                      pci_bridge_get_device(bus);

    *express = port && pci_is_express(port) ? port->config +
                                              port->exp.exp_cap : NULL;
    return *express ? port : NULL;
}

bool pbr_slot_press(DeviceState *endpoint, Error **errp)
{
    ERRP_GUARD();
    uint8_t *express;
    PCIDevice *port = port_of(endpoint, &express);

    if (port && (pci_get_word(express + PCI_EXP_SLTCTL) &
                 PCI_EXP_SLTCTL_PIC) == PCI_EXP_SLTCTL_PWR_IND_BLINK) {
        return true;
    }
    trace_pbr_slot_press(endpoint->id);
    qdev_unplug(endpoint, errp);
    return !*errp;
}

void pbr_slot_init(PCIDevice *port)
{
    unsigned at = port->exp.exp_cap;

    pci_word_test_and_set_mask(port->wmask + at + PCI_EXP_SLTCTL,
                               PCI_EXP_SLTCTL_DLLSCE);
    pci_word_test_and_set_mask(port->w1cmask + at + PCI_EXP_SLTSTA,
                               PCI_EXP_SLTSTA_DLLSC);
}

/*
 * The link is down.  Where there is an attention button a guest waits for
 * this event, and not for that of presence, which it reads then.
 */
static void tell_guest(PCIDevice *port, uint8_t *express)
{
    uint16_t control = pci_get_word(express + PCI_EXP_SLTCTL);

    pci_word_test_and_set_mask(express + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDC |
                               PCI_EXP_SLTSTA_DLLSC);
    if (!(control & PCI_EXP_SLTCTL_HPIE) ||
        !(control & (PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_DLLSCE))) {
        return;
    }
    if (msi_enabled(port)) {
        msi_notify(port, pcie_cap_flags_get_vector(port));
    } else {
        port->exp.hpev_notified = true;
        pci_set_irq(port, 1);
    }
}

void pbr_slot_pull(DeviceState *endpoint)
{
    uint8_t *express;
    PCIDevice *port = port_of(endpoint, &express);
    HotplugHandler *handler = qdev_get_hotplug_handler(endpoint);

    trace_pbr_slot_pull(endpoint->id);
    if (handler) {
        hotplug_handler_unplug(handler, endpoint, &error_abort);
    } else {
        qdev_unrealize(endpoint);
    }
    object_unparent(OBJECT(endpoint));
    if (port) {
        pci_word_test_and_clear_mask(express + PCI_EXP_SLTSTA,
                                     PCI_EXP_SLTSTA_PDS);
        pci_word_test_and_clear_mask(express + PCI_EXP_LNKSTA,
                                     PCI_EXP_LNKSTA_DLLLA);
        tell_guest(port, express);
    }
}
