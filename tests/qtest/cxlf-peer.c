/*
 * Helpers of the CXL fabric's qtests: raw peers of the join protocol
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include "cxlf-peer.h"
#include "cxlf-qtest.h"

#define MAGIC   CXLF_WIRE_MAGIC
#define NOW     CXLF_WIRE_VERSION
#define JOIN    sizeof(struct cxlf_wire_join)

const PeerBadHeader peer_bad_headers[PEER_BAD_HEADERS] = {
    { "magic", { 0x12345678, NOW, CXLF_WIRE_JOIN, JOIN, 0 },
      "not a message of a CXL fabric" },
    { "old", { MAGIC, NOW - 1, CXLF_WIRE_JOIN, JOIN, 0 },
      "another version of the join protocol" },
    { "new", { MAGIC, NOW + 1, CXLF_WIRE_JOIN, JOIN, 0 },
      "another version of the join protocol" },
    { "type0", { MAGIC, NOW, 0, 0, 0 }, "unknown type of message" },
    { "types", { MAGIC, NOW, CXLF_WIRE_TYPES, 0, 0 },
      "unknown type of message" },
    { "type-max", { MAGIC, NOW, 0xffff, 0, 0 }, "unknown type of message" },
    { "short", { MAGIC, NOW, CXLF_WIRE_JOIN, JOIN - 1, 0 },
      "length does not fit its type" },
    { "long", { MAGIC, NOW, CXLF_WIRE_JOIN,
                JOIN + CXLF_WIRE_BLOB_MAX + 1, 0 },
      "length does not fit its type" },
    { "huge", { MAGIC, NOW, CXLF_WIRE_JOIN, 0xffffffff, 0 },
      "length does not fit its type" },
    { "wrap", { MAGIC, NOW, CXLF_WIRE_JOIN, 0xfffffff0, 0 },
      "length does not fit its type" },
    { "ready-with-payload", { MAGIC, NOW, CXLF_WIRE_READY, 1, 0 },
      "length does not fit its type" },
    { "reserved", { MAGIC, NOW, CXLF_WIRE_JOIN, JOIN, 1 },
      "a reserved field of the message is not zero" },
    { "ready-first", { MAGIC, NOW, CXLF_WIRE_READY, 0, 0 },
      "READY: out of turn" },
};

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    g_assert_cmpint(strlen(path), <, sizeof(un.sun_path));
    memcpy(un.sun_path, path, strlen(path) + 1);
    return un;
}

static int new_socket(void)
{
    struct timeval patience = { .tv_sec = CXLF_PATIENCE };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                               sizeof(patience)), ==, 0);
    return fd;
}

int peer_connect(const char *path)
{
    struct sockaddr_un un = address(path);
    int fd = new_socket();

    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    return fd;
}

int peer_listen(const char *path)
{
    struct sockaddr_un un = address(path);
    int fd = new_socket();

    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    return fd;
}

int peer_accept(int listener)
{
    struct timeval patience = { .tv_sec = CXLF_PATIENCE };
    int fd = accept(listener, NULL, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                               sizeof(patience)), ==, 0);
    return fd;
}

struct cxlf_wire_header peer_header(uint16_t type, uint32_t length)
{
    return (struct cxlf_wire_header) {
        .magic = CXLF_WIRE_MAGIC,
        .version = CXLF_WIRE_VERSION,
        .type = type,
        .length = length,
    };
}

struct cxlf_wire_join peer_join(void)
{
    return (struct cxlf_wire_join) {
        .abi_version = CXLF_ABI_VERSION,
        .leaf_header = sizeof(struct cxlf_leaf),
        .fabric_header = sizeof(struct cxlf_fabric),
        .entry_size = sizeof(struct cxlf_entry),
        .host = -1,
    };
}

bool peer_send_raw(int fd, const void *data, size_t length)
{
    return send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length;
}

typedef union Control {
    struct cmsghdr header;      /* for its alignment */
    char space[CMSG_SPACE(CXLF_WIRE_FDS_MAX * sizeof(int))];
} Control;

void peer_send_many(int fd, uint16_t type, const void *payload,
                    size_t length, const int *passed, int count)
{
    struct cxlf_wire_header header = peer_header(type, length);
    Control control = { 0 };
    struct iovec iov[2] = {
        { .iov_base = &header, .iov_len = sizeof(header) },
        { .iov_base = (void *)payload, .iov_len = length },
    };
    struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };

    if (count) {
        struct cmsghdr *c = &control.header;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), passed, count * sizeof(int));
    }
    g_assert_cmpint(sendmsg(fd, &message, MSG_NOSIGNAL), ==,
                    sizeof(header) + length);
}

void peer_send(int fd, uint16_t type, const void *payload, size_t length,
               int passed)
{
    peer_send_many(fd, type, payload, length, &passed, passed >= 0);
}

/* All of @size bytes; false at an end before the first of them. */
static bool receive_all(int fd, void *data, size_t size, int *passed,
                        int *count)
{
    size_t have = 0;

    while (have < size) {
        Control control;
        struct iovec iov = {
            .iov_base = (char *)data + have, .iov_len = size - have,
        };
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = &control, .msg_controllen = sizeof(control),
        };
        struct cmsghdr *c;
        ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            g_assert_cmpint(have, ==, 0);
            return false;
        }
        g_assert_cmpint(got, >, 0);
        c = CMSG_FIRSTHDR(&message);
        if (c && c->cmsg_type == SCM_RIGHTS && passed) {
            g_assert_false(message.msg_flags & MSG_CTRUNC);
            *count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(passed, CMSG_DATA(c), *count * sizeof(int));
        }
        have += got;
    }
    return true;
}

/* @passed has room for CXLF_WIRE_FDS_MAX. */
static bool receive_many(int fd, struct cxlf_wire_header *h, void *payload,
                         size_t capacity, int *passed, int *count)
{
    *count = 0;
    if (!receive_all(fd, h, sizeof(*h), passed, count)) {
        return false;
    }
    g_assert_cmphex(h->magic, ==, CXLF_WIRE_MAGIC);
    g_assert_cmpint(h->length, <=, capacity);
    if (h->length) {
        g_assert_true(receive_all(fd, payload, h->length, passed, count));
    }
    return true;
}

bool peer_receive(int fd, struct cxlf_wire_header *h, void *payload,
                  size_t capacity, int *passed)
{
    int many[CXLF_WIRE_FDS_MAX], count;
    bool ok = receive_many(fd, h, payload, capacity, passed ? many : NULL,
                           &count);

    if (passed) {
        g_assert_cmpint(count, <=, 1);
        *passed = count ? many[0] : -1;
    }
    return ok;
}

void peer_expect_end(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);

    g_assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
    close(fd);
}

void peer_expect_refusal(int fd, const char *text)
{
    struct cxlf_wire_refuse refuse;
    struct cxlf_wire_header h;

    g_assert_true(peer_receive(fd, &h, &refuse, sizeof(refuse), NULL));
    g_assert_cmpint(h.type, ==, CXLF_WIRE_REFUSE);
    if (!strstr(refuse.text, text)) {
        g_error("the owner says '%s', not '%s'", refuse.text, text);
    }
    peer_expect_end(fd);
}

/* One SEGMENT; maps it if it is the table or a leaf, for @fabric. */
static bool take_segment(int fd, const uint8_t *uuid, PeerFabric *fabric)
{
    struct cxlf_wire_segment segment;
    struct cxlf_wire_header h;
    bool writable;
    const char *why;
    int passed;
    void *map;

    if (!peer_receive(fd, &h, &segment, sizeof(segment), &passed) ||
        h.type != CXLF_WIRE_SEGMENT || passed < 0) {
        return false;
    }
    if (fabric && (segment.kind == CXLF_KIND_FABRIC ||
                   segment.kind == CXLF_KIND_LEAF)) {
        writable = segment.kind == CXLF_KIND_LEAF;
        map = mmap(NULL, segment.size,
                   PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
                   passed, 0);
        if (map == MAP_FAILED ||
            (writable && !cxlf_leaf_attach(&fabric->directory, map,
                                           segment.size, segment.index,
                                           uuid, &why))) {
            return false;
        }
        if (!writable) {
            fabric->table = map;
        }
    }
    close(passed);
    return true;
}

/* All DOORBELLS; keeps those that @fabric has a place for. */
static bool take_doorbells(int fd, uint32_t doorbells, PeerFabric *fabric)
{
    int passed[CXLF_WIRE_FDS_MAX], count;
    uint32_t next = 0;

    while (next < doorbells) {
        struct cxlf_wire_doorbells w;
        struct cxlf_wire_header h;

        if (!receive_many(fd, &h, &w, sizeof(w), passed, &count) ||
            h.type != CXLF_WIRE_DOORBELLS || w.first != next ||
            w.count != count) {
            return false;
        }
        for (int i = 0; i < count; i++, next++) {
            if (fabric && next < ARRAY_SIZE(fabric->doorbell)) {
                fabric->doorbell[next] = passed[i];
            } else {
                close(passed[i]);
            }
        }
    }
    return next == doorbells;
}

int peer_welcomed(int fd, PeerFabric *fabric)
{
    struct cxlf_wire_welcome welcome;
    struct cxlf_wire_header h;
    g_autofree char *payload = g_malloc(CXLF_WIRE_PAYLOAD_MAX);
    const char *why;

    if (!peer_receive(fd, &h, payload, CXLF_WIRE_PAYLOAD_MAX, NULL) ||
        h.type != CXLF_WIRE_WELCOME) {
        _exit(3);
    }
    memcpy(&welcome, payload, sizeof(welcome));
    if (fabric &&
        !cxlf_topology_read(payload + sizeof(welcome), welcome.blob,
                            &fabric->directory.topology, &why)) {
        _exit(3);
    }
    for (uint32_t i = 0; i < welcome.segments; i++) {
        if (!take_segment(fd, welcome.uuid, fabric)) {
            _exit(3);
        }
    }
    if (!take_doorbells(fd, welcome.doorbells, fabric)) {
        _exit(3);
    }
    return welcome.host;
}

int peer_join_fabric(int fd, int host, PeerFabric *fabric)
{
    struct cxlf_wire_join join = peer_join();

    join.host = host;
    peer_send(fd, CXLF_WIRE_JOIN, &join, sizeof(join), -1);
    return peer_welcomed(fd, fabric);
}

int peer_join_as(int fd, int host)
{
    return peer_join_fabric(fd, host, NULL);
}

pid_t peer_fork(const char *path, PeerFunction function, const void *data)
{
    pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        /* An assertion here must not run the handlers that the test has. */
        signal(SIGABRT, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        function(path, data);
        _exit(0);
    }
    return pid;
}

static void end_quietly(int signal)
{
    _exit(0);
}

void peer_end_quietly(void)
{
    struct sigaction quiet = { .sa_handler = end_quietly };

    sigaction(SIGABRT, &quiet, NULL);
    sigaction(SIGPIPE, &quiet, NULL);
    if (!freopen("/dev/null", "w", stderr)) {
        _exit(2);
    }
}

int peer_wait(pid_t pid)
{
    gint64 deadline = cxlf_deadline();
    int status;

    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);

        g_assert_cmpint(got, >=, 0);
        if (got == pid) {
            return status;
        }
        cxlf_pause(deadline, "the end of a child");
    }
}

static void come_and_go(const char *path, const void *data)
{
    int fd = peer_connect(path);

    peer_join_as(fd, -1);
    peer_send(fd, CXLF_WIRE_READY, NULL, 0, -1);
    peer_send(fd, CXLF_WIRE_LEAVE, NULL, 0, -1);
    peer_expect_end(fd);
}

void peer_good_join(const char *path)
{
    int status = peer_wait(peer_fork(path, come_and_go, NULL));

    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}
