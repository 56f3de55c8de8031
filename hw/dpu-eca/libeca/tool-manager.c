/*
 * eca: how BULK is kept coherent, and what is asked of the fabric's manager
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tool.h"

/* The place of a word in a list that ends with NULL, or exit. */
static int word_of(const char *name, const char *text,
                   const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (!strcmp(text, words[i])) {
            return i;
        }
    }
    fprintf(stderr, "eca: %s %s: accepts", name, text);
    for (int i = 0; words[i]; i++) {
        fprintf(stderr, " %s", words[i]);
    }
    fprintf(stderr, "\n");
    exit(EXIT_USAGE);
}

static int do_mode(const Command *command, const Options *options, void *arg)
{
    EcaOutcome out;
    int error = eca_set_mode(the_agent(), options->gfam, *(bool *)arg, &out,
                             options->timeout_ms);

    return report(command, options, error, &out, "changes");
}

static int run_mode(const Command *command, const Options *options, Eca *eca,
                    char **arguments)
{
    static const char *const modes[] = { "coherent", "software", NULL };
    bool software = word_of("mode", arguments[0], modes);

    return with_agent(command, options, eca, do_mode, &software);
}

typedef struct Request {
    EcaAsked what;
    uint32_t gfam, first, second;
    EcaRange range;
} Request;

static int do_ask(const Command *command, const Options *options, void *arg)
{
    const Request *r = arg;
    EcaOutcome out;
    int error = eca_ask(the_agent(), r->what, r->gfam, r->range, r->first,
                        r->second, &out, options->timeout_ms);

    if (error || out.status) {
        return report(command, options, error, &out, "requests");
    }
    printf(options->json ? "{\"command\":\"ask\",\"request\":%" PRIu64 "}\n" :
           "ask: request %" PRIu64 "; its answer is an event\n", out.done);
    return EXIT_DONE;
}

static void ask_capacity(const Options *options, const char *class,
                         Request *r)
{
    static const char *const classes[] = { "hot", "bulk", NULL };

    r->what = ECA_ASK_CAPACITY;
    r->first = ECA_WANT_HOT + word_of("ask capacity", class, classes);
    r->gfam = options->has_gfam ? options->gfam : ECA_ANY_GFAM;
    r->range.bytes = options->length;
    if (!options->has_length) {
        fprintf(stderr, "eca: ask capacity: needs --length\n");
        exit(EXIT_USAGE);
    }
}

/* "bind" or "unbind" an LD. */
static void ask_binding(uint32_t how, const char *name, const char *ld,
                        Request *r)
{
    r->what = ECA_ASK_BINDING;
    r->first = how;
    r->second = strcmp(ld, "all") ?
                number_of(name, ld, 0, ECA_WHOLE - 1) : ECA_WHOLE;
}

static int run_ask(const Command *command, const Options *options, Eca *eca,
                   char **arguments)
{
    static const char *const kinds[] = {
        "capacity", "class", "bind", "unbind", NULL
    };
    static const char *const wanted[] = {
        "hot", "bulk", "coherent", "software", NULL
    };
    Request r = { .gfam = options->gfam };

    switch (word_of("ask", arguments[0], kinds)) {
    case 0:
        ask_capacity(options, arguments[1], &r);
        break;
    case 1:
        r.what = ECA_ASK_CLASS;
        r.first = ECA_WANT_HOT + word_of("ask class", arguments[1], wanted);
        r.range = range_of(options, eca);
        break;
    case 2:
        ask_binding(ECA_BIND, "ask bind", arguments[1], &r);
        break;
    default:
        ask_binding(ECA_UNBIND, "ask unbind", arguments[1], &r);
        break;
    }
    return with_agent(command, options, eca, do_ask, &r);
}

const Command manager_commands[] = {
    { "mode", "MODE", 1, false, run_mode, "how BULK is kept coherent: "
      "coherent or software", 0 },
    { "ask", "WHAT HOW", 2, false, run_ask, "the fabric's manager: capacity "
      "hot|bulk; class\n                         hot|bulk|coherent|software; "
      "bind|unbind LD|all", 0 },
    { 0 }
};
