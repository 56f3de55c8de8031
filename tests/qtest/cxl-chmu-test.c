/*
 * QTest of the CHMU: registers, epochs, the hot list
 *
 * Offsets and fields are those of docs/specs/chmu.md, written down again
 * here.  The clock stands still but for clock_step, so epochs end when the
 * test says so.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"

#define DVSEC           0x23    /* extended capability */
#define LOCATOR         8       /* DVSEC: Register Locator */
#define CHMU            5       /* register block */

#define INSTANCE        0x10
#define CAP0            (INSTANCE + 0x00)
#define CAP1            (INSTANCE + 0x08)
#define CAP2            (INSTANCE + 0x10)
#define CAP3            (INSTANCE + 0x18)
#define CONF0           (INSTANCE + 0x40)
#define CONF1           (INSTANCE + 0x48)
#define CONF2           (INSTANCE + 0x50)
#define STATUS          (INSTANCE + 0x60)
#define HEAD            (INSTANCE + 0x68)
#define TAIL            (INSTANCE + 0x6a)
#define BITMAP          (INSTANCE + 0x70)
#define HOT_LIST        (INSTANCE + 0x4000)

#define READS           1ull
#define WRITES          2ull
#define BOTH            3ull
#define RANDOM          (1ull << 8)
#define INT_OVERFLOW    (1ull << 9)
#define INT_LEVEL       (1ull << 10)
#define ENABLE          (1ull << 16)
#define RESET           (1ull << 17)
#define THRESHOLD(n)    ((uint64_t)(n) << 32)

#define SAMPLING(n)     ((uint64_t)(n) << 32)
#define EPOCH(scale, n) ((uint64_t)(scale) << 48 | (uint64_t)(n) << 52)
#define MS              1000000ll
#define EPOCH_10MS      EPOCH(3, 1)

#define OP(status)      ((unsigned)((status) >> 16 & 0xffff))
#define ENABLED         (1ull << 0)
#define OVERFLOWED      (1ull << 40)
#define LEVEL           (1ull << 41)
#define WIDTH           24
#define LIST            1024

#define BULK            CLASS_SIZE      /* DPA where BULK begins */
#define OPERATION       20000           /* ns, more than one takes */

typedef struct Chmu {
    CxlfHost *h;
    uint64_t at;
} Chmu;

static uint64_t get(Chmu *c, unsigned offset)
{
    return qtest_readq(c->h->qts, c->at + offset);
}

static void set(Chmu *c, unsigned offset, uint64_t value)
{
    qtest_writeq(c->h->qts, c->at + offset, value);
}

static unsigned get_head(Chmu *c)
{
    return qtest_readw(c->h->qts, c->at + HEAD);
}

static unsigned get_tail(Chmu *c)
{
    return qtest_readw(c->h->qts, c->at + TAIL);
}

static void set_head(Chmu *c, unsigned head)
{
    qtest_writew(c->h->qts, c->at + HEAD, head);
}

static void step(Chmu *c, int64_t ns)
{
    qtest_clock_step(c->h->qts, ns);
}

/* The block as a driver finds it: Register Locator, BAR, offset. */
static Chmu find(CxlfHost *h)
{
    Chmu c = { .h = h };

    for (unsigned n = 0, at; (at = cxlf_ext_cap(h, BDF_GFAM(0), DVSEC, n));
         n++) {
        unsigned length = cxlf_config_readl(h, BDF_GFAM(0), at + 4) >> 20;

        if (cxlf_config_readw(h, BDF_GFAM(0), at + 8) != LOCATOR) {
            continue;
        }
        for (unsigned i = 0xc; i < length; i += 8) {
            uint32_t entry = cxlf_config_readl(h, BDF_GFAM(0), at + i);

            if ((entry >> 8 & 0xff) == CHMU) {
                g_assert_cmpint(entry & 7, ==, 5);
                g_assert_cmphex(entry >> 16, ==, 0);
                c.at = h->gfam[0] + 0x80000;
            }
        }
    }
    g_assert_cmphex(c.at, !=, 0);
    cxlf_config_writel(h, BDF_GFAM(0), 0x24, 0xffffffff);
    g_assert_cmphex(cxlf_config_readl(h, BDF_GFAM(0), 0x24), ==, 0xffff0000);
    cxlf_config_writel(h, BDF_GFAM(0), 0x24, c.at);
    return c;
}

static void operate(Chmu *c, uint64_t conf0)
{
    set(c, CONF0, conf0);
    step(c, OPERATION);
    g_assert_cmpint(OP(get(c, STATUS)), ==, 0);
}

/* Configure and enable, with both ranges of the device watched. */
static void enable(Chmu *c, uint64_t conf0, uint64_t conf1)
{
    operate(c, get(c, CONF0) & ~(ENABLE | RESET));
    operate(c, RESET);
    set(c, BITMAP, 3);
    set(c, CONF1, conf1);
    operate(c, conf0 | ENABLE);
    g_assert_cmphex(get(c, STATUS) & ENABLED, ==, ENABLED);
}

static void check_entry(Chmu *c, unsigned i, uint64_t unit, uint64_t count)
{
    g_assert_cmphex(get(c, HOT_LIST + i * 8), ==, unit << WIDTH | count);
}

static void loads(const CxlfRegion *r, uint64_t dpa, int n)
{
    while (n--) {
        cxlf_load(r, dpa, 8);
    }
}

static void stores(const CxlfRegion *r, uint64_t dpa, int n)
{
    while (n--) {
        cxlf_store(r, dpa, n, 8);
    }
}

static void test_registers(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Chmu c = find(h);

    g_assert_cmphex(get(&c, 0), ==, 0x101);
    g_assert_cmphex(get(&c, 8), ==, 0x6000);
    /* vector 1; both interrupts; R, W, RW; 1 ms to 60 s; 1024 entries */
    g_assert_cmphex(get(&c, CAP0), ==, 0x0400001203c50731ull);
    /* 256 B to 2 MiB; 1 to 2^15; epochs, random */
    g_assert_cmphex(get(&c, CAP1), ==, 0x0005ffff00003fffull);
    g_assert_cmphex(get(&c, CAP2), ==, 0x70);
    g_assert_cmphex(get(&c, CAP3), ==, 0x4000);
    g_assert_cmphex(get(&c, CONF0), ==, 0);
    g_assert_cmphex(get(&c, CONF1), ==, EPOCH(4, 1) | 12);
    g_assert_cmphex(get(&c, CONF2), ==, 0);
    g_assert_cmphex(get(&c, STATUS), ==, (uint64_t)WIDTH << 32);
    g_assert_cmphex(get(&c, HEAD & ~7), ==, 0);
    g_assert_cmphex(get(&c, BITMAP), ==, 0);
    /* Parts of registers, and what there is not. */
    g_assert_cmphex(qtest_readl(h->qts, c.at + CAP0 + 4), ==, 0x04000012);
    g_assert_cmphex(qtest_readw(h->qts, c.at + CAP0 + 6), ==, 0x0400);
    qtest_writel(h->qts, c.at + CONF0 + 4, 7);
    g_assert_cmphex(get(&c, CONF0), ==, THRESHOLD(7));
    qtest_writel(h->qts, c.at + CONF1, 9);
    g_assert_cmphex(get(&c, CONF1), ==, EPOCH(4, 1) | 9);
    set(&c, BITMAP, ~0ull);
    g_assert_cmphex(get(&c, BITMAP), ==, 3);
    set(&c, CONF2, ~0ull);
    g_assert_cmphex(get(&c, CONF2), ==, 0xffff);
    for (unsigned at = 0; at < 0x10000; at += 8) {
        if (at < CONF0 || at > CONF2) {
            uint64_t was = get(&c, at);

            set(&c, at, ~was);
            if (at != BITMAP) {
                g_assert_cmphex(get(&c, at), ==, was);
            }
        }
    }
    /* A function level reset is a reset of it as well. */
    cxlf_config_writew(h, BDF_GFAM(0),
                       cxlf_express_capability(h, BDF_GFAM(0)) + 8, 1 << 15);
    cxlf_host_program(h);
    c = find(h);
    g_assert_cmphex(get(&c, CONF0), ==, 0);
    g_assert_cmphex(get(&c, CONF1), ==, EPOCH(4, 1) | 12);
    g_assert_cmphex(get(&c, BITMAP), ==, 0);
    cxlf_host_stop(h);
}

static void test_count(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", CXLF_NEVER_MAPPED);
    CxlfRegion r = cxlf_whole_region(h, 0);
    Chmu c = find(h);

    enable(&c, BOTH | THRESHOLD(4), EPOCH_10MS | 12);
    stores(&r, 0x3008, 5);
    loads(&r, 0x4000, 3);
    loads(&r, 0x5ff8, 3);
    stores(&r, 0x5000, 1);
    g_assert_cmpint(get_tail(&c), ==, 0);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 2);
    check_entry(&c, 0, 3, 5);
    check_entry(&c, 1, 5, 4);
    /* An epoch's counts are its own. */
    loads(&r, 0x4000, 3);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 2);
    loads(&r, 0x4000, 4);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 3);
    check_entry(&c, 2, 4, 4);
    step(&c, 50 * MS);
    g_assert_cmpint(get_tail(&c), ==, 3);

    enable(&c, READS | THRESHOLD(1), EPOCH_10MS | 8);
    stores(&r, 0x100, 3);
    loads(&r, 0x1f8, 1);
    loads(&r, 0x200, 2);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 2);
    check_entry(&c, 0, 1, 1);
    check_entry(&c, 1, 2, 2);

    enable(&c, WRITES | THRESHOLD(1), EPOCH(2, 1) | 21);
    stores(&r, 0x0, 3);
    stores(&r, 2 * MIB - 8, 4);
    stores(&r, 2 * MIB, 5);
    loads(&r, 2 * MIB, 1);
    step(&c, MS);
    g_assert_cmpint(get_tail(&c), ==, 2);
    check_entry(&c, 0, 0, 7);
    check_entry(&c, 1, 1, 5);

    enable(&c, BOTH | THRESHOLD(1), EPOCH_10MS | SAMPLING(3) | 12);
    loads(&r, 0, 64);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 1);
    check_entry(&c, 0, 0, 8);
    enable(&c, BOTH | RANDOM | THRESHOLD(1), EPOCH_10MS | SAMPLING(1) | 12);
    loads(&r, 0, 200);
    step(&c, 10 * MS);
    g_assert_cmpint(get(&c, HOT_LIST), >, 50);
    g_assert_cmpint(get(&c, HOT_LIST), <, 150);
    cxlf_host_stop(h);
}

static void test_ranges(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", CXLF_NEVER_MAPPED);
    CxlfRegion r = cxlf_whole_region(h, 0);
    Chmu c = find(h);

    for (unsigned ranges = 0; ranges < 4; ranges++) {
        unsigned entries = 0;

        operate(&c, 0);
        operate(&c, RESET);
        set(&c, BITMAP, ranges);
        set(&c, CONF1, EPOCH_10MS | 12);
        operate(&c, BOTH | THRESHOLD(1) | ENABLE);
        set(&c, BITMAP, 3);         /* not while it is enabled */
        g_assert_cmphex(get(&c, BITMAP), ==, ranges);
        stores(&r, 0x1000, 1);
        stores(&r, BULK + ranges * 0x1000, 1);
        step(&c, 10 * MS);
        if (ranges & 1) {
            check_entry(&c, entries++, 1, 1);
        }
        if (ranges & 2) {
            /* a fault and its grant */
            check_entry(&c, entries++, BULK / 0x1000 + ranges, 2);
        }
        g_assert_cmpint(get_tail(&c), ==, entries);
    }
    cxlf_host_stop(h);
}

/* Message 1 of MSI-X writes @data to RAM at @address. */
static void route_msi(CxlfHost *h, uint64_t address, uint32_t data)
{
    unsigned at = cxlf_config_readw(h, BDF_GFAM(0), 0x34) & 0xff;
    uint64_t table = h->gfam[0] + 0xc0000;

    while ((cxlf_config_readw(h, BDF_GFAM(0), at) & 0xff) != 0x11) {
        at = cxlf_config_readw(h, BDF_GFAM(0), at) >> 8;
        g_assert_cmpint(at, !=, 0);
    }
    g_assert_cmpint(cxlf_config_readl(h, BDF_GFAM(0), at + 4), ==, 4);
    cxlf_config_writel(h, BDF_GFAM(0), 0x20, table);
    qtest_writel(h->qts, table + 0x10, address);
    qtest_writel(h->qts, table + 0x14, 0);
    qtest_writel(h->qts, table + 0x18, data);
    qtest_writel(h->qts, table + 0x1c, 0);
    cxlf_config_writew(h, BDF_GFAM(0), at + 2, 0x8000);
}

static bool take_msi(CxlfHost *h)
{
    bool came = qtest_readl(h->qts, 0x100000) == 0x55;

    qtest_writel(h->qts, 0x100000, 0);
    return came;
}

static void test_list(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", CXLF_NEVER_MAPPED);
    CxlfRegion r = cxlf_whole_region(h, 0);
    Chmu c = find(h);

    route_msi(h, 0x100000, 0x55);
    enable(&c, BOTH | THRESHOLD(1) | INT_OVERFLOW | INT_LEVEL,
           EPOCH_10MS | 8);
    set(&c, CONF2, 3);
    for (unsigned i = 0; i < 2; i++) {
        loads(&r, i * 256, 1);
    }
    step(&c, 10 * MS);
    g_assert_cmphex(get(&c, STATUS) & (OVERFLOWED | LEVEL), ==, 0);
    g_assert_false(take_msi(h));
    loads(&r, 0x200, 1);
    step(&c, 10 * MS);
    g_assert_cmphex(get(&c, STATUS) & (OVERFLOWED | LEVEL), ==, LEVEL);
    g_assert_true(take_msi(h));

    /* Only what is in the list can be given back. */
    set_head(&c, 4);
    g_assert_cmpint(get_head(&c), ==, 0);
    set_head(&c, LIST);
    set_head(&c, 0xffff);
    g_assert_cmpint(get_head(&c), ==, 0);
    qtest_writew(h->qts, c.at + TAIL, 2);
    g_assert_cmpint(get_tail(&c), ==, 3);
    set_head(&c, 2);
    g_assert_cmpint(get_head(&c), ==, 2);
    set_head(&c, 1);
    g_assert_cmpint(get_head(&c), ==, 2);
    set_head(&c, 3);
    set(&c, STATUS, LEVEL);
    g_assert_cmphex(get(&c, STATUS) & (OVERFLOWED | LEVEL), ==, 0);

    /* One place stays free, so 1,023 fit; the rest is dropped. */
    for (unsigned i = 0; i < LIST; i++) {
        loads(&r, 0x10000 + i * 256, 1);
    }
    step(&c, 10 * MS);
    g_assert_cmphex(get(&c, STATUS) & (OVERFLOWED | LEVEL), ==,
                    OVERFLOWED | LEVEL);
    g_assert_true(take_msi(h));
    g_assert_cmpint(get_tail(&c), ==, 2);
    check_entry(&c, 3, 0x100, 1);
    check_entry(&c, LIST - 1, 0x100 + LIST - 4, 1);
    check_entry(&c, 1, 0x100 + LIST - 2, 1);
    loads(&r, 0, 1);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 2);
    g_assert_false(take_msi(h));        /* it is known */
    set(&c, STATUS, OVERFLOWED);
    g_assert_cmphex(get(&c, STATUS) & (OVERFLOWED | LEVEL), ==, LEVEL);
    set_head(&c, 2);
    loads(&r, 0x300, 2);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 3);
    check_entry(&c, 2, 3, 2);
    g_assert_cmphex(get(&c, STATUS) & OVERFLOWED, ==, 0);
    cxlf_host_stop(h);
}

static void test_flow(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", CXLF_NEVER_MAPPED);
    CxlfRegion r = cxlf_whole_region(h, 0);
    Chmu c = find(h);
    uint64_t on = BOTH | THRESHOLD(1) | ENABLE;

    set(&c, BITMAP, 1);
    set(&c, CONF1, EPOCH_10MS | 12);
    set(&c, CONF0, on);
    g_assert_cmpint(OP(get(&c, STATUS)), ==, 1);
    g_assert_cmphex(get(&c, STATUS) & ENABLED, ==, 0);
    set(&c, CONF0, 0);              /* not now */
    g_assert_cmphex(get(&c, CONF0), ==, on);
    step(&c, OPERATION);
    g_assert_cmphex((uint32_t)get(&c, STATUS), ==, ENABLED);

    /* What it counts by does not change while it counts. */
    set(&c, CONF1, EPOCH_10MS | 13);
    g_assert_cmphex(get(&c, CONF1), ==, EPOCH_10MS | 12);
    operate(&c, READS | THRESHOLD(9) | INT_LEVEL | ENABLE);
    g_assert_cmphex(get(&c, CONF0), ==, on | INT_LEVEL);

    loads(&r, 0, 3);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 1);
    /* A reset: the list is empty, counters and the epoch begin anew. */
    loads(&r, 0, 2);
    step(&c, 5 * MS);
    set(&c, CONF0, on | RESET);
    g_assert_cmpint(OP(get(&c, STATUS)), ==, 3);
    step(&c, OPERATION);
    g_assert_cmphex(get(&c, CONF0), ==, on);
    g_assert_cmphex((uint32_t)get(&c, STATUS), ==, ENABLED);
    g_assert_cmpint(get_tail(&c), ==, 0);
    g_assert_cmphex(get(&c, HOT_LIST), ==, 0);
    loads(&r, 0, 1);
    step(&c, 6 * MS);
    g_assert_cmpint(get_tail(&c), ==, 0);
    step(&c, 5 * MS);
    g_assert_cmpint(get_tail(&c), ==, 1);
    check_entry(&c, 0, 0, 1);

    /* Disabled: nothing is counted, the list stays. */
    loads(&r, 0, 5);
    set(&c, CONF0, on & ~ENABLE);
    g_assert_cmpint(OP(get(&c, STATUS)), ==, 2);
    step(&c, OPERATION);
    g_assert_cmphex((uint32_t)get(&c, STATUS), ==, 0);
    loads(&r, 0, 5);
    step(&c, 100 * MS);
    g_assert_cmpint(get_tail(&c), ==, 1);
    operate(&c, on);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 1);
    cxlf_host_stop(h);
}

/* Each of these must leave it disabled. */
static void test_bad(void)
{
    static const uint64_t bad[][2] = {
        { THRESHOLD(1), EPOCH_10MS | 12 },              /* tracks nothing */
        { 4 | THRESHOLD(1), EPOCH_10MS | 12 },
        { 0xff | THRESHOLD(1), EPOCH_10MS | 12 },
        { BOTH, EPOCH_10MS | 12 },
        { BOTH | THRESHOLD(1 << WIDTH), EPOCH_10MS | 12 },
        { BOTH | THRESHOLD(0xffffffff), EPOCH_10MS | 12 },
        { BOTH | THRESHOLD(1), EPOCH_10MS | 7 },
        { BOTH | THRESHOLD(1), EPOCH_10MS | 22 },
        { BOTH | THRESHOLD(1), EPOCH_10MS | 0 },
        { BOTH | THRESHOLD(1), EPOCH_10MS | 0x8000000c },
        { BOTH | THRESHOLD(1), EPOCH_10MS | SAMPLING(16) | 12 },
        { BOTH | THRESHOLD(1), EPOCH_10MS | SAMPLING(0xff) | 12 },
        { BOTH | THRESHOLD(1), EPOCH_10MS | 1ull << 40 | 12 },
        { BOTH | THRESHOLD(1), EPOCH(0, 1) | 12 },
        { BOTH | THRESHOLD(1), EPOCH(1, 9) | 12 },
        { BOTH | THRESHOLD(1), EPOCH(2, 0) | 12 },
        { BOTH | THRESHOLD(1), EPOCH(5, 61) | 12 },
        { BOTH | THRESHOLD(1), EPOCH(6, 1) | 12 },
        { BOTH | THRESHOLD(1), EPOCH(15, 4095) | 12 },
    };
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Chmu c = find(h);

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        set(&c, CONF1, bad[i][1]);
        operate(&c, bad[i][0] | ENABLE);
        g_assert_cmphex((uint32_t)get(&c, STATUS), ==, 0);
        g_assert_cmphex(get(&c, CONF0), ==, bad[i][0]);
    }
    enable(&c, BOTH | THRESHOLD((1 << WIDTH) - 1), EPOCH(1, 10) | 8);
    enable(&c, BOTH | THRESHOLD(1), EPOCH(5, 60) | SAMPLING(15) | 21);
    cxlf_host_stop(h);
}

/* Mapped pages: faults, grants and revocations, and nothing else. */
static void test_mapped(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2");
    CxlfHost *a = cxlf_host_start(path, 1, "", "");
    CxlfHost *b = cxlf_host_start(path, 1, "", "");
    CxlfRegion ra = cxlf_whole_region(a, 0), rb = cxlf_whole_region(b, 0);
    uint64_t unit = BULK / 4096 + 7, at = BULK + 7 * 4096;
    Chmu c = find(a);

    enable(&c, BOTH | THRESHOLD(1), EPOCH_10MS | 12);
    stores(&ra, at, 100);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 1);
    check_entry(&c, 0, unit, 2);        /* fault, grant */
    stores(&ra, at, 100);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 1);
    stores(&rb, at, 1);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 2);
    check_entry(&c, 1, unit, 1);        /* revocation */
    stores(&ra, at, 1);
    loads(&rb, at, 1);
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 3);
    check_entry(&c, 2, unit, 3);
    cxlf_host_stop(a);
    cxlf_host_stop(b);
    qtest_quit(owner);
}

/* Down-sampling also asks mapped pages whether they were touched. */
static void test_sample(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    CxlfRegion r = cxlf_whole_region(h, 0);
    gint64 deadline = cxlf_deadline();
    uint64_t unit = BULK / 4096;
    CxlfCounters before;
    Chmu c = find(h);

    stores(&r, BULK, 1);
    before = cxlf_counters(h->qts, 0);
    enable(&c, WRITES | THRESHOLD(1), EPOCH_10MS | 12);
    for (int i = 0; i < 10; i++) {
        step(&c, 10 * MS);
        g_usleep(2000);
        stores(&r, BULK, 10);
    }
    step(&c, 10 * MS);
    g_assert_cmpint(get_tail(&c), ==, 0);       /* it is off */

    enable(&c, WRITES | THRESHOLD(1), EPOCH_10MS | SAMPLING(1) | 12);
    while (!get_tail(&c)) {
        step(&c, 10 * MS);
        cxlf_pause(deadline, "a sample");
        stores(&r, BULK, 10);
    }
    check_entry(&c, 0, unit, 1);
    g_assert_cmpuint(cxlf_load(&r, BULK, 8), ==, 0);
    /* Nobody else is told. */
    cxlf_assert_delta(cxlf_minus(cxlf_counters(h->qts, 0), before),
                      CXLF_COUNTERS);

    /* What was sampled and not touched can be given up. */
    step(&c, 20 * MS);
    cxlf_pause(deadline, "a sample");
    cxlf_host_stop(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/chmu/registers", test_registers);
    qtest_add_func("/cxlf/chmu/count", test_count);
    qtest_add_func("/cxlf/chmu/ranges", test_ranges);
    qtest_add_func("/cxlf/chmu/list", test_list);
    qtest_add_func("/cxlf/chmu/flow", test_flow);
    qtest_add_func("/cxlf/chmu/bad", test_bad);
    qtest_add_func("/cxlf/chmu/mapped", test_mapped);
    qtest_add_func("/cxlf/chmu/sample", test_sample);
    return g_test_run();
}
