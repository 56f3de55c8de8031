/*
 * DPU Edge Coherence Agent: pages that this host gives up by itself
 *
 * For a command of its guest, for a range that another host has reserved,
 * for the software-coherent mode, and for room in its ownership log.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-pager-internal.h"
#include "trace.h"

#define ROOM_LOOK   1024    /* pages that are looked at for one to evict */

void pager_evict(ECAPager *p, uint32_t gfam, uint64_t dpa, const char *why)
{
    struct cxlf_request evict = {
        .gfam = gfam, .dpa = dpa, .event = CXLF_EVICT, .phase = CXLF_ZAP,
    };

    trace_eca_evict(p->host, gfam, dpa, why);
    /* No request may map it between the two steps. */
    pager_page_of(p, gfam, dpa)->asked = true;
    cxlf_request_step(&p->agent, &evict);
    g_array_append_val(p->evictions, evict);
}

/* Lines of pages that are tracked by them; of others there are none. */
void pager_release_lines(ECAPager *p, uint32_t gfam, uint64_t dpa,
                         unsigned pages)
{
    struct cxlf_line entry;

    for (uint64_t at = dpa; at < dpa + pages * CXLF_PAGE; at += CXLF_PAGE) {
        if (!pager_peek(p, gfam, at, &entry) || entry.state != CXLF_L) {
            continue;
        }
        for (unsigned i = 0; i < CXLF_LINES_PER_PAGE; i++) {
            cxlf_access(p->directory, p->host, gfam, at + i * CXLF_LINE,
                        CXLF_EVICT);
        }
    }
}

/* A page was given up; a fault that came meanwhile begins again. */
static void evicted(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    ECAPage *page = pager_page_of(p, gfam, dpa);

    page->asked = false;
    if (page->waited) {
        page->waited = false;
        eca_uffd_wake(&p->uffd, p->device[gfam].front + dpa, CXLF_PAGE);
    }
}

/* Go on with evictions that wait for nothing else. */
static void step_evictions(ECAPager *p)
{
    for (unsigned i = p->evictions->len; i-- > 0;) {
        struct cxlf_request *r = &g_array_index(p->evictions,
                                                struct cxlf_request, i);
        enum cxlf_progress progress = CXLF_MORE;

        for (unsigned n = 0; n < STEPS && progress == CXLF_MORE; n++) {
            progress = cxlf_request_step(&p->agent, r);
        }
        if (progress != CXLF_MORE && progress != CXLF_WAIT) {
            evicted(p, r->gfam, r->dpa);
            g_array_remove_index_fast(p->evictions, i);
        }
    }
}

unsigned pager_flush_evictions(ECAPager *p)
{
    pager_flush_run(p);
    step_evictions(p);
    pager_step_requests(p);
    return p->evictions->len;
}

/* Give up what is held of a range; false if some is left for later. */
static bool give_up(ECAPager *p, uint32_t gfam, uint64_t dpa, uint64_t end,
                    const char *why)
{
    ECAPages *pages = &p->device[gfam].pages;
    bool all = true;
    ECAPage *page;

    while ((page = eca_pages_next(pages, &dpa)) && dpa < end) {
        if (page->asked) {
            all = false;        /* when its request has ended */
        } else if (page->held != CXLF_HELD_NOT) {
            if (p->evictions->len >= EVICTIONS) {
                return false;
            }
            pager_evict(p, gfam, dpa, why);
        }
        dpa += CXLF_PAGE;
    }
    return all;
}

/* Whether a page of the log can be evicted; its owner could write to it. */
static bool may_evict(ECAPager *p, const struct cxlf_log_page *page)
{
    Device *d = &p->device[page->gfam];

    return d->front && page->dpa < d->size &&
           !pager_page_of(p, page->gfam, page->dpa)->asked;
}

bool pager_make_room(ECAPager *p)
{
    struct cxlf_log_page page;

    p->giving_up = true;        /* evictions are gone on with */
    for (unsigned i = 0; i < ROOM_LOOK && !p->evictions->len; i++) {
        if (!cxlf_log_next(p->agent.log, &p->log_cursor, &page, NULL)) {
            p->log_cursor = 0;
        } else if (may_evict(p, &page)) {
            pager_evict(p, page.gfam, page.dpa, "full");
            return true;
        }
    }
    return false;
}

bool pager_soft_give_up(void *opaque, uint32_t gfam)
{
    ECAPager *p = opaque;
    bool all = give_up(p, gfam, p->directory->topology.gfam[gfam].hot,
                       p->device[gfam].size, "mode");

    return pager_flush_evictions(p) == 0 && all;
}

void pager_watch_reservations(ECAPager *p)
{
    struct cxlf_reservation list[CXLF_RESERVATIONS];
    uint64_t changes = cxl_fabric_reserve_changes(p->fabric);
    unsigned n;

    if (changes != p->reserve_changes) {
        p->reserve_changes = changes;
        p->giving_up = true;
    }
    if (!p->giving_up) {
        return;
    }
    p->giving_up = false;
    n = cxl_fabric_reserve_list(p->fabric, list);
    for (unsigned i = 0; i < n; i++) {
        if (list[i].host != p->host && p->device[list[i].gfam].front) {
            p->giving_up |= !give_up(p, list[i].gfam, list[i].dpa,
                                     list[i].dpa + list[i].length,
                                     "reserved");
        }
    }
    p->giving_up |= pager_flush_evictions(p) != 0;
}
