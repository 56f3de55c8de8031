/*
 * Ownership log
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/abi.h"
#include "cxlf/log.h"

#define REMOVED     UINT64_MAX
#define LOW         ((1ull << 48) - 1)
#define MAX_ROW     512

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15ull;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 32;
}

/*
 * Pages of a block of 2 MiB have slots in a row, since they are mapped
 * together; a block that finds its slots taken goes on to the next row.  A
 * small log has shorter rows.
 */
static uint64_t row_of(const struct cxlf_log *log)
{
    uint64_t row = log->slots / CXLF_LOG_MIN;

    return row < MAX_ROW ? row : MAX_ROW;
}

/* Where the search for a page begins. */
static uint64_t first_slot(const struct cxlf_log *log, uint64_t key)
{
    uint64_t row = row_of(log), page = key >> 8;
    uint64_t block = (page / row) << 8 | (key & 0xff);

    return (mix(block) * row + page % row) & (log->slots - 1);
}

/* Device and page number: what a slot is found by. */
static uint64_t key_of(uint32_t gfam, uint64_t dpa)
{
    return (dpa / CXLF_PAGE) << 8 | (uint64_t)gfam << 2;
}

static uint64_t encode(uint32_t host, uint64_t slot, uint64_t key,
                       enum cxlf_held held)
{
    uint64_t low = key | held;
    uint64_t check = mix(low ^ mix(slot << 16 | host)) >> 48;

    return check << 48 | low;
}

static bool decode(uint32_t host, uint64_t slot, uint64_t word,
                   struct cxlf_log_page *page)
{
    uint64_t low = word & LOW;

    page->held = (enum cxlf_held)(low & 3);
    page->gfam = low >> 2 & 0x3f;
    page->dpa = (low >> 8) * CXLF_PAGE;
    return (page->held == CXLF_HELD_SHARED ||
            page->held == CXLF_HELD_OWNED) && page->gfam < CXLF_MAX_GFAMS &&
           word == encode(host, slot, low & ~3ull, page->held);
}

enum cxlf_log_slot cxlf_log_read(uint32_t host, uint64_t slot, uint64_t word,
                                 struct cxlf_log_page *page)
{
    if (word == 0 || word == REMOVED) {
        return CXLF_LOG_EMPTY;
    }
    return decode(host, slot, word, page) ? CXLF_LOG_PAGE : CXLF_LOG_BAD;
}

uint64_t cxlf_log_slots(uint64_t pages)
{
    uint64_t slots = CXLF_LOG_MIN;

    while (slots < CXLF_LOG_MAX && slots / 4 * 3 < pages) {
        slots *= 2;
    }
    return slots;
}

uint64_t cxlf_log_size(uint64_t slots)
{
    return CXLF_PAGE + slots * 8;
}

void cxlf_log_format(void *memory, uint64_t slots, uint32_t host,
                     const uint8_t uuid[16])
{
    struct cxlf_log_header h = {
        .magic = CXLF_LOG_MAGIC, .version = CXLF_ABI_VERSION, .host = host,
        .slots = slots,
    };

    memcpy(h.uuid, uuid, 16);
    memcpy(memory, &h, sizeof(h));
}

static const char *check(const struct cxlf_log_header *h, uint64_t size,
                         uint32_t host, const uint8_t uuid[16])
{
    if (h->magic != CXLF_LOG_MAGIC) {
        return "ownership log: wrong magic number";
    }
    if (h->version != CXLF_ABI_VERSION) {
        return "ownership log: made by another ABI version";
    }
    if (h->host != host || host >= CXLF_MAX_HOSTS) {
        return "ownership log: belongs to another host";
    }
    if (memcmp(h->uuid, uuid, 16)) {
        return "ownership log: belongs to another fabric";
    }
    if (h->slots < CXLF_LOG_MIN || h->slots > CXLF_LOG_MAX ||
        h->slots & (h->slots - 1) || size < cxlf_log_size(h->slots)) {
        return "ownership log: its number of slots does not fit its size";
    }
    return NULL;
}

bool cxlf_log_attach_new(struct cxlf_log *log, void *memory, uint64_t size,
                         uint32_t host, const uint8_t uuid[16],
                         const char **why)
{
    struct cxlf_log_header h;

    *why = "ownership log: smaller than its header";
    if (size < CXLF_PAGE) {
        return false;
    }
    memcpy(&h, memory, sizeof(h));
    *why = check(&h, size, host, uuid);
    if (*why) {
        return false;
    }
    *log = (struct cxlf_log) {
        .slot = (void *)((char *)memory + CXLF_PAGE), .slots = h.slots,
        .host = host,
    };
    return true;
}

bool cxlf_log_attach(struct cxlf_log *log, void *memory, uint64_t size,
                     uint32_t host, const uint8_t uuid[16],
                     const char **why)
{
    if (!cxlf_log_attach_new(log, memory, size, host, uuid, why)) {
        return false;
    }
    for (uint64_t i = 0; i < log->slots; i++) {
        uint64_t word = __atomic_load_n(&log->slot[i], __ATOMIC_RELAXED);
        struct cxlf_log_page page;

        log->pages += decode(host, i, word, &page);
        log->removed += word == REMOVED;
    }
    return true;
}

/*
 * The slot of a page, or else the first that it can be put into; log->slots
 * when there is neither.
 */
static uint64_t find(const struct cxlf_log *log, uint64_t key, bool *there)
{
    uint64_t free = log->slots, at = first_slot(log, key);
    uint64_t row = row_of(log);

    *there = false;
    for (uint64_t n = 0; n < log->slots; n += row) {
        uint64_t word = log->slot[at];
        struct cxlf_log_page page;

        if (word == 0) {
            return free < log->slots ? free : at;
        }
        if (word == REMOVED) {
            free = free < log->slots ? free : at;
        } else if ((word & LOW & ~3ull) == key &&
                   decode(log->host, at, word, &page)) {
            *there = true;
            return at;
        }
        at = (at + row) & (log->slots - 1);
    }
    return free;
}

static void put(struct cxlf_log *log, uint64_t slot, uint64_t word)
{
    __atomic_store_n(&log->slot[slot], word, __ATOMIC_RELEASE);
}

bool cxlf_log_hold(struct cxlf_log *log, uint32_t gfam, uint64_t dpa,
                   enum cxlf_held held)
{
    uint64_t key = key_of(gfam, dpa), slot;
    bool there;

    slot = find(log, key, &there);
    if (!there) {
        if (log->pages >= log->slots / 4 * 3 || slot == log->slots) {
            return false;
        }
        log->removed -= log->slot[slot] == REMOVED;
        log->pages++;
    }
    put(log, slot, encode(log->host, slot, key, held));
    return true;
}

/*
 * Removed slots make searches long; behind the last page of a run of used
 * slots they are not needed, since a search ends there anyway.
 */
static void tidy(struct cxlf_log *log, uint64_t slot)
{
    uint64_t mask = log->slots - 1, row = row_of(log);

    if (log->slot[(slot + row) & mask] != 0) {
        return;
    }
    for (; log->slot[slot] == REMOVED; slot = (slot - row) & mask) {
        put(log, slot, 0);
        log->removed--;
    }
}

void cxlf_log_drop(struct cxlf_log *log, uint32_t gfam, uint64_t dpa)
{
    bool there;
    uint64_t slot = find(log, key_of(gfam, dpa), &there);

    if (there) {
        put(log, slot, REMOVED);
        log->pages--;
        log->removed++;
        tidy(log, slot);
    }
}

enum cxlf_held cxlf_log_get(const struct cxlf_log *log, uint32_t gfam,
                            uint64_t dpa)
{
    bool there;
    uint64_t slot = find(log, key_of(gfam, dpa), &there);

    return there ? (enum cxlf_held)(log->slot[slot] & 3) : CXLF_HELD_NOT;
}

bool cxlf_log_next(const struct cxlf_log *log, uint64_t *cursor,
                   struct cxlf_log_page *page, uint64_t *bad)
{
    while (*cursor < log->slots) {
        uint64_t slot = (*cursor)++;
        uint64_t word = __atomic_load_n(&log->slot[slot], __ATOMIC_ACQUIRE);

        switch (cxlf_log_read(log->host, slot, word, page)) {
        case CXLF_LOG_PAGE:
            return true;
        case CXLF_LOG_BAD:
            if (bad) {
                (*bad)++;
            }
            break;
        default:
            break;
        }
    }
    return false;
}
