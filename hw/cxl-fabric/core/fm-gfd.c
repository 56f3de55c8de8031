/*
 * Fabric Manager: commands of a GFD
 * (docs/fabric-manager.md, set 49)
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

#define GDT_SIZE    0x20u
#define NOTIFY      (1u << 31)

static struct cxlf_fm_gfd *gfd(struct fm_call *c)
{
    return &c->fm->gfd[c->c->index];
}

static enum cxlf_cci get_sat(struct fm_call *c)
{
    unsigned start = get16(c->in), n = get16(c->in + 2);

    if (n == 0 || start + n > CXLF_FM_PID_NONE) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put_bytes(c, c->in, 4);
    put16(c, 0);
    for (unsigned i = start; i < start + n; i++) {
        const struct cxlf_fm_sat *s = &gfd(c)->sat[i];

        put32(c, s->groups | (s->notify ? NOTIFY : 0));
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci set_sat(struct fm_call *c)
{
    unsigned n = get16(c->in);

    for (unsigned i = 0; i < n; i++) {
        if (get16(c->in + 2 + 6 * i) >= CXLF_FM_PID_NONE) {
            return CXLF_CCI_INVALID_INPUT;
        }
    }
    if (!n || (c->fm->ops.sat_set &&
               !c->fm->ops.sat_set(c->fm->opaque, c->component, n,
                                   c->in + 2))) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned pid = get16(c->in + 2 + 6 * i);
        uint32_t value = get32(c->in + 4 + 6 * i);

        gfd(c)->sat[pid] = (struct cxlf_fm_sat) {
            .groups = value & ~NOTIFY, .notify = value & NOTIFY,
        };
        c->fm->ops.event(c->fm->opaque, &(struct cxlf_fm_event) {
            .component = c->component, .type = CXLF_FM_SAT_CHANGED, .a = pid,
        });
    }
    return CXLF_CCI_SUCCESS;
}

static bool in_gdt(const struct fm_call *c)
{
    return get16(c->in) < CXLF_FM_PID_NONE && c->in[3] &&
           c->in[2] + c->in[3] <= (int)CXLF_FM_GDTS;
}

static enum cxlf_cci get_gdt(struct fm_call *c)
{
    if (!in_gdt(c)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put_bytes(c, c->in, 4);
    put32(c, 0);
    for (unsigned i = c->in[2]; i < c->in[2] + (unsigned)c->in[3]; i++) {
        uint8_t entry[GDT_SIZE];

        memcpy(entry, gfd(c)->gdt[get16(c->in)][i].entry, sizeof(entry));
        entry[0] = i;
        put_bytes(c, entry, sizeof(entry));
    }
    return CXLF_CCI_SUCCESS;
}

/* Two valid decoders of a source PID must not take the same address. */
static bool meet(const uint8_t *a, const uint8_t *b)
{
    return a[1] && b[1] && get64(a + 4) < get64(b + 4) + get64(b + 0x14) &&
           get64(b + 4) < get64(a + 4) + get64(a + 0x14);
}

static bool decoder_ok(const uint8_t *e)
{
    uint64_t hpa = get64(e + 4), dpa = get64(e + 0xc);
    uint64_t length = get64(e + 0x14);

    return e[1] <= 1 && e[2] <= 1 && e[3] == 0 && e[0x1f] == 0 &&
           (!e[1] || (length && length % CXLF_FM_UNIT == 0 &&
                      hpa % CXLF_FM_UNIT == 0 && dpa % CXLF_FM_UNIT == 0 &&
                      hpa + length > hpa && dpa + length > dpa &&
                      e[0x1c] <= 4 && e[0x1d] <= 6 &&
                      e[0x1e] < 1 << e[0x1c]));
}

static enum cxlf_cci set_gdt(struct fm_call *c)
{
    struct cxlf_fm_gdt after[CXLF_FM_GDTS], *now;

    if (!in_gdt(c)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    now = gfd(c)->gdt[get16(c->in)];
    memcpy(after, now, sizeof(after));
    for (unsigned i = 0; i < c->in[3]; i++) {
        const uint8_t *e = c->in + 8 + GDT_SIZE * i;

        if (e[0] != c->in[2] + i || !decoder_ok(e)) {
            return CXLF_CCI_INVALID_INPUT;
        }
        memcpy(after[e[0]].entry, e, GDT_SIZE);
    }
    for (unsigned i = 0; i < CXLF_FM_GDTS; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (meet(after[i].entry, after[j].entry)) {
                return CXLF_CCI_INVALID_INPUT;
            }
        }
    }
    if (c->fm->ops.gdt_set &&
        !c->fm->ops.gdt_set(c->fm->opaque, c->component, get16(c->in),
                            c->in[2], c->in[3], c->in + 8)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    memcpy(now, after, sizeof(after));
    return CXLF_CCI_SUCCESS;
}

#define CHANGE (CXLF_CEL_CONFIG | CXLF_CEL_DATA)

const struct fm_row fm_rows_gfd[] = {
    { 0x490c, FM_ON_GFD, 0, 0, 0, 6, 0, 2, 2, 6, 4,
      get_sat, "Get SAT Entry" },
    { 0x490d, FM_ON_GFD, 0, 0, CHANGE, 2, 6, 0, 2, 0, 0,
      set_sat, "Set SAT Entry" },
    { 0x4913, FM_ON_GFD, 0, 0, 0, 6, 0, 3, 1, 8, GDT_SIZE,
      get_gdt, "Get GDT" },
    { 0x4914, FM_ON_GFD, 0, 0, CHANGE, 8, GDT_SIZE, 3, 1, 0, 0,
      set_gdt, "Set GDT" },
    { 0 }
};
