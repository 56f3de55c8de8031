/*
 * Counters: what transitions did, by shard and host
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shard.h"

const char *const cxlf_counter_name[CXLF_COUNTERS] = {
    [CXLF_READ_HIT] = "read-hit",
    [CXLF_WRITE_HIT] = "write-hit",
    [CXLF_READ_MISS] = "read-miss",
    [CXLF_WRITE_MISS] = "write-miss",
    [CXLF_UPGRADE] = "upgrade",
    [CXLF_BISNP_SENT] = "bisnp-sent",
    [CXLF_BISNP_RECEIVED] = "bisnp-received",
    [CXLF_WRITEBACK] = "writeback",
    [CXLF_RETRY] = "retry",
    [CXLF_REFUSAL] = "refusal",
    [CXLF_ATOMIC] = "atomic",
    [CXLF_ATOMIC_RETRY] = "atomic-retry",
    [CXLF_ATOMIC_MISALIGNED] = "atomic-misaligned",
    [CXLF_BULK_TRAPPED] = "bulk-trapped",
    [CXLF_VICTIM] = "victim",
    [CXLF_BISNP_SPURIOUS] = "bisnp-spurious",
    [CXLF_NO_ROOM] = "no-room",
    [CXLF_WITHHELD_ACCESS] = "withheld",
    [CXLF_PAGE_FAULT] = "page-fault",
    [CXLF_PAGE_MAPPED] = "page-mapped",
    [CXLF_PAGE_PREFETCHED] = "page-prefetched",
    [CXLF_PAGE_REVOKED] = "page-revoked",
    [CXLF_MESSAGE] = "message",
    [CXLF_DOORBELL] = "doorbell",
    [CXLF_PROMOTION] = "promotion",
    [CXLF_PROMOTION_REFUSED] = "promotion-refused",
    [CXLF_DEMOTION] = "demotion",
    [CXLF_VIEW_FLUSH] = "view-flush",
    [CXLF_MACHINE_CHECK] = "machine-check",
    [CXLF_COPY_IN] = "copy-in",
    [CXLF_COPY_FLUSHED] = "copy-flushed",
    [CXLF_COPY_INVALIDATED] = "copy-invalidated",
    [CXLF_COPY_CONFLICT] = "copy-conflict",
};

/* Exactly one of these is in each transition that is an access. */
#define ACCESSES (CXLF_A_READ_HIT | CXLF_A_WRITE_HIT | CXLF_A_READ_MISS | \
                  CXLF_A_WRITE_MISS | CXLF_A_UPGRADE)

/* Action and counter have the same order, so one is found from the other. */
#define SAME_PLACE(name) \
    static_assert(CXLF_A_##name == CXLF_A_READ_HIT << CXLF_##name, \
                  "order of " #name)
SAME_PLACE(READ_HIT);
SAME_PLACE(WRITE_HIT);
SAME_PLACE(READ_MISS);
SAME_PLACE(WRITE_MISS);
SAME_PLACE(UPGRADE);

/*
 * Presence says which lines of a unit each host has touched.  It is for
 * counting alone, so it need not change together with the entry.
 */
static uint64_t *presence_of(const struct cxlf_shard *s, uint32_t index,
                             unsigned host)
{
    return &s->presence[(uint64_t)index * s->hosts + host];
}

static void count_snoops(const struct cxlf_target *t, uint32_t index,
                         unsigned host, enum cxlf_event event,
                         const struct cxlf_move *m)
{
    const struct cxlf_shard *s = &t->shard;
    bool keeps = m->actions & CXLF_A_BISNP_DATA;
    uint64_t wanted = event == CXLF_RECALL ? UINT64_MAX : 1ull << t->part;

    /* A coarse set may name the host itself, which needs no message. */
    cxlf_add(s, host, CXLF_BISNP_SENT, cxlf_set_count(m->snooped, s->hosts) -
             cxlf_set_has(m->snooped, host, s->hosts));
    CXLF_FOR_EACH_HOST(h, m->snooped, s->hosts) {
        if (h == host) {
            continue;
        }
        cxlf_add(s, h, CXLF_BISNP_RECEIVED, 1);
        if (s->presence) {
            uint64_t *p = presence_of(s, index, h);
            uint64_t had = keeps ? __atomic_load_n(p, __ATOMIC_RELAXED) :
                                   __atomic_exchange_n(p, 0,
                                                       __ATOMIC_RELAXED);

            if (!(had & wanted)) {
                cxlf_add(s, h, CXLF_BISNP_SPURIOUS, 1);
            }
        }
    }
}

static void note_presence(const struct cxlf_target *t, uint32_t index,
                          unsigned host, enum cxlf_event event)
{
    uint64_t *p = presence_of(&t->shard, index, host);
    uint64_t bit = 1ull << t->part;

    if (event == CXLF_EVICT || event == CXLF_RECALL) {
        __atomic_store_n(p, 0, __ATOMIC_RELAXED);
    } else if (event <= CXLF_STORE &&
               !(__atomic_load_n(p, __ATOMIC_RELAXED) & bit)) {
        __atomic_fetch_or(p, bit, __ATOMIC_RELAXED);
    }
}

void cxlf_count_move(const struct cxlf_target *t, uint32_t index,
                     unsigned host, enum cxlf_event event,
                     const struct cxlf_move *m)
{
    unsigned access = m->actions & ACCESSES;

    if (access) {
        cxlf_add(&t->shard, host, __builtin_ctz(access / CXLF_A_READ_HIT), 1);
    }
    if (m->actions & CXLF_A_WRITEBACK) {
        cxlf_add(&t->shard, host, CXLF_WRITEBACK, 1);
    }
    if (t->shard.presence) {
        note_presence(t, index, host, event);
    }
    if (m->snooped) {
        count_snoops(t, index, host, event, m);
    }
}

void cxlf_count(struct cxlf_directory *d, unsigned host, uint32_t gfam,
                uint64_t dpa, enum cxlf_counter counter, uint64_t n)
{
    struct cxlf_target t;

    if (!cxlf_find_target(d, CXLF_LINE_UNIT, gfam, dpa, &t)) {
        t.shard = cxlf_shard_at(d, CXLF_LINE_UNIT, 0, 0);
    }
    cxlf_add(&t.shard, host, counter, n);
}

void cxlf_read_counters(const struct cxlf_directory *d, int leaf, int shard,
                        int host, uint64_t sum[CXLF_COUNTERS])
{
    for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
        sum[i] = 0;
    }
    for (uint32_t l = 0; l < d->topology.leaves; l++) {
        for (uint32_t s = 0; s < d->topology.shards; s++) {
            struct cxlf_shard at = cxlf_shard_at(d, CXLF_LINE_UNIT, l, s);

            if ((leaf >= 0 && l != (uint32_t)leaf) ||
                (shard >= 0 && s != (uint32_t)shard)) {
                continue;
            }
            for (uint32_t h = 0; h < d->topology.hosts; h++) {
                if (host >= 0 && h != (uint32_t)host) {
                    continue;
                }
                for (unsigned i = 0; i < CXLF_COUNTERS; i++) {
                    sum[i] += __atomic_load_n(&at.counters[h].count[i],
                                              __ATOMIC_RELAXED);
                }
            }
        }
    }
}
