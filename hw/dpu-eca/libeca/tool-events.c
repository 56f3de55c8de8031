/*
 * eca: events of the agent, and messages to other hosts
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tool.h"

#define KINDS           32
#define NAP_NS          10000000

static volatile sig_atomic_t interrupted;   /* a signal handler sets it */

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* Names with commas between them, as bits; exits if there is no such. */
static uint32_t kinds_of(const char *text)
{
    uint32_t mask = 0;

    for (const char *at = text; ; at++) {
        size_t length = strcspn(at, ",");
        uint32_t kind = 0;

        while (kind < KINDS && !(eca_event_name(kind) &&
               strlen(eca_event_name(kind)) == length &&
               !memcmp(eca_event_name(kind), at, length))) {
            kind++;
        }
        if (kind == KINDS) {
            fprintf(stderr, "eca: --kinds %s: accepts", text);
            for (kind = 0; kind < KINDS; kind++) {
                if (eca_event_name(kind)) {
                    fprintf(stderr, " %s", eca_event_name(kind));
                }
            }
            fprintf(stderr, ", with commas between\n");
            exit(EXIT_USAGE);
        }
        mask |= 1u << kind;
        at += length;
        if (!*at) {
            return mask;
        }
    }
}

/* A member that may be unknown. */
static void number(const Options *options, const char *name, uint64_t value,
                   uint64_t none)
{
    if (value == none && options->json) {
        printf(",\"%s\":null", name);
    } else if (value != none) {
        printf(options->json ? ",\"%s\":%" PRIu64 : " %s %" PRIu64, name,
               value);
    }
}

static void print_event(const Options *options, const EcaEvent *event)
{
    static const char *const said[] = {
        "granted", "denied", "failed", "fabric lost",
    };
    const char *name = eca_event_name(event->kind);
    EcaAnswer answer;
    bool message = event->kind == ECA_EVENT_OF_MESSAGE;
    uint64_t bytes = message && event->bytes < sizeof(event->data) ?
                     event->bytes : sizeof(event->data);

    printf(options->json ? "{\"kind\":\"%s\",\"time-ns\":%" PRIu64 :
           "%-10s %" PRIu64 " ns", name ? name : "unknown", event->time_ns);
    number(options, "host", event->host, UINT32_MAX);
    number(options, "gfam", event->gfam, UINT32_MAX);
    number(options, "count", event->count, UINT64_MAX);
    number(options, "dpa", event->dpa, UINT64_MAX);
    number(options, "length", event->bytes, UINT64_MAX);
    printf(options->json ? ",\"data\":\"" : " data ");
    for (uint64_t i = 0; i < bytes; i++) {
        printf("%02x", event->data[i]);
    }
    printf("%s", options->json ? "\"" : "");
    if (message) {
        /* What another host wrote: printable, and without quotes. */
        printf(options->json ? ",\"text\":\"" : " text ");
        for (uint64_t i = 0; i < bytes; i++) {
            char c = event->data[i];

            putchar(c < ' ' || c > '~' || c == '"' || c == '\\' ? '?' : c);
        }
        printf("%s", options->json ? "\"" : "");
    }
    if (!eca_answer(event, &answer)) {
        printf(options->json ? ",\"request\":%" PRIu64
               ",\"answer\":\"%s\"" : " request %" PRIu64 " %s",
               answer.request, answer.answer < 4 ? said[answer.answer] :
               "unknown");
    }
    printf("%s\n", options->json ? "}" : "");
    fflush(stdout);
}

static int follow(const Options *options, EcaEvents *events)
{
    static const struct timespec nap = { .tv_nsec = NAP_NS };
    uint64_t lost = 0, now;
    EcaEvent event;
    int error = 0;

    while (!interrupted && (!error || error == -ETIMEDOUT)) {
        error = eca_events_next(events, &event, 0);
        if (!error) {
            print_event(options, &event);
            continue;
        }
        now = eca_events_lost(events);
        if (now != lost) {
            fprintf(stderr, "eca: events: %" PRIu64 " lost\n", now - lost);
            lost = now;
        }
        nanosleep(&nap, NULL);
    }
    return error == -ETIMEDOUT ? 0 : error;
}

/* Until one has come, and all that are there then. */
static int once(const Options *options, EcaEvents *events)
{
    EcaEvent event;
    int error = eca_events_next(events, &event, options->timeout_ms);

    if (error) {
        return error;
    }
    do {
        print_event(options, &event);
        error = eca_events_next(events, &event, 0);
    } while (!error);
    return error == -ETIMEDOUT ? 0 : error;
}

static int run_events(const Command *command, const Options *options,
                      Eca *eca, char **arguments)
{
    uint32_t kinds = options->kinds ? kinds_of(options->kinds) : UINT32_MAX;
    struct sigaction action = { .sa_handler = on_signal };
    EcaEvents *events;
    int error;

    (void)arguments;
    if (options->follow) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
    }
    error = eca_events_open(&events, eca, kinds, options->sample);
    if (error) {
        return failed(command->name, error);
    }
    fprintf(stderr, "eca: events: waiting\n");
    error = options->follow ? follow(options, events) :
            once(options, events);
    eca_events_close(events);
    return error ? failed(command->name, error) : EXIT_DONE;
}

typedef struct Message {
    uint32_t host;
    const char *text;
} Message;

static int do_send(const Command *command, const Options *options, void *arg)
{
    const Message *message = arg;
    EcaOutcome out;
    int error = eca_send(the_agent(), message->host, message->text,
                         strlen(message->text), &out, options->timeout_ms);

    return report(command, options, error, &out, "bytes");
}

static int run_send(const Command *command, const Options *options,
                    Eca *eca, char **arguments)
{
    Message message = { .text = arguments[1] };
    EcaInfo info;

    eca_info(eca, &info);
    message.host = number_of("send", arguments[0], 0, info.hosts - 1);
    if (strlen(message.text) > ECA_MESSAGE_BYTES) {
        fprintf(stderr, "eca: send: TEXT accepts at most %d bytes\n",
                ECA_MESSAGE_BYTES);
        return EXIT_USAGE;
    }
    return with_agent(command, options, eca, do_send, &message);
}

const Command event_commands[] = {
    { "events", "", 0, false, run_events, "what happens to this host's "
      "memory, as it comes", 0 },
    { "send", "HOST TEXT", 2, false, run_send, "a message to a host, for its "
      "events", 0 },
    { 0 }
};
