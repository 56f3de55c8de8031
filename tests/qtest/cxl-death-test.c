/*
 * QTest of the ends of hosts and owners: killed, hung up, and in order
 *
 * The moments are random; --seed repeats those of a run.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"
#include "cxlf-peer.h"

#define BULK        CLASS_SIZE  /* DPA where BULK begins */
#define ALL_ONES    0xffffffffffffffffull
#define KILLS       50          /* of a host under load */
#define SHARED      48          /* lines that both hosts store to */
#define PRIVATE     8           /* lines that the victim modifies alone */
#define PRIVATE_DPA 0x100000
#define DEAD        "X_CXL_FABRIC_HOST_DEAD"
#define LOST        "X_CXL_FABRIC_LOST"

static uint64_t shared_dpa(int line)
{
    return line / 6 * CXLF_PAGE + line % 6 * CXLF_LINE;
}

/* Nobody else holds any of the lines: a store to each sends no snoop. */
static void check_nothing_held(QTestState *owner, CxlfRegion *r)
{
    CxlfCounters before = cxlf_counters(owner, -1), delta;

    for (int i = 0; i < SHARED; i++) {
        cxlf_store(r, shared_dpa(i) + 16, i, 8);
    }
    for (int i = 0; i < PRIVATE; i++) {
        cxlf_store(r, PRIVATE_DPA + i * CXLF_LINE + 16, i, 8);
    }
    delta = cxlf_minus(cxlf_counters(owner, -1), before);
    g_assert_cmpint(delta.n[CXLF_BISNP_SENT], ==, 0);
    g_assert_cmpint(delta.n[CXLF_BISNP_RECEIVED], ==, 0);
    g_assert_cmpint(delta.n[CXLF_WRITE_HIT] + delta.n[CXLF_WRITE_MISS] +
                    delta.n[CXLF_UPGRADE], ==, SHARED + PRIVATE);
}

/* The owner said that the host died, once, and freed its number. */
static void check_death(QTestState *owner, int host, pid_t pid, int deaths)
{
    QDict *data = cxlf_wait_event(owner, DEAD);
    g_autofree char *state = NULL;
    int64_t now, count;

    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "fabric0");
    g_assert_cmpint(qdict_get_int(data, "host"), ==, host);
    g_assert_cmpint(qdict_get_int(data, "pid"), ==, pid);
    g_assert_cmpint(qdict_get_int(data, "lines"), >=,
                    qdict_get_int(data, "modified"));
    qobject_unref(data);
    state = cxlf_host_state(owner, host, &now, &count);
    g_assert_cmpstr(state, ==, "free");
    g_assert_cmpint(now, ==, 0);
    g_assert_cmpint(count, ==, deaths);
    g_assert_false(cxlf_has_event(owner, DEAD));
}

/* Load on the victim, from a process of its own: it ends with the victim. */

static void load_victim(const char *path, const void *data)
{
    CxlfRegion r = *(const CxlfRegion *)data;
    GRand *rand = g_rand_new_with_seed(getpid());

    peer_end_quietly();
    for (uint64_t i = 0;; i++) {
        uint64_t dpa = shared_dpa(g_rand_int_range(rand, 0, SHARED));

        if (g_rand_boolean(rand)) {
            cxlf_store(&r, dpa + 8, i, 8);
        } else {
            cxlf_load(&r, dpa, 8);
        }
    }
}

/* What the survivor stores in its own word of each shared line. */
static uint64_t expected[SHARED];

static void use_survivor(CxlfRegion *r, int accesses)
{
    for (int i = 0; i < accesses; i++) {
        int line = g_test_rand_int_range(0, SHARED);

        if (g_test_rand_bit()) {
            expected[line] = (uint64_t)g_test_rand_int() << 32 | i;
            cxlf_store(r, shared_dpa(line), expected[line], 8);
        } else {
            g_assert_cmphex(cxlf_load(r, shared_dpa(line), 8), ==,
                            expected[line]);
        }
    }
}

static void kill_one(const char *path, QTestState *owner, CxlfRegion *a,
                     int deaths)
{
    CxlfHost *victim = cxlf_host_start(path, 1, "", "");
    CxlfRegion b = cxlf_whole_region(victim, 0);
    pid_t pid = qtest_pid(victim->qts), load;

    g_assert_cmpint(victim->number, ==, 1);
    for (int i = 0; i < PRIVATE; i++) {
        cxlf_store(&b, PRIVATE_DPA + i * CXLF_LINE, deaths, 8);
    }
    cxlf_store(&b, BULK, deaths, 8);
    load = peer_fork(path, load_victim, &b);
    use_survivor(a, g_test_rand_int_range(0, 400));
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    use_survivor(a, 50);

    check_death(owner, 1, pid, deaths);
    peer_wait(load);
    cxlf_host_forget(victim);
    use_survivor(a, 50);
    check_nothing_held(owner, a);
    for (int i = 0; i < SHARED; i++) {
        g_assert_cmphex(cxlf_load(a, shared_dpa(i), 8), ==, expected[i]);
    }
    for (int i = 0; i < PRIVATE; i++) {
        g_assert_cmpint(cxlf_load(a, PRIVATE_DPA + i * CXLF_LINE, 8), ==,
                        deaths);
    }
    g_assert_cmpint(cxlf_load(a, BULK, 8), ==, deaths);
}

static void test_kill(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2,leaves=2");
    CxlfHost *survivor = cxlf_host_start(path, 1, "", "");
    CxlfRegion a = cxlf_whole_region(survivor, 0);
    CxlfCounters sum;

    memset(expected, 0, sizeof(expected));
    for (int i = 1; i <= KILLS; i++) {
        kill_one(path, owner, &a, i);
    }
    sum = cxlf_counters(owner, -1);
    g_test_message("%" PRIu64 " back-invalidates, %" PRIu64 " lost races",
                   sum.n[CXLF_BISNP_SENT], sum.n[CXLF_RETRY]);
    g_assert_cmpint(sum.n[CXLF_REFUSAL], ==, 0);
    cxlf_host_stop(survivor);
    qtest_quit(owner);
}

/* Killed while it starts and joins, at whatever point it has reached. */
static void test_kill_starting(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *fabric = g_strdup_printf(
        "cxl-fabric,id=fabric0,socket=%s", path);
    const char *argv[] = {
        getenv("QTEST_QEMU_BINARY"), "-machine", "none", "-display", "none",
        "-object", fabric, NULL,
    };
    QTestState *owner = cxlf_owner_start(path, ",hosts=1");
    int joined = 0;

    for (int i = 0; i < 40; i++) {
        int turns = g_test_rand_int_range(0, 60);
        g_autofree char *state = NULL;
        GPid pid;

        g_assert_true(g_spawn_async(NULL, (char **)argv, NULL,
                                    G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                    &pid, NULL));
        for (int turn = 0; turn < turns; turn++) {
            g_free(state);
            state = cxlf_host_state(owner, 0, NULL, NULL);
            if (!g_str_equal(state, "free") && g_test_rand_bit()) {
                break;
            }
        }
        joined += turns && !g_str_equal(state, "free");
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        peer_wait(pid);
        cxlf_wait_host_state(owner, 0, "free");
    }
    g_test_message("%d of 40 were killed after they had a number", joined);
    peer_good_join(path);
    qtest_quit(owner);
}

/*
 * Hung up, but alive: it goes on to take a line, as fast as it can, so that
 * what it holds is nothing in the end only if it is dead before that is
 * cleared.
 */
static void hang_up_and_hold(const char *path, const void *data)
{
    static PeerFabric f;
    struct cxlf_directory *d = &f.directory;
    int fd = peer_connect(path);
    int host = peer_join_fabric(fd, -1, &f);

    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    for (int i = 0; i < SHARED; i++) {
        if (cxlf_access(d, host, 0, shared_dpa(i), CXLF_STORE) != CXLF_OK) {
            _exit(4);
        }
    }
    close(fd);
    for (;;) {
        cxlf_access(d, host, 0, shared_dpa(SHARED - 1), CXLF_STORE);
    }
}

static void test_fence(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2");
    CxlfHost *survivor = cxlf_host_start(path, 1, "", "");
    CxlfRegion a = cxlf_whole_region(survivor, 0);

    for (int i = 1; i <= 20; i++) {
        pid_t pid = peer_fork(path, hang_up_and_hold, NULL);
        int status = peer_wait(pid);

        g_assert_true(WIFSIGNALED(status));
        g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
        check_death(owner, 1, pid, i);
        check_nothing_held(owner, &a);
    }
    cxlf_host_stop(survivor);
    qtest_quit(owner);
}

/* The end of the owner */

static void check_lost(CxlfRegion *r)
{
    QTestState *qts = r->h->qts;
    QDict *data = cxlf_wait_event(qts, LOST), *info;
    CxlfCounters before, delta;

    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "fabric0");
    g_assert_cmpstr(qdict_get_str(data, "reason"), !=, "");
    qobject_unref(data);
    info = cxlf_query(qts);
    g_assert_cmpstr(qdict_get_str(info, "state"), ==, "lost");
    qobject_unref(info);

    before = cxlf_counters(qts, r->h->number);
    for (int i = 0; i < 2; i++) {
        cxlf_store(r, i * BULK, 0x1111, 8);
        g_assert_cmphex(cxlf_load(r, i * BULK, 8), ==, ALL_ONES);
    }
    delta = cxlf_minus(cxlf_counters(qts, r->h->number), before);
    cxlf_assert_delta(delta, CXLF_REFUSAL, 4, CXLF_COUNTERS);
    /* Nor does a new commit, or a reset, bring it back. */
    cxlf_uncommit(r);
    cxlf_commit(r);
    g_assert_cmphex(cxlf_load(r, BULK, 8), ==, ALL_ONES);
    qtest_system_reset(qts);
    cxlf_host_program(r->h);
    cxlf_commit(r);
    g_assert_cmphex(cxlf_load(r, 0, 8), ==, ALL_ONES);
    g_assert_cmphex(cxlf_load(r, BULK, 8), ==, ALL_ONES);
    g_assert_cmphex(qtest_readl(qts, r->h->eca + 8) & 1, ==, 0);
    g_assert_false(cxlf_has_event(qts, LOST));
}

static void test_owner_killed(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2");
    CxlfHost *h[2];
    CxlfRegion r[2];

    for (int i = 0; i < 2; i++) {
        h[i] = cxlf_host_start(path, 1, "", "");
        r[i] = cxlf_whole_region(h[i], 0);
        cxlf_store(&r[i], 0, i, 8);
        cxlf_store(&r[i], BULK, i, 8);
    }
    g_assert_cmpint(kill(qtest_pid(owner), SIGKILL), ==, 0);
    for (int i = 0; i < 2; i++) {
        check_lost(&r[i]);
        cxlf_host_stop(h[i]);
    }
    cxlf_forget(owner);
    unlink(path);
}

/* A host whose QEMU owns the fabric as well. */
static void test_owner_is_host(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *fabric = g_strdup_printf("-object cxl-fabric,"
        "id=fabric0,listen=on,socket=%s,hosts=2", path);

    for (int kill_it = 0; kill_it < 2; kill_it++) {
        CxlfHost *a = cxlf_host_start_fabric(fabric, 1, "", "");
        CxlfHost *b = cxlf_host_start(path, 1, "", "");
        CxlfRegion ra = cxlf_whole_region(a, 0);
        CxlfRegion rb = cxlf_whole_region(b, 0);
        pid_t pid = qtest_pid(b->qts);

        g_assert_cmpint(a->number, ==, 0);
        g_assert_cmpint(b->number, ==, 1);
        cxlf_store(&ra, 0, 1, 8);
        g_assert_cmpint(cxlf_load(&rb, 0, 8), ==, 1);
        cxlf_store(&rb, 0, 2, 8);
        g_assert_cmpint(cxlf_load(&ra, 0, 8), ==, 2);
        cxlf_store(&rb, BULK, 3, 8);
        g_assert_cmpint(cxlf_load(&ra, BULK, 8), ==, 3);

        /* The member dies, and another comes. */
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        check_death(a->qts, 1, pid, 1);
        cxlf_host_forget(b);
        check_nothing_held(a->qts, &ra);
        b = cxlf_host_start(path, 1, "", "");
        rb = cxlf_whole_region(b, 0);
        g_assert_cmpint(cxlf_load(&rb, 0, 8), ==, 2);

        /* The owner ends. */
        if (kill_it) {
            g_assert_cmpint(kill(qtest_pid(a->qts), SIGKILL), ==, 0);
            cxlf_host_forget(a);
        } else {
            cxlf_host_stop(a);
        }
        check_lost(&rb);
        cxlf_host_stop(b);
    }
    unlink(path);
}

/* In order: no death, and nothing held */

static void test_quit(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2");
    CxlfHost *a = cxlf_host_start(path, 1, "", "");
    CxlfRegion ra = cxlf_whole_region(a, 0);

    for (int i = 0; i < 3; i++) {
        CxlfHost *b = cxlf_host_start(path, 1, "", "");
        CxlfRegion rb = cxlf_whole_region(b, 0);
        int64_t deaths;

        for (int line = 0; line < SHARED; line++) {
            cxlf_store(&rb, shared_dpa(line), line + i, 8);
        }
        qtest_qmp_assert_success(b->qts, "{'execute': 'quit'}");
        cxlf_wait_host_state(owner, 1, "free");
        cxlf_host_stop(b);
        g_assert_false(cxlf_has_event(owner, DEAD));
        g_free(cxlf_host_state(owner, 1, NULL, &deaths));
        g_assert_cmpint(deaths, ==, 0);
        check_nothing_held(owner, &ra);
        g_assert_cmpint(cxlf_load(&ra, shared_dpa(5), 8), ==, 5 + i);
    }
    cxlf_host_stop(a);
    qtest_quit(owner);
}

/* Descriptors that a program started by QEMU must not get */

static bool is_ours(const char *link)
{
    /* libqtest's own, which a QEMU inherits from the test's process. */
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%s", name);
        g_autofree char *other = g_file_read_link(path, NULL);

        if (other && g_str_equal(link, other)) {
            return true;
        }
    }
    return false;
}

static void check_cloexec(pid_t pid, int memfds)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    int found = 0;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_strdup_printf("%s/%s", folder, name);
        g_autofree char *link = g_file_read_link(path, NULL);
        g_autofree char *info = g_strdup_printf("/proc/%d/fdinfo/%s", pid,
                                                name);
        g_autofree char *text = NULL;
        unsigned flags;

        if (!link || atoi(name) < 3 || is_ours(link)) {
            continue;
        }
        found += strstr(link, "memfd:cxlf-") != NULL;
        if (!strstr(link, "memfd:") && !strstr(link, "socket:") &&
            !strstr(link, "pidfd")) {
            continue;
        }
        g_assert_true(g_file_get_contents(info, &text, NULL, NULL));
        g_assert_cmpint(sscanf(strstr(text, "flags:"), "flags: %o", &flags),
                        ==, 1);
        if (!(flags & 02000000)) {
            g_error("%s of process %d is not close-on-exec", link, pid);
        }
    }
    g_assert_cmpint(found, >=, memfds);
}

static void test_cloexec(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=2,leaves=2,gfams=2");
    CxlfHost *h = cxlf_host_start(path, 2, "", "");

    /* The table, two leaves, two devices */
    check_cloexec(qtest_pid(owner), 5);
    check_cloexec(qtest_pid(h->qts), 5);
    cxlf_host_stop(h);
    qtest_quit(owner);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/death/kill", test_kill);
    qtest_add_func("/cxlf/death/kill-starting", test_kill_starting);
    qtest_add_func("/cxlf/death/fence", test_fence);
    qtest_add_func("/cxlf/death/owner-killed", test_owner_killed);
    qtest_add_func("/cxlf/death/owner-is-host", test_owner_is_host);
    qtest_add_func("/cxlf/death/quit", test_quit);
    qtest_add_func("/cxlf/death/cloexec", test_cloexec);
    return g_test_run();
}
