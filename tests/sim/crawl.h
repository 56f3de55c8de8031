/*
 * A crawl of a fabric by the Fabric Manager's commands
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_SIM_CRAWL_H
#define TESTS_SIM_CRAWL_H

#include "cxlf/fm-graph.h"

typedef struct Crawl {
    unsigned pids, switches, devices;   /* that were found */
    unsigned commands;                  /* that were sent */
    bool seen[CXLF_PIDS];
} Crawl;

/*
 * crawl: from component 0 of @fm, a switch, find all that it can reach: each
 * switch by its PID, its PID targets and the partners of its links, and each
 * device.  Returns false, with a sentence in @why, when an answer is wrong.
 */
bool crawl(struct cxlf_fm *fm, Crawl *c, const char **why);

#endif /* TESTS_SIM_CRAWL_H */
