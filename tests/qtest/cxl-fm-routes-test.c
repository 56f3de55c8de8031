/*
 * QTest of routing and access control by the Fabric Manager's commands
 *
 * The fabric of cxl-route-test: host 0 is at leaf 0, host 1 and the GFAM
 * device are at leaf 1; page n of HOT has its home at leaf n mod 2.
 *
 *   leaf 0: ports 0 and 1 to the spines, 2 to host 0
 *   leaf 1: ports 0 and 1 to the spines, 2 to the device, 3 to host 1
 *   spines: port n to leaf n
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxlf/route.h"
#include "cxlf-route.h"

enum { L0S0, L0S1, L1S0, L1S1, GFAM0, HOST0, HOST1 };       /* links */
enum { LEAF0, LEAF1, SPINE0, SPINE1, GFD };                 /* components */
enum { PID_HOST0, PID_HOST1, PID_GFD, PID_LEAF0, PID_LEAF1, PID_SPINE0,
       PID_SPINE1 };
enum { SUCCESS = 0, INVALID_INPUT = 2, UNSUPPORTED = 3 };

#define NO_WAY      12      /* event */
#define BULK        CLASS_SIZE
#define HOME_LEAF1  CXLF_PAGE       /* a DPA */

static CxlfFabric *start(int hosts)
{
    static struct cxlf_graph graph;
    struct cxlf_topology t = {
        .hosts = 2, .leaves = 2, .shards = 1, .gfams = 1,
        .gfam[0] = { .hot = CLASS_SIZE, .bulk = CLASS_SIZE, .leaf = 1 },
        .host_leaf = { 0, 1 }, .tiers = true,
    };

    cxlf_graph_default(&t, 2, &graph);
    return cxlf_fabric_of(&t, &graph, hosts, CXLF_NEVER_MAPPED);
}

/* Routing tables */

static uint16_t get_drt(CxlfFabric *f, unsigned component, unsigned pid)
{
    uint8_t in[6] = { 0, 0, 1, 0 }, out[10];
    size_t n;

    stw_le_p(in + 4, pid);
    g_assert_cmphex(cxlf_cci(f->owner, component, 0x5708, in, sizeof(in),
                             out, sizeof(out), &n), ==, SUCCESS);
    g_assert_cmpuint(n, ==, sizeof(out));
    g_assert_cmpmem(out, sizeof(in), in, sizeof(in));
    return lduw_le_p(out + 8);
}

static int try_drt(CxlfFabric *f, unsigned component, unsigned pid,
                   uint16_t entry)
{
    uint8_t in[8] = { 0, 0, 1, 0 };

    stw_le_p(in + 4, pid);
    stw_le_p(in + 6, entry);
    return cxlf_cci(f->owner, component, 0x5709, in, sizeof(in), NULL, 0,
                    NULL);
}

static void set_drt(CxlfFabric *f, unsigned component, unsigned pid,
                    unsigned type, unsigned target)
{
    g_assert_cmphex(try_drt(f, component, pid, CXLF_DRT(type, target)), ==,
                    SUCCESS);
}

static void get_rgt(CxlfFabric *f, unsigned component, unsigned index,
                    uint8_t entry[12])
{
    uint8_t in[6] = { 0, 0, 1, 0, index }, out[18];

    g_assert_cmphex(cxlf_cci(f->owner, component, 0x570a, in, sizeof(in),
                             out, sizeof(out), NULL), ==, SUCCESS);
    memcpy(entry, out + 6, 12);
}

static int try_rgt(CxlfFabric *f, unsigned component, unsigned index,
                   const uint8_t entry[12])
{
    uint8_t in[18] = { 0, 0, 1, 0, index };

    memcpy(in + 6, entry, 12);
    return cxlf_cci(f->owner, component, 0x570b, in, sizeof(in), NULL, 0,
                    NULL);
}

static void test_tables(void)
{
    CxlfFabric *f = start(0);
    uint8_t identity[12], group[12], table[4 + 2 * 0x27];
    static const uint8_t all[4] = { 0, 0, 2, 0 };
    uint16_t entry;
    unsigned index;

    cxlf_cci(f->owner, LEAF0, 0x5700, NULL, 0, identity, 12, NULL);
    g_assert_cmphex(identity[8], ==, 1);
    g_assert_cmphex(identity[9], ==, 1);
    g_assert_cmphex(identity[11], ==, 0x47);    /* modes 0, 1, 2 and 6 */
    cxlf_cci(f->owner, LEAF0, 0x5707, all, 4, table, sizeof(table), NULL);
    g_assert_cmpuint(lduw_le_p(table + 4 + 2), ==, 4096);
    g_assert_cmpuint(lduw_le_p(table + 4 + 0x27 + 2), ==, 256);
    g_assert_cmphex(table[4 + 4], ==, 7);       /* ports 0 to 2 */

    /* Shortest paths: to its host, and to the device by both spines. */
    g_assert_cmphex(get_drt(f, LEAF0, PID_HOST0), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 2));
    g_assert_cmphex(get_drt(f, SPINE1, PID_GFD), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 1));
    g_assert_cmphex(get_drt(f, LEAF0, 0x800), ==, 0);
    entry = get_drt(f, LEAF0, PID_GFD);
    g_assert_cmphex(CXLF_DRT_TYPE(entry), ==, CXLF_DRT_RGT);
    index = CXLF_DRT_TARGET(entry);
    get_rgt(f, LEAF0, index, group);
    g_assert_cmphex(group[0] | group[1] << 8, ==, 0x0100);
    g_assert_cmphex(group[8] & 7, ==, 1);
    g_assert_cmphex(group[9], ==, CXLF_RGT_RANDOM);

    group[8] = 1;
    group[9] = CXLF_RGT_ADVANCED | 3 << 3;
    g_assert_cmphex(try_rgt(f, LEAF0, index, group), ==, SUCCESS);
    memset(group, 0xee, sizeof(group));
    get_rgt(f, LEAF0, index, group);
    g_assert_cmphex(group[8], ==, 1);
    g_assert_cmphex(group[9], ==, CXLF_RGT_ADVANCED | 3 << 3);
    group[9] = 3;                               /* no such mode */
    g_assert_cmphex(try_rgt(f, LEAF0, index, group), ==, INVALID_INPUT);
    group[9] = 0;
    group[1] = 3;                               /* no such port */
    g_assert_cmphex(try_rgt(f, LEAF0, index, group), ==, INVALID_INPUT);
    get_rgt(f, LEAF0, index, group);
    g_assert_cmphex(group[9], ==, CXLF_RGT_ADVANCED | 3 << 3);
    g_assert_cmphex(try_drt(f, LEAF0, 9, CXLF_DRT(CXLF_DRT_PORT, 3)), ==,
                    INVALID_INPUT);
    g_assert_cmphex(get_drt(f, LEAF0, 9), ==, 0);
    set_drt(f, LEAF0, 9, CXLF_DRT_PORT, 1);
    g_assert_cmphex(get_drt(f, LEAF0, 9), ==, CXLF_DRT(CXLF_DRT_PORT, 1));
    cxlf_fabric_stop(f);
}

/* Requests, in one direction of a link. */
static int64_t requests(CxlfFabric *f, int link, int way)
{
    QList *links = cxlf_links(f->owner);
    QDict *c = cxlf_nth(qdict_get_qlist(cxlf_nth(links, link), "counters"),
                        way);
    int64_t bytes = qdict_get_int(c, "req");

    qobject_unref(links);
    return bytes;
}

/* The next access takes the way that was set. */
static void test_next_access(void)
{
    CxlfFabric *f = start(2);

    for (unsigned n = 0; n < 64; n++) {
        int way = n & 1 ? L0S1 : L0S0;
        int64_t before, other = requests(f, L0S0 + L0S1 - way, 0);

        set_drt(f, LEAF0, PID_LEAF1, CXLF_DRT_PORT, n & 1);
        before = requests(f, way, 0);
        /* A line that nobody has: a request to its home, at leaf 1. */
        cxlf_can(f, 0, HOME_LEAF1 + n * CXLF_LINE);
        g_assert_cmpint(requests(f, way, 0), >, before);
        g_assert_cmpint(requests(f, L0S0 + L0S1 - way, 0), ==, other);
    }
    cxlf_fabric_stop(f);
}

static void expect_no_way(CxlfEvents *e, uint64_t dpa, uint64_t length,
                          unsigned why, unsigned where)
{
    CxlfEvent event = cxlf_events_next(e, NO_WAY);

    g_assert_cmpuint(event.gfam, ==, 0);
    g_assert_cmpuint(event.count, ==, 1);
    g_assert_cmphex(event.dpa, ==, dpa);
    g_assert_cmphex(event.length, ==, length);
    g_assert_cmpuint(event.data[0], ==, why);
    g_assert_cmpuint(event.data[1], ==, where);
}

/* A store and a load that are refused, and an event of each. */
static void expect_cannot(CxlfFabric *f, CxlfEvents *e, uint64_t dpa,
                          unsigned why, unsigned where)
{
    cxlf_cannot(f, e->h->number, dpa);
    for (int i = 0; i < 2; i++) {
        expect_no_way(e, QEMU_ALIGN_DOWN(dpa, CXLF_LINE), CXLF_LINE, why,
                      where);
    }
}

static void test_holes(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e = cxlf_events_on(f->h[0], 1u << NO_WAY);

    cxlf_can(f, 0, HOME_LEAF1 + 8);
    set_drt(f, LEAF0, PID_LEAF1, CXLF_DRT_INVALID, 0);
    expect_cannot(f, &e, HOME_LEAF1 + 8, CXLF_ROUTE_NO_ENTRY, LEAF0);
    cxlf_can(f, 0, 8);      /* its home is leaf 0 */
    cxlf_can(f, 1, HOME_LEAF1 + 8);
    /* Back from a spine: leaf 0 sends it there again. */
    set_drt(f, LEAF0, PID_LEAF1, CXLF_DRT_PORT, 1);
    cxlf_can(f, 0, HOME_LEAF1 + 8);
    set_drt(f, SPINE1, PID_LEAF1, CXLF_DRT_PORT, 0);
    expect_cannot(f, &e, HOME_LEAF1 + 8, CXLF_ROUTE_LOOP, LEAF0);
    /* To another endpoint. */
    set_drt(f, LEAF0, PID_LEAF1, CXLF_DRT_PORT, 2);
    expect_cannot(f, &e, HOME_LEAF1 + 8, CXLF_ROUTE_BAD_ENTRY, LEAF0);
    set_drt(f, LEAF0, PID_LEAF1, CXLF_DRT_PORT, 0);
    cxlf_can(f, 0, HOME_LEAF1 + 8);
    cxlf_fabric_stop(f);
}

/* What is mapped is taken away, and comes back. */
static void test_mapped(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e = cxlf_events_on(f->h[0], 1u << NO_WAY);

    cxlf_store(&f->r[0], BULK, 41, 8);
    set_drt(f, LEAF1, PID_HOST0, CXLF_DRT_INVALID, 0);
    cxlf_wait_load(&f->r[0], BULK, UINT64_MAX);
    expect_no_way(&e, BULK, CXLF_PAGE, CXLF_ROUTE_NO_ENTRY, LEAF1);
    g_assert_cmphex(cxlf_load(&f->r[1], BULK, 8), ==, 41);
    set_drt(f, LEAF1, PID_HOST0, CXLF_DRT_PORT, 0);
    cxlf_wait_load(&f->r[0], BULK, 41);
    cxlf_fabric_stop(f);
}

/* Entries set by hand stay when others are computed. */
static void test_by_hand(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e = cxlf_events_on(f->h[0], 1u << NO_WAY);

    set_drt(f, LEAF0, PID_LEAF1, CXLF_DRT_PORT, 1);
    cxlf_set_link(f->owner, L0S1, -1, false);
    g_assert_cmphex(get_drt(f, LEAF0, PID_LEAF1), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 1));
    g_assert_cmphex(get_drt(f, LEAF0, PID_GFD), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 0));
    expect_cannot(f, &e, HOME_LEAF1, CXLF_ROUTE_LINK_DOWN, L0S1);
    cxlf_can(f, 0, 0);
    cxlf_set_link(f->owner, L0S1, -1, true);
    g_assert_cmphex(get_drt(f, LEAF0, PID_LEAF1), ==,
                    CXLF_DRT(CXLF_DRT_PORT, 1));
    cxlf_can(f, 0, HOME_LEAF1);
    cxlf_fabric_stop(f);
}

/* Ports */

static void set_port(CxlfFabric *f, unsigned component, unsigned port,
                     bool perst)
{
    uint8_t in[2] = { port, !perst };

    cxlf_cci_ok(f->owner, component, 0x5102, in, sizeof(in));
}

/* A port that goes down is a link that has failed, to hosts as well. */
static void test_port_control(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e = cxlf_events_on(f->h[0], 1u << NO_WAY);

    /* There is another spine. */
    set_port(f, SPINE0, 1, true);
    cxlf_can(f, 0, HOME_LEAF1);
    set_port(f, SPINE1, 1, true);
    expect_cannot(f, &e, HOME_LEAF1, CXLF_ROUTE_NO_ENTRY, LEAF0);
    cxlf_can(f, 1, HOME_LEAF1);
    set_port(f, LEAF1, 0, false);       /* the link's other end */
    cxlf_can(f, 0, HOME_LEAF1);
    set_port(f, SPINE1, 1, false);

    /* The device is away, with what is mapped of it. */
    cxlf_store(&f->r[0], BULK, 41, 8);
    set_port(f, LEAF1, 2, true);
    cxlf_wait_load(&f->r[0], BULK, UINT64_MAX);
    expect_no_way(&e, BULK, CXLF_PAGE, CXLF_ROUTE_LINK_DOWN, GFAM0);
    set_port(f, LEAF1, 2, false);
    cxlf_wait_load(&f->r[0], BULK, 41);
    cxlf_fabric_stop(f);
}

/* Messages to PIDs */

/* Identify PBR Component of @pid, crawled to from leaf 0. */
static int crawl(CxlfFabric *f, unsigned pid)
{
    uint8_t in[18] = { 0 }, out[64];
    size_t n;
    int code;

    stw_le_p(in, pid);
    in[2] = 1;                      /* by PID */
    in[4] = 12;
    stw_le_p(in + 6 + 3, 0x0700);
    code = cxlf_cci(f->owner, LEAF0, 0x5701, in, sizeof(in), out,
                    sizeof(out), &n);
    if (code == SUCCESS) {
        g_assert_cmpuint(n, ==, 4 + 12 + 0x26);
        g_assert_cmpuint(lduw_le_p(out + 4 + 8), ==, SUCCESS);
        g_assert_cmphex(lduw_le_p(out + 16), ==, pid);
    }
    return code;
}

static void test_crawl(void)
{
    static const uint8_t port0[2] = { 1, 0 };
    CxlfFabric *f = start(0);
    uint8_t state[20];

    for (unsigned pid = PID_GFD; pid <= PID_SPINE1; pid++) {
        /* Leaf 0 does not find itself; hosts have no CCI. */
        g_assert_cmphex(crawl(f, pid), ==,
                        pid == PID_LEAF0 ? INVALID_INPUT : SUCCESS);
    }
    g_assert_cmphex(crawl(f, PID_HOST1), ==, INVALID_INPUT);
    g_assert_cmphex(crawl(f, 0x800), ==, INVALID_INPUT);
    set_drt(f, LEAF0, PID_GFD, CXLF_DRT_INVALID, 0);
    g_assert_cmphex(crawl(f, PID_GFD), ==, INVALID_INPUT);
    set_drt(f, LEAF0, PID_GFD, CXLF_DRT_PORT, 0);
    g_assert_cmphex(crawl(f, PID_GFD), ==, SUCCESS);

    cxlf_cci(f->owner, LEAF0, 0x5101, port0, 2, state, 20, NULL);
    g_assert_cmphex(state[4 + 11], ==, 4);      /* L0 */
    cxlf_set_link(f->owner, L0S0, -1, false);
    cxlf_cci(f->owner, LEAF0, 0x5101, port0, 2, state, 20, NULL);
    g_assert_cmphex(state[4 + 11], ==, 0);      /* Detect */
    g_assert_cmphex(crawl(f, PID_GFD), ==, INVALID_INPUT);
    g_assert_cmphex(crawl(f, PID_LEAF1), ==, SUCCESS);
    /* The spine that is left leads back. */
    g_assert_cmphex(crawl(f, PID_SPINE0), ==, SUCCESS);
    cxlf_fabric_stop(f);
}

/* Access control */

static int try_sat(CxlfFabric *f, unsigned pid, uint32_t groups)
{
    uint8_t in[8] = { 1, 0 };

    stw_le_p(in + 2, pid);
    stl_le_p(in + 4, groups);
    return cxlf_cci(f->owner, GFD, 0x490d, in, sizeof(in), NULL, 0, NULL);
}

static uint32_t get_sat(CxlfFabric *f, unsigned pid)
{
    uint8_t in[6] = { 0, 0, 1 }, out[10];

    stw_le_p(in, pid);
    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x490c, in, sizeof(in), out,
                             sizeof(out), NULL), ==, SUCCESS);
    return ldl_le_p(out + 6);
}

static void test_rights(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e = cxlf_events_on(f->h[0], 1u << NO_WAY);

    /* A new fabric's hosts may reach all; nobody else may. */
    g_assert_cmphex(get_sat(f, PID_HOST0), ==, 1);
    g_assert_cmphex(get_sat(f, PID_HOST1), ==, 1);
    g_assert_cmphex(get_sat(f, PID_GFD), ==, 0);
    cxlf_can(f, 0, 0);
    cxlf_store(&f->r[0], BULK, 41, 8);
    g_assert_cmphex(try_sat(f, PID_HOST0, 0x80000002), ==, SUCCESS);
    g_assert_cmphex(get_sat(f, PID_HOST0), ==, 0x80000002);
    /* Also the line that it has, and the page that it has mapped. */
    expect_cannot(f, &e, 0, CXLF_ROUTE_NO_RIGHT, 0);
    expect_cannot(f, &e, CXLF_PAGE + 8, CXLF_ROUTE_NO_RIGHT, 0);
    cxlf_wait_load(&f->r[0], BULK, UINT64_MAX);
    expect_no_way(&e, BULK, CXLF_PAGE, CXLF_ROUTE_NO_RIGHT, 0);
    /* Of a host, not of all. */
    cxlf_can(f, 1, 0);
    g_assert_cmphex(cxlf_load(&f->r[1], BULK, 8), ==, 41);
    cxlf_store(&f->r[1], BULK, 42, 8);
    g_assert_cmphex(try_sat(f, PID_HOST0, 1), ==, SUCCESS);
    cxlf_can(f, 0, 0);
    cxlf_wait_load(&f->r[0], BULK, 42);
    g_assert_cmphex(try_sat(f, CXLF_NO_PID, 1), ==, INVALID_INPUT);
    cxlf_fabric_stop(f);
}

/* Give the GAE of host 0, of the first VCS of its leaf, a PID, or take it. */
static int try_gae(CxlfFabric *f, unsigned pid, bool take)
{
    uint8_t in[0x18] = { 0, take };

    stw_le_p(in + 2, pid);
    return cxlf_cci(f->owner, LEAF0, 0x5902, in, sizeof(in), NULL, 0, NULL);
}

static void test_gae(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e = cxlf_events_on(f->h[0], 1u << NO_WAY);

    /* Not the manager but a host knows its GAE. */
    g_assert_cmphex(cxlf_cci(f->owner, LEAF0, 0x5802, "\0\0\0\0\1\0\0", 8,
                             NULL, 0, NULL), ==, UNSUPPORTED);
    cxlf_can(f, 0, 0);
    cxlf_store(&f->r[0], BULK, 41, 8);
    g_assert_cmphex(try_gae(f, PID_HOST1, true), ==, SUCCESS);
    cxlf_can(f, 0, 0);
    g_assert_cmphex(try_gae(f, PID_GFD, true), ==, SUCCESS);
    expect_cannot(f, &e, 0, CXLF_ROUTE_NO_RIGHT, 0);
    cxlf_wait_load(&f->r[0], BULK, UINT64_MAX);
    expect_no_way(&e, BULK, CXLF_PAGE, CXLF_ROUTE_NO_RIGHT, 0);
    cxlf_can(f, 1, 0);
    g_assert_cmphex(cxlf_load(&f->r[1], BULK, 8), ==, 41);
    /* The SAT is another matter. */
    g_assert_cmphex(get_sat(f, PID_HOST0), ==, 1);
    g_assert_cmphex(try_sat(f, PID_HOST0, 1), ==, SUCCESS);
    g_assert_cmphex(cxlf_load(&f->r[0], BULK, 8), ==, UINT64_MAX);
    g_assert_cmphex(try_gae(f, PID_GFD, false), ==, SUCCESS);
    cxlf_can(f, 0, 0);
    cxlf_wait_load(&f->r[0], BULK, 41);
    g_assert_cmphex(try_gae(f, CXLF_NO_PID, true), ==, INVALID_INPUT);
    cxlf_fabric_stop(f);
}

/* Decoder @index of @pid, from HPA 64 GiB on; a length of 0: not valid. */
static int try_gdt(CxlfFabric *f, unsigned pid, unsigned index, uint64_t dpa,
                   uint64_t length, unsigned ways)
{
    uint8_t in[8 + 0x20] = { 0 }, *e = in + 8;

    stw_le_p(in, pid);
    in[2] = e[0] = index;
    in[3] = 1;
    if (length) {
        e[1] = e[2] = 1;
        stq_le_p(e + 4, (64ull << 30) + dpa);
        stq_le_p(e + 0xc, dpa);
        stq_le_p(e + 0x14, length);
        e[0x1c] = ways;
    }
    return cxlf_cci(f->owner, GFD, 0x4914, in, sizeof(in), NULL, 0, NULL);
}

/* The length of decoder @index of host 0, and where it leads. */
static uint64_t get_gdt(CxlfFabric *f, unsigned index, uint64_t *dpa)
{
    uint8_t in[6] = { PID_HOST0, 0, index, 1 }, out[8 + 0x20];
    size_t n;

    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x4913, in, sizeof(in), out,
                             sizeof(out), &n), ==, SUCCESS);
    g_assert_cmpuint(n, ==, sizeof(out));
    g_assert_cmpmem(out, 4, in, 4);
    g_assert_cmpuint(out[8], ==, index);
    *dpa = ldq_le_p(out + 8 + 0xc);
    return out[9] ? ldq_le_p(out + 8 + 0x14) : 0;
}

static void test_decoders(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e = cxlf_events_on(f->h[0], 1u << NO_WAY);
    uint64_t dpa;

    cxlf_store(&f->r[0], BULK, 41, 8);
    g_assert_cmphex(try_gdt(f, PID_HOST0, 0, 0, 3 * CLASS_SIZE, 0), ==,
                    INVALID_INPUT);         /* more than there is */
    g_assert_cmphex(try_gdt(f, PID_HOST0, 0, 0, CLASS_SIZE, 1), ==,
                    INVALID_INPUT);         /* it interleaves */
    g_assert_cmphex(get_gdt(f, 0, &dpa), ==, 0);
    cxlf_can(f, 0, 0);
    g_assert_cmphex(cxlf_load(&f->r[0], BULK, 8), ==, 41);
    g_assert_cmphex(try_gdt(f, PID_HOST0, 3, 0, CLASS_SIZE, 0), ==, SUCCESS);
    cxlf_can(f, 0, 0);
    cxlf_wait_load(&f->r[0], BULK, UINT64_MAX);
    expect_no_way(&e, BULK, CXLF_PAGE, CXLF_ROUTE_NO_RIGHT, 0);
    g_assert_cmphex(cxlf_load(&f->r[1], BULK, 8), ==, 41);
    g_assert_cmphex(try_gdt(f, PID_HOST0, 1, BULK, CLASS_SIZE, 0), ==,
                    SUCCESS);
    g_assert_cmphex(get_gdt(f, 1, &dpa), ==, CLASS_SIZE);
    g_assert_cmphex(dpa, ==, BULK);
    cxlf_wait_load(&f->r[0], BULK, 41);
    e = cxlf_events_on(f->h[0], 1u << NO_WAY);
    g_assert_cmphex(try_gdt(f, PID_HOST0, 3, 0, 0, 0), ==, SUCCESS);
    expect_cannot(f, &e, 64, CXLF_ROUTE_NO_RIGHT, 0);
    g_assert_cmphex(try_gdt(f, PID_HOST0, 1, 0, 0, 0), ==, SUCCESS);
    cxlf_can(f, 0, 64);
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/fm-routes/tables", test_tables);
    qtest_add_func("/cxlf/fm-routes/next-access", test_next_access);
    qtest_add_func("/cxlf/fm-routes/holes", test_holes);
    qtest_add_func("/cxlf/fm-routes/mapped", test_mapped);
    qtest_add_func("/cxlf/fm-routes/by-hand", test_by_hand);
    qtest_add_func("/cxlf/fm-routes/port-control", test_port_control);
    qtest_add_func("/cxlf/fm-routes/crawl", test_crawl);
    qtest_add_func("/cxlf/fm-routes/rights", test_rights);
    qtest_add_func("/cxlf/fm-routes/gae", test_gae);
    qtest_add_func("/cxlf/fm-routes/decoders", test_decoders);
    return g_test_run();
}
