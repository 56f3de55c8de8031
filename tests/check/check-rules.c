/*
 * Properties, and states that differ only by the numbers of their hosts
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include "check.h"

static const char *const step_rules[BROKEN_STEPS] = {
    [STEP_FAILS] = "no step fails", [NO_FLOW] = "responses flow",
    [DATA_VALUE] = "data value", [REUSE] = "nobody is inside at reuse",
    [CONFLICT] = "logs agree",
};

/* Hosts differ by their numbers alone: of all renamings keep the least. */

static uint8_t rename_set(uint8_t set, const uint8_t *to)
{
    uint8_t renamed = 0;

    for (; set; set &= set - 1) {
        renamed |= 1 << to[__builtin_ctz(set)];
    }
    return renamed;
}

static void rename_entry(Entry *e, const uint8_t *to)
{
    if (e->state != CXLF_F) {
        e->holders = rename_set(e->holders, to);
    }
    if (cxlf_is_transient(e->state) || e->state == CXLF_N) {
        e->requester = to[e->requester];
    }
}

static uint8_t rename_value(uint8_t value, const uint8_t *to)
{
    return value == KEPT || value == LOST ? value : to[value - 1] + 1;
}

static void rename_hosts(const State *s, const uint8_t *to, State *n)
{
    *n = *s;
    for (unsigned p = 0; p < config.pages; p++) {
        rename_entry(&n->page[p], to);
        n->page_value[p] = rename_value(s->page_value[p], to);
    }
    for (unsigned l = 0; l < config.lines; l++) {
        n->line_value[l] = rename_value(s->line_value[l], to);
    }
    for (unsigned i = 0; config.lines && i < line_entries(); i++) {
        rename_entry(&n->line[i], to);
        n->looked[i] = rename_set(s->looked[i], to);
    }
    n->rebuilt = rename_set(s->rebuilt, to);
    n->advancing = rename_set(s->advancing, to);
    for (unsigned h = 0; h < config.hosts; h++) {
        n->host[to[h]] = s->host[h];
        n->host[to[h]].ask_to_post = rename_set(s->host[h].ask_to_post, to);
    }
}

/* What a host is in a state, whatever its number. */
typedef struct Key {
    HostState host;
    uint8_t marks[2 * (MAX_PAGES + MAX_LINES) + 1];
} Key;

static uint8_t mark(Entry e, uint8_t value, uint8_t looked, unsigned host)
{
    bool holds = e.state != CXLF_F && e.holders >> host & 1;
    bool asks = (cxlf_is_transient(e.state) || e.state == CXLF_N) &&
                e.requester == host;

    return holds | asks << 1 | (value == host + 1) << 2 |
           (looked >> host & 1) << 3;
}

static void key_of(const State *s, unsigned h, Key *k)
{
    memset(k, 0, sizeof(*k));
    k->host = s->host[h];
    k->host.ask_to_post = __builtin_popcount(k->host.ask_to_post);
    for (unsigned p = 0; p < MAX_PAGES; p++) {
        k->marks[p] = mark(s->page[p], s->page_value[p], 0, h);
    }
    for (unsigned l = 0; l < MAX_LINES; l++) {
        k->marks[MAX_PAGES + l] = mark(s->line[l], s->line_value[l],
                                       s->looked[l], h);
    }
    k->marks[MAX_PAGES + MAX_LINES] = (s->rebuilt >> h & 1) |
                                      (s->advancing >> h & 1) << 1;
}

static bool in_order(Key *const keys, const uint8_t *to)
{
    const Key *at[MAX_HOSTS];

    for (unsigned h = 0; h < config.hosts; h++) {
        at[to[h]] = &keys[h];
    }
    for (unsigned h = 1; h < config.hosts; h++) {
        if (memcmp(at[h - 1], at[h], sizeof(Key)) > 0) {
            return false;
        }
    }
    return true;
}

static void canonical(State *s)
{
    static const uint8_t orders[][MAX_HOSTS] = {
        /* The first 2 are those of 2 hosts, the first 6 those of 3. */
        { 0, 1, 2, 3 }, { 1, 0, 2, 3 }, { 0, 2, 1, 3 }, { 1, 2, 0, 3 },
        { 2, 0, 1, 3 }, { 2, 1, 0, 3 }, { 0, 1, 3, 2 }, { 1, 0, 3, 2 },
        { 0, 2, 3, 1 }, { 1, 2, 3, 0 }, { 2, 0, 3, 1 }, { 2, 1, 3, 0 },
        { 0, 3, 1, 2 }, { 1, 3, 0, 2 }, { 0, 3, 2, 1 }, { 1, 3, 2, 0 },
        { 2, 3, 0, 1 }, { 2, 3, 1, 0 }, { 3, 0, 1, 2 }, { 3, 1, 0, 2 },
        { 3, 0, 2, 1 }, { 3, 1, 2, 0 }, { 3, 2, 0, 1 }, { 3, 2, 1, 0 },
    };
    unsigned count = config.hosts == 2 ? 2 : config.hosts == 3 ? 6 : 24;
    State best, renamed;
    Key keys[MAX_HOSTS];
    bool found = false;

    if (may(WISH_THREADS)) {
        return;                 /* they are not the same */
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        key_of(s, h, &keys[h]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (!in_order(keys, orders[i])) {
            continue;
        }
        rename_hosts(s, orders[i], &renamed);
        if (!found || memcmp(&renamed, &best, sizeof(best)) < 0) {
            best = renamed;
            found = true;
        }
    }
    *s = best;
}

void add(Explorer *e, const State *s, const char *step)
{
    State n = *s;

    canonical(&n);
    explore_add(e, &n, step);
}

/* Properties of pages */

static const char *check_mapping(const State *s, const HostState *h,
                                 unsigned host, unsigned p)
{
    Entry e = s->page[p];
    bool owner = (e.state == CXLF_E || e.state == CXLF_E_E ||
                  e.state == CXLF_E_S || e.state == CXLF_E_I) &&
                 e.holders == 1 << host;
    bool upgrades = e.state == CXLF_S_E && e.requester == host;

    if (h->map[p] > h->log[p]) {
        return "log covers mappings";
    }
    if (h->stale[p]) {
        return "data value";
    }
    if (s->leaf == CXLF_LEAF_UP &&
        (h->map[p] == WRITABLE ? !owner :
         !(e.tag && e.holders >> host & 1) && !upgrades)) {
        return "copyset covers holders";
    }
    return NULL;
}

static const char *check_page(const State *s, unsigned p)
{
    Entry e = s->page[p];
    struct cxlf_line line = { e.state, e.requester, e.holders };
    unsigned mapped = 0, writable = 0;
    const char *broken = NULL;

    if (!cxlf_line_valid(CXLF_PAGE_UNIT, config.hosts, line)) {
        return "entry is legal";
    }
    for (unsigned h = 0; h < config.hosts && !broken; h++) {
        const HostState *host = &s->host[h];

        if (host->life == RECOVERED && is_named(e, h)) {
            return "recovery complete";
        }
        if (host->life == ALIVE && cxlf_is_transient(e.state) &&
            e.requester == h &&
            (!host->asks || host->ask_page != p ||
             host->ask_phase == CXLF_ASK || host->ask_phase == CXLF_ZAP ||
             host->ask_phase == CXLF_INSTALL)) {
            return "no orphan transaction";
        }
        if (host->map[p] && !may(WISH_BAD_LOG)) {
            broken = check_mapping(s, host, h, p);
            mapped++;
            writable += host->map[p] == WRITABLE;
        }
    }
    return broken ? broken :
           writable && mapped > 1 ? "single writer" : NULL;
}

/* Properties of lines */

static bool is_legal_entry(Entry e)
{
    struct cxlf_line line = { e.state, e.requester, e.holders };

    if (e.tag == 0) {
        return e.state == CXLF_I && !e.requester && !e.holders;
    }
    if (e.state == CXLF_F || e.state == CXLF_N) {
        return config.ways && (e.state == CXLF_F || !e.holders);
    }
    return cxlf_line_valid(CXLF_LINE_UNIT, config.hosts, line);
}

static const char *check_entries(const State *s)
{
    for (unsigned i = 0; i < line_entries(); i++) {
        Entry e = s->line[i];

        if (!is_legal_entry(e)) {
            return "entry is legal";
        }
        if (e.tag && e.state < CXLF_N &&
            entry_of(s, e.tag - 1) != &s->line[i]) {
            return "one entry";
        }
        for (unsigned h = 0; h < config.hosts; h++) {
            if (s->host[h].life == RECOVERED && is_named(e, h)) {
                return "recovery complete";
            }
        }
    }
    return NULL;
}

static const char *check_line(const State *s, unsigned l)
{
    const Entry *e = entry_of(s, l);
    unsigned read = 0, write = 0;

    for (unsigned h = 0; h < config.hosts; h++) {
        uint8_t belief = s->host[h].belief[l];

        if (!belief) {
            continue;
        }
        read++;
        write += belief == WRITABLE;
        if (!e || !(e->holders >> h & 1) ||
            (belief == WRITABLE && e->state != CXLF_E &&
             e->state != CXLF_M)) {
            return "copyset covers holders";
        }
    }
    if (write && read > 1) {
        return "single writer";
    }
    if (config.tiers && e && e->holders && s->leaf == CXLF_LEAF_UP) {
        Entry page = s->page[page_of_line(l)];

        if (page.tag && page.state != CXLF_L && page.state != CXLF_L_I) {
            return "lines or page";
        }
    }
    return NULL;
}

const char *check(const void *state)
{
    const State *s = state;
    const char *broken = may(WISH_BAD_LOG) && s->broken == DATA_VALUE ?
                         NULL : step_rules[s->broken];

    for (unsigned p = 0; p < config.pages && !broken; p++) {
        broken = check_page(s, p);
    }
    if (config.lines && !broken) {
        broken = check_entries(s);
    }
    for (unsigned l = 0; l < config.lines && !broken; l++) {
        broken = check_line(s, l);
    }
    return broken;
}

/* Nothing is under way, and all that was freed can be used again. */
bool quiescent(const void *state)
{
    const State *s = state;

    for (unsigned p = 0; p < config.pages; p++) {
        if (cxlf_is_transient(s->page[p].state)) {
            return false;
        }
    }
    for (unsigned i = 0; config.lines && i < line_entries(); i++) {
        if (s->line[i].state == CXLF_N ||
            (s->line[i].state == CXLF_F && s->line[i].holders)) {
            return false;
        }
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        if (s->host[h].asks || s->host[h].snoops || s->host[h].uses ||
            s->host[h].life == DEAD) {
            return false;
        }
    }
    return s->leaf == CXLF_LEAF_UP;
}

static void print_entry(const char *what, unsigned i, Entry e)
{
    fprintf(stderr, " [%s%u", what, i);
    if (e.tag == 0) {
        fprintf(stderr, ": none]");
        return;
    }
    fprintf(stderr, "/%u %s: %x by %u]", e.tag - 1u, e.state < CXLF_STATES ?
            cxlf_state_name[e.state] : "?", e.holders, e.requester);
}

static void print_host(const HostState *h)
{
    static const char life[] = "+xo", map[] = "-rw";

    fprintf(stderr, "  %c", life[h->life % 3]);
    for (unsigned p = 0; p < config.pages; p++) {
        fprintf(stderr, "%c/%c", map[h->map[p] % 3], map[h->log[p] % 3]);
        if (h->mail[p]) {
            fprintf(stderr, " mail %x", h->mail[p]);
        }
    }
    for (unsigned l = 0; l < config.lines; l++) {
        fprintf(stderr, "%c", map[h->belief[l] % 3]);
    }
    if (h->asks) {
        fprintf(stderr, " %s%s/%u e%u", cxlf_event_name[h->ask_event],
                h->ask_recall ? "(recall)" : "", h->ask_phase, h->ask_epoch);
    }
    if (h->snoops) {
        fprintf(stderr, " %s", cxlf_event_name[h->snoop_event]);
    }
    if (h->uses) {
        fprintf(stderr, " %s %u/%u t%u w%u o%u", cxlf_event_name[h->use_event],
                h->use_line, h->use_phase, h->use_ticket, h->use_way,
                h->use_own);
    }
    if (h->inside[0] | h->inside[1]) {
        fprintf(stderr, " in %u %u", h->inside[0], h->inside[1]);
    }
}

void print_state(const void *state)
{
    static const char *const leaf[] = { " rebuilding", "", " down" };
    const State *s = state;

    for (unsigned p = 0; p < config.pages; p++) {
        print_entry("page ", p, s->page[p]);
    }
    for (unsigned i = 0; config.lines && i < line_entries(); i++) {
        print_entry("", i, s->line[i]);
    }
    fprintf(stderr, "%s", leaf[s->leaf % 3]);
    for (unsigned h = 0; h < config.hosts; h++) {
        print_host(&s->host[h]);
    }
    fputc('\n', stderr);
}
