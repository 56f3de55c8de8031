/*
 * Mailboxes
 *
 * A message: kind in bits 3:0, device in 6:4, order in 10:7, page number in
 * 63:11.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/mailbox.h"

static uint64_t encode(struct cxlf_message m)
{
    return m.kind | (uint64_t)m.gfam << 4 | (uint64_t)m.order << 7 |
           m.dpa / CXLF_PAGE << 11;
}

static bool decode(uint64_t word, struct cxlf_message *m)
{
    m->kind = word & 0xf;
    m->gfam = word >> 4 & 7;
    m->order = word >> 7 & 0xf;
    m->dpa = (word >> 11) * CXLF_PAGE;
    return m->kind >= CXLF_BISNP_INV && m->kind <= CXLF_CMP &&
           m->order <= CXLF_MAX_ORDER &&
           (word >> 11 & ((1u << m->order) - 1)) == 0 &&
           word >> 11 <= UINT64_MAX / CXLF_PAGE;
}

bool cxlf_post(struct cxlf_mailbox *mailbox, struct cxlf_message message)
{
    uint64_t word = encode(message);
    /* Producers begin at different slots, so that they seldom collide. */
    unsigned first = (word ^ word >> 11) % CXLF_MAILBOX_SLOTS;

    for (unsigned i = 0; i < CXLF_MAILBOX_SLOTS; i++) {
        uint64_t *slot = &mailbox->slot[(first + i) % CXLF_MAILBOX_SLOTS];
        uint64_t empty = 0;

        if (__atomic_load_n(slot, __ATOMIC_RELAXED) == word) {
            return true;
        }
        /* (P1) */
        if (__atomic_compare_exchange_n(slot, &empty, word, false,
                                        __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED) || empty == word) {
            return true;
        }
    }
    return false;
}

bool cxlf_take(struct cxlf_mailbox *mailbox, struct cxlf_message *message)
{
    for (unsigned i = 0; i < CXLF_MAILBOX_SLOTS; i++) {
        uint64_t *slot = &mailbox->slot[i];

        if (__atomic_load_n(slot, __ATOMIC_RELAXED) != 0 &&
            decode(__atomic_exchange_n(slot, 0, __ATOMIC_ACQUIRE),  /* C0 */
                   message)) {
            return true;
        }
    }
    return false;
}
