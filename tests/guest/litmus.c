/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Litmus tests between hosts 0 and 1 (further hosts only keep company, but
 * for false sharing).  Each test's invariant is exact:
 *
 *   sb         store buffering: both loads old is allowed, and counted
 *   sb-fence   the same with mfence between: both old never happens
 *   mp         message passing: a seen flag implies seen data
 *   rmw-store  host 1 stores k << 32 to a word that host 0 increments by
 *              lock xadd: a store is never lost inside an increment, so
 *              host 1 always reads its own k back, and host 0 finds either
 *              its last value plus one or a newer k that it has not touched
 *   false-sharing  all hosts count in words of their own in one line by
 *              plain instructions, and each count is exact
 */

#include <stddef.h>
#include "common.h"

/* Lines of the data. */
typedef struct Shared {
    volatile uint64_t x __attribute__((aligned(LINE)));
    volatile uint64_t y __attribute__((aligned(LINE)));
    volatile uint64_t turn[2][LINE / 8] __attribute__((aligned(LINE)));
    volatile uint64_t word __attribute__((aligned(LINE)));
    volatile uint64_t done __attribute__((aligned(LINE)));
    volatile uint64_t crowd[MAX_HOSTS + 2] __attribute__((aligned(LINE)));
    uint8_t seen[2][1 << 20] __attribute__((aligned(4096)));
} Shared;

typedef struct Result {
    uint64_t wrong, relaxed, checks;
} Result;

static uint64_t count = 5000, width = 8;
static const char *test = "sb-fence";
static Shared *shared;

/* Host 0 and 1 begin iteration i together. */
static void pair_up(uint64_t i)
{
    Wait wait = { 0 };

    shared->turn[common.host][0] = i;
    while (shared->turn[!common.host][0] < i) {
        wait_more(&wait, "the other host at iteration", i);
    }
}

static void store_buffering(bool fence, Result *result)
{
    volatile uint64_t *mine = common.host ? &shared->y : &shared->x;
    volatile uint64_t *other = common.host ? &shared->x : &shared->y;
    uint64_t state = common.host + 1, i, n, read;

    for (i = 1; i <= count; i++) {
        pair_up(i);
        for (n = next_random(&state) % 64; n > 0; n--) {
            __builtin_ia32_pause();
        }
        *mine = i;
        if (fence) {
            __asm__ volatile("mfence" : : : "memory");
        }
        read = *other;
        /* A newer value than i cannot be: the other waits for this host. */
        shared->seen[common.host][i - 1] = read >= i;
        result->wrong += read > i || read + 1 < i;
    }
    pair_up(count + 1);
    for (i = 0; i < count; i++) {
        result->relaxed += !shared->seen[0][i] && !shared->seen[1][i];
    }
    result->checks = count;
    if (fence) {
        result->wrong += result->relaxed;
    }
}

static void message_passing(Result *result)
{
    uint64_t flag = 0, data, i;

    pair_up(1);
    if (common.host == 0) {
        for (i = 1; i <= count; i++) {
            shared->x = i;
            shared->y = i;
        }
        return;
    }
    while (flag < count) {
        uint64_t last = flag;

        flag = shared->y;
        data = shared->x;
        result->checks++;
        result->wrong += data < flag || flag < last;
        if (flag == last) {
            sched_yield();
        }
    }
}

/* Host 0's side: increments until host 1 has stored all it wants. */
static void increments(Result *result)
{
    uint64_t last = shared->word, old;

    while (!shared->done) {
        old = 1;
        __asm__ volatile("lock xadd %0, %1"
                         : "+r"(old), "+m"(shared->word) : : "memory", "cc");
        result->checks++;
        result->wrong += old != last &&
            !(old >> 32 > last >> 32 && (uint32_t)old == 0);
        last = old + 1;
    }
}

static void stores(Result *result)
{
    uint64_t k, n, state = 1;

    for (k = 1; k <= count; k++) {
        shared->word = k << 32;
        for (n = next_random(&state) % 8; n > 0; n--) {
            result->checks++;
            result->wrong += shared->word >> 32 != k;
        }
    }
    shared->done = 1;
}

/* Plain increments of a word that nobody else writes, in a shared line. */
#define COUNT_IN(type)                                                   \
    do {                                                                 \
        volatile type *own = (volatile type *)shared->crowd + common.host; \
        type last = 0;                                                   \
        uint64_t i;                                                      \
                                                                         \
        for (i = 0; i < count; i++) {                                    \
            result->wrong += *own != last;                               \
            *own = ++last;                                               \
        }                                                                \
        result->wrong += *own != (type)count;                            \
        result->checks = count;                                          \
    } while (0)

static void false_sharing(Result *result)
{
    if (width == 1) {
        COUNT_IN(uint8_t);
    } else if (width == 2) {
        COUNT_IN(uint16_t);
    } else if (width == 4) {
        COUNT_IN(uint32_t);
    } else {
        COUNT_IN(uint64_t);
    }
}

static void run_test(Result *result)
{
    if (!strcmp(test, "false-sharing")) {
        false_sharing(result);
    } else if (common.host > 1) {
        return;
    } else if (!strcmp(test, "sb")) {
        store_buffering(false, result);
    } else if (!strcmp(test, "sb-fence")) {
        store_buffering(true, result);
    } else if (!strcmp(test, "mp")) {
        message_passing(result);
    } else if (!strcmp(test, "rmw-store")) {
        pair_up(1);
        if (common.host == 0) {
            increments(result);
        } else {
            stores(result);
        }
    } else {
        die(EXIT_USAGE, "--test %s: accepts sb, sb-fence, mp, rmw-store or "
            "false-sharing", test);
    }
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "test", .text = &test, .help = "sb, sb-fence, mp, rmw-store or "
          "false-sharing" },
        { "count", .number = &count, .help = "iterations" },
        { "width", .number = &width, .help = "of a false-sharing word: 1, 2,"
          " 4 or 8" },
        { NULL },
    };
    Result result = { 0 };
    uint64_t start, took, wrong;

    parse(argc, argv, "Litmus tests of the memory model between two hosts.",
          options);
    if (!count || count >> 31 || (test[0] == 's' && count > 1 << 20)) {
        die(EXIT_USAGE, "--count accepts 1 to 2^20 for sb, to 2^31 - 1 for "
            "others");
    }
    if (width != 1 && width != 2 && width != 4 && width != 8) {
        die(EXIT_USAGE, "--width accepts 1, 2, 4 or 8");
    }
    if (common.hosts < 2) {
        die(EXIT_USAGE, "--hosts must be at least 2");
    }
    shared = (Shared *)map_area(sizeof(Shared));
    rendezvous("mapped");
    if (common.host == 0) {
        memset(shared, 0, offsetof(Shared, seen));
    }
    rendezvous("cleared");
    start = now_ns();
    run_test(&result);
    took = now_ns() - start;
    tell(0, result.wrong);
    rendezvous("done");
    wrong = told_sum(0);
    json_begin();
    json_text("test", test);
    json_number("count", count);
    json_number("checks", result.checks);
    json_number("relaxed", result.relaxed);
    json_number("wrong", wrong);
    json_number("ns", took);
    rendezvous("checked");
    return json_end(!wrong);
}
