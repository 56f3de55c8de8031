/*
 * Routes through the switches' tables, and counters of links
 *
 * Memory order: a writer makes the generation odd (W0), stores tables (W1)
 * and makes it even (W2); a reader loads it (R0), the tables (R1), and it
 * again (R2).  W2 pairs with R0: who sees a generation sees its tables.  When
 * R1 has seen a later W1, the fences make R2 see its W0.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/route.h"

#define TRIES       100
#define ADAPT_AFTER 256     /* lookups of a route that was chosen by load */

const char *const cxlf_route_name[CXLF_ROUTE_RESULTS] = {
    [CXLF_ROUTE_OK] = "ok",
    [CXLF_ROUTE_NO_PID] = "no-pid",
    [CXLF_ROUTE_NO_ENTRY] = "no-entry",
    [CXLF_ROUTE_BAD_ENTRY] = "bad-entry",
    [CXLF_ROUTE_LOOP] = "loop",
    [CXLF_ROUTE_LINK_DOWN] = "link-down",
    [CXLF_ROUTE_SWITCH_DOWN] = "switch-down",
    [CXLF_ROUTE_NO_RIGHT] = "no-right",
    [CXLF_ROUTE_BUSY] = "busy",
};

const char *const cxlf_flow_name[CXLF_FLOW_KINDS] = {
    [CXLF_FLOW_REQ] = "req",
    [CXLF_FLOW_RWD] = "rwd",
    [CXLF_FLOW_NDR] = "ndr",
    [CXLF_FLOW_DRS] = "drs",
    [CXLF_FLOW_BISNP] = "bisnp",
    [CXLF_FLOW_BIRSP] = "birsp",
};

uint16_t cxlf_drt_get(const struct cxlf_router *r, uint32_t s, uint32_t pid)
{
    return s < r->switches && pid < CXLF_PIDS ?
           __atomic_load_n(&r->tables[s].drt[pid], __ATOMIC_RELAXED) :
           CXLF_DRT_INVALID;
}

struct cxlf_rgt_entry cxlf_rgt_get(const struct cxlf_router *r, uint32_t s,
                                   uint32_t index)
{
    struct cxlf_rgt_entry entry = { { 0 }, 0, 0 };

    if (s < r->switches && index < CXLF_RGT_ENTRIES) {
        struct cxlf_rgt_entry *at = &r->tables[s].rgt[index];
        uint64_t ports = __atomic_load_n((uint64_t *)at->port,
                                         __ATOMIC_RELAXED);

        memcpy(entry.port, &ports, sizeof(ports));
        entry.word = __atomic_load_n(&at->word, __ATOMIC_RELAXED);
    }
    return entry;
}

struct cxlf_node cxlf_pid_get(const struct cxlf_router *r, uint32_t pid)
{
    const uint32_t many[CXLF_NODE_KINDS] = {
        0, r->topology->hosts, r->topology->gfams, r->topology->leaves,
        r->graph->spines
    };
    struct cxlf_node node = { CXLF_NODE_NONE, 0 };
    uint16_t word;

    if (pid < CXLF_NO_PID) {
        word = __atomic_load_n(&r->shared->pid[pid], __ATOMIC_RELAXED);
        if (word >> 12 < CXLF_NODE_KINDS &&
            (word & 0xfffu) < many[word >> 12]) {
            node.kind = word >> 12;
            node.number = word & 0xfffu;
        }
    }
    return node;
}

uint32_t cxlf_link_get(const struct cxlf_router *r, uint32_t link)
{
    if (link >= r->graph->links) {
        return 0;
    }
    return __atomic_load_n(&r->shared->up[link], __ATOMIC_RELAXED) &
           ((1u << r->graph->link[link].ports) - 1);
}

bool cxlf_switch_get(const struct cxlf_router *r, uint32_t s)
{
    return s < r->switches &&
           !__atomic_load_n(&r->tables[s].down, __ATOMIC_RELAXED);
}

bool cxlf_port_link(const struct cxlf_router *r, uint32_t s, uint32_t port,
                    uint32_t *link, uint32_t *number)
{
    const struct cxlf_link *l;
    uint32_t end;

    if (s >= r->switches || port >= CXLF_MAX_PORTS ||
        r->port_link[s][port] == CXLF_NO_LINK) {
        return false;
    }
    *link = r->port_link[s][port];
    l = &r->graph->link[*link];
    end = !cxlf_is_switch(l->end[0]) ||
          cxlf_switch_of(r->topology, l->end[0]) != s;
    *number = port - r->link_port[*link][end];
    return true;
}

bool cxlf_port_get(const struct cxlf_router *r, uint32_t s, uint32_t port)
{
    uint32_t link, number;

    return cxlf_port_link(r, s, port, &link, &number) &&
           cxlf_link_get(r, link) >> number & 1;
}

/* A walk from switch to switch. */
struct walk {
    const struct cxlf_router *r;
    const struct cxlf_link_count *lane;
    uint32_t source, destination, flow;
    struct cxlf_route *route;
};

static bool fail(struct walk *w, enum cxlf_route_result result,
                 uint32_t where)
{
    w->route->result = result;
    w->route->where = where;
    return false;
}

/* The way out of switch @s through @link: the direction is in bit 0. */
static uint32_t way_from(const struct cxlf_router *r, uint32_t s,
                         uint32_t link)
{
    const struct cxlf_link *l = &r->graph->link[link];

    return link * 2 + (!cxlf_is_switch(l->end[0]) ||
                       cxlf_switch_of(r->topology, l->end[0]) != s);
}

static struct cxlf_node far_end(const struct cxlf_router *r, uint32_t way)
{
    return r->graph->link[way / 2].end[!(way & 1)];
}

/* Whether a way leads on; @result says why not. */
static bool usable(const struct cxlf_router *r, uint32_t way,
                   enum cxlf_route_result *result)
{
    struct cxlf_node next = far_end(r, way);

    if (!cxlf_link_get(r, way / 2)) {
        *result = CXLF_ROUTE_LINK_DOWN;
        return false;
    }
    if (cxlf_is_switch(next) &&
        !cxlf_switch_get(r, cxlf_switch_of(r->topology, next))) {
        *result = CXLF_ROUTE_SWITCH_DOWN;
        return false;
    }
    return true;
}

static uint32_t mix_up(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

/* Of @n ways, the one that this lane has kept busy least. */
static unsigned least_busy(const struct walk *w, const uint32_t *way,
                           unsigned n)
{
    uint64_t best = UINT64_MAX;
    unsigned found = 0;

    for (unsigned i = 0; w->lane && i < n; i++) {
        uint64_t busy = __atomic_load_n(&w->lane[way[i]].busy_ps,
                                        __ATOMIC_RELAXED);

        if (busy < best) {
            best = busy;
            found = i;
        }
    }
    return found;
}

/* One of @n usable ways, by an entry's @word; @primary is UINT_MAX if not. */
static bool choose(struct walk *w, uint32_t word, const uint32_t *way,
                   unsigned n, unsigned primary, unsigned next,
                   uint32_t *chosen)
{
    switch (CXLF_RGT_MODE(word)) {
    case CXLF_RGT_RANDOM:
        *chosen = way[mix_up(w->source ^ w->destination << 12 ^
                             w->flow << 24) % n];
        return true;
    case CXLF_RGT_ADVANCED:
        if (primary < n &&
            (n == 1 || (w->flow + w->destination) % CXLF_FLOWS <
                       CXLF_FLOWS - CXLF_RGT_MIX(word))) {
            *chosen = way[primary];
            return true;
        }
        /* fall through */
    case CXLF_RGT_CONGESTION:
        w->route->left = ADAPT_AFTER;
        *chosen = way[least_busy(w, way, n)];
        return true;
    case CXLF_RGT_PRIMARY:
        *chosen = way[primary < n ? primary : next % n];
        return true;
    default:
        return false;
    }
}

/* The way that switch @s has for @n ports of an entry. */
static bool way_of_ports(struct walk *w, uint32_t s, const uint8_t *port,
                         uint32_t word, uint32_t *way)
{
    enum cxlf_route_result why = CXLF_ROUTE_LINK_DOWN;
    unsigned found = 0, primary = UINT32_MAX, next = 0;
    uint32_t all[CXLF_RGT_PORTS], dead = 0;

    for (unsigned i = 0; i <= CXLF_RGT_HIGHEST(word); i++) {
        uint32_t link = w->r->port_link[s][port[i]];
        uint32_t one;

        if (link == CXLF_NO_LINK) {
            return fail(w, CXLF_ROUTE_BAD_ENTRY, s);
        }
        one = way_from(w->r, s, link);
        if (!usable(w->r, one, &why)) {
            dead = one;
            continue;
        }
        if (i == CXLF_RGT_PRIMARY_OF(word)) {
            primary = found;
        }
        next += i < CXLF_RGT_PRIMARY_OF(word);
        all[found++] = one;
    }
    if (!found && why == CXLF_ROUTE_SWITCH_DOWN) {
        return fail(w, why, cxlf_switch_of(w->r->topology,
                                           far_end(w->r, dead)));
    }
    if (!found) {
        return fail(w, why, dead / 2);
    }
    if (CXLF_RGT_PRIMARY_OF(word) > CXLF_RGT_HIGHEST(word) ||
        !choose(w, word, all, found, primary, next, way)) {
        return fail(w, CXLF_ROUTE_BAD_ENTRY, s);
    }
    return true;
}

/* The way out of switch @s. */
static bool next_way(struct walk *w, uint32_t s, uint32_t *way)
{
    uint16_t entry = cxlf_drt_get(w->r, s, w->destination);
    uint8_t port = CXLF_DRT_TARGET(entry);
    struct cxlf_rgt_entry group;

    switch (CXLF_DRT_TYPE(entry)) {
    case CXLF_DRT_INVALID:
        return fail(w, CXLF_ROUTE_NO_ENTRY, s);
    case CXLF_DRT_PORT:
        return way_of_ports(w, s, &port, 0, way);
    case CXLF_DRT_RGT:
        group = cxlf_rgt_get(w->r, s, port);
        return way_of_ports(w, s, group.port, group.word, way);
    default:
        return fail(w, CXLF_ROUTE_BAD_ENTRY, s);
    }
}

/* Along @way; its link was up, and is given a port if it is not any more. */
static void append(struct walk *w, uint32_t way)
{
    const struct cxlf_link *l = &w->r->graph->link[way / 2];
    uint32_t up = __builtin_popcount(cxlf_link_get(w->r, way / 2));
    uint32_t slot_ps = CXLF_SLOT * 1000000u / (l->rate * (up ? up : 1));
    struct cxlf_route *route = w->route;

    route->hop[route->links++] = (struct cxlf_hop) { way, slot_ps };
    route->latency_ns += l->latency;
    route->slot_ps = slot_ps > route->slot_ps ? slot_ps : route->slot_ps;
}

static bool same(struct cxlf_node a, struct cxlf_node b)
{
    return a.kind == b.kind && a.number == b.number;
}

static bool walk(struct walk *w)
{
    const struct cxlf_router *r = w->r;
    struct cxlf_node at = cxlf_pid_get(r, w->source);
    struct cxlf_node end = cxlf_pid_get(r, w->destination);
    enum cxlf_route_result why;
    uint32_t way, s = 0;

    if (at.kind == CXLF_NODE_NONE || end.kind == CXLF_NODE_NONE) {
        return fail(w, CXLF_ROUTE_NO_PID, at.kind == CXLF_NODE_NONE ?
                                          w->source : w->destination);
    }
    if (cxlf_is_switch(at) &&
        !cxlf_switch_get(r, cxlf_switch_of(r->topology, at))) {
        return fail(w, CXLF_ROUTE_SWITCH_DOWN,
                    cxlf_switch_of(r->topology, at));
    }
    while (!same(at, end)) {
        if (w->route->links == CXLF_MAX_ROUTE) {
            return fail(w, CXLF_ROUTE_LOOP, s);
        }
        if (cxlf_is_switch(at)) {
            s = cxlf_switch_of(r->topology, at);
            w->route->latency_ns += r->graph->latency[s];
            if (!next_way(w, s, &way)) {
                return false;
            }
        } else if (w->route->links) {
            return fail(w, CXLF_ROUTE_BAD_ENTRY, s);
        } else {
            /* An endpoint is the second end of its link. */
            way = cxlf_endpoint_link(r->topology, r->graph, at) * 2 + 1;
            if (!usable(r, way, &why)) {
                return fail(w, why, why == CXLF_ROUTE_LINK_DOWN ? way / 2 :
                            cxlf_switch_of(r->topology, far_end(r, way)));
            }
        }
        append(w, way);
        at = far_end(r, way);
    }
    return true;
}

void cxlf_route_resolve(const struct cxlf_router *r,
                        const struct cxlf_link_count *lane, uint32_t source,
                        uint32_t destination, uint32_t flow,
                        struct cxlf_route *route)
{
    struct walk w = {
        .r = r, .lane = lane, .source = source, .destination = destination,
        .flow = flow % CXLF_FLOWS, .route = route,
    };

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t generation = cxlf_routes_generation(r);    /* R0 */

        if (generation & 1) {
            continue;
        }
        memset(route, 0, sizeof(*route));
        route->left = UINT32_MAX;
        if (!walk(&w)) {        /* R1 */
            route->links = 0;
            route->latency_ns = route->slot_ps = 0;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&r->shared->generation, __ATOMIC_RELAXED) ==
            generation) {       /* R2 */
            route->generation = generation;
            return;
        }
    }
    memset(route, 0, sizeof(*route));
    route->result = CXLF_ROUTE_BUSY;
}

const struct cxlf_route *cxlf_route_miss(struct cxlf_route_cache *c,
                                         uint32_t tag)
{
    struct cxlf_route *r = &c->route[tag * 0x9e3779b1u >> (32 - c->bits)];

    cxlf_route_resolve(c->router, c->lane, tag & 0xfff, tag >> 12 & 0xfff,
                       tag >> 24, r);
    r->tag = tag;
    return r;
}

void cxlf_counts_read(const struct cxlf_link_count *counts,
                      const struct cxlf_graph *g, uint32_t first,
                      uint32_t lanes, uint32_t link, unsigned direction,
                      struct cxlf_link_sum *sum)
{
    uint64_t slots = 0, busy_ps = 0;

    memset(sum, 0, sizeof(*sum));
    for (uint32_t lane = first; lane < first + lanes; lane++) {
        const struct cxlf_link_count *c =
            &counts[((uint64_t)lane * g->links + link) * 2 + direction];

        for (unsigned i = 0; i < CXLF_FLOW_KINDS; i++) {
            uint64_t n = __atomic_load_n(&c->bytes[i], __ATOMIC_RELAXED);

            sum->bytes[i] += n;
            slots += n / CXLF_SLOT;
        }
        sum->messages += __atomic_load_n(&c->messages, __ATOMIC_RELAXED);
        busy_ps += __atomic_load_n(&c->busy_ps, __ATOMIC_RELAXED);
    }
    sum->flits = (slots + CXLF_FLIT_SLOTS - 1) / CXLF_FLIT_SLOTS;
    sum->busy_ns = busy_ps / 1000;
}
