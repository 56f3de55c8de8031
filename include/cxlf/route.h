/*
 * Routing: PIDs, the switches' DRT and RGT, routes, and counters of links
 *
 * docs/routing.md describes the tables, what can go wrong, and the layout.
 * The tables are in a segment that the owner writes and others read; a
 * struct cxlf_router is a process's own view of it, with all that the agreed
 * topology says, and nothing that a peer could have written.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_ROUTE_H
#define CXLF_ROUTE_H

#include "cxlf/qos.h"

#define CXLF_ROUTES_MAGIC   0x31534554554f5258ull   /* "XROUTES1" */
#define CXLF_COUNTS_MAGIC   0x3153544e554f4358ull   /* "XCOUNTS1" */

/* Shared layout */

enum cxlf_drt_type {
    CXLF_DRT_INVALID,
    CXLF_DRT_PORT,
    CXLF_DRT_RGT,
};

#define CXLF_DRT(type, target)  ((uint16_t)((type) | (target) << 8))
#define CXLF_DRT_TYPE(entry)    ((entry) & 3u)
#define CXLF_DRT_TARGET(entry)  ((unsigned)(entry) >> 8)

enum cxlf_rgt_mode {
    CXLF_RGT_RANDOM = 0,
    CXLF_RGT_CONGESTION = 1,
    CXLF_RGT_ADVANCED = 2,
    CXLF_RGT_PRIMARY = 6,       /* of the vendor */
};

#define CXLF_RGT_ENTRIES    256
#define CXLF_RGT_PORTS      8

/*
 * word   2:0 highest valid port, 5:3 primary port, 10:8 mode, 13:11 mix; the
 * rest is zero
 */
struct cxlf_rgt_entry {
    _Alignas(8) uint8_t port[CXLF_RGT_PORTS];
    uint32_t word;
    uint32_t zero;
};

#define CXLF_RGT_HIGHEST(word)  ((word) & 7u)
#define CXLF_RGT_PRIMARY_OF(word)   ((word) >> 3 & 7u)
#define CXLF_RGT_MODE(word)     ((word) >> 8 & 7u)
#define CXLF_RGT_MIX(word)      ((word) >> 11 & 7u)
#define CXLF_RGT_WORD(highest, primary, mode, mix) \
    ((uint32_t)(highest) | (uint32_t)(primary) << 3 | \
     (uint32_t)(mode) << 8 | (uint32_t)(mix) << 11)

struct cxlf_switch_tables {
    _Alignas(128) uint32_t down;    /* 0: the switch is up */
    _Alignas(128) uint16_t drt[CXLF_PIDS];
    struct cxlf_rgt_entry rgt[CXLF_RGT_ENTRIES];
};

#define CXLF_GDT_DECODERS   8
#define CXLF_GROUPS         32
#define CXLF_ACCESS_BLOCKS \
    ((CXLF_MAX_HOT + CXLF_MAX_BULK) / CXLF_CAPACITY_UNIT)

/* Without interleaving; a length of 0 is not valid. */
struct cxlf_gdt_entry {
    uint64_t hpa;           /* bytes */
    uint64_t dpa;
    uint64_t length;
    uint64_t coherent;      /* 0 or 1: its BISnp may be sent here */
};

/* Who may reach which memory of a device: cxlf/access.h. */
struct cxlf_access_tables {
    _Alignas(128) uint8_t group[CXLF_ACCESS_BLOCKS];    /* plus one; or 0 */
    uint32_t sat[CXLF_PIDS];        /* a bit for each group */
    struct cxlf_gdt_entry gdt[CXLF_PIDS][CXLF_GDT_DECODERS];
    /* Of each block of dynamic capacity: a bit for each host. */
    uint16_t extent[CXLF_MAX_DYNAMIC / CXLF_EXTENT_BLOCK];
    uint32_t barred[CXLF_PIDS / 32];    /* a bit: its GAE bars the source */
};

/* The segment; the switches' tables and then the devices' follow. */
struct cxlf_routes {
    struct cxlf_segment segment;
    uint32_t switches;
    uint32_t links;
    uint32_t gfams;
    uint32_t pad;
    _Alignas(128) uint64_t generation;      /* odd: a change is under way */
    _Alignas(128) uint16_t pid[CXLF_PIDS];  /* 15:12 kind, 11:0 number */
    uint8_t up[CXLF_MAX_LINKS];     /* a bit for each port of the bundle */
};

/* Messages on links; the names are those of CXL.mem's channels. */
enum cxlf_flow_kind {
    CXLF_FLOW_REQ,
    CXLF_FLOW_RWD,
    CXLF_FLOW_NDR,
    CXLF_FLOW_DRS,
    CXLF_FLOW_BISNP,
    CXLF_FLOW_BIRSP,
    CXLF_FLOW_KINDS
};

extern const char *const cxlf_flow_name[CXLF_FLOW_KINDS];

#define CXLF_SLOT           16  /* bytes */
#define CXLF_FLIT_SLOTS     15  /* of a flit of 256 bytes */

/* One direction of a link, in one lane. */
struct cxlf_link_count {
    _Alignas(64) uint64_t bytes[CXLF_FLOW_KINDS];
    uint64_t messages;
    uint64_t busy_ps;
};

/*
 * The segment; struct cxlf_link_count[lanes][links][2] follows, then struct
 * cxlf_qos.
 */
struct cxlf_counts {
    struct cxlf_segment segment;
    uint32_t links;
    uint32_t lanes;
    _Alignas(128) uint8_t end[];
};

CXLF_ASSERT_SIZE(cxlf_rgt_entry, 16);
CXLF_ASSERT_AT(cxlf_rgt_entry, word, 8);
CXLF_ASSERT_SIZE(cxlf_switch_tables, 12416);
CXLF_ASSERT_AT(cxlf_switch_tables, drt, 128);
CXLF_ASSERT_AT(cxlf_switch_tables, rgt, 8320);
CXLF_ASSERT_SIZE(cxlf_gdt_entry, 32);
CXLF_ASSERT_SIZE(cxlf_access_tables, 2179840);
CXLF_ASSERT_AT(cxlf_access_tables, sat, 65792);
CXLF_ASSERT_AT(cxlf_access_tables, gdt, 82176);
CXLF_ASSERT_AT(cxlf_access_tables, extent, 1130752);
CXLF_ASSERT_AT(cxlf_access_tables, barred, 2179328);
CXLF_ASSERT_AT(cxlf_routes, switches, 48);
CXLF_ASSERT_AT(cxlf_routes, links, 52);
CXLF_ASSERT_AT(cxlf_routes, gfams, 56);
CXLF_ASSERT_AT(cxlf_routes, generation, 128);
CXLF_ASSERT_AT(cxlf_routes, pid, 256);
CXLF_ASSERT_AT(cxlf_routes, up, 8448);
CXLF_ASSERT_SIZE(cxlf_routes, 16640);
CXLF_ASSERT_SIZE(cxlf_link_count, 64);
CXLF_ASSERT_AT(cxlf_link_count, messages, 48);
CXLF_ASSERT_AT(cxlf_link_count, busy_ps, 56);
CXLF_ASSERT_SIZE(cxlf_counts, 128);

/* A process's view */

#define CXLF_NO_LINK    UINT16_MAX

/* The entries of a switch's tables that were set by hand: a bit for each. */
struct cxlf_by_hand {
    uint64_t drt[CXLF_PIDS / 64];
    uint64_t rgt[CXLF_RGT_ENTRIES / 64];
};

struct cxlf_router {
    struct cxlf_routes *shared;
    struct cxlf_switch_tables *tables;      /* [switches] */
    struct cxlf_access_tables *access;      /* [gfams] */
    const struct cxlf_topology *topology;
    const struct cxlf_graph *graph;
    uint32_t switches;
    uint64_t dynamic[CXLF_MAX_GFAMS];   /* DPA where it begins, or the end */
    /* The link that a port has, or CXLF_NO_LINK; and the first port of one. */
    uint16_t port_link[CXLF_MAX_SWITCHES][CXLF_MAX_PORTS];
    uint8_t link_port[CXLF_MAX_LINKS][2];
    /* [switches] of who makes changes, or NULL: nothing is set by hand. */
    struct cxlf_by_hand *by_hand;
};

/* cxlf_routes_size: bytes of the segment of the tables. */
uint64_t cxlf_routes_size(const struct cxlf_topology *t,
                          const struct cxlf_graph *g);

/*
 * cxlf_routes_format: make the header in @memory, which is all zero and has
 * cxlf_routes_size() bytes.  By the owner.  The tables are then filled by
 * cxlf_routes_reset().
 */
void cxlf_routes_format(void *memory, const struct cxlf_topology *t,
                        const struct cxlf_graph *g, const uint8_t uuid[16]);

/*
 * cxlf_routes_attach: @r becomes a view of the segment at @memory of @size
 * bytes, which is aligned to 128.  @t and @g were checked, and stay where
 * they are while @r is used.  Returns false, with *@why, if the header is
 * not what they give.
 */
bool cxlf_routes_attach(struct cxlf_router *r, void *memory, uint64_t size,
                        const struct cxlf_topology *t,
                        const struct cxlf_graph *g, const uint8_t uuid[16],
                        const char **why);

/* Changes: by the owner, one thread at a time */

/*
 * cxlf_routes_begin, cxlf_routes_end: what is set between the two is one
 * change, which readers see whole at the end.  Setters refuse (return false)
 * outside of it, and what is out of range.
 */
void cxlf_routes_begin(struct cxlf_router *r);
void cxlf_routes_end(struct cxlf_router *r);

/* cxlf_routes_open: whether a change is under way, for setters. */
bool cxlf_routes_open(const struct cxlf_router *r);

/*
 * cxlf_routes_reset: as the topology has it: PIDs, everything up, tables
 * computed, access control; nothing is set by hand.
 * cxlf_routes_compute: DRT and RGT of all switches, as shortest paths over
 * what is up, but for what is set by hand.
 */
bool cxlf_routes_reset(struct cxlf_router *r);
bool cxlf_routes_compute(struct cxlf_router *r);

/*
 * cxlf_drt_set, cxlf_rgt_set: @n entries from @start on of switch @s, by
 * hand.  They may name only ports that have a link; all are set, or none.
 */
bool cxlf_drt_set(struct cxlf_router *r, uint32_t s, uint32_t start,
                  uint32_t n, const uint16_t *entry);
bool cxlf_rgt_set(struct cxlf_router *r, uint32_t s, uint32_t start,
                  uint32_t n, const struct cxlf_rgt_entry *entry);

/* cxlf_pid_set: @pid names @node from now on; a kind of NONE: nothing. */
bool cxlf_pid_set(struct cxlf_router *r, uint32_t pid, struct cxlf_node node);

/* cxlf_link_set: a bit of @up for each port of the bundle that is up. */
bool cxlf_link_set(struct cxlf_router *r, uint32_t link, uint32_t up);
bool cxlf_switch_set(struct cxlf_router *r, uint32_t s, bool up);

/* Reading: any thread, no locks */

/*
 * cxlf_drt_get, cxlf_rgt_get: one entry, as somebody wrote it; invalid or
 * zero if there is none.  An entry of the RGT is whole only where it cannot
 * change meanwhile, as in the thread that makes changes.
 */
uint16_t cxlf_drt_get(const struct cxlf_router *r, uint32_t s, uint32_t pid);
struct cxlf_rgt_entry cxlf_rgt_get(const struct cxlf_router *r, uint32_t s,
                                   uint32_t index);

/* cxlf_pid_get: what @pid names; of kind NONE if nothing that exists. */
struct cxlf_node cxlf_pid_get(const struct cxlf_router *r, uint32_t pid);

/* cxlf_link_get: the ports of a link that are up, a bit for each. */
uint32_t cxlf_link_get(const struct cxlf_router *r, uint32_t link);
bool cxlf_switch_get(const struct cxlf_router *r, uint32_t s);

/*
 * cxlf_port_link: the link of port @port of switch @s, and which port of the
 * bundle it is; false if it has none.
 */
bool cxlf_port_link(const struct cxlf_router *r, uint32_t s, uint32_t port,
                    uint32_t *link, uint32_t *number);

/* cxlf_port_get: whether port @port of switch @s has a link that is up. */
bool cxlf_port_get(const struct cxlf_router *r, uint32_t s, uint32_t port);

static inline uint64_t cxlf_routes_generation(const struct cxlf_router *r)
{
    return __atomic_load_n(&r->shared->generation, __ATOMIC_ACQUIRE);
}

/* Routes */

enum cxlf_route_result {
    CXLF_ROUTE_OK,
    CXLF_ROUTE_NO_PID,
    CXLF_ROUTE_NO_ENTRY,
    CXLF_ROUTE_BAD_ENTRY,
    CXLF_ROUTE_LOOP,
    CXLF_ROUTE_LINK_DOWN,
    CXLF_ROUTE_SWITCH_DOWN,
    CXLF_ROUTE_NO_RIGHT,
    CXLF_ROUTE_BUSY,
    CXLF_ROUTE_RESULTS
};

extern const char *const cxlf_route_name[CXLF_ROUTE_RESULTS];

#define CXLF_FLOWS  8

struct cxlf_hop {
    uint16_t way;           /* link * 2, plus 1 from its second end */
    uint16_t slot_ps;       /* picoseconds of a slot */
};

struct cxlf_route {
    uint64_t generation;    /* of the tables; 0: not to be used again */
    uint32_t tag;
    uint32_t left;          /* lookups until it is resolved anew */
    uint8_t result;         /* enum cxlf_route_result */
    uint8_t links;          /* of a route that is ok, else 0 */
    uint16_t where;         /* it failed; docs/routing.md */
    uint32_t latency_ns;    /* one way, of links and switches */
    uint32_t slot_ps;       /* of its narrowest link */
    uint32_t pad;
    struct cxlf_hop hop[CXLF_MAX_ROUTE];
};

CXLF_ASSERT_SIZE(cxlf_route, 64);

/*
 * cxlf_route_resolve: from PID @source to @destination, hop by hop.  @flow
 * counts modulo CXLF_FLOWS.  @lane is the counters that congestion is judged
 * by, or NULL.  Any thread; no locks; the time is bounded.
 */
void cxlf_route_resolve(const struct cxlf_router *r,
                        const struct cxlf_link_count *lane, uint32_t source,
                        uint32_t destination, uint32_t flow,
                        struct cxlf_route *route);

/* A cache is one thread's at a time. */
struct cxlf_route_cache {
    const struct cxlf_router *router;
    const struct cxlf_link_count *lane;     /* or NULL */
    struct cxlf_route *route;       /* 2^bits, all zero at first */
    unsigned bits;                  /* 1 to 24 */
};

const struct cxlf_route *cxlf_route_miss(struct cxlf_route_cache *c,
                                         uint32_t tag);

/*
 * cxlf_route_get: the same from a cache; the tables are asked only if they
 * have changed.  PIDs are taken modulo 4096.  The route is valid until the
 * cache is used again.
 */
static inline const struct cxlf_route *
cxlf_route_get(struct cxlf_route_cache *c, uint32_t source,
               uint32_t destination, uint32_t flow)
{
    uint32_t tag = (source & 0xfff) | (destination & 0xfff) << 12 |
                   (flow % CXLF_FLOWS) << 24;
    struct cxlf_route *r = &c->route[tag * 0x9e3779b1u >> (32 - c->bits)];

    if (r->tag == tag && r->generation == cxlf_routes_generation(c->router) &&
        --r->left) {
        return r;
    }
    return cxlf_route_miss(c, tag);
}

/* Counters of links */

/* cxlf_counts_size: bytes of the segment of the counters. */
uint64_t cxlf_counts_size(const struct cxlf_graph *g, uint32_t lanes);
void cxlf_counts_format(void *memory, const struct cxlf_topology *t,
                        const struct cxlf_graph *g, uint32_t lanes,
                        const uint8_t uuid[16]);

/*
 * cxlf_counts_attach: the counters in the segment at @memory of @size bytes:
 * struct cxlf_link_count[@lanes][links][2].  Returns NULL, with *@why, if the
 * header is not what the arguments give.
 */
struct cxlf_link_count *
cxlf_counts_attach(void *memory, uint64_t size, const struct cxlf_topology *t,
                   const struct cxlf_graph *g, uint32_t lanes,
                   const uint8_t uuid[16], const char **why);

/* cxlf_counts_qos: what devices were asked, of cxlf_counts_attach(). */
struct cxlf_qos *cxlf_counts_qos(struct cxlf_link_count *counts,
                                 const struct cxlf_graph *g, uint32_t lanes);

/* cxlf_counts_lane: those of one lane, of cxlf_counts_attach(). */
static inline struct cxlf_link_count *
cxlf_counts_lane(struct cxlf_link_count *counts, const struct cxlf_graph *g,
                 uint32_t lane)
{
    return counts + (uint64_t)lane * g->links * 2;
}

/* Of one writer at a time, so without a locked instruction. */
static inline void cxlf_link_add(uint64_t *count, uint64_t n)
{
    __atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + n,
                     __ATOMIC_RELAXED);
}

/*
 * cxlf_route_charge: a message with @payload bytes (up to 2^20) went along
 * @route: each link counts it in @lane.  Returns the modelled time in
 * picoseconds.  A route that is not ok costs nothing.  One thread at a time
 * for a lane.
 */
static inline uint64_t cxlf_route_charge(struct cxlf_link_count *lane,
                                         const struct cxlf_route *route,
                                         enum cxlf_flow_kind kind,
                                         uint32_t payload)
{
    uint32_t slots = 1 + (payload + CXLF_SLOT - 1) / CXLF_SLOT;

    for (unsigned i = 0; i < route->links; i++) {
        struct cxlf_link_count *c = &lane[route->hop[i].way];

        cxlf_link_add(&c->bytes[kind], slots * CXLF_SLOT);
        cxlf_link_add(&c->messages, 1);
        cxlf_link_add(&c->busy_ps, (uint64_t)slots * route->hop[i].slot_ps);
    }
    return route->latency_ns * 1000ull + (uint64_t)slots * route->slot_ps;
}

/* What a direction of a link has carried. */
struct cxlf_link_sum {
    uint64_t bytes[CXLF_FLOW_KINDS];
    uint64_t messages;
    uint64_t flits;
    uint64_t busy_ns;
};

/*
 * cxlf_counts_read: of @link in one direction (1: from its second end), all
 * lanes from @first on, @lanes of them.  Any thread; no locks.
 */
void cxlf_counts_read(const struct cxlf_link_count *counts,
                      const struct cxlf_graph *g, uint32_t first,
                      uint32_t lanes, uint32_t link, unsigned direction,
                      struct cxlf_link_sum *sum);

#endif /* CXLF_ROUTE_H */
