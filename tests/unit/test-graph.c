/*
 * Switches, links and PIDs in a topology's device tree
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <libfdt.h>
#include "fixture.h"
#include "cxlf/topology-fdt.h"

#define CAPACITY    (512 << 10)

static uint8_t blob[CAPACITY];
static struct cxlf_graph g, back;

/* A source of before there were links means the usual ones. */
static void test_old(void)
{
    struct cxlf_topology t = fixture_topology(5, 3, 2, 2), read;
    const char *why = NULL;
    size_t size = cxlf_topology_write(&t, blob, sizeof(blob));

    g_assert_cmpint(fdt_path_offset(blob, "/spine@0"), <, 0);
    g_assert_true(cxlf_topology_read(blob, size, &read, &why));
    g_assert_true(cxlf_graph_read(blob, &read, &g, &why));
    g_assert_cmpuint(g.spines, ==, 0);
    g_assert_cmpuint(g.switch_links, ==, 3);
    g_assert_cmpuint(g.links, ==, 3 + 2 + 5);
    for (uint32_t i = 0; i < 5; i++) {
        struct cxlf_node host = { CXLF_NODE_HOST, i };
        struct cxlf_link *l = &g.link[cxlf_endpoint_link(&t, &g, host)];

        g_assert_cmpuint(g.pid_host[i], ==, i);
        g_assert_cmpuint(l->end[0].number, ==, t.host_leaf[i]);
        g_assert_cmpuint(l->end[1].kind, ==, CXLF_NODE_HOST);
        g_assert_cmpuint(l->end[1].number, ==, i);
    }
    g_assert_cmpuint(g.pid_gfam[1], ==, 6);
    g_assert_cmpuint(g.pid_switch[2], ==, 9);
    g_assert_cmpuint(g.latency[2], ==, CXLF_DEFAULT_LATENCY);
}

/* More hosts than ports: a topology, but without routing. */
static void test_no_graph(void)
{
    struct cxlf_topology t = fixture_topology(300, 1, 2, 1), read;
    const char *why = NULL;
    size_t size = cxlf_topology_write(&t, blob, sizeof(blob));

    g_assert_true(cxlf_topology_read(blob, size, &read, &why));
    g_assert_false(cxlf_graph_read(blob, &read, &g, &why));
    g_assert_cmpstr(why, ==, "topology: /leaf@0: 301 ports: a PBR switch has "
                    "up to 256; use more leaves, or fewer 'ports' of links");
    t = fixture_topology(4095, 64, 1, 1);
    size = cxlf_topology_write(&t, blob, sizeof(blob));
    g_assert_true(cxlf_topology_read(blob, size, &read, &why));
    g_assert_false(cxlf_graph_read(blob, &read, &g, &why));
    g_assert_nonnull(strstr(why, "4095 at most to have PIDs"));
}

/* Who says anything of switches or links means to have routing. */
static void test_named(void)
{
    static const char *const some[][2] = {
        { "/host@0", "pid" }, { "/leaf@0", "latency" }, { "/gfam@0", "lds" },
        { "/gfam@0", "bound" }, { "/gfam@0", "dynamic-capacity" },
        { "/spine@0", NULL }, { "/link@0", NULL },
    };
    struct cxlf_topology t = fixture_topology(300, 1, 2, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(some); i++) {
        g_assert_cmpuint(cxlf_topology_write(&t, blob, sizeof(blob)), >, 0);
        g_assert_cmpint(fdt_open_into(blob, blob, sizeof(blob)), ==, 0);
        g_assert_false(cxlf_graph_is_named(blob));
        if (some[i][1]) {
            fdt_setprop_u32(blob, fdt_path_offset(blob, some[i][0]),
                            some[i][1], 1);
        } else {
            fdt_add_subnode(blob, 0, some[i][0] + 1);
        }
        g_assert_true(cxlf_graph_is_named(blob));
    }
}

static void change(struct cxlf_topology *t)
{
    uint32_t switches = cxlf_graph_switches(t, &g);

    for (int n = g_test_rand_int_range(0, 4); n > 0; n--) {
        struct cxlf_link *l = &g.link[g_test_rand_int_range(0, g.links)];

        l->ports = g_test_rand_int_range(1, 9);
        l->rate = g_test_rand_int_range(250, 1000001);
        l->latency = g_test_rand_int_range(0, 1000001);
    }
    if (g_test_rand_bit()) {
        g.latency[g_test_rand_int_range(0, switches)] =
            g_test_rand_int_range(0, 1000001);
    }
    if (g_test_rand_bit()) {
        g.pid_gfam[0] = g_test_rand_int_range(200, CXLF_NO_PID);
        g.pid_host[0] = 199;
    }
    if (g_test_rand_bit()) {
        g.lds[0] = 2;
        g.bound[0][g_test_rand_int_range(0, 2)] = t->hosts - 1;
    } else if (t->gfam[0].bulk) {
        g.dynamic[0] = CXLF_CAPACITY_UNIT;
    }
}

static void test_round_trip(void)
{
    for (int i = 0; i < 300; i++) {
        struct cxlf_topology t = fixture_topology(
            g_test_rand_int_range(1, 20), g_test_rand_int_range(1, 6), 1,
            g_test_rand_int_range(1, 3)), read;
        const char *why = NULL;
        size_t size;

        cxlf_graph_default(&t, g_test_rand_int_range(0, 5), &g);
        change(&t);
        if (!cxlf_graph_check(&t, &g, &why)) {
            g_error("%s", why);
        }
        size = cxlf_graph_write(&t, &g, blob, sizeof(blob));
        g_assert_cmpuint(size, >, 0);
        g_assert_true(cxlf_topology_read(blob, size, &read, &why));
        g_assert_cmpmem(&t, sizeof(t), &read, sizeof(read));
        if (!cxlf_graph_read(blob, &t, &back, &why)) {
            g_error("%s", why);
        }
        g_assert_true(cxlf_graph_same(&g, &back));
        back.link[back.links - 1].rate++;
        g_assert_false(cxlf_graph_same(&g, &back));
        g_assert_cmpuint(cxlf_graph_write(&t, &g, blob, 64), ==, 0);
    }
}

/* Two leaves, two spines and the links of docs/topology.md, to be changed */
static void good_blob(void)
{
    struct cxlf_topology t = fixture_topology(2, 2, 1, 1);

    cxlf_graph_default(&t, 2, &g);
    for (uint32_t i = 0; i < g.links; i++) {
        g.link[i].ports = 2;
        g.link[i].rate = 1000;
        g.link[i].latency = 9;
    }
    g.latency[3] = 10;
    g.pid_host[1] = 99;
    g.lds[0] = 2;
    g_assert_cmpuint(cxlf_graph_write(&t, &g, blob, sizeof(blob)), >, 0);
    g_assert_cmpint(fdt_open_into(blob, blob, 16384), ==, 0);
}

static void refused(const char *expected)
{
    struct cxlf_topology t;
    const char *why = NULL;

    g_assert_false(cxlf_topology_read(blob, fdt_totalsize(blob), &t, &why) &&
                   cxlf_graph_read(blob, &t, &back, &why));
    g_assert_cmpstr(why, ==, expected);
}

static void test_errors(void)
{
#define ENDS "'ends' must be two names, such as \"leaf@0\", \"spine@1\""
#define TWO "'ends' must be two switches, or an endpoint and its leaf"
#define ORDER "'reg' of links must run from 0 to 1fff (8191) in the order of " \
              "the source"
    const struct {
        const char *path, *property;
        uint32_t cell;          /* or else: */
        const char *text;
        int length;
        const char *why;
    } cases[] = {
        { "/spine@1", "reg", 64, NULL, 0, "'reg' must be 0 to 3f (63), each "
          "once" },
        { "/spine@1", "latency", 1000001, NULL, 0, "'latency' must be 0 to "
          "1000000 (ns)" },
        { "/leaf@1", "pid", 0xfff, NULL, 0, "'pid' must be 0 to ffe (4094)" },
        { "/leaf@1", "reg", 64, NULL, 0, "'reg' must be 0 to 3f (63), each "
          "once" },
        { "/link@2", "reg", 3, NULL, 0, ORDER },
        { "/link@2", "ports", 0, NULL, 0, "'ports' must be 1 to 8" },
        { "/link@2", "ports", 9, NULL, 0, "'ports' must be 1 to 8" },
        { "/link@2", "rate", 249, NULL, 0, "'rate' must be 250 to 1000000 "
          "(MB/s)" },
        { "/link@2", "latency", 1000001, NULL, 0, "'latency' must be 0 to "
          "1000000 (ns)" },
        { "/link@2", "ends", 0, "leaf@0", 7, ENDS },
        { "/link@2", "ends", 0, "leaf@0\0spine@", 14, ENDS },
        { "/link@2", "ends", 0, "leaf@0\0spine@0g", 16, ENDS },
        { "/link@2", "ends", 0, "leaf@0\0spine@0001", 18, ENDS },
        { "/link@2", "ends", 0, "leaf@0\0tree@0", 14, ENDS },
        { "/link@2", "ends", 0, "leaf@0\0leaf@1\0leaf@0", 21, ENDS },
        { "/link@2", "ends", 0, "leaf@0\0spine@2", 15, "'ends' names what "
          "does not exist" },
        { "/link@2", "ends", 0, "leaf@0\0leaf@0", 14, TWO },
        { "/link@2", "ends", 0, "host@0\0host@1", 14, TWO },
        { "/link@5", "ends", 0, "leaf@1\0host@0", 14, "an endpoint has one "
          "link, to its 'leaf'" },
        { "/link@6", "ends", 0, "leaf@0\0host@0", 14, "an endpoint has one "
          "link, to its 'leaf'" },
        { "/gfam@0", "lds", 17, NULL, 0, "'lds' must be 1 to 16" },
        { "/gfam@0", "lds", 0, NULL, 0, "'lds' must be 1 to 16" },
        { "/gfam@0", "bound", 2, NULL, 0, "'bound' must have a host, or "
          "ffffffff for none, for each of up to 'lds' logical devices" },
        { "/gfam@0", "dynamic-capacity", 1, NULL, 0, "'dynamic-capacity' must "
          "be bytes, in two cells" },
        { "/gfam@0", "dynamic-capacity", 0, "\0\0\0\0\x10\0\0\0", 8,
          "'dynamic-capacity' must be a multiple of 256 MiB up to "
          "'bulk-size' and to 1 TiB, and without 'lds'" },
        { "/gfam@0", "bulk-mode", 0, "soft", 5, "'bulk-mode' must be "
          "\"coherent\" or \"software\"" },
        { "/host@1", "leaf", 0, "", 0, "must have 'leaf' (one cell)" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *expected =
            g_strdup_printf("topology: %s: %s", cases[i].path, cases[i].why);
        int node;

        good_blob();
        node = fdt_path_offset(blob, cases[i].path);
        g_assert_cmpint(node, >, 0);
        if (cases[i].text) {
            fdt_setprop(blob, node, cases[i].property, cases[i].text,
                        cases[i].length);
        } else {
            fdt_setprop_u32(blob, node, cases[i].property, cases[i].cell);
        }
        refused(expected);
    }
}

static void test_structure(void)
{
    struct cxlf_topology t;
    const char *why = NULL;
    int node;

    good_blob();
    g_assert_true(cxlf_topology_read(blob, fdt_totalsize(blob), &t, &why));
    g_assert_true(cxlf_graph_read(blob, &t, &back, &why));
    g_assert_true(cxlf_graph_same(&g, &back));
    /* A PID that two have */
    fdt_setprop_u32(blob, fdt_path_offset(blob, "/spine@0"), "pid", 99);
    refused("topology: /: 'pid' 63: must be 0 to ffe (4094), each once");
    /* A node of another kind, and one with a name that is not one */
    good_blob();
    g_assert_cmpint(fdt_add_subnode(blob, 0, "tree@0"), >, 0);
    refused("topology: /tree@0: must have 'reg' of one cell");
    node = fdt_path_offset(blob, "/tree@0");
    fdt_setprop_u32(blob, node, "reg", 0);
    refused("topology: /tree@0: is none of leaf@N, spine@N, gfam@N, host@N, "
            "link@N");
    fdt_set_name(blob, fdt_path_offset(blob, "/tree@0"), "t\033[2J");
    refused("topology: /?: is none of leaf@N, spine@N, gfam@N, host@N, "
            "link@N");
    /* Leaf 1 has no link to a switch. */
    good_blob();
    fdt_setprop(blob, fdt_path_offset(blob, "/link@2"), "ends",
                "leaf@0\0spine@0", 15);
    fdt_setprop(blob, fdt_path_offset(blob, "/link@3"), "ends",
                "leaf@0\0spine@0", 15);
    refused("topology: /leaf@1: must be within 6 links from leaf@0");
}

/* Whatever the links are, what is accepted is legal. */
static void test_bad_blobs(void)
{
    unsigned refusals = 0, accepted = 0;

    for (int i = 0; i < 20000; i++) {
        struct cxlf_topology t;
        const char *why = NULL;
        size_t size;

        good_blob();
        fdt_pack(blob);
        size = fdt_totalsize(blob);
        for (int n = g_test_rand_int_range(1, 3); n > 0; n--) {
            blob[g_test_rand_int_range(0, size)] = g_test_rand_int();
        }
        if (cxlf_topology_read(blob, size, &t, &why) &&
            cxlf_graph_read(blob, &t, &back, &why)) {
            g_assert_true(cxlf_graph_check(&t, &back, &why));
            accepted++;
        } else {
            g_assert_nonnull(why);
            refusals++;
        }
    }
    g_assert_cmpuint(refusals, >, 1000);
    g_assert_cmpuint(accepted, >, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/graph/old", test_old);
    g_test_add_func("/graph/no-graph", test_no_graph);
    g_test_add_func("/graph/named", test_named);
    g_test_add_func("/graph/round-trip", test_round_trip);
    g_test_add_func("/graph/errors", test_errors);
    g_test_add_func("/graph/structure", test_structure);
    g_test_add_func("/graph/bad-blobs", test_bad_blobs);
    return g_test_run();
}
