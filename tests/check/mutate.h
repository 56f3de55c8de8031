/*
 * Mutations: one field of one cell, in the shipping table itself
 *
 * For the checker and the simulator: a check that still passes with an error
 * in the table is not checking.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CHECK_MUTATE_H
#define TESTS_CHECK_MUTATE_H

#include "cxlf/protocol.h"

extern const char *const relation_names[CXLF_RELATIONS];

/*
 * mutate: corrupt a cell.  @text is "STATE,RELATION,EVENT,FIELD,VALUE", all
 * of them names: FIELD is next, last, wait or all, with a state as VALUE, or
 * "without", with an action that the cell has.
 * Returns false if it is not that.
 */
bool mutate(const char *text);

#endif /* TESTS_CHECK_MUTATE_H */
