/*
 * A directory in this process's own memory, for the unit tests
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_FIXTURE_H
#define TESTS_UNIT_FIXTURE_H

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "cxlf/directory.h"

typedef struct Fixture {
    struct cxlf_directory directory;
    void *memory[CXLF_MAX_LEAVES];
    uint64_t size;
} Fixture;

static const uint8_t fixture_uuid[16] = "0123456789abcdef";

static inline struct cxlf_topology fixture_topology(uint32_t hosts,
                                                    uint32_t leaves,
                                                    uint32_t shards,
                                                    uint32_t gfams)
{
    struct cxlf_topology t = {
        .hosts = hosts, .leaves = leaves, .shards = shards, .gfams = gfams,
        .grain = CXLF_LINE,
    };

    for (uint32_t i = 0; i < gfams; i++) {
        t.gfam[i] = (struct cxlf_gfam) {
            .hot = CXLF_CAPACITY_UNIT, .bulk = CXLF_CAPACITY_UNIT,
            .leaf = i % leaves,
        };
    }
    for (uint32_t i = 0; i < hosts; i++) {
        t.host_leaf[i] = i % leaves;
    }
    return t;
}

static inline void fixture_init(Fixture *f, struct cxlf_topology t)
{
    const char *why = NULL;

    memset(f, 0, sizeof(*f));
    f->directory.topology = t;
    f->size = cxlf_leaf_size(&t);
    for (uint32_t i = 0; i < t.leaves; i++) {
        f->memory[i] = mmap(NULL, f->size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1, 0);
        g_assert_true(f->memory[i] != MAP_FAILED);
        cxlf_leaf_format(f->memory[i], &t, i, fixture_uuid);
        g_assert_true(cxlf_leaf_attach(&f->directory, f->memory[i], f->size,
                                       i, fixture_uuid, &why));
    }
}

static inline void fixture_done(Fixture *f)
{
    for (uint32_t i = 0; i < f->directory.topology.leaves; i++) {
        munmap(f->memory[i], f->size);
    }
}

#endif /* TESTS_UNIT_FIXTURE_H */
