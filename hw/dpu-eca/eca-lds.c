/*
 * DPU Edge Coherence Agent: which memory of a device this host may use
 *
 * All of a device, or those of its logical devices that have endpoints here.
 * A device's memory is mapped with the first and stays mapped: what counts is
 * this table, which every access, command and fault is held against.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
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

/* The agent's thread gives up what goes. */
static void set_piece(ECAState *s, uint32_t gfam, uint32_t ld,
                      const ECAPiece *piece)
{
    if (s->pager) {
        eca_pager_set_piece(s->pager, gfam, ld, piece);
    } else {
        s->piece[gfam][ld] = *piece;
    }
}

bool eca_attach_gfam(ECAState *s, uint32_t gfam, uint32_t ld, uint64_t dpa,
                     uint64_t size, Error **errp)
{
    if (!map_device(s, gfam, errp)) {
        return false;
    }
    trace_eca_attach(s->host, gfam, ld, dpa, size);
    set_piece(s, gfam, ld, &(ECAPiece) { .dpa = dpa, .size = size });
    return true;
}

void eca_detach_gfam(ECAState *s, uint32_t gfam, uint32_t ld)
{
    ECAPiece was = s->piece[gfam][ld];

    if (!was.size) {
        return;
    }
    trace_eca_detach(s->host, gfam, ld, was.dpa, was.size);
    set_piece(s, gfam, ld, &(ECAPiece) { 0 });
    if (!s->pager && cxl_fabric_is_up(s->fabric)) {
        cxlf_give_up_range(cxl_fabric_directory(s->fabric), s->host, gfam,
                           was.dpa, was.size);
    }
    cxl_fabric_unreserve_in(s->fabric, gfam, was.dpa, was.size);
}

int eca_ld_at(const ECAState *s, uint32_t gfam, uint64_t dpa)
{
    for (int i = 0; i < CXLF_MAX_LDS; i++) {
        const ECAPiece *p = &s->piece[gfam][i];

        if (dpa - p->dpa < p->size) {
            return i;
        }
    }
    return -1;
}

bool eca_has(const ECAState *s, uint32_t gfam, uint64_t dpa, uint64_t length)
{
    int ld = eca_ld_at(s, gfam, dpa);

    return ld >= 0 && length <= s->piece[gfam][ld].size -
                                (dpa - s->piece[gfam][ld].dpa);
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
