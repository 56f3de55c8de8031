/*
 * Fabric Manager: commands of virtual switches, and binding
 * (docs/fabric-manager.md, set 52 and "Binding")
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/wire.h"
#include "fm-internal.h"

static enum cxlf_cci get_vcs_info(struct fm_call *c)
{
    unsigned start = c->in[0], limit = c->in[1], n = c->in[2];

    put8(c, n);
    put_zeros(c, 3);
    for (unsigned i = 0; i < n; i++) {
        const struct cxlf_fm_vcs *v = fm_vcs(c, c->in[3 + i]);
        unsigned many;

        if (!v || start >= v->vppbs) {
            return CXLF_CCI_INVALID_INPUT;
        }
        many = v->vppbs - start < limit ? v->vppbs - start : limit;
        if (c->out_cap - c->out_len < 4 + 4 * many) {
            return CXLF_CCI_INVALID_INPUT;
        }
        put8(c, c->in[3 + i]);
        put8(c, 1);             /* enabled */
        put8(c, v->usp);
        put8(c, v->vppbs);
        for (unsigned j = start; j < start + many; j++) {
            const struct cxlf_fm_vppb *p = &v->vppb[j];

            put8(c, p->status);
            put8(c, p->port);
            put8(c, p->status == CXLF_FM_BOUND_LD ? p->ld : 0xff);
            put8(c, 0);
        }
    }
    return CXLF_CCI_SUCCESS;
}

static struct cxlf_fm_vppb *vppb_of(struct cxlf_fm *fm,
                                    const struct cxlf_fm_binding *b)
{
    return &fm_switch(fm, b->component)->vcs[b->vcs].vppb[b->vppb];
}

/* The fabric's PIDs are not all of LDs. */
static bool has_ld(const struct cxlf_fm_binding *b)
{
    return b->device != CXLF_FM_NO_DEVICE;
}

static struct cxlf_fm_ld *ld_of(struct cxlf_fm *fm,
                                const struct cxlf_fm_binding *b)
{
    return &fm_device(fm, b->device)->ld[b->ld == CXLF_FM_LD_NONE ? 0 : b->ld];
}

/* The operation goes on.  The caller's function may complete it at once. */
static void enter(struct cxlf_fm *fm, unsigned component,
                  enum cxlf_fm_phase phase)
{
    static const uint8_t percent[] = {
        [CXLF_FM_ERASE_FIRST] = 0, [CXLF_FM_SHOW] = 50, [CXLF_FM_HIDE] = 0,
        [CXLF_FM_ERASE] = 50,
    };
    struct cxlf_fm_background *b = &fm->component[component].background;
    const struct cxlf_fm_binding *binding = &b->binding;
    uint64_t token = fm_token(fm, component, 0, &b->token);

    b->phase = phase;
    b->percent = percent[phase];
    if (phase == CXLF_FM_SHOW) {
        if (has_ld(binding)) {
            /* From here on its host may write to it. */
            ld_of(fm, binding)->erased = false;
        }
        fm->ops.bind(fm->opaque, binding, token);
    } else if (phase == CXLF_FM_HIDE) {
        fm->ops.unbind(fm->opaque, binding, token);
    } else {
        const struct cxlf_fm_device *d = fm_device(fm, binding->device);
        const struct cxlf_fm_ld *ld = ld_of(fm, binding);

        fm->ops.erase(fm->opaque, &(struct cxlf_fm_memory) {
            .component = binding->device,
            .ld = d->multi ? binding->ld : 0,
            .length = (ld->range[0] + ld->range[1]) *
                      (CXLF_FM_UNIT << d->granularity),
        }, token);
    }
}

static void end(struct cxlf_fm *fm, unsigned component, enum cxlf_cci result)
{
    struct cxlf_fm_background *b = &fm->component[component].background;

    b->phase = CXLF_FM_IDLE;
    b->percent = 100;
    b->result = result;
    fm->ops.event(fm->opaque, &(struct cxlf_fm_event) {
        .component = component, .type = CXLF_FM_VPPB_CHANGED,
        .a = b->binding.vcs, .b = b->binding.vppb,
    });
}

static void set_unbound(struct cxlf_fm *fm, const struct cxlf_fm_binding *b)
{
    struct cxlf_fm_vppb *v = vppb_of(fm, b);

    *v = (struct cxlf_fm_vppb) {
        .ld = CXLF_FM_LD_NONE, .pid = CXLF_FM_PID_NONE,
    };
    if (has_ld(b)) {
        ld_of(fm, b)->bound = 0;
    }
}

static uint8_t bound_status(const struct cxlf_fm_binding *b)
{
    return b->by_pid ? CXLF_FM_BOUND_PID :
           b->ld == CXLF_FM_LD_NONE ? CXLF_FM_BOUND_PORT : CXLF_FM_BOUND_LD;
}

bool fm_background_complete(struct cxlf_fm *fm, unsigned component,
                            bool success)
{
    struct cxlf_fm_background *b = &fm->component[component].background;
    struct cxlf_fm_binding *binding = &b->binding;
    enum cxlf_cci result = success ? CXLF_CCI_SUCCESS :
                           CXLF_CCI_INTERNAL_ERROR;

    switch (b->phase) {
    case CXLF_FM_ERASE_FIRST:
        if (success) {
            enter(fm, component, CXLF_FM_SHOW);
            return true;
        }
        set_unbound(fm, binding);
        break;
    case CXLF_FM_SHOW:
        if (success) {
            vppb_of(fm, binding)->status = bound_status(binding);
        } else {
            set_unbound(fm, binding);
        }
        break;
    case CXLF_FM_HIDE:
        if (success && has_ld(binding)) {
            enter(fm, component, CXLF_FM_ERASE);
            return true;
        }
        if (success) {
            set_unbound(fm, binding);
        } else {
            vppb_of(fm, binding)->status = bound_status(binding);
        }
        break;
    case CXLF_FM_ERASE:
        /* What could not be erased is erased before it is bound again. */
        ld_of(fm, binding)->erased = success;
        set_unbound(fm, binding);
        break;
    default:
        return false;
    }
    end(fm, component, result);
    return true;
}

static enum cxlf_cci begin(struct fm_call *c,
                           const struct cxlf_fm_binding *binding,
                           enum cxlf_fm_phase phase)
{
    struct cxlf_fm_background *b = &c->c->background;

    b->opcode = c->opcode;
    b->result = CXLF_CCI_SUCCESS;
    b->binding = *binding;
    vppb_of(c->fm, binding)->status = CXLF_FM_IN_PROGRESS;
    enter(c->fm, c->component, phase);
    return CXLF_CCI_BACKGROUND;
}

/* What is true of both from the beginning of Bind on. */
static void set_bound(struct cxlf_fm *fm, const struct cxlf_fm_binding *b)
{
    struct cxlf_fm_vppb *v = vppb_of(fm, b);
    struct cxlf_fm_ld *ld;

    v->port = b->port;
    v->ld = b->ld;
    v->pid = b->pid;
    v->device = b->by_pid && has_ld(b) ? b->device + 1 : 0;
    if (has_ld(b)) {
        ld = ld_of(fm, b);
        ld->bound = b->component + 1;
        ld->vcs = b->vcs;
        ld->vppb = b->vppb;
    }
}

enum cxlf_cci fm_begin_bind(struct fm_call *c, const struct cxlf_fm_binding *b)
{
    set_bound(c->fm, b);
    return begin(c, b, !has_ld(b) || ld_of(c->fm, b)->erased ?
                 CXLF_FM_SHOW : CXLF_FM_ERASE_FIRST);
}

enum cxlf_cci fm_begin_unbind(struct fm_call *c,
                              const struct cxlf_fm_binding *b)
{
    return begin(c, b, CXLF_FM_HIDE);
}

/* The device at a port, if one can be bound there. */
static bool find_device(struct fm_call *c, struct cxlf_fm_binding *b)
{
    const struct cxlf_fm_port *port =
        &fm_switch(c->fm, c->component)->port[b->port];
    const struct cxlf_fm_device *d;

    if (!port->exists || port->state != CXLF_FM_PORT_DSP || !port->peer ||
        c->fm->component[port->peer - 1].kind != CXLF_FM_DEVICE) {
        return false;
    }
    b->device = port->peer - 1;
    d = fm_device(c->fm, b->device);
    return d->multi ? b->ld < d->lds && d->ld[b->ld].head == port->peer_port :
           b->ld == CXLF_FM_LD_NONE;
}

static bool is_unbound(struct fm_call *c, const struct cxlf_fm_binding *b)
{
    const struct cxlf_fm_vcs *v = fm_vcs(c, b->vcs);

    return v && b->vppb > 0 && b->vppb < v->vppbs &&
           v->vppb[b->vppb].status == CXLF_FM_UNBOUND;
}

/* Whether a vPPB is free for what is at a port, and that is nobody's. */
static bool is_free(struct fm_call *c, struct cxlf_fm_binding *b)
{
    return is_unbound(c, b) && find_device(c, b) && !ld_of(c->fm, b)->bound;
}

bool fm_is_free_by_pid(struct fm_call *c, struct cxlf_fm_binding *b)
{
    unsigned device;

    b->device = CXLF_FM_NO_DEVICE;
    b->ld = CXLF_FM_LD_NONE;
    if (!is_unbound(c, b) || b->pid >= CXLF_FM_PID_NONE) {
        return false;
    }
    if (fm_find_ld(c->fm, b->pid, &device, &b->ld)) {
        b->device = device;
    }
    return !has_ld(b) || !ld_of(c->fm, b)->bound;
}

bool fm_find_bound(struct fm_call *c, struct cxlf_fm_binding *b)
{
    const struct cxlf_fm_vppb *v = vppb_of(c->fm, b);

    b->port = v->port;
    b->ld = v->ld;
    b->pid = v->pid;
    b->by_pid = v->status == CXLF_FM_BOUND_PID;
    b->device = v->device ? v->device - 1u : CXLF_FM_NO_DEVICE;
    return b->by_pid || ((v->status == CXLF_FM_BOUND_PORT ||
                          v->status == CXLF_FM_BOUND_LD) &&
                         find_device(c, b));
}

bool cxlf_fm_bound(struct cxlf_fm *fm, const struct cxlf_fm_binding *binding)
{
    struct cxlf_fm_binding b = *binding;
    struct fm_call c = { .fm = fm, .component = b.component };

    if (!b.by_pid) {
        b.pid = CXLF_FM_PID_NONE;
    }
    if (b.by_pid ? !fm_is_free_by_pid(&c, &b) || !has_ld(&b) :
                   !is_free(&c, &b)) {
        return false;
    }
    set_bound(fm, &b);
    vppb_of(fm, &b)->status = bound_status(&b);
    ld_of(fm, &b)->erased = false;
    return true;
}

static enum cxlf_cci bind_vppb(struct fm_call *c)
{
    struct cxlf_fm_binding b = {
        .component = c->component, .vcs = c->in[0], .vppb = c->in[1],
        .port = c->in[2], .ld = get16(c->in + 4), .pid = CXLF_FM_PID_NONE,
    };

    if (c->c->background.phase != CXLF_FM_IDLE) {
        return CXLF_CCI_BUSY;
    }
    if (!is_free(c, &b)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    return fm_begin_bind(c, &b);
}

static enum cxlf_cci unbind_vppb(struct fm_call *c)
{
    struct cxlf_fm_binding b = {
        .component = c->component, .vcs = c->in[0], .vppb = c->in[1],
        .option = c->in[2],
    };
    const struct cxlf_fm_vcs *v = fm_vcs(c, b.vcs);

    if (c->c->background.phase != CXLF_FM_IDLE) {
        return CXLF_CCI_BUSY;
    }
    if (!v || b.vppb == 0 || b.vppb >= v->vppbs || b.option > 2 ||
        !fm_find_bound(c, &b)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    return fm_begin_unbind(c, &b);
}

static enum cxlf_cci generate_aer(struct fm_call *c)
{
    const struct cxlf_fm_vcs *v = fm_vcs(c, c->in[0]);
    struct cxlf_fm_event event = {
        .component = c->component, .type = CXLF_FM_AER,
        .a = c->in[0], .b = c->in[1], .start = get32(c->in + 4),
    };

    if (!v || event.b >= v->vppbs ||
        v->vppb[event.b].status < CXLF_FM_BOUND_PORT ||
        !cxlf_aer_is_error(event.start)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    memcpy(event.tag, c->in + 8, sizeof(event.tag));
    c->fm->ops.event(c->fm->opaque, &event);
    return CXLF_CCI_SUCCESS;
}

#define BIND (CXLF_CEL_CONFIG | CXLF_CEL_DATA | CXLF_CEL_BACKGROUND)

const struct fm_row fm_rows_virtual_switch[] = {
    { 0x5200, FM_ON_SWITCH, 0, 0, 0, 3, 1, 2, 1, 4, 4,
      get_vcs_info, "Get VCS Info" },
    { 0x5201, FM_ON_SWITCH, 0, 0, BIND, 6, 0, 0, 0, 0, 0,
      bind_vppb, "Bind vPPB" },
    { 0x5202, FM_ON_SWITCH, 0, 0, BIND, 3, 0, 0, 0, 0, 0,
      unbind_vppb, "Unbind vPPB" },
    { 0x5203, FM_ON_SWITCH, 0, 0, 0, 40, 0, 0, 0, 0, 0,
      generate_aer, "Generate AER Event" },
    { 0 }
};
