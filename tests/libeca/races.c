/*
 * Tests of libeca: one process stands still inside a primitive, and another
 * comes between
 *
 * The first is paused at its first step, at its second, and so on until it
 * ends before it comes to that step.  Each time the second does all of its
 * part while the first stands still, or holds what it got while the first
 * goes on.  Pauses are before changes of shared memory, as deaths are, and
 * also between looks at it.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <signal.h>
#include <unistd.h>
#include "eca-test.h"

#define SLOTS           4
#define MESSAGES        3u          /* less than SLOTS */
#define ROUNDS          70          /* more than a ticket lock has slots */
#define PATIENCE        100         /* ms, for what another may hold */

typedef struct Race {
    const char *name;
    void (*setup)(Ctx *ctx);
    void (*first)(Ctx *ctx);
    void (*second)(Ctx *ctx);
    void (*verify)(Ctx *ctx);       /* may be NULL */
} Race;

/* Let the first go on, to its end. */
static void resume(Ctx *ctx)
{
    set(&ctx->control->resumed, 1);
    await(&ctx->control->done, 1, "the first");
}

static void die(void)
{
    kill(getpid(), SIGKILL);
}

/* A process that does so much, and is dead then. */
static void once(Ctx *ctx, void (*part)(Ctx *ctx))
{
    pid_t pid = spawn();
    bool ok = true;

    if (!pid) {
        open_ctx(ctx);
        part(ctx);
        die();
    }
    CHECK(was_killed(pid, &ok));
}

/* Locks: never two inside, and one alone is told of a death */

static EcaSpin *spin;
static EcaTicket *ticket;

static void open_lock(Ctx *ctx, bool tickets)
{
    join_arena(ctx);
    if (tickets) {
        EXPECT(eca_ticket_open(&ticket, ctx->arena, "lock", TIMEOUT), 0);
    } else {
        EXPECT(eca_spin_open(&spin, ctx->arena, "lock", TIMEOUT), 0);
    }
}

static int lock(int timeout_ms)
{
    return ticket ? eca_ticket_lock(ticket, timeout_ms) :
           eca_spin_lock(spin, timeout_ms);
}

static int unlock(void)
{
    return ticket ? eca_ticket_unlock(ticket) : eca_spin_unlock(spin);
}

/* Whether it was got; @rank is of who asks. */
static bool enter(Ctx *ctx, int rank, int timeout_ms)
{
    int error = lock(timeout_ms);

    if (error == -ETIMEDOUT) {
        return false;
    }
    CHECK(!error || error == -EOWNERDEAD);
    CHECK(!get(&ctx->control->note[!rank]));
    set(&ctx->control->note[rank], 1);
    if (error) {
        set(&ctx->control->count, get(&ctx->control->count) + 1);
    }
    return true;
}

static void leave(Ctx *ctx, int rank)
{
    set(&ctx->control->note[rank], 0);
    EXPECT(unlock(), 0);
}

/* Who gives up while another holds it gets it later. */
static void first_locks(Ctx *ctx, bool tickets)
{
    open_lock(ctx, tickets);
    begin_steps();
    if (!enter(ctx, 0, PATIENCE)) {
        set(&ctx->control->done, 1);
        CHECK(enter(ctx, 0, TIMEOUT));
    }
    libeca_step("inside");
    leave(ctx, 0);
}

/* All tickets' slots are used again before the first goes on. */
static void second_locks(Ctx *ctx, bool tickets)
{
    int rounds = 0;

    open_lock(ctx, tickets);
    while (enter(ctx, 1, 0)) {
        if (++rounds > ROUNDS) {
            resume(ctx);
        }
        leave(ctx, 1);
        if (rounds > ROUNDS) {
            break;
        }
    }
}

static void verify_lock(Ctx *ctx, bool tickets, uint64_t deaths)
{
    spin = NULL;
    ticket = NULL;
    open_lock(ctx, tickets);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(enter(ctx, 0, TIMEOUT));
        leave(ctx, 0);
    }
    EXPECT(get(&ctx->control->count), deaths);
}

static void own_spin(Ctx *ctx)
{
    open_lock(ctx, false);
    EXPECT(lock(TIMEOUT), 0);
}

static void own_ticket(Ctx *ctx)
{
    open_lock(ctx, true);
    EXPECT(lock(TIMEOUT), 0);
}

/* Drawn, but never served. */
static void wait_for_ticket(Ctx *ctx)
{
    open_lock(ctx, true);
    die_at("ticket-drawn");
    EXPECT(lock(TIMEOUT), 0);
}

/* Done with, but the next one's turn has not come. */
static void leave_ticket(Ctx *ctx)
{
    own_ticket(ctx);
    die_at("ticket-advance");
    EXPECT(unlock(), 0);
}

static void setup_dead_spin(Ctx *ctx)
{
    once(ctx, own_spin);
}

static void setup_dead_ticket(Ctx *ctx)
{
    once(ctx, own_ticket);
}

static void setup_lost_ticket(Ctx *ctx)
{
    once(ctx, wait_for_ticket);
}

static void setup_left_ticket(Ctx *ctx)
{
    once(ctx, leave_ticket);
}

static void first_spin(Ctx *ctx)
{
    first_locks(ctx, false);
}

static void second_spin(Ctx *ctx)
{
    second_locks(ctx, false);
}

static void verify_spin(Ctx *ctx)
{
    verify_lock(ctx, false, 0);
}

static void verify_dead_spin(Ctx *ctx)
{
    verify_lock(ctx, false, 1);
}

static void first_ticket(Ctx *ctx)
{
    first_locks(ctx, true);
}

static void second_ticket(Ctx *ctx)
{
    second_locks(ctx, true);
}

static void verify_ticket(Ctx *ctx)
{
    verify_lock(ctx, true, 0);
}

static void verify_dead_ticket(Ctx *ctx)
{
    verify_lock(ctx, true, 1);
}

/* A place: one alone gets it */

static EcaQueue *queue;

static int open_queue(Ctx *ctx, int side)
{
    join_arena(ctx);
    return eca_queue_open(&queue, ctx->arena, "queue", side, SLOTS,
                          sizeof(Message), TIMEOUT);
}

static void own_side(Ctx *ctx)
{
    EXPECT(open_queue(ctx, 0), 0);
}

static void setup_place(Ctx *ctx)
{
    once(ctx, own_side);
}

static bool take_place(Ctx *ctx, int rank)
{
    int error = open_queue(ctx, 0);

    CHECK(!error || error == -EBUSY);
    if (!error) {
        CHECK(!get(&ctx->control->note[!rank]));
        set(&ctx->control->note[rank], 1);
    }
    return !error;
}

static void first_place(Ctx *ctx)
{
    begin_steps();
    if (take_place(ctx, 0)) {
        libeca_step("inside");
        set(&ctx->control->note[0], 0);
        eca_queue_close(queue);
    }
}

static void second_place(Ctx *ctx)
{
    if (take_place(ctx, 1)) {
        resume(ctx);
        set(&ctx->control->note[1], 0);
        eca_queue_close(queue);
    }
}

static void verify_place(Ctx *ctx)
{
    EXPECT(open_queue(ctx, 0), 0);
    eca_queue_close(queue);
}

/* Queues: what was sent comes, whatever became of the sender */

static void setup_queue(Ctx *ctx)
{
    EXPECT(open_queue(ctx, 0), 0);
    eca_queue_close(queue);
    EXPECT(open_queue(ctx, 1), 0);
    eca_queue_close(queue);
}

static void send_all(Ctx *ctx)
{
    Message message;

    EXPECT(open_queue(ctx, 0), 0);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        EXPECT(eca_queue_send(queue, &message, message_fill(&message, i),
                              0), 0);
    }
}

static void send_and_die(Ctx *ctx)
{
    send_all(ctx);
    die();
}

static void send_and_close(Ctx *ctx)
{
    send_all(ctx);
    eca_queue_close(queue);
}

/*
 * Before the second came there is nobody, or one that left; behind it, all
 * of its messages.
 */
static void first_receives(Ctx *ctx)
{
    Message message;
    uint64_t next = 0;
    int error = 0;

    EXPECT(open_queue(ctx, 1), 0);
    begin_steps();
    do {
        int bytes = eca_queue_receive(queue, &message, sizeof(message), 0);

        error = bytes < 0 ? bytes : 0;
        if (!error) {
            EXPECT(message_check(&message, bytes), next);
            next++;
        }
    } while (!error);
    CHECK(error == -EPIPE || error == -EHOSTDOWN);
    EXPECT(next, get(&ctx->control->resumed) ? MESSAGES : 0);
}

/* Queues: who takes what is there makes room, also if it dies then */

static void setup_full(Ctx *ctx)
{
    Message message;

    setup_queue(ctx);
    EXPECT(open_queue(ctx, 0), 0);
    for (uint64_t i = 0; i < SLOTS; i++) {
        EXPECT(eca_queue_send(queue, &message, message_fill(&message, i),
                              0), 0);
    }
    eca_queue_close(queue);
}

static void take_and_die(Ctx *ctx)
{
    Message message;

    EXPECT(open_queue(ctx, 1), 0);
    for (uint64_t i = 0; i < SLOTS; i++) {
        int bytes = eca_queue_receive(queue, &message, sizeof(message), 0);

        EXPECT(message_check(&message, bytes), i);
    }
    die();
}

static void first_sends(Ctx *ctx)
{
    Message message;
    uint32_t bytes = message_fill(&message, SLOTS);

    EXPECT(open_queue(ctx, 0), 0);
    begin_steps();
    EXPECT(eca_queue_send(queue, &message, bytes, 0),
           get(&ctx->control->resumed) ? 0 : -EPIPE);
}

/* Channels: nothing torn, nothing passed over that was there in time */

static EcaChannel *channel;

static void open_channel(Ctx *ctx, bool writer)
{
    join_arena(ctx);
    EXPECT(eca_channel_open(&channel, ctx->arena, "channel", writer, SLOTS,
                            sizeof(Message), TIMEOUT), 0);
}

static void publish(Ctx *ctx, uint64_t n)
{
    Message message;

    open_channel(ctx, true);
    for (uint64_t i = get(&ctx->control->count), end = i + n; i < end; i++) {
        EXPECT(eca_channel_send(channel, &message,
                                message_fill(&message, i)), 0);
        set(&ctx->control->count, i + 1);
    }
}

static void setup_channel(Ctx *ctx)
{
    publish(ctx, 0);
    eca_channel_close(channel);
}

static void setup_written(Ctx *ctx)
{
    publish(ctx, MESSAGES);
    eca_channel_close(channel);
}

static void publish_and_die(Ctx *ctx)
{
    publish(ctx, MESSAGES);
    die();
}

/* As many as make the slot that is read another's, and another's half. */
static void publish_round(Ctx *ctx)
{
    publish(ctx, SLOTS);
    eca_channel_close(channel);
}

static void publish_more(Ctx *ctx)
{
    publish(ctx, SLOTS + 2);
    eca_channel_close(channel);
}

static void first_reads(Ctx *ctx)
{
    Message message;
    uint64_t next = 0, missed;
    int bytes;

    open_channel(ctx, false);
    begin_steps();
    for (;;) {
        bytes = eca_channel_receive(channel, &message, sizeof(message),
                                    &missed, 0);
        next += missed;
        if (bytes < 0) {
            break;
        }
        EXPECT(message_check(&message, bytes), next);
        next++;
    }
    CHECK(bytes == -EPIPE || bytes == -EHOSTDOWN);
    EXPECT(next, get(&ctx->control->count));
}

static EcaChannel *reader;

/* A reader from the time when message 0 was not about to be overwritten. */
static void setup_full_channel(Ctx *ctx)
{
    setup_written(ctx);
    open_channel(ctx, false);
    reader = channel;
    publish(ctx, SLOTS - MESSAGES);
    eca_channel_close(channel);
}

static void first_writes(Ctx *ctx)
{
    Message message;

    open_channel(ctx, true);
    begin_steps();
    EXPECT(eca_channel_send(channel, &message,
                            message_fill(&message, SLOTS)), 0);
    eca_channel_close(channel);
}

/* What is about to be overwritten is whole, or missed. */
static void second_reads(Ctx *ctx)
{
    Message message;
    uint64_t next = 0, missed;
    int bytes;

    (void)ctx;
    for (;;) {
        bytes = eca_channel_receive(reader, &message, sizeof(message),
                                    &missed, 0);
        next += missed;
        if (bytes < 0) {
            break;
        }
        EXPECT(message_check(&message, bytes), next);
        next++;
    }
    CHECK(bytes == -ETIMEDOUT || bytes == -EPIPE);
    CHECK(next == SLOTS || next == SLOTS + 1);
}

/* Barriers: who came before it died has come */

static EcaBarrier *barrier;

static void open_barrier(Ctx *ctx, int index)
{
    join_arena(ctx);
    EXPECT(eca_barrier_open(&barrier, ctx->arena, "barrier", 2, index,
                            TIMEOUT), 0);
}

static void be_member(Ctx *ctx)
{
    open_barrier(ctx, 1);
}

static void setup_barrier(Ctx *ctx)
{
    once(ctx, be_member);
}

static void arrive_and_die(Ctx *ctx)
{
    int error;

    open_barrier(ctx, 1);
    error = eca_barrier_wait(barrier, 0);
    CHECK(!error || error == -ETIMEDOUT);
    die();
}

static void first_waits(Ctx *ctx)
{
    open_barrier(ctx, 0);
    begin_steps();
    EXPECT(eca_barrier_wait(barrier, 0),
           get(&ctx->control->resumed) ? 0 : -EHOSTDOWN);
}

/* Who has taken a dead one's place may still come. */
static void replace_member(Ctx *ctx)
{
    open_barrier(ctx, 1);
    resume(ctx);
    eca_barrier_close(barrier);
}

static void first_waits_longer(Ctx *ctx)
{
    open_barrier(ctx, 0);
    begin_steps();
    EXPECT(eca_barrier_wait(barrier, 0),
           get(&ctx->control->resumed) ? -ETIMEDOUT : -EHOSTDOWN);
}

/* Objects: there wholly, or not at all */

#define OBJECT_BYTES    5000

static void make_object(Ctx *ctx)
{
    void *at;

    EXPECT(eca_alloc(ctx->arena, "object", OBJECT_BYTES, 0, &at, TIMEOUT), 0);
}

static void setup_dirt(Ctx *ctx)
{
    void *at;

    join_arena(ctx);
    EXPECT(eca_alloc(ctx->arena, "dirt", ctx->bytes / 2, 0, &at, TIMEOUT),
           0);
    memset(at, 0xff, ctx->bytes / 2);
    EXPECT(eca_free(ctx->arena, "dirt", TIMEOUT), 0);
}

static void setup_object(Ctx *ctx)
{
    join_arena(ctx);
    make_object(ctx);
}

static void first_allocates(Ctx *ctx)
{
    int error;
    void *at;

    join_arena(ctx);
    begin_steps();
    error = eca_alloc(ctx->arena, "object", OBJECT_BYTES, 0, &at, TIMEOUT);
    CHECK(!error || (error == -EEXIST && get(&ctx->control->resumed)));
}

static void first_frees(Ctx *ctx)
{
    int error;

    join_arena(ctx);
    begin_steps();
    error = eca_free(ctx->arena, "object", PATIENCE);
    CHECK(!error || (error == -ENOENT && get(&ctx->control->resumed)));
}

static void look_at_object(Ctx *ctx)
{
    uint64_t bytes;
    void *at;
    int error = eca_find(ctx->arena, "object", &at, &bytes);

    CHECK(!error || error == -ENOENT);
    CHECK(error || bytes == OBJECT_BYTES);
    for (uint64_t i = 0; !error && i < bytes; i++) {
        CHECK(!((uint8_t *)at)[i]);
    }
}

static void second_uses(Ctx *ctx)
{
    void *at;
    int error;

    join_arena(ctx);
    look_at_object(ctx);
    error = eca_alloc(ctx->arena, "object", OBJECT_BYTES, 0, &at, 0);
    CHECK(!error || error == -EEXIST || error == -ETIMEDOUT);
    look_at_object(ctx);
    error = eca_free(ctx->arena, "object", 0);
    /* -EBUSY: the first is making it. */
    CHECK(!error || error == -ENOENT || error == -ETIMEDOUT ||
          error == -EBUSY);
    look_at_object(ctx);
}

static void verify_objects(Ctx *ctx)
{
    join_arena(ctx);
    look_at_object(ctx);
    check_arena(ctx);
    check_room(ctx);
}

static const Race races[] = {
    { "spin", NULL, first_spin, second_spin, verify_spin },
    { "spin of a dead owner", setup_dead_spin, first_spin, second_spin,
      verify_dead_spin },
    { "ticket", NULL, first_ticket, second_ticket, verify_ticket },
    { "ticket of a dead owner", setup_dead_ticket, first_ticket,
      second_ticket, verify_dead_ticket },
    { "ticket behind a dead one", setup_lost_ticket, first_ticket,
      second_ticket, verify_ticket },
    { "ticket that was left", setup_left_ticket, first_ticket,
      second_ticket, verify_ticket },
    { "place of a dead owner", setup_place, first_place, second_place,
      verify_place },
    { "receiver, sender dies", setup_queue, first_receives, send_and_die,
      NULL },
    { "receiver, sender closes", setup_queue, first_receives, send_and_close,
      NULL },
    { "sender, receiver dies", setup_full, first_sends, take_and_die, NULL },
    { "reader, writer dies", setup_channel, first_reads, publish_and_die,
      NULL },
    { "reader, a round of messages", setup_written, first_reads,
      publish_round, NULL },
    { "reader, more messages than slots", setup_written, first_reads,
      publish_more, NULL },
    { "writer", setup_full_channel, first_writes, second_reads, NULL },
    { "barrier, member comes and dies", setup_barrier, first_waits,
      arrive_and_die, NULL },
    { "barrier, member is replaced", setup_barrier, first_waits_longer,
      replace_member, NULL },
    { "alloc", setup_dirt, first_allocates, second_uses, verify_objects },
    { "free", setup_object, first_frees, second_uses, verify_objects },
    { NULL }
};

/* True if it ended as it should. */
static bool ended_well(pid_t pid, bool may_die)
{
    bool ok = true, killed = was_killed(pid, &ok);

    return ok && (may_die || !killed);
}

static pid_t start_first(const Race *race, Ctx *ctx, uint64_t at)
{
    pid_t pid = spawn();

    if (!pid) {
        open_ctx(ctx);
        pause_at(at);
        race->first(ctx);
        set(&ctx->control->done, 1);
        _exit(0);
    }
    return pid;
}

static pid_t start_second(const Race *race, Ctx *ctx)
{
    pid_t pid = spawn();

    if (!pid) {
        open_ctx(ctx);
        race->second(ctx);
        _exit(0);
    }
    return pid;
}

/* Whether the first came to that step, and was paused there. */
static bool run_race(const Race *race, const char *file, uint64_t at)
{
    Ctx ctx = { .device = file, .bytes = 64 << 10 };
    bool paused, ok = true;
    pid_t pid;

    EXPECT(eca_format_file(file, 256 << 10), 0);
    open_ctx(&ctx);
    EXPECT(eca_arena_create(ctx.eca, ctx.offset + 4096, ctx.bytes,
                            ARENA_OBJECTS), 0);
    if (race->setup) {
        race->setup(&ctx);
    }
    pid = start_first(race, &ctx, at);
    paused = await_pause(&ctx, pid);
    if (paused) {
        ok &= ended_well(start_second(race, &ctx), true);
        set(&ctx.control->resumed, 1);
    }
    ok &= ended_well(pid, false);
    if (ok && race->verify) {
        race->verify(&ctx);
    }
    eca_close(ctx.eca);
    if (!ok) {
        fail("%s, paused at step %d", race->name, (int)at);
    }
    return paused;
}

void test_races(const char *file)
{
    for (const Race *race = races; race->name; race++) {
        int at = 1;

        while (run_race(race, file, at)) {
            at++;
        }
        CHECK(at > 1);              /* else not the tests' build */
        printf("# %s: paused at each of %d steps\n", race->name, at - 1);
        fflush(stdout);
    }
}
