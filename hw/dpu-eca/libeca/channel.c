/*
 * libeca: one writer to any readers, which it never waits for
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include "private.h"

#define WRITING         (1ull << 63)     /* in a sequence: not yet there */

typedef struct ChannelShared {
    Shape shape;
    uint64_t writer LINE_ALIGNED;
    uint64_t published LINE_ALIGNED;
    uint8_t ring[] LINE_ALIGNED;
} ChannelShared;

struct EcaChannel {
    Eca *eca;
    ChannelShared *shared;
    uint64_t stride, next;          /* message to write, or to read */
    uint32_t slots, bytes;
    bool writer;
};

static MessageSlot *slot_at(EcaChannel *channel, uint64_t number)
{
    return (MessageSlot *)(channel->shared->ring +
                           number % channel->slots * channel->stride);
}

/* The oldest message that is not about to be overwritten. */
static uint64_t oldest(EcaChannel *channel)
{
    uint64_t end = get64(&channel->shared->published) + 1;

    return end > channel->slots ? end - channel->slots : 0;
}

/* A writer goes on behind the last one's last message. */
static int begin(EcaChannel *channel)
{
    ChannelShared *shared = channel->shared;
    int error;

    if (!channel->writer) {
        channel->next = oldest(channel);
        return 0;
    }
    error = libeca_take_place(channel->eca, &shared->writer);
    if (error) {
        return error;
    }
    channel->next = get64(&shared->published);
    if (get64(&slot_at(channel, channel->next)->sequence) ==
        channel->next + 1) {
        /* It died after showing it, and before counting it. */
        channel->next++;
        STEP("channel-count");
        set64(&shared->published, channel->next);
    }
    return 0;
}

int eca_channel_open(EcaChannel **out, EcaArena *arena, const char *name,
                     bool writer, uint32_t slots, uint32_t bytes,
                     int timeout_ms)
{
    Shape shape = { slots, bytes };
    EcaChannel *channel;
    void *at;
    int error;

    if (!libeca_shape_sane(&shape)) {
        return -EINVAL;
    }
    channel = calloc(1, sizeof(*channel));
    if (!channel) {
        return -ENOMEM;
    }
    channel->eca = arena->eca;
    channel->slots = slots;
    channel->bytes = bytes;
    channel->writer = writer;
    channel->stride = libeca_stride(&shape);
    error = libeca_shape_open(arena, name, ECA_KIND_CHANNEL,
                              sizeof(ChannelShared) +
                              slots * channel->stride, &shape, &at,
                              timeout_ms);
    if (!error) {
        channel->shared = at;
        error = begin(channel);
    }
    if (error) {
        free(channel);
        return error;
    }
    *out = channel;
    return 0;
}

void eca_channel_close(EcaChannel *channel)
{
    if (channel && channel->writer) {
        libeca_leave_place(channel->eca, &channel->shared->writer);
    }
    free(channel);
}

int eca_channel_send(EcaChannel *channel, const void *data, uint32_t bytes)
{
    MessageSlot *slot = slot_at(channel, channel->next);

    if (!channel->writer) {
        return -EPERM;
    }
    if (bytes > channel->bytes) {
        return -EMSGSIZE;
    }
    STEP("channel-mark");
    set64(&slot->sequence, WRITING | (channel->next + 1));
    /* The mark is seen before any of what follows. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    STEP("channel-write");
    set64(&slot->bytes, bytes);
    libeca_copy_to(slot->data, data, bytes);
    STEP("channel-send");
    set64(&slot->sequence, channel->next + 1);
    STEP("channel-sent");
    channel->next++;
    set64(&channel->shared->published, channel->next);
    STEP("channel-counted");
    return 0;
}

/* Copy message @next if it is there, and whole; -EAGAIN: it is gone. */
static int copy_out(EcaChannel *channel, void *data, uint32_t room)
{
    MessageSlot *slot = slot_at(channel, channel->next);
    uint64_t bytes = get64(&slot->bytes);
    bool fits = bytes <= channel->bytes && bytes <= room;

    LOOK("channel-copy");
    if (fits) {
        libeca_copy_from(data, slot->data, bytes);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) !=
        channel->next + 1) {
        return -EAGAIN;
    }
    return fits ? (int)bytes : bytes > channel->bytes ? -EUCLEAN : -EMSGSIZE;
}

int eca_channel_receive(EcaChannel *channel, void *data, uint32_t room,
                        uint64_t *missed, int timeout_ms)
{
    Wait wait = WAIT(channel->eca, timeout_ms);
    int error = 0;

    *missed = 0;
    if (channel->writer) {
        return -EPERM;
    }
    for (;;) {
        uint64_t *word = &slot_at(channel, channel->next)->sequence;
        uint64_t sequence = get64(word);
        int look;

        if (sequence == channel->next + 1) {
            int bytes = copy_out(channel, data, room);

            if (bytes != -EAGAIN) {
                channel->next += bytes >= 0;
                return bytes;
            }
            continue;
        }
        if ((sequence & ~WRITING) > channel->next + 1) {
            uint64_t first = oldest(channel);

            if (first <= channel->next) {
                return -EUCLEAN;
            }
            *missed += first - channel->next;
            channel->next = first;
            continue;
        }
        if (error) {
            return error;           /* and nothing came before it */
        }
        look = libeca_wait(&wait);
        LOOK("channel-empty");
        error = look > 0 ? libeca_look_at_peer(
            channel->eca, get64(&channel->shared->writer)) : look;
    }
}
