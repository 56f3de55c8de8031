/*
 * Tests of libeca in a guest: the agent's queues, by several processes
 *
 * They need an agent, and root; pages are those of BULK of device 0 from
 * AREA on, which nobody else uses.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "eca-test.h"

#define PAGE            4096ull
#define AREA            (128ull << 20)
#define AREA_BYTES      (64ull << 20)
#define QUEUES          4
#define RANGES          5000
#define TURNS           40
#define COPIED          (300 * 1024)

static uint64_t area;               /* DPA */

static Eca *open_agent(EcaAgent **agent, EcaBy by)
{
    EcaInfo info;
    Eca *eca;

    EXPECT(eca_open(&eca, NULL), 0);
    EXPECT(eca_info(eca, &info), 0);
    area = info.gfam[0].hot + AREA;
    if (agent) {
        EXPECT(eca_agent_open(agent, eca, by), 0);
    }
    return eca;
}

static void close_agent(Eca *eca, EcaAgent *agent)
{
    eca_agent_close(agent);
    eca_close(eca);
}

/* A command for one range that must end well; what it has done. */
static uint64_t done(EcaAgent *agent, EcaVerb verb, uint64_t at,
                     uint64_t bytes)
{
    EcaRange range = { area + at, bytes };
    EcaOutcome out;

    EXPECT(eca_do(agent, verb, 0, &range, 1, &out, TIMEOUT), 0);
    CHECK(out.status == 0);
    return out.done;
}

static unsigned held(EcaAgent *agent, uint64_t at, uint64_t pages,
                     uint8_t how)
{
    EcaRange range = { area + at, pages * PAGE };
    uint8_t *states = malloc(pages);
    unsigned count = 0;
    EcaOutcome out;

    CHECK(states);
    EXPECT(eca_holdings(agent, 0, range, states, &out, TIMEOUT), 0);
    CHECK(out.status == 0 && out.done == pages);
    for (uint64_t i = 0; i < pages; i++) {
        count += states[i] == how;
    }
    free(states);
    return count;
}

/* The same commands by both ways come to the same. */
static void test_ranges(EcaBy by)
{
    EcaAgent *agent, *looks;
    Eca *eca = open_agent(&agent, by), *other = open_agent(&looks,
                                                           ECA_BY_QUEUE);
    uint64_t pages = AREA_BYTES / PAGE;
    EcaRange beyond[3] = {
        { area, PAGE }, { 1ull << 60, PAGE }, { area + PAGE, PAGE },
    };
    EcaOutcome out;

    CHECK((eca_agent_queue(agent) >= 0) == (by == ECA_BY_QUEUE));
    done(agent, ECA_DO_RELEASE, 0, AREA_BYTES);
    CHECK(held(looks, 0, pages, 0) == pages);
    CHECK(done(agent, ECA_DO_ACQUIRE_OWNED, 0, AREA_BYTES) == pages);
    CHECK(held(looks, 0, pages, 2) == pages);
    CHECK(done(agent, ECA_DO_RELEASE, 0, AREA_BYTES / 2) == pages / 2);
    CHECK(held(looks, 0, pages, 0) == pages / 2);
    CHECK(done(agent, ECA_DO_RESERVE, 0, AREA_BYTES) == 1);
    CHECK(done(agent, ECA_DO_UNRESERVE, 0, AREA_BYTES) == 1);
    done(agent, ECA_DO_RELEASE, 0, AREA_BYTES);
    EXPECT(eca_do(agent, ECA_DO_ACQUIRE_OWNED, 0, beyond, 3, &out, TIMEOUT),
           0);
    CHECK(out.status == 2 && out.where == 1 && out.done == 2);
    EXPECT(eca_do(agent, 99, 0, beyond, 1, &out, TIMEOUT), 0);
    CHECK(out.status == 1);
    EXPECT(eca_do(agent, ECA_DO_RELEASE, 7, beyond, 1, &out, TIMEOUT), 0);
    CHECK(out.status == 2);
    EXPECT(eca_do(agent, ECA_DO_RELEASE, 0, beyond, 0, &out, TIMEOUT),
           -EINVAL);
    EXPECT(eca_do(agent, ECA_DO_RELEASE, 0, beyond, 1, &out, -1), -EINVAL);
    close_agent(eca, agent);
    close_agent(other, looks);
}

static void by_queue(void)
{
    test_ranges(ECA_BY_QUEUE);
}

static void by_registers(void)
{
    EcaAgent *agent;
    Eca *eca = open_agent(&agent, ECA_BY_REGISTERS);
    EcaOutcome out;

    EXPECT(eca_fence(agent, &out, TIMEOUT), -ENOTSUP);
    close_agent(eca, agent);
    test_ranges(ECA_BY_REGISTERS);
}

/* Every second page of an area, in one call. */
static void test_list(void)
{
    EcaAgent *agent;
    Eca *eca = open_agent(&agent, ECA_BY_QUEUE);
    EcaRange *ranges = calloc(RANGES, sizeof(*ranges));
    EcaOutcome out;

    CHECK(ranges);
    for (int i = 0; i < RANGES; i++) {
        ranges[i] = (EcaRange) { area + 2 * i * PAGE, PAGE };
    }
    done(agent, ECA_DO_RELEASE, 0, AREA_BYTES);
    EXPECT(eca_do(agent, ECA_DO_ACQUIRE_OWNED, 0, ranges, RANGES, &out,
                  TIMEOUT), 0);
    CHECK(out.status == 0 && out.done == RANGES && out.where == UINT64_MAX);
    CHECK(held(agent, 0, 2 * RANGES, 2) == RANGES);
    CHECK(held(agent, 0, 2 * RANGES, 0) == RANGES);
    /* What fails behind the first page of ranges is told by its number. */
    ranges[RANGES - 10].dpa = UINT64_MAX - 4 * PAGE;
    EXPECT(eca_do(agent, ECA_DO_RELEASE, 0, ranges, RANGES, &out, TIMEOUT),
           0);
    CHECK(out.status == 2 && out.where == RANGES - 10);
    CHECK(out.done == RANGES - 1);
    CHECK(held(agent, 0, 2 * RANGES, 2) == 1);
    free(ranges);
    close_agent(eca, agent);
}

static void copy_turns(EcaAgent *agent, uint64_t at, uint64_t seed)
{
    uint64_t words = COPIED / 8;
    uint64_t *from = malloc(COPIED), *to = malloc(COPIED);
    EcaOutcome out;

    CHECK(from && to);
    for (int turn = 0; turn < TURNS; turn++) {
        for (uint64_t i = 0; i < words; i++) {
            from[i] = next_random(&seed);
        }
        memset(to, 0, COPIED);
        EXPECT(eca_copy_in(agent, 0, area + at, from, COPIED, &out, TIMEOUT),
               0);
        CHECK(out.status == 0 && out.done == COPIED);
        EXPECT(eca_copy_across(agent, 0, area + at, 0,
                               area + at + (1 << 20), COPIED, &out, TIMEOUT),
               0);
        CHECK(out.status == 0 && out.done == COPIED);
        EXPECT(eca_copy_out(agent, 0, area + at + (1 << 20), to, COPIED, &out,
                            TIMEOUT), 0);
        CHECK(out.status == 0 && out.done == COPIED);
        CHECK(!memcmp(from, to, COPIED));
    }
    free(from);
    free(to);
}

static void test_copies(void)
{
    EcaAgent *agent;
    Eca *eca = open_agent(&agent, ECA_BY_QUEUE);
    uint64_t word[8] = { 0 };
    EcaOutcome out;

    copy_turns(agent, 0, 12345);
    EXPECT(eca_copy_in(agent, 0, area + 8, word, 64, &out, TIMEOUT), 0);
    CHECK(out.status == 2 && out.done == 0);
    EXPECT(eca_copy_out(agent, 0, area, word, 60, &out, TIMEOUT), 0);
    CHECK(out.status == 2 && out.done == 0);
    EXPECT(eca_copy_across(agent, 0, area, 0, 1ull << 60, 64, &out, TIMEOUT),
           0);
    CHECK(out.status == 2 && out.done == 0);
    EXPECT(eca_send(agent, 0, word, 25, &out, TIMEOUT), -EMSGSIZE);
    EXPECT(eca_send(agent, 4000, word, 8, &out, TIMEOUT), 0);
    CHECK(out.status == 2 && out.done == 0);
    EXPECT(eca_fence(agent, &out, TIMEOUT), 0);
    CHECK(out.status == 0);
    close_agent(eca, agent);
}

static void must_end(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Processes at once, each with a queue of its own. */
static void test_together(void)
{
    pid_t child[QUEUES];

    for (int i = 0; i < QUEUES; i++) {
        child[i] = spawn();
        if (!child[i]) {
            EcaAgent *agent;
            Eca *eca = open_agent(&agent, ECA_BY_QUEUE);

            copy_turns(agent, i * AREA_BYTES / QUEUES, i + 1);
            close_agent(eca, agent);
            _exit(0);
        }
    }
    for (int i = 0; i < QUEUES; i++) {
        must_end(child[i]);
    }
}

/* All queues at once, each of which works; then all are free again. */
static void take_all(void)
{
    EcaAgent *agent[QUEUES], *more;
    Eca *eca = open_agent(NULL, ECA_BY_ANY);
    unsigned seen = 0;
    EcaOutcome out;

    for (int i = 0; i < QUEUES; i++) {
        EXPECT(eca_agent_open(&agent[i], eca, ECA_BY_QUEUE), 0);
        seen |= 1 << eca_agent_queue(agent[i]);
        EXPECT(eca_fence(agent[i], &out, TIMEOUT), 0);
        CHECK(out.status == 0);
    }
    CHECK(seen == (1 << QUEUES) - 1);
    EXPECT(eca_agent_open(&more, eca, ECA_BY_QUEUE), -ENOSR);
    EXPECT(eca_agent_open(&more, eca, ECA_BY_ANY), 0);
    EXPECT(eca_agent_queue(more), -ENOSR);
    CHECK(done(more, ECA_DO_ACQUIRE_OWNED, 0, AREA_BYTES) ==
          AREA_BYTES / PAGE);
    eca_agent_close(more);
    for (int i = 0; i < QUEUES; i++) {
        eca_agent_close(agent[i]);
    }
    eca_close(eca);
}

static void test_all(void)
{
    take_all();
    take_all();
}

static void die_here(const char *name)
{
    if (!strcmp(name, "command-given")) {
        kill(getpid(), SIGKILL);
    }
}

/* Processes are killed when the agent has got a command of theirs. */
static void test_killed(void)
{
    for (int i = 0; i < QUEUES; i++) {
        pid_t child = spawn();
        int status;

        if (!child) {
            EcaAgent *agent;

            open_agent(&agent, ECA_BY_QUEUE);
            step_hook = die_here;
            done(agent, ECA_DO_ACQUIRE_OWNED, 0, AREA_BYTES);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    take_all();
}

static void *keep_aborting(void *arg)
{
    EcaAgent *agent = arg;

    /* Until it has begun, and then for good. */
    for (;;) {
        eca_agent_abort(agent);
        pthread_testcancel();
        usleep(1000);
    }
    return NULL;
}

/* Ended by another thread, and by its time; the queue works on. */
static void test_abort(void)
{
    EcaAgent *agent;
    Eca *eca = open_agent(&agent, ECA_BY_QUEUE);
    uint32_t count = 1 << 20;
    EcaRange *ranges = calloc(count, sizeof(*ranges));
    pthread_t thread;
    EcaOutcome out;

    CHECK(ranges);
    for (uint32_t i = 0; i < count; i++) {
        ranges[i] = (EcaRange) { area + i % 1000 * PAGE, PAGE };
    }
    CHECK(!pthread_create(&thread, NULL, keep_aborting, agent));
    EXPECT(eca_do(agent, ECA_DO_ACQUIRE_OWNED, 0, ranges, count, &out,
                  TIMEOUT), 0);
    CHECK(out.status == 11 && out.done < count);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    EXPECT(eca_do(agent, ECA_DO_ACQUIRE_OWNED, 0, ranges, count, &out, 0),
           -ETIMEDOUT);
    CHECK(out.status == 11 && out.done < count);
    CHECK(done(agent, ECA_DO_ACQUIRE_OWNED, 0, AREA_BYTES) ==
          AREA_BYTES / PAGE);
    free(ranges);
    close_agent(eca, agent);
}

static void test_events(void)
{
    EcaAgent *agent;
    Eca *eca = open_agent(&agent, ECA_BY_QUEUE);
    EcaEvents *events, *more;
    EcaEvent event;
    EcaInfo info;
    EcaOutcome out;
    pid_t child;

    EXPECT(eca_info(eca, &info), 0);
    EXPECT(eca_events_open(&events, eca, 0, 21), -EINVAL);
    child = spawn();
    if (!child) {
        EXPECT(eca_events_open(&events, eca, ~0u, 0), 0);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    /* Who comes next has nothing of what the dead one asked for. */
    EXPECT(eca_events_open(&events, eca, 1 << ECA_EVENT_OF_MESSAGE, 0), 0);
    EXPECT(eca_events_open(&more, eca, ~0u, 0), -EBUSY);
    for (uint64_t i = 0; i < 200; i++) {
        EXPECT(eca_send(agent, info.host, &i, sizeof(i), &out, TIMEOUT), 0);
        CHECK(out.status == 0);
        EXPECT(eca_events_next(events, &event, TIMEOUT), 0);
        CHECK(event.kind == ECA_EVENT_OF_MESSAGE);
        CHECK(event.host == info.host && event.bytes == sizeof(i));
        CHECK(!memcmp(event.data, &i, sizeof(i)));
    }
    EXPECT(eca_events_next(events, &event, 0), -ETIMEDOUT);
    CHECK(eca_events_lost(events) == 0);
    eca_events_close(events);
    EXPECT(eca_send(agent, info.host, &area, sizeof(area), &out, TIMEOUT), 0);
    CHECK(out.status == 15);
    close_agent(eca, agent);
}

const AgentTest agent_tests[] = {
    { "by-queue", by_queue },
    { "by-registers", by_registers },
    { "many-ranges", test_list },
    { "copies", test_copies },
    { "together", test_together },
    { "all-taken", test_all },
    { "killed", test_killed },
    { "abort", test_abort },
    { "events", test_events },
    { 0 }
};
