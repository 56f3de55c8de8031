/*
 * QTest of dynamic capacity: extents that a Fabric Manager gives to hosts
 *
 * One GFAM device: HOT and 256 MiB of BULK, and a region of 256 MiB behind
 * them.  Layouts are those of docs/fabric-manager.md and, for hosts, of CXL
 * r3.1 section 8.2.9.9.9 and table 8-50.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxlf/route.h"
#include "cxlf-route.h"

enum { LEAF, GFD };                                 /* components */
enum { FREE, CONTIGUOUS, PRESCRIPTIVE, SHARED };    /* policies of Add */
enum { BY_TAG, BY_EXTENT, FORCED = 1 << 4 };        /* of Release */
enum { ADDED, RELEASE, TAKEN };                     /* records */
enum {
    INVALID_INPUT = 0x02, INVALID_PA = 0x0f, INVALID_LENGTH = 0x16,
    EXHAUSTED = 0x1d, INVALID_EXTENTS = 0x1e,
};

#define REGION      (2 * CLASS_SIZE)    /* DPA */
#define BLOCK       (2 * MIB)
#define AT(n)       (REGION + (n) * BLOCK)
#define MORE        1
#define RECORD      128
#define EXTENT      40
#define LOG         8                   /* records */
#define NO_WAY      12                  /* event of the agent */

/* Extents, by the number of their first block in the region. */
typedef struct Extent {
    unsigned block, blocks;
    uint8_t tag;                        /* all bytes of it */
} Extent;

static CxlfFabric *start_with(const char *options, int hosts,
                              const char *more)
{
    static struct cxlf_graph graph;
    struct cxlf_topology t = {
        .hosts = 3, .leaves = 1, .shards = 2, .gfams = 1,
        .gfam[0] = { .hot = CLASS_SIZE, .bulk = 2 * CLASS_SIZE },
        .tiers = true,
    };
    CxlfFabric *f;

    cxlf_graph_default(&t, 0, &graph);
    graph.dynamic[0] = CLASS_SIZE;
    f = cxlf_fabric_with(&t, &graph, options, hosts, more);
    for (int i = 0; i < hosts; i++) {
        cxlf_uncommit(&f->r[i]);
        f->r[i].size = REGION + CLASS_SIZE;
        cxlf_commit(&f->r[i]);
    }
    return f;
}

static CxlfFabric *start(int hosts, const char *more)
{
    return start_with("", hosts, more);
}

static void put_extent(uint8_t *at, const Extent *e)
{
    memset(at, 0, EXTENT);
    stq_le_p(at, AT(e->block));
    stq_le_p(at + 8, e->blocks * BLOCK);
    memset(at + 16, e->tag, 16);
}

/* The Fabric Manager's side */

/* 5604 and 5605; @length is for policies without a list. */
static int initiate(CxlfFabric *f, unsigned opcode, int host, unsigned how,
                    uint64_t length, uint8_t tag, const Extent *list,
                    unsigned n)
{
    g_autofree uint8_t *in = g_malloc0(32 + EXTENT * n);

    stw_le_p(in, host);
    in[2] = how;
    stq_le_p(in + 4, length);
    memset(in + 12, tag, 16);
    stl_le_p(in + 28, n);
    for (unsigned i = 0; i < n; i++) {
        put_extent(in + 32 + EXTENT * i, &list[i]);
    }
    return cxlf_cci(f->owner, GFD, opcode, in, 32 + EXTENT * n, NULL, 0,
                    NULL);
}

static void add(CxlfFabric *f, int host, const Extent *list, unsigned n)
{
    g_assert_cmphex(initiate(f, 0x5604, host, PRESCRIPTIVE, 0, 0, list, n),
                    ==, 0);
}

static void share(CxlfFabric *f, int host, uint8_t tag)
{
    g_assert_cmphex(initiate(f, 0x5604, host, SHARED, 0, tag, NULL, 0), ==,
                    0);
}

static int release(CxlfFabric *f, int host, unsigned how, const Extent *e)
{
    return initiate(f, 0x5605, host, BY_EXTENT | how, 0, 0, e, 1);
}

/* What the Fabric Manager says that a host has; returns how many. */
static unsigned fm_extents(CxlfFabric *f, int host, uint8_t *extents)
{
    uint8_t in[12] = { host, 0, 0, 0, 128 }, out[24 + 128 * EXTENT];
    unsigned n;
    size_t got;

    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5603, in, sizeof(in), out,
                             sizeof(out), &got), ==, 0);
    n = ldl_le_p(out + 8);
    g_assert_cmpuint(got, ==, 24 + n * EXTENT);
    g_assert_cmpuint(ldl_le_p(out + 12), ==, n);
    if (extents) {
        memcpy(extents, out + 24, n * EXTENT);
    }
    return n;
}

/* How many extents more can be added: all others are somebody's, or erased. */
static unsigned available(CxlfFabric *f)
{
    uint8_t in[4] = { 0 }, out[4 + 16];
    size_t got;

    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5601, in, sizeof(in), out,
                             sizeof(out), &got), ==, 0);
    g_assert_cmpuint(got, ==, sizeof(out));
    return ldl_le_p(out + 8);
}

static void wait_available(CxlfFabric *f, unsigned n)
{
    gint64 deadline = cxlf_deadline();

    while (available(f) != n) {
        cxlf_pause(deadline, "extents that are free");
    }
}

/* The Fabric Manager has heard that the host has these, in any order. */
static void expect_fm(CxlfFabric *f, int host, const Extent *list, unsigned n)
{
    uint8_t is[128 * EXTENT], wanted[EXTENT];
    gint64 deadline = cxlf_deadline();

    while (fm_extents(f, host, is) != n) {
        cxlf_pause(deadline, "extents of a host");
    }
    for (unsigned i = 0; i < n; i++) {
        bool found = false;

        put_extent(wanted, &list[i]);
        for (unsigned j = 0; j < n; j++) {
            found |= !memcmp(is + j * EXTENT, wanted, EXTENT);
        }
        g_assert_true(found);
    }
}

/* The host's side */

static uint16_t command(CxlfFabric *f, int host, uint16_t opcode,
                        const void *in, unsigned length, void *out,
                        unsigned *got)
{
    return cxlf_mailbox(f->h[host], 0, opcode, in, length, out, got);
}

/* Records of the log, without taking them out; at most 8. */
static unsigned records(CxlfFabric *f, int host, uint8_t *record)
{
    uint8_t log = 4, out[2048];
    unsigned got, n;

    g_assert_cmphex(command(f, host, 0x0100, &log, 1, out, &got), ==, 0);
    n = lduw_le_p(out + 20);
    g_assert_cmpuint(got, ==, 32 + n * RECORD);
    memcpy(record, out + 32, n * RECORD);
    return n;
}

static void clear(CxlfFabric *f, int host, const uint8_t *record, unsigned n)
{
    uint8_t in[6 + 2 * LOG] = { 4, 0, n }, out[2048];
    unsigned got;

    for (unsigned i = 0; i < n; i++) {
        memcpy(in + 6 + 2 * i, record + i * RECORD + 20, 2);
    }
    g_assert_cmphex(command(f, host, 0x0101, in, 6 + 2 * n, out, &got), ==,
                    0);
}

/* Just these records come, byte for byte; they are taken out. */
static void expect_records(CxlfFabric *f, int host, unsigned type,
                           const Extent *list, unsigned n, unsigned left)
{
    static const uint8_t id[16] = {
        0xca, 0x95, 0xaf, 0xa7, 0xf1, 0x83, 0x40, 0x18,
        0x8c, 0x2f, 0x95, 0x26, 0x8e, 0x10, 0x1a, 0x2a,
    };
    uint8_t is[LOG * RECORD], wanted[RECORD];
    gint64 deadline = cxlf_deadline();

    while (records(f, host, is) < n) {
        cxlf_pause(deadline, "records of dynamic capacity");
    }
    g_assert_cmpuint(records(f, host, is), ==, n);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *record = is + i * RECORD;
        unsigned more = type == ADDED ? n - 1 - i : 0;

        memset(wanted, 0, RECORD);
        memcpy(wanted, id, sizeof(id));
        wanted[16] = RECORD;
        memcpy(wanted + 20, record + 20, 2);    /* handle */
        memcpy(wanted + 24, record + 24, 8);    /* time */
        wanted[48] = type;
        wanted[53] = more ? MORE : 0;
        put_extent(wanted + 56, &list[i]);
        stl_le_p(wanted + 120, left + more);
        stl_le_p(wanted + 124, left + more);
        g_assert_cmpmem(record, RECORD, wanted, RECORD);
    }
    clear(f, host, is, n);
}

/* 4802 and 4803 */
static uint16_t update(CxlfFabric *f, int host, uint16_t opcode,
                       unsigned flags, const Extent *list, unsigned n)
{
    uint8_t in[8 + 24 * 16] = { 0 }, out[2048];
    unsigned got;

    g_assert_cmpuint(n, <=, 16);
    stl_le_p(in, n);
    in[4] = flags;
    for (unsigned i = 0; i < n; i++) {
        stq_le_p(in + 8 + 24 * i, AT(list[i].block));
        stq_le_p(in + 16 + 24 * i, list[i].blocks * BLOCK);
    }
    return command(f, host, opcode, in, 8 + 24 * n, out, &got);
}

static void accept_all(CxlfFabric *f, int host, const Extent *list,
                       unsigned n)
{
    g_assert_cmphex(update(f, host, 0x4802, 0, list, n), ==, 0);
}

static void give_back(CxlfFabric *f, int host, const Extent *list, unsigned n)
{
    g_assert_cmphex(update(f, host, 0x4803, 0, list, n), ==, 0);
}

/* 4801, from @start on; returns the generation number. */
static uint32_t expect_list(CxlfFabric *f, int host, const Extent *list,
                            unsigned n)
{
    uint8_t in[8] = { 255 }, out[2048], wanted[EXTENT];
    unsigned got;
    uint32_t generation;

    for (unsigned start = 0; start <= n; start++) {
        stl_le_p(in + 4, start);
        g_assert_cmphex(command(f, host, 0x4801, in, 8, out, &got), ==, 0);
        g_assert_cmpuint(got, ==, 16 + (n - start) * EXTENT);
        g_assert_cmpuint(ldl_le_p(out), ==, n - start);
        g_assert_cmpuint(ldl_le_p(out + 4), ==, n);
        g_assert_cmpuint(ldl_le_p(out + 12), ==, 0);
        for (unsigned i = start; i < n; i++) {
            put_extent(wanted, &list[i]);
            g_assert_cmpmem(out + 16 + (i - start) * EXTENT, EXTENT, wanted,
                            EXTENT);
        }
    }
    generation = ldl_le_p(out + 8);
    stl_le_p(in + 4, n + 1);
    g_assert_cmphex(command(f, host, 0x4801, in, 8, out, &got), ==,
                    INVALID_INPUT);
    return generation;
}

/* Offered, told, accepted, and heard of. */
static void give(CxlfFabric *f, int host, const Extent *e)
{
    add(f, host, e, 1);
    expect_records(f, host, ADDED, e, 1, 127);
    accept_all(f, host, e, 1);
    expect_fm(f, host, e, 1);
}

static uint64_t load(CxlfFabric *f, int host, uint64_t dpa)
{
    return cxlf_load(&f->r[host], dpa, 8);
}

static void store(CxlfFabric *f, int host, uint64_t dpa, uint64_t value)
{
    cxlf_store(&f->r[host], dpa, value, 8);
}

/* The hosts that the device lets reach a block: docs/routing.md, "Layout". */
static uint16_t rights(CxlfFabric *f, unsigned block)
{
    off_t at = sizeof(struct cxlf_routes) +
               sizeof(struct cxlf_switch_tables) +
               offsetof(struct cxlf_access_tables, extent) + 2 * block;
    int fd = cxlf_open_memfd(f->owner, "cxlf-routes");
    uint16_t hosts;

    g_assert_cmpint(pread(fd, &hosts, 2, at), ==, 2);
    close(fd);
    return hosts;
}

/* Each page of an extent, at its beginning and at its end. */
static void fill(CxlfFabric *f, int host, const Extent *e, uint64_t value)
{
    for (uint64_t at = AT(e->block); at < AT(e->block + e->blocks);
         at += BLOCK / 4) {
        store(f, host, at, value + at);
        store(f, host, at + CXLF_PAGE - 8, value - at);
    }
}

static void expect_fill(CxlfFabric *f, int host, const Extent *e,
                        uint64_t value)
{
    for (uint64_t at = AT(e->block); at < AT(e->block + e->blocks);
         at += BLOCK / 4) {
        g_assert_cmphex(load(f, host, at), ==, value + at);
        g_assert_cmphex(load(f, host, at + CXLF_PAGE - 8), ==, value - at);
    }
}

static void expect_zeros(CxlfFabric *f, int host, const Extent *e)
{
    for (uint64_t at = AT(e->block); at < AT(e->block + e->blocks);
         at += BLOCK / 4) {
        g_assert_cmphex(load(f, host, at), ==, 0);
        g_assert_cmphex(load(f, host, at + CXLF_PAGE - 8), ==, 0);
    }
}

/*
 * All ones, and a store that changes nothing, elsewhere each time: what is not
 * a vCPU may find its own stores again.
 */
static void expect_nothing(CxlfFabric *f, int host, const Extent *e)
{
    static unsigned times;
    uint64_t at = AT(e->block) + 8 * (times++ % 500), before, after;
    int fd = cxlf_open_memfd(f->owner, "cxlf-gfam0");

    g_assert_cmpint(pread(fd, &before, 8, at), ==, 8);
    g_assert_cmphex(load(f, host, at), ==, UINT64_MAX);
    g_assert_cmphex(load(f, host, AT(e->block + e->blocks) - 8), ==,
                    UINT64_MAX);
    store(f, host, at, 0xbad);
    g_assert_cmpint(pread(fd, &after, 8, at), ==, 8);
    g_assert_cmphex(after, ==, before);
    close(fd);
}

/* What is there without any extent */
static void test_config(void)
{
    CxlfFabric *f = start(2, "");
    uint8_t out[2048], wanted[64] = { 1, 1 }, in[4] = { 1 };
    CxlfClass class[3];
    unsigned got, dslbis;
    size_t n;

    for (int host = 0; host < 2; host++) {
        /* 4800h Get Dynamic Capacity Configuration */
        stq_le_p(wanted + 8, REGION);
        stq_le_p(wanted + 16, 1);
        stq_le_p(wanted + 24, CLASS_SIZE);
        stq_le_p(wanted + 32, BLOCK);
        stl_le_p(wanted + 40, 2);           /* DSMAS */
        for (unsigned i = 0; i < 4; i++) {
            stl_le_p(wanted + 48 + 4 * i, 128);
        }
        in[0] = 1;
        in[1] = 0;
        g_assert_cmphex(command(f, host, 0x4800, in, 2, out, &got), ==, 0);
        g_assert_cmpmem(out, got, wanted, 64);
        in[0] = 255;
        g_assert_cmphex(command(f, host, 0x4800, in, 2, out, &got), ==, 0);
        g_assert_cmpmem(out, got, wanted, 64);
        in[0] = 0;
        g_assert_cmphex(command(f, host, 0x4800, in, 2, out, &got), ==, 0);
        g_assert_cmpuint(got, ==, 24);
        g_assert_cmpuint(out[1], ==, 0);
        in[1] = 1;
        g_assert_cmphex(command(f, host, 0x4800, in, 2, out, &got), ==,
                        INVALID_INPUT);
        expect_list(f, host, NULL, 0);

        /* Identify Memory Device, Get Partition Info: without the region */
        g_assert_cmphex(command(f, host, 0x4000, NULL, 0, out, &got), ==, 0);
        g_assert_cmphex(ldq_le_p(out + 0x10), ==, 2);
        g_assert_cmphex(ldq_le_p(out + 0x18), ==, 2);
        g_assert_cmphex(lduw_le_p(out + 0x43), ==, LOG);
        g_assert_cmphex(command(f, host, 0x4100, NULL, 0, out, &got), ==, 0);
        g_assert_cmphex(ldq_le_p(out), ==, 2);

        g_assert_cmpint(cxlf_classes(f->h[host], 0, class, 3, &dslbis), ==,
                        3);
        g_assert_cmphex(class[1].base, ==, CLASS_SIZE);
        g_assert_cmphex(class[1].size, ==, CLASS_SIZE);
        g_assert_cmphex(class[2].flags, ==, 1 << 3 | 1 << 5);
        g_assert_cmphex(class[2].base, ==, REGION);
        g_assert_cmphex(class[2].size, ==, CLASS_SIZE);
        expect_nothing(f, host, &(Extent) { 0, 128 });
        cxlf_can(f, host, REGION - 8);
    }
    /* 5600h Get DCD Info: hosts, regions, and how much there is */
    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5600, NULL, 0, out, sizeof(out),
                             &n), ==, 0);
    g_assert_cmpuint(n, ==, 84);
    g_assert_cmpuint(out[0], ==, 3);
    g_assert_cmpuint(out[1], ==, 1);
    g_assert_cmpuint(ldq_le_p(out + 12), ==, 1);
    g_assert_cmphex(ldq_le_p(out + 20), ==, BLOCK);
    g_assert_cmpuint(available(f), ==, 128);
    cxlf_fabric_stop(f);
}

/* Access before, while and after an extent is a host's. */
static void access_all(const char *more)
{
    CxlfFabric *f = start(2, more);
    const Extent e = { 3, 5, 0x11 };
    const Extent behind = { 8, 1 }, before = { 2, 1 };

    expect_nothing(f, 0, &e);
    add(f, 0, &e, 1);
    expect_records(f, 0, ADDED, &e, 1, 127);
    expect_nothing(f, 0, &e);
    accept_all(f, 0, &e, 1);
    expect_zeros(f, 0, &e);         /* at once */
    fill(f, 0, &e, 1);
    expect_fill(f, 0, &e, 1);
    expect_nothing(f, 0, &before);
    expect_nothing(f, 0, &behind);
    expect_nothing(f, 1, &e);
    expect_fm(f, 0, &e, 1);
    expect_fm(f, 1, NULL, 0);

    give_back(f, 0, &e, 1);
    expect_nothing(f, 0, &e);       /* at once */
    wait_available(f, 128);
    expect_fm(f, 0, NULL, 0);

    /* What was in it is nobody's. */
    give(f, 1, &e);
    expect_zeros(f, 1, &e);
    expect_nothing(f, 0, &e);
    fill(f, 1, &e, 2);
    expect_fill(f, 1, &e, 2);
    cxlf_fabric_stop(f);
}

static void test_access(void)
{
    access_all("");
    access_all(CXLF_NEVER_MAPPED);
    access_all(" -global dpu-eca.hot-track=page");
    access_all(" -global dpu-eca.ownership=off");
}

/* The guest is told of an access to what it does not have. */
static void test_event(void)
{
    CxlfFabric *f = start(1, "");
    CxlfEvents events = cxlf_events_on(f->h[0], 1 << NO_WAY);
    CxlfEvent e;

    g_assert_cmphex(load(f, 0, AT(7) + 8), ==, UINT64_MAX);
    e = cxlf_events_next(&events, NO_WAY);
    g_assert_cmpuint(e.gfam, ==, 0);
    g_assert_cmphex(e.dpa, ==, AT(7));
    g_assert_cmphex(e.length, ==, CXLF_PAGE);
    g_assert_cmpuint(e.data[0], ==, CXLF_ROUTE_NO_RIGHT);
    g_assert_cmpuint(e.data[1], ==, 0);
    cxlf_fabric_stop(f);
}

/* Each selection policy: where it puts what. */
static void test_policies(void)
{
    CxlfFabric *f = start(2, "");
    const Extent first = { 0, 2, 1 }, second = { 2, 3, 2 };
    const Extent list[3] = { { 10, 1, 3 }, { 5, 2, 4 }, { 20, 1, 3 } };
    const Extent third = { 7, 3, 5 }, all[5] = {
        first, second, list[0], list[1], list[2]
    };
    uint32_t generation;

    g_assert_cmphex(initiate(f, 0x5604, 0, FREE, 2 * BLOCK, 1, NULL, 0), ==,
                    0);
    expect_records(f, 0, ADDED, &first, 1, 127);
    accept_all(f, 0, &first, 1);
    generation = expect_list(f, 0, &first, 1);
    g_assert_cmphex(initiate(f, 0x5604, 0, CONTIGUOUS, 3 * BLOCK, 2, NULL,
                             0), ==, 0);
    expect_records(f, 0, ADDED, &second, 1, 126);
    g_assert_cmpuint(expect_list(f, 0, &first, 1), ==, generation);
    accept_all(f, 0, &second, 1);
    g_assert_cmpuint(expect_list(f, 0, all, 2), !=, generation);

    /* Three together, which have one answer */
    add(f, 0, list, 3);
    expect_records(f, 0, ADDED, list, 3, 123);
    accept_all(f, 0, list, 3);
    expect_list(f, 0, all, 5);
    expect_fm(f, 0, all, 5);
    g_assert_cmpuint(available(f), ==, 123);

    /* What another one has is not free. */
    g_assert_cmphex(initiate(f, 0x5604, 1, FREE, 3 * BLOCK, 5, NULL, 0), ==,
                    0);
    expect_records(f, 1, ADDED, &third, 1, 127);
    accept_all(f, 1, &third, 1);
    expect_fm(f, 1, &third, 1);
    g_assert_cmphex(initiate(f, 0x5604, 1, PRESCRIPTIVE, 0, 0, &list[1], 1),
                    ==, INVALID_EXTENTS);
    g_assert_cmphex(initiate(f, 0x5604, 1, FREE, CLASS_SIZE, 0, NULL, 0), ==,
                    EXHAUSTED);
    g_assert_cmphex(initiate(f, 0x5604, 1, FREE, BLOCK / 2, 0, NULL, 0), ==,
                    INVALID_INPUT);
    g_assert_cmphex(initiate(f, 0x5604, 3, FREE, BLOCK, 0, NULL, 0), ==,
                    INVALID_INPUT);
    g_assert_cmphex(initiate(f, 0x5604, 1, PRESCRIPTIVE, 0, 0,
                             &(Extent) { 128, 1 }, 1), ==, INVALID_PA);
    cxlf_fabric_stop(f);
}

/* A guest accepts a part, or nothing, or what it was not offered. */
static void test_answers(void)
{
    CxlfFabric *f = start(1, "");
    const Extent list[4] = { { 0, 1, 1 }, { 4, 2, 1 }, { 8, 1, 1 },
                             { 30, 4, 2 } };
    const Extent wrong[] = { { 4, 1 }, { 5, 1 }, { 0, 2 }, { 30, 4 },
                             { 60, 1 }, { 128, 1 }, { 127, 2 } };
    const Extent twice[2] = { list[0], list[0] };
    uint8_t in[32] = { 1 }, out[2048];
    unsigned got;

    g_assert_cmphex(update(f, 0, 0x4802, 0, NULL, 0), ==, INVALID_INPUT);
    g_assert_cmphex(update(f, 0, 0x4803, 0, NULL, 0), ==, INVALID_INPUT);
    g_assert_cmphex(update(f, 0, 0x4802, 0, list, 1), ==, INVALID_PA);
    g_assert_cmphex(update(f, 0, 0x4803, 0, list, 1), ==, INVALID_PA);

    /* One of three, then none of the next */
    add(f, 0, list, 3);
    expect_records(f, 0, ADDED, list, 3, 125);
    add(f, 0, &list[3], 1);
    expect_records(f, 0, ADDED, &list[3], 1, 124);
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        g_assert_cmphex(update(f, 0, 0x4802, 0, &wrong[i], 1), ==,
                        INVALID_PA);
    }
    g_assert_cmphex(update(f, 0, 0x4802, 0, twice, 2), ==, INVALID_EXTENTS);
    g_assert_cmphex(update(f, 0, 0x4802, 0, &(Extent) { 0, 0 }, 1), ==,
                    INVALID_EXTENTS);
    g_assert_cmphex(command(f, 0, 0x4802, in, 7, out, &got), ==,
                    INVALID_LENGTH);
    g_assert_cmphex(command(f, 0, 0x4802, in, 31, out, &got), ==,
                    INVALID_LENGTH);
    in[0] = 0;
    g_assert_cmphex(command(f, 0, 0x4802, in, 32, out, &got), ==,
                    INVALID_LENGTH);
    stl_le_p(in, 0xaaaaaaab);       /* times 24 is 8, in 32 bits */
    g_assert_cmphex(command(f, 0, 0x4802, in, 16, out, &got), ==,
                    INVALID_LENGTH);
    stl_le_p(in, 1);
    stq_le_p(in + 8, AT(0) + CXLF_PAGE);
    stq_le_p(in + 16, BLOCK);
    g_assert_cmphex(command(f, 0, 0x4802, in, 32, out, &got), ==,
                    INVALID_EXTENTS);
    stq_le_p(in + 8, UINT64_MAX - BLOCK + 1);
    g_assert_cmphex(command(f, 0, 0x4802, in, 32, out, &got), ==,
                    INVALID_PA);
    expect_list(f, 0, NULL, 0);
    accept_all(f, 0, &list[1], 1);
    expect_list(f, 0, &list[1], 1);
    expect_fm(f, 0, &list[1], 1);
    wait_available(f, 126);
    expect_nothing(f, 0, &list[0]);
    g_assert_cmphex(update(f, 0, 0x4802, 0, NULL, 0), ==, 0);
    wait_available(f, 127);
    expect_list(f, 0, &list[1], 1);

    /* With More the answer goes on. */
    add(f, 0, (Extent[]) { list[0], list[2] }, 2);
    expect_records(f, 0, ADDED, (Extent[]) { list[0], list[2] }, 2, 125);
    g_assert_cmphex(update(f, 0, 0x4802, MORE, &list[2], 1), ==, 0);
    g_assert_cmphex(update(f, 0, 0x4802, 0, &list[0], 1), ==, 0);
    expect_list(f, 0, (Extent[]) { list[1], list[2], list[0] }, 3);
    g_assert_cmphex(update(f, 0, 0x4802, 0, NULL, 0), ==, INVALID_INPUT);

    /* All of a list is given back, or nothing. */
    g_assert_cmphex(update(f, 0, 0x4803, 0, (Extent[]) { list[1], list[3] },
                           2), ==, INVALID_PA);
    g_assert_cmphex(update(f, 0, 0x4803, 0, &wrong[0], 1), ==, INVALID_PA);
    g_assert_cmphex(update(f, 0, 0x4803, 0, twice, 2), ==, INVALID_EXTENTS);
    expect_zeros(f, 0, &list[1]);
    give_back(f, 0, (Extent[]) { list[0], list[1] }, 2);
    expect_list(f, 0, &list[2], 1);
    expect_fm(f, 0, &list[2], 1);
    wait_available(f, 127);
    cxlf_fabric_stop(f);
}

static void test_release(void)
{
    CxlfFabric *f = start(2, "");
    const Extent e = { 9, 2, 7 }, other = { 20, 1, 8 };

    give(f, 0, &e);
    fill(f, 0, &e, 3);
    g_assert_cmphex(release(f, 1, 0, &e), ==, INVALID_PA);
    g_assert_cmphex(release(f, 0, 0, &other), ==, INVALID_PA);
    g_assert_cmphex(release(f, 0, 0, &e), ==, 0);
    expect_records(f, 0, RELEASE, &e, 1, 127);
    expect_fill(f, 0, &e, 3);       /* it is asked, no more */
    expect_fm(f, 0, &e, 1);
    give_back(f, 0, &e, 1);
    wait_available(f, 128);

    /* By force: of what it has, and of what it was offered */
    give(f, 0, &e);
    fill(f, 0, &e, 4);
    g_assert_cmphex(release(f, 0, FORCED, &e), ==, 0);
    expect_records(f, 0, TAKEN, &e, 1, 128);
    expect_nothing(f, 0, &e);
    expect_list(f, 0, NULL, 0);
    g_assert_cmphex(update(f, 0, 0x4803, 0, &e, 1), ==, INVALID_PA);
    wait_available(f, 128);
    add(f, 0, &e, 1);
    expect_records(f, 0, ADDED, &e, 1, 127);
    g_assert_cmphex(initiate(f, 0x5605, 0, BY_TAG | FORCED, 0, e.tag, NULL,
                             0), ==, 0);
    expect_records(f, 0, TAKEN, &e, 1, 128);
    g_assert_cmphex(update(f, 0, 0x4802, 0, &e, 1), ==, INVALID_PA);
    wait_available(f, 128);
    give(f, 1, &e);
    expect_zeros(f, 1, &e);
    cxlf_fabric_stop(f);
}

/* Two hosts have an extent; what one writes the other reads. */
static void share_all(const char *more)
{
    CxlfFabric *f = start(3, more);
    const Extent e[2] = { { 1, 2, 9 }, { 64, 1, 9 } };
    const Extent one = { 70, 1, 9 };

    add(f, 0, e, 2);
    expect_records(f, 0, ADDED, e, 2, 126);
    accept_all(f, 0, e, 2);
    expect_fm(f, 0, e, 2);
    fill(f, 0, &e[0], 5);
    share(f, 1, 9);
    expect_records(f, 1, ADDED, e, 2, 126);
    expect_nothing(f, 1, &e[0]);
    accept_all(f, 1, e, 2);
    expect_fill(f, 1, &e[0], 5);
    for (int i = 0; i < 20; i++) {
        store(f, i % 2, AT(64) + 8 * (i % 5), i);
        g_assert_cmphex(load(f, 1 - i % 2, AT(64) + 8 * (i % 5)), ==, i);
    }
    expect_fm(f, 1, e, 2);
    g_assert_cmpuint(available(f), ==, 126);
    g_assert_cmphex(initiate(f, 0x5604, 1, SHARED, 0, 9, NULL, 0), ==,
                    INVALID_INPUT);

    /* The first lets go; the second keeps what is in it. */
    g_assert_cmphex(rights(f, 2), ==, 1 << 0 | 1 << 1);
    give_back(f, 0, &e[0], 1);
    expect_fm(f, 0, &e[1], 1);
    g_assert_cmphex(rights(f, 2), ==, 1 << 1);
    expect_nothing(f, 0, &e[0]);
    expect_fill(f, 1, &e[0], 5);
    g_assert_cmphex(release(f, 1, FORCED, &e[1]), ==, 0);
    expect_records(f, 1, TAKEN, &e[1], 1, 127);
    expect_nothing(f, 1, &e[1]);
    g_assert_cmphex(load(f, 0, AT(64)), ==, 15);

    /* The last one lets go: it is erased. */
    give_back(f, 0, &e[1], 1);
    give_back(f, 1, &e[0], 1);
    wait_available(f, 128);
    give(f, 2, &one);
    g_assert_cmphex(initiate(f, 0x5604, 2, PRESCRIPTIVE, 0, 0, e, 2), ==, 0);
    expect_records(f, 2, ADDED, e, 2, 125);
    accept_all(f, 2, e, 2);
    expect_zeros(f, 2, &e[0]);
    expect_zeros(f, 2, &e[1]);
    cxlf_fabric_stop(f);
}

static void test_shared(void)
{
    share_all("");
    share_all(CXLF_NEVER_MAPPED);
    share_all(" -global dpu-eca.ownership=off");
}

/* 5602, of a region: its size of blocks, and whether it is sanitized */
static int set_region(CxlfFabric *f, unsigned region, uint64_t block,
                      unsigned sanitize)
{
    uint8_t in[16] = { region };

    stq_le_p(in + 4, block);
    in[12] = sanitize;
    return cxlf_cci(f->owner, GFD, 0x5602, in, sizeof(in), NULL, 0, NULL);
}

/* What 5601 says of the region to each host, byte by byte */
static void expect_region(CxlfFabric *f, unsigned sanitize, unsigned left)
{
    uint8_t in[4] = { 0, 0, 8 }, out[60], wanted[60] = { 0 };
    size_t got;

    for (unsigned host = 0; host < 3; host++) {
        in[0] = host;
        wanted[0] = host;
        wanted[2] = wanted[3] = 1;
        stq_le_p(wanted + 4, REGION);
        stq_le_p(wanted + 12, 1);           /* 256 MiB */
        stq_le_p(wanted + 20, CLASS_SIZE);
        stq_le_p(wanted + 28, BLOCK);
        stl_le_p(wanted + 36, 1 << 3);      /* shareable */
        stl_le_p(wanted + 40, sanitize);
        stl_le_p(wanted + 44, 128);
        stl_le_p(wanted + 48, left);
        stl_le_p(wanted + 52, 128);
        stl_le_p(wanted + 56, left);
        g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5601, in, sizeof(in), out,
                                 sizeof(out), &got), ==, 0);
        g_assert_cmpmem(out, got, wanted, sizeof(wanted));
    }
}

/* A region can be set while it has no extents, not even ones just offered. */
static void test_region(void)
{
    CxlfFabric *f = start(1, "");
    const Extent e = { 3, 1, 2 };

    expect_region(f, 1, 128);
    g_assert_cmphex(set_region(f, 0, BLOCK, 0), ==, 0);
    expect_region(f, 0, 128);
    g_assert_cmphex(set_region(f, 1, BLOCK, 1), ==, INVALID_INPUT);
    g_assert_cmphex(set_region(f, 0, BLOCK, 2), ==, INVALID_INPUT);
    g_assert_cmphex(set_region(f, 0, 0, 1), ==, INVALID_INPUT);
    g_assert_cmphex(set_region(f, 0, 2 * BLOCK, 1), ==, INVALID_INPUT);
    g_assert_cmphex(set_region(f, 0, 3 * BLOCK, 1), ==, INVALID_INPUT);
    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5602, &(uint8_t[15]) { 0 }, 15,
                             NULL, 0, NULL), ==, INVALID_LENGTH);
    expect_region(f, 0, 128);
    add(f, 0, &e, 1);
    g_assert_cmphex(set_region(f, 0, BLOCK, 1), ==, 3);     /* Unsupported */
    expect_records(f, 0, ADDED, &e, 1, 127);
    accept_all(f, 0, &e, 1);
    expect_fm(f, 0, &e, 1);
    g_assert_cmphex(set_region(f, 0, BLOCK, 1), ==, 3);
    expect_region(f, 0, 127);
    fill(f, 0, &e, 8);
    give_back(f, 0, &e, 1);
    wait_available(f, 128);
    g_assert_cmphex(set_region(f, 0, BLOCK, 1), ==, 0);
    expect_region(f, 1, 128);
    give(f, 0, &e);
    expect_zeros(f, 0, &e);
    cxlf_fabric_stop(f);
}

typedef struct Tag {
    uint8_t tag;                        /* all bytes of it */
    bool reference;
    uint16_t hosts, pending;
} Tag;

/* 5608, from each tag on: just these, in the order in which they came */
static void expect_tags(CxlfFabric *f, const Tag *list, unsigned n)
{
    uint8_t in[8] = { 0, 0, 0, 0, 255 }, out[16 + 8 * 84];
    size_t got;

    for (unsigned start = 0; start <= n; start++) {
        uint8_t wanted[16 + 8 * 84] = { 0 };

        stl_le_p(in, start);
        g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5608, in, sizeof(in), out,
                                 sizeof(out), &got), ==, 0);
        memcpy(wanted, out, 4);             /* generation */
        stl_le_p(wanted + 4, n);
        stl_le_p(wanted + 8, n - start);
        wanted[12] = 3;                     /* both maps are valid */
        for (unsigned i = start; i < n; i++) {
            uint8_t *at = wanted + 16 + 84 * (i - start);

            memset(at, list[i].tag, 16);
            at[16] = list[i].reference;
            stw_le_p(at + 20, list[i].hosts);
            stw_le_p(at + 52, list[i].pending);
        }
        g_assert_cmpmem(out, got, wanted, 16 + 84 * (n - start));
    }
    stl_le_p(in, n + 1);
    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5608, in, sizeof(in), NULL, 0,
                             NULL), ==, INVALID_INPUT);
    g_assert_cmphex(cxlf_cci(f->owner, GFD, 0x5608, in, 7, NULL, 0, NULL),
                    ==, INVALID_LENGTH);
}

static void test_tags(void)
{
    CxlfFabric *f = start(2, "");
    const Extent e[2] = { { 0, 1, 3 }, { 4, 1, 5 } }, none = { 9, 1, 0 };
    Tag list[2] = { { .tag = 3, .pending = 1 << 0 },
                    { .tag = 5, .pending = 1 << 1 } };
    uint8_t tag[16];

    expect_tags(f, NULL, 0);
    add(f, 0, &e[0], 1);
    add(f, 1, &e[1], 1);
    add(f, 0, &none, 1);            /* a tag of zeros is none */
    expect_tags(f, list, 2);
    expect_records(f, 1, ADDED, &e[1], 1, 127);
    accept_all(f, 1, &e[1], 1);
    expect_fm(f, 1, &e[1], 1);
    list[1] = (Tag) { .tag = 5, .hosts = 1 << 1 };
    expect_tags(f, list, 2);
    share(f, 0, 5);
    list[1].pending = 1 << 0;
    expect_tags(f, list, 2);
    memset(tag, 5, sizeof(tag));
    cxlf_cci_ok(f->owner, GFD, 0x5606, tag, sizeof(tag));
    list[1].reference = true;
    expect_tags(f, list, 2);
    /* Both let go: the reference keeps the one, nothing the other. */
    g_assert_cmphex(release(f, 0, FORCED, &e[0]), ==, 0);
    g_assert_cmphex(release(f, 0, FORCED, &e[1]), ==, 0);
    give_back(f, 1, &e[1], 1);
    expect_fm(f, 1, NULL, 0);
    list[1] = (Tag) { .tag = 5, .reference = true };
    expect_tags(f, &list[1], 1);
    cxlf_cci_ok(f->owner, GFD, 0x5607, tag, sizeof(tag));
    expect_tags(f, NULL, 0);
    cxlf_fabric_stop(f);
}

/* A reference of the Fabric Manager keeps what is in it for the next one. */
static void test_reference(void)
{
    CxlfFabric *f = start(2, "");
    const Extent e = { 33, 1, 6 };
    uint8_t tag[16];

    memset(tag, e.tag, sizeof(tag));
    give(f, 0, &e);
    fill(f, 0, &e, 77);
    cxlf_cci_ok(f->owner, GFD, 0x5606, tag, sizeof(tag));
    give_back(f, 0, &e, 1);
    expect_fm(f, 0, NULL, 0);
    share(f, 1, e.tag);
    expect_records(f, 1, ADDED, &e, 1, 127);
    accept_all(f, 1, &e, 1);
    expect_fill(f, 1, &e, 77);
    cxlf_cci_ok(f->owner, GFD, 0x5607, tag, sizeof(tag));
    give_back(f, 1, &e, 1);
    wait_available(f, 128);
    cxlf_fabric_stop(f);
}

/* Hosts that die with extents, that are not there, that have no endpoint */
static void die(const char *more)
{
    CxlfFabric *f = start(2, more);
    const Extent e[2] = { { 0, 2, 1 }, { 40, 1, 2 } }, both = { 5, 1, 3 };
    const Extent offered = { 50, 1, 4 };

    add(f, 0, e, 2);
    expect_records(f, 0, ADDED, e, 2, 126);
    accept_all(f, 0, e, 2);
    fill(f, 0, &e[0], 11);
    add(f, 0, &both, 1);
    expect_records(f, 0, ADDED, &both, 1, 125);
    accept_all(f, 0, &both, 1);
    expect_fm(f, 0, (Extent[]) { e[0], e[1], both }, 3);
    share(f, 1, both.tag);
    expect_records(f, 1, ADDED, &both, 1, 127);
    accept_all(f, 1, &both, 1);
    expect_fm(f, 1, &both, 1);
    store(f, 1, AT(5), 0x55);
    add(f, 0, &offered, 1);
    g_assert_cmpuint(available(f), ==, 124);

    g_assert_cmpint(kill(qtest_pid(f->h[0]->qts), SIGKILL), ==, 0);
    cxlf_host_forget(f->h[0]);
    f->h[0] = NULL;
    wait_available(f, 127);
    expect_fm(f, 0, NULL, 0);
    g_assert_cmphex(load(f, 1, AT(5)), ==, 0x55);
    add(f, 1, e, 2);
    expect_records(f, 1, ADDED, e, 2, 125);
    accept_all(f, 1, e, 2);
    expect_zeros(f, 1, &e[0]);
    expect_zeros(f, 1, &e[1]);

    /* Nobody is there to be offered anything; it is erased all the same. */
    add(f, 0, &offered, 1);
    wait_available(f, 125);
    add(f, 2, &offered, 1);
    wait_available(f, 125);
    cxlf_unplug(f->h[1], 0);
    expect_fm(f, 1, NULL, 0);
    wait_available(f, 128);
    add(f, 1, &offered, 1);
    wait_available(f, 128);
    cxlf_plug(f->h[1], 0, 0, -1);
    cxlf_uncommit(&f->r[1]);
    cxlf_commit(&f->r[1]);
    expect_list(f, 1, NULL, 0);
    give(f, 1, &e[0]);
    expect_zeros(f, 1, &e[0]);

    /* In order */
    cxlf_host_stop(f->h[1]);
    f->h[1] = NULL;
    wait_available(f, 128);
    cxlf_fabric_stop(f);
}

/* What was poisoned with a dead host is not the next one's to mend. */
static void test_poisoned(void)
{
    CxlfFabric *f = start_with(",on-death=poison", 2, "");
    const Extent e = { 17, 1, 1 };
    QDict *event;

    give(f, 0, &e);
    fill(f, 0, &e, 9);
    g_assert_cmpint(kill(qtest_pid(f->h[0]->qts), SIGKILL), ==, 0);
    cxlf_host_forget(f->h[0]);
    f->h[0] = NULL;
    event = cxlf_wait_event(f->owner, "X_CXL_FABRIC_HOST_DEAD");
    g_assert_cmpint(qdict_get_int(event, "poisoned"), >, 0);
    qobject_unref(event);
    wait_available(f, 128);
    give(f, 1, &e);
    expect_zeros(f, 1, &e);
    fill(f, 1, &e, 10);
    expect_fill(f, 1, &e, 10);
    cxlf_fabric_stop(f);
}

static void test_gone(void)
{
    die("");
    die(CXLF_NEVER_MAPPED);
}

/* Who stands still keeps memory from others, and nobody waits for it. */
static void test_frozen(void)
{
    CxlfFabric *f = start(2, "");
    const Extent e = { 12, 1, 1 };
    uint64_t value;
    int fd = cxlf_open_memfd(f->owner, "cxlf-gfam0");

    g_assert_cmphex(rights(f, 12), ==, 0);
    give(f, 0, &e);
    store(f, 0, AT(12), 0x77);
    g_assert_cmphex(rights(f, 11), ==, 0);
    g_assert_cmphex(rights(f, 12), ==, 1 << 0);
    g_assert_cmphex(rights(f, 13), ==, 0);
    cxlf_freeze(qtest_pid(f->h[0]->qts));
    g_assert_cmphex(release(f, 0, FORCED, &e), ==, 0);
    g_assert_cmphex(rights(f, 12), ==, 0);      /* at once */
    expect_fm(f, 0, NULL, 0);
    g_assert_cmphex(initiate(f, 0x5604, 1, PRESCRIPTIVE, 0, 0, &e, 1), ==,
                    INVALID_EXTENTS);
    g_assert_cmpint(pread(fd, &value, 8, AT(12)), ==, 8);
    g_assert_cmphex(value, ==, 0x77);
    g_assert_cmpuint(available(f), ==, 127);
    g_assert_cmpint(kill(qtest_pid(f->h[0]->qts), SIGCONT), ==, 0);
    wait_available(f, 128);
    expect_records(f, 0, TAKEN, &e, 1, 128);
    expect_nothing(f, 0, &e);
    close(fd);
    cxlf_fabric_stop(f);
}

/* What the log has no room for is refused. */
static void test_overflow(void)
{
    CxlfFabric *f = start(1, "");
    uint8_t record[LOG * RECORD];
    Extent e[LOG + 1];
    gint64 deadline = cxlf_deadline();

    for (unsigned i = 0; i <= LOG; i++) {
        e[i] = (Extent) { 2 * i, 1, i };
        add(f, 0, &e[i], 1);
    }
    while (records(f, 0, record) < LOG) {
        cxlf_pause(deadline, "a full log");
    }
    wait_available(f, 128 - LOG);
    clear(f, 0, record, LOG);
    for (unsigned i = 0; i < LOG; i++) {
        accept_all(f, 0, &e[i], 1);
    }
    g_assert_cmphex(update(f, 0, 0x4802, 0, &e[LOG], 1), ==, INVALID_PA);
    expect_list(f, 0, e, LOG);

    /* A reset of the guest takes nothing away. */
    qtest_system_reset(f->h[0]->qts);
    cxlf_host_program(f->h[0]);
    cxlf_commit(&f->r[0]);
    expect_list(f, 0, e, LOG);
    expect_zeros(f, 0, &e[3]);
    expect_fm(f, 0, e, LOG);
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-dcd/config", test_config);
    qtest_add_func("/cxl-dcd/access", test_access);
    qtest_add_func("/cxl-dcd/event", test_event);
    qtest_add_func("/cxl-dcd/policies", test_policies);
    qtest_add_func("/cxl-dcd/answers", test_answers);
    qtest_add_func("/cxl-dcd/release", test_release);
    qtest_add_func("/cxl-dcd/shared", test_shared);
    qtest_add_func("/cxl-dcd/region", test_region);
    qtest_add_func("/cxl-dcd/tags", test_tags);
    qtest_add_func("/cxl-dcd/reference", test_reference);
    qtest_add_func("/cxl-dcd/gone", test_gone);
    qtest_add_func("/cxl-dcd/poisoned", test_poisoned);
    qtest_add_func("/cxl-dcd/frozen", test_frozen);
    qtest_add_func("/cxl-dcd/overflow", test_overflow);
    return g_test_run();
}
