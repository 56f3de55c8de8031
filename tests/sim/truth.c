/*
 * The oracle: which host holds what, and which version of it
 *
 * A copy is what a host has in its cache or its page table, recorded apart
 * from the directory: keyed by host and unit (for units of several lines a
 * mask of lines, and a version for each), or by host and page.  A version
 * is the number of the last store that the copy contains.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include "sim.h"

enum { UNIT_COPY = 1, LINE_COPY, PAGE_COPY };

/* The value of a page's copy: permission, then version */
#define HELD(value)     ((enum cxlf_held)((value) & 3))
#define VERSION(value)  ((value) >> 2)

static uint64_t key_of(unsigned kind, unsigned host, uint32_t index)
{
    return (uint64_t)kind << 60 | (uint64_t)host << 40 | index;
}

static uint64_t slot_of(const Truth *t, uint64_t key)
{
    key *= 0x9e3779b97f4a7c15ull;
    return (key ^ key >> 29) & t->mask;
}

static Copy *copy_find(Truth *t, uint64_t key)
{
    for (uint64_t i = slot_of(t, key); t->copy[i].key;
         i = (i + 1) & t->mask) {
        if (t->copy[i].key == key) {
            return &t->copy[i];
        }
    }
    return NULL;
}

static Copy *copy_get(Sim *s, uint32_t page, uint64_t key)
{
    Truth *t = &s->truth;
    uint64_t i = slot_of(t, key);

    while (t->copy[i].key && t->copy[i].key != key) {
        i = (i + 1) & t->mask;
    }
    if (!t->copy[i].key) {
        if (t->copies == t->max_copies) {
            sim_fail(s, page, "memory of the oracle",
                     "more than %lu copies", t->copies);
        }
        t->copies++;
        t->copy[i] = (Copy) { .key = key };
    }
    return &t->copy[i];
}

/* Free a slot, and move back what would not be found behind it. */
static void copy_remove(Truth *t, Copy *c)
{
    uint64_t hole = c - t->copy;

    t->copies--;
    for (uint64_t i = (hole + 1) & t->mask; t->copy[i].key;
         i = (i + 1) & t->mask) {
        uint64_t wants = slot_of(t, t->copy[i].key);

        if (((i - wants) & t->mask) >= ((i - hole) & t->mask)) {
            t->copy[hole] = t->copy[i];
            hole = i;
        }
    }
    t->copy[hole].key = 0;
}

bool truth_init(Sim *s)
{
    uint64_t lines = (uint64_t)s->pages * LINES, slots = 1024;
    uint64_t wanted = s->o.hosts * (s->o.cache + s->o.log_slots);
    Truth *t = &s->truth;

    /* A line's version, its unit's mask, a page; half of the slots free */
    wanted *= s->lines_per_unit > 1 ? 4 : 2;
    while (slots < wanted && slots < 1u << 26) {
        slots *= 2;
    }
    t->line = calloc(lines, sizeof(*t->line));
    t->unit = calloc(lines / s->lines_per_unit, sizeof(*t->unit));
    t->page = calloc(s->pages, sizeof(*t->page));
    t->copy = calloc(slots, sizeof(*t->copy));
    t->mask = slots - 1;
    t->max_copies = slots / 8 * 7;
    t->copies = t->clock = 0;
    return t->line && t->unit && t->page && t->copy;
}

void truth_free(Truth *t)
{
    free(t->line);
    free(t->unit);
    free(t->page);
    free(t->copy);
    memset(t, 0, sizeof(*t));
}

uint32_t unit_of(const Sim *s, uint32_t page, unsigned line)
{
    return page * s->units_per_page + line / s->lines_per_unit;
}

static uint32_t page_of(const Sim *s, uint32_t unit)
{
    return unit / s->units_per_page;
}

bool truth_has_unit(Sim *s, unsigned host, uint32_t unit)
{
    return copy_find(&s->truth, key_of(UNIT_COPY, host, unit));
}

/* The version of a line in a host's cache, or NULL. */
static uint64_t *line_version(Sim *s, unsigned host, uint32_t page,
                              unsigned line)
{
    Copy *c = copy_find(&s->truth, s->lines_per_unit == 1 ?
                        key_of(UNIT_COPY, host, unit_of(s, page, line)) :
                        key_of(LINE_COPY, host, page * LINES + line));

    return c ? &c->value : NULL;
}

bool truth_may_load(Sim *s, unsigned host, uint32_t page, unsigned line)
{
    return line_version(s, host, page, line);
}

bool truth_may_store(Sim *s, unsigned host, uint32_t page, unsigned line)
{
    return s->truth.unit[unit_of(s, page, line)].owner == host + 1 &&
           line_version(s, host, page, line);
}

void truth_fill(Sim *s, unsigned host, uint32_t page, unsigned line,
                bool owner)
{
    Truth *t = &s->truth;
    uint32_t unit = unit_of(s, page, line), index = page * LINES + line;
    Copy *c = copy_find(t, key_of(UNIT_COPY, host, unit));
    UnitTruth *u = &t->unit[unit];
    Host *h = &s->host[host];

    if (!c) {
        c = copy_get(s, page, key_of(UNIT_COPY, host, unit));
        c->value = s->lines_per_unit == 1 ? t->line[index].memory : 0;
        u->copies++;
        t->page[page].line_copies++;
        if (h->cached_count < s->o.cache) {
            h->cached[(h->cached_first + h->cached_count++) % s->o.cache] =
                unit;
        }
    }
    if (s->lines_per_unit > 1 && !(c->value >> line % s->lines_per_unit & 1)) {
        c->value |= 1ull << line % s->lines_per_unit;
        copy_get(s, page, key_of(LINE_COPY, host, index))->value =
            t->line[index].memory;
    }
    if (u->poisoned) {
        sim_fail(s, page, "poison is not read", "host %u has line %u, which "
                 "is lost", host, line);
    }
    if (t->page[page].mapped) {
        sim_fail(s, page, "lines or page", "host %u has line %u while %u "
                 "hosts have the page mapped", host, line,
                 t->page[page].mapped);
    }
    if (owner) {
        if (u->copies > 1) {
            sim_fail(s, page, "single writer", "host %u may write line %u, "
                     "which %u other hosts have", host, line, u->copies - 1);
        }
        u->owner = host + 1;
    } else if (u->owner && u->owner != host + 1) {
        sim_fail(s, page, "single writer", "host %u has line %u, which host "
                 "%u may write", host, line, u->owner - 1);
    }
}

/* Write back what the owner of a unit has. */
static void write_back(Sim *s, unsigned host, uint32_t unit)
{
    UnitTruth *u = &s->truth.unit[unit];
    uint32_t page = page_of(s, unit);
    unsigned first = unit % s->units_per_page * s->lines_per_unit;

    if (u->owner != host + 1) {
        return;
    }
    u->owner = 0;
    if (!u->dirty) {
        return;
    }
    u->dirty = false;
    for (unsigned i = first; i < first + s->lines_per_unit; i++) {
        uint64_t *version = line_version(s, host, page, i);

        if (version && s->o.breaks != NO_WRITEBACK) {
            s->truth.line[page * LINES + i].memory = *version;
        }
    }
}

bool truth_drop(Sim *s, unsigned host, uint32_t unit)
{
    Truth *t = &s->truth;
    uint64_t key = key_of(UNIT_COPY, host, unit);
    uint32_t page = page_of(s, unit);
    Copy *c = copy_find(t, key);

    if (!c) {
        return false;
    }
    write_back(s, host, unit);
    if (s->lines_per_unit > 1) {
        uint32_t first = unit * s->lines_per_unit;

        for (uint64_t left = c->value; left; left &= left - 1) {
            copy_remove(t, copy_find(t, key_of(LINE_COPY, host, first +
                                               __builtin_ctzll(left))));
        }
        c = copy_find(t, key);
    }
    copy_remove(t, c);
    t->unit[unit].copies--;
    t->page[page].line_copies--;
    return true;
}

void truth_share(Sim *s, unsigned host, uint32_t unit)
{
    write_back(s, host, unit);
}

void truth_load(Sim *s, unsigned host, uint32_t page, unsigned line)
{
    uint64_t *version = line_version(s, host, page, line);
    uint64_t want = s->truth.line[page * LINES + line].version;

    if (!version || *version != want) {
        sim_fail(s, page, "data value", "host %u reads version %lu of line "
                 "%u, the last store was %lu", host, version ? *version : 0,
                 line, want);
    }
}

void truth_store(Sim *s, unsigned host, uint32_t page, unsigned line,
                 uint64_t value)
{
    Truth *t = &s->truth;
    UnitTruth *u = &t->unit[unit_of(s, page, line)];
    LineTruth *l = &t->line[page * LINES + line];
    PageTruth *p = &t->page[page];

    l->value = value;
    p->version = l->version = ++t->clock;
    if (p->writer == host + 1) {
        Copy *c = copy_find(t, key_of(PAGE_COPY, host, page));

        /* What a mapped page has not written back is seen at the page. */
        c->value = p->version << 2 | CXLF_HELD_OWNED;
        l->memory = l->version;
        p->dirty = true;
        return;
    }
    if (u->owner != host + 1 || u->copies != 1) {
        sim_fail(s, page, "single writer", "host %u writes line %u of owner "
                 "%d, which %u hosts have", host, line, u->owner - 1,
                 u->copies);
    }
    *line_version(s, host, page, line) = l->version;
    p->memory = p->version;
    u->dirty = true;
}

enum cxlf_held truth_mapping(Sim *s, unsigned host, uint32_t page)
{
    Copy *c = copy_find(&s->truth, key_of(PAGE_COPY, host, page));

    return c ? HELD(c->value) : CXLF_HELD_NOT;
}

void truth_load_page(Sim *s, unsigned host, uint32_t page)
{
    Copy *c = copy_find(&s->truth, key_of(PAGE_COPY, host, page));
    uint64_t want = s->truth.page[page].version;

    if (!c || VERSION(c->value) != want) {
        sim_fail(s, page, "data value", "host %u reads version %lu of the "
                 "page, the last store was %lu", host,
                 c ? VERSION(c->value) : 0, want);
    }
}

void truth_map(Sim *s, unsigned host, uint32_t page, bool writable)
{
    PageTruth *p = &s->truth.page[page];
    uint64_t key = key_of(PAGE_COPY, host, page);
    Copy *c = copy_find(&s->truth, key);

    if (p->poisoned || p->poisoned_units) {
        sim_fail(s, page, "poison is not read", "host %u maps the page, of "
                 "which %s is lost", host, p->poisoned ? "all" : "a line");
    }
    if (p->line_copies) {
        sim_fail(s, page, "lines or page", "host %u maps the page while "
                 "%u of its lines are held", host, p->line_copies);
    }
    if (!c) {
        c = copy_get(s, page, key);
        c->value = p->memory << 2;
        p->mapped++;
    }
    if (p->writer && p->writer != host + 1) {
        sim_fail(s, page, "single writer", "host %u maps the page, which "
                 "host %u may write", host, p->writer - 1);
    }
    if (writable && p->mapped > 1) {
        sim_fail(s, page, "single writer", "host %u maps the page writable, "
                 "which %u other hosts have", host, p->mapped - 1);
    }
    if (writable) {
        p->writer = host + 1;
    }
    c->value = (c->value & ~3ull) |
        (p->writer == host + 1 ? CXLF_HELD_OWNED : CXLF_HELD_SHARED);
}

void truth_protect(Sim *s, unsigned host, uint32_t page)
{
    PageTruth *p = &s->truth.page[page];
    Copy *c = copy_find(&s->truth, key_of(PAGE_COPY, host, page));

    if (!c) {
        return;
    }
    if (p->writer == host + 1) {
        p->writer = 0;
        if (p->dirty && s->o.breaks != NO_WRITEBACK) {
            p->memory = VERSION(c->value);
        }
        p->dirty = false;
    }
    c->value = (c->value & ~3ull) | CXLF_HELD_SHARED;
}

void truth_unmap(Sim *s, unsigned host, uint32_t page)
{
    Copy *c = copy_find(&s->truth, key_of(PAGE_COPY, host, page));

    if (c) {
        truth_protect(s, host, page);
        copy_remove(&s->truth, c);
        s->truth.page[page].mapped--;
    }
}

void truth_clear_unit(Sim *s, uint32_t unit)
{
    Truth *t = &s->truth;

    t->page[page_of(s, unit)].poisoned_units -= t->unit[unit].poisoned;
    t->unit[unit].poisoned = false;
    t->page[page_of(s, unit)].cleared = true;
    for (unsigned i = 0; i < s->lines_per_unit; i++) {
        LineTruth *l = &t->line[unit * s->lines_per_unit + i];

        l->memory = l->version = ++t->clock;
        l->value = 0;
    }
}

void truth_clear_page(Sim *s, uint32_t page)
{
    PageTruth *p = &s->truth.page[page];

    p->poisoned = false;
    for (unsigned u = 0; u < s->units_per_page; u++) {
        truth_clear_unit(s, page * s->units_per_page + u);
    }
    p->memory = p->version = ++s->truth.clock;
    p->cleared = true;
}

/* What died with a host, where that is the policy. */
static void lose(Sim *s, unsigned kind, uint32_t index)
{
    uint32_t page = kind == PAGE_COPY ? index : page_of(s, index);
    unsigned line = kind == PAGE_COPY ? 0 :
                    index % s->units_per_page * s->lines_per_unit;
    const Place *at = &s->place[page];
    struct cxlf_line entry;

    if (!cxlf_peek(&s->d, kind == PAGE_COPY ? CXLF_PAGE_UNIT :
                   CXLF_LINE_UNIT, at->gfam, at->dpa + line * CXLF_LINE,
                   &entry) || entry.state != CXLF_P) {
        sim_fail(s, page, "loss poisons", "what a dead host had modified "
                 "(line %u) is not poisoned", line);
    }
    if (kind == PAGE_COPY) {
        s->truth.page[index].poisoned = true;
    } else {
        s->truth.page[page].poisoned_units +=
            !s->truth.unit[index].poisoned;
        s->truth.unit[index].poisoned = true;
    }
    s->stats.poisoned++;
}

/* Whether a copy of a dead host was found, and taken away. */
static bool recover_copy(Sim *s, uint64_t key, bool lost)
{
    Truth *t = &s->truth;
    unsigned kind = key >> 60, host = key >> 40 & 0xfffff;
    uint32_t index = (uint32_t)key;

    if (kind == PAGE_COPY) {
        if (lost && t->page[index].writer == host + 1 &&
            t->page[index].dirty) {
            lose(s, kind, index);
        }
        truth_unmap(s, host, index);
        return true;
    }
    if (kind == UNIT_COPY) {
        if (lost && t->unit[index].owner == host + 1 &&
            t->unit[index].dirty) {
            lose(s, kind, index);
        }
        truth_drop(s, host, index);
        return true;
    }
    return false;
}

void truth_recover(Sim *s, unsigned host, bool lost)
{
    Truth *t = &s->truth;
    bool found = true;

    /* Again, since what is taken away makes others change their slots. */
    while (found) {
        found = false;
        for (uint64_t i = 0; i <= t->mask; i++) {
            while (t->copy[i].key && (t->copy[i].key >> 40 & 0xfffff) ==
                   host && recover_copy(s, t->copy[i].key, lost)) {
                found = true;
            }
        }
    }
}

static bool is_of_leaf(const Sim *s, uint64_t key, unsigned leaf)
{
    return key >> 60 == UNIT_COPY &&
           s->place[page_of(s, (uint32_t)key)].line_leaf == leaf;
}

void truth_forget_leaf(Sim *s, unsigned leaf)
{
    Truth *t = &s->truth;
    bool found = true;

    while (found) {
        found = false;
        for (uint64_t i = 0; i <= t->mask; i++) {
            while (is_of_leaf(s, t->copy[i].key, leaf)) {
                uint64_t key = t->copy[i].key;

                truth_drop(s, key >> 40 & 0xfffff, (uint32_t)key);
                found = true;
            }
        }
    }
}
