/*
 * Protocol table: against docs/protocol.md, and its invariants
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include "cxlf/abi.h"
#include "cxlf/protocol.h"

#define HOSTS 4

/*
 * The table of docs/protocol.md, cell by cell.  "-" is undefined.  A cell is
 * its next state; "|X": X when nobody is left; ">X": X until mapped holders
 * have answered; and what it does: "inv" and "data" are BISnpInv and
 * BISnpData, "wb" a writeback.
 * Columns: Load, Own, Store, Evict, Recall, RspI, RspS, Death.
 */
static const char *const expected[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS] = {
    [CXLF_I] = {
        { "S", "E", "M", "I", "I", "I stale", "I stale", "I" },
        { "-", "-", "-", "-", "-", "-", "-", "-" },
        { "-", "-", "-", "-", "-", "-", "-", "-" },
    },
    [CXLF_S] = {
        { "S", "E>S_E inv", "M inv", "S", "I>S_I inv", "S stale", "S stale",
          "S" },
        { "S", "E>S_E inv", "M inv", "S|I", "I>S_I inv", "S|I", "S stale",
          "S|I" },
        { "-", "-", "-", "-", "-", "-", "-", "-" },
    },
    [CXLF_E] = {
        { "S>E_S data", "E>E_E inv", "M inv", "E", "I>E_I inv", "E stale",
          "E stale", "E" },
        { "E", "E", "M", "I", "I>E_I inv", "I", "S", "I" },
        { "-", "-", "-", "-", "-", "-", "-", "-" },
    },
    [CXLF_M] = {
        { "S data wb", "E inv wb", "M inv wb", "M", "I inv wb", "-", "-",
          "M" },
        { "M", "M", "M", "I wb", "I inv wb", "-", "-", "I" },
        { "-", "-", "-", "-", "-", "-", "-", "-" },
    },
    [CXLF_S_E] = {
        { "S_E busy", "S_E busy", "-", "S_E", "S_E busy", "S_E stale",
          "S_E stale", "S_E" },
        { "S_E busy", "S_E busy", "-", "S_E|E grant", "S_E busy",
          "S_E|E grant", "S_E stale", "S_E|E grant" },
        { "S_E busy", "S_E busy", "-", "S", "S_E busy", "S_E stale",
          "S_E stale", "S" },
    },
    [CXLF_E_E] = {
        { "E_E busy", "E_E busy", "-", "E_E", "E_E busy", "E_E stale",
          "E_E stale", "E_E" },
        { "E_E busy", "E_E busy", "-", "E_E|E grant", "E_E busy",
          "E_E|E grant", "E_E stale", "E_E|E grant" },
        { "E_E busy", "E_E busy", "-", "E", "E_E busy", "E_E stale",
          "E_E stale", "E" },
    },
    [CXLF_E_S] = {
        { "E_S busy", "E_S busy", "-", "E_S", "E_S busy", "E_S stale",
          "E_S stale", "E_S" },
        { "E_S busy", "E_S busy", "-", "E_S|S grant", "E_S busy",
          "E_S|S grant", "S grant", "E_S|S grant" },
        { "E_S busy", "E_S busy", "-", "E", "E_S busy", "E_S stale",
          "E_S stale", "E" },
    },
    [CXLF_S_I] = {
        { "S_I busy", "S_I busy", "-", "S_I", "S_I busy", "S_I stale",
          "S_I stale", "S_I" },
        { "S_I busy", "S_I busy", "-", "S_I|I", "S_I busy", "S_I|I",
          "S_I stale", "S_I|I" },
        { "S_I busy", "S_I busy", "-", "S", "S_I busy", "S_I stale",
          "S_I stale", "S" },
    },
    [CXLF_E_I] = {
        { "E_I busy", "E_I busy", "-", "E_I", "E_I busy", "E_I stale",
          "E_I stale", "E_I" },
        { "E_I busy", "E_I busy", "-", "E_I|I", "E_I busy", "E_I|I",
          "E_I stale", "E_I|I" },
        { "E_I busy", "E_I busy", "-", "E", "E_I busy", "E_I stale",
          "E_I stale", "E" },
    },
};

static char *describe(const struct cxlf_cell *cell)
{
    static const struct {
        unsigned action;
        const char *word;
    } words[] = {
        { CXLF_A_BISNP_INV, " inv" }, { CXLF_A_BISNP_DATA, " data" },
        { CXLF_A_WRITEBACK, " wb" }, { CXLF_A_BUSY, " busy" },
        { CXLF_A_STALE, " stale" }, { CXLF_A_GRANT, " grant" },
    };
    GString *s = g_string_new(NULL);

    if (!(cell->actions & CXLF_A_DEFINED)) {
        return g_string_free(g_string_append(s, "-"), FALSE);
    }
    g_string_append(s, cxlf_state_name[cell->next]);
    if (cell->last != cell->next) {
        g_string_append_printf(s, "|%s", cxlf_state_name[cell->last]);
    }
    if (cell->wait != cell->next) {
        g_string_append_printf(s, ">%s", cxlf_state_name[cell->wait]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (cell->actions & words[i].action) {
            g_string_append(s, words[i].word);
        }
    }
    return g_string_free(s, FALSE);
}

static void test_table(void)
{
    for (int s = 0; s < CXLF_STATES; s++) {
        for (int r = 0; r < CXLF_RELATIONS; r++) {
            for (int e = 0; e < CXLF_EVENTS; e++) {
                g_autofree char *have = describe(&cxlf_table[s][r][e]);

                g_test_message("%s, relation %d, %s", cxlf_state_name[s], r,
                               cxlf_event_name[e]);
                g_assert_cmpstr(have, ==, expected[s][r][e]);
            }
        }
    }
}

/* What each event promises its host, whatever was before. */
static void check_promise(struct cxlf_line next, unsigned host,
                          enum cxlf_event event, unsigned actions)
{
    uint64_t bit = 1ull << host;

    switch (event) {
    case CXLF_LOAD:
        g_assert_true(next.holders & bit);
        break;
    case CXLF_OWN:
    case CXLF_STORE:
        g_assert_cmphex(next.holders, ==, bit);
        g_assert_true(next.state == CXLF_M ||
                      (event == CXLF_OWN && next.state == CXLF_E));
        break;
    case CXLF_EVICT:
    case CXLF_DEATH:
        g_assert_false(next.holders & bit);
        g_assert_false(actions & (CXLF_A_BISNP_INV | CXLF_A_BISNP_DATA));
        break;
    default:
        g_assert_not_reached();
    }
}

/* All legal lines (or pages) of HOSTS hosts: every host, every event. */
static unsigned explore(enum cxlf_kind kind,
                        void (*check)(struct cxlf_line, unsigned,
                                      enum cxlf_event))
{
    unsigned legal = 0;

    for (unsigned i = 0; i < 32 * HOSTS << HOSTS; i++) {
        struct cxlf_line line = {
            .state = i % 32, .requester = i / 32 % HOSTS,
            .holders = i / 32 / HOSTS,
        };
        struct cxlf_line next;
        unsigned actions;

        if (!cxlf_line_valid(kind, line)) {
            g_assert_false(cxlf_step(kind, line, 0, CXLF_LOAD, &next,
                                     &actions));
            continue;
        }
        legal++;
        for (unsigned host = 0; host < HOSTS; host++) {
            for (int event = 0; event < CXLF_EVENTS; event++) {
                check(line, host, event);
            }
        }
    }
    return legal;
}

static void check_line(struct cxlf_line line, unsigned host,
                       enum cxlf_event event)
{
    struct cxlf_line next;
    unsigned actions;

    if (event == CXLF_RSP_I || event == CXLF_RSP_S ||
        event == CXLF_RECALL) {
        return;         /* trapped holders answer no snoop */
    }
    g_assert_true(cxlf_step(CXLF_LINE_UNIT, line, host, event, &next,
                            &actions));
    g_assert_true(cxlf_line_valid(CXLF_LINE_UNIT, next));
    check_promise(next, host, event, actions);
    /* Only a snoop may take the line from another host. */
    if (line.holders & ~next.holders & ~(1ull << host)) {
        g_assert_true(actions & CXLF_A_BISNP_INV);
    }
    /* Modified data is never dropped silently. */
    if (line.state == CXLF_M && next.state != CXLF_M &&
        event != CXLF_DEATH) {
        g_assert_true(actions & CXLF_A_WRITEBACK);
    }
}

static void check_page(struct cxlf_line page, unsigned host,
                       enum cxlf_event event)
{
    uint64_t bit = 1ull << host, gone;
    struct cxlf_line next;
    unsigned actions;

    if (event == CXLF_STORE) {
        g_assert_false(cxlf_step(CXLF_PAGE_UNIT, page, host, event, &next,
                                 &actions));
        return;
    }
    g_assert_true(cxlf_step(CXLF_PAGE_UNIT, page, host, event, &next,
                            &actions));
    g_assert_true(cxlf_line_valid(CXLF_PAGE_UNIT, next));
    /* No event takes a mapped page from a host but by its own answer. */
    gone = page.holders & ~next.holders & ~bit;
    g_assert_cmphex(gone, ==, 0);
    /* Busy and stale change nothing. */
    if (actions & (CXLF_A_BUSY | CXLF_A_STALE)) {
        g_assert_cmpuint(next.state, ==, page.state);
        g_assert_cmphex(next.holders, ==, page.holders);
    }
    /* A dead host is named at most until its second death event. */
    if (event == CXLF_DEATH) {
        g_assert_false(next.holders & bit);
        g_assert_true(cxlf_step(CXLF_PAGE_UNIT, next, host, event, &next,
                                &actions));
        g_assert_false(next.holders & bit);
        g_assert_false(cxlf_is_transient(next.state) &&
                       next.requester == host);
    }
}

static void test_lines(void)
{
    /* I, S with any non-empty set, E and M with one owner each */
    g_assert_cmpuint(explore(CXLF_LINE_UNIT, check_line), ==,
                     1 + ((1u << HOSTS) - 1) + 2 * HOSTS);
}

static void test_pages(void)
{
    unsigned others = HOSTS - 1;

    /* I; S; E; then for each requester S_E, E_E, E_S, S_I, E_I */
    g_assert_cmpuint(explore(CXLF_PAGE_UNIT, check_page), ==,
                     1 + ((1u << HOSTS) - 1) + HOSTS +
                     HOSTS * (((1u << others) - 1) + 2 * others +
                              ((1u << HOSTS) - 1) + HOSTS));
}

static void test_last_sharer(void)
{
    struct cxlf_line line = { CXLF_S, 0, 0x2 }, next;
    unsigned actions;

    g_assert_true(cxlf_step(CXLF_LINE_UNIT, line, 1, CXLF_EVICT, &next,
                            &actions));
    g_assert_cmpuint(next.state, ==, CXLF_I);
    line.holders = 0x6;
    g_assert_true(cxlf_step(CXLF_LINE_UNIT, line, 1, CXLF_DEATH, &next,
                            &actions));
    g_assert_cmpuint(next.state, ==, CXLF_S);
    g_assert_cmphex(next.holders, ==, 0x4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol/table", test_table);
    g_test_add_func("/protocol/lines", test_lines);
    g_test_add_func("/protocol/pages", test_pages);
    g_test_add_func("/protocol/last-sharer", test_last_sharer);
    return g_test_run();
}
