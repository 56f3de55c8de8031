/*
 * Fuzz: routing tables that somebody else wrote, and commands that set them
 *
 * Whatever the tables hold, a route that is found is a way through links that
 * are up, from one component to the other, and the setters' limits hold.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/access.h"
#include "fuzz.h"

enum { WRITE, WRITE_DRT, WRITE_RGT, WRITE_GDT, SET_DRT, SET_RGT, SET_PID,
       SET_STATE, SET_ACCESS, COMPUTE, CHANGE, RESOLVE, LOOKUP, REACH, OPS };

#define SHAPES  2
#define PIDS    16      /* those that are named; fewer are in use */
#define LDS     4

/* The tables, as they were and as they are; of GDTs, those of PIDS. */
typedef struct Shape {
    struct cxlf_topology t;
    struct cxlf_graph g;
    struct cxlf_router r;
    uint8_t *memory, *fresh;
    size_t used;
    struct cxlf_link_count *lane;
    bool computed;
} Shape;

static const uint8_t uuid[16] = "fuzz";

static void make(Shape *s, bool pooled)
{
    const char *why;
    uint64_t size;

    s->t = (struct cxlf_topology) {
        .hosts = 5, .leaves = 3, .shards = 1, .gfams = 1,
        .gfam[0] = { .hot = 2 * CXLF_CAPACITY_UNIT,
                     .bulk = 2 * CXLF_CAPACITY_UNIT },
        .host_leaf = { 0, 1, 2, 0, 1 },
    };
    cxlf_graph_default(&s->t, pooled ? 0 : 2, &s->g);
    if (pooled) {
        s->g.lds[0] = LDS;
        s->g.bound[0][1] = 3;
    } else {
        s->g.link[1].ports = 4;
        s->g.link[4].latency = 7;
    }
    MUST(cxlf_graph_check(&s->t, &s->g, &why));
    size = (cxlf_routes_size(&s->t, &s->g) + 127) / 128 * 128;
    s->memory = aligned_alloc(128, size);
    memset(s->memory, 0, size);
    cxlf_routes_format(s->memory, &s->t, &s->g, uuid);
    MUST(cxlf_routes_attach(&s->r, s->memory, size, &s->t, &s->g, uuid,
                            &why));
    cxlf_routes_begin(&s->r);
    MUST(cxlf_routes_reset(&s->r));
    cxlf_routes_end(&s->r);
    s->used = (uint8_t *)&s->r.access[0].gdt[PIDS] - s->memory;
    s->fresh = malloc(s->used);
    memcpy(s->fresh, s->memory, s->used);
    s->lane = calloc(s->g.links * 2, sizeof(*s->lane));
}

static bool same(struct cxlf_node a, struct cxlf_node b)
{
    return a.kind == b.kind && a.number == b.number;
}

static void check(const Shape *s, const struct cxlf_route *route,
                  uint32_t from, uint32_t to)
{
    struct cxlf_node at = cxlf_pid_get(&s->r, from);

    MUST(route->result < CXLF_ROUTE_RESULTS);
    MUST(route->links <= CXLF_MAX_ROUTE);
    if (route->result != CXLF_ROUTE_OK) {
        MUST(route->links == 0);
        return;
    }
    for (unsigned i = 0; i < route->links; i++) {
        uint32_t link = route->hop[i].way / 2, back = route->hop[i].way % 2;

        MUST(link < s->g.links && cxlf_link_get(&s->r, link));
        MUST(same(s->g.link[link].end[back], at));
        MUST(!cxlf_is_switch(at) ||
             cxlf_switch_get(&s->r, cxlf_switch_of(&s->t, at)));
        MUST(route->hop[i].slot_ps);
        at = s->g.link[link].end[!back];
    }
    MUST(same(at, cxlf_pid_get(&s->r, to)));
    cxlf_route_charge(s->lane, route, to % CXLF_FLOW_KINDS, from);
}

static void set_rgt(Shape *s, uint32_t n, const uint8_t *data)
{
    struct cxlf_rgt_entry e = { { 0 }, 0, 0 };

    memcpy(e.port, data, 8);
    memcpy(&e.word, data + 8, 4);
    if (cxlf_rgt_set(&s->r, n % 8, data[12], 1, &e)) {
        e = cxlf_rgt_get(&s->r, n % 8, data[12]);
        MUST(!memcmp(e.port, data, 8));
        for (unsigned i = 0; i <= CXLF_RGT_HIGHEST(e.word); i++) {
            MUST(s->r.port_link[n % 8][e.port[i]] < s->g.links);
        }
    }
}

static void reach(Shape *s, uint32_t pid, uint32_t n, uint64_t hpa)
{
    uint64_t dpa = 0, end = s->t.gfam[0].hot + s->t.gfam[0].bulk;

    if (cxlf_gdt_decode(&s->r, n % 3, pid, hpa, &dpa) == CXLF_ROUTE_OK) {
        MUST(n % 3 == 0 && dpa < end);
        MUST(cxlf_may_access(&s->r, 0, pid, dpa));
    }
    cxlf_may_access(&s->r, n % 3, pid, hpa);
}

/* One operation with 16 bytes; several need fewer. */
static void step(Shape *s, struct cxlf_route_cache *cache, uint8_t op,
                 const uint8_t *d)
{
    uint32_t pid = d[0] % PIDS, to = d[1] % PIDS, n = d[2];
    struct cxlf_gdt_entry e = { 0 };
    struct cxlf_route route;
    uint64_t word;
    uint16_t entry;

    memcpy(&entry, d + 4, sizeof(entry));
    memcpy(&word, d + 8, sizeof(word));
    switch (op % OPS) {
    case WRITE:
        s->memory[128 + (d[4] << 16 | d[5] << 8 | n) % (s->used - 128)] =
            d[1];
        break;
    case WRITE_DRT:
        s->r.tables[n % s->r.switches].drt[pid] = entry;
        break;
    case WRITE_RGT:
        memcpy(s->r.tables[n % s->r.switches].rgt[d[1] % 4].port, d + 3, 12);
        break;
    case WRITE_GDT:
        memcpy((uint8_t *)&s->r.access[0].gdt[pid][n % 8] + d[1] % 25, &word,
               8);
        break;
    case SET_DRT:
        cxlf_drt_set(&s->r, n % 8, pid, d[3] % 2, &entry);
        break;
    case SET_RGT:
        set_rgt(s, n, d + 3);
        break;
    case SET_PID:
        cxlf_pid_set(&s->r, pid, (struct cxlf_node) { d[1] % 6, n % 8 });
        break;
    case SET_STATE:
        cxlf_switch_set(&s->r, n % 8, d[1] & 1);
        cxlf_link_set(&s->r, d[3] % 32, d[4]);
        break;
    case SET_ACCESS:
        e.hpa = word;
        e.dpa = (uint64_t)d[3] << 24;
        e.length = (uint64_t)d[4] << 24;
        cxlf_gdt_set(&s->r, n % 2, pid, d[1] % 9, &e);
        cxlf_sat_set(&s->r, 0, to, d[5]);
        cxlf_group_set(&s->r, 0, (uint64_t)d[6] << 28, (uint64_t)d[7] << 28,
                       d[5]);
        break;
    case COMPUTE:
        /* It takes as long as a hundred others. */
        if (!s->computed && cxlf_routes_compute(&s->r)) {
            s->computed = true;
        }
        break;
    case CHANGE:
        if (n & 1) {
            cxlf_routes_begin(&s->r);
        } else {
            cxlf_routes_end(&s->r);
        }
        break;
    case RESOLVE:
        cxlf_route_resolve(&s->r, n & 8 ? s->lane : NULL, pid, to, n, &route);
        check(s, &route, pid, to);
        break;
    case LOOKUP:
        /* What is kept may be of before something was overwritten. */
        route = *cxlf_route_get(cache, pid, to, n);
        MUST(route.result < CXLF_ROUTE_RESULTS);
        MUST(route.links <= CXLF_MAX_ROUTE);
        cxlf_route_charge(s->lane, &route, n % CXLF_FLOW_KINDS, n);
        break;
    default:
        reach(s, pid, n, word);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Shape shapes[SHAPES];
    struct cxlf_route routes[8] = { 0 };
    struct cxlf_route_cache cache = { .route = routes, .bits = 3 };
    Shape *s;

    if (size == 0) {
        return 0;
    }
    if (!shapes[0].memory) {
        for (int i = 0; i < SHAPES; i++) {
            make(&shapes[i], i);
        }
    }
    s = &shapes[data[0] % SHAPES];
    memcpy(s->memory, s->fresh, s->used);
    memset(s->lane, 0, s->g.links * 2 * sizeof(*s->lane));
    s->computed = false;
    cache.router = &s->r;
    cache.lane = s->lane;
    if (data[0] & 2) {
        cxlf_routes_begin(&s->r);
    }
    for (size_t i = 1; i + 5 <= size;) {
        uint8_t argument[16] = { 0 };
        size_t n = size - i - 1 < 16 ? size - i - 1 : 16;

        /* Only those that set 8 bytes and more use more than 4. */
        if (data[i] % OPS >= RESOLVE && data[i] % OPS <= LOOKUP) {
            n = 4;
        }
        memcpy(argument, data + i + 1, n);
        step(s, &cache, data[i], argument);
        i += n + 1;
    }
    return 0;
}
