/*
 * PBR switch ports: the decoder path from a fixed window to an endpoint
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "compat.h"
#include "hw/cxl/cxl_host.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_host.h"
#include "hw/pci/pcie_port.h"
#include "hw/pci-bridge/cxl_upstream_port.h"
#include "hw/pci-bridge/pci_expander_bridge.h"
#include "pbr-component.h"
#include "pbr-path.h"
#include "trace.h"

static NotifierList watchers = NOTIFIER_LIST_INITIALIZER(watchers);

void pbr_path_changed(void)
{
    notifier_list_notify(&watchers, NULL);
}

/*
 * A port's decoder commits at once: the range is checked where it takes
 * effect, at the endpoint.
 */
static void decoder_write(void *opaque, hwaddr offset, uint64_t value,
                          unsigned size)
{
    CXLComponentState *cstate = opaque;
    int which = pbr_decoder_control(offset);

    if (which >= 0) {
        bool commit = FIELD_EX32(value, CXL_HDM_DECODER0_CTRL, COMMIT);

        value = FIELD_DP32(value, CXL_HDM_DECODER0_CTRL, ERR, 0);
        value = FIELD_DP32(value, CXL_HDM_DECODER0_CTRL, COMMITTED, commit);
        trace_pbr_decoder_write(memory_region_name(
            &cstate->crb.component_registers), which, value);
    }
    stl_le_p((uint8_t *)cstate->crb.cache_mem_registers + offset, value);
    if (offset >= A_CXL_HDM_DECODER_CAPABILITY &&
        offset <= A_CXL_HDM_DECODER3_TARGET_LIST_HI) {
        pbr_path_changed();
    }
}

static const MemoryRegionOps decoder_ops = {
    .write = decoder_write,
};

void pbr_path_hook(CXLComponentState *cstate)
{
    /* QEMU's field is not const, but nothing writes through it. */
    cstate->crb.special_ops = (MemoryRegionOps *)&decoder_ops;
}

/* The root port above a device, or NULL; @dsp: the port right above it. */
static PCIDevice *root_port(PCIDevice *endpoint, PCIDevice **dsp)
{
    PCIDevice *port = pci_bridge_get_device(pci_get_bus(endpoint));

    *dsp = port;
    while (port && !pci_bus_is_root(pci_get_bus(port))) {
        port = pci_bridge_get_device(pci_get_bus(port));
    }
    return port;
}

static PCIHostState *host_bridge(PCIDevice *rp)
{
    PCIBus *bus = pci_get_bus(rp);

    if (!pci_bus_is_cxl(bus)) {
        return NULL;
    }
    return PCI_HOST_BRIDGE(BUS(bus)->parent);
}

void pbr_path_watch(PCIDevice *endpoint, Notifier *n)
{
    PCIDevice *dsp, *rp = root_port(endpoint, &dsp);
    PCIHostState *hb = rp ? host_bridge(rp) : NULL;
    CXLComponentState *cstate = hb ? cxl_get_hb_cstate(hb) : NULL;

    if (cstate && !cstate->crb.special_ops) {
        pbr_path_hook(cstate);
    }
    notifier_list_add(&watchers, n);
}

/* The window whose region @mr is, or which @mr is mapped into. */
static CXLFixedWindow *window_of(MemoryRegion *mr)
{
    return mr && mr->ops == &cfmws_ops ? mr->opaque : NULL;
}

CXLFixedWindow *pbr_path_window(hwaddr base, uint64_t size)
{
    MemoryRegionSection section = memory_region_find(get_system_memory(),
                                                     base, 1);
    CXLFixedWindow *fw = window_of(section.mr);
    MemoryRegion *other;

    if (section.mr) {
        memory_region_unref(section.mr);
    }
    if (!fw || base < fw->base || size > fw->size ||
        base - fw->base > fw->size - size) {
        return NULL;
    }
    QTAILQ_FOREACH(other, &fw->mr.subregions, subregions_link) {
        hwaddr start = fw->base + other->addr;

        if (start < base + size &&
            base < start + memory_region_size(other)) {
            return NULL;
        }
    }
    return fw;
}

static bool port_routes(const CXLComponentState *cstate, PCIDevice *below,
                        hwaddr base, uint64_t size)
{
    for (unsigned i = 0; i < CXL_HDM_DECODER_COUNT; i++) {
        PBRDecoder d;

        pbr_decoder_read(cstate, i, &d);
        if (pbr_decoder_committed(&d) && base >= d.base &&
            size <= d.size && base - d.base <= d.size - size) {
            return pbr_decoder_ways(&d) == 0 &&
                   d.target == PCIE_PORT(below)->port;
        }
    }
    return false;
}

bool pbr_path_committed(PCIDevice *endpoint, CXLFixedWindow *fw, hwaddr base,
                        uint64_t size)
{
    PCIDevice *dsp, *rp = root_port(endpoint, &dsp);
    PCIHostState *hb = rp ? host_bridge(rp) : NULL;

    if (!hb || fw->num_targets != 1 ||
        PCI_HOST_BRIDGE(fw->target_hbs[0]->cxl_host_bridge) != hb) {
        return false;
    }
    if (cxl_get_hb_passthrough(hb)) {
        if (rp != pcie_find_port_first(hb->bus)) {
            return false;
        }
    } else if (!port_routes(cxl_get_hb_cstate(hb), rp, base, size)) {
        return false;
    }
    if (dsp != rp) {
        PCIDevice *usp = pci_bridge_get_device(pci_get_bus(dsp));

        if (!usp || !object_dynamic_cast(OBJECT(usp), TYPE_CXL_USP) ||
            pci_bridge_get_device(pci_get_bus(usp)) != rp ||
            !port_routes(cxl_usp_to_cstate(CXL_USP(usp)), dsp, base, size)) {
            return false;
        }
    }
    return true;
}
