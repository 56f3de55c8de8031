/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A mixed load for tests that kill hosts in the middle: each thread counts
 * in words of its own (alone in a line, and in a line that all hosts write),
 * adds to a counter of all, and fills and checks a page of its own.  It
 * takes no lock and waits for nobody, so nothing that a dead host held or
 * owed can stop it; what it verifies is only its own.
 */

#include <signal.h>
#include "common.h"

#define PAGE 4096
#define AREA (MAX_THREADS * (PAGE + LINE) + MAX_THREADS * LINE + PAGE)

typedef struct Worker {
    unsigned index;
    uint64_t rounds, errors;
} Worker;

static uint64_t seconds = 10, threads = 1, meet;
static uint8_t *area;
static uint64_t deadline;
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static volatile uint64_t *word_at(uint64_t offset)
{
    return (volatile uint64_t *)(area + offset);
}

/* Fill the page with a pattern of this round, and read it back. */
static uint64_t check_page(volatile uint64_t *page, uint64_t round)
{
    uint64_t i, wrong = 0;

    for (i = 0; i < PAGE / 8; i += 8) {
        page[i] = round * 0x9e3779b97f4a7c15ull + i;
    }
    for (i = 0; i < PAGE / 8; i += 8) {
        wrong += page[i] != round * 0x9e3779b97f4a7c15ull + i;
    }
    return wrong;
}

static void *work(void *opaque)
{
    Worker *worker = opaque;
    uint64_t who = common.host * threads + worker->index;
    uint64_t base = PAGE + who * (PAGE + LINE);
    volatile uint64_t *page = word_at(base);
    volatile uint64_t *alone = word_at(base + PAGE);
    /* Eight writers in each of the first lines. */
    volatile uint64_t *crowded = word_at(LINE + who * 8);
    volatile uint64_t *total = word_at(0);
    uint64_t n, i;

    *alone = *crowded = 0;
    for (n = 1; !stop && (!seconds || now_ns() < deadline); n++) {
        for (i = 0; i < 16; i++) {
            uint64_t value = (n - 1) * 16 + i;

            worker->errors += *alone != value;
            *alone = value + 1;
            worker->errors += *crowded != value;
            *crowded = value + 1;
            __atomic_fetch_add(total, 1, __ATOMIC_SEQ_CST);
        }
        worker->errors += check_page(page, n);
        worker->rounds = n;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "seconds", .number = &seconds, .help = "how long; 0: until a "
          "signal ends it" },
        { "threads", .number = &threads, .help = "threads of each host" },
        { "meet", .number = &meet, .help = "1: begin together" },
        { NULL },
    };
    Worker workers[MAX_THREADS] = { { 0 } };
    uint64_t rounds = 0, errors = 0, i;

    parse(argc, argv, "A mixed load without end, for tests that kill hosts.",
          options);
    check_threads(threads);
    if (common.hosts * threads > MAX_THREADS) {
        die(EXIT_USAGE, "--hosts times --threads may be %d at most",
            MAX_THREADS);
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    area = map_area(AREA);
    if (meet) {
        rendezvous("mapped");
    }
    deadline = now_ns() + seconds * 1000000000ull;
    for (i = 0; i < threads; i++) {
        workers[i].index = i;
    }
    run_threads(threads, work, workers, sizeof(workers[0]));
    for (i = 0; i < threads; i++) {
        rounds += workers[i].rounds;
        errors += workers[i].errors;
    }
    json_begin();
    json_number("threads", threads);
    json_number("rounds", rounds);
    json_number("errors", errors);
    return json_end(!errors && rounds);
}
