/*
 * Mutations: one field of one cell, in the shipping table itself
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "mutate.h"

const char *const relation_names[CXLF_RELATIONS] = {
    "stranger", "holder", "requester",
};

static int find_name(const char *const names[], int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (!strcmp(names[i], name)) {
            return i;
        }
    }
    return -1;
}

static bool writable_table(void)
{
    uintptr_t page = sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)cxlf_table & ~(page - 1);

    return !mprotect((void *)start,
                     (uintptr_t)cxlf_table + sizeof(cxlf_table) - start,
                     PROT_READ | PROT_WRITE);
}

static const struct {
    const char *name;
    uint32_t action;
} actions[] = {
    { "defined", CXLF_A_DEFINED },
#define ACTION(id, word, text) { word, CXLF_A_##id },
#include "protocol-table.h"
};

static uint32_t find_action(const char *name)
{
    for (unsigned i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        if (!strcmp(actions[i].name, name)) {
            return actions[i].action;
        }
    }
    return 0;
}

static bool change(struct cxlf_cell *cell, const char *field,
                   const char *value)
{
    int state = find_name(cxlf_state_name, CXLF_STATES, value);

    if (!strcmp(field, "without") && cell->actions & find_action(value)) {
        cell->actions &= ~find_action(value);
    } else if (!strcmp(field, "next") && state >= 0) {
        cell->next = state;
    } else if (!strcmp(field, "last") && state >= 0) {
        cell->last = state;
    } else if (!strcmp(field, "wait") && state >= 0) {
        cell->wait = state;
    } else if (!strcmp(field, "all") && state >= 0) {
        cell->next = cell->last = cell->wait = state;
    } else {
        return false;
    }
    return true;
}

/* "STATE,RELATION,EVENT,FIELD,VALUE", all of them names */
bool mutate(const char *text)
{
    char state[16], relation[16], event[16], field[16], value[16];
    int s, r, e;

    if (sscanf(text, "%15[^,],%15[^,],%15[^,],%15[^,],%15s", state, relation,
               event, field, value) != 5) {
        return false;
    }
    s = find_name(cxlf_state_name, CXLF_STATES, state);
    r = find_name(relation_names, CXLF_RELATIONS, relation);
    e = find_name(cxlf_event_name, CXLF_EVENTS, event);
    return s >= 0 && r >= 0 && e >= 0 && writable_table() &&
           change((struct cxlf_cell *)&cxlf_table[s][r][e], field, value);
}
