/*
 * Helpers of the CXL fabric's qtests: HDM decoders, regions, fabrics of hosts
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"

#define CACHE_MEM       0x1000
#define DECODER_FIRST   0x10
#define DECODER_STRIDE  0x20
#define DECODER_SIZE    0x08
#define DECODER_CONTROL 0x10
#define DECODER_TARGETS 0x14

uint64_t cxlf_cap(CxlfHost *h, uint64_t component, uint16_t id)
{
    uint64_t array = component + CACHE_MEM;
    unsigned count = qtest_readl(h->qts, array) >> 24;

    g_assert_cmpint(qtest_readl(h->qts, array) & 0xffff, ==, 1);
    for (unsigned i = 1; i <= count; i++) {
        uint32_t header = qtest_readl(h->qts, array + 4 * i);

        if ((header & 0xffff) == id) {
            return array + (header >> 20);
        }
    }
    return 0;
}

uint64_t cxlf_hdm(CxlfHost *h, uint64_t component, unsigned n)
{
    uint64_t at = cxlf_cap(h, component, CXLF_CAP_HDM);

    g_assert_cmphex(at, !=, 0);
    return at + DECODER_FIRST + n * DECODER_STRIDE;
}

static void write_pair(CxlfHost *h, uint64_t at, uint64_t value)
{
    qtest_writel(h->qts, at, value);
    qtest_writel(h->qts, at + 4, value >> 32);
}

void cxlf_hdm_set(CxlfHost *h, uint64_t component, unsigned n, uint64_t base,
                  uint64_t size, uint64_t target_or_skip)
{
    uint64_t at = cxlf_hdm(h, component, n);

    write_pair(h, at, base);
    write_pair(h, at + DECODER_SIZE, size);
    write_pair(h, at + DECODER_TARGETS, target_or_skip);
}

uint32_t cxlf_hdm_control(CxlfHost *h, uint64_t component, unsigned n)
{
    return qtest_readl(h->qts, cxlf_hdm(h, component, n) + DECODER_CONTROL);
}

void cxlf_hdm_control_write(CxlfHost *h, uint64_t component, unsigned n,
                            uint32_t value)
{
    qtest_writel(h->qts, cxlf_hdm(h, component, n) + DECODER_CONTROL, value);
}

/* Component registers, decoder and target or skip of a region at a level. */
static uint64_t at_level(const CxlfRegion *r, int level, unsigned *n,
                         uint64_t *target)
{
    *n = level == CXLF_EP ? r->ep : r->port;
    *target = level == CXLF_EP ? r->skip : level == CXLF_US ? r->gfam : 0;
    return level == CXLF_EP ? r->h->gfam[r->gfam] :
           level == CXLF_US ? r->h->us : r->h->hb;
}

uint32_t cxlf_commit_level(const CxlfRegion *r, int level)
{
    uint64_t target;
    unsigned n;
    uint64_t component = at_level(r, level, &n, &target);

    cxlf_hdm_set(r->h, component, n, r->base, r->size, target);
    cxlf_hdm_control_write(r->h, component, n, HDM_COMMIT);
    return cxlf_hdm_control(r->h, component, n);
}

void cxlf_uncommit_level(const CxlfRegion *r, int level)
{
    uint64_t target;
    unsigned n;
    uint64_t component = at_level(r, level, &n, &target);

    cxlf_hdm_control_write(r->h, component, n, 0);
    g_assert_cmphex(cxlf_hdm_control(r->h, component, n) &
                    (HDM_COMMITTED | HDM_ERR), ==, 0);
}

void cxlf_commit(const CxlfRegion *r)
{
    for (int level = CXLF_EP; level < CXLF_LEVELS; level++) {
        g_assert_cmphex(cxlf_commit_level(r, level) &
                        (HDM_COMMITTED | HDM_ERR), ==, HDM_COMMITTED);
    }
}

void cxlf_uncommit(const CxlfRegion *r)
{
    for (int level = CXLF_HB; level >= CXLF_EP; level--) {
        cxlf_uncommit_level(r, level);
    }
}

CxlfRegion cxlf_whole_region(CxlfHost *h, int gfam)
{
    CxlfRegion r = {
        .h = h,
        .gfam = gfam,
        .port = gfam,
        .base = h->window + gfam * 2 * CLASS_SIZE,
        .size = 2 * CLASS_SIZE,
    };

    cxlf_commit(&r);
    return r;
}

uint64_t cxlf_load(const CxlfRegion *r, uint64_t dpa, unsigned size)
{
    uint64_t at = r->base + dpa - r->skip;

    switch (size) {
    case 1:
        return qtest_readb(r->h->qts, at);
    case 2:
        return qtest_readw(r->h->qts, at);
    case 4:
        return qtest_readl(r->h->qts, at);
    case 8:
        return qtest_readq(r->h->qts, at);
    default:
        g_assert_not_reached();
    }
}

void cxlf_store(const CxlfRegion *r, uint64_t dpa, uint64_t value,
                unsigned size)
{
    uint64_t at = r->base + dpa - r->skip;

    switch (size) {
    case 1:
        qtest_writeb(r->h->qts, at, value);
        break;
    case 2:
        qtest_writew(r->h->qts, at, value);
        break;
    case 4:
        qtest_writel(r->h->qts, at, value);
        break;
    case 8:
        qtest_writeq(r->h->qts, at, value);
        break;
    default:
        g_assert_not_reached();
    }
}

/* Fabrics of hosts */

void cxlf_fabric_host(CxlfFabric *f, int host, const char *more)
{
    f->h[host] = cxlf_host_start(f->path, 1, "", more);
    g_assert_cmpint(f->h[host]->number, ==, host);
    f->r[host] = cxlf_whole_region(f->h[host], 0);
}

CxlfFabric *cxlf_fabric_start(int hosts, const char *owner, const char *more)
{
    CxlfFabric *f = g_new0(CxlfFabric, 1);
    g_autofree char *all = g_strdup_printf(",hosts=%d%s", hosts, owner);

    f->path = cxlf_socket_path();
    f->owner = cxlf_owner_start(f->path, all);
    f->hosts = hosts;
    for (int i = 0; i < hosts; i++) {
        cxlf_fabric_host(f, i, more);
    }
    return f;
}

void cxlf_fabric_stop(CxlfFabric *f)
{
    for (int i = 0; i < f->hosts; i++) {
        if (f->h[i]) {
            cxlf_host_stop(f->h[i]);
        }
    }
    if (f->owner) {
        qtest_quit(f->owner);
    }
    g_free(f->path);
    g_free(f);
}

CxlfCounters cxlf_counted(CxlfFabric *f, int host)
{
    CxlfCounters now = cxlf_counters(f->owner, host);
    CxlfCounters delta = cxlf_minus(now, f->last[host + 1]);

    f->last[host + 1] = now;
    return delta;
}

/* What endpoints say of themselves */

#define EXT_CAP_SERIAL  0x03
#define EXT_CAP_DOE     0x2e

uint64_t cxlf_serial(CxlfHost *h, int gfam)
{
    unsigned at = cxlf_ext_cap(h, BDF_GFAM(gfam), EXT_CAP_SERIAL, 0);

    g_assert_cmphex(at, !=, 0);
    return cxlf_config_readl(h, BDF_GFAM(gfam), at + 4) |
           (uint64_t)cxlf_config_readl(h, BDF_GFAM(gfam), at + 8) << 32;
}

static unsigned doe_read_entry(CxlfHost *h, int gfam, uint16_t handle,
                               uint32_t *data, unsigned capacity,
                               uint16_t *next)
{
    unsigned at = cxlf_ext_cap(h, BDF_GFAM(gfam), EXT_CAP_DOE, 0);
    uint32_t request[3] = { 2 << 16 | 0x1e98, 3, (uint32_t)handle << 16 };
    unsigned length = 0;

    g_assert_cmphex(at, !=, 0);
    for (int i = 0; i < 3; i++) {
        cxlf_config_writel(h, BDF_GFAM(gfam), at + 0x10, request[i]);
    }
    cxlf_config_writel(h, BDF_GFAM(gfam), at + 0x08, 1u << 31);
    while (cxlf_config_readl(h, BDF_GFAM(gfam), at + 0x0c) & 1u << 31) {
        uint32_t word = cxlf_config_readl(h, BDF_GFAM(gfam), at + 0x14);

        cxlf_config_writel(h, BDF_GFAM(gfam), at + 0x14, 0);
        if (length == 2) {
            *next = word >> 16;
        } else if (length > 2) {
            g_assert_cmpint(length - 3, <, capacity);
            data[length - 3] = word;
        }
        length++;
    }
    g_assert_cmpint(length, >, 3);
    return (length - 3) * 4;
}

int cxlf_classes(CxlfHost *h, int gfam, CxlfClass *class, int capacity,
                 unsigned *dslbis)
{
    uint32_t data[16];
    uint16_t next = 0;
    uint32_t total = 0;
    uint8_t sum = 0;
    int n = 0;

    *dslbis = 0;
    for (int limit = 0; next != 0xffff && limit < 64; limit++) {
        unsigned size = doe_read_entry(h, gfam, next, data,
                                       ARRAY_SIZE(data), &next);

        for (unsigned i = 0; i < size; i++) {
            sum += ((uint8_t *)data)[i];
        }
        if (limit == 0) {
            total = data[0];
        } else if ((data[0] & 0xff) == 0) {
            g_assert_cmpint(n, <, capacity);
            class[n].flags = data[1] >> 8;
            memcpy(&class[n].base, &data[2], 8);
            memcpy(&class[n].size, &data[4], 8);
            n++;
        } else if ((data[0] & 0xff) == 1) {
            ++*dslbis;
        }
    }
    g_assert_cmpint(sum, ==, 0);
    g_assert_cmpint(total, ==, 16 + n * 6 * 24);
    return n;
}

/* Mailbox (CXL r3.1 section 8.2.8.4), at BAR 2 as cxlf_host_program() says */

uint16_t cxlf_mailbox(CxlfHost *h, int port, uint16_t opcode, const void *in,
                      unsigned length, void *out, unsigned *got)
{
    uint64_t device = h->gfam[port] + 0x40000, box = 0;
    gint64 deadline = cxlf_deadline();
    unsigned count = qtest_readw(h->qts, device + 4);

    for (unsigned i = 1; i <= count && !box; i++) {
        if (qtest_readw(h->qts, device + i * 16) == 2) {
            box = device + qtest_readl(h->qts, device + i * 16 + 4);
        }
    }
    g_assert_cmphex(box, !=, 0);
    qtest_memwrite(h->qts, box + 0x20, in, length);
    qtest_writeq(h->qts, box + 8, opcode | (uint64_t)length << 16);
    qtest_writel(h->qts, box + 4, 1);
    while (qtest_readl(h->qts, box + 4) & 1) {
        cxlf_pause(deadline, "a command of the mailbox");
    }
    *got = qtest_readq(h->qts, box + 8) >> 16 & 0xfffff;
    qtest_memread(h->qts, box + 0x20, out, *got);
    return qtest_readq(h->qts, box + 0x10) >> 32;
}

/* Hot-plug */

void cxlf_slot_power(CxlfHost *h, int port, bool on)
{
    unsigned control = cxlf_express_capability(h, BDF_DS(port)) + 0x18;

    /* Power indicator [9:8]: 1 on, 3 off; power controller b10: 1 off */
    cxlf_config_writew(h, BDF_DS(port), control, on ? 1 << 8 : 7 << 8);
}

void cxlf_plug(CxlfHost *h, int port, unsigned gfam, int ld)
{
    QDict *arguments = qdict_new();
    g_autofree char *id = g_strdup_printf("gfam%d", port);
    g_autofree char *bus = g_strdup_printf("ds%d", port);

    qdict_put_str(arguments, "driver", "cxl-gfam");
    qdict_put_str(arguments, "id", id);
    qdict_put_str(arguments, "bus", bus);
    qdict_put_str(arguments, "eca", "eca0");
    qdict_put_int(arguments, "gfam", gfam);
    if (ld >= 0) {
        qdict_put_int(arguments, "ld", ld);
    }
    qtest_qmp_assert_success(h->qts, "{'execute': 'device_add',"
                             "'arguments': %p}", arguments);
    cxlf_slot_power(h, port, true);
    cxlf_host_program(h);
}

void cxlf_unplug(CxlfHost *h, int port)
{
    g_autofree char *id = g_strdup_printf("gfam%d", port);

    qtest_qmp_device_del_send(h->qts, id);
    cxlf_slot_power(h, port, false);
    qobject_unref(cxlf_wait_event(h->qts, "DEVICE_DELETED"));
}
