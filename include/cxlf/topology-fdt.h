/*
 * Topology as a device tree: read and written with libfdt
 *
 * docs/topology.md has the binding.  Used by the emulator, its tests and the
 * simulator; needs libfdt and nothing of QEMU.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_TOPOLOGY_FDT_H
#define CXLF_TOPOLOGY_FDT_H

#include <stddef.h>
#include "cxlf/graph.h"

#define CXLF_TOPOLOGY_COMPATIBLE "cxl-fabric,topology-v1"

/*
 * cxlf_topology_read: the topology in a device tree blob of @size bytes.
 * The blob is not trusted.  On failure *@why has the node's path and the
 * property, and is valid until the thread's next failure.
 */
bool cxlf_topology_read(const void *blob, size_t size,
                        struct cxlf_topology *t, const char **why);

/*
 * cxlf_topology_write: @t as a blob in @buffer.
 * Returns its size in bytes, or 0 if @capacity is too small.
 */
size_t cxlf_topology_write(const struct cxlf_topology *t, void *buffer,
                           size_t capacity);

/*
 * cxlf_graph_read: the switches and links in a blob that
 * cxlf_topology_read() has accepted, as @t.  A topology may have none:
 * more hosts on a leaf than it has ports, or more components than PIDs.
 */
bool cxlf_graph_read(const void *blob, const struct cxlf_topology *t,
                     struct cxlf_graph *g, const char **why);

/*
 * cxlf_graph_is_named: whether such a blob says anything of switches and
 * links.  One that does not may have no routing.
 */
bool cxlf_graph_is_named(const void *blob);

/* cxlf_graph_write: like cxlf_topology_write(), with @g unless it is NULL. */
size_t cxlf_graph_write(const struct cxlf_topology *t,
                        const struct cxlf_graph *g, void *buffer,
                        size_t capacity);

#endif /* CXLF_TOPOLOGY_FDT_H */
