/*
 * Fuzz: a message of the join protocol, header and payload
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cxlf/reserve.h"
#include "cxlf/topology-fdt.h"
#include "cxlf/wire.h"
#include "fuzz.h"

static void read_blob(const void *blob, uint32_t size)
{
    struct cxlf_topology t;
    const char *why = NULL;

    if (!cxlf_topology_read(blob, size, &t, &why)) {
        MUST(why);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cxlf_wire_header h;
    struct cxlf_wire_join join;
    struct cxlf_wire_welcome welcome;
    struct cxlf_wire_segment segment;
    struct cxlf_wire_doorbells doorbells;
    struct cxlf_wire_refuse refuse;
    struct cxlf_wire_reserve reserve;
    struct cxlf_wire_reserved reserved;
    struct cxlf_wire_request request;
    struct cxlf_wire_answer answer;
    struct cxlf_wire_cci cci;
    struct cxlf_wire_plug plug;
    struct cxlf_wire_unplug unplug;
    struct cxlf_wire_plugged plugged;
    struct cxlf_wire_extent extent;
    struct cxlf_wire_extent_answer extent_answer;
    struct cxlf_wire_aer aer;
    const void *blob, *payload;
    const char *why = NULL;
    uint8_t *exact;
    size_t length;

    if (size < sizeof(h)) {
        return 0;
    }
    memcpy(&h, data, sizeof(h));
    /* Magic and version are not what is looked for here. */
    h.magic = CXLF_WIRE_MAGIC;
    h.version = CXLF_WIRE_VERSION;
    h.zero = 0;
    length = size - sizeof(h);
    h.length = length;
    if (!cxlf_wire_check_header(&h, &why)) {
        MUST(why);
        return 0;
    }
    MUST(length <= CXLF_WIRE_PAYLOAD_MAX);
    /* A copy of the exact size, so that reading past its end is seen. */
    exact = malloc(length ? length : 1);
    memcpy(exact, data + sizeof(h), length);
    payload = exact;
    switch (h.type) {
    case CXLF_WIRE_JOIN:
        if (cxlf_wire_read_join(payload, length, &join, &blob, &why)) {
            read_blob(blob, join.blob);
        }
        break;
    case CXLF_WIRE_WELCOME:
        if (cxlf_wire_read_welcome(payload, length, &welcome, &blob, &why)) {
            MUST(welcome.host < CXLF_MAX_HOSTS);
            MUST(welcome.doorbells <= CXLF_MAX_HOSTS);
            read_blob(blob, welcome.blob);
        }
        break;
    case CXLF_WIRE_SEGMENT:
        cxlf_wire_read_segment(payload, length, &segment, &why);
        break;
    case CXLF_WIRE_DOORBELLS:
        if (cxlf_wire_read_doorbells(payload, length, &doorbells, &why)) {
            MUST(doorbells.count <= CXLF_WIRE_FDS_MAX);
            MUST(doorbells.first + doorbells.count <= CXLF_MAX_HOSTS);
        }
        break;
    case CXLF_WIRE_REFUSE:
        if (cxlf_wire_read_refuse(payload, length, &refuse, &why)) {
            MUST(memchr(refuse.text, 0, sizeof(refuse.text)));
        }
        break;
    case CXLF_WIRE_RESERVE:
        if (cxlf_wire_read_reserve(payload, length, &reserve, &why)) {
            MUST(reserve.what < CXLF_WIRE_RESERVE_WHATS);
        }
        break;
    case CXLF_WIRE_RESERVED:
        if (cxlf_wire_read_reserved(payload, length, &reserved, &why)) {
            MUST(reserved.result < CXLF_RESERVE_RESULTS);
        }
        break;
    case CXLF_WIRE_REQUEST:
        if (cxlf_wire_read_request(payload, length, &request, &why)) {
            MUST(request.what < CXLF_WIRE_REQUEST_WHATS);
            MUST(request.what != CXLF_WIRE_REQUEST_ASK ||
                 cxlf_ask_is_known(&request));
        }
        break;
    case CXLF_WIRE_ANSWER:
        if (cxlf_wire_read_answer(payload, length, &answer, &why)) {
            MUST(answer.result < CXLF_ANSWERS);
        }
        break;
    case CXLF_WIRE_CCI:
    case CXLF_WIRE_CCI_ANSWER:
        if (cxlf_wire_read_cci(payload, length, &cci, &blob, &why)) {
            MUST(cci.length <= CXLF_WIRE_CCI_MAX);
            MUST(blob == exact + sizeof(cci));
        }
        break;
    case CXLF_WIRE_PLUG:
        if (cxlf_wire_read_plug(payload, length, &plug, &why)) {
            MUST(plug.gfam < CXLF_MAX_GFAMS && plug.ld < CXLF_MAX_LDS);
            MUST(plug.size && plug.start <= CXLF_MAX_HOT + CXLF_MAX_BULK -
                                            plug.size);
        }
        break;
    case CXLF_WIRE_UNPLUG:
        if (cxlf_wire_read_unplug(payload, length, &unplug, &why)) {
            MUST(unplug.gfam < CXLF_MAX_GFAMS && unplug.ld < CXLF_MAX_LDS);
        }
        break;
    case CXLF_WIRE_PLUGGED:
    case CXLF_WIRE_UNPLUGGED:
        if (cxlf_wire_read_plugged(payload, length, &plugged, &why)) {
            MUST(plugged.result < CXLF_PLUG_RESULTS);
        }
        break;
    case CXLF_WIRE_EXTENT:
        if (cxlf_wire_read_extent(payload, length, &extent, &why)) {
            MUST(extent.gfam < CXLF_MAX_GFAMS &&
                 extent.what < CXLF_EXTENT_WHATS);
            MUST(extent.length &&
                 extent.start <= CXLF_MAX_HOT + CXLF_MAX_BULK -
                                 extent.length);
        }
        break;
    case CXLF_WIRE_EXTENT_ANSWER:
        if (cxlf_wire_read_extent_answer(payload, length, &extent_answer,
                                         &why)) {
            MUST(extent_answer.what < CXLF_EXTENT_ANSWERS);
        }
        break;
    case CXLF_WIRE_AER:
        if (cxlf_wire_read_aer(payload, length, &aer, &why)) {
            MUST(aer.vppb < CXLF_WIRE_VPPBS);
            MUST(aer.error & ~CXLF_AER_CORRECTABLE);
        }
        break;
    default:
        break;
    }
    free(exact);
    return 0;
}
