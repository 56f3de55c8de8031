/*
 * DPU Edge Coherence Agent: pages that this host has mapped
 *
 * Everything here but the functions that eca-pager.h names is done by the
 * agent's thread.  It takes no BQL, touches no guest memory that can fault,
 * and waits for nobody: a request that has to wait is left in a list.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "system/kvm.h"
#include "eca-messages.h"
#include "eca-pager-internal.h"
#include "eca-park.h"

static void do_work(ECAPager *p)
{
    Work *w;

    WITH_QEMU_LOCK_GUARD(&p->lock) {
        w = p->work;
        p->work = NULL;
    }
    if (w) {
        w->work(w->opaque);
        qemu_event_set(&w->done);
    }
}

/* Commands of the guest */

/* One that was submitted and has not begun; or NULL. */
static ECARange *take_submitted(ECAPager *p)
{
    QEMU_LOCK_GUARD(&p->lock);
    ECARange *r = QTAILQ_FIRST(&p->submitted);

    if (r) {
        QTAILQ_REMOVE(&p->submitted, r, next);
    }
    return r;
}

static void step_ranges(ECAPager *p)
{
    ECARange *r, *next;

    while ((r = take_submitted(p))) {
        eca_range_start(r, p);
    }
    QTAILQ_FOREACH_SAFE(r, &p->ranges, next, next) {
        eca_range_step(r, p);
    }
}

static void end_ranges(ECAPager *p, uint32_t status)
{
    ECARange *r;

    while ((r = take_submitted(p))) {
        r->active = true;
        QTAILQ_INSERT_TAIL(&p->ranges, r, next);
    }
    while ((r = QTAILQ_FIRST(&p->ranges))) {
        eca_range_end(r, p, status);
    }
}

static int64_t time_to_wait(ECAPager *p)
{
    int64_t now = pager_now_us(), until = INT64_MAX;
    Request *r;
    Snoop *s;

    QTAILQ_FOREACH(r, &p->requests, next) {
        until = MIN(until, r->ready ? now : r->look_us);
    }
    QTAILQ_FOREACH(s, &p->snoops, next) {
        until = MIN(until, s->due_us);
    }
    if (!QTAILQ_EMPTY(&p->ranges) || p->giving_up) {
        until = MIN(until, now + PATIENCE_US);
    }
    if (p->sleepers->len || p->failing->len) {
        until = MIN(until, now + PARK_US);
    }
    if (p->soft_us >= 0) {
        until = MIN(until, now + p->soft_us);
    }
    return until == INT64_MAX ? -1 : MAX(until - now, 0);
}

static void clear_doorbell(int fd)
{
    uint64_t n;

    (void)!read(fd, &n, sizeof(n));
}

/* Returns whether there are faults. */
static bool wait_for_work(ECAPager *p)
{
    int doorbell = cxl_fabric_doorbell_fd(p->fabric, p->host);
    struct pollfd fds[] = {
        { .fd = p->uffd.fd, .events = POLLIN },
        { .fd = doorbell, .events = POLLIN },
        { .fd = event_notifier_get_fd(&p->kick), .events = POLLIN },
        /* The main loop, which watches it too, may wait for a page. */
        { .fd = qatomic_read(&p->lost) ? -1 : cxl_fabric_owner_fd(p->fabric),
          .events = POLLRDHUP },
    };
    int64_t us = time_to_wait(p);
    struct timespec limit = {
        .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000,
    };

    if (ppoll(fds, ARRAY_SIZE(fds), us < 0 ? NULL : &limit, NULL) <= 0) {
        return false;
    }
    if (fds[1].revents) {
        clear_doorbell(doorbell);
    }
    if (fds[2].revents) {
        event_notifier_test_and_clear(&p->kick);
    }
    if (fds[3].revents & (POLLRDHUP | POLLHUP | POLLERR)) {
        cxl_fabric_hung_up(p->fabric);
        qatomic_set(&p->lost, true);
    }
    return fds[0].revents;
}

/* A host has died: what was waited for may be over. */
static void watch_recoveries(ECAPager *p)
{
    uint32_t epoch = cxl_fabric_epoch(p->fabric);
    Request *r;

    if (epoch != p->epoch) {
        p->epoch = epoch;
        QTAILQ_FOREACH(r, &p->requests, next) {
            r->ready = true;
        }
        aio_bh_schedule_oneshot(qemu_get_aio_context(), eca_on_recovery,
                                p->eca);
    }
}

static void *pager_thread(void *opaque)
{
    ECAPager *p = opaque;
    ECAFault fault;

    rcu_register_thread();
    while (!qatomic_read(&p->stop)) {
        bool faults = wait_for_work(p);

        p->now_us = pager_now_us();
        do_work(p);
        while (faults && eca_uffd_next(&p->uffd, &fault)) {
            pager_take_fault(p, &fault);
        }
        pager_take_wants(p);
        pager_look_at_failing(p);
        if (qatomic_read(&p->lost)) {
            pager_fail_requests(p);
            end_ranges(p, ECA_COPY_LOST);
            continue;
        }
        watch_recoveries(p);
        pager_take_messages(p);
        eca_messages_take(p->eca);
        pager_look_at_requests(p);
        pager_step_requests(p);
        step_ranges(p);
        pager_watch_reservations(p);
        pager_watch_ways(p);
        pager_serve_snoops(p);
        p->soft_us = eca_soft_step(p->soft);
        pager_sample_pages(p);
        pager_park_sleepers(p);
        pager_show_views(p);
    }
    rcu_unregister_thread();
    return NULL;
}

void eca_pager_run(ECAPager *p, void (*work)(void *opaque), void *opaque)
{
    Work w = { .work = work, .opaque = opaque };

    qemu_event_init(&w.done, false);
    WITH_QEMU_LOCK_GUARD(&p->lock) {
        g_assert(!p->work);         /* the BQL keeps others out */
        p->work = &w;
    }
    event_notifier_set(&p->kick);
    qemu_event_wait(&w.done);
    qemu_event_destroy(&w.done);
}

void eca_pager_kick(ECAPager *p)
{
    event_notifier_set(&p->kick);
}

/* What this host has of a device, or of a part of it */

static bool is_in(const ECAPiece *piece, uint64_t dpa)
{
    return dpa - piece->dpa < piece->size;
}

/* All is zapped: whatever is in the log was of a page that is known here. */
static void forget_log(ECAPager *p, uint32_t gfam, const ECAPiece *piece)
{
    uint64_t dpa = piece->dpa;

    while (p->agent.log && p->agent.log->pages &&
           eca_pages_next(&p->device[gfam].pages, &dpa) &&
           is_in(piece, dpa)) {
        cxlf_log_drop(p->agent.log, gfam, dpa);
        dpa += CXLF_PAGE;
    }
}

/* Pages that failed, as they were not this host's, may be used. */
static void restore_pages(ECAPager *p, uint32_t gfam, const ECAPiece *piece)
{
    uint64_t dpa = piece->dpa;

    while (eca_pages_next_failed(&p->device[gfam].pages, &dpa) &&
           is_in(piece, dpa)) {
        pager_restore_page(p, gfam, dpa);
        dpa += CXLF_PAGE;
    }
}

static void release_pages(ECAPager *p, uint32_t gfam, const ECAPiece *piece)
{
    Device *d = &p->device[gfam];

    restore_pages(p, gfam, piece);
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_lock(&p->page_lock[i]);
    }
    eca_pages_reset(&d->pages, piece->dpa, piece->size);
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_unlock(&p->page_lock[i]);
    }
    eca_uffd_zap(d->front + piece->dpa, piece->size);
    forget_log(p, gfam, piece);
}

static void release_device(ECAPager *p, uint32_t gfam)
{
    Device *d = &p->device[gfam];

    if (d->front) {
        release_pages(p, gfam, &(ECAPiece) { .size = d->size });
        pager_drop_all_code(p, gfam);
    }
}

static void release_all(void *opaque)
{
    ECAPager *p = opaque;
    Snoop *s;

    end_ranges(p, ECA_COPY_PARTLY);
    while (!QTAILQ_EMPTY(&p->requests)) {
        pager_end_request(p, QTAILQ_FIRST(&p->requests));
    }
    while ((s = QTAILQ_FIRST(&p->snoops))) {
        QTAILQ_REMOVE(&p->snoops, s, next);
        g_free(s);
    }
    eca_soft_drop_all(p->soft);
    g_array_set_size(p->evictions, 0);
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        release_device(p, i);
    }
    g_array_set_size(p->promoted, 0);
    pager_set_precise(p);
    pager_flush_vcpus();
    if (!qatomic_read(&p->lost)) {
        cxlf_give_up(p->directory, p->host, CXLF_EVICT, NULL);
    }
}

/* vCPUs run: they drop the code when they next look for work. */
static void drop_code(ECAPager *p, uint32_t gfam, const ECAPiece *piece)
{
    uint64_t dpa = piece->dpa;

    while (eca_pages_next(&p->device[gfam].pages, &dpa) &&
           is_in(piece, dpa)) {
        pager_ask_to_drop_code(p, gfam, dpa, CXLF_PAGE);
        dpa += CXLF_PAGE;
    }
}

/* End all that is under way in a part of a device. */
static void end_work(ECAPager *p, uint32_t gfam, const ECAPiece *piece)
{
    ECARange *range, *next_range;
    Request *r, *next_request;
    Snoop *s, *next_snoop;

    QTAILQ_FOREACH_SAFE(range, &p->ranges, next, next_range) {
        if (range->gfam == gfam && is_in(piece, range->dpa)) {
            eca_range_end(range, p, ECA_COPY_RANGE);
        }
    }
    QTAILQ_FOREACH_SAFE(r, &p->requests, next, next_request) {
        if (r->gfam == gfam && is_in(piece, r->dpa)) {
            pager_end_request(p, r);
        }
    }
    QTAILQ_FOREACH_SAFE(s, &p->snoops, next, next_snoop) {
        if (s->gfam == gfam && is_in(piece, s->dpa)) {
            QTAILQ_REMOVE(&p->snoops, s, next);
            g_free(s);
        }
    }
    for (unsigned i = p->evictions->len; i-- > 0;) {
        struct cxlf_request *e = &g_array_index(p->evictions,
                                                struct cxlf_request, i);

        if (e->gfam == gfam && is_in(piece, e->dpa)) {
            g_array_remove_index_fast(p->evictions, i);
        }
    }
    for (unsigned i = p->promoted->len; i-- > 0;) {
        struct cxlf_log_page *page =
            &g_array_index(p->promoted, struct cxlf_log_page, i);

        if (page->gfam == gfam && is_in(piece, page->dpa)) {
            g_array_remove_index_fast(p->promoted, i);
        }
    }
}

typedef struct PieceWork {
    ECAPager *p;
    uint32_t gfam;
    ECAPiece *piece;
    const ECAPiece *set;
} PieceWork;

static void set_piece(void *opaque)
{
    PieceWork *w = opaque;
    ECAPager *p = w->p;
    ECAPiece was = *w->piece;

    pager_flush_run(p);
    *w->piece = *w->set;        /* no access, fault or command from here on */
    if (!was.size) {
        restore_pages(p, w->gfam, w->set);
        return;
    }
    end_work(p, w->gfam, &was);
    eca_soft_drop(p->soft, w->gfam, was.dpa, was.size);
    drop_code(p, w->gfam, &was);
    release_pages(p, w->gfam, &was);
    pager_set_precise(p);
    pager_flush_vcpus();
    /* Who sleeps in it makes its fault again, which fails. */
    pager_forget_sleepers(p, w->gfam, was.dpa, was.dpa + was.size);
    eca_uffd_wake(&p->uffd, p->device[w->gfam].front + was.dpa, was.size);
    if (!qatomic_read(&p->lost)) {
        cxlf_give_up_range(p->directory, p->host, w->gfam, was.dpa,
                           was.size);
    }
}

void eca_pager_set_piece(ECAPager *p, uint32_t gfam, ECAPiece *at,
                         const ECAPiece *piece)
{
    PieceWork w = { p, gfam, at, piece };

    eca_pager_run(p, set_piece, &w);
}

void eca_pager_submit(ECAPager *p, ECARange *r)
{
    r->status = ECA_COPY_BUSY;
    WITH_QEMU_LOCK_GUARD(&p->lock) {
        QTAILQ_INSERT_TAIL(&p->submitted, r, next);
    }
    event_notifier_set(&p->kick);
}

typedef struct RangesWork {
    ECAPager *p;
    ECARange *ranges;
    unsigned n;
} RangesWork;

static void start_range(void *opaque)
{
    RangesWork *w = opaque;

    eca_range_start(w->ranges, w->p);
}

void eca_pager_start(ECAPager *p, ECARange *r)
{
    RangesWork w = { p, r, 1 };

    r->status = ECA_COPY_BUSY;
    eca_pager_run(p, start_range, &w);
}

static void abort_ranges(void *opaque)
{
    RangesWork *w = opaque;
    ECARange *r;

    while ((r = take_submitted(w->p))) {
        eca_range_start(r, w->p);
    }
    for (unsigned i = 0; i < w->n; i++) {
        eca_range_end(&w->ranges[i], w->p, ECA_COPY_ABORTED);
    }
}

void eca_pager_abort(ECAPager *p, ECARange *ranges, unsigned n)
{
    RangesWork w = { p, ranges, n };

    eca_pager_run(p, abort_ranges, &w);
}

ECAHolding eca_pager_holding(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    ECAPage *page = pager_page_of(p, gfam, dpa);
    struct cxlf_line entry;
    enum cxlf_held held;

    WITH_QEMU_LOCK_GUARD(pager_lock_of(p, dpa)) {
        held = page->held;
    }
    if (held != CXLF_HELD_NOT) {
        return held == CXLF_HELD_OWNED ? ECA_HOLDS_OWNED : ECA_HOLDS_SHARED;
    }
    return pager_peek(p, gfam, dpa, &entry) && entry.state == CXLF_L ?
           ECA_HOLDS_LINES : ECA_HOLDS_NOT;
}

void eca_pager_release(ECAPager *p)
{
    eca_pager_run(p, release_all, p);
}

void eca_pager_lost(ECAPager *p)
{
    qatomic_set(&p->lost, true);
    event_notifier_set(&p->kick);
}

ECASoft *eca_pager_soft(ECAPager *p)
{
    return p->soft;
}

ECAView eca_pager_view(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return eca_page_view(&p->device[gfam].pages, dpa);
}

void eca_pager_wait(ECAPager *p)
{
    QEMU_LOCK_GUARD(&p->lock);
    qemu_cond_timedwait(&p->ended, &p->lock, 1);
}

bool eca_pager_hold(ECAPager *p, uint32_t gfam, uint64_t dpa, bool write)
{
    ECAPage *page = pager_page_of(p, gfam, dpa);

    qemu_mutex_lock(pager_lock_of(p, dpa));
    if (pager_is_held(page, write ? CXLF_OWN : CXLF_LOAD)) {
        return true;
    }
    qemu_mutex_unlock(pager_lock_of(p, dpa));
    return false;
}

void eca_pager_unhold(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    qemu_mutex_unlock(pager_lock_of(p, dpa));
}

void eca_pager_note(ECAPager *p, uint32_t gfam, uint64_t dpa, bool alone)
{
    ECAPage *page;

    if (!p->options.hot_map_after) {
        return;
    }
    page = pager_page_of(p, gfam, dpa);
    if (!alone) {
        page->calls = 0;
        qatomic_set(&page->conflict_ms, pager_now_us() / 1000);
    } else if (++page->calls >= p->options.hot_map_after) {
        page->calls = 0;
        if ((uint32_t)(pager_now_us() / 1000) -
            qatomic_read(&page->conflict_ms) >=
            ECA_QUIET_MS << qatomic_read(&page->quiet)) {
            eca_pager_want(p, gfam, dpa, ECA_WANT_MAPPED);
        }
    }
}

void eca_pager_sample(ECAPager *p, uint32_t gfam, unsigned sampling,
                      uint32_t rate)
{
    qatomic_set(&p->device[gfam].sample_rate, rate);
    qatomic_set(&p->device[gfam].sampling, sampling);
    event_notifier_set(&p->kick);
}

bool eca_pager_may_promote(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return !p->options.by_page && p->options.precise_quota &&
           cxlf_can_promote(p->directory, gfam, dpa);
}

void eca_pager_front_ram(ECAPager *p, uint32_t gfam, ram_addr_t ram)
{
    qatomic_set(&p->device[gfam].ram, ram);
}

void *eca_pager_attach(ECAPager *p, uint32_t gfam, void *back, int fd,
                       Error **errp)
{
    const struct cxlf_gfam *g = &p->directory->topology.gfam[gfam];
    Device *d = &p->device[gfam];
    uint64_t size = g->hot + g->bulk;
    uint8_t *front;

    front = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (front == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map a GFAM device's memory");
        return NULL;
    }
    /* Pages are taken away one by one, and large ones would be split. */
    madvise(front, size, MADV_NOHUGEPAGE);
    if (!eca_uffd_register(&p->uffd, front, size, true, errp)) {
        munmap(front, size);
        return NULL;
    }
    eca_pages_init(&d->pages, g->hot, size, p->options.by_page ?
                   ECA_VIEW_DIRECT : ECA_VIEW_TRAPPED);
    eca_park_front(front, size);
    d->back = back;
    d->fd = fd;
    d->size = size;
    d->ram = RAM_ADDR_INVALID;
    qatomic_store_release(&d->front, front);
    eca_soft_attach(p->soft, gfam, front, back, fd);
    event_notifier_set(&p->kick);
    return front;
}

ECAPager *eca_pager_new(ECAState *s, const ECAPagerOptions *options,
                        Error **errp)
{
    ECAPager *p = g_new0(ECAPager, 1);
    int ret;

    p->eca = s;
    p->fabric = s->fabric;
    p->directory = cxl_fabric_directory(s->fabric);
    p->host = s->host;
    p->options = *options;
    p->epoch = cxl_fabric_epoch(s->fabric);
    /* KVM has the kernel itself access the front. */
    if (!eca_uffd_open(&p->uffd, kvm_enabled(), errp)) {
        g_free(p);
        return NULL;
    }
    ret = event_notifier_init(&p->kick, false);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot make an event notifier");
        eca_uffd_close(&p->uffd);
        g_free(p);
        return NULL;
    }
    p->io = (struct cxlf_agent_io) {
        .opaque = p, .map = pager_io_map, .zap = pager_io_zap,
        .protect = pager_io_protect, .wake = pager_io_wake,
    };
    p->agent = (struct cxlf_agent) {
        .directory = p->directory, .io = &p->io, .host = p->host,
        .log = cxl_fabric_log(s->fabric), .quiet = true,
    };
    p->lane = cxl_fabric_lane_new(s->fabric, CXL_FABRIC_LANE_AGENT);
    QTAILQ_INIT(&p->requests);
    QTAILQ_INIT(&p->snoops);
    QTAILQ_INIT(&p->ranges);
    QTAILQ_INIT(&p->submitted);
    QSIMPLEQ_INIT(&p->wants);
    p->sleepers = g_array_new(false, false, sizeof(Sleeper));
    p->failing = g_array_new(false, false, sizeof(Failing));
    p->promoted = g_array_new(false, false, sizeof(struct cxlf_log_page));
    p->evictions = g_array_new(false, false, sizeof(struct cxlf_request));
    qemu_mutex_init(&p->lock);
    qemu_cond_init(&p->ended);
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_init(&p->page_lock[i]);
    }
    p->soft_us = -1;
    p->soft_io = (ECASoftIO) {
        .opaque = p, .give_up = pager_soft_give_up,
        .switched = pager_soft_switched,
        .changed = pager_soft_changed,
        .conflict = pager_soft_conflict,
    };
    p->soft = eca_soft_new(p->fabric, p->host, &p->uffd, &p->soft_io);
    qemu_thread_create(&p->thread, "eca", pager_thread, p,
                       QEMU_THREAD_JOINABLE);
    return p;
}

void eca_pager_free(ECAPager *p)
{
    Want *w;

    eca_pager_release(p);
    qatomic_set(&p->stop, true);
    event_notifier_set(&p->kick);
    qemu_thread_join(&p->thread);
    eca_soft_free(p->soft);
    while ((w = QSIMPLEQ_FIRST(&p->wants))) {
        QSIMPLEQ_REMOVE_HEAD(&p->wants, next);
        g_free(w);
    }
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        Device *d = &p->device[i];

        if (d->front) {
            munmap(d->front, d->size);
            eca_pages_free(&d->pages);
        }
    }
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_destroy(&p->page_lock[i]);
    }
    qemu_cond_destroy(&p->ended);
    qemu_mutex_destroy(&p->lock);
    g_array_free(p->evictions, true);
    g_array_free(p->promoted, true);
    g_array_free(p->sleepers, true);
    g_array_free(p->failing, true);
    event_notifier_cleanup(&p->kick);
    eca_uffd_close(&p->uffd);
    cxl_fabric_lane_free(p->lane);
    g_free(p);
}
