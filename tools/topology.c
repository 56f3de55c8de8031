/*
 * Check a topology, and print it for graphviz
 *
 * Reads a device tree blob by the same code as the emulator, so what it
 * accepts is accepted there.  scripts/cxl-cluster topology calls dtc before
 * it and dot behind it.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cxlf/topology-fdt.h"

#define MAX_BLOB    (CXLF_MAX_HOSTS * 1024)
#define MAX_DRAWN   8       /* hosts of a leaf that have nodes of their own */

static struct cxlf_topology topology;
static struct cxlf_graph graph;

static const char usage[] =
    "usage: cxlf-topology [--dot] FILE\n\n"
    "Checks the topology in a device tree blob (docs/topology.md), and says\n"
    "what is in it; with --dot prints it in graphviz's language.\n";

static bool read_file(const char *name, const char **why)
{
    FILE *in = fopen(name, "rb");
    char *blob = malloc(MAX_BLOB + 1);
    size_t size;
    bool ok;

    if (!in || !blob) {
        *why = "cannot be opened";
        free(blob);
        if (in) {
            fclose(in);
        }
        return false;
    }
    size = fread(blob, 1, MAX_BLOB + 1, in);
    ok = cxlf_topology_read(blob, size, &topology, why) &&
         cxlf_graph_read(blob, &topology, &graph, why);
    fclose(in);
    free(blob);
    return ok;
}

static const char *gib(uint64_t bytes)
{
    static char text[2][32];
    static unsigned turn;

    turn = !turn;
    snprintf(text[turn], sizeof(text[turn]), "%g GiB",
             (double)bytes / (1 << 30));
    return text[turn];
}

static void print_summary(void)
{
    const struct cxlf_topology *t = &topology;

    printf("%u hosts, %u GFAM devices, %u leaves, %u spines, %u links between "
           "switches\n", t->hosts, t->gfams, t->leaves, graph.spines,
           graph.switch_links);
    for (uint32_t i = 0; i < t->gfams; i++) {
        printf("gfam@%x: HOT %s, BULK %s", i, gib(t->gfam[i].hot),
               gib(t->gfam[i].bulk));
        if (graph.dynamic[i]) {
            printf(", %s of it dynamic capacity", gib(graph.dynamic[i]));
        }
        if (graph.lds[i]) {
            printf(", %u logical devices", graph.lds[i]);
        }
        printf("\n");
    }
}

static uint32_t hosts_of(uint32_t leaf)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < topology.hosts; i++) {
        n += topology.host_leaf[i] == leaf;
    }
    return n;
}

/* All hosts of a leaf that has many are one node. */
static bool is_drawn(uint32_t host)
{
    return hosts_of(topology.host_leaf[host]) <= MAX_DRAWN;
}

static void print_components(void)
{
    const struct cxlf_topology *t = &topology;

    for (uint32_t s = 0; s < cxlf_graph_switches(t, &graph); s++) {
        struct cxlf_node n = cxlf_switch_node(t, s);

        printf("  %s%x [label=\"%s %u\\nPID %x, %u ns\", shape=box, "
               "style=filled, fillcolor=%s];\n", cxlf_node_name[n.kind],
               n.number, cxlf_node_name[n.kind], n.number,
               graph.pid_switch[s], graph.latency[s],
               n.kind == CXLF_NODE_LEAF ? "lightblue" : "lightsteelblue");
    }
    for (uint32_t i = 0; i < t->gfams; i++) {
        printf("  gfam%x [label=\"gfam %u\\nPID %x\\nHOT %s, BULK %s", i, i,
               graph.pid_gfam[i], gib(t->gfam[i].hot), gib(t->gfam[i].bulk));
        if (graph.dynamic[i]) {
            printf("\\nof it %s dynamic", gib(graph.dynamic[i]));
        }
        for (uint32_t ld = 0; ld < graph.lds[i]; ld++) {
            printf("\\nLD %u: ", ld);
            if (graph.bound[i][ld] == CXLF_NOBODY) {
                printf("nobody");
            } else {
                printf("host %u", graph.bound[i][ld]);
            }
        }
        printf("\", shape=cylinder];\n");
    }
    for (uint32_t i = 0; i < t->hosts; i++) {
        if (is_drawn(i)) {
            printf("  host%x [label=\"host %u\\nPID %x\"];\n", i, i,
                   graph.pid_host[i]);
        }
    }
    for (uint32_t i = 0; i < t->leaves; i++) {
        if (hosts_of(i) > MAX_DRAWN) {
            printf("  hosts%x [label=\"%u hosts\", peripheries=2];\n", i,
                   hosts_of(i));
            printf("  leaf%x -- hosts%x;\n", i, i);
        }
    }
}

static void print_links(void)
{
    for (uint32_t i = 0; i < graph.links; i++) {
        const struct cxlf_link *l = &graph.link[i];
        bool up = l->end[1].kind == CXLF_NODE_SPINE;

        if (l->end[1].kind == CXLF_NODE_HOST && !is_drawn(l->end[1].number)) {
            continue;
        }
        /* Spines are above leaves, and leaves above endpoints. */
        printf("  %s%x -- %s%x [", cxlf_node_name[l->end[up].kind],
               l->end[up].number, cxlf_node_name[l->end[!up].kind],
               l->end[!up].number);
        if (l->ports != 1 || l->rate != CXLF_DEFAULT_RATE || l->latency) {
            printf("label=\"%u x %g GB/s", l->ports, l->rate / 1000.0);
            if (l->latency) {
                printf("\\n%u ns", l->latency);
            }
            printf("\", ");
        }
        printf("penwidth=%u];\n", l->ports);
    }
}

static void print_rank(const char *kind, uint32_t n)
{
    printf("  { rank=same;");
    for (uint32_t i = 0; i < n; i++) {
        printf(" %s%x;", kind, i);
    }
    printf(" }\n");
}

static void print_dot(void)
{
    printf("graph fabric {\n  ranksep=1;\n  node [fontname=\"sans-serif\", "
           "fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=8];\n");
    print_components();
    print_rank("spine", graph.spines);
    print_rank("leaf", topology.leaves);
    print_links();
    printf("}\n");
}

int main(int argc, char **argv)
{
    bool dot = argc == 3 && !strcmp(argv[1], "--dot");
    const char *why = NULL;

    if (argc == 2 && !strcmp(argv[1], "--help")) {
        printf("%s", usage);
        return 0;
    }
    if ((argc != 2 && !dot) || argv[argc - 1][0] == '-') {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (!read_file(argv[argc - 1], &why)) {
        fprintf(stderr, "%s: %s\n", argv[argc - 1], why);
        return 1;
    }
    if (dot) {
        print_dot();
    } else {
        print_summary();
    }
    return 0;
}
