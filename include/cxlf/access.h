/*
 * Access control: which memory of a device a source PID may reach
 *
 * A device's memory is in groups, and its SAT says for each source PID which
 * of them it may reach; its GDT says where in the device a source's host
 * addresses are.  docs/routing.md, "Access control".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_ACCESS_H
#define CXLF_ACCESS_H

#include "cxlf/route.h"

/* Inside of a change, like all setters: see cxlf_routes_begin(). */

/*
 * cxlf_access_reset: as the topology has it: a device without logical
 * devices is one group that all hosts may reach; else each logical device is
 * a group for the host that it is bound to.  The GDTs are empty.
 */
bool cxlf_access_reset(struct cxlf_router *r);

/*
 * cxlf_group_set: @length bytes of device @gfam from @dpa on, both multiples
 * of 256 MiB, belong to @group, 0 to 31, or to none: CXLF_GROUPS.
 */
bool cxlf_group_set(struct cxlf_router *r, uint32_t gfam, uint64_t dpa,
                    uint64_t length, uint32_t group);

/* cxlf_sat_set: the groups that @pid may reach, a bit for each. */
bool cxlf_sat_set(struct cxlf_router *r, uint32_t gfam, uint32_t pid,
                  uint32_t groups);
uint32_t cxlf_sat_get(const struct cxlf_router *r, uint32_t gfam,
                      uint32_t pid);

/*
 * cxlf_gae_set: whether the GAE of the host whose PID is @pid lets it reach
 * device @gfam; at first all do.
 */
bool cxlf_gae_set(struct cxlf_router *r, uint32_t gfam, uint32_t pid,
                  bool may);

/*
 * cxlf_gdt_set: decoder @index of @pid.  A length of 0 makes it invalid;
 * else it must lie within the device, and HPAs must not wrap.
 */
bool cxlf_gdt_set(struct cxlf_router *r, uint32_t gfam, uint32_t pid,
                  uint32_t index, const struct cxlf_gdt_entry *entry);
struct cxlf_gdt_entry cxlf_gdt_get(const struct cxlf_router *r, uint32_t gfam,
                                   uint32_t pid, uint32_t index);

/*
 * cxlf_extent_set: whether @host, below CXLF_EXTENT_HOSTS, may reach an extent
 * of device @gfam's dynamic capacity, of whole blocks.
 */
bool cxlf_extent_set(struct cxlf_router *r, uint32_t gfam, uint32_t host,
                     uint64_t dpa, uint64_t length, bool may);

/* cxlf_may_reach_extent: of @dpa that is dynamic capacity. */
bool cxlf_may_reach_extent(const struct cxlf_router *r, uint32_t gfam,
                           uint32_t pid, uint64_t dpa);

/*
 * cxlf_may_access: whether @pid may reach @dpa of device @gfam.  Any thread;
 * no locks; four loads, and two more for dynamic capacity.
 */
static inline bool cxlf_may_access(const struct cxlf_router *r,
                                   uint32_t gfam, uint32_t pid, uint64_t dpa)
{
    uint64_t block = dpa / CXLF_CAPACITY_UNIT;
    const struct cxlf_access_tables *a;
    uint8_t group;

    if (gfam >= r->topology->gfams || pid >= CXLF_NO_PID ||
        block >= CXLF_ACCESS_BLOCKS) {
        return false;
    }
    a = &r->access[gfam];
    group = __atomic_load_n(&a->group[block], __ATOMIC_RELAXED);
    return group && group <= CXLF_GROUPS &&
           __atomic_load_n(&a->sat[pid], __ATOMIC_RELAXED) >> (group - 1) &
           1 &&
           !(__atomic_load_n(&a->barred[pid / 32], __ATOMIC_RELAXED) >>
             pid % 32 & 1) &&
           (dpa < r->dynamic[gfam] ||
            cxlf_may_reach_extent(r, gfam, pid, dpa));
}

/* cxlf_group_get: the group of @dpa, or CXLF_GROUPS.  Any thread; no locks. */
static inline uint32_t cxlf_group_get(const struct cxlf_router *r,
                                      uint32_t gfam, uint64_t dpa)
{
    uint64_t block = dpa / CXLF_CAPACITY_UNIT;
    uint8_t group = 0;

    if (gfam < r->topology->gfams && block < CXLF_ACCESS_BLOCKS) {
        group = __atomic_load_n(&r->access[gfam].group[block],
                                __ATOMIC_RELAXED);
    }
    return group && group <= CXLF_GROUPS ? group - 1u : CXLF_GROUPS;
}

/*
 * cxlf_gdt_leads: whether a decoder of @pid leads to @dpa of device @gfam,
 * or @pid has none: OK, NO_RIGHT or BUSY.  In the latter case of OK *@none is
 * the generation in which that is so, else 0.  Any thread; no locks; bounded.
 */
enum cxlf_route_result cxlf_gdt_leads(const struct cxlf_router *r,
                                      uint32_t gfam, uint32_t pid,
                                      uint64_t dpa, uint64_t *none);

/*
 * cxlf_gdt_decode: where in device @gfam the @hpa of @pid is.  OK, NO_RIGHT
 * if not just one decoder has it or the SAT does not let it through, or BUSY.
 * Any thread; no locks; bounded.
 */
enum cxlf_route_result cxlf_gdt_decode(const struct cxlf_router *r,
                                       uint32_t gfam, uint32_t pid,
                                       uint64_t hpa, uint64_t *dpa);

#endif /* CXLF_ACCESS_H */
