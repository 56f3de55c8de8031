/*
 * Routing tables and counters in this process's own memory, for tests
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_FABRIC_H
#define TESTS_UNIT_FABRIC_H

#include "fixture.h"
#include "cxlf/access.h"

typedef struct Fabric {
    struct cxlf_topology t;
    struct cxlf_graph g;
    struct cxlf_router r;
    void *routes, *counts;
    uint64_t routes_size, counts_size;
    struct cxlf_link_count *count;
    uint32_t lanes;
} Fabric;

static inline void *fabric_memory(uint64_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    g_assert_true(memory != MAP_FAILED);
    return memory;
}

/* Of f->t and f->g, which are checked. */
static inline void fabric_init(Fabric *f)
{
    const char *why = "";

    if (!cxlf_graph_check(&f->t, &f->g, &why)) {
        g_error("%s", why);
    }
    f->lanes = 2;
    f->routes_size = cxlf_routes_size(&f->t, &f->g);
    f->routes = fabric_memory(f->routes_size);
    cxlf_routes_format(f->routes, &f->t, &f->g, fixture_uuid);
    g_assert_true(cxlf_routes_attach(&f->r, f->routes, f->routes_size, &f->t,
                                     &f->g, fixture_uuid, &why));
    f->counts_size = cxlf_counts_size(&f->g, f->lanes);
    f->counts = fabric_memory(f->counts_size);
    cxlf_counts_format(f->counts, &f->t, &f->g, f->lanes, fixture_uuid);
    f->count = cxlf_counts_attach(f->counts, f->counts_size, &f->t, &f->g,
                                  f->lanes, fixture_uuid, &why);
    g_assert_nonnull(f->count);
    cxlf_routes_begin(&f->r);
    g_assert_true(cxlf_routes_reset(&f->r));
    cxlf_routes_end(&f->r);
}

static inline void fabric_default(Fabric *f, uint32_t hosts, uint32_t leaves,
                                  uint32_t spines)
{
    f->t = fixture_topology(hosts, leaves, 1, 1);
    cxlf_graph_default(&f->t, spines, &f->g);
    fabric_init(f);
}

static inline void fabric_done(Fabric *f)
{
    munmap(f->routes, f->routes_size);
    munmap(f->counts, f->counts_size);
}

#endif /* TESTS_UNIT_FABRIC_H */
