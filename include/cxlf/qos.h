/*
 * QoS of devices: what users demand, shares of bandwidth, and DevLoad
 *
 * docs/qos.md has the model.  A user is an LD, or for a device without LDs a
 * lane of the link counters.  Demands and shares are parts per million of a
 * device's rate.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_QOS_H
#define CXLF_QOS_H

#include "cxlf/graph.h"

#define CXLF_QOS_ONE            1000000u    /* the whole of it */
#define CXLF_QOS_OUTSTANDING    16u         /* requests of a user, at once */
#define CXLF_QOS_LANES          8192u       /* at most */

/* DevLoad of CXL r3.1 section 3.3.4. */
enum cxlf_dev_load {
    CXLF_LOAD_LIGHT,
    CXLF_LOAD_OPTIMAL,
    CXLF_LOAD_MODERATE,
    CXLF_LOAD_SEVERE,
    CXLF_DEV_LOADS
};

/* QoS Control, as in the command. */
#define CXLF_QOS_CONTROL        7u          /* bytes */
#define CXLF_QOS_EGRESS         (1u << 0)   /* of byte 0: it is on */

/* In a new fabric. */
extern const uint8_t cxlf_qos_default[CXLF_QOS_CONTROL];

/* Shared layout */

struct cxlf_qos_settings {
    _Alignas(128) uint64_t control;     /* the command's bytes, from bit 0 */
    uint32_t ld[CXLF_MAX_LDS];          /* 7:0 allocated, 15:8 limit */
};

/* Of a lane, a device and an LD (0 without LDs).  One writer. */
struct cxlf_qos_use {
    _Alignas(64) uint64_t bytes;
    uint64_t busy_ps;
    uint64_t want_ps;
    uint64_t time_ps;
    uint64_t responses[CXLF_DEV_LOADS];
};

struct cxlf_qos {
    struct cxlf_qos_settings settings[CXLF_MAX_GFAMS];
    uint64_t asked[CXLF_QOS_LANES / 64];    /* a bit for each lane */
    struct cxlf_qos_use use[][CXLF_MAX_GFAMS][CXLF_MAX_LDS];
};

CXLF_ASSERT_SIZE(cxlf_qos_settings, 128);
CXLF_ASSERT_AT(cxlf_qos_settings, ld, 8);
CXLF_ASSERT_SIZE(cxlf_qos_use, 64);
CXLF_ASSERT_AT(cxlf_qos_use, responses, 32);
CXLF_ASSERT_AT(cxlf_qos, asked, 1024);
CXLF_ASSERT_AT(cxlf_qos, use, 2048);

/* cxlf_qos_size: bytes for @lanes, up to CXLF_QOS_LANES. */
uint64_t cxlf_qos_size(uint32_t lanes);
/* cxlf_qos_format: zeroed memory of that size, with the default settings. */
void cxlf_qos_format(struct cxlf_qos *q);

/*
 * cxlf_qos_set: a device's settings: @control as in the command, and of each
 * of @lds LDs what is allocated and the limit, in 1/256.  One writer, the
 * owner; others see each word change by itself.
 */
void cxlf_qos_set(struct cxlf_qos *q, uint32_t gfam,
                  const uint8_t control[CXLF_QOS_CONTROL], unsigned lds,
                  const uint8_t *allocated, const uint8_t *limit);

/* What an observer knows of a user. */
struct cxlf_qos_seen {
    uint64_t busy_ps, want_ps;      /* up to the last look */
    uint64_t busy_gain, want_gain;  /* in the last window */
    uint64_t demand;
};

/* An observer of one device: one thread's.  The first five are given. */
struct cxlf_qos_view {
    const struct cxlf_qos *shared;
    uint32_t gfam;
    uint32_t lanes;
    uint32_t lds;                   /* 0: none */
    struct cxlf_qos_seen *seen;     /* [lds or lanes], all zero at first */
    uint32_t askers;                /* lanes that have ever asked */
    uint64_t asked[CXLF_QOS_LANES / 64];
    uint64_t control;               /* the settings at the last look */
    uint32_t ld[CXLF_MAX_LDS];
    uint64_t demand;                /* of all, within limits */
    uint64_t guaranteed;            /* of it, what is allocated */
};

/*
 * cxlf_qos_look: the window since the last look; false, and the view is as
 * before, if no time has passed in it.  Any thread; no locks.  Its time grows
 * with the number of lanes that have asked.
 */
bool cxlf_qos_look(struct cxlf_qos_view *v);

/* The rest is of the window that was last looked at.  @user is in range. */

/* cxlf_qos_window: how long an observer waits for the next look, ps. */
uint64_t cxlf_qos_window(const struct cxlf_qos_view *v);
/* cxlf_qos_backpressure: parts per million of the time. */
uint32_t cxlf_qos_backpressure(const struct cxlf_qos_view *v);
/* cxlf_qos_share: what a user gets: of its demand, at most all. */
uint64_t cxlf_qos_share(const struct cxlf_qos_view *v, uint32_t user);
enum cxlf_dev_load cxlf_qos_dev_load(const struct cxlf_qos_view *v,
                                     uint32_t user);
/* cxlf_qos_time: how long it takes what is wanted to take @want_ps, ps. */
uint64_t cxlf_qos_time(const struct cxlf_qos_view *v, uint32_t user,
                       uint64_t want_ps);

#endif /* CXLF_QOS_H */
