/*
 * Inboxes: order, room, senders that die, garbage, and several threads
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include "cxlf/inbox.h"

#define HOSTS       8
#define FIRST       (2 * CXLF_INBOX_SLOTS)  /* position of the first message */

static struct cxlf_inbox inbox;
static uint32_t life[HOSTS];

static bool lives(void *opaque, uint32_t host, uint32_t incarnation)
{
    return life[host] == incarnation;
}

static void setup(void)
{
    memset(&inbox, 0, sizeof(inbox));
    for (unsigned i = 0; i < HOSTS; i++) {
        life[i] = 10 + i;
    }
    cxlf_inbox_open(&inbox);
    g_assert_cmpuint(inbox.tail, ==, FIRST);
}

static enum cxlf_inbox_result send_number(uint32_t host, uint64_t number)
{
    return cxlf_inbox_send(&inbox, host, life[host], &number,
                           sizeof(number));
}

static bool take(struct cxlf_letter *letter)
{
    return cxlf_inbox_take(&inbox, HOSTS, lives, NULL, letter);
}

static void expect(uint32_t host, uint64_t number)
{
    struct cxlf_letter l;

    g_assert_true(take(&l));
    g_assert_cmpuint(l.host, ==, host);
    g_assert_cmpuint(l.length, ==, 8);
    g_assert_cmpuint(l.data[0], ==, number);
}

static void expect_none(void)
{
    struct cxlf_letter l;

    g_assert_false(take(&l));
}

static void test_send_and_take(void)
{
    char text[CXLF_LETTER_BYTES];
    struct cxlf_letter l;

    memset(&inbox, 0, sizeof(inbox));
    g_assert_cmpint(send_number(1, 1), ==, CXLF_INBOX_CLOSED);
    setup();
    expect_none();
    for (unsigned length = 0; length <= sizeof(text); length++) {
        memset(text, length, sizeof(text));
        g_assert_cmpint(cxlf_inbox_send(&inbox, length % HOSTS,
                                        life[length % HOSTS], text, length),
                        ==, CXLF_INBOX_OK);
        g_assert_true(take(&l));
        g_assert_cmpuint(l.host, ==, length % HOSTS);
        g_assert_cmpuint(l.length, ==, length);
        g_assert_cmpmem(l.data, length, text, length);
    }
    cxlf_inbox_close(&inbox);
    g_assert_cmpint(send_number(1, 1), ==, CXLF_INBOX_CLOSED);
    /* What came before it is opened again is gone. */
    cxlf_inbox_open(&inbox);
    send_number(1, 1);
    cxlf_inbox_open(&inbox);
    expect_none();
    send_number(1, 2);
    expect(1, 2);
}

static void test_full(void)
{
    setup();
    for (uint64_t round = 0; round < 5 * 4096; round++) {
        unsigned n = 1 + round % CXLF_INBOX_SLOTS;

        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpint(send_number(i % HOSTS, round + i), ==,
                            CXLF_INBOX_OK);
        }
        if (n == CXLF_INBOX_SLOTS) {
            g_assert_cmpint(send_number(0, 0), ==, CXLF_INBOX_FULL);
        }
        for (unsigned i = 0; i < n; i++) {
            expect(i % HOSTS, round + i);
        }
        expect_none();
    }
}

/* The word of a claim, as the header says. */
static uint64_t claim_of(uint32_t host, uint64_t position, unsigned length)
{
    return CXLF_INBOX_BUSY | host << 2 | (uint64_t)length << 14 |
           position / CXLF_INBOX_SLOTS % 4096 << 20 |
           (uint64_t)life[host] << 32;
}

/* A sender stands still, or is dead, after each of its steps. */
static void test_death(void)
{
    for (int advanced = 0; advanced < 2; advanced++) {
        for (int dies = 0; dies < 2; dies++) {
            for (unsigned before = 0; before < 3; before++) {
                struct cxlf_inbox_slot *slot;
                uint64_t at = FIRST + before;

                setup();
                for (unsigned i = 0; i < before; i++) {
                    send_number(1, i);
                }
                slot = &inbox.slot[at % CXLF_INBOX_SLOTS];
                slot->word = claim_of(3, at, 8);
                inbox.tail += advanced;
                /* Others go on. */
                g_assert_cmpint(send_number(2, 77), ==, CXLF_INBOX_OK);
                for (unsigned i = 0; i < before; i++) {
                    expect(1, i);
                }
                expect_none();
                if (dies) {
                    life[3]++;
                } else {
                    slot->data[0] = 5;
                    slot->word += CXLF_INBOX_SENT - CXLF_INBOX_BUSY;
                    expect(3, 5);
                }
                expect(2, 77);
                expect_none();
                for (unsigned i = 0; i < CXLF_INBOX_SLOTS; i++) {
                    g_assert_cmpint(send_number(3, i), ==, CXLF_INBOX_OK);
                }
                g_assert_cmpint(send_number(3, 0), ==, CXLF_INBOX_FULL);
                for (unsigned i = 0; i < CXLF_INBOX_SLOTS; i++) {
                    expect(3, i);
                }
            }
        }
    }
    /* It is not followed by anybody. */
    setup();
    inbox.slot[FIRST % CXLF_INBOX_SLOTS].word = claim_of(3, FIRST, 8);
    expect_none();
    life[3] = 0;
    expect_none();
    send_number(1, 9);
    expect(1, 9);
}

/* Nothing illegal is taken, and the inbox can be used when it is opened. */
static void test_garbage(void)
{
    struct cxlf_letter l;

    setup();
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t junk = (uint64_t)(uint32_t)g_test_rand_int() << 32 |
                        (uint32_t)g_test_rand_int();

        switch (g_test_rand_int_range(0, 8)) {
        case 0:
            inbox.tail = junk;
            break;
        case 1:
            inbox.head = junk;
            break;
        case 2:
            inbox.open = junk & 1;
            break;
        case 3:
            send_number(i % HOSTS, i);
            break;
        case 4:
            if (take(&l)) {
                g_assert_cmpuint(l.host, <, HOSTS);
                g_assert_cmpuint(l.length, <=, CXLF_LETTER_BYTES);
            }
            break;
        default:
            inbox.slot[junk % CXLF_INBOX_SLOTS].word = junk;
            break;
        }
        if (i % 1000 == 0) {
            cxlf_inbox_open(&inbox);
            expect_none();
            g_assert_cmpint(send_number(1, i), ==, CXLF_INBOX_OK);
            expect(1, i);
        }
    }
}

enum { SENDERS = 3, LETTERS = 50000 };

static void *send_many(void *opaque)
{
    uint32_t host = GPOINTER_TO_UINT(opaque);

    for (uint64_t i = 0; i < LETTERS; i++) {
        while (send_number(host, i) == CXLF_INBOX_FULL) {
            sched_yield();
        }
    }
    return NULL;
}

/* None is lost, doubled, mixed or out of its sender's order. */
static void test_threads(void)
{
    pthread_t thread[SENDERS];
    uint64_t next[SENDERS] = { 0 };
    unsigned taken = 0;
    struct cxlf_letter l;

    setup();
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_create(&thread[i], NULL, send_many, GUINT_TO_POINTER(i));
    }
    while (taken < SENDERS * LETTERS) {
        if (!take(&l)) {
            sched_yield();
            continue;
        }
        g_assert_cmpuint(l.host, <, SENDERS);
        g_assert_cmpuint(l.data[0], ==, next[l.host]);
        next[l.host]++;
        taken++;
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(thread[i], NULL);
    }
    expect_none();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inbox/send-and-take", test_send_and_take);
    g_test_add_func("/inbox/full", test_full);
    g_test_add_func("/inbox/death", test_death);
    g_test_add_func("/inbox/garbage", test_garbage);
    g_test_add_func("/inbox/threads", test_threads);
    return g_test_run();
}
