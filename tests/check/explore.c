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

enum { MAX_STATE = 1024, MAX_NAMES = 250, MAX_PATH = 100000 };

/* Byte strings of one size, each kept once and known by a number */
typedef struct Pool {
    size_t size;
    uint8_t *bytes;             /* [room][size] */
    uint32_t *slot;             /* [mask + 1], open addressing */
    uint64_t count, room, mask;
} Pool;

struct Explorer {
    const Model *m;
    uint64_t limit;
    Pool heads, parts;
    Pool states;                /* numbers of head and parts */
    uint32_t *parent;           /* [states.room], as the next three */
    uint64_t *edge;             /* where a state's successors end in edges */
    uint8_t *step;              /* how it was reached: a number of name[] */
    uint8_t *good;              /* quiescence is reachable */
    uint64_t room;
    uint32_t *edges;
    uint64_t edge_count, edge_room;
    const char *name[MAX_NAMES];
    unsigned names;
    uint32_t current;           /* that is being expanded */
    Result *result;
};

static void *resize(void *old, uint64_t count, size_t size)
{
    void *new = realloc(old, count * size);

    if (!new) {
        fprintf(stderr, "explore: out of memory\n");
        exit(2);
    }
    return new;
}

static uint64_t hash(const uint8_t *bytes, size_t size)
{
    uint64_t h = 0x9e3779b97f4a7c15ull, word;

    for (; size >= 8; size -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, bytes, size);
    h = (h ^ word) * 0xc4ceb9fe1a85ec53ull;
    return h ^ h >> 29;
}

static void pool_init(Pool *p, size_t size)
{
    *p = (Pool) { .size = size, .room = 1024, .mask = 4095 };
    p->bytes = resize(NULL, p->room, size);
    p->slot = resize(NULL, p->mask + 1, sizeof(*p->slot));
    memset(p->slot, 0xff, (p->mask + 1) * sizeof(*p->slot));
}

static void pool_done(Pool *p)
{
    free(p->bytes);
    free(p->slot);
}

static uint64_t pool_bytes(const Pool *p)
{
    return p->room * p->size + (p->mask + 1) * sizeof(*p->slot);
}

static uint8_t *pool_at(const Pool *p, uint32_t index)
{
    return p->bytes + index * p->size;
}

static void pool_grow(Pool *p)
{
    p->room += p->room / 2;
    p->bytes = resize(p->bytes, p->room, p->size);
    if (p->mask + 1 >= p->room * 3 / 2) {
        return;
    }
    p->mask = p->mask * 2 + 1;
    p->slot = resize(p->slot, p->mask + 1, sizeof(*p->slot));
    memset(p->slot, 0xff, (p->mask + 1) * sizeof(*p->slot));
    for (uint64_t i = 0; i < p->count; i++) {
        uint64_t at = hash(pool_at(p, i), p->size) & p->mask;

        while (p->slot[at] != NONE) {
            at = (at + 1) & p->mask;
        }
        p->slot[at] = i;
    }
}

/* The number of a string, which is put in unless there are @limit. */
static uint32_t pool_put(Pool *p, const void *bytes, uint64_t limit,
                         bool *is_new)
{
    uint64_t at = hash(bytes, p->size) & p->mask;

    *is_new = false;
    for (; p->slot[at] != NONE; at = (at + 1) & p->mask) {
        if (!memcmp(pool_at(p, p->slot[at]), bytes, p->size)) {
            return p->slot[at];
        }
    }
    if (p->count == limit) {
        return NONE;
    }
    p->slot[at] = p->count;
    memcpy(pool_at(p, p->count), bytes, p->size);
    *is_new = true;
    if (++p->count == p->room) {
        pool_grow(p);
    }
    return p->count - 1;
}

static void state_at(const Explorer *e, uint32_t index, void *state)
{
    uint32_t numbers[EXPLORE_MAX_PARTS + 1];
    uint8_t *to = state;

    memcpy(numbers, pool_at(&e->states, index), e->states.size);
    memcpy(to, pool_at(&e->heads, numbers[0]), e->m->head);
    for (unsigned i = 0; i < e->m->parts; i++) {
        memcpy(to + e->m->head + i * e->m->part,
               pool_at(&e->parts, numbers[i + 1]), e->m->part);
    }
}

static uint8_t name_of(Explorer *e, const char *step)
{
    for (unsigned i = 0; i < e->names; i++) {
        if (e->name[i] == step) {
            return i;
        }
    }
    if (e->names == MAX_NAMES) {
        return 0;
    }
    e->name[e->names] = step;
    return e->names++;
}

static void note_edge(Explorer *e, uint32_t to)
{
    if (e->edge_count == e->edge_room) {
        e->edge_room += e->edge_room / 2;
        e->edges = resize(e->edges, e->edge_room, sizeof(*e->edges));
    }
    e->edges[e->edge_count++] = to;
}

void explore_add(Explorer *e, const void *state, const char *step)
{
    Result *r = e->result;
    uint32_t numbers[EXPLORE_MAX_PARTS + 1], index;
    const uint8_t *bytes = state;
    bool is_new;

    r->transitions++;
    numbers[0] = pool_put(&e->heads, bytes, NONE, &is_new);
    for (unsigned i = 0; i < e->m->parts; i++) {
        numbers[i + 1] = pool_put(&e->parts,
                                  bytes + e->m->head + i * e->m->part, NONE,
                                  &is_new);
    }
    index = pool_put(&e->states, numbers, e->limit, &is_new);
    if (index == NONE) {
        r->full = true;
        return;
    }
    if (e->current != NONE && index != e->current) {
        note_edge(e, index);
    }
    if (!is_new) {
        return;
    }
    if (e->room < e->states.room) {
        e->room = e->states.room;
        e->parent = resize(e->parent, e->room, sizeof(*e->parent));
        e->edge = resize(e->edge, e->room, sizeof(*e->edge));
        e->step = resize(e->step, e->room, 1);
        e->good = resize(e->good, e->room, 1);
    }
    e->parent[index] = e->current;
    e->step[index] = name_of(e, step);
    e->good[index] = false;
}

static void print_path(Explorer *e, uint32_t index)
{
    uint32_t *path = resize(NULL, MAX_PATH, sizeof(*path));
    _Alignas(8) uint8_t state[MAX_STATE];
    unsigned length = 0;

    for (; index != NONE && length < MAX_PATH; index = e->parent[index]) {
        path[length++] = index;
    }
    while (length-- > 0) {
        state_at(e, path[length], state);
        fprintf(stderr, "%-24s ", e->name[e->step[path[length]]]);
        e->m->print(state);
    }
    free(path);
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

    while (changed) {
        changed = false;
        for (uint64_t n = e->states.count; n-- > 0;) {
            uint64_t first = n ? e->edge[n - 1] : 0;

            for (uint64_t i = first; i < e->edge[n] && !e->good[n]; i++) {
                if (e->good[e->edges[i]]) {
                    e->good[n] = changed = true;
                }
            }
        }
    }
    for (uint64_t i = 0; i < e->states.count; i++) {
        if (!e->good[i]) {
            e->result->broken = "quiescence reachable";
            print_path(e, i);
            return;
        }
    }
}

static void run(Explorer *e, bool verbose)
{
    _Alignas(8) uint8_t state[MAX_STATE];
    Result *r = e->result;

    e->current = NONE;
    explore_add(e, e->m->initial, "initial");
    r->transitions = 0;
    for (uint64_t i = 0; i < e->states.count && !r->full; i++) {
        state_at(e, i, state);
        r->broken = e->m->check(state);
        if (r->broken) {
            print_path(e, i);
            r->depth = depth_of(e, i);
            return;
        }
        e->good[i] = e->m->quiescent(state);
        e->current = i;
        e->m->expand(e, state);
        e->edge[i] = e->edge_count;
        if (verbose && i % 500000 == 499999) {
            fprintf(stderr, "  %llu states expanded, %llu known\n",
                    (unsigned long long)i + 1,
                    (unsigned long long)e->states.count);
        }
    }
    r->depth = depth_of(e, e->states.count - 1);
    if (!r->full) {
        spread_quiescence(e);
    }
}

void explore(const Model *m, uint64_t limit, bool verbose, Result *result)
{
    Explorer e = { .m = m, .limit = limit, .result = result };

    *result = (Result) { 0 };
    pool_init(&e.heads, m->head);
    pool_init(&e.parts, m->part);
    pool_init(&e.states, (m->parts + 1) * sizeof(uint32_t));
    e.edge_room = 4096;
    e.edges = resize(NULL, e.edge_room, sizeof(*e.edges));
    run(&e, verbose);
    result->states = e.states.count;
    result->bytes = pool_bytes(&e.heads) + pool_bytes(&e.parts) +
        pool_bytes(&e.states) + e.room * (sizeof(*e.parent) +
        sizeof(*e.edge) + 2) + e.edge_room * sizeof(*e.edges);
    pool_done(&e.heads);
    pool_done(&e.parts);
    pool_done(&e.states);
    free(e.parent);
    free(e.edge);
    free(e.step);
    free(e.good);
    free(e.edges);
}
