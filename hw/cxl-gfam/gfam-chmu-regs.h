/*
 * GFAM device: layout of the CHMU register block
 *
 * Layouts alone; docs/specs/chmu.md describes them, and says where they are
 * a reading of a doubtful place.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_GFAM_CHMU_REGS_H
#define HW_CXL_GFAM_CHMU_REGS_H

#include "hw/registerfields.h"

#define CHMU_BLOCK_ID       5       /* in the Register Locator DVSEC */
#define CHMU_BAR            5
#define CHMU_BAR_SIZE       0x10000
#define CHMU_MSI            1       /* that no other part of the device uses */

#define CHMU_VERSION        1
#define CHMU_LIST           1024    /* entries of the hot list */
#define CHMU_COUNTER_WIDTH  24
#define CHMU_MAX_COUNT      ((1u << CHMU_COUNTER_WIDTH) - 1)
#define CHMU_MIN_SHIFT      8       /* units of 256 bytes */
#define CHMU_MAX_SHIFT      21      /* to 2 MiB */
#define CHMU_MAX_SAMPLING   15      /* one in 32768 */

/* Common capabilities */
REG64(CHMU_COMMON0, 0x00)
    FIELD(CHMU_COMMON0, VERSION, 0, 4)
    FIELD(CHMU_COMMON0, INSTANCES, 8, 8)
REG64(CHMU_COMMON1, 0x08)
    FIELD(CHMU_COMMON1, LENGTH, 0, 16)

/* The instance; what follows is relative to it. */
#define CHMU_INSTANCE       0x10
#define CHMU_LENGTH         0x6000

REG64(CHMU_CAP0, 0x00)
    FIELD(CHMU_CAP0, MSI, 0, 4)
    FIELD(CHMU_CAP0, OVERFLOW_INT, 4, 1)
    FIELD(CHMU_CAP0, LEVEL_INT, 5, 1)
    FIELD(CHMU_CAP0, EPOCH_TYPE, 6, 2)      /* 0: one for all counters */
    FIELD(CHMU_CAP0, TRACKED, 8, 8)         /* bit n: value n + 1 of WHAT */
    FIELD(CHMU_CAP0, MAX_SCALE, 16, 4)
    FIELD(CHMU_CAP0, MAX_VALUE, 20, 12)
    FIELD(CHMU_CAP0, MIN_SCALE, 32, 4)
    FIELD(CHMU_CAP0, MIN_VALUE, 36, 12)
    FIELD(CHMU_CAP0, LIST, 48, 16)
REG64(CHMU_CAP1, 0x08)
    FIELD(CHMU_CAP1, UNITS, 0, 32)          /* bit n: 256 << n bytes */
    FIELD(CHMU_CAP1, SAMPLING, 32, 16)      /* bit n: one in 2^n */
    FIELD(CHMU_CAP1, EPOCHS, 48, 1)
    FIELD(CHMU_CAP1, ALWAYS_ON, 49, 1)
    FIELD(CHMU_CAP1, RANDOM, 50, 1)
    FIELD(CHMU_CAP1, OVERLAP, 51, 1)
    FIELD(CHMU_CAP1, POSTPONE, 52, 1)
REG64(CHMU_CAP2, 0x10)                      /* offset of the range bitmap */
REG64(CHMU_CAP3, 0x18)                      /* offset of the hot list */
REG64(CHMU_CONF0, 0x40)
    FIELD(CHMU_CONF0, WHAT, 0, 8)
    FIELD(CHMU_CONF0, RANDOM, 8, 1)
    FIELD(CHMU_CONF0, OVERFLOW_INT, 9, 1)
    FIELD(CHMU_CONF0, LEVEL_INT, 10, 1)
    FIELD(CHMU_CONF0, ENABLE, 16, 1)
    FIELD(CHMU_CONF0, RESET, 17, 1)
    FIELD(CHMU_CONF0, THRESHOLD, 32, 32)
REG64(CHMU_CONF1, 0x48)
    FIELD(CHMU_CONF1, UNIT, 0, 32)          /* log2 of its bytes */
    FIELD(CHMU_CONF1, SAMPLING, 32, 8)      /* n: one in 2^n */
    FIELD(CHMU_CONF1, MODE, 40, 8)          /* 0: epochs */
    FIELD(CHMU_CONF1, SCALE, 48, 4)
    FIELD(CHMU_CONF1, VALUE, 52, 12)
REG64(CHMU_CONF2, 0x50)
    FIELD(CHMU_CONF2, LEVEL, 0, 16)
REG64(CHMU_STATUS, 0x60)
    FIELD(CHMU_STATUS, ENABLED, 0, 1)
    FIELD(CHMU_STATUS, OPERATION, 16, 16)
    FIELD(CHMU_STATUS, COUNTER_WIDTH, 32, 8)
    FIELD(CHMU_STATUS, OVERFLOW, 40, 1)
    FIELD(CHMU_STATUS, LEVEL, 41, 1)
REG64(CHMU_POINTERS, 0x68)
    FIELD(CHMU_POINTERS, HEAD, 0, 16)
    FIELD(CHMU_POINTERS, TAIL, 16, 16)
#define CHMU_BITMAP         0x70
#define CHMU_HOT_LIST       0x4000

/* Values of WHAT.  There is no TEE here, so 4 to 6 are not offered. */
enum {
    CHMU_READS = 1,
    CHMU_WRITES,
    CHMU_BOTH,
};

/* Values of OPERATION */
enum {
    CHMU_IDLE,
    CHMU_ENABLING,
    CHMU_DISABLING,
    CHMU_RESETTING,
};

/* Lengths of epochs: 1 ms to 60 s. */
#define CHMU_MIN_SCALE      2
#define CHMU_MIN_VALUE      1
#define CHMU_MAX_SCALE      5
#define CHMU_MAX_VALUE      60
#define CHMU_MIN_EPOCH_NS   1000000ull
#define CHMU_MAX_EPOCH_NS   60000000000ull

#endif /* HW_CXL_GFAM_CHMU_REGS_H */
