/*
 * CXL fabric: the join protocol's messages over a QIOChannelSocket
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/iov.h"
#include "qemu/sockets.h"
#include "fabric-internal.h"

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
        qemu_socket_set_nonblock(fd);
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
 * Send one message.  A peer whose socket buffer is full is not reading: that
 * is an error here, so that nobody waits for it.
 */
bool cxl_fabric_send(QIOChannelSocket *sioc, uint16_t type,
                     const struct iovec *payload, size_t pieces, int fd,
                     Error **errp)
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
    ssize_t sent;

    memcpy(message, &header, sizeof(header));
    iov_to_buf(payload, pieces, 0, message + sizeof(header), header.length);
    sent = qio_channel_writev_full(QIO_CHANNEL(sioc), &whole, 1,
                                   fd < 0 ? NULL : &fd, fd < 0 ? 0 : 1, 0,
                                   errp);
    if (sent < 0 || sent == size) {
        if (sent == QIO_CHANNEL_ERR_BLOCK) {
            error_setg(errp, "the peer does not read");
        }
        return sent == size;
    }
    error_setg(errp, "the peer does not read all of a message");
    return false;
}

/* Read exactly @size bytes from a blocking channel with a receive timeout. */
static bool receive_all(QIOChannelSocket *sioc, void *buffer, size_t size,
                        int **fds, size_t *nfds, Error **errp)
{
    int64_t deadline = g_get_monotonic_time() +
                       CXL_FABRIC_JOIN_SECONDS * G_USEC_PER_SEC;
    size_t have = 0;

    while (have < size) {
        struct iovec rest = {
            .iov_base = (char *)buffer + have, .iov_len = size - have,
        };
        ssize_t got = qio_channel_readv_full(QIO_CHANNEL(sioc), &rest, 1,
                                             fds, nfds, 0, errp);

        fds = NULL;
        nfds = NULL;
        if (got == QIO_CHANNEL_ERR_BLOCK ||
            (got > 0 && g_get_monotonic_time() > deadline)) {
            error_setg(errp, "no answer within %d seconds",
                       CXL_FABRIC_JOIN_SECONDS);
            return false;
        }
        if (got == 0) {
            error_setg(errp, "the other end closed the connection");
        }
        if (got <= 0) {
            return false;
        }
        have += got;
    }
    return true;
}

/*
 * Receive one message from a blocking channel.  @fd gets the descriptor that
 * came with it, or -1.  Returns the payload (free with g_free), or NULL.
 */
uint8_t *cxl_fabric_receive(QIOChannelSocket *sioc, uint16_t *type,
                            uint32_t *length, int *fd, Error **errp)
{
    struct cxlf_wire_header header;
    g_autofree uint8_t *payload = NULL;
    g_autofree int *fds = NULL;
    size_t nfds = 0;
    const char *why;
    bool ok;

    *fd = -1;
    ok = receive_all(sioc, &header, sizeof(header), &fds, &nfds, errp);
    for (size_t i = 1; i < nfds; i++) {
        close(fds[i]);
    }
    if (nfds) {
        *fd = fds[0];
    }
    if (!ok) {
        goto fail;
    }
    if (!cxlf_wire_check_header(&header, &why)) {
        error_setg(errp, "%s", why);
        goto fail;
    }
    payload = g_malloc(header.length + 1);
    if (!receive_all(sioc, payload, header.length, NULL, NULL, errp)) {
        goto fail;
    }
    *type = header.type;
    *length = header.length;
    return g_steal_pointer(&payload);

fail:
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return NULL;
}
