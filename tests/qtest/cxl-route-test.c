/*
 * QTest of routing: links that count, fail and return
 *
 * Two leaves and two spines.  Host 0 is at leaf 0, host 1 and the GFAM device
 * are at leaf 1; page n of HOT has its home at leaf n mod 2.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "cxlf-hdm.h"
#include "cxlf/topology-fdt.h"

/* Links, in the order of docs/routing.md. */
enum {
    L0S0, L0S1, L1S0, L1S1, GFAM0, HOST0, HOST1, LINKS
};
#define WAYS    2       /* counters: from the first end, and back */

static const char *const ends[LINKS][2] = {
    { "leaf@0", "spine@0" }, { "leaf@0", "spine@1" },
    { "leaf@1", "spine@0" }, { "leaf@1", "spine@1" },
    { "leaf@1", "gfam@0" }, { "leaf@0", "host@0" }, { "leaf@1", "host@1" },
};

static struct cxlf_graph graph;

static struct cxlf_topology topology(void)
{
    return (struct cxlf_topology) {
        .hosts = 2, .leaves = 2, .shards = 1, .gfams = 1,
        .gfam[0] = { .hot = CLASS_SIZE, .bulk = CLASS_SIZE, .leaf = 1 },
        .host_leaf = { 0, 1 }, .tiers = true,
    };
}

static char *write_topology(const struct cxlf_topology *t)
{
    char *path = g_strdup_printf("%s/cxlf-route-%d.dtb", g_get_tmp_dir(),
                                 getpid());
    char blob[8192];
    size_t size = cxlf_graph_write(t, &graph, blob, sizeof(blob));

    g_assert_cmpuint(size, >, 0);
    g_assert_true(g_file_set_contents(path, blob, size, NULL));
    return path;
}

/* The fabric above, with links of host 0 that are a bundle of two. */
static CxlfFabric *start(int hosts)
{
    struct cxlf_topology t = topology();
    CxlfFabric *f = g_new0(CxlfFabric, 1);
    g_autofree char *file = NULL;
    g_autofree char *option = NULL;

    cxlf_graph_default(&t, 2, &graph);
    graph.link[HOST0].ports = 2;
    file = write_topology(&t);
    option = g_strdup_printf(",topology=%s", file);
    f->path = cxlf_socket_path();
    f->owner = cxlf_owner_start(f->path, option);
    f->hosts = hosts;
    for (int i = 0; i < hosts; i++) {
        cxlf_fabric_host(f, i, CXLF_NEVER_MAPPED);
    }
    unlink(file);
    return f;
}

static QList *query(QTestState *qts)
{
    QDict *r = qtest_qmp(qts, "{ 'execute': 'x-query-cxl-fabric-links' }");
    QList *list = qdict_get_qlist(r, "return");

    g_assert_nonnull(list);
    qobject_ref(list);
    qobject_unref(r);
    return list;
}

static QDict *nth(QList *list, unsigned n)
{
    const QListEntry *e = qlist_first(list);

    while (n--) {
        e = qlist_next(e);
    }
    return qobject_to(QDict, qlist_entry_obj(e));
}

static void set_link(CxlfFabric *f, int link, int port, bool up)
{
    QDict *r = port < 0 ?
        qtest_qmp(f->owner, "{ 'execute': 'x-cxl-fabric-set-link',"
                  "'arguments': { 'link': %d, 'up': %i } }", link, up) :
        qtest_qmp(f->owner, "{ 'execute': 'x-cxl-fabric-set-link',"
                  "'arguments': { 'link': %d, 'port': %d, 'up': %i } }",
                  link, port, up);

    g_assert_true(qdict_haskey(r, "return"));
    qobject_unref(r);
}

static void set_error(QTestState *qts, int link, int port, const char *text)
{
    QDict *r = qtest_qmp(qts, "{ 'execute': 'x-cxl-fabric-set-link',"
                         "'arguments': { 'link': %d, 'port': %d,"
                         "'up': false } }", link, port);
    const char *desc = qdict_get_str(qdict_get_qdict(r, "error"), "desc");

    if (!strstr(desc, text)) {
        g_error("the error says '%s', not '%s'", desc, text);
    }
    qobject_unref(r);
}

/* Which ports of a link are up, a bit for each. */
static unsigned ports_up(QTestState *qts, int link)
{
    QList *list = query(qts);
    const QListEntry *e;
    unsigned up = 0;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(nth(list, link), "up"), e) {
        up |= 1u << qnum_get_uint(qobject_to(QNum, qlist_entry_obj(e)));
    }
    qobject_unref(list);
    return up;
}

/* Links */

static void test_links(void)
{
    CxlfFabric *f = start(1);
    QList *list = query(f->owner);

    g_assert_cmpuint(qlist_size(list), ==, LINKS);
    for (int i = 0; i < LINKS; i++) {
        QDict *link = nth(list, i);
        QList *end = qdict_get_qlist(link, "ends");
        const QListEntry *first = qlist_first(end);

        g_assert_cmpint(qdict_get_int(link, "link"), ==, i);
        g_assert_cmpstr(qstring_get_str(qobject_to(QString,
                            qlist_entry_obj(first))), ==, ends[i][0]);
        g_assert_cmpstr(qstring_get_str(qobject_to(QString,
                            qlist_entry_obj(qlist_next(first)))), ==,
                        ends[i][1]);
        g_assert_cmpint(qdict_get_int(link, "rate"), ==, 64000);
        g_assert_cmpint(qdict_get_int(link, "ports"), ==,
                        i == HOST0 ? 2 : 1);
    }
    qobject_unref(list);

    set_error(f->owner, LINKS, 0, "'link' must be 0 to 6");
    set_error(f->owner, HOST0, 2, "'port' must be 0 to 1");
    set_error(f->h[0]->qts, HOST0, 0, "this process owns no CXL fabric");
    set_link(f, HOST0, 1, false);
    g_assert_cmphex(ports_up(f->owner, HOST0), ==, 1);
    /* A member sees it, and only sees it. */
    g_assert_cmphex(ports_up(f->h[0]->qts, HOST0), ==, 1);
    set_link(f, HOST0, -1, false);
    g_assert_cmphex(ports_up(f->h[0]->qts, HOST0), ==, 0);
    set_link(f, HOST0, -1, true);
    g_assert_cmphex(ports_up(f->h[0]->qts, HOST0), ==, 3);
    g_assert_cmphex(ports_up(f->h[0]->qts, L0S0), ==, 1);
    cxlf_fabric_stop(f);
}

/* A join compares links, too. */
static void test_mismatch(void)
{
    struct cxlf_topology t = topology();
    CxlfFabric *f = start(0);
    g_autofree char *file = write_topology(&t);
    g_autofree char *json = g_strdup_printf("'socket': '%s',"
                                            "'topology': '%s'", f->path,
                                            file);
    g_autofree char *good = g_strdup_printf("'qom-type': 'cxl-fabric',"
                                            "'id': 'f', %s", json);
    QTestState *qts = qtest_init("-machine none -nodefaults");

    cxlf_object_add(qts, good);
    cxlf_object_del(qts, "f");
    graph.link[L1S1].latency = 20;
    g_free(write_topology(&t));
    cxlf_add_error(qts, json, "the topology differs from the owner's");
    cxlf_graph_default(&t, 0, &graph);
    g_free(write_topology(&t));
    cxlf_add_error(qts, json, "the topology differs from the owner's");
    unlink(file);
    qtest_quit(qts);
    cxlf_fabric_stop(f);
}

/* A leaf has 256 ports: more hosts are a fabric that has no links. */
static void test_no_routing(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=300");
    CxlfHost *h = cxlf_host_start(path, 1, "", "");
    CxlfRegion r = cxlf_whole_region(h, 0);

    set_error(owner, 0, 0, "has no routing");
    cxlf_store(&r, 0, 42, 8);
    g_assert_cmpuint(cxlf_load(&r, 0, 8), ==, 42);
    cxlf_host_stop(h);
    qtest_quit(owner);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/route/links", test_links);
    qtest_add_func("/cxlf/route/mismatch", test_mismatch);
    qtest_add_func("/cxlf/route/no-routing", test_no_routing);
    return g_test_run();
}
