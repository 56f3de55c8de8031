/*
 * DPU Edge Coherence Agent: vCPUs that sleep in a fault, and are wanted
 *
 * A userfaultfd fault of a user's access ends early for a signal.  Its
 * handler runs with the registers of the access, which has not happened; it
 * leaves as an access does that finds no translation, by a jump to the vCPU's
 * loop with the guest's state as it was before the instruction.
 *
 * The signal may come late, when the vCPU is anywhere.  So the handler asks
 * nobody whether the vCPU slept: it looks at the interrupted instruction
 * itself, and leaves only an access to a front mapping.  TCG and its helpers
 * let any access to guest memory end in a jump, as it may have to raise a
 * page fault; what they must not hold meanwhile is checked as well.
 *
 * For x86-64 hosts, by the instruction's form.  Compiled for the target, since
 * QEMU's headers for TCG are.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ucontext.h>
#include <unwind.h>
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "tcg/tcg.h"
#include "../cxl-fabric/compat-tcg.h"
#include "eca-operand.h"
#include "eca-park.h"
#include "trace.h"

#define PARK_SIGNAL (SIGRTMIN + 6)

/* What TCG takes off a return address to be inside of the call. */
#define RETURN_ADJUST 2

/* More words than any target keeps for an instruction. */
#define INSTRUCTION_WORDS 16

/* Frames between an access in a helper and translated code. */
#define MAX_FRAMES 64

#define MAX_FRONTS 16

/*
 * Written under the BQL, read by the handler: a size is set after its base,
 * and a base changes only while its size is 0.
 */
static struct {
    uintptr_t base;
    uint64_t size;
} fronts[MAX_FRONTS];

void eca_park_front(const void *front, uint64_t size)
{
    uintptr_t base = (uintptr_t)front;
    int use = -1;

    for (int i = 0; i < MAX_FRONTS; i++) {
        if (fronts[i].size && fronts[i].base == base) {
            use = i;
            break;
        }
        if (!fronts[i].size && use < 0) {
            use = i;
        }
    }
    /* One that has no place is not parked in, which is safe. */
    if (use >= 0) {
        qatomic_set(&fronts[use].base, base);
        qatomic_store_release(&fronts[use].size, size);
    }
}

static bool is_front(uintptr_t address)
{
    for (int i = 0; i < MAX_FRONTS; i++) {
        uint64_t size = qatomic_load_acquire(&fronts[i].size);

        if (address - qatomic_read(&fronts[i].base) < size) {
            return true;
        }
    }
    return false;
}

static uintptr_t context_pc(const ucontext_t *context)
{
    return context->uc_mcontext.gregs[REG_RIP];
}

/* Whether the interrupted instruction accesses a front mapping. */
static bool accesses_front(const ucontext_t *context)
{
    static const uint8_t order[16] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
        REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13,
        REG_R14, REG_R15,
    };
    uint64_t reg[16];
    uintptr_t address;

    for (int i = 0; i < 16; i++) {
        reg[i] = context->uc_mcontext.gregs[order[i]];
    }
    return eca_operand((const uint8_t *)context_pc(context), reg, &address) &&
           is_front(address);
}

/* Whether this thread may jump to its vCPU's loop from any access. */
static bool may_leave(CPUState *cpu)
{
    /* In cpu_exec() there is one; an exclusive step has none. */
    unsigned rcu = cpu_in_exclusive_context(cpu) ? 0 : 1;

    /*
     * Not running: the access is of work for the vCPU, outside of its loop.
     * With the BQL it is a device's, or of an interrupt's delivery.
     */
    return cpu->running && !bql_locked() &&
           get_ptr_rcu_reader()->depth == rcu;
}

static bool in_translated_code(uintptr_t pc)
{
    return in_code_gen_buffer((const void *)(pc - tcg_splitwx_diff));
}

static bool has_state(CPUState *cpu, uintptr_t pc)
{
    uint64_t data[INSTRUCTION_WORDS];

    return cpu_unwind_state_data(cpu, pc, data);
}

typedef struct ReturnSearch {
    unsigned frames;
    uintptr_t pc;               /* in translated code */
    bool in_loop;               /* the vCPU's loop was met before any */
} ReturnSearch;

static _Unwind_Reason_Code look_at_frame(struct _Unwind_Context *frame,
                                         void *opaque)
{
    ReturnSearch *search = opaque;
    uintptr_t pc = _Unwind_GetIP(frame);
    void *function;

    if (in_translated_code(pc)) {
        search->pc = pc;
        return _URC_END_OF_STACK;
    }
    function = _Unwind_FindEnclosingFunction((void *)(pc - 1));
    search->in_loop = function == cpu_exec || function == cpu_exec_step_atomic;
    return search->in_loop || ++search->frames == MAX_FRAMES ?
           _URC_END_OF_STACK : _URC_NO_REASON;
}

/*
 * The return address of which the guest's state is known, for an access at
 * @pc.  0: the state is up to date, as the access is TCG's own, which looks
 * for a block or translates one.  False: there is none.
 */
static bool find_return(CPUState *cpu, uintptr_t pc, uintptr_t *found)
{
    ReturnSearch search = { 0 };

    if (in_translated_code(pc)) {
        *found = pc + RETURN_ADJUST;
        return has_state(cpu, *found);
    }
    _Unwind_Backtrace(look_at_frame, &search);
    if (!search.pc) {
        *found = 0;
        return search.in_loop;
    }
    *found = search.pc;
    if (eca_jumps_to_register((const uint8_t *)*found)) {
        /* The block is over, and the access looks for the next. */
        *found = 0;
        return true;
    }
    if (!has_state(cpu, *found)) {
        /*
         * The slow path of a load or store, behind the block's last
         * instruction.  It jumps back to the instruction that it is of.
         */
        *found = (uintptr_t)eca_jump_target((const uint8_t *)*found);
        return in_translated_code(*found) && has_state(cpu, *found);
    }
    return true;
}

static void let_through(CPUState *cpu, run_on_cpu_data data)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, PARK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void on_park(int number, siginfo_t *info, void *opaque)
{
    const ucontext_t *context = opaque;
    CPUState *cpu = current_cpu;
    int saved = errno;
    uintptr_t back;

    /* From here to the jump this is as good as a helper that was called. */
    if (cpu && may_leave(cpu) && accesses_front(context) &&
        find_return(cpu, context_pc(context), &back)) {
        trace_eca_parked(cpu->cpu_index);
        /* The jump restores no signal mask. */
        let_through(cpu, RUN_ON_CPU_NULL);
        cpu_loop_exit_restore(cpu, back);
    }
    errno = saved;
}

bool eca_park_init(Error **errp)
{
    struct sigaction action = {
        .sa_sigaction = on_park,
        .sa_flags = SA_SIGINFO | SA_RESTART,
    };
    CPUState *cpu;

    if (!tcg_enabled()) {
        return true;
    }
    if (sigaction(PARK_SIGNAL, &action, NULL)) {
        error_setg_errno(errp, errno, "cannot handle signal %d", PARK_SIGNAL);
        return false;
    }
    CPU_FOREACH(cpu) {
        async_run_on_cpu(cpu, let_through, RUN_ON_CPU_NULL);
    }
    return true;
}

bool eca_park_wanted(CPUState *cpu)
{
    return qatomic_read(&cpu->stop) || qatomic_read(&cpu->exit_request);
}

void eca_park(CPUState *cpu)
{
    if (tcg_enabled()) {
        trace_eca_park(cpu->cpu_index);
        pthread_kill(cpu->thread->thread, PARK_SIGNAL);
    }
}
