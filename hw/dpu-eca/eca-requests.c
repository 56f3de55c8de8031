/*
 * DPU Edge Coherence Agent: what this host wants of other hosts
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-pager-internal.h"
#include "trace.h"

void pager_end_request(ECAPager *p, Request *r)
{
    Device *d = &p->device[r->gfam];
    unsigned held = 0;

    pager_flush_run(p);
    for (unsigned i = 0; i < r->parts; i++) {
        ECAPage *page = pager_page_of(p, r->gfam, r->part[i].r.dpa);

        held += page->held != CXLF_HELD_NOT;
        if (!r->part[i].mapped || page->waited) {
            /* Who waits for it makes a fault of its own. */
            eca_uffd_wake(&p->uffd, d->front + r->part[i].r.dpa, CXLF_PAGE);
        }
        page->asked = page->unmapped = page->waited = false;
    }
    trace_eca_request_end(p->host, r->kind, r->gfam, r->needed, r->parts,
                          held);
    pager_forget_sleepers(p, r->gfam, r->dpa, r->end);
    QTAILQ_REMOVE(&p->requests, r, next);
    g_free(r);
    WITH_QEMU_LOCK_GUARD(&p->lock) {
        qemu_cond_broadcast(&p->ended);
    }
}

/*
 * What to ask for a page that is read: all of it, if nobody has it or if
 * this kernel cannot map a page read-only.
 */
static enum cxlf_event event_of(ECAPager *p, ECAWantKind kind,
                                const struct cxlf_line *entry)
{
    switch (kind) {
    case ECA_WANT_LINES:
        return CXLF_PROMOTE;
    case ECA_WANT_MAPPED:
        return entry->state == CXLF_L ? CXLF_RECALL : CXLF_OWN;
    case ECA_WANT_SHARED:
        return entry->state == CXLF_I || !p->uffd.can_share ? CXLF_OWN :
               CXLF_LOAD;
    default:
        return CXLF_OWN;
    }
}

/* Whether a neighbour costs no more messages than the page itself. */
static bool is_cheap(const struct cxlf_line *page,
                     const struct cxlf_line *neighbour)
{
    return neighbour->state == CXLF_I ||
           (neighbour->state == page->state &&
            neighbour->holders == page->holders);
}

static Request *new_request(ECAPager *p, ECAWantKind kind, uint32_t gfam,
                            uint64_t dpa, unsigned order)
{
    uint64_t base = dpa & ~((CXLF_PAGE << order) - 1ull);
    unsigned parts = (base + (CXLF_PAGE << order) - dpa) / CXLF_PAGE;
    Request *r = g_malloc0(sizeof(*r) + parts * sizeof(Part));

    r->kind = kind;
    r->gfam = gfam;
    r->dpa = r->needed = dpa;
    r->order = order;
    r->ready = true;
    r->patience_us = PATIENCE_US;
    r->look_us = pager_now_us() + r->patience_us;
    return r;
}

static void add_part(ECAPager *p, Request *r, uint64_t dpa,
                     const struct cxlf_line *entry)
{
    ECAPage *page = pager_page_of(p, r->gfam, dpa);
    Part *part = &r->part[r->parts++];

    page->asked = true;
    r->end = dpa + CXLF_PAGE;
    part->r = (struct cxlf_request) {
        .gfam = r->gfam, .dpa = dpa, .event = event_of(p, r->kind, entry),
    };
    r->was_lines |= entry->state == CXLF_L;
    r->open++;
}

/*
 * Begin a request for a page and, as far as that is cheap, for the block
 * that it begins.  Parts need not be neighbours.
 */
Request *pager_begin_request(ECAPager *p, ECAWantKind kind, uint32_t gfam,
                             uint64_t dpa, unsigned order)
{
    ECAPage *page = pager_page_of(p, gfam, dpa);
    struct cxlf_line first, entry;
    uint64_t end;
    Request *r;

    if (page->asked) {
        return NULL;
    }
    if (!pager_peek(p, gfam, dpa, &first)) {
        first = (struct cxlf_line) { .state = CXLF_P };
    }
    if (first.state == CXLF_L || page->failed) {
        order = 0;
    }
    r = new_request(p, kind, gfam, dpa, order);
    end = (dpa & ~((CXLF_PAGE << order) - 1ull)) + (CXLF_PAGE << order);
    end = MIN(end, p->device[gfam].size);
    add_part(p, r, dpa, &first);
    for (uint64_t at = dpa + CXLF_PAGE; at < end; at += CXLF_PAGE) {
        ECAPage *other = pager_page_of(p, gfam, at);

        if (!other->asked && !other->failed &&
            !cxl_fabric_is_reserved(p->fabric, gfam, at) &&
            other->view == page->view &&
            pager_peek(p, gfam, at, &entry) && entry.state != CXLF_L &&
            (order <= p->options.order_min || is_cheap(&first, &entry)) &&
            !pager_is_held(other, event_of(p, kind, &entry))) {
            add_part(p, r, at, &entry);
            other->unmapped = order > p->options.order_min &&
                              at + CXLF_PAGE == end;
        }
    }
    if (r->parts > 1) {
        pager_count(p, gfam, dpa, CXLF_PAGE_PREFETCHED, r->parts - 1);
    }
    QTAILQ_INSERT_TAIL(&p->requests, r, next);
    trace_eca_request(p->host, kind, gfam, dpa, r->parts);
    return r;
}

/* The part has failed; only who needs this page learns of it. */
static void part_failed(ECAPager *p, Request *r, Part *part)
{
    if (r->fault && part->r.dpa == r->needed) {
        pager_flush_run(p);
        pager_fail_sleepers(p, r->gfam, part->r.dpa);
        part->mapped = true;        /* nobody waits for it any more */
    }
    part->over = true;
}

/* Tell how many pages of BULK this host has in lines. */
void pager_set_precise(ECAPager *p)
{
    cxl_fabric_set_precise(p->fabric, p->promoted->len,
                           p->options.precise_quota);
}

static void note_promotion(ECAPager *p, const Request *r)
{
    struct cxlf_log_page page = { .gfam = r->gfam, .dpa = r->needed };

    pager_count(p, r->gfam, r->needed, CXLF_PROMOTION, 1);
    trace_eca_promote(p->host, r->gfam, r->needed);
    if (r->needed >= p->directory->topology.gfam[r->gfam].hot) {
        g_array_append_val(p->promoted, page);
        pager_set_precise(p);
    }
}

/* The home has answered a request. */
static void charge_answer(ECAPager *p, const Request *r, const Part *part)
{
    cxl_fabric_charge_page(p->lane, r->gfam, part->r.dpa);
}

/* One step succeeded for good: what does the part need next? */
static void part_done(ECAPager *p, Request *r, Part *part)
{
    if (part->r.event == CXLF_RECALL) {
        /* It is no page of lines any more: now own it. */
        charge_answer(p, r, part);
        pager_count(p, r->gfam, part->r.dpa, CXLF_DEMOTION, 1);
        trace_eca_demote(p->host, r->gfam, part->r.dpa, r->kind);
        part->r = (struct cxlf_request) {
            .gfam = r->gfam, .dpa = part->r.dpa, .event = CXLF_OWN,
        };
        return;
    }
    part->over = true;
    part->mapped = p->mapped;
    if (r->kind == ECA_WANT_MAPPED) {
        pager_set_view(p, r->gfam, part->r.dpa, ECA_VIEW_DIRECT);
    } else if (r->fault && r->was_lines) {
        /* Its other users have it in lines; from now on this one, too. */
        pager_set_view(p, r->gfam, part->r.dpa, ECA_VIEW_TRAPPED);
    }
}

/* The page is tracked by lines. */
static void part_lines(ECAPager *p, Request *r, Part *part)
{
    if (r->kind == ECA_WANT_LINES) {
        note_promotion(p, r);
        part->over = true;
    } else if ((r->fault && part->r.dpa == r->needed) ||
               r->kind == ECA_WANT_MAPPED) {
        r->was_lines = true;
        part->r = (struct cxlf_request) {
            .gfam = r->gfam, .dpa = part->r.dpa, .event = CXLF_RECALL,
        };
    } else {
        part->over = true;
    }
}

/* Note whom to post to, instead of the core: one message for a block. */
static void take_posts(ECAPager *p, Part *part)
{
    unsigned hosts = p->directory->topology.hosts;

    CXLF_FOR_EACH_HOST(host, part->r.to_post, hosts) {
        set_bit(host, p->posting);
        cxl_fabric_charge_snoop(p->lane, part->r.gfam, part->r.dpa, host);
    }
    p->posting_data = part->r.event == CXLF_LOAD;
    part->r.to_post = 0;
    part->r.phase = CXLF_AWAIT;
}

/* The log has no slot: neighbours are left out, the page itself waits. */
static void part_full(ECAPager *p, Request *r, Part *part)
{
    if (part->r.dpa == r->needed) {
        r->ready |= pager_make_room(p);     /* else after its patience */
    } else {
        part->over = true;
    }
}

/*
 * Whether the fabric's switches let this host ask for the page now: if not it
 * fails, or waits while tables change.
 */
static bool may_ask(ECAPager *p, Request *r, Part *part)
{
    bool fails = r->fault && part->r.dpa == r->needed;

    switch (pager_ask_way(p, r->gfam, part->r.dpa, fails)) {
    case CXLF_ROUTE_OK:
        return true;
    case CXLF_ROUTE_BUSY:
        return false;
    default:
        part_failed(p, r, part);
        return false;
    }
}

static void step_part(ECAPager *p, Request *r, Part *part)
{
    for (unsigned i = 0; i < STEPS && !part->over; i++) {
        if (part->r.phase == CXLF_POST && part->r.to_post) {
            take_posts(p, part);
            return;         /* nobody can have answered yet */
        }
        if (part->r.phase == CXLF_ASK && !may_ask(p, r, part)) {
            return;
        }
        if (part->r.phase == CXLF_INSTALL) {
            charge_answer(p, r, part);      /* before anybody sees it */
        }
        p->mapped = false;
        switch (cxlf_request_step(&p->agent, &part->r)) {
        case CXLF_MORE:
            break;
        case CXLF_WAIT:
            return;
        case CXLF_DONE:
            part_done(p, r, part);
            break;
        case CXLF_LINES:
            charge_answer(p, r, part);
            part_lines(p, r, part);
            break;
        case CXLF_FULL:
            part_full(p, r, part);
            return;
        default:
            part_failed(p, r, part);
            break;
        }
    }
    r->ready |= !part->over;    /* there was no end of it */
}

static void step_request(ECAPager *p, Request *r)
{
    r->ready = false;
    for (unsigned i = 0; i < r->parts; i++) {
        Part *part = &r->part[i];

        if (!part->over) {
            step_part(p, r, part);
            r->open -= part->over;
        }
    }
    pager_post_all(p, (struct cxlf_message) {
        .kind = p->posting_data ? CXLF_BISNP_DATA : CXLF_BISNP_INV,
        .gfam = r->gfam, .order = r->order,
        .dpa = r->dpa & ~((CXLF_PAGE << r->order) - 1ull),
    });
    if (!r->open) {
        pager_end_request(p, r);
    }
}

void pager_step_requests(ECAPager *p)
{
    Request *r, *following;

    QTAILQ_FOREACH_SAFE(r, &p->requests, next, following) {
        if (r->ready) {
            step_request(p, r);
        }
    }
    pager_flush_run(p);
}

static void look_again(ECAPager *p, Request *r, int64_t now)
{
    for (unsigned i = 0; i < r->parts; i++) {
        if (!r->part[i].over) {
            cxlf_request_again(&p->agent, &r->part[i].r);
        }
    }
    r->ready = true;
    r->patience_us = MIN(r->patience_us * 2, PATIENCE_MAX_US);
    r->look_us = now + r->patience_us;
}

void pager_look_at_requests(ECAPager *p)
{
    int64_t now = pager_now_us();
    Request *r;

    QTAILQ_FOREACH(r, &p->requests, next) {
        if (now >= r->look_us) {
            look_again(p, r, now);
        }
    }
}

/* All that waits fails: the fabric is gone. */
void pager_fail_requests(ECAPager *p)
{
    Request *r, *following;

    QTAILQ_FOREACH_SAFE(r, &p->requests, next, following) {
        if (r->fault) {
            pager_fail_sleepers(p, r->gfam, r->needed);
            r->part[0].mapped = true;   /* nobody waits for it */
        }
        pager_end_request(p, r);
    }
}
