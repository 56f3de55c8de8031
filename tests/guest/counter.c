/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All threads of all hosts increment one counter with a locked instruction
 * of the chosen width.  The total must be exact, and so must the bytes
 * around the counter.  A narrow counter wraps; each thread counts the wraps
 * that its own increments caused, so its total is exact as well.
 */

#include "common.h"

#define CANARY 0xa5

typedef struct Worker {
    uint64_t wraps;
} Worker;

static uint64_t width = 8, count = 10000, threads = 1;
static uint8_t *line;

#define XADD(type)                                                       \
    static void xadd_##type(Worker *worker)                              \
    {                                                                    \
        volatile type *at = (volatile type *)(line + LINE);              \
        uint64_t i;                                                      \
                                                                         \
        for (i = 0; i < count; i++) {                                    \
            type old = 1;                                                \
                                                                         \
            __asm__ volatile("lock xadd %0, %1"                          \
                             : "+q"(old), "+m"(*at) : : "memory", "cc"); \
            worker->wraps += old == (type)~(type)0;                      \
        }                                                                \
    }

XADD(uint8_t)
XADD(uint16_t)
XADD(uint32_t)
XADD(uint64_t)

/* The pair (n, 3n): a torn or lost half breaks the relation or the sum. */
static void pairs(void)
{
    volatile unsigned __int128 *at = (void *)(line + LINE);
    uint64_t i;

    for (i = 0; i < count; i++) {
        uint64_t low = 0, high = 0;
        bool done = false;

        while (!done) {
            __asm__ volatile("lock cmpxchg16b %1"
                             : "=@ccz"(done), "+m"(*at), "+a"(low), "+d"(high)
                             : "b"(low + 1), "c"(high + 3) : "memory");
        }
    }
}

static void *work(void *opaque)
{
    Worker *worker = opaque;

    switch (width) {
    case 1:
        xadd_uint8_t(worker);
        break;
    case 2:
        xadd_uint16_t(worker);
        break;
    case 4:
        xadd_uint32_t(worker);
        break;
    case 8:
        xadd_uint64_t(worker);
        break;
    default:
        pairs();
        break;
    }
    return NULL;
}

/* Bytes around the counter that are not as they were. */
static uint64_t spoilt(void)
{
    uint64_t i, wrong = 0;

    for (i = 0; i < 3 * LINE; i++) {
        if (i < LINE || i >= LINE + width) {
            wrong += ((volatile uint8_t *)line)[i] != CANARY;
        }
    }
    return wrong;
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "width", .number = &width, .help = "bytes: 1, 2, 4, 8 or 16" },
        { "count", .number = &count, .help = "increments of each thread" },
        { "threads", .number = &threads, .help = "threads of each host" },
        { NULL },
    };
    Worker workers[MAX_THREADS] = { { 0 } };
    uint64_t expected, found = 0, wraps = 0, bad, start, took, i;
    uint64_t second = 0;

    parse(argc, argv, "Counts with locked instructions from all hosts; the "
          "total must be exact.", options);
    check_threads(threads);
    if (width > 16 || !width || (width & (width - 1))) {
        die(EXIT_USAGE, "--width accepts 1, 2, 4, 8 or 16");
    }
    line = map_area(3 * LINE);
    rendezvous("mapped");
    if (common.host == 0) {
        memset(line, CANARY, 3 * LINE);
        memset(line + LINE, 0, width);
    }
    rendezvous("cleared");
    start = now_ns();
    run_threads(threads, work, workers, sizeof(workers[0]));
    took = now_ns() - start;
    for (i = 0; i < threads; i++) {
        wraps += workers[i].wraps;
    }
    tell(0, wraps);
    tell(1, threads * count);
    rendezvous("counted");
    expected = told_sum(1);
    memcpy(&found, line + LINE, width < 8 ? width : 8);
    if (width < 8) {
        found += told_sum(0) << (8 * width);
    } else if (width == 16) {
        memcpy(&second, line + LINE + 8, 8);
    }
    bad = spoilt();
    rendezvous("checked");

    json_begin();
    json_number("width", width);
    json_number("threads", threads);
    json_number("count", count);
    json_number("expected", expected);
    json_number("found", found);
    json_number("spoilt-bytes", bad);
    json_number("ns", took);
    return json_end(found == expected && !bad &&
                    (width < 16 || second == 3 * expected));
}
