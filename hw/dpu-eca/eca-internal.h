/*
 * DPU Edge Coherence Agent: what its own files share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_INTERNAL_H
#define HW_DPU_ECA_INTERNAL_H

#include "hw/pci/pci_device.h"
#include "cxlf/graph.h"
#include "hw/cxlf/eca.h"
#include "hw/cxlf/fabric-lane.h"
#include "eca-pager.h"

/* Loads of a locked instruction that wait for their stores, of one vCPU. */
typedef struct ECALocked {
    uint32_t gfam;
    unsigned loads;             /* pieces loaded; more than 2 is misaligned */
    unsigned stores;            /* pieces stored so far */
    uint64_t dpa;               /* of the first piece */
    uint64_t end;               /* behind the last piece */
    unsigned size[2];
    uint64_t value[2];
    uint64_t first_store;       /* of a 16-byte operation */
} ECALocked;

/* A page that a trapped access keeps from snoops until it is made. */
typedef struct ECAHeld {
    uint32_t gfam;
    uint64_t dpa;
} ECAHeld;

/* The registers of commands. */
typedef struct ECACopyCommand {
    uint64_t dpa, length;
    uint32_t gfam, command, status, lines;
} ECACopyCommand;

/* How far a request to the fabric's owner or manager has come. */
typedef enum ECAAskState {
    ECA_ASK_FREE,
    ECA_ASK_SENT,
    ECA_ASK_OPEN,               /* the manager has it */
    ECA_ASK_ENDED,              /* the answer is not told yet */
} ECAAskState;

typedef struct ECAAsk {
    ECAAskState state;
    void *user;                 /* whose command has not ended, or NULL */
    uint64_t token;             /* finds it */
    uint32_t tag, kind;         /* kind: 0 for a change of the mode */
    uint32_t status;            /* for the user */
    struct cxlf_wire_answer answer;
} ECAAsk;

/* Memory of a device that this host may use: docs/fabric-manager.md. */
typedef struct ECAPiece {
    uint64_t dpa, size;         /* size 0: none */
} ECAPiece;

typedef struct ECAHot ECAHot;
typedef struct ECAShown ECAShown;
typedef struct ECAQueue ECAQueue;
typedef struct ECAEvents ECAEvents;

struct ECAState {
    PCIDevice parent_obj;

    CXLFabric *fabric;          /* property, or embedded */
    MemoryRegion bar;

    /* Under the BQL. */
    uint32_t host;
    /* Set once, with the first endpoint of a device. */
    uint8_t *memory[CXLF_MAX_GFAMS];    /* the back */
    uint8_t *front[CXLF_MAX_GFAMS];     /* NULL: no page ownership */
    ECAShown *shown[CXLF_MAX_GFAMS];    /* the same; eca-view.c */
    /*
     * By LD; 0 alone for a device that has none.  Written by the agent's
     * thread, if there is one, while the BQL is held: whoever is in that
     * thread, or has the BQL, may read.
     */
    ECAPiece piece[CXLF_MAX_GFAMS][CXLF_MAX_LDS];
    /* Extents of dynamic capacity, in slots below extents[]; the same. */
    ECAPiece extent[CXLF_MAX_GFAMS][ECA_EXTENTS];
    unsigned extents[CXLF_MAX_GFAMS];
    CXLFabricLane *lane;        /* of trapped accesses */
    ECALocked *locked;          /* one for each vCPU */
    unsigned vcpus;
    ECACopyCommand copy;        /* registers */
    ECARange copy_range;        /* their command */
    ECAQueue *queues;
    ECAEvents *events;          /* has a lock of its own */
    uint32_t event_wish;        /* the mask while the ring is on */
    bool takes_messages;
    void *reserve_user;         /* whom the owner will answer */
    ECAAsk *asks;               /* eca-manager.c */
    uint64_t last_token;
    ECAPager *pager;            /* NULL: no page ownership */
    ECAHeld held[2];            /* pages kept during a trapped access */
    unsigned holds;
    NotifierList recovery_notifiers;
    Notifier lost_notifier;
    Notifier reserve_notifier;
    Notifier answer_notifier;
    VMChangeStateEntry *run_state;
    Notifier ready_notifier;
    ECAHot *hot;                /* has locks of its own */

    /* Any thread, atomically: a bit for each device that counts. */
    uint32_t hot_on;
    /* Any thread, atomically: a bit for each kind that the guest wants. */
    uint32_t event_mask;

    /* Properties */
    bool ownership;
    char *hot_track;
    uint32_t grain_min, grain_max;
    uint32_t hot_map_after, promote_after, precise_quota;
    uint32_t hot_sample;
};

typedef enum ECAMoved {
    ECA_MOVED,
    ECA_MOVE_LATER,         /* another host has it; the agent asks for it */
    ECA_MOVE_FAILED,        /* it cannot be had */
} ECAMoved;

/*
 * eca_move: copy whole lines within one page between a buffer and a device's
 * memory, as the directory permits.  *@size: bytes; what was moved in the
 * end.  BQL; never waits.
 */
ECAMoved eca_move(ECAState *s, uint32_t gfam, uint64_t dpa, void *buffer,
                  unsigned *size, bool write);

/* eca-lds.c.  All four are for the agent's thread, or with the BQL. */

/* eca_has: whether one piece that this host may use has the whole range. */
bool eca_has(const ECAState *s, uint32_t gfam, uint64_t dpa, uint64_t length);
/*
 * eca_has_or_tell: the same, for an access; the guest is told by event 12 of
 * one to dynamic capacity that it has not accepted.
 */
bool eca_has_or_tell(ECAState *s, uint32_t gfam, uint64_t dpa,
                     uint64_t length);
/* eca_has_some: whether it may use any of a device. */
bool eca_has_some(const ECAState *s, uint32_t gfam);
/* eca_ld_at: which LD has a page, 0: an extent; -1: none of this host's. */
int eca_ld_at(const ECAState *s, uint32_t gfam, uint64_t dpa);
/* eca_lds_unmap: the agent's end; nothing is attached. */
void eca_lds_unmap(ECAState *s);

/*
 * eca-view.c.  eca_view_init: show a device's front.  eca_view_exit: at the
 * agent's exit; eca_view_free: when nothing refers to the agent any more.
 */
void eca_view_init(ECAState *s, uint32_t gfam, uint8_t *front);
void eca_view_exit(ECAState *s);
void eca_view_free(ECAState *s);

/* eca_is_by_page: HOT is tracked by pages, too; nothing is trapped. */
bool eca_is_by_page(ECAState *s);

/* dpu-eca.c */
/* eca_on_recovery: in the main loop, after a dead host was recovered. */
void eca_on_recovery(void *opaque);

#endif /* HW_DPU_ECA_INTERNAL_H */
