/*
 * GFAM device: dynamic capacity, as the guest is told of it
 *
 * Extents that the fabric's owner offers become event records, and the guest
 * accepts them and gives them back by commands 4800h to 4803h (CXL r3.1
 * section 8.2.9.9.9).  docs/specs/cxl-gfam.md, "Dynamic capacity".  QEMU's own
 * dynamic capacity is not used: it is for one host, and has memory of its own.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/cxl/cxl_events.h"
#include "../cxl-fabric/compat.h"
#include "gfam-internal.h"
#include "trace.h"

#define DCD                     0x48
#define GET_CONFIG              0x00
#define GET_EXTENT_LIST         0x01
#define ADD_RESPONSE            0x02
#define RELEASE                 0x03

#define DATA_CHANGE             BIT(2)  /* effect: immediate */
#define REGION_FLAGS            0       /* contents are not sanitized */
#define MORE                    BIT(0)

/* CXL r3.1 table 8-50 */
enum { ADDED, RELEASE_ASKED, TAKEN };

typedef struct GFAMExtent {
    struct cxlf_wire_extent w;
    bool accepted;
    bool named;                 /* by the command that is checked */
    QTAILQ_ENTRY(GFAMExtent) next;
} GFAMExtent;

typedef QTAILQ_HEAD(, GFAMExtent) GFAMExtents;

/* Under the BQL. */
struct GFAMDcd {
    GFAMExtents offered;        /* in the order of the offers */
    GFAMExtents accepted;
    unsigned n, n_accepted;     /* both, and of the latter */
    uint32_t generation;        /* of the latter */
};

/* Extents of a guest's command */
typedef struct GFAMList {
    uint32_t n;
    uint8_t flags;
    uint8_t reserved[3];
    struct {
        uint64_t dpa, length;
        uint8_t reserved[8];
    } QEMU_PACKED extent[];
} QEMU_PACKED GFAMList;

static uint64_t region_base(const CXLGFAM *s)
{
    return s->hot + s->bulk;
}

/* Event records */

static bool insert_event(CXLGFAM *s, unsigned type,
                         const struct cxlf_wire_extent *w)
{
    static const QemuUUID id = {
        .data = UUID(0xca95afa7, 0xf183, 0x4018,
                     0x8c, 0x2f, 0x95, 0x26, 0x8e, 0x10, 0x1a, 0x2a),
    };
    CXLType3Dev *ct3d = CXL_TYPE3(s);
    CXLEventLog *log =
        &ct3d->cxl_dstate.event_logs[CXL_EVENT_TYPE_DYNAMIC_CAP];
    uint16_t lost = log->overflow_err_count;
    CXLEventDynamicCapacity event = {
        .hdr.id = id,
        .hdr.length = sizeof(event),
        .type = type,
        .flags = w->more ? MORE : 0,
    };
    uint8_t *extent = event.dynamic_capacity_extent;

    stq_le_p(extent, w->start);
    stq_le_p(extent + 8, w->length);
    memcpy(extent + 0x10, w->tag, sizeof(w->tag));
    stw_le_p(extent + 0x20, w->sequence);
    stl_le_p(&event.extents_avail, ECA_EXTENTS - s->dcd->n);
    stl_le_p(&event.tags_avail, ECA_EXTENTS - s->dcd->n);
    if (cxl_event_insert(&ct3d->cxl_dstate, CXL_EVENT_TYPE_DYNAMIC_CAP,
                         (CXLEventRecordRaw *)&event)) {
        cxl_event_irq_assert(ct3d);
    }
    return log->overflow_err_count == lost;
}

/* Extents */

static void answer(CXLGFAM *s, const GFAMExtent *e,
                   enum cxlf_extent_answer what)
{
    trace_gfam_extent(s->gfam, e->w.start, e->w.length, what);
    cxl_fabric_answer_extent(eca_fabric(s->eca), e->w.token, what);
}

static GFAMExtent *find_token(GFAMExtents *extents, uint64_t token)
{
    GFAMExtent *e;

    QTAILQ_FOREACH(e, extents, next) {
        if (e->w.token == token) {
            break;
        }
    }
    return e;
}

/* Those that are offered together end with the one before, if not with it. */
static void drop_offer(CXLGFAM *s, GFAMExtent *e)
{
    GFAMExtent *before = QTAILQ_PREV(e, next);

    if (before && !e->w.more) {
        before->w.more = 0;
    }
    QTAILQ_REMOVE(&s->dcd->offered, e, next);
}

/* Out of the lists, and out of reach. */
static void take_out(CXLGFAM *s, GFAMExtent *e)
{
    s->dcd->n--;
    if (!e->accepted) {
        drop_offer(s, e);
        return;
    }
    QTAILQ_REMOVE(&s->dcd->accepted, e, next);
    s->dcd->n_accepted--;
    s->dcd->generation++;
    eca_detach_extent(s->eca, s->gfam, e->w.start);
}

/* It is refused, or given back. */
static void give_up(CXLGFAM *s, GFAMExtent *e)
{
    take_out(s, e);
    answer(s, e, e->accepted ? CXLF_EXTENT_GIVEN_BACK : CXLF_EXTENT_REFUSED);
    g_free(e);
}

static void accept_extent(CXLGFAM *s, GFAMExtent *e)
{
    /* There is room: those here are all that there are. */
    if (!eca_attach_extent(s->eca, s->gfam, e->w.start, e->w.length)) {
        g_assert_not_reached();
    }
    drop_offer(s, e);
    QTAILQ_INSERT_TAIL(&s->dcd->accepted, e, next);
    e->accepted = true;
    s->dcd->n_accepted++;
    s->dcd->generation++;
    answer(s, e, CXLF_EXTENT_ACCEPTED);
}

/* What the owner says */

static void on_offer(CXLGFAM *s, const struct cxlf_wire_extent *w)
{
    GFAMExtent *e = g_new0(GFAMExtent, 1);

    e->w = *w;
    QTAILQ_INSERT_TAIL(&s->dcd->offered, e, next);
    /* The guest is never asked about what it was not told of. */
    if (++s->dcd->n > ECA_EXTENTS || !insert_event(s, ADDED, w)) {
        give_up(s, e);
    }
}

static void on_take(CXLGFAM *s, const struct cxlf_wire_extent *w)
{
    GFAMExtent *e = find_token(&s->dcd->accepted, w->token) ?:
                    find_token(&s->dcd->offered, w->token);

    if (e) {
        take_out(s, e);
        g_free(e);
        insert_event(s, TAKEN, w);
    }
    cxl_fabric_answer_extent(eca_fabric(s->eca), w->token, CXLF_EXTENT_GONE);
}

static void on_extent(void *opaque, const struct cxlf_wire_extent *w)
{
    CXLGFAM *s = opaque;

    switch (w->what) {
    case CXLF_EXTENT_OFFER:
        on_offer(s, w);
        break;
    case CXLF_EXTENT_RELEASE:
        if (find_token(&s->dcd->accepted, w->token)) {
            insert_event(s, RELEASE_ASKED, w);
        }
        break;
    case CXLF_EXTENT_TAKE:
        on_take(s, w);
        break;
    }
}

/* Commands of the guest */

static CXLRetCode on_get_config(const struct cxl_cmd *cmd, uint8_t *in,
                                size_t len_in, uint8_t *out, size_t *len_out,
                                CXLCCI *cci)
{
    CXLGFAM *s = CXL_GFAM(cci->d);
    unsigned n = MIN(in[0], 1), at = 8;

    if (in[1] > 0) {
        return CXL_MBOX_INVALID_INPUT;
    }
    memset(out, 0, 8 + 40 + 16);
    out[0] = 1;
    out[1] = n;
    if (n) {
        stq_le_p(out + at, region_base(s));
        stq_le_p(out + at + 8, s->dynamic / CXLF_CAPACITY_UNIT);
        stq_le_p(out + at + 16, s->dynamic);
        stq_le_p(out + at + 24, CXLF_EXTENT_BLOCK);
        stl_le_p(out + at + 32, GFAM_DYNAMIC_DSMAS);
        out[at + 36] = REGION_FLAGS;
        at += 40;
    }
    stl_le_p(out + at, ECA_EXTENTS);
    stl_le_p(out + at + 4, ECA_EXTENTS - s->dcd->n);
    stl_le_p(out + at + 8, ECA_EXTENTS);
    stl_le_p(out + at + 12, ECA_EXTENTS - s->dcd->n);
    *len_out = at + 16;
    return CXL_MBOX_SUCCESS;
}

static CXLRetCode on_get_extents(const struct cxl_cmd *cmd, uint8_t *in,
                                 size_t len_in, uint8_t *out,
                                 size_t *len_out, CXLCCI *cci)
{
    CXLGFAM *s = CXL_GFAM(cci->d);
    uint32_t n = ldl_le_p(in), start = ldl_le_p(in + 4), i = 0;
    uint8_t *at = out + 16;
    GFAMExtent *e;

    if (start > s->dcd->n_accepted) {
        return CXL_MBOX_INVALID_INPUT;
    }
    n = MIN(n, s->dcd->n_accepted - start);
    n = MIN(n, (CXL_MAILBOX_MAX_PAYLOAD_SIZE - 16) / 40);
    memset(out, 0, 16 + n * 40);
    stl_le_p(out, n);
    stl_le_p(out + 4, s->dcd->n_accepted);
    stl_le_p(out + 8, s->dcd->generation);
    QTAILQ_FOREACH(e, &s->dcd->accepted, next) {
        if (i++ < start) {
            continue;
        }
        if (i > start + n) {
            break;
        }
        stq_le_p(at, e->w.start);
        stq_le_p(at + 8, e->w.length);
        memcpy(at + 16, e->w.tag, sizeof(e->w.tag));
        stw_le_p(at + 32, e->w.sequence);
        at += 40;
    }
    *len_out = at - out;
    return CXL_MBOX_SUCCESS;
}

/* Whether what was offered together, first of all, is all here. */
static bool has_offer(CXLGFAM *s)
{
    GFAMExtent *e = QTAILQ_FIRST(&s->dcd->offered);

    while (e && e->w.more) {
        e = QTAILQ_NEXT(e, next);
    }
    return e != NULL;
}

/* The one that a list names; of offers, among those that are first. */
static GFAMExtent *find_named(GFAMExtents *extents, uint64_t dpa,
                              uint64_t length)
{
    GFAMExtent *e;

    QTAILQ_FOREACH(e, extents, next) {
        if (e->w.start == dpa && e->w.length == length) {
            return e;
        }
        if (!e->accepted && !e->w.more) {
            break;
        }
    }
    return NULL;
}

/* Mark what a list names; an error if that cannot be done for all of it. */
static CXLRetCode check_list(CXLGFAM *s, const GFAMList *list, size_t length,
                             GFAMExtents *extents)
{
    uint32_t n = length < sizeof(*list) ? 0 : ldl_le_p(&list->n);
    GFAMExtent *e;

    if (length < sizeof(*list) ||
        n > (length - sizeof(*list)) / sizeof(list->extent[0]) ||
        length != sizeof(*list) + n * sizeof(list->extent[0])) {
        return CXL_MBOX_INVALID_PAYLOAD_LENGTH;
    }
    QTAILQ_FOREACH(e, extents, next) {
        e->named = false;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t dpa = ldq_le_p(&list->extent[i].dpa);
        uint64_t size = ldq_le_p(&list->extent[i].length);

        if (dpa < region_base(s) || dpa >= gfam_size(s) ||
            size > gfam_size(s) - dpa) {
            return CXL_MBOX_INVALID_PA;
        }
        if (!size || (dpa | size) % CXLF_EXTENT_BLOCK) {
            return CXL_MBOX_INVALID_EXTENT_LIST;
        }
        e = find_named(extents, dpa, size);
        if (!e) {
            return CXL_MBOX_INVALID_PA;
        }
        if (e->named) {
            return CXL_MBOX_INVALID_EXTENT_LIST;
        }
        e->named = true;
    }
    return CXL_MBOX_SUCCESS;
}

static CXLRetCode on_add_response(const struct cxl_cmd *cmd, uint8_t *in,
                                  size_t len_in, uint8_t *out,
                                  size_t *len_out, CXLCCI *cci)
{
    CXLGFAM *s = CXL_GFAM(cci->d);
    const GFAMList *list = (void *)in;
    CXLRetCode code = check_list(s, list, len_in, &s->dcd->offered);
    GFAMExtent *e, *next;
    bool last = false;

    if (code != CXL_MBOX_SUCCESS) {
        return code;
    }
    if (!has_offer(s)) {
        return CXL_MBOX_INVALID_INPUT;
    }
    for (e = QTAILQ_FIRST(&s->dcd->offered); !last; e = next) {
        next = QTAILQ_NEXT(e, next);
        last = !e->w.more;
        if (e->named) {
            accept_extent(s, e);
        } else if (!(list->flags & MORE)) {
            give_up(s, e);
        }
    }
    return CXL_MBOX_SUCCESS;
}

static CXLRetCode on_release(const struct cxl_cmd *cmd, uint8_t *in,
                             size_t len_in, uint8_t *out, size_t *len_out,
                             CXLCCI *cci)
{
    CXLGFAM *s = CXL_GFAM(cci->d);
    const GFAMList *list = (void *)in;
    CXLRetCode code = check_list(s, list, len_in, &s->dcd->accepted);
    GFAMExtent *e, *next;

    if (code != CXL_MBOX_SUCCESS) {
        return code;
    }
    if (!list->n) {
        return CXL_MBOX_INVALID_INPUT;
    }
    QTAILQ_FOREACH_SAFE(e, &s->dcd->accepted, next, next) {
        if (e->named) {
            give_up(s, e);
        }
    }
    return CXL_MBOX_SUCCESS;
}

/* What QEMU has of the device */

void gfam_dcd_reset(CXLGFAM *s)
{
    static const struct cxl_cmd command[] = {
        [GET_CONFIG] = { "DCD_GET_DC_CONFIG", on_get_config, 2, 0 },
        [GET_EXTENT_LIST] = {
            "DCD_GET_DYNAMIC_CAPACITY_EXTENT_LIST", on_get_extents, 8, 0 },
        [ADD_RESPONSE] = {
            "DCD_ADD_DYNAMIC_CAPACITY_RESPONSE", on_add_response, ~0,
            DATA_CHANGE },
        [RELEASE] = {
            "DCD_RELEASE_DYNAMIC_CAPACITY", on_release, ~0,
            DATA_CHANGE },
    };

    if (s->dcd) {
        memcpy(CXL_TYPE3(s)->cci.cxl_cmd_set[DCD], command, sizeof(command));
    }
}

void gfam_dcd_init(CXLGFAM *s)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);

    if (!s->dynamic) {
        return;
    }
    /* The backend has all of the memory, Identify only what is static. */
    ct3d->cxl_dstate.vmem_size -= s->dynamic;
    ct3d->cxl_dstate.static_mem_size -= s->dynamic;
    ct3d->dc.total_capacity = s->dynamic;       /* for Clear Poison */
    s->dcd = g_new0(GFAMDcd, 1);
    QTAILQ_INIT(&s->dcd->offered);
    QTAILQ_INIT(&s->dcd->accepted);
    cxl_fabric_listen_extents(eca_fabric(s->eca), s->gfam, on_extent, s);
}

void gfam_dcd_exit(CXLGFAM *s)
{
    GFAMExtent *e;

    if (!s->dcd) {
        return;
    }
    cxl_fabric_listen_extents(eca_fabric(s->eca), s->gfam, NULL, NULL);
    while ((e = QTAILQ_FIRST(&s->dcd->accepted) ?:
                QTAILQ_FIRST(&s->dcd->offered))) {
        give_up(s, e);
    }
    g_clear_pointer(&s->dcd, g_free);
}
