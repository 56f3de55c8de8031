/*
 * Commands per second of the Fabric Manager, and a crawl of 4,095 PIDs
 *
 * Prints a line of JSON for each case: operations and nanoseconds.  The
 * fabric is a spine with 64 leaves and 4,095 host edge ports.  A crawl asks
 * each leaf, through the spine, for its PID targets.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cxlf/fm.h"

#define LEAVES      64
#define HOSTS       4095
#define PORTS       64      /* host edge ports of a leaf; 64 leads up */
#define MLD_PORT    65
#define PAYLOAD     4096

enum { SPINE, MLD = 1 + LEAVES };

typedef struct Bench {
    struct cxlf_fm *fm;
    uint8_t in[PAYLOAD], out[PAYLOAD];
    size_t out_len;
    uint8_t drt[1 + LEAVES][4096][2];
} Bench;

static void done(void *opaque, const struct cxlf_fm_binding *binding,
                 uint64_t token)
{
    Bench *b = opaque;

    g_assert_true(binding->component < b->fm->components);
    g_assert_true(cxlf_fm_complete(b->fm, token, true));
}

static void erased(void *opaque, const struct cxlf_fm_memory *memory,
                   uint64_t token)
{
    Bench *b = opaque;

    g_assert_true(memory->length);
    g_assert_true(cxlf_fm_complete(b->fm, token, true));
}

static void event(void *opaque, const struct cxlf_fm_event *e)
{
    g_assert_true(opaque && e);
}

static bool drt_get(void *opaque, unsigned component, unsigned drt,
                    unsigned pid, uint8_t entry[2])
{
    Bench *b = opaque;

    memcpy(entry, b->drt[component][pid], 2);
    return drt == 0;
}

static bool drt_set(void *opaque, unsigned component, unsigned drt,
                    unsigned pid, unsigned n, const uint8_t *entry)
{
    Bench *b = opaque;

    memcpy(b->drt[component][pid], entry, 2 * n);
    return drt == 0;
}

static void set16(uint8_t *p, unsigned value)
{
    p[0] = value;
    p[1] = value >> 8;
}

static unsigned get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static void command(Bench *b, unsigned component, uint16_t opcode,
                    size_t in_len, enum cxlf_cci expected)
{
    struct cxlf_fm_who who = { .pid = CXLF_FM_PID_NONE };
    enum cxlf_cci code = cxlf_fm_command(b->fm, &who, component, opcode,
                                         b->in, in_len, b->out, PAYLOAD,
                                         &b->out_len);

    g_assert_cmphex(code, ==, expected);
}

static Bench *bench_new(void)
{
    static const struct cxlf_fm_ops ops = {
        .bind = done, .unbind = done, .erase = erased, .event = event,
        .drt_get = drt_get, .drt_set = drt_set,
    };
    Bench *b = g_new0(Bench, 1);
    struct cxlf_fm *fm = b->fm = g_new0(struct cxlf_fm, 1);
    unsigned pid = 0;

    g_assert_true(cxlf_fm_init(fm, &ops, b));
    for (unsigned i = 0; i <= LEAVES; i++) {
        g_assert_cmpint(cxlf_fm_add_switch(fm, i, 1, 0, 0), ==, i);
    }
    for (unsigned leaf = 1; leaf <= LEAVES; leaf++) {
        g_assert_true(cxlf_fm_add_port(fm, SPINE, leaf, CXLF_FM_PORT_FABRIC));
        g_assert_true(cxlf_fm_add_port(fm, leaf, PORTS,
                                       CXLF_FM_PORT_FABRIC));
        g_assert_true(cxlf_fm_connect(fm, SPINE, leaf, leaf, PORTS));
        for (unsigned i = 0; i < PORTS && pid < HOSTS; i++) {
            g_assert_true(cxlf_fm_add_port(fm, leaf, i, CXLF_FM_PORT_USP));
            g_assert_true(cxlf_fm_add_vcs(fm, leaf, i, i, 16, false));
            memset(b->in, 0, 9);
            b->in[2] = 1;
            set16(b->in + 4, pid++);
            set16(b->in + 6, i);
            command(b, leaf, 0x5704, 9, CXLF_CCI_SUCCESS);
        }
    }
    g_assert_cmpint(cxlf_fm_add_device(fm, 0, true, 16, 1,
                                       16 * CXLF_FM_UNIT), ==, MLD);
    g_assert_true(cxlf_fm_add_port(fm, 1, MLD_PORT, CXLF_FM_PORT_DSP));
    g_assert_true(cxlf_fm_connect(fm, 1, MLD_PORT, MLD, 0));
    return b;
}

static void port_state(Bench *b)
{
    b->in[0] = 1;
    b->in[1] = 5;
    command(b, 1, 0x5101, 2, CXLF_CCI_SUCCESS);
}

static void vcs_info(Bench *b)
{
    memcpy(b->in, "\x00\xff\x01\x07", 4);
    command(b, 1, 0x5200, 4, CXLF_CCI_SUCCESS);
}

static void bind_unbind(Bench *b)
{
    memcpy(b->in, "\x07\x01\x41\x00\x03\x00", 6);
    command(b, 1, 0x5201, 6, CXLF_CCI_BACKGROUND);
    memcpy(b->in, "\x07\x01\x00", 3);
    command(b, 1, 0x5202, 3, CXLF_CCI_BACKGROUND);
}

static void tunnel(Bench *b)
{
    memset(b->in, 0, 16);
    b->in[0] = MLD_PORT;
    b->in[2] = 12;
    b->in[8] = 0x54;
    command(b, 1, 0x5300, 16, CXLF_CCI_SUCCESS);
    g_assert_cmpuint(b->out_len, ==, 4 + 12 + 11);
}

static void set_drt(Bench *b)
{
    memset(b->in, 0, 6);
    set16(b->in + 2, 2045);
    for (unsigned i = 0; i < 2045; i++) {
        b->in[6 + 2 * i] = 1;
        b->in[7 + 2 * i] = 1 + i % LEAVES;
    }
    command(b, SPINE, 0x5709, 6 + 2 * 2045, CXLF_CCI_SUCCESS);
}

static void crawl(Bench *b)
{
    static uint8_t seen[4096];
    unsigned pids = 0;

    memset(seen, 0, sizeof(seen));
    for (unsigned leaf = 1; leaf <= LEAVES; leaf++) {
        memset(b->in, 0, 22);
        set16(b->in, leaf);         /* target type 0: a port */
        set16(b->in + 4, 16);
        set16(b->in + 9, 0x5703);
        b->in[11] = 4;
        set16(b->in + 20, 256);
        command(b, SPINE, 0x5701, 22, CXLF_CCI_SUCCESS);
        for (unsigned i = 0; i < get16(b->out + 18); i++) {
            unsigned pid = get16(b->out + 20 + 8 * i + 6);

            pids += pid != CXLF_FM_PID_NONE && !seen[pid];
            seen[pid] = 1;
        }
    }
    g_assert_cmpuint(pids, ==, HOSTS);
}

static const struct {
    const char *name;
    void (*run)(Bench *b);
    unsigned commands;      /* of a run */
    unsigned share;         /* of the operations that are asked for */
} cases[] = {
    { "get-port-state", port_state, 1, 1 },
    { "get-vcs-info", vcs_info, 1, 1 },
    { "bind-unbind", bind_unbind, 2, 1 },
    { "tunnel-get-ld-info", tunnel, 1, 1 },
    { "set-drt-2045", set_drt, 1, 100 },
    { "crawl-4095", crawl, LEAVES, 1000 },
};

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? g_ascii_strtoull(argv[1], NULL, 0) :
                          1000000;
    Bench *b;

    if (operations == 0 || argc > 2) {
        fprintf(stderr, "usage: %s [OPERATIONS]\n"
                "OPERATIONS of each case (default 1000000); a crawl counts "
                "as 1000\n", argv[0]);
        return 2;
    }
    b = bench_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t runs = MAX(operations / cases[i].share, 1);
        struct timespec start, end;
        double ns;

        clock_gettime(CLOCK_MONOTONIC, &start);
        for (uint64_t n = 0; n < runs; n++) {
            cases[i].run(b);
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        ns = (end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec;
        printf("{\"case\":\"%s\",\"runs\":%llu,\"ns-each\":%.0f,"
               "\"commands-per-second\":%.0f}\n", cases[i].name,
               (unsigned long long)runs, ns / runs,
               runs * cases[i].commands / ns * 1e9);
    }
    g_free(b->fm);
    g_free(b);
    return 0;
}
