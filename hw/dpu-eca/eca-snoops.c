/*
 * DPU Edge Coherence Agent: messages of other hosts, and pages they take
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-events.h"
#include "eca-pager-internal.h"
#include "trace.h"

static void ring(ECAPager *p, unsigned host)
{
    int fd = cxl_fabric_doorbell_fd(p->fabric, host);
    uint64_t one = 1;

    pager_count(p, 0, 0, CXLF_DOORBELL, 1);
    /* EAGAIN says that it rings already. */
    (void)!write(fd, &one, sizeof(one));
}

void pager_io_wake(void *opaque, unsigned host)
{
    ECAPager *p = opaque;

    pager_count(p, 0, 0, CXLF_MESSAGE, 1);
    ring(p, host);
}

static void post(ECAPager *p, unsigned host, struct cxlf_message m)
{
    struct cxlf_home home;

    if (cxlf_topology_home(&p->directory->topology, CXLF_PAGE_UNIT, m.gfam,
                           m.dpa, &home) &&
        cxlf_post(&p->directory->leaf[home.leaf].mailboxes[host], m)) {
        trace_eca_post(p->host, host, m.kind, m.gfam, m.dpa, m.order);
        pager_count(p, m.gfam, m.dpa, CXLF_MESSAGE, 1);
        ring(p, host);
    }
}

void pager_post_all(ECAPager *p, struct cxlf_message m)
{
    unsigned hosts = p->directory->topology.hosts;

    for (unsigned host = find_first_bit(p->posting, hosts); host < hosts;
         host = find_next_bit(p->posting, hosts, host + 1)) {
        clear_bit(host, p->posting);
        post(p, host, m);
    }
}

static void add_snoop(ECAPager *p, struct cxlf_message m)
{
    Snoop *s;
    Request *r;

    /* What has been granted is mapped before it is taken away. */
    QTAILQ_FOREACH(r, &p->requests, next) {
        if (pager_overlap(r, m.gfam, m.dpa, CXLF_PAGE << m.order)) {
            r->ready = true;
        }
    }
    QTAILQ_FOREACH(s, &p->snoops, next) {
        if (s->gfam == m.gfam && s->dpa == m.dpa && s->order == m.order) {
            return;
        }
    }
    s = g_new0(Snoop, 1);
    s->gfam = m.gfam;
    s->dpa = m.dpa;
    s->order = m.order;
    QTAILQ_INSERT_TAIL(&p->snoops, s, next);
}

static void tell(ECAPager *p, ECAEventKind kind, uint32_t gfam, uint64_t dpa,
                 uint64_t length)
{
    eca_event(p->eca, &(ECAEvent) {
        .kind = kind, .host = ECA_EVENT_NONE, .gfam = gfam, .count = 1,
        .dpa = dpa, .length = length,
    });
}

static void tell_lost(ECAPager *p, uint32_t gfam, uint64_t from, uint64_t to)
{
    if (from < to) {
        tell(p, ECA_EVENT_OWNERSHIP, gfam, from, to - from);
    }
}

/* Another host took a page. */
static void page_lost(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    const struct cxlf_gfam *g = &p->directory->topology.gfam[gfam];
    ECAPage *page = pager_page_of(p, gfam, dpa);
    bool contested;

    p->lost_pages++;
    eca_hot_event(p->eca, gfam, dpa, page->held == CXLF_HELD_NOT);
    eca_streams_lost(&p->streams, gfam, dpa,
                     p->options.order_min,
                     eca_pages_order(&p->device[gfam].pages, dpa));
    contested = eca_policy_lost(page, p->now_us, p->options.promote_after);
    trace_eca_revoke(p->host, gfam, dpa, page->held, contested);
    /* Its lines may show nothing of the other: it may use some alone. */
    qatomic_set(&page->conflict_ms, p->now_us / 1000);
    if (dpa < g->hot) {
        pager_set_view(p, gfam, dpa, ECA_VIEW_TRAPPED);
    } else if (contested && cxlf_can_promote(p->directory, gfam, dpa)) {
        pager_set_view(p, gfam, dpa, ECA_VIEW_TRAPPED);
    }
}

/* Take a block away as far as its time has come; how long the rest has. */
static int64_t serve_snoop(ECAPager *p, const Snoop *s)
{
    struct cxlf_snoop step[1 << CXLF_MAX_ORDER];
    unsigned hosts = p->directory->topology.hosts, steps = 0;
    uint64_t lost_from = 0, lost_to = 0;
    int64_t now = p->now_us, later = 0;

    for (unsigned i = 0; i < 1u << s->order; i++) {
        uint64_t dpa = s->dpa + (uint64_t)i * CXLF_PAGE;
        ECAPage *page = pager_page_of(p, s->gfam, dpa);
        enum cxlf_held held = page->held;
        int64_t left = eca_policy_hold_left(page, now);

        step[steps] = (struct cxlf_snoop) { .gfam = s->gfam, .dpa = dpa };
        if (left > 0) {
            struct cxlf_line entry;

            if (pager_peek(p, s->gfam, dpa, &entry) &&
                cxlf_is_transient(entry.state) &&
                cxlf_set_has(entry.holders, p->host, hosts)) {
                trace_eca_hold(p->host, s->gfam, dpa, left);
                later = MAX(later, left);
            }
        } else if (cxlf_snoop_step(&p->agent, &step[steps]) == CXLF_MORE) {
            if (held != CXLF_HELD_NOT) {
                page_lost(p, s->gfam, dpa);
                if (dpa != lost_to) {
                    tell_lost(p, s->gfam, lost_from, lost_to);
                    lost_from = dpa;
                }
                lost_to = dpa + CXLF_PAGE;
            }
            steps++;
        }
    }
    pager_flush_run(p);
    if (p->lost_pages) {
        pager_count(p, s->gfam, s->dpa, CXLF_PAGE_REVOKED, p->lost_pages);
        p->lost_pages = 0;
    }
    tell_lost(p, s->gfam, lost_from, lost_to);
    if (steps) {
        tell(p, ECA_EVENT_BISNP, s->gfam, s->dpa, CXLF_PAGE << s->order);
    }
    for (unsigned i = 0; i < steps; i++) {
        unsigned tries = 0;

        while (cxlf_snoop_step(&p->agent, &step[i]) == CXLF_MORE &&
               tries++ < STEPS) {
            continue;
        }
        if (step[i].ended) {
            set_bit(step[i].ended - 1, p->posting);
        }
    }
    pager_post_all(p, (struct cxlf_message) {
        .kind = CXLF_CMP, .gfam = s->gfam, .dpa = s->dpa, .order = s->order,
    });
    return later;
}

void pager_serve_snoops(ECAPager *p)
{
    Snoop *s, *following;

    QTAILQ_FOREACH_SAFE(s, &p->snoops, next, following) {
        int64_t later;

        if (pager_now_us() < s->due_us) {
            continue;
        }
        later = serve_snoop(p, s);
        if (later) {
            s->due_us = pager_now_us() + later;
        } else {
            QTAILQ_REMOVE(&p->snoops, s, next);
            g_free(s);
        }
    }
}

static bool is_ours(ECAPager *p, const struct cxlf_message *m)
{
    Device *d = &p->device[m->gfam];

    return d->front && m->dpa < d->size &&
           d->size - m->dpa >= CXLF_PAGE << m->order;
}

void pager_take_messages(ECAPager *p)
{
    struct cxlf_message m;
    Request *r;

    for (uint32_t i = 0; i < p->directory->topology.leaves; i++) {
        while (cxlf_take(&p->directory->leaf[i].mailboxes[p->host], &m)) {
            if (m.gfam >= p->directory->topology.gfams || !is_ours(p, &m)) {
                continue;
            }
            trace_eca_message(p->host, m.kind, m.gfam, m.dpa, m.order);
            if (m.kind != CXLF_CMP) {
                add_snoop(p, m);
                continue;
            }
            QTAILQ_FOREACH(r, &p->requests, next) {
                r->ready |= pager_overlap(r, m.gfam, m.dpa,
                                          CXLF_PAGE << m.order);
            }
        }
    }
}
