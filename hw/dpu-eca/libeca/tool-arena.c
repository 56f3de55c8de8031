/*
 * eca: arenas and what is in them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tool.h"

static const char *const kinds[] = {
    "unknown", "data", "spin", "ticket", "barrier", "queue", "channel",
};

static int list(const Options *options, EcaArena *arena)
{
    EcaObject object;
    uint32_t index = 0;
    const char *between = "";
    int error;

    printf("%s", options->json ? "[" : "");
    while (!(error = eca_next(arena, &index, &object))) {
        const char *kind = object.kind <= ECA_KIND_CHANNEL ?
                           kinds[object.kind] : kinds[0];

        if (options->json) {
            printf("%s{\"name\":\"%s\",\"kind\":\"%s\",\"bytes\":%" PRIu64
                   ",\"offset\":%" PRIu64 ",\"ready\":%s}", between,
                   object.name, kind, object.bytes, object.offset,
                   object.ready ? "true" : "false");
            between = ",";
        } else {
            printf("%-31s %-8s %12" PRIu64 " bytes at %" PRIu64 "%s\n",
                   object.name, kind, object.bytes, object.offset,
                   object.ready ? "" : ", being made");
        }
    }
    printf("%s", options->json ? "]\n" : "");
    return error == -ENOENT ? EXIT_DONE : failed("arena list", error);
}

static int check(const Options *options, EcaArena *arena)
{
    EcaReport report;
    int error = eca_arena_check(arena, &report, options->timeout_ms);

    if (error && error != -EUCLEAN) {
        return failed("arena check", error);
    }
    /* A damaged name may have any byte in it. */
    for (char *at = report.fault; *at; at++) {
        *at = *at < ' ' || *at > '~' || *at == '"' || *at == '\\' ? '?' : *at;
    }
    printf(options->json ? "{\"objects\":%" PRIu32 ",\"room\":%" PRIu32
           ",\"bytes\":%" PRIu64 ",\"used\":%" PRIu64 ",\"reclaimed\":%"
           PRIu32 ",\"fault\":\"%s\"}\n" :
           "%" PRIu32 " of %" PRIu32 " objects, of %" PRIu64 " bytes %" PRIu64
           " used, %" PRIu32 " reclaimed from the dead; %s\n",
           report.objects, report.room, report.bytes, report.used,
           report.reclaimed, error || options->json ? report.fault : "good");
    return error ? EXIT_NOT_DONE : EXIT_DONE;
}

static int run_arena(const Command *command, const Options *options,
                     Eca *eca, char **arguments)
{
    const char *what = arguments[0];
    EcaArena *arena;
    int error, status;

    (void)command;
    if (!strcmp(what, "create")) {
        error = eca_arena_create(eca, options->offset, options->bytes,
                                 options->objects);
    } else if (!strcmp(what, "destroy")) {
        error = eca_arena_destroy(eca, options->offset);
    } else if (strcmp(what, "list") && strcmp(what, "check")) {
        fprintf(stderr, "eca: arena %s: accepts create, list, check and "
                "destroy\n", what);
        return EXIT_USAGE;
    } else {
        error = eca_arena_join(&arena, eca, options->offset);
        if (!error) {
            status = *what == 'l' ? list(options, arena) :
                     check(options, arena);
            eca_arena_leave(arena);
            return status;
        }
    }
    return error ? failed("arena", error) : EXIT_DONE;
}

static int run_alloc(const Command *command, const Options *options,
                     Eca *eca, char **arguments)
{
    uint64_t bytes = size_of("alloc", arguments[1]);
    EcaArena *arena;
    void *at;
    int error = eca_arena_join(&arena, eca, options->offset);

    (void)command;
    if (error) {
        return failed("the arena", error);
    }
    error = eca_alloc(arena, arguments[0], bytes, options->align, &at,
                      options->timeout_ms);
    eca_arena_leave(arena);
    return error ? failed(arguments[0], error) : EXIT_DONE;
}

static int run_free(const Command *command, const Options *options,
                    Eca *eca, char **arguments)
{
    EcaArena *arena;
    int error = eca_arena_join(&arena, eca, options->offset);

    (void)command;
    if (error) {
        return failed("the arena", error);
    }
    error = eca_free(arena, arguments[0], options->timeout_ms);
    eca_arena_leave(arena);
    return error ? failed(arguments[0], error) : EXIT_DONE;
}

/* By words: what is trapped costs as much for a byte. */
static int copy_out(const uint64_t *words, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++) {
        uint64_t word = __atomic_load_n(&words[i], __ATOMIC_RELAXED);

        if (fwrite(&word, sizeof(word), 1, stdout) != 1) {
            return -EIO;
        }
    }
    return fflush(stdout) ? -EIO : 0;
}

static int copy_in(uint64_t *words, uint64_t bytes)
{
    uint64_t word = 0, i = 0;
    size_t got;

    while ((got = fread(&word, 1, sizeof(word), stdin)) > 0) {
        if (i == bytes / 8) {
            return -EMSGSIZE;
        }
        __atomic_store_n(&words[i++], word, __ATOMIC_RELAXED);
        word = 0;
    }
    return ferror(stdin) ? -EIO : 0;
}

static int with_data(const Options *options, Eca *eca, const char *name,
                     bool put)
{
    EcaArena *arena;
    uint64_t bytes;
    void *at;
    int error = eca_arena_join(&arena, eca, options->offset);

    if (error) {
        return failed("the arena", error);
    }
    error = eca_find(arena, name, &at, &bytes);
    if (!error) {
        error = put ? copy_in(at, bytes) : copy_out(at, bytes);
    }
    eca_arena_leave(arena);
    return error ? failed(name, error) : EXIT_DONE;
}

static int run_cat(const Command *command, const Options *options,
                   Eca *eca, char **arguments)
{
    (void)command;
    return with_data(options, eca, arguments[0], false);
}

static int run_put(const Command *command, const Options *options,
                   Eca *eca, char **arguments)
{
    (void)command;
    return with_data(options, eca, arguments[0], true);
}

static int run_format(const Command *command, const Options *options,
                      Eca *eca, char **arguments)
{
    int error = eca_format_file(arguments[0],
                                size_of("format", arguments[1]));

    (void)command;
    (void)options;
    (void)eca;
    return error ? failed(arguments[0], error) : EXIT_DONE;
}

const Command arena_commands[] = {
    { "arena", "create", 1, true, run_arena, "make an arena", 0 },
    { "arena", "list", 1, true, run_arena, "its objects", 0 },
    { "arena", "check", 1, true, run_arena, "check it; reclaim what the dead "
      "left", 0 },
    { "arena", "destroy", 1, true, run_arena, "end it, whoever uses it", 0 },
    { "alloc", "NAME BYTES", 2, true, run_alloc, "make an object of data",
      0 },
    { "free", "NAME", 1, true, run_free, "free an object of any kind", 0 },
    { "cat", "NAME", 1, true, run_cat, "write an object's content to stdout",
      0 },
    { "put", "NAME", 1, true, run_put, "read an object's content from stdin",
      0 },
    { "format", "FILE BYTES", 2, false, run_format, "make a file to use "
      "without a fabric", 0 },
    { 0 }
};
