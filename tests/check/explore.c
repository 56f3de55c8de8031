/*
 * Exhaustive exploration of a small model
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "explore.h"

#define NONE UINT32_MAX

struct Explorer {
    const Model *m;
    uint64_t limit;
    uint8_t *states;            /* [count], each m->size bytes */
    uint32_t *parent;           /* [count] */
    const char **step;          /* [count]: how it was reached; literals */
    uint8_t *good;              /* [count]: quiescence is reachable */
    uint32_t *table;            /* hash, open addressing */
    uint64_t mask;
    uint32_t current;           /* that is being expanded */
    bool looking;               /* second pass: only look states up */
    bool found_good;
    Result *result;
};

static uint64_t hash(const uint8_t *bytes, size_t size)
{
    uint64_t h = 0xcbf29ce484222325ull;

    for (size_t i = 0; i < size; i++) {
        h = (h ^ bytes[i]) * 0x100000001b3ull;
    }
    return h ^ h >> 29;
}

static uint8_t *state_at(Explorer *e, uint32_t index)
{
    return e->states + (size_t)index * e->m->size;
}

/* Index of a state, or where in the table it belongs. */
static uint32_t find(Explorer *e, const void *state, uint64_t *slot)
{
    uint64_t at = hash(state, e->m->size) & e->mask;

    while (e->table[at] != NONE) {
        if (!memcmp(state_at(e, e->table[at]), state, e->m->size)) {
            *slot = at;
            return e->table[at];
        }
        at = (at + 1) & e->mask;
    }
    *slot = at;
    return NONE;
}

void explore_add(Explorer *e, const void *state, const char *step)
{
    Result *r = e->result;
    uint64_t slot;
    uint32_t index = find(e, state, &slot);

    if (e->looking) {
        e->found_good |= index != NONE && e->good[index];
        return;
    }
    r->transitions++;
    if (index != NONE) {
        return;
    }
    if (r->states == e->limit) {
        r->full = true;
        return;
    }
    index = r->states++;
    memcpy(state_at(e, index), state, e->m->size);
    e->parent[index] = e->current;
    e->step[index] = step;
    e->table[slot] = index;
}

static void print_path(Explorer *e, uint32_t index)
{
    uint32_t path[4096];
    unsigned length = 0;

    for (; index != NONE && length < 4096; index = e->parent[index]) {
        path[length++] = index;
    }
    while (length-- > 0) {
        fprintf(stderr, "%-28s ", e->step[path[length]]);
        e->m->print(state_at(e, path[length]));
    }
}

static unsigned depth_of(Explorer *e, uint32_t index)
{
    unsigned depth = 0;

    for (; e->parent[index] != NONE; index = e->parent[index]) {
        depth++;
    }
    return depth;
}

/* Spread "quiescence is reachable" backwards until nothing changes. */
static void spread_quiescence(Explorer *e)
{
    bool changed = true;

    e->looking = true;
    for (uint64_t i = 0; i < e->result->states; i++) {
        e->good[i] = e->m->quiescent(state_at(e, i));
    }
    while (changed) {
        changed = false;
        for (uint64_t n = e->result->states; n-- > 0;) {
            if (e->good[n]) {
                continue;
            }
            e->found_good = false;
            e->m->expand(e, state_at(e, n));
            if (e->found_good) {
                e->good[n] = changed = true;
            }
        }
    }
    for (uint64_t i = 0; i < e->result->states; i++) {
        if (!e->good[i] && !e->result->full) {
            e->result->broken = "quiescence reachable";
            print_path(e, i);
            return;
        }
    }
}

static void run(Explorer *e, bool verbose)
{
    Result *r = e->result;

    e->current = NONE;
    explore_add(e, e->m->initial, "initial");
    r->transitions = 0;
    for (uint64_t i = 0; i < r->states; i++) {
        r->broken = e->m->check(state_at(e, i));
        if (r->broken) {
            print_path(e, i);
            r->depth = depth_of(e, i);
            return;
        }
        e->current = i;
        e->m->expand(e, state_at(e, i));
        if (verbose && i % 500000 == 499999) {
            fprintf(stderr, "  %llu states expanded, %llu known\n",
                    (unsigned long long)i + 1,
                    (unsigned long long)r->states);
        }
    }
    r->depth = depth_of(e, r->states - 1);
    spread_quiescence(e);
}

bool explore(const Model *m, uint64_t limit, bool verbose, Result *result)
{
    Explorer e = { .m = m, .limit = limit, .result = result, .mask = 1 };

    *result = (Result) { 0 };
    while (e.mask < limit * 2) {
        e.mask *= 2;
    }
    e.states = malloc(limit * m->size);
    e.parent = malloc(limit * sizeof(*e.parent));
    e.step = malloc(limit * sizeof(*e.step));
    e.good = malloc(limit);
    e.table = malloc(e.mask * sizeof(*e.table));
    if (e.states && e.parent && e.step && e.good && e.table) {
        memset(e.table, 0xff, e.mask * sizeof(*e.table));
        e.mask--;
        run(&e, verbose);
    } else {
        result->broken = "memory";
    }
    free(e.states);
    free(e.parent);
    free(e.step);
    free(e.good);
    free(e.table);
    return !result->broken || strcmp(result->broken, "memory");
}
