/*
 * Fabric Manager: commands of a physical switch
 * (docs/fabric-manager.md, set 51)
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

/* Decoders of an upstream port; as CXL_HDM_DECODER_COUNT of QEMU. */
#define HDM_DECODERS 4

static enum cxlf_cci identify_switch(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = fm_switch(c->fm, c->component);
    unsigned ports = 0, vcss = 0, vppbs = 0, bound = 0;
    uint8_t port_map[32] = { 0 }, vcs_map[32] = { 0 };

    for (unsigned i = 0; i < CXLF_FM_PORTS; i++) {
        if (s->port[i].exists) {
            ports++;
            port_map[i / 8] |= 1 << i % 8;
        }
    }
    for (unsigned i = 0; i < CXLF_FM_VCSS; i++) {
        if (s->vcs[i].exists) {
            vcss++;
            vcs_map[i / 8] |= 1 << i % 8;
            vppbs += s->vcs[i].vppbs;
        }
        for (unsigned j = 0; j < s->vcs[i].vppbs; j++) {
            bound += s->vcs[i].vppb[j].status >= CXLF_FM_BOUND_PORT;
        }
    }
    put8(c, c->who->port);
    put8(c, 0);
    put8(c, ports > UINT8_MAX ? UINT8_MAX : ports);
    put8(c, vcss);
    put_bytes(c, port_map, sizeof(port_map));
    put_bytes(c, vcs_map, sizeof(vcs_map));
    put16(c, vppbs);
    put16(c, bound);
    put8(c, HDM_DECODERS);
    return CXLF_CCI_SUCCESS;
}

/* What is seen at the other end of a port, and how many LDs it has. */
static uint8_t partner(const struct cxlf_fm *fm,
                       const struct cxlf_fm_port *port, uint8_t *lds)
{
    const struct cxlf_fm_component *peer;

    *lds = 0;
    if (!port->peer) {
        return CXLF_FM_NOBODY;
    }
    peer = &fm->component[port->peer - 1];
    switch (peer->kind) {
    case CXLF_FM_DEVICE:
        *lds = fm->dev[peer->index].lds;
        return fm->dev[peer->index].multi ? CXLF_FM_MLD : CXLF_FM_SLD;
    case CXLF_FM_GFD:
        return CXLF_FM_A_GFD;
    default:
        return CXLF_FM_A_SWITCH;
    }
}

static uint8_t state(const struct fm_call *c, unsigned n,
                     const struct cxlf_fm_port *port)
{
    const struct cxlf_fm_background *b = &c->c->background;

    if (b->phase == CXLF_FM_IDLE || b->binding.by_pid ||
        b->binding.port != n) {
        return port->state;
    }
    return b->phase == CXLF_FM_HIDE || b->phase == CXLF_FM_ERASE ?
           CXLF_FM_PORT_UNBINDING : CXLF_FM_PORT_BINDING;
}

static void put_port(struct fm_call *c, unsigned n,
                     const struct cxlf_fm_port *port)
{
    enum { MODE_256B = 3, MODE_PBR = 5, CAN_256B = 1 << 2, CAN_PBR = 1 << 4 };
    enum { DETECT = 0 };        /* LTSSM state */
    bool fabric = port->state == CXLF_FM_PORT_FABRIC;
    uint8_t lds, type = partner(c->fm, port, &lds);

    put8(c, n);
    put8(c, state(c, n, port));
    put8(c, type == CXLF_FM_NOBODY ? 0 :
            fabric || type == CXLF_FM_A_GFD ? MODE_PBR : MODE_256B);
    put8(c, 0);
    put8(c, type);
    put8(c, CAN_256B | (fabric ? CAN_PBR : 0));
    put8(c, port->link.max_width);
    put8(c, port->link.width);
    put8(c, port->link.speeds);
    put8(c, port->link.max_speed);
    put8(c, port->link.speed);
    put8(c, fm_port_up(c->fm, c->component, n) ? port->link.ltssm : DETECT);
    put8(c, 0);                 /* first negotiated lane */
    put16(c, port->link.flags);
    put8(c, lds);
}

static enum cxlf_cci get_port_state(struct fm_call *c)
{
    const struct cxlf_fm_switch *s = fm_switch(c->fm, c->component);

    put8(c, c->in[0]);
    put_zeros(c, 3);
    for (unsigned i = 0; i < c->in[0]; i++) {
        unsigned n = c->in[1 + i];

        if (!s->port[n].exists) {
            return CXLF_CCI_INVALID_INPUT;
        }
        put_port(c, n, &s->port[n]);
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci port_control(struct fm_call *c)
{
    if (!fm_switch(c->fm, c->component)->port[c->in[0]].exists ||
        c->in[1] > 2) {
        return CXLF_CCI_INVALID_INPUT;
    }
    return c->fm->ops.port_control(c->fm->opaque, c->component, c->in[0],
                                   c->in[1]);
}

static enum cxlf_cci ppb_config(struct fm_call *c)
{
    uint32_t word = get32(c->in);
    struct cxlf_fm_config request = {
        .component = c->component,
        .port = word,
        .ld = CXLF_FM_LD_NONE,
        .reg = word >> 8 & 0xfff,
        .enables = word >> 20 & 0xf,
        .write = word >> 31,
        .data = get32(c->in + 4),
    };
    enum cxlf_cci code;

    if (!fm_switch(c->fm, c->component)->port[request.port].exists ||
        request.reg & 3) {
        return CXLF_CCI_INVALID_INPUT;
    }
    code = c->fm->ops.config(c->fm->opaque, &request);
    put32(c, request.write ? 0 : request.data);
    return code;
}

const struct fm_row fm_rows_physical_switch[] = {
    { 0x5100, FM_ON_SWITCH, 0, 0, 0, 0, 0, 0, 0, 73, 0,
      identify_switch, "Identify Switch Device" },
    { 0x5101, FM_ON_SWITCH, 0, 0, 0, 1, 1, 0, 1, 4, 16,
      get_port_state, "Get Physical Port State" },
    { 0x5102, FM_ON_SWITCH, 0, FM_NEED_PORT_CONTROL,
      CXLF_CEL_CONFIG | CXLF_CEL_DATA, 2, 0, 0, 0, 0, 0,
      port_control, "Physical Port Control" },
    { 0x5103, FM_ON_SWITCH, 0, FM_NEED_CONFIG,
      CXLF_CEL_CONFIG | CXLF_CEL_DATA, 8, 0, 0, 0, 4, 0,
      ppb_config, "Send PPB CXL.io Configuration Request" },
    { 0 }
};
