/*
 * CXL fabric: the join protocol's messages over a QIOChannelSocket
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/iov.h"
#include "qemu/sockets.h"
#include "fabric-internal.h"

typedef union FabricControl {
    struct cmsghdr header;      /* for its alignment */
    char space[CMSG_SPACE(CXLF_WIRE_FDS_MAX * sizeof(int))];
} FabricControl;

/*
 * Connect to @path.  Whoever listens there may be stopped and its queue full:
 * a connection waits CXL_FABRIC_JOIN_SECONDS at most, here and in all that
 * follows on it; without @wait not at all.
 * Returns a descriptor, or -1 with errno set (EAGAIN: its queue is full).
 */
int cxl_fabric_connect(const char *path, bool wait)
{
    struct timeval limit = { .tv_sec = CXL_FABRIC_JOIN_SECONDS };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = qemu_socket(AF_UNIX, SOCK_STREAM, 0), error;

    if (fd < 0) {
        return -1;
    }
    pstrcpy(un.sun_path, sizeof(un.sun_path), path);
    if (!wait) {
        g_unix_set_fd_nonblocking(fd, true, NULL);
    }
    if (!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) &&
        !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) &&
        !connect(fd, (struct sockaddr *)&un, sizeof(un))) {
        return fd;
    }
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/*
 * Send one message, with descriptors.  A peer whose socket buffer is full is
 * not reading: that is an error here, so that nobody waits for it.
 */
bool cxl_fabric_send(QIOChannelSocket *sioc, uint16_t type,
                     const struct iovec *payload, size_t pieces,
                     const int *fd, size_t fds, Error **errp)
{
    struct cxlf_wire_header header = {
        .magic = CXLF_WIRE_MAGIC,
        .version = CXLF_WIRE_VERSION,
        .type = type,
        .length = iov_size(payload, pieces),
    };
    size_t size = sizeof(header) + header.length;
    g_autofree uint8_t *message = g_malloc(size);
    struct iovec whole = { .iov_base = message, .iov_len = size };
    FabricControl control = { 0 };
    struct msghdr m = { .msg_iov = &whole, .msg_iovlen = 1 };
    ssize_t sent;

    assert(fds <= CXLF_WIRE_FDS_MAX);
    memcpy(message, &header, sizeof(header));
    iov_to_buf(payload, pieces, 0, message + sizeof(header), header.length);
    if (fds) {
        struct cmsghdr *c = &control.header;

        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memcpy(CMSG_DATA(c), fd, fds * sizeof(int));
    }
    sent = RETRY_ON_EINTR(sendmsg(sioc->fd, &m, MSG_NOSIGNAL));
    if (sent == size) {
        return true;
    }
    if (sent >= 0 || errno == EAGAIN) {
        error_setg(errp, "the peer does not read%s",
                   sent < 0 ? "" : " all of a message");
    } else {
        error_setg_errno(errp, errno, "cannot send");
    }
    return false;
}

static bool take_descriptors(CXLFabricMessage *m, struct msghdr *from,
                             Error **errp)
{
    struct cmsghdr *c;

    for (c = CMSG_FIRSTHDR(from); c; c = CMSG_NXTHDR(from, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t size = c->cmsg_len - CMSG_LEN(0);

            assert(size <= sizeof(m->fd) && !m->fds);
            memcpy(m->fd, CMSG_DATA(c), size);
            m->fds = size / sizeof(int);
        }
    }
    if (from->msg_flags & MSG_CTRUNC) {
        error_setg(errp, "not all descriptors of a message could be "
                   "received: this process may have %" PRIu64 " in all "
                   "(RLIMIT_NOFILE), and needs one for each of the owner's "
                   "'hosts'", cxl_fabric_descriptor_limit());
        return false;
    }
    return true;
}

/*
 * Read exactly @size bytes from a blocking socket with a receive timeout.
 * Descriptors go to @m, or nowhere if it is NULL.  Not by QIOChannel, which
 * takes few of them, and makes them block for everybody who has them.
 */
static bool receive_all(QIOChannelSocket *sioc, void *buffer, size_t size,
                        CXLFabricMessage *m, Error **errp)
{
    int64_t deadline = g_get_monotonic_time() +
                       CXL_FABRIC_JOIN_SECONDS * G_USEC_PER_SEC;
    size_t have = 0;

    while (have < size) {
        struct iovec rest = {
            .iov_base = (char *)buffer + have, .iov_len = size - have,
        };
        FabricControl control;
        struct msghdr msg = { .msg_iov = &rest, .msg_iovlen = 1 };
        ssize_t got;

        if (m) {
            msg.msg_control = &control;
            msg.msg_controllen = sizeof(control);
        }
        got = RETRY_ON_EINTR(recvmsg(sioc->fd, &msg, MSG_CMSG_CLOEXEC));
        if ((got < 0 && errno == EAGAIN) ||
            (got > 0 && g_get_monotonic_time() > deadline)) {
            error_setg(errp, "no answer within %d seconds",
                       CXL_FABRIC_JOIN_SECONDS);
            return false;
        }
        if (got < 0) {
            error_setg_errno(errp, errno, "cannot receive");
            return false;
        }
        if (got == 0) {
            error_setg(errp, "the other end closed the connection");
            return false;
        }
        if (m && !take_descriptors(m, &msg, errp)) {
            return false;
        }
        m = NULL;       /* they come with the first byte */
        have += got;
    }
    return true;
}

/* Receive one message from a blocking channel.  *@m is zero before. */
bool cxl_fabric_receive(QIOChannelSocket *sioc, CXLFabricMessage *m,
                        Error **errp)
{
    struct cxlf_wire_header header;
    const char *why;

    if (!receive_all(sioc, &header, sizeof(header), m, errp)) {
        return false;
    }
    if (!cxlf_wire_check_header(&header, &why)) {
        error_setg(errp, "%s", why);
        return false;
    }
    m->type = header.type;
    m->length = header.length;
    m->payload = g_malloc(header.length + 1);
    return receive_all(sioc, m->payload, header.length, NULL, errp);
}

void cxl_fabric_message_done(CXLFabricMessage *m)
{
    for (size_t i = 0; i < m->fds; i++) {
        if (m->fd[i] >= 0) {
            close(m->fd[i]);
        }
    }
    g_free(m->payload);
}
