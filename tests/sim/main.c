/*
 * The simulator's command: one run, or one for each of many seeds
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <time.h>
#include "sim.h"

static Sim sim;
static Coverage covered[CXLF_UNITS];

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void merge_coverage(void)
{
    for (unsigned k = 0; k < CXLF_UNITS; k++) {
        uint64_t *to = &covered[k][0][0][0], *from = &sim.covered[k][0][0][0];

        for (unsigned i = 0; i < CXLF_STATES * CXLF_RELATIONS * CXLF_EVENTS;
             i++) {
            to[i] += from[i];
        }
    }
}

/* One run; returns whether it broke nothing. */
static bool run(Options o)
{
    double start, cpu;
    const char *why;
    bool ok;

    if (o.random) {
        options_random(&o);
    }
    if (!options_check(&o, &why)) {
        fprintf(stderr, "cxlf-sim: %s\n", why);
        return false;
    }
    start = seconds_of(CLOCK_MONOTONIC);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    ok = sim_run(&sim, &o);
    merge_coverage();
    if (o.json && !report_json(&sim, seconds_of(CLOCK_MONOTONIC) - start,
                               seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu)) {
        fprintf(stderr, "cxlf-sim: --json %s: cannot be written\n", o.json);
        ok = false;
    }
    return ok;
}

static bool run_seeds(const Options *o)
{
    uint64_t failed = 0, events = 0, list[16], shown = 0;
    double start = seconds_of(CLOCK_MONOTONIC), last = 0;

    for (uint64_t i = 0; i < o->seeds_count && !(failed && o->stop); i++) {
        Options one = *o;

        one.seed = o->seeds_first + i;
        one.quiet = true;
        one.json = NULL;
        if (!run(one)) {
            if (failed < 16) {
                list[shown++] = one.seed;
            }
            failed++;
        }
        events += sim.stats.events;
        sim_free(&sim);
        if (!o->quiet && seconds_of(CLOCK_MONOTONIC) - start - last >= 2) {
            last = seconds_of(CLOCK_MONOTONIC) - start;
            fprintf(stderr, "%lu of %lu seeds, %lu failed, %.2f million "
                    "events, %.2f million a second\n", i + 1,
                    o->seeds_count, failed, events / 1e6,
                    events / last / 1e6);
        }
    }
    printf("%lu seeds, %lu events, %.1f s, %lu failed%s", o->seeds_count,
           events, seconds_of(CLOCK_MONOTONIC) - start, failed,
           failed ? ":" : "\n");
    for (uint64_t i = 0; i < shown; i++) {
        printf(" %lu%s", list[i], i + 1 < shown ? "," :
               failed > shown ? ", ...\n" : "\n");
    }
    return !failed;
}

int main(int argc, char **argv)
{
    Options o;
    int status = options_parse(&o, argc, argv);
    const char *why;
    bool ok;

    if (status >= 0) {
        return status;
    }
    if (o.mutation && !mutate(o.mutation)) {
        fprintf(stderr, "cxlf-sim: --mutate %s: must be STATE,RELATION,"
                "EVENT,FIELD,VALUE, all of them names, for instance "
                "S,stranger,Own,without,inv\n", o.mutation);
        return 2;
    }
    if (o.topology && options_shape()) {
        fprintf(stderr, "cxlf-sim: --%s and --topology exclude each other\n",
                options_shape());
        return 2;
    }
    if (o.topology && !ways_read(&o, &why)) {
        fprintf(stderr, "cxlf-sim: --topology %s: %s\n", o.topology, why);
        return 2;
    }
    if (o.crawl) {
        ok = ways_crawl(&o, &why);
        if (!ok) {
            fprintf(stderr, "cxlf-sim: --crawl: %s\n", why);
        }
        return ok ? 0 : 1;
    }
    if (o.seeds_count) {
        ok = run_seeds(&o);
    } else {
        ok = run(o);
        if (ok && !o.quiet) {
            printf("seed %lu: %lu accesses, %lu events, %.3f ms simulated, "
                   "nothing broken\n", o.seed, sim.stats.accesses,
                   sim.stats.events, sim.now / 1e6);
        }
        sim_free(&sim);
    }
    if (o.coverage && !report_coverage(o.coverage,
                                       (const Coverage *)covered)) {
        fprintf(stderr, "cxlf-sim: --coverage %s: cannot be written\n",
                o.coverage);
        return 2;
    }
    return ok ? 0 : 1;
}
