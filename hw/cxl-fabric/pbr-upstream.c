/*
 * PBR switch: the upstream port of a host's edge of the fabric
 *
 * To the host it is an ordinary CXL switch port: PBR begins behind it
 * (CXL r3.1 section 7.7.12: host edge ports).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci-bridge/cxl_upstream_port.h"
#include "compat.h"
#include "pbr-component.h"
#include "pbr-path.h"
#include "pbr-port.h"

typedef struct PBRUpstreamClass PBRUpstreamClass;
DECLARE_CLASS_CHECKERS(PBRUpstreamClass, CXL_PBR_UPSTREAM,
                       TYPE_CXL_PBR_UPSTREAM)

struct PBRUpstreamClass {
    PCIDeviceClass parent_class;

    void (*parent_realize)(PCIDevice *dev, Error **errp);
    void (*parent_exit)(PCIDevice *dev);
    void (*parent_reset)(DeviceState *dev);
};

static void pbr_upstream_realize(PCIDevice *dev, Error **errp)
{
    ERRP_GUARD();
    CXLUpstreamPort *usp = CXL_USP(dev);

    CXL_PBR_UPSTREAM_GET_CLASS(dev)->parent_realize(dev, errp);
    if (*errp) {
        return;
    }
    pbr_port_set_flits(&usp->cxl_cstate);
    pbr_path_hook(&usp->cxl_cstate);
}

static void pbr_upstream_reset(DeviceState *dev)
{
    CXL_PBR_UPSTREAM_GET_CLASS(dev)->parent_reset(dev);
    pbr_add_bi_capability(&CXL_USP(dev)->cxl_cstate, PBR_CAP_BI_ROUTE_TABLE);
    pbr_path_changed();
}

static void pbr_upstream_exit(PCIDevice *dev)
{
    pbr_path_changed();
    CXL_PBR_UPSTREAM_GET_CLASS(dev)->parent_exit(dev);
}

static void pbr_upstream_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    PBRUpstreamClass *uc = CXL_PBR_UPSTREAM_CLASS(oc);

    uc->parent_realize = pc->realize;
    uc->parent_exit = pc->exit;
    uc->parent_reset = dc->legacy_reset;
    pc->realize = pbr_upstream_realize;
    pc->exit = pbr_upstream_exit;
    dc->desc = "CXL PBR Switch, Upstream Edge Port";
    device_class_set_legacy_reset(dc, pbr_upstream_reset);
}

static const TypeInfo pbr_upstream_info = {
    .name = TYPE_CXL_PBR_UPSTREAM,
    .parent = TYPE_CXL_USP,
    .class_size = sizeof(PBRUpstreamClass),
    .class_init = pbr_upstream_class_init,
};

static void pbr_upstream_register(void)
{
    type_register_static(&pbr_upstream_info);
}

type_init(pbr_upstream_register)
