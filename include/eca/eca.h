/*
 * libeca: named objects, locks, barriers, queues and channels in memory that
 * several hosts share through a CXL fabric, where any host may die at any
 * moment.  docs/libeca.md has the layouts and who recovers what;
 * docs/man/libeca.3 shows how to use it.
 *
 * Functions return 0 or a count, or a negative errno; eca_strerror() has the
 * words.  Times are milliseconds, 0 to try once; there is no endless wait.
 * Sizes and offsets are bytes.  An EcaArena and what is opened in it may be
 * used by several threads at once, unless a function says otherwise, but
 * not across fork(): the child is another owner and opens its own.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ECA_ECA_H
#define ECA_ECA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECA_CACHE_LINE      64
#define ECA_NAME_BYTES      32      /* of a name, with its NUL */
#define ECA_MAX_GFAMS       8
#define ECA_MAX_MEMBERS     64      /* of a barrier */

typedef struct Eca Eca;
typedef struct EcaArena EcaArena;
typedef struct EcaSpin EcaSpin;
typedef struct EcaTicket EcaTicket;
typedef struct EcaBarrier EcaBarrier;
typedef struct EcaQueue EcaQueue;
typedef struct EcaChannel EcaChannel;

/* Errors */

/* What an error of this library means; never NULL, not to be freed. */
const char *eca_strerror(int error);

/*
 * The host that this thread's last -EOWNERDEAD or -EHOSTDOWN was about; -1
 * before the first.
 */
int eca_dead_host(void);

/* Devices */

typedef enum EcaClass {
    ECA_CLASS_HOT = 1,              /* coherent by lines of 64 bytes */
    ECA_CLASS_BULK = 2,             /* coherent by pages of 4096 bytes */
} EcaClass;

typedef struct EcaRegion {
    char path[64];                  /* of its dax device */
    char name[32];                  /* the kernel's, as in "region0" */
    EcaClass type;
    uint64_t bytes;
    uint64_t dpa;                   /* where it begins in its memory device */
} EcaRegion;

typedef struct EcaInfo {
    bool fabric;                    /* false: a file */
    bool up;                        /* the fabric is not lost */
    bool life;                      /* deaths can be noticed */
    uint32_t host, hosts;           /* this host, and room for how many */
    uint32_t incarnation;           /* of this host */
    uint32_t epoch;                 /* deaths that were recovered; fabric */
    uint32_t leaves, shards, gfams; /* fabric */
    uint32_t bulk_software;         /* bit g: BULK of g is in software mode */
    uint32_t counters;              /* how many eca_counter() knows */
    uint8_t uuid[16];
    struct {
        uint64_t hot, bulk;
        bool attached;              /* to this host */
    } gfam[ECA_MAX_GFAMS];
} EcaInfo;

/*
 * Regions of this host that have a dax device, in @regions, at most @room;
 * returns how many there are.  -ENOTSUP: built without libcxl.
 */
int eca_regions(EcaRegion *regions, unsigned room);

/*
 * The smallest region of a class of at least @bytes; -ENOENT if there is
 * none, else as eca_regions().
 */
int eca_find_region(EcaClass type, uint64_t bytes, EcaRegion *region);

/*
 * Map a device: the path of a dax device, "hot" or "bulk" for the smallest
 * region of that class, the path of a file, or NULL for the agent alone
 * without memory.  -ENODEV: this host has no agent; -EINVAL: @device is
 * neither kind of file; -EUSERS: the file has no room for more processes.
 */
int eca_open(Eca **eca, const char *device);

/* All arenas of it must have been left. */
void eca_close(Eca *eca);

/* The memory, and its bytes; NULL and 0 without memory. */
void *eca_memory(Eca *eca);
uint64_t eca_bytes(Eca *eca);

/*
 * Make a file of at least 8192 bytes into what eca_open() accepts; what was
 * in it is lost.  Nobody may have it open.
 */
int eca_format_file(const char *path, uint64_t bytes);

int eca_info(Eca *eca, EcaInfo *info);

/*
 * The incarnation of a host; 0: none has the number.  -ENOTSUP: the agent
 * does not tell; -EINVAL: no such number.
 */
int eca_life(Eca *eca, uint32_t host, uint32_t *life);

/* One of this host's counters; its name, or NULL if there is none. */
int eca_counter(Eca *eca, uint32_t index, uint64_t *value);
const char *eca_counter_name(uint32_t index);

/*
 * Give a command of docs/specs/dpu-eca.rst to this host's agent for @bytes
 * from @dpa of a GFAM device, in as many pieces as it takes, and wait for
 * its end.  @status is the last piece's COPY_STATUS, or 6 if an earlier one
 * was; @count the sum of COPY_LINES.  It uses the registers, at which the
 * processes of a host wait for each other; threads that share @eca must not
 * meet here.  -ETIMEDOUT: the command may still be under way.
 */
int eca_command(Eca *eca, uint32_t command, uint32_t gfam, uint64_t dpa,
                uint64_t bytes, uint32_t *status, uint64_t *count,
                int timeout_ms);

/*
 * Commands of the agent
 *
 * An EcaAgent gives commands by one of the agent's four queues, which it has
 * for itself, or by the registers, at which processes take turns.  It is for
 * one thread at a time; eca_agent_progress() and eca_agent_abort() may be
 * called from any thread, and from signal handlers.
 *
 * Functions with an EcaOutcome return 0 when the command has ended, and the
 * outcome says how.  -ETIMEDOUT, -ENOLINK and -EIO (somebody has turned the
 * queue off): it was ended early, with status 11; by registers it may still
 * be under way.  -ENOTSUP: it needs a queue, and this has none.
 */
typedef struct EcaAgent EcaAgent;

typedef enum EcaBy {
    ECA_BY_ANY,                     /* a queue if it can be had */
    ECA_BY_QUEUE,
    ECA_BY_REGISTERS,
} EcaBy;

/* Numbers as in docs/specs/dpu-eca.rst. */
typedef enum EcaVerb {
    ECA_DO_FLUSH = 1,
    ECA_DO_INVALIDATE,
    ECA_DO_FLUSH_INVALIDATE,
    ECA_DO_ACQUIRE_SHARED = 16,
    ECA_DO_ACQUIRE_OWNED,
    ECA_DO_RELEASE,
    ECA_DO_PROMOTE,
    ECA_DO_DEMOTE,
    ECA_DO_PREFETCH,
    ECA_DO_RESERVE,
    ECA_DO_UNRESERVE,
} EcaVerb;

typedef struct EcaRange {
    uint64_t dpa, bytes;            /* in a GFAM device */
} EcaRange;

typedef struct EcaOutcome {
    uint32_t status;                /* 0, or the first that was not */
    uint64_t done;                  /* pages, lines, ranges or bytes */
    uint64_t where;                 /* first range that failed; ~0: none */
} EcaOutcome;

/* What a status means; never NULL, not to be freed. */
const char *eca_status_text(uint32_t status);

/*
 * With ECA_BY_ANY an error to get a queue is no error.  -ENOSR: all four are
 * taken; -EACCES, -EPERM: the caller may not see physical addresses, or not
 * pin memory; -ENOTSUP: the agent has no queues, or vfio-pci has it; -ENODEV:
 * no agent.  What a dead process has left under way in its queue is ended by
 * who takes the queue next.
 */
int eca_agent_open(EcaAgent **agent, Eca *eca, EcaBy by);
void eca_agent_close(EcaAgent *agent);

/* The number of its queue, or the error for which it has none. */
int eca_agent_queue(const EcaAgent *agent);

/* What the command under way has done so far, as EcaOutcome.done counts. */
uint64_t eca_agent_progress(EcaAgent *agent);

/* The command under way ends soon, with status 11; by registers it goes on. */
void eca_agent_abort(EcaAgent *agent);

/* A command for @count ranges of any length, in their order. */
int eca_do(EcaAgent *agent, EcaVerb verb, uint32_t gfam,
           const EcaRange *ranges, uint32_t count, EcaOutcome *outcome,
           int timeout_ms);

/*
 * A byte of @held for each page that the range touches: 0 not held, 1 to
 * read, 2 owned, 3 tracked by lines.
 */
int eca_holdings(EcaAgent *agent, uint32_t gfam, EcaRange range,
                 uint8_t *held, EcaOutcome *outcome, int timeout_ms);

/* When all commands of other queues that had begun have ended. */
int eca_fence(EcaAgent *agent, EcaOutcome *outcome, int timeout_ms);

/*
 * Copies by the agent's DMA engine, of whole lines.  Between a device and the
 * caller's memory they go through pages of the library's.
 */
int eca_copy_out(EcaAgent *agent, uint32_t gfam, uint64_t dpa, void *to,
                 uint64_t bytes, EcaOutcome *outcome, int timeout_ms);
int eca_copy_in(EcaAgent *agent, uint32_t gfam, uint64_t dpa,
                const void *from, uint64_t bytes, EcaOutcome *outcome,
                int timeout_ms);
int eca_copy_across(EcaAgent *agent, uint32_t gfam, uint64_t dpa,
                    uint32_t to_gfam, uint64_t to_dpa, uint64_t bytes,
                    EcaOutcome *outcome, int timeout_ms);

/*
 * A message of at most ECA_MESSAGE_BYTES to a host, which gets it as an event;
 * longer is -EMSGSIZE.  Status 2: no host can have the number; 9: its inbox is
 * full; 15: it is not there, or takes none.
 */
#define ECA_MESSAGE_BYTES   24
int eca_send(EcaAgent *agent, uint32_t host, const void *data,
             uint32_t bytes, EcaOutcome *outcome, int timeout_ms);

/*
 * Have the BULK of a device kept coherent by software, or by the directory
 * again, for all hosts.  Status 16: the fabric's owner does not let hosts do
 * so, but its manager can be asked.
 */
int eca_set_mode(EcaAgent *agent, uint32_t gfam, bool software,
                 EcaOutcome *outcome, int timeout_ms);

/*
 * Ask the fabric's manager.  The outcome's done is the request's number,
 * which the answer has: an event, eca_answer().  @first is an EcaWanted for
 * capacity and class, and for a binding 1 to bind or 2 to unbind @second: an
 * LD, or ECA_WHOLE.
 */
typedef enum EcaAsked {
    ECA_ASK_CAPACITY = 1,           /* range.bytes; dpa is 0 */
    ECA_ASK_CLASS,                  /* of a range, in whole pages */
    ECA_ASK_BINDING,                /* the range is 0 */
} EcaAsked;

typedef enum EcaWanted {
    ECA_WANT_HOT = 1,
    ECA_WANT_BULK,
    ECA_WANT_COHERENT,              /* of all of a device's BULK */
    ECA_WANT_SOFTWARE,
} EcaWanted;

enum { ECA_BIND = 1, ECA_UNBIND };

#define ECA_ANY_GFAM    UINT32_MAX  /* for capacity */
#define ECA_WHOLE       0xffffu

int eca_ask(EcaAgent *agent, EcaAsked what, uint32_t gfam, EcaRange range,
            uint32_t first, uint32_t second, EcaOutcome *outcome,
            int timeout_ms);

/* Events of the agent */

typedef struct EcaEvents EcaEvents;

typedef enum EcaEventKind {
    ECA_EVENT_OF_BISNP = 1,
    ECA_EVENT_OF_OWNERSHIP,
    ECA_EVENT_OF_POISON,
    ECA_EVENT_OF_CONFLICT,
    ECA_EVENT_OF_HOST,
    ECA_EVENT_OF_LEAF,
    ECA_EVENT_OF_LINK,
    ECA_EVENT_OF_CAPACITY,
    ECA_EVENT_OF_RECEIVED,
    ECA_EVENT_OF_MESSAGE,
    ECA_EVENT_OF_ANSWER,
    ECA_EVENT_OF_NO_WAY,
} EcaEventKind;

typedef struct EcaEvent {           /* as in docs/specs/dpu-eca.rst */
    uint32_t kind, host, gfam, count;
    uint64_t dpa, bytes, time_ns;
    uint8_t data[ECA_MESSAGE_BYTES];
} EcaEvent;

/* The name of a kind, as in "message"; NULL if there is none. */
const char *eca_event_name(uint32_t kind);

/*
 * Have the agent tell events: bit k of @kinds is kind k; of kinds 1 and 2 one
 * in 2^@sample, at most 20.  One process of a host does this: -EBUSY.  Other
 * errors as eca_agent_open().  An EcaEvents is for one thread.
 */
int eca_events_open(EcaEvents **events, Eca *eca, uint32_t kinds,
                    uint32_t sample);
void eca_events_close(EcaEvents *events);

/* The next event.  -ETIMEDOUT; -EIO: somebody has turned the ring off. */
int eca_events_next(EcaEvents *events, EcaEvent *event, int timeout_ms);

/* What the manager said to a request, by an event of that kind. */
typedef struct EcaAnswer {
    uint64_t request;
    uint32_t what;                  /* EcaAsked */
    uint32_t answer;        /* 0 granted, 1 denied, 2 failed, 3 fabric lost */
} EcaAnswer;

/* -EINVAL: it is another kind of event. */
int eca_answer(const EcaEvent *event, EcaAnswer *answer);

/* Events for which there was no room. */
uint64_t eca_events_lost(EcaEvents *events);

/* Arenas */

typedef enum EcaKind {
    ECA_KIND_DATA = 1,
    ECA_KIND_SPIN,
    ECA_KIND_TICKET,
    ECA_KIND_BARRIER,
    ECA_KIND_QUEUE,
    ECA_KIND_CHANNEL,
} EcaKind;

typedef struct EcaObject {
    char name[ECA_NAME_BYTES];
    EcaKind kind;
    bool ready;                     /* false: somebody is preparing it */
    uint64_t offset;                /* from where the arena begins */
    uint64_t bytes;
} EcaObject;

typedef struct EcaReport {
    uint32_t objects, room;         /* that there are, and may be */
    uint32_t reclaimed;             /* had a dead builder */
    uint64_t bytes, used;           /* for data */
    char fault[128];                /* the first, or "" */
} EcaReport;

/*
 * Make an arena of @bytes (0: all) at @offset of the device, both multiples
 * of 4096, with room for @objects (1 to 65,536).  What was there is lost.
 * -EEXIST: there is an arena; -EBUSY: another process is making one.
 */
int eca_arena_create(Eca *eca, uint64_t offset, uint64_t bytes,
                     uint32_t objects);

/* -ENOENT: there is no arena, or not yet; -EUCLEAN: it is damaged. */
int eca_arena_join(EcaArena **arena, Eca *eca, uint64_t offset);

/* Whatever was opened in it must have been closed. */
void eca_arena_leave(EcaArena *arena);

/*
 * There is no arena any more; nobody may use it.  Also takes away what
 * somebody began to create; -ENOENT: there was neither.
 */
int eca_arena_destroy(Eca *eca, uint64_t offset);

/*
 * Check all metadata, and reclaim what dead builders left.  -EUCLEAN:
 * @report has a fault.
 */
int eca_arena_check(EcaArena *arena, EcaReport *report, int timeout_ms);

/*
 * Data of a new name: zeroed, aligned to @align (0 or a power of two up to
 * 2 MiB; at least a line).  -EEXIST; -ENOSPC; -ENFILE: no room for more
 * objects.  A name is up to 31 printable characters without space, quote and
 * backslash, else -EINVAL.
 */
int eca_alloc(EcaArena *arena, const char *name, uint64_t bytes,
              uint64_t align, void **at, int timeout_ms);

/* Data of that name; @at and @bytes may be NULL. -ENOENT, -EPROTOTYPE. */
int eca_find(EcaArena *arena, const char *name, void **at, uint64_t *bytes);

/*
 * Free an object of any kind, which nobody may use any more.  -EBUSY: one
 * who lives is making it.
 */
int eca_free(EcaArena *arena, const char *name, int timeout_ms);

/*
 * The next object from *@index on, which is advanced; begin with 0.
 * -ENOENT: there are no more.
 */
int eca_next(EcaArena *arena, uint32_t *index, EcaObject *object);

/*
 * The primitives.  Each is an object of an arena; eca_*_open() makes it if
 * there is none of that name, and eca_free() ends it.  *_close() frees the
 * caller's handle, in order: it does not release a lock.
 *
 * Locks are not recursive: a thread that takes a lock twice waits for
 * itself.  -EOWNERDEAD means that the lock is held by the caller, and
 * that what it protects may be half changed.
 */
int eca_spin_open(EcaSpin **lock, EcaArena *arena, const char *name,
                  int timeout_ms);
void eca_spin_close(EcaSpin *lock);
int eca_spin_lock(EcaSpin *lock, int timeout_ms);
int eca_spin_unlock(EcaSpin *lock);             /* -EPERM: not held */

/* In the order in which they asked; at most 64 at a time queue up. */
int eca_ticket_open(EcaTicket **lock, EcaArena *arena, const char *name,
                    int timeout_ms);
void eca_ticket_close(EcaTicket *lock);
int eca_ticket_lock(EcaTicket *lock, int timeout_ms);
int eca_ticket_unlock(EcaTicket *lock);         /* -EPERM: not held */

/*
 * A barrier of @members (2 to 64).  The caller takes place @index, or with
 * -1 the first that is free, or whose member is dead and has none alive.
 * -EBUSY: taken.  A handle is for one thread.
 */
int eca_barrier_open(EcaBarrier **barrier, EcaArena *arena, const char *name,
                     uint32_t members, int index, int timeout_ms);
void eca_barrier_close(EcaBarrier *barrier);    /* its place is free again */
int eca_barrier_index(const EcaBarrier *barrier);

/*
 * Arrive, and wait for all.  After -EHOSTDOWN, -ETIMEDOUT or -ENOLINK the
 * arrival stands: the next call goes on with the same round.
 */
int eca_barrier_wait(EcaBarrier *barrier, int timeout_ms);

/*
 * A pair of rings, each of @slots (a power of two, 2 to 65,536) messages of
 * up to @bytes (1 to 1 MiB).  @side is 0 or 1; one process has a side.  One
 * thread may send while another receives.  -EBUSY: the side is taken.
 */
int eca_queue_open(EcaQueue **queue, EcaArena *arena, const char *name,
                   int side, uint32_t slots, uint32_t bytes, int timeout_ms);
void eca_queue_close(EcaQueue *queue);          /* the other side: -EPIPE */
int eca_queue_send(EcaQueue *queue, const void *data, uint32_t bytes,
                   int timeout_ms);

/*
 * The next message; returns its bytes.  -EHOSTDOWN and -EPIPE come when all
 * messages have been received; -EMSGSIZE leaves the message.
 */
int eca_queue_receive(EcaQueue *queue, void *data, uint32_t room,
                      int timeout_ms);

/*
 * One writer to any readers; shape as above.  A handle is for one thread.
 * A reader begins with the oldest message that is there.  -EBUSY: there is
 * a writer.
 */
int eca_channel_open(EcaChannel **channel, EcaArena *arena, const char *name,
                     bool writer, uint32_t slots, uint32_t bytes,
                     int timeout_ms);
void eca_channel_close(EcaChannel *channel);    /* a writer: -EPIPE */
int eca_channel_send(EcaChannel *channel, const void *data, uint32_t bytes);

/*
 * The next message; returns its bytes.  @missed is how many messages were
 * overwritten before it that this reader has not seen; it is set with errors
 * as well.  -EHOSTDOWN and -EPIPE come when no message is left.
 */
int eca_channel_receive(EcaChannel *channel, void *data, uint32_t room,
                        uint64_t *missed, int timeout_ms);

#endif /* ECA_ECA_H */
