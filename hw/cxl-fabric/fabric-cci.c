/*
 * CXL fabric: commands of hosts to the switch that they are at
 *
 * docs/fabric-manager.md, "Switch mailbox".  All of it is the main loop's.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/cxlf/fabric.h"
#include "fabric-fm.h"
#include "trace.h"

/* The owner's side */

void cxl_fabric_take_cci(CXLFabric *f, uint32_t host,
                         const struct cxlf_wire_cci *in, const void *bytes,
                         struct cxlf_wire_cci *out, uint8_t *answer)
{
    const struct cxlf_node node = { CXLF_NODE_HOST, host };
    CXLFabricFm *fm = f->fm;
    struct cxlf_fm_who who = { .host = !f->host_managers };
    unsigned component, port;
    size_t length = 0;

    *out = (struct cxlf_wire_cci) {
        .token = in->token, .opcode = in->opcode,
        .code = CXLF_CCI_UNSUPPORTED,
    };
    if (!fm->core || !cxl_fabric_fm_find_host(fm, host, &component, &port)) {
        return;
    }
    who.pid = cxlf_graph_pid(fm->topology, fm->graph, node);
    who.port = port;
    out->code = cxl_fabric_fm_command(fm, &who, component, in->opcode, bytes,
                                      in->length, answer, CXLF_WIRE_CCI_MAX,
                                      &length);
    out->length = length;
}

/* The host's side */

void cxl_fabric_hear_cci(CXLFabric *f, const struct cxlf_wire_cci *w,
                         const void *bytes)
{
    CXLFabricCciAnswer answer = {
        .token = w->token, .code = w->code, .length = w->length,
        .payload = bytes,
    };

    notifier_list_notify(&f->cci_notifiers, &answer);
}

bool cxl_fabric_cci(CXLFabric *f, uint64_t token, uint16_t opcode,
                    const void *in, uint32_t length)
{
    struct cxlf_wire_cci w = {
        .token = token, .opcode = opcode, .length = length,
    };
    struct iovec iov[2] = {
        { .iov_base = &w, .iov_len = sizeof(w) },
        { .iov_base = (void *)in, .iov_len = length },
    };
    g_autofree uint8_t *bytes = NULL;
    struct cxlf_wire_cci answer;

    assert(token && length <= CXLF_WIRE_CCI_MAX);
    if (!cxl_fabric_is_up(f)) {
        return false;
    }
    if (f->kind == CXL_FABRIC_MEMBER) {
        return cxl_fabric_send(f->channel, CXLF_WIRE_CCI, iov, 2, NULL, 0,
                               NULL);
    }
    bytes = g_malloc(CXLF_WIRE_CCI_MAX);
    cxl_fabric_take_cci(f, f->self, &w, in, &answer, bytes);
    cxl_fabric_hear_cci(f, &answer, bytes);
    return true;
}

void cxl_fabric_add_cci_notifier(CXLFabric *f, Notifier *n)
{
    notifier_list_add(&f->cci_notifiers, n);
}
