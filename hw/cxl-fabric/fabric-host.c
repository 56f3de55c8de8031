/*
 * CXL fabric: the table of hosts, as its owner writes it
 *
 * All under f->lock.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "fabric-internal.h"
#include "trace.h"

void cxl_fabric_set_host(CXLFabric *f, int host, enum cxlf_host_state state)
{
    trace_cxl_fabric_host(cxl_fabric_id(f), host, state);
    qatomic_set(&f->table->host[host].state, state);
}

/* Returns the number given, or -1 if it (or every number) is taken. */
int cxl_fabric_claim_host(CXLFabric *f, int want, uint32_t pid)
{
    int hosts = f->directory.topology.hosts;

    for (int i = want < 0 ? 0 : want; i < hosts; i++) {
        struct cxlf_host *h = &f->table->host[i];

        if (h->state == CXLF_HOST_FREE) {
            h->pid = pid;
            h->incarnation++;
            cxl_fabric_forget_copies(f, i);
            cxl_fabric_set_host(f, i, CXLF_HOST_JOINING);
            return i;
        }
        if (want >= 0) {
            break;
        }
    }
    return -1;
}

void cxl_fabric_free_host(CXLFabric *f, int host)
{
    struct cxlf_inside *inside = &f->directory.leaf[0].inside[host];

    qatomic_set(&inside->precise, 0);
    qatomic_set(&inside->precise_quota, 0);
    cxlf_unreserve_all(f->table, host);
    f->table->host[host].pid = 0;
    cxl_fabric_set_host(f, host, CXLF_HOST_FREE);
}
