/*
 * Tests of libeca: what the harness and the cases share
 *
 * A case has a victim, which is killed at one of the library's steps, and
 * survivors, who must recover.  On a host the victim is a process and a
 * file is the memory; in guests it is a guest.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ECA_TEST_H
#define ECA_TEST_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include "eca/eca.h"

#define MAX_SURVIVORS   8
#define TIMEOUT         60000       /* ms; what takes so long hangs */
#define ARENA_OBJECTS   16
#define VICTIMS         2

typedef struct Word {
    uint64_t value __attribute__((aligned(ECA_CACHE_LINE)));
} Word;

/* What those who take part tell each other; beside the arena. */
typedef struct Control {
    Word ready;                     /* the run that was set up */
    Word stopped;                   /* the run whose victim has stopped */
    Word over;                      /* victims that have ended, or died */
    Word victim[VICTIMS];           /* host number + 1 */
    Word joined;                    /* the victim is part of it */
    Word held;                      /* survivor 0 holds the lock */
    Word count;                     /* how far the victim came */
    Word paused, resumed, done;     /* of a race's first */
    Word met[MAX_SURVIVORS];
    Word note[MAX_SURVIVORS];       /* of each survivor, for the others */
} Control;

_Static_assert(sizeof(Control) <= 4096, "a page");

typedef struct Ctx {
    const char *device;
    uint64_t offset;                /* of the control page; then the arena */
    uint64_t bytes;                 /* of the arena */
    uint32_t survivors, rank;
    Control *control;
    Eca *eca;
    EcaArena *arena;
} Ctx;

/* When survivors begin. */
typedef enum Begin {
    BEGIN_WITH,                     /* with the victim */
    BEGIN_STOPPED,                  /* when it has stopped, in guests */
    BEGIN_AFTER,                    /* after its death */
} Begin;

typedef struct Case {
    const char *name;
    const char *stop;               /* where a guest stops, for its kill */
    uint32_t hits;                  /* the how many-th time it is there */
    Begin begin;
    bool twice;                     /* who recovers may be killed, too */
    bool noticed;                   /* some deaths must be noticed */
    void (*setup)(Ctx *ctx);
    void (*victim)(Ctx *ctx);
    /* Returns how many deaths this survivor was told of. */
    int (*survive)(Ctx *ctx);
} Case;

extern const Case cases[];

__attribute__((noreturn, format(printf, 1, 2)))
void fail(const char *format, ...);

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fail("%s:%d: %s", __func__, __LINE__, #condition); \
        } \
    } while (0)

/* A call that must return @want. */
#define EXPECT(call, want) \
    do { \
        int64_t result_ = (call), want_ = (want); \
        if (result_ != want_) { \
            fail("%s:%d: %s returned %lld (%s), not %lld", __func__, \
                 __LINE__, #call, (long long)result_, \
                 eca_strerror(result_ < 0 ? result_ : 0), \
                 (long long)want_); \
        } \
    } while (0)

/* The library calls these in the tests' build; cases may have own steps. */
void libeca_step(const char *name);
void libeca_look(const char *name);
/* Called at each of both too, unless it is NULL. */
extern void (*step_hook)(const char *name);

void open_ctx(Ctx *ctx);
void join_arena(Ctx *ctx);

static inline uint64_t get(const Word *word)
{
    return __atomic_load_n(&word->value, __ATOMIC_SEQ_CST);
}

static inline void set(Word *word, uint64_t value)
{
    __atomic_store_n(&word->value, value, __ATOMIC_SEQ_CST);
}

/* As fork(), and ends with its parent; fails if it cannot. */
pid_t spawn(void);
/* Wait for its end.  True if it was killed; *@ok &= that, or it ended well. */
bool was_killed(pid_t pid, bool *ok);

/* This process dies when it comes to a step, or is paused at its n-th. */
void die_at(const char *name);
void pause_at(uint64_t step);
/* Steps count from here on. */
void begin_steps(void);
/* Whether process @pid was paused; false if it ended before. */
bool await_pause(Ctx *ctx, pid_t pid);

/* Wait until a word has a value of at least that. */
void await(const Word *word, uint64_t value, const char *what);
/* All survivors have come here. */
void meet(Ctx *ctx);
/* The host that died is one of the victims. */
void check_dead(Ctx *ctx);
/* The metadata is right, and nothing of it is lost. */
void check_arena(Ctx *ctx);
void check_room(Ctx *ctx);

/* Messages: the number of one and words that follow from it. */
#define MESSAGE_BYTES   104
typedef struct Message {
    uint64_t words[MESSAGE_BYTES / 8];
} Message;

uint32_t message_fill(Message *message, uint64_t number);
/* Checks a message of so many bytes; its number. */
uint64_t message_check(const Message *message, int bytes);

static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* load.c: no step is chosen; each returns when it is well. */
void test_misuse(const char *file);
void test_timeouts(const char *file);
void test_damage(const char *file, uint64_t seed);
void test_threads(const char *file);
void test_processes(const char *file);
void test_random_deaths(const char *file, uint64_t seed);

/* races.c */
void test_races(const char *file);

/* agent.c: in a guest, as root. */
typedef struct AgentTest {
    const char *name;
    void (*run)(void);
} AgentTest;

extern const AgentTest agent_tests[];

#endif /* ECA_TEST_H */
