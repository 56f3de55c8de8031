/*
 * A small directory for the fuzz targets, in one of several forms
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_DIRECTORY_H
#define TESTS_FUZZ_DIRECTORY_H

#include "cxlf/leaf.h"
#include "fuzz.h"

/* More than 62, so that there are pointers and coarse sets. */
#define MANY_HOSTS  66
#define UNITS       4           /* lines, and pages, that are used */
#define FINITE      16          /* entries of a finite directory */
/* Of the other: all lines of the pages, which a demotion takes. */
#define LINES       (UNITS * CXLF_LINES_PER_PAGE)

static _Alignas(128) struct cxlf_counters counters[MANY_HOSTS];
static _Alignas(128) struct cxlf_inside inside[MANY_HOSTS];
static _Alignas(128) struct cxlf_mailbox mailboxes[MANY_HOSTS];
static struct cxlf_leaf_live live;
static uint64_t touched[CXLF_UNITS][1];
static uint64_t presence[LINES * MANY_HOSTS];
static struct cxlf_entry entries[LINES], pages[UNITS];
static struct cxlf_directory directory;

/* An empty directory; the bits of @form say what kind. */
static void make_directory(uint8_t form)
{
    bool finite = form & 1;

    directory = (struct cxlf_directory) {
        .topology = {
            .hosts = form & 2 ? MANY_HOSTS : 5,
            .leaves = 1, .shards = 1, .gfams = 1,
            .gfam = { { .hot = CXLF_CAPACITY_UNIT } },
            .grain = form & 4 ? 4 * CXLF_LINE : CXLF_LINE,
            .tiers = form & 8,
            .line_entries = finite ? FINITE : 0,
            .ways = !finite ? 0 : form & 16 ? 8 : 2,
        },
        .entries = { [CXLF_LINE_UNIT] = finite ? FINITE : LINES,
                     [CXLF_PAGE_UNIT] = UNITS },
        .touched_words = { 1, 1 },
        .leaf = { {
            .live = &live, .inside = inside, .counters = counters,
            .mailboxes = mailboxes,
            .table = {
                { touched[0], entries, form & 4 ? presence : NULL },
                { touched[1], pages, NULL },
            },
        } },
    };
    memset(entries, 0, directory.entries[CXLF_LINE_UNIT] *
                       sizeof(entries[0]));
    memset(pages, 0, sizeof(pages));
    memset(inside, 0, directory.topology.hosts * sizeof(inside[0]));
    memset(touched, 0, sizeof(touched));
    live = (struct cxlf_leaf_live) { .epoch = 2, .state = CXLF_LEAF_UP };
}

/*
 * A peer writes an entry: 16 bytes as they are, or with the parts that an
 * event gets past first: a tag that fits and a state that there is.
 */
static void write_entry(unsigned n, const uint8_t *bytes, bool page,
                        bool plausible)
{
    struct cxlf_entry *at = page ? &pages[n % UNITS] : &entries[n % FINITE];
    uint32_t tag = page || !directory.topology.line_entries ? n % UNITS :
        n % UNITS * CXLF_PAGE / cxlf_topology_grain(&directory.topology);

    if (!page && !directory.topology.line_entries) {
        at = &entries[n % UNITS];
    }
    memcpy(at, bytes, sizeof(*at));
    if (plausible) {
        at->word = CXLF_WORD(tag + 1, CXLF_WORD_GENERATION(at->word),
                             CXLF_WORD_REQUESTER(at->word) %
                             directory.topology.hosts,
                             CXLF_WORD_STATE(at->word) % CXLF_STATES);
    }
    touched[page][0] = 1;
}

#endif /* TESTS_FUZZ_DIRECTORY_H */
