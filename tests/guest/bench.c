/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Times loads, stores, lock xadd and memcpy on dax devices, on a PCI
 * device's memory and on ordinary memory, one after the other in every
 * round, so that a change of the machine's mood hits all alike.  What each
 * is mapped with (the page size) and the faults of the timed loops are
 * checked and reported too: without them a time says little.
 *
 * With --contend all hosts increment one word of a dax device at the same
 * time, and the rate of each is reported.
 */

#include <dirent.h>
#include <stddef.h>
#include <sys/resource.h>
#include "common.h"

#define MAX_TARGETS 6
#define MAX_ROUNDS 200
#define CHUNK (64 << 10)                /* bytes of one memcpy */
#define BATCH 128                       /* increments between two clocks */
#define IVSHMEM "0x1af4 0x1110"         /* vendor and device */
#define SYS_PCI "/sys/bus/pci/devices"

enum { OP_LOAD, OP_STORE, OP_XADD, OP_READ, OP_WRITE, NR_OPS };

static const char *const op_names[NR_OPS] = {
    "load", "store", "xadd", "memcpy-read", "memcpy-write",
};

typedef struct Result {
    double ns[MAX_ROUNDS];
    uint64_t timed, made, faults;       /* units, units with warm-up */
} Result;

typedef struct Target {
    const char *name;
    uint8_t *at;
    uint64_t page;                      /* bytes */
    Result result[NR_OPS];
} Target;

static uint64_t bytes = 1 << 20, rounds = 1, milliseconds = 100, stride = 64;
static const char *dev_list = "ram,/dev/cxlf/bulk";
static const char *op_list = "load,store,xadd,memcpy-read,memcpy-write";
static bool contend;
static Target targets[MAX_TARGETS];
static unsigned nr_targets;
static uint8_t *buffer;

/* What the kernel says of the mapping that holds `at`. */
static uint64_t page_size(const void *at)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    uint64_t low, high, kib, huge = 0, size = 0;
    bool inside = false;
    char line[512];

    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &low, &high) == 2) {
            inside = (uintptr_t)at >= low && (uintptr_t)at < high;
        } else if (inside &&
                   sscanf(line, "KernelPageSize: %" SCNu64, &kib) == 1) {
            size = kib << 10;
        } else if (inside &&
                   sscanf(line, "AnonHugePages: %" SCNu64, &kib) == 1) {
            huge = kib;
        }
    }
    if (file) {
        fclose(file);
    }
    /* Transparent huge pages may cover a part of it: neither fish nor fowl. */
    if (!size || huge) {
        die(EXIT_USAGE, "the page size at %p is not known", at);
    }
    return size;
}

/*
 * Where to map: everything is aligned as dax devices are, since an emulated
 * TLB is indexed by the address, and what collides there would be compared.
 */
static uint8_t *reserve(uint64_t *length)
{
    uint8_t *at;

    *length = (*length + DAX_ALIGN - 1) & ~(DAX_ALIGN - 1);
    at = mmap(NULL, *length + DAX_ALIGN, PROT_NONE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        die(EXIT_USAGE, "no room for %" PRIu64 " bytes", *length);
    }
    return (uint8_t *)(((uintptr_t)at + DAX_ALIGN - 1) & ~(DAX_ALIGN - 1));
}

static uint8_t *anonymous(uint64_t length, bool huge)
{
    uint8_t *at = reserve(&length);

    at = mmap(at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED |
              MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0), -1, 0);
    if (at == MAP_FAILED) {
        die(EXIT_USAGE, "no memory%s", huge ? " in 2 MiB pages; reserve some "
            "with sysctl vm.nr_hugepages=8" : "");
    }
    if (!huge) {
        madvise(at, length, MADV_NOHUGEPAGE);
    }
    memset(at, 1, length);
    return at;
}

static void read_word(const char *device, const char *name, char *word)
{
    char path[512];
    FILE *file;

    word[0] = '\0';
    snprintf(path, sizeof(path), SYS_PCI "/%s/%s", device, name);
    file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%15s", word) != 1) {
            word[0] = '\0';
        }
        fclose(file);
    }
}

static void enable_device(const char *device)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), SYS_PCI "/%s/enable", device);
    file = fopen(path, "we");
    if (!file || fputs("1", file) < 0 || fclose(file)) {
        die(EXIT_USAGE, "%s: %s", path, strerror(errno));
    }
}

/* The shared memory of an ivshmem device: its BAR 2, without a driver. */
static uint8_t *map_ivshmem(uint64_t length)
{
    DIR *dir = opendir(SYS_PCI);
    struct dirent *entry;
    char ids[40], vendor[16], device[16], path[512];
    uint8_t *at;
    int fd;

    while (dir && (entry = readdir(dir))) {
        read_word(entry->d_name, "vendor", vendor);
        read_word(entry->d_name, "device", device);
        snprintf(ids, sizeof(ids), "%s %s", vendor, device);
        if (strcmp(ids, IVSHMEM)) {
            continue;
        }
        enable_device(entry->d_name);
        snprintf(path, sizeof(path), SYS_PCI "/%s/resource2", entry->d_name);
        closedir(dir);
        fd = open(path, O_RDWR | O_CLOEXEC);
        at = mmap(reserve(&length), length, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED, fd, 0);
        if (fd < 0 || at == MAP_FAILED) {
            die(EXIT_USAGE, "%s: %s", path, strerror(errno));
        }
        close(fd);
        return at;
    }
    die(EXIT_USAGE, "this guest has no ivshmem device");
}

static uint8_t *map_target(const char *name)
{
    uint64_t length = common.offset + bytes;

    if (!strcmp(name, "ram") || !strcmp(name, "ram4k")) {
        return anonymous(length, name[3] == '\0');
    }
    return !strcmp(name, "ivshmem") ? map_ivshmem(length)
                                    : map_device(name, length);
}

static void open_targets(char *list)
{
    char *save, *name = strtok_r(list, ",", &save);

    for (; name; name = strtok_r(NULL, ",", &save)) {
        Target *target = &targets[nr_targets++];
        uint64_t i;

        if (nr_targets > MAX_TARGETS) {
            die(EXIT_USAGE, "--devs accepts %d at most", MAX_TARGETS);
        }
        target->name = name;
        target->at = map_target(name) + common.offset;
        for (i = 0; i < bytes; i += LINE) {
            volatile uint8_t *at = target->at + i;

            *at = *at;                  /* every fault comes here */
        }
        target->page = page_size(target->at);
    }
}

/* `count` accesses, or memcpys of CHUNK bytes; a loop for each constant. */
static inline __attribute__((always_inline))
void loop(uint8_t *at, const int op, uint64_t count)
{
    const uint64_t step = op >= OP_READ ? CHUNK : stride, end = bytes - step;
    uint64_t i, where = 0, sum = 0;

    for (i = 0; i < count; i++) {
        volatile uint64_t *word = (volatile uint64_t *)(at + where);

        switch (op) {
        case OP_LOAD:
            sum += *word;
            break;
        case OP_STORE:
            *word = i;
            break;
        case OP_XADD:
            __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
            break;
        case OP_READ:
            memcpy(buffer, at + where, CHUNK);
            break;
        default:
            memcpy(at + where, buffer, CHUNK);
        }
        __asm__ volatile("" : : "r"(sum) : "memory");
        where = where < end ? where + step : 0;
    }
}

static void repeat(uint8_t *at, int op, uint64_t count)
{
    switch (op) {
    case OP_LOAD:
        loop(at, OP_LOAD, count);
        break;
    case OP_STORE:
        loop(at, OP_STORE, count);
        break;
    case OP_XADD:
        loop(at, OP_XADD, count);
        break;
    case OP_READ:
        loop(at, OP_READ, count);
        break;
    default:
        loop(at, OP_WRITE, count);
    }
}

static uint64_t faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

static void measure(Target *target, int op, uint64_t round)
{
    Result *result = &target->result[op];
    uint64_t limit = milliseconds * 1000000, before, took, count = 1;

    /* Untimed until it is long enough to tell the speed. */
    for (;; count *= 4) {
        took = now_ns();
        repeat(target->at, op, count);
        took = now_ns() - took;
        result->made += count;
        if (took > limit / 16) {
            break;
        }
    }
    count = (double)count * limit / took + 1;
    before = faults();
    took = now_ns();
    repeat(target->at, op, count);
    took = now_ns() - took;
    result->faults += faults() - before;
    result->timed += count;
    result->made += count;
    result->ns[round] = (double)took / (op >= OP_READ ? count * CHUNK
                                                      : count);
}

static bool wanted(int op)
{
    size_t length = strlen(op_names[op]);
    const char *at = op_list;

    while ((at = strstr(at, op_names[op]))) {
        if ((at == op_list || at[-1] == ',') &&
            (at[length] == ',' || !at[length])) {
            return true;
        }
        at += length;
    }
    return false;
}

static void report_result(const Result *result, const char *name)
{
    uint64_t round;

    printf(",\"%s\":{\"timed\":%" PRIu64 ",\"made\":%" PRIu64
           ",\"faults\":%" PRIu64 ",\"ns\":[", name, result->timed,
           result->made, result->faults);
    for (round = 0; round < rounds; round++) {
        printf("%s%.5f", round ? "," : "", result->ns[round]);
    }
    printf("]}");
}

static int compare(void)
{
    uint64_t round;
    unsigned i, op;

    open_targets(strdup(dev_list));
    /* In the half of its page that the devices' first MiB leaves alone. */
    buffer = anonymous(DAX_ALIGN, true) + DAX_ALIGN / 2;
    for (round = 0; round < rounds; round++) {
        for (op = 0; op < NR_OPS; op++) {
            for (i = 0; wanted(op) && i < nr_targets; i++) {
                measure(&targets[i], op, round);
            }
        }
    }
    json_begin();
    json_number("bytes", bytes);
    json_number("rounds", rounds);
    json_text("unit", "ns per access, ns per byte of memcpy");
    printf(",\"results\":{");
    for (i = 0; i < nr_targets; i++) {
        printf("%s\"%s\":{\"page\":%" PRIu64, i ? "," : "", targets[i].name,
               targets[i].page);
        for (op = 0; op < NR_OPS; op++) {
            if (wanted(op)) {
                report_result(&targets[i].result[op], op_names[op]);
            }
        }
        printf("}");
    }
    printf("}");
    return json_end(true);
}

/* All hosts increment one word for as long as --ms says. */
static int contended(void)
{
    uint64_t limit = milliseconds * 1000000, ops = 0, start, took, found, i;
    volatile uint64_t *word = (volatile uint64_t *)(map_area(LINE));

    rendezvous("mapped");
    if (common.host == 0) {
        *word = 0;
    }
    rendezvous("cleared");
    start = now_ns();
    do {
        for (i = 0; i < BATCH; i++) {
            __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
        }
        ops += BATCH;
        took = now_ns() - start;
    } while (took < limit);
    tell(0, ops);
    rendezvous("counted");
    found = *word;
    json_begin();
    json_number("ops", ops);
    json_number("ns", took);
    json_number("found", found);
    json_number("expected", told_sum(0));
    i = found == told_sum(0);
    rendezvous("checked");
    return json_end(i);
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "devs", .text = &dev_list, .help = "what to compare, with commas: "
          "dax devices, ram (2 MiB pages), ram4k, ivshmem" },
        { "ops", .text = &op_list, .help = "operations, with commas" },
        { "bytes", .number = &bytes, .help = "how much is touched" },
        { "stride", .number = &stride, .help = "bytes between accesses" },
        { "ms", .number = &milliseconds, .help = "length of a measurement" },
        { "rounds", .number = &rounds, .help = "measurements of each" },
        { "contend", .flag = &contend, .help = "all hosts increment one word "
          "of --dev" },
        { NULL },
    };

    parse(argc, argv, "Times accesses to shared and to ordinary memory.",
          options);
    if (!rounds || rounds > MAX_ROUNDS || bytes < CHUNK || bytes % CHUNK ||
        !stride || stride % 8 || bytes % stride || common.offset % 8 ||
        !milliseconds) {
        die(EXIT_USAGE, "--rounds accepts 1 to %d, --bytes multiples of %d, "
            "--stride multiples of 8 that divide --bytes, --ms 1 and more",
            MAX_ROUNDS, CHUNK);
    }
    return contend ? contended() : compare();
}
