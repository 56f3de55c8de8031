/*
 * libeca's second example: a queue pair.  eca-echo DEVICE serve on one
 * host, eca-echo DEVICE send TEXT on another.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "eca/eca.h"

#define SLOTS       16
#define BYTES       256
#define PATIENCE    60000           /* ms */

static int check(const char *what, int error)
{
    if (error == -EHOSTDOWN) {
        fprintf(stderr, "eca-echo: host %d died\n", eca_dead_host());
        exit(1);
    }
    if (error < 0) {
        fprintf(stderr, "eca-echo: %s: %s\n", what, eca_strerror(error));
        exit(1);
    }
    return error;
}

/* Send back what comes, until the other side closes. */
static void serve(EcaQueue *queue)
{
    char text[BYTES];
    int bytes;

    while ((bytes = eca_queue_receive(queue, text, BYTES, PATIENCE)) !=
           -EPIPE) {
        check("receive", bytes);
        check("send", eca_queue_send(queue, text, bytes, PATIENCE));
    }
}

int main(int argc, char **argv)
{
    bool server = argc == 3 && !strcmp(argv[2], "serve");
    char text[BYTES];
    Eca *eca;
    EcaArena *arena;
    EcaQueue *queue;
    int bytes;

    if (!server && (argc != 4 || strcmp(argv[2], "send"))) {
        fprintf(stderr, "usage: eca-echo DEVICE serve | send TEXT\n");
        return 2;
    }
    check(argv[1], eca_open(&eca, argv[1]));
    check("arena", eca_arena_join(&arena, eca, 0));
    check("queue", eca_queue_open(&queue, arena, "echo", server ? 0 : 1,
                                  SLOTS, BYTES, 1000));
    if (server) {
        serve(queue);
    } else {
        check("send", eca_queue_send(queue, argv[3], strlen(argv[3]),
                                     PATIENCE));
        bytes = check("receive", eca_queue_receive(queue, text, BYTES,
                                                   PATIENCE));
        printf("%.*s\n", bytes, text);
    }
    eca_queue_close(queue);
    eca_arena_leave(arena);
    eca_close(eca);
    return 0;
}
