/*
 * The switches and links of a topology file: its routes, and a crawl of them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "cxlf/topology-fdt.h"
#include "crawl.h"
#include "sim.h"

#define CACHE_BITS 16
#define MAX_BLOB (CXLF_MAX_HOSTS * 1024)

/* Of this process: those of the file, or the usual ones of the options. */
static struct cxlf_topology topology;
static struct cxlf_graph graph;
static struct cxlf_router router;
static struct cxlf_route_cache cache;

static const uint8_t uuid[16] = "cxlf-simulation";

bool ways_read(Options *o, const char **why)
{
    FILE *in = fopen(o->topology, "rb");
    char *blob = malloc(MAX_BLOB);
    size_t size;
    bool ok;

    *why = "cannot be read";
    size = in && blob ? fread(blob, 1, MAX_BLOB, in) : 0;
    ok = size && cxlf_topology_read(blob, size, &topology, why);
    if (ok && topology.hosts < 2) {
        *why = "must have 2 hosts or more";
        ok = false;
    }
    ok = ok && cxlf_graph_read(blob, &topology, &graph, why);
    if (in) {
        fclose(in);
    }
    free(blob);
    if (ok) {
        o->hosts = topology.hosts;
        o->leaves = topology.leaves;
        o->spines = graph.spines;
        o->shards = topology.shards;
        o->gfams = topology.gfams;
        o->grain = cxlf_topology_grain(&topology);
        o->line_entries = topology.line_entries;
        o->ways = topology.ways ? topology.ways : o->ways;
        o->tiers = topology.tiers;
    }
    return ok;
}

void ways_shape(struct cxlf_topology *t)
{
    memcpy(t->host_leaf, topology.host_leaf, sizeof(t->host_leaf));
    for (uint32_t i = 0; i < t->gfams; i++) {
        t->gfam[i].leaf = topology.gfam[i].leaf;
    }
}

/* Tables in memory of this process, with everything up; once. */
static bool make_router(const char **why)
{
    uint64_t size = cxlf_routes_size(&topology, &graph);
    void *at;

    if (router.shared) {
        return true;
    }
    at = mmap(NULL, size, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cache.route = calloc(1u << CACHE_BITS, sizeof(*cache.route));
    if (at == MAP_FAILED || !cache.route) {
        *why = "not enough memory for routes";
        return false;
    }
    cxlf_routes_format(at, &topology, &graph, uuid);
    if (!cxlf_routes_attach(&router, at, size, &topology, &graph, uuid,
                            why)) {
        return false;
    }
    cxlf_routes_begin(&router);
    cxlf_routes_reset(&router);
    cxlf_routes_end(&router);
    cache.router = &router;
    cache.bits = CACHE_BITS;
    return true;
}

bool ways_init(Sim *s, const char **why)
{
    s->link = calloc(graph.links, sizeof(Link));
    return s->link && make_router(why);
}

uint64_t ways_links(void)
{
    return graph.links;
}

/* Those of hosts are the last of the graph, and the first here. */
Link *ways_link(Sim *s, uint64_t n)
{
    return &s->link[n < s->o.hosts ? graph.links - s->o.hosts + n :
                                     n - s->o.hosts];
}

void ways_cut_leaf(Sim *s, unsigned leaf, uint64_t until)
{
    for (uint32_t i = 0; i < graph.switch_links; i++) {
        for (unsigned end = 0; end < 2; end++) {
            if (graph.link[i].end[end].kind == CXLF_NODE_LEAF &&
                graph.link[i].end[end].number == leaf) {
                s->link[i].up_at = until;
            }
        }
    }
}

/* When all links of a route are up, in ns; 0: they are. */
static uint64_t up_at(const Sim *s, const struct cxlf_route *r)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < r->links; i++) {
        const Link *l = &s->link[r->hop[i].way / 2];

        at = l->up_at > s->now && l->up_at > at ? l->up_at : at;
    }
    return at;
}

/* That of the flow, or of another one if a link of it is down. */
static struct cxlf_route choose(Sim *s, struct cxlf_node from,
                                struct cxlf_node to, unsigned flow,
                                uint64_t *at)
{
    struct cxlf_route best = { 0 };

    *at = UINT64_MAX;
    for (unsigned i = 0; i < CXLF_FLOWS && *at; i++) {
        const struct cxlf_route *r =
            cxlf_route_get(&cache, cxlf_graph_pid(&topology, &graph, from),
                           cxlf_graph_pid(&topology, &graph, to), flow + i);

        if (r->result != CXLF_ROUTE_OK) {
            sim_fail(s, 0, "routes of a topology", "%s from %s %u to %s %u",
                     cxlf_route_name[r->result], cxlf_node_name[from.kind],
                     from.number, cxlf_node_name[to.kind], to.number);
        }
        if (up_at(s, r) < *at) {
            *at = up_at(s, r);
            best = *r;
        }
    }
    return best;
}

uint64_t ways_pass(Sim *s, struct cxlf_node from, struct cxlf_node to,
                   unsigned flow, unsigned bytes, uint64_t ps)
{
    uint64_t at;
    struct cxlf_route r = choose(s, from, to, flow, &at);

    if (at * 1000 > ps) {
        s->stats.unroutable++;
        ps = at * 1000;
    }
    for (unsigned i = 0; i < r.links; i++) {
        uint32_t number = r.hop[i].way / 2, back = r.hop[i].way & 1;
        const struct cxlf_link *l = &graph.link[number];

        if (cxlf_is_switch(l->end[back])) {
            ps += graph.latency[cxlf_switch_of(&topology, l->end[back])] *
                  1000ull;
        }
        ps = network_pass(s, &s->link[number], back, bytes,
                          r.hop[i].slot_ps * (uint64_t)bytes / CXLF_SLOT, ps);
        ps += l->latency * 1000ull;
    }
    return ps;
}

/* A crawl changes nothing, so none of these is called. */

static void no_binding(void *opaque, const struct cxlf_fm_binding *binding,
                       uint64_t token)
{
    (void)opaque;
    (void)binding;
    (void)token;
    abort();
}

static void no_erasing(void *opaque, const struct cxlf_fm_memory *memory,
                       uint64_t token)
{
    (void)opaque;
    (void)memory;
    (void)token;
    abort();
}

static void no_event(void *opaque, const struct cxlf_fm_event *event)
{
    (void)opaque;
    (void)event;
    abort();
}

static const struct cxlf_fm_ops ops = {
    .bind = no_binding, .unbind = no_binding, .erase = no_erasing,
    .event = no_event,
    .drt_get = cxlf_fm_router_drt_get, .rgt_get = cxlf_fm_router_rgt_get,
    .port_up = cxlf_fm_router_port_up,
};

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Whether @c found each PID that names something, and no other. */
static bool is_complete(const Crawl *c, const char **why)
{
    for (uint32_t pid = 0; pid < CXLF_NO_PID; pid++) {
        bool is = cxlf_pid_get(&router, pid).kind != CXLF_NODE_NONE;

        if (c->seen[pid] != is) {
            *why = cxlf_graph_why("PID %03x was %s", pid,
                                  is ? "not found" : "found, and is nobody's");
            return false;
        }
    }
    return true;
}

bool ways_crawl(const Options *o, const char **why)
{
    static struct cxlf_fm fm;
    static Crawl c;
    double start, computing;

    if (!o->topology) {
        sim_topology(o, &topology);
        if (!cxlf_topology_check(&topology, why)) {
            return false;
        }
        cxlf_graph_default(&topology, o->spines, &graph);
        if (!cxlf_graph_number(&topology, &graph)) {
            *why = "there are more components than 4,095 PIDs";
            return false;
        }
        if (!cxlf_graph_check(&topology, &graph, why)) {
            return false;
        }
    }
    if (cxlf_graph_switches(&topology, &graph) > CXLF_FM_SWITCHES) {
        *why = "a Fabric Manager has 80 switches at most";
        return false;
    }
    start = now_ms();
    if (!make_router(why)) {
        return false;
    }
    computing = now_ms() - start;
    *why = "the topology is beyond a Fabric Manager's bounds";
    if (!cxlf_fm_init(&fm, &ops, &router) ||
        cxlf_fm_add_graph(&fm, &topology, &graph, 0) < 0) {
        return false;
    }
    start = now_ms();
    if (!crawl(&fm, &c, why) || !is_complete(&c, why)) {
        return false;
    }
    start = now_ms() - start;
    printf("crawled %u PIDs, of %u switches, %u devices and %u hosts, by %u "
           "commands in %.3f ms; tables were computed in %.3f ms\n", c.pids,
           c.switches, c.devices, c.pids - c.switches - c.devices,
           c.commands, start, computing);
    return true;
}
