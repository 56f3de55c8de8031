/*
 * Fabric Manager: what the command sets share
 *
 * Payloads are little-endian and unaligned: they are read by get*() at the
 * offsets of docs/fabric-manager.md and written one field after the other by
 * put*().  The dispatcher checks lengths from each command's row before its
 * handler runs, so a handler reads only what is there and never meets an
 * answer that does not fit.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_CORE_FM_INTERNAL_H
#define CXLF_CORE_FM_INTERNAL_H

#include <string.h>
#include "cxlf/fm.h"

/* A command while it is executed. */
struct fm_call {
    struct cxlf_fm *fm;
    const struct cxlf_fm_who *who;
    unsigned component;
    struct cxlf_fm_component *c;
    uint16_t opcode;
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_cap;
    size_t out_len;
    unsigned crawls, tunnels;   /* layers that the command came through */
};

typedef enum cxlf_cci fm_handler(struct fm_call *c);

/* Who may send it. */
enum fm_access {
    FM_PRIMARY,         /* the primary, or anyone while there is none */
    FM_MANAGER,         /* any Fabric Manager */
    FM_ANYONE,          /* a host, too */
    FM_GAE_HOST,        /* who comes by the USP of a VCS that has a GAE */
};

#define FM_ON_SWITCH    (1u << CXLF_FM_SWITCH)
#define FM_ON_DEVICE    (1u << CXLF_FM_DEVICE)
#define FM_ON_GFD       (1u << CXLF_FM_GFD)
#define FM_ON_MLD       (1u << 4)   /* devices with named LDs, */
#define FM_ON_MHD       (1u << 5)   /* with several heads, */
#define FM_ON_DCD       (1u << 6)   /* with dynamic capacity */
#define FM_ON_GAE       (1u << 7)   /* switches with a GAE */
#define FM_ON_ALL       (FM_ON_SWITCH | FM_ON_DEVICE | FM_ON_GFD)

/* Functions of the caller without which it is Unsupported. */
enum fm_need {
    FM_NEED_NOTHING,
    FM_NEED_PORT_CONTROL,
    FM_NEED_CONFIG,
    FM_NEED_ACCESS,
    FM_NEED_DRT_GET,
    FM_NEED_DRT_SET,
    FM_NEED_RGT_GET,
    FM_NEED_RGT_SET,
};

/*
 * A row of the table of commands.  Input is @in bytes, then @each bytes for
 * each of the number at offset @count of @count_size bytes; @each FM_REST:
 * any number of bytes.  Output has room for @out bytes and @out_each for each
 * of the same number.
 */
#define FM_REST 0xffu

struct fm_row {
    uint16_t opcode;
    uint8_t on;
    uint8_t access;     /* enum fm_access */
    uint8_t need;       /* enum fm_need */
    uint8_t effects;    /* CXLF_CEL_* */
    uint8_t in, each, count, count_size;
    uint8_t out, out_each;
    fm_handler *handler;
    const char *name;
};

/* Each ends in a row without a handler. */
extern const struct fm_row fm_rows_generic[];
extern const struct fm_row fm_rows_pbr_component[];
extern const struct fm_row fm_rows_physical_switch[];
extern const struct fm_row fm_rows_virtual_switch[];
extern const struct fm_row fm_rows_mld_port[];
extern const struct fm_row fm_rows_mld_component[];
extern const struct fm_row fm_rows_multi_headed[];
extern const struct fm_row fm_rows_dcd[];
extern const struct fm_row fm_rows_pbr_switch[];
extern const struct fm_row fm_rows_gfd[];
extern const struct fm_row fm_rows_gae[];
extern const struct fm_row fm_rows_gae_management[];

/*
 * The commands that @c's component knows if @c's sender sends them, by opcode;
 * @at counts them from 0.
 */
const struct fm_row *fm_row_of(const struct fm_call *c, unsigned at);

enum cxlf_cci fm_execute(struct fm_call *c);

/* Execute a CCI message for @component inside @outer's command. */
enum cxlf_cci fm_inner(struct fm_call *outer, const struct cxlf_fm_who *who,
                       unsigned component, const uint8_t *message,
                       size_t length);
bool fm_message_ok(const uint8_t *message, size_t length);

/* The answer to a CCI message, whose payload is behind it already. */
void fm_message_answer(uint8_t *answer, const uint8_t *message,
                       enum cxlf_cci code, size_t length);

/* Something that ends by cxlf_fm_complete(). */
uint64_t fm_token(struct cxlf_fm *fm, unsigned component, unsigned what,
                  uint32_t *kept);

/* Background commands: fm-vcs.c. */
enum cxlf_cci fm_begin_bind(struct fm_call *c,
                            const struct cxlf_fm_binding *b);
enum cxlf_cci fm_begin_unbind(struct fm_call *c,
                              const struct cxlf_fm_binding *b);
bool fm_background_complete(struct cxlf_fm *fm, unsigned component,
                            bool success);
/* Whether a vPPB is free for @b's PID; the rest of @b. */
bool fm_is_free_by_pid(struct fm_call *c, struct cxlf_fm_binding *b);
/* What is behind @b's vPPB, for who takes it away; false: nothing. */
bool fm_find_bound(struct fm_call *c, struct cxlf_fm_binding *b);
/* The LD that has a PID, of a device: fm-pid.c.  False: none has it. */
bool fm_find_ld(const struct cxlf_fm *fm, unsigned pid, unsigned *device,
                uint16_t *ld);
enum cxlf_cci fm_get_targets(struct fm_call *c);
enum cxlf_cci fm_assign_pids(struct fm_call *c);
/* An extent's memory was erased: fm-dcd.c. */
bool fm_extent_complete(struct cxlf_fm *fm, unsigned component,
                        unsigned extent, bool success);

/* fm-gae.c */
bool fm_sender_has_gae(const struct fm_call *c);
const char *fm_check_gae(const struct cxlf_fm_gae *g);

static inline struct cxlf_fm_switch *fm_switch(struct cxlf_fm *fm,
                                               unsigned component)
{
    return &fm->sw[fm->component[component].index];
}

static inline struct cxlf_fm_device *fm_device(struct cxlf_fm *fm,
                                               unsigned component)
{
    return &fm->dev[fm->component[component].index];
}

/* Dynamic capacity of a component; NULL: it can have none. */
static inline struct cxlf_fm_dcd *fm_dcd(struct cxlf_fm *fm,
                                         unsigned component)
{
    const struct cxlf_fm_component *c = &fm->component[component];

    return c->kind == CXLF_FM_DEVICE ? &fm->dev[c->index].dcd :
           c->kind == CXLF_FM_GFD ? &fm->gfd[c->index].dcd : NULL;
}

/* Whether @port of a switch is there, and its link up. */
static inline bool fm_port_up(const struct cxlf_fm *fm, unsigned component,
                              unsigned port)
{
    return fm->sw[fm->component[component].index].port[port].exists &&
           (!fm->ops.port_up || fm->ops.port_up(fm->opaque, component, port));
}

static inline struct cxlf_fm_vcs *fm_vcs(struct fm_call *c, unsigned vcs)
{
    struct cxlf_fm_switch *s = fm_switch(c->fm, c->component);

    return vcs < CXLF_FM_VCSS && s->vcs[vcs].exists ? &s->vcs[vcs] : NULL;
}

static inline uint16_t get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static inline uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static inline uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void set_le(uint8_t *p, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = value >> 8 * i;
    }
}

static inline void put(struct fm_call *c, uint64_t value, unsigned bytes)
{
    set_le(c->out + c->out_len, value, bytes);
    c->out_len += bytes;
}

static inline void put8(struct fm_call *c, uint8_t value)
{
    put(c, value, 1);
}

static inline void put16(struct fm_call *c, uint16_t value)
{
    put(c, value, 2);
}

static inline void put32(struct fm_call *c, uint32_t value)
{
    put(c, value, 4);
}

static inline void put64(struct fm_call *c, uint64_t value)
{
    put(c, value, 8);
}

static inline void put_zeros(struct fm_call *c, unsigned bytes)
{
    memset(c->out + c->out_len, 0, bytes);
    c->out_len += bytes;
}

static inline void put_bytes(struct fm_call *c, const void *bytes, size_t n)
{
    memcpy(c->out + c->out_len, bytes, n);
    c->out_len += n;
}

static inline bool all_zero(const uint8_t *p, size_t n)
{
    while (n && *p == 0) {
        p++;
        n--;
    }
    return n == 0;
}

/* How many entries of @size fit behind a header, at most @wanted. */
static inline size_t fm_fit(const struct fm_call *c, size_t header,
                            size_t size, size_t wanted)
{
    size_t fit = (c->out_cap - header) / size;

    return fit < wanted ? fit : wanted;
}

#endif /* CXLF_CORE_FM_INTERNAL_H */
