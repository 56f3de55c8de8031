/*
 * DPU Edge Coherence Agent: what this host knows of each page
 *
 * Records are made in chunks when a page of theirs is first looked at, so
 * memory that nobody touches costs nothing.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "cxlf/abi.h"
#include "eca-pages.h"

#define CHUNK_PAGES 512

static uint64_t chunks(const ECAPages *t)
{
    return DIV_ROUND_UP(t->pages, CHUNK_PAGES);
}

void eca_pages_init(ECAPages *t, uint64_t hot, uint64_t size,
                    ECAView hot_view)
{
    t->hot_pages = hot / CXLF_PAGE;
    t->pages = size / CXLF_PAGE;
    t->hot_view = hot_view;
    t->chunk = g_new0(ECAPage *, chunks(t));
    t->order = g_new0(uint8_t, chunks(t));
}

void eca_pages_free(ECAPages *t)
{
    for (uint64_t i = 0; i < chunks(t); i++) {
        g_free(t->chunk[i]);
    }
    g_free(t->chunk);
    g_free(t->order);
    t->chunk = NULL;
}

static ECAView first_view(const ECAPages *t, uint64_t page)
{
    return page < t->hot_pages ? t->hot_view : ECA_VIEW_DIRECT;
}

static ECAPage *make_chunk(ECAPages *t, uint64_t i)
{
    ECAPage *made = g_new0(ECAPage, CHUNK_PAGES), *was;

    for (unsigned n = 0; n < CHUNK_PAGES; n++) {
        made[n].view = first_view(t, i * CHUNK_PAGES + n);
    }
    was = qatomic_cmpxchg(&t->chunk[i], NULL, made);
    if (was) {
        g_free(made);
    }
    return was ? was : made;
}

ECAPage *eca_page(ECAPages *t, uint64_t dpa)
{
    uint64_t page = dpa / CXLF_PAGE;
    ECAPage *chunk = qatomic_load_acquire(&t->chunk[page / CHUNK_PAGES]);

    if (!chunk) {
        chunk = make_chunk(t, page / CHUNK_PAGES);
    }
    return &chunk[page % CHUNK_PAGES];
}

ECAView eca_page_view(const ECAPages *t, uint64_t dpa)
{
    uint64_t page = dpa / CXLF_PAGE;
    ECAPage *chunk = qatomic_load_acquire(&t->chunk[page / CHUNK_PAGES]);

    return chunk ? qatomic_read(&chunk[page % CHUNK_PAGES].view) :
                   first_view(t, page);
}

uint8_t *eca_pages_order(ECAPages *t, uint64_t dpa)
{
    return &t->order[dpa / CXLF_PAGE / CHUNK_PAGES];
}

void eca_pages_reset(ECAPages *t, uint64_t dpa, uint64_t size)
{
    uint64_t end = dpa + size;
    ECAPage *page;

    while ((page = eca_pages_next(t, &dpa)) && dpa < end) {
        bool failed = page->failed;

        memset(page, 0, sizeof(*page));
        page->failed = failed;
        qatomic_set(&page->view, first_view(t, dpa / CXLF_PAGE));
        dpa += CXLF_PAGE;
    }
}

bool eca_pages_next_owned(const ECAPages *t, uint64_t *dpa, unsigned *steps)
{
    uint64_t page = *dpa / CXLF_PAGE;

    for (; page < t->pages && *steps; page++, (*steps)--) {
        ECAPage *chunk = qatomic_read(&t->chunk[page / CHUNK_PAGES]);

        if (!chunk) {
            page |= CHUNK_PAGES - 1;
        } else if (chunk[page % CHUNK_PAGES].held == CXLF_HELD_OWNED) {
            *dpa = page * CXLF_PAGE;
            return true;
        }
    }
    *dpa = MIN(page, t->pages) * CXLF_PAGE;
    return false;
}

bool eca_pages_next_failed(const ECAPages *t, uint64_t *dpa)
{
    for (uint64_t page = *dpa / CXLF_PAGE; page < t->pages; page++) {
        ECAPage *chunk = qatomic_read(&t->chunk[page / CHUNK_PAGES]);

        if (!chunk) {
            page |= CHUNK_PAGES - 1;
        } else if (chunk[page % CHUNK_PAGES].failed) {
            *dpa = page * CXLF_PAGE;
            return true;
        }
    }
    return false;
}

ECAPage *eca_pages_next(const ECAPages *t, uint64_t *dpa)
{
    for (uint64_t page = *dpa / CXLF_PAGE; page < t->pages; page++) {
        ECAPage *chunk = qatomic_load_acquire(&t->chunk[page / CHUNK_PAGES]);

        if (chunk) {
            *dpa = page * CXLF_PAGE;
            return &chunk[page % CHUNK_PAGES];
        }
        page |= CHUNK_PAGES - 1;
    }
    return NULL;
}
