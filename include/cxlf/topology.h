/*
 * Topology of a fabric: leaves, GFAM devices, hosts, and the address map
 *
 * The topology is agreed when a host joins and never changes in the life of
 * a fabric of ABI version 1.  Its form for people and for the wire is a
 * device tree (docs/topology.md); this is what the code uses.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_TOPOLOGY_H
#define CXLF_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>
#include "cxlf/abi.h"

struct cxlf_gfam {
    uint64_t hot;       /* bytes; DPA 0 up to here is HOT */
    uint64_t bulk;      /* bytes; BULK follows HOT */
    uint32_t leaf;      /* the leaf that the device is attached to */
    uint32_t software;  /* 1: BULK begins as coherent by software */
};

struct cxlf_topology {
    uint32_t hosts;
    uint32_t leaves;
    uint32_t shards;    /* of each leaf */
    uint32_t gfams;
    struct cxlf_gfam gfam[CXLF_MAX_GFAMS];
    uint32_t host_leaf[CXLF_MAX_HOSTS];
    /*
     * Bytes that an entry for lines covers: a power of two, CXLF_LINE (0
     * means that, too) to CXLF_PAGE.  Coarser than a line is imprecise.
     */
    uint32_t grain;
    /*
     * Entries for lines of each shard; 0: one for each line of HOT.  Else
     * the directory is finite, sets of @ways entries (0 means 8), and BULK
     * can be tracked by lines, too.
     */
    uint32_t line_entries;
    uint32_t ways;
    /* A page's entry says whether its lines are used: HOT begins so. */
    bool tiers;
};

/* Where a unit lives: the home that the address map gives it. */
struct cxlf_home {
    uint32_t leaf;
    uint32_t shard;
    uint32_t unit;      /* index in the shard */
};

/*
 * cxlf_topology_check: whether @t is within every limit.
 * On failure *@why is a sentence that names the field and what it accepts.
 * Any thread; no locks.
 */
bool cxlf_topology_check(const struct cxlf_topology *t, const char **why);

/* cxlf_topology_units: units of each shard, of one kind. */
uint64_t cxlf_topology_units(const struct cxlf_topology *t,
                             enum cxlf_kind kind);

/* cxlf_topology_entries: directory entries of each shard, of one kind. */
uint64_t cxlf_topology_entries(const struct cxlf_topology *t,
                               enum cxlf_kind kind);

/* cxlf_topology_grain, cxlf_topology_ways: with the defaults filled in. */
static inline uint32_t cxlf_topology_grain(const struct cxlf_topology *t)
{
    return t->grain ? t->grain : CXLF_LINE;
}

static inline uint32_t cxlf_topology_ways(const struct cxlf_topology *t)
{
    return t->ways ? t->ways : 8;
}

/*
 * cxlf_topology_fill: put the defaults into what is 0, so that topologies
 * that are the same compare so.
 */
static inline void cxlf_topology_fill(struct cxlf_topology *t)
{
    t->grain = cxlf_topology_grain(t);
    if (t->line_entries) {
        t->ways = cxlf_topology_ways(t);
    }
}

/*
 * cxlf_topology_home: the home of the unit at @dpa (bytes) of device @gfam:
 * a line of HOT (of BULK as well, where the directory of lines is finite),
 * or a page of HOT or BULK.  Pages of 4 KiB go round the leaves, then round
 * the shards of a leaf, so neighbours live apart and the lines of one page
 * together.
 * Returns false if there is no such unit.  Any thread; no locks.
 */
bool cxlf_topology_home(const struct cxlf_topology *t, enum cxlf_kind kind,
                        uint32_t gfam, uint64_t dpa, struct cxlf_home *home);

/* cxlf_topology_unit: the inverse: where the unit at @home begins. */
bool cxlf_topology_unit(const struct cxlf_topology *t, enum cxlf_kind kind,
                        const struct cxlf_home *home, uint32_t *gfam,
                        uint64_t *dpa);

#endif /* CXLF_TOPOLOGY_H */
