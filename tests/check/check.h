/*
 * Exhaustive check of the core: the state of a small fabric, and its steps
 *
 * The shipping code makes every step; the model only chooses who steps next,
 * which message is lost, doubled or late, when patience ends, who dies, and
 * when a leaf is lost.  What no step decides by is left out of a state:
 * generations (but for the choice of a victim, of which all are tried), and
 * epochs but for what is to pass until something may happen.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CHECK_CHECK_H
#define TESTS_CHECK_CHECK_H

#include "cxlf/agent.h"
#include "cxlf/leaf.h"
#include "explore.h"
#include "mutate.h"

enum { MAX_HOSTS = EXPLORE_MAX_PARTS, MAX_PAGES = 2, MAX_LINES = 4 };
enum { EPOCH = 10 };            /* of every state: even, and not small */
enum { INCARNATION = 10 };      /* the same, of the leaf */
enum { UNMAPPED, READABLE, WRITABLE };
enum { ALIVE, DEAD, RECOVERED };
enum { KEPT, LOST = 0xff };     /* values: else the host that has it, + 1 */

/* What a step itself finds broken. */
enum {
    NOTHING, STEP_FAILS, NO_FLOW, DATA_VALUE, REUSE, CONFLICT, BROKEN_STEPS
};

typedef struct Entry {
    uint8_t state, requester, tag;
    uint8_t holders;            /* in F: epochs until it can be used */
} Entry;

typedef struct HostState {
    uint8_t life;
    uint8_t recovered;          /* entries that recovery has been at */
    uint8_t inside[2];          /* accesses, by relative parity of epochs */
    uint8_t map[MAX_PAGES], log[MAX_PAGES];
    uint8_t stale[MAX_PAGES];   /* what it has mapped is not the last store */
    uint8_t mail[MAX_PAGES];    /* a bit for each kind of BISnp */
    uint8_t belief[MAX_LINES];  /* what it may do with a line: as for maps */
    /* A request for a page */
    uint8_t asks, ask_page, ask_event, ask_phase, ask_recall, ask_line;
    uint8_t ask_to_post, ask_epoch;
    uint8_t ask_old;            /* it asked the leaf's last incarnation */
    /* A snoop that it handles */
    uint8_t snoops, snoop_page, snoop_phase, snoop_event;
    /* An access to a line */
    uint8_t uses, use_line, use_event, use_phase, use_ticket;
    uint8_t use_way, use_own, use_locked, use_result;
} HostState;

typedef struct State {
    Entry page[MAX_PAGES], line[MAX_LINES];
    uint8_t touched[CXLF_UNITS];
    uint8_t leaf, rebuilt;
    uint8_t advancing;          /* hosts that an advance has looked at */
    uint8_t crashes, failures;  /* that may still happen */
    uint8_t page_value[MAX_PAGES], line_value[MAX_LINES];
    uint8_t looked[MAX_LINES];  /* inside when the way was freed */
    uint8_t broken;
    HostState host[MAX_HOSTS];
} State;

/* What may happen in a run; words of --with and --without */
#define WISHES(W) \
    W(RECALL, "recall", "hosts recall pages") \
    W(PROMOTE, "promote", "hosts promote pages to lines") \
    W(EVICT, "evict", "hosts evict pages") \
    W(STORE, "store", "hosts write what they have mapped") \
    W(RESET, "reset", "hosts give up everything in order") \
    W(CLEAR, "clear", "hosts clear poison of pages") \
    W(STRAY, "stray", "answers and evictions by hosts that hold nothing") \
    W(DOUBLE, "double", "messages come twice") \
    W(ANY_TIME, "any-time", "a message may come at any time, sent or not") \
    W(THREADS, "threads", "the last host is a second thread of the first") \
    W(NO_LOAD, "no-load", "hosts only write, as a page or as lines") \
    W(NO_ACCESS, "no-access", "lines are not accessed") \
    W(LINE_OWN, "line-own", "hosts own lines without writing") \
    W(LINE_EVICT, "line-evict", "hosts evict lines") \
    W(LINE_RECALL, "line-recall", "hosts recall lines") \
    W(LINE_CLEAR, "line-clear", "hosts clear poison of lines") \
    W(REJOIN, "rejoin", "hosts come back under their numbers") \
    W(LOSS, "loss", "recovery poisons what a dead host has modified") \
    W(SPLIT, "split", "recovery goes entry by entry") \
    W(SLOW_ADVANCE, "slow-advance", "an advance looks at hosts one by one") \
    W(FULL_LOG, "full-log", "a log has room for one page") \
    W(BAD_LOG, "bad-log", "logs change while a leaf is down")

enum {
#define W(id, word, text) WISH_##id,
    WISHES(W)
#undef W
    WISH_COUNT
};

/* Errors that are put in, beside the table; words of --break */
#define BREAKS(B) \
    B(NO_LOG, "no-log", "a page is mapped without an entry in the log") \
    B(KEPT_LOG, "kept-log", "a page that was zapped stays in the log") \
    B(NO_ZAP, "no-zap", "an agent answers without having zapped") \
    B(EARLY_REUSE, "early-reuse", "an entry is used again too early") \
    B(EARLY_TAKE, "early-take", "a demotion does not wait for accesses") \
    B(NO_VERIFY, "no-verify", "an insertion does not look for others") \
    B(NOT_COUNTED, "not-counted", "accesses do not count themselves") \
    B(KEPT_NEW, "kept-new", "recovery forgets what a host had claimed") \
    B(KEPT_INSIDE, "kept-inside", "recovery forgets accesses under way") \
    B(EARLY_UP, "early-up", "a leaf is up before all have rebuilt") \
    B(NO_REPOST, "no-repost", "nobody posts a snoop again") \
    B(NO_LOCK, "no-lock", "threads of a host insert at the same time") \
    B(LATE_MAP, "late-map", "a snoop comes between a grant and the map") \
    B(LATE_ANSWER, "late-answer", "a request between a zap and its answer") \
    B(OLD_GRANT, "old-grant", "a grant of a lost leaf is mapped") \
    B(NO_POISON_LIST, "no-poison-list", "poison is lost with its leaf")

enum {
    NO_BREAK,
#define B(id, word, text) BREAK_##id,
    BREAKS(B)
#undef B
    BREAK_COUNT
};

struct config {
    unsigned hosts, pages, lines;
    unsigned ways;              /* of the only set; 0: an entry each */
    unsigned crashes, failures;
    bool tiers;
    uint32_t wishes;            /* a bit for each */
    int broken;
};

extern struct config config;

static inline bool may(int wish)
{
    return config.wishes >> wish & 1;
}

/* Whose steps a thread makes; each is a host, but for --with threads. */
static inline unsigned number_of(unsigned thread)
{
    return may(WISH_THREADS) && thread == config.hosts - 1 ? 0 : thread;
}

/* check-world.c: between a state and the memory that the code works on */

extern struct cxlf_directory directory;
extern struct cxlf_log logs[MAX_HOSTS];

void world_init(void);
void load(State *s, unsigned host);
void save(State *s);
void fail(unsigned what);

uint64_t line_dpa(unsigned line);
unsigned page_of_line(unsigned line);
unsigned line_entries(void);
/* Make a line's value the memory's, if a write-back was counted. */
void note_writeback(State *s, unsigned line);
/* Whether recovery has to undo something there. */
bool is_named(Entry e, unsigned host);
/* The entry that means something for a line, or NULL. */
const Entry *entry_of(const State *s, unsigned line);
/* Hosts that a recall or the like has taken a line from know it. */
void drop_beliefs(State *s);
void print_coverage(const char *prefix);
void print_cells(void);

/* check-agents.c, check-lines.c, check-life.c: steps */

struct cxlf_agent agent_of(unsigned *host);
void expand_agent(Explorer *e, const State *s, unsigned host);
void expand_lines(Explorer *e, const State *s, unsigned host);
void expand_life(Explorer *e, const State *s, unsigned host);
void expand_leaf(Explorer *e, const State *s);

/* check-rules.c: properties, and states that are the same but for names */

const char *check(const void *state);
bool quiescent(const void *state);
void print_state(const void *state);
void add(Explorer *e, const State *s, const char *step);

#endif /* TESTS_CHECK_CHECK_H */
