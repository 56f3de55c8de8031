/*
 * What hosts share about private copies: software-coherent BULK
 *
 * A part of each leaf's segment, written by every host: who wrote each line
 * back last, and how far hosts have come with a change of the mode.  It is
 * used to report conflicts and never to grant anything, so what a faulty
 * peer writes here does no harm to memory.  docs/software-coherence.md.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_COPIES_H
#define CXLF_COPIES_H

#include "cxlf/directory.h"

/*
 * The mode word, in the table that the owner writes: 7:0 the mode in force,
 * a bit for each GFAM device, set for software; 15:8 the mode that is wanted;
 * 31:16 a generation, one more with each change that is asked for.
 */
#define CXLF_BULK_MODE(word)        ((word) & 0xffu)
#define CXLF_BULK_WANTED(word)      ((word) >> 8 & 0xffu)
#define CXLF_BULK_GENERATION(word)  ((word) >> 16)
#define CXLF_BULK_WORD(generation, wanted, mode) \
    ((uint32_t)(generation) << 16 | (uint32_t)(wanted) << 8 | (uint32_t)(mode))

/*
 * A line's record: 11:0 who wrote it back last, plus one (0: nobody);
 * 12 it is being written; 31:13 how often.
 */
#define CXLF_COPY_WRITER(record)    ((record) & 0xfffu)
#define CXLF_COPY_BUSY              (1u << 12)
#define CXLF_COPY_COUNT(record)     ((record) >> 13)
#define CXLF_COPY_RECORD(count, writer) \
    ((uint32_t)(count) << 13 | (uint32_t)(writer))

/*
 * Who copied a line in: 11:0 the host, plus one; 17:12 the line; 31:18 how
 * often.
 */
#define CXLF_COPY_WANT(count, line, host) \
    ((uint32_t)(count) << 18 | (uint32_t)(line) << 12 | ((host) + 1u))
#define CXLF_COPY_WANT_COUNT(want)  ((want) >> 18)
#define CXLF_COPY_WANT_LINE(want)   ((want) >> 12 & 63)
#define CXLF_COPY_WANT_HOST(want)   ((int)((want) & 0xfffu) - 1)

struct cxlf_copy_page {
    uint64_t flushes;           /* one more after each that wrote a line */
    uint32_t line[CXLF_LINES_PER_PAGE];
    uint32_t written;           /* a host that wrote to its copy, plus one */
    uint32_t want;              /* of another host, while that is so */
};

enum cxlf_copy_agent {
    CXLF_COPY_NO_AGENT,
    CXLF_COPY_AGENT,
    CXLF_COPY_UNABLE,           /* it can make no copies */
};

struct cxlf_copy_host {
    _Alignas(64) uint32_t agent;        /* enum cxlf_copy_agent */
    uint32_t done;              /* the mode word that it acknowledges */
    uint32_t wants;             /* one more for each of a page it wrote to */
};

struct cxlf_copy_gfam {
    _Alignas(64) uint64_t flushes;      /* one more after each command */
};

/*
 * In each leaf: this, then struct cxlf_copy_host[hosts], and from the next
 * page on struct cxlf_copy_page[shards][pages].  Devices and hosts use leaf
 * 0's, pages their home's.
 */
struct cxlf_copies {
    struct cxlf_copy_gfam gfam[CXLF_MAX_GFAMS];
};

static inline uint64_t cxlf_copies_pages_offset(const struct cxlf_topology *t)
{
    uint64_t end = sizeof(struct cxlf_copies) +
                   t->hosts * sizeof(struct cxlf_copy_host);

    return (end + CXLF_PAGE - 1) & ~(CXLF_PAGE - 1ull);
}

/* cxlf_copies_size: @pages of each shard, as the leaf's header says. */
static inline uint64_t cxlf_copies_size(const struct cxlf_topology *t,
                                        uint64_t pages)
{
    uint64_t end = cxlf_copies_pages_offset(t) +
                   t->shards * pages * sizeof(struct cxlf_copy_page);

    return (end + CXLF_PAGE - 1) & ~(CXLF_PAGE - 1ull);
}

static inline struct cxlf_copy_host *
cxlf_copy_host(const struct cxlf_directory *d, unsigned host)
{
    return (struct cxlf_copy_host *)(d->leaf[0].copies + 1) + host;
}

/* cxlf_copy_page: of a page that the topology has. */
static inline struct cxlf_copy_page *
cxlf_copy_page(const struct cxlf_directory *d, uint32_t gfam, uint64_t dpa)
{
    struct cxlf_copy_page *pages;
    struct cxlf_home home = { 0 };

    cxlf_topology_home(&d->topology, CXLF_PAGE_UNIT, gfam, dpa, &home);
    pages = (struct cxlf_copy_page *)((char *)d->leaf[home.leaf].copies +
                                  cxlf_copies_pages_offset(&d->topology));
    return pages + home.shard * d->entries[CXLF_PAGE_UNIT] + home.unit;
}

CXLF_ASSERT_SIZE(cxlf_copy_page, 272);
CXLF_ASSERT_AT(cxlf_copy_page, line, 8);
CXLF_ASSERT_AT(cxlf_copy_page, written, 264);
CXLF_ASSERT_AT(cxlf_copy_page, want, 268);
CXLF_ASSERT_SIZE(cxlf_copy_host, 64);
CXLF_ASSERT_AT(cxlf_copy_host, done, 4);
CXLF_ASSERT_AT(cxlf_copy_host, wants, 8);
CXLF_ASSERT_SIZE(cxlf_copy_gfam, 64);
CXLF_ASSERT_SIZE(cxlf_copies, 64 * CXLF_MAX_GFAMS);

#endif /* CXLF_COPIES_H */
