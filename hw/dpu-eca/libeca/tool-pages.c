/*
 * eca: commands of the agent for pages and lines, and copies
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tool.h"

#define PAGE            4096u
#define COPIED          (1u << 20)      /* at a time */
#define MAX_RANGES      (1u << 24)
#define SHOWN_S         2

static EcaAgent *agent;

/* How far it is, for who waits at a terminal */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static bool over;

static void *show_progress(void *arg)
{
    const char *name = arg;
    struct timespec next;

    clock_gettime(CLOCK_REALTIME, &next);
    pthread_mutex_lock(&lock);
    while (!over) {
        next.tv_sec += SHOWN_S;
        while (!over && !pthread_cond_timedwait(&ended, &lock, &next)) {
            continue;
        }
        if (!over) {
            fprintf(stderr, "eca: %s: %" PRIu64 " so far\n", name,
                    eca_agent_progress(agent));
        }
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
    eca_agent_abort(agent);
}

/* Run a body with the agent open; a signal ends its command. */
int with_agent(const Command *command, const Options *options, Eca *eca,
               int (*body)(const Command *command, const Options *options,
                           void *arg), void *arg)
{
    struct sigaction action = { .sa_handler = on_signal };
    pthread_t thread;
    bool shown;
    int error = eca_agent_open(&agent, eca, options->by), status;

    if (error) {
        return failed(command->name, error);
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    shown = !pthread_create(&thread, NULL, show_progress,
                            (void *)command->name);
    status = body(command, options, arg);
    pthread_mutex_lock(&lock);
    over = true;
    pthread_cond_signal(&ended);
    pthread_mutex_unlock(&lock);
    if (shown) {
        pthread_join(thread, NULL);
    }
    eca_agent_close(agent);
    return status;
}

EcaAgent *the_agent(void)
{
    return agent;
}

/* What came of a command; the exit status. */
int report(const Command *command, const Options *options, int error,
           const EcaOutcome *out, const char *unit)
{
    if (error == -ENOTSUP && eca_agent_queue(agent) < 0 &&
        options->by != ECA_BY_REGISTERS) {
        fprintf(stderr, "eca: %s: needs a queue: %s\n", command->name,
                eca_strerror(eca_agent_queue(agent)));
        return EXIT_NOT_DONE;
    }
    if (error == -ENOTSUP) {
        fprintf(stderr, "eca: %s: --by registers: needs a queue\n",
                command->name);
        return EXIT_USAGE;
    }
    if (error) {
        return failed(command->name, error);
    }
    printf(options->json ? "{\"command\":\"%s\",\"status\":%" PRIu32
           ",\"text\":\"%s\",\"count\":%" PRIu64 "}\n" :
           "%s: %" PRIu32 ", %s; %" PRIu64, command->name, out->status,
           eca_status_text(out->status), out->done);
    if (!options->json) {
        printf(" %s\n", unit);
        if (out->status && out->where != UINT64_MAX && options->ranges) {
            printf("%s: range %" PRIu64 " was the first\n", command->name,
                   out->where + 1);
        }
    }
    return out->status ? EXIT_NOT_DONE : EXIT_DONE;
}

/* Ranges */

EcaRange range_of(const Options *options, Eca *eca)
{
    uint64_t size, first, length;
    EcaInfo info;

    eca_info(eca, &info);
    if (!info.fabric) {
        exit(failed(options->device, -ENODEV));
    }
    if (options->gfam >= info.gfams || options->to_gfam >= info.gfams) {
        fprintf(stderr, "eca: --%sgfam %" PRIu32 ": the fabric has %" PRIu32
                "\n", options->gfam >= info.gfams ? "" : "to-",
                options->gfam >= info.gfams ? options->gfam :
                options->to_gfam, info.gfams);
        exit(EXIT_USAGE);
    }
    first = options->type == ECA_CLASS_HOT ? 0 : info.gfam[options->gfam].hot;
    size = options->type == ECA_CLASS_HOT ? info.gfam[options->gfam].hot :
           info.gfam[options->gfam].bulk;
    length = options->has_length ? options->length : size - options->at;
    if (options->at > size || length > size - options->at) {
        fprintf(stderr, "eca: --at, --length: beyond the class's %" PRIu64
                " bytes\n", size);
        exit(EXIT_USAGE);
    }
    return (EcaRange) { first + options->at, length };
}

/* Lines of AT and LENGTH, counted from where --at is; exits if not so. */
static EcaRange *read_ranges(const Options *options, EcaRange within,
                             uint32_t *count)
{
    bool input = !strcmp(options->ranges, "-");
    FILE *file = input ? stdin : fopen(options->ranges, "r");
    EcaRange *ranges = NULL;
    char line[128], at[64], length[64], more;

    if (!file) {
        fprintf(stderr, "eca: --ranges %s: %s\n", options->ranges,
                strerror(errno));
        exit(EXIT_USAGE);
    }
    for (*count = 0; fgets(line, sizeof(line), file); ++*count) {
        EcaRange range;

        if (*count % 1024 == 0) {
            ranges = realloc(ranges, (*count + 1024) * sizeof(*ranges));
        }
        if (!ranges || *count == MAX_RANGES ||
            sscanf(line, "%63s %63s %c", at, length, &more) != 2) {
            fprintf(stderr, "eca: --ranges %s: line %" PRIu32 ": accepts AT "
                    "LENGTH, in at most %u lines\n", options->ranges,
                    *count + 1, MAX_RANGES);
            exit(EXIT_USAGE);
        }
        range = (EcaRange) { size_of("--ranges: AT", at),
                             size_of("--ranges: LENGTH", length) };
        if (range.dpa > within.bytes ||
            range.bytes > within.bytes - range.dpa) {
            fprintf(stderr, "eca: --ranges %s: line %" PRIu32 ": beyond the "
                    "%" PRIu64 " bytes there\n", options->ranges, *count + 1,
                    within.bytes);
            exit(EXIT_USAGE);
        }
        range.dpa += within.dpa;
        ranges[*count] = range;
    }
    if (!*count) {
        fprintf(stderr, "eca: --ranges %s: no lines of AT LENGTH\n",
                options->ranges);
        exit(EXIT_USAGE);
    }
    if (!input) {
        fclose(file);
    }
    return ranges;
}

typedef struct Ranges {
    EcaRange *range;
    uint32_t count;
} Ranges;

static int do_ranges(const Command *command, const Options *options,
                     void *arg)
{
    Ranges *ranges = arg;
    EcaOutcome out;
    int error = eca_do(agent, command->number, options->gfam, ranges->range,
                       ranges->count, &out, options->timeout_ms);

    return report(command, options, error, &out, "pages, lines or ranges");
}

static int run_ranges(const Command *command, const Options *options,
                      Eca *eca, char **arguments)
{
    EcaRange range = range_of(options, eca);
    Ranges ranges = { &range, 1 };
    int status;

    (void)arguments;
    if (options->ranges) {
        ranges.range = read_ranges(options, range, &ranges.count);
    }
    status = with_agent(command, options, eca, do_ranges, &ranges);
    if (options->ranges) {
        free(ranges.range);
    }
    return status;
}

static int do_fence(const Command *command, const Options *options,
                    void *arg)
{
    EcaOutcome out;
    int error = eca_fence(agent, &out, options->timeout_ms);

    (void)arg;
    return report(command, options, error, &out, "ranges");
}

static int run_fence(const Command *command, const Options *options,
                     Eca *eca, char **arguments)
{
    (void)arguments;
    return with_agent(command, options, eca, do_fence, NULL);
}

/* Runs of pages that are held in the same way. */
static void print_held(const Options *options, const uint8_t *held,
                       uint64_t pages)
{
    static const char *const how[] = {
        "not held", "held to read", "owned", "tracked by lines",
    };
    uint64_t base = options->at / PAGE * PAGE;

    printf("%s", options->json ? "[" : "");
    for (uint64_t i = 0, end; i < pages; i = end) {
        const char *text = held[i] < 4 ? how[held[i]] : "unknown";

        for (end = i + 1; end < pages && held[end] == held[i]; end++) {
            continue;
        }
        if (options->json) {
            printf("%s{\"at\":%" PRIu64 ",\"length\":%" PRIu64
                   ",\"held\":\"%s\"}", i ? "," : "", base + i * PAGE,
                   (end - i) * PAGE, text);
        } else {
            printf("%12" PRIu64 " KiB at %12" PRIu64 " KiB: %s\n",
                   (end - i) * PAGE / 1024, (base + i * PAGE) / 1024, text);
        }
    }
    printf("%s", options->json ? "]\n" : "");
}

static int do_holdings(const Command *command, const Options *options,
                       void *arg)
{
    const EcaRange *range = arg;
    uint64_t pages = (range->dpa % PAGE + range->bytes + PAGE - 1) / PAGE;
    uint8_t *held = malloc(pages + 1);
    EcaOutcome out;
    int error = held ? eca_holdings(agent, options->gfam, *range, held, &out,
                                    options->timeout_ms) : -ENOMEM;
    int status = EXIT_DONE;

    if (error || out.status) {
        status = report(command, options, error, &out, "pages");
    } else {
        print_held(options, held, pages);
    }
    free(held);
    return status;
}

static int run_holdings(const Command *command, const Options *options,
                        Eca *eca, char **arguments)
{
    EcaRange range = range_of(options, eca);

    (void)arguments;
    return with_agent(command, options, eca, do_holdings, &range);
}

/* Copies */

static int do_copy_out(const Command *command, const Options *options,
                       void *arg)
{
    EcaRange *range = arg;
    uint8_t *data = malloc(COPIED);
    EcaOutcome out = { 0 };
    int error = data ? 0 : -ENOMEM;

    while (!error && !out.status && range->bytes) {
        uint64_t bytes = range->bytes < COPIED ? range->bytes : COPIED;

        error = eca_copy_out(agent, options->gfam, range->dpa, data, bytes,
                             &out, options->timeout_ms);
        if (!error && fwrite(data, 1, out.done, stdout) != out.done) {
            error = -EIO;
        }
        range->dpa += bytes;
        range->bytes -= bytes;
    }
    free(data);
    error = error ? error : fflush(stdout) ? -EIO : 0;
    return error || out.status ?
           report(command, options, error, &out, "bytes") : EXIT_DONE;
}

static int do_copy_in(const Command *command, const Options *options,
                      void *arg)
{
    EcaRange *range = arg;
    uint8_t *data = malloc(COPIED);
    EcaOutcome out = { 0 };
    uint64_t total = 0;
    size_t got;
    int error = data ? 0 : -ENOMEM;

    while (!error && !out.status && (got = fread(data, 1, COPIED, stdin))) {
        size_t lines = (got + ECA_CACHE_LINE - 1) / ECA_CACHE_LINE *
                       ECA_CACHE_LINE;

        if (lines > range->bytes) {
            error = -EMSGSIZE;
            break;
        }
        memset(data + got, 0, lines - got);
        error = eca_copy_in(agent, options->gfam, range->dpa, data, lines,
                            &out, options->timeout_ms);
        total += out.done;
        range->dpa += lines;
        range->bytes -= lines;
    }
    free(data);
    error = error ? error : ferror(stdin) ? -EIO : 0;
    out.done = total;
    return report(command, options, error, &out, "bytes");
}

static int do_copy_across(const Command *command, const Options *options,
                          void *arg)
{
    EcaRange *range = arg;
    EcaOutcome out;
    int error = eca_copy_across(agent, options->gfam, range[0].dpa,
                                options->to_gfam, range[1].dpa,
                                range[0].bytes, &out, options->timeout_ms);

    return report(command, options, error, &out, "bytes");
}

static int run_copy_out(const Command *command, const Options *options,
                        Eca *eca, char **arguments)
{
    EcaRange range = range_of(options, eca);

    (void)arguments;
    return with_agent(command, options, eca, do_copy_out, &range);
}

static int run_copy_in(const Command *command, const Options *options,
                       Eca *eca, char **arguments)
{
    EcaRange range = range_of(options, eca);

    (void)arguments;
    return with_agent(command, options, eca, do_copy_in, &range);
}

static int run_copy_across(const Command *command, const Options *options,
                           Eca *eca, char **arguments)
{
    Options to = *options;
    EcaRange range[2] = { range_of(options, eca) };

    to.gfam = options->to_gfam;
    to.at = size_of("copy-across", arguments[0]);
    to.length = range[0].bytes;
    to.has_length = true;
    range[1] = range_of(&to, eca);
    return with_agent(command, options, eca, do_copy_across, range);
}

const Command page_commands[] = {
    { "flush", "", 0, false, run_ranges, "write private copies back",
      ECA_DO_FLUSH },
    { "invalidate", "", 0, false, run_ranges, "drop private copies",
      ECA_DO_INVALIDATE },
    { "flush-invalidate", "", 0, false, run_ranges, "both",
      ECA_DO_FLUSH_INVALIDATE },
    { "acquire-shared", "", 0, false, run_ranges, "hold the pages, to read",
      ECA_DO_ACQUIRE_SHARED },
    { "acquire-owned", "", 0, false, run_ranges, "hold the pages, to write",
      ECA_DO_ACQUIRE_OWNED },
    { "release", "", 0, false, run_ranges, "give the pages and their lines "
      "up", ECA_DO_RELEASE },
    { "promote", "", 0, false, run_ranges, "track the pages by lines",
      ECA_DO_PROMOTE },
    { "demote", "", 0, false, run_ranges, "own the pages, also those tracked "
      "by lines", ECA_DO_DEMOTE },
    { "prefetch", "", 0, false, run_ranges, "ask for the pages, to read, "
      "without a wait", ECA_DO_PREFETCH },
    { "reserve", "", 0, false, run_ranges, "let no other host use the range",
      ECA_DO_RESERVE },
    { "unreserve", "", 0, false, run_ranges, "give up this host's reserved "
      "ranges in it", ECA_DO_UNRESERVE },
    { "fence", "", 0, false, run_fence, "wait for the commands of other "
      "processes", 0 },
    { "holdings", "", 0, false, run_holdings, "how this host holds the pages",
      0 },
    { "copy-out", "", 0, false, run_copy_out, "write the range to stdout", 0 },
    { "copy-in", "", 0, false, run_copy_in, "read the range from stdin", 0 },
    { "copy-across", "AT", 1, false, run_copy_across, "copy the range to AT",
      0 },
    { 0 }
};
