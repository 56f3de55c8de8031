/*
 * DPU Edge Coherence Agent: pages that this host has mapped
 *
 * Everything here but the functions that eca-pager.h names is done by the
 * agent's thread.  It takes no BQL, touches no guest memory that can fault,
 * and waits for nobody: a request that has to wait is left in a list.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "cxlf/agent.h"
#include "eca-fail.h"
#include "eca-hot.h"
#include "eca-internal.h"
#include "eca-pager.h"
#include "eca-park.h"
#include "eca-policy.h"
#include "eca-regs.h"
#include "eca-soft.h"
#include "eca-tcg.h"
#include "eca-uffd.h"
#include "trace.h"

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
    ECARange range;                 /* a command of the guest */
    uint64_t reserve_changes;       /* of the table of reserved ranges */
    bool giving_up;                 /* pages that others have reserved */
    int64_t soft_us;                /* until eca_soft_step(), or -1 */
    ECAStreams streams;
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

static int64_t now_us(void)
{
    return get_clock() / 1000;
}

static void count(ECAPager *p, uint32_t gfam, uint64_t dpa,
                  enum cxlf_counter counter, uint64_t n)
{
    cxlf_count(p->directory, p->host, gfam, dpa, counter, n);
}

static ECAPage *page_of(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return eca_page(&p->device[gfam].pages, dpa);
}

static QemuMutex *lock_of(ECAPager *p, uint64_t dpa)
{
    return &p->page_lock[dpa / CXLF_PAGE % LOCKS];
}

static void set_held(ECAPager *p, ECAPage *page, uint64_t dpa,
                     enum cxlf_held held)
{
    WITH_QEMU_LOCK_GUARD(lock_of(p, dpa)) {
        page->held = held;
    }
}

/* vCPUs */

typedef struct DropCode {
    ram_addr_t from;
    uint64_t size;
} DropCode;

static void drop_code(CPUState *cpu, run_on_cpu_data data)
{
    DropCode *d = data.host_ptr;

    eca_tcg_drop_code(cpu, d->from, d->size);
    g_free(d);
}

/* Code of a page that goes is dropped before its vCPUs run on. */
static void ask_to_drop_code(ECAPager *p, uint32_t gfam, uint64_t dpa,
                             uint64_t size)
{
    ram_addr_t ram = p->device[gfam].ram;
    CPUState *cpu;

    if (ram == RAM_ADDR_INVALID) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    for (uint64_t at = 0; at < size; at += CXLF_PAGE) {
        if (eca_tcg_has_code(ram + dpa + at)) {
            CPU_FOREACH(cpu) {
                DropCode *d = g_new(DropCode, 1);

                *d = (DropCode) { .from = ram + dpa + at,
                                  .size = CXLF_PAGE };
                async_run_on_cpu(cpu, drop_code, RUN_ON_CPU_HOST_PTR(d));
            }
        }
    }
}

/* No vCPU runs. */
static void drop_all_code(ECAPager *p, uint32_t gfam)
{
    const Device *d = &p->device[gfam];
    DropCode *all;

    if (d->ram == RAM_ADDR_INVALID || !first_cpu) {
        return;
    }
    all = g_new(DropCode, 1);
    *all = (DropCode) { .from = d->ram, .size = d->size };
    async_run_on_cpu(first_cpu, drop_code, RUN_ON_CPU_HOST_PTR(all));
}

static void flush_views(CPUState *cpu, run_on_cpu_data data)
{
    eca_tcg_flush(cpu);
}

static void set_view(ECAPager *p, uint32_t gfam, uint64_t dpa, ECAView view)
{
    ECAPage *page = page_of(p, gfam, dpa);

    if (p->options.by_page || page->view == view) {
        return;
    }
    qatomic_set(&page->view, view);
    p->flush_wanted = true;
    trace_eca_view(p->host, gfam, dpa, view);
}

static void flush_vcpus(void)
{
    CPUState *cpu;

    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        async_run_on_cpu(cpu, flush_views, RUN_ON_CPU_NULL);
    }
}

static void show_views(ECAPager *p)
{
    if (p->flush_wanted) {
        p->flush_wanted = false;
        count(p, 0, 0, CXLF_VIEW_FLUSH, 1);
        flush_vcpus();
    }
}

/* The front */

static void cover_page(ECAPager *p, uint32_t gfam, uint64_t dpa);

/* Have the pages of a run exist in the file; false: there is no memory. */
static bool make_exist(Device *d, uint64_t dpa, uint64_t end)
{
    bool exist = true;

    for (uint64_t at = dpa; at < end && exist; at += CXLF_PAGE) {
        exist = eca_page(&d->pages, at)->exists;
    }
    if (exist) {
        return true;
    }
#ifdef MADV_POPULATE_READ
    /* Touching it would be a SIGBUS when there is no memory. */
    if (madvise(d->back + dpa, end - dpa, MADV_POPULATE_READ) < 0 &&
        errno != EINVAL) {
        return false;
    }
#endif
    for (uint64_t at = dpa; at < end; at += CXLF_PAGE) {
        (void)qatomic_read(d->back + at);
        eca_page(&d->pages, at)->exists = true;
    }
    return true;
}

/* What could not be mapped is given back, and its accesses fail. */
static void give_back(ECAPager *p, const Run *run)
{
    for (uint64_t dpa = run->dpa; dpa < run->end; dpa += CXLF_PAGE) {
        struct cxlf_move m;

        set_held(p, page_of(p, run->gfam, dpa), dpa, CXLF_HELD_NOT);
        page_of(p, run->gfam, dpa)->sampled = false;
        eca_uffd_zap(p->device[run->gfam].front + dpa, CXLF_PAGE);
        cxlf_page_event(p->directory, p->host, run->gfam, dpa, CXLF_EVICT,
                        &m);
        cover_page(p, run->gfam, dpa);
    }
}

static void flush_run(ECAPager *p)
{
    Run run = p->run;
    Device *d = &p->device[run.gfam];
    int ret = 0;

    p->run.what = RUN_NONE;
    if (run.what == RUN_NONE) {
        return;
    }
    trace_eca_run(p->host, run.what, run.writable, run.gfam, run.dpa,
                  run.end - run.dpa);
    if (run.what == RUN_MAP || run.what == RUN_UNPROTECT) {
        /* Before who waits for it can look. */
        count(p, run.gfam, run.dpa, CXLF_PAGE_MAPPED,
              (run.end - run.dpa) / CXLF_PAGE);
    }
    switch (run.what) {
    case RUN_MAP:
        ret = !make_exist(d, run.dpa, run.end) ? -ENOMEM :
              eca_uffd_map(&p->uffd, d->front + run.dpa, run.end - run.dpa,
                           run.writable);
        break;
    case RUN_UNPROTECT:
    case RUN_PROTECT:
        ret = eca_uffd_protect(&p->uffd, d->front + run.dpa,
                               run.end - run.dpa, run.what == RUN_UNPROTECT);
        break;
    case RUN_ZAP:
        eca_uffd_zap(d->front + run.dpa, run.end - run.dpa);
        ask_to_drop_code(p, run.gfam, run.dpa, run.end - run.dpa);
        break;
    default:
        g_assert_not_reached();
    }
    if (ret < 0) {
        error_report_once("dpu-eca: cannot change the mapping of a page: %s",
                          strerror(-ret));
        give_back(p, &run);
    }
}

static void extend_run(ECAPager *p, int what, uint32_t gfam, uint64_t dpa,
                       bool writable)
{
    Run *run = &p->run;

    if (run->what != what || run->gfam != gfam || run->end != dpa ||
        run->writable != writable) {
        flush_run(p);
        *run = (Run) { .what = what, .gfam = gfam, .dpa = dpa, .end = dpa,
                       .writable = writable };
    }
    run->end += CXLF_PAGE;
}

/* What the core's steps do outside of shared memory */

static void io_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable)
{
    ECAPager *p = opaque;
    ECAPage *page = page_of(p, gfam, dpa);

    if (page->failed) {
        return;             /* until it is restored */
    }
    if (page->unmapped) {
        page->unmapped = false;
        return;             /* its fault will tell that it is wanted */
    }
    if (page->held == CXLF_HELD_OWNED ||
        (page->held == CXLF_HELD_SHARED && !writable)) {
        return;
    }
    extend_run(p, page->held == CXLF_HELD_SHARED && !page->sampled ?
               RUN_UNPROTECT : RUN_MAP, gfam, dpa, writable);
    page->sampled = false;
    eca_hot_event(p->eca, gfam, dpa, writable);
    set_held(p, page, dpa, writable ? CXLF_HELD_OWNED : CXLF_HELD_SHARED);
    eca_policy_granted(page, p->now_us);
    p->mapped = true;
}

static void io_zap(void *opaque, uint32_t gfam, uint64_t dpa)
{
    ECAPager *p = opaque;
    ECAPage *page = page_of(p, gfam, dpa);

    if (page->held != CXLF_HELD_NOT) {
        page->sampled = false;
        set_held(p, page, dpa, CXLF_HELD_NOT);
        extend_run(p, RUN_ZAP, gfam, dpa, false);
    }
}

static void io_protect(void *opaque, uint32_t gfam, uint64_t dpa)
{
    ECAPager *p = opaque;
    ECAPage *page = page_of(p, gfam, dpa);

    if (page->held == CXLF_HELD_OWNED) {
        set_held(p, page, dpa, CXLF_HELD_SHARED);
        if (!page->sampled) {
            extend_run(p, RUN_PROTECT, gfam, dpa, false);
        }
    }
}

static void ring(ECAPager *p, unsigned host)
{
    int fd = cxl_fabric_doorbell_fd(p->fabric, host);
    uint64_t one = 1;

    count(p, 0, 0, CXLF_DOORBELL, 1);
    /* EAGAIN says that it rings already. */
    (void)!write(fd, &one, sizeof(one));
}

static void io_wake(void *opaque, unsigned host)
{
    ECAPager *p = opaque;

    count(p, 0, 0, CXLF_MESSAGE, 1);
    ring(p, host);
}

static void post(ECAPager *p, unsigned host, struct cxlf_message m)
{
    struct cxlf_home home;

    if (cxlf_topology_home(&p->directory->topology, CXLF_PAGE_UNIT, m.gfam,
                           m.dpa, &home) &&
        cxlf_post(&p->directory->leaf[home.leaf].mailboxes[host], m)) {
        trace_eca_post(p->host, host, m.kind, m.gfam, m.dpa, m.order);
        count(p, m.gfam, m.dpa, CXLF_MESSAGE, 1);
        ring(p, host);
    }
}

/* Accesses that fail */

static void restore(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    if (s->pager) {
        eca_pager_want(s->pager, gfam, dpa, ECA_WANT_RESTORED);
    }
}

static void checked(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    if (s->pager) {
        eca_pager_want(s->pager, gfam, dpa, ECA_WANT_CHECKED);
    }
}

/* Put a private page of all ones over one that cannot be had. */
static void cover_page(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    Device *d = &p->device[gfam];
    ECAPage *page = page_of(p, gfam, dpa);
    uint8_t *ones;

    trace_eca_private(p->host, gfam, dpa);
    if (page->failed) {
        eca_uffd_wake(&p->uffd, d->front + dpa, CXLF_PAGE);
        return;
    }
    ones = mmap(NULL, CXLF_PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ones == MAP_FAILED) {
        error_report_once("dpu-eca: no memory for a failed page");
        return;
    }
    memset(ones, 0xff, CXLF_PAGE);
    /* At once: nobody may see what lies between. */
    if (mremap(ones, CXLF_PAGE, CXLF_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
               d->front + dpa) == MAP_FAILED) {
        munmap(ones, CXLF_PAGE);
        return;
    }
    page->failed = true;
    eca_uffd_wake(&p->uffd, d->front + dpa, CXLF_PAGE);
    eca_fail_report(p->eca, NULL, gfam, dpa, restore);
}

/*
 * Have a vCPU leave its access, with a machine check: the guest learns of it
 * at the instruction that fails.  False if it takes none.
 */
static bool check_vcpu(ECAPager *p, const Failing *f)
{
    CPUState *cpu = eca_fail_cpu(f->thread);

    if (!cpu || !eca_fail_is_taken(cpu)) {
        return false;
    }
    if (!f->tries) {
        eca_fail_report(p->eca, cpu, f->gfam, f->dpa, checked);
    }
    eca_park(cpu);
    return true;
}

/* The access of a thread that sleeps in the front fails. */
static void fail_page(ECAPager *p, uint32_t gfam, uint64_t dpa,
                      uint32_t thread)
{
    Failing f = {
        .thread = thread, .gfam = gfam, .dpa = dpa,
        .look_us = now_us() + PARK_US,
    };

    count(p, gfam, dpa, CXLF_REFUSAL, 1);
    if (check_vcpu(p, &f)) {
        g_array_append_val(p->failing, f);
    } else {
        cover_page(p, gfam, dpa);
    }
}

/* Those who sleep on a page that fails: one asked, others came later. */
static void fail_sleepers(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    for (unsigned i = 0; i < p->sleepers->len; i++) {
        Sleeper *s = &g_array_index(p->sleepers, Sleeper, i);

        if (s->gfam == gfam && s->dpa == dpa) {
            fail_page(p, gfam, dpa, s->thread);
        }
    }
}

/* A vCPU that cannot leave its access goes on, and reads all ones. */
static void look_at_failing(ECAPager *p)
{
    for (unsigned i = p->failing->len; i-- > 0;) {
        Failing *f = &g_array_index(p->failing, Failing, i);

        if (now_us() < f->look_us) {
            continue;
        }
        f->look_us += PARK_US;
        if (++f->tries > FAIL_TRIES || !check_vcpu(p, f)) {
            cover_page(p, f->gfam, f->dpa);
            g_array_remove_index_fast(p->failing, i);
        }
    }
}

/* One vCPU has got its machine check. */
static void forget_failing(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    for (unsigned i = 0; i < p->failing->len; i++) {
        Failing *f = &g_array_index(p->failing, Failing, i);

        if (f->gfam == gfam && f->dpa == dpa) {
            g_array_remove_index_fast(p->failing, i);
            return;
        }
    }
}

/* Take the private page away again, at once: nobody sees what is below. */
static void restore_page(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    Device *d = &p->device[gfam];
    ECAPage *page = page_of(p, gfam, dpa);
    Error *err = NULL;

    if (!page->failed || qatomic_read(&p->lost) ||
        cxl_fabric_is_reserved(p->fabric, gfam, dpa)) {
        return;
    }
    if (!eca_uffd_show(&p->uffd, d->front + dpa, CXLF_PAGE, d->fd, dpa,
                       &err)) {
        error_report_err(err);
        return;
    }
    page->failed = false;
}

/* Requests */

static bool overlap(const Request *r, uint32_t gfam, uint64_t dpa,
                    uint64_t size)
{
    return r->gfam == gfam && r->dpa < dpa + size && dpa < r->end;
}

static void forget_sleepers(ECAPager *p, const Request *r)
{
    for (unsigned i = p->sleepers->len; i-- > 0;) {
        Sleeper *s = &g_array_index(p->sleepers, Sleeper, i);

        if (overlap(r, s->gfam, s->dpa, CXLF_PAGE)) {
            g_array_remove_index_fast(p->sleepers, i);
        }
    }
}

static void end_request(ECAPager *p, Request *r)
{
    Device *d = &p->device[r->gfam];

    flush_run(p);
    for (unsigned i = 0; i < r->parts; i++) {
        ECAPage *page = page_of(p, r->gfam, r->part[i].r.dpa);

        if (!r->part[i].mapped || page->waited) {
            /* Who waits for it makes a fault of its own. */
            eca_uffd_wake(&p->uffd, d->front + r->part[i].r.dpa, CXLF_PAGE);
        }
        page->asked = page->unmapped = page->waited = false;
    }
    forget_sleepers(p, r);
    QTAILQ_REMOVE(&p->requests, r, next);
    g_free(r);
    WITH_QEMU_LOCK_GUARD(&p->lock) {
        qemu_cond_broadcast(&p->ended);
    }
}

/* Whether the front permits already what an event is for. */
static bool is_held(const ECAPage *page, enum cxlf_event event)
{
    return page->held == CXLF_HELD_OWNED ||
           (page->held == CXLF_HELD_SHARED && event == CXLF_LOAD);
}

/*
 * What to ask for a page that is read: all of it, if nobody has it or if
 * this kernel cannot map a page read-only.
 */
static enum cxlf_event event_of(ECAPager *p, ECAWantKind kind,
                                const struct cxlf_line *entry)
{
    switch (kind) {
    case ECA_WANT_LINES:
        return CXLF_PROMOTE;
    case ECA_WANT_MAPPED:
        return entry->state == CXLF_L ? CXLF_RECALL : CXLF_OWN;
    case ECA_WANT_SHARED:
        return entry->state == CXLF_I || !p->uffd.can_share ? CXLF_OWN :
               CXLF_LOAD;
    default:
        return CXLF_OWN;
    }
}

/* Whether a neighbour costs no more messages than the page itself. */
static bool is_cheap(const struct cxlf_line *page,
                     const struct cxlf_line *neighbour)
{
    return neighbour->state == CXLF_I ||
           (neighbour->state == page->state &&
            neighbour->holders == page->holders);
}

static Request *new_request(ECAPager *p, ECAWantKind kind, uint32_t gfam,
                            uint64_t dpa, unsigned order)
{
    uint64_t base = dpa & ~((CXLF_PAGE << order) - 1ull);
    unsigned parts = (base + (CXLF_PAGE << order) - dpa) / CXLF_PAGE;
    Request *r = g_malloc0(sizeof(*r) + parts * sizeof(Part));

    r->kind = kind;
    r->gfam = gfam;
    r->dpa = r->needed = dpa;
    r->order = order;
    r->ready = true;
    r->patience_us = PATIENCE_US;
    r->look_us = now_us() + r->patience_us;
    return r;
}

static void add_part(ECAPager *p, Request *r, uint64_t dpa,
                     const struct cxlf_line *entry)
{
    ECAPage *page = page_of(p, r->gfam, dpa);
    Part *part = &r->part[r->parts++];

    page->asked = true;
    r->end = dpa + CXLF_PAGE;
    part->r = (struct cxlf_request) {
        .gfam = r->gfam, .dpa = dpa, .event = event_of(p, r->kind, entry),
    };
    r->was_lines |= entry->state == CXLF_L;
    r->open++;
}

static bool peek(ECAPager *p, uint32_t gfam, uint64_t dpa,
                 struct cxlf_line *entry)
{
    return cxlf_peek(p->directory, CXLF_PAGE_UNIT, gfam, dpa, entry);
}

/*
 * Begin a request for a page and, as far as that is cheap, for the block
 * that it begins.  Parts need not be neighbours.
 */
static Request *begin_request(ECAPager *p, ECAWantKind kind, uint32_t gfam,
                              uint64_t dpa, unsigned order)
{
    ECAPage *page = page_of(p, gfam, dpa);
    struct cxlf_line first, entry;
    uint64_t end;
    Request *r;

    if (page->asked) {
        return NULL;
    }
    if (!peek(p, gfam, dpa, &first)) {
        first = (struct cxlf_line) { .state = CXLF_P };
    }
    if (first.state == CXLF_L || page->failed) {
        order = 0;
    }
    r = new_request(p, kind, gfam, dpa, order);
    end = (dpa & ~((CXLF_PAGE << order) - 1ull)) + (CXLF_PAGE << order);
    end = MIN(end, p->device[gfam].size);
    add_part(p, r, dpa, &first);
    for (uint64_t at = dpa + CXLF_PAGE; at < end; at += CXLF_PAGE) {
        ECAPage *other = page_of(p, gfam, at);

        if (!other->asked && !other->failed &&
            !cxl_fabric_is_reserved(p->fabric, gfam, at) &&
            other->view == page->view &&
            peek(p, gfam, at, &entry) && entry.state != CXLF_L &&
            (order <= p->options.order_min || is_cheap(&first, &entry)) &&
            !is_held(other, event_of(p, kind, &entry))) {
            add_part(p, r, at, &entry);
            other->unmapped = order > p->options.order_min &&
                              at + CXLF_PAGE == end;
        }
    }
    if (r->parts > 1) {
        count(p, gfam, dpa, CXLF_PAGE_PREFETCHED, r->parts - 1);
    }
    QTAILQ_INSERT_TAIL(&p->requests, r, next);
    trace_eca_request(p->host, kind, gfam, dpa, r->parts);
    return r;
}

/* The part has failed; only who needs this page learns of it. */
static void part_failed(ECAPager *p, Request *r, Part *part)
{
    if (r->fault && part->r.dpa == r->needed) {
        flush_run(p);
        fail_sleepers(p, r->gfam, part->r.dpa);
        part->mapped = true;        /* nobody waits for it any more */
    }
    part->over = true;
}

/* Tell how many pages of BULK this host has in lines. */
static void set_precise(ECAPager *p)
{
    cxl_fabric_set_precise(p->fabric, p->promoted->len,
                           p->options.precise_quota);
}

static void note_promotion(ECAPager *p, const Request *r)
{
    struct cxlf_log_page page = { .gfam = r->gfam, .dpa = r->needed };

    count(p, r->gfam, r->needed, CXLF_PROMOTION, 1);
    if (r->needed >= p->directory->topology.gfam[r->gfam].hot) {
        g_array_append_val(p->promoted, page);
        set_precise(p);
    }
}

/* One step succeeded for good: what does the part need next? */
static void part_done(ECAPager *p, Request *r, Part *part)
{
    if (part->r.event == CXLF_RECALL) {
        /* It is no page of lines any more: now own it. */
        count(p, r->gfam, part->r.dpa, CXLF_DEMOTION, 1);
        part->r = (struct cxlf_request) {
            .gfam = r->gfam, .dpa = part->r.dpa, .event = CXLF_OWN,
        };
        return;
    }
    part->over = true;
    part->mapped = p->mapped;
    if (r->kind == ECA_WANT_MAPPED) {
        set_view(p, r->gfam, part->r.dpa, ECA_VIEW_DIRECT);
    } else if (r->fault && r->was_lines) {
        /* Its other users have it in lines; from now on this one, too. */
        set_view(p, r->gfam, part->r.dpa, ECA_VIEW_TRAPPED);
    }
}

/* The page is tracked by lines. */
static void part_lines(ECAPager *p, Request *r, Part *part)
{
    if (r->kind == ECA_WANT_LINES) {
        note_promotion(p, r);
        part->over = true;
    } else if ((r->fault && part->r.dpa == r->needed) ||
               r->kind == ECA_WANT_MAPPED) {
        r->was_lines = true;
        part->r = (struct cxlf_request) {
            .gfam = r->gfam, .dpa = part->r.dpa, .event = CXLF_RECALL,
        };
    } else {
        part->over = true;
    }
}

/* Note whom to post to, instead of the core: one message for a block. */
static void take_posts(ECAPager *p, Part *part)
{
    unsigned hosts = p->directory->topology.hosts;

    CXLF_FOR_EACH_HOST(host, part->r.to_post, hosts) {
        set_bit(host, p->posting);
    }
    p->posting_data = part->r.event == CXLF_LOAD;
    part->r.to_post = 0;
    part->r.phase = CXLF_AWAIT;
}

static void step_part(ECAPager *p, Request *r, Part *part)
{
    for (unsigned i = 0; i < STEPS && !part->over; i++) {
        if (part->r.phase == CXLF_POST && part->r.to_post) {
            take_posts(p, part);
            return;         /* nobody can have answered yet */
        }
        p->mapped = false;
        switch (cxlf_request_step(&p->agent, &part->r)) {
        case CXLF_MORE:
            break;
        case CXLF_WAIT:
            return;
        case CXLF_DONE:
            part_done(p, r, part);
            break;
        case CXLF_LINES:
            part_lines(p, r, part);
            break;
        default:
            part_failed(p, r, part);
            break;
        }
    }
    r->ready |= !part->over;    /* there was no end of it */
}

static void send_posts(ECAPager *p, const Request *r)
{
    struct cxlf_message m = {
        .kind = p->posting_data ? CXLF_BISNP_DATA : CXLF_BISNP_INV,
        .gfam = r->gfam, .order = r->order,
        .dpa = r->dpa & ~((CXLF_PAGE << r->order) - 1ull),
    };
    unsigned hosts = p->directory->topology.hosts;

    for (unsigned host = find_first_bit(p->posting, hosts); host < hosts;
         host = find_next_bit(p->posting, hosts, host + 1)) {
        clear_bit(host, p->posting);
        if (host == p->host) {
            /* A recall takes the page from who asks, too. */
            m.kind = CXLF_BISNP_INV;
        }
        post(p, host, m);
    }
}

static void step_request(ECAPager *p, Request *r)
{
    r->ready = false;
    for (unsigned i = 0; i < r->parts; i++) {
        Part *part = &r->part[i];

        if (!part->over) {
            step_part(p, r, part);
            r->open -= part->over;
        }
    }
    send_posts(p, r);
    if (!r->open) {
        end_request(p, r);
    }
}

static void step_requests(ECAPager *p)
{
    Request *r, *following;

    QTAILQ_FOREACH_SAFE(r, &p->requests, next, following) {
        if (r->ready) {
            step_request(p, r);
        }
    }
    flush_run(p);
}

static void look_again(ECAPager *p, Request *r, int64_t now)
{
    for (unsigned i = 0; i < r->parts; i++) {
        if (!r->part[i].over) {
            cxlf_request_again(&p->agent, &r->part[i].r);
        }
    }
    r->ready = true;
    r->patience_us = MIN(r->patience_us * 2, PATIENCE_MAX_US);
    r->look_us = now + r->patience_us;
}

static void look_at_requests(ECAPager *p)
{
    int64_t now = now_us();
    Request *r;

    QTAILQ_FOREACH(r, &p->requests, next) {
        if (now >= r->look_us) {
            look_again(p, r, now);
        }
    }
}

/* All that waits fails: the fabric is gone. */
static void fail_requests(ECAPager *p)
{
    Request *r, *following;

    QTAILQ_FOREACH_SAFE(r, &p->requests, next, following) {
        if (r->fault) {
            fail_sleepers(p, r->gfam, r->needed);
            r->part[0].mapped = true;   /* nobody waits for it */
        }
        end_request(p, r);
    }
}

/* Snoops */

static void add_snoop(ECAPager *p, struct cxlf_message m)
{
    Snoop *s;
    Request *r;

    /* What has been granted is mapped before it is taken away. */
    QTAILQ_FOREACH(r, &p->requests, next) {
        if (overlap(r, m.gfam, m.dpa, CXLF_PAGE << m.order)) {
            r->ready = true;
        }
    }
    QTAILQ_FOREACH(s, &p->snoops, next) {
        if (s->gfam == m.gfam && s->dpa == m.dpa && s->order == m.order) {
            return;
        }
    }
    s = g_new0(Snoop, 1);
    s->gfam = m.gfam;
    s->dpa = m.dpa;
    s->order = m.order;
    QTAILQ_INSERT_TAIL(&p->snoops, s, next);
}

/* Another host took a page. */
static void page_lost(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    const struct cxlf_gfam *g = &p->directory->topology.gfam[gfam];
    ECAPage *page = page_of(p, gfam, dpa);
    bool contested;

    p->lost_pages++;
    eca_hot_event(p->eca, gfam, dpa, page->held == CXLF_HELD_NOT);
    eca_streams_lost(&p->streams, gfam, dpa,
                     p->options.order_min,
                     eca_pages_order(&p->device[gfam].pages, dpa));
    contested = eca_policy_lost(page, p->now_us, p->options.promote_after);
    /* Its lines may show nothing of the other: it may use some alone. */
    qatomic_set(&page->conflict_ms, p->now_us / 1000);
    if (dpa < g->hot) {
        set_view(p, gfam, dpa, ECA_VIEW_TRAPPED);
    } else if (contested && cxlf_can_promote(p->directory, gfam, dpa)) {
        set_view(p, gfam, dpa, ECA_VIEW_TRAPPED);
    }
}

/* Take a block away as far as its time has come; how long the rest has. */
static int64_t serve_snoop(ECAPager *p, const Snoop *s)
{
    struct cxlf_snoop step[1 << CXLF_MAX_ORDER];
    unsigned hosts = p->directory->topology.hosts, steps = 0;
    int64_t now = p->now_us, later = 0;

    for (unsigned i = 0; i < 1u << s->order; i++) {
        uint64_t dpa = s->dpa + (uint64_t)i * CXLF_PAGE;
        ECAPage *page = page_of(p, s->gfam, dpa);
        enum cxlf_held held = page->held;
        int64_t left = eca_policy_hold_left(page, now);

        step[steps] = (struct cxlf_snoop) { .gfam = s->gfam, .dpa = dpa };
        if (left > 0) {
            struct cxlf_line entry;

            if (peek(p, s->gfam, dpa, &entry) &&
                cxlf_is_transient(entry.state) &&
                cxlf_set_has(entry.holders, p->host, hosts)) {
                later = MAX(later, left);
            }
        } else if (cxlf_snoop_step(&p->agent, &step[steps]) == CXLF_MORE) {
            if (held != CXLF_HELD_NOT) {
                page_lost(p, s->gfam, dpa);
            }
            steps++;
        }
    }
    flush_run(p);
    if (p->lost_pages) {
        count(p, s->gfam, s->dpa, CXLF_PAGE_REVOKED, p->lost_pages);
        p->lost_pages = 0;
    }
    for (unsigned i = 0; i < steps; i++) {
        unsigned tries = 0;

        while (cxlf_snoop_step(&p->agent, &step[i]) == CXLF_MORE &&
               tries++ < STEPS) {
            continue;
        }
        if (step[i].ended) {
            set_bit(step[i].ended - 1, p->posting);
        }
    }
    for (unsigned host = find_first_bit(p->posting, hosts); host < hosts;
         host = find_next_bit(p->posting, hosts, host + 1)) {
        clear_bit(host, p->posting);
        post(p, host, (struct cxlf_message) {
            .kind = CXLF_CMP, .gfam = s->gfam, .dpa = s->dpa,
            .order = s->order });
    }
    return later;
}

static void serve_snoops(ECAPager *p)
{
    Snoop *s, *following;

    QTAILQ_FOREACH_SAFE(s, &p->snoops, next, following) {
        int64_t later;

        if (now_us() < s->due_us) {
            continue;
        }
        later = serve_snoop(p, s);
        if (later) {
            s->due_us = now_us() + later;
        } else {
            QTAILQ_REMOVE(&p->snoops, s, next);
            g_free(s);
        }
    }
}

static bool is_ours(ECAPager *p, const struct cxlf_message *m)
{
    Device *d = &p->device[m->gfam];

    return d->front && m->dpa < d->size &&
           d->size - m->dpa >= CXLF_PAGE << m->order;
}

static void take_messages(ECAPager *p)
{
    struct cxlf_message m;
    Request *r;

    for (uint32_t i = 0; i < p->directory->topology.leaves; i++) {
        while (cxlf_take(&p->directory->leaf[i].mailboxes[p->host], &m)) {
            if (m.gfam >= p->directory->topology.gfams || !is_ours(p, &m)) {
                continue;
            }
            trace_eca_message(p->host, m.kind, m.gfam, m.dpa, m.order);
            if (m.kind != CXLF_CMP) {
                add_snoop(p, m);
                continue;
            }
            QTAILQ_FOREACH(r, &p->requests, next) {
                r->ready |= overlap(r, m.gfam, m.dpa, CXLF_PAGE << m.order);
            }
        }
    }
}

/* BULK that is coherent by software, or will be */

/* A page was given up; a fault that came meanwhile begins again. */
static void evicted(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    ECAPage *page = page_of(p, gfam, dpa);

    page->asked = false;
    if (page->waited) {
        page->waited = false;
        eca_uffd_wake(&p->uffd, p->device[gfam].front + dpa, CXLF_PAGE);
    }
}

/* Go on with evictions that wait for nothing else. */
static void step_evictions(ECAPager *p)
{
    for (unsigned i = p->evictions->len; i-- > 0;) {
        struct cxlf_request *r = &g_array_index(p->evictions,
                                                struct cxlf_request, i);
        enum cxlf_progress progress = CXLF_MORE;

        for (unsigned n = 0; n < STEPS && progress == CXLF_MORE; n++) {
            progress = cxlf_request_step(&p->agent, r);
        }
        if (progress != CXLF_MORE && progress != CXLF_WAIT) {
            evicted(p, r->gfam, r->dpa);
            g_array_remove_index_fast(p->evictions, i);
        }
    }
}

static bool soft_give_up(void *opaque, uint32_t gfam)
{
    ECAPager *p = opaque;
    uint64_t dpa = p->directory->topology.gfam[gfam].hot;
    unsigned old = p->evictions->len;
    ECAPage *page;
    Request *r;

    QTAILQ_FOREACH(r, &p->requests, next) {
        if (r->gfam == gfam && r->dpa >= dpa) {
            return false;       /* it ends by itself */
        }
    }
    while ((page = eca_pages_next(&p->device[gfam].pages, &dpa)) &&
           p->evictions->len < EVICTIONS) {
        struct cxlf_request evict = {
            .gfam = gfam, .dpa = dpa, .event = CXLF_EVICT, .phase = CXLF_ZAP,
        };

        if (page->held != CXLF_HELD_NOT) {
            g_array_append_val(p->evictions, evict);
        }
        dpa += CXLF_PAGE;
    }
    /* All are zapped before the first is given up. */
    for (unsigned i = old; i < p->evictions->len; i++) {
        cxlf_request_step(&p->agent, &g_array_index(
            p->evictions, struct cxlf_request, i));
    }
    flush_run(p);
    step_evictions(p);
    return p->evictions->len == 0 && !page;
}

static void soft_switched(void *opaque, uint32_t gfam)
{
    ECAPager *p = opaque;
    uint64_t hot = p->directory->topology.gfam[gfam].hot, dpa = hot;
    ECAPage *page;

    while ((page = eca_pages_next(&p->device[gfam].pages, &dpa))) {
        page->failed = false;
        set_view(p, gfam, dpa, ECA_VIEW_DIRECT);
        dpa += CXLF_PAGE;
    }
    for (unsigned i = p->sleepers->len; i-- > 0;) {
        Sleeper *s = &g_array_index(p->sleepers, Sleeper, i);

        if (s->gfam == gfam && s->dpa >= hot) {
            g_array_remove_index_fast(p->sleepers, i);
        }
    }
    ask_to_drop_code(p, gfam, hot, p->device[gfam].size - hot);
}

static void soft_changed(void *opaque, uint32_t gfam, uint64_t dpa,
                         uint64_t size)
{
    ask_to_drop_code(opaque, gfam, dpa, size);
}

/* Whether that is all about a fault. */
static bool soft_fault(ECAPager *p, uint32_t gfam, uint64_t dpa,
                       const ECAFault *f)
{
    Sleeper sleeper = { .thread = f->thread, .gfam = gfam, .dpa = dpa };

    switch (eca_soft_fault(p->soft, gfam, dpa, f)) {
    case ECA_SOFT_NOT:
        return false;
    case ECA_SOFT_WAITS:
        g_array_append_val(p->sleepers, sleeper);
        break;
    case ECA_SOFT_FAILED:
        fail_page(p, gfam, dpa, f->thread);
        break;
    default:
        break;
    }
    return true;
}

/* Sampling */

/* A page that is held all the time was used: map it again, and count. */
static void end_sample(ECAPager *p, uint32_t gfam, uint64_t dpa, bool write)
{
    Device *d = &p->device[gfam];
    ECAPage *page = page_of(p, gfam, dpa);
    int ret = eca_uffd_map(&p->uffd, d->front + dpa, CXLF_PAGE,
                           page->held == CXLF_HELD_OWNED);

    page->sampled = false;
    if (ret < 0) {
        Run run = { .gfam = gfam, .dpa = dpa, .end = dpa + CXLF_PAGE };

        give_back(p, &run);
        return;
    }
    eca_hot_touch(p->eca, gfam, dpa, write);
}

static void sample_device(ECAPager *p, uint32_t gfam)
{
    Device *d = &p->device[gfam];
    unsigned sampling = qatomic_xchg(&d->sampling, 0);
    unsigned steps = SAMPLE_LOOK, seen = 0, done = 0;
    int64_t budget;

    if (!sampling || !d->front) {
        return;
    }
    budget = MIN(p->now_us - d->sample_us, 1000000) * d->sample_rate /
             1000000;
    budget = MIN(budget, SAMPLE_PAGES);
    while (done < budget &&
           eca_pages_next_owned(&d->pages, &d->sample_dpa, &steps)) {
        uint64_t dpa = d->sample_dpa;
        ECAPage *page = page_of(p, gfam, dpa);

        d->sample_dpa += CXLF_PAGE;
        steps -= MIN(steps, 1);
        if (page->view == ECA_VIEW_DIRECT && !page->asked &&
            !page->failed && !page->sampled &&
            !(seen++ & ((1u << sampling) - 1)) &&
            eca_hot_wants(p->eca, gfam, dpa)) {
            eca_uffd_zap(d->front + dpa, CXLF_PAGE);
            page->sampled = true;
            done++;
        }
    }
    if (d->sample_dpa >= d->size) {
        d->sample_dpa = 0;
    }
    if (budget) {
        d->sample_us = p->now_us;
    }
    trace_eca_sample(p->host, gfam, done);
}

static void sample_pages(ECAPager *p)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (qatomic_read(&p->device[i].sampling)) {
            sample_device(p, i);
        }
    }
}

/* Faults */

static Device *device_of(ECAPager *p, void *address, uint32_t *gfam)
{
    for (*gfam = 0; *gfam < CXLF_MAX_GFAMS; (*gfam)++) {
        Device *d = &p->device[*gfam];

        if (d->front && (uint8_t *)address >= d->front &&
            (uint8_t *)address < d->front + d->size) {
            return d;
        }
    }
    return NULL;
}

/* It fails, once the page is not held any more. */
static void fault_on_reserved(ECAPager *p, uint32_t gfam, uint64_t dpa,
                              uint32_t thread)
{
    ECAPage *page = page_of(p, gfam, dpa);

    if (page->held == CXLF_HELD_NOT && !page->asked) {
        fail_page(p, gfam, dpa, thread);
    } else {
        page->waited = true;
        p->giving_up = true;
    }
}

static void take_fault(ECAPager *p, const ECAFault *f)
{
    uint32_t gfam;
    Device *d = device_of(p, f->address, &gfam);
    Sleeper sleeper = { .thread = f->thread, .gfam = gfam };
    ECAPage *page;
    Request *r;
    uint64_t dpa;

    if (!d) {
        return;
    }
    dpa = sleeper.dpa = (uint8_t *)f->address - d->front;
    page = page_of(p, gfam, dpa);
    trace_eca_fault(p->host, gfam, dpa, f->write, page->held);
    if (page->sampled && !qatomic_read(&p->lost) &&
        is_held(page, f->write ? CXLF_OWN : CXLF_LOAD)) {
        end_sample(p, gfam, dpa, f->write);
        return;
    }
    count(p, gfam, dpa, CXLF_PAGE_FAULT, 1);
    eca_hot_event(p->eca, gfam, dpa, f->write);
    if (qatomic_read(&p->lost)) {
        fail_page(p, gfam, dpa, f->thread);
        return;
    }
    if (!page->failed && soft_fault(p, gfam, dpa, f)) {
        return;
    }
    if (page->failed || is_held(page, f->write ? CXLF_OWN : CXLF_LOAD)) {
        /* It came while this was on its way. */
        eca_uffd_wake(&p->uffd, f->address, CXLF_PAGE);
        return;
    }
    if (cxl_fabric_is_reserved(p->fabric, gfam, dpa)) {
        fault_on_reserved(p, gfam, dpa, f->thread);
        return;
    }
    g_array_append_val(p->sleepers, sleeper);
    r = begin_request(p, f->write ? ECA_WANT_OWNED : ECA_WANT_SHARED, gfam,
                      dpa, eca_streams_fault(&p->streams, gfam, dpa,
                                             p->options.order_min,
                                             p->options.order_max,
                                             eca_pages_order(&d->pages,
                                                             dpa)));
    if (r) {
        r->fault = true;
    } else {
        page->waited = true;
    }
}

/* vCPUs for which somebody waits leave their accesses. */
static void park_sleepers(ECAPager *p)
{
    for (unsigned i = 0; i < p->sleepers->len; i++) {
        CPUState *cpu = eca_fail_cpu(
            g_array_index(p->sleepers, Sleeper, i).thread);

        if (cpu && eca_park_wanted(cpu)) {
            eca_park(cpu);
        }
    }
}

/* Wants */

static void sweep_promoted(ECAPager *p)
{
    for (unsigned i = p->promoted->len; i-- > 0;) {
        struct cxlf_log_page *page =
            &g_array_index(p->promoted, struct cxlf_log_page, i);
        struct cxlf_line entry;

        if (peek(p, page->gfam, page->dpa, &entry) && entry.state != CXLF_L) {
            g_array_remove_index_fast(p->promoted, i);
        }
    }
    set_precise(p);
}

static bool is_hot(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return dpa < p->directory->topology.gfam[gfam].hot;
}

/* BULK pages of lines, with those that will be. */
static unsigned precise_pages(ECAPager *p)
{
    unsigned n = p->promoted->len;
    Request *r;

    QTAILQ_FOREACH(r, &p->requests, next) {
        n += r->kind == ECA_WANT_LINES && !is_hot(p, r->gfam, r->dpa);
    }
    return n;
}

/* Whether the quota has room for a page of lines. */
static bool may_promote(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    if (is_hot(p, gfam, dpa)) {
        return true;
    }
    if (precise_pages(p) >= p->options.precise_quota) {
        sweep_promoted(p);
    }
    if (precise_pages(p) >= p->options.precise_quota) {
        count(p, gfam, dpa, CXLF_PROMOTION_REFUSED, 1);
        return false;
    }
    return true;
}

static void take_want(ECAPager *p, const Want *w)
{
    ECAPage *page = page_of(p, w->gfam, w->dpa);

    if (!is_hot(p, w->gfam, w->dpa) && w->kind != ECA_WANT_RESTORED &&
        eca_soft_is_on(p->soft, w->gfam)) {
        count(p, w->gfam, w->dpa, CXLF_PROMOTION_REFUSED,
              w->kind == ECA_WANT_LINES);
        set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
        return;
    }
    switch (w->kind) {
    case ECA_WANT_RESTORED:
        restore_page(p, w->gfam, w->dpa);
        break;
    case ECA_WANT_CHECKED:
        forget_failing(p, w->gfam, w->dpa);
        break;
    case ECA_WANT_DIRECT:
        set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
        break;
    case ECA_WANT_LINES:
        if (!may_promote(p, w->gfam, w->dpa)) {
            set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
            break;
        }
        begin_request(p, w->kind, w->gfam, w->dpa, 0);
        break;
    case ECA_WANT_MAPPED:
        if (page->held == CXLF_HELD_OWNED) {
            set_view(p, w->gfam, w->dpa, ECA_VIEW_DIRECT);
            break;
        }
        /* fall through */
    default:
        begin_request(p, w->kind, w->gfam, w->dpa, 0);
        break;
    }
}

static void take_wants(ECAPager *p)
{
    QSIMPLEQ_HEAD(, Want) wants = QSIMPLEQ_HEAD_INITIALIZER(wants);
    Want *w;

    WITH_QEMU_LOCK_GUARD(&p->lock) {
        QSIMPLEQ_CONCAT(&wants, &p->wants);
    }
    while ((w = QSIMPLEQ_FIRST(&wants))) {
        QSIMPLEQ_REMOVE_HEAD(&wants, next);
        qatomic_set(&page_of(p, w->gfam, w->dpa)->wanted, false);
        take_want(p, w);
        g_free(w);
    }
}

/* Commands on pages: what eca-range.c rests on */

ECAPage *eca_pager_page(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return page_of(p, gfam, dpa);
}

bool eca_pager_peek(ECAPager *p, uint32_t gfam, uint64_t dpa,
                    struct cxlf_line *entry)
{
    return peek(p, gfam, dpa, entry);
}

bool eca_pager_begin(ECAPager *p, ECAWantKind kind, uint32_t gfam,
                     uint64_t dpa, unsigned order)
{
    Request *r;

    if (cxl_fabric_is_reserved(p->fabric, gfam, dpa)) {
        return false;
    }
    if (kind == ECA_WANT_LINES) {
        if (p->options.by_page || (!is_hot(p, gfam, dpa) &&
                                   !cxlf_can_promote(p->directory, gfam,
                                                     dpa)) ||
            !may_promote(p, gfam, dpa)) {
            return false;
        }
        /* An access by the front would take it back. */
        set_view(p, gfam, dpa, ECA_VIEW_TRAPPED);
    }
    r = begin_request(p, kind, gfam, dpa, order);
    for (unsigned i = 0; r && i < r->parts; i++) {
        page_of(p, gfam, r->part[i].r.dpa)->unmapped = false;
    }
    return true;
}

void eca_pager_evict(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    struct cxlf_request evict = {
        .gfam = gfam, .dpa = dpa, .event = CXLF_EVICT, .phase = CXLF_ZAP,
    };

    /* No request may map it between the two steps. */
    page_of(p, gfam, dpa)->asked = true;
    cxlf_request_step(&p->agent, &evict);
    g_array_append_val(p->evictions, evict);
}

/* Lines of pages that are tracked by them; of others there are none. */
void eca_pager_release_lines(ECAPager *p, uint32_t gfam, uint64_t dpa,
                             unsigned pages)
{
    struct cxlf_line entry;

    for (uint64_t at = dpa; at < dpa + pages * CXLF_PAGE; at += CXLF_PAGE) {
        if (!peek(p, gfam, at, &entry) || entry.state != CXLF_L) {
            continue;
        }
        for (unsigned i = 0; i < CXLF_LINES_PER_PAGE; i++) {
            cxlf_access(p->directory, p->host, gfam, at + i * CXLF_LINE,
                        CXLF_EVICT);
        }
    }
}

unsigned eca_pager_flush(ECAPager *p)
{
    flush_run(p);
    step_evictions(p);
    step_requests(p);
    return p->evictions->len;
}

/* Ranges that another host has reserved */

/* Give up what is held of a range; false if some is left for later. */
static bool give_up_range(ECAPager *p, const struct cxlf_reservation *range)
{
    ECAPages *pages = &p->device[range->gfam].pages;
    uint64_t dpa = range->dpa;
    bool all = true;
    ECAPage *page;

    while ((page = eca_pages_next(pages, &dpa)) &&
           dpa - range->dpa < range->length) {
        if (page->asked) {
            all = false;        /* when its request has ended */
        } else if (page->held != CXLF_HELD_NOT) {
            if (p->evictions->len >= EVICTIONS) {
                return false;
            }
            eca_pager_evict(p, range->gfam, dpa);
        }
        dpa += CXLF_PAGE;
    }
    return all;
}

/*
 * A page that failed because it is reserved stays private until it is not:
 * between the two steps of restoring it an access could reach its content.
 */
static void restore_pages(ECAPager *p)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        uint64_t dpa = 0;

        while (p->device[i].front &&
               eca_pages_next_failed(&p->device[i].pages, &dpa)) {
            restore_page(p, i, dpa);
            dpa += CXLF_PAGE;
        }
    }
}

static void watch_reservations(ECAPager *p)
{
    struct cxlf_reservation list[CXLF_RESERVATIONS];
    uint64_t changes = cxl_fabric_reserve_changes(p->fabric);
    unsigned n;

    if (changes != p->reserve_changes) {
        p->reserve_changes = changes;
        p->giving_up = true;
        restore_pages(p);
    }
    if (!p->giving_up) {
        return;
    }
    p->giving_up = false;
    n = cxl_fabric_reserve_list(p->fabric, list);
    for (unsigned i = 0; i < n; i++) {
        if (list[i].host != p->host && p->device[list[i].gfam].front) {
            p->giving_up |= !give_up_range(p, &list[i]);
        }
    }
    p->giving_up |= eca_pager_flush(p) != 0;
}

static void do_work(ECAPager *p)
{
    Work *w;

    WITH_QEMU_LOCK_GUARD(&p->lock) {
        w = p->work;
        p->work = NULL;
    }
    if (w) {
        w->work(w->opaque);
        qemu_event_set(&w->done);
    }
}

/* The thread */

static int64_t time_to_wait(ECAPager *p)
{
    int64_t now = now_us(), until = INT64_MAX;
    Request *r;
    Snoop *s;

    QTAILQ_FOREACH(r, &p->requests, next) {
        until = MIN(until, r->ready ? now : r->look_us);
    }
    QTAILQ_FOREACH(s, &p->snoops, next) {
        until = MIN(until, s->due_us);
    }
    if (p->range.active || p->giving_up) {
        until = MIN(until, now + PATIENCE_US);
    }
    if (p->sleepers->len || p->failing->len) {
        until = MIN(until, now + PARK_US);
    }
    if (p->soft_us >= 0) {
        until = MIN(until, now + p->soft_us);
    }
    return until == INT64_MAX ? -1 : MAX(until - now, 0);
}

static void clear_doorbell(int fd)
{
    uint64_t n;

    (void)!read(fd, &n, sizeof(n));
}

/* Returns whether there are faults. */
static bool wait_for_work(ECAPager *p)
{
    int doorbell = cxl_fabric_doorbell_fd(p->fabric, p->host);
    struct pollfd fds[] = {
        { .fd = p->uffd.fd, .events = POLLIN },
        { .fd = doorbell, .events = POLLIN },
        { .fd = event_notifier_get_fd(&p->kick), .events = POLLIN },
        /* The main loop, which watches it too, may wait for a page. */
        { .fd = qatomic_read(&p->lost) ? -1 : cxl_fabric_owner_fd(p->fabric),
          .events = POLLRDHUP },
    };
    int64_t us = time_to_wait(p);
    struct timespec limit = {
        .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000,
    };

    if (ppoll(fds, ARRAY_SIZE(fds), us < 0 ? NULL : &limit, NULL) <= 0) {
        return false;
    }
    if (fds[1].revents) {
        clear_doorbell(doorbell);
    }
    if (fds[2].revents) {
        event_notifier_test_and_clear(&p->kick);
    }
    if (fds[3].revents & (POLLRDHUP | POLLHUP | POLLERR)) {
        cxl_fabric_hung_up(p->fabric);
        qatomic_set(&p->lost, true);
    }
    return fds[0].revents;
}

/* A host has died: what was waited for may be over. */
static void watch_recoveries(ECAPager *p)
{
    uint32_t epoch = cxl_fabric_epoch(p->fabric);
    Request *r;

    if (epoch != p->epoch) {
        p->epoch = epoch;
        QTAILQ_FOREACH(r, &p->requests, next) {
            r->ready = true;
        }
        aio_bh_schedule_oneshot(qemu_get_aio_context(), eca_on_recovery,
                                p->eca);
    }
}

static void *pager_thread(void *opaque)
{
    ECAPager *p = opaque;
    ECAFault fault;

    rcu_register_thread();
    while (!qatomic_read(&p->stop)) {
        bool faults = wait_for_work(p);

        p->now_us = now_us();
        do_work(p);
        while (faults && eca_uffd_next(&p->uffd, &fault)) {
            take_fault(p, &fault);
        }
        take_wants(p);
        look_at_failing(p);
        if (qatomic_read(&p->lost)) {
            fail_requests(p);
            eca_range_end(&p->range, ECA_COPY_LOST);
            continue;
        }
        watch_recoveries(p);
        take_messages(p);
        look_at_requests(p);
        step_requests(p);
        eca_range_step(&p->range, p);
        watch_reservations(p);
        serve_snoops(p);
        p->soft_us = eca_soft_step(p->soft);
        sample_pages(p);
        park_sleepers(p);
        show_views(p);
    }
    rcu_unregister_thread();
    return NULL;
}

/* For other threads */

void eca_pager_run(ECAPager *p, void (*work)(void *opaque), void *opaque)
{
    Work w = { .work = work, .opaque = opaque };

    qemu_event_init(&w.done, false);
    WITH_QEMU_LOCK_GUARD(&p->lock) {
        g_assert(!p->work);         /* the BQL keeps others out */
        p->work = &w;
    }
    event_notifier_set(&p->kick);
    qemu_event_wait(&w.done);
    qemu_event_destroy(&w.done);
}

static void release_device(ECAPager *p, uint32_t gfam)
{
    Device *d = &p->device[gfam];
    uint64_t dpa = 0;

    if (!d->front) {
        return;
    }
    while (eca_pages_next_failed(&d->pages, &dpa)) {
        restore_page(p, gfam, dpa);
        dpa += CXLF_PAGE;
    }
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_lock(&p->page_lock[i]);
    }
    eca_pages_reset(&d->pages);
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_unlock(&p->page_lock[i]);
    }
    eca_uffd_zap(d->front, d->size);
    drop_all_code(p, gfam);
}

static void release_all(void *opaque)
{
    ECAPager *p = opaque;
    Snoop *s;

    eca_range_end(&p->range, ECA_COPY_PARTLY);
    while (!QTAILQ_EMPTY(&p->requests)) {
        end_request(p, QTAILQ_FIRST(&p->requests));
    }
    while ((s = QTAILQ_FIRST(&p->snoops))) {
        QTAILQ_REMOVE(&p->snoops, s, next);
        g_free(s);
    }
    eca_soft_drop(p->soft);
    g_array_set_size(p->evictions, 0);
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        release_device(p, i);
    }
    g_array_set_size(p->promoted, 0);
    set_precise(p);
    flush_vcpus();
    if (!qatomic_read(&p->lost)) {
        cxlf_give_up(p->directory, p->host, CXLF_EVICT, NULL);
    }
}

ECARange *eca_pager_command(ECAPager *p)
{
    return &p->range;
}

static void start_range(void *opaque)
{
    ECAPager *p = opaque;

    eca_range_start(&p->range, p);
}

void eca_pager_start(ECAPager *p)
{
    eca_pager_run(p, start_range, p);
}

void eca_pager_release(ECAPager *p)
{
    eca_pager_run(p, release_all, p);
}

void eca_pager_lost(ECAPager *p)
{
    qatomic_set(&p->lost, true);
    event_notifier_set(&p->kick);
}

ECASoft *eca_pager_soft(ECAPager *p)
{
    return p->soft;
}

ECAView eca_pager_view(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return eca_page_view(&p->device[gfam].pages, dpa);
}

void eca_pager_want(ECAPager *p, uint32_t gfam, uint64_t dpa,
                    ECAWantKind kind)
{
    ECAPage *page;
    Want *w;

    dpa &= ~(CXLF_PAGE - 1ull);
    page = page_of(p, gfam, dpa);
    if (kind != ECA_WANT_RESTORED && kind != ECA_WANT_CHECKED &&
        qatomic_xchg(&page->wanted, true)) {
        return;
    }
    w = g_new(Want, 1);
    *w = (Want) { .kind = kind, .gfam = gfam, .dpa = dpa };
    WITH_QEMU_LOCK_GUARD(&p->lock) {
        QSIMPLEQ_INSERT_TAIL(&p->wants, w, next);
    }
    event_notifier_set(&p->kick);
}

void eca_pager_wait(ECAPager *p)
{
    QEMU_LOCK_GUARD(&p->lock);
    qemu_cond_timedwait(&p->ended, &p->lock, 1);
}

bool eca_pager_hold(ECAPager *p, uint32_t gfam, uint64_t dpa, bool write)
{
    ECAPage *page = page_of(p, gfam, dpa);

    qemu_mutex_lock(lock_of(p, dpa));
    if (is_held(page, write ? CXLF_OWN : CXLF_LOAD)) {
        return true;
    }
    qemu_mutex_unlock(lock_of(p, dpa));
    return false;
}

void eca_pager_unhold(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    qemu_mutex_unlock(lock_of(p, dpa));
}

void eca_pager_note(ECAPager *p, uint32_t gfam, uint64_t dpa, bool alone)
{
    ECAPage *page;

    if (!p->options.hot_map_after) {
        return;
    }
    page = page_of(p, gfam, dpa);
    if (!alone) {
        page->calls = 0;
        qatomic_set(&page->conflict_ms, now_us() / 1000);
    } else if (++page->calls >= p->options.hot_map_after) {
        page->calls = 0;
        if ((uint32_t)(now_us() / 1000) - qatomic_read(&page->conflict_ms) >=
            ECA_QUIET_MS << qatomic_read(&page->quiet)) {
            eca_pager_want(p, gfam, dpa, ECA_WANT_MAPPED);
        }
    }
}

void eca_pager_sample(ECAPager *p, uint32_t gfam, unsigned sampling,
                      uint32_t rate)
{
    qatomic_set(&p->device[gfam].sample_rate, rate);
    qatomic_set(&p->device[gfam].sampling, sampling);
    event_notifier_set(&p->kick);
}

bool eca_pager_may_promote(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    return !p->options.by_page && p->options.precise_quota &&
           cxlf_can_promote(p->directory, gfam, dpa);
}

/* Life */

void eca_pager_front_region(ECAPager *p, uint32_t gfam, MemoryRegion *mr)
{
    qatomic_set(&p->device[gfam].ram,
                mr ? memory_region_get_ram_addr(mr) : RAM_ADDR_INVALID);
}

void *eca_pager_attach(ECAPager *p, uint32_t gfam, void *back, int fd,
                       Error **errp)
{
    const struct cxlf_gfam *g = &p->directory->topology.gfam[gfam];
    Device *d = &p->device[gfam];
    uint64_t size = g->hot + g->bulk;
    uint8_t *front;

    if (d->front) {
        d->back = back;
        return d->front;
    }
    front = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (front == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map a GFAM device's memory");
        return NULL;
    }
    /* Pages are taken away one by one, and large ones would be split. */
    madvise(front, size, MADV_NOHUGEPAGE);
    if (!eca_uffd_register(&p->uffd, front, size, true, errp)) {
        munmap(front, size);
        return NULL;
    }
    eca_pages_init(&d->pages, g->hot, size, p->options.by_page ?
                   ECA_VIEW_DIRECT : ECA_VIEW_TRAPPED);
    eca_park_front(front, size);
    d->back = back;
    d->fd = fd;
    d->size = size;
    d->ram = RAM_ADDR_INVALID;
    qatomic_store_release(&d->front, front);
    eca_soft_attach(p->soft, gfam, front, back, fd);
    event_notifier_set(&p->kick);
    return front;
}

ECAPager *eca_pager_new(ECAState *s, const ECAPagerOptions *options,
                        Error **errp)
{
    ECAPager *p = g_new0(ECAPager, 1);
    int ret;

    p->eca = s;
    p->fabric = s->fabric;
    p->directory = cxl_fabric_directory(s->fabric);
    p->host = s->host;
    p->options = *options;
    p->epoch = cxl_fabric_epoch(s->fabric);
    if (!eca_uffd_open(&p->uffd, eca_needs_kernel_faults(), errp)) {
        g_free(p);
        return NULL;
    }
    ret = event_notifier_init(&p->kick, false);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot make an event notifier");
        eca_uffd_close(&p->uffd);
        g_free(p);
        return NULL;
    }
    p->io = (struct cxlf_agent_io) {
        .opaque = p, .map = io_map, .zap = io_zap, .protect = io_protect,
        .wake = io_wake,
    };
    p->agent = (struct cxlf_agent) {
        .directory = p->directory, .io = &p->io, .host = p->host,
        .quiet = true,
    };
    QTAILQ_INIT(&p->requests);
    QTAILQ_INIT(&p->snoops);
    QSIMPLEQ_INIT(&p->wants);
    p->sleepers = g_array_new(false, false, sizeof(Sleeper));
    p->failing = g_array_new(false, false, sizeof(Failing));
    p->promoted = g_array_new(false, false, sizeof(struct cxlf_log_page));
    p->evictions = g_array_new(false, false, sizeof(struct cxlf_request));
    qemu_mutex_init(&p->lock);
    qemu_cond_init(&p->ended);
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_init(&p->page_lock[i]);
    }
    p->soft_us = -1;
    p->soft_io = (ECASoftIO) {
        .opaque = p, .give_up = soft_give_up, .switched = soft_switched,
        .changed = soft_changed,
    };
    p->soft = eca_soft_new(p->fabric, p->host, &p->uffd, &p->soft_io);
    qemu_thread_create(&p->thread, "eca", pager_thread, p,
                       QEMU_THREAD_JOINABLE);
    return p;
}

void eca_pager_free(ECAPager *p)
{
    Want *w;

    eca_pager_release(p);
    qatomic_set(&p->stop, true);
    event_notifier_set(&p->kick);
    qemu_thread_join(&p->thread);
    eca_soft_free(p->soft);
    while ((w = QSIMPLEQ_FIRST(&p->wants))) {
        QSIMPLEQ_REMOVE_HEAD(&p->wants, next);
        g_free(w);
    }
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        Device *d = &p->device[i];

        if (d->front) {
            munmap(d->front, d->size);
            eca_pages_free(&d->pages);
        }
    }
    for (unsigned i = 0; i < LOCKS; i++) {
        qemu_mutex_destroy(&p->page_lock[i]);
    }
    qemu_cond_destroy(&p->ended);
    qemu_mutex_destroy(&p->lock);
    g_array_free(p->evictions, true);
    g_array_free(p->promoted, true);
    g_array_free(p->sleepers, true);
    g_array_free(p->failing, true);
    event_notifier_cleanup(&p->kick);
    eca_uffd_close(&p->uffd);
    g_free(p);
}
