/*
 * cxlfm: LDs of a device, and its QoS
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlfm.h"

#define UNIT        (256ull << 20)  /* of capacities, in bytes */

/* Fractions of bandwidth, of each LD: allocated, or the limit. */
static void get_bandwidth(const Options *options, unsigned component,
                          unsigned opcode, unsigned lds, uint8_t *value)
{
    GByteArray *in = payload();
    Answer a;

    put(in, lds, 1);
    put(in, 0, 1);
    a = cci_call(options, component, opcode, in);
    skip(&a, 2);
    for (unsigned i = 0; i < lds; i++) {
        value[i] = take(&a, 1);
    }
    answer_free(&a);
}

json_t *lds(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]), granularity, n;
    uint8_t allocated[UINT8_MAX], limit[UINT8_MAX];
    GByteArray *in = payload();
    json_t *rows = json_array();
    Answer a;

    put(in, 0, 1);              /* from the first one on, */
    put(in, UINT8_MAX, 1);      /* all of them */
    a = cci_call(options, component, 0x5401, in);
    skip(&a, 1);
    granularity = take(&a, 1) & 3;
    skip(&a, 1);
    n = take(&a, 1);
    get_bandwidth(options, component, 0x5406, n, allocated);
    get_bandwidth(options, component, 0x5408, n, limit);
    for (unsigned i = 0; i < n; i++) {
        json_t *row = json_object();
        uint64_t units = take(&a, 8);

        units += take(&a, 8);
        add(row, "ld", i);
        add(row, "memory", units * (UNIT << granularity));
        add(row, "bandwidth", allocated[i]);
        add(row, "limit", limit[i]);
        json_array_append_new(rows, row);
    }
    answer_free(&a);
    return rows;
}

json_t *qos(const Options *options, char **argument)
{
    Answer a = cci_call(options, component_of(options, argument[0]), 0x5403,
                        NULL);
    json_t *row = json_object();

    add_hex(row, "control", take(&a, 1), 2);
    add(row, "moderate-percentage", take(&a, 1));
    add(row, "severe-percentage", take(&a, 1));
    add(row, "sample-interval", take(&a, 1));
    add(row, "req-cmp-basis", take(&a, 2));
    add(row, "completion-collection-interval", take(&a, 1));
    answer_free(&a);
    return row;
}

json_t *status(const Options *options, char **argument)
{
    Answer a = cci_call(options, component_of(options, argument[0]), 0x5405,
                        NULL);
    json_t *row = json_object();

    add(row, "backpressure", take(&a, 1));
    answer_free(&a);
    return row;
}

json_t *set_qos(const Options *options, char **argument)
{
    unsigned component = component_of(options, argument[0]);
    GByteArray *in = payload();
    Answer a;

    put(in, number_of("CONTROL", argument[1], UINT8_MAX), 1);
    put(in, number_of("MODERATE", argument[2], 100), 1);
    put(in, number_of("SEVERE", argument[3], 100), 1);
    put(in, number_of("SAMPLE", argument[4], 15), 1);
    put(in, number_of("BASIS", argument[5], UINT16_MAX), 2);
    put(in, number_of("COLLECTION", argument[6], UINT8_MAX), 1);
    a = cci_call(options, component, 0x5404, in);
    answer_free(&a);
    return NULL;
}

/* COMPONENT LD FRACTION */
static json_t *set_bandwidth(const Options *options, char **argument,
                             unsigned opcode)
{
    unsigned component = component_of(options, argument[0]);
    GByteArray *in = payload();
    Answer a;

    put(in, 1, 1);              /* one LD */
    put(in, number_of("LD", argument[1], LDS - 1), 1);
    put(in, number_of("FRACTION", argument[2], UINT8_MAX), 1);
    a = cci_call(options, component, opcode, in);
    answer_free(&a);
    return NULL;
}

json_t *allocate(const Options *options, char **argument)
{
    return set_bandwidth(options, argument, 0x5407);
}

json_t *limit(const Options *options, char **argument)
{
    return set_bandwidth(options, argument, 0x5409);
}
