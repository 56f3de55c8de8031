/*
 * DPU Edge Coherence Agent: accesses that wait, and those that fail
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "eca-fail.h"
#include "eca-pager-internal.h"
#include "eca-park.h"
#include "trace.h"

static void restore(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    if (s->pager) {
        eca_pager_want(s->pager, gfam, dpa, ECA_WANT_RESTORED);
    }
}

static void checked(ECAState *s, uint32_t gfam, uint64_t dpa)
{
    if (s->pager) {
        eca_pager_want(s->pager, gfam, dpa, ECA_WANT_CHECKED);
    }
}

/* Put a private page of all ones over one that cannot be had. */
void pager_cover_page(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    Device *d = &p->device[gfam];
    ECAPage *page = pager_page_of(p, gfam, dpa);
    uint8_t *ones;

    trace_eca_private(p->host, gfam, dpa);
    if (page->failed) {
        eca_uffd_wake(&p->uffd, d->front + dpa, CXLF_PAGE);
        return;
    }
    ones = mmap(NULL, CXLF_PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ones == MAP_FAILED) {
        error_report_once("dpu-eca: no memory for a failed page");
        return;
    }
    memset(ones, 0xff, CXLF_PAGE);
    /* At once: nobody may see what lies between. */
    if (mremap(ones, CXLF_PAGE, CXLF_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
               d->front + dpa) == MAP_FAILED) {
        munmap(ones, CXLF_PAGE);
        return;
    }
    page->failed = true;
    eca_uffd_wake(&p->uffd, d->front + dpa, CXLF_PAGE);
    eca_fail_report(p->eca, NULL, gfam, dpa, restore);
}

/*
 * Have a vCPU leave its access, with a machine check: the guest learns of it
 * at the instruction that fails.  False if it takes none.
 */
static bool check_vcpu(ECAPager *p, const Failing *f)
{
    CPUState *cpu = eca_fail_cpu(f->thread);

    if (!cpu || !eca_fail_is_taken(cpu)) {
        return false;
    }
    if (!f->tries) {
        eca_fail_report(p->eca, cpu, f->gfam, f->dpa, checked);
    }
    eca_park(cpu);
    return true;
}

/* The access of a thread that sleeps in the front fails. */
void pager_fail_page(ECAPager *p, uint32_t gfam, uint64_t dpa,
                     uint32_t thread)
{
    Failing f = {
        .thread = thread, .gfam = gfam, .dpa = dpa,
        .look_us = pager_now_us() + PARK_US,
    };

    pager_count(p, gfam, dpa, CXLF_REFUSAL, 1);
    if (check_vcpu(p, &f)) {
        g_array_append_val(p->failing, f);
    } else {
        pager_cover_page(p, gfam, dpa);
    }
}

/* Those who sleep on a page that fails: one asked, others came later. */
void pager_fail_sleepers(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    for (unsigned i = 0; i < p->sleepers->len; i++) {
        Sleeper *s = &g_array_index(p->sleepers, Sleeper, i);

        if (s->gfam == gfam && s->dpa == dpa) {
            pager_fail_page(p, gfam, dpa, s->thread);
        }
    }
}

/* A vCPU that cannot leave its access goes on, and reads all ones. */
void pager_look_at_failing(ECAPager *p)
{
    for (unsigned i = p->failing->len; i-- > 0;) {
        Failing *f = &g_array_index(p->failing, Failing, i);

        if (pager_now_us() < f->look_us) {
            continue;
        }
        f->look_us += PARK_US;
        if (++f->tries > FAIL_TRIES || !check_vcpu(p, f)) {
            pager_cover_page(p, f->gfam, f->dpa);
            g_array_remove_index_fast(p->failing, i);
        }
    }
}

/* One vCPU has got its machine check. */
void pager_forget_failing(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    for (unsigned i = 0; i < p->failing->len; i++) {
        Failing *f = &g_array_index(p->failing, Failing, i);

        if (f->gfam == gfam && f->dpa == dpa) {
            g_array_remove_index_fast(p->failing, i);
            return;
        }
    }
}

/* Take the private page away again, at once: nobody sees what is below. */
void pager_restore_page(ECAPager *p, uint32_t gfam, uint64_t dpa)
{
    Device *d = &p->device[gfam];
    ECAPage *page = pager_page_of(p, gfam, dpa);
    Error *err = NULL;

    if (!page->failed || qatomic_read(&p->lost)) {
        return;
    }
    if (!eca_uffd_show(&p->uffd, d->front + dpa, CXLF_PAGE, d->fd, dpa,
                       &err)) {
        error_report_err(err);
        return;
    }
    page->failed = false;
}

void pager_forget_sleepers(ECAPager *p, uint32_t gfam, uint64_t dpa,
                           uint64_t end)
{
    for (unsigned i = p->sleepers->len; i-- > 0;) {
        Sleeper *s = &g_array_index(p->sleepers, Sleeper, i);

        if (s->gfam == gfam && s->dpa >= dpa && s->dpa < end) {
            g_array_remove_index_fast(p->sleepers, i);
        }
    }
}

/*
 * A page that is held is not there, or was not when somebody used it: it was
 * sampled, this host's kernel has swapped it out, or it was on its way.
 */
static void map_again(ECAPager *p, uint32_t gfam, uint64_t dpa, bool write)
{
    ECAPage *page = pager_page_of(p, gfam, dpa);
    Run run = {
        .what = RUN_MAP, .gfam = gfam, .dpa = dpa, .end = dpa + CXLF_PAGE,
        .writable = page->held == CXLF_HELD_OWNED,
    };

    if (page->sampled) {
        eca_hot_touch(p->eca, gfam, dpa, write);
    }
    page->sampled = page->exists = false;
    pager_change(p, &run);
}

static void sample_device(ECAPager *p, uint32_t gfam)
{
    Device *d = &p->device[gfam];
    unsigned sampling = qatomic_xchg(&d->sampling, 0);
    unsigned steps = SAMPLE_LOOK, seen = 0, done = 0;
    int64_t budget;

    if (!sampling || !d->front) {
        return;
    }
    budget = MIN(p->now_us - d->sample_us, 1000000) * d->sample_rate /
             1000000;
    budget = MIN(budget, SAMPLE_PAGES);
    while (done < budget &&
           eca_pages_next_owned(&d->pages, &d->sample_dpa, &steps)) {
        uint64_t dpa = d->sample_dpa;
        ECAPage *page = pager_page_of(p, gfam, dpa);

        d->sample_dpa += CXLF_PAGE;
        steps -= MIN(steps, 1);
        if (page->view == ECA_VIEW_DIRECT && !page->asked &&
            !page->failed && !page->sampled &&
            !(seen++ & ((1u << sampling) - 1)) &&
            eca_hot_wants(p->eca, gfam, dpa)) {
            eca_uffd_zap(d->front + dpa, CXLF_PAGE);
            page->sampled = true;
            done++;
        }
    }
    if (d->sample_dpa >= d->size) {
        d->sample_dpa = 0;
    }
    if (budget) {
        d->sample_us = p->now_us;
    }
    trace_eca_sample(p->host, gfam, done);
}

void pager_sample_pages(ECAPager *p)
{
    for (uint32_t i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (qatomic_read(&p->device[i].sampling)) {
            sample_device(p, i);
        }
    }
}

static Device *device_of(ECAPager *p, void *address, uint32_t *gfam)
{
    for (*gfam = 0; *gfam < CXLF_MAX_GFAMS; (*gfam)++) {
        Device *d = &p->device[*gfam];

        if (d->front && (uint8_t *)address >= d->front &&
            (uint8_t *)address < d->front + d->size) {
            return d;
        }
    }
    return NULL;
}

/* It fails, once the page is not held any more. */
static void fault_on_reserved(ECAPager *p, uint32_t gfam, uint64_t dpa,
                              uint32_t thread)
{
    ECAPage *page = pager_page_of(p, gfam, dpa);

    if (page->held == CXLF_HELD_NOT && !page->asked) {
        pager_fail_page(p, gfam, dpa, thread);
    } else {
        page->waited = true;
        p->giving_up = true;
    }
}

void pager_take_fault(ECAPager *p, const ECAFault *f)
{
    uint32_t gfam;
    Device *d = device_of(p, f->address, &gfam);
    Sleeper sleeper = { .thread = f->thread, .gfam = gfam };
    ECAWantKind kind;
    ECAPage *page;
    Request *r;
    uint64_t dpa;
    bool fails;

    if (!d) {
        return;
    }
    dpa = sleeper.dpa = (uint8_t *)f->address - d->front;
    page = pager_page_of(p, gfam, dpa);
    trace_eca_fault(p->host, gfam, dpa, f->write, page->held);
    fails = qatomic_read(&p->lost) ||
            !eca_has_or_tell(p->eca, gfam, dpa, CXLF_PAGE) ||
            (!page->failed && pager_has_no_way(p, gfam, dpa, true));
    if (page->sampled && !fails &&
        pager_is_held(page, f->write ? CXLF_OWN : CXLF_LOAD)) {
        map_again(p, gfam, dpa, f->write);
        return;
    }
    pager_count(p, gfam, dpa, CXLF_PAGE_FAULT, 1);
    eca_hot_event(p->eca, gfam, dpa, f->write);
    if (fails) {
        pager_fail_page(p, gfam, dpa, f->thread);
        return;
    }
    if (!page->failed && pager_soft_fault(p, gfam, dpa, f)) {
        return;
    }
    if (page->failed) {
        eca_uffd_wake(&p->uffd, f->address, CXLF_PAGE);
        return;
    }
    if (pager_is_held(page, f->write ? CXLF_OWN : CXLF_LOAD)) {
        map_again(p, gfam, dpa, f->write);
        return;
    }
    if (cxl_fabric_is_reserved(p->fabric, gfam, dpa)) {
        fault_on_reserved(p, gfam, dpa, f->thread);
        return;
    }
    g_array_append_val(p->sleepers, sleeper);
    kind = f->write ? ECA_WANT_OWNED : ECA_WANT_SHARED;
    r = pager_begin_request(p, kind, gfam,
                            dpa, eca_streams_fault(&p->streams, gfam, dpa,
                                                   p->options.order_min,
                                                   p->options.order_max,
                                                   eca_pages_order(&d->pages,
                                                                   dpa)));
    if (r) {
        r->fault = true;
    } else {
        page->waited = true;
    }
}

/* vCPUs for which somebody waits leave their accesses. */
void pager_park_sleepers(ECAPager *p)
{
    for (unsigned i = 0; i < p->sleepers->len; i++) {
        CPUState *cpu = eca_fail_cpu(
            g_array_index(p->sleepers, Sleeper, i).thread);

        if (cpu && eca_park_wanted(cpu)) {
            eca_park(cpu);
        }
    }
}
