/*
 * CXL fabric: what a Fabric Manager manages
 *
 * The owner's switches and devices as cxlf/fm.h has them, and what its
 * commands do here: docs/fabric-manager.md, "In the emulator".  All of it is
 * the main loop's.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-cxl-fabric.h"
#include "qemu/bswap.h"
#include "compat.h"
#include "fabric-fm.h"
#include "trace.h"

#define LANES   16u
#define L0      4u          /* LTSSM state */

QEMU_BUILD_BUG_ON(CXLF_FM_GFDS < CXLF_MAX_GFAMS);
QEMU_BUILD_BUG_ON(CXLF_FM_DEVICES < CXLF_MAX_GFAMS);
QEMU_BUILD_BUG_ON(CXLF_FM_LDS != CXLF_MAX_LDS);
QEMU_BUILD_BUG_ON(CXLF_FM_PORTS < CXLF_MAX_PORTS);
QEMU_BUILD_BUG_ON(CXLF_FM_SWITCHES < CXLF_MAX_LEAVES);
QEMU_BUILD_BUG_ON(CXLF_FM_SWITCHES + CXLF_MAX_GFAMS > CXLF_FM_COMPONENTS);

static unsigned component_of(const CXLFabricFm *fm, struct cxlf_node n)
{
    return n.kind == CXLF_NODE_GFAM ? fm->switches + n.number :
           cxlf_switch_of(fm->topology, n);
}

struct cxlf_node cxl_fabric_fm_node(const CXLFabricFm *fm, unsigned component)
{
    return component < fm->switches ?
           cxlf_switch_node(fm->topology, component) :
           (struct cxlf_node) { CXLF_NODE_GFAM, component - fm->switches };
}

/* Functions for the core; others are in fabric-fm-routes.c and -lds.c. */

static void emit(void *opaque, const struct cxlf_fm_event *event)
{
    static const int what[] = {
        [CXLF_FM_VPPB_CHANGED] = CXL_FABRIC_FM_EVENT_VPPB_CHANGED,
        [CXLF_FM_OWNER_CHANGED] = CXL_FABRIC_FM_EVENT_OWNER_CHANGED,
        [CXLF_FM_AER] = CXL_FABRIC_FM_EVENT_AER,
        /* Those of dynamic capacity cannot be: see erase(). */
        [CXLF_FM_REGION_CHANGED ... CXLF_FM_DC_FORCED] = -1,
        [CXLF_FM_SAT_CHANGED] = CXL_FABRIC_FM_EVENT_SAT_CHANGED,
    };
    CXLFabricFm *fm = opaque;
    bool aer = event->type == CXLF_FM_AER;
    bool vppb = aer || event->type == CXLF_FM_VPPB_CHANGED;

    if (what[event->type] < 0 || !cxl_fabric_may_emit(&fm->emitted)) {
        return;
    }
    qapi_event_send_x_cxl_fabric_fm(cxl_fabric_id(fm->fabric),
                                    event->component, what[event->type],
                                    vppb, event->a, vppb, event->b,
                                    !vppb, event->a, aer, event->start,
                                    fm->emitted.left_out);
    fm->emitted.left_out = 0;
}

static const struct cxlf_fm_ops ops = {
    .bind = cxl_fabric_fm_bind,
    .unbind = cxl_fabric_fm_unbind,
    .erase = cxl_fabric_fm_erase,
    .place = cxl_fabric_fm_place,
    .event = emit,
    .drt_get = cxl_fabric_fm_drt_get,
    .drt_set = cxl_fabric_fm_drt_set,
    .rgt_get = cxl_fabric_fm_rgt_get,
    .rgt_set = cxl_fabric_fm_rgt_set,
    .port_up = cxl_fabric_fm_port_up,
    .sat_set = cxl_fabric_fm_sat_set,
    .gdt_set = cxl_fabric_fm_gdt_set,
};

/* Building it from the topology */

/* The lowest speed of PCIe at which the lanes carry @rate MB/s. */
static unsigned speed_for(uint32_t rate)
{
    unsigned speed = 1;

    while (speed < 6 && rate > LANES * 250u << (speed - 1)) {
        speed++;
    }
    return speed;
}

static bool add_components(CXLFabricFm *fm)
{
    const struct cxlf_topology *t = fm->topology;
    uint64_t serial = (uint64_t)ldl_be_p(fm->fabric->uuid.data) << 32;
    struct cxlf_fm *core = fm->core;
    bool ok = true;

    for (unsigned i = 0; i < fm->switches; i++) {
        ok &= cxlf_fm_add_switch(core, serial | i, 1, 1,
                                 CXLF_RGT_ENTRIES) >= 0;
    }
    for (uint32_t i = 0; i < t->gfams; i++) {
        uint64_t memory = t->gfam[i].hot + t->gfam[i].bulk;
        uint32_t lds = fm->graph->lds[i];
        uint64_t number = serial | core->components;

        if (!lds) {
            ok &= cxlf_fm_add_gfd(core, number) >= 0;
            continue;
        }
        ok &= cxlf_fm_add_device(core, number, true, lds, 1, memory) >= 0;
        cxl_fabric_fm_create_lds(fm, i);
    }
    for (unsigned i = 0; i < core->components; i++) {
        core->component[i].pid = cxlf_graph_pid(t, fm->graph,
                                                cxl_fabric_fm_node(fm, i));
    }
    return ok;
}

/* A port of @component, which leads to @to. */
static bool add_port(CXLFabricFm *fm, unsigned component, unsigned port,
                     const struct cxlf_link *link, struct cxlf_node to)
{
    unsigned speed = speed_for(link->rate);
    struct cxlf_fm_link have = {
        .max_width = LANES, .width = LANES, .speeds = (1u << speed) - 1,
        .max_speed = speed, .speed = speed, .ltssm = L0,
    };
    enum cxlf_fm_port_state state =
        to.kind == CXLF_NODE_HOST ? CXLF_FM_PORT_USP :
        to.kind == CXLF_NODE_GFAM ? CXLF_FM_PORT_DSP : CXLF_FM_PORT_FABRIC;

    return cxlf_fm_add_port(fm->core, component, port, state) &&
           cxlf_fm_set_link(fm->core, component, port, &have);
}

/* The first port of a link to an endpoint. */
static bool attach(CXLFabricFm *fm, unsigned component, unsigned port,
                   struct cxlf_node endpoint, unsigned *vcss)
{
    fm->core->sw[fm->core->component[component].index].port[port].pid =
        cxlf_graph_pid(fm->topology, fm->graph, endpoint);
    if (endpoint.kind == CXLF_NODE_GFAM) {
        return cxlf_fm_connect(fm->core, component, port,
                               component_of(fm, endpoint), 0);
    }
    if (*vcss >= CXLF_FM_VCSS) {
        return true;
    }
    fm->host_of[component][*vcss] = endpoint.number + 1;
    return cxlf_fm_add_vcs(fm->core, component, (*vcss)++, port,
                           CXLF_WIRE_VPPBS, false);
}

static bool add_link(CXLFabricFm *fm, const struct cxlf_link *link,
                     unsigned *next, unsigned *vcss)
{
    bool between = cxlf_is_switch(link->end[1]);
    unsigned component[2], port[2] = { 0 };
    bool ok = true;

    for (unsigned e = 0; e < 2; e++) {
        component[e] = component_of(fm, link->end[e]);
        if (cxlf_is_switch(link->end[e])) {
            port[e] = next[component[e]];
            next[component[e]] += link->ports;
        }
    }
    if (component[0] >= fm->switches ||
        (between && component[1] >= fm->switches)) {
        return true;            /* beyond the bounds */
    }
    for (unsigned p = 0; p < link->ports && ok; p++) {
        ok = add_port(fm, component[0], port[0] + p, link, link->end[1]);
        if (between) {
            ok = ok && add_port(fm, component[1], port[1] + p, link,
                                link->end[0]) &&
                 cxlf_fm_connect(fm->core, component[0], port[0] + p,
                                 component[1], port[1] + p);
        }
    }
    return ok && (between || attach(fm, component[0], port[0], link->end[1],
                                    &vcss[component[0]]));
}

static bool build(CXLFabricFm *fm)
{
    /* Ports are numbered through the links, of all switches. */
    unsigned next[CXLF_MAX_SWITCHES] = { 0 }, vcss[CXLF_MAX_SWITCHES] = { 0 };

    fm->switches = MIN(cxlf_graph_switches(fm->topology, fm->graph),
                       CXLF_FM_SWITCHES);
    if (!cxlf_fm_init(fm->core, &ops, fm) || !add_components(fm)) {
        return false;
    }
    for (uint32_t i = 0; i < fm->graph->links; i++) {
        if (!add_link(fm, &fm->graph->link[i], next, vcss)) {
            return false;
        }
    }
    cxl_fabric_fm_bind_first(fm);
    return true;
}

void cxl_fabric_create_fm(CXLFabric *f)
{
    CXLFabricFm *fm = g_new0(CXLFabricFm, 1);

    fm->fabric = f;
    fm->topology = &f->directory.topology;
    QTAILQ_INIT(&fm->erases);
    f->fm = fm;
    fm->graph = f->graph;
    if (!fm->graph) {
        fm->why = cxl_fabric_no_routing;
        return;
    }
    /* Most of it is never touched. */
    fm->core = g_new0(struct cxlf_fm, 1);
    if (!build(fm)) {
        fm->why = "its topology is beyond the bounds";
        g_clear_pointer(&fm->core, g_free);
        return;
    }
    cxl_fabric_fm_adopt_routes(fm);
}

void cxl_fabric_drop_fm(CXLFabric *f)
{
    CXLFabricFm *fm = g_steal_pointer(&f->fm);

    if (!fm) {
        return;
    }
    cxl_fabric_fm_drop_routes(fm);
    cxl_fabric_fm_drop_lds(fm);
    g_free(fm->core);
    g_free(fm);
}

CXLFabricFm *cxl_fabric_find_fm(const char *id, Error **errp)
{
    CXLFabric *f = cxl_fabric_find(id, true, errp);

    if (f && !f->fm->core) {
        error_setg(errp, "fabric %s has no Fabric Manager: %s",
                   cxl_fabric_id(f), f->fm->why);
        return NULL;
    }
    return f ? f->fm : NULL;
}
