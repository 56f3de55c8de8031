/*
 * Fuzz: directory entries as a wild peer may leave them, and events on them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "../../hw/cxl-fabric/core/atomic16.h"
#include "cxlf/directory.h"
#include "fuzz.h"

#define HOSTS 5
#define LINES 4

static _Alignas(128) struct cxlf_counters counters[HOSTS];
static uint64_t touched[512];
static struct cxlf_entry entries[CXLF_CAPACITY_UNIT / CXLF_LINE];

static struct cxlf_directory directory = {
    .topology = {
        .hosts = HOSTS, .leaves = 1, .shards = 1, .gfams = 1,
        .gfam = { { .hot = CXLF_CAPACITY_UNIT } },
    },
    .lines = CXLF_CAPACITY_UNIT / CXLF_LINE,
    .leaf = { {
        .counters = counters, .touched = touched, .touched_words = 512,
        .entries = entries,
    } },
};

static void write_entry(unsigned line, const uint8_t *bytes)
{
    memcpy(&entries[line], bytes, sizeof(entries[line]));
    touched[0] |= 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cxlf_line line;
    uint64_t modified;

    memset(entries, 0, LINES * sizeof(entries[0]));
    for (size_t i = 0; i + 1 < size;) {
        unsigned op = data[i] >> 6, n = data[i] % LINES;
        unsigned host = data[i + 1] % HOSTS;
        unsigned event = data[i + 1] / HOSTS % CXLF_EVENTS;

        i += 2;
        if (op == 0 && i + 16 <= size) {
            write_entry(n, data + i);
            i += 16;
        } else if (op == 1) {
            uint64_t held = cxlf_give_up(&directory, host, CXLF_DEATH,
                                         &modified);

            MUST(modified <= held && held <= LINES);
        } else {
            enum cxlf_result r = cxlf_access(&directory, host, 0,
                                             n * CXLF_LINE, event);

            MUST(r == CXLF_OK || r == CXLF_CORRUPT);
            /* After a success the entry is legal, whatever was before. */
            MUST(r != CXLF_OK || cxlf_peek(&directory, 0, n * CXLF_LINE,
                                           &line));
            MUST(r != CXLF_OK || event == CXLF_EVICT ||
                 event == CXLF_DEATH || line.holders >> host & 1);
        }
    }
    return 0;
}
