/*
 * The table of reserved ranges
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include "cxlf/reserve.h"

static struct cxlf_fabric fabric;
static struct cxlf_topology topology = {
    .hosts = 4, .leaves = 1, .shards = 1, .gfams = 2,
    .gfam = { { .hot = 1 << 20, .bulk = 1 << 20 },
              { .hot = 1 << 20, .bulk = 0 } },
};

#define K 1024ull
#define END (2048 * K)

static int reserve(unsigned host, unsigned gfam, uint64_t dpa,
                   uint64_t length)
{
    return cxlf_reserve(&fabric, &topology, host, gfam, dpa, length);
}

static int unreserve(unsigned host, uint64_t dpa, uint64_t length)
{
    return cxlf_unreserve(&fabric, &topology, host, 0, dpa, length);
}

static bool is_reserved(unsigned host, unsigned gfam, uint64_t dpa)
{
    return cxlf_is_reserved(&fabric, host, gfam, dpa);
}

static void test_range(void)
{
    static const struct {
        unsigned gfam;
        uint64_t dpa, length;
    } bad[] = {
        { 2, 0, 4 * K }, { 0, 0, 0 }, { 0, 1, 4 * K }, { 0, 0, 4 * K + 1 },
        { 0, END, 4 * K }, { 0, END - 4 * K, 8 * K }, { 1, END / 2, 4 * K },
        { 0, 4 * K, UINT64_MAX - 4 * K + 1 },
        { 0, UINT64_MAX - 4 * K + 1, 8 * K },
    };

    memset(&fabric, 0, sizeof(fabric));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(reserve(0, bad[i].gfam, bad[i].dpa, bad[i].length),
                        ==, CXLF_RESERVE_RANGE);
        g_assert_cmpint(cxlf_unreserve(&fabric, &topology, 0, bad[i].gfam,
                                       bad[i].dpa, bad[i].length), ==,
                        CXLF_RESERVE_RANGE);
    }
    g_assert_cmpuint(cxlf_reserve_changes(&fabric), ==, 0);
    g_assert_cmpint(reserve(0, 0, 0, END), ==, CXLF_RESERVE_OK);
}

static void test_overlap(void)
{
    struct cxlf_reservation list[CXLF_RESERVATIONS];

    memset(&fabric, 0, sizeof(fabric));
    g_assert_cmpint(reserve(1, 0, 16 * K, 16 * K), ==, CXLF_RESERVE_OK);
    g_assert_false(is_reserved(1, 0, 16 * K));
    g_assert_true(is_reserved(2, 0, 16 * K));
    g_assert_true(is_reserved(2, 0, 32 * K - 1));
    g_assert_false(is_reserved(2, 0, 16 * K - 1));
    g_assert_false(is_reserved(2, 0, 32 * K));
    g_assert_false(is_reserved(2, 1, 16 * K));
    /* Nobody else may have any of it; the neighbours they may. */
    g_assert_cmpint(reserve(2, 0, 28 * K, 4 * K), ==, CXLF_RESERVE_TAKEN);
    g_assert_cmpint(reserve(2, 0, 28 * K, 8 * K), ==, CXLF_RESERVE_TAKEN);
    g_assert_cmpint(reserve(2, 0, 0, END), ==, CXLF_RESERVE_TAKEN);
    g_assert_cmpint(reserve(2, 0, 32 * K, 4 * K), ==, CXLF_RESERVE_OK);
    g_assert_cmpint(reserve(2, 1, 16 * K, 4 * K), ==, CXLF_RESERVE_OK);
    g_assert_cmpint(reserve(1, 0, 12 * K, 8 * K), ==, CXLF_RESERVE_OK);
    /* The same again takes no room. */
    g_assert_cmpint(reserve(1, 0, 16 * K, 4 * K), ==, CXLF_RESERVE_OK);
    g_assert_cmpuint(cxlf_reserve_list(&fabric, &topology, list), ==, 4);

    g_assert_cmpint(unreserve(2, 16 * K, 4 * K), ==, CXLF_RESERVE_NONE);
    g_assert_cmpint(unreserve(1, 16 * K, 4 * K), ==, CXLF_RESERVE_NONE);
    g_assert_true(is_reserved(2, 0, 16 * K));
    g_assert_cmpint(unreserve(1, 0, END), ==, CXLF_RESERVE_OK);
    g_assert_false(is_reserved(2, 0, 16 * K));
    g_assert_true(is_reserved(1, 0, 32 * K));
    g_assert_true(cxlf_unreserve_all(&fabric, 2));
    g_assert_false(cxlf_unreserve_all(&fabric, 2));
    g_assert_cmpuint(cxlf_reserve_list(&fabric, &topology, list), ==, 0);
}

static void test_full(void)
{
    memset(&fabric, 0, sizeof(fabric));
    for (unsigned i = 0; i < CXLF_RESERVATIONS; i++) {
        g_assert_cmpint(reserve(i % 4, 0, i * 4 * K, 4 * K), ==,
                        CXLF_RESERVE_OK);
    }
    g_assert_cmpint(reserve(0, 0, END - 4 * K, 4 * K), ==,
                    CXLF_RESERVE_FULL);
    g_assert_true(cxlf_unreserve_all(&fabric, 3));
    g_assert_cmpint(reserve(0, 0, END - 4 * K, 4 * K), ==, CXLF_RESERVE_OK);
    for (unsigned i = 0; i < CXLF_RESERVATIONS; i++) {
        g_assert_true(is_reserved(99, 0, i * 4 * K) == (i % 4 != 3));
    }
}

/* What an owner should never write does no harm. */
static void test_spoilt(void)
{
    struct cxlf_reservation list[CXLF_RESERVATIONS];

    memset(&fabric, 0xff, sizeof(fabric));
    g_assert_cmpuint(cxlf_reserve_list(&fabric, &topology, list), ==, 0);
    is_reserved(0, 0, 0);
    memset(&fabric, 0, sizeof(fabric));
    fabric.reserved[0].n = UINT32_MAX;
    g_assert_cmpuint(cxlf_reserve_list(&fabric, &topology, list), ==, 0);
    g_assert_false(is_reserved(0, 0, 0));
}

/* An owner that stands still or dies while it makes a change. */
static void test_unfinished(void)
{
    struct cxlf_reservation list[CXLF_RESERVATIONS];
    unsigned last;

    memset(&fabric, 0, sizeof(fabric));
    g_assert_cmpint(reserve(1, 0, 0, 4 * K), ==, CXLF_RESERVE_OK);
    for (unsigned change = 0; change < 4; change++) {
        last = cxlf_reserve_changes(&fabric);
        memset(&fabric.reserved[(last + 1) % 2], change * 0x55,
               sizeof(fabric.reserved[0]));
        g_assert_cmpuint(cxlf_reserve_list(&fabric, &topology, list), ==, 1);
        g_assert_cmpuint(list[0].length, ==, 4 * K);
        g_assert_true(is_reserved(2, 0, 0));
        g_assert_false(is_reserved(2, 0, 4 * K));
        g_assert_cmpint(reserve(2, 0, 4 * K, 4 * K), ==, CXLF_RESERVE_OK);
        g_assert_true(is_reserved(1, 0, 4 * K));
        g_assert_true(cxlf_unreserve_all(&fabric, 2));
        g_assert_cmpuint(cxlf_reserve_changes(&fabric), ==, last + 2);
        /* So that the other table is in force next time. */
        g_assert_true(cxlf_unreserve_all(&fabric, 1));
        if (change % 2) {
            reserve(3, 0, 0, 4 * K);
            cxlf_unreserve_all(&fabric, 3);
        }
        g_assert_cmpint(reserve(1, 0, 0, 4 * K), ==, CXLF_RESERVE_OK);
    }
}

/* A reader beside the writer sees the table of one time. */
static void *change(void *opaque)
{
    bool *stop = opaque;

    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        g_assert_cmpint(reserve(1, 0, 0, 4 * K), ==, CXLF_RESERVE_OK);
        g_assert_cmpint(reserve(2, 0, 4 * K, 8 * K), ==, CXLF_RESERVE_OK);
        g_assert_true(cxlf_unreserve_all(&fabric, 1));
        g_assert_true(cxlf_unreserve_all(&fabric, 2));
    }
    return NULL;
}

static void test_threads(void)
{
    struct cxlf_reservation list[CXLF_RESERVATIONS];
    bool stop = false;
    pthread_t writer;

    memset(&fabric, 0, sizeof(fabric));
    pthread_create(&writer, NULL, change, &stop);
    for (unsigned i = 0; i < 100000; i++) {
        unsigned n = cxlf_reserve_list(&fabric, &topology, list);

        g_assert_cmpuint(n, <=, 2);
        for (unsigned j = 0; j < n; j++) {
            g_assert_cmpuint(list[j].length, ==, list[j].host * 4 * K);
            g_assert_cmpuint(list[j].dpa, ==, (list[j].host - 1) * 4 * K);
        }
        g_assert_false(is_reserved(2, 0, 4 * K));
        g_assert_false(is_reserved(1, 0, 0));
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(writer, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reserve/range", test_range);
    g_test_add_func("/reserve/overlap", test_overlap);
    g_test_add_func("/reserve/full", test_full);
    g_test_add_func("/reserve/spoilt", test_spoilt);
    g_test_add_func("/reserve/unfinished", test_unfinished);
    g_test_add_func("/reserve/threads", test_threads);
    return g_test_run();
}
