/*
 * QTest of the Fabric Manager's commands at a fabric's owner
 *
 * Payloads are written as bytes in hexadecimal, from the tables of
 * docs/fabric-manager.md; the fabric of most tests is
 *
 *   leaf 0 (component 0): port 0 to the spine, DSP 1 to GFAM device 0,
 *          USPs 2 and 3 of hosts 0 and 2
 *   leaf 1 (1): ports 0 and 1 to the spine, DSP 2 to device 1, USP 3 of host 1
 *   spine 0 (2): port 0 to leaf 0, 1 and 2 to leaf 1
 *   GFAM device 0 (3): a GFD;  device 1 (4): an MLD of two LDs of 256 MiB
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "cxlf/topology-fdt.h"
#include "cxlf-fm.h"
#include "cxlf-hdm.h"

enum { LEAF0, LEAF1, SPINE, GFD, MLD };
#define LD_SIZE     (256 * MIB)

static char *blob_path;

/* A topology of the form above, as a file; ",topology=PATH" for an owner. */
static char *write_topology(void)
{
    struct cxlf_topology t = {
        .hosts = 3, .leaves = 2, .shards = 1, .gfams = 2,
        .gfam[0] = { .hot = CLASS_SIZE, .leaf = 0 },
        .gfam[1] = { .hot = CLASS_SIZE, .bulk = CLASS_SIZE, .leaf = 1 },
        .host_leaf = { 0, 1, 0 },
    };
    g_autofree struct cxlf_graph *g = g_new0(struct cxlf_graph, 1);
    char blob[16384];
    size_t size;

    cxlf_graph_default(&t, 1, g);
    g->link[1].ports = 2;
    g->link[cxlf_endpoint_link(&t, g, (struct cxlf_node) {
        CXLF_NODE_HOST, 1 })].rate = 30000;
    g->lds[1] = 2;
    size = cxlf_graph_write(&t, g, blob, sizeof(blob));
    g_assert_cmpuint(size, >, 0);
    blob_path = g_strdup_printf("%s/cxlf-fm-%d.dtb", g_get_tmp_dir(),
                                getpid());
    g_assert_true(g_file_set_contents(blob_path, blob, size, NULL));
    return g_strdup_printf(",topology=%s", blob_path);
}

static QTestState *start(char **socket)
{
    g_autofree char *more = write_topology();
    QTestState *qts;

    *socket = cxlf_socket_path();
    qts = cxlf_owner_start(*socket, more);
    unlink(blob_path);
    g_clear_pointer(&blob_path, g_free);
    return qts;
}

static QTestState *start_alone(void)
{
    g_autofree char *socket = NULL;

    return start(&socket);
}

/* The tunnel */

static void test_malformed(void)
{
    static const char cci[] = "x-cxl-fabric-cci";
    static const char *const bad[] = {
        "!!!!", "A", "AA", "AAA", "AAAAA", "A===", "====", "AAAA====",
        "AA==AAAA", "AAAA\\nAAAA", " AAAA", "AAB=", "\\u0000",
    };
    QTestState *qts = start_alone();
    g_autofree char *zeros = g_strnfill(5460, 'A');
    g_autofree char *larger = g_strdup_printf("'component': 0, 'opcode': 1, "
                                              "'payload': '%sAAA='", zeros);

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *arguments = g_strdup_printf(
            "'component': 0, 'opcode': 1, 'payload': '%s'", bad[i]);

        refused(qts, cci, arguments, "'payload' must be base64");
    }
    refused(qts, cci, larger, "'payload' must be at most 4096 bytes, it has "
            "4097");
    refused(qts, cci, "'component': 5, 'opcode': 1",
            "'component' must be 0 to 4");
    refused(qts, cci, "'component': 4294967295, 'opcode': 1",
            "'component' must be 0 to 4");
    refused(qts, cci, "'component': 0, 'opcode': 65536", "opcode");
    refused(qts, cci, "'component': 0, 'opcode': 1, 'from-pid': 4095",
            "'from-pid' must be 0 to 4094");
    refused(qts, cci, "'component': 0, 'opcode': 1, 'id': 'other'", "other");

    /* What a component refuses is an answer. */
    expect(qts, LEAF0, 0x0001, "00*4096", INVALID_LENGTH, "");
    expect(qts, LEAF0, 0xffff, "", UNSUPPORTED, "");
    expect(qts, LEAF0, 0x5400, "", UNSUPPORTED, "");    /* of an MLD */
    expect(qts, LEAF0, 0x5708, "00*6", INVALID_INPUT, "");  /* no entries */
    expect(qts, MLD, 0x5100, "", UNSUPPORTED, "");      /* of a switch */
    expect(qts, LEAF0, 0x0001, "00", INVALID_LENGTH, "");
    expect(qts, LEAF0, 0x5101, "", INVALID_LENGTH, "");
    expect(qts, LEAF0, 0x5101, "02 00", INVALID_LENGTH, "");
    expect(qts, LEAF0, 0x5101, "01 04", INVALID_INPUT, "");
    expect(qts, LEAF0, 0x5201, "00 01 01 00 ffff", INVALID_INPUT, "");
    qtest_quit(qts);
}

/* Who is not the owner has no Fabric Manager. */
static void test_nobody(void)
{
    QTestState *qts = qtest_init("-machine none -nodefaults");
    g_autofree char *socket = cxlf_socket_path();
    QDict *response, *fm;

    response = qtest_qmp(qts, "{'execute': 'x-query-cxl-fabric-fm'}");
    g_assert_true(qlist_empty(qdict_get_qlist(response, "return")));
    qobject_unref(response);
    refused(qts, "x-cxl-fabric-cci", "'component': 0, 'opcode': 1",
            "owns no CXL fabric");
    qtest_quit(qts);

    /* More hosts than a switch has ports. */
    qts = cxlf_owner_start(socket, ",hosts=256");
    fm = query(qts);
    g_assert_true(qlist_empty(qdict_get_qlist(fm, "components")));
    g_assert_cmpstr(qdict_get_str(fm, "why-none"), !=, "");
    qobject_unref(fm);
    refused(qts, "x-cxl-fabric-cci", "'component': 0, 'opcode': 1",
            "fabric fabric0 has no Fabric Manager: ");
    qtest_quit(qts);
}

/* The topology */

/* The serial number of a component, as bytes of a payload. */
static char *serial_of(QTestState *qts, unsigned component)
{
    QDict *info = cxlf_query(qts);
    char uuid[9] = "";
    char *text;

    memcpy(uuid, qdict_get_str(info, "uuid"), 8);
    text = g_strdup_printf("%08x%08x", bswap32(component),
                           bswap32(g_ascii_strtoull(uuid, NULL, 16)));
    qobject_unref(info);
    return text;
}

static void test_identify(void)
{
    QTestState *qts = start_alone();
    static const struct {
        unsigned component;
        const char *vendor, *type;
    } all[] = {
        { LEAF0, "e519 28a1", "00" }, { LEAF1, "e519 28a1", "00" },
        { SPINE, "e519 28a1", "00" }, { GFD, "8680 940d", "03" },
        { MLD, "8680 930d", "03" },
    };

    for (int i = 0; i < ARRAY_SIZE(all); i++) {
        g_autofree char *serial = serial_of(qts, all[i].component);
        g_autofree char *wanted = g_strdup_printf("%s 00*4 %s 0c %s",
                                                  all[i].vendor, serial,
                                                  all[i].type);

        expect(qts, all[i].component, 0x0001, "", SUCCESS, wanted);
    }
    expect(qts, LEAF0, 0x5100, "", SUCCESS,
           "00 00 04 02 0f 00*31 03 00*31 2000 0200 04");
    expect(qts, LEAF1, 0x5100, "", SUCCESS,
           "00 00 04 01 0f 00*31 01 00*31 1000 0100 04");
    expect(qts, SPINE, 0x5100, "", SUCCESS,
           "00 00 03 00 07 00*31 00*32 0000 0000 04");
    /* Own PIDs follow those of 3 hosts and 2 devices; nobody manages. */
    expect(qts, LEAF1, 0x0700, "", SUCCESS, "0600 ff0f 00*16 ff0f 00*16");
    expect(qts, GFD, 0x0700, "", SUCCESS, "0300 ff0f 00*16 ff0f 00*16");
    expect(qts, MLD, 0x5400, "", SUCCESS, "00000020 00*4 0200 01");
    expect(qts, LEAF0, 0x5700, "", SUCCESS, "03 00*7 01 01 00 47");
    qtest_quit(qts);
}

static void test_ports(void)
{
    QTestState *qts = start_alone();
    g_autofree char *spine = serial_of(qts, SPINE);
    g_autofree char *wanted = g_strdup_printf(
        "01 000000 01 01 0700 02 000000 e519 28a1 00*4 %s 00*30", spine);

    expect(qts, LEAF1, 0x5101, "04 00 01 02 03", SUCCESS,
           "04 000000 "
           "00 05 05 00 07 14 10 10 1f 05 05 04 00 0000 00 "
           "01 05 05 00 07 14 10 10 1f 05 05 04 00 0000 00 "
           "02 03 03 00 05 04 10 10 1f 05 05 04 00 0000 02 "
           "03 04 00 00 00 04 10 10 0f 04 04 04 00 0000 00");
    expect(qts, LEAF0, 0x5101, "01 01", SUCCESS,
           "01 000000 01 03 05 00 06 04 10 10 1f 05 05 04 00 0000 00");
    /* Port 1 of leaf 1 leads to port 2 of the spine, whose PID is 7. */
    expect(qts, LEAF1, 0x5702, "01 01", SUCCESS, wanted);
    expect(qts, LEAF1, 0x5703, "0000 0a00", SUCCESS,
           "0600 0600 0000 00 00 ff 00 ff0f 0100 00 00 ff 01 ff0f "
           "0200 02 00 ff 02 0400 0200 02 01 ff 02 0800 "
           "0200 02 02 ff 02 0900 0300 01 00 00 03 0100");
    expect(qts, LEAF0, 0x5200, "00 02 02 00 01", SUCCESS,
           "02 000000 00 01 02 10 02 02 ff 00 00 00 ff 00 "
           "01 01 03 10 02 03 ff 00 00 00 ff 00");
    qtest_quit(qts);
}

/*
 * Registers 00h, 08h and 50h of the MLD's port, of the port of host 1, and of
 * an LD; what is not there, and what cannot be written.
 */
static void test_configuration(void)
{
    QTestState *qts = start_alone();

    expect(qts, LEAF1, 0x5103, "02 00f000 00*4", SUCCESS, "e519 29a1");
    expect(qts, LEAF1, 0x5103, "02 08f000 00*4", SUCCESS, "00 000406");
    expect(qts, LEAF1, 0x5103, "02 50f000 00*4", SUCCESS, "0000 0521");
    expect(qts, LEAF1, 0x5103, "03 00f000 00*4", SUCCESS, "e519 28a1");
    expect(qts, LEAF1, 0x5103, "03 50f000 00*4", SUCCESS, "0000 0401");
    expect(qts, LEAF1, 0x5103, "04 00f000 00*4", INVALID_INPUT, "");
    expect(qts, LEAF1, 0x5103, "02 04f080 07000000", UNSUPPORTED, "");
    expect(qts, LEAF1, 0x5301, "02 00f000 0100 0000 00*4", SUCCESS,
           "8680 930d");
    expect(qts, LEAF1, 0x5301, "02 08f000 0100 0000 00*4", SUCCESS,
           "00 100205");
    expect(qts, LEAF1, 0x5301, "02 00f000 0200 0000 00*4", INVALID_INPUT, "");
    expect(qts, LEAF0, 0x5301, "01 00f000 0000 0000 00*4", INVALID_INPUT, "");
    qtest_quit(qts);
}

/* A port's link goes down and up; what is behind it is away meanwhile. */
static void test_port_control(void)
{
    static const char ask[] = "02 00 0c00 00 00 00 0054 00*7";
    QTestState *qts = start_alone();

    expect(qts, LEAF1, 0x5102, "02 00", SUCCESS, "");
    expect(qts, LEAF1, 0x5101, "02 01 02", SUCCESS, "02 000000 "
           "01 05 05 00 07 14 10 10 1f 05 05 04 00 0000 00 "
           "02 03 03 00 05 04 10 10 1f 05 05 00 00 0000 02");
    expect(qts, LEAF1, 0x5103, "02 50f000 00*4", SUCCESS, "00*4");
    expect(qts, LEAF1, 0x5300, ask, INVALID_INPUT, "");
    expect(qts, LEAF1, 0x5301, "02 00f000 0100 0000 00*4", INVALID_INPUT, "");
    expect(qts, LEAF1, 0x5102, "02 02", UNSUPPORTED, "");
    expect(qts, LEAF1, 0x5102, "03 00", INVALID_INPUT, "");     /* a host's */
    expect(qts, LEAF1, 0x5102, "04 00", INVALID_INPUT, "");
    expect(qts, LEAF1, 0x5102, "02 01", SUCCESS, "");
    expect(qts, LEAF1, 0x5101, "01 02", SUCCESS, "01 000000 "
           "02 03 03 00 05 04 10 10 1f 05 05 04 00 0000 02");
    expect(qts, LEAF1, 0x5300, ask, SUCCESS, "1700 0000 01 00 00 0054 0b0000"
           " 0000 0000 00000020 00*4 0200 01");
    /* one port of a bundle: both its ends are away, and the other stays */
    expect(qts, SPINE, 0x5102, "02 00", SUCCESS, "");
    expect(qts, LEAF1, 0x5101, "02 00 01", SUCCESS, "02 000000 "
           "00 05 05 00 07 14 10 10 1f 05 05 04 00 0000 00 "
           "01 05 05 00 07 14 10 10 1f 05 05 00 00 0000 00");
    qtest_quit(qts);
}

static void test_query(void)
{
    QTestState *qts = start_alone();
    QDict *fm = query(qts), *info, *c, *p;
    g_autofree char *serial = NULL;

    g_assert_cmpstr(qdict_get_str(fm, "id"), ==, "fabric0");
    g_assert_cmpuint(qlist_size(qdict_get_qlist(fm, "components")), ==, 5);
    c = nth(fm, "components", LEAF1);
    g_assert_cmpstr(qdict_get_str(c, "name"), ==, "leaf@1");
    g_assert_cmpstr(qdict_get_str(c, "kind"), ==, "switch");
    g_assert_cmpint(qdict_get_int(c, "pid"), ==, 6);
    info = cxlf_query(qts);
    serial = g_strdup_printf("0x%.8s%08x", qdict_get_str(info, "uuid"),
                             LEAF1);
    g_assert_cmpstr(qdict_get_str(c, "serial"), ==, serial);
    qobject_unref(info);
    g_assert_false(qdict_haskey(c, "primary"));
    g_assert_false(qdict_haskey(c, "background"));
    g_assert_cmpuint(qlist_size(qdict_get_qlist(c, "ports")), ==, 4);
    p = nth(c, "ports", 1);
    g_assert_cmpstr(qdict_get_str(p, "state"), ==, "fabric");
    g_assert_cmpstr(qdict_get_str(p, "peer"), ==, "spine@0");
    g_assert_cmpint(qdict_get_int(p, "peer-port"), ==, 2);
    g_assert_false(qdict_haskey(p, "pid"));
    p = nth(c, "ports", 3);
    g_assert_cmpstr(qdict_get_str(p, "state"), ==, "usp");
    g_assert_cmpint(qdict_get_int(p, "pid"), ==, 1);
    g_assert_cmpint(qdict_get_int(p, "vcs"), ==, 0);
    g_assert_false(qdict_haskey(p, "peer"));
    p = nth(c, "vcss", 0);
    g_assert_cmpint(qdict_get_int(p, "usp"), ==, 3);
    g_assert_cmpint(qdict_get_int(p, "vppbs"), ==, 16);
    g_assert_true(qlist_empty(qdict_get_qlist(p, "bindings")));
    c = nth(fm, "components", MLD);
    g_assert_cmpstr(qdict_get_str(c, "name"), ==, "gfam@1");
    g_assert_cmpstr(qdict_get_str(c, "kind"), ==, "device");
    g_assert_cmpuint(qlist_size(qdict_get_qlist(c, "lds")), ==, 2);
    p = nth(c, "lds", 1);
    g_assert_cmpint(qdict_get_int(p, "memory"), ==, LD_SIZE);
    g_assert_true(qdict_get_bool(p, "erased"));
    g_assert_false(qdict_haskey(p, "switch"));
    c = nth(fm, "components", GFD);
    g_assert_cmpstr(qdict_get_str(c, "kind"), ==, "gfd");
    qobject_unref(fm);
    qtest_quit(qts);
}

/* Without a file there are leaves that are all linked, and GFDs. */
static void test_default(void)
{
    g_autofree char *socket = cxlf_socket_path();
    QTestState *qts = cxlf_owner_start(socket, ",hosts=70,leaves=1,gfams=8");
    QDict *fm = query(qts), *leaf = nth(fm, "components", 0), *p;

    g_assert_cmpuint(qlist_size(qdict_get_qlist(fm, "components")), ==, 9);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(leaf, "ports")), ==, 78);
    /* The hosts from the 65th on have no VCS. */
    g_assert_cmpuint(qlist_size(qdict_get_qlist(leaf, "vcss")), ==, 64);
    p = nth(leaf, "ports", 8 + 63);
    g_assert_cmpint(qdict_get_int(p, "vcs"), ==, 63);
    p = nth(leaf, "ports", 8 + 64);
    g_assert_false(qdict_haskey(p, "vcs"));
    g_assert_cmpstr(qdict_get_str(nth(fm, "components", 8), "name"), ==,
                    "gfam@7");
    qobject_unref(fm);
    qtest_quit(qts);
}

/* Any component */

#define CEL "0da9c0b5bf414b788f7996b1623b3f17"     /* UUID of the effects log */

/* An answer longer than the limit is refused; a list is cut. */
static void test_limit(void)
{
    g_autofree char *socket = cxlf_socket_path();
    QTestState *qts = cxlf_owner_start(socket, ",hosts=70,leaves=1");
    g_autoptr(GByteArray) all = bytes_of("0000 ff00");
    QDict *answer;
    g_autofree guchar *list = NULL;
    gsize length;

    expect(qts, LEAF0, 0x0004, "", INVALID_LENGTH, "");
    expect(qts, LEAF0, 0x0004, "08 00", INVALID_LENGTH, "");
    expect(qts, LEAF0, 0x0004, "07", INVALID_INPUT, "");
    expect(qts, LEAF0, 0x0004, "0d", INVALID_INPUT, "");
    expect(qts, LEAF0, 0x0003, "", SUCCESS, "0c");
    expect(qts, LEAF0, 0x5708, "00 00 8000 0000", SUCCESS, NULL);

    expect(qts, LEAF0, 0x0004, "08", SUCCESS, "08");
    expect(qts, LEAF0, 0x0003, "", SUCCESS, "08");
    expect(qts, 1, 0x0003, "", SUCCESS, "0c");      /* each has its own */
    /* 8 + 2n bytes of a DRT: 124 entries are 256 bytes */
    expect(qts, LEAF0, 0x5708, "00 00 7c00 0000", SUCCESS, NULL);
    expect(qts, LEAF0, 0x5708, "00 00 7d00 0000", INVALID_INPUT, "");
    /* 71 targets of a switch, by 8 bytes behind 4 */
    answer = tunnel(qts, LEAF0, 0x5703, -1, all);
    list = g_base64_decode(qdict_get_str(answer, "payload"), &length);
    qobject_unref(answer);
    g_assert_cmpuint(length, ==, 4 + 31 * 8);
    g_assert_cmpuint(lduw_le_p(list), ==, 71);
    g_assert_cmpuint(lduw_le_p(list + 2), ==, 31);

    expect(qts, LEAF0, 0x0004, "0c", SUCCESS, "0c");
    expect(qts, LEAF0, 0x5708, "00 00 7d00 0000", SUCCESS, NULL);
    qtest_quit(qts);
}

/* The log of a component's commands and of their effects, checked. */
static GByteArray *effects_log(QTestState *qts, unsigned component)
{
    g_autoptr(GByteArray) nothing = g_byte_array_new();
    g_autoptr(GByteArray) wanted = bytes_of("0100 00*6 " CEL);
    GByteArray *in = bytes_of(CEL " 00*4");
    QDict *answer = tunnel(qts, component, 0x0400, -1, nothing);
    g_autofree guchar *out = g_base64_decode(
        qdict_get_str(answer, "payload"), &(gsize) { 0 });
    g_autofree guchar *log = NULL;
    gsize length;

    qobject_unref(answer);
    g_assert_cmpmem(out, wanted->len, wanted->data, wanted->len);
    g_byte_array_append(in, out + wanted->len, 4);
    answer = tunnel(qts, component, 0x0401, -1, in);
    g_assert_cmphex(qdict_get_int(answer, "return-code"), ==, SUCCESS);
    log = g_base64_decode(qdict_get_str(answer, "payload"), &length);
    qobject_unref(answer);
    g_assert_cmpuint(length, ==, ldl_le_p(out + wanted->len));
    g_byte_array_set_size(in, 0);
    g_byte_array_append(in, log, length);
    return in;
}

/*
 * What is in the log is known: it is refused for its length, of which no
 * command is.  What is not is Unsupported.
 */
static void check_known(QTestState *qts, unsigned component,
                        const GByteArray *log)
{
    static const uint8_t sets[] = {
        0x00, 0x01, 0x04, 0x07, 0x48, 0x49, 0x51, 0x52, 0x53, 0x54, 0x55,
        0x56, 0x57, 0x58, 0x59,
    };
    g_autoptr(GByteArray) in = bytes_of("00*11");
    unsigned found = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
        for (unsigned opcode = sets[i] << 8;
             opcode < (sets[i] << 8) + 0x18; opcode++) {
            QDict *answer = tunnel(qts, component, opcode, -1, in);
            bool listed = false;

            for (unsigned at = 0; at < log->len; at += 4) {
                listed |= lduw_le_p(log->data + at) == opcode;
            }
            found += listed;
            g_assert_cmphex(qdict_get_int(answer, "return-code"), ==,
                            listed ? INVALID_LENGTH : UNSUPPORTED);
            qobject_unref(answer);
        }
    }
    g_assert_cmpuint(found, ==, log->len / 4);
}

static void test_logs(void)
{
    /* opcode16 and effects16 of each, by the table of the document */
    static const char general[] =
        "0100 0000 0200 0000 0300 0000 0400 0200 0004 0000 0104 0000 ";
    static const char switches[] =
        "0007 0000 0107 0200 0051 0000 0151 0000 0251 0600 0351 0600 "
        "0052 0000 0152 4600 0252 4600 0352 0000 "
        "0053 0600 0153 0600 "
        "0057 0000 0157 0600 0257 0000 0357 0000 0457 0200 0557 0000 "
        "0657 4600 0757 0000 0857 0000 0957 0600 0a57 0000 0b57 0600 ";
    static const char gae[] = "0259 0600";      /* only where hosts are */
    static const char gfd[] =
        "0007 0000 0107 0200 0c49 0000 0d49 0600 1349 0000 1449 0600";
    static const char mld[] =
        "0053 0600 0054 0000 0154 0000 0254 0600 0354 0000 0454 0a00 0554 0000 "
        "0654 0000 0754 0a00 0854 0000 0954 0a00";
    static const char *const own[][2] = {
        [LEAF0] = { switches, gae }, [LEAF1] = { switches, gae },
        [SPINE] = { switches, "" }, [GFD] = { gfd, "" }, [MLD] = { mld, "" },
    };
    QTestState *qts = start_alone();

    for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
        g_autofree char *text = g_strconcat(general, own[i][0], own[i][1],
                                             NULL);
        g_autoptr(GByteArray) wanted = bytes_of(text);
        g_autoptr(GByteArray) log = effects_log(qts, i);

        g_assert_cmpmem(log->data, log->len, wanted->data, wanted->len);
        check_known(qts, i, log);
    }
    expect(qts, GFD, 0x0401, CEL " 06000000 06000000", SUCCESS,
           "0000 0300 0000");
    expect(qts, GFD, 0x0401, CEL " 30000000 00*4", SUCCESS, "");
    expect(qts, GFD, 0x0401, CEL " 30000000 01000000", INVALID_INPUT, "");
    expect(qts, GFD, 0x0401, CEL " 01000000 ffffffff", INVALID_INPUT, "");
    expect(qts, GFD, 0x0401, "00*24", 0x17, "");        /* Invalid Log */
    expect(qts, GFD, 0x0401, CEL, INVALID_LENGTH, "");
    expect(qts, GFD, 0x0400, "00", INVALID_LENGTH, "");
    qtest_quit(qts);
}

/* Managers */

static void test_owners(void)
{
    QTestState *qts = start_alone();
    QDict *data, *fm;

    expect_from(qts, LEAF0, 0x0701, 9, "00 0900 5a*16 0500", SUCCESS,
                "0900 5a*16 ff0f 00*16");
    data = wait_changed(qts, LEAF0, "owner-changed");
    g_assert_cmpint(qdict_get_int(data, "pid"), ==, 9);
    g_assert_false(qdict_haskey(data, "vcs"));
    qobject_unref(data);
    expect_from(qts, LEAF0, 0x5100, 8, "", UNSUPPORTED, "");
    expect(qts, LEAF0, 0x5100, "", UNSUPPORTED, "");
    expect_from(qts, LEAF0, 0x0003, 9, "", SUCCESS, "0c");
    expect(qts, LEAF1, 0x0003, "", SUCCESS, "0c");
    fm = query(qts);
    g_assert_cmpint(qdict_get_int(nth(fm, "components", LEAF0), "primary"),
                    ==, 9);
    qobject_unref(fm);

    expect(qts, GFD, 0x490d, "0100 0700 0100 0080", SUCCESS, "");
    data = wait_changed(qts, GFD, "sat-changed");
    g_assert_cmpint(qdict_get_int(data, "pid"), ==, 7);
    qobject_unref(data);
    expect(qts, GFD, 0x490c, "0700 0100 0000", SUCCESS,
           "0700 0100 0000 01000080");
    qtest_quit(qts);
}

/* Events that have come: how many, and how many were left out before. */
static unsigned drain(QTestState *qts, uint64_t *left_out)
{
    unsigned n = 0;
    QDict *event;

    while ((event = qtest_qmp_event_ref(qts, CHANGED))) {
        *left_out += qdict_get_int(qdict_get_qdict(event, "data"),
                                   "left-out");
        qobject_unref(event);
        n++;
    }
    return n;
}

/* Who causes many events at once does not flood; none is forgotten. */
static void test_many_events(void)
{
    enum { MANY = 200 };
    QTestState *qts = start_alone();
    g_autoptr(GString) in = g_string_new("c800");
    gint64 deadline = cxlf_deadline();
    unsigned caused = MANY, emitted, more = 0;
    uint64_t left_out = 0;

    for (int i = 0; i < MANY; i++) {
        g_string_append_printf(in, " %02x00 01000000", i);
    }
    expect(qts, GFD, 0x490d, in->str, SUCCESS, "");
    emitted = drain(qts, &left_out);
    g_assert_cmpuint(emitted, >=, 64);
    while (!more) {
        cxlf_pause(deadline, "an event that says what was left out");
        expect(qts, GFD, 0x490d, "0100 0700 02000000", SUCCESS, "");
        caused++;
        more = drain(qts, &left_out);
    }
    g_assert_cmpuint(left_out, >, 0);
    g_assert_cmpuint(emitted + more + left_out, ==, caused);
    qtest_quit(qts);
}

/* Memory of LDs */

static void fill(int fd, uint8_t value)
{
    static const uint64_t at[] = { 0, 5 * MIB + 1, LD_SIZE - 1 };

    for (int i = 0; i < ARRAY_SIZE(at); i++) {
        for (int ld = 0; ld < 2; ld++) {
            g_assert_cmpint(pwrite(fd, &value, 1, ld * LD_SIZE + at[i]), ==,
                            1);
        }
    }
}

/* All of a unit is zeros, or what fill() has written is there. */
static void check_unit(int fd, int unit, uint8_t value)
{
    static const uint64_t at[] = { 0, 5 * MIB + 1, LD_SIZE - 1 };
    g_autofree uint8_t *have = g_malloc(LD_SIZE);

    g_assert_cmpint(pread(fd, have, LD_SIZE, unit * LD_SIZE), ==, LD_SIZE);
    for (int i = 0; i < ARRAY_SIZE(at); i++) {
        g_assert_cmphex(have[at[i]], ==, value);
        have[at[i]] = 0;
    }
    g_assert_true(buffer_is_zero(have, LD_SIZE));
}

/*
 * Bind an LD to vPPB 1 of host 1, which is not there, or unbind it.  It ends
 * with @result.
 */
static void bind_ld(QTestState *qts, unsigned ld, int result)
{
    g_autofree char *in = g_strdup_printf("00 01 02 00 %02x00", ld);
    QDict *data;

    expect(qts, LEAF1, 0x5201, in, BACKGROUND, "");
    wait_background(qts, LEAF1, 0x5201, result);
    data = wait_changed(qts, LEAF1, "vppb-changed");
    g_assert_cmpint(qdict_get_int(data, "vcs"), ==, 0);
    g_assert_cmpint(qdict_get_int(data, "vppb"), ==, 1);
    g_assert_false(qdict_haskey(data, "pid"));
    qobject_unref(data);
}

static void unbind_ld(QTestState *qts)
{
    expect(qts, LEAF1, 0x5202, "00 01 01", BACKGROUND, "");
    wait_background(qts, LEAF1, 0x5202, SUCCESS);
}

/* What was a host's is erased when it is nobody's, and nothing else. */
static void test_erase(void)
{
    QTestState *qts = start_alone();
    int fd = cxlf_open_memfd(qts, "cxlf-gfam1");
    QDict *fm;

    /* New memory is erased already. */
    fill(fd, 0x55);
    bind_ld(qts, 0, SUCCESS);
    check_unit(fd, 0, 0x55);
    expect(qts, LEAF1, 0x5200, "00 02 01 00", SUCCESS,
           "01 000000 00 01 03 10 02 03 ff 00 03 02 00 00");
    unbind_ld(qts);
    check_unit(fd, 0, 0);
    check_unit(fd, 1, 0x55);

    /* LD 1 gets what LD 0 had; LD 0 has nothing that could be bound. */
    fill(fd, 0xaa);
    expect(qts, MLD, 0x5402, "02 00 0000 00*8 00*8 02 00*7 00*8", SUCCESS,
           "02 00 0000 00*8 00*8 02 00*7 00*8");
    fm = query(qts);
    g_assert_cmpint(qdict_get_int(nth(nth(fm, "components", MLD), "lds", 1),
                                  "memory"), ==, 2 * LD_SIZE);
    qobject_unref(fm);
    bind_ld(qts, 0, INTERNAL_ERROR);
    check_unit(fd, 0, 0xaa);
    bind_ld(qts, 1, SUCCESS);
    check_unit(fd, 0, 0);
    check_unit(fd, 1, 0);
    close(fd);
    qtest_quit(qts);
}

/* Get LD Allocations: LDs in units of 256 MiB, and what was set */
static void test_allocations(void)
{
    QTestState *qts = start_alone();

    expect(qts, MLD, 0x5401, "00 ff", SUCCESS,
           "02 00 00 02 01 00*7 00*8 01 00*7 00*8");
    expect(qts, MLD, 0x5401, "01 01", SUCCESS, "02 00 01 01 01 00*7 00*8");
    expect(qts, MLD, 0x5401, "00 00", SUCCESS, "02 00 00 00");
    expect(qts, MLD, 0x5401, "02 01", INVALID_INPUT, "");
    expect(qts, MLD, 0x5401, "00", INVALID_LENGTH, "");
    expect(qts, GFD, 0x5401, "00 01", UNSUPPORTED, "");
    expect(qts, MLD, 0x5402, "02 00 0000 02 00*7 00*8 00*8 00*8", SUCCESS,
           NULL);
    expect(qts, MLD, 0x5401, "00 02", SUCCESS,
           "02 00 00 02 02 00*7 00*8 00*8 00*8");
    qtest_quit(qts);
}

/* An LD is one piece, and one that is bound stays where it is. */
static void test_pieces(void)
{
    QTestState *qts = start_alone();

    /* LD 0 is in the second of two units: so LD 1 is in the first. */
    expect(qts, MLD, 0x5402, "02 00 0000 00*8 00*8 01 00*7 00*8", SUCCESS,
           NULL);
    bind_ld(qts, 1, SUCCESS);
    expect(qts, MLD, 0x5402, "01 00 0000 01 00*7 00*8", SUCCESS, NULL);
    expect(qts, MLD, 0x5402, "01 00 0000 02 00*7 00*8", INVALID_INPUT, "");
    /* A bound one cannot change. */
    expect(qts, MLD, 0x5402, "01 01 0000 02 00*7 00*8", INVALID_INPUT, "");
    qtest_quit(qts);
}

/* What a file had in it is erased before it is bound, and by overwriting. */
static void test_memdev(void)
{
    g_autofree char *topology = write_topology();
    QTestState *qts = qtest_init("-machine none -nodefaults");
    g_autofree char *fabric = g_strdup_printf(
        "'qom-type': 'cxl-fabric', 'id': 'fabric0', 'memdev1': 'm', "
        "'topology': '%s'", blob_path);
    QDict *fm;
    int fd;

    cxlf_object_add(qts, "'qom-type': 'memory-backend-memfd', 'id': 'm', "
                    "'size': 536870912");
    fd = cxlf_open_memfd(qts, "memory-backend-memfd");
    fill(fd, 0x55);
    cxlf_object_add(qts, fabric);
    unlink(blob_path);
    g_clear_pointer(&blob_path, g_free);
    fm = query(qts);
    g_assert_false(qdict_get_bool(nth(nth(fm, "components", MLD), "lds", 1),
                                  "erased"));
    qobject_unref(fm);
    bind_ld(qts, 1, SUCCESS);
    check_unit(fd, 0, 0x55);
    check_unit(fd, 1, 0);
    close(fd);
    qtest_quit(qts);
}

/* The owner ends while memory is being erased. */
static void test_quit(void)
{
    QTestState *qts = start_alone();

    bind_ld(qts, 0, SUCCESS);
    expect(qts, LEAF1, 0x5202, "00 01 01", BACKGROUND, "");
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/fm/malformed", test_malformed);
    qtest_add_func("/cxlf/fm/nobody", test_nobody);
    qtest_add_func("/cxlf/fm/identify", test_identify);
    qtest_add_func("/cxlf/fm/ports", test_ports);
    qtest_add_func("/cxlf/fm/configuration", test_configuration);
    qtest_add_func("/cxlf/fm/port-control", test_port_control);
    qtest_add_func("/cxlf/fm/query", test_query);
    qtest_add_func("/cxlf/fm/default", test_default);
    qtest_add_func("/cxlf/fm/limit", test_limit);
    qtest_add_func("/cxlf/fm/logs", test_logs);
    qtest_add_func("/cxlf/fm/owners", test_owners);
    qtest_add_func("/cxlf/fm/many-events", test_many_events);
    qtest_add_func("/cxlf/fm/erase", test_erase);
    qtest_add_func("/cxlf/fm/allocations", test_allocations);
    qtest_add_func("/cxlf/fm/pieces", test_pieces);
    qtest_add_func("/cxlf/fm/memdev", test_memdev);
    qtest_add_func("/cxlf/fm/quit", test_quit);
    return g_test_run();
}
