/*
 * DPU Edge Coherence Agent: pages given up for the software-coherent mode
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "eca-pager-internal.h"
#include "trace.h"

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
void pager_step_evictions(ECAPager *p)
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

bool pager_soft_give_up(void *opaque, uint32_t gfam)
{
    ECAPager *p = opaque;
    uint64_t dpa = p->directory->topology.gfam[gfam].hot;
    unsigned old = p->evictions->len;
    ECAPage *page;
    Request *r;

    QTAILQ_FOREACH(r, &p->requests, next) {
        if (r->gfam == gfam && r->dpa >= dpa) {
            return false;       /* it ends by itself */
        }
    }
    while ((page = eca_pages_next(&p->device[gfam].pages, &dpa)) &&
           p->evictions->len < EVICTIONS) {
        struct cxlf_request evict = {
            .gfam = gfam, .dpa = dpa, .event = CXLF_EVICT, .phase = CXLF_ZAP,
        };

        if (page->held != CXLF_HELD_NOT) {
            g_array_append_val(p->evictions, evict);
        }
        dpa += CXLF_PAGE;
    }
    /* All are zapped before the first is given up. */
    for (unsigned i = old; i < p->evictions->len; i++) {
        cxlf_request_step(&p->agent, &g_array_index(
            p->evictions, struct cxlf_request, i));
    }
    pager_flush_run(p);
    pager_step_evictions(p);
    return p->evictions->len == 0 && !page;
}

void pager_soft_switched(void *opaque, uint32_t gfam)
{
    ECAPager *p = opaque;
    uint64_t hot = p->directory->topology.gfam[gfam].hot, dpa = hot;
    ECAPage *page;

    while ((page = eca_pages_next(&p->device[gfam].pages, &dpa))) {
        page->failed = false;
        pager_set_view(p, gfam, dpa, ECA_VIEW_DIRECT);
        dpa += CXLF_PAGE;
    }
    for (unsigned i = p->sleepers->len; i-- > 0;) {
        Sleeper *s = &g_array_index(p->sleepers, Sleeper, i);

        if (s->gfam == gfam && s->dpa >= hot) {
            g_array_remove_index_fast(p->sleepers, i);
        }
    }
    pager_ask_to_drop_code(p, gfam, hot, p->device[gfam].size - hot);
}

void pager_soft_changed(void *opaque, uint32_t gfam, uint64_t dpa,
                        uint64_t size)
{
    pager_ask_to_drop_code(opaque, gfam, dpa, size);
}

/* Whether that is all about a fault. */
bool pager_soft_fault(ECAPager *p, uint32_t gfam, uint64_t dpa,
                      const ECAFault *f)
{
    Sleeper sleeper = { .thread = f->thread, .gfam = gfam, .dpa = dpa };

    switch (eca_soft_fault(p->soft, gfam, dpa, f)) {
    case ECA_SOFT_NOT:
        return false;
    case ECA_SOFT_WAITS:
        g_array_append_val(p->sleepers, sleeper);
        break;
    case ECA_SOFT_FAILED:
        pager_fail_page(p, gfam, dpa, f->thread);
        break;
    default:
        break;
    }
    return true;
}
