/*
 * QTest of a fabric of eight hosts at four leaves, each linked to two spines
 *
 * Host n and page n of HOT are at leaf n mod 4, the GFAM device is at leaf 0.
 * Link 2 * l + s joins leaf l and spine s.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "cxlf/route.h"
#include "cxlf-route.h"

#define HOSTS       8
#define LEAVES      4
#define SPINES      2
#define LINKS       (LEAVES * SPINES)       /* between switches */
#define LINK_EVENT  7
#define TAIL        0x1120                  /* EV_TAIL */

QEMU_BUILD_BUG_ON(CXLF_HOSTS < HOSTS);

static CxlfFabric *start(void)
{
    static struct cxlf_graph graph;
    struct cxlf_topology t = {
        .hosts = HOSTS, .leaves = LEAVES, .shards = 1, .gfams = 1,
        .gfam[0] = { .hot = CLASS_SIZE, .bulk = CLASS_SIZE },
    };

    for (int i = 0; i < HOSTS; i++) {
        t.host_leaf[i] = i % LEAVES;
    }
    cxlf_graph_default(&t, SPINES, &graph);
    return cxlf_fabric_of(&t, &graph, HOSTS, CXLF_NEVER_MAPPED);
}

/* Messages in each direction of each link between switches. */
typedef struct Traffic {
    int64_t n[LINKS][2];
} Traffic;

static Traffic traffic(CxlfFabric *f)
{
    QList *links = cxlf_links(f->owner);
    Traffic t;

    for (int i = 0; i < LINKS; i++) {
        QList *ways = qdict_get_qlist(cxlf_nth(links, i), "counters");

        for (int way = 0; way < 2; way++) {
            t.n[i][way] = qdict_get_int(cxlf_nth(ways, way), "messages");
        }
    }
    qobject_unref(links);
    return t;
}

/* Modes */

/* All entries of the leaves' RGTs get a mode; spine 0 is their primary. */
static void set_mode(CxlfFabric *f, enum cxlf_rgt_mode mode, unsigned mix)
{
    static const uint8_t all[6] = { 0, 0, 0, 1 };
    g_autofree uint8_t *have = g_malloc(4096);

    for (unsigned leaf = 0; leaf < LEAVES; leaf++) {
        unsigned changed = 0;
        size_t n;

        g_assert_cmphex(cxlf_cci(f->owner, leaf, 0x570a, all, sizeof(all),
                                 have, 4096, &n), ==, 0);
        g_assert_cmpuint(n, ==, 6 + 12 * CXLF_RGT_ENTRIES);
        for (unsigned i = 0; i < CXLF_RGT_ENTRIES; i++) {
            uint8_t in[18] = { 0, 0, 1, 0, i }, *e = in + 6;

            memcpy(e, have + 6 + 12 * i, 12);
            if (!(e[8] & 7)) {
                continue;           /* a single port, or nothing */
            }
            g_assert_cmphex(e[0], ==, 0);
            e[8] &= 7;
            e[9] = mode | mix << 3;
            cxlf_cci_ok(f->owner, leaf, 0x570b, in, sizeof(in));
            changed++;
        }
        g_assert_cmpuint(changed, >, 0);
    }
}

static void test_modes(void)
{
    static const struct {
        enum cxlf_rgt_mode mode;
        unsigned mix;
        enum { BOTH, EVEN, FIRST, SECOND } spines;
    } cases[] = {
        { CXLF_RGT_CONGESTION, 0, EVEN }, { CXLF_RGT_RANDOM, 0, BOTH },
        { CXLF_RGT_PRIMARY, 0, FIRST }, { CXLF_RGT_ADVANCED, 0, FIRST },
        { CXLF_RGT_ADVANCED, 4, BOTH },
        /* Makes up for what the first spine has carried. */
        { CXLF_RGT_CONGESTION, 0, SECOND },
    };
    CxlfFabric *f = start();
    uint64_t page = 0;

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        set_mode(f, cases[i].mode, cases[i].mix);
        for (int host = 0; host < HOSTS; host++) {
            int link = host % LEAVES * SPINES;
            Traffic before = traffic(f), after;
            int64_t by[SPINES];

            /* Lines that nobody has, of all homes and in all flows. */
            for (int n = 0; n < LEAVES * CXLF_FLOWS; n++) {
                cxlf_load(&f->r[host], page + n / CXLF_FLOWS * CXLF_PAGE +
                          n % CXLF_FLOWS * CXLF_LINE, 8);
            }
            page += LEAVES * CXLF_PAGE;
            after = traffic(f);
            for (int s = 0; s < SPINES; s++) {
                by[s] = after.n[link + s][0] - before.n[link + s][0];
            }
            g_test_message("mode %d, mix %u, host %d: %" PRId64 " and %"
                           PRId64 " messages", cases[i].mode, cases[i].mix,
                           host, by[0], by[1]);
            switch (cases[i].spines) {
            case BOTH:
                g_assert_cmpint(MIN(by[0], by[1]), >, 0);
                break;
            case EVEN:
                g_assert_cmpint(MIN(by[0], by[1]) * 2, >,
                                MAX(by[0], by[1]));
                break;
            case FIRST:
                g_assert_cmpint(by[0], >, 0);
                g_assert_cmpint(by[1], ==, 0);
                break;
            case SECOND:
                g_assert_cmpint(by[1], >, by[0]);
                break;
            }
        }
    }
    cxlf_fabric_stop(f);
}

/* Links that fail under load */

#define CELLS   8       /* of a host in HOT; and one in BULK */

typedef struct Load {
    CxlfFabric *f;
    int host;
    /* Atomic. */
    unsigned started, done;     /* rounds */
    unsigned told;              /* events in the ring */
    bool *stop;
    GThread *thread;
} Load;

static uint64_t cell(int host, int n)
{
    return n < CELLS ? (host * CELLS + n) * CXLF_PAGE + n * CXLF_LINE :
           CLASS_SIZE + host * 64 * CXLF_PAGE;
}

/*
 * Each round a host stores its number in all its cells and finds it there,
 * and looks at its neighbour's: numbers that only grow, up to that of the
 * round in which the neighbour is.
 */
static void *run(void *opaque)
{
    Load *l = opaque;
    Load *other = l - l->host + (l->host + 1) % HOSTS;
    CxlfHost *h = l->f->h[l->host];
    CxlfRegion *r = &l->f->r[l->host];
    uint64_t seen[CELLS + 1] = { 0 };

    while (!qatomic_read(l->stop)) {
        unsigned round = l->done + 1;

        qatomic_set_mb(&l->started, round);
        for (int i = 0; i <= CELLS; i++) {
            cxlf_store(r, cell(l->host, i), round, 8);
        }
        for (int i = 0; i <= CELLS; i++) {
            uint64_t value = cxlf_load(r, cell(other->host, i), 8);

            g_assert_cmpuint(value, >=, seen[i]);
            g_assert_cmpuint(value, <=, qatomic_read(&other->started));
            seen[i] = value;
            g_assert_cmpuint(cxlf_load(r, cell(l->host, i), 8), ==, round);
        }
        qatomic_set(&l->told, qtest_readl(h->qts, h->eca + TAIL));
        qatomic_set_mb(&l->done, round);
    }
    return NULL;
}

/* Until each host has begun and ended a round. */
static void wait_round(Load *load)
{
    for (int i = 0; i < HOSTS; i++) {
        unsigned end = qatomic_read(&load[i].started) + 1;
        gint64 deadline = cxlf_deadline();

        while (qatomic_read(&load[i].done) < end) {
            cxlf_pause(deadline, "a round of a host");
        }
    }
}

static void wait_told(Load *load, unsigned events)
{
    for (int i = 0; i < HOSTS; i++) {
        gint64 deadline = cxlf_deadline();

        while (qatomic_read(&load[i].told) < events) {
            cxlf_pause(deadline, "an event of a link");
        }
    }
}

static int64_t both_ways(const Traffic *t, int link)
{
    return t->n[link][0] + t->n[link][1];
}

static void fail_and_return(CxlfFabric *f, Load *load, int link)
{
    gint64 deadline;
    Traffic before, after;
    unsigned told = qatomic_read(&load[0].told);

    cxlf_set_link(f->owner, link, -1, false);
    wait_round(load);           /* what was on the way has arrived */
    before = traffic(f);
    wait_round(load);
    after = traffic(f);
    g_assert_cmpint(both_ways(&after, link), ==, both_ways(&before, link));
    g_assert_cmpint(both_ways(&after, link ^ 1), >,
                    both_ways(&before, link ^ 1));
    wait_told(load, told + 1);

    cxlf_set_link(f->owner, link, -1, true);
    deadline = cxlf_deadline();
    do {
        cxlf_pause(deadline, "traffic on a link that returned");
        before = after;
        after = traffic(f);
    } while (both_ways(&after, link) == both_ways(&before, link));
    wait_told(load, told + 2);
}

static void test_load(void)
{
    CxlfFabric *f = start();
    CxlfEvents e[HOSTS];
    Load load[HOSTS] = { 0 };
    bool stop = false;

    for (int i = 0; i < HOSTS; i++) {
        e[i] = cxlf_events_on(f->h[i], 1u << LINK_EVENT);
        load[i] = (Load) { .f = f, .host = i, .stop = &stop };
    }
    for (int i = 0; i < HOSTS; i++) {
        load[i].thread = g_thread_new("load", run, &load[i]);
    }
    for (int link = 0; link < LINKS; link++) {
        fail_and_return(f, load, link);
    }
    qatomic_set(&stop, true);
    for (int i = 0; i < HOSTS; i++) {
        g_thread_join(load[i].thread);
    }
    for (int i = 0; i < HOSTS; i++) {
        for (int host = 0; host < HOSTS; host++) {
            for (int n = 0; n <= CELLS; n++) {
                g_assert_cmpuint(cxlf_load(&f->r[i], cell(host, n), 8), ==,
                                 load[host].done);
            }
        }
        for (int link = 0; link < LINKS; link++) {
            for (unsigned up = 0; up < 2; up++) {
                CxlfEvent event = cxlf_events_next(&e[i], LINK_EVENT);

                g_assert_cmpuint(event.data[0], ==, link);
                g_assert_cmphex(event.data[1], ==, !up);
                g_assert_cmphex(event.data[2], ==, up);
            }
        }
    }
    g_assert_cmpuint(cxlf_counters(f->owner, -1).n[CXLF_REFUSAL], ==, 0);
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/fabric-8/modes", test_modes);
    qtest_add_func("/cxlf/fabric-8/load", test_load);
    return g_test_run();
}
