/*
 * GFAM device: accesses that are callbacks
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "gfam-internal.h"

static bool is_open(GFAMTrap *t, hwaddr addr)
{
    if (!t->open) {
        eca_refuse(t->gfam->eca, t->gfam->gfam,
                   gfam_dpa(t->gfam, t->dpa + addr));
    }
    return t->open;
}

static MemTxResult trap_read(void *opaque, hwaddr addr, uint64_t *data,
                             unsigned size, MemTxAttrs attrs)
{
    GFAMTrap *t = opaque;

    if (!is_open(t, addr)) {
        *data = MAKE_64BIT_MASK(0, size * 8);
        return MEMTX_ERROR;
    }
    return eca_read(t->gfam->eca, t->gfam->gfam,
                    gfam_dpa(t->gfam, t->dpa + addr), data, size, attrs);
}

static MemTxResult trap_write(void *opaque, hwaddr addr, uint64_t data,
                              unsigned size, MemTxAttrs attrs)
{
    GFAMTrap *t = opaque;

    if (!is_open(t, addr)) {
        return MEMTX_ERROR;
    }
    return eca_write(t->gfam->eca, t->gfam->gfam,
                     gfam_dpa(t->gfam, t->dpa + addr), data, size, attrs);
}

static const MemoryRegionOps trap_ops = {
    .read_with_attrs = trap_read,
    .write_with_attrs = trap_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8,
               .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, },
};

void gfam_trap_init(GFAMTrap *t, CXLGFAM *s)
{
    t->gfam = s;
    memory_region_init_io(&t->region, OBJECT(s), &trap_ops, t,
                          "cxl-gfam-trap", gfam_size(s));
    /* A restarted instruction leaves by a jump, past the guard's end. */
    t->region.disable_reentrancy_guard = true;
}
