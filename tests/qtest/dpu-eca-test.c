/*
 * QTest of dpu-eca: the registers of BAR 0
 *
 * Offsets are those of docs/specs/dpu-eca.rst, written down again here.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"

#define MAGIC       0x000
#define VERSION     0x004
#define STATUS      0x008
#define HOST        0x00c
#define HOSTS       0x010
#define LEAVES      0x014
#define SHARDS      0x018
#define GFAMS       0x01c
#define LINE        0x020
#define PAGE        0x024
#define EPOCH       0x028
#define COUNTERS    0x02c
#define UUID        0x030
#define GFAM(n)     (0x100 + (n) * 0x20)
#define COPY        0x200   /* rw registers, and what they change */
#define COPY_END    0x220
#define QUEUE       0x1000  /* likewise */
#define QUEUE_END   0x1130  /* and events */
#define COUNTER(n)  (0x400 + (n) * 8)
#define LIFE(n)     (0x4000 + (n) * 4)
#define BAR_SIZE    0x8000

static uint32_t get(CxlfHost *h, unsigned offset)
{
    return qtest_readl(h->qts, h->eca + offset);
}

static uint64_t get8(CxlfHost *h, unsigned offset)
{
    return qtest_readq(h->qts, h->eca + offset);
}

static void check_uuid(CxlfHost *h)
{
    QDict *info = cxlf_query(h->qts);
    const char *want = qdict_get_str(info, "uuid");
    g_autoptr(GString) have = g_string_new(NULL);

    for (int i = 0; i < 16; i++) {
        uint8_t byte = get(h, UUID + i / 4 * 4) >> i % 4 * 8;

        g_string_append_printf(have, "%s%02x", i == 4 || i == 6 || i == 8 ||
                               i == 10 ? "-" : "", byte);
    }
    g_assert_cmpstr(have->str, ==, want);
    qobject_unref(info);
}

static void check_counters(CxlfHost *h)
{
    CxlfCounters c = cxlf_counters(h->qts, h->number);

    for (int i = 0; i < CXLF_COUNTERS; i++) {
        g_assert_cmpint(get8(h, COUNTER(i)), ==, c.n[i]);
        g_assert_cmpint(get(h, COUNTER(i)), ==, (uint32_t)c.n[i]);
        g_assert_cmpint(get(h, COUNTER(i) + 4), ==, c.n[i] >> 32);
    }
    g_assert_cmpint(get8(h, COUNTER(CXLF_COUNTERS)), ==, 0);
}

static void test_embedded(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    QDict *info = cxlf_query(h->qts);
    CxlfRegion r;

    g_assert_cmpstr(qdict_get_str(info, "role"), ==, "embedded");
    g_assert_cmpint(qdict_get_int(info, "self"), ==, 0);
    qobject_unref(info);
    g_assert_cmphex(cxlf_config_readl(h, BDF_ECA, 0), ==, 0x0eca1b36);
    g_assert_cmphex(get(h, MAGIC), ==, 0x31414345);         /* "ECA1" */
    g_assert_cmpint(get(h, VERSION), ==, 2);
    g_assert_cmphex(get(h, STATUS), ==, 1);
    g_assert_cmpint(get(h, HOST), ==, 0);
    g_assert_cmpint(get(h, HOSTS), ==, 1);
    g_assert_cmpint(get(h, LEAVES), ==, 1);
    g_assert_cmpint(get(h, SHARDS), ==, 4);
    g_assert_cmpint(get(h, GFAMS), ==, 1);
    g_assert_cmpint(get(h, LINE), ==, 64);
    g_assert_cmpint(get(h, PAGE), ==, 4096);
    g_assert_cmpint(get(h, EPOCH), ==, 0);
    g_assert_cmpint(get(h, COUNTERS), ==, CXLF_COUNTERS);
    g_assert_cmphex(get8(h, GFAM(0)), ==, CLASS_SIZE);
    g_assert_cmphex(get8(h, GFAM(0) + 8), ==, CLASS_SIZE);
    g_assert_cmphex(get(h, GFAM(0) + 0x10), ==, 0);
    g_assert_cmphex(get(h, GFAM(0) + 0x14), ==, 1);         /* attached */
    g_assert_cmphex(get8(h, GFAM(1)), ==, 0);
    check_uuid(h);

    check_counters(h);
    r = cxlf_whole_region(h, 0);
    for (int i = 0; i < 100; i++) {
        cxlf_store(&r, i * 24, i, 4);
        cxlf_load(&r, i * 40, 4);
    }
    check_counters(h);
    cxlf_host_stop(h);
}

/* A host of a larger fabric has its own number and counters. */
static void test_member(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=5,leaves=3,shards=2,"
                                         "gfams=3,hot=512M,bulk=0");
    CxlfHost *a = cxlf_host_start(path, 1, "", "");
    CxlfHost *b = cxlf_host_start(path, 2, "", "");
    uint32_t epoch, life;

    g_assert_cmpint(get(a, HOST), ==, 0);
    g_assert_cmpint(get(b, HOST), ==, 1);
    g_assert_cmpint(get(b, HOSTS), ==, 5);
    g_assert_cmpint(get(b, LEAVES), ==, 3);
    g_assert_cmpint(get(b, SHARDS), ==, 2);
    g_assert_cmpint(get(b, GFAMS), ==, 3);
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(get8(b, GFAM(i)), ==, 2 * CLASS_SIZE);
        g_assert_cmphex(get8(b, GFAM(i) + 8), ==, 0);
        g_assert_cmpint(get(b, GFAM(i) + 0x10), ==, i);     /* leaf */
        g_assert_cmpint(get(b, GFAM(i) + 0x14), ==, i < 2);
    }
    check_uuid(a);
    check_uuid(b);
    life = get(b, LIFE(0));
    g_assert_cmpint(life, !=, 0);
    g_assert_cmpint(get(a, LIFE(0)), ==, life);
    g_assert_cmpint(get(a, LIFE(1)), !=, 0);
    g_assert_cmphex(get8(a, LIFE(0)), ==,
                    life | (uint64_t)get(a, LIFE(1)) << 32);
    for (int i = 2; i < 4096; i++) {
        g_assert_cmpint(get(a, LIFE(i)), ==, 0);
    }
    g_assert_cmphex(get8(a, UUID), ==, get8(b, UUID));
    check_counters(a);
    check_counters(b);
    cxlf_host_stop(a);

    /*
     * A death is an epoch; so is an orderly end of which the owner sees the
     * process's end first.
     */
    while (get(b, LIFE(0))) {
        g_usleep(1000);
    }
    epoch = get(b, EPOCH);
    g_assert_cmpint(epoch, <=, 1);
    a = cxlf_host_start(path, 1, "", "");
    g_assert_cmpint(get(b, LIFE(0)), !=, 0);
    g_assert_cmpint(get(b, LIFE(0)), !=, life);
    g_assert_cmpint(kill(qtest_pid(a->qts), SIGKILL), ==, 0);
    qobject_unref(cxlf_wait_event(owner, "X_CXL_FABRIC_HOST_DEAD"));
    cxlf_host_forget(a);
    g_assert_cmpint(get(b, EPOCH), ==, epoch + 1);
    g_assert_cmpint(get(b, LIFE(0)), ==, 0);
    g_assert_cmpint(get(b, LIFE(1)), !=, 0);
    cxlf_host_stop(b);
    qtest_quit(owner);
}

/* All of the BAR: halves agree with wholes, and writes change nothing else. */
static void test_access(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    uint64_t before[BAR_SIZE / 8];

    for (unsigned at = 0; at < BAR_SIZE; at += 8) {
        before[at / 8] = get8(h, at);
        g_assert_cmphex(get(h, at), ==, (uint32_t)before[at / 8]);
        g_assert_cmphex(get(h, at + 4), ==, before[at / 8] >> 32);
    }
    for (unsigned at = 0; at < BAR_SIZE; at += 4) {
        qtest_writel(h->qts, h->eca + at, 0xdeadbeef);
        if (at % 8 == 0) {
            qtest_writeq(h->qts, h->eca + at, 0xdeadbeefdeadbeef);
        }
        qtest_writeb(h->qts, h->eca + at + 1, 0xde);
        qtest_writew(h->qts, h->eca + at + 2, 0xbeef);
        qtest_readb(h->qts, h->eca + at + 3);
        qtest_readw(h->qts, h->eca + at + 1);
    }
    for (unsigned at = 0; at < BAR_SIZE; at += 8) {
        if ((at < COPY || at >= COPY_END) &&
            (at < QUEUE || at >= QUEUE_END)) {
            g_assert_cmphex(get8(h, at), ==, before[at / 8]);
        }
    }
    /* The size of the BAR, as a driver finds it. */
    cxlf_config_writel(h, BDF_ECA, 0x10, 0xffffffff);
    g_assert_cmphex(cxlf_config_readl(h, BDF_ECA, 0x10) & ~0xfu, ==,
                    -(uint32_t)BAR_SIZE);
    cxlf_host_stop(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/eca/embedded", test_embedded);
    qtest_add_func("/cxlf/eca/member", test_member);
    qtest_add_func("/cxlf/eca/access", test_access);
    return g_test_run();
}
