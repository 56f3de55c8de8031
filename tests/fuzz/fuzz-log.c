/*
 * Fuzz: an ownership log, as whoever had it mapped may have left it
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/abi.h"
#include "cxlf/log.h"
#include "fuzz.h"

enum { HOLD, DROP, GET, WRITE, COPY, OPS };

#define SLOTS   64
#define HOST    5
#define PAGES   61

static const uint8_t uuid[16] = "0123456789abcdef";

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15ull;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 32;
}

/* A hostile writer knows how the check is made, too. */
static uint64_t with_check(uint64_t word, uint64_t slot)
{
    uint64_t low = word & ((1ull << 48) - 1);

    return (mix(low ^ mix(slot << 16 | HOST)) >> 48) << 48 | low;
}

static uint64_t walk(const struct cxlf_log *log)
{
    uint64_t cursor = 0, pages = 0, bad = 0;
    struct cxlf_log_page page;

    while (cxlf_log_next(log, &cursor, &page, &bad)) {
        MUST(page.gfam < CXLF_MAX_GFAMS && page.dpa % CXLF_PAGE == 0);
        MUST(page.held == CXLF_HELD_SHARED || page.held == CXLF_HELD_OWNED);
        pages++;
    }
    MUST(pages + bad <= log->slots);
    return pages;
}

/* Pages are numbered; the second half lies far up, on another device. */
static uint32_t gfam_of(unsigned page)
{
    return page < PAGES / 2 ? 0 : CXLF_MAX_GFAMS - 1;
}

static uint64_t dpa_of(unsigned page)
{
    return page < PAGES / 2 ? page * CXLF_PAGE :
           ((1ull << 40) - 1 - page) * CXLF_PAGE;
}

/* @held: what a log must say of each page, when nobody else writes it. */
static void run(struct cxlf_log *log, const uint8_t *data, size_t size,
                bool alone)
{
    uint8_t held[PAGES] = { 0 };

    for (size_t i = 0; i + 1 < size; i += 2) {
        unsigned op = data[i] % OPS, page = data[i + 1] % PAGES;
        enum cxlf_held how = data[i] / OPS % 2 ? CXLF_HELD_OWNED :
                                                 CXLF_HELD_SHARED;
        uint64_t slot = data[i + 1] % log->slots;

        if (op == HOLD) {
            if (cxlf_log_hold(log, gfam_of(page), dpa_of(page), how)) {
                MUST(cxlf_log_get(log, gfam_of(page), dpa_of(page)) == how);
                held[page] = how;
            } else {
                MUST(!alone || (held[page] == 0 &&
                                log->pages >= log->slots / 4 * 3));
            }
        } else if (op == DROP) {
            cxlf_log_drop(log, gfam_of(page), dpa_of(page));
            held[page] = 0;
        } else if (op == GET) {
            MUST(!alone || cxlf_log_get(log, gfam_of(page), dpa_of(page)) ==
                           held[page]);
        } else if (!alone && op == WRITE && i + 10 <= size) {
            memcpy(&log->slot[slot], data + i + 2, 8);
            if (how == CXLF_HELD_OWNED) {
                log->slot[slot] = with_check(log->slot[slot], slot);
            }
            i += 8;
        } else if (!alone && op == COPY) {
            log->slot[slot] = log->slot[data[i] % log->slots];
        }
    }
    if (alone) {
        uint64_t pages = 0;

        for (unsigned page = 0; page < PAGES; page++) {
            pages += held[page] != 0;
            MUST(cxlf_log_get(log, gfam_of(page), dpa_of(page)) ==
                 held[page]);
        }
        MUST(walk(log) == pages && log->pages == pages);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = cxlf_log_size(SLOTS), length = whole;
    struct cxlf_log_header *h;
    const char *why = NULL;
    struct cxlf_log log, again;
    unsigned edits;
    bool alone;

    if (size < 2) {
        return 0;
    }
    edits = data[0] % 8;
    alone = edits == 0;
    if (!alone) {
        /* A copy of the exact size, so that reading past its end is seen. */
        length = data[1] & 0x80 ? whole * (data[1] & 0x7f) / 0x7f : whole;
    }
    data += 2;
    size -= 2;
    h = calloc(1, length ? length : 1);
    if (length >= sizeof(*h)) {
        cxlf_log_format(h, SLOTS, HOST, uuid);
    }
    for (; edits && size >= 2; edits--, data += 2, size -= 2) {
        if (data[0] % sizeof(*h) < length) {
            ((uint8_t *)h)[data[0] % sizeof(*h)] ^= data[1];
        }
    }
    if (!cxlf_log_attach(&log, h, length, HOST, uuid, &why)) {
        MUST(why && !alone);
    } else {
        MUST(length >= cxlf_log_size(log.slots));
        MUST(walk(&log) == log.pages);
        run(&log, data, size, alone);
        /* As who recovers the host will see it. */
        MUST(cxlf_log_attach(&again, h, length, HOST, uuid, &why));
        MUST(walk(&again) == again.pages);
        MUST(!alone || (again.pages == log.pages &&
                        again.removed == log.removed));
    }
    free(h);
    return 0;
}
