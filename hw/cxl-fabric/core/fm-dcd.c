/*
 * Fabric Manager: dynamic capacity
 * (docs/fabric-manager.md, set 56 and "Dynamic capacity")
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-internal.h"

#define TAG         16
#define EXTENT      40      /* bytes of an extent in a payload */
#define REFERENCES  (1u << 0)
#define PENDING     (1u << 1)

enum policy { FREE, CONTIGUOUS, PRESCRIPTIVE, SHARED };
enum removal { BY_TAG, BY_EXTENT };

#define FORCED      (1u << 4)
#define SANITIZE    (1u << 5)

static struct cxlf_fm_dcd *dcd(struct fm_call *c)
{
    return fm_dcd(c->fm, c->component);
}

static bool overlaps(const struct cxlf_fm_extent *e, uint64_t start,
                     uint64_t length)
{
    return e->length && start < e->start + e->length &&
           e->start < start + length;
}

static bool is_free(const struct cxlf_fm_dcd *d, uint64_t start,
                    uint64_t length)
{
    for (unsigned i = 0; i < d->extents; i++) {
        if (overlaps(&d->extent[i], start, length)) {
            return false;
        }
    }
    return true;
}

/* @start and @length are blocks of that region. */
static bool is_inside(const struct cxlf_fm_region *r, uint64_t start,
                      uint64_t length)
{
    return length && start >= r->start && length <= r->length &&
           start - r->start <= r->length - length &&
           (start - r->start) % r->block == 0 && length % r->block == 0;
}

static const struct cxlf_fm_region *region_of(const struct cxlf_fm_dcd *d,
                                              uint64_t start, uint64_t length)
{
    for (unsigned i = 0; i < d->regions; i++) {
        if (is_inside(&d->region[i], start, length)) {
            return &d->region[i];
        }
    }
    return NULL;
}

static unsigned used(const struct cxlf_fm_dcd *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->extents; i++) {
        n += d->extent[i].length != 0;
    }
    return n;
}

/* Whether this is the first extent of its tag: tags are counted by those. */
static bool begins_tag(const struct cxlf_fm_dcd *d, unsigned n)
{
    const struct cxlf_fm_extent *e = &d->extent[n];

    if (!e->length || e->erasing || all_zero(e->tag, TAG)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (d->extent[i].length && !d->extent[i].erasing &&
            !memcmp(d->extent[i].tag, e->tag, TAG)) {
            return false;
        }
    }
    return true;
}

static unsigned tags(const struct cxlf_fm_dcd *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->extents; i++) {
        n += begins_tag(d, i);
    }
    return n;
}

static void tell(struct cxlf_fm *fm, unsigned component,
                 enum cxlf_fm_event_type type, unsigned host,
                 const struct cxlf_fm_extent *e)
{
    struct cxlf_fm_event event = {
        .component = component, .type = type, .a = host,
        .sequence = e->sequence, .start = e->start, .length = e->length,
    };

    memcpy(event.tag, e->tag, TAG);
    fm->ops.event(fm->opaque, &event);
}

/* Nobody's extent is erased, and then it is free. */
static void let_go(struct cxlf_fm *fm, unsigned component, unsigned n)
{
    struct cxlf_fm_dcd *d = fm_dcd(fm, component);
    struct cxlf_fm_extent *e = &d->extent[n];
    uint64_t token;

    if (e->hosts || e->pending || e->reference || e->erasing) {
        return;
    }
    d->generation++;
    e->erasing = true;
    token = fm_token(fm, component, n + 1, &e->token);
    fm->ops.erase(fm->opaque, &(struct cxlf_fm_memory) {
        .component = component, .ld = CXLF_FM_LD_NONE,
        .start = e->start, .length = e->length,
    }, token);
}

bool fm_extent_complete(struct cxlf_fm *fm, unsigned component, unsigned n,
                        bool success)
{
    struct cxlf_fm_extent *e = &fm_dcd(fm, component)->extent[n];

    /* What cannot be erased is never given to anyone again. */
    if (success) {
        memset(e, 0, sizeof(*e));
    } else {
        e->token = 0;
    }
    return true;
}

static bool find_extent(const struct cxlf_fm_dcd *d, uint64_t start,
                        uint64_t length, unsigned *n)
{
    for (*n = 0; *n < d->extents; ++*n) {
        const struct cxlf_fm_extent *e = &d->extent[*n];

        if (e->length && !e->erasing && e->start == start &&
            e->length == length) {
            return true;
        }
    }
    return false;
}

static struct cxlf_fm_dcd *host_of(struct cxlf_fm *fm, unsigned component,
                                   unsigned host)
{
    struct cxlf_fm_dcd *d;

    if (component >= fm->components) {
        return NULL;
    }
    d = fm_dcd(fm, component);
    return d && host < d->hosts ? d : NULL;
}

bool cxlf_fm_dc_answer(struct cxlf_fm *fm, unsigned component, unsigned host,
                       uint64_t start, uint64_t length, bool accept)
{
    struct cxlf_fm_dcd *d = host_of(fm, component, host);
    unsigned n;

    if (!d || !find_extent(d, start, length, &n) ||
        !(d->extent[n].pending & 1u << host)) {
        return false;
    }
    d->extent[n].pending &= ~(1u << host);
    d->extent[n].hosts |= accept << host;
    d->generation++;
    let_go(fm, component, n);
    return true;
}

bool cxlf_fm_dc_give_back(struct cxlf_fm *fm, unsigned component,
                          unsigned host, uint64_t start, uint64_t length)
{
    struct cxlf_fm_dcd *d = host_of(fm, component, host);
    unsigned n;

    if (!d || !find_extent(d, start, length, &n) ||
        !(d->extent[n].hosts & 1u << host)) {
        return false;
    }
    d->extent[n].hosts &= ~(1u << host);
    d->generation++;
    let_go(fm, component, n);
    return true;
}

static enum cxlf_cci get_dcd_info(struct fm_call *c)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    uint64_t total = 0;

    for (unsigned i = 0; i < d->regions; i++) {
        total += d->region[i].length;
    }
    put8(c, d->hosts);
    put8(c, d->regions);
    put16(c, 0);
    put16(c, 1 << FREE | 1 << CONTIGUOUS | 1 << PRESCRIPTIVE | 1 << SHARED);
    put16(c, 0);
    put16(c, 1 << BY_TAG | 1 << BY_EXTENT);
    put8(c, (1u << d->regions) - 1);
    put8(c, 0);
    put64(c, total / CXLF_FM_UNIT);
    for (unsigned i = 0; i < CXLF_FM_REGIONS; i++) {
        put64(c, i < d->regions ? d->region[i].blocks : 0);
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci get_region_config(struct fm_call *c)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    unsigned host = get16(c->in), n = c->in[2], start = c->in[3];

    if (host >= d->hosts || start >= d->regions) {
        return CXLF_CCI_INVALID_INPUT;
    }
    n = d->regions - start < n ? d->regions - start : n;
    n = fm_fit(c, 20, 40, n);
    put16(c, host);
    put8(c, d->regions);
    put8(c, n);
    for (unsigned i = start; i < start + n; i++) {
        const struct cxlf_fm_region *r = &d->region[i];

        put64(c, r->start);
        put64(c, r->length / CXLF_FM_UNIT);
        put64(c, r->length);
        put64(c, r->block);
        put32(c, r->flags);
        put32(c, r->sanitize);
    }
    put32(c, CXLF_FM_EXTENTS);
    put32(c, CXLF_FM_EXTENTS - used(d));
    put32(c, CXLF_FM_EXTENTS);
    put32(c, CXLF_FM_EXTENTS - tags(d));
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci set_region_config(struct fm_call *c)
{
    struct cxlf_fm_dcd *d = dcd(c);
    unsigned n = c->in[0];
    uint64_t block = get64(c->in + 4);
    struct cxlf_fm_region *r = &d->region[n % CXLF_FM_REGIONS];

    if (n >= d->regions || block == 0 || block & (block - 1) ||
        !(block & r->blocks) || c->in[12] > 1) {
        return CXLF_CCI_INVALID_INPUT;
    }
    if (!is_free(d, r->start, r->length)) {
        return CXLF_CCI_UNSUPPORTED;
    }
    r->block = block;
    r->sanitize = c->in[12];
    for (unsigned host = 0; host < d->hosts; host++) {
        c->fm->ops.event(c->fm->opaque, &(struct cxlf_fm_event) {
            .component = c->component, .type = CXLF_FM_REGION_CHANGED,
            .a = host, .b = n,
        });
    }
    return CXLF_CCI_SUCCESS;
}

static void put_extent(struct fm_call *c, const struct cxlf_fm_extent *e)
{
    put64(c, e->start);
    put64(c, e->length);
    put_bytes(c, e->tag, TAG);
    put16(c, e->sequence);
    put_zeros(c, 6);
}

static enum cxlf_cci get_extents(struct fm_call *c)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    unsigned host = get16(c->in);
    uint32_t wanted = get32(c->in + 4), start = get32(c->in + 8);
    uint32_t total = 0, n = 0;

    if (host >= d->hosts) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < d->extents; i++) {
        total += d->extent[i].length && d->extent[i].hosts >> host & 1;
    }
    if (start > total) {
        return CXLF_CCI_INVALID_INPUT;
    }
    wanted = total - start < wanted ? total - start : wanted;
    wanted = fm_fit(c, 24, EXTENT, wanted);
    put16(c, host);
    put16(c, 0);
    put32(c, start);
    put32(c, wanted);
    put32(c, total);
    put32(c, d->generation);
    put32(c, 0);
    for (unsigned i = 0; i < d->extents && wanted; i++) {
        const struct cxlf_fm_extent *e = &d->extent[i];

        if (e->length && e->hosts >> host & 1 && n++ >= start) {
            put_extent(c, e);
            wanted--;
        }
    }
    return CXLF_CCI_SUCCESS;
}

/* The extent is in the table already, with nobody. */
static void offer(struct fm_call *c, unsigned host, struct cxlf_fm_extent *e)
{
    e->pending |= 1u << host;
    dcd(c)->generation++;
    tell(c->fm, c->component, CXLF_FM_DC_ADD, host, e);
}

static void add_extent(struct fm_call *c, unsigned host, uint64_t start,
                       uint64_t length, const uint8_t *tag, uint16_t sequence)
{
    struct cxlf_fm_dcd *d = dcd(c);
    struct cxlf_fm_extent *e = d->extent;

    while (e->length) {
        e++;
    }
    if (e == d->extent + d->extents) {
        d->extents++;
    }
    e->start = start;
    e->length = length;
    e->sequence = sequence;
    memcpy(e->tag, tag, TAG);
    offer(c, host, e);
}

/* First fit, in one piece. */
static enum cxlf_cci add_anywhere(struct fm_call *c, unsigned host,
                                  const struct cxlf_fm_region *r)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    uint64_t length = get64(c->in + 4), at = r->start;

    if (!is_inside(r, r->start, length)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    if (used(d) == CXLF_FM_EXTENTS) {
        return CXLF_CCI_EXHAUSTED;
    }
    for (unsigned i = 0; i < d->extents; i++) {
        if (overlaps(&d->extent[i], at, length)) {
            at = d->extent[i].start + d->extent[i].length;
            i = -1;
        }
    }
    if (!is_inside(r, at, length)) {
        return CXLF_CCI_EXHAUSTED;
    }
    add_extent(c, host, at, length, c->in + 12, 0);
    return CXLF_CCI_SUCCESS;
}

/* Whether the extents of a payload are blocks, and apart. */
static enum cxlf_cci check_list(const struct fm_call *c,
                                const struct cxlf_fm_dcd *d)
{
    uint32_t n = get32(c->in + 28);

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = c->in + 32 + EXTENT * i;

        if (!region_of(d, get64(e), get64(e + 8))) {
            return CXLF_CCI_INVALID_PA;
        }
        for (uint32_t j = 0; j < i; j++) {
            const uint8_t *b = c->in + 32 + EXTENT * j;

            if (get64(e) < get64(b) + get64(b + 8) &&
                get64(b) < get64(e) + get64(e + 8)) {
                return CXLF_CCI_INVALID_EXTENTS;
            }
        }
    }
    return n ? CXLF_CCI_SUCCESS : CXLF_CCI_INVALID_INPUT;
}

static enum cxlf_cci add_list(struct fm_call *c, unsigned host)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    uint32_t n = get32(c->in + 28);
    enum cxlf_cci code;

    if (n > CXLF_FM_EXTENTS - used(d)) {
        return CXLF_CCI_EXHAUSTED;
    }
    code = check_list(c, d);
    if (code != CXLF_CCI_SUCCESS) {
        return code;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = c->in + 32 + EXTENT * i;

        if (!is_free(d, get64(e), get64(e + 8))) {
            return CXLF_CCI_INVALID_EXTENTS;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = c->in + 32 + EXTENT * i;

        add_extent(c, host, get64(e), get64(e + 8), e + 16, get16(e + 32));
    }
    return CXLF_CCI_SUCCESS;
}

/* Another host gets all extents of a tag in a region that may be shared. */
static enum cxlf_cci add_shared(struct fm_call *c, unsigned host,
                                const struct cxlf_fm_region *r)
{
    enum { SHAREABLE = 1 << 3 };    /* as in DSMAS */
    struct cxlf_fm_dcd *d = dcd(c);
    const uint8_t *tag = c->in + 12;
    unsigned n = 0;

    if (!(r->flags & SHAREABLE) || all_zero(tag, TAG)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < d->extents; i++) {
        struct cxlf_fm_extent *e = &d->extent[i];

        if (e->length && !e->erasing && !memcmp(e->tag, tag, TAG) &&
            overlaps(e, r->start, r->length) &&
            !((e->hosts | e->pending) >> host & 1)) {
            offer(c, host, e);
            n++;
        }
    }
    return n ? CXLF_CCI_SUCCESS : CXLF_CCI_INVALID_INPUT;
}

static enum cxlf_cci initiate_add(struct fm_call *c)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    unsigned host = get16(c->in), policy = c->in[2] & 0xf, region = c->in[3];

    if (host >= d->hosts || c->in[2] & 0xf0 ||
        (policy != PRESCRIPTIVE &&
         (region >= d->regions || get32(c->in + 28)))) {
        return CXLF_CCI_INVALID_INPUT;
    }
    switch (policy) {
    case FREE:
    case CONTIGUOUS:
        return add_anywhere(c, host, &d->region[region]);
    case PRESCRIPTIVE:
        return add_list(c, host);
    case SHARED:
        return add_shared(c, host, &d->region[region]);
    default:
        return CXLF_CCI_INVALID_INPUT;
    }
}

static void release(struct fm_call *c, unsigned host, unsigned n, bool forced)
{
    struct cxlf_fm_extent *e = &dcd(c)->extent[n];

    if (!forced) {
        tell(c->fm, c->component, CXLF_FM_DC_RELEASE, host, e);
        return;
    }
    e->hosts &= ~(1u << host);
    e->pending &= ~(1u << host);
    dcd(c)->generation++;
    tell(c->fm, c->component, CXLF_FM_DC_FORCED, host, e);
    let_go(c->fm, c->component, n);
}

static enum cxlf_cci release_by_tag(struct fm_call *c, unsigned host,
                                    bool forced)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    unsigned done = 0;

    for (unsigned i = 0; i < d->extents; i++) {
        const struct cxlf_fm_extent *e = &d->extent[i];
        unsigned has = forced ? e->hosts | e->pending : e->hosts;

        if (e->length && has >> host & 1 &&
            !memcmp(e->tag, c->in + 12, TAG)) {
            release(c, host, i, forced);
            done++;
        }
    }
    return done ? CXLF_CCI_SUCCESS : CXLF_CCI_INVALID_INPUT;
}

static enum cxlf_cci release_list(struct fm_call *c, unsigned host,
                                  bool forced)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    uint32_t n = get32(c->in + 28);
    enum cxlf_cci code = check_list(c, d);
    unsigned at;

    if (code != CXLF_CCI_SUCCESS) {
        return code;
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < n; i++) {
            const uint8_t *e = c->in + 32 + EXTENT * i;
            unsigned has = 0;

            if (find_extent(d, get64(e), get64(e + 8), &at)) {
                has = d->extent[at].hosts |
                      (forced ? d->extent[at].pending : 0);
            }
            if (!(has >> host & 1)) {
                return CXLF_CCI_INVALID_PA;
            }
            if (pass == 1) {
                release(c, host, at, forced);
            }
        }
    }
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci initiate_release(struct fm_call *c)
{
    unsigned host = get16(c->in), flags = c->in[2];
    bool forced = flags & FORCED;

    /* All is sanitized, whether it is asked for or not. */
    if (host >= dcd(c)->hosts || flags & ~(0xfu | FORCED | SANITIZE)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    switch (flags & 0xf) {
    case BY_TAG:
        return get32(c->in + 28) ? CXLF_CCI_INVALID_INPUT :
               release_by_tag(c, host, forced);
    case BY_EXTENT:
        return release_list(c, host, forced);
    default:
        return CXLF_CCI_INVALID_INPUT;
    }
}

/* 5606 adds the Fabric Manager's reference to a tag, 5607 removes it. */
static enum cxlf_cci reference(struct fm_call *c)
{
    struct cxlf_fm_dcd *d = dcd(c);
    bool add = c->opcode == 0x5606;
    unsigned n = 0;

    if (all_zero(c->in, TAG)) {
        return CXLF_CCI_INVALID_INPUT;
    }
    for (unsigned i = 0; i < d->extents; i++) {
        struct cxlf_fm_extent *e = &d->extent[i];

        if (e->length && !e->erasing && e->reference != add &&
            !memcmp(e->tag, c->in, TAG)) {
            e->reference = add;
            let_go(c->fm, c->component, i);
            n++;
        }
    }
    return n ? CXLF_CCI_SUCCESS : CXLF_CCI_INVALID_INPUT;
}

static void put_tag(struct fm_call *c, const struct cxlf_fm_dcd *d,
                    const struct cxlf_fm_extent *first)
{
    unsigned hosts = 0, pending = 0, held = 0;

    for (unsigned i = 0; i < d->extents; i++) {
        const struct cxlf_fm_extent *e = &d->extent[i];

        if (e->length && !e->erasing && !memcmp(e->tag, first->tag, TAG)) {
            hosts |= e->hosts;
            pending |= e->pending;
            held |= e->reference;
        }
    }
    put_bytes(c, first->tag, TAG);
    put8(c, held);
    put_zeros(c, 3);
    put16(c, hosts);
    put_zeros(c, 30);
    put16(c, pending);
    put_zeros(c, 30);
}

static enum cxlf_cci list_tags(struct fm_call *c)
{
    const struct cxlf_fm_dcd *d = dcd(c);
    uint32_t start = get32(c->in), wanted = get32(c->in + 4), n = 0;
    uint32_t total = tags(d);

    if (start > total) {
        return CXLF_CCI_INVALID_INPUT;
    }
    wanted = total - start < wanted ? total - start : wanted;
    wanted = fm_fit(c, 16, 84, wanted);
    put32(c, d->generation);
    put32(c, total);
    put32(c, wanted);
    put8(c, REFERENCES | PENDING);
    put_zeros(c, 3);
    for (unsigned i = 0; i < d->extents && wanted; i++) {
        if (begins_tag(d, i) && n++ >= start) {
            put_tag(c, d, &d->extent[i]);
            wanted--;
        }
    }
    return CXLF_CCI_SUCCESS;
}

#define CHANGE (CXLF_CEL_CONFIG | CXLF_CEL_DATA)

const struct fm_row fm_rows_dcd[] = {
    { 0x5600, FM_ON_DCD, 0, 0, 0, 0, 0, 0, 0, 84, 0,
      get_dcd_info, "Get DCD Info" },
    { 0x5601, FM_ON_DCD, 0, 0, 0, 4, 0, 0, 0, 20, 0,
      get_region_config, "Get Host DC Region Configuration" },
    { 0x5602, FM_ON_DCD, 0, 0, CHANGE, 16, 0, 0, 0, 0, 0,
      set_region_config, "Set DC Region Configuration" },
    { 0x5603, FM_ON_DCD, 0, 0, 0, 12, 0, 0, 0, 24, 0,
      get_extents, "Get DC Region Extent Lists" },
    { 0x5604, FM_ON_DCD, 0, 0, CHANGE, 32, EXTENT, 28, 4, 0, 0,
      initiate_add, "Initiate Dynamic Capacity Add" },
    { 0x5605, FM_ON_DCD, 0, 0, CHANGE, 32, EXTENT, 28, 4, 0, 0,
      initiate_release, "Initiate Dynamic Capacity Release" },
    { 0x5606, FM_ON_DCD, 0, 0, CXLF_CEL_CONFIG, TAG, 0, 0, 0, 0, 0,
      reference, "Dynamic Capacity Add Reference" },
    { 0x5607, FM_ON_DCD, 0, 0, CHANGE, TAG, 0, 0, 0, 0, 0,
      reference, "Dynamic Capacity Remove Reference" },
    { 0x5608, FM_ON_DCD, 0, 0, 0, 8, 0, 0, 0, 16, 0,
      list_tags, "Dynamic Capacity List Tags" },
    { 0 }
};
