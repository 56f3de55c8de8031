/*
 * Inboxes: messages from one host's agent to another's
 *
 * A sender claims the slot at the tail by a compare-and-swap of its word, and
 * then moves the tail on, which anyone does for it who finds the slot
 * claimed.  It writes the message, and says so in the word.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/inbox.h"

/* How often a sender may lose the race for the tail. */
#define TRIES       1000
/* Of what a hostile peer has put there. */
#define DROPS       (2 * CXLF_INBOX_SLOTS)

#define TURNS       4096u

static uint64_t word_of(enum cxlf_inbox_state state, uint64_t position,
                        uint32_t host, uint32_t incarnation, unsigned length)
{
    uint64_t turn = position / CXLF_INBOX_SLOTS % TURNS;

    return state | (uint64_t)host << 2 | (uint64_t)length << 14 | turn << 20 |
           (uint64_t)incarnation << 32;
}

static uint64_t free_word(uint64_t position)
{
    return word_of(CXLF_INBOX_FREE, position, 0, 0, 0);
}

static enum cxlf_inbox_state state_of(uint64_t word)
{
    return word & 3;
}

static bool is_of_turn(uint64_t word, uint64_t position)
{
    return (word >> 20) % TURNS == position / CXLF_INBOX_SLOTS % TURNS;
}

static struct cxlf_inbox_slot *slot_of(struct cxlf_inbox *b,
                                       uint64_t position)
{
    return &b->slot[position % CXLF_INBOX_SLOTS];
}

static bool swap(uint64_t *word, uint64_t old, uint64_t new)
{
    return __atomic_compare_exchange_n(word, &old, new, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

void cxlf_inbox_open(struct cxlf_inbox *b)
{
    uint64_t first = __atomic_load_n(&b->tail, __ATOMIC_RELAXED);

    /* A turn that no claim of before can be of. */
    first = (first / CXLF_INBOX_SLOTS + 2) * CXLF_INBOX_SLOTS;
    for (uint64_t i = first; i < first + CXLF_INBOX_SLOTS; i++) {
        __atomic_store_n(&slot_of(b, i)->word, free_word(i),
                         __ATOMIC_RELAXED);
    }
    b->head = first;
    __atomic_store_n(&b->tail, first, __ATOMIC_RELAXED);
    __atomic_store_n(&b->open, 1, __ATOMIC_RELEASE);
}

void cxlf_inbox_close(struct cxlf_inbox *b)
{
    __atomic_store_n(&b->open, 0, __ATOMIC_RELEASE);
}

/* The word that claims a slot; 0: there is none to be had. */
static uint64_t claim(struct cxlf_inbox *b, uint32_t host,
                      uint32_t incarnation, unsigned length,
                      struct cxlf_inbox_slot **slot)
{
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t tail = __atomic_load_n(&b->tail, __ATOMIC_ACQUIRE);
        uint64_t busy = word_of(CXLF_INBOX_BUSY, tail, host, incarnation,
                                length);
        uint64_t word;

        *slot = slot_of(b, tail);
        word = __atomic_load_n(&(*slot)->word, __ATOMIC_ACQUIRE);
        if (is_of_turn(word, tail) && state_of(word) != CXLF_INBOX_FREE) {
            swap(&b->tail, tail, tail + 1);     /* who claimed it did not */
        } else if (word == free_word(tail)) {
            if (swap(&(*slot)->word, word, busy)) {
                swap(&b->tail, tail, tail + 1);
                return busy;
            }
        } else if (__atomic_load_n(&b->tail, __ATOMIC_RELAXED) == tail) {
            return 0;       /* of the last turn: it was not taken yet */
        }
    }
    return 0;
}

enum cxlf_inbox_result cxlf_inbox_send(struct cxlf_inbox *b, uint32_t host,
                                       uint32_t incarnation,
                                       const void *data, unsigned length)
{
    uint64_t words[CXLF_LETTER_WORDS] = { 0 };
    struct cxlf_inbox_slot *slot;
    uint64_t busy;

    if (!__atomic_load_n(&b->open, __ATOMIC_ACQUIRE)) {
        return CXLF_INBOX_CLOSED;
    }
    busy = claim(b, host, incarnation, length, &slot);
    if (!busy) {
        return CXLF_INBOX_FULL;
    }
    memcpy(words, data, length);
    for (unsigned i = 0; i < CXLF_LETTER_WORDS; i++) {
        __atomic_store_n(&slot->data[i], words[i], __ATOMIC_RELAXED);
    }
    /* It fails when the inbox was opened anew meanwhile. */
    return swap(&slot->word, busy,
                busy - CXLF_INBOX_BUSY + CXLF_INBOX_SENT) ? CXLF_INBOX_OK :
           CXLF_INBOX_CLOSED;
}

static void read_letter(const struct cxlf_inbox_slot *slot, uint64_t word,
                        struct cxlf_letter *letter)
{
    letter->host = word >> 2 & 0xfff;
    letter->length = word >> 14 & 0x3f;
    for (unsigned i = 0; i < CXLF_LETTER_WORDS; i++) {
        letter->data[i] = __atomic_load_n(&slot->data[i], __ATOMIC_RELAXED);
    }
}

bool cxlf_inbox_take(struct cxlf_inbox *b, uint32_t hosts,
                     cxlf_inbox_lives *lives, void *opaque,
                     struct cxlf_letter *letter)
{
    for (unsigned i = 0; i < DROPS; i++) {
        struct cxlf_inbox_slot *slot = slot_of(b, b->head);
        uint64_t word = __atomic_load_n(&slot->word, __ATOMIC_ACQUIRE);
        bool sent = state_of(word) == CXLF_INBOX_SENT;

        if (word == free_word(b->head)) {
            return false;
        }
        read_letter(slot, word, letter);
        if (state_of(word) == CXLF_INBOX_BUSY && is_of_turn(word, b->head) &&
            letter->host < hosts &&
            lives(opaque, letter->host, word >> 32)) {
            return false;       /* it is being written */
        }
        if (!swap(&slot->word, word, free_word(b->head + CXLF_INBOX_SLOTS))) {
            continue;
        }
        /* So that nobody claims it at a position that was taken already. */
        swap(&b->tail, b->head, b->head + 1);
        sent = sent && is_of_turn(word, b->head) && letter->host < hosts &&
               letter->length <= CXLF_LETTER_BYTES;
        b->head++;
        if (sent) {
            return true;
        }
    }
    return false;
}
