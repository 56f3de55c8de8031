/*
 * Poison records
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/poison.h"

static struct cxlf_poison load(const struct cxlf_poison *from)
{
    return (struct cxlf_poison) {
        .gfam = __atomic_load_n(&from->gfam, __ATOMIC_ACQUIRE),
        .host = __atomic_load_n(&from->host, __ATOMIC_ACQUIRE),
        .dpa = __atomic_load_n(&from->dpa, __ATOMIC_ACQUIRE),
        .length = __atomic_load_n(&from->length, __ATOMIC_ACQUIRE),
    };
}

/*
 * While record n is written, in the slot of n - RECORDS, @poisoned is n: (W0)
 * its store as n, (W1) the slot's stores, (W2) its store as n + 1.  W2 pairs
 * with R0, so a reader sees whole records; and when (R1) its loads saw any of
 * W1, (R2) its second load of @poisoned sees W0 or a later one.
 */
void cxlf_poison_publish(struct cxlf_fabric *fabric,
                         const struct cxlf_poison *record)
{
    uint64_t n = __atomic_load_n(&fabric->poisoned, __ATOMIC_RELAXED);
    struct cxlf_poison *slot = &fabric->poison[n % CXLF_POISON_RECORDS];

    __atomic_store_n(&slot->gfam, record->gfam, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->host, record->host, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->dpa, record->dpa, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->length, record->length, __ATOMIC_RELEASE);
    __atomic_store_n(&fabric->poisoned, n + 1, __ATOMIC_RELEASE);
}

/* The oldest record that is not being overwritten when @end come after 0. */
static uint64_t oldest(uint64_t end)
{
    return end < CXLF_POISON_RECORDS ? 0 : end - CXLF_POISON_RECORDS + 1;
}

static bool is_sane(const struct cxlf_topology *t,
                    const struct cxlf_poison *r)
{
    uint64_t size;

    if (r->gfam >= t->gfams || r->host >= t->hosts) {
        return false;
    }
    size = t->gfam[r->gfam].hot + t->gfam[r->gfam].bulk;
    return r->length && r->length <= size && r->dpa <= size - r->length &&
           r->dpa % CXLF_LINE == 0 && r->length % CXLF_LINE == 0;
}

bool cxlf_poison_next(const struct cxlf_fabric *fabric,
                      const struct cxlf_topology *t, uint64_t *cursor,
                      struct cxlf_poison *record, bool *lost)
{
    /* Each turn passes one record at least, and most end the search. */
    for (;;) {
        /* R0 */
        uint64_t end = __atomic_load_n(&fabric->poisoned, __ATOMIC_ACQUIRE);

        if (*cursor >= end) {
            return false;
        }
        if (*cursor < oldest(end)) {
            *cursor = oldest(end);
            *lost = true;
        }
        /* R1 */
        *record = load(&fabric->poison[*cursor % CXLF_POISON_RECORDS]);
        /* R2 */
        end = __atomic_load_n(&fabric->poisoned, __ATOMIC_RELAXED);
        if (*cursor < oldest(end)) {
            continue;
        }
        ++*cursor;
        if (is_sane(t, record)) {
            return true;
        }
        *lost = true;
    }
}
