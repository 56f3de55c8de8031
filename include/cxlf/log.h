/*
 * Ownership log: which pages a host has mapped
 *
 * The log covers the mappings: a page is entered before it is mapped and
 * removed after it is zapped, so whatever is mapped is in it, at any moment
 * at which the process may end.  A leaf that has lost its directory is
 * rebuilt from the logs of the hosts that live.  It is bounded, lies in
 * memory that outlives the process, and is checked when it is read.
 *
 * A slot is 8 bytes, changed as a whole: 0 never used, ~0 removed, else
 *   1:0   enum cxlf_held
 *   7:2   device
 *   47:8  page number
 *   63:48 check: of the bits below, the host and the slot's number
 * A page is found by open addressing: in a row of slots for the pages of its
 * block, or else in the one behind it.  docs/abi.md.
 *
 * One thread writes.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_LOG_H
#define CXLF_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define CXLF_LOG_MAGIC      0x31474f4c464c5843ull   /* "CXLFLOG1" */
#define CXLF_LOG_MIN        64                      /* slots */
#define CXLF_LOG_MAX        (1u << 26)

struct cxlf_log_header {
    uint64_t magic;
    uint32_t version;           /* CXLF_ABI_VERSION */
    uint32_t host;
    uint64_t slots;             /* a power of two, CXLF_LOG_MIN to _MAX */
    uint8_t uuid[16];           /* of the fabric */
};

struct cxlf_log {
    uint64_t *slot;
    uint64_t slots;
    uint32_t host;
    uint64_t pages;             /* how many are in it */
    uint64_t removed;           /* slots that were used once */
};

enum cxlf_held {
    CXLF_HELD_NOT,
    CXLF_HELD_SHARED,
    CXLF_HELD_OWNED,
};

struct cxlf_log_page {
    uint32_t gfam;
    uint64_t dpa;               /* bytes; a multiple of CXLF_PAGE */
    enum cxlf_held held;
};

/*
 * cxlf_log_slots: how many slots a log needs that @pages pages always fit
 * into; CXLF_LOG_MAX if it cannot have so many.
 */
uint64_t cxlf_log_slots(uint64_t pages);

/* cxlf_log_size: bytes of a log with @slots slots. */
uint64_t cxlf_log_size(uint64_t slots);

/* cxlf_log_format: make an empty log in zeroed memory of that size. */
void cxlf_log_format(void *memory, uint64_t slots, uint32_t host,
                     const uint8_t uuid[16]);

/*
 * cxlf_log_attach: check a log that may have been written by anybody.
 * On failure *@why names the field.  Slots that are not right are not an
 * error here: cxlf_log_next() counts them.
 */
bool cxlf_log_attach(struct cxlf_log *log, void *memory, uint64_t size,
                     uint32_t host, const uint8_t uuid[16],
                     const char **why);

/*
 * cxlf_log_attach_new: the same for a log that was just made, by whom it is
 * made for: does not look at the slots, which would cost memory for each.
 */
bool cxlf_log_attach_new(struct cxlf_log *log, void *memory, uint64_t size,
                         uint32_t host, const uint8_t uuid[16],
                         const char **why);

/*
 * cxlf_log_hold: note that a page will be mapped; @held says how.
 * Returns false when the log is full (three quarters of its slots, or all
 * that this page can have): evict another page first.
 */
bool cxlf_log_hold(struct cxlf_log *log, uint32_t gfam, uint64_t dpa,
                   enum cxlf_held held);

/* cxlf_log_drop: note that a page has been zapped. */
void cxlf_log_drop(struct cxlf_log *log, uint32_t gfam, uint64_t dpa);

/* cxlf_log_get: how a page is held, as the log has it. */
enum cxlf_held cxlf_log_get(const struct cxlf_log *log, uint32_t gfam,
                            uint64_t dpa);

/*
 * cxlf_log_next: the next page from slot *@cursor (0 at first) on; false at
 * the end.  Slots that no writer wrote are skipped; *@bad (may be NULL)
 * counts them.
 */
bool cxlf_log_next(const struct cxlf_log *log, uint64_t *cursor,
                   struct cxlf_log_page *page, uint64_t *bad);

enum cxlf_log_slot {
    CXLF_LOG_EMPTY,
    CXLF_LOG_PAGE,
    CXLF_LOG_BAD,               /* no writer wrote that */
};

/*
 * cxlf_log_read: what @word, in slot number @slot of the log of @host, says;
 * a page goes to *@page.  Which pages a fabric has is for the caller to
 * check.  For who reads a log without mapping it.  Any thread.
 */
enum cxlf_log_slot cxlf_log_read(uint32_t host, uint64_t slot, uint64_t word,
                                 struct cxlf_log_page *page);

#endif /* CXLF_LOG_H */
