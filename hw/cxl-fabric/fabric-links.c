/*
 * CXL fabric: links, for management
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "hw/cxlf/fabric-lane.h"
#include "fabric-internal.h"
#include "trace.h"

CXLFabric *cxl_fabric_find_routed(const char *id, bool owned, Error **errp)
{
    CXLFabric *f = cxl_fabric_find(id, owned, errp);

    if (f && !f->router) {
        error_setg(errp, "CXL fabric %s has no routing: %s",
                   cxl_fabric_id(f), cxl_fabric_no_routing);
        return NULL;
    }
    return f;
}

/* What all hosts have counted. */
static struct cxlf_link_sum sum_of(CXLFabric *f, uint32_t link,
                                   unsigned direction)
{
    uint32_t hosts = f->directory.topology.hosts;
    struct cxlf_link_sum sum = { 0 }, one;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < hosts; i++) {
        if (!qatomic_read(&f->table->host[i].incarnation)) {
            continue;       /* never used: to look would give it memory */
        }
        cxlf_counts_read(f->link_counts, f->graph, i * CXL_FABRIC_LANES,
                         CXL_FABRIC_LANES, link, direction, &one);
        for (unsigned kind = 0; kind < CXLF_FLOW_KINDS; kind++) {
            sum.bytes[kind] += one.bytes[kind];
            bytes += one.bytes[kind];
        }
        sum.messages += one.messages;
        sum.busy_ns += one.busy_ns;
    }
    sum.flits = DIV_ROUND_UP(bytes, CXLF_SLOT * CXLF_FLIT_SLOTS);
    return sum;
}

static CxlFabricLinkCounters *counters(CXLFabric *f, uint32_t link,
                                       unsigned direction)
{
    CxlFabricLinkCounters *c = g_new0(CxlFabricLinkCounters, 1);
    struct cxlf_link_sum sum = sum_of(f, link, direction);

    *c = (CxlFabricLinkCounters) {
        .req = sum.bytes[CXLF_FLOW_REQ],
        .rwd = sum.bytes[CXLF_FLOW_RWD],
        .ndr = sum.bytes[CXLF_FLOW_NDR],
        .drs = sum.bytes[CXLF_FLOW_DRS],
        .bisnp = sum.bytes[CXLF_FLOW_BISNP],
        .birsp = sum.bytes[CXLF_FLOW_BIRSP],
        .messages = sum.messages,
        .flits = sum.flits,
        .busy_ns = sum.busy_ns,
    };
    return c;
}

static CxlFabricLinkInfo *describe(CXLFabric *f, uint32_t number)
{
    const struct cxlf_link *l = &f->graph->link[number];
    CxlFabricLinkInfo *info = g_new0(CxlFabricLinkInfo, 1);
    CxlFabricLinkCountersList **counted = &info->counters;
    uint32List **up = &info->up;
    strList **ends = &info->ends;

    info->link = number;
    info->ports = l->ports;
    info->rate = l->rate;
    info->latency = l->latency;
    for (unsigned i = 0; i < 2; i++) {
        QAPI_LIST_APPEND(ends, g_strdup_printf("%s@%x",
                         cxlf_node_name[l->end[i].kind], l->end[i].number));
        QAPI_LIST_APPEND(counted, counters(f, number, i));
    }
    for (uint32_t i = 0; i < l->ports; i++) {
        if (cxlf_link_get(f->router, number) >> i & 1) {
            QAPI_LIST_APPEND(up, i);
        }
    }
    return info;
}

CxlFabricLinkInfoList *qmp_x_query_cxl_fabric_links(const char *id,
                                                    Error **errp)
{
    CxlFabricLinkInfoList *list = NULL, **tail = &list;
    CXLFabric *f;

    if (!id && !cxl_fabric_first()) {
        return NULL;            /* as all queries that need no argument */
    }
    f = cxl_fabric_find_routed(id, false, errp);
    for (uint32_t i = 0; f && i < f->graph->links; i++) {
        QAPI_LIST_APPEND(tail, describe(f, i));
    }
    return list;
}

void cxl_fabric_set_link(CXLFabric *f, uint32_t link, uint32_t ports, bool up)
{
    uint32_t was = cxlf_link_get(f->router, link);
    uint32_t is = up ? was | ports : was & ~ports;

    if (is == was) {
        return;
    }
    cxlf_routes_begin(f->router);
    cxlf_link_set(f->router, link, is);
    if (link < f->graph->switch_links && !was != !is) {
        cxlf_routes_compute(f->router);
    }
    cxlf_routes_end(f->router);
    cxl_fabric_ring_all(f);     /* agents look at what they have mapped */
    trace_cxl_fabric_link(cxl_fabric_id(f), link, was, is);
}

void qmp_x_cxl_fabric_set_link(const char *id, uint32_t link, bool has_port,
                               uint32_t port, bool up, Error **errp)
{
    CXLFabric *f = cxl_fabric_find_routed(id, true, errp);
    uint32_t ports;

    if (!f) {
        return;
    }
    if (link >= f->graph->links) {
        error_setg(errp, "'link' must be 0 to %u", f->graph->links - 1);
        return;
    }
    ports = f->graph->link[link].ports;
    if (has_port && port >= ports) {
        error_setg(errp, "'port' must be 0 to %u", ports - 1);
        return;
    }
    cxl_fabric_set_link(f, link, has_port ? 1u << port : (1u << ports) - 1,
                        up);
}
