/*
 * DPU Edge Coherence Agent: targets whose guests are not told of failures
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "eca-fail.h"

bool eca_mce_is_taken(CPUState *cpu)
{
    return false;
}

bool eca_mce_deliver(CPUState *cpu, hwaddr hpa)
{
    return false;
}
