/*
 * Mapped pages: requests, snoops and mail of the shipping agent
 *
 * Each step of an agent is an event.  Messages lie in the shipping
 * mailboxes; they are lost, doubled and late when an agent takes them.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "sim.h"

#define ARG(slot, timer)    ((uint64_t)(timer) << 8 | (slot))
#define STEP_NS     8
#define BUSY_NS     40          /* until an agent that is busy looks again */

static void io_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable)
{
    Host *h = opaque;
    Sim *s = h->sim;
    uint32_t page = sim_page_at(s, gfam, dpa);
    enum cxlf_held logged = cxlf_log_get(&h->log, gfam, dpa);

    note(s, H_MAP, h->number, page, 0, NULL, writable);
    if (s->o.breaks != NO_LOG &&
        logged < (writable ? CXLF_HELD_OWNED : CXLF_HELD_SHARED)) {
        sim_fail(s, page, "log covers mappings", "host %u maps a page that "
                 "its log has as %u", h->number, logged);
    }
    truth_map(s, h->number, page, writable);
}

static void io_zap(void *opaque, uint32_t gfam, uint64_t dpa)
{
    Host *h = opaque;
    Sim *s = h->sim;
    uint32_t page = sim_page_at(s, gfam, dpa);

    note(s, H_ZAP, h->number, page, 0, NULL, 0);
    if (s->looking == h) {
        if (truth_mapping(s, h->number, page) == CXLF_HELD_NOT) {
            s->stats.spurious++;
        }
        if (s->o.breaks == SKIP_ZAP) {
            return;
        }
        if (s->o.breaks == EARLY_ANSWER) {
            h->late_zap = page + 1;
            return;
        }
    }
    truth_unmap(s, h->number, page);
}

static void io_protect(void *opaque, uint32_t gfam, uint64_t dpa)
{
    Host *h = opaque;
    Sim *s = h->sim;
    uint32_t page = sim_page_at(s, gfam, dpa);

    note(s, H_PROTECT, h->number, page, 0, NULL, 0);
    if (s->o.breaks != SKIP_ZAP) {
        truth_protect(s, h->number, page);
    }
}

static void io_wake(void *opaque, unsigned host)
{
    Sim *s = ((Host *)opaque)->sim;
    uint64_t at;

    if (s->host[host].life != ALIVE) {
        return;
    }
    at = network_to_host(s, s->posting_leaf, host, REQUEST_BYTES, s->now);
    sim_post(s, at - s->now, EV_MAIL, host, s->posting_leaf);
}

void page_agent_init(Sim *s, Host *h)
{
    h->io = (struct cxlf_agent_io) {
        .opaque = h, .map = io_map, .zap = io_zap, .protect = io_protect,
        .wake = io_wake,
    };
    h->agent = (struct cxlf_agent) {
        .directory = &s->d, .io = &h->io, .host = h->number,
        .log = s->o.breaks == NO_LOG ? NULL : &h->log,
    };
}

static bool page_is_installing(const Host *h)
{
    return h->request[MAIN].active &&
           h->request[MAIN].r.phase == CXLF_INSTALL;
}

/* The next step of a request after @delay; earlier timers are void. */
static void schedule(Sim *s, Host *h, unsigned slot, uint64_t delay)
{
    Request *q = &h->request[slot];

    sim_post(s, delay, EV_REQUEST, h->number, ARG(slot, ++q->timer));
}

static void start(Sim *s, Host *h, unsigned slot, uint32_t page,
                  enum cxlf_event event)
{
    Request *q = &h->request[slot];

    q->active = true;
    q->waiting = false;
    q->tries = 0;
    q->page = page;
    q->started = s->now;
    q->r = (struct cxlf_request) {
        .gfam = s->place[page].gfam, .dpa = s->place[page].dpa,
        .event = event, .phase = event == CXLF_EVICT ? CXLF_ZAP : CXLF_ASK,
    };
    schedule(s, h, slot, event == CXLF_EVICT ? STEP_NS :
             network_to_leaf(s, h->number, s->place[page].page_leaf,
                             REQUEST_BYTES) - s->now);
}

void page_issue(Sim *s, Host *h)
{
    Op *op = &h->op;
    enum cxlf_held need = cpu_writes(op) ? CXLF_HELD_OWNED :
                                           CXLF_HELD_SHARED;
    Request *side = &h->request[SIDE];

    if (s->truth.page[op->page].mapped &&
        truth_mapping(s, h->number, op->page) >= need) {
        cpu_mapped(s, h, 0, op->hurt ? C_RETRIED : C_PAGE_HIT);
    } else if (side->active && side->page == op->page) {
        cpu_retry(s, h);
    } else {
        s->stats.faults++;
        start(s, h, MAIN, op->page, cpu_writes(op) ? CXLF_OWN : CXLF_LOAD);
    }
}

void page_side(Sim *s, Host *h, uint32_t page, enum cxlf_event event)
{
    Request *q = &h->request[SIDE], *main = &h->request[MAIN];

    if (!q->active && (!main->active || main->page != page)) {
        start(s, h, SIDE, page, event);
    }
}

/* The log is full: give up some page that is in it. */
static void make_room(Sim *s, Host *h)
{
    uint64_t cursor = rng_below(&s->rng, s->o.log_slots);
    struct cxlf_log_page victim;

    if (!cxlf_log_next(&h->log, &cursor, &victim, NULL)) {
        cursor = 0;
        if (!cxlf_log_next(&h->log, &cursor, &victim, NULL)) {
            return;
        }
    }
    page_side(s, h, sim_page_at(s, victim.gfam, victim.dpa), CXLF_EVICT);
}

/* The CPU is led elsewhere: what it has asked for is given up. */
static void withdraw(Sim *s, Host *h, unsigned slot)
{
    uint32_t page = h->request[slot].page;

    s->stats.withdrawn++;
    h->request[slot].active = false;
    start(s, h, SIDE, page, CXLF_EVICT);
    if (slot == MAIN) {
        cpu_retry(s, h);
    }
}

static void wait_for(Sim *s, Host *h, unsigned slot)
{
    Request *q = &h->request[slot];
    unsigned tries = q->tries < 7 ? q->tries : 7;
    uint64_t wait;

    if (s->stray && q->r.phase == CXLF_AWAIT &&
        (slot == SIDE || !h->request[SIDE].active)) {
        if (rng_below(&s->rng, 50) == 0) {
            withdraw(s, h, slot);
            return;
        }
        stray_event(s, q->page, 0);
    }
    q->waiting = true;
    q->tries += q->tries < 255;
    switch (q->r.phase) {
    case CXLF_AWAIT:
        wait = s->o.patience_ns << (tries < 4 ? tries : 4);
        break;
    case CXLF_QUIESCE:
    case CXLF_POST:
        wait = 2 * US;
        break;
    default:
        wait = 250ull << tries;
        break;
    }
    schedule(s, h, slot, sim_about(s, wait));
}

/* Who was asked and asked itself gives up twice. */
static void evict_again(Sim *s, Host *h)
{
    const Request *q = &h->request[SIDE];
    struct cxlf_line e;

    if (q->r.event == CXLF_EVICT &&
        cxlf_peek(&s->d, CXLF_PAGE_UNIT, q->r.gfam, q->r.dpa, &e) &&
        cxlf_is_transient(e.state) && e.requester == h->number &&
        s->leaf_up[s->place[q->page].page_leaf]) {
        start(s, h, SIDE, q->page, CXLF_EVICT);
    }
}

static void ended(Sim *s, Host *h, unsigned slot, enum cxlf_progress how)
{
    Request *q = &h->request[slot];
    Op *op = &h->op;
    struct cxlf_line e;

    q->active = false;
    if (how == CXLF_LOST &&
        cxlf_peek(&s->d, CXLF_PAGE_UNIT, q->r.gfam, q->r.dpa, &e) &&
        e.state == CXLF_L) {
        how = CXLF_LINES;       /* one of its lines is poisoned */
    }
    s->truth.page[q->page].by_lines = how == CXLF_LINES;
    if (slot == SIDE) {
        evict_again(s, h);
        return;
    }
    switch (how) {
    case CXLF_DONE:
        /* As the agent has mapped it now, the access is made now. */
        if (truth_mapping(s, h->number, q->page) <
            (cpu_writes(op) ? CXLF_HELD_OWNED : CXLF_HELD_SHARED)) {
            sim_fail(s, q->page, "a request maps", "host %u has not the "
                     "page after its request", h->number);
        }
        cpu_mapped(s, h, 0, op->hurt ? C_RETRIED : C_PAGE_FAULT);
        break;
    case CXLF_LINES:
        op->by_page = false;
        sim_post(s, STEP_NS, EV_CPU, h->number, 0);
        break;
    default:
        cpu_poisoned(s, h);
        break;
    }
}

/* How long until the next step, after one that went from phase to phase. */
static uint64_t pace(Sim *s, Host *h, const Request *q, unsigned from)
{
    unsigned leaf = s->place[q->page].page_leaf;

    if (q->r.phase == CXLF_INSTALL) {
        return network_to_host(s, leaf, h->number, REQUEST_BYTES, s->now) -
               s->now;
    }
    if (q->r.phase == CXLF_ASK && from != CXLF_ASK) {
        return network_to_leaf(s, h->number, leaf, REQUEST_BYTES) - s->now;
    }
    return 1 + rng_below(&s->rng, STEP_NS);
}

/* What the directory has of the unit that a step is about to change. */
static void look_before(Sim *s, const Request *q, struct cxlf_line *unit)
{
    bool line = q->r.phase == CXLF_TAKE && q->r.line < s->units_per_page;

    if (!cxlf_peek(&s->d, line ? CXLF_LINE_UNIT : CXLF_PAGE_UNIT, q->r.gfam,
                   q->r.dpa + (line ? q->r.line * s->o.grain : 0), unit)) {
        sim_fail(s, q->page, "entry is legal", "peek failed before a step");
    }
}

static void note_step(Sim *s, Host *h, const Request *q,
                      const struct cxlf_request *was,
                      struct cxlf_line before)
{
    bool up = s->leaf_up[s->place[q->page].page_leaf];
    struct cxlf_move m = { .before = before };
    unsigned event = was->recall ? CXLF_RECALL : was->event;

    if (was->phase == CXLF_ASK && up &&
        /* What is gone already is not evicted. */
        (event != CXLF_EVICT ||
         cxlf_relation(before, h->number, s->t.hosts) != CXLF_STRANGER)) {
        cover(s, CXLF_PAGE_UNIT, before, h->number, event);
        cxlf_peek(&s->d, CXLF_PAGE_UNIT, was->gfam, was->dpa, &m.after);
        note(s, H_PAGE, h->number, q->page, 0, &m, event);
    }
    if (was->phase != CXLF_TAKE || !up) {
        return;
    }
    if (was->line == s->units_per_page) {
        cover(s, CXLF_PAGE_UNIT, before, h->number, CXLF_DEMOTED);
        note(s, H_PAGE, h->number, q->page, 0, &m, CXLF_DEMOTED);
    } else if (q->r.phase == CXLF_TAKE && q->r.line > was->line) {
        unsigned line = was->line * s->lines_per_unit;

        cover(s, CXLF_LINE_UNIT, before, h->number, CXLF_RECALL);
        note(s, H_TAKE, h->number, q->page, line, &m, CXLF_RECALL);
        line_taken(s, q->page, line, before);
        check_line(s, q->page, line, false);
    } else if (before.state == CXLF_P) {
        /* It ends the demotion. */
        cover(s, CXLF_LINE_UNIT, before, h->number, CXLF_RECALL);
    }
}

void page_request(Sim *s, Host *h, uint64_t arg)
{
    unsigned slot = arg & 0xff;
    Request *q = &h->request[slot];
    struct cxlf_request was;
    struct cxlf_line before;
    enum cxlf_progress progress;

    if (!q->active || q->timer != (uint8_t)(arg >> 8)) {
        return;
    }
    if (h->snooping && h->snoop.gfam == q->r.gfam &&
        h->snoop.dpa == q->r.dpa) {
        schedule(s, h, slot, BUSY_NS);
        return;
    }
    if (q->waiting) {
        q->waiting = false;
        cxlf_request_again(&h->agent, &q->r);
    }
    was = q->r;
    look_before(s, q, &before);
    s->posting_leaf = s->place[q->page].page_leaf;
    progress = cxlf_request_step(&h->agent, &q->r);
    s->stats.snoops += was.phase == CXLF_POST && q->r.phase == CXLF_POST &&
                       progress == CXLF_MORE;
    note_step(s, h, q, &was, before);
    switch (progress) {
    case CXLF_MORE:
        schedule(s, h, slot, pace(s, h, q, was.phase));
        break;
    case CXLF_WAIT:
        wait_for(s, h, slot);
        break;
    case CXLF_FULL:
        make_room(s, h);
        wait_for(s, h, slot);
        break;
    case CXLF_FAILED:
        sim_fail(s, q->page, "no step fails", "host %u, request %s, phase "
                 "%u", h->number, cxlf_event_name[q->r.event], was.phase);
    default:
        ended(s, h, slot, progress);
        break;
    }
    check_page(s, q->page);
}

/*
 * A snoop says, too, that something has happened to the page: the request
 * for it may have been granted, and must have its turn first.
 */
static bool look_first(Sim *s, Host *h, uint32_t page)
{
    Request *q = &h->request[MAIN];

    if (!q->active || q->page != page || q->r.phase != CXLF_AWAIT ||
        !s->leaf_up[s->place[page].page_leaf]) {
        return false;
    }
    q->waiting = false;
    page_request(s, h, ARG(MAIN, q->timer));
    return page_is_installing(h);
}

/* Handle one message. */
static void receive(Sim *s, Host *h, struct cxlf_message m)
{
    uint32_t page = sim_page_at(s, m.gfam, m.dpa);
    enum cxlf_progress progress;

    if (m.kind == CXLF_CMP) {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            Request *q = &h->request[slot];

            if (q->active && q->waiting && q->page == page &&
                q->r.phase == CXLF_AWAIT) {
                q->waiting = false;
                schedule(s, h, slot, 1);
            }
        }
        return;
    }
    if (look_first(s, h, page)) {
        /* Granted and wanted again: it is used before it is taken. */
        s->posting_leaf = s->place[page].page_leaf;
        cxlf_post(&s->d.leaf[s->posting_leaf].mailboxes[h->number], m);
        sim_post(s, BUSY_NS, EV_MAIL, h->number, s->posting_leaf);
        return;
    }
    h->snoop = (struct cxlf_snoop) { .gfam = m.gfam, .dpa = m.dpa };
    s->looking = h;
    progress = cxlf_snoop_step(&h->agent, &h->snoop);
    s->looking = NULL;
    note(s, H_SNOOP, h->number, page, 0, NULL, progress);
    if (progress == CXLF_MORE) {
        h->snooping = true;
        sim_post(s, network_to_leaf(s, h->number,
                                    s->place[page].page_leaf, DATA_BYTES) -
                 s->now +
                 /* Now and then the agent is held up. */
                 (s->delay && rng_below(&s->rng, 20) == 0 ?
                  rng_below(&s->rng, 40000) : 0),
                 EV_ANSWER, h->number, 0);
    } else if (progress != CXLF_DONE) {
        sim_fail(s, page, "responses flow", "host %u, look: %u", h->number,
                 progress);
    }
    check_page(s, page);
}

/*
 * One thread: it ends an answer first, and it maps what is granted before it
 * looks at a snoop.
 */
static bool is_busy(const Sim *s, const Host *h)
{
    return h->snooping ||
           (page_is_installing(h) && s->o.breaks != EARLY_SNOOP);
}

void page_mail(Sim *s, Host *h, unsigned leaf)
{
    struct cxlf_message m;

    if (is_busy(s, h)) {
        sim_post(s, BUSY_NS, EV_MAIL, h->number, leaf);
        return;
    }
    if (!cxlf_take(&s->d.leaf[leaf].mailboxes[h->number], &m)) {
        return;
    }
    if (rng_hit(&s->rng, s->drop)) {
        s->stats.lost++;
        return;
    }
    if (rng_hit(&s->rng, s->dup)) {
        s->stats.doubled++;
        sim_post(s, rng_below(&s->rng, 20000), EV_AGAIN, h->number,
                 (uint64_t)sim_page_at(s, m.gfam, m.dpa) << 8 | m.kind);
    }
    receive(s, h, m);
}

void page_again(Sim *s, Host *h, uint64_t arg)
{
    const Place *at = &s->place[arg >> 8];

    if (is_busy(s, h)) {
        sim_post(s, BUSY_NS, EV_AGAIN, h->number, arg);
        return;
    }
    receive(s, h, (struct cxlf_message) {
        .kind = arg & 0xff, .gfam = at->gfam, .dpa = at->dpa });
}

void page_answer(Sim *s, Host *h)
{
    uint32_t page = sim_page_at(s, h->snoop.gfam, h->snoop.dpa);
    struct cxlf_move m = { 0 };
    enum cxlf_progress progress;

    s->posting_leaf = s->place[page].page_leaf;
    cxlf_peek(&s->d, CXLF_PAGE_UNIT, h->snoop.gfam, h->snoop.dpa, &m.before);
    progress = cxlf_snoop_step(&h->agent, &h->snoop);
    cxlf_peek(&s->d, CXLF_PAGE_UNIT, h->snoop.gfam, h->snoop.dpa, &m.after);
    if (s->leaf_up[s->posting_leaf]) {
        cover(s, CXLF_PAGE_UNIT, m.before, h->number, h->snoop.event);
        note(s, H_PAGE, h->number, page, 0, &m, h->snoop.event);
    }
    if (progress == CXLF_MORE) {
        sim_post(s, STEP_NS, EV_ANSWER, h->number, 0);
        return;
    }
    h->snooping = false;
    if (progress != CXLF_DONE) {
        sim_fail(s, page, "responses flow", "host %u, answer: %u", h->number,
                 progress);
    }
    check_page(s, page);
}
