/*
 * CXL fabric object: what the devices of this process use
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qom/object_interfaces.h"
#include "fabric-internal.h"

static void free_self(CXLFabric *f)
{
    cxl_fabric_unmap_log(f);
    cxl_fabric_drop_log(f, f->self);
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        cxl_fabric_free_host(f, f->self);
    }
    cxl_fabric_ring_all(f);
    f->self = -1;
}

/* A member has been told when it joined. */
static void grant_own(CXLFabric *f)
{
    g_autofree struct cxlf_wire_plug *list = NULL;
    unsigned n;

    if (f->kind == CXL_FABRIC_MEMBER) {
        return;
    }
    list = g_new(struct cxlf_wire_plug, CXLF_MAX_GFAMS * CXLF_MAX_LDS);
    n = cxl_fabric_fm_list_lds(f, NULL, f->self, list);
    for (unsigned i = 0; i < n; i++) {
        cxl_fabric_grant_at_join(f, &list[i]);
    }
}

int cxl_fabric_attach(CXLFabric *f, Error **errp)
{
    if (f->kind == CXL_FABRIC_NONE) {
        error_setg(errp, "'fabric': the cxl-fabric object is not complete");
        return -1;
    }
    if (f->attached) {
        error_setg(errp, "'fabric': an Edge Coherence Agent of this process "
                   "uses it already; one host has one");
        return -1;
    }
    if (f->kind != CXL_FABRIC_MEMBER) {
        int log = cxl_fabric_new_log(f, errp);

        if (log < 0) {
            return -1;
        }
        WITH_QEMU_LOCK_GUARD(&f->lock) {
            f->self = cxl_fabric_claim_host(f, f->want_host, getpid());
            if (f->self >= 0) {
                cxl_fabric_set_host(f, f->self, CXLF_HOST_UP);
            }
        }
        if (f->self < 0) {
            close(log);
            error_setg(errp, "'fabric': %s", f->want_host < 0 ?
                       "every host number is taken; raise 'hosts'" :
                       "the wished 'host' number is taken");
            return -1;
        }
        cxl_fabric_set_log(f, f->self, log);
        if (!cxl_fabric_map_log(f, errp)) {
            free_self(f);
            return -1;
        }
    }
    f->attached = true;
    grant_own(f);
    return f->self;
}

void cxl_fabric_detach(CXLFabric *f)
{
    f->attached = false;
    if (f->lost) {
        return;
    }
    cxl_fabric_drop_requests(f, NULL);
    cxlf_give_up(&f->directory, f->self, CXLF_EVICT, NULL);
    if (f->kind != CXL_FABRIC_MEMBER) {
        free_self(f);
        cxl_fabric_drop_lds(f);
        cxl_fabric_fm_host_gone(f, NULL);
    }
}

struct cxlf_log *cxl_fabric_log(CXLFabric *f)
{
    return f->log_map ? &f->log : NULL;
}

bool cxl_fabric_is_up(CXLFabric *f)
{
    return !qatomic_read(&f->lost);
}

uint32_t cxl_fabric_precise_share(CXLFabric *f)
{
    return qatomic_read(&f->table->precise_pages) /
           f->directory.topology.hosts;
}

void cxl_fabric_set_precise(CXLFabric *f, uint32_t pages, uint32_t quota)
{
    struct cxlf_inside *own = &f->directory.leaf[0].inside[f->self];

    qatomic_set(&own->precise, pages);
    qatomic_set(&own->precise_quota, quota);
}

int cxl_fabric_owner_fd(CXLFabric *f)
{
    return f->kind == CXL_FABRIC_MEMBER ? qatomic_read(&f->owner_fd) : -1;
}

void cxl_fabric_hung_up(CXLFabric *f)
{
    qatomic_set(&f->lost, true);
}

struct cxlf_directory *cxl_fabric_directory(CXLFabric *f)
{
    return &f->directory;
}

const QemuUUID *cxl_fabric_uuid(CXLFabric *f)
{
    return &f->uuid;
}

uint32_t cxl_fabric_epoch(CXLFabric *f)
{
    return qatomic_read(&f->table->epoch);
}

uint32_t cxl_fabric_host_life(CXLFabric *f, unsigned host)
{
    const struct cxlf_host *h;
    uint32_t state, incarnation;

    if (host >= f->directory.topology.hosts) {
        return 0;
    }
    h = &f->table->host[host];
    state = qatomic_load_acquire(&h->state);
    if (state == CXLF_HOST_FREE || state == CXLF_HOST_JOINING) {
        return 0;
    }
    incarnation = qatomic_read(&h->incarnation);
    return incarnation ? incarnation : 1;
}

int cxl_fabric_gfam_fd(CXLFabric *f, uint32_t gfam)
{
    return f->segment[CXLF_KIND_GFAM][gfam].fd;
}

bool cxl_fabric_gfam_take(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    if (f->gfam_taken[gfam] & 1u << ld) {
        return false;
    }
    f->gfam_taken[gfam] |= 1u << ld;
    return true;
}

void cxl_fabric_gfam_release(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    f->gfam_taken[gfam] &= ~(1u << ld);
}

void cxl_fabric_add_lost_notifier(CXLFabric *f, Notifier *n)
{
    notifier_list_add(&f->lost_notifiers, n);
}

CXLFabric *cxl_fabric_new_embedded(Object *parent, const char *name,
                                   Error **errp)
{
    Object *obj = object_new(TYPE_CXL_FABRIC);

    object_property_add_child(parent, name, obj);
    object_unref(obj);
    if (!user_creatable_complete(USER_CREATABLE(obj), errp)) {
        object_unparent(obj);
        return NULL;
    }
    return CXL_FABRIC(obj);
}
