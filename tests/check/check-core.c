/*
 * Exhaustive check of the core: options, and the run
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "check.h"

struct config config = { .hosts = 2, .pages = 1, .crashes = 1 };

static const char *const wish_word[] = {
#define W(id, word, text) word,
    WISHES(W)
#undef W
};

static const char *const break_word[] = {
    "",
#define B(id, word, text) word,
    BREAKS(B)
#undef B
};

static uint64_t limit = 20000000;
static bool verbose, cells;

static void expand(Explorer *e, const void *state)
{
    const State *s = state;

    for (unsigned h = 0; h < config.hosts; h++) {
        expand_life(e, s, h);
        if (s->host[h].life == ALIVE) {
            expand_agent(e, s, h);
            expand_lines(e, s, h);
        }
    }
    expand_leaf(e, s);
}

static bool run(void)
{
    State initial = {
        .crashes = config.crashes, .failures = config.failures,
        .leaf = CXLF_LEAF_UP,
    };
    Model model = {
        .head = offsetof(State, host), .part = sizeof(HostState),
        .parts = config.hosts, .initial = &initial, .expand = expand,
        .check = check, .quiescent = quiescent, .print = print_state,
    };
    struct timespec start, end;
    Result r;

    world_init();
    clock_gettime(CLOCK_MONOTONIC, &start);
    explore(&model, limit, verbose, &r);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("# run: %llu states, %llu transitions, depth %u, %.1f s, "
           "%llu MiB%s\n", (unsigned long long)r.states,
           (unsigned long long)r.transitions, r.depth,
           (end.tv_sec - start.tv_sec) +
           (end.tv_nsec - start.tv_nsec) / 1e9,
           (unsigned long long)r.bytes >> 20,
           r.full ? ", NOT complete: limit reached" : "");
    if (r.broken) {
        printf("# run: broken property: %s\n", r.broken);
    }
    return !r.broken && !r.full;
}

static void usage(void)
{
    printf("usage: check-core [--hosts N] [--pages N] [--lines N] "
           "[--ways N] [--tiers]\n"
           "                  [--crashes N] [--failures N] "
           "[--with WORD,...] [--break WORD]\n"
           "                  [--mutate STATE,RELATION,EVENT,FIELD,VALUE]\n"
           "                  [--limit STATES] [--cells] [--verbose]\n\n"
           "Explores every state of a few hosts that share a few pages and "
           "lines, made by the\nshipping code, and checks: single writer, "
           "data value, copyset covers holders,\nlog covers mappings, lines "
           "or page, one entry, nobody is inside at reuse, no\norphan "
           "transaction, responses flow, quiescence reachable, recovery "
           "complete.\n"
           "--ways makes the directory of lines finite, of one set; --tiers "
           "makes lines those\nof the pages.  --failures is of the leaf.  "
           "--cells prints which cells of the table\nthere are, and which "
           "were reached.  --mutate corrupts a cell by names, for "
           "instance\nS,stranger,Own,wait,E_E or S,holder,RspI,without,drop: "
           "a check that still passes is\nnot checking; --break puts another "
           "error in.\n\n--with:\n");
#define W(id, word, text) printf("  %-14s%s\n", word, text);
    WISHES(W)
#undef W
    printf("--break:\n");
#define B(id, word, text) printf("  %-14s%s\n", word, text);
    BREAKS(B)
#undef B
}

static bool find_word(const char *const words[], int count, const char *word,
                      int *at)
{
    for (*at = 0; *at < count; ++*at) {
        if (!strcmp(words[*at], word)) {
            return true;
        }
    }
    return false;
}

static bool add_wishes(const char *value)
{
    char *words = strdup(value), *rest = words, *word;
    bool ok = true;
    int at;

    while (ok && (word = strsep(&rest, ","))) {
        ok = find_word(wish_word, WISH_COUNT, word, &at);
        config.wishes |= ok ? 1u << at : 0;
    }
    free(words);
    return ok;
}

static bool set_option(const char *name, const char *value)
{
    static const struct {
        const char *name;
        unsigned *number;
    } numbers[] = {
        { "--hosts", &config.hosts }, { "--pages", &config.pages },
        { "--lines", &config.lines }, { "--ways", &config.ways },
        { "--crashes", &config.crashes },
        { "--failures", &config.failures },
    };

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (!strcmp(name, numbers[i].name)) {
            *numbers[i].number = atoi(value);
            return true;
        }
    }
    if (!strcmp(name, "--limit")) {
        limit = strtoull(value, NULL, 0);
        return true;
    }
    if (!strcmp(name, "--break")) {
        return find_word(break_word, BREAK_COUNT, value, &config.broken);
    }
    return !strcmp(name, "--mutate") ? mutate(value) :
           !strcmp(name, "--with") ? add_wishes(value) : false;
}

static bool is_possible(void)
{
    unsigned per_page = config.pages ? config.lines / config.pages : 0;

    if (config.hosts < 2 || config.hosts > MAX_HOSTS ||
        config.pages > MAX_PAGES || config.lines > MAX_LINES ||
        config.ways > MAX_LINES || config.ways == 1 || config.crashes > 2 ||
        config.failures > 2 || limit < 2 || limit > 1u << 30) {
        return false;
    }
    if (may(WISH_THREADS) && config.pages) {
        return false;
    }
    return !config.tiers || (per_page && !(per_page & (per_page - 1)) &&
                             per_page * config.pages == config.lines);
}

int main(int argc, char **argv)
{
    bool ok;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--verbose")) {
            verbose = true;
        } else if (!strcmp(argv[i], "--cells")) {
            cells = true;
        } else if (!strcmp(argv[i], "--tiers")) {
            config.tiers = true;
        } else if (i + 1 < argc && set_option(argv[i], argv[i + 1])) {
            i++;
        } else {
            usage();
            return strcmp(argv[i], "--help") ? 2 : 0;
        }
    }
    if (!is_possible()) {
        fprintf(stderr, "check-core: --hosts 2 to 4, --pages 0 to 2, "
                "--lines 0 to 4, --ways 0 or 2 to 4,\n--crashes 0 to 2, "
                "--failures 0 to 2; with --tiers 1, 2 or 4 lines for each "
                "page;\n--with threads no pages\n");
        return 2;
    }
    ok = run();
    print_coverage("# table coverage: ");
    if (cells) {
        print_cells();
    }
    return ok ? 0 : 1;
}
