/*
 * DPU Edge Coherence Agent: QMP of targets that are built without it
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands-cxl-fabric.h"

CxlFabricHotList *qmp_x_query_cxl_fabric_hot(bool has_count, uint32_t count,
                                             Error **errp)
{
    return NULL;
}
