/*
 * Fabric Manager: random commands against a model of the memory
 *
 * Random bytes drive the same fabric as the fuzzer's do, for longer.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include "../fuzz/fm-world.h"

#define ROUNDS  100
#define BYTES   6000

static void test_random(void)
{
    struct cxlf_fm *fm = g_new0(struct cxlf_fm, 1);
    struct world *w = g_new0(struct world, 1);
    unsigned binds = 0, by_pid = 0, erases = 0, adds = 0, hits = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t bytes[BYTES];

        for (unsigned i = 0; i < BYTES; i++) {
            bytes[i] = g_test_rand_int();
        }
        world_init(w, fm, bytes, BYTES);
        while (w->size) {
            world_step(w);
        }
        binds += w->binds;
        by_pid += w->by_pid;
        erases += w->erases;
        adds += w->adds;
        hits += w->hits;
    }
    g_test_message("%u binds, %u of LDs by PID, %u erasures, %u offered, "
                   "%u by a FAST", binds, by_pid, erases, adds, hits);
    /* A model that saw nothing has checked nothing. */
    g_assert_cmpuint(binds, >, ROUNDS);
    g_assert_cmpuint(by_pid, >, ROUNDS);
    g_assert_cmpuint(erases, >, ROUNDS);
    g_assert_cmpuint(adds, >, ROUNDS);
    g_assert_cmpuint(hits, >, ROUNDS);
    g_free(w);
    g_free(fm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fm/random", test_random);
    return g_test_run();
}
