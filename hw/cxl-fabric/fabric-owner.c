/*
 * CXL fabric: the owner's side of joins, and the death of hosts
 *
 * A peer is known by the pidfd taken with its credentials when it connects.
 * Only that descriptor declares it dead.  A peer that hung up but lives
 * could still write to shared memory, so it is fenced (killed) before its
 * holdings are touched.  Everything here runs in the main loop and waits for
 * nobody.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/syscall.h>
#include <poll.h>
#include "qapi/error.h"
#include "qapi/qapi-events-cxl-fabric.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/sockets.h"
#include "qemu/timer.h"
#include "fabric-internal.h"
#include "trace.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

struct CXLFabricPeer {
    CXLFabric *fabric;
    QIOChannelSocket *sioc;     /* NULL once it hung up */
    guint watch;
    int pidfd;
    uint32_t pid;
    int host;                   /* -1: none given yet */
    QEMUTimer *timer;           /* runs while the join does */
    size_t have;
    uint8_t buffer[sizeof(struct cxlf_wire_header) + CXLF_WIRE_PAYLOAD_MAX];
    QLIST_ENTRY(CXLFabricPeer) next;
};

static bool hung_up(int fd)
{
    struct pollfd p = { .fd = fd };

    return poll(&p, 1, 0) != 0;     /* POLLHUP and POLLERR, unasked */
}

static int peer_pidfd(int fd, uint32_t *pid, Error **errp)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);
    int pidfd = -1;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
        error_setg_errno(errp, errno, "no credentials of the peer");
        return -1;
    }
    *pid = cred.pid;
    size = sizeof(pidfd);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0 &&
        errno == ENOPROTOOPT) {
        /*
         * Before Linux 6.5.  The number may be another's by now, unless the
         * peer is seen to hold the connection after it was looked up.
         */
        pidfd = syscall(SYS_pidfd_open, cred.pid, 0);
        if (pidfd >= 0 && hung_up(fd)) {
            close(pidfd);
            pidfd = -1;
            errno = ESRCH;
        }
    }
    if (pidfd < 0) {
        error_setg_errno(errp, errno, "no pidfd of the peer");
        return -1;
    }
    qemu_set_cloexec(pidfd);
    return pidfd;
}

static bool is_dead(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

void cxl_fabric_set_host(CXLFabric *f, int host, enum cxlf_host_state state)
{
    trace_cxl_fabric_host(cxl_fabric_id(f), host, state);
    qatomic_set(&f->table->host[host].state, state);
}

/* Returns the number given, or -1 if it (or every number) is taken. */
int cxl_fabric_claim_host(CXLFabric *f, int want, uint32_t pid)
{
    int hosts = f->directory.topology.hosts;

    for (int i = want < 0 ? 0 : want; i < hosts; i++) {
        struct cxlf_host *h = &f->table->host[i];

        if (h->state == CXLF_HOST_FREE) {
            h->pid = pid;
            h->incarnation++;
            cxl_fabric_set_host(f, i, CXLF_HOST_JOINING);
            return i;
        }
        if (want >= 0) {
            break;
        }
    }
    return -1;
}

static void release_host(CXLFabric *f, int host, enum cxlf_event event)
{
    struct cxlf_host *h = &f->table->host[host];
    uint64_t lines, modified;

    cxl_fabric_set_host(f, host, CXLF_HOST_RECOVERING);
    lines = cxlf_give_up(&f->directory, host, event, &modified);
    if (event == CXLF_DEATH) {
        h->deaths++;
        qatomic_set(&f->table->epoch, f->table->epoch + 1);
        trace_cxl_fabric_host_dead(cxl_fabric_id(f), host, h->pid, lines,
                                   modified);
        qapi_event_send_x_cxl_fabric_host_dead(cxl_fabric_id(f), host, h->pid,
                                               lines, modified);
        warn_report("cxl-fabric '%s': host %d (process %u) died; recovered "
                    "%" PRIu64 " lines, %" PRIu64 " of them modified",
                    cxl_fabric_id(f), host, h->pid, lines, modified);
    }
    h->pid = 0;
    cxl_fabric_set_host(f, host, CXLF_HOST_FREE);
}

static void hang_up(CXLFabricPeer *p)
{
    if (p->watch) {
        g_source_remove(p->watch);
        p->watch = 0;
    }
    if (p->sioc) {
        qio_channel_close(QIO_CHANNEL(p->sioc), NULL);
        object_unref(OBJECT(p->sioc));
        p->sioc = NULL;
    }
    timer_del(p->timer);
}

static bool take_messages(CXLFabricPeer *p);

static void forget(CXLFabricPeer *p)
{
    hang_up(p);
    timer_free(p->timer);
    qemu_set_fd_handler(p->pidfd, NULL, NULL, NULL);
    close(p->pidfd);
    QLIST_REMOVE(p, next);
    g_free(p);
}

/* Read what is there; false at the end of the stream or on an error. */
static bool fill(CXLFabricPeer *p)
{
    ssize_t got = qio_channel_read(QIO_CHANNEL(p->sioc),
                                   (char *)p->buffer + p->have,
                                   sizeof(p->buffer) - p->have, NULL);

    if (got > 0) {
        p->have += got;
    }
    return got > 0 || got == QIO_CHANNEL_ERR_BLOCK;
}

/* The process is dead, and nothing that it said matters any more. */
static void bury(CXLFabricPeer *p)
{
    if (p->host >= 0) {
        release_host(p->fabric, p->host, CXLF_DEATH);
    }
    forget(p);
}

static void on_death(void *opaque)
{
    CXLFabricPeer *p = opaque;

    /* Its last words may be LEAVE, not yet read. */
    if (p->sioc && fill(p) && p->have && !take_messages(p)) {
        return;
    }
    bury(p);
}

/* The connection is over, but not by LEAVE. */
static void lose(CXLFabricPeer *p)
{
    if (p->host < 0) {
        forget(p);              /* it was given nothing */
    } else if (is_dead(p->pidfd)) {
        bury(p);
    } else {
        hang_up(p);
        trace_cxl_fabric_fence(cxl_fabric_id(p->fabric), p->host, p->pid);
        cxl_fabric_set_host(p->fabric, p->host, CXLF_HOST_FENCING);
        if (syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0) < 0 &&
            errno != ESRCH) {
            error_report("cxl-fabric '%s': host %d (process %u) hung up and "
                         "cannot be killed: %s; its number stays taken "
                         "until it ends", cxl_fabric_id(p->fabric), p->host,
                         p->pid, strerror(errno));
        }
        /* on_death() follows when the pidfd says so. */
    }
}

static void refuse(CXLFabricPeer *p, const char *why)
{
    struct cxlf_wire_refuse text = { 0 };
    struct iovec iov = { .iov_base = &text, .iov_len = sizeof(text) };

    warn_report("cxl-fabric '%s': refused process %u: %s",
                cxl_fabric_id(p->fabric), p->pid, why);
    pstrcpy(text.text, sizeof(text.text), why);
    cxl_fabric_send(p->sioc, CXLF_WIRE_REFUSE, &iov, 1, -1, NULL);
}

static bool send_segment(CXLFabricPeer *p, uint32_t kind, uint32_t index,
                         Error **errp)
{
    CXLFabricSegment *s = &p->fabric->segment[kind][index];
    struct cxlf_wire_segment segment = {
        .kind = kind, .index = index, .size = s->size,
    };
    struct iovec iov = { .iov_base = &segment, .iov_len = sizeof(segment) };

    return cxl_fabric_send(p->sioc, CXLF_WIRE_SEGMENT, &iov, 1, s->fd, errp);
}

static bool welcome(CXLFabricPeer *p, Error **errp)
{
    CXLFabric *f = p->fabric;
    const struct cxlf_topology *t = &f->directory.topology;
    g_autofree uint8_t *blob = g_malloc(CXLF_WIRE_BLOB_MAX);
    struct cxlf_wire_welcome w = {
        .host = p->host,
        .segments = 1 + t->leaves + t->gfams,
        .blob = cxlf_topology_write(t, blob, CXLF_WIRE_BLOB_MAX),
    };
    struct iovec iov[2] = {
        { .iov_base = &w, .iov_len = sizeof(w) },
        { .iov_base = blob, .iov_len = w.blob },
    };
    bool ok;

    memcpy(w.uuid, f->uuid.data, sizeof(w.uuid));
    ok = cxl_fabric_send(p->sioc, CXLF_WIRE_WELCOME, iov, 2, -1, errp) &&
         send_segment(p, CXLF_KIND_FABRIC, 0, errp);
    for (uint32_t i = 0; ok && i < t->leaves; i++) {
        ok = send_segment(p, CXLF_KIND_LEAF, i, errp);
    }
    for (uint32_t i = 0; ok && i < t->gfams; i++) {
        ok = send_segment(p, CXLF_KIND_GFAM, i, errp);
    }
    return ok;
}

static bool on_join(CXLFabricPeer *p, const void *payload, uint32_t length,
                    const char **why)
{
    CXLFabric *f = p->fabric;
    struct cxlf_wire_join join;
    struct cxlf_topology theirs;
    const void *blob;

    if (p->host >= 0) {
        *why = "JOIN: this connection has joined already";
        return false;
    }
    if (p->pid == getpid()) {
        *why = "JOIN: the owner's process cannot join its own fabric; name "
               "the owning object in 'fabric' instead";
        return false;
    }
    if (!cxlf_wire_read_join(payload, length, &join, &blob, why) ||
        (join.blob && !cxlf_topology_read(blob, join.blob, &theirs, why))) {
        return false;
    }
    if (join.blob && memcmp(&theirs, &f->directory.topology,
                            sizeof(theirs))) {
        *why = "JOIN: the topology differs from the owner's; give both the "
               "same file, or leave 'topology' out when joining";
        return false;
    }
    if (join.host >= (int)f->directory.topology.hosts) {
        *why = "JOIN: 'host' is beyond the topology's hosts";
        return false;
    }
    p->host = cxl_fabric_claim_host(f, join.host, p->pid);
    if (p->host < 0) {
        *why = join.host < 0 ?
            "JOIN: every host number is taken; raise the owner's 'hosts'" :
            "JOIN: the wished 'host' number is taken";
        return false;
    }
    *why = "JOIN: the peer does not read the answer";
    return welcome(p, NULL);
}

/* One whole message; false ends the connection, with a reason or without. */
static bool on_message(CXLFabricPeer *p, const struct cxlf_wire_header *h,
                       const void *payload, const char **why)
{
    CXLFabric *f = p->fabric;

    *why = NULL;
    switch (h->type) {
    case CXLF_WIRE_JOIN:
        return on_join(p, payload, h->length, why);
    case CXLF_WIRE_READY:
        if (p->host < 0 ||
            f->table->host[p->host].state != CXLF_HOST_JOINING) {
            *why = "READY: out of turn";
            return false;
        }
        timer_del(p->timer);
        cxl_fabric_set_host(f, p->host, CXLF_HOST_UP);
        return true;
    case CXLF_WIRE_LEAVE:
        if (p->host >= 0) {
            release_host(f, p->host, CXLF_EVICT);
            p->host = -1;
        }
        return false;
    default:
        *why = "a message that only the owner may send";
        return false;
    }
}

/* Take whole messages out of the buffer; false if the peer is forgotten. */
static bool take_messages(CXLFabricPeer *p)
{
    struct cxlf_wire_header h;
    const char *why;

    while (p->have >= sizeof(h)) {
        size_t size;
        bool ok;

        memcpy(&h, p->buffer, sizeof(h));
        ok = cxlf_wire_check_header(&h, &why);
        size = sizeof(h) + (ok ? h.length : 0);
        if (ok && p->have < size) {
            break;
        }
        if (!ok || !on_message(p, &h, p->buffer + sizeof(h), &why)) {
            if (why) {
                refuse(p, why);
            }
            lose(p);
            return false;
        }
        memmove(p->buffer, p->buffer + size, p->have - size);
        p->have -= size;
    }
    return true;
}

static gboolean on_readable(QIOChannel *ioc, GIOCondition condition,
                            gpointer opaque)
{
    CXLFabricPeer *p = opaque;

    if (!fill(p)) {
        lose(p);
        return G_SOURCE_REMOVE;
    }
    return take_messages(p);
}

static void on_timeout(void *opaque)
{
    CXLFabricPeer *p = opaque;

    refuse(p, "the join was not finished in time");
    lose(p);
}

static void on_connect(QIONetListener *listener, QIOChannelSocket *sioc,
                       gpointer opaque)
{
    CXLFabric *f = opaque;
    Error *err = NULL;
    uint32_t pid;
    int pidfd = peer_pidfd(sioc->fd, &pid, &err);
    CXLFabricPeer *p;

    if (pidfd < 0) {
        warn_reportf_err(err, "cxl-fabric '%s': ", cxl_fabric_id(f));
        return;
    }
    trace_cxl_fabric_connect(cxl_fabric_id(f), pid);
    p = g_new0(CXLFabricPeer, 1);
    p->fabric = f;
    p->pid = pid;
    p->pidfd = pidfd;
    p->host = -1;
    p->sioc = sioc;
    object_ref(OBJECT(sioc));
    QLIST_INSERT_HEAD(&f->peers, p, next);
    p->timer = timer_new_ms(QEMU_CLOCK_REALTIME, on_timeout, p);
    timer_mod(p->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
              CXL_FABRIC_JOIN_SECONDS * 1000);
    qio_channel_set_blocking(QIO_CHANNEL(sioc), false, NULL);
    p->watch = qio_channel_add_watch(QIO_CHANNEL(sioc), G_IO_IN | G_IO_HUP,
                                     on_readable, p, NULL);
    qemu_set_fd_handler(pidfd, on_death, NULL, p);
}

/* QEMU's listeners take a path over; one that answers is in use. */
static bool is_listened_at(const char *path)
{
    int fd = cxl_fabric_connect(path, false);

    if (fd >= 0) {
        close(fd);
        return true;
    }
    return errno == EAGAIN;     /* nobody could ask if nobody listened */
}

bool cxl_fabric_listen(CXLFabric *f, Error **errp)
{
    SocketAddress address = {
        .type = SOCKET_ADDRESS_TYPE_UNIX,
        .u.q_unix.path = f->socket,
    };

    if (is_listened_at(f->socket)) {
        error_setg(errp, "'socket': another process listens at '%s'; choose "
                   "another path, or leave 'listen' out to join", f->socket);
        return false;
    }
    f->listener = qio_net_listener_new();
    qio_net_listener_set_name(f->listener, "cxl-fabric");
    if (qio_net_listener_open_sync(f->listener, &address, 16, errp) < 0) {
        object_unref(OBJECT(f->listener));
        f->listener = NULL;
        return false;
    }
    qio_net_listener_set_client_func(f->listener, on_connect, f, NULL);
    return true;
}

void cxl_fabric_unlisten(CXLFabric *f)
{
    CXLFabricPeer *p, *following;

    QLIST_FOREACH_SAFE(p, &f->peers, next, following) {
        forget(p);
    }
    if (f->listener) {
        qio_net_listener_disconnect(f->listener);
        object_unref(OBJECT(f->listener));
        f->listener = NULL;
        unlink(f->socket);
    }
}
