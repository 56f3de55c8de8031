/*
 * Fabric Manager: the components of a topology, and its tables
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fabric.h"
#include "cxlf/fm-graph.h"

#define MIB     (1ull << 20)
#define SERIAL  (0xabcdull << 32)

enum { LEAF0, LEAF1, SPINE, GFD, MLD };

static Fabric f;
static struct cxlf_fm fm;

/* A crawl and a composition are others' tests. */
static void no_binding(void *opaque, const struct cxlf_fm_binding *b,
                       uint64_t token)
{
    g_error("%p %p %lu", opaque, (const void *)b, (unsigned long)token);
}

static void no_erasing(void *opaque, const struct cxlf_fm_memory *m,
                       uint64_t token)
{
    g_error("%p %p %lu", opaque, (const void *)m, (unsigned long)token);
}

static void no_event(void *opaque, const struct cxlf_fm_event *e)
{
    g_error("%p %p", opaque, (const void *)e);
}

static int add(void)
{
    static const struct cxlf_fm_ops ops = {
        .bind = no_binding, .unbind = no_binding, .erase = no_erasing,
        .event = no_event, .drt_get = cxlf_fm_router_drt_get,
        .rgt_get = cxlf_fm_router_rgt_get,
        .port_up = cxlf_fm_router_port_up,
    };

    memset(&fm, 0, sizeof(fm));
    g_assert_true(cxlf_fm_init(&fm, &ops, &f.r));
    return cxlf_fm_add_graph(&fm, &f.t, &f.g, SERIAL);
}

/* That of cxl-fm-test: two links to leaf 1 are a bundle. */
static void start(void)
{
    f.t = (struct cxlf_topology) {
        .hosts = 3, .leaves = 2, .shards = 1, .gfams = 2,
        .gfam[0] = { .hot = 256 * MIB, .bulk = 512 * MIB, .leaf = 0 },
        .gfam[1] = { .hot = 256 * MIB, .bulk = 256 * MIB, .leaf = 1 },
        .host_leaf = { 0, 1, 0 },
    };
    cxlf_graph_default(&f.t, 1, &f.g);
    f.g.link[1].ports = 2;
    f.g.lds[1] = 2;
    f.g.dynamic[0] = 256 * MIB;
    fabric_init(&f);
    g_assert_cmpint(add(), ==, 3);
}

static const struct cxlf_fm_port *port(unsigned component, unsigned n)
{
    return &fm.sw[fm.component[component].index].port[n];
}

static void test_components(void)
{
    static const struct {
        unsigned component, port, state;
        int peer, peer_port;        /* -1: none */
        unsigned pid;
    } ports[] = {
        { LEAF0, 0, CXLF_FM_PORT_FABRIC, SPINE, 0, CXLF_FM_PID_NONE },
        { LEAF0, 1, CXLF_FM_PORT_DSP, GFD, 0, 3 },
        { LEAF0, 2, CXLF_FM_PORT_USP, -1, 0, 0 },
        { LEAF0, 3, CXLF_FM_PORT_USP, -1, 0, 2 },
        { LEAF1, 0, CXLF_FM_PORT_FABRIC, SPINE, 1, CXLF_FM_PID_NONE },
        { LEAF1, 1, CXLF_FM_PORT_FABRIC, SPINE, 2, CXLF_FM_PID_NONE },
        { LEAF1, 2, CXLF_FM_PORT_DSP, MLD, 0, 4 },
        { LEAF1, 3, CXLF_FM_PORT_USP, -1, 0, 1 },
        { SPINE, 2, CXLF_FM_PORT_FABRIC, LEAF1, 1, CXLF_FM_PID_NONE },
    };

    start();
    g_assert_cmpuint(fm.components, ==, 5);
    g_assert_cmpuint(fm.component[GFD].kind, ==, CXLF_FM_GFD);
    g_assert_cmpuint(fm.component[MLD].kind, ==, CXLF_FM_DEVICE);
    g_assert_cmpuint(fm.dev[0].lds, ==, 2);
    g_assert_cmpuint(fm.dev[0].dcd.regions, ==, 0);
    g_assert_cmpuint(fm.gfd[0].dcd.hosts, ==, 3);
    g_assert_cmpuint(fm.gfd[0].dcd.regions, ==, 1);
    g_assert_cmphex(fm.gfd[0].dcd.region[0].start, ==, 512 * MIB);
    g_assert_cmphex(fm.gfd[0].dcd.region[0].length, ==, 256 * MIB);
    g_assert_cmphex(fm.gfd[0].dcd.region[0].block, ==, 2 * MIB);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmphex(fm.component[i].serial, ==, SERIAL | i);
        /* Hosts have 0 to 2, devices 3 and 4, switches the rest. */
        g_assert_cmpuint(fm.component[i].pid, ==, i < GFD ? 5 + i : i);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
        const struct cxlf_fm_port *p = port(ports[i].component,
                                            ports[i].port);

        g_assert_true(p->exists);
        g_assert_cmpuint(p->state, ==, ports[i].state);
        g_assert_cmpint(p->peer - 1, ==, ports[i].peer);
        g_assert_cmpuint(p->peer_port, ==, ports[i].peer_port);
        g_assert_cmpuint(p->pid, ==, ports[i].pid);
    }
    /* LDs have the next ones. */
    g_assert_cmpuint(fm.dev[0].ld[0].pid, ==, 8);
    g_assert_cmpuint(fm.dev[0].ld[1].pid, ==, 9);
    g_assert_false(port(LEAF0, 4)->exists);
    g_assert_false(port(SPINE, 3)->exists);
    g_assert_cmpuint(fm.sw[LEAF0].vcs[1].usp, ==, 3);
    /* Each host's GAE may reach the GFD, whose PID follows the hosts'. */
    g_assert_cmpuint(fm.gaes, ==, 3);
    for (unsigned i = 0; i < fm.gaes; i++) {
        g_assert_cmphex(fm.gae[i].access[0][0], ==, 1u << 3);
    }
    /* Only to an empty one. */
    g_assert_cmpint(cxlf_fm_add_graph(&fm, &f.t, &f.g, 0), ==, -1);
    fabric_done(&f);
}

/* Each of a bundle's ports is up or down by itself, at both ends. */
static void test_ports(void)
{
    uint32_t link, number;

    start();
    g_assert_true(cxlf_port_link(&f.r, LEAF1, 1, &link, &number));
    g_assert_cmpuint(link, ==, 1);
    g_assert_cmpuint(number, ==, 1);
    g_assert_true(cxlf_port_link(&f.r, SPINE, 2, &link, &number));
    g_assert_cmpuint(link, ==, 1);
    g_assert_cmpuint(number, ==, 1);
    g_assert_true(cxlf_port_link(&f.r, LEAF0, 3, &link, &number));
    g_assert_cmpuint(number, ==, 0);
    g_assert_false(cxlf_port_link(&f.r, LEAF0, 4, &link, &number));
    g_assert_false(cxlf_port_link(&f.r, 3, 0, &link, &number));
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_link_set(&f.r, 1, 1u << 1));
    cxlf_routes_end(&f.r);
    g_assert_false(cxlf_port_get(&f.r, LEAF1, 0));
    g_assert_true(cxlf_port_get(&f.r, LEAF1, 1));
    g_assert_true(cxlf_port_get(&f.r, SPINE, 0));
    g_assert_false(cxlf_port_get(&f.r, SPINE, 1));
    g_assert_true(cxlf_port_get(&f.r, SPINE, 2));
    g_assert_true(cxlf_port_get(&f.r, LEAF0, 3));
    g_assert_false(cxlf_port_get(&f.r, LEAF0, 4));
    g_assert_false(cxlf_port_get(&f.r, LEAF0, CXLF_MAX_PORTS));
    g_assert_false(cxlf_port_get(&f.r, 3, 0));
    fabric_done(&f);
}

/* Entries have the bytes of the commands. */
static void test_entries(void)
{
    struct cxlf_rgt_entry group = {
        { 0, 1, 0 }, CXLF_RGT_WORD(2, 1, CXLF_RGT_ADVANCED, 5), 0
    };
    static const uint8_t bytes[12] = { 0, 1, 0, 0, 0, 0, 0, 0, 0x0a, 0x2a };
    uint8_t drt[2], rgt[12];
    uint16_t entry = CXLF_DRT(CXLF_DRT_RGT, 9);

    start();
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_drt_set(&f.r, LEAF1, 77, 1, &entry));
    g_assert_true(cxlf_rgt_set(&f.r, LEAF1, 9, 1, &group));
    cxlf_routes_end(&f.r);
    g_assert_true(cxlf_fm_router_drt_get(&f.r, LEAF1, 0, 77, drt));
    g_assert_cmphex(drt[0], ==, 2);
    g_assert_cmphex(drt[1], ==, 9);
    g_assert_true(cxlf_fm_router_rgt_get(&f.r, LEAF1, 0, 9, rgt));
    g_assert_cmpmem(rgt, 12, bytes, 12);
    g_assert_false(cxlf_fm_router_drt_get(&f.r, LEAF1, 1, 77, drt));
    fabric_done(&f);
}

/* Leaves come first; spines beyond 80 switches are left out. */
static void test_bounds(void)
{
    f.t = fixture_topology(70, 64, 1, 1);
    cxlf_graph_default(&f.t, 20, &f.g);
    fabric_init(&f);
    g_assert_cmpint(add(), ==, 80);
    g_assert_cmpuint(fm.components, ==, 81);
    g_assert_true(port(0, 15)->exists);
    g_assert_cmpuint(port(0, 15)->peer, ==, 79 + 1);
    g_assert_false(port(0, 16)->exists);        /* to spine 16 */
    fabric_done(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fm-graph/components", test_components);
    g_test_add_func("/fm-graph/ports", test_ports);
    g_test_add_func("/fm-graph/entries", test_entries);
    g_test_add_func("/fm-graph/bounds", test_bounds);
    return g_test_run();
}
