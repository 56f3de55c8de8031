/*
 * DPU Edge Coherence Agent: BULK that is coherent by software
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "cxlf/copies.h"
#include "eca-copies.h"
#include "eca-soft.h"
#include "trace.h"

#define DRAIN_PAGES     256     /* in one step */
#define RETRY_US        1000
#define QUEUE           256     /* conflicts that the main loop has not seen */

typedef struct Device {
    ECASoft *soft;
    uint32_t gfam;
    uint8_t *front, *back;      /* NULL: not attached */
    uint64_t hot, bulk;
    int fd;
    ECACopies *copies;          /* the front shows them */
    bool broken;                /* it could not be switched */
    ECACopiesIO io;
} Device;

struct ECASoft {
    CXLFabric *fabric;
    struct cxlf_directory *directory;
    uint32_t host;
    ECAUffd *uffd;
    const ECASoftIO *io;
    Device device[CXLF_MAX_GFAMS];
    uint32_t acknowledged;      /* a mode word */

    QEMUBH *report;             /* main loop */
    QemuMutex lock;             /* of what follows */
    CXLFabricConflict queue[QUEUE];
    unsigned queued;
    uint64_t left_out;
};

QEMU_BUILD_BUG_ON((int)ECA_CONFLICT_UNFLUSHED !=
                  (int)CXL_FABRIC_CONFLICT_IS_UNFLUSHED);
QEMU_BUILD_BUG_ON((int)ECA_COPY_INVALIDATE !=
                  (int)CXL_FABRIC_COPY_BY_INVALIDATE);

/* What copies do outside */

static void io_conflict(void *opaque, const ECAConflict *conflict)
{
    static const char *const kinds[] = {
        [ECA_CONFLICT_STALE] = "stale",
        [ECA_CONFLICT_WRITE_WRITE] = "write-write",
        [ECA_CONFLICT_LOST] = "lost",
        [ECA_CONFLICT_UNFLUSHED] = "unflushed",
        [ECA_CONFLICT_OVERLAP] = "overlap",
    };
    static const char *const operations[] = {
        [ECA_COPY_LOAD] = "load",
        [ECA_COPY_STORE] = "store",
        [ECA_COPY_FLUSH] = "flush",
        [ECA_COPY_INVALIDATE] = "invalidate",
        [ECA_COPY_AUDIT] = "audit",
    };
    Device *d = opaque;
    ECASoft *s = d->soft;
    uint64_t dpa = d->hot + conflict->offset;
    CXLFabricConflict found;

    trace_eca_conflict(conflict->host, conflict->other, d->gfam, dpa,
                       operations[conflict->operation],
                       kinds[conflict->kind]);
    if (conflict->kind == ECA_CONFLICT_OVERLAP) {
        return;
    }
    found = (CXLFabricConflict) {
        .kind = (CXLFabricConflictIs)conflict->kind,
        .operation = (CXLFabricCopyOperation)conflict->operation,
        .host = conflict->host, .other = conflict->other,
        .gfam = d->gfam, .dpa = dpa,
    };
    s->io->conflict(s->io->opaque, &found);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->queued == QUEUE) {
            s->left_out++;
        } else {
            found.left_out = s->left_out;
            s->queue[s->queued++] = found;
            s->left_out = 0;
        }
    }
    qemu_bh_schedule(s->report);
}

/* In the main loop. */
static void on_report(void *opaque)
{
    ECASoft *s = opaque;
    g_autofree CXLFabricConflict *queue = NULL;
    unsigned queued;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        queued = s->queued;
        queue = g_memdup2(s->queue, queued * sizeof(*queue));
        s->queued = 0;
    }
    for (unsigned i = 0; i < queued; i++) {
        cxl_fabric_report_conflict(s->fabric, &queue[i]);
    }
}

static void io_count(void *opaque, enum cxlf_counter counter,
                     uint64_t offset, uint64_t n)
{
    Device *d = opaque;

    cxlf_count(d->soft->directory, d->soft->host, d->gfam, d->hot + offset,
               counter, n);
}

static struct cxlf_copy_page *io_record(void *opaque, uint64_t offset)
{
    Device *d = opaque;

    return cxlf_copy_page(d->soft->directory, d->gfam, d->hot + offset);
}

static uint32_t *io_wants(void *opaque, unsigned host)
{
    Device *d = opaque;

    return &cxlf_copy_host(d->soft->directory,
                           MIN(host, d->soft->directory->topology.hosts - 1))
           ->wants;
}

static int64_t io_now_us(void *opaque)
{
    return get_clock() / 1000;
}

static int64_t io_thread_ns(void *opaque, uint32_t thread)
{
    return eca_uffd_thread_ns(thread);
}

static void io_changed(void *opaque, uint64_t offset, uint64_t size)
{
    Device *d = opaque;

    d->soft->io->changed(d->soft->io->opaque, d->gfam, d->hot + offset, size);
}

/* Modes */

static bool is_set(uint32_t mask, const Device *d)
{
    return mask >> d->gfam & 1;
}

bool eca_soft_is_on(ECASoft *s, uint32_t gfam)
{
    uint32_t word = cxl_fabric_bulk_mode(s->fabric);

    return (CXLF_BULK_MODE(word) | CXLF_BULK_WANTED(word)) >> gfam & 1;
}

static void show_copies(ECASoft *s, Device *d)
{
    Error *err = NULL;

    /* Nothing is held; this is for what a reset may have left. */
    s->io->give_up(s->io->opaque, d->gfam);
    eca_uffd_zap(d->front + d->hot, d->bulk);
    d->copies = eca_copies_new(s->uffd, d->front + d->hot, d->back + d->hot,
                               d->bulk, s->host,
                               &s->directory->leaf[0].copies->
                               gfam[d->gfam].flushes, &d->io, &err);
    if (!d->copies) {
        error_reportf_err(err, "dpu-eca: BULK of device %u stays out of "
                          "reach: ", d->gfam);
        d->broken = true;
    }
}

static void show_memory(ECASoft *s, Device *d)
{
    Error *err = NULL;

    while (!eca_copies_drain(d->copies, DRAIN_PAGES)) {
        continue;
    }
    eca_copies_free(d->copies);
    d->copies = NULL;
    if (!eca_uffd_show(s->uffd, d->front + d->hot, d->bulk, d->fd, d->hot,
                       &err)) {
        error_reportf_err(err, "dpu-eca: BULK of device %u stays out of "
                          "reach: ", d->gfam);
        d->broken = true;
    }
}

/* What the front shows is as the mode in force says. */
static void follow(ECASoft *s, Device *d, uint32_t word)
{
    bool software = is_set(CXLF_BULK_MODE(word), d);

    if (software == (d->copies != NULL) || d->broken) {
        return;
    }
    if (software) {
        show_copies(s, d);
    } else {
        show_memory(s, d);
    }
    trace_eca_bulk_mode(s->host, d->gfam, software);
    s->io->switched(s->io->opaque, d->gfam);
}

/* A step towards the mode that is wanted; whether this host is ready. */
static bool prepare(ECASoft *s, Device *d, uint32_t word)
{
    if (is_set(CXLF_BULK_MODE(word) ^ CXLF_BULK_WANTED(word), d)) {
        return d->copies ? eca_copies_drain(d->copies, DRAIN_PAGES) :
               s->io->give_up(s->io->opaque, d->gfam);
    }
    return true;
}

static int64_t prepare_all(ECASoft *s, uint32_t word)
{
    bool ready = true;

    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (qatomic_load_acquire(&s->device[i].front)) {
            ready &= prepare(s, &s->device[i], word);
        }
    }
    if (ready) {
        s->acknowledged = word;
        qatomic_store_release(&cxlf_copy_host(s->directory, s->host)->done,
                              word);
    }
    return ready ? -1 : RETRY_US;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

int64_t eca_soft_step(ECASoft *s)
{
    uint32_t word = cxl_fabric_bulk_mode(s->fabric);
    int64_t due = -1;

    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        Device *d = &s->device[i];

        if (qatomic_load_acquire(&d->front) && d->bulk) {
            follow(s, d, word);
            if (d->copies) {
                due = sooner(due, eca_copies_tick(d->copies));
            }
        }
    }
    if (CXLF_BULK_MODE(word) != CXLF_BULK_WANTED(word) &&
        s->acknowledged != word) {
        due = sooner(due, prepare_all(s, word));
    }
    return due;
}

/* Accesses */

ECASoftFault eca_soft_fault(ECASoft *s, uint32_t gfam, uint64_t dpa,
                            const ECAFault *fault)
{
    uint32_t word = cxl_fabric_bulk_mode(s->fabric);
    Device *d = &s->device[gfam];
    bool software = is_set(CXLF_BULK_MODE(word), d);
    int ret;

    if (d->broken && dpa >= d->hot) {
        return ECA_SOFT_FAILED;
    }
    if (dpa < d->hot ||
        (!software && !d->copies && !is_set(CXLF_BULK_WANTED(word), d))) {
        return ECA_SOFT_NOT;
    }
    if (software != is_set(CXLF_BULK_WANTED(word), d) ||
        software != (d->copies != NULL)) {
        return ECA_SOFT_WAITS;
    }
    ret = eca_copies_fault(d->copies, fault);
    if (ret < 0) {
        error_report_once("dpu-eca: cannot copy a page in: %s",
                          strerror(-ret));
    }
    return ret < 0 ? ECA_SOFT_FAILED : ECA_SOFT_SERVED;
}

void eca_soft_drop(ECASoft *s, uint32_t gfam, uint64_t dpa, uint64_t size)
{
    Device *d = &s->device[gfam];
    uint64_t end = dpa + size;

    dpa = MAX(dpa, d->hot);
    if (d->copies && dpa < end) {
        eca_copies_drop(d->copies, dpa - d->hot, end - dpa);
    }
}

void eca_soft_drop_all(ECASoft *s)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (s->device[i].copies) {
            eca_copies_drop_all(s->device[i].copies);
        }
    }
}

uint32_t eca_soft_command(ECASoft *s, uint32_t gfam, uint64_t dpa,
                          uint64_t length, bool flush, bool invalidate)
{
    Device *d = &s->device[gfam];

    trace_eca_copy_command(s->host, gfam, dpa, length, flush, invalidate);
    return d->copies ? eca_copies_command(d->copies, dpa - d->hot, length,
                                          flush, invalidate) : 0;
}

/* Life */

void eca_soft_attach(ECASoft *s, uint32_t gfam, void *front, void *back,
                     int fd)
{
    const struct cxlf_gfam *g = &s->directory->topology.gfam[gfam];
    Device *d = &s->device[gfam];

    d->hot = g->hot;
    d->bulk = g->bulk;
    d->back = back;
    d->fd = fd;
    qatomic_store_release(&d->front, front);
}

ECASoft *eca_soft_new(CXLFabric *fabric, uint32_t host, ECAUffd *uffd,
                      const ECASoftIO *io)
{
    ECASoft *s = g_new0(ECASoft, 1);

    s->fabric = fabric;
    s->directory = cxl_fabric_directory(fabric);
    s->host = host;
    s->uffd = uffd;
    s->io = io;
    s->report = qemu_bh_new(on_report, s);
    qemu_mutex_init(&s->lock);
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        Device *d = &s->device[i];

        d->soft = s;
        d->gfam = i;
        d->io = (ECACopiesIO) {
            .opaque = d, .conflict = io_conflict, .count = io_count,
            .record = io_record, .wants = io_wants, .changed = io_changed,
            .now_us = io_now_us, .thread_ns = io_thread_ns,
        };
    }
    /* Before it looks at the mode: whoever changes that does the reverse. */
    qatomic_set_mb(&cxlf_copy_host(s->directory, host)->agent,
                   CXLF_COPY_AGENT);
    return s;
}

void eca_soft_free(ECASoft *s)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (s->device[i].copies) {
            eca_copies_free(s->device[i].copies);
        }
    }
    qatomic_store_release(&cxlf_copy_host(s->directory, s->host)->agent,
                          CXLF_COPY_NO_AGENT);
    qemu_bh_delete(s->report);
    qemu_mutex_destroy(&s->lock);
    g_free(s);
}
