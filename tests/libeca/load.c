/*
 * Tests of libeca without a chosen step: misuse, times, damage, load
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "eca-test.h"

#define BYTES           (1u << 20)
#define THREADS         4
#define ENTRIES         3000
#define MESSAGES        20000
#define SLOTS           64
#define FEW             2           /* so that readers are lapped */
#define DEATHS          150
#define FLIPS           2000

static EcaArena *fresh(const char *file, Eca **eca)
{
    EcaArena *arena;

    EXPECT(eca_format_file(file, BYTES), 0);
    EXPECT(eca_open(eca, file), 0);
    EXPECT(eca_arena_create(*eca, 0, 0, 32), 0);
    EXPECT(eca_arena_join(&arena, *eca, 0), 0);
    return arena;
}

static EcaArena *other(const char *file, Eca **eca)
{
    EcaArena *arena;

    EXPECT(eca_open(eca, file), 0);
    EXPECT(eca_arena_join(&arena, *eca, 0), 0);
    return arena;
}

/* What must be refused, and how */

static void misuse_arena(Eca *eca, EcaArena *arena)
{
    void *at;
    uint64_t bytes;
    EcaArena *none;

    EXPECT(eca_arena_create(eca, 0, 0, 32), -EEXIST);
    EXPECT(eca_arena_create(eca, 100, 0, 32), -EINVAL);
    EXPECT(eca_arena_create(eca, 4096, 0, 0), -EINVAL);
    EXPECT(eca_arena_create(eca, BYTES, 0, 32), -EINVAL);
    EXPECT(eca_arena_create(eca, 4096, 4096, 32), -EINVAL);
    EXPECT(eca_arena_join(&none, eca, BYTES / 2), -ENOENT);
    EXPECT(eca_arena_join(&none, eca, 1), -EINVAL);
    EXPECT(eca_arena_destroy(eca, BYTES / 2), -ENOENT);
    EXPECT(eca_alloc(arena, "", 8, 0, &at, 0), -EINVAL);
    EXPECT(eca_alloc(arena, "a b", 8, 0, &at, 0), -EINVAL);
    EXPECT(eca_alloc(arena, "a\"b", 8, 0, &at, 0), -EINVAL);
    EXPECT(eca_alloc(arena, "0123456789012345678901234567890x", 8, 0, &at,
                     0), -ENAMETOOLONG);
    EXPECT(eca_alloc(arena, "a", 0, 0, &at, 0), -EINVAL);
    EXPECT(eca_alloc(arena, "a", 8, 3, &at, 0), -EINVAL);
    EXPECT(eca_alloc(arena, "a", BYTES, 0, &at, 0), -ENOSPC);
    EXPECT(eca_alloc(arena, "a", UINT64_MAX, 0, &at, 0), -ENOSPC);
    EXPECT(eca_alloc(arena, "a", 10, 0, &at, 0), 0);
    EXPECT(eca_alloc(arena, "a", 10, 0, &at, 0), -EEXIST);
    EXPECT(eca_find(arena, "a", &at, &bytes), 0);
    EXPECT(bytes, 16);
    EXPECT(eca_find(arena, "b", &at, &bytes), -ENOENT);
    EXPECT(eca_free(arena, "b", 0), -ENOENT);
    for (int i = 1; i < 32; i++) {
        char name[8];

        snprintf(name, sizeof(name), "n%d", i);
        EXPECT(eca_alloc(arena, name, 8, 0, &at, 0), 0);
    }
    EXPECT(eca_alloc(arena, "n32", 8, 0, &at, 0), -ENFILE);
    for (int i = 1; i < 32; i++) {
        char name[8];

        snprintf(name, sizeof(name), "n%d", i);
        EXPECT(eca_free(arena, name, 0), 0);
    }
}

void test_misuse(const char *file)
{
    Eca *eca, *second;
    EcaArena *arena = fresh(file, &eca), *guest = other(file, &second);
    EcaSpin *spin;
    EcaTicket *ticket;
    EcaBarrier *barrier, *more;
    EcaQueue *queue, *queue2;
    EcaChannel *channel, *channel2;
    uint64_t missed;
    uint32_t life;
    char byte;

    EXPECT(eca_open(&second, "/dev/null"), -EINVAL);
    EXPECT(eca_open(&second, "/no/such"), -ENOENT);
    EXPECT(eca_format_file(file, 5000), -EINVAL);
    EXPECT(eca_life(eca, 63, &life), -EINVAL);
    misuse_arena(eca, arena);

    EXPECT(eca_spin_open(&spin, arena, "a", 0), -EPROTOTYPE);
    EXPECT(eca_spin_open(&spin, arena, "spin", 0), 0);
    EXPECT(eca_spin_unlock(spin), -EPERM);
    EXPECT(eca_find(arena, "spin", NULL, NULL), -EPROTOTYPE);
    EXPECT(eca_ticket_open(&ticket, arena, "ticket", 0), 0);
    EXPECT(eca_ticket_unlock(ticket), -EPERM);
    EXPECT(eca_barrier_open(&barrier, arena, "b", 1, 0, 0), -EINVAL);
    EXPECT(eca_barrier_open(&barrier, arena, "b", 65, 0, 0), -EINVAL);
    EXPECT(eca_barrier_open(&barrier, arena, "b", 2, 2, 0), -EINVAL);
    EXPECT(eca_barrier_open(&barrier, arena, "b", 2, -1, 0), 0);
    EXPECT(eca_barrier_index(barrier), 0);
    EXPECT(eca_barrier_open(&more, guest, "b", 3, -1, 0), -EPROTOTYPE);
    EXPECT(eca_barrier_open(&more, guest, "b", 2, 0, 0), -EBUSY);
    EXPECT(eca_barrier_open(&more, guest, "b", 2, -1, 0), 0);
    EXPECT(eca_barrier_index(more), 1);
    EXPECT(eca_queue_open(&queue, arena, "q", 2, 8, 8, 0), -EINVAL);
    EXPECT(eca_queue_open(&queue, arena, "q", 0, 7, 8, 0), -EINVAL);
    EXPECT(eca_queue_open(&queue, arena, "q", 0, 8, 0, 0), -EINVAL);
    EXPECT(eca_queue_open(&queue, arena, "q", 0, 8, 8, 0), 0);
    EXPECT(eca_queue_open(&queue2, guest, "q", 1, 8, 16, 0), -EPROTOTYPE);
    EXPECT(eca_queue_open(&queue2, guest, "q", 0, 8, 8, 0), -EBUSY);
    EXPECT(eca_queue_open(&queue2, guest, "q", 1, 8, 8, 0), 0);
    EXPECT(eca_queue_send(queue, "123456789", 9, 0), -EMSGSIZE);
    EXPECT(eca_queue_send(queue, "12345678", 8, 0), 0);
    EXPECT(eca_queue_receive(queue2, &byte, 1, 0), -EMSGSIZE);
    EXPECT(eca_queue_send(queue, "", 0, -1), 0);
    EXPECT(eca_queue_receive(queue, &byte, 1, -1), -EINVAL);
    EXPECT(eca_channel_open(&channel, arena, "c", true, 3, 8, 0), -EINVAL);
    EXPECT(eca_channel_open(&channel, arena, "c", true, 4, 8, 0), 0);
    EXPECT(eca_channel_open(&channel2, guest, "c", true, 4, 8, 0), -EBUSY);
    EXPECT(eca_channel_open(&channel2, guest, "c", false, 4, 8, 0), 0);
    EXPECT(eca_channel_send(channel2, "x", 1), -EPERM);
    EXPECT(eca_channel_send(channel, "123456789", 9), -EMSGSIZE);
    EXPECT(eca_channel_receive(channel, &byte, 1, &missed, 0), -EPERM);
    eca_channel_close(channel);
    EXPECT(eca_channel_receive(channel2, &byte, 1, &missed, 0), -EPIPE);
    eca_queue_close(queue2);
    EXPECT(eca_queue_receive(queue, &byte, 1, 0), -EPIPE);
}

/* Times */

void test_timeouts(const char *file)
{
    Eca *eca, *second;
    EcaArena *arena = fresh(file, &eca), *guest = other(file, &second);
    EcaSpin *spin, *spin2;
    EcaTicket *ticket, *ticket2;
    EcaBarrier *barrier, *more;
    EcaQueue *queue;
    EcaChannel *channel;
    uint64_t missed;
    char byte;

    EXPECT(eca_spin_open(&spin, arena, "s", 0), 0);
    EXPECT(eca_spin_open(&spin2, guest, "s", 0), 0);
    EXPECT(eca_spin_lock(spin, 0), 0);
    EXPECT(eca_spin_lock(spin2, 0), -ETIMEDOUT);
    EXPECT(eca_spin_lock(spin2, 5), -ETIMEDOUT);
    EXPECT(eca_spin_lock(spin2, -1), -EINVAL);
    EXPECT(eca_spin_unlock(spin2), -EPERM);
    EXPECT(eca_spin_unlock(spin), 0);
    EXPECT(eca_spin_lock(spin2, 0), 0);

    EXPECT(eca_ticket_open(&ticket, arena, "t", 0), 0);
    EXPECT(eca_ticket_open(&ticket2, guest, "t", 0), 0);
    EXPECT(eca_ticket_lock(ticket, 0), 0);
    /* More who give up than there are slots. */
    for (int i = 0; i < 63; i++) {
        EXPECT(eca_ticket_lock(ticket2, 0), -ETIMEDOUT);
    }
    EXPECT(eca_ticket_lock(ticket2, 0), -ETIMEDOUT);
    EXPECT(eca_ticket_unlock(ticket), 0);
    for (int i = 0; i < 200; i++) {
        EXPECT(eca_ticket_lock(ticket2, 1000), 0);
        EXPECT(eca_ticket_lock(ticket, 0), -ETIMEDOUT);
        EXPECT(eca_ticket_unlock(ticket2), 0);
    }
    EXPECT(eca_ticket_lock(ticket, 1000), 0);

    /* Handed over by a death, here the end of what it was opened with. */
    eca_close(second);
    EXPECT(eca_spin_lock(spin, 0), -EOWNERDEAD);
    EXPECT(eca_dead_host(), 1);

    EXPECT(eca_barrier_open(&barrier, arena, "b", 2, 0, 0), 0);
    EXPECT(eca_barrier_wait(barrier, 5), -ETIMEDOUT);
    EXPECT(eca_barrier_wait(barrier, 0), -ETIMEDOUT);
    EXPECT(eca_barrier_open(&more, arena, "b", 2, 1, 0), 0);
    EXPECT(eca_barrier_wait(more, 0), 0);
    EXPECT(eca_barrier_wait(more, 0), -ETIMEDOUT);
    EXPECT(eca_barrier_wait(barrier, 0), 0);
    EXPECT(eca_barrier_wait(barrier, 0), 0);
    EXPECT(eca_barrier_wait(more, 0), 0);
    EXPECT(eca_queue_open(&queue, arena, "q", 0, 2, 8, 0), 0);
    EXPECT(eca_queue_receive(queue, &byte, 1, 5), -ETIMEDOUT);
    EXPECT(eca_queue_send(queue, "a", 1, 0), 0);
    EXPECT(eca_queue_send(queue, "b", 1, 0), 0);
    EXPECT(eca_queue_send(queue, "c", 1, 5), -ETIMEDOUT);
    EXPECT(eca_channel_open(&channel, arena, "c", false, 2, 8, 0), 0);
    EXPECT(eca_channel_receive(channel, &byte, 1, &missed, 5), -ETIMEDOUT);
}

/* Metadata that another host has damaged: errors, and no more. */

static uint32_t *restless;      /* the state of an object's line */

static void change_state(const char *name)
{
    if (!strcmp(name, "object-reread")) {
        *restless += 4;
    }
}

/* Whoever changes a line without end stops nobody. */
static void damage_without_end(EcaArena *arena, uint8_t *memory)
{
    EcaReport report;
    EcaObject object;
    uint32_t index = 0;
    void *at;

    restless = (uint32_t *)(memory + 128 + 60);
    step_hook = change_state;
    EXPECT(eca_find(arena, "one", &at, NULL), -EUCLEAN);
    EXPECT(eca_next(arena, &index, &object), -EUCLEAN);
    EXPECT(eca_alloc(arena, "three", 100, 0, &at, 0), -EUCLEAN);
    EXPECT(eca_free(arena, "one", 0), -EUCLEAN);
    EXPECT(eca_arena_check(arena, &report, 0), -EUCLEAN);
    step_hook = NULL;
    EXPECT(eca_find(arena, "one", &at, NULL), 0);
}

void test_damage(const char *file, uint64_t seed)
{
    Eca *eca;
    EcaArena *arena = fresh(file, &eca);
    uint8_t *memory = eca_memory(eca), saved[4096];
    unsigned noticed = 0;
    void *at;

    EXPECT(eca_alloc(arena, "one", 5000, 0, &at, 0), 0);
    EXPECT(eca_alloc(arena, "two", 5000, 4096, &at, 0), 0);
    damage_without_end(arena, memory);
    memcpy(saved, memory, sizeof(saved));
    for (int i = 0; i < FLIPS; i++) {
        EcaArena *again = NULL;
        EcaReport report;
        EcaObject object;
        uint32_t index = 0;
        uint64_t offset = next_random(&seed) % 384;

        memory[offset] ^= 1 << next_random(&seed) % 8;
        if (!eca_arena_join(&again, eca, 0)) {
            noticed += eca_arena_check(again, &report, 0) == -EUCLEAN;
            eca_find(again, "one", &at, NULL);
            while (!eca_next(again, &index, &object)) {
                CHECK(memchr(object.name, 0, sizeof(object.name)));
                CHECK(object.offset + object.bytes <= BYTES);
            }
            eca_alloc(again, "three", 100, 0, &at, 0);
            eca_free(again, "two", 0);
            eca_arena_leave(again);
        }
        memcpy(memory, saved, sizeof(saved));
    }
    CHECK(noticed > FLIPS / 20);
}

/* Load, by threads (for TSan) and by processes */

typedef struct Load {
    const char *file;
    int number;
} Load;

static void enter(uint64_t *pair)
{
    CHECK(pair[0] == pair[1]);
    pair[0]++;
    pair[1]++;
}

static void contend(EcaArena *arena, const char *name, bool ticket)
{
    EcaSpin *spin = NULL;
    EcaTicket *queue = NULL;
    char data[8];
    void *pair;

    snprintf(data, sizeof(data), "d%s", name);
    EXPECT(eca_find(arena, data, &pair, NULL), 0);
    if (ticket) {
        EXPECT(eca_ticket_open(&queue, arena, name, TIMEOUT), 0);
    } else {
        EXPECT(eca_spin_open(&spin, arena, name, TIMEOUT), 0);
    }
    for (int i = 0; i < ENTRIES; i++) {
        EXPECT(ticket ? eca_ticket_lock(queue, TIMEOUT) :
               eca_spin_lock(spin, TIMEOUT), 0);
        enter(pair);
        EXPECT(ticket ? eca_ticket_unlock(queue) : eca_spin_unlock(spin), 0);
    }
    eca_spin_close(spin);
    eca_ticket_close(queue);
}

/* Numbers 0 and 1 send each other messages. */
static void exchange(EcaArena *arena, int side)
{
    EcaQueue *queue;
    Message message;

    EXPECT(eca_queue_open(&queue, arena, "queue", side, SLOTS,
                          sizeof(message), TIMEOUT), 0);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        uint32_t bytes = message_fill(&message, i);

        EXPECT(eca_queue_send(queue, &message, bytes, TIMEOUT), 0);
        if (i >= SLOTS / 2) {
            int got = eca_queue_receive(queue, &message, sizeof(message),
                                        TIMEOUT);

            EXPECT(message_check(&message, got), i - SLOTS / 2);
        }
    }
    for (uint64_t i = MESSAGES - SLOTS / 2; i < MESSAGES; i++) {
        int got = eca_queue_receive(queue, &message, sizeof(message),
                                    TIMEOUT);

        EXPECT(message_check(&message, got), i);
    }
    eca_queue_close(queue);
}

/* Number 2 writes, number 3 reads. */
static void broadcast(EcaArena *arena, bool writer)
{
    EcaChannel *channel;
    Message message;
    uint64_t next = 0, missed;
    int got = 0;

    EXPECT(eca_channel_open(&channel, arena, "channel", writer, FEW,
                            sizeof(message), TIMEOUT), 0);
    for (uint64_t i = 0; writer && i < MESSAGES; i++) {
        EXPECT(eca_channel_send(channel, &message,
                                message_fill(&message, i)), 0);
    }
    while (!writer) {
        got = eca_channel_receive(channel, &message, sizeof(message),
                                  &missed, TIMEOUT);
        if (got < 0) {
            break;
        }
        next = next ? next + missed : message.words[0];
        EXPECT(message_check(&message, got), next);
        next++;
    }
    CHECK(writer || got == -EPIPE);
    CHECK(writer || next + missed == MESSAGES);
    eca_channel_close(channel);
}

static void *load(void *opaque)
{
    Load *mine = opaque;
    EcaBarrier *barrier;
    Eca *eca;
    EcaArena *arena = other(mine->file, &eca);

    EXPECT(eca_barrier_open(&barrier, arena, "barrier", THREADS,
                            mine->number, TIMEOUT), 0);
    EXPECT(eca_barrier_wait(barrier, TIMEOUT), 0);
    contend(arena, "spin", false);
    EXPECT(eca_barrier_wait(barrier, TIMEOUT), 0);
    contend(arena, "tick", true);
    EXPECT(eca_barrier_wait(barrier, TIMEOUT), 0);
    if (mine->number < 2) {
        exchange(arena, mine->number);
    } else {
        broadcast(arena, mine->number == 2);
    }
    EXPECT(eca_barrier_wait(barrier, TIMEOUT), 0);
    eca_barrier_close(barrier);
    eca_arena_leave(arena);
    eca_close(eca);
    return NULL;
}

static EcaArena *prepare_load(const char *file, Eca **eca)
{
    EcaArena *arena = fresh(file, eca);
    EcaChannel *channel;
    void *at;

    EXPECT(eca_alloc(arena, "dspin", 16, 0, &at, 0), 0);
    EXPECT(eca_alloc(arena, "dtick", 16, 0, &at, 0), 0);
    /* So that its reader does not find it closed. */
    EXPECT(eca_channel_open(&channel, arena, "channel", false, FEW,
                            sizeof(Message), 0), 0);
    eca_channel_close(channel);
    return arena;
}

static void check_load(EcaArena *arena)
{
    static const char *const names[] = { "dspin", "dtick" };
    void *at;

    for (int i = 0; i < 2; i++) {
        uint64_t *pair;

        EXPECT(eca_find(arena, names[i], &at, NULL), 0);
        pair = at;
        EXPECT(pair[0], THREADS * ENTRIES);
        EXPECT(pair[1], THREADS * ENTRIES);
    }
}

void test_threads(const char *file)
{
    pthread_t threads[THREADS];
    Load loads[THREADS];
    Eca *eca;
    EcaArena *arena = prepare_load(file, &eca);

    for (int i = 0; i < THREADS; i++) {
        loads[i] = (Load) { file, i };
        CHECK(!pthread_create(&threads[i], NULL, load, &loads[i]));
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(!pthread_join(threads[i], NULL));
    }
    check_load(arena);
}

void test_processes(const char *file)
{
    pid_t pid[THREADS];
    Eca *eca;
    EcaArena *arena = prepare_load(file, &eca);

    for (int i = 0; i < THREADS; i++) {
        pid[i] = spawn();
        if (!pid[i]) {
            Load mine = { file, i };

            load(&mine);
            _exit(0);
        }
    }
    for (int i = 0; i < THREADS; i++) {
        int status;

        CHECK(waitpid(pid[i], &status, 0) == pid[i] && !status);
    }
    check_load(arena);
}

/* Deaths at moments of chance */

static void repair(uint64_t *pair, int error)
{
    CHECK(!error || error == -EOWNERDEAD);
    if (error) {
        pair[1] = pair[0];
    }
    enter(pair);
}

/* Until it is killed. */
static void live(const char *file, uint64_t seed)
{
    Eca *eca;
    EcaArena *arena = other(file, &eca);
    EcaSpin *spin;
    EcaTicket *ticket;
    void *pairs[2];
    char name[8];

    EXPECT(eca_spin_open(&spin, arena, "spin", TIMEOUT), 0);
    EXPECT(eca_ticket_open(&ticket, arena, "tick", TIMEOUT), 0);
    EXPECT(eca_find(arena, "dspin", &pairs[0], NULL), 0);
    EXPECT(eca_find(arena, "dtick", &pairs[1], NULL), 0);
    for (;;) {
        uint64_t bytes = 1 + next_random(&seed) % 20000;
        int error;
        void *at;

        repair(pairs[0], eca_spin_lock(spin, TIMEOUT));
        EXPECT(eca_spin_unlock(spin), 0);
        error = eca_ticket_lock(ticket, next_random(&seed) % 4 ? TIMEOUT : 0);
        if (error != -ETIMEDOUT) {
            repair(pairs[1], error);
            EXPECT(eca_ticket_unlock(ticket), 0);
        }
        snprintf(name, sizeof(name), "x%u",
                 (unsigned)next_random(&seed) % 8);
        error = eca_alloc(arena, name, bytes, 0, &at, TIMEOUT);
        CHECK(!error || error == -EEXIST);
        error = eca_find(arena, name, &at, &bytes);
        CHECK(!error || error == -ENOENT);
        if (next_random(&seed) % 2) {
            error = eca_free(arena, name, TIMEOUT);
            CHECK(!error || error == -ENOENT || error == -EBUSY);
        }
    }
}

static pid_t give_birth(const char *file, uint64_t seed)
{
    pid_t pid = spawn();

    if (!pid) {
        live(file, seed);
    }
    return pid;
}

void test_random_deaths(const char *file, uint64_t seed)
{
    pid_t pid[THREADS];
    Eca *eca;
    EcaArena *arena = prepare_load(file, &eca);
    EcaReport report;
    int status;

    for (int i = 0; i < THREADS; i++) {
        pid[i] = give_birth(file, next_random(&seed) | 1);
    }
    for (int i = 0; i < DEATHS; i++) {
        struct timespec nap = { .tv_nsec = next_random(&seed) % 10000000 };
        int victim = next_random(&seed) % THREADS;

        nanosleep(&nap, NULL);
        EXPECT(eca_arena_check(arena, &report, TIMEOUT), 0);
        kill(pid[victim], SIGKILL);
        waitpid(pid[victim], &status, 0);
        CHECK(WIFSIGNALED(status));
        pid[victim] = give_birth(file, next_random(&seed) | 1);
    }
    for (int i = 0; i < THREADS; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], &status, 0);
        CHECK(WIFSIGNALED(status));
    }
    EXPECT(eca_arena_check(arena, &report, TIMEOUT), 0);
}
