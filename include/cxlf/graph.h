/*
 * The switches and links of a topology, and the PIDs of its components
 *
 * What is beside the directory in a topology's device tree: spines, links,
 * bundles, rates and latencies, logical devices (docs/topology.md).  Like the
 * rest of a topology it never changes in the life of a fabric; what changes
 * is in the tables of cxlf/route.h.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_GRAPH_H
#define CXLF_GRAPH_H

#include "cxlf/topology.h"

#define CXLF_MAX_SPINES     64
#define CXLF_MAX_SWITCHES   (CXLF_MAX_LEAVES + CXLF_MAX_SPINES)
#define CXLF_MAX_LINKS      8192
#define CXLF_MAX_BUNDLE     8       /* ports of a link, on each side */
#define CXLF_MAX_PORTS      256     /* of a switch: a DRT's target is a byte */
#define CXLF_MAX_LDS        16      /* of a device: CXL r3.1 section 2.5 */
#define CXLF_MAX_ROUTE      8       /* links of a route */
#define CXLF_PIDS           4096
#define CXLF_NO_PID         0xfffu
#define CXLF_NOBODY         UINT32_MAX

#define CXLF_DEFAULT_RATE       64000u  /* MB/s: 16 lanes of PCIe 5.0 */
#define CXLF_MIN_RATE           250u    /* a slot's picoseconds fit 16 bits */
#define CXLF_MAX_RATE           1000000u
#define CXLF_MAX_LATENCY        1000000u    /* ns */
#define CXLF_DEFAULT_LATENCY    180u    /* ns of a switch, one way */

enum cxlf_node_kind {
    CXLF_NODE_NONE,
    CXLF_NODE_HOST,
    CXLF_NODE_GFAM,
    CXLF_NODE_LEAF,
    CXLF_NODE_SPINE,
    CXLF_NODE_KINDS
};

extern const char *const cxlf_node_name[CXLF_NODE_KINDS];

struct cxlf_node {
    uint16_t kind;          /* enum cxlf_node_kind */
    uint16_t number;
};

struct cxlf_link {
    struct cxlf_node end[2];    /* the first is a switch, always */
    uint32_t ports;         /* bundled, on each side: 1 to 8 */
    uint32_t rate;          /* MB/s of a port in each direction */
    uint32_t latency;       /* ns, one way */
};

struct cxlf_graph {
    uint32_t spines;
    uint32_t switch_links;  /* these come first */
    uint32_t links;         /* then one for each GFAM device, and host */
    uint32_t latency[CXLF_MAX_SWITCHES];    /* ns, one way; leaves first */
    uint16_t pid_host[CXLF_MAX_HOSTS];
    uint16_t pid_gfam[CXLF_MAX_GFAMS];
    uint16_t pid_switch[CXLF_MAX_SWITCHES]; /* leaves first */
    uint32_t lds[CXLF_MAX_GFAMS];           /* 0: not a pooled device */
    /* The host that a logical device is bound to at first, or NOBODY. */
    uint32_t bound[CXLF_MAX_GFAMS][CXLF_MAX_LDS];
    /* Bytes of dynamic capacity, at the end of BULK. */
    uint64_t dynamic[CXLF_MAX_GFAMS];
    struct cxlf_link link[CXLF_MAX_LINKS];      /* [links] of them */
};

/* cxlf_graph_same: whether two graphs of a topology are the same. */
bool cxlf_graph_same(const struct cxlf_graph *a, const struct cxlf_graph *b);

/*
 * cxlf_graph_links: how many links between switches a topology with @spines
 * has when its source names none: each leaf with each spine, or without
 * spines each leaf with each other.
 * cxlf_graph_link: the default of link @n of those, or of the endpoints.
 */
uint32_t cxlf_graph_links(const struct cxlf_topology *t, uint32_t spines);
struct cxlf_link cxlf_graph_link(const struct cxlf_topology *t,
                                 uint32_t spines, uint32_t n);

/*
 * cxlf_graph_default: what a topology has whose source says nothing of it,
 * but for the number of spines.  Needs a @t that was checked, and at most
 * 4,095 components, as cxlf_graph_check() says.
 */
void cxlf_graph_default(const struct cxlf_topology *t, uint32_t spines,
                        struct cxlf_graph *g);

/*
 * cxlf_graph_number: give PIDs to who has none (CXLF_NO_PID): the lowest
 * that are free to hosts, then to GFAM devices, leaves and spines.
 * Returns false if there are not enough.
 */
bool cxlf_graph_number(const struct cxlf_topology *t, struct cxlf_graph *g);

/*
 * cxlf_graph_check: whether @g is within every limit, all its links lead
 * somewhere, PIDs are unique and all endpoints are within 8 links.
 * On failure *@why is a sentence that names the component and the property,
 * and what it accepts; it is valid until the thread's next failure.
 * Any thread; no locks.
 */
bool cxlf_graph_check(const struct cxlf_topology *t,
                      const struct cxlf_graph *g, const char **why);

/* cxlf_graph_why: such a sentence, from a format; for those who read @g. */
const char *cxlf_graph_why(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

static inline uint32_t cxlf_graph_switches(const struct cxlf_topology *t,
                                           const struct cxlf_graph *g)
{
    return t->leaves + g->spines;
}

static inline bool cxlf_is_switch(struct cxlf_node n)
{
    return n.kind == CXLF_NODE_LEAF || n.kind == CXLF_NODE_SPINE;
}

/* The number of a switch among all: leaves first. */
static inline uint32_t cxlf_switch_of(const struct cxlf_topology *t,
                                      struct cxlf_node n)
{
    return n.kind == CXLF_NODE_LEAF ? n.number : t->leaves + n.number;
}

static inline struct cxlf_node cxlf_switch_node(const struct cxlf_topology *t,
                                                uint32_t s)
{
    return s < t->leaves ?
           (struct cxlf_node) { CXLF_NODE_LEAF, s } :
           (struct cxlf_node) { CXLF_NODE_SPINE, s - t->leaves };
}

/* The link of an endpoint. */
static inline uint32_t cxlf_endpoint_link(const struct cxlf_topology *t,
                                          const struct cxlf_graph *g,
                                          struct cxlf_node n)
{
    return g->switch_links + n.number +
           (n.kind == CXLF_NODE_HOST ? t->gfams : 0);
}

/* The PID of a component. */
static inline uint16_t cxlf_graph_pid(const struct cxlf_topology *t,
                                      const struct cxlf_graph *g,
                                      struct cxlf_node n)
{
    return n.kind == CXLF_NODE_HOST ? g->pid_host[n.number] :
           n.kind == CXLF_NODE_GFAM ? g->pid_gfam[n.number] :
                                      g->pid_switch[cxlf_switch_of(t, n)];
}

#endif /* CXLF_GRAPH_H */
