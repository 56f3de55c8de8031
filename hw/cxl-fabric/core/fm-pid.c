/*
 * Fabric Manager: PIDs of ports and of LDs
 * (docs/fabric-manager.md, "Model", 5703 and 5704)
 *
 * A target of a switch is a port (instance 0), or an LD of the MLD behind a
 * downstream port (instance 1 and its number).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

static bool is_device(const struct cxlf_fm *fm, unsigned component, bool multi)
{
    const struct cxlf_fm_component *c = &fm->component[component];

    return c->kind == CXLF_FM_DEVICE && fm->dev[c->index].multi == multi;
}

/* The last instance that a port may have. */
static unsigned instances(struct fm_call *c, const struct cxlf_fm_port *p)
{
    return p->peer && is_device(c->fm, p->peer - 1, true) ?
           fm_device(c->fm, p->peer - 1)->lds : 0;
}

/* Where the PID of a target is; NULL: there is no such target. */
static uint16_t *pid_of(struct fm_call *c, unsigned port, unsigned instance)
{
    struct cxlf_fm_port *p;
    struct cxlf_fm_ld *ld;

    if (port >= CXLF_FM_PORTS) {
        return NULL;
    }
    p = &fm_switch(c->fm, c->component)->port[port];
    if (!p->exists || instance > instances(c, p)) {
        return NULL;
    }
    if (instance == 0) {
        return &p->pid;
    }
    ld = &fm_device(c->fm, p->peer - 1)->ld[instance - 1];
    return ld->head == p->peer_port ? &ld->pid : NULL;
}

enum cxlf_cci fm_get_targets(struct fm_call *c)
{
    static const uint8_t type[] = {
        [CXLF_FM_PORT_FABRIC] = 0, [CXLF_FM_PORT_USP] = 1,
        [CXLF_FM_PORT_DSP] = 2,
    };
    unsigned start = get16(c->in), wanted = get16(c->in + 2), total = 0;
    size_t fit = fm_fit(c, 4, 8, wanted), n = 0;

    c->out_len = 4;
    for (unsigned i = 0; i < CXLF_FM_PORTS; i++) {
        const struct cxlf_fm_port *p = &fm_switch(c->fm, c->component)->port[i];
        unsigned last = instances(c, p);

        for (unsigned instance = 0; p->exists && instance <= last;
             instance++) {
            const uint16_t *pid = pid_of(c, i, instance);

            if (!pid || total++ < start || n == fit) {
                continue;
            }
            put16(c, i);
            put8(c, type[p->state]);
            put8(c, instance);
            put8(c, p->vcs);
            put8(c, i);
            put16(c, *pid);
            n++;
        }
    }
    if (start > total) {
        return CXLF_CCI_INVALID_INPUT;
    }
    set_le(c->out, total, 2);
    set_le(c->out + 2, n, 2);
    return CXLF_CCI_SUCCESS;
}

/* The target of entry @i of a list of {PID16, target16, instance}. */
static uint16_t *listed(struct fm_call *c, const uint8_t *list, unsigned i)
{
    return pid_of(c, get16(list + 5 * i + 2), list[5 * i + 4]);
}

static bool is_listed(struct fm_call *c, const uint8_t *list, unsigned n,
                      const uint16_t *target)
{
    for (unsigned i = 0; i < n; i++) {
        if (listed(c, list, i) == target) {
            return true;
        }
    }
    return false;
}

/* Whether a target that stays as it is has @pid. */
static bool is_taken(struct fm_call *c, unsigned pid, const uint8_t *list,
                     unsigned n)
{
    for (unsigned i = 0; i < CXLF_FM_PORTS; i++) {
        const struct cxlf_fm_port *p = &fm_switch(c->fm, c->component)->port[i];
        unsigned last = instances(c, p);

        for (unsigned instance = 0; instance <= last; instance++) {
            const uint16_t *target = pid_of(c, i, instance);

            if (target && *target == pid && !is_listed(c, list, n, target)) {
                return true;
            }
        }
    }
    return false;
}

/* Whether all of a list can be assigned or cleared: each target once. */
static bool can_assign(struct fm_call *c, const uint8_t *list, unsigned n,
                       bool clear)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned pid = get16(list + 5 * i);
        const uint16_t *target = listed(c, list, i);

        if (pid >= CXLF_FM_PID_NONE || !target ||
            is_listed(c, list, i, target) || (clear && *target != pid)) {
            return false;
        }
        for (unsigned j = 0; j < i; j++) {
            if (get16(list + 5 * j) == pid) {
                return false;
            }
        }
        if (!clear && is_taken(c, pid, list, n)) {
            return false;
        }
    }
    return true;
}

enum cxlf_cci fm_assign_pids(struct fm_call *c)
{
    const uint8_t *list = c->in + 4;
    bool clear = c->in[0];
    unsigned n = get16(c->in + 2);

    if (c->in[0] > 1 || n == 0 || !can_assign(c, list, n, clear)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < n; i++) {
        *listed(c, list, i) = clear ? CXLF_FM_PID_NONE : get16(list + 5 * i);
    }
    return CXLF_CCI_SUCCESS;
}

/* An SLD has one LD, whose PID is that of its port. */
static bool find_sld(const struct cxlf_fm *fm, unsigned pid, unsigned *device)
{
    for (unsigned i = 0; i < fm->switches * CXLF_FM_PORTS; i++) {
        const struct cxlf_fm_port *p =
            &fm->sw[i / CXLF_FM_PORTS].port[i % CXLF_FM_PORTS];

        if (p->exists && p->peer && p->pid == pid &&
            is_device(fm, p->peer - 1, false)) {
            *device = p->peer - 1;
            return true;
        }
    }
    return false;
}

bool fm_find_ld(const struct cxlf_fm *fm, unsigned pid, unsigned *device,
                uint16_t *ld)
{
    for (unsigned i = 0; i < fm->components; i++) {
        const struct cxlf_fm_device *d = &fm->dev[fm->component[i].index];

        for (unsigned j = 0; is_device(fm, i, true) && j < d->lds; j++) {
            if (d->ld[j].pid == pid) {
                *device = i;
                *ld = j;
                return true;
            }
        }
    }
    *ld = CXLF_FM_LD_NONE;
    return find_sld(fm, pid, device);
}
