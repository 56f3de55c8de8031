/*
 * DPU Edge Coherence Agent: requests to the fabric's owner and manager
 *
 * A command of a queue makes a request, and waits for its first answer.  One
 * that the manager has then stays here without a queue, until its answer was
 * told as an event.  Answers find requests by tokens that are used once, so
 * what comes for one that is gone finds none.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-events.h"
#include "eca-manager.h"
#include "eca-queue.h"
#include "eca-regs.h"
#include "trace.h"

/* Those of the manager; then a change of the mode for each queue. */
#define ASKS            (CXLF_ASKS + ECA_QUEUES)

/* In events, behind the manager's answers */
#define ANSWER_LOST     3u

bool eca_is_request(uint32_t command)
{
    return command == ECA_SET_MODE || command == ECA_ASK;
}

static ECAAsk *find_free(ECAState *s, bool mode)
{
    for (unsigned i = mode ? CXLF_ASKS : 0; i < (mode ? ASKS : CXLF_ASKS);
         i++) {
        if (s->asks[i].state == ECA_ASK_FREE) {
            return &s->asks[i];
        }
    }
    return NULL;
}

static ECAAsk *find_user(ECAState *s, void *user)
{
    for (unsigned i = 0; i < ASKS; i++) {
        if (s->asks[i].state != ECA_ASK_FREE && s->asks[i].user == user) {
            return &s->asks[i];
        }
    }
    return NULL;
}

static ECAAsk *find_token(ECAState *s, uint64_t token)
{
    for (unsigned i = 0; i < ASKS; i++) {
        if (s->asks[i].state != ECA_ASK_FREE && s->asks[i].token == token) {
            return &s->asks[i];
        }
    }
    return NULL;
}

/* @token: 0 for all of this host. */
static void withdraw(ECAState *s, uint64_t token)
{
    cxl_fabric_request(s->fabric, &(struct cxlf_wire_request) {
        .what = CXLF_WIRE_REQUEST_WITHDRAW, .token = token,
    });
}

uint32_t eca_manager_ask(ECAState *s, void *user, uint32_t tag,
                         struct cxlf_wire_request *w)
{
    bool mode = w->what == CXLF_WIRE_REQUEST_MODE;
    ECAAsk *a;

    if (mode ? w->dpa || w->length || w->argument[0] > 1 :
               !cxlf_ask_is_known(w)) {
        return ECA_COPY_MALFORMED;
    }
    if (!cxl_fabric_is_up(s->fabric)) {
        return ECA_COPY_LOST;
    }
    if (mode && (w->gfam >= CXLF_MAX_GFAMS || !eca_has_some(s, w->gfam))) {
        return ECA_COPY_RANGE;
    }
    a = find_free(s, mode);
    if (!a) {
        return ECA_COPY_FULL;
    }
    w->token = ++s->last_token;
    *a = (ECAAsk) {
        .state = ECA_ASK_SENT, .user = user, .token = w->token, .tag = tag,
        .kind = w->kind, .status = ECA_COPY_BUSY,
    };
    trace_eca_ask(s->host, w->what, w->kind, w->token, w->gfam, w->dpa,
                  w->length);
    if (!cxl_fabric_request(s->fabric, w)) {
        a->state = ECA_ASK_FREE;
        return ECA_COPY_LOST;
    }
    return ECA_COPY_BUSY;
}

uint32_t eca_manager_status(ECAState *s, void *user, uint64_t *number)
{
    const ECAAsk *a = find_user(s, user);

    if (a->status == ECA_COPY_BUSY && !cxl_fabric_is_up(s->fabric)) {
        return ECA_COPY_LOST;
    }
    if (a->status == ECA_COPY_DONE) {
        *number = a->answer.number;
    }
    return a->status;
}

void eca_manager_told(ECAState *s, void *user)
{
    ECAAsk *a = find_user(s, user);

    if (!a) {
        return;
    }
    if (a->kind && a->status == ECA_COPY_DONE) {
        a->user = NULL;
        eca_manager_tell(s);
    } else {
        a->state = ECA_ASK_FREE;
    }
}

void eca_manager_forget(ECAState *s, void *user)
{
    ECAAsk *a = find_user(s, user);

    if (a) {
        a->state = ECA_ASK_FREE;
        withdraw(s, a->token);
    }
}

static void tell(ECAState *s, ECAAsk *a)
{
    const struct cxlf_wire_answer *w = &a->answer;

    trace_eca_answer(s->host, a->token, w->number, w->result);
    eca_event(s, &(ECAEvent) {
        .kind = ECA_EVENT_ANSWER, .host = ECA_EVENT_NONE, .gfam = w->gfam,
        .count = 1, .dpa = w->dpa, .length = w->length,
        .data = { w->number, w->number >> 32, a->tag, a->kind, w->result },
    });
    a->state = ECA_ASK_FREE;
}

void eca_manager_tell(ECAState *s)
{
    for (unsigned i = 0; i < ASKS; i++) {
        ECAAsk *a = &s->asks[i];

        if (a->state == ECA_ASK_ENDED && !a->user &&
            eca_event_wanted(s, ECA_EVENT_ANSWER) && eca_event_has_room(s)) {
            tell(s, a);
        }
    }
}

void eca_manager_lost(ECAState *s)
{
    for (unsigned i = 0; i < ASKS; i++) {
        if (s->asks[i].state == ECA_ASK_OPEN && s->asks[i].kind) {
            s->asks[i].state = ECA_ASK_ENDED;
            s->asks[i].answer.result = ANSWER_LOST;
        }
    }
    eca_manager_tell(s);
}

/* The answer that the command waits for. */
static uint32_t first_status(const ECAAsk *a, uint32_t result)
{
    switch (result) {
    case CXLF_ANSWER_GRANTED:
        return a->kind ? ECA_COPY_REFUSED : ECA_COPY_DONE;
    case CXLF_ANSWER_OPEN:
        return a->kind ? ECA_COPY_DONE : ECA_COPY_REFUSED;
    case CXLF_ANSWER_RANGE:
        return ECA_COPY_RANGE;
    case CXLF_ANSWER_FULL:
        return ECA_COPY_FULL;
    case CXLF_ANSWER_AGAIN:
        return ECA_COPY_AGAIN;
    case CXLF_ANSWER_UNABLE:
        return ECA_COPY_OFF;
    default:
        return ECA_COPY_REFUSED;
    }
}

static void on_answer(Notifier *n, void *data)
{
    ECAState *s = container_of(n, ECAState, answer_notifier);
    const struct cxlf_wire_answer *w = data;
    ECAAsk *a = find_token(s, w->token);

    if (a && a->state == ECA_ASK_SENT) {
        a->state = ECA_ASK_OPEN;
        a->status = first_status(a, w->result);
        a->answer = *w;
        eca_queues_kick(s);
    } else if (a && a->state == ECA_ASK_OPEN && a->kind &&
               a->status == ECA_COPY_DONE &&
               w->result <= CXLF_ANSWER_FAILED) {
        a->state = ECA_ASK_ENDED;
        a->answer = *w;
        eca_manager_tell(s);
    }
}

void eca_manager_reset(ECAState *s)
{
    if (s->last_token) {
        withdraw(s, 0);
    }
    memset(s->asks, 0, ASKS * sizeof(*s->asks));
}

void eca_manager_init(ECAState *s)
{
    s->asks = g_new0(ECAAsk, ASKS);
    s->answer_notifier.notify = on_answer;
    cxl_fabric_add_answer_notifier(s->fabric, &s->answer_notifier);
}

void eca_manager_exit(ECAState *s)
{
    eca_manager_reset(s);
    notifier_remove(&s->answer_notifier);
    g_free(s->asks);
    s->asks = NULL;
}
