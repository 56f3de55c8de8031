/*
 * CXL fabric: the owner's side of joins, and the death of hosts
 *
 * A peer is known by the pidfd taken with its credentials when it connects.
 * Only that descriptor declares it dead.  A peer that hung up but lives
 * could still write to shared memory, so it is fenced (killed) before its
 * holdings are touched.  Once it has a host number, the reaper watches it;
 * what becomes of its number is decided there, and reported here.
 * Everything here runs in the main loop and waits for nobody.
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
#include "qemu/lockable.h"
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
    int pidfd;                  /* -1: the ward has it */
    uint32_t pid;
    int host;                   /* that it was given */
    bool up;                    /* it has said READY, and not hung up */
    CXLFabricWard *ward;        /* NULL: it has no number */
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

static void hang_up(CXLFabricPeer *p)
{
    cxl_fabric_drop_requests(p->fabric, p);
    p->up = false;
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
    if (p->ward) {
        cxl_fabric_free_ward(p->fabric, p->ward);
    }
    if (p->pidfd >= 0) {
        qemu_set_fd_handler(p->pidfd, NULL, NULL, NULL);
        close(p->pidfd);
    }
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

/* Its holdings were recovered, and nothing that it said matters any more. */
static void bury(CXLFabricPeer *p, const CXLFabricRecovered *r)
{
    CXLFabric *f = p->fabric;
    const char *id = cxl_fabric_id(f);

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        f->table->host[p->host].deaths++;
    }
    trace_cxl_fabric_host_dead(id, p->host, p->pid, r->units, r->modified,
                               r->poisoned);
    qapi_event_send_x_cxl_fabric_host_dead(id, p->host, p->pid, r->units,
                                           r->modified, r->poisoned);
    warn_report("cxl-fabric '%s': host %d (process %u) died; recovered "
                "%" PRIu64 " lines and pages, %" PRIu64 " of them modified, "
                "%" PRIu64 " poisoned", id, p->host, p->pid, r->units,
                r->modified, r->poisoned);
    cxl_fabric_fm_host_gone(f, p);
    forget(p);
}

/* Its last words may be LEAVE, not yet read.  False if it is forgotten. */
static bool hear_out(CXLFabricPeer *p)
{
    return !p->sioc || !fill(p) || !p->have || take_messages(p);
}

/* The reaper has recovered what some dead hosts held. */
static void on_recovered(void *opaque)
{
    CXLFabric *f = opaque;
    CXLFabricPeer *p, *following;
    CXLFabricRecovered r;

    QLIST_FOREACH_SAFE(p, &f->peers, next, following) {
        if (p->ward && cxl_fabric_ward_recovered(f, p->ward, &r) &&
            hear_out(p)) {
            bury(p, &r);
        }
    }
}

/* A peer without a number has died; or it gets one by its last words. */
static void on_death(void *opaque)
{
    CXLFabricPeer *p = opaque;

    if (hear_out(p) && !p->ward) {
        forget(p);
    }
}

/* The connection is over, but not by LEAVE. */
static void lose(CXLFabricPeer *p)
{
    CXLFabric *f = p->fabric;
    CXLFabricRecovered r;
    int error;

    if (!p->ward) {
        forget(p);              /* it was given nothing */
        return;
    }
    hang_up(p);
    if (cxl_fabric_ward_recovered(f, p->ward, &r)) {
        bury(p, &r);
        return;
    }
    error = cxl_fabric_ward_fence(f, p->ward);
    if (error) {
        error_report("cxl-fabric '%s': host %d (process %u) hung up and "
                     "cannot be killed: %s; its number stays taken "
                     "until it ends", cxl_fabric_id(f), p->host,
                     p->pid, strerror(error));
    }
    /* on_recovered() follows, when it is dead. */
}

static void refuse(CXLFabricPeer *p, const char *why)
{
    struct cxlf_wire_refuse text = { 0 };
    struct iovec iov = { .iov_base = &text, .iov_len = sizeof(text) };

    warn_report("cxl-fabric '%s': refused process %u: %s",
                cxl_fabric_id(p->fabric), p->pid, why);
    pstrcpy(text.text, sizeof(text.text), why);
    cxl_fabric_send(p->sioc, CXLF_WIRE_REFUSE, &iov, 1, NULL, 0, NULL);
}

static bool send_memory(CXLFabricPeer *p, uint32_t kind, uint32_t index,
                        uint64_t size, int fd, Error **errp)
{
    struct cxlf_wire_segment segment = {
        .kind = kind, .index = index, .size = size,
    };
    struct iovec iov = { .iov_base = &segment, .iov_len = sizeof(segment) };

    return cxl_fabric_send(p->sioc, CXLF_WIRE_SEGMENT, &iov, 1, &fd, 1, errp);
}

static bool send_segment(CXLFabricPeer *p, uint32_t kind, uint32_t index,
                         Error **errp)
{
    CXLFabricSegment *s = &p->fabric->segment[kind][index];

    return send_memory(p, kind, index, s->size, s->fd, errp);
}

static bool send_doorbells(CXLFabricPeer *p, Error **errp)
{
    CXLFabric *f = p->fabric;
    uint32_t hosts = f->directory.topology.hosts;
    bool ok = true;

    for (uint32_t i = 0; ok && i < hosts; i += CXLF_WIRE_FDS_MAX) {
        struct cxlf_wire_doorbells w = {
            .first = i, .count = MIN(hosts - i, CXLF_WIRE_FDS_MAX),
        };
        struct iovec iov = { .iov_base = &w, .iov_len = sizeof(w) };

        ok = cxl_fabric_send(p->sioc, CXLF_WIRE_DOORBELLS, &iov, 1,
                             f->doorbell + i, w.count, errp);
    }
    return ok;
}

static bool welcome(CXLFabricPeer *p, Error **errp)
{
    CXLFabric *f = p->fabric;
    const struct cxlf_topology *t = &f->directory.topology;
    const CXLFabricHostLog *log = &f->host_log[p->host];
    g_autofree uint8_t *blob = g_malloc(CXLF_WIRE_BLOB_MAX);
    struct cxlf_wire_welcome w = {
        .host = p->host,
        .segments = cxl_fabric_count_segments(f),
        .blob = cxlf_graph_write(t, f->graph, blob, CXLF_WIRE_BLOB_MAX),
        .doorbells = t->hosts,
    };
    g_autofree struct cxlf_wire_plug *plug =
        g_new(struct cxlf_wire_plug, CXLF_MAX_GFAMS * CXLF_MAX_LDS);
    struct iovec iov[2] = {
        { .iov_base = &w, .iov_len = sizeof(w) },
        { .iov_base = blob, .iov_len = w.blob },
    };
    bool ok;

    memcpy(w.uuid, f->uuid.data, sizeof(w.uuid));
    w.plugs = cxl_fabric_fm_list_lds(f, p, p->host, plug);
    ok = cxl_fabric_send(p->sioc, CXLF_WIRE_WELCOME, iov, 2, NULL, 0,
                         errp) &&
         send_segment(p, CXLF_KIND_FABRIC, 0, errp);
    for (uint32_t i = 0; ok && i < t->leaves; i++) {
        ok = send_segment(p, CXLF_KIND_LEAF, i, errp);
    }
    for (uint32_t i = 0; ok && i < t->gfams; i++) {
        ok = send_segment(p, CXLF_KIND_GFAM, i, errp);
    }
    if (ok && f->graph) {
        ok = send_segment(p, CXLF_KIND_ROUTES, 0, errp) &&
             send_segment(p, CXLF_KIND_COUNTS, 0, errp);
    }
    ok = ok && send_memory(p, CXLF_KIND_LOG, 0, log->size, log->fd, errp) &&
         send_doorbells(p, errp);
    for (uint32_t i = 0; ok && i < w.plugs; i++) {
        struct iovec one = { .iov_base = &plug[i], .iov_len = sizeof(*plug) };

        ok = cxl_fabric_send(p->sioc, CXLF_WIRE_PLUG, &one, 1, NULL, 0, errp);
    }
    return ok;
}

static bool give_number(CXLFabricPeer *p, int want)
{
    CXLFabric *f = p->fabric;

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        p->host = cxl_fabric_claim_host(f, want, p->pid);
    }
    if (p->host < 0) {
        return false;
    }
    qemu_set_fd_handler(p->pidfd, NULL, NULL, NULL);
    p->ward = cxl_fabric_new_ward(f, p->host, p->pidfd);
    p->pidfd = -1;
    return true;
}

/* Whether a member's blob is the topology of @f, with its links. */
static bool has_same_topology(CXLFabric *f, const void *blob, uint32_t size,
                              const char **why)
{
    g_autofree struct cxlf_graph *graph = NULL;
    struct cxlf_topology t;

    if (!cxlf_topology_read(blob, size, &t, why) ||
        !cxl_fabric_read_graph(blob, &t, &graph, why)) {
        return false;
    }
    *why = "JOIN: the topology differs from the owner's; give both the "
           "same file, or leave 'topology' out when joining";
    return !memcmp(&t, &f->directory.topology, sizeof(t)) &&
           cxl_fabric_is_same_graph(graph, f->graph);
}

static bool on_join(CXLFabricPeer *p, const void *payload, uint32_t length,
                    const char **why)
{
    CXLFabric *f = p->fabric;
    struct cxlf_wire_join join;
    Error *err = NULL;
    const void *blob;
    int log;

    if (p->ward) {
        *why = "JOIN: this connection has joined already";
        return false;
    }
    if (p->pid == getpid()) {
        *why = "JOIN: the owner's process cannot join its own fabric; name "
               "the owning object in 'fabric' instead";
        return false;
    }
    if (!cxlf_wire_read_join(payload, length, &join, &blob, why) ||
        (join.blob && !has_same_topology(f, blob, join.blob, why))) {
        return false;
    }
    if (join.host >= (int)f->directory.topology.hosts) {
        *why = "JOIN: 'host' is beyond the topology's hosts";
        return false;
    }
    log = cxl_fabric_new_log(f, &err);
    if (log < 0) {
        warn_reportf_err(err, "cxl-fabric '%s': ", cxl_fabric_id(f));
        *why = "JOIN: the owner cannot make the ownership log";
        return false;
    }
    if (!give_number(p, join.host)) {
        close(log);
        *why = join.host < 0 ?
            "JOIN: every host number is taken; raise the owner's 'hosts'" :
            "JOIN: the wished 'host' number is taken";
        return false;
    }
    cxl_fabric_set_log(f, p->host, log);
    *why = "JOIN: the peer does not read the answer";
    return welcome(p, NULL);
}

/* A member that is up asks for memory of its own; it does not wait. */
static bool on_reserve(CXLFabricPeer *p, const void *payload, uint32_t length,
                       const char **why)
{
    struct cxlf_wire_reserve w;
    struct cxlf_wire_reserved answer = { 0 };
    struct iovec iov = { .iov_base = &answer, .iov_len = sizeof(answer) };

    if (!p->ward) {
        *why = "RESERVE: out of turn";
        return false;
    }
    if (!cxlf_wire_read_reserve(payload, length, &w, why)) {
        return false;
    }
    answer.token = w.token;
    answer.result = cxl_fabric_table_reserve(p->fabric, p->host, &w);
    *why = "RESERVE: the peer does not read the answer";
    return !p->sioc ||
           cxl_fabric_send(p->sioc, CXLF_WIRE_RESERVED, &iov, 1, NULL, 0,
                           NULL);
}

static bool send_answer(CXLFabricPeer *p,
                        const struct cxlf_wire_answer *answer)
{
    struct iovec iov = {
        .iov_base = (void *)answer, .iov_len = sizeof(*answer),
    };

    return !p->sioc ||
           cxl_fabric_send(p->sioc, CXLF_WIRE_ANSWER, &iov, 1, NULL, 0, NULL);
}

bool cxl_fabric_tell_peer(CXLFabricPeer *p, enum cxlf_wire_type type,
                          const void *payload, size_t size)
{
    struct iovec iov = { .iov_base = (void *)payload, .iov_len = size };

    if (!p->sioc) {
        return false;
    }
    if (!cxl_fabric_send(p->sioc, type, &iov, 1, NULL, 0, NULL)) {
        /* It is lost by on_readable(): the caller may be reading from it. */
        p->up = false;
        shutdown(p->sioc->fd, SHUT_RDWR);
        return false;
    }
    return true;
}

bool cxl_fabric_answer_peer(CXLFabricPeer *p,
                            const struct cxlf_wire_answer *answer)
{
    if (!p->sioc) {
        return false;
    }
    if (!send_answer(p, answer)) {
        lose(p);
        return false;
    }
    return true;
}

/* One that is dead, and not reported yet, is behind who has its number now. */
CXLFabricPeer *cxl_fabric_peer_of(CXLFabric *f, int host)
{
    CXLFabricPeer *p;

    QLIST_FOREACH(p, &f->peers, next) {
        if (p->up && p->host == host) {
            return p;
        }
    }
    return NULL;
}

/* Answers to what the owner has asked; one that is late is no error. */
static bool on_plugged(CXLFabricPeer *p, const struct cxlf_wire_header *h,
                       const void *payload, const char **why)
{
    struct cxlf_wire_plugged w;

    if (!p->ward) {
        *why = "PLUGGED, UNPLUGGED: out of turn";
        return false;
    }
    if (!cxlf_wire_read_plugged(payload, h->length, &w, why)) {
        return false;
    }
    cxl_fabric_fm_answered(p->fabric, p, h->type, &w);
    return true;
}

static bool on_extent(CXLFabricPeer *p, const void *payload, uint32_t length,
                      const char **why)
{
    struct cxlf_wire_extent_answer w;

    if (!p->ward) {
        *why = "EXTENT_ANSWER: out of turn";
        return false;
    }
    if (!cxlf_wire_read_extent_answer(payload, length, &w, why)) {
        return false;
    }
    cxl_fabric_fm_extent_answered(p->fabric, p, &w);
    return true;
}

static bool on_request(CXLFabricPeer *p, const void *payload, uint32_t length,
                       const char **why)
{
    struct cxlf_wire_request w;
    struct cxlf_wire_answer answer;

    if (!p->ward) {
        *why = "REQUEST: out of turn";
        return false;
    }
    if (!cxlf_wire_read_request(payload, length, &w, why)) {
        return false;
    }
    *why = "REQUEST: the peer does not read the answer";
    return !cxl_fabric_take_request(p->fabric, p, p->host, &w, &answer) ||
           send_answer(p, &answer);
}

static bool on_cci(CXLFabricPeer *p, const void *payload, uint32_t length,
                   const char **why)
{
    g_autofree uint8_t *answer = g_malloc(CXLF_WIRE_CCI_MAX);
    struct cxlf_wire_cci in, out;
    struct iovec iov[2] = {
        { .iov_base = &out, .iov_len = sizeof(out) },
        { .iov_base = answer },
    };
    const void *bytes;

    if (!p->ward) {
        *why = "CCI: out of turn";
        return false;
    }
    if (!cxlf_wire_read_cci(payload, length, &in, &bytes, why)) {
        return false;
    }
    cxl_fabric_take_cci(p->fabric, p->host, &in, bytes, &out, answer);
    iov[1].iov_len = out.length;
    *why = "CCI: the peer does not read the answer";
    return !p->sioc || cxl_fabric_send(p->sioc, CXLF_WIRE_CCI_ANSWER, iov, 2,
                                       NULL, 0, NULL);
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
        if (!p->ward || !cxl_fabric_ward_ready(f, p->ward)) {
            *why = "READY: out of turn";
            return false;
        }
        timer_del(p->timer);
        p->up = true;
        cxl_fabric_fm_host_up(f, p, p->host);
        return true;
    case CXLF_WIRE_PLUGGED:
    case CXLF_WIRE_UNPLUGGED:
        return on_plugged(p, h, payload, why);
    case CXLF_WIRE_EXTENT_ANSWER:
        return on_extent(p, payload, h->length, why);
    case CXLF_WIRE_RESERVE:
        return on_reserve(p, payload, h->length, why);
    case CXLF_WIRE_REQUEST:
        return on_request(p, payload, h->length, why);
    case CXLF_WIRE_CCI:
        return on_cci(p, payload, h->length, why);
    case CXLF_WIRE_LEAVE:
        if (p->ward) {
            cxl_fabric_ward_leave(f, p->ward);
            p->ward = NULL;
            p->up = false;
            cxl_fabric_fm_host_gone(f, p);
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

/* All that a member is told when it joins, since nobody waits for it. */
static void make_room(int fd)
{
    int size = 1 << 20;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
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
    p->sioc = sioc;
    object_ref(OBJECT(sioc));
    QLIST_INSERT_HEAD(&f->peers, p, next);
    p->timer = timer_new_ms(QEMU_CLOCK_REALTIME, on_timeout, p);
    timer_mod(p->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
              CXL_FABRIC_JOIN_SECONDS * 1000);
    qio_channel_set_blocking(QIO_CHANNEL(sioc), false, NULL);
    make_room(sioc->fd);
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

/* Whether the topology can be told to members. */
static bool fits_welcome(CXLFabric *f, Error **errp)
{
    g_autofree uint8_t *blob = g_malloc(CXLF_WIRE_BLOB_MAX);

    if (!cxlf_graph_write(&f->directory.topology, f->graph, blob,
                          CXLF_WIRE_BLOB_MAX)) {
        error_setg(errp, "'topology': as a blob without comments it must "
                   "have at most %u bytes; name fewer links",
                   CXLF_WIRE_BLOB_MAX);
        return false;
    }
    return true;
}

bool cxl_fabric_listen(CXLFabric *f, Error **errp)
{
    SocketAddress address = {
        .type = SOCKET_ADDRESS_TYPE_UNIX,
        .u.q_unix.path = f->socket,
    };

    if (!fits_welcome(f, errp)) {
        return false;
    }
    if (is_listened_at(f->socket)) {
        error_setg(errp, "'socket': another process listens at '%s'; choose "
                   "another path, or leave 'listen' out to join", f->socket);
        return false;
    }
    if (!cxl_fabric_start_reaper(f, on_recovered, errp)) {
        return false;
    }
    f->listener = qio_net_listener_new();
    qio_net_listener_set_name(f->listener, "cxl-fabric");
    if (qio_net_listener_open_sync(f->listener, &address, 16, errp) < 0) {
        object_unref(OBJECT(f->listener));
        f->listener = NULL;
        cxl_fabric_stop_reaper(f);
        return false;
    }
    qio_net_listener_set_client_func(f->listener, on_connect, f, NULL);
    return true;
}

void cxl_fabric_unlisten(CXLFabric *f)
{
    CXLFabricPeer *p, *following;

    cxl_fabric_stop_reaper(f);
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
