/*
 * Transitions per second of the directory, uncontended and contended
 *
 * Prints a line of JSON for each case: threads, shards, operations and
 * nanoseconds.  Threads are hosts; each case's threads start together and
 * run the same number of operations.  scripts/bench --core repeats the
 * cases, and counts their instructions with valgrind --tool=callgrind.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <time.h>
#include "../unit/fixture.h"

typedef struct Case {
    const char *name;
    unsigned threads;
    unsigned shards;
    bool apart;             /* threads on different shards */
    uint32_t line_entries;  /* of a finite directory, or 0 */
    uint32_t lines;         /* that each thread goes round */
    enum cxlf_event events[3];  /* done to a line, one after the other */
    unsigned count;             /* of events */
    uint32_t log;           /* instead: pages of a block to a log, and out */
} Case;

typedef struct Worker {
    Fixture *f;
    const Case *c;
    unsigned host;
    uint64_t operations;
    GThread *thread;
} Worker;

#define LOADS   { CXLF_LOAD }, 1
#define STORES  { CXLF_STORE }, 1
#define MISSES  { CXLF_STORE, CXLF_EVICT }, 2
#define UPGRADES { CXLF_LOAD, CXLF_STORE, CXLF_EVICT }, 3
#define SHARES  { CXLF_LOAD, CXLF_STORE }, 2

static const Case cases[] = {
    { "read-hit", 1, 1, false, 0, 64, LOADS },
    { "write-hit", 1, 1, false, 0, 64, STORES },
    { "miss-evict", 1, 1, false, 0, 64, MISSES },
    { "miss-upgrade-evict", 1, 1, false, 0, 64, UPGRADES },
    { "write-hit", 1, 8, true, 0, 64, STORES },
    { "write-hit", 2, 1, false, 0, 64, STORES },
    { "write-hit", 2, 8, true, 0, 64, STORES },
    { "miss-evict", 1, 8, true, 0, 64, MISSES },
    { "miss-evict", 2, 8, true, 0, 64, MISSES },
    { "contended-store", 2, 1, false, 0, 1, STORES },
    { "contended-upgrade", 2, 1, false, 0, 1, SHARES },
    { "finite-hit", 1, 1, false, 1024, 512, LOADS },
    { "finite-hit", 2, 8, true, 1024, 512, LOADS },
    { "finite-victim", 1, 1, false, 1024, 4096, STORES },
    { "finite-victim", 2, 8, true, 1024, 4096, STORES },
    { .name = "log-page", .threads = 1, .shards = 1, .log = 1 },
    { .name = "log-block", .threads = 1, .shards = 1, .log = 512 },
};

static gint waiting;

/* An operation enters a page or takes it out; blocks go round a device. */
static void work_log(const Worker *w)
{
    enum { PAGES = 131072 };
    uint64_t slots = cxlf_log_slots(PAGES), size = cxlf_log_size(slots);
    g_autofree void *memory = g_malloc0(size);
    const char *why = NULL;
    struct cxlf_log log;
    uint64_t first = 0;

    cxlf_log_format(memory, slots, w->host, fixture_uuid);
    g_assert_true(cxlf_log_attach(&log, memory, size, w->host, fixture_uuid,
                                  &why));
    for (uint64_t i = 0; i < w->operations; i += 2 * w->c->log) {
        for (uint64_t n = first; n < first + w->c->log; n++) {
            cxlf_log_hold(&log, 0, n * CXLF_PAGE, CXLF_HELD_OWNED);
        }
        for (uint64_t n = first; n < first + w->c->log; n++) {
            cxlf_log_drop(&log, 0, n * CXLF_PAGE);
        }
        first = (first + 512) % PAGES;
    }
}

static void *work(void *opaque)
{
    Worker *w = opaque;
    struct cxlf_directory *d = &w->f->directory;
    const Case *c = w->c;
    uint64_t stride = c->apart ? c->shards * CXLF_PAGE : CXLF_PAGE;
    uint64_t first = c->apart ? w->host * CXLF_PAGE : 0;
    uint64_t line = 0;
    unsigned event = 0;

    g_atomic_int_dec_and_test(&waiting);
    while (g_atomic_int_get(&waiting) > 0) {
        continue;
    }
    if (c->log) {
        work_log(w);
        return NULL;
    }
    for (uint64_t i = 0; i < w->operations; i++) {
        uint64_t dpa = first +
            line / CXLF_LINES_PER_PAGE * stride +
            line % CXLF_LINES_PER_PAGE * CXLF_LINE;

        cxlf_access(d, w->host, 0, dpa, c->events[event]);
        if (++event == c->count) {
            event = 0;
            line = line + 1 == c->lines ? 0 : line + 1;
        }
    }
    return NULL;
}

static void run_case(const Case *c, uint64_t operations)
{
    struct cxlf_topology t = fixture_topology(8, 1, c->shards, 1);
    Worker workers[8];
    struct timespec start, end;
    double ns;
    Fixture f;

    t.line_entries = c->line_entries;
    fixture_init(&f, t);
    g_atomic_int_set(&waiting, c->threads);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < c->threads; i++) {
        workers[i] = (Worker) {
            .f = &f, .c = c, .host = i, .operations = operations,
        };
        workers[i].thread = g_thread_new("host", work, &workers[i]);
    }
    for (unsigned i = 0; i < c->threads; i++) {
        g_thread_join(workers[i].thread);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    ns = (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec);
    printf("{\"case\":\"%s\",\"threads\":%u,\"shards\":%u,"
           "\"operations\":%llu,\"ns\":%.0f,\"million-per-second\":%.1f}\n",
           c->name, c->threads, c->shards,
           (unsigned long long)(operations * c->threads), ns,
           operations * c->threads / ns * 1e3);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : 5000000;
    int only = argc > 2 ? atoi(argv[2]) : -1;

    if (operations == 0 || argc > 3 || only >= (int)G_N_ELEMENTS(cases)) {
        fprintf(stderr, "usage: %s [OPERATIONS [CASE]]\n"
                "OPERATIONS of each thread (default 5000000); CASE 0 to %zu "
                "(default: all)\n", argv[0], G_N_ELEMENTS(cases) - 1);
        return 2;
    }
    for (int i = 0; i < (int)G_N_ELEMENTS(cases); i++) {
        if (only < 0 || i == only) {
            run_case(&cases[i], operations);
        }
    }
    return 0;
}
