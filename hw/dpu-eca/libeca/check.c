/*
 * libeca: the invariants of an arena, checked
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "private.h"

static bool overlap(const ArenaObject *a, const ArenaObject *b)
{
    return a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static bool known_kind(const ArenaObject *object)
{
    return object->kind >= ECA_KIND_DATA && object->kind <= ECA_KIND_CHANNEL;
}

/* The first fault of object @last against those before it. */
static bool faulty(const EcaArena *arena, const ArenaObject *objects,
                   uint32_t last, EcaReport *report)
{
    const ArenaObject *object = &objects[last];

    if (object->state % OBJECT_STATES > OBJECT_READY ||
        !libeca_object_sane(arena, object) || !known_kind(object)) {
        snprintf(report->fault, sizeof(report->fault), "object '%.31s' of "
                 "kind %u: %llu bytes at %llu, state %u", object->name,
                 object->kind, (unsigned long long)object->bytes,
                 (unsigned long long)object->offset, object->state);
        return true;
    }
    for (uint32_t i = 0; i < last; i++) {
        bool same = !strncmp(objects[i].name, object->name, ECA_NAME_BYTES);

        if (same || overlap(&objects[i], object)) {
            snprintf(report->fault, sizeof(report->fault),
                     same ? "two objects '%.31s'" :
                     "objects '%.31s' and '%.31s' overlap", object->name,
                     objects[i].name);
            return true;
        }
    }
    return false;
}

int eca_arena_check(EcaArena *arena, EcaReport *report, int timeout_ms)
{
    ArenaObject *objects = calloc(arena->objects, sizeof(*objects));
    int error = objects ? libeca_arena_lock(arena, timeout_ms) : -ENOMEM;

    memset(report, 0, sizeof(*report));
    if (error) {
        free(objects);
        return error;
    }
    report->room = arena->objects;
    report->bytes = arena->bytes - arena->data;
    for (uint32_t i = 0; i < arena->objects && !error; i++) {
        ArenaObject *copy = &objects[report->objects];

        if (libeca_object_read(arena, i, copy) == OBJECT_FREE) {
            continue;
        }
        if (libeca_object_reclaim(arena, i, copy)) {
            report->reclaimed++;
        } else if (faulty(arena, objects, report->objects, report)) {
            error = -EUCLEAN;
        } else {
            report->objects++;
            report->used += copy->bytes;
        }
    }
    libeca_arena_unlock(arena);
    free(objects);
    return error;
}
