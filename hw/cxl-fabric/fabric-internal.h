/*
 * CXL fabric object: what its own files share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CXL_FABRIC_INTERNAL_H
#define HW_CXL_FABRIC_INTERNAL_H

#include "io/channel-socket.h"
#include "io/net-listener.h"
#include "qemu/queue.h"
#include "system/hostmem.h"
#include "hw/cxlf/fabric.h"
#include "cxlf/topology-fdt.h"
#include "cxlf/wire.h"

/* How long either end waits for the other in a join, in seconds. */
#define CXL_FABRIC_JOIN_SECONDS 10

typedef enum {
    CXL_FABRIC_NONE,
    CXL_FABRIC_OWNER,
    CXL_FABRIC_MEMBER,
    CXL_FABRIC_EMBEDDED,
} CXLFabricKind;

typedef struct CXLFabricSegment {
    int fd;             /* -1: not there */
    uint64_t size;
    void *map;          /* NULL: not mapped here */
    HostMemoryBackend *backend;     /* owner: that it came from, or NULL */
} CXLFabricSegment;

typedef struct CXLFabricPeer CXLFabricPeer;

struct CXLFabric {
    Object parent_obj;

    /* Properties; 0 or NULL is "not given" where has_* does not say. */
    char *socket;
    bool listen;
    char *topology_file;
    uint32_t hosts, leaves, shards, gfams;
    uint32_t grain, line_entries, ways;
    uint64_t hot, bulk;
    bool has_bulk;
    int32_t want_host;
    HostMemoryBackend *memdev[CXLF_MAX_GFAMS];

    /* Fixed once complete. */
    CXLFabricKind kind;
    QemuUUID uuid;
    struct cxlf_directory directory;
    struct cxlf_fabric *table;      /* read-only in a member */
    CXLFabricSegment segment[CXLF_KINDS][CXLF_MAX_GFAMS];

    /* Under the BQL. */
    int self;                       /* host number; -1: none */
    bool attached;
    uint32_t gfam_taken;            /* a bit for each device */
    bool lost;                      /* read by any thread */
    NotifierList lost_notifiers;
    QIOChannelSocket *channel;      /* member: to the owner */
    guint watch;
    QIONetListener *listener;       /* owner */
    QLIST_HEAD(, CXLFabricPeer) peers;
    Notifier exit;                  /* the process ends in order */
    QLIST_ENTRY(CXLFabric) next;
};

/* fabric-common.c */
void cxl_fabric_list_add(CXLFabric *f);
CXLFabric *cxl_fabric_first(void);
CXLFabric *cxl_fabric_next(CXLFabric *f);
const char *cxl_fabric_id(CXLFabric *f);
uint64_t cxl_fabric_segment_size(CXLFabric *f, uint32_t kind,
                                 uint32_t index);
bool cxl_fabric_map(CXLFabricSegment *s, bool writable, Error **errp);
bool cxl_fabric_adopt_leaf(CXLFabric *f, uint32_t leaf, Error **errp);
void cxl_fabric_drop_segments(CXLFabric *f);
bool cxl_fabric_load_topology(const char *path, struct cxlf_topology *t,
                              Error **errp);

/* fabric-segments.c: the segments that an owner makes */
bool cxl_fabric_create_segments(CXLFabric *f, Error **errp);

/* fabric-owner.c */
bool cxl_fabric_listen(CXLFabric *f, Error **errp);
void cxl_fabric_unlisten(CXLFabric *f);
int cxl_fabric_claim_host(CXLFabric *f, int want, uint32_t pid);
void cxl_fabric_set_host(CXLFabric *f, int host, enum cxlf_host_state state);

/* fabric-member.c */
bool cxl_fabric_join(CXLFabric *f, Error **errp);
void cxl_fabric_leave(CXLFabric *f);

/* fabric-wire.c */
int cxl_fabric_connect(const char *path, bool wait);
bool cxl_fabric_send(QIOChannelSocket *sioc, uint16_t type,
                     const struct iovec *payload, size_t pieces, int fd,
                     Error **errp);
uint8_t *cxl_fabric_receive(QIOChannelSocket *sioc, uint16_t *type,
                            uint32_t *length, int *fd, Error **errp);

#endif /* HW_CXL_FABRIC_INTERNAL_H */
