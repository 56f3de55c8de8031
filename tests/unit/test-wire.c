/*
 * Join messages: what is accepted, and refusal of everything else
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include "cxlf/graph.h"
#include "cxlf/reserve.h"
#include "cxlf/topology.h"
#include "cxlf/wire.h"

static const struct cxlf_wire_header good_header = {
    .magic = CXLF_WIRE_MAGIC,
    .version = CXLF_WIRE_VERSION,
    .type = CXLF_WIRE_JOIN,
    .length = sizeof(struct cxlf_wire_join),
};

static void test_header(void)
{
    struct cxlf_wire_header h = good_header;
    const char *why;

    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.length += CXLF_WIRE_BLOB_MAX;
    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.length++;
    g_assert_false(cxlf_wire_check_header(&h, &why));
    /* One bit anywhere but in the length makes it another message. */
    for (int bit = 0; bit < 8 * 16; bit++) {
        h = good_header;
        ((uint8_t *)&h)[bit / 8] ^= 1 << bit % 8;
        if (bit >= 64 && bit < 96) {
            continue;
        }
        if (cxlf_wire_check_header(&h, &why)) {
            g_assert_cmpint(h.type, !=, CXLF_WIRE_JOIN);
        }
    }
    h = good_header;
    h.type = CXLF_WIRE_READY;
    g_assert_false(cxlf_wire_check_header(&h, &why));
    h.length = 0;
    g_assert_true(cxlf_wire_check_header(&h, &why));
}

static void test_join(void)
{
    struct cxlf_wire_join good = {
        .abi_version = CXLF_ABI_VERSION,
        .leaf_header = sizeof(struct cxlf_leaf),
        .fabric_header = sizeof(struct cxlf_fabric),
        .entry_size = sizeof(struct cxlf_entry),
        .host = -1,
    }, join, out;
    const void *blob;
    const char *why;

    g_assert_true(cxlf_wire_read_join(&good, sizeof(good), &out, &blob,
                                      &why));
    g_assert_true(blob == &good + 1);
    join = good;
    join.abi_version++;
    g_assert_false(cxlf_wire_read_join(&join, sizeof(join), &out, &blob,
                                       &why));
    g_assert_cmpstr(why, ==,
                    "JOIN: the peer was built with another ABI version");
    join = good;
    join.entry_size = 8;
    g_assert_false(cxlf_wire_read_join(&join, sizeof(join), &out, &blob,
                                       &why));
    join = good;
    join.host = CXLF_MAX_HOSTS;
    g_assert_false(cxlf_wire_read_join(&join, sizeof(join), &out, &blob,
                                       &why));
    join = good;
    join.blob = 1;
    g_assert_false(cxlf_wire_read_join(&join, sizeof(join), &out, &blob,
                                       &why));
    g_assert_false(cxlf_wire_read_join(&good, sizeof(good) - 1, &out, &blob,
                                       &why));
}

static void test_segment(void)
{
    struct cxlf_wire_segment s = { CXLF_KIND_LEAF, 7, 4096 }, out;
    const char *why;

    g_assert_true(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
    s.index = CXLF_MAX_LEAVES;
    g_assert_false(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
    s = (struct cxlf_wire_segment) { CXLF_KINDS, 0, 4096 };
    g_assert_false(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
    s = (struct cxlf_wire_segment) { CXLF_KIND_LOG, 1, 4096 };
    g_assert_false(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
    s.index = 0;
    g_assert_true(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
    for (s.kind = CXLF_KIND_ROUTES; s.kind <= CXLF_KIND_COUNTS; s.kind++) {
        s.index = 0;
        g_assert_true(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
        s.index = 1;
        g_assert_false(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
    }
    s = (struct cxlf_wire_segment) { CXLF_KIND_FABRIC, 0, 0 };
    g_assert_false(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
    s.size = UINT64_MAX;
    g_assert_false(cxlf_wire_read_segment(&s, sizeof(s), &out, &why));
}

static void test_doorbells(void)
{
    static const struct {
        struct cxlf_wire_doorbells w;
        bool good;
    } some[] = {
        { { 0, 1 }, true },
        { { 0, CXLF_WIRE_FDS_MAX }, true },
        { { CXLF_MAX_HOSTS - 1, 1 }, true },
        { { 0, 0 }, false },
        { { 0, CXLF_WIRE_FDS_MAX + 1 }, false },
        { { CXLF_MAX_HOSTS, 1 }, false },
        { { CXLF_MAX_HOSTS - 1, 2 }, false },
        { { UINT32_MAX, 2 }, false },
        { { 1, UINT32_MAX }, false },
    };
    struct cxlf_wire_doorbells out;
    const char *why;

    for (size_t i = 0; i < G_N_ELEMENTS(some); i++) {
        g_assert_true(cxlf_wire_read_doorbells(&some[i].w, sizeof(out), &out,
                                               &why) == some[i].good);
    }
    g_assert_false(cxlf_wire_read_doorbells(&some[0].w, sizeof(out) - 1, &out,
                                            &why));
}

static void test_reserve(void)
{
    struct cxlf_wire_reserve w = { .length = UINT64_MAX }, out;
    struct cxlf_wire_reserved answer = { .token = 1 }, back;
    struct cxlf_wire_header h = good_header;
    const char *why;

    for (w.what = 0; w.what < CXLF_WIRE_RESERVE_WHATS; w.what++) {
        g_assert_true(cxlf_wire_read_reserve(&w, sizeof(w), &out, &why));
        g_assert_cmpmem(&w, sizeof(w), &out, sizeof(out));
    }
    g_assert_false(cxlf_wire_read_reserve(&w, sizeof(w), &out, &why));
    w.what = 0;
    g_assert_false(cxlf_wire_read_reserve(&w, sizeof(w) - 1, &out, &why));
    for (; answer.result < CXLF_RESERVE_RESULTS; answer.result++) {
        g_assert_true(cxlf_wire_read_reserved(&answer, sizeof(answer), &back,
                                              &why));
    }
    g_assert_false(cxlf_wire_read_reserved(&answer, sizeof(answer), &back,
                                           &why));
    answer.result = 0;
    answer.zero = 1;
    g_assert_false(cxlf_wire_read_reserved(&answer, sizeof(answer), &back,
                                           &why));
    h.type = CXLF_WIRE_RESERVE;
    h.length = sizeof(w);
    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.type = CXLF_WIRE_RESERVED;
    g_assert_false(cxlf_wire_check_header(&h, &why));
    h.length = sizeof(answer);
    g_assert_true(cxlf_wire_check_header(&h, &why));
}

static bool reads(struct cxlf_wire_request w)
{
    struct cxlf_wire_request out;
    const char *why;
    bool ok = cxlf_wire_read_request(&w, sizeof(w), &out, &why);

    g_assert_cmpmem(&w, sizeof(w), &out, sizeof(out));
    return ok;
}

/* Each field with a value that it must not have. */
static void test_request(void)
{
    struct cxlf_wire_request mode = {
        .what = CXLF_WIRE_REQUEST_MODE, .token = 1, .argument = { 1 },
    };
    struct cxlf_wire_request capacity = {
        .what = CXLF_WIRE_REQUEST_ASK, .kind = CXLF_ASK_CAPACITY,
        .gfam = CXLF_ASK_ANY_GFAM, .length = 3 * CXLF_PAGE, .token = 1,
        .argument = { CXLF_ASK_BULK },
    };
    struct cxlf_wire_request class = {
        .what = CXLF_WIRE_REQUEST_ASK, .kind = CXLF_ASK_CLASS,
        .dpa = CXLF_PAGE, .length = CXLF_PAGE, .token = 1,
    };
    struct cxlf_wire_request binding = {
        .what = CXLF_WIRE_REQUEST_ASK, .kind = CXLF_ASK_BINDING, .token = 1,
        .argument = { CXLF_ASK_BIND, CXLF_ASK_LD_MAX },
    };
    struct cxlf_wire_request withdraw = {
        .what = CXLF_WIRE_REQUEST_WITHDRAW,
    };
    struct cxlf_wire_request w, out;
    const char *why;

#define SPOILT(good, field, value) do { \
        w = (good);                     \
        w.field = (value);              \
        g_assert_false(reads(w));       \
    } while (0)
    g_assert_true(reads(mode));
    SPOILT(mode, what, CXLF_WIRE_REQUEST_WHATS);
    SPOILT(mode, token, 0);
    SPOILT(mode, zero, 1);
    SPOILT(mode, kind, 1);
    SPOILT(mode, dpa, CXLF_PAGE);
    SPOILT(mode, length, CXLF_PAGE);
    SPOILT(mode, argument[0], 2);
    SPOILT(mode, argument[1], 1);
    SPOILT(mode, argument[2], 1);
    SPOILT(mode, argument[3], 1);
    g_assert_true(reads(capacity));
    SPOILT(capacity, token, 0);
    SPOILT(capacity, zero, 1);
    SPOILT(capacity, kind, 0);
    SPOILT(capacity, kind, CXLF_ASK_END);
    SPOILT(capacity, dpa, CXLF_PAGE);
    SPOILT(capacity, length, 0);
    SPOILT(capacity, length, CXLF_LINE);
    SPOILT(capacity, argument[0], 0);
    SPOILT(capacity, argument[0], CXLF_ASK_COHERENT);
    SPOILT(capacity, argument[1], 1);
    SPOILT(class, argument[0], 0);
    for (uint32_t i = CXLF_ASK_HOT; i <= CXLF_ASK_SOFTWARE; i++) {
        class.argument[0] = i;
        g_assert_true(reads(class));
    }
    SPOILT(class, argument[0], CXLF_ASK_SOFTWARE + 1);
    SPOILT(class, dpa, CXLF_LINE);
    SPOILT(class, length, 0);
    g_assert_true(reads(binding));
    SPOILT(binding, argument[0], CXLF_ASK_UNBIND + 1);
    SPOILT(binding, argument[1], CXLF_ASK_LD_MAX + 1);
    SPOILT(binding, argument[2], 1);
    SPOILT(binding, length, CXLF_PAGE);
    g_assert_true(reads(withdraw));
    SPOILT(withdraw, gfam, 1);
    SPOILT(withdraw, argument[0], 1);
#undef SPOILT
    g_assert_false(cxlf_wire_read_request(&mode, sizeof(mode) - 1, &out,
                                          &why));
}

static void test_cci(void)
{
    struct {
        struct cxlf_wire_cci cci;
        uint8_t payload[CXLF_WIRE_CCI_MAX];
    } m = { .cci = { .token = 1, .opcode = 0x5201, .length = 6 } };
    struct cxlf_wire_header h = {
        .magic = CXLF_WIRE_MAGIC, .version = CXLF_WIRE_VERSION,
        .type = CXLF_WIRE_CCI, .length = sizeof(m),
    };
    struct cxlf_wire_cci out;
    const void *bytes;
    const char *why;

    g_assert_true(cxlf_wire_read_cci(&m, sizeof(m.cci) + 6, &out, &bytes,
                                     &why));
    g_assert_cmpint(out.opcode, ==, 0x5201);
    g_assert_true(bytes == m.payload);
    g_assert_false(cxlf_wire_read_cci(&m, sizeof(m.cci) + 5, &out, &bytes,
                                      &why));
    g_assert_false(cxlf_wire_read_cci(&m, sizeof(m.cci) + 7, &out, &bytes,
                                      &why));
    g_assert_false(cxlf_wire_read_cci(&m, sizeof(m.cci) - 1, &out, &bytes,
                                      &why));
    m.cci.length = UINT32_MAX;
    g_assert_false(cxlf_wire_read_cci(&m, sizeof(m), &out, &bytes, &why));
    m.cci.length = 0;
    m.cci.token = 0;
    g_assert_false(cxlf_wire_read_cci(&m, sizeof(m.cci), &out, &bytes, &why));

    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.length++;
    g_assert_false(cxlf_wire_check_header(&h, &why));
    h.type = CXLF_WIRE_CCI_ANSWER;
    h.length = sizeof(m.cci) - 1;
    g_assert_false(cxlf_wire_check_header(&h, &why));
}

static void test_answer(void)
{
    struct cxlf_wire_answer a = { .token = UINT64_MAX }, out;
    struct cxlf_wire_header h = good_header;
    const char *why;

    for (; a.result < CXLF_ANSWERS; a.result++) {
        g_assert_true(cxlf_wire_read_answer(&a, sizeof(a), &out, &why));
        g_assert_cmpmem(&a, sizeof(a), &out, sizeof(out));
    }
    g_assert_false(cxlf_wire_read_answer(&a, sizeof(a), &out, &why));
    a.result = 0;
    g_assert_false(cxlf_wire_read_answer(&a, sizeof(a) + 1, &out, &why));
    a.token = 0;
    g_assert_false(cxlf_wire_read_answer(&a, sizeof(a), &out, &why));
    h.type = CXLF_WIRE_REQUEST;
    h.length = sizeof(struct cxlf_wire_request);
    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.type = CXLF_WIRE_ANSWER;
    g_assert_false(cxlf_wire_check_header(&h, &why));
    h.length = sizeof(a);
    g_assert_true(cxlf_wire_check_header(&h, &why));
}

/* Each field of PLUG and UNPLUG with values that it must not have. */
static void test_plug(void)
{
    const uint64_t unit = CXLF_CAPACITY_UNIT;
    const struct cxlf_wire_plug plug = {
        .gfam = CXLF_MAX_GFAMS - 1, .ld = CXLF_MAX_LDS - 1, .start = unit,
        .size = 2 * unit, .vppb = 15, .token = 1,
    };
    const struct cxlf_wire_unplug unplug = { .token = 1 };
    struct cxlf_wire_plug p, p_out;
    struct cxlf_wire_unplug u, u_out;
    const char *why;

#define PLUG(field, value, good) do {                                   \
        p = plug;                                                       \
        p.field = (value);                                              \
        g_assert_true(cxlf_wire_read_plug(&p, sizeof(p), &p_out,        \
                                          &why) == (good));             \
    } while (0)
    PLUG(gfam, 0, true);
    g_assert_cmpmem(&p, sizeof(p), &p_out, sizeof(p_out));
    PLUG(gfam, CXLF_MAX_GFAMS, false);
    PLUG(ld, CXLF_MAX_LDS, false);
    PLUG(start, unit / 2, false);
    PLUG(start, CXLF_MAX_HOT + CXLF_MAX_BULK - 2 * unit, true);
    PLUG(start, CXLF_MAX_HOT + CXLF_MAX_BULK - unit, false);
    PLUG(start, -unit, false);
    PLUG(size, 0, false);
    PLUG(size, unit + 1, false);
    PLUG(size, -unit, false);
    PLUG(vppb, 1, true);
    PLUG(vppb, 0, false);
    PLUG(vppb, 16, false);
    PLUG(zero, 1, false);
    PLUG(token, 0, false);
    g_assert_false(cxlf_wire_read_plug(&plug, sizeof(p) - 1, &p_out, &why));
#undef PLUG
#define UNPLUG(field, value, good) do {                                 \
        u = unplug;                                                     \
        u.field = (value);                                              \
        g_assert_true(cxlf_wire_read_unplug(&u, sizeof(u), &u_out,      \
                                            &why) == (good));           \
    } while (0)
    UNPLUG(how, CXLF_UNPLUG_SURPRISE, true);
    UNPLUG(how, CXLF_UNPLUGS, false);
    UNPLUG(gfam, CXLF_MAX_GFAMS, false);
    UNPLUG(ld, CXLF_MAX_LDS, false);
    UNPLUG(zero, 1, false);
    UNPLUG(token, 0, false);
    g_assert_false(cxlf_wire_read_unplug(&unplug, sizeof(u) + 1, &u_out,
                                         &why));
#undef UNPLUG
}

static void test_plugged(void)
{
    struct cxlf_wire_plugged a = { .token = 1 }, out;
    struct cxlf_wire_header h = good_header;
    const char *why;

    for (; a.result < CXLF_PLUG_RESULTS; a.result++) {
        g_assert_true(cxlf_wire_read_plugged(&a, sizeof(a), &out, &why));
        g_assert_cmpmem(&a, sizeof(a), &out, sizeof(out));
    }
    g_assert_false(cxlf_wire_read_plugged(&a, sizeof(a), &out, &why));
    a.result = 0;
    g_assert_false(cxlf_wire_read_plugged(&a, sizeof(a) - 1, &out, &why));
    a.zero = 1;
    g_assert_false(cxlf_wire_read_plugged(&a, sizeof(a), &out, &why));
    a.zero = a.token = 0;
    g_assert_false(cxlf_wire_read_plugged(&a, sizeof(a), &out, &why));
    h.type = CXLF_WIRE_PLUG;
    h.length = sizeof(a);
    g_assert_false(cxlf_wire_check_header(&h, &why));
    h.type = CXLF_WIRE_UNPLUG;
    g_assert_false(cxlf_wire_check_header(&h, &why));
    h.type = CXLF_WIRE_PLUGGED;
    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.type = CXLF_WIRE_UNPLUGGED;
    g_assert_true(cxlf_wire_check_header(&h, &why));
}

static void test_extent(void)
{
    const struct cxlf_wire_extent good = {
        .gfam = 7, .what = CXLF_EXTENT_TAKE,
        .start = CXLF_MAX_HOT + CXLF_MAX_BULK - CXLF_EXTENT_BLOCK,
        .length = CXLF_EXTENT_BLOCK, .token = 1, .tag = { 1, 2 },
        .sequence = UINT16_MAX, .more = 1,
    };
    struct cxlf_wire_extent bad[10], out;
    struct cxlf_wire_header h = good_header;
    const char *why;

    g_assert_true(cxlf_wire_read_extent(&good, sizeof(good), &out, &why));
    g_assert_cmpmem(&good, sizeof(good), &out, sizeof(out));
    g_assert_false(cxlf_wire_read_extent(&good, sizeof(good) - 1, &out,
                                         &why));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        bad[i] = good;
    }
    bad[0].gfam = 8;
    bad[1].what = CXLF_EXTENT_WHATS;
    bad[2].start += CXLF_EXTENT_BLOCK;
    bad[3].start -= 4096;
    bad[4].length = 0;
    bad[5].length += CXLF_EXTENT_BLOCK;
    bad[6].length = UINT64_MAX / CXLF_EXTENT_BLOCK * CXLF_EXTENT_BLOCK;
    bad[7].token = 0;
    bad[8].sequence++;
    bad[9].more = 2;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(cxlf_wire_read_extent(&bad[i], sizeof(out), &out,
                                             &why));
    }
    h.type = CXLF_WIRE_EXTENT;
    h.length = sizeof(out);
    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.length--;
    g_assert_false(cxlf_wire_check_header(&h, &why));
}

static void test_aer(void)
{
    const struct cxlf_wire_aer good = {
        .vppb = CXLF_WIRE_VPPBS - 1, .error = 1u << 18, .header = { 1, 2 },
    };
    struct cxlf_wire_aer bad[] = { good, good, good, good, good, good };
    struct cxlf_wire_header h = good_header;
    struct cxlf_wire_aer out;
    const char *why;

    g_assert_true(cxlf_wire_read_aer(&good, sizeof(good), &out, &why));
    g_assert_cmpmem(&good, sizeof(good), &out, sizeof(out));
    g_assert_false(cxlf_wire_read_aer(&good, sizeof(good) - 1, &out, &why));
    bad[0].vppb++;
    bad[1].error = 0;
    bad[2].error = CXLF_AER_CORRECTABLE;
    bad[3].error |= 1u << 19;
    bad[4].error |= CXLF_AER_CORRECTABLE;   /* no correctable one */
    bad[5].error = 1u << 0;                 /* no uncorrectable one */
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(cxlf_wire_read_aer(&bad[i], sizeof(out), &out, &why));
    }
    g_assert_true(cxlf_aer_is_error(CXLF_AER_CORRECTABLE | 1u << 0));
    h.type = CXLF_WIRE_AER;
    h.length = sizeof(out);
    g_assert_true(cxlf_wire_check_header(&h, &why));
    h.length++;
    g_assert_false(cxlf_wire_check_header(&h, &why));
}

static void test_extent_answer(void)
{
    struct cxlf_wire_extent_answer a = { .token = 1 }, out;
    const char *why;

    for (; a.what < CXLF_EXTENT_ANSWERS; a.what++) {
        g_assert_true(cxlf_wire_read_extent_answer(&a, sizeof(a), &out,
                                                   &why));
        g_assert_cmpmem(&a, sizeof(a), &out, sizeof(out));
    }
    g_assert_false(cxlf_wire_read_extent_answer(&a, sizeof(a), &out, &why));
    a.what = 0;
    g_assert_false(cxlf_wire_read_extent_answer(&a, sizeof(a) + 1, &out,
                                                &why));
    a.zero = 1;
    g_assert_false(cxlf_wire_read_extent_answer(&a, sizeof(a), &out, &why));
    a.zero = a.token = 0;
    g_assert_false(cxlf_wire_read_extent_answer(&a, sizeof(a), &out, &why));
}

static void test_refuse(void)
{
    struct cxlf_wire_refuse r, out;
    const char *why;

    memset(&r, 0x1b, sizeof(r));
    g_assert_true(cxlf_wire_read_refuse(&r, sizeof(r), &out, &why));
    g_assert_cmpuint(strlen(out.text), ==, CXLF_WIRE_TEXT_MAX);
    g_assert_cmpint(out.text[0], ==, '?');
}

/* Random payloads of exact size: what is accepted is within its limits. */
static void test_random(void)
{
    for (int i = 0; i < 100000; i++) {
        size_t length = g_test_rand_int_range(0, 80);
        g_autofree uint8_t *payload = g_malloc(length);
        struct cxlf_wire_join join;
        struct cxlf_wire_welcome welcome;
        struct cxlf_wire_segment segment;
        struct cxlf_wire_doorbells doorbells;
        struct cxlf_wire_refuse refuse;
        const void *blob;
        const char *why = NULL;

        for (size_t n = 0; n < length; n++) {
            payload[n] = g_test_rand_bit() ? g_test_rand_int_range(0, 4) :
                                             g_test_rand_int();
        }
        if (cxlf_wire_read_join(payload, length, &join, &blob, &why)) {
            g_assert_cmpuint(join.blob, ==, length - sizeof(join));
        }
        if (cxlf_wire_read_welcome(payload, length, &welcome, &blob, &why)) {
            g_assert_cmpuint(welcome.host, <, CXLF_MAX_HOSTS);
            g_assert_cmpuint(welcome.doorbells, <=, CXLF_MAX_HOSTS);
        }
        if (cxlf_wire_read_segment(payload, length, &segment, &why)) {
            g_assert_cmpuint(segment.kind, <, CXLF_KINDS);
        }
        if (cxlf_wire_read_doorbells(payload, length, &doorbells, &why)) {
            g_assert_cmpuint(doorbells.count, <=, CXLF_WIRE_FDS_MAX);
            g_assert_cmpuint(doorbells.first + doorbells.count, <=,
                             CXLF_MAX_HOSTS);
        }
        g_assert_false(cxlf_wire_read_refuse(payload, length, &refuse,
                                             &why));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/header", test_header);
    g_test_add_func("/wire/join", test_join);
    g_test_add_func("/wire/segment", test_segment);
    g_test_add_func("/wire/doorbells", test_doorbells);
    g_test_add_func("/wire/reserve", test_reserve);
    g_test_add_func("/wire/request", test_request);
    g_test_add_func("/wire/answer", test_answer);
    g_test_add_func("/wire/cci", test_cci);
    g_test_add_func("/wire/plug", test_plug);
    g_test_add_func("/wire/plugged", test_plugged);
    g_test_add_func("/wire/extent", test_extent);
    g_test_add_func("/wire/aer", test_aer);
    g_test_add_func("/wire/extent-answer", test_extent_answer);
    g_test_add_func("/wire/refuse", test_refuse);
    g_test_add_func("/wire/random", test_random);
    return g_test_run();
}
