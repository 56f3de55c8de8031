/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two guests send each other messages, by libeca's queue pair or by TCP:
 * round trips of one message, each of them timed, and a stream one way.
 * Host 1 answers; host 0 measures and prints.  Either way a message is
 * checked by its number, and each is handed over by itself.
 */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "eca/eca.h"
#include "../guest/common.h"
#include "../guest/quartiles.h"

#define MAX_BYTES   65536
#define MAX_COUNT   (1 << 20)
#define SLOTS       256
#define PORT        7777

static uint64_t bytes = 64, trips = 1000, stream = 20000;
static const char *via = "queue", *address = "10.9.0.2";
static uint64_t *times;
static char buffer[MAX_BYTES];
static int link_fd = -1;
static EcaQueue *queue;

static void failed(const char *what, int error)
{
    die(EXIT_WRONG, "%s: %s", what, eca_strerror(error));
}

/* One message out, one in. */

static void put(uint64_t number)
{
    int error = 0;

    memcpy(buffer, &number, sizeof(number));
    if (queue) {
        error = eca_queue_send(queue, buffer, bytes, common.timeout * 1000);
    } else {
        for (size_t at = 0; at < bytes && !error;) {
            ssize_t sent = send(link_fd, buffer + at, bytes - at,
                                MSG_NOSIGNAL);

            at += sent > 0 ? sent : 0;
            error = sent < 0 ? -errno : 0;
        }
    }
    if (error) {
        failed("send", error);
    }
}

static void get(uint64_t want)
{
    uint64_t number;

    if (queue) {
        int got = eca_queue_receive(queue, buffer, bytes,
                                    common.timeout * 1000);

        if (got != (int)bytes) {
            failed("receive", got);
        }
    } else {
        /* The socket has a time, too. */
        ssize_t got = recv(link_fd, buffer, bytes, MSG_WAITALL);

        if (got != (ssize_t)bytes) {
            failed("receive", got < 0 ? -errno : -EPIPE);
        }
    }
    memcpy(&number, buffer, sizeof(number));
    if (number != want) {
        die(EXIT_WRONG, "message %" PRIu64 ", not %" PRIu64, number, want);
    }
}

/* Beginnings */

static void open_queue(void)
{
    EcaArena *arena;
    Eca *eca;
    char name[ECA_NAME_BYTES];
    int error = eca_open(&eca, common.dev);

    if (!error && !common.host) {
        error = eca_arena_create(eca, common.offset + 4096, 64 << 20, 16);
        error = error == -EEXIST ? 0 : error;
    }
    if (error) {
        failed(common.dev, error);
    }
    rendezvous("arena");
    snprintf(name, sizeof(name), "bench%" PRIu64, bytes);
    error = eca_arena_join(&arena, eca, common.offset + 4096);
    if (!error) {
        error = eca_queue_open(&queue, arena, name, common.host, SLOTS,
                               bytes, common.timeout * 1000);
    }
    if (error) {
        failed(name, error);
    }
}

static void open_socket(void)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(PORT),
    };
    struct timeval limit = { .tv_sec = common.timeout };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        failed("--address", -EINVAL);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (common.host == 1 && (bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
                             listen(fd, 1))) {
        failed("listen", -errno);
    }
    rendezvous("listening");
    if (common.host == 1) {
        link_fd = accept(fd, NULL, NULL);
        close(fd);
    } else {
        link_fd = connect(fd, (struct sockaddr *)&at, sizeof(at)) ? -1 : fd;
    }
    if (link_fd < 0) {
        failed(address, -errno);
    }
    setsockopt(link_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(link_fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    setsockopt(link_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* What is timed */

static void round_trips(void)
{
    for (uint64_t i = 0; i < trips; i++) {
        uint64_t start = now_ns();

        if (common.host == 0) {
            put(i);
            get(i);
            times[i] = now_ns() - start;
        } else {
            get(i);
            put(i);
        }
    }
}

/* Until the other side has said that it has all of them. */
static uint64_t one_way(void)
{
    uint64_t start = now_ns();

    for (uint64_t i = 0; i < stream; i++) {
        if (common.host == 0) {
            put(i);
        } else {
            get(i);
        }
    }
    if (common.host == 0) {
        get(stream);
    } else {
        put(stream);
    }
    return now_ns() - start;
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "via", .text = &via, .help = "queue, or tcp" },
        { "address", .text = &address, .help = "of host 1, for tcp" },
        { "bytes", .number = &bytes, .help = "of a message" },
        { "trips", .number = &trips, .help = "round trips" },
        { "stream", .number = &stream, .help = "messages one way" },
        { NULL },
    };
    uint64_t took;

    parse(argc, argv, "Two hosts send each other messages.", options);
    if (common.hosts != 2 || bytes < 8 || bytes > MAX_BYTES || !trips ||
        trips > MAX_COUNT || !stream || stream > MAX_COUNT ||
        common.offset % 4096 || (strcmp(via, "queue") && strcmp(via, "tcp"))) {
        die(EXIT_USAGE, "--hosts accepts 2, --bytes 8 to %d, --trips and "
            "--stream 1 to 2^20, --offset multiples of 4096, --via queue "
            "and tcp", MAX_BYTES);
    }
    map_area(LINE);
    times = calloc(trips, sizeof(*times));
    if (!times) {
        die(EXIT_USAGE, "no memory for --trips %" PRIu64, trips);
    }
    if (!strcmp(via, "queue")) {
        open_queue();
    } else {
        open_socket();
    }
    rendezvous("open");
    round_trips();
    rendezvous("trips");
    took = one_way();
    json_begin();
    json_text("via", via);
    json_number("bytes", bytes);
    json_number("stream", stream);
    json_number("stream-ns", took);
    json_quartiles("trip-ns", times, trips);
    rendezvous("streamed");
    eca_queue_close(queue);
    return json_end(true);
}
