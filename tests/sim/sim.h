/*
 * The simulated machine, as the simulator's files share it
 *
 * Hosts, switches, links, messages and time are simulated; the directory,
 * its table, mailboxes, logs and agents' steps are the shipping core.  One
 * thread; nothing is allocated while a run goes on.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <setjmp.h>
#include <stdio.h>
#include "cxlf/agent.h"
#include "cxlf/graph.h"
#include "cxlf/leaf.h"
#include "../check/mutate.h"
#include "options.h"
#include "queue.h"
#include "rng.h"

#define US  1000ull
#define MS  1000000ull
#define LINES CXLF_LINES_PER_PAGE
#define NO_HOST 0xffffu

typedef struct Sim Sim;

/* Events of the queue */
enum {
    EV_CPU,             /* the host's next access, or the next part of it */
    EV_HOME,            /* its request reaches the line's home */
    EV_LINE_STEP,       /* the next step of an access in small steps */
    EV_REQUEST,         /* arg: slot, timer; a step of a page's request */
    EV_MAIL,            /* arg: leaf; a message reaches the agent */
    EV_AGAIN,           /* arg: a message that comes twice */
    EV_ANSWER,          /* the agent's answer reaches the home */
    EV_CLEAR,           /* somebody clears poison */
    EV_RECOVER,         /* the owner has noticed a host's death */
    EV_REJOIN,
    EV_LEAF_RETURN,     /* arg: leaf */
    EV_REBUILD,         /* arg: leaf; a host re-enters its log */
    EV_TYPES
};

typedef enum OpKind {
    OP_LOAD,
    OP_STORE,
    OP_ADD,             /* locked: value += operand */
    OP_SWAP,            /* locked: operand, if the value is @expect */
} OpKind;

/* An access of a host's CPU. */
typedef struct Op {
    uint32_t page;              /* of the pool */
    uint8_t line;
    uint8_t kind;               /* OpKind */
    bool active, by_page, clearing, hurt;
    bool storing;               /* the second half of a locked access */
    bool late;                  /* another host was faster than that */
    uint8_t tries;
    uint8_t class;              /* of the first half */
    uint64_t operand, expect;
    uint64_t seen;              /* version that a locked access has read */
    uint64_t result;            /* value before */
    uint64_t started;
} Op;

/* What a host's program remembers; workload.c. */
typedef struct Program {
    uint8_t kind;               /* Workload */
    uint8_t phase;
    uint16_t group, member;     /* who works together, and who I am there */
    uint32_t polls, item;
    uint64_t round, a;
} Program;

enum { MAIN, SIDE, SLOTS };

typedef struct Request {
    struct cxlf_request r;
    uint32_t page;
    uint8_t timer;              /* older timers are void */
    bool active, waiting;
    uint8_t tries;
    uint64_t started;
} Request;

typedef enum Life { ALIVE, DEAD, GONE } Life;

typedef struct Host {
    struct cxlf_agent agent;
    struct cxlf_agent_io io;
    struct cxlf_log log;
    void *log_memory;
    Sim *sim;
    uint16_t number, leaf;
    uint8_t life;               /* Life */
    uint8_t incarnation;
    uint8_t spine_turn;
    Op op;
    Program program;
    Request request[SLOTS];
    struct cxlf_snoop snoop;
    bool snooping;
    /* An access in small steps */
    struct cxlf_line_access access;
    struct cxlf_move move;
    bool stepping, moved;
    uint64_t step_extra;        /* what its snoops took */
    bool inserting[CXLF_INSERT_LOCKS];
    /* Units in the order in which they came into the cache, a ring */
    uint32_t *cached;
    uint32_t cached_first, cached_count;
    uint32_t late_zap;          /* page + 1, of an error that is put in */
} Host;

/* A page of the pool of addresses. */
typedef struct Place {
    uint64_t dpa;
    uint32_t gfam;
    uint8_t line_leaf, page_leaf, line_shard, page_shard;
    /* The list of poison that the owner of the fabric keeps */
    bool lost;
    uint64_t lost_units;                /* of the page, a bit each */
} Place;

/* The oracle: what is true, whatever the directory says */
typedef struct LineTruth {
    uint64_t version;           /* of the last store */
    uint64_t memory;            /* version that memory has */
    uint64_t value;
} LineTruth;

typedef struct UnitTruth {
    uint16_t copies;            /* hosts that have lines of it */
    uint16_t owner;             /* host + 1 that may write */
    bool dirty, poisoned;
} UnitTruth;

typedef struct PageTruth {
    uint64_t version, memory;
    uint16_t mapped;            /* hosts */
    uint16_t writer;            /* host + 1 */
    bool dirty, poisoned;
    bool cleared;               /* once: no value says anything any more */
    bool by_lines;              /* as the last access found it */
    uint8_t poisoned_units;
    uint32_t line_copies;
} PageTruth;

typedef struct Copy {
    uint64_t key;               /* 0: free */
    uint64_t value;
} Copy;

typedef struct Truth {
    LineTruth *line;
    UnitTruth *unit;
    PageTruth *page;
    Copy *copy;
    uint64_t copies, mask;      /* open addressing */
    uint64_t clock;             /* the last version */
    uint64_t max_copies;
} Truth;

typedef struct Link {
    uint64_t messages[2], bytes[2];     /* towards the spine or leaf; back */
    uint64_t busy[2];                   /* until then, in ps */
    uint64_t up_at;                     /* down until then, in ns */
} Link;

/* For the report of a failure: what happened lately */
typedef struct History {
    uint64_t time;
    uint32_t page;
    uint16_t host;
    uint8_t line, what;
    uint8_t before, after, event, more;
    uint64_t set;
} History;

enum {
    H_LINE, H_VICTIM, H_PAGE, H_SNOOP, H_MAP, H_ZAP, H_PROTECT, H_CRASH,
    H_RECOVERED, H_REJOIN, H_LEAF_DOWN, H_LEAF_UP, H_REBUILD, H_CLEAR,
    H_TAKE, H_STRAY, HISTORY_KINDS
};

#define HISTORY 32768

enum {
    C_LINE_HIT, C_LINE_OWN_LEAF, C_LINE_REMOTE, C_LINE_SNOOP, C_PAGE_HIT,
    C_PAGE_FAULT, C_RETRIED, CLASSES
};

#define BUCKETS 512             /* 8 for each power of two */

typedef struct Stats {
    uint64_t events, accesses, messages, bytes;
    uint64_t latency[CLASSES][BUCKETS];
    uint64_t latency_sum[CLASSES], latency_count[CLASSES];
    uint64_t snoops, spurious, elsewhere, victims;
    uint64_t lost, doubled, delayed, unroutable;
    uint64_t crashes, recoveries, rejoins, leaf_failures, rebuilt, partitions;
    uint64_t poisoned, poison_returned, cleared;
    uint64_t atomic_retries, advances, again, withheld;
    uint64_t strays, withdrawn, faults, locks, barriers, items, checks;
    uint64_t counters[CXLF_COUNTERS];   /* of leaves that have failed */
    uint64_t drained_ns;
} Stats;

typedef uint64_t Coverage[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS];

struct Sim {
    Options o;
    struct cxlf_topology t;
    struct cxlf_directory d;
    void *leaf_memory[CXLF_MAX_LEAVES];
    uint64_t leaf_size;
    uint64_t advanced[CXLF_MAX_LEAVES]; /* when, last */
    uint8_t leaf_up[CXLF_MAX_LEAVES];
    uint64_t now;
    Rng rng;
    Queue queue;
    Host *host;
    Place *place;
    uint32_t pages, lines_per_unit, units_per_page;
    bool line_pages;                    /* BULK can be used by lines */
    Truth truth;
    Link *host_link, *leaf_link;        /* [leaf][spine][path] */
    Link *link;                         /* instead, of a topology's file */
    uint64_t *home_busy;                /* [leaf][shard] */
    Chance drop, dup, delay, evict, demote, split, bulk, stray;
    uint64_t next_crash, next_leaf, next_partition; /* in accesses */
    uint64_t issued, finished;
    bool stopping;
    uint64_t stopped_at;
    uint32_t *zipf;                     /* a table of samples */
    unsigned posting_leaf;              /* of an agent's step */
    Host *looking;                      /* an agent that handles a snoop */
    Stats stats;
    Coverage covered[CXLF_UNITS];
    History *history;
    uint64_t history_count;
    jmp_buf failed;
    char why[256];
};

/* sim.c: life of a run */
/* The topology of the options; where hosts and devices are is the usual. */
void sim_topology(const Options *o, struct cxlf_topology *t);
bool sim_run(Sim *s, const Options *o);
void sim_post(Sim *s, uint64_t delay, unsigned type, unsigned host,
              uint64_t arg);
void sim_free(Sim *s);
uint32_t sim_page_at(const Sim *s, uint32_t gfam, uint64_t dpa);

/* A random time around @mean. */
uint64_t sim_about(Sim *s, uint64_t mean);

/*
 * check.c: properties.  sim_fail() prints what broke, the history of the
 * page, and how to run it again, and ends the run.
 */
_Noreturn void sim_fail(Sim *s, uint32_t page, const char *property,
                        const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void note(Sim *s, unsigned what, unsigned host, uint32_t page, unsigned line,
          const struct cxlf_move *m, unsigned event);
void cover(Sim *s, enum cxlf_kind kind, struct cxlf_line before,
           unsigned host, unsigned event);
void check_line(Sim *s, uint32_t page, unsigned line, bool deep);
void check_page(Sim *s, uint32_t page);
void check_all(Sim *s, bool quiet);
void check_recovered(Sim *s, unsigned host);
void check_ages(Sim *s);
void check_counters(Sim *s);

/* truth.c: the oracle */
bool truth_init(Sim *s);
void truth_free(Truth *t);
uint32_t unit_of(const Sim *s, uint32_t page, unsigned line);
/* Whether the host has the line; and the whole unit for writing. */
bool truth_has_unit(Sim *s, unsigned host, uint32_t unit);
bool truth_may_load(Sim *s, unsigned host, uint32_t page, unsigned line);
bool truth_may_store(Sim *s, unsigned host, uint32_t page, unsigned line);
void truth_fill(Sim *s, unsigned host, uint32_t page, unsigned line,
                bool owner);
bool truth_drop(Sim *s, unsigned host, uint32_t unit);
void truth_share(Sim *s, unsigned host, uint32_t unit);
void truth_load(Sim *s, unsigned host, uint32_t page, unsigned line);
void truth_store(Sim *s, unsigned host, uint32_t page, unsigned line,
                 uint64_t value);
/* Pages; permission is a enum cxlf_held */
enum cxlf_held truth_mapping(Sim *s, unsigned host, uint32_t page);
void truth_load_page(Sim *s, unsigned host, uint32_t page);
void truth_map(Sim *s, unsigned host, uint32_t page, bool writable);
void truth_unmap(Sim *s, unsigned host, uint32_t page);
void truth_protect(Sim *s, unsigned host, uint32_t page);
void truth_clear_unit(Sim *s, uint32_t unit);
void truth_clear_page(Sim *s, uint32_t page);
/* All that a dead host had; with @lost, what must be poisoned by now. */
void truth_recover(Sim *s, unsigned host, bool lost);
/* A leaf has lost its directory of lines. */
void truth_forget_leaf(Sim *s, unsigned leaf);

/*
 * network.c: links and times.  Each returns when a message arrives, which
 * waits where it is until there is a path.
 */
enum { REQUEST_BYTES = 16, DATA_BYTES = 80 };
bool network_init(Sim *s, const char **why);
uint64_t network_to_leaf(Sim *s, unsigned host, unsigned leaf,
                         unsigned bytes);
uint64_t network_to_host(Sim *s, unsigned leaf, unsigned host,
                         unsigned bytes, uint64_t from);
Link *network_link(Sim *s, uint64_t n);
uint64_t network_links(const Sim *s);
/* All links between a leaf and the spines. */
void network_cut_leaf(Sim *s, unsigned leaf, uint64_t until);

/*
 * Through a link, for @time of its own, in ps; returns when the last byte has
 * passed.
 */
uint64_t network_pass(Sim *s, Link *l, unsigned back, unsigned bytes,
                      uint64_t time, uint64_t ps);

/*
 * ways.c: the same for --topology FILE, whose links and routes there are.
 * ways_read() makes the options those of the file, before the first run.
 */
bool ways_read(Options *o, const char **why);
/* Where hosts and devices are. */
void ways_shape(struct cxlf_topology *t);
bool ways_init(Sim *s, const char **why);
uint64_t ways_links(void);
Link *ways_link(Sim *s, uint64_t n);
void ways_cut_leaf(Sim *s, unsigned leaf, uint64_t until);
uint64_t ways_pass(Sim *s, struct cxlf_node from, struct cxlf_node to,
                   unsigned flow, unsigned bytes, uint64_t ps);
/* A crawl of it, or of the usual links between the options' components. */
bool ways_crawl(const Options *o, const char **why);

/* lines.c: accesses to trapped lines */
void line_issue(Sim *s, Host *h);
void line_home(Sim *s, Host *h);
void line_step(Sim *s, Host *h);
void line_abandon(Sim *s, Host *h, unsigned leaf);
void line_evict(Sim *s, Host *h, uint32_t unit);
void line_recall(Sim *s, Host *h, uint32_t page, unsigned line);
void line_taken(Sim *s, uint32_t page, unsigned line,
                struct cxlf_line before);
void line_advance(Sim *s, unsigned leaf);

/* pages.c: requests, snoops and mail of mapped pages */
void page_issue(Sim *s, Host *h);
void page_side(Sim *s, Host *h, uint32_t page, enum cxlf_event event);
void page_request(Sim *s, Host *h, uint64_t arg);
void page_mail(Sim *s, Host *h, unsigned leaf);
void page_again(Sim *s, Host *h, uint64_t arg);
void page_answer(Sim *s, Host *h);
void page_agent_init(Sim *s, Host *h);

/* cpu.c: what a host's CPU does between the two */
void cpu_event(Sim *s, Host *h);
void cpu_done(Sim *s, Host *h, uint64_t latency, unsigned class);
void cpu_retry(Sim *s, Host *h);
void cpu_poisoned(Sim *s, Host *h);
void cpu_clear(Sim *s, Host *h);
uint64_t cpu_new_value(const Op *op, uint64_t old);
bool cpu_writes(const Op *op);
/* Load and store of the page that is mapped; then cpu_done(). */
void cpu_mapped(Sim *s, Host *h, uint64_t latency, unsigned class);

/* faults.c */
void faults_init(Sim *s);
void faults_due(Sim *s);
void host_start(Sim *s, Host *h);
void host_recover(Sim *s, Host *h);
void host_rejoin(Sim *s, Host *h);
void leaf_return(Sim *s, unsigned leaf);
/* Poison was cleared: of a page, or of the unit of a line. */
void poison_cleared(Sim *s, bool by_page, uint32_t page, unsigned line);
void leaf_rebuild(Sim *s, Host *h, unsigned leaf);

/* A new log in the host's memory; a leaf's segment as it is when new. */
void host_empty_log(Sim *s, Host *h);
void leaf_empty(Sim *s, unsigned leaf);

/* stray.c: an event that changes nothing; and logs that contradict */
void stray_event(Sim *s, uint32_t page, unsigned line);
void stray_logs(Sim *s);

/* workload.c: programs */
bool workload_init(Sim *s);
void workload_start(Sim *s, Host *h);
/* The host's next access into h->op; h->op.result is that of the last. */
void workload_next(Sim *s, Host *h);
/* An access has just had its effect, with this value before. */
void workload_effect(Sim *s, Host *h, uint64_t old);

/* report.c */
void report_latency(Stats *st, unsigned class, uint64_t ns);
/* @seconds, @cpu: how long it took, and how much of a processor. */
bool report_json(Sim *s, double seconds, double cpu);
bool report_coverage(const char *path, const Coverage *covered);
uint64_t report_peak_memory(void);
void report_add_counters(Sim *s, unsigned leaf);


#endif /* TESTS_SIM_SIM_H */
