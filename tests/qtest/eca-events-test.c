/*
 * QTest of the agent's events
 *
 * Offsets and numbers are those of docs/specs/dpu-eca.rst, written down again
 * here.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxlf/leaf.h"
#include "cxlf-eca.h"
#include "cxlf-peer.h"

#define BULK        CLASS_SIZE      /* DPA where BULK begins */
#define RING        0x1000000       /* in the guest's memory */
#define RAM_END     (128 * MIB)
#define VECTOR      4

enum {
    BASE = 0x1100, SIZE = 0x1108, CONTROL = 0x110c, STATE = 0x1110,
    MASK = 0x1114, SAMPLE = 0x1118, HEAD = 0x111c, TAIL = 0x1120,
    LOST = 0x1128, END = 0x1130,
};
enum { ENABLE = 1, INTERRUPT = 2 };
enum { ON = 1, STOPPED = 2 };
enum { WHY_SETUP = 1, WHY_DMA, WHY_INDEX, WHY_TAKEN };
enum {
    BISNP = 1, OWNERSHIP, POISON, CONFLICT, HOST_LIFE, LEAF, LINK, CAPACITY,
    RECEIVED,
};

typedef struct QEMU_PACKED Event {
    uint16_t kind, phase;
    uint32_t host, gfam, count;
    uint64_t dpa, length, time;
    uint32_t data[6];
} Event;

QEMU_BUILD_BUG_ON(sizeof(Event) != 64);

/* A ring as a driver has it. */
typedef struct Ring {
    CxlfHost *h;
    uint32_t size, head;
    uint16_t phase;
    uint64_t time;
} Ring;

static uint32_t get(const Ring *r, unsigned reg)
{
    return qtest_readl(r->h->qts, r->h->eca + reg);
}

static uint64_t get8(const Ring *r, unsigned reg)
{
    return qtest_readq(r->h->qts, r->h->eca + reg);
}

static void set(const Ring *r, unsigned reg, uint32_t value)
{
    qtest_writel(r->h->qts, r->h->eca + reg, value);
}

static void set8(const Ring *r, unsigned reg, uint64_t value)
{
    qtest_writeq(r->h->qts, r->h->eca + reg, value);
}

static uint32_t stopped(uint32_t why)
{
    return STOPPED | why << 8;
}

static Ring ring_on(CxlfHost *h, uint32_t size, uint32_t kinds)
{
    Ring r = { .h = h, .size = size, .phase = 1 };

    qtest_memset(h->qts, RING, 0, size * sizeof(Event));
    set8(&r, BASE, RING);
    set(&r, SIZE, size);
    set(&r, MASK, kinds);
    set(&r, CONTROL, ENABLE);
    g_assert_cmphex(get(&r, STATE), ==, ON);
    return r;
}

/* The next event, if there is one. */
static bool poll(Ring *r, Event *e)
{
    qtest_memread(r->h->qts, RING + r->head * sizeof(*e), e, sizeof(*e));
    if (le16_to_cpu(e->phase) != r->phase) {
        return false;
    }
    *e = (Event) {
        .kind = le16_to_cpu(e->kind), .phase = le16_to_cpu(e->phase),
        .host = le32_to_cpu(e->host), .gfam = le32_to_cpu(e->gfam),
        .count = le32_to_cpu(e->count), .dpa = le64_to_cpu(e->dpa),
        .length = le64_to_cpu(e->length), .time = le64_to_cpu(e->time),
        .data = {
            le32_to_cpu(e->data[0]), le32_to_cpu(e->data[1]),
            le32_to_cpu(e->data[2]), le32_to_cpu(e->data[3]),
            le32_to_cpu(e->data[4]), le32_to_cpu(e->data[5]),
        },
    };
    g_assert_cmpuint(e->count, >, 0);
    g_assert_cmpuint(e->time, >=, r->time);
    r->time = e->time;
    r->head = (r->head + 1) % r->size;
    r->phase ^= !r->head;
    return true;
}

static Event take(Ring *r)
{
    gint64 deadline = cxlf_deadline();
    Event e;

    while (!poll(r, &e)) {
        g_assert_cmphex(get(r, STATE), ==, ON);
        cxlf_pause(deadline, "an event");
    }
    set(r, HEAD, r->head);
    return e;
}

/* The next event of a kind. */
static Event take_kind(Ring *r, unsigned kind)
{
    Event e;

    do {
        e = take(r);
    } while (e.kind != kind);
    return e;
}

static void test_registers(void)
{
    static const uint32_t sizes[] = { 0, 1, 3, 8192 };
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Ring r = { .h = h };

    for (unsigned reg = BASE; reg < END; reg += 8) {
        g_assert_cmphex(get8(&r, reg), ==, 0);
    }
    set(&r, MASK, 0xffffffff);
    g_assert_cmphex(get(&r, MASK), ==, 0x1ffe);
    set(&r, SAMPLE, 21);
    g_assert_cmphex(get(&r, SAMPLE), ==, 20);
    set(&r, HEAD, 1);
    g_assert_cmphex(get(&r, HEAD), ==, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes) + 1; i++) {
        set8(&r, BASE, i < ARRAY_SIZE(sizes) ? RING : RING + 32);
        set(&r, SIZE, i < ARRAY_SIZE(sizes) ? sizes[i] : 16);
        set(&r, CONTROL, ENABLE);
        g_assert_cmphex(get(&r, STATE), ==, stopped(WHY_SETUP));
        set(&r, CONTROL, 0);
        g_assert_cmphex(get(&r, STATE), ==, 0);
    }
    r = ring_on(h, 16, 0);
    set8(&r, BASE, 0);
    set(&r, SIZE, 2);
    set(&r, STATE, 0);
    set(&r, TAIL, 5);
    set8(&r, LOST, 5);
    g_assert_cmphex(get8(&r, BASE), ==, RING);
    g_assert_cmphex(get8(&r, SIZE), ==, 16 | (uint64_t)ENABLE << 32);
    g_assert_cmphex(get(&r, TAIL), ==, 0);
    g_assert_cmphex(get8(&r, LOST), ==, 0);
    set(&r, HEAD, 1);
    g_assert_cmphex(get(&r, STATE), ==, stopped(WHY_TAKEN));
    set(&r, CONTROL, 0);
    r = ring_on(h, 16, 0);
    set(&r, HEAD, 16);
    g_assert_cmphex(get(&r, STATE), ==, stopped(WHY_INDEX));
    qtest_system_reset(h->qts);
    cxlf_host_program(h);
    for (unsigned reg = BASE; reg < END; reg += 8) {
        g_assert_cmphex(get8(&r, reg), ==, 0);
    }
    cxlf_host_stop(h);
}

/* Another host takes pages: each loss is told, with the request for it. */
static void test_pages(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Ring r = ring_on(f->h[0], 64, 1u << BISNP | 1u << OWNERSHIP);

    for (unsigned i = 0; i < 100; i++) {
        uint64_t dpa = BULK + i * 3 * CXLF_PAGE;
        bool lost = false, asked = false;

        cxlf_store(&f->r[0], dpa, i, 8);
        cxlf_store(&f->r[1], dpa, i, 8);
        while (!lost || !asked) {
            Event e = take(&r);
            bool here = e.dpa <= dpa && dpa < e.dpa + e.length;

            g_assert_cmpuint(e.gfam, ==, 0);
            g_assert_cmphex(e.host, ==, UINT32_MAX);
            g_assert_cmphex(e.dpa % CXLF_PAGE, ==, 0);
            g_assert_cmphex(e.length % CXLF_PAGE, ==, 0);
            lost |= here && e.kind == OWNERSHIP;
            asked |= here && e.kind == BISNP;
        }
    }
    g_assert_cmphex(get8(&r, LOST), ==, 0);
    cxlf_fabric_stop(f);
}

/* Host 1 takes pages of host 0, one by one. */
static void take_pages(CxlfFabric *f, uint64_t base, unsigned pages)
{
    for (int host = 0; host < 2; host++) {
        for (unsigned i = 0; i < pages; i++) {
            cxlf_store(&f->r[host], base + i * CXLF_PAGE, i, 8);
        }
    }
}

/* The same: the events say so many losses as are wanted, and no more. */
static unsigned count_losses(Ring *r, CxlfFabric *f, uint64_t base,
                             unsigned pages, uint64_t want)
{
    uint64_t counted = 0;
    unsigned events = 0;
    Event e;

    take_pages(f, base, pages);
    while (counted < want) {
        e = take(r);
        g_assert_cmpuint(e.kind, ==, OWNERSHIP);
        counted += e.count;
        events++;
    }
    g_assert_cmpuint(counted, ==, want);
    g_assert_false(poll(r, &e));
    return events;
}

static void test_sample(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", " -global "
                                      "dpu-eca.grain-max=4K");
    Ring r = ring_on(f->h[0], 4096, 1u << OWNERSHIP);

    g_assert_cmpuint(count_losses(&r, f, BULK, 256, 256), ==, 256);
    set(&r, CONTROL, 0);
    r = ring_on(f->h[0], 4096, 1u << OWNERSHIP);
    set(&r, SAMPLE, 4);
    /* The first, and then each 16th, with those before it. */
    g_assert_cmpuint(count_losses(&r, f, BULK + 2 * MIB, 256, 241), ==, 16);
    cxlf_fabric_stop(f);
}

/* A guest that takes none loses some, and is told how many. */
static void test_overflow(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", " -global "
                                      "dpu-eca.grain-max=4K");
    Ring r = ring_on(f->h[0], 4, 1u << OWNERSHIP);
    enum { PAGES = 1300 };
    gint64 deadline = cxlf_deadline();
    unsigned n = 0;
    Event e;

    take_pages(f, BULK, PAGES);
    /* 3 are in the ring, and 1024 are kept. */
    while (get8(&r, LOST) != PAGES - 1024 - 3) {
        g_assert_cmpuint(get8(&r, LOST), <, PAGES - 1024 - 3);
        cxlf_pause(deadline, "lost events");
    }
    for (; n < 1024 + 3; n++) {
        e = take(&r);
        g_assert_cmphex(e.dpa, ==, BULK + n * CXLF_PAGE);
        g_assert_cmpuint(e.count, ==, 1);
    }
    g_assert_false(poll(&r, &e));
    /* The next one counts those that were lost. */
    cxlf_store(&f->r[0], BULK, 1, 8);
    cxlf_store(&f->r[1], BULK, 1, 8);
    e = take(&r);
    g_assert_cmphex(e.dpa, ==, BULK);
    g_assert_cmpuint(e.count, ==, PAGES - 1024 - 3 + 1);
    g_assert_cmpuint(get8(&r, LOST), ==, PAGES - 1024 - 3);
    set(&r, CONTROL, 0);
    g_assert_cmpuint(get8(&r, LOST), ==, 0);
    cxlf_fabric_stop(f);
}

/* The directory takes lines without asking. */
static void test_lines(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", CXLF_NEVER_MAPPED);
    Ring r = ring_on(f->h[0], 64, 1u << RECEIVED);
    uint64_t counted = 0;

    for (unsigned i = 0; i < 50; i++) {
        cxlf_store(&f->r[0], i * 64, 1, 8);
        cxlf_store(&f->r[1], i * 64, 1, 8);
    }
    while (counted < 50) {
        Event e = take(&r);

        g_assert_cmpuint(e.kind, ==, RECEIVED);
        g_assert_cmphex(e.dpa, ==, UINT64_MAX);
        g_assert_cmphex(e.gfam, ==, UINT32_MAX);
        counted += e.count;
    }
    g_assert_cmpuint(counted, ==, 50);
    cxlf_fabric_stop(f);
}

static void test_hosts(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",on-death=poison", "");
    Ring r = ring_on(f->h[0], 64, 1u << HOST_LIFE | 1u << POISON);
    uint32_t life = qtest_readl(f->h[0]->qts, f->h[0]->eca + 0x4004);
    bool died = false, poisoned = false;
    Event e;

    cxlf_store(&f->r[1], BULK + 5 * CXLF_PAGE, 1, 8);
    g_assert_cmpint(kill(qtest_pid(f->h[1]->qts), SIGKILL), ==, 0);
    while (!died || !poisoned) {
        e = take(&r);
        g_assert_cmpuint(e.host, ==, 1);
        if (e.kind == HOST_LIFE) {
            g_assert_cmpuint(e.data[0], ==, life);
            g_assert_cmpuint(e.data[1], ==, 0);
            died = true;
        } else {
            g_assert_cmpuint(e.kind, ==, POISON);
            g_assert_cmpuint(e.gfam, ==, 0);
            poisoned |= e.dpa <= BULK + 5 * CXLF_PAGE &&
                        e.dpa + e.length > BULK + 5 * CXLF_PAGE;
        }
    }
    cxlf_host_forget(f->h[1]);
    f->h[1] = NULL;
    cxlf_fabric_host(f, 1, "");
    e = take_kind(&r, HOST_LIFE);
    g_assert_cmpuint(e.host, ==, 1);
    g_assert_cmpuint(e.data[0], ==, 0);
    g_assert_cmpuint(e.data[1], !=, life);
    g_assert_cmpuint(e.data[1], ==,
                     qtest_readl(f->h[0]->qts, f->h[0]->eca + 0x4004));
    /* What happened while it was off is no event. */
    set(&r, CONTROL, 0);
    cxlf_host_stop(f->h[1]);
    f->h[1] = NULL;
    while (qtest_readl(f->h[0]->qts, f->h[0]->eca + 0x4004)) {
        g_usleep(1000);
    }
    r = ring_on(f->h[0], 64, 1u << HOST_LIFE);
    cxlf_fabric_host(f, 1, "");
    e = take(&r);
    g_assert_cmpuint(e.data[0], ==, 0);
    cxlf_fabric_stop(f);
}

static void test_conflict(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Ring r = ring_on(f->h[1], 64, 1u << CONFLICT);
    Event e;

    cxlf_set_bulk_mode(f, "software");
    cxlf_store(&f->r[0], BULK + 64, 1, 8);
    cxlf_store(&f->r[1], BULK + 64, 2, 8);
    for (int i = 0; i < 2; i++) {
        qtest_writeq(f->h[i]->qts, f->h[i]->eca + 0x200, BULK);
        qtest_writeq(f->h[i]->qts, f->h[i]->eca + 0x208, CXLF_PAGE);
        qtest_writeq(f->h[i]->qts, f->h[i]->eca + 0x210, 1ull << 32);
    }
    e = take(&r);
    g_assert_cmpuint(e.kind, ==, CONFLICT);
    g_assert_cmpuint(e.host, ==, 0);
    g_assert_cmpuint(e.gfam, ==, 0);
    g_assert_cmphex(e.dpa, ==, BULK + 64);
    g_assert_cmpuint(e.length, ==, 64);
    g_assert_cmpuint(e.data[0], ==, 1);     /* write-write */
    g_assert_cmpuint(e.data[1], ==, 2);     /* flush */
    cxlf_fabric_stop(f);
}

/* A peer plays the owner that takes a leaf down. */
static void take_leaf_down(const char *path, const void *data)
{
    PeerFabric fabric;
    int fd = peer_connect(path);

    peer_join_fabric(fd, 1, &fabric);
    cxlf_leaf_set(&fabric.directory, 1, CXLF_LEAF_DOWN);
    _exit(0);
}

static void test_leaf(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, ",hosts=2,leaves=2", "");
    Ring r = ring_on(f->h[0], 64, 1u << LEAF);
    pid_t pid = peer_fork(f->path, take_leaf_down, NULL);
    Event e = take(&r);

    g_assert_cmpuint(e.kind, ==, LEAF);
    g_assert_cmpuint(e.data[0], ==, 1);
    g_assert_cmpuint(e.data[1], ==, CXLF_LEAF_UP);
    g_assert_cmpuint(e.data[2], ==, CXLF_LEAF_DOWN);
    waitpid(pid, NULL, 0);
    cxlf_fabric_stop(f);
}

/* Pages beyond the quota. */
static void test_capacity(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, ",line-entries=1024",
                                      " -global dpu-eca.precise-quota=2");
    Ring r = ring_on(f->h[0], 64, 1u << CAPACITY);
    QTestState *qts = f->h[0]->qts;
    uint64_t regs = f->h[0]->eca;
    gint64 deadline = cxlf_deadline();
    Event e;

    qtest_writeq(qts, regs + 0x200, BULK);
    qtest_writeq(qts, regs + 0x208, 4 * CXLF_PAGE);
    qtest_writeq(qts, regs + 0x210, 19ull << 32);
    while (qtest_readl(qts, regs + 0x218) == 5) {
        cxlf_pause(deadline, "the end of a command");
    }
    e = take(&r);
    g_assert_cmpuint(e.kind, ==, CAPACITY);
    g_assert_cmpuint(e.host, ==, 0);
    g_assert_cmpuint(e.data[0], ==, 1);
    g_assert_cmphex(e.dpa, ==, UINT64_MAX);
    cxlf_fabric_stop(f);
}

static void test_interrupt(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfHost *h = f->h[0];
    Ring r;

    cxlf_msix_on(h);
    cxlf_msix_vector(h, VECTOR, false);
    r = ring_on(h, 64, 1u << OWNERSHIP);
    cxlf_store(&f->r[0], BULK, 1, 8);
    cxlf_store(&f->r[1], BULK, 1, 8);
    take(&r);
    g_assert_cmphex(cxlf_msix_message(h, VECTOR), ==, 0);
    set(&r, CONTROL, ENABLE | INTERRUPT);
    cxlf_store(&f->r[0], BULK, 1, 8);
    cxlf_store(&f->r[1], BULK, 1, 8);
    take(&r);
    cxlf_msix_wait(h, VECTOR);
    /* Where no memory is, the ring stops. */
    set(&r, CONTROL, 0);
    set8(&r, BASE, RAM_END);
    set(&r, CONTROL, ENABLE | INTERRUPT);
    g_assert_cmphex(get(&r, STATE), ==, ON);
    cxlf_store(&f->r[0], BULK, 1, 8);
    cxlf_store(&f->r[1], BULK, 1, 8);
    cxlf_msix_wait(h, VECTOR);
    g_assert_cmphex(get(&r, STATE), ==, stopped(WHY_DMA));
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/events/registers", test_registers);
    qtest_add_func("/cxlf/events/pages", test_pages);
    qtest_add_func("/cxlf/events/sample", test_sample);
    qtest_add_func("/cxlf/events/overflow", test_overflow);
    qtest_add_func("/cxlf/events/lines", test_lines);
    qtest_add_func("/cxlf/events/hosts", test_hosts);
    qtest_add_func("/cxlf/events/conflict", test_conflict);
    qtest_add_func("/cxlf/events/leaf", test_leaf);
    qtest_add_func("/cxlf/events/capacity", test_capacity);
    qtest_add_func("/cxlf/events/interrupt", test_interrupt);
    return g_test_run();
}
