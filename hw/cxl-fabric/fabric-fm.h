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

typedef enum CXLFabricLdBusy {
    LD_IDLE,
    LD_SHOWING,
    LD_HIDING,
} CXLFabricLdBusy;

/* An LD: where its memory is, and which host has it. */
typedef struct CXLFabricLd {
    CXLFabricFm *fm;
    uint32_t gfam, ld;
    uint64_t start, size;               /* DPA of the device, bytes */
    int host;                           /* that it is bound to, or -1 */
    uint32_t vppb;
    /*
     * Whether a host may be using it: the process of @peer, or with NULL
     * this one.  Also after a Bind that has failed as the host was too slow.
     */
    bool shown;
    int at;                             /* its number */
    CXLFabricPeer *peer;
    uint64_t token;                     /* of the last message about it */
    CXLFabricLdBusy busy;               /* until @timer, at the latest */
    uint64_t operation;                 /* the core's token then */
    QEMUTimer *timer;                   /* NULL: never used */
} CXLFabricLd;

/* Fixed but for what the core, binding and erasing change.  Main loop. */
struct CXLFabricFm {
    CXLFabric *fabric;
    const struct cxlf_topology *topology;
    const struct cxlf_graph *graph;     /* the fabric's */
    struct cxlf_fm *core;               /* NULL: there is none */
    const char *why;                    /* that there is none */
    unsigned switches;                  /* components; devices follow them */
    CXLFabricLd *ld[CXLF_MAX_GFAMS];    /* NULL: a GFD */
    /* Of each VCS of each switch, plus 1; 0: there is none. */
    uint16_t host_of[CXLF_FM_SWITCHES][CXLF_FM_VCSS];
    uint64_t token;
    QTAILQ_HEAD(, CXLFabricErase) erases;
    QEMUBH *bh;
    CXLFabricEmitted emitted;
};

/* The topology's node that a component is. */
struct cxlf_node cxl_fabric_fm_node(const CXLFabricFm *fm, unsigned component);

/* The switch that a host is at, and its port; false: beyond the bounds. */
bool cxl_fabric_fm_find_host(const CXLFabricFm *fm, uint32_t host,
                             unsigned *component, unsigned *port);

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

/* fabric-fm-lds.c: LDs.  The functions for the core are those of cxlf/fm.h. */
bool cxl_fabric_fm_place(void *opaque, unsigned component,
                         const uint64_t *size);
void cxl_fabric_fm_bind(void *opaque, const struct cxlf_fm_binding *binding,
                        uint64_t token);
void cxl_fabric_fm_unbind(void *opaque, const struct cxlf_fm_binding *binding,
                          uint64_t token);
void cxl_fabric_fm_erase(void *opaque, const struct cxlf_fm_memory *memory,
                         uint64_t token);
void cxl_fabric_fm_create_lds(CXLFabricFm *fm, uint32_t gfam);
/* Those that the topology binds, once all is built. */
void cxl_fabric_fm_bind_first(CXLFabricFm *fm);
void cxl_fabric_fm_drop_lds(CXLFabricFm *fm);

/* The VCS of a host, and the port of its switch that leads to a device. */
bool cxl_fabric_fm_find_vcs(const CXLFabricFm *fm, int host,
                            unsigned *component, unsigned *vcs);
bool cxl_fabric_fm_find_port(const CXLFabricFm *fm, unsigned component,
                             uint32_t gfam, unsigned *port);

/* That of a fabric that this process owns, or NULL with @errp set. */
CXLFabricFm *cxl_fabric_find_fm(const char *id, Error **errp);

#endif /* HW_CXL_FABRIC_FM_H */
