/*
 * Links between hosts, leaves and spines, and how long messages take
 *
 * A host has a link to its leaf, a leaf one or more to each spine.  A
 * message to another leaf takes the spine whose links are free first.  A
 * link is busy for the time that its bytes take at 64 GB/s.  Of a topology's
 * file ways.c has the links.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include "sim.h"

#define PS_PER_BYTE 16

bool network_init(Sim *s, const char **why)
{
    s->home_busy = calloc(s->o.leaves * s->o.shards, sizeof(uint64_t));
    if (s->o.topology) {
        return s->home_busy && ways_init(s, why);
    }
    s->host_link = calloc(s->o.hosts, sizeof(Link));
    s->leaf_link = calloc(s->o.leaves * s->o.spines * s->o.paths,
                          sizeof(Link));
    return s->host_link && s->leaf_link && s->home_busy;
}

uint64_t network_links(const Sim *s)
{
    return s->o.topology ? ways_links() :
           s->o.hosts + s->o.leaves * s->o.spines * s->o.paths;
}

Link *network_link(Sim *s, uint64_t n)
{
    return s->o.topology ? ways_link(s, n) :
           n < s->o.hosts ? &s->host_link[n] :
                            &s->leaf_link[n - s->o.hosts];
}

/* What is sent much later than now does not make others wait. */
uint64_t network_pass(Sim *s, Link *l, unsigned back, unsigned bytes,
                      uint64_t time, uint64_t ps)
{
    bool soon = ps < (s->now + US) * 1000;

    if (soon && l->busy[back] > ps) {
        ps = l->busy[back];
    }
    ps += time;
    if (soon) {
        l->busy[back] = ps;
    }
    l->messages[back]++;
    l->bytes[back] += bytes;
    s->stats.bytes += bytes;
    return ps;
}

static uint64_t pass(Sim *s, Link *l, unsigned back, unsigned bytes,
                     uint64_t ps)
{
    return network_pass(s, l, back, bytes, bytes * PS_PER_BYTE, ps) +
           s->o.retimers * s->o.retimer_ns * 1000;
}

/* The way between two leaves that is free first; else that is up first. */
static uint64_t choose(Sim *s, unsigned from, unsigned to, unsigned turn,
                       Link **up, Link **down)
{
    unsigned ways = s->o.spines * s->o.paths;
    Link *a = &s->leaf_link[from * ways], *b = &s->leaf_link[to * ways];
    uint64_t best = UINT64_MAX, up_at = UINT64_MAX;

    *up = a;
    *down = b;
    for (unsigned i = 0; i < ways; i++) {
        unsigned n = (turn + i) % ways;
        uint64_t busy = a[n].busy[0] > b[n].busy[1] ? a[n].busy[0] :
                                                      b[n].busy[1];
        uint64_t at = a[n].up_at > b[n].up_at ? a[n].up_at : b[n].up_at;

        at = at > s->now ? at : 0;
        if (at < up_at || (at == up_at && busy < best)) {
            up_at = at;
            best = busy;
            *up = &a[n];
            *down = &b[n];
        }
    }
    return up_at * 1000;
}

/* When a link is up, in ps. */
static uint64_t when_up(Sim *s, const Link *l, uint64_t ps)
{
    if (l->up_at * 1000 <= ps) {
        return ps;
    }
    s->stats.unroutable++;
    return l->up_at * 1000;
}

static uint64_t between(Sim *s, unsigned from, unsigned to, unsigned turn,
                        unsigned bytes, uint64_t ps)
{
    Link *up, *down;
    uint64_t at;

    if (from == to) {
        return ps + s->o.switch_ns * 1000;
    }
    at = choose(s, from, to, turn, &up, &down);
    s->stats.unroutable += at > ps;
    ps = at > ps ? at : ps;
    ps = pass(s, up, 0, bytes, ps + s->o.switch_ns * 1000);
    ps = pass(s, down, 1, bytes, ps + s->o.switch_ns * 1000);
    return ps + s->o.switch_ns * 1000;
}

/* When it arrives, with what a late message loses. */
static uint64_t arrival(Sim *s, uint64_t ps)
{
    uint64_t ns = ps / 1000 + s->o.device_ns / 2;

    s->stats.messages++;
    if (rng_hit(&s->rng, s->delay)) {
        ns += rng_below(&s->rng, 6000);
        s->stats.delayed++;
    }
    return ns;
}

uint64_t network_to_leaf(Sim *s, unsigned host, unsigned leaf,
                         unsigned bytes)
{
    Host *h = &s->host[host];
    struct cxlf_node from = { CXLF_NODE_HOST, host };
    struct cxlf_node to = { CXLF_NODE_LEAF, leaf };
    Link *l;
    uint64_t ps;

    if (s->o.topology) {
        return arrival(s, ways_pass(s, from, to, h->spine_turn++, bytes,
                                    s->now * 1000));
    }
    l = &s->host_link[host];
    ps = pass(s, l, 0, bytes, when_up(s, l, s->now * 1000));
    return arrival(s, between(s, h->leaf, leaf, h->spine_turn++, bytes, ps));
}

uint64_t network_to_host(Sim *s, unsigned leaf, unsigned host,
                         unsigned bytes, uint64_t from)
{
    Host *h = &s->host[host];
    struct cxlf_node home = { CXLF_NODE_LEAF, leaf };
    struct cxlf_node to = { CXLF_NODE_HOST, host };
    Link *l;
    uint64_t ps;

    if (s->o.topology) {
        return arrival(s, ways_pass(s, home, to, h->spine_turn++, bytes,
                                    from * 1000));
    }
    l = &s->host_link[host];
    ps = between(s, leaf, h->leaf, h->spine_turn++, bytes, from * 1000);
    return arrival(s, pass(s, l, 1, bytes, when_up(s, l, ps)));
}

void network_cut_leaf(Sim *s, unsigned leaf, uint64_t until)
{
    unsigned ways = s->o.spines * s->o.paths;

    if (s->o.topology) {
        ways_cut_leaf(s, leaf, until);
        return;
    }
    for (unsigned i = 0; i < ways; i++) {
        s->leaf_link[leaf * ways + i].up_at = until;
    }
}
