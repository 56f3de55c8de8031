/*
 * Protocol table
 *
 * Each initializer is one cell of the table in docs/protocol.md; cells that
 * are not here are undefined.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/abi.h"
#include "cxlf/protocol.h"

#define CELL(state, relation, event, next_state, what) \
    [CXLF_##state][CXLF_##relation][CXLF_##event] = \
        { CXLF_##next_state, CXLF_A_DEFINED | (what) }
#define A(action) CXLF_A_##action

const struct cxlf_cell
cxlf_table[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS] = {
    /* I: nobody holds the line, so every host is a stranger. */
    CELL(I, STRANGER, LOAD, S, A(READ_MISS) | A(ADD)),
    CELL(I, STRANGER, OWN, E, A(WRITE_MISS) | A(ONLY)),
    CELL(I, STRANGER, STORE, M, A(WRITE_MISS) | A(ONLY)),
    CELL(I, STRANGER, EVICT, I, 0),
    CELL(I, STRANGER, DEATH, I, 0),

    CELL(S, STRANGER, LOAD, S, A(READ_MISS) | A(ADD)),
    CELL(S, STRANGER, OWN, E, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(S, STRANGER, STORE, M, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(S, STRANGER, EVICT, S, 0),
    CELL(S, STRANGER, DEATH, S, 0),
    CELL(S, HOLDER, LOAD, S, A(READ_HIT)),
    CELL(S, HOLDER, OWN, E, A(UPGRADE) | A(BISNP_INV) | A(ONLY)),
    CELL(S, HOLDER, STORE, M, A(UPGRADE) | A(BISNP_INV) | A(ONLY)),
    CELL(S, HOLDER, EVICT, S, A(DROP)),
    CELL(S, HOLDER, DEATH, S, A(DROP)),

    CELL(E, STRANGER, LOAD, S, A(READ_MISS) | A(BISNP_DATA) | A(ADD)),
    CELL(E, STRANGER, OWN, E, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(E, STRANGER, STORE, M, A(WRITE_MISS) | A(BISNP_INV) | A(ONLY)),
    CELL(E, STRANGER, EVICT, E, 0),
    CELL(E, STRANGER, DEATH, E, 0),
    CELL(E, HOLDER, LOAD, E, A(READ_HIT)),
    CELL(E, HOLDER, OWN, E, A(WRITE_HIT)),
    CELL(E, HOLDER, STORE, M, A(WRITE_HIT)),
    CELL(E, HOLDER, EVICT, I, A(DROP)),
    CELL(E, HOLDER, DEATH, I, A(DROP)),

    CELL(M, STRANGER, LOAD, S,
         A(READ_MISS) | A(BISNP_DATA) | A(WRITEBACK) | A(ADD)),
    CELL(M, STRANGER, OWN, E,
         A(WRITE_MISS) | A(BISNP_INV) | A(WRITEBACK) | A(ONLY)),
    CELL(M, STRANGER, STORE, M,
         A(WRITE_MISS) | A(BISNP_INV) | A(WRITEBACK) | A(ONLY)),
    CELL(M, STRANGER, EVICT, M, 0),
    CELL(M, STRANGER, DEATH, M, 0),
    CELL(M, HOLDER, LOAD, M, A(READ_HIT)),
    CELL(M, HOLDER, OWN, M, A(WRITE_HIT)),
    CELL(M, HOLDER, STORE, M, A(WRITE_HIT)),
    CELL(M, HOLDER, EVICT, I, A(WRITEBACK) | A(DROP)),
    CELL(M, HOLDER, DEATH, I, A(DROP)),
};

const char *const cxlf_state_name[CXLF_STATES] = {
    [CXLF_I] = "I", [CXLF_S] = "S", [CXLF_E] = "E", [CXLF_M] = "M",
};

const char *const cxlf_event_name[CXLF_EVENTS] = {
    [CXLF_LOAD] = "Load", [CXLF_OWN] = "Own", [CXLF_STORE] = "Store",
    [CXLF_EVICT] = "Evict", [CXLF_DEATH] = "Death",
};

bool cxlf_line_valid(struct cxlf_line line)
{
    if (line.holders >> CXLF_MAX_HOSTS) {
        return false;
    }
    switch (line.state) {
    case CXLF_I:
        return line.holders == 0;
    case CXLF_S:
        return line.holders != 0;
    case CXLF_E:
    case CXLF_M:
        return line.holders != 0 && !(line.holders & (line.holders - 1));
    default:
        return false;
    }
}

bool cxlf_step(struct cxlf_line line, unsigned host, enum cxlf_event event,
               struct cxlf_line *next, unsigned *actions)
{
    uint64_t bit = 1ull << host;
    const struct cxlf_cell *cell;

    if (!cxlf_line_valid(line)) {
        return false;
    }
    cell = &cxlf_table[line.state][!!(line.holders & bit)][event];
    if (!(cell->actions & CXLF_A_DEFINED)) {
        return false;
    }
    next->state = cell->next;
    next->holders = line.holders;
    if (cell->actions & CXLF_A_ADD) {
        next->holders |= bit;
    }
    if (cell->actions & CXLF_A_ONLY) {
        next->holders = bit;
    }
    if (cell->actions & CXLF_A_DROP) {
        next->holders &= ~bit;
        if (next->state == CXLF_S && next->holders == 0) {
            next->state = CXLF_I;
        }
    }
    *actions = cell->actions;
    return true;
}
