/*
 * DPU Edge Coherence Agent: pages that this host has mapped
 *
 * The agent's one thread, which takes faults of the front, snoops of other
 * hosts and wants of this one, and makes all steps of the protocol for them:
 * docs/page-ownership.md.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_PAGER_H
#define HW_DPU_ECA_PAGER_H

#include "hw/cxlf/eca.h"
#include "exec/hwaddr.h"
#include "eca-pages.h"
#include "eca-range.h"
#include "eca-soft.h"

typedef struct ECAPager ECAPager;
typedef struct ECAPiece ECAPiece;

typedef struct ECAPagerOptions {
    unsigned order_min, order_max;  /* of blocks: 2^order pages */
    bool by_page;                   /* HOT, too, is tracked by pages only */
    uint32_t hot_map_after;         /* trapped accesses; 0: never */
    uint32_t promote_after;         /* losses in 100 ms; 0: never */
    uint32_t precise_quota;         /* pages */
} ECAPagerOptions;

/* eca_pager_new: start the agent's thread.  BQL. */
ECAPager *eca_pager_new(ECAState *s, const ECAPagerOptions *options,
                        Error **errp);

/* eca_pager_free: give up all pages, and end the thread.  BQL. */
void eca_pager_free(ECAPager *p);

/*
 * eca_pager_attach: make the front of a device's memory.  @back: as this
 * process has all of it mapped, from descriptor @fd.  Returns the front,
 * which stays until eca_pager_free(); or NULL.  BQL.
 */
void *eca_pager_attach(ECAPager *p, uint32_t gfam, void *back, int fd,
                       Error **errp);

/*
 * eca_pager_front_ram: where the front is among QEMU's RAM, so that
 * translations of code in it can be dropped.  BQL.
 */
void eca_pager_front_ram(ECAPager *p, uint32_t gfam, ram_addr_t ram);

/*
 * eca_pager_set_piece: what this host may use of a device: *@at, of the agent's
 * table, becomes @piece.  What it could use by it and no longer can is given
 * up, and out of reach.  BQL.
 */
void eca_pager_set_piece(ECAPager *p, uint32_t gfam, ECAPiece *at,
                         const ECAPiece *piece);

/* eca_pager_run: have the agent's thread do something, and wait.  BQL. */
void eca_pager_run(ECAPager *p, void (*work)(void *opaque), void *opaque);

/* eca_pager_kick: have it look for work.  Any thread. */
void eca_pager_kick(ECAPager *p);

/* eca_pager_release: give up all pages, as a reset does.  BQL. */
void eca_pager_release(ECAPager *p);

/*
 * eca_pager_lost: the fabric is gone; what waits for it fails.  Any thread.
 */
void eca_pager_lost(ECAPager *p);

/* eca_pager_soft: BULK that is coherent by software.  Any thread. */
ECASoft *eca_pager_soft(ECAPager *p);

/* eca_pager_view: how vCPUs see the page now.  Any thread. */
ECAView eca_pager_view(ECAPager *p, uint32_t gfam, uint64_t dpa);

/* What a trapped access wants of its page. */
typedef enum ECAWantKind {
    ECA_WANT_SHARED,        /* hold it, to read */
    ECA_WANT_OWNED,         /* hold it, to write */
    ECA_WANT_LINES,         /* track it by lines */
    ECA_WANT_MAPPED,        /* own and show it directly: nobody else uses it */
    ECA_WANT_DIRECT,        /* show it directly, whoever holds it */
    ECA_WANT_RESTORED,      /* take a private page away again */
    ECA_WANT_CHECKED,       /* its vCPU has got a machine check */
} ECAWantKind;

/* eca_pager_want: ask for it; returns at once.  Any thread. */
void eca_pager_want(ECAPager *p, uint32_t gfam, uint64_t dpa,
                    ECAWantKind kind);

/*
 * eca_pager_wait: until some request of this host has ended, but at most a
 * millisecond.  BQL or not.
 */
void eca_pager_wait(ECAPager *p);

/*
 * eca_pager_hold: whether this host holds the page, and keeps it until
 * eca_pager_unhold(): what a snoop waits for, so be brief.  BQL.
 */
bool eca_pager_hold(ECAPager *p, uint32_t gfam, uint64_t dpa, bool write);
void eca_pager_unhold(ECAPager *p, uint32_t gfam, uint64_t dpa);

/*
 * eca_pager_note: a trapped access by line was granted; @alone says that it
 * met no other host.  A page that one host uses is mapped in time.  BQL.
 */
void eca_pager_note(ECAPager *p, uint32_t gfam, uint64_t dpa, bool alone);

/*
 * eca_pager_sample: have one owned page in 2^@sampling of what the CHMU
 * watches fault at its next access, at most @rate pages a second.  BQL.
 */
void eca_pager_sample(ECAPager *p, uint32_t gfam, unsigned sampling,
                      uint32_t rate);

/* eca_pager_may_promote: whether a BULK page may be tracked by lines.  BQL. */
bool eca_pager_may_promote(ECAPager *p, uint32_t gfam, uint64_t dpa);

/*
 * eca_pager_submit: have a range begun soon; returns at once.  It stays the
 * caller's, who must not touch it until its status is not ECA_COPY_BUSY.
 * eca_pager_start: the same, but returns when what needs no other host has
 * been done.  BQL.
 */
void eca_pager_submit(ECAPager *p, ECARange *r);
void eca_pager_start(ECAPager *p, ECARange *r);

/*
 * eca_pager_abort: end these ranges that are under way, with the status
 * ECA_COPY_ABORTED.  BQL.
 */
void eca_pager_abort(ECAPager *p, ECARange *ranges, unsigned n);

/* How this host holds a page. */
typedef enum ECAHolding {
    ECA_HOLDS_NOT,
    ECA_HOLDS_SHARED,
    ECA_HOLDS_OWNED,
    ECA_HOLDS_LINES,        /* it is tracked by lines */
} ECAHolding;

/* eca_pager_holding: how the page at @dpa is held now.  Any thread. */
ECAHolding eca_pager_holding(ECAPager *p, uint32_t gfam, uint64_t dpa);

#endif /* HW_DPU_ECA_PAGER_H */
