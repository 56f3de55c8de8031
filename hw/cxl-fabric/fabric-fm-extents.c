/*
 * CXL fabric: dynamic capacity of what a Fabric Manager manages
 *
 * Extents that the core gives to hosts and takes from them, and what hosts
 * answer: docs/fabric-manager.md, "Extents".  Nothing waits for a host but the
 * erasing of what it has.  All of it is the main loop's.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf/access.h"
#include "fabric-fm.h"
#include "trace.h"

struct CXLFabricHold {
    int host;
    CXLFabricPeer *peer;                /* NULL: this process */
    struct cxlf_wire_extent extent;     /* as it is told */
    bool accepted;
    bool taken;                         /* the core has it no longer */
    QTAILQ_ENTRY(CXLFabricHold) next;
};

QEMU_BUILD_BUG_ON(CXLF_FM_LDS != CXLF_EXTENT_HOSTS);

/* Whether the device lets the host reach it. */
static void set_right(CXLFabricFm *fm, const CXLFabricHold *h, bool may)
{
    struct cxlf_router *r = fm->fabric->router;

    cxlf_routes_begin(r);
    cxlf_extent_set(r, h->extent.gfam, h->host, h->extent.start,
                    h->extent.length, may);
    cxlf_routes_end(r);
}

static void tell(CXLFabricFm *fm, CXLFabricHold *h,
                 enum cxlf_extent_what what)
{
    static const char *const name[CXLF_EXTENT_WHATS] = {
        [CXLF_EXTENT_OFFER] = "offer",
        [CXLF_EXTENT_RELEASE] = "release",
        [CXLF_EXTENT_TAKE] = "take",
    };
    struct cxlf_wire_extent w = h->extent;

    w.what = what;
    trace_cxl_fabric_fm_extent(cxl_fabric_id(fm->fabric), w.gfam, h->host,
                               name[what], w.start, w.length, w.token);
    if (!h->peer) {
        cxl_fabric_hear_extent(fm->fabric, &w);     /* may end @h */
    } else {
        cxl_fabric_tell_peer(h->peer, CXLF_WIRE_EXTENT, &w, sizeof(w));
    }
}

/* The last offer, with @more behind it. */
static void tell_offer(CXLFabricFm *fm, bool more)
{
    CXLFabricHold *h = fm->offer;

    fm->offer = NULL;
    if (h) {
        h->extent.more = more;
        tell(fm, h, CXLF_EXTENT_OFFER);
    }
}

void cxl_fabric_fm_tell_offers(CXLFabricFm *fm)
{
    tell_offer(fm, false);
}

static void on_add(CXLFabricFm *fm, const struct cxlf_fm_event *event)
{
    CXLFabricPeer *peer;
    CXLFabricHold *h;

    if (!cxl_fabric_fm_find_process(fm, event->a, &peer)) {
        cxlf_fm_dc_answer(fm->core, event->component, event->a, event->start,
                          event->length, false);
        return;
    }
    h = g_new0(CXLFabricHold, 1);
    h->host = event->a;
    h->peer = peer;
    h->extent = (struct cxlf_wire_extent) {
        .gfam = event->component - fm->switches, .start = event->start,
        .length = event->length, .token = ++fm->token,
        .sequence = event->sequence,
    };
    memcpy(h->extent.tag, event->tag, sizeof(h->extent.tag));
    QTAILQ_INSERT_TAIL(&fm->holds, h, next);
    set_right(fm, h, true);
    tell_offer(fm, true);       /* a command is about one host and device */
    fm->offer = h;
}

/* What the core says that @host has, or is offered. */
static CXLFabricHold *find_hold(CXLFabricFm *fm,
                                const struct cxlf_fm_event *event)
{
    CXLFabricHold *h;

    QTAILQ_FOREACH(h, &fm->holds, next) {
        if (!h->taken && h->host == event->a &&
            h->extent.gfam + fm->switches == event->component &&
            h->extent.start == event->start &&
            h->extent.length == event->length) {
            break;
        }
    }
    return h;
}

void cxl_fabric_fm_extent_event(CXLFabricFm *fm,
                                const struct cxlf_fm_event *event)
{
    CXLFabricHold *h;

    if (event->type == CXLF_FM_DC_ADD) {
        on_add(fm, event);
        return;
    }
    /* With one size of blocks a region does not change. */
    h = event->type == CXLF_FM_REGION_CHANGED ? NULL : find_hold(fm, event);
    if (h && event->type == CXLF_FM_DC_RELEASE) {
        tell(fm, h, CXLF_EXTENT_RELEASE);
    } else if (h) {
        h->taken = true;
        set_right(fm, h, false);
        cxl_fabric_ring_all(fm->fabric);
        tell(fm, h, CXLF_EXTENT_TAKE);
    }
}

bool cxl_fabric_fm_is_held(CXLFabricFm *fm, uint32_t gfam, uint64_t start,
                           uint64_t size)
{
    CXLFabricHold *h;

    QTAILQ_FOREACH(h, &fm->holds, next) {
        if (h->extent.gfam == gfam && h->extent.start < start + size &&
            start < h->extent.start + h->extent.length) {
            return true;
        }
    }
    return false;
}

/* Nothing in the host reaches it. */
static void end(CXLFabricFm *fm, CXLFabricHold *h)
{
    unsigned component = h->extent.gfam + fm->switches;

    QTAILQ_REMOVE(&fm->holds, h, next);
    if (fm->offer == h) {
        fm->offer = NULL;
    }
    if (!h->taken) {
        set_right(fm, h, false);
    }
    if (h->accepted && !h->taken) {
        cxlf_fm_dc_give_back(fm->core, component, h->host, h->extent.start,
                             h->extent.length);
    } else if (!h->taken) {
        cxlf_fm_dc_answer(fm->core, component, h->host, h->extent.start,
                          h->extent.length, false);
    }
    g_free(h);
    cxl_fabric_fm_erase_more(fm);
}

static CXLFabricHold *find_answered(CXLFabricFm *fm,
                                    const CXLFabricPeer *peer,
                                    uint64_t token)
{
    CXLFabricHold *h;

    QTAILQ_FOREACH(h, &fm->holds, next) {
        if (h->peer == peer && h->extent.token == token) {
            break;
        }
    }
    return h;
}

void cxl_fabric_fm_extent_answered(CXLFabric *f, CXLFabricPeer *peer,
                                   const struct cxlf_wire_extent_answer *w)
{
    CXLFabricFm *fm = f->fm && f->fm->core ? f->fm : NULL;
    CXLFabricHold *h = fm ? find_answered(fm, peer, w->token) : NULL;

    trace_cxl_fabric_fm_extent_answer(cxl_fabric_id(f), w->token, w->what,
                                      h != NULL);
    if (!h) {
        return;                 /* what crossed a message of ours */
    }
    switch (w->what) {
    case CXLF_EXTENT_ACCEPTED:
        if (!h->accepted && !h->taken) {
            h->accepted = cxlf_fm_dc_answer(fm->core, h->extent.gfam +
                                            fm->switches, h->host,
                                            h->extent.start,
                                            h->extent.length, true);
        }
        break;
    case CXLF_EXTENT_REFUSED:
        if (!h->accepted) {
            end(fm, h);
        }
        break;
    case CXLF_EXTENT_GIVEN_BACK:
        if (h->accepted) {
            end(fm, h);
        }
        break;
    case CXLF_EXTENT_GONE:
        if (h->taken) {
            end(fm, h);
        }
        break;
    }
}

void cxl_fabric_fm_extents_gone(CXLFabricFm *fm, CXLFabricPeer *peer)
{
    CXLFabricHold *h, *next;

    QTAILQ_FOREACH_SAFE(h, &fm->holds, next, next) {
        if (h->peer == peer) {
            end(fm, h);
        }
    }
}

void cxl_fabric_fm_drop_holds(CXLFabricFm *fm)
{
    CXLFabricHold *h;

    while ((h = QTAILQ_FIRST(&fm->holds))) {
        QTAILQ_REMOVE(&fm->holds, h, next);
        g_free(h);
    }
}
