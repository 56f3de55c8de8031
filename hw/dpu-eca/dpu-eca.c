/*
 * DPU Edge Coherence Agent: the PCI function
 *
 * Identification, geometry and counters, and the life of the whole: the
 * host's home-agent proxy of the paper's first pillar
 * (docs/specs/dpu-eca.rst).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "qemu/log.h"
#include "qemu/units.h"
#include "exec/translation-block.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "cxlf/mailbox.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "system/system.h"
#include "system/tcg.h"
#include "../cxl-fabric/compat.h"
#include "eca-commands.h"
#include "eca-events.h"
#include "eca-fail.h"
#include "eca-hot.h"
#include "eca-internal.h"
#include "eca-manager.h"
#include "eca-messages.h"
#include "eca-park.h"
#include "eca-queue.h"
#include "eca-regs.h"
#include "trace.h"

CXLFabric *eca_fabric(ECAState *s)
{
    return s->fabric;
}

bool eca_is_by_page(ECAState *s)
{
    return kvm_enabled() || !strcmp(s->hot_track, "page");
}

void eca_add_recovery_notifier(ECAState *s, Notifier *n)
{
    notifier_list_add(&s->recovery_notifiers, n);
}

void eca_on_recovery(void *opaque)
{
    ECAState *s = opaque;

    notifier_list_notify(&s->recovery_notifiers, s);
}

/* Registers */

static uint32_t flags_of(ECAState *s, uint32_t gfam)
{
    return (eca_has_some(s, gfam) ? ECA_GFAM_ATTACHED : 0) |
           (cxl_fabric_is_mld(s->fabric, gfam) ? ECA_GFAM_LDS : 0);
}

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
               (uint64_t)flags_of(s, gfam) << 32;
    default:
        return 0;
    }
}

/* What this host may use. */
static uint64_t read_piece(ECAState *s, hwaddr offset)
{
    unsigned which = offset / ECA_PIECE_STRIDE;
    const ECAPiece *p =
        &s->piece[which / CXLF_MAX_LDS][which % CXLF_MAX_LDS];

    return offset % ECA_PIECE_STRIDE == ECA_PIECE_DPA ? p->dpa : p->size;
}

/* How a device has answered this host. */
static uint64_t read_dev_load(ECAState *s, hwaddr offset)
{
    return cxl_fabric_dev_load(s->fabric, offset / ECA_DEV_LOAD_STRIDE,
                               offset % ECA_DEV_LOAD_STRIDE / 8);
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

/* Of two hosts. */
static uint64_t read_life(ECAState *s, unsigned host)
{
    return cxl_fabric_host_life(s->fabric, host) |
           (uint64_t)cxl_fabric_host_life(s->fabric, host + 1) << 32;
}

static uint64_t eca_bar_read(void *opaque, hwaddr addr, unsigned size)
{
    ECAState *s = opaque;
    hwaddr aligned = addr & ~7ull;
    uint64_t value;

    if (aligned >= ECA_HOST_LIFE && aligned < ECA_HOST_LIFE_END) {
        value = read_life(s, (aligned - ECA_HOST_LIFE) / 4);
    } else if (aligned >= ECA_QUEUE && aligned < ECA_QUEUE_END) {
        value = eca_queue_read(s, aligned);
    } else if (aligned >= ECA_EV_BASE && aligned < ECA_EV_END) {
        value = eca_events_read(s, aligned);
    } else if (aligned >= ECA_PIECE && aligned < ECA_PIECE_END) {
        value = read_piece(s, aligned - ECA_PIECE);
    } else if (aligned >= ECA_DEV_LOAD && aligned < ECA_DEV_LOAD_END) {
        value = read_dev_load(s, aligned - ECA_DEV_LOAD);
    } else if (aligned >= ECA_COUNTER_END) {
        value = 0;
    } else if (aligned >= ECA_COUNTER) {
        value = read_counter(s, (aligned - ECA_COUNTER) / 8);
    } else if (aligned >= ECA_COPY && aligned < ECA_COPY_END) {
        value = eca_copy_read(s, aligned);
    } else if (aligned >= ECA_GFAM) {
        value = read_gfam(s, aligned - ECA_GFAM);
    } else {
        value = read_identity(s, aligned);
    }
    return size == 8 ? value : (uint32_t)(value >> (addr & 4) * 8);
}

static bool has_rings(hwaddr addr)
{
    return (addr >= ECA_QUEUE && addr < ECA_QUEUE_END) ||
           (addr >= ECA_EV_BASE && addr < ECA_EV_END);
}

/* A register of 32 bits, or half of one. */
static bool write_of_rings(ECAState *s, hwaddr addr, uint32_t value)
{
    return addr < ECA_QUEUE_END ? eca_queue_write(s, addr, value) :
                                  eca_events_write(s, addr, value);
}

static void eca_bar_write(void *opaque, hwaddr addr, uint64_t value,
                          unsigned size)
{
    bool done;

    if (has_rings(addr)) {
        done = write_of_rings(opaque, addr, value);
        if (size == 8) {
            done |= write_of_rings(opaque, addr + 4, value >> 32);
        }
    } else {
        done = eca_copy_write(opaque, addr, value, size);
    }
    if (!done) {
        qemu_log_mask(LOG_GUEST_ERROR, "dpu-eca: write to register "
                      "0x%" HWADDR_PRIx ", which is read-only, or is so "
                      "now\n", addr);
    }
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

/* Leave the fabric, with all that is held of it. */
static void drop_fabric(ECAState *s)
{
    if (s->pager) {
        eca_view_exit(s);
        eca_pager_free(s->pager);
        s->pager = NULL;
    }
    eca_lds_unmap(s);
    cxl_fabric_lane_free(s->lane);
    s->lane = NULL;
    cxl_fabric_detach(s->fabric);
    if (OBJECT(s->fabric)->parent == OBJECT(s)) {
        object_unparent(OBJECT(s->fabric));
    } else {
        object_unref(OBJECT(s->fabric));
    }
    s->fabric = NULL;
}

/* The fabric's owner is gone. */
static void on_lost(Notifier *n, void *data)
{
    ECAState *s = container_of(n, ECAState, lost_notifier);

    if (s->pager) {
        eca_pager_lost(s->pager);
    }
    eca_manager_lost(s);
    eca_commands_answered(s);
}

/* The guest stands still, or goes on. */
static void on_run_state(void *opaque, bool running, RunState state)
{
    if (running) {
        eca_queues_kick(opaque);
        eca_events_kick(opaque);
    }
}

/* The owner has answered. */
static void on_reserve(Notifier *n, void *data)
{
    eca_commands_answered(container_of(n, ECAState, reserve_notifier));
}

/*
 * DMA to trapped memory goes through a bounce buffer; QEMU's default of 4
 * KiB for each device is less than one request of a disk.
 */
#define BOUNCE_SIZE (4 * MiB)

static int raise_bounce_size(Object *obj, void *opaque)
{
    PCIDevice *dev = (PCIDevice *)object_dynamic_cast(obj, TYPE_PCI_DEVICE);

    if (dev && DEVICE(dev)->realized) {
        dev->bus_master_as.max_bounce_buffer_size =
            MAX(dev->bus_master_as.max_bounce_buffer_size, BOUNCE_SIZE);
    }
    return 0;
}

static void on_machine_ready(Notifier *n, void *data)
{
    object_child_foreach_recursive(object_get_root(), raise_bounce_size,
                                   NULL);
}

static unsigned order_of(uint32_t bytes)
{
    return ctz32(bytes / CXLF_PAGE);
}

static bool check_grain(const char *name, uint32_t bytes, Error **errp)
{
    if (!is_power_of_2(bytes) || bytes < CXLF_PAGE ||
        bytes > CXLF_PAGE << CXLF_MAX_ORDER) {
        error_setg(errp, "'%s' must be a power of two from 4K to 2M", name);
        return false;
    }
    return true;
}

static bool check_properties(ECAState *s, Error **errp)
{
    if (!check_grain("grain-min", s->grain_min, errp) ||
        !check_grain("grain-max", s->grain_max, errp)) {
        return false;
    }
    if (s->grain_min > s->grain_max) {
        error_setg(errp, "'grain-min' must not be more than 'grain-max'");
        return false;
    }
    if (strcmp(s->hot_track, "line") && strcmp(s->hot_track, "page")) {
        error_setg(errp, "'hot-track' accepts line and page");
        return false;
    }
    if (kvm_enabled() && !s->ownership) {
        warn_report("dpu-eca: with KVM and ownership=off, locked "
                    "instructions on HOT are not atomic between hosts");
    }
    return true;
}

static bool start_pager(ECAState *s, Error **errp)
{
    ECAPagerOptions options = {
        .order_min = order_of(s->grain_min),
        .order_max = order_of(s->grain_max),
        .by_page = eca_is_by_page(s),
        .hot_map_after = s->hot_map_after,
        .promote_after = s->promote_after,
        .precise_quota = s->precise_quota == UINT32_MAX ?
                         cxl_fabric_precise_share(s->fabric) :
                         s->precise_quota,
    };

    if (!s->ownership) {
        return eca_copy_unable(s, errp);
    }
    if (!eca_park_init(errp)) {
        return false;
    }
    s->pager = eca_pager_new(s, &options, errp);
    return s->pager != NULL;
}

static void eca_realize(PCIDevice *dev, Error **errp)
{
    ECAState *s = DPU_ECA(dev);
    bool embedded = !s->fabric;
    int host;

    if (!check_properties(s, errp)) {
        return;
    }

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
    s->lane = cxl_fabric_lane_new(s->fabric, CXL_FABRIC_LANE_BQL);
    notifier_list_init(&s->recovery_notifiers);
    if (!start_pager(s, errp) ||
        msix_init_exclusive_bar(dev, ECA_VECTORS, ECA_MSIX_BAR, errp) < 0) {
        drop_fabric(s);
        return;
    }
    for (unsigned i = 0; i < ECA_VECTORS; i++) {
        msix_vector_use(dev, i);
    }
    eca_messages_init(s);
    eca_manager_init(s);
    eca_queues_init(s);
    eca_events_init(s);
    s->run_state = qdev_add_vm_change_state_handler(DEVICE(s), on_run_state,
                                                    s);
    s->lost_notifier.notify = on_lost;
    cxl_fabric_add_lost_notifier(s->fabric, &s->lost_notifier);
    s->reserve_notifier.notify = on_reserve;
    cxl_fabric_add_reserve_notifier(s->fabric, &s->reserve_notifier);
    s->ready_notifier.notify = on_machine_ready;
    qemu_add_machine_init_done_notifier(&s->ready_notifier);
    s->vcpus = current_machine->smp.max_cpus;
    s->locked = g_new0(ECALocked, s->vcpus);
    make_atomics_atomic();

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

    qemu_remove_machine_init_done_notifier(&s->ready_notifier);
    qemu_del_vm_change_state_handler(s->run_state);
    eca_hot_forget(s);
    eca_events_reset(s);
    notifier_remove(&s->reserve_notifier);
    notifier_remove(&s->lost_notifier);
    eca_queues_exit(s);
    eca_manager_exit(s);
    msix_uninit_exclusive_bar(dev);
    drop_fabric(s);
    eca_events_exit(s);     /* the agent's thread is gone */
    g_free(s->locked);
    s->locked = NULL;
}

/* A host that is reset holds nothing any more. */
static void eca_reset_hold(Object *obj, ResetType type)
{
    ECAState *s = DPU_ECA(obj);

    trace_eca_reset(s->host);
    eca_queues_reset(s);
    eca_events_reset(s);
    eca_manager_reset(s);
    if (s->pager) {
        eca_pager_release(s->pager);
    } else if (cxl_fabric_is_up(s->fabric)) {
        cxlf_give_up(cxl_fabric_directory(s->fabric), s->host, CXLF_EVICT,
                     NULL);
    }
    memset(s->locked, 0, s->vcpus * sizeof(*s->locked));
    eca_commands_reset(s);
    cxl_fabric_unreserve_all(s->fabric);
}

static const VMStateDescription vmstate_eca = {
    .name = TYPE_DPU_ECA,
    .unmigratable = 1,      /* the host's holdings live in the fabric */
};

static const Property eca_properties[] = {
    DEFINE_PROP_LINK("fabric", ECAState, fabric, TYPE_CXL_FABRIC,
                     CXLFabric *),
    DEFINE_PROP_BOOL("ownership", ECAState, ownership, true),
    DEFINE_PROP_STRING("hot-track", ECAState, hot_track),
    DEFINE_PROP_SIZE32("grain-min", ECAState, grain_min, 4 * KiB),
    DEFINE_PROP_SIZE32("grain-max", ECAState, grain_max, 2 * MiB),
    DEFINE_PROP_UINT32("hot-map-after", ECAState, hot_map_after, 256),
    DEFINE_PROP_UINT32("promote-after", ECAState, promote_after, 8),
    /* All ones: an equal part of the fabric's. */
    DEFINE_PROP_UINT32("precise-quota", ECAState, precise_quota, UINT32_MAX),
    DEFINE_PROP_UINT32("hot-sample", ECAState, hot_sample, 1000),
};

static void eca_init(Object *obj)
{
    DPU_ECA(obj)->hot_track = g_strdup("line");
    DPU_ECA(obj)->hot = eca_hot_new();
}

static void eca_finalize(Object *obj)
{
    eca_view_free(DPU_ECA(obj));
    eca_hot_free(DPU_ECA(obj)->hot);
}

static void get_counters(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    ECAState *s = DPU_ECA(obj);

    cxl_fabric_visit_counters(DEVICE(s)->realized ? s->fabric : NULL,
                              s->host, v, name, errp);
}

static void eca_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    pc->realize = eca_realize;
    pc->exit = eca_exit;
    pc->vendor_id = PCI_VENDOR_ID_REDHAT;
    pc->device_id = ECA_PCI_DEVICE_ID;
    pc->revision = 2;
    pc->class_id = PCI_CLASS_OTHERS;
    rc->phases.hold = eca_reset_hold;
    dc->desc = "DPU Edge Coherence Agent";
    dc->vmsd = &vmstate_eca;
    dc->hotpluggable = false;   /* endpoints and vCPUs rest on it */
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, eca_properties);
    object_class_property_add(oc, "counters", "CxlFabricCounters",
                              get_counters, NULL, NULL, NULL);
    object_class_property_set_description(oc, "counters",
                                          "what this host has counted");
}

static const TypeInfo eca_info = {
    .name = TYPE_DPU_ECA,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(ECAState),
    .instance_init = eca_init,
    .instance_finalize = eca_finalize,
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
