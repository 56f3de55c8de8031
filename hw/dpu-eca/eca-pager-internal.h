/*
 * DPU Edge Coherence Agent: what the files of the agent's thread share
 *
 * All functions here are called by that thread alone: eca-pager.h.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_PAGER_INTERNAL_H
#define HW_DPU_ECA_PAGER_INTERNAL_H

#include "qemu/bitmap.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "cxlf/agent.h"
#include "eca-hot.h"
#include "eca-internal.h"
#include "eca-pager.h"
#include "eca-policy.h"
#include "eca-range.h"
#include "eca-regs.h"
#include "eca-soft.h"
#include "eca-uffd.h"

#define LOCKS           64
#define PATIENCE_US     1000
#define PATIENCE_MAX_US 100000
#define PARK_US         20000   /* how often sleepers are looked at */
#define FAIL_TRIES      5       /* to have a vCPU leave its access */
/* Steps of one page in a row that are only lost races. */
#define STEPS           64
/* Pages that are sampled, and looked at, at a time. */
#define SAMPLE_PAGES    512
#define SAMPLE_LOOK     65536
#define EVICTIONS       256     /* at a time, when the mode changes */

typedef struct Want {
    ECAWantKind kind;
    uint32_t gfam;
    uint64_t dpa;
    QSIMPLEQ_ENTRY(Want) next;
} Want;

typedef struct Work {
    void (*work)(void *opaque);
    void *opaque;
    QemuEvent done;
} Work;

/* A page of a request. */
typedef struct Part {
    struct cxlf_request r;
    bool over;
    bool mapped;
} Part;

/* What this host wants of a block of pages, one of which somebody needs. */
typedef struct Request {
    ECAWantKind kind;
    bool fault;             /* a fault of the front */
    bool was_lines;         /* it was demoted on the way */
    bool ready;             /* to be stepped */
    uint32_t gfam;
    uint64_t dpa, end;      /* of the first page, behind the last */
    uint64_t needed;        /* of the one that is needed */
    unsigned order;         /* of the block, in messages */
    unsigned open;          /* parts that are not over */
    int64_t look_us;        /* when to look and post again */
    unsigned patience_us;
    QTAILQ_ENTRY(Request) next;
    unsigned parts;
    Part part[];
} Request;

/* A block that another host wants. */
typedef struct Snoop {
    uint32_t gfam;
    uint64_t dpa;
    unsigned order;
    int64_t due_us;
    QTAILQ_ENTRY(Snoop) next;
} Snoop;

/* Neighbours to be changed by one call. */
typedef struct Run {
    enum { RUN_NONE, RUN_MAP, RUN_UNPROTECT, RUN_PROTECT, RUN_ZAP } what;
    bool writable;
    uint32_t gfam;
    uint64_t dpa, end;
} Run;

typedef struct Sleeper {
    uint32_t thread, gfam;
    uint64_t dpa;
} Sleeper;

/* A vCPU that is to get a machine check instead of its access. */
typedef struct Failing {
    uint32_t thread, gfam;
    uint64_t dpa;
    unsigned tries;
    int64_t look_us;
} Failing;

typedef struct Device {
    uint8_t *front, *back;  /* NULL: not attached yet */
    int fd;
    uint64_t size;
    ram_addr_t ram;         /* of the front's region; RAM_ADDR_INVALID */
    ECAPages pages;
    uint64_t sample_dpa;    /* where sampling goes on */
    int64_t sample_us;      /* when it was done last */
    uint32_t sample_rate;
    unsigned sampling;      /* any thread, atomically: it is due; or 0 */
} Device;

struct ECAPager {
    ECAState *eca;
    CXLFabric *fabric;
    struct cxlf_directory *directory;
    CXLFabricLane *lane;        /* of the agent's thread */
    unsigned host;
    ECAPagerOptions options;
    QemuThread thread;
    EventNotifier kick;             /* by threads of this process */
    ECAUffd uffd;
    ECASoft *soft;
    ECASoftIO soft_io;
    Device device[CXLF_MAX_GFAMS];  /* pointers are set once, under the BQL */
    QemuMutex page_lock[LOCKS];

    QemuMutex lock;                 /* of what follows */
    QemuCond ended;                 /* a request has */
    QSIMPLEQ_HEAD(, Want) wants;
    QTAILQ_HEAD(, ECARange) submitted;
    Work *work;

    /* The agent's thread alone. */
    struct cxlf_agent agent;
    struct cxlf_agent_io io;
    QTAILQ_HEAD(, Request) requests;
    QTAILQ_HEAD(, Snoop) snoops;
    Run run;
    GArray *sleepers;
    GArray *failing;
    GArray *promoted;               /* struct cxlf_log_page */
    GArray *evictions;              /* struct cxlf_request */
    QTAILQ_HEAD(, ECARange) ranges; /* commands of the guest */
    uint64_t log_cursor;            /* of the page that was evicted for room */
    uint64_t reserve_changes;       /* of the table of reserved ranges */
    uint64_t way_changes;           /* of the routing tables */
    bool giving_up;                 /* pages that others have reserved */
    int64_t soft_us;                /* until eca_soft_step(), or -1 */
    ECAStreams streams;
    /* Whom pager_post_all() posts to. */
    unsigned long posting[BITS_TO_LONGS(CXLF_MAX_HOSTS)];
    bool posting_data;
    bool mapped;                    /* by the last step */
    uint64_t lost_pages;            /* to be counted */
    uint32_t epoch;
    bool flush_wanted;
    int64_t now_us;                 /* of this round */

    /* Any thread, atomically. */
    bool stop, lost;
};

static inline int64_t pager_now_us(void)
{
    return get_clock() / 1000;
}

static inline void pager_count(ECAPager *p, uint32_t gfam, uint64_t dpa,
                               enum cxlf_counter counter, uint64_t n)
{
    cxlf_count(p->directory, p->host, gfam, dpa, counter, n);
}

static inline ECAPage *pager_page_of(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return eca_page(&p->device[gfam].pages, dpa);
}

static inline QemuMutex *pager_lock_of(ECAPager *p, uint64_t dpa)
{
    return &p->page_lock[dpa / CXLF_PAGE % LOCKS];
}

static inline bool pager_overlap(const Request *r, uint32_t gfam, uint64_t dpa,
                                 uint64_t size)
{
    return r->gfam == gfam && r->dpa < dpa + size && dpa < r->end;
}

/* Whether the front permits already what an event is for. */
static inline bool pager_is_held(const ECAPage *page, enum cxlf_event event)
{
    return page->held == CXLF_HELD_OWNED ||
           (page->held == CXLF_HELD_SHARED && event == CXLF_LOAD);
}

static inline bool pager_peek(ECAPager *p, uint32_t gfam, uint64_t dpa,
                              struct cxlf_line *entry)
{
    return cxlf_peek(p->directory, CXLF_PAGE_UNIT, gfam, dpa, entry);
}

/* eca-front.c */
void pager_ask_to_drop_code(ECAPager *p, uint32_t gfam, uint64_t dpa,
                            uint64_t size);
void pager_drop_all_code(ECAPager *p, uint32_t gfam);
void pager_set_view(ECAPager *p, uint32_t gfam, uint64_t dpa, ECAView view);
void pager_flush_vcpus(void);
void pager_show_views(ECAPager *p);
/*
 * pager_change: change the mapping of a run of pages, at once; pager_flush_run
 * does it with those that have gathered.
 */
void pager_change(ECAPager *p, const Run *run);
void pager_flush_run(ECAPager *p);
void pager_io_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable);
void pager_io_zap(void *opaque, uint32_t gfam, uint64_t dpa);
void pager_io_protect(void *opaque, uint32_t gfam, uint64_t dpa);

/* eca-requests.c */
void pager_end_request(ECAPager *p, Request *r);
Request *pager_begin_request(ECAPager *p, ECAWantKind kind, uint32_t gfam,
                             uint64_t dpa, unsigned order);
void pager_set_precise(ECAPager *p);
void pager_step_requests(ECAPager *p);
void pager_look_at_requests(ECAPager *p);
void pager_fail_requests(ECAPager *p);

/* eca-snoops.c */
void pager_io_wake(void *opaque, unsigned host);
void pager_post_all(ECAPager *p, struct cxlf_message m);
void pager_serve_snoops(ECAPager *p);
void pager_take_messages(ECAPager *p);

/* eca-faults.c */
void pager_cover_page(ECAPager *p, uint32_t gfam, uint64_t dpa);
void pager_fail_page(ECAPager *p, uint32_t gfam, uint64_t dpa,
                     uint32_t thread);
void pager_fail_sleepers(ECAPager *p, uint32_t gfam, uint64_t dpa);
void pager_look_at_failing(ECAPager *p);
void pager_forget_failing(ECAPager *p, uint32_t gfam, uint64_t dpa);
void pager_restore_page(ECAPager *p, uint32_t gfam, uint64_t dpa);
void pager_forget_sleepers(ECAPager *p, uint32_t gfam, uint64_t dpa,
                           uint64_t end);
void pager_sample_pages(ECAPager *p);
void pager_take_fault(ECAPager *p, const ECAFault *f);
void pager_park_sleepers(ECAPager *p);

/* eca-wants.c */
/*
 * pager_begin: ask for a page, and for its block as far as that costs no
 * more; false if it cannot be had.
 */
bool pager_begin(ECAPager *p, ECAWantKind kind, uint32_t gfam, uint64_t dpa,
                 unsigned order);
void pager_take_wants(ECAPager *p);

/*
 * eca-evict.c.  pager_evict: begin to give a page up, and why, for traces.
 * pager_flush_evictions: do what can be done of that at once; returns how
 * many are not over.
 */
void pager_evict(ECAPager *p, uint32_t gfam, uint64_t dpa, const char *why);
void pager_release_lines(ECAPager *p, uint32_t gfam, uint64_t dpa,
                         unsigned pages);
unsigned pager_flush_evictions(ECAPager *p);
/*
 * pager_make_room: the log is full: give up a page that no request is about,
 * going round the log.  False if there is none, or one is given up already.
 */
bool pager_make_room(ECAPager *p);
bool pager_soft_give_up(void *opaque, uint32_t gfam);
void pager_watch_reservations(ECAPager *p);

/* eca-modes.c */
void pager_soft_switched(void *opaque, uint32_t gfam);
void pager_soft_changed(void *opaque, uint32_t gfam, uint64_t dpa,
                        uint64_t size);
void pager_soft_conflict(void *opaque, const CXLFabricConflict *conflict);
bool pager_soft_fault(ECAPager *p, uint32_t gfam, uint64_t dpa,
                      const ECAFault *f);

/* eca-ways.c */
/*
 * Whether the switches and the device let this host reach a page; @tell the
 * guest if not, since an access fails by it.
 */
enum cxlf_route_result pager_ask_way(ECAPager *p, uint32_t gfam,
                                     uint64_t dpa, bool tell);
/* False also while tables change: who asks for the page will wait. */
bool pager_has_no_way(ECAPager *p, uint32_t gfam, uint64_t dpa, bool tell);
/* Links may have changed. */
void pager_watch_ways(ECAPager *p);

#endif /* HW_DPU_ECA_PAGER_INTERNAL_H */
