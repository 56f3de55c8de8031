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
#include "cxlf/fm-graph.h"
#include "compat.h"
#include "fabric-fm.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(CXLF_FM_GFDS < CXLF_MAX_GFAMS);
QEMU_BUILD_BUG_ON(CXLF_FM_DEVICES < CXLF_MAX_GFAMS);
QEMU_BUILD_BUG_ON(CXLF_FM_LDS != CXLF_MAX_LDS);
QEMU_BUILD_BUG_ON(CXLF_FM_PORTS < CXLF_MAX_PORTS);
QEMU_BUILD_BUG_ON(CXLF_FM_SWITCHES < CXLF_MAX_LEAVES);
QEMU_BUILD_BUG_ON(CXLF_FM_SWITCHES + CXLF_MAX_GFAMS > CXLF_FM_COMPONENTS);

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

bool cxl_fabric_fm_find_host(const CXLFabricFm *fm, uint32_t host,
                             unsigned *component, unsigned *port)
{
    const struct cxlf_node n = { CXLF_NODE_HOST, host };
    uint16_t pid = cxlf_graph_pid(fm->topology, fm->graph, n);
    const struct cxlf_fm_port *p;

    *component = cxlf_switch_of(fm->topology, fm->graph->link[
        cxlf_endpoint_link(fm->topology, fm->graph, n)].end[0]);
    if (*component >= fm->switches) {
        return false;
    }
    p = fm->core->sw[fm->core->component[*component].index].port;
    for (*port = 0; *port < CXLF_FM_PORTS; (*port)++) {
        if (p[*port].exists && p[*port].state == CXLF_FM_PORT_USP &&
            p[*port].pid == pid) {
            return true;
        }
    }
    return false;
}

/* Which host each VCS is of. */
static void find_hosts(CXLFabricFm *fm)
{
    for (uint32_t host = 0; host < fm->topology->hosts; host++) {
        unsigned component, port, vcs;

        if (cxl_fabric_fm_find_host(fm, host, &component, &port)) {
            vcs = fm->core->sw[fm->core->component[component].index]
                  .port[port].vcs;
            if (vcs < CXLF_FM_VCSS) {
                fm->host_of[component][vcs] = host + 1;
            }
        }
    }
}

static bool build(CXLFabricFm *fm)
{
    uint64_t serial = (uint64_t)ldl_be_p(fm->fabric->uuid.data) << 32;
    int switches = cxlf_fm_init(fm->core, &ops, fm) ?
                   cxlf_fm_add_graph(fm->core, fm->topology, fm->graph,
                                     serial) : -1;

    if (switches < 0) {
        return false;
    }
    fm->switches = switches;
    for (uint32_t i = 0; i < fm->topology->gfams; i++) {
        if (fm->graph->lds[i]) {
            cxl_fabric_fm_create_lds(fm, i);
        }
    }
    find_hosts(fm);
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
