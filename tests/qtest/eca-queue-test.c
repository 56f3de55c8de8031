/*
 * QTest of the agent's queues
 *
 * Offsets and numbers are those of docs/specs/dpu-eca.rst, written down again
 * here.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxlf-eca.h"
#include "cxlf-hdm.h"

#define BULK        CLASS_SIZE      /* DPA where BULK begins */
#define BLOCK       (2 * MIB)
#define BLOCK_PAGES (BLOCK / CXLF_PAGE)

/* Memory of the guest */
#define RINGS       0x1000000       /* of queue 0, 64 KiB for each queue */
#define LIST        0x2000000
#define OUTPUT      0x3000000
#define RAM_END     (128 * MIB)

#define QUEUES      4
#define QUEUE(q)    (0x1000 + (q) * 0x40)
enum {
    SQ_BASE = 0x00, CQ_BASE = 0x08, SQ_SIZE = 0x10, CQ_SIZE = 0x14,
    CONTROL = 0x18, STATE = 0x1c, SQ_TAIL = 0x20, SQ_HEAD = 0x24,
    CQ_HEAD = 0x28, CQ_TAIL = 0x2c, PROGRESS = 0x30,
};
enum { ENABLE = 1, INTERRUPT = 2, ABORT = 4 };
enum { OFF_ = 0, ON = 1, STOPPED = 2 };
enum { WHY_SETUP = 1, WHY_DMA, WHY_INDEX, WHY_TAKEN };

enum {
    FLUSH = 1, INVALIDATE, BOTH, SHARED = 16, OWNED, RELEASE, PROMOTE, DEMOTE,
    PREFETCH, RESERVE, UNRESERVE, SET_MODE = 32, HOLDINGS = 40, COUNTERS,
    FENCE = 48, COPY_OUT = 64, COPY_IN, COPY_ACROSS, MESSAGE = 80, ASK,
};

enum {
    DONE, UNKNOWN, RANGE, TOO_LONG, LOST, BUSY, PARTLY, OFF, TAKEN, FULL, NONE,
    ABORTED, MALFORMED, ADDRESS, AGAIN, AWAY,
};

enum { WITH_LIST = 1, QUIET = 2 };
#define NOWHERE     UINT64_MAX

typedef struct QEMU_PACKED Submission {
    uint16_t command, flags;
    uint32_t tag, gfam, count;
    uint64_t dpa, length, address;
    uint32_t target;
    uint8_t zero[20];
} Submission;

typedef struct QEMU_PACKED Completion {
    uint32_t tag;
    uint16_t status, phase;
    uint64_t done, where;
    uint32_t sq_head, zero;
} Completion;

QEMU_BUILD_BUG_ON(sizeof(Submission) != 64);
QEMU_BUILD_BUG_ON(sizeof(Completion) != 32);

/* A queue as a driver has it. */
typedef struct Queue {
    CxlfHost *h;
    unsigned number;
    uint64_t sq, cq;
    uint32_t sq_size, cq_size;
    uint32_t tail, head;
    uint16_t phase;
    uint32_t tag;
} Queue;

static uint32_t get(const Queue *q, unsigned reg)
{
    return qtest_readl(q->h->qts, q->h->eca + QUEUE(q->number) + reg);
}

static uint64_t get8(const Queue *q, unsigned reg)
{
    return qtest_readq(q->h->qts, q->h->eca + QUEUE(q->number) + reg);
}

static void set(const Queue *q, unsigned reg, uint32_t value)
{
    qtest_writel(q->h->qts, q->h->eca + QUEUE(q->number) + reg, value);
}

static void set8(const Queue *q, unsigned reg, uint64_t value)
{
    qtest_writeq(q->h->qts, q->h->eca + QUEUE(q->number) + reg, value);
}

static uint32_t stopped(uint32_t why)
{
    return STOPPED | why << 8;
}

static void wait_state(const Queue *q, uint32_t state)
{
    gint64 deadline = cxlf_deadline();

    while (get(q, STATE) != state) {
        cxlf_pause(deadline, "the state of a queue");
    }
}

static Queue queue_at(CxlfHost *h, unsigned number, uint32_t sq_size,
                      uint32_t cq_size)
{
    Queue q = {
        .h = h, .number = number, .sq_size = sq_size, .cq_size = cq_size,
        .sq = RINGS + number * 0x100000, .phase = 1,
    };

    q.cq = q.sq + 0x80000;
    return q;
}

static void configure(const Queue *q)
{
    set8(q, SQ_BASE, q->sq);
    set8(q, CQ_BASE, q->cq);
    set(q, SQ_SIZE, q->sq_size);
    set(q, CQ_SIZE, q->cq_size);
}

static Queue queue_on(CxlfHost *h, unsigned number, uint32_t sq_size,
                      uint32_t cq_size)
{
    Queue q = queue_at(h, number, sq_size, cq_size);

    qtest_memset(h->qts, q.cq, 0, cq_size * sizeof(Completion));
    configure(&q);
    set(&q, CONTROL, ENABLE);
    g_assert_cmphex(get(&q, STATE), ==, ON);
    return q;
}

/* Put an entry into the ring; ring() tells the agent. */
static void put(Queue *q, Submission s)
{
    s = (Submission) {
        .command = cpu_to_le16(s.command), .flags = cpu_to_le16(s.flags),
        .tag = cpu_to_le32(++q->tag), .gfam = cpu_to_le32(s.gfam),
        .count = cpu_to_le32(s.count), .dpa = cpu_to_le64(s.dpa),
        .length = cpu_to_le64(s.length), .address = cpu_to_le64(s.address),
        .target = cpu_to_le32(s.target),
    };
    qtest_memwrite(q->h->qts, q->sq + q->tail * sizeof(s), &s, sizeof(s));
    q->tail = (q->tail + 1) % q->sq_size;
}

static void ring(Queue *q)
{
    set(q, SQ_TAIL, q->tail);
}

/* A completion, if there is one. */
static bool poll(Queue *q, Completion *c)
{
    qtest_memread(q->h->qts, q->cq + q->head * sizeof(*c), c, sizeof(*c));
    if (le16_to_cpu(c->phase) != q->phase) {
        return false;
    }
    *c = (Completion) {
        .tag = le32_to_cpu(c->tag), .status = le16_to_cpu(c->status),
        .phase = le16_to_cpu(c->phase), .done = le64_to_cpu(c->done),
        .where = le64_to_cpu(c->where), .sq_head = le32_to_cpu(c->sq_head),
        .zero = le32_to_cpu(c->zero),
    };
    g_assert_cmpuint(c->zero, ==, 0);
    q->head = (q->head + 1) % q->cq_size;
    q->phase ^= !q->head;
    return true;
}

static Completion take(Queue *q)
{
    gint64 deadline = cxlf_deadline();
    Completion c;

    while (!poll(q, &c)) {
        g_assert_cmphex(get(q, STATE), ==, ON);
        cxlf_pause(deadline, "a completion");
    }
    set(q, CQ_HEAD, q->head);
    return c;
}

static Completion give(Queue *q, Submission s)
{
    Completion c;

    put(q, s);
    ring(q);
    c = take(q);
    g_assert_cmpuint(c.tag, ==, q->tag);
    g_assert_cmpuint(c.sq_head, ==, q->tail);
    return c;
}

static Submission on_range(uint16_t command, uint64_t dpa, uint64_t length)
{
    return (Submission) { .command = command, .dpa = dpa, .length = length };
}

static void expect(Queue *q, Submission s, uint16_t status, uint64_t done,
                   uint64_t where)
{
    Completion c = give(q, s);

    g_assert_cmpuint(c.status, ==, status);
    g_assert_cmpuint(c.done, ==, done);
    g_assert_cmphex(c.where, ==, where);
}

static void expect_done(Queue *q, Submission s, uint64_t done)
{
    expect(q, s, DONE, done, NOWHERE);
}

static void expect_status(Queue *q, Submission s, uint16_t status)
{
    Completion c = give(q, s);

    g_assert_cmpuint(c.status, ==, status);
    g_assert_cmpuint(c.done, ==, 0);
}

static Submission list_of(CxlfHost *h, uint16_t command,
                          const uint64_t (*ranges)[2], uint32_t count)
{
    g_autofree uint64_t *list = g_new(uint64_t, 2 * count);

    for (uint32_t i = 0; i < count; i++) {
        list[2 * i] = cpu_to_le64(ranges[i][0]);
        list[2 * i + 1] = cpu_to_le64(ranges[i][1]);
    }
    qtest_memwrite(h->qts, LIST, list, 16 * count);
    return (Submission) {
        .command = command, .flags = WITH_LIST, .count = count,
        .address = LIST,
    };
}

/* Registers */

static void test_registers(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");

    for (unsigned i = 0; i < QUEUES; i++) {
        Queue q = queue_at(h, i, 16, 32);

        for (unsigned reg = 0; reg < 0x40; reg += 8) {
            g_assert_cmphex(get8(&q, reg), ==, 0);
        }
        configure(&q);
        g_assert_cmphex(get8(&q, SQ_BASE), ==, q.sq);
        g_assert_cmphex(get(&q, CQ_BASE), ==, (uint32_t)q.cq);
        set(&q, CQ_BASE + 4, 0x12);
        g_assert_cmphex(get8(&q, CQ_BASE), ==, q.cq | 0x12ull << 32);
        set8(&q, CQ_BASE, q.cq);
        g_assert_cmphex(get8(&q, SQ_SIZE), ==, 16 | 32ull << 32);
        set8(&q, SQ_SIZE, 64 | 128ull << 32);
        g_assert_cmphex(get8(&q, SQ_SIZE), ==, 64 | 128ull << 32);
        /* Off: it has no indexes. */
        set(&q, SQ_TAIL, 1);
        set(&q, CQ_HEAD, 1);
        g_assert_cmphex(get8(&q, SQ_TAIL), ==, 0);
        g_assert_cmphex(get8(&q, CQ_HEAD), ==, 0);
        g_assert_cmphex(get(&q, STATE), ==, OFF_);

        set(&q, CONTROL, ENABLE | INTERRUPT | ABORT | 0xfffffff8);
        g_assert_cmphex(get8(&q, CONTROL), ==,
                        ENABLE | INTERRUPT | (uint64_t)ON << 32);
        set8(&q, SQ_BASE, 0);
        set8(&q, CQ_BASE, 0);
        set8(&q, SQ_SIZE, 0);
        set(&q, STATE, 0);
        set(&q, SQ_HEAD, 5);
        set(&q, CQ_TAIL, 5);
        set8(&q, PROGRESS, 5);
        g_assert_cmphex(get8(&q, SQ_BASE), ==, q.sq);
        g_assert_cmphex(get8(&q, CQ_BASE), ==, q.cq);
        g_assert_cmphex(get8(&q, SQ_SIZE), ==, 64 | 128ull << 32);
        g_assert_cmphex(get8(&q, SQ_TAIL), ==, 0);
        g_assert_cmphex(get8(&q, CQ_HEAD), ==, 0);
        g_assert_cmphex(get(&q, STATE), ==, ON);
        g_assert_cmphex(get8(&q, PROGRESS), ==, 0);
        set(&q, CONTROL, 0);
        g_assert_cmphex(get(&q, STATE), ==, OFF_);
        g_assert_cmphex(get8(&q, SQ_BASE), ==, q.sq);
    }
    cxlf_host_stop(h);
}

static void test_setup(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    static const uint32_t sizes[] = { 0, 1, 3, 12, 4095, 8192, 0x80000000 };
    Queue good = queue_at(h, 1, 4096, 4096), q;

    for (unsigned i = 0; i < ARRAY_SIZE(sizes) + 2; i++) {
        for (unsigned ring = 0; ring < 2; ring++) {
            q = good;
            if (i < ARRAY_SIZE(sizes)) {
                *(ring ? &q.cq_size : &q.sq_size) = sizes[i];
            } else {
                *(ring ? &q.cq : &q.sq) += i & 1 ? 8 : ring ? 16 : 32;
            }
            configure(&q);
            set(&q, CONTROL, ENABLE);
            g_assert_cmphex(get(&q, STATE), ==, stopped(WHY_SETUP));
            /* Stopped, it takes nothing until it is off. */
            set(&q, SQ_TAIL, 1);
            configure(&good);
            g_assert_cmphex(get8(&q, SQ_TAIL), ==, 0);
            set(&q, CONTROL, ENABLE);
            g_assert_cmphex(get(&q, STATE), ==, stopped(WHY_SETUP));
            set(&q, CONTROL, 0);
            g_assert_cmphex(get(&q, STATE), ==, OFF_);
        }
    }
    q = queue_on(h, 1, 4096, 4096);
    expect_done(&q, (Submission) { .command = FENCE }, 0);
    set(&q, CONTROL, 0);
    q = queue_on(h, 1, 2, 2);
    for (int i = 0; i < 5; i++) {
        expect_done(&q, (Submission) { .command = FENCE }, 0);
    }
    cxlf_host_stop(h);
}

/* An index that stops a queue, after so many commands that have ended. */
static void expect_stop(CxlfHost *h, unsigned commands, unsigned reg,
                        uint32_t value, uint32_t why)
{
    Queue q = queue_on(h, 0, 8, 16);

    while (commands--) {
        expect_done(&q, (Submission) { .command = FENCE }, 0);
    }
    set(&q, reg, value);
    g_assert_cmphex(get(&q, STATE), ==, stopped(why));
    set(&q, CONTROL, 0);
}

/* Each stop, and that another queue goes on. */
static void test_stops(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", CXLF_EDU);
    const uint64_t bad[] = {
        RAM_END, RAM_END - 64, 0xfffffffffffff000, h->eca + 0x1000, h->edu,
        1ull << 60,
    };
    Queue other = queue_on(h, 3, 8, 8), q;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        for (unsigned ring = 0; ring < 2; ring++) {
            q = queue_at(h, 0, 8, 8);
            *(ring ? &q.cq : &q.sq) = bad[i];
            configure(&q);
            set(&q, CONTROL, ENABLE);
            g_assert_cmphex(get(&q, STATE), ==, ON);
            for (unsigned n = 0; ring && n < 4; n++) {
                put(&q, (Submission) { .command = FENCE });
            }
            /* The last entries before the end can still be read. */
            set(&q, SQ_TAIL, 4);
            wait_state(&q, stopped(WHY_DMA));
            set(&q, CONTROL, 0);
        }
    }
    expect_stop(h, 0, SQ_TAIL, 8, WHY_INDEX);
    expect_stop(h, 0, SQ_TAIL, 0xffffffff, WHY_INDEX);
    expect_stop(h, 0, CQ_HEAD, 16, WHY_INDEX);
    expect_stop(h, 0, CQ_HEAD, 1, WHY_TAKEN);
    expect_stop(h, 1, CQ_HEAD, 0, WHY_TAKEN);

    /* Without bus mastering nothing can be reached. */
    cxlf_config_writew(h, BDF_ECA, 4, 2);
    q = queue_on(h, 0, 8, 8);
    put(&q, (Submission) { .command = FENCE });
    ring(&q);
    wait_state(&q, stopped(WHY_DMA));
    cxlf_config_writew(h, BDF_ECA, 4, 6);

    expect_done(&other, (Submission) { .command = FENCE }, 0);
    cxlf_host_stop(h);
}

/* Rings go round; phases alternate; nothing is lost when none is taken. */
static void test_room(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    gint64 deadline = cxlf_deadline();
    Queue q = queue_on(h, 2, 64, 4);
    Completion c;

    for (unsigned round = 0; round < 10; round++) {
        for (int i = 0; i < 20; i++) {
            put(&q, (Submission) { .command = FENCE });
        }
        ring(&q);
        while (get(&q, CQ_TAIL) != (q.head + 3) % 4) {
            cxlf_pause(deadline, "a full ring");
        }
        /* Three have ended, and no other was fetched. */
        g_assert_cmpuint(get(&q, SQ_HEAD), ==, (round * 20 + 3) % 64);
        for (int i = 0; i < 20; i++) {
            c = take(&q);
            g_assert_cmpuint(c.tag, ==, round * 20 + i + 1);
            g_assert_cmpuint(c.sq_head, ==, c.tag % 64);
        }
        g_assert_false(poll(&q, &c));
    }
    cxlf_host_stop(h);
}

/* Rings in BULK, which the other host can take away. */
static void test_shared_rings(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue q = queue_at(f->h[0], 0, 16, 16);

    q.sq = f->r[0].base + BULK;
    q.cq = q.sq + CXLF_PAGE;
    configure(&q);
    set(&q, CONTROL, ENABLE);
    for (int i = 0; i < 40; i++) {
        put(&q, on_range(OWNED, BULK + BLOCK, CXLF_PAGE));
        cxlf_store(&f->r[1], BULK + CXLF_PAGE - 8, i, 8);
        cxlf_store(&f->r[1], BULK + 2 * CXLF_PAGE - 8, i, 8);
        ring(&q);
        g_assert_cmpuint(take(&q).status, ==, DONE);
    }
    /* HOT, of which accesses are trapped, is no place for them. */
    set(&q, CONTROL, 0);
    q = queue_at(f->h[0], 0, 16, 16);
    q.sq = f->r[0].base;
    configure(&q);
    set(&q, CONTROL, ENABLE);
    set(&q, SQ_TAIL, 1);
    wait_state(&q, stopped(WHY_DMA));
    cxlf_fabric_stop(f);
}

/* Commands */

static void test_pages(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",line-entries=4096",
                                      CXLF_NEVER_MAPPED);
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[1], 0, 16, 16);
    CxlfCounters d;

    expect_done(&a, on_range(OWNED, BULK, 3 * BLOCK), 3 * BLOCK_PAGES);
    d = cxlf_counted(f, 0);
    g_assert_cmpuint(d.n[CXLF_PAGE_MAPPED], ==, 3 * BLOCK_PAGES);
    g_assert_cmpuint(d.n[CXLF_PAGE_FAULT], ==, 0);
    cxlf_store(&f->r[0], BULK + 5 * CXLF_PAGE, 5, 8);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_FAULT], ==, 0);

    /* Not aligned to pages, nor to blocks: 1 + 512 + 1 pages. */
    expect_done(&b, on_range(SHARED, BULK + BLOCK - 1, BLOCK + 2),
                BLOCK_PAGES + 2);
    g_assert_cmpuint(cxlf_counted(f, 1).n[CXLF_PAGE_MAPPED], ==,
                     BLOCK_PAGES + 2);
    expect_done(&a, on_range(RELEASE, BULK, 3 * BLOCK), 3 * BLOCK_PAGES);
    cxlf_counted(f, 1);
    expect_done(&b, on_range(OWNED, BULK, 3 * BLOCK), 3 * BLOCK_PAGES);
    g_assert_cmpuint(cxlf_counted(f, 1).n[CXLF_MESSAGE], ==, 0);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK + 5 * CXLF_PAGE, 8), ==, 5);

    expect_done(&a, on_range(PROMOTE, BULK + 4 * BLOCK, 4 * CXLF_PAGE), 4);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PROMOTION], ==, 4);
    expect(&a, on_range(OWNED, BULK + 4 * BLOCK, 8 * CXLF_PAGE), PARTLY, 4,
           0);
    expect_done(&a, on_range(DEMOTE, BULK + 4 * BLOCK, 8 * CXLF_PAGE), 8);
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_DEMOTION], ==, 4);

    /* A prefetch does not wait for the other host, but asks it. */
    g_assert_cmpuint(give(&a, on_range(PREFETCH, BULK, BLOCK)).status, ==,
                     DONE);
    for (unsigned i = 0; i < BLOCK_PAGES; i++) {
        cxlf_load(&f->r[0], BULK + i * CXLF_PAGE, 8);
    }
    g_assert_cmpuint(cxlf_counted(f, 0).n[CXLF_PAGE_MAPPED], ==,
                     BLOCK_PAGES);

    /* All of a device. */
    expect_done(&a, on_range(OWNED, BULK, CLASS_SIZE), CLASS_SIZE / CXLF_PAGE);
    expect_done(&a, on_range(RELEASE, 0, 2 * CLASS_SIZE),
                2 * CLASS_SIZE / CXLF_PAGE);
    cxlf_fabric_stop(f);
}

static void test_list(void)
{
    enum { RANGES = 3000 };
    g_autofree uint64_t (*ranges)[2] = g_malloc(RANGES * sizeof(*ranges));
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Queue q = queue_on(h, 0, 16, 16);
    Submission s;

    for (unsigned i = 0; i < RANGES; i++) {
        ranges[i][0] = BULK + 3ull * i * CXLF_PAGE;
        ranges[i][1] = (1 + i % 2) * CXLF_PAGE;
    }
    expect_done(&q, list_of(h, OWNED, ranges, RANGES), RANGES * 3 / 2);
    expect_done(&q, list_of(h, RELEASE, ranges, RANGES), RANGES * 3 / 2);
    expect_done(&q, list_of(h, FLUSH, ranges, RANGES), 0);
    /* Some fail; the first is told, and the others are done. */
    ranges[1234][1] = 0;
    ranges[1235][0] = 2 * CLASS_SIZE;
    ranges[2999][1] = -1ull;
    expect(&q, list_of(h, OWNED, ranges, RANGES), RANGE,
           RANGES * 3 / 2 - 1 - 2 - 2, 1234);
    /* Short ones, and one of many blocks among them. */
    ranges[0][0] = BULK;
    ranges[0][1] = CLASS_SIZE;
    ranges[1][0] = BULK + CXLF_PAGE;
    ranges[1][1] = 1;
    expect_done(&q, list_of(h, SHARED, ranges, 2), CLASS_SIZE / CXLF_PAGE + 1);

    /* The list's form. */
    s = list_of(h, OWNED, ranges, 2);
    s.count = 0;
    expect_status(&q, s, MALFORMED);
    s.count = 65537;
    expect_status(&q, s, MALFORMED);
    s.count = 2;
    s.dpa = 1;
    expect_status(&q, s, MALFORMED);
    s.dpa = 0;
    s.length = 1;
    expect_status(&q, s, MALFORMED);
    s.length = 0;
    s.address = LIST + 8;
    expect_status(&q, s, MALFORMED);
    s.command = FENCE;
    s.address = LIST;
    expect_status(&q, s, MALFORMED);
    s.command = HOLDINGS;
    expect_status(&q, s, MALFORMED);
    /* Where it is. */
    s.command = OWNED;
    s.address = RAM_END - 16;
    expect(&q, s, ADDRESS, 0, 0);
    s.address = h->eca;
    expect(&q, s, ADDRESS, 0, 0);
    s.address = -16ull;
    expect(&q, s, ADDRESS, 0, 0);
    /* The first 256 ranges could be read, and are done. */
    for (unsigned i = 0; i < 256; i++) {
        uint64_t range[2] = { cpu_to_le64(BULK + i * CXLF_PAGE),
                              cpu_to_le64(CXLF_PAGE) };

        qtest_memwrite(h->qts, RAM_END - 4096 + 16 * i, range, 16);
    }
    s.address = RAM_END - 4096;
    s.count = 257;
    expect(&q, s, ADDRESS, 256, 256);
    cxlf_host_stop(h);
}

static void test_copies(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[1], 3, 16, 16);
    const uint64_t ranges[3][2] = {
        { BULK, 64 }, { BULK + CXLF_PAGE + 10, 60 }, { BULK + BLOCK, 4096 },
    };

    /* In coherent mode there is nothing to do. */
    expect_done(&a, on_range(FLUSH, BULK, CLASS_SIZE), 0);
    cxlf_set_bulk_mode(f, "software");
    expect(&a, on_range(OWNED, BULK, BLOCK), OFF, 0, 0);
    expect(&a, on_range(OWNED, BULK - BLOCK, 2 * BLOCK), OFF, 0, 0);

    g_assert_cmpuint(cxlf_load(&f->r[1], BULK, 8), ==, 0);
    cxlf_store(&f->r[0], BULK, 1, 8);
    cxlf_store(&f->r[0], BULK + CXLF_PAGE + 64, 2, 8);
    cxlf_store(&f->r[0], BULK + BLOCK, 3, 8);
    cxlf_store(&f->r[0], BULK + BLOCK + 64, 4, 8);
    cxlf_store(&f->r[0], BULK + 2 * BLOCK, 5, 8);
    expect_done(&a, list_of(f->h[0], FLUSH, ranges, 3), 4);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK, 8), ==, 0);
    expect_done(&b, on_range(INVALIDATE, BULK, 64), 0);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK, 8), ==, 1);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK + CXLF_PAGE + 64, 8), ==, 2);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK + 2 * BLOCK, 8), ==, 0);
    expect_done(&a, on_range(BOTH, BULK, CLASS_SIZE), 1);
    expect_done(&b, on_range(INVALIDATE, BULK, CLASS_SIZE), 0);
    g_assert_cmpuint(cxlf_load(&f->r[1], BULK + 2 * BLOCK, 8), ==, 5);
    /* HOT has no private copies. */
    expect(&a, on_range(FLUSH, 0, 64), RANGE, 0, 0);
    expect(&a, on_range(FLUSH, BULK, CLASS_SIZE + 1), RANGE, 0, 0);
    cxlf_set_bulk_mode(f, "coherent");
    cxlf_fabric_stop(f);
}

static void test_reserve(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue a = queue_on(f->h[0], 0, 128, 128), b = queue_on(f->h[1], 1, 16, 16);
    uint64_t ranges[65][2];

    expect_done(&a, on_range(RESERVE, BULK, BLOCK), 1);
    expect(&b, on_range(RESERVE, BULK + CXLF_PAGE, CXLF_PAGE), TAKEN, 0, 0);
    expect(&b, on_range(UNRESERVE, BULK, BLOCK), NONE, 0, 0);
    expect(&a, on_range(RESERVE, BULK + 1, CXLF_PAGE), RANGE, 0, 0);
    expect(&a, on_range(RESERVE, BULK, 2 * CLASS_SIZE), RANGE, 0, 0);
    expect_done(&a, on_range(UNRESERVE, BULK, BLOCK), 1);
    for (unsigned i = 0; i < 65; i++) {
        ranges[i][0] = BULK + 2 * i * CXLF_PAGE;
        ranges[i][1] = CXLF_PAGE;
    }
    expect(&a, list_of(f->h[0], RESERVE, ranges, 65), FULL, 64, 64);
    expect(&b, on_range(RESERVE, BULK + BLOCK, CXLF_PAGE), FULL, 0, 0);
    expect_done(&a, list_of(f->h[0], UNRESERVE, ranges, 64), 64);
    expect_done(&b, on_range(RESERVE, BULK, BLOCK), 1);
    cxlf_fabric_stop(f);
}

/* Registers and queues ask the owner one after the other. */
static void test_reserve_turns(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, "", "");
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[0], 1, 16, 16);
    pid_t owner = qtest_pid(f->owner);
    gint64 deadline = cxlf_deadline();
    QTestState *qts = f->h[0]->qts;
    uint64_t regs = f->h[0]->eca;
    Completion c;

    cxlf_freeze(owner);
    put(&a, on_range(RESERVE, BULK, CXLF_PAGE));
    put(&b, on_range(RESERVE, BULK + CXLF_PAGE, CXLF_PAGE));
    ring(&a);
    ring(&b);
    while (!get(&a, SQ_HEAD) || !get(&b, SQ_HEAD)) {
        cxlf_pause(deadline, "commands to be fetched");
    }
    qtest_writeq(qts, regs + 0x200, BULK);
    qtest_writeq(qts, regs + 0x208, CXLF_PAGE);
    qtest_writeq(qts, regs + 0x210, (uint64_t)RESERVE << 32);
    g_assert_cmpuint(qtest_readl(qts, regs + 0x218), ==, AGAIN);
    g_assert_false(poll(&a, &c));
    g_assert_false(poll(&b, &c));
    g_assert_cmpint(kill(owner, SIGCONT), ==, 0);
    g_assert_cmpuint(take(&a).status, ==, DONE);
    g_assert_cmpuint(take(&b).status, ==, DONE);

    cxlf_freeze(owner);
    qtest_writeq(qts, regs + 0x210, (uint64_t)UNRESERVE << 32);
    g_assert_cmpuint(qtest_readl(qts, regs + 0x218), ==, BUSY);
    put(&a, on_range(UNRESERVE, BULK, BLOCK));
    ring(&a);
    while (get(&a, SQ_HEAD) != 2) {
        cxlf_pause(deadline, "commands to be fetched");
    }
    g_assert_cmpint(kill(owner, SIGCONT), ==, 0);
    /* Without anybody's look at the registers. */
    c = take(&a);
    g_assert_cmpuint(c.status, ==, DONE);
    g_assert_cmpuint(qtest_readl(qts, regs + 0x218), ==, DONE);
    cxlf_fabric_stop(f);
}

static void test_holdings(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",line-entries=4096", "");
    Queue a = queue_on(f->h[0], 0, 16, 16);
    uint64_t pages = CLASS_SIZE / CXLF_PAGE;
    g_autofree uint8_t *held = g_malloc(pages + 1);
    Submission s = on_range(HOLDINGS, BULK, CLASS_SIZE);

    s.address = OUTPUT + 3;
    expect_done(&a, on_range(OWNED, BULK + 10 * CXLF_PAGE, CXLF_PAGE), 1);
    /* Who is alone owns it. */
    cxlf_load(&f->r[1], BULK + 12 * CXLF_PAGE, 8);
    expect_done(&a, on_range(SHARED, BULK + 12 * CXLF_PAGE, CXLF_PAGE), 1);
    expect_done(&a, on_range(PROMOTE, BULK + 5000 * CXLF_PAGE, CXLF_PAGE), 1);
    qtest_memset(f->h[0]->qts, OUTPUT, 0xaa, pages + 8);
    expect_done(&a, s, pages);
    qtest_memread(f->h[0]->qts, OUTPUT + 3, held, pages + 1);
    for (uint64_t i = 0; i < pages; i++) {
        g_assert_cmpuint(held[i], ==, i == 10 ? 2 : i == 12 ? 1 :
                         i == 5000 ? 3 : 0);
    }
    g_assert_cmphex(held[pages], ==, 0xaa);
    /* HOT is tracked by lines. */
    s.dpa = 0;
    s.length = 2 * CXLF_PAGE;
    expect_done(&a, s, 2);
    qtest_memread(f->h[0]->qts, OUTPUT + 3, held, 2);
    g_assert_cmpuint(held[0], ==, 3);
    g_assert_cmpuint(held[1], ==, 3);

    s.length = 65537 * CXLF_PAGE;
    expect(&a, s, TOO_LONG, 0, 0);
    s.length = 0;
    expect(&a, s, RANGE, 0, 0);
    s.gfam = 1;
    s.length = CXLF_PAGE;
    expect(&a, s, RANGE, 0, 0);
    s.gfam = 0;
    s.address = RAM_END;
    expect(&a, s, ADDRESS, 0, 0);
    s.length = 8192 * CXLF_PAGE;
    s.address = RAM_END - 4096;
    expect(&a, s, ADDRESS, 4096, 0);
    cxlf_fabric_stop(f);
}

static void test_counters(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Queue q = queue_on(h, 0, 16, 16);
    Submission s = { .command = COUNTERS, .address = OUTPUT, .length = 4096 };
    uint64_t n[CXLF_COUNTERS + 1];
    CxlfRegion r = cxlf_whole_region(h, 0);
    CxlfCounters c;

    for (int i = 0; i < 100; i++) {
        cxlf_store(&r, i * 40 & ~7, i, 8);
    }
    qtest_memset(h->qts, OUTPUT, 0xaa, sizeof(n));
    expect_done(&q, s, 8 * CXLF_COUNTERS);
    qtest_memread(h->qts, OUTPUT, n, sizeof(n));
    c = cxlf_counters(h->qts, 0);
    for (int i = 0; i < CXLF_COUNTERS; i++) {
        g_assert_cmpuint(le64_to_cpu(n[i]), ==, c.n[i]);
    }
    g_assert_cmphex(n[CXLF_COUNTERS], ==, 0xaaaaaaaaaaaaaaaa);
    qtest_memset(h->qts, OUTPUT, 0xaa, sizeof(n));
    s.length = 23;
    expect_done(&q, s, 16);
    qtest_memread(h->qts, OUTPUT, n, sizeof(n));
    g_assert_cmpuint(le64_to_cpu(n[1]), ==, c.n[1]);
    g_assert_cmphex(n[2], ==, 0xaaaaaaaaaaaaaaaa);
    s.length = 7;
    expect_done(&q, s, 0);
    s.length = 8;
    s.address = RAM_END;
    expect(&q, s, ADDRESS, 0, 0);
    s.address = OUTPUT + 4;
    expect_status(&q, s, MALFORMED);
    s.address = OUTPUT;
    s.dpa = 8;
    expect_status(&q, s, MALFORMED);
    s.dpa = 0;
    s.gfam = 1;
    expect_status(&q, s, MALFORMED);
    cxlf_host_stop(h);
}

/* The DMA engine */

static Submission copy(uint16_t command, uint64_t dpa, uint64_t length,
                       uint64_t address)
{
    return (Submission) {
        .command = command, .dpa = dpa, .length = length, .address = address,
    };
}

/* A pattern that each 8 bytes of have their own value in. */
static void fill(CxlfHost *h, uint64_t at, uint64_t bytes, uint64_t seed)
{
    g_autofree uint64_t *words = g_malloc(bytes);

    for (uint64_t i = 0; i < bytes / 8; i++) {
        words[i] = cpu_to_le64(seed + i);
    }
    qtest_memwrite(h->qts, at, words, bytes);
}

static void check(CxlfHost *h, uint64_t at, uint64_t bytes, uint64_t seed)
{
    g_autofree uint64_t *words = g_malloc(bytes);

    qtest_memread(h->qts, at, words, bytes);
    for (uint64_t i = 0; i < bytes / 8; i++) {
        g_assert_cmphex(le64_to_cpu(words[i]), ==, seed + i);
    }
}

static void test_copy(void)
{
    /* BULK by pages, by lines, and HOT; across their border. */
    static const struct {
        uint64_t dpa, length;
    } places[] = {
        { BULK, 4096 }, { BULK + 64, 64 }, { BULK + 4032, 128 },
        { BULK + BLOCK - 192, 3 * BLOCK + 320 }, { 0, 4096 },
        { 8128, 8192 }, { BULK - 8192, 16384 },
    };
    CxlfFabric *f = cxlf_fabric_start(2, ",line-entries=4096", "");
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[1], 1, 16, 16);

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        uint64_t dpa = places[i].dpa, length = places[i].length;
        uint64_t seed = (uint64_t)(i + 1) << 32;

        /* Host 0's engine writes; host 1's reads, and its vCPUs would. */
        fill(f->h[0], OUTPUT, length, seed);
        expect_done(&a, copy(COPY_IN, dpa, length, OUTPUT), length);
        g_assert_cmphex(cxlf_load(&f->r[1], dpa, 8), ==, seed);
        g_assert_cmphex(cxlf_load(&f->r[1], dpa + length - 8, 8), ==,
                        seed + length / 8 - 1);
        cxlf_store(&f->r[1], dpa + length - 8, 7, 8);
        qtest_memset(f->h[1]->qts, OUTPUT, 0, length);
        expect_done(&b, copy(COPY_OUT, dpa, length, OUTPUT + 1), length);
        check(f->h[1], OUTPUT + 1, length - 8, seed);
        g_assert_cmphex(qtest_readq(f->h[1]->qts, OUTPUT + 1 + length - 8),
                        ==, 7);
        /* To somewhere else. */
        expect_done(&a, copy(COPY_ACROSS, dpa, length,
                             BULK + 100 * BLOCK + 64 * i), length);
        expect_done(&b, copy(COPY_OUT, BULK + 100 * BLOCK + 64 * i, length,
                             OUTPUT), length);
        check(f->h[1], OUTPUT, length - 8, seed);
    }
    cxlf_fabric_stop(f);
}

static void test_copy_devices(void)
{
    g_autofree char *path = cxlf_socket_path();
    QTestState *owner = cxlf_owner_start(path, ",hosts=1,leaves=2,gfams=2");
    CxlfHost *h = cxlf_host_start(path, 2, "", "");
    Queue q = queue_on(h, 0, 16, 16);
    Submission s = copy(COPY_ACROSS, BULK, BLOCK, BULK + 64);
    CxlfRegion r = cxlf_whole_region(h, 1);

    fill(h, OUTPUT, BLOCK, 1);
    expect_done(&q, copy(COPY_IN, BULK, BLOCK, OUTPUT), BLOCK);
    s.target = 1;
    expect_done(&q, s, BLOCK);
    g_assert_cmphex(cxlf_load(&r, BULK + 64 + 80, 8), ==, 11);
    s.target = 2;
    expect(&q, s, RANGE, 0, 0);
    s.target = 0x10001;
    expect(&q, s, RANGE, 0, 0);
    cxlf_host_stop(h);
    qtest_quit(owner);
}

static void test_copy_errors(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",on-death=poison", "");
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[1], 0, 16, 16);
    Completion c;

    expect(&a, copy(COPY_OUT, BULK + 8, 64, OUTPUT), RANGE, 0, 0);
    expect(&a, copy(COPY_OUT, BULK, 72, OUTPUT), RANGE, 0, 0);
    expect(&a, copy(COPY_OUT, BULK, 0, OUTPUT), RANGE, 0, 0);
    expect(&a, copy(COPY_OUT, BULK, 2 * CLASS_SIZE, OUTPUT), RANGE, 0, 0);
    expect(&a, copy(COPY_ACROSS, BULK, 64, BULK + 8), RANGE, 0, 0);
    expect(&a, copy(COPY_ACROSS, BULK, 128, 2 * CLASS_SIZE - 64), RANGE, 0,
           0);
    expect(&a, copy(COPY_OUT, BULK, 64, RAM_END), ADDRESS, 0, 0);
    expect(&a, copy(COPY_OUT, BULK, 3 * CXLF_PAGE, RAM_END - CXLF_PAGE),
           ADDRESS, CXLF_PAGE, 0);
    expect(&a, copy(COPY_IN, BULK, 64, f->h[0]->eca), ADDRESS, 0, 0);
    expect(&a, copy(COPY_IN, BULK, 64, -64ull), ADDRESS, 0, 0);

    /* What another host has reserved; what was lost with one. */
    expect_done(&b, on_range(RESERVE, BULK + BLOCK, BLOCK), 1);
    expect(&a, copy(COPY_IN, BULK + BLOCK - CXLF_PAGE, BLOCK, OUTPUT), PARTLY,
           CXLF_PAGE, 0);
    cxlf_store(&f->r[1], BULK + 3 * CXLF_PAGE, 1, 8);
    g_assert_cmpint(kill(qtest_pid(f->h[1]->qts), SIGKILL), ==, 0);
    qobject_unref(cxlf_wait_event(f->owner, "X_CXL_FABRIC_HOST_DEAD"));
    cxlf_host_forget(f->h[1]);
    f->h[1] = NULL;
    c = give(&a, copy(COPY_OUT, BULK, 8 * CXLF_PAGE, OUTPUT));
    g_assert_cmpuint(c.status, ==, PARTLY);
    g_assert_cmpuint(c.done, <=, 3 * CXLF_PAGE);
    cxlf_fabric_stop(f);
}

/* Private copies are passed by. */
static void test_copy_software(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, "", "");
    Queue a = queue_on(f->h[0], 0, 16, 16);

    cxlf_set_bulk_mode(f, "software");
    cxlf_store(&f->r[0], BULK, 5, 8);
    expect_done(&a, copy(COPY_OUT, BULK, 64, OUTPUT), 64);
    g_assert_cmpuint(qtest_readq(f->h[0]->qts, OUTPUT), ==, 0);
    expect_done(&a, on_range(FLUSH, BULK, 64), 1);
    expect_done(&a, copy(COPY_OUT, BULK, 64, OUTPUT), 64);
    g_assert_cmpuint(qtest_readq(f->h[0]->qts, OUTPUT), ==, 5);
    fill(f->h[0], OUTPUT, 64, 9);
    expect_done(&a, copy(COPY_IN, BULK, 64, OUTPUT), 64);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 5);
    expect_done(&a, on_range(INVALIDATE, BULK, 64), 0);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 9);
    cxlf_fabric_stop(f);
}

/* Two engines and both hosts' accesses on the same pages: words stay whole. */
static void test_copy_race(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue q[2] = { queue_on(f->h[0], 0, 64, 64), queue_on(f->h[1], 0, 64, 64) };
    const uint64_t length = 64 * CXLF_PAGE;

    for (int i = 0; i < 2; i++) {
        fill(f->h[i], OUTPUT, length, (uint64_t)(i + 1) << 32);
    }
    for (unsigned round = 0; round < 20; round++) {
        for (int i = 0; i < 2; i++) {
            put(&q[i], copy(COPY_IN, BULK, length, OUTPUT));
            put(&q[i], copy(COPY_OUT, BULK, length, OUTPUT + length));
            ring(&q[i]);
        }
        for (int i = 0; i < 2; i++) {
            g_assert_cmpuint(take(&q[i]).status, ==, DONE);
            g_assert_cmpuint(take(&q[i]).status, ==, DONE);
        }
        for (uint64_t at = 0; at < length; at += 512) {
            for (int i = 0; i < 2; i++) {
                uint64_t word = qtest_readq(f->h[i]->qts,
                                            OUTPUT + length + at);

                g_assert_cmphex((uint32_t)word, ==, at / 8);
                g_assert_true(word >> 32 == 1 || word >> 32 == 2);
            }
        }
    }
    cxlf_fabric_stop(f);
}

/* Messages, which come as events */

#define EVENTS      0x3400000       /* in the guest's memory */
enum {
    EV_BASE = 0x1100, EV_SIZE = 0x1108, EV_CONTROL = 0x110c, EV_MASK = 0x1114,
    EV_HEAD = 0x111c,
};

static void events_on(CxlfHost *h, uint32_t size)
{
    qtest_memset(h->qts, EVENTS, 0, size * 64);
    qtest_writeq(h->qts, h->eca + EV_BASE, EVENTS);
    qtest_writel(h->qts, h->eca + EV_SIZE, size);
    qtest_writel(h->qts, h->eca + EV_MASK, 1u << 10);
    qtest_writel(h->qts, h->eca + EV_CONTROL, ENABLE);
}

static void events_off(CxlfHost *h)
{
    qtest_writel(h->qts, h->eca + EV_CONTROL, 0);
}

/* The n-th event, in a ring of @size, is a message with this number. */
static void expect_message(CxlfHost *h, uint32_t size, unsigned n,
                           uint32_t from, uint32_t length, uint64_t number)
{
    uint64_t at = EVENTS + n % size * 64;
    gint64 deadline = cxlf_deadline();

    while (qtest_readw(h->qts, at + 2) != 1 - n / size % 2) {
        cxlf_pause(deadline, "a message");
    }
    g_assert_cmpuint(qtest_readw(h->qts, at), ==, 10);
    g_assert_cmpuint(qtest_readl(h->qts, at + 4), ==, from);
    g_assert_cmpuint(qtest_readq(h->qts, at + 0x18), ==, length);
    g_assert_cmphex(qtest_readq(h->qts, at + 0x28), ==, number);
    qtest_writel(h->qts, h->eca + EV_HEAD, (n + 1) % size);
}

static Submission message_to(CxlfHost *h, uint32_t host, uint64_t number,
                             uint64_t length)
{
    qtest_writeq(h->qts, OUTPUT, number);
    return (Submission) {
        .command = MESSAGE, .target = host, .address = OUTPUT,
        .length = length,
    };
}

static void test_messages(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfHost *a = f->h[0], *b = f->h[1];
    Queue q = queue_on(a, 0, 16, 16);
    Submission s = message_to(a, 1, 5, 8);
    unsigned n = 0, sent = 0;

    expect_status(&q, s, AWAY);
    events_on(b, 64);
    for (; n < 200; n++) {
        uint32_t length = 8 + n % 17;

        expect_done(&q, message_to(a, 1, n, length), length);
        expect_message(b, 64, n, 0, length, n);
    }
    expect_done(&q, message_to(a, 1, 0, 0), 0);
    expect_message(b, 64, n++, 0, 0, 0);
    /* To itself. */
    expect_status(&q, message_to(a, 0, 5, 8), AWAY);
    events_on(a, 64);
    expect_done(&q, message_to(a, 0, 5, 8), 8);
    expect_message(a, 64, 0, 0, 8, 5);

    /* What is wrong with it. */
    expect_status(&q, message_to(a, 1, 5, 25), TOO_LONG);
    expect_status(&q, message_to(a, 2, 5, 8), RANGE);
    expect_status(&q, message_to(a, UINT32_MAX, 5, 8), RANGE);
    s = message_to(a, 1, 5, 8);
    s.address = RAM_END;
    expect_status(&q, s, ADDRESS);
    s = message_to(a, 1, 5, 8);
    s.gfam = 1;
    expect_status(&q, s, MALFORMED);
    s = message_to(a, 1, 5, 8);
    s.dpa = 64;
    expect_status(&q, s, MALFORMED);

    /* A guest that takes none: 3 in its ring, 1024 kept, 16 in the inbox. */
    events_off(b);
    expect_status(&q, message_to(a, 1, 5, 8), AWAY);
    events_on(b, 4);
    for (gint64 deadline = cxlf_deadline(); sent < 3 + 1024 + 16;) {
        Completion c = give(&q, message_to(a, 1, sent, 8));

        g_assert_true(c.status == DONE || c.status == FULL);
        sent += c.status == DONE;
        if (c.status == FULL) {
            cxlf_pause(deadline, "room in an inbox");
        }
    }
    for (int i = 0; i < 3; i++) {
        expect_status(&q, message_to(a, 1, 5, 8), FULL);
    }
    for (n = 0; n < sent; n++) {
        expect_message(b, 4, n, 0, 8, n);
    }
    expect_done(&q, message_to(a, 1, 7, 8), 8);
    expect_message(b, 4, n, 0, 8, 7);

    /* To the dead, and to who has their number then. */
    g_assert_cmpint(kill(qtest_pid(b->qts), SIGKILL), ==, 0);
    qobject_unref(cxlf_wait_event(f->owner, "X_CXL_FABRIC_HOST_DEAD"));
    cxlf_host_forget(b);
    f->h[1] = NULL;
    expect_status(&q, message_to(a, 1, 5, 8), AWAY);
    cxlf_fabric_host(f, 1, "");
    expect_status(&q, message_to(a, 1, 5, 8), AWAY);
    events_on(f->h[1], 16);
    expect_done(&q, message_to(a, 1, 6, 8), 8);
    expect_message(f->h[1], 16, 0, 0, 8, 6);
    qtest_system_reset(f->h[1]->qts);
    expect_status(&q, message_to(a, 1, 5, 8), AWAY);
    cxlf_fabric_stop(f);
}

/* What no command is, and what fields must not be. */
static void test_malformed(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Queue q = queue_on(h, 0, 16, 16);
    Submission s;

    for (unsigned i = 0; i < 65536; i += i < 256 ? 1 : 251) {
        if ((i >= FLUSH && i <= BOTH) || (i >= SHARED && i <= UNRESERVE) ||
            i == SET_MODE || i == HOLDINGS || i == COUNTERS || i == FENCE ||
            (i >= COPY_OUT && i <= COPY_ACROSS) || i == MESSAGE || i == ASK) {
            continue;
        }
        expect_status(&q, on_range(i, BULK, 64), UNKNOWN);
    }
    for (unsigned bit = 2; bit < 16; bit++) {
        s = on_range(OWNED, BULK, 64);
        s.flags = 1u << bit;
        expect_status(&q, s, MALFORMED);
    }
    for (unsigned i = 0; i < sizeof(s.zero); i++) {
        Completion c;

        s = on_range(OWNED, BULK, 64);
        s.zero[i] = 1;
        qtest_memwrite(h->qts, q.sq + q.tail * sizeof(s), &s, sizeof(s));
        q.tail = (q.tail + 1) % q.sq_size;
        ring(&q);
        c = take(&q);
        g_assert_cmpuint(c.status, ==, MALFORMED);
        g_assert_cmphex(c.where, ==, NOWHERE);
    }
    s = on_range(OWNED, BULK, 64);
    s.count = 1;
    expect_status(&q, s, MALFORMED);
    s.count = 0;
    s.address = LIST;
    expect_status(&q, s, MALFORMED);
    s.address = 0;
    s.target = 1;
    expect_status(&q, s, MALFORMED);
    s.command = COPY_OUT;
    expect_status(&q, s, MALFORMED);
    s = (Submission) { .command = FENCE, .dpa = 1 };
    expect_status(&q, s, MALFORMED);
    s = (Submission) { .command = FENCE, .length = 1 };
    expect_status(&q, s, MALFORMED);
    s = (Submission) { .command = FENCE, .gfam = 1 };
    expect_status(&q, s, MALFORMED);

    /* Ranges */
    expect(&q, on_range(OWNED, BULK, 0), RANGE, 0, 0);
    expect(&q, on_range(OWNED, 2 * CLASS_SIZE, 1), RANGE, 0, 0);
    expect(&q, on_range(OWNED, BULK, CLASS_SIZE + 1), RANGE, 0, 0);
    expect(&q, on_range(OWNED, BULK, -1ull), RANGE, 0, 0);
    expect(&q, on_range(OWNED, -1ull, 2), RANGE, 0, 0);
    s = on_range(OWNED, BULK, 64);
    for (s.gfam = 1; s.gfam; s.gfam *= 2) {
        expect(&q, s, RANGE, 0, 0);
    }
    expect_done(&q, on_range(OWNED, BULK, 64), 1);
    cxlf_host_stop(h);
}

/* Order, interrupts and ends */

/* Host 1 owns eight pages of BULK and stands still. */
static CxlfFabric *start_frozen(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");

    for (int i = 0; i < 8; i++) {
        cxlf_store(&f->r[1], BULK + i * CXLF_PAGE, i, 8);
    }
    cxlf_freeze(qtest_pid(f->h[1]->qts));
    return f;
}

static void thaw(CxlfFabric *f)
{
    g_assert_cmpint(kill(qtest_pid(f->h[1]->qts), SIGCONT), ==, 0);
}

static void wait_progress(const Queue *q, uint64_t done)
{
    gint64 deadline = cxlf_deadline();

    while (get8(q, PROGRESS) != done) {
        cxlf_pause(deadline, "progress");
    }
}

static void test_fence(void)
{
    CxlfFabric *f = start_frozen();
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[0], 1, 16, 16);
    Queue c = queue_on(f->h[0], 2, 16, 16), d;
    Completion done;

    put(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE));
    put(&a, on_range(OWNED, BULK + BLOCK, BLOCK));
    ring(&a);
    wait_progress(&a, 24);
    put(&b, (Submission) { .command = FENCE });
    ring(&b);
    /* A third queue goes on, but its fence does not. */
    expect_done(&c, on_range(OWNED, BULK + 2 * BLOCK, CXLF_PAGE), 1);
    put(&c, (Submission) { .command = FENCE });
    ring(&c);
    d = queue_on(f->h[0], 3, 16, 16);
    expect_done(&d, on_range(FLUSH, BULK, BLOCK), 0);
    g_assert_false(poll(&a, &done));
    g_assert_false(poll(&b, &done));
    g_assert_false(poll(&c, &done));
    thaw(f);
    g_assert_cmpuint(take(&b).status, ==, DONE);
    g_assert_true(poll(&a, &done));
    g_assert_cmpuint(done.done, ==, 32);
    g_assert_cmpuint(take(&c).status, ==, DONE);
    g_assert_cmpuint(take(&a).done, ==, BLOCK_PAGES);
    cxlf_fabric_stop(f);
}

/* The page has come; it is not used for that. */
static void wait_held(Queue *q, uint64_t dpa)
{
    gint64 deadline = cxlf_deadline();
    Submission s = on_range(HOLDINGS, dpa, CXLF_PAGE);

    s.address = OUTPUT + 64 * CXLF_PAGE;
    for (;;) {
        expect_done(q, s, 1);
        if (qtest_readb(q->h->qts, s.address)) {
            return;
        }
        cxlf_pause(deadline, "a page");
    }
}

static void test_abort(void)
{
    CxlfFabric *f = start_frozen();
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[0], 1, 16, 16);
    Completion c;

    /* Nothing is under way. */
    set(&a, CONTROL, ENABLE | ABORT);
    g_assert_cmphex(get8(&a, CONTROL), ==, ENABLE | (uint64_t)ON << 32);

    put(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE));
    put(&a, on_range(OWNED, BULK + BLOCK, BLOCK));
    ring(&a);
    wait_progress(&a, 24);
    g_assert_cmpuint(get(&a, SQ_HEAD), ==, 1);
    set(&a, CONTROL, ENABLE | ABORT);
    c = take(&a);
    g_assert_cmpuint(c.status, ==, ABORTED);
    g_assert_cmpuint(c.done, ==, 24);
    g_assert_cmpuint(c.where, ==, 0);
    c = take(&a);
    g_assert_cmpuint(c.status, ==, DONE);
    g_assert_cmpuint(c.done, ==, BLOCK_PAGES);

    /* A copy that waits for the other host; pages that it got are no bytes. */
    put(&a, copy(COPY_OUT, BULK + 4 * CXLF_PAGE, 32 * CXLF_PAGE, OUTPUT));
    ring(&a);
    wait_held(&b, BULK + 35 * CXLF_PAGE);
    g_assert_false(poll(&a, &c));
    g_assert_cmpuint(get8(&a, PROGRESS), ==, 0);
    set(&a, CONTROL, ENABLE | ABORT);
    c = take(&a);
    g_assert_cmpuint(c.status, ==, ABORTED);
    g_assert_cmpuint(c.done, ==, 0);

    /* The queue is turned off: there is no completion. */
    put(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE));
    ring(&a);
    wait_progress(&a, 24);
    set(&a, CONTROL, 0);
    g_assert_false(poll(&a, &c));
    a = queue_on(f->h[0], 0, 16, 16);
    g_assert_false(poll(&a, &c));
    /* A stop does the same. */
    put(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE));
    ring(&a);
    wait_progress(&a, 24);
    set(&a, SQ_TAIL, 16);
    g_assert_cmphex(get(&a, STATE), ==, stopped(WHY_INDEX));
    g_assert_false(poll(&a, &c));
    thaw(f);
    set(&a, CONTROL, 0);
    a = queue_on(f->h[0], 0, 16, 16);
    expect_done(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE), 32);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK + 7 * CXLF_PAGE, 8), ==, 7);
    cxlf_fabric_stop(f);
}

/* Nothing is written to a guest that is stopped. */
static void test_stopped_guest(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Queue q = queue_on(h, 0, 16, 16);
    Completion c;

    qtest_qmp_assert_success(h->qts, "{'execute': 'stop'}");
    put(&q, on_range(OWNED, BULK, BLOCK));
    ring(&q);
    g_usleep(20000);
    g_assert_false(poll(&q, &c));
    g_assert_cmpuint(get(&q, SQ_HEAD), ==, 0);
    qtest_qmp_assert_success(h->qts, "{'execute': 'cont'}");
    g_assert_cmpuint(take(&q).done, ==, BLOCK_PAGES);
    cxlf_host_stop(h);
}

static void test_reset(void)
{
    CxlfFabric *f = start_frozen();
    Queue a = queue_on(f->h[0], 0, 16, 16);
    Completion c;

    put(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE));
    ring(&a);
    wait_progress(&a, 24);
    qtest_system_reset(f->h[0]->qts);
    cxlf_host_program(f->h[0]);
    for (unsigned reg = 0; reg < 0x40; reg += 8) {
        g_assert_cmphex(get8(&a, reg), ==, 0);
    }
    f->r[0] = cxlf_whole_region(f->h[0], 0);
    a = queue_on(f->h[0], 0, 16, 16);
    g_assert_false(poll(&a, &c));

    /* The other host's death ends the wait for it. */
    put(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE));
    ring(&a);
    wait_progress(&a, 24);
    g_assert_cmpint(kill(qtest_pid(f->h[1]->qts), SIGKILL), ==, 0);
    c = take(&a);
    g_assert_cmpuint(c.status, ==, DONE);
    g_assert_cmpuint(c.done, ==, 32);
    cxlf_host_forget(f->h[1]);
    f->h[1] = NULL;
    cxlf_fabric_stop(f);
}

static void test_lost(void)
{
    CxlfFabric *f = start_frozen();
    Queue a = queue_on(f->h[0], 0, 16, 16), b = queue_on(f->h[0], 1, 16, 16);
    Completion c;

    put(&a, on_range(OWNED, BULK, 32 * CXLF_PAGE));
    ring(&a);
    wait_progress(&a, 24);
    cxlf_freeze(qtest_pid(f->owner));
    put(&b, on_range(RESERVE, BULK + BLOCK, BLOCK));
    ring(&b);
    g_assert_cmpint(kill(qtest_pid(f->owner), SIGKILL), ==, 0);
    c = take(&a);
    g_assert_cmpuint(c.status, ==, LOST);
    c = take(&b);
    g_assert_cmpuint(c.status, ==, LOST);
    expect(&a, on_range(OWNED, BULK, 64), LOST, 0, 0);
    expect(&a, on_range(FLUSH, BULK, 64), LOST, 0, 0);
    expect(&a, on_range(UNRESERVE, BULK + BLOCK, BLOCK), LOST, 0, 0);
    expect_done(&a, (Submission) { .command = FENCE }, 0);
    thaw(f);
    cxlf_forget(f->owner);
    f->owner = NULL;
    cxlf_fabric_stop(f);
}

static void test_off(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", " -global "
                                  "dpu-eca.ownership=off");
    Queue q = queue_on(h, 0, 16, 16);
    Submission s = on_range(HOLDINGS, BULK, CXLF_PAGE);

    for (unsigned i = SHARED; i <= PREFETCH; i++) {
        expect(&q, on_range(i, BULK, CXLF_PAGE), OFF, 0, 0);
    }
    s.address = OUTPUT;
    expect(&q, s, OFF, 0, 0);
    expect_done(&q, on_range(BOTH, BULK, CLASS_SIZE), 0);
    expect_done(&q, on_range(RESERVE, BULK, CXLF_PAGE), 1);
    cxlf_host_stop(h);
}

static void test_interrupts(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    gint64 deadline = cxlf_deadline();
    Submission quiet = { .command = FENCE, .flags = QUIET };
    Queue q[QUEUES];

    g_assert_cmpuint(cxlf_msix_on(h), ==, 5);
    for (unsigned i = 0; i < QUEUES; i++) {
        cxlf_msix_vector(h, i, false);
        q[i] = queue_on(h, i, 16, 16);
        /* Not without INTERRUPT; with it, its own vector. */
        expect_done(&q[i], (Submission) { .command = FENCE }, 0);
        g_assert_cmphex(cxlf_msix_message(h, i), ==, 0);
        set(&q[i], CONTROL, ENABLE | INTERRUPT);
        expect_done(&q[i], (Submission) { .command = FENCE }, 0);
        cxlf_msix_wait(h, i);
        for (unsigned other = 0; other < QUEUES; other++) {
            g_assert_cmphex(cxlf_msix_message(h, other), ==, 0);
        }
        /* Quiet only if all is well. */
        expect_done(&q[i], quiet, 0);
        g_assert_cmphex(cxlf_msix_message(h, i), ==, 0);
        quiet.gfam = 1;
        expect_status(&q[i], quiet, MALFORMED);
        quiet.gfam = 0;
        cxlf_msix_wait(h, i);
        /* A stop raises it. */
        set(&q[i], SQ_TAIL, 16);
        cxlf_msix_wait(h, i);
        set(&q[i], CONTROL, 0);
    }
    /* Masked, it waits. */
    q[1] = queue_on(h, 1, 16, 16);
    set(&q[1], CONTROL, ENABLE | INTERRUPT);
    cxlf_msix_vector(h, 1, true);
    expect_done(&q[1], (Submission) { .command = FENCE }, 0);
    while (!cxlf_msix_pending(h, 1)) {
        cxlf_pause(deadline, "a pending interrupt");
    }
    g_assert_cmphex(cxlf_msix_message(h, 1), ==, 0);
    cxlf_msix_vector(h, 1, false);
    cxlf_msix_wait(h, 1);
    cxlf_host_stop(h);
}

/* Whatever the guest writes, the agent lives, and a new queue works. */
static void test_hostile(void)
{
    static const uint16_t any[] = {
        FLUSH, BOTH, SHARED, OWNED, RELEASE, PROMOTE, DEMOTE, PREFETCH,
        HOLDINGS, COUNTERS, FENCE, COPY_OUT, COPY_IN, COPY_ACROSS,
    };
    CxlfFabric *f = cxlf_fabric_start(2, ",line-entries=1024", "");
    CxlfHost *h = f->h[0];
    uint8_t bytes[1024];
    Queue q;

    for (unsigned round = 0; round < 300; round++) {
        unsigned number = g_test_rand_int_range(0, QUEUES);
        uint32_t size = 2u << g_test_rand_int_range(0, 4);

        q = queue_on(h, number, size, size);
        for (unsigned i = 0; i < sizeof(bytes); i++) {
            bytes[i] = g_test_rand_int_range(0, 256);
        }
        for (unsigned i = 0; i < 16; i++) {
            Submission *s = (Submission *)(bytes + i * sizeof(*s));

            /* Half of them are commands, more or less. */
            if (g_test_rand_bit()) {
                *s = (Submission) {
                    .command = any[g_test_rand_int_range(0,
                                                         ARRAY_SIZE(any))],
                    .flags = g_test_rand_int_range(0, 4),
                    .count = g_test_rand_int_range(0, 3) * 300,
                    .dpa = g_test_rand_bit() * (BULK + CXLF_PAGE * i),
                    .length = g_test_rand_bit() << g_test_rand_int_range(0, 30),
                    .address = g_test_rand_bit() *
                               g_test_rand_int_range(0, RAM_END / 16) * 16,
                };
            }
        }
        qtest_memwrite(h->qts, q.sq, bytes, size * sizeof(Submission));
        for (unsigned i = 0; i < 8; i++) {
            static const unsigned regs[] = {
                SQ_TAIL, SQ_TAIL, SQ_TAIL, CQ_HEAD, CONTROL, STATE,
            };
            unsigned reg = regs[g_test_rand_int_range(0, 6)];

            set(&q, reg, reg == CONTROL ? ENABLE | (g_test_rand_bit() << 2) :
                g_test_rand_int_range(0, size + (i == 7)));
            get8(&q, PROGRESS);
        }
        set(&q, CONTROL, 0);
        g_assert_cmphex(get(&q, STATE), ==, OFF_);
    }
    for (unsigned i = 0; i < QUEUES; i++) {
        q = queue_on(h, i, 16, 16);
        /* It may have been promoted. */
        expect_done(&q, on_range(DEMOTE, BULK, CXLF_PAGE), 1);
        expect_done(&q, on_range(OWNED, BULK, CXLF_PAGE), 1);
    }
    cxlf_store(&f->r[1], BULK, 1, 8);
    g_assert_cmpuint(cxlf_load(&f->r[0], BULK, 8), ==, 1);
    cxlf_fabric_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/queue/registers", test_registers);
    qtest_add_func("/cxlf/queue/setup", test_setup);
    qtest_add_func("/cxlf/queue/stops", test_stops);
    qtest_add_func("/cxlf/queue/room", test_room);
    qtest_add_func("/cxlf/queue/shared-rings", test_shared_rings);
    qtest_add_func("/cxlf/queue/pages", test_pages);
    qtest_add_func("/cxlf/queue/list", test_list);
    qtest_add_func("/cxlf/queue/copies", test_copies);
    qtest_add_func("/cxlf/queue/reserve", test_reserve);
    qtest_add_func("/cxlf/queue/reserve-turns", test_reserve_turns);
    qtest_add_func("/cxlf/queue/holdings", test_holdings);
    qtest_add_func("/cxlf/queue/counters", test_counters);
    qtest_add_func("/cxlf/queue/copy", test_copy);
    qtest_add_func("/cxlf/queue/copy-devices", test_copy_devices);
    qtest_add_func("/cxlf/queue/copy-errors", test_copy_errors);
    qtest_add_func("/cxlf/queue/copy-software", test_copy_software);
    qtest_add_func("/cxlf/queue/copy-race", test_copy_race);
    qtest_add_func("/cxlf/queue/messages", test_messages);
    qtest_add_func("/cxlf/queue/malformed", test_malformed);
    qtest_add_func("/cxlf/queue/fence", test_fence);
    qtest_add_func("/cxlf/queue/abort", test_abort);
    qtest_add_func("/cxlf/queue/stopped-guest", test_stopped_guest);
    qtest_add_func("/cxlf/queue/reset", test_reset);
    qtest_add_func("/cxlf/queue/lost", test_lost);
    qtest_add_func("/cxlf/queue/off", test_off);
    qtest_add_func("/cxlf/queue/interrupts", test_interrupts);
    qtest_add_func("/cxlf/queue/hostile", test_hostile);
    return g_test_run();
}
