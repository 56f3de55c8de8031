/*
 * CXL fabric: what devices are asked, and how they answer
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "cxlf/access.h"
#include "hw/cxlf/fabric-lane.h"
#include "fabric-qos.h"

QEMU_BUILD_BUG_ON(CXLF_MAX_HOSTS * CXL_FABRIC_LANES > CXLF_QOS_LANES);

/* Requests between two looks: one for so many that have to be looked at. */
#define ASKERS_FOR_ONE 8

struct CXLFabricMeter {
    const struct cxlf_router *router;
    struct cxlf_qos *qos;
    uint32_t lane;
    struct cxlf_qos_view view[CXLF_MAX_GFAMS];
    /* Until the next look. */
    uint64_t left_ps[CXLF_MAX_GFAMS];
    uint32_t left[CXLF_MAX_GFAMS];
};

static struct cxlf_qos *qos_of(CXLFabric *f)
{
    return cxlf_counts_qos(f->link_counts, f->graph, cxl_fabric_lanes(f));
}

static void open_view(struct cxlf_qos_view *v, CXLFabric *f, uint32_t gfam)
{
    uint32_t lds = f->graph->lds[gfam];

    *v = (struct cxlf_qos_view) {
        .shared = qos_of(f), .gfam = gfam, .lanes = cxl_fabric_lanes(f),
        .lds = lds,
        .seen = g_new0(struct cxlf_qos_seen, lds ? lds : cxl_fabric_lanes(f)),
    };
}

CXLFabricMeter *cxl_fabric_meter_new(CXLFabric *f, uint32_t lane)
{
    CXLFabricMeter *m = g_new0(CXLFabricMeter, 1);

    m->router = f->router;
    m->qos = qos_of(f);
    m->lane = lane;
    for (uint32_t i = 0; i < f->directory.topology.gfams; i++) {
        open_view(&m->view[i], f, i);
        /* What was before is none of its business. */
        cxlf_qos_look(&m->view[i]);
    }
    return m;
}

void cxl_fabric_meter_free(CXLFabricMeter *m)
{
    for (uint32_t i = 0; m && i < CXLF_MAX_GFAMS; i++) {
        g_free(m->view[i].seen);
    }
    g_free(m);
}

/* Looks at the device again if it is time to. */
static void look(CXLFabricMeter *m, uint32_t gfam, uint64_t want_ps)
{
    struct cxlf_qos_view *v = &m->view[gfam];

    m->left_ps[gfam] -= MIN(want_ps, m->left_ps[gfam]);
    m->left[gfam] -= m->left[gfam] > 0;
    if (!m->left_ps[gfam] && !m->left[gfam] && cxlf_qos_look(v)) {
        m->left_ps[gfam] = cxlf_qos_window(v);
        m->left[gfam] = v->askers / ASKERS_FOR_ONE;
    }
}

static void set_asked(CXLFabricMeter *m)
{
    uint64_t *word = &m->qos->asked[m->lane / 64];
    uint64_t bit = 1ull << m->lane % 64;

    if (!(qatomic_read(word) & bit)) {
        qatomic_or(word, bit);
    }
}

void cxl_fabric_meter_add(CXLFabricMeter *m, const CXLFabricAsk *ask)
{
    struct cxlf_qos_view *v = &m->view[ask->gfam];
    uint32_t ld = v->lds ? cxlf_group_get(m->router, ask->gfam, ask->dpa) : 0;
    uint64_t want_ps = ask->round_ps / CXLF_QOS_OUTSTANDING;
    struct cxlf_qos_use *use;
    uint32_t user;

    if (v->lds && ld >= v->lds) {
        return;                 /* the LD has just been taken away */
    }
    user = v->lds ? ld : m->lane;
    use = &m->qos->use[m->lane][ask->gfam][ld];
    set_asked(m);
    cxlf_link_add(&use->bytes, (ask->in + ask->out) * CXLF_SLOT);
    cxlf_link_add(&use->busy_ps,
                  (uint64_t)MAX(ask->in, ask->out) * ask->slot_ps);
    if (want_ps) {
        cxlf_link_add(&use->want_ps, want_ps);
        look(m, ask->gfam, want_ps);
        cxlf_link_add(&use->time_ps, cxlf_qos_time(v, user, want_ps));
        cxlf_link_add(&use->responses[cxlf_qos_dev_load(v, user)], 1);
    }
}

/* Management */

const struct cxlf_qos_view *cxl_fabric_qos_view(CXLFabric *f, uint32_t gfam)
{
    if (!f->router) {
        return NULL;
    }
    if (!f->qos_view) {
        f->qos_view = g_new0(struct cxlf_qos_view, CXLF_MAX_GFAMS);
    }
    if (!f->qos_view[gfam].seen) {
        open_view(&f->qos_view[gfam], f, gfam);
    }
    cxlf_qos_look(&f->qos_view[gfam]);
    return &f->qos_view[gfam];
}

void cxl_fabric_drop_qos(CXLFabric *f)
{
    for (uint32_t i = 0; f->qos_view && i < CXLF_MAX_GFAMS; i++) {
        g_free(f->qos_view[i].seen);
    }
    g_clear_pointer(&f->qos_view, g_free);
}

/* What a host's lanes have asked of a device, or of an LD of it. */
static struct cxlf_qos_use sum_of(CXLFabric *f, uint32_t host, uint32_t gfam,
                                  uint32_t ld)
{
    struct cxlf_qos *q = qos_of(f);
    struct cxlf_qos_use sum = { 0 };

    for (uint32_t i = 0; i < CXL_FABRIC_LANES; i++) {
        uint32_t lane = host * CXL_FABRIC_LANES + i;
        const struct cxlf_qos_use *use = &q->use[lane][gfam][ld];

        /* To look at one that nobody uses would give it memory. */
        if (!(qatomic_read(&q->asked[lane / 64]) >> lane % 64 & 1)) {
            continue;
        }
        sum.bytes += qatomic_read(&use->bytes);
        sum.busy_ps += qatomic_read(&use->busy_ps);
        sum.time_ps += qatomic_read(&use->time_ps);
        for (unsigned j = 0; j < CXLF_DEV_LOADS; j++) {
            sum.responses[j] += qatomic_read(&use->responses[j]);
        }
    }
    return sum;
}

uint64_t cxl_fabric_dev_load(CXLFabric *f, uint32_t gfam,
                             enum cxlf_dev_load load)
{
    uint64_t sum = 0;

    if (!f->router || gfam >= f->directory.topology.gfams) {
        return 0;
    }
    for (uint32_t ld = 0; ld < MAX(f->graph->lds[gfam], 1); ld++) {
        sum += sum_of(f, f->self, gfam, ld).responses[load];
    }
    return sum;
}

static CxlFabricQosUser *describe_user(CXLFabric *f,
                                       const struct cxlf_qos_view *v,
                                       uint32_t host, uint32_t ld)
{
    struct cxlf_qos_use sum = sum_of(f, host, v->gfam, ld);
    CxlFabricQosUser *u;

    if (!sum.bytes) {
        return NULL;
    }
    u = g_new0(CxlFabricQosUser, 1);
    *u = (CxlFabricQosUser) {
        .host = host, .has_ld = v->lds, .ld = ld, .bytes = sum.bytes,
        .busy_ns = sum.busy_ps / 1000, .time_ns = sum.time_ps / 1000,
        .light = sum.responses[CXLF_LOAD_LIGHT],
        .optimal = sum.responses[CXLF_LOAD_OPTIMAL],
        .moderate = sum.responses[CXLF_LOAD_MODERATE],
        .severe = sum.responses[CXLF_LOAD_SEVERE],
    };
    return u;
}

static CxlFabricQos *describe(CXLFabric *f, uint32_t gfam)
{
    const struct cxlf_qos_view *v = cxl_fabric_qos_view(f, gfam);
    CxlFabricQos *info = g_new0(CxlFabricQos, 1);
    CxlFabricQosUserList **tail = &info->users;

    info->gfam = gfam;
    info->demand = v->demand / (CXLF_QOS_ONE / 100);
    info->backpressure = cxlf_qos_backpressure(v) / (CXLF_QOS_ONE / 100);
    for (uint32_t host = 0; host < f->directory.topology.hosts; host++) {
        for (uint32_t ld = 0; ld < MAX(v->lds, 1); ld++) {
            CxlFabricQosUser *u = describe_user(f, v, host, ld);

            if (u) {
                QAPI_LIST_APPEND(tail, u);
            }
        }
    }
    return info;
}

CxlFabricQosList *qmp_x_query_cxl_fabric_qos(const char *id, Error **errp)
{
    CxlFabricQosList *list = NULL, **tail = &list;
    CXLFabric *f;

    if (!id && !cxl_fabric_first()) {
        return NULL;            /* as all queries that need no argument */
    }
    f = cxl_fabric_find_routed(id, false, errp);
    for (uint32_t i = 0; f && i < f->directory.topology.gfams; i++) {
        QAPI_LIST_APPEND(tail, describe(f, i));
    }
    return list;
}
