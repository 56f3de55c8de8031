/*
 * CXL fabric: a member's side of the join, and the loss of the owner
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-cxl-fabric.h"
#include "qemu/error-report.h"
#include "fabric-internal.h"
#include "trace.h"

static bool connect_to_owner(CXLFabric *f, Error **errp)
{
    ERRP_GUARD();
    int fd = cxl_fabric_connect(f->socket, true);

    if (fd < 0 && errno == EAGAIN) {
        error_setg(errp, "'socket': the owner at '%s' did not answer within "
                   "%d seconds", f->socket, CXL_FABRIC_JOIN_SECONDS);
        return false;
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "'socket': cannot connect to '%s'",
                         f->socket);
        error_append_hint(errp, "Start the fabric's owner (listen=on) "
                          "first.\n");
        return false;
    }
    f->channel = qio_channel_socket_new_fd(fd, errp);
    if (!f->channel) {
        close(fd);
        return false;
    }
    qio_channel_set_name(QIO_CHANNEL(f->channel), "cxl-fabric");
    return true;
}

static bool send_join(CXLFabric *f, const struct cxlf_topology *wanted,
                      const struct cxlf_graph *graph, Error **errp)
{
    g_autofree uint8_t *blob = g_malloc(CXLF_WIRE_BLOB_MAX);
    struct cxlf_wire_join join = {
        .abi_version = CXLF_ABI_VERSION,
        .leaf_header = sizeof(struct cxlf_leaf),
        .fabric_header = sizeof(struct cxlf_fabric),
        .entry_size = sizeof(struct cxlf_entry),
        .host = f->want_host,
        .blob = wanted ? cxlf_graph_write(wanted, graph, blob,
                                          CXLF_WIRE_BLOB_MAX) : 0,
    };
    struct iovec iov[2] = {
        { .iov_base = &join, .iov_len = sizeof(join) },
        { .iov_base = blob, .iov_len = join.blob },
    };

    return cxl_fabric_send(f->channel, CXLF_WIRE_JOIN, iov, 2, NULL, 0, errp);
}

/* Receive a message that must be of type @want; a REFUSE becomes an error. */
static bool expect(CXLFabric *f, uint16_t want, CXLFabricMessage *m,
                   Error **errp)
{
    struct cxlf_wire_refuse refuse;
    const char *why;

    if (!cxl_fabric_receive(f->channel, m, errp)) {
        return false;
    }
    if (m->type == want) {
        return true;
    }
    if (m->type == CXLF_WIRE_REFUSE &&
        cxlf_wire_read_refuse(m->payload, m->length, &refuse, &why)) {
        error_setg(errp, "the owner refuses: %s", refuse.text);
    } else {
        error_setg(errp, "the owner sends a message out of turn");
    }
    return false;
}

static bool receive_welcome(CXLFabric *f, uint32_t *segments, uint32_t *plugs,
                            Error **errp)
{
    g_auto(CXLFabricMessage) m = { 0 };
    struct cxlf_wire_welcome w;
    const struct cxlf_topology *t = &f->directory.topology;
    const void *blob;
    const char *why;

    if (!expect(f, CXLF_WIRE_WELCOME, &m, errp)) {
        return false;
    }
    if (!cxlf_wire_read_welcome(m.payload, m.length, &w, &blob, &why) ||
        !cxlf_topology_read(blob, w.blob, &f->directory.topology, &why) ||
        !cxl_fabric_read_graph(blob, t, &f->graph, &why)) {
        error_setg(errp, "%s", why);
        return false;
    }
    if (w.host >= t->hosts || w.segments != cxl_fabric_count_segments(f) ||
        w.doorbells != t->hosts) {
        error_setg(errp, "WELCOME does not fit the topology");
        return false;
    }
    memcpy(f->uuid.data, w.uuid, sizeof(w.uuid));
    f->self = w.host;
    *segments = w.segments;
    *plugs = w.plugs;
    return true;
}

/* How many slots a log has is the owner's to say; its header is checked. */
static bool is_right_size(CXLFabric *f, const struct cxlf_wire_segment *w)
{
    return w->kind == CXLF_KIND_LOG ?
           w->size <= cxlf_log_size(CXLF_LOG_MAX) :
           w->size == cxl_fabric_segment_size(f, w->kind, w->index);
}

static bool is_of_routing(uint32_t kind)
{
    return kind == CXLF_KIND_ROUTES || kind == CXLF_KIND_COUNTS;
}

static bool receive_segment(CXLFabric *f, Error **errp)
{
    const struct cxlf_topology *t = &f->directory.topology;
    g_auto(CXLFabricMessage) m = { 0 };
    struct cxlf_wire_segment w;
    CXLFabricSegment *s;
    struct stat st;
    const char *why;

    if (!expect(f, CXLF_WIRE_SEGMENT, &m, errp)) {
        return false;
    }
    if (!cxlf_wire_read_segment(m.payload, m.length, &w, &why)) {
        error_setg(errp, "%s", why);
    } else if (m.fds != 1) {
        error_setg(errp, "SEGMENT came without a descriptor");
    } else if ((w.kind == CXLF_KIND_LEAF && w.index >= t->leaves) ||
               (w.kind == CXLF_KIND_GFAM && w.index >= t->gfams) ||
               (is_of_routing(w.kind) && !f->graph) ||
               f->segment[w.kind][w.index].fd >= 0) {
        error_setg(errp, "SEGMENT came twice, or names none of this fabric");
    } else if (!is_right_size(f, &w) ||
               fstat(m.fd[0], &st) < 0 || st.st_size < w.size) {
        error_setg(errp, "SEGMENT: kind %u, number %u has a wrong size",
                   w.kind, w.index);
    } else {
        s = &f->segment[w.kind][w.index];
        s->fd = m.fd[0];
        s->size = w.size;
        m.fd[0] = -1;
        return true;
    }
    return false;
}

/* A doorbell that blocks would make whoever rings it wait. */
static bool is_doorbell(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && flags & O_NONBLOCK && (flags & O_ACCMODE) == O_RDWR;
}

/* Some doorbells, from host number *@next on. */
static bool receive_doorbells(CXLFabric *f, uint32_t *next, Error **errp)
{
    g_auto(CXLFabricMessage) m = { 0 };
    struct cxlf_wire_doorbells w;
    const char *why;

    if (!expect(f, CXLF_WIRE_DOORBELLS, &m, errp)) {
        return false;
    }
    if (!cxlf_wire_read_doorbells(m.payload, m.length, &w, &why)) {
        error_setg(errp, "%s", why);
        return false;
    }
    if (w.first != *next ||
        w.count > f->directory.topology.hosts - w.first) {
        error_setg(errp, "DOORBELLS came twice, or names none of this "
                   "fabric");
        return false;
    }
    if (m.fds != w.count) {
        error_setg(errp, "DOORBELLS came with %zu descriptors instead of %u",
                   m.fds, w.count);
        return false;
    }
    for (uint32_t i = 0; i < w.count; i++) {
        if (!is_doorbell(m.fd[i])) {
            error_setg(errp, "DOORBELLS: that of host %u is none",
                       w.first + i);
            return false;
        }
        f->doorbell[w.first + i] = m.fd[i];
        m.fd[i] = -1;
    }
    *next += w.count;
    return true;
}

/* An LD that this host has. */
static bool receive_plug(CXLFabric *f, Error **errp)
{
    g_auto(CXLFabricMessage) m = { 0 };
    struct cxlf_wire_plug w;
    const char *why;

    if (!expect(f, CXLF_WIRE_PLUG, &m, errp)) {
        return false;
    }
    if (!cxlf_wire_read_plug(m.payload, m.length, &w, &why)) {
        error_setg(errp, "%s", why);
        return false;
    }
    if (!cxl_fabric_grant_at_join(f, &w)) {
        error_setg(errp, "PLUG names no logical device of this fabric");
        return false;
    }
    return true;
}

static bool receive_all(CXLFabric *f, Error **errp)
{
    uint32_t segments, plugs, doorbells = 0;

    if (!receive_welcome(f, &segments, &plugs, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < segments; i++) {
        if (!receive_segment(f, errp)) {
            return false;
        }
    }
    cxl_fabric_init_doorbells(f);
    while (doorbells < f->directory.topology.hosts) {
        if (!receive_doorbells(f, &doorbells, errp)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < plugs; i++) {
        if (!receive_plug(f, errp)) {
            return false;
        }
    }
    return true;
}

static bool adopt_table(CXLFabric *f, Error **errp)
{
    CXLFabricSegment *s = &f->segment[CXLF_KIND_FABRIC][0];
    const struct cxlf_fabric *t;

    if (!cxl_fabric_map(s, false, errp)) {
        return false;
    }
    t = s->map;
    if (t->segment.magic != CXLF_FABRIC_MAGIC ||
        t->segment.version != CXLF_ABI_VERSION ||
        t->segment.header_size != sizeof(*t) ||
        t->segment.size != s->size ||
        t->segment.hosts != f->directory.topology.hosts ||
        memcmp(t->segment.uuid, f->uuid.data, 16)) {
        error_setg(errp, "fabric segment: its header does not fit");
        return false;
    }
    f->table = s->map;
    return true;
}

static bool adopt_segments(CXLFabric *f, Error **errp)
{
    if (!adopt_table(f, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < f->directory.topology.leaves; i++) {
        if (!cxl_fabric_map(&f->segment[CXLF_KIND_LEAF][i], true, errp) ||
            !cxl_fabric_adopt_leaf(f, i, errp)) {
            return false;
        }
    }
    if (f->graph &&
        (!cxl_fabric_map(&f->segment[CXLF_KIND_ROUTES][0], false, errp) ||
         !cxl_fabric_map(&f->segment[CXLF_KIND_COUNTS][0], true, errp) ||
         !cxl_fabric_adopt_routes(f, errp))) {
        return false;
    }
    return cxl_fabric_map_log(f, errp);
}

/* One answer of the owner's; what is none is dropped. */
static void hear(CXLFabric *f, uint16_t type, const void *payload,
                 uint32_t length)
{
    struct cxlf_wire_reserved reserved;
    struct cxlf_wire_answer answer;
    struct cxlf_wire_cci cci;
    const void *bytes;
    struct cxlf_wire_plug plug;
    struct cxlf_wire_unplug unplug;
    struct cxlf_wire_extent extent;
    struct cxlf_wire_aer aer;
    const char *why;

    if (type == CXLF_WIRE_RESERVED &&
        cxlf_wire_read_reserved(payload, length, &reserved, &why)) {
        cxl_fabric_hear_reserved(f, &reserved);
    } else if (type == CXLF_WIRE_ANSWER &&
               cxlf_wire_read_answer(payload, length, &answer, &why)) {
        notifier_list_notify(&f->answer_notifiers, &answer);
    } else if (type == CXLF_WIRE_CCI_ANSWER &&
               cxlf_wire_read_cci(payload, length, &cci, &bytes, &why)) {
        cxl_fabric_hear_cci(f, &cci, bytes);
    } else if (type == CXLF_WIRE_PLUG &&
               cxlf_wire_read_plug(payload, length, &plug, &why)) {
        cxl_fabric_hear_plug(f, &plug);
    } else if (type == CXLF_WIRE_UNPLUG &&
               cxlf_wire_read_unplug(payload, length, &unplug, &why)) {
        cxl_fabric_hear_unplug(f, &unplug);
    } else if (type == CXLF_WIRE_EXTENT &&
               cxlf_wire_read_extent(payload, length, &extent, &why)) {
        cxl_fabric_hear_extent(f, &extent);
    } else if (type == CXLF_WIRE_AER &&
               cxlf_wire_read_aer(payload, length, &aer, &why)) {
        cxl_fabric_hear_aer(f, &aer);
    } else {
        trace_cxl_fabric_unknown_answer(cxl_fabric_id(f));
    }
}

/* How many bytes the message that begins f->heard has, as far as is known. */
static size_t heard_wanted(CXLFabric *f)
{
    struct cxlf_wire_header h;
    const char *why;

    if (f->heard_size < sizeof(h)) {
        return sizeof(h);
    }
    memcpy(&h, f->heard, sizeof(h));
    return cxlf_wire_check_header(&h, &why) &&
           h.length <= sizeof(f->heard) - sizeof(h) ?
           sizeof(h) + h.length : 0;
}

/* Answers may come in pieces; behind what begins none, nothing is known. */
static void hear_owner(CXLFabric *f, const uint8_t *data, size_t size)
{
    while (size) {
        struct cxlf_wire_header h;
        size_t take = MIN(size, heard_wanted(f) - f->heard_size);
        size_t wanted;

        memcpy(f->heard + f->heard_size, data, take);
        f->heard_size += take;
        data += take;
        size -= take;
        wanted = heard_wanted(f);
        if (!wanted) {
            trace_cxl_fabric_unknown_answer(cxl_fabric_id(f));
            f->heard_size = 0;
            return;
        }
        if (f->heard_size == wanted) {
            memcpy(&h, f->heard, sizeof(h));
            f->heard_size = 0;
            hear(f, h.type, f->heard + sizeof(h), h.length);
        }
    }
}

static gboolean on_owner(QIOChannel *ioc, GIOCondition condition,
                         gpointer opaque)
{
    CXLFabric *f = opaque;
    char buffer[256];
    ssize_t got = qio_channel_read(ioc, buffer, sizeof(buffer), NULL);

    if (got > 0) {
        hear_owner(f, (uint8_t *)buffer, got);
    }
    if (got > 0 || got == QIO_CHANNEL_ERR_BLOCK) {
        return G_SOURCE_CONTINUE;
    }
    f->watch = 0;
    qatomic_set(&f->lost, true);
    trace_cxl_fabric_lost(cxl_fabric_id(f));
    error_report("cxl-fabric '%s': the owner at '%s' is gone; accesses to "
                 "the fabric are refused from now on", cxl_fabric_id(f),
                 f->socket);
    qapi_event_send_x_cxl_fabric_lost(cxl_fabric_id(f),
                                      "the owner hung up");
    notifier_list_notify(&f->lost_notifiers, f);
    return G_SOURCE_REMOVE;
}

/* An owner in this process would wait for us, and we for it. */
static bool is_our_own(const char *socket)
{
    for (CXLFabric *f = cxl_fabric_first(); f; f = cxl_fabric_next(f)) {
        if (f->listener && !strcmp(f->socket, socket)) {
            return true;
        }
    }
    return false;
}

bool cxl_fabric_join(CXLFabric *f, Error **errp)
{
    ERRP_GUARD();
    g_autofree struct cxlf_graph *graph = NULL;
    struct cxlf_topology wanted;

    if (f->topology_file &&
        !cxl_fabric_load_topology(f->topology_file, &wanted, &graph, errp)) {
        return false;
    }
    if (is_our_own(f->socket)) {
        error_setg(errp, "'socket': the fabric at '%s' is owned by this "
                   "process; name the owning object in 'fabric' instead",
                   f->socket);
        return false;
    }
    if (!connect_to_owner(f, errp)) {
        return false;
    }
    if (!send_join(f, f->topology_file ? &wanted : NULL, graph, errp) ||
        !receive_all(f, errp) || !adopt_segments(f, errp) ||
        !cxl_fabric_send(f->channel, CXLF_WIRE_READY, NULL, 0, NULL, 0,
                         errp)) {
        goto fail;
    }
    qio_channel_set_blocking(QIO_CHANNEL(f->channel), false, NULL);
    qatomic_set(&f->owner_fd, f->channel->fd);
    f->watch = qio_channel_add_watch(QIO_CHANNEL(f->channel),
                                     G_IO_IN | G_IO_HUP, on_owner, f, NULL);
    trace_cxl_fabric_joined(cxl_fabric_id(f), f->self);
    return true;

fail:
    error_prepend(errp, "joining the fabric at '%s': ", f->socket);
    return false;
}

void cxl_fabric_leave(CXLFabric *f)
{
    if (!f->channel) {
        return;
    }
    if (f->watch) {
        g_source_remove(f->watch);
        f->watch = 0;
        /* Only who is still a member has something to give up. */
        cxlf_give_up(&f->directory, f->self, CXLF_EVICT, NULL);
    }
    /* Also after a join that failed half-way, or the owner would fence. */
    cxl_fabric_send(f->channel, CXLF_WIRE_LEAVE, NULL, 0, NULL, 0, NULL);
    qatomic_set(&f->owner_fd, -1);
    qio_channel_close(QIO_CHANNEL(f->channel), NULL);
    object_unref(OBJECT(f->channel));
    f->channel = NULL;
}
