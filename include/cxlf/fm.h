/*
 * Fabric Manager: the component command interfaces of a fabric
 *
 * One implementation of each command that a Fabric Manager sends to a switch,
 * a multi-logical device or a GFD.  Messages come from whatever carries them
 * (a mailbox, a tunnel, a client); what must really happen in the fabric goes
 * out through struct cxlf_fm_ops.  The model composes: it is in no data path,
 * and when its caller dies nothing that was composed changes.
 *
 * docs/fabric-manager.md has the model, the commands and their layouts.
 *
 * One thread at a time: the caller locks.  Everything is bounded; nothing is
 * allocated, and nothing points into the caller's memory but @ops.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CXLF_FM_H
#define CXLF_FM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CXLF_FM_COMPONENTS  160u    /* switches, devices and GFDs */
#define CXLF_FM_SWITCHES    80u     /* 64 leaves and some spines */
#define CXLF_FM_DEVICES     64u     /* SLDs and MLDs */
#define CXLF_FM_GFDS        8u
#define CXLF_FM_PORTS       256u    /* of a switch: port IDs have 8 bits */
#define CXLF_FM_VCSS        64u     /* of a switch: the GAE map has 64 bits */
#define CXLF_FM_VPPBS       16u     /* of a VCS, with that of its USP */
#define CXLF_FM_LDS         16u     /* of a device */
#define CXLF_FM_REGIONS     8u      /* of dynamic capacity */
#define CXLF_FM_EXTENTS     128u    /* of dynamic capacity */
#define CXLF_FM_GDTS        8u      /* decoders of each source PID */
#define CXLF_FM_GAES        64u     /* of all switches */
#define CXLF_FM_SEGMENTS    16u     /* of a FAST */
#define CXLF_FM_IDTS        64u     /* DPIDs for the interleaved ones of it */
#define CXLF_FM_SATS        4096u   /* a source PID each */
#define CXLF_FM_CRAWLS      2u      /* layers of Fabric Crawl Out */
#define CXLF_FM_TUNNELS     2u      /* layers of Tunnel Management Command */
#define CXLF_FM_HOPS        16u     /* that a message to a PID may cross */

#define CXLF_FM_PID_NONE    0xfffu  /* nothing assigned */
#define CXLF_FM_LD_NONE     0xffffu /* a device that has one LD */
#define CXLF_FM_NO_DEVICE   0xffffu /* a PID that no LD has */
#define CXLF_FM_UNIT        (256ull << 20)  /* of capacities, in bytes */
#define CXLF_FM_MESSAGE     12u     /* bytes before a CCI message's payload */
#define CXLF_FM_PAYLOAD_LOG 12u     /* payloads of up to 4 KiB */

/* Return codes; those of CXL r3.1 section 8.2.8.4.5.1 that are used here. */
enum cxlf_cci {
    CXLF_CCI_SUCCESS = 0x00,
    CXLF_CCI_BACKGROUND = 0x01,
    CXLF_CCI_INVALID_INPUT = 0x02,
    CXLF_CCI_UNSUPPORTED = 0x03,
    CXLF_CCI_INTERNAL_ERROR = 0x04,
    CXLF_CCI_RETRY = 0x05,
    CXLF_CCI_BUSY = 0x06,
    CXLF_CCI_INVALID_PA = 0x0f,
    CXLF_CCI_ABORTED = 0x12,
    CXLF_CCI_INVALID_LENGTH = 0x16,
    CXLF_CCI_INVALID_LOG = 0x17,
    CXLF_CCI_EXHAUSTED = 0x1d,
    CXLF_CCI_INVALID_EXTENTS = 0x1e,
};

/* Bits of the command effects log. */
#define CXLF_CEL_CONFIG     (1u << 1)   /* immediate configuration change */
#define CXLF_CEL_DATA       (1u << 2)
#define CXLF_CEL_POLICY     (1u << 3)
#define CXLF_CEL_BACKGROUND (1u << 6)

enum cxlf_fm_kind {
    CXLF_FM_SWITCH,
    CXLF_FM_DEVICE,
    CXLF_FM_GFD,
    CXLF_FM_KINDS
};

/* Current Port Configuration State. */
enum cxlf_fm_port_state {
    CXLF_FM_PORT_DISABLED = 0,
    CXLF_FM_PORT_BINDING = 1,
    CXLF_FM_PORT_UNBINDING = 2,
    CXLF_FM_PORT_DSP = 3,
    CXLF_FM_PORT_USP = 4,
    CXLF_FM_PORT_FABRIC = 5,
};

/* Connected Device Type. */
enum cxlf_fm_partner {
    CXLF_FM_NOBODY = 0,
    CXLF_FM_SLD = 4,
    CXLF_FM_MLD = 5,
    CXLF_FM_A_GFD = 6,
    CXLF_FM_A_SWITCH = 7,
};

/* Binding Status of a vPPB. */
enum cxlf_fm_status {
    CXLF_FM_UNBOUND = 0,
    CXLF_FM_IN_PROGRESS = 1,
    CXLF_FM_BOUND_PORT = 2,
    CXLF_FM_BOUND_LD = 3,
    CXLF_FM_BOUND_PID = 4,
};

/* What is, or is to be, behind a vPPB. */
struct cxlf_fm_binding {
    uint16_t component;     /* the switch */
    uint8_t vcs;
    uint8_t vppb;
    uint8_t port;           /* of the switch; unless @by_pid */
    bool by_pid;
    uint8_t option;         /* of Unbind: 0 wait, 1 managed, 2 surprise */
    uint16_t ld;            /* CXLF_FM_LD_NONE: the whole device */
    uint16_t pid;           /* if @by_pid */
    uint16_t device;        /* component that has the LD, or NO_DEVICE */
};

/* Memory of a device that is to be erased. */
struct cxlf_fm_memory {
    uint16_t component;     /* the device */
    uint16_t ld;            /* CXLF_FM_LD_NONE: dynamic capacity */
    uint64_t start;         /* bytes: in the LD, or a DPA */
    uint64_t length;        /* bytes */
};

enum cxlf_fm_event_type {
    CXLF_FM_VPPB_CHANGED,   /* @a VCS, @b vPPB */
    CXLF_FM_OWNER_CHANGED,  /* @a PID of the primary */
    CXLF_FM_AER,            /* @a VCS, @b vPPB, @start error, @tag header */
    CXLF_FM_REGION_CHANGED, /* @a host, @b region */
    CXLF_FM_DC_ADD,         /* @a host; @start, @length, @tag */
    CXLF_FM_DC_RELEASE,     /* the same */
    CXLF_FM_DC_FORCED,      /* the same: gone already */
    CXLF_FM_SAT_CHANGED,    /* @a source PID */
};

struct cxlf_fm_event {
    uint16_t component;
    uint8_t type;           /* enum cxlf_fm_event_type */
    uint16_t a, b;
    uint16_t sequence;      /* of a shared extent */
    uint64_t start, length; /* bytes */
    uint8_t tag[16];
};

/* A request of configuration space: of a port, or of an LD behind it. */
struct cxlf_fm_config {
    uint16_t component;
    uint8_t port;
    uint16_t ld;            /* CXLF_FM_LD_NONE: the port itself */
    uint16_t reg;           /* of a double word, in bytes */
    uint8_t enables;        /* a bit for each byte */
    bool write;
    uint32_t data;          /* written, or read */
};

/* A request of the memory space of an LD. */
struct cxlf_fm_access {
    uint16_t component;
    uint8_t port;
    uint16_t ld;
    uint8_t first, last;    /* byte enables of the first and last dword */
    bool write;
    uint64_t address;
    uint16_t length;        /* bytes, 1 to 4096 */
};

/*
 * What happens in the fabric; given by the caller.  None may call
 * cxlf_fm_command().  bind, unbind and erase only begin something: its end is
 * told by cxlf_fm_complete() with the same @token, now or later, once.
 * bind, unbind, erase and event are required.  Commands whose function is
 * NULL are Unsupported.
 */
struct cxlf_fm_ops {
    /* Show a device to the host behind a vPPB (hot-plug). */
    void (*bind)(void *opaque, const struct cxlf_fm_binding *binding,
                 uint64_t token);
    /* Take it away; when this has completed no host reaches it. */
    void (*unbind)(void *opaque, const struct cxlf_fm_binding *binding,
                   uint64_t token);
    /* Overwrite memory with zeros. */
    void (*erase)(void *opaque, const struct cxlf_fm_memory *memory,
                  uint64_t token);
    void (*event)(void *opaque, const struct cxlf_fm_event *event);

    /*
     * Place LDs of new sizes in an MLD's memory: @size of each in bytes, those
     * that are bound as before.  False, and nothing has changed, if there is
     * no room for one in one piece.  NULL: there always is.
     */
    bool (*place)(void *opaque, unsigned component, const uint64_t *size);

    /* QoS Control, allocated bandwidth or a limit of an MLD was set. */
    void (*qos_set)(void *opaque, unsigned component);
    /* What Get QoS Status says, per cent.  NULL: what the device says. */
    uint8_t (*backpressure)(void *opaque, unsigned component);

    /* 0 assert PERST#, 1 deassert it, 2 reset the PPB */
    enum cxlf_cci (*port_control)(void *opaque, unsigned component,
                                  unsigned port, unsigned operation);
    enum cxlf_cci (*config)(void *opaque, struct cxlf_fm_config *request);
    enum cxlf_cci (*access)(void *opaque, const struct cxlf_fm_access *request,
                            uint8_t *data);
    /* A command for an LD's own CCI; *@out_len bytes, at most @out_cap. */
    enum cxlf_cci (*ld_command)(void *opaque, unsigned component, unsigned ld,
                                uint16_t opcode, const uint8_t *in,
                                size_t in_len, uint8_t *out, size_t out_cap,
                                size_t *out_len);
    /*
     * Routing tables of a switch, in the format of the commands.  @n entries
     * are set as one change, or none is.
     */
    bool (*drt_get)(void *opaque, unsigned component, unsigned drt,
                    unsigned pid, uint8_t entry[2]);
    bool (*drt_set)(void *opaque, unsigned component, unsigned drt,
                    unsigned pid, unsigned n, const uint8_t *entry);
    bool (*rgt_get)(void *opaque, unsigned component, unsigned rgt,
                    unsigned index, uint8_t entry[12]);
    bool (*rgt_set)(void *opaque, unsigned component, unsigned rgt,
                    unsigned index, unsigned n, const uint8_t *entry);
    /* Whether the link of a switch's port is up.  NULL: all are. */
    bool (*port_up)(void *opaque, unsigned component, unsigned port);
    /*
     * Access control of a GFD, in the format of the commands, as one change:
     * @n entries of {source PID16, vector32}; @n decoders of a source from
     * @first on.  False: it cannot have them, which is Invalid Input.  NULL:
     * anything goes.
     */
    bool (*sat_set)(void *opaque, unsigned component, unsigned n,
                    const uint8_t *list);
    bool (*gdt_set)(void *opaque, unsigned component, unsigned pid,
                    unsigned first, unsigned n, const uint8_t *entry);
    /*
     * Whether the GAE of a VCS may reach a PID, by its GMV.  False: Invalid
     * Input.  NULL: nothing else depends on it.
     */
    bool (*gae_set)(void *opaque, unsigned component, unsigned vcs,
                    unsigned pid, bool may);
};

/* Who sends a message; known to whatever carried it, not said by it. */
struct cxlf_fm_who {
    uint16_t pid;           /* of the sender, or CXLF_FM_PID_NONE */
    uint8_t port;           /* of the component, where it came in */
    bool host;              /* a host's mailbox, not a Fabric Manager's */
};

struct cxlf_fm_identity {
    uint16_t pid;           /* CXLF_FM_PID_NONE: there is none */
    uint8_t uuid[16];
};

struct cxlf_fm_link {
    uint8_t max_width, width;       /* lanes */
    uint8_t speeds;                 /* a bit for each speed supported */
    uint8_t max_speed, speed;
    uint8_t ltssm;
    uint16_t flags;
};

struct cxlf_fm_vppb {
    uint8_t status;         /* enum cxlf_fm_status */
    uint8_t port;
    uint16_t ld;
    uint16_t pid;
    uint16_t device;        /* that has that PID's LD, plus 1; or 0 */
    uint16_t latency, bandwidth;
    uint64_t latency_base, bandwidth_base;
};

struct cxlf_fm_vcs {
    bool exists;
    uint8_t gae;            /* its number, plus 1; or 0 */
    uint8_t usp;            /* its port */
    uint8_t vppbs;          /* with vPPB 0, the USP's */
    struct cxlf_fm_vppb vppb[CXLF_FM_VPPBS];
};

struct cxlf_fm_port {
    bool exists;
    uint8_t state;          /* enum cxlf_fm_port_state: DSP, USP, FABRIC */
    uint8_t vcs;            /* of a USP, if it has one */
    uint8_t peer_port;
    uint16_t peer;          /* component at the other end, plus 1; or 0 */
    uint16_t pid;
    struct cxlf_fm_link link;
};

struct cxlf_fm_switch {
    uint8_t drts, rgts;     /* tables of each kind */
    uint16_t rgt_entries;   /* of each RGT; a DRT has 4,096 */
    uint8_t modes;          /* routing modes supported */
    uint8_t gaes;           /* VCSs that have one */
    struct cxlf_fm_port port[CXLF_FM_PORTS];
    struct cxlf_fm_vcs vcs[CXLF_FM_VCSS];
};

struct cxlf_fm_ld {
    uint64_t range[2];      /* in units of the device's granularity */
    uint16_t pid;           /* of an MLD's LD */
    uint16_t bound;         /* component of the switch, plus 1; or 0 */
    uint8_t vcs, vppb;
    bool erased;            /* nothing that a host wrote is in it */
    uint8_t allocated, limit;   /* bandwidth, in 1/256 */
    uint8_t head;
};

struct cxlf_fm_region {
    uint64_t start, length; /* bytes of DPA */
    uint64_t blocks;        /* block sizes supported: a bit for each */
    uint64_t block;         /* size in force, bytes */
    uint8_t flags;          /* as in DSMAS */
    bool sanitize;          /* on release */
};

struct cxlf_fm_extent {
    uint64_t start, length; /* bytes of DPA; length 0: a free slot */
    uint8_t tag[16];
    uint16_t sequence;
    uint16_t pending;       /* hosts that have not answered: a bit each */
    uint16_t hosts;         /* hosts that have accepted it */
    bool reference;         /* the Fabric Manager holds it */
    bool erasing;           /* nobody's, and not free yet */
    uint32_t token;
};

/* Dynamic capacity of a device or a GFD. */
struct cxlf_fm_dcd {
    uint8_t hosts;          /* that can have extents */
    uint8_t regions;
    uint8_t extents;        /* slots that were ever used */
    uint32_t generation;    /* of the list of extents */
    struct cxlf_fm_region region[CXLF_FM_REGIONS];
    struct cxlf_fm_extent extent[CXLF_FM_EXTENTS];
};

struct cxlf_fm_device {
    bool multi;             /* an MLD: its LDs are named */
    uint8_t lds, heads;
    uint8_t granularity;    /* 0: 256 MiB, 1: 512 MiB, 2: 1 GiB */
    uint64_t memory;        /* bytes that LDs can be given */
    uint8_t qos_capability;
    uint8_t qos[7];         /* QoS Control, as in the command */
    uint8_t backpressure;   /* per cent */
    struct cxlf_fm_ld ld[CXLF_FM_LDS];
    struct cxlf_fm_link head[CXLF_FM_LDS];
    struct cxlf_fm_dcd dcd; /* its LDs are the hosts */
};

struct cxlf_fm_gdt {
    uint8_t entry[0x20];    /* as in the command, from @idx */
};

struct cxlf_fm_sat {
    uint32_t groups;        /* that the source PID reaches */
    bool notify;
};

struct cxlf_fm_gfd {
    struct cxlf_fm_dcd dcd;
    struct cxlf_fm_sat sat[CXLF_FM_SATS];
    struct cxlf_fm_gdt gdt[CXLF_FM_SATS][CXLF_FM_GDTS];
};

/* The fabric address segment table of a vPPB. */
struct cxlf_fm_fast {
    bool enabled;
    uint8_t size;           /* of a segment: 64 GiB << size */
    uint64_t base, limit;   /* the first and the last HPA of it, bytes */
    uint8_t segment[CXLF_FM_SEGMENTS][8];   /* as in the command */
    uint16_t idt[CXLF_FM_IDTS];             /* DPIDs */
};

struct cxlf_fm_gae {
    uint8_t access[2][512]; /* a bit for each PID: GMV, VTV */
    struct cxlf_fm_fast fast[CXLF_FM_VPPBS];
};

enum cxlf_fm_phase {
    CXLF_FM_IDLE,
    CXLF_FM_ERASE_FIRST,    /* of Bind: an LD that was never erased */
    CXLF_FM_SHOW,           /* of Bind */
    CXLF_FM_HIDE,           /* of Unbind */
    CXLF_FM_ERASE,          /* of Unbind */
};

struct cxlf_fm_background {
    uint8_t phase;          /* enum cxlf_fm_phase */
    uint8_t percent;
    uint16_t opcode;        /* of the last one, too */
    uint16_t result;
    uint32_t token;
    struct cxlf_fm_binding binding;
};

struct cxlf_fm_component {
    uint8_t kind;           /* enum cxlf_fm_kind */
    uint8_t index;          /* in the array of its kind */
    uint8_t limit;          /* of responses: 2 to that power bytes */
    uint16_t pid;
    uint16_t connected;     /* heads of a device: a bit each */
    uint16_t vendor, device;
    uint64_t serial;
    struct cxlf_fm_identity primary, secondary;
    struct cxlf_fm_background background;
};

struct cxlf_fm {
    struct cxlf_fm_ops ops;
    void *opaque;
    uint32_t tokens;
    uint16_t components;
    uint8_t switches, devices, gfds, gaes;
    struct cxlf_fm_component component[CXLF_FM_COMPONENTS];
    struct cxlf_fm_switch sw[CXLF_FM_SWITCHES];
    struct cxlf_fm_device dev[CXLF_FM_DEVICES];
    struct cxlf_fm_gfd gfd[CXLF_FM_GFDS];
    struct cxlf_fm_gae gae[CXLF_FM_GAES];
};

/*
 * cxlf_fm_init: an empty fabric.  @ops is copied.  About 13 MiB; zero pages
 * are touched only where components are added, if @fm is zeroed memory:
 * that is required.  False if a required function is missing.
 */
bool cxlf_fm_init(struct cxlf_fm *fm, const struct cxlf_fm_ops *ops,
                  void *opaque);

/*
 * Building the fabric.  Components are numbered from 0 as they are added; -1
 * when a bound is exceeded or a number makes no sense.
 */
int cxlf_fm_add_switch(struct cxlf_fm *fm, uint64_t serial, unsigned drts,
                       unsigned rgts, unsigned rgt_entries);

/*
 * An SLD, with one LD, or an MLD.  @memory is in bytes, a multiple of
 * CXLF_FM_UNIT, shared equally by the LDs.  LD i belongs to head i % @heads.
 */
int cxlf_fm_add_device(struct cxlf_fm *fm, uint64_t serial, bool multi,
                       unsigned lds, unsigned heads, uint64_t memory);

/* A GFD, whose dynamic capacity is for @hosts hosts, at most CXLF_FM_LDS. */
int cxlf_fm_add_gfd(struct cxlf_fm *fm, uint64_t serial, unsigned hosts);

/*
 * A region of dynamic capacity of a device or a GFD, in bytes of DPA:
 * multiples of CXLF_FM_UNIT, in order.  @blocks has a bit for each block size;
 * the smallest is in force.
 */
bool cxlf_fm_add_region(struct cxlf_fm *fm, unsigned component, uint64_t start,
                        uint64_t length, uint64_t blocks, unsigned flags,
                        bool sanitize);

/* @state is DSP, USP or FABRIC. */
bool cxlf_fm_add_port(struct cxlf_fm *fm, unsigned component, unsigned port,
                      enum cxlf_fm_port_state state);

/*
 * A VCS with @vppbs vPPBs, of which the first is that of port @usp; with @gae
 * its host has a GAE, of CXLF_FM_GAES.
 */
bool cxlf_fm_add_vcs(struct cxlf_fm *fm, unsigned component, unsigned vcs,
                     unsigned usp, unsigned vppbs, bool gae);

/*
 * A link: between two fabric ports; or a DSP and a head of a device (its
 * number is @peer_port), or a GFD (0).
 */
bool cxlf_fm_connect(struct cxlf_fm *fm, unsigned component, unsigned port,
                     unsigned peer, unsigned peer_port);

/* What the commands say of a port's link. */
bool cxlf_fm_set_link(struct cxlf_fm *fm, unsigned component, unsigned port,
                      const struct cxlf_fm_link *link);

/*
 * cxlf_fm_bound: an LD of a device is behind a vPPB from the beginning, as by
 * Bind: @b's component, VCS, vPPB, port and LD; or with @by_pid as by Configure
 * PID Binding: the PID that it has.  False if the command would refuse.
 */
bool cxlf_fm_bound(struct cxlf_fm *fm, const struct cxlf_fm_binding *b);

/*
 * cxlf_fm_command: one command.
 * @who: the sender; @component: whose CCI it was sent to.  @in and @out do not
 * overlap.  *@out_len is 0 unless the command succeeds; @out_cap bytes are
 * room enough for any answer with 4 KiB.  CXLF_CCI_BACKGROUND: it has begun,
 * and may have ended already; Background Operation Status tells.
 */
enum cxlf_cci cxlf_fm_command(struct cxlf_fm *fm,
                              const struct cxlf_fm_who *who,
                              unsigned component, uint16_t opcode,
                              const uint8_t *in, size_t in_len,
                              uint8_t *out, size_t out_cap, size_t *out_len);

/*
 * cxlf_fm_complete: what began with @token has ended.  False, and nothing
 * else, when nothing waits for it (any more).
 */
bool cxlf_fm_complete(struct cxlf_fm *fm, uint64_t token, bool success);

/*
 * A host answers to dynamic capacity, through its own device's mailbox: it
 * accepts or rejects what was added; it gives back what it had accepted.
 * False if it has no such extent.
 */
bool cxlf_fm_dc_answer(struct cxlf_fm *fm, unsigned component, unsigned host,
                       uint64_t start, uint64_t length, bool accept);
bool cxlf_fm_dc_give_back(struct cxlf_fm *fm, unsigned component,
                          unsigned host, uint64_t start, uint64_t length);

/*
 * cxlf_fm_fast_pid: the PID that the GAE of a VCS, of a switch, sends an
 * access of its host to, by the FASTs of its vPPBs: @hpa in bytes.
 * CXLF_FM_PID_NONE: none takes it, or the GAE may not reach that PID.
 */
uint16_t cxlf_fm_fast_pid(const struct cxlf_fm *fm, unsigned component,
                          unsigned vcs, uint64_t hpa);

/*
 * cxlf_fm_config_read: the function config of struct cxlf_fm_ops for who has
 * nothing better: what is known of a port, or of an LD, as registers; see
 * docs/fabric-manager.md, "Configuration registers".  They cannot be written:
 * CXLF_CCI_UNSUPPORTED.  @request is as config gets it, of what is there.
 */
enum cxlf_cci cxlf_fm_config_read(const struct cxlf_fm *fm,
                                  struct cxlf_fm_config *request);

/*
 * cxlf_fm_check: whether the state is one that commands can lead to: an LD
 * behind at most one vPPB, what is behind a vPPB was erased before, extents
 * apart.  NULL, or what is wrong.  For tests.
 */
const char *cxlf_fm_check(const struct cxlf_fm *fm);

/* The name of a command, or NULL. */
const char *cxlf_fm_command_name(uint16_t opcode);

#endif /* CXLF_FM_H */
