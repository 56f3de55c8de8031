/*
 * QTest of ranges that one host alone may use
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qlist.h"
#include "cxlf-hdm.h"
#include "cxlf-peer.h"

#define BULK        CLASS_SIZE      /* DPA where BULK begins */
#define SIZE        (64 * MIB)
#define PAGES       200             /* that are used */
#define ALL_ONES    UINT64_MAX

/* docs/specs/dpu-eca.rst */
#define DPA         0x200
#define LENGTH      0x208
#define GFAM        0x210
#define STATUS      0x218

enum { OWNED = 17, RESERVE = 22, UNRESERVE };

enum {
    DONE, UNKNOWN, RANGE, TOO_LONG, LOST, BUSY, PARTLY, OFF, TAKEN, FULL,
    NONE,
};

static char *path;
static QTestState *owner;
static CxlfHost *h[2];
static CxlfRegion r[2];

static void start_host(int host, const char *more)
{
    h[host] = cxlf_host_start(path, 1, "", more);
    g_assert_cmpint(h[host]->number, ==, host);
    r[host] = cxlf_whole_region(h[host], 0);
}

static void start(const char *more)
{
    path = cxlf_socket_path();
    owner = cxlf_owner_start(path, ",hosts=2");
    start_host(0, more);
    start_host(1, more);
}

static void stop(void)
{
    cxlf_host_stop(h[0]);
    cxlf_host_stop(h[1]);
    qtest_quit(owner);
    g_free(path);
}

static uint32_t status(CxlfHost *host)
{
    return qtest_readl(host->qts, host->eca + STATUS);
}

static void give(CxlfHost *host, unsigned command, uint64_t dpa,
                 uint64_t length)
{
    qtest_writeq(host->qts, host->eca + DPA, dpa);
    qtest_writeq(host->qts, host->eca + LENGTH, length);
    qtest_writeq(host->qts, host->eca + GFAM, (uint64_t)command << 32);
}

static uint32_t run(CxlfHost *host, unsigned command, uint64_t dpa,
                    uint64_t length)
{
    gint64 deadline = cxlf_deadline();

    give(host, command, dpa, length);
    while (status(host) == BUSY) {
        cxlf_pause(deadline, "the end of a command");
    }
    return status(host);
}

static void wait_load(const CxlfRegion *at, uint64_t dpa, uint64_t value)
{
    gint64 deadline = cxlf_deadline();

    while (cxlf_load(at, dpa, 8) != value) {
        cxlf_pause(deadline, "a value");
    }
}

static void store_all(const CxlfRegion *at, uint64_t dpa, uint64_t value)
{
    for (int i = 0; i < PAGES; i++) {
        cxlf_store(at, dpa + i * CXLF_PAGE, value + i, 8);
    }
}

static void check_all(const CxlfRegion *at, uint64_t dpa, uint64_t value)
{
    for (int i = 0; i < PAGES; i++) {
        g_assert_cmphex(cxlf_load(at, dpa + i * CXLF_PAGE, 8), ==,
                        value + i);
    }
}

/* Soon, all of it can be used again. */
static void wait_all(const CxlfRegion *at, uint64_t dpa, uint64_t value)
{
    for (int i = 0; i < PAGES; i++) {
        wait_load(at, dpa + i * CXLF_PAGE, value + i);
    }
}

/*
 * What a host cannot use any more, and what it still can.  What it stores is
 * all ones, too, as the page that it then sees is its own for a while.
 */
static void check_refused(const CxlfRegion *at, uint64_t dpa, uint64_t size)
{
    for (int i = 0; i < PAGES; i++) {
        wait_load(at, dpa + i * CXLF_PAGE, ALL_ONES);
        cxlf_store(at, dpa + i * CXLF_PAGE, ALL_ONES, 8);
        g_assert_cmphex(cxlf_load(at, dpa + i * CXLF_PAGE, 8), ==, ALL_ONES);
    }
    g_assert_cmphex(cxlf_load(at, dpa + size - 8, 8), ==, ALL_ONES);
    cxlf_store(at, dpa + size, 7, 8);
    g_assert_cmphex(cxlf_load(at, dpa + size, 8), ==, 7);
}

static int reservations(QTestState *qts)
{
    QDict *info = cxlf_query(qts);
    int n = qlist_size(qdict_get_qlist(info, "reservations"));

    qobject_unref(info);
    return n;
}

static void test_bulk(void)
{
    QDict *info, *range;

    start("");
    store_all(&r[1], BULK, 100);            /* host 1 owns pages there */
    g_assert_cmpuint(run(h[0], RESERVE, BULK, SIZE), ==, DONE);
    check_refused(&r[1], BULK, SIZE);
    check_all(&r[0], BULK, 100);
    store_all(&r[0], BULK, 200);
    check_refused(&r[1], BULK, SIZE);
    check_all(&r[0], BULK, 200);
    g_assert_cmpuint(cxlf_counters(owner, 1).n[CXLF_REFUSAL], >=, PAGES);
    g_assert_cmpuint(cxlf_counters(owner, 0).n[CXLF_REFUSAL], ==, 0);
    /* Nor by a command. */
    g_assert_cmpuint(run(h[1], OWNED, BULK, 8 * CXLF_PAGE), ==, PARTLY);

    info = cxlf_query(h[1]->qts);
    range = qobject_to(QDict,
                       qlist_peek(qdict_get_qlist(info, "reservations")));
    g_assert_cmpuint(qdict_get_int(range, "host"), ==, 0);
    g_assert_cmpuint(qdict_get_int(range, "gfam"), ==, 0);
    g_assert_cmpuint(qdict_get_int(range, "dpa"), ==, BULK);
    g_assert_cmpuint(qdict_get_int(range, "length"), ==, SIZE);
    qobject_unref(info);

    g_assert_cmpuint(run(h[0], UNRESERVE, BULK, SIZE), ==, DONE);
    g_assert_cmpint(reservations(owner), ==, 0);
    wait_all(&r[1], BULK, 200);
    store_all(&r[1], BULK, 300);
    check_all(&r[0], BULK, 300);
    stop();
}

static void test_hot(void)
{
    start(" -global dpu-eca.hot-map-after=4");
    store_all(&r[1], 0, 100);
    for (int i = 0; i < 10; i++) {
        cxlf_store(&r[1], 64, i, 8);        /* and one page is mapped */
    }
    g_assert_cmpuint(run(h[0], RESERVE, 0, SIZE), ==, DONE);
    check_refused(&r[1], 0, SIZE);
    check_all(&r[0], 0, 100);
    g_assert_cmpuint(run(h[0], UNRESERVE, 0, SIZE), ==, DONE);
    wait_all(&r[1], 0, 100);
    stop();
}

static void test_by_page(void)
{
    start(" -global dpu-eca.hot-track=page");
    store_all(&r[1], 0, 100);
    g_assert_cmpuint(run(h[0], RESERVE, 0, SIZE), ==, DONE);
    check_refused(&r[1], 0, SIZE);
    check_all(&r[0], 0, 100);
    stop();
}

static void test_results(void)
{
    start("");
    g_assert_cmpuint(run(h[0], RESERVE, BULK, SIZE), ==, DONE);
    g_assert_cmpuint(run(h[1], RESERVE, BULK + SIZE - CXLF_PAGE, SIZE), ==,
                     TAKEN);
    g_assert_cmpuint(run(h[1], RESERVE, 0, 2 * CLASS_SIZE), ==, TAKEN);
    g_assert_cmpuint(run(h[1], UNRESERVE, BULK, SIZE), ==, NONE);
    g_assert_cmpuint(run(h[1], RESERVE, BULK + SIZE, CLASS_SIZE - SIZE), ==,
                     DONE);
    g_assert_cmpint(reservations(h[0]->qts), ==, 2);
    g_assert_cmpuint(run(h[0], RESERVE, BULK, 100), ==, RANGE);
    g_assert_cmpuint(run(h[0], RESERVE, BULK + 8, CXLF_PAGE), ==, RANGE);
    g_assert_cmpuint(run(h[0], RESERVE, BULK, 0), ==, RANGE);
    g_assert_cmpuint(run(h[0], RESERVE, BULK, CLASS_SIZE + CXLF_PAGE), ==,
                     RANGE);
    g_assert_cmpuint(run(h[0], RESERVE, UINT64_MAX - 4095, 8192), ==, RANGE);
    qtest_writel(h[0]->qts, h[0]->eca + GFAM, 1);
    qtest_writel(h[0]->qts, h[0]->eca + GFAM + 4, RESERVE);
    g_assert_cmpuint(status(h[0]), ==, RANGE);
    for (int i = 0; i < CXLF_RESERVATIONS - 2; i++) {
        g_assert_cmpuint(run(h[0], RESERVE, i * 2 * CXLF_PAGE, CXLF_PAGE),
                         ==, DONE);
    }
    g_assert_cmpuint(run(h[1], RESERVE, 2 * MIB, CXLF_PAGE), ==, FULL);
    /* All at once that lie in the range. */
    g_assert_cmpuint(run(h[0], UNRESERVE, 0, 2 * CLASS_SIZE), ==, DONE);
    g_assert_cmpint(reservations(owner), ==, 1);
    stop();
}

/* A host that ends, however it does, has nothing reserved any more. */
static void test_ends(void)
{
    start("");
    store_all(&r[0], BULK, 100);
    for (int i = 0; i < 2; i++) {
        store_all(&r[1], BULK, 100);
        g_assert_cmpuint(run(h[1], RESERVE, BULK, SIZE), ==, DONE);
        check_refused(&r[0], BULK, SIZE);
        if (i) {
            cxlf_host_stop(h[1]);
        } else {
            g_assert_cmpint(kill(qtest_pid(h[1]->qts), SIGKILL), ==, 0);
            cxlf_host_forget(h[1]);
        }
        wait_all(&r[0], BULK, 100);
        g_assert_cmpint(reservations(owner), ==, 0);
        start_host(1, "");
    }
    g_assert_cmpuint(run(h[1], RESERVE, BULK, SIZE), ==, DONE);
    check_refused(&r[0], BULK, SIZE);
    qtest_system_reset(h[1]->qts);
    wait_all(&r[0], BULK, 100);
    g_assert_cmpint(reservations(owner), ==, 0);
    cxlf_host_program(h[1]);
    r[1] = cxlf_whole_region(h[1], 0);
    g_assert_cmpuint(run(h[0], RESERVE, BULK, SIZE), ==, DONE);
    check_refused(&r[1], BULK, SIZE);
    stop();
}

/* The owner is asked, and not waited for. */
static void test_slow_owner(void)
{
    pid_t pid;

    start("");
    pid = qtest_pid(owner);
    cxlf_freeze(pid);
    give(h[0], RESERVE, BULK, SIZE);
    g_assert_cmpuint(status(h[0]), ==, BUSY);
    store_all(&r[0], BULK, 5);
    check_all(&r[1], BULK, 5);
    /* A reset withdraws what was asked for. */
    qtest_system_reset(h[0]->qts);
    cxlf_host_program(h[0]);
    r[0] = cxlf_whole_region(h[0], 0);
    g_assert_cmpuint(status(h[0]), ==, DONE);
    give(h[0], RESERVE, BULK + SIZE, SIZE);
    g_assert_cmpuint(status(h[0]), ==, BUSY);
    g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
    while (status(h[0]) == BUSY) {
        g_usleep(1000);
    }
    g_assert_cmpuint(status(h[0]), ==, DONE);
    g_assert_cmpint(reservations(owner), ==, 1);
    check_all(&r[1], BULK, 5);
    wait_load(&r[1], BULK + SIZE, ALL_ONES);

    /* When it is gone there is no answer. */
    cxlf_freeze(pid);
    give(h[0], UNRESERVE, BULK, SIZE);
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    while (status(h[0]) == BUSY) {
        g_usleep(1000);
    }
    g_assert_cmpuint(status(h[0]), ==, LOST);
    g_assert_cmpuint(run(h[0], UNRESERVE, BULK, SIZE), ==, LOST);
    cxlf_host_stop(h[0]);
    cxlf_host_stop(h[1]);
    cxlf_forget(owner);
    unlink(path);
    g_free(path);
}

/* A host in the process of the owner, and one that has a fabric alone. */
static void test_owner_is_host(void)
{
    g_autofree char *fabric = NULL;

    path = cxlf_socket_path();
    fabric = g_strdup_printf("-object cxl-fabric,id=fabric0,listen=on,"
                             "socket=%s,hosts=2", path);
    h[0] = cxlf_host_start_fabric(fabric, 1, "", "");
    r[0] = cxlf_whole_region(h[0], 0);
    start_host(1, "");
    for (int i = 0; i < 2; i++) {
        store_all(&r[!i], BULK, 100);
        g_assert_cmpuint(run(h[i], RESERVE, BULK, SIZE), ==, DONE);
        check_refused(&r[!i], BULK, SIZE);
        check_all(&r[i], BULK, 100);
        g_assert_cmpuint(run(h[!i], RESERVE, BULK, SIZE), ==, TAKEN);
        qtest_system_reset(h[i]->qts);
        cxlf_host_program(h[i]);
        r[i] = cxlf_whole_region(h[i], 0);
        wait_all(&r[!i], BULK, 100);
    }
    cxlf_host_stop(h[1]);
    cxlf_host_stop(h[0]);
    g_free(path);

    path = NULL;
    start_host(0, "");
    give(h[0], RESERVE, BULK, SIZE);
    g_assert_cmpuint(status(h[0]), ==, DONE);
    store_all(&r[0], BULK, 100);
    check_all(&r[0], BULK, 100);
    cxlf_host_stop(h[0]);
}

/* Without page ownership a host still refuses what is trapped. */
static void test_off(void)
{
    start(" -global dpu-eca.ownership=off");
    cxlf_store(&r[1], 0, 1, 8);
    g_assert_cmpuint(run(h[0], RESERVE, 0, SIZE), ==, DONE);
    g_assert_cmphex(cxlf_load(&r[1], 0, 8), ==, ALL_ONES);
    g_assert_cmphex(cxlf_load(&r[0], 0, 8), ==, 1);
    stop();
}

/* The other host uses the range all the time. */

static void make_storm(const char *socket, const void *data)
{
    CxlfRegion region = *(const CxlfRegion *)data;
    GRand *rand = g_rand_new_with_seed(getpid());

    peer_end_quietly();
    for (uint64_t i = 0;; i++) {
        uint64_t dpa = (g_rand_boolean(rand) ? BULK : 0) +
                       g_rand_int_range(rand, 0, PAGES) * CXLF_PAGE;

        cxlf_store(&region, dpa + 8, i, 8);
        cxlf_load(&region, dpa, 8);
    }
}

static void test_storm(void)
{
    pid_t load, pid;

    start(" -global dpu-eca.hot-map-after=4");
    pid = qtest_pid(h[1]->qts);
    load = peer_fork(path, make_storm, &r[1]);
    for (int i = 0; i < 20; i++) {
        uint64_t dpa = i % 2 ? BULK : 0;

        store_all(&r[0], dpa, i);
        g_assert_cmpuint(run(h[0], RESERVE, dpa, SIZE), ==, DONE);
        check_all(&r[0], dpa, i);
        store_all(&r[0], dpa, i + 1);
        check_all(&r[0], dpa, i + 1);
        g_assert_cmpuint(run(h[0], UNRESERVE, dpa, SIZE), ==, DONE);
        check_all(&r[0], dpa, i + 1);
    }
    g_assert_cmpuint(cxlf_counters(owner, 0).n[CXLF_REFUSAL], ==, 0);
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    cxlf_host_forget(h[1]);
    peer_wait(load);
    cxlf_host_stop(h[0]);
    qtest_quit(owner);
    g_free(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/reserve/bulk", test_bulk);
    qtest_add_func("/cxlf/reserve/hot", test_hot);
    qtest_add_func("/cxlf/reserve/by-page", test_by_page);
    qtest_add_func("/cxlf/reserve/results", test_results);
    qtest_add_func("/cxlf/reserve/ends", test_ends);
    qtest_add_func("/cxlf/reserve/slow-owner", test_slow_owner);
    qtest_add_func("/cxlf/reserve/owner-is-host", test_owner_is_host);
    qtest_add_func("/cxlf/reserve/off", test_off);
    qtest_add_func("/cxlf/reserve/storm", test_storm);
    return g_test_run();
}
