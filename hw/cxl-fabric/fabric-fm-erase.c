/*
 * CXL fabric: memory that a Fabric Manager has erased
 *
 * An LD, or an extent of dynamic capacity, before another host gets it: first
 * its bytes, then its entries (docs/fabric-manager.md, "Where LDs are").  All
 * of it is the main loop's, which serves others between two pieces.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "compat.h"
#include "fabric-fm.h"
#include "trace.h"

/* So much is erased before the main loop turns to others. */
#define PIECE           (4 * MiB)

typedef struct CXLFabricErase {
    uint64_t token;
    CXLFabricLd *ld;        /* NULL: an extent */
    uint32_t gfam;
    uint64_t start, size;   /* DPA of the device, bytes */
    uint64_t done;          /* bytes */
    uint32_t leaf;
    QTAILQ_ENTRY(CXLFabricErase) next;
} CXLFabricErase;

static bool overwrite(CXLFabric *f, uint32_t gfam, uint64_t dpa,
                      uint64_t size)
{
    CXLFabricSegment *s = &f->segment[CXLF_KIND_GFAM][gfam];

    if (s->backend) {
        MemoryRegion *mr = host_memory_backend_get_memory(s->backend);

        memset((char *)memory_region_get_ram_ptr(mr) + dpa, 0, size);
        return true;
    }
    /* Zeros that take no memory, as in a new fabric. */
    return RETRY_ON_EINTR(fallocate(s->fd, FALLOC_FL_PUNCH_HOLE |
                                    FALLOC_FL_KEEP_SIZE, dpa, size)) == 0;
}

typedef enum Progress { GOING_ON, DONE, FAILED } Progress;

static Progress erase_piece(CXLFabric *f, CXLFabricErase *e)
{
    uint64_t piece = MIN(PIECE, e->size - e->done);

    if (e->ld && e->ld->shown) {
        return FAILED;
    }
    if (piece) {
        if (!overwrite(f, e->gfam, e->start + e->done, piece)) {
            return FAILED;
        }
        e->done += piece;
        return GOING_ON;
    }
    if (e->leaf < f->directory.topology.leaves) {
        cxlf_forget_range(&f->directory, e->leaf++, e->gfam, e->start,
                          e->size);
        return GOING_ON;
    }
    cxl_fabric_forget_poison(f, e->gfam, e->start, e->size);
    cxl_fabric_drop_reserved(f, e->gfam, e->start, e->size);
    return DONE;
}

/* The first that need not wait for a host to let go. */
static CXLFabricErase *next_erase(CXLFabricFm *fm)
{
    CXLFabricErase *e;

    QTAILQ_FOREACH(e, &fm->erases, next) {
        if (e->ld ||
            !cxl_fabric_fm_is_held(fm, e->gfam, e->start, e->size)) {
            break;
        }
    }
    return e;
}

static void go_on(void *opaque)
{
    CXLFabricFm *fm = opaque;
    CXLFabricErase *e = next_erase(fm);
    Progress progress;

    if (!e) {
        return;
    }
    progress = erase_piece(fm->fabric, e);
    QTAILQ_REMOVE(&fm->erases, e, next);
    if (progress == GOING_ON) {
        QTAILQ_INSERT_TAIL(&fm->erases, e, next);
    } else {
        trace_cxl_fabric_fm_erase(cxl_fabric_id(fm->fabric), e->gfam,
                                  e->start, e->size, progress == DONE);
        cxlf_fm_complete(fm->core, e->token, progress == DONE);
        g_free(e);
    }
    cxl_fabric_fm_erase_more(fm);
}

void cxl_fabric_fm_erase_more(CXLFabricFm *fm)
{
    if (next_erase(fm)) {
        qemu_bh_schedule(fm->bh);
    }
}

void cxl_fabric_fm_erase(void *opaque, const struct cxlf_fm_memory *memory,
                         uint64_t token)
{
    CXLFabricFm *fm = opaque;
    CXLFabricErase *e = g_new0(CXLFabricErase, 1);

    e->token = token;
    e->gfam = memory->component - fm->switches;
    e->start = memory->start;
    e->size = memory->length;
    if (memory->ld != CXLF_FM_LD_NONE) {
        e->ld = &fm->ld[e->gfam][memory->ld];
        e->start = e->ld->start;
        e->size = e->ld->size;
    }
    if (!fm->bh) {
        fm->bh = qemu_bh_new(go_on, fm);
    }
    QTAILQ_INSERT_TAIL(&fm->erases, e, next);
    cxl_fabric_fm_erase_more(fm);
}

void cxl_fabric_fm_drop_erases(CXLFabricFm *fm)
{
    CXLFabricErase *e;

    while ((e = QTAILQ_FIRST(&fm->erases))) {
        QTAILQ_REMOVE(&fm->erases, e, next);
        g_free(e);
    }
    if (fm->bh) {
        qemu_bh_delete(fm->bh);
    }
}
