/*
 * DPU Edge Coherence Agent: trapped accesses
 *
 * Permissions are the directory's, values are the shared memory's.  A
 * trapped access first moves the directory entry, then makes exactly one
 * host access of its size, so that naturally aligned accesses of up to 8
 * bytes keep their order and are single-copy atomic whatever other hosts do.
 *
 * Locked read-modify-writes: TCG runs one on trapped memory as its loads and
 * then its stores, alone in an exclusive step.  The loads remember their
 * value; the store is a compare-and-swap of the data, and when that fails
 * the instruction is restarted.  Nothing stays locked between the callbacks.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic128.h"
#include "exec/cpu-common.h"
#include "hw/core/cpu.h"
#include "system/tcg.h"
#include "eca-events.h"
#include "eca-fail.h"
#include "eca-hot.h"
#include "eca-internal.h"
#include "trace.h"

/*
 * Rounds of CXLF_TRIES for who cannot leave and come back (DMA, qtest),
 * before it waits: a page may be between lines and ownership for as long as
 * the agent that changes it stands still.
 */
#define DMA_ROUNDS 64

/*
 * Whether this is the access of a vCPU itself, and not DMA that some device
 * makes inside the callback of a vCPU's access.
 */
static bool is_vcpu(MemTxAttrs attrs)
{
    return tcg_enabled() && current_cpu && !attrs.unspecified &&
           !attrs.requester_id && !attrs.debug;
}

static ECALocked *locked_step(ECAState *s, MemTxAttrs attrs)
{
    if (is_vcpu(attrs) && cpu_in_exclusive_context(current_cpu) &&
        current_cpu->cpu_index < s->vcpus) {
        return &s->locked[current_cpu->cpu_index];
    }
    return NULL;
}

static void count(ECAState *s, uint32_t gfam, uint64_t dpa,
                  enum cxlf_counter counter)
{
    cxlf_count(cxl_fabric_directory(s->fabric), s->host, gfam, dpa, counter,
               1);
}

/* Pages are kept from snoops while a trapped access to them is made. */

static bool hold_page(ECAState *s, uint32_t gfam, uint64_t dpa, bool write)
{
    if (s->holds && s->held[0].gfam == gfam &&
        s->held[0].dpa / CXLF_PAGE == dpa / CXLF_PAGE) {
        return true;        /* two lines of one page */
    }
    if (!eca_pager_hold(s->pager, gfam, dpa, write)) {
        return false;
    }
    s->held[s->holds++] = (ECAHeld) { .gfam = gfam, .dpa = dpa };
    return true;
}

static void unhold_pages(ECAState *s)
{
    while (s->holds) {
        ECAHeld *h = &s->held[--s->holds];

        eca_pager_unhold(s->pager, h->gfam, h->dpa);
    }
}

static G_NORETURN void restart_instruction(ECAState *s)
{
    unhold_pages(s);
    cpu_loop_exit_restore(current_cpu, current_cpu->mem_io_pc);
}

void eca_refuse(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    count(s, gfam, dpa, CXLF_REFUSAL);
    trace_eca_refuse(s->host, gfam, dpa);
}

/* What comes of one attempt to get a unit. */
typedef enum Attempt {
    GRANTED,
    AGAIN,          /* lost a race */
    LATER,          /* the agent has been asked for it */
    FAILED,
} Attempt;

/* Whether the fabric's switches let this host reach a unit and its home. */
static Attempt attempt_way(ECAState *s, enum cxlf_kind kind, uint32_t gfam,
                           uint64_t dpa)
{
    uint16_t where = 0;
    enum cxlf_route_result result = cxl_fabric_lane_ask(s->lane, kind, gfam,
                                                        dpa, &where);

    if (likely(result == CXLF_ROUTE_OK)) {
        return GRANTED;
    }
    trace_eca_no_way(s->host, gfam, dpa, cxlf_route_name[result], where);
    if (result == CXLF_ROUTE_BUSY) {
        return AGAIN;
    }
    eca_event_no_way(s, gfam, dpa, kind == CXLF_LINE_UNIT ? CXLF_LINE :
                     CXLF_PAGE, result, where);
    return FAILED;
}

/*
 * The page is not tracked by lines: use it if this host holds it, else have
 * the agent get it.
 */
static Attempt attempt_page(ECAState *s, uint32_t gfam, uint64_t dpa,
                            enum cxlf_event event, bool vcpu)
{
    struct cxlf_directory *d = cxl_fabric_directory(s->fabric);
    bool hot = dpa < d->topology.gfam[gfam].hot;
    bool write = event != CXLF_LOAD;
    struct cxlf_line page;

    if (hold_page(s, gfam, dpa, write)) {
        eca_pager_note(s->pager, gfam, dpa, true);
        return GRANTED;
    }
    if (!cxlf_peek(d, CXLF_PAGE_UNIT, gfam, dpa, &page) ||
        page.state == CXLF_P) {
        return FAILED;
    }
    if (eca_is_by_page(s) ||
        !(hot || (vcpu && eca_pager_may_promote(s->pager, gfam, dpa)))) {
        /* A vCPU will find it in the front; a device does not promote. */
        eca_pager_want(s->pager, gfam, dpa, vcpu ? ECA_WANT_DIRECT :
                       write ? ECA_WANT_OWNED : ECA_WANT_SHARED);
    } else {
        eca_pager_want(s->pager, gfam, dpa, ECA_WANT_LINES);
    }
    return LATER;
}

/* What an access has changed in the directory: most change nothing. */
static void trace_move(ECAState *s, uint32_t gfam, uint64_t dpa,
                       enum cxlf_event event, const struct cxlf_move *m)
{
    const struct cxlf_topology *t =
        &cxl_fabric_directory(s->fabric)->topology;

    if (m->before.state != m->after.state ||
        m->before.holders != m->after.holders) {
        trace_eca_line(s->host, gfam,
                       QEMU_ALIGN_DOWN(dpa, cxlf_topology_grain(t)),
                       cxlf_event_name[event],
                       cxlf_state_name[m->before.state],
                       cxlf_state_name[m->after.state], m->after.holders,
                       m->snooped);
    }
    if (m->evicted) {
        trace_eca_victim(s->host, m->victim_gfam, m->victim_dpa,
                         cxlf_state_name[m->victim.state],
                         m->victim.holders);
    }
}

static Attempt attempt_line(ECAState *s, uint32_t gfam, uint64_t dpa,
                            enum cxlf_event event, bool vcpu)
{
    struct cxlf_directory *d = cxl_fabric_directory(s->fabric);
    enum cxlf_result result;
    struct cxlf_move m;

    result = cxlf_access_move(d, s->host, gfam, dpa, event, &m);
    trace_eca_access(s->host, gfam, dpa, cxlf_event_name[event], result);
    switch (result) {
    case CXLF_OK:
        trace_move(s, gfam, dpa, event, &m);
        cxl_fabric_charge_line(s->lane, gfam, dpa, &m);
        if (s->pager) {
            eca_pager_note(s->pager, gfam, dpa,
                           cxlf_set_remove(m.before.holders, s->host,
                                           d->topology.hosts) == 0);
        }
        return GRANTED;
    case CXLF_AGAIN:
        return AGAIN;
    case CXLF_WITHHELD:
        return LATER;
    case CXLF_BY_PAGE:
        return s->pager ? attempt_page(s, gfam, dpa, event, vcpu) : FAILED;
    default:
        return FAILED;
    }
}

static void wait_a_little(ECAState *s)
{
    if (s->pager) {
        eca_pager_wait(s->pager);
    } else {
        g_usleep(1000);
    }
}

/* Whether nothing has to be asked for an access at @dpa. */
static bool is_unguarded(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    const struct cxlf_gfam *g =
        &cxl_fabric_directory(s->fabric)->topology.gfam[gfam];

    return dpa >= g->hot &&
           (!s->pager || eca_soft_is_on(eca_pager_soft(s->pager), gfam));
}

/* Past the copies, as a device can. */
static Attempt attempt_direct(ECAState *s, uint32_t gfam, uint64_t dpa,
                              enum cxlf_event event)
{
    Attempt attempt = attempt_way(s, CXLF_UNITS, gfam, dpa);

    if (attempt == GRANTED) {
        cxl_fabric_charge_direct(s->lane, gfam, dpa, CXLF_LINE,
                                 event != CXLF_LOAD);
    }
    return attempt;
}

/* One unit: a line, or the page that it is tracked by. */
static Attempt attempt_unit(ECAState *s, uint32_t gfam, uint64_t dpa,
                            enum cxlf_event event, bool vcpu)
{
    struct cxlf_directory *d = cxl_fabric_directory(s->fabric);
    bool has_lines = dpa < d->topology.gfam[gfam].hot ||
                     cxlf_can_promote(d, gfam, dpa);
    Attempt attempt;

    if (is_unguarded(s, gfam, dpa)) {
        return attempt_direct(s, gfam, dpa, event);
    }
    if (cxl_fabric_is_reserved(s->fabric, gfam, dpa)) {
        return FAILED;
    }
    attempt = attempt_way(s, has_lines ? CXLF_LINE_UNIT : CXLF_PAGE_UNIT,
                          gfam, dpa);
    if (attempt != GRANTED) {
        return attempt;
    }
    return has_lines ? attempt_line(s, gfam, dpa, event, vcpu) :
                       attempt_page(s, gfam, dpa, event, vcpu);
}

static bool acquire_unit(ECAState *s, uint32_t gfam, uint64_t dpa,
                         enum cxlf_event event, MemTxAttrs attrs)
{
    bool vcpu = is_vcpu(attrs);
    int rounds = 0;

    for (;;) {
        Attempt attempt = attempt_unit(s, gfam, dpa, event, vcpu);

        if (attempt == GRANTED || attempt == FAILED ||
            !cxl_fabric_is_up(s->fabric)) {
            return attempt == GRANTED;
        }
        if (vcpu) {
            if (attempt == LATER) {
                sched_yield();
            }
            restart_instruction(s);
        }
        if (attempt == LATER || ++rounds % DMA_ROUNDS == 0) {
            wait_a_little(s);
        }
    }
}

/* Permission for @size bytes: one unit, or two when they straddle. */
static bool acquire(ECAState *s, uint32_t gfam, uint64_t dpa, unsigned size,
                    enum cxlf_event event, MemTxAttrs attrs)
{
    const struct cxlf_gfam *g =
        &cxl_fabric_directory(s->fabric)->topology.gfam[gfam];
    uint64_t last = dpa + size - 1;

    if (!cxl_fabric_is_up(s->fabric) ||
        !eca_has_or_tell(s, gfam, dpa, size)) {
        return false;
    }
    if (dpa >= g->hot) {
        count(s, gfam, dpa, CXLF_BULK_TRAPPED);
    }
    return acquire_unit(s, gfam, dpa, event, attrs) &&
           (last / CXLF_LINE == dpa / CXLF_LINE ||
            (last >= g->hot && !s->pager) ||
            acquire_unit(s, gfam, last, event, attrs));
}

/* The access is refused: a vCPU gets a machine check. */
static void refuse(ECAState *s, uint32_t gfam, uint64_t dpa,
                   MemTxAttrs attrs)
{
    unhold_pages(s);
    eca_refuse(s, gfam, dpa);
    if (is_vcpu(attrs)) {
        eca_fail_raise(s, gfam, dpa);
    }
}

/* One host access of the given size; x86 hosts do misaligned ones whole. */
static uint64_t load(const uint8_t *at, unsigned size)
{
    switch (size) {
    case 1:
        return qatomic_read(at);
    case 2:
        return qatomic_read((const uint16_t *)at);
    case 4:
        return qatomic_read((const uint32_t *)at);
    case 8:
        return qatomic_read((const uint64_t *)at);
    default:
        g_assert_not_reached();
    }
}

static void store(uint8_t *at, uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        qatomic_set(at, value);
        break;
    case 2:
        qatomic_set((uint16_t *)at, value);
        break;
    case 4:
        qatomic_set((uint32_t *)at, value);
        break;
    case 8:
        qatomic_set((uint64_t *)at, value);
        break;
    default:
        g_assert_not_reached();
    }
}

static bool swap(uint8_t *at, uint64_t old, uint64_t new, unsigned size)
{
    switch (size) {
    case 1:
        return qatomic_cmpxchg(at, (uint8_t)old, (uint8_t)new) ==
               (uint8_t)old;
    case 2:
        return qatomic_cmpxchg((uint16_t *)at, (uint16_t)old,
                               (uint16_t)new) == (uint16_t)old;
    case 4:
        return qatomic_cmpxchg((uint32_t *)at, (uint32_t)old,
                               (uint32_t)new) == (uint32_t)old;
    case 8:
        return qatomic_cmpxchg((uint64_t *)at, old, new) == old;
    default:
        g_assert_not_reached();
    }
}

static bool swap16(uint8_t *at, const uint64_t old[2], uint64_t low,
                   uint64_t high)
{
    Int128 was = int128_make128(old[0], old[1]);

    return int128_eq(atomic16_cmpxchg((Int128 *)at, was,
                                      int128_make128(low, high)), was);
}

/* Remember what a locked instruction has loaded. */
static void locked_load(ECALocked *l, uint32_t gfam, uint64_t dpa,
                        unsigned size, uint64_t value)
{
    if (!l->loads || l->stores || l->gfam != gfam || l->end != dpa) {
        /*
         * A new instruction; of one that faulted before its store, the
         * remembered loads are dropped here.
         */
        *l = (ECALocked) { .gfam = gfam, .dpa = dpa };
    }
    if (l->loads < 2) {
        l->size[l->loads] = size;
        l->value[l->loads] = value;
    }
    l->loads++;
    l->end = dpa + size;
}

static bool is_16_bytes(const ECALocked *l)
{
    return l->loads == 2 && l->size[0] == 8 && l->size[1] == 8 &&
           l->dpa % 16 == 0;
}

/* A compare-and-swap that won or lost. */
static void locked_done(ECAState *s, ECALocked *l, uint32_t gfam,
                        uint64_t dpa, bool won)
{
    l->loads = l->stores = 0;
    count(s, gfam, dpa, won ? CXLF_ATOMIC : CXLF_ATOMIC_RETRY);
    trace_eca_locked(s->host, gfam, dpa, won);
    if (!won) {
        restart_instruction(s);
    }
}

/* The store of a locked instruction: see the head of this file. */
static void locked_store(ECAState *s, ECALocked *l, uint32_t gfam,
                         uint64_t dpa, uint64_t value, unsigned size)
{
    uint8_t *at = s->memory[gfam] + dpa;

    if (l->loads && l->gfam == gfam) {
        if (l->loads == 1 && dpa == l->dpa && size == l->size[0]) {
            locked_done(s, l, gfam, dpa,
                        swap(at, l->value[0], value, size));
            return;
        }
        if (is_16_bytes(l) && size == 8 && !l->stores && dpa == l->dpa) {
            l->first_store = value;
            l->stores = 1;
            return;
        }
        if (is_16_bytes(l) && size == 8 && dpa == l->dpa + 8) {
            /*
             * Without the first half it is an operation of 8 bytes that
             * follows one which faulted between its load and its store.
             */
            locked_done(s, l, gfam, dpa, l->stores ?
                        swap16(at - 8, l->value, l->first_store, value) :
                        swap(at, l->value[1], value, 8));
            return;
        }
        if (l->loads > 1 && !l->stores) {
            count(s, gfam, dpa, CXLF_ATOMIC_MISALIGNED);
        }
        if (++l->stores >= l->loads) {
            l->loads = l->stores = 0;
        }
    }
    store(at, value, size);
}

MemTxResult eca_read(ECAState *s, uint32_t gfam, uint64_t dpa, uint64_t *data,
                     unsigned size, MemTxAttrs attrs)
{
    ECALocked *l = locked_step(s, attrs);

    if (!acquire(s, gfam, dpa, size, l ? CXLF_OWN : CXLF_LOAD, attrs)) {
        refuse(s, gfam, dpa, attrs);
        *data = MAKE_64BIT_MASK(0, size * 8);
        return MEMTX_ERROR;
    }
    *data = load(s->memory[gfam] + dpa, size);
    unhold_pages(s);
    eca_hot_event(s, gfam, dpa, false);
    if (l) {
        locked_load(l, gfam, dpa, size, *data);
    }
    return MEMTX_OK;
}

MemTxResult eca_write(ECAState *s, uint32_t gfam, uint64_t dpa, uint64_t data,
                      unsigned size, MemTxAttrs attrs)
{
    ECALocked *l = locked_step(s, attrs);

    if (!acquire(s, gfam, dpa, size, CXLF_STORE, attrs)) {
        refuse(s, gfam, dpa, attrs);
        return MEMTX_ERROR;
    }
    if (l) {
        locked_store(s, l, gfam, dpa, data, size);
    } else {
        store(s->memory[gfam] + dpa, data, size);
    }
    unhold_pages(s);
    eca_hot_event(s, gfam, dpa, true);
    return MEMTX_OK;
}

/* Word by word, which no host sees half of. */
static void copy(ECAState *s, uint32_t gfam, uint64_t dpa, void *buffer,
                 unsigned size, bool write)
{
    uint64_t *memory = (uint64_t *)(s->memory[gfam] + dpa);
    uint64_t *from = write ? buffer : memory, *to = write ? memory : buffer;

    for (unsigned i = 0; i < size / 8; i++) {
        qatomic_set(&to[i], qatomic_read(&from[i]));
    }
}

ECAMoved eca_move(ECAState *s, uint32_t gfam, uint64_t dpa, void *buffer,
                  unsigned *size, bool write)
{
    enum cxlf_event event = write ? CXLF_STORE : CXLF_LOAD;
    bool direct = is_unguarded(s, gfam, dpa);
    unsigned whole = *size;
    Attempt way;

    if (!cxl_fabric_is_up(s->fabric) || !eca_has(s, gfam, dpa, whole) ||
        cxl_fabric_is_reserved(s->fabric, gfam, dpa)) {
        *size = 0;
        return ECA_MOVE_FAILED;
    }
    if (direct || (s->pager && hold_page(s, gfam, dpa, write))) {
        way = attempt_way(s, direct ? CXLF_UNITS : CXLF_PAGE_UNIT, gfam,
                          dpa);
        if (way == GRANTED) {
            copy(s, gfam, dpa, buffer, whole, write);
        }
        if (way == GRANTED && direct) {
            cxl_fabric_charge_direct(s->lane, gfam, dpa, whole, write);
        }
        unhold_pages(s);
        *size = way == GRANTED ? whole : 0;
        return way == GRANTED ? ECA_MOVED :
               way == AGAIN ? ECA_MOVE_LATER : ECA_MOVE_FAILED;
    }
    for (*size = 0; *size < whole; *size += CXLF_LINE) {
        Attempt attempt = AGAIN;

        for (int i = 0; i < DMA_ROUNDS && attempt == AGAIN; i++) {
            attempt = attempt_unit(s, gfam, dpa + *size, event, false);
        }
        if (attempt != GRANTED) {
            return attempt == FAILED ? ECA_MOVE_FAILED : ECA_MOVE_LATER;
        }
        copy(s, gfam, dpa + *size, (uint8_t *)buffer + *size, CXLF_LINE,
             write);
        unhold_pages(s);
    }
    return ECA_MOVED;
}
