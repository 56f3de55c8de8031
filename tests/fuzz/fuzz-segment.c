/*
 * Fuzz: the header of a leaf's segment, and the poison records
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/directory.h"
#include "cxlf/poison.h"
#include "fuzz.h"

/* Whatever the ring has, a reader comes to its end and gets sane records. */
static void read_poison(const struct cxlf_topology *t, const uint8_t *data,
                        size_t size)
{
    static struct cxlf_fabric fabric;
    size_t length = size < 16 ? 0 : size - 16;
    uint64_t cursor, first, got = 0;
    struct cxlf_poison p;
    bool lost = false;

    if (!length || length > sizeof(fabric.poison)) {
        return;
    }
    memcpy(&fabric.poisoned, data, 8);
    memcpy(&first, data + 8, 8);
    memcpy(fabric.poison, data + 16, length);
    if (first >> 56 != 0xff) {
        first = fabric.poisoned - first % 128;  /* not far from the end */
    }
    cursor = first;
    while (cxlf_poison_next(&fabric, t, &cursor, &p, &lost)) {
        MUST(++got <= CXLF_POISON_RECORDS);
        MUST(p.gfam < t->gfams && p.host < t->hosts && p.length);
        MUST(p.dpa < t->gfam[p.gfam].hot + t->gfam[p.gfam].bulk);
        MUST(p.length <= t->gfam[p.gfam].hot + t->gfam[p.gfam].bulk - p.dpa);
    }
    MUST(cursor == (first > fabric.poisoned ? first : fabric.poisoned));
    MUST(lost || got == cursor - first);
    memset(fabric.poison, 0, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t uuid[16] = "0123456789abcdef";
    static struct cxlf_directory directory;
    struct cxlf_leaf good, *bad;
    const char *why = NULL;
    uint64_t claimed;
    bool ok;

    if (size < 4) {
        return 0;
    }
    directory.topology = (struct cxlf_topology) {
        .hosts = 1 + data[0] % CXLF_MAX_HOSTS,
        .leaves = 1 + data[1] % CXLF_MAX_LEAVES,
        .shards = 1 + data[2] % CXLF_MAX_SHARDS,
        .gfams = 1,
        .gfam = { { .hot = CXLF_CAPACITY_UNIT } },
        .grain = data[3] & 2 ? 4 * CXLF_LINE : CXLF_LINE,
        .line_entries = data[3] & 4 ? 64 : 0,
        .tiers = data[3] & 8,
    };
    /* A check touches the header only, so no more is allocated. */
    bad = malloc(sizeof(*bad));
    good = cxlf_leaf_header(&directory.topology, 0, uuid);
    memcpy(bad, &good, sizeof(*bad));
    for (size_t i = 4; i + 1 < size; i += 2) {
        ((uint8_t *)bad)[data[i] % sizeof(*bad)] = data[i + 1];
    }
    claimed = data[3] & 1 ? good.segment.size : bad->segment.size;
    ok = cxlf_leaf_attach(&directory, bad, claimed, 0, uuid, &why);
    MUST(ok == (!memcmp(bad, &good, sizeof(good)) &&
                claimed >= good.segment.size));
    MUST(ok || why);
    free(bad);
    read_poison(&directory.topology, data + 4, size - 4);
    return 0;
}
