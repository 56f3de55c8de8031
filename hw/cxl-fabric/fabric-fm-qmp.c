/*
 * CXL fabric: QMP of the Fabric Manager
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl-fabric.h"
#include "qemu/base64.h"
#include "qemu/bswap.h"
#include "fabric-fm.h"
#include "trace.h"

#define PAYLOAD (1u << CXLF_FM_PAYLOAD_LOG)

QEMU_BUILD_BUG_ON((int)CXL_FABRIC_FM_KIND_GFD != (int)CXLF_FM_GFD);
QEMU_BUILD_BUG_ON((int)CXL_FABRIC_FM_STATUS_PID != (int)CXLF_FM_BOUND_PID);
QEMU_BUILD_BUG_ON((int)CXL_FABRIC_FM_PORT_STATE_FABRIC !=
                  CXLF_FM_PORT_FABRIC - CXLF_FM_PORT_DSP);

/* The tunnel */

static bool is_component(const CXLFabricFm *fm, uint32_t component,
                         Error **errp)
{
    if (component >= fm->core->components) {
        error_setg(errp, "'component' must be 0 to %u; x-query-cxl-fabric-fm "
                   "lists them", fm->core->components - 1);
        return false;
    }
    return true;
}

/*
 * At most PAYLOAD bytes; NULL with @errp set if @text is none.  What does not
 * come back as it was has characters that say nothing, or too few.
 */
static uint8_t *decode(const char *text, size_t *length, Error **errp)
{
    g_autofree uint8_t *bytes = NULL;
    g_autofree char *again = NULL;

    *length = 0;
    if (!text || !*text) {
        return g_new0(uint8_t, 1);
    }
    bytes = qbase64_decode(text, -1, length, NULL);
    again = bytes ? g_base64_encode(bytes, *length) : NULL;
    if (!again || strcmp(again, text)) {
        error_setg(errp, "'payload' must be base64, of groups of four "
                   "characters without anything between them");
        return NULL;
    }
    if (*length > PAYLOAD) {
        error_setg(errp, "'payload' must be at most %u bytes, it has %zu",
                   PAYLOAD, *length);
        return NULL;
    }
    return g_steal_pointer(&bytes);
}

static CxlFabricCci *command(CXLFabricFm *fm, const struct cxlf_fm_who *who,
                             unsigned component, uint16_t opcode,
                             const uint8_t *in, size_t in_len)
{
    g_autofree uint8_t *out = g_malloc(PAYLOAD);
    CxlFabricCci *answer = g_new0(CxlFabricCci, 1);
    size_t out_len;

    answer->return_code = cxl_fabric_fm_command(fm, who, component, opcode,
                                                in, in_len, out, PAYLOAD,
                                                &out_len);
    answer->background = answer->return_code == CXLF_CCI_BACKGROUND;
    answer->payload = g_base64_encode(out, out_len);
    return answer;
}

CxlFabricCci *qmp_x_cxl_fabric_cci(const char *id, uint32_t component,
                                   uint16_t opcode, const char *payload,
                                   bool has_from_pid, uint16_t from_pid,
                                   Error **errp)
{
    CXLFabricFm *fm = cxl_fabric_find_fm(id, errp);
    struct cxlf_fm_who who = {
        .pid = has_from_pid ? from_pid : CXLF_FM_PID_NONE,
    };
    g_autofree uint8_t *in = NULL;
    size_t in_len;

    if (!fm || !is_component(fm, component, errp)) {
        return NULL;
    }
    if (has_from_pid && from_pid >= CXLF_FM_PID_NONE) {
        error_setg(errp, "'from-pid' must be 0 to %u",
                   CXLF_FM_PID_NONE - 1);
        return NULL;
    }
    in = decode(payload, &in_len, errp);
    if (!in) {
        return NULL;
    }
    return command(fm, &who, component, opcode, in, in_len);
}

/* Bind and Unbind, by the names of a topology */

QEMU_BUILD_BUG_ON((int)CXL_FABRIC_UNBIND_HOW_SURPRISE !=
                  (int)CXLF_UNPLUG_SURPRISE);

static bool find_vppb(CXLFabricFm *fm, uint32_t host, uint32_t vppb,
                      unsigned *component, unsigned *vcs, Error **errp)
{
    if (host >= fm->topology->hosts) {
        error_setg(errp, "'host' must be 0 to %u", fm->topology->hosts - 1);
    } else if (vppb == 0 || vppb >= CXLF_WIRE_VPPBS) {
        error_setg(errp, "'vppb' must be 1 to %u", CXLF_WIRE_VPPBS - 1);
    } else if (!cxl_fabric_fm_find_vcs(fm, host, component, vcs)) {
        error_setg(errp, "'host': host %u has no VCS; %u hosts of a leaf have",
                   host, CXLF_FM_VCSS);
    } else {
        return true;
    }
    return false;
}

static const struct cxlf_fm_who nobody = { .pid = CXLF_FM_PID_NONE };

static CxlFabricCci *bind_pid(CXLFabricFm *fm, unsigned component,
                              unsigned vcs, unsigned vppb, uint16_t pid)
{
    uint8_t in[0x1c] = { [1] = vcs, [2] = vppb };

    stw_le_p(in + 4, pid);
    return command(fm, &nobody, component, 0x5706, in, sizeof(in));
}

CxlFabricCci *qmp_x_cxl_fabric_bind(const char *id, uint32_t host,
                                    uint32_t vppb, uint32_t gfam,
                                    uint32_t ld, Error **errp)
{
    CXLFabricFm *fm = cxl_fabric_find_fm(id, errp);
    unsigned component, vcs, port;
    uint16_t pid;

    if (!fm || !find_vppb(fm, host, vppb, &component, &vcs, errp)) {
        return NULL;
    }
    if (gfam >= fm->topology->gfams || !fm->ld[gfam]) {
        error_setg(errp, "'gfam' must be a GFAM device with 'lds' in the "
                   "topology");
        return NULL;
    }
    if (ld >= fm->graph->lds[gfam]) {
        error_setg(errp, "'ld' must be 0 to %u", fm->graph->lds[gfam] - 1);
        return NULL;
    }
    if (cxl_fabric_fm_find_port(fm, component, gfam, &port)) {
        const uint8_t in[6] = { vcs, vppb, port, 0, ld };

        return command(fm, &nobody, component, 0x5201, in, sizeof(in));
    }
    pid = cxl_fabric_fm_ld_pid(&fm->ld[gfam][ld]);
    if (pid == CXLF_FM_PID_NONE) {
        error_setg(errp, "'ld': LD %u has no PID, which it needs as its "
                   "device is not at the leaf of host %u; Configure PID "
                   "Assignment (5704h) gives it one", ld, host);
        return NULL;
    }
    return bind_pid(fm, component, vcs, vppb, pid);
}

CxlFabricCci *qmp_x_cxl_fabric_unbind(const char *id, uint32_t host,
                                      uint32_t vppb, bool has_how,
                                      CxlFabricUnbindHow how, Error **errp)
{
    CXLFabricFm *fm = cxl_fabric_find_fm(id, errp);
    unsigned component, vcs;
    uint8_t in[3];

    if (!fm || !find_vppb(fm, host, vppb, &component, &vcs, errp)) {
        return NULL;
    }
    in[0] = vcs;
    in[1] = vppb;
    in[2] = has_how ? how : CXL_FABRIC_UNBIND_HOW_MANAGED;
    return command(fm, &nobody, component, 0x5202, in, sizeof(in));
}

/* The whole view */

static char *name_of(const CXLFabricFm *fm, unsigned component)
{
    struct cxlf_node n = cxl_fabric_fm_node(fm, component);

    return g_strdup_printf("%s@%x", cxlf_node_name[n.kind], n.number);
}

static CxlFabricFmPortList *ports(const CXLFabricFm *fm,
                                  const struct cxlf_fm_switch *s)
{
    CxlFabricFmPortList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < CXLF_FM_PORTS; i++) {
        const struct cxlf_fm_port *p = &s->port[i];
        CxlFabricFmPort *port;

        if (!p->exists) {
            continue;
        }
        port = g_new0(CxlFabricFmPort, 1);
        port->port = i;
        port->state = p->state - CXLF_FM_PORT_DSP;
        port->has_pid = p->pid != CXLF_FM_PID_NONE;
        port->pid = p->pid;
        port->has_vcs = p->vcs != UINT8_MAX;
        port->vcs = p->vcs;
        port->has_peer_port = p->peer;
        if (p->peer) {
            port->peer = name_of(fm, p->peer - 1);
            port->peer_port = p->peer_port;
        }
        QAPI_LIST_APPEND(tail, port);
    }
    return list;
}

static CxlFabricFmBindingList *bindings(const struct cxlf_fm_vcs *v)
{
    CxlFabricFmBindingList *list = NULL, **tail = &list;

    for (unsigned i = 1; i < v->vppbs; i++) {
        const struct cxlf_fm_vppb *p = &v->vppb[i];
        CxlFabricFmBinding *b;

        if (p->status == CXLF_FM_UNBOUND) {
            continue;
        }
        b = g_new0(CxlFabricFmBinding, 1);
        b->vppb = i;
        b->status = (CxlFabricFmStatus)p->status;
        b->has_pid = p->pid != CXLF_FM_PID_NONE;
        b->pid = p->pid;
        b->has_port = !b->has_pid;
        b->port = p->port;
        b->has_ld = p->ld != CXLF_FM_LD_NONE;
        b->ld = p->ld;
        QAPI_LIST_APPEND(tail, b);
    }
    return list;
}

static CxlFabricFmVcsList *vcss(const struct cxlf_fm_switch *s)
{
    CxlFabricFmVcsList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < CXLF_FM_VCSS; i++) {
        const struct cxlf_fm_vcs *v = &s->vcs[i];
        CxlFabricFmVcs *vcs;

        if (!v->exists) {
            continue;
        }
        vcs = g_new0(CxlFabricFmVcs, 1);
        vcs->vcs = i;
        vcs->usp = v->usp;
        vcs->vppbs = v->vppbs;
        vcs->bindings = bindings(v);
        QAPI_LIST_APPEND(tail, vcs);
    }
    return list;
}

/* @at: where they are, in the emulator. */
static CxlFabricFmLdList *lds(const struct cxlf_fm_device *d,
                              const CXLFabricLd *at)
{
    CxlFabricFmLdList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < d->lds; i++) {
        const struct cxlf_fm_ld *l = &d->ld[i];
        CxlFabricFmLd *ld = g_new0(CxlFabricFmLd, 1);

        ld->ld = i;
        ld->memory = (l->range[0] + l->range[1]) *
                     (CXLF_FM_UNIT << d->granularity);
        ld->start = at[i].start;
        ld->has_host = at[i].host >= 0;
        ld->host = MAX(at[i].host, 0);
        ld->shown = at[i].shown;
        ld->has_pid = l->pid != CXLF_FM_PID_NONE;
        ld->pid = l->pid;
        ld->erased = l->erased;
        ld->allocated_bandwidth = l->allocated;
        ld->bandwidth_limit = l->limit;
        if (l->bound) {
            ld->has_q_switch = ld->has_vcs = ld->has_vppb = true;
            ld->q_switch = l->bound - 1;
            ld->vcs = l->vcs;
            ld->vppb = l->vppb;
        }
        QAPI_LIST_APPEND(tail, ld);
    }
    return list;
}

static CxlFabricFmBackground *background(const struct cxlf_fm_background *b)
{
    CxlFabricFmBackground *info;

    if (!b->opcode) {
        return NULL;
    }
    info = g_new0(CxlFabricFmBackground, 1);
    info->opcode = b->opcode;
    info->running = b->phase != CXLF_FM_IDLE;
    info->percent = b->percent;
    info->result = b->result;
    return info;
}

static CxlFabricFmComponent *describe(const CXLFabricFm *fm, unsigned number)
{
    const struct cxlf_fm *core = fm->core;
    const struct cxlf_fm_component *c = &core->component[number];
    CxlFabricFmComponent *info = g_new0(CxlFabricFmComponent, 1);

    info->component = number;
    info->name = name_of(fm, number);
    info->kind = (CxlFabricFmKind)c->kind;
    info->serial = g_strdup_printf("0x%016" PRIx64, c->serial);
    info->has_pid = c->pid != CXLF_FM_PID_NONE;
    info->pid = c->pid;
    info->has_primary = c->primary.pid != CXLF_FM_PID_NONE;
    info->primary = c->primary.pid;
    info->has_secondary = c->secondary.pid != CXLF_FM_PID_NONE;
    info->secondary = c->secondary.pid;
    info->background = background(&c->background);
    if (c->kind == CXLF_FM_SWITCH) {
        info->ports = ports(fm, &core->sw[c->index]);
        info->vcss = vcss(&core->sw[c->index]);
    } else if (c->kind == CXLF_FM_DEVICE) {
        info->lds = lds(&core->dev[c->index],
                        fm->ld[number - fm->switches]);
    }
    return info;
}

CxlFabricFmList *qmp_x_query_cxl_fabric_fm(Error **errp)
{
    CxlFabricFmList *list = NULL, **next = &list;

    for (CXLFabric *f = cxl_fabric_first(); f; f = cxl_fabric_next(f)) {
        CxlFabricFmComponentList **tail;
        CxlFabricFm *info;

        if (f->kind != CXL_FABRIC_OWNER && f->kind != CXL_FABRIC_EMBEDDED) {
            continue;
        }
        info = g_new0(CxlFabricFm, 1);
        info->id = g_strdup(cxl_fabric_id(f));
        info->why_none = g_strdup(f->fm->why);
        tail = &info->components;
        for (unsigned i = 0; f->fm->core && i < f->fm->core->components;
             i++) {
            QAPI_LIST_APPEND(tail, describe(f->fm, i));
        }
        QAPI_LIST_APPEND(next, info);
    }
    return list;
}
