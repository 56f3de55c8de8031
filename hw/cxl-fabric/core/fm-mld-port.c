/*
 * Fabric Manager: commands of MLD ports, and tunnels
 * (docs/fabric-manager.md, set 53)
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

/* A command for an LD's own CCI: it is answered outside of here. */
static enum cxlf_cci tunnel_to_ld(struct fm_call *c, unsigned ld,
                                  const uint8_t *message, size_t length)
{
    const size_t before = 4 + CXLF_FM_MESSAGE;
    size_t room = c->out_cap - before, answered = 0;
    enum cxlf_cci code = CXLF_CCI_UNSUPPORTED;

    if (c->fm->ops.ld_command) {
        code = c->fm->ops.ld_command(c->fm->opaque, c->component, ld,
                                     get16(message + 3),
                                     message + CXLF_FM_MESSAGE,
                                     length - CXLF_FM_MESSAGE,
                                     c->out + before, room, &answered);
    }
    if (answered > room) {
        return CXLF_CCI_INTERNAL_ERROR;
    }
    put16(c, CXLF_FM_MESSAGE + answered);
    put16(c, 0);
    fm_message_answer(c->out + c->out_len, message, code, answered);
    c->out_len += CXLF_FM_MESSAGE + answered;
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci tunnel(struct fm_call *c)
{
    enum { PORT_OR_LD, LD_POOL };
    struct cxlf_fm_who who = { .pid = c->who->pid };
    unsigned target = c->in[0], type = c->in[1];
    const uint8_t *message = c->in + 4;
    size_t length = get16(c->in + 2);
    const struct cxlf_fm_port *port;

    if (length < CXLF_FM_MESSAGE || length != c->in_len - 4) {
        return CXLF_CCI_INVALID_LENGTH;
    }
    if (!fm_message_ok(message, length)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    if (c->tunnels >= CXLF_FM_TUNNELS) {
        return CXLF_CCI_UNSUPPORTED;
    }
    c->tunnels++;
    if (c->c->kind == CXLF_FM_DEVICE) {
        const struct cxlf_fm_device *d = fm_device(c->fm, c->component);

        if (type == LD_POOL && d->heads > 1) {
            return fm_inner(c, &who, c->component, message, length);
        }
        if (type != PORT_OR_LD || !d->multi || target >= d->lds) {
            return CXLF_CCI_INVALID_INPUT;
        }
        return tunnel_to_ld(c, target, message, length);
    }
    port = &fm_switch(c->fm, c->component)->port[target];
    if (type != PORT_OR_LD || !fm_port_up(c->fm, c->component, target) ||
        port->state != CXLF_FM_PORT_DSP || !port->peer) {
        return CXLF_CCI_INVALID_INPUT;
    }
    return fm_inner(c, &who, port->peer - 1, message, length);
}

static bool is_ld(struct fm_call *c, unsigned port, unsigned ld)
{
    const struct cxlf_fm_port *p =
        &fm_switch(c->fm, c->component)->port[port];
    const struct cxlf_fm_component *peer;

    if (!fm_port_up(c->fm, c->component, port) || !p->peer) {
        return false;
    }
    peer = &c->fm->component[p->peer - 1];
    return peer->kind == CXLF_FM_DEVICE && c->fm->dev[peer->index].multi &&
           ld < c->fm->dev[peer->index].lds;
}

static enum cxlf_cci ld_config(struct fm_call *c)
{
    uint32_t word = get32(c->in);
    struct cxlf_fm_config request = {
        .component = c->component,
        .port = word,
        .ld = get16(c->in + 4),
        .reg = word >> 8 & 0xfff,
        .enables = word >> 20 & 0xf,
        .write = word >> 31,
        .data = get32(c->in + 8),
    };
    enum cxlf_cci code;

    if (!is_ld(c, request.port, request.ld) || request.reg & 3) {
        return CXLF_CCI_INVALID_INPUT;
    }
    code = c->fm->ops.config(c->fm->opaque, &request);
    put32(c, request.write ? 0 : request.data);
    return code;
}

static enum cxlf_cci ld_memory(struct fm_call *c)
{
    uint16_t field = get16(c->in + 1);
    struct cxlf_fm_access request = {
        .component = c->component,
        .port = c->in[0],
        .first = field >> 4 & 0xf,
        .last = field >> 8 & 0xf,
        .write = field >> 15,
        .ld = get16(c->in + 3),
        .length = get16(c->in + 5),
        .address = get64(c->in + 7),
    };
    size_t data = c->in_len - 15;
    uint8_t bytes[4096];
    enum cxlf_cci code;

    if (data != (request.write ? request.length : 0)) {
        return CXLF_CCI_INVALID_LENGTH;
    }
    if (!is_ld(c, request.port, request.ld) || request.length == 0 ||
        request.length > sizeof(bytes) ||
        request.address + request.length < request.address ||
        (!request.write && c->out_cap < 4u + request.length)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    memset(bytes, 0, sizeof(bytes));
    if (request.write) {
        memcpy(bytes, c->in + 15, request.length);
    }
    code = c->fm->ops.access(c->fm->opaque, &request, bytes);
    put16(c, request.write ? 0 : request.length);
    put16(c, 0);
    if (!request.write) {
        put_bytes(c, bytes, request.length);
    }
    return code;
}

const struct fm_row fm_rows_mld_port[] = {
    { 0x5300, FM_ON_SWITCH | FM_ON_MLD | FM_ON_MHD, 0, 0,
      CXLF_CEL_CONFIG | CXLF_CEL_DATA, 4, FM_REST, 0, 0, 16, 0,
      tunnel, "Tunnel Management Command" },
    { 0x5301, FM_ON_SWITCH, 0, FM_NEED_CONFIG,
      CXLF_CEL_CONFIG | CXLF_CEL_DATA, 12, 0, 0, 0, 4, 0,
      ld_config, "Send LD CXL.io Configuration Request" },
    { 0x5302, FM_ON_SWITCH, 0, FM_NEED_ACCESS,
      CXLF_CEL_CONFIG | CXLF_CEL_DATA, 15, FM_REST, 0, 0, 4, 0,
      ld_memory, "Send LD CXL.io Memory Request" },
    { 0 }
};
