/*
 * CXL fabric: the ways of a host's messages, and what they cost
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf/access.h"
#include "hw/cxlf/fabric-lane.h"
#include "fabric-internal.h"
#include "fabric-qos.h"

#define CACHE_BITS 10

struct CXLFabricLane {
    const struct cxlf_topology *topology;
    const struct cxlf_graph *graph;
    struct cxlf_link_count *counts;
    CXLFabricMeter *meter;
    struct cxlf_node host;
    /* The generation in which this host has no decoder in the GDT. */
    uint64_t no_gdt[CXLF_MAX_GFAMS];
    struct cxlf_route_cache cache;
    struct cxlf_route route[1 << CACHE_BITS];
};

CXLFabricLane *cxl_fabric_lane_new(CXLFabric *f, CXLFabricLaneOf of)
{
    uint32_t number = f->self * CXL_FABRIC_LANES + of;
    CXLFabricLane *l;

    if (!f->router) {
        return NULL;
    }
    l = g_new0(CXLFabricLane, 1);
    l->topology = &f->directory.topology;
    l->graph = f->graph;
    l->counts = cxlf_counts_lane(f->link_counts, f->graph, number);
    l->meter = cxl_fabric_meter_new(f, number);
    l->host = (struct cxlf_node) { CXLF_NODE_HOST, f->self };
    l->cache = (struct cxlf_route_cache) {
        .router = f->router, .lane = l->counts, .route = l->route,
        .bits = CACHE_BITS,
    };
    return l;
}

void cxl_fabric_lane_free(CXLFabricLane *l)
{
    if (l) {
        cxl_fabric_meter_free(l->meter);
    }
    g_free(l);
}

/* PIDs are those of the topology; the flow is the line. */
static const struct cxlf_route *way(CXLFabricLane *l, struct cxlf_node from,
                                    struct cxlf_node to, uint64_t dpa)
{
    return cxlf_route_get(&l->cache,
                          cxlf_graph_pid(l->topology, l->graph, from),
                          cxlf_graph_pid(l->topology, l->graph, to),
                          dpa / CXLF_LINE);
}

static struct cxlf_node device(uint32_t gfam)
{
    return (struct cxlf_node) { CXLF_NODE_GFAM, gfam };
}

/* The leaf that is home of a unit; the device itself if it has none. */
static struct cxlf_node home_of(CXLFabricLane *l, enum cxlf_kind kind,
                                uint32_t gfam, uint64_t dpa)
{
    struct cxlf_home home;

    if (kind == CXLF_UNITS ||
        !cxlf_topology_home(l->topology, kind, gfam, dpa, &home)) {
        return device(gfam);
    }
    return (struct cxlf_node) { CXLF_NODE_LEAF, home.leaf };
}

static enum cxlf_route_result ask_device(CXLFabricLane *l, uint32_t gfam,
                                         uint64_t dpa)
{
    const struct cxlf_router *r = l->cache.router;
    uint32_t pid = cxlf_graph_pid(l->topology, l->graph, l->host);

    if (!cxlf_may_access(r, gfam, pid, dpa)) {
        return CXLF_ROUTE_NO_RIGHT;
    }
    return likely(l->no_gdt[gfam] == cxlf_routes_generation(r)) ?
           CXLF_ROUTE_OK :
           cxlf_gdt_leads(r, gfam, pid, dpa, &l->no_gdt[gfam]);
}

enum cxlf_route_result cxl_fabric_lane_ask(CXLFabricLane *l,
                                           enum cxlf_kind kind, uint32_t gfam,
                                           uint64_t dpa, uint16_t *where)
{
    struct cxlf_node leg[4];
    const struct cxlf_route *r;
    enum cxlf_route_result result;

    if (!l) {
        return CXLF_ROUTE_OK;
    }
    result = ask_device(l, gfam, dpa);
    if (result != CXLF_ROUTE_OK) {
        *where = gfam;
        return result;
    }
    leg[0] = leg[3] = l->host;
    leg[1] = home_of(l, kind, gfam, dpa);
    leg[2] = device(gfam);
    for (unsigned i = 0; i < 3; i++) {
        r = way(l, leg[i], leg[i + 1], dpa);
        if (r->result != CXLF_ROUTE_OK) {
            *where = r->where;
            return r->result;
        }
    }
    return CXLF_ROUTE_OK;
}

/* Returns the modelled time, in picoseconds. */
static uint64_t charge(CXLFabricLane *l, struct cxlf_node from,
                       struct cxlf_node to, uint64_t dpa,
                       enum cxlf_flow_kind kind, uint32_t payload)
{
    return cxlf_route_charge(l->counts, way(l, from, to, dpa), kind, payload);
}

/* The same of a message to or from a device, for its meter. */
static void charge_ask(CXLFabricLane *l, CXLFabricAsk *ask,
                       struct cxlf_node from, struct cxlf_node to,
                       enum cxlf_flow_kind kind, uint32_t payload)
{
    const struct cxlf_route *r = way(l, from, to, ask->dpa);
    uint32_t slots = 1 + DIV_ROUND_UP(payload, CXLF_SLOT);

    ask->round_ps += cxlf_route_charge(l->counts, r, kind, payload);
    if (r->links) {
        bool out = from.kind == CXLF_NODE_GFAM;

        *(out ? &ask->out : &ask->in) += slots;
        ask->slot_ps = r->hop[out ? 0 : r->links - 1].slot_ps;
    }
}

/*
 * @holders of a unit are asked to give it up; M: its owner writes it back, to
 * the device of @ask.  They are asked at once.
 */
static void charge_snoops(CXLFabricLane *l, struct cxlf_node home,
                          uint64_t holders, unsigned state, CXLFabricAsk *ask)
{
    uint64_t begin = ask->round_ps, longest = begin;

    CXLF_FOR_EACH_HOST(h, holders, l->topology->hosts) {
        struct cxlf_node host = { CXLF_NODE_HOST, h };

        ask->round_ps = begin;
        ask->round_ps += charge(l, home, host, ask->dpa, CXLF_FLOW_BISNP, 0);
        if (state == CXLF_M) {
            charge_ask(l, ask, host, device(ask->gfam), CXLF_FLOW_RWD,
                       cxlf_topology_grain(l->topology));
            charge_ask(l, ask, device(ask->gfam), host, CXLF_FLOW_NDR, 0);
        }
        ask->round_ps += charge(l, host, home, ask->dpa, CXLF_FLOW_BIRSP, 0);
        longest = MAX(longest, ask->round_ps);
    }
    ask->round_ps = longest;
}

/* What a line that made room is written back for; nobody waits for it. */
static void charge_victim(CXLFabricLane *l, struct cxlf_node home,
                          const struct cxlf_move *m)
{
    CXLFabricAsk ask = { .gfam = m->victim_gfam, .dpa = m->victim_dpa };

    charge_snoops(l, home, m->victim.holders, m->victim.state, &ask);
    ask.round_ps = 0;
    if (ask.in) {
        cxl_fabric_meter_add(l->meter, &ask);
    }
}

void cxl_fabric_charge_line(CXLFabricLane *l, uint32_t gfam, uint64_t dpa,
                            const struct cxlf_move *m)
{
    CXLFabricAsk ask = { .gfam = gfam, .dpa = dpa };
    struct cxlf_node home;
    bool held;

    if (!l || (m->before.state == m->after.state &&
               m->before.holders == m->after.holders)) {
        return;
    }
    held = cxlf_set_has(m->before.holders, l->host.number,
                        l->topology->hosts);
    if (held && m->before.state != CXLF_S) {
        return;     /* its own already: nobody is told */
    }
    home = home_of(l, CXLF_LINE_UNIT, gfam, dpa);
    ask.round_ps = charge(l, l->host, home, dpa, CXLF_FLOW_REQ, 0);
    charge_snoops(l, home, m->snooped, m->before.state, &ask);
    if (m->evicted) {
        charge_victim(l, home, m);
    }
    if (held) {
        charge(l, home, l->host, dpa, CXLF_FLOW_NDR, 0);
        return;                 /* the device is not asked */
    }
    charge_ask(l, &ask, home, device(gfam), CXLF_FLOW_REQ, 0);
    charge_ask(l, &ask, device(gfam), l->host, CXLF_FLOW_DRS,
               cxlf_topology_grain(l->topology));
    cxl_fabric_meter_add(l->meter, &ask);
}

void cxl_fabric_charge_page(CXLFabricLane *l, uint32_t gfam, uint64_t dpa)
{
    struct cxlf_node home;

    if (l) {
        home = home_of(l, CXLF_PAGE_UNIT, gfam, dpa);
        charge(l, l->host, home, dpa, CXLF_FLOW_REQ, 0);
        charge(l, home, l->host, dpa, CXLF_FLOW_NDR, 0);
    }
}

void cxl_fabric_charge_snoop(CXLFabricLane *l, uint32_t gfam, uint64_t dpa,
                             unsigned host)
{
    struct cxlf_node to = { CXLF_NODE_HOST, host };
    struct cxlf_node home;

    if (l) {
        home = home_of(l, CXLF_PAGE_UNIT, gfam, dpa);
        charge(l, home, to, dpa, CXLF_FLOW_BISNP, 0);
        charge(l, to, home, dpa, CXLF_FLOW_BIRSP, 0);
    }
}

void cxl_fabric_charge_direct(CXLFabricLane *l, uint32_t gfam, uint64_t dpa,
                              unsigned size, bool write)
{
    CXLFabricAsk ask = { .gfam = gfam, .dpa = dpa };

    if (l) {
        charge_ask(l, &ask, l->host, device(gfam),
                   write ? CXLF_FLOW_RWD : CXLF_FLOW_REQ, write ? size : 0);
        charge_ask(l, &ask, device(gfam), l->host,
                   write ? CXLF_FLOW_NDR : CXLF_FLOW_DRS, write ? 0 : size);
        cxl_fabric_meter_add(l->meter, &ask);
    }
}

uint32_t cxl_fabric_links(CXLFabric *f)
{
    return f->router ? f->graph->links : 0;
}

uint32_t cxl_fabric_link(CXLFabric *f, uint32_t link)
{
    return f->router ? cxlf_link_get(f->router, link) : 0;
}

bool cxl_fabric_is_others_link(CXLFabric *f, uint32_t link)
{
    struct cxlf_node end = f->graph->link[link].end[1];

    return end.kind == CXLF_NODE_HOST && end.number != f->self;
}

uint64_t cxl_fabric_link_changes(CXLFabric *f)
{
    return f->router ? cxlf_routes_generation(f->router) : 0;
}
