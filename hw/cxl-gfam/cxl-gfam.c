/*
 * GFAM device as a host sees it: a Type-3 endpoint with HOT and BULK
 *
 * A stock kernel knows no GFAM, so the host's edge switch presents the
 * device as an ordinary Type-3 endpoint (CXL r3.1 section 7.7.12).  Its DPA
 * space is HOT then BULK; both are shared with the other hosts.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qom/object_interfaces.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "../cxl-fabric/compat.h"
#include "../cxl-fabric/pbr-component.h"
#include "gfam-internal.h"
#include "trace.h"

#define LSA_SIZE (128 * KiB)

/* Which part of the device this endpoint is to show. */
static bool find_memory(CXLGFAM *s, Error **errp)
{
    CXLFabric *f = eca_fabric(s->eca);
    const struct cxlf_gfam *g =
        &cxl_fabric_directory(f)->topology.gfam[s->gfam];
    uint32_t lds = cxl_fabric_lds(f, s->gfam);
    const CXLFabricGrant *grant;

    s->start = 0;
    s->hot = g->hot;
    s->dynamic = cxl_fabric_dynamic(f, s->gfam);
    s->bulk = g->bulk - s->dynamic;
    if (!lds) {
        if (s->ld != GFAM_NO_LD) {
            error_setg(errp, "'ld': GFAM device %u has no logical devices; "
                       "leave it out", s->gfam);
        }
        return s->ld == GFAM_NO_LD;
    }
    if (s->ld >= lds) {
        error_setg(errp, "'ld' must be 0 to %u: the memory of GFAM device %u "
                   "is shared out to logical devices", lds - 1, s->gfam);
        return false;
    }
    grant = cxl_fabric_ld(f, s->gfam, s->ld);
    if (!grant) {
        error_setg(errp, "'ld': logical device %u of GFAM device %u is not "
                   "bound to this host; that is for the Fabric Manager to do",
                   s->ld, s->gfam);
        return false;
    }
    s->start = grant->start;
    s->hot = grant->start < g->hot ?
             MIN(g->hot - grant->start, grant->size) : 0;
    s->bulk = grant->size - s->hot;
    return true;
}

static bool check_properties(CXLGFAM *s, Error **errp)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);
    const struct cxlf_topology *t;

    if (!s->eca) {
        error_setg(errp, "'eca' is not set; it takes the id of a dpu-eca "
                   "device: add -device dpu-eca,id=eca0 before this one, and "
                   "eca=eca0 here");
        return false;
    }
    if (!eca_fabric(s->eca)) {
        error_setg(errp, "'eca': the dpu-eca device is not realized");
        return false;
    }
    if (ct3d->hostmem || ct3d->hostvmem || ct3d->hostpmem ||
        ct3d->dc.num_regions || ct3d->dc.host_dc) {
        error_setg(errp, "memdev properties and 'num-dc-regions' are not for "
                   "cxl-gfam: its memory is the fabric's");
        return false;
    }
    t = &cxl_fabric_directory(eca_fabric(s->eca))->topology;
    if (s->gfam >= t->gfams) {
        error_setg(errp, "'gfam' must be 0 to %u: the fabric has %u GFAM "
                   "device%s", t->gfams - 1, t->gfams,
                   t->gfams == 1 ? "" : "s");
        return false;
    }
    return find_memory(s, errp);
}

/* A label storage area of our own, where the user gave none. */
static bool make_lsa(CXLGFAM *s, Error **errp)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);
    Object *obj;

    if (ct3d->lsa) {
        return true;
    }
    obj = object_new("memory-backend-ram");
    object_property_add_child(OBJECT(s), "fabric-lsa", obj);
    object_unref(obj);
    object_property_set_uint(obj, "size", LSA_SIZE, &error_abort);
    if (!user_creatable_complete(USER_CREATABLE(obj), errp)) {
        object_unparent(obj);
        return false;
    }
    return object_property_set_link(OBJECT(s), "lsa", obj, errp);
}

static void drop_child(CXLGFAM *s, const char *name)
{
    Object *child = object_resolve_path_component(OBJECT(s), name);

    if (child) {
        object_unparent(child);
    }
}

/*
 * Every host sees the same serial number: fabric, device and LD tell it.  All
 * ones of GFAM_NO_LD make it 0 for a device that has none.
 */
static uint64_t serial_number(CXLGFAM *s)
{
    const QemuUUID *uuid = cxl_fabric_uuid(eca_fabric(s->eca));

    return (ldq_le_p(uuid->data) ^ ldq_le_p(uuid->data + 8)) + s->gfam +
           ((uint64_t)(s->ld + 1u) << 32);
}

static void release(CXLGFAM *s)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);

    eca_detach_gfam(s->eca, s->gfam, gfam_ld(s));
    ct3d->hostvmem = NULL;
    drop_child(s, "fabric-memory");
    if (object_resolve_path_component(OBJECT(s), "fabric-lsa")) {
        object_property_set_link(OBJECT(s), "lsa", NULL, &error_abort);
        drop_child(s, "fabric-lsa");
    }
    cxl_fabric_gfam_release(eca_fabric(s->eca), s->gfam, gfam_ld(s));
}

static void gfam_realize(PCIDevice *dev, Error **errp)
{
    ERRP_GUARD();
    CXLGFAM *s = CXL_GFAM(dev);
    CXLType3Dev *ct3d = CXL_TYPE3(dev);
    CDATObject *cdat = &ct3d->cxl_cstate.cdat;
    CXLFabric *fabric;

    if (!check_properties(s, errp)) {
        return;
    }
    fabric = eca_fabric(s->eca);
    if (!cxl_fabric_gfam_take(fabric, s->gfam, gfam_ld(s))) {
        error_setg(errp, "'%s': device %u has an endpoint in this host "
                   "already", s->ld == GFAM_NO_LD ? "gfam" : "ld",
                   s->ld == GFAM_NO_LD ? s->gfam : s->ld);
        return;
    }
    ct3d->hostvmem = gfam_memory_new(s, errp);
    if (!ct3d->hostvmem || !make_lsa(s, errp)) {
        release(s);
        return;
    }
    if (ct3d->sn == UINT64_MAX) {
        ct3d->sn = serial_number(s);
    }
    if (!eca_attach_gfam(s->eca, s->gfam, gfam_ld(s), s->start,
                         s->hot + s->bulk, errp)) {
        release(s);
        return;
    }
    CXL_GFAM_GET_CLASS(s)->parent_realize(dev, errp);
    if (*errp) {
        release(s);
        return;
    }
    if (!cdat->filename) {
        cxl_doe_cdat_release(&ct3d->cxl_cstate);
        cdat->build_cdat_table = gfam_build_cdat;
        cxl_doe_cdat_init(&ct3d->cxl_cstate, &error_abort);
    }
    pcie_cap_flr_init(dev);
    gfam_poison_init(s);
    gfam_dcd_init(s);
    s->view = s->hot_bypass ? NULL : eca_show(s->eca, s->gfam);
    gfam_hdm_init(s);
    gfam_chmu_init(s);
    trace_gfam_realize(s->gfam, gfam_ld(s), s->start, s->hot, s->bulk);
}

static void gfam_config_write(PCIDevice *dev, uint32_t addr, uint32_t value,
                              int size)
{
    CXL_GFAM_GET_CLASS(dev)->parent_config_write(dev, addr, value, size);
    pcie_cap_flr_write_config(dev, addr, value, size);
}

/* A container and what is in it have one owner, which would never end. */
static void empty(MemoryRegion *container)
{
    MemoryRegion *mr;

    while ((mr = QTAILQ_FIRST(&container->subregions))) {
        memory_region_del_subregion(container, mr);
    }
}

/*
 * What QEMU's device leaves behind in its exit.  Until the device is freed
 * a vCPU may still be on its way to a register: nothing must come of it.
 */
static void end_type3(CXLType3Dev *ct3d)
{
    memset(ct3d->cci.cxl_cmd_set, 0, sizeof(ct3d->cci.cxl_cmd_set));
    g_clear_pointer(&ct3d->cci.bg.timer, timer_free);
    g_clear_pointer(&ct3d->doe_cdat.read_mbox, g_free);     /* 1 MiB each */
    g_clear_pointer(&ct3d->doe_cdat.write_mbox, g_free);
    ct3d->cxl_cstate.crb.special_ops = NULL;        /* freed */
    empty(&ct3d->cxl_cstate.crb.component_registers);
    empty(&ct3d->cxl_dstate.device_registers);
    host_memory_backend_set_mapped(ct3d->hostvmem, false);
}

static void gfam_exit(PCIDevice *dev)
{
    CXLGFAM *s = CXL_GFAM(dev);

    gfam_chmu_exit(s);
    gfam_hdm_exit(s);
    gfam_dcd_exit(s);
    gfam_poison_exit(s);
    CXL_GFAM_GET_CLASS(s)->parent_exit(dev);
    end_type3(CXL_TYPE3(s));
    release(s);
    if (s->ld != GFAM_NO_LD) {
        cxl_fabric_ld_gone(eca_fabric(s->eca), s->gfam, s->ld);
    }
}

/*
 * Sanitize would wipe memory that other hosts use, behind the directory's
 * back: that is for the Fabric Manager to do, not for one host.
 */
static void drop_sanitize(CXLGFAM *s)
{
    static const struct cxl_cmd none[256][256];
    CXLCCI *cci = &CXL_TYPE3(s)->cci;

    memset(cci->cxl_cmd_set[0x44], 0, sizeof(cci->cxl_cmd_set[0x44]));
    cxl_add_cci_commands(cci, none, 0);     /* rebuilds the effects log */
}

/*
 * QEMU's reset leaves these registers as they were: a guest that boots again
 * would find memory enabled where it has not placed any yet.
 */
static void reset_dvsec(CXLGFAM *s)
{
    Range *range =
        &CXL_TYPE3(s)->cxl_cstate.dvsecs[PCIE_CXL_DEVICE_DVSEC];
    CXLDVSECDevice *dvsec =
        (void *)(PCI_DEVICE(s)->config + range_lob(range));

    stw_le_p(&dvsec->ctrl, 0x2);
    stw_le_p(&dvsec->ctrl2, 0);
    stw_le_p(&dvsec->lock, 0);
    stl_le_p(&dvsec->range1_base_hi, 0);
    stl_le_p(&dvsec->range1_base_lo, 0);
    stl_le_p(&dvsec->range2_base_hi, 0);
    stl_le_p(&dvsec->range2_base_lo, 0);
}

static void gfam_reset(DeviceState *dev)
{
    CXLGFAM *s = CXL_GFAM(dev);

    gfam_hdm_close_all(s);
    gfam_chmu_reset(s);
    CXL_GFAM_GET_CLASS(s)->parent_reset(dev);
    pbr_add_bi_capability(&CXL_TYPE3(s)->cxl_cstate, PBR_CAP_BI_DECODER);
    reset_dvsec(s);
    gfam_dcd_reset(s);
    drop_sanitize(s);
    gfam_poison_reset(s);
}

/* The write of Clear Poison goes through the agent like any other. */
static bool gfam_set_cacheline(CXLType3Dev *ct3d, uint64_t dpa,
                               uint8_t *data)
{
    CXLGFAM *s = CXL_GFAM(ct3d);
    bool written;

    if (!gfam_poison_clear(s, dpa, data, &written) || written) {
        return written;
    }
    for (int i = 0; i < CXLF_LINE; i += 8) {
        if (eca_write(s->eca, s->gfam, gfam_dpa(s, dpa + i),
                      ldq_le_p(data + i), 8, MEMTXATTRS_UNSPECIFIED) !=
            MEMTX_OK) {
            return false;
        }
    }
    return true;
}

static const VMStateDescription vmstate_gfam = {
    .name = TYPE_CXL_GFAM,
    .unmigratable = 1,      /* its memory is shared with other hosts */
};

static const Property gfam_properties[] = {
    DEFINE_PROP_LINK("eca", CXLGFAM, eca, TYPE_DPU_ECA, ECAState *),
    DEFINE_PROP_UINT32("gfam", CXLGFAM, gfam, 0),
    DEFINE_PROP_UINT32("ld", CXLGFAM, ld, GFAM_NO_LD),
    DEFINE_PROP_BOOL("x-hot-bypass", CXLGFAM, hot_bypass, false),
};

static void gfam_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    CXLGFAMClass *gc = CXL_GFAM_CLASS(oc);

    gc->parent_realize = pc->realize;
    gc->parent_exit = pc->exit;
    gc->parent_reset = dc->legacy_reset;
    gc->parent_config_write = pc->config_write;
    pc->config_write = gfam_config_write;
    pc->realize = gfam_realize;
    pc->exit = gfam_exit;
    CXL_TYPE3_CLASS(oc)->set_cacheline = gfam_set_cacheline;
    dc->desc = "CXL GFAM Device (Type 3 view of a host)";
    dc->vmsd = &vmstate_gfam;
    device_class_set_legacy_reset(dc, gfam_reset);
    device_class_set_props(dc, gfam_properties);
}

static const TypeInfo gfam_info = {
    .name = TYPE_CXL_GFAM,
    .parent = TYPE_CXL_TYPE3,
    .instance_size = sizeof(CXLGFAM),
    .class_size = sizeof(CXLGFAMClass),
    .class_init = gfam_class_init,
};

static void gfam_register(void)
{
    type_register_static(&gfam_info);
}

type_init(gfam_register)
