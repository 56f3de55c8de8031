/*
 * QTest of cxl-gfam and the PBR ports: identity, properties, HOT accesses
 *
 * Expected register values are those of the specification and of
 * docs/interface.md, not of the device's headers.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"

#define EXT_CAP_DVSEC   0x23
#define DVSEC_FLEX_BUS  7

/* Offset of CXL DVSEC @id, or 0. */
static unsigned dvsec(CxlfHost *h, uint32_t bdf, uint16_t id)
{
    unsigned at;

    for (int n = 0; (at = cxlf_ext_cap(h, bdf, EXT_CAP_DVSEC, n)); n++) {
        if (cxlf_config_readw(h, bdf, at + 4) == 0x1e98 &&
            cxlf_config_readw(h, bdf, at + 8) == id) {
            return at;
        }
    }
    return 0;
}

static void test_identity(void)
{
    static const uint16_t needed[] = { 0, 5, DVSEC_FLEX_BUS, 8 };
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    unsigned at;

    /* Class 0502h: memory controller, CXL; programming interface 10h */
    g_assert_cmphex(cxlf_config_readl(h, BDF_GFAM(0), 8) >> 8, ==, 0x050210);
    for (int i = 0; i < ARRAY_SIZE(needed); i++) {
        g_assert_cmphex(dvsec(h, BDF_GFAM(0), needed[i]), !=, 0);
    }
    /* Device DVSEC: mem capable, and the size of range 1 */
    at = dvsec(h, BDF_GFAM(0), 0);
    g_assert_cmphex(cxlf_config_readw(h, BDF_GFAM(0), at + 0xa) & 4, ==, 4);
    g_assert_cmphex(cxlf_config_readl(h, BDF_GFAM(0), at + 0x1c) &
                    0xf0000000, ==, 2 * CLASS_SIZE);
    /* The ports are capable of 256 B flits (b13) and PBR flits (b14). */
    at = dvsec(h, BDF_US, DVSEC_FLEX_BUS);
    g_assert_cmphex(cxlf_config_readw(h, BDF_US, at + 0xa) & 0x6000, ==,
                    0x6000);
    at = dvsec(h, BDF_DS(0), DVSEC_FLEX_BUS);
    g_assert_cmphex(cxlf_config_readw(h, BDF_DS(0), at + 0xa) & 0x6000, ==,
                    0x6000);
    cxlf_host_stop(h);
}

static void test_serial(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",gfams=2");
    CxlfHost *a = cxlf_host_start(path, 2, "", "");
    CxlfHost *b = cxlf_host_start(path, 2, "", "");
    CxlfHost *c = cxlf_host_start(NULL, 1, "", "");
    CxlfHost *d = cxlf_host_start(NULL, 1, ",sn=0x123456789abcdef0", "");

    g_assert_cmphex(cxlf_serial(a, 0), ==, cxlf_serial(b, 0));
    g_assert_cmphex(cxlf_serial(a, 1), ==, cxlf_serial(b, 1));
    g_assert_cmphex(cxlf_serial(a, 0), !=, cxlf_serial(a, 1));
    g_assert_cmphex(cxlf_serial(a, 0), !=, cxlf_serial(c, 0));
    g_assert_cmphex(cxlf_serial(d, 0), ==, 0x123456789abcdef0);
    cxlf_host_stop(a);
    cxlf_host_stop(b);
    cxlf_host_stop(c);
    cxlf_host_stop(d);
    qtest_quit(owner);
}

/* Back-invalidate capabilities (CXL r3.1 Table 8-22) */

static void check_bi(CxlfHost *h)
{
    uint64_t table = cxlf_cap(h, h->us, CXLF_CAP_BI_ROUTE_TABLE);
    uint64_t decoder[2] = {
        cxlf_cap(h, h->ds[0], CXLF_CAP_BI_DECODER),
        cxlf_cap(h, h->gfam[0], CXLF_CAP_BI_DECODER),
    };
    uint64_t components[] = { h->us, h->gfam[0] };

    g_assert_cmphex(table, !=, 0);
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(decoder[i], !=, 0);
        /* Forward and Enable are the software's to set. */
        g_assert_cmphex(qtest_readl(h->qts, decoder[i] + 4), ==, 0);
        qtest_writel(h->qts, decoder[i] + 4, 0x2);
        g_assert_cmphex(qtest_readl(h->qts, decoder[i] + 4), ==, 0x2);
        /* Capability and status are not. */
        qtest_writel(h->qts, decoder[i], 0xffffffff);
        g_assert_cmphex(qtest_readl(h->qts, decoder[i]) & ~3u, ==, 0);
        qtest_writel(h->qts, decoder[i] + 8, 0xffffffff);
        g_assert_cmphex(qtest_readl(h->qts, decoder[i] + 8) & 2, ==, 0);
    }
    /* The decoders' BI bit (b13) can be set. */
    for (int i = 0; i < ARRAY_SIZE(components); i++) {
        cxlf_hdm_control_write(h, components[i], 0, 1u << 13);
        g_assert_cmphex(cxlf_hdm_control(h, components[i], 0) & 1u << 13, ==,
                        1u << 13);
        cxlf_hdm_control_write(h, components[i], 0, 0);
    }
    /* What was there before is there still. */
    g_assert_cmphex(cxlf_cap(h, h->us, CXLF_CAP_HDM), !=, 0);
    g_assert_cmphex(cxlf_cap(h, h->gfam[0], CXLF_CAP_HDM), !=, 0);
    g_assert_cmphex(cxlf_cap(h, h->ds[0], CXLF_CAP_BI_ROUTE_TABLE), ==, 0);
}

static void test_bi(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");

    check_bi(h);
    for (int i = 0; i < 3; i++) {
        qtest_system_reset(h->qts);
        cxlf_host_program(h);
        check_bi(h);
    }
    cxlf_host_stop(h);
}

/* CDAT */

static void test_cdat(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    unsigned dslbis;
    CxlfClass class[2];

    g_assert_cmpint(cxlf_classes(h, 0, class, 2, &dslbis), ==, 2);
    g_assert_cmpint(dslbis, ==, 8);
    g_assert_cmphex(class[0].flags, ==, 0x18);  /* shareable, hw coherent */
    g_assert_cmphex(class[0].base, ==, 0);
    g_assert_cmphex(class[0].size, ==, CLASS_SIZE);
    g_assert_cmphex(class[1].flags, ==, 0x08);  /* shareable */
    g_assert_cmphex(class[1].base, ==, CLASS_SIZE);
    g_assert_cmphex(class[1].size, ==, CLASS_SIZE);
    cxlf_host_stop(h);

    h = cxlf_host_start_fabric("-object cxl-fabric,id=fabric0,hot=512M,"
                               "bulk=0", 1, "", "");
    g_assert_cmpint(cxlf_classes(h, 0, class, 2, &dslbis), ==, 1);
    g_assert_cmphex(class[0].size, ==, 2 * CLASS_SIZE);
    cxlf_host_stop(h);
}

/* Properties: the error names the one that is wrong */

static void test_properties(void)
{
    static const char *const bad[][2] = {
        { "'eca': 'none'", "none" },
        { "'gfam': 0", "'eca' is not set" },
        { "'eca': 'eca0', 'gfam': 0", "'gfam': device 0 has an endpoint" },
        { "'eca': 'eca0', 'gfam': 2", "'gfam' must be 0 to 1: the fabric has "
          "2 GFAM devices" },
        { "'eca': 'eca0', 'gfam': 4294967295", "'gfam' must be 0 to 1" },
        { "'eca': 'eca0', 'gfam': 1, 'volatile-memdev': 'm'", "memdev" },
        { "'eca': 'eca0', 'gfam': 1, 'persistent-memdev': 'm'", "memdev" },
        { "'eca': 'eca0', 'gfam': 1, 'memdev': 'm'", "memdev" },
        { "'eca': 'eca0', 'gfam': 1, 'num-dc-regions': 1",
          "'num-dc-regions'" },
        { "'eca': 'eca0', 'gfam': 1, 'cdat': '/nonexistent'", "CDAT" },
    };
    CxlfHost *h = cxlf_host_start_fabric(
        "-object cxl-fabric,id=fabric0,gfams=2 "
        "-object memory-backend-ram,id=m,size=256M", 1, "", "");

    /* Twice: a failure leaves nothing behind. */
    for (int i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
        const char *const *each = bad[i % ARRAY_SIZE(bad)];
        g_autofree char *command = g_strdup_printf("{'execute': 'device_add',"
            "'arguments': {'driver': 'cxl-gfam', 'id': 'x', 'bus': 'ds1',"
            "%s}}", each[0]);
        QDict *response;
        const char *desc;

        qtest_qmp_send_raw(h->qts, "%s", command);
        response = qtest_qmp_receive(h->qts);
        g_assert_true(qdict_haskey(response, "error"));
        desc = qdict_get_str(qdict_get_qdict(response, "error"), "desc");
        if (!strstr(desc, each[1])) {
            g_error("%s: the error says '%s'", each[0], desc);
        }
        qobject_unref(response);
    }
    /* And the device is there for whoever asks for it properly. */
    qtest_qmp_assert_success(h->qts, "{'execute': 'device_add', 'arguments':"
        "{'driver': 'cxl-gfam', 'id': 'x', 'bus': 'ds1', 'eca': 'eca0',"
        "'gfam': 1}}");
    cxlf_host_stop(h);
}

static void test_start_errors(void)
{
#define MACHINE "-M q35,cxl=on -nodefaults "
    cxlf_start_error(MACHINE "-object cxl-fabric,id=f "
                     "-device dpu-eca,fabric=f -device dpu-eca,fabric=f",
                     "'fabric': an Edge Coherence Agent of this process uses "
                     "it already");
    cxlf_start_error(MACHINE "-device dpu-eca,fabric=f", "f");
    cxlf_start_error(MACHINE "-object cxl-fabric,id=f,leaves=65",
                     "'leaves' must be 1 to 64");
    cxlf_start_error(MACHINE "-object memory-backend-cxl-gfam,id=m,size=1M",
                     "memory-backend-cxl-gfam");
}

/* HOT: the protocol table, by one host */

static void test_hot_counters(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    CxlfRegion r = cxlf_whole_region(h, 0);
    CxlfCounters at, before = cxlf_counters(h->qts, 0);
    const struct {
        uint64_t dpa;
        bool store;
        int counter;
    } steps[] = {
        { 0x0000, false, CXLF_READ_MISS },
        { 0x0038, false, CXLF_READ_HIT },
        { 0x0000, true, CXLF_UPGRADE },
        { 0x0008, true, CXLF_WRITE_HIT },
        { 0x0010, false, CXLF_READ_HIT },
        { 0x0040, true, CXLF_WRITE_MISS },
        { 0x0048, true, CXLF_WRITE_HIT },
        { 0x0040, false, CXLF_READ_HIT },
        { CLASS_SIZE - 8, false, CXLF_READ_MISS },
        { CLASS_SIZE - 8, true, CXLF_UPGRADE },
    };

    cxlf_assert_delta(before, CXLF_COUNTERS);   /* nothing yet */
    for (int i = 0; i < ARRAY_SIZE(steps); i++) {
        before = cxlf_counters(h->qts, 0);
        if (steps[i].store) {
            cxlf_store(&r, steps[i].dpa, i, 8);
        } else {
            cxlf_load(&r, steps[i].dpa, 8);
        }
        at = cxlf_counters(h->qts, 0);
        cxlf_assert_delta(cxlf_minus(at, before), steps[i].counter, 1,
                          CXLF_COUNTERS);
    }
    /* A reset gives up what the host held; what it stored stays. */
    qtest_system_reset(h->qts);
    cxlf_host_program(h);
    r = cxlf_whole_region(h, 0);
    before = cxlf_counters(h->qts, 0);
    g_assert_cmphex(cxlf_load(&r, 0x40, 8), ==, 5);
    at = cxlf_counters(h->qts, 0);
    cxlf_assert_delta(cxlf_minus(at, before), CXLF_READ_MISS, 1,
                      CXLF_COUNTERS);
    cxlf_host_stop(h);
}

/* Into how many naturally aligned pieces the bus splits an access. */
static int pieces(uint64_t at, unsigned size)
{
    int n = 0;

    while (size) {
        unsigned piece = 8;

        while (piece > size || at % piece) {
            piece /= 2;
        }
        at += piece;
        size -= piece;
        n++;
    }
    return n;
}

static void test_hot_sizes(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", CXLF_NEVER_MAPPED);
    CxlfRegion r = cxlf_whole_region(h, 0);
    uint8_t shadow[128] = { 0 }, all[128];
    CxlfCounters before;
    int loads = 0, stores = 0;

    cxlf_store(&r, 0, 0, 1);        /* own both lines */
    cxlf_store(&r, 64, 0, 1);
    before = cxlf_counters(h->qts, 0);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (uint64_t at = 0; at <= sizeof(shadow) - 8; at++) {
            uint64_t value = (uint64_t)g_test_rand_int() << 32 |
                             (uint32_t)g_test_rand_int();
            uint64_t mask = size == 8 ? ~0ull : (1ull << 8 * size) - 1;

            cxlf_store(&r, at, value, size);
            memcpy(shadow + at, &value, size);
            g_assert_cmphex(cxlf_load(&r, at, size), ==, value & mask);
            loads += pieces(at, size);
            stores += pieces(at, size);
        }
    }
    cxlf_assert_delta(cxlf_minus(cxlf_counters(h->qts, 0), before),
                      CXLF_READ_HIT, loads, CXLF_WRITE_HIT, stores,
                      CXLF_COUNTERS);
    qtest_memread(h->qts, r.base, all, sizeof(all));
    g_assert_cmpmem(all, sizeof(all), shadow, sizeof(shadow));
    cxlf_host_stop(h);
}

/* An access that straddles two lines asks for both. */
static void test_hot_straddle(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    CxlfRegion r = cxlf_whole_region(h, 0);

    cxlf_store(&r, 0x103c, 0x1122334455667788, 8);
    cxlf_assert_delta(cxlf_counters(h->qts, 0), CXLF_WRITE_MISS, 2,
                      CXLF_COUNTERS);
    g_assert_cmphex(cxlf_load(&r, 0x103c, 4), ==, 0x55667788);
    g_assert_cmphex(cxlf_load(&r, 0x1040, 4), ==, 0x11223344);
    /*
     * From HOT into BULK: one line, and the other half is stored to the
     * front, where it is a fault, and owns the page.
     */
    cxlf_store(&r, CLASS_SIZE - 4, 0x99aabbccddeeff00, 8);
    g_assert_cmphex(cxlf_load(&r, CLASS_SIZE, 4), ==, 0x99aabbcc);
    cxlf_assert_delta(cxlf_counters(h->qts, 0), CXLF_WRITE_MISS, 4,
                      CXLF_READ_HIT, 2, CXLF_PAGE_FAULT, 1,
                      CXLF_PAGE_MAPPED, 1, CXLF_COUNTERS);
    cxlf_host_stop(h);
}

static void test_hot_plug(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    CxlfRegion r = cxlf_whole_region(h, 0);

    cxlf_store(&r, 0, 0x77, 8);
    cxlf_store(&r, CLASS_SIZE, 0x88, 8);
    for (int i = 0; i < 3; i++) {
        cxlf_unplug(h, 0);
        g_assert_cmphex(cxlf_config_readl(h, BDF_GFAM(0), 0), ==, 0xffffffff);
        g_assert_cmphex(qtest_readl(h->qts, h->eca + 0x114), ==, 0);
        g_assert_cmphex(cxlf_load(&r, 0, 8), !=, 0x77);
        g_assert_cmphex(cxlf_load(&r, CLASS_SIZE, 8), !=, 0x88);
        for (int level = CXLF_HB; level > CXLF_EP; level--) {
            cxlf_uncommit_level(&r, level);
        }
        cxlf_plug(h, 0, 0, -1);
        g_assert_cmphex(qtest_readl(h->qts, h->eca + 0x114), ==, 1);
        g_assert_cmphex(cxlf_cap(h, h->gfam[0], CXLF_CAP_BI_DECODER), !=, 0);
        r = cxlf_whole_region(h, 0);
        g_assert_cmphex(cxlf_load(&r, 0, 8), ==, 0x77);
        g_assert_cmphex(cxlf_load(&r, CLASS_SIZE, 8), ==, 0x88);
    }
    cxlf_host_stop(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/gfam/identity", test_identity);
    qtest_add_func("/cxlf/gfam/serial", test_serial);
    qtest_add_func("/cxlf/gfam/back-invalidate", test_bi);
    qtest_add_func("/cxlf/gfam/cdat", test_cdat);
    qtest_add_func("/cxlf/gfam/properties", test_properties);
    qtest_add_func("/cxlf/gfam/start-errors", test_start_errors);
    qtest_add_func("/cxlf/gfam/hot/counters", test_hot_counters);
    qtest_add_func("/cxlf/gfam/hot/sizes", test_hot_sizes);
    qtest_add_func("/cxlf/gfam/hot/straddle", test_hot_straddle);
    qtest_add_func("/cxlf/gfam/hot-plug", test_hot_plug);
    return g_test_run();
}
