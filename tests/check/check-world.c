/*
 * A state as the memory that the shipping code works on, and back
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include "check.h"
#include "shard.h"

enum { LOG_SLOTS = 64, LOG_ROOM = LOG_SLOTS / 4 * 3 };

struct cxlf_directory directory;
struct cxlf_log logs[MAX_HOSTS];

static struct cxlf_leaf_live live;
static struct cxlf_inside inside[MAX_HOSTS];
static struct cxlf_counters counters[MAX_HOSTS];
static struct cxlf_mailbox mailboxes[MAX_HOSTS];
static uint64_t touched[CXLF_UNITS];
static struct cxlf_entry pages[MAX_PAGES], lines[MAX_LINES];
static uint64_t log_slots[MAX_HOSTS][LOG_SLOTS];
static uint64_t writebacks;     /* counted when a step began */
static unsigned failure;
static unsigned acting;         /* the host whose step it is */
static bool covered[CXLF_UNITS][CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS];

void fail(unsigned what)
{
    failure = failure ? failure : what;
}

/* Lines of a page that can be one of lines follow each other. */
unsigned page_of_line(unsigned line)
{
    return config.tiers ? line / (config.lines / config.pages) : 0;
}

uint64_t line_dpa(unsigned line)
{
    uint32_t grain = cxlf_topology_grain(&directory.topology);

    return (uint64_t)line * grain;
}

unsigned line_entries(void)
{
    return config.ways ? config.ways : config.lines;
}

static uint64_t count_writebacks(void)
{
    uint64_t n = 0;

    for (unsigned h = 0; h < config.hosts; h++) {
        n += counters[h].count[CXLF_WRITEBACK];
    }
    return n;
}

void note_writeback(State *s, unsigned line)
{
    if (count_writebacks() != writebacks && s->line_value[line] != LOST) {
        s->line_value[line] = KEPT;
    }
}

bool is_named(Entry e, unsigned host)
{
    if (e.tag == 0 || e.state == CXLF_F) {
        return false;
    }
    return e.holders >> host & 1 ||
           ((cxlf_is_transient(e.state) || e.state == CXLF_N) &&
            e.requester == host);
}

const Entry *entry_of(const State *s, unsigned line)
{
    for (unsigned i = 0; i < line_entries(); i++) {
        if (s->line[i].tag == line + 1 && s->line[i].state < CXLF_N) {
            return &s->line[i];
        }
    }
    return NULL;
}

void drop_beliefs(State *s)
{
    for (unsigned l = 0; l < config.lines; l++) {
        const Entry *e = entry_of(s, l);

        for (unsigned h = 0; h < config.hosts; h++) {
            if (!e || !(e->holders >> h & 1)) {
                s->host[h].belief[l] = UNMAPPED;
            }
        }
    }
}

void world_init(void)
{
    struct cxlf_topology *t = &directory.topology;

    *t = (struct cxlf_topology) {
        .hosts = config.hosts, .leaves = 1, .shards = 1, .gfams = 1,
        .gfam = { { .hot = CXLF_CAPACITY_UNIT } },
        .tiers = config.tiers,
        .line_entries = config.ways, .ways = config.ways,
        .grain = config.tiers ? CXLF_PAGE / (config.lines / config.pages) :
                                CXLF_LINE,
    };
    directory.leaf[0] = (struct cxlf_leaf_view) {
        .live = &live, .inside = inside, .counters = counters,
        .mailboxes = mailboxes,
        .table = {
            [CXLF_LINE_UNIT] = { .touched = &touched[0], .entries = lines },
            [CXLF_PAGE_UNIT] = { .touched = &touched[1], .entries = pages },
        },
    };
    directory.entries[CXLF_LINE_UNIT] = config.lines ? line_entries() : 0;
    directory.entries[CXLF_PAGE_UNIT] = config.pages;
    directory.touched_words[CXLF_LINE_UNIT] = 1;
    directory.touched_words[CXLF_PAGE_UNIT] = 1;
    for (unsigned h = 0; h < config.hosts; h++) {
        logs[h] = (struct cxlf_log) {
            .slot = log_slots[h], .slots = LOG_SLOTS, .host = h,
        };
    }
}

static void load_entry(struct cxlf_entry *to, const Entry *from)
{
    uint64_t copyset = from->holders;

    if (from->state == CXLF_F && from->tag && from->holders) {
        copyset = EPOCH - 2 + from->holders;
    }
    *to = (struct cxlf_entry) {
        .word = CXLF_WORD(from->tag, 0, from->requester, from->state),
        .copyset = copyset,
    };
}

/* @epoch: that is now, to which the state is relative */
static void save_entry(Entry *to, const struct cxlf_entry *from,
                       uint64_t epoch)
{
    *to = (Entry) {
        .state = CXLF_WORD_STATE(from->word),
        .requester = CXLF_WORD_REQUESTER(from->word),
        .tag = CXLF_WORD_TAG(from->word),
        .holders = from->copyset,
    };
    if (to->state == CXLF_F) {
        uint64_t usable = from->copyset + 2;

        to->holders = from->copyset && usable > epoch ? usable - epoch : 0;
    }
}

static void load_log(const HostState *h, unsigned host)
{
    struct cxlf_log *log = &logs[host];

    memset(log_slots[host], 0, sizeof(log_slots[host]));
    log->pages = log->removed = 0;
    for (unsigned i = 1; may(WISH_FULL_LOG) && i < LOG_ROOM; i++) {
        cxlf_log_hold(log, 1, i * CXLF_PAGE, CXLF_HELD_SHARED);
    }
    for (unsigned p = 0; p < config.pages; p++) {
        if (h->log[p]) {
            cxlf_log_hold(log, 0, p * CXLF_PAGE, h->log[p]);
        }
    }
}

static void load_mail(const HostState *h, unsigned host)
{
    for (unsigned p = 0; p < config.pages; p++) {
        for (unsigned kind = CXLF_BISNP_INV; kind <= CXLF_BISNP_DATA;
             kind++) {
            if (h->mail[p] & 1 << kind) {
                cxlf_post(&mailboxes[host], (struct cxlf_message) {
                    .kind = kind, .dpa = p * CXLF_PAGE });
            }
        }
    }
}

/* The lock of a host's process: who inserts in the set has it. */
static bool is_inserting(const State *s, unsigned number)
{
    for (unsigned h = 0; h < config.hosts; h++) {
        if (number_of(h) == number && s->host[h].use_locked) {
            return config.broken != BREAK_NO_LOCK;
        }
    }
    return false;
}

/* Before a step of @host */
void load(State *s, unsigned host)
{
    failure = NOTHING;
    acting = host;
    live.epoch = EPOCH;
    live.state = s->leaf;
    live.incarnation = INCARNATION;
    live.rebuilt[0] = s->rebuilt;
    for (unsigned i = 0; i < config.pages; i++) {
        load_entry(&pages[i], &s->page[i]);
    }
    for (unsigned i = 0; config.lines && i < line_entries(); i++) {
        load_entry(&lines[i], &s->line[i]);
    }
    for (unsigned h = 0; h < config.hosts; h++) {
        inside[h].count[0] = s->host[h].inside[0];
        inside[h].count[1] = s->host[h].inside[1];
        load_mail(&s->host[h], h);
    }
    for (unsigned k = 0; k < CXLF_UNITS; k++) {
        touched[k] = s->touched[k];
    }
    directory.inserting[0] = is_inserting(s, number_of(host));
    if (config.pages) {
        load_log(&s->host[host], host);
    }
    writebacks = count_writebacks();
}

static void save_mail(State *s)
{
    struct cxlf_message m;

    for (unsigned h = 0; h < config.hosts; h++) {
        memset(s->host[h].mail, 0, sizeof(s->host[h].mail));
        while (cxlf_take(&mailboxes[h], &m)) {
            /* Completions only wake: any step may happen at any time. */
            if (m.kind != CXLF_CMP && s->host[h].life == ALIVE &&
                !may(WISH_ANY_TIME)) {
                s->host[h].mail[m.dpa / CXLF_PAGE] |= 1 << m.kind;
            }
        }
    }
}

/* Who was inside when a way was freed has left when it is used again. */
static void save_line(State *s, unsigned i)
{
    Entry old = s->line[i];

    save_entry(&s->line[i], &lines[i], live.epoch);
    if (s->line[i].state != CXLF_F) {
        if (old.state == CXLF_F && s->looked[i]) {
            fail(REUSE);
        }
        s->looked[i] = 0;
        return;
    }
    if (old.state != CXLF_F && s->line[i].holders) {
        if (config.broken == BREAK_EARLY_REUSE) {
            s->line[i].holders--;
        }
        for (unsigned h = 0; h < config.hosts; h++) {
            s->looked[i] |= s->host[h].uses << h;
        }
    }
}

/* What is relative to the epoch, when that has advanced */
static void save_epoch(State *s)
{
    unsigned late = live.epoch - EPOCH;

    for (unsigned h = 0; h < config.hosts; h++) {
        HostState *host = &s->host[h];

        for (unsigned i = 0; i < 2; i++) {
            uint32_t count = inside[h].count[(live.epoch + i) & 1];

            if (count > 3) {
                fail(STEP_FAILS);       /* it has left twice */
            }
            host->inside[i] = count;
        }
        host->use_ticket ^= host->uses && (late & 1);
        host->ask_epoch -= host->ask_epoch < late ? host->ask_epoch : late;
    }
    if (late) {
        s->advancing = 0;
    }
}

/* Who waits for something has asked a leaf that is no more. */
static void save_incarnation(State *s)
{
    for (unsigned h = 0; h < config.hosts &&
         live.incarnation != INCARNATION; h++) {
        HostState *host = &s->host[h];

        host->ask_old = host->asks && host->ask_phase >= CXLF_POST &&
                        host->ask_phase <= CXLF_INSTALL;
    }
}

void save(State *s)
{
    s->leaf = live.state;
    s->rebuilt = live.rebuilt[0];
    for (unsigned i = 0; i < config.pages; i++) {
        save_entry(&s->page[i], &pages[i], live.epoch);
    }
    for (unsigned i = 0; config.lines && i < line_entries(); i++) {
        save_line(s, i);
    }
    save_epoch(s);
    save_incarnation(s);
    if (config.pages) {
        save_mail(s);
    }
    for (unsigned k = 0; k < CXLF_UNITS; k++) {
        s->touched[k] = touched[k];
    }
    for (unsigned p = 0; p < config.pages; p++) {
        s->host[acting].log[p] = cxlf_log_get(&logs[acting], 0,
                                              p * CXLF_PAGE);
    }
    s->broken = failure;
}

/* What the linker puts between the core's files: see meson.build */

void __real_cxlf_count_move(const struct cxlf_target *t, uint32_t index,
                            unsigned host, enum cxlf_event event,
                            const struct cxlf_move *m);
void __wrap_cxlf_count_move(const struct cxlf_target *t, uint32_t index,
                            unsigned host, enum cxlf_event event,
                            const struct cxlf_move *m);
bool __real_cxlf_log_hold(struct cxlf_log *log, uint32_t gfam, uint64_t dpa,
                          enum cxlf_held held);
bool __wrap_cxlf_log_hold(struct cxlf_log *log, uint32_t gfam, uint64_t dpa,
                          enum cxlf_held held);
void __real_cxlf_log_drop(struct cxlf_log *log, uint32_t gfam, uint64_t dpa);
void __wrap_cxlf_log_drop(struct cxlf_log *log, uint32_t gfam, uint64_t dpa);
unsigned __real_cxlf_enter(struct cxlf_directory *d, unsigned host,
                           uint32_t leaf);
unsigned __wrap_cxlf_enter(struct cxlf_directory *d, unsigned host,
                           uint32_t leaf);
void __real_cxlf_leave(struct cxlf_directory *d, unsigned host,
                       uint32_t leaf, unsigned ticket);
void __wrap_cxlf_leave(struct cxlf_directory *d, unsigned host,
                       uint32_t leaf, unsigned ticket);

/* Each cell that is executed is counted. */
void __wrap_cxlf_count_move(const struct cxlf_target *t, uint32_t index,
                            unsigned host, enum cxlf_event event,
                            const struct cxlf_move *m)
{
    unsigned relation = cxlf_relation(m->before, host, t->shard.hosts);

    covered[t->shard.kind][m->before.state][relation][event] = true;
    __real_cxlf_count_move(t, index, host, event, m);
}

bool __wrap_cxlf_log_hold(struct cxlf_log *log, uint32_t gfam, uint64_t dpa,
                          enum cxlf_held held)
{
    return config.broken == BREAK_NO_LOG ||
           __real_cxlf_log_hold(log, gfam, dpa, held);
}

void __wrap_cxlf_log_drop(struct cxlf_log *log, uint32_t gfam, uint64_t dpa)
{
    if (config.broken != BREAK_KEPT_LOG) {
        __real_cxlf_log_drop(log, gfam, dpa);
    }
}

unsigned __wrap_cxlf_enter(struct cxlf_directory *d, unsigned host,
                           uint32_t leaf)
{
    return config.broken == BREAK_NOT_COUNTED ? 0 :
           __real_cxlf_enter(d, host, leaf);
}

void __wrap_cxlf_leave(struct cxlf_directory *d, unsigned host,
                       uint32_t leaf, unsigned ticket)
{
    if (config.broken != BREAK_NOT_COUNTED) {
        __real_cxlf_leave(d, host, leaf, ticket);
    }
}

/* Coverage of the table */

/* Whether the table defines a cell for a kind of unit, in any shape. */
static bool is_defined(enum cxlf_kind kind, unsigned state, unsigned relation,
                       unsigned event)
{
    struct cxlf_line next;
    unsigned actions;

    for (unsigned n = 0; n < 3 * 8; n++) {
        struct cxlf_line line = { state, n / 8, n % 8 };

        if (cxlf_line_valid(kind, 3, line) &&
            cxlf_relation(line, 0, 3) == relation &&
            cxlf_step(kind, 3, line, 0, event, &next, &actions)) {
            return true;
        }
    }
    return false;
}

typedef void Visit(enum cxlf_kind kind, unsigned s, unsigned r, unsigned e);

static void for_each_cell(Visit *visit)
{
    for (unsigned kind = 0; kind < CXLF_UNITS; kind++) {
        for (unsigned s = 0; s < CXLF_STATES; s++) {
            for (unsigned r = 0; r < CXLF_RELATIONS; r++) {
                for (unsigned e = 0; e < CXLF_EVENTS; e++) {
                    if (is_defined(kind, s, r, e)) {
                        visit(kind, s, r, e);
                    }
                }
            }
        }
    }
}

static unsigned defined[CXLF_UNITS], reached[CXLF_UNITS];
static bool with_reached;

static void count_cell(enum cxlf_kind kind, unsigned s, unsigned r,
                       unsigned e)
{
    defined[kind]++;
    reached[kind] += covered[kind][s][r][e];
}

static void print_cell(enum cxlf_kind kind, unsigned s, unsigned r,
                       unsigned e)
{
    if (with_reached && !covered[kind][s][r][e]) {
        return;
    }
    printf("%s %s,%s,%s,%s\n", with_reached ? "reached" : "defined",
           kind == CXLF_LINE_UNIT ? "line" : "page", cxlf_state_name[s],
           relation_names[r], cxlf_event_name[e]);
}

void print_coverage(const char *prefix)
{
    for_each_cell(count_cell);
    printf("%s%u of %u cells of lines, %u of %u of pages\n", prefix,
           reached[CXLF_LINE_UNIT], defined[CXLF_LINE_UNIT],
           reached[CXLF_PAGE_UNIT], defined[CXLF_PAGE_UNIT]);
}

/* For scripts: each cell that there is, and each that was reached */
void print_cells(void)
{
    for_each_cell(print_cell);
    with_reached = true;
    for_each_cell(print_cell);
}
