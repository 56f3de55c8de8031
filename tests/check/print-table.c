/*
 * Prints docs/protocol-table.md from the protocol's lists
 *
 *   print-table                prints the document
 *   print-table --check FILE   a test in TAP: whether FILE is what it prints,
 *                              and the lists are what the core executes
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cxlf/protocol.h"

static const char *const state_text[CXLF_STATES][4] = {
#define STATE(id, name, units, holders, requester, text) \
    [CXLF_##id] = { #units, #holders, #requester, text },
#include "protocol-table.h"
};

static const char *const relation_text[CXLF_RELATIONS][2] = {
#define RELATION(id, name, text) [CXLF_##id] = { name, text },
#include "protocol-table.h"
};

static const char *const event_text[CXLF_EVENTS][4] = {
#define EVENT(id, name, units, raiser, text, cxl) \
    [CXLF_##id] = { #units, raiser, text, cxl },
#include "protocol-table.h"
};

static const char *const message_text[][4] = {
#define MESSAGE(name, channel, text, reference) \
    { name, channel, text, reference },
#include "protocol-table.h"
};

static const struct {
    unsigned action;
    const char *word;
    const char *text;
} action_text[] = {
#define ACTION(id, word, text) { CXLF_A_##id, word, text },
#include "protocol-table.h"
};

/* In the order of the list, so that one written twice shows */
static const struct cell_text {
    unsigned state, relation, event;
    const char *text;
    const char *reference;
} cell_text[] = {
#define CELL(state_, relation_, event_, next, last, wait, actions, text_, ref) \
    { CXLF_##state_, CXLF_##relation_, CXLF_##event_, text_, ref },
#include "protocol-table.h"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct {
    char *text;
    size_t length, room;
} document;

static void __attribute__((format(printf, 1, 2))) print(const char *format,
                                                        ...)
{
    va_list list;

    if (document.room - document.length < 4096) {
        document.room += 65536;
        document.text = realloc(document.text, document.room);
        if (!document.text) {
            perror("print-table");
            exit(1);
        }
    }
    va_start(list, format);
    document.length += vsnprintf(document.text + document.length, 4096,
                                 format, list);
    va_end(list);
}

static bool defined(unsigned s, unsigned r, unsigned e)
{
    return cxlf_table[s][r][e].actions & CXLF_A_DEFINED;
}

static const struct cell_text *find(unsigned s, unsigned r, unsigned e)
{
    for (size_t i = 0; i < COUNT(cell_text); i++) {
        if (cell_text[i].state == s && cell_text[i].relation == r &&
            cell_text[i].event == e) {
            return &cell_text[i];
        }
    }
    return NULL;
}

/* What one word of the lists is called in the document */
static const char *say(const char *word)
{
    static const char *const words[][2] = {
        { "LINES", "lines" }, { "PAGES", "pages" }, { "BOTH", "both" },
        { "NEITHER", "entries only" }, { "NONE", "none" }, { "ONE", "one" },
        { "SOME", "one or more" }, { "NO", "none" }, { "ANY", "any host" },
        { "OTHER", "not a holder" },
    };

    for (size_t i = 0; i < COUNT(words); i++) {
        if (!strcmp(words[i][0], word)) {
            return words[i][1];
        }
    }
    return word;
}

static void print_states(void)
{
    print("## States\n"
          "| state | of | holders | requester | meaning |\n"
          "| --- | --- | --- | --- | --- |\n");
    for (int s = 0; s < CXLF_STATES; s++) {
        print("| %s | %s | %s | %s | %s |\n", cxlf_state_name[s],
              say(state_text[s][0]), say(state_text[s][1]),
              say(state_text[s][2]), state_text[s][3]);
    }
    print("\nThe host of an event is, in this order:\n\n"
          "| | |\n| --- | --- |\n");
    for (int r = CXLF_HOLDER; r < CXLF_RELATIONS; r++) {
        print("| %s | %s |\n", relation_text[r][0], relation_text[r][1]);
    }
    print("| %s | %s |\n", relation_text[CXLF_STRANGER][0],
          relation_text[CXLF_STRANGER][1]);
}

static void print_events(void)
{
    print("\n## Events\n"
          "| event | of | raised by | meaning | in CXL |\n"
          "| --- | --- | --- | --- | --- |\n");
    for (int e = 0; e < CXLF_EVENTS; e++) {
        print("| %s | %s | %s | %s | %s |\n", cxlf_event_name[e],
              say(event_text[e][0]), event_text[e][1], event_text[e][2],
              event_text[e][3]);
    }
    print("\n## Messages of CXL.mem\n"
          "| message | channel | where it occurs | reference |\n"
          "| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < COUNT(message_text); i++) {
        print("| %s | %s | %s | %s |\n", message_text[i][0],
              message_text[i][1], message_text[i][2], message_text[i][3]);
    }
    print("\n## Actions\n"
          "| action | meaning |\n| --- | --- |\n");
    for (size_t i = 0; i < COUNT(action_text); i++) {
        print("| %s | %s |\n", action_text[i].word, action_text[i].text);
    }
}

static void print_cell(unsigned s, unsigned r, unsigned e)
{
    const struct cxlf_cell *cell = &cxlf_table[s][r][e];
    const struct cell_text *text = find(s, r, e);
    const char *comma = "";

    print("| %s | %s | %s | ", relation_text[r][0], cxlf_event_name[e],
          cxlf_state_name[cell->next]);
    print("%s | ", cell->last != cell->next ? cxlf_state_name[cell->last] :
                                              "");
    print("%s | ", cell->wait != cell->next ? cxlf_state_name[cell->wait] :
                                              "");
    for (size_t i = 0; i < COUNT(action_text); i++) {
        if (cell->actions & action_text[i].action) {
            print("%s%s", comma, action_text[i].word);
            comma = ", ";
        }
    }
    print(" | %s | %s |\n", text ? text->text : "?",
          text ? text->reference : "?");
}

/* "stranger: Store, Evict; holder: all" */
static void print_undefined(unsigned s)
{
    const char *semicolon = "\nUndefined: ";

    for (int r = 0; r < CXLF_RELATIONS; r++) {
        const char *comma = "";
        int undefined = 0;

        for (int e = 0; e < CXLF_EVENTS; e++) {
            undefined += !defined(s, r, e);
        }
        if (undefined == 0) {
            continue;
        }
        print("%s%s: %s", semicolon, relation_text[r][0],
              undefined == CXLF_EVENTS ? "all" : "");
        for (int e = 0; undefined < CXLF_EVENTS && e < CXLF_EVENTS; e++) {
            if (!defined(s, r, e)) {
                print("%s%s", comma, cxlf_event_name[e]);
                comma = ", ";
            }
        }
        semicolon = "; ";
    }
    print(".\n");
}

static void print_cells(void)
{
    print("\n## Cells\n"
          "`next` is reached at once; instead of it, `last` when `drop` "
          "leaves nobody, and\n`wait` while mapped holders have yet to answer "
          "a snoop. With `poison`, a page\ngoes to `wait` when `drop` leaves "
          "nobody. A state that nobody holds has an\nempty copyset, however "
          "it is reached. Undefined pairs are hard errors; so is an\nevent "
          "that is not one of the unit's kind.\n");
    for (int s = 0; s < CXLF_STATES; s++) {
        bool any = false;

        for (int r = 0; r < CXLF_RELATIONS; r++) {
            for (int e = 0; e < CXLF_EVENTS; e++) {
                if (!defined(s, r, e)) {
                    continue;
                }
                if (!any) {
                    print("\n### %s: %s\n"
                          "| host is | event | next | last | wait | actions "
                          "| why | reference |\n"
                          "| --- | --- | --- | --- | --- | --- | --- | --- "
                          "|\n", cxlf_state_name[s], state_text[s][3]);
                    any = true;
                }
                print_cell(s, r, e);
            }
        }
        if (any) {
            print_undefined(s);
        }
    }
}

static void make_document(void)
{
    print("# The protocol table\n"
          "Generated; do not edit. The source is "
          "`hw/cxl-fabric/core/protocol-table.h`, which the\ncore executes: "
          "`ninja -C build && build/tests/check/print-table > "
          "docs/protocol-table.md`.\n[protocol.md](protocol.md) and "
          "[protocol-messages.md](protocol-messages.md) explain it.\n"
          "References are to CXL r3.1, to the paper's sketches of HOT and "
          "of failures, and to\nthis project's design where neither "
          "decides.\n\n");
    print_states();
    print_events();
    print_cells();
}

/* Whether all items are there, once, and no text is missing. */
static bool complete(void)
{
    size_t count = 0;
    unsigned actions = CXLF_A_DEFINED;

    for (int s = 0; s < CXLF_STATES; s++) {
        for (int r = 0; r < CXLF_RELATIONS; r++) {
            for (int e = 0; e < CXLF_EVENTS; e++) {
                count += defined(s, r, e);
                if (defined(s, r, e) != !!find(s, r, e)) {
                    return false;
                }
            }
        }
        if (!state_text[s][3]) {
            return false;
        }
    }
    for (int e = 0; e < CXLF_EVENTS; e++) {
        if (!event_text[e][3]) {
            return false;
        }
    }
    for (size_t i = 0; i < COUNT(action_text); i++) {
        actions |= action_text[i].action;
    }
    for (size_t i = 0; i < COUNT(cell_text); i++) {
        const struct cell_text *c = &cell_text[i];

        if (!c->text[0] || !c->reference[0] ||
            cxlf_table[c->state][c->relation][c->event].actions & ~actions) {
            return false;
        }
    }
    return count == COUNT(cell_text);
}

/* The line in which a file differs from the document, or 0. */
static unsigned difference(const char *name)
{
    FILE *file = fopen(name, "r");
    unsigned line = 1;
    size_t i = 0;
    int c = EOF;

    if (!file) {
        perror(name);
        return line;
    }
    for (; (c = getc(file)) != EOF && i < document.length; i++) {
        if (c != (unsigned char)document.text[i]) {
            break;
        }
        line += c == '\n';
    }
    fclose(file);
    return c == EOF && i == document.length ? 0 : line;
}

static int check(const char *name)
{
    bool whole = complete();
    unsigned line = difference(name);

    printf("1..2\n");
    printf("%sok 1 /protocol/lists\n", whole ? "" : "not ");
    printf("%sok 2 /protocol/document\n", line ? "not " : "");
    if (line) {
        printf("# %s differs from the table in line %u; its header says how "
               "to make it\n", name, line);
    }
    return whole && !line ? 0 : 1;
}

int main(int argc, char **argv)
{
    int status = 0;

    make_document();
    if (argc == 3 && !strcmp(argv[1], "--check")) {
        status = check(argv[2]);
    } else if (argc == 1) {
        fputs(document.text, stdout);
        status = fflush(stdout) ? 1 : 0;
    } else {
        fprintf(stderr, "usage: print-table [--check FILE]\n");
        status = 2;
    }
    free(document.text);
    return status;
}
