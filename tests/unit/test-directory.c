/*
 * Directory: accesses, counters, corruption, recovery, and threads
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fixture.h"

static uint64_t total(Fixture *f, int host, enum cxlf_counter counter)
{
    uint64_t sum[CXLF_COUNTERS];

    cxlf_read_counters(&f->directory, -1, -1, host, sum);
    return sum[counter];
}

static void expect_line(Fixture *f, uint64_t dpa, unsigned state,
                        uint64_t holders)
{
    struct cxlf_line line;

    g_assert_true(cxlf_peek(&f->directory, CXLF_LINE_UNIT, 0, dpa, &line));
    g_assert_cmpstr(cxlf_state_name[line.state], ==, cxlf_state_name[state]);
    g_assert_cmphex(line.holders, ==, holders);
}

static void do_access(Fixture *f, unsigned host, uint64_t dpa,
                      enum cxlf_event event)
{
    g_assert_cmpint(cxlf_access(&f->directory, host, 0, dpa, event), ==,
                    CXLF_OK);
}

/* The paper's two sketches: a shared read, then a coherent write. */
static void test_sketches(void)
{
    Fixture f;

    fixture_init(&f, fixture_topology(4, 2, 2, 1));
    do_access(&f, 0, 0x1040, CXLF_LOAD);
    do_access(&f, 1, 0x1048, CXLF_LOAD);
    expect_line(&f, 0x1040, CXLF_S, 0x3);
    do_access(&f, 2, 0x1040, CXLF_STORE);
    expect_line(&f, 0x1040, CXLF_M, 0x4);
    g_assert_cmpuint(total(&f, 2, CXLF_BISNP_SENT), ==, 2);
    g_assert_cmpuint(total(&f, 0, CXLF_BISNP_RECEIVED), ==, 1);
    g_assert_cmpuint(total(&f, 1, CXLF_BISNP_RECEIVED), ==, 1);
    do_access(&f, 2, 0x1040, CXLF_STORE);
    g_assert_cmpuint(total(&f, 2, CXLF_WRITE_HIT), ==, 1);
    do_access(&f, 0, 0x1040, CXLF_LOAD);
    expect_line(&f, 0x1040, CXLF_S, 0x5);
    g_assert_cmpuint(total(&f, 0, CXLF_WRITEBACK), ==, 1);
    do_access(&f, 0, 0x1040, CXLF_OWN);
    expect_line(&f, 0x1040, CXLF_E, 0x1);
    g_assert_cmpuint(total(&f, 0, CXLF_UPGRADE), ==, 1);
    expect_line(&f, 0x1080, CXLF_I, 0);     /* the neighbour is untouched */
    fixture_done(&f);
}

static void test_refusals(void)
{
    Fixture f;

    fixture_init(&f, fixture_topology(2, 1, 1, 1));
    g_assert_cmpint(cxlf_access(&f.directory, 0, 1, 0, CXLF_LOAD), ==,
                    CXLF_REFUSED);
    g_assert_cmpint(cxlf_access(&f.directory, 0, 0, CXLF_CAPACITY_UNIT,
                                CXLF_LOAD), ==, CXLF_REFUSED);
    g_assert_cmpint(cxlf_access(&f.directory, 0, 0, UINT64_MAX, CXLF_LOAD),
                    ==, CXLF_REFUSED);
    fixture_done(&f);
}

/* Whatever a wild peer leaves in an entry, it is told apart or legal. */
static void test_corruption(void)
{
    Fixture f;
    struct cxlf_entry *entry;
    unsigned refused = 0;

    fixture_init(&f, fixture_topology(3, 1, 1, 1));
    entry = f.directory.leaf[0].table[CXLF_LINE_UNIT].entries;
    for (int i = 0; i < 100000; i++) {
        enum cxlf_result result;
        struct cxlf_line line;

        entry->word = (uint64_t)(uint32_t)g_test_rand_int() << 32 |
                      (uint32_t)g_test_rand_int();
        if (g_test_rand_bit()) {
            entry->word = (entry->word & 0xffffffff) | 1ull << 32;
        }
        entry->copyset = g_test_rand_bit() ?
            (uint64_t)g_test_rand_int_range(0, 16) :
            (uint64_t)(uint32_t)g_test_rand_int() << 32;
        /* RebuildP is of a leaf that is not up, and would be withheld. */
        result = cxlf_access(&f.directory, g_test_rand_int_range(0, 3), 0, 0,
                             g_test_rand_int_range(0, CXLF_REBUILD_P));
        if (result == CXLF_CORRUPT) {
            refused++;
        } else {
            g_assert_cmpint(result, ==, CXLF_OK);
            g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, 0, 0,
                                    &line));
        }
    }
    g_assert_cmpuint(refused, >, 0);
    g_assert_cmpuint(total(&f, -1, CXLF_REFUSAL), ==, refused);
    fixture_done(&f);
}

/* Some lines of two devices are used; a range of one of them is forgotten. */
static void check_forget(struct cxlf_topology topology)
{
    enum { LINES = 3000 };
    const uint64_t from = CXLF_CAPACITY_UNIT / 4, length = 2 * from;
    g_autofree struct cxlf_line *before = g_new(struct cxlf_line, 2 * LINES);
    uint64_t grain = cxlf_topology_grain(&topology), forgotten = 0;
    struct cxlf_line line;
    Fixture f;

    fixture_init(&f, topology);
    for (int i = 0; i < LINES; i++) {
        for (int gfam = 0; gfam < 2; gfam++) {
            uint64_t dpa = (uint64_t)i * 8192 * 10 + gfam * grain;

            g_assert_cmpint(cxlf_access(&f.directory, i % topology.hosts,
                                        gfam, dpa, i % 3 ? CXLF_STORE :
                                        CXLF_LOAD), ==, CXLF_OK);
        }
    }
    /* Poison stays when a host is dead; not when its memory is forgotten. */
    cxlf_give_up(&f.directory, 0, CXLF_LOSS, NULL);
    for (int i = 0; i < 2 * LINES; i++) {
        uint64_t dpa = (uint64_t)(i / 2) * 8192 * 10 + i % 2 * grain;

        g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, i % 2, dpa,
                                &before[i]));
    }
    for (uint32_t leaf = 0; leaf < topology.leaves; leaf++) {
        forgotten += cxlf_forget_range(&f.directory, leaf, 1, from,
                                       length);
    }
    g_assert_cmpuint(forgotten, >, 0);
    for (int i = 0; i < 2 * LINES; i++) {
        uint64_t dpa = (uint64_t)(i / 2) * 8192 * 10 + i % 2 * grain;
        bool gone = i % 2 && dpa >= from && dpa - from < length;

        g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, i % 2, dpa,
                                &line));
        g_assert_cmpint(line.state, ==, gone ? CXLF_I : before[i].state);
        g_assert_cmphex(line.holders, ==, gone ? 0 : before[i].holders);
        if (gone) {
            g_assert_cmpint(cxlf_access(&f.directory, 1, 1, dpa, CXLF_STORE),
                            ==, CXLF_OK);
        }
    }
    fixture_done(&f);
}

static void test_forget(void)
{
    struct cxlf_topology topology = fixture_topology(3, 2, 3, 2);

    check_forget(topology);
    topology.grain = 256;
    check_forget(topology);
    topology.line_entries = 4096;
    check_forget(topology);
}

static void test_recovery(void)
{
    Fixture f;
    uint64_t modified, lines = 0, dirty = 0;
    struct cxlf_line line;

    fixture_init(&f, fixture_topology(3, 2, 3, 2));
    for (int i = 0; i < 5000; i++) {
        uint64_t dpa = (uint64_t)g_test_rand_int_range(0, 1 << 22) * 64;

        g_assert_cmpint(cxlf_access(&f.directory,
                                    g_test_rand_int_range(0, 3), i & 1, dpa,
                                    g_test_rand_int_range(0, 3)), ==,
                        CXLF_OK);
    }
    for (uint32_t gfam = 0; gfam < 2; gfam++) {
        for (uint64_t dpa = 0; dpa < CXLF_CAPACITY_UNIT; dpa += CXLF_LINE) {
            g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, gfam, dpa,
                                    &line));
            lines += !!(line.holders & 2);
            dirty += line.holders & 2 && line.state == CXLF_M;
        }
    }
    g_assert_cmpuint(lines, >, 0);
    g_assert_cmpuint(cxlf_give_up(&f.directory, 1, CXLF_DEATH, &modified),
                     ==, lines);
    g_assert_cmpuint(modified, ==, dirty);
    for (uint32_t gfam = 0; gfam < 2; gfam++) {
        for (uint64_t dpa = 0; dpa < CXLF_CAPACITY_UNIT; dpa += CXLF_LINE) {
            g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, gfam, dpa,
                                    &line));
            g_assert_false(line.holders & 2);
        }
    }
    g_assert_cmpuint(cxlf_give_up(&f.directory, 1, CXLF_DEATH, NULL), ==, 0);
    fixture_done(&f);
}

/* Part of a device is given up, and nothing else of it or of others. */
static void test_range(void)
{
    const uint64_t from = 64 * CXLF_PAGE, size = 32 * CXLF_PAGE;
    uint64_t given = 0, held = 0;
    struct cxlf_line line;
    Fixture f;

    fixture_init(&f, fixture_topology(3, 2, 3, 2));
    for (int i = 0; i < 20000; i++) {
        uint64_t dpa = (uint64_t)g_test_rand_int_range(0, 128 * 64) * 64;

        g_assert_cmpint(cxlf_access(&f.directory,
                                    g_test_rand_int_range(0, 3), i & 1, dpa,
                                    g_test_rand_int_range(0, 3)), ==,
                        CXLF_OK);
    }
    for (uint64_t dpa = from; dpa < from + size; dpa += CXLF_LINE) {
        g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, 1, dpa,
                                &line));
        held += !!(line.holders & 2);
    }
    g_assert_cmpuint(held, >, 0);
    given = cxlf_give_up_range(&f.directory, 1, 1, from, size);
    g_assert_cmpuint(given, ==, held);
    for (uint32_t gfam = 0; gfam < 2; gfam++) {
        for (uint64_t dpa = 0; dpa < CXLF_CAPACITY_UNIT; dpa += CXLF_LINE) {
            g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, gfam, dpa,
                                    &line));
            if (gfam == 1 && dpa >= from && dpa < from + size) {
                g_assert_false(line.holders & 2);
            } else {
                given += !!(line.holders & 2);
            }
        }
    }
    g_assert_cmpuint(cxlf_give_up(&f.directory, 1, CXLF_EVICT, NULL), ==,
                     given - held);
    fixture_done(&f);
}

/* Sums by shard and by host are the same events. */
static void test_counters(void)
{
    Fixture f;
    uint64_t by_host[CXLF_COUNTERS] = { 0 }, by_shard[CXLF_COUNTERS] = { 0 };
    uint64_t all[CXLF_COUNTERS], part[CXLF_COUNTERS];

    fixture_init(&f, fixture_topology(5, 2, 4, 1));
    for (int i = 0; i < 20000; i++) {
        do_access(&f, g_test_rand_int_range(0, 5),
                  g_test_rand_int_range(0, 64) * 4096ull,
                  g_test_rand_int_range(0, CXLF_EVICT + 1));
    }
    cxlf_read_counters(&f.directory, -1, -1, -1, all);
    for (int host = 0; host < 5; host++) {
        cxlf_read_counters(&f.directory, -1, -1, host, part);
        for (int i = 0; i < CXLF_COUNTERS; i++) {
            by_host[i] += part[i];
        }
    }
    for (int shard = 0; shard < 8; shard++) {
        cxlf_read_counters(&f.directory, shard / 4, shard % 4, -1, part);
        g_assert_cmpuint(part[CXLF_READ_MISS], >, 0);
        for (int i = 0; i < CXLF_COUNTERS; i++) {
            by_shard[i] += part[i];
        }
    }
    g_assert_cmpmem(by_host, sizeof(by_host), all, sizeof(all));
    g_assert_cmpmem(by_shard, sizeof(by_shard), all, sizeof(all));
    g_assert_cmpuint(all[CXLF_BISNP_SENT], ==, all[CXLF_BISNP_RECEIVED]);
    fixture_done(&f);
}

/* Threads as hosts on a few lines, one of them declared dead meanwhile. */
enum { THREADS = 4, OPERATIONS = 50000, LINES = 4 };

typedef struct Worker {
    Fixture *f;
    unsigned host;
    uint32_t seed;
    uint64_t accesses, again;
} Worker;

static void *work(void *opaque)
{
    Worker *w = opaque;
    GRand *rand = g_rand_new_with_seed(w->seed);

    for (int i = 0; i < OPERATIONS; i++) {
        uint64_t dpa = g_rand_int_range(rand, 0, LINES) * 4096ull;
        enum cxlf_event event = g_rand_int_range(rand, 0, 3);
        enum cxlf_result result = cxlf_access(&w->f->directory, w->host, 0,
                                              dpa, event);

        w->accesses += result == CXLF_OK;
        w->again += result == CXLF_AGAIN;
        g_assert_true(result == CXLF_OK || result == CXLF_AGAIN);
    }
    g_rand_free(rand);
    return NULL;
}

static void test_threads(void)
{
    Fixture f;
    Worker workers[THREADS];
    GThread *threads[THREADS];
    uint64_t n[CXLF_COUNTERS], accesses = 0;
    struct cxlf_line line;

    fixture_init(&f, fixture_topology(THREADS + 1, 2, 2, 1));
    for (uint64_t i = 0; i < LINES; i++) {
        do_access(&f, THREADS, i * 4096, CXLF_LOAD);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (Worker) {
            .f = &f, .host = i, .seed = g_test_rand_int(),
        };
        threads[i] = g_thread_new("host", work, &workers[i]);
    }
    cxlf_give_up(&f.directory, THREADS, CXLF_DEATH, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
        accesses += workers[i].accesses;
    }
    cxlf_read_counters(&f.directory, -1, -1, -1, n);
    g_assert_cmpuint(n[CXLF_READ_HIT] + n[CXLF_WRITE_HIT] +
                     n[CXLF_READ_MISS] + n[CXLF_WRITE_MISS] +
                     n[CXLF_UPGRADE], ==, accesses + LINES);
    g_assert_cmpuint(n[CXLF_BISNP_SENT], ==, n[CXLF_BISNP_RECEIVED]);
    g_assert_cmpuint(n[CXLF_REFUSAL], ==, 0);
    for (uint64_t i = 0; i < LINES; i++) {
        g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, 0, i * 4096,
                                &line));
        g_assert_false(line.holders & 1ull << THREADS);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        cxlf_give_up(&f.directory, i, CXLF_EVICT, NULL);
    }
    for (uint64_t i = 0; i < LINES; i++) {
        expect_line(&f, i * 4096, CXLF_I, 0);
    }
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/directory/sketches", test_sketches);
    g_test_add_func("/directory/refusals", test_refusals);
    g_test_add_func("/directory/corruption", test_corruption);
    g_test_add_func("/directory/forget", test_forget);
    g_test_add_func("/directory/recovery", test_recovery);
    g_test_add_func("/directory/range", test_range);
    g_test_add_func("/directory/counters", test_counters);
    g_test_add_func("/directory/threads", test_threads);
    return g_test_run();
}
