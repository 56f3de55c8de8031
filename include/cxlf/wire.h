/*
 * Join protocol: messages between a fabric's owner and who joins it
 *
 * Each message is a header and a payload over a UNIX stream socket; both ends
 * are on one machine, so numbers are in its byte order.  A member sends
 * JOIN; the owner answers REFUSE, or WELCOME and then one SEGMENT for each
 * segment, each with one descriptor (SCM_RIGHTS), and DOORBELLS until there
 * is a doorbell for each host number, with as many descriptors as each says,
 * and one PLUG for each logical device (LD) that the host has; the member maps
 * the segments and sends READY.  After that it may send RESERVE, of which each
 * is answered by RESERVED, REQUEST, to which ANSWER comes when there is one,
 * and CCI, whose answer is CCI_ANSWER; and the owner may send PLUG and UNPLUG,
 * to which PLUGGED and UNPLUGGED come when it is done, EXTENT, of which
 * EXTENT_ANSWER tells, and AER, which has no answer.  LEAVE ends an orderly
 * stay.
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
#define CXLF_WIRE_VERSION   5u
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
    CXLF_WIRE_REQUEST,
    CXLF_WIRE_ANSWER,
    CXLF_WIRE_CCI,
    CXLF_WIRE_CCI_ANSWER,
    CXLF_WIRE_PLUG,
    CXLF_WIRE_PLUGGED,
    CXLF_WIRE_UNPLUG,
    CXLF_WIRE_UNPLUGGED,
    CXLF_WIRE_EXTENT,
    CXLF_WIRE_EXTENT_ANSWER,
    CXLF_WIRE_AER,
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
    uint32_t plugs;         /* how many PLUG messages follow those */
    uint32_t zero;
};

enum cxlf_wire_kind {
    CXLF_KIND_FABRIC,
    CXLF_KIND_LEAF,
    CXLF_KIND_GFAM,
    CXLF_KIND_LOG,      /* index 0: the ownership log of who joins */
    CXLF_KIND_ROUTES,   /* index 0: routing tables; read-only */
    CXLF_KIND_COUNTS,   /* index 0: counters of links */
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

enum cxlf_wire_request_what {
    CXLF_WIRE_REQUEST_MODE,             /* change it: argument 0 */
    CXLF_WIRE_REQUEST_ASK,              /* the manager: kind */
    CXLF_WIRE_REQUEST_WITHDRAW,         /* that with the token; 0: all */
    CXLF_WIRE_REQUEST_WHATS
};

/* What the manager is asked for; docs/specs/dpu-eca.rst, command 81. */
enum cxlf_ask {
    CXLF_ASK_CAPACITY = 1,
    CXLF_ASK_CLASS,
    CXLF_ASK_BINDING,
    CXLF_ASK_END
};

/* Argument 0 of each. */
enum cxlf_ask_class {
    CXLF_ASK_HOT = 1,
    CXLF_ASK_BULK,
    CXLF_ASK_COHERENT,                  /* these two not of capacity */
    CXLF_ASK_SOFTWARE,
};

enum cxlf_ask_binding {
    CXLF_ASK_BIND = 1,
    CXLF_ASK_UNBIND,
};

#define CXLF_ASK_ANY_GFAM   UINT32_MAX  /* of capacity */
#define CXLF_ASK_LD_MAX     0xffffu     /* argument 1 of a binding */
#define CXLF_ASK_ARGUMENTS  4
/* Requests of a host that the manager has not answered. */
#define CXLF_ASKS           16

struct cxlf_wire_request {
    uint32_t what;          /* enum cxlf_wire_request_what */
    uint32_t kind;          /* enum cxlf_ask; 0 unless ASK */
    uint32_t gfam;
    uint32_t zero;
    uint64_t dpa;           /* bytes */
    uint64_t length;
    uint64_t token;         /* comes back with answers; 0 only to withdraw */
    uint32_t argument[CXLF_ASK_ARGUMENTS];
};

/*
 * The first answer to ASK is OPEN or says why it is not; to OPEN one more
 * follows, GRANTED, DENIED or FAILED.  To MODE, GRANTED says that it is in
 * force.
 */
enum cxlf_answer {
    CXLF_ANSWER_GRANTED,
    CXLF_ANSWER_DENIED,
    CXLF_ANSWER_FAILED,
    CXLF_ANSWER_OPEN,
    CXLF_ANSWER_REFUSED,    /* hosts may not */
    CXLF_ANSWER_RANGE,      /* not of this fabric */
    CXLF_ANSWER_FULL,       /* CXLF_ASKS are open */
    CXLF_ANSWER_AGAIN,      /* a change of the mode is under way */
    CXLF_ANSWER_UNABLE,     /* a host can make no copies of BULK */
    CXLF_ANSWERS
};

struct cxlf_wire_answer {
    uint64_t token;
    uint64_t number;        /* of the request; 0: it is not kept */
    uint32_t result;        /* enum cxlf_answer */
    uint32_t gfam;          /* what it is about */
    uint64_t dpa;
    uint64_t length;
};

#define CXLF_WIRE_CCI_MAX   2048u       /* bytes of a mailbox's payload */

/* A command of a switch mailbox, or its answer; its payload follows. */
struct cxlf_wire_cci {
    uint64_t token;         /* comes back with the answer */
    uint16_t opcode;
    uint16_t code;          /* of an answer: enum cxlf_cci */
    uint32_t length;        /* bytes of the payload */
};

/* vPPBs of a host, and with 0, which is its upstream port's. */
#define CXLF_WIRE_VPPBS     16u

/*
 * Show an LD to the host, if it is not there.  It takes back an UNPLUG of the
 * same LD that is not answered yet.
 */
struct cxlf_wire_plug {
    uint32_t gfam;
    uint32_t ld;
    uint64_t start;         /* DPA of the device, bytes */
    uint64_t size;          /* bytes */
    uint32_t vppb;          /* 1 to CXLF_WIRE_VPPBS - 1 */
    uint32_t zero;
    uint64_t token;         /* comes back with the answer; not 0 */
};

/* As the option of Unbind vPPB. */
enum cxlf_unplug {
    CXLF_UNPLUG_WAIT,       /* until the host has let go by itself */
    CXLF_UNPLUG_MANAGED,    /* ask its operating system */
    CXLF_UNPLUG_SURPRISE,
    CXLF_UNPLUGS
};

/* Take an LD from the host; only then does it answer. */
struct cxlf_wire_unplug {
    uint32_t gfam;
    uint32_t ld;
    uint32_t how;           /* enum cxlf_unplug */
    uint32_t zero;
    uint64_t token;         /* comes back with the answer; not 0 */
};

enum cxlf_plug_result {
    CXLF_PLUG_OK,
    CXLF_PLUG_NO_SLOT,      /* the host has no slot for that vPPB */
    CXLF_PLUG_FAILED,
    CXLF_PLUG_RESULTS
};

/* Of PLUGGED and of UNPLUGGED. */
struct cxlf_wire_plugged {
    uint64_t token;
    uint32_t result;        /* enum cxlf_plug_result */
    uint32_t zero;
};

enum cxlf_extent_what {
    CXLF_EXTENT_OFFER,      /* the guest may accept it */
    CXLF_EXTENT_RELEASE,    /* the guest is asked to give it back */
    CXLF_EXTENT_TAKE,       /* the host has it no longer, and says when */
    CXLF_EXTENT_WHATS
};

/* Dynamic capacity: an extent of a device, and a host. */
struct cxlf_wire_extent {
    uint32_t gfam;
    uint32_t what;          /* enum cxlf_extent_what */
    uint64_t start;         /* DPA of the device, bytes */
    uint64_t length;        /* bytes, in blocks of CXLF_EXTENT_BLOCK */
    uint64_t token;         /* of its offer, then and afterwards; not 0 */
    uint8_t tag[16];
    uint32_t sequence;
    uint32_t more;          /* 1: it is offered with the next one */
};

enum cxlf_extent_answer {
    CXLF_EXTENT_ACCEPTED,
    CXLF_EXTENT_REFUSED,
    CXLF_EXTENT_GIVEN_BACK, /* nothing in the host can reach it any more */
    CXLF_EXTENT_GONE,       /* the same, after TAKE */
    CXLF_EXTENT_ANSWERS
};

struct cxlf_wire_extent_answer {
    uint64_t token;
    uint32_t what;          /* enum cxlf_extent_answer */
    uint32_t zero;
};

/*
 * Errors of PCI Express AER: a bit of the Uncorrectable Error Status register,
 * or, with the flag, of the Correctable one.
 */
#define CXLF_AER_CORRECTABLE        (1u << 31)
#define CXLF_AER_CORRECTABLE_BITS   0x0000f1c1u
#define CXLF_AER_UNCORRECTABLE_BITS 0x03fff030u

/* An error that a port of the host reports to its guest. */
struct cxlf_wire_aer {
    uint32_t vppb;          /* below CXLF_WIRE_VPPBS; 0: the upstream port */
    uint32_t error;         /* cxlf_aer_is_error() */
    uint8_t header[16];     /* bytes of the Header Log, as they are there */
};

CXLF_ASSERT_SIZE(cxlf_wire_header, 16);
CXLF_ASSERT_SIZE(cxlf_wire_join, 24);
CXLF_ASSERT_SIZE(cxlf_wire_welcome, 40);
CXLF_ASSERT_SIZE(cxlf_wire_segment, 16);
CXLF_ASSERT_SIZE(cxlf_wire_doorbells, 8);
CXLF_ASSERT_SIZE(cxlf_wire_refuse, 256);
CXLF_ASSERT_SIZE(cxlf_wire_reserve, 32);
CXLF_ASSERT_SIZE(cxlf_wire_reserved, 16);
CXLF_ASSERT_SIZE(cxlf_wire_request, 56);
CXLF_ASSERT_SIZE(cxlf_wire_answer, 40);
CXLF_ASSERT_SIZE(cxlf_wire_cci, 16);
CXLF_ASSERT_SIZE(cxlf_wire_plug, 40);
CXLF_ASSERT_SIZE(cxlf_wire_unplug, 24);
CXLF_ASSERT_SIZE(cxlf_wire_plugged, 16);
CXLF_ASSERT_SIZE(cxlf_wire_extent, 56);
CXLF_ASSERT_SIZE(cxlf_wire_extent_answer, 16);
CXLF_ASSERT_SIZE(cxlf_wire_aer, 24);

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
bool cxlf_wire_read_request(const void *payload, size_t length,
                            struct cxlf_wire_request *out, const char **why);
bool cxlf_wire_read_answer(const void *payload, size_t length,
                           struct cxlf_wire_answer *out, const char **why);
bool cxlf_wire_read_plug(const void *payload, size_t length,
                         struct cxlf_wire_plug *out, const char **why);
bool cxlf_wire_read_unplug(const void *payload, size_t length,
                           struct cxlf_wire_unplug *out, const char **why);
/* Of PLUGGED and of UNPLUGGED. */
bool cxlf_wire_read_plugged(const void *payload, size_t length,
                            struct cxlf_wire_plugged *out, const char **why);

bool cxlf_wire_read_extent(const void *payload, size_t length,
                           struct cxlf_wire_extent *out, const char **why);
bool cxlf_wire_read_extent_answer(const void *payload, size_t length,
                                  struct cxlf_wire_extent_answer *out,
                                  const char **why);

bool cxlf_wire_read_aer(const void *payload, size_t length,
                        struct cxlf_wire_aer *out, const char **why);

/* Of CCI and of CCI_ANSWER; *@bytes points into @payload. */
bool cxlf_wire_read_cci(const void *payload, size_t length,
                        struct cxlf_wire_cci *out, const void **bytes,
                        const char **why);

/*
 * cxlf_ask_is_known: whether @w asks the manager for something by fields that
 * are defined, whatever the fabric has; the same for its agent and the owner.
 */
bool cxlf_ask_is_known(const struct cxlf_wire_request *w);

/* cxlf_aer_is_error: whether @error is just one error that is defined. */
bool cxlf_aer_is_error(uint32_t error);

#endif /* CXLF_WIRE_H */
