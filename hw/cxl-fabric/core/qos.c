/*
 * QoS of devices: windows, shares and DevLoad
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/qos.h"

#define MOST_DEMAND (1000ull * CXLF_QOS_ONE)    /* more is not told apart */
#define LEAST_SHARE (CXLF_QOS_ONE / 256)

const uint8_t cxlf_qos_default[CXLF_QOS_CONTROL] = {
    CXLF_QOS_EGRESS, 10, 25, 8, 0, 0, 64
};

uint64_t cxlf_qos_size(uint32_t lanes)
{
    return sizeof(struct cxlf_qos) +
           (uint64_t)lanes * sizeof(((struct cxlf_qos *)0)->use[0]);
}

static uint64_t control_of(const uint8_t *bytes)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < CXLF_QOS_CONTROL; i++) {
        word |= (uint64_t)bytes[i] << 8 * i;
    }
    return word;
}

void cxlf_qos_set(struct cxlf_qos *q, uint32_t gfam,
                  const uint8_t control[CXLF_QOS_CONTROL], unsigned lds,
                  const uint8_t *allocated, const uint8_t *limit)
{
    struct cxlf_qos_settings *s = &q->settings[gfam];

    __atomic_store_n(&s->control, control_of(control), __ATOMIC_RELAXED);
    for (unsigned i = 0; i < lds; i++) {
        __atomic_store_n(&s->ld[i], allocated[i] | (uint32_t)limit[i] << 8,
                         __ATOMIC_RELAXED);
    }
}

void cxlf_qos_format(struct cxlf_qos *q)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        cxlf_qos_set(q, i, cxlf_qos_default, 0, NULL, NULL);
    }
}

static unsigned control_byte(const struct cxlf_qos_view *v, unsigned n)
{
    return v->control >> 8 * n & 0xff;
}

/* Of 256ths, in parts per million. */
static uint64_t part(unsigned n)
{
    return (uint64_t)n * CXLF_QOS_ONE / 256;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t allocated(const struct cxlf_qos_view *v, uint32_t user)
{
    return v->lds ? part(v->ld[user] & 0xff) : 0;
}

static uint64_t limit(const struct cxlf_qos_view *v, uint32_t user)
{
    unsigned n = v->lds ? v->ld[user] >> 8 & 0xff : 0;

    return n ? part(n) : UINT64_MAX;
}

/* What counts of a user's demand. */
static uint64_t effective(const struct cxlf_qos_view *v, uint32_t user)
{
    return least(v->seen[user].demand, limit(v, user));
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* What counters have gained; they may be anybody's numbers. */
static uint64_t gain(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

/* The first lane from @i on that has asked. */
static uint32_t next_lane(const struct cxlf_qos_view *v, uint32_t i)
{
    while (i < v->lanes) {
        uint64_t word = v->asked[i / 64] >> i % 64;

        if (word) {
            return i + __builtin_ctzll(word);
        }
        i = (i / 64 + 1) * 64;
    }
    return i;
}

#define FOR_EACH_LANE(i, v) \
    for (uint32_t i = next_lane(v, 0); i < (v)->lanes; i = next_lane(v, i + 1))

/* The first user from @i on that may have asked. */
static uint32_t next_user(const struct cxlf_qos_view *v, uint32_t i)
{
    return v->lds ? i : next_lane(v, i);
}

#define FOR_EACH_USER(i, v) \
    for (uint32_t i = next_user(v, 0); i < ((v)->lds ? (v)->lds : (v)->lanes); \
         i = next_user(v, i + 1))

static void read_asked(struct cxlf_qos_view *v)
{
    v->askers = 0;
    for (uint32_t i = 0; i * 64 < v->lanes; i++) {
        v->asked[i] = load(&v->shared->asked[i]);
        v->askers += __builtin_popcountll(v->asked[i]);
    }
}

/* What lane @lane has used, to its users. */
static void add_lane(struct cxlf_qos_view *v, uint32_t lane)
{
    for (uint32_t ld = 0; ld < (v->lds ? v->lds : 1); ld++) {
        const struct cxlf_qos_use *use = &v->shared->use[lane][v->gfam][ld];
        struct cxlf_qos_seen *seen = &v->seen[v->lds ? ld : lane];

        seen->busy_gain += load(&use->busy_ps);
        seen->want_gain += load(&use->want_ps);
    }
}

static uint64_t ratio(uint64_t busy, uint64_t longest)
{
    if (busy / longest >= MOST_DEMAND / CXLF_QOS_ONE) {
        return MOST_DEMAND;
    }
    while (busy > UINT64_MAX / CXLF_QOS_ONE) {
        busy >>= 1;
        longest >>= 1;
    }
    return busy * CXLF_QOS_ONE / longest;
}

/* What all users have gained; the most that one has wanted. */
static uint64_t read_lanes(struct cxlf_qos_view *v)
{
    uint64_t longest = 0;

    read_asked(v);
    FOR_EACH_USER(i, v) {
        v->seen[i].busy_gain = v->seen[i].want_gain = 0;
    }
    FOR_EACH_LANE(lane, v) {
        add_lane(v, lane);
    }
    FOR_EACH_USER(i, v) {
        struct cxlf_qos_seen *s = &v->seen[i];

        s->busy_gain = gain(s->busy_gain, s->busy_ps);
        s->want_gain = gain(s->want_gain, s->want_ps);
        longest = s->want_gain > longest ? s->want_gain : longest;
    }
    return longest;
}

bool cxlf_qos_look(struct cxlf_qos_view *v)
{
    const struct cxlf_qos_settings *set = &v->shared->settings[v->gfam];
    uint64_t longest = read_lanes(v);

    if (!longest) {
        return false;
    }
    v->control = load(&set->control);
    for (uint32_t i = 0; i < v->lds; i++) {
        v->ld[i] = __atomic_load_n(&set->ld[i], __ATOMIC_RELAXED);
    }
    v->demand = v->guaranteed = 0;
    FOR_EACH_USER(i, v) {
        struct cxlf_qos_seen *s = &v->seen[i];

        s->busy_ps += s->busy_gain;
        s->want_ps += s->want_gain;
        s->demand = ratio(s->busy_gain, longest);
        v->demand += effective(v, i);
        v->guaranteed += least(effective(v, i), allocated(v, i));
    }
    return true;
}

uint64_t cxlf_qos_window(const struct cxlf_qos_view *v)
{
    unsigned sample = (control_byte(v, 3) & 0xf) * 100;
    unsigned collection = control_byte(v, 6);

    return (sample > collection ? sample : collection) * 1000ull;
}

uint32_t cxlf_qos_backpressure(const struct cxlf_qos_view *v)
{
    return v->demand <= CXLF_QOS_ONE ? 0 : CXLF_QOS_ONE -
           (uint64_t)CXLF_QOS_ONE * CXLF_QOS_ONE / v->demand;
}

uint64_t cxlf_qos_share(const struct cxlf_qos_view *v, uint32_t user)
{
    uint64_t demand = effective(v, user);
    uint64_t mine = least(demand, allocated(v, user));
    uint64_t rest = gain(CXLF_QOS_ONE, v->guaranteed);

    if (v->demand > CXLF_QOS_ONE && demand > mine) {
        mine += (double)rest * (demand - mine) / (v->demand - v->guaranteed);
    } else {
        mine = demand;
    }
    return mine > LEAST_SHARE ? mine : least(LEAST_SHARE, demand);
}

enum cxlf_dev_load cxlf_qos_dev_load(const struct cxlf_qos_view *v,
                                     uint32_t user)
{
    uint64_t demand = v->seen[user].demand;
    uint64_t back = cxlf_qos_backpressure(v);
    uint64_t percent = CXLF_QOS_ONE / 100;

    if (demand > limit(v, user)) {
        return CXLF_LOAD_SEVERE;
    }
    if (v->demand < CXLF_QOS_ONE / 2) {
        return CXLF_LOAD_LIGHT;
    }
    if (!back || back < control_byte(v, 1) * percent ||
        !(control_byte(v, 0) & CXLF_QOS_EGRESS) ||
        demand <= allocated(v, user)) {
        return CXLF_LOAD_OPTIMAL;
    }
    return back < control_byte(v, 2) * percent ? CXLF_LOAD_MODERATE :
                                                 CXLF_LOAD_SEVERE;
}

uint64_t cxlf_qos_time(const struct cxlf_qos_view *v, uint32_t user,
                       uint64_t want_ps)
{
    uint64_t demand = v->seen[user].demand;
    uint64_t share = cxlf_qos_share(v, user);

    return demand <= share ? want_ps : (double)want_ps * demand / share;
}
