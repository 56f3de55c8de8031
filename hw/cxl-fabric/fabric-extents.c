/*
 * CXL fabric object: dynamic capacity of this process's host
 *
 * What the owner says of extents goes to the endpoint of their device, which
 * answers; where there is none the host can have none.
 * Docs: docs/fabric-manager.md, "Extents".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "fabric-internal.h"
#include "trace.h"

uint64_t cxl_fabric_dynamic(CXLFabric *f, uint32_t gfam)
{
    return f->graph ? f->graph->dynamic[gfam] : 0;
}

void cxl_fabric_answer_extent(CXLFabric *f, uint64_t token,
                              enum cxlf_extent_answer what)
{
    struct cxlf_wire_extent_answer w = { .token = token, .what = what };
    struct iovec iov = { .iov_base = &w, .iov_len = sizeof(w) };

    trace_cxl_fabric_extent_answer(cxl_fabric_id(f), token, what);
    if (f->kind != CXL_FABRIC_MEMBER) {
        cxl_fabric_fm_extent_answered(f, NULL, &w);
    } else if (cxl_fabric_is_up(f) && f->channel) {
        /* If it does not read, it is told when this process ends. */
        cxl_fabric_send(f->channel, CXLF_WIRE_EXTENT_ANSWER, &iov, 1, NULL, 0,
                        NULL);
    }
}

void cxl_fabric_listen_extents(CXLFabric *f, uint32_t gfam,
                               CXLFabricExtentFunction *function,
                               void *opaque)
{
    f->extents[gfam].function = function;
    f->extents[gfam].opaque = opaque;
}

static bool is_of_fabric(CXLFabric *f, const struct cxlf_wire_extent *w)
{
    const struct cxlf_topology *t = &f->directory.topology;
    uint64_t end, size;

    if (w->gfam >= t->gfams) {
        return false;
    }
    end = t->gfam[w->gfam].hot + t->gfam[w->gfam].bulk;
    size = cxl_fabric_dynamic(f, w->gfam);
    return w->start >= end - size && w->start <= end &&
           w->length <= end - w->start;
}

void cxl_fabric_hear_extent(CXLFabric *f, const struct cxlf_wire_extent *w)
{
    trace_cxl_fabric_extent(cxl_fabric_id(f), w->gfam, w->what, w->start,
                            w->length, w->token);
    if (is_of_fabric(f, w) && f->extents[w->gfam].function) {
        f->extents[w->gfam].function(f->extents[w->gfam].opaque, w);
    } else if (w->what != CXLF_EXTENT_RELEASE) {
        cxl_fabric_answer_extent(f, w->token, w->what == CXLF_EXTENT_OFFER ?
                                 CXLF_EXTENT_REFUSED : CXLF_EXTENT_GONE);
    }
}
