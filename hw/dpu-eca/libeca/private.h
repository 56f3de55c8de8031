/*
 * libeca: layouts in shared memory, and what its files share
 *
 * docs/libeca.md says why each step is where it is.  All words in shared
 * memory are little-endian, and written by one naturally aligned access.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LIBECA_PRIVATE_H
#define LIBECA_PRIVATE_H

#include "eca/eca.h"

#define PAGE_BYTES      4096u
#define MAX_ALIGN       (2u << 20)

#define LINE_ALIGNED    __attribute__((aligned(ECA_CACHE_LINE)))

/*
 * A place at which a host may die, before each change of shared memory.
 * The tests have a build in which they decide who ends where.  LOOK is
 * between two looks at it, where another may come between.
 */
#ifdef ECA_STEPS
void libeca_step(const char *name);
void libeca_look(const char *name);
#define STEP(name) libeca_step(name)
#define LOOK(name) libeca_look(name)
#else
#define STEP(name) ((void)0)
#define LOOK(name) ((void)0)
#endif

/* The device */

typedef struct EcaOps {
    bool (*up)(Eca *eca);
    int (*life)(Eca *eca, uint32_t host, uint32_t *life);
    void (*info)(Eca *eca, EcaInfo *info);
    void (*close)(Eca *eca);
} EcaOps;

struct Eca {
    const EcaOps *ops;
    void *map;                      /* of the device */
    size_t map_bytes;
    uint8_t *memory;                /* what of it is for users */
    uint64_t bytes;
    volatile uint8_t *bar;          /* bar.c */
    size_t bar_bytes;
    char *folder;                   /* of the function in sysfs, or NULL */
    int vfio[3];                    /* container, group, device; or -1 */
    struct FileSlot *slot;          /* file.c: this process's */
    uint32_t host, incarnation;
    uint64_t self;                  /* this process's owner word */
};

int libeca_open_bar(Eca *eca);
/* Whether the agent has queues and events: not all versions do. */
bool libeca_has_rings(Eca *eca);
int libeca_open_file(Eca *eca, int fd, uint64_t bytes);

/* The agent's registers; for who has opened it, bar.c */

static inline uint32_t bar_get4(Eca *eca, uint32_t offset)
{
    /* a device's register */
    return *(volatile uint32_t *)(eca->bar + offset);
}

static inline uint64_t bar_get8(Eca *eca, uint32_t offset)
{
    /* a device's register */
    return *(volatile uint64_t *)(eca->bar + offset);
}

static inline void bar_set4(Eca *eca, uint32_t offset, uint32_t value)
{
    /* a device's register */
    *(volatile uint32_t *)(eca->bar + offset) = value;
}

static inline void bar_set8(Eca *eca, uint32_t offset, uint64_t value)
{
    /* a device's register */
    *(volatile uint64_t *)(eca->bar + offset) = value;
}

/* Open a file of the function in sysfs; -ENOTSUP: it is bound to vfio. */
int libeca_bar_file(Eca *eca, const char *name);

/*
 * Claim registers for an open resource0: other processes of the guest get
 * -EBUSY until it is closed, also by the caller's death.
 */
int libeca_bar_claim(int fd, uint32_t offset, uint32_t bytes);

/* Memory for the agent's DMA, pinned.c */

#define PINNED_PAGES    33
#define PINNED_BYTES    (PINNED_PAGES * PAGE_BYTES)

typedef struct Pinned {
    uint8_t *at;                    /* zeroed */
    uint64_t address[PINNED_PAGES]; /* guest physical, of each page */
    uint32_t offset;                /* of the registers it is for */
    int pin;                        /* the io_uring */
    int claim;                      /* resource0, with the lock */
} Pinned;

/*
 * Claim the agent's registers at @offset, clear the one at @control from
 * there, and get memory for what they are about; bus mastering is enabled.
 * -EBUSY: another process has them; errors of eca_agent_open().
 */
int libeca_pin(Pinned *p, Eca *eca, uint32_t offset, uint32_t bytes,
               uint32_t control);

/* The caller has turned off what uses it. */
void libeca_unpin(Pinned *p);

/* A process's start time and boot, hashed; 0: no such process lives. */
uint64_t libeca_process_stamp(uint32_t pid);

/* Whether the owner that a word names is dead; see docs/libeca.md. */
bool libeca_dead(Eca *eca, uint64_t word);

/* Note who died; returns @error. */
int libeca_died(uint64_t word, int error);

/* Waiting */

typedef struct Wait {
    Eca *eca;
    int timeout_ms;
    uint64_t deadline;              /* ns; 0: none yet */
    uint32_t tries;
    bool last;
} Wait;

#define WAIT(eca_, timeout_) \
    ((Wait) { .eca = (eca_), .timeout_ms = (timeout_) })

/*
 * Before looking again.  0: look; 1: look, and for deaths too; -ETIMEDOUT,
 * -ENOLINK, or -EINVAL for a negative time: give up.
 */
int libeca_wait(Wait *wait);

/*
 * Something has come: look eagerly again, within the same time.  0, or
 * -ETIMEDOUT when that is over; a time of 0 is once for each.
 */
int libeca_wait_moved(Wait *wait);

/* ms that are left, at least 0; the time begins with the first call. */
int libeca_wait_left(Wait *wait);

/* Words in shared memory */

static inline uint64_t get64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void set64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline bool swap64(uint64_t *word, uint64_t old, uint64_t value)
{
    return __atomic_compare_exchange_n(word, &old, value, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

/*
 * Messages go by words: a library's memcpy may go by bytes (rep movsb), each
 * of which is an access of its own where memory is trapped.  Shared memory
 * has room for whole words.
 */
void libeca_copy_to(uint64_t *shared, const void *data, uint32_t bytes);
void libeca_copy_from(void *data, const uint64_t *shared, uint32_t bytes);

/* A word that owners take; of spinlocks, and of the arena's lock. */
int libeca_word_lock(Eca *eca, uint64_t *word, uint64_t *dead,
                     int timeout_ms);
int libeca_word_unlock(Eca *eca, uint64_t *word);

/*
 * Take a place that one process may have: @word is 0, LIBECA_CLOSED, a dead
 * owner's, or -EBUSY.
 */
#define LIBECA_CLOSED   1ull        /* no owner's word: its pid would be 0 */
int libeca_take_place(Eca *eca, uint64_t *word);
void libeca_leave_place(Eca *eca, uint64_t *word);

/* What an empty wait for the owner of @word's place has come to: 0: go on. */
int libeca_look_at_peer(Eca *eca, uint64_t word);

/* The arena */

#define ARENA_MAGIC     0x31616e6572616365ull   /* "ecarena1" */

typedef struct ArenaHeader {
    uint64_t magic;
    uint64_t creator;               /* owner's word, while it is made */
    uint64_t bytes;
    uint64_t data;                  /* where it begins */
    uint64_t objects;
    uint64_t lock LINE_ALIGNED;
} ArenaHeader;

enum { OBJECT_FREE, OBJECT_BUILDING, OBJECT_READY, OBJECT_STATES = 4 };

typedef struct ArenaObject {
    char name[ECA_NAME_BYTES];
    uint64_t offset, bytes;
    uint64_t builder;
    uint32_t kind;
    uint32_t state;                 /* and OBJECT_STATES * how many changes */
} ArenaObject;

_Static_assert(sizeof(ArenaHeader) == 2 * ECA_CACHE_LINE, "two lines");
_Static_assert(sizeof(ArenaObject) == ECA_CACHE_LINE, "one line");

struct EcaArena {
    Eca *eca;
    ArenaHeader *header;
    ArenaObject *table;
    uint64_t bytes, data;           /* copies, that were checked */
    uint32_t objects;
};

/*
 * A consistent copy of an object's line, and its state; without a name, and
 * so not sane, if somebody changes the line without end.
 */
int libeca_object_read(const EcaArena *arena, uint32_t index,
                       ArenaObject *copy);
bool libeca_object_sane(const EcaArena *arena, const ArenaObject *object);
/* Under the arena's lock: free what a dead builder left. */
bool libeca_object_reclaim(EcaArena *arena, uint32_t index,
                           ArenaObject *copy);
void libeca_object_set(ArenaObject *object, int state);

int libeca_arena_lock(EcaArena *arena, int timeout_ms);
void libeca_arena_unlock(EcaArena *arena);

/*
 * Find an object, or make it: @prepare is called with its zeroed memory
 * before anybody else sees it.  -EPROTOTYPE if its kind or size differs.
 */
int libeca_object_open(EcaArena *arena, const char *name, EcaKind kind,
                       uint64_t bytes, void (*prepare)(void *at, void *arg),
                       void *arg, void **at, int timeout_ms);

/* Slots of messages, of which queues and channels are made */

typedef struct Shape {
    uint64_t slots;                 /* a power of two */
    uint64_t bytes;                 /* of the longest message */
} Shape;

typedef struct MessageSlot {
    uint64_t sequence;              /* n + 1: message n is here */
    uint64_t bytes;
    uint64_t data[];
} MessageSlot;

bool libeca_shape_sane(const Shape *shape);

/* Bytes from one slot to the next. */
uint64_t libeca_stride(const Shape *shape);

/*
 * Find an object of @bytes that begins with its shape, or make it.
 * -EPROTOTYPE if it has another one.
 */
int libeca_shape_open(EcaArena *arena, const char *name, EcaKind kind,
                      uint64_t bytes, Shape *shape, void **at,
                      int timeout_ms);

#endif /* LIBECA_PRIVATE_H */
