/*
 * CXL fabric: which BULK is coherent by hardware, and which by software
 *
 * The owner's side of a change of the mode, and the reports of conflicts:
 * docs/software-coherence.md.  A change is waited for by a thread of its
 * own, because the main loop may itself wait for it, in an access to BULK.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "qapi/qapi-events-cxl-fabric.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "cxlf/copies.h"
#include "fabric-internal.h"
#include "trace.h"

/* How often the owner looks whether all hosts have acknowledged. */
#define LOOK_US     500

struct CXLFabricBulkChange {
    CXLFabric *fabric;
    QemuThread thread;
    QEMUBH *done;           /* main loop: it is in force */
    bool stop;
};

uint32_t cxl_fabric_bulk_mode(CXLFabric *f)
{
    return qatomic_load_acquire(&f->table->bulk_mode);
}

uint32_t cxl_fabric_first_bulk_mode(CXLFabric *f)
{
    uint32_t mode = 0;

    for (uint32_t i = 0; i < f->directory.topology.gfams; i++) {
        mode |= f->directory.topology.gfam[i].software << i;
    }
    return CXLF_BULK_WORD(0, mode, mode);
}

/* Under f->lock: a number's new host has no agent yet. */
void cxl_fabric_forget_copies(CXLFabric *f, int host)
{
    qatomic_set(&cxlf_copy_host(&f->directory, host)->agent,
                CXLF_COPY_NO_AGENT);
}

/* The change */

/* Whether a host may have copies or pages, and has not acknowledged. */
static bool is_awaited(CXLFabric *f, uint32_t host, uint32_t word)
{
    struct cxlf_copy_host *h = cxlf_copy_host(&f->directory, host);

    switch (qatomic_read(&f->table->host[host].state)) {
    case CXLF_HOST_JOINING:
    case CXLF_HOST_UP:
    case CXLF_HOST_FENCING:
        return qatomic_read(&h->agent) == CXLF_COPY_AGENT &&
               qatomic_load_acquire(&h->done) != word;
    default:
        return false;
    }
}

static bool all_done(CXLFabric *f, uint32_t word)
{
    for (uint32_t i = 0; i < f->directory.topology.hosts; i++) {
        if (is_awaited(f, i, word)) {
            return false;
        }
    }
    return true;
}

static void put_in_force(CXLFabric *f, uint32_t generation, uint32_t wanted,
                         uint32_t mode)
{
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        qatomic_set_mb(&f->table->bulk_mode,
                       CXLF_BULK_WORD(generation, wanted, mode));
    }
    trace_cxl_fabric_bulk_mode(cxl_fabric_id(f), generation, wanted, mode);
    cxl_fabric_ring_all(f);
}

static void *change_thread(void *opaque)
{
    CXLFabricBulkChange *c = opaque;
    CXLFabric *f = c->fabric;
    uint32_t word = cxl_fabric_bulk_mode(f);

    while (!all_done(f, word)) {
        if (qatomic_read(&c->stop)) {
            return NULL;
        }
        g_usleep(LOOK_US);
    }
    put_in_force(f, CXLF_BULK_GENERATION(word), CXLF_BULK_WANTED(word),
                 CXLF_BULK_WANTED(word));
    qemu_bh_schedule(c->done);
    return NULL;
}

CxlFabricBulkModeList *cxl_fabric_list_bulk_modes(CXLFabric *f)
{
    uint32_t mode = CXLF_BULK_MODE(cxl_fabric_bulk_mode(f));
    CxlFabricBulkModeList *list = NULL, **tail = &list;

    for (uint32_t i = 0; i < f->directory.topology.gfams; i++) {
        QAPI_LIST_APPEND(tail, mode >> i & 1 ? CXL_FABRIC_BULK_MODE_SOFTWARE :
                               CXL_FABRIC_BULK_MODE_COHERENT);
    }
    return list;
}

static void report(CXLFabric *f)
{
    CxlFabricBulkModeList *modes = cxl_fabric_list_bulk_modes(f);

    qapi_event_send_x_cxl_fabric_bulk_mode(cxl_fabric_id(f), modes);
    qapi_free_CxlFabricBulkModeList(modes);
}

void cxl_fabric_stop_bulk_change(CXLFabric *f)
{
    CXLFabricBulkChange *c = f->bulk_change;

    if (c) {
        qatomic_set(&c->stop, true);
        qemu_thread_join(&c->thread);
        qemu_bh_delete(c->done);
        g_free(c);
        f->bulk_change = NULL;
    }
}

static void on_done(void *opaque)
{
    CXLFabric *f = opaque;

    cxl_fabric_stop_bulk_change(f);
    report(f);
    cxl_fabric_requests_changed(f);
}

static int find_unable(CXLFabric *f)
{
    for (uint32_t i = 0; i < f->directory.topology.hosts; i++) {
        if (qatomic_read(&f->table->host[i].state) == CXLF_HOST_UP &&
            qatomic_read(&cxlf_copy_host(&f->directory, i)->agent) ==
            CXLF_COPY_UNABLE) {
            return i;
        }
    }
    return -1;
}

CXLFabricBulkBegun cxl_fabric_begin_bulk_change(CXLFabric *f, uint32_t which,
                                                bool software, Error **errp)
{
    uint32_t word = cxl_fabric_bulk_mode(f);
    uint32_t mode = CXLF_BULK_MODE(word);
    uint32_t wanted = software ? mode | which : mode & ~which;
    int unable = find_unable(f);
    CXLFabricBulkChange *c;

    if (f->bulk_change) {
        error_setg(errp, "a change of the mode is under way; wait for the "
                   "event X_CXL_FABRIC_BULK_MODE");
        return CXL_FABRIC_BULK_AGAIN;
    }
    if (wanted & ~mode && unable >= 0) {
        error_setg(errp, "host %d can make no copies of BULK: its dpu-eca "
                   "has ownership=off", unable);
        return CXL_FABRIC_BULK_UNABLE;
    }
    if (wanted == mode) {
        return CXL_FABRIC_BULK_IS_SO;
    }
    put_in_force(f, CXLF_BULK_GENERATION(word) + 1, wanted, mode);
    c = f->bulk_change = g_new0(CXLFabricBulkChange, 1);
    c->fabric = f;
    c->done = qemu_bh_new(on_done, f);
    qemu_thread_create(&c->thread, "cxl-bulk-mode", change_thread, c,
                       QEMU_THREAD_JOINABLE);
    return CXL_FABRIC_BULK_BEGUN;
}

void qmp_x_cxl_fabric_set_bulk_mode(const char *id, bool has_gfam,
                                    uint32_t gfam, CxlFabricBulkMode mode,
                                    Error **errp)
{
    CXLFabric *f = cxl_fabric_find(id, true, errp);
    uint32_t gfams, which;

    if (!f) {
        return;
    }
    gfams = f->directory.topology.gfams;
    if (has_gfam && gfam >= gfams) {
        error_setg(errp, "'gfam' must be 0 to %u", gfams - 1);
        return;
    }
    which = has_gfam ? 1u << gfam : (1u << gfams) - 1;
    if (cxl_fabric_begin_bulk_change(f, which,
                                     mode == CXL_FABRIC_BULK_MODE_SOFTWARE,
                                     errp) == CXL_FABRIC_BULK_IS_SO) {
        report(f);
    }
}

/* Conflicts */

QEMU_BUILD_BUG_ON((int)CXL_FABRIC_COPY_OPERATION_INVALIDATE !=
                  CXL_FABRIC_COPY_BY_INVALIDATE);
QEMU_BUILD_BUG_ON((int)CXL_FABRIC_CONFLICT_KIND_UNFLUSHED !=
                  CXL_FABRIC_CONFLICT_IS_UNFLUSHED);

void cxl_fabric_report_conflict(CXLFabric *f, const CXLFabricConflict *c)
{
    if (!cxl_fabric_may_emit(&f->conflicts)) {
        return;
    }
    qapi_event_send_x_cxl_fabric_conflict(
        cxl_fabric_id(f), c->host, c->other >= 0, MAX(c->other, 0), c->gfam,
        c->dpa, (CxlFabricCopyOperation)c->operation,
        (CxlFabricConflictKind)c->kind, f->conflicts.left_out + c->left_out);
    f->conflicts.left_out = 0;
}
