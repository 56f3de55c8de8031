/*
 * QTest of QoS: what hosts ask of a device, and how it answers
 *
 * One leaf, two hosts, and a device whose link has 1,000 MB/s: a line takes 5
 * slots of 16 ns there.  It is shared, or an MLD of two LDs, one for each host.
 * docs/qos.md has the model; what is expected here is computed from it.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "cxlf/topology-fdt.h"
#include "cxlf-fm.h"
#include "cxlf-hdm.h"

enum { LEAF, MLD };
enum { GFAM_LINK, HOST0_LINK, HOST1_LINK };
enum { SET_CONTROL = 0x5404, STATUS, ALLOCATE = 0x5407, LIMIT = 0x5409 };

#define DEV_LOAD    0x2000          /* a register of dpu-eca */
#define SLOW        1000            /* MB/s, of the device's link */
#define LINE        64
#define LINE_BYTES  96              /* a request, and the line */
#define BUSY_NS     80              /* of a line */
/*
 * A request of 16 bytes on the host's fast link (250 ps) and on the device's,
 * the line on the latter, and twice the leaf: 16 requests are under way.
 */
#define ROUND_PS    (250 + 180000 + 16000 + 180000 + 80000)
#define WANT_NS     (ROUND_PS / 16 / 1000)
#define FLOOD       200             /* lines */
/* Hosts look at the device with each request. */
#define ALWAYS      "01 0a 19 00 0000 00"

typedef struct Bench {
    char *path;
    QTestState *owner;
    CxlfHost *h[2];
    CxlfRegion r[2];
    unsigned next[2];               /* line that a host has not used */
} Bench;

typedef struct Use {
    int64_t bytes, busy, time, light, optimal, moderate, severe;
} Use;

static void start(Bench *b, bool lds, uint32_t rate)
{
    static struct cxlf_graph graph;
    struct cxlf_topology t = {
        .hosts = 2, .leaves = 1, .shards = 1, .gfams = 1,
        .gfam[0] = { .hot = 2 * CLASS_SIZE },
    };
    g_autofree char *file = g_strdup_printf("%s/cxlf-qos-%d.dtb",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *option = g_strdup_printf(",topology=%s", file);
    char blob[4096];
    size_t size;

    cxlf_graph_default(&t, 0, &graph);
    graph.link[GFAM_LINK].rate = rate;
    if (lds) {
        graph.lds[0] = 2;
        graph.bound[0][0] = 0;
        graph.bound[0][1] = 1;
    }
    size = cxlf_graph_write(&t, &graph, blob, sizeof(blob));
    g_assert_cmpuint(size, >, 0);
    g_assert_true(g_file_set_contents(file, blob, size, NULL));
    *b = (Bench) { .path = cxlf_socket_path() };
    b->owner = cxlf_owner_start(b->path, option);
    unlink(file);
    for (int i = 0; i < 2; i++) {
        b->h[i] = cxlf_host_start(b->path, !lds, "", CXLF_NEVER_MAPPED);
        if (lds) {
            cxlf_plug(b->h[i], 0, 0, i);
            b->r[i] = (CxlfRegion) {
                .h = b->h[i], .base = b->h[i]->window, .size = CLASS_SIZE,
            };
            cxlf_commit(&b->r[i]);
        } else {
            b->r[i] = cxlf_whole_region(b->h[i], 0);
        }
    }
    if (lds) {
        expect(b->owner, MLD, SET_CONTROL, ALWAYS, SUCCESS, ALWAYS);
    }
}

static void stop(Bench *b)
{
    for (int i = 0; i < 2; i++) {
        cxlf_host_stop(b->h[i]);
    }
    qtest_quit(b->owner);
    g_free(b->path);
}

/* A host loads @n lines that nobody has; the two hosts' are apart. */
static void load(Bench *b, int host, unsigned n)
{
    while (n--) {
        uint64_t at = (uint64_t)b->next[host]++ * LINE;

        cxlf_load(&b->r[host], at + host * (CLASS_SIZE / 2), 8);
    }
}

static QDict *ask(QTestState *qts)
{
    QDict *response = qtest_qmp(qts, "{'execute': 'x-query-cxl-fabric-qos'}");
    QDict *device = nth(response, "return", 0);

    qobject_ref(device);
    qobject_unref(response);
    return device;
}

/* What a host has used, as @qts says; nothing if it is not in the list. */
static Use use_at(QTestState *qts, int host, int ld)
{
    QDict *device = ask(qts);
    const QListEntry *e;
    Use use = { 0 };

    QLIST_FOREACH_ENTRY(qdict_get_qlist(device, "users"), e) {
        QDict *u = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_int(u, "host") != host) {
            continue;
        }
        g_assert_cmpint(qdict_get_try_int(u, "ld", -1), ==, ld);
        use = (Use) {
            .bytes = qdict_get_int(u, "bytes"),
            .busy = qdict_get_int(u, "busy-ns"),
            .time = qdict_get_int(u, "time-ns"),
            .light = qdict_get_int(u, "light"),
            .optimal = qdict_get_int(u, "optimal"),
            .moderate = qdict_get_int(u, "moderate"),
            .severe = qdict_get_int(u, "severe"),
        };
    }
    qobject_unref(device);
    return use;
}

static Use use_of(Bench *b, int host)
{
    return use_at(b->owner, host, host);
}

/* The same responses, as the host's guest reads them. */
static void expect_registers(Bench *b, int host, Use use)
{
    const int64_t responses[] = {
        use.light, use.optimal, use.moderate, use.severe
    };

    for (int i = 0; i < ARRAY_SIZE(responses); i++) {
        uint64_t at = b->h[host]->eca + DEV_LOAD + 8 * i;

        g_assert_cmpint(qtest_readq(b->h[host]->qts, at), ==, responses[i]);
        g_assert_cmpint(qtest_readl(b->h[host]->qts, at), ==, responses[i]);
        /* There is no such device. */
        g_assert_cmpint(qtest_readq(b->h[host]->qts, at + 0x20), ==, 0);
        g_assert_cmpint(qtest_readq(b->h[host]->qts, at + 0xe0), ==, 0);
    }
}

/* What the last @n requests of a host took, each, in ns. */
static int64_t time_of(Bench *b, int host, Use before, unsigned n)
{
    return (use_of(b, host).time - before.time) / n;
}

static void expect_about(int64_t value, int64_t wanted)
{
    g_assert_cmpint(value, >=, wanted - wanted / 50 - 1);
    g_assert_cmpint(value, <=, wanted + wanted / 50 + 1);
}

static void set_ld(Bench *b, int command, int ld, int value)
{
    g_autofree char *text = g_strdup_printf("01 %02x %02x", ld, value);

    expect(b->owner, MLD, command, text, SUCCESS, text);
}

static int backpressure(Bench *b)
{
    g_autoptr(GByteArray) nothing = g_byte_array_new();
    QDict *answer = tunnel(b->owner, MLD, STATUS, -1, nothing);
    g_autofree guchar *bytes = NULL;
    gsize length;

    g_assert_cmpint(qdict_get_int(answer, "return-code"), ==, SUCCESS);
    bytes = g_base64_decode(qdict_get_str(answer, "payload"), &length);
    qobject_unref(answer);
    g_assert_cmpuint(length, ==, 1);
    return bytes[0];
}

/* One floods its LD: it and the other are told so, and the manager. */
static void test_flood(void)
{
    QDict *device;
    Use u, other;
    Bench b;

    start(&b, true, SLOW);
    g_assert_cmpint(backpressure(&b), ==, 0);
    load(&b, 0, FLOOD);
    u = use_of(&b, 0);
    g_assert_cmpint(u.bytes, ==, FLOOD * LINE_BYTES);
    g_assert_cmpint(u.busy, ==, FLOOD * BUSY_NS);
    g_assert_cmpint(u.severe, ==, FLOOD);
    g_assert_cmpint(u.light + u.optimal + u.moderate, ==, 0);
    /* It is as fast as the device, which is slower than it would be. */
    expect_about(u.time / FLOOD, BUSY_NS);
    g_assert_cmpint(WANT_NS, <, BUSY_NS / 2);
    /* It asks for 80 ns of each 28, as the query before has found. */
    device = ask(b.owner);
    expect_about(qdict_get_int(device, "demand"),
                 100 * 1000 * BUSY_NS * 16 / ROUND_PS);
    qobject_unref(device);
    expect_about(backpressure(&b), 100 - ROUND_PS / (BUSY_NS * 160));

    load(&b, 1, 1);
    other = use_of(&b, 1);
    g_assert_cmpint(other.bytes, ==, LINE_BYTES);
    g_assert_cmpint(other.severe, ==, 1);
    expect_registers(&b, 0, u);
    expect_registers(&b, 1, other);
    /* What it has is its own: the device is not asked again. */
    cxlf_load(&b.r[1], CLASS_SIZE / 2, 8);
    g_assert_cmpint(use_of(&b, 1).bytes, ==, LINE_BYTES);
    /* Alone, and once, it is what it would be: nobody else asks. */
    g_assert_cmpint(use_at(b.h[1]->qts, 0, 0).severe, ==, FLOOD);
    stop(&b);
}

/* What the links have carried is what the users have used. */
static void test_links(void)
{
    static const char *const kinds[] = { "req", "rwd", "ndr", "drs" };
    QDict *response, *link;
    int64_t sum = 0;
    Bench b;

    start(&b, true, SLOW);
    load(&b, 0, 30);
    load(&b, 1, 20);
    response = qtest_qmp(b.owner, "{'execute': 'x-query-cxl-fabric-links'}");
    link = nth(response, "return", GFAM_LINK);
    for (int way = 0; way < 2; way++) {
        for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
            sum += qdict_get_int(nth(link, "counters", way), kinds[i]);
        }
    }
    qobject_unref(response);
    g_assert_cmpint(use_of(&b, 0).bytes, ==, 30 * LINE_BYTES);
    g_assert_cmpint(use_of(&b, 0).bytes + use_of(&b, 1).bytes, ==, sum);
    stop(&b);
}

/* An LD beyond its limit is slow; the others do not notice it then. */
static void test_limit(void)
{
    Use u, other;
    Bench b;

    start(&b, true, SLOW);
    set_ld(&b, LIMIT, 0, 64);
    for (int turn = 0; turn < 5; turn++) {
        /* A window that has the other's last request, too. */
        load(&b, 0, 1);
        u = use_of(&b, 0);
        other = use_of(&b, 1);
        load(&b, 0, 40);
        load(&b, 1, 1);
        /* Before a query: that ends the window, too. */
        g_assert_cmpint(backpressure(&b), ==, 0);
        expect_about(time_of(&b, 0, u, 40), 4 * BUSY_NS);
        g_assert_cmpint(use_of(&b, 0).severe - u.severe, ==, 40);
        expect_about(time_of(&b, 1, other, 1), WANT_NS);
        g_assert_cmpint(use_of(&b, 1).light - other.light, ==, 1);
    }
    set_ld(&b, LIMIT, 0, 0);
    u = use_of(&b, 0);
    other = use_of(&b, 1);
    load(&b, 0, 40);
    expect_about(time_of(&b, 0, u, 40), BUSY_NS);
    load(&b, 1, 1);
    g_assert_cmpint(use_of(&b, 1).severe - other.severe, ==, 1);
    g_assert_cmpint(backpressure(&b), >, 50);
    stop(&b);
}

/* What is allocated to an LD it has, whatever others ask for. */
static void test_allocated(void)
{
    Use u, other;
    Bench b;

    start(&b, true, SLOW);
    for (int allocated = 0; allocated <= 192; allocated += 192) {
        set_ld(&b, ALLOCATE, 1, allocated);
        load(&b, 0, 10);
        load(&b, 1, 1);
        u = use_of(&b, 0);
        other = use_of(&b, 1);
        for (int turn = 0; turn < 10; turn++) {
            load(&b, 0, 10);
            load(&b, 1, 1);
        }
        g_assert_cmpint(use_of(&b, 0).severe - u.severe, ==, 100);
        if (allocated) {
            /* a tenth of what host 0 wants, and less than it may have */
            g_assert_cmpint(use_of(&b, 1).optimal - other.optimal, ==, 10);
            expect_about(time_of(&b, 1, other, 10), WANT_NS);
        } else {
            g_assert_cmpint(use_of(&b, 1).severe - other.severe, ==, 10);
            g_assert_cmpint(time_of(&b, 1, other, 10), >, 2 * WANT_NS);
        }
    }
    stop(&b);
}

/* Get commands have what the set commands wrote, of one LD and of all. */
static void test_read_back(void)
{
    static const int get[] = { 0x5406, 0x5408 };
    Bench b;

    start(&b, true, SLOW);
    for (int i = 0; i < ARRAY_SIZE(get); i++) {
        expect(b.owner, MLD, get[i], "02 00", SUCCESS, "02 00 00 00");
        expect(b.owner, MLD, get[i] + 1, "01 01 25", SUCCESS, "01 01 25");
        expect(b.owner, MLD, get[i], "02 00", SUCCESS, "02 00 00 25");
        expect(b.owner, MLD, get[i] + 1, "02 00 07 60", SUCCESS,
               "02 00 07 60");
        expect(b.owner, MLD, get[i], "01 00", SUCCESS, "01 00 07");
        expect(b.owner, MLD, get[i], "01 01", SUCCESS, "01 01 60");
        expect(b.owner, MLD, get[i], "00 00", INVALID_INPUT, "");
        expect(b.owner, MLD, get[i], "03 00", INVALID_INPUT, "");
        expect(b.owner, MLD, get[i], "01 02", INVALID_INPUT, "");
        expect(b.owner, MLD, get[i], "01", INVALID_LENGTH, "");
        expect(b.owner, LEAF, get[i], "01 00", UNSUPPORTED, "");
    }
    /* The fractions of all LDs: the limit has none, and they are apart. */
    expect(b.owner, MLD, 0x5407, "02 00 a0 61", INVALID_INPUT, "");
    expect(b.owner, MLD, 0x5409, "02 00 ff ff", SUCCESS, "02 00 ff ff");
    expect(b.owner, MLD, 0x5406, "02 00", SUCCESS, "02 00 07 60");
    expect(b.owner, MLD, 0x5408, "02 00", SUCCESS, "02 00 ff ff");
    expect(b.owner, MLD, STATUS, "00", INVALID_LENGTH, "");
    expect(b.owner, LEAF, STATUS, "", UNSUPPORTED, "");
    stop(&b);
}

/* QoS Control: what is overload, and whether anyone is told of it. */
static void test_control(void)
{
    static const struct {
        const char *control;
        int light, optimal, moderate, severe;
    } all[] = {
        { "01 0a 19 00 0000 00", .severe = 10 },
        { "01 0a 64 00 0000 00", .moderate = 10 },
        { "01 60 64 00 0000 00", .optimal = 10 },
        { "00 0a 19 00 0000 00", .optimal = 10 },
    };
    Bench b;

    start(&b, true, SLOW);
    expect(b.owner, MLD, 0x5400, "", SUCCESS, "00000020 00*4 0200 01");
    expect(b.owner, MLD, SET_CONTROL, "03 0a 19 08 0000 40", INVALID_INPUT,
           "");
    expect(b.owner, MLD, SET_CONTROL, "01 1a 19 08 0000 40", INVALID_INPUT,
           "");
    expect(b.owner, MLD, 0x5403, "", SUCCESS, ALWAYS);
    for (int i = 0; i < ARRAY_SIZE(all); i++) {
        Use before = use_of(&b, 0), after;

        expect(b.owner, MLD, SET_CONTROL, all[i].control, SUCCESS,
               all[i].control);
        load(&b, 0, 10);
        after = use_of(&b, 0);
        g_assert_cmpint(after.light - before.light, ==, all[i].light);
        g_assert_cmpint(after.optimal - before.optimal, ==, all[i].optimal);
        g_assert_cmpint(after.moderate - before.moderate, ==,
                        all[i].moderate);
        g_assert_cmpint(after.severe - before.severe, ==, all[i].severe);
    }
    stop(&b);
}

/* Without LDs hosts are told apart; what others write back counts, too. */
static void test_shared(void)
{
    Use u;
    Bench b;

    start(&b, false, SLOW);
    load(&b, 0, FLOOD);
    u = use_at(b.owner, 0, -1);
    g_assert_cmpint(u.severe, ==, FLOOD);
    load(&b, 1, 1);
    g_assert_cmpint(use_at(b.owner, 1, -1).severe, ==, 1);
    expect_registers(&b, 1, use_at(b.owner, 1, -1));

    cxlf_store(&b.r[0], CLASS_SIZE, 5, 8);
    u = use_at(b.owner, 1, -1);
    g_assert_cmpint(cxlf_load(&b.r[1], CLASS_SIZE, 8), ==, 5);
    g_assert_cmpint(use_at(b.owner, 1, -1).bytes - u.bytes, ==,
                    2 * LINE_BYTES);
    g_assert_cmpint(use_at(b.owner, 1, -1).busy - u.busy, ==,
                    BUSY_NS + BUSY_NS / 5);
    stop(&b);
}

/* A device of the usual rate hardly notices one host. */
static void test_light(void)
{
    Use u;
    Bench b;

    start(&b, true, CXLF_DEFAULT_RATE);
    load(&b, 0, FLOOD);
    u = use_of(&b, 0);
    g_assert_cmpint(u.light, ==, FLOOD);
    expect_about(u.time / FLOOD, 2 * 180 / 16);
    g_assert_cmpint(backpressure(&b), ==, 0);
    expect_registers(&b, 0, u);
    stop(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/qos/flood", test_flood);
    qtest_add_func("/cxlf/qos/links", test_links);
    qtest_add_func("/cxlf/qos/limit", test_limit);
    qtest_add_func("/cxlf/qos/allocated", test_allocated);
    qtest_add_func("/cxlf/qos/read-back", test_read_back);
    qtest_add_func("/cxlf/qos/control", test_control);
    qtest_add_func("/cxlf/qos/shared", test_shared);
    qtest_add_func("/cxlf/qos/light", test_light);
    return g_test_run();
}
