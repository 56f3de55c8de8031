/*
 * libeca: spinlocks and ticket locks whose owner may die
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include "private.h"

#define TICKETS         64u
#define GONE            (~0ull)     /* gave up waiting */

/* A word that owners take */

int libeca_word_lock(Eca *eca, uint64_t *word, uint64_t *dead,
                     int timeout_ms)
{
    Wait wait = WAIT(eca, timeout_ms);

    for (;;) {
        uint64_t owner = get64(word);
        int look;

        if (!owner) {
            STEP("lock-take");
            if (swap64(word, 0, eca->self)) {
                STEP("lock-taken");
                return 0;
            }
        }
        look = libeca_wait(&wait);
        if (look < 0) {
            return look;
        }
        owner = get64(word);
        if (look && owner && libeca_dead(eca, owner)) {
            STEP("lock-take-over");
            if (swap64(word, owner, eca->self)) {
                STEP("lock-taken-over");
                *dead = owner;
                return -EOWNERDEAD;
            }
        }
    }
}

int libeca_word_unlock(Eca *eca, uint64_t *word)
{
    if (get64(word) != eca->self) {
        return -EPERM;
    }
    STEP("unlock");
    set64(word, 0);
    STEP("unlocked");
    return 0;
}

struct EcaSpin {
    Eca *eca;
    uint64_t *word;
};

int eca_spin_open(EcaSpin **out, EcaArena *arena, const char *name,
                  int timeout_ms)
{
    EcaSpin *lock = calloc(1, sizeof(*lock));
    void *at;
    int error = lock ? libeca_object_open(arena, name, ECA_KIND_SPIN,
                                          ECA_CACHE_LINE, NULL, NULL, &at,
                                          timeout_ms) : -ENOMEM;

    if (error) {
        free(lock);
        return error;
    }
    lock->eca = arena->eca;
    lock->word = at;
    *out = lock;
    return 0;
}

void eca_spin_close(EcaSpin *lock)
{
    free(lock);
}

int eca_spin_lock(EcaSpin *lock, int timeout_ms)
{
    uint64_t dead;
    int error = libeca_word_lock(lock->eca, lock->word, &dead, timeout_ms);

    return error == -EOWNERDEAD ? libeca_died(dead, error) : error;
}

int eca_spin_unlock(EcaSpin *lock)
{
    return libeca_word_unlock(lock->eca, lock->word);
}

/* Ticket locks */

typedef struct TicketSlot {
    uint64_t owner, ticket;
} LINE_ALIGNED TicketSlot;

typedef struct TicketLock {
    uint64_t next LINE_ALIGNED;
    uint64_t serving LINE_ALIGNED;
    uint64_t holder;                /* written by who is served */
    TicketSlot slot[TICKETS];
} TicketLock;

struct EcaTicket {
    Eca *eca;
    TicketLock *shared;
};

/*
 * In assembly, since it must be one instruction: what compilers and TSan
 * make of a 16-byte atomic may take a lock, and one of this process says
 * nothing to another.
 */
static bool swap_slot(TicketSlot *slot, uint64_t owner, uint64_t ticket,
                      uint64_t new_owner, uint64_t new_ticket)
{
    bool done;

    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz" (done), "+m" (*slot), "+a" (owner), "+d" (ticket)
                 : "b" (new_owner), "c" (new_ticket)
                 : "memory");
    return done;
}

static TicketSlot *slot_of(TicketLock *shared, uint64_t ticket)
{
    return &shared->slot[ticket % TICKETS];
}

static void prepare_ticket(void *at, void *arg)
{
    TicketLock *shared = at;

    (void)arg;
    for (uint32_t i = 0; i < TICKETS; i++) {
        set64(&shared->slot[i].ticket, i);
    }
}

int eca_ticket_open(EcaTicket **out, EcaArena *arena, const char *name,
                    int timeout_ms)
{
    EcaTicket *lock = calloc(1, sizeof(*lock));
    void *at;
    int error = lock ? libeca_object_open(arena, name, ECA_KIND_TICKET,
                                          sizeof(TicketLock), prepare_ticket,
                                          NULL, &at, timeout_ms) : -ENOMEM;

    if (error) {
        free(lock);
        return error;
    }
    lock->eca = arena->eca;
    lock->shared = at;
    *out = lock;
    return 0;
}

void eca_ticket_close(EcaTicket *lock)
{
    free(lock);
}

/* The ticket is done with; the next one's turn.  Any step may be repeated. */
static void retire(TicketLock *shared, uint64_t owner, uint64_t ticket)
{
    TicketSlot *slot = slot_of(shared, ticket);

    STEP("ticket-retire");
    swap_slot(slot, owner, ticket, 0, ticket + TICKETS);
    if (get64(&slot->ticket) < ticket + TICKETS) {
        return;                     /* its owner gave up meanwhile */
    }
    STEP("ticket-advance");
    swap64(&shared->serving, ticket, ticket + 1);
    STEP("ticket-advanced");
}

/* Go on for a ticket that is done, or whose owner is dead. */
static void help(EcaTicket *lock)
{
    TicketLock *shared = lock->shared;
    uint64_t serving = get64(&shared->serving);
    TicketSlot *slot = slot_of(shared, serving);
    uint64_t ticket = get64(&slot->ticket), owner = get64(&slot->owner);

    if (ticket == serving + TICKETS) {
        STEP("ticket-help");
        swap64(&shared->serving, serving, serving + 1);
    } else if (ticket != serving || !owner) {
        return;
    } else if (owner == GONE || libeca_dead(lock->eca, owner)) {
        /* If the slot is another's by now, swapping it fails. */
        retire(shared, owner, serving);
    }
}

/* Take the next ticket. */
static int draw(EcaTicket *lock, Wait *wait, uint64_t *ticket)
{
    TicketLock *shared = lock->shared;

    for (;;) {
        uint64_t next = get64(&shared->next);
        TicketSlot *slot = slot_of(shared, next);
        uint64_t seen, owner;
        int look;

        STEP("ticket-draw");
        if (swap_slot(slot, 0, next, lock->eca->self, next)) {
            STEP("ticket-drawn");
            swap64(&shared->next, next, next + 1);
            STEP("ticket-counted");
            *ticket = next;
            return 0;
        }
        seen = get64(&slot->ticket);
        owner = get64(&slot->owner);
        if (seen > next || (owner && seen == next)) {
            /* Taken: perhaps by one who died before counting it. */
            swap64(&shared->next, next, next + 1);
            continue;
        }
        look = libeca_wait(wait);               /* all slots are in use */
        if (look < 0) {
            return look;
        }
        if (look) {
            help(lock);
        }
    }
}

int eca_ticket_lock(EcaTicket *lock, int timeout_ms)
{
    TicketLock *shared = lock->shared;
    Wait wait = WAIT(lock->eca, timeout_ms);
    uint64_t ticket, holder;
    int look = draw(lock, &wait, &ticket);

    if (look < 0) {
        return look;
    }
    while (get64(&shared->serving) != ticket) {
        look = libeca_wait(&wait);
        if (look < 0) {
            STEP("ticket-give-up");
            swap_slot(slot_of(shared, ticket), lock->eca->self, ticket, GONE,
                      ticket);
            return look;
        }
        if (look) {
            help(lock);
        }
    }
    holder = get64(&shared->holder);
    STEP("ticket-enter");
    set64(&shared->holder, lock->eca->self);
    STEP("ticket-entered");
    return holder ? libeca_died(holder, -EOWNERDEAD) : 0;
}

int eca_ticket_unlock(EcaTicket *lock)
{
    TicketLock *shared = lock->shared;

    if (get64(&shared->holder) != lock->eca->self) {
        return -EPERM;
    }
    STEP("ticket-leave");
    set64(&shared->holder, 0);
    retire(shared, lock->eca->self, get64(&shared->serving));
    return 0;
}
