/*
 * DPU Edge Coherence Agent: parking where it is not possible
 *
 * Without TCG, or on a host whose instructions are not known.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-park.h"

bool eca_park_init(Error **errp)
{
    return true;
}

void eca_park_front(const void *front, uint64_t size)
{
}

bool eca_park_wanted(CPUState *cpu)
{
    return false;
}

void eca_park(CPUState *cpu)
{
}
