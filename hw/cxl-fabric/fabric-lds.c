/*
 * CXL fabric object: logical devices (LDs) of this process's host
 *
 * What the owner binds to the host is granted here, and shown to the guest in
 * the slot of its vPPB.  Docs: docs/fabric-manager.md, "Slots".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "system/system.h"
#include "hw/qdev-core.h"
#include "fabric-internal.h"
#include "pbr-slot.h"
#include "trace.h"

/*
 * A guest that boots forgets the attention button, so it is pressed again.
 * Longer than a guest takes from the button to the blinking of the indicator.
 */
#define PRESS_AGAIN_MS 2000

/* What endpoints use */

uint32_t cxl_fabric_lds(CXLFabric *f, uint32_t gfam)
{
    return f->graph ? f->graph->lds[gfam] : 0;
}

bool cxl_fabric_is_mld(CXLFabric *f, uint32_t gfam)
{
    return cxl_fabric_lds(f, gfam) > 0;
}

const CXLFabricGrant *cxl_fabric_ld(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    const CXLFabricGrant *g = &f->grant[gfam][ld];

    return g->granted ? g : NULL;
}

/* Whether there is an endpoint of it. */
static bool is_shown(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    return f->gfam_taken[gfam] & 1u << ld;
}

static void answer(CXLFabric *f, enum cxlf_wire_type type, uint64_t token,
                   enum cxlf_plug_result result)
{
    struct cxlf_wire_plugged w = { .token = token, .result = result };
    struct iovec iov = { .iov_base = &w, .iov_len = sizeof(w) };

    trace_cxl_fabric_plugged(cxl_fabric_id(f), type, token, result);
    if (f->kind != CXL_FABRIC_MEMBER) {
        cxl_fabric_fm_answered(f, NULL, type, &w);
    } else if (cxl_fabric_is_up(f) && f->channel) {
        /* If it does not read, it is told when this process ends. */
        cxl_fabric_send(f->channel, type, &iov, 1, NULL, 0, NULL);
    }
}

void cxl_fabric_ld_gone(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    CXLFabricAsked *asked = &f->asked[gfam][ld];
    uint64_t token = asked->unplug;

    trace_cxl_fabric_ld_gone(cxl_fabric_id(f), gfam, ld, token);
    if (token) {
        asked->unplug = 0;
        f->grant[gfam][ld].granted = false;
        answer(f, CXLF_WIRE_UNPLUGGED, token, CXLF_PLUG_OK);
    }
}

/* Showing */

static bool is_of_fabric(CXLFabric *f, const struct cxlf_wire_plug *w)
{
    const struct cxlf_topology *t = &f->directory.topology;
    uint64_t size;

    if (w->gfam >= t->gfams || w->ld >= cxl_fabric_lds(f, w->gfam)) {
        return false;
    }
    size = t->gfam[w->gfam].hot + t->gfam[w->gfam].bulk;
    return w->size <= size && w->start <= size - w->size;
}

static void grant(CXLFabric *f, const struct cxlf_wire_plug *w)
{
    f->grant[w->gfam][w->ld] = (CXLFabricGrant) {
        .start = w->start, .size = w->size, .vppb = w->vppb, .granted = true,
    };
}

/* Make the endpoint of what is granted, if there is none. */
static enum cxlf_plug_result show(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    uint32_t vppb = f->grant[gfam][ld].vppb;
    PBRSlot *slot = pbr_slot_find(f, vppb);
    Error *err = NULL;

    if (is_shown(f, gfam, ld)) {
        return CXLF_PLUG_OK;
    }
    if (!slot) {
        warn_report("cxl-fabric '%s': LD %u of GFAM device %u is to be shown "
                    "at vPPB %u, and no cxl-pbr-downstream has vppb=%u",
                    cxl_fabric_id(f), ld, gfam, vppb, vppb);
        return CXLF_PLUG_NO_SLOT;
    }
    if (!pbr_slot_plug(slot, gfam, ld, &err)) {
        warn_reportf_err(err, "cxl-fabric '%s': LD %u of GFAM device %u "
                         "cannot be shown at vPPB %u: ", cxl_fabric_id(f), ld,
                         gfam, vppb);
        return CXLF_PLUG_FAILED;
    }
    return CXLF_PLUG_OK;
}

void cxl_fabric_hear_plug(CXLFabric *f, const struct cxlf_wire_plug *w)
{
    enum cxlf_plug_result result = CXLF_PLUG_FAILED;

    trace_cxl_fabric_plug(cxl_fabric_id(f), w->gfam, w->ld, w->start, w->size,
                          w->vppb, w->token);
    if (is_of_fabric(f, w)) {
        bool had = f->grant[w->gfam][w->ld].granted;

        f->asked[w->gfam][w->ld] = (CXLFabricAsked) { 0 };
        /* What an endpoint shows cannot move under it. */
        if (!is_shown(f, w->gfam, w->ld)) {
            grant(f, w);
        }
        result = show(f, w->gfam, w->ld);
        if (result != CXLF_PLUG_OK && !had) {
            f->grant[w->gfam][w->ld].granted = false;
        }
    }
    answer(f, CXLF_WIRE_PLUGGED, w->token, result);
}

static void plug_all(void *opaque)
{
    CXLFabric *f = opaque;

    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        for (uint32_t ld = 0; ld < CXLF_MAX_LDS; ld++) {
            CXLFabricAsked *asked = &f->asked[i][ld];
            uint64_t token = asked->plug;

            if (token) {
                asked->plug = 0;
                answer(f, CXLF_WIRE_PLUGGED, token, show(f, i, ld));
            }
        }
    }
}

/* Behind whatever else waits for the machine: firmware's tables. */
static void on_machine_done(Notifier *n, void *data)
{
    CXLFabric *f = container_of(n, CXLFabric, machine_done);

    qemu_bh_schedule(f->plug_bh);
}

bool cxl_fabric_grant_at_join(CXLFabric *f, const struct cxlf_wire_plug *w)
{
    if (!is_of_fabric(f, w)) {
        return false;
    }
    grant(f, w);
    f->asked[w->gfam][w->ld] = (CXLFabricAsked) { .plug = w->token };
    if (!f->plug_bh) {
        f->plug_bh = qemu_bh_new(plug_all, f);
        f->machine_done.notify = on_machine_done;
        qemu_add_machine_init_done_notifier(&f->machine_done);
    } else if (phase_check(PHASE_MACHINE_READY)) {
        qemu_bh_schedule(f->plug_bh);
    }
    return true;
}

/* Taking away */

static void press_again(void *opaque)
{
    CXLFabric *f = opaque;
    bool more = false;

    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        for (uint32_t ld = 0; ld < CXLF_MAX_LDS; ld++) {
            const CXLFabricAsked *asked = &f->asked[i][ld];
            DeviceState *endpoint;

            if (!asked->unplug || !asked->managed) {
                continue;
            }
            more = true;
            endpoint = pbr_slot_endpoint(f, i, ld);
            if (endpoint) {
                pbr_slot_press(endpoint, NULL);
            }
        }
    }
    if (more) {
        timer_mod(f->press_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                  PRESS_AGAIN_MS);
    }
}

static void press(CXLFabric *f, DeviceState *endpoint, CXLFabricAsked *asked)
{
    uint64_t token = asked->unplug;
    Error *err = NULL;

    if (!pbr_slot_press(endpoint, &err)) {
        warn_reportf_err(err, "cxl-fabric '%s': ", cxl_fabric_id(f));
        asked->unplug = 0;
        answer(f, CXLF_WIRE_UNPLUGGED, token, CXLF_PLUG_FAILED);
        return;
    }
    if (!f->press_timer) {
        f->press_timer = timer_new_ms(QEMU_CLOCK_REALTIME, press_again, f);
    }
    if (!timer_pending(f->press_timer)) {
        timer_mod(f->press_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                  PRESS_AGAIN_MS);
    }
}

void cxl_fabric_hear_unplug(CXLFabric *f, const struct cxlf_wire_unplug *w)
{
    CXLFabricAsked *asked = &f->asked[w->gfam][w->ld];
    DeviceState *endpoint;

    trace_cxl_fabric_unplug(cxl_fabric_id(f), w->gfam, w->ld, w->how,
                            w->token);
    endpoint = is_shown(f, w->gfam, w->ld) ?
               pbr_slot_endpoint(f, w->gfam, w->ld) : NULL;
    *asked = (CXLFabricAsked) {
        .unplug = w->token, .managed = w->how == CXLF_UNPLUG_MANAGED,
    };
    if (!is_shown(f, w->gfam, w->ld)) {
        cxl_fabric_ld_gone(f, w->gfam, w->ld);
    } else if (!endpoint || w->how == CXLF_UNPLUG_WAIT) {
        return;                 /* it is on its way out, or nobody asks */
    } else if (w->how == CXLF_UNPLUG_MANAGED) {
        press(f, endpoint, asked);
    } else {
        pbr_slot_pull(endpoint);
    }
}

void cxl_fabric_drop_lds(CXLFabric *f)
{
    memset(f->grant, 0, sizeof(f->grant));
    memset(f->asked, 0, sizeof(f->asked));
    if (f->plug_bh) {
        qemu_remove_machine_init_done_notifier(&f->machine_done);
        qemu_bh_delete(f->plug_bh);
        f->plug_bh = NULL;
    }
    if (f->press_timer) {
        timer_free(f->press_timer);
        f->press_timer = NULL;
    }
}
