/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How long the agent's queue takes (docs/specs/dpu-eca.rst): a command that
 * does nothing, from its doorbell to its completion in memory, beside a bare
 * write to a register, and beside a write to a register of QEMU's edu device
 * until the process is awake that waits for the interrupt which that write
 * raises; and to acquire BULK in blocks of 2 MiB, beside touching it page by
 * page.  One host.  The edu device is bound to uio_pci_generic.
 */

#include "common.h"
#include "quartiles.h"
#include <dirent.h>
#include <limits.h>
#include <poll.h>

#define PAGE_BYTES      4096ull
#define BLOCK_BYTES     (2ull << 20)
#define BAR_BYTES       0x8000
#define MAGIC           0x000
#define VERSION         0x004
#define HOT             0x100
#define COPY_DPA        0x200
#define QUEUE           0x1000
#define SQ_BASE         0x00
#define CQ_BASE         0x08
#define SIZES           0x10
#define CONTROL         0x18
#define STATE           0x1c
#define SQ_TAIL         0x20
#define CQ_HEAD         0x28
#define ENTRIES         32
/* edu: docs/specs/edu.rst of QEMU */
#define EDU_BYTES       0x1000
#define EDU_RAISE       0x60
#define EDU_LOWER       0x64
#define PCI_COMMAND     4
#define PCI_MEMORY      (1u << 1)
#define PCI_MASTER      (1u << 2)
#define PCI_INTX_OFF    (1u << 10)
#define MAX_ROUNDS      1000
#define SPINS           100000      /* before others may run */
enum { OWNED = 17, RELEASE = 18, FENCE = 48 };

/* Registers of devices, and what they write: each access is made. */
typedef volatile uint8_t Bytes;     /* as above */
typedef volatile uint32_t Word4;    /* as above */
typedef volatile uint64_t Word8;    /* as above */

typedef struct Submission {
    uint16_t command, flags;
    uint32_t tag, gfam, count;
    uint64_t dpa, length, address, zero[3];
} Submission;

typedef struct Completion {
    uint32_t tag;
    uint16_t status, phase;
    uint64_t done, where, last;
} Completion;

/* One page of memory: its physical address does not change. */
typedef struct Rings {
    Submission sq[ENTRIES];
    volatile Completion cq[ENTRIES];    /* the agent writes it */
} Rings;

_Static_assert(sizeof(Rings) <= PAGE_BYTES, "one page");

static uint64_t count = 500, rounds = 9, megabytes, at;
static const char *uio;
static const char *bulk = "/dev/cxlf/bulk";
static Bytes *bar, *edu;
static int edu_config, edu_wait;
static Rings *rings;
static uint32_t tail, head;
static uint16_t phase = 1;

static uint64_t nanoseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static Word4 *reg4(unsigned offset)
{
    return (Word4 *)(bar + offset);
}

static Word8 *reg8(unsigned offset)
{
    return (Word8 *)(bar + offset);
}

/* A word of a file of a PCI function. */
static bool has_id(const char *function, const char *file, const char *want)
{
    char path[PATH_MAX], text[16] = "";
    FILE *in;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", function,
             file);
    in = fopen(path, "r");
    if (in) {
        if (!fgets(text, sizeof(text), in)) {
            text[0] = '\0';
        }
        fclose(in);
    }
    return !strncmp(text, want, strlen(want));
}

static int open_file(const char *function, const char *file)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", function,
             file);
    fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    if (fd < 0) {
        die(EXIT_USAGE, "%s: %s", path, strerror(errno));
    }
    return fd;
}

/* Change the command register of a function; false if that failed. */
static bool set_command(int config, uint16_t clear, uint16_t set)
{
    uint16_t command;

    if (pread(config, &command, 2, PCI_COMMAND) != 2) {
        return false;
    }
    command = (command & ~clear) | set;
    return pwrite(config, &command, 2, PCI_COMMAND) == 2;
}

/* Map BAR 0 of a function, and let it reach memory; its open config file. */
static int map_function(const char *vendor, const char *device,
                        uint64_t bytes, Bytes **at)
{
    DIR *functions = opendir("/sys/bus/pci/devices");
    struct dirent *entry;
    int config, fd;

    while (functions && (entry = readdir(functions))) {
        if (!has_id(entry->d_name, "vendor", vendor) ||
            !has_id(entry->d_name, "device", device)) {
            continue;
        }
        config = open_file(entry->d_name, "config");
        if (!set_command(config, 0, PCI_MEMORY | PCI_MASTER)) {
            die(EXIT_USAGE, "the configuration space of %s", entry->d_name);
        }
        fd = open_file(entry->d_name, "resource0");
        *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (*at == MAP_FAILED) {
            die(EXIT_USAGE, "BAR 0 of %s: %s", entry->d_name,
                strerror(errno));
        }
        close(fd);
        closedir(functions);
        return config;
    }
    die(EXIT_USAGE, "this guest has no device %s of %s", device, vendor);
}

static uint64_t physical(const void *memory)
{
    const uint64_t number = (1ull << 55) - 1;
    uint64_t entry;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)memory / PAGE_BYTES * 8)
        != 8 || !(entry & number)) {
        die(EXIT_USAGE, "/proc/self/pagemap tells nothing; run it as root");
    }
    close(fd);
    return (entry & number) * PAGE_BYTES;
}

static void start_queue(void)
{
    uint64_t base;

    rings = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (rings == MAP_FAILED) {
        die(EXIT_USAGE, "no locked memory: %s", strerror(errno));
    }
    memset(rings, 0, PAGE_BYTES);
    base = physical(rings);
    *reg4(QUEUE + CONTROL) = 0;
    *reg8(QUEUE + SQ_BASE) = base;
    *reg8(QUEUE + CQ_BASE) = base + sizeof(rings->sq);
    *reg8(QUEUE + SIZES) = ENTRIES | (uint64_t)ENTRIES << 32;
    *reg4(QUEUE + CONTROL) = 1;
    if (*reg4(QUEUE + STATE) != 1) {
        die(EXIT_WRONG, "the queue is in state %x", *reg4(QUEUE + STATE));
    }
}

/* Give a command, and wait for its end. */
static void give(const Submission *s)
{
    /* the agent writes it */
    volatile Completion *c = &rings->cq[head];
    Wait wait = { 0 };
    unsigned spins = 0;

    rings->sq[tail] = *s;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    tail = (tail + 1) % ENTRIES;
    *reg4(QUEUE + SQ_TAIL) = tail;
    while (__atomic_load_n(&c->phase, __ATOMIC_ACQUIRE) != phase) {
        if (++spins > SPINS) {
            wait_more(&wait, "a completion", 1);
        }
    }
    if (c->status) {
        die(EXIT_WRONG, "command %u ended with status %u", s->command,
            c->status);
    }
    head = (head + 1) % ENTRIES;
    phase ^= !head;
    *reg4(QUEUE + CQ_HEAD) = head;
}

static uint64_t time_registers(void)
{
    uint64_t begin = nanoseconds();

    for (uint64_t i = 0; i < count; i++) {
        *reg8(COPY_DPA) = i;
    }
    return nanoseconds() - begin;
}

/* Interrupts of edu go to its uio device once more. */
static void arm(void)
{
    *(Word4 *)(edu + EDU_LOWER) = 1;
    if (!set_command(edu_config, PCI_INTX_OFF, 0)) {
        die(EXIT_WRONG, "the configuration space of edu");
    }
}

static uint64_t time_interrupts(void)
{
    struct pollfd ready = { .fd = edu_wait, .events = POLLIN };
    uint64_t begin, total = 0;
    uint32_t number;

    for (uint64_t i = 0; i < count; i++) {
        arm();
        begin = nanoseconds();
        *(Word4 *)(edu + EDU_RAISE) = 1;
        /* read() alone would wait without limit. */
        if (poll(&ready, 1, common.timeout * 1000) != 1 ||
            read(edu_wait, &number, sizeof(number)) != sizeof(number)) {
            die(EXIT_WAIT, "no interrupt of edu");
        }
        total += nanoseconds() - begin;
    }
    return total;
}

static uint64_t time_fences(void)
{
    const Submission fence = { .command = FENCE };
    uint64_t begin = nanoseconds();

    for (uint64_t i = 0; i < count; i++) {
        give(&fence);
    }
    return nanoseconds() - begin;
}

static uint64_t time_acquire(uint64_t dpa, uint64_t bytes)
{
    const Submission owned = {
        .command = OWNED, .dpa = dpa, .length = bytes,
    };
    uint64_t begin = nanoseconds();

    give(&owned);
    return nanoseconds() - begin;
}

static uint64_t time_faults(Bytes *memory, uint64_t bytes)
{
    uint64_t begin = nanoseconds();

    for (uint64_t i = 0; i < bytes; i += PAGE_BYTES) {
        memory[i] = 1;
    }
    return nanoseconds() - begin;
}

/* Rounds of all ways to and from a device, by turns; ns of each access. */
static void compare_trips(void)
{
    static uint64_t ns[3][MAX_ROUNDS];

    for (uint64_t round = 0; round < rounds + 1; round++) {
        /* The first is to warm up, and is written over. */
        uint64_t n = round ? round - 1 : 0;

        ns[0][n] = time_registers() / count;
        ns[1][n] = time_fences() / count;
        ns[2][n] = edu ? time_interrupts() / count : 0;
    }
    json_quartiles("register-ns", ns[0], rounds);
    json_quartiles("fence-ns", ns[1], rounds);
    if (edu) {
        json_quartiles("interrupt-ns", ns[2], rounds);
    }
}

static void compare_acquire(uint64_t bytes)
{
    Bytes *memory = map_device(bulk, at + bytes) + at;
    uint64_t dpa = *reg8(HOT) + at, faults, acquire, warm;
    const Submission release = {
        .command = RELEASE, .dpa = dpa, .length = bytes,
    };

    /* The guest's own page tables are made first. */
    time_faults(memory, bytes);
    give(&release);
    faults = time_faults(memory, bytes);
    give(&release);
    acquire = time_acquire(dpa, bytes);
    warm = time_faults(memory, bytes);
    give(&release);
    json_number("bytes", bytes);
    json_number("acquire-ns", acquire);
    json_number("faults-ns", faults);
    json_number("touch-ns", warm);
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "count", .number = &count, .help = "accesses of a round" },
        { "rounds", .number = &rounds, .help = "of all kinds of access" },
        { "uio", .text = &uio, .help = "edu's device, such as /dev/uio0" },
        { "megabytes", .number = &megabytes, .help = "instead, so many to "
          "acquire, and to touch" },
        { "bulk", .text = &bulk, .help = "the dax device of BULK" },
        { "bulk-offset", .number = &at, .help = "where to work" },
        { NULL },
    };

    parse(argc, argv, "Times the agent's queue.", options);
    if (!count || !rounds || rounds > MAX_ROUNDS || at % BLOCK_BYTES) {
        die(EXIT_USAGE, "--count accepts 1 and more, --rounds 1 to %d, "
            "--bulk-offset multiples of 2 MiB", MAX_ROUNDS);
    }
    close(map_function("0x1b36", "0x0eca", BAR_BYTES, &bar));
    if (*reg4(VERSION) < 2) {
        die(EXIT_USAGE, "this agent has no queues");
    }
    if (uio) {
        edu_config = map_function("0x1234", "0x11e8", EDU_BYTES, &edu);
        edu_wait = open(uio, O_RDONLY | O_CLOEXEC);
        if (edu_wait < 0) {
            die(EXIT_USAGE, "--uio %s: %s", uio, strerror(errno));
        }
    }
    start_queue();
    json_begin();
    json_number("count", count);
    if (megabytes) {
        compare_acquire(megabytes << 20);
    } else {
        compare_trips();
    }
    *reg4(QUEUE + CONTROL) = 0;
    return json_end(true);
}
