/*
 * cxlfm, a Fabric Manager's commands for people: what its files share
 *
 * Payloads are made and read here from the tables of docs/fabric-manager.md,
 * and by none of the emulator's code, so that each checks the other.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLFM_H
#define CXLFM_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { EXIT_DONE = 0, EXIT_NOT_DONE = 1, EXIT_USAGE = 2, EXIT_LATE = 3 };

typedef struct Options {
    const char *socket;
    const char *mailbox;    /* instead: "auto", a PCI address or a folder */
    const char *id;         /* NULL: the only fabric */
    int from;               /* PID; -1: none */
    int timeout;            /* seconds, of the whole command */
    bool json;
} Options;

/* Say what went wrong, and exit with @status. */
void fail(int status, const char *format, ...)
    G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;

/* A number from 0 to @high, decimal or with 0x; exits if it is none. */
uint64_t number_of(const char *name, const char *text, uint64_t high);

/* Whether the time that the options give is over. */
bool is_late(void);
int milliseconds_left(void);

/* qmp.c */

void qmp_connect(const Options *options);

/* A command's result, to be unreferenced.  Takes @arguments; exits on error. */
json_t *qmp_call(const char *command, json_t *arguments);

/* cci.c */

/* An answer that is read; what is beyond its end makes the tool exit. */
typedef struct Answer {
    const char *what;       /* the command's name */
    guchar *bytes;
    size_t length, at;
    unsigned code;
    bool background;
} Answer;

/* A component number: that of the device at a port of the mailbox's switch. */
#define AT_PORT     0x100

/* Any return code is an answer. */
Answer cci_send(const Options *options, unsigned component, unsigned opcode,
                const GByteArray *in);

/* The same; exits unless it succeeds.  Takes @in, NULL: nothing. */
Answer cci_call(const Options *options, unsigned component, unsigned opcode,
                GByteArray *in);

/* A command that may go on in the background; waits for its end. */
void cci_wait(const Options *options, unsigned component, unsigned opcode,
              GByteArray *in);
void answer_free(Answer *a);
/* A little-endian number of @bytes. */
uint64_t take(Answer *a, unsigned bytes);
void skip(Answer *a, size_t bytes);

/* mailbox.c */

void mailbox_open(const Options *options);
/* To the switch itself; fills what comes back into @a. */
void mailbox_send(unsigned opcode, const GByteArray *in, Answer *a);

/* For payloads */
GByteArray *payload(void);
void put(GByteArray *bytes, uint64_t value, unsigned size);
const char *cci_code_name(unsigned code);

/* commands.c */

typedef struct Command {
    const char *name;
    const char *arguments;  /* as usage says them */
    int least, most;
    json_t *(*run)(const Options *options, char **argument);
    const char *help;
} Command;

/* Ends in one without a name.  What @run returns is shown: NULL is nothing. */
extern const Command commands[];

/* The COMPONENT of a command line. */
unsigned component_of(const Options *options, const char *text);
void add(json_t *row, const char *name, uint64_t value);
void add_hex(json_t *row, const char *name, uint64_t value, int digits);

/* qos.c: commands */

#define LDS         16

json_t *lds(const Options *options, char **argument);
json_t *qos(const Options *options, char **argument);
json_t *status(const Options *options, char **argument);
json_t *set_qos(const Options *options, char **argument);
json_t *allocate(const Options *options, char **argument);
json_t *limit(const Options *options, char **argument);

#endif /* CXLFM_H */
