/*
 * CXL fabric: the owner's reaper, which recovers what dead hosts held
 *
 * A thread of its own, because whoever waits for what a dead host holds may
 * wait with the BQL: a vCPU, a device's DMA, the owner's main loop itself.
 * It takes no BQL and waits for nothing but deaths, which only a pidfd
 * declares.  It makes all recoveries, one after the other.
 *
 * A host's process is a ward of the reaper from when it is given its number:
 *
 *   state        who may change or free it       its number in the table
 *   WATCHED      either, to the states below     JOINING, UP, FENCING
 *   LEFT         main loop: it said LEAVE        RECOVERING
 *   RECOVERING   reaper                          RECOVERING
 *   RECOVERED    main loop, which reports it     may be another host's
 *   GONE         reaper, which frees it          may be another host's
 *
 * f->lock protects states and list.  A ward's descriptor stays open while it
 * lives, and only whom the table allows frees it, so both threads may use it.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/syscall.h>
#include "qapi/error.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "fabric-internal.h"
#include "trace.h"

typedef enum {
    WARD_WATCHED,
    WARD_LEFT,
    WARD_RECOVERING,
    WARD_RECOVERED,
    WARD_GONE,
} CXLFabricWardState;

struct CXLFabricWard {
    int host;
    int pidfd;
    /* Under f->lock. */
    CXLFabricWardState state;
    bool left;              /* said LEAVE, found while it was recovered */
    CXLFabricRecovered recovered;
    QLIST_ENTRY(CXLFabricWard) next;
};

struct CXLFabricReaper {
    QemuThread thread;
    EventNotifier wake;     /* after a change for it to see */
    QEMUBH *report;         /* main loop: a ward is RECOVERED */
    /* Under f->lock. */
    bool stop;
    QLIST_HEAD(, CXLFabricWard) wards;
};

/* The thread */

static void free_ward(CXLFabricWard *w)
{
    QLIST_SAFE_REMOVE(w, next);
    close(w->pidfd);
    g_free(w);
}

/* What to poll: the notifier, then a pidfd for each of @wards. */
static bool gather(CXLFabric *f, GArray *fds, GPtrArray *wards)
{
    CXLFabricReaper *r = f->reaper;
    struct pollfd p = {
        .fd = event_notifier_get_fd(&r->wake), .events = POLLIN,
    };
    CXLFabricWard *w, *following;

    g_array_set_size(fds, 0);
    g_ptr_array_set_size(wards, 0);
    g_array_append_val(fds, p);
    QEMU_LOCK_GUARD(&f->lock);
    QLIST_FOREACH_SAFE(w, &r->wards, next, following) {
        if (w->state == WARD_GONE) {
            free_ward(w);
        } else if (w->state == WARD_WATCHED) {
            p.fd = w->pidfd;
            g_array_append_val(fds, p);
            g_ptr_array_add(wards, w);
        }
    }
    return !r->stop;
}

static bool begin_recovery(CXLFabric *f, CXLFabricWard *w)
{
    QEMU_LOCK_GUARD(&f->lock);
    if (w->state != WARD_WATCHED) {
        return false;           /* it has left meanwhile */
    }
    w->state = WARD_RECOVERING;
    cxl_fabric_set_host(f, w->host, CXLF_HOST_RECOVERING);
    return true;
}

static void recover(CXLFabric *f, CXLFabricWard *w)
{
    CXLFabricRecovered got;

    if (!begin_recovery(f, w)) {
        return;
    }
    /* While the directory still has what it held. */
    cxl_fabric_check_log(f, w->host);
    got.units = cxlf_give_up(&f->directory, w->host,
                             f->on_death == CXL_FABRIC_ON_DEATH_POISON ?
                             CXLF_LOSS : CXLF_DEATH, &got.modified);
    got.poisoned = cxl_fabric_publish_poison(f, w->host);
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        qatomic_set(&f->table->epoch, f->table->epoch + 1);
        cxl_fabric_free_host(f, w->host);
        w->recovered = got;
        w->state = w->left ? WARD_GONE : WARD_RECOVERED;
    }
    cxl_fabric_ring_all(f);
    qemu_bh_schedule(f->reaper->report);
}

static void *reap(void *opaque)
{
    CXLFabric *f = opaque;
    g_autoptr(GArray) fds = g_array_new(false, false, sizeof(struct pollfd));
    g_autoptr(GPtrArray) wards = g_ptr_array_new();

    rcu_register_thread();      /* traces may use RCU */
    while (gather(f, fds, wards)) {
        const struct pollfd *p = (const struct pollfd *)fds->data;

        if (poll((struct pollfd *)fds->data, fds->len, -1) < 0) {
            continue;
        }
        if (p[0].revents) {
            event_notifier_test_and_clear(&f->reaper->wake);
        }
        for (guint i = 0; i < wards->len; i++) {
            if (p[i + 1].revents & POLLIN) {
                recover(f, g_ptr_array_index(wards, i));
            }
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* The main loop's side */

bool cxl_fabric_start_reaper(CXLFabric *f, void (*report)(void *opaque),
                             Error **errp)
{
    CXLFabricReaper *r = g_new0(CXLFabricReaper, 1);
    int ret = event_notifier_init(&r->wake, false);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "no event for the reaper");
        g_free(r);
        return false;
    }
    QLIST_INIT(&r->wards);
    r->report = qemu_bh_new_guarded(report, f, NULL);
    f->reaper = r;
    qemu_thread_create(&r->thread, "cxlf-reaper", reap, f,
                       QEMU_THREAD_JOINABLE);
    return true;
}

/* Ends a recovery that runs, and waits for it.  Wards stay with peers. */
void cxl_fabric_stop_reaper(CXLFabric *f)
{
    CXLFabricReaper *r = f->reaper;
    CXLFabricWard *w, *following;

    if (!r) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        r->stop = true;
    }
    event_notifier_set(&r->wake);
    qemu_thread_join(&r->thread);
    QLIST_FOREACH_SAFE(w, &r->wards, next, following) {
        QLIST_SAFE_REMOVE(w, next);     /* the list goes with the reaper */
        if (w->state == WARD_GONE) {
            free_ward(w);
        }
    }
    qemu_bh_delete(r->report);
    event_notifier_cleanup(&r->wake);
    f->reaper = NULL;
    g_free(r);
}

/* Have the reaper watch the process of @host; takes @pidfd over. */
CXLFabricWard *cxl_fabric_new_ward(CXLFabric *f, int host, int pidfd)
{
    CXLFabricWard *w = g_new0(CXLFabricWard, 1);

    w->host = host;
    w->pidfd = pidfd;
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        QLIST_INSERT_HEAD(&f->reaper->wards, w, next);
    }
    event_notifier_set(&f->reaper->wake);
    return w;
}

/* It said READY; false if that is out of turn. */
bool cxl_fabric_ward_ready(CXLFabric *f, CXLFabricWard *w)
{
    QEMU_LOCK_GUARD(&f->lock);
    if (w->state != WARD_WATCHED) {
        return true;            /* dead: what it said is of no importance */
    }
    if (f->table->host[w->host].state != CXLF_HOST_JOINING) {
        return false;
    }
    cxl_fabric_set_host(f, w->host, CXLF_HOST_UP);
    return true;
}

/* It said LEAVE.  The ward is not the caller's any more. */
void cxl_fabric_ward_leave(CXLFabric *f, CXLFabricWard *w)
{
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        switch (w->state) {
        case WARD_RECOVERED:
            free_ward(w);
            return;
        case WARD_RECOVERING:
            w->left = true;
            return;
        default:
            w->state = WARD_LEFT;
            cxl_fabric_set_host(f, w->host, CXLF_HOST_RECOVERING);
        }
    }
    /* A host gives up everything before it says so; this one may not have. */
    cxlf_give_up(&f->directory, w->host, CXLF_EVICT, NULL);
    cxl_fabric_drop_log(f, w->host);
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        cxl_fabric_free_host(f, w->host);
        w->state = WARD_GONE;
    }
    event_notifier_set(&f->reaper->wake);
    cxl_fabric_ring_all(f);     /* what it had reserved is free */
}

static bool is_dead(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

/* Kill a ward that could still write.  Returns 0, or an errno. */
int cxl_fabric_ward_fence(CXLFabric *f, CXLFabricWard *w)
{
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        if (w->state != WARD_WATCHED || is_dead(w->pidfd)) {
            return 0;
        }
        trace_cxl_fabric_fence(cxl_fabric_id(f), w->host);
        cxl_fabric_set_host(f, w->host, CXLF_HOST_FENCING);
    }
    return syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0) < 0 &&
           errno != ESRCH ? errno : 0;
}

/* Whether it is dead and recovered, and not yet reported. */
bool cxl_fabric_ward_recovered(CXLFabric *f, CXLFabricWard *w,
                               CXLFabricRecovered *recovered)
{
    QEMU_LOCK_GUARD(&f->lock);
    *recovered = w->recovered;
    return w->state == WARD_RECOVERED;
}

/* A ward that was reported; or any, once the reaper has ended. */
void cxl_fabric_free_ward(CXLFabric *f, CXLFabricWard *w)
{
    QEMU_LOCK_GUARD(&f->lock);
    free_ward(w);
}
