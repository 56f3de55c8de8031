/*
 * Faults: hosts that die and come back, leaves that fail, links that break
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/mman.h>
#include "sim.h"

static const uint8_t uuid[16] = "cxlf-simulation";

static uint64_t next_fault(Sim *s, uint64_t count)
{
    uint64_t mean;

    if (count == 0) {
        return UINT64_MAX;
    }
    mean = s->o.ops / (count + 1) + 1;
    return s->issued + 1 + rng_next(&s->rng) % (2 * mean);
}

/* The owner's list of what is poisoned outlives the leaf's entries. */

static void list_poison(void *opaque, enum cxlf_kind kind, uint32_t gfam,
                        uint64_t dpa)
{
    Sim *s = opaque;
    Place *at = &s->place[sim_page_at(s, gfam, dpa / CXLF_PAGE * CXLF_PAGE)];

    if (kind == CXLF_PAGE_UNIT) {
        at->lost = true;
    } else {
        at->lost_units |= 1ull << dpa % CXLF_PAGE / s->o.grain;
    }
}

void faults_init(Sim *s)
{
    s->d.on_poison = list_poison;
    s->d.opaque = s;
    s->next_crash = next_fault(s, s->o.crash_hosts);
    s->next_leaf = next_fault(s, s->o.crash_leaves);
    s->next_partition = next_fault(s, s->o.partitions);
}

/* Life of a host */

void host_empty_log(Sim *s, Host *h)
{
    const char *why;

    memset(h->log_memory, 0, cxlf_log_size(s->o.log_slots));
    cxlf_log_format(h->log_memory, s->o.log_slots, h->number, uuid);
    if (!cxlf_log_attach(&h->log, h->log_memory,
                         cxlf_log_size(s->o.log_slots), h->number, uuid,
                         &why)) {
        sim_fail(s, 0, "set up", "log of host %u: %s", h->number, why);
    }
}

/* A new process under this number: nothing mapped, an empty log. */
void host_start(Sim *s, Host *h)
{
    struct cxlf_message m;

    memset(&h->op, 0, sizeof(h->op));
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        h->request[slot].active = h->request[slot].waiting = false;
    }
    h->snooping = h->stepping = false;
    h->late_zap = 0;
    h->cached_first = h->cached_count = 0;
    memset(h->inserting, 0, sizeof(h->inserting));
    host_empty_log(s, h);
    for (unsigned leaf = 0; h->incarnation && leaf < s->o.leaves; leaf++) {
        while (cxlf_take(&s->d.leaf[leaf].mailboxes[h->number], &m)) {
            continue;
        }
    }
    page_agent_init(s, h);
    h->life = ALIVE;
    workload_start(s, h);
}

/* In the middle of something, as far as others can see. */
static bool is_involved(const Host *h)
{
    const Request *main = &h->request[MAIN], *side = &h->request[SIDE];

    return h->snooping || (side->active && side->r.phase != CXLF_ASK) ||
           (main->active && main->r.phase != CXLF_ASK);
}

static void crash_host(Sim *s)
{
    unsigned alive = 0, first = rng_below(&s->rng, s->o.hosts);
    bool choose = rng_below(&s->rng, 2), fast = rng_below(&s->rng, 3) == 0;
    Host *h = NULL;

    for (unsigned i = 0; i < s->o.hosts; i++) {
        Host *at = &s->host[(first + i) % s->o.hosts];

        if (at->life == ALIVE) {
            alive++;
            h = !h || (choose && !is_involved(h)) ? at : h;
        }
    }
    if (alive < 2) {
        return;
    }
    h->life = DEAD;
    h->incarnation++;
    s->stats.crashes++;
    note(s, H_CRASH, h->number, 0, 0, NULL, 0);
    sim_post(s, fast ? 1 + rng_below(&s->rng, 1500) :
             sim_about(s, 20 * US), EV_RECOVER, h->number, 0);
}

static bool all_leaves_up(const Sim *s)
{
    for (unsigned leaf = 0; leaf < s->o.leaves; leaf++) {
        if (!s->leaf_up[leaf]) {
            return false;
        }
    }
    return true;
}

/* Note which cells a recovery is going to reach. */
static void cover_recovery(Sim *s, unsigned host, enum cxlf_event event)
{
    struct cxlf_line line;

    if (s->pages * s->units_per_page > 1u << 14) {
        return;
    }
    for (uint32_t page = 0; page < s->pages; page++) {
        const Place *at = &s->place[page];

        for (unsigned u = 0; u < s->units_per_page; u++) {
            if ((page < s->o.hot_pages || s->line_pages) &&
                cxlf_peek(&s->d, CXLF_LINE_UNIT, at->gfam, at->dpa +
                          u * s->o.grain, &line) &&
                cxlf_relation(line, host, s->t.hosts) != CXLF_STRANGER) {
                cover(s, CXLF_LINE_UNIT, line, host, event);
            }
        }
        if (cxlf_peek(&s->d, CXLF_PAGE_UNIT, at->gfam, at->dpa, &line) &&
            cxlf_relation(line, host, s->t.hosts) != CXLF_STRANGER) {
            cover(s, CXLF_PAGE_UNIT, line, host, event);
        }
    }
}

/* An owner may say it more than once: it changes nothing any more. */
static void recover_again(Sim *s, unsigned host, enum cxlf_event event)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t page = rng_below(&s->rng, s->pages);
        const Place *at = &s->place[page];
        struct cxlf_move m = { 0 };

        if (cxlf_page_event(&s->d, host, at->gfam, at->dpa, event, &m) ==
            CXLF_OK) {
            cover(s, CXLF_PAGE_UNIT, m.before, host, event);
        }
        if ((page < s->o.hot_pages || s->line_pages) &&
            cxlf_line_event(&s->d, host, at->gfam, at->dpa, event, &m) ==
            CXLF_OK) {
            cover(s, CXLF_LINE_UNIT, m.before, host, event);
        }
    }
}

void host_recover(Sim *s, Host *h)
{
    enum cxlf_event event = s->o.poison ? CXLF_LOSS : CXLF_DEATH;

    if (!all_leaves_up(s)) {
        /* What it held there must be rebuilt before it can be recovered. */
        sim_post(s, 10 * US, EV_RECOVER, h->number, 0);
        return;
    }
    cover_recovery(s, h->number, event);
    if (s->o.breaks != NO_DEATH) {
        cxlf_give_up(&s->d, h->number, event, NULL);
    }
    note(s, H_RECOVERED, h->number, 0, 0, NULL, event);
    truth_recover(s, h->number, s->o.poison);
    h->life = GONE;
    s->stats.recoveries++;
    check_recovered(s, h->number);
    recover_again(s, h->number, rng_below(&s->rng, 2) ? CXLF_LOSS :
                                                        CXLF_DEATH);
    sim_post(s, sim_about(s, 100 * US), EV_REJOIN, h->number, 0);
}

void host_rejoin(Sim *s, Host *h)
{
    if (s->issued >= s->o.ops) {
        return;
    }
    if (!all_leaves_up(s)) {
        sim_post(s, 10 * US, EV_REJOIN, h->number, 0);
        return;
    }
    s->stats.rejoins++;
    note(s, H_REJOIN, h->number, 0, 0, NULL, 0);
    host_start(s, h);
    sim_post(s, 1, EV_CPU, h->number, 0);
}

/* Life of a leaf */

void leaf_empty(Sim *s, unsigned leaf)
{
    uint32_t incarnation = s->d.leaf[leaf].live->incarnation;
    const char *why;

    madvise(s->leaf_memory[leaf], s->leaf_size, MADV_DONTNEED);
    cxlf_leaf_format(s->leaf_memory[leaf], &s->t, leaf, uuid);
    if (!cxlf_leaf_attach(&s->d, s->leaf_memory[leaf], s->leaf_size, leaf,
                          uuid, &why)) {
        sim_fail(s, 0, "set up", "leaf %u: %s", leaf, why);
    }
    s->d.leaf[leaf].live->incarnation = incarnation;
}

static void fail_leaf(Sim *s)
{
    unsigned leaf = rng_below(&s->rng, s->o.leaves);

    if (!s->leaf_up[leaf]) {
        return;
    }
    s->leaf_up[leaf] = false;
    s->stats.leaf_failures++;
    note(s, H_LEAF_DOWN, 0, 0, leaf, NULL, 0);
    report_add_counters(s, leaf);
    leaf_empty(s, leaf);
    cxlf_leaf_set(&s->d, leaf, CXLF_LEAF_DOWN);
    truth_forget_leaf(s, leaf);
    for (unsigned host = 0; host < s->o.hosts; host++) {
        line_abandon(s, &s->host[host], leaf);
    }
    sim_post(s, sim_about(s, 30 * US), EV_LEAF_RETURN, 0, leaf);
}

void poison_cleared(Sim *s, bool by_page, uint32_t page, unsigned line)
{
    Place *at = &s->place[page];

    s->stats.cleared++;
    if (by_page) {
        at->lost = false;
        truth_clear_page(s, page);
    } else {
        at->lost_units &= ~(1ull << line / s->lines_per_unit);
        truth_clear_unit(s, unit_of(s, page, line));
    }
}

static void return_poison(Sim *s, enum cxlf_kind kind, uint32_t page,
                          uint64_t offset)
{
    const Place *at = &s->place[page];
    struct cxlf_line entry;

    if (cxlf_peek(&s->d, kind, at->gfam, at->dpa + offset, &entry)) {
        cover(s, kind, entry, 0, CXLF_REBUILD_P);
    }
    if (!cxlf_rebuild_poison(&s->d, kind, at->gfam, at->dpa + offset)) {
        sim_fail(s, page, "poison comes back", "offset %lu", offset);
    }
    s->stats.poison_returned++;
}

static void return_all_poison(Sim *s, unsigned leaf)
{
    for (uint32_t page = 0; page < s->pages; page++) {
        const Place *at = &s->place[page];

        /* Some of it twice: that must not matter. */
        for (unsigned i = 0; at->lost && at->page_leaf == leaf &&
             i < 1 + rng_below(&s->rng, 2); i++) {
            return_poison(s, CXLF_PAGE_UNIT, page, 0);
        }
        for (uint64_t left = at->line_leaf == leaf ? at->lost_units : 0;
             left; left &= left - 1) {
            return_poison(s, CXLF_LINE_UNIT, page,
                          __builtin_ctzll(left) * s->o.grain);
        }
    }
}

void leaf_return(Sim *s, unsigned leaf)
{
    cxlf_leaf_set(&s->d, leaf, CXLF_LEAF_REBUILDING);
    if (s->o.breaks != NO_POISON_LIST) {
        return_all_poison(s, leaf);
    }
    for (unsigned host = 0; host < s->o.hosts; host++) {
        if (s->host[host].life != GONE) {
            sim_post(s, 1 + rng_below(&s->rng, 20000), EV_REBUILD, host,
                     leaf);
        }
    }
}

static void cover_rebuild(Sim *s, const Host *h, unsigned leaf)
{
    struct cxlf_log_page page;
    struct cxlf_line line;
    uint64_t cursor = 0;

    while (cxlf_log_next(&h->log, &cursor, &page, NULL)) {
        if (s->place[sim_page_at(s, page.gfam, page.dpa)].page_leaf == leaf &&
            cxlf_peek(&s->d, CXLF_PAGE_UNIT, page.gfam, page.dpa, &line)) {
            cover(s, CXLF_PAGE_UNIT, line, h->number,
                  page.held == CXLF_HELD_OWNED ? CXLF_REBUILD_E :
                                                 CXLF_REBUILD_S);
        }
    }
}

/* A host does it itself; the owner of the fabric does it for the dead. */
void leaf_rebuild(Sim *s, Host *h, unsigned leaf)
{
    uint64_t live[64] = { 0 }, conflicts;

    cover_rebuild(s, h, leaf);
    s->stats.rebuilt += cxlf_rebuild(&s->d, h->number, leaf, &h->log,
                                     &conflicts);
    note(s, H_REBUILD, h->number, 0, leaf, NULL, 0);
    if (conflicts) {
        sim_fail(s, 0, "logs agree", "%lu pages of host %u are otherwise in "
                 "other hosts' logs", conflicts, h->number);
    }
    for (unsigned host = 0; host < s->o.hosts; host++) {
        if (s->host[host].life != GONE) {
            live[host / 64] |= 1ull << host % 64;
        }
    }
    if (cxlf_leaf_resume(&s->d, leaf, live)) {
        s->leaf_up[leaf] = true;
        note(s, H_LEAF_UP, 0, 0, leaf, NULL, 0);
        for (uint32_t page = 0; page < s->pages; page++) {
            if (s->place[page].page_leaf == leaf) {
                check_page(s, page);
            }
        }
    }
}

/* Links */

/* A link; or all of a leaf, which then is apart from the other leaves. */
static void break_link(Sim *s)
{
    uint64_t until = s->now + sim_about(s, 20 * US);

    s->stats.partitions++;
    if (rng_below(&s->rng, 3) == 0) {
        network_cut_leaf(s, rng_below(&s->rng, s->o.leaves), until);
    } else {
        network_link(s, rng_below(&s->rng, network_links(s)))->up_at = until;
    }
}

void faults_due(Sim *s)
{
    if (s->issued >= s->next_crash) {
        crash_host(s);
        s->next_crash = next_fault(s, s->o.crash_hosts);
    }
    if (s->issued >= s->next_leaf) {
        fail_leaf(s);
        s->next_leaf = next_fault(s, s->o.crash_leaves);
    }
    if (s->issued >= s->next_partition) {
        break_link(s);
        s->next_partition = next_fault(s, s->o.partitions);
    }
}
