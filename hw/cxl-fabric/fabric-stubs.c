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

void qmp_x_cxl_fabric_answer(const char *id, uint32_t host, uint64_t request,
                             CxlFabricRequestResult result, bool has_gfam,
                             uint32_t gfam, bool has_dpa, uint64_t dpa,
                             bool has_length, uint64_t length, Error **errp)
{
    error_setg(errp, "this emulator has no CXL fabric");
}

CxlFabricRequestInfoList *qmp_x_query_cxl_fabric_requests(Error **errp)
{
    return NULL;
}

CxlFabricCci *qmp_x_cxl_fabric_cci(const char *id, uint32_t component,
                                   uint16_t opcode, const char *payload,
                                   bool has_from_pid, uint16_t from_pid,
                                   Error **errp)
{
    error_setg(errp, "this emulator has no CXL fabric");
    return NULL;
}

CxlFabricCci *qmp_x_cxl_fabric_bind(const char *id, uint32_t host,
                                    uint32_t vppb, uint32_t gfam,
                                    uint32_t ld, Error **errp)
{
    error_setg(errp, "this emulator has no CXL fabric");
    return NULL;
}

CxlFabricCci *qmp_x_cxl_fabric_unbind(const char *id, uint32_t host,
                                      uint32_t vppb, bool has_how,
                                      CxlFabricUnbindHow how, Error **errp)
{
    error_setg(errp, "this emulator has no CXL fabric");
    return NULL;
}

CxlFabricFmList *qmp_x_query_cxl_fabric_fm(Error **errp)
{
    return NULL;
}

CxlFabricLog *qmp_x_query_cxl_fabric_log(const char *id, uint32_t host,
                                         bool has_limit, uint32_t limit,
                                         Error **errp)
{
    error_setg(errp, "this emulator has no CXL fabric");
    return NULL;
}

CxlFabricLinkInfoList *qmp_x_query_cxl_fabric_links(const char *id,
                                                    Error **errp)
{
    return NULL;
}

CxlFabricQosList *qmp_x_query_cxl_fabric_qos(const char *id, Error **errp)
{
    return NULL;
}

void qmp_x_cxl_fabric_set_link(const char *id, uint32_t link, bool has_port,
                               uint32_t port, bool up, Error **errp)
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
