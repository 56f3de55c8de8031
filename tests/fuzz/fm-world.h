/*
 * A fabric with memory, for the Fabric Manager's random tests
 *
 * It is driven by bytes: the fuzzer's, or those of a random generator.  It
 * knows by itself, and not from the Fabric Manager, whose memory is what, and
 * what is in it, and aborts when a host is shown what another one wrote.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FM_WORLD_H
#define TESTS_FM_WORLD_H

#include "cxlf/fm.h"
#include "fuzz.h"

enum { W_LEAF, W_SPINE, W_MLD, W_SLD, W_GFD, W_COMPONENTS };

#define W_MIB       (1ull << 20)
#define W_GIB       (1ull << 30)
#define W_BLOCK     (2 * W_MIB)
#define W_BLOCKS    64u             /* of the MLD's region that are looked at */
#define W_DC        (4 * W_GIB)     /* where it begins */
#define W_PENDING   (CXLF_FM_EXTENTS + 2)

struct world_pending {
    uint64_t token;
    enum { W_BIND, W_UNBIND, W_ERASE } what;
    struct cxlf_fm_binding binding;
    struct cxlf_fm_memory memory;
};

struct world {
    struct cxlf_fm *fm;
    const uint8_t *data;
    size_t size;
    unsigned pendings;
    struct world_pending pending[W_PENDING];
    bool shown[W_COMPONENTS][CXLF_FM_LDS];
    bool dirty[W_COMPONENTS][CXLF_FM_LDS];
    uint16_t offered[W_BLOCKS], has[W_BLOCKS];
    bool held[W_BLOCKS], block_dirty[W_BLOCKS];
    uint8_t drt[2][4096][2];
    uint8_t rgt[2][4][12];
    bool down[2][CXLF_FM_PORTS];
    /* The GAE of VCS 0: PIDs 0 to 7 that it may reach, and its FASTs. */
    bool may[2][8];
    struct world_fast {
        uint64_t base, limit, bytes;    /* of a segment; 0: it is off */
        struct {
            bool valid, gim;
            unsigned ways, grain, target;
        } segment[CXLF_FM_SEGMENTS];
        uint16_t idt[CXLF_FM_IDTS];
    } fast[4];
    unsigned binds, by_pid, erases, adds, hits;
    bool tables;            /* those of the GFD were perhaps written */
    /* The state before a command; what is refused must not change it. */
    struct cxlf_fm_component component[W_COMPONENTS];
    struct cxlf_fm_port port[8];
    struct cxlf_fm_vcs vcs[2];
    struct cxlf_fm_device mld;
    struct cxlf_fm_gae gae;
};

static unsigned world_byte(struct world *w)
{
    if (!w->size) {
        return 0;
    }
    w->size--;
    return *w->data++;
}

static struct world_pending *world_begin(struct world *w, uint64_t token)
{
    MUST(w->pendings < W_PENDING);
    w->pending[w->pendings].token = token;
    return &w->pending[w->pendings++];
}

static unsigned world_ld(unsigned ld)
{
    return ld == CXLF_FM_LD_NONE ? 0 : ld;
}

static void world_bind(void *opaque, const struct cxlf_fm_binding *b,
                       uint64_t token)
{
    struct world *w = opaque;
    struct world_pending *p = world_begin(w, token);

    p->what = W_BIND;
    p->binding = *b;
    if (b->device != CXLF_FM_NO_DEVICE) {
        MUST(b->device == W_MLD || b->device == W_SLD);
        MUST(!w->shown[b->device][world_ld(b->ld)]);
        MUST(!w->dirty[b->device][world_ld(b->ld)]);
        w->shown[b->device][world_ld(b->ld)] = true;
        w->dirty[b->device][world_ld(b->ld)] = true;
        w->by_pid += b->by_pid;
    }
    w->binds++;
}

static void world_unbind(void *opaque, const struct cxlf_fm_binding *b,
                         uint64_t token)
{
    struct world *w = opaque;
    struct world_pending *p = world_begin(w, token);

    p->what = W_UNBIND;
    p->binding = *b;
    MUST(b->device == CXLF_FM_NO_DEVICE ||
         w->shown[b->device][world_ld(b->ld)]);
}

static void world_blocks(uint64_t start, uint64_t length, unsigned *first,
                         unsigned *end)
{
    *first = start < W_DC ? W_BLOCKS : (start - W_DC) / W_BLOCK;
    *first = *first < W_BLOCKS ? *first : W_BLOCKS;
    *end = *first + length / W_BLOCK;
    *end = *end < W_BLOCKS ? *end : W_BLOCKS;
}

static void world_erase(void *opaque, const struct cxlf_fm_memory *m,
                        uint64_t token)
{
    struct world *w = opaque;
    struct world_pending *p = world_begin(w, token);
    unsigned first, end;

    w->erases++;
    p->what = W_ERASE;
    p->memory = *m;
    if (m->ld != CXLF_FM_LD_NONE) {
        MUST(!w->shown[m->component][m->ld]);
        return;
    }
    MUST(m->length);
    world_blocks(m->start, m->length, &first, &end);
    for (unsigned i = first; i < end; i++) {
        MUST(!w->has[i] && !w->offered[i]);
    }
}

static void world_event(void *opaque, const struct cxlf_fm_event *e)
{
    struct world *w = opaque;
    unsigned first, end, bit = 1u << (e->a & 15);

    world_blocks(e->start, e->length, &first, &end);
    for (unsigned i = first; i < end; i++) {
        switch (e->type) {
        case CXLF_FM_DC_ADD:
            /* Shared with who has it or kept by a reference, or clean. */
            MUST(w->has[i] || w->offered[i] || w->held[i] ||
                 !w->block_dirty[i]);
            MUST(!((w->has[i] | w->offered[i]) & bit));
            w->offered[i] |= bit;
            w->adds++;
            break;
        case CXLF_FM_DC_RELEASE:
            MUST(w->has[i] & bit);
            break;
        case CXLF_FM_DC_FORCED:
            MUST((w->has[i] | w->offered[i]) & bit);
            w->has[i] &= ~bit;
            w->offered[i] &= ~bit;
            break;
        }
    }
}

static enum cxlf_cci world_port_control(void *opaque, unsigned component,
                                        unsigned port, unsigned operation)
{
    MUST(opaque && component < 2 && port < 256 && operation < 3);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci world_config(void *opaque, struct cxlf_fm_config *r)
{
    struct world *w = opaque;

    MUST(r->reg < 4096 && r->reg % 4 == 0 && r->enables < 16);
    MUST(r->ld == CXLF_FM_LD_NONE || !w->down[r->component][r->port]);
    return cxlf_fm_config_read(w->fm, r);
}

static enum cxlf_cci world_access(void *opaque,
                                  const struct cxlf_fm_access *r,
                                  uint8_t *data)
{
    struct world *w = opaque;

    MUST(r->length && r->length <= 4096 && r->ld < 4);
    MUST(!w->down[r->component][r->port]);
    memset(data, 0x5a, r->length);
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci world_ld_command(void *opaque, unsigned component,
                                      unsigned ld, uint16_t opcode,
                                      const uint8_t *in, size_t in_len,
                                      uint8_t *out, size_t out_cap,
                                      size_t *out_len)
{
    MUST(opaque && component == W_MLD && ld < 4 && out_cap <= 4096);
    *out_len = in_len < out_cap ? in_len : out_cap;
    memcpy(out, in, *out_len);
    return opcode & 1 ? CXLF_CCI_SUCCESS : CXLF_CCI_UNSUPPORTED;
}

static bool world_drt_get(void *opaque, unsigned component, unsigned drt,
                          unsigned pid, uint8_t entry[2])
{
    struct world *w = opaque;

    MUST(component < 2 && drt == 0 && pid < 4096);
    memcpy(entry, w->drt[component][pid], 2);
    return true;
}

static bool world_drt_set(void *opaque, unsigned component, unsigned drt,
                          unsigned pid, unsigned n, const uint8_t *entry)
{
    struct world *w = opaque;

    MUST(component < 2 && drt == 0 && n && pid + n <= 4096);
    for (unsigned i = 0; i < n; i++) {
        MUST(entry[2 * i] != 1 ||
             w->fm->sw[component].port[entry[2 * i + 1]].exists);
    }
    memcpy(w->drt[component][pid], entry, 2 * n);
    return true;
}

static bool world_rgt_get(void *opaque, unsigned component, unsigned rgt,
                          unsigned index, uint8_t entry[12])
{
    struct world *w = opaque;

    MUST(component < 2 && rgt == 0 && index < 4);
    memcpy(entry, w->rgt[component][index], 12);
    return true;
}

static bool world_rgt_set(void *opaque, unsigned component, unsigned rgt,
                          unsigned index, unsigned n, const uint8_t *entry)
{
    struct world *w = opaque;

    MUST(component < 2 && rgt == 0 && n && index + n <= 4);
    memcpy(w->rgt[component][index], entry, 12 * n);
    return true;
}

static bool world_port_up(void *opaque, unsigned component, unsigned port)
{
    struct world *w = opaque;

    MUST(component < 2 && w->fm->sw[component].port[port].exists);
    return !w->down[component][port];
}

static bool world_sat_set(void *opaque, unsigned component, unsigned n,
                          const uint8_t *list)
{
    MUST(opaque && component == W_GFD && n);
    for (unsigned i = 0; i < n; i++) {
        MUST((list[6 * i] | (unsigned)list[6 * i + 1] << 8) <
             CXLF_FM_PID_NONE);
    }
    return true;
}

static bool world_gdt_set(void *opaque, unsigned component, unsigned pid,
                          unsigned first, unsigned n, const uint8_t *entry)
{
    MUST(opaque && component == W_GFD && pid < CXLF_FM_PID_NONE && n &&
         first + n <= CXLF_FM_GDTS && entry[0] == first);
    return !entry[2];       /* no coherent decoders here */
}

/* @fm is zeroed memory, or was used with this @w, which began zeroed. */
static void world_init(struct world *w, struct cxlf_fm *fm,
                       const uint8_t *data, size_t size)
{
    static const struct cxlf_fm_ops ops = {
        .bind = world_bind, .unbind = world_unbind, .erase = world_erase,
        .event = world_event, .port_control = world_port_control,
        .config = world_config, .access = world_access,
        .ld_command = world_ld_command, .drt_get = world_drt_get,
        .drt_set = world_drt_set, .rgt_get = world_rgt_get,
        .rgt_set = world_rgt_set, .port_up = world_port_up,
        .sat_set = world_sat_set, .gdt_set = world_gdt_set,
    };

    if (w->tables) {
        memset(&fm->gfd[0], 0, sizeof(fm->gfd[0]));
    }
    memset(w, 0, sizeof(*w));
    w->fm = fm;
    w->data = data;
    w->size = size;
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < CXLF_FM_IDTS; j++) {
            w->fast[i].idt[j] = CXLF_FM_PID_NONE;
        }
    }
    MUST(cxlf_fm_init(fm, &ops, w));
    MUST(cxlf_fm_add_switch(fm, 1, 1, 1, 4) == W_LEAF);
    MUST(cxlf_fm_add_switch(fm, 2, 1, 1, 4) == W_SPINE);
    MUST(cxlf_fm_add_device(fm, 3, true, 4, 1, 4 * W_GIB) == W_MLD);
    MUST(cxlf_fm_add_device(fm, 4, false, 1, 1, W_GIB) == W_SLD);
    MUST(cxlf_fm_add_gfd(fm, 5, 16) == W_GFD);
    MUST(cxlf_fm_add_port(fm, W_LEAF, 0, CXLF_FM_PORT_USP));
    MUST(cxlf_fm_add_port(fm, W_LEAF, 1, CXLF_FM_PORT_USP));
    for (unsigned i = 2; i < 6; i++) {
        MUST(cxlf_fm_add_port(fm, W_LEAF, i, CXLF_FM_PORT_DSP));
    }
    MUST(cxlf_fm_add_port(fm, W_LEAF, 7, CXLF_FM_PORT_FABRIC));
    MUST(cxlf_fm_add_port(fm, W_SPINE, 7, CXLF_FM_PORT_FABRIC));
    MUST(cxlf_fm_add_vcs(fm, W_LEAF, 0, 0, 4, true));
    MUST(cxlf_fm_add_vcs(fm, W_LEAF, 1, 1, 4, false));
    MUST(cxlf_fm_connect(fm, W_LEAF, 2, W_MLD, 0));
    MUST(cxlf_fm_connect(fm, W_LEAF, 3, W_SLD, 0));
    MUST(cxlf_fm_connect(fm, W_LEAF, 4, W_GFD, 0));
    MUST(cxlf_fm_connect(fm, W_LEAF, 7, W_SPINE, 7));
    MUST(cxlf_fm_add_region(fm, W_MLD, W_DC, W_GIB, W_BLOCK | 256 * W_MIB, 8,
                            false));
    MUST(cxlf_fm_add_region(fm, W_MLD, 6 * W_GIB, W_GIB, 256 * W_MIB, 0,
                            true));
    for (unsigned i = 0; i < 4; i++) {
        fm->dev[0].ld[i].pid = i;
    }
    fm->sw[W_LEAF].port[3].pid = 4;
    fm->dev[0].qos_capability = 3;
}

/* When memory went from an LD to another, what is in it is another's. */
static void world_reallocated(struct world *w)
{
    bool changed = false;

    for (unsigned i = 0; i < 4; i++) {
        changed |= memcmp(w->mld.ld[i].range, w->fm->dev[0].ld[i].range,
                          sizeof(w->mld.ld[i].range)) != 0;
    }
    for (unsigned i = 0; i < 4 && changed; i++) {
        w->dirty[W_MLD][i] = true;
    }
}

static unsigned world_get(const uint8_t *p, unsigned bytes)
{
    return bytes ? p[0] | world_get(p + 1, bytes - 1) << 8 : 0;
}

static uint64_t world_get64(const uint8_t *p)
{
    return world_get(p, 4) | (uint64_t)world_get(p + 4, 4) << 32;
}

static void world_segments(struct world_fast *f, const uint8_t *in)
{
    unsigned n = world_get(in + 2, 2), start = world_get(in + 4, 2);

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *e = in + 6 + 8 * i;

        MUST(start + i < CXLF_FM_SEGMENTS);
        f->segment[start + i].valid = e[0] & 1;
        f->segment[start + i].gim = e[0] & 2;
        f->segment[start + i].ways = 1u << (e[1] & 7);
        f->segment[start + i].grain = 256u << (e[2] & 7);
        f->segment[start + i].target = world_get(e + 4, 2);
    }
}

/* A command that was carried out, as far as it is about the GAE of VCS 0. */
static void world_learn(struct world *w, uint16_t opcode, const uint8_t *in)
{
    struct world_fast *f = &w->fast[in[0] & 3];
    unsigned pid = world_get(in + 2, 2);

    switch (opcode) {
    case 0x5902:
        MUST(in[0] == 0);
        if (pid < 8) {
            w->may[in[1] >> 4][pid] = !(in[1] & 1);
        }
        break;
    case 0x5804:
        MUST(in[0] >= 1 && in[0] < 4);
        memset(f->segment, 0, sizeof(f->segment));
        f->bytes = in[2] & 1 ? 64 * W_GIB << in[1] : 0;
        f->base = world_get64(in + 4);
        f->limit = world_get64(in + 0xc);
        break;
    case 0x5806:
        world_segments(f, in);
        break;
    case 0x5808:
        for (unsigned i = 0; i < pid; i++) {
            MUST(world_get(in + 4, 2) + i < CXLF_FM_IDTS);
            f->idt[world_get(in + 4, 2) + i] = world_get(in + 6 + 2 * i, 2);
        }
        break;
    }
}

/* Where an access goes; PIDs beyond 7 are looked up in the GAE itself. */
static void world_reach(struct world *w, uint64_t hpa)
{
    unsigned pid = CXLF_FM_PID_NONE, taken = 0;

    for (unsigned i = 1; i < 4; i++) {
        const struct world_fast *f = &w->fast[i];
        unsigned s, way;

        if (!f->bytes || hpa < f->base || hpa > f->limit) {
            continue;
        }
        MUST(++taken == 1);
        s = (hpa - f->base) / f->bytes;
        MUST(s < CXLF_FM_SEGMENTS);
        if (!f->segment[s].valid) {
            continue;
        }
        way = hpa / f->segment[s].grain % f->segment[s].ways;
        pid = f->segment[s].ways == 1 ? f->segment[s].target :
              f->idt[f->segment[s].target + way];
        if (pid < 8 ? !w->may[f->segment[s].gim][pid] :
            pid >= CXLF_FM_PID_NONE ||
            !(w->fm->gae[0].access[f->segment[s].gim][pid / 8] >>
              pid % 8 & 1)) {
            pid = CXLF_FM_PID_NONE;
        }
    }
    w->hits += pid != CXLF_FM_PID_NONE;
    MUST(cxlf_fm_fast_pid(w->fm, W_LEAF, 0, hpa) == pid);
    MUST(cxlf_fm_fast_pid(w->fm, W_LEAF, 1, hpa) == CXLF_FM_PID_NONE);
}

static void world_command(struct world *w, unsigned component,
                          uint16_t opcode, unsigned who, const uint8_t *in,
                          size_t in_len, size_t out_cap)
{
    const struct cxlf_fm_who sender = {
        .pid = 0x10 + who % 3, .port = who & 7, .host = who & 0x80,
    };
    /* Exactly what is there, so that a sanitizer sees a byte too many. */
    uint8_t *exact = malloc(in_len ? in_len : 1), *out = malloc(out_cap);
    enum cxlf_cci code;
    size_t n = 1;

    memcpy(exact, in, in_len);
    memcpy(w->component, w->fm->component, sizeof(w->component));
    memcpy(w->port, w->fm->sw[0].port, sizeof(w->port));
    memcpy(w->vcs, w->fm->sw[0].vcs, sizeof(w->vcs));
    memcpy(&w->mld, &w->fm->dev[0], sizeof(w->mld));
    w->gae = w->fm->gae[0];
    code = cxlf_fm_command(w->fm, &sender, component, opcode, exact, in_len,
                           out, out_cap, &n);
    MUST(n <= out_cap);
    if (code == CXLF_CCI_SUCCESS) {
        MUST(w->component[component].primary.pid == CXLF_FM_PID_NONE ||
             w->component[component].primary.pid == sender.pid ||
             opcode == 0x0001 || opcode == 0x0400 || opcode == 0x0401 ||
             opcode >> 8 == 0x07 || opcode >> 8 == 0x58);
        MUST(!sender.host || opcode < 0x0402 || opcode == 0x0700 ||
             opcode >> 8 == 0x58);
        if (opcode >> 8 == 0x58 || opcode == 0x5902) {
            MUST(component == W_LEAF && (!sender.port || opcode == 0x5902));
            world_learn(w, opcode, exact);
        }
    } else {
        MUST(n == 0);
    }
    if (code != CXLF_CCI_SUCCESS && code != CXLF_CCI_BACKGROUND) {
        MUST(!memcmp(w->component, w->fm->component, sizeof(w->component)));
        MUST(!memcmp(w->port, w->fm->sw[0].port, sizeof(w->port)));
        MUST(!memcmp(w->vcs, w->fm->sw[0].vcs, sizeof(w->vcs)));
        MUST(!memcmp(&w->mld, &w->fm->dev[0], sizeof(w->mld)));
        MUST(!memcmp(&w->gae, &w->fm->gae[0], sizeof(w->gae)));
    }
    world_reallocated(w);
    free(exact);
    free(out);
}

static void world_complete(struct world *w, unsigned n, bool success)
{
    struct world_pending p = w->pending[n];
    unsigned ld = world_ld(p.binding.ld), first, end;

    w->pending[n] = w->pending[--w->pendings];
    switch (p.what) {
    case W_BIND:
        if (!success && p.binding.device != CXLF_FM_NO_DEVICE) {
            w->shown[p.binding.device][ld] = false;
        }
        break;
    case W_UNBIND:
        if (success && p.binding.device != CXLF_FM_NO_DEVICE) {
            w->shown[p.binding.device][ld] = false;
        }
        break;
    case W_ERASE:
        if (success && p.memory.ld != CXLF_FM_LD_NONE) {
            w->dirty[p.memory.component][p.memory.ld] = false;
        } else if (success) {
            world_blocks(p.memory.start, p.memory.length, &first, &end);
            for (unsigned i = first; i < end; i++) {
                w->block_dirty[i] = false;
            }
        }
        break;
    }
    MUST(cxlf_fm_complete(w->fm, p.token, success));
    MUST(!cxlf_fm_complete(w->fm, p.token, success));
}

/* A host accepts, rejects or gives back @blocks from block @at. */
static void world_host(struct world *w, unsigned what, unsigned host,
                       unsigned at, unsigned blocks)
{
    uint64_t start = W_DC + at * W_BLOCK, length = blocks * W_BLOCK;
    unsigned bit = 1u << host;
    uint16_t *before = what == 2 ? w->has : w->offered;
    uint16_t had[W_BLOCKS];
    bool done;

    memcpy(had, before, sizeof(had));
    for (unsigned i = at; i < at + blocks && i < W_BLOCKS; i++) {
        before[i] &= ~bit;
    }
    done = what == 2 ?
           cxlf_fm_dc_give_back(w->fm, W_MLD, host, start, length) :
           cxlf_fm_dc_answer(w->fm, W_MLD, host, start, length, what);
    for (unsigned i = at; done && i < at + blocks && i < W_BLOCKS; i++) {
        MUST(had[i] & bit);
    }
}

static void world_put(uint8_t *p, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = value >> 8 * i;
    }
}

/* Add or release one extent, of few blocks among few, or by its tag. */
static void world_dc(struct world *w, uint16_t opcode)
{
    uint8_t in[72] = { 0 };
    unsigned how = world_byte(w), where = world_byte(w);
    bool list = how & 4;

    in[0] = how & 3;
    in[2] = opcode == 0x5604 ? (list ? 2 : how >> 4 & 3) :
            (list ? 1 : 0) | (how & 0x10);
    in[12] = 1 + (where >> 6);
    world_put(in + 4, (1 + (how >> 6)) * W_BLOCK, 8);
    in[28] = list;
    world_put(in + 32, W_DC + where % W_BLOCKS * W_BLOCK, 8);
    world_put(in + 40, (1 + (how >> 6)) * W_BLOCK, 8);
    in[48] = in[12];
    world_command(w, W_MLD, opcode, 0, in, list ? 72 : 32, 512);
}

/* What the Fabric Manager and a host tell the GAE, in small numbers. */
static void world_tell(struct world *w)
{
    unsigned what = world_byte(w), a = world_byte(w), b = world_byte(w);
    bool most = what & 0x60;
    uint64_t bytes = 64 * W_GIB << (what >> 4 & 1);
    uint8_t in[24] = { 1 + (what >> 2 & 3) };

    switch (what & 3) {
    case 0:
        in[0] = b == 0xff;
        in[1] = (what >> 3 & 0x10) | !most;
        world_put(in + 2, a & 7, 2);
        world_command(w, W_LEAF, 0x5902, 7, in, 24, 16);
        break;
    case 1:
        in[1] = what >> 4 & 1;
        in[2] = most;
        world_put(in + 4, (a & 15) * bytes, 8);
        world_put(in + 12, ((a & 15) + 1 + (a >> 4)) * bytes - (b != 0xff), 8);
        world_command(w, W_LEAF, 0x5804, 0, in, 20, 16);
        break;
    case 2:
        world_put(in + 2, 1, 2);
        world_put(in + 4, a & 15, 2);
        in[6] = most | (what >> 6 & 2);
        in[7] = a >> 4 & 3;
        in[8] = a >> 6;
        world_put(in + 10, in[7] ? b & 0x3f : b & 7, 2);
        world_command(w, W_LEAF, 0x5806, 0, in, 14, 16);
        break;
    case 3:
        world_put(in + 2, 2, 2);
        world_put(in + 4, a & 0x3f, 2);
        world_put(in + 6, b & 7, 2);
        world_put(in + 8, b >> 3 & 7, 2);
        world_command(w, W_LEAF, 0x5808, 0x80, in, 10, 16);
        break;
    }
}

static void world_gae(struct world *w)
{
    unsigned where = world_byte(w);

    for (unsigned i = 0; i < 6; i++) {
        world_tell(w);
    }
    for (unsigned i = 0; i < 64; i++) {
        world_reach(w, i * 64 * W_GIB + where * 256);
        world_reach(w, (i + 1) * 64 * W_GIB - 1);
    }
}

/* CXL.io to an LD, by a port that is sometimes down. */
static void world_request(struct world *w, unsigned what)
{
    uint8_t in[15] = { 2 };
    unsigned ld = world_byte(w), reg = world_byte(w);

    if (what & 1) {
        world_put(in, 2 | (reg & 0x3c) << 8 | 0xfu << 20, 4);
        in[4] = ld % 5;
        world_command(w, W_LEAF, 0x5301, 0, in, 12, 16);
    } else {
        in[3] = ld % 5;
        in[5] = reg & 15;
        world_command(w, W_LEAF, 0x5302, 0, in, 15, 32);
    }
}

static const uint16_t world_opcodes[] = {
    0x0001, 0x0002, 0x0003, 0x0004, 0x0400, 0x0401, 0x0700, 0x0701, 0x490c,
    0x490d, 0x4913, 0x4914, 0x5100, 0x5101, 0x5102, 0x5103, 0x5200, 0x5201,
    0x5202, 0x5203, 0x5300, 0x5301, 0x5302, 0x5400, 0x5401, 0x5402, 0x5403,
    0x5404, 0x5405, 0x5406, 0x5407, 0x5408, 0x5409, 0x5500, 0x5501, 0x5600,
    0x5601, 0x5602, 0x5603, 0x5604, 0x5605, 0x5606, 0x5607, 0x5608, 0x5700,
    0x5701, 0x5702, 0x5703, 0x5704, 0x5705, 0x5706, 0x5707, 0x5708, 0x5709,
    0x570a, 0x570b, 0x5800, 0x5802, 0x5803, 0x5804, 0x5805, 0x5806, 0x5807,
    0x5808, 0x5902, 0xffff,
};

/* Any command with any payload; perhaps inside a tunnel or a crawl. */
static void world_any(struct world *w, unsigned through)
{
    unsigned opcode = world_opcodes[world_byte(w) %
                                    (sizeof(world_opcodes) / 2)];
    unsigned component = world_byte(w) % W_COMPONENTS, who = world_byte(w);
    unsigned length = world_byte(w) % 80, header = through ? 18 : 0;
    unsigned cap = who & 0x40 ? 24 : 4096;
    uint8_t in[128] = { 0 };

    w->tables |= opcode == 0x490d || opcode == 0x4914;
    for (unsigned i = 0; i < length; i++) {
        in[header + i] = world_byte(w);
    }
    if (through == 1) {     /* 5300: port, type, length, message */
        in[2] = world_byte(w) & 7;
        world_put(in + 4, 12 + length, 2);
    } else if (through == 2) {
        in[0] = world_byte(w);
        in[2] = world_byte(w) & 1;
        world_put(in + 4, 12 + length, 2);
    }
    if (through) {
        world_put(in + 9, opcode, 2);
        world_put(in + 11, length, 3);
        world_command(w, component, through == 1 ? 0x5300 : 0x5701, who,
                      in + (through == 1 ? 2 : 0),
                      length + (through == 1 ? 16 : 18), cap);
    } else {
        world_command(w, component, opcode, who, in, length, cap);
    }
}

/* What the Fabric Manager says of extents is what hosts were told. */
static void world_see(struct world *w)
{
    memset(w->offered, 0, sizeof(w->offered));
    memset(w->has, 0, sizeof(w->has));
    memset(w->held, 0, sizeof(w->held));
    for (unsigned n = 0; n < w->fm->dev[0].dcd.extents; n++) {
        const struct cxlf_fm_extent *e = &w->fm->dev[0].dcd.extent[n];
        unsigned first, end;

        world_blocks(e->start, e->length, &first, &end);
        for (unsigned i = first; i < end; i++) {
            w->offered[i] |= e->pending;
            w->has[i] |= e->hosts;
            w->held[i] |= e->reference;
            w->block_dirty[i] |= e->hosts != 0;
        }
    }
}

/* One step, by the next bytes. */
static void world_step(struct world *w)
{
    unsigned op = world_byte(w), a, b;
    uint8_t in[28] = { 0 };
    const char *why;

    switch (op & 15) {
    case 0:
    case 1:
    case 2:
        a = world_byte(w);
        if (op & 0x80) {        /* by the PID of an LD, or nobody's */
            in[1] = a & 1;
            in[2] = a >> 1 & 3;
            in[4] = a >> 3 & 7;
            world_command(w, W_LEAF, 0x5706, 0, in, 28, 16);
            break;
        }
        in[0] = a & 1;
        in[1] = a >> 1 & 3;
        in[2] = 2 + (a >> 3 & 1);
        world_put(in + 4, in[2] == 3 ? CXLF_FM_LD_NONE : a >> 4 & 3, 2);
        world_command(w, W_LEAF, 0x5201, 0, in, 6, 16);
        break;
    case 3:
    case 4:
        a = world_byte(w);
        in[0] = a & 1;
        in[1] = a >> 1 & 3;
        world_command(w, W_LEAF, 0x5202, 0, in, 3, 16);
        break;
    case 5:
    case 6:
    case 7:
        if (w->pendings) {
            world_complete(w, world_byte(w) % w->pendings, op >> 4 & 7);
        }
        break;
    case 8:
        world_dc(w, 0x5604);
        break;
    case 9:
        world_dc(w, 0x5605);
        break;
    case 10:
    case 11:
        a = world_byte(w);
        b = world_byte(w);
        /* reject, or accept, or give back */
        world_host(w, (op >> 4) % 3, a & 3, b % W_BLOCKS, 1 + (a >> 6));
        break;
    case 12:
        if (op & 0x80) {
            world_gae(w);
            break;
        }
        if (op & 0x40) {
            world_request(w, op >> 4);
            break;
        }
        in[0] = world_byte(w) & 1;
        a = world_byte(w);
        in[1] = a & 1;
        in[2] = a >> 1 & 3;
        in[4] = a;
        world_command(w, W_LEAF, 0x5706, 0, in, 28, 16);
        break;
    case 13:
        if (op & 32) {
            a = world_byte(w);
            w->down[a & 1][a >> 1 & 7] ^= true;
            break;
        }
        in[0] = 1 + world_byte(w) % 4;
        world_command(w, W_MLD, op & 16 ? 0x5606 : 0x5607, 0, in, 16, 16);
        break;
    case 14:
        world_any(w, 0);
        break;
    case 15:
        world_any(w, op >> 4 & 1 ? 1 : 2);
        break;
    }
    world_see(w);
    why = cxlf_fm_check(w->fm);
    if (why) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
}

#endif /* TESTS_FM_WORLD_H */
