/*
 * Protocol table: against a table of its own, and its invariants
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include "cxlf/abi.h"
#include "cxlf/protocol.h"

#define HOSTS 4

/*
 * The table, cell by cell, written apart from the core's.  "-" is undefined.
 * A cell is its next state, "=" for the row's own; "|X": X when nobody is
 * left; ">X": X until mapped holders have answered, or for a page that is
 * poisoned; and "+" what it does: "inv" and "data" are BISnpInv and
 * BISnpData, "wb" a writeback, rh, wh, rm, wm, up the counters.
 * Columns: Load, Own, Store, Evict, Recall, Promote, Demoted, RspI, RspS,
 * Death, Loss, Clear, RebuildS, RebuildE, RebuildP.  Rows: stranger, holder,
 * requester; NULL: all undefined.
 */
#define APART "=+busy =+busy - = =+busy =+busy - =+stale =+stale = = = - - -"

static const char *const expected[CXLF_STATES][CXLF_RELATIONS] = {
    [CXLF_I] = {
        "S+add+rm E+only+wm M+only+wm = = L - =+stale =+stale "
        "= = = S+add E+only P+poison",
    },
    [CXLF_S] = {
        "=+add+rm E>S_E+inv+only+wm M+inv+only+wm = I>S_I+inv =+busy - "
        "=+stale =+stale = = = =+add P+poison+conflict "
        "P+poison+conflict",
        "=+rh E>S_E+inv+only+up M+inv+only+up =|I+drop I>S_I+inv =+busy - "
        "=|I+drop =+stale =|I+drop =|I+drop = = P+poison+conflict "
        "P+poison+conflict",
    },
    [CXLF_E] = {
        "S>E_S+data+add+rm =>E_E+inv+only+wm M+inv+only+wm = I>E_I+inv "
        "=+busy - =+stale =+stale = = = P+poison+conflict P+poison+conflict "
        "P+poison+conflict",
        "=+rh =+wh M+wh I+drop I>E_I+inv =+busy - I+drop S I+drop "
        "I>P+drop+poison = = = P+poison+conflict",
    },
    [CXLF_M] = {
        "S+data+wb+add+rm E+inv+wb+only+wm =+inv+wb+only+wm = I+inv+wb "
        "- - - - = = = - - -",
        "=+rh =+wh =+wh I+wb+drop I+inv+wb - - - - I+drop P+drop+poison = "
        "- - -",
    },
    [CXLF_L] = {
        "=+lines =+lines - - L_I = - =+stale =+stale = = = S+add E+only "
        "P+poison",
    },
    [CXLF_P] = {
        "=+poisoned =+poisoned =+poisoned = = =+poisoned - =+stale =+stale "
        "= = I = = =",
    },
    [CXLF_S_E] = {
        APART,
        "=+busy =+busy - =|E+drop+grant =+busy =+busy - =|E+drop+grant "
        "=+stale =|E+drop+grant =|E+drop+grant = - - -",
        "=+busy =+busy - S =+busy =+busy - =+stale =+stale S S = - - -",
    },
    [CXLF_E_E] = {
        APART,
        "=+busy =+busy - =|E+drop+grant =+busy =+busy - =|E+drop+grant "
        "=+stale =|E+drop+grant P+drop+poison = - - -",
        "=+busy =+busy - E =+busy =+busy - =+stale =+stale E E = - - -",
    },
    [CXLF_E_S] = {
        APART,
        "=+busy =+busy - =|S+drop+grant =+busy =+busy - =|S+drop+grant "
        "S+grant =|S+drop+grant P+drop+poison = - - -",
        "=+busy =+busy - E =+busy =+busy - =+stale =+stale E E = - - -",
    },
    [CXLF_S_I] = {
        APART,
        "=+busy =+busy - =|I+drop =+busy =+busy - =|I+drop =+stale =|I+drop "
        "=|I+drop = - - -",
        "=+busy =+busy - S =+busy =+busy - =+stale =+stale S S = - - -",
    },
    [CXLF_E_I] = {
        APART,
        "=+busy =+busy - =|I+drop =+busy =+busy - =|I+drop =+stale =|I+drop "
        "P+drop+poison = - - -",
        "=+busy =+busy - E =+busy =+busy - =+stale =+stale E E = - - -",
    },
    [CXLF_L_I] = {
        "=+busy =+busy - - =+busy =+busy - =+stale =+stale = = = - - -",
        NULL,
        "=+busy =+busy - - =+busy =+busy I =+stale =+stale L L = - - -",
    },
};

#undef APART

static const char *const state_names[CXLF_STATES] = {
    "I", "S", "E", "M", "L", "P", "S_E", "E_E", "E_S", "S_I", "E_I", "L_I",
    "N", "F",
};

static const char *const event_names[CXLF_EVENTS] = {
    "Load", "Own", "Store", "Evict", "Recall", "Promote", "Demoted", "RspI",
    "RspS", "Death", "Loss", "Clear", "RebuildS", "RebuildE", "RebuildP",
};

static char *describe(const struct cxlf_cell *cell, int state)
{
    static const char *const words[] = {
        "", "+inv", "+data", "+wb", "+add", "+only", "+drop", "+grant",
        "+busy", "+stale", "+rh", "+wh", "+rm", "+wm", "+up", "+lines",
        "+poisoned", "+poison", "+conflict", "+overflow",
    };
    GString *s = g_string_new(NULL);

    if (!(cell->actions & CXLF_A_DEFINED)) {
        return g_string_free(g_string_append(s, "-"), FALSE);
    }
    g_string_append(s, cell->next == state ? "=" : state_names[cell->next]);
    if (cell->last != cell->next) {
        g_string_append_printf(s, "|%s", state_names[cell->last]);
    }
    /* Where all three are the same it says so once. */
    if (cell->wait != cell->next) {
        g_string_append_printf(s, ">%s", state_names[cell->wait]);
    }
    for (size_t i = 0; i < 32; i++) {
        if (cell->actions >> i & 1) {
            g_string_append(s, i < G_N_ELEMENTS(words) ? words[i] : "+?");
        }
    }
    return g_string_free(s, FALSE);
}

static void test_table(void)
{
    for (int s = 0; s < CXLF_STATES; s++) {
        g_assert_cmpstr(cxlf_state_name[s], ==, state_names[s]);
        for (int r = 0; r < CXLF_RELATIONS; r++) {
            const char *row = expected[s][r];
            g_auto(GStrv) cells = g_strsplit(row ? row : "", " ", -1);

            g_assert_true(!row || g_strv_length(cells) == CXLF_EVENTS);
            for (int e = 0; e < CXLF_EVENTS; e++) {
                g_autofree char *have = describe(&cxlf_table[s][r][e], s);

                g_test_message("%s, relation %d, %s", state_names[s], r,
                               event_names[e]);
                g_assert_cmpstr(have, ==, row ? cells[e] : "-");
                g_assert_cmpstr(cxlf_event_name[e], ==, event_names[e]);
            }
        }
    }
}

/* One step, and what every step of every kind keeps to */
typedef struct Step {
    enum cxlf_kind kind;
    unsigned hosts, host;
    enum cxlf_event event;
    struct cxlf_line line, next;
    unsigned actions;
} Step;

static bool has(const Step *s, struct cxlf_line line, unsigned host)
{
    return cxlf_set_has(line.holders, host, s->hosts);
}

static bool same(struct cxlf_line a, struct cxlf_line b)
{
    return a.state == b.state && a.requester == b.requester &&
           a.holders == b.holders;
}

static bool try_step(Step *s)
{
    return cxlf_step(s->kind, s->hosts, s->line, s->host, s->event, &s->next,
                     &s->actions);
}

static bool is_rebuild(enum cxlf_event event)
{
    return event >= CXLF_REBUILD_S && event <= CXLF_REBUILD_P;
}

/* Owners, who may have modified what they hold */
static bool is_owned(unsigned state)
{
    return state == CXLF_E || state == CXLF_M || state == CXLF_E_E ||
           state == CXLF_E_S || state == CXLF_E_I;
}

/* Poison comes by loss or by logs that contradict each other, and is told. */
static void check_poison(const Step *s)
{
    /* Of a line in E is known that it is not modified. */
    bool loss = s->event == CXLF_LOSS && has(s, s->line, s->host) &&
                is_owned(s->line.state) &&
                !(s->kind == CXLF_LINE_UNIT && s->line.state == CXLF_E);

    if (s->line.state != CXLF_P) {
        g_assert_cmpint(s->next.state == CXLF_P, ==,
                        !!(s->actions & CXLF_A_POISON));
        g_assert_cmpint(s->next.state == CXLF_P, ==, loss ||
                        s->event == CXLF_REBUILD_P ||
                        (s->actions & CXLF_A_CONFLICT &&
                         is_rebuild(s->event)));
    } else {
        g_assert_true(s->next.state == CXLF_P ||
                      (s->next.state == CXLF_I && s->event == CXLF_CLEAR));
        g_assert_false(s->actions & CXLF_A_POISON);
    }
}

static void check_step(const Step *s)
{
    const unsigned refusals = CXLF_A_BUSY | CXLF_A_STALE | CXLF_A_LINES |
                              CXLF_A_POISONED | CXLF_A_OVERFLOW;
    bool granted = s->actions & CXLF_A_GRANT &&
                   !cxlf_is_transient(s->next.state);

    g_assert_true(cxlf_line_valid(s->kind, s->hosts, s->next));
    check_poison(s);
    if (s->actions & refusals) {
        g_assert_true(same(s->line, s->next));
    }
    for (unsigned h = 0; h < s->hosts; h++) {
        /* Nobody is let in but who asks, or who has asked. */
        if (has(s, s->next, h) && !has(s, s->line, h) &&
            cxlf_set_encoding(s->next.holders) != CXLF_COARSE) {
            g_assert_true(h == s->host ||
                          (granted && h == s->line.requester));
        }
        /* A coarse set forgets nobody but when all are taken. */
        if (has(s, s->line, h) && !has(s, s->next, h) && h != s->host) {
            g_assert_true(s->actions & (CXLF_A_BISNP_INV | CXLF_A_CONFLICT));
        }
    }
    /* A dead or departed host has no part, but in what names groups. */
    if ((s->event == CXLF_DEATH || s->event == CXLF_LOSS ||
         s->event == CXLF_EVICT) &&
        cxlf_set_encoding(s->next.holders) != CXLF_COARSE) {
        g_assert_false(has(s, s->next, s->host));
        g_assert_false(s->actions & (CXLF_A_BISNP_INV | CXLF_A_BISNP_DATA));
    }
}

static bool is_page_event(enum cxlf_event event)
{
    return event == CXLF_PROMOTE || event == CXLF_DEMOTED ||
           event == CXLF_RSP_I || event == CXLF_RSP_S ||
           event == CXLF_REBUILD_S || event == CXLF_REBUILD_E;
}

static void check_line(Step *s)
{
    if (is_page_event(s->event)) {
        g_assert_false(try_step(s));    /* trapped: nobody answers */
        return;
    }
    if (s->event == CXLF_REBUILD_P && s->line.state == CXLF_M) {
        g_assert_false(try_step(s));    /* nobody has it in a new leaf */
        return;
    }
    g_assert_true(try_step(s));
    check_step(s);
    g_assert_false(s->actions & (CXLF_A_OVERFLOW | CXLF_A_BUSY |
                                 CXLF_A_LINES | CXLF_A_STALE));
    g_assert_cmpint(!!(s->actions & CXLF_A_POISONED), ==,
                    s->line.state == CXLF_P && s->event <= CXLF_STORE);
    /* What each event promises its host, whatever was before */
    if (s->line.state != CXLF_P && s->event == CXLF_LOAD) {
        g_assert_true(has(s, s->next, s->host));
    } else if (s->line.state != CXLF_P &&
               (s->event == CXLF_OWN || s->event == CXLF_STORE)) {
        g_assert_cmphex(s->next.holders, ==, cxlf_set_of(s->host, s->hosts));
        g_assert_true(s->next.state == CXLF_M ||
                      (s->event == CXLF_OWN && s->next.state == CXLF_E));
    } else if (s->event == CXLF_RECALL && s->line.state != CXLF_P) {
        g_assert_cmpint(s->next.state, ==, CXLF_I);
    }
    /* Modified data is never dropped silently. */
    if (s->line.state == CXLF_M && s->next.state != CXLF_M &&
        s->event != CXLF_DEATH) {
        g_assert_true(s->actions & (s->event == CXLF_LOSS ?
                                    CXLF_A_POISON : CXLF_A_WRITEBACK));
    }
}

static bool page_defined(const Step *s)
{
    bool transient = cxlf_is_transient(s->line.state);

    switch (s->event) {
    case CXLF_STORE:
        return false;
    case CXLF_EVICT:
        return s->line.state != CXLF_L && s->line.state != CXLF_L_I;
    case CXLF_DEMOTED:
        return s->line.state == CXLF_L_I && s->line.requester == s->host;
    case CXLF_REBUILD_S:
    case CXLF_REBUILD_E:
    case CXLF_REBUILD_P:
        return !transient;
    default:
        return true;
    }
}

/* A transaction is begun by who asks, and stays its own until its end. */
static void check_transaction(const Step *s)
{
    if (!cxlf_is_transient(s->next.state)) {
        return;
    }
    if (cxlf_is_transient(s->line.state)) {
        g_assert_cmpint(s->next.state, ==, s->line.state);
        g_assert_cmpint(s->next.requester, ==, s->line.requester);
        return;
    }
    g_assert_cmpint(s->next.requester, ==, s->host);
    g_assert_true(s->event == CXLF_LOAD || s->event == CXLF_OWN ||
                  s->event == CXLF_RECALL);
    /* It waits for all who have the page mapped, but not for itself. */
    for (unsigned h = 0; h < s->hosts; h++) {
        if (s->event == CXLF_RECALL || h != s->host) {
            g_assert_cmpint(has(s, s->next, h), ==, has(s, s->line, h));
        }
    }
}

static void check_page(Step *s)
{
    const unsigned refusals = CXLF_A_BUSY | CXLF_A_LINES | CXLF_A_POISONED |
                              CXLF_A_OVERFLOW;
    Step again = *s;

    if (!page_defined(s)) {
        g_assert_false(try_step(s));
        return;
    }
    g_assert_true(try_step(s));
    check_step(s);
    check_transaction(s);
    /* No page is taken from a host but by its own answer, or its end. */
    for (unsigned h = 0; h < s->hosts && !(s->actions & CXLF_A_CONFLICT);
         h++) {
        g_assert_true(h == s->host || !has(s, s->line, h) ||
                      has(s, s->next, h));
    }
    if (!(s->actions & refusals) && !cxlf_is_transient(s->next.state)) {
        if (s->event == CXLF_LOAD) {
            g_assert_true(has(s, s->next, s->host));
        } else if (s->event == CXLF_OWN) {
            g_assert_cmpint(s->next.state, ==, CXLF_E);
            g_assert_true(has(s, s->next, s->host));
        }
    }
    g_assert_true(!(s->actions & CXLF_A_OVERFLOW) ||
                  (s->line.state == CXLF_S && s->hosts > CXLF_EXACT_HOSTS &&
                   cxlf_set_count(s->line.holders, s->hosts) ==
                   CXLF_SET_POINTERS));
    /* A dead host is named at most until its second death event. */
    if (s->event == CXLF_DEATH || s->event == CXLF_LOSS) {
        again.line = s->next;
        g_assert_true(try_step(&again));
        check_step(&again);
        g_assert_false(has(s, again.next, s->host));
        g_assert_false(cxlf_is_transient(again.next.state) &&
                       again.next.requester == s->host);
    }
}

/* Every event of some hosts, on a line or page that may be legal */
static bool check_all(enum cxlf_kind kind, unsigned hosts,
                      struct cxlf_line line, const unsigned *who,
                      unsigned count)
{
    Step s = { .kind = kind, .hosts = hosts, .line = line };

    if (!cxlf_line_valid(kind, hosts, line)) {
        g_assert_false(try_step(&s));
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        for (int event = 0; event < CXLF_EVENTS; event++) {
            s.host = who[i];
            s.event = event;
            (kind == CXLF_LINE_UNIT ? check_line : check_page)(&s);
        }
    }
    s.host = hosts;
    g_assert_false(try_step(&s));
    return true;
}

/* All legal lines (or pages) of HOSTS hosts: every host, every event. */
static unsigned explore(enum cxlf_kind kind)
{
    static const unsigned who[HOSTS] = { 0, 1, 2, 3 };
    unsigned legal = 0;

    for (unsigned i = 0; i < 32 * (HOSTS + 1) << (HOSTS + 1); i++) {
        struct cxlf_line line = {
            .state = i % 32, .requester = i / 32 % (HOSTS + 1),
            .holders = i / 32 / (HOSTS + 1),
        };

        legal += check_all(kind, HOSTS, line, who, HOSTS);
    }
    return legal;
}

static void test_lines(void)
{
    /* I, P; S with any non-empty set; E and M with one owner each */
    g_assert_cmpuint(explore(CXLF_LINE_UNIT), ==,
                     2 + ((1u << HOSTS) - 1) + 2 * HOSTS);
}

static void test_pages(void)
{
    unsigned others = HOSTS - 1;

    /* I, L, P; S; E; for each requester S_E, E_E, E_S, S_I, E_I, L_I */
    g_assert_cmpuint(explore(CXLF_PAGE_UNIT), ==,
                     3 + ((1u << HOSTS) - 1) + HOSTS +
                     HOSTS * (((1u << others) - 1) + 2 * others +
                              ((1u << HOSTS) - 1) + HOSTS + 1));
}

/* Fabrics of all sizes: random sets of up to 8 hosts, in every state */
static void test_sizes(void)
{
    static const unsigned sizes[] = { 1, 62, 63, 100, 4095 };
    unsigned legal = 0;

    for (unsigned i = 0; i < 40 * CXLF_STATES * G_N_ELEMENTS(sizes); i++) {
        unsigned hosts = sizes[i % G_N_ELEMENTS(sizes)];
        unsigned who[4], count = g_test_rand_int_range(0, 9);
        struct cxlf_line line = {
            .state = i / G_N_ELEMENTS(sizes) % CXLF_STATES,
        };

        for (unsigned j = 0; j < G_N_ELEMENTS(who); j++) {
            who[j] = g_test_rand_int_range(0, hosts);
        }
        /* Half of the sets have one host, or none. */
        count = g_test_rand_bit() ? count : count & 1;
        for (unsigned j = 0; j < count; j++) {
            line.holders = cxlf_set_add(line.holders, j < 2 ? who[j] :
                                        (unsigned)g_test_rand_int_range(0,
                                                                        hosts),
                                        hosts);
        }
        if (cxlf_is_transient(line.state)) {
            line.requester = who[1 + g_test_rand_bit()];
        }
        if (line.state == CXLF_I || line.state == CXLF_P ||
            line.state == CXLF_L || line.state == CXLF_L_I) {
            line.holders = 0;
        }
        legal += check_all(CXLF_LINE_UNIT, hosts, line, who, 4);
        legal += check_all(CXLF_PAGE_UNIT, hosts, line, who, 4);
    }
    g_assert_cmpuint(legal, >, 1000);
}

static Step step(enum cxlf_kind kind, unsigned hosts, struct cxlf_line line,
                 unsigned host, enum cxlf_event event)
{
    Step s = { .kind = kind, .hosts = hosts, .host = host, .event = event,
               .line = line };

    g_assert_true(try_step(&s));
    return s;
}

/* What a corrupted entry could say of a fabric of 100 hosts */
static void test_corrupted(void)
{
    static const uint64_t sets[] = {
        1, 1ull << 62, 1ull << 62 | 101, 1ull << 62 | 7 << 12 | 7,
        2ull << 62, 2ull << 62 | 1ull << 50, 3ull << 62 | 1,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
        for (unsigned state = 0; state < 32; state++) {
            struct cxlf_line line = { state, 0, sets[i] };

            g_assert_false(cxlf_line_valid(CXLF_LINE_UNIT, 100, line));
            g_assert_false(cxlf_line_valid(CXLF_PAGE_UNIT, 100, line));
        }
    }
}

static void test_last_sharer(void)
{
    struct cxlf_line line = { CXLF_S, 0, 0x2 };
    Step s = step(CXLF_LINE_UNIT, HOSTS, line, 1, CXLF_EVICT);

    g_assert_cmpuint(s.next.state, ==, CXLF_I);
    line.holders = 0x6;
    s = step(CXLF_LINE_UNIT, HOSTS, line, 1, CXLF_DEATH);
    g_assert_cmpuint(s.next.state, ==, CXLF_S);
    g_assert_cmphex(s.next.holders, ==, 0x4);
}

/* A line's sharers become groups; a page's sixth sharer is refused. */
static void test_many_sharers(void)
{
    struct cxlf_line line = { CXLF_I, 0, 0 }, page = line;
    Step s;

    for (unsigned host = 0; host < 5; host++) {
        line = step(CXLF_LINE_UNIT, 100, line, 10 * host, CXLF_LOAD).next;
        page = step(CXLF_PAGE_UNIT, 100, page, 10 * host, CXLF_LOAD).next;
    }
    g_assert_cmphex(line.holders, ==, page.holders);
    g_assert_cmpint(cxlf_set_encoding(page.holders), ==, CXLF_POINTERS);
    s = step(CXLF_PAGE_UNIT, 100, page, 40, CXLF_LOAD);
    g_assert_cmpuint(s.actions, ==, CXLF_A_DEFINED | CXLF_A_READ_HIT);
    for (int event = 0; event < CXLF_EVENTS; event++) {
        if (event == CXLF_LOAD || event == CXLF_REBUILD_S) {
            s = step(CXLF_PAGE_UNIT, 100, page, 50, event);
            g_assert_cmpuint(s.actions, ==, CXLF_A_DEFINED | CXLF_A_OVERFLOW);
            g_assert_true(same(s.line, s.next));
        }
    }

    line = step(CXLF_LINE_UNIT, 100, line, 50, CXLF_LOAD).next;
    g_assert_cmpint(cxlf_set_encoding(line.holders), ==, CXLF_COARSE);
    g_assert_false(cxlf_line_valid(CXLF_PAGE_UNIT, 100, line));
    s = step(CXLF_LINE_UNIT, 100, line, 50, CXLF_DEATH);
    g_assert_true(same(s.line, s.next));
    s = step(CXLF_LINE_UNIT, 100, line, 51, CXLF_LOAD);
    g_assert_cmpuint(s.actions, ==, CXLF_A_DEFINED | CXLF_A_READ_HIT);
    s = step(CXLF_LINE_UNIT, 100, line, 99, CXLF_OWN);
    g_assert_cmphex(s.next.holders, ==, cxlf_set_of(99, 100));
    s = step(CXLF_LINE_UNIT, 100, line, 99, CXLF_RECALL);
    g_assert_cmphex(s.next.holders, ==, 0);
}

/* Promotion, demotion, and poison of one page, as a story */
static void test_page_story(void)
{
    struct cxlf_line page = { CXLF_I, 0, 0 };
    Step s;

    page = step(CXLF_PAGE_UNIT, HOSTS, page, 2, CXLF_PROMOTE).next;
    g_assert_cmpuint(page.state, ==, CXLF_L);
    page = step(CXLF_PAGE_UNIT, HOSTS, page, 3, CXLF_RECALL).next;
    g_assert_true(same(page, (struct cxlf_line) { CXLF_L_I, 3, 0 }));
    page = step(CXLF_PAGE_UNIT, HOSTS, page, 3, CXLF_DEMOTED).next;
    g_assert_true(same(page, (struct cxlf_line) { CXLF_I, 0, 0 }));
    page = step(CXLF_PAGE_UNIT, HOSTS, page, 1, CXLF_OWN).next;
    page = step(CXLF_PAGE_UNIT, HOSTS, page, 2, CXLF_OWN).next;
    g_assert_true(same(page, (struct cxlf_line) { CXLF_E_E, 2, 2 }));
    s = step(CXLF_PAGE_UNIT, HOSTS, page, 1, CXLF_LOSS);
    g_assert_true(same(s.next, (struct cxlf_line) { CXLF_P, 0, 0 }));
    s = step(CXLF_PAGE_UNIT, HOSTS, s.next, 2, CXLF_OWN);
    g_assert_true(s.actions & CXLF_A_POISONED);
    s = step(CXLF_PAGE_UNIT, HOSTS, s.next, 2, CXLF_CLEAR);
    g_assert_cmpuint(s.next.state, ==, CXLF_I);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol/table", test_table);
    g_test_add_func("/protocol/lines", test_lines);
    g_test_add_func("/protocol/pages", test_pages);
    g_test_add_func("/protocol/sizes", test_sizes);
    g_test_add_func("/protocol/corrupted", test_corrupted);
    g_test_add_func("/protocol/last-sharer", test_last_sharer);
    g_test_add_func("/protocol/many-sharers", test_many_sharers);
    g_test_add_func("/protocol/page-story", test_page_story);
    return g_test_run();
}
