/*
 * CXL fabric: logical devices (LDs) of what a Fabric Manager manages
 *
 * Where an LD's memory is, and which host has it: docs/fabric-manager.md, "In
 * the emulator".  A host is asked to show an LD, or to let go of it, by
 * messages; every wait has an end.  All of it is the main loop's.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "cxlf/access.h"
#include "fabric-fm.h"
#include "trace.h"

#define BIND_SECONDS    60

QEMU_BUILD_BUG_ON(CXLF_UNPLUG_WAIT != 0 || CXLF_UNPLUG_MANAGED != 1 ||
                  CXLF_UNPLUG_SURPRISE != 2);   /* options of Unbind */

static struct cxlf_fm_device *device_of(CXLFabricFm *fm, uint32_t gfam)
{
    return &fm->core->dev[fm->core->component[fm->switches + gfam].index];
}

static CXLFabricLd *ld_of(CXLFabricFm *fm,
                          const struct cxlf_fm_binding *binding)
{
    return &fm->ld[binding->device - fm->switches][binding->ld];
}

uint16_t cxl_fabric_fm_ld_pid(const CXLFabricLd *l)
{
    return device_of(l->fm, l->gfam)->ld[l->ld].pid;
}

static const char *id_of(const CXLFabricLd *l)
{
    return cxl_fabric_id(l->fm->fabric);
}

/* The LD after @l, or the first one after NULL; NULL at the end. */
static CXLFabricLd *next_ld(const CXLFabricFm *fm, const CXLFabricLd *l)
{
    uint32_t ld = l ? l->ld + 1 : 0;

    for (uint32_t i = l ? l->gfam : 0; i < fm->topology->gfams; i++, ld = 0) {
        if (fm->ld[i] && ld < fm->graph->lds[i]) {
            return &fm->ld[i][ld];
        }
    }
    return NULL;
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
    d->qos_capability = CXLF_QOS_EGRESS;
    memcpy(d->qos, cxlf_qos_default, sizeof(d->qos));
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

/* A message; what it is about is the last that is asked of the host. */
static struct cxlf_wire_plug ask_plug(CXLFabricLd *l)
{
    l->token = ++l->fm->token;
    return (struct cxlf_wire_plug) {
        .gfam = l->gfam, .ld = l->ld, .start = l->start, .size = l->size,
        .vppb = l->vppb, .token = l->token,
    };
}

static void tell_plug(CXLFabricLd *l)
{
    struct cxlf_wire_plug w = ask_plug(l);

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
    bool showing = l->busy == LD_SHOWING;

    warn_report("cxl-fabric '%s': host %d has not %s LD %u of GFAM device %u "
                "in time; set the owner's 'bind-timeout' if it needs longer",
                id_of(l), l->host, showing ? "shown" : "let go of", l->ld,
                l->gfam);
    /* First, or an answer to what follows would end it otherwise. */
    end(l, false);
    if (showing) {
        tell_unplug(l, CXLF_UNPLUG_SURPRISE);
    } else {
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

void cxl_fabric_fm_bind(void *opaque, const struct cxlf_fm_binding *binding,
                        uint64_t token)
{
    CXLFabricFm *fm = opaque;
    CXLFabricPeer *peer;
    CXLFabricLd *l;

    if (binding->device == CXLF_FM_NO_DEVICE) {
        cxlf_fm_complete(fm->core, token, false);   /* hosts have GFDs */
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
    if (!cxl_fabric_fm_find_process(fm, l->host, &peer)) {
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
    CXLFabricLd *l = ld_of(fm, binding);

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
    CXLFabricLd *l = next_ld(fm, NULL);

    while (l && !(is_at(l, peer) && l->token == token)) {
        l = next_ld(fm, l);
    }
    return l;
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

/* The next LD after @l that is bound to @host, and to be shown to @peer. */
static CXLFabricLd *next_to_show(CXLFabricFm *fm, const CXLFabricPeer *peer,
                                 int host, CXLFabricLd *l)
{
    do {
        l = next_ld(fm, l);
        /* What its predecessor has yet is taken back before. */
    } while (l && (l->host != host || l->busy == LD_HIDING ||
                   is_at(l, peer)));
    return l;
}

unsigned cxl_fabric_fm_list_lds(CXLFabric *f, CXLFabricPeer *peer, int host,
                                struct cxlf_wire_plug *list)
{
    CXLFabricLd *l = NULL;
    unsigned n = 0;

    while (f->fm && f->fm->core &&
           (l = next_to_show(f->fm, peer, host, l))) {
        set_shown(l, peer);
        list[n++] = ask_plug(l);
    }
    return n;
}

void cxl_fabric_fm_host_up(CXLFabric *f, CXLFabricPeer *peer, int host)
{
    CXLFabricLd *l = NULL;

    while (f->fm && f->fm->core &&
           (l = next_to_show(f->fm, peer, host, l))) {
        set_shown(l, peer);
        tell_plug(l);
    }
}

void cxl_fabric_fm_lds_gone(CXLFabricFm *fm, CXLFabricPeer *peer)
{
    CXLFabricLd *l = NULL;

    while ((l = next_ld(fm, l))) {
        if (is_at(l, peer)) {
            set_hidden(l);
            /* Bound it stays, and is shown to who joins next. */
            end(l, true);
        }
    }
}

/* An LD that the topology binds. */
static void bind_first(CXLFabricLd *l, uint32_t host)
{
    CXLFabricFm *fm = l->fm;
    struct cxlf_fm_binding b = { .ld = l->ld };
    unsigned component, vcs, port = 0;
    const struct cxlf_fm_vcs *v;

    if (!cxl_fabric_fm_find_vcs(fm, host, &component, &vcs)) {
        warn_report("cxl-fabric '%s': /gfam@%x: 'bound': LD %u is not bound "
                    "to host %u, which has no VCS: %u hosts of a leaf have",
                    id_of(l), l->gfam, l->ld, host, CXLF_FM_VCSS);
        return;
    }
    b.component = component;
    b.vcs = vcs;
    b.by_pid = !cxl_fabric_fm_find_port(fm, component, l->gfam, &port);
    b.port = port;
    b.pid = cxl_fabric_fm_ld_pid(l);
    if (b.by_pid && b.pid == CXLF_FM_PID_NONE) {
        warn_report("cxl-fabric '%s': /gfam@%x: 'bound': LD %u is not bound "
                    "to host %u: it has no PID, all are taken", id_of(l),
                    l->gfam, l->ld, host);
        return;
    }
    v = &fm->core->sw[fm->core->component[component].index].vcs[vcs];
    for (b.vppb = 1; b.vppb < v->vppbs &&
         v->vppb[b.vppb].status != CXLF_FM_UNBOUND; b.vppb++) {
        ;
    }
    if (!cxlf_fm_bound(fm->core, &b)) {
        warn_report("cxl-fabric '%s': /gfam@%x: 'bound': LD %u is not bound "
                    "to host %u, which has %u already", id_of(l), l->gfam,
                    l->ld, host, v->vppbs - 1);
        return;
    }
    l->host = host;
    l->vppb = b.vppb;
}

/* What the topology binds is at the first vPPBs of its host, in order. */
void cxl_fabric_fm_bind_first(CXLFabricFm *fm)
{
    for (CXLFabricLd *l = next_ld(fm, NULL); l; l = next_ld(fm, l)) {
        uint32_t host = fm->graph->bound[l->gfam][l->ld];

        if (host < fm->topology->hosts && l->size) {
            bind_first(l, host);
        }
    }
}

void cxl_fabric_fm_drop_lds(CXLFabricFm *fm)
{
    for (CXLFabricLd *l = next_ld(fm, NULL); l; l = next_ld(fm, l)) {
        if (l->timer) {
            timer_free(l->timer);
        }
    }
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        g_free(fm->ld[i]);
    }
}
