/*
 * GFAM device: CDAT, which says which DPA is HOT and which is BULK
 *
 * One DSMAS for each class that the endpoint has: both are shareable, HOT
 * alone is managed coherent by hardware; and one for dynamic capacity, of
 * BULK.  Latency and bandwidth are those of
 * a device behind one switch (docs/architecture.md).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/hmat.h"
#include "gfam-internal.h"

/* DSMAS, four DSLBIS, DSEMTS */
#define ENTRIES_PER_CLASS 6

typedef struct GFAMClassInfo {
    uint8_t handle;
    uint8_t flags;
    uint64_t base, size;
    uint16_t read_latency, write_latency;   /* in 10 ns */
    uint16_t bandwidth;                     /* in GB/s */
} GFAMClassInfo;

static CDATSubHeader *dslbis(uint8_t handle, uint8_t type, uint64_t unit,
                             uint16_t value)
{
    CDATDslbis *entry = g_new(CDATDslbis, 1);

    *entry = (CDATDslbis) {
        .header = { .type = CDAT_TYPE_DSLBIS, .length = sizeof(*entry) },
        .handle = handle,
        .flags = HMAT_LB_MEM_MEMORY,
        .data_type = type,
        .entry_base_unit = unit,
        .entry[0] = value,
    };
    return (CDATSubHeader *)entry;
}

static void build_class(CDATSubHeader **table, const GFAMClassInfo *c)
{
    CDATDsmas *dsmas = g_new(CDATDsmas, 1);
    CDATDsemts *dsemts = g_new(CDATDsemts, 1);

    *dsmas = (CDATDsmas) {
        .header = { .type = CDAT_TYPE_DSMAS, .length = sizeof(*dsmas) },
        .DSMADhandle = c->handle,
        .flags = c->flags,
        .DPA_base = c->base,
        .DPA_length = c->size,
    };
    *dsemts = (CDATDsemts) {
        .header = { .type = CDAT_TYPE_DSEMTS, .length = sizeof(*dsemts) },
        .DSMAS_handle = c->handle,
        .EFI_memory_type_attr = 1,      /* specific purpose memory */
        .DPA_offset = 0,
        .DPA_length = c->size,
    };
    table[0] = (CDATSubHeader *)dsmas;
    table[1] = dslbis(c->handle, HMAT_LB_DATA_READ_LATENCY, 10000,
                      c->read_latency);
    table[2] = dslbis(c->handle, HMAT_LB_DATA_WRITE_LATENCY, 10000,
                      c->write_latency);
    table[3] = dslbis(c->handle, HMAT_LB_DATA_READ_BANDWIDTH, 1000,
                      c->bandwidth);
    table[4] = dslbis(c->handle, HMAT_LB_DATA_WRITE_BANDWIDTH, 1000,
                      c->bandwidth);
    table[5] = (CDATSubHeader *)dsemts;
}

int gfam_build_cdat(CDATSubHeader ***table, void *priv)
{
    CXLGFAM *s = CXL_GFAM(priv);
    GFAMClassInfo hot = {
        .handle = 0,
        .flags = CDAT_DSMAS_FLAG_SHAREABLE | CDAT_DSMAS_FLAG_HW_COHERENT,
        .base = 0,
        .size = s->hot,
        .read_latency = 25, .write_latency = 30, .bandwidth = 16,
    };
    GFAMClassInfo bulk = {
        .handle = 1,
        .flags = CDAT_DSMAS_FLAG_SHAREABLE,
        .base = s->hot,
        .size = s->bulk,
        .read_latency = 25, .write_latency = 25, .bandwidth = 32,
    };
    GFAMClassInfo dynamic = bulk;
    int entries = 0;

    dynamic.handle = GFAM_DYNAMIC_DSMAS;
    dynamic.flags |= CDAT_DSMAS_FLAG_DYNAMIC_CAP;
    dynamic.base += bulk.size;
    dynamic.size = s->dynamic;
    *table = g_new0(CDATSubHeader *, 3 * ENTRIES_PER_CLASS);
    if (s->hot) {
        build_class(*table, &hot);
        entries += ENTRIES_PER_CLASS;
    }
    if (s->bulk) {
        build_class(*table + entries, &bulk);
        entries += ENTRIES_PER_CLASS;
    }
    if (s->dynamic) {
        build_class(*table + entries, &dynamic);
        entries += ENTRIES_PER_CLASS;
    }
    return entries;
}
