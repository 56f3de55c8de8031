/*
 * CXL fabric: logical devices (LDs) of what a Fabric Manager manages
 *
 * Where an LD's memory is, which host has it, and how it is erased before
 * another one gets it: docs/fabric-manager.md, "In the emulator".  A host is
 * asked to show an LD, or to let go of it, by messages; every wait has an end.
 * All of it is the main loop's.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "compat.h"
#include "cxlf/access.h"
#include "fabric-fm.h"
#include "trace.h"

/* So much is erased before the main loop turns to others. */
#define PIECE           (4 * MiB)
#define BIND_SECONDS    60

QEMU_BUILD_BUG_ON(CXLF_UNPLUG_WAIT != 0 || CXLF_UNPLUG_MANAGED != 1 ||
                  CXLF_UNPLUG_SURPRISE != 2);   /* options of Unbind */

/* Memory that is being erased: first its bytes, then its entries. */
typedef struct CXLFabricErase {
    uint64_t token;
    CXLFabricLd *ld;
    uint64_t done;          /* bytes */
    uint32_t leaf;
    QTAILQ_ENTRY(CXLFabricErase) next;
} CXLFabricErase;

static struct cxlf_fm_device *device_of(CXLFabricFm *fm, uint32_t gfam)
{
    return &fm->core->dev[fm->core->component[fm->switches + gfam].index];
}

static CXLFabricLd *ld_of(CXLFabricFm *fm,
                          const struct cxlf_fm_binding *binding)
{
    return &fm->ld[binding->device - fm->switches][binding->ld];
}

static const char *id_of(const CXLFabricLd *l)
{
    return cxl_fabric_id(l->fm->fabric);
}

bool cxl_fabric_fm_find_vcs(const CXLFabricFm *fm, int host,
                            unsigned *component, unsigned *vcs)
{
    for (unsigned c = 0; c < fm->switches; c++) {
        for (unsigned v = 0; v < CXLF_FM_VCSS; v++) {
            if (fm->host_of[c][v] == host + 1) {
                *component = c;
                *vcs = v;
                return true;
            }
        }
    }
    return false;
}

bool cxl_fabric_fm_find_port(const CXLFabricFm *fm, unsigned component,
                             uint32_t gfam, unsigned *port)
{
    const struct cxlf_fm_switch *s =
        &fm->core->sw[fm->core->component[component].index];

    for (unsigned i = 0; i < CXLF_FM_PORTS; i++) {
        if (s->port[i].exists && s->port[i].peer == fm->switches + gfam + 1) {
            *port = i;
            return true;
        }
    }
    return false;
}

/* Where LDs are */

/* The lowest place for @size bytes beside LDs that have theirs. */
static bool find_place(const CXLFabricLd *lds, unsigned n, const bool *placed,
                       const uint64_t *start, const uint64_t *sizes,
                       uint64_t memory, uint64_t size, uint64_t *found)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < n; i++) {
        if (placed[i] && at < start[i] + sizes[i] && start[i] < at + size) {
            at = start[i] + sizes[i];
            i = -1;             /* that may be inside one before */
        }
    }
    *found = at;
    return at <= memory && size <= memory - at;
}

bool cxl_fabric_fm_place(void *opaque, unsigned component,
                         const uint64_t *size)
{
    CXLFabricFm *fm = opaque;
    uint32_t gfam = component - fm->switches;
    const struct cxlf_gfam *g = &fm->topology->gfam[gfam];
    const struct cxlf_fm_device *d = device_of(fm, gfam);
    CXLFabricLd *lds = fm->ld[gfam];
    uint64_t start[CXLF_FM_LDS];
    bool placed[CXLF_FM_LDS];

    for (unsigned i = 0; i < d->lds; i++) {
        /* What a host may be using stays, also after a Bind that failed. */
        placed[i] = d->ld[i].bound || lds[i].shown;
        start[i] = lds[i].start;
        if (placed[i] && size[i] != lds[i].size) {
            return false;
        }
    }
    for (unsigned i = 0; i < d->lds; i++) {
        if (!placed[i] && size[i]) {
            if (!find_place(lds, d->lds, placed, start, size,
                            g->hot + g->bulk, size[i], &start[i])) {
                return false;
            }
            placed[i] = true;
        }
    }
    cxlf_routes_begin(fm->fabric->router);
    cxlf_group_set(fm->fabric->router, gfam, 0, g->hot + g->bulk,
                   CXLF_GROUPS);
    for (unsigned i = 0; i < d->lds; i++) {
        lds[i].start = start[i];
        lds[i].size = size[i];
        if (size[i]) {
            cxlf_group_set(fm->fabric->router, gfam, start[i], size[i], i);
        }
        trace_cxl_fabric_fm_place(cxl_fabric_id(fm->fabric), gfam, i,
                                  start[i], size[i]);
    }
    cxlf_routes_end(fm->fabric->router);
    return true;
}

void cxl_fabric_fm_create_lds(CXLFabricFm *fm, uint32_t gfam)
{
    struct cxlf_fm_device *d = device_of(fm, gfam);
    CXLFabricLd *lds = g_new0(CXLFabricLd, d->lds);
    uint64_t size[CXLF_FM_LDS];

    fm->ld[gfam] = lds;
    for (unsigned i = 0; i < d->lds; i++) {
        lds[i].fm = fm;
        lds[i].gfam = gfam;
        lds[i].ld = i;
        lds[i].host = -1;
        size[i] = (d->ld[i].range[0] + d->ld[i].range[1]) *
                  (CXLF_FM_UNIT << d->granularity);
        /* What a file had in it is not zeros. */
        d->ld[i].erased = !fm->fabric->memdev[gfam];
    }
    /* They have the same size, and come from the device's memory. */
    cxl_fabric_fm_place(fm, fm->switches + gfam, size);
}

/* Hosts that have them */

static void end(CXLFabricLd *l, bool success)
{
    if (l->busy == LD_IDLE) {
        return;
    }
    trace_cxl_fabric_fm_ld(id_of(l), l->gfam, l->ld,
                           l->busy == LD_SHOWING ? "bound" : "unbound",
                           l->host, l->vppb, success);
    if (success == (l->busy == LD_HIDING)) {
        l->host = -1;
    }
    l->busy = LD_IDLE;
    timer_del(l->timer);
    cxlf_fm_complete(l->fm->core, l->operation, success);
}

/* Whether the device lets a host reach the LD: the LD is a group of its SAT. */
static void set_right(CXLFabricLd *l, int host, bool may)
{
    struct cxlf_router *r = l->fm->fabric->router;
    uint16_t pid = l->fm->graph->pid_host[host];
    uint32_t groups = cxlf_sat_get(r, l->gfam, pid);

    cxlf_routes_begin(r);
    cxlf_sat_set(r, l->gfam, pid, may ? groups | 1u << l->ld :
                                        groups & ~(1u << l->ld));
    cxlf_routes_end(r);
}

/* The host may use it from now on. */
static void set_shown(CXLFabricLd *l, CXLFabricPeer *peer)
{
    l->shown = true;
    l->at = l->host;
    l->peer = peer;
    set_right(l, l->at, true);
}

/* No host reaches it any more. */
static void set_hidden(CXLFabricLd *l)
{
    l->shown = false;
    set_right(l, l->at, false);
    cxl_fabric_drop_reserved(l->fm->fabric, l->gfam, l->start, l->size);
}

/* Send it; what it is about is the last that is asked of the host. */
static void tell_plug(CXLFabricLd *l)
{
    struct cxlf_wire_plug w = {
        .gfam = l->gfam, .ld = l->ld, .start = l->start, .size = l->size,
        .vppb = l->vppb, .token = ++l->fm->token,
    };

    l->token = w.token;
    if (!l->peer) {
        cxl_fabric_hear_plug(l->fm->fabric, &w);
    } else {
        cxl_fabric_tell_peer(l->peer, CXLF_WIRE_PLUG, &w, sizeof(w));
    }
}

static void tell_unplug(CXLFabricLd *l, uint32_t how)
{
    struct cxlf_wire_unplug w = {
        .gfam = l->gfam, .ld = l->ld, .how = how, .token = ++l->fm->token,
    };

    l->token = w.token;
    if (!l->peer) {
        cxl_fabric_hear_unplug(l->fm->fabric, &w);
    } else {
        cxl_fabric_tell_peer(l->peer, CXLF_WIRE_UNPLUG, &w, sizeof(w));
    }
}

static void on_timeout(void *opaque)
{
    CXLFabricLd *l = opaque;

    warn_report("cxl-fabric '%s': host %d has not %s LD %u of GFAM device %u "
                "in time; set the owner's 'bind-timeout' if it needs longer",
                id_of(l), l->host,
                l->busy == LD_SHOWING ? "shown" : "let go of", l->ld,
                l->gfam);
    /* First, or an answer to what follows would end it otherwise. */
    if (l->busy == LD_SHOWING) {
        end(l, false);
        tell_unplug(l, CXLF_UNPLUG_SURPRISE);
    } else {
        end(l, false);
        tell_plug(l);
    }
}

static void begin(CXLFabricLd *l, CXLFabricLdBusy busy, uint64_t operation)
{
    uint32_t seconds = l->fm->fabric->bind_timeout;

    l->busy = busy;
    l->operation = operation;
    if (!l->timer) {
        l->timer = timer_new_ms(QEMU_CLOCK_REALTIME, on_timeout, l);
    }
    timer_mod(l->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
              1000ll * (seconds ? seconds : BIND_SECONDS));
}

/* Whether its host is there, now. */
static bool find_host(CXLFabricLd *l, CXLFabricPeer **peer)
{
    CXLFabric *f = l->fm->fabric;

    *peer = NULL;
    if (l->host == f->self && f->attached) {
        return true;
    }
    *peer = cxl_fabric_peer_of(f, l->host);
    return *peer != NULL;
}

void cxl_fabric_fm_bind(void *opaque, const struct cxlf_fm_binding *binding,
                        uint64_t token)
{
    CXLFabricFm *fm = opaque;
    CXLFabricPeer *peer;
    CXLFabricLd *l;

    if (binding->by_pid) {
        cxlf_fm_complete(fm->core, token, false);
        return;
    }
    l = ld_of(fm, binding);
    if (l->shown || !l->size) {
        warn_report("cxl-fabric '%s': LD %u of GFAM device %u cannot be "
                    "bound: %s", id_of(l), l->ld, l->gfam, l->size ?
                    "a host has not let go of it yet" :
                    "it has no memory; see Set LD Allocations");
        cxlf_fm_complete(fm->core, token, false);
        return;
    }
    l->host = fm->host_of[binding->component][binding->vcs] - 1;
    l->vppb = binding->vppb;
    begin(l, LD_SHOWING, token);
    if (!find_host(l, &peer)) {
        end(l, true);           /* it is shown when the host joins */
        return;
    }
    set_shown(l, peer);
    tell_plug(l);
}

void cxl_fabric_fm_unbind(void *opaque, const struct cxlf_fm_binding *binding,
                          uint64_t token)
{
    CXLFabricFm *fm = opaque;
    CXLFabricLd *l;

    if (binding->by_pid) {
        cxlf_fm_complete(fm->core, token, false);
        return;
    }
    l = ld_of(fm, binding);
    begin(l, LD_HIDING, token);
    if (!l->shown) {
        end(l, true);
        return;
    }
    /* From a host that is dying it goes when its holdings were recovered. */
    tell_unplug(l, binding->option);
}

static bool is_at(const CXLFabricLd *l, const CXLFabricPeer *peer)
{
    return l->shown && l->peer == peer;
}

static CXLFabricLd *find_answered(CXLFabricFm *fm, const CXLFabricPeer *peer,
                                  uint64_t token)
{
    for (uint32_t i = 0; i < fm->topology->gfams; i++) {
        for (uint32_t ld = 0; fm->ld[i] && ld < fm->graph->lds[i]; ld++) {
            CXLFabricLd *l = &fm->ld[i][ld];

            if (is_at(l, peer) && l->token == token) {
                return l;
            }
        }
    }
    return NULL;
}

static void on_plugged(CXLFabricLd *l, enum cxlf_plug_result result)
{
    static const char *const why[] = {
        [CXLF_PLUG_NO_SLOT] = "it has no cxl-pbr-downstream with that 'vppb'",
        [CXLF_PLUG_FAILED] = "its own messages say why",
    };

    if (result != CXLF_PLUG_OK) {
        warn_report("cxl-fabric '%s': host %d cannot show LD %u of GFAM "
                    "device %u at vPPB %u: %s", id_of(l), l->host, l->ld,
                    l->gfam, l->vppb, why[result]);
    }
    if (l->busy == LD_SHOWING) {
        if (result != CXLF_PLUG_OK) {
            set_hidden(l);
        }
        end(l, result == CXLF_PLUG_OK);
    }
}

void cxl_fabric_fm_answered(CXLFabric *f, CXLFabricPeer *peer,
                            enum cxlf_wire_type type,
                            const struct cxlf_wire_plugged *answer)
{
    CXLFabricLd *l = f->fm && f->fm->core ?
                     find_answered(f->fm, peer, answer->token) : NULL;

    trace_cxl_fabric_fm_answered(cxl_fabric_id(f), type, answer->token,
                                 answer->result, l != NULL);
    if (!l) {
        return;                 /* to what is not asked any more */
    }
    l->token = 0;
    if (type == CXLF_WIRE_PLUGGED) {
        on_plugged(l, answer->result);
        return;
    }
    if (answer->result == CXLF_PLUG_OK) {
        set_hidden(l);
    }
    /* Who gives back what it was to show has failed. */
    end(l, l->busy == LD_HIDING && answer->result == CXLF_PLUG_OK);
}

/* For each LD that is bound to @host, and not shown to @peer. */
static void show_all(CXLFabricFm *fm, CXLFabricPeer *peer, int host,
                     void (*show)(CXLFabricLd *l, void *opaque), void *opaque)
{
    for (uint32_t i = 0; i < fm->topology->gfams; i++) {
        for (uint32_t ld = 0; fm->ld[i] && ld < fm->graph->lds[i]; ld++) {
            CXLFabricLd *l = &fm->ld[i][ld];

            /* What its predecessor has yet is taken back before. */
            if (l->host == host && l->busy != LD_HIDING && !is_at(l, peer)) {
                set_shown(l, peer);
                show(l, opaque);
            }
        }
    }
}

typedef struct Told {
    struct cxlf_wire_plug *list;
    unsigned n;
} Told;

static void note_plug(CXLFabricLd *l, void *opaque)
{
    Told *told = opaque;

    l->token = ++l->fm->token;
    told->list[told->n++] = (struct cxlf_wire_plug) {
        .gfam = l->gfam, .ld = l->ld, .start = l->start, .size = l->size,
        .vppb = l->vppb, .token = l->token,
    };
}

unsigned cxl_fabric_fm_list_lds(CXLFabric *f, CXLFabricPeer *peer, int host,
                                struct cxlf_wire_plug *list)
{
    Told told = { .list = list };

    if (f->fm && f->fm->core) {
        show_all(f->fm, peer, host, note_plug, &told);
    }
    return told.n;
}

static void plug_now(CXLFabricLd *l, void *opaque)
{
    tell_plug(l);
}

void cxl_fabric_fm_host_up(CXLFabric *f, CXLFabricPeer *peer, int host)
{
    if (f->fm && f->fm->core) {
        show_all(f->fm, peer, host, plug_now, NULL);
    }
}

void cxl_fabric_fm_host_gone(CXLFabric *f, CXLFabricPeer *peer)
{
    CXLFabricFm *fm = f->fm;

    for (uint32_t i = 0; fm && fm->core && i < fm->topology->gfams; i++) {
        for (uint32_t ld = 0; fm->ld[i] && ld < fm->graph->lds[i]; ld++) {
            CXLFabricLd *l = &fm->ld[i][ld];

            if (is_at(l, peer)) {
                set_hidden(l);
                /* Bound it stays, and is shown to who joins next. */
                end(l, true);
            }
        }
    }
}

/* What the topology binds is at the first vPPBs of its host, in order. */
void cxl_fabric_fm_bind_first(CXLFabricFm *fm)
{
    for (uint32_t i = 0; i < fm->topology->gfams; i++) {
        for (uint32_t ld = 0; fm->ld[i] && ld < fm->graph->lds[i]; ld++) {
            CXLFabricLd *l = &fm->ld[i][ld];
            uint32_t host = fm->graph->bound[i][ld];
            struct cxlf_fm_binding b = { .ld = ld };
            unsigned component, vcs, port;
            const struct cxlf_fm_vcs *v;

            if (host >= fm->topology->hosts || !l->size) {
                continue;
            }
            if (!cxl_fabric_fm_find_vcs(fm, host, &component, &vcs) ||
                !cxl_fabric_fm_find_port(fm, component, i, &port)) {
                warn_report("cxl-fabric '%s': /gfam@%x: 'bound': LD %u is not "
                            "bound to host %u, as the device is not at the "
                            "host's leaf", id_of(l), i, ld, host);
                continue;
            }
            b.component = component;
            b.vcs = vcs;
            b.port = port;
            v = &fm->core->sw[fm->core->component[component].index].vcs[vcs];
            for (b.vppb = 1; b.vppb < v->vppbs &&
                 v->vppb[b.vppb].status != CXLF_FM_UNBOUND; b.vppb++) {
                ;
            }
            if (!cxlf_fm_bound(fm->core, &b)) {
                warn_report("cxl-fabric '%s': /gfam@%x: 'bound': LD %u is not "
                            "bound to host %u, which has %u already",
                            id_of(l), i, ld, host, v->vppbs - 1);
                continue;
            }
            l->host = host;
            l->vppb = b.vppb;
        }
    }
}

/* Erasing */

static bool overwrite(CXLFabric *f, uint32_t gfam, uint64_t dpa)
{
    CXLFabricSegment *s = &f->segment[CXLF_KIND_GFAM][gfam];

    if (s->backend) {
        MemoryRegion *mr = host_memory_backend_get_memory(s->backend);

        memset((char *)memory_region_get_ram_ptr(mr) + dpa, 0, PIECE);
        return true;
    }
    /* Zeros that take no memory, as in a new fabric. */
    return RETRY_ON_EINTR(fallocate(s->fd, FALLOC_FL_PUNCH_HOLE |
                                    FALLOC_FL_KEEP_SIZE, dpa, PIECE)) == 0;
}

typedef enum Progress { GOING_ON, DONE, FAILED } Progress;

static Progress erase_piece(CXLFabricErase *e)
{
    CXLFabricLd *l = e->ld;
    CXLFabric *f = l->fm->fabric;

    if (l->shown) {
        return FAILED;
    }
    if (e->done < l->size) {
        if (!overwrite(f, l->gfam, l->start + e->done)) {
            return FAILED;
        }
        e->done += PIECE;
        return GOING_ON;
    }
    if (e->leaf < f->directory.topology.leaves) {
        cxlf_forget_range(&f->directory, e->leaf++, l->gfam, l->start,
                          l->size);
        return GOING_ON;
    }
    cxl_fabric_forget_poison(f, l->gfam, l->start, l->size);
    cxl_fabric_drop_reserved(f, l->gfam, l->start, l->size);
    return DONE;
}

static void go_on(void *opaque)
{
    CXLFabricFm *fm = opaque;
    CXLFabricErase *e = QTAILQ_FIRST(&fm->erases);
    Progress progress;

    if (!e) {
        return;
    }
    progress = erase_piece(e);
    QTAILQ_REMOVE(&fm->erases, e, next);
    if (progress == GOING_ON) {
        QTAILQ_INSERT_TAIL(&fm->erases, e, next);
    } else {
        trace_cxl_fabric_fm_erase(cxl_fabric_id(fm->fabric), e->ld->gfam,
                                  e->ld->ld, progress == DONE);
        cxlf_fm_complete(fm->core, e->token, progress == DONE);
        g_free(e);
    }
    if (!QTAILQ_EMPTY(&fm->erases)) {
        qemu_bh_schedule(fm->bh);
    }
}

void cxl_fabric_fm_erase(void *opaque, const struct cxlf_fm_memory *memory,
                         uint64_t token)
{
    CXLFabricFm *fm = opaque;
    CXLFabricErase *e;

    if (memory->ld == CXLF_FM_LD_NONE) {
        /* Dynamic capacity, of which no device has a region. */
        cxlf_fm_complete(fm->core, token, false);
        return;
    }
    if (!fm->bh) {
        fm->bh = qemu_bh_new(go_on, fm);
    }
    e = g_new0(CXLFabricErase, 1);
    e->token = token;
    e->ld = &fm->ld[memory->component - fm->switches][memory->ld];
    QTAILQ_INSERT_TAIL(&fm->erases, e, next);
    qemu_bh_schedule(fm->bh);
}

void cxl_fabric_fm_drop_lds(CXLFabricFm *fm)
{
    CXLFabricErase *e;

    while ((e = QTAILQ_FIRST(&fm->erases))) {
        QTAILQ_REMOVE(&fm->erases, e, next);
        g_free(e);
    }
    if (fm->bh) {
        qemu_bh_delete(fm->bh);
    }
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        for (uint32_t ld = 0; fm->ld[i] && ld < fm->graph->lds[i]; ld++) {
            if (fm->ld[i][ld].timer) {
                timer_free(fm->ld[i][ld].timer);
            }
        }
        g_free(fm->ld[i]);
    }
}
