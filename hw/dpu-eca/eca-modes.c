/*
 * DPU Edge Coherence Agent: changes of BULK's mode, as its pages see them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-events.h"
#include "eca-pager-internal.h"

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
    pager_forget_sleepers(p, gfam, hot, p->device[gfam].size);
    pager_ask_to_drop_code(p, gfam, hot, p->device[gfam].size - hot);
}

void pager_soft_changed(void *opaque, uint32_t gfam, uint64_t dpa,
                        uint64_t size)
{
    pager_ask_to_drop_code(opaque, gfam, dpa, size);
}

void pager_soft_conflict(void *opaque, const CXLFabricConflict *conflict)
{
    ECAPager *p = opaque;

    eca_event(p->eca, &(ECAEvent) {
        .kind = ECA_EVENT_CONFLICT, .gfam = conflict->gfam, .count = 1,
        .host = conflict->other < 0 ? ECA_EVENT_NONE : conflict->other,
        .dpa = conflict->dpa, .length = CXLF_LINE,
        .data = { conflict->kind, conflict->operation },
    });
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
