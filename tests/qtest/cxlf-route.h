/*
 * Helpers of the CXL fabric's qtests: links, the Fabric Manager's commands,
 * and what an agent tells its guest
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CXLF_ROUTE_H
#define TESTS_CXLF_ROUTE_H

#include "qobject/qlist.h"
#include "cxlf/graph.h"
#include "cxlf-eca.h"

/*
 * cxlf_fabric_of: an owner of this topology and @hosts hosts, as
 * cxlf_fabric_start(); @more is for each host.
 */
CxlfFabric *cxlf_fabric_of(const struct cxlf_topology *t,
                           const struct cxlf_graph *g, int hosts,
                           const char *more);
/* The same; @options, such as ",on-death=poison", are the owner's. */
CxlfFabric *cxlf_fabric_with(const struct cxlf_topology *t,
                             const struct cxlf_graph *g, const char *options,
                             int hosts, const char *more);

/* cxlf_links: all links, as x-query-cxl-fabric-links has them; unref it. */
QList *cxlf_links(QTestState *qts);
/* cxlf_nth: the @n-th member of a list of objects. */
QDict *cxlf_nth(QList *list, unsigned n);
/* cxlf_set_link: all ports of a link, or one if @port is not negative. */
void cxlf_set_link(QTestState *owner, int link, int port, bool up);

/* cxlf_can: the host stores and loads 8 bytes at @dpa. */
void cxlf_can(CxlfFabric *f, int host, uint64_t dpa);
/*
 * cxlf_cannot: both are refused, and counted; the store, of 0xbad, is
 * dropped.  Of memory that is not mapped.
 */
void cxlf_cannot(CxlfFabric *f, int host, uint64_t dpa);
/* cxlf_wait_load: wait until 8 bytes are @value: what is mapped obeys later. */
void cxlf_wait_load(const CxlfRegion *r, uint64_t dpa, uint64_t value);

/*
 * cxlf_cci: a command of @n bytes at @in to a component; answers at most
 * @room bytes.  Returns its return code, and their number in *@got if that
 * is not NULL.
 */
int cxlf_cci(QTestState *owner, unsigned component, unsigned opcode,
             const void *in, size_t n, void *out, size_t room, size_t *got);
/* cxlf_cci_ok: the same with no answer; must succeed. */
void cxlf_cci_ok(QTestState *owner, unsigned component, unsigned opcode,
                 const void *in, size_t n);

/* An agent's events, in the guest's memory. */
typedef struct CxlfEvents {
    CxlfHost *h;
    unsigned next;          /* that was not taken, since it was turned on */
} CxlfEvents;

typedef struct CxlfEvent {
    uint32_t gfam, count;
    uint64_t dpa, length;
    uint32_t data[6];
} CxlfEvent;

/*
 * cxlf_events_on: events of @kinds, a bit for each, from now on; those that
 * were not taken are dropped.
 */
CxlfEvents cxlf_events_on(CxlfHost *h, uint32_t kinds);
/* cxlf_events_next: wait for the next one, which must be of @kind. */
CxlfEvent cxlf_events_next(CxlfEvents *e, unsigned kind);

#endif /* TESTS_CXLF_ROUTE_H */
