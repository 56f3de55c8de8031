/*
 * QTest of ownership logs: they have what hosts have mapped, and outlive them
 *
 * Accesses of qtest wait for the page, and it is in the log before it is
 * mapped, so what the query says after one is exact.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "cxlf-eca.h"
#include "cxlf-peer.h"

#define BULK        CLASS_SIZE      /* DPA where BULK begins */
#define DEAD        "X_CXL_FABRIC_HOST_DEAD"
#define HOT         (16 * CXLF_PAGE)    /* used by one host alone */

/* Registers of dpu-eca: docs/specs/dpu-eca.rst. */
#define DPA         0x200
#define LENGTH      0x208
#define GFAM        0x210
#define STATUS      0x218
enum { OWNED = 17, RELEASE, DONE = 0, BUSY = 5 };

static QDict *query(QTestState *qts, int host)
{
    QDict *response = qtest_qmp(qts, "{'execute': 'x-query-cxl-fabric-log', "
                                "'arguments': {'host': %d}}", host);
    QDict *log = qdict_get_qdict(response, "return");

    g_assert_nonnull(log);
    qobject_ref(log);
    qobject_unref(response);
    return log;
}

/* "0x10000000+0x1000 owned" for each range of BULK and HOT, in order. */
static char *ranges_of(QDict *log)
{
    GString *text = g_string_new("");
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(log, "ranges"), e) {
        QDict *r = qobject_to(QDict, qlist_entry_obj(e));

        g_string_append_printf(text, "%s0x%" PRIx64 "+0x%" PRIx64 " %s",
                               text->len ? ", " : "",
                               (uint64_t)qdict_get_int(r, "dpa"),
                               (uint64_t)qdict_get_int(r, "length"),
                               qdict_get_str(r, "held"));
    }
    return g_string_free(text, FALSE);
}

/* The log of @host has these ranges, and all agrees. */
static void expect_at(QTestState *qts, int host, int pages, const char *ranges)
{
    QDict *log = query(qts, host);
    g_autofree char *have = ranges_of(log);

    g_assert_cmpstr(have, ==, ranges);
    g_assert_cmpint(qdict_get_int(log, "pages"), ==, pages);
    g_assert_cmpint(qdict_get_int(log, "bad"), ==, 0);
    g_assert_cmpint(qdict_get_int(log, "unlogged"), ==, 0);
    g_assert_cmpint(qdict_get_int(log, "unheld"), ==, 0);
    g_assert_true(qlist_empty(qdict_get_qlist(log, "mismatches")));
    qobject_unref(log);
}

static void expect(CxlfFabric *f, int host, int pages, const char *ranges)
{
    expect_at(f->owner, host, pages, ranges);
}

static void query_error(QTestState *qts, const char *arguments,
                        const char *text)
{
    g_autofree char *json = g_strdup_printf(
        "{'execute': 'x-query-cxl-fabric-log', 'arguments': {%s}}",
        arguments);
    QDict *response = qtest_qmp(qts, json, NULL);
    QDict *error = qdict_get_qdict(response, "error");

    g_assert_nonnull(error);
    if (!strstr(qdict_get_str(error, "desc"), text)) {
        g_error("'%s', not '%s'", qdict_get_str(error, "desc"), text);
    }
    qobject_unref(response);
}

static uint32_t command(CxlfHost *h, uint32_t what, uint64_t dpa,
                        uint64_t length)
{
    gint64 deadline = cxlf_deadline();
    uint32_t status;

    qtest_writeq(h->qts, h->eca + DPA, dpa);
    qtest_writeq(h->qts, h->eca + LENGTH, length);
    qtest_writeq(h->qts, h->eca + GFAM, (uint64_t)what << 32);
    while ((status = qtest_readl(h->qts, h->eca + STATUS)) == BUSY) {
        cxlf_pause(deadline, "a command");
    }
    return status;
}

static void reset(CxlfFabric *f, int host)
{
    qtest_system_reset(f->h[host]->qts);
}

/* Pages come and go. */

static void test_pages(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");

    expect(f, 0, 0, "");
    cxlf_store(&f->r[0], BULK, 1, 8);
    cxlf_store(&f->r[0], BULK + 5 * CXLF_PAGE, 1, 8);
    cxlf_store(&f->r[0], BULK + 4 * CXLF_PAGE, 1, 8);
    expect(f, 0, 3, "0x10000000+0x1000 owned, 0x10004000+0x2000 owned");
    expect(f, 1, 0, "");

    /* Shared by both; then the other's alone. */
    cxlf_load(&f->r[1], BULK + 5 * CXLF_PAGE, 8);
    expect(f, 0, 3, "0x10000000+0x1000 owned, 0x10004000+0x1000 owned, "
           "0x10005000+0x1000 shared");
    expect(f, 1, 1, "0x10005000+0x1000 shared");
    cxlf_store(&f->r[1], BULK + 5 * CXLF_PAGE, 2, 8);
    expect(f, 0, 2, "0x10000000+0x1000 owned, 0x10004000+0x1000 owned");
    expect(f, 1, 1, "0x10005000+0x1000 owned");
    /* A host can ask for its own. */
    expect_at(f->h[1]->qts, 1, 1, "0x10005000+0x1000 owned");

    /* A block, and its release, but for some pages in the middle. */
    g_assert_cmpuint(command(f->h[0], OWNED, BULK + 2 * MIB, 2 * MIB), ==,
                     DONE);
    expect(f, 0, 514, "0x10000000+0x1000 owned, 0x10004000+0x1000 owned, "
           "0x10200000+0x200000 owned");
    g_assert_cmpuint(command(f->h[0], RELEASE, BULK + 2 * MIB, MIB), ==,
                     DONE);
    g_assert_cmpuint(command(f->h[0], RELEASE, BULK, 8 * CXLF_PAGE), ==,
                     DONE);
    expect(f, 0, 256, "0x10300000+0x100000 owned");

    reset(f, 0);
    expect(f, 0, 0, "");
    cxlf_host_stop(f->h[1]);
    f->h[1] = NULL;
    cxlf_wait_host_state(f->owner, 1, "free");
    query_error(f->owner, "'host': 1", "or who did has left");
    cxlf_fabric_stop(f);
}

/* Some of HOT is mapped, once one host has used it alone for long. */
static void test_hot(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "",
                                      " -global dpu-eca.hot-map-after=4");
    gint64 deadline = cxlf_deadline();
    bool mapped = false;

    while (!mapped) {
        QDict *log;

        cxlf_store(&f->r[0], HOT, 1, 8);
        log = query(f->owner, 0);
        mapped = qdict_get_int(log, "pages") == 1;
        qobject_unref(log);
        cxlf_pause(deadline, "a page of HOT");
    }
    expect(f, 0, 1, "0x10000+0x1000 owned");
    cxlf_store(&f->r[1], HOT + 8, 2, 8);
    expect(f, 0, 0, "");
    cxlf_fabric_stop(f);
}

/* In software mode no page is held. */
static void test_mode(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, "", "");

    cxlf_store(&f->r[0], BULK, 1, 8);
    expect(f, 0, 1, "0x10000000+0x1000 owned");
    cxlf_set_bulk_mode(f, "software");
    expect(f, 0, 0, "");
    cxlf_store(&f->r[0], BULK, 2, 8);
    expect(f, 0, 0, "");
    cxlf_set_bulk_mode(f, "coherent");
    cxlf_store(&f->r[0], BULK, 3, 8);
    expect(f, 0, 1, "0x10000000+0x1000 owned");
    cxlf_fabric_stop(f);
}

static void test_embedded(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    CxlfRegion r = cxlf_whole_region(h, 0);

    cxlf_store(&r, BULK + CXLF_PAGE, 1, 8);
    expect_at(h->qts, 0, 1, "0x10001000+0x1000 owned");
    qtest_system_reset(h->qts);
    expect_at(h->qts, 0, 0, "");
    cxlf_host_stop(h);
}

/* Hosts that die */

static void kill_host(CxlfFabric *f, int host)
{
    QDict *data;

    g_assert_cmpint(kill(qtest_pid(f->h[host]->qts), SIGKILL), ==, 0);
    data = cxlf_wait_event(f->owner, DEAD);
    g_assert_cmpint(qdict_get_int(data, "host"), ==, host);
    qobject_unref(data);
    cxlf_host_forget(f->h[host]);
    f->h[host] = NULL;
}

static void test_dead(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    const char *had = "0x10000000+0x1000 shared, 0x10001000+0x2000 owned";
    QDict *log;

    for (int i = 2; i >= 0; i--) {
        cxlf_store(&f->r[1], BULK + i * CXLF_PAGE, 1, 8);
    }
    cxlf_load(&f->r[0], BULK, 8);
    expect(f, 1, 3, had);
    kill_host(f, 1);
    expect(f, 1, 3, had);
    /* Others take what it had; its log is what it was. */
    cxlf_store(&f->r[0], BULK + CXLF_PAGE, 2, 8);
    expect(f, 1, 3, had);
    expect(f, 0, 2, "0x10000000+0x1000 shared, 0x10001000+0x1000 owned");
    log = query(f->owner, 1);
    g_assert_cmpstr(qdict_get_str(log, "state"), ==, "free");
    g_assert_cmpint(qdict_get_int(log, "incarnation"), ==, 1);
    qobject_unref(log);
    /* Until another one has its number. */
    cxlf_fabric_host(f, 1, "");
    expect(f, 1, 0, "");
    log = query(f->owner, 1);
    g_assert_cmpint(qdict_get_int(log, "incarnation"), ==, 2);
    qobject_unref(log);
    cxlf_fabric_stop(f);
}

/* Logs that somebody has spoilt */

/* The first slot with something in it. */
static off_t used_slot(int fd)
{
    struct cxlf_log_header h;
    uint64_t word = 0;
    off_t at = CXLF_PAGE;

    g_assert_cmpint(pread(fd, &h, sizeof(h), 0), ==, sizeof(h));
    for (uint64_t i = 0; i < h.slots && (!word || word == UINT64_MAX); i++) {
        at = CXLF_PAGE + i * 8;
        g_assert_cmpint(pread(fd, &word, 8, at), ==, 8);
    }
    g_assert_true(word);
    return at;
}

static void expect_counts(CxlfFabric *f, int host, int pages, int bad,
                          int unlogged, int unheld)
{
    QDict *log = query(f->owner, host);

    g_assert_cmpint(qdict_get_int(log, "pages"), ==, pages);
    g_assert_cmpint(qdict_get_int(log, "bad"), ==, bad);
    g_assert_cmpint(qdict_get_int(log, "unlogged"), ==, unlogged);
    g_assert_cmpint(qdict_get_int(log, "unheld"), ==, unheld);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(log, "mismatches")), ==,
                     unlogged + unheld);
    qobject_unref(log);
}

static void put(int fd, off_t at, uint64_t word)
{
    g_assert_cmpint(pwrite(fd, &word, 8, at), ==, 8);
}

static void test_spoilt(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    struct cxlf_log_header header, none = { 0 };
    uint64_t word, zero = 0;
    int fd = cxlf_open_memfd(f->h[1]->qts, "cxlf-log");
    QDict *log;
    off_t at;

    cxlf_store(&f->r[1], BULK, 1, 8);
    at = used_slot(fd);
    g_assert_cmpint(pread(fd, &word, 8, at), ==, 8);
    /* A bit changed; the same word at another place; a page left out. */
    put(fd, at, word ^ 1ull << 20);
    expect_counts(f, 1, 0, 1, 1, 0);
    put(fd, at, word);
    put(fd, at + 8, word);
    expect_counts(f, 1, 1, 1, 0, 0);
    put(fd, at + 8, 0);
    put(fd, at, 0);
    expect_counts(f, 1, 0, 0, 1, 0);
    /* Kept when it should have been removed. */
    cxlf_store(&f->r[0], BULK, 2, 8);
    expect_counts(f, 1, 0, 0, 0, 0);
    put(fd, at, word);
    expect_counts(f, 1, 1, 0, 0, 1);

    /* The header is not read again, and its size is for good. */
    g_assert_cmpint(pread(fd, &header, sizeof(header), 0), ==,
                    sizeof(header));
    g_assert_cmpint(pwrite(fd, &none, sizeof(none), 0), ==, sizeof(none));
    expect_counts(f, 1, 1, 0, 0, 1);
    g_assert_cmpint(ftruncate(fd, 0), <, 0);
    g_assert_cmpint(pread(fd, &zero, 8, 0), ==, 8);

    /* Everywhere. */
    for (uint64_t i = 0; i < header.slots; i++) {
        put(fd, CXLF_PAGE + i * 8, 0x5555555555555555ull);
    }
    log = query(f->owner, 1);
    g_assert_cmpint(qdict_get_int(log, "bad"), ==, header.slots);
    g_assert_cmpint(qdict_get_int(log, "pages"), ==, 0);
    qobject_unref(log);
    kill_host(f, 1);
    log = query(f->owner, 1);
    g_assert_cmpint(qdict_get_int(log, "bad"), ==, header.slots);
    qobject_unref(log);
    /* Nobody else is any the worse for it. */
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 2);
    cxlf_fabric_host(f, 1, "");
    expect(f, 1, 0, "");
    /* Who had the number before writes into a log of nobody's. */
    put(fd, at, word);
    expect(f, 1, 0, "");
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK, 8), ==, 2);
    close(fd);
    cxlf_fabric_stop(f);
}

/* What a dead host's log lacks is counted, and lost for nobody. */
static void test_dead_spoilt(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    int fd = cxlf_open_memfd(f->h[1]->qts, "cxlf-log");
    QDict *log;

    for (int i = 0; i < 3; i++) {
        cxlf_store(&f->r[1], BULK + 7 * i * CXLF_PAGE, 5 + i, 8);
    }
    put(fd, used_slot(fd), 0);
    kill_host(f, 1);
    close(fd);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpuint(cxlf_load(&f->r[0], BULK + 7 * i * CXLF_PAGE, 8),
                         ==, 5 + i);
    }
    log = query(f->owner, 1);
    g_assert_cmpint(qdict_get_int(log, "pages"), ==, 2);
    g_assert_cmpint(qdict_get_int(log, "unlogged"), ==, 1);
    qobject_unref(log);
    cxlf_fabric_stop(f);
}

/* A log that is smaller than what the host uses */

#define MANY    300             /* pages */
#define SLOTS   64

static void expect_full(CxlfFabric *f, int host)
{
    QDict *log = query(f->owner, host);

    g_assert_cmpint(qdict_get_int(log, "slots"), ==, SLOTS);
    g_assert_cmpint(qdict_get_int(log, "pages"), <=, SLOTS / 4 * 3);
    g_assert_cmpint(qdict_get_int(log, "pages"), >=, SLOTS / 2);
    g_assert_cmpint(qdict_get_int(log, "bad"), ==, 0);
    g_assert_cmpint(qdict_get_int(log, "unheld"), ==, 0);
    qobject_unref(log);
}

static void test_full(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",log-slots=64", "");

    /* Scattered, in a row by blocks, and a command for more than fits. */
    for (int i = 0; i < MANY; i++) {
        cxlf_store(&f->r[0], BULK + i * 7 % MANY * 8 * CXLF_PAGE, i, 8);
    }
    expect_full(f, 0);
    for (int i = 0; i < MANY; i++) {
        g_assert_cmpuint(cxlf_load(&f->r[0], BULK + i * 7 % MANY * 8 *
                                   CXLF_PAGE, 8), ==, i);
    }
    for (int i = 0; i < 4 * MANY; i++) {
        cxlf_store(&f->r[0], BULK + i * CXLF_PAGE + 16, i, 8);
    }
    expect_full(f, 0);
    command(f->h[0], OWNED, BULK, 2 * MIB);
    expect_full(f, 0);
    for (int i = 0; i < 4 * MANY; i++) {
        g_assert_cmpuint(cxlf_load(&f->r[1], BULK + i * CXLF_PAGE + 16, 8),
                         ==, i);
    }
    expect_full(f, 1);
    g_assert_cmpuint(cxlf_counters(f->owner, -1).n[CXLF_REFUSAL], ==, 0);
    kill_host(f, 0);
    for (int i = 0; i < MANY; i++) {
        cxlf_load(&f->r[1], BULK + i * 8 * CXLF_PAGE, 8);
    }
    cxlf_fabric_stop(f);
}

/* Questions that have no answer */

static void test_errors(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    g_autofree char *join = g_strdup_printf("'socket': '%s', "
                                            "'log-slots': 64", f->path);
    g_autofree char *path = cxlf_socket_path();
    QDict *response, *log;
    QTestState *owner;

    query_error(f->owner, "'host': 2", "'host' must be 0 to 1");
    query_error(f->owner, "'host': 0, 'id': 'other'",
                "this process has no fabric other");
    query_error(f->owner, "'host': 0, 'limit': 65537",
                "'limit' must be 0 to 65536");
    query_error(f->h[1]->qts, "'host': 0", "'host' must be 1");
    cxlf_add_error(f->owner, "'log-slots': 63",
                   "'log-slots' must be a power of two from 64");
    cxlf_add_error(f->owner, "'log-slots': 32",
                   "'log-slots' must be a power of two from 64");
    cxlf_add_error(f->owner, join, "'log-slots' is the owner's to set");

    /* A limit leaves ranges out, and says so. */
    for (int i = 0; i < 5; i++) {
        cxlf_store(&f->r[0], BULK + 3 * i * CXLF_PAGE, 1, 8);
    }
    response = qtest_qmp(f->owner, "{'execute': 'x-query-cxl-fabric-log', "
                         "'arguments': {'host': 0, 'limit': 2}}");
    log = qdict_get_qdict(response, "return");
    g_assert_cmpuint(qlist_size(qdict_get_qlist(log, "ranges")), ==, 2);
    g_assert_cmpint(qdict_get_int(log, "ranges-left-out"), ==, 3);
    g_assert_cmpint(qdict_get_int(log, "pages"), ==, 5);
    qobject_unref(response);
    cxlf_fabric_stop(f);

    owner = cxlf_owner_start(path, ",hosts=2");
    query_error(owner, "'host': 1", "nobody has joined as host 1");
    qtest_quit(owner);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/log/pages", test_pages);
    qtest_add_func("/cxlf/log/hot", test_hot);
    qtest_add_func("/cxlf/log/mode", test_mode);
    qtest_add_func("/cxlf/log/embedded", test_embedded);
    qtest_add_func("/cxlf/log/dead", test_dead);
    qtest_add_func("/cxlf/log/spoilt", test_spoilt);
    qtest_add_func("/cxlf/log/dead-spoilt", test_dead_spoilt);
    qtest_add_func("/cxlf/log/full", test_full);
    qtest_add_func("/cxlf/log/errors", test_errors);
    return g_test_run();
}
