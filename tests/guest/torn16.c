/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Host 0 replaces a 16-byte pair (x, ~x) by cmpxchg16b; the other hosts
 * load it whole and never see half of a replacement.  On a CPU with AVX a
 * 16-byte aligned load is promised to be whole, and that load is used;
 * without AVX nothing is promised for loads, and a cmpxchg16b reads it.
 * The cluster's guests must not have AVX, and this test says so.
 */

#include <stddef.h>
#include "common.h"

static uint64_t count = 5000;
static bool allow_avx;

/* The flag as the kernel lists it, and not avx512f or avx_vnni. */
static bool has_avx(void)
{
    FILE *info = fopen("/proc/cpuinfo", "r");
    char text[4096];
    bool found = false;

    while (info && !found && fgets(text, sizeof(text), info)) {
        char *word = strncmp(text, "flags", 5) ? NULL : strtok(text, " \t\n");

        for (; word; word = strtok(NULL, " \t\n")) {
            found |= !strcmp(word, "avx");
        }
    }
    if (info) {
        fclose(info);
    }
    return found;
}

static bool compare_exchange(volatile unsigned __int128 *at, uint64_t *low,
                             uint64_t *high, uint64_t new_low,
                             uint64_t new_high)
{
    bool done;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*at), "+a"(*low), "+d"(*high)
                     : "b"(new_low), "c"(new_high) : "memory");
    return done;
}

static void load_whole(volatile unsigned __int128 *at, bool avx,
                       uint64_t *low, uint64_t *high)
{
    if (avx) {
        __asm__ volatile("movdqa %2, %%xmm0\n\t"
                         "movq %%xmm0, %0\n\t"
                         "psrldq $8, %%xmm0\n\t"
                         "movq %%xmm0, %1"
                         : "=r"(*low), "=r"(*high) : "m"(*at) : "xmm0");
    } else {
        /* The pair is never (0, 0), so this replaces nothing. */
        *low = *high = 0;
        compare_exchange(at, low, high, 0, 0);
    }
}

static void replace(volatile unsigned __int128 *at)
{
    uint64_t low = 1, high = ~1ull, state = 7, i;

    for (i = 0; i < count; i++) {
        uint64_t x = next_random(&state);

        while (!compare_exchange(at, &low, &high, x, ~x)) {
            continue;
        }
        low = x;
        high = ~x;
    }
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "count", .number = &count, .help = "replacements" },
        { "allow-avx", .flag = &allow_avx, .help = "do not fail because the "
          "CPU has AVX" },
        { NULL },
    };
    volatile unsigned __int128 *pair;
    volatile uint64_t *done;
    uint64_t low = 0, high = 0, last = 0, loads = 0, changes = 0, torn = 0;
    bool avx;

    parse(argc, argv, "Loads 16 bytes whole while another host replaces "
          "them.", options);
    avx = has_avx();
    pair = (void *)map_area(2 * LINE);
    done = (volatile uint64_t *)((uint8_t *)pair + LINE);
    rendezvous("mapped");
    if (common.host == 0) {
        ((volatile uint64_t *)pair)[0] = 1;
        ((volatile uint64_t *)pair)[1] = ~1ull;
        *done = 0;
    }
    rendezvous("cleared");
    if (common.host == 0) {
        replace(pair);
        *done = 1;
    } else {
        do {
            load_whole(pair, avx, &low, &high);
            loads++;
            torn += high != ~low;
            changes += low != last;
            last = low;
        } while (!*done);
    }
    tell(0, torn);
    rendezvous("done");
    torn = told_sum(0);
    json_begin();
    json_text("avx", avx ? "yes" : "no");
    json_text("load", avx ? "movdqa" : "cmpxchg16b");
    json_number("count", count);
    json_number("loads", loads);
    json_number("changes", changes);
    json_number("torn", torn);
    rendezvous("checked");
    return json_end(!torn && (allow_avx || !avx));
}
