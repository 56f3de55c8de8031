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
static uint64_t touched[1], touched_pages[1];
static struct cxlf_entry entries[4096], pages[4096];

static struct cxlf_leaf_live live = { .epoch = 2, .state = CXLF_LEAF_UP };
static struct cxlf_inside inside[CXLF_EXACT_HOSTS];
static struct cxlf_directory directory = {
    .topology = {
        .hosts = HOSTS, .leaves = 1, .shards = 1, .gfams = 1,
        .gfam = { { .hot = CXLF_CAPACITY_UNIT } },
    },
    .entries = { [CXLF_LINE_UNIT] = CXLF_CAPACITY_UNIT / CXLF_LINE,
               [CXLF_PAGE_UNIT] = CXLF_CAPACITY_UNIT / CXLF_PAGE },
    .touched_words = { [CXLF_LINE_UNIT] = 1, [CXLF_PAGE_UNIT] = 1 },
    .leaf = { {
        .live = &live, .inside = inside,
        .counters = counters,
        .table = {
            [CXLF_LINE_UNIT] = { touched, entries },
            [CXLF_PAGE_UNIT] = { touched_pages, pages },
        },
    } },
};

static void write_entry(struct cxlf_entry *at, const uint8_t *bytes)
{
    memcpy(at, bytes, sizeof(*at));
    touched[0] = touched_pages[0] = 1;
}

static void raise_line(unsigned n, unsigned host, enum cxlf_event event)
{
    enum cxlf_result r = cxlf_access(&directory, host, 0, n * CXLF_LINE,
                                     event);
    struct cxlf_line line;

    MUST(r == CXLF_OK || r == CXLF_CORRUPT || r == CXLF_POISONED ||
         r == CXLF_REFUSED);
    if (r == CXLF_OK) {
        /* After a success the entry is legal, whatever was before. */
        MUST(cxlf_peek(&directory, CXLF_LINE_UNIT, 0, n * CXLF_LINE, &line));
        MUST(event > CXLF_STORE || line.holders >> host & 1);
    }
}

static void raise_page(unsigned n, unsigned host, enum cxlf_event event)
{
    struct cxlf_line line;
    struct cxlf_move m;
    enum cxlf_result r = cxlf_page_event(&directory, host, 0, n * CXLF_PAGE,
                                         event, &m);

    MUST(r == CXLF_OK || r == CXLF_CORRUPT || r == CXLF_POISONED ||
         r == CXLF_REFUSED);
    if (r == CXLF_OK) {
        MUST(cxlf_peek(&directory, CXLF_PAGE_UNIT, 0, n * CXLF_PAGE, &line));
        MUST(!memcmp(&line, &m.after, sizeof(line)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t modified;

    memset(pages, 0, LINES * sizeof(pages[0]));
    memset(entries, 0, LINES * sizeof(entries[0]));
    for (size_t i = 0; i + 1 < size;) {
        unsigned op = data[i] >> 6, n = data[i] % LINES;
        unsigned host = data[i + 1] % HOSTS;
        unsigned event = data[i + 1] / HOSTS % CXLF_EVENTS;

        i += 2;
        if (op == 0 && i + 16 <= size) {
            write_entry(data[i - 1] & 1 ? &entries[n] : &pages[n], data + i);
            i += 16;
        } else if (op == 1) {
            uint64_t held = cxlf_give_up(&directory, host, CXLF_DEATH,
                                         &modified);

            MUST(modified <= held && held <= 2 * LINES);
        } else if (op == 2) {
            raise_line(n, host, event);
        } else {
            raise_page(n, host, event);
        }
    }
    return 0;
}
