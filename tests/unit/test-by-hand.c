/*
 * Routing: what was set by hand stays when tables are computed
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fabric.h"

static Fabric f;
static struct cxlf_by_hand by_hand[CXLF_MAX_SWITCHES];

/* Links between switches, with three leaves and two spines. */
enum { L0S0, L0S1, L1S0, L1S1, L2S0, L2S1 };
/* Switches */
enum { L0, L1, L2, S0, S1 };

static void start(uint32_t leaves, uint32_t spines)
{
    fabric_default(&f, leaves, leaves, spines);
    f.r.by_hand = by_hand;
    cxlf_routes_begin(&f.r);
    cxlf_routes_reset(&f.r);
    cxlf_routes_end(&f.r);
}

static void set_drt(uint32_t s, uint32_t pid, unsigned type, unsigned target)
{
    uint16_t entry = CXLF_DRT(type, target);

    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_drt_set(&f.r, s, pid, 1, &entry));
    cxlf_routes_end(&f.r);
}

/* Host @to has the same number as its leaf. */
static unsigned group_to(uint32_t s, uint32_t to)
{
    uint16_t entry = cxlf_drt_get(&f.r, s, to);

    g_assert_cmpuint(CXLF_DRT_TYPE(entry), ==, CXLF_DRT_RGT);
    return CXLF_DRT_TARGET(entry);
}

static void set_mode(uint32_t s, unsigned group, enum cxlf_rgt_mode mode)
{
    struct cxlf_rgt_entry e = cxlf_rgt_get(&f.r, s, group);

    e.word = CXLF_RGT_WORD(CXLF_RGT_HIGHEST(e.word), 0, mode, 0);
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_rgt_set(&f.r, s, group, 1, &e));
    cxlf_routes_end(&f.r);
}

static void set_link(uint32_t link, uint32_t up)
{
    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_link_set(&f.r, link, up));
    g_assert_true(cxlf_routes_compute(&f.r));
    cxlf_routes_end(&f.r);
}

static enum cxlf_route_result ask(uint32_t from, uint32_t to)
{
    struct cxlf_route r;

    cxlf_route_resolve(&f.r, NULL, from, to, 0, &r);
    return r.result;
}

static void test_drt(void)
{
    start(3, 2);
    set_drt(L0, 1, CXLF_DRT_PORT, 1);
    set_link(L0S1, 0);
    g_assert_cmphex(cxlf_drt_get(&f.r, L0, 1), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 1));
    g_assert_cmpint(ask(0, 1), ==, CXLF_ROUTE_LINK_DOWN);
    /* Its neighbour in the table is computed. */
    g_assert_cmphex(cxlf_drt_get(&f.r, L0, 2), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 0));
    g_assert_cmpint(ask(0, 2), ==, CXLF_ROUTE_OK);
    set_link(L0S1, 1);
    g_assert_cmpint(ask(0, 1), ==, CXLF_ROUTE_OK);

    /* The spine is computed to send it back, which leaf 0 does not know. */
    set_link(L1S1, 0);
    set_link(L2S1, 0);
    g_assert_cmpint(ask(0, 1), ==, CXLF_ROUTE_LOOP);
    g_assert_cmpint(ask(0, 2), ==, CXLF_ROUTE_OK);
    /* A hole stays a hole. */
    set_drt(L0, 1, CXLF_DRT_INVALID, 0);
    set_link(L1S1, 1);
    g_assert_cmpint(ask(0, 1), ==, CXLF_ROUTE_NO_ENTRY);

    cxlf_routes_begin(&f.r);
    g_assert_true(cxlf_routes_reset(&f.r));
    cxlf_routes_end(&f.r);
    g_assert_cmpint(ask(0, 1), ==, CXLF_ROUTE_OK);
    set_link(L0S0, 0);
    g_assert_cmpint(ask(0, 1), ==, CXLF_ROUTE_OK);
    fabric_done(&f);
}

/* An entry of the RGT, and the entries of the DRT that name it. */
static void test_rgt(void)
{
    unsigned one, two;

    start(3, 2);
    one = group_to(L0, 1);
    two = group_to(L0, 2);
    g_assert_cmpuint(one, !=, two);
    set_mode(L0, two, CXLF_RGT_PRIMARY);
    set_link(L1S0, 0);
    g_assert_cmphex(cxlf_drt_get(&f.r, L0, 1), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 1));
    set_link(L2S0, 0);
    g_assert_cmpuint(group_to(L0, 2), ==, two);
    g_assert_cmpuint(CXLF_RGT_MODE(cxlf_rgt_get(&f.r, L0, two).word), ==,
                     CXLF_RGT_PRIMARY);
    set_link(L1S0, 1);
    set_link(L2S0, 1);
    /* Others find another place. */
    g_assert_cmpuint(group_to(L0, 1), !=, two);
    g_assert_cmpuint(group_to(L0, 2), ==, two);
    fabric_done(&f);
}

/* A computed entry of the RGT that an entry set by hand names. */
static void test_named(void)
{
    struct cxlf_rgt_entry before;
    unsigned group;

    start(3, 2);
    group = group_to(L0, 2);
    before = cxlf_rgt_get(&f.r, L0, group);
    set_drt(L0, 100, CXLF_DRT_RGT, group);
    set_link(L0S0, 0);
    for (unsigned i = 0; i < 2; i++) {
        struct cxlf_rgt_entry now = cxlf_rgt_get(&f.r, L0, group);

        g_assert_cmpmem(&now, sizeof(now), &before, sizeof(before));
        g_assert_cmphex(cxlf_drt_get(&f.r, L0, 100), ==,
                        CXLF_DRT(CXLF_DRT_RGT, group));
        set_link(L0S0, 1);
    }
    fabric_done(&f);
}

/* What an entry of the DRT comes to: ports, in order, and a word. */
static struct cxlf_rgt_entry meaning(const Fabric *of, uint32_t s,
                                     uint32_t pid)
{
    struct cxlf_rgt_entry e = { { 0 }, UINT32_MAX, 0 };
    uint16_t entry = cxlf_drt_get(&of->r, s, pid);

    if (CXLF_DRT_TYPE(entry) == CXLF_DRT_RGT) {
        return cxlf_rgt_get(&of->r, s, CXLF_DRT_TARGET(entry));
    }
    e.port[0] = CXLF_DRT_TARGET(entry);
    e.zero = CXLF_DRT_TYPE(entry);
    return e;
}

/*
 * Random entries and failures: all set by hand stays, and all that was not is
 * what a fabric computes where nothing was.
 */
static void test_random(void)
{
    enum { PIDS = 16, STEPS = 300 };
    static Fabric plain;
    static struct cxlf_rgt_entry kept[CXLF_MAX_SWITCHES][PIDS];
    static bool hand[CXLF_MAX_SWITCHES][PIDS];
    unsigned compared = 0;

    start(4, 3);
    fabric_default(&plain, 4, 4, 3);
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t link = g_test_rand_int_range(0, f.g.switch_links);
        uint32_t s = g_test_rand_int_range(0, f.r.switches);
        uint32_t pid = g_test_rand_int_range(0, PIDS), up;

        if (step % 8 == 0) {
            uint16_t entry = cxlf_drt_get(&f.r, s, pid);

            if (CXLF_DRT_TYPE(entry) == CXLF_DRT_RGT &&
                g_test_rand_bit()) {
                set_mode(s, CXLF_DRT_TARGET(entry), CXLF_RGT_CONGESTION);
                for (unsigned i = 0; i < PIDS; i++) {
                    if (cxlf_drt_get(&f.r, s, i) == entry) {
                        hand[s][i] = true;
                        kept[s][i] = meaning(&f, s, i);
                    }
                }
            } else {
                set_drt(s, pid, CXLF_DRT_TYPE(entry),
                        CXLF_DRT_TARGET(entry));
                hand[s][pid] = true;
                kept[s][pid] = meaning(&f, s, pid);
            }
        }
        up = !cxlf_link_get(&f.r, link);
        set_link(link, up);
        cxlf_routes_begin(&plain.r);
        cxlf_link_set(&plain.r, link, up);
        cxlf_routes_compute(&plain.r);
        cxlf_routes_end(&plain.r);
        for (s = 0; s < f.r.switches; s++) {
            for (pid = 0; pid < PIDS; pid++) {
                struct cxlf_rgt_entry is = meaning(&f, s, pid);
                struct cxlf_rgt_entry want = hand[s][pid] ? kept[s][pid] :
                                             meaning(&plain, s, pid);

                g_assert_cmpmem(&is, sizeof(is), &want, sizeof(want));
                compared += !hand[s][pid];
            }
        }
    }
    g_assert_cmpuint(compared, >, STEPS);
    fabric_done(&plain);
    fabric_done(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/by-hand/drt", test_drt);
    g_test_add_func("/by-hand/rgt", test_rgt);
    g_test_add_func("/by-hand/named", test_named);
    g_test_add_func("/by-hand/random", test_random);
    return g_test_run();
}
