/*
 * cxlfm: its commands
 *
 * Each returns what is to be shown: an object, or a list of objects that all
 * have the same members.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlfm.h"

#define NO_PID      0xfffu
#define PORTS       256
#define CHUNK       128             /* ports that are asked for at once */
#define ENTRIES     64              /* of a table, the same */
#define VCSS        64

unsigned component_of(const Options *options, const char *text)
{
    if (!options->mailbox) {
        return number_of("COMPONENT", text, 255);
    }
    if (text[0] == 'p') {
        return AT_PORT + number_of("COMPONENT p", text + 1, PORTS - 1);
    }
    if (strcmp(text, "0")) {
        fail(EXIT_USAGE, "COMPONENT %s: with --mailbox it accepts 0, this "
             "host's switch, or pN, the device at its port N", text);
    }
    return 0;
}

static const char *one_of(const char *const *names, size_t n, uint64_t value)
{
    return value < n && names[value] ? names[value] : "unknown";
}

#define ONE_OF(names, value) one_of(names, G_N_ELEMENTS(names), value)

void add_hex(json_t *row, const char *name, uint64_t value, int digits)
{
    g_autofree char *text = g_strdup_printf("0x%0*" G_GINT64_MODIFIER "x",
                                            digits, value);

    json_object_set_new(row, name, json_string(text));
}

void add(json_t *row, const char *name, uint64_t value)
{
    json_object_set_new(row, name, json_integer(value));
}

static void add_text(json_t *row, const char *name, const char *text)
{
    json_object_set_new(row, name, json_string(text));
}

/* A number, or null if it is @none. */
static void add_or_null(json_t *row, const char *name, uint64_t value,
                        uint64_t none)
{
    json_object_set_new(row, name, value == none ? json_null() :
                        json_integer(value));
}

static json_t *list(const Options *options, char **argument)
{
    static const char *const members[] = {
        "component", "name", "kind", "serial", "pid", "primary",
    };
    json_t *all;
    json_t *rows = json_array(), *fabric, *from, *row;
    size_t i, j, found = 0;

    if (options->mailbox) {
        fail(EXIT_USAGE, "list: the mailbox of a switch has no list; see "
             "ports 0");
    }
    all = qmp_call("x-query-cxl-fabric-fm", json_object());
    json_array_foreach(all, i, fabric) {
        const char *id = json_string_value(json_object_get(fabric, "id"));
        const char *why = json_string_value(json_object_get(fabric,
                                                            "why-none"));

        if (options->id && g_strcmp0(options->id, id)) {
            continue;
        }
        found++;
        if (why) {
            fail(EXIT_NOT_DONE, "fabric %s has no Fabric Manager: %s", id,
                 why);
        }
        json_array_foreach(json_object_get(fabric, "components"), j, from) {
            row = json_object();
            for (size_t k = 0; k < G_N_ELEMENTS(members); k++) {
                json_t *value = json_object_get(from, members[k]);

                json_object_set(row, members[k], value ? value : json_null());
            }
            json_array_append_new(rows, row);
        }
    }
    json_decref(all);
    if (found != 1) {
        fail(EXIT_NOT_DONE, found ? "there are several fabrics: name one by "
             "--id" : options->id ? "--id %s: there is no such fabric" :
             "there is no fabric here", options->id);
    }
    return rows;
}

/* Identify; the component's type, and what it says of itself in @row. */
static unsigned identify_one(const Options *options, unsigned component,
                             json_t *row)
{
    static const char *const types[] = { "switch", NULL, NULL, "type 3" };
    Answer a = cci_call(options, component, 0x0001, NULL);
    unsigned type;

    add_hex(row, "vendor", take(&a, 2), 4);
    add_hex(row, "device", take(&a, 2), 4);
    skip(&a, 4);
    add_hex(row, "serial", take(&a, 8), 16);
    add(row, "message-limit", 1ull << (take(&a, 1) & 31));
    type = take(&a, 1);
    add_text(row, "type", ONE_OF(types, type));
    answer_free(&a);
    return type;
}

static json_t *identify(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]);
    json_t *row = json_object();
    Answer a;

    if (identify_one(options, component, row) == 0) {
        a = cci_call(options, component, 0x5100, NULL);
        skip(&a, 2);
        add(row, "ports", take(&a, 1));
        add(row, "vcss", take(&a, 1));
        skip(&a, 64);
        add(row, "vppbs", take(&a, 2));
        add(row, "bound-vppbs", take(&a, 2));
        add(row, "decoders", take(&a, 1));
        answer_free(&a);
    }
    return row;
}

/* Of a map in Identify Switch Device: the numbers that are in it. */
static unsigned read_map(const Options *options, unsigned component,
                         unsigned offset, unsigned bits, uint8_t *number)
{
    Answer a = cci_call(options, component, 0x5100, NULL);
    unsigned n = 0;

    skip(&a, offset);
    for (unsigned i = 0; i < bits; i += 8) {
        unsigned byte = take(&a, 1);

        for (unsigned j = 0; j < 8; j++) {
            if (byte >> j & 1) {
                number[n++] = i + j;
            }
        }
    }
    answer_free(&a);
    return n;
}

static void add_port(json_t *rows, Answer *a)
{
    static const char *const states[] = {
        "disabled", "binding", "unbinding", "dsp", "usp", "fabric",
    };
    static const char *const types[] = {
        [0] = "nothing", [4] = "sld", [5] = "mld", [6] = "gfd",
        [7] = "switch",
    };
    static const char *const modes[] = {
        [0] = "none", [3] = "256b", [5] = "pbr",
    };
    static const char *const speeds[] = {
        NULL, "2.5 GT/s", "5 GT/s", "8 GT/s", "16 GT/s", "32 GT/s",
        "64 GT/s",
    };
    static const char *const ltssm[] = {
        "detect", "polling", "configuration", "recovery", "L0", "L0s", "L1",
        "L2", "disabled", "loopback", "hot-reset",
    };
    json_t *row = json_object();
    unsigned mode, type;

    add(row, "port", take(a, 1));
    add_text(row, "state", ONE_OF(states, take(a, 1) & 0xf));
    mode = take(a, 1);
    skip(a, 1);
    type = take(a, 1);
    add_text(row, "partner", ONE_OF(types, type));
    add_text(row, "mode", ONE_OF(modes, mode & 0xf));
    skip(a, 2);
    add(row, "lanes", take(a, 1));
    skip(a, 2);
    add_text(row, "speed", ONE_OF(speeds, take(a, 1)));
    add_text(row, "link", ONE_OF(ltssm, take(a, 1)));
    skip(a, 3);
    add(row, "lds", take(a, 1));
    json_array_append_new(rows, row);
}

static json_t *ports(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]), many;
    uint8_t number[PORTS];
    json_t *rows = json_array();

    many = read_map(options, component, 4, PORTS, number);
    for (unsigned at = 0; at < many; at += CHUNK) {
        unsigned n = MIN(many - at, CHUNK);
        GByteArray *in = payload();
        Answer a;

        put(in, n, 1);
        g_byte_array_append(in, number + at, n);
        a = cci_call(options, component, 0x5101, in);
        n = MIN(take(&a, 1), n);
        skip(&a, 3);
        while (n--) {
            add_port(rows, &a);
        }
        answer_free(&a);
    }
    return rows;
}

/* The PID that a vPPB is bound to. */
static unsigned pid_binding(const Options *options, unsigned component,
                            unsigned vcs, unsigned vppb)
{
    GByteArray *in = payload();
    unsigned pid;
    Answer a;

    put(in, vcs, 1);
    put(in, vppb, 1);
    a = cci_call(options, component, 0x5705, in);
    pid = take(&a, 2);
    answer_free(&a);
    return pid;
}

static json_t *vcs(const Options *options, char **argument)
{
    enum { UNBOUND, PID = 4 };
    static const char *const states[] = {
        "unbound", "in progress", "port", "ld", "pid",
    };
    unsigned component = component_of(options, argument[0]), many;
    uint8_t number[PORTS];
    json_t *rows = json_array();

    many = read_map(options, component, 4 + PORTS / 8, VCSS, number);
    for (unsigned i = 0; i < many; i++) {
        GByteArray *in = payload();
        unsigned usp, vppbs;
        Answer a;

        put(in, 0, 1);          /* from the first one on, */
        put(in, UINT8_MAX, 1);  /* all of them, */
        put(in, 1, 1);          /* of one VCS */
        put(in, number[i], 1);
        a = cci_call(options, component, 0x5200, in);
        skip(&a, 6);
        usp = take(&a, 1);
        vppbs = take(&a, 1);
        for (unsigned vppb = 0; vppb < vppbs; vppb++) {
            json_t *row = json_object();
            unsigned state = take(&a, 1), port = take(&a, 1);
            unsigned ld = take(&a, 1);

            skip(&a, 1);
            add(row, "vcs", number[i]);
            add(row, "usp", usp);
            add(row, "vppb", vppb);
            add_text(row, "bound-to", ONE_OF(states, state));
            add_or_null(row, "port", state == UNBOUND || state == PID ?
                        NO_PID : port, NO_PID);
            add_or_null(row, "ld", ld, UINT8_MAX);
            add_or_null(row, "pid", state == PID ?
                        pid_binding(options, component, number[i], vppb) :
                        NO_PID, NO_PID);
            json_array_append_new(rows, row);
        }
        answer_free(&a);
    }
    return rows;
}

static json_t *bind_vppb(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]);
    GByteArray *in = payload();

    put(in, number_of("VCS", argument[1], VCSS - 1), 1);
    put(in, number_of("VPPB", argument[2], 255), 1);
    put(in, number_of("PORT", argument[3], 255), 1);
    put(in, 0, 1);
    put(in, argument[4] ? number_of("LD", argument[4], LDS - 1) : UINT16_MAX,
        2);
    cci_wait(options, component, 0x5201, in);
    return NULL;
}

/* Configure PID Binding: COMPONENT VCS VPPB [PID], of 1Ch bytes. */
static json_t *bind_by_pid(const Options *options, char **argument,
                           bool end)
{
    unsigned component = component_of(options, argument[0]);
    GByteArray *in = payload();

    put(in, end, 1);
    put(in, number_of("VCS", argument[1], VCSS - 1), 1);
    put(in, number_of("VPPB", argument[2], 255), 1);
    put(in, 0, 1);
    put(in, end ? 0 : number_of("PID", argument[3], NO_PID - 1), 2);
    put(in, 0, 2);
    put(in, 0, 8);              /* no latency is reported, */
    put(in, 0, 2);
    put(in, 0, 8);              /* and no bandwidth */
    put(in, 0, 2);
    cci_wait(options, component, 0x5706, in);
    return NULL;
}

static json_t *bind_pid(const Options *options, char **argument)
{
    return bind_by_pid(options, argument, false);
}

static json_t *unbind_pid(const Options *options, char **argument)
{
    return bind_by_pid(options, argument, true);
}

static json_t *targets(const Options *options, char **argument)
{
    static const char *const types[] = { "fabric", "usp", "dsp" };
    unsigned component = component_of(options, argument[0]);
    unsigned at = 0, total = 1, n;
    json_t *rows = json_array();

    while (at < total) {
        GByteArray *in = payload();
        Answer a;

        put(in, at, 2);
        put(in, ENTRIES, 2);
        a = cci_call(options, component, 0x5703, in);
        total = take(&a, 2);
        n = take(&a, 2);
        if (at < total && n == 0) {
            fail(EXIT_NOT_DONE, "%s: the answer says that there are %u, and "
                 "has none from %u on", a.what, total, at);
        }
        for (at += n; n; n--) {
            json_t *row = json_object();
            unsigned instance;

            skip(&a, 2);
            add_text(row, "type", ONE_OF(types, take(&a, 1) & 7));
            instance = take(&a, 1);
            add_or_null(row, "vcs", take(&a, 1), UINT8_MAX);
            add(row, "port", take(&a, 1));
            add_or_null(row, "ld", instance ? instance - 1 : NO_PID, NO_PID);
            add_or_null(row, "pid", take(&a, 2), NO_PID);
            json_array_append_new(rows, row);
        }
        answer_free(&a);
    }
    return rows;
}

static json_t *unbind(const Options *options, char **argument)
{
    static const char *const ways[] = { "wait", "managed", "surprise" };
    unsigned component = component_of(options, argument[0]), way = 0;
    GByteArray *in = payload();

    while (argument[3] && strcmp(argument[3], ways[way])) {
        if (++way == G_N_ELEMENTS(ways)) {
            fail(EXIT_USAGE, "WAY %s: accepts wait, managed and surprise",
                 argument[3]);
        }
    }
    put(in, number_of("VCS", argument[1], VCSS - 1), 1);
    put(in, number_of("VPPB", argument[2], 255), 1);
    put(in, way, 1);
    cci_wait(options, component, 0x5202, in);
    return NULL;
}

static json_t *pbr(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]);
    json_t *row = json_object(), *about = json_object();
    Answer a = cci_call(options, component, 0x0700, NULL);

    add_or_null(row, "pid", take(&a, 2), NO_PID);
    add_or_null(row, "primary", take(&a, 2), NO_PID);
    skip(&a, 16);
    add_or_null(row, "secondary", take(&a, 2), NO_PID);
    answer_free(&a);
    if (identify_one(options, component, about) == 0) {
        a = cci_call(options, component, 0x5700, NULL);
        add_hex(row, "gaes", take(&a, 8), 1);
        add(row, "drts", take(&a, 1));
        add(row, "rgts", take(&a, 1));
        skip(&a, 1);
        add_hex(row, "routing-modes", take(&a, 1), 2);
        answer_free(&a);
    }
    json_decref(about);
    return row;
}

static void add_drt(json_t *row, Answer *a)
{
    static const char *const types[] = { "invalid", "port", "rgt" };

    add_text(row, "type", ONE_OF(types, take(a, 1) & 3));
    add(row, "target", take(a, 1));
}

static void add_rgt(json_t *row, Answer *a)
{
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned port[8], word;

    for (unsigned i = 0; i < 8; i++) {
        port[i] = take(a, 1);
    }
    word = take(a, 2);
    skip(a, 2);
    for (unsigned i = 0; i <= (word & 7); i++) {
        g_string_append_printf(text, "%s%u", i ? " " : "", port[i]);
    }
    add_text(row, "ports", text->str);
    add(row, "primary", word >> 3 & 7);
    add(row, "mode", word >> 8 & 7);
    add(row, "mix", word >> 11 & 7);
}

/* Entries of a table: COMPONENT TABLE FIRST [COUNT]. */
static json_t *table(const Options *options, char **argument,
                     unsigned opcode, unsigned header,
                     void (*add_entry)(json_t *row, Answer *a))
{
    unsigned component = component_of(options, argument[0]);
    unsigned number = number_of("TABLE", argument[1], 255);
    unsigned at = number_of("FIRST", argument[2], 4095);
    unsigned left = argument[3] ? number_of("COUNT", argument[3], 4096) : 1;
    json_t *rows = json_array();

    while (left) {
        unsigned n = MIN(left, ENTRIES);
        GByteArray *in = payload();
        Answer a;

        put(in, number, 1);
        put(in, 0, 1);
        put(in, n, 2);
        put(in, at, 2);
        a = cci_call(options, component, opcode, in);
        skip(&a, 2);
        n = MIN(take(&a, 2), n);
        skip(&a, header - 4);
        if (n == 0) {
            fail(EXIT_NOT_DONE, "%s: no entry %u", a.what, at);
        }
        left -= n;
        for (; n; n--) {
            json_t *row = json_object();

            add(row, "entry", at++);
            add_entry(row, &a);
            json_array_append_new(rows, row);
        }
        answer_free(&a);
    }
    return rows;
}

static json_t *drt(const Options *options, char **argument)
{
    return table(options, argument, 0x5708, 8, add_drt);
}

static json_t *rgt(const Options *options, char **argument)
{
    return table(options, argument, 0x570a, 6, add_rgt);
}

static GByteArray *bytes_of(const char *name, const char *text)
{
    GByteArray *bytes = payload();

    for (; *text; text++) {
        if (*text == ' ') {
            continue;
        }
        if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1])) {
            fail(EXIT_USAGE, "%s: accepts bytes of two hexadecimal digits, "
                 "with spaces between them or not", name);
        }
        put(bytes, g_ascii_xdigit_value(text[0]) << 4 |
            g_ascii_xdigit_value(text[1]), 1);
        text++;
    }
    return bytes;
}

/* Dynamic capacity */

#define TAG         16              /* bytes */
#define SHAREABLE   (1u << 3)

enum { ADD_FREE, ADD_SHARED = 3 };
enum { RELEASE_BY_TAG, RELEASE_FORCED = 1 << 4 };

static json_t *regions(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]), n;
    GByteArray *in = payload();
    json_t *rows = json_array();
    Answer a;

    put(in, argument[1] ? number_of("HOST", argument[1], LDS - 1) : 0, 2);
    put(in, UINT8_MAX, 1);      /* all of them, */
    put(in, 0, 1);              /* from the first one on */
    a = cci_call(options, component, 0x5601, in);
    skip(&a, 3);
    n = take(&a, 1);
    for (unsigned i = 0; i < n; i++) {
        json_t *row = json_object();

        add(row, "region", i);
        add_hex(row, "dpa", take(&a, 8), 1);
        skip(&a, 8);
        add(row, "size", take(&a, 8));
        add(row, "block", take(&a, 8));
        json_object_set_new(row, "shareable",
                            json_boolean(take(&a, 4) & SHAREABLE));
        skip(&a, 4);
        json_array_append_new(rows, row);
    }
    answer_free(&a);
    return rows;
}

static void add_tag(json_t *row, Answer *a)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < TAG; i++) {
        g_string_append_printf(text, "%02x", (unsigned)take(a, 1));
    }
    add_text(row, "tag", text->str);
}

static json_t *extents(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]);
    unsigned host = number_of("HOST", argument[1], LDS - 1);
    json_t *rows = json_array();
    uint32_t at = 0, n, total;

    do {
        GByteArray *in = payload();
        Answer a;

        put(in, host, 2);
        put(in, 0, 2);
        put(in, UINT32_MAX, 4); /* all of them */
        put(in, at, 4);
        a = cci_call(options, component, 0x5603, in);
        skip(&a, 8);
        n = take(&a, 4);
        total = take(&a, 4);
        skip(&a, 8);
        at += n;
        for (; n; n--) {
            json_t *row = json_object();

            add_hex(row, "dpa", take(&a, 8), 1);
            add(row, "size", take(&a, 8));
            add_tag(row, &a);
            add(row, "sequence", take(&a, 2));
            skip(&a, 6);
            json_array_append_new(rows, row);
        }
        answer_free(&a);
    } while (at < total && json_array_size(rows) == at && at);
    return rows;
}

/* Hosts of a bitmap of 32 bytes. */
static void add_hosts(json_t *row, const char *name, Answer *a)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < 32; i++) {
        unsigned byte = take(a, 1);

        for (unsigned j = 0; j < 8; j++) {
            if (byte >> j & 1) {
                g_string_append_printf(text, "%s%u", text->len ? " " : "",
                                       8 * i + j);
            }
        }
    }
    add_text(row, name, text->len ? text->str : "-");
}

static json_t *tags(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]);
    json_t *rows = json_array();
    uint32_t at = 0, n, total;

    do {
        GByteArray *in = payload();
        Answer a;

        put(in, at, 4);
        put(in, UINT32_MAX, 4);
        a = cci_call(options, component, 0x5608, in);
        skip(&a, 4);
        total = take(&a, 4);
        n = take(&a, 4);
        skip(&a, 4);
        at += n;
        for (; n; n--) {
            json_t *row = json_object();

            add_tag(row, &a);
            json_object_set_new(row, "reference",
                                json_boolean(take(&a, 1) & 1));
            skip(&a, 3);
            add_hosts(row, "hosts", &a);
            add_hosts(row, "pending", &a);
            json_array_append_new(rows, row);
        }
        answer_free(&a);
    } while (at < total && json_array_size(rows) == at && at);
    return rows;
}

/* Initiate Add and Release, without a list. */
static void initiate(const Options *options, const char *component,
                     unsigned opcode, const char *host, unsigned how,
                     uint64_t size, const char *tag)
{
    unsigned to = component_of(options, component);
    GByteArray *in = payload();
    g_autoptr(GByteArray) bytes = bytes_of("TAG", tag);
    Answer a;

    if (bytes->len > TAG) {
        fail(EXIT_USAGE, "TAG %s: accepts at most %d bytes", tag, TAG);
    }
    put(in, number_of("HOST", host, LDS - 1), 2);
    put(in, how, 1);
    put(in, 0, 1);              /* region */
    put(in, size, 8);
    g_byte_array_append(in, bytes->data, bytes->len);
    for (unsigned i = bytes->len; i < TAG; i++) {
        put(in, 0, 1);
    }
    put(in, 0, 4);
    a = cci_call(options, to, opcode, in);
    answer_free(&a);
}

static json_t *add_capacity(const Options *options, char **argument)
{
    initiate(options, argument[0], 0x5604, argument[1], ADD_FREE,
             number_of("SIZE", argument[2], INT64_MAX),
             argument[3] ? argument[3] : "");
    return NULL;
}

static json_t *share(const Options *options, char **argument)
{
    initiate(options, argument[0], 0x5604, argument[1], ADD_SHARED, 0,
             argument[2]);
    return NULL;
}

static json_t *release(const Options *options, char **argument)
{
    if (argument[3] && strcmp(argument[3], "force")) {
        fail(EXIT_USAGE, "WAY %s: accepts force", argument[3]);
    }
    initiate(options, argument[0], 0x5605, argument[1],
             RELEASE_BY_TAG | (argument[3] ? RELEASE_FORCED : 0), 0,
             argument[2]);
    return NULL;
}

static json_t *raw(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]);
    unsigned opcode = number_of("OPCODE", argument[1], UINT16_MAX);
    g_autoptr(GByteArray) in = bytes_of("PAYLOAD",
                                          argument[2] ? argument[2] : "");
    Answer a = cci_send(options, component, opcode, in);
    g_autoptr(GString) text = g_string_new(NULL);
    json_t *row = json_object();

    for (size_t i = 0; i < a.length; i++) {
        g_string_append_printf(text, "%02x", a.bytes[i]);
    }
    add(row, "return-code", a.code);
    add_text(row, "meaning", cci_code_name(a.code));
    add_text(row, "payload", text->str);
    answer_free(&a);
    return row;
}

const Command commands[] = {
    { "list", "", 0, 0, list, "the components, by number and name" },
    { "identify", "COMPONENT", 1, 1, identify, "what it is" },
    { "ports", "COMPONENT", 1, 1, ports, "ports of a switch" },
    { "vcs", "COMPONENT", 1, 1, vcs, "VCSs of a switch, and their vPPBs" },
    { "bind", "COMPONENT VCS VPPB PORT [LD]", 4, 5, bind_vppb,
      "a vPPB to the device at a port" },
    { "unbind", "COMPONENT VCS VPPB [WAY]", 3, 4, unbind,
      "WAY: wait, managed or surprise" },
    { "bind-pid", "COMPONENT VCS VPPB PID", 4, 4, bind_pid,
      "a vPPB to the LD that has a PID" },
    { "unbind-pid", "COMPONENT VCS VPPB", 3, 3, unbind_pid,
      "such a vPPB, managed" },
    { "targets", "COMPONENT", 1, 1, targets,
      "what has PIDs at a switch: ports and LDs" },
    { "lds", "COMPONENT", 1, 1, lds, "LDs of a device" },
    { "qos", "COMPONENT", 1, 1, qos, "QoS control of a device" },
    { "status", "COMPONENT", 1, 1, status, "QoS status of a device" },
    { "set-qos", "COMPONENT CONTROL MODERATE SEVERE SAMPLE BASIS COLLECTION",
      7, 7, set_qos, "QoS control, as qos shows it" },
    { "allocate", "COMPONENT LD FRACTION", 3, 3, allocate,
      "bandwidth to an LD, in 1/256" },
    { "limit", "COMPONENT LD FRACTION", 3, 3, limit,
      "an LD's bandwidth, in 1/256" },
    { "pbr", "COMPONENT", 1, 1, pbr, "PIDs and tables of a PBR component" },
    { "drt", "COMPONENT TABLE FIRST [COUNT]", 3, 4, drt,
      "entries of a DRT, by PID" },
    { "rgt", "COMPONENT TABLE FIRST [COUNT]", 3, 4, rgt,
      "entries of an RGT" },
    { "regions", "COMPONENT [HOST]", 1, 2, regions,
      "regions of dynamic capacity" },
    { "extents", "COMPONENT HOST", 2, 2, extents,
      "what a host has of dynamic capacity" },
    { "tags", "COMPONENT", 1, 1, tags,
      "tags of dynamic capacity, and who has them" },
    { "add", "COMPONENT HOST SIZE [TAG]", 3, 4, add_capacity,
      "offer a host an extent of dynamic capacity" },
    { "share", "COMPONENT HOST TAG", 3, 3, share,
      "offer a host the extents of a tag" },
    { "release", "COMPONENT HOST TAG [WAY]", 3, 4, release,
      "ask a host for them back; WAY: force" },
    { "raw", "COMPONENT OPCODE [PAYLOAD]", 2, 3, raw,
      "any command; bytes in hexadecimal" },
    { NULL }
};
