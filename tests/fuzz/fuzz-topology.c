/*
 * Fuzz: a topology's device tree blob
 *
 * The input is a list of edits to a good blob, since random bytes hardly
 * ever are one; an input that begins with the magic number is taken whole.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/topology-fdt.h"
#include "fuzz.h"

static size_t good_blob(uint8_t *blob, size_t capacity, uint8_t shape)
{
    struct cxlf_topology t = {
        .hosts = 1 + shape % 5, .leaves = 1 + shape % 3, .shards = 2,
        .gfams = 1 + shape % 2,
        .grain = shape & 0x20 ? 4 * CXLF_LINE : CXLF_LINE,
        .line_entries = shape & 0x40 ? 64 : 0,
        .tiers = shape & 0x80,
    };

    for (uint32_t i = 0; i < t.gfams; i++) {
        t.gfam[i].hot = t.gfam[i].bulk = CXLF_CAPACITY_UNIT;
    }
    return cxlf_topology_write(&t, blob, capacity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cxlf_topology t, again;
    uint8_t blob[4096], out[65536];
    const char *why = NULL;
    uint8_t *exact;
    size_t length;

    if (size >= 4 && !memcmp(data, "\xd0\x0d\xfe\xed", 4)) {
        exact = malloc(size);
        memcpy(exact, data, size);
        length = size;
    } else {
        length = good_blob(blob, sizeof(blob), size ? data[0] : 0);
        MUST(length);
        for (size_t i = 1; i + 2 < size; i += 3) {
            blob[(data[i] | data[i + 1] << 8) % length] = data[i + 2];
        }
        exact = malloc(length);
        memcpy(exact, blob, length);
    }
    if (cxlf_topology_read(exact, length, &t, &why)) {
        /* What is accepted is legal, and written back it is the same. */
        MUST(cxlf_topology_check(&t, &why));
        length = cxlf_topology_write(&t, out, sizeof(out));
        MUST(length);
        MUST(cxlf_topology_read(out, length, &again, &why));
        MUST(!memcmp(&t, &again, sizeof(t)));
    } else {
        MUST(why);
    }
    free(exact);
    return 0;
}
