/*
 * The tool `eca`: what its files share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LIBECA_TOOL_H
#define LIBECA_TOOL_H

#include "eca/eca.h"

enum { EXIT_DONE = 0, EXIT_NOT_DONE = 1, EXIT_USAGE = 2, EXIT_LATE = 3 };

typedef struct Options {
    const char *device;
    uint64_t offset, bytes, align, at, length;
    uint32_t objects, gfam;
    EcaClass type;
    EcaBy by;
    const char *ranges, *kinds;
    uint32_t to_gfam, sample;
    int timeout_ms;
    bool json, has_length, has_gfam, follow;
} Options;

typedef struct Command Command;

struct Command {
    const char *name;
    const char *arguments;          /* their names, for --help */
    int count;
    bool memory;                    /* needs the device, not the agent alone */
    /* Returns an exit status; @arguments are @count words. */
    int (*run)(const Command *command, const Options *options, Eca *eca,
               char **arguments);
    const char *help;
    uint32_t number;                /* of the agent's command */
};

extern const Command arena_commands[], agent_commands[], page_commands[],
    event_commands[], manager_commands[];

/* Say what went wrong; the exit status. */
int failed(const char *what, int error);
/* A size in bytes, also with K, M, G behind it; exits if it is none. */
uint64_t size_of(const char *name, const char *text);

/* A number from @low to @high; exits if it is none. */
uint64_t number_of(const char *name, const char *text, uint64_t low,
                   uint64_t high);

/* tool-pages.c: what commands of the agent have in common */

/* Run @body with the agent open: a signal aborts its command. */
int with_agent(const Command *command, const Options *options, Eca *eca,
               int (*body)(const Command *command, const Options *options,
                           void *arg), void *arg);
EcaAgent *the_agent(void);

/* What --gfam, --class, --at and --length say, as DPAs; exits if not so. */
EcaRange range_of(const Options *options, Eca *eca);

/* Say what came of a command, or why there is no outcome; exit status. */
int report(const Command *command, const Options *options, int error,
           const EcaOutcome *out, const char *unit);

#endif /* LIBECA_TOOL_H */
