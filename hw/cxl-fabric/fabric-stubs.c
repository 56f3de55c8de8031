/*
 * CXL fabric: QMP of targets that are built without it
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"

CxlFabricInfoList *qmp_x_query_cxl_fabric(Error **errp)
{
    return NULL;
}
