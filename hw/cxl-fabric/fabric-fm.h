/*
 * CXL fabric: the owner's Fabric Manager, for its own files
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_FM_H
#define HW_CXL_FABRIC_FM_H

#include "cxlf/fm.h"
#include "cxlf/graph.h"
#include "fabric-internal.h"

/* Fixed but for what the core and erasing change.  Main loop. */
struct CXLFabricFm {
    CXLFabric *fabric;
    const struct cxlf_topology *topology;
    const struct cxlf_graph *graph;     /* the fabric's */
    struct cxlf_fm *core;               /* NULL: there is none */
    const char *why;                         /* that there is none */
    unsigned switches;                  /* components; devices follow them */
    uint64_t units[CXLF_MAX_GFAMS];     /* of CXLF_FM_UNIT; 0: a GFD */
    uint8_t *unit[CXLF_MAX_GFAMS];      /* the LD that has each */
    QTAILQ_HEAD(, CXLFabricErase) erases;
    QEMUBH *bh;
    CXLFabricEmitted emitted;
};

/* The topology's node that a component is. */
struct cxlf_node cxl_fabric_fm_node(const CXLFabricFm *fm, unsigned component);

/*
 * fabric-fm-routes.c: routing tables and access control, of the fabric's
 * router, once the core has all components; and its functions for the core,
 * see struct cxlf_fm_ops.
 */
void cxl_fabric_fm_adopt_routes(CXLFabricFm *fm);
void cxl_fabric_fm_drop_routes(CXLFabricFm *fm);
bool cxl_fabric_fm_drt_get(void *opaque, unsigned component, unsigned drt,
                           unsigned pid, uint8_t entry[2]);
bool cxl_fabric_fm_drt_set(void *opaque, unsigned component, unsigned drt,
                           unsigned pid, unsigned n, const uint8_t *entry);
bool cxl_fabric_fm_rgt_get(void *opaque, unsigned component, unsigned rgt,
                           unsigned index, uint8_t entry[12]);
bool cxl_fabric_fm_rgt_set(void *opaque, unsigned component, unsigned rgt,
                           unsigned index, unsigned n, const uint8_t *entry);
bool cxl_fabric_fm_port_up(void *opaque, unsigned component, unsigned port);
bool cxl_fabric_fm_sat_set(void *opaque, unsigned component, unsigned n,
                           const uint8_t *list);
bool cxl_fabric_fm_gdt_set(void *opaque, unsigned component, unsigned pid,
                           unsigned first, unsigned n, const uint8_t *entry);

/* That of a fabric that this process owns, or NULL with @errp set. */
CXLFabricFm *cxl_fabric_find_fm(const char *id, Error **errp);

#endif /* HW_CXL_FABRIC_FM_H */
