/*
 * Agent: requests for pages, and answers to snoops, in small steps
 *
 * Each call of a step function does at most one thing that others can see,
 * so a checker can put anything between two of them, and an agent can stop
 * at any of them.  All steps of a host are made by one thread.  A step never
 * waits; it says when there is something to wait for.
 *
 * Two pairs of steps belong together, as far as this host is concerned:
 * after CXLF_INSTALL is reached it handles no snoop before it has mapped;
 * and between CXLF_ANSWER and the answer it makes no request step for that
 * page.  (Without the second rule, when the snoop's requester dies between,
 * the host could map the page anew and then answer it away.)
 *
 * docs/protocol-messages.md, "Who executes the home".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_AGENT_H
#define CXLF_AGENT_H

#include "cxlf/directory.h"
#include "cxlf/log.h"
#include "cxlf/mailbox.h"

/* What an agent does outside of shared memory; given by its caller. */
struct cxlf_agent_io {
    void *opaque;
    /* Map a page, or change its mapping. */
    void (*map)(void *opaque, uint32_t gfam, uint64_t dpa, bool writable);
    /*
     * Take it away: no access can reach it any more when the next step for
     * this page begins, which removes it from the log.
     */
    void (*zap)(void *opaque, uint32_t gfam, uint64_t dpa);
    /* Make it read-only, in the same sense. */
    void (*protect)(void *opaque, uint32_t gfam, uint64_t dpa);
    /* Another host has a message. */
    void (*wake)(void *opaque, unsigned host);
};

struct cxlf_agent {
    struct cxlf_directory *directory;
    const struct cxlf_agent_io *io;
    unsigned host;
    struct cxlf_log *log;   /* of what it has mapped; NULL: none is kept */
    /*
     * Answers post no completions: the caller does, one for a block of
     * pages (cxlf_snoop.ended).
     */
    bool quiet;
};

enum cxlf_progress {
    CXLF_MORE,      /* call again at once */
    CXLF_WAIT,      /* call again after a message, or a time of patience */
    CXLF_DONE,
    CXLF_FAILED,    /* no such page, or a corrupted entry */
    CXLF_LOST,      /* the page is poisoned */
    CXLF_LINES,     /* the page is tracked by lines: access those */
    CXLF_FULL,      /* the log is full: evict a page, then ask again */
};

enum cxlf_request_phase {
    CXLF_ASK,       /* raise the event */
    CXLF_POST,      /* post the snoops */
    CXLF_AWAIT,     /* until the entry grants */
    CXLF_INSTALL,   /* map; no snoop may be handled before this is done */
    CXLF_ZAP,       /* eviction: take the mapping away, then raise Evict */
    CXLF_QUIESCE,   /* demotion: until nobody is inside any more */
    CXLF_TAKE,      /* demotion: take each line, then raise Demoted */
};

/*
 * What a host wants of a page: CXLF_LOAD or CXLF_OWN, to map it; CXLF_EVICT,
 * to give it up (phase CXLF_ZAP first); CXLF_RECALL, that nobody has it, by
 * page or by lines (demotion); CXLF_PROMOTE, that it is tracked by lines.
 */
struct cxlf_request {
    uint32_t gfam;
    uint64_t dpa;
    uint8_t event;          /* enum cxlf_event, as above */
    uint8_t phase;          /* enum cxlf_request_phase; begins as CXLF_ASK */
    uint8_t recall;         /* a promotion's recall is under way */
    uint8_t line;           /* CXLF_TAKE: the next line to take */
    uint32_t incarnation;   /* of the leaf, in which it asked */
    uint64_t to_post;       /* copyset: whose snoop is not posted yet */
    uint64_t epoch;         /* CXLF_QUIESCE: when lines were given up */
};

/* cxlf_request_step: one step towards a page that this host wants. */
enum cxlf_progress cxlf_request_step(const struct cxlf_agent *agent,
                                     struct cxlf_request *request);

/*
 * cxlf_request_again: patience is over; the next step posts the snoops of a
 * transaction that still waits once more, since messages can be lost.
 */
void cxlf_request_again(const struct cxlf_agent *agent,
                        struct cxlf_request *request);

enum cxlf_snoop_phase {
    CXLF_LOOK,      /* at the entry, and take the mapping away */
    CXLF_ANSWER,    /* raise the answer */
};

struct cxlf_snoop {
    uint32_t gfam;
    uint64_t dpa;
    uint8_t phase;          /* enum cxlf_snoop_phase; begins as CXLF_LOOK */
    uint8_t event;          /* CXLF_RSP_I or CXLF_RSP_S */
    uint16_t ended;         /* whose transaction it ended, plus 1; or 0 */
};

/* cxlf_snoop_step: one step of handling a BISnp message. */
enum cxlf_progress cxlf_snoop_step(const struct cxlf_agent *agent,
                                   struct cxlf_snoop *snoop);

#endif /* CXLF_AGENT_H */
