/*
 * DPU Edge Coherence Agent: commands on a range of pages
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/host-utils.h"
#include "eca-pager-internal.h"
#include "trace.h"

/* Other hosts may take a page each time before it is looked at. */
#define TRIES 64

enum { PAGE_OPEN, PAGE_DONE, PAGE_FAILED };

static ECAWantKind want_of(uint32_t command)
{
    switch (command) {
    case ECA_PAGES_OWNED:
        return ECA_WANT_OWNED;
    case ECA_PAGES_PROMOTE:
        return ECA_WANT_LINES;
    case ECA_PAGES_DEMOTE:
        return ECA_WANT_MAPPED;
    default:
        return ECA_WANT_SHARED;
    }
}

static bool is_held_so(const ECARange *r, const ECAPage *page)
{
    switch (r->command) {
    case ECA_PAGES_RELEASE:
        return page->held == CXLF_HELD_NOT && !page->asked;
    case ECA_PAGES_PROMOTE:
        return false;               /* its entry tells */
    case ECA_PAGES_OWNED:
    case ECA_PAGES_DEMOTE:
        return page->held == CXLF_HELD_OWNED;
    default:
        return page->held != CXLF_HELD_NOT;
    }
}

static bool is_impossible(const ECARange *r, const struct cxlf_line *entry)
{
    bool lines = r->command == ECA_PAGES_PROMOTE ||
                 r->command == ECA_PAGES_DEMOTE;

    return r->command != ECA_PAGES_RELEASE &&
           (entry->state == CXLF_P || (entry->state == CXLF_L && !lines));
}

/* The largest block at this page that the range has. */
static unsigned order_at(const ECARange *r, unsigned i)
{
    uint64_t number = r->dpa / CXLF_PAGE + i;

    if (r->command == ECA_PAGES_PROMOTE || r->command == ECA_PAGES_DEMOTE) {
        return 0;
    }
    return MIN(MIN(number ? ctz64(number) : CXLF_MAX_ORDER, CXLF_MAX_ORDER),
               31 - clz32(r->pages - i));
}

static void page_done(ECARange *r, unsigned i)
{
    r->state[i] = PAGE_DONE;
    qatomic_set(&r->done, r->done + 1);
}

/*
 * What is next for a page that is not yet as it should be.  The directory is
 * looked at only for what the page itself does not tell.
 */
static void go_on(ECARange *r, ECAPager *p, unsigned i)
{
    uint64_t dpa = r->dpa + (uint64_t)i * CXLF_PAGE;
    ECAPage *page = pager_page_of(p, r->gfam, dpa);
    struct cxlf_line entry;

    if (is_held_so(r, page)) {
        page_done(r, i);
        return;
    }
    if (page->asked) {
        return;
    }
    if (!pager_peek(p, r->gfam, dpa, &entry)) {
        entry = (struct cxlf_line) { .state = CXLF_P };
    }
    if (r->command == ECA_PAGES_PROMOTE && entry.state == CXLF_L) {
        page_done(r, i);
    } else if (is_impossible(r, &entry) || ++r->tries[i] > TRIES) {
        r->state[i] = PAGE_FAILED;
    } else if (r->command == ECA_PAGES_RELEASE) {
        pager_evict(p, r->gfam, dpa, "command");
    } else if (!pager_begin(p, want_of(r->command), r->gfam, dpa,
                            order_at(r, i))) {
        r->state[i] = PAGE_FAILED;
    }
}

/* A round over all pages; returns how many are open. */
static unsigned round_of(ECARange *r, ECAPager *p)
{
    unsigned open = 0;

    for (unsigned i = 0; i < r->pages; i++) {
        if (r->state[i] == PAGE_OPEN) {
            go_on(r, p, i);
            open += r->state[i] == PAGE_OPEN;
        }
    }
    return open + pager_flush_evictions(p);
}

void eca_range_end(ECARange *r, ECAPager *p, uint32_t status)
{
    if (r->active) {
        r->active = false;
        QTAILQ_REMOVE(&p->ranges, r, next);
        trace_eca_range_end(r->command, r->gfam, r->dpa, r->done, status);
        qatomic_store_release(&r->status, status);
        if (r->ended) {
            r->ended(r->opaque);    /* and @r may be started anew */
        }
    }
}

void eca_range_step(ECARange *r, ECAPager *p)
{
    unsigned open = 0;

    if (!r->active) {
        return;
    }
    /* The second round sees what needed no other host. */
    for (int i = 0; i < 2; i++) {
        open = round_of(r, p);
    }
    if (!open || r->command == ECA_PAGES_PREFETCH) {
        eca_range_end(r, p, open || r->done == r->pages ? ECA_COPY_DONE :
                      ECA_COPY_PARTLY);
    }
}

void eca_range_start(ECARange *r, ECAPager *p)
{
    uint64_t hot = p->directory->topology.gfam[r->gfam].hot;

    trace_eca_range(r->command, r->gfam, r->dpa, r->length);
    r->done = 0;
    r->active = true;
    QTAILQ_INSERT_TAIL(&p->ranges, r, next);
    /* Its LD may have gone since it was asked for. */
    if (!eca_has(p->eca, r->gfam, r->dpa, r->length)) {
        eca_range_end(r, p, ECA_COPY_RANGE);
        return;
    }
    if (!(r->command & ~(ECA_COPY_FLUSH | ECA_COPY_INVALIDATE))) {
        r->done = eca_soft_command(p->soft, r->gfam, r->dpa, r->length,
                                   r->command & ECA_COPY_FLUSH,
                                   r->command & ECA_COPY_INVALIDATE);
        eca_range_end(r, p, ECA_COPY_DONE);
        return;
    }
    /* The mode may have changed since it was asked for. */
    if (r->dpa + r->length > hot && eca_soft_is_on(p->soft, r->gfam)) {
        eca_range_end(r, p, ECA_COPY_OFF);
        return;
    }
    r->pages = r->length / CXLF_PAGE;
    memset(r->state, PAGE_OPEN, r->pages);
    memset(r->tries, 0, r->pages);
    if (r->command == ECA_PAGES_RELEASE) {
        pager_release_lines(p, r->gfam, r->dpa, r->pages);
    }
    eca_range_step(r, p);
}
