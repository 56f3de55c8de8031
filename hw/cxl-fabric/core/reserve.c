/*
 * Reserved memory: ranges of pages that one host alone may use
 *
 * A sequence number is odd while the table is being changed, and readers
 * try again.  An owner that dies between leaves it odd; its fabric is lost
 * anyway, so readers try a bounded number of times.
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

static void begin(struct cxlf_fabric *f)
{
    __atomic_store_n(&f->reserve_changes, f->reserve_changes + 1,
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);    /* (W0) before the table */
}

static void end(struct cxlf_fabric *f)
{
    __atomic_store_n(&f->reserve_changes, f->reserve_changes + 1,
                     __ATOMIC_RELEASE);         /* (W1) after it */
}

static void set(uint64_t *field, uint64_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static void set_entry(struct cxlf_fabric *f, unsigned i,
                      const struct cxlf_reservation *r)
{
    struct cxlf_reservation *at = &f->reservation[i];

    __atomic_store_n(&at->gfam, r->gfam, __ATOMIC_RELAXED);
    __atomic_store_n(&at->host, r->host, __ATOMIC_RELAXED);
    set(&at->dpa, r->dpa);
    set(&at->length, r->length);
}

enum cxlf_reserve_result cxlf_reserve(struct cxlf_fabric *f,
                                      const struct cxlf_topology *t,
                                      uint32_t host, uint32_t gfam,
                                      uint64_t dpa, uint64_t length)
{
    struct cxlf_reservation made = {
        .gfam = gfam, .host = host, .dpa = dpa, .length = length,
    };

    if (!is_range(t, gfam, dpa, length)) {
        return CXLF_RESERVE_RANGE;
    }
    for (uint32_t i = 0; i < f->reservations; i++) {
        const struct cxlf_reservation *r = &f->reservation[i];

        if (overlaps(r, gfam, dpa, length) && r->host != host) {
            return CXLF_RESERVE_TAKEN;
        }
        if (r->gfam == gfam && r->host == host && r->dpa <= dpa &&
            dpa + length <= r->dpa + r->length) {
            return CXLF_RESERVE_OK;     /* all of it is, already */
        }
    }
    if (f->reservations == CXLF_RESERVATIONS) {
        return CXLF_RESERVE_FULL;
    }
    begin(f);
    set_entry(f, f->reservations, &made);
    __atomic_store_n(&f->reservations, f->reservations + 1,
                     __ATOMIC_RELAXED);
    end(f);
    return CXLF_RESERVE_OK;
}

/* The last entry takes the place of one that goes. */
static void drop_entry(struct cxlf_fabric *f, unsigned i)
{
    struct cxlf_reservation last = f->reservation[f->reservations - 1];

    begin(f);
    set_entry(f, i, &last);
    __atomic_store_n(&f->reservations, f->reservations - 1,
                     __ATOMIC_RELAXED);
    end(f);
}

enum cxlf_reserve_result cxlf_unreserve(struct cxlf_fabric *f,
                                        const struct cxlf_topology *t,
                                        uint32_t host, uint32_t gfam,
                                        uint64_t dpa, uint64_t length)
{
    bool found = false;

    if (!is_range(t, gfam, dpa, length)) {
        return CXLF_RESERVE_RANGE;
    }
    for (uint32_t i = f->reservations; i-- > 0;) {
        const struct cxlf_reservation *r = &f->reservation[i];

        if (r->host == host && r->gfam == gfam && r->dpa >= dpa &&
            r->dpa + r->length <= dpa + length) {
            drop_entry(f, i);
            found = true;
        }
    }
    return found ? CXLF_RESERVE_OK : CXLF_RESERVE_NONE;
}

bool cxlf_unreserve_all(struct cxlf_fabric *f, uint32_t host)
{
    bool found = false;

    for (uint32_t i = f->reservations; i-- > 0;) {
        if (f->reservation[i].host == host) {
            drop_entry(f, i);
            found = true;
        }
    }
    return found;
}

uint64_t cxlf_reserve_changes(const struct cxlf_fabric *f)
{
    return __atomic_load_n(&f->reserve_changes, __ATOMIC_ACQUIRE);
}

unsigned cxlf_reserve_list(const struct cxlf_fabric *f,
                           const struct cxlf_topology *t,
                           struct cxlf_reservation list[CXLF_RESERVATIONS])
{
    unsigned n = 0;

    for (unsigned try = 0; try < TRIES; try++) {
        uint64_t before = cxlf_reserve_changes(f);
        uint32_t have = __atomic_load_n(&f->reservations, __ATOMIC_RELAXED);

        n = have < CXLF_RESERVATIONS ? have : CXLF_RESERVATIONS;
        for (unsigned i = 0; i < n; i++) {
            const struct cxlf_reservation *r = &f->reservation[i];

            list[i] = (struct cxlf_reservation) {
                .gfam = __atomic_load_n(&r->gfam, __ATOMIC_RELAXED),
                .host = __atomic_load_n(&r->host, __ATOMIC_RELAXED),
                .dpa = __atomic_load_n(&r->dpa, __ATOMIC_RELAXED),
                .length = __atomic_load_n(&r->length, __ATOMIC_RELAXED),
            };
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (before % 2 == 0 &&
            __atomic_load_n(&f->reserve_changes, __ATOMIC_RELAXED) ==
            before) {
            break;
        }
    }
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
    bool reserved = false;

    for (unsigned try = 0; try < TRIES; try++) {
        uint64_t before = cxlf_reserve_changes(f);
        uint32_t n = __atomic_load_n(&f->reservations, __ATOMIC_RELAXED);

        reserved = false;
        for (uint32_t i = 0; i < n && i < CXLF_RESERVATIONS; i++) {
            const struct cxlf_reservation *r = &f->reservation[i];
            uint64_t from = __atomic_load_n(&r->dpa, __ATOMIC_RELAXED);

            reserved |=
                __atomic_load_n(&r->gfam, __ATOMIC_RELAXED) == gfam &&
                __atomic_load_n(&r->host, __ATOMIC_RELAXED) != host &&
                dpa >= from && dpa - from <
                __atomic_load_n(&r->length, __ATOMIC_RELAXED);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (before % 2 == 0 &&
            __atomic_load_n(&f->reserve_changes, __ATOMIC_RELAXED) ==
            before) {
            break;
        }
    }
    return reserved;
}
