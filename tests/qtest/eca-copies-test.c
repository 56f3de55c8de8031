/*
 * Test of private copies: several hosts' copies of one memory, no QEMU
 *
 * Each host has a thread that serves its faults, as an agent does, and the
 * test's own thread makes the accesses of all.  Time passes only when a test
 * says so, unless it goes live.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "qapi/error.h"
#include "qemu/event_notifier.h"
#include "qemu/memfd.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "../../hw/dpu-eca/eca-copies-internal.h"

#define PAGES   16
#define SIZE    (PAGES * CXLF_PAGE)
#define HOSTS   3
#define WORDS   (SIZE / 8)
#define TICK_US 2000

typedef struct Host {
    unsigned number;
    ECAUffd uffd;
    volatile uint64_t *front;   /* each access is one of the host's */
    ECACopies *copies;
    ECACopiesIO io;
    GArray *conflicts;
    uint64_t counters[CXLF_COUNTERS];
    QemuThread thread;
    EventNotifier kick;
    QemuEvent done;
    void (*work)(struct Host *h);
    uint64_t offset, length, result;
    bool flush, invalidate, quiet, stop;
} Host;

static struct cxlf_copy_page *records;
static uint64_t *flushes;
static volatile uint64_t *home;         /* what agents write to */
static int home_fd;
static Host host[HOSTS];
static bool live;                       /* time passes by itself */
static int64_t clock_us, ran_us;         /* while threads are not held up */
static bool held_up;

/* A host's agent */

static void on_conflict(void *opaque, const ECAConflict *conflict)
{
    Host *h = opaque;

    g_array_append_val(h->conflicts, *conflict);
}

static void on_count(void *opaque, enum cxlf_counter counter,
                     uint64_t offset, uint64_t n)
{
    Host *h = opaque;

    h->counters[counter] += n;
}

static void on_changed(void *opaque, uint64_t offset, uint64_t size)
{
}

static int64_t on_now_us(void *opaque)
{
    return qatomic_read(&live) ? get_clock() / 1000 :
           qatomic_read(&clock_us);
}

/* Threads run all the time, but for those that are held up. */
static int64_t on_thread_ns(void *opaque, uint32_t thread)
{
    return qatomic_read(&live) ? eca_uffd_thread_ns(thread) :
           qatomic_read(&ran_us) * 1000;
}

static struct cxlf_copy_page *on_record(void *opaque, uint64_t offset)
{
    return &records[offset / CXLF_PAGE];
}

static uint32_t wants[HOSTS];

static uint32_t *on_wants(void *opaque, unsigned number)
{
    return &wants[number];
}

static void serve_faults(Host *h)
{
    ECAFault fault;

    while (eca_uffd_next(&h->uffd, &fault)) {
        g_assert_cmpint(h->copies ? eca_copies_fault(h->copies, &fault) :
                        eca_uffd_map(&h->uffd, fault.address, CXLF_PAGE,
                                     true), ==, 0);
    }
}

static void *agent(void *opaque)
{
    Host *h = opaque;
    void (*work)(Host *h);

    while (!qatomic_read(&h->stop)) {
        struct pollfd p[] = {
            { .fd = h->uffd.fd, .events = POLLIN },
            { .fd = event_notifier_get_fd(&h->kick), .events = POLLIN },
        };

        poll(p, 2, 1);
        event_notifier_test_and_clear(&h->kick);
        work = qatomic_load_acquire(&h->work);
        if (work) {
            h->work = NULL;
            work(h);
            qemu_event_set(&h->done);
        }
        serve_faults(h);
        if (h->copies && qatomic_read(&live) && !qatomic_read(&h->quiet)) {
            eca_copies_tick(h->copies);
        }
    }
    return NULL;
}

static void run(Host *h, void (*work)(Host *h))
{
    qemu_event_reset(&h->done);
    qatomic_store_release(&h->work, work);
    event_notifier_set(&h->kick);
    qemu_event_wait(&h->done);
}

static void do_begin(Host *h)
{
    h->copies = eca_copies_new(&h->uffd, (void *)h->front, (void *)home,
                               SIZE, h->number, flushes, &h->io,
                               &error_abort);
}

static void do_command(Host *h)
{
    h->result = eca_copies_command(h->copies, h->offset, h->length, h->flush,
                                   h->invalidate);
}

static void do_drain(Host *h)
{
    unsigned rounds = 0;

    while (!eca_copies_drain(h->copies, 2)) {
        rounds++;
    }
    h->result = rounds;
}

static void do_drop(Host *h)
{
    eca_copies_drop_all(h->copies);
}

/* What an agent does when the mode changes, in one go. */
static void do_to_coherent(Host *h)
{
    while (!eca_copies_drain(h->copies, 3)) {
        continue;
    }
    eca_copies_free(h->copies);
    h->copies = NULL;
    eca_uffd_show(&h->uffd, (void *)h->front, SIZE, home_fd, 0, &error_abort);
}

static void do_to_software(Host *h)
{
    eca_uffd_zap((void *)h->front, SIZE);
    do_begin(h);
}

static void do_end(Host *h)
{
    eca_copies_free(h->copies);
    h->copies = NULL;
    eca_uffd_show(&h->uffd, (void *)h->front, SIZE, home_fd, 0, &error_abort);
}

static uint32_t command(Host *h, uint64_t offset, uint64_t length, bool flush,
                        bool invalidate)
{
    h->offset = offset;
    h->length = length;
    h->flush = flush;
    h->invalidate = invalidate;
    run(h, do_command);
    return h->result;
}

static uint32_t flush(Host *h, uint64_t offset, uint64_t length)
{
    return command(h, offset, length, true, false);
}

static void invalidate(Host *h, uint64_t offset, uint64_t length)
{
    command(h, offset, length, false, true);
}

static void do_tick(Host *h)
{
    eca_copies_tick(h->copies);
}

/* Let time pass, and all agents look at their copies. */
static void pass(unsigned us)
{
    for (unsigned past = 0; past < us; past += TICK_US) {
        qatomic_set(&clock_us, clock_us + TICK_US);
        qatomic_set(&ran_us, ran_us + (held_up ? 1 : TICK_US));
        for (unsigned i = 0; i < HOSTS; i++) {
            run(&host[i], do_tick);
        }
    }
}

static void setup(void)
{
    qatomic_set(&live, false);
    home_fd = qemu_memfd_create("home", SIZE, false, 0, 0, &error_abort);
    home = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, home_fd, 0);
    records = g_new0(struct cxlf_copy_page, PAGES);
    flushes = g_new0(uint64_t, 1);
    for (unsigned i = 0; i < HOSTS; i++) {
        Host *h = &host[i];

        *h = (Host) { .number = i };
        h->io = (ECACopiesIO) { h, on_conflict, on_count, on_record,
                                 on_wants, on_changed, on_now_us,
                                 on_thread_ns };
        h->conflicts = g_array_new(false, false, sizeof(ECAConflict));
        g_assert_true(eca_uffd_open(&h->uffd, false, &error_abort));
        h->front = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                        home_fd, 0);
        g_assert_true(eca_uffd_register(&h->uffd, (void *)h->front, SIZE,
                                        true, &error_abort));
        event_notifier_init(&h->kick, false);
        qemu_event_init(&h->done, false);
        qemu_thread_create(&h->thread, "agent", agent, h,
                           QEMU_THREAD_JOINABLE);
        run(h, do_begin);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        Host *h = &host[i];

        if (h->copies) {
            run(h, do_end);
        }
        qatomic_set(&h->stop, true);
        qemu_thread_join(&h->thread);
        event_notifier_cleanup(&h->kick);
        qemu_event_destroy(&h->done);
        g_array_free(h->conflicts, true);
        munmap((void *)h->front, SIZE);
        eca_uffd_close(&h->uffd);
    }
    munmap((void *)home, SIZE);
    close(home_fd);
    g_free(records);
    g_free(flushes);
}

/* How many conflicts of a kind a host has reported. */
static void do_nothing(Host *h)
{
}

static unsigned reported(Host *h, ECAConflictKind kind)
{
    unsigned n = 0;

    run(h, do_nothing);
    for (unsigned i = 0; i < h->conflicts->len; i++) {
        n += g_array_index(h->conflicts, ECAConflict, i).kind == kind;
    }
    return n;
}

static unsigned errors(Host *h)
{
    return reported(h, ECA_CONFLICT_STALE) +
           reported(h, ECA_CONFLICT_WRITE_WRITE) +
           reported(h, ECA_CONFLICT_LOST) +
           reported(h, ECA_CONFLICT_UNFLUSHED);
}

/* The last conflict was this one, and it was counted. */
static void check_last(Host *h, ECAConflictKind kind,
                       ECACopyOperation operation, int other,
                       uint64_t offset)
{
    ECAConflict *c;

    g_assert_cmpuint(errors(h), ==, h->counters[CXLF_COPY_CONFLICT]);
    g_assert_cmpuint(h->conflicts->len, >, 0);
    c = &g_array_index(h->conflicts, ECAConflict, h->conflicts->len - 1);
    g_assert_cmpint(c->kind, ==, kind);
    g_assert_cmpint(c->operation, ==, operation);
    g_assert_cmpint(c->host, ==, h->number);
    g_assert_cmpint(c->other, ==, other);
    g_assert_cmphex(c->offset, ==, offset);
}

static void wait_reported(Host *h, ECAConflictKind kind, unsigned n)
{
    for (unsigned i = 0; i < 500 && reported(h, kind) < n; i++) {
        pass(TICK_US);
    }
    g_assert_cmpuint(reported(h, kind), ==, n);
}

#define A (&host[0])
#define B (&host[1])
#define C (&host[2])

/* Nothing is seen without a flush, nor without an invalidate. */
static void test_private(void)
{
    setup();
    home[5] = 7;
    g_assert_cmpuint(A->front[5], ==, 7);
    g_assert_cmpuint(B->front[5], ==, 7);
    A->front[5] = 8;
    A->front[6] = 9;
    g_assert_cmpuint(home[5], ==, 7);
    g_assert_cmpuint(B->front[5], ==, 7);
    g_assert_cmpuint(flush(A, 0, SIZE), ==, 1);
    g_assert_cmpuint(flush(A, 0, SIZE), ==, 0);
    g_assert_cmpuint(home[5], ==, 8);
    g_assert_cmpuint(home[6], ==, 9);
    g_assert_cmpuint(B->front[5], ==, 7);
    invalidate(B, 40, 1);
    g_assert_cmpuint(B->front[5], ==, 8);
    g_assert_cmpuint(A->front[5], ==, 8);
    A->front[5] = 10;
    g_assert_cmpuint(flush(A, 32, 9), ==, 1);
    invalidate(B, 0, SIZE);
    g_assert_cmpuint(B->front[5], ==, 10);
    g_assert_cmpuint(A->counters[CXLF_COPY_IN], ==, 1);
    g_assert_cmpuint(A->counters[CXLF_COPY_FLUSHED], ==, 2);
    g_assert_cmpuint(B->counters[CXLF_COPY_IN], ==, 2);
    g_assert_cmpuint(B->counters[CXLF_COPY_INVALIDATED], ==, 2);
    g_assert_cmpuint(errors(A) + errors(B), ==, 0);
    teardown();
}

static void test_lost_update(void)
{
    setup();
    A->front[0]++;
    B->front[0]++;
    g_assert_cmpuint(flush(A, 0, 8), ==, 1);
    g_assert_cmpuint(errors(A), ==, 0);
    g_assert_cmpuint(flush(B, 0, 8), ==, 1);
    g_assert_cmpuint(home[0], ==, 1);
    check_last(B, ECA_CONFLICT_WRITE_WRITE, ECA_COPY_FLUSH, 0, 0);
    /* A's copy is stale now; it invalidates, and all is well. */
    invalidate(A, 0, 64);
    A->front[0]++;
    flush(A, 0, 64);
    g_assert_cmpuint(home[0], ==, 2);
    g_assert_cmpuint(errors(A), ==, 0);
    teardown();
}

static void test_lost(void)
{
    setup();
    A->front[512 + 8] = 1;
    A->front[512 + 17] = 1;
    invalidate(A, 4096 + 64, 64);
    check_last(A, ECA_CONFLICT_LOST, ECA_COPY_INVALIDATE, -1, 4096 + 64);
    g_assert_cmpuint(A->front[512 + 8], ==, 0);
    g_assert_cmpuint(A->front[512 + 17], ==, 1);
    invalidate(A, 0, SIZE);
    check_last(A, ECA_CONFLICT_LOST, ECA_COPY_INVALIDATE, -1, 4096 + 128);
    g_assert_cmpuint(A->front[512 + 17], ==, 0);
    A->front[512] = 3;
    g_assert_cmpuint(command(A, 4096, 8, true, true), ==, 1);
    g_assert_cmpuint(errors(A), ==, 2);
    g_assert_cmpuint(home[512], ==, 3);
    teardown();
}

static void test_stale(void)
{
    uint64_t at = 3 * CXLF_PAGE + 5 * CXLF_LINE;

    setup();
    g_assert_cmpuint(B->front[at / 8], ==, 0);
    A->front[at / 8] = 1;
    flush(A, at, 8);
    wait_reported(B, ECA_CONFLICT_OVERLAP, 1);
    check_last(B, ECA_CONFLICT_OVERLAP, ECA_COPY_AUDIT, 0, at);
    g_assert_cmpuint(errors(B), ==, 0);
    pass(10000);
    /* Another line of the page is no conflict. */
    g_assert_cmpuint(B->front[at / 8 + 8], ==, 0);
    pass(30000);
    g_assert_cmpuint(errors(B), ==, 0);
    g_assert_cmpuint(B->front[at / 8 + 1], ==, 0);
    g_assert_cmpuint(B->front[at / 8], ==, 0);
    check_last(B, ECA_CONFLICT_STALE, ECA_COPY_LOAD, 0, at);
    pass(10000);
    g_assert_cmpuint(B->front[at / 8], ==, 0);
    g_assert_cmpuint(errors(B), ==, 1);
    /* A new epoch; now C writes, and B stores. */
    invalidate(B, at, 1);
    g_assert_cmpuint(B->front[at / 8], ==, 1);
    C->front[at / 8] = 2;
    flush(C, at, 8);
    wait_reported(B, ECA_CONFLICT_OVERLAP, 2);
    pass(10000);
    B->front[at / 8 + 1] = 7;
    check_last(B, ECA_CONFLICT_STALE, ECA_COPY_STORE, 2, at);
    flush(B, at, 8);
    check_last(B, ECA_CONFLICT_WRITE_WRITE, ECA_COPY_FLUSH, 2, at);
    g_assert_cmpuint(home[at / 8], ==, 1);
    g_assert_cmpuint(errors(A) + errors(C), ==, 0);
    teardown();
}

/*
 * A thread gets a page, and does not run: what it asked for was asked before
 * the other host's flush.  The page stays until it has run; but it may be
 * taken away for another reason, and is asked for again.
 */
static void test_held_up(void)
{
    setup();
    held_up = true;
    g_assert_cmpuint(B->front[0], ==, 0);
    A->front[0] = 1;
    flush(A, 0, 8);
    for (unsigned i = 1; i <= 8; i++) {
        unsigned copied;

        pass(10000);
        copied = B->counters[CXLF_COPY_IN];
        invalidate(B, i * CXLF_LINE, 8);
        g_assert_cmpuint(B->front[0], ==, 0);
        g_assert_cmpuint(B->counters[CXLF_COPY_IN], ==, copied);
        g_assert_cmpuint(errors(B), ==, 0);
    }
    held_up = false;
    pass(200000);
    g_assert_cmpuint(B->front[0], ==, 0);
    check_last(B, ECA_CONFLICT_STALE, ECA_COPY_LOAD, 0, 0);
    g_assert_cmpuint(errors(B), ==, 1);
    teardown();
}

/* A flush is missing: another host copies the old value in. */
static void test_unflushed(void)
{
    setup();
    /* Before A writes, or another line of its page, is no conflict. */
    g_assert_cmpuint(B->front[0], ==, 0);
    g_assert_cmpuint(B->front[512 + 8], ==, 0);
    pass(10000);
    A->front[0] = 1;
    A->front[512] = 1;
    g_assert_cmpuint(C->front[512 + 16], ==, 0);
    pass(300000);
    g_assert_cmpuint(errors(A) + errors(B) + errors(C), ==, 0);
    invalidate(B, 0, 64);
    g_assert_cmpuint(B->front[0], ==, 0);
    wait_reported(A, ECA_CONFLICT_UNFLUSHED, 1);
    check_last(A, ECA_CONFLICT_UNFLUSHED, ECA_COPY_STORE, 1, 0);
    invalidate(C, 0, SIZE);
    g_assert_cmpuint(C->front[512], ==, 0);
    wait_reported(A, ECA_CONFLICT_UNFLUSHED, 2);
    check_last(A, ECA_CONFLICT_UNFLUSHED, ECA_COPY_STORE, 2, CXLF_PAGE);
    /* Copied in before it was written, in a page that was written. */
    A->front[1536] = 1;
    g_assert_cmpuint(B->front[1536 + 8], ==, 0);
    pass(10000);
    A->front[1536 + 8] = 1;
    pass(300000);
    g_assert_cmpuint(errors(A), ==, 2);
    /* In time. */
    A->front[1024] = 1;
    g_assert_cmpuint(B->front[1024], ==, 0);
    pass(10000);
    flush(A, 0, SIZE);
    pass(300000);
    g_assert_cmpuint(errors(A), ==, 2);
    teardown();
}

/* In two lines nothing is lost, in one line it is. */
static void test_false_sharing(void)
{
    setup();
    for (unsigned i = 1; i <= 100; i++) {
        A->front[0] = i;
        B->front[8] = i;
        g_assert_cmpuint(flush(A, 0, 64), ==, 1);
        g_assert_cmpuint(flush(B, 64, 64), ==, 1);
        pass(i % 4 * TICK_US);
    }
    g_assert_cmpuint(home[0], ==, 100);
    g_assert_cmpuint(home[8], ==, 100);
    g_assert_cmpuint(errors(A) + errors(B), ==, 0);

    A->front[512] = 1;
    B->front[513] = 1;
    flush(A, 0, SIZE);
    flush(B, 0, SIZE);
    g_assert_cmpuint(home[512], ==, 0);
    g_assert_cmpuint(home[513], ==, 1);
    check_last(B, ECA_CONFLICT_WRITE_WRITE, ECA_COPY_FLUSH, 0, CXLF_PAGE);
    teardown();
}

/* No host sees half of a line. */
static bool writing;

static void *write_lines(void *opaque)
{
    for (uint64_t k = 1; qatomic_read(&writing); k++) {
        for (unsigned i = 0; i < 8; i++) {
            A->front[i] = k;
        }
        flush(A, 0, 64);
    }
    return NULL;
}

static void test_whole_lines(void)
{
    QemuThread thread;
    unsigned news = 0;
    uint64_t last = 0;

    setup();
    qatomic_set(&live, true);
    writing = true;
    qemu_thread_create(&thread, "writer", write_lines, NULL,
                       QEMU_THREAD_JOINABLE);
    for (unsigned n = 0; n < 20000 || news < 100; n++) {
        uint64_t first, i;

        invalidate(B, 0, n % 2 ? 64 : CXLF_PAGE);
        first = B->front[0];
        for (i = 1; i < 8; i++) {
            g_assert_cmpuint(B->front[i], ==, first);
        }
        g_assert_cmpuint(first, >=, last);
        news += first != last;
        last = first;
    }
    qatomic_set(&writing, false);
    qemu_thread_join(&thread);
    g_test_message("%u new values in all", news);
    g_assert_cmpuint(reported(B, ECA_CONFLICT_WRITE_WRITE), ==, 0);
    teardown();
}

/*
 * The same, as fast as two agents can.  A vCPU stores word after word, so a
 * line is new up to some word and one store older from there on.
 */
static void do_flushes(Host *h)
{
    while (qatomic_read(&writing)) {
        eca_copies_command(h->copies, 0, 64, true, false);
        serve_faults(h);        /* of a line that had to be held still */
    }
}

static void do_refreshes(Host *h)
{
    gint64 start = g_get_monotonic_time(), past = 0;
    uint64_t line[8], last = 0;
    ECACopy *copy;

    h->result = 0;
    /* How often a value is new is the scheduler's choice, so it waits. */
    while (past < 1500000 || (h->result < 100 && past < 60000000)) {
        eca_copies_command(h->copies, 0, 64, false, true);
        copy = QTAILQ_FIRST(&h->copies->copies);
        eca_copy_load(eca_copy_line(eca_copy_cached(h->copies, copy), 0),
                      line);
        for (unsigned i = 1; i < 8; i++) {
            g_assert_cmpuint(line[i], <=, line[i - 1]);
        }
        g_assert_cmpuint(line[0] - line[7], <=, 1);
        g_assert_cmpuint(line[0], >=, last);
        h->result += line[0] != last;
        last = line[0];
        past = g_get_monotonic_time() - start;
    }
}

static void *store_lines(void *opaque)
{
    for (uint64_t k = 1; qatomic_read(&writing); k++) {
        for (unsigned i = 0; i < 8; i++) {
            A->front[i] = k;
        }
    }
    return NULL;
}

static void *run_flushes(void *opaque)
{
    run(A, do_flushes);
    return NULL;
}

static void test_whole_lines_fast(void)
{
    QemuThread storer, flusher;

    setup();
    qatomic_set(&live, true);
    A->front[0] = 1;
    (void)B->front[64];
    qatomic_set(&A->quiet, true);
    writing = true;
    qemu_thread_create(&storer, "storer", store_lines, NULL,
                       QEMU_THREAD_JOINABLE);
    qemu_thread_create(&flusher, "flusher", run_flushes, NULL,
                       QEMU_THREAD_JOINABLE);
    run(B, do_refreshes);
    g_test_message("%" PRIu64 " new values", B->result);
    qatomic_set(&writing, false);
    qemu_thread_join(&storer);
    qemu_thread_join(&flusher);
    g_assert_cmpuint(B->result, >, 2);
    teardown();
}

/* Whoever died in the middle of a line does not hold others up. */
static void test_half_written(void)
{
    gint64 start = g_get_monotonic_time();

    setup();
    records[0].line[0] = CXLF_COPY_RECORD(4, 3) | CXLF_COPY_BUSY;
    g_assert_cmpuint(A->front[0], ==, 0);
    A->front[0] = 5;
    g_assert_cmpuint(flush(A, 0, 8), ==, 1);
    g_assert_cmpuint(home[0], ==, 5);
    g_assert_cmphex(records[0].line[0], ==, CXLF_COPY_RECORD(5, 1));
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5000000);
    teardown();
}

/* To coherent and back, under load on the front: no store is lost. */
#define USERS   8

static void *use_front(void *opaque)
{
    g_autofree uint64_t *want = g_new0(uint64_t, WORDS);
    uintptr_t user = (uintptr_t)opaque;
    uint64_t state = user;

    for (uint64_t i = 1; qatomic_read(&writing); i++) {
        uint64_t word = (state = state * 6364136223846793005ull + 1) >> 40;

        word = word % (WORDS / USERS) * USERS + user;
        g_assert_cmpuint(A->front[word], ==, want[word]);
        A->front[word] = want[word] = i;
        if (word % 64 == user) {
            g_usleep(state >> 58);
        }
    }
    return NULL;
}

static void test_mode(void)
{
    setup();
    A->front[0] = 1;
    A->front[512] = 2;
    A->front[1024] = 3;
    B->front[513] = 4;
    for (unsigned i = 0; i < HOSTS; i++) {
        run(&host[i], do_drain);
    }
    g_assert_cmpuint(A->result, ==, 1);
    g_assert_cmpuint(home[0], ==, 1);
    g_assert_cmpuint(home[512], ==, 0);     /* false sharing, and reported */
    g_assert_cmpuint(home[513], ==, 4);
    check_last(B, ECA_CONFLICT_WRITE_WRITE, ECA_COPY_FLUSH, 0, CXLF_PAGE);
    g_assert_cmpuint(home[1024], ==, 3);
    g_assert_cmpuint(A->front[513], ==, 4);

    A->front[0] = 9;
    run(A, do_drop);
    g_assert_cmpuint(A->front[0], ==, 1);
    teardown();
}

static void test_mode_load(void)
{
    QemuThread thread[USERS];

    setup();
    qatomic_set(&live, true);
    writing = true;
    for (uintptr_t i = 0; i < USERS; i++) {
        qemu_thread_create(&thread[i], "user", use_front, (void *)i,
                           QEMU_THREAD_JOINABLE);
    }
    for (uint64_t i = 0; i < SIZE; i += CXLF_PAGE) {
        (void)home[i / 8];              /* what is mapped must exist */
    }
    for (unsigned i = 0; i < 500; i++) {
        run(A, do_to_coherent);
        g_usleep(i % 7 * 100);
        run(A, do_to_software);
        g_usleep(i % 5 * 200);
    }
    qatomic_set(&writing, false);
    for (unsigned i = 0; i < USERS; i++) {
        qemu_thread_join(&thread[i]);
    }
    teardown();
}

/*
 * Random accesses and commands against a model of caches: each line has a
 * value at home, and in each host that has it a value and a twin.
 */
typedef struct ModelLine {
    uint64_t value[8], twin[8];
    bool stale, invalid;
} ModelLine;

static struct {
    uint64_t home[WORDS];
    bool has[HOSTS][PAGES];
    ModelLine line[HOSTS][PAGES * 64];
    uint64_t told_ww[HOSTS][PAGES], told_lost[HOSTS][PAGES];
    unsigned ww[HOSTS], lost[HOSTS];
} model;

static void model_refresh(unsigned h, unsigned line)
{
    ModelLine *l = &model.line[h][line];

    memcpy(l->value, &model.home[line * 8], 64);
    memcpy(l->twin, l->value, 64);
    l->stale = false;
    model.told_ww[h][line / 64] &= ~(1ull << line % 64);
    model.told_lost[h][line / 64] &= ~(1ull << line % 64);
}

static void model_touch(unsigned h, unsigned page)
{
    if (!model.has[h][page]) {
        model.has[h][page] = true;
        for (unsigned i = 0; i < 64; i++) {
            model.line[h][page * 64 + i].invalid = true;
        }
    }
    for (unsigned i = page * 64; i < page * 64 + 64; i++) {
        if (model.line[h][i].invalid) {
            model.line[h][i].invalid = false;
            model_refresh(h, i);
        }
    }
}

static void once(uint64_t *told, unsigned line, unsigned *n)
{
    if (!(told[line / 64] >> line % 64 & 1)) {
        told[line / 64] |= 1ull << line % 64;
        ++*n;
    }
}

static unsigned model_flush(unsigned h, unsigned line)
{
    ModelLine *l = &model.line[h][line];

    if (!memcmp(l->value, l->twin, 64)) {
        return 0;
    }
    if (l->stale) {
        once(model.told_ww[h], line, &model.ww[h]);
    }
    memcpy(&model.home[line * 8], l->value, 64);
    memcpy(l->twin, l->value, 64);
    l->stale = false;
    for (unsigned other = 0; other < HOSTS; other++) {
        ModelLine *theirs = &model.line[other][line];

        if (other != h && model.has[other][line / 64] && !theirs->stale) {
            theirs->stale = true;
        }
    }
    return 1;
}

static void model_invalidate(unsigned h, unsigned line)
{
    ModelLine *l = &model.line[h][line];

    if (memcmp(l->value, l->twin, 64)) {
        once(model.told_lost[h], line, &model.lost[h]);
    }
    model_refresh(h, line);
    l->invalid = true;
}

static bool model_is_empty(unsigned h, unsigned page)
{
    bool empty = true;

    for (unsigned i = page * 64; i < page * 64 + 64; i++) {
        empty &= model.line[h][i].invalid;
    }
    return empty;
}

static void random_command(unsigned h)
{
    unsigned first = g_test_rand_int_range(0, PAGES * 64);
    unsigned lines = g_test_rand_bit() ? 1 :
                     g_test_rand_int_range(1, PAGES * 64 - first + 1);
    unsigned what = g_test_rand_int_range(1, 4), want = 0;

    if (g_test_rand_int_range(0, 4) == 0) {
        first &= ~63u;
        lines = 64;
    }
    for (unsigned i = first; i < first + lines; i++) {
        if (model.has[h][i / 64]) {
            want += what & 1 ? model_flush(h, i) : 0;
        }
    }
    for (unsigned i = first; i < first + lines; i++) {
        if (model.has[h][i / 64] && what & 2) {
            model_invalidate(h, i);
            if (model_is_empty(h, i / 64)) {
                model.has[h][i / 64] = false;
            }
        }
    }
    g_assert_cmpuint(command(&host[h], first * 64, lines * 64, what & 1,
                             what & 2), ==, want);
}

static void test_random(void)
{
    uint64_t next = 1;

    setup();
    qatomic_set(&live, true);
    memset(&model, 0, sizeof(model));
    for (unsigned n = 0; n < 30000; n++) {
        unsigned h = g_test_rand_int_range(0, HOSTS);
        unsigned word = g_test_rand_int_range(0, WORDS);

        if (g_test_rand_bit()) {
            word %= 1024;               /* contended */
        }
        switch (g_test_rand_int_range(0, 5)) {
        case 0:
        case 1:
            model_touch(h, word / 512);
            g_assert_cmpuint(host[h].front[word], ==,
                             model.line[h][word / 8].value[word % 8]);
            break;
        case 2:
        case 3:
            model_touch(h, word / 512);
            model.line[h][word / 8].value[word % 8] = ++next;
            host[h].front[word] = next;
            break;
        default:
            random_command(h);
            break;
        }
    }
    for (unsigned h = 0; h < HOSTS; h++) {
        g_assert_cmpuint(reported(&host[h], ECA_CONFLICT_WRITE_WRITE), ==,
                         model.ww[h]);
        g_assert_cmpuint(reported(&host[h], ECA_CONFLICT_LOST), ==,
                         model.lost[h]);
        g_assert_cmpuint(errors(&host[h]), ==,
                         host[h].counters[CXLF_COPY_CONFLICT]);
        g_test_message("host %u: %u write-write, %u lost, %u stale", h,
                       model.ww[h], model.lost[h],
                       reported(&host[h], ECA_CONFLICT_STALE));
    }
    g_assert_cmpmem((void *)home, SIZE, model.home, SIZE);
    teardown();
}

int main(int argc, char **argv)
{
    ECAUffd u;

    g_test_init(&argc, &argv, NULL);
    if (!eca_uffd_open(&u, false, NULL)) {
        g_test_message("userfaultfd is not permitted here");
        return 77;
    }
    eca_uffd_close(&u);
    g_test_add_func("/cxlf/copies/private", test_private);
    g_test_add_func("/cxlf/copies/lost-update", test_lost_update);
    g_test_add_func("/cxlf/copies/lost", test_lost);
    g_test_add_func("/cxlf/copies/stale", test_stale);
    g_test_add_func("/cxlf/copies/held-up", test_held_up);
    g_test_add_func("/cxlf/copies/unflushed", test_unflushed);
    g_test_add_func("/cxlf/copies/false-sharing", test_false_sharing);
    g_test_add_func("/cxlf/copies/whole-lines", test_whole_lines);
    g_test_add_func("/cxlf/copies/whole-lines-fast", test_whole_lines_fast);
    g_test_add_func("/cxlf/copies/half-written", test_half_written);
    g_test_add_func("/cxlf/copies/mode", test_mode);
    g_test_add_func("/cxlf/copies/mode-load", test_mode_load);
    g_test_add_func("/cxlf/copies/random", test_random);
    return g_test_run();
}
