/*
 * CXL fabric object: the ways of a host's messages, and what they cost
 *
 * docs/routing.md, "In the emulator".  A lane belongs to one thread at a
 * time, or to who has a lock.  NULL is the lane of a fabric without routing:
 * all ways are open, and nothing is counted.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXLF_FABRIC_LANE_H
#define HW_CXLF_FABRIC_LANE_H

#include "cxlf/route.h"
#include "hw/cxlf/fabric.h"

typedef struct CXLFabricLane CXLFabricLane;

typedef enum CXLFabricLaneOf {
    CXL_FABRIC_LANE_BQL,        /* who has the BQL */
    CXL_FABRIC_LANE_AGENT,      /* the agent's thread */
    CXL_FABRIC_LANES
} CXLFabricLaneOf;

/*
 * cxl_fabric_lane_new: of the host of this process, between attach and
 * detach.  cxl_fabric_lane_free: before the detach.  BQL.
 */
CXLFabricLane *cxl_fabric_lane_new(CXLFabric *f, CXLFabricLaneOf of);
void cxl_fabric_lane_free(CXLFabricLane *l);

/*
 * cxl_fabric_lane_ask: whether this host can reach the memory at @dpa
 * (bytes), with the home of its line or page; CXLF_UNITS: without one.
 * Some ns while no table changes.  Unless OK, *@where says where it fails.
 */
enum cxlf_route_result cxl_fabric_lane_ask(CXLFabricLane *l,
                                           enum cxlf_kind kind, uint32_t gfam,
                                           uint64_t dpa, uint16_t *where);

/* Charges: the messages of docs/routing.md, "In the emulator". */

/* cxl_fabric_charge_line: what an access by lines has changed. */
void cxl_fabric_charge_line(CXLFabricLane *l, uint32_t gfam, uint64_t dpa,
                            const struct cxlf_move *m);
/* cxl_fabric_charge_page: a page was granted, or recalled for this host. */
void cxl_fabric_charge_page(CXLFabricLane *l, uint32_t gfam, uint64_t dpa);
/* cxl_fabric_charge_snoop: its home asked @host to give it up. */
void cxl_fabric_charge_snoop(CXLFabricLane *l, uint32_t gfam, uint64_t dpa,
                             unsigned host);
/* cxl_fabric_charge_direct: @size bytes were moved without a home. */
void cxl_fabric_charge_direct(CXLFabricLane *l, uint32_t gfam, uint64_t dpa,
                              unsigned size, bool write);

/*
 * cxl_fabric_dev_load: how many responses of device @gfam to this process's
 * host had this DevLoad, docs/qos.md; 0 for a device that is not there.  Any
 * thread, while there is a host.
 */
uint64_t cxl_fabric_dev_load(CXLFabric *f, uint32_t gfam,
                             enum cxlf_dev_load load);

/* Links, for the guest to be told of.  Any thread. */

/* cxl_fabric_links: how many there are; 0 without routing. */
uint32_t cxl_fabric_links(CXLFabric *f);
/* cxl_fabric_link: the ports of a link that are up, a bit for each. */
uint32_t cxl_fabric_link(CXLFabric *f, uint32_t link);
/* cxl_fabric_is_others_link: whether it is that of another host. */
bool cxl_fabric_is_others_link(CXLFabric *f, uint32_t link);
/*
 * cxl_fabric_link_changes: differs after each change of links or tables, for
 * which the owner rings every host's doorbell.
 */
uint64_t cxl_fabric_link_changes(CXLFabric *f);

#endif /* HW_CXLF_FABRIC_LANE_H */
