/*
 * Access control: groups, SAT and GDT of the devices, and GAEs
 *
 * Memory order is that of route.c.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/access.h"

#define TRIES   100

static uint64_t size_of(const struct cxlf_router *r, uint32_t gfam)
{
    return r->topology->gfam[gfam].hot + r->topology->gfam[gfam].bulk;
}

bool cxlf_group_set(struct cxlf_router *r, uint32_t gfam, uint64_t dpa,
                    uint64_t length, uint32_t group)
{
    if (!cxlf_routes_open(r) || gfam >= r->topology->gfams ||
        group > CXLF_GROUPS || dpa % CXLF_CAPACITY_UNIT ||
        length % CXLF_CAPACITY_UNIT || dpa > size_of(r, gfam) ||
        length > size_of(r, gfam) - dpa) {
        return false;
    }
    for (uint64_t i = 0; i < length / CXLF_CAPACITY_UNIT; i++) {
        __atomic_store_n(&r->access[gfam].group[dpa / CXLF_CAPACITY_UNIT + i],
                         group == CXLF_GROUPS ? 0 : group + 1,
                         __ATOMIC_RELAXED);
    }
    return true;
}

bool cxlf_extent_set(struct cxlf_router *r, uint32_t gfam, uint32_t host,
                     uint64_t dpa, uint64_t length, bool may)
{
    uint64_t at, end;

    if (!cxlf_routes_open(r) || gfam >= r->topology->gfams ||
        host >= r->topology->hosts || host >= CXLF_EXTENT_HOSTS ||
        dpa % CXLF_EXTENT_BLOCK || length % CXLF_EXTENT_BLOCK ||
        dpa < r->dynamic[gfam] || dpa > size_of(r, gfam) ||
        length > size_of(r, gfam) - dpa) {
        return false;
    }
    at = (dpa - r->dynamic[gfam]) / CXLF_EXTENT_BLOCK;
    end = at + length / CXLF_EXTENT_BLOCK;
    for (; at < end; at++) {
        uint16_t *hosts = &r->access[gfam].extent[at];
        uint16_t old = __atomic_load_n(hosts, __ATOMIC_RELAXED);

        __atomic_store_n(hosts, may ? old | 1u << host : old & ~(1u << host),
                         __ATOMIC_RELAXED);
    }
    return true;
}

bool cxlf_may_reach_extent(const struct cxlf_router *r, uint32_t gfam,
                           uint32_t pid, uint64_t dpa)
{
    struct cxlf_node node = cxlf_pid_get(r, pid);
    uint64_t at = (dpa - r->dynamic[gfam]) / CXLF_EXTENT_BLOCK;

    return dpa < size_of(r, gfam) && node.kind == CXLF_NODE_HOST &&
           node.number < CXLF_EXTENT_HOSTS &&
           __atomic_load_n(&r->access[gfam].extent[at], __ATOMIC_RELAXED) >>
           node.number & 1;
}

bool cxlf_sat_set(struct cxlf_router *r, uint32_t gfam, uint32_t pid,
                  uint32_t groups)
{
    if (!cxlf_routes_open(r) || gfam >= r->topology->gfams ||
        pid >= CXLF_NO_PID) {
        return false;
    }
    __atomic_store_n(&r->access[gfam].sat[pid], groups, __ATOMIC_RELAXED);
    return true;
}

uint32_t cxlf_sat_get(const struct cxlf_router *r, uint32_t gfam,
                      uint32_t pid)
{
    return gfam < r->topology->gfams && pid < CXLF_NO_PID ?
           __atomic_load_n(&r->access[gfam].sat[pid], __ATOMIC_RELAXED) : 0;
}

bool cxlf_gae_set(struct cxlf_router *r, uint32_t gfam, uint32_t pid,
                  bool may)
{
    uint32_t *word, old;

    if (!cxlf_routes_open(r) || gfam >= r->topology->gfams ||
        pid >= CXLF_NO_PID) {
        return false;
    }
    word = &r->access[gfam].barred[pid / 32];
    old = __atomic_load_n(word, __ATOMIC_RELAXED);
    __atomic_store_n(word, may ? old & ~(1u << pid % 32) :
                                 old | 1u << pid % 32, __ATOMIC_RELAXED);
    return true;
}

bool cxlf_gdt_set(struct cxlf_router *r, uint32_t gfam, uint32_t pid,
                  uint32_t index, const struct cxlf_gdt_entry *entry)
{
    struct cxlf_gdt_entry *at;

    if (!cxlf_routes_open(r) || gfam >= r->topology->gfams ||
        pid >= CXLF_NO_PID || index >= CXLF_GDT_DECODERS ||
        entry->coherent > 1 || entry->dpa > size_of(r, gfam) ||
        entry->length > size_of(r, gfam) - entry->dpa ||
        entry->length > UINT64_MAX - entry->hpa) {
        return false;
    }
    at = &r->access[gfam].gdt[pid][index];
    __atomic_store_n(&at->hpa, entry->hpa, __ATOMIC_RELAXED);
    __atomic_store_n(&at->dpa, entry->dpa, __ATOMIC_RELAXED);
    __atomic_store_n(&at->length, entry->length, __ATOMIC_RELAXED);
    __atomic_store_n(&at->coherent, entry->coherent, __ATOMIC_RELAXED);
    return true;
}

struct cxlf_gdt_entry cxlf_gdt_get(const struct cxlf_router *r, uint32_t gfam,
                                   uint32_t pid, uint32_t index)
{
    struct cxlf_gdt_entry entry = { 0 };

    if (gfam < r->topology->gfams && pid < CXLF_NO_PID &&
        index < CXLF_GDT_DECODERS) {
        struct cxlf_gdt_entry *at = &r->access[gfam].gdt[pid][index];

        entry.hpa = __atomic_load_n(&at->hpa, __ATOMIC_RELAXED);
        entry.dpa = __atomic_load_n(&at->dpa, __ATOMIC_RELAXED);
        entry.length = __atomic_load_n(&at->length, __ATOMIC_RELAXED);
        entry.coherent = __atomic_load_n(&at->coherent, __ATOMIC_RELAXED);
    }
    return entry;
}

/* Whether just one decoder has @hpa, of those as they are now. */
static bool decode(const struct cxlf_router *r, uint32_t gfam, uint32_t pid,
                   uint64_t hpa, uint64_t *dpa)
{
    unsigned hits = 0;

    for (unsigned i = 0; i < CXLF_GDT_DECODERS; i++) {
        struct cxlf_gdt_entry e = cxlf_gdt_get(r, gfam, pid, i);

        if (hpa >= e.hpa && hpa - e.hpa < e.length) {
            *dpa = e.dpa + (hpa - e.hpa);
            hits++;
        }
    }
    return hits == 1 && *dpa < size_of(r, gfam) &&
           cxlf_may_access(r, gfam, pid, *dpa);
}

enum cxlf_route_result cxlf_gdt_decode(const struct cxlf_router *r,
                                       uint32_t gfam, uint32_t pid,
                                       uint64_t hpa, uint64_t *dpa)
{
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t generation = cxlf_routes_generation(r);
        bool ok;

        if (generation & 1) {
            continue;
        }
        ok = decode(r, gfam, pid, hpa, dpa);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&r->shared->generation, __ATOMIC_RELAXED) ==
            generation) {
            return ok ? CXLF_ROUTE_OK : CXLF_ROUTE_NO_RIGHT;
        }
    }
    return CXLF_ROUTE_BUSY;
}

enum cxlf_route_result cxlf_gdt_leads(const struct cxlf_router *r,
                                      uint32_t gfam, uint32_t pid,
                                      uint64_t dpa, uint64_t *none)
{
    *none = 0;
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t generation = cxlf_routes_generation(r);
        bool any = false, ok = false;

        if (generation & 1) {
            continue;
        }
        for (unsigned n = 0; n < CXLF_GDT_DECODERS; n++) {
            struct cxlf_gdt_entry e = cxlf_gdt_get(r, gfam, pid, n);

            any |= e.length != 0;
            ok |= dpa >= e.dpa && dpa - e.dpa < e.length;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&r->shared->generation, __ATOMIC_RELAXED) ==
            generation) {
            *none = any ? 0 : generation;
            return ok || !any ? CXLF_ROUTE_OK : CXLF_ROUTE_NO_RIGHT;
        }
    }
    return CXLF_ROUTE_BUSY;
}

static bool reset_device(struct cxlf_router *r, uint32_t gfam)
{
    const struct cxlf_graph *g = r->graph;
    uint32_t parts = g->lds[gfam] ? g->lds[gfam] : 1;
    uint64_t part = size_of(r, gfam) / parts;
    const struct cxlf_gdt_entry none = { 0 };

    for (uint32_t i = 0; i < parts; i++) {
        if (!cxlf_group_set(r, gfam, i * part, part, i)) {
            return false;
        }
    }
    for (uint64_t i = 0; i < g->dynamic[gfam] / CXLF_EXTENT_BLOCK; i++) {
        if (r->access[gfam].extent[i]) {
            r->access[gfam].extent[i] = 0;
        }
    }
    for (uint32_t pid = 0; pid < CXLF_NO_PID; pid++) {
        cxlf_sat_set(r, gfam, pid, 0);
        cxlf_gae_set(r, gfam, pid, true);
        for (unsigned i = 0; i < CXLF_GDT_DECODERS; i++) {
            struct cxlf_gdt_entry old = cxlf_gdt_get(r, gfam, pid, i);

            /* Untouched memory stays so. */
            if (memcmp(&old, &none, sizeof(none))) {
                cxlf_gdt_set(r, gfam, pid, i, &none);
            }
        }
    }
    for (uint32_t h = 0; h < r->topology->hosts; h++) {
        uint32_t groups = !g->lds[gfam];

        for (uint32_t ld = 0; ld < g->lds[gfam]; ld++) {
            groups |= (uint32_t)(g->bound[gfam][ld] == h) << ld;
        }
        cxlf_sat_set(r, gfam, g->pid_host[h], groups);
    }
    return true;
}

bool cxlf_access_reset(struct cxlf_router *r)
{
    for (uint32_t i = 0; i < r->topology->gfams; i++) {
        if (!reset_device(r, i)) {
            return false;
        }
    }
    return cxlf_routes_open(r);
}
