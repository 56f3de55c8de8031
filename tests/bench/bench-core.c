/*
 * Transitions per second of the directory, uncontended and contended
 *
 * Prints a line of JSON for each case: threads, shards, operations and
 * nanoseconds.  Threads are hosts; each case's threads start together and
 * run the same number of operations.  For instruction counts run one case
 * under valgrind --tool=callgrind.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <time.h>
#include "../unit/fixture.h"

#define PAGES 64

typedef struct Case {
    const char *name;
    unsigned threads;
    unsigned shards;
    bool apart;             /* threads on different shards */
    enum cxlf_event even, odd;  /* events of even and odd operations */
} Case;

typedef struct Worker {
    Fixture *f;
    const Case *c;
    unsigned host;
    uint64_t operations;
    GThread *thread;
} Worker;

static const Case cases[] = {
    { "read-hit", 1, 1, false, CXLF_LOAD, CXLF_LOAD },
    { "write-hit", 1, 1, false, CXLF_STORE, CXLF_STORE },
    { "miss-evict", 1, 1, false, CXLF_STORE, CXLF_EVICT },
    { "read-hit", 2, 1, false, CXLF_LOAD, CXLF_LOAD },
    { "read-hit", 2, 8, true, CXLF_LOAD, CXLF_LOAD },
    { "miss-evict", 2, 8, true, CXLF_STORE, CXLF_EVICT },
    { "contended-store", 2, 1, false, CXLF_STORE, CXLF_STORE },
    { "contended-upgrade", 2, 1, false, CXLF_LOAD, CXLF_STORE },
};

static gint waiting;

static void *work(void *opaque)
{
    Worker *w = opaque;
    struct cxlf_directory *d = &w->f->directory;
    /* A page in each of this thread's shards, or the one page of all */
    uint64_t page = w->c->apart ? w->host : 0;

    g_atomic_int_dec_and_test(&waiting);
    while (g_atomic_int_get(&waiting) > 0) {
    }
    for (uint64_t i = 0; i < w->operations; i++) {
        uint64_t line = w->c->name[0] == 'c' ? 0 : i / 2 % PAGES;

        cxlf_access(d, w->host, 0, page * CXLF_PAGE + line * CXLF_LINE,
                    i & 1 ? w->c->odd : w->c->even);
    }
    return NULL;
}

static void run_case(const Case *c, uint64_t operations)
{
    Worker workers[8];
    struct timespec start, end;
    double ns;
    Fixture f;

    fixture_init(&f, fixture_topology(8, 1, c->shards, 1));
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
