/*
 * A crawl of a fabric by the Fabric Manager's commands
 *
 * The Fabric Manager is at component 0; a command for another component goes
 * there by its PID, in Fabric Crawl Out.  Payloads are those of
 * docs/fabric-manager.md.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "crawl.h"

#define PAYLOAD     4096
#define OUTER       6           /* of Fabric Crawl Out, before the message */
#define TARGETS     (CXLF_FM_PORTS + CXLF_MAX_GFAMS * CXLF_FM_LDS)
#define PARTNERS    64          /* asked of at a time; an answer has 36h each */

enum {
    IDENTIFY = 0x0001, IDENTIFY_PBR = 0x0700, CRAWL_OUT = 0x5701,
    GET_PARTNERS = 0x5702, GET_TARGETS = 0x5703,
};
enum { FABRIC_PORT, HOST_PORT, DEVICE_PORT };       /* types of targets */
enum { PARTNER_SWITCH = 1 };

typedef struct Crawler {
    struct cxlf_fm *fm;
    Crawl *found;
    unsigned own;               /* PID of component 0 */
    unsigned queue[CXLF_FM_SWITCHES], queued;
    uint8_t in[PAYLOAD], out[PAYLOAD];
    size_t out_len;
    const char *why;
} Crawler;

static void set16(uint8_t *p, unsigned value)
{
    p[0] = value;
    p[1] = value >> 8;
}

static unsigned get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static enum cxlf_cci send(Crawler *c, uint16_t opcode, size_t n)
{
    struct cxlf_fm_who who = { .pid = CXLF_FM_PID_NONE };

    c->found->commands++;
    return cxlf_fm_command(c->fm, &who, 0, opcode, c->in, n, c->out, PAYLOAD,
                           &c->out_len);
}

/* The answer to a command of @n bytes at @in, of at least @least; or NULL. */
static const uint8_t *ask(Crawler *c, unsigned pid, uint16_t opcode,
                          const uint8_t *in, size_t n, size_t least)
{
    size_t header = pid == c->own ? 0 : 4 + CXLF_FM_MESSAGE;
    uint8_t *message = c->in + OUTER;
    enum cxlf_cci code;

    memset(c->in, 0, OUTER + CXLF_FM_MESSAGE);
    if (n) {
        memcpy(pid == c->own ? c->in : message + CXLF_FM_MESSAGE, in, n);
    }
    if (pid == c->own) {
        code = send(c, opcode, n);
    } else {
        set16(c->in, pid);
        c->in[2] = 1;           /* by PID */
        set16(c->in + 4, CXLF_FM_MESSAGE + n);
        set16(message + 3, opcode);
        set16(message + 5, n);
        code = send(c, CRAWL_OUT, OUTER + CXLF_FM_MESSAGE + n);
        if (code == CXLF_CCI_SUCCESS && c->out_len >= header) {
            code = get16(c->out + 4 + 8);
        }
    }
    if (code != CXLF_CCI_SUCCESS || c->out_len < header + least) {
        c->why = "a component cannot be reached, or does not answer";
        return NULL;
    }
    c->out_len -= header;
    return c->out + header;
}

static bool is_new(Crawler *c, unsigned pid)
{
    bool new = pid < CXLF_NO_PID && !c->found->seen[pid];

    if (new) {
        c->found->seen[pid] = true;
        c->found->pids++;
    }
    return new;
}

static bool find_switch(Crawler *c, unsigned pid)
{
    if (!is_new(c, pid)) {
        return true;
    }
    if (c->queued == CXLF_FM_SWITCHES) {
        c->why = "there are more switches than there can be";
        return false;
    }
    c->queue[c->queued++] = pid;
    c->found->switches++;
    return true;
}

static bool find_device(Crawler *c, unsigned pid)
{
    if (is_new(c, pid)) {
        c->found->devices++;
        return ask(c, pid, IDENTIFY, NULL, 0, 18);
    }
    return true;
}

/* Switches at the other ends of @n ports. */
static bool find_partners(Crawler *c, unsigned pid, const uint8_t *port,
                          unsigned n)
{
    while (n) {
        unsigned some = n < PARTNERS ? n : PARTNERS;
        uint8_t in[1 + PARTNERS], list[PARTNERS * 0x36];
        const uint8_t *out;

        in[0] = some;
        memcpy(in + 1, port, some);
        out = ask(c, pid, GET_PARTNERS, in, 1 + some, 4 + some * 0x36);
        if (!out) {
            return false;
        }
        memcpy(list, out + 4, some * 0x36);
        for (unsigned i = 0; i < some; i++) {
            const uint8_t *partner = list + i * 0x36;

            if (partner[1] == PARTNER_SWITCH &&
                !find_switch(c, get16(partner + 2))) {
                return false;
            }
        }
        port += some;
        n -= some;
    }
    return true;
}

/* All that a switch's ports lead to. */
static bool visit(Crawler *c, unsigned pid)
{
    uint8_t fabric[TARGETS], in[4] = { 0 }, list[PAYLOAD];
    unsigned start = 0, total = 1, fabrics = 0;

    while (start < total) {
        const uint8_t *out;
        unsigned n;

        set16(in, start);
        set16(in + 2, CXLF_FM_PORTS);
        out = ask(c, pid, GET_TARGETS, in, sizeof(in), 4);
        if (!out) {
            return false;
        }
        total = get16(out);
        n = get16(out + 2);
        if (!n || total > TARGETS || start + n > total ||
            c->out_len < 4 + 8 * n) {
            c->why = "a list of PID targets makes no sense";
            return false;
        }
        memcpy(list, out + 4, 8 * n);
        for (unsigned i = 0; i < n; i++) {
            const uint8_t *target = list + 8 * i;

            if (target[2] == FABRIC_PORT) {
                fabric[fabrics++] = get16(target);
            } else if (target[2] == HOST_PORT) {
                is_new(c, get16(target + 6));
            } else if (target[3]) {
                continue;       /* an LD: it has no CCI of its own */
            } else if (!find_device(c, get16(target + 6))) {
                return false;
            }
        }
        start += n;
    }
    return find_partners(c, pid, fabric, fabrics);
}

bool crawl(struct cxlf_fm *fm, Crawl *found, const char **why)
{
    static Crawler c;
    const uint8_t *out;

    memset(found, 0, sizeof(*found));
    c = (Crawler) { .fm = fm, .found = found };
    /* Component 0 is asked directly whoever it is: its PID is not known. */
    out = ask(&c, c.own, IDENTIFY_PBR, NULL, 0, 2);
    if (out) {
        c.own = get16(out);
        for (unsigned i = 0; find_switch(&c, c.own) && i < c.queued; i++) {
            if (!visit(&c, c.queue[i])) {
                break;
            }
        }
    }
    *why = c.why;
    return !c.why;
}
