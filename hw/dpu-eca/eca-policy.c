/*
 * DPU Edge Coherence Agent: how long, how much, and which class
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cxlf/abi.h"
#include "eca-policy.h"

#define LOSS_WINDOW_MS 100

static int64_t hold_us(const ECAPage *page)
{
    return (int64_t)ECA_HOLD_US << page->hold;
}

void eca_policy_granted(ECAPage *page, int64_t now_us)
{
    /* Wanted again at once: it was held for too short a time. */
    if (page->lost_us && (uint32_t)now_us - page->lost_us < hold_us(page)) {
        page->hold = MIN(page->hold + 1, ECA_HOLD_MAX);
    } else if (page->hold) {
        page->hold--;
    }
    page->granted_us = now_us;
}

int64_t eca_policy_hold_left(const ECAPage *page, int64_t now_us)
{
    uint32_t held = (uint32_t)now_us - page->granted_us;

    if (page->held == CXLF_HELD_NOT || held >= hold_us(page)) {
        return 0;
    }
    return hold_us(page) - held;
}

/* A directly shown page of HOT that goes too soon is quiet for longer. */
static void adapt_quiet(ECAPage *page, uint32_t held_ms)
{
    uint32_t enough = 8 * (ECA_QUIET_MS << page->quiet);
    uint8_t quiet = page->quiet;

    if (held_ms < enough) {
        quiet = MIN(quiet + 1, ECA_QUIET_MAX);
    } else {
        quiet -= MIN(quiet, held_ms / enough);
    }
    qatomic_set(&page->quiet, quiet);
}

bool eca_policy_lost(ECAPage *page, int64_t now_us, uint32_t often)
{
    uint32_t now_ms = now_us / 1000;

    if (page->view == ECA_VIEW_DIRECT) {
        adapt_quiet(page, ((uint32_t)now_us - page->granted_us) / 1000);
    }
    page->lost_us = now_us;
    if (now_ms - page->losses_ms > LOSS_WINDOW_MS) {
        page->losses_ms = now_ms;
        page->losses = 0;
    }
    return ++page->losses >= often && often;
}

/* Whether a fault shows that the stream's block was used up. */
static bool goes_on(const ECAStream *one, uint32_t gfam, uint64_t dpa,
                    unsigned min)
{
    return one->gfam == gfam && one->next &&
           (dpa == one->next ||
            (one->order > min && dpa == one->next - CXLF_PAGE));
}

/* A new block takes the place of older ones of the same pages. */
static void forget_overlaps(ECAStreams *s, const ECAStream *new)
{
    for (unsigned i = 0; i < ECA_STREAMS; i++) {
        ECAStream *one = &s->stream[i];

        if (one != new && one->gfam == new->gfam && one->dpa < new->next &&
            new->dpa < one->next) {
            *one = (ECAStream) { 0 };
        }
    }
}

unsigned eca_streams_fault(ECAStreams *s, uint32_t gfam, uint64_t dpa,
                           unsigned min, unsigned max, uint8_t *learned)
{
    ECAStream *stream = &s->stream[0];
    bool found = false;

    s->faults++;
    for (unsigned i = 0; i < ECA_STREAMS && !found; i++) {
        ECAStream *one = &s->stream[i];

        found = goes_on(one, gfam, dpa, min);
        if (found || one->used < stream->used) {
            stream = one;
        }
    }
    stream->used = s->faults;
    if (found && dpa != stream->next) {
        /* The last page of its block, which is this host's already. */
        stream->used_up = true;
        *learned = MAX(*learned, stream->order);
        return 0;
    }
    if (found) {
        stream->order = MIN(stream->order + 1, max);
    } else {
        *stream = (ECAStream) {
            .gfam = gfam, .order = MIN(MAX(*learned, min), max),
            .used = s->faults,
        };
    }
    stream->used_up = false;
    stream->dpa = dpa & ~((CXLF_PAGE << stream->order) - 1ull);
    stream->next = stream->dpa + (CXLF_PAGE << stream->order);
    forget_overlaps(s, stream);
    return stream->order;
}

void eca_streams_lost(ECAStreams *s, uint32_t gfam, uint64_t dpa,
                      unsigned min, uint8_t *learned)
{
    for (unsigned i = 0; i < ECA_STREAMS; i++) {
        ECAStream *one = &s->stream[i];

        if (one->gfam == gfam && dpa >= one->dpa && dpa < one->next &&
            !one->used_up) {
            one->order = MAX(one->order, min + 1) - 1;
            *learned = MIN(*learned, one->order);
            one->used_up = true;    /* once for each block */
        }
    }
}
