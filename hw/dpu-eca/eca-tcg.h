/*
 * DPU Edge Coherence Agent: what TCG remembers of pages
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_TCG_H
#define HW_DPU_ECA_TCG_H

#include "exec/cpu-common.h"

/* eca_tcg_has_code: whether code of a page may have been translated. */
bool eca_tcg_has_code(ram_addr_t page);

/* eca_tcg_drop_code: forget what was translated.  In a vCPU's thread. */
void eca_tcg_drop_code(CPUState *cpu, ram_addr_t from, uint64_t size);

/* eca_tcg_flush: forget all of a vCPU's translations.  In its thread. */
void eca_tcg_flush(CPUState *cpu);

#endif /* HW_DPU_ECA_TCG_H */
