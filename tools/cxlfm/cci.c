/*
 * cxlfm: commands to components, and their payloads
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cxlfm.h"

#define BACKGROUND  0x01
#define STATUS      0x0002      /* Background Operation Status */
#define TUNNEL      0x5300      /* Tunnel Management Command */
#define MESSAGE     12          /* bytes of a CCI message before its payload */

const char *cci_code_name(unsigned code)
{
    static const char *const names[] = {
        "Success", "Background Command Started", "Invalid Input",
        "Unsupported", "Internal Error", "Retry Required", "Busy",
        "Media Disabled", "FW Transfer in Progress",
        "FW Transfer Out of Order", "FW Verification Failed",
        "Invalid Slot", "Activation Failed, FW Rolled Back",
        "Activation Failed, Cold Reset Required", "Invalid Handle",
        "Invalid Physical Address", "Inject Poison Limit Reached",
        "Permanent Media Failure", "Aborted", "Invalid Security State",
        "Incorrect Passphrase", "Unsupported Mailbox or CCI",
        "Invalid Payload Length", "Invalid Log", "Interrupted",
        "Unsupported Feature Version", "Unsupported Feature Selection Value",
        "Feature Transfer in Progress", "Feature Transfer Out of Order",
        "Resources Exhausted", "Invalid Extent List",
    };

    return code < G_N_ELEMENTS(names) ? names[code] : "unknown return code";
}

static const char *name_of(unsigned opcode)
{
    static const struct {
        unsigned opcode;
        const char *name;
    } names[] = {
        { 0x0001, "Identify" },
        { STATUS, "Background Operation Status" },
        { 0x0700, "Identify PBR Component" },
        { 0x5100, "Identify Switch Device" },
        { 0x5101, "Get Physical Port State" },
        { 0x5200, "Get VCS Info" },
        { 0x5201, "Bind vPPB" },
        { 0x5202, "Unbind vPPB" },
        { 0x5400, "Get LD Info" },
        { 0x5401, "Get LD Allocations" },
        { 0x5403, "Get QoS Control" },
        { 0x5404, "Set QoS Control" },
        { 0x5405, "Get QoS Status" },
        { 0x5406, "Get QoS Allocated BW" },
        { 0x5407, "Set QoS Allocated BW" },
        { 0x5408, "Get QoS BW Limit" },
        { 0x5409, "Set QoS BW Limit" },
        { 0x5601, "Get Host DC Region Configuration" },
        { 0x5603, "Get DC Region Extent Lists" },
        { 0x5604, "Initiate Dynamic Capacity Add" },
        { 0x5605, "Initiate Dynamic Capacity Release" },
        { 0x5608, "Dynamic Capacity List Tags" },
        { 0x5700, "Identify PBR Switch" },
        { 0x5703, "Get PID Target List" },
        { 0x5705, "Get PID Binding" },
        { 0x5706, "Configure PID Binding" },
        { 0x5708, "Get DRT" },
        { 0x570a, "Get RGT" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].opcode == opcode) {
            return names[i].name;
        }
    }
    return "command";
}

/* A command in a message to the device at a port of the mailbox's switch. */
static void send_tunnelled(unsigned port, unsigned opcode,
                           const GByteArray *in, Answer *a)
{
    g_autoptr(GByteArray) outer = payload();
    unsigned length;

    put(outer, port, 1);
    put(outer, 0, 1);
    put(outer, MESSAGE + in->len, 2);
    put(outer, 0, 3);               /* a request; its tag */
    put(outer, opcode, 2);
    put(outer, in->len, 3);
    put(outer, 0, 4);
    g_byte_array_append(outer, in->data, in->len);
    mailbox_send(TUNNEL, outer, a);
    if (a->code) {
        return;                     /* it was not delivered */
    }
    skip(a, 4 + 3 + 2);
    length = take(a, 3);
    a->code = take(a, 2);
    skip(a, 2);
    if ((length & 0xfffff) != a->length - a->at) {
        fail(EXIT_NOT_DONE, "%s: the message has %zu bytes, and says %u",
             a->what, a->length - a->at, length & 0xfffff);
    }
    a->background = a->code == BACKGROUND;
}

Answer cci_send(const Options *options, unsigned component, unsigned opcode,
                const GByteArray *in)
{
    g_autofree char *text = g_base64_encode(in->data, in->len);
    Answer a = { .what = name_of(opcode) };
    json_t *arguments, *result;
    const char *payload_text;
    int code, background;

    if (component >= AT_PORT) {
        send_tunnelled(component - AT_PORT, opcode, in, &a);
        return a;
    }
    if (options->mailbox) {
        mailbox_send(opcode, in, &a);
        return a;
    }
    arguments = json_pack("{s:i, s:i, s:s}", "component", (int)component,
                          "opcode", (int)opcode, "payload", text);
    if (options->id) {
        json_object_set_new(arguments, "id", json_string(options->id));
    }
    if (options->from >= 0) {
        json_object_set_new(arguments, "from-pid",
                            json_integer(options->from));
    }
    result = qmp_call("x-cxl-fabric-cci", arguments);
    if (json_unpack(result, "{s:i, s:b, s:s}", "return-code", &code,
                    "background", &background, "payload", &payload_text)) {
        fail(EXIT_NOT_DONE, "%s: the answer lacks a member", a.what);
    }
    a.code = code;
    a.background = background;
    a.bytes = g_base64_decode(payload_text, &a.length);
    json_decref(result);
    return a;
}

static void refused(const Answer *a, unsigned code)
{
    fail(EXIT_NOT_DONE, "%s: %s (%02Xh)", a->what, cci_code_name(code), code);
}

Answer cci_call(const Options *options, unsigned component, unsigned opcode,
                GByteArray *in)
{
    g_autoptr(GByteArray) bytes = in ? in : payload();
    Answer a = cci_send(options, component, opcode, bytes);

    if (a.code && a.code != BACKGROUND) {
        refused(&a, a.code);
    }
    return a;
}

void cci_wait(const Options *options, unsigned component, unsigned opcode,
              GByteArray *in)
{
    gint64 begin = g_get_monotonic_time();
    Answer a = cci_call(options, component, opcode, in);
    bool running = a.background, shown = false;
    unsigned state, of, result = 0;

    while (running) {
        Answer status = cci_call(options, component, STATUS, NULL);

        state = take(&status, 1);
        skip(&status, 1);
        of = take(&status, 2);
        result = take(&status, 2);
        answer_free(&status);
        if (of != opcode) {
            fail(EXIT_NOT_DONE, "%s: another command has begun since, and "
                 "how it ended is not known", a.what);
        }
        running = state & 1;
        if (running && is_late()) {
            fail(EXIT_LATE, "--timeout %d: %s goes on, %u%% done",
                 options->timeout, a.what, state >> 1);
        }
        if (running && g_get_monotonic_time() - begin > 2 * G_USEC_PER_SEC) {
            fprintf(stderr, "\r%s: %u%% ", a.what, state >> 1);
            shown = true;
        }
        if (running) {
            g_usleep(50000);
        }
    }
    if (shown) {
        fprintf(stderr, "\n");
    }
    if (result) {
        refused(&a, result);
    }
    answer_free(&a);
}

void answer_free(Answer *a)
{
    g_clear_pointer(&a->bytes, g_free);
}

void skip(Answer *a, size_t bytes)
{
    if (bytes > a->length - a->at) {
        fail(EXIT_NOT_DONE, "%s: the answer has %zu bytes, and needs more",
             a->what, a->length);
    }
    a->at += bytes;
}

uint64_t take(Answer *a, unsigned bytes)
{
    uint64_t value = 0;

    skip(a, bytes);
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)a->bytes[a->at - bytes + i] << 8 * i;
    }
    return value;
}

GByteArray *payload(void)
{
    return g_byte_array_new();
}

void put(GByteArray *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        guint8 byte = value >> 8 * i;

        g_byte_array_append(bytes, &byte, 1);
    }
}
