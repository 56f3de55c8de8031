/*
 * Fabric Manager: the dispatcher of commands
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

static const struct fm_row *const sets[] = {
    fm_rows_generic, fm_rows_pbr_component, fm_rows_gfd,
    fm_rows_physical_switch, fm_rows_virtual_switch, fm_rows_mld_port,
    fm_rows_mld_component, fm_rows_multi_headed, fm_rows_dcd,
    fm_rows_pbr_switch, fm_rows_gae, fm_rows_gae_management,
};

#define SETS (sizeof(sets) / sizeof(sets[0]))

static bool is_available(const struct cxlf_fm_ops *ops, unsigned need)
{
    switch (need) {
    case FM_NEED_PORT_CONTROL:
        return ops->port_control;
    case FM_NEED_CONFIG:
        return ops->config;
    case FM_NEED_ACCESS:
        return ops->access;
    case FM_NEED_DRT_GET:
        return ops->drt_get;
    case FM_NEED_DRT_SET:
        return ops->drt_set;
    case FM_NEED_RGT_GET:
        return ops->rgt_get;
    case FM_NEED_RGT_SET:
        return ops->rgt_set;
    default:
        return true;
    }
}

static bool knows(const struct fm_call *c, const struct fm_row *row)
{
    const struct cxlf_fm_dcd *dcd = fm_dcd(c->fm, c->component);
    unsigned is = 1u << c->c->kind;

    if (c->c->kind == CXLF_FM_DEVICE) {
        const struct cxlf_fm_device *d = fm_device(c->fm, c->component);

        is |= (d->multi ? FM_ON_MLD : 0) | (d->heads > 1 ? FM_ON_MHD : 0);
    } else if (c->c->kind == CXLF_FM_SWITCH) {
        is |= fm_switch(c->fm, c->component)->gaes ? FM_ON_GAE : 0;
    }
    is |= dcd && dcd->regions ? FM_ON_DCD : 0;
    return row->on & is && is_available(&c->fm->ops, row->need) &&
           (row->access != FM_GAE_HOST || fm_sender_has_gae(c));
}

const struct fm_row *fm_row_of(const struct fm_call *c, unsigned at)
{
    for (unsigned i = 0; i < SETS; i++) {
        for (const struct fm_row *row = sets[i]; row->handler; row++) {
            if (knows(c, row) && at-- == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static const struct fm_row *find(uint16_t opcode)
{
    for (unsigned i = 0; i < SETS; i++) {
        if (sets[i]->opcode >> 8 != opcode >> 8 && i) {
            continue;
        }
        for (const struct fm_row *row = sets[i]; row->handler; row++) {
            if (row->opcode == opcode) {
                return row;
            }
        }
    }
    return NULL;
}

const char *cxlf_fm_command_name(uint16_t opcode)
{
    const struct fm_row *row = find(opcode);

    return row ? row->name : NULL;
}

static bool is_allowed(const struct fm_call *c, const struct fm_row *row)
{
    if (c->who->host) {
        return row->access == FM_ANYONE || row->access == FM_GAE_HOST;
    }
    return row->access != FM_PRIMARY ||
           c->c->primary.pid == CXLF_FM_PID_NONE ||
           c->c->primary.pid == c->who->pid;
}

enum cxlf_cci fm_execute(struct fm_call *c)
{
    const struct fm_row *row = find(c->opcode);
    enum cxlf_cci code;
    size_t many = 0;

    c->out_len = 0;
    if (!row || !knows(c, row) || !is_allowed(c, row)) {
        return CXLF_CCI_UNSUPPORTED;
    }
    if (c->in_len < row->in || c->in_len > 1u << CXLF_FM_PAYLOAD_LOG) {
        return CXLF_CCI_INVALID_LENGTH;
    }
    if (row->count_size) {
        many = row->count_size == 1 ? c->in[row->count] :
               row->count_size == 2 ? get16(c->in + row->count) :
               get32(c->in + row->count);
    }
    if (row->each != FM_REST && c->in_len != row->in + many * row->each) {
        return CXLF_CCI_INVALID_LENGTH;
    }
    if (c->out_cap < row->out + many * row->out_each) {
        return CXLF_CCI_INVALID_INPUT;
    }
    code = row->handler(c);
    if (code != CXLF_CCI_SUCCESS) {
        c->out_len = 0;
    }
    return code;
}

enum cxlf_cci cxlf_fm_command(struct cxlf_fm *fm,
                              const struct cxlf_fm_who *who,
                              unsigned component, uint16_t opcode,
                              const uint8_t *in, size_t in_len,
                              uint8_t *out, size_t out_cap, size_t *out_len)
{
    struct fm_call c = {
        .fm = fm, .who = who, .component = component, .opcode = opcode,
        .in = in, .in_len = in_len, .out = out, .out_cap = out_cap,
    };
    enum cxlf_cci code;

    *out_len = 0;
    if (component >= fm->components) {
        return CXLF_CCI_INVALID_INPUT;
    }
    c.c = &fm->component[component];
    if (c.out_cap > 1u << c.c->limit) {
        c.out_cap = 1u << c.c->limit;
    }
    code = fm_execute(&c);
    *out_len = c.out_len;
    return code;
}

/* CXL r3.1 Figure 7-19: category, tag, rsv, opcode16, length24, rc16, vs16 */
bool fm_message_ok(const uint8_t *message, size_t length)
{
    return length >= CXLF_FM_MESSAGE && message[0] == 0 &&
           (get32(message + 4) >> 8 & 0xfffff) == length - CXLF_FM_MESSAGE;
}

void fm_message_answer(uint8_t *answer, const uint8_t *message,
                       enum cxlf_cci code, size_t length)
{
    memset(answer, 0, CXLF_FM_MESSAGE);
    answer[0] = 1;
    answer[1] = message[1];
    answer[3] = message[3];
    answer[4] = message[4];
    set_le(answer + 5, length, 3);
    set_le(answer + 8, code, 2);
}

enum cxlf_cci fm_inner(struct fm_call *outer, const struct cxlf_fm_who *who,
                       unsigned component, const uint8_t *message,
                       size_t length)
{
    /* The answer's length and header come first, in the outer answer. */
    const size_t before = 4 + CXLF_FM_MESSAGE;
    struct fm_call c = *outer;
    enum cxlf_cci code;

    c.who = who;
    c.component = component;
    c.c = &c.fm->component[component];
    c.opcode = get16(message + 3);
    c.in = message + CXLF_FM_MESSAGE;
    c.in_len = length - CXLF_FM_MESSAGE;
    c.out = outer->out + before;
    c.out_cap = outer->out_cap - before;
    code = fm_execute(&c);
    outer->out_len = 0;
    put16(outer, CXLF_FM_MESSAGE + c.out_len);
    put16(outer, 0);
    fm_message_answer(outer->out + outer->out_len, message, code, c.out_len);
    outer->out_len += CXLF_FM_MESSAGE + c.out_len;
    return CXLF_CCI_SUCCESS;
}

/*
 * Which component, what of it (0: its background), and which time: not 0,
 * which waits for nothing.
 */
uint64_t fm_token(struct cxlf_fm *fm, unsigned component, unsigned what,
                  uint32_t *kept)
{
    fm->tokens = fm->tokens == UINT32_MAX ? 1 : fm->tokens + 1;
    *kept = fm->tokens;
    return (uint64_t)component << 48 | (uint64_t)what << 32 | *kept;
}

bool cxlf_fm_complete(struct cxlf_fm *fm, uint64_t token, bool success)
{
    unsigned component = token >> 48, what = token >> 32 & 0xffff;
    struct cxlf_fm_component *c;
    struct cxlf_fm_extent *e;
    struct cxlf_fm_dcd *d;

    if (component >= fm->components) {
        return false;
    }
    c = &fm->component[component];
    if (what == 0) {
        return c->background.phase != CXLF_FM_IDLE &&
               c->background.token == (uint32_t)token &&
               fm_background_complete(fm, component, success);
    }
    d = fm_dcd(fm, component);
    if (!d || what > CXLF_FM_EXTENTS) {
        return false;
    }
    e = &d->extent[what - 1];
    return e->length && e->erasing && e->token &&
           e->token == (uint32_t)token &&
           fm_extent_complete(fm, component, what - 1, success);
}
