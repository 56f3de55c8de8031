/*
 * Exhaustive exploration of a small model: every state, breadth first
 *
 * A model is a successor function over states of a fixed size.  The explorer
 * keeps each state once, finds a shortest path to the first that breaks a
 * property, and afterwards whether a quiescent state can be reached from
 * each one.
 *
 * A state is a head and some parts of one size, which follow it.  Parts are
 * few and come again and again, so a state is kept as numbers of its head
 * and parts, and each of these once.  Nothing is hashed away: states are the
 * same only if all their bytes are.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CHECK_EXPLORE_H
#define TESTS_CHECK_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPLORE_MAX_PARTS = 4 };

typedef struct Explorer Explorer;

typedef struct Model {
    size_t head, part;          /* bytes */
    unsigned parts;
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
    uint64_t bytes;             /* of memory that was used */
    unsigned depth;
    const char *broken;         /* a property's name, or NULL */
    bool full;                  /* the limit of states was reached */
} Result;

/* explore_add: a successor, and the step that leads to it: a literal. */
void explore_add(Explorer *e, const void *state, const char *step);

/*
 * explore: all of @m, at most @limit states.  A broken property is reported
 * with its path on stderr.
 */
void explore(const Model *m, uint64_t limit, bool verbose, Result *result);

#endif /* TESTS_CHECK_EXPLORE_H */
