/*
 * CXL fabric object: logical devices that are bound to this process's host
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf/fm.h"
#include "fabric-internal.h"

uint32_t cxl_fabric_lds(CXLFabric *f, uint32_t gfam)
{
    return f->graph ? f->graph->lds[gfam] : 0;
}

bool cxl_fabric_is_mld(CXLFabric *f, uint32_t gfam)
{
    return cxl_fabric_lds(f, gfam) > 0;
}

const CXLFabricGrant *cxl_fabric_ld(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    const CXLFabricGrant *g = &f->grant[gfam][ld];

    return g->granted ? g : NULL;
}

void cxl_fabric_grant_ld(CXLFabric *f, uint32_t gfam, uint32_t ld,
                         uint64_t start, uint64_t size, uint32_t vppb)
{
    f->grant[gfam][ld] = (CXLFabricGrant) {
        .start = start, .size = size, .vppb = vppb, .granted = true,
    };
}

void cxl_fabric_revoke_ld(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
    f->grant[gfam][ld].granted = false;
}

void cxl_fabric_ld_gone(CXLFabric *f, uint32_t gfam, uint32_t ld)
{
}

void cxl_fabric_grant_bound(CXLFabric *f)
{
    const struct cxlf_topology *t = &f->directory.topology;
    uint32_t vppb = 1;

    for (uint32_t i = 0; f->graph && i < t->gfams; i++) {
        uint64_t units = (t->gfam[i].hot + t->gfam[i].bulk) / CXLF_FM_UNIT;
        uint32_t lds = f->graph->lds[i];

        for (uint32_t ld = 0; ld < lds; ld++) {
            uint64_t size = units / lds * CXLF_FM_UNIT;

            if (f->graph->bound[i][ld] == f->self) {
                cxl_fabric_grant_ld(f, i, ld, ld * size, size, vppb++);
            }
        }
    }
}
