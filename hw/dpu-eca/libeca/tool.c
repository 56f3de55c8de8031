/*
 * eca: regions, arenas and the agent of this host, from the command line
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tool.h"

static const Command *const tables[] = {
    agent_commands, arena_commands, page_commands, event_commands,
    manager_commands,
};

#define TABLES          (sizeof(tables) / sizeof(tables[0]))

int failed(const char *what, int error)
{
    fprintf(stderr, "eca: %s: %s\n", what, eca_strerror(error));
    return error == -ETIMEDOUT ? EXIT_LATE : EXIT_NOT_DONE;
}

uint64_t size_of(const char *name, const char *text)
{
    static const char units[] = "KMGT";
    const char *at = text, *unit;
    uint64_t value = 0;
    unsigned shift = 0;

    for (; *at >= '0' && *at <= '9' && value < UINT64_MAX / 100; at++) {
        value = value * 10 + *at - '0';
    }
    unit = *at ? strchr(units, *at) : NULL;
    if (at > text && unit) {
        shift = 10 * (unit - units + 1);
        at++;
    }
    if (at == text || *at || value << shift >> shift != value) {
        fprintf(stderr, "eca: %s %s: accepts bytes, or a number with K, M, G "
                "or T\n", name, text);
        exit(EXIT_USAGE);
    }
    return value << shift;
}

uint64_t number_of(const char *name, const char *text, uint64_t low,
                   uint64_t high)
{
    uint64_t value = size_of(name, text);

    if (value < low || value > high) {
        fprintf(stderr, "eca: %s %s: accepts %" PRIu64 " to %" PRIu64 "\n",
                name, text, low, high);
        exit(EXIT_USAGE);
    }
    return value;
}

static void help(void)
{
    printf("usage: eca [OPTIONS] COMMAND [ARGUMENT]...\n\n"
           "Memory that hosts share through a CXL fabric, its arenas of "
           "named objects, and\nthis host's Edge Coherence Agent.\n\n");
    for (size_t table = 0; table < TABLES; table++) {
        for (const Command *command = tables[table]; command->name;
             command++) {
            char text[48];

            snprintf(text, sizeof(text), "%s %s", command->name,
                     command->arguments);
            printf("  %-22s %s\n", text, command->help);
        }
        printf("\n");
    }
    printf("  --device DEVICE   dax device, 'hot' or 'bulk' for the smallest "
           "region of\n"
           "                    that class, or a file (default hot)\n"
           "  --offset BYTES    where the arena begins in it (default 0)\n"
           "  --bytes BYTES     size of a new arena (default: all)\n"
           "  --objects N       room of a new arena (default 256)\n"
           "  --align BYTES     of a new object (default 64)\n"
           "  --gfam N          of commands for pages (default 0)\n"
           "  --class CLASS     hot or bulk: what --at counts in (default "
           "bulk)\n"
           "  --at BYTES        first byte, for pages (default 0)\n"
           "  --length BYTES    for pages (default: to the end)\n"
           "  --ranges FILE     lines of AT LENGTH from --at on, instead; - is "
           "stdin\n"
           "  --to-gfam N       where copy-across goes (default 0)\n"
           "  --by WAY          any, queue or registers: how commands are "
           "given (default\n"
           "                    any)\n"
           "  --kinds LIST      of events, with commas between (default: "
           "all)\n"
           "  --sample N        one event in 2^N of bisnp and ownership "
           "(default 0)\n"
           "  --follow          events until a signal comes\n"
           "  --timeout SECONDS of any wait (default 60)\n"
           "  --json            for programs\n"
           "  --help            this text\n\n"
           "Sizes may end in K, M, G or T.  Exit status: 0 done, 1 not done, "
           "2 usage,\n3 a wait took too long.\n");
}

static const Command *find(const char *name)
{
    for (size_t table = 0; table < TABLES; table++) {
        for (const Command *command = tables[table]; command->name;
             command++) {
            if (!strcmp(command->name, name)) {
                return command;
            }
        }
    }
    fprintf(stderr, "eca: %s: no such command; see --help\n", name);
    exit(EXIT_USAGE);
}

static void take_way(Options *options, const char *text)
{
    static const char *const ways[] = {
        [ECA_BY_ANY] = "any", [ECA_BY_QUEUE] = "queue",
        [ECA_BY_REGISTERS] = "registers",
    };

    for (EcaBy by = ECA_BY_ANY; by <= ECA_BY_REGISTERS; by++) {
        if (!strcmp(text, ways[by])) {
            options->by = by;
            return;
        }
    }
    fprintf(stderr, "eca: --by %s: accepts any, queue and registers\n",
            text);
    exit(EXIT_USAGE);
}

static void take_option(Options *options, int option, const char *text)
{
    switch (option) {
    case 'd':
        options->device = text;
        break;
    case 'o':
        options->offset = size_of("--offset", text);
        break;
    case 'b':
        options->bytes = size_of("--bytes", text);
        break;
    case 'n':
        options->objects = number_of("--objects", text, 1, 65536);
        break;
    case 'a':
        options->align = size_of("--align", text);
        break;
    case 'g':
        options->gfam = number_of("--gfam", text, 0, ECA_MAX_GFAMS - 1);
        options->has_gfam = true;
        break;
    case 'c':
        options->type = strcmp(text, "hot") ? ECA_CLASS_BULK : ECA_CLASS_HOT;
        if (options->type == ECA_CLASS_BULK && strcmp(text, "bulk")) {
            fprintf(stderr, "eca: --class %s: accepts hot and bulk\n", text);
            exit(EXIT_USAGE);
        }
        break;
    case 'p':
        options->at = size_of("--at", text);
        break;
    case 'l':
        options->length = size_of("--length", text);
        options->has_length = true;
        break;
    case 'r':
        options->ranges = text;
        break;
    case 'G':
        options->to_gfam = number_of("--to-gfam", text, 0,
                                     ECA_MAX_GFAMS - 1);
        break;
    case 'B':
        take_way(options, text);
        break;
    case 'k':
        options->kinds = text;
        break;
    case 's':
        options->sample = number_of("--sample", text, 0, 20);
        break;
    case 'f':
        options->follow = true;
        break;
    case 't':
        options->timeout_ms = 1000 * number_of("--timeout", text, 0, 86400);
        break;
    case 'j':
        options->json = true;
        break;
    case 'h':
        help();
        exit(EXIT_DONE);
    default:
        exit(EXIT_USAGE);
    }
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "device", required_argument, NULL, 'd' },
        { "offset", required_argument, NULL, 'o' },
        { "bytes", required_argument, NULL, 'b' },
        { "objects", required_argument, NULL, 'n' },
        { "align", required_argument, NULL, 'a' },
        { "gfam", required_argument, NULL, 'g' },
        { "class", required_argument, NULL, 'c' },
        { "at", required_argument, NULL, 'p' },
        { "length", required_argument, NULL, 'l' },
        { "ranges", required_argument, NULL, 'r' },
        { "to-gfam", required_argument, NULL, 'G' },
        { "by", required_argument, NULL, 'B' },
        { "kinds", required_argument, NULL, 'k' },
        { "sample", required_argument, NULL, 's' },
        { "follow", no_argument, NULL, 'f' },
        { "timeout", required_argument, NULL, 't' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { 0 }
    };
    Options options = {
        .device = "hot", .objects = 256, .type = ECA_CLASS_BULK,
        .timeout_ms = 60000,
    };
    const Command *command;
    bool given = false;
    Eca *eca = NULL;
    int option, error, status;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        take_option(&options, option, optarg);
        given |= option == 'd';
    }
    if (optind == argc) {
        fprintf(stderr, "eca: a command is needed; see --help\n");
        return EXIT_USAGE;
    }
    command = find(argv[optind]);
    if (argc - optind - 1 != command->count) {
        fprintf(stderr, "eca: usage: eca [OPTIONS] %s %s\n", command->name,
                command->arguments);
        return EXIT_USAGE;
    }
    /* Making a file needs no device, and the agent's commands no memory. */
    if (strcmp(command->name, "format")) {
        error = eca_open(&eca, command->memory || given ? options.device :
                         NULL);
        if (error) {
            return failed(command->memory || given ? options.device :
                          "this host's agent", error);
        }
    }
    status = command->run(command, &options, eca, argv + optind + 1);
    eca_close(eca);
    return status;
}
