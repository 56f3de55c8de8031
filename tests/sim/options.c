/*
 * Options of a run
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cxlf/abi.h"
#include "options.h"
#include "rng.h"

const char *const workload_name[WORKLOADS + 1] = {
    "lock", "barrier", "queue-pair", "producer", "read-mostly", "migratory",
    "false-sharing", "uniform", "zipf", "mix",
};
const char *const break_name[BREAKS] = {
    "nothing", "skip-zap", "early-answer", "no-log", "no-snoop",
    "no-writeback", "no-death", "early-snoop", "no-quiescence",
    "no-poison-list",
};
static const char *const policy_name[] = { "kept", "poisoned" };

typedef enum Kind { NUMBER, REAL, FLAG, CHOICE, TEXT, SEEDS } Kind;

typedef struct Spec {
    const char *name;
    Kind kind;
    size_t offset;
    double min, max;                    /* of a CHOICE: how many there are */
    const char *const *choices;
    bool hidden;                        /* no part of what is reproduced */
    const char *help;
} Spec;

#define AT(field) offsetof(Options, field)
#define N(name, field, min, max, help) \
    { name, NUMBER, AT(field), min, max, NULL, false, help }
#define P(name, field, help) \
    { name, REAL, AT(field), 0, 1, NULL, false, help }

static const Spec specs[] = {
    N("hosts", hosts, 2, CXLF_MAX_HOSTS, "hosts"),
    N("leaves", leaves, 1, CXLF_MAX_LEAVES, "leaf switches"),
    N("spines", spines, 1, 64, "spine switches"),
    N("paths", paths, 1, 4, "parallel links from each leaf to each spine"),
    N("shards", shards, 1, CXLF_MAX_SHARDS, "directory shards of a leaf"),
    N("gfams", gfams, 1, CXLF_MAX_GFAMS, "GFAM devices"),
    N("grain", grain, CXLF_LINE, CXLF_PAGE,
      "bytes that an entry for lines covers, a power of two"),
    N("line-entries", line_entries, 0, 1 << 20,
      "entries for lines of a shard; 0: one for each line"),
    N("ways", ways, CXLF_MIN_WAYS, CXLF_MAX_WAYS,
      "ways of a set of a finite directory"),
    { "tiers", FLAG, AT(tiers), 0, 0, NULL, false,
      "HOT and BULK are tracked by pages or by lines, as they are used" },
    N("hot-pages", hot_pages, 1, 65536, "pages of HOT that are used"),
    N("bulk-pages", bulk_pages, 0, 65536, "pages of BULK that are used"),
    N("cache", cache, 8, 4096, "lines that a host keeps at most"),
    N("log-slots", log_slots, 64, 65536,
      "slots of a host's ownership log, a power of two"),
    N("device-ns", device_ns, 1, 100000,
      "round trip to a device without a switch"),
    N("switch-ns", switch_ns, 0, 100000, "one way through a switch"),
    N("retimer-ns", retimer_ns, 0, 100000, "one way through a retimer"),
    N("retimers", retimers, 0, 8, "retimers of each link"),
    N("think-ns", think_ns, 0, 1000000,
      "mean time between a host's accesses"),
    N("patience-ns", patience_ns, 100, 1000000,
      "until an agent looks again by itself"),
    N("seed", seed, 0, 9007199254740992.0, "reproduces the run"),
    N("ops", ops, 1, 1e12, "accesses of all hosts"),
    { "workload", CHOICE, AT(workload), 0, WORKLOADS + 1, workload_name,
      false, "what hosts do" },
    P("bulk", bulk, "share of uniform and zipf accesses that go to BULK"),
    P("evict", evict, "chance of giving a unit up after an access"),
    P("demote", demote, "chance of recalling or promoting after an access"),
    P("split", split, "chance that a line's access is made in small steps"),
    P("drop", drop, "chance that a message is lost"),
    P("dup", dup, "chance that a message comes twice"),
    P("delay", delay, "chance that a message is late, so others overtake"),
    P("stray", stray,
      "chance of an event that must change nothing, or of a withdrawal"),
    N("crash-hosts", crash_hosts, 0, 1000000, "crashes of hosts"),
    N("crash-leaves", crash_leaves, 0, 1000000, "failures of leaves"),
    N("partition", partitions, 0, 1000000, "failures of links"),
    { "policy", CHOICE, AT(poison), 0, 2, policy_name, false,
      "of what a dead host had modified" },
    N("check-every", check_every, 0, 1e12,
      "check all units after so many events; 0: at the end"),
    { "break", CHOICE, AT(breaks), 0, BREAKS, break_name, false,
      "put an error into the simulated agents, which must be caught" },
    { "topology", TEXT, AT(topology), 0, 0, NULL, false,
      "a device tree blob (docs/topology.md) with the hosts, switches, links "
      "and directory" },
    { "crawl", FLAG, AT(crawl), 0, 0, NULL, true,
      "find all PIDs by a Fabric Manager's commands, and nothing else" },
    { "mutate", TEXT, AT(mutation), 0, 0, NULL, false,
      "STATE,RELATION,EVENT,FIELD,VALUE: corrupt a cell of the table" },
    { "random", FLAG, AT(random), 0, 0, NULL, false,
      "draw all that is not given from the seed" },
    { "seeds", SEEDS, AT(seeds_first), 0, 0, NULL, true,
      "FIRST:COUNT: one run after the other" },
    { "stop", FLAG, AT(stop), 0, 0, NULL, true,
      "end at the first seed that fails" },
    { "json", TEXT, AT(json), 0, 0, NULL, true, "write the report there" },
    { "coverage", TEXT, AT(coverage), 0, 0, NULL, true,
      "write the cells that all seeds reached there" },
    { "quiet", FLAG, AT(quiet), 0, 0, NULL, true, "no progress" },
};
enum { SPECS = sizeof(specs) / sizeof(specs[0]) };

static bool given[SPECS];

static uint64_t *number_at(const Options *o, const Spec *s)
{
    return (uint64_t *)((char *)o + s->offset);
}

static double *real_at(const Options *o, const Spec *s)
{
    return (double *)((char *)o + s->offset);
}

static bool *flag_at(const Options *o, const Spec *s)
{
    return (bool *)((char *)o + s->offset);
}

static const char **text_at(const Options *o, const Spec *s)
{
    return (const char **)((char *)o + s->offset);
}

/* The policy is a flag with two names. */
static void set_choice(Options *o, const Spec *s, unsigned value)
{
    if (s->choices == policy_name) {
        *flag_at(o, s) = value;
    } else {
        *number_at(o, s) = value;
    }
}

static unsigned get_choice(const Options *o, const Spec *s)
{
    return s->choices == policy_name ? *flag_at(o, s) : *number_at(o, s);
}

static void list_choices(FILE *file, const Spec *s)
{
    for (unsigned i = 0; i < s->max; i++) {
        fprintf(file, "%s%s", i ? ", " : "", s->choices[i]);
    }
}

static void usage(void)
{
    printf("usage: cxlf-sim [--OPTION VALUE]...\n\nSimulates hosts, switches "
           "and agents around the shipping protocol core, and\nchecks every "
           "value that a host reads and every entry that changes.\n\n");
    for (const Spec *s = specs; s < specs + SPECS; s++) {
        printf("  --%-14s %s", s->name, s->help);
        if (s->kind == CHOICE) {
            printf(": ");
            list_choices(stdout, s);
        } else if (s->kind == NUMBER) {
            printf(" (%.0f to %.0f)", s->min, s->max);
        }
        putchar('\n');
    }
}

static int wrong(const Spec *s, const char *value)
{
    fprintf(stderr, "cxlf-sim: --%s %s: ", s->name, value ? value : "");
    if (s->kind == NUMBER || s->kind == REAL) {
        fprintf(stderr, "must be %s from %.0f to %.0f\n",
                s->kind == REAL ? "a number" : "a whole number", s->min,
                s->max);
    } else if (s->kind == CHOICE) {
        fprintf(stderr, "must be one of ");
        list_choices(stderr, s);
        fputc('\n', stderr);
    } else {
        fprintf(stderr, "needs a value: %s\n", s->help);
    }
    return 2;
}

static bool set_number(Options *o, const Spec *s, const char *value)
{
    char *end;
    double real = strtod(value, &end);

    if (end == value || *end || real < s->min || real > s->max) {
        return false;
    }
    if (s->kind == REAL) {
        *real_at(o, s) = real;
        return true;
    }
    errno = 0;
    *number_at(o, s) = strtoull(value, &end, 10);
    return !*end && !errno;
}

static bool set_option(Options *o, const Spec *s, const char *value)
{
    char extra;

    switch (s->kind) {
    case NUMBER:
    case REAL:
        return set_number(o, s, value);
    case CHOICE:
        for (unsigned i = 0; i < s->max; i++) {
            if (!strcmp(value, s->choices[i])) {
                set_choice(o, s, i);
                return true;
            }
        }
        return false;
    case SEEDS:
        return sscanf(value, "%lu:%lu%c", &o->seeds_first, &o->seeds_count,
                      &extra) == 2 && o->seeds_count > 0;
    default:
        *text_at(o, s) = value;
        return *value != '\0';
    }
}

static void set_defaults(Options *o)
{
    *o = (Options) {
        .hosts = 16, .leaves = 4, .spines = 2, .paths = 1, .shards = 1,
        .gfams = 1, .grain = CXLF_LINE, .ways = 8, .hot_pages = 32,
        .bulk_pages = 32, .cache = 256, .log_slots = 256, .device_ns = 240,
        .switch_ns = 180, .retimer_ns = 10, .retimers = 0, .think_ns = 100,
        .patience_ns = 8000, .seed = 1, .ops = 1000000, .workload = MIX,
        .bulk = 0.1, .evict = 0.005,
    };
}

int options_parse(Options *o, int argc, char **argv)
{
    set_defaults(o);
    for (int i = 1; i < argc; i++) {
        const Spec *s = specs;

        if (!strcmp(argv[i], "--help")) {
            usage();
            return 0;
        }
        while (s < specs + SPECS && (strncmp(argv[i], "--", 2) ||
                                     strcmp(argv[i] + 2, s->name))) {
            s++;
        }
        if (s == specs + SPECS) {
            fprintf(stderr, "usage: cxlf-sim [--OPTION VALUE]...\n"
                    "cxlf-sim: '%s' is no option; --help (of "
                    "scripts/simulate: --options) lists them\n", argv[i]);
            return 2;
        }
        given[s - specs] = true;
        if (s->kind == FLAG) {
            *flag_at(o, s) = true;
        } else if (i + 1 == argc) {
            return wrong(s, NULL);
        } else if (!set_option(o, s, argv[++i])) {
            return wrong(s, argv[i]);
        }
    }
    return -1;
}

bool options_check(const Options *o, const char **why)
{
    *why = NULL;
    if (o->grain & (o->grain - 1)) {
        *why = "--grain must be a power of two from 64 to 4096";
    } else if (o->line_entries % o->ways) {
        *why = "--line-entries must be a multiple of --ways";
    } else if (o->log_slots & (o->log_slots - 1)) {
        *why = "--log-slots must be a power of two from 64 to 65536";
    } else if (o->tiers && !o->line_entries && o->gfams > 1) {
        *why = "--tiers with more than one of --gfams needs --line-entries, "
               "so that a page and its lines have one home";
    } else if (o->drop + o->dup > 0.9) {
        *why = "--drop and --dup together must be at most 0.9";
    }
    return *why == NULL;
}

static bool is_given(const char *name)
{
    for (unsigned i = 0; i < SPECS; i++) {
        if (!strcmp(specs[i].name, name)) {
            return given[i];
        }
    }
    return false;
}

const char *options_shape(void)
{
    static const char *const names[] = {
        "hosts", "leaves", "spines", "paths", "shards", "gfams", "grain",
        "line-entries", "ways", "tiers", "switch-ns", "retimers",
        "retimer-ns", "random", "seeds",
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (is_given(names[i])) {
            return names[i];
        }
    }
    return NULL;
}

static void draw(const char *name, uint64_t *at, uint64_t value)
{
    if (!is_given(name)) {
        *at = value;
    }
}

static void draw_real(Rng *r, const char *name, double *at, double max)
{
    /* Half of the runs do without. */
    double value = rng_below(r, 2) ? max * rng_below(r, 1000) / 1000 : 0;

    if (!is_given(name)) {
        *at = value;
    }
}

static void draw_shape(Options *o, Rng *r)
{
    uint32_t size = rng_below(r, 100);
    uint64_t hosts = size < 70 ? 2 + rng_below(r, 20) :
                     size < 90 ? 20 + rng_below(r, 60) :
                     size < 98 ? 63 + rng_below(r, 80) :
                                 140 + rng_below(r, 300);
    bool finite = rng_below(r, 2), tiers = rng_below(r, 2);
    static const uint16_t grains[] = { 64, 64, 64, 128, 256, 1024, 4096 };

    draw("hosts", &o->hosts, hosts);
    draw("leaves", &o->leaves, 1 + rng_below(r, 6));
    draw("spines", &o->spines, 1 + rng_below(r, 4));
    draw("paths", &o->paths, 1 + rng_below(r, 2));
    draw("shards", &o->shards, 1 + rng_below(r, 3));
    draw("grain", &o->grain, grains[rng_below(r, 7)]);
    draw("ways", &o->ways, 2 + rng_below(r, 7));
    draw("line-entries", &o->line_entries,
         finite ? o->ways * (1 + rng_below(r, 24)) : 0);
    o->tiers = is_given("tiers") || tiers;
    draw("gfams", &o->gfams, 1 + rng_below(r, 3));
    if (o->tiers && !o->line_entries) {
        draw("gfams", &o->gfams, 1);
    }
    draw("hot-pages", &o->hot_pages, 1 + rng_below(r, 24));
    draw("bulk-pages", &o->bulk_pages, rng_below(r, 24));
    draw("cache", &o->cache, 8 + rng_below(r, 64));
    draw("log-slots", &o->log_slots, 64);
}

void options_random(Options *o)
{
    Rng r;

    rng_seed(&r, o->seed ^ 0x6f7074696f6e73ull);
    draw_shape(o, &r);
    draw("retimers", &o->retimers, rng_below(&r, 3));
    draw("think-ns", &o->think_ns, rng_below(&r, 2000));
    draw("patience-ns", &o->patience_ns, 2000 + rng_below(&r, 20000));
    draw("ops", &o->ops, 1500 + rng_below(&r, 4000));
    draw("workload", &o->workload, rng_below(&r, WORKLOADS + 3));
    if (o->workload > MIX) {
        o->workload = MIX;
    }
    draw_real(&r, "bulk", &o->bulk, 0.8);
    draw_real(&r, "evict", &o->evict, 0.1);
    draw_real(&r, "demote", &o->demote, 0.05);
    draw_real(&r, "split", &o->split, 1);
    draw_real(&r, "drop", &o->drop, 0.2);
    draw_real(&r, "dup", &o->dup, 0.2);
    draw_real(&r, "delay", &o->delay, 0.3);
    draw_real(&r, "stray", &o->stray, 0.3);
    draw("crash-hosts", &o->crash_hosts, rng_below(&r, 2) *
         rng_below(&r, 8));
    draw("crash-leaves", &o->crash_leaves, rng_below(&r, 2) *
         rng_below(&r, 4));
    draw("partition", &o->partitions, rng_below(&r, 2) * rng_below(&r, 6));
    if (!is_given("policy")) {
        o->poison = rng_below(&r, 2);
    }
    draw("check-every", &o->check_every, 2000 + rng_below(&r, 4000));
}

void options_print(const Options *o, char *text, size_t size)
{
    size_t used = snprintf(text, size, "scripts/simulate --seed %lu",
                           o->seed);

    for (unsigned i = 0; i < SPECS && used < size; i++) {
        const Spec *s = &specs[i];

        if (!given[i] || s->hidden || s->offset == AT(seed)) {
            continue;
        }
        used += snprintf(text + used, size - used, " --%s", s->name);
        if (used >= size || s->kind == FLAG) {
            continue;
        }
        if (s->kind == NUMBER) {
            used += snprintf(text + used, size - used, " %lu",
                             *number_at(o, s));
        } else if (s->kind == REAL) {
            used += snprintf(text + used, size - used, " %g",
                             *real_at(o, s));
        } else {
            used += snprintf(text + used, size - used, " %s",
                             s->kind == CHOICE ?
                             s->choices[get_choice(o, s)] : *text_at(o, s));
        }
    }
}

void options_json(const Options *o, void *file)
{
    bool first = true;

    for (const Spec *s = specs; s < specs + SPECS; s++) {
        if (s->hidden || s->kind == TEXT) {
            continue;
        }
        fprintf(file, "%s  \"%s\": ", first ? "" : ",\n", s->name);
        first = false;
        if (s->kind == NUMBER) {
            fprintf(file, "%lu", *number_at(o, s));
        } else if (s->kind == REAL) {
            fprintf(file, "%g", *real_at(o, s));
        } else if (s->kind == FLAG) {
            fprintf(file, "%s", *flag_at(o, s) ? "true" : "false");
        } else {
            fprintf(file, "\"%s\"", s->choices[get_choice(o, s)]);
        }
    }
}
