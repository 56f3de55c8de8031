/*
 * Protocol table: states of a line, events, actions and next states
 *
 * The one place where the coherence protocol is written down for machines;
 * docs/protocol.md has the same table for people.  A pair that the table does
 * not define is a hard error: it means that shared memory was corrupted.
 * States and events are those of CXL.mem with a device-side snoop filter
 * (CXL r3.1 section 3.3) and of the paper's sketch of HOT accesses.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_PROTOCOL_H
#define CXLF_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>
#include "cxlf/abi.h"

enum cxlf_state {
    CXLF_I,             /* no host holds the unit */
    CXLF_S,             /* one or more hosts hold it for reading */
    CXLF_E,             /* one host owns it; a line: it is not modified */
    CXLF_M,             /* lines: one host owns it, and has modified it */
    /* Transients of pages: named by where they come from and go to */
    CXLF_S_E,           /* sharers are invalidated, the requester will own */
    CXLF_E_E,           /* the owner is invalidated, the requester will own */
    CXLF_E_S,           /* the owner is downgraded, the requester will share */
    CXLF_S_I,           /* sharers are invalidated: recall */
    CXLF_E_I,           /* the owner is invalidated: recall */
    CXLF_STATES
};

enum cxlf_event {
    CXLF_LOAD,          /* host reads: MemRd, SnpData */
    CXLF_OWN,           /* host will write: MemRd, SnpInv */
    CXLF_STORE,         /* host writes a line, ownership included */
    CXLF_EVICT,         /* host gives the unit up: MemClnEvct or MemWr */
    CXLF_RECALL,        /* the unit is taken from all: BISnpInv */
    CXLF_RSP_I,         /* an agent has zapped its mapping: BIRspI */
    CXLF_RSP_S,         /* an agent has write-protected it: BIRspS */
    CXLF_DEATH,         /* the fabric's owner takes it from a dead host */
    CXLF_EVENTS
};

/* How the host of an event stands to the unit. */
enum cxlf_relation {
    CXLF_STRANGER,      /* neither of the others */
    CXLF_HOLDER,        /* one of the copyset */
    CXLF_REQUESTER,     /* the requester of a transient state */
    CXLF_RELATIONS
};

/* What a transition does, in the order in which it is done. */
enum cxlf_action {
    CXLF_A_DEFINED   = 1 << 0,  /* set in every cell that is defined */
    CXLF_A_BISNP_INV = 1 << 1,  /* BISnpInv to every other holder */
    CXLF_A_BISNP_DATA = 1 << 2, /* BISnpData to the owner, which keeps S */
    CXLF_A_WRITEBACK = 1 << 3,  /* the owner's BIRsp or MemWr carries data */
    CXLF_A_ADD       = 1 << 4,  /* the host joins the copyset */
    CXLF_A_ONLY      = 1 << 5,  /* the host becomes the only holder */
    CXLF_A_DROP      = 1 << 6,  /* the host leaves the copyset */
    CXLF_A_GRANT     = 1 << 7,  /* with the last answer, the requester joins */
    CXLF_A_BUSY      = 1 << 8,  /* another transaction runs: come again */
    CXLF_A_STALE     = 1 << 9,  /* an answer to a snoop that is over */
    CXLF_A_READ_HIT  = 1 << 10,
    CXLF_A_WRITE_HIT = 1 << 11,
    CXLF_A_READ_MISS = 1 << 12,
    CXLF_A_WRITE_MISS = 1 << 13,
    CXLF_A_UPGRADE   = 1 << 14,
};

/*
 * A cell.  Where it snoops holders that have the unit mapped, @wait is
 * entered until the last of them has answered; @next is reached at once in
 * all other cases.  @last is @next's place when CXLF_A_DROP leaves nobody.
 */
struct cxlf_cell {
    uint8_t next;       /* enum cxlf_state, as all three */
    uint8_t last;
    uint8_t wait;
    uint16_t actions;   /* enum cxlf_action */
};

extern const struct cxlf_cell
    cxlf_table[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS];
extern const char *const cxlf_state_name[CXLF_STATES];
extern const char *const cxlf_event_name[CXLF_EVENTS];

/* The part of a directory entry that the protocol is about. */
struct cxlf_line {
    unsigned state;         /* enum cxlf_state */
    unsigned requester;     /* of a transient state, else 0 */
    uint64_t holders;       /* a bit for each host */
};

/* cxlf_is_transient: whether a state waits for answers. */
static inline bool cxlf_is_transient(unsigned state)
{
    return state >= CXLF_S_E && state < CXLF_STATES;
}

/* cxlf_line_valid: whether state, requester and holders can be together. */
bool cxlf_line_valid(enum cxlf_kind kind, struct cxlf_line line);

/*
 * cxlf_step: execute the table once.
 * @line: before; @host: whose event it is (0 to CXLF_MAX_HOSTS - 1)
 * @next: after; @actions: what the transition does
 * Returns false if the table does not define the pair for this kind of unit.
 * No side effects.
 */
bool cxlf_step(enum cxlf_kind kind, struct cxlf_line line, unsigned host,
               enum cxlf_event event, struct cxlf_line *next,
               unsigned *actions);

#endif /* CXLF_PROTOCOL_H */
