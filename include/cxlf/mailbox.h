/*
 * Mailboxes: hints from the home to a host's agent
 *
 * A message is 8 bytes and is posted by one compare-and-swap, so a producer
 * that dies leaves nothing or a whole message.  Messages are hints: the
 * directory entry is the truth.  So they may be lost, doubled or reordered,
 * and whoever waits posts again.
 *
 * Memory order: (P0) the entry's compare-and-swap, then (P1) the slot's;
 * (C0) the slot's exchange, then (C1) the load of the entry.  P1 pairs with
 * C0, so C1 sees what P0 wrote, or something later.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_MAILBOX_H
#define CXLF_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>
#include "cxlf/abi.h"

enum cxlf_message_kind {
    CXLF_BISNP_INV = 1,     /* zap the page, and answer RspI */
    CXLF_BISNP_DATA,        /* write-protect it, and answer RspS */
    CXLF_CMP,               /* a transaction that you wait for is over */
};

/*
 * A message speaks of a block of 2^order pages, aligned to its size: who
 * gets a snoop looks at all of their entries.
 */
#define CXLF_MAX_ORDER      9

struct cxlf_message {
    uint8_t kind;           /* enum cxlf_message_kind */
    uint8_t gfam;
    uint8_t order;          /* 0 to CXLF_MAX_ORDER */
    uint64_t dpa;           /* bytes; a multiple of CXLF_PAGE << order */
};

/*
 * cxlf_post: put a message into a mailbox, if it is not there yet.
 * Returns false if the mailbox is full.  Any thread of any process.
 */
bool cxlf_post(struct cxlf_mailbox *mailbox, struct cxlf_message message);

/*
 * cxlf_take: take any message out.  Returns false if there is none that can
 * be a message; what cannot is dropped.  The host's own agent only.
 */
bool cxlf_take(struct cxlf_mailbox *mailbox, struct cxlf_message *message);

#endif /* CXLF_MAILBOX_H */
