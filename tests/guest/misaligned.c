/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locked increments of a word that crosses a line, from all hosts.  What
 * comes out is not promised between hosts; the agents must notice each and
 * count it, so the caller looks at the counters.  The bytes around the word
 * must be as they were.
 */

#include "common.h"

#define CANARY 0xa5

static uint64_t count = 100;

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "count", .number = &count, .help = "increments" },
        { NULL },
    };
    uint8_t *line;
    uint64_t found, bad = 0, i;

    parse(argc, argv, "Increments a word that crosses a line by locked "
          "instructions.", options);
    line = map_area(2 * LINE);
    rendezvous("mapped");
    if (common.host == 0) {
        memset(line, CANARY, 2 * LINE);
        memset(line + LINE - 4, 0, 8);
    }
    rendezvous("cleared");
    for (i = 0; i < count; i++) {
        uint64_t one = 1;

        __asm__ volatile("lock xaddq %0, %1"
                         : "+r"(one), "+m"(*(volatile uint64_t *)
                                           (line + LINE - 4))
                         : : "memory", "cc");
    }
    rendezvous("counted");
    memcpy(&found, line + LINE - 4, 8);
    for (i = 0; i < 2 * LINE; i++) {
        if (i < LINE - 4 || i >= LINE + 4) {
            bad += ((volatile uint8_t *)line)[i] != CANARY;
        }
    }
    rendezvous("checked");
    json_begin();
    json_number("count", count);
    json_number("found", found);
    json_number("spoilt-bytes", bad);
    return json_end(!bad);
}
