/*
 * DPU Edge Coherence Agent: how often units of memory are used
 *
 * A device has a fixed number of counters, as hardware has: units that find
 * none in an epoch are not counted in it.  They are found through a hash
 * table whose slots expire with their epoch, so that an epoch's end costs
 * what was used in it.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "cxlf/abi.h"
#include "eca-hot.h"
#include "trace.h"

#define SLOTS   (2 * ECA_HOT_COUNTERS)

typedef struct Slot {
    uint64_t unit;
    uint32_t epoch;         /* in which it is used */
    uint32_t count;
} Slot;

typedef struct Device {
    QemuMutex lock;         /* of all of it */
    ECAHotConfig config;
    Slot *slot;             /* NULL: nothing is counted */
    uint32_t *used;         /* slots of this epoch, in their order */
    uint32_t units;         /* how many these are */
    uint32_t epoch;
    uint64_t missed;        /* events that found no counter */
    uint64_t events;        /* for down-sampling */
    uint64_t random;
} Device;

/* Who has events counted, each with counters of its own. */
typedef enum Watcher {
    CHMU,               /* one for each LD */
    QUERY = CXLF_MAX_LDS,   /* x-query-cxl-fabric-hot */
    WATCHERS,
} Watcher;

struct ECAHot {
    Device device[WATCHERS][CXLF_MAX_GFAMS];
    /* Of queries; BQL */
    QEMUTimer *timer;       /* NULL: nothing is counted for them */
    int64_t asked_us;       /* the last time */
};

/* Bits of hot_on: for CHMUs and for queries, one for each device. */
#define ON(watcher, gfam) \
    (1u << (((watcher) == QUERY) * CXLF_MAX_GFAMS + (gfam)))
QEMU_BUILD_BUG_ON(2 * CXLF_MAX_GFAMS > 32);

ECAHot *eca_hot_new(void)
{
    ECAHot *hot = g_new0(ECAHot, 1);

    for (int w = 0; w < WATCHERS; w++) {
        for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
            qemu_mutex_init(&hot->device[w][i].lock);
        }
    }
    return hot;
}

static void drop_counters(Device *d)
{
    g_free(d->slot);
    g_free(d->used);
    d->slot = NULL;
    d->used = NULL;
    d->units = 0;
}

void eca_hot_free(ECAHot *hot)
{
    for (int w = 0; w < WATCHERS; w++) {
        for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
            drop_counters(&hot->device[w][i]);
            qemu_mutex_destroy(&hot->device[w][i].lock);
        }
    }
    timer_free(hot->timer);
    g_free(hot);
}

/* The slot of a unit in this epoch, or NULL if all counters are in use. */
static Slot *slot_of(Device *d, uint64_t unit)
{
    uint64_t hash = unit * 0x9e3779b97f4a7c15ull;
    uint32_t i = (hash >> 32) % SLOTS;
    Slot *slot = &d->slot[i];

    while (slot->epoch == d->epoch) {
        if (slot->unit == unit) {
            return slot;
        }
        i = (i + 1) % SLOTS;
        slot = &d->slot[i];
    }
    if (d->units == ECA_HOT_COUNTERS) {
        return NULL;
    }
    d->used[d->units++] = i;
    *slot = (Slot) { .unit = unit, .epoch = d->epoch };
    return slot;
}

static bool is_in_range(const Device *d, uint64_t dpa)
{
    uint64_t range = (dpa - d->config.start) / CXLF_CAPACITY_UNIT;

    return d->slot && (!d->config.ranges ||
                       d->config.ranges[range / 64] >> range % 64 & 1);
}

/* Whether this event is one of those that down-sampling leaves. */
static bool is_sampled(Device *d)
{
    uint64_t number = d->events++;

    if (d->config.random) {
        d->random ^= d->random << 13;
        d->random ^= d->random >> 7;
        d->random ^= d->random << 17;
        number = d->random >> 32;
    }
    return !(number & ((1ull << d->config.sampling) - 1));
}

static void add(Device *d, uint64_t dpa, bool write, bool touch)
{
    Slot *slot;

    if (!is_in_range(d, dpa) ||
        !(write ? d->config.writes : d->config.reads) ||
        !(touch || is_sampled(d))) {
        return;
    }
    slot = slot_of(d, (dpa - d->config.start) >> d->config.unit_shift);
    if (!slot) {
        d->missed++;
    } else if (slot->count < d->config.max_count) {
        slot->count++;
    }
}

static void add_to_all(ECAState *s, uint32_t gfam, uint64_t dpa, bool write,
                       bool touch)
{
    uint32_t on = qatomic_read(&s->hot_on);
    int watcher[] = { eca_ld_at(s, gfam, dpa), QUERY };

    for (int i = 0; i < ARRAY_SIZE(watcher); i++) {
        if (watcher[i] >= 0 && on & ON(watcher[i], gfam)) {
            Device *d = &s->hot->device[watcher[i]][gfam];

            QEMU_LOCK_GUARD(&d->lock);
            if (d->slot) {
                add(d, dpa, write, touch);
            }
        }
    }
}

void eca_hot_count(ECAState *s, uint32_t gfam, uint64_t dpa, bool write)
{
    add_to_all(s, gfam, dpa, write, false);
}

void eca_hot_touch(ECAState *s, uint32_t gfam, uint64_t dpa, bool write)
{
    add_to_all(s, gfam, dpa, write, true);
}

bool eca_hot_wants(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    int ld = eca_ld_at(s, gfam, dpa);
    Device *d;

    if (ld < 0) {
        return false;
    }
    d = &s->hot->device[CHMU + ld][gfam];
    QEMU_LOCK_GUARD(&d->lock);
    return is_in_range(d, dpa);
}

static void start(ECAState *s, Watcher w, uint32_t gfam,
                  const ECAHotConfig *config)
{
    Device *d = &s->hot->device[w][gfam];

    WITH_QEMU_LOCK_GUARD(&d->lock) {
        drop_counters(d);
        d->config = *config;
        d->slot = g_new0(Slot, SLOTS);
        d->used = g_new(uint32_t, ECA_HOT_COUNTERS);
        d->epoch = 1;
        d->events = d->missed = 0;
        d->random = 0x2545f4914f6cdd1dull;
    }
    qatomic_or(&s->hot_on, ON(w, gfam));
}

static void stop(ECAState *s, Watcher w, uint32_t gfam)
{
    bool others = false;

    for (int i = 0; i < CXLF_MAX_LDS && w != QUERY; i++) {
        others |= i != (int)w && s->hot->device[i][gfam].slot;
    }
    if (!others) {
        qatomic_and(&s->hot_on, ~ON(w, gfam));
    }
    WITH_QEMU_LOCK_GUARD(&s->hot->device[w][gfam].lock) {
        drop_counters(&s->hot->device[w][gfam]);
    }
}

/* All counters begin from 0.  Under the lock. */
static void next_epoch(Device *d)
{
    d->units = 0;
    d->missed = 0;
    if (++d->epoch == 0 && d->slot) {
        memset(d->slot, 0, SLOTS * sizeof(*d->slot));
        d->epoch = 1;
    }
}

/* For the CHMU */

void eca_hot_start(ECAState *s, uint32_t gfam, uint32_t ld,
                   const ECAHotConfig *config)
{
    start(s, CHMU + ld, gfam, config);
}

void eca_hot_stop(ECAState *s, uint32_t gfam, uint32_t ld)
{
    stop(s, CHMU + ld, gfam);
}

void eca_hot_epoch(ECAState *s, uint32_t gfam, uint32_t ld,
                   uint32_t threshold, ECAHotUnit *unit, void *opaque)
{
    Device *d = &s->hot->device[CHMU + ld][gfam];
    unsigned sampling = 0;
    uint32_t hot = 0;

    WITH_QEMU_LOCK_GUARD(&d->lock) {
        for (uint32_t i = 0; i < d->units; i++) {
            const Slot *slot = &d->slot[d->used[i]];

            if (slot->count >= threshold) {
                unit(opaque, slot->unit, slot->count);
                hot++;
            }
        }
        trace_eca_hot_epoch(s->host, gfam, d->units, hot, d->missed);
        next_epoch(d);
        sampling = d->slot ? d->config.sampling : 0;
    }
    if (sampling && s->pager && s->hot_sample) {
        eca_pager_sample(s->pager, gfam, sampling, s->hot_sample);
    }
}

/* For queries */

void eca_hot_forget(ECAState *s)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        stop(s, QUERY, i);
    }
    timer_free(s->hot->timer);
    s->hot->timer = NULL;
}

static void on_timer(void *opaque)
{
    eca_hot_forget(opaque);
}

static void begin_queries(ECAState *s)
{
    const ECAHotConfig config = {
        .reads = true, .writes = true, .unit_shift = ctz32(CXLF_LINE),
        .max_count = UINT32_MAX,
    };

    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (eca_has_some(s, i)) {
            start(s, QUERY, i, &config);
        }
    }
    s->hot->timer = timer_new_ms(QEMU_CLOCK_REALTIME, on_timer, s);
}

static gint by_count(gconstpointer a, gconstpointer b)
{
    const ECAHotLine *x = a, *y = b;

    return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

int64_t eca_hot_query(ECAState *s, GArray *lines, uint64_t *missed)
{
    ECAHot *hot = s->hot;
    int64_t now_us = get_clock() / 1000, since = 0;

    *missed = 0;
    if (!hot->timer) {
        begin_queries(s);
    } else {
        since = now_us - hot->asked_us;
    }
    hot->asked_us = now_us;
    timer_mod(hot->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
              ECA_HOT_QUERY_MS);
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        Device *d = &hot->device[QUERY][i];

        QEMU_LOCK_GUARD(&d->lock);
        for (uint32_t n = 0; n < d->units; n++) {
            const Slot *slot = &d->slot[d->used[n]];
            ECAHotLine line = {
                .gfam = i, .dpa = slot->unit * CXLF_LINE,
                .count = slot->count,
            };

            g_array_append_val(lines, line);
        }
        *missed += d->missed;
        next_epoch(d);
    }
    g_array_sort(lines, by_count);
    return since;
}
