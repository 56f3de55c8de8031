/*
 * CXL fabric: routing tables and access control, for the Fabric Manager
 *
 * What its commands set is what accesses of all hosts go by: each command is
 * one change of the owner's tables (docs/routing.md, "Changes").
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxlf/access.h"
#include "cxlf/fm-graph.h"
#include "fabric-fm.h"

/* Routing modes, by bit. */
#define MODES (1u << CXLF_RGT_RANDOM | 1u << CXLF_RGT_CONGESTION | \
               1u << CXLF_RGT_ADVANCED | 1u << CXLF_RGT_PRIMARY)

#define DRT_SIZE    2
#define RGT_SIZE    12
#define SAT_SIZE    6
#define GDT_SIZE    0x20

/* Components are numbered as switches are. */
static struct cxlf_router *router_of(void *opaque)
{
    CXLFabricFm *fm = opaque;

    return fm->fabric->router;
}

static void begin(void *opaque)
{
    cxlf_routes_begin(router_of(opaque));
}

/* Agents look at what they have mapped. */
static void end(void *opaque)
{
    CXLFabricFm *fm = opaque;

    cxlf_routes_end(router_of(fm));
    cxl_fabric_ring_all(fm->fabric);
}

bool cxl_fabric_fm_drt_get(void *opaque, unsigned component, unsigned drt,
                           unsigned pid, uint8_t entry[DRT_SIZE])
{
    return cxlf_fm_router_drt_get(router_of(opaque), component, drt, pid,
                                  entry);
}

bool cxl_fabric_fm_drt_set(void *opaque, unsigned component, unsigned drt,
                           unsigned pid, unsigned n, const uint8_t *entry)
{
    g_autofree uint16_t *word = g_new(uint16_t, n);
    bool ok;

    for (unsigned i = 0; i < n; i++) {
        word[i] = lduw_le_p(entry + i * DRT_SIZE);
    }
    begin(opaque);
    ok = cxlf_drt_set(router_of(opaque), component, pid, n, word);
    end(opaque);
    return ok;
}

bool cxl_fabric_fm_rgt_get(void *opaque, unsigned component, unsigned rgt,
                           unsigned index, uint8_t entry[RGT_SIZE])
{
    return cxlf_fm_router_rgt_get(router_of(opaque), component, rgt, index,
                                  entry);
}

bool cxl_fabric_fm_rgt_set(void *opaque, unsigned component, unsigned rgt,
                           unsigned index, unsigned n, const uint8_t *entry)
{
    g_autofree struct cxlf_rgt_entry *e = g_new0(struct cxlf_rgt_entry, n);
    bool ok;

    for (unsigned i = 0; i < n; i++, entry += RGT_SIZE) {
        memcpy(e[i].port, entry, sizeof(e[i].port));
        e[i].word = ldl_le_p(entry + sizeof(e[i].port));
    }
    begin(opaque);
    ok = cxlf_rgt_set(router_of(opaque), component, index, n, e);
    end(opaque);
    return ok;
}

bool cxl_fabric_fm_port_up(void *opaque, unsigned component, unsigned port)
{
    return cxlf_fm_router_port_up(router_of(opaque), component, port);
}

enum cxlf_cci cxl_fabric_fm_port_control(void *opaque, unsigned component,
                                         unsigned port, unsigned operation)
{
    enum { ASSERT_PERST, DEASSERT_PERST };
    CXLFabricFm *fm = opaque;
    const struct cxlf_fm_switch *s =
        &fm->core->sw[fm->core->component[component].index];
    uint32_t link, number;

    if (s->port[port].state == CXLF_FM_PORT_USP) {
        return CXLF_CCI_INVALID_INPUT;      /* its host's */
    }
    if (operation > DEASSERT_PERST) {
        return CXLF_CCI_UNSUPPORTED;
    }
    if (!cxlf_port_link(router_of(fm), component, port, &link, &number)) {
        return CXLF_CCI_INTERNAL_ERROR;
    }
    cxl_fabric_set_link(fm->fabric, link, 1u << number,
                        operation == DEASSERT_PERST);
    return CXLF_CCI_SUCCESS;
}

static uint32_t gfam_of(void *opaque, unsigned component)
{
    CXLFabricFm *fm = opaque;

    return component - fm->switches;
}

bool cxl_fabric_fm_sat_set(void *opaque, unsigned component, unsigned n,
                           const uint8_t *list)
{
    bool ok = true;

    begin(opaque);
    for (unsigned i = 0; i < n; i++, list += SAT_SIZE) {
        /* Bit 31 is Notify, which the Fabric Manager keeps. */
        ok &= cxlf_sat_set(router_of(opaque), gfam_of(opaque, component),
                           lduw_le_p(list), ldl_le_p(list + 2) & INT32_MAX);
    }
    end(opaque);
    return ok;
}

/* A decoder as the command has it; false: it interleaves. */
static bool decoder_of(const uint8_t *entry, struct cxlf_gdt_entry *e)
{
    *e = (struct cxlf_gdt_entry) { 0 };
    if (!entry[1]) {
        return true;
    }
    e->coherent = entry[2];
    e->hpa = ldq_le_p(entry + 4);
    e->dpa = ldq_le_p(entry + 0xc);
    e->length = ldq_le_p(entry + 0x14);
    return !entry[0x1c];
}

bool cxl_fabric_fm_gdt_set(void *opaque, unsigned component, unsigned pid,
                           unsigned first, unsigned n, const uint8_t *entry)
{
    struct cxlf_router *r = router_of(opaque);
    uint32_t gfam = gfam_of(opaque, component);
    struct cxlf_gdt_entry before[CXLF_GDT_DECODERS], e;
    unsigned done = 0;

    begin(opaque);
    while (done < n) {
        before[done] = cxlf_gdt_get(r, gfam, pid, first + done);
        if (!decoder_of(entry + done * GDT_SIZE, &e) ||
            !cxlf_gdt_set(r, gfam, pid, first + done, &e)) {
            break;
        }
        done++;
    }
    for (unsigned i = 0; done < n && i < done; i++) {
        cxlf_gdt_set(r, gfam, pid, first + i, &before[i]);
    }
    end(opaque);
    return done == n;
}

bool cxl_fabric_fm_gae_set(void *opaque, unsigned component, unsigned vcs,
                           unsigned pid, bool may)
{
    CXLFabricFm *fm = opaque;
    const struct cxlf_graph *g = fm->graph;
    uint32_t host = fm->host_of[component][vcs] - 1u, gfam = 0;
    bool ok;

    while (gfam < fm->topology->gfams && g->pid_gfam[gfam] != pid) {
        gfam++;
    }
    /* LDs are bound to hosts; a GAE is for GFDs. */
    if (gfam == fm->topology->gfams || g->lds[gfam] ||
        host >= fm->topology->hosts) {
        return true;
    }
    begin(opaque);
    ok = cxlf_gae_set(router_of(opaque), gfam, g->pid_host[host], may);
    end(opaque);
    return ok;
}

void cxl_fabric_fm_adopt_routes(CXLFabricFm *fm)
{
    struct cxlf_router *r = fm->fabric->router;

    r->by_hand = g_new0(struct cxlf_by_hand, r->switches);
    for (unsigned i = 0; i < fm->switches; i++) {
        fm->core->sw[i].modes = MODES;
    }
    for (unsigned i = fm->switches; i < fm->core->components; i++) {
        const struct cxlf_fm_component *c = &fm->core->component[i];

        for (uint32_t pid = 0; c->kind == CXLF_FM_GFD && pid < CXLF_NO_PID;
             pid++) {
            uint32_t groups = cxlf_sat_get(r, i - fm->switches, pid);

            if (groups) {       /* untouched memory stays so */
                fm->core->gfd[c->index].sat[pid].groups = groups;
            }
        }
    }
}

void cxl_fabric_fm_drop_routes(CXLFabricFm *fm)
{
    if (fm->fabric->router) {
        g_clear_pointer(&fm->fabric->router->by_hand, g_free);
    }
}
