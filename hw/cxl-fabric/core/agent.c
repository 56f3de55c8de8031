/*
 * Agent: requests for pages, and answers to snoops
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/agent.h"

/* Post to a host's mailbox at the home of a page. */
static bool post(const struct cxlf_agent *a, unsigned host,
                 struct cxlf_message message)
{
    struct cxlf_directory *d = a->directory;
    struct cxlf_home home;

    if (!cxlf_topology_home(&d->topology, CXLF_PAGE_UNIT, message.gfam,
                            message.dpa, &home) ||
        !cxlf_post(&d->leaf[home.leaf].mailboxes[host], message)) {
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
    if (cxlf_is_transient(page.state) || !(page.holders >> a->host & 1)) {
        return false;
    }
    return event == CXLF_LOAD || page.state == CXLF_E;
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
    default:
        return CXLF_FAILED;
    }
}

static enum cxlf_progress ask(const struct cxlf_agent *a,
                              struct cxlf_request *r)
{
    struct cxlf_move m;
    enum cxlf_progress progress = raise_event(a, r->gfam, r->dpa, r->event,
                                              &m);

    if (progress != CXLF_DONE) {
        return progress;
    }
    if (m.actions & CXLF_A_BUSY) {
        return CXLF_WAIT;
    }
    if (is_ours(a, m.after)) {
        r->to_post = m.after.holders;
        r->phase = CXLF_POST;
        return CXLF_MORE;
    }
    if (r->event == CXLF_RECALL) {
        return CXLF_DONE;
    }
    r->phase = CXLF_INSTALL;
    return CXLF_MORE;
}

static enum cxlf_progress post_next(const struct cxlf_agent *a,
                                    struct cxlf_request *r)
{
    struct cxlf_message snoop = { .gfam = r->gfam, .dpa = r->dpa };
    struct cxlf_line page;

    if (r->to_post == 0) {
        r->phase = CXLF_AWAIT;
        return CXLF_MORE;
    }
    if (!cxlf_peek(a->directory, CXLF_PAGE_UNIT, r->gfam, r->dpa, &page)) {
        return CXLF_FAILED;
    }
    snoop.kind = page.state == CXLF_E_S ? CXLF_BISNP_DATA : CXLF_BISNP_INV;
    if (!post(a, __builtin_ctzll(r->to_post), snoop)) {
        return CXLF_WAIT;       /* its mailbox is full */
    }
    r->to_post &= r->to_post - 1;
    return CXLF_MORE;
}

static enum cxlf_progress await(const struct cxlf_agent *a,
                                struct cxlf_request *r)
{
    struct cxlf_line page;

    if (!cxlf_peek(a->directory, CXLF_PAGE_UNIT, r->gfam, r->dpa, &page)) {
        return CXLF_FAILED;
    }
    if (is_ours(a, page)) {
        return CXLF_WAIT;
    }
    if (r->event == CXLF_RECALL) {
        return CXLF_DONE;
    }
    /* Granted; or granted and lost again before this look: ask again. */
    r->phase = is_granted(a, page, r->event) ? CXLF_INSTALL : CXLF_ASK;
    return CXLF_MORE;
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
        a->io->map(a->io->opaque, r->gfam, r->dpa, r->event == CXLF_OWN);
        return CXLF_DONE;
    default:
        return CXLF_FAILED;
    }
}

void cxlf_request_again(const struct cxlf_agent *a, struct cxlf_request *r)
{
    struct cxlf_line page;

    if (r->phase == CXLF_AWAIT &&
        cxlf_peek(a->directory, CXLF_PAGE_UNIT, r->gfam, r->dpa, &page) &&
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

    if (!cxlf_peek(a->directory, CXLF_PAGE_UNIT, s->gfam, s->dpa, &page)) {
        return CXLF_FAILED;
    }
    if (!cxlf_is_transient(page.state) || !(page.holders >> a->host & 1)) {
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
    enum cxlf_progress progress = raise_event(a, s->gfam, s->dpa, s->event,
                                              &m);

    if (progress != CXLF_DONE) {
        return progress;
    }
    if (cxlf_is_transient(m.before.state) &&
        !cxlf_is_transient(m.after.state)) {
        /* Only a hint: a requester that misses it looks again by itself. */
        post(a, m.before.requester, (struct cxlf_message) {
            .kind = CXLF_CMP, .gfam = s->gfam, .dpa = s->dpa });
    }
    return CXLF_DONE;
}

enum cxlf_progress cxlf_snoop_step(const struct cxlf_agent *a,
                                   struct cxlf_snoop *s)
{
    return s->phase == CXLF_LOOK ? look(a, s) : answer(a, s);
}
