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
#include "eca-internal.h"
#include "trace.h"

/* Rounds of CXLF_TRIES for who cannot leave and come back (DMA, qtest). */
#define DMA_ROUNDS 4096

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

static G_NORETURN void restart_instruction(void)
{
    cpu_loop_exit_restore(current_cpu, current_cpu->mem_io_pc);
}

void eca_refuse(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    count(s, gfam, dpa, CXLF_REFUSAL);
    trace_eca_refuse(s->host, gfam, dpa);
}

/* Ask the home for one line. */
static bool acquire_line(ECAState *s, uint32_t gfam, uint64_t dpa,
                         enum cxlf_event event, MemTxAttrs attrs)
{
    struct cxlf_directory *d = cxl_fabric_directory(s->fabric);
    enum cxlf_result result = CXLF_AGAIN;

    for (int round = 0; round < DMA_ROUNDS; round++) {
        result = cxlf_access(d, s->host, gfam, dpa, event);
        if (result != CXLF_AGAIN) {
            break;
        }
        if (is_vcpu(attrs)) {
            restart_instruction();
        }
    }
    trace_eca_access(s->host, gfam, dpa, cxlf_event_name[event], result);
    return result == CXLF_OK;
}

/* Permission for @size bytes: one line, or two when they straddle. */
static bool acquire(ECAState *s, uint32_t gfam, uint64_t dpa, unsigned size,
                    enum cxlf_event event, MemTxAttrs attrs)
{
    const struct cxlf_gfam *g =
        &cxl_fabric_directory(s->fabric)->topology.gfam[gfam];
    uint64_t last = dpa + size - 1;

    if (!cxl_fabric_is_up(s->fabric) || !s->memory[gfam] ||
        last < dpa || last >= g->hot + g->bulk) {
        eca_refuse(s, gfam, dpa);
        return false;
    }
    if (dpa >= g->hot) {
        count(s, gfam, dpa, CXLF_BULK_TRAPPED);
        return true;
    }
    if (!acquire_line(s, gfam, dpa, event, attrs)) {
        return false;
    }
    if (last / CXLF_LINE != dpa / CXLF_LINE && last < g->hot) {
        return acquire_line(s, gfam, last, event, attrs);
    }
    return true;
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
        restart_instruction();
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
        *data = MAKE_64BIT_MASK(0, size * 8);
        return MEMTX_ERROR;
    }
    *data = load(s->memory[gfam] + dpa, size);
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
        return MEMTX_ERROR;
    }
    if (l) {
        locked_store(s, l, gfam, dpa, data, size);
    } else {
        store(s->memory[gfam] + dpa, data, size);
    }
    return MEMTX_OK;
}
