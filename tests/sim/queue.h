/*
 * Event queue: what happens next, in simulated nanoseconds
 *
 * A heap of four children a node, allocated once.  Events of one time come
 * out in the order in which they were put in.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_SIM_QUEUE_H
#define TESTS_SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Event {
    uint64_t time;
    uint32_t order;
    uint16_t host;
    uint8_t type;
    uint8_t life;           /* of the host when it was scheduled */
    uint64_t arg;
} Event;

typedef struct Queue {
    Event *heap;
    uint32_t used, size;
    uint32_t order;
} Queue;

/* queue_init: room for @size events; false if there is no memory. */
bool queue_init(Queue *q, uint32_t size);
void queue_reset(Queue *q);

/* queue_put: @e's order is filled in; false when the queue is full. */
bool queue_put(Queue *q, Event e);

/* queue_take: the earliest event; false if there is none. */
bool queue_take(Queue *q, Event *e);

#endif /* TESTS_SIM_QUEUE_H */
