/*
 * Fabric Manager: commands of a PBR switch
 * (docs/fabric-manager.md, set 57)
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

#define DRT_ENTRIES     4096u
#define PARTNER_SIZE    0x36u
#define DESCRIPTOR_SIZE 0x27u

enum entry_type { ENTRY_INVALID, ENTRY_PORT, ENTRY_RGT };

static struct cxlf_fm_switch *this_switch(struct fm_call *c)
{
    return fm_switch(c->fm, c->component);
}

static enum cxlf_cci identify_pbr_switch(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = this_switch(c);
    uint64_t gaes = 0;

    for (unsigned i = 0; i < CXLF_FM_VCSS; i++) {
        gaes |= (uint64_t)(s->vcs[i].exists && s->vcs[i].gae) << i;
    }
    put64(c, gaes);
    put8(c, s->drts);
    put8(c, s->rgts);
    put8(c, 0);
    put8(c, s->modes);
    return CXLF_CCI_SUCCESS;
}

/* The port of an entry of the RGT: its primary one, else the first, if up. */
static bool port_of_group(const struct cxlf_fm *fm, unsigned component,
                          const uint8_t group[12], unsigned *port)
{
    unsigned highest = group[8] & 7;

    *port = group[group[8] >> 3 & 7];
    for (unsigned i = 0; !fm_port_up(fm, component, *port); i++) {
        if (i > highest) {
            return false;
        }
        *port = group[i];
    }
    return true;
}

/* The port towards a PID, by the first table; false: there is no way. */
static bool port_to(const struct cxlf_fm *fm, unsigned component,
                    unsigned pid, unsigned *port)
{
    const struct cxlf_fm_switch *s = &fm->sw[fm->component[component].index];
    uint8_t entry[2], group[12];

    if (!s->drts || !fm->ops.drt_get ||
        !fm->ops.drt_get(fm->opaque, component, 0, pid, entry)) {
        return false;
    }
    *port = entry[1];
    if ((entry[0] & 3) == ENTRY_RGT) {
        if (!s->rgts || entry[1] >= s->rgt_entries || !fm->ops.rgt_get ||
            !fm->ops.rgt_get(fm->opaque, component, 0, entry[1], group) ||
            !port_of_group(fm, component, group, port)) {
            return false;
        }
    } else if ((entry[0] & 3) != ENTRY_PORT) {
        return false;
    }
    return fm_port_up(fm, component, *port);
}

/* The component with a PID, from switch to switch as their tables say. */
static bool find_pid(const struct cxlf_fm *fm, unsigned component,
                     unsigned pid, unsigned *found, unsigned *ingress)
{
    for (unsigned hop = 0; hop < CXLF_FM_HOPS; hop++) {
        const struct cxlf_fm_port *p;
        const struct cxlf_fm_component *peer;
        unsigned port;

        if (!port_to(fm, component, pid, &port)) {
            return false;
        }
        p = &fm->sw[fm->component[component].index].port[port];
        if (!p->peer) {
            return false;
        }
        component = p->peer - 1;
        peer = &fm->component[component];
        if (peer->pid == pid ||
            (peer->kind != CXLF_FM_SWITCH && p->pid == pid)) {
            *found = component;
            *ingress = p->peer_port;
            return true;
        }
        if (peer->kind != CXLF_FM_SWITCH) {
            return false;
        }
    }
    return false;
}

static enum cxlf_cci crawl_out(struct fm_call *c)
{
    unsigned target = get16(c->in), type = c->in[2] & 0xf;
    size_t length = get16(c->in + 4);
    struct cxlf_fm_who who = { .pid = c->who->pid };
    const uint8_t *message = c->in + 6;
    unsigned component, port;

    if (length < CXLF_FM_MESSAGE || length != c->in_len - 6) {
        return CXLF_CCI_INVALID_LENGTH;
    }
    if (!fm_message_ok(message, length) || type > 1) {
        return CXLF_CCI_INVALID_INPUT;
    }
    if (c->crawls >= CXLF_FM_CRAWLS) {
        return CXLF_CCI_UNSUPPORTED;
    }
    if (type == 0) {
        const struct cxlf_fm_port *p = &this_switch(c)->port[target & 0xff];

        if (target >= CXLF_FM_PORTS || !p->peer ||
            !fm_port_up(c->fm, c->component, target)) {
            return CXLF_CCI_INVALID_INPUT;
        }
        component = p->peer - 1;
        port = p->peer_port;
    } else if (target >= CXLF_FM_PID_NONE ||
               !find_pid(c->fm, c->component, target, &component, &port)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    who.port = port;
    c->crawls++;
    return fm_inner(c, &who, component, message, length);
}

static enum cxlf_cci get_partners(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = this_switch(c);
    unsigned n = c->in[0];

    put8(c, n);
    put_zeros(c, 3);
    for (unsigned i = 0; i < n; i++) {
        const struct cxlf_fm_port *p = &s->port[c->in[1 + i]];
        const struct cxlf_fm_component *peer;
        size_t end = c->out_len + PARTNER_SIZE;

        if (!p->exists) {
            return CXLF_CCI_INVALID_INPUT;
        }
        put8(c, c->in[1 + i]);
        if (p->peer) {
            peer = &c->fm->component[p->peer - 1];
            put8(c, 1 + peer->kind);
            put16(c, peer->pid);
            put8(c, p->peer_port);
            put_zeros(c, 3);
            put16(c, peer->vendor);
            put16(c, peer->device);
            put32(c, 0);
            put64(c, peer->serial);
        }
        put_zeros(c, end - c->out_len);
    }
    return CXLF_CCI_SUCCESS;
}

static struct cxlf_fm_vppb *vppb_of(struct fm_call *c, unsigned vcs,
                                    unsigned vppb)
{
    struct cxlf_fm_vcs *v = fm_vcs(c, vcs);

    return v && vppb && vppb < v->vppbs ? &v->vppb[vppb] : NULL;
}

static enum cxlf_cci get_pid_binding(struct fm_call *c)
{
    const struct cxlf_fm_vppb *v = vppb_of(c, c->in[0], c->in[1]);

    if (!v) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put16(c, v->pid);
    put16(c, 0);
    put64(c, v->latency_base);
    put16(c, v->latency);
    put64(c, v->bandwidth_base);
    put16(c, v->bandwidth);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci configure_pid_binding(struct fm_call *c)
{
    enum { MANAGED = 1 };       /* option of Unbind vPPB */
    struct cxlf_fm_binding b = {
        .component = c->component, .vcs = c->in[1], .vppb = c->in[2],
        .by_pid = true, .option = MANAGED, .pid = get16(c->in + 4),
    };
    struct cxlf_fm_vppb *v = vppb_of(c, b.vcs, b.vppb);

    if (c->c->background.phase != CXLF_FM_IDLE) {
        return CXLF_CCI_BUSY;
    }
    if (!v || c->in[0] > 1) {
        return CXLF_CCI_INVALID_INPUT;
    }
    if (c->in[0] == 1) {
        return v->status == CXLF_FM_BOUND_PID && fm_find_bound(c, &b) ?
               fm_begin_unbind(c, &b) : CXLF_CCI_INVALID_INPUT;
    }
    if (!fm_is_free_by_pid(c, &b)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    v->latency_base = get64(c->in + 8);
    v->latency = get16(c->in + 0x10);
    v->bandwidth_base = get64(c->in + 0x12);
    v->bandwidth = get16(c->in + 0x1a);
    return fm_begin_bind(c, &b);
}

static enum cxlf_cci get_descriptors(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = this_switch(c);
    unsigned start = get16(c->in), wanted = get16(c->in + 2);
    unsigned total = s->drts + s->rgts;

    if (start > total) {
        return CXLF_CCI_INVALID_INPUT;
    }
    wanted = total - start < wanted ? total - start : wanted;
    wanted = fm_fit(c, 4, DESCRIPTOR_SIZE, wanted);
    put16(c, start);
    put16(c, wanted);
    for (unsigned i = start; i < start + wanted; i++) {
        bool rgt = i >= s->drts;
        uint8_t ports[CXLF_FM_PORTS / 8] = { 0 };

        for (unsigned p = 0; p < CXLF_FM_PORTS; p++) {
            ports[p / 8] |= s->port[p].exists << p % 8;
        }
        put8(c, rgt);
        put8(c, rgt ? i - s->drts : i);
        put16(c, rgt ? s->rgt_entries : DRT_ENTRIES);
        put_bytes(c, ports, sizeof(ports));
        put_zeros(c, 3);
    }
    return CXLF_CCI_SUCCESS;
}

/* {table, rsv, n16, start16}: whether the entries are in the table */
static bool in_table(const struct fm_call *c, unsigned tables,
                     unsigned entries)
{
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    return c->in[0] < tables && n && start + n <= entries;
}

static enum cxlf_cci get_drt(struct fm_call *c)
{
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    if (!in_table(c, this_switch(c)->drts, DRT_ENTRIES)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put_bytes(c, c->in, 6);
    put16(c, 0);
    for (unsigned i = start; i < start + n; i++) {
        uint8_t entry[2] = { 0 };

        if (!c->fm->ops.drt_get(c->fm->opaque, c->component, c->in[0], i,
                                entry)) {
            return CXLF_CCI_INTERNAL_ERROR;
        }
        put_bytes(c, entry, sizeof(entry));
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci set_drt(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = this_switch(c);
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    if (!in_table(c, s->drts, DRT_ENTRIES)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *e = c->in + 6 + 2 * i;

        if (e[0] > ENTRY_RGT || (e[0] == ENTRY_INVALID && e[1]) ||
            (e[0] == ENTRY_PORT && !s->port[e[1]].exists) ||
            (e[0] == ENTRY_RGT && (!s->rgts || e[1] >= s->rgt_entries))) {
            return CXLF_CCI_INVALID_INPUT;
        }
    }
    return c->fm->ops.drt_set(c->fm->opaque, c->component, c->in[0], start,
                              n, c->in + 6) ?
           CXLF_CCI_SUCCESS : CXLF_CCI_INTERNAL_ERROR;
}

static enum cxlf_cci get_rgt(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = this_switch(c);
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    if (!in_table(c, s->rgts, s->rgt_entries)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put_bytes(c, c->in, 6);
    for (unsigned i = start; i < start + n; i++) {
        uint8_t entry[12] = { 0 };

        if (!c->fm->ops.rgt_get(c->fm->opaque, c->component, c->in[0], i,
                                entry)) {
            return CXLF_CCI_INTERNAL_ERROR;
        }
        put_bytes(c, entry, sizeof(entry));
    }
    return CXLF_CCI_SUCCESS;
}

/* 8 ports, highest valid and primary, mode and mix, reserved */
static bool group_ok(const struct cxlf_fm_switch *s, const uint8_t *e)
{
    unsigned highest = e[8] & 7, primary = e[8] >> 3 & 7, mode = e[9] & 7;

    if (e[8] >> 6 || e[9] >> 6 || e[10] || e[11] || primary > highest ||
        !(s->modes >> mode & 1)) {
        return false;
    }
    for (unsigned i = 0; i <= highest; i++) {
        if (!s->port[e[i]].exists) {
            return false;
        }
    }
    return true;
}

static enum cxlf_cci set_rgt(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = this_switch(c);
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    if (!in_table(c, s->rgts, s->rgt_entries)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!group_ok(s, c->in + 6 + 12 * i)) {
            return CXLF_CCI_INVALID_INPUT;
        }
    }
    return c->fm->ops.rgt_set(c->fm->opaque, c->component, c->in[0], start,
                              n, c->in + 6) ?
           CXLF_CCI_SUCCESS : CXLF_CCI_INTERNAL_ERROR;
}

#define ROUTES (CXLF_CEL_CONFIG | CXLF_CEL_DATA)

const struct fm_row fm_rows_pbr_switch[] = {
    { 0x5700, FM_ON_SWITCH, 0, 0, 0, 0, 0, 0, 0, 12, 0,
      identify_pbr_switch, "Identify PBR Switch" },
    { 0x5701, FM_ON_SWITCH, 0, 0, ROUTES, 6, FM_REST, 0, 0, 16, 0,
      crawl_out, "Fabric Crawl Out" },
    { 0x5702, FM_ON_SWITCH, 0, 0, 0, 1, 1, 0, 1, 4, PARTNER_SIZE,
      get_partners, "Get PBR Link Partner Info" },
    { 0x5703, FM_ON_SWITCH, 0, 0, 0, 4, 0, 0, 0, 4, 0,
      fm_get_targets, "Get PID Target List" },
    { 0x5704, FM_ON_SWITCH, 0, 0, CXLF_CEL_CONFIG, 4, 5, 2, 2, 0, 0,
      fm_assign_pids, "Configure PID Assignment" },
    { 0x5705, FM_ON_SWITCH, 0, 0, 0, 2, 0, 0, 0, 0x18, 0,
      get_pid_binding, "Get PID Binding" },
    { 0x5706, FM_ON_SWITCH, 0, 0, ROUTES | CXLF_CEL_BACKGROUND,
      0x1c, 0, 0, 0, 0, 0, configure_pid_binding, "Configure PID Binding" },
    { 0x5707, FM_ON_SWITCH, 0, 0, 0, 4, 0, 0, 0, 4, 0,
      get_descriptors, "Get Table Descriptors" },
    { 0x5708, FM_ON_SWITCH, 0, FM_NEED_DRT_GET, 0, 6, 0, 2, 2, 8, 2,
      get_drt, "Get DRT" },
    { 0x5709, FM_ON_SWITCH, 0, FM_NEED_DRT_SET, ROUTES, 6, 2, 2, 2, 0, 0,
      set_drt, "Set DRT" },
    { 0x570a, FM_ON_SWITCH, 0, FM_NEED_RGT_GET, 0, 6, 0, 2, 2, 6, 12,
      get_rgt, "Get RGT" },
    { 0x570b, FM_ON_SWITCH, 0, FM_NEED_RGT_SET, ROUTES, 6, 12, 2, 2, 0, 0,
      set_rgt, "Set RGT" },
    { 0 }
};
