/*
 * Programs that hosts run
 *
 * Hosts work in groups of up to eight; each program is a small state machine
 * that gives the next access when it has the result of the last.  What they
 * rely on (a lock excludes, a ring does not lose, flags follow data) is
 * checked where an access has its effect.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim.h"

#define MAX_GROUP   8
#define RING        4
#define POLLS       100
#define ZIPF_SIZE   65536
#define ZIPF_BANDS  18          /* pages below which programs share pages */

/* Lines of HOT that are a program's */
typedef struct Region {
    uint32_t page, pages;
    unsigned line, lines;
} Region;

/* Hosts that work together: even, and so few that all programs run. */
static unsigned group_size(const Sim *s)
{
    unsigned each = s->o.workload == MIX ? s->o.hosts / WORKLOADS & ~1u :
                                           MAX_GROUP;

    return each < 2 ? 2 : each < MAX_GROUP ? each : MAX_GROUP;
}

static Region region_of(const Sim *s, unsigned kind)
{
    Region r = { 0, s->o.hot_pages, 0, LINES };

    if (s->o.workload != MIX) {
        return r;
    }
    if (s->o.hot_pages < ZIPF_BANDS) {
        r.lines = LINES / WORKLOADS;
        r.line = kind * r.lines;
        return r;
    }
    r.page = kind * s->o.hot_pages / WORKLOADS;
    r.pages = (kind + 1) * s->o.hot_pages / WORKLOADS - r.page;
    return r;
}

static uint32_t items(const Sim *s, unsigned kind)
{
    Region r = region_of(s, kind);

    return r.pages * r.lines;
}

/* An access to item @n of the program's region; items go round the pages. */
static void to_item(Sim *s, Host *h, uint32_t n, OpKind kind,
                    uint64_t operand)
{
    Region r = region_of(s, h->program.kind);

    n %= r.pages * r.lines;
    h->op.page = r.page + n % r.pages;
    h->op.line = r.line + n / r.pages;
    h->op.kind = kind;
    h->op.operand = operand;
}

static bool is_cleared(const Sim *s, const Host *h, uint32_t n)
{
    Region r = region_of(s, h->program.kind);

    return s->truth.page[r.page + n % (r.pages * r.lines) % r.pages].cleared;
}

/* Whether groups have lines of their own: what they rely on is checked. */
static bool is_apart(const Sim *s, unsigned kind, uint32_t each)
{
    uint64_t groups = (s->o.hosts + group_size(s) - 1) / group_size(s);

    if (s->o.workload == MIX) {
        groups = (groups + WORKLOADS - 1) / WORKLOADS;
    }
    return groups * each <= items(s, kind);
}

static uint64_t token_of(const Host *h)
{
    return ((uint64_t)h->incarnation << 16 | h->number) + 1;
}

/* Locks: a word each, and data that it protects */

static void next_lock(Sim *s, Host *h)
{
    Program *p = &h->program;
    uint32_t locks = 1 + s->o.hosts / 4;
    uint64_t seen = h->op.result;

    if (locks > items(s, LOCK) / 2) {
        locks = items(s, LOCK) / 2;
    }
    switch (p->phase) {
    case 0:
        p->item = rng_below(&s->rng, locks) * 2;
        p->polls = 0;
        p->a = 0;
        p->phase = 1;
        break;
    case 1:
        if (seen == p->a) {
            p->phase = 2;
            to_item(s, h, p->item + 1, OP_LOAD, 0);
            return;
        }
        p->a = 0;
        if (seen != 0) {
            const Host *holder = &s->host[(seen - 1) & 0xffff];

            /* Whoever died with the lock does not give it back. */
            p->a = holder->life != ALIVE ||
                   holder->incarnation != (uint8_t)((seen - 1) >> 16) ?
                   seen : 0;
        }
        if (seen != 0 && p->a == 0) {
            p->phase = ++p->polls < POLLS ? 4 : 0;
            to_item(s, h, p->item, OP_LOAD, 0);
            return;
        }
        break;
    case 2:
        p->round = seen;
        p->phase = 3;
        to_item(s, h, p->item + 1, OP_STORE, seen + 1);
        return;
    case 3:
        p->phase = 0;
        s->stats.locks++;
        to_item(s, h, p->item, OP_STORE, 0);
        return;
    default:
        p->phase = 1;
        break;
    }
    to_item(s, h, p->item, OP_SWAP, token_of(h));
    h->op.expect = p->a;
}

static void lock_effect(Sim *s, Host *h, uint64_t old)
{
    Program *p = &h->program;

    if (is_cleared(s, h, p->item) || is_cleared(s, h, p->item + 1)) {
        return;
    }
    if (p->phase == 3 && old != p->round) {
        sim_fail(s, h->op.page, "locks exclude", "host %u has a lock and "
                 "read %lu, now it is %lu", h->number, p->round, old);
    }
    if (p->phase == 0 && h->op.kind == OP_STORE && old != token_of(h)) {
        sim_fail(s, h->op.page, "locks exclude", "host %u releases a lock "
                 "that has %lu", h->number, old);
    }
}

/* A barrier of a group: a count, and how many have come in all */

static void next_barrier(Sim *s, Host *h)
{
    Program *p = &h->program;
    uint32_t base = p->group * 2;
    unsigned size = group_size(s), left = s->o.hosts - h->number / size * size;
    unsigned members = left < size ? left : size;
    uint64_t seen = h->op.result;

    switch (p->phase) {
    case 0:
        p->phase = 1;
        p->polls = 0;
        to_item(s, h, base, OP_ADD, 1);
        return;
    case 1:
        p->a = (seen / members + 1) * members;
        p->phase = 2;
        if (seen + 1 == p->a) {
            to_item(s, h, base + 1, OP_STORE, p->a);
            p->phase = 0;
            s->stats.barriers++;
            return;
        }
        break;
    default:
        if (seen >= p->a || ++p->polls == POLLS) {
            s->stats.barriers += seen >= p->a;
            p->phase = 0;
            next_barrier(s, h);
            return;
        }
        break;
    }
    to_item(s, h, base + 1, OP_LOAD, 0);
}

static void barrier_effect(Sim *s, Host *h, uint64_t old)
{
    Program *p = &h->program;
    Region r = region_of(s, BARRIER);
    uint32_t n = p->group * 2 % (r.pages * r.lines);
    uint64_t come;

    if (p->phase != 2 || h->op.kind != OP_LOAD || old < p->a ||
        is_cleared(s, h, n) || is_cleared(s, h, n + 1) ||
        !is_apart(s, BARRIER, 2)) {
        return;
    }
    come = s->truth.line[(r.page + n % r.pages) * LINES + r.line +
                         n / r.pages].value;
    if (come < p->a) {
        sim_fail(s, h->op.page, "barriers hold", "host %u passes at %lu of "
                 "%lu", h->number, come, p->a);
    }
}

/* Queue pairs: a ring from an even host to an odd one */

static uint32_t ring_base(const Host *h)
{
    return (h->program.group * (MAX_GROUP / 2) + h->program.member / 2) *
           (2 + RING);
}

static void to_slot(Sim *s, Host *h, uint64_t n, OpKind kind, uint64_t value)
{
    uint32_t pair = h->program.group * (MAX_GROUP / 2) + h->program.member / 2;

    if ((pair + 1) * RING * 2 <= s->o.bulk_pages) {
        h->op.page = s->o.hot_pages + pair * RING + n % RING;
        h->op.line = 0;
        h->op.kind = kind;
        h->op.operand = value;
        return;
    }
    to_item(s, h, ring_base(h) + 2 + n % RING, kind, value);
}

static void next_queue(Sim *s, Host *h)
{
    Program *p = &h->program;
    uint32_t head = ring_base(h), tail = head + 1;
    bool producer = !(p->member & 1);
    uint64_t seen = h->op.result;

    switch (p->phase) {
    case 0:                     /* where were we? */
        p->phase = 1;
        to_item(s, h, producer ? tail : head, OP_LOAD, 0);
        return;
    case 1:
        p->round = seen;
        p->phase = 2;
        break;
    case 2:
        if (producer ? p->round - seen < RING : seen > p->round) {
            p->phase = 3;
            to_slot(s, h, p->round, producer ? OP_STORE : OP_LOAD,
                    p->round + 1);
            return;
        }
        break;
    default:
        p->phase = 2;
        p->round++;
        s->stats.items += !producer;
        /* The index is known to nobody else, so it is stored, not added. */
        to_item(s, h, producer ? tail : head, OP_STORE, p->round);
        p->phase = 4;
        return;
    case 4:
        p->phase = 2;
        break;
    }
    to_item(s, h, producer ? head : tail, OP_LOAD, 0);
}

static void queue_effect(Sim *s, Host *h, uint64_t old)
{
    Program *p = &h->program;

    if (p->phase != 3 || !(p->member & 1) ||
        !is_apart(s, QUEUE_PAIR, MAX_GROUP / 2 * (2 + RING)) ||
        s->truth.page[h->op.page].cleared ||
        is_cleared(s, h, ring_base(h)) ||
        is_cleared(s, h, ring_base(h) + 1)) {
        return;
    }
    if (old != p->round + 1) {
        sim_fail(s, h->op.page, "queues keep order", "host %u takes %lu "
                 "where %lu should be", h->number, old, p->round + 1);
    }
}

/* One writes data and then a flag, the others of the group read both */

static void next_producer(Sim *s, Host *h)
{
    Program *p = &h->program;
    uint32_t base = p->group * 3;

    if (p->member == 0) {
        p->round += p->phase == 3;
        p->round = p->phase == 4 ? h->op.result + 1 : p->round;
        p->phase = p->phase == 0 ? 4 : p->phase == 4 ? 1 : p->phase % 3 + 1;
        to_item(s, h, p->phase == 4 || p->phase == 3 ? base :
                base + p->phase, p->phase == 4 ? OP_LOAD : OP_STORE,
                p->round);
        return;
    }
    if (p->phase == 1) {
        p->a = h->op.result;
    }
    p->phase = p->phase % 3 + 1;
    to_item(s, h, base + p->phase - 1, OP_LOAD, 0);
}

static void producer_effect(Sim *s, Host *h, uint64_t old)
{
    Program *p = &h->program;
    uint32_t base = p->group * 3;

    if (p->member == 0 || p->phase < 2 || is_cleared(s, h, base) ||
        is_cleared(s, h, base + 1) || is_cleared(s, h, base + 2) ||
        !is_apart(s, PRODUCER, 3)) {
        return;
    }
    if (old < p->a) {
        sim_fail(s, h->op.page, "flags follow data", "host %u saw flag %lu "
                 "and then data %lu", h->number, p->a, old);
    }
}

/* Programs without promises */

static uint32_t zipf(Sim *s, uint32_t n)
{
    return (uint64_t)s->zipf[rng_below(&s->rng, ZIPF_SIZE)] * n >> 32;
}

static void next_read_mostly(Sim *s, Host *h)
{
    bool store = rng_below(&s->rng, 50) == 0;

    to_item(s, h, zipf(s, items(s, READ_MOSTLY)), store ? OP_STORE : OP_LOAD,
            s->now);
}

static void next_migratory(Sim *s, Host *h)
{
    Program *p = &h->program;

    if (p->phase == 0) {
        p->item = p->group * 4 + rng_below(&s->rng, 4);
    }
    p->phase = (p->phase + 1) % 6;
    to_item(s, h, p->item, p->phase & 1 ? OP_LOAD : OP_STORE,
            h->op.result + 1);
}

static void next_false_sharing(Sim *s, Host *h)
{
    Program *p = &h->program;
    Region r = region_of(s, FALSE_SHARING);

    /* Words of one line; or neighbouring lines. */
    h->op.page = r.page + p->group % r.pages;
    h->op.line = r.line + (rng_below(&s->rng, 2) ? 0 : p->member % r.lines);
    h->op.kind = rng_below(&s->rng, 4) ? OP_STORE : OP_LOAD;
    h->op.operand = s->now;
}

static void next_scattered(Sim *s, Host *h, bool skewed)
{
    uint32_t first = s->o.workload == MIX || s->o.workload == QUEUE_PAIR ?
                     s->o.bulk_pages / 2 : 0;
    uint32_t bulk = s->o.bulk_pages - first, what = rng_below(&s->rng, 20);

    h->op.kind = what == 0 ? OP_ADD : what < 7 ? OP_STORE : OP_LOAD;
    h->op.operand = 1;
    if (bulk && rng_hit(&s->rng, s->bulk)) {
        h->op.page = s->o.hot_pages + first +
                     (skewed ? zipf(s, bulk) : rng_below(&s->rng, bulk));
        h->op.line = rng_below(&s->rng, LINES);
        return;
    }
    to_item(s, h, skewed ? zipf(s, items(s, ZIPF)) :
            rng_below(&s->rng, items(s, UNIFORM)), h->op.kind, 1);
}

bool workload_init(Sim *s)
{
    if (s->zipf) {
        return true;
    }
    s->zipf = malloc(ZIPF_SIZE * sizeof(*s->zipf));
    if (s->zipf) {
        /* Exponent close to 1: equal parts of log2(1 + x). */
        for (unsigned i = 0; i < ZIPF_SIZE; i++) {
            double x = (exp2(16.0 * i / ZIPF_SIZE) - 1) / 65536;

            s->zipf[i] = (uint32_t)(x * 4294967295.0);
        }
    }
    return s->zipf;
}

void workload_start(Sim *s, Host *h)
{
    unsigned kind = s->o.workload;
    unsigned group = h->number / group_size(s);

    if (kind == MIX) {
        kind = group % WORKLOADS;
        group /= WORKLOADS;
    }
    memset(&h->program, 0, sizeof(h->program));
    h->program.kind = kind;
    h->program.group = group;
    h->program.member = h->number % group_size(s);
}

void workload_next(Sim *s, Host *h)
{
    switch (h->program.kind) {
    case LOCK:
        next_lock(s, h);
        break;
    case BARRIER:
        next_barrier(s, h);
        break;
    case QUEUE_PAIR:
        next_queue(s, h);
        break;
    case PRODUCER:
        next_producer(s, h);
        break;
    case READ_MOSTLY:
        next_read_mostly(s, h);
        break;
    case MIGRATORY:
        next_migratory(s, h);
        break;
    case FALSE_SHARING:
        next_false_sharing(s, h);
        break;
    default:
        next_scattered(s, h, h->program.kind == ZIPF);
        break;
    }
}

void workload_effect(Sim *s, Host *h, uint64_t old)
{
    switch (h->program.kind) {
    case LOCK:
        lock_effect(s, h, old);
        break;
    case BARRIER:
        barrier_effect(s, h, old);
        break;
    case QUEUE_PAIR:
        queue_effect(s, h, old);
        break;
    case PRODUCER:
        producer_effect(s, h, old);
        break;
    default:
        break;
    }
}
