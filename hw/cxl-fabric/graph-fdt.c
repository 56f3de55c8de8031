/*
 * Topology as a device tree: its switches and links, read
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "topology-props.h"

/* "leaf@3f", as in 'ends' */
static bool parse_end(const char *text, struct cxlf_node *end)
{
    for (int kind = CXLF_NODE_HOST; kind < CXLF_NODE_KINDS; kind++) {
        const char *digit;
        uint32_t number = 0;

        if (!is_node(text, cxlf_node_name[kind])) {
            continue;
        }
        digit = strchr(text, '@') + 1;
        if (!*digit || strlen(digit) > 3) {
            return false;
        }
        for (; *digit; digit++) {
            const char *at = strchr("0123456789abcdef", *digit);

            if (!at) {
                return false;
            }
            number = number * 16 + (at - "0123456789abcdef");
        }
        *end = (struct cxlf_node) { kind, number };
        return true;
    }
    return false;
}

static bool read_link(const void *fdt, int node, struct cxlf_link *l,
                      const char **why)
{
    *l = (struct cxlf_link) { .ports = 1, .rate = CXLF_DEFAULT_RATE };
    for (int i = 0; i < 2; i++) {
        const char *end = fdt_stringlist_get(fdt, node, "ends", i, NULL);

        if (!end || !parse_end(end, &l->end[i]) ||
            fdt_stringlist_count(fdt, node, "ends") != 2) {
            return wrong(fdt, node, why, "'ends' must be two names, such as "
                         "\"leaf@0\", \"spine@1\"");
        }
    }
    if (!cxlf_is_switch(l->end[0])) {
        struct cxlf_node first = l->end[0];

        l->end[0] = l->end[1];
        l->end[1] = first;
    }
    if (!get_option(fdt, node, "ports", &l->ports) || l->ports < 1 ||
        l->ports > CXLF_MAX_BUNDLE) {
        return wrong(fdt, node, why, "'ports' must be 1 to 8");
    }
    if (!get_option(fdt, node, "rate", &l->rate) ||
        l->rate < CXLF_MIN_RATE || l->rate > CXLF_MAX_RATE) {
        return wrong(fdt, node, why, "'rate' must be 250 to 1000000 (MB/s)");
    }
    if (!get_option(fdt, node, "latency", &l->latency) ||
        l->latency > CXLF_MAX_LATENCY) {
        return wrong(fdt, node, why, "'latency' must be 0 to 1000000 (ns)");
    }
    return true;
}

static bool exists(const struct cxlf_topology *t, uint32_t spines,
                   struct cxlf_node n)
{
    const uint32_t many[CXLF_NODE_KINDS] = {
        0, t->hosts, t->gfams, t->leaves, spines
    };

    return n.number < many[n.kind];
}

/*
 * The links that the source names.  Those between switches take the place of
 * all defaults; one of an endpoint that of its own, which @seen notes.
 */
static bool read_links(const void *fdt, const struct cxlf_topology *t,
                       struct cxlf_graph *g, const char **why)
{
    uint8_t seen[(CXLF_MAX_HOSTS + CXLF_MAX_GFAMS) / 8 + 1] = { 0 };
    struct cxlf_link l;
    uint32_t reg, next = 0, between = 0;
    int node;

    fdt_for_each_subnode(node, fdt, 0) {
        if (!is_node(fdt_get_name(fdt, node, NULL), "link")) {
            continue;
        }
        if (!get_u32(fdt, node, "reg", &reg) || reg != next++ ||
            reg >= CXLF_MAX_LINKS) {
            return wrong(fdt, node, why, "'reg' of links must run from 0 to "
                         "1fff (8191) in the order of the source");
        }
        if (!read_link(fdt, node, &l, why)) {
            return false;
        }
        if (!exists(t, g->spines, l.end[0]) ||
            !exists(t, g->spines, l.end[1])) {
            return wrong(fdt, node, why, "'ends' names what does not exist");
        }
        if (!memcmp(&l.end[0], &l.end[1], sizeof(l.end[0])) ||
            !cxlf_is_switch(l.end[0])) {
            return wrong(fdt, node, why, "'ends' must be two switches, or an "
                         "endpoint and its leaf");
        }
        if (cxlf_is_switch(l.end[1])) {
            g->link[between++] = l;
        }
    }
    if (between) {
        g->switch_links = between;
        g->links = between + t->gfams + t->hosts;
        for (uint32_t i = 0; i < t->gfams + t->hosts; i++) {
            if (between + i < CXLF_MAX_LINKS) {
                g->link[between + i] = cxlf_graph_link(t, g->spines, i +
                    cxlf_graph_links(t, g->spines));
            }
        }
    }
    if (g->links > CXLF_MAX_LINKS) {
        *why = "topology: /: with those of endpoints, up to 8192 links";
        return false;
    }
    fdt_for_each_subnode(node, fdt, 0) {
        uint32_t i, n;

        if (!is_node(fdt_get_name(fdt, node, NULL), "link") ||
            !read_link(fdt, node, &l, why) || cxlf_is_switch(l.end[1])) {
            continue;
        }
        i = cxlf_endpoint_link(t, g, l.end[1]);
        n = i - g->switch_links;
        if (memcmp(l.end, g->link[i].end, sizeof(l.end)) ||
            seen[n / 8] >> n % 8 & 1) {
            return wrong(fdt, node, why, "an endpoint has one link, to its "
                         "'leaf'");
        }
        seen[n / 8] |= 1 << n % 8;
        g->link[i] = l;
    }
    return true;
}

/* LDs of a device, and whose they are; or its dynamic capacity. */
static bool read_pool(const void *fdt, int node, uint32_t gfam,
                     const struct cxlf_topology *t, struct cxlf_graph *g,
                     const char **why)
{
    int length = 0;
    const fdt32_t *bound = fdt_getprop(fdt, node, "bound", &length);

    if (!get_option(fdt, node, "lds", &g->lds[gfam]) ||
        (fdt_getprop(fdt, node, "lds", NULL) && !g->lds[gfam]) ||
        g->lds[gfam] > CXLF_MAX_LDS) {
        return wrong(fdt, node, why, "'lds' must be 1 to 16");
    }
    if (fdt_getprop(fdt, node, "dynamic-capacity", NULL) &&
        !get_u64(fdt, node, "dynamic-capacity", &g->dynamic[gfam])) {
        return wrong(fdt, node, why, "'dynamic-capacity' must be bytes, in "
                     "two cells");
    }
    if (!bound) {
        return true;
    }
    for (int i = 0; i < length / 4; i++) {
        if (length % 4 || length / 4 > (int)g->lds[gfam] ||
            (fdt32_ld(&bound[i]) >= t->hosts &&
             fdt32_ld(&bound[i]) != CXLF_NOBODY)) {
            return wrong(fdt, node, why, "'bound' must have a host, or "
                         "ffffffff for none, for each of up to 'lds' logical "
                         "devices");
        }
        g->bound[gfam][i] = fdt32_ld(&bound[i]);
    }
    return true;
}

/* 'pid' and 'latency' of a component. */
static bool read_component(const void *fdt, int node,
                           const struct cxlf_topology *t,
                           struct cxlf_graph *g, const char **why)
{
    const char *name = fdt_get_name(fdt, node, NULL);
    uint32_t number, pid = CXLF_NO_PID, s;

    if (is_node(name, "link")) {
        return true;
    }
    if (!get_u32(fdt, node, "reg", &number) ||
        !get_option(fdt, node, "pid", &pid) ||
        (fdt_getprop(fdt, node, "pid", NULL) && pid >= CXLF_NO_PID)) {
        return wrong(fdt, node, why, "'pid' must be 0 to ffe (4094)");
    }
    if (is_node(name, "host")) {
        g->pid_host[number] = pid;
        return true;
    }
    if (is_node(name, "gfam")) {
        g->pid_gfam[number] = pid;
        return read_pool(fdt, node, number, t, g, why);
    }
    s = is_node(name, "leaf") ? number : t->leaves + number;
    g->pid_switch[s] = pid;
    if (!get_option(fdt, node, "latency", &g->latency[s]) ||
        g->latency[s] > CXLF_MAX_LATENCY) {
        return wrong(fdt, node, why, "'latency' must be 0 to 1000000 (ns)");
    }
    return true;
}

bool cxlf_graph_is_named(const void *blob)
{
    static const char *const property[] = {
        "pid", "latency", "lds", "bound", "dynamic-capacity",
    };
    int node;

    fdt_for_each_subnode(node, blob, 0) {
        const char *name = fdt_get_name(blob, node, NULL);

        if (is_node(name, "spine") || is_node(name, "link")) {
            return true;
        }
        for (size_t i = 0; i < sizeof(property) / sizeof(property[0]); i++) {
            if (fdt_getprop(blob, node, property[i], NULL)) {
                return true;
            }
        }
    }
    return false;
}

bool cxlf_graph_read(const void *blob, const struct cxlf_topology *t,
                     struct cxlf_graph *g, const char **why)
{
    Seen spines = { 0 };
    uint32_t n;
    int node;

    fdt_for_each_subnode(node, blob, 0) {
        if (is_node(fdt_get_name(blob, node, NULL), "spine") &&
            (!get_u32(blob, node, "reg", &n) ||
             !see(&spines, n, CXLF_MAX_SPINES))) {
            return wrong(blob, node, why,
                         "'reg' must be 0 to 3f (63), each once");
        }
    }
    if (!count(&spines, &n)) {
        *why = "topology: /: 'reg' of spines must run from 0 without a gap";
        return false;
    }
    cxlf_graph_default(t, n, g);
    if (!read_links(blob, t, g, why)) {
        return false;
    }
    fdt_for_each_subnode(node, blob, 0) {
        if (!read_component(blob, node, t, g, why)) {
            return false;
        }
    }
    if (!cxlf_graph_number(t, g)) {
        *why = "topology: /: hosts, GFAM devices, leaves and spines must be "
               "4095 at most to have PIDs";
        return false;
    }
    return cxlf_graph_check(t, g, why);
}
