/*
 * A small fabric for the tests of the Fabric Manager's commands
 *
 *   leaf 0: ports 0, 1 USPs of VCS 0, 1 (4 vPPBs each); DSPs 2 to the MLD,
 *           3 to the SLD, 4 to the GFD, 5 to nothing, 10 and 11 to the heads
 *           of the multi-headed device; 7 to the spine
 *   spine 1: ports 7 to leaf 0, 8 to leaf 5
 *   leaf 5: port 0 USP, port 9 to the spine
 *
 * Payloads are written as text: bytes in hexadecimal, "00*31" for 31 of them.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_FM_FIXTURE_H
#define TESTS_UNIT_FM_FIXTURE_H

#include <glib.h>
#include <string.h>
#include "cxlf/fm.h"

enum { LEAF, SPINE, MLD, SLD, GFD, LEAF5, MHD };

#define MIB (1ull << 20)
#define GIB (1ull << 30)

typedef enum Step { NO_STEP, BIND, UNBIND, ERASE } Step;

/* What was asked of the fabric; the last of each kind, and how many. */
typedef struct Fabric {
    struct cxlf_fm *fm;
    struct cxlf_fm_who who;
    unsigned binds, unbinds, erases, events, table_writes, lds;
    Step step;                  /* begun, and not completed */
    uint64_t token;
    struct cxlf_fm_binding binding;
    struct cxlf_fm_memory memory;
    struct cxlf_fm_event event;
    struct cxlf_fm_config config;
    struct cxlf_fm_access access;
    unsigned port, operation, ld;
    bool at_once;               /* complete while it is begun */
    uint8_t drt[6][4096][2];
    uint8_t rgt[6][4][12];
    bool down[6][CXLF_FM_PORTS];
    bool no_rights;             /* refuse SAT and GDT entries */
    unsigned rights;            /* entries that were set */
} Fabric;

static void fabric_begun(Fabric *f, Step step, uint64_t token)
{
    f->step = step;
    f->token = token;
    if (f->at_once) {
        f->step = NO_STEP;
        g_assert_true(cxlf_fm_complete(f->fm, token, true));
    }
}

static void fabric_bind(void *opaque, const struct cxlf_fm_binding *b,
                        uint64_t token)
{
    Fabric *f = opaque;

    f->binds++;
    f->binding = *b;
    fabric_begun(f, BIND, token);
}

static void fabric_unbind(void *opaque, const struct cxlf_fm_binding *b,
                          uint64_t token)
{
    Fabric *f = opaque;

    f->unbinds++;
    f->binding = *b;
    fabric_begun(f, UNBIND, token);
}

static void fabric_erase(void *opaque, const struct cxlf_fm_memory *m,
                         uint64_t token)
{
    Fabric *f = opaque;

    f->erases++;
    f->memory = *m;
    fabric_begun(f, ERASE, token);
}

static void fabric_event(void *opaque, const struct cxlf_fm_event *e)
{
    Fabric *f = opaque;

    f->events++;
    f->event = *e;
}

static enum cxlf_cci fabric_port_control(void *opaque, unsigned component,
                                         unsigned port, unsigned operation)
{
    Fabric *f = opaque;

    g_assert_cmpuint(component, ==, LEAF);
    f->port = port;
    f->operation = operation;
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci fabric_config(void *opaque, struct cxlf_fm_config *r)
{
    Fabric *f = opaque;

    f->config = *r;
    r->data = 0x11223344;
    return CXLF_CCI_SUCCESS;
}

static enum cxlf_cci fabric_access(void *opaque,
                                   const struct cxlf_fm_access *r,
                                   uint8_t *data)
{
    Fabric *f = opaque;

    f->access = *r;
    for (unsigned i = 0; i < r->length; i++) {
        if (r->write) {
            g_assert_cmpuint(data[i], ==, 0xa0 + i);
        }
        data[i] = 0xb0 + i;
    }
    return CXLF_CCI_SUCCESS;
}

/* An LD's own CCI knows one command: 4000h, which answers two bytes. */
static enum cxlf_cci fabric_ld_command(void *opaque, unsigned component,
                                       unsigned ld, uint16_t opcode,
                                       const uint8_t *in, size_t in_len,
                                       uint8_t *out, size_t out_cap,
                                       size_t *out_len)
{
    Fabric *f = opaque;

    f->lds++;
    f->ld = ld;
    if (component != MLD || opcode != 0x4000 || in_len != 1 || out_cap < 2) {
        return CXLF_CCI_UNSUPPORTED;
    }
    out[0] = in[0];
    out[1] = ld;
    *out_len = 2;
    return CXLF_CCI_SUCCESS;
}

static bool fabric_drt_get(void *opaque, unsigned component, unsigned drt,
                           unsigned pid, uint8_t entry[2])
{
    Fabric *f = opaque;

    g_assert_cmpuint(drt, ==, 0);
    memcpy(entry, f->drt[component][pid], 2);
    return true;
}

static bool fabric_drt_set(void *opaque, unsigned component, unsigned drt,
                           unsigned pid, unsigned n,
                           const uint8_t *entry)
{
    Fabric *f = opaque;

    g_assert_cmpuint(drt, ==, 0);
    f->table_writes += n;
    memcpy(f->drt[component][pid], entry, 2 * n);
    return true;
}

static bool fabric_rgt_get(void *opaque, unsigned component, unsigned rgt,
                           unsigned index, uint8_t entry[12])
{
    Fabric *f = opaque;

    g_assert_cmpuint(rgt, ==, 0);
    g_assert_cmpuint(index, <, 4);
    memcpy(entry, f->rgt[component][index], 12);
    return true;
}

static bool fabric_rgt_set(void *opaque, unsigned component, unsigned rgt,
                           unsigned index, unsigned n,
                           const uint8_t *entry)
{
    Fabric *f = opaque;

    g_assert_cmpuint(rgt, ==, 0);
    g_assert_cmpuint(index + n, <=, 4);
    f->table_writes += n;
    memcpy(f->rgt[component][index], entry, 12 * n);
    return true;
}

static bool fabric_port_up(void *opaque, unsigned component, unsigned port)
{
    Fabric *f = opaque;

    return !f->down[component][port];
}

static bool fabric_sat_set(void *opaque, unsigned component, unsigned n,
                           const uint8_t *list)
{
    Fabric *f = opaque;

    g_assert_cmpuint(component, ==, GFD);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(list[6 * i + 1] << 8 | list[6 * i], <,
                         CXLF_FM_PID_NONE);
    }
    f->rights += f->no_rights ? 0 : n;
    return !f->no_rights;
}

static bool fabric_gdt_set(void *opaque, unsigned component, unsigned pid,
                           unsigned first, unsigned n, const uint8_t *entry)
{
    Fabric *f = opaque;

    g_assert_cmpuint(component, ==, GFD);
    g_assert_cmpuint(pid, <, CXLF_FM_PID_NONE);
    g_assert_cmpuint(entry[0], ==, first);
    f->rights += f->no_rights ? 0 : n;
    return !f->no_rights;
}

static const struct cxlf_fm_ops fabric_ops = {
    .bind = fabric_bind,
    .unbind = fabric_unbind,
    .erase = fabric_erase,
    .event = fabric_event,
    .port_control = fabric_port_control,
    .config = fabric_config,
    .access = fabric_access,
    .ld_command = fabric_ld_command,
    .drt_get = fabric_drt_get,
    .drt_set = fabric_drt_set,
    .rgt_get = fabric_rgt_get,
    .rgt_set = fabric_rgt_set,
    .port_up = fabric_port_up,
    .sat_set = fabric_sat_set,
    .gdt_set = fabric_gdt_set,
};

static void fabric_ports(struct cxlf_fm *fm, unsigned component,
                         enum cxlf_fm_port_state state, const char *ports)
{
    g_auto(GStrv) list = g_strsplit(ports, " ", 0);

    for (unsigned i = 0; list[i]; i++) {
        g_assert_true(cxlf_fm_add_port(fm, component, atoi(list[i]), state));
    }
}

static Fabric *fabric_new(void)
{
    Fabric *f = g_new0(Fabric, 1);
    struct cxlf_fm *fm = g_new0(struct cxlf_fm, 1);
    struct cxlf_fm_link link = { 16, 8, 0x1f, 5, 4, 7, 4 };

    f->fm = fm;
    f->who = (struct cxlf_fm_who) { .pid = 0x123, .port = 7 };
    g_assert_true(cxlf_fm_init(fm, &fabric_ops, f));
    g_assert_cmpint(cxlf_fm_add_switch(fm, 0x1122334455667788, 1, 1, 4), ==,
                    LEAF);
    g_assert_cmpint(cxlf_fm_add_switch(fm, 1, 1, 1, 4), ==, SPINE);
    g_assert_cmpint(cxlf_fm_add_device(fm, 2, true, 4, 1, 4 * GIB), ==, MLD);
    g_assert_cmpint(cxlf_fm_add_device(fm, 3, false, 1, 1, GIB), ==, SLD);
    g_assert_cmpint(cxlf_fm_add_gfd(fm, 4, 16), ==, GFD);
    g_assert_cmpint(cxlf_fm_add_switch(fm, 5, 1, 0, 0), ==, LEAF5);
    g_assert_cmpint(cxlf_fm_add_device(fm, 6, true, 4, 2, GIB), ==, MHD);
    fabric_ports(fm, LEAF, CXLF_FM_PORT_USP, "0 1");
    fabric_ports(fm, LEAF, CXLF_FM_PORT_DSP, "2 3 4 5 10 11");
    fabric_ports(fm, LEAF, CXLF_FM_PORT_FABRIC, "7");
    fabric_ports(fm, SPINE, CXLF_FM_PORT_FABRIC, "7 8");
    fabric_ports(fm, LEAF5, CXLF_FM_PORT_USP, "0");
    fabric_ports(fm, LEAF5, CXLF_FM_PORT_FABRIC, "9");
    g_assert_true(cxlf_fm_add_vcs(fm, LEAF, 0, 0, 4, true));
    g_assert_true(cxlf_fm_add_vcs(fm, LEAF, 1, 1, 4, false));
    g_assert_true(cxlf_fm_connect(fm, LEAF, 2, MLD, 0));
    g_assert_true(cxlf_fm_connect(fm, LEAF, 3, SLD, 0));
    g_assert_true(cxlf_fm_connect(fm, LEAF, 4, GFD, 0));
    g_assert_true(cxlf_fm_connect(fm, LEAF, 7, SPINE, 7));
    g_assert_true(cxlf_fm_connect(fm, SPINE, 8, LEAF5, 9));
    g_assert_true(cxlf_fm_connect(fm, LEAF, 10, MHD, 0));
    g_assert_true(cxlf_fm_connect(fm, LEAF, 11, MHD, 1));
    g_assert_true(cxlf_fm_set_link(fm, LEAF, 2, &link));
    /* 1 GiB in blocks of 2 or 256 MiB, shareable; 512 MiB, not */
    g_assert_true(cxlf_fm_add_region(fm, MLD, 4 * GIB, GIB,
                                     2 * MIB | 256 * MIB, 8, false));
    g_assert_true(cxlf_fm_add_region(fm, MLD, 5 * GIB, 512 * MIB, 256 * MIB,
                                     0, true));
    return f;
}

static void fabric_free(Fabric *f)
{
    g_assert_cmpstr(cxlf_fm_check(f->fm), ==, NULL);
    g_free(f->fm);
    g_free(f);
}

static GByteArray *bytes_of(const char *text)
{
    GByteArray *bytes = g_byte_array_new();
    g_auto(GStrv) words = g_strsplit_set(text, " |", 0);

    for (unsigned i = 0; words[i]; i++) {
        char *end;
        uint8_t byte = g_ascii_strtoull(words[i], &end, 16);
        unsigned times = *end == '*' ? g_ascii_strtoull(end + 1, NULL, 10) : 1;

        while (*words[i] && times--) {
            g_byte_array_append(bytes, &byte, 1);
        }
    }
    return bytes;
}

static char *text_of(const uint8_t *bytes, size_t n)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(text, i ? " %02x" : "%02x", bytes[i]);
    }
    return g_string_free(text, FALSE);
}

/* A command with @in must end with @code and answer @out. */
static void command_with(Fabric *f, unsigned component, uint16_t opcode,
                         const char *in, enum cxlf_cci code, const char *out)
{
    g_autoptr(GByteArray) request = bytes_of(in);
    g_autoptr(GByteArray) expected = bytes_of(out);
    g_autofree char *want = text_of(expected->data, expected->len);
    g_autofree char *got = NULL;
    /* Exactly what is sent, so that a sanitizer sees reads beyond. */
    g_autofree uint8_t *exact = g_malloc(MAX(request->len, 1));
    uint8_t answer[4096];
    enum cxlf_cci result;
    size_t n;

    if (request->len) {
        memcpy(exact, request->data, request->len);
    }
    memset(answer, 0xee, sizeof(answer));
    result = cxlf_fm_command(f->fm, &f->who, component, opcode, exact,
                             request->len, answer, sizeof(answer), &n);
    if (result != code) {
        g_test_message("%04x %s", opcode, in);
    }
    g_assert_cmphex(result, ==, code);
    got = text_of(answer, n);
    g_assert_cmpstr(got, ==, want);
}

static void command(Fabric *f, unsigned component, uint16_t opcode,
                    const char *in, const char *out)
{
    command_with(f, component, opcode, in, CXLF_CCI_SUCCESS, out);
}

static void refused(Fabric *f, unsigned component, uint16_t opcode,
                    const char *in, enum cxlf_cci code)
{
    command_with(f, component, opcode, in, code, "");
}

/* The step that has begun ends. */
static inline void complete(Fabric *f, Step step, bool success)
{
    g_assert_cmpint(f->step, ==, step);
    f->step = NO_STEP;
    g_assert_true(cxlf_fm_complete(f->fm, f->token, success));
}

#endif /* TESTS_UNIT_FM_FIXTURE_H */
