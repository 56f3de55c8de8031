/*
 * The switch mailbox of a host: its registers, whose commands it carries,
 * and an owner that is slow, stands still or dies
 *
 * docs/fabric-manager.md, "Switch mailbox".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxlf/fm.h"
#include "cxlf/graph.h"
#include "qobject/qjson.h"
#include "cxlf-hdm.h"
#include "cxlf-peer.h"
#include "cxlf-qtest.h"

#define BDF_MAILBOX     (BDF_US | 1 << 12)
#define BAR             0xc0180000ull
#define MAILBOX         0x88            /* in the BAR; found by its header */
#define CAP             0x00
#define CTRL            0x04
#define CMD             0x08
#define STS             0x10
#define BG              0x18
#define PAYLOAD         0x20
#define PAYLOAD_MAX     2048

#define IDENTIFY        0x0001
#define STATUS          0x0002
#define IDENTIFY_SWITCH 0x5100
#define BIND            0x5201

typedef struct Answer {
    unsigned code;
    uint32_t length;
    uint8_t payload[PAYLOAD_MAX];
} Answer;

static const char device[] =
    " -device cxl-pbr-mailbox,id=mb0,bus=rp0,addr=0.1,target=us0,"
    "fabric=fabric0";

static uint64_t get(CxlfHost *h, unsigned reg)
{
    return qtest_readq(h->qts, BAR + MAILBOX + reg);
}

static void set(CxlfHost *h, unsigned reg, uint64_t value)
{
    qtest_writeq(h->qts, BAR + MAILBOX + reg, value);
}

static void place(CxlfHost *h)
{
    cxlf_config_writel(h, BDF_MAILBOX, 0x10, (uint32_t)BAR);
    cxlf_config_writel(h, BDF_MAILBOX, 0x14, 0);
    cxlf_config_writew(h, BDF_MAILBOX, 4, 0x6);
}

static bool is_busy(CxlfHost *h)
{
    return qtest_readl(h->qts, BAR + MAILBOX + CTRL) & 1;
}

static void submit(CxlfHost *h, unsigned opcode, const void *payload,
                   uint32_t length)
{
    qtest_memwrite(h->qts, BAR + MAILBOX + PAYLOAD, payload, length);
    set(h, CMD, opcode | (uint64_t)length << 16);
    qtest_writel(h->qts, BAR + MAILBOX + CTRL, 1);
}

static Answer collect(CxlfHost *h, unsigned opcode)
{
    gint64 deadline = cxlf_deadline();
    Answer a;

    while (is_busy(h)) {
        cxlf_pause(deadline, "the doorbell is not cleared");
    }
    a.code = get(h, STS) >> 32 & 0xffff;
    a.length = get(h, CMD) >> 16 & 0x1fffff;
    g_assert_cmphex(get(h, CMD) & 0xffff, ==, opcode);
    g_assert_cmpint(a.length, <=, PAYLOAD_MAX);
    qtest_memread(h->qts, BAR + MAILBOX + PAYLOAD, a.payload, PAYLOAD_MAX);
    for (uint32_t i = a.length; i < PAYLOAD_MAX; i++) {
        g_assert_cmphex(a.payload[i], ==, 0);
    }
    return a;
}

static Answer call(CxlfHost *h, unsigned opcode, const void *payload,
                   uint32_t length)
{
    submit(h, opcode, payload, length);
    return collect(h, opcode);
}

/* The same by QMP, to leaf 0; from nobody. */
static Answer ask_owner(QTestState *owner, unsigned opcode,
                        const void *payload, size_t length)
{
    g_autofree char *text = g_base64_encode(payload, length);
    QDict *response = qtest_qmp(owner,
        "{'execute': 'x-cxl-fabric-cci', 'arguments': {'component': 0, "
        "'opcode': %u, 'payload': %s}}", opcode, text);
    QDict *result = qdict_get_qdict(response, "return");
    g_autofree guchar *bytes = NULL;
    Answer a = { 0 };
    gsize size;

    g_assert_nonnull(result);
    bytes = g_base64_decode(qdict_get_str(result, "payload"), &size);
    g_assert_cmpint(size, <=, sizeof(a.payload));
    memcpy(a.payload, bytes, size);
    a.length = size;
    a.code = qdict_get_int(result, "return-code");
    qobject_unref(response);
    return a;
}

static void assert_same(const Answer *a, const Answer *b)
{
    g_assert_cmpint(a->code, ==, b->code);
    g_assert_cmpmem(a->payload, a->length, b->payload, b->length);
}

static CxlfFabric *start(int hosts, const char *owner)
{
    CxlfFabric *f = cxlf_fabric_start(hosts, owner, device);

    for (int i = 0; i < hosts; i++) {
        place(f->h[i]);
    }
    return f;
}

/* Registers */

static void test_registers(void)
{
    CxlfFabric *f = start(1, "");
    CxlfHost *h = f->h[0];
    uint32_t offset = 0;

    g_assert_cmphex(cxlf_config_readl(h, BDF_MAILBOX, 8) >> 16, ==, 0x0c0b);
    for (int i = 1; i <= 3; i++) {
        if ((qtest_readl(h->qts, BAR + 0x10 * i) & 0xffff) == 2) {
            offset = qtest_readl(h->qts, BAR + 0x10 * i + 4);
        }
    }
    g_assert_cmphex(offset, ==, MAILBOX);
    /* 2 KiB, no interrupts, nothing under way */
    g_assert_cmphex(get(h, CAP), ==, 11);
    g_assert_cmphex(get(h, CMD), ==, 0);
    g_assert_cmphex(get(h, STS), ==, 0);
    g_assert_cmphex(get(h, BG), ==, 0);

    /* What is read-only, and what is not there, in every size */
    set(h, CAP, UINT64_MAX & ~(1ull << 32));
    set(h, STS, UINT64_MAX);
    set(h, BG, UINT64_MAX);
    qtest_writel(h->qts, BAR + MAILBOX + CTRL, 0x6);
    qtest_writeb(h->qts, BAR + MAILBOX + CTRL + 1, 0x1);
    qtest_writeb(h->qts, BAR + MAILBOX + STS, 0x1);
    g_assert_cmphex(get(h, CAP), ==, 11);
    g_assert_cmphex(get(h, STS), ==, 0);
    g_assert_cmphex(get(h, BG), ==, 0);

    /* The payload is memory, in every size */
    qtest_writeb(h->qts, BAR + MAILBOX + PAYLOAD + 1, 0x11);
    qtest_writew(h->qts, BAR + MAILBOX + PAYLOAD + 2, 0x3322);
    qtest_writel(h->qts, BAR + MAILBOX + PAYLOAD + 4, 0x77665544);
    g_assert_cmphex(get(h, PAYLOAD), ==, 0x7766554433221100);
    set(h, PAYLOAD + PAYLOAD_MAX - 8, 0x0102030405060708);
    g_assert_cmphex(qtest_readb(h->qts, BAR + MAILBOX + PAYLOAD +
                                PAYLOAD_MAX - 8), ==, 8);
    cxlf_fabric_stop(f);
}

/* Commands */

static void test_commands(void)
{
    CxlfFabric *f = start(2, ",leaves=2,host-managers=on");
    static const uint8_t ports[] = { 2, 0, 1 };
    Answer mine, theirs;

    /* Host 0 is at leaf 0, which is component 0. */
    mine = call(f->h[0], IDENTIFY, NULL, 0);
    theirs = ask_owner(f->owner, IDENTIFY, NULL, 0);
    g_assert_cmpint(mine.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpint(mine.length, ==, 18);
    assert_same(&mine, &theirs);
    mine = call(f->h[0], 0x5101, ports, sizeof(ports));
    theirs = ask_owner(f->owner, 0x5101, ports, sizeof(ports));
    g_assert_cmpint(mine.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpint(mine.length, ==, 4 + 2 * 16);
    assert_same(&mine, &theirs);

    /* Where it came in is this host's port, and not the other's. */
    mine = call(f->h[0], IDENTIFY_SWITCH, NULL, 0);
    theirs = call(f->h[1], IDENTIFY_SWITCH, NULL, 0);
    g_assert_cmpint(mine.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpint(mine.payload[0], ==, 2);    /* ingress port */
    g_assert_cmpint(theirs.payload[0], ==, 1);

    /* Errors leave no payload; the next command is not hurt. */
    mine = call(f->h[0], 0x5101, ports, sizeof(ports) - 1);
    g_assert_cmpint(mine.code, ==, CXLF_CCI_INVALID_LENGTH);
    g_assert_cmpint(mine.length, ==, 0);
    mine = call(f->h[0], 0xffff, NULL, 0);
    g_assert_cmpint(mine.code, ==, CXLF_CCI_UNSUPPORTED);
    for (uint32_t length = PAYLOAD_MAX + 1; length < 1 << 20; length *= 8) {
        set(f->h[0], CMD, IDENTIFY | (uint64_t)length << 16);
        qtest_writel(f->h[0]->qts, BAR + MAILBOX + CTRL, 1);
        mine = collect(f->h[0], IDENTIFY);
        g_assert_cmpint(mine.code, ==, CXLF_CCI_INVALID_LENGTH);
    }
    mine = call(f->h[0], IDENTIFY, NULL, 0);
    g_assert_cmpint(mine.code, ==, CXLF_CCI_SUCCESS);
    cxlf_fabric_stop(f);
}

/* Hosts manage only where the owner has said so. */
static void test_hosts(void)
{
    CxlfFabric *f = start(1, "");
    Answer a = call(f->h[0], IDENTIFY, NULL, 0);

    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    a = call(f->h[0], IDENTIFY_SWITCH, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_UNSUPPORTED);
    a = call(f->h[0], 0x0700, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    cxlf_fabric_stop(f);
}

/* What a host says of its own GAE; PID 0 is the host's, 1 the device's. */
static void test_gae(void)
{
    CxlfFabric *f = start(1, "");
    static const uint8_t vectors[8] = { 0, 0, 0, 0, 2 };
    static const uint8_t fast[0x14] = {     /* vPPB 1, 64 GiB, on */
        1, 0, 1, 0,  0, 0, 0, 0, 16, 0, 0, 0,
        0xff, 0xff, 0xff, 0xff, 31, 0, 0, 0,
    };
    static const uint8_t first[6] = { 1, 0, 1, 0, 0, 0 };
    static const uint8_t segment[14] = {    /* valid, to PID 1 */
        1, 0, 1, 0, 0, 0,  1, 0, 0, 0, 1, 0, 0, 0,
    };
    static const uint8_t nobody[14] = {
        1, 0, 1, 0, 0, 0,  1, 0, 0, 0, 2, 0, 0, 0,
    };
    static const uint8_t idt[8] = { 1, 0, 1, 0, 0, 0,  1, 0 };
    static const uint8_t capabilities[4] = { 1, 0, 8, 0 };
    CxlfHost *h = f->h[0];
    Answer a = call(h, 0x5802, vectors, sizeof(vectors));

    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpmem(a.payload, a.length, "\2", 2);
    a = call(h, 0x5804, fast, sizeof(fast));
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    a = call(h, 0x5803, capabilities, sizeof(capabilities));
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpmem(a.payload, 3, fast, 3);
    g_assert_cmpmem(a.payload + 4, 16, fast + 4, 16);
    g_assert_cmpmem(a.payload + 0x18, a.length - 0x18, "\1\0\1", 4);
    a = call(h, 0x5806, nobody, sizeof(nobody));
    g_assert_cmpint(a.code, ==, CXLF_CCI_INVALID_INPUT);
    a = call(h, 0x5806, segment, sizeof(segment));
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    a = call(h, 0x5805, first, sizeof(first));
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpmem(a.payload + 4, a.length - 4, segment + 6, 8);
    a = call(h, 0x5808, idt, sizeof(idt));
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    a = call(h, 0x5807, first, sizeof(first));
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpmem(a.payload + 4, a.length - 4, idt + 6, 2);
    /* Which PIDs it may reach is not for the host to say. */
    a = call(h, 0x5902, fast, 0x14);
    g_assert_cmpint(a.code, ==, CXLF_CCI_UNSUPPORTED);
    cxlf_fabric_stop(f);
}

/* Claim Ownership by host @from; the UUID is made of its PID. */
static unsigned claim(CxlfFabric *f, int from, unsigned operation, int pid)
{
    uint8_t in[0x15] = { operation };
    Answer a;

    stw_le_p(in + 1, pid);
    memset(in + 3, 0x10 + pid, 16);
    stw_le_p(in + 0x13, 0x100);     /* the switch's own, from now on */
    a = call(f->h[from], 0x0701, in, sizeof(in));
    return a.code;
}

/*
 * A primary, its secondary, and a host that is neither.  The primary's death
 * moves nothing but the role, and that only when the secondary takes it.
 */
static void test_roles(void)
{
    enum { PRIMARY, SECONDARY, PROMOTE = 3 };
    CxlfFabric *f = start(3, ",host-managers=on");
    Answer a;

    cxlf_store(&f->r[1], 0, 0x1111, 8);
    cxlf_store(&f->r[2], CLASS_SIZE, 0x2222, 8);
    g_assert_cmpint(claim(f, 0, PRIMARY, 0), ==, CXLF_CCI_SUCCESS);
    g_assert_cmpint(claim(f, 2, PRIMARY, 2), ==, CXLF_CCI_INVALID_INPUT);
    g_assert_cmpint(claim(f, 0, SECONDARY, 1), ==, CXLF_CCI_SUCCESS);
    for (int i = 1; i < 3; i++) {
        a = call(f->h[i], IDENTIFY_SWITCH, NULL, 0);
        g_assert_cmpint(a.code, ==, CXLF_CCI_UNSUPPORTED);
    }
    a = call(f->h[0], IDENTIFY_SWITCH, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpint(claim(f, 2, PROMOTE, 2), ==, CXLF_CCI_INVALID_INPUT);

    kill(qtest_pid(f->h[0]->qts), SIGKILL);
    cxlf_host_forget(f->h[0]);
    f->h[0] = NULL;
    cxlf_wait_host_state(f->owner, 0, "free");
    a = call(f->h[1], IDENTIFY_SWITCH, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_UNSUPPORTED);
    g_assert_cmphex(cxlf_load(&f->r[2], 0, 8), ==, 0x1111);
    g_assert_cmphex(cxlf_load(&f->r[1], CLASS_SIZE, 8), ==, 0x2222);

    g_assert_cmpint(claim(f, 1, PROMOTE, 1), ==, CXLF_CCI_SUCCESS);
    a = call(f->h[1], IDENTIFY_SWITCH, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    a = call(f->h[2], IDENTIFY_SWITCH, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_UNSUPPORTED);
    cxlf_fabric_stop(f);
}

/* With the fabric in the same process the answer is there at once. */
static void test_embedded(void)
{
    CxlfHost *h = cxlf_host_start_fabric(
        "-object cxl-fabric,id=fabric0,host-managers=on", 1, "", device);
    Answer a;

    place(h);
    submit(h, IDENTIFY_SWITCH, NULL, 0);
    g_assert_false(is_busy(h));
    a = collect(h, IDENTIFY_SWITCH);
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    cxlf_host_stop(h);
}

/* A fabric whose device 1 is pooled; it is at port 1 of leaf 0. */
static CxlfFabric *start_pooled(void)
{
    struct cxlf_topology t = {
        .hosts = 1, .leaves = 1, .shards = 1, .gfams = 2,
        .gfam[0] = { .hot = CLASS_SIZE, .bulk = CLASS_SIZE },
        .gfam[1] = { .hot = CLASS_SIZE, .bulk = CLASS_SIZE },
    };
    g_autofree struct cxlf_graph *g = g_new0(struct cxlf_graph, 1);
    g_autofree char *path = g_strdup_printf("%s/cxlf-mailbox-%d.dtb",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *more = g_strdup_printf(",host-managers=on,topology=%s",
                                            path);
    CxlfFabric *f = g_new0(CxlfFabric, 1);
    char blob[16384];
    size_t size;

    cxlf_graph_default(&t, 0, g);
    g->lds[1] = 2;
    size = cxlf_graph_write(&t, g, blob, sizeof(blob));
    g_assert_cmpuint(size, >, 0);
    g_assert_true(g_file_set_contents(path, blob, size, NULL));
    f->path = cxlf_socket_path();
    f->owner = cxlf_owner_start(f->path, more);
    unlink(path);
    f->hosts = 1;
    cxlf_fabric_host(f, 0, device);
    place(f->h[0]);
    return f;
}

/* However it ends: the registers show what the switch itself says. */
static void test_background(void)
{
    static const uint8_t bind[] = { 0, 1, 1, 0, 0, 0 };
    CxlfFabric *f = start_pooled();
    CxlfHost *h = f->h[0];
    Answer a = call(h, BIND, bind, sizeof(bind)), status;
    gint64 deadline = cxlf_deadline();

    g_assert_cmpint(a.code, ==, CXLF_CCI_BACKGROUND);
    g_assert_cmphex(get(h, STS) & 1, ==, 1);
    while (get(h, STS) & 1) {
        g_assert_cmphex(get(h, BG) & 0xffff, ==, BIND);
        cxlf_pause(deadline, "the background command does not end");
    }
    status = ask_owner(f->owner, STATUS, NULL, 0);
    g_assert_cmphex(lduw_le_p(status.payload + 2), ==, BIND);
    g_assert_cmphex(get(h, BG) & 0xffff, ==, BIND);
    g_assert_cmpint(get(h, BG) >> 16 & 0x7f, ==, 100);
    g_assert_cmphex(get(h, BG) >> 32 & 0xffff, ==,
                    lduw_le_p(status.payload + 4));
    cxlf_fabric_stop(f);
}

/* Owners */

static void test_frozen(void)
{
    CxlfFabric *f = start(1, ",host-managers=on");
    CxlfHost *h = f->h[0];
    Answer a;

    cxlf_freeze(qtest_pid(f->owner));
    submit(h, IDENTIFY, NULL, 0);
    g_assert_true(is_busy(h));
    /* Nothing can be written until it ends. */
    set(h, CMD, IDENTIFY_SWITCH);
    set(h, PAYLOAD, UINT64_MAX);
    g_assert_cmphex(get(h, CMD), ==, IDENTIFY);
    g_assert_cmphex(get(h, PAYLOAD), ==, 0);

    /* After a reset the answer is for nobody, and spoils no other. */
    qtest_system_reset(h->qts);
    cxlf_host_program(h);
    place(h);
    g_assert_false(is_busy(h));
    g_assert_cmphex(get(h, CMD), ==, 0);
    submit(h, IDENTIFY_SWITCH, NULL, 0);
    kill(qtest_pid(f->owner), SIGCONT);
    a = collect(h, IDENTIFY_SWITCH);
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    g_assert_cmpint(a.length, ==, 0x49);

    /* Who never answers is not waited for. */
    cxlf_freeze(qtest_pid(f->owner));
    a = call(h, IDENTIFY, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_INTERNAL_ERROR);
    g_assert_cmpint(a.length, ==, 0);
    kill(qtest_pid(f->owner), SIGCONT);
    a = call(h, IDENTIFY_SWITCH, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_SUCCESS);
    cxlf_fabric_stop(f);
}

static void test_dead(void)
{
    CxlfFabric *f = start(1, "");
    CxlfHost *h = f->h[0];
    Answer a;

    cxlf_freeze(qtest_pid(f->owner));
    submit(h, IDENTIFY, NULL, 0);
    g_assert_true(is_busy(h));
    kill(qtest_pid(f->owner), SIGKILL);
    cxlf_forget(f->owner);
    f->owner = NULL;
    a = collect(h, IDENTIFY);
    g_assert_cmpint(a.code, ==, CXLF_CCI_INTERNAL_ERROR);
    a = call(h, IDENTIFY, NULL, 0);
    g_assert_cmpint(a.code, ==, CXLF_CCI_INTERNAL_ERROR);
    cxlf_fabric_stop(f);
}

/* Who has no host number sends no commands. */
static void test_peer(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",host-managers=on");
    struct cxlf_wire_cci cci = { .token = 1, .opcode = IDENTIFY };
    int fd = peer_connect(path);

    peer_send(fd, CXLF_WIRE_CCI, &cci, sizeof(cci), -1);
    peer_expect_refusal(fd, "CCI: out of turn");
    close(fd);
    fd = peer_connect(path);
    peer_send(fd, CXLF_WIRE_CCI_ANSWER, &cci, sizeof(cci), -1);
    peer_expect_refusal(fd, "only the owner");
    close(fd);
    peer_good_join(path);
    qtest_quit(owner);
}

static void refused(CxlfHost *h, const char *options, const char *text)
{
    g_autofree char *json = g_strdup_printf(
        "{'execute': 'device_add', 'arguments': {'driver': "
        "'cxl-pbr-mailbox', 'bus': 'rp0', 'addr': '0.2'%s}}", options);
    QDict *response = qtest_qmp(h->qts, "%p", qobject_from_json(json,
                                                               NULL));
    QDict *error = qdict_get_qdict(response, "error");

    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), text));
    qobject_unref(response);
}

static void test_options(void)
{
    CxlfFabric *f = start(1, "");

    /* It is part of its switch. */
    refused(f->h[0], "", "hotplug");
    cxlf_add_error(f->h[0]->qts, "'socket': '/nowhere', "
                   "'host-managers': true", "'host-managers' is the owner's");
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-mailbox/registers", test_registers);
    qtest_add_func("/cxl-mailbox/commands", test_commands);
    qtest_add_func("/cxl-mailbox/hosts", test_hosts);
    qtest_add_func("/cxl-mailbox/gae", test_gae);
    qtest_add_func("/cxl-mailbox/roles", test_roles);
    qtest_add_func("/cxl-mailbox/embedded", test_embedded);
    qtest_add_func("/cxl-mailbox/background", test_background);
    qtest_add_func("/cxl-mailbox/frozen", test_frozen);
    qtest_add_func("/cxl-mailbox/dead", test_dead);
    qtest_add_func("/cxl-mailbox/peer", test_peer);
    qtest_add_func("/cxl-mailbox/options", test_options);
    return g_test_run();
}
