/*
 * DPU Edge Coherence Agent: what trapped accesses and commands want of pages
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-pager-internal.h"
#include "trace.h"

static void sweep_promoted(ECAPager *p)
{
    for (unsigned i = p->promoted->len; i-- > 0;) {
        struct cxlf_log_page *page =
            &g_array_index(p->promoted, struct cxlf_log_page, i);
        struct cxlf_line entry;

        if (pager_peek(p, page->gfam, page->dpa, &entry) &&
            entry.state != CXLF_L) {
            g_array_remove_index_fast(p->promoted, i);
        }
    }
    pager_set_precise(p);
}

static bool is_hot(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return dpa < p->directory->topology.gfam[gfam].hot;
}

/* BULK pages of lines, with those that will be. */
static unsigned precise_pages(ECAPager *p)
{
    unsigned n = p->promoted->len;
    Request *r;

    QTAILQ_FOREACH(r, &p->requests, next) {
        n += r->kind == ECA_WANT_LINES && !is_hot(p, r->gfam, r->dpa);
    }
    return n;
}

/* Whether the quota has room for a page of lines. */
static bool may_promote(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    if (is_hot(p, gfam, dpa)) {
        return true;
    }
    if (precise_pages(p) >= p->options.precise_quota) {
        sweep_promoted(p);
    }
    if (precise_pages(p) >= p->options.precise_quota) {
        pager_count(p, gfam, dpa, CXLF_PROMOTION_REFUSED, 1);
        trace_eca_promote_refused(p->host, gfam, dpa, "quota");
        return false;
    }
    return true;
}

/* Each is of some vCPU, so none stands for another. */
static bool is_news(ECAWantKind kind)
{
    return kind == ECA_WANT_RESTORED || kind == ECA_WANT_CHECKED;
}

static void take_news(ECAPager *p, const Want *w)
{
    if (w->kind == ECA_WANT_RESTORED) {
        pager_restore_page(p, w->gfam, w->dpa);
    } else {
        pager_forget_failing(p, w->gfam, w->dpa);
    }
}

static void take_want(ECAPager *p, const Want *w)
{
    ECAPage *page = pager_page_of(p, w->gfam, w->dpa);

    if (!eca_has(p->eca, w->gfam, w->dpa, CXLF_PAGE)) {
        return;
    }
    if (!is_hot(p, w->gfam, w->dpa) && eca_soft_is_on(p->soft, w->gfam)) {
        if (w->kind == ECA_WANT_LINES) {
            pager_count(p, w->gfam, w->dpa, CXLF_PROMOTION_REFUSED, 1);
            trace_eca_promote_refused(p->host, w->gfam, w->dpa, "software");
        }
        pager_set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
        return;
    }
    switch (w->kind) {
    case ECA_WANT_DIRECT:
        pager_set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
        break;
    case ECA_WANT_LINES:
        if (!may_promote(p, w->gfam, w->dpa)) {
            pager_set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
            break;
        }
        pager_begin_request(p, w->kind, w->gfam, w->dpa, 0);
        break;
    case ECA_WANT_MAPPED:
        if (page->held == CXLF_HELD_OWNED) {
            pager_set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
            break;
        }
        /* fall through */
    default:
        pager_begin_request(p, w->kind, w->gfam, w->dpa, 0);
        break;
    }
}

void eca_pager_want(ECAPager *p, uint32_t gfam, uint64_t dpa,
                    ECAWantKind kind)
{
    ECAPage *page;
    Want *w;

    dpa &= ~(CXLF_PAGE - 1ull);
    page = pager_page_of(p, gfam, dpa);
    if (!is_news(kind) && qatomic_xchg(&page->wanted, true)) {
        return;
    }
    w = g_new(Want, 1);
    *w = (Want) { .kind = kind, .gfam = gfam, .dpa = dpa };
    WITH_QEMU_LOCK_GUARD(&p->lock) {
        QSIMPLEQ_INSERT_TAIL(&p->wants, w, next);
    }
    event_notifier_set(&p->kick);
}

void pager_take_wants(ECAPager *p)
{
    QSIMPLEQ_HEAD(, Want) wants = QSIMPLEQ_HEAD_INITIALIZER(wants);
    Want *w;

    WITH_QEMU_LOCK_GUARD(&p->lock) {
        QSIMPLEQ_CONCAT(&wants, &p->wants);
    }
    while ((w = QSIMPLEQ_FIRST(&wants))) {
        QSIMPLEQ_REMOVE_HEAD(&wants, next);
        if (is_news(w->kind)) {
            take_news(p, w);
        } else {
            qatomic_set(&pager_page_of(p, w->gfam, w->dpa)->wanted, false);
            take_want(p, w);
        }
        g_free(w);
    }
}

bool pager_begin(ECAPager *p, ECAWantKind kind, uint32_t gfam, uint64_t dpa,
                 unsigned order)
{
    Request *r;

    if (cxl_fabric_is_reserved(p->fabric, gfam, dpa) ||
        pager_has_no_way(p, gfam, dpa, false)) {
        return false;
    }
    if (kind == ECA_WANT_LINES) {
        if (p->options.by_page || (!is_hot(p, gfam, dpa) &&
                                   !cxlf_can_promote(p->directory, gfam,
                                                     dpa)) ||
            !may_promote(p, gfam, dpa)) {
            return false;
        }
        /* An access by the front would take it back. */
        pager_set_view(p, gfam, dpa, ECA_VIEW_TRAPPED);
    }
    r = pager_begin_request(p, kind, gfam, dpa, order);
    for (unsigned i = 0; r && i < r->parts; i++) {
        pager_page_of(p, gfam, r->part[i].r.dpa)->unmapped = false;
    }
    return true;
}
