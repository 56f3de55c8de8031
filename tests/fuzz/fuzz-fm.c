/*
 * Fuzz: the Fabric Manager's commands, in any order, with any payload
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fm-world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cxlf_fm fm;
    static struct world w;

    world_init(&w, &fm, data, size);
    while (w.size) {
        world_step(&w);
    }
    return 0;
}
