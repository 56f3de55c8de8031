/*
 * QTest of the join protocol: hostile members, and hostile owners
 *
 * After each mishap the other side must live on, and serve the next.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "cxlf-peer.h"
#include "cxlf-qtest.h"

typedef struct Fixture {
    char *path;
    QTestState *owner;
} Fixture;

static void set_up(Fixture *f, const void *data)
{
    f->path = cxlf_socket_path();
    f->owner = cxlf_owner_start(f->path, ",hosts=2,leaves=2");
}

/* The owner is well: it answers, nobody is left, and one can join. */
static void check_owner(Fixture *f)
{
    for (int host = 0; host < 2; host++) {
        cxlf_wait_host_state(f->owner, host, "free");
    }
    peer_good_join(f->path);
    cxlf_wait_host_state(f->owner, 0, "free");
}

static void tear_down(Fixture *f, const void *data)
{
    check_owner(f);
    qtest_quit(f->owner);
    g_free(f->path);
}

/* Hostile members: bad messages before anything was given to them */

typedef struct BadHeader {
    const char *name;
    struct cxlf_wire_header h;
    const char *text;
} BadHeader;

#define MAGIC   CXLF_WIRE_MAGIC
#define JOIN    sizeof(struct cxlf_wire_join)

static const BadHeader bad_headers[] = {
    { "magic", { 0x12345678, 1, CXLF_WIRE_JOIN, JOIN, 0 },
      "not a message of a CXL fabric" },
    { "version", { MAGIC, 2, CXLF_WIRE_JOIN, JOIN, 0 },
      "another version of the join protocol" },
    { "type0", { MAGIC, 1, 0, 0, 0 }, "unknown type of message" },
    { "type7", { MAGIC, 1, 7, 0, 0 }, "unknown type of message" },
    { "type-max", { MAGIC, 1, 0xffff, 0, 0 }, "unknown type of message" },
    { "short", { MAGIC, 1, CXLF_WIRE_JOIN, JOIN - 1, 0 },
      "length does not fit its type" },
    { "long", { MAGIC, 1, CXLF_WIRE_JOIN, JOIN + CXLF_WIRE_BLOB_MAX + 1, 0 },
      "length does not fit its type" },
    { "huge", { MAGIC, 1, CXLF_WIRE_JOIN, 0xffffffff, 0 },
      "length does not fit its type" },
    { "wrap", { MAGIC, 1, CXLF_WIRE_JOIN, 0xfffffff0, 0 },
      "length does not fit its type" },
    { "ready-with-payload", { MAGIC, 1, CXLF_WIRE_READY, 1, 0 },
      "length does not fit its type" },
    { "reserved", { MAGIC, 1, CXLF_WIRE_JOIN, JOIN, 1 },
      "a reserved field of the message is not zero" },
    { "ready-first", { MAGIC, 1, CXLF_WIRE_READY, 0, 0 },
      "READY: out of turn" },
};

static void test_bad_headers(Fixture *f, const void *data)
{
    for (int i = 0; i < ARRAY_SIZE(bad_headers); i++) {
        int fd = peer_connect(f->path);

        g_test_message("%s", bad_headers[i].name);
        g_assert_true(peer_send_raw(fd, &bad_headers[i].h,
                                    sizeof(bad_headers[i].h)));
        peer_expect_refusal(fd, bad_headers[i].text);
        check_owner(f);
    }
}

static void test_owners_messages(Fixture *f, const void *data)
{
    static const struct {
        uint16_t type;
        size_t length;
    } owners[] = {
        { CXLF_WIRE_WELCOME, sizeof(struct cxlf_wire_welcome) },
        { CXLF_WIRE_SEGMENT, sizeof(struct cxlf_wire_segment) },
        { CXLF_WIRE_REFUSE, sizeof(struct cxlf_wire_refuse) },
    };
    char zero[512] = { 0 };

    for (int i = 0; i < ARRAY_SIZE(owners); i++) {
        int fd = peer_connect(f->path);

        peer_send(fd, owners[i].type, zero, owners[i].length, -1);
        peer_expect_refusal(fd, "only the owner may send");
        check_owner(f);
    }
}

static void test_truncated(Fixture *f, const void *data)
{
    struct cxlf_wire_join join = peer_join();
    struct cxlf_wire_header h = peer_header(CXLF_WIRE_JOIN, sizeof(join));
    char message[sizeof(h) + sizeof(join)];

    memcpy(message, &h, sizeof(h));
    memcpy(message + sizeof(h), &join, sizeof(join));
    for (size_t cut = 0; cut < sizeof(message); cut++) {
        int fd = peer_connect(f->path);

        g_assert_true(peer_send_raw(fd, message, cut));
        close(fd);
    }
    /* The same with a half-open connection: only our direction ends. */
    for (size_t cut = 0; cut < sizeof(message); cut += 7) {
        int fd = peer_connect(f->path);

        g_assert_true(peer_send_raw(fd, message, cut));
        g_assert_cmpint(shutdown(fd, SHUT_WR), ==, 0);
        peer_expect_end(fd);
    }
}

static void send_join(Fixture *f, const struct cxlf_wire_join *join,
                      const void *blob, size_t size, const char *text)
{
    g_autofree char *payload = g_malloc(sizeof(*join) + size);
    int fd = peer_connect(f->path);

    memcpy(payload, join, sizeof(*join));
    memcpy(payload + sizeof(*join), blob, size);
    peer_send(fd, CXLF_WIRE_JOIN, payload, sizeof(*join) + size, -1);
    peer_expect_refusal(fd, text);
    check_owner(f);
}

static void test_bad_joins(Fixture *f, const void *data)
{
    g_autofree char *garbage = g_malloc(CXLF_WIRE_BLOB_MAX);
    struct cxlf_wire_join join;

    for (int i = 0; i < CXLF_WIRE_BLOB_MAX; i++) {
        garbage[i] = g_test_rand_int();
    }
    join = peer_join();
    join.abi_version++;
    send_join(f, &join, NULL, 0, "another ABI version");
    join = peer_join();
    join.leaf_header++;
    send_join(f, &join, NULL, 0, "structures have other sizes");
    join = peer_join();
    join.fabric_header = 0;
    send_join(f, &join, NULL, 0, "structures have other sizes");
    join = peer_join();
    join.entry_size = 8;
    send_join(f, &join, NULL, 0, "structures have other sizes");
    join = peer_join();
    join.host = -2;
    send_join(f, &join, NULL, 0, "'host' must be -1 to 61");
    join.host = 62;
    send_join(f, &join, NULL, 0, "'host' must be -1 to 61");
    join.host = INT32_MIN;
    send_join(f, &join, NULL, 0, "'host' must be -1 to 61");
    join.host = 2;
    send_join(f, &join, NULL, 0, "'host' is beyond the topology's hosts");
    join = peer_join();
    join.blob = 1;
    send_join(f, &join, NULL, 0, "topology's size does not fit");
    join.blob = 0;
    send_join(f, &join, garbage, 1, "topology's size does not fit");
    join.blob = 0xffffffff;
    send_join(f, &join, garbage, 64, "topology's size does not fit");
    join.blob = CXLF_WIRE_BLOB_MAX;
    send_join(f, &join, garbage, CXLF_WIRE_BLOB_MAX, "not a device tree");
}

/* A good topology blob with one byte spoilt: never worse than a refusal. */
static void test_spoilt_topology(Fixture *f, const void *data)
{
    struct cxlf_topology t = {
        .hosts = 2, .leaves = 2, .shards = 4, .gfams = 1,
        .gfam[0] = { CLASS_SIZE, CLASS_SIZE, 0 }, .host_leaf = { 0, 1 },
    };
    struct cxlf_wire_join join = peer_join();
    char blob[4096];
    size_t size = cxlf_topology_write(&t, blob, sizeof(blob));

    join.blob = size;
    for (int i = 0; i < 200; i++) {
        char payload[sizeof(join) + sizeof(blob)];
        struct cxlf_topology other;
        const char *why;
        int fd;

        memcpy(payload, &join, sizeof(join));
        memcpy(payload + sizeof(join), blob, size);
        payload[sizeof(join) + g_test_rand_int_range(0, size)] ^=
            g_test_rand_int_range(1, 256);
        if (cxlf_topology_read(payload + sizeof(join), size, &other, &why) &&
            !memcmp(&other, &t, sizeof(t))) {
            continue;           /* the byte was of no importance */
        }
        fd = peer_connect(f->path);
        peer_send(fd, CXLF_WIRE_JOIN, payload, sizeof(join) + size, -1);
        peer_expect_refusal(fd, "");
    }
}

static void test_silent(Fixture *f, const void *data)
{
    int fd[100];

    for (int i = 0; i < ARRAY_SIZE(fd); i++) {
        fd[i] = peer_connect(f->path);
    }
    check_owner(f);
    for (int i = 0; i < ARRAY_SIZE(fd) / 2; i++) {
        close(fd[i]);
    }
    check_owner(f);
    /* Whoever stays silent is told so in the end. */
    for (int i = ARRAY_SIZE(fd) / 2; i < ARRAY_SIZE(fd); i++) {
        peer_expect_refusal(fd[i], "not finished in time");
    }
}

/* Hostile members that have been given a number: they are killed */

static void stay(int fd)
{
    for (;;) {
        pause();
    }
}

static void send_garbage(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send_raw(fd, "garbage, garbage", 16);
    stay(fd);
}

static void send_twice(const char *path, const void *data)
{
    struct cxlf_wire_join join = peer_join();
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_JOIN, &join, sizeof(join), -1);
    stay(fd);
}

static void ready_twice(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    stay(fd);
}

static void hang_up_joining(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    close(fd);
    stay(-1);
}

static void hang_up_ready(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    close(fd);
    stay(-1);
}

static void half_close(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    shutdown(fd, SHUT_WR);
    stay(fd);
}

/* JOIN, and hang up before the answer is read. */
static void join_and_run(const char *path, const void *data)
{
    struct cxlf_wire_join join = peer_join();
    int fd = peer_connect(path);

    peer_send(fd, CXLF_WIRE_JOIN, &join, sizeof(join), -1);
    close(fd);
    stay(-1);
}

static void never_ready(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    stay(fd);
}

static void test_fenced(Fixture *f, const void *data)
{
    pid_t pid = peer_fork(f->path, data, NULL);
    int status = peer_wait(pid);

    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

/* Hostile members that end by themselves */

static void leave_first(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
    peer_expect_end(fd);
}

static void leave_joining(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
    peer_expect_end(fd);
}

static void exit_joining(const char *path, const void *data)
{
    peer_join_as(peer_connect(path), -1);
}

static void exit_after_join(const char *path, const void *data)
{
    struct cxlf_wire_join join = peer_join();
    int fd = peer_connect(path);

    peer_send(fd, CXLF_WIRE_JOIN, &join, sizeof(join), -1);
}

static void exit_with_garbage(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send_raw(fd, "garbage, garbage", 16);
}

/* All of a stay in one piece, and gone before it is read. */
static void whole_stay(const char *path, const void *data)
{
    struct {
        struct cxlf_wire_header join_header;
        struct cxlf_wire_join join;
        struct cxlf_wire_header ready, leave;
    } all = {
        peer_header(CXLF_WIRE_JOIN, sizeof(struct cxlf_wire_join)),
        peer_join(),
        peer_header(CXLF_WIRE_READY, 0),
        peer_header(CXLF_WIRE_LEAVE, 0),
    };
    int fd = peer_connect(path);

    peer_send_raw(fd, &all, sizeof(all));
}

/* A byte at a time is slow, but no fault. */
static void dribble(const char *path, const void *data)
{
    struct cxlf_wire_join join = peer_join();
    struct cxlf_wire_header h = peer_header(CXLF_WIRE_JOIN, sizeof(join));
    char message[sizeof(h) + sizeof(join)];
    int fd = peer_connect(path);

    memcpy(message, &h, sizeof(h));
    memcpy(message + sizeof(h), &join, sizeof(join));
    for (size_t i = 0; i < sizeof(message); i++) {
        g_assert_true(peer_send_raw(fd, message + i, 1));
    }
    g_assert_true(recv(fd, &h, sizeof(h), MSG_WAITALL) == sizeof(h));
    g_assert_cmpint(h.type, ==, CXLF_WIRE_WELCOME);
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
}

static void test_leaves(Fixture *f, const void *data)
{
    for (int i = 0; i < 5; i++) {
        int status = peer_wait(peer_fork(f->path, data, NULL));

        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
        cxlf_wait_host_state(f->owner, 0, "free");
    }
}

/* These may be killed before they end by themselves. */
static void test_ends(Fixture *f, const void *data)
{
    for (int i = 0; i < 5; i++) {
        peer_wait(peer_fork(f->path, data, NULL));
        cxlf_wait_host_state(f->owner, 0, "free");
    }
}

/*
 * A member spoils its connection and dies, but a child of its own keeps the
 * socket: the stream has no end, and its process is dead all the same.
 */
typedef struct Orphan {
    int started[2];         /* pipe: the child has the socket */
    int joined[2];          /* pipe: the member has joined */
    int go[2];              /* pipe: it may go on */
    int stop[2];            /* pipe: its end is the child's */
} Orphan;

static void send_byte(int fd)
{
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
}

static void expect_byte(int fd)
{
    char byte;

    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
}

static void orphan_socket(const char *path, const void *data)
{
    const Orphan *o = data;
    int fd = peer_connect(path);
    char byte;

    peer_join_as(fd, -1);
    if (fork() == 0) {
        close(o->stop[1]);
        send_byte(o->started[1]);
        g_assert_cmpint(read(o->stop[0], &byte, 1), ==, 0);
        _exit(0);
    }
    expect_byte(o->started[0]);
    send_byte(o->joined[1]);
    expect_byte(o->go[0]);
    peer_send_raw(fd, "garbage, garbage", 16);
}

/*
 * The owner sleeps while the member speaks and dies, so that it finds both
 * at once when it wakes.
 */
static void test_orphan(Fixture *f, const void *data)
{
    pid_t owner = qtest_pid(f->owner), pid;
    Orphan o;
    int status;

    g_assert_cmpint(pipe(o.started), ==, 0);
    g_assert_cmpint(pipe(o.joined), ==, 0);
    g_assert_cmpint(pipe(o.go), ==, 0);
    g_assert_cmpint(pipe(o.stop), ==, 0);
    pid = peer_fork(f->path, orphan_socket, &o);
    expect_byte(o.joined[0]);
    g_assert_cmpint(kill(owner, SIGSTOP), ==, 0);
    send_byte(o.go[1]);
    status = peer_wait(pid);
    g_assert_cmpint(kill(owner, SIGCONT), ==, 0);
    g_assert_true(WIFEXITED(status));
    check_owner(f);
    for (int i = 0; i < 2; i++) {
        close(o.started[i]);
        close(o.joined[i]);
        close(o.go[i]);
        close(o.stop[i]);
    }
}

/* A peer that is dead, and reaped, before its connection is accepted. */
static void test_dead_first(Fixture *f, const void *data)
{
    pid_t owner = qtest_pid(f->owner);

    g_assert_cmpint(kill(owner, SIGSTOP), ==, 0);
    peer_wait(peer_fork(f->path, data, NULL));
    g_assert_cmpint(kill(owner, SIGCONT), ==, 0);
}

/* Hostile owners */

typedef struct Owner {
    char *path;
    int listener;
    QTestState *qts;
    int fd;                 /* the connection of the join that runs */
    struct cxlf_topology t;
} Owner;

static const uint8_t uuid[16] = "0123456789abcde";

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
                         const void *blob, size_t size, uint32_t says)
{
    g_autofree char *payload = g_malloc0(CXLF_WIRE_PAYLOAD_MAX);
    struct cxlf_wire_welcome w = {
        .host = host, .segments = segments, .blob = says,
    };

    memcpy(w.uuid, uuid, sizeof(uuid));
    memcpy(payload, &w, sizeof(w));
    memcpy(payload + sizeof(w), blob, size);
    peer_send(o->fd, CXLF_WIRE_WELCOME, payload, sizeof(w) + size, -1);
}

/* A good WELCOME: one leaf, one device, so three segments. */
static void welcome(Owner *o)
{
    char blob[4096];
    size_t size = cxlf_topology_write(&o->t, blob, sizeof(blob));

    send_welcome(o, 0, 3, blob, size, size);
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

static uint64_t table_size(void)
{
    return (sizeof(struct cxlf_fabric) + 4095) & ~4095ull;
}

/* All three segments; @table and @leaf are written to them. */
static void send_segments(Owner *o, const struct cxlf_fabric *table,
                          const struct cxlf_leaf *leaf)
{
    uint64_t size[CXLF_KINDS] = {
        table_size(), cxlf_leaf_size(&o->t), 2 * CLASS_SIZE,
    };

    for (int kind = 0; kind < CXLF_KINDS; kind++) {
        int fd = new_memfd(size[kind]);

        if (kind == CXLF_KIND_FABRIC) {
            g_assert_cmpint(pwrite(fd, table, sizeof(*table), 0), ==,
                            sizeof(*table));
        } else if (kind == CXLF_KIND_LEAF) {
            g_assert_cmpint(pwrite(fd, leaf, sizeof(*leaf), 0), ==,
                            sizeof(*leaf));
        }
        send_segment(o, kind, 0, size[kind], fd);
        close(fd);
    }
}

static struct cxlf_fabric good_table(Owner *o)
{
    struct cxlf_fabric table = {
        .segment = {
            .magic = CXLF_FABRIC_MAGIC,
            .version = CXLF_ABI_VERSION,
            .header_size = sizeof(table),
            .size = table_size(),
            .hosts = o->t.hosts,
        },
    };

    memcpy(table.segment.uuid, uuid, sizeof(uuid));
    return table;
}

static struct cxlf_leaf good_leaf(Owner *o)
{
    struct cxlf_leaf leaf;

    cxlf_leaf_format(&leaf, &o->t, 0, uuid);
    return leaf;
}

static void bad_answers(Owner *o)
{
    struct cxlf_wire_header h;
    struct cxlf_wire_refuse refuse = { .text = "because\x01 of \xff that" };
    struct cxlf_wire_join join = peer_join();

    for (int i = 0; i < ARRAY_SIZE(bad_headers); i++) {
        if (bad_headers[i].h.type == CXLF_WIRE_READY) {
            continue;
        }
        begin(o);
        peer_send_raw(o->fd, &bad_headers[i].h, sizeof(bad_headers[i].h));
        finish(o, bad_headers[i].text);
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
    send_welcome(o, 0, 3, blob, 64, 64);
    finish(o, "not a device tree blob");
    size = cxlf_topology_write(&o->t, blob, sizeof(blob));
    begin(o);
    send_welcome(o, 0, 3, blob, size, size - 1);
    finish(o, "topology's size does not fit");
    begin(o);
    send_welcome(o, 0, 3, blob, size, 0);
    finish(o, "topology's size does not fit");
    begin(o);
    send_welcome(o, 62, 3, blob, size, size);
    finish(o, "host number out of range");
    begin(o);
    send_welcome(o, 2, 3, blob, size, size);
    finish(o, "WELCOME does not fit the topology");
    begin(o);
    send_welcome(o, 0, 2, blob, size, size);
    finish(o, "impossible number of segments");
    begin(o);
    send_welcome(o, 0, 4, blob, size, size);
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
    bad_segment(o, CXLF_KIND_LEAF, 8, size, good, "names no segment");
    bad_segment(o, CXLF_KIND_LEAF, 1, size, good, "none of this fabric");
    bad_segment(o, CXLF_KIND_GFAM, 1, size, good, "none of this fabric");
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

static void bad_contents(Owner *o)
{
    struct cxlf_fabric table = good_table(o);
    struct cxlf_leaf leaf = good_leaf(o);

    table.segment.magic++;
    begin(o);
    welcome(o);
    send_segments(o, &table, &leaf);
    finish(o, "fabric segment: its header does not fit");
    table = good_table(o);
    table.segment.uuid[3]++;
    begin(o);
    welcome(o);
    send_segments(o, &table, &leaf);
    finish(o, "fabric segment: its header does not fit");

    table = good_table(o);
    leaf.segment.magic++;
    begin(o);
    welcome(o);
    send_segments(o, &table, &leaf);
    finish(o, "leaf segment: wrong magic number");
    leaf = good_leaf(o);
    leaf.segment.version++;
    begin(o);
    welcome(o);
    send_segments(o, &table, &leaf);
    finish(o, "leaf segment: made by another ABI version");
    leaf = good_leaf(o);
    leaf.segment.uuid[0]++;
    begin(o);
    welcome(o);
    send_segments(o, &table, &leaf);
    finish(o, "leaf segment: belongs to another fabric");
    leaf = good_leaf(o);
    leaf.entries_offset += 1ull << 40;
    begin(o);
    welcome(o);
    send_segments(o, &table, &leaf);
    finish(o, "leaf segment: its geometry does not fit");
}

/* The same hands can also do it right; and then hang up. */
static void good_owner(Owner *o)
{
    struct cxlf_fabric table = good_table(o);
    struct cxlf_leaf leaf = good_leaf(o);
    struct cxlf_wire_header h;
    QDict *response;

    begin(o);
    welcome(o);
    send_segments(o, &table, &leaf);
    response = qtest_qmp_receive(o->qts);
    g_assert_true(qdict_haskey(response, "return"));
    qobject_unref(response);
    g_assert_true(peer_receive(o->fd, &h, NULL, 0, NULL));
    g_assert_cmpint(h.type, ==, CXLF_WIRE_READY);
    /* What is not defined yet is ignored. */
    peer_send(o->fd, CXLF_WIRE_JOIN, &(struct cxlf_wire_join) { 0 },
              sizeof(struct cxlf_wire_join), -1);
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

static void add_member_test(const char *name, const void *data,
                            void (*test)(Fixture *f, const void *data))
{
    g_autofree char *whole = g_strdup_printf("cxlf/join/member/%s", name);

    qtest_add(whole, Fixture, data, set_up, test, tear_down);
}

static void add_fenced_test(const char *name, PeerFunction function)
{
    add_member_test(name, function, test_fenced);
}

static void add_leave_test(const char *name, PeerFunction function)
{
    add_member_test(name, function, test_leaves);
}

static void add_owner_test(const char *name, void (*act)(Owner *o))
{
    g_autofree char *whole = g_strdup_printf("/cxlf/join/owner/%s", name);

    qtest_add_data_func(whole, act, test_hostile_owner);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_member_test("headers", NULL, test_bad_headers);
    add_member_test("owners-messages", NULL, test_owners_messages);
    add_member_test("truncated", NULL, test_truncated);
    add_member_test("joins", NULL, test_bad_joins);
    add_member_test("spoilt-topology", NULL, test_spoilt_topology);
    add_member_test("silent", NULL, test_silent);
    add_member_test("orphan", NULL, test_orphan);
    add_member_test("dead-first/join", exit_after_join, test_dead_first);
    add_member_test("dead-first/stay", whole_stay, test_dead_first);
    add_fenced_test("fenced/garbage", send_garbage);
    add_fenced_test("fenced/join-twice", send_twice);
    add_fenced_test("fenced/ready-twice", ready_twice);
    add_fenced_test("fenced/hang-up-joining", hang_up_joining);
    add_fenced_test("fenced/hang-up-ready", hang_up_ready);
    add_fenced_test("fenced/half-close", half_close);
    add_fenced_test("fenced/join-and-run", join_and_run);
    add_fenced_test("fenced/never-ready", never_ready);
    add_leave_test("leaves/first", leave_first);
    add_leave_test("leaves/joining", leave_joining);
    add_member_test("ends/exit-joining", exit_joining, test_ends);
    add_member_test("ends/exit-after-join", exit_after_join, test_ends);
    add_member_test("ends/exit-with-garbage", exit_with_garbage, test_ends);
    add_member_test("ends/whole-stay", whole_stay, test_ends);
    add_leave_test("leaves/dribble", dribble);
    add_owner_test("answers", bad_answers);
    add_owner_test("welcomes", bad_welcomes);
    add_owner_test("segments", bad_segments);
    add_owner_test("contents", bad_contents);
    add_owner_test("good", good_owner);
    return g_test_run();
}
