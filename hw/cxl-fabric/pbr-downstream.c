/*
 * PBR switch: a downstream vPPB of a host's edge of the fabric
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/pcie_port.h"
#include "hw/qdev-properties.h"
#include "compat.h"
#include "pbr-component.h"
#include "pbr-port.h"
#include "pbr-slot.h"

#define TYPE_CXL_PBR_DOWNSTREAM "cxl-pbr-downstream"
OBJECT_DECLARE_TYPE(PBRDownstream, PBRDownstreamClass, CXL_PBR_DOWNSTREAM)

/* QEMU keeps its own for itself; QOM checks that ours is not smaller. */
struct PBRDownstream {
    PCIESlot parent_obj;
    CXLComponentState cxl_cstate;

    PBRSlot slot;
};

struct PBRDownstreamClass {
    PCIDeviceClass parent_class;

    void (*parent_realize)(PCIDevice *dev, Error **errp);
    void (*parent_exit)(PCIDevice *dev);
    void (*parent_reset)(DeviceState *dev);
};

static bool check_slot(PBRDownstream *s, Error **errp)
{
    PBRSlot *slot = &s->slot;

    if (slot->vppb >= CXLF_WIRE_VPPBS) {
        error_setg(errp, "'vppb' must be 1 to %u, or 0 for a port that is no "
                   "vPPB", CXLF_WIRE_VPPBS - 1);
    } else if (slot->vppb && !slot->eca) {
        error_setg(errp, "'vppb' needs 'eca', the dpu-eca of the host whose "
                   "vPPB it is");
    } else if (slot->eca && !slot->vppb) {
        error_setg(errp, "'eca' needs 'vppb', 1 to %u: which vPPB of the host "
                   "this port is", CXLF_WIRE_VPPBS - 1);
    } else if (slot->vppb && !s->parent_obj.hotplug) {
        error_setg(errp, "'hotplug' must be on where there is 'vppb'");
    } else {
        return true;
    }
    return false;
}

static void pbr_downstream_realize(PCIDevice *dev, Error **errp)
{
    ERRP_GUARD();
    PBRDownstream *s = CXL_PBR_DOWNSTREAM(dev);

    if (!check_slot(s, errp)) {
        return;
    }
    s->slot.port = dev;
    if (s->slot.vppb && !s->parent_obj.slot) {
        /* The guest names slots by this number. */
        s->parent_obj.slot = s->slot.vppb;
    }
    if (s->slot.vppb && !pbr_slot_add(&s->slot, errp)) {
        return;
    }
    /* QEMU takes a device out when the guest has switched its power off. */
    dev->cap_present |= QEMU_PCIE_SLTCAP_PCP;
    CXL_PBR_DOWNSTREAM_GET_CLASS(dev)->parent_realize(dev, errp);
    if (*errp) {
        pbr_slot_remove(&s->slot);
        return;
    }
    pbr_slot_init(dev);
    pbr_port_set_flits(pbr_component(dev));
}

static void pbr_downstream_exit(PCIDevice *dev)
{
    pbr_slot_remove(&CXL_PBR_DOWNSTREAM(dev)->slot);
    CXL_PBR_DOWNSTREAM_GET_CLASS(dev)->parent_exit(dev);
}

static void pbr_downstream_reset(DeviceState *dev)
{
    CXL_PBR_DOWNSTREAM_GET_CLASS(dev)->parent_reset(dev);
    pbr_add_bi_capability(pbr_component(PCI_DEVICE(dev)),
                          PBR_CAP_BI_DECODER);
}

static const Property pbr_downstream_properties[] = {
    DEFINE_PROP_UINT32("vppb", PBRDownstream, slot.vppb, 0),
    DEFINE_PROP_LINK("eca", PBRDownstream, slot.eca, "dpu-eca", Object *),
};

static void pbr_downstream_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    PBRDownstreamClass *bc = CXL_PBR_DOWNSTREAM_CLASS(oc);

    bc->parent_realize = pc->realize;
    bc->parent_exit = pc->exit;
    bc->parent_reset = dc->legacy_reset;
    pc->realize = pbr_downstream_realize;
    pc->exit = pbr_downstream_exit;
    dc->desc = "CXL PBR Switch, Downstream Edge Port";
    device_class_set_legacy_reset(dc, pbr_downstream_reset);
    device_class_set_props(dc, pbr_downstream_properties);
}

static const TypeInfo pbr_downstream_info = {
    .name = TYPE_CXL_PBR_DOWNSTREAM,
    .parent = TYPE_CXL_DSP,
    .instance_size = sizeof(PBRDownstream),
    .class_size = sizeof(PBRDownstreamClass),
    .class_init = pbr_downstream_class_init,
};

static void pbr_downstream_register(void)
{
    type_register_static(&pbr_downstream_info);
}

type_init(pbr_downstream_register)
