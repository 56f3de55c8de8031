/*
 * Topology as a device tree: what its readers share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_TOPOLOGY_PROPS_H
#define CXLF_TOPOLOGY_PROPS_H

#include <libfdt.h>
#include <string.h>
#include "cxlf/topology-fdt.h"

static inline bool get_u32(const void *fdt, int node, const char *name,
                           uint32_t *value)
{
    int length;
    const fdt32_t *cell = fdt_getprop(fdt, node, name, &length);

    if (!cell || length != sizeof(*cell)) {
        return false;
    }
    *value = fdt32_ld(cell);
    return true;
}

static inline bool get_u64(const void *fdt, int node, const char *name,
                           uint64_t *value)
{
    int length;
    const fdt64_t *cells = fdt_getprop(fdt, node, name, &length);

    if (!cells || length != sizeof(*cells)) {
        return false;
    }
    *value = fdt64_ld(cells);
    return true;
}

/* "leaf@1" under prefix "leaf": the number comes from 'reg'. */
static inline bool is_node(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);

    return !strncmp(name, prefix, length) && name[length] == '@';
}

/* Which numbers of a kind of node have been seen. */
typedef struct Seen {
    uint64_t bits[(CXLF_MAX_HOSTS + 63) / 64];
    uint32_t highest, count;
} Seen;

static inline bool see(Seen *seen, uint32_t number, uint32_t limit)
{
    uint64_t bit = 1ull << number % 64;

    if (number >= limit || seen->bits[number / 64] & bit) {
        return false;
    }
    seen->bits[number / 64] |= bit;
    seen->highest = number > seen->highest ? number : seen->highest;
    seen->count++;
    return true;
}

/* Why @node is wrong: its path, and @what it must be. */
static inline bool wrong(const void *fdt, int node, const char **why,
                         const char *what)
{
    int length = 0;
    const char *name = fdt_get_name(fdt, node, &length);

    /* A name goes into messages only if it is one. */
    for (int i = 0; name && i < length; i++) {
        if (name[i] <= ' ' || name[i] > '~' || length > 40) {
            name = NULL;
        }
    }
    *why = cxlf_graph_why("topology: /%s: %s", name ? name : "?", what);
    return false;
}

/* A property of one cell that may be left out: @value is then the default. */
static inline bool get_option(const void *fdt, int node, const char *name,
                              uint32_t *value)
{
    return !fdt_getprop(fdt, node, name, NULL) ||
           get_u32(fdt, node, name, value);
}

/* Numbers must run from 0 without a gap; returns how many there are. */
static inline bool count(const Seen *seen, uint32_t *n)
{
    *n = seen->count;
    return seen->count == 0 || seen->highest == seen->count - 1;
}

#endif /* CXLF_TOPOLOGY_PROPS_H */
