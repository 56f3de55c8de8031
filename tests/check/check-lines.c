/*
 * Steps of accesses to lines
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "check.h"

/* What another host's transition took away is not believed any more. */
static void unbelieve(State *s, unsigned line, uint64_t snooped,
                      unsigned host, bool keeps)
{
    for (unsigned h = 0; h < config.hosts; h++) {
        uint8_t *belief = &s->host[h].belief[line];

        if (h != host && snooped >> h & 1) {
            *belief = keeps && *belief ? READABLE : UNMAPPED;
        }
    }
}

/* A host has got a line: it reads what the last store wrote. */
static void believe(State *s, unsigned host, unsigned line,
                    enum cxlf_event event)
{
    uint8_t *belief = &s->host[host].belief[line];
    uint8_t value = s->line_value[line];

    if ((value != KEPT && value != host + 1) ||
        (config.tiers && s->page_value[page_of_line(line)] != KEPT)) {
        fail(DATA_VALUE);
    }
    if (event != CXLF_LOAD) {
        *belief = WRITABLE;
    } else if (*belief == UNMAPPED) {
        *belief = READABLE;
    }
    if (event == CXLF_STORE) {
        s->line_value[line] = host + 1;
    }
}

static void done(State *s, unsigned host, const struct cxlf_line_access *a,
                 const struct cxlf_move *m)
{
    unsigned line = s->host[host].use_line;

    host = number_of(host);
    unbelieve(s, line, m->snooped, host, m->actions & CXLF_A_BISNP_DATA);
    note_writeback(s, line);
    switch (a->event) {
    case CXLF_CLEAR:
        if (m->before.state == CXLF_P) {
            s->line_value[line] = KEPT;
        }
        break;
    case CXLF_EVICT:
    case CXLF_RECALL:
        s->host[host].belief[line] = UNMAPPED;
        break;
    default:
        believe(s, host, line, a->event);
        break;
    }
}

static void evicted(State *s, const struct cxlf_move *m)
{
    unsigned line = m->victim_dpa / cxlf_topology_grain(&directory.topology);

    if (line >= config.lines) {
        fail(STEP_FAILS);
        return;
    }
    unbelieve(s, line, m->victim.holders, MAX_HOSTS, false);
    note_writeback(s, line);
}

static void end_access(State *s, unsigned host)
{
    HostState *h = &s->host[host];

    h->uses = h->use_line = h->use_event = h->use_phase = 0;
    h->use_ticket = h->use_way = h->use_own = h->use_locked = 0;
    h->use_result = 0;
    for (unsigned i = 0; i < MAX_LINES; i++) {
        s->looked[i] &= ~(1 << host);
    }
}

static void judge(State *s, unsigned host, unsigned phase,
                  const struct cxlf_line_access *a, const struct cxlf_move *m)
{
    unsigned line = s->host[host].use_line;

    if (phase == CXLF_LINE_END) {
        return;
    }
    if (a->phase == CXLF_LINE_END && a->result == CXLF_POISONED &&
        s->line_value[line] != LOST) {
        fail(DATA_VALUE);
    }
    if (a->phase == CXLF_LINE_END && a->result == CXLF_CORRUPT) {
        fail(STEP_FAILS);
    }
    if ((phase == CXLF_LINE_USE && a->phase == CXLF_LINE_END &&
         a->result == CXLF_OK) ||
        (phase == CXLF_LINE_SETTLE && a->phase == CXLF_LINE_SPARE)) {
        done(s, host, a, m);
    }
    if (m->evicted) {
        evicted(s, m);
    }
}

static void store_access(HostState *h, const struct cxlf_line_access *a)
{
    bool has_own = a->phase == CXLF_LINE_USE ||
                   a->phase == CXLF_LINE_VERIFY ||
                   a->phase == CXLF_LINE_SETTLE ||
                   a->phase == CXLF_LINE_SPARE;

    h->use_phase = a->phase;
    h->use_ticket = a->ticket;
    h->use_locked = a->locked;
    /* What is not read any more makes no difference. */
    h->use_way = a->phase == CXLF_LINE_FIND ||
                 a->phase == CXLF_LINE_VERIFY ? a->way : 0;
    h->use_own = has_own ? a->own : 0;
    if (a->phase == CXLF_LINE_VERIFY &&
        config.broken == BREAK_NO_VERIFY) {
        h->use_phase = CXLF_LINE_SETTLE;
    }
    if (a->phase == CXLF_LINE_END) {
        /* How it ended is known; only a refusal is still counted. */
        h->use_event = h->use_line = 0;
    }
}

/*
 * @turn: a generation of the first way; by their sum a victim is chosen
 * @late: the epoch was read before it advanced
 */
static void step_access(State *s, unsigned host, unsigned turn, bool late)
{
    struct cxlf_leaf_live *live = directory.leaf[0].live;
    HostState *h = &s->host[host];
    struct cxlf_line_access a = {
        .dpa = line_dpa(h->use_line), .event = h->use_event,
        .phase = h->use_phase, .ticket = h->use_ticket, .way = h->use_way,
        .own = h->use_own, .locked = h->use_locked,
        .result = h->use_result,
    };
    struct cxlf_move m = { 0 };
    struct cxlf_entry *first =
        directory.leaf[0].table[CXLF_LINE_UNIT].entries;
    unsigned phase = a.phase;
    bool more;

    load(s, host);
    if (CXLF_WORD_TAG(first->word)) {
        first->word |= CXLF_WORD(0, turn, 0, 0);
    }
    live->epoch -= late;
    more = cxlf_line_step(&directory, number_of(host), &a, &m);
    live->epoch += late;
    judge(s, host, phase, &a, &m);
    store_access(h, &a);
    if (more) {
        save(s);
    } else {
        h->uses = 0;
        save(s);
        end_access(s, host);
    }
}

static void begin_access(Explorer *e, const State *s, unsigned host,
                         enum cxlf_event event, const char *name)
{
    for (unsigned l = 0; l < config.lines; l++) {
        State n = *s;

        n.host[host].uses = 1;
        n.host[host].use_line = l;
        n.host[host].use_event = event;
        step_access(&n, host, 0, false);
        add(e, &n, name);
    }
}

/* Steps that choose a victim: all choices; and what may be out of date */
static void choose(Explorer *e, const State *s, unsigned host)
{
    bool late = s->host[host].use_ticket;

    for (unsigned i = 0; i < config.ways * (1u + late); i++) {
        State n = *s;

        step_access(&n, host, i % config.ways, i >= config.ways);
        add(e, &n, s->host[host].use_phase == CXLF_LINE_CLAIM ?
            "claim a way" : "spare a way");
    }
}

void expand_lines(Explorer *e, const State *s, unsigned host)
{
    static const char *const names[] = {
        [CXLF_LINE_BEGIN] = "enter", [CXLF_LINE_PAGE] = "look at the page",
        [CXLF_LINE_FIND] = "look at a way", [CXLF_LINE_USE] = "use an entry",
        [CXLF_LINE_CLAIM] = "claim", [CXLF_LINE_VERIFY] = "verify",
        [CXLF_LINE_SETTLE] = "settle", [CXLF_LINE_SPARE] = "spare",
        [CXLF_LINE_END] = "leave",
    };
    const HostState *h = &s->host[host];
    State n = *s;

    if (!config.lines || may(WISH_NO_ACCESS)) {
        return;
    }
    if (h->uses) {
        if (config.ways && (h->use_phase == CXLF_LINE_CLAIM ||
                            h->use_phase == CXLF_LINE_SPARE)) {
            choose(e, s, host);
            return;
        }
        step_access(&n, host, 0, false);
        add(e, &n, names[h->use_phase]);
        return;
    }
    if (!may(WISH_NO_LOAD)) {
        begin_access(e, s, host, CXLF_LOAD, "access: load");
    }
    begin_access(e, s, host, CXLF_STORE, "access: store");
    if (may(WISH_LINE_OWN)) {
        begin_access(e, s, host, CXLF_OWN, "access: own");
    }
    if (may(WISH_LINE_EVICT)) {
        begin_access(e, s, host, CXLF_EVICT, "access: evict");
    }
    if (may(WISH_LINE_RECALL)) {
        begin_access(e, s, host, CXLF_RECALL, "access: recall");
    }
    if (may(WISH_LINE_CLEAR)) {
        begin_access(e, s, host, CXLF_CLEAR, "access: clear");
    }
}
