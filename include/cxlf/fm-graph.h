/*
 * Fabric Manager: the components of a topology
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_FM_GRAPH_H
#define CXLF_FM_GRAPH_H

#include "cxlf/fm.h"
#include "cxlf/route.h"

/*
 * cxlf_fm_add_graph: add the switches, devices and links of a checked
 * topology to @fm, which is empty; they are numbered as
 * docs/fabric-manager.md, "In the emulator", says.  Component n has the
 * serial number @serial | n.  What is beyond the bounds of cxlf/fm.h is left
 * out, as said there.  Switches have a DRT and a RGT.
 * Returns how many switches there are, or -1 if the rest does not fit.
 */
int cxlf_fm_add_graph(struct cxlf_fm *fm, const struct cxlf_topology *t,
                      const struct cxlf_graph *g, uint64_t serial);

/*
 * Functions of struct cxlf_fm_ops for tables that are only read: @opaque is
 * the struct cxlf_router of the same topology.
 */
bool cxlf_fm_router_drt_get(void *opaque, unsigned component, unsigned drt,
                            unsigned pid, uint8_t entry[2]);
bool cxlf_fm_router_rgt_get(void *opaque, unsigned component, unsigned rgt,
                            unsigned index, uint8_t entry[12]);
bool cxlf_fm_router_port_up(void *opaque, unsigned component, unsigned port);

#endif /* CXLF_FM_GRAPH_H */
