/*
 * GFAM device: HDM decoders, and what they map into the fixed windows
 *
 * QEMU routes each access to a fixed window through its decoder walk.  A
 * committed decoder of ours takes its range over with a subregion of higher
 * priority, checked when it commits (the range is the guest's choice), and
 * opened once every decoder above is committed to it as well.  An HPA range
 * that does not lie wholly in one fixed window, or that overlaps another,
 * sets the decoder's error bit and maps nothing (CXL r3.1 section
 * 8.2.4.20.12).
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/range.h"
#include "../cxl-fabric/pbr-component.h"
#include "../cxl-fabric/pbr-path.h"
#include "gfam-internal.h"
#include "trace.h"

static CXLComponentState *component(CXLGFAM *s)
{
    return &CXL_TYPE3(s)->cxl_cstate;
}

/* Windows */

/*
 * Show what may be accessed at native speed.  Without page ownership that is
 * BULK, but neither HOT nor dynamic capacity; with it, all that the agent's
 * view permits.
 */
static void map_direct(GFAMWindow *w)
{
    CXLGFAM *s = w->gfam;
    uint64_t from = s->view || s->hot_bypass || w->trap.dpa >= s->hot ? 0 :
                    s->hot - w->trap.dpa;
    uint64_t dpa = w->trap.dpa + from, end = w->trap.dpa + w->size;

    if (!s->view) {
        end = MIN(end, s->hot + s->bulk);   /* nobody checks what is direct */
    }
    if (dpa >= end) {
        return;
    }
    memory_region_set_size(&w->direct, end - dpa);
    memory_region_set_alias_offset(&w->direct,
                                   s->view ? gfam_dpa(s, dpa) : dpa);
    memory_region_add_subregion_overlap(&w->region, from, &w->direct, 1);
    w->mapped = true;
    trace_gfam_map(s->gfam, w->base + from, dpa, end - dpa);
}

static void unmap_direct(GFAMWindow *w)
{
    if (w->mapped) {
        memory_region_del_subregion(&w->region, &w->direct);
        w->mapped = false;
        trace_gfam_unmap(w->gfam->gfam, w->base);
    }
}

/* Open or close a window to match the decoders above. */
static void update_window(GFAMWindow *w)
{
    CXLGFAM *s = w->gfam;
    bool open = w->fw && cxl_fabric_is_up(eca_fabric(s->eca)) &&
        pbr_path_committed(PCI_DEVICE(s), w->fw, w->base, w->size);

    if (open == w->trap.open) {
        return;
    }
    memory_region_transaction_begin();
    w->trap.open = open;
    if (open) {
        map_direct(w);
    } else {
        unmap_direct(w);
    }
    memory_region_transaction_commit();
}

static void install(GFAMWindow *w, CXLFixedWindow *fw, const PBRDecoder *d,
                    uint64_t dpa)
{
    w->fw = fw;
    w->base = d->base;
    w->size = d->size;
    w->trap.dpa = dpa;
    eca_window(w->gfam->eca, w->gfam->gfam, w, gfam_dpa(w->gfam, dpa),
               d->base, d->size);
    memory_region_transaction_begin();
    memory_region_set_size(&w->region, d->size);
    memory_region_set_size(&w->trap.region, d->size);
    memory_region_add_subregion_overlap(&fw->mr, d->base - fw->base,
                                        &w->region, 1);
    memory_region_transaction_commit();
    update_window(w);
}

static void uninstall(GFAMWindow *w)
{
    if (w->fw) {
        memory_region_transaction_begin();
        unmap_direct(w);
        memory_region_del_subregion(&w->fw->mr, &w->region);
        memory_region_transaction_commit();
        eca_window(w->gfam->eca, w->gfam->gfam, w, 0, 0, 0);
        w->fw = NULL;
        w->trap.open = false;
    }
}

/*
 * DPA at which decoder @which begins: decoders map DPA in their order, each
 * after its skip.  Returns a sentence that says why it cannot, or NULL.
 */
static const char *find_dpa(CXLGFAM *s, unsigned which, const PBRDecoder *d,
                            uint64_t *dpa)
{
    uint64_t capacity = gfam_size(s), at = 0;

    for (unsigned i = 0; i <= which; i++) {
        PBRDecoder each;

        pbr_decoder_read(component(s), i, &each);
        if (i < which && !pbr_decoder_committed(&each)) {
            return "an earlier decoder is not committed";
        }
        if (each.skip > capacity - at ||
            each.size > capacity - at - each.skip) {
            return "the DPA range is beyond the device's capacity";
        }
        at += each.skip;
        *dpa = at;
        at += each.size;
    }
    return NULL;
}

static const char *check(CXLGFAM *s, unsigned which, const PBRDecoder *d,
                         CXLFixedWindow **fw, uint64_t *dpa)
{
    if (d->size == 0) {
        return "its size is 0";
    }
    if (d->base + d->size < d->base) {
        return "its range wraps around";
    }
    if (pbr_decoder_ways(d) != 0) {
        return "interleaving of GFAM devices is not supported";
    }
    *fw = pbr_path_window(d->base, d->size);
    if (!*fw) {
        return "its range is not wholly inside one CXL fixed window, or "
               "overlaps another decoder";
    }
    return find_dpa(s, which, d, dpa);
}

static void set_control(CXLGFAM *s, unsigned which, bool committed, bool err)
{
    uint8_t *reg = (uint8_t *)component(s)->crb.cache_mem_registers +
        A_CXL_HDM_DECODER0_CTRL +
        which * (A_CXL_HDM_DECODER1_CTRL - A_CXL_HDM_DECODER0_CTRL);
    uint32_t control = (uint32_t)ldl_le_p(reg);

    control = FIELD_DP32(control, CXL_HDM_DECODER0_CTRL, COMMITTED,
                         committed);
    control = FIELD_DP32(control, CXL_HDM_DECODER0_CTRL, ERR, err);
    stl_le_p(reg, control);
}

static void commit(CXLGFAM *s, unsigned which)
{
    GFAMWindow *w = &s->window[which];
    CXLFixedWindow *fw = NULL;
    uint64_t dpa = 0;
    const char *why;
    PBRDecoder d;

    uninstall(w);           /* a second commit begins anew */
    pbr_decoder_read(component(s), which, &d);
    why = check(s, which, &d, &fw, &dpa);
    trace_gfam_commit(s->gfam, which, d.base, d.size, dpa, why ? why : "ok");
    if (why) {
        qemu_log_mask(LOG_GUEST_ERROR, "cxl-gfam: decoder %u does not "
                      "commit: %s\n", which, why);
        set_control(s, which, false, true);
        return;
    }
    install(w, fw, &d, dpa);
}

/*
 * Whether @offset is a register of a committed decoder other than its
 * control register.  Software may not change these; if it could, QEMU's own
 * walk would follow them to memory that is not ours to show, past @trap.
 */
static bool is_frozen(CXLGFAM *s, hwaddr offset)
{
    const hwaddr stride = A_CXL_HDM_DECODER1_CTRL - A_CXL_HDM_DECODER0_CTRL;
    hwaddr from_first = offset - A_CXL_HDM_DECODER0_BASE_LO;
    PBRDecoder d;

    if (offset < A_CXL_HDM_DECODER0_BASE_LO ||
        from_first / stride >= CXL_HDM_DECODER_COUNT ||
        pbr_decoder_control(offset) >= 0) {
        return false;
    }
    pbr_decoder_read(component(s), from_first / stride, &d);
    return pbr_decoder_committed(&d);
}

/* Every write to the component registers of this endpoint. */
static void reg_write(void *opaque, hwaddr offset, uint64_t value,
                      unsigned size)
{
    CXLComponentState *cstate = opaque;
    CXLGFAM *s = CXL_GFAM(container_of(cstate, CXLType3Dev, cxl_cstate));
    int which = pbr_decoder_control(offset);

    if (is_frozen(s, offset)) {
        qemu_log_mask(LOG_GUEST_ERROR, "cxl-gfam: write to register 0x%"
                      HWADDR_PRIx " of a committed decoder\n", offset);
        return;
    }
    s->type3_reg_write(opaque, offset, value, size);
    if (which < 0) {
        return;
    }
    if (FIELD_EX32(value, CXL_HDM_DECODER0_CTRL, COMMIT)) {
        commit(s, which);
    } else {
        uninstall(&s->window[which]);
        trace_gfam_uncommit(s->gfam, which);
    }
}

static void on_path(Notifier *n, void *data)
{
    CXLGFAM *s = container_of(n, CXLGFAM, path_notifier);

    for (int i = 0; i < ARRAY_SIZE(s->window); i++) {
        update_window(&s->window[i]);
    }
}

static void on_lost(Notifier *n, void *data)
{
    CXLGFAM *s = container_of(n, CXLGFAM, lost_notifier);

    on_path(&s->path_notifier, NULL);
}

void gfam_hdm_close_all(CXLGFAM *s)
{
    for (int i = 0; i < ARRAY_SIZE(s->window); i++) {
        uninstall(&s->window[i]);
    }
}

void gfam_hdm_init(CXLGFAM *s)
{
    CXLType3Dev *ct3d = CXL_TYPE3(s);
    MemoryRegion *memory = host_memory_backend_get_memory(ct3d->hostvmem);

    for (int i = 0; i < ARRAY_SIZE(s->window); i++) {
        GFAMWindow *w = &s->window[i];

        w->gfam = s;
        memory_region_init(&w->region, OBJECT(s), "cxl-gfam-window",
                           gfam_size(s));
        gfam_trap_init(&w->trap, s);
        memory_region_init_alias(&w->direct, OBJECT(s), "cxl-gfam-direct",
                                 s->view ? s->view : memory, 0,
                                 gfam_size(s));
        memory_region_add_subregion(&w->region, 0, &w->trap.region);
    }
    s->type3_reg_write = component(s)->crb.special_ops->write;
    component(s)->crb.special_ops->write = reg_write;
    s->path_notifier.notify = on_path;
    pbr_path_watch(PCI_DEVICE(s), &s->path_notifier);
    s->lost_notifier.notify = on_lost;
    cxl_fabric_add_lost_notifier(eca_fabric(s->eca), &s->lost_notifier);
}

void gfam_hdm_exit(CXLGFAM *s)
{
    notifier_remove(&s->lost_notifier);
    notifier_remove(&s->path_notifier);
    gfam_hdm_close_all(s);
    for (int i = 0; i < ARRAY_SIZE(s->window); i++) {
        memory_region_del_subregion(&s->window[i].region,
                                    &s->window[i].trap.region);
    }
}
