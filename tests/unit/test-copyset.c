/*
 * Copysets: against plain bitmaps
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include "cxlf/copyset.h"

#define MAX_HOSTS 4095

/* What must be named: the hosts that joined and have not left */
typedef struct Oracle {
    bool member[MAX_HOSTS];
    unsigned hosts;
} Oracle;

static unsigned group(unsigned hosts)
{
    return (hosts + 61) / 62;
}

static bool member_of_group(const Oracle *o, unsigned host)
{
    unsigned first = host / group(o->hosts) * group(o->hosts);

    for (unsigned h = first; h < first + group(o->hosts) && h < o->hosts;
         h++) {
        if (o->member[h]) {
            return true;
        }
    }
    return false;
}

/* All functions that only look agree with each other. */
static unsigned check_readers(uint64_t set, unsigned hosts)
{
    unsigned named = 0, walked = 0, next = hosts;

    g_assert_true(cxlf_set_valid(set, hosts));
    for (unsigned h = hosts; h-- > 0; ) {
        if (cxlf_set_has(set, h, hosts)) {
            named++;
            next = h;
        }
        g_assert_cmpuint(cxlf_set_next(set, h, hosts), ==, next);
    }
    g_assert_cmpuint(cxlf_set_next(set, hosts, hosts), ==, hosts);
    g_assert_cmpuint(cxlf_set_count(set, hosts), ==, named);
    CXLF_FOR_EACH_HOST(host, set, hosts) {
        g_assert_true(cxlf_set_has(set, host, hosts));
        walked++;
    }
    g_assert_cmpuint(walked, ==, named);
    g_assert_cmpint(set == 0, ==, named == 0);
    return named;
}

/*
 * Exact and pointers name the members; coarse names the groups of all that
 * @o has, who may have left.
 */
static void check_set(uint64_t set, const Oracle *o)
{
    bool coarse = cxlf_set_encoding(set) == CXLF_COARSE;
    unsigned named = check_readers(set, o->hosts);

    for (unsigned h = 0; h < o->hosts; h++) {
        g_assert_cmpint(cxlf_set_has(set, h, o->hosts), ==,
                        coarse ? member_of_group(o, h) : o->member[h]);
    }
    if (o->hosts <= CXLF_EXACT_HOSTS || set == 0) {
        g_assert_cmpint(cxlf_set_encoding(set), ==, CXLF_EXACT);
    } else if (!coarse) {
        g_assert_cmpint(cxlf_set_encoding(set), ==, CXLF_POINTERS);
        g_assert_cmpuint(named, <=, CXLF_SET_POINTERS);
    }
}

/* All sets of up to ten hosts, and each change of each */
static void test_exact(void)
{
    for (unsigned hosts = 1; hosts <= 10; hosts++) {
        for (uint64_t set = 0; set < 1u << hosts; set++) {
            check_readers(set, hosts);
            for (unsigned h = 0; h < hosts; h++) {
                uint64_t bit = 1ull << h;

                g_assert_cmpint(cxlf_set_has(set, h, hosts), ==,
                                !!(set & bit));
                g_assert_cmphex(cxlf_set_of(h, hosts), ==, bit);
                g_assert_cmphex(cxlf_set_add(set, h, hosts), ==, set | bit);
                g_assert_cmphex(cxlf_set_remove(set, h, hosts), ==,
                                set & ~bit);
            }
        }
        g_assert_false(cxlf_set_valid(1ull << hosts, hosts));
    }
}

/* All ordered ways for up to six of eight hosts to join, then to leave */
static void join(uint64_t set, Oracle *o, unsigned count)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned h = i * (o->hosts - 1) / 7;    /* spread over the groups */
        uint64_t left;

        if (o->member[h]) {
            g_assert_cmphex(cxlf_set_add(set, h, o->hosts), ==, set);
            continue;
        }
        g_assert_cmphex(cxlf_set_remove(set, h, o->hosts), ==, set);
        left = cxlf_set_add(set, h, o->hosts);
        g_assert_cmpint(cxlf_set_encoding(left), ==,
                        count < CXLF_SET_POINTERS ? CXLF_POINTERS :
                        CXLF_COARSE);
        o->member[h] = true;
        check_set(left, o);
        if (count < CXLF_SET_POINTERS) {
            join(left, o, count + 1);
        }
        o->member[h] = false;
        if (count < CXLF_SET_POINTERS) {
            check_set(cxlf_set_remove(left, h, o->hosts), o);
        }
    }
}

static void test_pointers(void)
{
    Oracle o = { .hosts = 63 };

    join(0, &o, 0);
}

/* Random joins and leaves in fabrics of all sizes beyond exact sets */
static void test_random(void)
{
    static const unsigned sizes[] = {
        11, 61, 62, 63, 64, 100, 123, 124, 125, 126, 1000, 2047, 4094,
        MAX_HOSTS,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Oracle o = { .hosts = sizes[i] };
        uint64_t set = 0;
        unsigned seen = 0;

        for (unsigned round = 0; round < 600; round++) {
            unsigned h = g_test_rand_int_range(0, o.hosts);
            unsigned choice = g_test_rand_int_range(0, 32);
            bool coarse = cxlf_set_encoding(set) == CXLF_COARSE;

            if (choice == 0) {
                /* Taken from all, or by one. */
                memset(o.member, 0, sizeof(o.member));
                o.member[h] = round & 1;
                set = round & 1 ? cxlf_set_of(h, o.hosts) : 0;
            } else if (choice < 20) {
                set = cxlf_set_add(set, h, o.hosts);
                o.member[h] = true;
            } else {
                /* Often somebody who is named */
                h = choice < 30 ? cxlf_set_next(set, h, o.hosts) : h;
                if (h == o.hosts) {
                    continue;
                }
                g_assert_true(!coarse ||
                              cxlf_set_remove(set, h, o.hosts) == set);
                set = cxlf_set_remove(set, h, o.hosts);
                o.member[h] = o.member[h] && coarse;
            }
            check_set(set, &o);
            seen |= 1u << cxlf_set_encoding(set);
        }
        g_assert_cmpuint(seen, ==, sizes[i] <= CXLF_EXACT_HOSTS ?
                         1u << CXLF_EXACT : 7u);
    }
}

static uint64_t random64(void)
{
    return (uint64_t)(uint32_t)g_test_rand_int() << 32 |
           (uint32_t)g_test_rand_int();
}

/* Five numbers, of which some are 0, too large, or the same */
static uint64_t random_pointers(unsigned hosts)
{
    uint64_t set = 1ull << 62;

    for (int i = 0; i < 5; i++) {
        set |= (uint64_t)g_test_rand_int_range(0, hosts + 2) << 12 * i;
    }
    return set & ((uint64_t)g_test_rand_int_range(0, 64) << 57 |
                  ((1ull << 12 * g_test_rand_int_range(0, 6)) - 1) |
                  1ull << 62);
}

/* What the header says of pointers, in other words */
static bool pointers_legal(uint64_t set, unsigned hosts)
{
    bool ended = false;
    unsigned number[5];

    for (int i = 0; i < 5; i++) {
        number[i] = set >> 12 * i & 0xfff;
        if (number[i] > hosts || (number[i] != 0 && ended)) {
            return false;
        }
        ended = number[i] == 0;
        for (int j = 0; j < i; j++) {
            if (number[i] != 0 && number[i] == number[j]) {
                return false;
            }
        }
    }
    return number[0] != 0 && !(set >> 60 & 3);
}

/* No 64 bits pass for a set that could lead a reader out of the fabric. */
static void test_corrupted(void)
{
    unsigned legal = 0;

    for (unsigned i = 0; i < 20000; i++) {
        unsigned hosts = g_test_rand_int_range(1, i & 1 ? 70 : 200);
        uint64_t set = i % 3 == 0 ? random_pointers(hosts) :
                       random64() & random64() &
                       ~(i % 3 == 1 ? 0x3full << 56 : 0);

        if (cxlf_set_valid(set, hosts)) {
            check_readers(set, hosts);
            legal++;
        }
        if (set >> 62 == CXLF_POINTERS) {
            g_assert_cmpint(cxlf_set_valid(set, hosts), ==,
                            hosts > CXLF_EXACT_HOSTS &&
                            pointers_legal(set, hosts));
        }
        g_assert_false(cxlf_set_valid(set | 3ull << 62, hosts));
    }
    g_assert_cmpuint(legal, >, 100);
}

static void test_illegal(void)
{
    const uint64_t pointers = 1ull << 62, coarse = 2ull << 62;

    g_assert_true(cxlf_set_valid(pointers | 100 << 12 | 1, 100));
    g_assert_false(cxlf_set_valid(pointers | 101, 100));
    g_assert_false(cxlf_set_valid(pointers | 100 << 12, 100));
    g_assert_false(cxlf_set_valid(pointers | 7 << 12 | 7, 100));
    g_assert_false(cxlf_set_valid(pointers | 1ull << 60 | 7, 100));
    g_assert_false(cxlf_set_valid(pointers, 100));
    g_assert_false(cxlf_set_valid(pointers | 1, 62));
    /* 100 hosts are 50 groups of two. */
    g_assert_true(cxlf_set_valid(coarse | 1ull << 49, 100));
    g_assert_false(cxlf_set_valid(coarse | 1ull << 50, 100));
    g_assert_false(cxlf_set_valid(coarse, 100));
    g_assert_false(cxlf_set_valid(coarse | 1, 62));
    g_assert_false(cxlf_set_valid(1, 63));
    g_assert_true(cxlf_set_valid(1ull << 61, 62));
    g_assert_false(cxlf_set_valid(1ull << 61, 61));
    /* The last group of 125 hosts has two of three. */
    g_assert_cmpuint(cxlf_set_count(coarse | 1ull << 41, 125), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/copyset/exact", test_exact);
    g_test_add_func("/copyset/pointers", test_pointers);
    g_test_add_func("/copyset/random", test_random);
    g_test_add_func("/copyset/corrupted", test_corrupted);
    g_test_add_func("/copyset/illegal", test_illegal);
    return g_test_run();
}
