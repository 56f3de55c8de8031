/*
 * Helpers of the CXL fabric's qtests: HDM decoders, regions, fabrics of hosts
 *
 * Offsets are those of CXL r3.1 sections 8.2.4 and 8.2.4.20, found through
 * the capability array as a driver finds them.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CXLF_HDM_H
#define TESTS_CXLF_HDM_H

#include "cxlf-qtest.h"

#define CXLF_CAP_HDM            0x05
#define CXLF_CAP_BI_ROUTE_TABLE 0x0b
#define CXLF_CAP_BI_DECODER     0x0c

#define HDM_COMMIT      (1u << 9)
#define HDM_COMMITTED   (1u << 10)
#define HDM_ERR         (1u << 11)

/* Levels of a decoder path, from the endpoint up. */
enum { CXLF_EP, CXLF_US, CXLF_HB, CXLF_LEVELS };

/* A region of one endpoint; the same decoder number at every level. */
typedef struct CxlfRegion {
    CxlfHost *h;
    int gfam;
    unsigned ep;            /* decoder of the endpoint */
    unsigned port;          /* decoder of upstream port and host bridge */
    uint64_t base;          /* HPA */
    uint64_t size;
    uint64_t skip;          /* DPA before it that no decoder maps */
} CxlfRegion;

/*
 * cxlf_cap: address of capability @id in the component registers at
 * @component, or 0.
 */
uint64_t cxlf_cap(CxlfHost *h, uint64_t component, uint16_t id);

/* cxlf_hdm: address of the base register of decoder @n. */
uint64_t cxlf_hdm(CxlfHost *h, uint64_t component, unsigned n);

/* cxlf_hdm_set: fill a decoder, without its control register. */
void cxlf_hdm_set(CxlfHost *h, uint64_t component, unsigned n, uint64_t base,
                  uint64_t size, uint64_t target_or_skip);
uint32_t cxlf_hdm_control(CxlfHost *h, uint64_t component, unsigned n);
void cxlf_hdm_control_write(CxlfHost *h, uint64_t component, unsigned n,
                            uint32_t value);

/* cxlf_commit_level: one level; returns its control register. */
uint32_t cxlf_commit_level(const CxlfRegion *r, int level);
void cxlf_uncommit_level(const CxlfRegion *r, int level);

/* cxlf_commit: in Linux's order, endpoint up; each must be committed. */
void cxlf_commit(const CxlfRegion *r);
/* cxlf_uncommit: in Linux's order, host bridge down. */
void cxlf_uncommit(const CxlfRegion *r);

/*
 * cxlf_region: committed region over all of HOT and BULK of device @gfam,
 * at the same place of the window in every host; decoder 0 of the endpoint,
 * @gfam of the ports.
 */
CxlfRegion cxlf_whole_region(CxlfHost *h, int gfam);

/* What a host sees at @dpa of a whole region. */
uint64_t cxlf_load(const CxlfRegion *r, uint64_t dpa, unsigned size);
void cxlf_store(const CxlfRegion *r, uint64_t dpa, uint64_t value,
                unsigned size);

/* cxlf_serial: the serial number of the endpoint behind port @gfam. */
uint64_t cxlf_serial(CxlfHost *h, int gfam);

/*
 * cxlf_classes: what the CDAT of the endpoint behind port @gfam tells, in the
 * order of its DSMAS, read by DOE (PCIe r6.0 section 6.30, CXL r3.1 section
 * 8.1.11).  Returns how many; *@dslbis: how many of these.
 */
typedef struct CxlfClass {
    uint8_t flags;
    uint64_t base, size;
} CxlfClass;

int cxlf_classes(CxlfHost *h, int gfam, CxlfClass *class, int capacity,
                 unsigned *dslbis);

/*
 * cxlf_mailbox: a command of @length bytes at @in to the mailbox of the
 * endpoint behind @port.  Returns its return code; *@got bytes are at @out.
 */
uint16_t cxlf_mailbox(CxlfHost *h, int port, uint16_t opcode, const void *in,
                      unsigned length, void *out, unsigned *got);

/*
 * Hot-plug, with what the guest's driver of the slot does.  cxlf_plug: an
 * endpoint of @gfam (@ld -1: of all of it) with the id gfam<port> behind
 * @port, and program it.  cxlf_unplug: take it out, and wait for its end.
 */
void cxlf_slot_power(CxlfHost *h, int port, bool on);
void cxlf_plug(CxlfHost *h, int port, unsigned gfam, int ld);
void cxlf_unplug(CxlfHost *h, int port);

/* An owner without a guest, and hosts with a whole region each. */
#define CXLF_HOSTS  8
typedef struct CxlfFabric {
    char *path;
    QTestState *owner;
    int hosts;
    CxlfHost *h[CXLF_HOSTS];            /* NULL: it has ended */
    CxlfRegion r[CXLF_HOSTS];           /* of device 0 */
    CxlfCounters last[CXLF_HOSTS + 1];  /* of cxlf_counted() */
} CxlfFabric;

/*
 * cxlf_fabric_start: with hosts 0 to @hosts - 1; @owner is for
 * cxlf_owner_start(), which gets hosts= besides, @more for each
 * cxlf_host_start() (both may be "").  cxlf_fabric_stop() frees it.
 */
CxlfFabric *cxlf_fabric_start(int hosts, const char *owner, const char *more);
/* cxlf_fabric_host: start @host, or again after it has ended. */
void cxlf_fabric_host(CxlfFabric *f, int host, const char *more);
/*
 * cxlf_fabric_stop: stops the hosts and the owner, and frees all of it.  Who
 * stops or forgets one before that sets its h[], or owner, to NULL.
 */
void cxlf_fabric_stop(CxlfFabric *f);
/* cxlf_counted: by a host, or all (-1), since the last call for it. */
CxlfCounters cxlf_counted(CxlfFabric *f, int host);

#endif /* TESTS_CXLF_HDM_H */
