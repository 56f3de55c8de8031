/*
 * Copysets
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/copyset.h"

#define PAYLOAD     ((1ull << 62) - 1)
#define ENCODE(encoding, payload) ((uint64_t)(encoding) << 62 | (payload))

/* Hosts that share a bit of a coarse set. */
static unsigned group_size(unsigned hosts)
{
    return (hosts + CXLF_EXACT_HOSTS - 1) / CXLF_EXACT_HOSTS;
}

static unsigned pointer(uint64_t set, unsigned i)
{
    return set >> 12 * i & 0xfff;
}

static unsigned pointers(uint64_t set)
{
    unsigned n = 0;

    while (n < CXLF_SET_POINTERS && pointer(set, n) != 0) {
        n++;
    }
    return n;
}

static bool pointers_valid(uint64_t set, unsigned hosts)
{
    unsigned n = pointers(set);

    if (n == 0 || (set & PAYLOAD) >> 12 * n != 0) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (pointer(set, i) > hosts) {
            return false;
        }
        for (unsigned j = 0; j < i; j++) {
            if (pointer(set, i) == pointer(set, j)) {
                return false;
            }
        }
    }
    return true;
}

bool cxlf_set_valid(uint64_t set, unsigned hosts)
{
    unsigned size = group_size(hosts);
    uint64_t bits = set & PAYLOAD;

    if (set == 0) {
        return true;
    }
    switch (cxlf_set_encoding(set)) {
    case CXLF_EXACT:
        return hosts <= CXLF_EXACT_HOSTS && bits >> hosts == 0;
    case CXLF_POINTERS:
        return hosts > CXLF_EXACT_HOSTS && pointers_valid(set, hosts);
    case CXLF_COARSE:
        return hosts > CXLF_EXACT_HOSTS && bits != 0 &&
               bits >> (hosts + size - 1) / size == 0;
    default:
        return false;
    }
}

bool cxlf_large_has(uint64_t set, unsigned host, unsigned hosts)
{
    switch (cxlf_set_encoding(set)) {
    case CXLF_EXACT:
        return false;           /* the empty set */
    case CXLF_POINTERS:
        for (unsigned i = 0; i < CXLF_SET_POINTERS; i++) {
            if (pointer(set, i) == host + 1) {
                return true;
            }
        }
        return false;
    default:
        return set >> host / group_size(hosts) & 1;
    }
}

uint64_t cxlf_large_of(unsigned host)
{
    return ENCODE(CXLF_POINTERS, host + 1ull);
}

static uint64_t to_coarse(uint64_t set, unsigned hosts)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < pointers(set); i++) {
        bits |= 1ull << (pointer(set, i) - 1) / group_size(hosts);
    }
    return ENCODE(CXLF_COARSE, bits);
}

uint64_t cxlf_large_add(uint64_t set, unsigned host, unsigned hosts)
{
    if (set == 0) {
        return cxlf_large_of(host);
    }
    if (cxlf_large_has(set, host, hosts)) {
        return set;
    }
    if (cxlf_set_encoding(set) == CXLF_POINTERS) {
        unsigned n = pointers(set);

        if (n < CXLF_SET_POINTERS) {
            return set | (host + 1ull) << 12 * n;
        }
        set = to_coarse(set, hosts);
    }
    return set | 1ull << host / group_size(hosts);
}

uint64_t cxlf_large_remove(uint64_t set, unsigned host, unsigned hosts)
{
    uint64_t left = 0;

    if (cxlf_set_encoding(set) != CXLF_POINTERS) {
        return set;
    }
    for (unsigned i = 0; i < pointers(set); i++) {
        if (pointer(set, i) != host + 1) {
            left = cxlf_large_add(left, pointer(set, i) - 1, hosts);
        }
    }
    return left;
}

unsigned cxlf_set_count(uint64_t set, unsigned hosts)
{
    unsigned size = group_size(hosts), last = hosts / size;
    unsigned n;

    switch (cxlf_set_encoding(set)) {
    case CXLF_EXACT:
        return __builtin_popcountll(set);
    case CXLF_POINTERS:
        return pointers(set);
    default:
        n = __builtin_popcountll(set & PAYLOAD) * size;
        /* The last group may be smaller. */
        if (hosts % size && set >> last & 1) {
            n -= size - hosts % size;
        }
        return n;
    }
}

static unsigned next_pointer(uint64_t set, unsigned from, unsigned hosts)
{
    unsigned next = hosts;

    for (unsigned i = 0; i < pointers(set); i++) {
        unsigned host = pointer(set, i) - 1;

        if (host >= from && host < next) {
            next = host;
        }
    }
    return next;
}

unsigned cxlf_set_next(uint64_t set, unsigned from, unsigned hosts)
{
    unsigned size = group_size(hosts);
    uint64_t bits;

    if (from >= hosts) {
        return hosts;
    }
    if (cxlf_set_encoding(set) == CXLF_POINTERS) {
        return next_pointer(set, from, hosts);
    }
    /* Exact sets have groups of one. */
    bits = (set & PAYLOAD) >> from / size;
    if (bits == 0) {
        return hosts;
    }
    if (!(bits & 1)) {
        from = (from / size + __builtin_ctzll(bits)) * size;
    }
    return from < hosts ? from : hosts;
}
