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
#include "cxlf/topology.h"

#define CXLF_TOPOLOGY_COMPATIBLE "cxl-fabric,topology-v1"

/*
 * cxlf_topology_read: the topology in a device tree blob of @size bytes.
 * The blob is not trusted.  On failure *@why names the node or property.
 */
bool cxlf_topology_read(const void *blob, size_t size,
                        struct cxlf_topology *t, const char **why);

/*
 * cxlf_topology_write: @t as a blob in @buffer.
 * Returns its size in bytes, or 0 if @capacity is too small.
 */
size_t cxlf_topology_write(const struct cxlf_topology *t, void *buffer,
                           size_t capacity);

#endif /* CXLF_TOPOLOGY_FDT_H */
