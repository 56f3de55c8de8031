/*
 * GFAM device: accesses that are callbacks
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "gfam-internal.h"

static MemTxResult trap_read(void *opaque, hwaddr dpa, uint64_t *data,
                             unsigned size, MemTxAttrs attrs)
{
    CXLGFAM *s = opaque;

    return eca_read(s->eca, s->gfam, dpa, data, size, attrs);
}

static MemTxResult trap_write(void *opaque, hwaddr dpa, uint64_t data,
                              unsigned size, MemTxAttrs attrs)
{
    CXLGFAM *s = opaque;

    return eca_write(s->eca, s->gfam, dpa, data, size, attrs);
}

const MemoryRegionOps gfam_trap_ops = {
    .read_with_attrs = trap_read,
    .write_with_attrs = trap_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8,
               .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, },
};
