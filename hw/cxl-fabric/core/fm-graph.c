/*
 * Fabric Manager: the components of a topology
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/fm-graph.h"
#include "fm-internal.h"

#define SHAREABLE   (1u << 3)   /* as in DSMAS */
#define VPPBS   16u         /* of each VCS, with that of its USP */
#define LANES   16u
#define L0      4u          /* LTSSM state */

struct adding {
    struct cxlf_fm *fm;
    const struct cxlf_topology *t;
    const struct cxlf_graph *g;
    unsigned switches;
    /* Ports are numbered through the links, of all switches. */
    unsigned port[CXLF_MAX_SWITCHES], vcs[CXLF_MAX_SWITCHES];
};

static struct cxlf_node node_of(const struct adding *a, unsigned component)
{
    struct cxlf_node device = { CXLF_NODE_GFAM, component - a->switches };

    return component < a->switches ? cxlf_switch_node(a->t, component) :
                                     device;
}

/* Host n of the fabric is host n of a GFD, as far as there are such. */
static int add_gfd(struct adding *a, uint32_t gfam, uint64_t serial)
{
    uint64_t size = a->g->dynamic[gfam];
    int n = cxlf_fm_add_gfd(a->fm, serial, a->t->hosts < CXLF_FM_LDS ?
                            a->t->hosts : CXLF_FM_LDS);

    return n < 0 || !size ||
           cxlf_fm_add_region(a->fm, n, a->t->gfam[gfam].hot +
                              a->t->gfam[gfam].bulk - size, size,
                              CXLF_EXTENT_BLOCK, SHAREABLE, true) ? n : -1;
}

static bool add_components(struct adding *a, uint64_t serial)
{
    struct cxlf_fm *fm = a->fm;
    bool ok = true;

    for (unsigned i = 0; i < a->switches; i++) {
        ok &= cxlf_fm_add_switch(fm, serial | i, 1, 1,
                                 CXLF_RGT_ENTRIES) >= 0;
    }
    for (uint32_t i = 0; i < a->t->gfams; i++) {
        uint64_t number = serial | fm->components;

        ok &= (a->g->lds[i] ?
               cxlf_fm_add_device(fm, number, true, a->g->lds[i], 1,
                                  a->t->gfam[i].hot + a->t->gfam[i].bulk) :
               add_gfd(a, i, number)) >= 0;
    }
    for (unsigned i = 0; i < fm->components; i++) {
        fm->component[i].pid = cxlf_graph_pid(a->t, a->g, node_of(a, i));
    }
    return ok;
}

/* LDs get the lowest PIDs that nobody has, as far as there are some. */
static void number_lds(struct adding *a)
{
    uint8_t taken[CXLF_PIDS] = { 0 };
    unsigned next = 0;

    for (uint32_t i = 0; i < a->t->hosts; i++) {
        taken[a->g->pid_host[i]] = 1;
    }
    for (uint32_t i = 0; i < a->t->gfams; i++) {
        taken[a->g->pid_gfam[i]] = 1;
    }
    for (uint32_t i = 0; i < cxlf_graph_switches(a->t, a->g); i++) {
        taken[a->g->pid_switch[i]] = 1;
    }
    for (uint32_t i = 0; i < a->t->gfams; i++) {
        for (uint32_t j = 0; j < a->g->lds[i]; j++) {
            while (next < CXLF_NO_PID && taken[next]) {
                next++;
            }
            fm_device(a->fm, a->switches + i)->ld[j].pid = next;
            next += next < CXLF_NO_PID;
        }
    }
}

/* The lowest speed of PCIe at which the lanes carry @rate MB/s. */
static unsigned speed_for(uint32_t rate)
{
    unsigned speed = 1;

    while (speed < 6 && rate > LANES * 250u << (speed - 1)) {
        speed++;
    }
    return speed;
}

static bool add_port(struct adding *a, unsigned component, unsigned port,
                     const struct cxlf_link *link, struct cxlf_node to)
{
    unsigned speed = speed_for(link->rate);
    struct cxlf_fm_link have = {
        .max_width = LANES, .width = LANES, .speeds = (1u << speed) - 1,
        .max_speed = speed, .speed = speed, .ltssm = L0,
    };
    enum cxlf_fm_port_state state =
        to.kind == CXLF_NODE_HOST ? CXLF_FM_PORT_USP :
        to.kind == CXLF_NODE_GFAM ? CXLF_FM_PORT_DSP : CXLF_FM_PORT_FABRIC;

    return cxlf_fm_add_port(a->fm, component, port, state) &&
           cxlf_fm_set_link(a->fm, component, port, &have);
}

/* The first port of a link to an endpoint. */
static bool attach(struct adding *a, unsigned component, unsigned port,
                   struct cxlf_node endpoint)
{
    fm_switch(a->fm, component)->port[port].pid =
        cxlf_graph_pid(a->t, a->g, endpoint);
    if (endpoint.kind == CXLF_NODE_GFAM) {
        return cxlf_fm_connect(a->fm, component, port,
                               a->switches + endpoint.number, 0);
    }
    return a->vcs[component] >= CXLF_FM_VCSS ||
           cxlf_fm_add_vcs(a->fm, component, a->vcs[component]++, port, VPPBS,
                           a->fm->gaes < CXLF_FM_GAES);
}

/* Each GAE may reach each GFD at first. */
static void open_gaes(struct adding *a)
{
    for (uint32_t i = 0; i < a->t->gfams; i++) {
        uint16_t pid = a->g->pid_gfam[i];

        for (unsigned n = 0; n < a->fm->gaes && !a->g->lds[i]; n++) {
            a->fm->gae[n].access[0][pid / 8] |= 1u << pid % 8;
        }
    }
}

static bool add_link(struct adding *a, const struct cxlf_link *link)
{
    unsigned at[2] = { 0 }, port[2] = { 0 };
    bool between = cxlf_is_switch(link->end[1]), ok = true;

    for (unsigned e = 0; e < 1u + between; e++) {
        at[e] = cxlf_switch_of(a->t, link->end[e]);
        port[e] = a->port[at[e]];
        a->port[at[e]] += link->ports;
    }
    if (at[0] >= a->switches || at[1] >= a->switches) {
        return true;
    }
    for (unsigned p = 0; p < link->ports && ok; p++) {
        ok = add_port(a, at[0], port[0] + p, link, link->end[1]);
        if (between) {
            ok = ok && add_port(a, at[1], port[1] + p, link, link->end[0]) &&
                 cxlf_fm_connect(a->fm, at[0], port[0] + p, at[1],
                                 port[1] + p);
        }
    }
    return ok && (between || attach(a, at[0], port[0], link->end[1]));
}

int cxlf_fm_add_graph(struct cxlf_fm *fm, const struct cxlf_topology *t,
                      const struct cxlf_graph *g, uint64_t serial)
{
    struct adding a = { .fm = fm, .t = t, .g = g };

    a.switches = cxlf_graph_switches(t, g);
    if (a.switches > CXLF_FM_SWITCHES) {
        a.switches = CXLF_FM_SWITCHES;
    }
    if (fm->components || !add_components(&a, serial)) {
        return -1;
    }
    for (uint32_t i = 0; i < g->links; i++) {
        if (!add_link(&a, &g->link[i])) {
            return -1;
        }
    }
    number_lds(&a);
    open_gaes(&a);
    return a.switches;
}

bool cxlf_fm_router_drt_get(void *opaque, unsigned component, unsigned drt,
                            unsigned pid, uint8_t entry[2])
{
    set_le(entry, cxlf_drt_get(opaque, component, pid), 2);
    return drt == 0;
}

bool cxlf_fm_router_rgt_get(void *opaque, unsigned component, unsigned rgt,
                            unsigned index, uint8_t entry[12])
{
    struct cxlf_rgt_entry e = cxlf_rgt_get(opaque, component, index);

    memcpy(entry, e.port, sizeof(e.port));
    set_le(entry + sizeof(e.port), e.word, 4);
    return rgt == 0;
}

bool cxlf_fm_router_port_up(void *opaque, unsigned component, unsigned port)
{
    return cxlf_port_get(opaque, component, port);
}
