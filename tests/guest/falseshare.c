/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each host writes a line of its own, and all lines are in one page, or in
 * each of some: no host needs what another has, but a page has one owner.
 * Tells how often each could write in each tenth of the time, and how often a
 * write took long.
 */

#include "common.h"

#define PAGE 4096
#define SLICES 10
#define STALL_NS 100000

static uint64_t seconds = 5, pages = 1, pause_us;

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "seconds", .number = &seconds, .help = "how long it writes" },
        { "pages", .number = &pages, .help = "how many, one after the "
          "other" },
        { "pause", .number = &pause_us, .help = "microseconds between "
          "writes" },
        { NULL },
    };
    uint64_t writes[SLICES] = { 0 }, stalls[SLICES] = { 0 };
    uint64_t start, length, last, slice, total = 0, wrong = 0, i;
    volatile uint64_t *mine;

    parse(argc, argv, "Hosts write different lines of one page.", options);
    if (!seconds || !pages || common.hosts > PAGE / LINE) {
        die(EXIT_USAGE, "--seconds and --pages accept 1 and more, --hosts at "
            "most %d", PAGE / LINE);
    }
    /* Behind the control page: an aligned one if --offset is. */
    mine = (volatile uint64_t *)(map_area(pages * PAGE) +
                                 common.host * LINE);
    rendezvous("mapped");
    for (i = 0; i < pages; i++) {
        mine[i * (PAGE / 8)] = 0;
    }
    rendezvous("cleared");
    length = seconds * 1000000000ull / SLICES;
    start = last = now_ns();
    while ((slice = (last - start) / length) < SLICES) {
        uint64_t now;

        mine[total % pages * (PAGE / 8)] += 1;
        total++;
        now = now_ns();
        writes[slice]++;
        stalls[slice] += now - last > STALL_NS;
        last = now;
        if (pause_us) {
            struct timespec nap = { .tv_nsec = pause_us * 1000 };

            nanosleep(&nap, NULL);
            last = now_ns();
        }
    }
    rendezvous("written");
    for (i = 0; i < pages; i++) {
        wrong += mine[i * (PAGE / 8)] != (total + pages - 1 - i) / pages;
    }
    json_begin();
    json_number("writes", total);
    json_number("wrong", wrong);
    for (slice = 0; slice < SLICES; slice++) {
        printf("%s%" PRIu64, slice ? "," : ",\"slices\":[", writes[slice]);
    }
    for (slice = 0; slice < SLICES; slice++) {
        printf("%s%" PRIu64, slice ? "," : "],\"stalls\":[", stalls[slice]);
    }
    printf("]");
    return json_end(!wrong);
}
