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
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "cxlf/route.h"
#include "cxlf/topology-fdt.h"
#include "cxlf-route.h"

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

/* With the graph as it is now. */
static CxlfFabric *start_graph(int hosts)
{
    struct cxlf_topology t = topology();

    return cxlf_fabric_of(&t, &graph, hosts, CXLF_NEVER_MAPPED);
}

/* The fabric above; the link of host 0 is a bundle of two. */
static CxlfFabric *start(int hosts)
{
    struct cxlf_topology t = topology();

    cxlf_graph_default(&t, 2, &graph);
    graph.link[HOST0].ports = 2;
    return start_graph(hosts);
}

static void set_link(CxlfFabric *f, int link, int port, bool up)
{
    cxlf_set_link(f->owner, link, port, up);
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
    QList *list = cxlf_links(qts);
    const QListEntry *e;
    unsigned up = 0;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(cxlf_nth(list, link), "up"), e) {
        up |= 1u << qnum_get_uint(qobject_to(QNum, qlist_entry_obj(e)));
    }
    qobject_unref(list);
    return up;
}

/* Links */

static void test_links(void)
{
    CxlfFabric *f = start(1);
    QList *list = cxlf_links(f->owner);

    g_assert_cmpuint(qlist_size(list), ==, LINKS);
    for (int i = 0; i < LINKS; i++) {
        QDict *link = cxlf_nth(list, i);
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

/* Traffic */

/* Bytes by kind, in each direction of each link. */
typedef struct Traffic {
    uint64_t n[LINKS][WAYS][CXLF_FLOW_KINDS];
} Traffic;

static Traffic traffic(QTestState *qts)
{
    QList *list = cxlf_links(qts);
    Traffic t;

    for (int i = 0; i < LINKS; i++) {
        QList *ways = qdict_get_qlist(cxlf_nth(list, i), "counters");

        for (int way = 0; way < WAYS; way++) {
            QDict *c = cxlf_nth(ways, way);
            uint64_t bytes = 0;

            for (int kind = 0; kind < CXLF_FLOW_KINDS; kind++) {
                t.n[i][way][kind] = qdict_get_int(c, cxlf_flow_name[kind]);
                bytes += t.n[i][way][kind];
            }
            g_assert_cmpuint(qdict_get_int(c, "flits"), ==,
                             (bytes + 239) / 240);
        }
    }
    qobject_unref(list);
    return t;
}

/* What has been counted since *@last, which becomes what is now. */
static Traffic since(CxlfFabric *f, Traffic *last)
{
    Traffic now = traffic(f->owner), delta = now;
    uint64_t *to = &delta.n[0][0][0], *from = &last->n[0][0][0];

    for (size_t i = 0; i < sizeof(delta) / sizeof(*to); i++) {
        to[i] -= from[i];
    }
    *last = now;
    return delta;
}

/* Both spines together carry what is named for spine 0. */
static void fold(Traffic *t)
{
    for (int way = 0; way < WAYS; way++) {
        for (int kind = 0; kind < CXLF_FLOW_KINDS; kind++) {
            t->n[L0S0][way][kind] += t->n[L0S1][way][kind];
            t->n[L1S0][way][kind] += t->n[L1S1][way][kind];
            t->n[L0S1][way][kind] = t->n[L1S1][way][kind] = 0;
        }
    }
}

static void assert_traffic(Traffic is, const Traffic *want)
{
    fold(&is);
    for (int i = 0; i < LINKS; i++) {
        for (int way = 0; way < WAYS; way++) {
            for (int kind = 0; kind < CXLF_FLOW_KINDS; kind++) {
                if (is.n[i][way][kind] != want->n[i][way][kind]) {
                    g_error("%s - %s, way %d: %" PRIu64 " bytes of %s, not %"
                            PRIu64, ends[i][0], ends[i][1], way,
                            is.n[i][way][kind], cxlf_flow_name[kind],
                            want->n[i][way][kind]);
                }
            }
        }
    }
}

#define SLOT    16
#define DATA    80      /* a header, and a line */

static void test_traffic(void)
{
    CxlfFabric *f = start(2);
    const uint64_t dpa = CXLF_PAGE;     /* its home is leaf 1 */
    Traffic last = traffic(f->owner);
    Traffic none = { 0 };
    /* A load of host 1, which is where the home and the device are. */
    Traffic miss = { .n = {
        [HOST1][1][CXLF_FLOW_REQ] = SLOT, [GFAM0][0][CXLF_FLOW_REQ] = SLOT,
        [GFAM0][1][CXLF_FLOW_DRS] = DATA, [HOST1][0][CXLF_FLOW_DRS] = DATA,
    } };
    Traffic upgrade = { .n = {
        [HOST1][1][CXLF_FLOW_REQ] = SLOT, [HOST1][0][CXLF_FLOW_NDR] = SLOT,
    } };
    /* Host 0 loads what host 1 has modified. */
    Traffic snoop = { .n = {
        [HOST0][1][CXLF_FLOW_REQ] = SLOT, [L0S0][0][CXLF_FLOW_REQ] = SLOT,
        [L1S0][1][CXLF_FLOW_REQ] = SLOT, [HOST1][0][CXLF_FLOW_BISNP] = SLOT,
        [HOST1][1][CXLF_FLOW_RWD] = DATA, [GFAM0][0][CXLF_FLOW_RWD] = DATA,
        [GFAM0][1][CXLF_FLOW_NDR] = SLOT, [HOST1][0][CXLF_FLOW_NDR] = SLOT,
        [HOST1][1][CXLF_FLOW_BIRSP] = SLOT, [GFAM0][0][CXLF_FLOW_REQ] = SLOT,
        [GFAM0][1][CXLF_FLOW_DRS] = DATA, [L1S0][0][CXLF_FLOW_DRS] = DATA,
        [L0S0][1][CXLF_FLOW_DRS] = DATA, [HOST0][0][CXLF_FLOW_DRS] = DATA,
    } };

    cxlf_load(&f->r[1], dpa, 8);
    assert_traffic(since(f, &last), &miss);
    cxlf_load(&f->r[1], dpa, 8);
    assert_traffic(since(f, &last), &none);
    cxlf_store(&f->r[1], dpa, 42, 8);
    assert_traffic(since(f, &last), &upgrade);
    cxlf_store(&f->r[1], dpa + 8, 43, 8);
    assert_traffic(since(f, &last), &none);
    g_assert_cmpuint(cxlf_load(&f->r[0], dpa, 8), ==, 42);
    assert_traffic(since(f, &last), &snoop);
    cxlf_fabric_stop(f);
}

/* The lines of one page are flows of their own. */
static void test_spread(void)
{
    CxlfFabric *f = start(1);
    Traffic last = traffic(f->owner), t, sum;

    for (uint64_t dpa = 0; dpa < CXLF_PAGE; dpa += CXLF_LINE) {
        cxlf_load(&f->r[0], dpa, 8);
    }
    t = sum = since(f, &last);
    g_assert_cmpuint(t.n[L0S0][0][CXLF_FLOW_REQ], >, 0);
    g_assert_cmpuint(t.n[L0S1][0][CXLF_FLOW_REQ], >, 0);
    g_assert_cmpuint(t.n[L0S0][1][CXLF_FLOW_DRS], >, 0);
    g_assert_cmpuint(t.n[L0S1][1][CXLF_FLOW_DRS], >, 0);
    /* What goes into a spine comes out of it. */
    g_assert_cmpuint(t.n[L0S0][0][CXLF_FLOW_REQ], ==,
                     t.n[L1S0][1][CXLF_FLOW_REQ]);
    g_assert_cmpuint(t.n[L0S1][1][CXLF_FLOW_DRS], ==,
                     t.n[L1S1][0][CXLF_FLOW_DRS]);
    fold(&sum);
    g_assert_cmpuint(sum.n[L0S0][0][CXLF_FLOW_REQ], ==,
                     CXLF_LINES_PER_PAGE * SLOT);
    g_assert_cmpuint(sum.n[L0S0][1][CXLF_FLOW_DRS], ==,
                     CXLF_LINES_PER_PAGE * DATA);
    cxlf_fabric_stop(f);
}

/* Pages are asked for by the agent's thread, in its own lane. */
static void test_pages(void)
{
    CxlfFabric *f = start(2);
    Traffic last = traffic(f->owner), t;

    cxlf_store(&f->r[0], CLASS_SIZE, 42, 8);
    t = since(f, &last);
    g_assert_cmpuint(t.n[HOST0][1][CXLF_FLOW_REQ], >=, SLOT);
    g_assert_cmpuint(t.n[HOST0][1][CXLF_FLOW_REQ], ==,
                     t.n[HOST0][0][CXLF_FLOW_NDR]);
    g_assert_cmpuint(cxlf_load(&f->r[1], CLASS_SIZE, 8), ==, 42);
    t = since(f, &last);
    g_assert_cmpuint(t.n[HOST0][0][CXLF_FLOW_BISNP], >=, SLOT);
    g_assert_cmpuint(t.n[HOST0][0][CXLF_FLOW_BISNP], ==,
                     t.n[HOST0][1][CXLF_FLOW_BIRSP]);
    cxlf_fabric_stop(f);
}

/* Links that fail */

static void test_host_link(void)
{
    CxlfFabric *f = start(2);

    for (uint64_t dpa = 0; dpa <= CXLF_PAGE; dpa += CXLF_PAGE) {
        cxlf_can(f, 0, dpa);
        cxlf_can(f, 1, dpa);
        cxlf_can(f, 0, dpa + CXLF_LINE);
        /* One port of two is enough. */
        set_link(f, HOST0, 0, false);
        cxlf_can(f, 0, dpa + CXLF_LINE);
        set_link(f, HOST0, 1, false);
        cxlf_cannot(f, 0, dpa);
        cxlf_cannot(f, 0, dpa + CXLF_LINE);  /* though it holds the line */
        g_assert_cmphex(cxlf_load(&f->r[1], dpa, 8), !=, 0x0bad);
        cxlf_can(f, 1, dpa);
        set_link(f, HOST0, -1, true);
        cxlf_can(f, 0, dpa);
    }
    set_link(f, GFAM0, -1, false);
    cxlf_cannot(f, 0, 0);
    cxlf_cannot(f, 1, 0);
    set_link(f, GFAM0, -1, true);
    cxlf_can(f, 0, 0);
    cxlf_can(f, 1, 0);
    cxlf_fabric_stop(f);
}

/* A change of the tables is seen by the next access. */
static void test_switch_link(void)
{
    CxlfFabric *f = start(2);
    Traffic last, t;

    cxlf_can(f, 0, 0);
    for (int down = 0; down < 2; down++) {
        set_link(f, L0S0 + down, -1, false);
        last = traffic(f->owner);
        for (int i = 1; i < CXLF_LINES_PER_PAGE; i++) {
            cxlf_can(f, 0, i * CXLF_LINE);
            cxlf_can(f, 1, i * CXLF_LINE);
        }
        t = since(f, &last);
        for (int way = 0; way < WAYS; way++) {
            for (int kind = 0; kind < CXLF_FLOW_KINDS; kind++) {
                g_assert_cmpuint(t.n[L0S0 + down][way][kind], ==, 0);
                g_assert_cmpuint(t.n[L1S0 + down][way][kind], ==, 0);
            }
        }
        g_assert_cmpuint(t.n[L0S1 - down][0][CXLF_FLOW_REQ], >, 0);
        set_link(f, L0S0 + down, -1, true);
    }
    set_link(f, L0S0, -1, false);
    set_link(f, L1S1, -1, false);       /* each spine lacks another leaf */
    cxlf_cannot(f, 0, 0);
    cxlf_cannot(f, 0, CXLF_PAGE);
    cxlf_can(f, 1, CXLF_PAGE);
    cxlf_cannot(f, 1, 0);                    /* its home is leaf 0 */
    set_link(f, L1S1, -1, true);
    cxlf_can(f, 0, 0);
    cxlf_can(f, 1, 0);
    cxlf_fabric_stop(f);
}

/* BULK: pages that host 0 had mapped, and that nobody had. */
static void test_mapped(void)
{
    const uint64_t bulk = CLASS_SIZE, other = CLASS_SIZE + MIB;
    CxlfFabric *f = start(2);

    cxlf_store(&f->r[0], bulk, 41, 8);
    cxlf_store(&f->r[0], bulk + CXLF_PAGE, 42, 8);
    g_assert_cmpuint(cxlf_load(&f->r[1], bulk, 8), ==, 41);     /* shared */
    set_link(f, HOST0, -1, false);
    cxlf_wait_load(&f->r[0], bulk, UINT64_MAX);
    cxlf_wait_load(&f->r[0], bulk + CXLF_PAGE, UINT64_MAX);
    g_assert_cmphex(cxlf_load(&f->r[0], other, 8), ==, UINT64_MAX);
    g_assert_cmpuint(cxlf_counters(f->owner, 0).n[CXLF_REFUSAL], >=, 3);
    /* The other host takes what it wants. */
    g_assert_cmpuint(cxlf_load(&f->r[1], bulk + CXLF_PAGE, 8), ==, 42);
    cxlf_store(&f->r[1], bulk + CXLF_PAGE, 43, 8);
    cxlf_store(&f->r[1], other, 44, 8);
    set_link(f, HOST0, -1, true);
    cxlf_wait_load(&f->r[0], bulk, 41);
    cxlf_wait_load(&f->r[0], bulk + CXLF_PAGE, 43);
    cxlf_wait_load(&f->r[0], other, 44);
    cxlf_store(&f->r[0], bulk, 45, 8);
    g_assert_cmpuint(cxlf_load(&f->r[1], bulk, 8), ==, 45);
    cxlf_fabric_stop(f);
}

/* The same for copies in software mode. */
static void test_copies(void)
{
    CxlfFabric *f = start(2);

    cxlf_set_bulk_mode(f, "software");
    set_link(f, HOST0, -1, false);
    g_assert_cmphex(cxlf_load(&f->r[0], CLASS_SIZE, 8), ==, UINT64_MAX);
    g_assert_cmpuint(cxlf_load(&f->r[1], CLASS_SIZE, 8), ==, 0);
    set_link(f, HOST0, -1, true);
    cxlf_wait_load(&f->r[0], CLASS_SIZE, 0);
    cxlf_fabric_stop(f);
}

/* Of two LDs host 1 has the second, which is BULK. */
static void test_logical_devices(void)
{
    struct cxlf_topology t = topology();
    CxlfFabric *f;
    CxlfHost *h;

    cxlf_graph_default(&t, 2, &graph);
    graph.lds[0] = 2;
    graph.bound[0][1] = 1;
    f = start_graph(0);
    f->hosts = 2;
    f->h[0] = cxlf_host_start(f->path, 0, "", "");
    f->h[1] = h = cxlf_host_start(f->path, 1, ",ld=1", "");
    f->r[1] = (CxlfRegion) { .h = h, .base = h->window, .size = CLASS_SIZE };
    cxlf_commit(&f->r[1]);
    cxlf_store(&f->r[1], 0, 0x1234, 8);
    set_link(f, HOST1, -1, false);
    cxlf_wait_load(&f->r[1], 0, UINT64_MAX);  /* it was mapped */
    set_link(f, HOST1, -1, true);
    cxlf_wait_load(&f->r[1], 0, 0x1234);
    cxlf_fabric_stop(f);
}

/* Event 7 of docs/specs/dpu-eca.rst */
#define KIND    7

static void expect_event(CxlfEvents *e, uint32_t link, uint32_t before,
                         uint32_t after)
{
    CxlfEvent event = cxlf_events_next(e, KIND);

    g_assert_cmpuint(event.data[0], ==, link);
    g_assert_cmphex(event.data[1], ==, before);
    g_assert_cmphex(event.data[2], ==, after);
}

static void test_event(void)
{
    CxlfFabric *f = start(2);
    CxlfEvents e[2];

    for (int i = 0; i < 2; i++) {
        e[i] = cxlf_events_on(f->h[i], 1u << KIND);
    }
    set_link(f, HOST0, 1, false);
    expect_event(&e[0], HOST0, 3, 1);
    set_link(f, HOST0, 1, true);
    expect_event(&e[0], HOST0, 1, 3);
    /* Host 1 hears of the spines', and has heard of nothing before. */
    set_link(f, L0S1, -1, false);
    expect_event(&e[0], L0S1, 1, 0);
    expect_event(&e[1], L0S1, 1, 0);
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
    qtest_add_func("/cxlf/route/traffic", test_traffic);
    qtest_add_func("/cxlf/route/spread", test_spread);
    qtest_add_func("/cxlf/route/pages", test_pages);
    qtest_add_func("/cxlf/route/host-link", test_host_link);
    qtest_add_func("/cxlf/route/switch-link", test_switch_link);
    qtest_add_func("/cxlf/route/mapped", test_mapped);
    qtest_add_func("/cxlf/route/copies", test_copies);
    qtest_add_func("/cxlf/route/logical-devices", test_logical_devices);
    qtest_add_func("/cxlf/route/event", test_event);
    return g_test_run();
}
