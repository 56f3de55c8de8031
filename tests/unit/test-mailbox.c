/*
 * Mailboxes: posting, taking, garbage, and producers in several threads
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include "cxlf/mailbox.h"

static struct cxlf_message snoop(uint64_t page)
{
    return (struct cxlf_message) {
        .kind = CXLF_BISNP_INV, .gfam = page % 8, .dpa = page * CXLF_PAGE,
    };
}

static void test_post_and_take(void)
{
    struct cxlf_mailbox box = { 0 };
    struct cxlf_message m;
    uint64_t seen = 0;

    g_assert_false(cxlf_take(&box, &m));
    for (uint64_t i = 0; i < CXLF_MAILBOX_SLOTS; i++) {
        g_assert_true(cxlf_post(&box, snoop(i)));
    }
    g_assert_false(cxlf_post(&box, snoop(CXLF_MAILBOX_SLOTS)));
    g_assert_true(cxlf_post(&box, snoop(7)));      /* it is there already */
    for (unsigned i = 0; i < CXLF_MAILBOX_SLOTS; i++) {
        g_assert_true(cxlf_take(&box, &m));
        g_assert_cmpint(m.kind, ==, CXLF_BISNP_INV);
        g_assert_cmpint(m.gfam, ==, m.dpa / CXLF_PAGE % 8);
        seen |= 1ull << m.dpa / CXLF_PAGE;
    }
    g_assert_cmphex(seen, ==, UINT64_MAX);
    g_assert_false(cxlf_take(&box, &m));
}

/* The last page of the largest device survives the encoding. */
static void test_limits(void)
{
    struct cxlf_mailbox box = { 0 };
    struct cxlf_message m, far = {
        .kind = CXLF_CMP, .gfam = CXLF_MAX_GFAMS - 1,
        .dpa = CXLF_MAX_HOT + CXLF_MAX_BULK - CXLF_PAGE,
    }, block = {
        .kind = CXLF_BISNP_DATA, .order = CXLF_MAX_ORDER,
        .dpa = CXLF_MAX_BULK + (CXLF_PAGE << CXLF_MAX_ORDER),
    };

    g_assert_true(cxlf_post(&box, far));
    g_assert_true(cxlf_take(&box, &m));
    g_assert_cmpint(m.kind, ==, far.kind);
    g_assert_cmpint(m.gfam, ==, far.gfam);
    g_assert_cmpint(m.order, ==, 0);
    g_assert_cmphex(m.dpa, ==, far.dpa);
    g_assert_true(cxlf_post(&box, block));
    g_assert_true(cxlf_take(&box, &m));
    g_assert_cmpint(m.order, ==, CXLF_MAX_ORDER);
    g_assert_cmphex(m.dpa, ==, block.dpa);
    /* A block is aligned to its size, or it is none. */
    block.dpa += CXLF_PAGE;
    g_assert_true(cxlf_post(&box, block));
    g_assert_false(cxlf_take(&box, &m));
    block.order = CXLF_MAX_ORDER + 1;
    block.dpa = 0;
    g_assert_true(cxlf_post(&box, block));
    g_assert_false(cxlf_take(&box, &m));
}

/* Whatever a wild peer leaves in a slot is dropped, or a legal message. */
static void test_garbage(void)
{
    struct cxlf_mailbox box = { 0 };
    struct cxlf_message m;
    unsigned taken = 0;

    for (int i = 0; i < 100000; i++) {
        for (int slot = 0; slot < 4; slot++) {
            box.slot[g_test_rand_int_range(0, CXLF_MAILBOX_SLOTS)] =
                (uint64_t)(uint32_t)g_test_rand_int() << 32 |
                (uint32_t)g_test_rand_int();
        }
        while (cxlf_take(&box, &m)) {
            g_assert_cmpint(m.kind, >=, CXLF_BISNP_INV);
            g_assert_cmpint(m.kind, <=, CXLF_CMP);
            g_assert_cmphex(m.dpa % CXLF_PAGE, ==, 0);
            taken++;
        }
    }
    g_assert_cmpuint(taken, >, 0);
}

enum { PRODUCERS = 3, MESSAGES = 20000 };

static struct cxlf_mailbox shared;

static void *produce(void *opaque)
{
    uint64_t first = (uint64_t)GPOINTER_TO_UINT(opaque) * MESSAGES;

    for (uint64_t i = 0; i < MESSAGES; i++) {
        while (!cxlf_post(&shared, snoop(first + i))) {
            g_thread_yield();
        }
    }
    return NULL;
}

/* Each of different messages is taken exactly once. */
static void test_threads(void)
{
    g_autofree uint8_t *seen = g_malloc0(PRODUCERS * MESSAGES);
    GThread *threads[PRODUCERS];
    struct cxlf_message m;
    unsigned taken = 0;

    for (unsigned i = 0; i < PRODUCERS; i++) {
        threads[i] = g_thread_new("host", produce, GUINT_TO_POINTER(i));
    }
    while (taken < PRODUCERS * MESSAGES) {
        if (cxlf_take(&shared, &m)) {
            g_assert_cmpint(seen[m.dpa / CXLF_PAGE]++, ==, 0);
            taken++;
        } else {
            g_thread_yield();
        }
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_false(cxlf_take(&shared, &m));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mailbox/post-and-take", test_post_and_take);
    g_test_add_func("/mailbox/limits", test_limits);
    g_test_add_func("/mailbox/garbage", test_garbage);
    g_test_add_func("/mailbox/threads", test_threads);
    return g_test_run();
}
