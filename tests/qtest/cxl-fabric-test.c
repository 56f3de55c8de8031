/*
 * QTest of the cxl-fabric object: its properties, and what it refuses
 *
 * Each refusal is checked for its text: it must name the property.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qlist.h"
#include "cxlf-peer.h"
#include "cxlf-qtest.h"

static QTestState *start(void)
{
    return qtest_init("-machine none -nodefaults");
}

static char *write_file(const void *data, size_t size)
{
    char *path = g_strdup_printf("%s/cxlf-%d.dtb", g_get_tmp_dir(), getpid());

    g_assert_true(g_file_set_contents(path, data, size, NULL));
    return path;
}

static struct cxlf_topology small_topology(void)
{
    return (struct cxlf_topology) {
        .hosts = 3, .leaves = 2, .shards = 2, .gfams = 1,
        .gfam[0] = { .hot = CLASS_SIZE, .bulk = 0, .leaf = 1 },
        .host_leaf = { 0, 1, 0 },
    };
}

static char *write_topology(const struct cxlf_topology *t)
{
    char blob[4096];
    size_t size = cxlf_topology_write(t, blob, sizeof(blob));

    g_assert_cmpint(size, >, 0);
    return write_file(blob, size);
}

/* Numbers and sizes */

static void test_numbers(void)
{
    static const char *const bad[][2] = {
        { "'leaves': 0", "'leaves' must be 1 to 64" },
        { "'leaves': 65", "'leaves' must be 1 to 64" },
        { "'hosts': 0", "'hosts' must be 1 to 4095" },
        { "'hosts': 4096", "'hosts' must be 1 to 4095" },
        { "'shards': 0", "'shards' must be 1 to 16" },
        { "'shards': 17", "'shards' must be 1 to 16" },
        { "'gfams': 0", "'gfams' must be 1 to 8" },
        { "'gfams': 9", "'gfams' must be 1 to 8" },
        { "'grain': 0", "'grain' must be 1 to 4096" },
        { "'grain': 96", "'grain' must be a power of two from 64 to 4096" },
        { "'ways': 1", "'ways' must be 2 to 16" },
        { "'line-entries': 12", "'line-entries' must be a multiple of" },
        { "'hot': 0", "'hot' must be a multiple of 256 MiB" },
        { "'hot': 268435457", "'hot' must be a multiple of 256 MiB" },
        { "'hot': 134217728", "'hot' must be a multiple of 256 MiB" },
        { "'hot': 68987912192", "'hot' must be a multiple of 256 MiB" },
        { "'bulk': 1", "'bulk' must be a multiple of 256 MiB" },
        { "'bulk': 17592454479872", "'bulk' must be a multiple of 256 MiB" },
        { "'host': -2", "'host' must be -1 (any) to 4094" },
        { "'host': 4095", "'host' must be -1 (any) to 4094" },
        { "'hosts': -1", "hosts" },
        { "'hosts': 4294967297", "hosts" },
        { "'on-death': 'burn'", "'on-death' does not accept value 'burn'" },
        { "'on-death': ''", "'on-death' does not accept value ''" },
        { "'on-death': 1", "on-death" },
        { "'no-such': 1", "no-such" },
    };
    QTestState *qts = start();

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        cxlf_add_error(qts, bad[i][0], bad[i][1]);
    }
    qtest_quit(qts);
}

static void test_good(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *json = g_strdup_printf("'qom-type': 'cxl-fabric',"
        "'id': 'f', 'listen': true, 'socket': '%s', 'hosts': 62,"
        "'leaves': 8, 'shards': 16, 'gfams': 8, 'bulk': 0", path);
    g_autofree char *taken = NULL;
    QTestState *qts = start(), *other;
    QDict *info;

    cxlf_object_add(qts, json);
    info = cxlf_query(qts);
    g_assert_cmpstr(qdict_get_str(info, "id"), ==, "f");
    g_assert_cmpstr(qdict_get_str(info, "role"), ==, "owner");
    g_assert_cmpstr(qdict_get_str(info, "state"), ==, "up");
    g_assert_cmpstr(qdict_get_str(info, "socket"), ==, path);
    g_assert_cmpint(qdict_get_int(info, "self"), ==, -1);
    g_assert_cmpint(qdict_get_int(info, "hot"), ==, 8 * CLASS_SIZE);
    g_assert_cmpint(qdict_get_int(info, "bulk"), ==, 0);
    g_assert_cmpint(qlist_size(qdict_get_qlist(info, "hosts")), ==, 62);
    g_assert_cmpint(qlist_size(qdict_get_qlist(info, "directory")), ==, 128);
    qobject_unref(info);

    peer_good_join(path);
    /* The path is taken, by whoever has it. */
    taken = g_strdup_printf("'listen': true, 'socket': '%s'", path);
    cxlf_add_error(qts, taken, "'socket': another process listens");
    other = start();
    cxlf_add_error(other, taken, "'socket': another process listens");
    qtest_quit(other);
    peer_good_join(path);
    cxlf_object_del(qts, "f");
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    /* A property of an object that is gone says nothing about the next. */
    cxlf_object_add(qts, json);
    peer_good_join(path);
    qtest_quit(qts);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_frozen(void)
{
    static const char *const set[][2] = {
        { "hosts", "3" }, { "leaves", "2" }, { "shards", "2" },
        { "gfams", "2" }, { "hot", "268435456" }, { "bulk", "0" },
        { "host", "1" }, { "socket", "'/x'" }, { "listen", "true" },
        { "topology", "'/x'" }, { "on-death", "'poison'" },
    };
    QTestState *qts = start();

    cxlf_object_add(qts, "'qom-type': 'cxl-fabric', 'id': 'f'");
    for (int i = 0; i < ARRAY_SIZE(set); i++) {
        g_autofree char *command = g_strdup_printf("{'execute': 'qom-set',"
            "'arguments': {'path': '/objects/f', 'property': '%s',"
            "'value': %s}}", set[i][0], set[i][1]);
        QDict *error;

        qtest_qmp_send_raw(qts, "%s", command);
        error = qtest_qmp_receive(qts);
        g_assert_true(qdict_haskey(error, "error"));
        g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(error, "error"),
                                              "desc"), "cannot be changed"));
        qobject_unref(error);
    }
    qtest_quit(qts);
}

/* The socket */

static void test_socket(void)
{
    QTestState *qts = start();
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *longer = g_strnfill(108, 'x');
    g_autofree char *missing = g_strdup_printf("'socket': '%s'", path);
    g_autofree char *too_long = g_strdup_printf("'socket': '%s'", longer);
    g_autofree char *no_folder = g_strdup_printf(
        "'listen': true, 'socket': '%s/none'", path);

    cxlf_add_error(qts, missing, path);
    cxlf_add_error(qts, too_long, "'socket' must be a path of 1 to 107");
    cxlf_add_error(qts, "'socket': ''", "'socket' must be a path");
    cxlf_add_error(qts, "'listen': true", "'listen' needs 'socket'");
    cxlf_add_error(qts, no_folder, "none");
    qtest_quit(qts);
}

/* Somebody listens and never accepts, and its queue is full. */
static void test_stuck_listener(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *json = g_strdup_printf("'listen': true, 'socket': '%s'",
                                            path);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), clients[8], count = 0;
    QTestState *qts = start();

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(listener, (struct sockaddr *)&un, sizeof(un)), ==,
                    0);
    g_assert_cmpint(listen(listener, 0), ==, 0);
    do {
        g_assert_cmpint(count, <, ARRAY_SIZE(clients));
        clients[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    } while (!connect(clients[count++], (struct sockaddr *)&un, sizeof(un)));
    g_assert_cmpint(errno, ==, EAGAIN);

    cxlf_add_error(qts, json, "'socket': another process listens");

    while (count > 0) {
        close(clients[--count]);
    }
    close(listener);
    unlink(path);
    qtest_quit(qts);
}

/* The topology */

static void test_topology_file(void)
{
    struct cxlf_topology t = small_topology();
    g_autofree char *file = write_topology(&t);
    g_autofree char *good = g_strdup_printf("'topology': '%s'", file);
    g_autofree char *both = g_strdup_printf("%s, 'hosts': 3", good);
    g_autofree char *more = g_strdup_printf("%s, 'bulk': 0", good);
    g_autofree char *blob = NULL;
    QTestState *qts = start();
    QDict *info;
    gsize size;

    cxlf_add_error(qts, "'topology': '/nonexistent/x.dtb'",
                   "'topology': ");
    cxlf_add_error(qts, "'topology': '/nonexistent/x.dtb'", "No such file");
    cxlf_add_error(qts, both, "'hosts' and 'topology' exclude each other");
    cxlf_add_error(qts, more, "'bulk' and 'topology' exclude each other");

    g_free(write_file("no device tree", 14));
    cxlf_add_error(qts, good, "not a device tree blob");
    g_free(write_file("", 0));
    cxlf_add_error(qts, good, "not a device tree blob");
    t.gfam[0].leaf = 2;
    g_free(write_topology(&t));
    cxlf_add_error(qts, good, "attached to a leaf that does not exist");

    /* Cut off at every length: refused, and never read past the end. */
    t = small_topology();
    g_free(write_topology(&t));
    g_assert_true(g_file_get_contents(file, &blob, &size, NULL));
    for (gsize cut = 1; cut < size; cut += 29) {
        g_free(write_file(blob, cut));
        cxlf_add_error(qts, good, "'topology': ");
    }
    g_free(write_topology(&t));
    g_free(good);
    good = g_strdup_printf("'qom-type': 'cxl-fabric', 'id': 'f',"
                           "'topology': '%s'", file);
    cxlf_object_add(qts, good);
    info = cxlf_query(qts);
    g_assert_cmpint(qlist_size(qdict_get_qlist(info, "hosts")), ==, 3);
    g_assert_cmpint(qdict_get_int(info, "leaves"), ==, 2);
    g_assert_cmpint(qdict_get_int(info, "hot"), ==, CLASS_SIZE);
    g_assert_cmpint(qdict_get_int(info, "bulk"), ==, 0);
    qobject_unref(info);
    qtest_quit(qts);
    unlink(file);
}

/* Memory backends */

static void add_memdev(QTestState *qts, const char *id, const char *type,
                       uint64_t size, bool share)
{
    g_autofree char *json = g_strdup_printf("'qom-type': '%s', 'id': '%s',"
        "'size': %" PRIu64 ", 'share': %s", type, id, size,
        share ? "true" : "false");

    cxlf_object_add(qts, json);
}

static void test_memdev(void)
{
    static const char *const bad[][2] = {
        { "'memdev0': 'none'", "none" },
        { "'memdev0': 'private'", "'memdev0': the memory backend is not "
          "shared" },
        { "'memdev0': 'anonymous'", "'memdev0': the memory backend is not "
          "shared" },
        { "'memdev0': 'small'", "'memdev0': the memory backend must have "
          "offset 0 and 536870912 bytes" },
        { "'memdev0': 'good', 'hot': 536870912", "'memdev0': the memory "
          "backend must have offset 0 and 805306368 bytes" },
        { "'memdev0': 'good', 'bulk': 0", "'memdev0': the memory backend "
          "must have offset 0 and 268435456 bytes" },
        { "'memdev1': 'good'", "'memdev1': the topology has only 1 GFAM" },
        /* The first of two is good, and must be free again afterwards. */
        { "'gfams': 2, 'memdev0': 'good', 'memdev1': 'small'",
          "'memdev1': the memory backend must have offset 0" },
        { "'gfams': 2, 'memdev0': 'good', 'memdev1': 'good'",
          "'memdev1': the memory backend is in use" },
    };
    QTestState *qts = start();

    add_memdev(qts, "private", "memory-backend-memfd", 2 * CLASS_SIZE, false);
    add_memdev(qts, "anonymous", "memory-backend-ram", 2 * CLASS_SIZE, false);
    add_memdev(qts, "small", "memory-backend-memfd", CLASS_SIZE, true);
    add_memdev(qts, "good", "memory-backend-memfd", 2 * CLASS_SIZE, true);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        cxlf_add_error(qts, bad[i][0], bad[i][1]);
    }
    cxlf_object_add(qts, "'qom-type': 'cxl-fabric', 'id': 'f',"
                    "'memdev0': 'good'");
    cxlf_add_error(qts, "'memdev0': 'good'",
                   "'memdev0': the memory backend is in use");
    /* In use also means that it cannot be taken away. */
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{'execute': 'object-del', 'arguments': {'id': 'good'}}"));
    cxlf_object_del(qts, "f");
    cxlf_object_add(qts, "'qom-type': 'cxl-fabric', 'id': 'f',"
                    "'memdev0': 'good'");
    cxlf_object_del(qts, "f");
    cxlf_object_del(qts, "good");
    qtest_quit(qts);
}

/* The end of the process with a backend in use must be orderly too. */
static void test_memdev_exit(void)
{
    QTestState *qts = start();

    add_memdev(qts, "good", "memory-backend-memfd", 2 * CLASS_SIZE, true);
    cxlf_object_add(qts, "'qom-type': 'cxl-fabric', 'id': 'f',"
                    "'memdev0': 'good'");
    qtest_quit(qts);
}

/* Joining */

static void test_join_properties(void)
{
    static const char *const owners[][2] = {
        { "hosts", "4" }, { "leaves", "1" }, { "shards", "4" },
        { "gfams", "1" }, { "hot", "268435456" }, { "bulk", "0" },
        { "memdev0", "'m'" }, { "on-death", "'keep'" },
    };
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, "");
    QTestState *qts = start();

    add_memdev(qts, "m", "memory-backend-memfd", 2 * CLASS_SIZE, true);
    for (int i = 0; i < ARRAY_SIZE(owners); i++) {
        g_autofree char *json = g_strdup_printf("'socket': '%s', '%s': %s",
            path, owners[i][0], owners[i][1]);
        g_autofree char *text = g_strdup_printf("'%s' is the owner's to set",
                                                owners[i][0]);

        cxlf_add_error(qts, json, text);
    }
    qtest_quit(qts);
    qtest_quit(owner);
}

static void test_host_numbers(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *want0 = g_strdup_printf("'socket': '%s', 'host': 0",
                                             path);
    g_autofree char *want1 = g_strdup_printf("'qom-type': 'cxl-fabric',"
        "'id': 'f', 'socket': '%s', 'host': 1", path);
    g_autofree char *want2 = g_strdup_printf("'socket': '%s', 'host': 2",
                                             path);
    g_autofree char *any = g_strdup_printf("'socket': '%s'", path);
    g_autofree char *good = g_strdup_printf("'qom-type': 'cxl-fabric',"
        "'id': 'f', %s", any);
    QTestState *owner = cxlf_owner_start(path, ",hosts=2");
    QTestState *a = start();
    QTestState *b = start();
    QTestState *c = start();
    QDict *info;

    cxlf_object_add(a, good);
    cxlf_add_error(b, want0, "the wished 'host' number is taken");
    cxlf_add_error(b, want2, "'host' is beyond the topology's hosts");
    cxlf_object_add(b, want1);
    info = cxlf_query(b);
    g_assert_cmpint(qdict_get_int(info, "self"), ==, 1);
    g_assert_cmpstr(qdict_get_str(info, "role"), ==, "member");
    qobject_unref(info);
    cxlf_add_error(c, any, "every host number is taken; raise the owner's "
                   "'hosts'");
    cxlf_object_del(a, "f");
    cxlf_wait_host_state(owner, 0, "free");
    cxlf_object_add(c, good);
    cxlf_wait_host_state(owner, 0, "up");
    g_assert_false(cxlf_has_event(owner, "X_CXL_FABRIC_HOST_DEAD"));
    qtest_quit(a);
    qtest_quit(b);
    qtest_quit(c);
    qtest_quit(owner);
}

/* The owner's process cannot be its own member: it would wait for itself. */
static void test_join_itself(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *join = g_strdup_printf("'socket': '%s'", path);
    QTestState *owner = cxlf_owner_start(path, "");

    cxlf_add_error(owner, join, "is owned by this process; name the owning "
                   "object");
    peer_good_join(path);
    qtest_quit(owner);
}

static void test_topology_mismatch(void)
{
    struct cxlf_topology t = {
        .hosts = 2, .leaves = 2, .shards = 4, .gfams = 2,
        .gfam = { { CLASS_SIZE, CLASS_SIZE, 0 },
                  { CLASS_SIZE, CLASS_SIZE, 1 } },
        .host_leaf = { 0, 1 }, .tiers = true,
    };
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *file = write_topology(&t);
    g_autofree char *json = g_strdup_printf("'socket': '%s',"
                                            "'topology': '%s'", path, file);
    g_autofree char *good = g_strdup_printf("'qom-type': 'cxl-fabric',"
                                            "'id': 'f', %s", json);
    QTestState *owner = cxlf_owner_start(path,
                                         ",hosts=2,leaves=2,gfams=2");
    QTestState *qts = start();

    /* The same by properties and by file is the same. */
    cxlf_object_add(qts, good);
    cxlf_object_del(qts, "f");

    t.gfam[1].bulk += CLASS_SIZE;
    g_free(write_topology(&t));
    cxlf_add_error(qts, json, "the topology differs from the owner's");
    t.gfam[1].bulk -= CLASS_SIZE;
    t.host_leaf[1] = 0;
    g_free(write_topology(&t));
    cxlf_add_error(qts, json, "the topology differs from the owner's");
    g_free(write_file("nonsense", 8));
    cxlf_add_error(qts, json, "'topology': topology: not a device tree");
    unlink(file);
    cxlf_add_error(qts, json, "'topology': ");
    qtest_quit(qts);
    qtest_quit(owner);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/fabric/numbers", test_numbers);
    qtest_add_func("/cxlf/fabric/good", test_good);
    qtest_add_func("/cxlf/fabric/frozen", test_frozen);
    qtest_add_func("/cxlf/fabric/socket", test_socket);
    qtest_add_func("/cxlf/fabric/stuck-listener", test_stuck_listener);
    qtest_add_func("/cxlf/fabric/topology", test_topology_file);
    qtest_add_func("/cxlf/fabric/memdev", test_memdev);
    qtest_add_func("/cxlf/fabric/memdev-exit", test_memdev_exit);
    qtest_add_func("/cxlf/fabric/join/properties", test_join_properties);
    qtest_add_func("/cxlf/fabric/join/hosts", test_host_numbers);
    qtest_add_func("/cxlf/fabric/join/itself", test_join_itself);
    qtest_add_func("/cxlf/fabric/join/topology", test_topology_mismatch);
    return g_test_run();
}
