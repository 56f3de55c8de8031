/*
 * libeca: events of the agent, docs/specs/dpu-eca.rst
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "private.h"
#include "../eca-regs.h"

#define ENTRIES         (PAGE_BYTES / ECA_EVENT_SIZE)
#define SAMPLE_MAX      20

typedef struct Entry {
    uint16_t kind, phase;
    uint32_t host, gfam, count;
    uint64_t dpa, bytes, time_ns;
    uint8_t data[ECA_MESSAGE_BYTES];
} Entry;

_Static_assert(sizeof(Entry) == ECA_EVENT_SIZE, "as the agent writes it");

struct EcaEvents {
    Eca *eca;
    Pinned pinned;
    uint32_t head;
    uint16_t phase;
};

const char *eca_event_name(uint32_t kind)
{
    static const char *const names[] = {
        [ECA_EVENT_OF_BISNP] = "bisnp",
        [ECA_EVENT_OF_OWNERSHIP] = "ownership",
        [ECA_EVENT_OF_POISON] = "poison",
        [ECA_EVENT_OF_CONFLICT] = "conflict",
        [ECA_EVENT_OF_HOST] = "host",
        [ECA_EVENT_OF_LEAF] = "leaf",
        [ECA_EVENT_OF_LINK] = "link",
        [ECA_EVENT_OF_CAPACITY] = "capacity",
        [ECA_EVENT_OF_RECEIVED] = "received",
        [ECA_EVENT_OF_MESSAGE] = "message",
        [ECA_EVENT_OF_ANSWER] = "answer",
        [ECA_EVENT_OF_NO_WAY] = "no-way",
    };

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : NULL;
}

int eca_events_open(EcaEvents **out, Eca *eca, uint32_t kinds,
                    uint32_t sample)
{
    EcaEvents *e;
    int error;

    if (!eca->bar) {
        return -ENODEV;
    }
    if (!libeca_has_rings(eca)) {
        return -ENOTSUP;
    }
    if (sample > SAMPLE_MAX) {
        return -EINVAL;
    }
    e = calloc(1, sizeof(*e));
    if (!e) {
        return -ENOMEM;
    }
    e->eca = eca;
    e->phase = 1;
    error = libeca_pin(&e->pinned, eca, ECA_EV_BASE,
                       ECA_EV_END - ECA_EV_BASE,
                       ECA_EV_CONTROL - ECA_EV_BASE);
    if (error) {
        free(e);
        return error;
    }
    bar_set4(eca, ECA_EV_MASK, kinds);
    bar_set4(eca, ECA_EV_SAMPLE, sample);
    bar_set8(eca, ECA_EV_BASE, e->pinned.address[0]);
    bar_set4(eca, ECA_EV_SIZE, ENTRIES);
    bar_set4(eca, ECA_EV_CONTROL, ECA_QUEUE_ENABLE);
    if (bar_get4(eca, ECA_EV_STATE) != ECA_QUEUE_ON) {
        eca_events_close(e);
        return -EIO;
    }
    *out = e;
    return 0;
}

void eca_events_close(EcaEvents *e)
{
    if (e) {
        bar_set4(e->eca, ECA_EV_CONTROL, 0);
        bar_set4(e->eca, ECA_EV_MASK, 0);
        libeca_unpin(&e->pinned);
        free(e);
    }
}

int eca_events_next(EcaEvents *e, EcaEvent *event, int timeout_ms)
{
    /* the agent writes it */
    volatile Entry *entry = (Entry *)e->pinned.at + e->head;
    Wait wait = WAIT(e->eca, timeout_ms);

    while (__atomic_load_n(&entry->phase, __ATOMIC_ACQUIRE) != e->phase) {
        int error = libeca_wait(&wait);

        if (error < 0) {
            return error;
        }
        if (error && bar_get4(e->eca, ECA_EV_STATE) != ECA_QUEUE_ON) {
            return -EIO;
        }
    }
    *event = (EcaEvent) {
        .kind = entry->kind, .host = entry->host, .gfam = entry->gfam,
        .count = entry->count, .dpa = entry->dpa, .bytes = entry->bytes,
        .time_ns = entry->time_ns,
    };
    memcpy(event->data, (const void *)entry->data, sizeof(event->data));
    e->head = (e->head + 1) % ENTRIES;
    e->phase ^= !e->head;
    bar_set4(e->eca, ECA_EV_HEAD, e->head);
    return 0;
}

uint64_t eca_events_lost(EcaEvents *e)
{
    return bar_get8(e->eca, ECA_EV_LOST);
}

int eca_answer(const EcaEvent *event, EcaAnswer *answer)
{
    if (event->kind != ECA_EVENT_OF_ANSWER) {
        return -EINVAL;
    }
    memcpy(&answer->request, event->data, sizeof(answer->request));
    memcpy(&answer->what, event->data + 12, sizeof(answer->what));
    memcpy(&answer->answer, event->data + 16, sizeof(answer->answer));
    return 0;
}
