/*
 * DPU Edge Coherence Agent: commands for private copies
 *
 * TCG does not trap a guest's CLFLUSH or CLWB, so what software does for
 * coherence it asks of the agent (docs/software-coherence.md).  The agent's
 * thread makes it while the vCPU waits; it waits for nobody itself.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "cxlf/copies.h"
#include "eca-copies.h"
#include "eca-internal.h"
#include "eca-regs.h"

static void work(void *opaque)
{
    ECAState *s = opaque;
    ECACopyCommand *c = &s->copy;

    c->lines = eca_soft_command(eca_pager_soft(s->pager), c->gfam, c->dpa,
                                c->length, c->command & ECA_COPY_FLUSH,
                                c->command & ECA_COPY_INVALIDATE);
}

static const struct cxlf_topology *topology(ECAState *s)
{
    return &cxl_fabric_directory(s->fabric)->topology;
}

/* What is wrong with the command's range, if it may begin with HOT or not. */
static uint32_t check_range(ECAState *s, bool may_be_hot)
{
    const ECACopyCommand *c = &s->copy;
    const struct cxlf_gfam *g;
    uint64_t first, size;

    if (!cxl_fabric_is_up(s->fabric)) {
        return ECA_COPY_LOST;
    }
    if (c->gfam >= topology(s)->gfams || !s->memory[c->gfam]) {
        return ECA_COPY_RANGE;
    }
    g = &topology(s)->gfam[c->gfam];
    first = may_be_hot ? 0 : g->hot;
    size = g->hot + g->bulk;
    if (!c->length || c->dpa < first || c->dpa >= size ||
        c->length > size - c->dpa) {
        return ECA_COPY_RANGE;
    }
    return c->length > ECA_COPIES_MAX ? ECA_COPY_TOO_LONG : ECA_COPY_DONE;
}

/* A command on pages, which may still be under way when this returns. */
static uint32_t run_on_pages(ECAState *s)
{
    const ECACopyCommand *c = &s->copy;
    uint32_t status;
    ECARange *r;

    if (!s->pager) {
        return ECA_COPY_OFF;
    }
    status = check_range(s, true);
    if (status != ECA_COPY_DONE) {
        return status;
    }
    if (c->dpa + c->length > topology(s)->gfam[c->gfam].hot &&
        eca_soft_is_on(eca_pager_soft(s->pager), c->gfam)) {
        return ECA_COPY_OFF;
    }
    r = eca_pager_command(s->pager);
    r->command = c->command;
    r->gfam = c->gfam;
    r->dpa = c->dpa & ~(CXLF_PAGE - 1ull);
    r->pages = DIV_ROUND_UP(c->dpa + c->length - r->dpa, CXLF_PAGE);
    if (r->pages > ECA_RANGE_PAGES) {
        return ECA_COPY_TOO_LONG;
    }
    eca_pager_start(s->pager);
    return ECA_COPY_BUSY;
}

/* The owner of the fabric answers later. */
static uint32_t run_reserve(ECAState *s)
{
    const ECACopyCommand *c = &s->copy;

    if (c->gfam >= CXLF_MAX_GFAMS || !s->memory[c->gfam]) {
        return ECA_COPY_RANGE;
    }
    cxl_fabric_reserve(s->fabric, c->command == ECA_RESERVE, c->gfam, c->dpa,
                       c->length);
    return ECA_COPY_BUSY;
}

static uint32_t reserve_status(ECAState *s)
{
    static const uint32_t status[] = {
        [CXLF_RESERVE_OK] = ECA_COPY_DONE,
        [CXLF_RESERVE_RANGE] = ECA_COPY_RANGE,
        [CXLF_RESERVE_TAKEN] = ECA_COPY_TAKEN,
        [CXLF_RESERVE_FULL] = ECA_COPY_FULL,
        [CXLF_RESERVE_NONE] = ECA_COPY_NONE,
        [CXL_FABRIC_RESERVE_BUSY] = ECA_COPY_BUSY,
        [CXL_FABRIC_RESERVE_LOST] = ECA_COPY_LOST,
    };

    return status[cxl_fabric_reserve_result(s->fabric)];
}

/* What a command that was under way has come to. */
static void look_at_command(ECAState *s)
{
    ECACopyCommand *c = &s->copy;
    ECARange *r;

    if (c->status != ECA_COPY_BUSY) {
        return;
    }
    if (c->command == ECA_RESERVE || c->command == ECA_UNRESERVE) {
        c->status = reserve_status(s);
    } else {
        r = eca_pager_command(s->pager);
        c->status = qatomic_load_acquire(&r->status);
        c->lines = qatomic_read(&r->done);
    }
}

static uint32_t run(ECAState *s)
{
    ECACopyCommand *c = &s->copy;
    uint32_t status;

    c->lines = 0;
    if (c->command >= ECA_PAGES_SHARED && c->command < ECA_PAGES_END) {
        return run_on_pages(s);
    }
    if (c->command == ECA_RESERVE || c->command == ECA_UNRESERVE) {
        return run_reserve(s);
    }
    if (!c->command || c->command & ~(ECA_COPY_FLUSH | ECA_COPY_INVALIDATE)) {
        return ECA_COPY_UNKNOWN;
    }
    status = check_range(s, false);
    if (status == ECA_COPY_DONE && s->pager) {
        eca_pager_run(s->pager, work, s);
    }
    return status;
}

uint64_t eca_copy_read(ECAState *s, hwaddr offset)
{
    const ECACopyCommand *c = &s->copy;

    look_at_command(s);
    switch (offset) {
    case ECA_COPY_DPA:
        return c->dpa;
    case ECA_COPY_LENGTH:
        return c->length;
    case ECA_COPY_GFAM:
        return c->gfam | (uint64_t)c->command << 32;
    case ECA_COPY_STATUS:
        return c->status | (uint64_t)c->lines << 32;
    case ECA_BULK_MODE:
        return CXLF_BULK_MODE(cxl_fabric_bulk_mode(s->fabric)) |
               (uint64_t)ECA_COPIES_MAX << 32;
    default:
        return 0;
    }
}

/* One half of a register of 64 bits, or all of it. */
static void set(uint64_t *reg, hwaddr offset, uint64_t value, unsigned size)
{
    *reg = size == 8 ? value :
           deposit64(*reg, (offset & 4) * 8, 32, value);
}

bool eca_copy_write(ECAState *s, hwaddr offset, uint64_t value, unsigned size)
{
    ECACopyCommand *c = &s->copy;

    look_at_command(s);
    if (c->status == ECA_COPY_BUSY && offset >= ECA_COPY &&
        offset < ECA_COPY_STATUS) {
        qemu_log_mask(LOG_GUEST_ERROR, "dpu-eca: a command is under way\n");
        return true;
    }
    switch (offset & ~7ull) {
    case ECA_COPY_DPA:
        set(&c->dpa, offset, value, size);
        return true;
    case ECA_COPY_LENGTH:
        set(&c->length, offset, value, size);
        return true;
    case ECA_COPY_GFAM:
        if (!(offset & 4)) {
            c->gfam = value;
            value >>= 32;
        }
        if (offset & 4 || size == 8) {
            c->command = value;
            c->status = run(s);
            look_at_command(s);
        }
        return true;
    default:
        return false;
    }
}

bool eca_copy_unable(ECAState *s, Error **errp)
{
    uint32_t word;

    /* Before it looks at the mode: whoever changes that does the reverse. */
    qatomic_set_mb(&cxlf_copy_host(cxl_fabric_directory(s->fabric),
                                   s->host)->agent, CXLF_COPY_UNABLE);
    word = cxl_fabric_bulk_mode(s->fabric);
    if (CXLF_BULK_MODE(word) | CXLF_BULK_WANTED(word)) {
        error_setg(errp, "'ownership': the fabric has BULK in software mode, "
                   "which needs ownership=on");
        return false;
    }
    return true;
}
