/*
 * QTest of HDM decoders at random: every level, against a model
 *
 * The model is written from the specification's rules and
 * docs/interface.md: which HPA shows which DPA after any order of writes.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf-hdm.h"

#define DECODERS    4
#define UNITS       4       /* of 256 MiB: HOT, then three of BULK */
#define PLACES      8       /* units of the window that are looked at */
#define MARK(unit)  (0x6d61726b00000000ull + (unit))
#define ALL_ONES    0xffffffffffffffffull

/* Sizes in units; base counts from the window's. */
typedef struct Decoder {
    int base, size;
    int skip;               /* endpoint; of a port: the target */
    int ways;               /* encoded: 0 is one */
    bool committed;
    bool err;
    int dpa;                /* endpoint: where it begins */
} Decoder;

typedef struct Model {
    CxlfHost *h;
    Decoder d[CXLF_LEVELS][DECODERS];
} Model;

static uint64_t component(Model *m, int level)
{
    return level == CXLF_EP ? m->h->gfam[0] :
           level == CXLF_US ? m->h->us : m->h->hb;
}

/* Whether decoder @n of the endpoint may be committed as it is filled. */
static bool endpoint_accepts(Model *m, int n)
{
    Decoder *d = &m->d[CXLF_EP][n];
    int dpa = 0;

    if (d->size == 0 || d->ways != 0 || d->base < 0 ||
        (d->base + d->size) * CLASS_SIZE > m->h->window_size) {
        return false;
    }
    for (int i = 0; i < DECODERS; i++) {
        Decoder *other = &m->d[CXLF_EP][i];

        if (i != n && other->committed && d->base < other->base + other->size
            && other->base < d->base + d->size) {
            return false;
        }
        if (i < n && !other->committed) {
            return false;
        }
        if (i < n) {
            dpa += other->skip + other->size;
        }
    }
    d->dpa = dpa + d->skip;
    return d->dpa + d->size <= UNITS;
}

/* Whether a port's decoders lead a whole range to downstream port 0. */
static bool port_leads(Model *m, int level, const Decoder *range)
{
    for (int i = 0; i < DECODERS; i++) {
        Decoder *d = &m->d[level][i];

        if (d->committed && range->base >= d->base &&
            range->base + range->size <= d->base + d->size) {
            return d->ways == 0 && d->skip == 0;
        }
    }
    return false;
}

static void write_control(Model *m, int level, int n, bool commit, int ways)
{
    Decoder *d = &m->d[level][n];
    uint32_t control;

    cxlf_hdm_control_write(m->h, component(m, level), n,
                           (commit ? HDM_COMMIT : 0) | ways << 4);
    d->ways = ways;
    d->committed = false;
    d->err = false;
    if (commit) {
        d->committed = level != CXLF_EP || endpoint_accepts(m, n);
        d->err = !d->committed;
    }
    control = cxlf_hdm_control(m->h, component(m, level), n);
    g_assert_cmpint(!!(control & HDM_COMMITTED), ==, d->committed);
    g_assert_cmpint(!!(control & HDM_ERR), ==, d->err);
}

static void write_range(Model *m, int level, int n, int base, int size,
                        int skip)
{
    Decoder *d = &m->d[level][n];

    cxlf_hdm_set(m->h, component(m, level), n,
                 m->h->window + base * (int64_t)CLASS_SIZE,
                 size * CLASS_SIZE,
                 level == CXLF_EP ? skip * CLASS_SIZE : skip);
    if (level == CXLF_EP && d->committed) {
        return;             /* the endpoint keeps what is committed */
    }
    d->base = base;
    d->size = size;
    d->skip = skip;
}

static void random_write(Model *m)
{
    int level = g_test_rand_int_range(CXLF_EP, CXLF_LEVELS);
    int n = g_test_rand_int_range(0, level == CXLF_EP ? 3 : 2);
    bool easy = g_test_rand_int_range(0, 4) != 0;
    int ways = g_test_rand_int_range(0, 10) == 0;

    switch (g_test_rand_int_range(0, 4)) {
    case 0:
        write_control(m, level, n, false, ways);
        break;
    case 1:
    case 2:
        write_control(m, level, n, true, ways);
        break;
    default:
        if (level == CXLF_EP) {
            write_range(m, level, n, g_test_rand_int_range(easy ? 0 : -1,
                                                           PLACES - 1),
                        g_test_rand_int_range(easy, UNITS),
                        g_test_rand_int_range(0, easy ? 2 : UNITS));
        } else {
            write_range(m, level, n, easy ? 0 :
                        g_test_rand_int_range(0, PLACES),
                        easy ? PLACES : g_test_rand_int_range(0, PLACES),
                        g_test_rand_int_range(0, 8) == 0);
        }
        break;
    }
}

/* What must be seen at a place of the window; @refusals: counted for it. */
static void check_place(Model *m, int place, int *opened)
{
    CxlfCounters before = cxlf_counters(m->h->qts, -1), delta;
    uint64_t seen = qtest_readq(m->h->qts, m->h->window +
                                place * CLASS_SIZE + 0x40);

    delta = cxlf_minus(cxlf_counters(m->h->qts, -1), before);
    for (int i = 0; i < DECODERS; i++) {
        Decoder *d = &m->d[CXLF_EP][i];

        if (!d->committed || place < d->base || place >= d->base + d->size) {
            continue;
        }
        if (port_leads(m, CXLF_US, d) && port_leads(m, CXLF_HB, d)) {
            int unit = d->dpa + place - d->base;

            g_assert_cmphex(seen, ==, MARK(unit));
            g_assert_cmpint(delta.n[CXLF_REFUSAL], ==, 0);
            g_assert_cmpint(delta.n[CXLF_READ_HIT], ==, unit == 0);
            ++*opened;
        } else {
            g_assert_cmphex(seen, ==, ALL_ONES);
            cxlf_assert_delta(delta, CXLF_REFUSAL, 1, CXLF_COUNTERS);
        }
        return;
    }
    g_assert_cmphex(seen & ~0xffull, !=, MARK(0));
    cxlf_assert_delta(delta, CXLF_COUNTERS);
}

static void mark_units(CxlfHost *h)
{
    CxlfRegion all = { .h = h, .base = h->window, .size = UNITS * CLASS_SIZE };

    cxlf_commit(&all);
    for (int i = 0; i < UNITS; i++) {
        cxlf_store(&all, i * CLASS_SIZE + 0x40, MARK(i), 8);
    }
    cxlf_uncommit(&all);
}

static void test_random(void)
{
    Model m = {
        .h = cxlf_host_start_fabric("-object cxl-fabric,id=fabric0,bulk=768M",
                                    1, "", ""),
    };
    int opened = 0, resets = 0;

    mark_units(m.h);
    for (int level = 0; level < CXLF_LEVELS; level++) {
        for (int n = 0; n < DECODERS; n++) {
            write_range(&m, level, n, 0, 0, 0);
        }
    }
    for (int i = 0; i < 1500; i++) {
        random_write(&m);
        check_place(&m, g_test_rand_int_range(0, PLACES), &opened);
        check_place(&m, g_test_rand_int_range(0, PLACES), &opened);
        if (g_test_rand_int_range(0, 500) == 0) {
            qtest_system_reset(m.h->qts);
            cxlf_host_program(m.h);
            memset(m.d, 0, sizeof(m.d));
            mark_units(m.h);
            for (int level = 0; level < CXLF_LEVELS; level++) {
                write_range(&m, level, 0, 0, 0, 0);
            }
            resets++;
        }
    }
    g_test_message("%d looks saw memory; %d resets", opened, resets);
    g_assert_cmpint(opened, >, 20);
    cxlf_host_stop(m.h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/decoder/random", test_random);
    return g_test_run();
}
