/*
 * libeca: commands of the agent by its queues, docs/specs/dpu-eca.rst
 *
 * A command of the library's is one piece, or many: lists, and what goes
 * through memory, are given by pages of the library's own, as many at a time
 * as there are.  The agent ends pieces in their order.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "private.h"
#include "../eca-regs.h"

/* The first pinned page has the rings, each other one is of one entry. */
#define ENTRIES         (PINNED_PAGES - 1)
#define PAGE_RANGES     (PAGE_BYTES / ECA_LIST_SIZE)
#define HELD_BYTES      ((uint64_t)PAGE_BYTES * PAGE_BYTES)

typedef struct Submission {
    uint16_t command, flags;
    uint32_t tag, gfam, count;
    uint64_t dpa, length, address;
    uint32_t target, zero, argument[4];
} Submission;

typedef struct Completion {
    uint32_t tag;
    uint16_t status, phase;
    uint64_t done, where;
    uint32_t sq_head, zero;
} Completion;

typedef struct Rings {
    Submission sq[ENTRIES];
    Completion cq[ENTRIES];
} Rings;

_Static_assert(sizeof(Submission) == ECA_SQE_SIZE, "as the agent reads it");
_Static_assert(sizeof(Completion) == ECA_CQE_SIZE, "as the agent writes it");
_Static_assert(sizeof(Rings) <= PAGE_BYTES, "one page");
_Static_assert(!(ENTRIES & (ENTRIES - 1)), "a ring's size");

struct EcaAgent {
    Eca *eca;
    int queue;                      /* or why there is none */
    uint32_t base;                  /* of its registers */
    bool on;
    Pinned pinned;
    uint32_t head, tail;            /* of both rings */
    uint16_t phase;
    /* Of the command under way, for other threads. */
    uint64_t done;
    uint32_t stop;
};

/*
 * A command, and how it is cut into pieces of at most @step units: ranges of
 * a list, or bytes.
 */
typedef struct Job {
    uint32_t command, gfam, target;
    const EcaRange *ranges;         /* a list */
    uint64_t dpa, address;
    uint32_t first, second;         /* arguments */
    const uint8_t *from;            /* goes to the agent through pages */
    uint8_t *to;                    /* comes from it */
    uint64_t units, step, given, taken;
    EcaOutcome *outcome;
} Job;

const char *eca_status_text(uint32_t status)
{
    static const char *const texts[] = {
        "done", "unknown command", "not a range of this device", "too long",
        "fabric lost", "busy", "not for all pages", "no page ownership",
        "reserved by another host", "no room for more",
        "nothing reserved there", "aborted", "malformed",
        "no memory for DMA", "another command must end first",
        "the other host takes no messages",
        "the fabric's owner does not let hosts do so",
    };

    return status < sizeof(texts) / sizeof(texts[0]) ? texts[status] :
           "unknown";
}

/* The queue */

static int start(EcaAgent *a)
{
    Rings *rings = (Rings *)a->pinned.at;

    memset(rings, 0, sizeof(*rings));
    a->head = a->tail = 0;
    a->phase = 1;
    bar_set8(a->eca, a->base + ECA_QUEUE_SQ_BASE, a->pinned.address[0]);
    bar_set8(a->eca, a->base + ECA_QUEUE_CQ_BASE,
             a->pinned.address[0] + offsetof(Rings, cq));
    bar_set8(a->eca, a->base + ECA_QUEUE_SQ_SIZE,
             ENTRIES | (uint64_t)ENTRIES << 32);
    bar_set4(a->eca, a->base + ECA_QUEUE_CONTROL, ECA_QUEUE_ENABLE);
    a->on = bar_get4(a->eca, a->base + ECA_QUEUE_STATE) == ECA_QUEUE_ON;
    return a->on ? 0 : -EIO;
}

static void turn_off(EcaAgent *a)
{
    bar_set4(a->eca, a->base + ECA_QUEUE_CONTROL, 0);
    a->on = false;
}

static int take_queue(EcaAgent *a)
{
    if (!libeca_has_rings(a->eca)) {
        return -ENOTSUP;
    }
    for (int q = 0; q < ECA_QUEUES; q++) {
        int error;

        a->base = ECA_QUEUE + q * ECA_QUEUE_STRIDE;
        error = libeca_pin(&a->pinned, a->eca, a->base, ECA_QUEUE_STRIDE,
                           ECA_QUEUE_CONTROL);
        if (error != -EBUSY) {
            a->queue = q;
            return error;
        }
    }
    return -ENOSR;
}

int eca_agent_open(EcaAgent **out, Eca *eca, EcaBy by)
{
    EcaAgent *a;
    int error = -ENOTSUP;

    if (!eca->bar) {
        return -ENODEV;
    }
    if (by > ECA_BY_REGISTERS) {
        return -EINVAL;
    }
    a = calloc(1, sizeof(*a));
    if (!a) {
        return -ENOMEM;
    }
    a->eca = eca;
    if (by != ECA_BY_REGISTERS) {
        error = take_queue(a);
    }
    if (error && by == ECA_BY_QUEUE) {
        free(a);
        return error;
    }
    a->queue = error ? error : a->queue;
    *out = a;
    return 0;
}

void eca_agent_close(EcaAgent *a)
{
    if (!a) {
        return;
    }
    if (a->queue >= 0) {
        turn_off(a);
        libeca_unpin(&a->pinned);
    }
    free(a);
}

int eca_agent_queue(const EcaAgent *a)
{
    return a->queue;
}

uint64_t eca_agent_progress(EcaAgent *a)
{
    uint64_t done = get64(&a->done);

    return a->queue < 0 ? done :
           done + bar_get8(a->eca, a->base + ECA_QUEUE_PROGRESS);
}

void eca_agent_abort(EcaAgent *a)
{
    __atomic_store_n(&a->stop, 1, __ATOMIC_RELEASE);
}

/* Pieces */

static uint64_t piece_units(const Job *job, uint64_t at)
{
    uint64_t left = job->units - at;

    return left < job->step ? left : job->step;
}

static void give(EcaAgent *a, Job *job)
{
    uint64_t units = piece_units(job, job->given);
    uint32_t slot = a->tail;
    uint8_t *page = a->pinned.at + (slot + 1) * PAGE_BYTES;
    uint64_t address = a->pinned.address[slot + 1];
    Submission s = {
        .command = job->command, .tag = slot, .gfam = job->gfam,
        .target = job->target, .argument = { job->first, job->second },
    };

    if (job->ranges) {
        s.flags = ECA_SQE_LIST;
        s.count = units;
        s.address = address;
        memcpy(page, job->ranges + job->given, units * sizeof(EcaRange));
    } else {
        s.dpa = job->dpa + job->given;
        s.length = units;
        s.address = job->from || job->to ? address : job->address;
        if (job->from) {
            memcpy(page, job->from + job->given, units);
        }
    }
    ((Rings *)a->pinned.at)->sq[slot] = s;
    a->tail = (slot + 1) % ENTRIES;
    job->given += units;
    /* A store to a register is made behind those to memory. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bar_set4(a->eca, a->base + ECA_QUEUE_SQ_TAIL, a->tail);
    STEP("command-given");
}

/* The next piece's end, if it has ended. */
static bool take(EcaAgent *a, Job *job)
{
    /* the agent writes it */
    volatile Completion *c = &((Rings *)a->pinned.at)->cq[a->head];
    const uint8_t *page = a->pinned.at + (a->head + 1) * PAGE_BYTES;
    uint64_t units = piece_units(job, job->taken), bytes;

    if (__atomic_load_n(&c->phase, __ATOMIC_ACQUIRE) != a->phase) {
        return false;
    }
    if (job->to) {
        /* DONE counts pages for holdings, whose units are theirs. */
        bytes = job->command == ECA_HOLDINGS ?
                (units + PAGE_BYTES - 1) / PAGE_BYTES : units;
        memcpy(job->to + (job->command == ECA_HOLDINGS ?
                          job->taken / PAGE_BYTES : job->taken), page,
               c->done < bytes ? c->done : bytes);
    }
    if (c->status && !job->outcome->status) {
        job->outcome->status = c->status;
        if (job->ranges && c->where != UINT64_MAX) {
            job->outcome->where = job->taken + c->where;
        }
    }
    set64(&a->done, a->done + c->done);
    job->taken += units;
    a->head = (a->head + 1) % ENTRIES;
    a->phase ^= !a->head;
    bar_set4(a->eca, a->base + ECA_QUEUE_CQ_HEAD, a->head);
    return true;
}

/* After that status a job goes on: only with a list, as the agent does. */
static bool goes_on(const Job *job)
{
    switch (job->outcome->status) {
    case ECA_COPY_DONE:
        return true;
    case ECA_COPY_LOST:
    case ECA_COPY_ABORTED:
    case ECA_COPY_ADDRESS:
        return false;
    default:
        return job->ranges;
    }
}

static bool stopping(EcaAgent *a)
{
    return __atomic_load_n(&a->stop, __ATOMIC_ACQUIRE);
}

/* Wait for the oldest piece's end. */
static int await_piece(EcaAgent *a, Job *job, Wait *wait)
{
    while (!take(a, job)) {
        int error = libeca_wait(wait);

        if (error < 0) {
            return error;
        }
        if (stopping(a)) {
            bar_set4(a->eca, a->base + ECA_QUEUE_CONTROL,
                     ECA_QUEUE_ENABLE | ECA_QUEUE_ABORT);
        }
        if (error && bar_get4(a->eca, a->base + ECA_QUEUE_STATE) !=
            ECA_QUEUE_ON && !take(a, job)) {
            return -EIO;
        }
    }
    return libeca_wait_moved(wait);
}

static int run(EcaAgent *a, Job *job, int timeout_ms)
{
    Wait wait = WAIT(a->eca, timeout_ms);
    bool begun = false;
    int error;

    if (a->queue < 0) {
        return -ENOTSUP;
    }
    *job->outcome = (EcaOutcome) { .where = UINT64_MAX };
    __atomic_store_n(&a->stop, 0, __ATOMIC_RELEASE);
    set64(&a->done, 0);
    error = a->on ? 0 : start(a);
    while (!error) {
        bool more = (!begun || job->given < job->units) && goes_on(job) &&
                    !stopping(a);

        if (more && (a->tail + 1) % ENTRIES != a->head) {
            give(a, job);
            begun = true;
        } else if (a->head != a->tail) {
            error = await_piece(a, job, &wait);
        } else {
            break;
        }
    }
    if (error && a->on) {
        job->outcome->status = ECA_COPY_ABORTED;
        set64(&a->done, eca_agent_progress(a));
        turn_off(a);
    } else if (job->given < job->units && !job->outcome->status) {
        job->outcome->status = ECA_COPY_ABORTED;
    }
    job->outcome->done = a->done;
    return error;
}

/* Commands */

static int do_by_registers(EcaAgent *a, EcaVerb verb, uint32_t gfam,
                           const EcaRange *ranges, uint32_t count,
                           EcaOutcome *out, int timeout_ms)
{
    Wait wait = WAIT(a->eca, timeout_ms);
    int error = 0;

    __atomic_store_n(&a->stop, 0, __ATOMIC_RELEASE);
    set64(&a->done, 0);
    for (uint32_t i = 0; i < count && !error; i++) {
        uint32_t status = ECA_COPY_ABORTED;
        uint64_t done = 0;

        if (!stopping(a)) {
            error = eca_command(a->eca, verb, gfam, ranges[i].dpa,
                                ranges[i].bytes, &status, &done,
                                libeca_wait_left(&wait));
        }
        /* The queue counts ranges that were reserved or given up. */
        if (verb == ECA_DO_RESERVE || verb == ECA_DO_UNRESERVE) {
            done = !error && status == ECA_COPY_DONE;
        }
        set64(&a->done, a->done + done);
        status = error ? ECA_COPY_ABORTED : status;
        if (status && !out->status) {
            out->status = status;
            out->where = i;
        }
        if (status == ECA_COPY_LOST || status == ECA_COPY_ABORTED) {
            break;
        }
    }
    out->done = a->done;
    return error;
}

int eca_do(EcaAgent *a, EcaVerb verb, uint32_t gfam, const EcaRange *ranges,
           uint32_t count, EcaOutcome *outcome, int timeout_ms)
{
    Job job = {
        .command = verb, .gfam = gfam, .units = count, .step = PAGE_RANGES,
        .ranges = ranges, .outcome = outcome,
    };

    *outcome = (EcaOutcome) { .where = UINT64_MAX };
    if (!count || timeout_ms < 0) {
        return -EINVAL;
    }
    if (a->queue < 0) {
        return do_by_registers(a, verb, gfam, ranges, count, outcome,
                               timeout_ms);
    }
    return run(a, &job, timeout_ms);
}

int eca_holdings(EcaAgent *a, uint32_t gfam, EcaRange range, uint8_t *held,
                 EcaOutcome *outcome, int timeout_ms)
{
    uint64_t before = range.dpa % PAGE_BYTES;
    Job job = {
        .command = ECA_HOLDINGS, .gfam = gfam, .dpa = range.dpa - before,
        .to = held, .units = range.bytes ? range.bytes + before : 0,
        .step = HELD_BYTES, .outcome = outcome,
    };

    return run(a, &job, timeout_ms);
}

int eca_fence(EcaAgent *a, EcaOutcome *outcome, int timeout_ms)
{
    Job job = { .command = ECA_FENCE, .outcome = outcome };

    return run(a, &job, timeout_ms);
}

int eca_copy_out(EcaAgent *a, uint32_t gfam, uint64_t dpa, void *to,
                 uint64_t bytes, EcaOutcome *outcome, int timeout_ms)
{
    Job job = {
        .command = ECA_COPY_OUT, .gfam = gfam, .dpa = dpa, .to = to,
        .units = bytes, .step = PAGE_BYTES, .outcome = outcome,
    };

    return run(a, &job, timeout_ms);
}

int eca_copy_in(EcaAgent *a, uint32_t gfam, uint64_t dpa, const void *from,
                uint64_t bytes, EcaOutcome *outcome, int timeout_ms)
{
    Job job = {
        .command = ECA_COPY_IN, .gfam = gfam, .dpa = dpa, .from = from,
        .units = bytes, .step = PAGE_BYTES, .outcome = outcome,
    };

    return run(a, &job, timeout_ms);
}

int eca_copy_across(EcaAgent *a, uint32_t gfam, uint64_t dpa,
                    uint32_t to_gfam, uint64_t to_dpa, uint64_t bytes,
                    EcaOutcome *outcome, int timeout_ms)
{
    Job job = {
        .command = ECA_COPY_ACROSS, .gfam = gfam, .dpa = dpa,
        .target = to_gfam, .address = to_dpa, .units = bytes, .step = bytes,
        .outcome = outcome,
    };

    return run(a, &job, timeout_ms);
}

int eca_send(EcaAgent *a, uint32_t host, const void *data, uint32_t bytes,
             EcaOutcome *outcome, int timeout_ms)
{
    Job job = {
        .command = ECA_MESSAGE, .target = host, .from = data,
        .units = bytes, .step = bytes, .outcome = outcome,
    };

    return bytes > ECA_MESSAGE_BYTES ? -EMSGSIZE : run(a, &job, timeout_ms);
}

int eca_set_mode(EcaAgent *a, uint32_t gfam, bool software,
                 EcaOutcome *outcome, int timeout_ms)
{
    Job job = {
        .command = ECA_SET_MODE, .gfam = gfam, .target = software,
        .outcome = outcome,
    };

    return run(a, &job, timeout_ms);
}

int eca_ask(EcaAgent *a, EcaAsked what, uint32_t gfam, EcaRange range,
            uint32_t first, uint32_t second, EcaOutcome *outcome,
            int timeout_ms)
{
    Job job = {
        .command = ECA_ASK, .gfam = gfam, .target = what, .dpa = range.dpa,
        .units = range.bytes, .step = range.bytes, .first = first,
        .second = second, .outcome = outcome,
    };

    return run(a, &job, timeout_ms);
}
