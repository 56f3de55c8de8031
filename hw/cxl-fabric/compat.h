/*
 * Differences between the QEMU series that the project supports
 *
 * The one place for them, with compat-tcg.h; no other file tests a version.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_COMPAT_H
#define HW_CXL_FABRIC_COMPAT_H

#include "hw/cxl/cxl.h"

#define CXLF_QEMU_10_1 \
    (QEMU_VERSION_MAJOR > 10 || \
     (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 1))

/* What 10.0 has in exec/ is in system/ later. */
#if CXLF_QEMU_10_1
#include "system/address-spaces.h"
#include "system/memory.h"
#include "system/ramblock.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#endif

/* 10.0 spells a class_init's second argument void *, 10.2 const void *. */
#if CXLF_QEMU_10_1
#define CXLF_CLASS_DATA const void *
#else
#define CXLF_CLASS_DATA void *
#endif

#endif /* HW_CXL_FABRIC_COMPAT_H */
