/*
 * Topology: limits, the address map, and the device tree
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <libfdt.h>
#include "fixture.h"
#include "cxlf/topology-fdt.h"

static void test_limits(void)
{
#define AT(field) offsetof(struct cxlf_topology, field)
    const struct {
        size_t offset;
        uint32_t bad;
        const char *why;
    } cases[] = {
        { AT(hosts), 0, "'hosts' must be 1 to 4095" },
        { AT(hosts), 4096, "'hosts' must be 1 to 4095" },
        { AT(leaves), 0, "'leaves' must be 1 to 64" },
        { AT(leaves), 65, "'leaves' must be 1 to 64" },
        { AT(shards), 0, "'shards' must be 1 to 16" },
        { AT(shards), 17, "'shards' must be 1 to 16" },
        { AT(gfams), 0, "'gfams' must be 1 to 8" },
        { AT(gfams), 9, "'gfams' must be 1 to 8" },
        { AT(grain), 32, "'grain' must be a power of two from 64 to 4096" },
        { AT(grain), 192, "'grain' must be a power of two from 64 to 4096" },
        { AT(grain), 8192, "'grain' must be a power of two from 64 to 4096" },
        { AT(ways), 1, "'ways' must be 2 to 16" },
        { AT(ways), 17, "'ways' must be 2 to 16" },
        { AT(line_entries), 7, "'line-entries' must be a multiple of 'ways' "
          "up to 2^30, or 0 for one entry for each line of HOT" },
        { AT(host_leaf[1]), 2,
          "a host is attached to a leaf that does not exist" },
        { AT(gfam[0].leaf), 2,
          "a GFAM device is attached to a leaf that does not exist" },
    };
#undef AT
    struct cxlf_topology t = fixture_topology(4, 2, 2, 2);
    const char *why;

    g_assert_true(cxlf_topology_check(&t, &why));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        t = fixture_topology(4, 2, 2, 2);
        *(uint32_t *)((char *)&t + cases[i].offset) = cases[i].bad;
        g_assert_false(cxlf_topology_check(&t, &why));
        g_assert_cmpstr(why, ==, cases[i].why);
    }
    for (uint64_t hot = 0; hot < 2; hot++) {
        t = fixture_topology(4, 2, 2, 2);
        t.gfam[1].hot = hot ? CXLF_CAPACITY_UNIT + 4096 : 0;
        g_assert_false(cxlf_topology_check(&t, &why));
        t = fixture_topology(4, 2, 2, 2);
        t.gfam[1].bulk = hot ? CXLF_CAPACITY_UNIT + 4096 :
                               2 * CXLF_MAX_BULK;
        g_assert_false(cxlf_topology_check(&t, &why));
    }
}

/* Every unit has a home of its own. */
static void check_kind(struct cxlf_topology t, enum cxlf_kind kind)
{
    uint64_t units = cxlf_topology_units(&t, kind);
    size_t shards = t.leaves * t.shards;
    g_autofree uint8_t *seen = g_malloc0(shards * units / 8 + 1);
    struct cxlf_home home = { 0 };
    uint64_t size = kind == CXLF_LINE_UNIT ? cxlf_topology_grain(&t) :
                                             CXLF_PAGE;
    bool bulk = kind == CXLF_PAGE_UNIT || t.line_entries != 0;

    for (uint32_t gfam = 0; gfam < t.gfams; gfam++) {
        uint64_t end = t.gfam[gfam].hot +
            (bulk ? t.gfam[gfam].bulk : 0);

        for (uint64_t dpa = 0; dpa < end; dpa += size) {
            uint64_t slot, back;
            uint32_t device;

            g_assert_true(cxlf_topology_home(&t, kind, gfam, dpa, &home));
            g_assert_true(cxlf_topology_unit(&t, kind, &home, &device,
                                             &back));
            g_assert_cmpuint(device, ==, gfam);
            g_assert_cmpuint(back, ==, dpa);
            g_assert_cmpuint(home.leaf, <, t.leaves);
            g_assert_cmpuint(home.shard, <, t.shards);
            g_assert_cmpuint(home.unit, <, units);
            slot = (home.leaf * t.shards + home.shard) * units + home.unit;
            g_assert_false(seen[slot / 8] & 1 << slot % 8);
            seen[slot / 8] |= 1 << slot % 8;
        }
        g_assert_false(cxlf_topology_home(&t, kind, gfam, end, &home));
    }
    g_assert_false(cxlf_topology_home(&t, kind, t.gfams, 0, &home));
}

static void check_map(struct cxlf_topology t)
{
    check_kind(t, CXLF_LINE_UNIT);
    check_kind(t, CXLF_PAGE_UNIT);
}

static void test_map(void)
{
    struct cxlf_topology uneven = fixture_topology(3, 3, 5, 2);

    check_map(fixture_topology(1, 1, 1, 1));
    check_map(fixture_topology(4, 2, 4, 2));
    uneven.gfam[1].hot = 2 * CXLF_CAPACITY_UNIT;
    check_map(uneven);
    uneven.grain = 1024;
    check_map(uneven);
    uneven.line_entries = 64;
    check_map(uneven);
}

static void test_round_trip(void)
{
    for (int i = 0; i < 200; i++) {
        struct cxlf_topology t = fixture_topology(
            g_test_rand_int_range(1, 63), g_test_rand_int_range(1, 9),
            g_test_rand_int_range(1, 17), g_test_rand_int_range(1, 9));
        struct cxlf_topology back;
        uint8_t blob[16384];
        const char *why = NULL;
        size_t size;

        t.gfam[0].bulk = g_test_rand_int_range(0, 9) * CXLF_CAPACITY_UNIT;
        t.gfam[0].software = g_test_rand_bit();
        size = cxlf_topology_write(&t, blob, sizeof(blob));
        g_assert_cmpuint(size, >, 0);
        g_assert_true(cxlf_topology_read(blob, size, &back, &why));
        g_assert_cmpmem(&t, sizeof(t), &back, sizeof(back));
        g_assert_cmpuint(cxlf_topology_write(&t, blob, 64), ==, 0);
    }
}

/* A blob that is not whole or not ours is refused; none harms. */
static void test_bad_blobs(void)
{
    struct cxlf_topology t = fixture_topology(4, 2, 2, 2), back;
    uint8_t blob[4096], bad[4096];
    const char *why = NULL;
    size_t size = cxlf_topology_write(&t, blob, sizeof(blob));
    unsigned refused = 0;

    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = g_memdup2(blob, cut);

        g_assert_false(cxlf_topology_read(exact, cut, &back, &why));
        g_free(exact);
    }
    /* libfdt's own check falls over blobs of version 15 */
    memcpy(bad, blob, size);
    fdt_set_version(bad, 15);
    fdt_set_last_comp_version(bad, 2);
    g_assert_false(cxlf_topology_read(bad, size, &back, &why));
    for (int i = 0; i < 20000; i++) {
        memcpy(bad, blob, size);
        for (int n = g_test_rand_int_range(1, 4); n > 0; n--) {
            bad[g_test_rand_int_range(0, size)] = g_test_rand_int();
        }
        why = NULL;
        if (!cxlf_topology_read(bad, size, &back, &why)) {
            g_assert_nonnull(why);
            refused++;
        } else {
            g_assert_true(cxlf_topology_check(&back, &why));
        }
    }
    g_assert_cmpuint(refused, >, 1000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/topology/limits", test_limits);
    g_test_add_func("/topology/map", test_map);
    g_test_add_func("/topology/round-trip", test_round_trip);
    g_test_add_func("/topology/bad-blobs", test_bad_blobs);
    return g_test_run();
}
