/*
 * Fuzz: mailboxes that a wild peer fills, and agents that take from them
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/agent.h"
#include "fuzz-directory.h"

enum { WRITE_SLOT, WRITE_WHOLE, WRITE_PAGE, WRITE_STATE, SNOOP, REQUEST, POST,
       REBUILD, OPS };

#define AGENTS      2
#define PATIENCE    300         /* steps; a demotion takes every line */
#define SLOTS       64          /* of a log, which is empty at first */

static uint64_t log_memory[AGENTS][SLOTS];

/* Nothing is mapped or taken away that there is not. */
static void check_page(uint32_t gfam, uint64_t dpa)
{
    MUST(gfam < directory.topology.gfams);
    MUST(dpa % CXLF_PAGE == 0 && dpa < directory.topology.gfam[gfam].hot);
}

static void on_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable)
{
    struct cxlf_log *log = opaque;

    check_page(gfam, dpa);
    /* The log is never behind. */
    MUST(cxlf_log_get(log, gfam, dpa) >=
         (writable ? CXLF_HELD_OWNED : CXLF_HELD_SHARED));
}

static void on_take(void *opaque, uint32_t gfam, uint64_t dpa)
{
    (void)opaque;
    check_page(gfam, dpa);
}

static void on_wake(void *opaque, unsigned host)
{
    (void)opaque;
    MUST(host < directory.topology.hosts);
}

static void handle(const struct cxlf_agent *a)
{
    static const struct cxlf_mailbox empty;
    struct cxlf_mailbox *mailbox = &mailboxes[a->host];
    struct cxlf_message m;

    for (unsigned i = 0; cxlf_take(mailbox, &m); i++) {
        struct cxlf_snoop snoop = { .gfam = m.gfam, .dpa = m.dpa };

        MUST(i <= 2 * CXLF_MAILBOX_SLOTS);
        MUST(m.kind >= CXLF_BISNP_INV && m.kind <= CXLF_CMP);
        MUST(m.gfam < CXLF_MAX_GFAMS && m.dpa % CXLF_PAGE == 0);
        /* Entries of pages that the test has are all that may be met. */
        if (m.gfam == 0 && m.dpa < directory.topology.gfam[0].hot) {
            snoop.dpa = m.dpa % (UNITS * CXLF_PAGE);
        }
        for (unsigned n = 0; cxlf_snoop_step(a, &snoop) == CXLF_MORE; n++) {
            MUST(n < PATIENCE);
        }
    }
    MUST(!memcmp(mailbox, &empty, sizeof(empty)));
}

static void request(const struct cxlf_agent *a, unsigned n, uint8_t value)
{
    static const enum cxlf_event events[] = {
        CXLF_LOAD, CXLF_OWN, CXLF_EVICT, CXLF_RECALL, CXLF_PROMOTE
    };
    struct cxlf_request r = {
        .dpa = n % UNITS * CXLF_PAGE,
        .event = events[value % 5],
    };

    r.phase = r.event == CXLF_EVICT ? CXLF_ZAP : CXLF_ASK;
    for (unsigned step = 0; step < PATIENCE; step++) {
        enum cxlf_progress progress = cxlf_request_step(a, &r);

        if (progress == CXLF_WAIT && step + 1 < PATIENCE) {
            cxlf_request_again(a, &r);
            step = step < PATIENCE - 8 ? PATIENCE - 8 : step;
        } else if (progress != CXLF_MORE) {
            return;
        }
    }
}

/* What is posted is there, or else there is no room. */
static void post(unsigned host, unsigned n, uint8_t value)
{
    struct cxlf_message m = {
        .kind = CXLF_BISNP_INV + value % 3, .gfam = value >> 5,
        .dpa = n % UNITS * CXLF_PAGE,
    };
    struct cxlf_message got;
    struct cxlf_mailbox before = mailboxes[host];
    bool found = false;

    if (!cxlf_post(&mailboxes[host], m)) {
        for (unsigned i = 0; i < CXLF_MAILBOX_SLOTS; i++) {
            MUST(before.slot[i] != 0);
        }
        return;
    }
    before = mailboxes[host];
    while (cxlf_take(&before, &got)) {
        found = found || (got.kind == m.kind && got.gfam == m.gfam &&
                          got.dpa == m.dpa);
    }
    MUST(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cxlf_log log[AGENTS];
    struct cxlf_agent_io io[AGENTS];
    struct cxlf_agent agent[AGENTS];

    if (size == 0) {
        return 0;
    }
    make_directory(data[0]);
    memset(mailboxes, 0, directory.topology.hosts * sizeof(mailboxes[0]));
    for (unsigned h = 0; h < AGENTS; h++) {
        memset(log_memory[h], 0, sizeof(log_memory[h]));
        log[h] = (struct cxlf_log) { log_memory[h], SLOTS, h, 0, 0 };
        io[h] = (struct cxlf_agent_io) {
            &log[h], on_map, on_take, on_take, on_wake
        };
        agent[h] = (struct cxlf_agent) { &directory, &io[h], h, &log[h] };
    }
    for (size_t i = 1; i + 2 < size;) {
        unsigned op = data[i] % OPS, n = data[i] / OPS;
        unsigned host = data[i + 1] % AGENTS;
        uint8_t value = data[i + 2];
        uint64_t *slot = mailboxes[host].slot;

        i += 3;
        if (op == WRITE_SLOT && i + 8 <= size) {
            memcpy(&slot[value % CXLF_MAILBOX_SLOTS], data + i, 8);
            i += 8;
        } else if (op == WRITE_WHOLE) {
            for (unsigned s = 0; s < CXLF_MAILBOX_SLOTS; s++) {
                slot[s] = value * 0x0101010101010101ull * (s + n);
            }
        } else if (op == WRITE_PAGE && i + 16 <= size) {
            write_entry(n, data + i, value & 2, value & 1);
            i += 16;
        } else if (op == WRITE_STATE) {
            cxlf_leaf_set(&directory, 0, value % CXLF_LEAF_STATES);
        } else if (op == SNOOP) {
            handle(&agent[host]);
        } else if (op == REQUEST) {
            request(&agent[host], n, value);
        } else if (op == POST) {
            post(host, n, value);
        } else if (op == REBUILD) {
            cxlf_rebuild(&directory, host, 0, &log[host], NULL);
        }
    }
    return 0;
}
