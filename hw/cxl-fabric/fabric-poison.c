/*
 * CXL fabric: what was lost with hosts that died
 *
 * With on-death=poison the owner's reaper finds the units that a dead host
 * had modified.  The owner keeps a list of them, which outlives the leaf that
 * has their entries, and publishes them as ranges to every host.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "cxlf/leaf.h"
#include "cxlf/poison.h"
#include "fabric-internal.h"
#include "trace.h"

/* A unit as a number that sorts by device, then DPA: a DPA ends in zeros. */
#define KIND_MASK   0x3full
#define GFAM_SHIFT  56

QEMU_BUILD_BUG_ON(CXLF_UNITS - 1 > KIND_MASK || CXLF_LINE <= KIND_MASK);
QEMU_BUILD_BUG_ON(CXLF_MAX_HOT + CXLF_MAX_BULK >= 1ull << GFAM_SHIFT);

static uint32_t gfam_of(uint64_t unit)
{
    return unit >> GFAM_SHIFT;
}

static uint64_t dpa_of(uint64_t unit)
{
    return unit & ((1ull << GFAM_SHIFT) - 1) & ~KIND_MASK;
}

static uint64_t end_of(CXLFabric *f, uint64_t unit)
{
    return dpa_of(unit) + ((unit & KIND_MASK) == CXLF_PAGE_UNIT ? CXLF_PAGE :
                           cxlf_topology_grain(&f->directory.topology));
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Called by cxlf_give_up(), in the reaper's thread. */
static void on_poison(void *opaque, enum cxlf_kind kind, uint32_t gfam,
                      uint64_t dpa)
{
    CXLFabric *f = opaque;
    uint64_t unit = (uint64_t)gfam << GFAM_SHIFT | dpa | kind;

    g_array_append_val(f->poison_found, unit);
}

void cxl_fabric_init_poison(CXLFabric *f)
{
    f->poison = g_array_new(false, false, sizeof(uint64_t));
    f->poison_found = g_array_new(false, false, sizeof(uint64_t));
    f->directory.on_poison = on_poison;
    f->directory.opaque = f;
}

void cxl_fabric_drop_poison(CXLFabric *f)
{
    f->directory.on_poison = NULL;
    g_clear_pointer(&f->poison, g_array_unref);
    g_clear_pointer(&f->poison_found, g_array_unref);
}

/*
 * Reaper: note and publish what the recovery of @host has poisoned.
 * Returns how many units that were.
 */
uint64_t cxl_fabric_publish_poison(CXLFabric *f, uint32_t host)
{
    GArray *found = f->poison_found;
    const uint64_t *unit = (const uint64_t *)found->data;
    guint count = found->len, i = 0;

    g_array_sort(found, compare);
    while (i < count) {
        uint64_t first = unit[i], end = end_of(f, first);
        struct cxlf_poison record = {
            .gfam = gfam_of(first), .host = host, .dpa = dpa_of(first),
        };

        for (i++; i < count && gfam_of(unit[i]) == gfam_of(first) &&
             dpa_of(unit[i]) <= end; i++) {
            end = MAX(end, end_of(f, unit[i]));
        }
        record.length = end - record.dpa;
        trace_cxl_fabric_poison(host, record.gfam, record.dpa, record.length);
        cxlf_poison_publish(f->table, &record);
    }
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        g_array_append_vals(f->poison, found->data, count);
    }
    g_array_set_size(found, 0);
    return count;
}

/* What a leaf that is not up, or a corrupted entry, cannot say stays so. */
static bool may_be_poisoned(CXLFabric *f, uint64_t unit)
{
    struct cxlf_directory *d = &f->directory;
    enum cxlf_kind kind = unit & KIND_MASK;
    struct cxlf_home home;
    struct cxlf_line line;

    return !cxlf_topology_home(&d->topology, kind, gfam_of(unit),
                               dpa_of(unit), &home) ||
           cxlf_leaf_get(d, home.leaf) != CXLF_LEAF_UP ||
           !cxlf_peek(d, kind, gfam_of(unit), dpa_of(unit), &line) ||
           line.state == CXLF_P;
}

/*
 * Owner: how many units are poisoned.  A host clears poison in the directory
 * alone, so here it is noticed now, or when a unit is in the list twice.
 */
uint64_t cxl_fabric_count_poison(CXLFabric *f)
{
    guint kept = 0;

    QEMU_LOCK_GUARD(&f->lock);
    g_array_sort(f->poison, compare);
    for (guint i = 0; i < f->poison->len; i++) {
        uint64_t *unit = (uint64_t *)f->poison->data;

        if ((!kept || unit[kept - 1] != unit[i]) &&
            may_be_poisoned(f, unit[i])) {
            unit[kept++] = unit[i];
        }
    }
    g_array_set_size(f->poison, kept);
    return kept;
}

void cxl_fabric_forget_poison(CXLFabric *f, uint32_t gfam, uint64_t dpa,
                              uint64_t length)
{
    guint kept = 0;

    QEMU_LOCK_GUARD(&f->lock);
    for (guint i = 0; i < f->poison->len; i++) {
        uint64_t *unit = (uint64_t *)f->poison->data;

        if (gfam_of(unit[i]) != gfam || dpa_of(unit[i]) < dpa ||
            dpa_of(unit[i]) - dpa >= length) {
            unit[kept++] = unit[i];
        }
    }
    g_array_set_size(f->poison, kept);
}

bool cxl_fabric_poison_next(CXLFabric *f, uint64_t *cursor,
                            CXLFabricPoison *p, bool *lost)
{
    struct cxlf_poison record;

    if (!cxlf_poison_next(f->table, &f->directory.topology, cursor, &record,
                          lost)) {
        return false;
    }
    *p = (CXLFabricPoison) {
        .gfam = record.gfam, .host = record.host, .dpa = record.dpa,
        .length = record.length,
    };
    return true;
}
