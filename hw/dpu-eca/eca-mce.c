/*
 * DPU Edge Coherence Agent: machine checks of x86 guests
 *
 * A data load error with action required (SRAR), from which a guest recovers
 * by ending or signalling the process that consumed the data.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "system/hw_accel.h"
#include "cpu.h"
#include "eca-fail.h"

/* Banks: QEMU's for memory errors under KVM, and its one for broadcasts. */
#define BANK 9
#define BROADCAST_BANK 1

/* MCACOD of a data load, Intel SDM volume 3, table 17-20. */
#define DATA_LOAD 0x134

/* MISC: a physical address, valid down to a page; Linux takes no coarser. */
#define PAGE_ADDRESS ((MCM_ADDR_PHYS << 6) | 12)

/* CPUID 80000007h EBX: "software uncorrectable error containment". */
#define SUCCOR (1u << 1)

/*
 * Whether the guest would recover.  Without SUCCOR, AMD's architecture has
 * no check that software may go on after: kernels stop.
 */
static bool is_recoverable(const CPUX86State *env)
{
    return IS_AMD_CPU(env) ? env->features[FEAT_8000_0007_EBX] & SUCCOR :
                             env->mcg_cap & MCG_SER_P;
}

static bool has_bank(const CPUX86State *env, unsigned bank)
{
    return bank < (env->mcg_cap & MCG_CAP_BANKS_MASK) &&
           env->mce_banks[4 * bank] == ~0ull;
}

bool eca_mce_is_taken(CPUState *cpu)
{
    CPUX86State *env = cpu_env(cpu);

    if (!(env->cr[4] & CR4_MCE_MASK) || !has_bank(env, BANK) ||
        ((env->mcg_cap & MCG_CTL_P) && env->mcg_ctl != ~0ull)) {
        return false;
    }
    if (!is_recoverable(env)) {
        warn_report_once("dpu-eca: an access failed, and the guest cannot be "
                         "told: its CPU model has no recoverable machine "
                         "checks; use -cpu with vendor=GenuineIntel,family=6,"
                         "model=6");
        return false;
    }
    return !(env->mcg_status & MCG_STATUS_MCIP);
}

/* Other vCPUs join a machine check where the CPU model broadcasts it. */
static void join(CPUState *cpu, run_on_cpu_data data)
{
    if (eca_mce_is_taken(cpu)) {
        cpu_x86_inject_mce(NULL, X86_CPU(cpu), BROADCAST_BANK,
                           MCI_STATUS_VAL | MCI_STATUS_UC,
                           MCG_STATUS_MCIP | MCG_STATUS_RIPV, 0, 0, 0);
    }
}

bool eca_mce_deliver(CPUState *cpu, hwaddr hpa)
{
    CPUX86State *env = cpu_env(cpu);
    uint64_t status = MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_EN |
                      MCI_STATUS_MISCV | MCI_STATUS_ADDRV;
    uint64_t global = MCG_STATUS_MCIP | MCG_STATUS_RIPV | MCG_STATUS_EIPV;
    bool local;
    CPUState *other;

    cpu_synchronize_state(cpu);
    if (!eca_mce_is_taken(cpu)) {
        return false;
    }
    status |= IS_AMD_CPU(env) ? MCI_STATUS_POISON :
                                MCI_STATUS_S | MCI_STATUS_AR | DATA_LOAD;
    local = env->mcg_ext_ctl & MCG_EXT_CTL_LMCE_EN;
    if (local) {
        global |= MCG_STATUS_LMCE;
    }
    /* In the vCPU's own thread this is done at once. */
    cpu_x86_inject_mce(NULL, X86_CPU(cpu), BANK, status, global, hpa,
                       PAGE_ADDRESS, 0);
    if (!local && cpu_x86_support_mca_broadcast(env)) {
        CPU_FOREACH(other) {
            if (other != cpu) {
                async_run_on_cpu(other, join, RUN_ON_CPU_NULL);
            }
        }
    }
    return true;
}
