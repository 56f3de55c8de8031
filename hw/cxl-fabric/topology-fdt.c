/*
 * Topology as a device tree
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include "topology-props.h"

/* May be left out: coherent. */
static bool read_bulk_mode(const void *fdt, int node, uint32_t *software)
{
    int length;
    const char *mode = fdt_getprop(fdt, node, "bulk-mode", &length);

    if (!mode || (length == sizeof("coherent") &&
                  !memcmp(mode, "coherent", length))) {
        *software = 0;
        return true;
    }
    *software = 1;
    return length == sizeof("software") && !memcmp(mode, "software", length);
}

static bool read_gfam(const void *fdt, int node, uint32_t number,
                      struct cxlf_topology *t, Seen *seen, const char **why)
{
    if (!see(seen, number, CXLF_MAX_GFAMS)) {
        return wrong(fdt, node, why, "'reg' must be 0 to 7, each once");
    }
    if (!get_u32(fdt, node, "leaf", &t->gfam[number].leaf) ||
        !get_u64(fdt, node, "hot-size", &t->gfam[number].hot) ||
        !get_u64(fdt, node, "bulk-size", &t->gfam[number].bulk)) {
        return wrong(fdt, node, why, "must have 'leaf' (one cell), 'hot-size' "
                     "and 'bulk-size' (two cells)");
    }
    if (!read_bulk_mode(fdt, node, &t->gfam[number].software)) {
        return wrong(fdt, node, why, "'bulk-mode' must be \"coherent\" or "
                     "\"software\"");
    }
    return true;
}

static bool read_node(const void *fdt, int node, struct cxlf_topology *t,
                      Seen seen[3], const char **why)
{
    const char *name = fdt_get_name(fdt, node, NULL);
    uint32_t number;

    if (!name || !get_u32(fdt, node, "reg", &number)) {
        return wrong(fdt, node, why, "must have 'reg' of one cell");
    }
    if (is_node(name, "leaf")) {
        return see(&seen[0], number, CXLF_MAX_LEAVES) ||
               wrong(fdt, node, why, "'reg' must be 0 to 3f (63), each once");
    }
    if (is_node(name, "gfam")) {
        return read_gfam(fdt, node, number, t, &seen[1], why);
    }
    if (is_node(name, "host")) {
        if (!see(&seen[2], number, CXLF_MAX_HOSTS)) {
            return wrong(fdt, node, why,
                         "'reg' must be 0 to ffe (4094), each once");
        }
        return get_u32(fdt, node, "leaf", &t->host_leaf[number]) ||
               wrong(fdt, node, why, "must have 'leaf' (one cell)");
    }
    /* What is in the graph only: cxlf_graph_read() */
    return is_node(name, "spine") || is_node(name, "link") ||
           wrong(fdt, node, why, "is none of leaf@N, spine@N, gfam@N, "
                 "host@N, link@N");
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
            *why = "topology: /: 'grain', 'line-entries' and 'ways' must each "
                   "be one cell";
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
        *why = "topology: /: 'compatible' must be \"" CXLF_TOPOLOGY_COMPATIBLE
               "\"";
        return false;
    }
    if (!get_u32(blob, 0, "shards", &t->shards)) {
        *why = "topology: /: must have 'shards' of one cell";
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
        *why = "topology: /: 'reg' of leaves, gfams and hosts must each run "
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

/* Of a component: only what is not the default. */
static int write_pid(void *fdt, const struct cxlf_graph *g, bool pids,
                     uint16_t pid)
{
    return g && pids ? fdt_property_u32(fdt, "pid", pid) : 0;
}

static int write_switch(const struct cxlf_topology *t,
                        const struct cxlf_graph *g, bool pids, void *fdt,
                        uint32_t s)
{
    struct cxlf_node n = cxlf_switch_node(t, s);
    int error = begin(fdt, cxlf_node_name[n.kind], n.number);

    if (g) {
        error = error ? error : write_pid(fdt, g, pids, g->pid_switch[s]);
    }
    if (g && g->latency[s] != CXLF_DEFAULT_LATENCY) {
        error = error ? error : fdt_property_u32(fdt, "latency",
                                                 g->latency[s]);
    }
    return error ? error : fdt_end_node(fdt);
}

static int write_lds(void *fdt, const struct cxlf_graph *g, uint32_t gfam)
{
    fdt32_t bound[CXLF_MAX_LDS];
    int error;

    if (!g || !g->lds[gfam]) {
        return 0;
    }
    for (int i = 0; i < CXLF_MAX_LDS; i++) {
        fdt32_st(&bound[i], g->bound[gfam][i]);
    }
    error = fdt_property_u32(fdt, "lds", g->lds[gfam]);
    return error ? error : fdt_property(fdt, "bound", bound,
                                        g->lds[gfam] * sizeof(bound[0]));
}

static int write_gfam(const struct cxlf_topology *t,
                      const struct cxlf_graph *g, bool pids, void *fdt,
                      uint32_t i)
{
    const struct cxlf_gfam *gfam = &t->gfam[i];
    int error = begin(fdt, "gfam", i);

    error = error ? error : fdt_property_u32(fdt, "leaf", gfam->leaf);
    error = error ? error : fdt_property_u64(fdt, "hot-size", gfam->hot);
    error = error ? error : fdt_property_u64(fdt, "bulk-size", gfam->bulk);
    if (gfam->software) {
        error = error ? error : fdt_property_string(fdt, "bulk-mode",
                                                    "software");
    }
    if (g) {
        error = error ? error : write_pid(fdt, g, pids, g->pid_gfam[i]);
    }
    if (g && g->dynamic[i]) {
        error = error ? error : fdt_property_u64(fdt, "dynamic-capacity",
                                                 g->dynamic[i]);
    }
    error = error ? error : write_lds(fdt, g, i);
    return error ? error : fdt_end_node(fdt);
}

static int write_nodes(const struct cxlf_topology *t,
                       const struct cxlf_graph *g, bool pids, void *fdt)
{
    uint32_t switches = t->leaves + (g ? g->spines : 0);
    int error = 0;

    for (uint32_t s = 0; s < switches && !error; s++) {
        error = write_switch(t, g, pids, fdt, s);
    }
    for (uint32_t i = 0; i < t->gfams && !error; i++) {
        error = write_gfam(t, g, pids, fdt, i);
    }
    for (uint32_t i = 0; i < t->hosts && !error; i++) {
        error = begin(fdt, "host", i);
        error = error ? error : fdt_property_u32(fdt, "leaf",
                                                 t->host_leaf[i]);
        if (g) {
            error = error ? error : write_pid(fdt, g, pids, g->pid_host[i]);
        }
        error = error ? error : fdt_end_node(fdt);
    }
    return error;
}

static int write_link(void *fdt, uint32_t number, const struct cxlf_link *l)
{
    char ends[32];
    int length = 0, error = begin(fdt, "link", number);

    for (int i = 0; i < 2; i++) {
        length += snprintf(ends + length, sizeof(ends) - length, "%s@%x",
                           cxlf_node_name[l->end[i].kind],
                           l->end[i].number) + 1;
    }
    error = error ? error : fdt_property(fdt, "ends", ends, length);
    if (l->ports != 1) {
        error = error ? error : fdt_property_u32(fdt, "ports", l->ports);
    }
    if (l->rate != CXLF_DEFAULT_RATE) {
        error = error ? error : fdt_property_u32(fdt, "rate", l->rate);
    }
    if (l->latency) {
        error = error ? error : fdt_property_u32(fdt, "latency", l->latency);
    }
    return error ? error : fdt_end_node(fdt);
}

static int write_links(const struct cxlf_topology *t,
                       const struct cxlf_graph *g, void *fdt)
{
    uint32_t own = cxlf_graph_links(t, g->spines), written = 0;
    bool all = g->switch_links != own;
    int error = 0;

    for (uint32_t i = 0; i < g->switch_links && !all; i++) {
        struct cxlf_link l = cxlf_graph_link(t, g->spines, i);

        all = memcmp(&l, &g->link[i], sizeof(l)) != 0;
    }
    for (uint32_t i = all ? 0 : g->switch_links; i < g->links && !error;
         i++) {
        struct cxlf_link l = cxlf_graph_link(t, g->spines,
                                             i - g->switch_links + own);

        if (i < g->switch_links || memcmp(&l, &g->link[i], sizeof(l))) {
            error = write_link(fdt, written++, &g->link[i]);
        }
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

/* Without 'pid' in the source they are 0, 1 ... in the order of numbering. */
static bool has_pids(const struct cxlf_topology *t,
                     const struct cxlf_graph *g)
{
    uint32_t next = 0;
    bool differ = false;

    for (uint32_t i = 0; i < t->hosts; i++) {
        differ |= g->pid_host[i] != next++;
    }
    for (uint32_t i = 0; i < t->gfams; i++) {
        differ |= g->pid_gfam[i] != next++;
    }
    for (uint32_t i = 0; i < cxlf_graph_switches(t, g); i++) {
        differ |= g->pid_switch[i] != next++;
    }
    return differ;
}

size_t cxlf_topology_write(const struct cxlf_topology *t, void *fdt,
                           size_t capacity)
{
    return cxlf_graph_write(t, NULL, fdt, capacity);
}

size_t cxlf_graph_write(const struct cxlf_topology *t,
                        const struct cxlf_graph *g, void *fdt,
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
    error = error ? error : write_nodes(t, g, g && has_pids(t, g), fdt);
    if (g) {
        error = error ? error : write_links(t, g, fdt);
    }
    error = error ? error : fdt_end_node(fdt);
    error = error ? error : fdt_finish(fdt);
    return error ? 0 : fdt_totalsize(fdt);
}
