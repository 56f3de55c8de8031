/*
 * Routing tables: their segment, and how the owner changes them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/access.h"
#include "cxlf/route.h"

uint64_t cxlf_routes_size(const struct cxlf_topology *t,
                          const struct cxlf_graph *g)
{
    return sizeof(struct cxlf_routes) +
           (uint64_t)cxlf_graph_switches(t, g) *
           sizeof(struct cxlf_switch_tables) +
           (uint64_t)t->gfams * sizeof(struct cxlf_access_tables);
}

static struct cxlf_segment segment(uint64_t magic, uint32_t header,
                                   uint64_t size,
                                   const struct cxlf_topology *t,
                                   const uint8_t uuid[16])
{
    struct cxlf_segment s = {
        .magic = magic, .version = CXLF_ABI_VERSION, .header_size = header,
        .size = size, .hosts = t->hosts,
    };

    memcpy(s.uuid, uuid, sizeof(s.uuid));
    return s;
}

void cxlf_routes_format(void *memory, const struct cxlf_topology *t,
                        const struct cxlf_graph *g, const uint8_t uuid[16])
{
    struct cxlf_routes *h = memory;

    h->segment = segment(CXLF_ROUTES_MAGIC, sizeof(*h),
                         cxlf_routes_size(t, g), t, uuid);
    h->switches = cxlf_graph_switches(t, g);
    h->links = g->links;
    h->gfams = t->gfams;
    h->generation = 2;
}

/* Ports are numbered through the links, in their order. */
static void number_ports(struct cxlf_router *r)
{
    uint32_t next[CXLF_MAX_SWITCHES] = { 0 };

    memset(r->port_link, UINT8_MAX, sizeof(r->port_link));
    for (uint32_t i = 0; i < r->graph->links; i++) {
        const struct cxlf_link *l = &r->graph->link[i];

        for (int e = 0; e < 2; e++) {
            uint32_t s;

            if (!cxlf_is_switch(l->end[e])) {
                continue;
            }
            s = cxlf_switch_of(r->topology, l->end[e]);
            r->link_port[i][e] = next[s];
            for (uint32_t p = 0; p < l->ports; p++) {
                r->port_link[s][next[s]++] = i;
            }
        }
    }
}

bool cxlf_routes_attach(struct cxlf_router *r, void *memory, uint64_t size,
                        const struct cxlf_topology *t,
                        const struct cxlf_graph *g, const uint8_t uuid[16],
                        const char **why)
{
    struct cxlf_routes *h = memory;
    struct cxlf_segment wanted = segment(CXLF_ROUTES_MAGIC, sizeof(*h),
                                         cxlf_routes_size(t, g), t, uuid);

    if (size < wanted.size) {
        *why = "the routing tables' segment is too small";
        return false;
    }
    if (memcmp(&h->segment, &wanted, sizeof(wanted)) ||
        h->switches != cxlf_graph_switches(t, g) || h->links != g->links ||
        h->gfams != t->gfams) {
        *why = "the routing tables' header is not that of the topology";
        return false;
    }
    r->shared = h;
    r->tables = (void *)((char *)memory + sizeof(*h));
    r->switches = cxlf_graph_switches(t, g);
    r->access = (void *)(r->tables + r->switches);
    r->topology = t;
    r->graph = g;
    for (uint32_t i = 0; i < t->gfams; i++) {
        r->dynamic[i] = t->gfam[i].hot + t->gfam[i].bulk - g->dynamic[i];
    }
    number_ports(r);
    return true;
}

void cxlf_routes_begin(struct cxlf_router *r)
{
    uint64_t now = __atomic_load_n(&r->shared->generation, __ATOMIC_RELAXED);

    __atomic_store_n(&r->shared->generation, now | 1,
                     __ATOMIC_RELAXED);                     /* W0 */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void cxlf_routes_end(struct cxlf_router *r)
{
    uint64_t now = __atomic_load_n(&r->shared->generation, __ATOMIC_RELAXED);

    __atomic_store_n(&r->shared->generation, (now | 1) + 1,
                     __ATOMIC_RELEASE);                     /* W2 */
}

bool cxlf_routes_open(const struct cxlf_router *r)
{
    return __atomic_load_n(&r->shared->generation, __ATOMIC_RELAXED) & 1;
}

static void set_bit(uint64_t *map, uint32_t bit)
{
    map[bit / 64] |= 1ull << bit % 64;
}

static bool has_bit(const uint64_t *map, uint32_t bit)
{
    return map[bit / 64] >> bit % 64 & 1;
}

static void store_drt(struct cxlf_router *r, uint32_t s, uint32_t pid,
                      uint16_t entry)
{
    __atomic_store_n(&r->tables[s].drt[pid], entry, __ATOMIC_RELAXED);
}

static void store_rgt(struct cxlf_router *r, uint32_t s, uint32_t index,
                      const struct cxlf_rgt_entry *entry)
{
    struct cxlf_rgt_entry *at = &r->tables[s].rgt[index];
    uint64_t ports;

    memcpy(&ports, entry->port, sizeof(ports));
    __atomic_store_n((uint64_t *)at->port, ports, __ATOMIC_RELAXED);
    __atomic_store_n(&at->word, entry->word, __ATOMIC_RELAXED);
}

static bool drt_is_good(const struct cxlf_router *r, uint32_t s,
                        uint16_t entry)
{
    switch (CXLF_DRT_TYPE(entry)) {
    case CXLF_DRT_INVALID:
    case CXLF_DRT_RGT:
        return !(entry & 0xfc);
    case CXLF_DRT_PORT:
        return !(entry & 0xfc) &&
               r->port_link[s][CXLF_DRT_TARGET(entry)] != CXLF_NO_LINK;
    default:
        return false;
    }
}

bool cxlf_drt_set(struct cxlf_router *r, uint32_t s, uint32_t start,
                  uint32_t n, const uint16_t *entry)
{
    if (!cxlf_routes_open(r) || s >= r->switches || start >= CXLF_PIDS ||
        n > CXLF_PIDS - start) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!drt_is_good(r, s, entry[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        store_drt(r, s, start + i, entry[i]);
        if (r->by_hand) {
            set_bit(r->by_hand[s].drt, start + i);
        }
    }
    return true;
}

static bool rgt_is_good(const struct cxlf_router *r, uint32_t s,
                        const struct cxlf_rgt_entry *entry)
{
    unsigned highest = CXLF_RGT_HIGHEST(entry->word);
    unsigned mode = CXLF_RGT_MODE(entry->word);

    for (unsigned i = 0; i <= highest; i++) {
        if (r->port_link[s][entry->port[i]] == CXLF_NO_LINK) {
            return false;
        }
    }
    return CXLF_RGT_PRIMARY_OF(entry->word) <= highest &&
           (mode <= CXLF_RGT_ADVANCED || mode == CXLF_RGT_PRIMARY) &&
           entry->word == CXLF_RGT_WORD(highest,
                                        CXLF_RGT_PRIMARY_OF(entry->word),
                                        mode, CXLF_RGT_MIX(entry->word));
}

bool cxlf_rgt_set(struct cxlf_router *r, uint32_t s, uint32_t start,
                  uint32_t n, const struct cxlf_rgt_entry *entry)
{
    if (!cxlf_routes_open(r) || s >= r->switches ||
        start >= CXLF_RGT_ENTRIES || n > CXLF_RGT_ENTRIES - start) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!rgt_is_good(r, s, &entry[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        store_rgt(r, s, start + i, &entry[i]);
        if (r->by_hand) {
            set_bit(r->by_hand[s].rgt, start + i);
        }
    }
    return true;
}

bool cxlf_pid_set(struct cxlf_router *r, uint32_t pid, struct cxlf_node node)
{
    const uint32_t many[CXLF_NODE_KINDS] = {
        1, r->topology->hosts, r->topology->gfams, r->topology->leaves,
        r->graph->spines
    };

    if (!cxlf_routes_open(r) || pid >= CXLF_NO_PID ||
        node.kind >= CXLF_NODE_KINDS || node.number >= many[node.kind]) {
        return false;
    }
    __atomic_store_n(&r->shared->pid[pid],
                     (uint16_t)(node.kind << 12 | node.number),
                     __ATOMIC_RELAXED);
    return true;
}

bool cxlf_link_set(struct cxlf_router *r, uint32_t link, uint32_t up)
{
    if (!cxlf_routes_open(r) || link >= r->graph->links ||
        up >> r->graph->link[link].ports) {
        return false;
    }
    __atomic_store_n(&r->shared->up[link], up, __ATOMIC_RELAXED);
    return true;
}

bool cxlf_switch_set(struct cxlf_router *r, uint32_t s, bool up)
{
    if (!cxlf_routes_open(r) || s >= r->switches) {
        return false;
    }
    __atomic_store_n(&r->tables[s].down, !up, __ATOMIC_RELAXED);
    return true;
}

/* How far each switch is from each, over what is up; UINT8_MAX: it is not. */
struct distances {
    uint8_t far[CXLF_MAX_SWITCHES][CXLF_MAX_SWITCHES];
};

static void measure(const struct cxlf_router *r, struct distances *d)
{
    memset(d, UINT8_MAX, sizeof(*d));
    for (uint32_t to = 0; to < r->switches; to++) {
        uint8_t *far = d->far[to];
        bool more = cxlf_switch_get(r, to);

        far[to] = more ? 0 : UINT8_MAX;
        for (uint32_t n = 0; more && n < CXLF_MAX_ROUTE; n++) {
            more = false;
            for (uint32_t i = 0; i < r->graph->switch_links; i++) {
                const struct cxlf_link *l = &r->graph->link[i];
                uint32_t a = cxlf_switch_of(r->topology, l->end[0]);
                uint32_t b = cxlf_switch_of(r->topology, l->end[1]);
                uint32_t next = far[a] == n ? b : a;

                if ((far[a] != n && far[b] != n) || far[next] <= n ||
                    !cxlf_link_get(r, i) || !cxlf_switch_get(r, next)) {
                    continue;
                }
                far[next] = n + 1;
                more = true;
            }
        }
    }
}

/* The tables of one switch, while they are made. */
struct making {
    struct cxlf_router *r;
    uint32_t s;
    struct cxlf_by_hand keep;
    uint8_t free[CXLF_RGT_ENTRIES];     /* indices of entries not kept */
    uint32_t frees;
    struct cxlf_rgt_entry rgt[CXLF_RGT_ENTRIES];    /* for free[i] */
    uint32_t used;
};

/*
 * What was set by hand stays, and so do the entries of one table whose entry
 * in the other was.
 */
static void find_kept(struct making *m)
{
    const struct cxlf_by_hand *set = m->r->by_hand;

    if (set) {
        m->keep = set[m->s];
    }
    for (uint32_t pid = 0; set && pid < CXLF_PIDS; pid++) {
        uint16_t entry = cxlf_drt_get(m->r, m->s, pid);

        if (CXLF_DRT_TYPE(entry) != CXLF_DRT_RGT) {
            continue;
        }
        if (has_bit(set[m->s].rgt, CXLF_DRT_TARGET(entry))) {
            set_bit(m->keep.drt, pid);
        } else if (has_bit(set[m->s].drt, pid)) {
            set_bit(m->keep.rgt, CXLF_DRT_TARGET(entry));
        }
    }
    for (uint32_t i = 0; i < CXLF_RGT_ENTRIES; i++) {
        if (!has_bit(m->keep.rgt, i)) {
            m->free[m->frees++] = i;
        }
    }
}

/*
 * An entry for @n ports that are equally near, which begin elsewhere for each
 * destination @to: a window of 8 of them, so that all are used.
 */
static uint16_t entry_for(struct making *m, const uint8_t *port, uint32_t n,
                          uint32_t to)
{
    uint32_t count = n < CXLF_RGT_PORTS ? n : CXLF_RGT_PORTS;
    struct cxlf_rgt_entry e = { { 0 }, 0, 0 };

    if (n == 0) {
        return CXLF_DRT(CXLF_DRT_INVALID, 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        e.port[i] = port[n > count ? (to * count + i) % n : i];
    }
    if (n == 1) {
        return CXLF_DRT(CXLF_DRT_PORT, port[0]);
    }
    e.word = CXLF_RGT_WORD(count - 1, to % count, CXLF_RGT_RANDOM, 0);
    for (uint32_t i = 0; i < m->used; i++) {
        if (!memcmp(&m->rgt[i], &e, sizeof(e))) {
            return CXLF_DRT(CXLF_DRT_RGT, m->free[i]);
        }
    }
    if (m->used == m->frees) {
        return CXLF_DRT(CXLF_DRT_PORT, e.port[to % count]);
    }
    m->rgt[m->used] = e;
    return CXLF_DRT(CXLF_DRT_RGT, m->free[m->used++]);
}

/* The ports of @s that lead nearer to each other switch. */
static void find_entries(struct making *m, const struct distances *d,
                         uint16_t entry[CXLF_MAX_SWITCHES])
{
    const struct cxlf_router *r = m->r;
    uint8_t port[CXLF_MAX_PORTS];

    for (uint32_t to = 0; to < r->switches; to++) {
        const uint8_t *far = d->far[to];
        uint32_t n = 0;

        for (uint32_t p = 0; p < CXLF_MAX_PORTS; p++) {
            uint32_t link = r->port_link[m->s][p], a, b;

            if (link >= r->graph->switch_links || !cxlf_link_get(r, link)) {
                continue;
            }
            a = cxlf_switch_of(r->topology, r->graph->link[link].end[0]);
            b = cxlf_switch_of(r->topology, r->graph->link[link].end[1]);
            /* A bundle is one way: by its first port. */
            if (r->link_port[link][a != m->s] == p &&
                far[a == m->s ? b : a] + 1 == far[m->s]) {
                port[n++] = p;
            }
        }
        entry[to] = entry_for(m, port, n, to);
    }
}

/* Where each PID is: a switch, and the link if it is an endpoint there. */
struct places {
    uint16_t s[CXLF_PIDS];      /* UINT16_MAX: it names nothing */
    uint16_t link[CXLF_PIDS];   /* or CXLF_NO_LINK */
};

static void find_places(const struct cxlf_router *r, struct places *p)
{
    for (uint32_t pid = 0; pid < CXLF_PIDS; pid++) {
        struct cxlf_node node = cxlf_pid_get(r, pid);

        p->s[pid] = UINT16_MAX;
        p->link[pid] = CXLF_NO_LINK;
        if (cxlf_is_switch(node)) {
            p->s[pid] = cxlf_switch_of(r->topology, node);
        } else if (node.kind != CXLF_NODE_NONE) {
            p->link[pid] = cxlf_endpoint_link(r->topology, r->graph, node);
            p->s[pid] = r->graph->link[p->link[pid]].end[0].number;
        }
    }
}

bool cxlf_routes_compute(struct cxlf_router *r)
{
    struct places places;
    struct distances d;

    if (!cxlf_routes_open(r)) {
        return false;
    }
    find_places(r, &places);
    measure(r, &d);
    for (uint32_t s = 0; s < r->switches; s++) {
        struct making m = { .r = r, .s = s };
        uint16_t entry[CXLF_MAX_SWITCHES];

        find_kept(&m);
        find_entries(&m, &d, entry);
        for (uint32_t i = 0; i < m.frees; i++) {
            store_rgt(r, s, m.free[i], &m.rgt[i]);
        }
        for (uint32_t pid = 0; pid < CXLF_PIDS; pid++) {
            uint16_t link = places.link[pid], to = places.s[pid];

            if (has_bit(m.keep.drt, pid)) {
                continue;
            }
            to = to == UINT16_MAX ? CXLF_DRT(CXLF_DRT_INVALID, 0) :
                 to != s || link == CXLF_NO_LINK ? entry[to] :
                 CXLF_DRT(CXLF_DRT_PORT, r->link_port[link][0]);
            store_drt(r, s, pid, to);
        }
    }
    return true;
}

bool cxlf_routes_reset(struct cxlf_router *r)
{
    const struct cxlf_topology *t = r->topology;
    const struct cxlf_graph *g = r->graph;
    struct cxlf_node node = { CXLF_NODE_NONE, 0 };

    if (!cxlf_routes_open(r)) {
        return false;
    }
    if (r->by_hand) {
        memset(r->by_hand, 0, r->switches * sizeof(*r->by_hand));
    }
    for (uint32_t pid = 0; pid < CXLF_NO_PID; pid++) {
        cxlf_pid_set(r, pid, node);
    }
    node.kind = CXLF_NODE_HOST;
    for (node.number = 0; node.number < t->hosts; node.number++) {
        cxlf_pid_set(r, cxlf_graph_pid(t, g, node), node);
    }
    node.kind = CXLF_NODE_GFAM;
    for (node.number = 0; node.number < t->gfams; node.number++) {
        cxlf_pid_set(r, cxlf_graph_pid(t, g, node), node);
    }
    for (uint32_t s = 0; s < r->switches; s++) {
        cxlf_pid_set(r, g->pid_switch[s], cxlf_switch_node(t, s));
        cxlf_switch_set(r, s, true);
    }
    for (uint32_t i = 0; i < g->links; i++) {
        cxlf_link_set(r, i, (1u << g->link[i].ports) - 1);
    }
    return cxlf_access_reset(r) && cxlf_routes_compute(r);
}

/* Of the counters of links, which those of devices follow. */
static uint64_t links_size(const struct cxlf_graph *g, uint32_t lanes)
{
    return (uint64_t)lanes * g->links * 2 * sizeof(struct cxlf_link_count);
}

struct cxlf_qos *cxlf_counts_qos(struct cxlf_link_count *counts,
                                 const struct cxlf_graph *g, uint32_t lanes)
{
    return (void *)((char *)counts + links_size(g, lanes));
}

uint64_t cxlf_counts_size(const struct cxlf_graph *g, uint32_t lanes)
{
    return sizeof(struct cxlf_counts) + links_size(g, lanes) +
           cxlf_qos_size(lanes);
}

void cxlf_counts_format(void *memory, const struct cxlf_topology *t,
                        const struct cxlf_graph *g, uint32_t lanes,
                        const uint8_t uuid[16])
{
    struct cxlf_counts *h = memory;

    h->segment = segment(CXLF_COUNTS_MAGIC, sizeof(*h),
                         cxlf_counts_size(g, lanes), t, uuid);
    h->links = g->links;
    h->lanes = lanes;
    cxlf_qos_format(cxlf_counts_qos((void *)h->end, g, lanes));
}

struct cxlf_link_count *
cxlf_counts_attach(void *memory, uint64_t size, const struct cxlf_topology *t,
                   const struct cxlf_graph *g, uint32_t lanes,
                   const uint8_t uuid[16], const char **why)
{
    struct cxlf_counts *h = memory;
    struct cxlf_segment wanted = segment(CXLF_COUNTS_MAGIC, sizeof(*h),
                                         cxlf_counts_size(g, lanes), t, uuid);

    if (size < wanted.size) {
        *why = "the link counters' segment is too small";
        return NULL;
    }
    if (memcmp(&h->segment, &wanted, sizeof(wanted)) ||
        h->links != g->links || h->lanes != lanes) {
        *why = "the link counters' header is not that of the topology";
        return NULL;
    }
    return (void *)h->end;
}
