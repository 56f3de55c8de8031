/*
 * Helpers of the CXL fabric's qtests: the agent's interrupts, and modes
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-eca.h"

#define MSIX_BAR    0xca000000
#define PENDING     0x800
/* Memory of the guest, for the messages */
#define MESSAGES    0x3800000

unsigned cxlf_msix_on(CxlfHost *h)
{
    unsigned at = cxlf_config_readw(h, BDF_ECA, 0x34) & 0xff;

    while (at && (cxlf_config_readw(h, BDF_ECA, at) & 0xff) != 0x11) {
        at = cxlf_config_readw(h, BDF_ECA, at) >> 8;
    }
    g_assert_cmpuint(at, !=, 0);
    g_assert_cmpuint(cxlf_config_readl(h, BDF_ECA, at + 4), ==, 4);
    g_assert_cmpuint(cxlf_config_readl(h, BDF_ECA, at + 8), ==, 4 | PENDING);
    cxlf_config_writel(h, BDF_ECA, 0x20, MSIX_BAR);
    cxlf_config_writew(h, BDF_ECA, at + 2, 0x8000);
    return (cxlf_config_readw(h, BDF_ECA, at + 2) & 0x7ff) + 1;
}

void cxlf_msix_vector(CxlfHost *h, unsigned n, bool masked)
{
    qtest_writeq(h->qts, MSIX_BAR + n * 16, MESSAGES + n * 4);
    qtest_writel(h->qts, MSIX_BAR + n * 16 + 8, 0x100 + n);
    qtest_writel(h->qts, MSIX_BAR + n * 16 + 12, masked);
}

uint32_t cxlf_msix_message(CxlfHost *h, unsigned n)
{
    uint32_t was = qtest_readl(h->qts, MESSAGES + n * 4);

    qtest_writel(h->qts, MESSAGES + n * 4, 0);
    return was;
}

void cxlf_msix_wait(CxlfHost *h, unsigned n)
{
    gint64 deadline = cxlf_deadline();

    while (qtest_readl(h->qts, MESSAGES + n * 4) != 0x100 + n) {
        cxlf_pause(deadline, "an interrupt");
    }
    cxlf_msix_message(h, n);
}

bool cxlf_msix_pending(CxlfHost *h, unsigned n)
{
    return qtest_readl(h->qts, MSIX_BAR + PENDING) & 1u << n;
}

void cxlf_set_bulk_mode(CxlfFabric *f, const char *mode)
{
    gint64 deadline = cxlf_deadline();
    QDict *r, *info;
    bool changing;

    r = qtest_qmp(f->owner, "{ 'execute': 'x-cxl-fabric-set-bulk-mode', "
                  "'arguments': { 'mode': %s } }", mode);
    g_assert_true(qdict_haskey(r, "return"));
    qobject_unref(r);
    do {
        info = cxlf_query(f->owner);
        changing = qdict_get_bool(info, "bulk-mode-changing");
        qobject_unref(info);
        cxlf_pause(deadline, "a change of the mode");
    } while (changing);
}

