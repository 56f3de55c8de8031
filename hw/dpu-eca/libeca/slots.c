/*
 * libeca: slots of messages, of which queues and channels are made
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include "private.h"

#define MAX_SLOTS       65536u
#define MAX_BYTES       (1u << 20)

bool libeca_shape_sane(const Shape *shape)
{
    uint64_t slots = shape->slots;

    return slots >= 2 && slots <= MAX_SLOTS && !(slots & (slots - 1)) &&
           shape->bytes && shape->bytes <= MAX_BYTES;
}

uint64_t libeca_stride(const Shape *shape)
{
    return (sizeof(MessageSlot) + shape->bytes + ECA_CACHE_LINE - 1) /
           ECA_CACHE_LINE * ECA_CACHE_LINE;
}

static void prepare(void *at, void *arg)
{
    const Shape *shape = arg;
    Shape *shared = at;

    set64(&shared->slots, shape->slots);
    set64(&shared->bytes, shape->bytes);
}

int libeca_shape_open(EcaArena *arena, const char *name, EcaKind kind,
                      uint64_t bytes, Shape *shape, void **at,
                      int timeout_ms)
{
    const Shape *shared;
    int error = libeca_object_open(arena, name, kind, bytes, prepare, shape,
                                   at, timeout_ms);

    if (error) {
        return error;
    }
    shared = *at;
    return get64(&shared->slots) != shape->slots ||
           get64(&shared->bytes) != shape->bytes ? -EPROTOTYPE : 0;
}
