/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes words that a seed gives, or checks that they, or zeros, are there:
 * for tests of what outlives a region, a host or a run.  It meets nobody.
 */

#include "common.h"

static uint64_t seed = 1, bytes = 65536;
static bool writes, zeros;

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "write", .flag = &writes, .help = "write; without it, check" },
        { "zeros", .flag = &zeros, .help = "check that all is zeros" },
        { "seed", .number = &seed, .help = "of the words" },
        { "bytes", .number = &bytes, .help = "how many" },
        { NULL },
    };
    volatile uint64_t *words;
    uint64_t state, wrong = 0, i;

    parse(argc, argv, "Writes or checks the words that a seed gives.",
          options);
    if (!bytes || bytes % 8) {
        die(EXIT_USAGE, "--bytes accepts multiples of 8, from 8");
    }
    if (writes && zeros) {
        die(EXIT_USAGE, "--write and --zeros exclude each other");
    }
    words = (volatile uint64_t *)map_area(bytes);
    state = seed;
    for (i = 0; i < bytes / 8; i++) {
        uint64_t word = zeros ? 0 : next_random(&state);

        if (writes) {
            words[i] = word;
        } else {
            wrong += words[i] != word;
        }
    }
    json_begin();
    json_number("seed", seed);
    json_number("bytes", bytes);
    json_number("wrong", wrong);
    return json_end(!wrong);
}
