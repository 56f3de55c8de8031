/*
 * Steps of agents: requests for pages, and answers to snoops
 *
 * An agent is one thread.  So it does nothing else between the grant of a
 * page and its mapping, and between a zap and its answer it makes no step of
 * a request for that page.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "check.h"

/* The state that is being changed: what the agents' io acts on. */
static State *now;

/* What a host has mapped is as it is in memory. */
static void write_back(unsigned host, unsigned p)
{
    if (now->page_value[p] == host + 1) {
        now->page_value[p] = KEPT;
    }
}

/* A mapping is filled from memory, which must have the last store. */
static void fill(unsigned host, unsigned p)
{
    if (now->page_value[p] != KEPT && now->page_value[p] != host + 1) {
        fail(DATA_VALUE);
    }
    for (unsigned l = 0; config.tiers && l < config.lines; l++) {
        if (page_of_line(l) == p && now->line_value[l] != KEPT) {
            fail(DATA_VALUE);
        }
    }
    now->host[host].stale[p] = false;
}

static void io_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable)
{
    unsigned host = *(unsigned *)opaque, p = dpa / CXLF_PAGE;
    uint8_t *map = &now->host[host].map[p];

    (void)gfam;
    if (*map == WRITABLE && !writable) {
        write_back(host, p);
    }
    if (*map == UNMAPPED) {
        fill(host, p);
    }
    *map = writable ? WRITABLE : READABLE;
}

static void io_zap(void *opaque, uint32_t gfam, uint64_t dpa)
{
    unsigned host = *(unsigned *)opaque, p = dpa / CXLF_PAGE;

    (void)gfam;
    if (config.broken != BREAK_NO_ZAP) {
        write_back(host, p);
        now->host[host].map[p] = UNMAPPED;
        now->host[host].stale[p] = false;
    }
}

static void io_protect(void *opaque, uint32_t gfam, uint64_t dpa)
{
    unsigned host = *(unsigned *)opaque, p = dpa / CXLF_PAGE;
    uint8_t *map = &now->host[host].map[p];

    (void)gfam;
    write_back(host, p);
    *map = *map == WRITABLE ? READABLE : *map;
}

static void io_wake(void *opaque, unsigned host)
{
    (void)opaque;
    (void)host;
}

struct cxlf_agent agent_of(unsigned *host)
{
    static struct cxlf_agent_io io = {
        .map = io_map, .zap = io_zap, .protect = io_protect, .wake = io_wake,
    };

    io.opaque = host;
    return (struct cxlf_agent) {
        .directory = &directory, .io = &io, .host = *host,
        .log = &logs[*host],
    };
}

static void end_request(HostState *h)
{
    h->asks = h->ask_page = h->ask_event = h->ask_phase = 0;
    h->ask_recall = h->ask_line = h->ask_to_post = h->ask_epoch = 0;
    h->ask_old = 0;
}

static void store_request(HostState *h, const struct cxlf_request *r)
{
    uint64_t wait = r->epoch + 2 - EPOCH;

    if (config.broken == BREAK_EARLY_TAKE && wait == 2 &&
        h->ask_phase != CXLF_QUIESCE) {
        wait = 1;
    }
    h->ask_event = r->event;
    h->ask_phase = r->phase;
    h->ask_recall = r->recall;
    h->ask_to_post = r->to_post;
    h->ask_line = r->phase == CXLF_TAKE ? r->line : 0;
    h->ask_epoch = r->phase == CXLF_QUIESCE ? wait : 0;
    h->ask_old = r->phase >= CXLF_POST && r->phase <= CXLF_INSTALL &&
                 r->incarnation != INCARNATION;
}

static void step_request(State *s, unsigned host, bool again)
{
    HostState *h = &s->host[host];
    struct cxlf_agent a = agent_of(&host);
    struct cxlf_request r = {
        .dpa = h->ask_page * CXLF_PAGE, .event = h->ask_event,
        .phase = h->ask_phase, .recall = h->ask_recall,
        .line = h->ask_line, .to_post = h->ask_to_post,
        .epoch = EPOCH - 2 + h->ask_epoch,
        .incarnation = INCARNATION -
                       (h->ask_old && config.broken != BREAK_OLD_GRANT),
    };
    enum cxlf_progress progress = CXLF_MORE;
    bool takes = r.phase == CXLF_TAKE;
    unsigned line = r.line + h->ask_page * (config.lines / config.pages);

    load(s, host);
    now = s;
    if (again) {
        cxlf_request_again(&a, &r);
    } else {
        progress = cxlf_request_step(&a, &r);
    }
    if (progress == CXLF_FAILED) {
        fail(STEP_FAILS);
    }
    if (takes && line < config.lines) {
        note_writeback(s, line);
    }
    store_request(h, &r);
    if (progress != CXLF_MORE && progress != CXLF_WAIT) {
        end_request(h);
    }
    save(s);
    if (takes) {
        drop_beliefs(s);
    }
}

static void step_snoop(State *s, unsigned host)
{
    HostState *h = &s->host[host];
    struct cxlf_agent a = agent_of(&host);
    struct cxlf_snoop snoop = {
        .dpa = h->snoop_page * CXLF_PAGE, .phase = h->snoop_phase,
        .event = h->snoop_event,
    };
    enum cxlf_progress progress;

    load(s, host);
    now = s;
    progress = cxlf_snoop_step(&a, &snoop);
    if (progress == CXLF_FAILED) {
        fail(STEP_FAILS);
    }
    if (progress == CXLF_WAIT) {
        fail(NO_FLOW);
    }
    h->snoops = progress == CXLF_MORE;
    h->snoop_phase = h->snoops ? snoop.phase : 0;
    h->snoop_event = h->snoops ? snoop.event : 0;
    h->snoop_page = h->snoops ? h->snoop_page : 0;
    save(s);
}

/* An event of a host that its agent does not raise by itself */
static void step_event(State *s, unsigned host, unsigned page,
                       enum cxlf_event event)
{
    struct cxlf_move m;

    load(s, host);
    switch (cxlf_page_event(&directory, host, 0, page * CXLF_PAGE, event,
                            &m)) {
    case CXLF_OK:
        if (event == CXLF_CLEAR && m.before.state == CXLF_P) {
            s->page_value[page] = KEPT;
        }
        break;
    case CXLF_WITHHELD:
        break;
    default:
        fail(STEP_FAILS);
    }
    save(s);
}

/* Between a zap and its answer the agent makes no request for the page. */
static bool is_answering(const HostState *h, unsigned page)
{
    return h->snoops && h->snoop_phase == CXLF_ANSWER &&
           h->snoop_page == page && config.broken != BREAK_LATE_ANSWER;
}

static void go_on(Explorer *e, const State *s, unsigned host)
{
    static const char *const names[] = {
        [CXLF_ASK] = "ask", [CXLF_POST] = "post a snoop",
        [CXLF_AWAIT] = "look for the grant", [CXLF_INSTALL] = "install",
        [CXLF_ZAP] = "zap", [CXLF_QUIESCE] = "wait for accesses",
        [CXLF_TAKE] = "take a line",
    };
    const HostState *h = &s->host[host];
    State n = *s;

    if (is_answering(h, h->ask_page)) {
        return;
    }
    step_request(&n, host, false);
    add(e, &n, names[h->ask_phase]);
    if (h->ask_phase == CXLF_AWAIT && config.broken != BREAK_NO_REPOST) {
        n = *s;
        step_request(&n, host, true);
        add(e, &n, "patience ends");
    }
}

static void ask(Explorer *e, const State *s, unsigned host, unsigned page,
                enum cxlf_event event, const char *name)
{
    State n = *s;

    n.host[host].asks = 1;
    n.host[host].ask_page = page;
    n.host[host].ask_event = event;
    if (event == CXLF_EVICT) {
        n.host[host].ask_phase = CXLF_ZAP;
    }
    step_request(&n, host, false);
    add(e, &n, name);
}

static void expand_request(Explorer *e, const State *s, unsigned host)
{
    const HostState *h = &s->host[host];

    if (h->asks) {
        go_on(e, s, host);
        return;
    }
    for (unsigned p = 0; p < config.pages; p++) {
        if (is_answering(h, p)) {
            continue;
        }
        /* Who has it mapped well enough has no fault. */
        if ((h->map[p] == UNMAPPED && !may(WISH_NO_LOAD)) ||
            may(WISH_STRAY)) {
            ask(e, s, host, p, CXLF_LOAD, "ask to load");
        }
        if (h->map[p] != WRITABLE || may(WISH_STRAY)) {
            ask(e, s, host, p, CXLF_OWN, "ask to own");
        }
        if (may(WISH_RECALL)) {
            ask(e, s, host, p, CXLF_RECALL, "ask to recall");
        }
        if (may(WISH_PROMOTE)) {
            ask(e, s, host, p, CXLF_PROMOTE, "ask to promote");
        }
        if (may(WISH_EVICT) && (h->map[p] || may(WISH_STRAY))) {
            ask(e, s, host, p, CXLF_EVICT, "zap to evict");
        }
    }
}

static void take_message(Explorer *e, const State *s, unsigned host,
                         unsigned page, unsigned kind)
{
    State n = *s;

    n.host[host].mail[page] &= ~(1 << kind);
    add(e, &n, "a message is lost");
    n.host[host].snoops = 1;
    n.host[host].snoop_page = page;
    step_snoop(&n, host);
    add(e, &n, "take a message");
    if (may(WISH_DOUBLE)) {
        n = *s;
        n.host[host].snoops = 1;
        n.host[host].snoop_page = page;
        step_snoop(&n, host);
        add(e, &n, "take a message twice");
    }
}

static void expand_mail(Explorer *e, const State *s, unsigned host)
{
    State n = *s;

    if (s->host[host].snoops) {
        step_snoop(&n, host);
        add(e, &n, "answer");
        return;
    }
    for (unsigned p = 0; p < config.pages; p++) {
        if (may(WISH_ANY_TIME)) {
            n = *s;
            n.host[host].snoops = 1;
            n.host[host].snoop_page = p;
            step_snoop(&n, host);
            add(e, &n, "look after a message");
        }
        for (unsigned kind = CXLF_BISNP_INV; kind <= CXLF_BISNP_DATA;
             kind++) {
            if (s->host[host].mail[p] & 1 << kind) {
                take_message(e, s, host, p, kind);
            }
        }
    }
}

static void expand_store(Explorer *e, const State *s, unsigned host,
                         unsigned p)
{
    State n = *s;

    if (s->host[host].map[p] != WRITABLE ||
        s->page_value[p] == host + 1) {
        return;
    }
    n.page_value[p] = host + 1;
    for (unsigned h = 0; h < config.hosts; h++) {
        n.host[h].stale[p] = h != host && n.host[h].map[p];
    }
    add(e, &n, "store");
}

/*
 * Answers of a host that was not asked, requests of a second thread of a
 * host whose transaction runs, and clearing of what is not lost
 */
static void expand_stray(Explorer *e, const State *s, unsigned host,
                         unsigned p)
{
    static const enum cxlf_event answers[] = {
        CXLF_RSP_I, CXLF_RSP_S, CXLF_EVICT,
    };
    static const enum cxlf_event requests[] = {
        CXLF_LOAD, CXLF_OWN, CXLF_RECALL, CXLF_PROMOTE,
    };
    bool runs = cxlf_is_transient(s->page[p].state) &&
                s->page[p].requester == host;
    bool may_evict = !runs && s->page[p].state != CXLF_L &&
                     s->page[p].state != CXLF_L_I &&
                     (s->page[p].tag || !config.tiers);
    State n;

    if (may(WISH_CLEAR)) {
        n = *s;
        step_event(&n, host, p, CXLF_CLEAR);
        add(e, &n, "clear poison");
    }
    if (!may(WISH_STRAY)) {
        return;
    }
    for (unsigned i = 0; i < 3 && !(s->page[p].holders >> host & 1); i++) {
        if (answers[i] != CXLF_EVICT || may_evict) {
            n = *s;
            step_event(&n, host, p, answers[i]);
            add(e, &n, "a stray answer");
        }
    }
    for (unsigned i = 0; runs && i < (config.tiers ? 4 : 3); i++) {
        n = *s;
        step_event(&n, host, p, requests[i]);
        add(e, &n, "a second request");
    }
}

void expand_agent(Explorer *e, const State *s, unsigned host)
{
    const HostState *h = &s->host[host];

    if (!config.pages) {
        return;
    }
    expand_request(e, s, host);
    for (unsigned p = 0; p < config.pages; p++) {
        if (may(WISH_STORE)) {
            expand_store(e, s, host, p);
        }
        expand_stray(e, s, host, p);
    }
    /* Between the grant and the mapping, nothing else */
    if (!h->asks || h->ask_phase != CXLF_INSTALL ||
        config.broken == BREAK_LATE_MAP) {
        expand_mail(e, s, host);
    }
}
