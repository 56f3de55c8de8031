/*
 * Helpers of the CXL fabric's qtests: links, the Fabric Manager's commands,
 * and what an agent tells its guest
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf/topology-fdt.h"
#include "cxlf-route.h"

CxlfFabric *cxlf_fabric_of(const struct cxlf_topology *t,
                           const struct cxlf_graph *g, int hosts,
                           const char *more)
{
    return cxlf_fabric_with(t, g, "", hosts, more);
}

CxlfFabric *cxlf_fabric_with(const struct cxlf_topology *t,
                             const struct cxlf_graph *g, const char *options,
                             int hosts, const char *more)
{
    CxlfFabric *f = g_new0(CxlfFabric, 1);
    g_autofree char *file = g_strdup_printf("%s/cxlf-route-%d.dtb",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *option = g_strdup_printf(",topology=%s%s", file,
                                              options);
    char blob[16384];
    size_t size = cxlf_graph_write(t, g, blob, sizeof(blob));

    g_assert_cmpuint(size, >, 0);
    g_assert_true(g_file_set_contents(file, blob, size, NULL));
    f->path = cxlf_socket_path();
    f->owner = cxlf_owner_start(f->path, option);
    f->hosts = hosts;
    for (int i = 0; i < hosts; i++) {
        cxlf_fabric_host(f, i, more);
    }
    unlink(file);
    return f;
}

QList *cxlf_links(QTestState *qts)
{
    QDict *r = qtest_qmp(qts, "{ 'execute': 'x-query-cxl-fabric-links' }");
    QList *list = qdict_get_qlist(r, "return");

    g_assert_nonnull(list);
    qobject_ref(list);
    qobject_unref(r);
    return list;
}

QDict *cxlf_nth(QList *list, unsigned n)
{
    const QListEntry *e = qlist_first(list);

    while (n--) {
        e = qlist_next(e);
    }
    return qobject_to(QDict, qlist_entry_obj(e));
}

void cxlf_set_link(QTestState *owner, int link, int port, bool up)
{
    QDict *r = port < 0 ?
        qtest_qmp(owner, "{ 'execute': 'x-cxl-fabric-set-link',"
                  "'arguments': { 'link': %d, 'up': %i } }", link, up) :
        qtest_qmp(owner, "{ 'execute': 'x-cxl-fabric-set-link',"
                  "'arguments': { 'link': %d, 'port': %d, 'up': %i } }",
                  link, port, up);

    g_assert_true(qdict_haskey(r, "return"));
    qobject_unref(r);
}

void cxlf_can(CxlfFabric *f, int host, uint64_t dpa)
{
    uint64_t value = g_test_rand_int();

    cxlf_store(&f->r[host], dpa, value, 8);
    g_assert_cmphex(cxlf_load(&f->r[host], dpa, 8), ==, value);
}

void cxlf_cannot(CxlfFabric *f, int host, uint64_t dpa)
{
    CxlfCounters before = cxlf_counters(f->owner, host), delta;

    cxlf_store(&f->r[host], dpa, 0x0bad, 8);
    g_assert_cmphex(cxlf_load(&f->r[host], dpa, 8), ==, UINT64_MAX);
    delta = cxlf_minus(cxlf_counters(f->owner, host), before);
    cxlf_assert_delta(delta, CXLF_REFUSAL, 2, CXLF_COUNTERS);
}

void cxlf_wait_load(const CxlfRegion *r, uint64_t dpa, uint64_t value)
{
    gint64 deadline = cxlf_deadline();

    while (cxlf_load(r, dpa, 8) != value) {
        cxlf_pause(deadline, "a page");
    }
}

int cxlf_cci(QTestState *owner, unsigned component, unsigned opcode,
             const void *in, size_t n, void *out, size_t room, size_t *got)
{
    g_autofree char *payload = g_base64_encode(in, n);
    QDict *r = qtest_qmp(owner, "{ 'execute': 'x-cxl-fabric-cci', "
                         "'arguments': { 'component': %u, 'opcode': %u, "
                         "'payload': %s } }", component, opcode, payload);
    QDict *answer = qdict_get_qdict(r, "return");
    g_autofree guchar *bytes = NULL;
    gsize length;
    int code;

    g_assert_nonnull(answer);
    code = qdict_get_int(answer, "return-code");
    bytes = g_base64_decode(qdict_get_str(answer, "payload"), &length);
    g_assert_cmpuint(length, <=, room);
    if (length) {
        memcpy(out, bytes, length);
    }
    if (got) {
        *got = length;
    }
    qobject_unref(r);
    return code;
}

void cxlf_cci_ok(QTestState *owner, unsigned component, unsigned opcode,
                 const void *in, size_t n)
{
    g_assert_cmphex(cxlf_cci(owner, component, opcode, in, n, NULL, 0, NULL),
                    ==, 0);
}

/* docs/specs/dpu-eca.rst, "Events" */
#define RING        0x1000000
#define ENTRIES     64
#define EVENT_SIZE  64

CxlfEvents cxlf_events_on(CxlfHost *h, uint32_t kinds)
{
    qtest_writel(h->qts, h->eca + 0x110c, 0);
    qtest_memset(h->qts, RING, 0, ENTRIES * EVENT_SIZE);
    qtest_writeq(h->qts, h->eca + 0x1100, RING);
    qtest_writel(h->qts, h->eca + 0x1108, ENTRIES);
    qtest_writel(h->qts, h->eca + 0x1114, kinds);
    qtest_writel(h->qts, h->eca + 0x110c, 1);
    return (CxlfEvents) { .h = h };
}

CxlfEvent cxlf_events_next(CxlfEvents *e, unsigned kind)
{
    QTestState *qts = e->h->qts;
    gint64 deadline = cxlf_deadline();
    uint64_t at = RING + e->next % ENTRIES * EVENT_SIZE;
    unsigned phase = !(e->next / ENTRIES % 2);
    CxlfEvent event;

    while (qtest_readw(qts, at + 2) != phase) {
        cxlf_pause(deadline, "an event");
    }
    g_assert_cmpuint(qtest_readw(qts, at), ==, kind);
    event.gfam = qtest_readl(qts, at + 8);
    event.count = qtest_readl(qts, at + 0xc);
    event.dpa = qtest_readq(qts, at + 0x10);
    event.length = qtest_readq(qts, at + 0x18);
    for (int i = 0; i < ARRAY_SIZE(event.data); i++) {
        event.data[i] = qtest_readl(qts, at + 0x28 + 4 * i);
    }
    e->next++;
    qtest_writel(qts, e->h->eca + 0x111c, e->next % ENTRIES);
    return event;
}
