/*
 * CXL fabric object: what all of its roles rest on
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "fabric-internal.h"

static QLIST_HEAD(, CXLFabric) fabrics = QLIST_HEAD_INITIALIZER(fabrics);

void cxl_fabric_list_add(CXLFabric *f)
{
    QLIST_INSERT_HEAD(&fabrics, f, next);
}

CXLFabric *cxl_fabric_first(void)
{
    return QLIST_FIRST(&fabrics);
}

CXLFabric *cxl_fabric_next(CXLFabric *f)
{
    return QLIST_NEXT(f, next);
}

/* Any thread, once the fabric is complete. */
const char *cxl_fabric_id(CXLFabric *f)
{
    return f->id ? f->id : "(unnamed)";
}

CXLFabric *cxl_fabric_find(const char *id, bool owned, Error **errp)
{
    const char *verb = owned ? "owns" : "has";
    CXLFabric *found = NULL;

    for (CXLFabric *f = cxl_fabric_first(); f; f = cxl_fabric_next(f)) {
        if (f->kind == CXL_FABRIC_NONE ||
            (owned && f->kind == CXL_FABRIC_MEMBER) ||
            (id && strcmp(id, cxl_fabric_id(f)))) {
            continue;
        }
        if (found) {
            error_setg(errp, "this process %s several fabrics: name one "
                       "with 'id'", verb);
            return NULL;
        }
        found = f;
    }
    if (!found) {
        error_setg(errp, "this process %s no %sfabric%s%s", verb, id ? "" :
                   "CXL ", id ? " " : "", id ? id : "");
    }
    return found;
}

/* QMP events that guests cause: this many at once, and each second. */
#define BURST       64
#define EACH_SECOND 16

bool cxl_fabric_may_emit(CXLFabricEmitted *e)
{
    int64_t now = get_clock();

    /* A bucket of BURST tokens, counted by when it was empty. */
    e->ns = MAX(e->ns, now - BURST * (NANOSECONDS_PER_SECOND / EACH_SECOND));
    if (e->ns + NANOSECONDS_PER_SECOND / EACH_SECOND > now) {
        e->left_out++;
        return false;
    }
    e->ns += NANOSECONDS_PER_SECOND / EACH_SECOND;
    return true;
}

/* Segments */

uint64_t cxl_fabric_segment_size(CXLFabric *f, uint32_t kind, uint32_t index)
{
    const struct cxlf_topology *t = &f->directory.topology;

    switch (kind) {
    case CXLF_KIND_FABRIC:
        return ROUND_UP(sizeof(struct cxlf_fabric), CXLF_PAGE);
    case CXLF_KIND_LEAF:
        return cxlf_leaf_size(t);
    case CXLF_KIND_GFAM:
        return t->gfam[index].hot + t->gfam[index].bulk;
    case CXLF_KIND_ROUTES:
        return ROUND_UP(cxlf_routes_size(t, f->graph), CXLF_PAGE);
    case CXLF_KIND_COUNTS:
        return ROUND_UP(cxlf_counts_size(f->graph, cxl_fabric_lanes(f)),
                        CXLF_PAGE);
    default:
        g_assert_not_reached();
    }
}

uint32_t cxl_fabric_count_segments(CXLFabric *f)
{
    const struct cxlf_topology *t = &f->directory.topology;

    return 2 + t->leaves + t->gfams + (f->graph ? 2 : 0);
}

bool cxl_fabric_map(CXLFabricSegment *s, bool writable, Error **errp)
{
    void *map = mmap(NULL, s->size, PROT_READ | (writable ? PROT_WRITE : 0),
                     MAP_SHARED | MAP_NORESERVE, s->fd, 0);

    if (map == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map a segment of %" PRIu64
                         " bytes", s->size);
        return false;
    }
    s->map = map;
    return true;
}

bool cxl_fabric_adopt_leaf(CXLFabric *f, uint32_t leaf, Error **errp)
{
    CXLFabricSegment *s = &f->segment[CXLF_KIND_LEAF][leaf];
    const char *why;

    if (!cxlf_leaf_attach(&f->directory, s->map, s->size, leaf,
                          f->uuid.data, &why)) {
        error_setg(errp, "%s", why);
        return false;
    }
    return true;
}

void cxl_fabric_drop_segments(CXLFabric *f)
{
    for (int kind = 0; kind < CXLF_KINDS; kind++) {
        for (int i = 0; i < CXL_FABRIC_SEGMENTS; i++) {
            CXLFabricSegment *s = &f->segment[kind][i];

            if (s->map) {
                munmap(s->map, s->size);
            }
            if (s->fd >= 0) {
                close(s->fd);
            }
            if (s->backend) {
                host_memory_backend_set_mapped(s->backend, false);
                object_unref(OBJECT(s->backend));
            }
            *s = (CXLFabricSegment) { .fd = -1 };
        }
    }
    cxl_fabric_drop_logs(f);
    cxl_fabric_drop_routes(f);
    f->table = NULL;
}

/* Topology */

bool cxl_fabric_load_topology(const char *path, struct cxlf_topology *t,
                              struct cxlf_graph **graph, Error **errp)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *blob = NULL;
    const char *why;
    gsize size;

    if (!g_file_get_contents(path, &blob, &size, &error)) {
        error_setg(errp, "'topology': %s", error->message);
        return false;
    }
    if (!cxlf_topology_read(blob, size, t, &why) ||
        !cxl_fabric_read_graph(blob, t, graph, &why)) {
        error_setg(errp, "'topology': %s", why);
        return false;
    }
    return true;
}
