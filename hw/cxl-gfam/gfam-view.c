/*
 * GFAM device: what vCPUs and devices see of each page
 *
 * A window's pages are shown in one of two views, each at an address that no
 * guest can name: the front, where the host's own page tables permit what
 * the directory has granted, or a trap.  An IOMMU region translates to one
 * of them page by page, so a page changes its view without a change of the
 * memory map (docs/page-ownership.md).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../cxl-fabric/compat.h"
#include "gfam-internal.h"

/*
 * Above every guest's physical addresses (x86 has 52 bits, TCG's CPUs 40),
 * and room for the largest device for each view of each device.
 */
#define HIDDEN_BASE     (1ull << 51)
#define HIDDEN_STRIDE   (1ull << 45)

QEMU_BUILD_BUG_ON(CXLF_MAX_HOT + CXLF_MAX_BULK > HIDDEN_STRIDE);

static hwaddr hidden(const CXLGFAM *s, bool direct)
{
    return HIDDEN_BASE + (s->gfam * 2 + direct) * HIDDEN_STRIDE;
}

#define TYPE_GFAM_VIEWS "cxl-gfam-views"

/*
 * vCPUs ask without saying what for (IOMMU_NONE), devices with it.  HOT is
 * always trapped for devices: their accesses are few, and they could not be
 * told that a view changes.
 */
static IOMMUTLBEntry translate(IOMMUMemoryRegion *mr, hwaddr addr,
                               IOMMUAccessFlags flag, int idx)
{
    GFAMWindow *w = container_of(mr, GFAMWindow, views);
    CXLGFAM *s = w->gfam;
    uint64_t dpa = w->trap.dpa + (addr & ~(CXLF_PAGE - 1ull));
    bool direct = (flag == IOMMU_NONE || dpa >= s->hot) &&
                  eca_is_direct(s->eca, s->gfam, dpa);

    return (IOMMUTLBEntry) {
        .target_as = &address_space_memory,
        .iova = addr & ~(CXLF_PAGE - 1ull),
        .translated_addr = hidden(s, direct) + dpa,
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

static void gfam_views_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    IOMMUMemoryRegionClass *ic = IOMMU_MEMORY_REGION_CLASS(oc);

    ic->translate = translate;
    ic->attrs_to_index = attrs_to_index;
    ic->num_indexes = num_indexes;
}

static const TypeInfo gfam_views_info = {
    .name = TYPE_GFAM_VIEWS,
    .parent = TYPE_IOMMU_MEMORY_REGION,
    .class_init = gfam_views_class_init,
};

static void gfam_views_register(void)
{
    type_register_static(&gfam_views_info);
}

type_init(gfam_views_register)

/*
 * The front is a RAM device: TCG and KVM map it, but device models access it
 * by loads and stores of their own, and never hand its address to the host's
 * kernel, which would write to a page after it was taken away.
 */
void gfam_view_init(CXLGFAM *s)
{
    uint64_t size = s->hot + s->bulk;
    void *front = eca_front(s->eca, s->gfam);

    if (!front || s->hot_bypass) {
        return;
    }
    memory_region_init_ram_device_ptr(&s->front, OBJECT(s), "cxl-gfam-front",
                                      size, front);
    eca_front_region(s->eca, s->gfam, &s->front);
    s->has_front = true;
    if (eca_is_by_page(s->eca)) {
        return;
    }
    memory_region_init_alias(&s->hidden_front, OBJECT(s),
                             "cxl-gfam-hidden-front", &s->front, 0, size);
    gfam_trap_init(&s->hidden_trap, s, "cxl-gfam-hidden-trap");
    s->hidden_trap.open = true;
    memory_region_add_subregion(get_system_memory(), hidden(s, true),
                                &s->hidden_front);
    memory_region_add_subregion(get_system_memory(), hidden(s, false),
                                &s->hidden_trap.region);
}

void gfam_view_init_window(GFAMWindow *w)
{
    CXLGFAM *s = w->gfam;

    w->has_views = s->has_front && !eca_is_by_page(s->eca);
    if (w->has_views) {
        memory_region_init_iommu(&w->views, sizeof(w->views),
                                 TYPE_GFAM_VIEWS, OBJECT(s),
                                 "cxl-gfam-views", s->hot + s->bulk);
    }
}

void gfam_view_exit(CXLGFAM *s)
{
    if (!s->has_front) {
        return;
    }
    if (!eca_is_by_page(s->eca)) {
        memory_region_del_subregion(get_system_memory(),
                                    &s->hidden_trap.region);
        memory_region_del_subregion(get_system_memory(), &s->hidden_front);
    }
    eca_front_region(s->eca, s->gfam, NULL);
    s->has_front = false;
}
