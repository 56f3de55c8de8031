/*
 * DPU Edge Coherence Agent: accesses that fail, as the guest sees them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "exec/cpu-common.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "eca-fail.h"
#include "eca-internal.h"
#include "trace.h"

/* Rounds of CXLF_TRIES for Clear Poison, which cannot come back. */
#define CLEAR_ROUNDS 4096

typedef struct ECAFailWindow {
    ECAState *agent;
    uint32_t gfam;
    const void *window;
    uint64_t dpa;
    uint64_t size;
    hwaddr hpa;
    QLIST_ENTRY(ECAFailWindow) next;
} ECAFailWindow;

/* Under the BQL. */
static QLIST_HEAD(, ECAFailWindow) windows = QLIST_HEAD_INITIALIZER(windows);

typedef struct ECAFailure {
    ECAState *agent;
    uint32_t gfam;
    uint64_t dpa;
    ECAFailDone *done;
} ECAFailure;

void eca_window(ECAState *s, uint32_t gfam, const void *window, uint64_t dpa,
                hwaddr hpa, uint64_t size)
{
    ECAFailWindow *w;

    QLIST_FOREACH(w, &windows, next) {
        if (w->agent == s && w->gfam == gfam && w->window == window) {
            QLIST_REMOVE(w, next);
            g_free(w);
            break;
        }
    }
    if (size) {
        w = g_new(ECAFailWindow, 1);
        *w = (ECAFailWindow) {
            .agent = s, .gfam = gfam, .window = window,
            .dpa = dpa, .size = size, .hpa = hpa,
        };
        QLIST_INSERT_HEAD(&windows, w, next);
    }
}

static bool find_hpa(ECAState *s, uint32_t gfam, uint64_t dpa, hwaddr *hpa)
{
    ECAFailWindow *w;

    QLIST_FOREACH(w, &windows, next) {
        if (w->agent == s && w->gfam == gfam && dpa >= w->dpa &&
            dpa - w->dpa < w->size) {
            *hpa = w->hpa + (dpa - w->dpa);
            return true;
        }
    }
    return false;
}

/* True if the vCPU of this thread has got its machine check. */
static bool deliver(ECAState *s, CPUState *cpu, uint32_t gfam, uint64_t dpa)
{
    hwaddr hpa;

    if (!find_hpa(s, gfam, dpa, &hpa)) {
        /* The window was closed meanwhile: there is no address to tell. */
        return false;
    }
    if (!eca_mce_deliver(cpu, hpa)) {
        trace_eca_machine_check_dropped(s->host, cpu->cpu_index, hpa);
        return false;
    }
    trace_eca_machine_check(s->host, cpu->cpu_index, hpa);
    cxlf_count(cxl_fabric_directory(s->fabric), s->host, gfam, dpa,
               CXLF_MACHINE_CHECK, 1);
    return true;
}

static void finish(ECAFailure *f)
{
    if (f->done) {
        f->done(f->agent, f->gfam, f->dpa);
    }
    object_unref(OBJECT(f->agent));
    g_free(f);
}

static void deliver_work(CPUState *cpu, run_on_cpu_data data)
{
    ECAFailure *f = data.host_ptr;

    deliver(f->agent, cpu, f->gfam, f->dpa);
    finish(f);
}

static void finish_bh(void *opaque)
{
    finish(opaque);
}

void eca_fail_report(ECAState *s, CPUState *cpu, uint32_t gfam, uint64_t dpa,
                     ECAFailDone *done)
{
    ECAFailure *f = g_new(ECAFailure, 1);

    trace_eca_fail(s->host, cpu ? cpu->cpu_index : -1, gfam, dpa);
    *f = (ECAFailure) {
        .agent = s, .gfam = gfam, .dpa = dpa, .done = done,
    };
    object_ref(OBJECT(s));
    if (cpu) {
        async_run_on_cpu(cpu, deliver_work, RUN_ON_CPU_HOST_PTR(f));
    } else {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), finish_bh, f);
    }
}

void eca_fail_raise(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    CPUState *cpu = current_cpu;

    trace_eca_fail(s->host, cpu->cpu_index, gfam, dpa);
    if (eca_mce_is_taken(cpu) && deliver(s, cpu, gfam, dpa)) {
        cpu_loop_exit_restore(cpu, cpu->mem_io_pc);
    }
}

bool eca_fail_is_taken(CPUState *cpu)
{
    return eca_mce_is_taken(cpu);
}

bool eca_clear_poison(ECAState *s, enum cxlf_kind kind, uint32_t gfam,
                      uint64_t dpa)
{
    struct cxlf_directory *d = cxl_fabric_directory(s->fabric);
    enum cxlf_result result = CXLF_AGAIN;
    struct cxlf_move move;

    for (int i = 0; i < CLEAR_ROUNDS && result == CXLF_AGAIN; i++) {
        result = kind == CXLF_PAGE_UNIT ?
            cxlf_page_event(d, s->host, gfam, dpa, CXLF_CLEAR, &move) :
            cxlf_line_event(d, s->host, gfam, dpa, CXLF_CLEAR, &move);
    }
    trace_eca_clear_poison(s->host, gfam, dpa, result);
    return result == CXLF_OK;
}

CPUState *eca_fail_cpu(uint32_t thread_id)
{
    CPUState *cpu, *found = NULL;

    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        if (cpu->thread_id == thread_id) {
            if (found) {
                return NULL;
            }
            found = cpu;
        }
    }
    return found;
}
