/*
 * DPU Edge Coherence Agent: which memory of a device this host may use
 *
 * All of a device, or those of its logical devices that have endpoints here,
 * and extents of dynamic capacity that the guest has accepted.
 * A device's memory is mapped with the first and stays mapped: what counts is
 * this table, which every access, command and fault is held against.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cxlf/route.h"
#include "eca-events.h"
#include "eca-fail.h"
#include "eca-internal.h"
#include "trace.h"

static uint64_t device_size(ECAState *s, uint32_t gfam)
{
    const struct cxlf_gfam *g =
        &cxl_fabric_directory(s->fabric)->topology.gfam[gfam];

    return g->hot + g->bulk;
}

static bool map_device(ECAState *s, uint32_t gfam, Error **errp)
{
    int fd = cxl_fabric_gfam_fd(s->fabric, gfam);
    uint64_t size = device_size(s, gfam);
    void *back, *front;

    if (s->memory[gfam]) {
        return true;
    }
    back = mmap(NULL, size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (back == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map a GFAM device's memory");
        return false;
    }
    if (s->pager) {
        front = eca_pager_attach(s->pager, gfam, back, fd, errp);
        if (!front) {
            munmap(back, size);
            return false;
        }
        eca_view_init(s, gfam, front);
        s->front[gfam] = front;
    }
    s->memory[gfam] = back;
    return true;
}

void eca_lds_unmap(ECAState *s)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (s->memory[i]) {
            munmap(s->memory[i], device_size(s, i));
            s->memory[i] = NULL;
        }
    }
}

/* @at, of this table, becomes @piece; the agent's thread gives up what goes. */
static void set_piece(ECAState *s, uint32_t gfam, ECAPiece *at,
                      const ECAPiece *piece)
{
    if (s->pager) {
        eca_pager_set_piece(s->pager, gfam, at, piece);
    } else {
        *at = *piece;
    }
}

bool eca_attach_gfam(ECAState *s, uint32_t gfam, uint32_t ld, uint64_t dpa,
                     uint64_t size, Error **errp)
{
    if (!map_device(s, gfam, errp)) {
        return false;
    }
    trace_eca_attach(s->host, gfam, ld, dpa, size);
    set_piece(s, gfam, &s->piece[gfam][ld],
              &(ECAPiece) { .dpa = dpa, .size = size });
    return true;
}

static void drop_piece(ECAState *s, uint32_t gfam, ECAPiece *at)
{
    ECAPiece was = *at;

    set_piece(s, gfam, at, &(ECAPiece) { 0 });
    if (!s->pager && cxl_fabric_is_up(s->fabric)) {
        cxlf_give_up_range(cxl_fabric_directory(s->fabric), s->host, gfam,
                           was.dpa, was.size);
    }
    cxl_fabric_unreserve_in(s->fabric, gfam, was.dpa, was.size);
}

void eca_detach_gfam(ECAState *s, uint32_t gfam, uint32_t ld)
{
    ECAPiece *at = &s->piece[gfam][ld];

    if (at->size) {
        trace_eca_detach(s->host, gfam, ld, at->dpa, at->size);
        drop_piece(s, gfam, at);
    }
}

bool eca_attach_extent(ECAState *s, uint32_t gfam, uint64_t dpa,
                       uint64_t size)
{
    unsigned slot = 0;

    while (slot < s->extents[gfam] && s->extent[gfam][slot].size) {
        slot++;
    }
    if (slot == ECA_EXTENTS) {
        return false;
    }
    s->extents[gfam] = MAX(s->extents[gfam], slot + 1);
    trace_eca_attach_extent(s->host, gfam, dpa, size);
    set_piece(s, gfam, &s->extent[gfam][slot],
              &(ECAPiece) { .dpa = dpa, .size = size });
    return true;
}

void eca_detach_extent(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    for (unsigned i = 0; i < s->extents[gfam]; i++) {
        ECAPiece *at = &s->extent[gfam][i];

        if (at->size && at->dpa == dpa) {
            trace_eca_detach_extent(s->host, gfam, dpa, at->size);
            drop_piece(s, gfam, at);
        }
    }
}

static const ECAPiece *find_piece(const ECAPiece *p, unsigned n, uint64_t dpa)
{
    for (; n; p++, n--) {
        if (dpa - p->dpa < p->size) {
            return p;
        }
    }
    return NULL;
}

static const ECAPiece *ld_piece(const ECAState *s, uint32_t gfam,
                                uint64_t dpa)
{
    return find_piece(s->piece[gfam], CXLF_MAX_LDS, dpa);
}

static const ECAPiece *extent_at(const ECAState *s, uint32_t gfam,
                                 uint64_t dpa)
{
    return find_piece(s->extent[gfam], s->extents[gfam], dpa);
}

int eca_ld_at(const ECAState *s, uint32_t gfam, uint64_t dpa)
{
    const ECAPiece *p = ld_piece(s, gfam, dpa);

    return p ? p - s->piece[gfam] : extent_at(s, gfam, dpa) ? 0 : -1;
}

bool eca_has(const ECAState *s, uint32_t gfam, uint64_t dpa, uint64_t length)
{
    const ECAPiece *p = ld_piece(s, gfam, dpa) ?: extent_at(s, gfam, dpa);

    return p && length <= p->size - (dpa - p->dpa);
}

bool eca_has_or_tell(ECAState *s, uint32_t gfam, uint64_t dpa,
                     uint64_t length)
{
    uint64_t size = device_size(s, gfam);
    bool has = eca_has(s, gfam, dpa, length);

    if (!has && dpa >= size - cxl_fabric_dynamic(s->fabric, gfam) &&
        dpa < size) {
        trace_eca_no_way(s->host, gfam, dpa,
                         cxlf_route_name[CXLF_ROUTE_NO_RIGHT], gfam);
        eca_event_no_way(s, gfam, dpa, CXLF_PAGE, CXLF_ROUTE_NO_RIGHT, gfam);
    }
    return has;
}

bool eca_has_some(const ECAState *s, uint32_t gfam)
{
    for (int i = 0; i < CXLF_MAX_LDS; i++) {
        if (s->piece[gfam][i].size) {
            return true;
        }
    }
    return false;
}
