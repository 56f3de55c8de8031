/*
 * DPU Edge Coherence Agent: what the front permits, and what vCPUs see
 *
 * The mapping's pages are changed in runs of neighbours.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "eca-pager-internal.h"
#include "eca-tcg.h"
#include "trace.h"

static void set_held(ECAPager *p, ECAPage *page, uint64_t dpa,
                     enum cxlf_held held)
{
    WITH_QEMU_LOCK_GUARD(pager_lock_of(p, dpa)) {
        page->held = held;
    }
}

/* vCPUs */

typedef struct DropCode {
    ram_addr_t from;
    uint64_t size;
} DropCode;

static void drop_code(CPUState *cpu, run_on_cpu_data data)
{
    DropCode *d = data.host_ptr;

    eca_tcg_drop_code(cpu, d->from, d->size);
    g_free(d);
}

/* Code of a page that goes is dropped before its vCPUs run on. */
void pager_ask_to_drop_code(ECAPager *p, uint32_t gfam, uint64_t dpa,
                            uint64_t size)
{
    ram_addr_t ram = p->device[gfam].ram;
    CPUState *cpu;

    if (ram == RAM_ADDR_INVALID) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    for (uint64_t at = 0; at < size; at += CXLF_PAGE) {
        if (eca_tcg_has_code(ram + dpa + at)) {
            CPU_FOREACH(cpu) {
                DropCode *d = g_new(DropCode, 1);

                *d = (DropCode) { .from = ram + dpa + at,
                                  .size = CXLF_PAGE };
                async_run_on_cpu(cpu, drop_code, RUN_ON_CPU_HOST_PTR(d));
            }
        }
    }
}

/* No vCPU runs. */
void pager_drop_all_code(ECAPager *p, uint32_t gfam)
{
    const Device *d = &p->device[gfam];
    DropCode *all;

    if (d->ram == RAM_ADDR_INVALID || !first_cpu) {
        return;
    }
    all = g_new(DropCode, 1);
    *all = (DropCode) { .from = d->ram, .size = d->size };
    async_run_on_cpu(first_cpu, drop_code, RUN_ON_CPU_HOST_PTR(all));
}

static void flush_views(CPUState *cpu, run_on_cpu_data data)
{
    eca_tcg_flush(cpu);
}

void pager_set_view(ECAPager *p, uint32_t gfam, uint64_t dpa, ECAView view)
{
    ECAPage *page = pager_page_of(p, gfam, dpa);

    if (p->options.by_page || page->view == view) {
        return;
    }
    qatomic_set(&page->view, view);
    p->flush_wanted = true;
    trace_eca_view(p->host, gfam, dpa, view);
}

void pager_flush_vcpus(void)
{
    CPUState *cpu;

    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        async_run_on_cpu(cpu, flush_views, RUN_ON_CPU_NULL);
    }
}

void pager_show_views(ECAPager *p)
{
    if (p->flush_wanted) {
        p->flush_wanted = false;
        pager_count(p, 0, 0, CXLF_VIEW_FLUSH, 1);
        pager_flush_vcpus();
    }
}

/* Have the pages of a run exist in the file; false: there is no memory. */
static bool make_exist(Device *d, uint64_t dpa, uint64_t end)
{
    bool exist = true;

    for (uint64_t at = dpa; at < end && exist; at += CXLF_PAGE) {
        exist = eca_page(&d->pages, at)->exists;
    }
    if (exist) {
        return true;
    }
#ifdef MADV_POPULATE_READ
    /* Touching it would be a SIGBUS when there is no memory. */
    if (madvise(d->back + dpa, end - dpa, MADV_POPULATE_READ) < 0 &&
        errno != EINVAL) {
        return false;
    }
#endif
    for (uint64_t at = dpa; at < end; at += CXLF_PAGE) {
        (void)qatomic_read(d->back + at);
        eca_page(&d->pages, at)->exists = true;
    }
    return true;
}

/* What could not be mapped is given back, and its accesses fail. */
static void give_back(ECAPager *p, const Run *run)
{
    for (uint64_t dpa = run->dpa; dpa < run->end; dpa += CXLF_PAGE) {
        struct cxlf_move m;

        set_held(p, pager_page_of(p, run->gfam, dpa), dpa, CXLF_HELD_NOT);
        pager_page_of(p, run->gfam, dpa)->sampled = false;
        eca_uffd_zap(p->device[run->gfam].front + dpa, CXLF_PAGE);
        if (p->agent.log) {
            cxlf_log_drop(p->agent.log, run->gfam, dpa);
        }
        cxlf_page_event(p->directory, p->host, run->gfam, dpa, CXLF_EVICT,
                        &m);
        pager_cover_page(p, run->gfam, dpa);
    }
}

void pager_change(ECAPager *p, const Run *run)
{
    Device *d = &p->device[run->gfam];
    uint8_t *at = d->front + run->dpa;
    uint64_t size = run->end - run->dpa;
    int ret = 0;

    trace_eca_run(p->host, run->what, run->writable, run->gfam, run->dpa,
                  size);
    switch (run->what) {
    case RUN_MAP:
        ret = !make_exist(d, run->dpa, run->end) ? -ENOMEM :
              eca_uffd_map(&p->uffd, at, size, run->writable);
        break;
    case RUN_UNPROTECT:
    case RUN_PROTECT:
        ret = eca_uffd_protect(&p->uffd, at, size,
                               run->what == RUN_UNPROTECT);
        break;
    case RUN_ZAP:
        eca_uffd_zap(at, size);
        pager_ask_to_drop_code(p, run->gfam, run->dpa, size);
        break;
    default:
        g_assert_not_reached();
    }
    if (ret < 0) {
        error_report_once("dpu-eca: cannot change the mapping of a page: %s",
                          strerror(-ret));
        give_back(p, run);
    }
}

void pager_flush_run(ECAPager *p)
{
    Run run = p->run;

    p->run.what = RUN_NONE;
    if (run.what == RUN_NONE) {
        return;
    }
    if (run.what == RUN_MAP || run.what == RUN_UNPROTECT) {
        /* Before who waits for it can look. */
        pager_count(p, run.gfam, run.dpa, CXLF_PAGE_MAPPED,
                    (run.end - run.dpa) / CXLF_PAGE);
    }
    pager_change(p, &run);
}

static void extend_run(ECAPager *p, int what, uint32_t gfam, uint64_t dpa,
                       bool writable)
{
    Run *run = &p->run;

    if (run->what != what || run->gfam != gfam || run->end != dpa ||
        run->writable != writable) {
        pager_flush_run(p);
        *run = (Run) { .what = what, .gfam = gfam, .dpa = dpa, .end = dpa,
                       .writable = writable };
    }
    run->end += CXLF_PAGE;
}

void pager_io_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable)
{
    ECAPager *p = opaque;
    ECAPage *page = pager_page_of(p, gfam, dpa);

    if (page->failed) {
        return;             /* until it is restored */
    }
    if (page->unmapped) {
        page->unmapped = false;
        return;             /* its fault will tell that it is wanted */
    }
    if (page->held == CXLF_HELD_OWNED ||
        (page->held == CXLF_HELD_SHARED && !writable)) {
        return;
    }
    extend_run(p, page->held == CXLF_HELD_SHARED && !page->sampled ?
               RUN_UNPROTECT : RUN_MAP, gfam, dpa, writable);
    page->sampled = false;
    eca_hot_event(p->eca, gfam, dpa, writable);
    set_held(p, page, dpa, writable ? CXLF_HELD_OWNED : CXLF_HELD_SHARED);
    eca_policy_granted(page, p->now_us);
    p->mapped = true;
}

void pager_io_zap(void *opaque, uint32_t gfam, uint64_t dpa)
{
    ECAPager *p = opaque;
    ECAPage *page = pager_page_of(p, gfam, dpa);

    if (page->held != CXLF_HELD_NOT) {
        page->sampled = false;
        set_held(p, page, dpa, CXLF_HELD_NOT);
        extend_run(p, RUN_ZAP, gfam, dpa, false);
    }
}

void pager_io_protect(void *opaque, uint32_t gfam, uint64_t dpa)
{
    ECAPager *p = opaque;
    ECAPage *page = pager_page_of(p, gfam, dpa);

    if (page->held == CXLF_HELD_OWNED) {
        set_held(p, page, dpa, CXLF_HELD_SHARED);
        if (!page->sampled) {
            extend_run(p, RUN_PROTECT, gfam, dpa, false);
        }
    }
}
