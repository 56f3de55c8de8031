/*
 * Inboxes: messages from one host's agent to another's
 *
 * A bounded queue in the fabric's memory for each host: any agent sends, the
 * host's own agent takes.  Nothing is locked, and a sender may die at any
 * instruction: what it had claimed is dropped when its death is known.
 *
 * A slot's word, changed as a whole:
 *   1:0    enum cxlf_inbox_state
 *   13:2   host that claimed it
 *   19:14  bytes of the message
 *   31:20  turn of the queue, modulo 2^12: position / CXLF_INBOX_SLOTS
 *   63:32  incarnation of the host
 * The turn makes a claim that is late by a turn fail.
 *
 * Order: the messages of one thread are taken in the order in which they were
 * sent.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_INBOX_H
#define CXLF_INBOX_H

#include <stdbool.h>
#include <stdint.h>
#include "cxlf/abi.h"

enum cxlf_inbox_state {
    CXLF_INBOX_FREE,
    CXLF_INBOX_BUSY,        /* claimed; its message is being written */
    CXLF_INBOX_SENT,
};

enum cxlf_inbox_result {
    CXLF_INBOX_OK,
    CXLF_INBOX_CLOSED,      /* its host takes no messages */
    CXLF_INBOX_FULL,
};

struct cxlf_letter {
    uint32_t host;          /* the sender; below the fabric's hosts */
    uint32_t length;        /* bytes */
    uint64_t data[CXLF_LETTER_WORDS];
};

/*
 * cxlf_inbox_open: empty it, and take messages from now on; cxlf_inbox_close:
 * take none.  By the host's own agent.
 */
void cxlf_inbox_open(struct cxlf_inbox *inbox);
void cxlf_inbox_close(struct cxlf_inbox *inbox);

/*
 * cxlf_inbox_send: at most CXLF_LETTER_BYTES bytes, by @host (below
 * CXLF_MAX_HOSTS) of that incarnation.  Never waits.  Any thread.
 */
enum cxlf_inbox_result cxlf_inbox_send(struct cxlf_inbox *inbox,
                                       uint32_t host, uint32_t incarnation,
                                       const void *data, unsigned length);

/* Whether that incarnation of a host may still write.  */
typedef bool cxlf_inbox_lives(void *opaque, uint32_t host,
                              uint32_t incarnation);

/*
 * cxlf_inbox_take: the next message; false if there is none.  Of claims whose
 * host does not live any more nothing is left.  @hosts: of the fabric; what
 * none of these can have sent is dropped.  The host's own agent, one thread.
 */
bool cxlf_inbox_take(struct cxlf_inbox *inbox, uint32_t hosts,
                     cxlf_inbox_lives *lives, void *opaque,
                     struct cxlf_letter *letter);

#endif /* CXLF_INBOX_H */
