/*
 * DPU Edge Coherence Agent: x-query-cxl-fabric-hot
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "eca-hot.h"

#define UNITS       16
#define UNITS_MAX   1024

typedef struct Query {
    uint32_t count;
    CxlFabricHotList **tail;
} Query;

static void query(ECAState *s, Query *q)
{
    g_autoptr(GArray) lines = g_array_new(false, false, sizeof(ECAHotLine));
    CxlFabricHot *hot = g_new0(CxlFabricHot, 1);
    CxlFabricHotUnitList **tail = &hot->units;

    hot->host = s->host;
    if (q->count) {
        hot->microseconds = eca_hot_query(s, lines, &hot->missed);
    } else {
        eca_hot_forget(s);
    }
    for (guint i = 0; i < MIN(lines->len, q->count); i++) {
        const ECAHotLine *line = &g_array_index(lines, ECAHotLine, i);
        CxlFabricHotUnit *unit = g_new0(CxlFabricHotUnit, 1);

        unit->gfam = line->gfam;
        unit->dpa = line->dpa;
        unit->count = line->count;
        QAPI_LIST_APPEND(tail, unit);
    }
    QAPI_LIST_APPEND(q->tail, hot);
}

static int query_if_eca(Object *obj, void *opaque)
{
    if (object_dynamic_cast(obj, TYPE_DPU_ECA) && DEVICE(obj)->realized) {
        query(DPU_ECA(obj), opaque);
    }
    return 0;
}

CxlFabricHotList *qmp_x_query_cxl_fabric_hot(bool has_count, uint32_t count,
                                             Error **errp)
{
    CxlFabricHotList *list = NULL;
    Query q = { .count = has_count ? count : UNITS, .tail = &list };

    if (q.count > UNITS_MAX) {
        error_setg(errp, "count: accepts 0 to %d", UNITS_MAX);
        return NULL;
    }
    object_child_foreach_recursive(object_get_root(), query_if_eca, &q);
    return list;
}
