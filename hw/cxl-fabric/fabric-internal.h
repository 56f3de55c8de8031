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
#include "qapi/qapi-types-cxl-fabric.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "system/hostmem.h"
#include "hw/cxlf/fabric.h"
#include "cxlf/log.h"
#include "cxlf/route.h"
#include "cxlf/topology-fdt.h"
#include "cxlf/wire.h"

/* How long either end waits for the other in a join, in seconds. */
#define CXL_FABRIC_JOIN_SECONDS 10

/* The most segments of a kind: more leaves than GFAM devices can be.  */
#define CXL_FABRIC_SEGMENTS CXLF_MAX_LEAVES

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
typedef struct CXLFabricReaper CXLFabricReaper;
typedef struct CXLFabricWard CXLFabricWard;
typedef struct CXLFabricBulkChange CXLFabricBulkChange;
typedef struct CXLFabricRequest CXLFabricRequest;
typedef struct CXLFabricFm CXLFabricFm;

/* What the owner has asked of this host about an LD, and waits for. */
typedef struct CXLFabricAsked {
    uint64_t plug, unplug;          /* tokens; 0: nothing */
    bool managed;                   /* the unplug */
} CXLFabricAsked;

/* Events of one kind, of which guests may not cause too many. */
typedef struct CXLFabricEmitted {
    int64_t ns;
    uint64_t left_out;              /* since the last one */
} CXLFabricEmitted;

/* The last log that was made for a host number. */
typedef struct CXLFabricHostLog {
    int fd;                         /* -1: none yet */
    uint64_t size;
    uint64_t unlogged;              /* found when it died; atomically */
} CXLFabricHostLog;

/* What the reaper has recovered from a dead host. */
typedef struct CXLFabricRecovered {
    uint64_t units, modified, poisoned;
} CXLFabricRecovered;

struct CXLFabric {
    Object parent_obj;

    /* Properties; 0 or NULL is "not given" where has_* does not say. */
    char *socket;
    bool listen;
    bool tiers, has_tiers;
    char *topology_file;
    uint32_t hosts, leaves, shards, gfams;
    uint32_t grain, line_entries, ways;
    uint32_t precise_pages;
    bool has_precise_pages;
    uint32_t log_slots;
    uint32_t bind_timeout;          /* seconds */
    uint64_t hot, bulk;
    bool has_bulk;
    bool has_bulk_mode;
    CxlFabricBulkMode bulk_mode;
    int32_t want_host;
    bool has_on_death;
    CxlFabricOnDeath on_death;
    bool has_host_requests;
    CxlFabricHostRequests host_requests;
    HostMemoryBackend *memdev[CXLF_MAX_GFAMS];

    /* Fixed once complete. */
    CXLFabricKind kind;
    char *id;
    QemuUUID uuid;
    struct cxlf_directory directory;
    struct cxlf_fabric *table;      /* read-only in a member */
    /* These three NULL: the topology has no routing. */
    struct cxlf_graph *graph;
    struct cxlf_router *router;     /* of tables read-only in a member */
    struct cxlf_link_count *link_counts;
    struct cxlf_qos_view *qos_view;     /* of devices, or NULL; main loop */
    int *doorbell;                  /* eventfds, of each host number */
    int owner_fd;                   /* member: of the channel */
    CXLFabricReaper *reaper;        /* of an owner that others can join */

    /*
     * What the owner's main loop and its reaper share.  Nobody waits for
     * anything under the lock; it is taken with and without the BQL.
     */
    QemuMutex lock;
    /* Also under it: all that is written to *table, but its poison ring. */
    GArray *poison;                 /* units; fabric-poison.c */
    GArray *poison_found;           /* the reaper's own */
    CXLFabricSegment segment[CXLF_KINDS][CXL_FABRIC_SEGMENTS];

    /*
     * Ownership logs: fabric-log.c.  That of this process's host is mapped;
     * in a member its segment is that of CXLF_KIND_LOG.
     */
    struct cxlf_log log;
    void *log_map;                  /* NULL: no host */
    uint64_t log_size;
    CXLFabricHostLog *host_log;     /* owner: of each host number */

    /* Under the BQL. */
    int self;                       /* host number; -1: none */
    bool attached;
    uint32_t gfam_taken[CXLF_MAX_GFAMS];    /* a bit for each LD */
    CXLFabricGrant grant[CXLF_MAX_GFAMS][CXLF_MAX_LDS];
    CXLFabricAsked asked[CXLF_MAX_GFAMS][CXLF_MAX_LDS];
    struct {
        CXLFabricExtentFunction *function;  /* NULL: no endpoint */
        void *opaque;
    } extents[CXLF_MAX_GFAMS];
    QEMUTimer *press_timer;         /* presses attention buttons again */
    QEMUBH *plug_bh;                /* shows what was granted at the join */
    Notifier machine_done;          /* schedules it; notify NULL: not yet */
    bool lost;                      /* read by any thread */
    NotifierList lost_notifiers;
    CXLFabricBulkChange *bulk_change;       /* of the mode, under way */
    CXLFabricEmitted conflicts;
    /* Owner: of hosts; fabric-requests.c */
    QTAILQ_HEAD(, CXLFabricRequest) requests;
    uint64_t last_request;          /* its number */
    CXLFabricEmitted requests_emitted;
    NotifierList answer_notifiers;
    bool host_managers;             /* owner */
    NotifierList cci_notifiers;
    CXLFabricFm *fm;                /* owner, embedded: fabric-fm.c */
    QIOChannelSocket *channel;      /* member: to the owner */
    guint watch;
    /* Member: what the owner has sent of an answer. */
    uint8_t heard[sizeof(struct cxlf_wire_header) +
                  sizeof(struct cxlf_wire_cci) + CXLF_WIRE_CCI_MAX];
    size_t heard_size;
    uint64_t reserve_token;
    int reserve_result;
    bool may_have_reserved;
    NotifierList reserve_notifiers;
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
/* The only fabric that this process has, or owns, or the one that is named. */
CXLFabric *cxl_fabric_find(const char *id, bool owned, Error **errp);
bool cxl_fabric_may_emit(CXLFabricEmitted *e);
uint64_t cxl_fabric_segment_size(CXLFabric *f, uint32_t kind,
                                 uint32_t index);
bool cxl_fabric_map(CXLFabricSegment *s, bool writable, Error **errp);
bool cxl_fabric_adopt_leaf(CXLFabric *f, uint32_t leaf, Error **errp);
void cxl_fabric_drop_segments(CXLFabric *f);
/* @graph as by cxl_fabric_read_graph() */
bool cxl_fabric_load_topology(const char *path, struct cxlf_topology *t,
                              struct cxlf_graph **graph, Error **errp);
/* How many a member is given. */
uint32_t cxl_fabric_count_segments(CXLFabric *f);

/* fabric-segments.c: the segments that an owner makes */
bool cxl_fabric_create_segments(CXLFabric *f, Error **errp);

/*
 * fabric-links.c: have ports of a link's bundle, a bit each, fail or return.
 * By the owner, in its main loop.
 */
void cxl_fabric_set_link(CXLFabric *f, uint32_t link, uint32_t ports,
                         bool up);

/* fabric-doorbell.c */
uint64_t cxl_fabric_descriptor_limit(void);
void cxl_fabric_init_doorbells(CXLFabric *f);
bool cxl_fabric_create_doorbells(CXLFabric *f, Error **errp);
void cxl_fabric_drop_doorbells(CXLFabric *f);
void cxl_fabric_ring_all(CXLFabric *f);

/* fabric-host.c: the owner's table of hosts */
int cxl_fabric_claim_host(CXLFabric *f, int want, uint32_t pid);
void cxl_fabric_set_host(CXLFabric *f, int host, enum cxlf_host_state state);
void cxl_fabric_free_host(CXLFabric *f, int host);

/* fabric-bulk.c: BULK that is coherent by software */
uint32_t cxl_fabric_first_bulk_mode(CXLFabric *f);
void cxl_fabric_forget_copies(CXLFabric *f, int host);
void cxl_fabric_stop_bulk_change(CXLFabric *f);

typedef enum CXLFabricBulkBegun {
    CXL_FABRIC_BULK_BEGUN,          /* cxl_fabric_requests_changed() follows */
    CXL_FABRIC_BULK_IS_SO,
    CXL_FABRIC_BULK_AGAIN,          /* these two with @errp set */
    CXL_FABRIC_BULK_UNABLE,
} CXLFabricBulkBegun;

/* Change the mode of the devices of which @which has a bit. */
CXLFabricBulkBegun cxl_fabric_begin_bulk_change(CXLFabric *f, uint32_t which,
                                                bool software, Error **errp);
CxlFabricBulkModeList *cxl_fabric_list_bulk_modes(CXLFabric *f);

/* fabric-log.c: ownership logs */
void cxl_fabric_init_logs(CXLFabric *f);
void cxl_fabric_drop_logs(CXLFabric *f);
int cxl_fabric_new_log(CXLFabric *f, Error **errp);
void cxl_fabric_set_log(CXLFabric *f, int host, int fd);
void cxl_fabric_drop_log(CXLFabric *f, int host);
bool cxl_fabric_map_log(CXLFabric *f, Error **errp);
void cxl_fabric_unmap_log(CXLFabric *f);
uint64_t cxl_fabric_check_log(CXLFabric *f, int host);

/* fabric-owner.c */
bool cxl_fabric_listen(CXLFabric *f, Error **errp);
void cxl_fabric_unlisten(CXLFabric *f);
/* Send it; false if the peer is gone, or is ended as it does not read. */
bool cxl_fabric_answer_peer(CXLFabricPeer *p,
                            const struct cxlf_wire_answer *answer);
/* The same, for any message; the peer is ended later. */
bool cxl_fabric_tell_peer(CXLFabricPeer *p, enum cxlf_wire_type type,
                          const void *payload, size_t size);
/* The peer that is up as @host, or NULL. */
CXLFabricPeer *cxl_fabric_peer_of(CXLFabric *f, int host);

/* fabric-routes.c: routing tables and counters of links */

/*
 * The switches and links that a blob has; *@graph is for the caller to free,
 * or NULL for a topology without routing.
 */
bool cxl_fabric_read_graph(const void *blob, const struct cxlf_topology *t,
                           struct cxlf_graph **graph, const char **why);
/* Those of a topology without a blob; NULL likewise. */
struct cxlf_graph *cxl_fabric_default_graph(const struct cxlf_topology *t);
/* Why a fabric has no graph. */
extern const char cxl_fabric_no_routing[];
/* fabric-links.c: as cxl_fabric_find(), and it must have routing. */
CXLFabric *cxl_fabric_find_routed(const char *id, bool owned, Error **errp);
bool cxl_fabric_is_same_graph(const struct cxlf_graph *a,
                              const struct cxlf_graph *b);
uint32_t cxl_fabric_lanes(CXLFabric *f);
/* Use the segments, which are mapped. */
bool cxl_fabric_adopt_routes(CXLFabric *f, Error **errp);
void cxl_fabric_drop_routes(CXLFabric *f);

/* fabric-poison.c: what was lost with hosts that died */
void cxl_fabric_init_poison(CXLFabric *f);
void cxl_fabric_drop_poison(CXLFabric *f);
uint64_t cxl_fabric_publish_poison(CXLFabric *f, uint32_t host);
uint64_t cxl_fabric_count_poison(CXLFabric *f);
/* Owner: forget what was lost in a range that is erased. */
void cxl_fabric_forget_poison(CXLFabric *f, uint32_t gfam, uint64_t dpa,
                              uint64_t length);

/* fabric-reaper.c: deaths.  All but its thread are for the main loop. */
bool cxl_fabric_start_reaper(CXLFabric *f, void (*report)(void *opaque),
                             Error **errp);
void cxl_fabric_stop_reaper(CXLFabric *f);
CXLFabricWard *cxl_fabric_new_ward(CXLFabric *f, int host, int pidfd);
bool cxl_fabric_ward_ready(CXLFabric *f, CXLFabricWard *w);
void cxl_fabric_ward_leave(CXLFabric *f, CXLFabricWard *w);
int cxl_fabric_ward_fence(CXLFabric *f, CXLFabricWard *w);
bool cxl_fabric_ward_recovered(CXLFabric *f, CXLFabricWard *w,
                               CXLFabricRecovered *recovered);
void cxl_fabric_free_ward(CXLFabric *f, CXLFabricWard *w);

/* fabric-reserve.c */
uint32_t cxl_fabric_table_reserve(CXLFabric *f, uint32_t host,
                                  const struct cxlf_wire_reserve *w);
/* What any host has reserved of a range that is nobody's now. */
void cxl_fabric_drop_reserved(CXLFabric *f, uint32_t gfam, uint64_t dpa,
                              uint64_t length);
void cxl_fabric_hear_reserved(CXLFabric *f,
                              const struct cxlf_wire_reserved *w);

/*
 * fabric-cci.c: commands of hosts' mailboxes
 *
 * cxl_fabric_take_cci: do that of @host; the answer's payload goes to
 * @answer, which has room for CXLF_WIRE_CCI_MAX bytes.
 * cxl_fabric_hear_cci: the answer to this host's.
 */
void cxl_fabric_take_cci(CXLFabric *f, uint32_t host,
                         const struct cxlf_wire_cci *in, const void *bytes,
                         struct cxlf_wire_cci *out, uint8_t *answer);
void cxl_fabric_hear_cci(CXLFabric *f, const struct cxlf_wire_cci *w,
                         const void *bytes);

/* fabric-requests.c: what hosts ask of the owner and of the manager */

/*
 * Take a request of @host, which is @peer's or, with NULL, this process's.
 * True if @answer is to be sent now.
 */
bool cxl_fabric_take_request(CXLFabric *f, CXLFabricPeer *peer, uint32_t host,
                             const struct cxlf_wire_request *w,
                             struct cxlf_wire_answer *answer);
/* @peer (NULL: this process's host) is gone, and its requests with it. */
void cxl_fabric_drop_requests(CXLFabric *f, CXLFabricPeer *peer);
/* A change of the mode is in force. */
void cxl_fabric_requests_changed(CXLFabric *f);

/*
 * fabric-fm.c: what a Fabric Manager manages.  A fabric without one is not
 * worse for it: QMP says why.
 */
void cxl_fabric_create_fm(CXLFabric *f);
void cxl_fabric_drop_fm(CXLFabric *f);

/*
 * fabric-fm-lds.c: LDs of the owner's devices, which hosts have them, and
 * their memory.  A host is the process of @peer, or with NULL this one.
 */

/*
 * The LDs that @host has, for whom the owner tells them when it joins: it has
 * been told of them then.  Returns how many, at most CXLF_MAX_GFAMS *
 * CXLF_MAX_LDS.
 */
unsigned cxl_fabric_fm_list_lds(CXLFabric *f, CXLFabricPeer *peer, int host,
                                struct cxlf_wire_plug *list);
/* It has joined: show it what was bound to it meanwhile. */
void cxl_fabric_fm_host_up(CXLFabric *f, CXLFabricPeer *peer, int host);
/* It has answered; @type: PLUGGED or UNPLUGGED. */
void cxl_fabric_fm_answered(CXLFabric *f, CXLFabricPeer *peer,
                            enum cxlf_wire_type type,
                            const struct cxlf_wire_plugged *answer);

/* fabric-fm-extents.c: a host has answered. */
void cxl_fabric_fm_extent_answered(CXLFabric *f, CXLFabricPeer *peer,
                                   const struct cxlf_wire_extent_answer *w);

/* fabric-fm.c: a host has left, or what it held was recovered. */
void cxl_fabric_fm_host_gone(CXLFabric *f, CXLFabricPeer *peer);

/* fabric-extents.c: the owner has something for this process's host. */
void cxl_fabric_hear_extent(CXLFabric *f, const struct cxlf_wire_extent *w);

/* fabric-aer.c: an error that a port of this process's host reports. */
void cxl_fabric_hear_aer(CXLFabric *f, const struct cxlf_wire_aer *w);

/*
 * fabric-lds.c: LDs of this process's host.  Main loop, BQL.
 *
 * cxl_fabric_grant_at_join: before its endpoints are realized; what no
 * endpoint of the command line shows is plugged in when the machine is ready.
 * cxl_fabric_hear_plug, _unplug: when the owner says so.
 */
bool cxl_fabric_grant_at_join(CXLFabric *f, const struct cxlf_wire_plug *w);
void cxl_fabric_hear_plug(CXLFabric *f, const struct cxlf_wire_plug *w);
void cxl_fabric_hear_unplug(CXLFabric *f, const struct cxlf_wire_unplug *w);
void cxl_fabric_drop_lds(CXLFabric *f);

/* fabric-member.c */
bool cxl_fabric_join(CXLFabric *f, Error **errp);
void cxl_fabric_leave(CXLFabric *f);

/* fabric-wire.c */

/* A message that was received. */
typedef struct CXLFabricMessage {
    uint16_t type;
    uint32_t length;
    uint8_t *payload;
    size_t fds;                     /* how many came with it */
    int fd[CXLF_WIRE_FDS_MAX];      /* -1: taken out */
} CXLFabricMessage;

int cxl_fabric_connect(const char *path, bool wait);
bool cxl_fabric_send(QIOChannelSocket *sioc, uint16_t type,
                     const struct iovec *payload, size_t pieces,
                     const int *fd, size_t fds, Error **errp);
bool cxl_fabric_receive(QIOChannelSocket *sioc, CXLFabricMessage *m,
                        Error **errp);
void cxl_fabric_message_done(CXLFabricMessage *m);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CXLFabricMessage, cxl_fabric_message_done)

#endif /* HW_CXL_FABRIC_INTERNAL_H */
