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

static struct cxlf_graph graph, graph_again;

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
    if (shape & 0x10) {
        return cxlf_topology_write(&t, blob, capacity);
    }
    cxlf_graph_default(&t, shape & 0x08 ? 2 : 0, &graph);
    for (uint32_t i = 0; i < graph.links; i += 2) {
        graph.link[i].ports = 2;
        graph.link[i].rate = 1000;
        graph.link[i].latency = 10;
    }
    graph.latency[0] = 20;
    graph.pid_gfam[0] = 99;
    graph.lds[0] = 2;
    return cxlf_graph_write(&t, &graph, blob, capacity);
}

/* The same of switches and links, which a topology may have. */
static void check_graph(const void *blob, const struct cxlf_topology *t)
{
    static uint8_t out[512 << 10];
    const char *why = NULL;

    if (cxlf_graph_read(blob, t, &graph, &why)) {
        MUST(cxlf_graph_check(t, &graph, &why));
        MUST(cxlf_graph_write(t, &graph, out, sizeof(out)));
        MUST(cxlf_graph_read(out, t, &graph_again, &why));
        MUST(cxlf_graph_same(&graph, &graph_again));
    } else {
        MUST(why);
    }
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
        check_graph(exact, &t);
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
