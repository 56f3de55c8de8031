/*
 * CXL fabric: routing tables and counters of links
 *
 * docs/routing.md.  The owner makes both segments; members map the tables
 * read-only and count in lanes of their own.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxlf/fabric-lane.h"
#include "fabric-internal.h"
#include "fabric-qos.h"

const char cxl_fabric_no_routing[] =
    "a leaf has more than " stringify(CXLF_MAX_PORTS) " ports, or there are "
    "more than 4095 hosts, devices and switches";

QEMU_BUILD_BUG_ON(CXLF_NO_PID != 4095);

bool cxl_fabric_read_graph(const void *blob, const struct cxlf_topology *t,
                           struct cxlf_graph **graph, const char **why)
{
    g_autofree struct cxlf_graph *g = g_new0(struct cxlf_graph, 1);

    *graph = NULL;
    if (cxlf_graph_read(blob, t, g, why)) {
        *graph = g_steal_pointer(&g);
        return true;
    }
    return !cxlf_graph_is_named(blob);
}

struct cxlf_graph *cxl_fabric_default_graph(const struct cxlf_topology *t)
{
    g_autofree struct cxlf_graph *g = g_new0(struct cxlf_graph, 1);
    const char *why;

    cxlf_graph_default(t, 0, g);
    return cxlf_graph_number(t, g) && cxlf_graph_check(t, g, &why) ?
           g_steal_pointer(&g) : NULL;
}

bool cxl_fabric_is_same_graph(const struct cxlf_graph *a,
                              const struct cxlf_graph *b)
{
    return a && b ? cxlf_graph_same(a, b) : !a && !b;
}

uint32_t cxl_fabric_lanes(CXLFabric *f)
{
    return f->directory.topology.hosts * CXL_FABRIC_LANES;
}

bool cxl_fabric_adopt_routes(CXLFabric *f, Error **errp)
{
    const struct cxlf_topology *t = &f->directory.topology;
    CXLFabricSegment *routes = &f->segment[CXLF_KIND_ROUTES][0];
    CXLFabricSegment *counts = &f->segment[CXLF_KIND_COUNTS][0];
    const char *why;

    f->router = g_new0(struct cxlf_router, 1);
    if (!cxlf_routes_attach(f->router, routes->map, routes->size, t,
                            f->graph, f->uuid.data, &why)) {
        error_setg(errp, "%s", why);
        return false;
    }
    f->link_counts = cxlf_counts_attach(counts->map, counts->size, t,
                                        f->graph, cxl_fabric_lanes(f),
                                        f->uuid.data, &why);
    if (!f->link_counts) {
        error_setg(errp, "%s", why);
        return false;
    }
    return true;
}

void cxl_fabric_drop_routes(CXLFabric *f)
{
    cxl_fabric_drop_qos(f);
    g_clear_pointer(&f->router, g_free);
    g_clear_pointer(&f->graph, g_free);
    f->link_counts = NULL;
}
