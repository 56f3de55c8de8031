/*
 * QTest of logical devices: endpoints that show one, and come and go
 *
 * Device 0 is shared out to four LDs of 512 MiB, whose classes are HOT, both,
 * BULK and BULK; host 0 has the first two, host 1 the third.  Device 1 is not.
 * Offsets of the agent are those of docs/specs/dpu-eca.rst.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "cxlf-eca.h"
#include "cxlf/topology-fdt.h"

#define LD_SIZE     (512 * MIB)
#define HOT         (768 * MIB)
#define START(ld)   ((ld) * LD_SIZE)
#define IN_BULK     (300 * MIB)     /* of LD 1, by its own DPA */

/* Registers and numbers of dpu-eca */
#define FLAGS       0x114
#define DPA         0x200
#define LENGTH      0x208
#define GFAM        0x210
#define STATUS      0x218
#define PIECE       0x1800
enum {
    FLUSH = 1, SHARED = 16, OWNED, DEMOTE = 20, PREFETCH, RESERVE, UNRESERVE,
};
enum { DONE, RANGE = 2, BUSY = 5 };

static char *socket_path;
static QTestState *owner;

static void start_owner(const char *more)
{
    static struct cxlf_graph graph;
    struct cxlf_topology t = {
        .hosts = 3, .leaves = 1, .shards = 1, .gfams = 2,
        .gfam = {
            { .hot = HOT, .bulk = 4 * LD_SIZE - HOT },
            { .hot = CLASS_SIZE, .bulk = CLASS_SIZE },
        },
        .tiers = true,
    };
    g_autofree char *file = g_strdup_printf("%s/cxlf-ld-%d.dtb",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *options = g_strdup_printf(",topology=%s%s", file, more);
    char blob[4096];
    size_t size;

    cxlf_graph_default(&t, 0, &graph);
    graph.lds[0] = 4;
    graph.bound[0][0] = graph.bound[0][1] = 0;
    graph.bound[0][2] = 1;
    size = cxlf_graph_write(&t, &graph, blob, sizeof(blob));
    g_assert_cmpuint(size, >, 0);
    g_assert_true(g_file_set_contents(file, blob, size, NULL));
    socket_path = cxlf_socket_path();
    owner = cxlf_owner_start(socket_path, options);
    unlink(file);
}

static void stop_owner(void)
{
    qtest_quit(owner);
    g_clear_pointer(&socket_path, g_free);
}

static CxlfHost *start_host(const char *more)
{
    return cxlf_host_start(socket_path, 0, "", more);
}

/* All of an LD behind @port: a window's piece of its own for each port. */
static CxlfRegion region(CxlfHost *h, int port, uint64_t size)
{
    CxlfRegion r = {
        .h = h, .gfam = port, .port = port,
        .base = h->window + port * LD_SIZE, .size = size,
    };

    cxlf_commit(&r);
    return r;
}

static CxlfRegion plug(CxlfHost *h, int port, int ld)
{
    cxlf_plug(h, port, 0, ld);
    return region(h, port, LD_SIZE);
}

/* As its guest's kernel would, first its decoders. */
static void unplug(CxlfRegion *r)
{
    cxlf_uncommit(r);
    cxlf_unplug(r->h, r->gfam);
}

static uint64_t memory_at(uint64_t dpa)
{
    int fd = cxlf_open_memfd(owner, "cxlf-gfam0");
    uint64_t value;

    g_assert_cmpint(pread(fd, &value, 8, dpa), ==, 8);
    close(fd);
    return value;
}

static uint32_t command(CxlfHost *h, uint32_t number, uint64_t dpa,
                        uint64_t length)
{
    gint64 deadline = cxlf_deadline();
    uint32_t status;

    qtest_writeq(h->qts, h->eca + DPA, dpa);
    qtest_writeq(h->qts, h->eca + LENGTH, length);
    qtest_writeq(h->qts, h->eca + GFAM, (uint64_t)number << 32);
    while ((status = qtest_readl(h->qts, h->eca + STATUS)) == BUSY) {
        cxlf_pause(deadline, "the end of a command");
    }
    return status;
}

/* How many pages the host's log has; it agrees with the directory. */
static int logged(int host)
{
    QDict *response = qtest_qmp(owner, "{'execute':"
                                "'x-query-cxl-fabric-log',"
                                "'arguments': {'host': %d}}", host);
    QDict *log = qdict_get_qdict(response, "return");
    int pages = qdict_get_int(log, "pages");

    g_assert_true(qlist_empty(qdict_get_qlist(log, "mismatches")));
    qobject_unref(response);
    return pages;
}

/* A command that succeeds; returns how many bytes it answers. */
static unsigned mailbox(CxlfHost *h, int port, uint16_t opcode,
                        const void *in, unsigned length, void *out)
{
    g_assert_cmphex(cxlf_mailbox(h, port, opcode, in, length, out, &length),
                    ==, 0);
    return length;
}

static void refused(CxlfHost *h, const char *json, const char *text)
{
    QDict *response;
    const char *desc;

    qtest_qmp_send_raw(h->qts, "{'execute': 'device_add', 'arguments':"
                       "{'driver': 'cxl-gfam', 'id': 'x', 'bus': 'ds1',"
                       "'eca': 'eca0', %s}}", json);
    response = qtest_qmp_receive(h->qts);
    g_assert_true(qdict_haskey(response, "error"));
    desc = qdict_get_str(qdict_get_qdict(response, "error"), "desc");
    if (!strstr(desc, text)) {
        g_error("%s: the error says '%s', not '%s'", json, desc, text);
    }
    qobject_unref(response);
}

static void test_refused(void)
{
    CxlfHost *h;

    start_owner("");
    h = start_host("");
    cxlf_plug(h, 0, 0, 0);
    /* Twice: a failure leaves nothing behind. */
    for (int i = 0; i < 2; i++) {
        refused(h, "'gfam': 0", "'ld' must be 0 to 3");
        refused(h, "'gfam': 0, 'ld': 4", "'ld' must be 0 to 3");
        refused(h, "'gfam': 0, 'ld': 4294967295", "'ld' must be 0 to 3");
        refused(h, "'gfam': 1, 'ld': 0", "'ld': GFAM device 1 has no");
        refused(h, "'gfam': 0, 'ld': 2", "is not bound to this host");
        refused(h, "'gfam': 0, 'ld': 3", "is not bound to this host");
        refused(h, "'gfam': 0, 'ld': 0", "'ld': device 0 has an endpoint");
    }
    cxlf_plug(h, 1, 0, 1);
    cxlf_host_stop(h);
    stop_owner();
}

static void test_identity(void)
{
    CxlfHost *a, *b;
    CxlfClass class[2];
    unsigned dslbis;
    uint64_t serial[3];
    uint8_t identity[0x100];

    start_owner("");
    a = start_host("");
    b = start_host("");
    cxlf_plug(a, 0, 0, 0);
    cxlf_plug(a, 1, 0, 1);
    cxlf_plug(b, 0, 0, 2);
    cxlf_plug(b, 1, 1, -1);
    serial[0] = cxlf_serial(a, 0);
    serial[1] = cxlf_serial(a, 1);
    serial[2] = cxlf_serial(b, 0);
    g_assert_cmphex(serial[0], !=, serial[1]);
    g_assert_cmphex(serial[0], !=, serial[2]);
    g_assert_cmphex(serial[1], !=, serial[2]);
    g_assert_cmphex(cxlf_serial(b, 1), !=, serial[1]);

    /* HOT alone; both, from the LD's own DPA 0 on; BULK alone */
    g_assert_cmpint(cxlf_classes(a, 0, class, 2, &dslbis), ==, 1);
    g_assert_cmphex(class[0].flags, ==, 0x18);
    g_assert_cmphex(class[0].base, ==, 0);
    g_assert_cmphex(class[0].size, ==, LD_SIZE);
    g_assert_cmpint(cxlf_classes(a, 1, class, 2, &dslbis), ==, 2);
    g_assert_cmphex(class[0].flags, ==, 0x18);
    g_assert_cmphex(class[0].base, ==, 0);
    g_assert_cmphex(class[0].size, ==, HOT - LD_SIZE);
    g_assert_cmphex(class[1].flags, ==, 0x08);
    g_assert_cmphex(class[1].base, ==, HOT - LD_SIZE);
    g_assert_cmphex(class[1].size, ==, 2 * LD_SIZE - HOT);
    g_assert_cmpint(cxlf_classes(b, 0, class, 2, &dslbis), ==, 1);
    g_assert_cmphex(class[0].flags, ==, 0x08);
    g_assert_cmphex(class[0].base, ==, 0);
    g_assert_cmphex(class[0].size, ==, LD_SIZE);

    /* Identify Memory Device: all of the LD's memory, and it is volatile */
    g_assert_cmpuint(mailbox(a, 1, 0x4000, NULL, 0, identity), >=, 0x28);
    g_assert_cmphex(ldq_le_p(identity + 0x10), ==, LD_SIZE / (256 * MIB));
    g_assert_cmphex(ldq_le_p(identity + 0x18), ==, LD_SIZE / (256 * MIB));

    /* It comes back as it was. */
    cxlf_unplug(a, 0);
    cxlf_plug(a, 0, 0, 0);
    g_assert_cmphex(cxlf_serial(a, 0), ==, serial[0]);
    cxlf_host_stop(a);
    cxlf_host_stop(b);
    stop_owner();
}

/* Each LD shows its own part of the device, to the last byte. */
static void access_all(const char *more)
{
    static const uint64_t dpa[] = {
        0, CXLF_PAGE, HOT - LD_SIZE - 8, HOT - LD_SIZE, IN_BULK, LD_SIZE - 8,
    };
    CxlfHost *a, *b;
    CxlfRegion r[3];

    start_owner("");
    a = start_host(more);
    b = start_host(more);
    r[0] = plug(a, 0, 0);
    r[1] = plug(a, 1, 1);
    r[2] = plug(b, 0, 2);
    for (int i = 0; i < 3 * ARRAY_SIZE(dpa); i++) {
        cxlf_store(&r[i % 3], dpa[i / 3], 0x100 + i, 8);
    }
    for (int i = 0; i < 3 * ARRAY_SIZE(dpa); i++) {
        g_assert_cmphex(cxlf_load(&r[i % 3], dpa[i / 3], 8), ==, 0x100 + i);
        g_assert_cmphex(memory_at(START(i % 3) + dpa[i / 3]), ==, 0x100 + i);
    }
    /* A decoder cannot reach beyond. */
    cxlf_uncommit(&r[2]);
    r[2].size += CLASS_SIZE;
    g_assert_cmphex(cxlf_commit_level(&r[2], CXLF_EP) &
                    (HDM_COMMITTED | HDM_ERR), ==, HDM_ERR);
    cxlf_host_stop(a);
    cxlf_host_stop(b);
    stop_owner();
}

static void test_access(void)
{
    access_all("");
    access_all(CXLF_NEVER_MAPPED);
    access_all(" -global dpu-eca.hot-track=page");
}

/* With ownership=off the part of the backend is what is mapped. */
static void test_unowned(void)
{
    CxlfHost *h;
    CxlfRegion r;

    start_owner("");
    h = start_host(" -global dpu-eca.ownership=off");
    r = plug(h, 1, 1);
    cxlf_store(&r, 8, 0x1234, 8);
    cxlf_store(&r, IN_BULK, 0x5678, 8);
    g_assert_cmphex(memory_at(START(1) + 8), ==, 0x1234);
    g_assert_cmphex(memory_at(START(1) + IN_BULK), ==, 0x5678);
    unplug(&r);
    r = plug(h, 1, 1);
    g_assert_cmphex(cxlf_load(&r, IN_BULK, 8), ==, 0x5678);
    cxlf_host_stop(h);
    stop_owner();
}

static void expect_pieces(CxlfHost *h, unsigned has)
{
    for (int ld = 0; ld < 16; ld++) {
        uint64_t at = h->eca + PIECE + ld * 16;
        bool set = has >> ld & 1;

        g_assert_cmphex(qtest_readq(h->qts, at), ==, set ? START(ld) : 0);
        g_assert_cmphex(qtest_readq(h->qts, at + 8), ==, set ? LD_SIZE : 0);
    }
    g_assert_cmphex(qtest_readl(h->qts, h->eca + FLAGS), ==, has ? 3 : 2);
}

static void test_commands(void)
{
    static const uint32_t commands[] = { SHARED, OWNED, PREFETCH, RESERVE };
    CxlfHost *h;
    CxlfRegion r;

    start_owner("");
    h = start_host("");
    for (int i = 0; i < ARRAY_SIZE(commands); i++) {
        g_assert_cmpuint(command(h, commands[i], START(1), CXLF_PAGE), ==,
                         RANGE);
    }
    expect_pieces(h, 0);
    r = plug(h, 0, 1);
    expect_pieces(h, 1 << 1);
    for (int i = 0; i < ARRAY_SIZE(commands); i++) {
        g_assert_cmpuint(command(h, commands[i], START(2) - CXLF_PAGE,
                                 CXLF_PAGE), ==, DONE);
        g_assert_cmpuint(command(h, commands[i], START(1) + IN_BULK,
                                 2 * CXLF_PAGE), ==, DONE);
        /* Before it, behind it, and across either end */
        g_assert_cmpuint(command(h, commands[i], START(1) - CXLF_PAGE,
                                 CXLF_PAGE), ==, RANGE);
        g_assert_cmpuint(command(h, commands[i], START(2), CXLF_PAGE), ==,
                         RANGE);
        g_assert_cmpuint(command(h, commands[i], START(1) - CXLF_PAGE,
                                 2 * CXLF_PAGE), ==, RANGE);
        g_assert_cmpuint(command(h, commands[i], START(2) - CXLF_PAGE,
                                 2 * CXLF_PAGE), ==, RANGE);
    }
    g_assert_cmpuint(command(h, FLUSH, HOT, 64), ==, DONE);
    g_assert_cmpuint(command(h, FLUSH, START(2), 64), ==, RANGE);
    unplug(&r);
    expect_pieces(h, 0);
    for (int i = 0; i < ARRAY_SIZE(commands); i++) {
        g_assert_cmpuint(command(h, commands[i], START(1), CXLF_PAGE), ==,
                         RANGE);
    }
    cxlf_host_stop(h);
    stop_owner();
}

/* What a host has of an LD goes with it, and nothing else does. */
static void test_holdings(void)
{
    CxlfCounters before;
    CxlfHost *h;
    CxlfRegion r[2];

    start_owner("");
    h = start_host("");
    r[0] = plug(h, 0, 0);
    for (int i = 0; i < 3; i++) {
        r[1] = plug(h, 1, 1);
        g_assert_cmpuint(command(h, DEMOTE, START(0), 3 * CXLF_PAGE), ==,
                         DONE);
        for (int page = 0; page < 100; page++) {
            cxlf_store(&r[1], IN_BULK + page * CXLF_PAGE, page, 8);
        }
        g_assert_cmpuint(command(h, DEMOTE, START(1), 5 * CXLF_PAGE), ==,
                         DONE);
        cxlf_store(&r[1], 16 * CXLF_PAGE, 0x99, 8);     /* a line */
        g_assert_cmpint(logged(0), >=, 108);
        unplug(&r[1]);
        g_assert_cmpint(logged(0), ==, 3);
    }
    /* It is had again as what nobody has: no other host is asked. */
    before = cxlf_counters(owner, 0);
    r[1] = plug(h, 1, 1);
    g_assert_cmphex(cxlf_load(&r[1], IN_BULK + 99 * CXLF_PAGE, 8), ==, 99);
    g_assert_cmphex(cxlf_load(&r[1], 16 * CXLF_PAGE, 8), ==, 0x99);
    g_assert_cmpuint(cxlf_minus(cxlf_counters(owner, 0), before)
                     .n[CXLF_READ_MISS], ==, 1);
    cxlf_host_stop(h);
    stop_owner();
}

/* Ranges that were reserved in it can be reserved by others again. */
static int reserved(void)
{
    QDict *info = cxlf_query(owner);
    int n = qlist_size(qdict_get_qlist(info, "reservations"));

    qobject_unref(info);
    return n;
}

static void test_reserved(void)
{
    gint64 deadline = cxlf_deadline();
    CxlfHost *h;
    CxlfRegion r[2];

    start_owner("");
    h = start_host("");
    r[0] = plug(h, 0, 0);
    r[1] = plug(h, 1, 1);
    g_assert_cmpuint(command(h, RESERVE, START(0), CXLF_PAGE), ==, DONE);
    g_assert_cmpuint(command(h, RESERVE, START(1), CXLF_PAGE), ==, DONE);
    g_assert_cmpuint(command(h, RESERVE, START(2) - CXLF_PAGE, CXLF_PAGE),
                     ==, DONE);
    g_assert_cmpint(reserved(), ==, 3);
    unplug(&r[1]);
    while (reserved() > 1) {
        cxlf_pause(deadline, "the ranges of an LD to be unreserved");
    }
    g_assert_cmpuint(command(h, UNRESERVE, START(0), CXLF_PAGE), ==, DONE);
    cxlf_host_stop(h);
    stop_owner();
}

/* Without the guest: its decoders are as they were. */
static void test_pulled(void)
{
    CxlfHost *h;
    CxlfRegion r[2];

    start_owner("");
    h = start_host("");
    r[0] = plug(h, 0, 0);
    for (int i = 1; i <= 10; i++) {
        r[1] = plug(h, 1, 1);
        cxlf_store(&r[1], 0, i, 8);
        cxlf_store(&r[1], IN_BULK, i, 8);
        cxlf_unplug(h, 1);
        g_assert_cmphex(cxlf_load(&r[1], 0, 8), !=, i);
        g_assert_cmphex(cxlf_load(&r[1], IN_BULK, 8), !=, i);
        cxlf_store(&r[1], IN_BULK, 0x0bad, 8);
        g_assert_cmphex(memory_at(START(1) + IN_BULK), ==, i);
        for (int level = CXLF_HB; level > CXLF_EP; level--) {
            cxlf_uncommit_level(&r[1], level);
        }
        cxlf_store(&r[0], i * CXLF_PAGE, i, 8);
        g_assert_cmphex(cxlf_load(&r[0], i * CXLF_PAGE, 8), ==, i);
    }
    cxlf_host_stop(h);
    stop_owner();
}

/* Copies of software mode are dropped with their LD; it begins anew. */
static void test_software(void)
{
    CxlfFabric f = { 0 };
    CxlfHost *h;
    CxlfRegion r;

    start_owner("");
    h = start_host("");
    f.owner = owner;
    cxlf_set_bulk_mode(&f, "software");
    r = plug(h, 0, 1);
    cxlf_store(&r, IN_BULK, 0x1111, 8);
    cxlf_store(&r, IN_BULK + CXLF_PAGE, 0x2222, 8);
    g_assert_cmphex(memory_at(START(1) + IN_BULK), ==, 0);
    g_assert_cmpuint(command(h, FLUSH, START(1) + IN_BULK, 64), ==, DONE);
    g_assert_cmphex(memory_at(START(1) + IN_BULK), ==, 0x1111);
    unplug(&r);
    r = plug(h, 0, 1);
    g_assert_cmphex(cxlf_load(&r, IN_BULK, 8), ==, 0x1111);
    g_assert_cmphex(cxlf_load(&r, IN_BULK + CXLF_PAGE, 8), ==, 0);
    cxlf_host_stop(h);
    stop_owner();
}

/* The first entry of the poison list of an LD; 0: there is none. */
static unsigned poison(CxlfHost *h, int port, uint64_t *dpa)
{
    uint64_t in[2] = { 0, LD_SIZE / 64 };
    uint8_t out[0x20 + 64 * 16];

    g_assert_cmpuint(mailbox(h, port, 0x4300, in, sizeof(in), out), >=, 0x20);
    *dpa = ldq_le_p(out + 0x20) & ~0x3full;
    return lduw_le_p(out + 0x0a);
}

/* CHMU: docs/specs/chmu.md */

#define CHMU_CONF0      0x50
#define CHMU_CONF1      0x58
#define CHMU_TAIL       0x7a
#define CHMU_BITMAP     0x80
#define CHMU_LIST       0x4010
#define MS              1000000ll

/* Reads and writes of 4 KiB units that are used at all; epochs of 10 ms */
static uint64_t start_chmu(CxlfHost *h, int port)
{
    uint64_t at = h->gfam[port] + 0x80000;

    cxlf_config_writel(h, BDF_GFAM(port), 0x24, at);
    qtest_writeq(h->qts, at + CHMU_BITMAP, 3);
    qtest_writeq(h->qts, at + CHMU_CONF1, 12 | 3ull << 48 | 1ull << 52);
    qtest_writeq(h->qts, at + CHMU_CONF0, 3 | 1ull << 16 | 1ull << 32);
    qtest_clock_step(h->qts, MS);
    return at;
}

/* Each LD counts what is used of it, by its own DPA. */
static void test_hotness(void)
{
    CxlfHost *h;
    CxlfRegion r[2];
    uint64_t chmu[2];

    start_owner("");
    h = start_host(CXLF_NEVER_MAPPED);
    for (int i = 0; i < 2; i++) {
        r[i] = plug(h, i, i);
    }
    for (int i = 0; i < 2; i++) {
        chmu[i] = start_chmu(h, i);
    }
    for (int i = 0; i < 5; i++) {
        cxlf_store(&r[1], CLASS_SIZE - CXLF_PAGE, i, 8);
    }
    qtest_clock_step(h->qts, 10 * MS);
    g_assert_cmpuint(qtest_readw(h->qts, chmu[0] + CHMU_TAIL), ==, 0);
    g_assert_cmpuint(qtest_readw(h->qts, chmu[1] + CHMU_TAIL), ==, 1);
    g_assert_cmphex(qtest_readq(h->qts, chmu[1] + CHMU_LIST), ==,
                    (CLASS_SIZE / CXLF_PAGE - 1) << 24 | 5);
    /* One that goes takes nothing from the other. */
    unplug(&r[1]);
    cxlf_store(&r[0], 3 * CXLF_PAGE, 1, 8);
    qtest_clock_step(h->qts, 10 * MS);
    g_assert_cmpuint(qtest_readw(h->qts, chmu[0] + CHMU_TAIL), ==, 1);
    g_assert_cmphex(qtest_readq(h->qts, chmu[0] + CHMU_LIST), ==,
                    3 << 24 | 1);
    cxlf_host_stop(h);
    stop_owner();
}

/* What was lost is in the list of its LD alone, by the LD's DPA. */
static void test_poison(void)
{
    CxlfHost *h, *other;
    uint8_t zeros[8 + 64] = { 0 }, none[64];
    gint64 deadline;
    CxlfRegion r;
    uint64_t dpa;

    start_owner(",on-death=poison");
    h = start_host("");
    other = start_host("");
    plug(other, 0, 2);
    r = plug(h, 1, 1);
    cxlf_store(&r, IN_BULK, 0x77, 8);
    g_assert_cmpint(kill(qtest_pid(h->qts), SIGKILL), ==, 0);
    cxlf_host_forget(h);
    cxlf_wait_host_state(owner, 0, "free");

    h = start_host("");
    plug(h, 0, 0);
    r = plug(h, 1, 1);
    g_assert_cmpuint(poison(h, 0, &dpa), ==, 0);
    g_assert_cmpuint(poison(other, 0, &dpa), ==, 0);
    g_assert_cmpuint(poison(h, 1, &dpa), ==, 1);
    g_assert_cmphex(dpa, ==, IN_BULK);
    g_assert_cmphex(cxlf_load(&r, IN_BULK, 8), ==, UINT64_MAX);
    for (int line = 0; line < CXLF_LINES_PER_PAGE; line++) {
        stq_le_p(zeros, IN_BULK + line * CXLF_LINE);
        mailbox(h, 1, 0x4302, zeros, sizeof(zeros), none);
    }
    g_assert_cmpuint(poison(h, 1, &dpa), ==, 0);
    /* The page of ones that the failed access was shown is taken back. */
    deadline = cxlf_deadline();
    while (cxlf_load(&r, IN_BULK, 8) != 0) {
        cxlf_pause(deadline, "memory that was cleared");
    }
    cxlf_host_stop(h);
    cxlf_host_stop(other);
    stop_owner();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/ld/refused", test_refused);
    qtest_add_func("/cxlf/ld/identity", test_identity);
    qtest_add_func("/cxlf/ld/access", test_access);
    qtest_add_func("/cxlf/ld/unowned", test_unowned);
    qtest_add_func("/cxlf/ld/commands", test_commands);
    qtest_add_func("/cxlf/ld/holdings", test_holdings);
    qtest_add_func("/cxlf/ld/reserved", test_reserved);
    qtest_add_func("/cxlf/ld/pulled", test_pulled);
    qtest_add_func("/cxlf/ld/software", test_software);
    qtest_add_func("/cxlf/ld/hotness", test_hotness);
    qtest_add_func("/cxlf/ld/poison", test_poison);
    return g_test_run();
}
