/*
 * Exhaustive exploration of a small model: every state, breadth first
 *
 * A model is a successor function over states of a fixed size.  The explorer
 * keeps each state once, finds a shortest path to the first that breaks a
 * property, and afterwards whether a quiescent state can be reached from
 * each one.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CHECK_EXPLORE_H
#define TESTS_CHECK_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Explorer Explorer;

typedef struct Model {
    size_t size;                /* bytes of a state */
    const void *initial;
    /* Call explore_add() for each successor of @state. */
    void (*expand)(Explorer *e, const void *state);
    /* The name of a property that @state breaks, or NULL. */
    const char *(*check)(const void *state);
    bool (*quiescent)(const void *state);
    void (*print)(const void *state);
} Model;

typedef struct Result {
    uint64_t states, transitions;
    unsigned depth;
    const char *broken;         /* a property's name, or NULL */
    bool full;                  /* the limit of states was reached */
} Result;

/* explore_add: a successor, and the step that leads to it (for traces). */
void explore_add(Explorer *e, const void *state, const char *step);

/*
 * explore: all of @m, at most @limit states.  A broken property is reported
 * with its path on stderr.  Returns false if the memory is not to be had.
 */
bool explore(const Model *m, uint64_t limit, bool verbose, Result *result);

#endif /* TESTS_CHECK_EXPLORE_H */
