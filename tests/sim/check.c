/*
 * Properties, by the names of docs/protocol-messages.md, and the report of
 * one that is broken
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdarg.h>
#include <string.h>
#include "sim.h"

#define SHOWN 40
#define SAMPLES 4096

static const char *const what_name[HISTORY_KINDS] = {
    [H_LINE] = "line", [H_VICTIM] = "victim", [H_PAGE] = "page",
    [H_SNOOP] = "takes a snoop", [H_MAP] = "maps", [H_ZAP] = "zaps",
    [H_PROTECT] = "write-protects", [H_CRASH] = "dies",
    [H_RECOVERED] = "is recovered", [H_REJOIN] = "rejoins",
    [H_LEAF_DOWN] = "leaf fails", [H_LEAF_UP] = "leaf is up",
    [H_REBUILD] = "rebuilds leaf", [H_CLEAR] = "clears poison",
    [H_TAKE] = "takes a line", [H_STRAY] = "stray",
};

void note(Sim *s, unsigned what, unsigned host, uint32_t page, unsigned line,
          const struct cxlf_move *m, unsigned event)
{
    History *h = &s->history[s->history_count++ % HISTORY];

    *h = (History) {
        .time = s->now, .page = page, .host = host, .line = line,
        .what = what, .event = event,
    };
    if (m) {
        h->before = m->before.state;
        h->after = m->after.state;
        h->set = m->before.holders;
        h->more = m->before.requester;
    }
}

void cover(Sim *s, enum cxlf_kind kind, struct cxlf_line before,
           unsigned host, unsigned event)
{
    s->covered[kind][before.state]
              [cxlf_relation(before, host, s->t.hosts)][event]++;
}

static bool is_about(const History *h, uint32_t page)
{
    switch (h->what) {
    case H_CRASH:
    case H_RECOVERED:
    case H_REJOIN:
    case H_LEAF_DOWN:
    case H_LEAF_UP:
        return true;
    case H_REBUILD:
        return false;
    default:
        return h->page == page;
    }
}

static void print_history(const Sim *s, uint32_t page)
{
    uint64_t oldest = s->history_count > HISTORY ?
                      s->history_count - HISTORY : 0;
    uint64_t from = s->history_count;

    for (unsigned shown = 0; from > oldest && shown < SHOWN; from--) {
        shown += is_about(&s->history[(from - 1) % HISTORY], page);
    }
    for (; from < s->history_count; from++) {
        const History *h = &s->history[from % HISTORY];

        if (!is_about(h, page)) {
            continue;
        }
        fprintf(stderr, "  %10lu ns  host %-4u %s", h->time, h->host,
                what_name[h->what]);
        if (h->what == H_LINE || h->what == H_VICTIM || h->what == H_PAGE ||
            h->what == H_CLEAR || h->what == H_TAKE || h->what == H_STRAY) {
            fprintf(stderr, " %u: %s, %s (set %lx, by %u) to %s", h->line,
                    cxlf_event_name[h->event], cxlf_state_name[h->before],
                    h->set, h->more, cxlf_state_name[h->after]);
        } else if (h->what >= H_LEAF_DOWN) {
            fprintf(stderr, " %u", h->line);
        }
        fputc('\n', stderr);
    }
}

void sim_fail(Sim *s, uint32_t page, const char *property,
              const char *format, ...)
{
    char text[1024];
    va_list args;

    snprintf(s->why, sizeof(s->why), "%s", property);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "broken property: %s: %s\nseed %lu, at %lu ns, page %u "
            "(device %u, %#lx)\nlast events there:\n", property, text,
            s->o.seed, s->now, page, s->place[page].gfam,
            s->place[page].dpa);
    print_history(s, page);
    options_print(&s->o, text, sizeof(text));
    fprintf(stderr, "rerun: %s\n", text);
    longjmp(s->failed, 1);
}

static void check_owner(Sim *s, uint32_t page, unsigned line,
                        struct cxlf_line e)
{
    const UnitTruth *u = &s->truth.unit[unit_of(s, page, line)];

    if (u->owner && ((e.state != CXLF_E && e.state != CXLF_M) ||
                     !cxlf_set_has(e.holders, u->owner - 1, s->t.hosts))) {
        sim_fail(s, page, "copyset covers holders", "host %u may write line "
                 "%u, which is %s (%lx)", u->owner - 1, line,
                 cxlf_state_name[e.state], e.holders);
    }
    if (u->dirty && e.state != CXLF_M) {
        sim_fail(s, page, "modified is M", "line %u is modified and %s",
                 line, cxlf_state_name[e.state]);
    }
    if (u->copies > 1 && e.state != CXLF_S) {
        sim_fail(s, page, "single writer", "%u hosts have line %u, which is "
                 "%s", u->copies, line, cxlf_state_name[e.state]);
    }
}

void check_line(Sim *s, uint32_t page, unsigned line, bool deep)
{
    const Place *at = &s->place[page];
    uint32_t unit = unit_of(s, page, line);
    const UnitTruth *u = &s->truth.unit[unit];
    struct cxlf_line e;
    unsigned found = 0;

    if (!s->leaf_up[at->line_leaf]) {
        return;
    }
    s->stats.checks++;
    if (!cxlf_peek(&s->d, CXLF_LINE_UNIT, at->gfam,
                   at->dpa + line * CXLF_LINE, &e) ||
        !cxlf_line_valid(CXLF_LINE_UNIT, s->t.hosts, e)) {
        sim_fail(s, page, "entry is legal", "line %u", line);
    }
    check_owner(s, page, line, e);
    /* Large sets are looked through now and then. */
    if (!deep && cxlf_set_count(e.holders, s->t.hosts) > 6 &&
        s->stats.checks & 15) {
        return;
    }
    CXLF_FOR_EACH_HOST(host, e.holders, s->t.hosts) {
        found += truth_has_unit(s, host, unit);
        if (s->host[host].life == GONE &&
            cxlf_set_encoding(e.holders) != CXLF_COARSE) {
            sim_fail(s, page, "recovery complete", "line %u names host %u, "
                     "which is dead", line, host);
        }
    }
    if (found != u->copies) {
        sim_fail(s, page, "copyset covers holders", "%u hosts have line %u, "
                 "and its entry (%s, %lx) names %u of them", u->copies, line,
                 cxlf_state_name[e.state], e.holders, found);
    }
}

/* A transient state has a requester that goes on with it, or is dead. */
static void check_requester(Sim *s, uint32_t page, struct cxlf_line e)
{
    const Host *h = &s->host[e.requester];

    if (!cxlf_is_transient(e.state) || h->life == DEAD) {
        return;
    }
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        const Request *q = &h->request[slot];

        if (h->life == ALIVE && q->active && q->page == page &&
            (q->r.event == CXLF_EVICT || (q->r.phase != CXLF_INSTALL &&
             q->r.phase != CXLF_ASK))) {
            return;
        }
    }
    sim_fail(s, page, "no orphan", "%s of host %u, which has no such "
             "request", cxlf_state_name[e.state], e.requester);
}

void check_page(Sim *s, uint32_t page)
{
    const Place *at = &s->place[page];
    const PageTruth *p = &s->truth.page[page];
    struct cxlf_line e;
    unsigned found = 0;

    if (!s->leaf_up[at->page_leaf]) {
        return;
    }
    s->stats.checks++;
    if (!cxlf_peek(&s->d, CXLF_PAGE_UNIT, at->gfam, at->dpa, &e) ||
        !cxlf_line_valid(CXLF_PAGE_UNIT, s->t.hosts, e)) {
        sim_fail(s, page, "entry is legal", "the page");
    }
    check_requester(s, page, e);
    CXLF_FOR_EACH_HOST(host, e.holders, s->t.hosts) {
        found += truth_mapping(s, host, page) != CXLF_HELD_NOT;
        if (s->host[host].life == GONE) {
            sim_fail(s, page, "recovery complete", "the page names host %u, "
                     "which is dead", host);
        }
    }
    if (e.state == CXLF_S_E) {
        found += truth_mapping(s, e.requester, page) != CXLF_HELD_NOT;
    }
    if (found != p->mapped) {
        sim_fail(s, page, "copyset covers holders", "%u hosts have the page "
                 "mapped, and its entry (%s, %lx) names %u of them",
                 p->mapped, cxlf_state_name[e.state], e.holders, found);
    }
    if (p->writer && (!cxlf_set_has(e.holders, p->writer - 1, s->t.hosts) ||
                      (e.state != CXLF_E && e.state != CXLF_E_E &&
                       e.state != CXLF_E_S && e.state != CXLF_E_I))) {
        sim_fail(s, page, "single writer", "host %u may write the page, "
                 "which is %s (%lx)", p->writer - 1,
                 cxlf_state_name[e.state], e.holders);
    }
}

void check_all(Sim *s, bool quiet)
{
    for (uint32_t page = 0; page < s->pages; page++) {
        struct cxlf_line e;
        bool lines = page < s->o.hot_pages || s->line_pages;

        check_page(s, page);
        for (unsigned u = 0; lines && u < s->units_per_page; u++) {
            check_line(s, page, u * s->lines_per_unit, true);
        }
        if (quiet && (!cxlf_peek(&s->d, CXLF_PAGE_UNIT, s->place[page].gfam,
                                 s->place[page].dpa, &e) ||
                      cxlf_is_transient(e.state))) {
            sim_fail(s, page, "quiescence", "still %s",
                     cxlf_state_name[e.state]);
        }
    }
    for (unsigned host = 0; quiet && host < s->o.hosts; host++) {
        const Host *h = &s->host[host];

        if (h->life == DEAD || (h->life == ALIVE &&
            (h->op.active || h->snooping || h->request[MAIN].active ||
             h->request[SIDE].active))) {
            sim_fail(s, h->op.page, "quiescence", "host %u has not ended",
                     host);
        }
    }
}

void check_recovered(Sim *s, unsigned host)
{
    bool all = s->pages * s->units_per_page <= 1u << 14;
    uint32_t count = all ? s->pages : SAMPLES / s->units_per_page + 1;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = all ? i : rng_below(&s->rng, s->pages);

        check_page(s, page);
        for (unsigned u = 0; u < s->units_per_page; u++) {
            if (page < s->o.hot_pages || s->line_pages) {
                check_line(s, page, u * s->lines_per_unit, true);
            }
        }
    }
    for (unsigned leaf = 0; leaf < s->o.leaves; leaf++) {
        const uint32_t *inside = s->d.leaf[leaf].inside[host].count;

        if (inside[0] || inside[1]) {
            sim_fail(s, 0, "recovery complete", "host %u is still inside "
                     "leaf %u", host, leaf);
        }
    }
}

void check_ages(Sim *s)
{
    uint64_t limit = 20 * MS + s->o.hosts * 200 * US;

    for (unsigned host = 0; host < s->o.hosts; host++) {
        const Host *h = &s->host[host];

        if (h->life == ALIVE && h->op.active &&
            s->now - h->op.started > limit) {
            sim_fail(s, h->op.page, "progress", "host %u has waited for "
                     "line %u (%s) for %lu us", host, h->op.line,
                     h->op.by_page ? "by page" : "by line",
                     (s->now - h->op.started) / 1000);
        }
    }
    if (s->stopped_at && s->now - s->stopped_at > 4 * limit) {
        sim_fail(s, 0, "quiescence", "events go on long after the last "
                 "access");
    }
}

/* What is sent is received, and every hit and miss is an access. */
void check_counters(Sim *s)
{
    uint64_t sum[CXLF_COUNTERS];

    cxlf_read_counters(&s->d, -1, -1, -1, sum);
    for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
        sum[i] += s->stats.counters[i];
    }
    if (sum[CXLF_BISNP_SENT] != sum[CXLF_BISNP_RECEIVED]) {
        sim_fail(s, 0, "sent is received", "%lu snoops were sent, and %lu "
                 "received", sum[CXLF_BISNP_SENT],
                 sum[CXLF_BISNP_RECEIVED]);
    }
    if (sum[CXLF_REFUSAL]) {
        sim_fail(s, 0, "no step fails", "%lu refusals", sum[CXLF_REFUSAL]);
    }
}
