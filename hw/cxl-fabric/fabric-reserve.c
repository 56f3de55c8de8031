/*
 * CXL fabric: ranges that one host alone may use
 *
 * The owner keeps the table (cxlf/reserve.h).  A member asks it by the join's
 * connection and goes on; the answer comes to its main loop.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "fabric-internal.h"
#include "trace.h"

/* The owner's side */

uint32_t cxl_fabric_table_reserve(CXLFabric *f, uint32_t host,
                                  const struct cxlf_wire_reserve *w)
{
    const struct cxlf_topology *t = &f->directory.topology;
    uint32_t result = CXLF_RESERVE_OK;

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        uint64_t before = cxlf_reserve_changes(f->table);

        if (f->table->host[host].state != CXLF_HOST_UP) {
            return CXLF_RESERVE_NONE;   /* dead, or not yet there */
        }
        switch (w->what) {
        case CXLF_WIRE_RESERVE_MAKE:
            result = cxlf_reserve(f->table, t, host, w->gfam, w->dpa,
                                  w->length);
            break;
        case CXLF_WIRE_RESERVE_DROP:
            result = cxlf_unreserve(f->table, t, host, w->gfam, w->dpa,
                                    w->length);
            break;
        default:
            cxlf_unreserve_all(f->table, host);
            break;
        }
        if (cxlf_reserve_changes(f->table) == before) {
            return result;
        }
    }
    trace_cxl_fabric_reserve(cxl_fabric_id(f), host, w->what, w->gfam,
                             w->dpa, w->length);
    cxl_fabric_ring_all(f);
    return result;
}

void cxl_fabric_drop_reserved(CXLFabric *f, uint32_t gfam, uint64_t dpa,
                              uint64_t length)
{
    const struct cxlf_topology *t = &f->directory.topology;
    g_autofree struct cxlf_reservation *list =
        g_new(struct cxlf_reservation, CXLF_RESERVATIONS);
    bool dropped = false;

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        unsigned n = cxlf_reserve_list(f->table, t, list);

        for (unsigned i = 0; i < n; i++) {
            const struct cxlf_reservation *r = &list[i];

            /* Also what is in a neighbour, if it is one range. */
            if (r->gfam == gfam && r->dpa < dpa + length &&
                dpa < r->dpa + r->length) {
                cxlf_unreserve(f->table, t, r->host, gfam, r->dpa, r->length);
                dropped = true;
            }
        }
    }
    if (dropped) {
        cxl_fabric_ring_all(f);
    }
}

/* The host's side */

static void ask(CXLFabric *f, struct cxlf_wire_reserve w)
{
    struct iovec iov = { .iov_base = &w, .iov_len = sizeof(w) };

    if (f->kind != CXL_FABRIC_MEMBER) {
        f->reserve_result = cxl_fabric_table_reserve(f, f->self, &w);
        return;
    }
    f->reserve_result = CXL_FABRIC_RESERVE_BUSY;
    f->reserve_token++;
    w.token = f->reserve_token;
    if (!cxl_fabric_send(f->channel, CXLF_WIRE_RESERVE, &iov, 1, NULL, 0,
                         NULL)) {
        f->reserve_result = CXL_FABRIC_RESERVE_LOST;
    }
}

void cxl_fabric_reserve(CXLFabric *f, bool reserve, uint32_t gfam,
                        uint64_t dpa, uint64_t length)
{
    if (!cxl_fabric_is_up(f)) {
        f->reserve_result = CXL_FABRIC_RESERVE_LOST;
        return;
    }
    f->may_have_reserved |= reserve;
    ask(f, (struct cxlf_wire_reserve) {
        .what = reserve ? CXLF_WIRE_RESERVE_MAKE : CXLF_WIRE_RESERVE_DROP,
        .gfam = gfam, .dpa = dpa, .length = length,
    });
}

void cxl_fabric_unreserve_all(CXLFabric *f)
{
    if (f->may_have_reserved && cxl_fabric_is_up(f)) {
        ask(f, (struct cxlf_wire_reserve) {
            .what = CXLF_WIRE_RESERVE_DROP_ALL,
        });
    }
    f->may_have_reserved = false;
    f->reserve_result = CXLF_RESERVE_OK;
}

void cxl_fabric_unreserve_in(CXLFabric *f, uint32_t gfam, uint64_t dpa,
                             uint64_t size)
{
    /* Nobody has the token 0, so the answer is not taken for another's. */
    struct cxlf_wire_reserve w = {
        .what = CXLF_WIRE_RESERVE_DROP, .gfam = gfam, .dpa = dpa,
        .length = size,
    };
    struct iovec iov = { .iov_base = &w, .iov_len = sizeof(w) };

    if (!f->may_have_reserved || !cxl_fabric_is_up(f)) {
        return;
    }
    if (f->kind == CXL_FABRIC_MEMBER) {
        cxl_fabric_send(f->channel, CXLF_WIRE_RESERVE, &iov, 1, NULL, 0,
                        NULL);
    } else {
        cxl_fabric_table_reserve(f, f->self, &w);
    }
}

int cxl_fabric_reserve_result(CXLFabric *f)
{
    return f->reserve_result == CXL_FABRIC_RESERVE_BUSY &&
           !cxl_fabric_is_up(f) ? CXL_FABRIC_RESERVE_LOST :
           f->reserve_result;
}

void cxl_fabric_add_reserve_notifier(CXLFabric *f, Notifier *n)
{
    notifier_list_add(&f->reserve_notifiers, n);
}

void cxl_fabric_hear_reserved(CXLFabric *f,
                              const struct cxlf_wire_reserved *w)
{
    if (w->token == f->reserve_token &&
        f->reserve_result == CXL_FABRIC_RESERVE_BUSY) {
        f->reserve_result = w->result;
        notifier_list_notify(&f->reserve_notifiers, f);
    }
}

uint64_t cxl_fabric_reserve_changes(CXLFabric *f)
{
    return cxlf_reserve_changes(f->table);
}

unsigned cxl_fabric_reserve_list(CXLFabric *f,
                                 struct cxlf_reservation *list)
{
    return cxlf_reserve_list(f->table, &f->directory.topology, list);
}

bool cxl_fabric_is_reserved(CXLFabric *f, uint32_t gfam, uint64_t dpa)
{
    return cxlf_is_reserved(f->table, f->self, gfam, dpa);
}
