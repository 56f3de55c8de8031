/*
 * Join protocol: messages between a fabric's owner and who joins it
 *
 * Each message is a header and a payload over a UNIX stream socket; both ends
 * are on one machine, so numbers are in its byte order.  A member sends
 * JOIN; the owner answers REFUSE, or WELCOME and then one SEGMENT for each
 * segment, each with one descriptor (SCM_RIGHTS), and DOORBELLS until there
 * is a doorbell for each host number, with as many descriptors as each says;
 * the member maps the segments and sends READY.  After that it may send
 * RESERVE, of which each is answered by RESERVED.  LEAVE ends an orderly stay.
 * Everything here is checked by the functions below before anything else
 * looks at it.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_WIRE_H
#define CXLF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cxlf/abi.h"

#define CXLF_WIRE_MAGIC     0x46584c43u     /* "CLXF" */
#define CXLF_WIRE_VERSION   2u
/* A topology of 62 hosts, 8 leaves and 8 devices needs about 6 KiB. */
#define CXLF_WIRE_BLOB_MAX  (512u << 10)    /* 4,095 hosts take 220 KiB */
#define CXLF_WIRE_TEXT_MAX  255u
/* Descriptors of one message: Linux passes up to 253 (SCM_MAX_FD). */
#define CXLF_WIRE_FDS_MAX   240u

enum cxlf_wire_type {
    CXLF_WIRE_JOIN = 1,
    CXLF_WIRE_WELCOME,
    CXLF_WIRE_SEGMENT,
    CXLF_WIRE_DOORBELLS,
    CXLF_WIRE_READY,
    CXLF_WIRE_REFUSE,
    CXLF_WIRE_LEAVE,
    CXLF_WIRE_RESERVE,
    CXLF_WIRE_RESERVED,
    CXLF_WIRE_TYPES
};

struct cxlf_wire_header {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t length;        /* bytes of the payload */
    uint32_t zero;
};

struct cxlf_wire_join {
    uint32_t abi_version;
    uint32_t leaf_header;   /* sizeof(struct cxlf_leaf) */
    uint32_t fabric_header; /* sizeof(struct cxlf_fabric) */
    uint32_t entry_size;    /* sizeof(struct cxlf_entry) */
    int32_t host;           /* number wished for; -1: any */
    uint32_t blob;          /* bytes of topology that follow; 0: accept any */
};

struct cxlf_wire_welcome {
    uint8_t uuid[16];
    uint32_t host;          /* number given */
    uint32_t segments;      /* how many SEGMENT messages follow */
    uint32_t blob;          /* bytes of topology that follow */
    uint32_t doorbells;     /* one for each host number; after the segments */
};

enum cxlf_wire_kind {
    CXLF_KIND_FABRIC,
    CXLF_KIND_LEAF,
    CXLF_KIND_GFAM,
    CXLF_KINDS
};

struct cxlf_wire_segment {
    uint32_t kind;          /* enum cxlf_wire_kind */
    uint32_t index;
    uint64_t size;
};

/* Eventfds that wake agents, of host numbers @first to @first + @count - 1. */
struct cxlf_wire_doorbells {
    uint32_t first;
    uint32_t count;
};

struct cxlf_wire_refuse {
    char text[CXLF_WIRE_TEXT_MAX + 1];  /* ends in a zero byte */
};

enum cxlf_wire_reserve_what {
    CXLF_WIRE_RESERVE_MAKE,
    CXLF_WIRE_RESERVE_DROP,
    CXLF_WIRE_RESERVE_DROP_ALL,         /* and no range */
    CXLF_WIRE_RESERVE_WHATS
};

struct cxlf_wire_reserve {
    uint32_t what;          /* enum cxlf_wire_reserve_what */
    uint32_t gfam;
    uint64_t dpa;           /* bytes */
    uint64_t length;
    uint64_t token;         /* comes back with the answer */
};

struct cxlf_wire_reserved {
    uint64_t token;
    uint32_t result;        /* enum cxlf_reserve_result */
    uint32_t zero;
};

CXLF_ASSERT_SIZE(cxlf_wire_header, 16);
CXLF_ASSERT_SIZE(cxlf_wire_join, 24);
CXLF_ASSERT_SIZE(cxlf_wire_welcome, 32);
CXLF_ASSERT_SIZE(cxlf_wire_segment, 16);
CXLF_ASSERT_SIZE(cxlf_wire_doorbells, 8);
CXLF_ASSERT_SIZE(cxlf_wire_refuse, 256);
CXLF_ASSERT_SIZE(cxlf_wire_reserve, 32);
CXLF_ASSERT_SIZE(cxlf_wire_reserved, 16);

/* The longest payload of any message. */
#define CXLF_WIRE_PAYLOAD_MAX \
    (sizeof(struct cxlf_wire_welcome) + CXLF_WIRE_BLOB_MAX)

/*
 * cxlf_wire_check_header: whether @h may start a message.
 * Bounds h->length by what its type allows.  On failure *@why says what is
 * wrong with it.  Any thread; no locks.
 */
bool cxlf_wire_check_header(const struct cxlf_wire_header *h,
                            const char **why);

/*
 * cxlf_wire_read_*: read a payload of @length bytes into *@out.  *@blob
 * points into @payload.
 */
bool cxlf_wire_read_join(const void *payload, size_t length,
                         struct cxlf_wire_join *out, const void **blob,
                         const char **why);
bool cxlf_wire_read_welcome(const void *payload, size_t length,
                            struct cxlf_wire_welcome *out, const void **blob,
                            const char **why);
bool cxlf_wire_read_segment(const void *payload, size_t length,
                            struct cxlf_wire_segment *out, const char **why);
bool cxlf_wire_read_doorbells(const void *payload, size_t length,
                              struct cxlf_wire_doorbells *out,
                              const char **why);
bool cxlf_wire_read_refuse(const void *payload, size_t length,
                           struct cxlf_wire_refuse *out, const char **why);
bool cxlf_wire_read_reserve(const void *payload, size_t length,
                            struct cxlf_wire_reserve *out, const char **why);
bool cxlf_wire_read_reserved(const void *payload, size_t length,
                             struct cxlf_wire_reserved *out,
                             const char **why);

#endif /* CXLF_WIRE_H */
