/*
 * QTest of what guests ask of the fabric's owner and of its manager
 *
 * Offsets and numbers are those of docs/specs/dpu-eca.rst, written down again
 * here.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "cxlf-eca.h"
#include "cxlf-hdm.h"

#define BULK        CLASS_SIZE      /* DPA where BULK begins */
#define SIZE        16              /* entries of each ring */

/* Memory of the guest */
#define SQ(q)       (0x1000000ull + (q) * 0x10000)
#define CQ(q)       (SQ(q) + 0x8000)
#define EVENTS      0x2000000ull

#define QUEUE(q)    (0x1000 + (q) * 0x40)
enum {
    SQ_BASE = 0x00, CQ_BASE = 0x08, SQ_SIZE = 0x10, CQ_SIZE = 0x14,
    CONTROL = 0x18, SQ_TAIL = 0x20, SQ_HEAD = 0x24, CQ_HEAD = 0x28,
};
enum { OFF_ = 0, ENABLE = 1, ABORT = 4 };
enum {
    EV_BASE = 0x1100, EV_SIZE = 0x1108, EV_CONTROL = 0x110c, EV_MASK = 0x1114,
    EV_HEAD = 0x111c,
};
#define BULK_MODE   0x220
#define ANSWER      11              /* kind of event */

enum { SET_MODE = 32, FENCE = 48, ASK = 81 };
enum { COHERENT, SOFTWARE };
enum { CAPACITY = 1, CLASS, BINDING };
enum { TO_HOT = 1, TO_BULK, TO_COHERENT, TO_SOFTWARE };
enum { BIND = 1, UNBIND };
enum {
    DONE = 0, RANGE = 2, LOST = 4, OFF = 7, FULL = 9, ABORTED = 11,
    MALFORMED = 12, AGAIN = 14, REFUSED = 16,
};
enum { GRANTED, DENIED, FAILED, FABRIC_LOST };
#define OPEN        16              /* requests that a host can have */

typedef struct QEMU_PACKED Submission {
    uint16_t command, flags;
    uint32_t tag, gfam, count;
    uint64_t dpa, length, address;
    uint32_t target, zero;
    uint32_t argument[4];
} Submission;

typedef struct Completion {
    uint32_t tag;
    uint16_t status;
    uint64_t number;
} Completion;

typedef struct Answer {
    uint64_t number, dpa, length;
    uint32_t tag, asked, result, gfam;
} Answer;

QEMU_BUILD_BUG_ON(sizeof(Submission) != 64);

/* A queue, and the ring of events, as a driver has them. */
typedef struct Queue {
    CxlfHost *h;
    unsigned number;
    uint32_t tail, head;
    uint16_t phase;
} Queue;

typedef struct Events {
    CxlfHost *h;
    uint32_t head;
    uint16_t phase;
} Events;

static void set(const Queue *q, unsigned reg, uint32_t value)
{
    qtest_writel(q->h->qts, q->h->eca + QUEUE(q->number) + reg, value);
}

static Queue queue_on(CxlfHost *h, unsigned number)
{
    Queue q = { .h = h, .number = number, .phase = 1 };
    uint64_t at = h->eca + QUEUE(number);

    qtest_memset(h->qts, CQ(number), 0, SIZE * 32);
    qtest_writeq(h->qts, at + SQ_BASE, SQ(number));
    qtest_writeq(h->qts, at + CQ_BASE, CQ(number));
    set(&q, SQ_SIZE, SIZE);
    set(&q, CQ_SIZE, SIZE);
    set(&q, CONTROL, ENABLE);
    return q;
}

static void put(Queue *q, Submission s)
{
    s = (Submission) {
        .command = cpu_to_le16(s.command), .tag = cpu_to_le32(s.tag),
        .gfam = cpu_to_le32(s.gfam), .count = cpu_to_le32(s.count),
        .dpa = cpu_to_le64(s.dpa), .length = cpu_to_le64(s.length),
        .address = cpu_to_le64(s.address), .target = cpu_to_le32(s.target),
        .zero = cpu_to_le32(s.zero), .flags = cpu_to_le16(s.flags),
        .argument = {
            cpu_to_le32(s.argument[0]), cpu_to_le32(s.argument[1]),
            cpu_to_le32(s.argument[2]), cpu_to_le32(s.argument[3]),
        },
    };
    qtest_memwrite(q->h->qts, SQ(q->number) + q->tail * sizeof(s), &s,
                   sizeof(s));
    q->tail = (q->tail + 1) % SIZE;
    set(q, SQ_TAIL, q->tail);
}

static bool has_ended(const Queue *q)
{
    return qtest_readw(q->h->qts, CQ(q->number) + q->head * 32 + 6) ==
           q->phase;
}

static Completion take(Queue *q)
{
    uint64_t at = CQ(q->number) + q->head * 32;
    gint64 deadline = cxlf_deadline();
    Completion c;

    while (!has_ended(q)) {
        cxlf_pause(deadline, "a completion");
    }
    c.tag = qtest_readl(q->h->qts, at);
    c.status = qtest_readw(q->h->qts, at + 4);
    c.number = qtest_readq(q->h->qts, at + 8);
    q->head = (q->head + 1) % SIZE;
    q->phase ^= !q->head;
    set(q, CQ_HEAD, q->head);
    return c;
}

static Completion give(Queue *q, Submission s)
{
    put(q, s);
    return take(q);
}

static void expect(Queue *q, Submission s, uint16_t status)
{
    Completion c = give(q, s);

    g_assert_cmpuint(c.status, ==, status);
    g_assert_cmpuint(c.tag, ==, s.tag);
    g_assert_cmpuint(c.number, ==, 0);
}

/* Ask; the number of the request. */
static uint64_t ask(Queue *q, Submission s)
{
    Completion c = give(q, s);

    g_assert_cmpuint(c.status, ==, DONE);
    g_assert_cmpuint(c.tag, ==, s.tag);
    g_assert_cmpuint(c.number, >, 0);
    return c.number;
}

static Submission mode(uint32_t to)
{
    return (Submission) { .command = SET_MODE, .target = to };
}

static Submission capacity(uint32_t tag)
{
    return (Submission) {
        .command = ASK, .tag = tag, .target = CAPACITY, .length = 64 * MIB,
        .argument = { TO_BULK },
    };
}

static Submission to_mode(uint32_t tag, uint32_t to)
{
    return (Submission) {
        .command = ASK, .tag = tag, .target = CLASS, .dpa = BULK,
        .length = CLASS_SIZE, .argument = { to },
    };
}

static Submission binding(uint32_t tag, uint32_t what, uint32_t ld)
{
    return (Submission) {
        .command = ASK, .tag = tag, .target = BINDING,
        .argument = { what, ld },
    };
}

/* Events */

static Events events_on(CxlfHost *h)
{
    qtest_memset(h->qts, EVENTS, 0, SIZE * 64);
    qtest_writeq(h->qts, h->eca + EV_BASE, EVENTS);
    qtest_writel(h->qts, h->eca + EV_SIZE, SIZE);
    qtest_writel(h->qts, h->eca + EV_MASK, 1u << ANSWER);
    qtest_writel(h->qts, h->eca + EV_CONTROL, ENABLE);
    return (Events) { .h = h, .phase = 1 };
}

static bool has_event(const Events *e)
{
    return qtest_readw(e->h->qts, EVENTS + e->head * 64 + 2) == e->phase;
}

static Answer next_answer(Events *e)
{
    uint64_t at = EVENTS + e->head * 64;
    gint64 deadline = cxlf_deadline();
    QTestState *qts = e->h->qts;
    Answer a;

    while (!has_event(e)) {
        cxlf_pause(deadline, "an answer");
    }
    g_assert_cmpuint(qtest_readw(qts, at), ==, ANSWER);
    g_assert_cmphex(qtest_readl(qts, at + 4), ==, UINT32_MAX);
    g_assert_cmpuint(qtest_readl(qts, at + 0x0c), ==, 1);
    a = (Answer) {
        .gfam = qtest_readl(qts, at + 8), .dpa = qtest_readq(qts, at + 0x10),
        .length = qtest_readq(qts, at + 0x18),
        .number = qtest_readq(qts, at + 0x28),
        .tag = qtest_readl(qts, at + 0x30),
        .asked = qtest_readl(qts, at + 0x34),
        .result = qtest_readl(qts, at + 0x38),
    };
    g_assert_cmpuint(qtest_readl(qts, at + 0x3c), ==, 0);
    e->head = (e->head + 1) % SIZE;
    e->phase ^= !e->head;
    qtest_writel(qts, e->h->eca + EV_HEAD, e->head);
    return a;
}

static void expect_answer(Events *e, uint64_t number, Submission s,
                          uint32_t result)
{
    Answer a = next_answer(e);

    g_assert_cmpuint(a.number, ==, number);
    g_assert_cmpuint(a.tag, ==, s.tag);
    g_assert_cmpuint(a.asked, ==, s.target);
    g_assert_cmpuint(a.result, ==, result);
    g_assert_cmpuint(a.gfam, ==, s.gfam);
    g_assert_cmphex(a.dpa, ==, s.dpa);
    g_assert_cmphex(a.length, ==, s.length);
}

/* The manager */

static QList *requests(QTestState *owner)
{
    QDict *reply = qtest_qmp(owner, "{'execute': "
                             "'x-query-cxl-fabric-requests'}");
    QList *list = qobject_ref(qdict_get_qlist(reply, "return"));

    qobject_unref(reply);
    return list;
}

static unsigned count_requests(QTestState *owner)
{
    QList *list = requests(owner);
    unsigned n = qlist_size(list);

    qobject_unref(list);
    return n;
}

static void wait_requests(QTestState *owner, unsigned n)
{
    gint64 deadline = cxlf_deadline();

    while (count_requests(owner) != n) {
        cxlf_pause(deadline, "the list of requests");
    }
}

/* @more: "'gfam': 1" and the like, or "" */
static QDict *answer_reply(QTestState *owner, unsigned host, uint64_t number,
                           const char *result, const char *more)
{
    g_autofree char *command = g_strdup_printf(
        "{\"execute\": \"x-cxl-fabric-answer\", \"arguments\": {"
        "\"host\": %u, \"request\": %" PRIu64 ", \"result\": \"%s\"%s%s}}",
        host, number, result, *more ? ", " : "", more);

    qtest_qmp_send_raw(owner, "%s\n", command);
    return qtest_qmp_receive(owner);
}

static void answer(QTestState *owner, unsigned host, uint64_t number,
                   const char *result, const char *more)
{
    QDict *reply = answer_reply(owner, host, number, result, more);

    g_assert_true(qdict_haskey(reply, "return"));
    qobject_unref(reply);
}

static void answer_error(QTestState *owner, unsigned host, uint64_t number,
                         const char *result, const char *more,
                         const char *text)
{
    QDict *reply = answer_reply(owner, host, number, result, more);

    g_assert_true(qdict_haskey(reply, "error"));
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(reply, "error"),
                                          "desc"), text));
    qobject_unref(reply);
}

static void check_entry(const QDict *entry, unsigned host, uint64_t number,
                        const char *kind, Submission s)
{
    QList *arguments = qdict_get_qlist(entry, "arguments");
    unsigned i = 0;
    QListEntry *e;

    g_assert_cmpint(qdict_get_int(entry, "host"), ==, host);
    g_assert_cmpint(qdict_get_int(entry, "request"), ==, number);
    g_assert_cmpstr(qdict_get_str(entry, "kind"), ==, kind);
    g_assert_cmpint(qdict_get_int(entry, "dpa"), ==, s.dpa);
    g_assert_cmpint(qdict_get_int(entry, "length"), ==, s.length);
    if (s.gfam == UINT32_MAX) {
        g_assert_false(qdict_haskey(entry, "gfam"));
    } else {
        g_assert_cmpint(qdict_get_int(entry, "gfam"), ==, s.gfam);
    }
    QLIST_FOREACH_ENTRY(arguments, e) {
        g_assert_cmpuint(qnum_get_uint(qobject_to(QNum, qlist_entry_obj(e))),
                         ==, s.argument[i++]);
    }
    g_assert_cmpuint(i, ==, 4);
}

static void check_first(QTestState *owner, const char *state, unsigned host,
                        uint64_t number, const char *kind, Submission s)
{
    QList *list = requests(owner);
    QDict *first = qobject_to(QDict, qlist_peek(list));

    g_assert_cmpstr(qdict_get_str(first, "state"), ==, state);
    check_entry(first, host, number, kind, s);
    qobject_unref(list);
}

/* A request is told, listed and answered. */
static void test_ask(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    struct {
        const char *kind;
        Submission s;
    } asked[] = {
        { "capacity", capacity(1) },
        { "capacity", capacity(2) },
        { "class", to_mode(3, TO_HOT) },
        { "class", to_mode(4, TO_BULK) },
        { "class", to_mode(5, TO_SOFTWARE) },
        { "binding", binding(6, BIND, 3) },
        { "binding", binding(UINT32_MAX, UNBIND, 0xffff) },
    };
    static const char *const results[] = { "denied", "failed", "granted" };
    static const uint32_t results_n[] = { DENIED, FAILED, GRANTED };
    Queue q = queue_on(f->h[1], 2);
    Events e = events_on(f->h[1]);
    Submission s = capacity(9);
    uint64_t last = 0;
    Answer a;

    asked[1].s.gfam = UINT32_MAX;
    asked[3].s.dpa = 3 * CXLF_PAGE;
    asked[3].s.length = CXLF_PAGE;
    g_assert_cmpuint(count_requests(f->owner), ==, 0);
    for (int i = 0; i < ARRAY_SIZE(asked); i++) {
        for (int j = 0; j < (i == 4 ? 2 : 3); j++) {
            uint64_t number = ask(&q, asked[i].s);
            QDict *event = cxlf_wait_event(f->owner, "X_CXL_FABRIC_REQUEST");

            g_assert_cmpuint(number, >, last);
            last = number;
            g_assert_cmpint(qdict_get_int(event, "left-out"), ==, 0);
            check_entry(event, 1, number, asked[i].kind, asked[i].s);
            qobject_unref(event);
            check_first(f->owner, "open", 1, number, asked[i].kind,
                        asked[i].s);
            g_assert_false(has_event(&e));
            answer(f->owner, 1, number, results[j], "");
            expect_answer(&e, number, asked[i].s, results_n[j]);
            g_assert_cmpuint(count_requests(f->owner), ==, 0);
        }
    }
    /* It says what was granted. */
    last = ask(&q, s);
    answer(f->owner, 1, last, "granted",
           "\"gfam\": 0, \"dpa\": 8192, \"length\": 4096");
    a = next_answer(&e);
    g_assert_cmpuint(a.number, ==, last);
    g_assert_cmpuint(a.dpa, ==, 8192);
    g_assert_cmpuint(a.length, ==, 4096);
    g_assert_cmpuint(a.result, ==, GRANTED);
    cxlf_fabric_stop(f);
}

/* What the manager may not say. */
static void test_answer_errors(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue q = queue_on(f->h[0], 0);
    uint64_t a = ask(&q, capacity(1)), b = ask(&q, to_mode(2, TO_SOFTWARE));

    answer_error(f->owner, 1, a, "denied", "", "no open request");
    answer_error(f->owner, 7, a, "denied", "", "no open request");
    answer_error(f->owner, 0, b + 1, "denied", "", "no open request");
    answer_error(f->owner, 0, 0, "denied", "", "no open request");
    answer_error(f->owner, 0, a, "denied", "\"dpa\": 0", "'dpa'");
    answer_error(f->owner, 0, b, "granted", "\"dpa\": 0", "'dpa'");
    answer_error(f->owner, 0, a, "granted", "\"gfam\": 1", "must be 0 to 0");
    answer_error(f->owner, 0, a, "granted", "\"dpa\": 536870913",
                 "must be a range");
    answer_error(f->owner, 0, a, "granted",
                 "\"dpa\": 4096, \"length\": 536870912", "must be a range");
    answer_error(f->owner, 0, a, "granted",
                 "\"dpa\": 4096, \"length\": 18446744073709551615",
                 "must be a range");
    answer_error(f->owner, 0, a, "maybe", "", "maybe");
    answer_error(f->owner, 0, a, "denied", "\"id\": \"other\"", "other");
    answer_error(f->h[0]->qts, 0, a, "denied", "", "owns no");
    g_assert_cmpuint(count_requests(f->owner), ==, 2);
    g_assert_cmpuint(count_requests(f->h[0]->qts), ==, 0);
    answer(f->owner, 0, a, "denied", "\"id\": \"fabric0\"");
    answer_error(f->owner, 0, a, "denied", "", "no open request");
    cxlf_fabric_stop(f);
}

/* What a guest may not say. */
static void test_malformed(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",host-requests=all", "");
    Queue q = queue_on(f->h[0], 0);
    Submission s;

#define SPOILT(good, status, ...) do {          \
        s = (good);                             \
        __VA_ARGS__;                            \
        expect(&q, s, status);                  \
    } while (0)

    expect(&q, mode(2), MALFORMED);
    expect(&q, mode(UINT32_MAX), MALFORMED);
    SPOILT(mode(SOFTWARE), MALFORMED, s.dpa = 4096);
    SPOILT(mode(SOFTWARE), MALFORMED, s.length = 4096);
    SPOILT(mode(SOFTWARE), MALFORMED, s.address = 4096);
    SPOILT(mode(SOFTWARE), MALFORMED, s.count = 1);
    SPOILT(mode(SOFTWARE), MALFORMED, s.flags = 1; s.count = 1);
    SPOILT(mode(SOFTWARE), MALFORMED, s.zero = 1);
    SPOILT(mode(SOFTWARE), MALFORMED, s.argument[0] = 1);
    SPOILT(mode(SOFTWARE), MALFORMED, s.argument[3] = 1 << 31);
    SPOILT(mode(SOFTWARE), RANGE, s.gfam = 1);
    SPOILT(mode(SOFTWARE), RANGE, s.gfam = UINT32_MAX);

    for (uint32_t kind = 0; kind < 40; kind++) {
        if (kind < CAPACITY || kind > BINDING) {
            SPOILT(capacity(1), MALFORMED, s.target = kind);
        }
    }
    SPOILT(capacity(1), MALFORMED, s.target = 1u << 31 | CAPACITY);
    SPOILT(capacity(1), MALFORMED, s.address = 4096);
    SPOILT(capacity(1), MALFORMED, s.count = 1);
    SPOILT(capacity(1), MALFORMED, s.flags = 1);
    SPOILT(capacity(1), MALFORMED, s.flags = 4);
    SPOILT(capacity(1), MALFORMED, s.zero = 1);
    SPOILT(capacity(1), MALFORMED, s.dpa = 4096);
    SPOILT(capacity(1), MALFORMED, s.length = 0);
    SPOILT(capacity(1), MALFORMED, s.length = 4097);
    SPOILT(capacity(1), MALFORMED, s.argument[0] = 0);
    SPOILT(capacity(1), MALFORMED, s.argument[0] = TO_COHERENT);
    SPOILT(capacity(1), MALFORMED, s.argument[1] = 1);
    SPOILT(capacity(1), MALFORMED, s.argument[2] = 1);
    SPOILT(capacity(1), MALFORMED, s.argument[3] = 1);
    SPOILT(capacity(1), RANGE, s.gfam = 1);
    SPOILT(capacity(1), RANGE, s.gfam = UINT32_MAX - 1);

    expect(&q, to_mode(1, 0), MALFORMED);
    expect(&q, to_mode(1, TO_SOFTWARE + 1), MALFORMED);
    SPOILT(to_mode(1, TO_HOT), MALFORMED, s.length = 0);
    SPOILT(to_mode(1, TO_HOT), MALFORMED, s.length = 64);
    SPOILT(to_mode(1, TO_HOT), MALFORMED, s.dpa = 64);
    SPOILT(to_mode(1, TO_HOT), MALFORMED, s.argument[1] = 1);
    SPOILT(to_mode(1, TO_HOT), RANGE, s.gfam = 1);
    SPOILT(to_mode(1, TO_HOT), RANGE, s.gfam = UINT32_MAX);
    SPOILT(to_mode(1, TO_HOT), RANGE, s.dpa = 2 * CLASS_SIZE);
    SPOILT(to_mode(1, TO_HOT), RANGE, s.dpa = -4096ull);
    SPOILT(to_mode(1, TO_HOT), RANGE, s.length += 4096);
    SPOILT(to_mode(1, TO_HOT), RANGE, s.length = -4096ull);
    SPOILT(to_mode(1, TO_SOFTWARE), RANGE, s.length -= 4096);
    SPOILT(to_mode(1, TO_COHERENT), RANGE, s.dpa = 0);

    expect(&q, binding(1, 0, 0), MALFORMED);
    expect(&q, binding(1, UNBIND + 1, 0), MALFORMED);
    expect(&q, binding(1, BIND, 0x10000), MALFORMED);
    SPOILT(binding(1, BIND, 0), MALFORMED, s.dpa = 4096);
    SPOILT(binding(1, BIND, 0), MALFORMED, s.length = 4096);
    SPOILT(binding(1, BIND, 0), MALFORMED, s.argument[2] = 1);
    SPOILT(binding(1, BIND, 0), RANGE, s.gfam = UINT32_MAX);
#undef SPOILT
    g_assert_cmpuint(count_requests(f->owner), ==, 0);
    g_assert_cmpuint(qtest_readl(f->h[0]->qts, f->h[0]->eca + BULK_MODE), ==,
                     0);
    g_assert_cmpuint(ask(&q, capacity(1)), ==, 1);
    cxlf_fabric_stop(f);
}

/* Two hosts at once, from all queues: each gets its own answers. */
static void test_two_hosts(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue q[2][4];
    Events e[2];
    uint64_t number[2][16];

    for (int h = 0; h < 2; h++) {
        e[h] = events_on(f->h[h]);
        for (int i = 0; i < 4; i++) {
            q[h][i] = queue_on(f->h[h], i);
        }
    }
    for (int n = 0; n < 16; n++) {
        for (int h = 0; h < 2; h++) {
            put(&q[h][n % 4], capacity(n));
        }
    }
    for (int n = 0; n < 16; n++) {
        for (int h = 0; h < 2; h++) {
            Completion c = take(&q[h][n % 4]);

            g_assert_cmpuint(c.status, ==, DONE);
            g_assert_cmpuint(c.tag, ==, n);
            number[h][n] = c.number;
        }
    }
    g_assert_cmpuint(count_requests(f->owner), ==, 32);
    for (int n = 15; n >= 0; n--) {
        for (int h = 0; h < 2; h++) {
            answer(f->owner, h, number[h][n], h ? "denied" : "granted", "");
        }
    }
    for (int h = 0; h < 2; h++) {
        uint32_t seen = 0;

        for (int n = 0; n < 16; n++) {
            Answer a = next_answer(&e[h]);

            g_assert_cmpuint(a.tag, <, 16);
            g_assert_cmpuint(a.number, ==, number[h][a.tag]);
            g_assert_cmpuint(a.result, ==, h ? DENIED : GRANTED);
            seen |= 1u << a.tag;
        }
        g_assert_cmphex(seen, ==, 0xffff);
    }
    cxlf_fabric_stop(f);
}

/* Too many; and answers that the guest does not take yet. */
static void test_full(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue q = queue_on(f->h[0], 0), other = queue_on(f->h[1], 0);
    uint64_t number[OPEN];
    Events e;

    for (int i = 0; i < OPEN; i++) {
        number[i] = ask(&q, capacity(i));
    }
    expect(&q, capacity(99), FULL);
    expect(&q, binding(99, BIND, 0), FULL);
    ask(&other, capacity(0));
    g_assert_cmpuint(count_requests(f->owner), ==, OPEN + 1);
    for (int i = 0; i < OPEN; i++) {
        answer(f->owner, 0, number[i], "denied", "");
    }
    expect(&q, capacity(99), FULL);     /* none is told */
    e = events_on(f->h[0]);
    for (int i = 0; i < OPEN; i++) {
        expect_answer(&e, number[i], capacity(i), DENIED);
    }
    number[0] = ask(&q, capacity(100));
    answer(f->owner, 0, number[0], "failed", "");
    expect_answer(&e, number[0], capacity(100), FAILED);

    /* Events that are not wanted now, and a queue that was turned off. */
    qtest_writel(f->h[0]->qts, f->h[0]->eca + EV_MASK, 1u << 2);
    number[0] = ask(&q, capacity(101));
    set(&q, CONTROL, 0);
    answer(f->owner, 0, number[0], "denied", "");
    q = queue_on(f->h[0], 0);
    expect(&q, (Submission) { .command = FENCE }, DONE);
    g_assert_false(has_event(&e));
    qtest_writel(f->h[0]->qts, f->h[0]->eca + EV_MASK, 1u << ANSWER);
    expect_answer(&e, number[0], capacity(101), DENIED);
    cxlf_fabric_stop(f);
}

static void wait_taken(const Queue *q)
{
    gint64 deadline = cxlf_deadline();

    while (qtest_readl(q->h->qts, q->h->eca + QUEUE(q->number) + SQ_HEAD) !=
           q->tail) {
        cxlf_pause(deadline, "the agent to take commands");
    }
}

/* Requests whose command is not to end, or whose guest is no more. */
static void test_withdraw(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfHost *h = f->h[0];
    Queue a = queue_on(h, 0), b = queue_on(h, 1);
    Events e = events_on(h);
    uint64_t kept = ask(&a, capacity(1)), number;
    Completion c;

    qobject_unref(cxlf_wait_event(f->owner, "X_CXL_FABRIC_REQUEST"));
    cxlf_freeze(qtest_pid(f->owner));
    put(&a, capacity(2));
    put(&b, capacity(3));
    wait_taken(&a);
    wait_taken(&b);
    set(&a, CONTROL, 0);
    set(&b, CONTROL, ENABLE | ABORT);
    c = take(&b);
    g_assert_cmpuint(c.status, ==, ABORTED);
    g_assert_false(has_ended(&a));
    kill(qtest_pid(f->owner), SIGCONT);
    qobject_unref(cxlf_wait_event(f->owner, "X_CXL_FABRIC_REQUEST"));
    qobject_unref(cxlf_wait_event(f->owner, "X_CXL_FABRIC_REQUEST"));
    wait_requests(f->owner, 1);
    answer_error(f->owner, 0, kept + 1, "denied", "", "no open request");
    answer(f->owner, 0, kept, "denied", "");
    expect_answer(&e, kept, capacity(1), DENIED);

    /* A reset; the same tag is another request's then. */
    kept = ask(&b, capacity(4));
    qobject_unref(cxlf_wait_event(f->owner, "X_CXL_FABRIC_REQUEST"));
    number = ask(&b, capacity(4));
    answer(f->owner, 0, number, "denied", "");
    qtest_system_reset(h->qts);
    cxlf_host_program(h);
    wait_requests(f->owner, 0);
    answer_error(f->owner, 0, kept, "granted", "", "no open request");
    a = queue_on(h, 0);
    e = events_on(h);
    number = ask(&a, capacity(4));
    g_assert_cmpuint(number, >, kept);
    answer(f->owner, 0, number, "failed", "");
    expect_answer(&e, number, capacity(4), FAILED);
    for (int i = 0; i < OPEN; i++) {
        ask(&a, capacity(i));           /* there is room for all of them */
    }
    cxlf_fabric_stop(f);
}

/* An answer that is on its way when the guest is reset is not told. */
static void test_late(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    CxlfHost *h = f->h[0];
    Queue q = queue_on(h, 0);
    Events e = events_on(h);
    uint64_t number = ask(&q, capacity(1));

    cxlf_freeze(qtest_pid(h->qts));
    answer(f->owner, 0, number, "granted", "");
    kill(qtest_pid(h->qts), SIGCONT);
    qtest_system_reset(h->qts);
    cxlf_host_program(h);
    q = queue_on(h, 0);
    e = events_on(h);
    number = ask(&q, capacity(1));
    answer(f->owner, 0, number, "denied", "");
    expect_answer(&e, number, capacity(1), DENIED);
    g_assert_false(has_event(&e));
    cxlf_fabric_stop(f);
}

/* More answers at once than the host reads at a time. */
static void test_pieces(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, "", "");
    CxlfHost *h = f->h[0];
    Queue q = queue_on(h, 0);
    Events e = events_on(h);
    uint64_t number[OPEN];

    for (int i = 0; i < OPEN; i++) {
        number[i] = ask(&q, capacity(i));
    }
    cxlf_freeze(qtest_pid(h->qts));
    for (int i = 0; i < OPEN; i++) {
        answer(f->owner, 0, number[i], i % 2 ? "denied" : "failed", "");
    }
    kill(qtest_pid(h->qts), SIGCONT);
    for (int i = 0; i < OPEN; i++) {
        expect_answer(&e, number[i], capacity(i), i % 2 ? DENIED : FAILED);
    }
    cxlf_fabric_stop(f);
}

/* The dead ask for nothing, and who has their number has not asked. */
static void test_death(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue q = queue_on(f->h[1], 0), other = queue_on(f->h[0], 0);
    uint64_t number = ask(&q, capacity(1)), mine = ask(&other, capacity(2));
    Events e = events_on(f->h[0]);

    ask(&q, to_mode(1, TO_SOFTWARE));
    g_assert_cmpuint(count_requests(f->owner), ==, 3);
    g_assert_cmpint(kill(qtest_pid(f->h[1]->qts), SIGKILL), ==, 0);
    qobject_unref(cxlf_wait_event(f->owner, "X_CXL_FABRIC_HOST_DEAD"));
    cxlf_host_forget(f->h[1]);
    f->h[1] = NULL;
    g_assert_cmpuint(count_requests(f->owner), ==, 1);
    cxlf_fabric_host(f, 1, "");
    answer_error(f->owner, 1, number, "granted", "", "no open request");
    q = queue_on(f->h[1], 0);
    g_assert_cmpuint(ask(&q, capacity(1)), >, number + 1);
    answer(f->owner, 0, mine, "denied", "");
    expect_answer(&e, mine, capacity(2), DENIED);

    /* One that leaves. */
    cxlf_host_stop(f->h[1]);
    f->h[1] = NULL;
    wait_requests(f->owner, 0);
    cxlf_fabric_stop(f);
}

static void test_lost(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",host-requests=all", "");
    Queue a = queue_on(f->h[0], 0), b = queue_on(f->h[0], 1);
    uint64_t number = ask(&a, capacity(1));
    Events e = events_on(f->h[0]);
    Completion c;

    cxlf_freeze(qtest_pid(f->owner));
    put(&a, capacity(2));
    put(&b, mode(SOFTWARE));
    wait_taken(&a);
    wait_taken(&b);
    g_assert_false(has_ended(&a) || has_ended(&b));
    g_assert_cmpint(kill(qtest_pid(f->owner), SIGKILL), ==, 0);
    c = take(&a);
    g_assert_cmpuint(c.status, ==, LOST);
    c = take(&b);
    g_assert_cmpuint(c.status, ==, LOST);
    expect_answer(&e, number, capacity(1), FABRIC_LOST);
    g_assert_false(has_event(&e));
    expect(&a, capacity(3), LOST);
    expect(&a, mode(SOFTWARE), LOST);
    cxlf_forget(f->owner);
    f->owner = NULL;
    cxlf_fabric_stop(f);
}

/* Who may ask for what. */
static void test_policy(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, "", "");
    Queue q = queue_on(f->h[0], 0);

    expect(&q, mode(SOFTWARE), REFUSED);
    expect(&q, mode(COHERENT), REFUSED);
    g_assert_cmpuint(ask(&q, capacity(1)), ==, 1);
    cxlf_fabric_stop(f);

    f = cxlf_fabric_start(1, ",host-requests=none", "");
    q = queue_on(f->h[0], 0);
    expect(&q, mode(SOFTWARE), REFUSED);
    expect(&q, capacity(1), REFUSED);
    g_assert_cmpuint(count_requests(f->owner), ==, 0);
    g_assert_false(cxlf_has_event(f->owner, "X_CXL_FABRIC_REQUEST"));
    cxlf_add_error(f->owner, "'host-requests': 'some'", "some");
    g_assert_cmpuint(qtest_readl(f->h[0]->qts, f->h[0]->eca + BULK_MODE), ==,
                     0);
    cxlf_fabric_stop(f);
}

static uint32_t mode_of(CxlfHost *h)
{
    return qtest_readl(h->qts, h->eca + BULK_MODE);
}

/* Whether what host 0 stores is not seen by host 1. */
static void check_mode(CxlfFabric *f, uint32_t is, uint64_t value)
{
    uint64_t before = cxlf_load(&f->r[1], BULK, 8);

    g_assert_cmpuint(mode_of(f->h[0]), ==, is);
    g_assert_cmpuint(mode_of(f->h[1]), ==, is);
    cxlf_store(&f->r[0], BULK, value, 8);
    g_assert_cmphex(cxlf_load(&f->r[1], BULK, 8), ==,
                    is == SOFTWARE ? before : value);
}

static void test_set_mode(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, ",host-requests=all", "");
    Queue a = queue_on(f->h[0], 0), b = queue_on(f->h[1], 0);
    Queue c = queue_on(f->h[0], 3);
    Completion first, second;

    for (uint64_t i = 1; i < 10; i += 2) {
        expect(i % 4 == 1 ? &a : &b, mode(SOFTWARE), DONE);
        check_mode(f, SOFTWARE, i);
        expect(&a, mode(SOFTWARE), DONE);
        expect(&a, mode(COHERENT), DONE);
        check_mode(f, COHERENT, i + 1);
    }
    /* Two hosts at once: one is first, or both in turn. */
    for (int i = 0; i < 20; i++) {
        put(&a, mode(i % 2));
        put(&b, mode(i % 2));
        first = take(&a);
        second = take(&b);
        g_assert_true(first.status == DONE || second.status == DONE);
        g_assert_true(first.status == DONE || first.status == AGAIN);
        g_assert_true(second.status == DONE || second.status == AGAIN);
        g_assert_cmpuint(mode_of(f->h[0]), ==, i % 2);
    }
    expect(&a, mode(COHERENT), DONE);

    /* A host that stands still is waited for. */
    cxlf_freeze(qtest_pid(f->h[1]->qts));
    put(&a, mode(SOFTWARE));
    wait_taken(&a);
    do {
        first = give(&c, mode(COHERENT));   /* until the other is first */
    } while (first.status == DONE);
    g_assert_cmpuint(first.status, ==, AGAIN);
    g_assert_false(has_ended(&a));
    g_assert_cmpuint(mode_of(f->h[0]), ==, COHERENT);
    set(&a, CONTROL, ENABLE | ABORT);
    first = take(&a);
    g_assert_cmpuint(first.status, ==, ABORTED);
    kill(qtest_pid(f->h[1]->qts), SIGCONT);
    for (gint64 deadline = cxlf_deadline(); mode_of(f->h[0]) != SOFTWARE;) {
        cxlf_pause(deadline, "software mode");
    }
    for (gint64 deadline = cxlf_deadline();
         give(&a, mode(COHERENT)).status == AGAIN;) {
        cxlf_pause(deadline, "the end of the change");
    }
    g_assert_cmpuint(mode_of(f->h[0]), ==, COHERENT);

    /* One that dies, is not. */
    cxlf_freeze(qtest_pid(f->h[1]->qts));
    put(&a, mode(SOFTWARE));
    wait_taken(&a);
    g_assert_cmpint(kill(qtest_pid(f->h[1]->qts), SIGKILL), ==, 0);
    first = take(&a);
    g_assert_cmpuint(first.status, ==, DONE);
    g_assert_cmpuint(mode_of(f->h[0]), ==, SOFTWARE);
    cxlf_host_forget(f->h[1]);
    f->h[1] = NULL;
    cxlf_fabric_stop(f);
}

static void test_unable(void)
{
    CxlfFabric *f = cxlf_fabric_start(1, ",hosts=2,host-requests=all", "");
    Queue q = queue_on(f->h[0], 0);
    CxlfHost *h = cxlf_host_start(f->path, 1, "",
                                  " -global dpu-eca.ownership=off");
    uint64_t number;

    expect(&q, mode(SOFTWARE), OFF);
    number = ask(&q, to_mode(1, TO_SOFTWARE));
    answer_error(f->owner, 0, number, "granted", "", "ownership=off");
    g_assert_cmpuint(count_requests(f->owner), ==, 1);
    expect(&q, mode(COHERENT), DONE);
    cxlf_host_stop(h);
    cxlf_wait_host_state(f->owner, 1, "free");
    expect(&q, mode(SOFTWARE), DONE);
    g_assert_cmpuint(mode_of(f->h[0]), ==, SOFTWARE);
    cxlf_fabric_stop(f);
}

/* The owner does what the manager grants, before the host is told. */
static void test_grant_mode(void)
{
    CxlfFabric *f = cxlf_fabric_start(2, "", "");
    Queue q = queue_on(f->h[0], 0);
    Events e = events_on(f->h[0]);
    Submission s = to_mode(7, TO_SOFTWARE);
    uint64_t number = ask(&q, s), other;

    answer(f->owner, 0, number, "granted", "");
    expect_answer(&e, number, s, GRANTED);
    check_mode(f, SOFTWARE, 5);
    number = ask(&q, s);                /* it is so */
    answer(f->owner, 0, number, "granted", "");
    expect_answer(&e, number, s, GRANTED);
    number = ask(&q, to_mode(8, TO_COHERENT));
    answer(f->owner, 0, number, "denied", "");
    expect_answer(&e, number, to_mode(8, TO_COHERENT), DENIED);
    check_mode(f, SOFTWARE, 6);

    cxlf_freeze(qtest_pid(f->h[1]->qts));
    s = to_mode(9, TO_COHERENT);
    number = ask(&q, s);
    other = ask(&q, to_mode(10, TO_SOFTWARE));
    answer(f->owner, 0, number, "granted", "");
    check_first(f->owner, "under-way", 0, number, "class", s);
    answer_error(f->owner, 0, number, "denied", "", "was granted");
    answer_error(f->owner, 0, other, "granted", "", "under way");
    g_assert_false(has_event(&e));
    kill(qtest_pid(f->h[1]->qts), SIGCONT);
    expect_answer(&e, number, s, GRANTED);
    check_mode(f, COHERENT, 7);
    g_assert_cmpuint(count_requests(f->owner), ==, 1);
    answer(f->owner, 0, other, "granted", "");
    expect_answer(&e, other, to_mode(10, TO_SOFTWARE), GRANTED);
    check_mode(f, SOFTWARE, 8);
    cxlf_fabric_stop(f);
}

/* The owner's own host, whose monitor is the manager's. */
static void test_embedded(void)
{
    CxlfHost *h = cxlf_host_start(NULL, 1, "", "");
    Queue q = queue_on(h, 0);
    Events e = events_on(h);
    uint64_t number = ask(&q, capacity(1));

    check_first(h->qts, "open", 0, number, "capacity", capacity(1));
    answer(h->qts, 0, number, "denied", "");
    expect_answer(&e, number, capacity(1), DENIED);
    expect(&q, mode(SOFTWARE), REFUSED);
    number = ask(&q, to_mode(2, TO_SOFTWARE));
    answer(h->qts, 0, number, "granted", "");
    expect_answer(&e, number, to_mode(2, TO_SOFTWARE), GRANTED);
    g_assert_cmpuint(mode_of(h), ==, SOFTWARE);
    ask(&q, capacity(3));
    qtest_system_reset(h->qts);
    g_assert_cmpuint(count_requests(h->qts), ==, 0);
    cxlf_host_stop(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxlf/manager/ask", test_ask);
    qtest_add_func("/cxlf/manager/answer-errors", test_answer_errors);
    qtest_add_func("/cxlf/manager/malformed", test_malformed);
    qtest_add_func("/cxlf/manager/two-hosts", test_two_hosts);
    qtest_add_func("/cxlf/manager/full", test_full);
    qtest_add_func("/cxlf/manager/withdraw", test_withdraw);
    qtest_add_func("/cxlf/manager/late", test_late);
    qtest_add_func("/cxlf/manager/pieces", test_pieces);
    qtest_add_func("/cxlf/manager/death", test_death);
    qtest_add_func("/cxlf/manager/lost", test_lost);
    qtest_add_func("/cxlf/manager/policy", test_policy);
    qtest_add_func("/cxlf/manager/set-mode", test_set_mode);
    qtest_add_func("/cxlf/manager/unable", test_unable);
    qtest_add_func("/cxlf/manager/grant-mode", test_grant_mode);
    qtest_add_func("/cxlf/manager/embedded", test_embedded);
    return g_test_run();
}
