/*
 * CXL fabric: what devices are asked, and how they answer
 *
 * docs/qos.md.  A meter counts what one lane asks of all devices.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_QOS_H
#define HW_CXL_FABRIC_QOS_H

#include "fabric-internal.h"

typedef struct CXLFabricMeter CXLFabricMeter;

/* A lane's, of a fabric with routing; the same thread's as the lane. */
CXLFabricMeter *cxl_fabric_meter_new(CXLFabric *f, uint32_t lane);
void cxl_fabric_meter_free(CXLFabricMeter *m);

/* A request, with all that is moved at the device for it. */
typedef struct CXLFabricAsk {
    uint32_t gfam;
    uint64_t dpa;
    uint32_t in, out;       /* slots to the device, and from it */
    uint32_t slot_ps;       /* of the device's link */
    uint64_t round_ps;      /* the host's round trip; 0: it waits for none */
} CXLFabricAsk;

/* The device answers: time and DevLoad are counted. */
void cxl_fabric_meter_add(CXLFabricMeter *m, const CXLFabricAsk *ask);

/*
 * What this process knows of a device, for management, with the window since
 * the last call if time has passed in it.  NULL without routing.  Main loop.
 */
const struct cxlf_qos_view *cxl_fabric_qos_view(CXLFabric *f, uint32_t gfam);
void cxl_fabric_drop_qos(CXLFabric *f);

#endif /* HW_CXL_FABRIC_QOS_H */
