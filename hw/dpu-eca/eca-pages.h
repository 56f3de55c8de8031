/*
 * DPU Edge Coherence Agent: what this host knows of each page
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_PAGES_H
#define HW_DPU_ECA_PAGES_H

#include "qemu/thread.h"
#include "cxlf/log.h"

/* How vCPUs see a page: docs/page-ownership.md, "Views". */
typedef enum ECAView {
    ECA_VIEW_TRAPPED,
    ECA_VIEW_DIRECT,
} ECAView;

typedef struct ECAPage {
    /*
     * Written by the agent's thread; others read held under the page's lock
     * and view without one.
     */
    uint8_t held;           /* enum cxlf_held: what the front permits */
    uint8_t view;           /* ECAView */
    bool failed;            /* a private page lies over it */
    bool asked;             /* a request of this host is about it */
    bool waited;            /* and a fault came after that */
    bool exists;            /* in the file */
    bool unmapped;          /* not to be mapped with its block */
    bool sampled;           /* held, but its next access faults */
    uint8_t hold;           /* its minimum hold is ECA_HOLD_US << hold */
    uint8_t quiet;          /* its quiet time is ECA_QUIET_MS << quiet */
    uint32_t granted_us;    /* when it was mapped */
    uint32_t lost_us;       /* when another host took it */
    uint32_t losses;        /* since losses_ms */
    uint32_t losses_ms;
    /* Written under the BQL. */
    uint32_t calls;         /* trapped in a row without another host */
    /* Any thread, atomically. */
    uint32_t conflict_ms;   /* when another host was met last */
    bool wanted;            /* a want for it is in the agent's queue */
} ECAPage;

#define ECA_HOLD_US         10
#define ECA_HOLD_MAX        8       /* 2.6 ms */
#define ECA_QUIET_MS        10
#define ECA_QUIET_MAX       10      /* 10 s */

/* The pages of one device; HOT comes first. */
typedef struct ECAPages {
    uint64_t pages, hot_pages;
    ECAView hot_view;       /* of HOT pages at first */
    ECAPage **chunk;
    uint8_t *order;         /* of blocks that were used up, by chunk */
} ECAPages;

void eca_pages_init(ECAPages *t, uint64_t hot, uint64_t size,
                    ECAView hot_view);
void eca_pages_free(ECAPages *t);

/* eca_page: of the page at @dpa, which the device has.  Any thread. */
ECAPage *eca_page(ECAPages *t, uint64_t dpa);

/* eca_page_view: without making a record of an untouched page. */
ECAView eca_page_view(const ECAPages *t, uint64_t dpa);

/* eca_pages_order: where the chunk of a page keeps what it learned. */
uint8_t *eca_pages_order(ECAPages *t, uint64_t dpa);

/*
 * eca_pages_reset: nothing is held from @dpa on, @size bytes, and views are
 * as at first; nor is any page known to exist in the file, since the fabric's
 * owner may erase what no host has.  The agent's thread; vCPUs must flush.
 */
void eca_pages_reset(ECAPages *t, uint64_t dpa, uint64_t size);

/*
 * eca_pages_next: the first page from *@dpa on that has a record, or NULL.
 * The agent's thread.
 */
ECAPage *eca_pages_next(const ECAPages *t, uint64_t *dpa);

/*
 * eca_pages_next_owned: the next owned page from *@dpa on, at most @steps
 * records further; else where it has stopped, or the end.
 */
bool eca_pages_next_owned(const ECAPages *t, uint64_t *dpa, unsigned *steps);

/* eca_pages_next_failed: the next page from *@dpa on that has failed. */
bool eca_pages_next_failed(const ECAPages *t, uint64_t *dpa);

#endif /* HW_DPU_ECA_PAGES_H */
