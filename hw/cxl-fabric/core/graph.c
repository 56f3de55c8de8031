/*
 * The switches and links of a topology, and the PIDs of its components
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "cxlf/graph.h"

const char *const cxlf_node_name[CXLF_NODE_KINDS] = {
    [CXLF_NODE_NONE] = "none",
    [CXLF_NODE_HOST] = "host",
    [CXLF_NODE_GFAM] = "gfam",
    [CXLF_NODE_LEAF] = "leaf",
    [CXLF_NODE_SPINE] = "spine",
};

const char *cxlf_graph_why(const char *format, ...)
{
    static _Thread_local char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return text;
}

bool cxlf_graph_same(const struct cxlf_graph *a, const struct cxlf_graph *b)
{
    return !memcmp(a, b, offsetof(struct cxlf_graph, link)) &&
           !memcmp(a->link, b->link, a->links * sizeof(a->link[0]));
}

uint32_t cxlf_graph_links(const struct cxlf_topology *t, uint32_t spines)
{
    return spines ? t->leaves * spines : t->leaves * (t->leaves - 1) / 2;
}

/* Link @n of the mesh of leaves: 0-1, 0-2, 1-2, 0-3 ... */
static void mesh_link(uint32_t n, struct cxlf_node end[2])
{
    uint32_t high = 1;

    while (n >= high) {
        n -= high++;
    }
    end[0] = (struct cxlf_node) { CXLF_NODE_LEAF, n };
    end[1] = (struct cxlf_node) { CXLF_NODE_LEAF, high };
}

struct cxlf_link cxlf_graph_link(const struct cxlf_topology *t,
                                 uint32_t spines, uint32_t n)
{
    uint32_t switch_links = cxlf_graph_links(t, spines);
    struct cxlf_link link = { .ports = 1, .rate = CXLF_DEFAULT_RATE };

    if (n >= switch_links) {
        uint32_t i = n - switch_links;
        bool is_host = i >= t->gfams;

        i -= is_host ? t->gfams : 0;
        link.end[0].kind = CXLF_NODE_LEAF;
        link.end[0].number = is_host ? t->host_leaf[i] : t->gfam[i].leaf;
        link.end[1].kind = is_host ? CXLF_NODE_HOST : CXLF_NODE_GFAM;
        link.end[1].number = i;
    } else if (spines) {
        link.end[0] = (struct cxlf_node) { CXLF_NODE_LEAF, n / spines };
        link.end[1] = (struct cxlf_node) { CXLF_NODE_SPINE, n % spines };
    } else {
        mesh_link(n, link.end);
    }
    return link;
}

static uint32_t components(const struct cxlf_topology *t, uint32_t spines)
{
    return t->hosts + t->gfams + t->leaves + spines;
}

void cxlf_graph_default(const struct cxlf_topology *t, uint32_t spines,
                        struct cxlf_graph *g)
{
    memset(g, 0, offsetof(struct cxlf_graph, link));
    g->spines = spines;
    g->switch_links = cxlf_graph_links(t, spines);
    g->links = g->switch_links + t->gfams + t->hosts;
    for (uint32_t i = 0; i < g->links && i < CXLF_MAX_LINKS; i++) {
        g->link[i] = cxlf_graph_link(t, spines, i);
    }
    for (uint32_t s = 0; s < cxlf_graph_switches(t, g); s++) {
        g->latency[s] = CXLF_DEFAULT_LATENCY;
        g->pid_switch[s] = CXLF_NO_PID;
    }
    for (uint32_t i = 0; i < t->hosts; i++) {
        g->pid_host[i] = CXLF_NO_PID;
    }
    for (uint32_t i = 0; i < t->gfams; i++) {
        g->pid_gfam[i] = CXLF_NO_PID;
        for (uint32_t ld = 0; ld < CXLF_MAX_LDS; ld++) {
            g->bound[i][ld] = CXLF_NOBODY;
        }
    }
    cxlf_graph_number(t, g);
}

/* One after the other in the order of docs/topology.md. */
static uint16_t *pid_at(const struct cxlf_topology *t, struct cxlf_graph *g,
                        uint32_t n)
{
    if (n < t->hosts) {
        return &g->pid_host[n];
    }
    n -= t->hosts;
    return n < t->gfams ? &g->pid_gfam[n] : &g->pid_switch[n - t->gfams];
}

bool cxlf_graph_number(const struct cxlf_topology *t, struct cxlf_graph *g)
{
    uint64_t taken[CXLF_PIDS / 64] = { 0 };
    uint32_t next = 0;

    for (uint32_t i = 0; i < components(t, g->spines); i++) {
        uint16_t pid = *pid_at(t, g, i);

        if (pid < CXLF_NO_PID) {
            taken[pid / 64] |= 1ull << pid % 64;
        }
    }
    for (uint32_t i = 0; i < components(t, g->spines); i++) {
        uint16_t *pid = pid_at(t, g, i);

        if (*pid != CXLF_NO_PID) {
            continue;
        }
        while (next < CXLF_NO_PID && taken[next / 64] >> next % 64 & 1) {
            next++;
        }
        if (next == CXLF_NO_PID) {
            return false;
        }
        *pid = next++;
    }
    return true;
}

static bool is_node(const struct cxlf_topology *t, const struct cxlf_graph *g,
                    struct cxlf_node n)
{
    const uint32_t many[CXLF_NODE_KINDS] = {
        0, t->hosts, t->gfams, t->leaves, g->spines
    };

    return n.kind < CXLF_NODE_KINDS && n.number < many[n.kind];
}

static bool check_links(const struct cxlf_topology *t,
                        const struct cxlf_graph *g, const char **why)
{
    for (uint32_t i = 0; i < g->links; i++) {
        const struct cxlf_link *l = &g->link[i];
        bool between = i < g->switch_links;
        uint32_t n = i - (between ? i : g->switch_links) +
                     cxlf_graph_links(t, g->spines);
        struct cxlf_link own = cxlf_graph_link(t, g->spines, n);

        if (!is_node(t, g, l->end[0]) || !is_node(t, g, l->end[1]) ||
            !cxlf_is_switch(l->end[0]) ||
            cxlf_is_switch(l->end[1]) != between ||
            !memcmp(&l->end[0], &l->end[1], sizeof(l->end[0])) ||
            (!between && memcmp(l->end, own.end, sizeof(own.end)))) {
            *why = cxlf_graph_why("topology: link %u: its ends must be two "
                                  "switches, or a leaf and an endpoint there",
                                  i);
            return false;
        }
        if (l->ports < 1 || l->ports > CXLF_MAX_BUNDLE ||
            l->rate < CXLF_MIN_RATE || l->rate > CXLF_MAX_RATE ||
            l->latency > CXLF_MAX_LATENCY) {
            *why = cxlf_graph_why("topology: %s@%x to %s@%x: 'ports' must be "
                                  "1 to 8, 'rate' 250 to 1000000 (MB/s), "
                                  "'latency' 0 to 1000000 (ns)",
                                  cxlf_node_name[l->end[0].kind],
                                  l->end[0].number,
                                  cxlf_node_name[l->end[1].kind],
                                  l->end[1].number);
            return false;
        }
    }
    return true;
}

static bool check_ports(const struct cxlf_topology *t,
                        const struct cxlf_graph *g, const char **why)
{
    uint32_t ports[CXLF_MAX_SWITCHES] = { 0 };

    for (uint32_t i = 0; i < g->links; i++) {
        for (int e = 0; e < 2; e++) {
            struct cxlf_node n = g->link[i].end[e];

            if (cxlf_is_switch(n)) {
                ports[cxlf_switch_of(t, n)] += g->link[i].ports;
            }
        }
    }
    for (uint32_t s = 0; s < cxlf_graph_switches(t, g); s++) {
        struct cxlf_node n = cxlf_switch_node(t, s);

        if (ports[s] > CXLF_MAX_PORTS) {
            *why = cxlf_graph_why("topology: /%s@%x: %u ports: a PBR switch "
                                  "has up to 256; use more leaves, or fewer "
                                  "'ports' of links",
                                  cxlf_node_name[n.kind], n.number, ports[s]);
            return false;
        }
        if (g->latency[s] > CXLF_MAX_LATENCY) {
            *why = cxlf_graph_why("topology: /%s@%x: 'latency' must be 0 to "
                                  "1000000 (ns)", cxlf_node_name[n.kind],
                                  n.number);
            return false;
        }
    }
    return true;
}

static bool check_pids(const struct cxlf_topology *t,
                       const struct cxlf_graph *g, const char **why)
{
    uint64_t taken[CXLF_PIDS / 64] = { 0 };

    for (uint32_t i = 0; i < components(t, g->spines); i++) {
        uint16_t pid = *pid_at(t, (struct cxlf_graph *)g, i);

        if (pid >= CXLF_NO_PID || taken[pid / 64] >> pid % 64 & 1) {
            *why = cxlf_graph_why("topology: /: 'pid' %x: must be 0 to ffe "
                                  "(4094), each once", pid);
            return false;
        }
        taken[pid / 64] |= 1ull << pid % 64;
    }
    return true;
}

/*
 * Breadth first from each leaf; those of another must be within the links
 * that a route has beside those of its endpoints.
 */
static bool check_reach(const struct cxlf_topology *t,
                        const struct cxlf_graph *g, const char **why)
{
    uint32_t switches = cxlf_graph_switches(t, g);

    for (uint32_t from = 0; from < t->leaves; from++) {
        uint8_t far[CXLF_MAX_SWITCHES];

        memset(far, UINT8_MAX, sizeof(far));
        far[from] = 0;
        for (uint32_t d = 0; d < CXLF_MAX_ROUTE - 2; d++) {
            for (uint32_t i = 0; i < g->switch_links; i++) {
                uint32_t a = cxlf_switch_of(t, g->link[i].end[0]);
                uint32_t b = cxlf_switch_of(t, g->link[i].end[1]);

                if (far[a] == d && far[b] > d + 1) {
                    far[b] = d + 1;
                } else if (far[b] == d && far[a] > d + 1) {
                    far[a] = d + 1;
                }
            }
        }
        for (uint32_t s = 0; s < switches; s++) {
            struct cxlf_node n = cxlf_switch_node(t, s);

            if (far[s] == UINT8_MAX) {
                *why = cxlf_graph_why("topology: /%s@%x: must be within %u "
                                      "links from leaf@%x",
                                      cxlf_node_name[n.kind], n.number,
                                      CXLF_MAX_ROUTE - 2, from);
                return false;
            }
        }
    }
    return true;
}

static bool check_dynamic(const struct cxlf_topology *t,
                          const struct cxlf_graph *g, const char **why)
{
    for (uint32_t i = 0; i < t->gfams; i++) {
        if (g->dynamic[i] % CXLF_CAPACITY_UNIT ||
            g->dynamic[i] > t->gfam[i].bulk ||
            g->dynamic[i] > CXLF_MAX_DYNAMIC ||
            (g->dynamic[i] && g->lds[i])) {
            *why = cxlf_graph_why("topology: /gfam@%x: 'dynamic-capacity' "
                                  "must be a multiple of 256 MiB up to "
                                  "'bulk-size' and to 1 TiB, and without "
                                  "'lds'", i);
            return false;
        }
    }
    return true;
}

static bool check_lds(const struct cxlf_topology *t,
                      const struct cxlf_graph *g, const char **why)
{
    for (uint32_t i = 0; i < t->gfams; i++) {
        uint64_t units = (t->gfam[i].hot + t->gfam[i].bulk) /
                         CXLF_CAPACITY_UNIT;

        if (g->lds[i] > CXLF_MAX_LDS ||
            (g->lds[i] && units % g->lds[i])) {
            *why = cxlf_graph_why("topology: /gfam@%x: 'lds' must be 1 to 16, "
                                  "and divide the device into multiples of "
                                  "256 MiB", i);
            return false;
        }
        for (uint32_t ld = 0; ld < CXLF_MAX_LDS; ld++) {
            uint32_t host = g->bound[i][ld];

            if (host != CXLF_NOBODY &&
                (ld >= g->lds[i] || host >= t->hosts)) {
                *why = cxlf_graph_why("topology: /gfam@%x: 'bound' must have "
                                      "a host, or ffffffff for none, for each "
                                      "of up to 'lds' logical devices", i);
                return false;
            }
        }
    }
    return true;
}

bool cxlf_graph_check(const struct cxlf_topology *t,
                      const struct cxlf_graph *g, const char **why)
{
    if (g->spines > CXLF_MAX_SPINES) {
        *why = "topology: up to 64 spines";
        return false;
    }
    if (components(t, g->spines) >= CXLF_PIDS) {
        *why = "topology: hosts, GFAM devices, leaves and spines must be "
               "4095 at most to have PIDs";
        return false;
    }
    if (g->switch_links > CXLF_MAX_LINKS ||
        g->links != g->switch_links + t->gfams + t->hosts ||
        g->links > CXLF_MAX_LINKS) {
        *why = "topology: up to 8192 links";
        return false;
    }
    return check_links(t, g, why) && check_ports(t, g, why) &&
           check_pids(t, g, why) && check_reach(t, g, why) &&
           check_lds(t, g, why) && check_dynamic(t, g, why);
}
