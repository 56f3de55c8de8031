/*
 * Fabric Manager: commands of any component, and of PBR components
 * (docs/fabric-manager.md, sets 00, 04 and 07)
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

#define UUID_SIZE 16

/* CXL r3.1 section 8.2.9.5.2.1: Command Effects Log */
static const uint8_t cel_uuid[UUID_SIZE] = {
    0x0d, 0xa9, 0xc0, 0xb5, 0xbf, 0x41, 0x4b, 0x78,
    0x8f, 0x79, 0x96, 0xb1, 0x62, 0x3b, 0x3f, 0x17,
};

static enum cxlf_cci identify(struct fm_call *c)
{
    static const uint8_t type[CXLF_FM_KINDS] = { 0, 3, 3 };

    put16(c, c->c->vendor);
    put16(c, c->c->device);
    put32(c, 0);                /* subsystem */
    put64(c, c->c->serial);
    put8(c, CXLF_FM_PAYLOAD_LOG);
    put8(c, type[c->c->kind]);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci background_status(struct fm_call *c)
{
    const struct cxlf_fm_background *b = &c->c->background;

    put8(c, b->percent << 1 | (b->phase != CXLF_FM_IDLE));
    put8(c, 0);
    put16(c, b->opcode);
    put16(c, b->result);
    put16(c, 0);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_limit(struct fm_call *c)
{
    put8(c, c->c->limit);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci set_limit(struct fm_call *c)
{
    if (c->in[0] < 8 || c->in[0] > CXLF_FM_PAYLOAD_LOG) {
        return CXLF_CCI_INVALID_INPUT;
    }
    c->c->limit = c->in[0];
    return get_limit(c);
}

static unsigned commands(const struct fm_call *c)
{
    unsigned n = 0;

    while (fm_row_of(c, n)) {
        n++;
    }
    return n;
}

static enum cxlf_cci get_supported_logs(struct fm_call *c)
{
    put16(c, 1);
    put_zeros(c, 6);
    put_bytes(c, cel_uuid, UUID_SIZE);
    put32(c, 4 * commands(c));
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_log(struct fm_call *c)
{
    uint32_t offset = get32(c->in + 0x10), length = get32(c->in + 0x14);
    uint32_t size = 4 * commands(c);

    if (memcmp(c->in, cel_uuid, UUID_SIZE)) {
        return CXLF_CCI_INVALID_LOG;
    }
    if (offset > size || length > size - offset || length > c->out_cap) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (uint32_t i = offset; i < offset + length; i++) {
        const struct fm_row *row = fm_row_of(c, i / 4);
        uint8_t entry[4];

        set_le(entry, row->opcode, 2);
        set_le(entry + 2, row->effects, 2);
        put8(c, entry[i % 4]);
    }
    return CXLF_CCI_SUCCESS;
}

static void put_identity(struct fm_call *c, const struct cxlf_fm_identity *fm)
{
    put16(c, fm->pid);
    put_bytes(c, fm->uuid, UUID_SIZE);
}

static enum cxlf_cci identify_pbr(struct fm_call *c)
{
    put16(c, c->c->pid);
    put_identity(c, &c->c->primary);
    put_identity(c, &c->c->secondary);
    return CXLF_CCI_SUCCESS;
}

static bool is(const struct cxlf_fm_identity *fm, uint16_t pid)
{
    return fm->pid != CXLF_FM_PID_NONE && fm->pid == pid;
}

static enum cxlf_cci claim_primary(struct fm_call *c,
                                   const struct cxlf_fm_identity *fm,
                                   uint16_t assigned)
{
    bool again = is(&c->c->primary, c->who->pid);

    if ((c->c->primary.pid != CXLF_FM_PID_NONE && !again) ||
        assigned >= CXLF_FM_PID_NONE || is(&c->c->secondary, fm->pid)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    c->c->primary = *fm;
    c->c->pid = assigned;
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci claim_secondary(struct fm_call *c,
                                     const struct cxlf_fm_identity *fm)
{
    bool empty = c->c->secondary.pid == CXLF_FM_PID_NONE;

    if (c->c->primary.pid == CXLF_FM_PID_NONE ||
        is(&c->c->primary, fm->pid) ||
        (!is(&c->c->primary, c->who->pid) &&
         !is(&c->c->secondary, c->who->pid) &&
         !(empty && c->who->pid == fm->pid))) {
        return CXLF_CCI_INVALID_INPUT;
    }
    c->c->secondary = *fm;
    return CXLF_CCI_SUCCESS;
}

/* The Fabric Manager of that UUID has another PID now. */
static enum cxlf_cci update_pid(struct fm_call *c,
                                const struct cxlf_fm_identity *fm)
{
    struct cxlf_fm_identity *which[] = { &c->c->primary, &c->c->secondary };

    for (unsigned i = 0; i < 2; i++) {
        if (which[i]->pid != CXLF_FM_PID_NONE &&
            !memcmp(which[i]->uuid, fm->uuid, UUID_SIZE)) {
            if ((!is(&c->c->primary, c->who->pid) &&
                 !is(which[i], c->who->pid)) || is(which[!i], fm->pid)) {
                return CXLF_CCI_INVALID_INPUT;
            }
            which[i]->pid = fm->pid;
            return CXLF_CCI_SUCCESS;
        }
    }
    return CXLF_CCI_INVALID_INPUT;
}

static enum cxlf_cci promote(struct fm_call *c,
                             const struct cxlf_fm_identity *fm)
{
    if (!is(&c->c->secondary, fm->pid) ||
        memcmp(c->c->secondary.uuid, fm->uuid, UUID_SIZE) ||
        (!is(&c->c->primary, c->who->pid) &&
         !is(&c->c->secondary, c->who->pid))) {
        return CXLF_CCI_INVALID_INPUT;
    }
    c->c->primary = c->c->secondary;
    c->c->secondary = (struct cxlf_fm_identity) { .pid = CXLF_FM_PID_NONE };
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci claim_ownership(struct fm_call *c)
{
    struct cxlf_fm_identity fm = { .pid = get16(c->in + 1) };
    uint16_t before = c->c->primary.pid;
    enum cxlf_cci code = CXLF_CCI_INVALID_INPUT;

    memcpy(fm.uuid, c->in + 3, UUID_SIZE);
    if (fm.pid >= CXLF_FM_PID_NONE) {
        return CXLF_CCI_INVALID_INPUT;
    }
    switch (c->in[0]) {
    case 0:
        code = claim_primary(c, &fm, get16(c->in + 0x13));
        break;
    case 1:
        code = claim_secondary(c, &fm);
        break;
    case 2:
        code = update_pid(c, &fm);
        break;
    case 3:
        code = promote(c, &fm);
        break;
    }
    if (code != CXLF_CCI_SUCCESS) {
        return code;
    }
    if (before != c->c->primary.pid) {
        c->fm->ops.event(c->fm->opaque, &(struct cxlf_fm_event) {
            .component = c->component, .type = CXLF_FM_OWNER_CHANGED,
            .a = c->c->primary.pid,
        });
    }
    put_identity(c, &c->c->primary);
    put_identity(c, &c->c->secondary);
    return CXLF_CCI_SUCCESS;
}

/* opcode, on, access, need, effects, in, each, count, its size, out, each */
const struct fm_row fm_rows_generic[] = {
    { 0x0001, FM_ON_ALL, FM_ANYONE, 0, 0, 0, 0, 0, 0, 18, 0,
      identify, "Identify" },
    { 0x0002, FM_ON_ALL, FM_PRIMARY, 0, 0, 0, 0, 0, 0, 8, 0,
      background_status, "Background Operation Status" },
    { 0x0003, FM_ON_ALL, FM_PRIMARY, 0, 0, 0, 0, 0, 0, 1, 0,
      get_limit, "Get Response Message Limit" },
    { 0x0004, FM_ON_ALL, FM_PRIMARY, 0, CXLF_CEL_CONFIG, 1, 0, 0, 0, 1, 0,
      set_limit, "Set Response Message Limit" },
    { 0x0400, FM_ON_ALL, FM_ANYONE, 0, 0, 0, 0, 0, 0, 28, 0,
      get_supported_logs, "Get Supported Logs" },
    { 0x0401, FM_ON_ALL, FM_ANYONE, 0, 0, 0x18, 0, 0, 0, 0, 0,
      get_log, "Get Log" },
    { 0 }
};

const struct fm_row fm_rows_pbr_component[] = {
    { 0x0700, FM_ON_SWITCH | FM_ON_GFD, FM_ANYONE, 0, 0,
      0, 0, 0, 0, 0x26, 0, identify_pbr, "Identify PBR Component" },
    { 0x0701, FM_ON_SWITCH | FM_ON_GFD, FM_MANAGER, 0, CXLF_CEL_CONFIG,
      0x15, 0, 0, 0, 0x24, 0, claim_ownership, "Claim Ownership" },
    { 0 }
};
