/*
 * DPU Edge Coherence Agent: what a guest is told of
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "block/aio.h"
#include "system/runstate.h"
#include "cxlf/leaf.h"
#include "eca-events.h"
#include "eca-manager.h"
#include "eca-messages.h"
#include "eca-regs.h"
#include "eca-ring.h"
#include "trace.h"

#define KEPT        1024    /* for a guest that takes none */
#define TICK_MS     10
#define SAMPLE_MAX  20

/* Kinds of which one in 2^n is written. */
#define SAMPLED     (1u << ECA_EVENT_BISNP | 1u << ECA_EVENT_OWNERSHIP)
/* Kinds that the tick looks for. */
#define LOOKED_FOR  (1u << ECA_EVENT_POISON | 1u << ECA_EVENT_HOST | \
                     1u << ECA_EVENT_LEAF | 1u << ECA_EVENT_LINK | \
                     1u << ECA_EVENT_CAPACITY | 1u << ECA_EVENT_RECEIVED)

typedef struct Kept {
    ECAEvent event;
    int64_t time_ns;
} Kept;

/* What there is no room for, as DATA of ECA_EVENT_CAPACITY says it. */
static const enum cxlf_counter no_room[] = {
    CXLF_NO_ROOM, CXLF_PROMOTION_REFUSED,
};

struct ECAEvents {
    ECAState *eca;
    QEMUBH *bh;
    QEMUTimer *tick;

    /* Registers.  BQL. */
    uint32_t control, state, why;
    ECARing ring;

    /* What the tick saw last.  BQL. */
    uint64_t counter[CXLF_COUNTERS];
    uint64_t poison;            /* cursor */
    uint32_t *life;             /* of each host */
    uint32_t leaf[CXLF_MAX_LEAVES];
    uint8_t *link;              /* ports that are up, a bit each */
    uint64_t link_changes;

    QemuMutex lock;             /* of all that follows */
    uint32_t sample;
    Kept kept[KEPT];
    unsigned first, n;
    uint64_t lost;
    uint64_t seen[ECA_EVENT_KINDS];
    uint64_t since[ECA_EVENT_KINDS];    /* the last that was written */
};

void eca_event_add(ECAState *s, const ECAEvent *event)
{
    ECAEvents *e = s->events;
    ECAEventKind kind = event->kind;
    unsigned sample;

    WITH_QEMU_LOCK_GUARD(&e->lock) {
        Kept *k = &e->kept[(e->first + e->n) % KEPT];

        sample = 1u << kind & SAMPLED ? e->sample : 0;
        e->since[kind] += event->count;
        if (e->seen[kind]++ & ((1u << sample) - 1)) {
            return;
        }
        if (e->n == KEPT) {
            e->lost++;
            return;
        }
        e->n++;
        k->event = *event;
        k->event.count = MIN(e->since[kind], UINT32_MAX);
        k->time_ns = get_clock();
        e->since[kind] = 0;
    }
    qemu_bh_schedule(e->bh);
}

void eca_event_no_way(ECAState *s, uint32_t gfam, uint64_t dpa,
                      uint64_t length, enum cxlf_route_result result,
                      uint16_t where)
{
    eca_event(s, &(ECAEvent) {
        .kind = ECA_EVENT_NO_WAY, .host = ECA_EVENT_NONE, .gfam = gfam,
        .count = 1, .dpa = QEMU_ALIGN_DOWN(dpa, length), .length = length,
        .data = { result, where },
    });
}

bool eca_event_has_room(ECAState *s)
{
    QEMU_LOCK_GUARD(&s->events->lock);

    return s->events->n < KEPT;
}

/* What the guest wants from now on; messages are not taken for nobody. */
static void set_wanted(ECAEvents *e, uint32_t mask)
{
    qatomic_set(&e->eca->event_mask, mask);
    eca_messages_wanted(e->eca, mask & 1u << ECA_EVENT_MESSAGE);
}

/* The ring */

static void stop(ECAEvents *e, uint32_t why)
{
    trace_eca_events_stop(e->eca->host, why);
    set_wanted(e, 0);
    timer_del(e->tick);
    e->state = ECA_QUEUE_STOPPED;
    e->why = why;
    if (e->control & ECA_QUEUE_INTERRUPT) {
        eca_raise(e->eca, ECA_EVENT_VECTOR);
    }
}

static bool next_kept(ECAEvents *e, Kept *k)
{
    QEMU_LOCK_GUARD(&e->lock);

    if (!e->n) {
        return false;
    }
    *k = e->kept[e->first];
    e->first = (e->first + 1) % KEPT;
    e->n--;
    return true;
}

static bool write_event(ECAEvents *e, const Kept *k)
{
    uint8_t entry[ECA_EVENT_SIZE] = { 0 };

    stw_le_p(entry + ECA_EVENT_KIND, k->event.kind);
    stl_le_p(entry + ECA_EVENT_HOST_AT, k->event.host);
    stl_le_p(entry + ECA_EVENT_GFAM, k->event.gfam);
    stl_le_p(entry + ECA_EVENT_COUNT, k->event.count);
    stq_le_p(entry + ECA_EVENT_DPA, k->event.dpa);
    stq_le_p(entry + ECA_EVENT_LENGTH, k->event.length);
    stq_le_p(entry + ECA_EVENT_TIME, k->time_ns);
    for (unsigned i = 0; i < ARRAY_SIZE(k->event.data); i++) {
        stl_le_p(entry + ECA_EVENT_DATA + 4 * i, k->event.data[i]);
    }
    return eca_ring_put(&e->ring, e->eca, entry, sizeof(entry),
                        ECA_EVENT_PHASE);
}

static void events_bh(void *opaque)
{
    ECAEvents *e = opaque;
    bool interrupt = false;
    Kept k;

    if (!runstate_is_running()) {
        return;         /* nothing in the guest changes now */
    }
    while (e->state == ECA_QUEUE_ON && eca_ring_has_room(&e->ring) &&
           next_kept(e, &k)) {
        if (!write_event(e, &k)) {
            stop(e, ECA_QUEUE_WHY_DMA);
            return;
        }
        interrupt = true;
    }
    if (interrupt && e->control & ECA_QUEUE_INTERRUPT) {
        eca_raise(e->eca, ECA_EVENT_VECTOR);
    }
    if (interrupt) {
        eca_manager_tell(e->eca);   /* there is room for more */
    }
    if (interrupt && eca_event_wanted(e->eca, ECA_EVENT_MESSAGE)) {
        eca_messages_kick(e->eca);
    }
}

void eca_events_kick(ECAState *s)
{
    qemu_bh_schedule(s->events->bh);
}

/* What nobody reports */

static void tell(ECAEvents *e, ECAEventKind kind, uint32_t host,
                 uint32_t count, uint32_t a, uint32_t b, uint32_t c)
{
    eca_event(e->eca, &(ECAEvent) {
        .kind = kind, .host = host, .gfam = ECA_EVENT_NONE, .count = count,
        .dpa = UINT64_MAX, .data = { a, b, c },
    });
}

static void look_at_counters(ECAEvents *e, bool report)
{
    uint64_t now[CXLF_COUNTERS], received;

    cxlf_read_counters(cxl_fabric_directory(e->eca->fabric), -1, -1,
                       e->eca->host, now);
    received = now[CXLF_BISNP_RECEIVED] - e->counter[CXLF_BISNP_RECEIVED];
    if (received && report) {
        tell(e, ECA_EVENT_RECEIVED, ECA_EVENT_NONE,
             MIN(received, UINT32_MAX), 0, 0, 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(no_room); i++) {
        uint64_t more = now[no_room[i]] - e->counter[no_room[i]];

        if (more && report) {
            tell(e, ECA_EVENT_CAPACITY, e->eca->host, MIN(more, UINT32_MAX),
                 i, 0, 0);
        }
    }
    memcpy(e->counter, now, sizeof(now));
}

static void look_at_poison(ECAEvents *e, bool report)
{
    CXLFabricPoison p;
    bool lost = false;

    while (cxl_fabric_poison_next(e->eca->fabric, &e->poison, &p, &lost)) {
        if (report) {
            eca_event(e->eca, &(ECAEvent) {
                .kind = ECA_EVENT_POISON, .host = p.host, .gfam = p.gfam,
                .count = 1, .dpa = p.dpa, .length = p.length,
            });
        }
    }
    if (lost && report) {
        WITH_QEMU_LOCK_GUARD(&e->lock) {
            e->lost++;
        }
    }
}

static void look_at_hosts(ECAEvents *e, bool report)
{
    unsigned hosts =
        cxl_fabric_directory(e->eca->fabric)->topology.hosts;

    for (unsigned i = 0; i < hosts; i++) {
        uint32_t life = cxl_fabric_host_life(e->eca->fabric, i);

        if (life != e->life[i] && report) {
            tell(e, ECA_EVENT_HOST, i, 1, e->life[i], life, 0);
        }
        e->life[i] = life;
    }
}

static void look_at_leaves(ECAEvents *e, bool report)
{
    struct cxlf_directory *d = cxl_fabric_directory(e->eca->fabric);

    for (uint32_t i = 0; i < d->topology.leaves; i++) {
        uint32_t state = cxlf_leaf_get(d, i);

        if (state != e->leaf[i] && report) {
            tell(e, ECA_EVENT_LEAF, ECA_EVENT_NONE, 1, i, e->leaf[i], state);
        }
        e->leaf[i] = state;
    }
}

/* Between switches, of devices, and this host's own. */
static void look_at_links(ECAEvents *e, bool report)
{
    CXLFabric *f = e->eca->fabric;
    uint32_t links = cxl_fabric_links(f);
    uint64_t changes = cxl_fabric_link_changes(f);

    if (changes == e->link_changes) {
        return;
    }
    /* What changes meanwhile is looked at again. */
    e->link_changes = changes;
    for (uint32_t i = 0; i < links; i++) {
        uint32_t ports = cxl_fabric_link(f, i);

        if (ports != e->link[i] && report &&
            !cxl_fabric_is_others_link(f, i)) {
            tell(e, ECA_EVENT_LINK, ECA_EVENT_NONE, 1, i, e->link[i], ports);
        }
        e->link[i] = ports;
    }
}

/* Look, and again in a while.  What is found at first is no event. */
static void look(ECAEvents *e, bool report)
{
    look_at_counters(e, report);
    look_at_poison(e, report);
    look_at_hosts(e, report);
    look_at_leaves(e, report);
    look_at_links(e, report);
    timer_mod(e->tick, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + TICK_MS);
}

static void on_tick(void *opaque)
{
    look(opaque, true);
}

/* Registers */

static void set_mask(ECAEvents *e, uint32_t mask)
{
    e->eca->event_wish = mask;
    if (e->state != ECA_QUEUE_ON) {
        return;
    }
    set_wanted(e, mask);
    eca_manager_tell(e->eca);
    if (mask & LOOKED_FOR && !timer_pending(e->tick)) {
        look(e, false);
    } else if (!(mask & LOOKED_FOR)) {
        timer_del(e->tick);
    }
}

static void turn_off(ECAEvents *e)
{
    set_wanted(e, 0);
    timer_del(e->tick);
    e->state = ECA_QUEUE_OFF;
    e->why = 0;
    eca_ring_start(&e->ring);
    WITH_QEMU_LOCK_GUARD(&e->lock) {
        e->n = 0;
        e->lost = 0;
        memset(e->seen, 0, sizeof(e->seen));
        memset(e->since, 0, sizeof(e->since));
    }
}

static void set_control(ECAEvents *e, uint32_t value)
{
    uint32_t was = e->control;

    e->control = value & (ECA_QUEUE_ENABLE | ECA_QUEUE_INTERRUPT);
    if (was & ~e->control & ECA_QUEUE_ENABLE) {
        turn_off(e);
    } else if (e->control & ~was & ECA_QUEUE_ENABLE) {
        if (!eca_is_ring(e->ring.base, e->ring.size, ECA_EVENT_SIZE)) {
            stop(e, ECA_QUEUE_WHY_SETUP);
            return;
        }
        e->state = ECA_QUEUE_ON;
        set_mask(e, e->eca->event_wish);
    }
}

static void set_head(ECAEvents *e, uint32_t value)
{
    uint32_t why = eca_ring_take(&e->ring, value);

    if (why) {
        stop(e, why);
    } else {
        qemu_bh_schedule(e->bh);
    }
}

uint64_t eca_events_read(ECAState *s, hwaddr offset)
{
    ECAEvents *e = s->events;

    switch (offset) {
    case ECA_EV_BASE:
        return e->ring.base;
    case ECA_EV_SIZE:
        return e->ring.size | (uint64_t)e->control << 32;
    case ECA_EV_STATE:
        return (e->state | e->why << ECA_QUEUE_WHY_SHIFT) |
               (uint64_t)s->event_wish << 32;
    case ECA_EV_SAMPLE:
        return e->sample | (uint64_t)e->ring.head << 32;
    case ECA_EV_TAIL:
        return e->ring.tail;
    case ECA_EV_LOST:
        WITH_QEMU_LOCK_GUARD(&e->lock) {
            return e->lost;
        }
        g_assert_not_reached();
    default:
        return 0;
    }
}

bool eca_events_write(ECAState *s, hwaddr offset, uint32_t value)
{
    ECAEvents *e = s->events;
    bool off = e->state == ECA_QUEUE_OFF, on = e->state == ECA_QUEUE_ON;

    switch (offset) {
    case ECA_EV_BASE:
    case ECA_EV_BASE + 4:
        if (off) {
            e->ring.base = deposit64(e->ring.base, offset % 8 * 8, 32,
                                     value);
        }
        return off;
    case ECA_EV_SIZE:
        e->ring.size = off ? value : e->ring.size;
        return off;
    case ECA_EV_CONTROL:
        set_control(e, value);
        return true;
    case ECA_EV_MASK:
        set_mask(e, value & MAKE_64BIT_MASK(1, ECA_EVENT_KINDS - 1));
        return true;
    case ECA_EV_SAMPLE:
        WITH_QEMU_LOCK_GUARD(&e->lock) {
            e->sample = MIN(value, SAMPLE_MAX);
        }
        return true;
    case ECA_EV_HEAD:
        if (on) {
            set_head(e, value);
        }
        return on;
    default:
        return false;
    }
}

/* Life */

void eca_events_reset(ECAState *s)
{
    ECAEvents *e = s->events;

    turn_off(e);
    qemu_bh_cancel(e->bh);
    e->ring.base = 0;
    e->ring.size = 0;
    e->control = 0;
    s->event_wish = 0;
    WITH_QEMU_LOCK_GUARD(&e->lock) {
        e->sample = 0;
    }
}

void eca_events_init(ECAState *s)
{
    ECAEvents *e = g_new0(ECAEvents, 1);

    e->eca = s;
    e->life = g_new0(uint32_t,
                     cxl_fabric_directory(s->fabric)->topology.hosts);
    e->link = g_new0(uint8_t, cxl_fabric_links(s->fabric));
    qemu_mutex_init(&e->lock);
    e->bh = qemu_bh_new_guarded(events_bh, e,
                                &DEVICE(s)->mem_reentrancy_guard);
    e->tick = timer_new_ms(QEMU_CLOCK_REALTIME, on_tick, e);
    s->events = e;
}

void eca_events_exit(ECAState *s)
{
    ECAEvents *e = s->events;

    eca_events_reset(s);
    timer_free(e->tick);
    qemu_bh_delete(e->bh);
    qemu_mutex_destroy(&e->lock);
    g_free(e->link);
    g_free(e->life);
    g_free(e);
    s->events = NULL;
}
