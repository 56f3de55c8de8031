/*
 * Tests of libeca: a process, or a guest, dies inside each primitive
 *
 * Without options: on this machine, through a file.  Each case's victim is
 * killed at its first step, at its second, and so on until it ends before
 * it comes to that step; then two survivors must recover.  Prints TAP.
 *
 * With --role: one guest's part of one case; a script kills the victim's
 * QEMU when the control page says that it has stopped (scripts/cxlf/
 * libtest.py).  Prints a line of JSON.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "eca-test.h"

#define FILE_SURVIVORS  2
#define FAILED          99
#define MAX_STEPS       2000

static uint64_t kill_at;            /* die at this step; 0: at none */
static const char *stop_at;         /* stop at the how many-th of these */
static uint64_t stop_hits, steps;
static uint64_t pause_step;         /* be paused at this one; 0: at none */
static bool pausing;                /* and steps are counted for that */
static uint64_t run = 1;
static Control *control;

void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "eca-test: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    fflush(NULL);
    _exit(FAILED);
}

/* A process that does not outlive its parent. */
pid_t spawn(void)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0) {
        fail("fork: %s", strerror(errno));
    }
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(FAILED);
        }
    }
    return pid;
}

static void nap(void)
{
    struct timespec time = { .tv_nsec = 200000 };

    nanosleep(&time, NULL);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

void await(const Word *word, uint64_t value, const char *what)
{
    uint64_t limit = now_ms() + TIMEOUT;

    while (get(word) < value) {
        if (now_ms() > limit) {
            fail("waited in vain for %s", what);
        }
        nap();
    }
}

/* Steps */

void (*step_hook)(const char *name);

void libeca_look(const char *name)
{
    if (step_hook) {
        step_hook(name);
    }
    if (pausing && ++steps == pause_step) {
        set(&control->paused, 1);
        await(&control->resumed, 1, "the second");
    }
}

void libeca_step(const char *name)
{
    libeca_look(name);
    if (!kill_at && !stop_at) {
        return;
    }
    if (kill_at && ++steps == kill_at) {
        kill(getpid(), SIGKILL);
    }
    if (stop_at && !strcmp(name, stop_at) && ++steps == stop_hits) {
        if (!run) {
            kill(getpid(), SIGKILL);
        }
        set(&control->stopped, run);
        /* Until the script kills this guest. */
        await(&control->over, UINT64_MAX, "death");
    }
}

void die_at(const char *name)
{
    stop_at = name;
    stop_hits = 1;
    run = 0;
}

void pause_at(uint64_t step)
{
    pause_step = step;
}

void begin_steps(void)
{
    pausing = pause_step;
}

bool await_pause(Ctx *ctx, pid_t pid)
{
    siginfo_t info = { 0 };

    while (!get(&ctx->control->paused)) {
        /* It is left to be waited for. */
        if (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
            info.si_pid) {
            return get(&ctx->control->paused);
        }
        nap();
    }
    return true;
}

/* What cases use */

void meet(Ctx *ctx)
{
    uint64_t mine = get(&ctx->control->met[ctx->rank]) + 1;

    set(&ctx->control->met[ctx->rank], mine);
    for (uint32_t i = 0; i < ctx->survivors; i++) {
        await(&ctx->control->met[i], mine, "the other survivors");
    }
}

void check_dead(Ctx *ctx)
{
    int dead = eca_dead_host();
    uint64_t first = get(&ctx->control->victim[0]);
    uint64_t second = get(&ctx->control->victim[1]);

    if (dead < 0 || (dead + 1u != first && dead + 1u != second)) {
        fail("host %d is said to have died, not %d", dead, (int)first - 1);
    }
}

void join_arena(Ctx *ctx)
{
    EXPECT(eca_arena_join(&ctx->arena, ctx->eca, ctx->offset + 4096), 0);
}

void check_arena(Ctx *ctx)
{
    EcaReport report;
    int error = eca_arena_check(ctx->arena, &report, TIMEOUT);

    if (error) {
        fail("check: %s: %s", eca_strerror(error), report.fault);
    }
}

void check_room(Ctx *ctx)
{
    EcaReport report;
    EcaObject object;
    uint32_t index;
    void *at;

    for (index = 0; !eca_next(ctx->arena, &index, &object);) {
        EXPECT(eca_free(ctx->arena, object.name, TIMEOUT), 0);
    }
    EXPECT(eca_arena_check(ctx->arena, &report, TIMEOUT), 0);
    CHECK(!report.objects && !report.used);
    EXPECT(eca_alloc(ctx->arena, "all", report.bytes, 0, &at, TIMEOUT), 0);
    EXPECT(eca_free(ctx->arena, "all", TIMEOUT), 0);
}

/* Of 16 to MESSAGE_BYTES bytes: the number, words that follow from it. */
uint32_t message_fill(Message *message, uint64_t number)
{
    uint32_t count = 2 + number * 7 % (MESSAGE_BYTES / 8 - 1);

    for (uint32_t i = 0; i < count; i++) {
        message->words[i] = i ? number * 0x9e3779b97f4a7c15ull + i : number;
    }
    return count * 8;
}

uint64_t message_check(const Message *message, int bytes)
{
    Message want;
    uint64_t number = message->words[0];

    if (bytes < 0) {
        fail("a message: %s", eca_strerror(bytes));
    }
    if (message_fill(&want, number) != (uint32_t)bytes ||
        memcmp(&want, message, bytes)) {
        fail("message %" PRIu64 " of %d bytes is not as it was sent", number,
             bytes);
    }
    return number;
}

/* One run on this machine */

void open_ctx(Ctx *ctx)
{
    EXPECT(eca_open(&ctx->eca, ctx->device), 0);
    ctx->control = (Control *)((uint8_t *)eca_memory(ctx->eca) +
                               ctx->offset);
    control = ctx->control;
}

static void set_up(const Case *item, Ctx *ctx)
{
    int error = eca_arena_destroy(ctx->eca, ctx->offset + 4096);

    CHECK(!error || error == -ENOENT);
    EXPECT(eca_arena_create(ctx->eca, ctx->offset + 4096, ctx->bytes,
                            ARENA_OBJECTS), 0);
    if (item->setup) {
        join_arena(ctx);
        item->setup(ctx);
        eca_arena_leave(ctx->arena);
    }
}

static void be_victim(const Case *item, Ctx *ctx, int which)
{
    EcaInfo info;

    EXPECT(eca_info(ctx->eca, &info), 0);
    set(&ctx->control->victim[which], info.host + 1);
    item->victim(ctx);
}

static pid_t start_victim(const Case *item, Ctx *ctx, int which, uint64_t at)
{
    pid_t pid = spawn();

    if (!pid) {
        open_ctx(ctx);
        kill_at = at;
        be_victim(item, ctx, which);
        _exit(0);
    }
    return pid;
}

static pid_t start_survivor(const Case *item, Ctx *ctx, uint32_t rank)
{
    pid_t pid = spawn();

    if (!pid) {
        open_ctx(ctx);
        ctx->rank = rank;
        _exit(item->survive(ctx));
    }
    return pid;
}

bool was_killed(pid_t pid, bool *ok)
{
    int status = 0;

    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        return true;
    }
    *ok &= WIFEXITED(status) && !WEXITSTATUS(status);
    return false;
}

typedef struct Outcome {
    bool ok, killed[VICTIMS];
    int noticed;
} Outcome;

/* Kill the victim at a step, and a second one, if it is not 0, at another. */
static Outcome run_once(const Case *item, const char *file, uint64_t first,
                        uint64_t second)
{
    Ctx ctx = {
        .device = file, .bytes = 256 << 10, .survivors = FILE_SURVIVORS,
    };
    Outcome outcome = { .ok = true };
    pid_t pid[FILE_SURVIVORS] = { 0 };
    int status;

    EXPECT(eca_format_file(file, 512 << 10), 0);
    open_ctx(&ctx);
    set_up(item, &ctx);
    for (uint32_t i = 0; i < FILE_SURVIVORS && item->begin == BEGIN_WITH;
         i++) {
        pid[i] = start_survivor(item, &ctx, i);
    }
    outcome.killed[0] = was_killed(start_victim(item, &ctx, 0, first),
                                   &outcome.ok);
    if (second && outcome.killed[0]) {
        outcome.killed[1] = was_killed(start_victim(item, &ctx, 1, second),
                                       &outcome.ok);
    }
    set(&ctx.control->over, 1);
    for (uint32_t i = 0; i < FILE_SURVIVORS; i++) {
        pid[i] = pid[i] ? pid[i] : start_survivor(item, &ctx, i);
    }
    for (uint32_t i = 0; i < FILE_SURVIVORS; i++) {
        waitpid(pid[i], &status, 0);
        outcome.ok &= WIFEXITED(status) && WEXITSTATUS(status) != FAILED;
        outcome.noticed += outcome.ok ? WEXITSTATUS(status) : 0;
    }
    eca_close(ctx.eca);
    return outcome;
}

static int tests, failures;

static void result(bool ok, const char *format, ...)
{
    va_list args;

    failures += !ok;
    printf("%sok %d ", ok ? "" : "not ", ++tests);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

/* Each step of a case. */
static void run_case(const Case *item, const char *file)
{
    uint64_t at, noticed = 0;
    bool ok = true, killed = true;

    for (at = 1; killed && ok && at < MAX_STEPS; at++) {
        Outcome outcome = run_once(item, file, at, 0);

        ok = outcome.ok;
        killed = outcome.killed[0];
        noticed += outcome.noticed;
        if (!ok) {
            fprintf(stderr, "# %s, killed at step %" PRIu64 "\n", item->name,
                    at);
        }
    }
    /* Fewer steps: not the tests' build. */
    ok &= at > 4 && at < MAX_STEPS && (noticed || !item->noticed);
    result(ok, "%s: killed at each of %" PRIu64 " steps, %" PRIu64
           " deaths noticed", item->name, at - 2, noticed);
}

/* Each step of a case, and then each of who recovers. */
static void run_case_twice(const Case *item, const char *file)
{
    uint64_t first, second, runs = 0;
    bool ok = true, killed[VICTIMS] = { true, true };

    for (first = 1; killed[0] && ok; first++) {
        killed[1] = true;
        for (second = 1; killed[0] && killed[1] && ok; second++) {
            Outcome outcome = run_once(item, file, first, second);

            runs++;
            ok = outcome.ok && second < MAX_STEPS;
            memcpy(killed, outcome.killed, sizeof(killed));
            if (!ok) {
                fprintf(stderr, "# %s, killed at steps %" PRIu64 " and %"
                        PRIu64 "\n", item->name, first, second);
            }
        }
    }
    result(ok && runs > 4, "%s: who recovers is killed as well, %" PRIu64
           " runs", item->name, runs);
}

/* Other tests are processes, too, so that one that fails ends alone. */
static void run_apart(const char *name, void (*body)(const char *),
                      const char *file)
{
    pid_t pid = spawn();
    bool ok = true;

    if (!pid) {
        body(file);
        _exit(0);
    }
    was_killed(pid, &ok);
    result(ok, "%s", name);
}

static uint64_t seed;

static void damage(const char *file)
{
    test_damage(file, seed);
}

static void random_deaths(const char *file)
{
    test_random_deaths(file, seed);
}

static int run_all(const char *file, const char *only)
{
    static const struct {
        const char *name;
        void (*body)(const char *file);
    } apart[] = {
        { "misuse", test_misuse },
        { "timeouts", test_timeouts },
        { "threads", test_threads },
        { "processes", test_processes },
        { "races", test_races },
        { "damage", damage },
        { "random deaths", random_deaths },
    };

    printf("# random seed: %" PRIu64 "\n", seed);
    fflush(stdout);
    for (const Case *item = cases; item->name; item++) {
        if (only && strcmp(only, item->name)) {
            continue;
        }
        run_case(item, file);
        if (item->twice) {
            run_case_twice(item, file);
        }
    }
    for (size_t i = 0; i < sizeof(apart) / sizeof(apart[0]); i++) {
        if (!only || !strcmp(only, apart[i].name)) {
            run_apart(apart[i].name, apart[i].body, file);
        }
    }
    printf("1..%d\n", tests);
    return failures || !tests;
}

/* One guest's part */

/* Nobody else can tell the survivors that the victim's guest is gone. */
static void *watch_victim(void *opaque)
{
    Ctx *ctx = opaque;
    uint32_t life, now, host;

    await(&control->victim[0], 1, "the victim");
    host = get(&control->victim[0]) - 1;
    EXPECT(eca_life(ctx->eca, host, &life), 0);
    do {
        nap();
        EXPECT(eca_life(ctx->eca, host, &now), 0);
    } while (now == life);
    set(&control->over, 1);
    return NULL;
}

static int guest_survivor(const Case *item, Ctx *ctx)
{
    pthread_t thread;
    bool watches;
    int noticed;

    if (!ctx->rank) {
        memset(control, 0, sizeof(*control));
        set_up(item, ctx);
        set(&control->ready, run);
    }
    watches = !ctx->rank && item->begin != BEGIN_STOPPED;
    CHECK(!watches || !pthread_create(&thread, NULL, watch_victim, ctx));
    await(&control->ready, run, "survivor 0");
    if (item->begin == BEGIN_STOPPED) {
        await(&control->stopped, run, "the victim's stop");
    } else if (item->begin == BEGIN_AFTER) {
        await(&control->over, 1, "the victim's death");
    }
    noticed = item->survive(ctx);
    meet(ctx);
    CHECK(!watches || !pthread_join(thread, NULL));
    return noticed;
}

static void guest_victim(const Case *item, Ctx *ctx)
{
    await(&control->ready, run, "survivor 0");
    stop_at = item->stop;
    stop_hits = item->hits;
    be_victim(item, ctx, 0);
    fail("it came to its end without '%s'", item->stop);
}

static int guest_part(const Case *item, Ctx *ctx, const char *role)
{
    int noticed = 0;

    open_ctx(ctx);
    if (!strcmp(role, "victim")) {
        guest_victim(item, ctx);
    } else {
        noticed = guest_survivor(item, ctx);
    }
    printf("{\"program\":\"eca-test\",\"case\":\"%s\",\"rank\":%u,"
           "\"noticed\":%d,\"must-notice\":%s,\"ok\":true}\n", item->name,
           ctx->rank, noticed, item->noticed ? "true" : "false");
    return 0;
}

/* The command line */

static const char help[] =
    "usage: eca-test [--file PATH] [--only NAME] [--seed N]\n"
    "       eca-test --role ROLE --case NAME --run N [OPTIONS]\n"
    "       eca-test --stopped --run N [OPTIONS]\n"
    "       eca-test --list\n"
    "       eca-test --agent NAME\n"
    "\n"
    "Tests libeca on this machine, through a file; or is one guest's part\n"
    "of one case.\n"
    "\n"
    "  --file PATH      the file (default: one of its own in /dev/shm)\n"
    "  --only NAME      this test alone\n"
    "  --seed N         as an earlier run said\n"
    "  --role ROLE      victim or survivor\n"
    "  --case NAME      see --list\n"
    "  --run N          a number larger than any run's before, from 1\n"
    "  --rank N         of a survivor, from 0 (default 0)\n"
    "  --survivors N    how many, 2 to 8 (default 2)\n"
    "  --device PATH    default /dev/cxlf/hot\n"
    "  --offset N       where the control page is (default 0)\n"
    "  --stopped        wait until that run's victim has stopped\n"
    "  --list           the cases\n"
    "  --agent NAME     in a guest, as root: this test of the agent's queues;\n"
    "                   'list' lists them\n"
    "\n"
    "Exit status: 0 as expected, 99 a check failed, 2 usage.\n";

static uint64_t decimal(const char *option, const char *text, uint64_t high)
{
    uint64_t value = 0;
    const char *at;

    for (at = text; *at >= '0' && *at <= '9' && value <= high / 10; at++) {
        value = value * 10 + *at - '0';
    }
    if (at == text || *at || value > high) {
        fprintf(stderr, "eca-test: --%s %s: accepts 0 to %" PRIu64 "\n",
                option, text, high);
        exit(2);
    }
    return value;
}

static const Case *find_case(const char *name)
{
    for (const Case *item = cases; item->name; item++) {
        if (name && !strcmp(name, item->name)) {
            return item;
        }
    }
    fprintf(stderr, "eca-test: --case %s: see --list\n", name ? name : "");
    exit(2);
}

static int on_file(const char *file, const char *only)
{
    char own[64];
    int status;

    snprintf(own, sizeof(own), "/dev/shm/eca-test-%d", (int)getpid());
    status = run_all(file ? file : own, only);
    if (!file) {
        unlink(own);
    }
    return status;
}

static int agent_test(const char *name)
{
    bool list = !strcmp(name, "list");

    for (const AgentTest *test = agent_tests; test->name; test++) {
        if (list) {
            printf("%s\n", test->name);
        } else if (!strcmp(name, test->name)) {
            test->run();
            return 0;
        }
    }
    if (!list) {
        fprintf(stderr, "eca-test: --agent %s: see --agent list\n", name);
    }
    return list ? 0 : 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "file", required_argument, NULL, 'f' },
        { "only", required_argument, NULL, 'o' },
        { "seed", required_argument, NULL, 'e' },
        { "role", required_argument, NULL, 'r' },
        { "case", required_argument, NULL, 'c' },
        { "run", required_argument, NULL, 'n' },
        { "rank", required_argument, NULL, 'k' },
        { "survivors", required_argument, NULL, 's' },
        { "device", required_argument, NULL, 'd' },
        { "offset", required_argument, NULL, 'a' },
        { "stopped", no_argument, NULL, 'w' },
        { "list", no_argument, NULL, 'l' },
        { "agent", required_argument, NULL, 'g' },
        { "help", no_argument, NULL, 'h' },
        { 0 }
    };
    Ctx ctx = {
        .device = "/dev/cxlf/hot", .bytes = 256 << 10, .survivors = 2,
    };
    const char *file = NULL, *only = NULL, *role = NULL, *name = NULL;
    bool stopped = false;
    int option;

    seed = now_ms() * 2654435761u % 1000000007u + 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'f':
            file = optarg;
            break;
        case 'o':
            only = optarg;
            break;
        case 'e':
            seed = decimal("seed", optarg, UINT64_MAX);
            break;
        case 'r':
            role = optarg;
            break;
        case 'c':
            name = optarg;
            break;
        case 'n':
            run = decimal("run", optarg, UINT64_MAX - 1);
            break;
        case 'k':
            ctx.rank = decimal("rank", optarg, MAX_SURVIVORS - 1);
            break;
        case 's':
            ctx.survivors = decimal("survivors", optarg, MAX_SURVIVORS);
            break;
        case 'd':
            ctx.device = optarg;
            break;
        case 'a':
            ctx.offset = decimal("offset", optarg, UINT64_MAX) / 4096 * 4096;
            break;
        case 'w':
            stopped = true;
            break;
        case 'l':
            for (const Case *item = cases; item->name; item++) {
                printf("%s\n", item->name);
            }
            return 0;
        case 'g':
            return agent_test(optarg);
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    if (stopped) {
        open_ctx(&ctx);
        await(&control->stopped, run, "the victim's stop");
        return 0;
    }
    if (!role) {
        return on_file(file, only);
    }
    if (strcmp(role, "victim") && strcmp(role, "survivor")) {
        fprintf(stderr, "eca-test: --role %s: accepts victim and survivor\n",
                role);
        return 2;
    }
    return guest_part(find_case(name), &ctx, role);
}
