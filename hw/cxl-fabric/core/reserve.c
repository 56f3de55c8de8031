/*
 * Reserved memory: ranges of pages that one host alone may use
 *
 * There are two tables.  The one whose turn it is by the number of changes is
 * in force; the writer makes the other one, and then adds a change.  So a
 * reader finds a whole table also while the writer stands still, or is dead,
 * in the middle of a change; it has to read again only when one was completed
 * meanwhile.  As the writer may be hostile, it reads a bounded number of
 * times.
 *
 * Memory order: (W0) the table and (W1) the number of changes, which a reader
 * (R0) loads before it reads the table and (R3) after it.  W1 pairs with R0.
 * When a reader sees (R1) a store of the change after the next, which is to
 * its own table, the fences make it see at R3 that the next was completed.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/reserve.h"

#define TRIES 10000

static bool is_range(const struct cxlf_topology *t, uint32_t gfam,
                     uint64_t dpa, uint64_t length)
{
    uint64_t size;

    if (gfam >= t->gfams) {
        return false;
    }
    size = t->gfam[gfam].hot + t->gfam[gfam].bulk;
    return length && dpa % CXLF_PAGE == 0 && length % CXLF_PAGE == 0 &&
           dpa < size && length <= size - dpa;
}

static bool overlaps(const struct cxlf_reservation *r, uint32_t gfam,
                     uint64_t dpa, uint64_t length)
{
    return r->gfam == gfam && r->dpa < dpa + length &&
           dpa < r->dpa + r->length;
}

static const struct cxlf_reservations *table(const struct cxlf_fabric *f,
                                             uint64_t changes)
{
    return &f->reserved[changes % 2];
}

/* The ranges of the table in force, as its writer has them. */
static void copy_table(const struct cxlf_fabric *f,
                       struct cxlf_reservations *to)
{
    *to = *table(f, f->reserve_changes);
    if (to->n > CXLF_RESERVATIONS) {
        to->n = 0;      /* nothing that was written here */
    }
}

/* Put another table in force. */
static void publish(struct cxlf_fabric *f, const struct cxlf_reservations *to)
{
    uint64_t changes = f->reserve_changes + 1;
    struct cxlf_reservations *at = &f->reserved[changes % 2];

    __atomic_thread_fence(__ATOMIC_RELEASE);    /* after the last W1 */
    for (uint32_t i = 0; i < to->n; i++) {
        struct cxlf_reservation *r = &at->range[i];

        __atomic_store_n(&r->gfam, to->range[i].gfam, __ATOMIC_RELAXED);
        __atomic_store_n(&r->host, to->range[i].host, __ATOMIC_RELAXED);
        __atomic_store_n(&r->dpa, to->range[i].dpa, __ATOMIC_RELAXED);
        __atomic_store_n(&r->length, to->range[i].length, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&at->n, to->n, __ATOMIC_RELAXED);
    __atomic_store_n(&f->reserve_changes, changes, __ATOMIC_RELEASE); /* W1 */
}

enum cxlf_reserve_result cxlf_reserve(struct cxlf_fabric *f,
                                      const struct cxlf_topology *t,
                                      uint32_t host, uint32_t gfam,
                                      uint64_t dpa, uint64_t length)
{
    struct cxlf_reservations now;

    if (!is_range(t, gfam, dpa, length)) {
        return CXLF_RESERVE_RANGE;
    }
    copy_table(f, &now);
    for (uint32_t i = 0; i < now.n; i++) {
        const struct cxlf_reservation *r = &now.range[i];

        if (overlaps(r, gfam, dpa, length) && r->host != host) {
            return CXLF_RESERVE_TAKEN;
        }
        if (r->gfam == gfam && r->host == host && r->dpa <= dpa &&
            dpa + length <= r->dpa + r->length) {
            return CXLF_RESERVE_OK;     /* all of it is, already */
        }
    }
    if (now.n == CXLF_RESERVATIONS) {
        return CXLF_RESERVE_FULL;
    }
    now.range[now.n++] = (struct cxlf_reservation) {
        .gfam = gfam, .host = host, .dpa = dpa, .length = length,
    };
    publish(f, &now);
    return CXLF_RESERVE_OK;
}

/* Drop all ranges of a host, or only those of one device between two DPAs. */
static bool drop(struct cxlf_fabric *f, uint32_t host, bool all,
                 uint32_t gfam, uint64_t dpa, uint64_t end)
{
    struct cxlf_reservations now;
    bool found = false;

    copy_table(f, &now);
    for (uint32_t i = now.n; i-- > 0;) {
        const struct cxlf_reservation *r = &now.range[i];

        if (r->host == host &&
            (all || (r->gfam == gfam && r->dpa >= dpa &&
                     r->dpa + r->length <= end))) {
            now.range[i] = now.range[--now.n];
            found = true;
        }
    }
    if (found) {
        publish(f, &now);
    }
    return found;
}

enum cxlf_reserve_result cxlf_unreserve(struct cxlf_fabric *f,
                                        const struct cxlf_topology *t,
                                        uint32_t host, uint32_t gfam,
                                        uint64_t dpa, uint64_t length)
{
    if (!is_range(t, gfam, dpa, length)) {
        return CXLF_RESERVE_RANGE;
    }
    return drop(f, host, false, gfam, dpa, dpa + length) ?
           CXLF_RESERVE_OK : CXLF_RESERVE_NONE;
}

bool cxlf_unreserve_all(struct cxlf_fabric *f, uint32_t host)
{
    return drop(f, host, true, 0, 0, 0);
}

uint64_t cxlf_reserve_changes(const struct cxlf_fabric *f)
{
    return __atomic_load_n(&f->reserve_changes, __ATOMIC_ACQUIRE);
}

/* Whether the table that was in force at @before may have been changed. */
static bool was_changed(const struct cxlf_fabric *f, uint64_t before)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&f->reserve_changes, __ATOMIC_RELAXED) != before;
}

static uint32_t count(const struct cxlf_reservations *table)
{
    uint32_t n = __atomic_load_n(&table->n, __ATOMIC_RELAXED);

    return n < CXLF_RESERVATIONS ? n : CXLF_RESERVATIONS;
}

unsigned cxlf_reserve_list(const struct cxlf_fabric *f,
                           const struct cxlf_topology *t,
                           struct cxlf_reservation list[CXLF_RESERVATIONS])
{
    unsigned n = 0, tries = 0;
    uint64_t changes;

    do {
        const struct cxlf_reservations *now;

        changes = cxlf_reserve_changes(f);      /* R0 */
        now = table(f, changes);
        n = count(now);
        for (unsigned i = 0; i < n; i++) {
            const struct cxlf_reservation *r = &now->range[i];

            list[i] = (struct cxlf_reservation) {
                .gfam = __atomic_load_n(&r->gfam, __ATOMIC_RELAXED),
                .host = __atomic_load_n(&r->host, __ATOMIC_RELAXED),
                .dpa = __atomic_load_n(&r->dpa, __ATOMIC_RELAXED),
                .length = __atomic_load_n(&r->length, __ATOMIC_RELAXED),
            };
        }
    } while (was_changed(f, changes) && ++tries < TRIES);
    for (unsigned i = n; i-- > 0;) {
        if (list[i].host >= t->hosts ||
            !is_range(t, list[i].gfam, list[i].dpa, list[i].length)) {
            list[i] = list[--n];
        }
    }
    return n;
}

bool cxlf_is_reserved(const struct cxlf_fabric *f, uint32_t host,
                      uint32_t gfam, uint64_t dpa)
{
    unsigned tries = 0;
    uint64_t changes;
    bool reserved;

    do {
        const struct cxlf_reservations *now;
        uint32_t n;

        changes = cxlf_reserve_changes(f);
        now = table(f, changes);
        n = count(now);
        reserved = false;
        for (uint32_t i = 0; i < n; i++) {
            const struct cxlf_reservation *r = &now->range[i];
            uint64_t from = __atomic_load_n(&r->dpa, __ATOMIC_RELAXED);

            reserved |=
                __atomic_load_n(&r->gfam, __ATOMIC_RELAXED) == gfam &&
                __atomic_load_n(&r->host, __ATOMIC_RELAXED) != host &&
                dpa >= from && dpa - from <
                __atomic_load_n(&r->length, __ATOMIC_RELAXED);
        }
    } while (was_changed(f, changes) && ++tries < TRIES);
    return reserved;
}
