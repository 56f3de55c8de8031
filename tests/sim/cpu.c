/*
 * A host's CPU: one access after the other, wherever they lead
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sim.h"

#define BACKOFF_NS  150
#define MAPPED_NS   5

bool cpu_writes(const Op *op)
{
    return op->kind != OP_LOAD;
}

uint64_t cpu_new_value(const Op *op, uint64_t old)
{
    switch (op->kind) {
    case OP_ADD:
        return old + op->operand;
    case OP_SWAP:
        return old == op->expect ? op->operand : old;
    default:
        return op->operand;
    }
}

void cpu_retry(Sim *s, Host *h)
{
    uint64_t wait = BACKOFF_NS << (h->op.tries < 7 ? h->op.tries : 7);

    h->op.tries++;
    h->op.tries -= h->op.tries == 255;
    h->op.hurt = true;
    sim_post(s, sim_about(s, wait), EV_CPU, h->number, 0);
}

void cpu_done(Sim *s, Host *h, uint64_t latency, unsigned class)
{
    h->op.active = false;
    s->finished++;
    report_latency(&s->stats, class, s->now + latency - h->op.started);
    sim_post(s, latency + sim_about(s, s->o.think_ns), EV_CPU, h->number, 0);
}

void cpu_mapped(Sim *s, Host *h, uint64_t latency, unsigned class)
{
    Op *op = &h->op;
    uint64_t old = s->truth.line[op->page * LINES + op->line].value;

    truth_load_page(s, h->number, op->page);
    if (cpu_writes(op)) {
        truth_store(s, h->number, op->page, op->line,
                    cpu_new_value(op, old));
    }
    op->result = old;
    workload_effect(s, h, old);
    cpu_done(s, h, latency + MAPPED_NS, class);
}

/* Somebody must say that what is lost may be used anew. */
void cpu_poisoned(Sim *s, Host *h)
{
    h->op.clearing = true;
    for (unsigned i = 0; s->stray && i < 4; i++) {
        stray_event(s, h->op.page, h->op.line);
    }
    sim_post(s, sim_about(s, US), EV_CLEAR, h->number, 0);
}

void cpu_clear(Sim *s, Host *h)
{
    Op *op = &h->op;
    const Place *at = &s->place[op->page];
    struct cxlf_move m = { 0 };
    enum cxlf_kind kind = op->by_page ? CXLF_PAGE_UNIT : CXLF_LINE_UNIT;
    enum cxlf_result result = op->by_page ?
        cxlf_page_event(&s->d, h->number, at->gfam, at->dpa, CXLF_CLEAR,
                        &m) :
        cxlf_line_event(&s->d, h->number, at->gfam,
                        at->dpa + op->line * CXLF_LINE, CXLF_CLEAR, &m);

    op->clearing = false;
    if (result == CXLF_OK) {
        cover(s, kind, m.before, h->number, CXLF_CLEAR);
        note(s, H_CLEAR, h->number, op->page, op->line, &m, CXLF_CLEAR);
    }
    if (result == CXLF_OK && m.before.state == CXLF_P) {
        poison_cleared(s, op->by_page, op->page, op->line);
    }
    cpu_retry(s, h);
}

/* Make room in the cache, and give things up without need now and then. */
static void keep_house(Sim *s, Host *h)
{
    while (h->cached_count >= s->o.cache) {
        uint32_t unit = h->cached[h->cached_first];

        h->cached_first = (h->cached_first + 1) % s->o.cache;
        h->cached_count--;
        if (truth_has_unit(s, h->number, unit)) {
            line_evict(s, h, unit);
        }
    }
    if (rng_hit(&s->rng, s->evict)) {
        uint32_t page = h->op.page;

        if (truth_mapping(s, h->number, page) != CXLF_HELD_NOT) {
            page_side(s, h, page, CXLF_EVICT);
        } else if (h->op.by_page == false) {
            line_evict(s, h, unit_of(s, page, h->op.line));
        }
    }
    if (rng_hit(&s->rng, s->demote)) {
        if (!s->o.tiers && h->op.page < s->o.hot_pages) {
            line_recall(s, h, h->op.page, h->op.line);
        } else if (s->o.tiers && rng_below(&s->rng, 4) == 0 &&
                   (s->line_pages || h->op.page < s->o.hot_pages)) {
            line_recall(s, h, h->op.page, h->op.line);
        } else {
            page_side(s, h, h->op.page,
                      s->o.tiers && (s->line_pages ||
                                     h->op.page < s->o.hot_pages) &&
                      rng_below(&s->rng, 2) ? CXLF_PROMOTE : CXLF_RECALL);
        }
    }
}

static void begin(Sim *s, Host *h)
{
    Op *op = &h->op;
    PageTruth *p;

    keep_house(s, h);
    workload_next(s, h);
    p = &s->truth.page[op->page];
    op->active = true;
    op->storing = op->late = op->hurt = op->clearing = false;
    op->tries = 0;
    op->started = s->now;
    op->by_page = s->o.tiers ? !p->by_lines : op->page >= s->o.hot_pages;
    if (p->mapped && truth_mapping(s, h->number, op->page)) {
        op->by_page = true;
    }
    s->issued++;
}

void cpu_event(Sim *s, Host *h)
{
    Op *op = &h->op;

    if (h->late_zap) {
        truth_unmap(s, h->number, h->late_zap - 1);
        h->late_zap = 0;
    }
    if (!op->active) {
        if (s->issued >= s->o.ops) {
            return;
        }
        faults_due(s);
        if (h->life != ALIVE) {
            return;             /* the host itself has just died */
        }
        if (rng_hit(&s->rng, s->stray)) {
            stray_event(s, op->page, op->line);
        }
        begin(s, h);
    }
    if (op->by_page) {
        page_issue(s, h);
    } else {
        line_issue(s, h);
    }
}
