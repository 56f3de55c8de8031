/*
 * QTest of binding: logical devices (LDs) that go from host to host
 *
 * Hosts 0 and 1, and GFAM device 0: an MLD of four LDs of 256 MiB, of which
 * LD 0 is its HOT.  The downstream ports of each host are its vPPBs 1 and 2.
 * The test is the Fabric Manager, and each guest's driver of slots.
 *
 * All are at one leaf (VCSs 0 and 1), with the device behind port 0.  Or host
 * 0 is at leaf 0, and host 1 and the device at leaf 1: then what host 0 has is
 * bound by its PID.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "cxlf/topology-fdt.h"
#include "cxlf-fm.h"
#include "cxlf-hdm.h"

enum { LEAF };
enum { BIND = 0x5201, UNBIND = 0x5202, BIND_PID = 0x5706, BUSY = 6 };

#define LD_SIZE     (256 * MIB)
#define SLOTS \
    " -set device.ds0.vppb=1 -set device.ds0.eca=eca0" \
    " -set device.ds1.vppb=2 -set device.ds1.eca=eca0"
/* PCI Express: slot control and status, from the capability's offset. */
#define CONTROL     0x18
#define STATUS      0x1a
#define BUTTON      (1u << 0)
#define PRESENCE    (1u << 3)
#define PRESENT     (1u << 6)
#define LINK        (1u << 8)

typedef struct Bench {
    char *path;
    QTestState *owner;
    CxlfHost *h[2];         /* NULL: it is not there */
    bool two;               /* leaves */
    int component, command; /* the last one that began */
} Bench;

/* Of two leaves, PIDs 0 to 4 are of hosts, device and leaves. */
#define PID_OF(ld)  (5 + (ld))

/* @bound: the host that LD 1 is bound to at first, or NOBODY. */
static char *write_topology(uint32_t bound, bool two)
{
    static struct cxlf_graph graph;
    struct cxlf_topology t = {
        .hosts = 2, .leaves = 1 + two, .shards = 1, .gfams = 1,
        .gfam[0] = { .hot = LD_SIZE, .bulk = 3 * LD_SIZE, .leaf = two },
        .host_leaf = { 0, two },
    };
    char *path = g_strdup_printf("%s/cxlf-bind-%d.dtb", g_get_tmp_dir(),
                                 getpid());
    char blob[4096];
    size_t size;

    cxlf_graph_default(&t, 0, &graph);
    graph.lds[0] = 4;
    for (int i = 0; i < 4; i++) {
        graph.bound[0][i] = i == 1 ? bound : CXLF_NOBODY;
    }
    size = cxlf_graph_write(&t, &graph, blob, sizeof(blob));
    g_assert_cmpuint(size, >, 0);
    g_assert_true(g_file_set_contents(path, blob, size, NULL));
    return path;
}

static void start_owner(Bench *b, const char *more, uint32_t bound, bool two)
{
    g_autofree char *file = write_topology(bound, two);
    g_autofree char *options = g_strdup_printf(",topology=%s%s", file, more);

    *b = (Bench) { .path = cxlf_socket_path(), .two = two };
    b->owner = cxlf_owner_start(b->path, options);
    unlink(file);
}

static void start_host(Bench *b, int host)
{
    g_autofree char *fabric = g_strdup_printf(
        "-object cxl-fabric,id=fabric0,socket=%s,host=%d", b->path, host);

    b->h[host] = cxlf_host_start_fabric(fabric, 0, "", SLOTS);
    cxlf_wait_host_state(b->owner, host, "up");
}

static void start(Bench *b, const char *more, bool two)
{
    start_owner(b, more, CXLF_NOBODY, two);
    start_host(b, 0);
    start_host(b, 1);
}

static void stop(Bench *b)
{
    for (int i = 0; i < 2; i++) {
        if (b->h[i]) {
            cxlf_host_stop(b->h[i]);
        }
    }
    qtest_quit(b->owner);
    g_free(b->path);
}

static void kill_host(Bench *b, int host)
{
    g_assert_cmpint(kill(qtest_pid(b->h[host]->qts), SIGKILL), ==, 0);
    cxlf_host_forget(b->h[host]);
    b->h[host] = NULL;
    cxlf_wait_host_state(b->owner, host, "free");
    qobject_unref(cxlf_wait_event(b->owner, "X_CXL_FABRIC_HOST_DEAD"));
}

/* The Fabric Manager */

static int leaf_of(Bench *b, int host)
{
    return b->two ? host : LEAF;
}

static int vcs_of(Bench *b, int host)
{
    return b->two ? 0 : host;
}

static bool is_by_pid(Bench *b, int host)
{
    return b->two && host == 0;
}

static void begin(Bench *b, int host, int command, const char *in)
{
    b->component = leaf_of(b, host);
    b->command = command;
    expect(b->owner, b->component, command, in, BACKGROUND, "");
}

/* Whatever began last. */
static void end(Bench *b, int result)
{
    wait_background(b->owner, b->component, b->command, result);
}

static char *text_of_bind(Bench *b, int host, int vppb, int ld)
{
    return is_by_pid(b, host) ?
           g_strdup_printf("00 %02x %02x 00 %02x00 00*22", vcs_of(b, host),
                           vppb, PID_OF(ld)) :
           g_strdup_printf("%02x %02x %02x 00 %02x00", vcs_of(b, host), vppb,
                           b->two, ld);
}

static void begin_bind(Bench *b, int host, int vppb, int ld)
{
    g_autofree char *in = text_of_bind(b, host, vppb, ld);

    begin(b, host, is_by_pid(b, host) ? BIND_PID : BIND, in);
}

static void bind_ld(Bench *b, int host, int vppb, int ld)
{
    begin_bind(b, host, vppb, ld);
    end(b, SUCCESS);
}

/* Configure PID Binding has no options: it is managed. */
static void begin_unbind(Bench *b, int host, int vppb, int option)
{
    bool by_pid = is_by_pid(b, host) && option == 1;
    g_autofree char *in = by_pid ?
        g_strdup_printf("01 %02x %02x 00*25", vcs_of(b, host), vppb) :
        g_strdup_printf("%02x %02x %02x", vcs_of(b, host), vppb, option);

    begin(b, host, by_pid ? BIND_PID : UNBIND, in);
}

/* What Get VCS Info says of a vPPB: its status, port and LD. */
static void expect_vppb(Bench *b, int host, int vppb, const char *bytes)
{
    g_autofree char *in = g_strdup_printf("%02x 01 01 %02x", vppb,
                                          vcs_of(b, host));
    g_autofree char *out = g_strdup_printf("01 000000 %02x 01 %02x 10 %s 00",
                                           vcs_of(b, host), 1 + host, bytes);

    expect(b->owner, leaf_of(b, host), 0x5200, in, SUCCESS, out);
}

/* It is bound to an LD; by its PID Get PID Binding says which one. */
static void expect_bound(Bench *b, int host, int vppb, int ld)
{
    g_autofree char *bytes = is_by_pid(b, host) ? g_strdup("04 00 ff") :
                             g_strdup_printf("03 %02x %02x", b->two, ld);
    g_autofree char *in = g_strdup_printf("00 %02x", vppb);
    g_autofree char *out = g_strdup_printf("%02x00 00*22", PID_OF(ld));

    expect_vppb(b, host, vppb, bytes);
    if (is_by_pid(b, host)) {
        expect(b->owner, leaf_of(b, host), 0x5705, in, SUCCESS, out);
    }
}

/* The query's view of LDs. */
static QDict *ld_of(Bench *b, QDict *fm, int ld)
{
    return nth(nth(fm, "components", 1 + b->two), "lds", ld);
}

static void expect_shown(Bench *b, int ld, bool shown)
{
    QDict *fm = query(b->owner);

    g_assert_cmpint(qdict_get_bool(ld_of(b, fm, ld), "shown"), ==, shown);
    qobject_unref(fm);
}

/* A guest's driver of slots */

static unsigned status(CxlfHost *h, int port)
{
    return cxlf_config_readw(h, BDF_DS(port),
                             cxlf_express_capability(h, BDF_DS(port)) +
                             STATUS);
}

static void wait_status(CxlfHost *h, int port, unsigned bit, bool set)
{
    gint64 deadline = cxlf_deadline();

    while (!(status(h, port) & bit) == set) {
        cxlf_pause(deadline, "the status of a slot");
    }
}

static void clear_status(CxlfHost *h, int port, unsigned bits)
{
    cxlf_config_writew(h, BDF_DS(port),
                       cxlf_express_capability(h, BDF_DS(port)) + STATUS,
                       bits);
}

/* A device has come: power, BARs and a region. */
static CxlfRegion take(CxlfHost *h, int port)
{
    CxlfRegion r = {
        .h = h, .gfam = port, .port = port,
        .base = h->window + port * LD_SIZE, .size = LD_SIZE,
    };

    wait_status(h, port, PRESENT, true);
    clear_status(h, port, BUTTON | PRESENCE);
    cxlf_slot_power(h, port, true);
    cxlf_host_program(h);
    cxlf_commit(&r);
    return r;
}

/* The button is pressed, and the guest lets go. */
static void let_go(CxlfRegion *r, bool asked)
{
    if (asked) {
        wait_status(r->h, r->port, BUTTON, true);
        clear_status(r->h, r->port, BUTTON);
    }
    cxlf_uncommit(r);
    cxlf_slot_power(r->h, r->port, false);
    wait_status(r->h, r->port, PRESENT, false);
}

static void give_back(Bench *b, CxlfRegion *r, int host)
{
    begin_unbind(b, host, r->port + 1, 1);
    let_go(r, true);
    end(b, SUCCESS);
}

/* Pages of a device that have memory. */
static uint64_t used(Bench *b)
{
    int fd = cxlf_open_memfd(b->owner, "cxlf-gfam0");
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    close(fd);
    return st.st_blocks;
}

/* Of all leaves. */
static int64_t leaf(Bench *b, const char *what)
{
    QDict *response = qtest_qmp(b->owner,
                                "{'execute': 'x-query-cxl-fabric-leaves'}");
    int64_t n = 0;

    for (int i = 0; i <= b->two; i++) {
        n += qdict_get_int(nth(response, "return", i), what);
    }
    qobject_unref(response);
    return n;
}

/* Tests */

/* What one host writes is gone when another gets the LD. */
static void move(Bench *b, int ld)
{
    CxlfRegion r;

    for (int turn = 0; turn < 4; turn++) {
        int host = turn % 2;

        bind_ld(b, host, 1, ld);
        r = take(b->h[host], 0);
        for (uint64_t at = 0; at < 64 * 4096; at += 4096 + 64) {
            g_assert_cmphex(cxlf_load(&r, at, 8), ==, 0);
            cxlf_store(&r, at, 0x1122334455667788 + turn, 8);
        }
        g_assert_cmphex(cxlf_load(&r, LD_SIZE - 8, 8), ==, 0);
        cxlf_store(&r, LD_SIZE - 8, turn + 1, 8);
        g_assert_cmphex(cxlf_load(&r, LD_SIZE - 8, 8), ==, turn + 1);
        g_assert_cmpint(leaf(b, "lines") + leaf(b, "pages"), >, 0);
        expect_bound(b, host, 1, ld);
        give_back(b, &r, host);
        expect_vppb(b, host, 1, "00 00 ff");
        /* Nothing of it is left in memory, nor in the directory. */
        g_assert_cmpuint(used(b), ==, 0);
        g_assert_cmpint(leaf(b, "lines"), ==, 0);
        g_assert_cmpint(leaf(b, "pages"), ==, 0);
    }
}

static void test_bulk(const void *two)
{
    Bench b;

    start(&b, "", two);
    move(&b, 3);
    stop(&b);
}

static void test_hot(const void *two)
{
    Bench b;

    start(&b, "", two);
    move(&b, 0);
    stop(&b);
}

/* Another LD of the same host, and the other host, go on meanwhile. */
static void test_beside(const void *two)
{
    CxlfRegion a, other, moved;
    Bench b;

    start(&b, "", two);
    bind_ld(&b, 0, 2, 1);
    bind_ld(&b, 1, 2, 2);
    a = take(b.h[0], 1);
    other = take(b.h[1], 1);
    cxlf_store(&a, 4096, 1, 8);
    cxlf_store(&other, 4096, 2, 8);
    bind_ld(&b, 0, 1, 3);
    moved = take(b.h[0], 0);
    cxlf_store(&moved, 4096, 3, 8);
    give_back(&b, &moved, 0);
    g_assert_cmphex(cxlf_load(&a, 4096, 8), ==, 1);
    g_assert_cmphex(cxlf_load(&other, 4096, 8), ==, 2);
    stop(&b);
}

static void test_errors(void)
{
    CxlfRegion r;
    Bench b;

    start(&b, "", false);
    expect(b.owner, LEAF, BIND, "00 00 00 00 0100", INVALID_INPUT, "");
    expect(b.owner, LEAF, BIND, "00 10 00 00 0100", INVALID_INPUT, "");
    expect(b.owner, LEAF, BIND, "02 01 00 00 0100", INVALID_INPUT, "");
    expect(b.owner, LEAF, BIND, "00 01 01 00 0100", INVALID_INPUT, "");
    expect(b.owner, LEAF, BIND, "00 01 00 00 0400", INVALID_INPUT, "");
    expect(b.owner, LEAF, BIND, "00 01 00 00 ffff", INVALID_INPUT, "");
    expect(b.owner, LEAF, BIND, "00 01 00 00 01", INVALID_LENGTH, "");
    expect(b.owner, LEAF, UNBIND, "00 01 01", INVALID_INPUT, "");
    expect(b.owner, LEAF, UNBIND, "00 01", INVALID_LENGTH, "");

    /* This host has no such slot: nothing is bound then. */
    begin_bind(&b, 0, 3, 1);
    end(&b, INTERNAL_ERROR);
    expect_vppb(&b, 0, 3, "00 00 ff");

    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    expect(b.owner, LEAF, BIND, "00 01 00 00 0200", INVALID_INPUT, "");
    expect(b.owner, LEAF, BIND, "01 01 00 00 0100", INVALID_INPUT, "");
    expect(b.owner, LEAF, UNBIND, "00 01 03", INVALID_INPUT, "");
    begin_unbind(&b, 0, 1, 1);
    expect_vppb(&b, 0, 1, "01 00 ff");
    expect(b.owner, LEAF, UNBIND, "00 01 01", BUSY, "");
    expect(b.owner, LEAF, BIND, "01 01 00 00 0200", BUSY, "");
    let_go(&r, true);
    end(&b, SUCCESS);
    stop(&b);
}

/* By names, and what cannot be sent. */
static void test_names(void)
{
    static const struct {
        const char *arguments, *text;
    } bad[] = {
        { "'host': 2, 'vppb': 1, 'gfam': 0, 'ld': 1", "'host' must be 0 to" },
        { "'host': 0, 'vppb': 0, 'gfam': 0, 'ld': 1", "'vppb' must be 1 to" },
        { "'host': 0, 'vppb': 16, 'gfam': 0, 'ld': 1", "'vppb' must be" },
        { "'host': 0, 'vppb': 1, 'gfam': 1, 'ld': 1", "'gfam' must be" },
        { "'host': 0, 'vppb': 1, 'gfam': 0, 'ld': 4", "'ld' must be 0 to 3" },
    };
    CxlfRegion r;
    Bench b;

    start(&b, "", false);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *json = g_strdup_printf(
            "{'execute': 'x-cxl-fabric-bind', 'arguments': {%s}}",
            bad[i].arguments);
        QDict *response;

        qtest_qmp_send_raw(b.owner, "%s", json);
        response = qtest_qmp_receive(b.owner);
        g_assert_nonnull(strstr(qdict_get_str(
            qdict_get_qdict(response, "error"), "desc"), bad[i].text));
        qobject_unref(response);
    }
    b.command = BIND;
    qtest_qmp_assert_success(b.owner, "{'execute': 'x-cxl-fabric-bind',"
                             "'arguments': {'host': 1, 'vppb': 2, 'gfam': 0,"
                             "'ld': 2}}");
    end(&b, SUCCESS);
    r = take(b.h[1], 1);
    b.command = UNBIND;
    qtest_qmp_assert_success(b.owner, "{'execute': 'x-cxl-fabric-unbind',"
                             "'arguments': {'host': 1, 'vppb': 2}}");
    let_go(&r, true);
    end(&b, SUCCESS);
    stop(&b);
}

/* Option 2 asks nobody. */
static void test_surprise(const void *two)
{
    CxlfRegion r;
    Bench b;

    start(&b, "", two);
    for (int turn = 0; turn < 2; turn++) {
        bind_ld(&b, 0, 1, 1);
        r = take(b.h[0], 0);
        g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
        cxlf_store(&r, 0, 5, 8);
        begin_unbind(&b, 0, 1, 2);
        end(&b, SUCCESS);
        g_assert_cmphex(status(b.h[0], 0) & (PRESENT | PRESENCE | LINK), ==,
                        PRESENCE | LINK);
        g_assert_cmphex(cxlf_load(&r, 0, 8), !=, 5);
        clear_status(b.h[0], 0, PRESENCE | LINK);
        g_assert_cmphex(status(b.h[0], 0) & (PRESENCE | LINK), ==, 0);
        cxlf_uncommit_level(&r, CXLF_HB);
        cxlf_uncommit_level(&r, CXLF_US);
        cxlf_slot_power(b.h[0], 0, false);
    }
    stop(&b);
}

/* Option 0 waits for the host to let go by itself, if it has not already. */
static void test_wait(const void *two)
{
    CxlfRegion r;
    Bench b;

    start(&b, "", two);
    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    begin_unbind(&b, 0, 1, 0);
    g_assert_cmphex(status(b.h[0], 0) & BUTTON, ==, 0);
    expect_vppb(&b, 0, 1, "01 00 ff");
    let_go(&r, false);
    end(&b, SUCCESS);

    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    let_go(&r, false);
    expect_bound(&b, 0, 1, 1);
    begin_unbind(&b, 0, 1, 0);
    end(&b, SUCCESS);
    stop(&b);
}

/* A guest that does not let go keeps the LD, and may be asked again. */
static void test_timeout(const void *two)
{
    CxlfRegion r;
    Bench b;

    start(&b, ",bind-timeout=1", two);
    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    cxlf_store(&r, 0, 7, 8);
    begin_unbind(&b, 0, 1, 1);
    wait_status(b.h[0], 0, BUTTON, true);
    end(&b, INTERNAL_ERROR);
    expect_bound(&b, 0, 1, 1);
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 7);
    begin_unbind(&b, 0, 1, 2);
    end(&b, SUCCESS);
    g_assert_cmpuint(used(&b), ==, 0);
    stop(&b);
}

/* A host that stands still gets nothing, and keeps nothing from others. */
static void test_frozen(const void *two)
{
    gint64 deadline = cxlf_deadline();
    uint64_t word = 0x55;
    CxlfRegion r;
    bool bound;
    Bench b;
    int fd;

    start(&b, ",bind-timeout=1", two);
    fd = cxlf_open_memfd(b.owner, "cxlf-gfam0");
    g_assert_cmpint(pwrite(fd, &word, 8, LD_SIZE), ==, 8);
    cxlf_freeze(qtest_pid(b.h[0]->qts));
    begin_bind(&b, 0, 1, 1);
    end(&b, INTERNAL_ERROR);
    expect_vppb(&b, 0, 1, "00 00 ff");
    expect_shown(&b, 1, true);
    /* It may have it, for all that is known. */
    begin_bind(&b, 1, 1, 1);
    end(&b, INTERNAL_ERROR);
    g_assert_cmpint(pread(fd, &word, 8, LD_SIZE), ==, 8);
    g_assert_cmphex(word, ==, 0x55);
    close(fd);
    kill(qtest_pid(b.h[0]->qts), SIGCONT);
    do {
        g_autofree char *text = text_of_bind(&b, 1, 1, 1);
        g_autoptr(GByteArray) in = bytes_of(text);
        QDict *answer, *fm;

        cxlf_pause(deadline, "a host to give up what it never had");
        answer = tunnel(b.owner, leaf_of(&b, 1), BIND, -1, in);
        qobject_unref(answer);
        fm = query(b.owner);
        bound = qdict_haskey(ld_of(&b, fm, 1), "vppb") &&
                !qdict_get_bool(qdict_get_qdict(
                    nth(fm, "components", leaf_of(&b, 1)), "background"),
                    "running");
        qobject_unref(fm);
    } while (!bound);
    r = take(b.h[1], 0);
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
    g_assert_cmphex(status(b.h[0], 0) & PRESENT, ==, 0);
    stop(&b);
}

/* What a dead host was bound to is shown to who gets its number. */
static void test_death(const void *two)
{
    CxlfRegion r;
    Bench b;

    start(&b, "", two);
    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    cxlf_store(&r, 8192, 9, 8);
    kill_host(&b, 0);
    expect_bound(&b, 0, 1, 1);
    expect_shown(&b, 1, false);
    start_host(&b, 0);
    r = take(b.h[0], 0);
    g_assert_cmphex(cxlf_load(&r, 8192, 8), ==, 9);
    /* In order, too. */
    cxlf_host_stop(b.h[0]);
    b.h[0] = NULL;
    cxlf_wait_host_state(b.owner, 0, "free");
    begin_unbind(&b, 0, 1, 1);
    end(&b, SUCCESS);
    g_assert_cmpuint(used(&b), ==, 0);

    /* Bound while nobody is there. */
    bind_ld(&b, 0, 2, 2);
    start_host(&b, 0);
    r = take(b.h[0], 1);
    g_assert_cmphex(cxlf_load(&r, 8192, 8), ==, 0);
    stop(&b);
}

/* A host dies while it is asked; what it had modified was lost. */
static void test_death_unbinding(const void *two)
{
    CxlfRegion r;
    QDict *info;
    Bench b;

    start(&b, ",on-death=poison", two);
    bind_ld(&b, 0, 1, 0);
    r = take(b.h[0], 0);
    cxlf_store(&r, 64, 9, 8);
    begin_unbind(&b, 0, 1, 1);
    kill_host(&b, 0);
    end(&b, SUCCESS);
    g_assert_cmpuint(used(&b), ==, 0);
    info = cxlf_query(b.owner);
    g_assert_cmpint(qdict_get_int(info, "poisoned"), ==, 0);
    qobject_unref(info);
    bind_ld(&b, 1, 1, 0);
    r = take(b.h[1], 0);
    g_assert_cmphex(cxlf_load(&r, 64, 8), ==, 0);
    stop(&b);
}

/* What the topology binds is there at the start. */
static void test_bound(const void *two)
{
    CxlfRegion r;
    Bench b;

    start_owner(&b, "", 0, two);
    expect_bound(&b, 0, 1, 1);
    start_host(&b, 0);
    r = take(b.h[0], 0);
    cxlf_store(&r, 0, 3, 8);
    start_host(&b, 1);
    give_back(&b, &r, 0);
    bind_ld(&b, 1, 1, 1);
    r = take(b.h[1], 0);
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
    stop(&b);
}

/* By PID: what cannot be, and PIDs that change. */
static void test_pids(void)
{
    QDict *fm, *l;
    CxlfRegion r;
    Bench b;

    start(&b, "", true);
    /* LDs are targets of the device's port. */
    expect(b.owner, 1, 0x5703, "0100 0500", SUCCESS, "0700 0500"
           "0100 02 00 ff 01 0200 0100 02 01 ff 01 0500"
           "0100 02 02 ff 01 0600 0100 02 03 ff 01 0700"
           "0100 02 04 ff 01 0800");
    /* no device is at the port; no such host, vPPB, operation; no PID */
    expect(b.owner, 0, BIND, "00 01 00 00 0100", INVALID_INPUT, "");
    expect(b.owner, 0, BIND_PID, "00 01 01 00 0500 00*22", INVALID_INPUT, "");
    expect(b.owner, 0, BIND_PID, "00 00 00 00 0500 00*22", INVALID_INPUT, "");
    expect(b.owner, 0, BIND_PID, "02 00 01 00 0500 00*22", INVALID_INPUT, "");
    expect(b.owner, 0, BIND_PID, "00 00 01 00 ff0f 00*22", INVALID_INPUT, "");
    expect(b.owner, 0, BIND_PID, "00 00 01 00 0500 00*21", INVALID_LENGTH,
           "");
    expect(b.owner, 0, BIND_PID, "01 00 01 00 0500 00*22", INVALID_INPUT, "");
    /* the device as a whole is no LD, nor is a PID that nobody has */
    begin(&b, 0, BIND_PID, "00 00 01 00 0200 00*22");
    end(&b, INTERNAL_ERROR);
    begin(&b, 0, BIND_PID, "00 00 01 00 9900 00*22");
    end(&b, INTERNAL_ERROR);
    expect_vppb(&b, 0, 1, "00 00 ff");

    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    cxlf_store(&r, 0, 6, 8);
    expect(b.owner, 1, BIND, "00 01 01 00 0100", INVALID_INPUT, "");
    expect(b.owner, 0, BIND_PID, "00 00 02 00 0600 00*22", INVALID_INPUT, "");
    expect(b.owner, 0, BIND_PID, "00 00 01 00 0700 00*22", INVALID_INPUT, "");
    /* Who is bound stays so when the LD's PID is another's. */
    expect(b.owner, 1, 0x5704, "00 00 0200 0600 0100 03 9900 0100 02",
           SUCCESS, "");
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 6);
    begin_unbind(&b, 0, 1, 1);
    expect(b.owner, 0, BIND_PID, "00 00 02 00 0600 00*22", BUSY, "");
    let_go(&r, true);
    end(&b, SUCCESS);
    begin(&b, 0, BIND_PID, "00 00 01 00 0600 00*22");
    end(&b, SUCCESS);
    fm = query(b.owner);
    l = ld_of(&b, fm, 2);
    g_assert_cmpint(qdict_get_int(l, "pid"), ==, 6);
    g_assert_cmpint(qdict_get_int(l, "host"), ==, 0);
    g_assert_cmpint(qdict_get_int(l, "switch"), ==, 0);
    g_assert_cmpint(qdict_get_int(l, "vppb"), ==, 1);
    qobject_unref(fm);
    take(b.h[0], 0);
    stop(&b);
}

/* By names it is as at one leaf; an LD must have a PID. */
static void test_pid_names(void)
{
    static const char json[] =
        "{'execute': 'x-cxl-fabric-bind', 'arguments':"
        " {'host': 0, 'vppb': 1, 'gfam': 0, 'ld': 2}}";
    QDict *response;
    CxlfRegion r;
    Bench b;

    start(&b, "", true);
    b.component = 0;
    b.command = BIND_PID;
    qtest_qmp_assert_success(b.owner, json);
    end(&b, SUCCESS);
    r = take(b.h[0], 0);
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
    b.command = UNBIND;
    qtest_qmp_assert_success(b.owner, "{'execute': 'x-cxl-fabric-unbind',"
                             "'arguments': {'host': 0, 'vppb': 1}}");
    let_go(&r, true);
    end(&b, SUCCESS);
    expect(b.owner, 1, 0x5704, "01 00 0100 0700 0100 03", SUCCESS, "");
    qtest_qmp_send(b.owner, json);
    response = qtest_qmp_receive(b.owner);
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(response, "error"),
                                          "desc"), "LD 2 has no PID"));
    qobject_unref(response);
    stop(&b);
}

/* A process that owns the fabric and is its host. */
static void test_embedded(void)
{
    g_autofree char *file = write_topology(0, false);
    g_autofree char *fabric = g_strdup_printf(
        "-object cxl-fabric,id=fabric0,host=0,topology=%s", file);
    Bench b = { .h[0] = cxlf_host_start_fabric(fabric, 0, "", SLOTS) };
    CxlfRegion r;

    unlink(file);
    b.owner = b.h[0]->qts;
    r = take(b.h[0], 0);
    cxlf_store(&r, 0, 3, 8);
    give_back(&b, &r, 0);
    bind_ld(&b, 0, 2, 1);
    r = take(b.h[0], 1);
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
    begin_unbind(&b, 0, 2, 2);
    end(&b, SUCCESS);
    cxlf_host_stop(b.h[0]);
}

static void test_slots(void)
{
#define HOST \
    "-M q35,cxl=on -nodefaults -device dpu-eca,id=eca0,bus=pcie.0 " \
    "-device pxb-cxl,id=cxl.1,bus=pcie.0,bus_nr=12 " \
    "-device cxl-rp,id=rp0,bus=cxl.1,port=0,chassis=0,slot=2 " \
    "-device cxl-pbr-upstream,id=us0,bus=rp0 " \
    "-device cxl-pbr-downstream,id=ds0,bus=us0,chassis=1,"

    cxlf_start_error(HOST "vppb=16,eca=eca0", "'vppb' must be 1 to 15");
    cxlf_start_error(HOST "vppb=1", "'vppb' needs 'eca'");
    cxlf_start_error(HOST "eca=eca0", "'eca' needs 'vppb'");
    cxlf_start_error(HOST "vppb=1,eca=eca0,hotplug=off",
                     "'hotplug' must be on");
    cxlf_start_error(HOST "vppb=1,eca=eca0 -device cxl-pbr-downstream,bus=us0,"
                     "chassis=1,slot=2,port=1,vppb=1,eca=eca0",
                     "'vppb': port 'ds0' is vPPB 1 already");
    cxlf_start_error(HOST "vppb=1,eca=rp0", "rp0");
#undef HOST
}

/* Errors that the Fabric Manager generates */

/* PCI Express: registers of AER, and bits of ports that tell of errors. */
enum { UNCORRECTABLE = 0x04, CORRECTABLE = 0x10, HEADER_LOG = 0x1c,
       ROOT_STATUS = 0x30, ROOT_SOURCE = 0x34 };
#define POISONED    (1u << 12)
#define MALFORMED   (1u << 18)
#define RECEIVER    (1u << 0)       /* correctable */
#define IS_CORRECTABLE  (1u << 31)
#define HEADER      "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

static uint32_t aer(CxlfHost *h, uint32_t bdf, unsigned offset)
{
    unsigned at = cxlf_ext_cap(h, bdf, 0x0001, 0);

    g_assert_cmpuint(at, !=, 0);
    return cxlf_config_readl(h, bdf, at + offset);
}

static void wait_aer(CxlfHost *h, uint32_t bdf, unsigned offset,
                     uint32_t wanted)
{
    gint64 deadline = cxlf_deadline();

    while (!aer(h, bdf, offset)) {
        cxlf_pause(deadline, "an error of a port");
    }
    g_assert_cmphex(aer(h, bdf, offset), ==, wanted);
}

/* As a guest's driver does: the port and those above it pass errors on. */
static void report_errors(CxlfHost *h)
{
    static const uint32_t all[] = { BDF_DS(0), BDF_DS(1), BDF_US, BDF_RP };

    for (int i = 0; i < ARRAY_SIZE(all); i++) {
        unsigned control = cxlf_express_capability(h, all[i]) + 8;

        cxlf_config_writew(h, all[i], control,
                           cxlf_config_readw(h, all[i], control) | 7);
        cxlf_config_writew(h, all[i], 0x3e,
                           cxlf_config_readw(h, all[i], 0x3e) | 2);
    }
}

/* Generate AER Event; the manager's own event comes, too. */
static void generate(Bench *b, int host, int vppb, uint32_t error)
{
    g_autofree char *in = g_strdup_printf(
        "%02x %02x 0000 %08x " HEADER " ff*16", vcs_of(b, host), vppb,
        bswap32(error));
    QDict *data;

    expect(b->owner, leaf_of(b, host), 0x5203, in, SUCCESS, "");
    data = wait_changed(b->owner, leaf_of(b, host), "aer");
    g_assert_cmpint(qdict_get_int(data, "vcs"), ==, vcs_of(b, host));
    g_assert_cmpint(qdict_get_int(data, "vppb"), ==, vppb);
    g_assert_cmphex(qdict_get_int(data, "error"), ==, error);
    qobject_unref(data);
}

static void expect_no_error(Bench *b, int host, int vppb, const char *error)
{
    g_autofree char *in = g_strdup_printf("%02x %02x 0000 %s 00*32",
                                          vcs_of(b, host), vppb, error);

    expect(b->owner, leaf_of(b, host), 0x5203, in, INVALID_INPUT, "");
}

static void expect_clean(CxlfHost *h, uint32_t bdf)
{
    g_assert_cmphex(aer(h, bdf, UNCORRECTABLE), ==, 0);
    g_assert_cmphex(aer(h, bdf, CORRECTABLE), ==, 0);
}

static void expect_header(CxlfHost *h, uint32_t bdf)
{
    g_autoptr(GByteArray) header = bytes_of(HEADER);

    for (unsigned at = 0; at < header->len; at += 4) {
        g_assert_cmphex(aer(h, bdf, HEADER_LOG + at), ==,
                        (uint32_t)ldl_le_p(header->data + at));
    }
}

/* The port that is named has the error, its guest is told, and no other. */
static void test_aer(const void *two)
{
    Bench b;

    start(&b, "", two);
    report_errors(b.h[0]);
    bind_ld(&b, 0, 1, 1);
    qobject_unref(wait_changed(b.owner, leaf_of(&b, 0), "vppb-changed"));
    generate(&b, 0, 1, MALFORMED);
    wait_aer(b.h[0], BDF_DS(0), UNCORRECTABLE, MALFORMED);
    expect_header(b.h[0], BDF_DS(0));
    g_assert_cmphex(aer(b.h[0], BDF_DS(0), CORRECTABLE), ==, 0);
    /* fatal, the first one: reported by the port, to the root port */
    g_assert_cmphex(aer(b.h[0], BDF_RP, ROOT_STATUS) & 0x7f, ==, 0x54);
    g_assert_cmphex(aer(b.h[0], BDF_RP, ROOT_SOURCE) >> 16, ==,
                    BDF_DS(0) >> 12);
    generate(&b, 0, 1, IS_CORRECTABLE | RECEIVER);
    wait_aer(b.h[0], BDF_DS(0), CORRECTABLE, RECEIVER);
    g_assert_cmphex(aer(b.h[0], BDF_DS(0), UNCORRECTABLE), ==, MALFORMED);
    g_assert_cmphex(aer(b.h[0], BDF_RP, ROOT_STATUS) & 0x7f, ==, 0x55);
    expect_clean(b.h[0], BDF_US);
    generate(&b, 0, 0, POISONED);
    wait_aer(b.h[0], BDF_US, UNCORRECTABLE, POISONED);
    expect_header(b.h[0], BDF_US);
    expect_clean(b.h[0], BDF_DS(1));

    /* The other host hears in order, so it would have heard of those. */
    generate(&b, 1, 0, IS_CORRECTABLE | RECEIVER);
    wait_aer(b.h[1], BDF_US, CORRECTABLE, RECEIVER);
    g_assert_cmphex(aer(b.h[1], BDF_US, UNCORRECTABLE), ==, 0);
    expect_clean(b.h[1], BDF_DS(0));
    expect_clean(b.h[1], BDF_DS(1));

    expect_no_error(&b, 0, 2, "00000400");      /* unbound */
    expect_no_error(&b, 0, 16, "00000400");
    expect_no_error(&b, 0, 1, "00000000");
    expect_no_error(&b, 0, 1, "00000c00");      /* two */
    expect_no_error(&b, 0, 1, "00000480");      /* not of the correctable */
    expect_no_error(&b, 0, 1, "00000004");      /* of neither */

    /* Who is not there gets none, also later. */
    kill_host(&b, 0);
    generate(&b, 0, 1, MALFORMED);
    start_host(&b, 0);
    generate(&b, 0, 1, IS_CORRECTABLE | RECEIVER);
    wait_aer(b.h[0], BDF_DS(0), CORRECTABLE, RECEIVER);
    g_assert_cmphex(aer(b.h[0], BDF_DS(0), UNCORRECTABLE), ==, 0);
    stop(&b);
}

/* The host of the owner's own process. */
static void test_aer_embedded(void)
{
    g_autofree char *file = write_topology(0, false);
    g_autofree char *fabric = g_strdup_printf(
        "-object cxl-fabric,id=fabric0,host=0,topology=%s", file);
    Bench b = { .h[0] = cxlf_host_start_fabric(fabric, 0, "", SLOTS) };

    unlink(file);
    b.owner = b.h[0]->qts;
    generate(&b, 0, 0, MALFORMED);
    g_assert_cmphex(aer(b.h[0], BDF_US, UNCORRECTABLE), ==, MALFORMED);
    expect_clean(b.h[0], BDF_DS(0));
    generate(&b, 0, 1, POISONED);
    g_assert_cmphex(aer(b.h[0], BDF_DS(0), UNCORRECTABLE), ==, POISONED);
    expect_header(b.h[0], BDF_DS(0));
    cxlf_host_stop(b.h[0]);
}

/* At one leaf, and at two. */
static void add(const char *name, void (*test)(const void *two))
{
    g_autofree char *near = g_strdup_printf("/cxlf/bind/%s", name);
    g_autofree char *far = g_strdup_printf("/cxlf/bind/by-pid/%s", name);

    qtest_add_data_func(near, NULL, test);
    qtest_add_data_func(far, "two", test);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("bulk", test_bulk);
    add("hot", test_hot);
    add("beside", test_beside);
    qtest_add_func("/cxlf/bind/errors", test_errors);
    qtest_add_func("/cxlf/bind/names", test_names);
    add("surprise", test_surprise);
    add("wait", test_wait);
    add("timeout", test_timeout);
    add("frozen", test_frozen);
    add("death", test_death);
    add("death-unbinding", test_death_unbinding);
    add("bound", test_bound);
    add("aer", test_aer);
    qtest_add_func("/cxlf/bind/aer-embedded", test_aer_embedded);
    qtest_add_func("/cxlf/bind/pids", test_pids);
    qtest_add_func("/cxlf/bind/pid-names", test_pid_names);
    qtest_add_func("/cxlf/bind/embedded", test_embedded);
    qtest_add_func("/cxlf/bind/slots", test_slots);
    return g_test_run();
}
