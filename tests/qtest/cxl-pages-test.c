/*
 * QTest of page ownership: pages that hosts take from each other
 *
 * Accesses of qtest are made by the main loop, as a device's DMA is: they
 * fault on pages that their host has not got, and wait for them.  The
 * counters say what has moved; data alone would be right without any
 * protocol.  A busy machine may ask again for what takes long, so messages
 * have a lower bound only, unless it says otherwise.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/host-utils.h"
#include "cxlf-hdm.h"
#include "cxlf-peer.h"

#define BULK        CLASS_SIZE      /* DPA where BULK begins */
#define BLOCK       (2 * MIB)
#define BLOCK_PAGES (BLOCK / CXLF_PAGE)
#define DEAD        "X_CXL_FABRIC_HOST_DEAD"

/* No host was refused anything, or had a machine check. */
static void stop(CxlfFabric *f)
{
    CxlfCounters all = cxlf_counters(f->owner, -1);

    g_assert_cmpuint(all.n[CXLF_REFUSAL], ==, 0);
    g_assert_cmpuint(all.n[CXLF_MACHINE_CHECK], ==, 0);
    cxlf_fabric_stop(f);
}

static uint64_t total(CxlfFabric *f, int host, int counter)
{
    return cxlf_counters(f->owner, host).n[counter];
}

static void wait_counter(CxlfFabric *f, int host, int counter, uint64_t least)
{
    gint64 deadline = cxlf_deadline();

    while (total(f, host, counter) < least) {
        cxlf_pause(deadline, cxlf_counter_name[counter]);
    }
}

/* An access that another thread of the test makes, since it has to wait. */
typedef struct Access {
    const CxlfRegion *r;
    uint64_t dpa, value;
    bool store, over;
    GThread *thread;
} Access;

static void *make_access(void *opaque)
{
    Access *a = opaque;

    if (a->store) {
        cxlf_store(a->r, a->dpa, a->value, 8);
    } else {
        a->value = cxlf_load(a->r, a->dpa, 8);
    }
    qatomic_set(&a->over, true);
    return NULL;
}

/* Begin an access, and wait until it has faulted. */
static void begin_access(CxlfFabric *f, Access *a)
{
    uint64_t faults = total(f, a->r->h->number, CXLF_PAGE_FAULT);

    a->thread = g_thread_new("access", make_access, a);
    wait_counter(f, a->r->h->number, CXLF_PAGE_FAULT, faults + 1);
}

static uint64_t end_access(Access *a)
{
    g_thread_join(a->thread);
    return a->value;
}

/* Pages of two hosts */

static void test_move(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfRegion *r = f->r;
    uint64_t least = UINT64_MAX;
    CxlfCounters d[2];

    cxlf_store(&r[0], BULK + 8, 1, 8);
    d[0] = cxlf_counted(f, 0);
    g_assert_cmpuint(d[0].n[CXLF_PAGE_FAULT], ==, 1);
    g_assert_cmpuint(d[0].n[CXLF_PAGE_MAPPED], ==, 1);
    g_assert_cmpuint(d[0].n[CXLF_MESSAGE], ==, 0);
    cxlf_counted(f, 1);
    for (int i = 1; i <= 64; i++) {
        int to = i % 2, from = !to;
        uint64_t messages;

        cxlf_store(&r[to], BULK + 8, i, 8);
        cxlf_store(&r[to], BULK + 16, i, 8);
        g_assert_cmpuint(cxlf_load(&r[to], BULK + 8, 8), ==, i);
        d[to] = cxlf_counted(f, to);
        d[from] = cxlf_counted(f, from);
        g_assert_cmpuint(d[to].n[CXLF_PAGE_FAULT], ==, 1);
        g_assert_cmpuint(d[to].n[CXLF_PAGE_MAPPED], ==, 1);
        g_assert_cmpuint(d[to].n[CXLF_PAGE_REVOKED], ==, 0);
        g_assert_cmpuint(d[from].n[CXLF_PAGE_FAULT], ==, 0);
        g_assert_cmpuint(d[from].n[CXLF_PAGE_REVOKED], ==, 1);
        g_assert_cmpuint(d[from].n[CXLF_MESSAGE], ==, 1);
        messages = d[to].n[CXLF_MESSAGE] + d[from].n[CXLF_MESSAGE];
        least = MIN(least, messages);
    }
    /* A snoop and its completion, when neither has to be sent again. */
    g_assert_cmpuint(least, ==, 2);
    stop(f);
}

/*
 * A host's kernel may take a page that the host holds out of its mapping, as
 * when it is swapped out; here because it is punched out of the file, and
 * then written again or not.
 */
static void test_dropped(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfRegion *a = &f->r[0], *b = &f->r[1];
    int fd = cxlf_open_memfd(f->owner, "cxlf-gfam0");
    uint64_t value = 5;

    cxlf_store(a, BULK, 1, 8);
    cxlf_store(a, BULK + 4 * CXLF_PAGE, 2, 8);
    cxlf_load(b, BULK + 4 * CXLF_PAGE, 8);      /* both hold it, to read */
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
                                  FALLOC_FL_KEEP_SIZE, BULK,
                                  8 * CXLF_PAGE), ==, 0);
        g_assert_cmpuint(cxlf_load(a, BULK, 8), ==, 0);
        g_assert_cmpint(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
                                  FALLOC_FL_KEEP_SIZE, BULK,
                                  8 * CXLF_PAGE), ==, 0);
        g_assert_cmpint(pwrite(fd, &value, 8, BULK), ==, 8);
        g_assert_cmpint(pwrite(fd, &value, 8, BULK + 4 * CXLF_PAGE), ==, 8);
        g_assert_cmpuint(cxlf_load(a, BULK, 8), ==, value);
        g_assert_cmpuint(cxlf_load(a, BULK + 4 * CXLF_PAGE, 8), ==, value);
        g_assert_cmpuint(cxlf_load(b, BULK + 4 * CXLF_PAGE, 8), ==, value);
        cxlf_store(a, BULK, 7, 8);
        g_assert_cmpuint(cxlf_load(a, BULK, 8), ==, 7);
    }
    /* It still is nobody else's to write, and goes when it is wanted. */
    cxlf_store(a, BULK + 4 * CXLF_PAGE, 8, 8);
    g_assert_cmpuint(cxlf_load(b, BULK + 4 * CXLF_PAGE, 8), ==, 8);
    cxlf_store(b, BULK, 9, 8);
    g_assert_cmpuint(cxlf_load(a, BULK, 8), ==, 9);
    close(fd);
    stop(f);
}

static void test_shared(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfRegion *a = &f->r[0], *b = &f->r[1];
    CxlfCounters da, db;

    cxlf_store(a, BULK, 7, 8);
    cxlf_counted(f, 0);
    cxlf_counted(f, 1);
    g_assert_cmpuint(cxlf_load(b, BULK, 8), ==, 7);
    for (int i = 0; i < 4; i++) {
        /* Both have it now. */
        g_assert_cmpuint(cxlf_load(a, BULK, 8), ==, 7);
        g_assert_cmpuint(cxlf_load(b, BULK, 8), ==, 7);
    }
    da = cxlf_counted(f, 0);
    db = cxlf_counted(f, 1);
    g_assert_cmpuint(da.n[CXLF_PAGE_FAULT], ==, 0);
    g_assert_cmpuint(da.n[CXLF_PAGE_REVOKED], ==, 1);
    g_assert_cmpuint(db.n[CXLF_PAGE_FAULT], ==, 1);
    g_assert_cmpuint(db.n[CXLF_PAGE_MAPPED], ==, 1);

    cxlf_store(a, BULK, 8, 8);
    da = cxlf_counted(f, 0);
    db = cxlf_counted(f, 1);
    g_assert_cmpuint(da.n[CXLF_PAGE_FAULT], ==, 1);
    g_assert_cmpuint(da.n[CXLF_PAGE_MAPPED], ==, 1);
    g_assert_cmpuint(da.n[CXLF_UPGRADE], ==, 1);
    g_assert_cmpuint(db.n[CXLF_PAGE_REVOKED], ==, 1);
    g_assert_cmpuint(cxlf_load(b, BULK, 8), ==, 8);
    cxlf_store(b, BULK, 9, 8);      /* and the other way */
    g_assert_cmpuint(cxlf_counted(f, 1).n[CXLF_PAGE_FAULT], ==, 2);
    g_assert_cmpuint(cxlf_load(a, BULK, 8), ==, 9);
    stop(f);
}

/* What nobody has is Owned at once, also by who only reads it. */
static void test_first_read(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, "", "");
    CxlfCounters d;

    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 0);
    cxlf_store(&f->r[0], BULK, 1, 8);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 1);
    g_assert_cmpuint(d.n[CXLF_MESSAGE], ==, 0);
    stop(f);
}

/* Blocks of pages */

#define SEQUENCE 2048       /* pages */

static void test_sequential(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfCounters d;

    cxlf_counted(f, 0);
    for (int i = 0; i < SEQUENCE; i++) {
        cxlf_store(&f->r[0], BULK + i * CXLF_PAGE, i, 8);
    }
    d = cxlf_counted(f, 0);
    /* Two faults for each block, which grow to 512 pages. */
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], <, 40);
    g_assert_cmpuint(d.n[CXLF_PAGE_PREFETCHED], >, SEQUENCE - 40);
    g_assert_cmpuint(d.n[CXLF_PAGE_MAPPED], ==, SEQUENCE);
    cxlf_counted(f, 1);
    for (int i = 0; i < SEQUENCE; i++) {
        g_assert_cmpuint(cxlf_load(&f->r[1], BULK + i * CXLF_PAGE, 8), ==,
                         i);
    }
    d = cxlf_counted(f, 1);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], <, 40);
    g_assert_cmpuint(d.n[CXLF_PAGE_PREFETCHED], >, SEQUENCE - 40);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_REVOKED], ==, SEQUENCE);
    stop(f);
}

/* Accesses all over the place are not taken for a sequence. */
static void test_scattered(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, "", "");
    CxlfCounters d;

    for (int i = 0; i < 200; i++) {
        cxlf_store(&f->r[0], BULK + (i * 37 % 200) * 64 * CXLF_PAGE, i, 8);
    }
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 200);
    g_assert_cmpuint(d.n[CXLF_PAGE_PREFETCHED], ==, 0);
    stop(f);
}

/*
 * A block moves as a whole, for one fault and two messages.  Of hosts that
 * lose their processor meanwhile it may come in parts, for more of both; so
 * this must happen in one round of many.
 */
static void test_grain(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", " -global dpu-eca.grain-min=2M");
    bool whole = false;

    cxlf_store(&f->r[0], BULK, 1, 8);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_MAPPED], ==, BLOCK_PAGES);
    cxlf_counted(f, 1);
    for (int i = 1; i <= 16 || (!whole && i <= 200); i++) {
        int to = i % 2, from = !to;
        uint64_t messages;
        CxlfCounters d[2];

        cxlf_store(&f->r[to], BULK, i, 8);
        cxlf_store(&f->r[to], BULK + BLOCK - 8, i, 8);
        d[to] = cxlf_counted(f, to);
        d[from] = cxlf_counted(f, from);
        messages = d[0].n[CXLF_MESSAGE] + d[1].n[CXLF_MESSAGE];
        g_assert_cmpuint(d[to].n[CXLF_PAGE_FAULT], >=, 1);
        g_assert_cmpuint(d[to].n[CXLF_PAGE_FAULT], <=, 2);
        whole |= messages == 2 && d[to].n[CXLF_PAGE_FAULT] == 1 &&
                 d[to].n[CXLF_PAGE_MAPPED] == BLOCK_PAGES &&
                 d[to].n[CXLF_PAGE_PREFETCHED] == BLOCK_PAGES - 1 &&
                 d[from].n[CXLF_PAGE_REVOKED] == BLOCK_PAGES;
    }
    g_assert_true(whole);
    stop(f);
}

/*
 * A page of a block has come and is used, while others are waited for: a
 * store to it, which was asked for to be read, is not forgotten.
 */
static void test_early_page(void)
{
    CxlfFabric *f = cxlf_fabric_start(3, "", " -global dpu-eca.grain-min=16K");
    Access store = { .r = &f->r[0], .dpa = BULK, .store = true, .value = 3 };
    pid_t pid = qtest_pid(f->h[2]->qts);

    cxlf_store(&f->r[2], BULK, 1, 8);
    cxlf_store(&f->r[1], BULK + 3 * CXLF_PAGE, 1, 8);
    cxlf_store(&f->r[1], BULK, 2, 8);
    cxlf_store(&f->r[2], BULK + 3 * CXLF_PAGE, 2, 8);
    cxlf_freeze(pid);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 2);
    begin_access(f, &store);
    g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
    end_access(&store);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK, 8), ==, 3);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK + 3 * CXLF_PAGE, 8), ==, 2);
    stop(f);
}

static void test_bad_properties(void)
{
    static const struct {
        const char *properties, *text;
    } bad[] = {
        { "grain-min=3000", "'grain-min' must be a power of two from 4K to "
          "2M" },
        { "grain-min=2K", "'grain-min' must be a power of two" },
        { "grain-min=0", "'grain-min' must be a power of two" },
        { "grain-max=4M", "'grain-max' must be a power of two" },
        { "grain-max=12K", "'grain-max' must be a power of two" },
        { "grain-min=64K,grain-max=4K", "'grain-min' must not be more than "
          "'grain-max'" },
        { "hot-track=lines", "'hot-track' accepts line and page" },
    };

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *args = g_strdup_printf("-M q35 -nodefaults "
            "-device dpu-eca,%s", bad[i].properties);

        cxlf_start_error(args, bad[i].text);
    }
}

/* Hosts that die, stop, or are reset */

#define OWNED 96            /* pages */

static uint64_t owned_dpa(int i)
{
    return BULK + i * 3 * CXLF_PAGE;
}

static void own_pages(const CxlfRegion *r, uint64_t value)
{
    for (int i = 0; i < OWNED; i++) {
        cxlf_store(r, owned_dpa(i), value + i, 8);
    }
}

static void check_pages(const CxlfRegion *r, uint64_t value)
{
    for (int i = 0; i < OWNED; i++) {
        g_assert_cmphex(cxlf_load(r, owned_dpa(i), 8), ==, value + i);
    }
}

static void kill_host(CxlfFabric *f, int host)
{
    g_assert_cmpint(kill(qtest_pid(f->h[host]->qts), SIGKILL), ==, 0);
}

static void bury(CxlfFabric *f, int host)
{
    QDict *data = cxlf_wait_event(f->owner, DEAD);

    g_assert_cmpint(qdict_get_int(data, "host"), ==, host);
    qobject_unref(data);
    cxlf_host_forget(f->h[host]);
    f->h[host] = NULL;
}

static void test_killed_owner(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");

    for (int i = 0; i < 3; i++) {
        own_pages(&f->r[1], i << 16);
        cxlf_load(&f->r[0], owned_dpa(5), 8);       /* one is Shared */
        kill_host(f, 1);
        check_pages(&f->r[0], i << 16);
        own_pages(&f->r[0], 1);
        bury(f, 1);
        cxlf_fabric_host(f, 1, "");
        check_pages(&f->r[1], 1);
    }
    stop(f);
}

/* Load on a host, from a process of its own: it ends with the host. */

#define STORM 24            /* pages */

static uint64_t storm_dpa(int page)
{
    return (page % 3 ? BULK : 0) + page * CXLF_PAGE;
}

static void make_storm(const char *path, const void *data)
{
    CxlfRegion r = *(const CxlfRegion *)data;
    GRand *rand = g_rand_new_with_seed(getpid());

    peer_end_quietly();
    for (uint64_t i = 0;; i++) {
        uint64_t dpa = storm_dpa(g_rand_int_range(rand, 0, STORM));

        if (g_rand_boolean(rand)) {
            cxlf_store(&r, dpa + 8, i, 8);
        } else {
            cxlf_load(&r, dpa, 8);
        }
    }
}

/* What the survivor stores in its own word of each page. */
static uint64_t expected[STORM];

static void use_survivor(CxlfRegion *r, int accesses)
{
    for (int i = 0; i < accesses; i++) {
        int page = g_test_rand_int_range(0, STORM);

        if (g_test_rand_bit()) {
            expected[page] = (uint64_t)g_test_rand_int() << 32 | i;
            cxlf_store(r, storm_dpa(page), expected[page], 8);
        } else {
            g_assert_cmphex(cxlf_load(r, storm_dpa(page), 8), ==,
                            expected[page]);
        }
    }
}

#define KILLS 12

static void test_killed_in_storm(void)
{
    const char *more = " -global dpu-eca.hot-map-after=4";
    CxlfFabric *f = cxlf_fabric_start(2, "", more);

    memset(expected, 0, sizeof(expected));
    for (int i = 0; i < KILLS; i++) {
        pid_t load = peer_fork(f->path, make_storm, &f->r[1]);

        use_survivor(&f->r[0], g_test_rand_int_range(50, 400));
        kill_host(f, 1);
        use_survivor(&f->r[0], 100);
        bury(f, 1);
        peer_wait(load);
        use_survivor(&f->r[0], 50);
        /* Nobody else holds anything: all can be had without a word. */
        for (int page = 0; page < STORM; page++) {
            cxlf_store(&f->r[0], storm_dpa(page) + 16, i, 8);
        }
        cxlf_counted(f, -1);
        for (int page = 0; page < STORM; page++) {
            g_assert_cmphex(cxlf_load(&f->r[0], storm_dpa(page), 8), ==,
                            expected[page]);
        }
        g_assert_cmpuint(cxlf_counted(f, -1).n[CXLF_BISNP_SENT], ==, 0);
        cxlf_fabric_host(f, 1, more);
    }
    g_test_message("%" PRIu64 " pages were taken from their hosts",
                   total(f, -1, CXLF_PAGE_REVOKED));
    stop(f);
}

/* Who stands still is waited for; its access goes on when it does. */
static void test_stopped(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Access load = { .r = &f->r[1], .dpa = owned_dpa(0) };
    Access store = { .r = &f->r[1], .dpa = owned_dpa(1), .store = true,
                     .value = 5 };
    pid_t pid = qtest_pid(f->h[0]->qts);

    own_pages(&f->r[0], 100);
    cxlf_freeze(pid);
    begin_access(f, &load);
    g_assert_false(qatomic_read(&load.over));
    g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
    g_assert_cmpuint(end_access(&load), ==, 100);

    cxlf_freeze(pid);
    begin_access(f, &store);
    /* The agent has asked, and not once only. */
    wait_counter(f, 1, CXLF_DOORBELL, total(f, 1, CXLF_DOORBELL) + 3);
    g_assert_false(qatomic_read(&store.over));
    kill_host(f, 0);
    end_access(&store);
    bury(f, 0);
    for (int i = 2; i < OWNED; i++) {
        g_assert_cmpuint(cxlf_load(&f->r[1], owned_dpa(i), 8), ==, 100 + i);
    }
    g_assert_cmpuint(cxlf_load(&f->r[1], owned_dpa(1), 8), ==, 5);
    stop(f);
}

static void store_once(const char *path, const void *data)
{
    CxlfRegion r = *(const CxlfRegion *)data;

    peer_end_quietly();
    cxlf_store(&r, owned_dpa(0), 4, 8);
}

/* The host that waits dies, and the one that was waited for goes on. */
static void test_killed_waiting(void)
{
    CxlfFabric *f = cxlf_fabric_start(3, "", "");
    Access store = { .r = &f->r[2], .dpa = owned_dpa(0), .store = true,
                     .value = 100 };
    pid_t pid = qtest_pid(f->h[0]->qts), waiting;

    own_pages(&f->r[0], 100);
    cxlf_freeze(pid);
    /* In a process that ends with the host. */
    waiting = peer_fork(f->path, store_once, &f->r[1]);
    wait_counter(f, 1, CXLF_PAGE_FAULT, 1);
    begin_access(f, &store);
    kill_host(f, 1);
    bury(f, 1);
    peer_wait(waiting);
    g_assert_false(qatomic_read(&store.over));
    g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
    end_access(&store);
    check_pages(&f->r[0], 100);
    check_pages(&f->r[2], 100);
    stop(f);
}

/*
 * A host stands still at any point of what it does with pages that the other
 * uses, among others while it changes one between lines and ownership.
 */
static void *use_all(void *opaque)
{
    for (int i = 0; i < 3; i++) {
        for (int page = 0; page < STORM; page++) {
            cxlf_store(opaque, storm_dpa(page), i, 8);
        }
    }
    return NULL;
}

static void test_stopped_in_storm(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "",
                                      " -global dpu-eca.hot-map-after=1");
    pid_t load = peer_fork(f->path, make_storm, &f->r[1]);
    pid_t pid = qtest_pid(f->h[1]->qts);

    for (int i = 0; i < 30; i++) {
        GThread *thread = g_thread_new("use", use_all, &f->r[0]);

        for (int turns = g_test_rand_int_range(0, 3); turns; turns--) {
            total(f, 0, CXLF_PAGE_FAULT);
        }
        cxlf_freeze(pid);
        for (int turns = 0; turns < 10; turns++) {
            total(f, 0, CXLF_PAGE_FAULT);
        }
        g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
        g_thread_join(thread);
    }
    kill_host(f, 1);
    bury(f, 1);
    peer_wait(load);
    stop(f);
}

/* The end of the fabric is seen by who waits for a page of it, too. */
static void test_lost_waiting(void)
{
    g_autofree char *path = cxlf_socket_path();
    g_autofree char *fabric = g_strdup_printf("-object cxl-fabric,"
        "id=fabric0,listen=on,socket=%s,hosts=2", path);
    CxlfHost *a = cxlf_host_start_fabric(fabric, 1, "", "");
    CxlfHost *b = cxlf_host_start(path, 1, "", "");
    CxlfRegion ra = cxlf_whole_region(a, 0), rb = cxlf_whole_region(b, 0);
    Access load = { .r = &rb, .dpa = BULK };

    cxlf_store(&ra, BULK, 1, 8);
    cxlf_freeze(qtest_pid(a->qts));
    load.thread = g_thread_new("access", make_access, &load);
    g_assert_cmpint(kill(qtest_pid(a->qts), SIGKILL), ==, 0);
    g_assert_cmphex(end_access(&load), ==, UINT64_MAX);
    qobject_unref(cxlf_wait_event(b->qts, "X_CXL_FABRIC_LOST"));
    g_assert_cmphex(cxlf_load(&rb, 0, 8), ==, UINT64_MAX);
    cxlf_host_forget(a);
    cxlf_host_stop(b);
    unlink(path);
}

static void test_reset(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");

    own_pages(&f->r[0], 100);
    cxlf_store(&f->r[0], 0, 7, 8);
    qtest_system_reset(f->h[0]->qts);
    cxlf_counted(f, 1);
    check_pages(&f->r[1], 100);
    own_pages(&f->r[1], 200);
    g_assert_cmpuint(cxlf_load(&f->r[1], 0, 8), ==, 7);
    /* It gave them all up, so nobody had to be asked. */
    g_assert_cmpuint(cxlf_counted(f, 1).n[CXLF_MESSAGE], ==, 0);
    cxlf_host_program(f->h[0]);
    f->r[0] = cxlf_whole_region(f->h[0], 0);
    check_pages(&f->r[0], 200);
    /* Also while the other waits for it. */
    for (int i = 0; i < 5; i++) {
        own_pages(&f->r[0], 300);
        qtest_system_reset_nowait(f->h[0]->qts);
        check_pages(&f->r[1], 300);
        qtest_qmp_eventwait(f->h[0]->qts, "RESET");
        cxlf_host_program(f->h[0]);
        f->r[0] = cxlf_whole_region(f->h[0], 0);
    }
    stop(f);
}

static void test_embedded(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    CxlfRegion r = cxlf_whole_region(h, 0);
    CxlfCounters c;

    own_pages(&r, 100);
    check_pages(&r, 100);
    qtest_system_reset(h->qts);
    cxlf_host_program(h);
    r = cxlf_whole_region(h, 0);
    check_pages(&r, 100);
    c = cxlf_counters(h->qts, 0);
    g_assert_cmpuint(c.n[CXLF_PAGE_FAULT], ==, 2 * OWNED);
    g_assert_cmpuint(c.n[CXLF_MESSAGE], ==, 0);
    g_assert_cmpuint(c.n[CXLF_DOORBELL], ==, 0);
    cxlf_host_stop(h);
}

static void test_off(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", " -global dpu-eca.ownership=off");
    CxlfCounters d;

    own_pages(&f->r[0], 100);
    check_pages(&f->r[1], 100);
    cxlf_assert_delta(cxlf_counted(f, -1), CXLF_COUNTERS);
    cxlf_store(&f->r[0], 64, 1, 8);
    g_assert_cmpuint(cxlf_load(&f->r[1], 64, 8), ==, 1);
    d = cxlf_counted(f, -1);
    g_assert_cmpuint(d.n[CXLF_WRITE_MISS], ==, 1);
    g_assert_cmpuint(d.n[CXLF_READ_MISS], ==, 1);
    stop(f);
}

/* HOT */

static void test_track_page(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "",
                                      " -global dpu-eca.hot-track=page");
    CxlfCounters d;

    for (int i = 0; i < 8; i++) {
        int host = i % 2;

        for (int line = 0; line < 64; line++) {
            cxlf_store(&f->r[host], line * CXLF_LINE, i + line, 8);
        }
        d = cxlf_counted(f, host);
        g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 1);
        g_assert_cmpuint(d.n[CXLF_PAGE_MAPPED], ==, 1);
        g_assert_cmpuint(d.n[CXLF_WRITE_MISS], ==, 1);
        g_assert_cmpuint(d.n[CXLF_WRITE_HIT], ==, 0);
        g_assert_cmpuint(d.n[CXLF_VIEW_FLUSH], ==, 0);
        g_assert_cmpuint(d.n[CXLF_PROMOTION], ==, 0);
    }
    for (int line = 0; line < 64; line++) {
        g_assert_cmpuint(cxlf_load(&f->r[0], line * CXLF_LINE, 8), ==,
                         7 + line);
    }
    stop(f);
}

#define HOT_MAP_AFTER 16
#define MAP_SOON " -global dpu-eca.hot-map-after=16"

static void test_hot_mapped(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", MAP_SOON);
    CxlfCounters d;

    for (int i = 0; i < HOT_MAP_AFTER - 1; i++) {
        cxlf_store(&f->r[0], i % 4 * CXLF_LINE, i, 8);
    }
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_WRITE_MISS], ==, 4);
    g_assert_cmpuint(d.n[CXLF_WRITE_HIT], ==, HOT_MAP_AFTER - 1 - 4);
    g_assert_cmpuint(d.n[CXLF_DEMOTION], ==, 0);
    cxlf_store(&f->r[0], 0, 5, 8);
    wait_counter(f, 0, CXLF_PAGE_MAPPED, 1);
    wait_counter(f, 0, CXLF_VIEW_FLUSH, 1);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_DEMOTION], ==, 1);
    /* Accesses are this host's own business now. */
    for (int i = 0; i < 100; i++) {
        cxlf_store(&f->r[0], i % 64 * CXLF_LINE, i, 8);
    }
    cxlf_assert_delta(cxlf_counted(f, 0), CXLF_COUNTERS);

    /* Another host asks: it goes back to lines. */
    cxlf_counted(f, 1);
    g_assert_cmpuint(cxlf_load(&f->r[1], 5 * CXLF_LINE, 8), ==, 69);
    d = cxlf_counted(f, 1);
    g_assert_cmpuint(d.n[CXLF_PROMOTION], ==, 1);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 0);
    g_assert_cmpuint(d.n[CXLF_READ_MISS], ==, 1);
    wait_counter(f, 0, CXLF_VIEW_FLUSH, 2);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PAGE_REVOKED], ==, 1);
    cxlf_store(&f->r[0], 5 * CXLF_LINE, 1, 8);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_WRITE_MISS], ==, 1);
    g_assert_cmpuint(d.n[CXLF_BISNP_SENT], ==, 1);
    stop(f);
}

/*
 * Use a line until its page is mapped.  Returns a time before that, by which
 * it was not.
 */
static gint64 use_until_mapped(CxlfFabric *f, int host, uint64_t dpa)
{
    uint64_t demotions = total(f, host, CXLF_DEMOTION);
    gint64 deadline = cxlf_deadline(), before;

    do {
        before = g_get_monotonic_time();
        for (int i = 0; i < HOT_MAP_AFTER; i++) {
            cxlf_store(&f->r[host], dpa, i, 8);
        }
        if (before > deadline) {
            g_error("a page that one host uses is not mapped");
        }
    } while (total(f, host, CXLF_DEMOTION) == demotions);
    return before;
}

/*
 * The page is taken as soon as it is mapped, for a while.  Each time the
 * host must have been alone for the double of the time before, or else it
 * has held the page for 8 times as long: so how often it happens is bounded
 * on a machine of any speed.
 */
static void switch_often(uint64_t dpa, uint64_t other)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", MAP_SOON);
    const gint64 quiet = 10 * 1000;     /* us: at first */
    gint64 begin = g_get_monotonic_time(), took, held = 0;
    uint64_t switches = 0, bound;

    do {
        gint64 mapped = use_until_mapped(f, 0, dpa);

        cxlf_store(&f->r[1], other, ++switches, 8);
        held += g_get_monotonic_time() - mapped;
        took = g_get_monotonic_time() - begin;
    } while (took < 1500 * 1000);
    bound = 2 * (held / (8 * quiet)) + 64 - clz64(took / quiet) + 2;
    g_test_message("%" PRIu64 " switches in %" PRId64 " ms, at most %" PRIu64,
                   switches, took / 1000, bound);
    g_assert_cmpuint(switches, <=, bound);
    stop(f);
}

static void test_hysteresis(void)
{
    switch_often(0, 0);
}

/* Each has lines of its own, so neither meets the other in any. */
static void test_hysteresis_apart(void)
{
    switch_often(0, 32 * CXLF_LINE);
}

/* Devices and everything at once */

typedef struct User {
    const CxlfRegion *r;
    const uint64_t *dpa;    /* of some pages, whose upper half it uses */
    int pages;
    bool stop;
    uint64_t accesses;
} User;

static void *use_upper_half(void *opaque)
{
    User *u = opaque;
    g_autofree uint64_t *value = g_new0(uint64_t, u->pages);

    for (uint64_t i = 1; !qatomic_read(&u->stop); i++) {
        int page = i % u->pages;
        uint64_t dpa = u->dpa[page] + CXLF_PAGE / 2 + i % 64 / 8 * 8;

        cxlf_store(u->r, dpa, i, 8);
        g_assert_cmpuint(cxlf_load(u->r, dpa, 8), ==, i);
        qatomic_set(&u->accesses, i);
    }
    return NULL;
}

static void check_dma(CxlfFabric *f, uint64_t dpa, uint64_t round)
{
    CxlfHost *h = f->h[0];
    uint8_t data[CXLF_PAGE / 2], back[CXLF_PAGE / 2];
    const uint64_t ram = 0x1000;

    for (int i = 0; i < sizeof(data); i++) {
        data[i] = g_test_rand_int();
    }
    qtest_memwrite(h->qts, ram, data, sizeof(data));
    cxlf_edu_dma(h, false, ram, sizeof(data));
    cxlf_edu_dma(h, true, f->r[0].base + dpa, sizeof(data));
    qtest_memread(h->qts, f->r[0].base + dpa, back, sizeof(back));
    g_assert_cmpmem(back, sizeof(back), data, sizeof(data));
    /* And from there to RAM. */
    cxlf_edu_dma(h, false, f->r[0].base + dpa, sizeof(data));
    cxlf_edu_dma(h, true, ram + CXLF_PAGE, sizeof(data));
    qtest_memread(h->qts, ram + CXLF_PAGE, back, sizeof(back));
    g_assert_cmpmem(back, sizeof(back), data, sizeof(data));
}

static void test_dma(void)
{
    static const uint64_t dpa[] = {
        0, 5 * CXLF_PAGE, BULK, BULK + CXLF_PAGE, BULK + 9 * CXLF_PAGE,
    };
    CxlfFabric *f = cxlf_fabric_start(2, "", CXLF_EDU
                                      " -global dpu-eca.hot-map-after=8");
    User user = { .r = &f->r[1], .dpa = dpa, .pages = ARRAY_SIZE(dpa) };
    GThread *thread = g_thread_new("user", use_upper_half, &user);
    gint64 deadline = cxlf_deadline();

    for (int i = 0; i < 60; i++) {
        uint64_t before = qatomic_read(&user.accesses);

        check_dma(f, dpa[i % ARRAY_SIZE(dpa)], i);
        while (qatomic_read(&user.accesses) == before) {
            cxlf_pause(deadline, "the other host's accesses");
        }
    }
    qatomic_set(&user.stop, true);
    g_thread_join(thread);
    g_assert_cmpuint(total(f, 0, CXLF_PAGE_REVOKED), >, 0);
    g_assert_cmpuint(total(f, 1, CXLF_PAGE_REVOKED), >, 0);
    stop(f);
}

#define WORDS   512

static void random_accesses(const char *owner, const char *more, int n)
{
    CxlfFabric *f = cxlf_fabric_start(3, owner, more);
    g_autofree uint64_t *value = g_new0(uint64_t, WORDS);
    CxlfCounters all;

    for (int i = 0; i < n; i++) {
        int word = g_test_rand_int_range(0, WORDS);
        /* Some share a line, some a page, some pages are neighbours. */
        uint64_t dpa = (word & 1 ? BULK : 0) + word / 2 % 8 * 8 +
                       word / 16 % 4 * CXLF_LINE + word / 64 * CXLF_PAGE;
        CxlfRegion *r = &f->r[g_test_rand_int_range(0, 3)];

        for (int again = g_test_rand_int_range(0, 12); again >= 0; again--) {
            if (g_test_rand_bit()) {
                value[word] = (uint64_t)g_test_rand_int() << 32 | i;
                cxlf_store(r, dpa, value[word], 8);
            } else {
                g_assert_cmphex(cxlf_load(r, dpa, 8), ==, value[word]);
            }
        }
    }
    all = cxlf_counters(f->owner, -1);
    g_test_message("%" PRIu64 " page faults, %" PRIu64 " promotions, %"
                   PRIu64 " demotions", all.n[CXLF_PAGE_FAULT],
                   all.n[CXLF_PROMOTION], all.n[CXLF_DEMOTION]);
    g_assert_cmpuint(all.n[CXLF_PAGE_REVOKED], >, 0);
    stop(f);
}

static void test_random(void)
{
    random_accesses("", " -global dpu-eca.hot-map-after=4", 3000);
}

/* BULK pages can be tracked by lines as well, and lines are recalled. */
static void test_random_finite(void)
{
    random_accesses(",leaves=2,line-entries=64,ways=8",
                    " -global dpu-eca.hot-map-after=4"
                    " -global dpu-eca.promote-after=2", 3000);
}

static void test_random_by_page(void)
{
    random_accesses("", " -global dpu-eca.hot-track=page", 1500);
}

/* Hosts that use blocks of different sizes. */
static void test_random_grain(void)
{
    random_accesses("", " -global dpu-eca.grain-min=16K"
                    " -global dpu-eca.hot-track=page", 1500);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/pages/move", test_move);
    qtest_add_func("/cxlf/pages/shared", test_shared);
    qtest_add_func("/cxlf/pages/dropped", test_dropped);
    qtest_add_func("/cxlf/pages/first-read", test_first_read);
    qtest_add_func("/cxlf/pages/sequential", test_sequential);
    qtest_add_func("/cxlf/pages/scattered", test_scattered);
    qtest_add_func("/cxlf/pages/grain", test_grain);
    qtest_add_func("/cxlf/pages/early-page", test_early_page);
    qtest_add_func("/cxlf/pages/bad-properties", test_bad_properties);
    qtest_add_func("/cxlf/pages/killed-owner", test_killed_owner);
    qtest_add_func("/cxlf/pages/killed-in-storm", test_killed_in_storm);
    qtest_add_func("/cxlf/pages/stopped", test_stopped);
    qtest_add_func("/cxlf/pages/killed-waiting", test_killed_waiting);
    qtest_add_func("/cxlf/pages/stopped-in-storm", test_stopped_in_storm);
    qtest_add_func("/cxlf/pages/lost-waiting", test_lost_waiting);
    qtest_add_func("/cxlf/pages/reset", test_reset);
    qtest_add_func("/cxlf/pages/embedded", test_embedded);
    qtest_add_func("/cxlf/pages/off", test_off);
    qtest_add_func("/cxlf/pages/track-page", test_track_page);
    qtest_add_func("/cxlf/pages/hot-mapped", test_hot_mapped);
    qtest_add_func("/cxlf/pages/hysteresis", test_hysteresis);
    qtest_add_func("/cxlf/pages/hysteresis-apart", test_hysteresis_apart);
    qtest_add_func("/cxlf/pages/dma", test_dma);
    qtest_add_func("/cxlf/pages/random", test_random);
    qtest_add_func("/cxlf/pages/random-finite", test_random_finite);
    qtest_add_func("/cxlf/pages/random-by-page", test_random_by_page);
    qtest_add_func("/cxlf/pages/random-grain", test_random_grain);
    return g_test_run();
}
