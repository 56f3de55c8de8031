/*
 * QTest of binding: logical devices (LDs) that go from host to host
 *
 * One leaf, hosts 0 and 1 (VCSs 0 and 1), and GFAM device 0 behind port 0: an
 * MLD of four LDs of 256 MiB, of which LD 0 is its HOT.  The downstream ports
 * of each host are its vPPBs 1 and 2.  The test is the Fabric Manager, and
 * each guest's driver of slots.
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

enum { LEAF, MLD };
enum { BIND = 0x5201, UNBIND = 0x5202, BUSY = 6 };

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
} Bench;

/* @bound: the host that LD 1 is bound to at first, or NOBODY. */
static char *write_topology(uint32_t bound)
{
    static struct cxlf_graph graph;
    struct cxlf_topology t = {
        .hosts = 2, .leaves = 1, .shards = 1, .gfams = 1,
        .gfam[0] = { .hot = LD_SIZE, .bulk = 3 * LD_SIZE },
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

static void start_owner(Bench *b, const char *more, uint32_t bound)
{
    g_autofree char *file = write_topology(bound);
    g_autofree char *options = g_strdup_printf(",topology=%s%s", file, more);

    *b = (Bench) { .path = cxlf_socket_path() };
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

static void start(Bench *b, const char *more)
{
    start_owner(b, more, CXLF_NOBODY);
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

static void begin_bind(Bench *b, int host, int vppb, int ld)
{
    g_autofree char *in = g_strdup_printf("%02x %02x 00 00 %02x00", host,
                                          vppb, ld);

    expect(b->owner, LEAF, BIND, in, BACKGROUND, "");
}

static void end(Bench *b, int command, int result)
{
    wait_background(b->owner, LEAF, command, result);
}

static void bind_ld(Bench *b, int host, int vppb, int ld)
{
    begin_bind(b, host, vppb, ld);
    end(b, BIND, SUCCESS);
}

static void begin_unbind(Bench *b, int host, int vppb, int option)
{
    g_autofree char *in = g_strdup_printf("%02x %02x %02x", host, vppb,
                                          option);

    expect(b->owner, LEAF, UNBIND, in, BACKGROUND, "");
}

/* What Get VCS Info says of a vPPB: its status, port and LD. */
static void expect_vppb(Bench *b, int host, int vppb, const char *bytes)
{
    g_autofree char *in = g_strdup_printf("%02x 01 01 %02x", vppb, host);
    g_autofree char *out = g_strdup_printf("01 000000 %02x 01 %02x 10 %s 00",
                                           host, 1 + host, bytes);

    expect(b->owner, LEAF, 0x5200, in, SUCCESS, out);
}

static void expect_shown(Bench *b, int ld, bool shown)
{
    QDict *fm = query(b->owner);

    g_assert_cmpint(qdict_get_bool(nth(nth(fm, "components", MLD), "lds", ld),
                                   "shown"), ==, shown);
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
    end(b, UNBIND, SUCCESS);
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

static int64_t leaf(Bench *b, const char *what)
{
    QDict *response = qtest_qmp(b->owner,
                                "{'execute': 'x-query-cxl-fabric-leaves'}");
    int64_t n = qdict_get_int(nth(response, "return", 0), what);

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
        expect_vppb(b, host, 1, ld ? "03 00 03" : "03 00 00");
        give_back(b, &r, host);
        expect_vppb(b, host, 1, "00 00 ff");
        /* Nothing of it is left in memory, nor in the directory. */
        g_assert_cmpuint(used(b), ==, 0);
        g_assert_cmpint(leaf(b, "lines"), ==, 0);
        g_assert_cmpint(leaf(b, "pages"), ==, 0);
    }
}

static void test_bulk(void)
{
    Bench b;

    start(&b, "");
    move(&b, 3);
    stop(&b);
}

static void test_hot(void)
{
    Bench b;

    start(&b, "");
    move(&b, 0);
    stop(&b);
}

/* Another LD of the same host, and the other host, go on meanwhile. */
static void test_beside(void)
{
    CxlfRegion a, other, moved;
    Bench b;

    start(&b, "");
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

    start(&b, "");
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
    end(&b, BIND, INTERNAL_ERROR);
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
    end(&b, UNBIND, SUCCESS);
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

    start(&b, "");
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
    qtest_qmp_assert_success(b.owner, "{'execute': 'x-cxl-fabric-bind',"
                             "'arguments': {'host': 1, 'vppb': 2, 'gfam': 0,"
                             "'ld': 2}}");
    end(&b, BIND, SUCCESS);
    r = take(b.h[1], 1);
    qtest_qmp_assert_success(b.owner, "{'execute': 'x-cxl-fabric-unbind',"
                             "'arguments': {'host': 1, 'vppb': 2}}");
    let_go(&r, true);
    end(&b, UNBIND, SUCCESS);
    stop(&b);
}

/* Option 2 asks nobody. */
static void test_surprise(void)
{
    CxlfRegion r;
    Bench b;

    start(&b, "");
    for (int turn = 0; turn < 2; turn++) {
        bind_ld(&b, 0, 1, 1);
        r = take(b.h[0], 0);
        g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
        cxlf_store(&r, 0, 5, 8);
        begin_unbind(&b, 0, 1, 2);
        end(&b, UNBIND, SUCCESS);
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
static void test_wait(void)
{
    CxlfRegion r;
    Bench b;

    start(&b, "");
    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    begin_unbind(&b, 0, 1, 0);
    g_assert_cmphex(status(b.h[0], 0) & BUTTON, ==, 0);
    expect_vppb(&b, 0, 1, "01 00 ff");
    let_go(&r, false);
    end(&b, UNBIND, SUCCESS);

    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    let_go(&r, false);
    expect_vppb(&b, 0, 1, "03 00 01");
    begin_unbind(&b, 0, 1, 0);
    end(&b, UNBIND, SUCCESS);
    stop(&b);
}

/* A guest that does not let go keeps the LD, and may be asked again. */
static void test_timeout(void)
{
    CxlfRegion r;
    Bench b;

    start(&b, ",bind-timeout=1");
    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    cxlf_store(&r, 0, 7, 8);
    begin_unbind(&b, 0, 1, 1);
    wait_status(b.h[0], 0, BUTTON, true);
    end(&b, UNBIND, INTERNAL_ERROR);
    expect_vppb(&b, 0, 1, "03 00 01");
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 7);
    begin_unbind(&b, 0, 1, 2);
    end(&b, UNBIND, SUCCESS);
    g_assert_cmpuint(used(&b), ==, 0);
    stop(&b);
}

/* A host that stands still gets nothing, and keeps nothing from others. */
static void test_frozen(void)
{
    gint64 deadline = cxlf_deadline();
    uint64_t word = 0x55;
    CxlfRegion r;
    bool bound;
    Bench b;
    int fd;

    start(&b, ",bind-timeout=1");
    fd = cxlf_open_memfd(b.owner, "cxlf-gfam0");
    g_assert_cmpint(pwrite(fd, &word, 8, LD_SIZE), ==, 8);
    cxlf_freeze(qtest_pid(b.h[0]->qts));
    begin_bind(&b, 0, 1, 1);
    end(&b, BIND, INTERNAL_ERROR);
    expect_vppb(&b, 0, 1, "00 00 ff");
    expect_shown(&b, 1, true);
    /* It may have it, for all that is known. */
    begin_bind(&b, 1, 1, 1);
    end(&b, BIND, INTERNAL_ERROR);
    g_assert_cmpint(pread(fd, &word, 8, LD_SIZE), ==, 8);
    g_assert_cmphex(word, ==, 0x55);
    close(fd);
    kill(qtest_pid(b.h[0]->qts), SIGCONT);
    do {
        g_autoptr(GByteArray) in = bytes_of("01 01 00 00 0100");
        QDict *answer, *fm;

        cxlf_pause(deadline, "a host to give up what it never had");
        answer = tunnel(b.owner, LEAF, BIND, -1, in);
        qobject_unref(answer);
        fm = query(b.owner);
        bound = qdict_haskey(nth(nth(fm, "components", MLD), "lds", 1),
                             "vppb") &&
                !qdict_get_bool(qdict_get_qdict(nth(fm, "components", LEAF),
                                                "background"), "running");
        qobject_unref(fm);
    } while (!bound);
    r = take(b.h[1], 0);
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
    g_assert_cmphex(status(b.h[0], 0) & PRESENT, ==, 0);
    stop(&b);
}

/* What a dead host was bound to is shown to who gets its number. */
static void test_death(void)
{
    CxlfRegion r;
    Bench b;

    start(&b, "");
    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    cxlf_store(&r, 8192, 9, 8);
    kill_host(&b, 0);
    expect_vppb(&b, 0, 1, "03 00 01");
    expect_shown(&b, 1, false);
    start_host(&b, 0);
    r = take(b.h[0], 0);
    g_assert_cmphex(cxlf_load(&r, 8192, 8), ==, 9);
    /* In order, too. */
    cxlf_host_stop(b.h[0]);
    b.h[0] = NULL;
    cxlf_wait_host_state(b.owner, 0, "free");
    begin_unbind(&b, 0, 1, 1);
    end(&b, UNBIND, SUCCESS);
    g_assert_cmpuint(used(&b), ==, 0);

    /* Bound while nobody is there. */
    bind_ld(&b, 0, 2, 2);
    start_host(&b, 0);
    r = take(b.h[0], 1);
    g_assert_cmphex(cxlf_load(&r, 8192, 8), ==, 0);
    stop(&b);
}

/* A host dies while it is asked; what it had modified was lost. */
static void test_death_unbinding(void)
{
    CxlfRegion r;
    QDict *info;
    Bench b;

    start(&b, ",on-death=poison");
    bind_ld(&b, 0, 1, 0);
    r = take(b.h[0], 0);
    cxlf_store(&r, 64, 9, 8);
    begin_unbind(&b, 0, 1, 1);
    kill_host(&b, 0);
    end(&b, UNBIND, SUCCESS);
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
static void test_bound(void)
{
    CxlfRegion r;
    Bench b;

    start_owner(&b, "", 1);
    expect_vppb(&b, 1, 1, "03 00 01");
    start_host(&b, 1);
    r = take(b.h[1], 0);
    cxlf_store(&r, 0, 3, 8);
    start_host(&b, 0);
    give_back(&b, &r, 1);
    bind_ld(&b, 0, 1, 1);
    r = take(b.h[0], 0);
    g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0);
    stop(&b);
}

/* A process that owns the fabric and is its host. */
static void test_embedded(void)
{
    g_autofree char *file = write_topology(0);
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
    end(&b, UNBIND, SUCCESS);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/bind/bulk", test_bulk);
    qtest_add_func("/cxlf/bind/hot", test_hot);
    qtest_add_func("/cxlf/bind/beside", test_beside);
    qtest_add_func("/cxlf/bind/errors", test_errors);
    qtest_add_func("/cxlf/bind/names", test_names);
    qtest_add_func("/cxlf/bind/surprise", test_surprise);
    qtest_add_func("/cxlf/bind/wait", test_wait);
    qtest_add_func("/cxlf/bind/timeout", test_timeout);
    qtest_add_func("/cxlf/bind/frozen", test_frozen);
    qtest_add_func("/cxlf/bind/death", test_death);
    qtest_add_func("/cxlf/bind/death-unbinding", test_death_unbinding);
    qtest_add_func("/cxlf/bind/bound", test_bound);
    qtest_add_func("/cxlf/bind/embedded", test_embedded);
    qtest_add_func("/cxlf/bind/slots", test_slots);
    return g_test_run();
}
