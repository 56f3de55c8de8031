/*
 * Routing: nanoseconds of lookups, charges, resolutions and changes, and of a
 * Fabric Manager's commands on them
 *
 * Prints a line of JSON for each case: nanoseconds of an operation, and how
 * many times those of a plain load that misses the first cache, and of a hit
 * in the directory, both from the same round.  Rounds go through all cases in
 * turn; a figure is the median of its rounds.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <time.h>
#include "../sim/crawl.h"
#include "../unit/fabric.h"

#define HOSTS   1000
#define LEAVES  16
#define SPINES  4
#define BITS    12
#define ROUNDS  9

static Fabric f;
static Fixture directory;
static struct cxlf_fm fm;
static struct cxlf_route routes[1 << BITS];
static struct cxlf_route_cache cache = { .router = &f.r, .route = routes,
                                         .bits = BITS };
static uint64_t words[1 << 16];     /* 512 KiB */
static volatile uint64_t sink;

/* Destinations of host 0: the devices, homes, and some hosts */
static uint32_t destination(uint64_t i)
{
    return HOSTS - 40 + i % 60;
}

static void plain_load(uint64_t n)
{
    uint64_t at = 0;

    for (uint64_t i = 0; i < n; i++) {
        at = __atomic_load_n(&words[(at + i * 4099) % (1 << 16)],
                             __ATOMIC_RELAXED);
    }
    sink = at;
}

static void read_hit(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        cxlf_access(&directory.directory, 0, 0, i % 64 * CXLF_LINE,
                    CXLF_LOAD);
    }
}

static void cached_lookup(uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++) {
        sum += cxlf_route_get(&cache, 0, destination(i), i)->links;
    }
    sink = sum;
}

/* Of a route of 4 links */
static void charge(uint64_t n)
{
    struct cxlf_route route;
    uint64_t sum = 0;

    cxlf_route_resolve(&f.r, NULL, 0, 1, 0, &route);
    for (uint64_t i = 0; i < n; i++) {
        sum += cxlf_route_charge(f.count, &route, CXLF_FLOW_DRS, 64);
    }
    sink = sum;
}

static void lookup_and_charge(uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++) {
        sum += cxlf_route_charge(f.count, cxlf_route_get(&cache, 0,
                                                         destination(i), i),
                                 CXLF_FLOW_DRS, 64);
    }
    sink = sum;
}

static void resolution(uint64_t n)
{
    struct cxlf_route route;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++) {
        cxlf_route_resolve(&f.r, NULL, 0, destination(i), i, &route);
        sum += route.links;
    }
    sink = sum;
}

static void access_check(uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < n; i++) {
        sum += cxlf_may_access(&f.r, 0, i % HOSTS, i % 2 << 28);
    }
    sink = sum;
}

/* What the emulator asks for a trapped access: cxl_fabric_lane_ask() */
static void access_ways(uint64_t n)
{
    uint64_t no_gdt = cxlf_routes_generation(&f.r), sum = 0;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t dpa = i * 4160 % f.t.gfam[0].hot;
        struct cxlf_home home;
        uint32_t leaf;

        sum += cxlf_may_access(&f.r, 0, 0, dpa);
        sum += no_gdt == cxlf_routes_generation(&f.r);
        cxlf_topology_home(&f.t, CXLF_LINE_UNIT, 0, dpa, &home);
        leaf = f.g.pid_switch[home.leaf];
        sum += cxlf_route_get(&cache, 0, leaf, dpa / 64)->links +
               cxlf_route_get(&cache, leaf, f.g.pid_gfam[0], dpa / 64)->links +
               cxlf_route_get(&cache, f.g.pid_gfam[0], 0, dpa / 64)->links;
    }
    sink = sum;
}

/* A device of two users answers one: DevLoad, and the time of the request */
static void device_answer(uint64_t n)
{
    struct cxlf_qos *q = cxlf_counts_qos(f.count, &f.g, f.lanes);
    struct cxlf_qos_seen seen[2] = { 0 };
    struct cxlf_qos_view v = { .shared = q, .lanes = 2, .seen = seen };
    struct cxlf_qos_use *use = &q->use[0][0][0];
    uint64_t left = 0, sum = 0, want = 28500;

    q->asked[0] = 3;
    for (uint64_t i = 0; i < n; i++) {
        cxlf_link_add(&use->bytes, 96);
        cxlf_link_add(&use->busy_ps, 80000);
        cxlf_link_add(&use->want_ps, want);
        left -= left < want ? left : want;
        if (!left) {
            cxlf_qos_look(&v);
            left = cxlf_qos_window(&v);
        }
        cxlf_link_add(&use->time_ps, cxlf_qos_time(&v, 0, want));
        sum += cxlf_qos_dev_load(&v, 0);
    }
    sink = sum;
}

/* A change of one entry, and the first lookup that sees it */
static void table_change(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint16_t entry = CXLF_DRT(CXLF_DRT_PORT, i % SPINES);

        cxlf_routes_begin(&f.r);
        cxlf_drt_set(&f.r, 0, 1, 1, &entry);
        cxlf_routes_end(&f.r);
        sink = cxlf_route_get(&cache, 0, 1, 0)->links;
    }
}

/* All tables of all switches */
static void compute(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        cxlf_routes_begin(&f.r);
        cxlf_routes_compute(&f.r);
        cxlf_routes_end(&f.r);
    }
}

/* The same by Set DRT of one entry */
static void fm_change(uint64_t n)
{
    uint8_t in[8] = { 0, 0, 1, 0, 1, 0, CXLF_DRT_PORT }, out[16];
    struct cxlf_fm_who who = { .pid = CXLF_FM_PID_NONE };
    size_t got;

    for (uint64_t i = 0; i < n; i++) {
        in[7] = i % SPINES;
        g_assert_cmpint(cxlf_fm_command(&fm, &who, 0, 0x5709, in, sizeof(in),
                                        out, sizeof(out), &got), ==,
                        CXLF_CCI_SUCCESS);
        sink = cxlf_route_get(&cache, 0, 1, 0)->links;
    }
}

/* A command that changes nothing: Get Physical Port State of a port */
static void fm_get(uint64_t n)
{
    uint8_t in[2] = { 1, 0 }, out[32];
    struct cxlf_fm_who who = { .pid = CXLF_FM_PID_NONE };
    size_t got;

    for (uint64_t i = 0; i < n; i++) {
        g_assert_cmpint(cxlf_fm_command(&fm, &who, 0, 0x5101, in, sizeof(in),
                                        out, sizeof(out), &got), ==,
                        CXLF_CCI_SUCCESS);
    }
}

/* Of all PIDs, through the tables */
static void fm_crawl(uint64_t n)
{
    static Crawl found;
    const char *why;

    for (uint64_t i = 0; i < n; i++) {
        if (!crawl(&fm, &found, &why)) {
            g_error("%s", why);
        }
        g_assert_cmpuint(found.pids, ==, HOSTS + 1 + LEAVES + SPINES);
    }
}

static bool set_drt(void *opaque, unsigned component, unsigned drt,
                    unsigned pid, unsigned n, const uint8_t *entry)
{
    struct cxlf_router *r = opaque;
    uint16_t word = entry[0] | entry[1] << 8;
    bool ok;

    cxlf_routes_begin(r);
    ok = drt == 0 && n == 1 && cxlf_drt_set(r, component, pid, 1, &word);
    cxlf_routes_end(r);
    return ok;
}

static void unbound(void *opaque, const struct cxlf_fm_binding *binding,
                    uint64_t token)
{
    g_error("%p %p %lu", opaque, (void *)binding, (unsigned long)token);
}

static void unerased(void *opaque, const struct cxlf_fm_memory *memory,
                     uint64_t token)
{
    g_error("%p %p %lu", opaque, (void *)memory, (unsigned long)token);
}

static void event(void *opaque, const struct cxlf_fm_event *e)
{
    g_error("%p %p", opaque, (void *)e);
}

static void make_fm(void)
{
    static const struct cxlf_fm_ops ops = {
        .bind = unbound, .unbind = unbound, .erase = unerased,
        .event = event, .drt_get = cxlf_fm_router_drt_get,
        .rgt_get = cxlf_fm_router_rgt_get,
        .port_up = cxlf_fm_router_port_up, .drt_set = set_drt,
    };

    g_assert_true(cxlf_fm_init(&fm, &ops, &f.r));
    g_assert_cmpint(cxlf_fm_add_graph(&fm, &f.t, &f.g, 0), ==,
                    LEAVES + SPINES);
}

/* Of each round 1/@less of the operations; the first two are measures. */
static const struct {
    const char *name;
    void (*run)(uint64_t n);
    unsigned less;
} cases[] = {
    { "plain-load", plain_load, 1 },
    { "directory-read-hit", read_hit, 1 },
    { "cached-lookup", cached_lookup, 1 },
    { "charge-4-links", charge, 1 },
    { "lookup-and-charge", lookup_and_charge, 1 },
    { "access-check", access_check, 1 },
    { "access-ways", access_ways, 1 },
    { "device-answer", device_answer, 1 },
    { "resolution", resolution, 10 },
    { "change-and-lookup", table_change, 10 },
    { "compute-all-tables", compute, 100000 },
    { "fm-get-port-state", fm_get, 10 },
    { "fm-set-drt-and-lookup", fm_change, 10 },
    { "fm-crawl-1021", fm_crawl, 100000 },
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *value)
{
    qsort(value, ROUNDS, sizeof(*value), by_size);
    return value[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : 2000000;
    double ns[G_N_ELEMENTS(cases)][ROUNDS], loads[ROUNDS], hits[ROUNDS];

    if (operations == 0 || argc > 2) {
        fprintf(stderr, "usage: %s [OPERATIONS]\n"
                "OPERATIONS of each case and round (default 2000000)\n",
                argv[0]);
        return 2;
    }
    fabric_default(&f, HOSTS, LEAVES, SPINES);
    make_fm();
    fixture_init(&directory, fixture_topology(8, 1, 1, 1));
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
            uint64_t n = operations / cases[i].less + 1;
            struct timespec start, end;

            clock_gettime(CLOCK_MONOTONIC, &start);
            cases[i].run(n);
            clock_gettime(CLOCK_MONOTONIC, &end);
            ns[i][round] = ((end.tv_sec - start.tv_sec) * 1e9 +
                            (end.tv_nsec - start.tv_nsec)) / n;
        }
    }
    /* The measures come last: a median sorts its rounds. */
    for (size_t i = G_N_ELEMENTS(cases); i-- > 0;) {
        for (int round = 0; round < ROUNDS; round++) {
            loads[round] = ns[i][round] / ns[0][round];
            hits[round] = ns[i][round] / ns[1][round];
        }
        printf("{\"case\":\"%s\",\"ns\":%.1f,\"loads\":%.2f,"
               "\"directory-hits\":%.2f}\n", cases[i].name,
               median(ns[i]), median(loads), median(hits));
    }
    fixture_done(&directory);
    fabric_done(&f);
    return 0;
}
