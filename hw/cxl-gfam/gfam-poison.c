/*
 * GFAM device: poison, as a stock kernel sees it
 *
 * What a host had modified when it died is poisoned, if the fabric's owner
 * says so.  Here its records become entries of the device's poison list (CXL
 * r3.1 section 8.2.9.9.4.1) and event records.  The directory is what counts:
 * another host may clear poison, so the list is compared with the directory
 * whenever the guest asks for it.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/range.h"
#include "../cxl-fabric/compat.h"
#include "gfam-internal.h"
#include "trace.h"

/* CXL r3.1 tables 8-43 and 8-45 */
#define SEVERITY_FAILURE            2
#define DESCRIPTOR_UNCORRECTABLE    BIT(0)
#define TYPE_DATA_PATH              2

/* CXL r3.1 section 8.2.9.9.4.1: Get Poison List (Opcode 4300h) */
#define MEDIA_AND_POISON    0x43
#define GET_POISON_LIST     0x00

/* Our entries' type: not what QMP or the guest itself injects. */
#define OURS CXL_POISON_TYPE_EXTERNAL

/* A poisoned unit that this guest is clearing, a line at a time. */
typedef struct GFAMClearing {
    uint64_t dpa, size;
    uint64_t lines;             /* cleared, a bit each */
    QTAILQ_ENTRY(GFAMClearing) next;
} GFAMClearing;

struct GFAMPoison {
    CXLGFAM *gfam;
    Notifier recovery_notifier;
    uint64_t cursor;            /* into the fabric's records */
    QTAILQ_HEAD(, GFAMClearing) clearing;
};

/* QEMU's own handler, the same for every device. */
static opcode_handler get_poison_list;

static struct cxlf_directory *directory(CXLGFAM *s)
{
    return cxl_fabric_directory(eca_fabric(s->eca));
}

static bool is_poisoned(CXLGFAM *s, enum cxlf_kind kind, uint64_t dpa)
{
    struct cxlf_line line;

    return cxlf_peek(directory(s), kind, s->gfam, gfam_dpa(s, dpa), &line) &&
           line.state == CXLF_P;
}

/* The unit that holds @dpa now: its line where the page is one of lines. */
static enum cxlf_kind unit_of(CXLGFAM *s, uint64_t dpa, uint64_t *base,
                              uint64_t *size)
{
    struct cxlf_directory *d = directory(s);
    bool has_lines = dpa < s->hot ||
                     cxlf_can_promote(d, s->gfam, gfam_dpa(s, dpa));
    enum cxlf_kind kind = CXLF_LINE_UNIT;
    struct cxlf_line page;

    if (!has_lines || (cxlf_peek(d, CXLF_PAGE_UNIT, s->gfam,
                                 gfam_dpa(s, dpa), &page) &&
                       page.state != CXLF_L)) {
        kind = CXLF_PAGE_UNIT;
    }
    *size = kind == CXLF_PAGE_UNIT ? CXLF_PAGE :
            cxlf_topology_grain(&d->topology);
    *base = QEMU_ALIGN_DOWN(dpa, *size);
    return kind;
}

static GFAMClearing *find_clearing(CXLGFAM *s, uint64_t base, uint64_t size)
{
    GFAMClearing *c;

    QTAILQ_FOREACH(c, &s->poison->clearing, next) {
        if (c->dpa == base && c->size == size) {
            return c;
        }
    }
    return NULL;
}

/* A unit that is poisoned anew has to be cleared from the beginning. */
static void forget_clearing(CXLGFAM *s, uint64_t start, uint64_t end)
{
    GFAMClearing *c, *next;

    QTAILQ_FOREACH_SAFE(c, &s->poison->clearing, next, next) {
        if (c->dpa < end && c->dpa + c->size > start) {
            QTAILQ_REMOVE(&s->poison->clearing, c, next);
            g_free(c);
        }
    }
}

/* The device's list */

static void add_entry(CXLType3Dev *ct3d, uint64_t start, uint64_t length)
{
    CXLPoison *p = g_new0(CXLPoison, 1);

    p->start = start;
    p->length = length;
    p->type = OURS;
    if (ct3d->poison_list_cnt < CXL_POISON_LIST_LIMIT) {
        QLIST_INSERT_HEAD(&ct3d->poison_list, p, node);
        ct3d->poison_list_cnt++;
        return;
    }
    if (!ct3d->poison_list_overflowed) {
        cxl_set_poison_list_overflowed(ct3d);
    }
    QLIST_INSERT_HEAD(&ct3d->poison_list_bkp, p, node);
}

/* Add what the list does not have yet of a range.  True if there was any. */
static bool add_range(CXLType3Dev *ct3d, uint64_t start, uint64_t end)
{
    bool added = false;

    while (start < end) {
        uint64_t stop = end, past = end;
        CXLPoison *p;

        /* Up to the entry that comes first, and on behind it. */
        QLIST_FOREACH(p, &ct3d->poison_list, node) {
            if (p->start + p->length > start && p->start < stop) {
                stop = MAX(p->start, start);
                past = p->start + p->length;
            }
        }
        if (start < stop) {
            add_entry(ct3d, start, stop - start);
            added = true;
        }
        start = past;
    }
    return added;
}

/* Add what is poisoned of a range now, but for lines that were cleared. */
static bool add_poisoned(CXLGFAM *s, uint64_t start, uint64_t end)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);
    uint64_t from = start, at = start;
    bool added = false;

    while (at < end) {
        uint64_t base, size;
        enum cxlf_kind kind = unit_of(s, at, &base, &size);
        bool poisoned = is_poisoned(s, kind, at);
        GFAMClearing *c = find_clearing(s, base, size);
        uint64_t past = base + size;

        if (poisoned && c) {
            poisoned = !(c->lines >> (at - base) / CXLF_LINE & 1);
            past = at + CXLF_LINE;
        }
        if (!poisoned) {
            added |= add_range(ct3d, from, at);
            from = past;
        }
        at = past;
    }
    return add_range(ct3d, from, end) || added;
}

/* Drop what another host has cleared since. */
static void prune(CXLGFAM *s)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);
    g_autoptr(GArray) ranges = g_array_new(false, false, sizeof(Range));
    CXLPoison *p, *next;

    QLIST_FOREACH_SAFE(p, &ct3d->poison_list, node, next) {
        if (p->type == OURS) {
            Range r;

            range_set_bounds1(&r, p->start, p->start + p->length);
            g_array_append_val(ranges, r);
            QLIST_REMOVE(p, node);
            ct3d->poison_list_cnt--;
            g_free(p);
        }
    }
    for (unsigned i = 0; i < ranges->len; i++) {
        Range *r = &g_array_index(ranges, Range, i);

        add_poisoned(s, range_lob(r), range_upb(r) + 1);
    }
}

/* Records of the fabric */

static bool insert_event(CXLType3Dev *ct3d, uint64_t dpa)
{
    static const QemuUUID id = {
        .data = UUID(0xfbcd0a77, 0xc260, 0x417f,
                     0x85, 0xa9, 0x08, 0x8b, 0x16, 0x21, 0xeb, 0xa6),
    };
    CXLEventGenMedia event = {
        .hdr.id = id,
        .hdr.length = sizeof(event),
        .descriptor = DESCRIPTOR_UNCORRECTABLE,
        .type = TYPE_DATA_PATH,
    };

    st24_le_p(event.hdr.flags, SEVERITY_FAILURE);
    stq_le_p(&event.hdr.timestamp,
             cxl_device_get_timestamp(&ct3d->cxl_dstate));
    stq_le_p(&event.phys_addr, dpa);
    return cxl_event_insert(&ct3d->cxl_dstate, CXL_EVENT_TYPE_FAIL,
                            (CXLEventRecordRaw *)&event);
}

/* What a record says of this endpoint's memory: @p's @dpa becomes its own. */
static bool is_ours(const CXLGFAM *s, CXLFabricPoison *p)
{
    uint64_t size = gfam_size(s), end = p->dpa + p->length;

    if (p->gfam != s->gfam || end <= s->start ||
        p->dpa >= gfam_dpa(s, size)) {
        return false;
    }
    p->dpa = MAX(p->dpa, s->start) - s->start;
    p->length = MIN(end - s->start, size) - p->dpa;
    return true;
}

void gfam_poison_poll(CXLGFAM *s)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);
    CXLFabricPoison p;
    bool lost = false, interrupt = false;

    while (cxl_fabric_poison_next(eca_fabric(s->eca), &s->poison->cursor, &p,
                                  &lost)) {
        if (!is_ours(s, &p)) {
            continue;
        }
        forget_clearing(s, p.dpa, p.dpa + p.length);
        if (add_poisoned(s, p.dpa, p.dpa + p.length)) {
            trace_gfam_poison(s->gfam, p.dpa, p.length, p.host);
            interrupt |= insert_event(ct3d, p.dpa);
        }
    }
    if (lost && !ct3d->poison_list_overflowed) {
        cxl_set_poison_list_overflowed(ct3d);
    }
    if (interrupt) {
        cxl_event_irq_assert(ct3d);
    }
}

static CXLRetCode on_get_poison_list(const struct cxl_cmd *cmd,
                                     uint8_t *in, size_t len_in,
                                     uint8_t *out, size_t *len_out,
                                     CXLCCI *cci)
{
    CXLGFAM *s = CXL_GFAM(cci->d);

    gfam_poison_poll(s);
    prune(s);
    return get_poison_list(cmd, in, len_in, out, len_out, cci);
}

/* Clear Poison */

bool gfam_poison_clear(CXLGFAM *s, uint64_t dpa, const uint8_t *data,
                       bool *written)
{
    uint8_t *memory = memory_region_get_ram_ptr(
        host_memory_backend_get_memory(CXL_TYPE3(s)->hostvmem));
    uint64_t base, size;
    enum cxlf_kind kind = unit_of(s, dpa, &base, &size);
    GFAMClearing *c;

    *written = false;
    if (!cxl_fabric_is_up(eca_fabric(s->eca))) {
        return false;
    }
    if (!is_poisoned(s, kind, dpa)) {
        return true;
    }
    /*
     * The new content first: nobody accesses it while the unit is poisoned,
     * and nobody may take what was there before for good.  For the same
     * reason a unit stays poisoned until all of its lines have been cleared.
     */
    memcpy(memory + dpa, data, CXLF_LINE);
    smp_wmb();          /* before the entry that clears it */
    *written = true;
    c = find_clearing(s, base, size);
    if (!c) {
        c = g_new(GFAMClearing, 1);
        *c = (GFAMClearing) { .dpa = base, .size = size };
        QTAILQ_INSERT_TAIL(&s->poison->clearing, c, next);
    }
    c->lines |= 1ull << (dpa - base) / CXLF_LINE;
    trace_gfam_clear_poison(s->gfam, dpa, c->lines);
    if (c->lines != MAKE_64BIT_MASK(0, size / CXLF_LINE)) {
        return true;
    }
    forget_clearing(s, base, base + size);
    return eca_clear_poison(s->eca, kind, s->gfam, gfam_dpa(s, dpa));
}

void gfam_poison_reset(CXLGFAM *s)
{
    struct cxl_cmd *cmd =
        &CXL_TYPE3(s)->cci.cxl_cmd_set[MEDIA_AND_POISON][GET_POISON_LIST];

    if (cmd->handler && cmd->handler != on_get_poison_list) {
        get_poison_list = cmd->handler;
        cmd->handler = on_get_poison_list;
    }
}

static void on_recovery(Notifier *n, void *data)
{
    GFAMPoison *p = container_of(n, GFAMPoison, recovery_notifier);

    gfam_poison_poll(p->gfam);
}

void gfam_poison_init(CXLGFAM *s)
{
    s->poison = g_new0(GFAMPoison, 1);
    s->poison->gfam = s;
    QTAILQ_INIT(&s->poison->clearing);
    s->poison->recovery_notifier.notify = on_recovery;
    eca_add_recovery_notifier(s->eca, &s->poison->recovery_notifier);
}

void gfam_poison_exit(CXLGFAM *s)
{
    notifier_remove(&s->poison->recovery_notifier);
    forget_clearing(s, 0, UINT64_MAX);
    g_clear_pointer(&s->poison, g_free);
}
