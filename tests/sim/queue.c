/*
 * Event queue
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include "queue.h"

#define CHILDREN 4

static bool is_before(const Event *a, const Event *b)
{
    if (a->time != b->time) {
        return a->time < b->time;
    }
    /* Orders wrap; events of one time are close together. */
    return (int32_t)(a->order - b->order) < 0;
}

bool queue_init(Queue *q, uint32_t size)
{
    if (size > q->size) {
        free(q->heap);
        q->heap = malloc((uint64_t)size * sizeof(Event));
        q->size = q->heap ? size : 0;
    }
    queue_reset(q);
    return q->heap != NULL;
}

void queue_reset(Queue *q)
{
    q->used = 0;
    q->order = 0;
}

bool queue_put(Queue *q, Event e)
{
    uint32_t i = q->used;

    if (q->used == q->size) {
        return false;
    }
    q->used++;
    e.order = q->order++;
    while (i > 0) {
        uint32_t parent = (i - 1) / CHILDREN;

        if (!is_before(&e, &q->heap[parent])) {
            break;
        }
        q->heap[i] = q->heap[parent];
        i = parent;
    }
    q->heap[i] = e;
    return true;
}

bool queue_take(Queue *q, Event *e)
{
    uint32_t i = 0;
    Event last;

    if (q->used == 0) {
        return false;
    }
    *e = q->heap[0];
    last = q->heap[--q->used];
    for (;;) {
        uint32_t child = i * CHILDREN + 1, best = child;
        uint32_t end = child + CHILDREN < q->used ? child + CHILDREN :
                                                    q->used;

        if (child >= q->used) {
            break;
        }
        for (child++; child < end; child++) {
            if (is_before(&q->heap[child], &q->heap[best])) {
                best = child;
            }
        }
        if (!is_before(&q->heap[best], &last)) {
            break;
        }
        q->heap[i] = q->heap[best];
        i = best;
    }
    q->heap[i] = last;
    return true;
}
