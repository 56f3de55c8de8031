/*
 * Fabric Manager: global memory access endpoints (GAE)
 * (docs/fabric-manager.md, sets 58 and 59)
 *
 * A host's commands come in by its USP, and are about the GAE of that VCS; the
 * Fabric Manager says which PIDs a GAE may reach.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

#define SEGMENT_SIZE    8u          /* bytes of an entry */
#define SIZES           8u          /* of segments: 64 GiB to 8 TiB */
#define SMALLEST        (64ull << 30)
#define MOST_WAYS       4u          /* both as logarithms */
#define MOST_GRAIN      6u          /* of 256 bytes */

enum segment_flags { VALID = 1, GIM = 2 };
enum vector { GMV, VTV };

static struct cxlf_fm_vcs *vcs_of_sender(const struct fm_call *c)
{
    struct cxlf_fm_switch *s = fm_switch(c->fm, c->component);
    const struct cxlf_fm_port *p = &s->port[c->who->port];

    /* Only USPs have a VCS. */
    return p->exists && p->vcs < CXLF_FM_VCSS && s->vcs[p->vcs].gae ?
           &s->vcs[p->vcs] : NULL;
}

bool fm_sender_has_gae(const struct fm_call *c)
{
    return c->c->kind == CXLF_FM_SWITCH && vcs_of_sender(c);
}

static struct cxlf_fm_gae *gae_of(struct fm_call *c)
{
    return &c->fm->gae[vcs_of_sender(c)->gae - 1];
}

static bool may_reach(const struct cxlf_fm_gae *g, bool gim, unsigned pid)
{
    return pid < CXLF_FM_PID_NONE && g->access[gim][pid / 8] >> pid % 8 & 1;
}

/* The FAST of the vPPB that a command begins with, or NULL. */
static struct cxlf_fm_fast *fast_of(struct fm_call *c)
{
    unsigned vppb = c->in[0];

    return vppb && vppb < vcs_of_sender(c)->vppbs ?
           &gae_of(c)->fast[vppb] : NULL;
}

static enum cxlf_cci get_access(struct fm_call *c)
{
    uint64_t start = get32(c->in), n = get32(c->in + 4);
    const struct cxlf_fm_gae *g = gae_of(c);

    if (start + n > sizeof(g->access)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put_bytes(c, &g->access[0][0] + start, n);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_capabilities(struct fm_call *c)
{
    const struct cxlf_fm_fast *f = fast_of(c);
    unsigned wanted = get16(c->in + 2), n = 0;
    uint8_t *count;

    if (!f) {
        return CXLF_CCI_INVALID_INPUT;
    }
    wanted = fm_fit(c, 0x1a, 2, wanted);
    put8(c, c->in[0]);
    put8(c, f->size);
    put8(c, f->enabled);
    put8(c, 0);
    put64(c, f->base);
    put64(c, f->limit);
    put16(c, CXLF_FM_SEGMENTS);
    put16(c, CXLF_FM_IDTS);
    count = c->out + c->out_len;
    put16(c, 0);
    for (unsigned pid = 0; pid < CXLF_FM_PID_NONE && n < wanted; pid++) {
        if (may_reach(gae_of(c), false, pid)) {
            put16(c, pid);
            n++;
        }
    }
    set_le(count, n, 2);
    return CXLF_CCI_SUCCESS;
}

/* A FAST that is on takes no address of another one of its GAE. */
static bool apart(const struct cxlf_fm_gae *g, unsigned vppb, uint64_t base,
                  uint64_t limit)
{
    for (unsigned i = 0; i < CXLF_FM_VPPBS; i++) {
        const struct cxlf_fm_fast *f = &g->fast[i];

        if (i != vppb && f->enabled && base <= f->limit && f->base <= limit) {
            return false;
        }
    }
    return true;
}

static enum cxlf_cci set_configuration(struct fm_call *c)
{
    struct cxlf_fm_fast *f = fast_of(c);
    uint64_t base = get64(c->in + 4), limit = get64(c->in + 0xc);
    unsigned size = c->in[1];
    bool on = c->in[2] & 1;
    uint64_t bytes = SMALLEST << (size & (SIZES - 1));

    if (!f || (on && (size >= SIZES || base % bytes ||
                      limit % bytes != bytes - 1 || base > limit ||
                      (limit - base) / bytes >= CXLF_FM_SEGMENTS ||
                      !apart(gae_of(c), c->in[0], base, limit)))) {
        return CXLF_CCI_INVALID_INPUT;
    }
    f->enabled = on;
    f->size = on ? size : 0;
    f->base = on ? base : 0;
    f->limit = on ? limit : 0;
    memset(f->segment, 0, sizeof(f->segment));
    return CXLF_CCI_SUCCESS;
}

/* {vPPB, rsv, n16, start16}: the FAST, if the entries are there */
static struct cxlf_fm_fast *entries_of(struct fm_call *c, unsigned entries)
{
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    return n && start + n <= entries ? fast_of(c) : NULL;
}

static enum cxlf_cci get_segments(struct fm_call *c)
{
    const struct cxlf_fm_fast *f = entries_of(c, CXLF_FM_SEGMENTS);

    if (!f) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put8(c, c->in[0]);
    put8(c, 0);
    put16(c, get16(c->in + 2));
    put_bytes(c, f->segment[get16(c->in + 4)],
              SEGMENT_SIZE * get16(c->in + 2));
    return CXLF_CCI_SUCCESS;
}

/* flags, interleave, granularity, rsv, DPID16 or index into the IDT, rsv16 */
static bool segment_ok(const struct cxlf_fm_gae *g, const uint8_t *e)
{
    unsigned target = get16(e + 4);

    if (e[0] > (VALID | GIM) || e[3] || get16(e + 6)) {
        return false;
    }
    return !(e[0] & VALID) ||
           (e[1] <= MOST_WAYS && e[2] <= MOST_GRAIN &&
            (e[1] ? target + (1u << e[1]) <= CXLF_FM_IDTS :
                    may_reach(g, e[0] & GIM, target)));
}

static enum cxlf_cci set_segments(struct fm_call *c)
{
    struct cxlf_fm_fast *f = entries_of(c, CXLF_FM_SEGMENTS);
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    if (!f) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!segment_ok(gae_of(c), c->in + 6 + SEGMENT_SIZE * i)) {
            return CXLF_CCI_INVALID_INPUT;
        }
    }
    memcpy(f->segment[start], c->in + 6, SEGMENT_SIZE * n);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_idt(struct fm_call *c)
{
    const struct cxlf_fm_fast *f = entries_of(c, CXLF_FM_IDTS);
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    if (!f) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put8(c, c->in[0]);
    put8(c, 0);
    put16(c, n);
    for (unsigned i = start; i < start + n; i++) {
        put16(c, f->idt[i]);
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci set_idt(struct fm_call *c)
{
    struct cxlf_fm_fast *f = entries_of(c, CXLF_FM_IDTS);
    unsigned n = get16(c->in + 2), start = get16(c->in + 4);

    if (!f) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < n; i++) {
        if (get16(c->in + 6 + 2 * i) > CXLF_FM_PID_NONE) {
            return CXLF_CCI_INVALID_INPUT;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        f->idt[start + i] = get16(c->in + 6 + 2 * i);
    }
    return CXLF_CCI_SUCCESS;
}

/* vector and operation: what a GAE may reach, or may not any more */
static enum cxlf_cci configure_access(struct fm_call *c)
{
    const struct cxlf_fm_vcs *v = fm_vcs(c, c->in[0]);
    unsigned operation = c->in[1] & 0xf, vector = c->in[1] >> 4;
    unsigned pid = get16(c->in + 2);
    uint8_t *byte;

    if (!v || !v->gae || operation > 1 || vector > VTV ||
        pid >= CXLF_FM_PID_NONE ||
        (vector == GMV && c->fm->ops.gae_set &&
         !c->fm->ops.gae_set(c->fm->opaque, c->component, c->in[0], pid,
                             !operation))) {
        return CXLF_CCI_INVALID_INPUT;
    }
    byte = &c->fm->gae[v->gae - 1].access[vector][pid / 8];
    *byte = operation ? *byte & ~(1u << pid % 8) : *byte | 1u << pid % 8;
    return CXLF_CCI_SUCCESS;
}

static uint16_t dpid_of(const struct cxlf_fm_gae *g,
                        const struct cxlf_fm_fast *f, uint64_t hpa)
{
    const uint8_t *e = f->segment[(hpa - f->base) / (SMALLEST << f->size)];
    unsigned pid = get16(e + 4);

    if (!(e[0] & VALID)) {
        return CXLF_FM_PID_NONE;
    }
    if (e[1]) {
        pid = f->idt[pid + (hpa >> (8 + e[2]) & ((1u << e[1]) - 1))];
    }
    return may_reach(g, e[0] & GIM, pid) ? pid : CXLF_FM_PID_NONE;
}

uint16_t cxlf_fm_fast_pid(const struct cxlf_fm *fm, unsigned component,
                          unsigned vcs, uint64_t hpa)
{
    const struct cxlf_fm_vcs *v =
        &fm->sw[fm->component[component].index].vcs[vcs];
    const struct cxlf_fm_gae *g;

    if (!v->exists || !v->gae) {
        return CXLF_FM_PID_NONE;
    }
    g = &fm->gae[v->gae - 1];
    for (unsigned i = 0; i < v->vppbs; i++) {
        const struct cxlf_fm_fast *f = &g->fast[i];

        if (f->enabled && f->base <= hpa && hpa <= f->limit) {
            return dpid_of(g, f, hpa);
        }
    }
    return CXLF_FM_PID_NONE;
}

const char *fm_check_gae(const struct cxlf_fm_gae *g)
{
    for (unsigned i = 0; i < CXLF_FM_VPPBS; i++) {
        const struct cxlf_fm_fast *f = &g->fast[i];

        if (f->enabled && !apart(g, i, f->base, f->limit)) {
            return "two FASTs of a GAE take the same address";
        }
    }
    return NULL;
}

const struct fm_row fm_rows_gae[] = {
    { 0x5802, FM_ON_SWITCH, FM_GAE_HOST, 0, 0, 8, 0, 4, 4, 0, 1,
      get_access, "Get PID Access Vectors" },
    { 0x5803, FM_ON_SWITCH, FM_GAE_HOST, 0, 0, 4, 0, 0, 0, 0x1a, 0,
      get_capabilities, "Get FAST/IDT Capabilities" },
    { 0x5804, FM_ON_SWITCH, FM_GAE_HOST, 0, CXLF_CEL_CONFIG,
      0x14, 0, 0, 0, 0, 0, set_configuration, "Set FAST/IDT Configuration" },
    { 0x5805, FM_ON_SWITCH, FM_GAE_HOST, 0, 0, 6, 0, 2, 2, 4, SEGMENT_SIZE,
      get_segments, "Get FAST Segment Entries" },
    { 0x5806, FM_ON_SWITCH, FM_GAE_HOST, 0, CXLF_CEL_CONFIG,
      6, SEGMENT_SIZE, 2, 2, 0, 0, set_segments, "Set FAST Segment Entries" },
    { 0x5807, FM_ON_SWITCH, FM_GAE_HOST, 0, 0, 6, 0, 2, 2, 4, 2,
      get_idt, "Get IDT DPID Entries" },
    { 0x5808, FM_ON_SWITCH, FM_GAE_HOST, 0, CXLF_CEL_CONFIG, 6, 2, 2, 2, 0, 0,
      set_idt, "Set IDT DPID Entries" },
    { 0 }
};

const struct fm_row fm_rows_gae_management[] = {
    { 0x5902, FM_ON_GAE, 0, 0, CXLF_CEL_CONFIG | CXLF_CEL_DATA,
      0x18, 0, 0, 0, 0, 0, configure_access, "Configure VCS PID Access" },
    { 0 }
};
