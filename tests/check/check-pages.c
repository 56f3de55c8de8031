/*
 * Exhaustive check of mapped pages: table, directory, mailboxes and agents
 *
 * The shipping code makes every step; this model only chooses which host
 * steps next, and which message is lost, doubled or late, when patience
 * ends, when a host evicts or dies.  Generations are left out of a state:
 * no step decides by them.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "cxlf/agent.h"
#include "explore.h"

enum { MAX_HOSTS = 4, MAX_PAGES = 2 };
enum { UNMAPPED, READABLE, WRITABLE };
enum { ALIVE, DEAD, RECOVERED };

typedef struct HostState {
    uint8_t life;
    uint8_t map[MAX_PAGES];
    uint8_t mail[MAX_PAGES];    /* a bit for each kind of BISnp */
    uint8_t requests, request_page, request_event, request_phase;
    uint8_t request_to_post;
    uint8_t snoops, snoop_page, snoop_phase, snoop_event;
} HostState;

typedef struct State {
    uint8_t state[MAX_PAGES], requester[MAX_PAGES], holders[MAX_PAGES];
    uint8_t crashes;            /* that may still happen */
    HostState host[MAX_HOSTS];
} State;

static struct {
    unsigned hosts, pages, crashes;
    bool recall;
} config = { 3, 1, 1, true };

static struct cxlf_directory directory;
static struct cxlf_counters counters[MAX_HOSTS];
static struct cxlf_mailbox mailboxes[MAX_HOSTS];
static struct cxlf_leaf_live live = { .epoch = 2, .state = CXLF_LEAF_UP };
static struct cxlf_inside inside[MAX_HOSTS];
static uint64_t touched[2];
static struct cxlf_entry entries[2][MAX_PAGES];
static const char *failure;
static const char *const relation_names[CXLF_RELATIONS] = {
    "stranger", "holder", "requester",
};
static bool covered[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS];

/* The state that is being changed: what the agents' io acts on. */
static State *now;

static unsigned page_of(uint64_t dpa)
{
    return dpa / CXLF_PAGE;
}

static void io_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable)
{
    (void)gfam;
    now->host[*(unsigned *)opaque].map[page_of(dpa)] =
        writable ? WRITABLE : READABLE;
}

static void io_zap(void *opaque, uint32_t gfam, uint64_t dpa)
{
    (void)gfam;
    now->host[*(unsigned *)opaque].map[page_of(dpa)] = UNMAPPED;
}

static void io_protect(void *opaque, uint32_t gfam, uint64_t dpa)
{
    uint8_t *map = &now->host[*(unsigned *)opaque].map[page_of(dpa)];

    (void)gfam;
    *map = *map == WRITABLE ? READABLE : *map;
}

static void io_wake(void *opaque, unsigned host)
{
    (void)opaque;
    (void)host;
}

/* From a state to the shared memory that the code works on, and back */

static void load(State *s)
{
    now = s;
    failure = NULL;
    memset(mailboxes, 0, sizeof(mailboxes));
    for (unsigned p = 0; p < config.pages; p++) {
        entries[CXLF_PAGE_UNIT][p] = (struct cxlf_entry) {
            .word = CXLF_WORD(p + 1, 0, s->requester[p], s->state[p]),
            .copyset = s->holders[p],
        };
        for (unsigned h = 0; h < config.hosts; h++) {
            for (unsigned kind = CXLF_BISNP_INV; kind <= CXLF_BISNP_DATA;
                 kind++) {
                if (s->host[h].mail[p] & 1 << kind) {
                    cxlf_post(&mailboxes[h], (struct cxlf_message) {
                        .kind = kind, .dpa = p * CXLF_PAGE });
                }
            }
        }
    }
}

static void save(State *s)
{
    struct cxlf_message m;

    for (unsigned p = 0; p < config.pages; p++) {
        struct cxlf_entry e = entries[CXLF_PAGE_UNIT][p];

        s->state[p] = CXLF_WORD_STATE(e.word);
        s->requester[p] = CXLF_WORD_REQUESTER(e.word);
        s->holders[p] = e.copyset;
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        memset(s->host[h].mail, 0, sizeof(s->host[h].mail));
        while (cxlf_take(&mailboxes[h], &m)) {
            /* Completions only wake: any step may happen at any time. */
            if (m.kind != CXLF_CMP && s->host[h].life == ALIVE) {
                s->host[h].mail[page_of(m.dpa)] |= 1 << m.kind;
            }
        }
    }
}

static void cover(const State *s, unsigned host, unsigned page,
                  unsigned event)
{
    enum cxlf_relation r = CXLF_STRANGER;

    if (s->holders[page] >> host & 1) {
        r = CXLF_HOLDER;
    } else if (cxlf_is_transient(s->state[page]) &&
               s->requester[page] == host) {
        r = CXLF_REQUESTER;
    }
    covered[s->state[page]][r][event] = true;
}

/* Steps; each works on a copy of the state that is being expanded */

static struct cxlf_agent agent_of(unsigned *host)
{
    static struct cxlf_agent_io io = {
        .map = io_map, .zap = io_zap, .protect = io_protect, .wake = io_wake,
    };

    io.opaque = host;
    return (struct cxlf_agent) {
        .directory = &directory, .io = &io, .host = *host,
    };
}

static void step_request(State *s, unsigned host, bool again)
{
    HostState *h = &s->host[host];
    struct cxlf_agent a = agent_of(&host);
    struct cxlf_request r = {
        .dpa = h->request_page * CXLF_PAGE, .event = h->request_event,
        .phase = h->request_phase, .to_post = h->request_to_post,
    };
    enum cxlf_progress progress = CXLF_MORE;

    load(s);
    if (again) {
        cxlf_request_again(&a, &r);
    } else {
        if (r.phase == CXLF_ASK) {
            cover(s, host, h->request_page, r.event);
        }
        progress = cxlf_request_step(&a, &r);
    }
    if (progress == CXLF_FAILED) {
        failure = "no step fails";
    }
    h->request_phase = r.phase;
    h->request_to_post = r.to_post;
    if (progress == CXLF_DONE) {
        h->requests = h->request_page = h->request_event = 0;
        h->request_phase = h->request_to_post = 0;
    }
    save(s);
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

    load(s);
    if (snoop.phase == CXLF_ANSWER) {
        cover(s, host, h->snoop_page, snoop.event);
    }
    progress = cxlf_snoop_step(&a, &snoop);
    if (progress == CXLF_FAILED) {
        failure = "no step fails";
    }
    if (progress == CXLF_WAIT) {
        failure = "responses flow";
    }
    h->snoops = progress == CXLF_MORE;
    h->snoop_phase = h->snoops ? snoop.phase : 0;
    h->snoop_event = h->snoops ? snoop.event : 0;
    h->snoop_page = h->snoops ? h->snoop_page : 0;
    save(s);
}

static void step_event(State *s, unsigned host, unsigned page,
                       enum cxlf_event event)
{
    struct cxlf_move m;

    load(s);
    cover(s, host, page, event);
    if (cxlf_page_event(&directory, host, 0, page * CXLF_PAGE, event, &m) !=
        CXLF_OK) {
        failure = "no step fails";
    }
    save(s);
}

/* Whether the entry names a host: what recovery is to undo. */
static bool is_named(const State *s, unsigned host, unsigned page)
{
    return s->holders[page] >> host & 1 ||
           (cxlf_is_transient(s->state[page]) && s->requester[page] == host);
}

/* Hosts differ by their numbers alone: of all renamings keep the least. */
static uint8_t rename_set(uint8_t set, const uint8_t *to)
{
    uint8_t renamed = 0;

    for (; set; set &= set - 1) {
        renamed |= 1 << to[__builtin_ctz(set)];
    }
    return renamed;
}

static void rename_hosts(const State *s, const uint8_t *to, State *n)
{
    *n = *s;
    for (unsigned p = 0; p < config.pages; p++) {
        n->holders[p] = rename_set(s->holders[p], to);
        if (cxlf_is_transient(s->state[p])) {
            n->requester[p] = to[s->requester[p]];
        }
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        n->host[to[h]] = s->host[h];
        n->host[to[h]].request_to_post =
            rename_set(s->host[h].request_to_post, to);
    }
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
    State best = *s, renamed;

    for (unsigned i = 1; i < count; i++) {
        rename_hosts(s, orders[i], &renamed);
        if (memcmp(&renamed, &best, sizeof(best)) < 0) {
            best = renamed;
        }
    }
    *s = best;
}

static void add(Explorer *e, const State *s, const char *step)
{
    State n = *s;

    if (failure) {
        /* A state that check() knows as broken. */
        n.crashes = 0xff;
    }
    canonical(&n);
    explore_add(e, &n, step);
    failure = NULL;
}

/* Between a zap and its answer the agent makes no request for the page. */
static bool is_answering(const HostState *h, unsigned page)
{
    return h->snoops && h->snoop_phase == CXLF_ANSWER &&
           h->snoop_page == page;
}

static void expand_request(Explorer *e, const State *s, unsigned host)
{
    const HostState *h = &s->host[host];
    State n;

    if (h->requests) {
        static const char *const names[] = {
            "ask", "post a snoop", "look for the grant", "install",
        };

        if (is_answering(h, h->request_page)) {
            return;
        }
        n = *s;
        step_request(&n, host, false);
        add(e, &n, names[h->request_phase & 3]);
        if (h->request_phase == CXLF_AWAIT) {
            n = *s;
            step_request(&n, host, true);
            add(e, &n, "patience ends");
        }
        return;
    }
    for (unsigned p = 0; p < config.pages; p++) {
        static const struct {
            uint8_t event;
            const char *name;
        } wishes[] = {
            { CXLF_LOAD, "ask to load" }, { CXLF_OWN, "ask to own" },
            { CXLF_RECALL, "ask to recall" },
        };

        for (unsigned i = 0; i < (config.recall ? 3 : 2); i++) {
            if (is_answering(h, p)) {
                break;
            }
            n = *s;
            n.host[host].requests = 1;
            n.host[host].request_page = p;
            n.host[host].request_event = wishes[i].event;
            step_request(&n, host, false);
            add(e, &n, wishes[i].name);
        }
    }
}

static void expand_mail(Explorer *e, const State *s, unsigned host)
{
    State n;

    if (s->host[host].snoops) {
        n = *s;
        step_snoop(&n, host);
        add(e, &n, "answer");
        return;
    }
    for (unsigned p = 0; p < config.pages; p++) {
        for (unsigned kind = CXLF_BISNP_INV; kind <= CXLF_BISNP_DATA;
             kind++) {
            if (!(s->host[host].mail[p] & 1 << kind)) {
                continue;
            }
            n = *s;
            n.host[host].mail[p] &= ~(1 << kind);
            add(e, &n, "a message is lost");
            n.host[host].snoops = 1;
            n.host[host].snoop_page = p;
            step_snoop(&n, host);
            add(e, &n, "take a message");
            n = *s;
            n.host[host].snoops = 1;
            n.host[host].snoop_page = p;
            step_snoop(&n, host);
            add(e, &n, "take a message twice");
        }
    }
}

static void expand_evict(Explorer *e, const State *s, unsigned host)
{
    const HostState *h = &s->host[host];
    State n;

    for (unsigned p = 0; p < config.pages; p++) {
        if (h->snoops || (h->requests && h->request_page == p)) {
            continue;
        }
        if (h->map[p] != UNMAPPED) {
            n = *s;
            n.host[host].map[p] = UNMAPPED;
            add(e, &n, "zap to evict");
        } else if (s->holders[p] >> host & 1) {
            n = *s;
            step_event(&n, host, p, CXLF_EVICT);
            add(e, &n, "evict");
        }
    }
}

static void expand_life(Explorer *e, const State *s, unsigned host)
{
    State n = *s;

    if (s->host[host].life == ALIVE) {
        if (s->crashes) {
            n.crashes--;
            memset(&n.host[host], 0, sizeof(n.host[host]));
            n.host[host].life = DEAD;
            add(e, &n, "a host dies");
        }
        return;
    }
    if (s->host[host].life == RECOVERED) {
        return;
    }
    for (unsigned p = 0; p < config.pages; p++) {
        if (is_named(s, host, p)) {
            n = *s;
            step_event(&n, host, p, CXLF_DEATH);
            add(e, &n, "recover a page");
            return;
        }
    }
    n.host[host].life = RECOVERED;
    add(e, &n, "recovery ends");
}

static void expand(Explorer *e, const void *state)
{
    const State *s = state;

    for (unsigned host = 0; host < config.hosts; host++) {
        const HostState *h = &s->host[host];

        expand_life(e, s, host);
        if (h->life != ALIVE) {
            continue;
        }
        expand_request(e, s, host);
        /* One thread: between the grant and the mapping nothing else. */
        if (!h->requests || h->request_phase != CXLF_INSTALL) {
            expand_mail(e, s, host);
            expand_evict(e, s, host);
        }
    }
}

/* Properties */

static const char *check_page(const State *s, unsigned p)
{
    unsigned mapped = 0, writable = 0;
    struct cxlf_line line = { s->state[p], s->requester[p], s->holders[p] };

    if (!cxlf_line_valid(CXLF_PAGE_UNIT, config.hosts, line)) {
        return "entry is legal";
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        const HostState *host = &s->host[h];

        if (host->life == RECOVERED && is_named(s, h, p)) {
            return "recovery complete";
        }
        if (host->life == ALIVE && cxlf_is_transient(s->state[p]) &&
            s->requester[p] == h &&
            (!host->requests || host->request_page != p ||
             host->request_phase == CXLF_ASK ||
             host->request_phase == CXLF_INSTALL)) {
            return "no orphan transaction";
        }
        if (host->map[p] == UNMAPPED) {
            continue;
        }
        mapped++;
        writable += host->map[p] == WRITABLE;
        if (!is_named(s, h, p)) {
            return "copyset covers holders";
        }
    }
    return writable && mapped > 1 ? "single writer" : NULL;
}

static const char *check(const void *state)
{
    const State *s = state;
    const char *broken = NULL;

    if (s->crashes == 0xff) {
        return "no step fails, responses flow";
    }
    for (unsigned p = 0; p < config.pages && !broken; p++) {
        broken = check_page(s, p);
    }
    return broken;
}

static bool quiescent(const void *state)
{
    const State *s = state;

    for (unsigned p = 0; p < config.pages; p++) {
        if (cxlf_is_transient(s->state[p])) {
            return false;
        }
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        if (s->host[h].requests || s->host[h].snoops ||
            s->host[h].life == DEAD) {
            return false;
        }
    }
    return true;
}

static void print(const void *state)
{
    static const char life[] = "+xo", map[] = "-rw";
    const State *s = state;

    for (unsigned p = 0; p < config.pages; p++) {
        fprintf(stderr, "[%s by %u: %x]",
                s->state[p] < CXLF_STATES ? cxlf_state_name[s->state[p]] :
                "?", s->requester[p], s->holders[p]);
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        const HostState *host = &s->host[h];

        fprintf(stderr, " %c%c", life[host->life % 3], map[host->map[0] % 3]);
        if (host->requests) {
            fprintf(stderr, "%s/%u", cxlf_event_name[host->request_event],
                    host->request_phase);
        }
        if (host->mail[0]) {
            fprintf(stderr, " mail %x", host->mail[0]);
        }
    }
    fputc('\n', stderr);
}

/* Mutations: one field of one cell, in the shipping table itself */

static int find_name(const char *const names[], int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (!strcmp(names[i], name)) {
            return i;
        }
    }
    return -1;
}

static bool writable_table(void)
{
    uintptr_t page = sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)cxlf_table & ~(page - 1);

    return !mprotect((void *)start,
                     (uintptr_t)cxlf_table + sizeof(cxlf_table) - start,
                     PROT_READ | PROT_WRITE);
}

/* "STATE,RELATION,EVENT,FIELD,VALUE", all of them names */
static bool mutate(const char *text)
{
    static const char *const fields[] = { "next", "last", "wait", "without" };
    static const char *const actions[] = {
        "defined", "inv", "data", "writeback", "add", "only", "drop",
        "grant", "busy", "stale",
    };
    char state[16], relation[16], event[16], field[16], value[16];
    int s, r, e, f, v;
    struct cxlf_cell *cell;

    if (sscanf(text, "%15[^,],%15[^,],%15[^,],%15[^,],%15s", state, relation,
               event, field, value) != 5) {
        return false;
    }
    s = find_name(cxlf_state_name, CXLF_STATES, state);
    r = find_name(relation_names, CXLF_RELATIONS, relation);
    e = find_name(cxlf_event_name, CXLF_EVENTS, event);
    f = find_name(fields, 4, field);
    v = f == 3 ? find_name(actions, 10, value) :
                 find_name(cxlf_state_name, CXLF_STATES, value);
    if (s < 0 || r < 0 || e < 0 || f < 0 || v < 0 || !writable_table()) {
        return false;
    }
    cell = (struct cxlf_cell *)&cxlf_table[s][r][e];
    switch (f) {
    case 0:
        cell->next = v;
        break;
    case 1:
        cell->last = v;
        break;
    case 2:
        cell->wait = v;
        break;
    default:
        cell->actions &= ~(1u << v);
        break;
    }
    return true;
}

static void print_coverage(bool verbose)
{
    unsigned reached = 0, defined = 0;

    /* Of the cells that pages can be in: no M, no Store */
    for (int s = 0; s < CXLF_STATES; s++) {
        for (int r = 0; r < CXLF_RELATIONS; r++) {
            for (int e = 0; e < CXLF_EVENTS; e++) {
                if (s == CXLF_M || e == CXLF_STORE ||
                    !(cxlf_table[s][r][e].actions & CXLF_A_DEFINED)) {
                    continue;
                }
                defined++;
                reached += covered[s][r][e];
                if (verbose && !covered[s][r][e]) {
                    printf("# not reached: %s, %s, %s\n", cxlf_state_name[s],
                           relation_names[r], cxlf_event_name[e]);
                }
            }
        }
    }
    printf("# table coverage: %u of %u cells of pages\n", reached, defined);
}

static bool run(const char *title, uint64_t limit, bool verbose)
{
    State initial = { .crashes = config.crashes };
    Model model = {
        .size = sizeof(State), .initial = &initial, .expand = expand,
        .check = check, .quiescent = quiescent, .print = print,
    };
    struct timespec start, end;
    Result r;

    directory.topology = (struct cxlf_topology) {
        .hosts = config.hosts, .leaves = 1, .shards = 1, .gfams = 1,
        .gfam = { { .hot = CXLF_CAPACITY_UNIT } },
    };
    directory.leaf[0] = (struct cxlf_leaf_view) {
        .live = &live, .inside = inside,
        .counters = counters, .mailboxes = mailboxes,
        .table = { { &touched[0], entries[0] }, { &touched[1], entries[1] } },
    };
    clock_gettime(CLOCK_MONOTONIC, &start);
    explore(&model, limit, verbose, &r);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("# %s: %llu states, %llu transitions, depth %u, %.1f s%s\n", title,
           (unsigned long long)r.states, (unsigned long long)r.transitions,
           r.depth, (end.tv_sec - start.tv_sec) +
           (end.tv_nsec - start.tv_nsec) / 1e9,
           r.full ? ", NOT complete: limit reached" : "");
    if (r.broken) {
        printf("# %s: broken property: %s\n", title, r.broken);
    }
    return !r.broken && !r.full;
}

static void usage(void)
{
    printf("usage: check-pages [--hosts N] [--pages N] [--crashes N] "
           "[--no-recall]\n"
           "                   [--limit STATES] [--mutate "
           "STATE,RELATION,EVENT,FIELD,VALUE] [--verbose]\n\n"
           "Explores every state of a few hosts that share a few mapped "
           "pages, made by the\nshipping code, and checks: single writer, "
           "copyset covers holders, no orphan\ntransaction, responses flow, "
           "quiescence reachable, recovery complete.\n"
           "--mutate corrupts a cell of the table by names, for instance\n"
           "S,stranger,Own,wait,E_E or S,holder,RspI,without,drop: a check "
           "that still passes\nis not checking.\n"
           "--verbose also names the cells of the table that were not "
           "reached.\n");
}

int main(int argc, char **argv)
{
    uint64_t limit = 3000000;
    bool verbose = false, ok;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (!strcmp(argv[i], "--verbose")) {
            verbose = true;
        } else if (!strcmp(argv[i], "--no-recall")) {
            config.recall = false;
        } else if (!strcmp(argv[i], "--hosts")) {
            config.hosts = atoi(argv[++i] ? value : "0");
        } else if (!strcmp(argv[i], "--pages")) {
            config.pages = atoi(argv[++i] ? value : "0");
        } else if (!strcmp(argv[i], "--crashes")) {
            config.crashes = atoi(argv[++i] ? value : "0");
        } else if (!strcmp(argv[i], "--limit")) {
            limit = strtoull(argv[++i] ? value : "0", NULL, 0);
        } else if (!strcmp(argv[i], "--mutate") && mutate(value)) {
            i++;
        } else {
            usage();
            return strcmp(argv[i], "--help") ? 2 : 0;
        }
    }
    if (config.hosts < 2 || config.hosts > MAX_HOSTS || config.pages < 1 ||
        config.pages > MAX_PAGES || config.crashes > 2 || limit < 2 ||
        limit > 200000000) {
        fprintf(stderr, "check-pages: --hosts 2 to 4, --pages 1 to 2, "
                "--crashes 0 to 2, --limit 2 to 200000000\n");
        return 2;
    }
    ok = run("pages", limit, verbose);
    print_coverage(verbose);
    return ok ? 0 : 1;
}
