/*
 * Leaf segments: layout, and refusal of any header that is not right
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/copies.h"
#include "fixture.h"

static void test_layout(void)
{
    for (uint32_t leaves = 1; leaves <= CXLF_MAX_LEAVES; leaves++) {
        for (uint32_t shards = 1; shards <= CXLF_MAX_SHARDS; shards += 5) {
            struct cxlf_topology t = fixture_topology(62, leaves, shards, 3);
            uint32_t grain = leaves % 2 ? CXLF_LINE : 512;
            const uint64_t units[CXLF_UNITS] = {
                [CXLF_LINE_UNIT] = 3 * CXLF_CAPACITY_UNIT / grain,
                [CXLF_PAGE_UNIT] = 6 * CXLF_CAPACITY_UNIT / CXLF_PAGE,
            };
            struct cxlf_leaf h;
            uint64_t end;
            Fixture f;

            t.grain = grain;
            fixture_init(&f, t);
            memcpy(&h, f.memory[0], sizeof(h));
            g_assert_cmpuint(h.segment.size, ==, f.size);
            g_assert_cmpuint(f.size % CXLF_PAGE, ==, 0);
            g_assert_cmpuint(h.live_offset, >=, sizeof(h));
            g_assert_cmpuint(h.inside_offset, >=, h.live_offset +
                             sizeof(struct cxlf_leaf_live));
            g_assert_cmpuint(h.counters_offset, >=, h.inside_offset +
                             62 * sizeof(struct cxlf_inside));
            g_assert_cmpuint(h.mailbox_offset, >=, h.counters_offset +
                             shards * 62 * sizeof(struct cxlf_counters));
            g_assert_cmpuint(h.inbox_offset, >=, h.mailbox_offset +
                             62 * sizeof(struct cxlf_mailbox));
            end = h.inbox_offset + 62 * sizeof(struct cxlf_inbox);
            for (int kind = 0; kind < CXLF_UNITS; kind++) {
                const struct cxlf_table_layout *l = &h.table[kind];

                g_assert_cmpuint(l->touched_offset, >=, end);
                g_assert_cmpuint(l->entries_offset, >=, l->touched_offset +
                                 shards * l->touched_words * 8);
                g_assert_cmpuint(l->touched_words * 64 * 256, >=, l->entries);
                g_assert_cmpuint(l->entries * leaves * shards, >=, units[kind]);
                end = l->entries_offset +
                    shards * l->entries * sizeof(struct cxlf_entry);
                g_assert_cmpuint(l->entries_offset % 128, ==, 0);
                g_assert_cmpuint(l->entries % 8, ==, 0);
                g_assert_cmpint(l->presence_offset != 0, ==,
                                grain > CXLF_LINE &&
                                kind == CXLF_LINE_UNIT);
                if (l->presence_offset) {
                    g_assert_cmpuint(l->presence_offset, >=, end);
                    end = l->presence_offset + shards * l->entries * 62 * 8;
                }
            }
            g_assert_cmpuint(h.copies_offset, >=, end);
            end = h.copies_offset + cxlf_copies_pages_offset(&t) +
                shards * h.table[CXLF_PAGE_UNIT].entries *
                sizeof(struct cxlf_copy_page);
            g_assert_cmpuint(h.segment.size, >=, end);
            fixture_done(&f);
        }
    }
}

static void test_bad_headers(void)
{
    struct cxlf_topology t = fixture_topology(4, 2, 2, 1);
    const char *why = NULL;
    Fixture f;

    fixture_init(&f, t);
    for (size_t i = 0; i < sizeof(struct cxlf_leaf); i++) {
        uint8_t *byte = (uint8_t *)f.memory[1] + i;

        *byte ^= 1 << g_test_rand_int_range(0, 8);
        why = NULL;
        g_assert_false(cxlf_leaf_attach(&f.directory, f.memory[1], f.size, 1,
                                        fixture_uuid, &why));
        g_assert_nonnull(why);
        cxlf_leaf_format(f.memory[1], &t, 1, fixture_uuid);
    }
    g_assert_true(cxlf_leaf_attach(&f.directory, f.memory[1], f.size, 1,
                                   fixture_uuid, &why));
    /* The right segment in the wrong place, of another fabric, too short */
    g_assert_false(cxlf_leaf_attach(&f.directory, f.memory[1], f.size, 0,
                                    fixture_uuid, &why));
    g_assert_false(cxlf_leaf_attach(&f.directory, f.memory[1], f.size, 1,
                                    (const uint8_t *)"another fabric!!",
                                    &why));
    g_assert_cmpstr(why, ==, "leaf segment: belongs to another fabric");
    g_assert_false(cxlf_leaf_attach(&f.directory, f.memory[1],
                                    f.size - CXLF_PAGE, 1, fixture_uuid,
                                    &why));
    g_assert_cmpstr(why, ==,
                    "leaf segment: its size does not fit the topology");
    g_assert_false(cxlf_leaf_attach(&f.directory, f.memory[1], 8, 1,
                                    fixture_uuid, &why));
    g_assert_false(cxlf_leaf_attach(&f.directory, f.memory[1], f.size, 2,
                                    fixture_uuid, &why));
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/segment/layout", test_layout);
    g_test_add_func("/segment/bad-headers", test_bad_headers);
    return g_test_run();
}
