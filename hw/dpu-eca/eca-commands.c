/*
 * DPU Edge Coherence Agent: commands
 *
 * What may be asked, for registers and queues (eca-queue.c), and the commands
 * by registers: docs/specs/dpu-eca.rst.  TCG does not trap a guest's CLFLUSH
 * or CLWB, so software coherence needs them as well.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "cxlf/copies.h"
#include "eca-commands.h"
#include "eca-internal.h"
#include "eca-queue.h"
#include "eca-regs.h"

static const struct cxlf_topology *topology(ECAState *s)
{
    return &cxl_fabric_directory(s->fabric)->topology;
}

ECACommandClass eca_command_class(uint32_t command)
{
    switch (command) {
    case ECA_COPY_FLUSH:
    case ECA_COPY_INVALIDATE:
    case ECA_COPY_FLUSH | ECA_COPY_INVALIDATE:
        return ECA_COMMAND_LINES;
    case ECA_PAGES_SHARED ... ECA_PAGES_END - 1:
        return ECA_COMMAND_PAGES;
    case ECA_RESERVE:
    case ECA_UNRESERVE:
        return ECA_COMMAND_RESERVE;
    case ECA_COPY_OUT:
    case ECA_COPY_IN:
    case ECA_COPY_ACROSS:
        return ECA_COMMAND_MEMORY;
    default:
        return ECA_COMMAND_OTHER;
    }
}

uint32_t eca_check_range(ECAState *s, ECACommandClass class, uint32_t gfam,
                         uint64_t *dpa, uint64_t *length)
{
    uint64_t unit = class == ECA_COMMAND_LINES ? CXLF_LINE : CXLF_PAGE;
    uint64_t end = *dpa + *length, first;
    const struct cxlf_gfam *g;

    if (!cxl_fabric_is_up(s->fabric)) {
        return ECA_COPY_LOST;
    }
    if (gfam >= topology(s)->gfams) {
        return ECA_COPY_RANGE;
    }
    g = &topology(s)->gfam[gfam];
    first = class == ECA_COMMAND_LINES ? g->hot : 0;
    if (!*length || *dpa < first || !eca_has(s, gfam, *dpa, *length)) {
        return ECA_COPY_RANGE;
    }
    if (class == ECA_COMMAND_RESERVE || class == ECA_COMMAND_MEMORY) {
        return ECA_COPY_DONE;
    }
    *dpa = QEMU_ALIGN_DOWN(*dpa, unit);
    *length = QEMU_ALIGN_UP(end, unit) - *dpa;
    /* Without an agent's thread there are no private copies. */
    if (class == ECA_COMMAND_LINES) {
        return ECA_COPY_DONE;
    }
    return !s->pager || (*dpa + *length > g->hot &&
                         eca_soft_is_on(eca_pager_soft(s->pager), gfam)) ?
           ECA_COPY_OFF : ECA_COPY_DONE;
}

/* A command on a range, which may still be under way when this returns. */
static uint32_t run_on_range(ECAState *s, ECACommandClass class)
{
    const ECACopyCommand *c = &s->copy;
    ECARange *r = &s->copy_range;
    uint32_t status;

    r->command = c->command;
    r->gfam = c->gfam;
    r->dpa = c->dpa;
    r->length = c->length;
    status = eca_check_range(s, class, r->gfam, &r->dpa, &r->length);
    if (status != ECA_COPY_DONE || !s->pager) {
        return status;
    }
    if (r->length > ECA_RANGE_SIZE) {
        return ECA_COPY_TOO_LONG;
    }
    eca_pager_start(s->pager, r);
    return ECA_COPY_BUSY;
}

/* Reserved ranges: the owner of the fabric answers later. */

bool eca_reserve(ECAState *s, void *user, bool reserve, uint32_t gfam,
                 uint64_t dpa, uint64_t length)
{
    if (s->reserve_user && s->reserve_user != user) {
        return false;
    }
    s->reserve_user = user;
    cxl_fabric_reserve(s->fabric, reserve, gfam, dpa, length);
    return true;
}

void eca_reserve_forget(ECAState *s, void *user)
{
    if (s->reserve_user == user) {
        s->reserve_user = NULL;
        eca_queues_kick(s);
    }
}

uint32_t eca_reserve_status(ECAState *s, void *user)
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
    int result = cxl_fabric_reserve_result(s->fabric);

    if (result != CXL_FABRIC_RESERVE_BUSY) {
        eca_reserve_forget(s, user);
    }
    return status[result];
}

static uint32_t run_reserve(ECAState *s)
{
    const ECACopyCommand *c = &s->copy;

    if (c->gfam >= CXLF_MAX_GFAMS ||
        !eca_has(s, c->gfam, c->dpa, c->length)) {
        return ECA_COPY_RANGE;
    }
    return eca_reserve(s, &s->copy, c->command == ECA_RESERVE, c->gfam,
                       c->dpa, c->length) ? ECA_COPY_BUSY : ECA_COPY_AGAIN;
}

/* What a command that was under way has come to. */
static void look_at_command(ECAState *s)
{
    ECACopyCommand *c = &s->copy;

    if (c->status != ECA_COPY_BUSY) {
        return;
    }
    if (eca_command_class(c->command) == ECA_COMMAND_RESERVE) {
        c->status = eca_reserve_status(s, c);
    } else {
        c->status = qatomic_load_acquire(&s->copy_range.status);
        c->lines = qatomic_read(&s->copy_range.done);
    }
}

void eca_commands_answered(ECAState *s)
{
    look_at_command(s);
    eca_queues_kick(s);
}

void eca_commands_reset(ECAState *s)
{
    memset(&s->copy, 0, sizeof(s->copy));
    s->reserve_user = NULL;
}

static uint32_t run(ECAState *s)
{
    ECACopyCommand *c = &s->copy;
    ECACommandClass class = eca_command_class(c->command);

    c->lines = 0;
    switch (class) {
    case ECA_COMMAND_LINES:
    case ECA_COMMAND_PAGES:
        return run_on_range(s, class);
    case ECA_COMMAND_RESERVE:
        return run_reserve(s);
    default:
        return ECA_COPY_UNKNOWN;
    }
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
               (uint64_t)ECA_RANGE_SIZE << 32;
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
