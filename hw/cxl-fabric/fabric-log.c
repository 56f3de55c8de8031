/*
 * CXL fabric: ownership logs, made by the owner, one for each host
 *
 * A log is memory of its own, new for each host that joins, so whoever had
 * the number before cannot write to it.  It is kept until the number is taken
 * again: what a dead host held can still be read.  It is read from its
 * descriptor, as copies: reading a mapping would fill its holes, and who
 * wrote it may still write.
 *
 * A host number's log is replaced by the main loop while nobody has the
 * number, and read by the main loop or, while the host is recovered, by the
 * reaper.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "qemu/bitmap.h"
#include "qemu/memfd.h"
#include "fabric-internal.h"
#include "trace.h"

#define READ_SLOTS      8192    /* at a time */
#define DEFAULT_LIMIT   1024    /* ranges, and pages that do not match */
#define MAX_LIMIT       65536

/* Logs and their lives */

void cxl_fabric_init_logs(CXLFabric *f)
{
    const struct cxlf_topology *t = &f->directory.topology;
    uint64_t pages = 0;

    for (uint32_t i = 0; i < t->gfams; i++) {
        pages += (t->gfam[i].hot + t->gfam[i].bulk) / CXLF_PAGE;
    }
    f->log_size = cxlf_log_size(f->log_slots ? f->log_slots :
                                cxlf_log_slots(pages));
    f->host_log = g_new0(CXLFabricHostLog, t->hosts);
    for (uint32_t i = 0; i < t->hosts; i++) {
        f->host_log[i].fd = -1;
    }
}

void cxl_fabric_drop_logs(CXLFabric *f)
{
    cxl_fabric_unmap_log(f);
    for (uint32_t i = 0; f->host_log && i < f->directory.topology.hosts;
         i++) {
        if (f->host_log[i].fd >= 0) {
            close(f->host_log[i].fd);
        }
    }
    g_free(f->host_log);
    f->host_log = NULL;
}

static bool write_header(CXLFabric *f, int fd, uint32_t host)
{
    struct cxlf_log_header header;

    cxlf_log_format(&header, (f->log_size - CXLF_PAGE) / 8, host,
                    f->uuid.data);
    return pwrite(fd, &header, sizeof(header), 0) == sizeof(header);
}

/* An empty log for a host that is to be given a number; or -1. */
int cxl_fabric_new_log(CXLFabric *f, Error **errp)
{
    int fd = qemu_memfd_create("cxlf-log", f->log_size, false, 0,
                               F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
                               errp);

    /* So that there is memory for its header. */
    if (fd >= 0 && !write_header(f, fd, 0)) {
        error_setg_errno(errp, errno, "cannot write to an ownership log");
        close(fd);
        return -1;
    }
    return fd;
}

/* Who had the number has left in order: it holds nothing. */
void cxl_fabric_drop_log(CXLFabric *f, int host)
{
    CXLFabricHostLog *l = &f->host_log[host];

    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
}

/* It is that of @host from now on, instead of the last one's. */
void cxl_fabric_set_log(CXLFabric *f, int host, int fd)
{
    CXLFabricHostLog *l = &f->host_log[host];

    cxl_fabric_drop_log(f, host);
    write_header(f, fd, host);
    l->fd = fd;
    l->size = f->log_size;
    qatomic_set(&l->unlogged, 0);
}

/* The log of a host number, as far as this process has it; -1 if not. */
static int log_fd(CXLFabric *f, uint32_t host, uint64_t *size)
{
    CXLFabricSegment *own = &f->segment[CXLF_KIND_LOG][0];

    if (f->kind == CXL_FABRIC_MEMBER) {
        *size = own->size;
        return host == f->self ? own->fd : -1;
    }
    *size = f->host_log[host].size;
    return f->host_log[host].fd;
}

/* Map that of this process's host, which has just joined. */
bool cxl_fabric_map_log(CXLFabric *f, Error **errp)
{
    uint64_t size;
    int fd = log_fd(f, f->self, &size);
    const char *why;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_NORESERVE, fd, 0);

    if (map == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map an ownership log");
        return false;
    }
    f->log_map = map;
    f->log_size = size;
    if (!cxlf_log_attach_new(&f->log, map, size, f->self, f->uuid.data,
                             &why)) {
        error_setg(errp, "%s", why);
        cxl_fabric_unmap_log(f);
        return false;
    }
    return true;
}

void cxl_fabric_unmap_log(CXLFabric *f)
{
    if (f->log_map) {
        munmap(f->log_map, f->log_size);
        f->log_map = NULL;
    }
}

/* What is in a log */

typedef struct Holdings {
    const struct cxlf_topology *t;
    uint64_t slots, pages, bad;
    /* Bits for pages; calloc() gives memory to those parts that are used. */
    unsigned long *held[CXLF_MAX_GFAMS];
    unsigned long *owned[CXLF_MAX_GFAMS];
} Holdings;

static uint64_t device_pages(const Holdings *h, uint32_t gfam)
{
    return (h->t->gfam[gfam].hot + h->t->gfam[gfam].bulk) / CXLF_PAGE;
}

static void holdings_free(Holdings *h)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        g_free(h->held[i]);
        g_free(h->owned[i]);
    }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Holdings, holdings_free)

static void take_slot(Holdings *h, uint32_t host, uint64_t slot,
                      uint64_t word)
{
    struct cxlf_log_page page;
    uint64_t number;

    switch (cxlf_log_read(host, slot, word, &page)) {
    case CXLF_LOG_EMPTY:
        return;
    case CXLF_LOG_PAGE:
        number = page.dpa / CXLF_PAGE;
        if (page.gfam < h->t->gfams && number < device_pages(h, page.gfam) &&
            !test_and_set_bit(number, h->held[page.gfam])) {
            h->pages++;
            if (page.held == CXLF_HELD_OWNED) {
                set_bit(number, h->owned[page.gfam]);
            }
            return;
        }
        /* No such page, or one that has a slot already. */
        /* fall through */
    default:
        h->bad++;
    }
}

/* The slots of the bytes from @at to @end of a log. */
static bool read_extent(Holdings *h, int fd, uint32_t host, uint64_t at,
                        uint64_t end)
{
    g_autofree uint64_t *word = g_new(uint64_t, READ_SLOTS);

    while (at < end) {
        ssize_t got = pread(fd, word, MIN(end - at, READ_SLOTS * 8), at);

        if (got < 8) {
            return false;
        }
        for (ssize_t i = 0; i < got / 8; i++) {
            take_slot(h, host, (at - CXLF_PAGE) / 8 + i, word[i]);
        }
        at += got & ~7;
    }
    return true;
}

/*
 * Read a whole log; false without memory.  Takes time by what was written to
 * it, however it was written.
 */
static bool read_log(CXLFabric *f, uint32_t host, Holdings *h)
{
    uint64_t size, at = CXLF_PAGE;
    int fd = log_fd(f, host, &size);

    *h = (Holdings) { .t = &f->directory.topology };
    h->slots = (size - CXLF_PAGE) / 8;
    for (uint32_t i = 0; i < h->t->gfams; i++) {
        h->held[i] = bitmap_try_new(device_pages(h, i));
        h->owned[i] = bitmap_try_new(device_pages(h, i));
        if (!h->held[i] || !h->owned[i]) {
            return false;
        }
    }
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (data < 0) {
            return errno == ENXIO;      /* nothing but a hole */
        }
        if (hole <= data || !read_extent(h, fd, host, data,
                                         MIN(hole, size))) {
            return false;
        }
        at = hole;
    }
    return true;
}

static enum cxlf_held held_by_log(const Holdings *h, uint32_t gfam,
                                  uint64_t dpa)
{
    uint64_t number = dpa / CXLF_PAGE;

    return !test_bit(number, h->held[gfam]) ? CXLF_HELD_NOT :
           test_bit(number, h->owned[gfam]) ? CXLF_HELD_OWNED :
           CXLF_HELD_SHARED;
}

/* Logs and the directory */

typedef struct Check {
    const Holdings *h;
    uint64_t unlogged;
    /* For the query: */
    CxlFabricLogMismatchList **tail;    /* NULL: only count */
    uint64_t left;
} Check;

static void add_mismatch(Check *c, uint32_t gfam, uint64_t dpa,
                         enum cxlf_held log, enum cxlf_held directory)
{
    CxlFabricLogMismatch *m;

    if (!c->tail || !c->left) {
        return;
    }
    c->left--;
    m = g_new0(CxlFabricLogMismatch, 1);
    m->gfam = gfam;
    m->dpa = dpa;
    m->log = (CxlFabricLogHeld)log;
    m->directory = (CxlFabricLogHeld)directory;
    QAPI_LIST_APPEND(c->tail, m);
}

static void check_held(void *opaque, uint32_t gfam, uint64_t dpa,
                       enum cxlf_held held)
{
    Check *c = opaque;
    enum cxlf_held log = held_by_log(c->h, gfam, dpa);

    if (log == CXLF_HELD_NOT) {
        c->unlogged++;
        add_mismatch(c, gfam, dpa, log, held);
    }
}

/*
 * The log of a dead host against the directory, before that is cleared; for
 * the reaper.  Only for who looks for errors: recovery goes by the directory.
 */
uint64_t cxl_fabric_check_log(CXLFabric *f, int host)
{
    g_auto(Holdings) h = { 0 };
    Check c = { .h = &h };

    if (f->host_log[host].fd < 0 || !read_log(f, host, &h)) {
        return 0;
    }
    cxlf_each_held(&f->directory, host, check_held, &c);
    qatomic_set(&f->host_log[host].unlogged, c.unlogged);
    trace_cxl_fabric_log_check(cxl_fabric_id(f), host, h.pages, h.bad,
                               c.unlogged);
    return c.unlogged;
}

/* The query */

QEMU_BUILD_BUG_ON((int)CXL_FABRIC_LOG_HELD_OWNED != (int)CXLF_HELD_OWNED);

static uint64_t next_change(const Holdings *h, uint32_t gfam, uint64_t from)
{
    uint64_t end = find_next_zero_bit(h->held[gfam], device_pages(h, gfam),
                                      from);

    return test_bit(from, h->owned[gfam]) ?
           find_next_zero_bit(h->owned[gfam], end, from) :
           find_next_bit(h->owned[gfam], end, from);
}

static void list_ranges(CxlFabricLog *log, const Holdings *h, uint64_t limit)
{
    CxlFabricLogRangeList **tail = &log->ranges;

    for (uint32_t i = 0; i < h->t->gfams; i++) {
        uint64_t pages = device_pages(h, i), end;

        for (uint64_t at = find_first_bit(h->held[i], pages); at < pages;
             at = find_next_bit(h->held[i], pages, end)) {
            CxlFabricLogRange *r;

            end = next_change(h, i, at);
            if (!limit) {
                log->ranges_left_out++;
                continue;
            }
            limit--;
            r = g_new0(CxlFabricLogRange, 1);
            r->gfam = i;
            r->dpa = at * CXLF_PAGE;
            r->length = (end - at) * CXLF_PAGE;
            r->held = (CxlFabricLogHeld)held_by_log(h, i, r->dpa);
            QAPI_LIST_APPEND(tail, r);
        }
    }
}

/* What the log has, and the directory does not give to the host. */
static uint64_t check_logged(CXLFabric *f, uint32_t host, Check *c)
{
    const Holdings *h = c->h;
    uint64_t unheld = 0;

    for (uint32_t i = 0; i < h->t->gfams; i++) {
        uint64_t pages = device_pages(h, i);

        for (uint64_t at = find_first_bit(h->held[i], pages); at < pages;
             at = find_next_bit(h->held[i], pages, at + 1)) {
            struct cxlf_line page;

            if (cxlf_peek(&f->directory, CXLF_PAGE_UNIT, i, at * CXLF_PAGE,
                          &page) &&
                !cxlf_set_has(page.holders, host, h->t->hosts)) {
                unheld++;
                add_mismatch(c, i, at * CXLF_PAGE,
                             held_by_log(h, i, at * CXLF_PAGE),
                             CXLF_HELD_NOT);
            }
        }
    }
    return unheld;
}

static CxlFabricLog *describe_log(CXLFabric *f, uint32_t host,
                                  const Holdings *h, uint64_t limit)
{
    struct cxlf_host about = f->table->host[host];
    CxlFabricLog *log = g_new0(CxlFabricLog, 1);
    Check c = { .h = h, .tail = &log->mismatches, .left = limit };

    log->id = g_strdup(cxl_fabric_id(f));
    log->host = host;
    log->state = about.state < CXLF_HOST_STATES ? about.state : 0;
    log->incarnation = about.incarnation;
    log->slots = h->slots;
    log->pages = h->pages;
    log->bad = h->bad;
    list_ranges(log, h, limit);
    if (f->host_log && (log->state == CXL_FABRIC_HOST_STATE_FREE ||
                        log->state == CXL_FABRIC_HOST_STATE_RECOVERING)) {
        log->unlogged = qatomic_read(&f->host_log[host].unlogged);
    } else {
        cxlf_each_held(&f->directory, host, check_held, &c);
        log->unlogged = c.unlogged;
        log->unheld = check_logged(f, host, &c);
    }
    return log;
}

CxlFabricLog *qmp_x_query_cxl_fabric_log(const char *id, uint32_t host,
                                         bool has_limit, uint32_t limit,
                                         Error **errp)
{
    g_auto(Holdings) h = { 0 };
    CXLFabric *f = cxl_fabric_find(id, false, errp);
    uint64_t size;

    if (!f) {
        return NULL;
    }
    if (host >= f->directory.topology.hosts) {
        error_setg(errp, "'host' must be 0 to %u",
                   f->directory.topology.hosts - 1);
        return NULL;
    }
    if (has_limit && limit > MAX_LIMIT) {
        error_setg(errp, "'limit' must be 0 to %u", MAX_LIMIT);
        return NULL;
    }
    if (log_fd(f, host, &size) < 0) {
        if (f->kind == CXL_FABRIC_MEMBER) {
            error_setg(errp, "'host' must be %d, this process's own, or the "
                       "owner of the fabric must be asked", f->self);
        } else {
            error_setg(errp, "'host': nobody has joined as host %u, or who "
                       "did has left", host);
        }
        return NULL;
    }
    if (!read_log(f, host, &h)) {
        error_setg(errp, "cannot read the ownership log of host %u", host);
        return NULL;
    }
    return describe_log(f, host, &h, has_limit ? limit : DEFAULT_LIMIT);
}
