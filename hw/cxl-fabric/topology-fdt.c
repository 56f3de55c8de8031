/*
 * Topology as a device tree
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include "cxlf/topology-fdt.h"

static bool get_u32(const void *fdt, int node, const char *name,
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

static bool get_u64(const void *fdt, int node, const char *name,
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
static bool is_node(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);

    return !strncmp(name, prefix, length) && name[length] == '@';
}

/* Which numbers of a kind of node have been seen. */
typedef struct Seen {
    uint64_t bits[(CXLF_MAX_HOSTS + 63) / 64];
    uint32_t highest, count;
} Seen;

static bool see(Seen *seen, uint32_t number, uint32_t limit)
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

/* May be left out: coherent. */
static bool read_bulk_mode(const void *fdt, int node, uint32_t *software,
                           const char **why)
{
    int length;
    const char *mode = fdt_getprop(fdt, node, "bulk-mode", &length);

    if (!mode || (length == sizeof("coherent") &&
                  !memcmp(mode, "coherent", length))) {
        *software = 0;
        return true;
    }
    *why = "topology: gfam@N: 'bulk-mode' must be \"coherent\" or "
           "\"software\"";
    *software = 1;
    return length == sizeof("software") && !memcmp(mode, "software", length);
}

static bool read_node(const void *fdt, int node, struct cxlf_topology *t,
                      Seen seen[3], const char **why)
{
    const char *name = fdt_get_name(fdt, node, NULL);
    uint32_t number;

    if (!name || !get_u32(fdt, node, "reg", &number)) {
        *why = "topology: a node has no 'reg' of one cell";
        return false;
    }
    if (is_node(name, "leaf")) {
        *why = "topology: leaf@N: 'reg' must be 0 to 3f (63), each once";
        return see(&seen[0], number, CXLF_MAX_LEAVES);
    }
    if (is_node(name, "gfam")) {
        *why = "topology: gfam@N: 'reg' must be 0 to 7, each once, with "
               "'leaf' (one cell), 'hot-size' and 'bulk-size' (two cells)";
        return see(&seen[1], number, CXLF_MAX_GFAMS) &&
               get_u32(fdt, node, "leaf", &t->gfam[number].leaf) &&
               get_u64(fdt, node, "hot-size", &t->gfam[number].hot) &&
               get_u64(fdt, node, "bulk-size", &t->gfam[number].bulk) &&
               read_bulk_mode(fdt, node, &t->gfam[number].software, why);
    }
    if (is_node(name, "host")) {
        *why = "topology: host@N: 'reg' must be 0 to ffe (4094), each once, "
               "with 'leaf' (one cell)";
        return see(&seen[2], number, CXLF_MAX_HOSTS) &&
               get_u32(fdt, node, "leaf", &t->host_leaf[number]);
    }
    *why = "topology: a node is none of leaf@N, gfam@N, host@N";
    return false;
}

/* Numbers must run from 0 without a gap; returns how many there are. */
static bool count(const Seen *seen, uint32_t *n)
{
    *n = seen->count;
    return seen->count == 0 || seen->highest == seen->count - 1;
}

/* What may be left out; the names are those of docs/topology.md. */
static bool read_directory(const void *fdt, struct cxlf_topology *t,
                           const char **why)
{
    const struct {
        const char *name;
        uint32_t *value;
    } numbers[] = {
        { "grain", &t->grain },
        { "line-entries", &t->line_entries },
        { "ways", &t->ways },
    };

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (fdt_getprop(fdt, 0, numbers[i].name, NULL) &&
            !get_u32(fdt, 0, numbers[i].name, numbers[i].value)) {
            *why = "topology: 'grain', 'line-entries' and 'ways' of the root "
                   "must each be one cell";
            return false;
        }
    }
    t->tiers = fdt_getprop(fdt, 0, "tiers", NULL) != NULL;
    cxlf_topology_fill(t);
    return true;
}

bool cxlf_topology_read(const void *blob, size_t size,
                        struct cxlf_topology *t, const char **why)
{
    Seen seen[3] = { 0 };
    int node;

    memset(t, 0, sizeof(*t));
    /*
     * dtc writes version 17.  In blobs of old versions (below 16) libfdt's
     * own check can follow a null pointer, so they are not shown to it.
     */
    if (size < sizeof(struct fdt_header) || size > CXLF_MAX_HOSTS * 1024 ||
        fdt_version(blob) < 17 || fdt_check_full(blob, size)) {
        *why = "topology: not a device tree blob (compile it with dtc)";
        return false;
    }
    if (fdt_node_check_compatible(blob, 0, CXLF_TOPOLOGY_COMPATIBLE)) {
        *why = "topology: 'compatible' must be \"" CXLF_TOPOLOGY_COMPATIBLE
               "\"";
        return false;
    }
    if (!get_u32(blob, 0, "shards", &t->shards)) {
        *why = "topology: the root has no 'shards' of one cell";
        return false;
    }
    if (!read_directory(blob, t, why)) {
        return false;
    }
    fdt_for_each_subnode(node, blob, 0) {
        if (!read_node(blob, node, t, seen, why)) {
            return false;
        }
    }
    if (!count(&seen[0], &t->leaves) || !count(&seen[1], &t->gfams) ||
        !count(&seen[2], &t->hosts)) {
        *why = "topology: 'reg' of leaves, gfams and hosts must each run "
               "from 0 without a gap";
        return false;
    }
    return cxlf_topology_check(t, why);
}

static int begin(void *fdt, const char *kind, uint32_t number)
{
    char name[32];
    int error;

    snprintf(name, sizeof(name), "%s@%x", kind, number);
    error = fdt_begin_node(fdt, name);
    return error ? error : fdt_property_u32(fdt, "reg", number);
}

static int write_nodes(const struct cxlf_topology *t, void *fdt)
{
    int error = 0;

    for (uint32_t i = 0; i < t->leaves && !error; i++) {
        error = begin(fdt, "leaf", i);
        error = error ? error : fdt_end_node(fdt);
    }
    for (uint32_t i = 0; i < t->gfams && !error; i++) {
        error = begin(fdt, "gfam", i);
        error = error ? error : fdt_property_u32(fdt, "leaf",
                                                 t->gfam[i].leaf);
        error = error ? error : fdt_property_u64(fdt, "hot-size",
                                                 t->gfam[i].hot);
        error = error ? error : fdt_property_u64(fdt, "bulk-size",
                                                 t->gfam[i].bulk);
        if (t->gfam[i].software) {
            error = error ? error : fdt_property_string(fdt, "bulk-mode",
                                                        "software");
        }
        error = error ? error : fdt_end_node(fdt);
    }
    for (uint32_t i = 0; i < t->hosts && !error; i++) {
        error = begin(fdt, "host", i);
        error = error ? error : fdt_property_u32(fdt, "leaf",
                                                 t->host_leaf[i]);
        error = error ? error : fdt_end_node(fdt);
    }
    return error;
}

static int write_directory(const struct cxlf_topology *t, void *fdt)
{
    int error = fdt_property_u32(fdt, "grain", cxlf_topology_grain(t));

    if (t->line_entries) {
        error = error ? error : fdt_property_u32(fdt, "line-entries",
                                                 t->line_entries);
        error = error ? error : fdt_property_u32(fdt, "ways",
                                                 cxlf_topology_ways(t));
    }
    if (t->tiers) {
        error = error ? error : fdt_property(fdt, "tiers", NULL, 0);
    }
    return error;
}

size_t cxlf_topology_write(const struct cxlf_topology *t, void *fdt,
                           size_t capacity)
{
    int error = fdt_create(fdt, capacity);

    error = error ? error : fdt_finish_reservemap(fdt);
    error = error ? error : fdt_begin_node(fdt, "");
    error = error ? error : fdt_property_string(fdt, "compatible",
                                                CXLF_TOPOLOGY_COMPATIBLE);
    error = error ? error : fdt_property_u32(fdt, "#address-cells", 1);
    error = error ? error : fdt_property_u32(fdt, "#size-cells", 0);
    error = error ? error : fdt_property_u32(fdt, "shards", t->shards);
    error = error ? error : write_directory(t, fdt);
    error = error ? error : write_nodes(t, fdt);
    error = error ? error : fdt_end_node(fdt);
    error = error ? error : fdt_finish(fdt);
    return error ? 0 : fdt_totalsize(fdt);
}
