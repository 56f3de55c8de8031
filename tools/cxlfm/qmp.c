/*
 * cxlfm: QMP with a fabric's owner
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "cxlfm.h"

#define MESSAGE_MAX (64u << 20)     /* an answer larger than this is none */

static const char *path;
static int fd = -1;
static int seconds;
static GString *input;

/* Until something can be read or written. */
static void wait_for(short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    int n;

    do {
        n = poll(&p, 1, milliseconds_left());
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        fail(EXIT_LATE, "--timeout %d: %s did not answer within it", seconds,
             path);
    }
}

static void hung_up(void)
{
    fail(EXIT_NOT_DONE, "--socket %s: hung up: %s", path,
         errno ? strerror(errno) : "end of file");
}

static void send_text(const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t n;

        wait_for(POLLOUT);
        n = send(fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            hung_up();
        }
        if (n > 0) {
            text += n;
            left -= n;
        }
    }
}

/* The next message: each is a line. */
static json_t *receive(void)
{
    json_error_t error;
    json_t *message;
    char *end;

    while (!(end = memchr(input->str, '\n', input->len))) {
        char buffer[65536];
        ssize_t n;

        wait_for(POLLIN);
        n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (n <= 0 || input->len + n > MESSAGE_MAX) {
            errno = n == 0 ? 0 : n < 0 ? errno : EMSGSIZE;
            hung_up();
        }
        g_string_append_len(input, buffer, n);
    }
    message = json_loadb(input->str, end - input->str, 0, &error);
    if (!json_is_object(message)) {
        fail(EXIT_NOT_DONE, "--socket %s: it does not speak QMP: %s", path,
             message ? "not an object" : error.text);
    }
    g_string_erase(input, 0, end - input->str + 1);
    return message;
}

json_t *qmp_call(const char *command, json_t *arguments)
{
    json_t *message = json_pack("{s:s, s:o}", "execute", command,
                                "arguments", arguments);
    char *text = json_dumps(message, JSON_COMPACT);
    json_t *result, *error;

    json_decref(message);
    send_text(text);
    send_text("\n");
    free(text);
    for (;;) {
        message = receive();
        error = json_object_get(message, "error");
        if (error) {
            const char *says = json_string_value(json_object_get(error,
                                                                 "desc"));

            fail(EXIT_NOT_DONE, "%s", says ? says : "unknown error");
        }
        result = json_incref(json_object_get(message, "return"));
        json_decref(message);
        if (result) {
            return result;
        }
        /* Else it is an event. */
    }
}

void qmp_connect(const Options *options)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    json_t *greeting;

    path = options->socket;
    seconds = options->timeout;
    if (strlen(path) >= sizeof(un.sun_path)) {
        fail(EXIT_USAGE, "--socket %s: accepts a path of at most %zu bytes",
             path, sizeof(un.sun_path) - 1);
    }
    strcpy(un.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
        fail(EXIT_NOT_DONE, "--socket %s: %s", path, strerror(errno));
    }
    input = g_string_new(NULL);
    greeting = receive();
    if (!json_object_get(greeting, "QMP")) {
        fail(EXIT_NOT_DONE, "--socket %s: it does not speak QMP", path);
    }
    json_decref(greeting);
    json_decref(qmp_call("qmp_capabilities", json_object()));
}
