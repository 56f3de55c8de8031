/*
 * DPU Edge Coherence Agent: layout of BAR 0
 *
 * Layouts alone; docs/specs/dpu-eca.rst describes them.  All registers are
 * little-endian, and read-only but where it says rw; accesses of 4 or 8
 * aligned bytes.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_REGS_H
#define HW_DPU_ECA_REGS_H

#define ECA_PCI_DEVICE_ID   0x0eca

#define ECA_BAR_SIZE        0x8000
#define ECA_MSIX_BAR        4
#define ECA_VECTORS         5       /* one for each queue; one for events */

#define ECA_MAGIC           0x000   /* "ECA1" */
#define ECA_MAGIC_VALUE     0x31414345u
#define ECA_VERSION         0x004
#define ECA_VERSION_VALUE   2u
#define ECA_STATUS          0x008
#define ECA_STATUS_UP       (1u << 0)
#define ECA_HOST            0x00c
#define ECA_HOSTS           0x010
#define ECA_LEAVES          0x014
#define ECA_SHARDS          0x018
#define ECA_GFAMS           0x01c
#define ECA_LINE            0x020
#define ECA_PAGE            0x024
#define ECA_EPOCH           0x028
#define ECA_COUNTERS        0x02c   /* how many there are */
#define ECA_UUID            0x030   /* 16 bytes */

#define ECA_GFAM            0x100   /* a block for each device */
#define ECA_GFAM_STRIDE     0x020
#define ECA_GFAM_HOT        0x00    /* bytes, 64 bits */
#define ECA_GFAM_BULK       0x08    /* bytes, 64 bits */
#define ECA_GFAM_LEAF       0x10
#define ECA_GFAM_FLAGS      0x14
#define ECA_GFAM_ATTACHED   (1u << 0)
#define ECA_GFAM_LDS        (1u << 1)   /* shared out to logical devices */

/* Commands by registers */
#define ECA_COPY            0x200
#define ECA_COPY_DPA        0x200   /* 64 bits, rw */
#define ECA_COPY_LENGTH     0x208   /* 64 bits, rw */
#define ECA_COPY_GFAM       0x210   /* rw */
#define ECA_COPY_COMMAND    0x214   /* rw; a write starts it */
#define ECA_COPY_FLUSH      (1u << 0)
#define ECA_COPY_INVALIDATE (1u << 1)
#define ECA_COPY_STATUS     0x218
#define ECA_COPY_DONE       0u
#define ECA_COPY_UNKNOWN    1u      /* no such command */
#define ECA_COPY_RANGE      2u      /* not all in the BULK of a device */
#define ECA_COPY_TOO_LONG   3u
#define ECA_COPY_LOST       4u      /* the fabric is lost */
#define ECA_COPY_BUSY       5u      /* under way */
#define ECA_COPY_PARTLY     6u      /* some pages could not be had */
#define ECA_COPY_OFF        7u      /* no page ownership here */
#define ECA_COPY_TAKEN      8u      /* another host has reserved some of it */
#define ECA_COPY_FULL       9u      /* there is no room for more ranges */
#define ECA_COPY_NONE       10u     /* nothing of it is reserved by us */
#define ECA_COPY_ABORTED    11u
#define ECA_COPY_MALFORMED  12u     /* a field that must be 0, a flag, ... */
#define ECA_COPY_ADDRESS    13u     /* not in memory that DMA can reach */
#define ECA_COPY_AGAIN      14u     /* another command must end first */
#define ECA_COPY_AWAY       15u     /* the other host takes no messages */
#define ECA_COPY_REFUSED    16u     /* the owner does not let hosts do so */
#define ECA_COPY_LINES      0x21c   /* written back; or pages done */
#define ECA_BULK_MODE       0x220   /* bit g: device g is in software mode */
#define ECA_COPY_LONGEST    0x224   /* bytes */
#define ECA_COPY_END        0x240

/* Commands on pages. */
#define ECA_PAGES_SHARED    16u     /* have them, to read */
#define ECA_PAGES_OWNED     17u     /* have them, to write */
#define ECA_PAGES_RELEASE   18u     /* give them up */
#define ECA_PAGES_PROMOTE   19u     /* track them by lines */
#define ECA_PAGES_DEMOTE    20u     /* by ownership, and own them */
#define ECA_PAGES_PREFETCH  21u     /* ask for them, to read; do not wait */
#define ECA_PAGES_END       22u
#define ECA_RESERVE         22u     /* let no other host have them */
#define ECA_UNRESERVE       23u
#define ECA_SET_MODE        32u     /* by queues only, as are the next */
#define ECA_HOLDINGS        40u
#define ECA_READ_COUNTERS   41u
#define ECA_FENCE           48u
#define ECA_COPY_OUT        64u     /* from the device to the guest */
#define ECA_COPY_IN         65u
#define ECA_COPY_ACROSS     66u     /* from device to device */
#define ECA_MESSAGE         80u     /* to another host's agent */
#define ECA_MESSAGE_MAX     24      /* bytes */
#define ECA_ASK             81u     /* the fabric's manager */

#define ECA_COUNTER         0x400   /* 64 bits each, enum cxlf_counter */
#define ECA_COUNTER_END     0x800

/* What this host may use: for each device a block for each of 16 LDs */
#define ECA_PIECE           0x1800
#define ECA_PIECE_STRIDE    0x010
#define ECA_PIECE_DPA       0x00    /* 64 bits */
#define ECA_PIECE_SIZE      0x08    /* bytes, 64 bits; 0: nothing */
#define ECA_PIECE_END       0x2000

/* How devices have answered: for each of them 64 bits for each DevLoad */
#define ECA_DEV_LOAD        0x2000
#define ECA_DEV_LOAD_STRIDE 0x020
#define ECA_DEV_LOAD_END    0x2100

/* Queues: a block of registers for each */
#define ECA_QUEUES          4
#define ECA_QUEUE           0x1000
#define ECA_QUEUE_STRIDE    0x040
#define ECA_QUEUE_SQ_BASE   0x00    /* 64 bits, rw */
#define ECA_QUEUE_CQ_BASE   0x08    /* 64 bits, rw */
#define ECA_QUEUE_SQ_SIZE   0x10    /* rw */
#define ECA_QUEUE_CQ_SIZE   0x14    /* rw */
#define ECA_QUEUE_CONTROL   0x18    /* rw */
#define ECA_QUEUE_ENABLE    (1u << 0)
#define ECA_QUEUE_INTERRUPT (1u << 1)
#define ECA_QUEUE_ABORT     (1u << 2)   /* reads as 0 */
#define ECA_QUEUE_STATE     0x1c
#define ECA_QUEUE_OFF       0u
#define ECA_QUEUE_ON        1u
#define ECA_QUEUE_STOPPED   2u
#define ECA_QUEUE_WHY_SHIFT 8
#define ECA_QUEUE_WHY_SETUP 1u
#define ECA_QUEUE_WHY_DMA   2u
#define ECA_QUEUE_WHY_INDEX 3u
#define ECA_QUEUE_WHY_TAKEN 4u
#define ECA_QUEUE_SQ_TAIL   0x20    /* rw */
#define ECA_QUEUE_SQ_HEAD   0x24
#define ECA_QUEUE_CQ_HEAD   0x28    /* rw */
#define ECA_QUEUE_CQ_TAIL   0x2c
#define ECA_QUEUE_PROGRESS  0x30    /* 64 bits */
#define ECA_QUEUE_END       (ECA_QUEUE + ECA_QUEUES * ECA_QUEUE_STRIDE)

#define ECA_RING_MIN        2       /* entries */
#define ECA_RING_MAX        4096

/* Events */
#define ECA_EV_BASE         0x1100  /* 64 bits, rw */
#define ECA_EV_SIZE         0x1108  /* rw */
#define ECA_EV_CONTROL      0x110c  /* rw; as that of a queue */
#define ECA_EV_STATE        0x1110  /* as that of a queue */
#define ECA_EV_MASK         0x1114  /* rw */
#define ECA_EV_SAMPLE       0x1118  /* rw */
#define ECA_EV_HEAD         0x111c  /* rw */
#define ECA_EV_TAIL         0x1120
#define ECA_EV_LOST         0x1128  /* 64 bits */
#define ECA_EV_END          0x1130
#define ECA_EVENT_VECTOR    4

/* An event, in guest memory; little-endian */
#define ECA_EVENT_SIZE      64
#define ECA_EVENT_KIND      0x00    /* 16 bits */
#define ECA_EVENT_PHASE     0x02    /* 16 bits */
#define ECA_EVENT_HOST_AT   0x04
#define ECA_EVENT_GFAM      0x08
#define ECA_EVENT_COUNT     0x0c
#define ECA_EVENT_DPA       0x10    /* 64 bits */
#define ECA_EVENT_LENGTH    0x18    /* 64 bits */
#define ECA_EVENT_TIME      0x20    /* 64 bits */
#define ECA_EVENT_DATA      0x28    /* 24 bytes */

/* A submission, in guest memory; little-endian */
#define ECA_SQE_SIZE        64
#define ECA_SQE_COMMAND     0x00    /* 16 bits */
#define ECA_SQE_FLAGS       0x02    /* 16 bits */
#define ECA_SQE_LIST        (1u << 0)
#define ECA_SQE_QUIET       (1u << 1)
#define ECA_SQE_TAG         0x04
#define ECA_SQE_GFAM        0x08
#define ECA_SQE_COUNT       0x0c
#define ECA_SQE_DPA         0x10    /* 64 bits */
#define ECA_SQE_LENGTH      0x18    /* 64 bits */
#define ECA_SQE_ADDRESS     0x20    /* 64 bits */
#define ECA_SQE_TARGET      0x28
#define ECA_SQE_ZERO        0x2c
#define ECA_SQE_ARGUMENT    0x30    /* 4 of 32 bits */

/* A range of a list */
#define ECA_LIST_SIZE       16
#define ECA_LIST_DPA        0x00    /* 64 bits */
#define ECA_LIST_LENGTH     0x08    /* 64 bits */
#define ECA_LIST_MAX        65536

/* A completion */
#define ECA_CQE_SIZE        32
#define ECA_CQE_TAG         0x00
#define ECA_CQE_STATUS      0x04    /* 16 bits */
#define ECA_CQE_PHASE       0x06    /* 16 bits */
#define ECA_CQE_DONE        0x08    /* 64 bits */
#define ECA_CQE_WHERE       0x10    /* 64 bits */
#define ECA_CQE_SQ_HEAD     0x18

#define ECA_HOLDINGS_MAX    65536   /* pages of one command */

#define ECA_HOST_LIFE       0x4000  /* 32 bits for each host number */
#define ECA_HOST_LIFE_END   0x8000

#endif /* HW_DPU_ECA_REGS_H */
