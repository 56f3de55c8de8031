/*
 * Reserved memory: ranges of pages that one host alone may use
 *
 * A table that the fabric's owner writes and every host reads.  While a range
 * is a host's, the others refuse accesses to it and give up what they hold
 * there; docs/page-ownership.md, "Reserved ranges".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_RESERVE_H
#define CXLF_RESERVE_H

#include <stdbool.h>
#include "cxlf/abi.h"
#include "cxlf/topology.h"

enum cxlf_reserve_result {
    CXLF_RESERVE_OK,
    CXLF_RESERVE_RANGE,     /* not whole pages of one device */
    CXLF_RESERVE_TAKEN,     /* another host has some of it */
    CXLF_RESERVE_FULL,      /* the table is */
    CXLF_RESERVE_NONE,      /* nothing there is reserved by this host */
    CXLF_RESERVE_RESULTS
};

/*
 * cxlf_reserve: @length bytes of device @gfam from @dpa on, for @host.
 * cxlf_unreserve: all ranges of @host that lie in these bytes.
 * cxlf_unreserve_all: all of @host; false if there were none.
 * By the owner, one thread at a time.
 */
enum cxlf_reserve_result cxlf_reserve(struct cxlf_fabric *fabric,
                                      const struct cxlf_topology *t,
                                      uint32_t host, uint32_t gfam,
                                      uint64_t dpa, uint64_t length);
enum cxlf_reserve_result cxlf_unreserve(struct cxlf_fabric *fabric,
                                        const struct cxlf_topology *t,
                                        uint32_t host, uint32_t gfam,
                                        uint64_t dpa, uint64_t length);
bool cxlf_unreserve_all(struct cxlf_fabric *fabric, uint32_t host);

/* cxlf_reserve_changes: another number after each change.  Any thread. */
uint64_t cxlf_reserve_changes(const struct cxlf_fabric *fabric);

/*
 * cxlf_reserve_list: the table as it was at one time; returns how many there
 * are.  Entries that name no memory of @t or no host are left out.  Any
 * thread; no locks.
 */
unsigned cxlf_reserve_list(const struct cxlf_fabric *fabric,
                           const struct cxlf_topology *t,
                           struct cxlf_reservation list[CXLF_RESERVATIONS]);

/*
 * cxlf_is_reserved: whether a host other than @host has reserved @dpa.  Any
 * thread; no locks; a few loads while nothing is reserved.
 */
bool cxlf_is_reserved(const struct cxlf_fabric *fabric, uint32_t host,
                      uint32_t gfam, uint64_t dpa);

#endif /* CXLF_RESERVE_H */
