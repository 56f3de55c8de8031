/*
 * DPU Edge Coherence Agent: what TCG remembers of pages
 *
 * Compiled for the target, since QEMU's headers for this are.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../cxl-fabric/compat-tcg.h"
#include "eca-tcg.h"

bool eca_tcg_has_code(ram_addr_t page)
{
    return tcg_enabled() && !compat_is_code_dirty(page);
}

void eca_tcg_drop_code(CPUState *cpu, ram_addr_t from, uint64_t size)
{
    if (tcg_enabled()) {
        compat_invalidate_code(cpu, from, from + size - 1);
    }
}

void eca_tcg_flush(CPUState *cpu)
{
    tlb_flush(cpu);
}
