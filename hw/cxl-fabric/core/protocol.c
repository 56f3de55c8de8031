/*
 * Protocol: executes the table in protocol-table.h
 *
 * Lines are never in a transient state, and pages never in M: their owner may
 * write without telling anyone.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/abi.h"
#include "cxlf/protocol.h"

const struct cxlf_cell
cxlf_table[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS] = {
#define CELL(state, relation, event, next_, last_, wait_, what, text, ref) \
    [CXLF_##state][CXLF_##relation][CXLF_##event] = { \
        .next = CXLF_##next_, .last = CXLF_##last_, .wait = CXLF_##wait_, \
        .actions = CXLF_A_DEFINED | (what) },
#include "protocol-table.h"
};

const char *const cxlf_state_name[CXLF_STATES] = {
#define STATE(id, name, ...) [CXLF_##id] = name,
#include "protocol-table.h"
};

const char *const cxlf_event_name[CXLF_EVENTS] = {
#define EVENT(id, name, ...) [CXLF_##id] = name,
#include "protocol-table.h"
};

/* Bits of enum cxlf_kind */
enum {
    NEITHER,
    LINES = 1 << CXLF_LINE_UNIT,
    PAGES = 1 << CXLF_PAGE_UNIT,
    BOTH = LINES | PAGES,
};

/* How many holders; which requester */
enum { NONE, ONE, SOME };
enum { NO, ANY, OTHER };

/* What can be together */
static const struct shape {
    uint8_t units;
    uint8_t holders;
    uint8_t requester;
} shapes[CXLF_STATES] = {
#define STATE(id, name, units_, holders_, requester_, text) \
    [CXLF_##id] = { units_, holders_, requester_ },
#include "protocol-table.h"
};

/* Events of each kind of unit */
static const uint32_t events_of[CXLF_UNITS] = {
    [CXLF_LINE_UNIT] = 0
#define EVENT(id, name, units, ...) | ((units) & LINES ? 1u << CXLF_##id : 0)
#include "protocol-table.h"
    ,
    [CXLF_PAGE_UNIT] = 0
#define EVENT(id, name, units, ...) | ((units) & PAGES ? 1u << CXLF_##id : 0)
#include "protocol-table.h"
};

/* States in which nobody holds the unit */
enum {
    NOBODY = 0
#define STATE(id, name, units, holders, ...) \
    | ((holders) == NONE ? 1 << CXLF_##id : 0)
#include "protocol-table.h"
};

static inline bool is_coarse(uint64_t set)
{
    return cxlf_set_encoding(set) == CXLF_COARSE;
}

/* Of a valid set.  A coarse set names no host alone. */
static inline bool is_one(uint64_t set, unsigned hosts)
{
    if (hosts <= CXLF_EXACT_HOSTS) {
        return set != 0 && !(set & (set - 1));
    }
    return cxlf_set_encoding(set) == CXLF_POINTERS &&
           cxlf_set_count(set, hosts) == 1;
}

static inline bool holders_valid(enum cxlf_kind kind, unsigned hosts,
                                 uint64_t holders, unsigned how_many)
{
    if (hosts <= CXLF_EXACT_HOSTS) {
        if (holders >> hosts) {
            return false;
        }
    } else if (!cxlf_set_valid(holders, hosts) ||
               (kind == CXLF_PAGE_UNIT && is_coarse(holders))) {
        /* One host's answer cannot clear a bit that stands for several. */
        return false;
    }
    return how_many == NONE ? holders == 0 :
           how_many == SOME ? holders != 0 : is_one(holders, hosts);
}

static inline bool line_valid(enum cxlf_kind kind, unsigned hosts,
                              struct cxlf_line line)
{
    const struct shape *shape;

    if (line.state >= CXLF_STATES) {
        return false;
    }
    shape = &shapes[line.state];
    if (!(shape->units >> kind & 1) ||
        !holders_valid(kind, hosts, line.holders, shape->holders)) {
        return false;
    }
    if (shape->requester == NO) {
        return line.requester == 0;
    }
    /* Whoever wants to own or share does not wait for its own answer. */
    return line.requester < hosts &&
           (shape->requester == ANY ||
            !cxlf_set_has(line.holders, line.requester, hosts));
}

bool cxlf_line_valid(enum cxlf_kind kind, unsigned hosts,
                     struct cxlf_line line)
{
    return line_valid(kind, hosts, line);
}

static inline enum cxlf_relation relation_of(struct cxlf_line line,
                                             unsigned host, unsigned hosts)
{
    if (cxlf_set_has(line.holders, host, hosts)) {
        return CXLF_HOLDER;
    }
    return cxlf_is_transient(line.state) && line.requester == host ?
           CXLF_REQUESTER : CXLF_STRANGER;
}

enum cxlf_relation cxlf_relation(struct cxlf_line line, unsigned host,
                                 unsigned hosts)
{
    return relation_of(line, host, hosts);
}

/* Holders that must answer before a transition is complete. */
static inline uint64_t awaited(enum cxlf_kind kind, unsigned hosts,
                               const struct cxlf_cell *cell,
                               struct cxlf_line line, unsigned host,
                               enum cxlf_event event)
{
    if (kind == CXLF_LINE_UNIT ||
        !(cell->actions & (CXLF_A_BISNP_INV | CXLF_A_BISNP_DATA))) {
        return 0;
    }
    /* A recall takes the unit from whoever asked for it, too. */
    return event == CXLF_RECALL ? line.holders :
                                  cxlf_set_remove(line.holders, host, hosts);
}

/* What a cell does to the copyset and, by that, to the state. */
static inline void change(enum cxlf_kind kind, unsigned hosts,
                          const struct cxlf_cell *cell, unsigned host,
                          unsigned requester, struct cxlf_line *next)
{
    if (cell->actions & CXLF_A_ADD) {
        next->holders = cxlf_set_add(next->holders, host, hosts);
    }
    if (cell->actions & CXLF_A_ONLY) {
        next->holders = cxlf_set_of(host, hosts);
    }
    if (cell->actions & CXLF_A_DROP) {
        next->holders = cxlf_set_remove(next->holders, host, hosts);
        if (next->holders == 0) {
            next->state = cell->actions & CXLF_A_POISON &&
                          kind == CXLF_PAGE_UNIT ? cell->wait : cell->last;
        }
    }
    if (cell->actions & CXLF_A_GRANT && !cxlf_is_transient(next->state)) {
        next->holders = cxlf_set_add(next->holders, requester, hosts);
    }
}

static inline __attribute__((always_inline)) bool
step(enum cxlf_kind kind, unsigned hosts, struct cxlf_line line,
     unsigned host, enum cxlf_event event, struct cxlf_line *next,
     unsigned *actions)
{
    const struct cxlf_cell *cell;
    uint64_t wait;

    if (host >= hosts || !(events_of[kind] >> event & 1)) {
        return false;
    }
    cell = &cxlf_table[line.state][relation_of(line, host, hosts)][event];
    if (!(cell->actions & CXLF_A_DEFINED)) {
        return false;
    }
    *actions = cell->actions;
    wait = awaited(kind, hosts, cell, line, host, event);
    if (wait) {
        *next = (struct cxlf_line) { cell->wait, host, wait };
        return true;
    }
    *next = (struct cxlf_line) { cell->next, 0, line.holders };
    change(kind, hosts, cell, host, line.requester, next);
    if (kind == CXLF_PAGE_UNIT && is_coarse(next->holders)) {
        *next = line;
        *actions = CXLF_A_DEFINED | CXLF_A_OVERFLOW;
        return true;
    }
    if (NOBODY >> next->state & 1) {
        next->holders = 0;
    }
    if (cxlf_is_transient(next->state)) {
        /* Whoever leaves a stable state begins the transaction. */
        next->requester = cxlf_is_transient(line.state) ? line.requester :
                                                          host;
    }
    if (*actions & CXLF_A_POISON && next->state != CXLF_P) {
        *actions &= ~CXLF_A_POISON;     /* nothing was modified */
    }
    return true;
}

bool cxlf_step(enum cxlf_kind kind, unsigned hosts, struct cxlf_line line,
               unsigned host, enum cxlf_event event, struct cxlf_line *next,
               unsigned *actions)
{
    return line_valid(kind, hosts, line) &&
           cxlf_step_valid(kind, hosts, line, host, event, next, actions);
}

bool cxlf_step_valid(enum cxlf_kind kind, unsigned hosts,
                     struct cxlf_line line, unsigned host,
                     enum cxlf_event event, struct cxlf_line *next,
                     unsigned *actions)
{
    /* Each access to a line is this one: it gets a copy of its own. */
    if (kind == CXLF_LINE_UNIT && hosts <= CXLF_EXACT_HOSTS) {
        return step(CXLF_LINE_UNIT, hosts, line, host, event, next, actions);
    }
    return step(kind, hosts, line, host, event, next, actions);
}
