/*
 * Fabric Manager: building the fabric that it manages, and its invariants
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

bool cxlf_fm_init(struct cxlf_fm *fm, const struct cxlf_fm_ops *ops,
                  void *opaque)
{
    if (!ops->bind || !ops->unbind || !ops->erase || !ops->event) {
        return false;
    }
    fm->ops = *ops;
    fm->opaque = opaque;
    fm->components = fm->switches = fm->devices = fm->gfds = fm->gaes = 0;
    return true;
}

static int add(struct cxlf_fm *fm, enum cxlf_fm_kind kind, uint64_t serial,
               uint8_t *number, unsigned limit)
{
    static const uint16_t device[CXLF_FM_KINDS] = { 0xa128, 0x0d93, 0x0d94 };
    struct cxlf_fm_component *c;

    if (*number >= limit || fm->components >= CXLF_FM_COMPONENTS) {
        return -1;
    }
    c = &fm->component[fm->components];
    memset(c, 0, sizeof(*c));
    c->kind = kind;
    c->index = (*number)++;
    c->limit = CXLF_FM_PAYLOAD_LOG;
    c->pid = c->primary.pid = c->secondary.pid = CXLF_FM_PID_NONE;
    /* As QEMU's upstream port and type-3 device say. */
    c->vendor = kind == CXLF_FM_SWITCH ? 0x19e5 : 0x8086;
    c->device = device[kind];
    c->serial = serial;
    return fm->components++;
}

int cxlf_fm_add_switch(struct cxlf_fm *fm, uint64_t serial, unsigned drts,
                       unsigned rgts, unsigned rgt_entries)
{
    struct cxlf_fm_switch *s;
    int n;

    if (drts > UINT8_MAX || rgts > UINT8_MAX || rgt_entries > 256) {
        return -1;
    }
    n = add(fm, CXLF_FM_SWITCH, serial, &fm->switches, CXLF_FM_SWITCHES);
    if (n >= 0) {
        s = fm_switch(fm, n);
        memset(s, 0, sizeof(*s));
        s->drts = drts;
        s->rgts = rgts;
        s->rgt_entries = rgt_entries;
        s->modes = 1;   /* random */
    }
    return n;
}

int cxlf_fm_add_device(struct cxlf_fm *fm, uint64_t serial, bool multi,
                       unsigned lds, unsigned heads, uint64_t memory)
{
    struct cxlf_fm_device *d;
    uint64_t units = memory / CXLF_FM_UNIT;
    int n;

    if (lds == 0 || lds > CXLF_FM_LDS || (!multi && lds != 1) ||
        heads == 0 || heads > lds || memory % CXLF_FM_UNIT) {
        return -1;
    }
    n = add(fm, CXLF_FM_DEVICE, serial, &fm->devices, CXLF_FM_DEVICES);
    if (n >= 0) {
        d = fm_device(fm, n);
        memset(d, 0, sizeof(*d));
        d->multi = multi;
        d->lds = d->dcd.hosts = lds;
        d->heads = heads;
        d->memory = memory;
        for (unsigned i = 0; i < lds; i++) {
            d->ld[i].erased = true;
            d->ld[i].pid = CXLF_FM_PID_NONE;
            d->ld[i].range[0] = units / lds;
            d->ld[i].head = i % heads;
        }
    }
    return n;
}

int cxlf_fm_add_gfd(struct cxlf_fm *fm, uint64_t serial, unsigned hosts)
{
    int n = hosts > CXLF_FM_LDS ? -1 :
            add(fm, CXLF_FM_GFD, serial, &fm->gfds, CXLF_FM_GFDS);

    if (n >= 0) {
        fm_dcd(fm, n)->hosts = hosts;
    }
    return n;
}

static bool is_kind(const struct cxlf_fm *fm, unsigned component,
                    enum cxlf_fm_kind kind)
{
    return component < fm->components &&
           fm->component[component].kind == kind;
}

bool cxlf_fm_add_region(struct cxlf_fm *fm, unsigned component, uint64_t start,
                        uint64_t length, uint64_t blocks, unsigned flags,
                        bool sanitize)
{
    struct cxlf_fm_dcd *d = component < fm->components ?
                            fm_dcd(fm, component) : NULL;
    struct cxlf_fm_region *last;

    if (!d || length == 0 || start % CXLF_FM_UNIT || length % CXLF_FM_UNIT ||
        length > 1ull << 62 || start > 1ull << 62 || flags > UINT8_MAX ||
        blocks == 0 || blocks < 64 || blocks & 63 ||
        blocks >= 2 * CXLF_FM_UNIT) {
        return false;
    }
    if (d->regions >= CXLF_FM_REGIONS) {
        return false;
    }
    if (d->regions) {
        last = &d->region[d->regions - 1];
        if (start < last->start + last->length) {
            return false;
        }
    }
    d->region[d->regions++] = (struct cxlf_fm_region) {
        .start = start, .length = length, .blocks = blocks,
        .block = blocks & -blocks, .flags = flags, .sanitize = sanitize,
    };
    return true;
}

static struct cxlf_fm_port *port_of(struct cxlf_fm *fm, unsigned component,
                                    unsigned port)
{
    struct cxlf_fm_switch *s;

    if (!is_kind(fm, component, CXLF_FM_SWITCH) || port >= CXLF_FM_PORTS) {
        return NULL;
    }
    s = fm_switch(fm, component);
    return s->port[port].exists ? &s->port[port] : NULL;
}

bool cxlf_fm_add_port(struct cxlf_fm *fm, unsigned component, unsigned port,
                      enum cxlf_fm_port_state state)
{
    if (!is_kind(fm, component, CXLF_FM_SWITCH) || port >= CXLF_FM_PORTS ||
        port_of(fm, component, port) ||
        (state != CXLF_FM_PORT_DSP && state != CXLF_FM_PORT_USP &&
         state != CXLF_FM_PORT_FABRIC)) {
        return false;
    }
    fm_switch(fm, component)->port[port] = (struct cxlf_fm_port) {
        .exists = true, .state = state, .pid = CXLF_FM_PID_NONE,
        .vcs = UINT8_MAX,
    };
    return true;
}

/* The number of a new one, plus 1. */
static unsigned add_gae(struct cxlf_fm *fm)
{
    struct cxlf_fm_gae *g = &fm->gae[fm->gaes++];

    memset(g, 0, sizeof(*g));
    for (unsigned i = 0; i < CXLF_FM_VPPBS; i++) {
        for (unsigned j = 0; j < CXLF_FM_IDTS; j++) {
            g->fast[i].idt[j] = CXLF_FM_PID_NONE;
        }
    }
    return fm->gaes;
}

bool cxlf_fm_add_vcs(struct cxlf_fm *fm, unsigned component, unsigned vcs,
                     unsigned usp, unsigned vppbs, bool gae)
{
    struct cxlf_fm_port *port = port_of(fm, component, usp);
    struct cxlf_fm_vcs *v;

    if (!port || port->state != CXLF_FM_PORT_USP || vcs >= CXLF_FM_VCSS ||
        port->vcs != UINT8_MAX || vppbs == 0 || vppbs > CXLF_FM_VPPBS ||
        fm_switch(fm, component)->vcs[vcs].exists ||
        (gae && fm->gaes >= CXLF_FM_GAES)) {
        return false;
    }
    port->vcs = vcs;
    v = &fm_switch(fm, component)->vcs[vcs];
    *v = (struct cxlf_fm_vcs) {
        .exists = true, .usp = usp, .vppbs = vppbs,
        .gae = gae ? add_gae(fm) : 0,
    };
    fm_switch(fm, component)->gaes += gae;
    for (unsigned i = 0; i < vppbs; i++) {
        v->vppb[i].ld = CXLF_FM_LD_NONE;
        v->vppb[i].pid = CXLF_FM_PID_NONE;
    }
    v->vppb[0].status = CXLF_FM_BOUND_PORT;
    v->vppb[0].port = usp;
    return true;
}

bool cxlf_fm_connect(struct cxlf_fm *fm, unsigned component, unsigned port,
                     unsigned peer, unsigned peer_port)
{
    struct cxlf_fm_port *a = port_of(fm, component, port), *b;
    unsigned heads;

    if (!a || a->peer || peer >= fm->components || peer == component) {
        return false;
    }
    if (is_kind(fm, peer, CXLF_FM_SWITCH)) {
        b = port_of(fm, peer, peer_port);
        if (!b || b->peer || a->state != CXLF_FM_PORT_FABRIC ||
            b->state != CXLF_FM_PORT_FABRIC) {
            return false;
        }
        b->peer = component + 1;
        b->peer_port = port;
    } else {
        heads = is_kind(fm, peer, CXLF_FM_DEVICE) ?
                fm_device(fm, peer)->heads : 1;
        if (a->state != CXLF_FM_PORT_DSP || peer_port >= heads ||
            fm->component[peer].connected >> peer_port & 1) {
            return false;
        }
        fm->component[peer].connected |= 1u << peer_port;
    }
    a->peer = peer + 1;
    a->peer_port = peer_port;
    return true;
}

bool cxlf_fm_set_link(struct cxlf_fm *fm, unsigned component, unsigned port,
                      const struct cxlf_fm_link *link)
{
    struct cxlf_fm_port *p = port_of(fm, component, port);

    if (!p) {
        return false;
    }
    p->link = *link;
    return true;
}

/* What a vPPB that is bound to a device's LD must say, and the reverse. */
static const char *check_vppb(const struct cxlf_fm *fm, unsigned component,
                              unsigned vcs, unsigned n)
{
    const struct cxlf_fm_switch *s =
        &fm->sw[fm->component[component].index];
    const struct cxlf_fm_vppb *v = &s->vcs[vcs].vppb[n];
    const struct cxlf_fm_port *port = &s->port[v->port];
    const struct cxlf_fm_ld *ld;
    unsigned device = v->device;

    if (v->status == CXLF_FM_BOUND_PORT || v->status == CXLF_FM_BOUND_LD) {
        device = port->exists ? port->peer : 0;
        if (!device || !is_kind(fm, device - 1, CXLF_FM_DEVICE)) {
            return "a vPPB is bound to a port without a device";
        }
    } else if (v->status != CXLF_FM_BOUND_PID || !device) {
        return NULL;
    }
    ld = &fm->dev[fm->component[device - 1].index]
              .ld[v->ld == CXLF_FM_LD_NONE ? 0 : v->ld];
    if (ld->bound != component + 1 || ld->vcs != vcs || ld->vppb != n) {
        return "an LD is behind two vPPBs";
    }
    return NULL;
}

static const char *check_extents(const struct cxlf_fm_dcd *d)
{
    for (unsigned i = 0; i < d->extents; i++) {
        const struct cxlf_fm_extent *a = &d->extent[i];

        if (!a->length) {
            continue;
        }
        if (a->erasing && (a->hosts || a->pending || a->reference)) {
            return "an extent is erased while it is in use";
        }
        if (!a->erasing && !a->hosts && !a->pending && !a->reference) {
            return "an extent is nobody's, and not erased";
        }
        for (unsigned j = 0; j < i; j++) {
            const struct cxlf_fm_extent *b = &d->extent[j];

            if (b->length && a->start < b->start + b->length &&
                b->start < a->start + a->length) {
                return "two extents overlap";
            }
        }
    }
    return NULL;
}

static const char *check_device(const struct cxlf_fm *fm, unsigned component)
{
    const struct cxlf_fm_device *d = &fm->dev[fm->component[component].index];
    uint64_t units = 0;

    for (unsigned i = 0; i < d->lds; i++) {
        const struct cxlf_fm_ld *ld = &d->ld[i];
        const struct cxlf_fm_vppb *v;

        units += ld->range[0] + ld->range[1];
        if (!ld->bound) {
            continue;
        }
        v = &fm->sw[fm->component[ld->bound - 1].index]
                 .vcs[ld->vcs].vppb[ld->vppb];
        if (v->status == CXLF_FM_UNBOUND ||
            (v->status == CXLF_FM_BOUND_PID && v->device != component + 1)) {
            return "an LD is bound to a vPPB that does not know";
        }
    }
    if (units > d->memory / CXLF_FM_UNIT >> d->granularity) {
        return "LDs have more memory than their device";
    }
    return check_extents(&d->dcd);
}

const char *cxlf_fm_check(const struct cxlf_fm *fm)
{
    const char *why = NULL;

    for (unsigned n = 0; n < fm->components && !why; n++) {
        const struct cxlf_fm_component *c = &fm->component[n];

        if (c->secondary.pid != CXLF_FM_PID_NONE &&
            c->primary.pid == CXLF_FM_PID_NONE) {
            return "a secondary without a primary";
        }
        if (c->kind == CXLF_FM_DEVICE) {
            why = check_device(fm, n);
        } else if (c->kind == CXLF_FM_GFD) {
            why = check_extents(&fm->gfd[c->index].dcd);
        } else if (c->kind == CXLF_FM_SWITCH) {
            const struct cxlf_fm_switch *s = &fm->sw[c->index];

            for (unsigned v = 0; v < CXLF_FM_VCSS && !why; v++) {
                for (unsigned i = 1; i < s->vcs[v].vppbs && !why; i++) {
                    why = check_vppb(fm, n, v, i);
                }
            }
        }
    }
    for (unsigned n = 0; n < fm->gaes && !why; n++) {
        why = fm_check_gae(&fm->gae[n]);
    }
    return why;
}
