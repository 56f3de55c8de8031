/*
 * Steps in the life of hosts and leaves: death, recovery, reset, epochs,
 * failure and return of the leaf
 *
 * What an access would still do when its leaf vanishes, it does in memory
 * that nobody else sees any more: it ends there.  A host attaches itself to
 * the leaf that has returned between its accesses, and never between the
 * grant of a page and its mapping.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "check.h"

/* Recovery of an entry: what the dead host alone had is kept, or lost. */
static void settle_value(State *s, Entry e, unsigned host)
{
    if (e.tag && e.state != CXLF_F && s->line_value[e.tag - 1] == host + 1) {
        s->line_value[e.tag - 1] = may(WISH_LOSS) ? LOST : KEPT;
    }
}

static enum cxlf_event death_event(void)
{
    return may(WISH_LOSS) ? CXLF_LOSS : CXLF_DEATH;
}

/* Entries that recovery looks at, lines first, as the code does. */
static unsigned entry_count(void)
{
    return directory.entries[CXLF_LINE_UNIT] +
           directory.entries[CXLF_PAGE_UNIT];
}

/* The directory as it is when one entry is all there is. */
static void only_entry(struct cxlf_directory *d, unsigned i)
{
    struct cxlf_leaf_view *leaf = &d->leaf[0];
    unsigned lines = directory.entries[CXLF_LINE_UNIT];

    *d = directory;
    d->entries[CXLF_LINE_UNIT] = i < lines;
    d->entries[CXLF_PAGE_UNIT] = i >= lines && i < entry_count();
    if (i < lines) {
        leaf->table[CXLF_LINE_UNIT].entries += i;
    } else if (i < entry_count()) {
        leaf->table[CXLF_PAGE_UNIT].entries += i - lines;
    }
}

/* Recovery comes to its next entry, or after the last to the counts. */
static void recover_entry(State *s, unsigned host)
{
    static struct cxlf_directory part;
    static struct cxlf_inside elsewhere[MAX_HOSTS];
    HostState *h = &s->host[host];

    only_entry(&part, h->recovered);
    if (h->recovered < directory.entries[CXLF_LINE_UNIT]) {
        settle_value(s, s->line[h->recovered], host);
    }
    if (h->recovered < entry_count()) {
        part.leaf[0].inside = elsewhere;
        h->recovered++;
    } else {
        h->life = RECOVERED;
        h->recovered = 0;
    }
    cxlf_give_up(&part, host, death_event(), NULL);
}

/* --break: what recovery can forget */
static void put_back(State *s, const State *old, unsigned host)
{
    for (unsigned i = 0; i < MAX_LINES; i++) {
        if (config.broken == BREAK_KEPT_NEW &&
            old->line[i].state == CXLF_N && is_named(old->line[i], host)) {
            s->line[i] = old->line[i];
        }
    }
    if (config.broken == BREAK_KEPT_INSIDE) {
        memcpy(s->host[host].inside, old->host[host].inside, 2);
    }
}

static void recover(Explorer *e, const State *s, unsigned host)
{
    State n = *s;

    load(&n, host);
    if (may(WISH_SPLIT)) {
        recover_entry(&n, host);
    } else {
        for (unsigned i = 0; i < directory.entries[CXLF_LINE_UNIT]; i++) {
            settle_value(&n, n.line[i], host);
        }
        cxlf_give_up(&directory, host, death_event(), NULL);
        n.host[host].life = RECOVERED;
    }
    save(&n);
    put_back(&n, s, host);
    add(e, &n, may(WISH_SPLIT) ? "recover an entry" : "recover");
}

/*
 * An entry that has changed between recovery's look at it and its
 * compare-and-swap: the host has no part in it any more.
 */
static void recover_late(Explorer *e, const State *s, unsigned host)
{
    struct cxlf_move m;
    State n;

    for (unsigned p = 0; p < config.pages; p++) {
        if (!is_named(s->page[p], host)) {
            n = *s;
            load(&n, host);
            if (cxlf_page_event(&directory, host, 0, p * CXLF_PAGE,
                                death_event(), &m) != CXLF_OK) {
                fail(STEP_FAILS);
            }
            save(&n);
            add(e, &n, "recover a page late");
        }
    }
    for (unsigned l = 0; l < config.lines && !config.ways; l++) {
        if (!is_named(s->line[l], host)) {
            n = *s;
            load(&n, host);
            cxlf_line_event(&directory, host, 0, line_dpa(l), death_event(),
                            &m);
            save(&n);
            add(e, &n, "recover a line late");
        }
    }
}

/* Nothing of what is in its own memory is left; what it counted is. */
static void die(State *s, unsigned host)
{
    HostState *h = &s->host[host], dead = { .life = DEAD };

    memcpy(dead.inside, h->inside, sizeof(dead.inside));
    *h = dead;
    for (unsigned i = 0; i < MAX_LINES; i++) {
        s->looked[i] &= ~(1 << host);
    }
    for (unsigned p = 0; p < config.pages; p++) {
        if (s->page_value[p] == host + 1) {
            s->page_value[p] = may(WISH_LOSS) ? LOST : KEPT;
        }
    }
    s->crashes--;
}

/*
 * An orderly end, or a reset: the vCPUs stand, nothing is mapped, requests
 * are forgotten; then all is given up.
 */
static void reset(Explorer *e, const State *s, unsigned host)
{
    const HostState *h = &s->host[host];
    HostState after = { .life = ALIVE };
    State n = *s;

    if (h->uses || h->snoops || s->leaf != CXLF_LEAF_UP) {
        return;
    }
    memcpy(after.mail, h->mail, sizeof(after.mail));
    for (unsigned p = 0; p < config.pages; p++) {
        if (n.page_value[p] == host + 1) {
            n.page_value[p] = KEPT;
        }
    }
    n.host[host] = after;
    load(&n, host);
    cxlf_give_up(&directory, host, CXLF_EVICT, NULL);
    for (unsigned l = 0; l < config.lines; l++) {
        if (n.line_value[l] == host + 1) {
            note_writeback(&n, l);
        }
    }
    save(&n);
    add(e, &n, "reset");
}

static void rebuild(Explorer *e, const State *s, unsigned host)
{
    const HostState *h = &s->host[host];
    uint64_t conflicts;
    State n = *s;

    if (s->leaf != CXLF_LEAF_REBUILDING || h->uses ||
        (s->rebuilt >> host & 1 && !may(WISH_STRAY))) {
        return;
    }
    load(&n, host);
    cxlf_rebuild(&directory, host, 0, &logs[host], &conflicts);
    if (conflicts && !may(WISH_BAD_LOG)) {
        fail(CONFLICT);
    }
    save(&n);
    add(e, &n, "rebuild");
}

/* Somebody has written into a log what is not so. */
static void spoil_log(Explorer *e, const State *s, unsigned host)
{
    for (unsigned p = 0; s->leaf == CXLF_LEAF_REBUILDING &&
         p < config.pages; p++) {
        State n = *s;

        n.host[host].log[p] = (n.host[host].log[p] + 1) % 3;
        add(e, &n, "a log is spoiled");
    }
}

void expand_life(Explorer *e, const State *s, unsigned host)
{
    State n = *s;

    if (s->host[host].life == DEAD) {
        recover(e, s, host);
        if (may(WISH_STRAY) && s->leaf == CXLF_LEAF_UP) {
            recover_late(e, s, host);
        }
        return;
    }
    if (s->host[host].life == RECOVERED) {
        if (may(WISH_REJOIN)) {
            n.host[host].life = ALIVE;
            add(e, &n, "a host comes back");
        }
        return;
    }
    if (s->crashes && !(may(WISH_THREADS) && number_of(host) == 0)) {
        die(&n, host);
        add(e, &n, "a host dies");
    }
    if (may(WISH_RESET)) {
        reset(e, s, host);
    }
    if (config.failures) {
        rebuild(e, s, host);
        if (may(WISH_BAD_LOG)) {
            spoil_log(e, s, host);
        }
    }
}

/* The leaf's memory is gone, and with it all that hosts may do by it. */
static void vanish(State *s)
{
    memset(s->page, 0, sizeof(s->page));
    memset(s->line, 0, sizeof(s->line));
    memset(s->touched, 0, sizeof(s->touched));
    memset(s->looked, 0, sizeof(s->looked));
    s->leaf = CXLF_LEAF_DOWN;
    s->rebuilt = s->advancing = 0;
    s->failures--;
    for (unsigned l = 0; l < config.lines; l++) {
        s->line_value[l] = s->line_value[l] == LOST ? LOST : KEPT;
    }
    for (unsigned i = 0; i < config.hosts; i++) {
        HostState *h = &s->host[i];

        memset(h->inside, 0, sizeof(h->inside));
        memset(h->mail, 0, sizeof(h->mail));
        memset(h->belief, 0, sizeof(h->belief));
        h->uses = h->use_line = h->use_event = h->use_phase = 0;
        h->use_ticket = h->use_way = h->use_own = h->use_locked = 0;
    }
}

static void come_back(Explorer *e, const State *s)
{
    State n = *s;

    for (unsigned h = 0; h < config.hosts; h++) {
        if (s->host[h].uses) {
            return;
        }
    }
    load(&n, 0);
    cxlf_leaf_set(&directory, 0, CXLF_LEAF_REBUILDING);
    save(&n);
    add(e, &n, "the leaf returns");
}

/* From the owner's list, and the logs of who died without a rebuild. */
static void return_poison(const State *s)
{
    struct cxlf_line line;

    for (unsigned p = 0; p < config.pages; p++) {
        if (s->page_value[p] == LOST &&
            cxlf_peek(&directory, CXLF_PAGE_UNIT, 0, p * CXLF_PAGE, &line) &&
            (line.state == CXLF_I || line.state == CXLF_L ||
             line.state == CXLF_P) &&
            !cxlf_rebuild_poison(&directory, CXLF_PAGE_UNIT, 0,
                                 p * CXLF_PAGE)) {
            fail(STEP_FAILS);
        }
    }
    for (unsigned l = 0; l < config.lines; l++) {
        if (s->line_value[l] == LOST &&
            !cxlf_rebuild_poison(&directory, CXLF_LINE_UNIT, 0,
                                 line_dpa(l))) {
            fail(STEP_FAILS);
        }
    }
}

static void resume(Explorer *e, const State *s)
{
    uint64_t live[64] = { 0 };
    State n = *s;

    for (unsigned h = 0; h < config.hosts; h++) {
        if (s->host[h].life != RECOVERED) {
            live[0] |= 1ull << h;
        }
    }
    if (config.broken == BREAK_EARLY_UP) {
        live[0] &= live[0] - 1;
    }
    load(&n, 0);
    for (unsigned i = 0; i < 1u + may(WISH_STRAY) &&
         config.broken != BREAK_NO_POISON_LIST; i++) {
        return_poison(s);
    }
    if (cxlf_leaf_resume(&directory, 0, live)) {
        save(&n);
        add(e, &n, "the leaf is up");
    }
}

/*
 * An advance of the epoch, as one step, or with a step for each host that
 * it looks at; then the last step is that of a directory where these show
 * what was seen.
 */
static void advance(Explorer *e, const State *s)
{
    static struct cxlf_inside seen[MAX_HOSTS];
    uint8_t all = (1 << config.hosts) - 1;
    State n = *s;

    if (!may(WISH_SLOW_ADVANCE)) {
        load(&n, 0);
        if (cxlf_advance(&directory, 0)) {
            save(&n);
            add(e, &n, "advance");
        }
        return;
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        if (!(s->advancing >> h & 1) && s->host[h].inside[1] == 0) {
            n = *s;
            n.advancing |= 1 << h;
            add(e, &n, "look at a host's count");
        }
    }
    if (s->advancing == all) {
        struct cxlf_directory slow = directory;

        n = *s;
        load(&n, 0);
        slow.leaf[0].inside = seen;
        cxlf_advance(&slow, 0);
        save(&n);
        add(e, &n, "advance");
    }
}

void expand_leaf(Explorer *e, const State *s)
{
    State n = *s;

    if (s->leaf == CXLF_LEAF_UP && config.lines &&
        (config.ways || config.tiers)) {
        advance(e, s);
    }
    if (s->leaf != CXLF_LEAF_DOWN && s->failures) {
        vanish(&n);
        add(e, &n, "the leaf vanishes");
    }
    if (s->leaf == CXLF_LEAF_DOWN) {
        come_back(e, s);
    }
    if (s->leaf == CXLF_LEAF_REBUILDING) {
        resume(e, s);
    }
}
