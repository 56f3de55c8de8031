/*
 * Options of a run: what is simulated
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_SIM_OPTIONS_H
#define TESTS_SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Workload {
    LOCK, BARRIER, QUEUE_PAIR, PRODUCER, READ_MOSTLY, MIGRATORY,
    FALSE_SHARING, UNIFORM, ZIPF, WORKLOADS,
    MIX = WORKLOADS,
} Workload;

extern const char *const workload_name[WORKLOADS + 1];

/* Errors that are put into the simulator's own part, to see them caught. */
typedef enum Break {
    BREAK_NOTHING, SKIP_ZAP, EARLY_ANSWER, NO_LOG, NO_SNOOP, NO_WRITEBACK,
    NO_DEATH, EARLY_SNOOP, NO_QUIESCENCE, NO_POISON_LIST,
    BREAKS,
} Break;

extern const char *const break_name[BREAKS];

typedef struct Options {
    /* Topology */
    uint64_t hosts, leaves, spines, paths, shards, gfams;
    uint64_t grain, line_entries, ways;
    bool tiers;
    uint64_t hot_pages, bulk_pages;     /* that the workload uses */
    uint64_t cache;             /* lines that a host keeps at most */
    uint64_t log_slots;
    /* Time, in ns */
    uint64_t device_ns, switch_ns, retimer_ns, retimers, think_ns;
    uint64_t patience_ns;
    /* Work */
    uint64_t seed, ops, workload;
    double bulk, evict, demote, split;
    /* Faults: probabilities of a message, and how many in the run */
    double drop, dup, delay, stray;
    uint64_t crash_hosts, crash_leaves, partitions;
    bool poison;
    /* The run itself */
    uint64_t check_every;
    uint64_t breaks;            /* enum Break */
    bool random, quiet, stop;
    uint64_t seeds_first, seeds_count;
    const char *json, *coverage, *mutation;
    const char *topology;       /* a device tree blob; NULL: by the options */
    bool crawl;
} Options;

/*
 * options_parse: fill @o from the command line.  On failure prints an error
 * that names the option and what it accepts, and returns 2; 0 after --help;
 * else -1.
 */
int options_parse(Options *o, int argc, char **argv);

/* options_random: draw what is not given by hand from @o->seed. */
void options_random(Options *o);

/* options_check: whether the values fit together; else *@why says why not. */
bool options_check(const Options *o, const char **why);

/* options_shape: an option given that a topology's file says, too; or NULL. */
const char *options_shape(void);

/* options_print: those that reproduce the run, as a command line. */
void options_print(const Options *o, char *text, size_t size);

/* options_json: as members of a JSON object, without a comma at the end. */
void options_json(const Options *o, void *file);

#endif /* TESTS_SIM_OPTIONS_H */
