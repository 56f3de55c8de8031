/*
 * DPU Edge Coherence Agent: private copies of a device's BULK
 *
 * The copies lie in a file of memory of this process, which is mapped twice:
 * the front shows a page of it while the guest may access the copy, the
 * cache is for this module.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitops.h"
#include "qemu/memfd.h"
#include "qemu/processor.h"
#include "qemu/timer.h"
#include "eca-copies-internal.h"

/* How long a line may be half written: its writer may have died. */
#define SPINS           64
#define NAPS            1000    /* 0.1 s at least */
#define NAP_US          100
/*
 * A thread that has run for so long has made its access.  It needs some 10 us,
 * but interrupts, and what a hypervisor takes, may be counted as its time; so
 * less than the long time is enough only when a while has passed as well.
 */
#define RAN_NS          30000
#define RAN_LONG_NS     500000
#define WHILE_US        50000

static ECACopy *find(ECACopies *c, uint64_t page)
{
    return g_hash_table_lookup(c->table, &page);
}

/* Lines: always whole, word by word */

/* A line of a copy, while vCPUs may store to it; whether it held still. */
bool eca_copy_load_cached(const uint64_t *from, uint64_t *to)
{
    uint64_t again[ECA_COPY_WORDS];
    unsigned tries = 0;

    eca_copy_load(from, again);
    do {
        memcpy(to, again, CXLF_LINE);
        smp_rmb();      /* two whole looks, one after the other */
        eca_copy_load(from, again);
    } while (!eca_copy_same(to, again) && ++tries < SPINS);
    return tries < SPINS;
}

/*
 * Whether to look again at a line that is half written.  Its writer may have
 * to wait for a processor, but may be dead as well.
 */
static bool be_patient(unsigned *tries)
{
    if (++*tries < SPINS) {
        cpu_relax();
    } else {
        g_usleep(NAP_US);
    }
    return *tries < SPINS + NAPS;
}

/* Read a line of the home; returns its record. */
uint32_t eca_copy_load_home(ECACopies *c, const ECACopy *copy, unsigned line,
                            uint64_t *to)
{
    const uint64_t *from = eca_copy_line(c->home + copy->page * CXLF_PAGE,
                                         line);
    uint32_t *record = &copy->record->line[line], was;
    unsigned tries = 0;

    do {
        was = qatomic_load_acquire(record);
        eca_copy_load(from, to);
        smp_rmb();      /* the line before its record again: store_home() */
    } while ((was & CXLF_COPY_BUSY || qatomic_read(record) != was) &&
             be_patient(&tries));
    return was & ~CXLF_COPY_BUSY;
}

/* Write one; returns the record that it had, and its new one in *@now. */
static uint32_t store_home(ECACopies *c, ECACopy *copy, unsigned line,
                           const uint64_t *from, uint32_t *now)
{
    uint32_t *record = &copy->record->line[line];
    uint32_t was, busy;
    unsigned tries = 0;

    for (;;) {
        was = qatomic_read(record);
        if (was & CXLF_COPY_BUSY && be_patient(&tries)) {
            continue;
        }
        busy = CXLF_COPY_RECORD(CXLF_COPY_COUNT(was), c->host + 1) |
               CXLF_COPY_BUSY;
        if (qatomic_cmpxchg(record, was, busy) == was) {
            break;
        }
    }
    eca_copy_store(eca_copy_line(c->home + copy->page * CXLF_PAGE, line), from);
    *now = CXLF_COPY_RECORD(CXLF_COPY_COUNT(was) + 1, c->host + 1);
    /* Who took a line over that was busy for long ends it itself. */
    qatomic_cmpxchg(record, busy, *now);
    return was & ~CXLF_COPY_BUSY;
}

/* The next access to a copy that is watched faults. */
void eca_copy_hide(ECACopies *c, ECACopy *copy)
{
    if (copy->mapped) {
        eca_uffd_zap(c->front + copy->page * CXLF_PAGE, CXLF_PAGE);
        copy->mapped = false;
    }
}

/* Copies come and go */

static void drop(ECACopies *c, ECACopy *copy)
{
    eca_copy_hide(c, copy);
    c->io->changed(c->io->opaque, copy->page * CXLF_PAGE, CXLF_PAGE);
    fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              copy->page * CXLF_PAGE, CXLF_PAGE);
    if (QTAILQ_IN_USE(copy, next_suspect)) {
        QTAILQ_REMOVE(&c->suspects, copy, next_suspect);
    }
    eca_copy_settle(c, copy, ECA_COPY_ALL);
    qatomic_cmpxchg(&copy->record->written, c->host + 1, 0);
    QTAILQ_REMOVE(&c->copies, copy, next);
    g_hash_table_remove(c->table, &copy->page);     /* and frees it */
}

static void free_copy(gpointer opaque)
{
    ECACopy *copy = opaque;

    g_free(copy->twin);
    g_free(copy);
}

/* Whether the home's page is there to be read: else SIGBUS. */
static bool can_read_home(ECACopies *c, uint64_t page)
{
#ifdef MADV_POPULATE_READ
    return madvise(c->home + page * CXLF_PAGE, CXLF_PAGE,
                   MADV_POPULATE_READ) == 0 || errno == EINVAL;
#else
    return true;
#endif
}

static ECACopy *copy_in(ECACopies *c, uint64_t page)
{
    uint64_t content[CXLF_PAGE / 8];
    ECACopy *copy;

    if (!can_read_home(c, page)) {
        return NULL;
    }
    copy = g_new0(ECACopy, 1);
    copy->page = page;
    copy->record = c->io->record(c->io->opaque, page * CXLF_PAGE);
    copy->flushes = qatomic_load_acquire(&copy->record->flushes);
    for (unsigned i = 0; i < CXLF_LINES_PER_PAGE; i++) {
        copy->seen[i] = eca_copy_load_home(c, copy, i,
                                           content + i * ECA_COPY_WORDS);
    }
    /* A store to the cache would be a SIGBUS when there is no memory. */
    if (pwrite(c->fd, content, CXLF_PAGE, page * CXLF_PAGE) != CXLF_PAGE) {
        g_free(copy);
        return NULL;
    }
    g_hash_table_insert(c->table, &copy->page, copy);
    QTAILQ_INSERT_TAIL(&c->copies, copy, next);
    eca_copy_count(c, CXLF_COPY_IN, page, 1);
    return copy;
}

static void make_twin(ECACopies *c, ECACopy *copy)
{
    if (!copy->twin) {
        copy->twin = g_memdup2(eca_copy_cached(c, copy), CXLF_PAGE);
        copy->want = qatomic_read(&copy->record->want);
        qatomic_set(&copy->record->written, c->host + 1);
    }
}

/* A line's epoch begins. */
static void refresh_line(ECACopies *c, ECACopy *copy, unsigned line)
{
    uint64_t now[ECA_COPY_WORDS];

    copy->seen[line] = eca_copy_load_home(c, copy, line, now);
    if (copy->twin) {
        eca_copy_store(eca_copy_line(copy->twin, line), now);
    }
    eca_copy_store(eca_copy_line(eca_copy_cached(c, copy), line), now);
    copy->stale &= ~BIT_ULL(line);
    eca_copy_settle(c, copy, BIT_ULL(line));
    for (unsigned kind = 0; kind < ECA_CONFLICTS; kind++) {
        copy->told[kind] &= ~BIT_ULL(line);
    }
}

/* Lines that were invalidated are copied in, because one of them is used. */
static void renew(ECACopies *c, ECACopy *copy, unsigned used)
{
    uint64_t lines = copy->invalid;

    copy->invalid = 0;
    for (unsigned i = 0; lines && i < CXLF_LINES_PER_PAGE; i++) {
        if (lines & BIT_ULL(i)) {
            refresh_line(c, copy, i);
        }
    }
    if (lines & BIT_ULL(used)) {
        eca_copy_want(c, copy, used);
    }
}

/* Whether the thread that was served last has made its access since. */
bool eca_copy_was_used(ECACopies *c, const ECACopy *copy)
{
    int64_t now_ns = c->io->thread_ns(c->io->opaque, copy->served);
    int64_t ran_ns = now_ns - copy->served_ns;

    return now_ns < 0 || ran_ns >= RAN_LONG_NS ||
           (ran_ns >= RAN_NS &&
            eca_copy_now_us(c) - copy->served_us >= WHILE_US);
}

/*
 * Whether this is the access that was served last: its page was taken away
 * again before the thread, which has hardly run since, could make it.
 */
static bool is_same_access(ECACopies *c, const ECACopy *copy,
                           const ECAFault *fault)
{
    return fault->thread == copy->served &&
           fault->offset / CXLF_LINE == copy->served_line &&
           !eca_copy_was_used(c, copy);
}

int eca_copies_fault(ECACopies *c, const ECAFault *fault)
{
    int64_t ran_ns = c->io->thread_ns(c->io->opaque, fault->thread);
    uint64_t offset = (uint8_t *)fault->address - c->front;
    uint8_t *at = fault->address;
    unsigned line = fault->offset / CXLF_LINE;
    ECACopy *copy = find(c, offset / CXLF_PAGE);
    int ret;

    if (!copy) {
        copy = copy_in(c, offset / CXLF_PAGE);
        if (!copy) {
            return -ENOMEM;
        }
        copy->invalid = BIT_ULL(line);  /* it has just been copied in */
    }
    eca_copy_look(c, copy);
    renew(c, copy, line);
    if (copy->stale & BIT_ULL(line) && !is_same_access(c, copy, fault)) {
        eca_copy_report(c, copy, line, ECA_CONFLICT_STALE,
                        fault->write ? ECA_COPY_STORE : ECA_COPY_LOAD,
                        eca_copy_writer(qatomic_read(
                            &copy->record->line[line])));
        eca_copy_note(c, copy);
    }
    if (fault->write || !c->uffd->can_share) {
        make_twin(c, copy);
    }
    if (copy->mapped && fault->write) {
        ret = eca_uffd_protect(c->uffd, at, CXLF_PAGE, true);
    } else {
        ret = eca_uffd_map(c->uffd, at, CXLF_PAGE, copy->twin);
    }
    if (ret == 0) {
        copy->mapped = true;
        copy->served_us = eca_copy_now_us(c);
        copy->watch_us = copy->served_us + copy->pause_us;
        copy->served = fault->thread;
        copy->served_line = line;
        copy->served_ns = ran_ns;
    }
    return ret;
}

/* Commands */

static bool flush_line(ECACopies *c, ECACopy *copy, unsigned line)
{
    uint64_t *before = eca_copy_line(copy->twin, line);
    uint64_t mine[ECA_COPY_WORDS], home[ECA_COPY_WORDS];
    uint32_t seen = copy->seen[line], record, was;
    int other;

    if (!eca_copy_load_cached(eca_copy_line(eca_copy_cached(c, copy), line),
                              mine)) {
        eca_copy_hide(c, copy);     /* now it does */
        eca_copy_load(eca_copy_line(eca_copy_cached(c, copy), line), mine);
    }
    if (eca_copy_same(mine, before)) {
        return false;
    }
    record = eca_copy_load_home(c, copy, line, home);
    was = store_home(c, copy, line, mine, &copy->seen[line]);
    if (was != record || (copy->stale & BIT_ULL(line)) ||
        !eca_copy_same(home, before)) {
        other = was == seen || eca_copy_writer(was) == c->host ? -1 :
                eca_copy_writer(was);
        eca_copy_report(c, copy, line, ECA_CONFLICT_WRITE_WRITE,
                        ECA_COPY_FLUSH, other);
    }
    eca_copy_store(before, mine);
    copy->stale &= ~BIT_ULL(line);
    eca_copy_settle(c, copy, BIT_ULL(line));
    return true;
}

static uint32_t flush_page(ECACopies *c, ECACopy *copy, uint64_t lines)
{
    uint64_t *flushes = &copy->record->flushes;
    uint32_t written = 0;

    for (unsigned i = 0; copy->twin && i < CXLF_LINES_PER_PAGE; i++) {
        written += lines & BIT_ULL(i) && flush_line(c, copy, i);
    }
    if (written) {
        uint64_t was = qatomic_fetch_add(flushes, 1);

        if (was == copy->flushes) {
            copy->flushes = was + 1;    /* it was our own */
        }
        eca_copy_note(c, copy);
        eca_copy_count(c, CXLF_COPY_FLUSHED, copy->page, written);
    }
    return written;
}

static void report_lost(ECACopies *c, ECACopy *copy, unsigned line)
{
    uint32_t record;

    if (copy->twin && eca_copy_is_dirty(c, copy, line)) {
        record = qatomic_read(&copy->record->line[line]);
        eca_copy_report(c, copy, line, ECA_CONFLICT_LOST, ECA_COPY_INVALIDATE,
                        record == copy->seen[line] ? -1 :
                        eca_copy_writer(record));
    }
}

static void invalidate_page(ECACopies *c, ECACopy *copy, uint64_t lines)
{
    uint64_t page = copy->page;

    eca_copy_hide(c, copy);     /* no store from here on; faults later */
    for (unsigned i = 0; i < CXLF_LINES_PER_PAGE; i++) {
        if (lines & BIT_ULL(i)) {
            report_lost(c, copy, i);
            if (lines != ECA_COPY_ALL) {
                refresh_line(c, copy, i);
            }
        }
    }
    copy->invalid |= lines;
    if (copy->invalid == ECA_COPY_ALL) {
        drop(c, copy);
    } else {
        eca_copy_note(c, copy);
        c->io->changed(c->io->opaque, page * CXLF_PAGE, CXLF_PAGE);
    }
    eca_copy_count(c, CXLF_COPY_INVALIDATED, page, 1);
}

/* The lines of a page that the range [from, end) touches. */
static uint64_t lines_of(uint64_t page, uint64_t from, uint64_t end)
{
    uint64_t first = page * CXLF_PAGE, last = first + CXLF_PAGE;

    first = MAX(from, first) % CXLF_PAGE / CXLF_LINE;
    last = (MIN(end, last) - 1) % CXLF_PAGE / CXLF_LINE;
    return MAKE_64BIT_MASK(first, last - first + 1);
}

uint32_t eca_copies_command(ECACopies *c, uint64_t offset, uint64_t length,
                            bool flush, bool invalidate)
{
    uint64_t end = offset + length;
    uint32_t written = 0;

    for (uint64_t page = offset / CXLF_PAGE;
         length && page <= (end - 1) / CXLF_PAGE; page++) {
        uint64_t lines = lines_of(page, offset, end);
        ECACopy *copy = find(c, page);

        if (!copy) {
            continue;
        }
        eca_copy_look(c, copy);
        if (flush) {
            if (invalidate && copy->twin) {
                eca_copy_hide(c, copy);
            }
            written += flush_page(c, copy, lines);
        }
        if (invalidate) {
            invalidate_page(c, copy, lines);
        }
    }
    if (written) {
        eca_copy_announce(c);
    }
    return written;
}

bool eca_copies_drain(ECACopies *c, unsigned budget)
{
    uint32_t written = 0;

    while (budget-- && !QTAILQ_EMPTY(&c->copies)) {
        ECACopy *copy = QTAILQ_FIRST(&c->copies);

        eca_copy_look(c, copy);
        eca_copy_hide(c, copy);
        written += flush_page(c, copy, ECA_COPY_ALL);
        drop(c, copy);
    }
    if (written) {
        eca_copy_announce(c);
    }
    return QTAILQ_EMPTY(&c->copies);
}

void eca_copies_drop(ECACopies *c, uint64_t offset, uint64_t size)
{
    ECACopy *copy, *next;

    QTAILQ_FOREACH_SAFE(copy, &c->copies, next, next) {
        if (copy->page * CXLF_PAGE - offset < size) {
            drop(c, copy);
        }
    }
}

void eca_copies_drop_all(ECACopies *c)
{
    ECACopy *copy;

    if (QTAILQ_EMPTY(&c->copies)) {
        return;
    }
    QTAILQ_FOREACH(copy, &c->copies, next) {
        qatomic_cmpxchg(&copy->record->written, c->host + 1, 0);
    }
    eca_uffd_zap(c->front, c->size);
    c->io->changed(c->io->opaque, 0, c->size);
    fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, c->size);
    QTAILQ_INIT(&c->copies);
    QTAILQ_INIT(&c->suspects);
    QTAILQ_INIT(&c->debtors);
    g_hash_table_remove_all(c->table);
}

/* Life */

ECACopies *eca_copies_new(ECAUffd *uffd, void *front, void *home,
                          uint64_t size, unsigned host, uint64_t *flushes,
                          const ECACopiesIO *io, Error **errp)
{
    int fd = qemu_memfd_create("cxlf-copies", size, false, 0, 0, errp);
    ECACopies *c;
    void *cache;

    if (fd < 0) {
        return NULL;
    }
    cache = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (cache == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map %" PRIu64 " bytes", size);
        close(fd);
        return NULL;
    }
    madvise(cache, size, MADV_NOHUGEPAGE);
    if (!eca_uffd_show(uffd, front, size, fd, 0, errp)) {
        munmap(cache, size);
        close(fd);
        return NULL;
    }
    c = g_new0(ECACopies, 1);
    *c = (ECACopies) {
        .uffd = uffd, .front = front, .home = home, .cache = cache,
        .size = size, .fd = fd, .host = host, .flushes = flushes, .io = io,
        .audited = qatomic_read(flushes), .wants = io->wants(io->opaque, host),
        .table = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                       free_copy),
    };
    QTAILQ_INIT(&c->copies);
    QTAILQ_INIT(&c->suspects);
    QTAILQ_INIT(&c->debtors);
    return c;
}

void eca_copies_free(ECACopies *c)
{
    eca_copies_drop_all(c);
    g_hash_table_destroy(c->table);
    munmap(c->cache, c->size);
    close(c->fd);
    g_free(c);
}
