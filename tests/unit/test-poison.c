/*
 * Poison records: order, loss, sanity, and a reader beside the writer
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <pthread.h>
#include "cxlf/poison.h"
#include "fixture.h"

#define RECORDS CXLF_POISON_RECORDS
#define LINES   (2 * CXLF_CAPACITY_UNIT / CXLF_LINE)    /* of a device */

static struct cxlf_fabric fabric;

/* Record @n, of which each field says the others. */
static struct cxlf_poison record(uint64_t n)
{
    return (struct cxlf_poison) {
        .gfam = n % 2, .host = n % 3, .dpa = n % (LINES / 2) * CXLF_LINE,
        .length = (1 + n % 7) * CXLF_LINE,
    };
}

static void publish(uint64_t n)
{
    struct cxlf_poison r = record(n);

    cxlf_poison_publish(&fabric, &r);
}

static void assert_record(const struct cxlf_poison *r, uint64_t n)
{
    struct cxlf_poison want = record(n);

    g_assert_cmpmem(r, sizeof(*r), &want, sizeof(want));
}

static void test_order(void)
{
    struct cxlf_topology t = fixture_topology(3, 1, 1, 2);
    uint64_t cursor = 0, next = 0;
    struct cxlf_poison r;
    bool lost = false;

    memset(&fabric, 0, sizeof(fabric));
    g_assert_false(cxlf_poison_next(&fabric, &t, &cursor, &r, &lost));
    for (int turn = 0; turn < 3000; turn++) {
        int count = g_test_rand_int_range(0, 8);

        for (int i = 0; i < count; i++) {
            publish(next + i);
        }
        for (int i = 0; i < count; i++) {
            g_assert_true(cxlf_poison_next(&fabric, &t, &cursor, &r, &lost));
            assert_record(&r, next++);
        }
        g_assert_false(cxlf_poison_next(&fabric, &t, &cursor, &r, &lost));
    }
    g_assert_cmpuint(next, >, RECORDS);
    g_assert_false(lost);
    /* A cursor from elsewhere is at the end; and so stays. */
    cursor = next + 1;
    g_assert_false(cxlf_poison_next(&fabric, &t, &cursor, &r, &lost));
    g_assert_cmpuint(cursor, ==, next + 1);
}

static void test_lost(void)
{
    struct cxlf_topology t = fixture_topology(3, 1, 1, 2);
    const uint64_t all = 2 * RECORDS + 5;
    uint64_t cursor = 0, n;
    struct cxlf_poison r;
    bool lost = false;

    memset(&fabric, 0, sizeof(fabric));
    for (n = 0; n < all; n++) {
        publish(n);
    }
    for (n = all - RECORDS + 1; n < all; n++) {
        g_assert_true(cxlf_poison_next(&fabric, &t, &cursor, &r, &lost));
        g_assert_true(lost);
        assert_record(&r, n);
    }
    lost = false;
    g_assert_false(cxlf_poison_next(&fabric, &t, &cursor, &r, &lost));
    g_assert_false(lost);
    /* The number of records at its very end. */
    fabric.poisoned = UINT64_MAX;
    for (n = 0; cxlf_poison_next(&fabric, &t, &cursor, &r, &lost); n++) {
        ;
    }
    g_assert_cmpuint(n, ==, RECORDS - 1);
    g_assert_cmpuint(cursor, ==, UINT64_MAX);
}

static void test_bad(void)
{
    static const struct cxlf_poison bad[] = {
        { 2, 0, 0, 64 },
        { 0, 3, 0, 64 },
        { 0, 0, 0, 0 },
        { 0, 0, 1, 64 },
        { 0, 0, 0, 65 },
        { 0, 0, 2 * CXLF_CAPACITY_UNIT, 64 },
        { 0, 0, 2 * CXLF_CAPACITY_UNIT - 64, 128 },
        { 0, 0, 64, 2 * CXLF_CAPACITY_UNIT },
        { 0, 0, 64, -64ull },
        { 0, 0, -64ull, 128 },
    };
    struct cxlf_topology t = fixture_topology(3, 1, 1, 2);
    struct cxlf_poison r;
    uint64_t cursor = 0;

    memset(&fabric, 0, sizeof(fabric));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        bool lost = false;

        cxlf_poison_publish(&fabric, &bad[i]);
        publish(i);
        g_assert_true(cxlf_poison_next(&fabric, &t, &cursor, &r, &lost));
        g_assert_true(lost);
        assert_record(&r, i);
    }
}

/* Records go round faster than they are read, and none is torn. */
static void *write_all(G_GNUC_UNUSED void *opaque)
{
    for (uint64_t n = 0; n < 300 * RECORDS; n++) {
        publish(n);
    }
    return NULL;
}

static void test_beside(void)
{
    struct cxlf_topology t = fixture_topology(3, 1, 1, 2);
    uint64_t cursor = 0, got = 0;
    struct cxlf_poison r;
    bool lost = false;
    pthread_t writer;

    memset(&fabric, 0, sizeof(fabric));
    g_assert_cmpint(pthread_create(&writer, NULL, write_all, NULL), ==, 0);
    while (cursor < 300 * RECORDS) {
        uint64_t before = cursor;

        if (cxlf_poison_next(&fabric, &t, &cursor, &r, &lost)) {
            g_assert_cmpuint(cursor, >, before);
            assert_record(&r, cursor - 1);
            got++;
        }
    }
    pthread_join(writer, NULL);
    g_assert_true(lost || got == 300 * RECORDS);
    g_test_message("%" G_GUINT64_FORMAT " of %d records were read", got,
                   300 * RECORDS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poison/order", test_order);
    g_test_add_func("/poison/lost", test_lost);
    g_test_add_func("/poison/bad", test_bad);
    g_test_add_func("/poison/beside", test_beside);
    return g_test_run();
}
