/*
 * Poison records: a ring in the fabric's segment that only its owner writes
 *
 * The owner publishes what was lost with a host that died; every host reads
 * at its own pace, from a cursor of its own.  Nobody waits: a record that
 * was overwritten before a host read it is lost to that host, which is told.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_POISON_H
#define CXLF_POISON_H

#include <stdbool.h>
#include "cxlf/abi.h"
#include "cxlf/topology.h"

/* cxlf_poison_publish: by one thread of the owner. */
void cxlf_poison_publish(struct cxlf_fabric *fabric,
                         const struct cxlf_poison *record);

/*
 * cxlf_poison_next: the next record from *@cursor on (0 at first).
 * Returns false at the end.  *@lost is set, and never cleared, when the
 * cursor has passed over records that were overwritten, or that name no
 * memory of @t or no host.  Any thread; no locks.
 */
bool cxlf_poison_next(const struct cxlf_fabric *fabric,
                      const struct cxlf_topology *t, uint64_t *cursor,
                      struct cxlf_poison *record, bool *lost);

#endif /* CXLF_POISON_H */
