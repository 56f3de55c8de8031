/*
 * Agent: requests for pages, and answers to snoops
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/agent.h"
#include "cxlf/leaf.h"

static bool home_of(const struct cxlf_agent *a, uint32_t gfam, uint64_t dpa,
                    struct cxlf_home *home)
{
    return cxlf_topology_home(&a->directory->topology, CXLF_PAGE_UNIT, gfam,
                              dpa, home);
}

static unsigned hosts_of(const struct cxlf_agent *a)
{
    return a->directory->topology.hosts;
}

/* Post to a host's mailbox at the home of a page. */
static bool post(const struct cxlf_agent *a, unsigned host,
                 struct cxlf_message message)
{
    struct cxlf_home home;

    if (!home_of(a, message.gfam, message.dpa, &home) ||
        !cxlf_post(&a->directory->leaf[home.leaf].mailboxes[host],
                   message)) {
        return false;
    }
    a->io->wake(a->io->opaque, host);
    return true;
}

/* Whether an entry shows the transaction of this host. */
static bool is_ours(const struct cxlf_agent *a, struct cxlf_line page)
{
    return cxlf_is_transient(page.state) && page.requester == a->host;
}

static bool is_granted(const struct cxlf_agent *a, struct cxlf_line page,
                       enum cxlf_event event)
{
    if (!cxlf_set_has(page.holders, a->host, hosts_of(a))) {
        return false;
    }
    /*
     * It may be wanted by another host already: until this one has answered
     * it is this one's, and it must be used once, or two hosts that take it
     * from each other never get to use it.
     */
    return event == CXLF_LOAD || page.state == CXLF_E ||
           page.state == CXLF_E_E || page.state == CXLF_E_S ||
           page.state == CXLF_E_I;
}

static bool peek(const struct cxlf_agent *a, uint32_t gfam, uint64_t dpa,
                 struct cxlf_line *page)
{
    return cxlf_peek(a->directory, CXLF_PAGE_UNIT, gfam, dpa, page);
}

/* Entries of a leaf that is not up say nothing. */
static bool is_up(const struct cxlf_agent *a, uint32_t gfam, uint64_t dpa)
{
    struct cxlf_home home;

    return home_of(a, gfam, dpa, &home) &&
           cxlf_leaf_get(a->directory, home.leaf) == CXLF_LEAF_UP;
}

/* What a page's entry shows now: CXLF_DONE, unless that is nothing. */
static enum cxlf_progress look_up(const struct cxlf_agent *a, uint32_t gfam,
                                  uint64_t dpa, struct cxlf_line *page)
{
    if (!is_up(a, gfam, dpa)) {
        return CXLF_WAIT;
    }
    return peek(a, gfam, dpa, page) ? CXLF_DONE : CXLF_FAILED;
}

/* Whether what was asked for was asked of the leaf as it is now. */
static bool is_current(const struct cxlf_agent *a,
                       const struct cxlf_request *r)
{
    struct cxlf_home home;

    return home_of(a, r->gfam, r->dpa, &home) &&
           cxlf_leaf_get(a->directory, home.leaf) == CXLF_LEAF_UP &&
           cxlf_leaf_incarnation(a->directory, home.leaf) == r->incarnation;
}

static void note_incarnation(const struct cxlf_agent *a,
                             struct cxlf_request *r)
{
    struct cxlf_home home;

    if (home_of(a, r->gfam, r->dpa, &home)) {
        r->incarnation = cxlf_leaf_incarnation(a->directory, home.leaf);
    }
}

/* Raise an event once; CXLF_DONE says that @m is what it did. */
static enum cxlf_progress raise_event(const struct cxlf_agent *a,
                                      uint32_t gfam, uint64_t dpa,
                                      enum cxlf_event event,
                                      struct cxlf_move *m)
{
    switch (cxlf_page_event(a->directory, a->host, gfam, dpa, event, m)) {
    case CXLF_OK:
        return CXLF_DONE;
    case CXLF_AGAIN:
        return CXLF_MORE;
    case CXLF_WITHHELD:
        return CXLF_WAIT;
    case CXLF_POISONED:
        return CXLF_LOST;
    default:
        return CXLF_FAILED;
    }
}

/* Go on with what the request is for, now that nobody has the page. */
static enum cxlf_progress recalled(struct cxlf_request *r)
{
    if (!r->recall) {
        return CXLF_DONE;
    }
    r->recall = false;
    r->phase = CXLF_ASK;
    return CXLF_MORE;
}

/* More sharers than can be named: by lines, or else without the others. */
static enum cxlf_progress overflow(const struct cxlf_agent *a,
                                   struct cxlf_request *r)
{
    if (cxlf_can_promote(a->directory, r->gfam, r->dpa)) {
        r->event = CXLF_PROMOTE;
    }
    r->recall = true;
    return CXLF_MORE;
}

static enum cxlf_progress busy(struct cxlf_request *r, struct cxlf_line page)
{
    if (r->event == CXLF_PROMOTE && !cxlf_is_transient(page.state)) {
        r->recall = true;
        return CXLF_MORE;
    }
    return CXLF_WAIT;
}

/* This host's transaction has begun. */
static enum cxlf_progress begin(const struct cxlf_agent *a,
                                struct cxlf_request *r, struct cxlf_line page)
{
    struct cxlf_home home;

    if (page.state == CXLF_L_I && home_of(a, r->gfam, r->dpa, &home)) {
        r->epoch = cxlf_epoch(a->directory, home.leaf);
        r->phase = CXLF_QUIESCE;
    } else {
        r->to_post = page.holders;
        r->phase = CXLF_POST;
    }
    return CXLF_MORE;
}

/*
 * Whether there is nothing to evict: a snoop has taken the page meanwhile,
 * and it may be one of lines by now, or the leaf has lost what it knew.
 */
static bool is_gone(const struct cxlf_agent *a, const struct cxlf_request *r)
{
    struct cxlf_line page;

    return look_up(a, r->gfam, r->dpa, &page) == CXLF_DONE &&
           cxlf_relation(page, a->host, hosts_of(a)) == CXLF_STRANGER;
}

/* A page has been zapped, before others are told. */
static void forget(const struct cxlf_agent *a, uint32_t gfam, uint64_t dpa)
{
    if (a->log) {
        cxlf_log_drop(a->log, gfam, dpa);
    }
}

/* A page has been made read-only, before others are told. */
static void lower(const struct cxlf_agent *a, uint32_t gfam, uint64_t dpa)
{
    if (a->log && cxlf_log_get(a->log, gfam, dpa) != CXLF_HELD_NOT) {
        cxlf_log_hold(a->log, gfam, dpa, CXLF_HELD_SHARED);
    }
}

static enum cxlf_progress ask(const struct cxlf_agent *a,
                              struct cxlf_request *r)
{
    enum cxlf_event event = r->recall ? CXLF_RECALL : r->event;
    struct cxlf_move m;
    enum cxlf_progress progress;

    if (event == CXLF_EVICT) {
        forget(a, r->gfam, r->dpa);
    }
    if (event == CXLF_EVICT && is_gone(a, r)) {
        return CXLF_DONE;
    }
    note_incarnation(a, r);
    progress = raise_event(a, r->gfam, r->dpa, event, &m);
    if (progress != CXLF_DONE) {
        return progress;
    }
    if (m.actions & CXLF_A_OVERFLOW) {
        return overflow(a, r);
    }
    if (m.actions & CXLF_A_BUSY) {
        return busy(r, m.after);
    }
    if (m.actions & CXLF_A_LINES || event == CXLF_PROMOTE) {
        return CXLF_LINES;
    }
    if (event == CXLF_EVICT) {
        return CXLF_DONE;
    }
    if (is_ours(a, m.after)) {
        return begin(a, r, m.after);
    }
    if (event == CXLF_RECALL) {
        return recalled(r);
    }
    r->phase = CXLF_INSTALL;
    return CXLF_MORE;
}

static enum cxlf_progress post_next(const struct cxlf_agent *a,
                                    struct cxlf_request *r)
{
    struct cxlf_message snoop = { .gfam = r->gfam, .dpa = r->dpa };
    unsigned host = cxlf_set_next(r->to_post, 0, hosts_of(a));
    struct cxlf_line page;

    if (host == hosts_of(a) || !is_up(a, r->gfam, r->dpa)) {
        r->phase = CXLF_AWAIT;
        return CXLF_MORE;
    }
    if (!peek(a, r->gfam, r->dpa, &page)) {
        return CXLF_FAILED;
    }
    snoop.kind = page.state == CXLF_E_S ? CXLF_BISNP_DATA : CXLF_BISNP_INV;
    if (!post(a, host, snoop)) {
        return CXLF_WAIT;       /* its mailbox is full */
    }
    r->to_post = cxlf_set_remove(r->to_post, host, hosts_of(a));
    return CXLF_MORE;
}

static enum cxlf_progress await(const struct cxlf_agent *a,
                                struct cxlf_request *r)
{
    struct cxlf_line page;
    enum cxlf_progress progress = look_up(a, r->gfam, r->dpa, &page);

    if (progress != CXLF_DONE) {
        return progress;
    }
    if (is_ours(a, page)) {
        return CXLF_WAIT;
    }
    if (!is_current(a, r)) {
        /* The leaf has lost the transaction. */
        r->phase = CXLF_ASK;
        return CXLF_MORE;
    }
    if (r->recall || r->event == CXLF_RECALL) {
        return recalled(r);
    }
    /* Granted; or granted and lost again before this look: ask again. */
    r->phase = is_granted(a, page, r->event) ? CXLF_INSTALL : CXLF_ASK;
    return CXLF_MORE;
}

static enum cxlf_progress install(const struct cxlf_agent *a,
                                  struct cxlf_request *r)
{
    bool writable = r->event == CXLF_OWN;

    if (!is_current(a, r)) {
        r->phase = CXLF_ASK;
        return CXLF_MORE;
    }
    if (a->log && !cxlf_log_hold(a->log, r->gfam, r->dpa,
                                 writable ? CXLF_HELD_OWNED :
                                            CXLF_HELD_SHARED)) {
        struct cxlf_move m;

        /* Nothing is mapped yet, so it can be given back at once. */
        raise_event(a, r->gfam, r->dpa, CXLF_EVICT, &m);
        r->phase = CXLF_ASK;
        return CXLF_FULL;
    }
    a->io->map(a->io->opaque, r->gfam, r->dpa, writable);
    return CXLF_DONE;
}

/* Whether this host's demotion is still on; else it begins again. */
static enum cxlf_progress check_demotion(const struct cxlf_agent *a,
                                         struct cxlf_request *r)
{
    struct cxlf_line page;
    enum cxlf_progress progress = look_up(a, r->gfam, r->dpa, &page);

    if (progress != CXLF_DONE) {
        return progress;
    }
    if (page.state != CXLF_L_I || !is_ours(a, page)) {
        /* The leaf has lost it. */
        r->phase = CXLF_ASK;
        return CXLF_MORE;
    }
    return CXLF_DONE;
}

static enum cxlf_progress quiesce(const struct cxlf_agent *a,
                                  struct cxlf_request *r)
{
    enum cxlf_progress progress = check_demotion(a, r);
    struct cxlf_home home;

    if (progress != CXLF_DONE) {
        return progress;
    }
    if (!home_of(a, r->gfam, r->dpa, &home)) {
        return CXLF_FAILED;
    }
    if (cxlf_epoch(a->directory, home.leaf) < r->epoch + 2) {
        return cxlf_advance(a->directory, home.leaf) ? CXLF_MORE : CXLF_WAIT;
    }
    r->line = 0;
    r->phase = CXLF_TAKE;
    return CXLF_MORE;
}

/*
 * A line is poisoned, which a page could not say of a part of it: the page
 * stays one of lines, as after its requester's end.
 */
static enum cxlf_progress withdraw(const struct cxlf_agent *a,
                                   struct cxlf_request *r)
{
    struct cxlf_move m;
    enum cxlf_progress progress = raise_event(a, r->gfam, r->dpa, CXLF_DEATH,
                                              &m);

    return progress == CXLF_DONE ? CXLF_LOST : progress;
}

static enum cxlf_progress take(const struct cxlf_agent *a,
                               struct cxlf_request *r)
{
    uint32_t grain = cxlf_topology_grain(&a->directory->topology);
    enum cxlf_progress progress = check_demotion(a, r);
    struct cxlf_move m;

    if (progress != CXLF_DONE) {
        return progress;
    }
    if (r->line == CXLF_PAGE / grain) {
        progress = raise_event(a, r->gfam, r->dpa, CXLF_DEMOTED, &m);
        return progress == CXLF_DONE ? recalled(r) : progress;
    }
    switch (cxlf_line_event(a->directory, a->host, r->gfam,
                            r->dpa + r->line * grain, CXLF_RECALL, &m)) {
    case CXLF_OK:
        if (m.after.state == CXLF_P) {
            return withdraw(a, r);
        }
        r->line++;
        return CXLF_MORE;
    case CXLF_AGAIN:
        return CXLF_MORE;
    case CXLF_WITHHELD:
    case CXLF_BY_PAGE:
        return CXLF_WAIT;
    default:
        return CXLF_FAILED;
    }
}

enum cxlf_progress cxlf_request_step(const struct cxlf_agent *a,
                                     struct cxlf_request *r)
{
    switch (r->phase) {
    case CXLF_ASK:
        return ask(a, r);
    case CXLF_POST:
        return post_next(a, r);
    case CXLF_AWAIT:
        return await(a, r);
    case CXLF_INSTALL:
        return install(a, r);
    case CXLF_ZAP:
        a->io->zap(a->io->opaque, r->gfam, r->dpa);
        r->phase = CXLF_ASK;
        return CXLF_MORE;
    case CXLF_QUIESCE:
        return quiesce(a, r);
    case CXLF_TAKE:
        return take(a, r);
    default:
        return CXLF_FAILED;
    }
}

void cxlf_request_again(const struct cxlf_agent *a, struct cxlf_request *r)
{
    struct cxlf_line page;

    if (r->phase == CXLF_AWAIT && peek(a, r->gfam, r->dpa, &page) &&
        is_ours(a, page)) {
        r->to_post = page.holders;
        r->phase = CXLF_POST;
    }
}

/* Take away what the entry says must go; the message itself is a hint. */
static enum cxlf_progress look(const struct cxlf_agent *a,
                               struct cxlf_snoop *s)
{
    struct cxlf_line page;
    enum cxlf_progress progress = look_up(a, s->gfam, s->dpa, &page);

    if (progress != CXLF_DONE) {
        /* A leaf that is not up has lost the transaction. */
        return progress == CXLF_WAIT ? CXLF_DONE : progress;
    }
    if (!cxlf_is_transient(page.state) ||
        !cxlf_set_has(page.holders, a->host, hosts_of(a))) {
        return CXLF_DONE;
    }
    if (page.state == CXLF_E_S) {
        a->io->protect(a->io->opaque, s->gfam, s->dpa);
        s->event = CXLF_RSP_S;
    } else {
        a->io->zap(a->io->opaque, s->gfam, s->dpa);
        s->event = CXLF_RSP_I;
    }
    s->phase = CXLF_ANSWER;
    return CXLF_MORE;
}

static enum cxlf_progress answer(const struct cxlf_agent *a,
                                 struct cxlf_snoop *s)
{
    struct cxlf_move m;
    enum cxlf_progress progress;

    if (s->event == CXLF_RSP_S) {
        lower(a, s->gfam, s->dpa);
    } else {
        forget(a, s->gfam, s->dpa);
    }
    progress = raise_event(a, s->gfam, s->dpa, s->event, &m);
    if (progress == CXLF_WAIT) {
        /* The leaf is gone, and the transaction with it. */
        return CXLF_DONE;
    }
    if (progress != CXLF_DONE) {
        return progress;
    }
    if (cxlf_is_transient(m.before.state) &&
        !cxlf_is_transient(m.after.state)) {
        s->ended = m.before.requester + 1;
    }
    if (s->ended && !a->quiet) {
        /* Only a hint: a requester that misses it looks again by itself. */
        post(a, s->ended - 1, (struct cxlf_message) {
            .kind = CXLF_CMP, .gfam = s->gfam, .dpa = s->dpa });
    }
    return CXLF_DONE;
}

enum cxlf_progress cxlf_snoop_step(const struct cxlf_agent *a,
                                   struct cxlf_snoop *s)
{
    return s->phase == CXLF_LOOK ? look(a, s) : answer(a, s);
}
