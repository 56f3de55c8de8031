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
#include "cxlf/copyset.h"

enum cxlf_state {
    CXLF_I,             /* no host holds the unit */
    CXLF_S,             /* one or more hosts hold it for reading */
    CXLF_E,             /* one host owns it; a line: it is not modified */
    CXLF_M,             /* lines: one host owns it, and has modified it */
    CXLF_L,             /* pages: tracked by its lines; nobody has it mapped */
    CXLF_P,             /* poisoned: its modified content was lost */
    /* Transients of pages: named by where they come from and go to */
    CXLF_S_E,           /* sharers are invalidated, the requester will own */
    CXLF_E_E,           /* the owner is invalidated, the requester will own */
    CXLF_E_S,           /* the owner is downgraded, the requester will share */
    CXLF_S_I,           /* sharers are invalidated: recall */
    CXLF_E_I,           /* the owner is invalidated: recall */
    CXLF_L_I,           /* lines are given up: demotion */
    /* Of entries, not of units: the table has no row for them */
    CXLF_N,             /* new: claimed by the requester for the tag's unit */
    CXLF_F,             /* free; the copyset is the epoch of its freeing */
    CXLF_STATES
};

enum cxlf_event {
    CXLF_LOAD,          /* host reads: MemRd, SnpData */
    CXLF_OWN,           /* host will write: MemRd, SnpInv */
    CXLF_STORE,         /* host writes a line, ownership included */
    CXLF_EVICT,         /* host gives the unit up: MemClnEvct or MemWr */
    CXLF_RECALL,        /* the unit is taken from all: BISnpInv */
    CXLF_PROMOTE,       /* a page that nobody holds becomes one of lines */
    CXLF_DEMOTED,       /* all lines of the page in L_I are I */
    CXLF_RSP_I,         /* an agent has zapped its mapping: BIRspI */
    CXLF_RSP_S,         /* an agent has write-protected it: BIRspS */
    CXLF_DEATH,         /* the owner takes it from a dead host; data kept */
    CXLF_LOSS,          /* the same; what may be modified is poisoned */
    CXLF_CLEAR,         /* clear poison */
    CXLF_REBUILD_S,     /* after a leaf's return: its log says shared */
    CXLF_REBUILD_E,     /* the same: its log says owned */
    CXLF_REBUILD_P,     /* the same: the owner of the fabric knows of poison */
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
    CXLF_A_WRITEBACK = 1 << 3,  /* the owner's data goes back by MemWr */
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
    CXLF_A_LINES     = 1 << 15, /* a page event: access its lines instead */
    CXLF_A_POISONED  = 1 << 16, /* not granted: the content is lost */
    CXLF_A_POISON    = 1 << 17, /* what the host may have modified is lost */
    CXLF_A_CONFLICT  = 1 << 18, /* logs contradict each other */
    CXLF_A_OVERFLOW  = 1 << 19, /* more sharers than a page can name */
};

/*
 * A cell.  Where it snoops holders that have the unit mapped, @wait is
 * entered until the last of them has answered; @next is reached at once in
 * all other cases.  @last is @next's place when CXLF_A_DROP leaves nobody;
 * with CXLF_A_POISON on a page, whose owner may always have modified it,
 * @wait is.
 */
struct cxlf_cell {
    uint8_t next;       /* enum cxlf_state, as all three */
    uint8_t last;
    uint8_t wait;
    uint32_t actions;   /* enum cxlf_action */
};

extern const struct cxlf_cell
    cxlf_table[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS];
extern const char *const cxlf_state_name[CXLF_STATES];
extern const char *const cxlf_event_name[CXLF_EVENTS];

/* The part of a directory entry that the protocol is about. */
struct cxlf_line {
    unsigned state;         /* enum cxlf_state */
    unsigned requester;     /* of a transient state, else 0 */
    uint64_t holders;       /* cxlf/copyset.h */
};

/* cxlf_is_transient: whether a state waits for answers. */
static inline bool cxlf_is_transient(unsigned state)
{
    return state >= CXLF_S_E && state <= CXLF_L_I;
}

/*
 * cxlf_line_valid: whether state, requester and holders can be together in a
 * fabric of @hosts hosts.
 */
bool cxlf_line_valid(enum cxlf_kind kind, unsigned hosts,
                     struct cxlf_line line);

/* cxlf_relation: how @host stands to a valid @line. */
enum cxlf_relation cxlf_relation(struct cxlf_line line, unsigned host,
                                 unsigned hosts);

/*
 * cxlf_step: execute the table once.
 * @hosts: of the fabric; @line: before; @host: whose event it is
 * @next: after; @actions: what the transition does
 * Returns false if the table does not define the pair for this kind of unit.
 * A page is never named by a coarse set: a Load that would need one changes
 * nothing, and is CXLF_A_OVERFLOW (recall and promote it).
 * No side effects.
 */
bool cxlf_step(enum cxlf_kind kind, unsigned hosts, struct cxlf_line line,
               unsigned host, enum cxlf_event event, struct cxlf_line *next,
               unsigned *actions);

/* cxlf_step_valid: the same for a line that cxlf_line_valid() has passed. */
bool cxlf_step_valid(enum cxlf_kind kind, unsigned hosts,
                     struct cxlf_line line, unsigned host,
                     enum cxlf_event event, struct cxlf_line *next,
                     unsigned *actions);

#endif /* CXLF_PROTOCOL_H */
