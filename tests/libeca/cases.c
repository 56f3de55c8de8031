/*
 * Tests of libeca: a victim inside each primitive, and who survives it
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <pthread.h>
#include "eca-test.h"

#define ROUNDS          100
#define BARRIER_ROUNDS  3
#define MESSAGES        40
#define SLOTS           8
#define VICTIM_BYTES    5000

static bool gone(Ctx *ctx)
{
    return get(&ctx->control->over) != 0;
}

/* The arena */

static void make_arena(Ctx *ctx)
{
    int error = eca_arena_destroy(ctx->eca, ctx->offset + 4096);

    CHECK(!error || error == -ENOENT);
    libeca_step("between");
    error = eca_arena_create(ctx->eca, ctx->offset + 4096, ctx->bytes,
                             ARENA_OBJECTS);
    CHECK(!error || error == -EEXIST || error == -EBUSY);
}

static int survive_create(Ctx *ctx)
{
    int error, tries = 0;

    do {
        error = eca_arena_create(ctx->eca, ctx->offset + 4096, ctx->bytes,
                                 ARENA_OBJECTS);
    } while (error == -EBUSY && ++tries < 1000000);
    CHECK(!error || error == -EEXIST);
    meet(ctx);
    join_arena(ctx);
    check_arena(ctx);
    meet(ctx);
    if (!ctx->rank) {
        check_room(ctx);
    }
    return 0;
}

/* What is new is cleared, whatever was there before. */
static void setup_alloc(Ctx *ctx)
{
    void *at;

    EXPECT(eca_alloc(ctx->arena, "dirt", ctx->bytes / 2, 0, &at, TIMEOUT),
           0);
    memset(at, 0xff, ctx->bytes / 2);
    EXPECT(eca_free(ctx->arena, "dirt", TIMEOUT), 0);
}

static void victim_alloc(Ctx *ctx)
{
    void *at;
    int error;

    join_arena(ctx);
    error = eca_alloc(ctx->arena, "victim", VICTIM_BYTES, 0, &at, TIMEOUT);
    CHECK(!error || error == -EEXIST);
}

static void setup_free(Ctx *ctx)
{
    void *at;

    EXPECT(eca_alloc(ctx->arena, "victim", VICTIM_BYTES, 4096, &at,
                     TIMEOUT), 0);
    CHECK((uintptr_t)at % 4096 == 0);
    memset(at, 0xff, VICTIM_BYTES);
    set(&ctx->control->count, 0xff);
}

static void victim_free(Ctx *ctx)
{
    int error;

    join_arena(ctx);
    error = eca_free(ctx->arena, "victim", TIMEOUT);
    CHECK(!error || error == -ENOENT);
}

static int survive_objects(Ctx *ctx)
{
    char name[8], *at;
    void *old;
    uint64_t bytes;
    int error;

    join_arena(ctx);
    /* It is there wholly, or not at all. */
    error = eca_find(ctx->arena, "victim", &old, &bytes);
    CHECK(!error || error == -ENOENT);
    CHECK(error || bytes == VICTIM_BYTES);
    for (int i = 0; !error && i < VICTIM_BYTES; i++) {
        CHECK(((uint8_t *)old)[i] == get(&ctx->control->count));
    }
    meet(ctx);
    if (!ctx->rank && error) {
        /* What a dead builder has left is in nobody's way. */
        EXPECT(eca_alloc(ctx->arena, "victim", VICTIM_BYTES, 0, &old,
                         TIMEOUT), 0);
        error = 0;
    }
    check_arena(ctx);
    meet(ctx);
    if (!ctx->rank) {
        EXPECT(eca_free(ctx->arena, "victim", TIMEOUT), error);
    }
    meet(ctx);
    snprintf(name, sizeof(name), "s%u", ctx->rank);
    EXPECT(eca_alloc(ctx->arena, name, 9000, 0, (void **)&at, TIMEOUT), 0);
    for (int i = 0; i < 9000; i++) {
        CHECK(!at[i]);
    }
    memset(at, 1 + ctx->rank, 9000);
    check_arena(ctx);
    meet(ctx);
    for (int i = 0; i < 9000; i++) {
        CHECK(at[i] == (char)(1 + ctx->rank));
    }
    EXPECT(eca_free(ctx->arena, name, TIMEOUT), 0);
    meet(ctx);
    if (!ctx->rank) {
        check_room(ctx);
    }
    return 0;
}

/* Both locks, around two words that must be equal */

typedef struct Pair {
    uint64_t a, b;
} Pair;

typedef struct Lock {
    EcaSpin *spin;
    EcaTicket *ticket;
    Pair *pair;
} Lock;

static void open_lock(Ctx *ctx, Lock *lock, bool ticket)
{
    void *at;

    join_arena(ctx);
    memset(lock, 0, sizeof(*lock));
    if (ticket) {
        EXPECT(eca_ticket_open(&lock->ticket, ctx->arena, "lock", TIMEOUT),
               0);
    } else {
        EXPECT(eca_spin_open(&lock->spin, ctx->arena, "lock", TIMEOUT), 0);
    }
    EXPECT(eca_find(ctx->arena, "pair", &at, NULL), 0);
    lock->pair = at;
}

static void close_lock(Lock *lock)
{
    eca_spin_close(lock->spin);
    eca_ticket_close(lock->ticket);
}

static int take(Lock *lock, int timeout_ms)
{
    return lock->ticket ? eca_ticket_lock(lock->ticket, timeout_ms) :
           eca_spin_lock(lock->spin, timeout_ms);
}

static int give(Lock *lock)
{
    return lock->ticket ? eca_ticket_unlock(lock->ticket) :
           eca_spin_unlock(lock->spin);
}

/* Both words, one after the other; whether an owner had died. */
static bool enter(Ctx *ctx, Lock *lock)
{
    int error = take(lock, TIMEOUT);
    bool died = error == -EOWNERDEAD;

    CHECK(!error || died);
    if (died) {
        check_dead(ctx);
        lock->pair->b = lock->pair->a;
    }
    CHECK(lock->pair->a == lock->pair->b);
    lock->pair->a++;
    libeca_step("inside");
    lock->pair->b++;
    EXPECT(give(lock), 0);
    return died;
}

static void setup_pair(Ctx *ctx)
{
    void *at;

    EXPECT(eca_alloc(ctx->arena, "pair", sizeof(Pair), 0, &at, TIMEOUT), 0);
}

static void setup_ticket(Ctx *ctx)
{
    EcaTicket *lock;

    setup_pair(ctx);
    EXPECT(eca_ticket_open(&lock, ctx->arena, "lock", TIMEOUT), 0);
    eca_ticket_close(lock);
}

static void victim_lock(Ctx *ctx, bool ticket)
{
    Lock lock;

    open_lock(ctx, &lock, ticket);
    enter(ctx, &lock);
    close_lock(&lock);
}

static void victim_spin(Ctx *ctx)
{
    victim_lock(ctx, false);
}

static void victim_ticket(Ctx *ctx)
{
    victim_lock(ctx, true);
}

static int survive_lock(Ctx *ctx, bool ticket)
{
    uint64_t died = 0, all = 0;
    Lock lock;

    open_lock(ctx, &lock, ticket);
    meet(ctx);                      /* so that they race for it */
    for (int i = 0; i < ROUNDS; i++) {
        died += enter(ctx, &lock);
    }
    set(&ctx->control->note[ctx->rank], died);
    meet(ctx);
    for (uint32_t i = 0; i < ctx->survivors; i++) {
        all += get(&ctx->control->note[i]);
    }
    CHECK(all <= 1);                /* one alone takes it over */
    CHECK(lock.pair->a >= ROUNDS * ctx->survivors);
    CHECK(lock.pair->a <= ROUNDS * ctx->survivors + VICTIMS);
    close_lock(&lock);
    return died;
}

static int survive_spin(Ctx *ctx)
{
    return survive_lock(ctx, false);
}

static int survive_ticket(Ctx *ctx)
{
    return survive_lock(ctx, true);
}

/* The victim waits behind one who holds the lock, and gives up. */
static void victim_ticket_waits(Ctx *ctx)
{
    Lock lock;

    open_lock(ctx, &lock, true);
    await(&ctx->control->held, 1, "the holder");
    EXPECT(take(&lock, 20), -ETIMEDOUT);
    close_lock(&lock);
}

static int survive_ticket_waits(Ctx *ctx)
{
    Lock lock;

    if (!ctx->rank) {
        open_lock(ctx, &lock, true);
        EXPECT(take(&lock, TIMEOUT), 0);
        set(&ctx->control->held, 1);
        await(&ctx->control->over, 1, "the victim's end");
        EXPECT(give(&lock), 0);
        close_lock(&lock);
    }
    meet(ctx);
    /* Who never was inside has left nothing half done. */
    EXPECT(survive_lock(ctx, true), 0);
    return 0;
}

/* Barriers */

static void setup_barrier(Ctx *ctx)
{
    EcaBarrier *barrier;

    EXPECT(eca_barrier_open(&barrier, ctx->arena, "barrier",
                            ctx->survivors + 1, 0, TIMEOUT), 0);
    eca_barrier_close(barrier);
}

static EcaBarrier *open_barrier(Ctx *ctx, int index)
{
    EcaBarrier *barrier;

    EXPECT(eca_barrier_open(&barrier, ctx->arena, "barrier",
                            ctx->survivors + 1, index, TIMEOUT), 0);
    EXPECT(eca_barrier_index(barrier), index);
    return barrier;
}

static void victim_barrier(Ctx *ctx)
{
    EcaBarrier *barrier;

    join_arena(ctx);
    barrier = open_barrier(ctx, ctx->survivors);
    set(&ctx->control->joined, 1);
    for (int i = 0; i < BARRIER_ROUNDS; i++) {
        EXPECT(eca_barrier_wait(barrier, TIMEOUT), 0);
        set(&ctx->control->count, i + 1);
    }
    /* Its place stays its own, so it is not missed in vain. */
}

typedef struct Replacement {
    Ctx *ctx;
    int rounds;
} Replacement;

static void *replace_member(void *opaque)
{
    Replacement *replacement = opaque;
    Ctx *ctx = replacement->ctx;
    EcaBarrier *barrier = open_barrier(ctx, ctx->survivors);

    for (int i = 0; i < replacement->rounds; i++) {
        EXPECT(eca_barrier_wait(barrier, TIMEOUT), 0);
    }
    eca_barrier_close(barrier);
    return NULL;
}

/* A round, as long as the victim may still come. */
static int barrier_round(Ctx *ctx, EcaBarrier *barrier)
{
    int error;

    do {
        bool last = gone(ctx);

        error = eca_barrier_wait(barrier, last ? 1000 : 100);
        if (last) {
            break;
        }
    } while (error == -ETIMEDOUT);
    CHECK(!error || error == -EHOSTDOWN || error == -ETIMEDOUT);
    /* Only who was never part of it is not known to be dead. */
    CHECK(error != -ETIMEDOUT || !get(&ctx->control->joined));
    return error;
}

static int survive_barrier(Ctx *ctx)
{
    EcaBarrier *barrier;
    Replacement replacement = { .ctx = ctx };
    pthread_t thread;
    int rounds = 0, error = 0, died = 0;

    join_arena(ctx);
    barrier = open_barrier(ctx, ctx->rank);
    while (rounds < BARRIER_ROUNDS && !error) {
        error = barrier_round(ctx, barrier);
        rounds += !error;
    }
    if (error == -EHOSTDOWN) {
        check_dead(ctx);
        died = 1;
    }
    /* It ended for all survivors alike. */
    set(&ctx->control->note[ctx->rank], rounds);
    meet(ctx);
    for (uint32_t i = 0; i < ctx->survivors; i++) {
        CHECK(get(&ctx->control->note[i]) == (uint64_t)rounds);
    }
    if (error) {
        replacement.rounds = BARRIER_ROUNDS - rounds;
        CHECK(ctx->rank ||
              !pthread_create(&thread, NULL, replace_member, &replacement));
        while (rounds < BARRIER_ROUNDS) {
            error = eca_barrier_wait(barrier, TIMEOUT);
            /* Until the replacement is there. */
            CHECK(!error || error == -EHOSTDOWN);
            rounds += !error;
        }
        CHECK(ctx->rank || !pthread_join(thread, NULL));
    }
    meet(ctx);
    eca_barrier_close(barrier);
    return died;
}

/* Queue pairs */

static EcaQueue *open_queue(Ctx *ctx, int side)
{
    EcaQueue *queue;

    EXPECT(eca_queue_open(&queue, ctx->arena, "queue", side, SLOTS,
                          sizeof(Message), TIMEOUT), 0);
    return queue;
}

/* The victim's side is one that was closed; the other waits for it. */
static void setup_sender(Ctx *ctx)
{
    eca_queue_close(open_queue(ctx, 0));
}

static void setup_receiver(Ctx *ctx)
{
    eca_queue_close(open_queue(ctx, 1));
}

static void send_messages(Ctx *ctx, EcaQueue *queue, uint64_t from, int *error)
{
    Message message;

    for (uint64_t i = from; i < MESSAGES && !*error; i++) {
        uint32_t bytes = message_fill(&message, i);

        *error = eca_queue_send(queue, &message, bytes, TIMEOUT);
        if (!*error) {
            set(&ctx->control->count, i + 1);
        }
    }
}

static void victim_sends(Ctx *ctx)
{
    EcaQueue *queue;
    int error = 0;

    join_arena(ctx);
    queue = open_queue(ctx, 0);
    set(&ctx->control->joined, 1);
    send_messages(ctx, queue, 0, &error);
    EXPECT(error, 0);
    eca_queue_close(queue);
}

/* Receive from number *@next on, in order; the error that ends it. */
static int receive_messages(EcaQueue *queue, uint64_t *next, uint64_t end,
                            int timeout_ms)
{
    Message message;

    while (*next < end) {
        int bytes = eca_queue_receive(queue, &message, sizeof(message),
                                      timeout_ms);

        if (bytes < 0) {
            return bytes;
        }
        EXPECT(message_check(&message, bytes), *next);
        ++*next;
    }
    return 0;
}

/* Rank 0 stays at its end; rank 1 takes the dead one's place. */
static int survive_sender(Ctx *ctx)
{
    EcaQueue *queue = NULL;
    uint64_t next = 0;
    int error = 0, died = 0;

    join_arena(ctx);
    if (!ctx->rank) {
        bool last;

        queue = open_queue(ctx, 1);
        do {
            last = gone(ctx);
            error = receive_messages(queue, &next, MESSAGES, 100);
        } while (error && !last);
        /* It was closed when it was set up, and so by who ended well. */
        CHECK(!error || error == -EHOSTDOWN || error == -EPIPE);
        CHECK(error != -EPIPE || !get(&ctx->control->joined));
        CHECK(next >= get(&ctx->control->count));
        if (error == -EHOSTDOWN) {
            check_dead(ctx);
            died = 1;
        }
        set(&ctx->control->note[0], next);
    }
    meet(ctx);
    next = get(&ctx->control->note[0]);
    error = 0;
    if (next < MESSAGES && ctx->rank == 1) {
        queue = open_queue(ctx, 0);
        send_messages(ctx, queue, next, &error);
        EXPECT(error, 0);
    } else if (next < MESSAGES && !ctx->rank) {
        do {
            error = receive_messages(queue, &next, MESSAGES, TIMEOUT);
        } while (error == -EHOSTDOWN || error == -EPIPE);
        EXPECT(error, 0);
    }
    meet(ctx);
    eca_queue_close(queue);
    return died;
}

static void victim_receives(Ctx *ctx)
{
    EcaQueue *queue;
    Message message;

    join_arena(ctx);
    queue = open_queue(ctx, 1);
    set(&ctx->control->joined, 1);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        int bytes = eca_queue_receive(queue, &message, sizeof(message),
                                      TIMEOUT);

        EXPECT(message_check(&message, bytes), i);
        set(&ctx->control->count, i + 1);
    }
    eca_queue_close(queue);
}

/* The first that the new receiver gets is the one after the last. */
static void receive_rest(Ctx *ctx, EcaQueue *queue, uint64_t known)
{
    Message message;
    uint64_t next;
    int bytes = eca_queue_receive(queue, &message, sizeof(message), TIMEOUT);

    if (bytes == -EPIPE) {
        CHECK(known + 1 >= MESSAGES);
        return;
    }
    next = message_check(&message, bytes);
    CHECK(next == known || next == known + 1);
    next++;
    EXPECT(receive_messages(queue, &next, MESSAGES, TIMEOUT), 0);
    set(&ctx->control->note[1], 1);
}

static int survive_receiver(Ctx *ctx)
{
    EcaQueue *queue = NULL;
    Message message;
    uint64_t known, sent = 0;
    int error = 0, died = 0;

    join_arena(ctx);
    if (!ctx->rank) {
        queue = open_queue(ctx, 0);
        while (sent < MESSAGES) {
            uint32_t bytes = message_fill(&message, sent);
            bool last = gone(ctx);

            error = eca_queue_send(queue, &message, bytes, 100);
            sent += !error;
            CHECK(!error || error == -EHOSTDOWN || error == -EPIPE ||
                  error == -ETIMEDOUT);
            if (error && last) {
                break;
            }
        }
        CHECK(error != -EPIPE || !get(&ctx->control->joined));
        if (error == -EHOSTDOWN) {
            check_dead(ctx);
            died = 1;
        }
        await(&ctx->control->over, 1, "the victim's end");
    }
    meet(ctx);
    known = get(&ctx->control->count);
    if (ctx->rank == 1 && known < MESSAGES) {
        EcaQueue *other = open_queue(ctx, 1);

        set(&ctx->control->held, 1);
        receive_rest(ctx, other, known);
        eca_queue_close(other);
    } else if (!ctx->rank) {
        if (known < MESSAGES) {
            await(&ctx->control->held, 1, "the new receiver");
        }
        for (; sent < MESSAGES; sent++) {
            EXPECT(eca_queue_send(queue, &message,
                                  message_fill(&message, sent), TIMEOUT), 0);
        }
        eca_queue_close(queue);
    }
    meet(ctx);
    return died;
}

/* Broadcast channels */

static EcaChannel *open_channel(Ctx *ctx, bool writer)
{
    EcaChannel *channel;

    EXPECT(eca_channel_open(&channel, ctx->arena, "channel", writer, SLOTS,
                            sizeof(Message), TIMEOUT), 0);
    return channel;
}

static void setup_channel(Ctx *ctx)
{
    eca_channel_close(open_channel(ctx, true));
}

static void write_channel(Ctx *ctx, EcaChannel *channel, uint64_t from,
                          uint64_t end)
{
    Message message;

    for (uint64_t i = from; i < end; i++) {
        EXPECT(eca_channel_send(channel, &message,
                                message_fill(&message, i)), 0);
        set(&ctx->control->count, i + 1);
    }
}

static void victim_channel(Ctx *ctx)
{
    EcaChannel *channel;

    join_arena(ctx);
    channel = open_channel(ctx, true);
    set(&ctx->control->joined, 1);
    write_channel(ctx, channel, 0, MESSAGES / 2);
    eca_channel_close(channel);
}

/*
 * Read until an error.  Every message but the first is the next one, or
 * those between are counted as missed.
 */
static int read_channel(EcaChannel *channel, uint64_t *next, bool first)
{
    Message message;
    uint64_t missed;

    for (;;) {
        int bytes = eca_channel_receive(channel, &message, sizeof(message),
                                        &missed, TIMEOUT);
        uint64_t number;

        *next += missed;
        if (bytes < 0) {
            return bytes;
        }
        number = message_check(&message, bytes);
        CHECK(first || number == *next);
        *next = number + 1;
        first = false;
    }
}

static int survive_channel(Ctx *ctx)
{
    EcaChannel *channel, *writer;
    uint64_t next = 0, known;
    int error, died = 0;

    join_arena(ctx);
    channel = open_channel(ctx, false);
    await(&ctx->control->over, 1, "the victim's end");
    error = read_channel(channel, &next, true);
    if (error == -EHOSTDOWN) {
        check_dead(ctx);
        died = 1;
    } else {
        EXPECT(error, -EPIPE);
    }
    known = get(&ctx->control->count);
    CHECK(next == known || next == known + 1);
    meet(ctx);
    if (!ctx->rank) {
        writer = open_channel(ctx, true);
        write_channel(ctx, writer, next, next + SLOTS);
        eca_channel_close(writer);
    }
    meet(ctx);
    EXPECT(read_channel(channel, &next, false), -EPIPE);
    CHECK(next == get(&ctx->control->count));
    eca_channel_close(channel);
    return died;
}

const Case cases[] = {
    { "arena", "arena-fill", 1, BEGIN_AFTER, true, false, NULL, make_arena,
      survive_create },
    { "alloc", "object-publish", 1, BEGIN_AFTER, true, false, setup_alloc,
      victim_alloc, survive_objects },
    { "free", "object-free", 1, BEGIN_AFTER, true, false, setup_free,
      victim_free, survive_objects },
    { "spin", "inside", 1, BEGIN_STOPPED, true, true, setup_pair,
      victim_spin, survive_spin },
    { "ticket", "inside", 1, BEGIN_STOPPED, true, true, setup_ticket,
      victim_ticket, survive_ticket },
    { "ticket-waits", "ticket-give-up", 1, BEGIN_WITH, false, false,
      setup_ticket, victim_ticket_waits, survive_ticket_waits },
    { "barrier", "barrier-arrive", 2, BEGIN_WITH, false, true, setup_barrier,
      victim_barrier, survive_barrier },
    { "queue-sender", "queue-send", 12, BEGIN_WITH, false, true, setup_sender,
      victim_sends, survive_sender },
    { "queue-receiver", "queue-take", 5, BEGIN_WITH, false, true,
      setup_receiver, victim_receives, survive_receiver },
    { "channel", "channel-send", 13, BEGIN_WITH, false, true, setup_channel,
      victim_channel, survive_channel },
    { NULL }
};
