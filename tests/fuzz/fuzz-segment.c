/*
 * Fuzz: the header of a leaf's segment
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/directory.h"
#include "fuzz.h"

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
    return 0;
}
