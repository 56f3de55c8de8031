/*
 * Fabric Manager: commands of MLDs and of multi-headed devices
 * (docs/fabric-manager.md, sets 54 and 55)
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

static enum cxlf_cci get_ld_info(struct fm_call *c)
{
    const struct cxlf_fm_device *d = fm_device(c->fm, c->component);

    put64(c, d->memory);
    put16(c, d->lds);
    put8(c, d->qos_capability);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_ld_allocations(struct fm_call *c)
{
    const struct cxlf_fm_device *d = fm_device(c->fm, c->component);
    unsigned start = c->in[0], n;

    if (start >= d->lds) {
        return CXLF_CCI_INVALID_INPUT;
    }
    n = d->lds - start < c->in[1] ? d->lds - start : c->in[1];
    n = fm_fit(c, 4, 16, n);
    put8(c, d->lds);
    put8(c, d->granularity);
    put8(c, start);
    put8(c, n);
    for (unsigned i = start; i < start + n; i++) {
        put64(c, d->ld[i].range[0]);
        put64(c, d->ld[i].range[1]);
    }
    return CXLF_CCI_SUCCESS;
}

/* All of the list is right, and the device has as much memory. */
static bool allocations_fit(const struct cxlf_fm_device *d, unsigned start,
                            unsigned n, const uint8_t *list)
{
    uint64_t left = d->memory / CXLF_FM_UNIT >> d->granularity;

    for (unsigned i = 0; i < d->lds; i++) {
        bool set = i >= start && i < start + n;

        for (unsigned j = 0; j < 2; j++) {
            uint64_t range = set ? get64(list + 16 * (i - start) + 8 * j) :
                             d->ld[i].range[j];

            if (range > left ||
                (range != d->ld[i].range[j] && d->ld[i].bound)) {
                return false;
            }
            left -= range;
        }
    }
    return true;
}

/* Whether each LD can have its new size in one piece; places them. */
static bool place(struct fm_call *c, const struct cxlf_fm_device *d,
                  unsigned start, unsigned n, const uint8_t *list)
{
    uint64_t size[CXLF_FM_LDS];

    if (!c->fm->ops.place) {
        return true;
    }
    for (unsigned i = 0; i < d->lds; i++) {
        const uint8_t *set = list + 16 * (i - start);
        uint64_t units = i >= start && i < start + n ?
                         get64(set) + get64(set + 8) :
                         d->ld[i].range[0] + d->ld[i].range[1];

        size[i] = units * (CXLF_FM_UNIT << d->granularity);
    }
    return c->fm->ops.place(c->fm->opaque, c->component, size);
}

static enum cxlf_cci set_ld_allocations(struct fm_call *c)
{
    struct cxlf_fm_device *d = fm_device(c->fm, c->component);
    unsigned n = c->in[0], start = c->in[1];

    if (n == 0 || start + n > d->lds ||
        !allocations_fit(d, start, n, c->in + 4) ||
        !place(c, d, start, n, c->in + 4)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put8(c, n);
    put8(c, start);
    put16(c, 0);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < 2; j++) {
            d->ld[start + i].range[j] = get64(c->in + 4 + 16 * i + 8 * j);
            put64(c, d->ld[start + i].range[j]);
        }
    }
    /* Memory went from one to another: none is bound before it is erased. */
    for (unsigned i = 0; i < d->lds; i++) {
        d->ld[i].erased &= d->ld[i].bound != 0;
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_qos_control(struct fm_call *c)
{
    const struct cxlf_fm_device *d = fm_device(c->fm, c->component);

    put_bytes(c, d->qos, sizeof(d->qos));
    return CXLF_CCI_SUCCESS;
}

static void tell_qos(struct fm_call *c)
{
    if (c->fm->ops.qos_set) {
        c->fm->ops.qos_set(c->fm->opaque, c->component);
    }
}

static enum cxlf_cci set_qos_control(struct fm_call *c)
{
    struct cxlf_fm_device *d = fm_device(c->fm, c->component);

    /* control, moderate %, severe %, sample interval, basis16, interval */
    if (c->in[0] & ~d->qos_capability || c->in[1] > c->in[2] ||
        c->in[2] > 100 || c->in[3] > 15) {
        return CXLF_CCI_INVALID_INPUT;
    }
    memcpy(d->qos, c->in, sizeof(d->qos));
    tell_qos(c);
    return get_qos_control(c);
}

static enum cxlf_cci get_qos_status(struct fm_call *c)
{
    const struct cxlf_fm_device *d = fm_device(c->fm, c->component);

    if (!(d->qos_capability & 1)) {
        return CXLF_CCI_UNSUPPORTED;
    }
    put8(c, c->fm->ops.backpressure ?
            c->fm->ops.backpressure(c->fm->opaque, c->component) :
            d->backpressure);
    return CXLF_CCI_SUCCESS;
}

static uint8_t *fraction(struct cxlf_fm_ld *ld, uint16_t opcode)
{
    return opcode <= 0x5407 ? &ld->allocated : &ld->limit;
}

/* Get and set, of allocated bandwidth and of its limit: n, start, n bytes */
static enum cxlf_cci bandwidth(struct fm_call *c)
{
    struct cxlf_fm_device *d = fm_device(c->fm, c->component);
    unsigned n = c->in[0], start = c->in[1], total = 0;
    bool set = c->opcode & 1;

    if (n == 0 || start + n > d->lds) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < d->lds; i++) {
        total += set && i >= start && i < start + n ? c->in[2 + i - start] :
                 *fraction(&d->ld[i], c->opcode);
    }
    if (c->opcode == 0x5407 && total > 256) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put8(c, n);
    put8(c, start);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *value = fraction(&d->ld[start + i], c->opcode);

        if (set) {
            *value = c->in[2 + i];
        }
        put8(c, *value);
    }
    if (set) {
        tell_qos(c);
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_multi_headed_info(struct fm_call *c)
{
    const struct cxlf_fm_device *d = fm_device(c->fm, c->component);
    unsigned start = c->in[0], n;

    if (start >= d->lds) {
        return CXLF_CCI_INVALID_INPUT;
    }
    n = d->lds - start < c->in[1] ? d->lds - start : c->in[1];
    n = fm_fit(c, 8, 1, n);
    put8(c, d->lds);
    put8(c, d->heads);
    put16(c, 0);
    put8(c, start);
    put8(c, n);
    put16(c, 0);
    for (unsigned i = start; i < start + n; i++) {
        put8(c, d->ld[i].head);
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_head_info(struct fm_call *c)
{
    const struct cxlf_fm_device *d = fm_device(c->fm, c->component);
    unsigned start = c->in[0], n = c->in[1];

    if (start + n > d->heads) {
        return CXLF_CCI_INVALID_INPUT;
    }
    put8(c, n);
    put_zeros(c, 3);
    for (unsigned i = start; i < start + n; i++) {
        const struct cxlf_fm_link *link = &d->head[i];

        put8(c, i);
        put8(c, link->max_width);
        put8(c, link->width);
        put8(c, link->speeds);
        put8(c, link->max_speed);
        put8(c, link->speed);
        put8(c, link->ltssm);
        put8(c, 0);
        put8(c, link->flags);
    }
    return CXLF_CCI_SUCCESS;
}

#define POLICY (CXLF_CEL_CONFIG | CXLF_CEL_POLICY)

const struct fm_row fm_rows_mld_component[] = {
    { 0x5400, FM_ON_MLD, 0, 0, 0, 0, 0, 0, 0, 11, 0,
      get_ld_info, "Get LD Info" },
    { 0x5401, FM_ON_MLD, 0, 0, 0, 2, 0, 0, 0, 4, 0,
      get_ld_allocations, "Get LD Allocations" },
    { 0x5402, FM_ON_MLD, 0, 0, CXLF_CEL_CONFIG | CXLF_CEL_DATA,
      4, 16, 0, 1, 4, 16, set_ld_allocations, "Set LD Allocations" },
    { 0x5403, FM_ON_MLD, 0, 0, 0, 0, 0, 0, 0, 7, 0,
      get_qos_control, "Get QoS Control" },
    { 0x5404, FM_ON_MLD, 0, 0, POLICY, 7, 0, 0, 0, 7, 0,
      set_qos_control, "Set QoS Control" },
    { 0x5405, FM_ON_MLD, 0, 0, 0, 0, 0, 0, 0, 1, 0,
      get_qos_status, "Get QoS Status" },
    { 0x5406, FM_ON_MLD, 0, 0, 0, 2, 0, 0, 1, 2, 1,
      bandwidth, "Get QoS Allocated BW" },
    { 0x5407, FM_ON_MLD, 0, 0, POLICY, 2, 1, 0, 1, 2, 1,
      bandwidth, "Set QoS Allocated BW" },
    { 0x5408, FM_ON_MLD, 0, 0, 0, 2, 0, 0, 1, 2, 1,
      bandwidth, "Get QoS BW Limit" },
    { 0x5409, FM_ON_MLD, 0, 0, POLICY, 2, 1, 0, 1, 2, 1,
      bandwidth, "Set QoS BW Limit" },
    { 0 }
};

const struct fm_row fm_rows_multi_headed[] = {
    { 0x5500, FM_ON_MHD, 0, 0, 0, 2, 0, 0, 0, 8, 0,
      get_multi_headed_info, "Get Multi-Headed Info" },
    { 0x5501, FM_ON_MHD, 0, 0, 0, 2, 0, 1, 1, 4, 9,
      get_head_info, "Get Head Info" },
    { 0 }
};
