/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A test-and-set lock that all threads of all hosts contend for, around a
 * record of plain words.  Inside the lock word i is always word 0 plus i;
 * at the end every word has counted every entry.
 */

#include "common.h"

#define WORDS 24

typedef struct Shared {
    volatile uint32_t lock __attribute__((aligned(LINE)));
    volatile uint64_t record[WORDS] __attribute__((aligned(LINE)));
} Shared;

typedef struct Worker {
    uint64_t broken, spins;
} Worker;

static uint64_t count = 2000, threads = 1;
static Shared *shared;

static uint32_t exchange(volatile uint32_t *at, uint32_t value)
{
    __asm__ volatile("xchg %0, %1" : "+r"(value), "+m"(*at) : : "memory");
    return value;
}

static void *work(void *opaque)
{
    Worker *worker = opaque;
    uint64_t i, n;

    for (n = 0; n < count; n++) {
        Wait wait = { 0 };

        while (exchange(&shared->lock, 1)) {
            do {
                worker->spins++;
                wait_more(&wait, "the lock, entry", n);
            } while (shared->lock);
        }
        for (i = 0; i < WORDS; i++) {
            worker->broken += shared->record[i] != shared->record[0] + i;
        }
        for (i = WORDS; i-- > 0;) {
            shared->record[i] = shared->record[i] + 1;
        }
        __asm__ volatile("" : : : "memory");
        shared->lock = 0;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "count", .number = &count, .help = "entries of each thread" },
        { "threads", .number = &threads, .help = "threads of each host" },
        { NULL },
    };
    Worker workers[MAX_THREADS] = { { 0 } };
    uint64_t expected, broken = 0, spins = 0, wrong = 0, start, took, i;

    parse(argc, argv, "Contends for a test-and-set lock around a record of "
          "plain words.", options);
    check_threads(threads);
    shared = (Shared *)map_area(sizeof(Shared));
    rendezvous("mapped");
    if (common.host == 0) {
        shared->lock = 0;
        for (i = 0; i < WORDS; i++) {
            shared->record[i] = i;
        }
    }
    rendezvous("cleared");
    start = now_ns();
    run_threads(threads, work, workers, sizeof(workers[0]));
    took = now_ns() - start;
    for (i = 0; i < threads; i++) {
        broken += workers[i].broken;
        spins += workers[i].spins;
    }
    tell(0, broken);
    tell(1, threads * count);
    rendezvous("counted");
    broken = told_sum(0);
    expected = told_sum(1);
    for (i = 0; i < WORDS; i++) {
        wrong += shared->record[i] != expected + i;
    }
    json_begin();
    json_number("threads", threads);
    json_number("expected", expected);
    json_number("found", shared->record[0]);
    json_number("wrong-words", wrong);
    json_number("broken-entries", broken);
    json_number("spins", spins);
    json_number("ns", took);
    rendezvous("checked");
    return json_end(!wrong && !broken);
}
