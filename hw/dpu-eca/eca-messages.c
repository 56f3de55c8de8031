/*
 * DPU Edge Coherence Agent: messages to and from other hosts' agents
 *
 * A message is in the other host's inbox when its command ends.  It is taken
 * from there when there is room to keep its event, so that none is lost
 * between; a full inbox is the sender's to see.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf/inbox.h"
#include "eca-events.h"
#include "eca-messages.h"
#include "eca-regs.h"
#include "trace.h"

static struct cxlf_inbox *inbox_of(ECAState *s, uint32_t host)
{
    return &cxl_fabric_directory(s->fabric)->leaf[0].inboxes[host];
}

static bool lives(void *opaque, uint32_t host, uint32_t incarnation)
{
    ECAState *s = opaque;

    return cxl_fabric_host_life(s->fabric, host) == incarnation;
}

/* The number may have been another host's, who left it open. */
void eca_messages_init(ECAState *s)
{
    cxlf_inbox_close(inbox_of(s, s->host));
}

static void open_inbox(void *opaque)
{
    cxlf_inbox_open(opaque);
}

uint32_t eca_message_send(ECAState *s, uint32_t host, const void *data,
                          unsigned length)
{
    static const uint32_t status[] = {
        [CXLF_INBOX_OK] = ECA_COPY_DONE,
        [CXLF_INBOX_CLOSED] = ECA_COPY_AWAY,
        [CXLF_INBOX_FULL] = ECA_COPY_FULL,
    };
    enum cxlf_inbox_result result;
    uint64_t one = 1;

    if (!cxl_fabric_is_up(s->fabric)) {
        return ECA_COPY_LOST;
    }
    if (host >= cxl_fabric_directory(s->fabric)->topology.hosts) {
        return ECA_COPY_RANGE;
    }
    if (!cxl_fabric_host_life(s->fabric, host)) {
        return ECA_COPY_AWAY;
    }
    result = cxlf_inbox_send(inbox_of(s, host), s->host,
                             cxl_fabric_host_life(s->fabric, s->host), data,
                             length);
    trace_eca_message_sent(s->host, host, length, result);
    if (result == CXLF_INBOX_OK) {
        /* EAGAIN says that it rings already. */
        (void)!write(cxl_fabric_doorbell_fd(s->fabric, host), &one,
                     sizeof(one));
    }
    return status[result];
}

void eca_messages_wanted(ECAState *s, bool wanted)
{
    struct cxlf_inbox *inbox;

    if (!s->pager || wanted == s->takes_messages) {
        return;
    }
    s->takes_messages = wanted;
    inbox = inbox_of(s, s->host);
    if (wanted) {
        /* By the thread that takes them. */
        eca_pager_run(s->pager, open_inbox, inbox);
    } else {
        cxlf_inbox_close(inbox);
    }
}

void eca_messages_kick(ECAState *s)
{
    if (s->pager) {
        eca_pager_kick(s->pager);
    }
}

void eca_messages_take(ECAState *s)
{
    unsigned hosts = cxl_fabric_directory(s->fabric)->topology.hosts;
    struct cxlf_letter l;

    while (eca_event_wanted(s, ECA_EVENT_MESSAGE) && eca_event_has_room(s) &&
           cxlf_inbox_take(inbox_of(s, s->host), hosts, lives, s, &l)) {
        ECAEvent event = {
            .kind = ECA_EVENT_MESSAGE, .host = l.host,
            .gfam = ECA_EVENT_NONE, .count = 1, .dpa = UINT64_MAX,
            .length = MIN(l.length, ECA_MESSAGE_MAX),
        };

        trace_eca_message_taken(s->host, l.host, l.length);
        memcpy(event.data, l.data, ECA_MESSAGE_MAX);
        eca_event(s, &event);
    }
}
