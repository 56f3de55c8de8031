/*
 * QTest of the agent's commands on pages
 *
 * Offsets and numbers are those of docs/specs/dpu-eca.rst, written down again
 * here.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qlist.h"
#include "cxlf-hdm.h"
#include "cxlf-peer.h"

#define BULK        CLASS_SIZE      /* DPA where BULK begins */
#define BLOCK       (2 * MIB)
#define BLOCK_PAGES (BLOCK / CXLF_PAGE)

#define DPA         0x200
#define LENGTH      0x208
#define GFAM        0x210
#define COMMAND     0x214
#define STATUS      0x218
#define PAGES_DONE  0x21c

enum {
    SHARED = 16, OWNED, RELEASE, PROMOTE, DEMOTE, PREFETCH,
};

enum {
    DONE, UNKNOWN, RANGE, TOO_LONG, LOST, BUSY, PARTLY, OFF,
};

static uint32_t get(CxlfHost *h, unsigned offset)
{
    return qtest_readl(h->qts, h->eca + offset);
}

/* Give a command; returns the status that it has at once. */
static uint32_t give(CxlfHost *h, unsigned command, uint64_t dpa,
                     uint64_t length)
{
    qtest_writeq(h->qts, h->eca + DPA, dpa);
    qtest_writeq(h->qts, h->eca + LENGTH, length);
    qtest_writeq(h->qts, h->eca + GFAM, (uint64_t)command << 32);
    return get(h, STATUS);
}

static uint32_t finish(CxlfHost *h)
{
    gint64 deadline = cxlf_deadline();

    while (get(h, STATUS) == BUSY) {
        cxlf_pause(deadline, "the end of a command");
    }
    return get(h, STATUS);
}

/* And wait for its end; all pages must come to it. */
static void run(CxlfHost *h, unsigned command, uint64_t dpa, uint64_t length)
{
    uint32_t status = give(h, command, dpa, length);

    if (status == BUSY) {
        status = finish(h);
    }
    g_assert_cmpuint(status, ==, DONE);
    g_assert_cmpuint(get(h, PAGES_DONE), ==, length / CXLF_PAGE);
}

static void test_acquire(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfHost *a = f->h[0], *b = f->h[1];
    CxlfCounters d;

    /* What nobody has is had at once. */
    g_assert_cmpuint(give(a, OWNED, BULK, BLOCK), ==, DONE);
    g_assert_cmpuint(get(a, PAGES_DONE), ==, BLOCK_PAGES);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PAGE_MAPPED], ==, BLOCK_PAGES);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 0);
    g_assert_cmpuint(d.n[CXLF_MESSAGE], ==, 0);
    for (int i = 0; i < BLOCK_PAGES; i++) {
        cxlf_store(&f->r[0], BULK + i * CXLF_PAGE, i, 8);
    }
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_FAULT], ==, 0);

    /* The other host reads, then writes, without a fault. */
    cxlf_counted(f, 1);
    run(b, SHARED, BULK, BLOCK);
    for (int i = 0; i < BLOCK_PAGES; i++) {
        g_assert_cmpuint(cxlf_load(&f->r[1], BULK + i * CXLF_PAGE, 8), ==,
                         i);
    }
    d = cxlf_counted(f, 1);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 0);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 0);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_FAULT], ==, 0);
    run(b, OWNED, BULK, BLOCK);
    cxlf_store(&f->r[1], BULK + 8, 7, 8);
    d = cxlf_counted(f, 1);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 0);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK + 8, 8), ==, 7);

    /* Part of a block, not aligned. */
    run(a, OWNED, BULK + 3 * CXLF_PAGE, 100 * CXLF_PAGE);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_REVOKED], ==, BLOCK_PAGES);
    cxlf_counted(f, 0);
    cxlf_store(&f->r[0], BULK + 50 * CXLF_PAGE, 7, 8);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_FAULT], ==, 0);
    cxlf_fabric_stop(f);
}

static void test_release(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfHost *a = f->h[0];
    CxlfCounters d;

    g_assert_cmpuint(give(a, OWNED, BULK, BLOCK), ==, DONE);
    cxlf_store(&f->r[0], BULK, 9, 8);
    g_assert_cmpuint(give(a, RELEASE, BULK, BLOCK), ==, DONE);
    g_assert_cmpuint(get(a, PAGES_DONE), ==, BLOCK_PAGES);
    cxlf_counted(f, 0);
    cxlf_counted(f, 1);
    g_assert_cmpuint(give(f->h[1], OWNED, BULK, BLOCK), ==, DONE);
    d = cxlf_counted(f, 1);
    g_assert_cmpuint(d.n[CXLF_MESSAGE], ==, 0);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_REVOKED], ==, 0);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK, 8), ==, 9);
    /* What it has not got it need not give up. */
    g_assert_cmpuint(give(a, RELEASE, BULK, BLOCK), ==, DONE);
    cxlf_store(&f->r[0], BULK, 10, 8);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK, 8), ==, 10);

    /* Lines, too. */
    cxlf_store(&f->r[0], 0x40, 1, 8);
    cxlf_store(&f->r[0], 0x80, 1, 8);
    g_assert_cmpuint(give(a, RELEASE, 0, CXLF_PAGE), ==, DONE);
    cxlf_counted(f, 1);
    cxlf_store(&f->r[1], 0x40, 2, 8);
    cxlf_store(&f->r[1], 0x80, 2, 8);
    g_assert_cmpuint(cxlf_counted(f, 1).n[CXLF_BISNP_SENT], ==, 0);
    cxlf_fabric_stop(f);
}

static void test_classes(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", CXLF_NEVER_MAPPED);
    CxlfHost *a = f->h[0];
    CxlfCounters d;

    /* HOT: from lines to a page of this host, and back. */
    cxlf_store(&f->r[1], 0x40, 5, 8);
    cxlf_counted(f, 0);
    run(a, DEMOTE, 0, 16 * CXLF_PAGE);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_DEMOTION], ==, 16);
    g_assert_cmpuint(d.n[CXLF_PAGE_MAPPED], ==, 16);
    g_assert_cmpuint(cxlf_load(&f->r[0], 0x40, 8), ==, 5);
    cxlf_assert_delta(cxlf_counted(f, 0), CXLF_COUNTERS);
    run(a, PROMOTE, 0, 16 * CXLF_PAGE);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PROMOTION], ==, 16);
    cxlf_store(&f->r[0], 0x40, 6, 8);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_WRITE_MISS], ==, 1);
    g_assert_cmpuint(cxlf_load(&f->r[1], 0x40, 8), ==, 6);

    /* By lines a page cannot be had. */
    g_assert_cmpuint(give(a, OWNED, 0, 4 * CXLF_PAGE), ==, PARTLY);
    g_assert_cmpuint(get(a, PAGES_DONE), ==, 0);
    /* BULK without a finite directory has no lines. */
    g_assert_cmpuint(give(a, PROMOTE, BULK, CXLF_PAGE), ==, PARTLY);
    g_assert_cmpuint(give(a, PROMOTE, BULK - CXLF_PAGE, 2 * CXLF_PAGE), ==,
                     PARTLY);
    g_assert_cmpuint(get(a, PAGES_DONE), ==, 1);
    cxlf_fabric_stop(f);
}

/* BULK pages can be tracked by lines, as many as the quota says. */
static void test_quota(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",line-entries=1024",
                                      CXLF_NEVER_MAPPED
                                      " -global dpu-eca.precise-quota=4");
    CxlfHost *a = f->h[0];
    CxlfCounters d;

    cxlf_store(&f->r[1], BULK, 5, 8);
    if (give(a, PROMOTE, BULK, 8 * CXLF_PAGE) == BUSY) {
        finish(a);
    }
    g_assert_cmpuint(get(a, STATUS), ==, PARTLY);
    g_assert_cmpuint(get(a, PAGES_DONE), ==, 4);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PROMOTION], ==, 4);
    g_assert_cmpuint(d.n[CXLF_PROMOTION_REFUSED], >=, 4);
    cxlf_store(&f->r[0], BULK, 6, 8);
    cxlf_store(&f->r[0], BULK + 64, 6, 8);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_WRITE_MISS], ==, 2);
    g_assert_cmpuint(d.n[CXLF_BULK_TRAPPED], ==, 2);

    /* Those that are demoted make room. */
    run(a, DEMOTE, BULK, 4 * CXLF_PAGE);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 6);
    run(a, PROMOTE, BULK + 4 * CXLF_PAGE, 4 * CXLF_PAGE);
    cxlf_fabric_stop(f);
}

/* The pool of the fabric, and each host's part of it. */
static int64_t told(QTestState *qts, int host, const char *name)
{
    QDict *info = cxlf_query(qts), *from = info;
    const QListEntry *e;
    int64_t n;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "hosts"), e) {
        QDict *each = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_int(each, "host") == host) {
            from = each;
        }
    }
    n = qdict_get_int(from, name);
    qobject_unref(info);
    return n;
}

static void test_pool(void)
{
    /* 4 shards of 64 entries: 4 pages, 2 for each host. */
    CxlfFabric *f = cxlf_fabric_start(2, ",line-entries=64",
                                      CXLF_NEVER_MAPPED);

    g_assert_cmpint(told(f->owner, -1, "precise-pages"), ==, 4);
    g_assert_cmpint(told(f->owner, 1, "precise-quota"), ==, 2);
    g_assert_cmpint(told(f->owner, 1, "precise-pages"), ==, 0);
    g_assert_cmpuint(give(f->h[1], PROMOTE, BULK, 4 * CXLF_PAGE), ==,
                     PARTLY);
    g_assert_cmpuint(get(f->h[1], PAGES_DONE), ==, 2);
    g_assert_cmpint(told(f->h[0]->qts, 1, "precise-pages"), ==, 2);
    g_assert_cmpint(told(f->owner, 0, "precise-pages"), ==, 0);
    qtest_system_reset(f->h[1]->qts);
    g_assert_cmpint(told(f->owner, 1, "precise-pages"), ==, 0);
    g_assert_cmpint(told(f->owner, 1, "precise-quota"), ==, 2);
    cxlf_fabric_stop(f);

    f = cxlf_fabric_start(2, ",line-entries=64,precise-pages=0", "");
    g_assert_cmpint(told(f->owner, 0, "precise-quota"), ==, 0);
    g_assert_cmpuint(give(f->h[0], PROMOTE, BULK, CXLF_PAGE), ==, PARTLY);
    cxlf_add_error(f->owner, "'line-entries': 64, 'precise-pages': 5",
                   "'precise-pages' must be at most 4");
    cxlf_add_error(f->owner, "'precise-pages': 1",
                   "'precise-pages' must be at most 0");
    cxlf_add_error(f->owner, "'socket': '/x', 'precise-pages': 1",
                   "'precise-pages' is the owner's to set");
    cxlf_fabric_stop(f);
    f = cxlf_fabric_start(2, "", "");
    g_assert_cmpint(told(f->owner, -1, "precise-pages"), ==, 0);
    cxlf_fabric_stop(f);
}

static void test_prefetch(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    gint64 deadline = cxlf_deadline();
    CxlfCounters d;

    for (int i = 0; i < 64; i++) {
        cxlf_store(&f->r[1], BULK + i * CXLF_PAGE, i, 8);
    }
    g_assert_cmpuint(give(f->h[0], PREFETCH, BULK, 64 * CXLF_PAGE), ==,
                     DONE);
    while (cxlf_counters(f->owner, 0).n[CXLF_PAGE_MAPPED] < 63) {
        cxlf_pause(deadline, "pages that were asked for");
    }
    cxlf_counted(f, 0);
    for (int i = 0; i < 63; i++) {
        g_assert_cmpuint(cxlf_load(&f->r[0], BULK + i * CXLF_PAGE, 8), ==,
                         i);
    }
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 0);
    cxlf_fabric_stop(f);
}

/* A command does not wait in its register for a host that stands still. */
static void test_busy(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfHost *a = f->h[0];
    pid_t pid = qtest_pid(f->h[1]->qts);

    for (int i = 0; i < 8; i++) {
        cxlf_store(&f->r[1], BULK + i * CXLF_PAGE, i, 8);
    }
    cxlf_freeze(pid);
    g_assert_cmpuint(give(a, OWNED, BULK, 32 * CXLF_PAGE), ==, BUSY);
    g_assert_cmpuint(get(a, PAGES_DONE), ==, 24);
    /* A second one is ignored meanwhile, and so are its registers. */
    g_assert_cmpuint(give(a, RELEASE, BULK, CXLF_PAGE), ==, BUSY);
    g_assert_cmpuint(get(a, COMMAND), ==, OWNED);
    g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
    g_assert_cmpuint(finish(a), ==, DONE);
    g_assert_cmpuint(get(a, PAGES_DONE), ==, 32);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK + 7 * CXLF_PAGE, 8), ==, 7);

    /* A reset ends it. */
    cxlf_store(&f->r[1], BULK, 5, 8);
    cxlf_freeze(pid);
    g_assert_cmpuint(give(a, OWNED, BULK, CXLF_PAGE), ==, BUSY);
    qtest_system_reset(a->qts);
    cxlf_host_program(a);
    g_assert_cmpuint(get(a, STATUS), ==, DONE);
    g_assert_cmpuint(get(a, COMMAND), ==, 0);
    f->r[0] = cxlf_whole_region(a, 0);
    /* The death of the other host, too. */
    g_assert_cmpuint(give(a, OWNED, BULK, CXLF_PAGE), ==, BUSY);
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    g_assert_cmpuint(finish(a), ==, DONE);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 5);
    cxlf_host_forget(f->h[1]);
    f->h[1] = NULL;
    cxlf_fabric_stop(f);
}

static void test_errors(void)
{
    static const struct {
        unsigned command;
        uint64_t dpa, length;
        uint32_t status;
    } bad[] = {
        { 22 + 100, BULK, CXLF_PAGE, UNKNOWN },
        { OWNED, BULK, 0, RANGE },
        { OWNED, 2 * CLASS_SIZE, CXLF_PAGE, RANGE },
        { OWNED, 2 * CLASS_SIZE - CXLF_PAGE, 2 * CXLF_PAGE, RANGE },
        { OWNED, BULK, UINT64_MAX, RANGE },
        { OWNED, UINT64_MAX, CXLF_PAGE, RANGE },
        { OWNED, BULK, BLOCK + 1, TOO_LONG },
        { OWNED, BULK + 1, BLOCK, TOO_LONG },
        { RELEASE, BULK, 1, DONE },
    };
    CxlfFabric *f = cxlf_fabric_start(1, "", "");
    CxlfHost *h = f->h[0];

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpuint(give(h, bad[i].command, bad[i].dpa, bad[i].length),
                         ==, bad[i].status);
    }
    qtest_writel(h->qts, h->eca + GFAM, 1);
    qtest_writel(h->qts, h->eca + COMMAND, OWNED);
    g_assert_cmpuint(get(h, STATUS), ==, RANGE);
    cxlf_fabric_stop(f);
    f = cxlf_fabric_start(1, "", " -global dpu-eca.ownership=off");
    g_assert_cmpuint(give(f->h[0], OWNED, BULK, CXLF_PAGE), ==, OFF);
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/commands/acquire", test_acquire);
    qtest_add_func("/cxlf/commands/release", test_release);
    qtest_add_func("/cxlf/commands/classes", test_classes);
    qtest_add_func("/cxlf/commands/quota", test_quota);
    qtest_add_func("/cxlf/commands/pool", test_pool);
    qtest_add_func("/cxlf/commands/prefetch", test_prefetch);
    qtest_add_func("/cxlf/commands/busy", test_busy);
    qtest_add_func("/cxlf/commands/errors", test_errors);
    return g_test_run();
}
