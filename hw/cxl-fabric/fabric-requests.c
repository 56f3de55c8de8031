/*
 * CXL fabric: what hosts ask of the owner, and of the manager
 *
 * docs/manager.md.  A request belongs to the connection of its host, and is
 * gone with it.  All of it is the main loop's.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "qapi/qapi-events-cxl-fabric.h"
#include "fabric-internal.h"
#include "trace.h"

struct CXLFabricRequest {
    CXLFabricPeer *peer;            /* NULL: this process's host */
    uint32_t host;
    bool under_way;                 /* a change of the mode, which is granted */
    struct cxlf_wire_request w;
    struct cxlf_wire_answer answer;
    QTAILQ_ENTRY(CXLFabricRequest) next;
};

/* The owner's side */

static bool is_about_mode(const struct cxlf_wire_request *w)
{
    return w->what == CXLF_WIRE_REQUEST_MODE ||
           (w->kind == CXLF_ASK_CLASS &&
            w->argument[0] >= CXLF_ASK_COHERENT);
}

static bool wants_software(const struct cxlf_wire_request *w)
{
    return w->argument[0] ==
           (w->what == CXLF_WIRE_REQUEST_MODE ? 1 : CXLF_ASK_SOFTWARE);
}

/* Whether the fabric has what a request is about. */
static bool is_there(CXLFabric *f, const struct cxlf_wire_request *w)
{
    const struct cxlf_topology *t = &f->directory.topology;
    const struct cxlf_gfam *g;
    uint64_t size;

    if (w->gfam >= t->gfams) {
        return w->kind == CXLF_ASK_CAPACITY && w->gfam == CXLF_ASK_ANY_GFAM;
    }
    g = &t->gfam[w->gfam];
    if (w->what == CXLF_WIRE_REQUEST_MODE) {
        return g->bulk;
    }
    if (w->kind != CXLF_ASK_CLASS) {
        return true;
    }
    size = g->hot + g->bulk;
    return w->dpa < size && w->length <= size - w->dpa &&
           (!is_about_mode(w) || (w->dpa == g->hot && w->length == g->bulk));
}

static bool is_up(CXLFabric *f, uint32_t host)
{
    return qatomic_read(&f->table->host[host].state) == CXLF_HOST_UP;
}

static bool may(CXLFabric *f, const struct cxlf_wire_request *w)
{
    return f->host_requests == CXL_FABRIC_HOST_REQUESTS_ALL ||
           (f->host_requests == CXL_FABRIC_HOST_REQUESTS_ASK &&
            w->what == CXLF_WIRE_REQUEST_ASK);
}

static unsigned count_open(CXLFabric *f, CXLFabricPeer *peer)
{
    CXLFabricRequest *r;
    unsigned n = 0;

    QTAILQ_FOREACH(r, &f->requests, next) {
        n += r->peer == peer && r->w.what == CXLF_WIRE_REQUEST_ASK;
    }
    return n;
}

static void drop_request(CXLFabric *f, CXLFabricRequest *r)
{
    QTAILQ_REMOVE(&f->requests, r, next);
    g_free(r);
}

/* Answer it for good; false if its host is gone. */
static bool end_request(CXLFabric *f, CXLFabricRequest *r,
                        enum cxlf_answer result)
{
    struct cxlf_wire_answer answer = r->answer;
    CXLFabricPeer *peer = r->peer;

    answer.result = result;
    trace_cxl_fabric_answer(cxl_fabric_id(f), r->host, answer.number, result);
    drop_request(f, r);
    if (peer) {
        return cxl_fabric_answer_peer(peer, &answer);
    }
    notifier_list_notify(&f->answer_notifiers, &answer);
    return true;
}

static enum cxlf_answer change_mode(CXLFabric *f, CXLFabricRequest *r,
                                    Error **errp)
{
    static const enum cxlf_answer answers[] = {
        [CXL_FABRIC_BULK_BEGUN] = CXLF_ANSWER_OPEN,
        [CXL_FABRIC_BULK_IS_SO] = CXLF_ANSWER_GRANTED,
        [CXL_FABRIC_BULK_AGAIN] = CXLF_ANSWER_AGAIN,
        [CXL_FABRIC_BULK_UNABLE] = CXLF_ANSWER_UNABLE,
    };
    enum cxlf_answer answer =
        answers[cxl_fabric_begin_bulk_change(f, 1u << r->w.gfam,
                                             wants_software(&r->w), errp)];

    r->under_way = answer == CXLF_ANSWER_OPEN;
    return answer;
}

void cxl_fabric_requests_changed(CXLFabric *f)
{
    CXLFabricRequest *r;

    /* One change at a time, so one request at most. */
    QTAILQ_FOREACH(r, &f->requests, next) {
        if (r->under_way) {
            end_request(f, r, CXLF_ANSWER_GRANTED);
            return;
        }
    }
}

static uint32List *list_arguments(const CXLFabricRequest *r)
{
    uint32List *list = NULL, **tail = &list;

    for (unsigned i = 0; i < CXLF_ASK_ARGUMENTS; i++) {
        QAPI_LIST_APPEND(tail, r->w.argument[i]);
    }
    return list;
}

QEMU_BUILD_BUG_ON((int)CXL_FABRIC_REQUEST_KIND__MAX != CXLF_ASK_END - 1);

static CxlFabricRequestKind kind_of(const CXLFabricRequest *r)
{
    return (CxlFabricRequestKind)(r->w.kind - 1);
}

static void emit(CXLFabric *f, const CXLFabricRequest *r)
{
    uint32List *arguments;

    if (!cxl_fabric_may_emit(&f->requests_emitted)) {
        return;
    }
    arguments = list_arguments(r);
    qapi_event_send_x_cxl_fabric_request(
        cxl_fabric_id(f), r->host, r->answer.number, kind_of(r),
        r->w.gfam != CXLF_ASK_ANY_GFAM, r->w.gfam, r->w.dpa, r->w.length,
        arguments, f->requests_emitted.left_out);
    f->requests_emitted.left_out = 0;
    qapi_free_uint32List(arguments);
}

static enum cxlf_answer begin_request(CXLFabric *f, CXLFabricRequest *r)
{
    if (!is_up(f, r->host) || !may(f, &r->w)) {
        return CXLF_ANSWER_REFUSED;
    }
    if (!is_there(f, &r->w)) {
        return CXLF_ANSWER_RANGE;
    }
    if (r->w.what == CXLF_WIRE_REQUEST_MODE) {
        return change_mode(f, r, NULL);
    }
    if (count_open(f, r->peer) >= CXLF_ASKS) {
        return CXLF_ANSWER_FULL;
    }
    r->answer.number = ++f->last_request;
    return CXLF_ANSWER_OPEN;
}

/* A change of the mode goes on without who has asked for it. */
static void withdraw(CXLFabric *f, CXLFabricPeer *peer, uint64_t token)
{
    CXLFabricRequest *r, *following;

    QTAILQ_FOREACH_SAFE(r, &f->requests, next, following) {
        if (r->peer == peer && (!token || r->w.token == token)) {
            trace_cxl_fabric_withdraw(cxl_fabric_id(f), r->host,
                                      r->answer.number);
            drop_request(f, r);
        }
    }
}

void cxl_fabric_drop_requests(CXLFabric *f, CXLFabricPeer *peer)
{
    withdraw(f, peer, 0);
}

bool cxl_fabric_take_request(CXLFabric *f, CXLFabricPeer *peer, uint32_t host,
                             const struct cxlf_wire_request *w,
                             struct cxlf_wire_answer *answer)
{
    CXLFabricRequest *r;

    if (w->what == CXLF_WIRE_REQUEST_WITHDRAW) {
        withdraw(f, peer, w->token);
        return false;
    }
    r = g_new0(CXLFabricRequest, 1);
    r->peer = peer;
    r->host = host;
    r->w = *w;
    r->answer = (struct cxlf_wire_answer) {
        .token = w->token, .gfam = w->gfam, .dpa = w->dpa,
        .length = w->length,
    };
    r->answer.result = begin_request(f, r);
    trace_cxl_fabric_request(cxl_fabric_id(f), host, w->what, w->kind,
                             r->answer.number, w->gfam, w->dpa, w->length);
    *answer = r->answer;
    if (answer->result != CXLF_ANSWER_OPEN) {
        g_free(r);
        return true;
    }
    QTAILQ_INSERT_TAIL(&f->requests, r, next);
    if (w->what == CXLF_WIRE_REQUEST_MODE) {
        return false;               /* until it is in force */
    }
    emit(f, r);
    return true;
}

/* QMP */

CxlFabricRequestInfoList *qmp_x_query_cxl_fabric_requests(Error **errp)
{
    CxlFabricRequestInfoList *list = NULL, **tail = &list;

    for (CXLFabric *f = cxl_fabric_first(); f; f = cxl_fabric_next(f)) {
        CXLFabricRequest *r;

        QTAILQ_FOREACH(r, &f->requests, next) {
            CxlFabricRequestInfo *info;

            if (r->w.what != CXLF_WIRE_REQUEST_ASK) {
                continue;
            }
            info = g_new0(CxlFabricRequestInfo, 1);
            info->id = g_strdup(cxl_fabric_id(f));
            info->host = r->host;
            info->request = r->answer.number;
            info->kind = kind_of(r);
            info->state = r->under_way ? CXL_FABRIC_REQUEST_STATE_UNDER_WAY :
                                         CXL_FABRIC_REQUEST_STATE_OPEN;
            info->has_gfam = r->w.gfam != CXLF_ASK_ANY_GFAM;
            info->gfam = r->w.gfam;
            info->dpa = r->w.dpa;
            info->length = r->w.length;
            info->arguments = list_arguments(r);
            QAPI_LIST_APPEND(tail, info);
        }
    }
    return list;
}

static CXLFabricRequest *find_request(CXLFabric *f, uint32_t host,
                                      uint64_t number, Error **errp)
{
    CXLFabricRequest *r;

    QTAILQ_FOREACH(r, &f->requests, next) {
        if (r->w.what == CXLF_WIRE_REQUEST_ASK && r->host == host &&
            r->answer.number == number) {
            if (r->under_way) {
                error_setg(errp, "'request': %" PRIu64 " was granted, and is "
                           "answered when the mode is in force", number);
                return NULL;
            }
            return r;
        }
    }
    error_setg(errp, "'request': host %u has no open request %" PRIu64 "; "
               "x-query-cxl-fabric-requests lists them", host, number);
    return NULL;
}

/* What was granted must be memory of the fabric, if it says where. */
static bool check_answer(CXLFabric *f, const struct cxlf_wire_answer *answer,
                         Error **errp)
{
    const struct cxlf_topology *t = &f->directory.topology;
    const struct cxlf_gfam *g;
    uint64_t size;

    if (answer->gfam == CXLF_ASK_ANY_GFAM) {
        return true;
    }
    if (answer->gfam >= t->gfams) {
        error_setg(errp, "'gfam' must be 0 to %u", t->gfams - 1);
        return false;
    }
    g = &t->gfam[answer->gfam];
    size = g->hot + g->bulk;
    if (answer->dpa > size || answer->length > size - answer->dpa) {
        error_setg(errp, "'dpa' and 'length' must be a range in the %" PRIu64
                   " bytes of GFAM device %u", size, answer->gfam);
        return false;
    }
    return true;
}

QEMU_BUILD_BUG_ON((int)CXL_FABRIC_REQUEST_RESULT_GRANTED !=
                  (int)CXLF_ANSWER_GRANTED);
QEMU_BUILD_BUG_ON((int)CXL_FABRIC_REQUEST_RESULT_DENIED !=
                  (int)CXLF_ANSWER_DENIED);
QEMU_BUILD_BUG_ON((int)CXL_FABRIC_REQUEST_RESULT_FAILED !=
                  (int)CXLF_ANSWER_FAILED);

void qmp_x_cxl_fabric_answer(const char *id, uint32_t host, uint64_t request,
                             CxlFabricRequestResult result, bool has_gfam,
                             uint32_t gfam, bool has_dpa, uint64_t dpa,
                             bool has_length, uint64_t length, Error **errp)
{
    CXLFabric *f = cxl_fabric_find(id, true, errp);
    CXLFabricRequest *r = f ? find_request(f, host, request, errp) : NULL;
    bool given = has_gfam || has_dpa || has_length;
    struct cxlf_wire_answer answer;

    if (!r) {
        return;
    }
    if (given && (result != CXL_FABRIC_REQUEST_RESULT_GRANTED ||
                  is_about_mode(&r->w))) {
        error_setg(errp, "'gfam', 'dpa' and 'length' say what was granted; "
                   "nothing is to be said here");
        return;
    }
    answer = r->answer;
    answer.gfam = has_gfam ? gfam : answer.gfam;
    answer.dpa = has_dpa ? dpa : answer.dpa;
    answer.length = has_length ? length : answer.length;
    if (given && !check_answer(f, &answer, errp)) {
        return;
    }
    r->answer = answer;
    if (result == CXL_FABRIC_REQUEST_RESULT_GRANTED && is_about_mode(&r->w) &&
        change_mode(f, r, errp) != CXLF_ANSWER_GRANTED) {
        return;                     /* begun, or an error */
    }
    if (!end_request(f, r, (enum cxlf_answer)result)) {
        error_setg(errp, "'host': host %u is gone", host);
    }
}

/* The host's side */

bool cxl_fabric_request(CXLFabric *f, const struct cxlf_wire_request *request)
{
    struct iovec iov = {
        .iov_base = (void *)request, .iov_len = sizeof(*request),
    };
    struct cxlf_wire_answer answer;

    if (!cxl_fabric_is_up(f)) {
        return false;
    }
    if (f->kind == CXL_FABRIC_MEMBER) {
        return cxl_fabric_send(f->channel, CXLF_WIRE_REQUEST, &iov, 1, NULL,
                               0, NULL);
    }
    if (cxl_fabric_take_request(f, NULL, f->self, request, &answer)) {
        notifier_list_notify(&f->answer_notifiers, &answer);
    }
    return true;
}

void cxl_fabric_add_answer_notifier(CXLFabric *f, Notifier *n)
{
    notifier_list_add(&f->answer_notifiers, n);
}
