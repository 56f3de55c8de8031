/*
 * Accesses to trapped lines
 *
 * A host that holds a line uses it at once; else its request travels to the
 * home, where the shipping core executes it, all at once or step by step.
 * Whoever is snooped loses its copy at that moment, and the answer waits
 * for the longest of the snoops.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "sim.h"

#define HIT_NS      20
#define HOME_NS     8           /* a shard's time for one request */
#define ADVANCE_NS  (4 * US)

static uint64_t dpa_of(const Sim *s, uint32_t page, unsigned line)
{
    return s->place[page].dpa + line * CXLF_LINE;
}

static enum cxlf_event event_of(const Op *op)
{
    if (op->kind == OP_LOAD) {
        return CXLF_LOAD;
    }
    return op->kind == OP_STORE || op->storing ? CXLF_STORE : CXLF_OWN;
}

void line_advance(Sim *s, unsigned leaf)
{
    if (s->now < s->advanced[leaf] || s->o.breaks == NO_QUIESCENCE) {
        return;
    }
    s->advanced[leaf] = s->now + ADVANCE_NS;
    s->stats.advances += cxlf_advance(&s->d, leaf);
}

/* One BISnp and its answer; returns when the answer is at the home. */
static uint64_t snoop(Sim *s, unsigned leaf, unsigned host, bool data)
{
    uint64_t at = network_to_host(s, leaf, host, REQUEST_BYTES, s->now);

    s->stats.snoops++;
    s->stats.events++;
    if (s->host[host].life != ALIVE) {
        return s->now;
    }
    network_to_leaf(s, host, leaf, data ? DATA_BYTES : REQUEST_BYTES);
    return s->now + 2 * (at - s->now);
}

/* Take a unit from all of a set; returns when the last has answered. */
static uint64_t take_from(Sim *s, uint32_t page, unsigned line, uint64_t set,
                          unsigned but, bool keep)
{
    uint32_t unit = unit_of(s, page, line);
    unsigned leaf = s->place[page].line_leaf;
    uint64_t last = s->now;

    CXLF_FOR_EACH_HOST(host, set, s->t.hosts) {
        bool line_held, dirty;
        uint64_t at;

        if (host == but) {
            continue;
        }
        line_held = truth_may_load(s, host, page, line);
        dirty = s->truth.unit[unit].owner == host + 1 &&
                s->truth.unit[unit].dirty;
        if (!truth_has_unit(s, host, unit)) {
            s->stats.spurious++;
        } else if (!line_held) {
            s->stats.elsewhere++;
        }
        if (keep) {
            truth_share(s, host, unit);
        } else if (s->o.breaks != NO_SNOOP) {
            truth_drop(s, host, unit);
        }
        at = snoop(s, leaf, host, dirty);
        last = at > last ? at : last;
    }
    return last;
}

static void victim_taken(Sim *s, Host *h, const struct cxlf_move *m)
{
    uint32_t page = sim_page_at(s, m->victim_gfam, m->victim_dpa);
    unsigned line = m->victim_dpa % CXLF_PAGE / CXLF_LINE;
    struct cxlf_move gone = { .before = m->victim };

    s->stats.victims++;
    cover(s, CXLF_LINE_UNIT, m->victim, h->number, CXLF_RECALL);
    note(s, H_VICTIM, h->number, page, line, &gone, CXLF_RECALL);
    truth_drop(s, h->number, unit_of(s, page, line));
    take_from(s, page, line, m->victim.holders, h->number, false);
    check_line(s, page, line, false);
}

/* Who hits must have what it hits. */
static void check_hit(Sim *s, Host *h, uint32_t page, unsigned line,
                      const struct cxlf_move *m)
{
    if (m->actions & (CXLF_A_READ_HIT | CXLF_A_WRITE_HIT | CXLF_A_UPGRADE) &&
        cxlf_set_encoding(m->before.holders) != CXLF_COARSE &&
        !truth_has_unit(s, h->number, unit_of(s, page, line))) {
        sim_fail(s, page, "copyset names holders", "host %u hits line %u, "
                 "which it has not", h->number, line);
    }
    if (truth_has_unit(s, h->number, unit_of(s, page, line)) &&
        cxlf_relation(m->before, h->number, s->t.hosts) == CXLF_STRANGER) {
        sim_fail(s, page, "copyset covers holders", "host %u has line %u, "
                 "and its entry does not name it", h->number, line);
    }
}

/* What a load, a store, or half of a locked access does to the value. */
static void use_value(Sim *s, Host *h, enum cxlf_event event)
{
    Op *op = &h->op;
    LineTruth *l = &s->truth.line[op->page * LINES + op->line];
    uint64_t old = l->value;

    truth_load(s, h->number, op->page, op->line);
    if (event == CXLF_OWN) {
        op->seen = l->version;
        return;
    }
    if (op->storing && op->seen != l->version) {
        op->late = true;
        return;
    }
    if (event == CXLF_STORE) {
        truth_store(s, h->number, op->page, op->line,
                    cpu_new_value(op, old));
    }
    op->result = old;
    workload_effect(s, h, old);
}

/* An event has moved an entry: what that does to copies and values. */
static uint64_t apply(Sim *s, Host *h, uint32_t page, unsigned line,
                      enum cxlf_event event, const struct cxlf_move *m)
{
    uint32_t unit = unit_of(s, page, line);
    uint64_t last = s->now;
    bool changed = m->before.state != m->after.state ||
                   m->before.holders != m->after.holders;

    cover(s, CXLF_LINE_UNIT, m->before, h->number, event);
    note(s, H_LINE, h->number, page, line, m, event);
    check_hit(s, h, page, line, m);
    if (m->snooped) {
        last = take_from(s, page, line, m->snooped, h->number,
                         m->actions & CXLF_A_BISNP_DATA);
    }
    if (event == CXLF_EVICT || event == CXLF_RECALL) {
        truth_drop(s, h->number, unit);
    } else if (event <= CXLF_STORE) {
        truth_fill(s, h->number, page, line, event != CXLF_LOAD);
        use_value(s, h, event);
    }
    if (changed) {
        check_line(s, page, line, false);
    }
    return last - s->now;
}

static unsigned class_of(const Sim *s, const Host *h, uint64_t snoops)
{
    unsigned leaf = s->place[h->op.page].line_leaf;

    return h->op.hurt ? C_RETRIED : snoops ? C_LINE_SNOOP :
           leaf == h->leaf ? C_LINE_OWN_LEAF : C_LINE_REMOTE;
}

/* The access was granted, after @extra ns of snoops. */
static void granted(Sim *s, Host *h, uint64_t extra, bool hit)
{
    Op *op = &h->op;
    const Place *place = &s->place[op->page];
    uint64_t *busy = &s->home_busy[place->line_leaf * s->o.shards +
                                   place->line_shard];
    uint64_t at = s->now + HIT_NS;

    if (!hit) {
        *busy = (*busy > s->now ? *busy : s->now) + HOME_NS;
        at = network_to_host(s, place->line_leaf, h->number, DATA_BYTES,
                             *busy + extra);
    }
    if (cpu_writes(op) && op->kind != OP_STORE &&
        (!op->storing || op->late)) {
        /* The second half; or the first again, if it came too late. */
        s->stats.atomic_retries += op->late;
        op->class = hit ? C_LINE_HIT : class_of(s, h, extra);
        op->hurt = op->hurt || op->late;
        op->storing = !op->late;
        op->late = false;
        sim_post(s, at - s->now, EV_CPU, h->number, 0);
        return;
    }
    cpu_done(s, h, at - s->now, !hit || op->hurt ? class_of(s, h, extra) :
             op->storing ? op->class : C_LINE_HIT);
}

static void finish(Sim *s, Host *h, enum cxlf_result result, uint64_t extra,
                   bool hit)
{
    unsigned leaf = s->place[h->op.page].line_leaf;

    switch (result) {
    case CXLF_OK:
        granted(s, h, extra, hit);
        break;
    case CXLF_AGAIN:
        s->stats.again++;
        line_advance(s, leaf);
        cpu_retry(s, h);
        break;
    case CXLF_WITHHELD:
        s->stats.withheld++;
        cpu_retry(s, h);
        break;
    case CXLF_POISONED:
        cpu_poisoned(s, h);
        break;
    case CXLF_BY_PAGE:
        h->op.by_page = true;
        h->op.storing = false;
        sim_post(s, network_to_leaf(s, h->number, leaf, 0) - s->now, EV_CPU,
                 h->number, 0);
        break;
    default:
        sim_fail(s, h->op.page, "no step fails", "%s of host %u at line %u "
                 "gave result %u", cxlf_event_name[event_of(&h->op)],
                 h->number, h->op.line, result);
    }
}

/* All steps of an event at once. */
static enum cxlf_result execute(Sim *s, Host *h, uint32_t page,
                                unsigned line, enum cxlf_event event,
                                uint64_t *extra)
{
    const Place *at = &s->place[page];
    struct cxlf_move m;
    enum cxlf_result result;

    memset(&m, 0, sizeof(m));
    memcpy(s->d.inserting, h->inserting, sizeof(s->d.inserting));
    result = cxlf_line_event(&s->d, h->number, at->gfam,
                             dpa_of(s, page, line), event, &m);
    memcpy(h->inserting, s->d.inserting, sizeof(s->d.inserting));
    *extra = 0;
    if (result == CXLF_OK) {
        *extra = apply(s, h, page, line, event, &m);
    } else if (result == CXLF_POISONED) {
        cover(s, CXLF_LINE_UNIT, m.before, h->number, event);
    }
    if (m.evicted) {
        victim_taken(s, h, &m);
    }
    return result;
}

void line_issue(Sim *s, Host *h)
{
    Op *op = &h->op;
    enum cxlf_event event = event_of(op);
    uint64_t at, extra;

    if (event == CXLF_LOAD ?
        truth_may_load(s, h->number, op->page, op->line) :
        truth_may_store(s, h->number, op->page, op->line)) {
        finish(s, h, execute(s, h, op->page, op->line, event, &extra), 0,
               true);
        return;
    }
    at = network_to_leaf(s, h->number, s->place[op->page].line_leaf,
                         REQUEST_BYTES);
    sim_post(s, at - s->now, EV_HOME, h->number, 0);
}

void line_home(Sim *s, Host *h)
{
    Op *op = &h->op;
    enum cxlf_result result;
    uint64_t extra;

    if (rng_hit(&s->rng, s->split) && (s->o.tiers || s->o.line_entries)) {
        memset(&h->move, 0, sizeof(h->move));
        h->access = (struct cxlf_line_access) {
            .gfam = s->place[op->page].gfam,
            .dpa = dpa_of(s, op->page, op->line), .event = event_of(op),
        };
        h->stepping = true;
        h->moved = false;
        h->step_extra = 0;
        line_step(s, h);
        return;
    }
    result = execute(s, h, op->page, op->line, event_of(op), &extra);
    finish(s, h, result, extra, false);
}

void line_step(Sim *s, Host *h)
{
    struct cxlf_line_access *a = &h->access;
    Op *op = &h->op;
    unsigned phase = a->phase;
    bool more;

    if (!h->stepping) {
        return;
    }
    memcpy(s->d.inserting, h->inserting, sizeof(s->d.inserting));
    more = cxlf_line_step(&s->d, h->number, a, &h->move);
    memcpy(h->inserting, s->d.inserting, sizeof(s->d.inserting));
    if ((phase == CXLF_LINE_SETTLE && a->phase == CXLF_LINE_SPARE) ||
        ((phase == CXLF_LINE_USE || phase == CXLF_LINE_FIND) &&
         a->phase == CXLF_LINE_END && a->result == CXLF_OK)) {
        h->moved = true;
        h->step_extra = apply(s, h, op->page, op->line, a->event, &h->move);
    }
    if (h->move.evicted) {
        victim_taken(s, h, &h->move);
        h->move.evicted = false;
    }
    if (more) {
        /* Now and then it is held up for long. */
        sim_post(s, 1 + rng_below(&s->rng, rng_below(&s->rng, 50) ? 30 :
                                                                   20000),
                 EV_LINE_STEP, h->number, 0);
        return;
    }
    h->stepping = false;
    finish(s, h, a->result, h->step_extra, false);
}

/*
 * The leaf has failed: an access that is under way there has had its effect,
 * or is withheld.
 */
void line_abandon(Sim *s, Host *h, unsigned leaf)
{
    if (h->stepping && s->place[h->op.page].line_leaf == leaf) {
        h->stepping = false;
        memset(h->inserting, 0, sizeof(h->inserting));
        if (h->life == ALIVE) {
            finish(s, h, h->moved ? CXLF_OK : CXLF_WITHHELD, h->step_extra,
                   false);
        }
    }
}

void line_evict(Sim *s, Host *h, uint32_t unit)
{
    uint32_t page = unit / s->units_per_page;
    unsigned line = unit % s->units_per_page * s->lines_per_unit;
    uint64_t extra;

    if (execute(s, h, page, line, CXLF_EVICT, &extra) == CXLF_OK) {
        network_to_leaf(s, h->number, s->place[page].line_leaf, DATA_BYTES);
    }
}

void line_recall(Sim *s, Host *h, uint32_t page, unsigned line)
{
    uint64_t extra;

    execute(s, h, page, line, CXLF_RECALL, &extra);
}

void line_taken(Sim *s, uint32_t page, unsigned line,
                struct cxlf_line before)
{
    take_from(s, page, line, before.holders, NO_HOST, false);
}
