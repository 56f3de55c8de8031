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
 * The table of docs/protocol.md, cell by cell: next state and snoops.
 * "-" is undefined; "inv" and "data" are BISnpInv and BISnpData, "wb" a
 * writeback.  Columns: Load, Own, Store, Evict, Death.
 */
static const char *const expected[CXLF_STATES][CXLF_RELATIONS][CXLF_EVENTS] = {
    [CXLF_I] = {
        [CXLF_STRANGER] = { "S", "E", "M", "I", "I" },
        [CXLF_HOLDER] = { "-", "-", "-", "-", "-" },
    },
    [CXLF_S] = {
        [CXLF_STRANGER] = { "S", "E inv", "M inv", "S", "S" },
        [CXLF_HOLDER] = { "S", "E inv", "M inv", "S", "S" },
    },
    [CXLF_E] = {
        [CXLF_STRANGER] = { "S data", "E inv", "M inv", "E", "E" },
        [CXLF_HOLDER] = { "E", "E", "M", "I", "I" },
    },
    [CXLF_M] = {
        [CXLF_STRANGER] = { "S data wb", "E inv wb", "M inv wb", "M", "M" },
        [CXLF_HOLDER] = { "M", "M", "M", "I wb", "I" },
    },
};

static void test_table(void)
{
    for (int s = 0; s < CXLF_STATES; s++) {
        for (int r = 0; r < CXLF_RELATIONS; r++) {
            for (int e = 0; e < CXLF_EVENTS; e++) {
                const struct cxlf_cell *cell = &cxlf_table[s][r][e];
                g_autofree char *have = !(cell->actions & CXLF_A_DEFINED) ?
                    g_strdup("-") :
                    g_strconcat(cxlf_state_name[cell->next],
                        cell->actions & CXLF_A_BISNP_INV ? " inv" : "",
                        cell->actions & CXLF_A_BISNP_DATA ? " data" : "",
                        cell->actions & CXLF_A_WRITEBACK ? " wb" : "", NULL);

                g_test_message("%s %s %s", cxlf_state_name[s],
                               r ? "holder" : "stranger",
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

/* Every legal line of HOSTS hosts, every host, every event. */
static void test_exhaustive(void)
{
    unsigned legal = 0;

    for (unsigned state = 0; state < 16; state++) {
        for (uint64_t holders = 0; holders < 1u << HOSTS; holders++) {
            struct cxlf_line line = { state, holders };
            struct cxlf_line next;
            unsigned actions;

            if (!cxlf_line_valid(line)) {
                g_assert_false(cxlf_step(line, 0, CXLF_LOAD, &next,
                                         &actions));
                continue;
            }
            legal++;
            for (unsigned host = 0; host < HOSTS; host++) {
                for (int event = 0; event < CXLF_EVENTS; event++) {
                    g_assert_true(cxlf_step(line, host, event, &next,
                                            &actions));
                    g_assert_true(cxlf_line_valid(next));
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
            }
        }
    }
    /* I, S with any non-empty set, E and M with one owner each */
    g_assert_cmpuint(legal, ==, 1 + ((1u << HOSTS) - 1) + 2 * HOSTS);
}

static void test_last_sharer(void)
{
    struct cxlf_line line = { CXLF_S, 0x2 }, next;
    unsigned actions;

    g_assert_true(cxlf_step(line, 1, CXLF_EVICT, &next, &actions));
    g_assert_cmpuint(next.state, ==, CXLF_I);
    line.holders = 0x6;
    g_assert_true(cxlf_step(line, 1, CXLF_DEATH, &next, &actions));
    g_assert_cmpuint(next.state, ==, CXLF_S);
    g_assert_cmphex(next.holders, ==, 0x4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol/table", test_table);
    g_test_add_func("/protocol/exhaustive", test_exhaustive);
    g_test_add_func("/protocol/last-sharer", test_last_sharer);
    return g_test_run();
}
