/*
 * Copysets: which hosts hold a unit, in 64 bits
 *
 * encoding (63:62)  61:0
 * 0 exact           a bit for each host; up to 62 hosts
 * 1 pointers        five of host number plus one, 12 bits each from bit 0
 *                   up, the first 0 ends them; 61:60 zero
 * 2 coarse          a bit for each group of (hosts + 61) / 62 hosts
 *
 * The empty set is 0 in every fabric.  A set never names fewer hosts than
 * there are.  What it costs is the number of snoops that it causes: the
 * first form that can name the set exactly is kept, and coarse, which names
 * whole groups, only where five pointers do not do.  A coarse set forgets
 * nobody until the unit is taken from all: docs/directory.md, "Copysets".
 *
 * @hosts is how many hosts the fabric has, 1 to CXLF_MAX_HOSTS; it decides
 * between exact and the others; a @host is below it, and a @set valid.  All
 * functions are pure.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_COPYSET_H
#define CXLF_COPYSET_H

#include <stdbool.h>
#include <stdint.h>
#include "cxlf/abi.h"

enum cxlf_encoding {
    CXLF_EXACT,
    CXLF_POINTERS,
    CXLF_COARSE,
    CXLF_ENCODINGS
};

#define CXLF_EXACT_HOSTS    62
#define CXLF_SET_POINTERS   5

static inline enum cxlf_encoding cxlf_set_encoding(uint64_t set)
{
    return (enum cxlf_encoding)(set >> 62);
}

/*
 * What cxlf_set_has() and the others do in a fabric of more hosts than an
 * exact set has bits.  Smaller ones are done in place, since a line's access
 * is little more than that.
 */
bool cxlf_large_has(uint64_t set, unsigned host, unsigned hosts);
uint64_t cxlf_large_of(unsigned host);
uint64_t cxlf_large_add(uint64_t set, unsigned host, unsigned hosts);
uint64_t cxlf_large_remove(uint64_t set, unsigned host, unsigned hosts);

/* cxlf_set_valid: whether 64 bits can be a copyset of this fabric. */
bool cxlf_set_valid(uint64_t set, unsigned hosts);

/* cxlf_set_has: whether @set names @host. */
static inline bool cxlf_set_has(uint64_t set, unsigned host, unsigned hosts)
{
    return hosts <= CXLF_EXACT_HOSTS ? set >> host & 1 :
                                       cxlf_large_has(set, host, hosts);
}

/* cxlf_set_of: the set of one host. */
static inline uint64_t cxlf_set_of(unsigned host, unsigned hosts)
{
    return hosts <= CXLF_EXACT_HOSTS ? 1ull << host :
                                       cxlf_large_of(host);
}

/*
 * cxlf_set_add: @set with @host.  It becomes coarse when it must; a caller
 * that cannot use that looks at cxlf_set_encoding() of the result.
 */
static inline uint64_t cxlf_set_add(uint64_t set, unsigned host, unsigned hosts)
{
    return hosts <= CXLF_EXACT_HOSTS ? set | 1ull << host :
                                       cxlf_large_add(set, host, hosts);
}

/* cxlf_set_remove: @set without @host; a coarse set stays as it is. */
static inline uint64_t cxlf_set_remove(uint64_t set, unsigned host,
                                       unsigned hosts)
{
    return hosts <= CXLF_EXACT_HOSTS ? set & ~(1ull << host) :
                                       cxlf_large_remove(set, host, hosts);
}

/* cxlf_set_count: how many hosts @set names: what snooping it costs. */
unsigned cxlf_set_count(uint64_t set, unsigned hosts);

/* cxlf_set_next: the first host from @from on that @set names, or @hosts. */
unsigned cxlf_set_next(uint64_t set, unsigned from, unsigned hosts);

#define CXLF_FOR_EACH_HOST(host, set, hosts) \
    for (unsigned host = cxlf_set_next(set, 0, hosts); host < (hosts); \
         host = cxlf_set_next(set, host + 1, hosts))

#endif /* CXLF_COPYSET_H */
