/*
 * Events that must change nothing: repeated accesses, answers that come
 * twice, evictions of what is not held, poison that is cleared where none is
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "sim.h"

/* A live host that has to do with a unit, if there is one; else any. */
static unsigned choose_host(Sim *s, struct cxlf_line e)
{
    unsigned from = rng_below(&s->rng, s->o.hosts), host = from;

    switch (rng_below(&s->rng, 3)) {
    case 0:
        host = cxlf_set_next(e.holders, from, s->t.hosts);
        if (host == s->t.hosts) {
            host = cxlf_set_next(e.holders, 0, s->t.hosts);
        }
        break;
    case 1:
        host = cxlf_is_transient(e.state) ? e.requester : from;
        break;
    default:
        break;
    }
    return host < s->t.hosts ? host : from;
}

/* Whether an event of this host is one that changes nothing. */
static bool is_harmless(enum cxlf_kind kind, struct cxlf_line e,
                        enum cxlf_relation r, enum cxlf_event event)
{
    bool holds = r == CXLF_HOLDER, waits = cxlf_is_transient(e.state);

    if (!(cxlf_table[e.state][r][event].actions & CXLF_A_DEFINED)) {
        return false;
    }
    switch (event) {
    case CXLF_LOAD:
        return waits || holds || e.state == CXLF_L;
    case CXLF_OWN:
        return waits || (holds && e.state != CXLF_S) || e.state == CXLF_L;
    case CXLF_RECALL:
        return waits;
    case CXLF_PROMOTE:
        return kind == CXLF_PAGE_UNIT && e.state != CXLF_I;
    case CXLF_EVICT:
        return r == CXLF_STRANGER;
    case CXLF_RSP_I:
        return kind == CXLF_PAGE_UNIT && !holds;
    case CXLF_RSP_S:
        return kind == CXLF_PAGE_UNIT &&
               !(holds && (e.state == CXLF_E || e.state == CXLF_E_S));
    case CXLF_CLEAR:
        return true;
    default:
        return false;
    }
}

void stray_event(Sim *s, uint32_t page, unsigned line)
{
    enum cxlf_kind kind = rng_below(&s->rng, 4) ? CXLF_PAGE_UNIT :
                                                  CXLF_LINE_UNIT;
    enum cxlf_event event = rng_below(&s->rng, CXLF_EVENTS);
    const Place *at = &s->place[page];
    uint64_t dpa = at->dpa + (kind == CXLF_LINE_UNIT ? line * CXLF_LINE : 0);
    struct cxlf_move m = { 0 };
    struct cxlf_line e;
    enum cxlf_result result;
    unsigned host;

    if ((kind == CXLF_LINE_UNIT && page >= s->o.hot_pages &&
         !s->line_pages) ||
        (kind == CXLF_PAGE_UNIT && page < s->o.hot_pages && !s->o.tiers) ||
        !s->leaf_up[at->page_leaf] || !s->leaf_up[at->line_leaf] ||
        !cxlf_peek(&s->d, kind, at->gfam, dpa, &e)) {
        return;
    }
    host = choose_host(s, e);
    if (s->host[host].life != ALIVE ||
        !is_harmless(kind, e, cxlf_relation(e, host, s->t.hosts), event) ||
        /* Of a line that is held: hits by a coarse set are for others. */
        (kind == CXLF_LINE_UNIT && event <= CXLF_OWN) ||
        (event == CXLF_PROMOTE && !cxlf_can_promote(&s->d, at->gfam, dpa))) {
        return;
    }
    result = kind == CXLF_PAGE_UNIT ?
        cxlf_page_event(&s->d, host, at->gfam, dpa, event, &m) :
        cxlf_line_event(&s->d, host, at->gfam, dpa, event, &m);
    if (result != CXLF_OK && result != CXLF_POISONED) {
        return;
    }
    cover(s, kind, m.before, host, event);
    note(s, H_STRAY, host, page, line, &m, event);
    s->stats.strays++;
    if (event == CXLF_CLEAR && m.before.state == CXLF_P) {
        poison_cleared(s, kind == CXLF_PAGE_UNIT, page, line);
    } else if (memcmp(&m.before, &m.after, sizeof(m.before))) {
        sim_fail(s, page, "strays change nothing", "%s of host %u at %s",
                 cxlf_event_name[event], host,
                 cxlf_state_name[m.before.state]);
    }
}

/* Logs that somebody has tampered with */

typedef struct Claim {
    uint16_t host;
    uint8_t held;
} Claim;

static void claim(Sim *s, uint32_t page, Claim c)
{
    cxlf_log_hold(&s->host[c.host].log, s->place[page].gfam,
                  s->place[page].dpa, c.held);
}

static uint64_t rebuild(Sim *s, unsigned host, uint32_t page,
                        unsigned leaf)
{
    const Place *at = &s->place[page];
    Host *h = &s->host[host];
    enum cxlf_held held = cxlf_log_get(&h->log, at->gfam, at->dpa);
    struct cxlf_line e;
    uint64_t conflicts = 0;

    if (cxlf_peek(&s->d, CXLF_PAGE_UNIT, at->gfam, at->dpa, &e)) {
        cover(s, CXLF_PAGE_UNIT, e, host, held == CXLF_HELD_OWNED ?
              CXLF_REBUILD_E : CXLF_REBUILD_S);
    }
    cxlf_rebuild(&s->d, host, leaf, &h->log, &conflicts);
    return conflicts;
}

/* The owner's list says that the page is lost, which a log says is held. */
static void contradict(Sim *s, uint32_t page)
{
    const Place *at = &s->place[page];
    struct cxlf_line e;

    if (cxlf_peek(&s->d, CXLF_PAGE_UNIT, at->gfam, at->dpa, &e)) {
        cover(s, CXLF_PAGE_UNIT, e, 0, CXLF_REBUILD_P);
    }
    if (!cxlf_rebuild_poison(&s->d, CXLF_PAGE_UNIT, at->gfam, at->dpa) ||
        !cxlf_peek(&s->d, CXLF_PAGE_UNIT, at->gfam, at->dpa, &e) ||
        e.state != CXLF_P) {
        sim_fail(s, page, "poison comes back", "page of a log");
    }
}

/*
 * After the run: a leaf fails, and two claims to one page are in the logs.
 * They go together when both are shared, or the same host's and the first
 * is not less; else the page must be poisoned.
 */
void stray_logs(Sim *s)
{
    for (uint32_t page = 0; page < s->pages && page < 64; page++) {
        unsigned leaf = s->place[page].page_leaf;
        const Place *at = &s->place[page];
        Claim a = { rng_below(&s->rng, s->o.hosts),
                    1 + rng_below(&s->rng, 2) };
        Claim b = { rng_below(&s->rng, 2) ? a.host :
                    rng_below(&s->rng, s->o.hosts),
                    1 + rng_below(&s->rng, 2) };
        bool agree = a.host == b.host ? a.held >= b.held :
                     a.held == CXLF_HELD_SHARED && b.held == a.held;
        struct cxlf_line e;
        uint64_t conflicts;

        if (!s->o.tiers && page < s->o.hot_pages) {
            continue;
        }
        host_empty_log(s, &s->host[a.host]);
        host_empty_log(s, &s->host[b.host]);
        leaf_empty(s, leaf);
        cxlf_leaf_set(&s->d, leaf, CXLF_LEAF_REBUILDING);
        claim(s, page, a);
        conflicts = rebuild(s, a.host, page, leaf);
        if (rng_below(&s->rng, 4) == 0) {
            contradict(s, page);
            continue;
        }
        claim(s, page, b);
        conflicts += rebuild(s, b.host, page, leaf);
        if (!cxlf_peek(&s->d, CXLF_PAGE_UNIT, at->gfam, at->dpa, &e) ||
            (e.state == CXLF_P) == agree || (conflicts == 0) != agree) {
            sim_fail(s, page, "logs agree", "host %u says %u, host %u says "
                     "%u, and the page is %s", a.host, a.held, b.host,
                     b.held, cxlf_state_name[e.state]);
        }
        rebuild(s, a.host, page, leaf);
    }
}
