/*
 * DPU Edge Coherence Agent: what vCPUs and devices see of each page
 *
 * A device's pages are shown in one of two views, each at an address that no
 * guest can name: the front, where the host's own page tables permit what
 * the directory has granted, or a trap.  An IOMMU region translates to one
 * of them page by page, so a page changes its view without a change of the
 * memory map (docs/page-ownership.md).
 *
 * Endpoints come and go, their windows are aliases.  What is here stays: a
 * vCPU may have a translation for longer than its endpoint lives, and TCG
 * never forgets an IOMMU region.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../cxl-fabric/compat.h"
#include "eca-internal.h"

/*
 * Above every guest's physical addresses (x86 has 52 bits, TCG's CPUs 40),
 * and room for the largest device for each view of each device.
 */
#define HIDDEN_BASE     (1ull << 51)
#define HIDDEN_STRIDE   (1ull << 45)

QEMU_BUILD_BUG_ON(CXLF_MAX_HOT + CXLF_MAX_BULK > HIDDEN_STRIDE);

struct ECAShown {
    ECAState *agent;
    uint32_t gfam;
    uint64_t hot;
    bool by_page;               /* the front is all that is seen */
    MemoryRegion front, hidden_front, hidden_trap;
    IOMMUMemoryRegion views;
};

static hwaddr hidden(uint32_t gfam, bool direct)
{
    return HIDDEN_BASE + (gfam * 2 + direct) * HIDDEN_STRIDE;
}

#define TYPE_ECA_VIEWS "dpu-eca-views"

/*
 * vCPUs ask without saying what for (IOMMU_NONE), devices with it.  HOT is
 * always trapped for devices: their accesses are few, and they could not be
 * told that a view changes.
 */
static IOMMUTLBEntry translate(IOMMUMemoryRegion *mr, hwaddr addr,
                               IOMMUAccessFlags flag, int idx)
{
    ECAShown *v = container_of(mr, ECAShown, views);
    uint64_t dpa = addr & ~(CXLF_PAGE - 1ull);
    bool direct = (flag == IOMMU_NONE || dpa >= v->hot) &&
                  eca_pager_view(v->agent->pager, v->gfam, dpa) ==
                  ECA_VIEW_DIRECT;

    return (IOMMUTLBEntry) {
        .target_as = &address_space_memory,
        .iova = dpa,
        .translated_addr = hidden(v->gfam, direct) + dpa,
        .addr_mask = CXLF_PAGE - 1,
        .perm = IOMMU_RW,
    };
}

/* TCG calls both without looking whether they are there. */
static int attrs_to_index(IOMMUMemoryRegion *mr, MemTxAttrs attrs)
{
    return 0;
}

static int num_indexes(IOMMUMemoryRegion *mr)
{
    return 1;
}

static void eca_views_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    IOMMUMemoryRegionClass *ic = IOMMU_MEMORY_REGION_CLASS(oc);

    ic->translate = translate;
    ic->attrs_to_index = attrs_to_index;
    ic->num_indexes = num_indexes;
}

static const TypeInfo eca_views_info = {
    .name = TYPE_ECA_VIEWS,
    .parent = TYPE_IOMMU_MEMORY_REGION,
    .class_init = eca_views_class_init,
};

static void eca_views_register(void)
{
    type_register_static(&eca_views_info);
}

type_init(eca_views_register)

static MemTxResult trap_read(void *opaque, hwaddr addr, uint64_t *data,
                             unsigned size, MemTxAttrs attrs)
{
    ECAShown *v = opaque;

    return eca_read(v->agent, v->gfam, addr, data, size, attrs);
}

static MemTxResult trap_write(void *opaque, hwaddr addr, uint64_t data,
                              unsigned size, MemTxAttrs attrs)
{
    ECAShown *v = opaque;

    return eca_write(v->agent, v->gfam, addr, data, size, attrs);
}

static const MemoryRegionOps trap_ops = {
    .read_with_attrs = trap_read,
    .write_with_attrs = trap_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8,
               .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, },
};

/*
 * The front is a RAM device: TCG and KVM map it, but device models access it
 * by loads and stores of their own, and never hand its address to the host's
 * kernel, which would write to a page after it was taken away.
 */
void eca_view_init(ECAState *s, uint32_t gfam, uint8_t *front)
{
    const struct cxlf_gfam *g =
        &cxl_fabric_directory(s->fabric)->topology.gfam[gfam];
    uint64_t size = g->hot + g->bulk;
    ECAShown *v = g_new0(ECAShown, 1);

    v->agent = s;
    v->gfam = gfam;
    v->hot = g->hot;
    v->by_page = eca_is_by_page(s);
    memory_region_init_ram_device_ptr(&v->front, OBJECT(s), "dpu-eca-front",
                                      size, front);
    eca_pager_front_ram(s->pager, gfam, memory_region_get_ram_addr(&v->front));
    s->shown[gfam] = v;
    if (v->by_page) {
        return;
    }
    memory_region_init_alias(&v->hidden_front, OBJECT(s),
                             "dpu-eca-hidden-front", &v->front, 0, size);
    memory_region_init_io(&v->hidden_trap, OBJECT(s), &trap_ops, v,
                          "dpu-eca-hidden-trap", size);
    /* A restarted instruction leaves by a jump, past the guard's end. */
    v->hidden_trap.disable_reentrancy_guard = true;
    memory_region_init_iommu(&v->views, sizeof(v->views), TYPE_ECA_VIEWS,
                             OBJECT(s), "dpu-eca-views", size);
    memory_region_add_subregion(get_system_memory(), hidden(gfam, true),
                                &v->hidden_front);
    memory_region_add_subregion(get_system_memory(), hidden(gfam, false),
                                &v->hidden_trap);
}

void eca_view_exit(ECAState *s)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        ECAShown *v = s->shown[i];

        if (v && !v->by_page) {
            memory_region_del_subregion(get_system_memory(), &v->hidden_trap);
            memory_region_del_subregion(get_system_memory(),
                                        &v->hidden_front);
        }
    }
}

void eca_view_free(ECAState *s)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        g_free(s->shown[i]);
    }
}

MemoryRegion *eca_show(ECAState *s, uint32_t gfam)
{
    ECAShown *v = s->shown[gfam];

    return !v ? NULL : v->by_page ? &v->front : MEMORY_REGION(&v->views);
}
