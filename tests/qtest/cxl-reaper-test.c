/*
 * QTest of the owner's reaper: deaths that its main loop does not see, what
 * becomes of what the dead had modified, and the doorbells
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/resource.h>
#include "qemu/atomic.h"
#include "cxlf/poison.h"
#include "cxlf-hdm.h"
#include "cxlf-peer.h"

#define DEAD        "X_CXL_FABRIC_HOST_DEAD"
#define ALL_ONES    0xffffffffffffffffull
#define LINES       8       /* that a raw host modifies */

/* Raw hosts: each is a process of its own, led by bytes in pipes. */

typedef struct Pipes {
    int go[2];
    int ready[2];
} Pipes;

static void open_pipes(Pipes *p)
{
    g_assert_cmpint(pipe(p->go), ==, 0);
    g_assert_cmpint(pipe(p->ready), ==, 0);
}

static void close_pipes(Pipes *p)
{
    for (int i = 0; i < 2; i++) {
        close(p->go[i]);
        close(p->ready[i]);
    }
}

static void tell(const int *fd)
{
    g_assert_cmpint(write(fd[1], "x", 1), ==, 1);
}

static void hear(const int *fd)
{
    char byte;

    g_assert_cmpint(read(fd[0], &byte, 1), ==, 1);
}

/* Join as @host, and say so when up. */
static int join_up(const char *path, int host, PeerFabric *f, const Pipes *p)
{
    int fd = peer_connect(path);

    g_assert_cmpint(peer_join_fabric(fd, host, f), ==, host);
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    tell(p->ready);
    return fd;
}

static void modify_lines(PeerFabric *f, int host)
{
    for (int i = 0; i < LINES; i++) {
        g_assert_cmpint(cxlf_access(&f->directory, host, 0,
                                    host * CXLF_PAGE + i * CXLF_LINE,
                                    CXLF_STORE), ==, CXLF_OK);
    }
}

static bool holds_a_line(PeerFabric *f, int host)
{
    for (int i = 0; i < LINES; i++) {
        struct cxlf_line line;

        g_assert_true(cxlf_peek(&f->directory, CXLF_LINE_UNIT, 0,
                                host * CXLF_PAGE + i * CXLF_LINE, &line));
        if (line.state != CXLF_I) {
            return true;
        }
    }
    return false;
}

static bool rings(int doorbell, int milliseconds)
{
    struct pollfd p = { .fd = doorbell, .events = POLLIN };
    uint64_t count;

    return poll(&p, 1, milliseconds) == 1 &&
           read(doorbell, &count, sizeof(count)) == sizeof(count);
}

/* Doorbells */

static void wait_for_rings(const char *path, const void *data)
{
    static PeerFabric f;
    int fd = join_up(path, 0, &f, data);

    for (int i = 0; i < 3; i++) {
        g_assert_true(fcntl(f.doorbell[i], F_GETFL) & O_NONBLOCK);
    }
    g_assert_true(rings(f.doorbell[0], CXLF_PATIENCE * 1000));
    tell(((const Pipes *)data)->ready);
    /* A death, after which all that live are rung. */
    g_assert_true(rings(f.doorbell[0], CXLF_PATIENCE * 1000));
    g_assert_false(rings(f.doorbell[1], 0));
    g_assert_false(rings(f.doorbell[2], 0));
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
}

static void ring_first(const char *path, const void *data)
{
    static PeerFabric f;
    const Pipes *p = data;

    join_up(path, 1, &f, p);
    hear(p->go);
    for (int i = 0; i < 3; i++) {
        g_assert_false(rings(f.doorbell[i], 0));
    }
    g_assert_cmpint(write(f.doorbell[0], &(uint64_t){ 1 }, 8), ==, 8);
    hear(p->go);
    /* And ends without LEAVE. */
}

static void test_doorbells(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=3");
    pid_t first, second;
    Pipes p, q;

    open_pipes(&p);
    open_pipes(&q);
    first = peer_fork(path, wait_for_rings, &p);
    hear(p.ready);
    second = peer_fork(path, ring_first, &q);
    hear(q.ready);
    tell(q.go);
    hear(p.ready);
    tell(q.go);
    g_assert_cmpint(peer_wait(second), ==, 0);
    g_assert_cmpint(peer_wait(first), ==, 0);
    qobject_unref(cxlf_wait_event(owner, DEAD));
    g_assert_false(cxlf_has_event(owner, DEAD));
    close_pipes(&p);
    close_pipes(&q);
    qtest_quit(owner);
}

/* The most hosts; who joins need not read at once. */
static void join_slowly(const char *path, const void *data)
{
    struct cxlf_wire_join join = peer_join();
    int fd = peer_connect(path);
    const int *pause_ms = data;

    peer_send(fd, CXLF_WIRE_JOIN, &join, sizeof(join), -1);
    g_usleep(*pause_ms * 1000);
    peer_welcomed(fd, NULL);
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
}

static void test_many_hosts(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=4095,leaves=64");

    for (int ms = 0; ms <= 500; ms += 500) {
        g_assert_cmpint(peer_wait(peer_fork(path, join_slowly, &ms)), ==, 0);
    }
    qtest_quit(owner);
}

static void start_limited(const char *path, const void *data)
{
    struct rlimit limit = { 600, 600 };
    g_autofree char *join = g_strdup_printf("-machine none -nodefaults "
        "-object cxl-fabric,id=f,socket=%s", path);

    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    cxlf_start_error("-machine none -nodefaults "
                     "-object cxl-fabric,id=f,hosts=1000",
                     "'hosts': 1000 hosts need a descriptor each, but this "
                     "process may have 600");
    cxlf_start_error(join, "this process may have 600 in all");
}

static void test_limit(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=1000");

    g_assert_cmpint(peer_wait(peer_fork(path, start_limited, NULL)), ==, 0);
    cxlf_wait_host_state(owner, 0, "free");
    g_assert_false(cxlf_has_event(owner, DEAD));
    qtest_quit(owner);
}

/* A main loop that waits for something else */

static void wait_to_die(const char *path, const void *data)
{
    static PeerFabric f;

    join_up(path, 0, &f, data);
    modify_lines(&f, 0);
    tell(((const Pipes *)data)->ready);
    pause();
}

static void leave_and_die(const char *path, const void *data)
{
    static PeerFabric f;
    const Pipes *p = data;
    int fd = join_up(path, 1, &f, p);

    modify_lines(&f, 1);
    tell(p->ready);
    hear(p->go);
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
}

/* Wait until what the others held is free, woken by the doorbell alone. */
static void observe(const char *path, const void *data)
{
    static PeerFabric f;
    const Pipes *p = data;

    join_up(path, 2, &f, p);
    hear(p->go);
    g_assert_true(holds_a_line(&f, 0));
    g_assert_true(holds_a_line(&f, 1));
    tell(p->ready);
    while (holds_a_line(&f, 0) || holds_a_line(&f, 1)) {
        g_assert_true(rings(f.doorbell[2], 5000));
    }
    /* The number is free after what it held is. */
    while (qatomic_read(&f.table->host[0].state) != CXLF_HOST_FREE ||
           qatomic_read(&f.table->host[1].state) != CXLF_HOST_FREE) {
        g_assert_true(rings(f.doorbell[2], 5000));
    }
    g_assert_cmpint(qatomic_read(&f.table->epoch), ==, 2);
}

static void check_deaths(QTestState *owner, int host, int want)
{
    int64_t deaths;

    g_free(cxlf_host_state(owner, host, NULL, &deaths));
    g_assert_cmpint(deaths, ==, want);
}

/*
 * The owner's main loop waits in a join of another fabric, whose owner never
 * answers.  Meanwhile a host dies and another leaves and ends.
 */
static void test_blocked(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *silent = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=3");
    int listener = peer_listen(silent), fd;
    PeerFunction function[3] = { wait_to_die, leave_and_die, observe };
    struct pollfd answer;
    Pipes p[3];
    pid_t pid[3];
    QDict *data;

    for (int i = 0; i < 3; i++) {
        open_pipes(&p[i]);
        pid[i] = peer_fork(path, function[i], &p[i]);
        hear(p[i].ready);
        cxlf_wait_host_state(owner, i, "up");
    }
    hear(p[0].ready);
    hear(p[1].ready);
    tell(p[2].go);
    hear(p[2].ready);

    qtest_qmp_send(owner, "{'execute': 'object-add', 'arguments': {"
                   "'qom-type': 'cxl-fabric', 'id': 'f', 'socket': %s}}",
                   silent);
    fd = peer_accept(listener);
    g_assert_cmpint(kill(pid[0], SIGKILL), ==, 0);
    peer_wait(pid[0]);
    tell(p[1].go);
    g_assert_cmpint(peer_wait(pid[1]), ==, 0);
    g_assert_cmpint(peer_wait(pid[2]), ==, 0);

    /* Its JOIN is all that came: it still waits for the answer. */
    answer = (struct pollfd) { .fd = fd, .events = POLLRDHUP };
    g_assert_cmpint(poll(&answer, 1, 0), ==, 0);
    close(fd);
    data = qtest_qmp_receive(owner);
    g_assert_true(qdict_haskey(data, "error"));
    qobject_unref(data);

    /* Only now can it tell.  The observer's end was a death, too. */
    for (int i = 0; i < 2; i++) {
        data = cxlf_wait_event(owner, DEAD);
        g_assert_cmpint(qdict_get_int(data, "host"), !=, 1);
        g_assert_cmpint(qdict_get_int(data, "modified"), ==,
                        qdict_get_int(data, "host") == 0 ? LINES : 0);
        g_assert_cmpint(qdict_get_int(data, "poisoned"), ==, 0);
        qobject_unref(data);
    }
    g_assert_false(cxlf_has_event(owner, DEAD));
    check_deaths(owner, 0, 1);
    check_deaths(owner, 1, 0);
    check_deaths(owner, 2, 1);
    peer_good_join(path);
    for (int i = 0; i < 3; i++) {
        close_pipes(&p[i]);
    }
    close(listener);
    unlink(silent);
    qtest_quit(owner);
}

/* Whoever wakes first, reaper or main loop: LEAVE was said, so no death. */
static void test_leave_unread(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2");

    for (int i = 0; i < 30; i++) {
        Pipes p;
        pid_t pid;

        open_pipes(&p);
        pid = peer_fork(path, leave_and_die, &p);
        hear(p.ready);
        hear(p.ready);
        cxlf_freeze(qtest_pid(owner));
        tell(p.go);
        g_assert_cmpint(peer_wait(pid), ==, 0);
        g_assert_cmpint(kill(qtest_pid(owner), SIGCONT), ==, 0);
        cxlf_wait_host_state(owner, 1, "free");
        g_assert_false(cxlf_has_event(owner, DEAD));
        close_pipes(&p);
    }
    check_deaths(owner, 1, 0);
    qtest_quit(owner);
}

/* What a dead host had modified */

static int64_t query_poisoned(QTestState *owner, const char *policy)
{
    QDict *info = cxlf_query(owner);
    int64_t poisoned = qdict_get_int(info, "poisoned");

    g_assert_cmpstr(qdict_get_str(info, "on-death"), ==, policy);
    qobject_unref(info);
    return poisoned;
}

static void kill_host(CxlfHost *h, QTestState *owner, int modified,
                      int poisoned)
{
    QDict *data;

    g_assert_cmpint(kill(qtest_pid(h->qts), SIGKILL), ==, 0);
    data = cxlf_wait_event(owner, DEAD);
    g_assert_cmpint(qdict_get_int(data, "host"), ==, h->number);
    g_assert_cmpint(qdict_get_int(data, "modified"), ==, modified);
    g_assert_cmpint(qdict_get_int(data, "poisoned"), ==, poisoned);
    qobject_unref(data);
    cxlf_host_forget(h);
}

/* The records, of host 1, since *@cursor: pairs of DPA and length. */
static void expect_records(PeerFabric *f, uint64_t *cursor,
                           const uint64_t (*want)[2], int count)
{
    struct cxlf_poison p;
    bool lost = false;

    for (int i = 0; i < count; i++) {
        g_assert_true(cxlf_poison_next(f->table, &f->directory.topology,
                                       cursor, &p, &lost));
        g_assert_cmpint(p.gfam, ==, 0);
        g_assert_cmpint(p.host, ==, 1);
        g_assert_cmphex(p.dpa, ==, want[i][0]);
        g_assert_cmphex(p.length, ==, want[i][1]);
    }
    g_assert_false(cxlf_poison_next(f->table, &f->directory.topology, cursor,
                                    &p, &lost));
    g_assert_false(lost);
}

static void clear(PeerFabric *f, uint64_t dpa)
{
    g_assert_cmpint(cxlf_access(&f->directory, 2, 0, dpa, CXLF_CLEAR), ==,
                    CXLF_OK);
}

static void follow_poison(const char *path, const void *data)
{
    static const uint64_t first[][2] = {
        { 0x40, 0x100 }, { 0x5000, 0x40 }, { 0x6fc0, 0x80 },
    };
    static const uint64_t second[][2] = { { 0x40, 0x40 } };
    static PeerFabric f;
    const Pipes *p = data;
    uint64_t cursor = 0;
    int fd = join_up(path, 2, &f, p);

    hear(p->go);
    g_assert_true(rings(f.doorbell[2], 5000));
    expect_records(&f, &cursor, first, ARRAY_SIZE(first));
    clear(&f, 0x40);
    clear(&f, 0x5000);
    tell(p->ready);
    hear(p->go);
    g_assert_true(rings(f.doorbell[2], 5000));
    expect_records(&f, &cursor, second, ARRAY_SIZE(second));
    g_assert_cmpint(cursor, ==, 4);
    clear(&f, 0x40);
    tell(p->ready);
    hear(p->go);
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
}

static void test_poison(void)
{
    /* Across two pages, which live in different shards, are one record. */
    static const uint64_t modified[] = {
        0x40, 0x80, 0xc0, 0x100, 0x5000, 0x6fc0, 0x7000,
    };
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path,
        ",hosts=3,leaves=2,on-death=poison");
    CxlfHost *a = cxlf_host_start(path, 1, "", ""), *b;
    CxlfRegion ra = cxlf_whole_region(a, 0), rb;
    Pipes p;
    pid_t pid;

    open_pipes(&p);
    g_assert_cmpint(query_poisoned(owner, "poison"), ==, 0);
    b = cxlf_host_start(path, 1, "", "");
    rb = cxlf_whole_region(b, 0);
    pid = peer_fork(path, follow_poison, &p);
    hear(p.ready);
    cxlf_store(&ra, 0, 1, 8);
    cxlf_store(&ra, 0x8000, 2, 8);
    g_assert_cmpint(cxlf_load(&rb, 0x8000, 8), ==, 2);
    for (int i = 0; i < ARRAY_SIZE(modified); i++) {
        cxlf_store(&ra, modified[i], i, 8);
        cxlf_store(&rb, modified[i], 100 + i, 8);
    }
    kill_host(b, owner, ARRAY_SIZE(modified), ARRAY_SIZE(modified));
    tell(p.go);
    hear(p.ready);
    g_assert_cmpint(query_poisoned(owner, "poison"), ==,
                    ARRAY_SIZE(modified) - 2);

    /* Refused, until it is cleared; and nothing else is. */
    for (int i = 0; i < ARRAY_SIZE(modified); i++) {
        bool cleared = modified[i] == 0x40 || modified[i] == 0x5000;

        g_assert_cmphex(cxlf_load(&ra, modified[i], 8), ==,
                        cleared ? 100 + i : ALL_ONES);
    }
    g_assert_cmpint(cxlf_load(&ra, 0, 8), ==, 1);
    g_assert_cmpint(cxlf_load(&ra, 0x8000, 8), ==, 2);

    /* Again, of which one was poisoned before and is in the list. */
    b = cxlf_host_start(path, 1, "", "");
    rb = cxlf_whole_region(b, 0);
    cxlf_store(&rb, 0x40, 7, 8);
    kill_host(b, owner, 1, 1);
    g_assert_cmpint(query_poisoned(owner, "poison"), ==,
                    ARRAY_SIZE(modified) - 1);
    tell(p.go);
    hear(p.ready);
    g_assert_cmpint(cxlf_load(&ra, 0x40, 8), ==, 7);
    g_assert_cmpint(query_poisoned(owner, "poison"), ==,
                    ARRAY_SIZE(modified) - 2);
    tell(p.go);
    g_assert_cmpint(peer_wait(pid), ==, 0);
    close_pipes(&p);
    cxlf_host_stop(a);
    qtest_quit(owner);
}

static void test_keep(void)
{
    static const char *const policy[] = { "", ",on-death=keep" };

    for (int i = 0; i < ARRAY_SIZE(policy); i++) {
        g_autofree char *path = cxlf_socket_path();
        g_autofree char *more = g_strdup_printf(",hosts=2%s", policy[i]);
        QTestState *owner = cxlf_owner_start(path, more);
        CxlfHost *a = cxlf_host_start(path, 1, "", "");
        CxlfHost *b = cxlf_host_start(path, 1, "", "");
        CxlfRegion ra = cxlf_whole_region(a, 0);
        CxlfRegion rb = cxlf_whole_region(b, 0);
        QDict *info = cxlf_query(a->qts);

        /* The owner's to say, and to know. */
        g_assert_false(qdict_haskey(info, "on-death"));
        g_assert_false(qdict_haskey(info, "poisoned"));
        qobject_unref(info);
        cxlf_store(&rb, 0x40, 7, 8);
        kill_host(b, owner, 1, 0);
        g_assert_cmpint(cxlf_load(&ra, 0x40, 8), ==, 7);
        g_assert_cmpint(query_poisoned(owner, "keep"), ==, 0);
        cxlf_host_stop(a);
        qtest_quit(owner);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/reaper/doorbells", test_doorbells);
    qtest_add_func("/cxlf/reaper/many-hosts", test_many_hosts);
    qtest_add_func("/cxlf/reaper/limit", test_limit);
    qtest_add_func("/cxlf/reaper/blocked", test_blocked);
    qtest_add_func("/cxlf/reaper/leave-unread", test_leave_unread);
    qtest_add_func("/cxlf/reaper/poison", test_poison);
    qtest_add_func("/cxlf/reaper/keep", test_keep);
    return g_test_run();
}
