/*
 * libeca: a pair of rings between two processes, of which either may die
 *
 * The sequence in a message's slot says that it is there, so that a short
 * message is one line that moves once.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include "private.h"


typedef struct QueueHead {
    uint64_t taken LINE_ALIGNED;    /* by the receiver */
} QueueHead;

typedef struct QueueSide {
    uint64_t owner LINE_ALIGNED;
} QueueSide;

typedef struct QueueShared {
    Shape shape;
    QueueSide side[2];
    QueueHead head[2];              /* of the ring that side i sends in */
    uint8_t ring[];
} LINE_ALIGNED QueueShared;

typedef struct Ring {
    QueueHead *head;
    uint8_t *slot;
    uint64_t next;                  /* message to send, or to receive */
    uint64_t taken;                 /* sender: what it last saw of the head */
} Ring;

struct EcaQueue {
    Eca *eca;
    QueueShared *shared;
    uint64_t stride;
    uint32_t slots, bytes;
    int side;
    Ring out, in;
};

static MessageSlot *slot_at(EcaQueue *queue, const Ring *ring, uint64_t number)
{
    return (MessageSlot *)(ring->slot + number % queue->slots * queue->stride);
}

static void find_ring(EcaQueue *queue, Ring *ring, int sender)
{
    ring->head = &queue->shared->head[sender];
    ring->slot = queue->shared->ring + sender * queue->slots * queue->stride;
    ring->taken = get64(&ring->head->taken);
    ring->next = ring->taken;
}

/* A side is one process's; it goes on where the last one stood. */
static int take_side(EcaQueue *queue)
{
    int error = libeca_take_place(queue->eca,
                                  &queue->shared->side[queue->side].owner);

    if (error) {
        return error;
    }
    find_ring(queue, &queue->in, !queue->side);
    find_ring(queue, &queue->out, queue->side);
    while (queue->out.next - queue->out.taken < queue->slots &&
           get64(&slot_at(queue, &queue->out,
                          queue->out.next)->sequence) ==
           queue->out.next + 1) {
        queue->out.next++;
    }
    return 0;
}

int eca_queue_open(EcaQueue **out, EcaArena *arena, const char *name,
                   int side, uint32_t slots, uint32_t bytes, int timeout_ms)
{
    Shape shape = { slots, bytes };
    EcaQueue *queue;
    void *at;
    int error;

    if (!libeca_shape_sane(&shape) || (side != 0 && side != 1)) {
        return -EINVAL;
    }
    queue = calloc(1, sizeof(*queue));
    if (!queue) {
        return -ENOMEM;
    }
    queue->eca = arena->eca;
    queue->slots = slots;
    queue->bytes = bytes;
    queue->side = side;
    queue->stride = libeca_stride(&shape);
    error = libeca_shape_open(arena, name, ECA_KIND_QUEUE,
                              sizeof(QueueShared) +
                              2 * slots * queue->stride, &shape, &at,
                              timeout_ms);
    if (!error) {
        queue->shared = at;
        error = take_side(queue);
    }
    if (error) {
        free(queue);
        return error;
    }
    *out = queue;
    return 0;
}

void eca_queue_close(EcaQueue *queue)
{
    if (queue) {
        libeca_leave_place(queue->eca,
                           &queue->shared->side[queue->side].owner);
        free(queue);
    }
}

/* The other side's word, for those who wait for it. */
static int look_at_other(EcaQueue *queue)
{
    return libeca_look_at_peer(
        queue->eca, get64(&queue->shared->side[!queue->side].owner));
}

int eca_queue_send(EcaQueue *queue, const void *data, uint32_t bytes,
                   int timeout_ms)
{
    Wait wait = WAIT(queue->eca, timeout_ms);
    Ring *ring = &queue->out;
    MessageSlot *slot = slot_at(queue, ring, ring->next);

    if (bytes > queue->bytes) {
        return -EMSGSIZE;
    }
    while (ring->next - ring->taken >= queue->slots) {
        int look = 0, error = 0;

        ring->taken = get64(&ring->head->taken);
        if (ring->next - ring->taken < queue->slots) {
            break;
        }
        look = libeca_wait(&wait);
        LOOK("queue-full");
        if (look > 0) {
            error = look_at_other(queue);
            ring->taken = get64(&ring->head->taken);
        }
        if (ring->next - ring->taken >= queue->slots && (look < 0 || error)) {
            return look < 0 ? look : error;
        }
    }
    STEP("queue-write");
    libeca_copy_to(slot->data, data, bytes);
    STEP("queue-length");
    set64(&slot->bytes, bytes);
    STEP("queue-send");
    set64(&slot->sequence, ring->next + 1);
    STEP("queue-sent");
    ring->next++;
    return 0;
}

int eca_queue_receive(EcaQueue *queue, void *data, uint32_t room,
                      int timeout_ms)
{
    Wait wait = WAIT(queue->eca, timeout_ms);
    Ring *ring = &queue->in;
    MessageSlot *slot = slot_at(queue, ring, ring->next);
    uint64_t bytes;

    while (get64(&slot->sequence) != ring->next + 1) {
        int look = libeca_wait(&wait), error;

        LOOK("queue-empty");
        error = look > 0 ? look_at_other(queue) : look;
        /* What it had sent before it died or left comes first. */
        if (error && get64(&slot->sequence) != ring->next + 1) {
            return error;
        }
    }
    bytes = get64(&slot->bytes);
    if (bytes > queue->bytes) {
        return -EUCLEAN;
    }
    if (bytes > room) {
        return -EMSGSIZE;
    }
    libeca_copy_from(data, slot->data, bytes);
    STEP("queue-take");
    set64(&ring->head->taken, ring->next + 1);
    STEP("queue-taken");
    ring->next++;
    return bytes;
}
