/*
 * DPU Edge Coherence Agent: what trapped accesses and commands want of pages
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
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
        return false;
    }
    return true;
}

static void take_want(ECAPager *p, const Want *w)
{
    ECAPage *page = pager_page_of(p, w->gfam, w->dpa);

    if (!is_hot(p, w->gfam, w->dpa) && w->kind != ECA_WANT_RESTORED &&
        eca_soft_is_on(p->soft, w->gfam)) {
        pager_count(p, w->gfam, w->dpa, CXLF_PROMOTION_REFUSED,
                    w->kind == ECA_WANT_LINES);
        pager_set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
        return;
    }
    switch (w->kind) {
    case ECA_WANT_RESTORED:
        pager_restore_page(p, w->gfam, w->dpa);
        break;
    case ECA_WANT_CHECKED:
        pager_forget_failing(p, w->gfam, w->dpa);
        break;
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

void pager_take_wants(ECAPager *p)
{
    QSIMPLEQ_HEAD(, Want) wants = QSIMPLEQ_HEAD_INITIALIZER(wants);
    Want *w;

    WITH_QEMU_LOCK_GUARD(&p->lock) {
        QSIMPLEQ_CONCAT(&wants, &p->wants);
    }
    while ((w = QSIMPLEQ_FIRST(&wants))) {
        QSIMPLEQ_REMOVE_HEAD(&wants, next);
        qatomic_set(&pager_page_of(p, w->gfam, w->dpa)->wanted, false);
        take_want(p, w);
        g_free(w);
    }
}

/* Commands on pages: what eca-range.c rests on */

ECAPage *eca_pager_page(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return pager_page_of(p, gfam, dpa);
}

bool eca_pager_peek(ECAPager *p, uint32_t gfam, uint64_t dpa,
                    struct cxlf_line *entry)
{
    return pager_peek(p, gfam, dpa, entry);
}

bool eca_pager_begin(ECAPager *p, ECAWantKind kind, uint32_t gfam,
                     uint64_t dpa, unsigned order)
{
    Request *r;

    if (cxl_fabric_is_reserved(p->fabric, gfam, dpa)) {
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

void eca_pager_evict(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    struct cxlf_request evict = {
        .gfam = gfam, .dpa = dpa, .event = CXLF_EVICT, .phase = CXLF_ZAP,
    };

    /* No request may map it between the two steps. */
    pager_page_of(p, gfam, dpa)->asked = true;
    cxlf_request_step(&p->agent, &evict);
    g_array_append_val(p->evictions, evict);
}

/* Lines of pages that are tracked by them; of others there are none. */
void eca_pager_release_lines(ECAPager *p, uint32_t gfam, uint64_t dpa,
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

unsigned eca_pager_flush(ECAPager *p)
{
    pager_flush_run(p);
    pager_step_evictions(p);
    pager_step_requests(p);
    return p->evictions->len;
}

/* Give up what is held of a range; false if some is left for later. */
static bool give_up_range(ECAPager *p, const struct cxlf_reservation *range)
{
    ECAPages *pages = &p->device[range->gfam].pages;
    uint64_t dpa = range->dpa;
    bool all = true;
    ECAPage *page;

    while ((page = eca_pages_next(pages, &dpa)) &&
           dpa - range->dpa < range->length) {
        if (page->asked) {
            all = false;        /* when its request has ended */
        } else if (page->held != CXLF_HELD_NOT) {
            if (p->evictions->len >= EVICTIONS) {
                return false;
            }
            eca_pager_evict(p, range->gfam, dpa);
        }
        dpa += CXLF_PAGE;
    }
    return all;
}

/*
 * A page that failed because it is reserved stays private until it is not:
 * between the two steps of restoring it an access could reach its content.
 */
static void restore_pages(ECAPager *p)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        uint64_t dpa = 0;

        while (p->device[i].front &&
               eca_pages_next_failed(&p->device[i].pages, &dpa)) {
            pager_restore_page(p, i, dpa);
            dpa += CXLF_PAGE;
        }
    }
}

void pager_watch_reservations(ECAPager *p)
{
    struct cxlf_reservation list[CXLF_RESERVATIONS];
    uint64_t changes = cxl_fabric_reserve_changes(p->fabric);
    unsigned n;

    if (changes != p->reserve_changes) {
        p->reserve_changes = changes;
        p->giving_up = true;
        restore_pages(p);
    }
    if (!p->giving_up) {
        return;
    }
    p->giving_up = false;
    n = cxl_fabric_reserve_list(p->fabric, list);
    for (unsigned i = 0; i < n; i++) {
        if (list[i].host != p->host && p->device[list[i].gfam].front) {
            p->giving_up |= !give_up_range(p, &list[i]);
        }
    }
    p->giving_up |= eca_pager_flush(p) != 0;
}
