/*
 * CXL fabric: doorbells, which wake the agents of hosts
 *
 * An eventfd for each host number, made by the owner and passed to everybody
 * at the join.  Whoever has posted to a host's mailboxes rings; that host's
 * agent waits for it.  A ring is a hint: a number's next host may get one
 * that was meant for the last.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include <sys/resource.h>
#include "qapi/error.h"
#include "fabric-internal.h"

/* What a QEMU is thought to have open beside a fabric's descriptors. */
#define OTHER_DESCRIPTORS 512

/* Make room for @more descriptors, as far as the hard limit allows. */
static void raise_limit(uint64_t more)
{
    struct rlimit r;
    rlim_t want = more + OTHER_DESCRIPTORS;

    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < want) {
        r.rlim_cur = MIN(want, r.rlim_max);
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

uint64_t cxl_fabric_descriptor_limit(void)
{
    struct rlimit r;

    return getrlimit(RLIMIT_NOFILE, &r) ? 0 : r.rlim_cur;
}

/* No doorbells yet, but a place for each, and room for them. */
void cxl_fabric_init_doorbells(CXLFabric *f)
{
    uint32_t hosts = f->directory.topology.hosts;

    /* Of a peer an owner has its socket, its pidfd and its log as well. */
    raise_limit((uint64_t)hosts * (f->kind == CXL_FABRIC_OWNER ? 4 : 1));
    f->doorbell = g_new(int, hosts);
    memset(f->doorbell, 0xff, hosts * sizeof(int));
}

bool cxl_fabric_create_doorbells(CXLFabric *f, Error **errp)
{
    uint32_t hosts = f->directory.topology.hosts;

    cxl_fabric_init_doorbells(f);
    for (uint32_t i = 0; i < hosts; i++) {
        f->doorbell[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (f->doorbell[i] < 0) {
            error_setg_errno(errp, errno, "'hosts': %u hosts need a "
                             "descriptor each, but this process may have "
                             "%" PRIu64 " in all (RLIMIT_NOFILE)", hosts,
                             cxl_fabric_descriptor_limit());
            return false;
        }
    }
    return true;
}

void cxl_fabric_drop_doorbells(CXLFabric *f)
{
    for (uint32_t i = 0; f->doorbell && i < f->directory.topology.hosts;
         i++) {
        if (f->doorbell[i] >= 0) {
            close(f->doorbell[i]);
        }
    }
    g_free(f->doorbell);
    f->doorbell = NULL;
}

/* Owner: wake every host's agent, to look at everything again. */
void cxl_fabric_ring_all(CXLFabric *f)
{
    for (uint32_t i = 0; i < f->directory.topology.hosts; i++) {
        uint32_t state = qatomic_read(&f->table->host[i].state);

        /* One that is full has been rung, and nobody waits here. */
        if (state == CXLF_HOST_UP || state == CXLF_HOST_JOINING) {
            eventfd_write(f->doorbell[i], 1);
        }
    }
}

int cxl_fabric_doorbell_fd(CXLFabric *f, unsigned host)
{
    return f->doorbell && host < f->directory.topology.hosts ?
           f->doorbell[host] : -1;
}
