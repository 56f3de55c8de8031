/*
 * Epochs, the ownership log, a leaf's failure and return, and tiers
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fixture.h"
#include "cxlf/agent.h"
#include "cxlf/leaf.h"

enum { HOSTS = 3, SLOTS = 256, ROW = SLOTS / 64 };

typedef struct Agents {
    Fixture f;
    struct cxlf_agent agent[HOSTS];
    struct cxlf_log log[HOSTS];
    void *memory[HOSTS];
    GHashTable *mapped[HOSTS];      /* page number -> 1 readable, 2 writable */
} Agents;

static Agents agents;

static gpointer page(uint64_t dpa)
{
    return GUINT_TO_POINTER(dpa / CXLF_PAGE);
}

static unsigned number_of(void *opaque)
{
    return (struct cxlf_agent *)opaque - agents.agent;
}

static void io_map(void *opaque, uint32_t gfam, uint64_t dpa, bool writable)
{
    g_assert_cmpuint(gfam, ==, 0);
    g_assert_cmpint(cxlf_log_get(&agents.log[number_of(opaque)], gfam, dpa),
                    ==, writable ? CXLF_HELD_OWNED : CXLF_HELD_SHARED);
    g_hash_table_insert(agents.mapped[number_of(opaque)], page(dpa),
                        GUINT_TO_POINTER(writable + 1));
}

static void io_zap(void *opaque, uint32_t gfam, uint64_t dpa)
{
    g_assert_cmpuint(gfam, ==, 0);
    g_hash_table_remove(agents.mapped[number_of(opaque)], page(dpa));
}

static void io_protect(void *opaque, uint32_t gfam, uint64_t dpa)
{
    g_assert_cmpuint(gfam, ==, 0);
    g_hash_table_insert(agents.mapped[number_of(opaque)], page(dpa),
                        GUINT_TO_POINTER(1));
}

static void io_wake(void *opaque, unsigned host)
{
    g_assert_nonnull(opaque);
    g_assert_cmpuint(host, <, HOSTS);
}

static unsigned mapped(unsigned host, uint64_t dpa)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(agents.mapped[host],
                                                page(dpa)));
}

static void setup(struct cxlf_topology t)
{
    static struct cxlf_agent_io io[HOSTS];
    const char *why = NULL;

    fixture_init(&agents.f, t);
    for (unsigned h = 0; h < HOSTS; h++) {
        io[h] = (struct cxlf_agent_io) {
            &agents.agent[h], io_map, io_zap, io_protect, io_wake,
        };
        agents.agent[h] = (struct cxlf_agent) {
            .directory = &agents.f.directory, .io = &io[h], .host = h,
            .log = &agents.log[h],
        };
        agents.memory[h] = g_malloc0(cxlf_log_size(SLOTS));
        cxlf_log_format(agents.memory[h], SLOTS, h, fixture_uuid);
        g_assert_true(cxlf_log_attach(&agents.log[h], agents.memory[h],
                                      cxlf_log_size(SLOTS), h, fixture_uuid,
                                      &why));
        agents.mapped[h] = g_hash_table_new(NULL, NULL);
    }
}

static void teardown(void)
{
    for (unsigned h = 0; h < HOSTS; h++) {
        g_hash_table_destroy(agents.mapped[h]);
        g_free(agents.memory[h]);
    }
    fixture_done(&agents.f);
}

/* Let all agents handle all their messages. */
static void handle_mail(void)
{
    for (unsigned h = 0; h < HOSTS; h++) {
        struct cxlf_message m;

        while (cxlf_take(&agents.f.directory.leaf[0].mailboxes[h], &m)) {
            struct cxlf_snoop s = { .gfam = m.gfam, .dpa = m.dpa };

            while (m.kind != CXLF_CMP &&
                   cxlf_snoop_step(&agents.agent[h], &s) == CXLF_MORE) {
                continue;
            }
        }
    }
}

static enum cxlf_progress request(unsigned host, uint64_t dpa,
                                  enum cxlf_event event)
{
    struct cxlf_request r = {
        .dpa = dpa, .event = event,
        .phase = event == CXLF_EVICT ? CXLF_ZAP : CXLF_ASK,
    };
    enum cxlf_progress progress = CXLF_MORE;

    for (int i = 0; i < 1000 &&
         (progress == CXLF_MORE || progress == CXLF_WAIT); i++) {
        progress = cxlf_request_step(&agents.agent[host], &r);
        if (progress == CXLF_WAIT) {
            handle_mail();
        }
    }
    return progress;
}

static void expect_page(uint64_t dpa, unsigned state, uint64_t holders)
{
    struct cxlf_line line;

    g_assert_true(cxlf_peek(&agents.f.directory, CXLF_PAGE_UNIT, 0, dpa,
                            &line));
    g_assert_cmpstr(cxlf_state_name[line.state], ==, cxlf_state_name[state]);
    g_assert_cmphex(line.holders, ==, holders);
}

static void test_epochs(void)
{
    struct cxlf_directory *d = &agents.f.directory;
    unsigned first, second;

    setup(fixture_topology(HOSTS, 1, 1, 1));
    g_assert_cmpuint(cxlf_epoch(d, 0), ==, 2);
    g_assert_true(cxlf_advance(d, 0));
    first = cxlf_enter(d, 0, 0);                /* in epoch 3 */
    g_assert_true(cxlf_advance(d, 0));
    g_assert_false(cxlf_advance(d, 0));         /* would be two more */
    second = cxlf_enter(d, 0, 0);               /* in epoch 4 */
    cxlf_leave(d, 0, 0, first);
    g_assert_true(cxlf_advance(d, 0));
    g_assert_false(cxlf_advance(d, 0));
    cxlf_leave(d, 0, 0, second);
    g_assert_true(cxlf_advance(d, 0));
    cxlf_enter(d, 1, 0);
    cxlf_advance(d, 0);
    g_assert_false(cxlf_advance(d, 0));
    cxlf_give_up(d, 1, CXLF_DEATH, NULL);       /* the dead are not inside */
    g_assert_true(cxlf_advance(d, 0));
    teardown();
}

/* A random walk against a table of its own. */
static void test_log(void)
{
    enum { PAGES = 300 };
    unsigned in_row[ROW] = { 0 };   /* pages, by their place in a row */
    uint8_t held[PAGES] = { 0 };
    struct cxlf_log *log = &agents.log[1], again;
    unsigned pages = 0, full = 0;
    const char *why = NULL;

    setup(fixture_topology(HOSTS, 1, 1, 1));
    for (int i = 0; i < 100000; i++) {
        unsigned n = g_test_rand_int_range(0, PAGES);
        unsigned how = g_test_rand_int_range(0, 3);
        uint64_t dpa = n * 7ull * CXLF_PAGE;

        if (how == CXLF_HELD_NOT) {
            cxlf_log_drop(log, n % 8, dpa);
            pages -= held[n] != 0;
            in_row[n * 7 % ROW] -= held[n] != 0;
            held[n] = 0;
        } else if (cxlf_log_hold(log, n % 8, dpa, how)) {
            pages += held[n] == 0;
            in_row[n * 7 % ROW] += held[n] == 0;
            held[n] = how;
        } else {
            g_assert_cmpuint(held[n], ==, 0);
            g_assert_true(pages == SLOTS / 4 * 3 ||
                          in_row[n * 7 % ROW] == SLOTS / ROW);
            full++;
        }
        g_assert_cmpint(cxlf_log_get(log, n % 8, dpa), ==, held[n]);
        g_assert_cmpuint(log->pages, ==, pages);
    }
    g_assert_cmpuint(full, >, 0);
    g_assert_true(cxlf_log_attach(&again, agents.memory[1],
                                  cxlf_log_size(SLOTS), 1, fixture_uuid,
                                  &why));
    g_assert_cmpuint(again.pages, ==, pages);
    for (uint64_t cursor = 0, bad = 0;;) {
        struct cxlf_log_page p;

        if (!cxlf_log_next(&again, &cursor, &p, &bad)) {
            g_assert_cmpuint(bad, ==, 0);
            break;
        }
        g_assert_cmpint(held[p.dpa / CXLF_PAGE / 7], ==, p.held);
        pages--;
    }
    g_assert_cmpuint(pages, ==, 0);
    /* A log is of one host and one fabric; a changed slot is noticed. */
    g_assert_false(cxlf_log_attach(&again, agents.memory[1],
                                   cxlf_log_size(SLOTS), 2, fixture_uuid,
                                   &why));
    g_assert_false(cxlf_log_attach(&again, agents.memory[1],
                                   cxlf_log_size(SLOTS) - 1, 1, fixture_uuid,
                                   &why));
    for (uint64_t i = 0; i < SLOTS; i++) {
        if (log->slot[i] != 0 && log->slot[i] != UINT64_MAX) {
            uint64_t cursor = i, bad = 0;
            struct cxlf_log_page p;

            log->slot[i] ^= 1ull << g_test_rand_int_range(2, 64);
            cxlf_log_next(log, &cursor, &p, &bad);
            g_assert_cmpuint(bad, >=, log->slot[i] != UINT64_MAX &&
                             log->slot[i] != 0);
            break;
        }
    }
    teardown();
}

/* As many slots as pages need; pages of a block have theirs in a row. */
static void test_rows(void)
{
    enum { BIG = 65536, BLOCK = 512, BLOCKS = BIG / BLOCK / 4 * 3 };
    g_autofree void *memory = g_malloc0(cxlf_log_size(BIG));
    uint64_t cursor = 0, last = 0, rows = 0, bad = 0;
    struct cxlf_log_page p;
    struct cxlf_log log;
    const char *why;

    g_assert_cmpuint(cxlf_log_slots(0), ==, CXLF_LOG_MIN);
    g_assert_cmpuint(cxlf_log_slots(48), ==, 64);
    g_assert_cmpuint(cxlf_log_slots(49), ==, 128);
    g_assert_cmpuint(cxlf_log_slots(BLOCKS * BLOCK), ==, BIG);
    g_assert_cmpuint(cxlf_log_slots(BLOCKS * BLOCK + 1), ==, 2 * BIG);
    g_assert_cmpuint(cxlf_log_slots(UINT64_MAX), ==, CXLF_LOG_MAX);

    cxlf_log_format(memory, BIG, 0, fixture_uuid);
    g_assert_true(cxlf_log_attach_new(&log, memory, cxlf_log_size(BIG), 0,
                                      fixture_uuid, &why));
    /* Every page for which it was made has a place, whichever they are. */
    for (uint64_t i = 0; i < BLOCKS * BLOCK; i++) {
        g_assert_true(cxlf_log_hold(&log, i / BLOCK % 8,
                                    (i + (1 << 20)) * CXLF_PAGE,
                                    CXLF_HELD_OWNED));
    }
    g_assert_false(cxlf_log_hold(&log, 0, 0, CXLF_HELD_OWNED));
    while (cxlf_log_next(&log, &cursor, &p, &bad)) {
        rows += p.dpa != last + CXLF_PAGE || cursor % BLOCK == 1;
        last = p.dpa;
    }
    g_assert_cmpuint(rows, ==, BLOCKS);
    g_assert_cmpuint(bad, ==, 0);
    for (uint64_t i = 0; i < BLOCKS * BLOCK; i++) {
        cxlf_log_drop(&log, i / BLOCK % 8, (i + (1 << 20)) * CXLF_PAGE);
    }
    /* Nothing is left that would make searches long. */
    g_assert_cmpuint(log.pages, ==, 0);
    g_assert_cmpuint(log.removed, ==, 0);
}

/* What one word says, whoever wrote it. */
static void test_words(void)
{
    struct cxlf_log *log = &agents.log[1];
    struct cxlf_log_page p;
    uint64_t word, at = 0;

    setup(fixture_topology(HOSTS, 1, 1, 1));
    g_assert_true(cxlf_log_hold(log, 3, 0x5000, CXLF_HELD_SHARED));
    while (!log->slot[at]) {
        at++;
    }
    word = log->slot[at];
    g_assert_cmpint(cxlf_log_read(1, at, 0, &p), ==, CXLF_LOG_EMPTY);
    g_assert_cmpint(cxlf_log_read(1, at, UINT64_MAX, &p), ==,
                    CXLF_LOG_EMPTY);
    g_assert_cmpint(cxlf_log_read(1, at, word, &p), ==, CXLF_LOG_PAGE);
    g_assert_cmpuint(p.gfam, ==, 3);
    g_assert_cmpuint(p.dpa, ==, 0x5000);
    g_assert_cmpint(p.held, ==, CXLF_HELD_SHARED);
    g_assert_cmpint(cxlf_log_read(2, at, word, &p), ==, CXLF_LOG_BAD);
    g_assert_cmpint(cxlf_log_read(1, at + 1, word, &p), ==, CXLF_LOG_BAD);
    for (int bit = 0; bit < 64; bit++) {
        g_assert_cmpint(cxlf_log_read(1, at, word ^ 1ull << bit, &p), ==,
                        CXLF_LOG_BAD);
    }
    teardown();
}

/* A page leaves the log after it was zapped, and before others are told. */
static void test_order(void)
{
    struct cxlf_snoop s = { .dpa = 0x1000 };
    struct cxlf_request own = { .dpa = 0x1000, .event = CXLF_OWN };
    struct cxlf_request evict = {
        .dpa = 0x1000, .event = CXLF_EVICT, .phase = CXLF_ZAP,
    };
    struct cxlf_log *log = &agents.log[0];

    setup(fixture_topology(HOSTS, 1, 1, 1));
    g_assert_cmpint(request(0, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    own.event = CXLF_LOAD;
    while (cxlf_request_step(&agents.agent[1], &own) == CXLF_MORE) {
        continue;
    }
    g_assert_cmpint(cxlf_snoop_step(&agents.agent[0], &s), ==, CXLF_MORE);
    g_assert_cmpuint(mapped(0, 0x1000), ==, 1);
    g_assert_cmpint(cxlf_log_get(log, 0, 0x1000), ==, CXLF_HELD_OWNED);
    while (cxlf_snoop_step(&agents.agent[0], &s) == CXLF_MORE) {
        continue;
    }
    g_assert_cmpint(cxlf_log_get(log, 0, 0x1000), ==, CXLF_HELD_SHARED);

    g_assert_cmpint(request(1, 0x1000, CXLF_EVICT), ==, CXLF_DONE);
    g_assert_cmpint(request(0, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    own = (struct cxlf_request) { .dpa = 0x1000, .event = CXLF_OWN };
    while (cxlf_request_step(&agents.agent[1], &own) == CXLF_MORE) {
        continue;
    }
    s = (struct cxlf_snoop) { .dpa = 0x1000 };
    g_assert_cmpint(cxlf_snoop_step(&agents.agent[0], &s), ==, CXLF_MORE);
    g_assert_cmpuint(mapped(0, 0x1000), ==, 0);
    g_assert_cmpint(cxlf_log_get(log, 0, 0x1000), ==, CXLF_HELD_OWNED);
    expect_page(0x1000, CXLF_E_E, 1);
    while (cxlf_snoop_step(&agents.agent[0], &s) == CXLF_MORE) {
        continue;
    }
    g_assert_cmpint(cxlf_log_get(log, 0, 0x1000), ==, CXLF_HELD_NOT);

    g_assert_cmpint(request(1, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(cxlf_request_step(&agents.agent[1], &evict), ==,
                    CXLF_MORE);
    g_assert_cmpint(cxlf_log_get(&agents.log[1], 0, 0x1000), ==,
                    CXLF_HELD_OWNED);
    while (cxlf_request_step(&agents.agent[1], &evict) == CXLF_MORE) {
        continue;
    }
    g_assert_cmpint(cxlf_log_get(&agents.log[1], 0, 0x1000), ==,
                    CXLF_HELD_NOT);
    expect_page(0x1000, CXLF_I, 0);
    teardown();
}

static void sum_held(void *opaque, uint32_t gfam, uint64_t dpa,
                     enum cxlf_held held)
{
    GString *text = opaque;

    g_string_append_printf(text, "%u:0x%" G_GINT64_MODIFIER "x %d, ", gfam,
                           dpa, held);
}

static void expect_held(unsigned host, const char *want)
{
    g_autoptr(GString) text = g_string_new("");

    cxlf_each_held(&agents.f.directory, host, sum_held, text);
    g_assert_cmpstr(text->str, ==, want);
}

/* The directory's side: stable entries of leaves that are up. */
static void test_each_held(void)
{
    struct cxlf_request own = { .dpa = 0x3000, .event = CXLF_OWN };
    struct cxlf_directory *d = &agents.f.directory;

    setup(fixture_topology(HOSTS, 1, 1, 1));
    expect_held(0, "");
    g_assert_cmpint(request(0, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(request(0, CXLF_CAPACITY_UNIT, CXLF_LOAD), ==, CXLF_DONE);
    g_assert_cmpint(request(0, 0x3000, CXLF_OWN), ==, CXLF_DONE);
    expect_held(0, "0:0x1000 2, 0:0x3000 2, 0:0x10000000 1, ");
    expect_held(1, "");
    /* Wanted by another host: this one may have zapped it already. */
    while (cxlf_request_step(&agents.agent[1], &own) == CXLF_MORE) {
        continue;
    }
    expect_held(0, "0:0x1000 2, 0:0x10000000 1, ");
    handle_mail();
    expect_held(1, "0:0x3000 2, ");
    cxlf_leaf_set(d, 0, CXLF_LEAF_DOWN);
    expect_held(0, "");
    teardown();
}

/* The leaf loses all that it knew; @incarnation was its last. */
static void lose_leaf(uint32_t incarnation)
{
    struct cxlf_directory *d = &agents.f.directory;

    memset(agents.f.memory[0], 0, agents.f.size);
    cxlf_leaf_format(agents.f.memory[0], &d->topology, 0, fixture_uuid);
    d->leaf[0].live->incarnation = incarnation;
    cxlf_leaf_set(d, 0, CXLF_LEAF_REBUILDING);
}

/* The leaf loses its directory; the hosts keep their mappings, and use. */
static void test_return(void)
{
    struct cxlf_directory *d = &agents.f.directory;
    uint64_t live[64] = { 0x5 }, conflicts;
    struct cxlf_move m;

    setup(fixture_topology(HOSTS, 1, 1, 1));
    g_assert_cmpint(request(0, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(request(0, 0x2000, CXLF_LOAD), ==, CXLF_DONE);
    g_assert_cmpint(request(2, 0x2000, CXLF_LOAD), ==, CXLF_DONE);
    g_assert_cmpint(request(1, 0x3000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(request(2, 0x4000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(request(2, 0x4000, CXLF_EVICT), ==, CXLF_DONE);
    cxlf_leaf_set(d, 0, CXLF_LEAF_DOWN);
    lose_leaf(1);
    g_assert_cmpint(cxlf_page_event(d, 0, 0, 0x1000, CXLF_LOAD, &m), ==,
                    CXLF_WITHHELD);
    g_assert_cmpint(cxlf_access(d, 0, 0, 0x5000, CXLF_LOAD), ==,
                    CXLF_WITHHELD);
    /* Host 1 has died meanwhile; it is not waited for. */
    g_assert_cmpuint(cxlf_rebuild(d, 0, 0, &agents.log[0], &conflicts), ==,
                     2);
    g_assert_cmpuint(conflicts, ==, 0);
    g_assert_false(cxlf_leaf_resume(d, 0, live));
    g_assert_cmpuint(cxlf_rebuild(d, 2, 0, &agents.log[2], &conflicts), ==,
                     1);
    g_assert_true(cxlf_leaf_resume(d, 0, live));
    expect_page(0x1000, CXLF_E, 0x1);
    expect_page(0x2000, CXLF_S, 0x5);
    expect_page(0x3000, CXLF_I, 0);
    expect_page(0x4000, CXLF_I, 0);
    g_assert_cmpint(request(2, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpuint(mapped(0, 0x1000), ==, 0);
    g_assert_cmpuint(mapped(2, 0x1000), ==, 2);
    teardown();
}

/* A log that lies about what it has is found by another that does not. */
static void test_conflict(void)
{
    struct cxlf_directory *d = &agents.f.directory;
    uint64_t conflicts;

    setup(fixture_topology(HOSTS, 1, 1, 1));
    cxlf_leaf_set(d, 0, CXLF_LEAF_REBUILDING);
    g_assert_true(cxlf_log_hold(&agents.log[0], 0, 0x1000, CXLF_HELD_OWNED));
    g_assert_true(cxlf_log_hold(&agents.log[1], 0, 0x1000, CXLF_HELD_SHARED));
    cxlf_rebuild(d, 0, 0, &agents.log[0], &conflicts);
    g_assert_cmpuint(conflicts, ==, 0);
    cxlf_rebuild(d, 1, 0, &agents.log[1], &conflicts);
    g_assert_cmpuint(conflicts, ==, 1);
    expect_page(0x1000, CXLF_P, 0);
    teardown();
}

/* What a dead owner may have modified is lost, where policy says so. */
static void test_loss(void)
{
    struct cxlf_directory *d = &agents.f.directory;
    struct cxlf_move m;

    setup(fixture_topology(HOSTS, 1, 1, 1));
    g_assert_cmpint(request(1, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(request(1, 0x2000, CXLF_LOAD), ==, CXLF_DONE);
    g_assert_cmpint(cxlf_access(d, 1, 0, 0x3000, CXLF_STORE), ==, CXLF_OK);
    g_assert_cmpint(cxlf_access(d, 1, 0, 0x4000, CXLF_OWN), ==, CXLF_OK);
    cxlf_give_up(d, 1, CXLF_LOSS, NULL);
    expect_page(0x1000, CXLF_P, 0);
    expect_page(0x2000, CXLF_I, 0);
    g_assert_cmpint(request(0, 0x1000, CXLF_LOAD), ==, CXLF_LOST);
    g_assert_cmpint(cxlf_access(d, 0, 0, 0x3000, CXLF_LOAD), ==,
                    CXLF_POISONED);
    g_assert_cmpint(cxlf_access(d, 0, 0, 0x4000, CXLF_LOAD), ==, CXLF_OK);
    g_assert_cmpint(cxlf_page_event(d, 0, 0, 0x1000, CXLF_CLEAR, &m), ==,
                    CXLF_OK);
    g_assert_cmpint(request(0, 0x1000, CXLF_LOAD), ==, CXLF_DONE);
    teardown();
}

typedef struct Poison {
    unsigned count;
    enum cxlf_kind kind[4];
    uint64_t dpa[4];
} Poison;

static void list_poison(void *opaque, enum cxlf_kind kind, uint32_t gfam,
                        uint64_t dpa)
{
    Poison *list = opaque;

    g_assert_cmpuint(gfam, ==, 0);
    g_assert_cmpuint(list->count, <, 4);
    list->kind[list->count] = kind;
    list->dpa[list->count++] = dpa;
}

/* The owner's list of poison outlives the leaf. */
static void test_poison_returns(void)
{
    struct cxlf_topology t = fixture_topology(HOSTS, 1, 1, 1);
    struct cxlf_directory *d = &agents.f.directory;
    uint64_t live[64] = { 0 }, bulk = CXLF_CAPACITY_UNIT;
    Poison list = { 0 };

    t.tiers = true;
    t.line_entries = 64;
    setup(t);
    d->on_poison = list_poison;
    d->opaque = &list;
    g_assert_cmpint(request(1, bulk, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(request(1, bulk + 0x1000, CXLF_PROMOTE), ==, CXLF_LINES);
    g_assert_cmpint(cxlf_access(d, 1, 0, bulk + 0x1040, CXLF_STORE), ==,
                    CXLF_OK);
    g_assert_cmpint(cxlf_access(d, 1, 0, 0x40, CXLF_STORE), ==, CXLF_OK);
    cxlf_give_up(d, 1, CXLF_LOSS, NULL);
    g_assert_cmpuint(list.count, ==, 3);
    g_assert_false(cxlf_access(d, 0, 0, 0x40, CXLF_REBUILD_P) == CXLF_OK);
    lose_leaf(1);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(cxlf_rebuild_poison(d, list.kind[i], 0, list.dpa[i]));
    }
    g_assert_false(cxlf_rebuild_poison(d, CXLF_PAGE_UNIT, 1, 0));
    g_assert_true(cxlf_leaf_resume(d, 0, live));
    g_assert_cmpint(request(0, bulk, CXLF_LOAD), ==, CXLF_LOST);
    g_assert_cmpint(request(0, bulk + 0x1000, CXLF_LOAD), ==, CXLF_LINES);
    g_assert_cmpint(cxlf_access(d, 0, 0, bulk + 0x1040, CXLF_LOAD), ==,
                    CXLF_POISONED);
    g_assert_cmpint(cxlf_access(d, 0, 0, bulk + 0x1080, CXLF_LOAD), ==,
                    CXLF_OK);
    g_assert_cmpint(cxlf_access(d, 0, 0, 0x40, CXLF_LOAD), ==,
                    CXLF_POISONED);
    /* A page with a poisoned line does not become one that could be mapped. */
    g_assert_cmpint(request(0, bulk + 0x1000, CXLF_RECALL), ==, CXLF_LOST);
    expect_page(bulk + 0x1000, CXLF_L, 0);
    teardown();
}

/* What the old leaf granted is not mapped when the new one has not. */
static void test_old_grant(void)
{
    struct cxlf_request r = { .dpa = 0x1000, .event = CXLF_OWN };
    struct cxlf_directory *d = &agents.f.directory;
    uint64_t live[64] = { 0x7 };

    setup(fixture_topology(HOSTS, 1, 1, 1));
    while (r.phase != CXLF_INSTALL) {
        g_assert_cmpint(cxlf_request_step(&agents.agent[0], &r), ==,
                        CXLF_MORE);
    }
    for (uint32_t incarnation = 1; incarnation < 3; incarnation++) {
        lose_leaf(incarnation);
        for (unsigned h = 0; h < HOSTS; h++) {
            cxlf_rebuild(d, h, 0, &agents.log[h], NULL);
        }
        g_assert_true(cxlf_leaf_resume(d, 0, live));
    }
    g_assert_cmpint(request(1, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(cxlf_request_step(&agents.agent[0], &r), ==, CXLF_MORE);
    g_assert_cmpint(r.phase, ==, CXLF_ASK);
    g_assert_cmpuint(mapped(0, 0x1000), ==, 0);
    g_assert_cmpint(cxlf_log_get(&agents.log[0], 0, 0x1000), ==,
                    CXLF_HELD_NOT);
    teardown();
}

/* HOT begins as lines; BULK as pages; both move. */
static void test_tiers(void)
{
    struct cxlf_topology t = fixture_topology(HOSTS, 1, 1, 1);
    struct cxlf_directory *d = &agents.f.directory;
    uint64_t bulk = CXLF_CAPACITY_UNIT;
    struct cxlf_line line;

    t.tiers = true;
    t.line_entries = 1024;
    setup(t);
    g_assert_cmpint(cxlf_access(d, 0, 0, 0x1040, CXLF_STORE), ==, CXLF_OK);
    g_assert_cmpint(request(1, 0x1000, CXLF_OWN), ==, CXLF_LINES);
    g_assert_cmpint(cxlf_access(d, 0, 0, bulk, CXLF_STORE), ==,
                    CXLF_BY_PAGE);
    /* HOT to a page: the lines are taken first. */
    g_assert_cmpint(request(1, 0x1000, CXLF_RECALL), ==, CXLF_DONE);
    g_assert_true(cxlf_peek(d, CXLF_LINE_UNIT, 0, 0x1040, &line));
    g_assert_cmpuint(line.holders, ==, 0);
    g_assert_cmpint(request(1, 0x1000, CXLF_OWN), ==, CXLF_DONE);
    g_assert_cmpint(cxlf_access(d, 0, 0, 0x1040, CXLF_STORE), ==,
                    CXLF_BY_PAGE);
    /* BULK to lines: the holders are asked first. */
    g_assert_cmpint(request(0, bulk, CXLF_LOAD), ==, CXLF_DONE);
    g_assert_cmpint(request(1, bulk, CXLF_LOAD), ==, CXLF_DONE);
    g_assert_cmpint(request(2, bulk, CXLF_PROMOTE), ==, CXLF_LINES);
    g_assert_cmpuint(mapped(0, bulk) + mapped(1, bulk), ==, 0);
    g_assert_cmpint(cxlf_access(d, 0, 0, bulk + 64, CXLF_STORE), ==,
                    CXLF_OK);
    g_assert_cmpint(request(2, bulk, CXLF_RECALL), ==, CXLF_DONE);
    expect_page(bulk, CXLF_I, 0);
    teardown();
}

/* Entries in use, of each leaf and kind, finite and not. */
static void test_used(void)
{
    for (unsigned entries = 0; entries <= 1024; entries += 1024) {
        struct cxlf_topology t = fixture_topology(HOSTS, 2, 2, 2);
        struct cxlf_directory *d = &agents.f.directory;

        t.line_entries = entries;
        setup(t);
        for (unsigned i = 0; i < 300; i++) {
            g_assert_cmpint(cxlf_access(d, i % HOSTS, 0, i * 4160,
                                        CXLF_STORE), ==, CXLF_OK);
        }
        g_assert_cmpint(request(1, CXLF_CAPACITY_UNIT, CXLF_OWN), ==,
                        CXLF_DONE);
        g_assert_cmpuint(cxlf_leaf_used(d, 0, CXLF_LINE_UNIT) +
                         cxlf_leaf_used(d, 1, CXLF_LINE_UNIT), ==, 300);
        g_assert_cmpuint(cxlf_leaf_used(d, 0, CXLF_PAGE_UNIT) +
                         cxlf_leaf_used(d, 1, CXLF_PAGE_UNIT), ==, 1);
        for (unsigned host = 0; host < HOSTS; host++) {
            cxlf_give_up(d, host, CXLF_EVICT, NULL);
        }
        g_assert_cmpuint(cxlf_leaf_used(d, 0, CXLF_LINE_UNIT) +
                         cxlf_leaf_used(d, 1, CXLF_LINE_UNIT) +
                         cxlf_leaf_used(d, 0, CXLF_PAGE_UNIT) +
                         cxlf_leaf_used(d, 1, CXLF_PAGE_UNIT), ==, 0);
        teardown();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/leaf/epochs", test_epochs);
    g_test_add_func("/leaf/log", test_log);
    g_test_add_func("/leaf/log-rows", test_rows);
    g_test_add_func("/leaf/log-words", test_words);
    g_test_add_func("/leaf/log-order", test_order);
    g_test_add_func("/leaf/each-held", test_each_held);
    g_test_add_func("/leaf/return", test_return);
    g_test_add_func("/leaf/conflict", test_conflict);
    g_test_add_func("/leaf/loss", test_loss);
    g_test_add_func("/leaf/poison-returns", test_poison_returns);
    g_test_add_func("/leaf/old-grant", test_old_grant);
    g_test_add_func("/leaf/tiers", test_tiers);
    g_test_add_func("/leaf/used", test_used);
    return g_test_run();
}
