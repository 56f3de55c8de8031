/*
 * DPU Edge Coherence Agent: queues of commands in guest memory
 *
 * A queue does one command at a time, and several ranges of that at once:
 * each slot is a range that the agent's thread has been given.  The bottom
 * half does all that touches guest memory; whatever it waits for schedules it
 * again: the guest's doorbell, the end of a range, the owner's answer, the
 * end of another queue's command.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "block/aio.h"
#include "system/runstate.h"
#include "eca-commands.h"
#include "eca-dma.h"
#include "eca-internal.h"
#include "eca-manager.h"
#include "eca-messages.h"
#include "eca-queue.h"
#include "eca-regs.h"
#include "eca-ring.h"
#include "trace.h"

#define SLOTS           16
#define STEPS           64      /* of a queue, before others have a turn */
#define DOORBELL_STEPS  8       /* while the guest rings */
#define LIST_ENTRIES    256     /* of a list, fetched at a time */
#define HOLDINGS        4096    /* pages, written at a time */

/* A range that the agent's thread works on. */
typedef struct Slot {
    bool used;
    uint64_t index;             /* in the list */
} Slot;

/* The command that a queue has under way. */
typedef struct Command {
    bool active;
    bool aborted;
    bool begun;                 /* dpa and left are those of its range */
    uint16_t command, flags;
    uint32_t tag, gfam, count;  /* count: of ranges, at least 1 */
    uint64_t address;
    uint32_t argument[CXLF_ASK_ARGUMENTS];
    uint64_t ticket;            /* order between queues */
    uint64_t index;             /* of the range that is being worked on */
    uint64_t dpa, left;         /* what is left of it */
    uint64_t done, where;
    uint32_t status;
    unsigned under_way;         /* slots */
    ECADma dma;
    uint8_t list[LIST_ENTRIES * ECA_LIST_SIZE];
} Command;

struct ECAQueue {
    ECAState *eca;
    unsigned number;
    QEMUBH *bh;

    /* Registers */
    uint64_t sq_base;
    uint32_t sq_size, control;
    uint32_t state, why;
    uint32_t sq_tail, sq_head;
    ECARing cq;

    bool interrupt;             /* to be raised */
    bool in_doorbell;           /* in a vCPU's access to SQ_TAIL */
    bool needs_memory;          /* other than rings: not from there */
    Command command;
    Slot slot[SLOTS];
    ECARange range[SLOTS];      /* of each slot */
};

/* The end of a queue's work */

/* A command has ended, which a fence of another queue may wait for. */
static void kick_fences(ECAState *s)
{
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        const Command *c = &s->queues[i].command;

        if (c->active && c->command == ECA_FENCE) {
            qemu_bh_schedule(s->queues[i].bh);
        }
    }
}

/* End what is under way, without a completion. */
static void drop_command(ECAQueue *q)
{
    ECAState *s = q->eca;

    if (q->command.under_way) {
        eca_pager_abort(s->pager, q->range, SLOTS);
    }
    eca_reserve_forget(s, q);
    eca_manager_forget(s, q);
    memset(q->slot, 0, sizeof(q->slot));
    q->command = (Command) { 0 };
    kick_fences(s);
}

static void stop(ECAQueue *q, uint32_t why)
{
    trace_eca_queue_stop(q->eca->host, q->number, why);
    drop_command(q);
    q->state = ECA_QUEUE_STOPPED;
    q->why = why;
    q->interrupt = true;
    qemu_bh_schedule(q->bh);
}

/* Completions */

static void complete(ECAQueue *q)
{
    Command *c = &q->command;
    uint8_t entry[ECA_CQE_SIZE] = { 0 };

    trace_eca_queue_end(q->eca->host, q->number, c->command, c->tag, c->done,
                        c->status);
    stl_le_p(entry + ECA_CQE_TAG, c->tag);
    stw_le_p(entry + ECA_CQE_STATUS, c->status);
    stq_le_p(entry + ECA_CQE_DONE, c->done);
    stq_le_p(entry + ECA_CQE_WHERE, c->where);
    stl_le_p(entry + ECA_CQE_SQ_HEAD, q->sq_head);
    if (!eca_ring_put(&q->cq, q->eca, entry, sizeof(entry), ECA_CQE_PHASE)) {
        stop(q, ECA_QUEUE_WHY_DMA);
        return;
    }
    eca_manager_told(q->eca, q);
    q->interrupt |= c->status || !(c->flags & ECA_SQE_QUIET);
    drop_command(q);
}

/* Submissions */

static void fail(Command *c, uint64_t index, uint32_t status)
{
    if (status != ECA_COPY_DONE && index < c->where) {
        c->where = index;
        c->status = status;
    }
}

/* An error of the whole command: no more of it is begun. */
static void give_up(Command *c, uint32_t status)
{
    fail(c, c->index, status);
    c->index = c->count;
    c->left = 0;
}

/* What is wrong with the fields that say how the command is given. */
static uint32_t check_form(const Command *c, const uint8_t *e)
{
    ECACommandClass class = eca_command_class(c->command);
    bool list = c->flags & ECA_SQE_LIST;
    bool one = class == ECA_COMMAND_OTHER || class == ECA_COMMAND_MEMORY;
    bool across = c->command == ECA_COPY_ACROSS;
    bool message = c->command == ECA_MESSAGE;
    bool request = eca_is_request(c->command);
    bool has_address = class == ECA_COMMAND_MEMORY || message ||
                       c->command == ECA_HOLDINGS ||
                       c->command == ECA_READ_COUNTERS;
    uint64_t dpa = ldq_le_p(e + ECA_SQE_DPA);
    uint64_t length = ldq_le_p(e + ECA_SQE_LENGTH);
    uint32_t count = ldl_le_p(e + ECA_SQE_COUNT);
    unsigned used = c->command == ECA_ASK ? ECA_SQE_ARGUMENT : ECA_SQE_SIZE;

    if (one && !has_address && !request && c->command != ECA_FENCE) {
        return ECA_COPY_UNKNOWN;
    }
    if (c->flags & ~(ECA_SQE_LIST | ECA_SQE_QUIET) ||
        (!across && !message && !request && ldl_le_p(e + ECA_SQE_TARGET)) ||
        !buffer_is_zero(e + ECA_SQE_ZERO, used - ECA_SQE_ZERO)) {
        return ECA_COPY_MALFORMED;
    }
    if (list) {
        return one || !count ||
               count > ECA_LIST_MAX || dpa || length ||
               c->address % ECA_LIST_SIZE ?
               ECA_COPY_MALFORMED : ECA_COPY_DONE;
    }
    if (count || (c->address && !has_address) ||
        (c->command == ECA_FENCE && (dpa || length || c->gfam)) ||
        (message && (dpa || c->gfam)) ||
        (c->command == ECA_READ_COUNTERS &&
         (dpa || c->gfam || c->address % 8))) {
        return ECA_COPY_MALFORMED;
    }
    return ECA_COPY_DONE;
}

/* Begin the next command; false if there is none, or no room for its end. */
static bool fetch(ECAQueue *q)
{
    static uint64_t tickets;
    Command *c = &q->command;
    uint8_t e[ECA_SQE_SIZE];

    if (q->sq_head == q->sq_tail || !eca_ring_has_room(&q->cq)) {
        return false;
    }
    if (!eca_dma_read(q->eca, q->sq_base + q->sq_head * ECA_SQE_SIZE, e,
                      sizeof(e))) {
        stop(q, ECA_QUEUE_WHY_DMA);
        return false;
    }
    q->sq_head = (q->sq_head + 1) & (q->sq_size - 1);
    *c = (Command) {
        .active = true,
        .command = lduw_le_p(e + ECA_SQE_COMMAND),
        .flags = lduw_le_p(e + ECA_SQE_FLAGS),
        .tag = ldl_le_p(e + ECA_SQE_TAG),
        .gfam = ldl_le_p(e + ECA_SQE_GFAM),
        .count = ldl_le_p(e + ECA_SQE_COUNT),
        .address = ldq_le_p(e + ECA_SQE_ADDRESS),
        .dpa = ldq_le_p(e + ECA_SQE_DPA),
        .left = ldq_le_p(e + ECA_SQE_LENGTH),
        .where = UINT64_MAX,
        .ticket = ++tickets,
    };
    for (unsigned i = 0; i < CXLF_ASK_ARGUMENTS; i++) {
        c->argument[i] = ldl_le_p(e + ECA_SQE_ARGUMENT + 4 * i);
    }
    c->dma = (ECADma) {
        .command = c->command, .gfam = c->gfam, .dpa = c->dpa,
        .to_gfam = ldl_le_p(e + ECA_SQE_TARGET),
        .address = c->address, .length = c->left,
    };
    trace_eca_queue_command(q->eca->host, q->number, c->command, c->tag,
                            c->gfam, c->dpa, c->left, c->count);
    fail(c, 0, check_form(c, e));
    if (c->status != ECA_COPY_DONE) {
        c->where = UINT64_MAX;      /* it has no ranges, as far as is known */
        c->command = ECA_FENCE;
        c->count = 0;
    } else if (!(c->flags & ECA_SQE_LIST)) {
        c->count = 1;
    }
    return true;
}

/* What came of a step of the command that is under way. */
typedef enum Step { STEP_ENDED, STEP_WAITS, STEP_MORE } Step;

/* The command's ranges */

/* The range at c->index of a list, unless it is in c->dpa and left already. */
static bool next_range(ECAQueue *q)
{
    Command *c = &q->command;
    unsigned slot = c->index % LIST_ENTRIES;
    unsigned n = MIN(LIST_ENTRIES, c->count - c->index);

    if (!(c->flags & ECA_SQE_LIST)) {
        return true;
    }
    if (slot == 0 &&
        !eca_dma_read(q->eca, c->address + c->index * ECA_LIST_SIZE, c->list,
                      n * ECA_LIST_SIZE)) {
        give_up(c, ECA_COPY_ADDRESS);
        return false;
    }
    c->dpa = ldq_le_p(c->list + slot * ECA_LIST_SIZE + ECA_LIST_DPA);
    c->left = ldq_le_p(c->list + slot * ECA_LIST_SIZE + ECA_LIST_LENGTH);
    return true;
}

/* The next range that can be worked on; false at the end. */
static bool open_range(ECAQueue *q, ECACommandClass class)
{
    Command *c = &q->command;
    uint32_t status;

    while (c->index < c->count) {
        if (c->begun) {
            return true;
        }
        if (!next_range(q)) {
            return false;
        }
        status = eca_check_range(q->eca, class, c->gfam, &c->dpa, &c->left);
        if (status == ECA_COPY_LOST) {
            give_up(c, status);
            return false;
        }
        if (status == ECA_COPY_DONE &&
            (class != ECA_COMMAND_LINES || q->eca->pager)) {
            c->begun = true;
            return true;
        }
        fail(c, c->index, status);
        c->index++;
    }
    return false;
}

static void end_of_range(Command *c)
{
    c->begun = false;
    c->index++;
}

/* Any thread. */
static void on_range_end(void *opaque)
{
    ECAQueue *q = opaque;

    qemu_bh_schedule(q->bh);
}

static void submit(ECAQueue *q, ECARange *r)
{
    r->ended = on_range_end;
    r->opaque = q;
    eca_pager_submit(q->eca->pager, r);
}

/* What a range adds to DONE: not the pages that a copy has acquired. */
static uint64_t done_of(const ECAQueue *q, unsigned slot)
{
    return eca_command_class(q->command.command) == ECA_COMMAND_MEMORY ? 0 :
           qatomic_read(&q->range[slot].done);
}

/* What has come of the ranges that the agent's thread was given. */
static void collect(ECAQueue *q)
{
    Command *c = &q->command;

    for (unsigned i = 0; i < SLOTS; i++) {
        uint32_t status = qatomic_load_acquire(&q->range[i].status);

        if (!q->slot[i].used || status == ECA_COPY_BUSY) {
            continue;
        }
        q->slot[i].used = false;
        c->under_way--;
        c->done += done_of(q, i);
        fail(c, q->slot[i].index, status);
        if (status == ECA_COPY_LOST) {
            give_up(c, status);
        }
    }
}

/* Give the agent's thread as much as there are slots for. */
static bool work_on_ranges(ECAQueue *q, ECACommandClass class)
{
    Command *c = &q->command;

    collect(q);
    for (unsigned i = 0; i < SLOTS; i++) {
        ECARange *r = &q->range[i];

        if (q->slot[i].used) {
            continue;
        }
        if (!open_range(q, class)) {
            break;
        }
        q->slot[i] = (Slot) { .used = true, .index = c->index };
        r->command = c->command;
        r->gfam = c->gfam;
        r->dpa = c->dpa;
        r->length = MIN(c->left,
                        ECA_RANGE_SIZE - c->dpa % ECA_RANGE_SIZE);
        c->dpa += r->length;
        c->left -= r->length;
        c->under_way++;
        if (!c->left) {
            end_of_range(c);
        }
        submit(q, r);
    }
    return c->index == c->count && !c->under_way;
}

/* Pages are acquired first, then moved: a piece at a time. */
static Step work_on_copy(ECAQueue *q)
{
    Command *c = &q->command;
    ECARange *ranges[ECA_DMA_RANGES] = { &q->range[0], &q->range[1] };
    uint32_t status;
    unsigned n;

    if (!c->begun) {
        status = eca_dma_check(q->eca, &c->dma);
        if (status != ECA_COPY_DONE) {
            give_up(c, status);
            return STEP_ENDED;
        }
    }
    for (unsigned i = 0; i < ECA_DMA_RANGES; i++) {
        if (q->slot[i].used) {
            if (qatomic_load_acquire(&q->range[i].status) == ECA_COPY_BUSY) {
                return STEP_WAITS;
            }
            /* Whatever came of it: what is held is seen now. */
            q->slot[i].used = false;
            c->under_way--;
        }
    }
    if (c->begun) {
        status = eca_dma_move(q->eca, &c->dma);
        c->done = c->dma.done;
        if (status != ECA_COPY_BUSY) {
            give_up(c, status);
            return STEP_ENDED;
        }
    }
    c->begun = true;
    n = eca_dma_pages(q->eca, &c->dma, ranges);
    for (unsigned i = 0; i < n; i++) {
        q->slot[i] = (Slot) { .used = true };
        c->under_way++;
        submit(q, &q->range[i]);
    }
    return n ? STEP_WAITS : STEP_MORE;
}

static bool work_on_reserve(ECAQueue *q)
{
    Command *c = &q->command;
    ECAState *s = q->eca;
    uint32_t status;

    while (s->reserve_user == q || open_range(q, ECA_COMMAND_RESERVE)) {
        if (s->reserve_user != q &&
            !eca_reserve(s, q, c->command == ECA_RESERVE, c->gfam, c->dpa,
                         c->left)) {
            return false;
        }
        status = eca_reserve_status(s, q);
        if (status == ECA_COPY_BUSY) {
            return false;
        }
        c->done += status == ECA_COPY_DONE;
        fail(c, c->index, status);
        end_of_range(c);
    }
    return true;
}

/* Commands that write to guest memory */

/* A piece at a time; true at the end. */
static bool write_holdings(ECAQueue *q)
{
    Command *c = &q->command;
    uint8_t held[HOLDINGS];
    unsigned n;

    if (!open_range(q, ECA_COMMAND_PAGES)) {
        return true;
    }
    if (!c->done && c->left / CXLF_PAGE > ECA_HOLDINGS_MAX) {
        give_up(c, ECA_COPY_TOO_LONG);
        return true;
    }
    n = MIN(c->left / CXLF_PAGE, HOLDINGS);
    for (unsigned i = 0; i < n; i++) {
        held[i] = eca_pager_holding(q->eca->pager, c->gfam,
                                    c->dpa + (uint64_t)i * CXLF_PAGE);
    }
    if (!eca_dma_write(q->eca, c->address + c->done, held, n)) {
        give_up(c, ECA_COPY_ADDRESS);
        return true;
    }
    c->done += n;
    c->dpa += (uint64_t)n * CXLF_PAGE;
    c->left -= (uint64_t)n * CXLF_PAGE;
    return !c->left;
}

static void write_counters(ECAQueue *q)
{
    Command *c = &q->command;
    uint64_t counters[CXLF_COUNTERS];
    uint64_t size = MIN(c->left / 8 * 8, sizeof(counters));

    cxlf_read_counters(cxl_fabric_directory(q->eca->fabric), -1, -1,
                       q->eca->host, counters);
    for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
        counters[i] = cpu_to_le64(counters[i]);
    }
    if (eca_dma_write(q->eca, c->address, counters, size)) {
        c->done = size;
    } else {
        give_up(c, ECA_COPY_ADDRESS);
    }
}

static void send_message(ECAQueue *q)
{
    Command *c = &q->command;
    uint8_t data[ECA_MESSAGE_MAX];

    if (c->left > sizeof(data)) {
        give_up(c, ECA_COPY_TOO_LONG);
    } else if (!eca_dma_read(q->eca, c->address, data, c->left)) {
        give_up(c, ECA_COPY_ADDRESS);
    } else {
        c->done = c->left;
        give_up(c, eca_message_send(q->eca, c->dma.to_gfam, data, c->left));
        c->done = c->status ? 0 : c->done;
    }
}

/* By the fabric's owner, or by its manager. */
static bool work_on_request(ECAQueue *q)
{
    Command *c = &q->command;
    bool ask = c->command == ECA_ASK;
    struct cxlf_wire_request w = {
        .what = ask ? CXLF_WIRE_REQUEST_ASK : CXLF_WIRE_REQUEST_MODE,
        .kind = ask ? c->dma.to_gfam : 0, .gfam = c->gfam, .dpa = c->dpa,
        .length = c->left,
        .argument = { ask ? c->argument[0] : c->dma.to_gfam, c->argument[1],
                      c->argument[2], c->argument[3] },
    };
    uint32_t status = ECA_COPY_BUSY;

    if (!c->begun) {
        c->begun = true;
        status = eca_manager_ask(q->eca, q, c->tag, &w);
    }
    if (status == ECA_COPY_BUSY) {
        status = eca_manager_status(q->eca, q, &c->done);
    }
    if (status == ECA_COPY_BUSY) {
        return false;
    }
    give_up(c, status);
    return true;
}

/* Whether nothing of another queue is older than this fence. */
static bool is_fenced(ECAQueue *q)
{
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        const Command *other = &q->eca->queues[i].command;

        if (other->active && other->ticket < q->command.ticket) {
            return false;
        }
    }
    return true;
}

static void abort_command(ECAQueue *q)
{
    Command *c = &q->command;

    if (c->under_way) {
        eca_pager_abort(q->eca->pager, q->range, SLOTS);
        collect(q);
    }
    eca_reserve_forget(q->eca, q);
    eca_manager_forget(q->eca, q);
    c->where = MIN(c->where, c->index);
    c->status = ECA_COPY_ABORTED;
}

static Step step(ECAQueue *q)
{
    Command *c = &q->command;
    ECACommandClass class = eca_command_class(c->command);

    if (c->aborted) {
        abort_command(q);
        return STEP_ENDED;
    }
    if (q->in_doorbell && c->address) {
        q->needs_memory = true;
        return STEP_WAITS;
    }
    switch (class) {
    case ECA_COMMAND_LINES:
    case ECA_COMMAND_PAGES:
        return work_on_ranges(q, class) ? STEP_ENDED : STEP_WAITS;
    case ECA_COMMAND_RESERVE:
        return work_on_reserve(q) ? STEP_ENDED : STEP_WAITS;
    case ECA_COMMAND_MEMORY:
        return work_on_copy(q);
    default:
        break;
    }
    switch (c->command) {
    case ECA_HOLDINGS:
        return write_holdings(q) ? STEP_ENDED : STEP_MORE;
    case ECA_READ_COUNTERS:
        write_counters(q);
        return STEP_ENDED;
    case ECA_MESSAGE:
        send_message(q);
        return STEP_ENDED;
    case ECA_SET_MODE:
    case ECA_ASK:
        return work_on_request(q) ? STEP_ENDED : STEP_WAITS;
    default:
        return c->status || is_fenced(q) ? STEP_ENDED : STEP_WAITS;
    }
}

static void raise_interrupt(ECAQueue *q)
{
    if (q->interrupt && q->control & ECA_QUEUE_INTERRUPT) {
        eca_raise(q->eca, q->number);
    }
    q->interrupt = false;
}

/* Do what can be done, but at most so many steps; whether it came to an end. */
static bool work(ECAQueue *q, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        if (q->state != ECA_QUEUE_ON) {
            return true;
        }
        if (q->command.active) {
            Step s = step(q);

            if (s == STEP_WAITS) {
                return true;
            }
            if (s == STEP_ENDED) {
                complete(q);
            }
        } else if (!fetch(q)) {
            return true;
        }
    }
    return false;
}

static void queue_bh(void *opaque)
{
    ECAQueue *q = opaque;

    if (!runstate_is_running()) {
        return;         /* nothing in the guest changes now */
    }
    if (!work(q, STEPS)) {
        qemu_bh_schedule(q->bh);
    }
    raise_interrupt(q);
}

/*
 * A command or two that need not be waited for are done while the guest rings
 * the doorbell: the main loop may have no processor for a while.
 */
static void work_in_doorbell(ECAQueue *q)
{
    if (!runstate_is_running() ||
        !eca_is_plain(q->eca, q->sq_base,
                      (uint64_t)q->sq_size * ECA_SQE_SIZE) ||
        !eca_is_plain(q->eca, q->cq.base,
                      (uint64_t)q->cq.size * ECA_CQE_SIZE)) {
        qemu_bh_schedule(q->bh);
        return;
    }
    q->in_doorbell = true;
    if (!work(q, DOORBELL_STEPS) || q->needs_memory) {
        qemu_bh_schedule(q->bh);
    }
    q->in_doorbell = q->needs_memory = false;
    raise_interrupt(q);
}

void eca_queues_kick(ECAState *s)
{
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        if (s->queues[i].state != ECA_QUEUE_OFF) {
            qemu_bh_schedule(s->queues[i].bh);
        }
    }
}

/* Registers */

static void turn_off(ECAQueue *q)
{
    drop_command(q);
    q->state = ECA_QUEUE_OFF;
    q->why = 0;
    q->interrupt = false;
    q->sq_tail = q->sq_head = 0;
    eca_ring_start(&q->cq);
}

static void turn_on(ECAQueue *q)
{
    eca_ring_start(&q->cq);
    if (eca_is_ring(q->sq_base, q->sq_size, ECA_SQE_SIZE) &&
        eca_is_ring(q->cq.base, q->cq.size, ECA_CQE_SIZE)) {
        q->state = ECA_QUEUE_ON;
    } else {
        stop(q, ECA_QUEUE_WHY_SETUP);
    }
}

static void set_control(ECAQueue *q, uint32_t value)
{
    uint32_t was = q->control;

    q->control = value & (ECA_QUEUE_ENABLE | ECA_QUEUE_INTERRUPT);
    if (was & ~q->control & ECA_QUEUE_ENABLE) {
        turn_off(q);
    } else if (q->control & ~was & ECA_QUEUE_ENABLE) {
        turn_on(q);
    }
    if (value & ECA_QUEUE_ABORT && q->command.active) {
        q->command.aborted = true;
        qemu_bh_schedule(q->bh);
    }
}

static void set_sq_tail(ECAQueue *q, uint32_t value)
{
    if (value >= q->sq_size) {
        stop(q, ECA_QUEUE_WHY_INDEX);
        return;
    }
    q->sq_tail = value;
    work_in_doorbell(q);
}

static void set_cq_head(ECAQueue *q, uint32_t value)
{
    uint32_t why = eca_ring_take(&q->cq, value);

    if (why) {
        stop(q, why);
    } else {
        qemu_bh_schedule(q->bh);
    }
}

/* What DONE has come to. */
static uint64_t progress(const ECAQueue *q)
{
    uint64_t done = q->command.done;

    for (unsigned i = 0; i < SLOTS; i++) {
        done += q->slot[i].used ? done_of(q, i) : 0;
    }
    return done;
}

uint64_t eca_queue_read(ECAState *s, hwaddr offset)
{
    const ECAQueue *q = &s->queues[(offset - ECA_QUEUE) / ECA_QUEUE_STRIDE];

    switch ((offset - ECA_QUEUE) % ECA_QUEUE_STRIDE) {
    case ECA_QUEUE_SQ_BASE:
        return q->sq_base;
    case ECA_QUEUE_CQ_BASE:
        return q->cq.base;
    case ECA_QUEUE_SQ_SIZE:
        return q->sq_size | (uint64_t)q->cq.size << 32;
    case ECA_QUEUE_CONTROL:
        return q->control | (uint64_t)(q->state |
                                       q->why << ECA_QUEUE_WHY_SHIFT) << 32;
    case ECA_QUEUE_SQ_TAIL:
        return q->sq_tail | (uint64_t)q->sq_head << 32;
    case ECA_QUEUE_CQ_HEAD:
        return q->cq.head | (uint64_t)q->cq.tail << 32;
    case ECA_QUEUE_PROGRESS:
        return progress(q);
    default:
        return 0;
    }
}

bool eca_queue_write(ECAState *s, hwaddr offset, uint32_t value)
{
    ECAQueue *q = &s->queues[(offset - ECA_QUEUE) / ECA_QUEUE_STRIDE];
    hwaddr reg = (offset - ECA_QUEUE) % ECA_QUEUE_STRIDE;
    bool off = q->state == ECA_QUEUE_OFF, on = q->state == ECA_QUEUE_ON;
    uint64_t *base = reg < ECA_QUEUE_CQ_BASE ? &q->sq_base : &q->cq.base;

    switch (reg) {
    case ECA_QUEUE_SQ_BASE ... ECA_QUEUE_CQ_BASE + 4:
        if (off) {
            *base = deposit64(*base, reg % 8 * 8, 32, value);
        }
        return off;
    case ECA_QUEUE_SQ_SIZE:
        q->sq_size = off ? value : q->sq_size;
        return off;
    case ECA_QUEUE_CQ_SIZE:
        q->cq.size = off ? value : q->cq.size;
        return off;
    case ECA_QUEUE_CONTROL:
        set_control(q, value);
        return true;
    case ECA_QUEUE_SQ_TAIL:
        if (on) {
            set_sq_tail(q, value);
        }
        return on;
    case ECA_QUEUE_CQ_HEAD:
        if (on) {
            set_cq_head(q, value);
        }
        return on;
    default:
        return false;
    }
}

/* Life */

void eca_queues_reset(ECAState *s)
{
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        ECAQueue *q = &s->queues[i];

        turn_off(q);
        qemu_bh_cancel(q->bh);
        q->sq_base = q->cq.base = 0;
        q->sq_size = q->cq.size = q->control = 0;
    }
}

void eca_queues_init(ECAState *s)
{
    s->queues = g_new0(ECAQueue, ECA_QUEUES);
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        ECAQueue *q = &s->queues[i];

        q->eca = s;
        q->number = i;
        q->bh = qemu_bh_new_guarded(queue_bh, q,
                                    &DEVICE(s)->mem_reentrancy_guard);
    }
}

void eca_queues_exit(ECAState *s)
{
    eca_queues_reset(s);
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        qemu_bh_delete(s->queues[i].bh);
    }
    g_free(s->queues);
    s->queues = NULL;
}
