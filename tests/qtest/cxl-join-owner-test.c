/*
 * QTest of the join protocol: hostile owners
 *
 * Each must give the member an error that says what was wrong, and leave it
 * well.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/memalign.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "cxlf/log.h"
#include "cxlf/route.h"
#include "cxlf-peer.h"
#include "cxlf-qtest.h"

typedef struct Owner {
    char *path;
    int listener;
    QTestState *qts;
    int fd;                 /* the connection of the join that runs */
    struct cxlf_topology t;
} Owner;

static const uint8_t uuid[16] = "0123456789abcde";
static struct cxlf_fabric the_table;    /* what is sent as the table */

/* Begin a join of the QEMU under test, and receive its JOIN. */
static void begin(Owner *o)
{
    struct cxlf_wire_header h;
    struct cxlf_wire_join join;
    g_autofree char *command = g_strdup_printf("{'execute': 'object-add',"
        "'arguments': {'qom-type': 'cxl-fabric', 'id': 'f', 'socket': '%s'}}",
        o->path);

    qtest_qmp_send_raw(o->qts, "%s", command);
    o->fd = peer_accept(o->listener);
    g_assert_true(peer_receive(o->fd, &h, &join, sizeof(join), NULL));
    g_assert_cmpint(h.type, ==, CXLF_WIRE_JOIN);
    g_assert_cmpint(join.host, ==, -1);
    g_assert_cmpint(join.blob, ==, 0);
}

/* The join must fail, with this in its error. */
static void finish(Owner *o, const char *text)
{
    QDict *response = qtest_qmp_receive(o->qts);
    const char *desc;

    g_assert_true(qdict_haskey(response, "error"));
    desc = qdict_get_str(qdict_get_qdict(response, "error"), "desc");
    g_assert_nonnull(strstr(desc, "joining the fabric at"));
    if (!strstr(desc, text)) {
        g_error("the error says '%s', not '%s'", desc, text);
    }
    qobject_unref(response);
    close(o->fd);
}

static void send_welcome(Owner *o, uint32_t host, uint32_t segments,
                         uint32_t doorbells, const void *blob, size_t size,
                         uint32_t says)
{
    g_autofree char *payload = g_malloc0(CXLF_WIRE_PAYLOAD_MAX);
    struct cxlf_wire_welcome w = {
        .host = host, .segments = segments, .doorbells = doorbells,
        .blob = says,
    };

    memcpy(w.uuid, uuid, sizeof(uuid));
    memcpy(payload, &w, sizeof(w));
    memcpy(payload + sizeof(w), blob, size);
    peer_send(o->fd, CXLF_WIRE_WELCOME, payload, sizeof(w) + size, -1);
}

/* A good WELCOME: one leaf, one device, and routing; two hosts. */
#define SEGMENTS 6

static void welcome(Owner *o)
{
    char blob[4096];
    size_t size = cxlf_topology_write(&o->t, blob, sizeof(blob));

    send_welcome(o, 0, SEGMENTS, 2, blob, size, size);
}

static int new_memfd(uint64_t size)
{
    int fd = memfd_create("cxlf-test", MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    return fd;
}

static void send_segment(Owner *o, uint32_t kind, uint32_t index,
                         uint64_t size, int fd)
{
    struct cxlf_wire_segment s = { kind, index, size };

    peer_send(o->fd, CXLF_WIRE_SEGMENT, &s, sizeof(s), fd);
}

static uint64_t whole_pages(uint64_t size)
{
    return (size + 4095) & ~4095ull;
}

static uint64_t table_size(void)
{
    return whole_pages(sizeof(struct cxlf_fabric));
}

#define LOG_SLOTS 64

static struct cxlf_log_header the_log;

#define LANES 4     /* two of each host */

static struct cxlf_graph the_graph;
static struct cxlf_routes the_routes;
static struct cxlf_counts the_counts;

static void fill_routing(Owner *o)
{
    size_t size;
    void *counts;

    cxlf_graph_default(&o->t, 0, &the_graph);
    cxlf_routes_format(&the_routes, &o->t, &the_graph, uuid);
    /* There are settings behind the counters. */
    size = whole_pages(cxlf_counts_size(&the_graph, LANES));
    counts = qemu_memalign(4096, size);
    memset(counts, 0, size);
    cxlf_counts_format(counts, &o->t, &the_graph, LANES, uuid);
    memcpy(&the_counts, counts, sizeof(the_counts));
    qemu_vfree(counts);
}

static void fill_log(void)
{
    cxlf_log_format(&the_log, LOG_SLOTS, 0, uuid);
}

/* All segments; @table and @leaf are written to them. */
static void send_segments(Owner *o, const struct cxlf_fabric *table,
                          const struct cxlf_leaf *leaf)
{
    const struct {
        const void *data;
        size_t length;
        uint64_t size;
    } part[CXLF_KINDS] = {
        { table, sizeof(*table), table_size() },
        { leaf, sizeof(*leaf), cxlf_leaf_size(&o->t) },
        { NULL, 0, 2 * CLASS_SIZE },
        { &the_log, sizeof(the_log), cxlf_log_size(LOG_SLOTS) },
        { &the_routes, sizeof(the_routes),
          whole_pages(cxlf_routes_size(&o->t, &the_graph)) },
        { &the_counts, sizeof(the_counts),
          whole_pages(cxlf_counts_size(&the_graph, LANES)) },
    };

    for (int kind = 0; kind < CXLF_KINDS; kind++) {
        int fd = new_memfd(part[kind].size);

        g_assert_cmpint(pwrite(fd, part[kind].data, part[kind].length, 0),
                        ==, part[kind].length);
        send_segment(o, kind, 0, part[kind].size, fd);
        close(fd);
    }
}

/* @count of them, whatever the message @says. */
static void send_doorbells(Owner *o, uint32_t first, uint32_t says, int count)
{
    struct cxlf_wire_doorbells w = { first, says };
    int fd[4] = { 0 };

    g_assert_cmpint(count, <=, ARRAY_SIZE(fd));
    for (int i = 0; i < count; i++) {
        fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        g_assert_cmpint(fd[i], >=, 0);
    }
    peer_send_many(o->fd, CXLF_WIRE_DOORBELLS, &w, sizeof(w), fd, count);
    for (int i = 0; i < count; i++) {
        close(fd[i]);
    }
}

static void fill_table(Owner *o, struct cxlf_fabric *table)
{
    memset(table, 0, sizeof(*table));
    table->segment = (struct cxlf_segment) {
        .magic = CXLF_FABRIC_MAGIC,
        .version = CXLF_ABI_VERSION,
        .header_size = sizeof(*table),
        .size = table_size(),
        .hosts = o->t.hosts,
    };
    memcpy(table->segment.uuid, uuid, sizeof(uuid));
}

static struct cxlf_leaf good_leaf(Owner *o)
{
    return cxlf_leaf_header(&o->t, 0, uuid);
}

static void bad_answers(Owner *o)
{
    struct cxlf_wire_header h;
    struct cxlf_wire_refuse refuse = { .text = "because\x01 of \xff that" };
    struct cxlf_wire_join join = peer_join();

    for (int i = 0; i < PEER_BAD_HEADERS; i++) {
        const PeerBadHeader *bad = &peer_bad_headers[i];

        if (bad->h.type == CXLF_WIRE_READY) {
            continue;       /* one of them is a good header, out of turn */
        }
        begin(o);
        peer_send_raw(o->fd, &bad->h, sizeof(bad->h));
        finish(o, bad->text);
    }
    begin(o);
    peer_send(o->fd, CXLF_WIRE_REFUSE, &refuse, sizeof(refuse), -1);
    finish(o, "the owner refuses: because? of ? that");
    memset(refuse.text, 'x', sizeof(refuse.text));  /* no zero at the end */
    begin(o);
    peer_send(o->fd, CXLF_WIRE_REFUSE, &refuse, sizeof(refuse), -1);
    finish(o, "the owner refuses: xxx");
    begin(o);
    peer_send(o->fd, CXLF_WIRE_JOIN, &join, sizeof(join), -1);
    finish(o, "out of turn");
    begin(o);
    peer_send(o->fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
    finish(o, "out of turn");
    begin(o);
    send_segment(o, CXLF_KIND_FABRIC, 0, 4096, -1);
    finish(o, "out of turn");
    begin(o);
    shutdown(o->fd, SHUT_RDWR);
    finish(o, "closed the connection");
    begin(o);
    h = peer_header(CXLF_WIRE_WELCOME, 64);
    peer_send_raw(o->fd, &h, sizeof(h));
    peer_send_raw(o->fd, &h, 8);
    shutdown(o->fd, SHUT_RDWR);
    finish(o, "closed the connection");
}

static void bad_welcomes(Owner *o)
{
    char blob[4096] = { 0 };
    size_t size;

    begin(o);
    send_welcome(o, 0, SEGMENTS, 2, blob, 64, 64);
    finish(o, "not a device tree blob");
    size = cxlf_topology_write(&o->t, blob, sizeof(blob));
    begin(o);
    send_welcome(o, 0, SEGMENTS, 2, blob, size, size - 1);
    finish(o, "topology's size does not fit");
    begin(o);
    send_welcome(o, 0, SEGMENTS, 2, blob, size, 0);
    finish(o, "topology's size does not fit");
    begin(o);
    send_welcome(o, 4095, SEGMENTS, 2, blob, size, size);
    finish(o, "host number out of range");
    begin(o);
    send_welcome(o, 2, SEGMENTS, 2, blob, size, size);
    finish(o, "WELCOME does not fit the topology");
    begin(o);
    send_welcome(o, 0, 3, 2, blob, size, size);
    finish(o, "impossible number of segments");
    begin(o);
    send_welcome(o, 0, SEGMENTS - 2, 2, blob, size, size);
    finish(o, "WELCOME does not fit the topology");
    begin(o);
    send_welcome(o, 0, SEGMENTS, 0, blob, size, size);
    finish(o, "impossible number of doorbells");
    begin(o);
    send_welcome(o, 0, SEGMENTS, 4096, blob, size, size);
    finish(o, "impossible number of doorbells");
    begin(o);
    send_welcome(o, 0, SEGMENTS, 3, blob, size, size);
    finish(o, "WELCOME does not fit the topology");
}

static void bad_segment(Owner *o, uint32_t kind, uint32_t index,
                        uint64_t size, int fd, const char *text)
{
    begin(o);
    welcome(o);
    send_segment(o, kind, index, size, fd);
    finish(o, text);
}

static void bad_segments(Owner *o)
{
    uint64_t size = table_size();
    int small = new_memfd(size - 1);
    int good = new_memfd(2 * CLASS_SIZE);
    int other[2];

    g_assert_cmpint(pipe(other), ==, 0);
    bad_segment(o, CXLF_KIND_FABRIC, 0, size, -1, "without a descriptor");
    bad_segment(o, CXLF_KIND_FABRIC, 0, size, small, "a wrong size");
    bad_segment(o, CXLF_KIND_FABRIC, 0, size, other[0], "a wrong size");
    bad_segment(o, CXLF_KIND_FABRIC, 0, size + 4096, good, "a wrong size");
    bad_segment(o, CXLF_KIND_LEAF, 0, 4096, good, "a wrong size");
    bad_segment(o, CXLF_KIND_GFAM, 0, CLASS_SIZE, good, "a wrong size");
    bad_segment(o, CXLF_KIND_FABRIC, 0, 0, good, "an impossible size");
    bad_segment(o, CXLF_KIND_GFAM, 0, UINT64_MAX, good,
                "an impossible size");
    bad_segment(o, CXLF_KINDS, 0, size, good, "names no segment");
    bad_segment(o, 0xffffffff, 0, size, good, "names no segment");
    bad_segment(o, CXLF_KIND_FABRIC, 1, size, good, "names no segment");
    bad_segment(o, CXLF_KIND_LEAF, 64, size, good, "names no segment");
    bad_segment(o, CXLF_KIND_LEAF, 1, size, good, "none of this fabric");
    bad_segment(o, CXLF_KIND_GFAM, 1, size, good, "none of this fabric");
    bad_segment(o, CXLF_KIND_LOG, 1, size, good, "names no segment");
    bad_segment(o, CXLF_KIND_ROUTES, 1, size, good, "names no segment");
    bad_segment(o, CXLF_KIND_ROUTES, 0, size, good, "a wrong size");
    bad_segment(o, CXLF_KIND_COUNTS, 1, size, good, "names no segment");
    bad_segment(o, CXLF_KIND_COUNTS, 0, size, good, "a wrong size");
    bad_segment(o, CXLF_KIND_LOG, 0, size + 4096, small, "a wrong size");
    bad_segment(o, CXLF_KIND_LOG, 0, 1ull << 31, good, "a wrong size");
    begin(o);
    welcome(o);
    send_segment(o, CXLF_KIND_FABRIC, 0, size, good);
    send_segment(o, CXLF_KIND_FABRIC, 0, size, good);
    finish(o, "came twice");
    close(small);
    close(good);
    close(other[0]);
    close(other[1]);
}

static void begin_doorbells(Owner *o)
{
    struct cxlf_leaf leaf = good_leaf(o);

    begin(o);
    welcome(o);
    fill_table(o, &the_table);
    fill_log();
    fill_routing(o);
    send_segments(o, &the_table, &leaf);
}

static void bad_doorbells(Owner *o)
{
    struct cxlf_wire_doorbells one = { 0, 1 };
    int blocking = eventfd(0, EFD_CLOEXEC);
    int end[2];

    g_assert_cmpint(blocking, >=, 0);
    g_assert_cmpint(pipe2(end, O_NONBLOCK | O_CLOEXEC), ==, 0);
    begin_doorbells(o);
    send_segment(o, CXLF_KIND_FABRIC, 0, table_size(), -1);
    finish(o, "out of turn");
    begin_doorbells(o);
    peer_send(o->fd, CXLF_WIRE_READY, NULL, 0, -1);
    finish(o, "out of turn");
    begin_doorbells(o);
    send_doorbells(o, 0, 2, 0);
    finish(o, "with 0 descriptors instead of 2");
    begin_doorbells(o);
    send_doorbells(o, 0, 2, 1);
    finish(o, "with 1 descriptors instead of 2");
    begin_doorbells(o);
    send_doorbells(o, 0, 2, 3);
    finish(o, "with 3 descriptors instead of 2");
    begin_doorbells(o);
    send_doorbells(o, 0, 0, 0);
    finish(o, "names no host numbers");
    begin_doorbells(o);
    send_doorbells(o, 0, 241, 2);
    finish(o, "names no host numbers");
    begin_doorbells(o);
    send_doorbells(o, 4095, 1, 1);
    finish(o, "names no host numbers");
    begin_doorbells(o);
    send_doorbells(o, 0xffffffff, 2, 2);
    finish(o, "names no host numbers");
    begin_doorbells(o);
    send_doorbells(o, 0, 3, 3);
    finish(o, "none of this fabric");
    begin_doorbells(o);
    send_doorbells(o, 1, 1, 1);
    finish(o, "none of this fabric");
    begin_doorbells(o);
    send_doorbells(o, 0, 1, 1);
    send_doorbells(o, 0, 1, 1);
    finish(o, "came twice");
    begin_doorbells(o);
    send_doorbells(o, 0, 1, 1);
    shutdown(o->fd, SHUT_RDWR);
    finish(o, "closed the connection");
    begin_doorbells(o);
    peer_send(o->fd, CXLF_WIRE_DOORBELLS, &one, sizeof(one), blocking);
    finish(o, "that of host 0 is none");
    begin_doorbells(o);
    send_doorbells(o, 0, 1, 1);
    one.first = 1;
    peer_send(o->fd, CXLF_WIRE_DOORBELLS, &one, sizeof(one), end[0]);
    finish(o, "that of host 1 is none");
    close(blocking);
    close(end[0]);
    close(end[1]);
}

/* A join that is good but for what these segments begin with. */
static void bad_content(Owner *o, const struct cxlf_leaf *leaf,
                        const char *text)
{
    begin(o);
    welcome(o);
    send_segments(o, &the_table, leaf);
    send_doorbells(o, 0, 2, 2);
    finish(o, text);
}

static void bad_contents(Owner *o)
{
    struct cxlf_leaf leaf = good_leaf(o);

    fill_log();
    fill_routing(o);
    fill_table(o, &the_table);
    the_table.segment.magic++;
    bad_content(o, &leaf, "fabric segment: its header does not fit");
    fill_table(o, &the_table);
    the_table.segment.uuid[3]++;
    bad_content(o, &leaf, "fabric segment: its header does not fit");

    fill_table(o, &the_table);
    leaf.segment.magic++;
    bad_content(o, &leaf, "leaf segment: wrong magic number");
    leaf = good_leaf(o);
    leaf.segment.version++;
    bad_content(o, &leaf, "leaf segment: made by another ABI version");
    leaf = good_leaf(o);
    leaf.segment.uuid[0]++;
    bad_content(o, &leaf, "leaf segment: belongs to another fabric");
    leaf = good_leaf(o);
    leaf.table[CXLF_LINE_UNIT].entries_offset += 1ull << 40;
    bad_content(o, &leaf, "leaf segment: its geometry does not fit");

    leaf = good_leaf(o);
    the_routes.segment.uuid[3]++;
    bad_content(o, &leaf, "the routing tables' header is not that");
    fill_routing(o);
    the_routes.links++;
    bad_content(o, &leaf, "the routing tables' header is not that");
    fill_routing(o);
    the_counts.segment.version--;
    bad_content(o, &leaf, "the link counters' header is not that");
    fill_routing(o);
    the_counts.lanes++;
    bad_content(o, &leaf, "the link counters' header is not that");
    fill_routing(o);

    the_log.magic++;
    bad_content(o, &leaf, "ownership log: wrong magic number");
    fill_log();
    the_log.host = 1;
    bad_content(o, &leaf, "ownership log: belongs to another host");
    fill_log();
    the_log.slots *= 2;
    bad_content(o, &leaf, "ownership log: its number of slots does not fit");
    fill_log();
    the_log.slots--;
    bad_content(o, &leaf, "ownership log: its number of slots does not fit");
}

/* Answers to what nobody has asked, a byte at a time, and what is none. */
static void send_answers(Owner *o)
{
    struct {
        struct cxlf_wire_header h;
        struct cxlf_wire_answer a;
    } answer = {
        peer_header(CXLF_WIRE_ANSWER, sizeof(struct cxlf_wire_answer)),
        { .token = 1, .number = 1 },
    };
    char garbage[4096];

    for (size_t i = 0; i < sizeof(answer); i++) {
        g_assert_true(peer_send_raw(o->fd, (char *)&answer + i, 1));
    }
    answer.a.result = CXLF_ANSWERS;
    g_assert_true(peer_send_raw(o->fd, &answer, sizeof(answer)));
    answer.h.length = UINT32_MAX;
    g_assert_true(peer_send_raw(o->fd, &answer, sizeof(answer)));
    for (int i = 0; i < 20; i++) {
        for (size_t n = 0; n < sizeof(garbage); n++) {
            garbage[n] = g_test_rand_int();
        }
        g_assert_true(peer_send_raw(o->fd, garbage,
                                    g_test_rand_int_range(1, 4096)));
    }
}

/* The same hands can also do it right; and then hang up. */
static void good_owner(Owner *o)
{
    struct cxlf_wire_header h;
    QDict *response;

    begin_doorbells(o);
    send_doorbells(o, 0, 1, 1);
    send_doorbells(o, 1, 1, 1);
    response = qtest_qmp_receive(o->qts);
    g_assert_true(qdict_haskey(response, "return"));
    qobject_unref(response);
    g_assert_true(peer_receive(o->fd, &h, NULL, 0, NULL));
    g_assert_cmpint(h.type, ==, CXLF_WIRE_READY);
    /* What is not defined yet is ignored. */
    peer_send(o->fd, CXLF_WIRE_JOIN, &(struct cxlf_wire_join) { 0 },
              sizeof(struct cxlf_wire_join), -1);
    send_answers(o);
    g_assert_false(cxlf_has_event(o->qts, "X_CXL_FABRIC_LOST"));
    close(o->fd);
    qobject_unref(cxlf_wait_event(o->qts, "X_CXL_FABRIC_LOST"));
}

static void test_hostile_owner(const void *data)
{
    void (*const act)(Owner *o) = data;
    Owner o = {
        .path = cxlf_socket_path(),
        .t = {
            .hosts = 2, .leaves = 1, .shards = 1, .gfams = 1,
            .gfam[0] = { CLASS_SIZE, CLASS_SIZE, 0 },
        },
    };

    o.listener = peer_listen(o.path);
    o.qts = qtest_init("-machine none -nodefaults");
    act(&o);
    close(o.listener);
    unlink(o.path);
    /* It lives, and can join a real owner. */
    qtest_quit(o.qts);
    g_free(o.path);
}

static void add_owner_test(const char *name, void (*act)(Owner *o))
{
    g_autofree char *whole = g_strdup_printf("/cxlf/join/owner/%s", name);

    qtest_add_data_func(whole, act, test_hostile_owner);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_owner_test("answers", bad_answers);
    add_owner_test("welcomes", bad_welcomes);
    add_owner_test("segments", bad_segments);
    add_owner_test("doorbells", bad_doorbells);
    add_owner_test("contents", bad_contents);
    add_owner_test("good", good_owner);
    return g_test_run();
}
