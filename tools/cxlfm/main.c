/*
 * cxlfm: its command line, and what it prints
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cxlfm.h"

void fail(int status, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "cxlfm: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    exit(status);
}

static gint64 deadline;             /* of g_get_monotonic_time() */

int milliseconds_left(void)
{
    gint64 left = (deadline - g_get_monotonic_time()) / 1000;

    return left < 0 ? 0 : left;
}

bool is_late(void)
{
    return g_get_monotonic_time() > deadline;
}

uint64_t number_of(const char *name, const char *text, uint64_t high)
{
    bool hex = g_str_has_prefix(text, "0x");
    guint64 value;

    if (!g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0,
                                    high, &value, NULL)) {
        fail(EXIT_USAGE, "%s %s: accepts 0 to %" G_GUINT64_FORMAT
             ", decimal or with 0x", name, text, (guint64)high);
    }
    return value;
}

/* What is printed */

static char *cell_of(json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return g_strdup(json_string_value(value));
    case JSON_INTEGER:
        return g_strdup_printf("%" JSON_INTEGER_FORMAT,
                               json_integer_value(value));
    case JSON_TRUE:
        return g_strdup("yes");
    case JSON_FALSE:
        return g_strdup("no");
    default:
        return g_strdup("-");
    }
}

static void print_object(json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value) {
        g_autofree char *cell = cell_of(value);

        printf("%s: %s\n", name, cell);
    }
}

/* A row of cells; the last one needs no padding. */
static void print_row(GPtrArray *row, const size_t *width)
{
    for (guint i = 0; i < row->len; i++) {
        bool last = i + 1 == row->len;

        printf("%-*s%s", last ? 0 : (int)width[i],
               (char *)g_ptr_array_index(row, i), last ? "\n" : "  ");
    }
}

static void print_table(json_t *list)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autofree size_t *width = NULL;
    const char *name;
    json_t *object, *value;
    size_t at;

    g_ptr_array_add(rows, g_ptr_array_new_with_free_func(g_free));
    json_object_foreach(json_array_get(list, 0), name, value) {
        g_ptr_array_add(rows->pdata[0], g_strdup(name));
    }
    json_array_foreach(list, at, object) {
        GPtrArray *row = g_ptr_array_new_with_free_func(g_free);

        json_object_foreach(object, name, value) {
            g_ptr_array_add(row, cell_of(value));
        }
        g_ptr_array_add(rows, row);
    }
    width = g_new0(size_t, ((GPtrArray *)rows->pdata[0])->len + 1);
    for (guint i = 0; i < rows->len; i++) {
        GPtrArray *row = g_ptr_array_index(rows, i);

        for (guint j = 0; j < row->len; j++) {
            width[j] = MAX(width[j], strlen(row->pdata[j]));
        }
    }
    for (guint i = 0; i < rows->len; i++) {
        print_row(g_ptr_array_index(rows, i), width);
    }
}

static void print(const Options *options, json_t *what)
{
    if (options->json) {
        json_t *shown = what ? what : json_object();

        json_dumpf(shown, stdout, JSON_INDENT(2));
        printf("\n");
    } else if (json_array_size(what)) {
        print_table(what);
    } else if (json_is_array(what)) {
        printf("none\n");
    } else {
        print_object(what);
    }
    if (fflush(stdout) || ferror(stdout)) {
        fail(EXIT_NOT_DONE, "standard output: cannot be written");
    }
}

/* The command line */

static void help(void)
{
    printf("usage: cxlfm --socket PATH|--mailbox DEVICE [OPTIONS] COMMAND "
           "[ARGUMENT]...\n\n"
           "A Fabric Manager's commands to the switches and devices of a "
           "CXL fabric, through\nthe QMP socket of the fabric's owner, or "
           "from a host by its switch's mailbox.\n\n");
    for (const Command *c = commands; c->name; c++) {
        g_autofree char *text = g_strdup_printf("%s %s", c->name,
                                                c->arguments);

        printf("  %-36s %s\n", text, c->help);
    }
    printf("\n"
           "  --socket PATH      where the owner speaks QMP (-qmp "
           "unix:PATH,server=on,wait=off)\n"
           "  --mailbox DEVICE   in a host: auto, or a PCI address, such as "
           "0000:0d:00.1.\n"
           "                     COMPONENT is then 0, the switch of this "
           "host, or pN, the\n"
           "                     device at its port N\n"
           "  --id ID            the fabric, if the owner has several\n"
           "  --from PID         who sends, 0 to 4094 (default: a Fabric "
           "Manager without PID)\n"
           "  --timeout SECONDS  of the whole command (default 60)\n"
           "  --json             for programs\n"
           "  --help             this text\n\n"
           "Numbers are decimal, or begin with 0x.  Exit status: 0 done, 1 "
           "not done, 2 usage,\n3 a wait took too long.\n");
}

static const Command *find(const char *name)
{
    for (const Command *c = commands; c->name; c++) {
        if (!strcmp(c->name, name)) {
            return c;
        }
    }
    fail(EXIT_USAGE, "%s: no such command; see --help", name);
}

static Options read_options(int argc, char **argv)
{
    static const struct option all[] = {
        { "socket", required_argument, NULL, 's' },
        { "mailbox", required_argument, NULL, 'm' },
        { "id", required_argument, NULL, 'i' },
        { "from", required_argument, NULL, 'f' },
        { "timeout", required_argument, NULL, 't' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };
    Options options = { .from = -1, .timeout = 60 };
    int option;

    while ((option = getopt_long(argc, argv, "+", all, NULL)) != -1) {
        switch (option) {
        case 's':
            options.socket = optarg;
            break;
        case 'm':
            options.mailbox = optarg;
            break;
        case 'i':
            options.id = optarg;
            break;
        case 'f':
            options.from = number_of("--from", optarg, 4094);
            break;
        case 't':
            options.timeout = number_of("--timeout", optarg, 86400);
            break;
        case 'j':
            options.json = true;
            break;
        case 'h':
            help();
            exit(EXIT_DONE);
        default:
            exit(EXIT_USAGE);   /* getopt has said why */
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    /* Room for arguments that may be left out. */
    char *argument[8] = { NULL };
    const Command *command;
    Options options;
    json_t *what;
    int many;

    options = read_options(argc, argv);
    if (optind == argc) {
        fail(EXIT_USAGE, "a command is needed; see --help");
    }
    command = find(argv[optind]);
    many = argc - optind - 1;
    if (many < command->least || many > command->most) {
        fail(EXIT_USAGE, "usage: cxlfm [OPTIONS] %s %s", command->name,
             command->arguments);
    }
    memcpy(argument, argv + optind + 1, many * sizeof(char *));
    if (!options.socket == !options.mailbox) {
        fail(EXIT_USAGE, "either --socket PATH is needed, where the fabric's "
             "owner speaks QMP, or --mailbox DEVICE");
    }
    if (options.mailbox && (options.id || options.from >= 0)) {
        fail(EXIT_USAGE, "%s: --mailbox says it: the host's own",
             options.id ? "--id" : "--from");
    }
    deadline = g_get_monotonic_time() +
               options.timeout * (gint64)G_USEC_PER_SEC;
    if (options.mailbox) {
        mailbox_open(&options);
    } else {
        qmp_connect(&options);
    }
    what = command->run(&options, argument);
    print(&options, what);
    json_decref(what);
    return EXIT_DONE;
}
