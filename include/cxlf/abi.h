/*
 * Shared layout of a fabric: what processes of one fabric map together
 *
 * Everything in this file is ABI: two builds may share a fabric only if they
 * agree on CXLF_ABI_VERSION, and every size and offset is asserted.  The
 * fabric's owner creates the segments and fills the headers; a process that
 * joins checks them against what it was told at the join and then uses its
 * own copies, never the shared ones.  docs/abi.md describes the layout.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_ABI_H
#define CXLF_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define CXLF_ABI_VERSION    8u
#define CXLF_LEAF_MAGIC     0x3146414546584c43ull   /* "CLXFEAF1" */
#define CXLF_FABRIC_MAGIC   0x314252424146584cull   /* "LXFABRB1" */

/* Limits, each of which some field of this layout rests on. */
#define CXLF_MAX_HOSTS      4095    /* 12 bits, less the 0 of a copyset */
#define CXLF_MAX_LEAVES     64
#define CXLF_MAX_SHARDS     16      /* of one leaf */
#define CXLF_MAX_GFAMS      8
#define CXLF_LINE           64      /* bytes of a HOT line */
#define CXLF_PAGE           4096
#define CXLF_LINES_PER_PAGE (CXLF_PAGE / CXLF_LINE)
#define CXLF_MIN_WAYS       2       /* of a set of a finite directory */
#define CXLF_MAX_WAYS       16
/* The capacity unit of CXL decoders (CXL r3.1 section 8.2.4.20). */
#define CXLF_CAPACITY_UNIT  (256ull << 20)
/* A shard's line number must fit the 32-bit tag of its directory entry. */
#define CXLF_MAX_HOT        (64ull << 30)
#define CXLF_MAX_BULK       (16ull << 40)
#define CXLF_MAX_DYNAMIC    (1ull << 40)    /* of a device's BULK */
#define CXLF_EXTENT_BLOCK   (2ull << 20)    /* of dynamic capacity */
#define CXLF_EXTENT_HOSTS   16

/* Counters: one block for each pair of shard and host. */
enum cxlf_counter {
    CXLF_READ_HIT,
    CXLF_WRITE_HIT,
    CXLF_READ_MISS,
    CXLF_WRITE_MISS,
    CXLF_UPGRADE,
    CXLF_BISNP_SENT,
    CXLF_BISNP_RECEIVED,
    CXLF_WRITEBACK,
    CXLF_RETRY,
    CXLF_REFUSAL,
    CXLF_ATOMIC,
    CXLF_ATOMIC_RETRY,
    CXLF_ATOMIC_MISALIGNED,
    CXLF_BULK_TRAPPED,
    CXLF_VICTIM,            /* recalled to make room in a finite directory */
    CXLF_BISNP_SPURIOUS,    /* received for a unit, but not for a line held */
    CXLF_NO_ROOM,           /* an insertion found no way to use */
    CXLF_WITHHELD_ACCESS,   /* its leaf was not up */
    CXLF_PAGE_FAULT,        /* a mapped access that had no permission */
    CXLF_PAGE_MAPPED,       /* a page was mapped, or made writable */
    CXLF_PAGE_PREFETCHED,   /* of these: before anybody touched it */
    CXLF_PAGE_REVOKED,      /* zapped or write-protected for another host */
    CXLF_MESSAGE,           /* posted to a mailbox */
    CXLF_DOORBELL,          /* rung: a system call */
    CXLF_PROMOTION,         /* a page became one of lines */
    CXLF_PROMOTION_REFUSED, /* its host's quota of them was used up */
    CXLF_DEMOTION,          /* a page of lines became one that is mapped */
    CXLF_VIEW_FLUSH,        /* vCPUs were told that a page's view changed */
    CXLF_MACHINE_CHECK,     /* a failed access was reported to the guest */
    CXLF_COPY_IN,           /* software mode: pages copied in */
    CXLF_COPY_FLUSHED,      /* lines written back */
    CXLF_COPY_INVALIDATED,  /* pages dropped */
    CXLF_COPY_CONFLICT,     /* lines whose epochs overlapped */
    CXLF_COUNTERS
};

struct cxlf_counters {
    /* Pairs of cache lines, because some processors fetch them so. */
    _Alignas(128) uint64_t count[64];
};

/*
 * A directory entry: word then copyset, changed together by one 16-byte
 * compare-and-swap only.  All zero is Invalid and never used.
 *
 * word     4:0   state (enum cxlf_state)
 *          5     zero
 *          17:6  requester: whose transaction a transient state is of, who
 *                claimed an entry in N, else 0
 *          31:18 generation: one more at every change of the entry
 *          63:32 tag: number of the unit in the shard, plus one; 0 = never
 *                used
 * copyset        holders (cxlf/copyset.h); in a transient state those who
 *                have not answered yet; in F the epoch in which the entry
 *                was freed, 0 when nobody can have used it
 */
struct cxlf_entry {
    _Alignas(16) uint64_t word;
    uint64_t copyset;
};

#define CXLF_WORD_STATE(word)       ((unsigned)((word) & 0x1f))
#define CXLF_WORD_ZERO(word)        ((unsigned)((word) >> 5 & 1))
#define CXLF_WORD_REQUESTER(word)   ((unsigned)((word) >> 6 & 0xfff))
#define CXLF_WORD_GENERATION(word)  ((uint32_t)((word) >> 18) & 0x3fffu)
#define CXLF_WORD_TAG(word)         ((uint32_t)((word) >> 32))
#define CXLF_WORD(tag, generation, requester, state) \
    ((uint64_t)(uint32_t)(tag) << 32 | \
     (uint64_t)((generation) & 0x3fffu) << 18 | \
     (uint64_t)((requester) & 0xfffu) << 6 | (uint64_t)(state))

/* What both kinds of segment begin with. */
struct cxlf_segment {
    uint64_t magic;
    uint32_t version;           /* CXLF_ABI_VERSION */
    uint32_t header_size;       /* sizeof of the whole header */
    uint64_t size;              /* bytes of the segment */
    uint8_t uuid[16];           /* of the fabric */
    uint32_t index;             /* number of the leaf; 0 for the fabric */
    uint32_t hosts;             /* how many hosts may join */
};

/* What an entry is about; holders of lines are trapped, of pages mapped. */
enum cxlf_kind {
    CXLF_LINE_UNIT,     /* a grain, 64 bytes or more: topology.h */
    CXLF_PAGE_UNIT,     /* 4 KiB of HOT or BULK */
    CXLF_UNITS
};

/* The directory of one kind of unit in a leaf's segment. */
struct cxlf_table_layout {
    uint64_t entries;           /* of each shard */
    uint64_t touched_words;     /* of each shard's touched map */
    uint64_t touched_offset;    /* uint64_t[shards][touched_words] */
    uint64_t entries_offset;    /* struct cxlf_entry[shards][entries] */
    uint64_t presence_offset;   /* uint64_t[shards][entries][hosts], or 0 */
};

/*
 * A mailbox: hints from the home to a host's agent, in no order.  A slot is
 * empty (0) or a whole message; see cxlf/mailbox.h.
 */
#define CXLF_MAILBOX_SLOTS  64

struct cxlf_mailbox {
    _Alignas(128) uint64_t slot[CXLF_MAILBOX_SLOTS];
};

/* Messages from agent to agent; cxlf/inbox.h. */
#define CXLF_INBOX_SLOTS    16
#define CXLF_LETTER_WORDS   7
#define CXLF_LETTER_BYTES   (8 * CXLF_LETTER_WORDS)

struct cxlf_inbox_slot {
    _Alignas(64) uint64_t word;
    uint64_t data[CXLF_LETTER_WORDS];
};

struct cxlf_inbox {
    _Alignas(128) uint64_t tail;    /* where the next message goes */
    uint64_t open;                  /* the host takes messages */
    _Alignas(128) uint64_t head;    /* the host's: the next to be taken */
    struct cxlf_inbox_slot slot[CXLF_INBOX_SLOTS];
};

enum cxlf_leaf_state {
    CXLF_LEAF_REBUILDING,   /* new, or returned: hosts re-enter their logs */
    CXLF_LEAF_UP,
    CXLF_LEAF_DOWN,
    CXLF_LEAF_STATES
};

/* What changes while a leaf lives; cxlf/leaf.h. */
struct cxlf_leaf_live {
    _Alignas(128) uint64_t epoch;   /* of quiescent points; from 2 on */
    _Alignas(128) uint32_t state;   /* enum cxlf_leaf_state */
    uint32_t incarnation;           /* one more at each return */
    uint64_t rebuilt[64];           /* a bit for each host */
};

/* How many accesses of a host are under way, by the parity of their epoch. */
struct cxlf_inside {
    _Alignas(128) uint32_t count[2];
    /* In leaf 0: BULK pages that the host has in lines, and may have. */
    uint32_t precise, precise_quota;
};

/* A leaf's segment: header, live part, counters, mailboxes, directory. */
struct cxlf_leaf {
    struct cxlf_segment segment;
    uint32_t leaves;            /* of the fabric */
    uint32_t shards;            /* of this leaf */
    uint32_t grain;             /* bytes of a line unit */
    uint32_t ways;              /* of a finite directory of lines, or 0 */
    uint64_t live_offset;       /* struct cxlf_leaf_live */
    uint64_t inside_offset;     /* struct cxlf_inside[hosts] */
    uint64_t counters_offset;   /* struct cxlf_counters[shards][hosts] */
    uint64_t mailbox_offset;    /* struct cxlf_mailbox[hosts] */
    struct cxlf_table_layout table[CXLF_UNITS];
    uint64_t copies_offset;     /* struct cxlf_copies; cxlf/copies.h */
    uint64_t inbox_offset;      /* struct cxlf_inbox[hosts]; used in leaf 0 */
};

enum cxlf_host_state {
    CXLF_HOST_FREE,         /* no host has this number */
    CXLF_HOST_JOINING,      /* the number is promised to a peer */
    CXLF_HOST_UP,
    CXLF_HOST_FENCING,      /* hung up, not yet known to be dead */
    CXLF_HOST_RECOVERING,   /* dead; its holdings are being cleared */
    CXLF_HOST_STATES
};

/* Written by the owner alone; the others map it read-only. */
struct cxlf_host {
    uint32_t state;         /* enum cxlf_host_state */
    uint32_t pid;
    uint32_t incarnation;   /* one more at every join under this number */
    uint32_t deaths;
};

/*
 * What was lost with a host that died: published by the owner, for hosts to
 * tell their guests; the directory's entries say what is poisoned now.
 */
#define CXLF_POISON_RECORDS 4096

struct cxlf_poison {
    uint32_t gfam;
    uint32_t host;          /* that died */
    uint64_t dpa;           /* bytes */
    uint64_t length;        /* bytes; of the same device */
};

/* A range of pages that a host alone may use; cxlf/reserve.h. */
#define CXLF_RESERVATIONS 64

struct cxlf_reservation {
    uint32_t gfam;
    uint32_t host;
    uint64_t dpa;           /* bytes */
    uint64_t length;        /* bytes; of the same device */
};

struct cxlf_reservations {
    uint32_t n;             /* how many there are */
    uint32_t pad;
    struct cxlf_reservation range[CXLF_RESERVATIONS];
};

struct cxlf_fabric {
    struct cxlf_segment segment;
    uint32_t epoch;         /* one more at every recovery */
    uint32_t bulk_mode;     /* a mode word of cxlf/copies.h */
    struct cxlf_host host[CXLF_MAX_HOSTS];
    uint64_t poisoned;      /* how many records were published so far */
    /* Record n is in slot n % CXLF_POISON_RECORDS; see cxlf/poison.h. */
    struct cxlf_poison poison[CXLF_POISON_RECORDS];
    uint64_t reserve_changes;   /* one more after each */
    uint32_t precise_pages;     /* BULK pages that may be tracked by lines */
    uint32_t pad;
    /* That of reserve_changes % 2 is in force; see cxlf/reserve.h. */
    struct cxlf_reservations reserved[2];
};

#define CXLF_ASSERT_AT(type, field, offset) \
    static_assert(offsetof(struct type, field) == (offset), \
                  "ABI: offset of " #type "." #field)
#define CXLF_ASSERT_SIZE(type, size) \
    static_assert(sizeof(struct type) == (size), "ABI: size of " #type)

CXLF_ASSERT_SIZE(cxlf_counters, 512);
static_assert(CXLF_COUNTERS <= 64, "ABI: counters fit their block");
CXLF_ASSERT_SIZE(cxlf_entry, 16);
CXLF_ASSERT_AT(cxlf_entry, word, 0);
CXLF_ASSERT_AT(cxlf_entry, copyset, 8);
CXLF_ASSERT_SIZE(cxlf_segment, 48);
CXLF_ASSERT_AT(cxlf_segment, magic, 0);
CXLF_ASSERT_AT(cxlf_segment, version, 8);
CXLF_ASSERT_AT(cxlf_segment, header_size, 12);
CXLF_ASSERT_AT(cxlf_segment, size, 16);
CXLF_ASSERT_AT(cxlf_segment, uuid, 24);
CXLF_ASSERT_AT(cxlf_segment, index, 40);
CXLF_ASSERT_AT(cxlf_segment, hosts, 44);
CXLF_ASSERT_SIZE(cxlf_table_layout, 40);
CXLF_ASSERT_SIZE(cxlf_mailbox, 512);
CXLF_ASSERT_SIZE(cxlf_leaf_live, 768);
CXLF_ASSERT_AT(cxlf_leaf_live, state, 128);
CXLF_ASSERT_AT(cxlf_leaf_live, incarnation, 132);
CXLF_ASSERT_AT(cxlf_leaf_live, rebuilt, 136);
CXLF_ASSERT_SIZE(cxlf_inside, 128);
CXLF_ASSERT_SIZE(cxlf_leaf, 192);
CXLF_ASSERT_AT(cxlf_leaf, leaves, 48);
CXLF_ASSERT_AT(cxlf_leaf, shards, 52);
CXLF_ASSERT_AT(cxlf_leaf, grain, 56);
CXLF_ASSERT_AT(cxlf_leaf, ways, 60);
CXLF_ASSERT_AT(cxlf_leaf, live_offset, 64);
CXLF_ASSERT_AT(cxlf_leaf, inside_offset, 72);
CXLF_ASSERT_AT(cxlf_leaf, counters_offset, 80);
CXLF_ASSERT_AT(cxlf_leaf, mailbox_offset, 88);
CXLF_ASSERT_AT(cxlf_leaf, table, 96);
CXLF_ASSERT_AT(cxlf_leaf, copies_offset, 176);
CXLF_ASSERT_AT(cxlf_leaf, inbox_offset, 184);
CXLF_ASSERT_SIZE(cxlf_inbox_slot, 64);
CXLF_ASSERT_SIZE(cxlf_inbox, 1280);
CXLF_ASSERT_AT(cxlf_inbox, head, 128);
CXLF_ASSERT_AT(cxlf_inbox, slot, 192);
CXLF_ASSERT_SIZE(cxlf_host, 16);
CXLF_ASSERT_AT(cxlf_host, state, 0);
CXLF_ASSERT_AT(cxlf_host, pid, 4);
CXLF_ASSERT_AT(cxlf_host, incarnation, 8);
CXLF_ASSERT_AT(cxlf_host, deaths, 12);
CXLF_ASSERT_AT(cxlf_fabric, epoch, 48);
CXLF_ASSERT_AT(cxlf_fabric, bulk_mode, 52);
CXLF_ASSERT_AT(cxlf_fabric, host, 56);
CXLF_ASSERT_SIZE(cxlf_poison, 24);
CXLF_ASSERT_AT(cxlf_poison, host, 4);
CXLF_ASSERT_AT(cxlf_poison, dpa, 8);
CXLF_ASSERT_AT(cxlf_poison, length, 16);
CXLF_ASSERT_AT(cxlf_fabric, poisoned, 56 + 16 * CXLF_MAX_HOSTS);
CXLF_ASSERT_AT(cxlf_fabric, poison, 64 + 16 * CXLF_MAX_HOSTS);
CXLF_ASSERT_SIZE(cxlf_reservation, 24);
CXLF_ASSERT_AT(cxlf_reservation, host, 4);
CXLF_ASSERT_AT(cxlf_reservation, dpa, 8);
CXLF_ASSERT_AT(cxlf_reservation, length, 16);
CXLF_ASSERT_AT(cxlf_fabric, reserve_changes, 64 + 16 * CXLF_MAX_HOSTS +
               24 * CXLF_POISON_RECORDS);
CXLF_ASSERT_AT(cxlf_fabric, precise_pages, 72 + 16 * CXLF_MAX_HOSTS +
               24 * CXLF_POISON_RECORDS);
CXLF_ASSERT_AT(cxlf_fabric, reserved, 80 + 16 * CXLF_MAX_HOSTS +
               24 * CXLF_POISON_RECORDS);
CXLF_ASSERT_AT(cxlf_reservations, range, 8);
CXLF_ASSERT_SIZE(cxlf_fabric, 80 + 16 * CXLF_MAX_HOSTS +
                 24 * CXLF_POISON_RECORDS +
                 2 * (8 + 24 * CXLF_RESERVATIONS));

#endif /* CXLF_ABI_H */
