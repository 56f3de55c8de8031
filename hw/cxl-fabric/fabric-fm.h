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

/* What a host has been offered of an extent, until it has it no longer. */
typedef struct CXLFabricHold CXLFabricHold;

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
    QTAILQ_HEAD(, CXLFabricHold) holds;
    CXLFabricHold *offer;               /* the last one, not told yet */
    QEMUBH *bh;
    CXLFabricEmitted emitted;
};

/* The topology's node that a component is. */
struct cxlf_node cxl_fabric_fm_node(const CXLFabricFm *fm, unsigned component);

/*
 * Whether a host is there now: in the process of *@peer, or with NULL in this
 * one.
 */
bool cxl_fabric_fm_find_process(const CXLFabricFm *fm, int host,
                                CXLFabricPeer **peer);

/* The switch that a host is at, and its port; false: beyond the bounds. */
bool cxl_fabric_fm_find_host(const CXLFabricFm *fm, uint32_t host,
                             unsigned *component, unsigned *port);
/* The same, and its VCS there; false also if it has none. */
bool cxl_fabric_fm_find_vcs(const CXLFabricFm *fm, uint32_t host,
                            unsigned *component, unsigned *vcs);

/* A command, as cxlf_fm_command(). */
enum cxlf_cci cxl_fabric_fm_command(CXLFabricFm *fm,
                                    const struct cxlf_fm_who *who,
                                    unsigned component, uint16_t opcode,
                                    const void *in, size_t in_len, void *out,
                                    size_t out_cap, size_t *out_len);

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
enum cxlf_cci cxl_fabric_fm_port_control(void *opaque, unsigned component,
                                         unsigned port, unsigned operation);
bool cxl_fabric_fm_sat_set(void *opaque, unsigned component, unsigned n,
                           const uint8_t *list);
bool cxl_fabric_fm_gae_set(void *opaque, unsigned component, unsigned vcs,
                           unsigned pid, bool may);
bool cxl_fabric_fm_gdt_set(void *opaque, unsigned component, unsigned pid,
                           unsigned first, unsigned n, const uint8_t *entry);

/* fabric-fm-lds.c: LDs.  The functions for the core are those of cxlf/fm.h. */
bool cxl_fabric_fm_place(void *opaque, unsigned component,
                         const uint64_t *size);
void cxl_fabric_fm_bind(void *opaque, const struct cxlf_fm_binding *binding,
                        uint64_t token);
void cxl_fabric_fm_unbind(void *opaque, const struct cxlf_fm_binding *binding,
                          uint64_t token);
void cxl_fabric_fm_create_lds(CXLFabricFm *fm, uint32_t gfam);
/* Those that the topology binds, once all is built. */
void cxl_fabric_fm_bind_first(CXLFabricFm *fm);
void cxl_fabric_fm_drop_lds(CXLFabricFm *fm);

/* A host is gone, as cxl_fabric_fm_host_gone(). */
void cxl_fabric_fm_lds_gone(CXLFabricFm *fm, CXLFabricPeer *peer);

/* The PID of an LD, or CXLF_FM_PID_NONE. */
uint16_t cxl_fabric_fm_ld_pid(const CXLFabricLd *l);

/* The port of a switch that leads to a device. */
bool cxl_fabric_fm_find_port(const CXLFabricFm *fm, unsigned component,
                             uint32_t gfam, unsigned *port);

/* fabric-fm-erase.c: the same, for all memory. */
void cxl_fabric_fm_erase(void *opaque, const struct cxlf_fm_memory *memory,
                         uint64_t token);
/* Go on with what had to wait for a host to let go. */
void cxl_fabric_fm_erase_more(CXLFabricFm *fm);
void cxl_fabric_fm_drop_erases(CXLFabricFm *fm);

/*
 * fabric-fm-extents.c: dynamic capacity.  Events of the core's extents;
 * offers of one command are told together, at its end.
 */
void cxl_fabric_fm_extent_event(CXLFabricFm *fm,
                                const struct cxlf_fm_event *event);
void cxl_fabric_fm_tell_offers(CXLFabricFm *fm);
/* Whether a host may still reach any of that memory. */
bool cxl_fabric_fm_is_held(CXLFabricFm *fm, uint32_t gfam, uint64_t start,
                           uint64_t size);
/* A host is gone, as cxl_fabric_fm_host_gone(). */
void cxl_fabric_fm_extents_gone(CXLFabricFm *fm, CXLFabricPeer *peer);
void cxl_fabric_fm_drop_holds(CXLFabricFm *fm);

/* That of a fabric that this process owns, or NULL with @errp set. */
CXLFabricFm *cxl_fabric_find_fm(const char *id, Error **errp);

#endif /* HW_CXL_FABRIC_FM_H */
