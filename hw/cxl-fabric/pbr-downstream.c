/*
 * PBR switch: a downstream vPPB of a host's edge of the fabric
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/pcie_port.h"
#include "compat.h"
#include "pbr-component.h"
#include "pbr-port.h"

#define TYPE_CXL_PBR_DOWNSTREAM "cxl-pbr-downstream"
typedef struct PBRDownstreamClass PBRDownstreamClass;
DECLARE_CLASS_CHECKERS(PBRDownstreamClass, CXL_PBR_DOWNSTREAM,
                       TYPE_CXL_PBR_DOWNSTREAM)

struct PBRDownstreamClass {
    PCIDeviceClass parent_class;

    void (*parent_realize)(PCIDevice *dev, Error **errp);
    void (*parent_reset)(DeviceState *dev);
};

static void pbr_downstream_realize(PCIDevice *dev, Error **errp)
{
    ERRP_GUARD();

    CXL_PBR_DOWNSTREAM_GET_CLASS(dev)->parent_realize(dev, errp);
    if (*errp) {
        return;
    }
    pbr_port_set_flits(pbr_component(dev));
}

static void pbr_downstream_reset(DeviceState *dev)
{
    CXL_PBR_DOWNSTREAM_GET_CLASS(dev)->parent_reset(dev);
    pbr_add_bi_capability(pbr_component(PCI_DEVICE(dev)),
                          PBR_CAP_BI_DECODER);
}

static void pbr_downstream_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    PBRDownstreamClass *bc = CXL_PBR_DOWNSTREAM_CLASS(oc);

    bc->parent_realize = pc->realize;
    bc->parent_reset = dc->legacy_reset;
    pc->realize = pbr_downstream_realize;
    dc->desc = "CXL PBR Switch, Downstream Edge Port";
    device_class_set_legacy_reset(dc, pbr_downstream_reset);
}

static const TypeInfo pbr_downstream_info = {
    .name = TYPE_CXL_PBR_DOWNSTREAM,
    .parent = TYPE_CXL_DSP,
    .class_size = sizeof(PBRDownstreamClass),
    .class_init = pbr_downstream_class_init,
};

static void pbr_downstream_register(void)
{
    type_register_static(&pbr_downstream_info);
}

type_init(pbr_downstream_register)
