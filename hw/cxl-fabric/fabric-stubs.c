/*
 * CXL fabric: QMP of targets that are built without it
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"

void qmp_x_cxl_fabric_set_bulk_mode(const char *id, bool has_gfam,
                                    uint32_t gfam, CxlFabricBulkMode mode,
                                    Error **errp)
{
    error_setg(errp, "this emulator has no CXL fabric");
}

CxlFabricLeafList *qmp_x_query_cxl_fabric_leaves(Error **errp)
{
    return NULL;
}

CxlFabricInfoList *qmp_x_query_cxl_fabric(Error **errp)
{
    return NULL;
}
