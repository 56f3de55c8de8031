/*
 * Results: latencies, counters, links and coverage, as JSON
 *
 * All but the object "wall" is the same whenever seed and options are.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/resource.h>
#include "sim.h"

static const char *const class_name[CLASSES] = {
    "line-hit", "line-own-leaf", "line-remote", "line-snooped", "page-hit",
    "page-fault", "retried",
};

/* Eight buckets for each power of two. */
static unsigned bucket_of(uint64_t ns)
{
    unsigned top;

    if (ns < 8) {
        return ns;
    }
    top = 63 - __builtin_clzll(ns);
    return (top - 2) * 8 + (ns >> (top - 3) & 7);
}

static uint64_t bucket_start(unsigned bucket)
{
    return bucket < 8 ? bucket : (8ull + bucket % 8) << (bucket / 8 - 1);
}

void report_latency(Stats *st, unsigned class, uint64_t ns)
{
    unsigned bucket = bucket_of(ns);

    st->latency[class][bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    st->latency_sum[class] += ns;
    st->latency_count[class]++;
    st->accesses++;
}

uint64_t report_peak_memory(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) ? 0 : usage.ru_maxrss * 1024ull;
}

void report_add_counters(Sim *s, unsigned leaf)
{
    uint64_t sum[CXLF_COUNTERS];

    cxlf_read_counters(&s->d, leaf, -1, -1, sum);
    for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
        s->stats.counters[i] += sum[i];
    }
}

static uint64_t percentile(const Stats *st, unsigned class, double part)
{
    uint64_t want = st->latency_count[class] * part, seen = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += st->latency[class][i];
        if (seen > want) {
            return bucket_start(i);
        }
    }
    return 0;
}

static void print_latency(FILE *f, const Stats *st)
{
    bool first = true;

    fprintf(f, " \"latency-ns\": {");
    for (unsigned c = 0; c < CLASSES; c++) {
        bool begun = false;

        if (!st->latency_count[c]) {
            continue;
        }
        fprintf(f, "%s\n  \"%s\": {\"count\": %lu, \"mean\": %.1f, "
                "\"p50\": %lu, \"p90\": %lu, \"p99\": %lu, \"p99.9\": %lu,"
                "\n   \"buckets\": [", first ? "" : ",", class_name[c],
                st->latency_count[c], (double)st->latency_sum[c] /
                st->latency_count[c], percentile(st, c, 0.5),
                percentile(st, c, 0.9), percentile(st, c, 0.99),
                percentile(st, c, 0.999));
        first = false;
        for (unsigned i = 0; i < BUCKETS; i++) {
            if (st->latency[c][i]) {
                fprintf(f, "%s[%lu, %lu]", begun ? ", " : "",
                        bucket_start(i), st->latency[c][i]);
                begun = true;
            }
        }
        fprintf(f, "]}");
    }
    fprintf(f, "\n },\n");
}

static void print_links(FILE *f, Sim *s, const char *name, uint64_t first,
                        uint64_t count)
{
    uint64_t least = UINT64_MAX, most = 0, sum = 0, bytes = 0;

    for (uint64_t i = first; i < first + count; i++) {
        const Link *l = network_link(s, i);
        uint64_t n = l->messages[0] + l->messages[1];

        least = n < least ? n : least;
        most = n > most ? n : most;
        sum += n;
        bytes += l->bytes[0] + l->bytes[1];
    }
    fprintf(f, " \"%s\": {\"links\": %lu, \"messages\": %lu, \"bytes\": %lu, "
            "\"least\": %lu, \"most\": %lu, \"mean\": %.1f},\n", name, count,
            sum, bytes, count ? least : 0, most,
            count ? (double)sum / count : 0);
}

static void print_stats(FILE *f, const Stats *st)
{
    const struct {
        const char *name;
        uint64_t value;
    } list[] = {
        { "snoops", st->snoops }, { "spurious-snoops", st->spurious },
        { "snoops-for-another-line", st->elsewhere },
        { "victims", st->victims }, { "page-faults", st->faults },
        { "messages", st->messages }, { "bytes", st->bytes },
        { "messages-lost", st->lost }, { "messages-doubled", st->doubled },
        { "messages-late", st->delayed },
        { "messages-without-a-path", st->unroutable },
        { "host-crashes", st->crashes },
        { "host-recoveries", st->recoveries },
        { "host-rejoins", st->rejoins },
        { "leaf-failures", st->leaf_failures },
        { "pages-rebuilt", st->rebuilt },
        { "link-failures", st->partitions },
        { "units-poisoned", st->poisoned },
        { "poison-returned", st->poison_returned },
        { "units-cleared", st->cleared },
        { "withheld", st->withheld }, { "again", st->again },
        { "epochs-advanced", st->advances },
        { "atomics-restarted", st->atomic_retries },
        { "locks-taken", st->locks }, { "barriers-passed", st->barriers },
        { "items-through-queues", st->items },
        { "stray-events", st->strays },
        { "requests-withdrawn", st->withdrawn },
        { "checks-of-entries", st->checks },
    };

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        fprintf(f, " \"%s\": %lu,\n", list[i].name, list[i].value);
    }
}

static void print_counters(FILE *f, Sim *s)
{
    uint64_t sum[CXLF_COUNTERS];

    cxlf_read_counters(&s->d, -1, -1, -1, sum);
    fprintf(f, " \"counters\": {");
    for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
        fprintf(f, "%s\n  \"%s\": %lu", i ? "," : "", cxlf_counter_name[i],
                sum[i] + s->stats.counters[i]);
    }
    fprintf(f, "\n },\n");
}

static void print_coverage(FILE *f, const Coverage *covered)
{
    static const char *const kinds[CXLF_UNITS] = { "line", "page" };
    bool first = true;

    fprintf(f, " \"coverage\": [");
    for (unsigned k = 0; k < CXLF_UNITS; k++) {
        for (unsigned i = 0; i < CXLF_STATES * CXLF_RELATIONS * CXLF_EVENTS;
             i++) {
            unsigned e = i % CXLF_EVENTS;
            unsigned r = i / CXLF_EVENTS % CXLF_RELATIONS;
            unsigned state = i / CXLF_EVENTS / CXLF_RELATIONS;

            if (covered[k][state][r][e]) {
                fprintf(f, "%s\n  [\"%s\", \"%s\", \"%s\", \"%s\", %lu]",
                        first ? "" : ",", kinds[k], cxlf_state_name[state],
                        relation_names[r], cxlf_event_name[e],
                        covered[k][state][r][e]);
                first = false;
            }
        }
    }
    fprintf(f, "\n ]\n");
}

bool report_coverage(const char *path, const Coverage *covered)
{
    FILE *f = fopen(path, "w");
    bool first = true;

    if (!f) {
        return false;
    }
    fprintf(f, "{\n \"defined\": [");
    for (unsigned i = 0; i < CXLF_STATES * CXLF_RELATIONS * CXLF_EVENTS;
         i++) {
        unsigned e = i % CXLF_EVENTS;
        unsigned r = i / CXLF_EVENTS % CXLF_RELATIONS;
        unsigned state = i / CXLF_EVENTS / CXLF_RELATIONS;

        if (cxlf_table[state][r][e].actions & CXLF_A_DEFINED) {
            fprintf(f, "%s\n  [\"%s\", \"%s\", \"%s\"]", first ? "" : ",",
                    cxlf_state_name[state], relation_names[r],
                    cxlf_event_name[e]);
            first = false;
        }
    }
    fprintf(f, "\n ],\n");
    print_coverage(f, covered);
    fprintf(f, "}\n");
    return !fclose(f);
}

bool report_json(Sim *s, double seconds, double cpu)
{
    FILE *f = strcmp(s->o.json, "-") ? fopen(s->o.json, "w") : stdout;
    const Stats *st = &s->stats;
    bool ok;

    if (!f) {
        return false;
    }
    fprintf(f, "{\n \"configuration\": {\n");
    options_json(&s->o, f);
    fprintf(f, "\n },\n \"broken\": \"%s\",\n \"simulated-ns\": %lu,\n"
            " \"events\": %lu,\n \"accesses\": %lu,\n \"drained-ns\": %lu,\n",
            s->why, s->now, st->events, st->accesses, st->drained_ns);
    print_latency(f, st);
    print_stats(f, st);
    print_counters(f, s);
    print_links(f, s, "host-links", 0, s->o.hosts);
    print_links(f, s, "leaf-links", s->o.hosts,
                network_links(s) - s->o.hosts);
    fprintf(f, " \"oracle-copies\": %lu,\n", s->truth.copies);
    fprintf(f, " \"wall\": {\"seconds\": %.3f, \"cpu-seconds\": %.3f, "
            "\"events-per-cpu-second\": %.0f, \"peak-memory\": %lu},\n",
            seconds, cpu, cpu > 0 ? st->events / cpu : 0,
            report_peak_memory());
    print_coverage(f, (const Coverage *)s->covered);
    fprintf(f, "}\n");
    ok = !ferror(f);
    return f == stdout ? ok : !fclose(f) && ok;
}
