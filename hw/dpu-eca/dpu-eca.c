/*
 * DPU Edge Coherence Agent: the PCI function
 *
 * Identification, geometry and counters.  The host's home-agent proxy of the
 * paper's first pillar; its command queue and events come with a later
 * version of the register map (docs/specs/dpu-eca.md).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "exec/translation-block.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "system/tcg.h"
#include "../cxl-fabric/compat.h"
#include "eca-internal.h"
#include "eca-regs.h"
#include "trace.h"

CXLFabric *eca_fabric(ECAState *s)
{
    return s->fabric;
}

void eca_attach_gfam(ECAState *s, uint32_t gfam, void *memory)
{
    s->memory[gfam] = memory;
}

void eca_detach_gfam(ECAState *s, uint32_t gfam)
{
    s->memory[gfam] = NULL;
}

/* Registers */

static uint64_t read_gfam(ECAState *s, hwaddr offset)
{
    const struct cxlf_topology *t =
        &cxl_fabric_directory(s->fabric)->topology;
    uint32_t gfam = offset / ECA_GFAM_STRIDE;

    if (gfam >= t->gfams) {
        return 0;
    }
    switch (offset % ECA_GFAM_STRIDE) {
    case ECA_GFAM_HOT:
        return t->gfam[gfam].hot;
    case ECA_GFAM_BULK:
        return t->gfam[gfam].bulk;
    case ECA_GFAM_LEAF:
        return t->gfam[gfam].leaf |
               (uint64_t)(s->memory[gfam] ? ECA_GFAM_ATTACHED : 0) << 32;
    default:
        return 0;
    }
}

static uint64_t read_identity(ECAState *s, hwaddr offset)
{
    const struct cxlf_topology *t =
        &cxl_fabric_directory(s->fabric)->topology;
    const uint8_t *uuid = cxl_fabric_uuid(s->fabric)->data;

    switch (offset) {
    case ECA_MAGIC:
        return ECA_MAGIC_VALUE | (uint64_t)ECA_VERSION_VALUE << 32;
    case ECA_STATUS:
        return (cxl_fabric_is_up(s->fabric) ? ECA_STATUS_UP : 0) |
               (uint64_t)s->host << 32;
    case ECA_HOSTS:
        return t->hosts | (uint64_t)t->leaves << 32;
    case ECA_SHARDS:
        return t->shards | (uint64_t)t->gfams << 32;
    case ECA_LINE:
        return CXLF_LINE | (uint64_t)CXLF_PAGE << 32;
    case ECA_EPOCH:
        return cxl_fabric_epoch(s->fabric) | (uint64_t)CXLF_COUNTERS << 32;
    case ECA_UUID:
    case ECA_UUID + 8:
        return ldq_le_p(uuid + (offset - ECA_UUID));
    default:
        return 0;
    }
}

static uint64_t read_counter(ECAState *s, unsigned counter)
{
    uint64_t sum[CXLF_COUNTERS];

    if (counter >= CXLF_COUNTERS) {
        return 0;
    }
    cxlf_read_counters(cxl_fabric_directory(s->fabric), -1, -1, s->host, sum);
    return sum[counter];
}

static uint64_t eca_bar_read(void *opaque, hwaddr addr, unsigned size)
{
    ECAState *s = opaque;
    hwaddr aligned = addr & ~7ull;
    uint64_t value;

    if (aligned >= ECA_COUNTER) {
        value = read_counter(s, (aligned - ECA_COUNTER) / 8);
    } else if (aligned >= ECA_GFAM) {
        value = read_gfam(s, aligned - ECA_GFAM);
    } else {
        value = read_identity(s, aligned);
    }
    return size == 8 ? value : (uint32_t)(value >> (addr & 4) * 8);
}

static void eca_bar_write(void *opaque, hwaddr addr, uint64_t value,
                          unsigned size)
{
    qemu_log_mask(LOG_GUEST_ERROR, "dpu-eca: write to read-only register "
                  "0x%" HWADDR_PRIx "\n", addr);
}

static const MemoryRegionOps eca_bar_ops = {
    .read = eca_bar_read,
    .write = eca_bar_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 8 },
};

/*
 * With a single vCPU TCG would translate locked instructions to a plain load
 * and store, and updates would be lost between hosts.  CF_PARALLEL makes it
 * translate them as if others could interfere, as they can.
 */
static void make_atomics_atomic(void)
{
    CPUState *cpu;

    if (tcg_enabled()) {
        CPU_FOREACH(cpu) {
            tcg_cflags_set(cpu, CF_PARALLEL);
        }
    }
}

static void eca_realize(PCIDevice *dev, Error **errp)
{
    ECAState *s = DPU_ECA(dev);
    bool embedded = !s->fabric;
    int host;

    if (embedded) {
        s->fabric = cxl_fabric_new_embedded(OBJECT(s), "embedded-fabric",
                                            errp);
        if (!s->fabric) {
            return;
        }
    }
    host = cxl_fabric_attach(s->fabric, errp);
    if (host < 0) {
        if (embedded) {
            object_unparent(OBJECT(s->fabric));
        }
        s->fabric = NULL;
        return;
    }
    if (!embedded) {
        object_ref(OBJECT(s->fabric));
    }
    s->host = host;
    s->vcpus = current_machine->smp.max_cpus;
    s->locked = g_new0(ECALocked, s->vcpus);
    make_atomics_atomic();
    if (kvm_enabled()) {
        warn_report("dpu-eca: KVM splits locked instructions on trapped "
                    "memory: those on HOT are not atomic between hosts; use "
                    "accel=tcg where they matter");
    }

    pci_config_set_interrupt_pin(dev->config, 0);
    memory_region_init_io(&s->bar, OBJECT(s), &eca_bar_ops, s, "dpu-eca",
                          ECA_BAR_SIZE);
    pci_register_bar(dev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->bar);
    trace_eca_realize(s->host);
}

static void eca_exit(PCIDevice *dev)
{
    ECAState *s = DPU_ECA(dev);

    cxl_fabric_detach(s->fabric);
    if (OBJECT(s->fabric)->parent == OBJECT(s)) {
        object_unparent(OBJECT(s->fabric));
    } else {
        object_unref(OBJECT(s->fabric));
    }
    s->fabric = NULL;
    g_free(s->locked);
    s->locked = NULL;
}

/* A host that is reset holds nothing any more. */
static void eca_reset_hold(Object *obj, ResetType type)
{
    ECAState *s = DPU_ECA(obj);

    if (cxl_fabric_is_up(s->fabric)) {
        cxlf_give_up(cxl_fabric_directory(s->fabric), s->host, CXLF_EVICT,
                     NULL);
    }
    memset(s->locked, 0, s->vcpus * sizeof(*s->locked));
}

static const VMStateDescription vmstate_eca = {
    .name = TYPE_DPU_ECA,
    .unmigratable = 1,      /* the host's holdings live in the fabric */
};

static const Property eca_properties[] = {
    DEFINE_PROP_LINK("fabric", ECAState, fabric, TYPE_CXL_FABRIC,
                     CXLFabric *),
};

static void eca_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    pc->realize = eca_realize;
    pc->exit = eca_exit;
    pc->vendor_id = PCI_VENDOR_ID_REDHAT;
    pc->device_id = ECA_PCI_DEVICE_ID;
    pc->revision = 1;
    pc->class_id = PCI_CLASS_OTHERS;
    rc->phases.hold = eca_reset_hold;
    dc->desc = "DPU Edge Coherence Agent";
    dc->vmsd = &vmstate_eca;
    dc->hotpluggable = false;   /* endpoints and vCPUs rest on it */
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, eca_properties);
}

static const TypeInfo eca_info = {
    .name = TYPE_DPU_ECA,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(ECAState),
    .class_init = eca_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { }
    },
};

static void eca_register(void)
{
    type_register_static(&eca_info);
}

type_init(eca_register)
