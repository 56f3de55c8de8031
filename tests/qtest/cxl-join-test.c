/*
 * QTest of the join protocol: hostile members
 *
 * After each mishap the owner must live on, and serve the next.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf/reserve.h"
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

static void test_bad_headers(Fixture *f, const void *data)
{
    for (int i = 0; i < PEER_BAD_HEADERS; i++) {
        int fd = peer_connect(f->path);

        g_test_message("%s", peer_bad_headers[i].name);
        g_assert_true(peer_send_raw(fd, &peer_bad_headers[i].h,
                                    sizeof(peer_bad_headers[i].h)));
        peer_expect_refusal(fd, peer_bad_headers[i].text);
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
        { CXLF_WIRE_DOORBELLS, sizeof(struct cxlf_wire_doorbells) },
        { CXLF_WIRE_REFUSE, sizeof(struct cxlf_wire_refuse) },
        { CXLF_WIRE_RESERVED, sizeof(struct cxlf_wire_reserved) },
        { CXLF_WIRE_ANSWER, sizeof(struct cxlf_wire_answer) },
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
    send_join(f, &join, "", 0, "another ABI version");
    join = peer_join();
    join.leaf_header++;
    send_join(f, &join, "", 0, "structures have other sizes");
    join = peer_join();
    join.fabric_header = 0;
    send_join(f, &join, "", 0, "structures have other sizes");
    join = peer_join();
    join.entry_size = 8;
    send_join(f, &join, "", 0, "structures have other sizes");
    join = peer_join();
    join.host = -2;
    send_join(f, &join, "", 0, "'host' must be -1 to 4094");
    join.host = 4095;
    send_join(f, &join, "", 0, "'host' must be -1 to 4094");
    join.host = INT32_MIN;
    send_join(f, &join, "", 0, "'host' must be -1 to 4094");
    join.host = 2;
    send_join(f, &join, "", 0, "'host' is beyond the topology's hosts");
    join = peer_join();
    join.blob = 1;
    send_join(f, &join, "", 0, "topology's size does not fit");
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
        .grain = CXLF_LINE,
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

static void reserve_unknown(const char *path, const void *data)
{
    struct cxlf_wire_reserve w = { .what = CXLF_WIRE_RESERVE_WHATS };
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_RESERVE, &w, sizeof(w), -1);
    stay(fd);
}

static void request_unknown(const char *path, const void *data)
{
    struct cxlf_wire_request w = { .what = CXLF_WIRE_REQUEST_WHATS };
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_REQUEST, &w, sizeof(w), -1);
    stay(fd);
}

/* Questions without end by one who hears no answer. */
static void reserve_flood(const char *path, const void *data)
{
    struct {
        struct cxlf_wire_header h;
        struct cxlf_wire_reserve w;
    } message = {
        peer_header(CXLF_WIRE_RESERVE, sizeof(struct cxlf_wire_reserve)),
        { .what = CXLF_WIRE_RESERVE_DROP_ALL },
    };
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    while (peer_send_raw(fd, &message, sizeof(message))) {
        continue;
    }
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

static void reserve_first(const char *path, const void *data)
{
    struct cxlf_wire_reserve w = { .what = CXLF_WIRE_RESERVE_DROP_ALL };
    int fd = peer_connect(path);

    peer_send(fd, CXLF_WIRE_RESERVE, &w, sizeof(w), -1);
    peer_expect_refusal(fd, "out of turn");
}

static void request_first(const char *path, const void *data)
{
    struct cxlf_wire_request w = { .what = CXLF_WIRE_REQUEST_WITHDRAW };
    int fd = peer_connect(path);

    peer_send(fd, CXLF_WIRE_REQUEST, &w, sizeof(w), -1);
    peer_expect_refusal(fd, "out of turn");
}

static void expect_answer(int fd, const struct cxlf_wire_request *w,
                          uint32_t result, uint64_t *number)
{
    struct cxlf_wire_answer answer;
    struct cxlf_wire_header h;

    peer_send(fd, CXLF_WIRE_REQUEST, w, sizeof(*w), -1);
    g_assert_true(peer_receive(fd, &h, &answer, sizeof(answer), NULL));
    g_assert_cmpint(h.type, ==, CXLF_WIRE_ANSWER);
    g_assert_cmphex(answer.token, ==, w->token);
    g_assert_cmpint(answer.result, ==, result);
    *number = answer.number;
}

/* The owner counts them, whatever the agent does. */
static void request_many(const char *path, const void *data)
{
    struct cxlf_wire_request w = {
        .what = CXLF_WIRE_REQUEST_ASK, .kind = CXLF_ASK_CAPACITY,
        .length = CXLF_PAGE, .argument = { CXLF_ASK_HOT },
    };
    struct cxlf_wire_request one = { .what = CXLF_WIRE_REQUEST_WITHDRAW };
    uint64_t number, last = 0;
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    w.token = 99;
    expect_answer(fd, &w, CXLF_ANSWER_REFUSED, &number);    /* not READY */
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    for (w.token = 1; w.token <= CXLF_ASKS; w.token++) {
        expect_answer(fd, &w, CXLF_ANSWER_OPEN, &number);
        g_assert_cmpuint(number, >, last);
        last = number;
    }
    for (int i = 0; i < 100; i++) {
        expect_answer(fd, &w, CXLF_ANSWER_FULL, &number);
        g_assert_cmpuint(number, ==, 0);
    }
    for (one.token = 1; one.token <= CXLF_ASKS; one.token++) {
        peer_send(fd, CXLF_WIRE_REQUEST, &one, sizeof(one), -1);
        expect_answer(fd, &w, CXLF_ANSWER_OPEN, &number);
        expect_answer(fd, &w, CXLF_ANSWER_FULL, &number);
    }
    w.gfam = 1;
    expect_answer(fd, &w, CXLF_ANSWER_RANGE, &number);
    w = (struct cxlf_wire_request) {
        .what = CXLF_WIRE_REQUEST_MODE, .token = 7, .gfam = 40,
    };
    expect_answer(fd, &w, CXLF_ANSWER_REFUSED, &number);
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
    peer_expect_end(fd);
}

/* Ranges that no device has are an answer's matter, and no offence. */
static void reserve_nonsense(const char *path, const void *data)
{
    static const struct cxlf_wire_reserve ranges[] = {
        { .gfam = UINT32_MAX, .length = CXLF_PAGE },
        { .gfam = 1, .length = CXLF_PAGE },
        { .length = 0 },
        { .length = 1 },
        { .dpa = 1, .length = CXLF_PAGE },
        { .length = UINT64_MAX },
        { .dpa = CXLF_PAGE, .length = -(uint64_t)CXLF_PAGE },
        { .dpa = -(uint64_t)CXLF_PAGE, .length = 2 * CXLF_PAGE },
        { .dpa = 1ull << 62, .length = CXLF_PAGE },
    };
    struct cxlf_wire_reserved answer;
    struct cxlf_wire_header h;
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    for (int i = 0; i < 2 * ARRAY_SIZE(ranges); i++) {
        struct cxlf_wire_reserve w = ranges[i / 2];
        bool drop = i % 2;

        w.what = drop ? CXLF_WIRE_RESERVE_DROP : CXLF_WIRE_RESERVE_MAKE;
        w.token = i ^ UINT64_MAX;
        peer_send(fd, CXLF_WIRE_RESERVE, &w, sizeof(w), -1);
        g_assert_true(peer_receive(fd, &h, &answer, sizeof(answer), NULL));
        g_assert_cmpint(h.type, ==, CXLF_WIRE_RESERVED);
        g_assert_cmphex(answer.token, ==, w.token);
        g_assert_cmpint(answer.result, !=, CXLF_RESERVE_OK);
        if (!drop) {
            g_assert_cmpint(answer.result, ==, CXLF_RESERVE_RANGE);
        }
    }
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
    cxlf_freeze(owner);
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

    cxlf_freeze(owner);
    peer_wait(peer_fork(f->path, data, NULL));
    g_assert_cmpint(kill(owner, SIGCONT), ==, 0);
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
    add_fenced_test("fenced/reserve-unknown", reserve_unknown);
    add_fenced_test("fenced/reserve-flood", reserve_flood);
    add_fenced_test("fenced/request-unknown", request_unknown);
    add_fenced_test("fenced/ready-twice", ready_twice);
    add_fenced_test("fenced/hang-up-joining", hang_up_joining);
    add_fenced_test("fenced/hang-up-ready", hang_up_ready);
    add_fenced_test("fenced/half-close", half_close);
    add_fenced_test("fenced/join-and-run", join_and_run);
    add_fenced_test("fenced/never-ready", never_ready);
    add_leave_test("leaves/first", leave_first);
    add_leave_test("leaves/reserve-first", reserve_first);
    add_leave_test("leaves/reserve-nonsense", reserve_nonsense);
    add_leave_test("leaves/request-first", request_first);
    add_leave_test("leaves/request-many", request_many);
    add_leave_test("leaves/joining", leave_joining);
    add_member_test("ends/exit-joining", exit_joining, test_ends);
    add_member_test("ends/exit-after-join", exit_after_join, test_ends);
    add_member_test("ends/exit-with-garbage", exit_with_garbage, test_ends);
    add_member_test("ends/whole-stay", whole_stay, test_ends);
    add_leave_test("leaves/dribble", dribble);
    return g_test_run();
}
