/*
 * Routing: tables, routes against an oracle, failures, counters, access
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <pthread.h>
#include "fabric.h"

static Fabric f;

#define COMPONENTS  64
#define FAR         99

/*
 * The oracle: distances between all components by Floyd and Warshall, from
 * the links alone.  It knows no table and no PID.
 */
static unsigned distance[COMPONENTS][COMPONENTS];
static struct cxlf_node component[COMPONENTS];
static unsigned components;

static unsigned find(struct cxlf_node n)
{
    for (unsigned i = 0; i < components; i++) {
        if (component[i].kind == n.kind && component[i].number == n.number) {
            return i;
        }
    }
    g_assert_not_reached();
}

static bool is_down(struct cxlf_node n)
{
    return cxlf_is_switch(n) &&
           !cxlf_switch_get(&f.r, cxlf_switch_of(&f.t, n));
}

static void add_components(enum cxlf_node_kind kind, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(components, <, COMPONENTS);
        component[components++] = (struct cxlf_node) { kind, i };
    }
}

static void ask_oracle(void)
{
    components = 0;
    add_components(CXLF_NODE_HOST, f.t.hosts);
    add_components(CXLF_NODE_GFAM, f.t.gfams);
    add_components(CXLF_NODE_LEAF, f.t.leaves);
    add_components(CXLF_NODE_SPINE, f.g.spines);
    for (unsigned a = 0; a < components; a++) {
        for (unsigned b = 0; b < components; b++) {
            distance[a][b] = a == b && !is_down(component[a]) ? 0 : FAR;
        }
    }
    for (unsigned i = 0; i < f.g.links; i++) {
        struct cxlf_link *l = &f.g.link[i];
        unsigned a = find(l->end[0]), b = find(l->end[1]);

        if (cxlf_link_get(&f.r, i) && !is_down(l->end[0]) &&
            !is_down(l->end[1])) {
            distance[a][b] = distance[b][a] = 1;
        }
    }
    for (unsigned k = 0; k < components; k++) {
        for (unsigned a = 0; a < components; a++) {
            for (unsigned b = 0; b < components; b++) {
                distance[a][b] = MIN(distance[a][b],
                                     distance[a][k] + distance[k][b]);
            }
        }
    }
}

/* A route that is ok is a way from one to the other over what is up. */
static void check_way(const struct cxlf_route *r, struct cxlf_node from,
                      struct cxlf_node to)
{
    unsigned at = find(from);
    uint32_t latency = 0, slot_ps = 0;

    for (unsigned i = 0; i < r->links; i++) {
        unsigned link = r->hop[i].way / 2, back = r->hop[i].way % 2;
        struct cxlf_link *l = &f.g.link[link];

        g_assert_cmpuint(link, <, f.g.links);
        g_assert_cmpuint(find(l->end[back]), ==, at);
        g_assert_cmpuint(cxlf_link_get(&f.r, link), !=, 0);
        if (cxlf_is_switch(component[at])) {
            latency += f.g.latency[cxlf_switch_of(&f.t, component[at])];
        }
        latency += l->latency;
        slot_ps = MAX(slot_ps, r->hop[i].slot_ps);
        g_assert_cmpuint(r->hop[i].slot_ps, ==, 16000000 /
            (l->rate * __builtin_popcount(cxlf_link_get(&f.r, link))));
        at = find(l->end[!back]);
        g_assert_false(is_down(component[at]));
    }
    g_assert_cmpuint(at, ==, find(to));
    g_assert_cmpuint(r->latency_ns, ==, latency);
    g_assert_cmpuint(r->slot_ps, ==, slot_ps);
}

static void compare_all(void)
{
    ask_oracle();
    for (unsigned a = 0; a < components; a++) {
        for (unsigned b = 0; b < components; b++) {
            uint16_t from = cxlf_graph_pid(&f.t, &f.g, component[a]);
            uint16_t to = cxlf_graph_pid(&f.t, &f.g, component[b]);

            for (unsigned flow = 0; flow < CXLF_FLOWS; flow++) {
                struct cxlf_route r;

                cxlf_route_resolve(&f.r, NULL, from, to, flow, &r);
                if (distance[a][b] <= CXLF_MAX_ROUTE) {
                    g_assert_cmpint(r.result, ==, CXLF_ROUTE_OK);
                    g_assert_cmpuint(r.links, ==, distance[a][b]);
                    check_way(&r, component[a], component[b]);
                } else if (a != b || is_down(component[a])) {
                    g_assert_cmpint(r.result, !=, CXLF_ROUTE_OK);
                    g_assert_cmpint(r.result, !=, CXLF_ROUTE_BAD_ENTRY);
                    g_assert_cmpint(r.result, !=, CXLF_ROUTE_BUSY);
                    g_assert_cmpuint(r.links, ==, 0);
                }
            }
        }
    }
}

/* Every default of small shapes. */
static void test_defaults(void)
{
    for (unsigned leaves = 1; leaves <= 5; leaves++) {
        for (unsigned spines = 0; spines <= 4; spines++) {
            for (unsigned hosts = 1; hosts <= 7; hosts += 2) {
                fabric_default(&f, hosts, leaves, spines);
                compare_all();
                fabric_done(&f);
            }
        }
    }
}

/* Switches linked at random, each to one before, and more. */
static void random_graph(void)
{
    unsigned leaves = g_test_rand_int_range(1, 5);
    unsigned spines = g_test_rand_int_range(0, 4);
    unsigned switches = leaves + spines, more = g_test_rand_int_range(0, 6);
    unsigned links = 0;

    f.t = fixture_topology(g_test_rand_int_range(1, 8), leaves, 1, 2);
    cxlf_graph_default(&f.t, spines, &f.g);
    if (switches == 1) {
        return;
    }
    for (unsigned i = 1; i < switches + more; i++) {
        unsigned a = i;
        unsigned b;

        if (i >= switches) {
            a = g_test_rand_int_range(1, switches);
        }
        b = g_test_rand_int_range(0, a);
        f.g.link[links++] = (struct cxlf_link) {
            .end = { cxlf_switch_node(&f.t, a), cxlf_switch_node(&f.t, b) },
            .ports = 1 + g_test_rand_int_range(0, 8),
            .rate = g_test_rand_int_range(250, 128000),
            .latency = g_test_rand_int_range(0, 100),
        };
    }
    for (unsigned i = 0; i < f.t.gfams + f.t.hosts; i++) {
        f.g.link[links + i] = cxlf_graph_link(&f.t, spines, i +
            cxlf_graph_links(&f.t, spines));
    }
    f.g.switch_links = links;
    f.g.links = links + f.t.gfams + f.t.hosts;
}

/* Random graphs, in which something goes down and comes back. */
static void test_random(void)
{
    for (unsigned i = 0; i < 150; i++) {
        const char *why;

        random_graph();
        if (!cxlf_graph_check(&f.t, &f.g, &why)) {
            continue;       /* too long a chain */
        }
        fabric_init(&f);
        compare_all();
        cxlf_routes_begin(&f.r);
        for (unsigned n = 0; n < 3; n++) {
            unsigned link = g_test_rand_int_range(0, f.g.links);

            g_assert_true(cxlf_link_set(&f.r, link, g_test_rand_int() &
                                        ((1u << f.g.link[link].ports) - 1)));
        }
        if (g_test_rand_bit()) {
            cxlf_switch_set(&f.r, g_test_rand_int_range(0, f.r.switches),
                            false);
        }
        g_assert_true(cxlf_routes_compute(&f.r));
        cxlf_routes_end(&f.r);
        compare_all();
        cxlf_routes_begin(&f.r);
        g_assert_true(cxlf_routes_reset(&f.r));
        cxlf_routes_end(&f.r);
        compare_all();
        fabric_done(&f);
    }
}

static void expect(uint32_t from, uint32_t to, enum cxlf_route_result result,
                   uint32_t where)
{
    struct cxlf_route r;

    cxlf_route_resolve(&f.r, NULL, from, to, 0, &r);
    g_assert_cmpstr(cxlf_route_name[r.result], ==, cxlf_route_name[result]);
    g_assert_cmpuint(r.where, ==, where);
}

static void set_drt(uint32_t s, uint32_t pid, uint16_t entry)
{
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_drt_set(&f.r, s, pid, 1, &entry));
    cxlf_routes_end(&f.r);
}

static void set_rgt(uint32_t s, uint32_t index, struct cxlf_rgt_entry entry)
{
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_rgt_set(&f.r, s, index, 1, &entry));
    cxlf_routes_end(&f.r);
}

static void set_link(uint32_t link, uint32_t up)
{
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_link_set(&f.r, link, up));
    cxlf_routes_end(&f.r);
}

static void set_switch(uint32_t s, bool up)
{
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_switch_set(&f.r, s, up));
    cxlf_routes_end(&f.r);
}

/*
 * Two leaves, two spines, hosts 0 and 2 at leaf 0, host 1 at leaf 1, the
 * device at leaf 0.  Links 0 to 3 are leaf 0 with the spines, leaf 1 with
 * them; 4 is the device's, 5 to 7 are the hosts'.  PIDs 0 to 2 are hosts, 3
 * the device, 4 to 7 switches.  Ports 0 and 1 of a leaf lead to the spines.
 */
static void small(void)
{
    fabric_default(&f, 3, 2, 2);
}

static void test_failures(void)
{
    struct cxlf_node none = { CXLF_NODE_NONE, 0 };
    struct cxlf_node host = { CXLF_NODE_HOST, 1 };

    small();
    expect(0, 1, CXLF_ROUTE_OK, 0);
    expect(0, 8, CXLF_ROUTE_NO_PID, 8);
    expect(CXLF_NO_PID, 1, CXLF_ROUTE_NO_PID, CXLF_NO_PID);
    expect(CXLF_PIDS, 1, CXLF_ROUTE_NO_PID, CXLF_PIDS);
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_pid_set(&f.r, 1, none));
    g_assert_true(cxlf_pid_set(&f.r, 0x123, host));
    cxlf_routes_end(&f.r);
    expect(0, 1, CXLF_ROUTE_NO_PID, 1);
    expect(0, 0x123, CXLF_ROUTE_NO_ENTRY, 0);   /* PIDs do not change DRTs */
    fabric_done(&f);

    small();
    set_drt(0, 1, CXLF_DRT(CXLF_DRT_INVALID, 0));
    expect(0, 1, CXLF_ROUTE_NO_ENTRY, 0);
    expect(1, 0, CXLF_ROUTE_OK, 0);
    set_drt(0, 1, CXLF_DRT(CXLF_DRT_PORT, 0));
    expect(0, 1, CXLF_ROUTE_OK, 0);
    set_drt(2, 1, CXLF_DRT(CXLF_DRT_INVALID, 0));
    expect(0, 1, CXLF_ROUTE_NO_ENTRY, 2);
    set_drt(2, 1, CXLF_DRT(CXLF_DRT_PORT, 0));
    expect(0, 1, CXLF_ROUTE_LOOP, 0);           /* spine 0 sends it back */
    set_drt(0, 1, CXLF_DRT(CXLF_DRT_PORT, 2));
    expect(0, 1, CXLF_ROUTE_BAD_ENTRY, 0);      /* to the device */
    fabric_done(&f);
}

static void test_down(void)
{
    small();
    set_drt(0, 1, CXLF_DRT(CXLF_DRT_PORT, 1));
    set_link(1, 0);
    expect(0, 1, CXLF_ROUTE_LINK_DOWN, 1);
    /* The other leaf does not know it, until tables are computed. */
    set_drt(1, 0, CXLF_DRT(CXLF_DRT_PORT, 1));
    expect(1, 0, CXLF_ROUTE_LINK_DOWN, 1);
    set_drt(1, 0, CXLF_DRT(CXLF_DRT_PORT, 0));
    expect(1, 0, CXLF_ROUTE_OK, 0);
    set_link(1, 1);
    set_switch(3, false);
    expect(0, 1, CXLF_ROUTE_SWITCH_DOWN, 3);
    expect(1, 7, CXLF_ROUTE_SWITCH_DOWN, 3);
    expect(7, 1, CXLF_ROUTE_SWITCH_DOWN, 3);
    set_switch(0, false);
    expect(0, 2, CXLF_ROUTE_SWITCH_DOWN, 0);
    set_switch(0, true);
    set_link(5, 0);
    expect(0, 2, CXLF_ROUTE_LINK_DOWN, 5);
    expect(2, 0, CXLF_ROUTE_LINK_DOWN, 5);
    expect(2, 3, CXLF_ROUTE_OK, 0);
    fabric_done(&f);

    /* An entry of the RGT with a dead port has another; without, none. */
    small();
    set_link(0, 0);
    for (unsigned flow = 0; flow < CXLF_FLOWS; flow++) {
        struct cxlf_route r;

        cxlf_route_resolve(&f.r, NULL, 0, 1, flow, &r);
        g_assert_cmpint(r.result, ==, CXLF_ROUTE_OK);
        g_assert_cmpuint(r.hop[1].way, ==, 1 * 2);
    }
    set_link(1, 0);
    expect(0, 1, CXLF_ROUTE_LINK_DOWN, 1);
    fabric_done(&f);
}

/* What the setters refuse reaches readers from elsewhere. */
static void test_bad_entries(void)
{
    small();
    f.r.tables[0].drt[1] = CXLF_DRT(3, 0);
    expect(0, 1, CXLF_ROUTE_BAD_ENTRY, 0);
    f.r.tables[0].drt[1] = CXLF_DRT(CXLF_DRT_PORT, 200);
    expect(0, 1, CXLF_ROUTE_BAD_ENTRY, 0);
    f.r.tables[0].drt[1] = CXLF_DRT(CXLF_DRT_RGT, 9);
    f.r.tables[0].rgt[9] = (struct cxlf_rgt_entry) {
        { 0, 1 }, CXLF_RGT_WORD(1, 2, CXLF_RGT_PRIMARY, 0), 0
    };
    expect(0, 1, CXLF_ROUTE_BAD_ENTRY, 0);
    f.r.tables[0].rgt[9].word = CXLF_RGT_WORD(1, 0, 3, 0);
    expect(0, 1, CXLF_ROUTE_BAD_ENTRY, 0);
    f.r.tables[0].rgt[9].word = CXLF_RGT_WORD(1, 0, CXLF_RGT_PRIMARY, 0);
    expect(0, 1, CXLF_ROUTE_OK, 0);
    f.r.shared->pid[1] = 7 << 12;
    expect(0, 1, CXLF_ROUTE_NO_PID, 1);
    f.r.shared->pid[1] = CXLF_NODE_HOST << 12 | 3;
    expect(0, 1, CXLF_ROUTE_NO_PID, 1);
    /* An unfinished change: ask again, and it is not kept. */
    cxlf_routes_begin(&f.r);
    expect(0, 2, CXLF_ROUTE_BUSY, 0);
    cxlf_routes_end(&f.r);
    expect(0, 2, CXLF_ROUTE_OK, 0);
    fabric_done(&f);
}

/* Whatever is in the tables, a route is within the fabric, or it failed. */
static void test_corrupted(void)
{
    uint64_t results[CXLF_ROUTE_RESULTS] = { 0 };

    fabric_default(&f, 6, 3, 2);
    ask_oracle();
    for (unsigned i = 0; i < 2000; i++) {
        cxlf_routes_begin(&f.r);
        g_assert_true(cxlf_routes_reset(&f.r));
        cxlf_routes_end(&f.r);
        for (int n = g_test_rand_int_range(1, 100); n > 0; n--) {
            /* PIDs in use, states, and rows of the DRTs and RGTs */
            unsigned s = g_test_rand_int_range(0, f.r.switches);
            uint8_t *places[] = {
                (uint8_t *)f.r.shared->pid, f.r.shared->up,
                (uint8_t *)f.r.tables[s].drt, (uint8_t *)f.r.tables[s].rgt,
            };

            places[g_test_rand_int_range(0, 4)][g_test_rand_int_range(0, 40)] =
                g_test_rand_int();
        }
        for (unsigned n = 0; n < 20; n++) {
            uint32_t from = g_test_rand_int_range(0, 14);
            uint32_t to = g_test_rand_int_range(0, 14);
            struct cxlf_route r;

            cxlf_route_resolve(&f.r, NULL, from, to, n, &r);
            g_assert_cmpint(r.result, <, CXLF_ROUTE_RESULTS);
            results[r.result]++;
            if (r.result == CXLF_ROUTE_OK) {
                check_way(&r, cxlf_pid_get(&f.r, from),
                          cxlf_pid_get(&f.r, to));
            } else {
                g_assert_cmpuint(r.links, ==, 0);
            }
        }
    }
    g_assert_cmpuint(results[CXLF_ROUTE_OK], >, 100);
    g_assert_cmpuint(results[CXLF_ROUTE_NO_PID], >, 100);
    g_assert_cmpuint(results[CXLF_ROUTE_NO_ENTRY], >, 100);
    g_assert_cmpuint(results[CXLF_ROUTE_BAD_ENTRY], >, 100);
    g_assert_cmpuint(results[CXLF_ROUTE_LINK_DOWN], >, 100);
    fabric_done(&f);
}

static void test_setters(void)
{
    uint16_t good = CXLF_DRT(CXLF_DRT_PORT, 1), bad[] = {
        CXLF_DRT(3, 0), CXLF_DRT(CXLF_DRT_PORT, 9), CXLF_DRT_PORT | 4
    };
    struct cxlf_rgt_entry entry = { { 0, 1 }, CXLF_RGT_WORD(1, 0, 0, 0), 0 };
    uint32_t words[] = {
        CXLF_RGT_WORD(1, 2, 0, 0), CXLF_RGT_WORD(1, 0, 3, 0),
        CXLF_RGT_WORD(1, 0, 7, 0), 1u << 6, 1u << 14, 1u << 31
    };
    struct cxlf_node host = { CXLF_NODE_HOST, 3 };

    small();
    g_assert_false(cxlf_drt_set(&f.r, 0, 1, 1, &good));
    g_assert_false(cxlf_rgt_set(&f.r, 0, 1, 1, &entry));
    g_assert_false(cxlf_link_set(&f.r, 0, 0));
    g_assert_false(cxlf_switch_set(&f.r, 0, false));
    g_assert_false(cxlf_pid_set(&f.r, 9, (struct cxlf_node) { 0 }));
    g_assert_false(cxlf_routes_compute(&f.r));
    g_assert_false(cxlf_routes_reset(&f.r));
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_drt_set(&f.r, 0, 4095, 1, &good));
    g_assert_false(cxlf_drt_set(&f.r, 4, 0, 1, &good));
    g_assert_false(cxlf_drt_set(&f.r, 0, 4095, 2, &good));
    g_assert_false(cxlf_drt_set(&f.r, 0, 4096, 0, &good));
    g_assert_false(cxlf_drt_set(&f.r, 0, 1, UINT32_MAX, &good));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(cxlf_drt_set(&f.r, 0, 1, 1, &bad[i]));
    }
    g_assert_true(cxlf_rgt_set(&f.r, 0, 255, 1, &entry));
    g_assert_false(cxlf_rgt_set(&f.r, 0, 256, 0, &entry));
    g_assert_false(cxlf_rgt_set(&f.r, 4, 0, 1, &entry));
    entry.port[1] = 100;
    g_assert_false(cxlf_rgt_set(&f.r, 0, 0, 1, &entry));
    entry.port[1] = 1;
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        entry.word = words[i];
        g_assert_false(cxlf_rgt_set(&f.r, 0, 0, 1, &entry));
    }
    g_assert_false(cxlf_link_set(&f.r, 0, 2));
    g_assert_false(cxlf_link_set(&f.r, 8, 1));
    g_assert_false(cxlf_switch_set(&f.r, 4, true));
    g_assert_false(cxlf_pid_set(&f.r, CXLF_NO_PID, (struct cxlf_node) { 0 }));
    g_assert_false(cxlf_pid_set(&f.r, 0, host));
    host.kind = CXLF_NODE_KINDS;
    g_assert_false(cxlf_pid_set(&f.r, 0, host));
    cxlf_routes_end(&f.r);
    fabric_done(&f);
}

static void test_segments(void)
{
    static struct cxlf_router other;
    uint8_t uuid[16] = { 1 };
    const char *why = NULL;

    small();
    g_assert_false(cxlf_routes_attach(&other, f.routes, f.routes_size - 1,
                                      &f.t, &f.g, fixture_uuid, &why));
    g_assert_nonnull(why);
    g_assert_false(cxlf_routes_attach(&other, f.routes, f.routes_size, &f.t,
                                      &f.g, uuid, &why));
    g_assert_null(cxlf_counts_attach(f.counts, f.counts_size - 1, &f.t, &f.g,
                                     f.lanes, fixture_uuid, &why));
    g_assert_null(cxlf_counts_attach(f.counts, f.counts_size, &f.t, &f.g, 1,
                                     fixture_uuid, &why));
    f.r.shared->links++;
    g_assert_false(cxlf_routes_attach(&other, f.routes, f.routes_size, &f.t,
                                      &f.g, fixture_uuid, &why));
    fabric_done(&f);
}

/* Which spine a route of small() takes from leaf 0. */
static unsigned spine_of(const struct cxlf_route *r)
{
    g_assert_cmpint(r->result, ==, CXLF_ROUTE_OK);
    g_assert_cmpuint(r->links, ==, 4);
    return r->hop[1].way / 2;
}

static void test_modes(void)
{
    struct cxlf_rgt_entry e = { { 0, 1 }, 0, 0 };
    struct cxlf_link_count *lane;
    unsigned uses[2] = { 0 };
    struct cxlf_route r;

    fabric_default(&f, 30, 2, 2);
    lane = cxlf_counts_lane(f.count, &f.g, 1);
    for (unsigned to = 1; to < 30; to += 2) {
        for (unsigned flow = 0; flow < CXLF_FLOWS; flow++) {
            cxlf_route_resolve(&f.r, lane, 0, to, flow, &r);
            uses[spine_of(&r)]++;
            /* A flow stays on its way. */
            cxlf_route_resolve(&f.r, lane, 0, to, flow + CXLF_FLOWS, &r);
            uses[spine_of(&r)]++;
        }
    }
    g_assert_cmpuint(uses[0], >, 60);
    g_assert_cmpuint(uses[1], >, 60);
    g_assert_cmpuint(uses[0] % 2, ==, 0);

    set_drt(0, 1, CXLF_DRT(CXLF_DRT_RGT, 7));
    for (unsigned primary = 0; primary < 2; primary++) {
        e.word = CXLF_RGT_WORD(1, primary, CXLF_RGT_PRIMARY, 0);
        set_rgt(0, 7, e);
        cxlf_route_resolve(&f.r, lane, 0, 1, 3, &r);
        g_assert_cmpuint(spine_of(&r), ==, primary);
        set_link(primary, 0);
        cxlf_route_resolve(&f.r, lane, 0, 1, 3, &r);
        g_assert_cmpuint(spine_of(&r), ==, !primary);
        set_link(primary, 1);
    }
    for (unsigned mix = 0; mix < 8; mix++) {
        unsigned others = 0;

        /* The primary is the busier one, so the others are told apart. */
        lane[0].busy_ps = 1000;
        e.word = CXLF_RGT_WORD(1, 0, CXLF_RGT_ADVANCED, mix);
        set_rgt(0, 7, e);
        for (unsigned flow = 0; flow < CXLF_FLOWS; flow++) {
            cxlf_route_resolve(&f.r, lane, 0, 1, flow, &r);
            others += spine_of(&r);
        }
        g_assert_cmpuint(others, ==, mix);
    }
    fabric_done(&f);
}

/* By congestion, through a cache, both ways carry as much. */
static void test_congestion(void)
{
    struct cxlf_rgt_entry e = {
        { 0, 1 }, CXLF_RGT_WORD(1, 0, CXLF_RGT_CONGESTION, 0), 0
    };
    static struct cxlf_route routes[256];
    struct cxlf_route_cache cache = { .router = &f.r, .route = routes,
                                      .bits = 8 };
    struct cxlf_link_count *lane;

    small();
    memset(routes, 0, sizeof(routes));
    cache.lane = lane = cxlf_counts_lane(f.count, &f.g, 0);
    set_drt(0, 1, CXLF_DRT(CXLF_DRT_RGT, 7));
    set_rgt(0, 7, e);
    for (unsigned i = 0; i < 100000; i++) {
        cxlf_route_charge(lane, cxlf_route_get(&cache, 0, 1, 0),
                          CXLF_FLOW_RWD, 64);
    }
    g_assert_cmpuint(lane[0].messages + lane[2].messages, ==, 100000);
    g_assert_cmpint(llabs((long long)(lane[0].messages - lane[2].messages)),
                    <=, 256);
    fabric_done(&f);
}

static void test_counters(void)
{
    struct cxlf_link_sum sum;
    struct cxlf_route r;
    uint64_t ps;

    f.t = fixture_topology(3, 2, 1, 1);
    cxlf_graph_default(&f.t, 2, &f.g);
    f.g.link[0].ports = 4;
    f.g.link[0].latency = 5;
    f.g.link[7].rate = 32000;
    fabric_init(&f);
    set_drt(0, 1, CXLF_DRT(CXLF_DRT_PORT, 2));  /* any port of the bundle */
    set_drt(1, 2, CXLF_DRT(CXLF_DRT_PORT, 0));

    cxlf_route_resolve(&f.r, NULL, 0, 1, 0, &r);
    ps = cxlf_route_charge(cxlf_counts_lane(f.count, &f.g, 0), &r,
                           CXLF_FLOW_RWD, 64);
    /* leaf, spine, leaf and the bundle; five slots at 64 GB/s */
    g_assert_cmpuint(ps, ==, (3 * 180 + 5) * 1000 + 5 * 250);
    cxlf_route_charge(cxlf_counts_lane(f.count, &f.g, 1), &r, CXLF_FLOW_REQ,
                      0);
    cxlf_counts_read(f.count, &f.g, 0, 2, 0, 0, &sum);
    g_assert_cmpuint(sum.bytes[CXLF_FLOW_RWD], ==, 80);
    g_assert_cmpuint(sum.bytes[CXLF_FLOW_REQ], ==, 16);
    g_assert_cmpuint(sum.bytes[CXLF_FLOW_DRS], ==, 0);
    g_assert_cmpuint(sum.messages, ==, 2);
    g_assert_cmpuint(sum.flits, ==, 1);
    cxlf_counts_read(f.count, &f.g, 0, 2, 0, 1, &sum);
    g_assert_cmpuint(sum.messages, ==, 0);
    cxlf_counts_read(f.count, &f.g, 0, 2, 1, 0, &sum);
    g_assert_cmpuint(sum.messages, ==, 0);
    cxlf_counts_read(f.count, &f.g, 1, 1, 0, 0, &sum);
    g_assert_cmpuint(sum.messages, ==, 1);
    /* Host 0 is the second end of its link. */
    cxlf_counts_read(f.count, &f.g, 0, 2, 5, 1, &sum);
    g_assert_cmpuint(sum.messages, ==, 2);
    cxlf_counts_read(f.count, &f.g, 0, 2, 5, 0, &sum);
    g_assert_cmpuint(sum.messages, ==, 0);

    /* A page: 257 slots, 18 flits; four times as long on one port of four */
    for (unsigned up = 1; up <= 0xf; up = up << 1 | 1) {
        memset(f.count, 0, f.counts_size - sizeof(struct cxlf_counts));
        set_link(0, up);
        cxlf_route_resolve(&f.r, NULL, 0, 1, 0, &r);
        cxlf_route_charge(f.count, &r, CXLF_FLOW_DRS, 4096);
        cxlf_counts_read(f.count, &f.g, 0, 1, 0, 0, &sum);
        g_assert_cmpuint(sum.bytes[CXLF_FLOW_DRS], ==, 257 * 16);
        g_assert_cmpuint(sum.flits, ==, 18);
        g_assert_cmpuint(sum.busy_ns, ==,
                         257 * (250 / __builtin_popcount(up)) / 1000);
    }
    /* Half as fast as the others, it decides; and nothing, when it failed */
    cxlf_route_resolve(&f.r, NULL, 1, 2, 0, &r);
    g_assert_cmpuint(r.slot_ps, ==, 500);
    set_link(7, 0);
    memset(f.count, 0, f.counts_size - sizeof(struct cxlf_counts));
    cxlf_route_resolve(&f.r, NULL, 1, 2, 0, &r);
    g_assert_cmpuint(cxlf_route_charge(f.count, &r, CXLF_FLOW_REQ, 0), ==, 0);
    for (unsigned link = 0; link < f.g.links; link++) {
        cxlf_counts_read(f.count, &f.g, 0, 2, link, 0, &sum);
        g_assert_cmpuint(sum.messages, ==, 0);
    }
    fabric_done(&f);
}

static void test_cache(void)
{
    static struct cxlf_route routes[4];
    struct cxlf_route_cache cache = { .router = &f.r, .route = routes,
                                      .bits = 2 };
    struct cxlf_route r;

    small();
    memset(routes, 0, sizeof(routes));
    /* Small enough for routes to take each other's place. */
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t from = g_test_rand_int_range(0, 4);
        uint32_t to = g_test_rand_int_range(0, 4), flow = i % 2;
        const struct cxlf_route *got;

        if (i % 16 == 0) {
            set_link(g_test_rand_int_range(0, 8), g_test_rand_bit());
        }
        cxlf_route_resolve(&f.r, NULL, from, to, flow, &r);
        got = cxlf_route_get(&cache, from, to, flow);
        g_assert_cmpint(got->result, ==, r.result);
        g_assert_cmpint(got->where, ==, r.where);
        g_assert_cmpmem(got->hop, sizeof(got->hop), r.hop, sizeof(r.hop));
    }
    /* While a change is under way nothing is taken from the cache. */
    set_link(5, 1);
    cxlf_route_get(&cache, 0, 0, 0);
    cxlf_routes_begin(&f.r);
    g_assert_cmpint(cxlf_route_get(&cache, 0, 0, 0)->result, ==,
                    CXLF_ROUTE_BUSY);
    cxlf_routes_end(&f.r);
    g_assert_cmpint(cxlf_route_get(&cache, 0, 0, 0)->result, ==,
                    CXLF_ROUTE_OK);
    fabric_done(&f);
}

/*
 * A writer changes the entry of leaf 0 for host 1 so that the ports, the
 * primary or both change; change k leads to spine k % 2.  It tells the number
 * of each change that it has completed.
 */
#define CHANGES 20000

static uint64_t completed, first_generation;
static int readers_ready;

static struct cxlf_rgt_entry entry_of(uint64_t k)
{
    unsigned swapped = k / 2 % 2, primary = (k % 2) ^ swapped;

    return (struct cxlf_rgt_entry) {
        { swapped, !swapped },
        CXLF_RGT_WORD(1, primary, CXLF_RGT_PRIMARY, k % 8), 0
    };
}

static void *change_often(void *opaque)
{
    (void)opaque;
    while (__atomic_load_n(&readers_ready, __ATOMIC_ACQUIRE) < 2) {
        sched_yield();
    }
    for (uint64_t k = 1; k <= CHANGES; k++) {
        set_rgt(0, 7, entry_of(k));
        __atomic_store_n(&completed, k, __ATOMIC_RELEASE);
        if (k % 16 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void *read_often(void *opaque)
{
    struct cxlf_route routes[16] = { 0 };
    struct cxlf_route_cache cache = { .router = &f.r, .route = routes,
                                      .bits = 4 };
    uint64_t *seen = opaque, before = 0, last = 0;

    __atomic_add_fetch(&readers_ready, 1, __ATOMIC_RELEASE);
    while (before < CHANGES) {
        const struct cxlf_route *r;
        uint64_t k;

        before = __atomic_load_n(&completed, __ATOMIC_ACQUIRE);
        r = cxlf_route_get(&cache, 0, 1, 0);
        if (r->result == CXLF_ROUTE_BUSY) {
            before = 0;
            sched_yield();
            continue;
        }
        k = (r->generation - first_generation) / 2;
        g_assert_cmpuint(k, >=, before);
        g_assert_cmpuint(spine_of(r), ==, k % 2);
        *seen += k != last;
        last = k;
    }
    return NULL;
}

static void test_threads(void)
{
    uint64_t seen[2] = { 0 };
    pthread_t writer, reader[2];

    small();
    set_rgt(0, 7, entry_of(0));
    set_drt(0, 1, CXLF_DRT(CXLF_DRT_RGT, 7));
    first_generation = cxlf_routes_generation(&f.r);
    completed = readers_ready = 0;
    for (int i = 0; i < 2; i++) {
        pthread_create(&reader[i], NULL, read_often, &seen[i]);
    }
    pthread_create(&writer, NULL, change_often, NULL);
    pthread_join(writer, NULL);
    for (int i = 0; i < 2; i++) {
        pthread_join(reader[i], NULL);
        g_assert_cmpuint(seen[i], >, 0);
    }
    fabric_done(&f);
}

#define UNIT CXLF_CAPACITY_UNIT

static void test_access(void)
{
    small();
    for (uint32_t pid = 0; pid < 8; pid++) {
        g_assert_cmpint(cxlf_may_access(&f.r, 0, pid, 0), ==, pid < 3);
        g_assert_cmpint(cxlf_may_access(&f.r, 0, pid, 2 * UNIT - 1), ==,
                        pid < 3);
        g_assert_false(cxlf_may_access(&f.r, 0, pid, 2 * UNIT));
        g_assert_false(cxlf_may_access(&f.r, 0, pid, UINT64_MAX));
        g_assert_false(cxlf_may_access(&f.r, 1, pid, 0));
    }
    g_assert_false(cxlf_sat_set(&f.r, 0, 1, 0));
    g_assert_false(cxlf_group_set(&f.r, 0, 0, UNIT, 1));
    cxlf_routes_begin(&f.r);
    g_assert_false(cxlf_sat_set(&f.r, 1, 1, 0));
    g_assert_false(cxlf_sat_set(&f.r, 0, CXLF_NO_PID, 0));
    g_assert_false(cxlf_group_set(&f.r, 0, 1, UNIT, 1));
    g_assert_false(cxlf_group_set(&f.r, 0, 0, UNIT + 1, 1));
    g_assert_false(cxlf_group_set(&f.r, 0, UNIT, 2 * UNIT, 1));
    g_assert_false(cxlf_group_set(&f.r, 0, 0, UNIT, 33));
    g_assert_true(cxlf_group_set(&f.r, 0, UNIT, UNIT, 31));
    g_assert_true(cxlf_sat_set(&f.r, 0, 1, 1u << 31));
    cxlf_routes_end(&f.r);
    g_assert_true(cxlf_may_access(&f.r, 0, 0, UNIT - 1));
    g_assert_false(cxlf_may_access(&f.r, 0, 0, UNIT));
    g_assert_false(cxlf_may_access(&f.r, 0, 1, UNIT - 1));
    g_assert_true(cxlf_may_access(&f.r, 0, 1, UNIT));
    /* A GAE bars its own host, from all of the device. */
    g_assert_false(cxlf_gae_set(&f.r, 0, 1, false));
    cxlf_routes_begin(&f.r);
    g_assert_false(cxlf_gae_set(&f.r, 1, 1, false));
    g_assert_false(cxlf_gae_set(&f.r, 0, CXLF_NO_PID, false));
    g_assert_true(cxlf_gae_set(&f.r, 0, 1, false));
    cxlf_routes_end(&f.r);
    g_assert_false(cxlf_may_access(&f.r, 0, 1, UNIT));
    g_assert_true(cxlf_may_access(&f.r, 0, 0, UNIT - 1));
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_gae_set(&f.r, 0, 1, true));
    cxlf_routes_end(&f.r);
    g_assert_true(cxlf_may_access(&f.r, 0, 1, UNIT));
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_group_set(&f.r, 0, 0, UNIT, CXLF_GROUPS));
    cxlf_routes_end(&f.r);
    g_assert_false(cxlf_may_access(&f.r, 0, 0, 0));
    f.r.access[0].group[0] = 33;        /* one more than there are */
    g_assert_false(cxlf_may_access(&f.r, 0, 0, 0));
    fabric_done(&f);
}

/* A host reaches just what it was bound to. */
static void test_lds(void)
{
    f.t = fixture_topology(3, 1, 1, 1);
    f.t.gfam[0].hot = f.t.gfam[0].bulk = 2 * UNIT;
    cxlf_graph_default(&f.t, 0, &f.g);
    f.g.lds[0] = 4;
    f.g.bound[0][0] = 1;
    f.g.bound[0][2] = 2;
    f.g.bound[0][3] = 1;
    fabric_init(&f);
    for (uint32_t host = 0; host < 3; host++) {
        for (uint32_t ld = 0; ld < 4; ld++) {
            g_assert_cmpint(cxlf_may_access(&f.r, 0, host, ld * UNIT + 5), ==,
                            f.g.bound[0][ld] == host);
        }
    }
    fabric_done(&f);
}

/* A host reaches the blocks that it was given, and no others. */
static void test_extents(void)
{
    const uint64_t block = CXLF_EXTENT_BLOCK, base = 3 * UNIT;

    f.t = fixture_topology(20, 1, 1, 1);
    f.t.gfam[0].hot = f.t.gfam[0].bulk = 2 * UNIT;
    cxlf_graph_default(&f.t, 0, &f.g);
    f.g.dynamic[0] = UNIT;
    fabric_init(&f);
    g_assert_true(cxlf_may_access(&f.r, 0, 1, base - 1));
    g_assert_false(cxlf_may_access(&f.r, 0, 1, base));
    g_assert_false(cxlf_extent_set(&f.r, 0, 1, base, block, true));
    cxlf_routes_begin(&f.r);
    g_assert_false(cxlf_extent_set(&f.r, 1, 1, base, block, true));
    g_assert_false(cxlf_extent_set(&f.r, 0, 16, base, block, true));
    g_assert_false(cxlf_extent_set(&f.r, 0, 1, base - block, block, true));
    g_assert_false(cxlf_extent_set(&f.r, 0, 1, base + 1, block, true));
    g_assert_false(cxlf_extent_set(&f.r, 0, 1, base, block + 1, true));
    g_assert_false(cxlf_extent_set(&f.r, 0, 1, base + UNIT, block, true));
    g_assert_false(cxlf_extent_set(&f.r, 0, 1, base, UNIT + block, true));
    g_assert_true(cxlf_extent_set(&f.r, 0, 1, base + block, 2 * block,
                                  true));
    g_assert_true(cxlf_extent_set(&f.r, 0, 15, base + 2 * block, block,
                                  true));
    cxlf_routes_end(&f.r);
    for (uint32_t host = 0; host < 20; host++) {
        for (unsigned i = 0; i < UNIT / block; i++) {
            bool may = (host == 1 && (i == 1 || i == 2)) ||
                       (host == 15 && i == 2);

            g_assert_cmpint(cxlf_may_access(&f.r, 0, host, base + i * block),
                            ==, may);
            g_assert_cmpint(cxlf_may_access(&f.r, 0, host, base +
                                            (i + 1) * block - 1), ==, may);
        }
    }
    g_assert_false(cxlf_may_access(&f.r, 0, 1, base + UNIT));
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_sat_set(&f.r, 0, 15, 0));
    g_assert_true(cxlf_extent_set(&f.r, 0, 1, base + 2 * block, block,
                                  false));
    cxlf_routes_end(&f.r);
    g_assert_true(cxlf_may_access(&f.r, 0, 1, base + block));
    g_assert_false(cxlf_may_access(&f.r, 0, 1, base + 2 * block));
    g_assert_false(cxlf_may_access(&f.r, 0, 15, base + 2 * block));
    cxlf_routes_begin(&f.r);
    cxlf_routes_reset(&f.r);
    cxlf_routes_end(&f.r);
    g_assert_false(cxlf_may_access(&f.r, 0, 1, base + block));
    fabric_done(&f);
}

static void test_gdt(void)
{
    struct cxlf_gdt_entry e = { .hpa = 10 * UNIT, .dpa = UNIT, .length = UNIT };
    struct cxlf_gdt_entry bad[] = {
        { .dpa = UNIT, .length = UNIT + 1 }, { .dpa = 2 * UNIT + 1 },
        { .length = 2 * UNIT + 1 }, { .length = 4096, .coherent = 2 },
        { .hpa = UINT64_MAX, .length = 2 }
    };
    uint64_t dpa = 0, none;

    small();
    /* Who has no decoder reaches what the SAT lets through. */
    g_assert_cmpint(cxlf_gdt_leads(&f.r, 0, 1, 0, &none), ==, CXLF_ROUTE_OK);
    g_assert_cmpuint(none, ==, cxlf_routes_generation(&f.r));
    cxlf_routes_begin(&f.r);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(cxlf_gdt_set(&f.r, 0, 1, 0, &bad[i]));
    }
    g_assert_false(cxlf_gdt_set(&f.r, 0, 1, 8, &e));
    g_assert_false(cxlf_gdt_set(&f.r, 0, CXLF_NO_PID, 0, &e));
    g_assert_false(cxlf_gdt_set(&f.r, 1, 1, 0, &e));
    g_assert_true(cxlf_gdt_set(&f.r, 0, 1, 3, &e));
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 1, 10 * UNIT, &dpa), ==,
                    CXLF_ROUTE_BUSY);
    g_assert_cmpint(cxlf_gdt_leads(&f.r, 0, 1, UNIT, &none), ==,
                    CXLF_ROUTE_BUSY);
    cxlf_routes_end(&f.r);
    g_assert_cmpint(cxlf_gdt_leads(&f.r, 0, 1, UNIT, &none), ==,
                    CXLF_ROUTE_OK);
    g_assert_cmpuint(none, ==, 0);
    g_assert_cmpint(cxlf_gdt_leads(&f.r, 0, 1, 2 * UNIT - 1, &none), ==,
                    CXLF_ROUTE_OK);
    g_assert_cmpint(cxlf_gdt_leads(&f.r, 0, 1, 2 * UNIT, &none), ==,
                    CXLF_ROUTE_NO_RIGHT);
    g_assert_cmpint(cxlf_gdt_leads(&f.r, 0, 1, UNIT - 1, &none), ==,
                    CXLF_ROUTE_NO_RIGHT);
    g_assert_cmpint(cxlf_gdt_leads(&f.r, 0, 0, 0, &none), ==, CXLF_ROUTE_OK);
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 1, 10 * UNIT + 5, &dpa), ==,
                    CXLF_ROUTE_OK);
    g_assert_cmphex(dpa, ==, UNIT + 5);
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 1, 11 * UNIT, &dpa), ==,
                    CXLF_ROUTE_NO_RIGHT);
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 1, 10 * UNIT - 1, &dpa), ==,
                    CXLF_ROUTE_NO_RIGHT);
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 0, 10 * UNIT, &dpa), ==,
                    CXLF_ROUTE_NO_RIGHT);
    /* Two decoders that have it are an error, and so is the SAT's no. */
    cxlf_routes_begin(&f.r);
    e.hpa += 64;
    g_assert_true(cxlf_gdt_set(&f.r, 0, 1, 0, &e));
    cxlf_routes_end(&f.r);
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 1, 10 * UNIT + 63, &dpa), ==,
                    CXLF_ROUTE_OK);
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 1, 10 * UNIT + 64, &dpa), ==,
                    CXLF_ROUTE_NO_RIGHT);
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_sat_set(&f.r, 0, 1, 0));
    cxlf_routes_end(&f.r);
    g_assert_cmpint(cxlf_gdt_decode(&f.r, 0, 1, 10 * UNIT + 63, &dpa), ==,
                    CXLF_ROUTE_NO_RIGHT);
    fabric_done(&f);
}

/* As large as it gets: all PIDs, 64 leaves and 32 spines. */
static void test_large(void)
{
    struct cxlf_route r;

    f.t = fixture_topology(3991, 64, 1, 8);
    cxlf_graph_default(&f.t, 32, &f.g);
    g_assert_cmpuint(f.g.pid_switch[95], ==, 4094);
    fabric_init(&f);
    for (uint32_t from = 0; from < CXLF_NO_PID; from += 37) {
        for (uint32_t to = 0; to < CXLF_NO_PID; to++) {
            cxlf_route_resolve(&f.r, NULL, from, to, from, &r);
            g_assert_cmpint(r.result, ==, CXLF_ROUTE_OK);
            g_assert_cmpuint(r.links, <=, 4);
        }
    }
    fabric_done(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/route/defaults", test_defaults);
    g_test_add_func("/route/random", test_random);
    g_test_add_func("/route/failures", test_failures);
    g_test_add_func("/route/down", test_down);
    g_test_add_func("/route/bad-entries", test_bad_entries);
    g_test_add_func("/route/corrupted", test_corrupted);
    g_test_add_func("/route/setters", test_setters);
    g_test_add_func("/route/segments", test_segments);
    g_test_add_func("/route/modes", test_modes);
    g_test_add_func("/route/congestion", test_congestion);
    g_test_add_func("/route/counters", test_counters);
    g_test_add_func("/route/cache", test_cache);
    g_test_add_func("/route/threads", test_threads);
    g_test_add_func("/route/access", test_access);
    g_test_add_func("/route/lds", test_lds);
    g_test_add_func("/route/extents", test_extents);
    g_test_add_func("/route/gdt", test_gdt);
    g_test_add_func("/route/large", test_large);
    return g_test_run();
}
