/*
 * DPU Edge Coherence Agent: ways of the fabric's switches to pages
 *
 * A page whose way has failed stays held, but it is taken out of the front:
 * its accesses fault, and fail, until there is a way again.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-events.h"
#include "eca-pager-internal.h"
#include "trace.h"

/* Without a home where BULK is coherent by software. */
enum cxlf_route_result pager_ask_way(ECAPager *p, uint32_t gfam,
                                     uint64_t dpa, bool tell)
{
    bool soft = dpa >= p->directory->topology.gfam[gfam].hot &&
                eca_soft_is_on(p->soft, gfam);
    uint16_t where = 0;
    enum cxlf_route_result result =
        cxl_fabric_lane_ask(p->lane, soft ? CXLF_UNITS : CXLF_PAGE_UNIT,
                            gfam, dpa, &where);

    if (result == CXLF_ROUTE_OK) {
        return result;
    }
    trace_eca_no_way(p->host, gfam, dpa, cxlf_route_name[result], where);
    if (tell && result != CXLF_ROUTE_BUSY) {
        eca_event_no_way(p->eca, gfam, dpa, CXLF_PAGE, result, where);
    }
    return result;
}

bool pager_has_no_way(ECAPager *p, uint32_t gfam, uint64_t dpa, bool tell)
{
    enum cxlf_route_result result = pager_ask_way(p, gfam, dpa, tell);

    return result != CXLF_ROUTE_OK && result != CXLF_ROUTE_BUSY;
}

static void hide_pages(ECAPager *p, uint32_t gfam)
{
    Device *d = &p->device[gfam];
    uint64_t dpa = 0;
    ECAPage *page;

    while ((page = eca_pages_next(&d->pages, &dpa))) {
        if (page->held != CXLF_HELD_NOT && !page->sampled && !page->failed &&
            pager_has_no_way(p, gfam, dpa, false)) {
            page->sampled = true;
            eca_uffd_zap(d->front + dpa, CXLF_PAGE);
            pager_ask_to_drop_code(p, gfam, dpa, CXLF_PAGE);
        }
        dpa += CXLF_PAGE;
    }
}

void pager_watch_ways(ECAPager *p)
{
    uint64_t changes = cxl_fabric_link_changes(p->fabric);

    if (changes == p->way_changes) {
        return;
    }
    p->way_changes = changes;
    pager_flush_run(p);
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (p->device[i].front) {
            hide_pages(p, i);
        }
    }
}
