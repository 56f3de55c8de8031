/*
 * QTest of BULK that is coherent by software: hosts with private copies
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qstring.h"
#include "cxlf-hdm.h"
#include "cxlf-peer.h"
#include "../../hw/dpu-eca/eca-regs.h"

#define BULK        CLASS_SIZE  /* DPA where BULK begins */
#define PAGE        4096
#define CHANGED     "X_CXL_FABRIC_BULK_MODE"
#define CONFLICT    "X_CXL_FABRIC_CONFLICT"
#define DEAD        "X_CXL_FABRIC_HOST_DEAD"

enum { FLUSH = ECA_COPY_FLUSH, INVALIDATE = ECA_COPY_INVALIDATE };

/* An owner without a guest and two hosts. */
static char *path;
static QTestState *owner;
static CxlfHost *h[2];
static CxlfRegion r[2];

#define A (&r[0])
#define B (&r[1])

static void start_host(int i)
{
    h[i] = cxlf_host_start(path, 1, "", "");
    r[i] = cxlf_whole_region(h[i], 0);
    g_assert_cmpint(h[i]->number, ==, i);
}

static void start(const char *more)
{
    path = cxlf_socket_path();
    owner = cxlf_owner_start(path, more);
    start_host(0);
    start_host(1);
}

static void stop(void)
{
    for (int i = 0; i < 2; i++) {
        if (h[i]) {
            cxlf_host_stop(h[i]);
        }
        h[i] = NULL;
    }
    qtest_quit(owner);
    g_free(path);
}

/* One command, which must succeed; returns the lines written back. */
static uint32_t command(CxlfRegion *at, uint32_t what, uint64_t dpa,
                        uint64_t length)
{
    QTestState *qts = at->h->qts;

    qtest_writeq(qts, at->h->eca + ECA_COPY_DPA, dpa);
    qtest_writeq(qts, at->h->eca + ECA_COPY_LENGTH, length);
    qtest_writel(qts, at->h->eca + ECA_COPY_GFAM, 0);
    qtest_writel(qts, at->h->eca + ECA_COPY_COMMAND, what);
    g_assert_cmpint(qtest_readl(qts, at->h->eca + ECA_COPY_STATUS), ==,
                    ECA_COPY_DONE);
    return qtest_readl(qts, at->h->eca + ECA_COPY_LINES);
}

static uint32_t mode(CxlfRegion *at)
{
    return qtest_readl(at->h->qts, at->h->eca + ECA_BULK_MODE);
}

static uint64_t load(CxlfRegion *at, uint64_t dpa)
{
    return cxlf_load(at, dpa, 8);
}

static void store(CxlfRegion *at, uint64_t dpa, uint64_t value)
{
    cxlf_store(at, dpa, value, 8);
}

/* The next conflict of a host is this one. */
static void expect_conflict(CxlfRegion *at, const char *kind,
                            const char *operation, int other, uint64_t dpa)
{
    QDict *data = cxlf_wait_event(at->h->qts, CONFLICT);

    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "fabric0");
    g_assert_cmpstr(qdict_get_str(data, "kind"), ==, kind);
    g_assert_cmpstr(qdict_get_str(data, "operation"), ==, operation);
    g_assert_cmpint(qdict_get_int(data, "host"), ==, at->h->number);
    g_assert_cmpint(qdict_get_try_int(data, "other-host", -1), ==, other);
    g_assert_cmpint(qdict_get_int(data, "gfam"), ==, 0);
    g_assert_cmphex(qdict_get_int(data, "dpa"), ==, dpa);
    g_assert_cmpint(qdict_get_int(data, "left-out"), ==, 0);
    qobject_unref(data);
}

static void expect_none(void)
{
    for (int i = 0; i < 2; i++) {
        if (h[i]) {
            g_assert_false(cxlf_has_event(h[i]->qts, CONFLICT));
        }
    }
}

/* Use a stale line, which is told of in time, until it is. */
static void use_stale(CxlfRegion *at, uint64_t dpa, bool write,
                      uint64_t value)
{
    uint64_t before = cxlf_counters(at->h->qts,
                                    at->h->number).n[CXLF_COPY_CONFLICT];
    gint64 deadline = cxlf_deadline();

    do {
        if (write) {
            store(at, dpa, value);
        } else {
            g_assert_cmpuint(load(at, dpa), ==, value);
        }
        cxlf_pause(deadline, "a conflict");
    } while (cxlf_counters(at->h->qts,
                           at->h->number).n[CXLF_COPY_CONFLICT] == before);
}

static void set_mode(QTestState *qts, const char *to)
{
    qtest_qmp_assert_success(qts, "{'execute': 'x-cxl-fabric-set-bulk-mode',"
                             " 'arguments': {'mode': %s}}", to);
}

static void wait_mode(QTestState *qts, const char *to)
{
    QDict *data = cxlf_wait_event(qts, CHANGED), *info;
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(data, "bulk-mode"), e) {
        g_assert_cmpstr(qstring_get_str(qobject_to(
            QString, qlist_entry_obj(e))), ==, to);
    }
    qobject_unref(data);
    info = cxlf_query(qts);
    g_assert_false(qdict_get_bool(info, "bulk-mode-changing"));
    qobject_unref(info);
}

static void change_mode(QTestState *qts, const char *to)
{
    set_mode(qts, to);
    wait_mode(qts, to);
}

/* The tests */

static void test_visible(void)
{
    CxlfCounters before[2], delta;

    start(",hosts=2,bulk-mode=software");
    g_assert_cmpint(mode(A), ==, 1);
    for (int i = 0; i < 2; i++) {
        before[i] = cxlf_counters(h[i]->qts, i);
    }
    store(A, BULK, 1);
    g_assert_cmpint(load(B, BULK), ==, 0);
    g_assert_cmpint(command(A, FLUSH, BULK, 8), ==, 1);
    g_assert_cmpint(load(B, BULK), ==, 0);
    g_assert_cmpint(command(B, INVALIDATE, BULK, 8), ==, 0);
    g_assert_cmpint(load(B, BULK), ==, 1);
    /* The whole page, and both in one. */
    store(B, BULK + 8, 2);
    g_assert_cmpint(command(B, FLUSH | INVALIDATE, BULK, PAGE), ==, 1);
    command(A, INVALIDATE, BULK, PAGE);
    g_assert_cmpint(load(A, BULK), ==, 1);
    g_assert_cmpint(load(A, BULK + 8), ==, 2);
    delta = cxlf_minus(cxlf_counters(h[0]->qts, 0), before[0]);
    g_assert_cmpint(delta.n[CXLF_COPY_IN], ==, 2);
    g_assert_cmpint(delta.n[CXLF_COPY_FLUSHED], ==, 1);
    g_assert_cmpint(delta.n[CXLF_COPY_INVALIDATED], ==, 1);
    g_assert_cmpint(delta.n[CXLF_PAGE_MAPPED], ==, 0);
    delta = cxlf_minus(cxlf_counters(h[1]->qts, 1), before[1]);
    g_assert_cmpint(delta.n[CXLF_COPY_IN], ==, 1);
    g_assert_cmpint(delta.n[CXLF_COPY_INVALIDATED], ==, 2);
    /* HOT is coherent as ever. */
    store(A, 0, 5);
    g_assert_cmpint(load(B, 0), ==, 5);
    stop();
}

static void test_conflicts(void)
{
    start(",hosts=2,bulk-mode=software,leaves=2");
    /* Both increment. */
    store(A, BULK + 64, load(A, BULK + 64) + 1);
    store(B, BULK + 64, load(B, BULK + 64) + 1);
    command(A, FLUSH, BULK, PAGE);
    command(B, FLUSH, BULK, PAGE);
    expect_conflict(B, "write-write", "flush", 0, BULK + 64);
    command(A, INVALIDATE, BULK, PAGE);
    g_assert_cmpint(load(A, BULK + 64), ==, 1);
    /* An invalidate is missing. */
    store(B, BULK + 128, 7);
    command(B, FLUSH, BULK, PAGE);
    expect_none();
    use_stale(A, BULK + 128, false, 0);
    expect_conflict(A, "stale", "load", 1, BULK + 128);
    store(A, BULK + 3 * PAGE + 64, 1);
    store(B, BULK + 3 * PAGE, 2);
    command(B, FLUSH, BULK + 3 * PAGE, 1);
    use_stale(A, BULK + 3 * PAGE + 8, true, 1);
    expect_conflict(A, "stale", "store", 1, BULK + 3 * PAGE);
    command(A, FLUSH, BULK + 3 * PAGE, 1);
    expect_conflict(A, "write-write", "flush", 1, BULK + 3 * PAGE);
    /* A flush is missing. */
    store(A, BULK + 8 * PAGE, 1);
    command(A, INVALIDATE, BULK + 8 * PAGE, PAGE);
    expect_conflict(A, "lost", "invalidate", -1, BULK + 8 * PAGE);
    store(A, BULK + 8 * PAGE, 1);
    g_assert_cmpint(load(B, BULK + 8 * PAGE), ==, 0);
    expect_conflict(A, "unflushed", "store", 1, BULK + 8 * PAGE);
    expect_none();
    g_assert_cmpint(cxlf_counters(owner, 0).n[CXLF_COPY_CONFLICT], ==, 5);
    g_assert_cmpint(cxlf_counters(owner, 1).n[CXLF_COPY_CONFLICT], ==, 1);
    stop();
}

/* Too many are counted, and not all are reported. */
static void test_flood(void)
{
    int64_t told = 0;
    QDict *data;

    start(",hosts=2,bulk-mode=software");
    for (int i = 0; i < 300; i++) {
        store(A, BULK + i * 64, 1);
        command(A, INVALIDATE, BULK + i * 64, 64);
    }
    g_assert_cmpint(cxlf_counters(owner, 0).n[CXLF_COPY_CONFLICT], ==, 300);
    g_usleep(200000);
    store(A, BULK, 1);
    command(A, INVALIDATE, BULK, 64);
    while (told < 301) {
        data = cxlf_wait_event(h[0]->qts, CONFLICT);
        told += 1 + qdict_get_int(data, "left-out");
        qobject_unref(data);
    }
    g_assert_cmpint(told, ==, 301);
    expect_none();
    stop();
}

static uint32_t status(CxlfRegion *at, uint32_t gfam, uint64_t dpa,
                       uint64_t length, uint32_t what)
{
    QTestState *qts = at->h->qts;
    uint64_t eca = at->h->eca;

    /* In halves, and command and device at once. */
    qtest_writel(qts, eca + ECA_COPY_DPA, dpa);
    qtest_writel(qts, eca + ECA_COPY_DPA + 4, dpa >> 32);
    qtest_writel(qts, eca + ECA_COPY_LENGTH + 4, length >> 32);
    qtest_writel(qts, eca + ECA_COPY_LENGTH, length);
    qtest_writeq(qts, eca + ECA_COPY_GFAM, gfam | (uint64_t)what << 32);
    g_assert_cmphex(qtest_readq(qts, eca + ECA_COPY_DPA), ==, dpa);
    g_assert_cmphex(qtest_readq(qts, eca + ECA_COPY_LENGTH), ==, length);
    g_assert_cmphex(qtest_readl(qts, eca + ECA_COPY_GFAM), ==, gfam);
    g_assert_cmphex(qtest_readl(qts, eca + ECA_COPY_COMMAND), ==, what);
    return qtest_readl(qts, eca + ECA_COPY_STATUS);
}

static void test_registers(void)
{
    const uint64_t end = 2 * BULK;

    start(",hosts=2,bulk-mode=software");
    g_assert_cmphex(qtest_readl(h[0]->qts, h[0]->eca + ECA_COPY_LONGEST), ==,
                    2 * MIB);
    for (uint32_t what = 0; what < ECA_PAGES_END; what++) {
        bool pages = what >= ECA_PAGES_SHARED && what < ECA_PAGES_END;

        g_assert_cmpint(status(A, 0, BULK, 64, what), ==,
                        what >= 1 && what <= 3 ? ECA_COPY_DONE :
                        pages ? ECA_COPY_OFF : ECA_COPY_UNKNOWN);
    }
    g_assert_cmpint(status(A, 0, BULK, 64, 100), ==, ECA_COPY_UNKNOWN);
    g_assert_cmpint(status(A, 0, BULK, 64, 1u << 31), ==, ECA_COPY_UNKNOWN);
    g_assert_cmpint(status(A, 1, BULK, 64, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, ~0u, BULK, 64, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, BULK, 0, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, BULK - 1, 64, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, 0, 64, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, end, 1, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, end - 1, 2, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, end - 1, 1, 3), ==, ECA_COPY_DONE);
    g_assert_cmpint(status(A, 0, BULK, ~0ull, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, ~0ull, 2, 1), ==, ECA_COPY_RANGE);
    g_assert_cmpint(status(A, 0, BULK, 2 * MIB + 1, 2), ==,
                    ECA_COPY_TOO_LONG);
    store(A, BULK, 1);
    store(A, BULK + 2 * MIB - 8, 1);
    store(A, BULK + 2 * MIB, 1);
    g_assert_cmpint(command(A, FLUSH, BULK, 2 * MIB), ==, 2);
    g_assert_cmpint(command(A, FLUSH, BULK + 2 * MIB - 1, 2), ==, 1);
    stop();
}

static void test_mode(void)
{
    start(",hosts=2,bulk-mode=software");
    for (int turn = 0; turn < 3; turn++) {
        uint64_t base = BULK + turn * 64 * PAGE;

        for (int i = 0; i < 64; i++) {
            store(A, base + i * PAGE, i + 1);
            store(B, base + i * PAGE + 64, i + 2);
            g_assert_cmpint(load(B, base + i * PAGE), ==, 0);
        }
        change_mode(owner, "coherent");
        g_assert_cmpint(mode(A), ==, 0);
        for (int i = 0; i < 64; i++) {
            g_assert_cmpint(load(B, base + i * PAGE), ==, i + 1);
            g_assert_cmpint(load(A, base + i * PAGE + 64), ==, i + 2);
        }
        store(A, base, 77);
        g_assert_cmpint(load(B, base), ==, 77);
        store(B, base, 78);
        g_assert_cmpint(load(A, base), ==, 78);
        g_assert_cmpint(command(A, FLUSH | INVALIDATE, base, PAGE), ==, 0);
        change_mode(owner, "software");
        g_assert_cmpint(mode(B), ==, 1);
        store(A, base, 79);
        g_assert_cmpint(load(B, base), ==, 78);
        g_assert_cmpint(load(A, base), ==, 79);
    }
    expect_none();
    /* What is so already is in force at once. */
    change_mode(owner, "software");
    stop();
}

/* False sharing is reported when the copies are written back, too. */
static void test_mode_conflict(void)
{
    start(",hosts=2,bulk-mode=software");
    store(A, BULK, 1);
    store(B, BULK + 8, 1);
    command(A, FLUSH, BULK, 8);
    change_mode(owner, "coherent");
    expect_conflict(B, "write-write", "flush", 0, BULK);
    stop();
}

/* A host that is slow is waited for, one that is dead is not. */
static void test_mode_slow(void)
{
    start(",hosts=2");
    for (int death = 0; death < 2; death++) {
        pid_t pid = qtest_pid(h[1]->qts);
        gint64 until;
        QDict *info;

        change_mode(owner, "software");
        store(A, BULK, death + 1);
        store(B, BULK + 64, death + 1);
        cxlf_freeze(pid);
        set_mode(owner, "coherent");
        until = g_get_monotonic_time() + 300000;
        while (g_get_monotonic_time() < until) {
            g_assert_false(cxlf_has_event(owner, CHANGED));
        }
        info = cxlf_query(owner);
        g_assert_true(qdict_get_bool(info, "bulk-mode-changing"));
        qobject_unref(info);
        info = qtest_qmp(owner, "{'execute': 'x-cxl-fabric-set-bulk-mode',"
                         " 'arguments': {'mode': 'software'}}");
        g_assert_nonnull(strstr(qdict_get_str(
            qdict_get_qdict(info, "error"), "desc"), "is under way"));
        qobject_unref(info);
        kill(pid, death ? SIGKILL : SIGCONT);
        wait_mode(owner, "coherent");
        g_assert_cmpint(load(A, BULK), ==, death + 1);
        /* What the dead had not flushed is lost, as with a cache. */
        g_assert_cmpint(load(A, BULK + 64), ==, 1);
    }
    cxlf_host_forget(h[1]);
    cxlf_wait_host_state(owner, 1, "free");
    start_host(1);
    g_assert_cmpint(load(B, BULK), ==, 2);
    stop();
}

static void test_death(void)
{
    start(",hosts=2,bulk-mode=software");
    store(B, BULK, 1);
    command(B, FLUSH, BULK, 8);
    store(B, BULK, 2);
    store(B, BULK + PAGE, 3);
    kill(qtest_pid(h[1]->qts), SIGKILL);
    qobject_unref(cxlf_wait_event(owner, DEAD));
    cxlf_host_forget(h[1]);
    g_assert_cmpint(load(A, BULK), ==, 1);
    g_assert_cmpint(load(A, BULK + PAGE), ==, 0);
    start_host(1);
    g_assert_cmpint(load(B, BULK), ==, 1);
    store(B, BULK, 4);
    /* It quits, which is a loss of power as well. */
    cxlf_host_stop(h[1]);
    cxlf_wait_host_state(owner, 1, "free");
    start_host(1);
    g_assert_cmpint(load(B, BULK), ==, 1);
    stop();
}

static void test_reset(void)
{
    start(",hosts=2,bulk-mode=software");
    store(A, BULK, 1);
    store(A, BULK + PAGE, 1);
    command(A, FLUSH, BULK, 8);
    store(A, BULK, 2);
    qtest_writeq(h[0]->qts, h[0]->eca + ECA_COPY_DPA, 1);
    qtest_system_reset(h[0]->qts);
    cxlf_host_program(h[0]);
    g_assert_cmpint(qtest_readq(h[0]->qts, h[0]->eca + ECA_COPY_DPA), ==, 0);
    cxlf_commit(A);
    g_assert_cmpint(load(A, BULK), ==, 1);
    g_assert_cmpint(load(A, BULK + PAGE), ==, 0);
    expect_none();
    stop();
}

/* Nothing of the owner's main loop is needed: it may wait itself. */
static void kill_later(const char *ignored, const void *data)
{
    g_usleep(500000);
    kill(*(const pid_t *)data, SIGKILL);
}

static void test_owner_waits(void)
{
    g_autofree char *fabric = NULL;
    pid_t pid, child;

    path = cxlf_socket_path();
    fabric = g_strdup_printf("-object cxl-fabric,id=fabric0,listen=on,"
                             "socket=%s,hosts=2,bulk-mode=software", path);
    h[0] = cxlf_host_start_fabric(fabric, 1, "", "");
    r[0] = cxlf_whole_region(h[0], 0);
    start_host(1);
    store(A, BULK, 1);
    store(B, BULK + 64, 1);
    pid = qtest_pid(h[1]->qts);
    cxlf_freeze(pid);
    set_mode(h[0]->qts, "coherent");
    child = peer_fork(path, kill_later, &pid);
    /* This access waits until the change is in force. */
    store(A, BULK + PAGE, 2);
    peer_wait(child);
    wait_mode(h[0]->qts, "coherent");
    g_assert_cmpint(load(A, BULK), ==, 1);
    g_assert_cmpint(load(A, BULK + PAGE), ==, 2);
    cxlf_host_forget(h[1]);
    cxlf_host_stop(h[0]);
    h[0] = h[1] = NULL;
    g_free(path);
}

/* Random accesses while the mode changes: stores of one host stay its own. */
static void test_mode_random(void)
{
    static uint64_t value[2][1024];
    const char *modes[] = { "software", "coherent" };
    unsigned changes = 0;

    memset(value, 0, sizeof(value));
    start(",hosts=2,leaves=2");
    set_mode(owner, "software");
    for (unsigned n = 0; n < 8000; n++) {
        int who = g_test_rand_int_range(0, 2);
        int line = g_test_rand_int_range(0, 1024);
        uint64_t dpa = BULK + line * 128 + who * 64;

        g_assert_cmpint(load(&r[who], dpa), ==, value[who][line]);
        store(&r[who], dpa, ++value[who][line]);
        if (n % 20 == 0 && cxlf_has_event(owner, CHANGED)) {
            set_mode(owner, modes[++changes % 2]);
        }
    }
    g_test_message("%u changes", changes);
    g_assert_cmpint(changes, >, 5);
    qobject_unref(cxlf_wait_event(owner, CHANGED));
    change_mode(owner, "coherent");
    for (int line = 0; line < 1024; line++) {
        for (int who = 0; who < 2; who++) {
            g_assert_cmpint(load(&r[!who], BULK + line * 128 + who * 64), ==,
                            value[who][line]);
        }
    }
    expect_none();
    stop();
}

/* Hosts that cannot make copies, and commands that are for others. */
static void test_refused(void)
{
    QDict *response;
    g_autofree char *args = NULL;

    start(",hosts=2,gfams=2");
    response = qtest_qmp(h[0]->qts, "{'execute':"
                         " 'x-cxl-fabric-set-bulk-mode',"
                         " 'arguments': {'mode': 'software'}}");
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(response, "error"),
                                          "desc"), "owns no CXL fabric"));
    qobject_unref(response);
    response = qtest_qmp(owner, "{'execute': 'x-cxl-fabric-set-bulk-mode',"
                         " 'arguments': {'mode': 'software', 'gfam': 2}}");
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(response, "error"),
                                          "desc"), "must be 0 to 1"));
    qobject_unref(response);
    /* One device alone. */
    qtest_qmp_assert_success(owner, "{'execute':"
                             " 'x-cxl-fabric-set-bulk-mode', 'arguments':"
                             " {'mode': 'software', 'gfam': 1}}");
    qobject_unref(cxlf_wait_event(owner, CHANGED));
    g_assert_cmpint(mode(A), ==, 2);
    store(A, BULK, 1);
    g_assert_cmpint(load(B, BULK), ==, 1);
    cxlf_host_stop(h[1]);
    h[1] = NULL;
    args = g_strdup_printf("-M q35,cxl=on -object cxl-fabric,id=f,socket=%s "
                           "-device dpu-eca,fabric=f,ownership=off", path);
    cxlf_start_error(args, "needs ownership=on");
    stop();
}

/* The owner goes while there are copies. */
static void test_lost(void)
{
    start(",hosts=2,bulk-mode=software");
    store(A, BULK, 1);
    kill(qtest_pid(owner), SIGKILL);
    for (int i = 0; i < 2; i++) {
        qobject_unref(cxlf_wait_event(h[i]->qts, "X_CXL_FABRIC_LOST"));
        g_assert_cmphex(load(&r[i], BULK), ==, ~0ull);
        g_assert_cmphex(load(&r[i], BULK + PAGE), ==, ~0ull);
        g_assert_cmpint(status(&r[i], 0, BULK, 64, 1), ==, ECA_COPY_LOST);
        cxlf_host_stop(h[i]);
        h[i] = NULL;
    }
    cxlf_forget(owner);
    unlink(path);
    g_free(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/software/visible", test_visible);
    qtest_add_func("/cxlf/software/conflicts", test_conflicts);
    qtest_add_func("/cxlf/software/flood", test_flood);
    qtest_add_func("/cxlf/software/registers", test_registers);
    qtest_add_func("/cxlf/software/mode", test_mode);
    qtest_add_func("/cxlf/software/mode-conflict", test_mode_conflict);
    qtest_add_func("/cxlf/software/mode-slow", test_mode_slow);
    qtest_add_func("/cxlf/software/mode-random", test_mode_random);
    qtest_add_func("/cxlf/software/death", test_death);
    qtest_add_func("/cxlf/software/reset", test_reset);
    qtest_add_func("/cxlf/software/owner-waits", test_owner_waits);
    qtest_add_func("/cxlf/software/refused", test_refused);
    qtest_add_func("/cxlf/software/lost", test_lost);
    return g_test_run();
}
