/*
 * CXL fabric object: owns, joins or embeds a fabric
 *
 * What the devices of this process (the Edge Coherence Agent, the GFAM
 * endpoints) need from the fabric.  All functions are called with the BQL
 * held, unless they say otherwise.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXLF_FABRIC_H
#define HW_CXLF_FABRIC_H

#include "qom/object.h"
#include "qemu/notify.h"
#include "qemu/uuid.h"
#include "cxlf/directory.h"
#include "cxlf/log.h"
#include "cxlf/reserve.h"
#include "cxlf/wire.h"

#define TYPE_CXL_FABRIC "cxl-fabric"
OBJECT_DECLARE_SIMPLE_TYPE(CXLFabric, CXL_FABRIC)

/*
 * cxl_fabric_new_embedded: a fabric of one host, private to this process.
 * It becomes the child @name of @parent, which thereby owns it.
 */
CXLFabric *cxl_fabric_new_embedded(Object *parent, const char *name,
                                   Error **errp);

/*
 * cxl_fabric_attach: become the host of this process.
 * Returns its number, or -1 with @errp set.  One agent for each process.
 */
int cxl_fabric_attach(CXLFabric *f, Error **errp);

/* cxl_fabric_detach: give up all that the host holds, and its place. */
void cxl_fabric_detach(CXLFabric *f);

/* cxl_fabric_is_up: false once the owner is gone.  Any thread. */
bool cxl_fabric_is_up(CXLFabric *f);

/*
 * cxl_fabric_owner_fd: a member's connection to the owner, to be polled for
 * its end, which is then told by cxl_fabric_hung_up(); -1 without one.  The
 * main loop does the same, and reports it, but it may be waiting for memory
 * that only the owner's recovery or its end could give.  Any thread.
 */
int cxl_fabric_owner_fd(CXLFabric *f);
void cxl_fabric_hung_up(CXLFabric *f);

/* cxl_fabric_directory: valid while the object lives.  Any thread. */
struct cxlf_directory *cxl_fabric_directory(CXLFabric *f);

/*
 * cxl_fabric_log: the ownership log of the host of this process, or NULL
 * without one.  Valid from attach to detach.  One thread writes it.
 */
struct cxlf_log *cxl_fabric_log(CXLFabric *f);

const QemuUUID *cxl_fabric_uuid(CXLFabric *f);

/* cxl_fabric_epoch: how often holdings were recovered.  Any thread. */
uint32_t cxl_fabric_epoch(CXLFabric *f);

/*
 * cxl_fabric_host_life: 0 while no host has the number @host, else its
 * incarnation.  A host that died lives on here until it can write no more
 * and what it held was recovered.  Any thread.
 */
uint32_t cxl_fabric_host_life(CXLFabric *f, unsigned host);

/*
 * cxl_fabric_gfam_fd: the shared memory of GFAM device @gfam.
 * @gfam: below topology.gfams.  The descriptor stays the fabric's.
 */
int cxl_fabric_gfam_fd(CXLFabric *f, uint32_t gfam);

/*
 * cxl_fabric_doorbell_fd: the eventfd that wakes the agent of @host, this
 * process's own host included; it does not block.  -1 if there is no such
 * host number.  The descriptor stays the fabric's.  Any thread.
 *
 * The owner rings all of them after it has recovered what a dead host held.
 */
int cxl_fabric_doorbell_fd(CXLFabric *f, unsigned host);

/* What was poisoned because a host died. */
typedef struct CXLFabricPoison {
    uint32_t gfam;
    uint32_t host;          /* that died */
    uint64_t dpa, length;   /* bytes; some may have been cleared since */
} CXLFabricPoison;

/*
 * cxl_fabric_poison_next: the next record from *@cursor on (0 at first);
 * false at the end.  If records were overwritten since, *@lost is set and
 * the cursor moves on.  Any thread.
 */
bool cxl_fabric_poison_next(CXLFabric *f, uint64_t *cursor,
                            CXLFabricPoison *p, bool *lost);

/*
 * cxl_fabric_bulk_mode: the mode word of cxlf/copies.h.  Any thread.  The
 * owner rings every host's doorbell when it changes.
 */
uint32_t cxl_fabric_bulk_mode(CXLFabric *f);

/* A conflict of private copies: docs/software-coherence.md. */
typedef enum CXLFabricCopyOperation {
    CXL_FABRIC_COPY_BY_LOAD,
    CXL_FABRIC_COPY_BY_STORE,
    CXL_FABRIC_COPY_BY_FLUSH,
    CXL_FABRIC_COPY_BY_INVALIDATE,
} CXLFabricCopyOperation;

typedef enum CXLFabricConflictIs {
    CXL_FABRIC_CONFLICT_IS_STALE,
    CXL_FABRIC_CONFLICT_IS_WRITE_WRITE,
    CXL_FABRIC_CONFLICT_IS_LOST,
    CXL_FABRIC_CONFLICT_IS_UNFLUSHED,
} CXLFabricConflictIs;

typedef struct CXLFabricConflict {
    CXLFabricConflictIs kind;
    CXLFabricCopyOperation operation;
    uint32_t host;
    int other;              /* -1: none is known */
    uint32_t gfam;
    uint64_t dpa;           /* of the line */
    uint64_t left_out;      /* conflicts before it that are not reported */
} CXLFabricConflict;

/* cxl_fabric_report_conflict: emit the event, but not too many.  BQL. */
void cxl_fabric_report_conflict(CXLFabric *f, const CXLFabricConflict *c);

/*
 * cxl_fabric_precise_share: how many BULK pages a host may have tracked by
 * lines, if all may have equally many.  cxl_fabric_set_precise: what this
 * host has and may have, for others to be told.  Any thread.
 */
uint32_t cxl_fabric_precise_share(CXLFabric *f);
void cxl_fabric_set_precise(CXLFabric *f, uint32_t pages, uint32_t quota);

/*
 * cxl_fabric_reserve: ask the owner for a range of whole pages that this host
 * alone may use, or give one up; returns at once, and a new request ends one
 * that is not answered yet.  cxl_fabric_unreserve_all: all that it has, as a
 * reset does.
 *
 * cxl_fabric_reserve_result: of the last: enum cxlf_reserve_result, or what
 * follows it.
 */
enum {
    CXL_FABRIC_RESERVE_BUSY = CXLF_RESERVE_RESULTS,
    CXL_FABRIC_RESERVE_LOST,
};

void cxl_fabric_reserve(CXLFabric *f, bool reserve, uint32_t gfam,
                        uint64_t dpa, uint64_t length);
void cxl_fabric_unreserve_all(CXLFabric *f);
/* What it has of a range that it may not use any more; without an answer. */
void cxl_fabric_unreserve_in(CXLFabric *f, uint32_t gfam, uint64_t dpa,
                             uint64_t size);
int cxl_fabric_reserve_result(CXLFabric *f);

/* cxl_fabric_add_reserve_notifier: called when an answer has come. */
void cxl_fabric_add_reserve_notifier(CXLFabric *f, Notifier *n);

/*
 * cxl_fabric_request: ask the owner, or the manager, for what cxlf/wire.h
 * describes.  Each answer is told to the notifiers, whose data is a struct
 * cxlf_wire_answer, maybe before this returns.  @request's token is the
 * caller's to choose, another each time.  False if the owner is gone: nothing
 * is asked then.
 */
bool cxl_fabric_request(CXLFabric *f, const struct cxlf_wire_request *request);
void cxl_fabric_add_answer_notifier(CXLFabric *f, Notifier *n);

/*
 * cxl_fabric_cci: send a command, as this host's mailbox, to the switch that
 * the host is at.  The answer is told to the notifiers, whose data is a struct
 * CXLFabricCciAnswer, maybe before this returns.  @token is the caller's to
 * choose, not 0 and another each time; @length is at most CXLF_WIRE_CCI_MAX.
 * False if the owner is gone: no answer comes then.  Main loop, BQL.
 */
typedef struct CXLFabricCciAnswer {
    uint64_t token;
    uint16_t code;          /* enum cxlf_cci */
    uint32_t length;
    const void *payload;
} CXLFabricCciAnswer;

bool cxl_fabric_cci(CXLFabric *f, uint64_t token, uint16_t opcode,
                    const void *in, uint32_t length);
void cxl_fabric_add_cci_notifier(CXLFabric *f, Notifier *n);

/*
 * cxl_fabric_is_reserved: whether another host has reserved @dpa.
 * cxl_fabric_reserve_changes and _list: as those of cxlf/reserve.h.  Any
 * thread.
 */
bool cxl_fabric_is_reserved(CXLFabric *f, uint32_t gfam, uint64_t dpa);
uint64_t cxl_fabric_reserve_changes(CXLFabric *f);
unsigned cxl_fabric_reserve_list(CXLFabric *f,
                                 struct cxlf_reservation *list);

/*
 * cxl_fabric_gfam_take: at most one endpoint of this process may be the view
 * of a GFAM device, or of a logical device @ld of one (0 for a device that
 * has none).  False if it is taken.
 */
bool cxl_fabric_gfam_take(CXLFabric *f, uint32_t gfam, uint32_t ld);
void cxl_fabric_gfam_release(CXLFabric *f, uint32_t gfam, uint32_t ld);

/*
 * Logical devices (docs/fabric-manager.md).  cxl_fabric_lds: how many a
 * device's memory is shared out to; 0: it is none that is.
 */
uint32_t cxl_fabric_lds(CXLFabric *f, uint32_t gfam);
bool cxl_fabric_is_mld(CXLFabric *f, uint32_t gfam);

/* What this process's host may use of a device: one contiguous piece. */
typedef struct CXLFabricGrant {
    uint64_t start, size;       /* DPA of the device, bytes */
    uint32_t vppb;              /* of the host, where it is to be shown */
    bool granted;
} CXLFabricGrant;

/*
 * cxl_fabric_ld: the grant of @ld, below cxl_fabric_lds(); NULL: there is
 * none.  Main loop, BQL.
 *
 * cxl_fabric_ld_gone: nothing in this host can reach the LD any more.  Its
 * endpoint says so at the end of its exit.
 */
const CXLFabricGrant *cxl_fabric_ld(CXLFabric *f, uint32_t gfam, uint32_t ld);
void cxl_fabric_ld_gone(CXLFabric *f, uint32_t gfam, uint32_t ld);

/*
 * Dynamic capacity (docs/fabric-manager.md, "Extents").  cxl_fabric_dynamic:
 * bytes of it at the end of a device's BULK; 0: it has none.
 *
 * cxl_fabric_listen_extents: @function hears what the owner says of extents of
 * @gfam, which lie in its dynamic capacity; NULL: nobody does any more, and
 * what is offered is refused.  cxl_fabric_answer_extent: what became of one,
 * which is then the owner's to take up with others.  Main loop, BQL.
 */
typedef void CXLFabricExtentFunction(void *opaque,
                                     const struct cxlf_wire_extent *w);

uint64_t cxl_fabric_dynamic(CXLFabric *f, uint32_t gfam);
void cxl_fabric_listen_extents(CXLFabric *f, uint32_t gfam,
                               CXLFabricExtentFunction *function,
                               void *opaque);
void cxl_fabric_answer_extent(CXLFabric *f, uint64_t token,
                              enum cxlf_extent_answer what);

/* cxl_fabric_add_lost_notifier: called once, when the owner is gone. */
void cxl_fabric_add_lost_notifier(CXLFabric *f, Notifier *n);

/*
 * cxl_fabric_visit_counters: CxlFabricCounters of @host, or of all if it is
 * -1; all 0 if @f is NULL or not complete.  For getters of properties.  BQL.
 */
void cxl_fabric_visit_counters(CXLFabric *f, int host, Visitor *v,
                               const char *name, Error **errp);

#endif /* HW_CXLF_FABRIC_H */
