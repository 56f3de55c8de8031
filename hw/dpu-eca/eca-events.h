/*
 * DPU Edge Coherence Agent: what a guest is told of
 *
 * docs/specs/dpu-eca.rst, "Events".  Any thread reports; the main loop writes
 * to the guest's ring, and looks every 10 ms at what nobody reports.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_EVENTS_H
#define HW_DPU_ECA_EVENTS_H

#include "cxlf/route.h"
#include "eca-internal.h"

typedef enum ECAEventKind {
    ECA_EVENT_BISNP = 1,
    ECA_EVENT_OWNERSHIP,
    ECA_EVENT_POISON,
    ECA_EVENT_CONFLICT,
    ECA_EVENT_HOST,
    ECA_EVENT_LEAF,
    ECA_EVENT_LINK,
    ECA_EVENT_CAPACITY,
    ECA_EVENT_RECEIVED,
    ECA_EVENT_MESSAGE,
    ECA_EVENT_ANSWER,
    ECA_EVENT_NO_WAY,
    ECA_EVENT_KINDS
} ECAEventKind;

#define ECA_EVENT_NONE  UINT32_MAX      /* no host, or no device */

typedef struct ECAEvent {
    ECAEventKind kind;
    uint32_t host, gfam;
    uint32_t count;         /* of this kind; at least 1 */
    uint64_t dpa, length;   /* bytes */
    uint32_t data[6];
} ECAEvent;

/* eca_event_add: see eca_event(). */
void eca_event_add(ECAState *s, const ECAEvent *event);

/* eca_event_wanted: whether the guest wants such events.  Any thread. */
static inline bool eca_event_wanted(ECAState *s, ECAEventKind kind)
{
    return unlikely(qatomic_read(&s->event_mask) & 1u << kind);
}

/*
 * eca_event: tell the guest, if it wants to know.  Any thread; takes a lock
 * that nobody keeps.
 */
static inline void eca_event(ECAState *s, const ECAEvent *event)
{
    if (eca_event_wanted(s, event->kind)) {
        eca_event_add(s, event);
    }
}

/*
 * eca_event_no_way: an access to @length bytes (a line or page) at @dpa fails
 * by @result, not OK, at @where.  Any thread, as eca_event().
 */
void eca_event_no_way(ECAState *s, uint32_t gfam, uint64_t dpa,
                      uint64_t length, enum cxlf_route_result result,
                      uint16_t where);

/* eca_event_has_room: whether another one would be kept.  Any thread. */
bool eca_event_has_room(ECAState *s);

/* All that follows: BQL. */
void eca_events_init(ECAState *s);
void eca_events_exit(ECAState *s);
void eca_events_reset(ECAState *s);
/* eca_events_kick: write what was kept. */
void eca_events_kick(ECAState *s);

/* Registers; as eca_queue_read() and eca_queue_write(). */
uint64_t eca_events_read(ECAState *s, hwaddr offset);
bool eca_events_write(ECAState *s, hwaddr offset, uint32_t value);

#endif /* HW_DPU_ECA_EVENTS_H */
