/*
 * QoS of devices: windows, shares and DevLoad
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include "cxlf/qos.h"

#define LANES   70
#define PART(n) ((n) * (uint64_t)CXLF_QOS_ONE / 256)

typedef struct Bench {
    struct cxlf_qos *q;
    struct cxlf_qos_view v;
} Bench;

static void start(Bench *b, uint32_t lds)
{
    b->q = aligned_alloc(128, cxlf_qos_size(LANES));
    memset(b->q, 0, cxlf_qos_size(LANES));
    cxlf_qos_format(b->q);
    b->v = (struct cxlf_qos_view) {
        .shared = b->q, .gfam = 1, .lanes = LANES, .lds = lds,
        .seen = g_new0(struct cxlf_qos_seen, lds ? lds : LANES),
    };
}

static void stop(Bench *b)
{
    g_free(b->v.seen);
    free(b->q);
}

/* A lane asks: it wants @want, and keeps the device busy for @busy. */
static void ask(Bench *b, uint32_t lane, uint32_t ld, uint64_t busy,
                uint64_t want)
{
    b->q->asked[lane / 64] |= 1ull << lane % 64;
    b->q->use[lane][1][ld].busy_ps += busy;
    b->q->use[lane][1][ld].want_ps += want;
}

static void set(Bench *b, unsigned moderate, unsigned severe,
                const uint8_t *allocated, const uint8_t *limit)
{
    const uint8_t control[CXLF_QOS_CONTROL] = {
        CXLF_QOS_EGRESS, moderate, severe, 2, 0, 0, 64
    };

    cxlf_qos_set(b->q, 1, control, b->v.lds, allocated, limit);
}

#define DEV_LOAD(b, user, load) \
    g_assert_cmpint(cxlf_qos_dev_load(&(b)->v, user), ==, CXLF_LOAD_##load)

/* Users without LDs, on both sides of each threshold. */
static void test_load(void)
{
    static const struct {
        uint64_t busy;          /* of each of two that want 1,000 */
        uint32_t back;
        enum cxlf_dev_load load;
    } all[] = {
        { 0, 0, CXLF_LOAD_LIGHT },
        { 249, 0, CXLF_LOAD_LIGHT },
        { 250, 0, CXLF_LOAD_OPTIMAL },
        { 500, 0, CXLF_LOAD_OPTIMAL },
        { 550, 90910, CXLF_LOAD_OPTIMAL },      /* below 10% */
        { 560, 107143, CXLF_LOAD_MODERATE },
        { 666, 249250, CXLF_LOAD_MODERATE },
        { 667, 250375, CXLF_LOAD_SEVERE },
        { 5000, 900000, CXLF_LOAD_SEVERE },
    };
    Bench b;

    start(&b, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        ask(&b, 0, 0, all[i].busy, 1000);
        ask(&b, 69, 0, all[i].busy, 1000);
        g_assert_true(cxlf_qos_look(&b.v));
        g_assert_cmpuint(b.v.askers, ==, 2);
        g_assert_cmpuint(b.v.demand, ==, 2000 * all[i].busy);
        g_assert_cmpuint(cxlf_qos_backpressure(&b.v), ==, all[i].back);
        for (unsigned user = 0; user < LANES; user += 69) {
            g_assert_cmpint(cxlf_qos_dev_load(&b.v, user), ==, all[i].load);
        }
    }
    /* The command can turn it off. */
    cxlf_qos_set(b.q, 1, (const uint8_t[CXLF_QOS_CONTROL]) { 0, 10, 25 }, 0,
                 NULL, NULL);
    ask(&b, 0, 0, 9000, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    DEV_LOAD(&b, 0, OPTIMAL);
    stop(&b);
}

/* A window has the length of its longest user; without time it stays. */
static void test_window(void)
{
    Bench b;

    start(&b, 0);
    g_assert_false(cxlf_qos_look(&b.v));
    g_assert_cmpuint(b.v.demand, ==, 0);
    ask(&b, 0, 0, 2000, 4000);
    ask(&b, 1, 0, 1000, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    g_assert_cmpuint(b.v.seen[0].demand, ==, CXLF_QOS_ONE / 2);
    g_assert_cmpuint(b.v.seen[1].demand, ==, CXLF_QOS_ONE / 4);
    g_assert_cmpuint(b.v.demand, ==, 3 * CXLF_QOS_ONE / 4);
    g_assert_false(cxlf_qos_look(&b.v));
    g_assert_cmpuint(b.v.demand, ==, 3 * CXLF_QOS_ONE / 4);
    /* Who does not ask does not count. */
    ask(&b, 1, 0, 100, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    g_assert_cmpuint(b.v.seen[0].demand, ==, 0);
    g_assert_cmpuint(b.v.demand, ==, CXLF_QOS_ONE / 10);
    /* Another observer has windows of its own; devices are apart. */
    g_assert_cmpuint(cxlf_qos_window(&b.v), ==, 800 * 1000);
    set(&b, 10, 25, NULL, NULL);
    ask(&b, 1, 0, 1, 1);
    g_assert_true(cxlf_qos_look(&b.v));
    g_assert_cmpuint(cxlf_qos_window(&b.v), ==, 200 * 1000);
    b.v.gfam = 2;
    g_assert_false(cxlf_qos_look(&b.v));
    stop(&b);
}

/* An LD's demand is of all lanes; what is allocated is its own. */
static void test_shares(void)
{
    const uint8_t none[4] = { 0 }, allocated[4] = { 0, 128, 64, 0 };
    Bench b;

    start(&b, 4);
    set(&b, 10, 25, none, none);
    ask(&b, 0, 0, 1000, 1000);
    ask(&b, 1, 0, 1000, 0);
    ask(&b, 2, 1, 1000, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    g_assert_cmpuint(b.v.seen[0].demand, ==, 2 * CXLF_QOS_ONE);
    g_assert_cmpuint(b.v.demand, ==, 3 * CXLF_QOS_ONE);
    /* two to one, and as much longer as there is too much */
    g_assert_cmpuint(cxlf_qos_share(&b.v, 0), ==, 666666);
    g_assert_cmpuint(cxlf_qos_share(&b.v, 1), ==, 333333);
    g_assert_cmpuint(cxlf_qos_share(&b.v, 2), ==, 0);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 0, 1000), ==, 3000);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 1, 1000), ==, 3000);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 2, 1000), ==, 1000);
    DEV_LOAD(&b, 0, SEVERE);
    DEV_LOAD(&b, 1, SEVERE);

    /* LD 1 has half of it, LD 2 a quarter, of which it uses an eighth. */
    set(&b, 10, 25, allocated, none);
    ask(&b, 0, 0, 2000, 1000);
    ask(&b, 2, 1, 500, 1000);
    ask(&b, 2, 2, 125, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    g_assert_cmpuint(cxlf_qos_share(&b.v, 1), ==, CXLF_QOS_ONE / 2);
    g_assert_cmpuint(cxlf_qos_share(&b.v, 2), ==, CXLF_QOS_ONE / 8);
    g_assert_cmpuint(cxlf_qos_share(&b.v, 0), ==, 3 * CXLF_QOS_ONE / 8);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 1, 1000), ==, 1000);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 0, 3000), ==, 16000);
    DEV_LOAD(&b, 0, SEVERE);
    DEV_LOAD(&b, 1, OPTIMAL);
    DEV_LOAD(&b, 2, OPTIMAL);

    /* All of it allocated: who has nothing gets 1/256. */
    set(&b, 10, 25, (const uint8_t[4]) { 0, 128, 128, 0 }, none);
    ask(&b, 0, 0, 1000, 1000);
    ask(&b, 1, 1, 1000, 1000);
    ask(&b, 2, 2, 1000, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    g_assert_cmpuint(cxlf_qos_share(&b.v, 0), ==, PART(1));
    g_assert_cmpuint(cxlf_qos_share(&b.v, 1), ==, CXLF_QOS_ONE / 2);
    stop(&b);
}

/* Beyond its limit an LD is slow, and others have what it does not use. */
static void test_limits(void)
{
    const uint8_t none[4] = { 0 }, limit[4] = { 64, 0, 0, 0 };
    Bench b;

    start(&b, 4);
    set(&b, 10, 25, none, limit);
    ask(&b, 0, 0, 2000, 1000);
    ask(&b, 2, 1, 100, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    g_assert_cmpuint(b.v.demand, ==, 350000);
    g_assert_cmpuint(cxlf_qos_backpressure(&b.v), ==, 0);
    g_assert_cmpuint(cxlf_qos_share(&b.v, 0), ==, CXLF_QOS_ONE / 4);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 0, 1000), ==, 8000);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 1, 1000), ==, 1000);
    DEV_LOAD(&b, 0, SEVERE);
    DEV_LOAD(&b, 1, LIGHT);
    /* At its limit it is none of that. */
    ask(&b, 0, 0, 250, 1000);
    g_assert_true(cxlf_qos_look(&b.v));
    DEV_LOAD(&b, 0, LIGHT);
    g_assert_cmpuint(cxlf_qos_time(&b.v, 0, 1000), ==, 1000);
    stop(&b);
}

/* Counters that a peer wrote: whatever comes out, it is within bounds. */
static void test_wild(void)
{
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t lds = g_test_rand_int_range(0, 5);
        Bench b;

        start(&b, lds);
        for (unsigned i = 0; i < 8; i++) {
            uint32_t lane = g_test_rand_int_range(0, LANES);
            uint32_t ld = g_test_rand_int_range(0, CXLF_MAX_LDS);
            uint64_t wild = (uint64_t)g_test_rand_int() << 32 |
                            (uint32_t)g_test_rand_int();

            b.q->settings[1].control = wild;
            b.q->settings[1].ld[ld] = wild;
            b.q->asked[0] |= wild;
            b.q->asked[CXLF_QOS_LANES / 64 - 1] = wild;
            ask(&b, lane, ld, wild >> g_test_rand_int_range(0, 64),
                wild * 3 >> g_test_rand_int_range(0, 64));
            cxlf_qos_look(&b.v);
            for (unsigned user = 0; user < (lds ? lds : LANES); user++) {
                uint64_t share = cxlf_qos_share(&b.v, user);
                unsigned load = cxlf_qos_dev_load(&b.v, user);

                g_assert_cmpuint(share, <=, 1000ull * CXLF_QOS_ONE);
                g_assert_cmpuint(share, <=, b.v.seen[user].demand);
                g_assert_cmpuint(cxlf_qos_time(&b.v, user, 1000), >=, 1000);
                g_assert_cmpuint(load, <, CXLF_DEV_LOADS);
            }
            g_assert_cmpuint(cxlf_qos_backpressure(&b.v), <, CXLF_QOS_ONE);
        }
        stop(&b);
    }
}

/* Users never get more than the device, nor does one more than it wants. */
static void test_sums(void)
{
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t allocated[4], limit[4];
        uint64_t sum = 0, least = 0;
        Bench b;

        start(&b, 4);
        for (unsigned i = 0; i < 4; i++) {
            allocated[i] = g_test_rand_int_range(0, 65);
            limit[i] = g_test_rand_int_range(0, 3) ? 0 :
                       g_test_rand_int_range(1, 256);
            ask(&b, i, i, g_test_rand_int_range(1, 100000),
                g_test_rand_int_range(1, 100000));
        }
        set(&b, 10, 25, allocated, limit);
        g_assert_true(cxlf_qos_look(&b.v));
        for (unsigned i = 0; i < 4; i++) {
            uint64_t share = cxlf_qos_share(&b.v, i);
            uint64_t demand = b.v.seen[i].demand;
            uint64_t most = limit[i] ? PART(limit[i]) : UINT64_MAX;

            g_assert_cmpuint(share, <=, demand);
            if (demand <= PART(allocated[i]) && demand <= most) {
                g_assert_cmpuint(share, ==, demand);
            }
            sum += share;
            least += PART(1);
        }
        g_assert_cmpuint(sum, <=, CXLF_QOS_ONE + least);
        stop(&b);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qos/load", test_load);
    g_test_add_func("/qos/window", test_window);
    g_test_add_func("/qos/shares", test_shares);
    g_test_add_func("/qos/limits", test_limits);
    g_test_add_func("/qos/wild", test_wild);
    g_test_add_func("/qos/sums", test_sums);
    return g_test_run();
}
