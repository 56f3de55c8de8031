/*
 * Helpers of the CXL fabric's qtests: fabrics, hosts, counters
 *
 * An owner without a guest and hosts that join it are QEMU processes of one
 * test.  There is no firmware, so the helpers number the buses, place the
 * BARs and commit the decoders that a guest would.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CXLF_QTEST_H
#define TESTS_CXLF_QTEST_H

#include "tests/qtest/libqtest.h"
#include "qobject/qdict.h"
#include "cxlf/directory.h"

#define MIB             (1ull << 20)
#define CLASS_SIZE      (256 * MIB)     /* of HOT and of BULK by default */
/* How long a test waits for a condition before it fails. */
#define CXLF_PATIENCE   30              /* seconds */
#define CXLF_GFAMS      2               /* downstream ports of a host */

/* PCI addresses, as cxlf_host_start() makes and cxlf_host_program() sets. */
#define BDF(bus, dev)   ((bus) << 20 | (dev) << 15)
#define BDF_ECA         BDF(0, 3)
#define BDF_EDU         BDF(0, 5)
#define BDF_RP          BDF(12, 0)
#define BDF_US          BDF(13, 0)
#define BDF_DS(n)       BDF(14, n)
#define BDF_GFAM(n)     BDF(15 + (n), 0)

/* A host's QEMU, and where its registers and windows are. */
/* For hosts of which every access to HOT is to be counted. */
#define CXLF_NEVER_MAPPED " -global dpu-eca.hot-map-after=0"

typedef struct CxlfHost {
    QTestState *qts;
    int number;             /* in the fabric */
    uint64_t window;        /* HPA of the fixed window */
    uint64_t window_size;
    uint64_t hb;            /* component registers */
    uint64_t rp;
    uint64_t us;
    uint64_t ds[CXLF_GFAMS];
    uint64_t gfam[CXLF_GFAMS];
    uint64_t eca;           /* BAR 0 of the agent */
    uint64_t edu;           /* BAR 0 of the edu device, if there is one */
} CxlfHost;

/* Counters in the order of enum cxlf_counter. */
typedef struct CxlfCounters {
    uint64_t n[CXLF_COUNTERS];
} CxlfCounters;

/* cxlf_socket_path: a new path for a fabric's socket; free with g_free. */
char *cxlf_socket_path(void);

/* cxlf_owner_start: a guest-less owner; @more: ",hosts=2" and the like. */
QTestState *cxlf_owner_start(const char *socket, const char *more);

/*
 * cxlf_host_start: a host that joins at @socket (NULL: embedded fabric) with
 * @gfams endpoints, and programs it.  @gfam_options is appended to each
 * cxl-gfam, @more to the command line (both may be "").
 */
CxlfHost *cxlf_host_start(const char *socket, int gfams,
                          const char *gfam_options, const char *more);

/* The same, for a cxl-fabric object of the caller's: its properties. */
CxlfHost *cxlf_host_start_fabric(const char *fabric, int gfams,
                                 const char *gfam_options, const char *more);

/* cxlf_host_program: what firmware would do; again after each reset. */
void cxlf_host_program(CxlfHost *h);
void cxlf_host_stop(CxlfHost *h);

/* The edu device, for a host's @more; the test's DMA. */
#define CXLF_EDU \
    " -device edu,bus=pcie.0,addr=5,dma_mask=0xffffffffffffffff"
/* cxlf_edu_dma: up to 4 KiB between the device's buffer and memory. */
void cxlf_edu_dma(CxlfHost *h, bool to_memory, uint64_t address,
                  unsigned count);

/*
 * cxlf_host_forget: after the process was killed: reap it, and keep libqtest
 * from reporting the signal.
 */
void cxlf_forget(QTestState *qts);
void cxlf_host_forget(CxlfHost *h);

/* cxlf_freeze: SIGSTOP to a QEMU of this test; no thread runs after it. */
void cxlf_freeze(pid_t pid);

/* PCI configuration space: @bdf of BDF(). */
uint32_t cxlf_config_readl(CxlfHost *h, uint32_t bdf, unsigned offset);
uint16_t cxlf_config_readw(CxlfHost *h, uint32_t bdf, unsigned offset);

/* cxlf_express_capability: offset of the PCI Express capability. */
unsigned cxlf_express_capability(CxlfHost *h, uint32_t bdf);

void cxlf_config_writel(CxlfHost *h, uint32_t bdf, unsigned offset,
                        uint32_t value);
void cxlf_config_writew(CxlfHost *h, uint32_t bdf, unsigned offset,
                        uint16_t value);
/* cxlf_ext_cap: offset of the @n-th extended capability @id, or 0. */
unsigned cxlf_ext_cap(CxlfHost *h, uint32_t bdf, uint16_t id, unsigned n);

/* cxlf_query: x-query-cxl-fabric of the only fabric; unref it. */
QDict *cxlf_query(QTestState *qts);
/* cxlf_counters: of a host number; -1: of all hosts together. */
CxlfCounters cxlf_counters(QTestState *qts, int host);
/* cxlf_shard: of one shard; -1: of all shards together. */
CxlfCounters cxlf_shard(QTestState *qts, int leaf, int shard);
CxlfCounters cxlf_minus(CxlfCounters after, CxlfCounters before);
/*
 * cxlf_assert_delta: exactly these counters moved: pairs of counter and
 * count, both int, and CXLF_COUNTERS to end them.
 */
void cxlf_assert_delta(CxlfCounters delta, ...);

/* cxlf_host_state: "free", "up" and so on; free with g_free. */
char *cxlf_host_state(QTestState *qts, int host, int64_t *pid,
                      int64_t *deaths);
/* cxlf_wait_host_state: polls until it is @state. */
void cxlf_wait_host_state(QTestState *qts, int host, const char *state);
/* cxlf_wait_event: the event's data; unref it. */
QDict *cxlf_wait_event(QTestState *qts, const char *name);
/* cxlf_has_event: whether it was emitted; forgets it. */
bool cxlf_has_event(QTestState *qts, const char *name);
/* cxlf_deadline: for loops that wait for a condition. */
gint64 cxlf_deadline(void);
void cxlf_pause(gint64 deadline, const char *what);

/*
 * cxlf_add_error: object-add of a cxl-fabric with @json (its properties after
 * the id) must fail, with @text in the error's description.
 */
void cxlf_add_error(QTestState *qts, const char *json, const char *text);
void cxlf_object_add(QTestState *qts, const char *json);
void cxlf_object_del(QTestState *qts, const char *id);
/* cxlf_open_memfd: shared memory of that name, as this QEMU has it. */
int cxlf_open_memfd(QTestState *qts, const char *name);
/* cxlf_start_error: QEMU with @args must not start, and say @text. */
void cxlf_start_error(const char *args, const char *text);

#endif /* TESTS_CXLF_QTEST_H */
