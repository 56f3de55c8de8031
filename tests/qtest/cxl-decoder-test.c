/*
 * QTest of cxl-gfam's HDM decoders: what they map, and what they refuse
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"

#define ALL_ONES    0xffffffffffffffffull
#define BULK        CLASS_SIZE              /* DPA where BULK begins */

static CxlfHost *start(void)
{
    return cxlf_host_start(NULL, 1, "", "");
}

/* Not committed yet. */
static CxlfRegion region(CxlfHost *h, unsigned decoder, uint64_t at,
                         uint64_t size, uint64_t skip)
{
    return (CxlfRegion) {
        .h = h, .ep = decoder, .port = decoder, .base = h->window + at,
        .size = size, .skip = skip,
    };
}

/* Where the host's view of @offset in a region comes from: true if data. */
static bool is_mapped(const CxlfRegion *r, uint64_t offset)
{
    uint64_t at = r->base + offset;
    uint64_t mark = (uint64_t)g_test_rand_int() << 32 | 0x5a5a5a5a;

    qtest_writeq(r->h->qts, at, mark);
    return qtest_readq(r->h->qts, at) == mark;
}

/* Open: HOT is counted, BULK is mapped, and nothing is refused. */
static void check_open(const CxlfRegion *r)
{
    CxlfCounters before = cxlf_counters(r->h->qts, -1), delta;

    g_assert_true(is_mapped(r, 0));
    g_assert_true(is_mapped(r, r->size - 8));
    delta = cxlf_minus(cxlf_counters(r->h->qts, -1), before);
    g_assert_cmpint(delta.n[CXLF_REFUSAL], ==, 0);
    g_assert_cmpint(delta.n[CXLF_BULK_TRAPPED], ==, 0);
}

/* Closed, but the endpoint's decoder is committed: refused and counted. */
static void check_refused(const CxlfRegion *r)
{
    CxlfCounters before = cxlf_counters(r->h->qts, -1);

    for (int i = 0; i < 2; i++) {
        uint64_t at = r->base + (i ? r->size - 8 : 0);

        qtest_writeq(r->h->qts, at, 0x1111111111111111);
        g_assert_cmphex(qtest_readq(r->h->qts, at), ==, ALL_ONES);
    }
    cxlf_assert_delta(cxlf_minus(cxlf_counters(r->h->qts, -1), before),
                      CXLF_REFUSAL, 4, CXLF_COUNTERS);
}

/* Nothing of the device is there; the window itself answers. */
static void check_gone(const CxlfRegion *r)
{
    CxlfCounters before = cxlf_counters(r->h->qts, -1);

    g_assert_false(is_mapped(r, 0));
    g_assert_false(is_mapped(r, r->size - 8));
    cxlf_assert_delta(cxlf_minus(cxlf_counters(r->h->qts, -1), before),
                      CXLF_COUNTERS);
}

static void test_path(void)
{
    CxlfHost *h = start();
    CxlfRegion r = region(h, 0, 0, 2 * CLASS_SIZE, 0);

    check_gone(&r);
    for (int level = CXLF_EP; level < CXLF_LEVELS; level++) {
        g_assert_cmphex(cxlf_commit_level(&r, level) & HDM_COMMITTED, ==,
                        HDM_COMMITTED);
        if (level < CXLF_HB) {
            check_refused(&r);
        }
    }
    check_open(&r);
    for (int level = CXLF_EP; level < CXLF_LEVELS; level++) {
        qtest_writeq(h->qts, r.base + 8, 0x123456789abcdef0);
        qtest_writeq(h->qts, r.base + BULK + 8, 0xfedcba9876543210);
        cxlf_uncommit_level(&r, level);
        if (level == CXLF_EP) {
            check_gone(&r);
        } else {
            check_refused(&r);
        }
        cxlf_commit_level(&r, level);
        check_open(&r);
        g_assert_cmphex(qtest_readq(h->qts, r.base + 8), ==,
                        0x123456789abcdef0);
        g_assert_cmphex(qtest_readq(h->qts, r.base + BULK + 8), ==,
                        0xfedcba9876543210);
    }
    /* The other order, top down, opens it as well. */
    cxlf_uncommit(&r);
    for (int level = CXLF_HB; level >= CXLF_EP; level--) {
        cxlf_commit_level(&r, level);
    }
    check_open(&r);
    cxlf_host_stop(h);
}

static void test_bulk(void)
{
    CxlfHost *h = start();
    CxlfRegion r = region(h, 0, 0, CLASS_SIZE, BULK);
    g_autofree uint8_t *data = g_malloc(MIB), *back = g_malloc(MIB);
    CxlfCounters before;

    for (int i = 0; i < MIB; i++) {
        data[i] = g_test_rand_int();
    }
    cxlf_commit(&r);
    for (int again = 0; again < 2; again++) {
        before = cxlf_counters(h->qts, -1);
        for (uint64_t at = 3; at + MIB < CLASS_SIZE; at += 41 * MIB + 5) {
            qtest_bufwrite(h->qts, r.base + at, data, MIB);
            qtest_bufread(h->qts, r.base + at, back, MIB);
            g_assert_cmpmem(data, MIB, back, MIB);
        }
    }
    /* Mapped by now: nothing at all was counted. */
    cxlf_assert_delta(cxlf_minus(cxlf_counters(h->qts, -1), before),
                      CXLF_COUNTERS);
    /* And it is there again after the region was taken apart. */
    cxlf_uncommit(&r);
    check_gone(&r);
    cxlf_commit(&r);
    qtest_bufread(h->qts, r.base + 3, back, MIB);
    g_assert_cmpmem(data, MIB, back, MIB);
    cxlf_host_stop(h);
}

/* A port's decoder that does not route to the endpoint opens nothing. */
static void test_wrong_route(void)
{
    CxlfHost *h = start();
    CxlfRegion r = region(h, 0, 0, 2 * CLASS_SIZE, 0);
    const struct {
        uint64_t base, size, target;
        uint32_t control;
        bool open;
    } us[] = {
        { 0, 2 * CLASS_SIZE, 1, HDM_COMMIT, false },    /* another port */
        { 0, 2 * CLASS_SIZE, 0xff, HDM_COMMIT, false },
        { CLASS_SIZE, 2 * CLASS_SIZE, 0, HDM_COMMIT, false },
        { 0, CLASS_SIZE, 0, HDM_COMMIT, false },        /* half of it */
        { 0, 0, 0, HDM_COMMIT, false },
        { 0, 2 * CLASS_SIZE, 0, HDM_COMMIT | 1 << 4, false },   /* 2 ways */
        { 0, 2 * CLASS_SIZE, 0, 0, false },
        { 0, 4 * CLASS_SIZE, 0, HDM_COMMIT, true },     /* and more */
        { 0, 2 * CLASS_SIZE, 0, HDM_COMMIT, true },
    };

    cxlf_commit(&r);
    for (int i = 0; i < ARRAY_SIZE(us); i++) {
        g_test_message("route %d", i);
        for (int level = CXLF_US; level <= CXLF_HB; level++) {
            uint64_t component = level == CXLF_US ? h->us : h->hb;

            cxlf_hdm_control_write(h, component, 0, 0);
            cxlf_hdm_set(h, component, 0, h->window + us[i].base, us[i].size,
                         us[i].target);
            cxlf_hdm_control_write(h, component, 0, us[i].control);
            if (us[i].open) {
                check_open(&r);
            } else {
                check_refused(&r);
            }
            cxlf_commit_level(&r, level);
            check_open(&r);
        }
    }
    cxlf_host_stop(h);
}

typedef struct BadCommit {
    const char *name;
    unsigned decoder;
    int64_t at;             /* from the window's base */
    uint64_t size, skip;
    uint32_t control;
} BadCommit;

static void check_bad(CxlfHost *h, const BadCommit *b)
{
    CxlfRegion r = region(h, b->decoder, b->at, b->size, b->skip);
    CxlfCounters before = cxlf_counters(h->qts, -1);
    uint32_t control;

    g_test_message("%s", b->name);
    cxlf_hdm_set(h, h->gfam[0], r.ep, r.base, r.size, r.skip);
    cxlf_hdm_control_write(h, h->gfam[0], r.ep, HDM_COMMIT | b->control);
    control = cxlf_hdm_control(h, h->gfam[0], r.ep);
    g_assert_cmphex(control & HDM_ERR, ==, HDM_ERR);
    g_assert_cmphex(control & HDM_COMMITTED, ==, 0);
    g_assert_cmphex(control & HDM_COMMIT, ==, HDM_COMMIT);
    /* Even a path above that is committed opens nothing. */
    cxlf_commit_level(&r, CXLF_US);
    cxlf_commit_level(&r, CXLF_HB);
    if (r.base >= h->window && r.base < h->window + h->window_size) {
        g_assert_false(is_mapped(&r, 0));
    }
    cxlf_uncommit_level(&r, CXLF_HB);
    cxlf_uncommit_level(&r, CXLF_US);
    cxlf_assert_delta(cxlf_minus(cxlf_counters(h->qts, -1), before),
                      CXLF_COUNTERS);
    /* Writing 0 clears the error. */
    cxlf_hdm_control_write(h, h->gfam[0], r.ep, 0);
    g_assert_cmphex(cxlf_hdm_control(h, h->gfam[0], r.ep) &
                    (HDM_ERR | HDM_COMMITTED), ==, 0);
}

static void test_bad_commit(void)
{
    CxlfHost *h = start();
    const int64_t low = -(int64_t)h->window;
    const int64_t end = h->window_size;
    const BadCommit bad[] = {
        { "size 0", 0, 0, 0, 0, 0 },
        { "in RAM", 0, low, CLASS_SIZE, 0, 0 },
        { "in the PCI hole", 0, low + 0xc0000000ll, CLASS_SIZE, 0, 0 },
        { "in nothing", 0, low + (1ll << 45), CLASS_SIZE, 0, 0 },
        { "below the window", 0, -(int64_t)CLASS_SIZE, CLASS_SIZE, 0, 0 },
        { "partly below", 0, -(int64_t)CLASS_SIZE, 2 * CLASS_SIZE, 0, 0 },
        { "partly above", 0, end - (int64_t)CLASS_SIZE, 2 * CLASS_SIZE, 0,
          0 },
        { "above", 0, end, CLASS_SIZE, 0, 0 },
        { "wrap to 0", 0, low - (int64_t)CLASS_SIZE, CLASS_SIZE, 0, 0 },
        { "wrap", 0, low - (int64_t)CLASS_SIZE, 2 * CLASS_SIZE, 0, 0 },
        { "huge", 0, 0, -(CLASS_SIZE), 0, 0 },
        { "2 ways", 0, 0, 2 * CLASS_SIZE, 0, 1 << 4 },
        { "3 ways", 0, 0, 2 * CLASS_SIZE, 0, 8 << 4 },
        { "beyond the capacity", 0, 0, 3 * CLASS_SIZE, 0, 0 },
        { "skip beyond the capacity", 0, 0, CLASS_SIZE, 2 * CLASS_SIZE, 0 },
        { "skip that wraps", 0, 0, CLASS_SIZE, -(CLASS_SIZE), 0 },
        { "earlier not committed", 1, 0, CLASS_SIZE, 0, 0 },
        { "two earlier not committed", 3, 0, CLASS_SIZE, 0, 0 },
    };
    CxlfRegion good = region(h, 0, 0, 2 * CLASS_SIZE, 0);

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        check_bad(h, &bad[i]);
    }
    cxlf_commit(&good);
    check_open(&good);
    cxlf_host_stop(h);
}

static void test_overlap(void)
{
    CxlfHost *h = cxlf_host_start_fabric(
        "-object cxl-fabric,id=fabric0,bulk=768M", 1, "", "");
    CxlfRegion first = region(h, 0, 2 * CLASS_SIZE, 2 * CLASS_SIZE, 0);
    const BadCommit bad[] = {
        { "the same", 1, 2 * CLASS_SIZE, 2 * CLASS_SIZE, 0, 0 },
        { "its begin", 1, CLASS_SIZE, 2 * CLASS_SIZE, 0, 0 },
        { "its end", 1, 3 * CLASS_SIZE, 2 * CLASS_SIZE, 0, 0 },
        { "inside", 1, 3 * CLASS_SIZE, CLASS_SIZE, 0, 0 },
    };
    const uint64_t places[] = { CLASS_SIZE, 4 * CLASS_SIZE };

    cxlf_commit(&first);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        CxlfRegion r = region(h, 1, bad[i].at, bad[i].size, 0);

        cxlf_hdm_set(h, h->gfam[0], 1, r.base, r.size, 0);
        cxlf_hdm_control_write(h, h->gfam[0], 1, HDM_COMMIT);
        g_assert_cmphex(cxlf_hdm_control(h, h->gfam[0], 1) &
                        (HDM_ERR | HDM_COMMITTED), ==, HDM_ERR);
        check_open(&first);
        cxlf_hdm_control_write(h, h->gfam[0], 1, 0);
    }
    /* Right before it and right behind it there is room. */
    for (int i = 0; i < ARRAY_SIZE(places); i++) {
        CxlfRegion second = region(h, 1, places[i], CLASS_SIZE, 0);

        cxlf_commit(&second);
        check_open(&first);
        check_open(&second);
        cxlf_uncommit(&second);
        check_open(&first);
    }
    cxlf_host_stop(h);
}

/*
 * The decoder's other registers are written while it is committed: they take
 * no effect, above all no way round the directory.
 */
static void test_moved_while_committed(void)
{
    CxlfHost *h = start();
    CxlfRegion r = region(h, 0, 0, 2 * CLASS_SIZE, 0);
    CxlfRegion moved = region(h, 0, 4 * CLASS_SIZE, 2 * CLASS_SIZE, 0);
    uint64_t hdm = cxlf_hdm(h, h->gfam[0], 0);

    cxlf_commit(&r);
    qtest_writeq(h->qts, r.base, 0x1234123412341234);
    cxlf_hdm_set(h, h->gfam[0], 0, moved.base, moved.size, 0);
    cxlf_commit_level(&moved, CXLF_US);
    cxlf_commit_level(&moved, CXLF_HB);
    check_gone(&moved);
    cxlf_commit_level(&r, CXLF_US);
    cxlf_commit_level(&r, CXLF_HB);
    check_open(&r);
    g_assert_cmphex(qtest_readl(h->qts, hdm), ==, (uint32_t)r.base);
    g_assert_cmphex(qtest_readl(h->qts, hdm + 4), ==, r.base >> 32);
    cxlf_uncommit(&r);
    cxlf_commit(&moved);
    check_open(&moved);
    cxlf_host_stop(h);
}

/* Two regions in Linux's order: last in, first out. */
static void test_two_regions(void)
{
    CxlfHost *h = start();
    CxlfRegion hot = region(h, 0, 0, CLASS_SIZE, 0);
    CxlfRegion bulk = region(h, 1, CLASS_SIZE, CLASS_SIZE, 0);

    for (int i = 0; i < 20; i++) {
        CxlfCounters before = cxlf_counters(h->qts, -1);

        cxlf_commit(&hot);
        cxlf_commit(&bulk);
        qtest_writeq(h->qts, hot.base, i);
        qtest_writeq(h->qts, bulk.base, ~i);
        g_assert_cmpint(qtest_readq(h->qts, hot.base), ==, i);
        g_assert_cmpint(qtest_readq(h->qts, bulk.base), ==, ~i);
        if (i) {
            cxlf_assert_delta(cxlf_minus(cxlf_counters(h->qts, -1), before),
                              CXLF_WRITE_HIT, 1, CXLF_READ_HIT, 1,
                              CXLF_COUNTERS);
        } else {
            cxlf_assert_delta(cxlf_minus(cxlf_counters(h->qts, -1), before),
                              CXLF_WRITE_MISS, 2, CXLF_READ_HIT, 1,
                              CXLF_PAGE_FAULT, 1, CXLF_PAGE_MAPPED, 1,
                              CXLF_COUNTERS);
        }
        cxlf_uncommit(&bulk);
        check_open(&hot);
        check_gone(&bulk);
        cxlf_uncommit(&hot);
        check_gone(&hot);
        qtest_writeq(h->qts, hot.base, 0);
        /* Each time elsewhere, and the other way round in the window. */
        hot.base = h->window + (i % 7) * 2 * CLASS_SIZE + CLASS_SIZE;
        bulk.base = h->window + (i % 7) * 2 * CLASS_SIZE;
        /* check_open() made the first line ours and modified; keep it so. */
    }
    cxlf_host_stop(h);
}

/* One region over the end of HOT; and one that begins inside HOT. */
static void test_spanning(void)
{
    CxlfHost *h = cxlf_host_start_fabric(
        "-object cxl-fabric,id=fabric0,hot=512M", 1, "", "");
    CxlfRegion r = region(h, 0, CLASS_SIZE, 2 * CLASS_SIZE, CLASS_SIZE);
    CxlfCounters before;

    cxlf_commit(&r);
    before = cxlf_counters(h->qts, -1);
    qtest_writeq(h->qts, r.base + CLASS_SIZE - 8, 1);
    qtest_writeq(h->qts, r.base + CLASS_SIZE, 2);
    g_assert_cmpint(qtest_readq(h->qts, r.base + CLASS_SIZE - 8), ==, 1);
    g_assert_cmpint(qtest_readq(h->qts, r.base + CLASS_SIZE), ==, 2);
    cxlf_assert_delta(cxlf_minus(cxlf_counters(h->qts, -1), before),
                      CXLF_WRITE_MISS, 2, CXLF_READ_HIT, 1,
                      CXLF_PAGE_FAULT, 1, CXLF_PAGE_MAPPED, 1,
                      CXLF_COUNTERS);
    cxlf_uncommit(&r);
    /* DPA stays what it is: the same bytes from a region over all. */
    r = region(h, 0, 0, 3 * CLASS_SIZE, 0);
    cxlf_commit(&r);
    g_assert_cmpint(qtest_readq(h->qts, r.base + 2 * CLASS_SIZE - 8), ==, 1);
    g_assert_cmpint(qtest_readq(h->qts, r.base + 2 * CLASS_SIZE), ==, 2);
    cxlf_host_stop(h);
}

/* Resets */

static void system_reset(CxlfHost *h)
{
    qtest_system_reset(h->qts);
}

static bool flr(CxlfHost *h, uint32_t bdf)
{
    unsigned at = cxlf_express_capability(h, bdf);

    if (!(cxlf_config_readl(h, bdf, at + 4) & 1u << 28)) {
        return false;
    }
    cxlf_config_writew(h, bdf, at + 8,
                       cxlf_config_readw(h, bdf, at + 8) | 1u << 15);
    return true;
}

static void endpoint_flr(CxlfHost *h)
{
    if (!flr(h, BDF_GFAM(0))) {
        g_test_message("the endpoint has no function level reset");
        system_reset(h);
    }
}

static void upstream_flr(CxlfHost *h)
{
    if (!flr(h, BDF_US)) {
        g_test_message("the upstream port has no function level reset");
        system_reset(h);
    }
}

static void bus_reset(CxlfHost *h, uint32_t bdf)
{
    uint16_t control = cxlf_config_readw(h, bdf, 0x3e);

    cxlf_config_writew(h, bdf, 0x3e, control | 1u << 6);
    cxlf_config_writew(h, bdf, 0x3e, control);
}

static void downstream_bus_reset(CxlfHost *h)
{
    bus_reset(h, BDF_DS(0));
}

static void root_bus_reset(CxlfHost *h)
{
    bus_reset(h, BDF_RP);
}

static void test_reset(const void *data)
{
    void (*const reset)(CxlfHost *h) = data;
    CxlfHost *h = start();
    CxlfRegion hot = region(h, 0, 0, CLASS_SIZE, 0);
    CxlfRegion bulk = region(h, 1, CLASS_SIZE, CLASS_SIZE, 0);

    for (int i = 0; i < 3; i++) {
        cxlf_commit(&hot);
        cxlf_commit(&bulk);
        check_open(&hot);
        check_open(&bulk);
        qtest_writeq(h->qts, hot.base, 42 + i);
        reset(h);
        g_assert_false(is_mapped(&hot, 0));
        g_assert_false(is_mapped(&bulk, 0));
        cxlf_host_program(h);
        /* Of the upstream port alone: then the endpoint is committed still. */
        if (reset != upstream_flr) {
            g_assert_cmphex(cxlf_hdm_control(h, h->gfam[0], 0) &
                            HDM_COMMITTED, ==, 0);
            check_gone(&hot);
            check_gone(&bulk);
        }
        cxlf_commit(&hot);
        g_assert_cmpint(qtest_readq(h->qts, hot.base), ==, 42 + i);
        cxlf_commit(&bulk);
        check_open(&bulk);
        cxlf_uncommit(&bulk);
        cxlf_uncommit(&hot);
    }
    cxlf_host_stop(h);
}

static void add_reset_test(const char *name, void (*reset)(CxlfHost *h))
{
    g_autofree char *path = g_strdup_printf("/cxlf/decoder/reset/%s", name);

    qtest_add_data_func(path, reset, test_reset);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/decoder/path", test_path);
    qtest_add_func("/cxlf/decoder/bulk", test_bulk);
    qtest_add_func("/cxlf/decoder/wrong-route", test_wrong_route);
    qtest_add_func("/cxlf/decoder/bad-commit", test_bad_commit);
    qtest_add_func("/cxlf/decoder/overlap", test_overlap);
    qtest_add_func("/cxlf/decoder/moved", test_moved_while_committed);
    qtest_add_func("/cxlf/decoder/two-regions", test_two_regions);
    qtest_add_func("/cxlf/decoder/spanning", test_spanning);
    add_reset_test("system", system_reset);
    add_reset_test("endpoint-flr", endpoint_flr);
    add_reset_test("upstream-flr", upstream_flr);
    add_reset_test("downstream-bus", downstream_bus_reset);
    add_reset_test("root-bus", root_bus_reset);
    return g_test_run();
}
