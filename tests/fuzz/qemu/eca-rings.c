/*
 * Fuzz: the agent's registers, rings and descriptors, as a guest writes them
 *
 * An input is a list of a guest's actions.  A model follows what a guest can
 * know of each queue and of the events, by docs/specs/dpu-eca.rst; what the
 * device shows must agree with it, and whatever can end must end.  Rings may
 * lie anywhere, and commands may write over them: then their content is not
 * compared any more, but the registers still are.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "qemu/main-loop.h"
#include "hw/i386/pc.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "system/runstate.h"
#include "tests/qtest/fuzz/fuzz.h"
#include "tests/qtest/cxlf/cxlf-eca.h"
#include "hw/cxlf/eca.h"
#include "hw/dpu-eca/eca-regs.h"
#include "../must.h"

/* Memory of the guest */
#define RAM_END     (128 * MIB)
#define RINGS       (16 * MIB)
#define RING_STRIDE (1 * MIB)           /* for each ring */
#define RINGS_END   (RINGS + (2 * ECA_QUEUES + 1) * RING_STRIDE)
#define LIST        (32 * MIB)
#define LIST_END    (33 * MIB)          /* of the longest, and what follows */
#define OUTPUT      (48 * MIB)

#define BULK        CLASS_SIZE          /* DPA where BULK begins */
#define DEVICE_END  (2 * CLASS_SIZE)
#define LONGEST     (66 * CXLF_PAGE)    /* of ranges that can be worked on */
#define COPY_LONGEST (12 * KiB)
#define PATIENCE    (60 * G_USEC_PER_SEC)
#define LAST_STATUS ECA_COPY_REFUSED
#define WHY_LAST    ECA_QUEUE_WHY_TAKEN

enum { SET_REGISTER, SET_UP, ENABLE, DISABLE, SUBMIT, SPOIL, PUT_LIST, RING,
       TAKE, TAKE_SOME, ABORT, RUN, WAIT, EVENTS_UP, EVENTS_TAKE, EVENTS_MASK,
       TOUCH, COMMAND, BUS_MASTER, VECTORS, RESET, STAND, ROUNDS, ANSWER, OPS };

typedef struct Queue {
    uint32_t state, control;
    uint64_t sq, cq;
    uint32_t sq_size, cq_size;
    uint32_t tail;                      /* that the guest has written */
    uint64_t fetched, made, taken;      /* since ENABLE */
    uint8_t active[ECA_SQE_SIZE];       /* what was fetched last */
    bool comparable;                    /* the content of the rings, too */
} Queue;

typedef struct Events {
    uint32_t state, control;
    uint64_t base;
    uint32_t size;
    uint64_t made, taken;
    bool comparable;
} Events;

static CxlfHost host;
static CxlfRegion region;
static Object *eca;
static Queue queues[ECA_QUEUES];
static Events events;
static bool spoilt;                     /* anything may be in any ring */
static uint32_t tags;

/* The input */

static const uint8_t *input, *input_end;

static uint8_t next(void)
{
    return input < input_end ? *input++ : 0;
}

static uint64_t next_bytes(unsigned n)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < n; i++) {
        value |= (uint64_t)next() << 8 * i;
    }
    return value;
}

/*
 * The device looks at all pages near those that were used when it is reset,
 * so few are: those near a border of its memory.
 */
static uint64_t confine(uint64_t dpa)
{
    return dpa < BULK - MIB || (dpa > BULK + 3 * MIB &&
                                dpa < DEVICE_END - MIB) ?
           BULK + dpa % MIB : dpa;
}

static uint64_t next_dpa(void)
{
    static const uint64_t near[] = {
        BULK, BULK - 8 * CXLF_PAGE, DEVICE_END - 8 * CXLF_PAGE,
        BULK + 2 * MIB - 4 * CXLF_PAGE, BULK, BULK - CXLF_PAGE, DEVICE_END,
    };
    uint8_t how = next();

    return how % 8 == 7 ? confine(next_bytes(8)) :
           near[how % 8] + (how >> 3 & 15) * (how & 128 ? CXLF_LINE :
                                              CXLF_PAGE);
}

/* Few pages, or about as many as the agent takes at a time. */
static uint64_t some_pages(unsigned n)
{
    return (n < 60 ? n % 16 : n + 3) * CXLF_PAGE;
}

/* What can be done takes no long time; what cannot may be of any size. */
static uint64_t shorten(uint64_t length)
{
    return length <= DEVICE_END ? length % (LONGEST + 1) : length;
}

static uint64_t next_length(uint64_t dpa)
{
    uint8_t how = next();

    switch (how % 4) {
    case 0:
        return some_pages(how >> 2);
    case 1:
        return (how >> 2) * CXLF_LINE;
    case 2:
        return how >> 2;
    default:
        return shorten(how & 4 ? DEVICE_END - dpa : next_bytes(8));
    }
}

/* An address of the guest's, where there is something or not. */
static uint64_t next_address(void)
{
    const uint64_t near[] = {
        OUTPUT, RINGS, host.eca + ECA_QUEUE, region.base,
        region.base + BULK, RAM_END - 4 * KiB, RAM_END, UINT64_MAX - 4095,
        OUTPUT, 0, host.eca, region.base + BULK + 2 * MIB,
        OUTPUT + 64, OUTPUT + 8, region.base + DEVICE_END - 4 * KiB,
    };
    uint8_t how = next();

    if (how % 16 == 15) {
        return next_bytes(8);
    }
    return near[how % 16] + (how >> 4) * 64 * (how >> 4 & 1 ? 1 : 64);
}

/* Registers */

static uint64_t at_queue(unsigned n, unsigned reg)
{
    return host.eca + ECA_QUEUE + n * ECA_QUEUE_STRIDE + reg;
}

static uint32_t get(uint64_t at)
{
    return qtest_readl(host.qts, at);
}

static void set(uint64_t at, uint32_t value)
{
    qtest_writel(host.qts, at, value);
}

static bool is_ring(uint64_t base, uint32_t size, unsigned entry)
{
    return base % entry == 0 && is_power_of_2(size) && size >= ECA_RING_MIN &&
           size <= ECA_RING_MAX;
}

/* Where nothing else writes. */
static uint64_t own_sq(unsigned n)
{
    return RINGS + 2 * n * RING_STRIDE;
}

static uint64_t own_cq(unsigned n)
{
    return own_sq(n) + RING_STRIDE;
}

/* From now on it is not known what is in the rings. */
static void spoil(void)
{
    spoilt = true;
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        queues[i].comparable = false;
    }
    events.comparable = false;
}

static bool hits_rings(uint64_t at, uint64_t length)
{
    return at < RINGS_END && length && (at >= RINGS || length > RINGS - at);
}

/* The queues: what they show, against what a guest knows */

/* A completion of that submission, the n-th of the queue. */
static void check_completion(const Queue *q, uint64_t n, const uint8_t *s)
{
    uint8_t c[ECA_CQE_SIZE];
    uint64_t done, length = ldq_le_p(s + ECA_SQE_LENGTH);
    unsigned command = lduw_le_p(s + ECA_SQE_COMMAND), status;
    unsigned flags = lduw_le_p(s + ECA_SQE_FLAGS);

    qtest_memread(host.qts, q->cq + n % q->cq_size * ECA_CQE_SIZE, c,
                  sizeof(c));
    status = lduw_le_p(c + ECA_CQE_STATUS);
    done = ldq_le_p(c + ECA_CQE_DONE);
    MUST(ldl_le_p(c + ECA_CQE_TAG) == ldl_le_p(s + ECA_SQE_TAG));
    MUST(lduw_le_p(c + ECA_CQE_PHASE) == (n / q->cq_size % 2 ? 0 : 1));
    MUST(ldl_le_p(c + ECA_CQE_SQ_HEAD) == (n + 1) % q->sq_size);
    MUST(ldl_le_p(c + ECA_CQE_SQ_HEAD + 4) == 0);
    MUST(status <= LAST_STATUS && status != ECA_COPY_BUSY &&
         status != ECA_COPY_LOST);
    MUST(status || ldq_le_p(c + ECA_CQE_WHERE) == UINT64_MAX);
    for (unsigned i = ECA_SQE_ZERO; i < ECA_SQE_SIZE; i++) {
        MUST(!s[i] || status ||
             (command == ECA_ASK && i >= ECA_SQE_ARGUMENT));
    }
    MUST(!(flags & ~(ECA_SQE_LIST | ECA_SQE_QUIET)) || status);
    switch (command) {
    case ECA_COPY_OUT:
    case ECA_COPY_IN:
    case ECA_COPY_ACROSS:
        MUST(done <= length && (status || done == length));
        MUST(done % CXLF_LINE == 0 || status == ECA_COPY_ADDRESS);
        break;
    case ECA_MESSAGE:
        MUST(done == (status ? 0 : length) && done <= ECA_MESSAGE_MAX);
        break;
    case ECA_HOLDINGS:
        MUST(done <= ECA_HOLDINGS_MAX);
        break;
    case ECA_READ_COUNTERS:
        MUST(done <= length && done <= 8 * CXLF_COUNTERS);
        break;
    case 0:
        MUST((status == ECA_COPY_UNKNOWN || status == ECA_COPY_ABORTED) &&
             !done);
        break;
    case ECA_FENCE:
    case ECA_SET_MODE:
        MUST(!done);
        break;
    case ECA_ASK:
        MUST(!done == !!status);        /* the request's number */
        break;
    default:
        break;
    }
}

static void read_submission(const Queue *q, uint64_t n, uint8_t *s)
{
    qtest_memread(host.qts, q->sq + n % q->sq_size * ECA_SQE_SIZE, s,
                  ECA_SQE_SIZE);
}

static void check_rings(Queue *q, uint64_t fetched, uint64_t made)
{
    uint8_t s[ECA_SQE_SIZE];
    uint16_t phase;

    for (uint64_t n = q->made; n < made; n++) {
        if (n < q->fetched) {
            memcpy(s, q->active, sizeof(s));
        } else {
            read_submission(q, n, s);
        }
        check_completion(q, n, s);
    }
    if (fetched > q->fetched) {
        read_submission(q, fetched - 1, q->active);
    }
    /* What is not made cannot be seen. */
    qtest_memread(host.qts, q->cq + made % q->cq_size * ECA_CQE_SIZE +
                  ECA_CQE_PHASE, &phase, 2);
    MUST(le16_to_cpu(phase) == (made / q->cq_size) % 2);
}

static void check_on(Queue *q, unsigned n)
{
    uint32_t head = get(at_queue(n, ECA_QUEUE_SQ_HEAD));
    uint32_t cq_tail = get(at_queue(n, ECA_QUEUE_CQ_TAIL));
    uint64_t fetched, made;

    MUST(head < q->sq_size && cq_tail < q->cq_size);
    MUST(get(at_queue(n, ECA_QUEUE_SQ_TAIL)) == q->tail);
    MUST(get(at_queue(n, ECA_QUEUE_CQ_HEAD)) == q->taken % q->cq_size);
    fetched = q->fetched + ((head - q->fetched) & (q->sq_size - 1));
    made = q->made + ((cq_tail - q->made) & (q->cq_size - 1));
    /* No further than to the tail. */
    MUST(((head - q->fetched) & (q->sq_size - 1)) <=
         ((q->tail - q->fetched) & (q->sq_size - 1)));
    MUST(made <= fetched && fetched <= made + 1);
    /* There is room for the completion of what was fetched. */
    MUST(fetched - q->taken < q->cq_size);
    if (q->comparable) {
        check_rings(q, fetched, made);
    }
    q->fetched = fetched;
    q->made = made;
}

static void check_queue(unsigned n)
{
    Queue *q = &queues[n];
    uint32_t state = get(at_queue(n, ECA_QUEUE_STATE));
    uint32_t why = state >> ECA_QUEUE_WHY_SHIFT;

    state &= 0xff;
    MUST(state <= ECA_QUEUE_STOPPED && why <= WHY_LAST);
    MUST((state == ECA_QUEUE_STOPPED) == (why != 0));
    /* By itself it can only stop, for want of memory. */
    MUST(state == q->state || (q->state == ECA_QUEUE_ON &&
                               state == ECA_QUEUE_STOPPED &&
                               why == ECA_QUEUE_WHY_DMA));
    q->state = state;
    MUST(get(at_queue(n, ECA_QUEUE_CONTROL)) == q->control);
    MUST((state != ECA_QUEUE_OFF) == !!(q->control & ECA_QUEUE_ENABLE));
    MUST(qtest_readq(host.qts, at_queue(n, ECA_QUEUE_SQ_BASE)) == q->sq);
    MUST(qtest_readq(host.qts, at_queue(n, ECA_QUEUE_CQ_BASE)) == q->cq);
    MUST(get(at_queue(n, ECA_QUEUE_SQ_SIZE)) == q->sq_size);
    MUST(get(at_queue(n, ECA_QUEUE_CQ_SIZE)) == q->cq_size);
    if (state == ECA_QUEUE_ON) {
        check_on(q, n);
    } else {
        MUST(qtest_readq(host.qts, at_queue(n, ECA_QUEUE_PROGRESS)) == 0);
    }
    if (state == ECA_QUEUE_OFF) {
        MUST(!qtest_readq(host.qts, at_queue(n, ECA_QUEUE_SQ_TAIL)));
        MUST(!qtest_readq(host.qts, at_queue(n, ECA_QUEUE_CQ_HEAD)));
    }
}

static void check_event(uint64_t n)
{
    uint8_t e[ECA_EVENT_SIZE];
    unsigned kind;

    qtest_memread(host.qts, events.base + n % events.size * ECA_EVENT_SIZE,
                  e, sizeof(e));
    kind = lduw_le_p(e + ECA_EVENT_KIND);
    MUST(kind >= 1 && kind <= 31);
    MUST(lduw_le_p(e + ECA_EVENT_PHASE) == (n / events.size % 2 ? 0 : 1));
    MUST(ldl_le_p(e + ECA_EVENT_COUNT) > 0);
}

static void check_events(void)
{
    uint32_t state = get(host.eca + ECA_EV_STATE);
    uint32_t why = state >> ECA_QUEUE_WHY_SHIFT, tail;
    uint64_t made;

    state &= 0xff;
    MUST(state <= ECA_QUEUE_STOPPED && why <= WHY_LAST);
    MUST((state == ECA_QUEUE_STOPPED) == (why != 0));
    MUST(state == events.state || (events.state == ECA_QUEUE_ON &&
                                   state == ECA_QUEUE_STOPPED &&
                                   why == ECA_QUEUE_WHY_DMA));
    events.state = state;
    MUST(get(host.eca + ECA_EV_CONTROL) == events.control);
    MUST(qtest_readq(host.qts, host.eca + ECA_EV_BASE) == events.base);
    MUST(get(host.eca + ECA_EV_SIZE) == events.size);
    MUST(get(host.eca + ECA_EV_SAMPLE) <= 20);
    if (state != ECA_QUEUE_ON) {
        return;
    }
    tail = get(host.eca + ECA_EV_TAIL);
    MUST(tail < events.size);
    MUST(get(host.eca + ECA_EV_HEAD) == events.taken % events.size);
    made = events.made + ((tail - events.made) & (events.size - 1));
    MUST(made - events.taken < events.size);
    for (uint64_t n = events.made; events.comparable && n < made; n++) {
        check_event(n);
    }
    events.made = made;
}

static void check_all(void)
{
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        check_queue(i);
    }
    check_events();
    MUST(get(host.eca + ECA_MAGIC) == ECA_MAGIC_VALUE);
    MUST(get(host.eca + ECA_STATUS) & ECA_STATUS_UP);
    MUST(get(host.eca + ECA_COPY_STATUS) <= LAST_STATUS);
}

/* Changes of the model, as registers are written */

static void stops(unsigned n, uint32_t why)
{
    MUST(get(at_queue(n, ECA_QUEUE_STATE)) ==
         (ECA_QUEUE_STOPPED | why << ECA_QUEUE_WHY_SHIFT));
    queues[n].state = ECA_QUEUE_STOPPED;
}

/* At most a ring.  QEMU's fuzzer loses the memory of a qtest_memset(). */
static void clear(uint64_t at, size_t size)
{
    static const uint8_t zero[ECA_RING_MAX * ECA_SQE_SIZE];

    MUST(size <= sizeof(zero));
    qtest_memwrite(host.qts, at, zero, size);
}

/* What is in a ring of the guest's own is known from the beginning. */
static void begin_rings(Queue *q, unsigned n)
{
    q->comparable = q->sq == own_sq(n) && q->cq == own_cq(n);
    if (q->comparable) {
        clear(q->sq, q->sq_size * ECA_SQE_SIZE);
        clear(q->cq, q->cq_size * ECA_CQE_SIZE);
    } else if (q->sq != own_sq(n) ||
               hits_rings(q->cq, q->cq_size * ECA_CQE_SIZE)) {
        spoil();
    }
    q->comparable &= !spoilt;
}

static void write_control(unsigned n, uint32_t value)
{
    Queue *q = &queues[n];
    bool was = q->control & ECA_QUEUE_ENABLE, on = value & ECA_QUEUE_ENABLE;
    bool good = is_ring(q->sq, q->sq_size, ECA_SQE_SIZE) &&
                is_ring(q->cq, q->cq_size, ECA_CQE_SIZE);

    check_queue(n);
    if (on && !was && good) {
        begin_rings(q, n);
    }
    set(at_queue(n, ECA_QUEUE_CONTROL), value);
    q->control = value & (ECA_QUEUE_ENABLE | ECA_QUEUE_INTERRUPT);
    if (was && !on) {
        q->state = ECA_QUEUE_OFF;
    } else if (on && !was) {
        q->fetched = q->made = q->taken = q->tail = 0;
        q->state = ECA_QUEUE_ON;
        if (!good) {
            stops(n, ECA_QUEUE_WHY_SETUP);
        }
    }
}

static void write_tail(unsigned n, uint32_t value)
{
    Queue *q = &queues[n];

    check_queue(n);
    set(at_queue(n, ECA_QUEUE_SQ_TAIL), value);
    if (q->state != ECA_QUEUE_ON) {
        return;
    }
    if (value >= q->sq_size) {
        stops(n, ECA_QUEUE_WHY_INDEX);
    } else {
        q->tail = value;
    }
}

static void write_head(unsigned n, uint32_t value)
{
    Queue *q = &queues[n];
    uint32_t ready;

    check_queue(n);
    set(at_queue(n, ECA_QUEUE_CQ_HEAD), value);
    if (q->state != ECA_QUEUE_ON) {
        return;
    }
    ready = q->made - q->taken;
    if (value >= q->cq_size) {
        stops(n, ECA_QUEUE_WHY_INDEX);
    } else if (((value - q->taken) & (q->cq_size - 1)) > ready) {
        stops(n, ECA_QUEUE_WHY_TAKEN);
    } else {
        q->taken += (value - q->taken) & (q->cq_size - 1);
    }
}

/* An index of a ring, next to what it has or to its end. */
static uint32_t next_index(uint32_t now, uint32_t size)
{
    uint8_t how = next();

    switch (how % 4) {
    case 0:
        return (now + (how >> 2)) & (size - 1);
    case 1:
        return size - 2 + (how >> 2) % 4;
    case 2:
        return how >> 2;
    default:
        return next_bytes(4);
    }
}

static void write_register(unsigned n, unsigned reg, uint32_t value)
{
    Queue *q = &queues[n];
    bool off = q->state == ECA_QUEUE_OFF;

    switch (reg) {
    case ECA_QUEUE_CONTROL:
        write_control(n, value);
        return;
    case ECA_QUEUE_SQ_TAIL:
        write_tail(n, value);
        return;
    case ECA_QUEUE_CQ_HEAD:
        write_head(n, value);
        return;
    default:
        break;
    }
    set(at_queue(n, reg), value);
    if (!off) {
        return;
    }
    switch (reg) {
    case ECA_QUEUE_SQ_BASE:
    case ECA_QUEUE_SQ_BASE + 4:
        q->sq = deposit64(q->sq, reg % 8 * 8, 32, value);
        break;
    case ECA_QUEUE_CQ_BASE:
    case ECA_QUEUE_CQ_BASE + 4:
        q->cq = deposit64(q->cq, reg % 8 * 8, 32, value);
        break;
    case ECA_QUEUE_SQ_SIZE:
        q->sq_size = value;
        break;
    case ECA_QUEUE_CQ_SIZE:
        q->cq_size = value;
        break;
    default:
        break;
    }
}

/* The guest's actions */

static void set_up(unsigned n)
{
    uint8_t how = next();

    write_control(n, 0);
    queues[n].sq = how & 1 ? next_address() : own_sq(n);
    queues[n].cq = how & 2 ? next_address() : own_cq(n);
    qtest_writeq(host.qts, at_queue(n, ECA_QUEUE_SQ_BASE), queues[n].sq);
    qtest_writeq(host.qts, at_queue(n, ECA_QUEUE_CQ_BASE), queues[n].cq);
    write_register(n, ECA_QUEUE_SQ_SIZE, 2u << (how >> 2 & 7));
    write_register(n, ECA_QUEUE_CQ_SIZE, 2u << (how >> 5));
    write_control(n, ECA_QUEUE_ENABLE | (how & 4 ? ECA_QUEUE_INTERRUPT : 0));
}

/* What a command may write to the guest's memory, at most. */
static uint64_t written(const uint8_t *s)
{
    switch (lduw_le_p(s + ECA_SQE_COMMAND)) {
    case ECA_COPY_FLUSH ... ECA_UNRESERVE:
    case ECA_SET_MODE:
    case ECA_FENCE:
    case ECA_COPY_IN:
    case ECA_COPY_ACROSS:
    case ECA_MESSAGE:
    case ECA_ASK:
        return 0;
    case ECA_COPY_OUT:
        return ldq_le_p(s + ECA_SQE_LENGTH);
    default:
        return MAX(ldq_le_p(s + ECA_SQE_LENGTH), ECA_HOLDINGS_MAX);
    }
}

/* Whether its DPA is of memory that the agent works on, without a list. */
static bool takes_range(unsigned command)
{
    return command != ECA_FENCE && command != ECA_SET_MODE &&
           command != ECA_ASK && command != ECA_MESSAGE &&
           command != ECA_READ_COUNTERS;
}

static bool is_memory(uint64_t at, uint64_t length)
{
    uint64_t bulk = region.base + BULK;

    return (at < RAM_END && length <= RAM_END - at) ||
           (at >= bulk && at < bulk + BULK && length <= bulk + BULK - at);
}

/*
 * What was left in other memory may be a list of ranges so long that they take
 * minutes.
 */
static uint64_t confine_list(uint64_t at)
{
    return is_memory(at, 1) && (at < LIST || at >= LIST_END) ? LIST : at;
}

static void put_submission(const Queue *q, uint8_t *s)
{
    uint64_t at = q->sq + q->tail * ECA_SQE_SIZE;
    uint64_t length = ldq_le_p(s + ECA_SQE_LENGTH);
    unsigned command = lduw_le_p(s + ECA_SQE_COMMAND);

    if (command != ECA_ASK) {
        length = shorten(length);
    }
    if (lduw_le_p(s + ECA_SQE_FLAGS) & ECA_SQE_LIST) {
        stq_le_p(s + ECA_SQE_ADDRESS,
                 confine_list(ldq_le_p(s + ECA_SQE_ADDRESS)));
    } else if (takes_range(command)) {
        stq_le_p(s + ECA_SQE_DPA, confine(ldq_le_p(s + ECA_SQE_DPA)));
    }
    /* Copies go line by line. */
    if (command >= ECA_COPY_OUT && command <= ECA_COPY_ACROSS &&
        length <= LONGEST) {
        length %= COPY_LONGEST + 1;
    }
    stq_le_p(s + ECA_SQE_LENGTH, length);
    if (command == ECA_COPY_ACROSS) {
        stq_le_p(s + ECA_SQE_ADDRESS, confine(ldq_le_p(s + ECA_SQE_ADDRESS)));
    }
    if (hits_rings(ldq_le_p(s + ECA_SQE_ADDRESS), written(s))) {
        spoil();
    }
    if (is_memory(at, ECA_SQE_SIZE)) {
        qtest_memwrite(host.qts, at, s, ECA_SQE_SIZE);
    }
}

/* Where a list is, or cannot be; what is there is known. */
static uint64_t next_list(void)
{
    const uint64_t near[] = {
        LIST, LIST_END - 16 * ECA_LIST_SIZE, LIST + 8, RAM_END,
        host.eca, UINT64_MAX - 15,
    };
    uint8_t how = next();

    return near[how % ARRAY_SIZE(near)] + (how >> 4) * ECA_LIST_SIZE;
}

/* Of the manager: kinds, arguments and ranges that there are, and others. */
static void make_ask(uint8_t *s, uint64_t dpa)
{
    uint8_t how = next();

    stl_le_p(s + ECA_SQE_TARGET, how & 3);
    stl_le_p(s + ECA_SQE_ARGUMENT, how >> 2 & 7);
    stl_le_p(s + ECA_SQE_ARGUMENT + 4, next());
    stq_le_p(s + ECA_SQE_DPA, how & 32 ? dpa : 0);
    stq_le_p(s + ECA_SQE_LENGTH, how & 64 ? DEVICE_END - dpa :
             next_length(dpa));
}

static void make_submission(uint8_t *s)
{
    static const uint8_t commands[] = {
        1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 23, 40, 41, 48, 64, 65, 66, 80,
        0, 24, 32, 81, 82,
    };
    uint8_t how = next(), more = next();
    uint16_t command = how == 255 ? next_bytes(2) :
                       commands[how % ARRAY_SIZE(commands)];
    uint64_t dpa = next_dpa();
    bool takes_target = command == ECA_COPY_ACROSS || command == ECA_MESSAGE;
    bool takes_address = command == ECA_MESSAGE || command == ECA_HOLDINGS ||
                         command == ECA_READ_COUNTERS ||
                         (command >= ECA_COPY_OUT &&
                          command <= ECA_COPY_ACROSS);

    memset(s, 0, ECA_SQE_SIZE);
    stw_le_p(s + ECA_SQE_COMMAND, command);
    stw_le_p(s + ECA_SQE_FLAGS, more & 3);
    stl_le_p(s + ECA_SQE_TAG, ++tags);
    if (more & ECA_SQE_LIST) {
        stl_le_p(s + ECA_SQE_COUNT, more & 16 ? next_bytes(4) : next());
        stq_le_p(s + ECA_SQE_ADDRESS, next_list());
        return;
    }
    if (command == ECA_ASK) {
        make_ask(s, dpa);
        return;
    }
    if (takes_range(command)) {
        stq_le_p(s + ECA_SQE_DPA, dpa);
    }
    if (command == ECA_MESSAGE) {
        stq_le_p(s + ECA_SQE_LENGTH, next() % (ECA_MESSAGE_MAX + 2));
    } else if (command == ECA_SET_MODE) {
        stl_le_p(s + ECA_SQE_TARGET, next() & 3);
    } else if (command != ECA_FENCE) {
        stq_le_p(s + ECA_SQE_LENGTH, next_length(dpa));
    }
    if (command == ECA_COPY_ACROSS) {
        stq_le_p(s + ECA_SQE_ADDRESS, next_dpa());
    } else if (takes_address) {
        stq_le_p(s + ECA_SQE_ADDRESS, next_address());
    }
    if (takes_target && more & 8) {
        stl_le_p(s + ECA_SQE_TARGET, next());
    }
}

static void submit(unsigned n)
{
    Queue *q = &queues[n];
    uint8_t s[ECA_SQE_SIZE];

    make_submission(s);
    if (q->state == ECA_QUEUE_ON) {
        put_submission(q, s);
        write_tail(n, (q->tail + 1) & (q->sq_size - 1));
    }
}

/* As before, but for some bytes; the doorbell is not rung. */
static void spoil_submission(unsigned n)
{
    Queue *q = &queues[n];
    uint8_t s[ECA_SQE_SIZE];

    make_submission(s);
    for (unsigned i = next() % 4 + 1; i; i--) {
        s[next() % sizeof(s)] = next();
    }
    check_queue(n);
    if (q->state == ECA_QUEUE_ON) {
        put_submission(q, s);
    }
}

static void put_list(void)
{
    uint64_t at = LIST + next() * ECA_LIST_SIZE;
    unsigned n = next() % 8 + 1;

    for (unsigned i = 0; i < n; i++) {
        uint64_t dpa = next_dpa();
        uint64_t length = next_length(dpa);
        uint64_t range[2] = { cpu_to_le64(dpa), cpu_to_le64(length) };

        qtest_memwrite(host.qts, at + i * sizeof(range), range,
                       sizeof(range));
    }
}

/* Take all completions that there are. */
static void take_all(unsigned n)
{
    Queue *q = &queues[n];

    check_queue(n);
    if (q->state == ECA_QUEUE_ON) {
        write_head(n, q->made & (q->cq_size - 1));
    }
}

static void events_control(uint32_t value)
{
    bool was = events.control & ECA_QUEUE_ENABLE;
    bool on = value & ECA_QUEUE_ENABLE;

    set(host.eca + ECA_EV_CONTROL, value);
    events.control = value & (ECA_QUEUE_ENABLE | ECA_QUEUE_INTERRUPT);
    if (was && !on) {
        events.state = ECA_QUEUE_OFF;
    } else if (on && !was) {
        events.made = events.taken = 0;
        events.state = is_ring(events.base, events.size, ECA_EVENT_SIZE) ?
                       ECA_QUEUE_ON : ECA_QUEUE_STOPPED;
        events.comparable = events.base == own_sq(ECA_QUEUES);
        if (events.state == ECA_QUEUE_ON && !events.comparable &&
            hits_rings(events.base, events.size * ECA_EVENT_SIZE)) {
            spoil();
        }
        events.comparable &= !spoilt;
    }
}

static void events_up(void)
{
    uint8_t how = next();

    events_control(0);
    events.base = how & 1 ? next_address() : own_sq(ECA_QUEUES);
    events.size = how & 2 ? next_bytes(4) : 2u << (how >> 5);
    qtest_writeq(host.qts, host.eca + ECA_EV_BASE, events.base);
    set(host.eca + ECA_EV_SIZE, events.size);
    if (how & 4) {
        set(host.eca + ECA_EV_SAMPLE, next());
    }
    set(host.eca + ECA_EV_MASK, how & 8 ? next_bytes(4) : UINT32_MAX);
    events_control(ECA_QUEUE_ENABLE | (how & 16 ? ECA_QUEUE_INTERRUPT : 0));
}

static void events_take(void)
{
    uint32_t head;

    check_events();
    head = next() % 2 ? events.made & (events.size - 1) :
           next_index(events.taken, events.size);
    set(host.eca + ECA_EV_HEAD, head);
    if (events.state != ECA_QUEUE_ON) {
        return;
    }
    if (head >= events.size ||
        ((head - events.taken) & (events.size - 1)) >
        events.made - events.taken) {
        MUST((get(host.eca + ECA_EV_STATE) & 0xff) == ECA_QUEUE_STOPPED);
        events.state = ECA_QUEUE_STOPPED;
    } else {
        events.taken += (head - events.taken) & (events.size - 1);
    }
}

/* A load or a store of memory that the device holds. */
static void touch(void)
{
    uint8_t how = next();
    uint64_t dpa = next_dpa();
    unsigned size = 1u << (how & 3);

    dpa = QEMU_ALIGN_DOWN(MIN(dpa, DEVICE_END - 1), size);
    if (how & 4) {
        cxlf_store(&region, dpa, next(), size);
    } else {
        cxlf_load(&region, dpa, size);
    }
}

static void command(void)
{
    uint64_t dpa = next_dpa();
    uint8_t how = next();

    qtest_writeq(host.qts, host.eca + ECA_COPY_DPA, dpa);
    qtest_writeq(host.qts, host.eca + ECA_COPY_LENGTH, next_length(dpa));
    qtest_writeq(host.qts, host.eca + ECA_COPY_GFAM,
                 how >> 7 | (uint64_t)(how & 31) << 32);
}

/* Any register but those of rings, whose model has ways of its own. */
static void set_register(unsigned n)
{
    unsigned reg = next();
    uint32_t value = next_bytes(4);

    if (reg & 0x80) {
        write_register(n, reg & 0x3c, value);
    } else {
        set(host.eca + reg * 8 + (value & 4),
            reg * 8 == ECA_COPY_DPA ? confine(value) : value);
        (void)get(host.eca + (value & 0x7ffc));
        (void)qtest_readq(host.qts, host.eca + (value >> 16 & 0x7ff8));
    }
}

/* Of the function's own; BARs stay where they are. */
static void reset(void)
{
    device_cold_reset(DEVICE(eca));
    memset(queues, 0, sizeof(queues));
    memset(&events, 0, sizeof(events));
    spoilt = false;
    check_all();
    MUST(get(host.eca + ECA_COPY_STATUS) == 0);
}

/* Time and the main loop */

static void run_some(void)
{
    main_loop_wait(true);
}

static void nothing(void *opaque)
{
}

/* Let the agent's threads have the processor, for 1 ms at most. */
static void run_later(void)
{
    static QEMUTimer *timer;

    if (!timer) {
        timer = timer_new_ms(QEMU_CLOCK_REALTIME, nothing, NULL);
    }
    /* To set it wakes the loop up, once. */
    if (!timer_pending(timer)) {
        timer_mod(timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + 1);
    }
    main_loop_wait(false);
}

static bool is_idle(void)
{
    for (unsigned i = 0; i < ECA_QUEUES; i++) {
        const Queue *q = &queues[i];

        if (q->state != ECA_QUEUE_ON) {
            continue;
        }
        check_queue(i);
        if (q->state == ECA_QUEUE_ON &&
            (q->fetched != q->made ||
             (((q->tail - q->fetched) & (q->sq_size - 1)) &&
              q->fetched - q->taken < q->cq_size - 1))) {
            return false;
        }
    }
    return get(host.eca + ECA_COPY_STATUS) != ECA_COPY_BUSY;
}

/* All that was asked for ends, if there is room to say so. */
static void wait_for_all(void)
{
    int64_t end = g_get_monotonic_time() + PATIENCE;

    while (!is_idle()) {
        MUST(g_get_monotonic_time() < end);
        run_later();
    }
}

/* Rings come round by this. */
static void rounds(unsigned n)
{
    uint8_t times = next() % 16;
    const uint8_t *again = input;

    for (; times && queues[n].state == ECA_QUEUE_ON; times--) {
        input = again;
        submit(n);
        wait_for_all();
        take_all(n);
    }
}

/* While the guest stands still nothing is fetched or completed. */
static void stand_still(unsigned n)
{
    uint32_t head, tail;

    vm_stop(RUN_STATE_PAUSED);
    head = get(at_queue(n, ECA_QUEUE_SQ_HEAD));
    tail = get(at_queue(n, ECA_QUEUE_CQ_TAIL));
    if (queues[n].state == ECA_QUEUE_ON) {
        submit(n);
        for (unsigned i = 0; i < 4; i++) {
            run_some();
        }
        MUST(get(at_queue(n, ECA_QUEUE_SQ_HEAD)) == head);
        MUST(get(at_queue(n, ECA_QUEUE_CQ_TAIL)) == tail);
    }
    vm_start();
}

/* The manager's answer to the oldest request, which it may refuse to take. */
static void answer(void)
{
    g_autoptr(CxlFabricRequestInfoList) open =
        qmp_x_query_cxl_fabric_requests(&error_abort);
    uint8_t how = next();

    if (open) {
        uint64_t dpa = next_dpa();
        uint64_t length = next();

        qmp_x_cxl_fabric_answer(NULL, open->value->host, open->value->request,
                                how % CXL_FABRIC_REQUEST_RESULT__MAX,
                                how & 16, 0, how & 32, dpa, how & 64, length,
                                NULL);
    }
}

/* Begin to make BULK coherent, after the change that is under way. */
static void set_coherent(void)
{
    int64_t end = g_get_monotonic_time() + PATIENCE;
    Error *err;

    for (;;) {
        err = NULL;
        qmp_x_cxl_fabric_set_bulk_mode(NULL, false, 0,
                                       CXL_FABRIC_BULK_MODE_COHERENT, &err);
        if (!err) {
            return;
        }
        error_free(err);
        MUST(g_get_monotonic_time() < end);
        run_later();
    }
}

static void act(uint8_t op, unsigned n)
{
    switch (op) {
    case SET_REGISTER:
        set_register(n);
        break;
    case SET_UP:
        set_up(n);
        break;
    case ENABLE:
        write_control(n, queues[n].control | ECA_QUEUE_ENABLE);
        break;
    case DISABLE:
        write_control(n, queues[n].control & ~ECA_QUEUE_ENABLE);
        break;
    case SUBMIT:
        submit(n);
        break;
    case SPOIL:
        spoil_submission(n);
        break;
    case PUT_LIST:
        put_list();
        break;
    case RING:
        write_tail(n, next_index(queues[n].tail, queues[n].sq_size));
        break;
    case TAKE:
        take_all(n);
        break;
    case TAKE_SOME:
        write_head(n, next_index(queues[n].taken, queues[n].cq_size));
        break;
    case ABORT:
        write_control(n, queues[n].control | ECA_QUEUE_ABORT);
        break;
    case RUN:
        run_some();
        break;
    case WAIT:
        wait_for_all();
        break;
    case EVENTS_UP:
        events_up();
        break;
    case EVENTS_TAKE:
        events_take();
        break;
    case EVENTS_MASK:
        set(host.eca + ECA_EV_MASK, next_bytes(4));
        break;
    case TOUCH:
        touch();
        break;
    case COMMAND:
        command();
        break;
    case BUS_MASTER:
        cxlf_config_writew(&host, BDF_ECA, 4, next() & 1 ? 2 : 6);
        break;
    case VECTORS:
        cxlf_msix_vector(&host, n, next() & 1);
        break;
    case RESET:
        reset();
        break;
    case STAND:
        stand_still(n);
        break;
    case ROUNDS:
        rounds(n);
        break;
    case ANSWER:
        answer();
        break;
    default:
        g_assert_not_reached();
    }
}

static void fuzz(QTestState *qts, const unsigned char *data, size_t size)
{
    input = data;
    input_end = data + size;
    tags = 0;
    clear(LIST, 2 * CXLF_PAGE);
    cxlf_config_writew(&host, BDF_ECA, 4, 6);   /* memory, bus master */
    for (unsigned i = 0; i < ECA_VECTORS; i++) {
        cxlf_msix_vector(&host, i, false);
    }
    while (input < input_end) {
        uint8_t op = next();
        unsigned n = next() % ECA_QUEUES;

        act(op % OPS, n);
        check_queue(n);
    }
    wait_for_all();
    check_all();
    reset();
    set_coherent();
    set_coherent();                     /* which is after the change's end */
    MUST(!get(host.eca + ECA_BULK_MODE));
}

/* The beginning */

static void pre_fuzz(QTestState *qts)
{
    const CXLState *cxl =
        &PC_MACHINE(qdev_get_machine())->cxl_devices_state;
    const CXLFixedWindow *window = cxl->fixed_windows->data;

    eca = object_resolve_path_type("", TYPE_DPU_ECA, NULL);
    host.qts = qts;
    host.window = window->base;
    host.window_size = window->size;
    host.hb = cxl->host_mr.addr;
    cxlf_host_program(&host);
    region = cxlf_whole_region(&host, 0);
    cxlf_msix_on(&host);
}

/* A finite directory: pages become lines there, and a reset is quick. */
static GString *command_line(FuzzTarget *t)
{
    return g_string_new(TARGET_NAME " -display none -machine accel=qtest "
        "-M q35,cxl=on,smm=off,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G "
        "-m 128M -nodefaults "
        "-object cxl-fabric,id=fabric0,hosts=2,leaves=1,shards=1,gfams=1,"
        "line-entries=128,host-requests=all "
        "-device dpu-eca,id=eca0,bus=pcie.0,addr=3,fabric=fabric0 "
        "-device pxb-cxl,id=cxl.1,bus=pcie.0,bus_nr=12,addr=4,"
        "hdm_for_passthrough=true "
        "-device cxl-rp,id=rp0,bus=cxl.1,port=0,chassis=0,slot=2,addr=0 "
        "-device cxl-pbr-upstream,id=us0,bus=rp0 "
        "-device cxl-pbr-downstream,id=ds0,bus=us0,port=0,chassis=0,slot=4,"
        "addr=0 "
        "-device cxl-pbr-downstream,id=ds1,bus=us0,port=1,chassis=0,slot=5,"
        "addr=1 "
        "-device cxl-gfam,id=gfam0,bus=ds0,eca=eca0,gfam=0");
}

static void register_targets(void)
{
    fuzz_add_target(&(FuzzTarget) {
        .name = "eca-rings",
        .description = "Registers, rings and descriptors of dpu-eca, "
                       "against a model",
        .get_init_cmdline = command_line,
        .pre_fuzz = pre_fuzz,
        .fuzz = fuzz,
    });
}

fuzz_target_init(register_targets);
