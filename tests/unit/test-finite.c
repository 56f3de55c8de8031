/*
 * Finite directory: insertion, victims, reuse, coarse grains, many hosts
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fixture.h"
#include "cxlf/leaf.h"

static struct cxlf_topology finite_of(uint32_t hosts, uint32_t entries,
                                   uint32_t ways)
{
    struct cxlf_topology t = fixture_topology(hosts, 1, 1, 1);

    t.line_entries = entries;
    t.ways = ways;
    return t;
}

static uint64_t total(Fixture *f, enum cxlf_counter counter)
{
    uint64_t sum[CXLF_COUNTERS];

    cxlf_read_counters(&f->directory, -1, -1, -1, sum);
    return sum[counter];
}

/* Entries that mean something, and that no two of them have one tag. */
static unsigned used_entries(Fixture *f)
{
    const struct cxlf_entry *e =
        f->directory.leaf[0].table[CXLF_LINE_UNIT].entries;
    uint32_t ways = cxlf_topology_ways(&f->directory.topology);
    unsigned used = 0;

    for (uint64_t i = 0; i < f->directory.entries[CXLF_LINE_UNIT]; i++) {
        uint32_t tag = CXLF_WORD_TAG(e[i].word);

        if (tag == 0 || CXLF_WORD_STATE(e[i].word) >= CXLF_N) {
            g_assert_cmpuint(CXLF_WORD_STATE(e[i].word), !=, CXLF_N);
            continue;
        }
        used++;
        for (uint64_t j = i - i % ways; j < i; j++) {
            g_assert_true(CXLF_WORD_TAG(e[j].word) != tag ||
                          CXLF_WORD_STATE(e[j].word) >= CXLF_N);
        }
    }
    return used;
}

/* Many more lines than entries: whoever holds a line is in an entry. */
static void test_inclusive(void)
{
    enum { LINES = 4096, HOSTS = 3, OPERATIONS = 60000 };
    g_autofree uint8_t *holds = g_malloc0(LINES);
    Fixture f;

    fixture_init(&f, finite_of(HOSTS, 64, 8));
    for (int i = 0; i < OPERATIONS; i++) {
        uint64_t line = g_test_rand_int_range(0, LINES);
        unsigned host = g_test_rand_int_range(0, HOSTS);
        enum cxlf_event event = g_test_rand_int_range(0, CXLF_EVICT + 1);
        struct cxlf_line is;
        struct cxlf_move m;
        enum cxlf_result result;

        do {
            result = cxlf_line_event(&f.directory, host, 0, line * 64, event,
                                     &m);
            if (m.evicted) {
                g_assert_cmphex(m.victim.holders, ==,
                                holds[m.victim_dpa / 64]);
                holds[m.victim_dpa / 64] = 0;
            }
            cxlf_advance(&f.directory, 0);
        } while (result == CXLF_AGAIN);
        g_assert_cmpint(result, ==, CXLF_OK);
        g_assert_cmphex(m.before.holders, ==, holds[line]);
        holds[line] = m.after.holders;
        g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, 0, line * 64,
                                &is));
        g_assert_cmphex(is.holders, ==, holds[line]);
    }
    for (uint64_t line = 0; line < LINES; line++) {
        struct cxlf_line is;

        g_assert_true(cxlf_peek(&f.directory, CXLF_LINE_UNIT, 0, line * 64,
                                &is));
        g_assert_cmphex(is.holders, ==, holds[line]);
    }
    g_assert_cmpuint(used_entries(&f), <=, 64);
    g_assert_cmpuint(total(&f, CXLF_VICTIM), >, OPERATIONS / 4);
    g_assert_cmpuint(total(&f, CXLF_BISNP_SENT), ==,
                     total(&f, CXLF_BISNP_RECEIVED));
    fixture_done(&f);
}

/* An entry is not used for another line while anybody may look at it. */
static void test_reuse_waits(void)
{
    struct cxlf_move m;
    unsigned ticket, again = 0;
    Fixture f;

    fixture_init(&f, finite_of(2, 2, 2));
    ticket = cxlf_enter(&f.directory, 1, 0);
    for (uint64_t line = 0; line < 8; line++) {
        enum cxlf_result result = CXLF_AGAIN;

        for (int i = 0; i < 8 && result == CXLF_AGAIN; i++) {
            result = cxlf_line_event(&f.directory, 0, 0, line * 64,
                                     CXLF_STORE, &m);
            cxlf_advance(&f.directory, 0);
        }
        again += result == CXLF_AGAIN;
    }
    g_assert_cmpuint(again, ==, 6);
    g_assert_cmpuint(cxlf_epoch(&f.directory, 0), ==, 3);
    cxlf_leave(&f.directory, 1, 0, ticket);
    for (uint64_t line = 0; line < 8; line++) {
        g_assert_cmpint(cxlf_access(&f.directory, 0, 0, line * 64,
                                    CXLF_STORE), ==, CXLF_OK);
    }
    fixture_done(&f);
}

/* Who dies inside an access, or while it inserts, holds nobody up. */
static void test_death_inside(void)
{
    struct cxlf_line_access a = { .dpa = 64, .event = CXLF_STORE };
    struct cxlf_move m;
    Fixture f;

    fixture_init(&f, finite_of(3, 4, 4));
    while (a.phase != CXLF_LINE_SETTLE) {
        g_assert_true(cxlf_line_step(&f.directory, 1, &a, &m));
    }
    f.directory.inserting[0] = false;   /* a lock of the dead process */
    g_assert_cmpint(cxlf_access(&f.directory, 0, 0, 64, CXLF_STORE), ==,
                    CXLF_AGAIN);
    cxlf_give_up(&f.directory, 1, CXLF_DEATH, NULL);
    for (uint64_t line = 0; line < 16; line++) {
        g_assert_cmpint(cxlf_access(&f.directory, 0, 0, line * 64,
                                    CXLF_STORE), ==, CXLF_OK);
    }
    /* Its compare-and-swap, had it still been under way, comes too late. */
    g_assert_true(cxlf_line_step(&f.directory, 1, &a, &m));
    g_assert_cmpint(a.result, ==, CXLF_AGAIN);
    fixture_done(&f);
}

/* False sharing in a grain: what the paper says of imprecise filters. */
static void test_grain(void)
{
    struct cxlf_topology t = fixture_topology(3, 1, 1, 1);
    Fixture f;

    t.grain = 1024;
    fixture_init(&f, t);
    g_assert_cmpint(cxlf_access(&f.directory, 0, 0, 0, CXLF_STORE), ==,
                    CXLF_OK);
    g_assert_cmpint(cxlf_access(&f.directory, 1, 0, 64, CXLF_STORE), ==,
                    CXLF_OK);
    g_assert_cmpuint(total(&f, CXLF_BISNP_SENT), ==, 1);
    g_assert_cmpuint(total(&f, CXLF_BISNP_SPURIOUS), ==, 1);
    g_assert_cmpint(cxlf_access(&f.directory, 2, 0, 64, CXLF_STORE), ==,
                    CXLF_OK);
    g_assert_cmpuint(total(&f, CXLF_BISNP_SENT), ==, 2);
    g_assert_cmpuint(total(&f, CXLF_BISNP_SPURIOUS), ==, 1);
    g_assert_cmpint(cxlf_access(&f.directory, 2, 0, 1024, CXLF_STORE), ==,
                    CXLF_OK);
    g_assert_cmpuint(total(&f, CXLF_BISNP_SENT), ==, 2);
    fixture_done(&f);
}

/* More hosts than bits: a store reaches each reader, whatever the form. */
static void test_many_hosts(void)
{
    enum { HOSTS = 4095 };
    Fixture f;

    fixture_init(&f, finite_of(HOSTS, 64, 8));
    for (int i = 0; i < 200; i++) {
        unsigned readers = g_test_rand_int_range(1, 40);
        uint64_t dpa = g_test_rand_int_range(0, 64) * 64ull;
        unsigned writer = g_test_rand_int_range(0, HOSTS);
        GHashTable *seen = g_hash_table_new(NULL, NULL);
        GHashTableIter iter;
        gpointer key;
        struct cxlf_move m;

        g_assert_cmpint(cxlf_access(&f.directory, writer, 0, dpa,
                                    CXLF_RECALL), ==, CXLF_OK);
        for (unsigned r = 0; r < readers; r++) {
            unsigned host = g_test_rand_int_range(0, HOSTS);

            g_assert_cmpint(cxlf_access(&f.directory, host, 0, dpa,
                                        CXLF_LOAD), ==, CXLF_OK);
            g_hash_table_add(seen, GUINT_TO_POINTER(host));
        }
        g_hash_table_remove(seen, GUINT_TO_POINTER(writer));
        g_assert_cmpint(cxlf_line_event(&f.directory, writer, 0, dpa,
                                        CXLF_STORE, &m), ==, CXLF_OK);
        g_hash_table_iter_init(&iter, seen);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
            g_assert_true(cxlf_set_has(m.snooped, GPOINTER_TO_UINT(key),
                                       HOSTS));
        }
        if (readers <= CXLF_SET_POINTERS) {
            g_assert_cmpuint(cxlf_set_count(m.snooped, HOSTS), ==,
                             g_hash_table_size(seen));
        }
        g_assert_cmphex(m.after.holders, ==, cxlf_set_of(writer, HOSTS));
        g_hash_table_destroy(seen);
    }
    g_assert_cmpuint(total(&f, CXLF_BISNP_SENT), ==,
                     total(&f, CXLF_BISNP_RECEIVED));
    fixture_done(&f);
}

/* Threads that insert, evict and reuse in a few sets. */
enum { THREADS = 3, OPERATIONS = 40000 };

typedef struct Worker {
    Fixture *f;
    unsigned host;
    uint32_t seed;
    uint64_t granted;
} Worker;

static void *work(void *opaque)
{
    Worker *w = opaque;
    GRand *rand = g_rand_new_with_seed(w->seed);

    for (int i = 0; i < OPERATIONS; i++) {
        uint64_t dpa = g_rand_int_range(rand, 0, 48) * 64ull;
        enum cxlf_event event = g_rand_int_range(rand, 0, CXLF_RECALL + 1);
        enum cxlf_result result;

        /* A thread that sleeps inside keeps ways from being used again. */
        while ((result = cxlf_access(&w->f->directory, w->host, 0, dpa,
                                     event)) == CXLF_AGAIN) {
            g_thread_yield();
        }
        g_assert_cmpint(result, ==, CXLF_OK);
        w->granted += event <= CXLF_STORE;
    }
    g_rand_free(rand);
    return NULL;
}

static void test_threads(void)
{
    Fixture f;
    Worker workers[THREADS];
    GThread *threads[THREADS];
    uint64_t granted = 0;

    fixture_init(&f, finite_of(THREADS, 16, 4));
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (Worker) {
            .f = &f, .host = i, .seed = g_test_rand_int(),
        };
        threads[i] = g_thread_new("host", work, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
        granted += workers[i].granted;
    }
    g_assert_cmpuint(total(&f, CXLF_READ_HIT) + total(&f, CXLF_WRITE_HIT) +
                     total(&f, CXLF_READ_MISS) + total(&f, CXLF_WRITE_MISS) +
                     total(&f, CXLF_UPGRADE), ==, granted);
    g_assert_cmpuint(total(&f, CXLF_BISNP_SENT), ==,
                     total(&f, CXLF_BISNP_RECEIVED));
    g_assert_cmpuint(total(&f, CXLF_REFUSAL), ==, 0);
    g_assert_cmpuint(used_entries(&f), <=, 16);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/finite/inclusive", test_inclusive);
    g_test_add_func("/finite/reuse-waits", test_reuse_waits);
    g_test_add_func("/finite/death-inside", test_death_inside);
    g_test_add_func("/finite/grain", test_grain);
    g_test_add_func("/finite/many-hosts", test_many_hosts);
    g_test_add_func("/finite/threads", test_threads);
    return g_test_run();
}
