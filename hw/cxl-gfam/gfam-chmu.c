/*
 * GFAM device: the CXL hotness monitoring unit (CHMU)
 *
 * Which units of the device's memory this host uses most, as far as the
 * agent sees it: docs/specs/chmu.md.  The agent counts; here are the
 * registers, the epochs and the hot list.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "hw/pci/msix.h"
#include "gfam-chmu-regs.h"
#include "gfam-internal.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(CHMU_HOT_LIST + CHMU_LIST * 8 > CHMU_LENGTH);
QEMU_BUILD_BUG_ON((CXLF_MAX_HOT + CXLF_MAX_BULK) / CXLF_CAPACITY_UNIT / 8 >
                  CHMU_HOT_LIST - CHMU_BITMAP);

/* How long an operation is seen to be in progress. */
#define OPERATION_NS    10000

struct GFAMChmu {
    CXLGFAM *gfam;
    QEMUTimer *epoch_timer, *operation_timer;
    uint64_t conf0, conf1, conf2;
    uint64_t *ranges;       /* a bit for each 256 MiB */
    unsigned range_words;
    uint64_t epoch_ns;
    uint16_t operation;
    bool enabled;
    bool overflow, level;   /* as STATUS shows them */
    uint16_t head, tail;
    uint32_t listed, dropped;   /* in the epoch that ends */
    uint64_t list[CHMU_LIST];
};

static void guest_error(GFAMChmu *c, const char *what, const char *why)
{
    trace_gfam_chmu_control(c->gfam->gfam, what, why);
    qemu_log_mask(LOG_GUEST_ERROR, "cxl-gfam: CHMU: %s: %s\n", what, why);
}

static unsigned fill(const GFAMChmu *c)
{
    return (c->tail - c->head + CHMU_LIST) % CHMU_LIST;
}

static void interrupt(GFAMChmu *c)
{
    PCIDevice *dev = PCI_DEVICE(c->gfam);

    if (msix_enabled(dev)) {
        msix_notify(dev, CHMU_MSI);
    }
}

/* Epochs */

static void list_unit(void *opaque, uint64_t unit, uint32_t count)
{
    GFAMChmu *c = opaque;
    unsigned next = (c->tail + 1) % CHMU_LIST;

    if (next == c->head) {
        c->dropped++;
        return;
    }
    c->list[c->tail] = unit << CHMU_COUNTER_WIDTH | count;
    c->tail = next;
    c->listed++;
}

static void end_epoch(void *opaque)
{
    GFAMChmu *c = opaque;
    unsigned before = fill(c);
    uint64_t level = FIELD_EX64(c->conf2, CHMU_CONF2, LEVEL);
    bool notify = false;

    timer_mod_ns(c->epoch_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                 c->epoch_ns);
    c->listed = c->dropped = 0;
    eca_hot_epoch(c->gfam->eca, c->gfam->gfam, gfam_ld(c->gfam),
                  FIELD_EX64(c->conf0, CHMU_CONF0, THRESHOLD), list_unit, c);
    if (c->dropped) {
        notify |= !c->overflow &&
                  FIELD_EX64(c->conf0, CHMU_CONF0, OVERFLOW_INT);
        c->overflow = true;
    }
    if (level && before < level && fill(c) >= level) {
        notify |= !c->level && FIELD_EX64(c->conf0, CHMU_CONF0, LEVEL_INT);
        c->level = true;
    }
    trace_gfam_chmu_epoch(c->gfam->gfam, c->listed, c->dropped);
    if (notify) {
        interrupt(c);
    }
}

/* Operations */

static uint64_t epoch_ns(const GFAMChmu *c)
{
    static const uint64_t scale_ns[] = {
        0, 100000, 1000000, 10000000, 100000000, 1000000000,
    };
    unsigned scale = FIELD_EX64(c->conf1, CHMU_CONF1, SCALE);

    return scale < ARRAY_SIZE(scale_ns) ?
           scale_ns[scale] * FIELD_EX64(c->conf1, CHMU_CONF1, VALUE) : 0;
}

/* A sentence that says why it cannot be enabled so, or NULL. */
static const char *check(const GFAMChmu *c)
{
    uint64_t what = FIELD_EX64(c->conf0, CHMU_CONF0, WHAT);
    uint64_t threshold = FIELD_EX64(c->conf0, CHMU_CONF0, THRESHOLD);
    uint64_t unit = FIELD_EX64(c->conf1, CHMU_CONF1, UNIT);
    uint64_t ns = epoch_ns(c);

    if (what < CHMU_READS || what > CHMU_BOTH) {
        return "it cannot track these requests";
    }
    if (threshold == 0 || threshold > CHMU_MAX_COUNT) {
        return "no counter can tell that threshold";
    }
    if (unit < CHMU_MIN_SHIFT || unit > CHMU_MAX_SHIFT) {
        return "it has no units of that size";
    }
    if (FIELD_EX64(c->conf1, CHMU_CONF1, SAMPLING) > CHMU_MAX_SAMPLING) {
        return "it has no such down-sampling factor";
    }
    if (FIELD_EX64(c->conf1, CHMU_CONF1, MODE)) {
        return "its only reporting mode is that of epochs";
    }
    if (ns < CHMU_MIN_EPOCH_NS || ns > CHMU_MAX_EPOCH_NS) {
        return "it has no epochs of that length";
    }
    return NULL;
}

static void start(GFAMChmu *c)
{
    unsigned what = FIELD_EX64(c->conf0, CHMU_CONF0, WHAT);
    ECAHotConfig config = {
        .unit_shift = FIELD_EX64(c->conf1, CHMU_CONF1, UNIT),
        .sampling = FIELD_EX64(c->conf1, CHMU_CONF1, SAMPLING),
        .random = FIELD_EX64(c->conf0, CHMU_CONF0, RANDOM),
        .reads = what != CHMU_WRITES,
        .writes = what != CHMU_READS,
        .max_count = CHMU_MAX_COUNT,
        .ranges = c->ranges,
        .start = gfam_dpa(c->gfam, 0),
    };

    c->epoch_ns = epoch_ns(c);
    eca_hot_start(c->gfam->eca, c->gfam->gfam, gfam_ld(c->gfam), &config);
    timer_mod_ns(c->epoch_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                 c->epoch_ns);
    c->enabled = true;
}

static void stop(GFAMChmu *c)
{
    timer_del(c->epoch_timer);
    eca_hot_stop(c->gfam->eca, c->gfam->gfam, gfam_ld(c->gfam));
    c->enabled = false;
}

static void empty_list(GFAMChmu *c)
{
    c->head = c->tail = 0;
    memset(c->list, 0, sizeof(c->list));
    c->overflow = c->level = false;
}

static void end_operation(void *opaque)
{
    GFAMChmu *c = opaque;

    switch (c->operation) {
    case CHMU_ENABLING:
        start(c);
        break;
    case CHMU_DISABLING:
        stop(c);
        break;
    case CHMU_RESETTING:
        empty_list(c);
        if (c->enabled) {
            start(c);       /* counters and the epoch begin anew */
        }
        break;
    }
    c->operation = CHMU_IDLE;
}

static void begin_operation(GFAMChmu *c, unsigned operation, const char *name)
{
    trace_gfam_chmu_control(c->gfam->gfam, name, "ok");
    c->operation = operation;
    timer_mod_ns(c->operation_timer,
                 qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + OPERATION_NS);
}

/* Registers */

static uint64_t read_cap0(void)
{
    uint64_t v = 0;

    v = FIELD_DP64(v, CHMU_CAP0, MSI, CHMU_MSI);
    v = FIELD_DP64(v, CHMU_CAP0, OVERFLOW_INT, 1);
    v = FIELD_DP64(v, CHMU_CAP0, LEVEL_INT, 1);
    v = FIELD_DP64(v, CHMU_CAP0, TRACKED, MAKE_64BIT_MASK(0, CHMU_BOTH));
    v = FIELD_DP64(v, CHMU_CAP0, MAX_SCALE, CHMU_MAX_SCALE);
    v = FIELD_DP64(v, CHMU_CAP0, MAX_VALUE, CHMU_MAX_VALUE);
    v = FIELD_DP64(v, CHMU_CAP0, MIN_SCALE, CHMU_MIN_SCALE);
    v = FIELD_DP64(v, CHMU_CAP0, MIN_VALUE, CHMU_MIN_VALUE);
    return FIELD_DP64(v, CHMU_CAP0, LIST, CHMU_LIST);
}

static uint64_t read_cap1(void)
{
    uint64_t v = 0;

    v = FIELD_DP64(v, CHMU_CAP1, UNITS,
                   MAKE_64BIT_MASK(0, CHMU_MAX_SHIFT - CHMU_MIN_SHIFT + 1));
    v = FIELD_DP64(v, CHMU_CAP1, SAMPLING,
                   MAKE_64BIT_MASK(0, CHMU_MAX_SAMPLING + 1));
    v = FIELD_DP64(v, CHMU_CAP1, EPOCHS, 1);
    return FIELD_DP64(v, CHMU_CAP1, RANDOM, 1);
}

static uint64_t read_status(const GFAMChmu *c)
{
    uint64_t v = 0;

    v = FIELD_DP64(v, CHMU_STATUS, ENABLED, c->enabled);
    v = FIELD_DP64(v, CHMU_STATUS, OPERATION, c->operation);
    v = FIELD_DP64(v, CHMU_STATUS, COUNTER_WIDTH, CHMU_COUNTER_WIDTH);
    v = FIELD_DP64(v, CHMU_STATUS, OVERFLOW, c->overflow);
    return FIELD_DP64(v, CHMU_STATUS, LEVEL, c->level);
}

/* The 8 bytes at @at of the instance. */
static uint64_t read_instance(const GFAMChmu *c, hwaddr at)
{
    if (at >= CHMU_HOT_LIST && at < CHMU_HOT_LIST + CHMU_LIST * 8) {
        return c->list[(at - CHMU_HOT_LIST) / 8];
    }
    if (at >= CHMU_BITMAP && at < CHMU_BITMAP + c->range_words * 8) {
        return c->ranges[(at - CHMU_BITMAP) / 8];
    }
    switch (at) {
    case A_CHMU_CAP0:
        return read_cap0();
    case A_CHMU_CAP1:
        return read_cap1();
    case A_CHMU_CAP2:
        return CHMU_BITMAP;
    case A_CHMU_CAP3:
        return CHMU_HOT_LIST;
    case A_CHMU_CONF0:
        return c->conf0;
    case A_CHMU_CONF1:
        return c->conf1;
    case A_CHMU_CONF2:
        return c->conf2;
    case A_CHMU_STATUS:
        return read_status(c);
    case A_CHMU_POINTERS:
        return c->head | (uint64_t)c->tail << 16;
    default:
        return 0;
    }
}

static uint64_t chmu_read(void *opaque, hwaddr addr, unsigned size)
{
    GFAMChmu *c = *(GFAMChmu **)opaque;
    hwaddr at = addr & ~7ull;
    uint64_t v = 0;

    if (!c) {
        return 0;           /* a vCPU was on its way when it was unplugged */
    }

    if (at == A_CHMU_COMMON0) {
        v = FIELD_DP64(v, CHMU_COMMON0, VERSION, CHMU_VERSION);
        v = FIELD_DP64(v, CHMU_COMMON0, INSTANCES, 1);
    } else if (at == A_CHMU_COMMON1) {
        v = FIELD_DP64(v, CHMU_COMMON1, LENGTH, CHMU_LENGTH);
    } else {
        v = read_instance(c, at - CHMU_INSTANCE);
    }
    return extract64(v, (addr & 7) * 8, size * 8);
}

#define CONF0_FLAGS     (R_CHMU_CONF0_OVERFLOW_INT_MASK | \
                         R_CHMU_CONF0_LEVEL_INT_MASK)
#define CONF0_CONTROL   (R_CHMU_CONF0_ENABLE_MASK | R_CHMU_CONF0_RESET_MASK)
#define CONF0_CONFIG    (R_CHMU_CONF0_WHAT_MASK | \
                         R_CHMU_CONF0_RANDOM_MASK | \
                         R_CHMU_CONF0_THRESHOLD_MASK)

static void write_conf0(GFAMChmu *c, uint64_t v)
{
    bool enable = FIELD_EX64(v, CHMU_CONF0, ENABLE);
    const char *why = NULL;

    if (c->operation != CHMU_IDLE) {
        guest_error(c, "CONF0", "an operation is in progress");
        return;
    }
    if (c->enabled && (v ^ c->conf0) & CONF0_CONFIG) {
        guest_error(c, "CONF0", "it is enabled, so only flags and control "
                    "can change");
        v = (v & ~CONF0_CONFIG) | (c->conf0 & CONF0_CONFIG);
    }
    c->conf0 = v & (CONF0_FLAGS | CONF0_CONFIG | R_CHMU_CONF0_ENABLE_MASK);
    if (enable && !c->enabled) {
        why = check(c);
        if (why) {
            c->conf0 &= ~R_CHMU_CONF0_ENABLE_MASK;
            guest_error(c, "enable", why);
            return;
        }
        begin_operation(c, CHMU_ENABLING, "enable");
    } else if (!enable && c->enabled) {
        begin_operation(c, CHMU_DISABLING, "disable");
    } else if (FIELD_EX64(v, CHMU_CONF0, RESET)) {
        begin_operation(c, CHMU_RESETTING, "reset");
    }
}

/* Entries from head on are the guest's; it can give back only these. */
static void write_head(GFAMChmu *c, uint16_t head)
{
    if (head >= CHMU_LIST ||
        (head - c->head + CHMU_LIST) % CHMU_LIST > fill(c)) {
        guest_error(c, "head", "it is not between head and tail");
        return;
    }
    c->head = head;
}

static void write_range(GFAMChmu *c, unsigned word, uint64_t v)
{
    uint64_t ranges = gfam_size(c->gfam) / CXLF_CAPACITY_UNIT;
    uint64_t left = ranges - word * 64;

    c->ranges[word] = left < 64 ? v & MAKE_64BIT_MASK(0, left) : v;
}

static void chmu_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    GFAMChmu *c = *(GFAMChmu **)opaque;
    hwaddr at = (addr & ~7ull) - CHMU_INSTANCE;
    unsigned shift = (addr & 7) * 8;
    uint64_t mask = MAKE_64BIT_MASK(shift, size * 8);
    uint64_t v, set = value << shift & mask;

    if (!c) {
        return;
    }
    if (addr < CHMU_INSTANCE) {
        guest_error(c, "write", "the register is read-only");
        return;
    }
    v = (read_instance(c, at) & ~mask) | set;
    if (at == A_CHMU_CONF0) {
        write_conf0(c, v);
    } else if (at == A_CHMU_CONF2) {
        c->conf2 = v & R_CHMU_CONF2_LEVEL_MASK;
    } else if (at == A_CHMU_STATUS) {
        c->overflow &= !FIELD_EX64(set, CHMU_STATUS, OVERFLOW);
        c->level &= !FIELD_EX64(set, CHMU_STATUS, LEVEL);
    } else if (at == A_CHMU_POINTERS && shift == 0) {
        write_head(c, v);
    } else if (c->enabled || c->operation != CHMU_IDLE) {
        guest_error(c, "write", "not while it is enabled");
    } else if (at == A_CHMU_CONF1) {
        c->conf1 = v;
    } else if (at >= CHMU_BITMAP && at < CHMU_BITMAP + c->range_words * 8) {
        write_range(c, (at - CHMU_BITMAP) / 8, v);
    } else {
        guest_error(c, "write", "the register is read-only");
    }
}

static const MemoryRegionOps chmu_ops = {
    .read = chmu_read,
    .write = chmu_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 2, .max_access_size = 8 },
    .impl = { .min_access_size = 2, .max_access_size = 8 },
};

/* Life */

void gfam_chmu_reset(CXLGFAM *s)
{
    GFAMChmu *c = s->chmu;

    if (!c) {
        return;             /* before it is realized */
    }
    timer_del(c->operation_timer);
    c->operation = CHMU_IDLE;
    stop(c);
    empty_list(c);
    memset(c->ranges, 0, c->range_words * 8);
    c->conf0 = c->conf2 = 0;
    c->conf1 = FIELD_DP64(0, CHMU_CONF1, UNIT, ctz32(CXLF_PAGE));
    c->conf1 = FIELD_DP64(c->conf1, CHMU_CONF1, SCALE, 4);  /* 100 ms */
    c->conf1 = FIELD_DP64(c->conf1, CHMU_CONF1, VALUE, 1);
}

/*
 * QEMU's device fills two of the three entries of its Register Locator
 * (CXL r3.1 section 8.1.9); the third is for this block.
 */
static void locate(CXLGFAM *s)
{
    uint8_t *dvsec = PCI_DEVICE(s)->config +
        range_lob(&CXL_TYPE3(s)->cxl_cstate.dvsecs[REG_LOC_DVSEC]);
    uint8_t *entry = dvsec + offsetof(CXLDVSECRegisterLocator, reg2_base_lo);

    stl_le_p(entry, CHMU_BLOCK_ID << 8 | CHMU_BAR);
    stl_le_p(entry + 4, 0);
}

void gfam_chmu_init(CXLGFAM *s)
{
    GFAMChmu *c = g_new0(GFAMChmu, 1);

    c->gfam = s;
    c->range_words = DIV_ROUND_UP(gfam_size(s) / CXLF_CAPACITY_UNIT, 64);
    c->ranges = g_new0(uint64_t, c->range_words);
    c->epoch_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, end_epoch, c);
    c->operation_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, end_operation, c);
    memory_region_init_io(&s->chmu_bar, OBJECT(s), &chmu_ops, &s->chmu,
                          "cxl-gfam-chmu", CHMU_BAR_SIZE);
    pci_register_bar(PCI_DEVICE(s), CHMU_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->chmu_bar);
    locate(s);
    s->chmu = c;
    gfam_chmu_reset(s);
}

void gfam_chmu_exit(CXLGFAM *s)
{
    GFAMChmu *c = s->chmu;

    stop(c);
    timer_free(c->epoch_timer);
    timer_free(c->operation_timer);
    s->chmu = NULL;
    g_free(c->ranges);
    g_free(c);
}
