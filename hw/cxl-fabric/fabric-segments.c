/*
 * CXL fabric: the segments that an owner makes
 *
 * One for the fabric's table of hosts, one for each leaf switch, one for
 * each GFAM device, two for routing.  Sealed against a change of size, so
 * that no peer can make another's access to them fault.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "compat.h"
#include "fabric-internal.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static bool create(CXLFabric *f, uint32_t kind, uint32_t index,
                   const char *name, unsigned seals, Error **errp)
{
    CXLFabricSegment *s = &f->segment[kind][index];

    s->size = cxl_fabric_segment_size(f, kind, index);
    s->fd = qemu_memfd_create(name, s->size, false, 0, seals, errp);
    return s->fd >= 0;
}

static bool create_table(CXLFabric *f, Error **errp)
{
    CXLFabricSegment *s = &f->segment[CXLF_KIND_FABRIC][0];

    if (!create(f, CXLF_KIND_FABRIC, 0, "cxlf-fabric",
                F_SEAL_GROW | F_SEAL_SHRINK, errp) ||
        !cxl_fabric_map(s, true, errp)) {
        return false;
    }
    f->table = s->map;
    f->table->segment = (struct cxlf_segment) {
        .magic = CXLF_FABRIC_MAGIC,
        .version = CXLF_ABI_VERSION,
        .header_size = sizeof(struct cxlf_fabric),
        .size = s->size,
        .hosts = f->directory.topology.hosts,
    };
    f->table->bulk_mode = cxl_fabric_first_bulk_mode(f);
    memcpy(f->table->segment.uuid, f->uuid.data, 16);
    /* Only this mapping can write; kernels before 5.1 lack the seal. */
    fcntl(s->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
    return true;
}

static bool create_leaf(CXLFabric *f, uint32_t leaf, Error **errp)
{
    CXLFabricSegment *s = &f->segment[CXLF_KIND_LEAF][leaf];
    g_autofree char *name = g_strdup_printf("cxlf-leaf%u", leaf);

    if (!create(f, CXLF_KIND_LEAF, leaf, name,
                F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, errp) ||
        !cxl_fabric_map(s, true, errp)) {
        return false;
    }
    cxlf_leaf_format(s->map, &f->directory.topology, leaf, f->uuid.data);
    return cxl_fabric_adopt_leaf(f, leaf, errp);
}

/* Routing tables as the topology has them, and counters of links. */
static bool create_routes(CXLFabric *f, Error **errp)
{
    const struct cxlf_topology *t = &f->directory.topology;
    CXLFabricSegment *routes = &f->segment[CXLF_KIND_ROUTES][0];
    CXLFabricSegment *counts = &f->segment[CXLF_KIND_COUNTS][0];

    if (!f->graph) {
        return true;
    }
    if (!create(f, CXLF_KIND_ROUTES, 0, "cxlf-routes",
                F_SEAL_GROW | F_SEAL_SHRINK, errp) ||
        !create(f, CXLF_KIND_COUNTS, 0, "cxlf-counts",
                F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, errp) ||
        !cxl_fabric_map(routes, true, errp) ||
        !cxl_fabric_map(counts, true, errp)) {
        return false;
    }
    cxlf_routes_format(routes->map, t, f->graph, f->uuid.data);
    cxlf_counts_format(counts->map, t, f->graph, cxl_fabric_lanes(f),
                       f->uuid.data);
    if (!cxl_fabric_adopt_routes(f, errp)) {
        return false;
    }
    cxlf_routes_begin(f->router);
    cxlf_routes_reset(f->router);
    cxlf_routes_end(f->router);
    /* As for the table of hosts. */
    fcntl(routes->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
    return true;
}

/* A GFAM device's memory from a backend that the user gave. */
static bool use_backend(CXLFabric *f, uint32_t gfam, Error **errp)
{
    HostMemoryBackend *backend = f->memdev[gfam];
    CXLFabricSegment *s = &f->segment[CXLF_KIND_GFAM][gfam];
    uint64_t need = cxl_fabric_segment_size(f, CXLF_KIND_GFAM, gfam);
    MemoryRegion *mr = host_memory_backend_get_memory(backend);
    int fd = memory_region_get_fd(mr);

    if (host_memory_backend_is_mapped(backend)) {
        error_setg(errp, "'memdev%u': the memory backend is in use", gfam);
        return false;
    }
    if (fd < 0 || !object_property_get_bool(OBJECT(backend), "share",
                                            &error_abort)) {
        error_setg(errp, "'memdev%u': the memory backend is not shared; use "
                   "memory-backend-memfd or -file with share=on", gfam);
        return false;
    }
    if (memory_region_size(mr) != need ||
        mr->ram_block->fd_offset != 0) {
        error_setg(errp, "'memdev%u': the memory backend must have offset 0 "
                   "and %" PRIu64 " bytes ('hot' plus 'bulk'), it has %"
                   PRIu64, gfam, need, (uint64_t)memory_region_size(mr));
        return false;
    }
    s->fd = qemu_dup(fd);
    if (s->fd < 0) {
        error_setg_errno(errp, errno, "'memdev%u': cannot dup", gfam);
        return false;
    }
    s->size = need;
    /* A reference of our own: the property's is gone before finalize. */
    s->backend = backend;
    object_ref(OBJECT(backend));
    host_memory_backend_set_mapped(backend, true);
    return true;
}

bool cxl_fabric_create_segments(CXLFabric *f, Error **errp)
{
    const struct cxlf_topology *t = &f->directory.topology;

    if (!create_table(f, errp) || !create_routes(f, errp)) {
        return false;
    }
    cxl_fabric_init_logs(f);
    for (uint32_t i = 0; i < t->leaves; i++) {
        if (!create_leaf(f, i, errp)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < t->gfams; i++) {
        g_autofree char *name = g_strdup_printf("cxlf-gfam%u", i);

        if (f->memdev[i] ? !use_backend(f, i, errp)
                         : !create(f, CXLF_KIND_GFAM, i, name,
                                   F_SEAL_GROW | F_SEAL_SHRINK |
                                   F_SEAL_SEAL, errp)) {
            return false;
        }
    }
    return true;
}
