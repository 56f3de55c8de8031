/*
 * DPU Edge Coherence Agent: conflicts of private copies
 *
 * What a host does wrong without hardware coherence, found by the records
 * that hosts share: docs/software-coherence.md, "What is reported".
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "eca-copies-internal.h"

#define TICK_US         2000
#define AUDIT_PAGES     2048    /* looked at in one tick */
#define WATCH_PAGES     64      /* watched anew in one tick */
#define WATCH_MAX_US    128000
/* A line may be dirty for so long after another host copied it in. */
#define UNFLUSHED_US    200000

static bool is_suspect(const ECACopy *copy)
{
    return copy->stale & ~copy->told[ECA_CONFLICT_STALE];
}

/* Conflicts */

void eca_copy_report(ECACopies *c, ECACopy *copy, unsigned line,
                     ECAConflictKind kind, ECACopyOperation operation,
                     int other)
{
    ECAConflict conflict = {
        .kind = kind, .operation = operation, .host = c->host,
        .other = other,
        .offset = copy->page * CXLF_PAGE + line * CXLF_LINE,
    };

    if (copy->told[kind] & BIT_ULL(line)) {
        return;
    }
    copy->told[kind] |= BIT_ULL(line);
    if (kind != ECA_CONFLICT_OVERLAP) {
        eca_copy_count(c, CXLF_COPY_CONFLICT, copy->page, 1);
    }
    c->io->conflict(c->io->opaque, &conflict);
}

void eca_copy_note(ECACopies *c, ECACopy *copy)
{
    bool was = QTAILQ_IN_USE(copy, next_suspect);

    if (is_suspect(copy) && !was) {
        QTAILQ_INSERT_TAIL(&c->suspects, copy, next_suspect);
    } else if (!is_suspect(copy) && was) {
        QTAILQ_REMOVE(&c->suspects, copy, next_suspect);
    }
}

/* Which lines have others written back since they were copied in? */
void eca_copy_look(ECACopies *c, ECACopy *copy)
{
    struct cxlf_copy_page *page = copy->record;
    uint64_t flushes = qatomic_load_acquire(&page->flushes);
    uint64_t now[ECA_COPY_WORDS];

    if (flushes == copy->flushes) {
        return;
    }
    copy->flushes = flushes;
    for (unsigned i = 0; i < CXLF_LINES_PER_PAGE; i++) {
        uint32_t record = qatomic_read(&page->line[i]);

        if (record == copy->seen[i] ||
            (copy->stale | copy->invalid) & BIT_ULL(i)) {
            continue;
        }
        record = eca_copy_load_home(c, copy, i, now);
        if (eca_copy_same(now, eca_copy_line(eca_copy_base(c, copy), i))) {
            copy->seen[i] = record;     /* the same after all */
            continue;
        }
        copy->stale |= BIT_ULL(i);
        copy->watch_us = 0;
        copy->pause_us = TICK_US;
        eca_copy_report(c, copy, i, ECA_CONFLICT_OVERLAP, ECA_COPY_AUDIT,
                        eca_copy_writer(record));
    }
    eca_copy_note(c, copy);
}

/* Missing flushes */

/* Tell whoever has written to the page which line this host copied in. */
void eca_copy_want(ECACopies *c, ECACopy *copy, unsigned line)
{
    struct cxlf_copy_page *page = copy->record;
    uint32_t written = qatomic_read(&page->written), was;

    if (!written || written == c->host + 1 || written > CXLF_MAX_HOSTS) {
        return;
    }
    was = qatomic_read(&page->want);
    qatomic_set(&page->want, CXLF_COPY_WANT(CXLF_COPY_WANT_COUNT(was) + 1,
                                            line, c->host));
    qatomic_inc(c->io->wants(c->io->opaque, written - 1));
}

bool eca_copy_is_dirty(ECACopies *c, ECACopy *copy, unsigned line)
{
    uint64_t mine[ECA_COPY_WORDS];

    eca_copy_load_cached(eca_copy_line(eca_copy_cached(c, copy), line), mine);
    return !eca_copy_same(mine, eca_copy_line(copy->twin, line));
}

void eca_copy_settle(ECACopies *c, ECACopy *copy, uint64_t lines)
{
    copy->owed &= ~lines;
    if (!copy->owed && QTAILQ_IN_USE(copy, next_debtor)) {
        QTAILQ_REMOVE(&c->debtors, copy, next_debtor);
    }
}

/* Is the line dirty that another host has just copied in? */
static void look_at_want(ECACopies *c, ECACopy *copy)
{
    uint32_t now = qatomic_read(&copy->record->want);
    unsigned line = CXLF_COPY_WANT_LINE(now);

    if (!copy->twin || now == copy->want) {
        return;
    }
    copy->want = now;
    if (CXLF_COPY_WANT_HOST(now) == c->host ||
        !eca_copy_is_dirty(c, copy, line)) {
        return;
    }
    copy->owed |= BIT_ULL(line);
    if (!QTAILQ_IN_USE(copy, next_debtor)) {
        copy->reader = CXLF_COPY_WANT_HOST(now);
        copy->owed_us = eca_copy_now_us(c) + UNFLUSHED_US;
        QTAILQ_INSERT_TAIL(&c->debtors, copy, next_debtor);
    }
}

static void look_at_debts(ECACopies *c, int64_t now)
{
    ECACopy *copy;

    while ((copy = QTAILQ_FIRST(&c->debtors)) && now >= copy->owed_us) {
        for (unsigned i = 0; i < CXLF_LINES_PER_PAGE; i++) {
            if (copy->owed & BIT_ULL(i) && eca_copy_is_dirty(c, copy, i)) {
                eca_copy_report(c, copy, i, ECA_CONFLICT_UNFLUSHED,
                                ECA_COPY_STORE, copy->reader);
            }
        }
        eca_copy_settle(c, copy, ECA_COPY_ALL);
    }
}

/* Other hosts look at their copies when this has changed. */
void eca_copy_announce(ECACopies *c)
{
    uint64_t was = qatomic_fetch_add(c->flushes, 1);

    if (was == c->audited) {
        c->audited = was + 1;
    }
}

/* The audit */

static void audit(ECACopies *c)
{
    uint64_t flushes = qatomic_load_acquire(c->flushes);
    uint32_t wants = qatomic_read(c->wants);

    if (flushes != c->audited || wants != c->wants_seen) {
        c->audited = flushes;
        c->wants_seen = wants;
        c->left = g_hash_table_size(c->table);
    }
    for (unsigned i = 0; c->left && i < AUDIT_PAGES; i++, c->left--) {
        ECACopy *copy = QTAILQ_FIRST(&c->copies);

        if (!copy) {
            c->left = 0;
            break;
        }
        QTAILQ_REMOVE(&c->copies, copy, next);
        QTAILQ_INSERT_TAIL(&c->copies, copy, next);
        eca_copy_look(c, copy);
        look_at_want(c, copy);
    }
}

/* Watch copies with stale lines, to see which of these are used. */
static void watch(ECACopies *c, int64_t now)
{
    ECACopy *last = QTAILQ_LAST(&c->suspects), *copy = NULL;
    unsigned hidden = 0;

    for (unsigned i = 0; copy != last && i < AUDIT_PAGES &&
                         hidden < WATCH_PAGES; i++) {
        copy = QTAILQ_FIRST(&c->suspects);
        QTAILQ_REMOVE(&c->suspects, copy, next_suspect);
        QTAILQ_INSERT_TAIL(&c->suspects, copy, next_suspect);
        if (copy->mapped && now >= copy->watch_us &&
            eca_copy_was_used(c, copy)) {
            eca_copy_hide(c, copy);
            copy->pause_us = MIN(copy->pause_us * 2, WATCH_MAX_US);
            hidden++;
        }
    }
}

int64_t eca_copies_tick(ECACopies *c)
{
    int64_t now = eca_copy_now_us(c);

    if (QTAILQ_EMPTY(&c->copies)) {
        return -1;
    }
    if (now >= c->due_us) {
        c->due_us = now + TICK_US;
        audit(c);
        watch(c, now);
        look_at_debts(c, now);
    }
    return c->due_us - now;
}
