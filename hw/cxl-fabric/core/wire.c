/*
 * Checks of the join protocol's messages
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "cxlf/graph.h"
#include "cxlf/reserve.h"
#include "cxlf/wire.h"

bool cxlf_wire_check_header(const struct cxlf_wire_header *h,
                            const char **why)
{
    static const struct {
        uint32_t min, max;
    } length[] = {
        [CXLF_WIRE_JOIN] = { sizeof(struct cxlf_wire_join),
            sizeof(struct cxlf_wire_join) + CXLF_WIRE_BLOB_MAX },
        [CXLF_WIRE_WELCOME] = { sizeof(struct cxlf_wire_welcome),
            sizeof(struct cxlf_wire_welcome) + CXLF_WIRE_BLOB_MAX },
        [CXLF_WIRE_SEGMENT] = { sizeof(struct cxlf_wire_segment),
            sizeof(struct cxlf_wire_segment) },
        [CXLF_WIRE_DOORBELLS] = { sizeof(struct cxlf_wire_doorbells),
            sizeof(struct cxlf_wire_doorbells) },
        [CXLF_WIRE_READY] = { 0, 0 },
        [CXLF_WIRE_REFUSE] = { sizeof(struct cxlf_wire_refuse),
            sizeof(struct cxlf_wire_refuse) },
        [CXLF_WIRE_LEAVE] = { 0, 0 },
        [CXLF_WIRE_RESERVE] = { sizeof(struct cxlf_wire_reserve),
            sizeof(struct cxlf_wire_reserve) },
        [CXLF_WIRE_RESERVED] = { sizeof(struct cxlf_wire_reserved),
            sizeof(struct cxlf_wire_reserved) },
        [CXLF_WIRE_REQUEST] = { sizeof(struct cxlf_wire_request),
            sizeof(struct cxlf_wire_request) },
        [CXLF_WIRE_ANSWER] = { sizeof(struct cxlf_wire_answer),
            sizeof(struct cxlf_wire_answer) },
        [CXLF_WIRE_CCI] = { sizeof(struct cxlf_wire_cci),
            sizeof(struct cxlf_wire_cci) + CXLF_WIRE_CCI_MAX },
        [CXLF_WIRE_CCI_ANSWER] = { sizeof(struct cxlf_wire_cci),
            sizeof(struct cxlf_wire_cci) + CXLF_WIRE_CCI_MAX },
        [CXLF_WIRE_PLUG] = { sizeof(struct cxlf_wire_plug),
            sizeof(struct cxlf_wire_plug) },
        [CXLF_WIRE_PLUGGED] = { sizeof(struct cxlf_wire_plugged),
            sizeof(struct cxlf_wire_plugged) },
        [CXLF_WIRE_UNPLUG] = { sizeof(struct cxlf_wire_unplug),
            sizeof(struct cxlf_wire_unplug) },
        [CXLF_WIRE_UNPLUGGED] = { sizeof(struct cxlf_wire_plugged),
            sizeof(struct cxlf_wire_plugged) },
        [CXLF_WIRE_EXTENT] = { sizeof(struct cxlf_wire_extent),
            sizeof(struct cxlf_wire_extent) },
        [CXLF_WIRE_EXTENT_ANSWER] = { sizeof(struct cxlf_wire_extent_answer),
            sizeof(struct cxlf_wire_extent_answer) },
        [CXLF_WIRE_AER] = { sizeof(struct cxlf_wire_aer),
            sizeof(struct cxlf_wire_aer) },
    };

    *why = NULL;
    if (h->magic != CXLF_WIRE_MAGIC) {
        *why = "not a message of a CXL fabric (wrong magic number)";
    } else if (h->version != CXLF_WIRE_VERSION) {
        *why = "the other end speaks another version of the join protocol";
    } else if (h->type < CXLF_WIRE_JOIN || h->type >= CXLF_WIRE_TYPES) {
        *why = "unknown type of message";
    } else if (h->length < length[h->type].min ||
               h->length > length[h->type].max) {
        *why = "the message's length does not fit its type";
    } else if (h->zero != 0) {
        *why = "a reserved field of the message is not zero";
    }
    return *why == NULL;
}

bool cxlf_wire_read_join(const void *payload, size_t length,
                         struct cxlf_wire_join *out, const void **blob,
                         const char **why)
{
    if (length < sizeof(*out)) {
        *why = "JOIN is too short";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    *blob = (const char *)payload + sizeof(*out);
    if (out->abi_version != CXLF_ABI_VERSION) {
        *why = "JOIN: the peer was built with another ABI version";
    } else if (out->leaf_header != sizeof(struct cxlf_leaf) ||
               out->fabric_header != sizeof(struct cxlf_fabric) ||
               out->entry_size != sizeof(struct cxlf_entry)) {
        *why = "JOIN: the peer's structures have other sizes";
    } else if (out->host < -1 || out->host >= CXLF_MAX_HOSTS) {
        *why = "JOIN: 'host' must be -1 to 4094";
    } else if (out->blob > CXLF_WIRE_BLOB_MAX ||
               out->blob != length - sizeof(*out)) {
        *why = "JOIN: the topology's size does not fit the message";
    } else {
        return true;
    }
    return false;
}

bool cxlf_wire_read_welcome(const void *payload, size_t length,
                            struct cxlf_wire_welcome *out, const void **blob,
                            const char **why)
{
    if (length < sizeof(*out)) {
        *why = "WELCOME is too short";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    *blob = (const char *)payload + sizeof(*out);
    if (out->host >= CXLF_MAX_HOSTS) {
        *why = "WELCOME: host number out of range";
    } else if (out->segments < 4 ||
               out->segments > 2 + CXLF_MAX_LEAVES + CXLF_MAX_GFAMS) {
        *why = "WELCOME: impossible number of segments";
    } else if (out->doorbells == 0 || out->doorbells > CXLF_MAX_HOSTS) {
        *why = "WELCOME: impossible number of doorbells";
    } else if (out->plugs > CXLF_MAX_GFAMS * CXLF_MAX_LDS || out->zero) {
        *why = "WELCOME: impossible number of logical devices";
    } else if (out->blob == 0 || out->blob > CXLF_WIRE_BLOB_MAX ||
               out->blob != length - sizeof(*out)) {
        *why = "WELCOME: the topology's size does not fit the message";
    } else {
        return true;
    }
    return false;
}

bool cxlf_wire_read_segment(const void *payload, size_t length,
                            struct cxlf_wire_segment *out, const char **why)
{
    static const uint32_t limit[CXLF_KINDS] = {
        [CXLF_KIND_FABRIC] = 1,
        [CXLF_KIND_LEAF] = CXLF_MAX_LEAVES,
        [CXLF_KIND_GFAM] = CXLF_MAX_GFAMS,
        [CXLF_KIND_LOG] = 1,
        [CXLF_KIND_ROUTES] = 1,
        [CXLF_KIND_COUNTS] = 1,
    };

    if (length != sizeof(*out)) {
        *why = "SEGMENT has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->kind >= CXLF_KINDS || out->index >= limit[out->kind]) {
        *why = "SEGMENT names no segment of a fabric";
        return false;
    }
    if (out->size == 0 || out->size > CXLF_MAX_HOT + CXLF_MAX_BULK) {
        *why = "SEGMENT has an impossible size";
        return false;
    }
    return true;
}

bool cxlf_wire_read_doorbells(const void *payload, size_t length,
                              struct cxlf_wire_doorbells *out,
                              const char **why)
{
    if (length != sizeof(*out)) {
        *why = "DOORBELLS has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->count == 0 || out->count > CXLF_WIRE_FDS_MAX ||
        out->first >= CXLF_MAX_HOSTS ||
        out->count > CXLF_MAX_HOSTS - out->first) {
        *why = "DOORBELLS names no host numbers of a fabric";
        return false;
    }
    return true;
}

bool cxlf_wire_read_refuse(const void *payload, size_t length,
                           struct cxlf_wire_refuse *out, const char **why)
{
    if (length != sizeof(*out)) {
        *why = "REFUSE has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    out->text[CXLF_WIRE_TEXT_MAX] = '\0';
    for (char *at = out->text; *at; at++) {
        if (*at < ' ' || *at > '~') {
            *at = '?';
        }
    }
    return true;
}

bool cxlf_wire_read_reserve(const void *payload, size_t length,
                            struct cxlf_wire_reserve *out, const char **why)
{
    if (length != sizeof(*out)) {
        *why = "RESERVE has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    /* Which ranges a fabric has is for the table to say. */
    if (out->what >= CXLF_WIRE_RESERVE_WHATS) {
        *why = "RESERVE asks for what is not known";
        return false;
    }
    return true;
}

bool cxlf_wire_read_reserved(const void *payload, size_t length,
                             struct cxlf_wire_reserved *out,
                             const char **why)
{
    if (length != sizeof(*out)) {
        *why = "RESERVED has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->result >= CXLF_RESERVE_RESULTS || out->zero) {
        *why = "RESERVED has no known result";
        return false;
    }
    return true;
}

static bool is_pages(const struct cxlf_wire_request *w)
{
    return w->length && w->dpa % CXLF_PAGE == 0 &&
           w->length % CXLF_PAGE == 0;
}

bool cxlf_ask_is_known(const struct cxlf_wire_request *w)
{
    uint32_t first = w->argument[0];

    if (w->argument[2] || w->argument[3] ||
        (w->argument[1] && w->kind != CXLF_ASK_BINDING)) {
        return false;
    }
    switch (w->kind) {
    case CXLF_ASK_CAPACITY:
        return !w->dpa && is_pages(w) &&
               first >= CXLF_ASK_HOT && first <= CXLF_ASK_BULK;
    case CXLF_ASK_CLASS:
        return is_pages(w) &&
               first >= CXLF_ASK_HOT && first <= CXLF_ASK_SOFTWARE;
    case CXLF_ASK_BINDING:
        return !w->dpa && !w->length &&
               first >= CXLF_ASK_BIND && first <= CXLF_ASK_UNBIND &&
               w->argument[1] <= CXLF_ASK_LD_MAX;
    default:
        return false;
    }
}

/* The fields that say nothing in a message that asks no manager. */
static bool is_bare(const struct cxlf_wire_request *w)
{
    return !w->kind && !w->dpa && !w->length && !w->argument[1] &&
           !w->argument[2] && !w->argument[3];
}

bool cxlf_wire_read_request(const void *payload, size_t length,
                            struct cxlf_wire_request *out, const char **why)
{
    bool known;

    if (length != sizeof(*out)) {
        *why = "REQUEST has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    /* Which devices and ranges a fabric has is for the owner to say. */
    switch (out->what) {
    case CXLF_WIRE_REQUEST_MODE:
        known = is_bare(out) && out->argument[0] <= 1 && out->token;
        break;
    case CXLF_WIRE_REQUEST_ASK:
        known = cxlf_ask_is_known(out) && out->token;
        break;
    case CXLF_WIRE_REQUEST_WITHDRAW:
        known = is_bare(out) && !out->argument[0] && !out->gfam;
        break;
    default:
        known = false;
        break;
    }
    if (!known || out->zero) {
        *why = "REQUEST asks for what is not known";
        return false;
    }
    return true;
}

bool cxlf_wire_read_answer(const void *payload, size_t length,
                           struct cxlf_wire_answer *out, const char **why)
{
    if (length != sizeof(*out)) {
        *why = "ANSWER has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->result >= CXLF_ANSWERS || !out->token) {
        *why = "ANSWER has no known result";
        return false;
    }
    return true;
}

bool cxlf_wire_read_cci(const void *payload, size_t length,
                        struct cxlf_wire_cci *out, const void **bytes,
                        const char **why)
{
    if (length < sizeof(*out)) {
        *why = "CCI is too short";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    *bytes = (const char *)payload + sizeof(*out);
    if (!out->token) {
        *why = "CCI has no token";
    } else if (out->length != length - sizeof(*out)) {
        *why = "CCI: the payload's size does not fit the message";
    } else {
        return true;
    }
    return false;
}

/* Whether there can be such an LD; which there are is for the fabric to say. */
static bool is_ld(uint32_t gfam, uint32_t ld)
{
    return gfam < CXLF_MAX_GFAMS && ld < CXLF_MAX_LDS;
}

bool cxlf_wire_read_plug(const void *payload, size_t length,
                         struct cxlf_wire_plug *out, const char **why)
{
    const uint64_t most = CXLF_MAX_HOT + CXLF_MAX_BULK;

    if (length != sizeof(*out)) {
        *why = "PLUG has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (!is_ld(out->gfam, out->ld) || out->start % CXLF_CAPACITY_UNIT ||
        out->size % CXLF_CAPACITY_UNIT || out->size == 0 || out->size > most ||
        out->start > most - out->size || out->vppb == 0 ||
        out->vppb >= CXLF_WIRE_VPPBS || out->zero || !out->token) {
        *why = "PLUG names no logical device, memory or vPPB of a fabric";
        return false;
    }
    return true;
}

bool cxlf_wire_read_unplug(const void *payload, size_t length,
                           struct cxlf_wire_unplug *out, const char **why)
{
    if (length != sizeof(*out)) {
        *why = "UNPLUG has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (!is_ld(out->gfam, out->ld) || out->how >= CXLF_UNPLUGS ||
        out->zero || !out->token) {
        *why = "UNPLUG names no logical device, or asks for what is not known";
        return false;
    }
    return true;
}

bool cxlf_wire_read_plugged(const void *payload, size_t length,
                            struct cxlf_wire_plugged *out, const char **why)
{
    if (length != sizeof(*out)) {
        *why = "PLUGGED or UNPLUGGED has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->result >= CXLF_PLUG_RESULTS || out->zero || !out->token) {
        *why = "PLUGGED or UNPLUGGED has no known result";
        return false;
    }
    return true;
}

bool cxlf_wire_read_extent(const void *payload, size_t length,
                           struct cxlf_wire_extent *out, const char **why)
{
    const uint64_t most = CXLF_MAX_HOT + CXLF_MAX_BULK;

    if (length != sizeof(*out)) {
        *why = "EXTENT has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->gfam >= CXLF_MAX_GFAMS || out->what >= CXLF_EXTENT_WHATS ||
        out->start % CXLF_EXTENT_BLOCK || out->length % CXLF_EXTENT_BLOCK ||
        out->length == 0 || out->length > most ||
        out->start > most - out->length || out->sequence > UINT16_MAX ||
        out->more > 1 || !out->token) {
        *why = "EXTENT names no memory of a fabric, or asks for what is not "
               "known";
        return false;
    }
    return true;
}

bool cxlf_wire_read_extent_answer(const void *payload, size_t length,
                                  struct cxlf_wire_extent_answer *out,
                                  const char **why)
{
    if (length != sizeof(*out)) {
        *why = "EXTENT_ANSWER has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->what >= CXLF_EXTENT_ANSWERS || out->zero || !out->token) {
        *why = "EXTENT_ANSWER has no known answer";
        return false;
    }
    return true;
}

bool cxlf_aer_is_error(uint32_t error)
{
    uint32_t bit = error & ~CXLF_AER_CORRECTABLE;
    uint32_t defined = error & CXLF_AER_CORRECTABLE ?
                       CXLF_AER_CORRECTABLE_BITS :
                       CXLF_AER_UNCORRECTABLE_BITS;

    return bit && !(bit & (bit - 1)) && bit & defined;
}

bool cxlf_wire_read_aer(const void *payload, size_t length,
                        struct cxlf_wire_aer *out, const char **why)
{
    if (length != sizeof(*out)) {
        *why = "AER has a wrong length";
        return false;
    }
    memcpy(out, payload, sizeof(*out));
    if (out->vppb >= CXLF_WIRE_VPPBS || !cxlf_aer_is_error(out->error)) {
        *why = "AER names no vPPB, or not one error";
        return false;
    }
    return true;
}
