/*
 * Differences between the QEMU series in what TCG offers
 *
 * For files that are compiled for the target; see compat.h.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_COMPAT_TCG_H
#define HW_CXL_FABRIC_COMPAT_TCG_H

#include "exec/cputlb.h"
#include "system/tcg.h"
#include "compat.h"

#if CXLF_QEMU_10_1
#include "exec/translation-block.h"
#include "system/physmem.h"

#define compat_is_code_dirty(page) \
    physical_memory_get_dirty_flag(page, DIRTY_MEMORY_CODE)
#define compat_invalidate_code(cpu, first, last) \
    tb_invalidate_phys_range(cpu, first, last)
#else
#include "exec/exec-all.h"
#include "exec/ram_addr.h"

#define compat_is_code_dirty(page) \
    cpu_physical_memory_get_dirty_flag(page, DIRTY_MEMORY_CODE)
#define compat_invalidate_code(cpu, first, last) \
    tb_invalidate_phys_range(first, last)
#endif

#endif /* HW_CXL_FABRIC_COMPAT_TCG_H */
