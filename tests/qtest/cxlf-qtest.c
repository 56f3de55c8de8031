/*
 * Helpers of the CXL fabric's qtests: fabrics, hosts, counters
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qlist.h"
#include "cxlf-qtest.h"

#define ECAM            0xb0000000ull
#define Q35_PCIEXBAR    0x60

char *cxlf_socket_path(void)
{
    static unsigned number;

    return g_strdup_printf("%s/cxlf-%d.%u.sock", g_get_tmp_dir(), getpid(),
                           number++);
}

QTestState *cxlf_owner_start(const char *socket, const char *more)
{
    return qtest_initf("-machine none -nodefaults "
                       "-object cxl-fabric,id=fabric0,listen=on,socket=%s%s",
                       socket, more);
}

/* Where info mtree says that a region is; false if there is none. */
static bool find_region(const char *mtree, const char *name, uint64_t *base,
                        uint64_t *size)
{
    g_auto(GStrv) lines = g_strsplit(mtree, "\n", -1);

    for (char **line = lines; *line; line++) {
        uint64_t first, last;

        if (strstr(*line, name) &&
            sscanf(*line, " %" SCNx64 "-%" SCNx64, &first, &last) == 2) {
            *base = first;
            *size = last - first + 1;
            return true;
        }
    }
    return false;
}

CxlfHost *cxlf_host_start_fabric(const char *fabric, int gfams,
                                 const char *gfam_options, const char *more)
{
    g_autoptr(GString) args = g_string_new(NULL);
    g_autofree char *mtree = NULL;
    CxlfHost *h = g_new0(CxlfHost, 1);
    QDict *info;
    uint64_t size;

    g_string_printf(args, "-M q35,cxl=on,smm=off,"
        "cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G -m 128M -nodefaults "
        "%s -device dpu-eca,id=eca0,bus=pcie.0,addr=3%s "
        "-device pxb-cxl,id=cxl.1,bus=pcie.0,bus_nr=12,addr=4,"
        "hdm_for_passthrough=true "
        "-device cxl-rp,id=rp0,bus=cxl.1,port=0,chassis=0,slot=2,addr=0 "
        "-device cxl-pbr-upstream,id=us0,bus=rp0,multifunction=on ",
        fabric, *fabric ? ",fabric=fabric0" : "");
    for (int i = 0; i < CXLF_GFAMS; i++) {
        g_string_append_printf(args, "-device cxl-pbr-downstream,id=ds%d,"
            "bus=us0,port=%d,chassis=0,slot=%d,addr=%d ", i, i, 4 + i, i);
    }
    for (int i = 0; i < gfams; i++) {
        g_string_append_printf(args, "-device cxl-gfam,id=gfam%d,bus=ds%d,"
            "eca=eca0,gfam=%d%s ", i, i, i, gfam_options);
    }
    g_string_append(args, more);
    h->qts = qtest_init(args->str);

    mtree = qtest_hmp(h->qts, "info mtree");
    g_assert_true(find_region(mtree, "cxl-fixed-memory-region", &h->window,
                              &h->window_size));
    g_assert_true(find_region(mtree, "cxl_host_reg", &h->hb, &size));
    info = cxlf_query(h->qts);
    h->number = qdict_get_int(info, "self");
    qobject_unref(info);
    cxlf_host_program(h);
    return h;
}

CxlfHost *cxlf_host_start(const char *socket, int gfams,
                          const char *gfam_options, const char *more)
{
    g_autofree char *fabric = socket ?
        g_strdup_printf("-object cxl-fabric,id=fabric0,socket=%s", socket) :
        g_strdup("");

    return cxlf_host_start_fabric(fabric, gfams, gfam_options, more);
}

/* PCI configuration space */

uint32_t cxlf_config_readl(CxlfHost *h, uint32_t bdf, unsigned offset)
{
    return qtest_readl(h->qts, ECAM + bdf + offset);
}

uint16_t cxlf_config_readw(CxlfHost *h, uint32_t bdf, unsigned offset)
{
    return qtest_readw(h->qts, ECAM + bdf + offset);
}

unsigned cxlf_express_capability(CxlfHost *h, uint32_t bdf)
{
    unsigned at = cxlf_config_readw(h, bdf, 0x34) & 0xff;

    for (int limit = 0; at && limit < 48; limit++) {
        uint16_t header = cxlf_config_readw(h, bdf, at);

        if ((header & 0xff) == 0x10) {
            return at;
        }
        at = header >> 8;
    }
    g_assert_not_reached();
}

void cxlf_config_writel(CxlfHost *h, uint32_t bdf, unsigned offset,
                        uint32_t value)
{
    qtest_writel(h->qts, ECAM + bdf + offset, value);
}

void cxlf_config_writew(CxlfHost *h, uint32_t bdf, unsigned offset,
                        uint16_t value)
{
    qtest_writew(h->qts, ECAM + bdf + offset, value);
}

unsigned cxlf_ext_cap(CxlfHost *h, uint32_t bdf, uint16_t id, unsigned n)
{
    unsigned offset = 0x100;

    for (int limit = 0; offset >= 0x100 && limit < 64; limit++) {
        uint32_t header = cxlf_config_readl(h, bdf, offset);

        if ((header & 0xffff) == id && n-- == 0) {
            return offset;
        }
        offset = header >> 20;
    }
    return 0;
}

/* Programming of bridges and BARs */

static void set_bar(CxlfHost *h, uint32_t bdf, unsigned bar, uint64_t address)
{
    cxlf_config_writel(h, bdf, 0x10 + 4 * bar, address);
    cxlf_config_writel(h, bdf, 0x14 + 4 * bar, address >> 32);
}

static void enable(CxlfHost *h, uint32_t bdf)
{
    cxlf_config_writew(h, bdf, 4, 0x6);     /* memory, bus master */
}

static void set_bridge(CxlfHost *h, uint32_t bdf, unsigned bus,
                       unsigned last_bus, uint64_t base, uint64_t limit)
{
    cxlf_config_writel(h, bdf, 0x18, bdf >> 20 | bus << 8 | last_bus << 16);
    cxlf_config_writew(h, bdf, 0x20, base >> 16);
    cxlf_config_writew(h, bdf, 0x22, limit >> 16);
    cxlf_config_writel(h, bdf, 0x24, 0x0000fff0);   /* nothing prefetchable */
    enable(h, bdf);
}

void cxlf_host_program(CxlfHost *h)
{
    qtest_outl(h->qts, 0xcf8, 0x80000000u | (Q35_PCIEXBAR + 4));
    qtest_outl(h->qts, 0xcfc, ECAM >> 32);
    qtest_outl(h->qts, 0xcf8, 0x80000000u | Q35_PCIEXBAR);
    qtest_outl(h->qts, 0xcfc, ECAM | 1);

    h->eca = 0xc8000000;
    set_bar(h, BDF_ECA, 0, h->eca);
    enable(h, BDF_ECA);
    if (cxlf_config_readl(h, BDF_EDU, 0) == 0x11e81234) {
        h->edu = 0xc9000000;
        cxlf_config_writel(h, BDF_EDU, 0x10, h->edu);
        enable(h, BDF_EDU);
    }
    h->rp = 0xc0000000;
    h->us = 0xc0100000;
    set_bridge(h, BDF_RP, 13, 16, 0xc0100000, 0xc0f00000);
    set_bar(h, BDF_RP, 0, h->rp);
    set_bridge(h, BDF_US, 14, 16, 0xc0200000, 0xc0f00000);
    set_bar(h, BDF_US, 0, h->us);
    for (int i = 0; i < CXLF_GFAMS; i++) {
        uint64_t base = 0xc0300000 + 0x100000 * i;

        h->ds[i] = 0xc0200000 + 0x10000 * i;
        set_bridge(h, BDF_DS(i), 15 + i, 15 + i, base, base);
        set_bar(h, BDF_DS(i), 0, h->ds[i]);
        h->gfam[i] = 0;
        if ((uint16_t)cxlf_config_readl(h, BDF_GFAM(i), 0) != 0xffff) {
            h->gfam[i] = base;
            set_bar(h, BDF_GFAM(i), 0, base);
            set_bar(h, BDF_GFAM(i), 2, base + 0x40000);
            enable(h, BDF_GFAM(i));
        }
    }
}

void cxlf_edu_dma(CxlfHost *h, bool to_memory, uint64_t address,
                  unsigned count)
{
    const uint64_t buffer = 0x40000;
    gint64 deadline = cxlf_deadline();

    qtest_writeq(h->qts, h->edu + 0x80, to_memory ? buffer : address);
    qtest_writeq(h->qts, h->edu + 0x88, to_memory ? address : buffer);
    qtest_writeq(h->qts, h->edu + 0x90, count);
    qtest_writeq(h->qts, h->edu + 0x98, to_memory ? 3 : 1);
    while (qtest_readq(h->qts, h->edu + 0x98) & 1) {
        qtest_clock_step(h->qts, 100 * 1000 * 1000);
        cxlf_pause(deadline, "the edu device's DMA");
    }
}

void cxlf_host_stop(CxlfHost *h)
{
    qtest_quit(h->qts);
    g_free(h);
}

/*
 * libqtest takes a signal's death for a failure, with no way to expect one:
 * so the state of a process that was killed on purpose is kept, not quit.
 */
void cxlf_forget(QTestState *qts)
{
    static GPtrArray *forgotten;
    gint64 deadline = cxlf_deadline();

    if (!forgotten) {
        forgotten = g_ptr_array_new();
    }
    while (qtest_probe_child(qts)) {
        cxlf_pause(deadline, "the end of a killed QEMU");
    }
    g_ptr_array_add(forgotten, qts);
}

void cxlf_freeze(pid_t pid)
{
    siginfo_t info;

    g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
    g_assert_cmpint(waitid(P_PID, pid, &info, WSTOPPED), ==, 0);
}

void cxlf_host_forget(CxlfHost *h)
{
    cxlf_forget(h->qts);
    g_free(h);
}

/* What a fabric says of itself */

QDict *cxlf_query(QTestState *qts)
{
    QDict *response = qtest_qmp(qts, "{'execute': 'x-query-cxl-fabric'}");
    QList *list = qdict_get_qlist(response, "return");
    QDict *info;

    g_assert_nonnull(list);
    g_assert_cmpint(qlist_size(list), ==, 1);
    info = qobject_to(QDict, qlist_peek(list));
    qobject_ref(info);
    qobject_unref(response);
    return info;
}

static void add_counters(CxlfCounters *sum, QDict *from)
{
    QDict *counters = qdict_get_qdict(from, "counters");

    g_assert_cmpint(qdict_size(counters), ==, CXLF_COUNTERS);
    for (int i = 0; i < CXLF_COUNTERS; i++) {
        sum->n[i] += qdict_get_int(counters, cxlf_counter_name[i]);
    }
}

CxlfCounters cxlf_counters(QTestState *qts, int host)
{
    CxlfCounters sum = { 0 };
    QDict *info = cxlf_query(qts);
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "hosts"), e) {
        QDict *each = qobject_to(QDict, qlist_entry_obj(e));

        if (host < 0 || qdict_get_int(each, "host") == host) {
            add_counters(&sum, each);
        }
    }
    qobject_unref(info);
    return sum;
}

CxlfCounters cxlf_shard(QTestState *qts, int leaf, int shard)
{
    CxlfCounters sum = { 0 };
    QDict *info = cxlf_query(qts);
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "directory"), e) {
        QDict *each = qobject_to(QDict, qlist_entry_obj(e));

        if ((leaf < 0 || qdict_get_int(each, "leaf") == leaf) &&
            (shard < 0 || qdict_get_int(each, "shard") == shard)) {
            add_counters(&sum, each);
        }
    }
    qobject_unref(info);
    return sum;
}

CxlfCounters cxlf_minus(CxlfCounters after, CxlfCounters before)
{
    for (int i = 0; i < CXLF_COUNTERS; i++) {
        after.n[i] -= before.n[i];
    }
    return after;
}

void cxlf_assert_delta(CxlfCounters delta, ...)
{
    CxlfCounters want = { 0 };
    va_list ap;

    va_start(ap, delta);
    for (;;) {
        int counter = va_arg(ap, int);

        if (counter == CXLF_COUNTERS) {
            break;
        }
        want.n[counter] = va_arg(ap, int);
    }
    va_end(ap);
    for (int i = 0; i < CXLF_COUNTERS; i++) {
        if (delta.n[i] != want.n[i]) {
            g_test_message("%s: %" PRIu64 " instead of %" PRIu64,
                           cxlf_counter_name[i], delta.n[i], want.n[i]);
        }
    }
    g_assert_cmpmem(&delta, sizeof(delta), &want, sizeof(want));
}

char *cxlf_host_state(QTestState *qts, int host, int64_t *pid,
                      int64_t *deaths)
{
    QDict *info = cxlf_query(qts);
    char *state = NULL;
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "hosts"), e) {
        QDict *each = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_int(each, "host") == host) {
            state = g_strdup(qdict_get_str(each, "state"));
            if (pid) {
                *pid = qdict_get_int(each, "pid");
            }
            if (deaths) {
                *deaths = qdict_get_int(each, "deaths");
            }
        }
    }
    qobject_unref(info);
    g_assert_nonnull(state);
    return state;
}

/* Waiting */

gint64 cxlf_deadline(void)
{
    return g_get_monotonic_time() + CXLF_PATIENCE * G_USEC_PER_SEC;
}

void cxlf_pause(gint64 deadline, const char *what)
{
    if (g_get_monotonic_time() > deadline) {
        g_error("waited %d seconds in vain for %s", CXLF_PATIENCE, what);
    }
    g_usleep(1000);
}

void cxlf_wait_host_state(QTestState *qts, int host, const char *state)
{
    gint64 deadline = cxlf_deadline();

    for (;;) {
        g_autofree char *now = cxlf_host_state(qts, host, NULL, NULL);

        if (g_str_equal(now, state)) {
            return;
        }
        cxlf_pause(deadline, state);
    }
}

/* An event, if it has come; every answer to a command brings them along. */
static QDict *poll_event(QTestState *qts, const char *name)
{
    qobject_unref(qtest_qmp(qts, "{'execute': 'query-status'}"));
    return qtest_qmp_event_ref(qts, name);
}

QDict *cxlf_wait_event(QTestState *qts, const char *name)
{
    gint64 deadline = cxlf_deadline();
    QDict *event, *data;

    while (!(event = poll_event(qts, name))) {
        cxlf_pause(deadline, name);
    }
    data = qdict_get_qdict(event, "data");
    qobject_ref(data);
    qobject_unref(event);
    return data;
}

bool cxlf_has_event(QTestState *qts, const char *name)
{
    QDict *event = poll_event(qts, name);

    qobject_unref(event);
    return event;
}

/* Errors */

static QDict *add(QTestState *qts, const char *json)
{
    g_autofree char *command = g_strdup_printf(
        "{'execute': 'object-add', 'arguments': { %s }}", json);

    qtest_qmp_send_raw(qts, "%s", command);
    return qtest_qmp_receive(qts);
}

void cxlf_object_add(QTestState *qts, const char *json)
{
    QDict *response = add(qts, json);

    g_assert_true(qdict_haskey(response, "return"));
    qobject_unref(response);
}

void cxlf_object_del(QTestState *qts, const char *id)
{
    qtest_qmp_assert_success(qts, "{'execute': 'object-del',"
                             " 'arguments': {'id': %s}}", id);
}

void cxlf_add_error(QTestState *qts, const char *json, const char *text)
{
    g_autofree char *whole = g_strdup_printf(
        "'qom-type': 'cxl-fabric', 'id': 'bad'%s%s", *json ? ", " : "", json);
    QDict *response = add(qts, whole);
    const char *desc;

    if (!qdict_haskey(response, "error")) {
        g_error("object-add with %s succeeded", json);
    }
    desc = qdict_get_str(qdict_get_qdict(response, "error"), "desc");
    if (!strstr(desc, text)) {
        g_error("%s: the error says '%s', not '%s'", json, desc, text);
    }
    qobject_unref(response);
}

int cxlf_open_memfd(QTestState *qts, const char *name)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", qtest_pid(qts));
    g_autofree char *prefix = g_strdup_printf("/memfd:%s", name);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *number;
    int fd = -1;

    while (fd < 0 && (number = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, number, NULL);
        g_autofree char *link = g_file_read_link(path, NULL);

        if (link && g_str_has_prefix(link, prefix)) {
            fd = open(path, O_RDWR);
        }
    }
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

void cxlf_start_error(const char *args, const char *text)
{
    /* QMP at its standard input ends a QEMU that starts all the same. */
    g_autofree char *command = g_strdup_printf(
        "printf '{\"execute\":\"qmp_capabilities\"}{\"execute\":\"quit\"}' |"
        " %s -display none -accel qtest -qmp stdio %s",
        getenv("QTEST_QEMU_BINARY"), args);
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &out,
                               &err, &status, &error));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    if (!strstr(err, text)) {
        g_error("%s: the error says '%s', not '%s'", args, err, text);
    }
}
