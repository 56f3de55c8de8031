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
#include "fabric-qos.h"
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

bool cxl_fabric_fm_find_process(const CXLFabricFm *fm, int host,
                                CXLFabricPeer **peer)
{
    CXLFabric *f = fm->fabric;

    *peer = NULL;
    if (host == f->self && f->attached) {
        return true;
    }
    *peer = cxl_fabric_peer_of(f, host);
    return *peer != NULL;
}

/* The guest's port has the error; nobody is told if there is no guest. */
static void tell_aer(CXLFabricFm *fm, const struct cxlf_fm_event *event)
{
    struct cxlf_wire_aer w = { .vppb = event->b, .error = event->start };
    int host = fm->host_of[event->component][event->a] - 1;
    CXLFabricPeer *peer;

    QEMU_BUILD_BUG_ON(sizeof(w.header) != sizeof(event->tag));
    memcpy(w.header, event->tag, sizeof(w.header));
    if (!cxl_fabric_fm_find_process(fm, host, &peer)) {
        return;
    }
    if (peer) {
        cxl_fabric_tell_peer(peer, CXLF_WIRE_AER, &w, sizeof(w));
    } else {
        cxl_fabric_hear_aer(fm->fabric, &w);
    }
}

/* Functions for the core; others are in fabric-fm-*.c. */

static void emit(void *opaque, const struct cxlf_fm_event *event)
{
    static const int what[] = {
        [CXLF_FM_VPPB_CHANGED] = CXL_FABRIC_FM_EVENT_VPPB_CHANGED,
        [CXLF_FM_OWNER_CHANGED] = CXL_FABRIC_FM_EVENT_OWNER_CHANGED,
        [CXLF_FM_AER] = CXL_FABRIC_FM_EVENT_AER,
        /* Dynamic capacity: hosts are told, not the manager. */
        [CXLF_FM_REGION_CHANGED ... CXLF_FM_DC_FORCED] = -1,
        [CXLF_FM_SAT_CHANGED] = CXL_FABRIC_FM_EVENT_SAT_CHANGED,
    };
    CXLFabricFm *fm = opaque;
    bool aer = event->type == CXLF_FM_AER;
    bool vppb = aer || event->type == CXLF_FM_VPPB_CHANGED;

    if (what[event->type] < 0) {
        cxl_fabric_fm_extent_event(fm, event);
        return;
    }
    if (aer) {
        tell_aer(fm, event);
    }
    if (!cxl_fabric_may_emit(&fm->emitted)) {
        return;
    }
    qapi_event_send_x_cxl_fabric_fm(cxl_fabric_id(fm->fabric),
                                    event->component, what[event->type],
                                    vppb, event->a, vppb, event->b,
                                    !vppb, event->a, aer, event->start,
                                    fm->emitted.left_out);
    fm->emitted.left_out = 0;
}

static enum cxlf_cci config(void *opaque, struct cxlf_fm_config *request)
{
    CXLFabricFm *fm = opaque;

    return cxlf_fm_config_read(fm->core, request);
}

static void qos_set(void *opaque, unsigned component)
{
    CXLFabricFm *fm = opaque;
    CXLFabric *f = fm->fabric;
    const struct cxlf_fm_device *d =
        &fm->core->dev[fm->core->component[component].index];
    uint8_t allocated[CXLF_FM_LDS], limit[CXLF_FM_LDS];

    QEMU_BUILD_BUG_ON(sizeof(d->qos) != CXLF_QOS_CONTROL);
    for (unsigned i = 0; i < d->lds; i++) {
        allocated[i] = d->ld[i].allocated;
        limit[i] = d->ld[i].limit;
    }
    cxlf_qos_set(cxlf_counts_qos(f->link_counts, f->graph,
                                 cxl_fabric_lanes(f)),
                 component - fm->switches, d->qos, d->lds, allocated, limit);
}

static uint8_t backpressure(void *opaque, unsigned component)
{
    CXLFabricFm *fm = opaque;

    return cxlf_qos_backpressure(cxl_fabric_qos_view(
               fm->fabric, component - fm->switches)) / (CXLF_QOS_ONE / 100);
}

static const struct cxlf_fm_ops ops = {
    .bind = cxl_fabric_fm_bind,
    .unbind = cxl_fabric_fm_unbind,
    .erase = cxl_fabric_fm_erase,
    .place = cxl_fabric_fm_place,
    .event = emit,
    .qos_set = qos_set,
    .backpressure = backpressure,
    .port_control = cxl_fabric_fm_port_control,
    .config = config,
    .drt_get = cxl_fabric_fm_drt_get,
    .drt_set = cxl_fabric_fm_drt_set,
    .rgt_get = cxl_fabric_fm_rgt_get,
    .rgt_set = cxl_fabric_fm_rgt_set,
    .port_up = cxl_fabric_fm_port_up,
    .sat_set = cxl_fabric_fm_sat_set,
    .gdt_set = cxl_fabric_fm_gdt_set,
    .gae_set = cxl_fabric_fm_gae_set,
};

enum cxlf_cci cxl_fabric_fm_command(CXLFabricFm *fm,
                                    const struct cxlf_fm_who *who,
                                    unsigned component, uint16_t opcode,
                                    const void *in, size_t in_len, void *out,
                                    size_t out_cap, size_t *out_len)
{
    enum cxlf_cci code = cxlf_fm_command(fm->core, who, component, opcode,
                                         in, in_len, out, out_cap, out_len);

    trace_cxl_fabric_fm_command(cxl_fabric_id(fm->fabric), component, opcode,
                                who->pid, code);
    cxl_fabric_fm_tell_offers(fm);
    return code;
}

void cxl_fabric_fm_host_gone(CXLFabric *f, CXLFabricPeer *peer)
{
    if (f->fm && f->fm->core) {
        cxl_fabric_fm_lds_gone(f->fm, peer);
        cxl_fabric_fm_extents_gone(f->fm, peer);
    }
}

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

bool cxl_fabric_fm_find_vcs(const CXLFabricFm *fm, uint32_t host,
                            unsigned *component, unsigned *vcs)
{
    unsigned port;

    if (!cxl_fabric_fm_find_host(fm, host, component, &port)) {
        return false;
    }
    *vcs = fm->core->sw[fm->core->component[*component].index].port[port].vcs;
    return *vcs < CXLF_FM_VCSS;
}

/* Which host each VCS is of. */
static void find_hosts(CXLFabricFm *fm)
{
    for (uint32_t host = 0; host < fm->topology->hosts; host++) {
        unsigned component, vcs;

        if (cxl_fabric_fm_find_vcs(fm, host, &component, &vcs)) {
            fm->host_of[component][vcs] = host + 1;
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
    QTAILQ_INIT(&fm->holds);
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
    cxl_fabric_fm_drop_erases(fm);
    cxl_fabric_fm_drop_lds(fm);
    cxl_fabric_fm_drop_holds(fm);
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
