/*
 * Protocol table
 *
 * Each initializer is one cell of the table in docs/protocol.md; cells that
 * are not here are undefined.  Lines are never in a transient state, and
 * pages never in M: their owner may write without telling anyone.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/abi.h"
#include "cxlf/protocol.h"

#define A(action) CXLF_A_##action
/* A cell; one that may have to wait; one that may drop the last holder */
#define CELL(state, relation, event, next_state, what) \
    WAIT(state, relation, event, next_state, next_state, what)
#define WAIT(state, relation, event, next_state, wait_state, what) \
    [CXLF_##state][CXLF_##relation][CXLF_##event] = { \
        .next = CXLF_##next_state, .last = CXLF_##next_state, \
        .wait = CXLF_##wait_state, .actions = CXLF_A_DEFINED | (what) }
#define DROP(state, relation, event, next_state, last_state, what) \
    [CXLF_##state][CXLF_##relation][CXLF_##event] = { \
        .next = CXLF_##next_state, .last = CXLF_##last_state, \
        .wait = CXLF_##next_state, \
        .actions = CXLF_A_DEFINED | CXLF_A_DROP | (what) }

/* An answer where none is awaited from this host changes nothing. */
#define STALE_ANSWERS(state, relation) \
    CELL(state, relation, RSP_I, state, A(STALE)), \
    CELL(state, relation, RSP_S, state, A(STALE))

/* Requests that meet a transaction come again, whoever makes them. */
#define BUSY(state, relation) \
    CELL(state, relation, LOAD, state, A(BUSY)), \
    CELL(state, relation, OWN, state, A(BUSY)), \
    CELL(state, relation, RECALL, state, A(BUSY))

/*
 * A transient: whoever is no part of it; answers of those that it waits for,
 * the last of which leads to @done; and the end of its requester, after which
 * the others have what they still hold, @back.
 */
#define TRANSIENT(state, done, back, on_done) \
    BUSY(state, STRANGER), \
    CELL(state, STRANGER, EVICT, state, 0), \
    CELL(state, STRANGER, DEATH, state, 0), \
    STALE_ANSWERS(state, STRANGER), \
    BUSY(state, HOLDER), \
    DROP(state, HOLDER, EVICT, state, done, on_done), \
    DROP(state, HOLDER, RSP_I, state, done, on_done), \
    DROP(state, HOLDER, DEATH, state, done, on_done), \
    BUSY(state, REQUESTER), \
    CELL(state, REQUESTER, EVICT, back, 0), \
    CELL(state, REQUESTER, DEATH, back, 0), \
    STALE_ANSWERS(state, REQUESTER)

const struct cxlf_cell
cxlf_table[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS] = {
    /* I: nobody holds the unit, so every host is a stranger. */
    CELL(I, STRANGER, LOAD, S, A(READ_MISS) | A(ADD)),
    CELL(I, STRANGER, OWN, E, A(WRITE_MISS) | A(ONLY)),
    CELL(I, STRANGER, STORE, M, A(WRITE_MISS) | A(ONLY)),
    CELL(I, STRANGER, EVICT, I, 0),
    CELL(I, STRANGER, RECALL, I, 0),
    CELL(I, STRANGER, DEATH, I, 0),
    STALE_ANSWERS(I, STRANGER),

    CELL(S, STRANGER, LOAD, S, A(READ_MISS) | A(ADD)),
    WAIT(S, STRANGER, OWN, E, S_E, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(S, STRANGER, STORE, M, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(S, STRANGER, EVICT, S, 0),
    WAIT(S, STRANGER, RECALL, I, S_I, A(BISNP_INV)),
    CELL(S, STRANGER, DEATH, S, 0),
    STALE_ANSWERS(S, STRANGER),
    CELL(S, HOLDER, LOAD, S, A(READ_HIT)),
    WAIT(S, HOLDER, OWN, E, S_E, A(UPGRADE) | A(BISNP_INV) | A(ONLY)),
    CELL(S, HOLDER, STORE, M, A(UPGRADE) | A(BISNP_INV) | A(ONLY)),
    DROP(S, HOLDER, EVICT, S, I, 0),
    WAIT(S, HOLDER, RECALL, I, S_I, A(BISNP_INV)),
    DROP(S, HOLDER, RSP_I, S, I, 0),
    CELL(S, HOLDER, RSP_S, S, A(STALE)),
    DROP(S, HOLDER, DEATH, S, I, 0),

    WAIT(E, STRANGER, LOAD, S, E_S, A(READ_MISS) | A(BISNP_DATA) | A(ADD)),
    WAIT(E, STRANGER, OWN, E, E_E, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(E, STRANGER, STORE, M, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(E, STRANGER, EVICT, E, 0),
    WAIT(E, STRANGER, RECALL, I, E_I, A(BISNP_INV)),
    CELL(E, STRANGER, DEATH, E, 0),
    STALE_ANSWERS(E, STRANGER),
    CELL(E, HOLDER, LOAD, E, A(READ_HIT)),
    CELL(E, HOLDER, OWN, E, A(WRITE_HIT)),
    CELL(E, HOLDER, STORE, M, A(WRITE_HIT)),
    DROP(E, HOLDER, EVICT, I, I, 0),
    WAIT(E, HOLDER, RECALL, I, E_I, A(BISNP_INV)),
    DROP(E, HOLDER, RSP_I, I, I, 0),
    CELL(E, HOLDER, RSP_S, S, 0),
    DROP(E, HOLDER, DEATH, I, I, 0),

    CELL(M, STRANGER, LOAD, S,
         A(READ_MISS) | A(BISNP_DATA) | A(WRITEBACK) | A(ADD)),
    CELL(M, STRANGER, OWN, E,
         A(WRITE_MISS) | A(BISNP_INV) | A(WRITEBACK) | A(ONLY)),
    CELL(M, STRANGER, STORE, M,
         A(WRITE_MISS) | A(BISNP_INV) | A(WRITEBACK) | A(ONLY)),
    CELL(M, STRANGER, EVICT, M, 0),
    CELL(M, STRANGER, RECALL, I, A(BISNP_INV) | A(WRITEBACK)),
    CELL(M, STRANGER, DEATH, M, 0),
    CELL(M, HOLDER, LOAD, M, A(READ_HIT)),
    CELL(M, HOLDER, OWN, M, A(WRITE_HIT)),
    CELL(M, HOLDER, STORE, M, A(WRITE_HIT)),
    DROP(M, HOLDER, EVICT, I, I, A(WRITEBACK)),
    CELL(M, HOLDER, RECALL, I, A(BISNP_INV) | A(WRITEBACK)),
    DROP(M, HOLDER, DEATH, I, I, 0),

    TRANSIENT(S_E, E, S, A(GRANT)),
    CELL(S_E, HOLDER, RSP_S, S_E, A(STALE)),
    TRANSIENT(E_E, E, E, A(GRANT)),
    CELL(E_E, HOLDER, RSP_S, E_E, A(STALE)),
    TRANSIENT(E_S, S, E, A(GRANT)),
    CELL(E_S, HOLDER, RSP_S, S, A(GRANT)),
    TRANSIENT(S_I, I, S, 0),
    CELL(S_I, HOLDER, RSP_S, S_I, A(STALE)),
    TRANSIENT(E_I, I, E, 0),
    CELL(E_I, HOLDER, RSP_S, E_I, A(STALE)),
};

const char *const cxlf_state_name[CXLF_STATES] = {
    [CXLF_I] = "I", [CXLF_S] = "S", [CXLF_E] = "E", [CXLF_M] = "M",
    [CXLF_S_E] = "S_E", [CXLF_E_E] = "E_E", [CXLF_E_S] = "E_S",
    [CXLF_S_I] = "S_I", [CXLF_E_I] = "E_I",
};

const char *const cxlf_event_name[CXLF_EVENTS] = {
    [CXLF_LOAD] = "Load", [CXLF_OWN] = "Own", [CXLF_STORE] = "Store",
    [CXLF_EVICT] = "Evict", [CXLF_RECALL] = "Recall",
    [CXLF_RSP_I] = "RspI", [CXLF_RSP_S] = "RspS", [CXLF_DEATH] = "Death",
};

static bool is_one(uint64_t holders)
{
    return holders != 0 && !(holders & (holders - 1));
}

bool cxlf_line_valid(enum cxlf_kind kind, struct cxlf_line line)
{
    if (line.holders >> CXLF_MAX_HOSTS ||
        line.requester >= CXLF_MAX_HOSTS) {
        return false;
    }
    if (!cxlf_is_transient(line.state)) {
        if (line.requester != 0) {
            return false;
        }
    } else if (kind == CXLF_LINE_UNIT) {
        return false;
    }
    switch (line.state) {
    case CXLF_I:
        return line.holders == 0;
    case CXLF_S:
        return line.holders != 0;
    case CXLF_M:
        return kind == CXLF_LINE_UNIT && is_one(line.holders);
    case CXLF_E:
        return is_one(line.holders);
    case CXLF_S_E:
        /* Whoever wants to own does not wait for its own answer. */
        return line.holders != 0 &&
               !(line.holders & 1ull << line.requester);
    case CXLF_E_E:
    case CXLF_E_S:
        return is_one(line.holders) &&
               !(line.holders & 1ull << line.requester);
    case CXLF_S_I:
        return line.holders != 0;
    case CXLF_E_I:
        return is_one(line.holders);
    default:
        return false;
    }
}

static enum cxlf_relation relation_of(struct cxlf_line line, unsigned host)
{
    if (line.holders & 1ull << host) {
        return CXLF_HOLDER;
    }
    return cxlf_is_transient(line.state) && line.requester == host ?
           CXLF_REQUESTER : CXLF_STRANGER;
}

/* Holders that must answer before a transition is complete. */
static uint64_t awaited(enum cxlf_kind kind, const struct cxlf_cell *cell,
                        struct cxlf_line line, unsigned host,
                        enum cxlf_event event)
{
    if (kind == CXLF_LINE_UNIT ||
        !(cell->actions & (CXLF_A_BISNP_INV | CXLF_A_BISNP_DATA))) {
        return 0;
    }
    /* A recall takes the unit from whoever asked for it, too. */
    return event == CXLF_RECALL ? line.holders :
                                  line.holders & ~(1ull << host);
}

bool cxlf_step(enum cxlf_kind kind, struct cxlf_line line, unsigned host,
               enum cxlf_event event, struct cxlf_line *next,
               unsigned *actions)
{
    uint64_t bit = 1ull << host, wait;
    const struct cxlf_cell *cell;

    if (!cxlf_line_valid(kind, line) ||
        (kind == CXLF_PAGE_UNIT && event == CXLF_STORE)) {
        return false;
    }
    cell = &cxlf_table[line.state][relation_of(line, host)][event];
    if (!(cell->actions & CXLF_A_DEFINED)) {
        return false;
    }
    *actions = cell->actions;
    wait = awaited(kind, cell, line, host, event);
    if (wait) {
        *next = (struct cxlf_line) { cell->wait, host, wait };
        return true;
    }
    next->state = cell->next;
    next->holders = line.holders;
    if (cell->actions & CXLF_A_ADD) {
        next->holders |= bit;
    }
    if (cell->actions & CXLF_A_ONLY) {
        next->holders = bit;
    }
    if (event == CXLF_RECALL && next->state == CXLF_I) {
        next->holders = 0;
    }
    if (cell->actions & CXLF_A_DROP) {
        next->holders &= ~bit;
        if (next->holders == 0) {
            next->state = cell->last;
        }
    }
    if (cell->actions & CXLF_A_GRANT && !cxlf_is_transient(next->state)) {
        next->holders |= 1ull << line.requester;
    }
    next->requester = cxlf_is_transient(next->state) ? line.requester : 0;
    return true;
}
