/*
 * Helpers of the CXL fabric's qtests: commands of a Fabric Manager
 *
 * Payloads are written as bytes in hexadecimal, from the tables of
 * docs/fabric-manager.md.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CXLF_FM_H
#define TESTS_CXLF_FM_H

#include "qemu/cutils.h"
#include "qobject/qlist.h"
#include "cxlf-qtest.h"

enum {
    SUCCESS = 0, BACKGROUND = 1, INVALID_INPUT = 2, UNSUPPORTED = 3,
    INTERNAL_ERROR = 4, INVALID_LENGTH = 0x16,
};

#define CHANGED     "X_CXL_FABRIC_FM"

/* "01 0000*3 ff": bytes, each group as often as it says. */
static inline GByteArray *bytes_of(const char *text)
{
    g_auto(GStrv) groups = g_strsplit(text, " ", -1);
    GByteArray *bytes = g_byte_array_new();

    for (char **group = groups; *group; group++) {
        char *many = strchr(*group, '*');
        int times = many ? atoi(many + 1) : 1;
        size_t length = strcspn(*group, "*");

        while (times--) {
            for (size_t i = 0; i < length; i += 2) {
                uint8_t byte = g_ascii_xdigit_value((*group)[i]) << 4 |
                               g_ascii_xdigit_value((*group)[i + 1]);

                g_byte_array_append(bytes, &byte, 1);
            }
        }
    }
    return bytes;
}

static inline QDict *tunnel(QTestState *qts, unsigned component,
                            unsigned opcode, int from, const GByteArray *in)
{
    g_autofree char *payload = g_base64_encode(in->data, in->len);
    g_autofree char *sender = from < 0 ? g_strdup("") :
        g_strdup_printf(", 'from-pid': %d", from);
    g_autofree char *command = g_strdup_printf(
        "{'execute': 'x-cxl-fabric-cci', 'arguments': {'component': %u, "
        "'opcode': %u, 'payload': '%s'%s}}", component, opcode, payload,
        sender);
    QDict *response, *answer;

    qtest_qmp_send_raw(qts, "%s", command);
    response = qtest_qmp_receive(qts);
    answer = qdict_get_qdict(response, "return");
    g_assert_nonnull(answer);
    qobject_ref(answer);
    qobject_unref(response);
    return answer;
}

/* The command must return @code, and @out unless that is NULL. */
static inline void expect_from(QTestState *qts, unsigned component,
                               unsigned opcode, int from, const char *in,
                               int code, const char *out)
{
    g_autoptr(GByteArray) sent = bytes_of(in);
    g_autoptr(GByteArray) wanted = bytes_of(out ?: "");
    QDict *answer = tunnel(qts, component, opcode, from, sent);
    g_autofree guchar *got = NULL;
    gsize length;

    g_assert_cmphex(qdict_get_int(answer, "return-code"), ==, code);
    g_assert_cmpint(qdict_get_bool(answer, "background"), ==,
                    code == BACKGROUND);
    got = g_base64_decode(qdict_get_str(answer, "payload"), &length);
    if (out) {
        g_assert_cmpmem(got, length, wanted->data, wanted->len);
    }
    qobject_unref(answer);
}

static inline void expect(QTestState *qts, unsigned component,
                          unsigned opcode, const char *in, int code,
                          const char *out)
{
    expect_from(qts, component, opcode, -1, in, code, out);
}

/* What cannot be sent. */
static inline void refused(QTestState *qts, const char *command,
                    const char *arguments, const char *text)
{
    g_autofree char *json = g_strdup_printf(
        "{'execute': '%s', 'arguments': {%s}}", command, arguments);
    QDict *response;
    const char *desc;

    qtest_qmp_send_raw(qts, "%s", json);
    response = qtest_qmp_receive(qts);
    if (!qdict_haskey(response, "error")) {
        g_error("%s with %s succeeded", command, arguments);
    }
    desc = qdict_get_str(qdict_get_qdict(response, "error"), "desc");
    if (!strstr(desc, text)) {
        g_error("%s: the error says '%s', not '%s'", arguments, desc, text);
    }
    qobject_unref(response);
}

static inline QDict *nth(QDict *from, const char *list, unsigned n)
{
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(from, list), e) {
        if (n-- == 0) {
            return qobject_to(QDict, qlist_entry_obj(e));
        }
    }
    g_error("%s has no entry %u", list, n);
}

/* Of the only fabric; unref it. */
static inline QDict *query(QTestState *qts)
{
    QDict *response = qtest_qmp(qts, "{'execute': 'x-query-cxl-fabric-fm'}");
    QDict *fm = nth(response, "return", 0);

    qobject_ref(fm);
    qobject_unref(response);
    return fm;
}

static inline QDict *wait_changed(QTestState *qts, unsigned component,
                                  const char *what)
{
    QDict *data = cxlf_wait_event(qts, CHANGED);

    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "fabric0");
    g_assert_cmpint(qdict_get_int(data, "component"), ==, component);
    g_assert_cmpstr(qdict_get_str(data, "what"), ==, what);
    return data;
}

/* The last background command was @opcode; wait until it ends in @result. */
static inline void wait_background(QTestState *qts, unsigned component,
                                   unsigned opcode, int result)
{
    g_autofree char *wanted = g_strdup_printf("c8 00 %02x%02x %02x00 0000",
                                              opcode & 0xff, opcode >> 8,
                                              result);
    g_autoptr(GByteArray) nothing = g_byte_array_new();
    gint64 deadline = cxlf_deadline();
    bool running = true;

    while (running) {
        QDict *answer = tunnel(qts, component, 0x0002, -1, nothing);
        g_autofree guchar *status = NULL;
        gsize length;

        g_assert_cmpint(qdict_get_int(answer, "return-code"), ==, SUCCESS);
        status = g_base64_decode(qdict_get_str(answer, "payload"), &length);
        g_assert_cmpuint(length, ==, 8);
        running = status[0] & 1;
        qobject_unref(answer);
        if (running) {
            cxlf_pause(deadline, "the end of a background command");
        }
    }
    expect(qts, component, 0x0002, "", SUCCESS, wanted);
}

#endif /* TESTS_CXLF_FM_H */
