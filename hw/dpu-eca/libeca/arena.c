/*
 * libeca: the arena, named objects in shared memory
 *
 * Free space is what lies between objects, so an operation commits by one
 * store of an object's state, and there is no journal: docs/libeca.md.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "private.h"

#define MAX_OBJECTS     65536u
#define READ_TRIES      10000

/* The arena */

static uint64_t data_offset(uint64_t objects)
{
    uint64_t end = sizeof(ArenaHeader) + objects * sizeof(ArenaObject);

    return (end + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static ArenaHeader *header_at(Eca *eca, uint64_t offset)
{
    if (!eca->memory || offset % PAGE_BYTES || offset >= eca->bytes) {
        return NULL;
    }
    return (ArenaHeader *)(eca->memory + offset);
}

int eca_arena_create(Eca *eca, uint64_t offset, uint64_t bytes,
                     uint32_t objects)
{
    ArenaHeader *header = header_at(eca, offset);
    uint64_t creator, *word;

    if (!header || !objects || objects > MAX_OBJECTS) {
        return -EINVAL;
    }
    bytes = bytes ? bytes : (eca->bytes - offset) / PAGE_BYTES * PAGE_BYTES;
    if (bytes % PAGE_BYTES || bytes > eca->bytes - offset ||
        bytes <= data_offset(objects)) {
        return -EINVAL;
    }
    creator = get64(&header->creator);
    if (get64(&header->magic) == ARENA_MAGIC) {
        return -EEXIST;
    }
    if (creator && !libeca_dead(eca, creator)) {
        return -EBUSY;
    }
    STEP("arena-claim");
    if (!swap64(&header->creator, creator, eca->self)) {
        return -EBUSY;
    }
    /* Somebody may have been through with it meanwhile. */
    if (get64(&header->magic) == ARENA_MAGIC) {
        set64(&header->creator, 0);
        return -EEXIST;
    }
    STEP("arena-clear");
    set64(&header->magic, 0);
    set64(&header->lock, 0);
    header->bytes = bytes;
    header->data = data_offset(objects);
    STEP("arena-fill");
    header->objects = objects;
    word = (uint64_t *)(header + 1);
    for (uint64_t i = 0; i < objects * sizeof(ArenaObject) / 8; i++) {
        set64(&word[i], 0);
    }
    STEP("arena-commit");
    set64(&header->magic, ARENA_MAGIC);
    STEP("arena-committed");
    set64(&header->creator, 0);
    return 0;
}

int eca_arena_join(EcaArena **out, Eca *eca, uint64_t offset)
{
    ArenaHeader *header = header_at(eca, offset);
    EcaArena *arena;

    if (!header) {
        return -EINVAL;
    }
    if (get64(&header->magic) != ARENA_MAGIC) {
        return -ENOENT;
    }
    arena = calloc(1, sizeof(*arena));
    if (!arena) {
        return -ENOMEM;
    }
    *arena = (EcaArena) {
        .eca = eca,
        .header = header,
        .table = (ArenaObject *)(header + 1),
        .bytes = get64(&header->bytes),
        .data = get64(&header->data),
        .objects = get64(&header->objects),
    };
    if (!arena->objects || get64(&header->objects) > MAX_OBJECTS ||
        arena->data != data_offset(arena->objects) ||
        arena->bytes % PAGE_BYTES || arena->bytes <= arena->data ||
        arena->bytes > eca->bytes - offset) {
        free(arena);
        return -EUCLEAN;
    }
    *out = arena;
    return 0;
}

void eca_arena_leave(EcaArena *arena)
{
    free(arena);
}

int eca_arena_destroy(Eca *eca, uint64_t offset)
{
    ArenaHeader *header = header_at(eca, offset);

    if (!header) {
        return -EINVAL;
    }
    if (get64(&header->magic) != ARENA_MAGIC && !get64(&header->creator)) {
        return -ENOENT;
    }
    STEP("arena-destroy");
    set64(&header->magic, 0);
    STEP("arena-destroyed");
    set64(&header->creator, 0);
    return 0;
}

int libeca_arena_lock(EcaArena *arena, int timeout_ms)
{
    uint64_t dead;
    int error = libeca_word_lock(arena->eca, &arena->header->lock, &dead,
                                 timeout_ms);

    /* Whatever the dead owner did, the table is as it may be. */
    return error == -EOWNERDEAD ? 0 : error;
}

void libeca_arena_unlock(EcaArena *arena)
{
    libeca_word_unlock(arena->eca, &arena->header->lock);
}

/* One object's line */

static uint32_t state_of(const ArenaObject *object)
{
    return __atomic_load_n(&object->state, __ATOMIC_ACQUIRE);
}

void libeca_object_set(ArenaObject *object, int state)
{
    uint32_t count = state_of(object) / OBJECT_STATES + 1;

    __atomic_store_n(&object->state, count * OBJECT_STATES + state,
                     __ATOMIC_RELEASE);
}

int libeca_object_read(const EcaArena *arena, uint32_t index,
                       ArenaObject *copy)
{
    ArenaObject *object = &arena->table[index];
    uint32_t state = state_of(object);

    /* Its last word, the state, is read before and after the others. */
    for (int tries = 0; tries < READ_TRIES; tries++) {
        uint32_t again;

        libeca_copy_from(copy, (uint64_t *)object,
                         offsetof(ArenaObject, kind));
        copy->kind = __atomic_load_n(&object->kind, __ATOMIC_RELAXED);
        LOOK("object-reread");
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        again = state_of(object);
        if (again == state) {
            copy->state = state;
            return state % OBJECT_STATES;
        }
        state = again;
    }
    /* No library changes it so often: it is damaged, as it shall seem. */
    *copy = (ArenaObject) { .state = OBJECT_READY };
    return OBJECT_READY;
}

/* What is written in it is other hosts', so it is looked at before use. */
bool libeca_object_sane(const EcaArena *arena, const ArenaObject *object)
{
    return memchr(object->name, '\0', ECA_NAME_BYTES) && object->name[0] &&
           object->offset >= arena->data && object->bytes &&
           object->offset % ECA_CACHE_LINE == 0 &&
           object->offset < arena->bytes &&
           object->bytes <= arena->bytes - object->offset;
}

bool libeca_object_reclaim(EcaArena *arena, uint32_t index,
                           ArenaObject *copy)
{
    if (copy->state % OBJECT_STATES != OBJECT_BUILDING ||
        !libeca_dead(arena->eca, copy->builder)) {
        return false;
    }
    STEP("object-reclaim");
    libeca_object_set(&arena->table[index], OBJECT_FREE);
    return true;
}

static int lookup(EcaArena *arena, const char *name, uint32_t *index,
                  ArenaObject *copy)
{
    for (uint32_t i = 0; i < arena->objects; i++) {
        if (state_of(&arena->table[i]) % OBJECT_STATES == OBJECT_FREE ||
            libeca_object_read(arena, i, copy) == OBJECT_FREE ||
            (copy->name[0] && strncmp(copy->name, name, ECA_NAME_BYTES))) {
            continue;
        }
        if (!libeca_object_sane(arena, copy)) {
            return -EUCLEAN;
        }
        *index = i;
        return 0;
    }
    return -ENOENT;
}

/* Making objects */

typedef struct Extent {
    uint64_t offset, end;
} Extent;

static int by_offset(const void *left, const void *right)
{
    const Extent *a = left, *b = right;

    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

/* First fit between what is used; 0: none. */
static uint64_t find_gap(const EcaArena *arena, Extent *used, uint32_t count,
                         uint64_t bytes, uint64_t align)
{
    /* Alignment is that of the device, which is mapped at such a place. */
    uint64_t base = (uint64_t)((uint8_t *)arena->header -
                               (uint8_t *)arena->eca->map);
    uint64_t at = align_up(base + arena->data, align) - base;

    qsort(used, count, sizeof(*used), by_offset);
    for (uint32_t i = 0; i < count; i++) {
        if (at <= used[i].offset && used[i].offset - at >= bytes) {
            return at;
        }
        if (used[i].end > at) {
            at = align_up(base + used[i].end, align) - base;
        }
    }
    return at < arena->bytes && arena->bytes - at >= bytes ? at : 0;
}

/* Under the lock: room for a new object, and its line. */
static int find_room(EcaArena *arena, const char *name, uint64_t bytes,
                     uint64_t align, uint32_t *index, uint64_t *offset)
{
    Extent *used = malloc(arena->objects * sizeof(*used));
    uint32_t count = 0;
    int error = 0;

    if (!used) {
        return -ENOMEM;
    }
    *index = arena->objects;
    for (uint32_t i = 0; i < arena->objects && !error; i++) {
        ArenaObject copy;

        if (libeca_object_read(arena, i, &copy) == OBJECT_FREE ||
            libeca_object_reclaim(arena, i, &copy)) {
            *index = *index == arena->objects ? i : *index;
        } else if (!libeca_object_sane(arena, &copy)) {
            error = -EUCLEAN;
        } else if (!strncmp(copy.name, name, ECA_NAME_BYTES)) {
            error = -EEXIST;
        } else {
            used[count++] = (Extent) { copy.offset,
                                       copy.offset + copy.bytes };
        }
    }
    if (!error && *index == arena->objects) {
        error = -ENFILE;
    }
    if (!error) {
        *offset = find_gap(arena, used, count, bytes, align);
        error = *offset ? 0 : -ENOSPC;
    }
    free(used);
    return error;
}

static int check_name(const char *name)
{
    size_t length = strlen(name);

    if (!length || length >= ECA_NAME_BYTES) {
        return length ? -ENAMETOOLONG : -EINVAL;
    }
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '"' ||
            name[i] == '\\') {
            return -EINVAL;
        }
    }
    return 0;
}

/* A new object that is BUILDING, with zeroed memory. */
static int build(EcaArena *arena, const char *name, EcaKind kind,
                 uint64_t bytes, uint64_t align, uint32_t *index, void **at,
                 int timeout_ms)
{
    char padded[ECA_NAME_BYTES] = "";
    ArenaObject *object;
    uint64_t offset, *words;
    int error;

    if (!bytes || bytes > arena->bytes || align & (align - 1) ||
        align > MAX_ALIGN) {
        return bytes > arena->bytes ? -ENOSPC : -EINVAL;
    }
    bytes = align_up(bytes, 8);
    error = libeca_arena_lock(arena, timeout_ms);
    if (error) {
        return error;
    }
    error = find_room(arena, name, bytes,
                      align > ECA_CACHE_LINE ? align : ECA_CACHE_LINE, index,
                      &offset);
    if (!error) {
        object = &arena->table[*index];
        memcpy(padded, name, strlen(name));
        STEP("object-fill");
        libeca_copy_to((uint64_t *)object->name, padded, sizeof(padded));
        set64(&object->offset, offset);
        STEP("object-filled");
        set64(&object->bytes, bytes);
        set64(&object->builder, arena->eca->self);
        __atomic_store_n(&object->kind, kind, __ATOMIC_RELAXED);
        STEP("object-building");
        libeca_object_set(object, OBJECT_BUILDING);
    }
    libeca_arena_unlock(arena);
    if (!error) {
        words = (uint64_t *)((uint8_t *)arena->header + offset);
        *at = words;
        STEP("object-zero");
        for (uint64_t i = 0; i < bytes / 8; i++) {
            __atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
        }
    }
    return error;
}

static void publish(EcaArena *arena, uint32_t index)
{
    STEP("object-publish");
    libeca_object_set(&arena->table[index], OBJECT_READY);
    STEP("object-published");
}

int eca_alloc(EcaArena *arena, const char *name, uint64_t bytes,
              uint64_t align, void **at, int timeout_ms)
{
    uint32_t index;
    int error = check_name(name);

    error = error ? error : build(arena, name, ECA_KIND_DATA, bytes, align,
                                  &index, at, timeout_ms);
    if (!error) {
        publish(arena, index);
    }
    return error;
}

int libeca_object_open(EcaArena *arena, const char *name, EcaKind kind,
                       uint64_t bytes, void (*prepare)(void *at, void *arg),
                       void *arg, void **at, int timeout_ms)
{
    Wait wait = WAIT(arena->eca, timeout_ms);
    ArenaObject copy;
    uint32_t index;
    int error = check_name(name);

    while (!error) {
        error = lookup(arena, name, &index, &copy);
        if (!error && copy.state % OBJECT_STATES == OBJECT_READY) {
            *at = (uint8_t *)arena->header + copy.offset;
            return copy.kind == kind && copy.bytes == align_up(bytes, 8) ?
                   0 : -EPROTOTYPE;
        }
        if (error == -ENOENT ||
            (!error && libeca_dead(arena->eca, copy.builder))) {
            error = build(arena, name, kind, bytes, 0, &index, at,
                          timeout_ms);
            if (!error) {
                if (prepare) {
                    prepare(*at, arg);
                }
                publish(arena, index);
                return 0;
            }
            error = error == -EEXIST ? 0 : error;
        }
        if (!error) {
            error = libeca_wait(&wait);     /* somebody is building it */
            error = error < 0 ? error : 0;
        }
    }
    return error;
}

/* The others */

int eca_find(EcaArena *arena, const char *name, void **at, uint64_t *bytes)
{
    ArenaObject copy;
    uint32_t index;
    int error = lookup(arena, name, &index, &copy);

    if (error) {
        return error;
    }
    if (copy.state % OBJECT_STATES != OBJECT_READY) {
        return -ENOENT;
    }
    if (copy.kind != ECA_KIND_DATA) {
        return -EPROTOTYPE;
    }
    if (at) {
        *at = (uint8_t *)arena->header + copy.offset;
    }
    if (bytes) {
        *bytes = copy.bytes;
    }
    return 0;
}

int eca_free(EcaArena *arena, const char *name, int timeout_ms)
{
    ArenaObject copy;
    uint32_t index;
    int error = libeca_arena_lock(arena, timeout_ms);

    if (error) {
        return error;
    }
    error = lookup(arena, name, &index, &copy);
    if (!error && copy.state % OBJECT_STATES == OBJECT_BUILDING) {
        error = libeca_object_reclaim(arena, index, &copy) ? -ENOENT : -EBUSY;
    } else if (!error) {
        STEP("object-free");
        libeca_object_set(&arena->table[index], OBJECT_FREE);
    }
    libeca_arena_unlock(arena);
    return error;
}

int eca_next(EcaArena *arena, uint32_t *index, EcaObject *object)
{
    ArenaObject copy;

    for (; *index < arena->objects; ++*index) {
        int state = libeca_object_read(arena, *index, &copy);

        if (state == OBJECT_FREE) {
            continue;
        }
        if (!libeca_object_sane(arena, &copy)) {
            return -EUCLEAN;
        }
        *object = (EcaObject) {
            .kind = copy.kind, .ready = state == OBJECT_READY,
            .offset = copy.offset, .bytes = copy.bytes,
        };
        memcpy(object->name, copy.name, sizeof(object->name));
        ++*index;
        return 0;
    }
    return -ENOENT;
}
