/*
 * QTest of coherence between hosts: an owner, and hosts that share a fabric
 *
 * Every step is checked twice: the data that a host sees, and the counters,
 * since data alone would be right without any protocol.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"

#define BULK    CLASS_SIZE      /* DPA where BULK begins */
/* The second device, for a host's @more. */
#define GFAM1   " -device cxl-gfam,id=gfam1,bus=ds1,eca=eca0,gfam=1"

/* Whole regions of both devices in each host. */
static void map_both(CxlfFabric *f, CxlfRegion r[][CXLF_GFAMS])
{
    for (int i = 0; i < f->hosts; i++) {
        r[i][0] = f->r[i];
        r[i][1] = cxlf_whole_region(f->h[i], 1);
    }
}

/* What must always hold between the counters. */
static void check_sums(CxlfFabric *f)
{
    CxlfCounters hosts = cxlf_counters(f->owner, -1);
    CxlfCounters shards = cxlf_shard(f->owner, -1, -1);
    CxlfCounters other = cxlf_counters(f->h[0]->qts, -1);

    g_assert_cmpmem(&hosts, sizeof(hosts), &shards, sizeof(shards));
    g_assert_cmpmem(&hosts, sizeof(hosts), &other, sizeof(other));
    g_assert_cmpint(hosts.n[CXLF_BISNP_SENT], ==,
                    hosts.n[CXLF_BISNP_RECEIVED]);
    g_assert_cmpint(hosts.n[CXLF_REFUSAL], ==, 0);
    g_assert_cmpint(hosts.n[CXLF_BULK_TRAPPED], ==, 0);
}

/*
 * The table, seen from outside: how a line was used before, what host 0 does,
 * and what both then have counted.  (E needs a locked instruction, which
 * qtest has not: the core's tests and the guests' have it.)
 */
typedef struct Cell {
    const char *before;     /* "1w" = host 1 stores, "0r" = host 0 loads */
    bool store;
    int counter;            /* of host 0 */
    int snoops;             /* sent for host 0, received by host 1 */
    int writebacks;
    int again;              /* what host 1 counts when it loads afterwards */
} Cell;

static const Cell cells[] = {
    /* I */
    { "", false, CXLF_READ_MISS, 0, 0, CXLF_READ_MISS },
    { "", true, CXLF_WRITE_MISS, 0, 0, CXLF_READ_MISS },
    /* S: held by 0, by 1, by both */
    { "0r", false, CXLF_READ_HIT, 0, 0, CXLF_READ_MISS },
    { "0r", true, CXLF_UPGRADE, 0, 0, CXLF_READ_MISS },
    { "1r", false, CXLF_READ_MISS, 0, 0, CXLF_READ_HIT },
    { "1r", true, CXLF_WRITE_MISS, 1, 0, CXLF_READ_MISS },
    { "0r1r", false, CXLF_READ_HIT, 0, 0, CXLF_READ_HIT },
    { "0r1r", true, CXLF_UPGRADE, 1, 0, CXLF_READ_MISS },
    { "0w1r", false, CXLF_READ_HIT, 0, 0, CXLF_READ_HIT },
    { "0w1r", true, CXLF_UPGRADE, 1, 0, CXLF_READ_MISS },
    /* M: held by 0, by 1 */
    { "0w", false, CXLF_READ_HIT, 0, 0, CXLF_READ_MISS },
    { "0w", true, CXLF_WRITE_HIT, 0, 0, CXLF_READ_MISS },
    { "1w", false, CXLF_READ_MISS, 1, 1, CXLF_READ_HIT },
    { "1w", true, CXLF_WRITE_MISS, 1, 1, CXLF_READ_MISS },
    { "0w1w", false, CXLF_READ_MISS, 1, 1, CXLF_READ_HIT },
    { "1w0w", true, CXLF_WRITE_HIT, 0, 0, CXLF_READ_MISS },
};

static void check_cell(CxlfFabric *f, const Cell *c, int first, uint64_t dpa)
{
    CxlfRegion *r[2] = { &f->r[first], &f->r[!first] };
    CxlfCounters before[2], delta[2];
    uint64_t value = 0;

    g_test_message("'%s', then host %d %s", c->before, first,
                   c->store ? "stores" : "loads");
    for (const char *at = c->before; *at; at += 2) {
        if (at[1] == 'w') {
            value = (uint64_t)g_test_rand_int() << 32 | *at;
            cxlf_store(r[*at - '0'], dpa, value, 8);
        } else {
            g_assert_cmphex(cxlf_load(r[*at - '0'], dpa, 8), ==, value);
        }
    }
    for (int i = 0; i < 2; i++) {
        before[i] = cxlf_counters(f->owner, r[i]->h->number);
    }
    if (c->store) {
        value = g_test_rand_int();
        cxlf_store(r[0], dpa + 8, value, 8);
    } else {
        g_assert_cmphex(cxlf_load(r[0], dpa, 8), ==, value);
    }
    for (int i = 0; i < 2; i++) {
        delta[i] = cxlf_minus(cxlf_counters(f->owner, r[i]->h->number),
                              before[i]);
        before[i] = cxlf_counters(f->owner, r[i]->h->number);
    }
    cxlf_assert_delta(delta[0], c->counter, 1, CXLF_BISNP_SENT, c->snoops,
                      CXLF_WRITEBACK, c->writebacks, CXLF_COUNTERS);
    cxlf_assert_delta(delta[1], CXLF_BISNP_RECEIVED, c->snoops,
                      CXLF_COUNTERS);
    g_assert_cmphex(cxlf_load(r[1], c->store ? dpa + 8 : dpa, 8), ==, value);
    delta[1] = cxlf_minus(cxlf_counters(f->owner, r[1]->h->number),
                          before[1]);
    g_assert_cmpint(delta[1].n[c->again], ==, 1);
}

static void test_table(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    uint64_t dpa = 0x20000;

    for (int first = 0; first < 2; first++) {
        for (int i = 0; i < ARRAY_SIZE(cells); i++) {
            check_cell(f, &cells[i], first, dpa);
            dpa += CXLF_LINE;
        }
    }
    check_sums(f);
    cxlf_fabric_stop(f);
}

/* Three hosts at random, against a model written from the table's prose. */

#define LINES   24

typedef struct Model {
    uint64_t value[LINES][8];
    unsigned holders[LINES];
    bool modified[LINES];
    CxlfCounters want[3];
} Model;

static void model_access(Model *m, int host, int line, bool store)
{
    unsigned bit = 1u << host, others = m->holders[line] & ~bit;
    CxlfCounters *want = &m->want[host];
    bool held = m->holders[line] & bit;
    bool snoop = others && (store || m->modified[line]);

    if (!store) {
        want->n[held ? CXLF_READ_HIT : CXLF_READ_MISS]++;
    } else if (held && m->modified[line]) {
        want->n[CXLF_WRITE_HIT]++;
    } else {
        want->n[held ? CXLF_UPGRADE : CXLF_WRITE_MISS]++;
    }
    for (int other = 0; snoop && other < 3; other++) {
        if (others & 1u << other) {
            want->n[CXLF_BISNP_SENT]++;
            m->want[other].n[CXLF_BISNP_RECEIVED]++;
        }
    }
    if (snoop && m->modified[line]) {
        want->n[CXLF_WRITEBACK]++;
        m->modified[line] = false;
    }
    m->holders[line] = store ? bit : m->holders[line] | bit;
    m->modified[line] |= store;
}

static void test_random(void)
{
    CxlfFabric *f = cxlf_fabric_start(3, ",leaves=2,gfams=2",
                                      GFAM1 CXLF_NEVER_MAPPED);
    CxlfRegion r[CXLF_HOSTS][CXLF_GFAMS];
    g_autofree Model *m = g_new0(Model, 1);

    map_both(f, r);
    for (int i = 0; i < 6000; i++) {
        int host = g_test_rand_int_range(0, 3);
        int line = g_test_rand_int_range(0, LINES);
        int word = g_test_rand_int_range(0, 8);
        bool store = g_test_rand_bit();
        /* Some lines share a page, some do not; both devices. */
        uint64_t dpa = line / 4 * 0x1000 + line % 4 * CXLF_LINE + word * 8;
        CxlfRegion *at = &r[host][line % 2];

        model_access(m, host, line, store);
        if (store) {
            m->value[line][word] = (uint64_t)g_test_rand_int() << 32 | i;
            cxlf_store(at, dpa, m->value[line][word], 8);
        } else {
            g_assert_cmphex(cxlf_load(at, dpa, 8), ==, m->value[line][word]);
        }
    }
    for (int host = 0; host < 3; host++) {
        CxlfCounters have = cxlf_counters(f->owner, host);

        g_assert_cmpmem(&have, sizeof(have), &m->want[host],
                        sizeof(m->want[host]));
    }
    check_sums(f);
    cxlf_fabric_stop(f);
}

/* Homes: pages go round the leaves, then round the shards. */
static void test_homes(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",leaves=2,shards=3,gfams=2", GFAM1);
    uint64_t pages = CLASS_SIZE / CXLF_PAGE;
    CxlfRegion r[CXLF_HOSTS][CXLF_GFAMS];

    map_both(f, r);
    for (int g = 0; g < 2; g++) {
        for (uint64_t page = 0; page < 14; page++) {
            uint64_t number = g * pages + page;
            int leaf = number % 2, shard = number / 2 % 3;
            CxlfCounters all = cxlf_counters(f->owner, -1);
            CxlfCounters one = cxlf_shard(f->owner, leaf, shard);

            cxlf_store(&r[0][g], page * CXLF_PAGE, number, 8);
            g_assert_cmpint(cxlf_load(&r[1][g], page * CXLF_PAGE, 8), ==,
                            number);
            one = cxlf_minus(cxlf_shard(f->owner, leaf, shard), one);
            all = cxlf_minus(cxlf_counters(f->owner, -1), all);
            g_assert_cmpmem(&one, sizeof(one), &all, sizeof(all));
            cxlf_assert_delta(one, CXLF_WRITE_MISS, 1, CXLF_READ_MISS, 1,
                              CXLF_BISNP_SENT, 1, CXLF_BISNP_RECEIVED, 1,
                              CXLF_WRITEBACK, 1, CXLF_COUNTERS);
        }
    }
    /* The two devices do not share memory. */
    cxlf_store(&r[0][0], 0x8000, 1, 8);
    cxlf_store(&r[0][1], 0x8000, 2, 8);
    cxlf_store(&r[0][0], BULK, 3, 8);
    cxlf_store(&r[0][1], BULK, 4, 8);
    g_assert_cmpint(cxlf_load(&r[1][0], 0x8000, 8), ==, 1);
    g_assert_cmpint(cxlf_load(&r[1][1], 0x8000, 8), ==, 2);
    g_assert_cmpint(cxlf_load(&r[1][0], BULK, 8), ==, 3);
    g_assert_cmpint(cxlf_load(&r[1][1], BULK, 8), ==, 4);
    check_sums(f);
    cxlf_fabric_stop(f);
}

static void test_bulk(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfCounters before = cxlf_counters(f->owner, -1), delta;

    for (int i = 0; i < 100; i++) {
        uint64_t dpa = BULK + g_test_rand_int_range(0, CLASS_SIZE / 8) * 8ull;
        uint64_t value = (uint64_t)g_test_rand_int() << 32 | i;

        cxlf_store(&f->r[i % 2], dpa, value, 8);
        g_assert_cmphex(cxlf_load(&f->r[!(i % 2)], dpa, 8), ==, value);
    }
    delta = cxlf_minus(cxlf_counters(f->owner, -1), before);
    /* One fault for each access, and for each load a snoop and its answer. */
    g_assert_cmpint(delta.n[CXLF_PAGE_FAULT], ==, 200);
    g_assert_cmpint(delta.n[CXLF_PAGE_MAPPED], ==, 200);
    g_assert_cmpint(delta.n[CXLF_READ_MISS], ==, 100);
    g_assert_cmpint(delta.n[CXLF_MESSAGE], >=, 200);
    g_assert_cmpint(delta.n[CXLF_BULK_TRAPPED], ==, 0);
    g_assert_cmpint(delta.n[CXLF_REFUSAL], ==, 0);
    cxlf_fabric_stop(f);
}

/* DMA */

static void test_dma(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", CXLF_EDU);
    CxlfRegion *a = &f->r[0], *b = &f->r[1];
    const uint64_t hot = 0x5000, ram = 0x1000;
    uint8_t data[CXLF_PAGE], back[CXLF_PAGE];
    CxlfCounters before[2];

    for (int i = 0; i < sizeof(data); i++) {
        data[i] = g_test_rand_int();
    }
    /* Host 0's device: RAM to its buffer, and from there to HOT. */
    qtest_memwrite(a->h->qts, ram, data, sizeof(data));
    cxlf_store(b, hot, 0, 8);       /* host 1 owns the first line */
    cxlf_edu_dma(a->h, false, ram, sizeof(data));
    before[0] = cxlf_counters(f->owner, 0);
    before[1] = cxlf_counters(f->owner, 1);
    cxlf_edu_dma(a->h, true, a->base + hot, sizeof(data));
    cxlf_assert_delta(cxlf_minus(cxlf_counters(f->owner, 0), before[0]),
                      CXLF_WRITE_MISS, 64, CXLF_WRITE_HIT, 448,
                      CXLF_BISNP_SENT, 1, CXLF_WRITEBACK, 1, CXLF_COUNTERS);
    cxlf_assert_delta(cxlf_minus(cxlf_counters(f->owner, 1), before[1]),
                      CXLF_BISNP_RECEIVED, 1, CXLF_COUNTERS);
    qtest_memread(b->h->qts, b->base + hot, back, sizeof(back));
    g_assert_cmpmem(back, sizeof(back), data, sizeof(data));

    /* Host 1's device reads what host 0 stores now. */
    cxlf_store(a, hot + 0x100, 0x1020304050607080, 8);
    before[1] = cxlf_counters(f->owner, 1);
    cxlf_edu_dma(b->h, false, b->base + hot, sizeof(data));
    cxlf_assert_delta(cxlf_minus(cxlf_counters(f->owner, 1), before[1]),
                      CXLF_READ_MISS, 1, CXLF_READ_HIT, 511,
                      CXLF_BISNP_SENT, 1, CXLF_WRITEBACK, 1, CXLF_COUNTERS);
    /* And carries it on to BULK, a page that it then owns. */
    before[0] = cxlf_counters(f->owner, -1);
    cxlf_edu_dma(b->h, true, b->base + BULK + 0x3000, sizeof(data));
    cxlf_edu_dma(b->h, false, b->base + BULK + 0x3000, sizeof(data));
    cxlf_assert_delta(cxlf_minus(cxlf_counters(f->owner, -1), before[0]),
                      CXLF_WRITE_MISS, 1, CXLF_PAGE_FAULT, 1,
                      CXLF_PAGE_MAPPED, 1, CXLF_COUNTERS);
    g_assert_cmphex(cxlf_load(a, BULK + 0x3100, 8), ==, 0x1020304050607080);
    check_sums(f);
    cxlf_fabric_stop(f);
}

/* Traffic that does not cross the fabric must not pass for such */

/* Whether the counters tell of exactly these accesses to HOT. */
static bool check_traffic(CxlfCounters before, CxlfCounters after,
                          uint64_t loads, uint64_t stores)
{
    CxlfCounters d = cxlf_minus(after, before);

    return d.n[CXLF_READ_HIT] + d.n[CXLF_READ_MISS] == loads &&
           d.n[CXLF_WRITE_HIT] + d.n[CXLF_WRITE_MISS] +
           d.n[CXLF_UPGRADE] == stores;
}

/* Ping-pong of data that comes out right in any case. */
static bool run_traffic(const char *more)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", more);
    CxlfCounters before = cxlf_counters(f->owner, -1), after;
    bool passed;

    for (int i = 0; i < 64; i++) {
        cxlf_store(&f->r[i % 2], 0x100, i, 8);
        g_assert_cmpint(cxlf_load(&f->r[!(i % 2)], 0x100, 8), ==, i);
    }
    cxlf_edu_dma(f->h[0], true, f->r[0].base + 0x1000, 512);
    after = cxlf_counters(f->owner, -1);
    passed = check_traffic(before, after, 64, 64 + 512 / 8);
    cxlf_fabric_stop(f);
    return passed;
}

static void test_bypass(void)
{
    g_assert_true(run_traffic(CXLF_EDU));
    g_assert_false(run_traffic(CXLF_EDU " -global cxl-gfam.x-hot-bypass=on"));
}

/* One of two hosts goes round the directory: that is caught too. */
static void test_bypass_one(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2");
    CxlfHost *a = cxlf_host_start(path, 1, "", "");
    CxlfHost *b = cxlf_host_start(path, 1, ",x-hot-bypass=on", "");
    CxlfRegion ra = cxlf_whole_region(a, 0), rb = cxlf_whole_region(b, 0);
    CxlfCounters before = cxlf_counters(owner, -1);

    cxlf_store(&ra, 0, 7, 8);
    g_assert_cmpint(cxlf_load(&rb, 0, 8), ==, 7);
    g_assert_true(check_traffic(before, cxlf_counters(owner, -1), 0, 1));
    g_assert_false(check_traffic(before, cxlf_counters(owner, -1), 1, 1));
    cxlf_host_stop(a);
    cxlf_host_stop(b);
    qtest_quit(owner);
}

/*
 * A directory with far fewer entries than lines: values are right all the
 * same, and what its recalls and its grain cost is counted.
 */
static void test_finite(void)
{
    const int lines = 512;
    CxlfFabric *f = cxlf_fabric_start(
        2, ",shards=1,line-entries=32,ways=4,grain=256", "");
    g_autofree uint64_t *value = g_new0(uint64_t, lines);
    CxlfCounters all;

    for (int i = 0; i < 4 * lines; i++) {
        int line = g_test_rand_int_range(0, lines);
        CxlfRegion *r = &f->r[g_test_rand_int_range(0, 2)];

        if (g_test_rand_bit()) {
            value[line] = i + 1;
            cxlf_store(r, line * 64, value[line], 8);
        } else {
            g_assert_cmphex(cxlf_load(r, line * 64, 8), ==, value[line]);
        }
    }
    all = cxlf_counters(f->owner, -1);
    g_assert_cmpuint(all.n[CXLF_VICTIM], >, lines);
    g_assert_cmpuint(all.n[CXLF_BISNP_SPURIOUS], >, 0);
    g_assert_cmpuint(all.n[CXLF_BISNP_SPURIOUS], <=,
                     all.n[CXLF_BISNP_RECEIVED]);
    check_sums(f);
    cxlf_fabric_stop(f);
}

/* A host that is reset keeps its values and loses its holdings. */
static void test_reset(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfRegion *b = &f->r[1];
    CxlfCounters before;

    cxlf_store(&f->r[0], 0x40, 11, 8);
    qtest_system_reset(f->h[0]->qts);
    before = cxlf_counters(f->owner, 1);
    g_assert_cmpint(cxlf_load(b, 0x40, 8), ==, 11);
    cxlf_assert_delta(cxlf_minus(cxlf_counters(f->owner, 1), before),
                      CXLF_READ_MISS, 1, CXLF_COUNTERS);
    cxlf_host_program(f->h[0]);
    f->r[0] = cxlf_whole_region(f->h[0], 0);
    g_assert_cmpint(cxlf_load(&f->r[0], 0x40, 8), ==, 11);
    check_sums(f);
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/coherence/table", test_table);
    qtest_add_func("/cxlf/coherence/random", test_random);
    qtest_add_func("/cxlf/coherence/homes", test_homes);
    qtest_add_func("/cxlf/coherence/bulk", test_bulk);
    qtest_add_func("/cxlf/coherence/dma", test_dma);
    qtest_add_func("/cxlf/coherence/bypass", test_bypass);
    qtest_add_func("/cxlf/coherence/bypass-one", test_bypass_one);
    qtest_add_func("/cxlf/coherence/finite", test_finite);
    qtest_add_func("/cxlf/coherence/reset", test_reset);
    return g_test_run();
}
