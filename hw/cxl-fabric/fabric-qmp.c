/*
 * CXL fabric: x-query-cxl-fabric
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "qapi/qapi-visit-cxl-fabric.h"
#include "cxlf/copies.h"
#include "cxlf/leaf.h"
#include "fabric-internal.h"

QEMU_BUILD_BUG_ON((int)CXL_FABRIC_HOST_STATE_RECOVERING !=
                  (int)CXLF_HOST_RECOVERING);
QEMU_BUILD_BUG_ON((int)CXL_FABRIC_LEAF_STATE_DOWN != (int)CXLF_LEAF_DOWN);

static CxlFabricCounters *counters(CXLFabric *f, int leaf, int shard,
                                   int host)
{
    CxlFabricCounters *c = g_new0(CxlFabricCounters, 1);
    uint64_t n[CXLF_COUNTERS];

    cxlf_read_counters(&f->directory, leaf, shard, host, n);
    *c = (CxlFabricCounters) {
        .read_hit = n[CXLF_READ_HIT],
        .write_hit = n[CXLF_WRITE_HIT],
        .read_miss = n[CXLF_READ_MISS],
        .write_miss = n[CXLF_WRITE_MISS],
        .upgrade = n[CXLF_UPGRADE],
        .bisnp_sent = n[CXLF_BISNP_SENT],
        .bisnp_received = n[CXLF_BISNP_RECEIVED],
        .writeback = n[CXLF_WRITEBACK],
        .retry = n[CXLF_RETRY],
        .refusal = n[CXLF_REFUSAL],
        .atomic = n[CXLF_ATOMIC],
        .atomic_retry = n[CXLF_ATOMIC_RETRY],
        .atomic_misaligned = n[CXLF_ATOMIC_MISALIGNED],
        .bulk_trapped = n[CXLF_BULK_TRAPPED],
        .victim = n[CXLF_VICTIM],
        .bisnp_spurious = n[CXLF_BISNP_SPURIOUS],
        .no_room = n[CXLF_NO_ROOM],
        .withheld = n[CXLF_WITHHELD_ACCESS],
        .page_fault = n[CXLF_PAGE_FAULT],
        .page_mapped = n[CXLF_PAGE_MAPPED],
        .page_prefetched = n[CXLF_PAGE_PREFETCHED],
        .page_revoked = n[CXLF_PAGE_REVOKED],
        .message = n[CXLF_MESSAGE],
        .doorbell = n[CXLF_DOORBELL],
        .promotion = n[CXLF_PROMOTION],
        .promotion_refused = n[CXLF_PROMOTION_REFUSED],
        .demotion = n[CXLF_DEMOTION],
        .view_flush = n[CXLF_VIEW_FLUSH],
        .machine_check = n[CXLF_MACHINE_CHECK],
        .copy_in = n[CXLF_COPY_IN],
        .copy_flushed = n[CXLF_COPY_FLUSHED],
        .copy_invalidated = n[CXLF_COPY_INVALIDATED],
        .copy_conflict = n[CXLF_COPY_CONFLICT],
    };
    return c;
}

void cxl_fabric_visit_counters(CXLFabric *f, int host, Visitor *v,
                               const char *name, Error **errp)
{
    CxlFabricCounters *c = f && f->kind != CXL_FABRIC_NONE ?
        counters(f, -1, -1, host) : g_new0(CxlFabricCounters, 1);

    visit_type_CxlFabricCounters(v, name, &c, errp);
    qapi_free_CxlFabricCounters(c);
}

static CxlFabricHostList *hosts(CXLFabric *f)
{
    CxlFabricHostList *list = NULL, **tail = &list;

    for (uint32_t i = 0; i < f->directory.topology.hosts; i++) {
        struct cxlf_host h = f->table->host[i];
        CxlFabricHost *host = g_new0(CxlFabricHost, 1);

        host->host = i;
        host->state = h.state < CXLF_HOST_STATES ? h.state : 0;
        host->pid = h.pid;
        host->deaths = h.deaths;
        host->precise_pages =
            qatomic_read(&f->directory.leaf[0].inside[i].precise);
        host->precise_quota =
            qatomic_read(&f->directory.leaf[0].inside[i].precise_quota);
        host->counters = counters(f, -1, -1, i);
        QAPI_LIST_APPEND(tail, host);
    }
    return list;
}

static CxlFabricShardList *directory(CXLFabric *f)
{
    CxlFabricShardList *list = NULL, **tail = &list;

    for (uint32_t l = 0; l < f->directory.topology.leaves; l++) {
        for (uint32_t s = 0; s < f->directory.topology.shards; s++) {
            CxlFabricShard *shard = g_new0(CxlFabricShard, 1);

            shard->leaf = l;
            shard->shard = s;
            shard->counters = counters(f, l, s, -1);
            QAPI_LIST_APPEND(tail, shard);
        }
    }
    return list;
}

static CxlFabricReservationList *reservations(CXLFabric *f)
{
    CxlFabricReservationList *list = NULL, **tail = &list;
    struct cxlf_reservation have[CXLF_RESERVATIONS];
    unsigned n = cxl_fabric_reserve_list(f, have);

    for (unsigned i = 0; i < n; i++) {
        CxlFabricReservation *r = g_new0(CxlFabricReservation, 1);

        r->host = have[i].host;
        r->gfam = have[i].gfam;
        r->dpa = have[i].dpa;
        r->length = have[i].length;
        QAPI_LIST_APPEND(tail, r);
    }
    return list;
}

static CxlFabricInfo *describe(CXLFabric *f)
{
    static const CxlFabricRole roles[] = {
        [CXL_FABRIC_NONE] = CXL_FABRIC_ROLE_NONE,
        [CXL_FABRIC_OWNER] = CXL_FABRIC_ROLE_OWNER,
        [CXL_FABRIC_MEMBER] = CXL_FABRIC_ROLE_MEMBER,
        [CXL_FABRIC_EMBEDDED] = CXL_FABRIC_ROLE_EMBEDDED,
    };
    const struct cxlf_topology *t = &f->directory.topology;
    CxlFabricInfo *info = g_new0(CxlFabricInfo, 1);

    info->id = g_strdup(cxl_fabric_id(f));
    info->role = roles[f->kind];
    info->state = f->lost ? CXL_FABRIC_STATE_LOST : CXL_FABRIC_STATE_UP;
    info->socket = g_strdup(f->socket);
    info->uuid = qemu_uuid_unparse_strdup(&f->uuid);
    info->epoch = cxl_fabric_epoch(f);
    if (f->kind != CXL_FABRIC_MEMBER) {
        info->has_on_death = true;
        info->on_death = f->on_death;
        info->has_poisoned = true;
        info->poisoned = cxl_fabric_count_poison(f);
    }
    info->leaves = t->leaves;
    info->shards = t->shards;
    info->gfams = t->gfams;
    for (uint32_t i = 0; i < t->gfams; i++) {
        info->hot += t->gfam[i].hot;
        info->bulk += t->gfam[i].bulk;
    }
    info->bulk_mode = cxl_fabric_list_bulk_modes(f);
    info->bulk_mode_changing = CXLF_BULK_MODE(cxl_fabric_bulk_mode(f)) !=
                               CXLF_BULK_WANTED(cxl_fabric_bulk_mode(f));
    info->precise_pages = f->table->precise_pages;
    info->self = f->self;
    info->hosts = hosts(f);
    info->directory = directory(f);
    info->reservations = reservations(f);
    return info;
}

CxlFabricInfoList *qmp_x_query_cxl_fabric(Error **errp)
{
    CxlFabricInfoList *list = NULL, **tail = &list;

    for (CXLFabric *f = cxl_fabric_first(); f; f = cxl_fabric_next(f)) {
        if (f->kind != CXL_FABRIC_NONE) {
            QAPI_LIST_APPEND(tail, describe(f));
        }
    }
    return list;
}

static CxlFabricLinkList *links(CXLFabric *f, uint32_t leaf)
{
    CxlFabricLinkList *list = NULL, **tail = &list;

    for (uint32_t i = 0; i < f->directory.topology.hosts; i++) {
        CxlFabricLink *link;

        if (qatomic_read(&f->table->host[i].state) == CXLF_HOST_FREE) {
            continue;
        }
        link = g_new0(CxlFabricLink, 1);
        link->host = i;
        link->counters = counters(f, leaf, -1, i);
        QAPI_LIST_APPEND(tail, link);
    }
    return list;
}

static CxlFabricLeaf *describe_leaf(CXLFabric *f, uint32_t i)
{
    const struct cxlf_directory *d = &f->directory;
    CxlFabricLeaf *leaf = g_new0(CxlFabricLeaf, 1);
    unsigned state = cxlf_leaf_get(d, i);

    leaf->id = g_strdup(cxl_fabric_id(f));
    leaf->leaf = i;
    leaf->state = MIN(state, CXLF_LEAF_DOWN);
    leaf->incarnation = cxlf_leaf_incarnation(d, i);
    leaf->lines = cxlf_leaf_used(d, i, CXLF_LINE_UNIT);
    leaf->line_capacity = d->topology.shards * d->entries[CXLF_LINE_UNIT];
    leaf->pages = cxlf_leaf_used(d, i, CXLF_PAGE_UNIT);
    leaf->page_capacity = d->topology.shards * d->entries[CXLF_PAGE_UNIT];
    leaf->counters = counters(f, i, -1, -1);
    leaf->links = links(f, i);
    return leaf;
}

CxlFabricLeafList *qmp_x_query_cxl_fabric_leaves(Error **errp)
{
    CxlFabricLeafList *list = NULL, **tail = &list;

    for (CXLFabric *f = cxl_fabric_first(); f; f = cxl_fabric_next(f)) {
        if (f->kind != CXL_FABRIC_NONE) {
            for (uint32_t i = 0; i < f->directory.topology.leaves; i++) {
                QAPI_LIST_APPEND(tail, describe_leaf(f, i));
            }
        }
    }
    return list;
}
