/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Times loads, stores, lock xadd and memcpy on dax devices and on ordinary
 * memory.  Every round measures every operation on every device once, so
 * that a change of the machine's mood hits all alike; the caller takes the
 * medians.
 */

#include <stddef.h>
#include "common.h"

#define MAX_DEVICES 4
#define MAX_ROUNDS 200

enum { OP_LOAD, OP_STORE, OP_XADD, OP_READ, OP_WRITE, NR_OPS };

static const char *const op_names[NR_OPS] = {
    "load", "store", "xadd", "memcpy-read", "memcpy-write",
};

typedef struct Target {
    const char *name;
    uint8_t *at;
    double ns[NR_OPS][MAX_ROUNDS];
} Target;

static uint64_t bytes = 1 << 20, count = 20000, rounds = 15, copies = 4;
static uint64_t stride = 64;
static const char *dev_list = "/dev/cxlf/bulk,none";
static const char *op_list = "load,store,xadd,memcpy-read,memcpy-write";
static bool small_pages;
static Target targets[MAX_DEVICES];
static unsigned nr_targets;
static uint8_t *buffer;

/* Ordinary memory in 2 MiB pages where the kernel gives them. */
static uint8_t *anonymous(uint64_t length)
{
    uint8_t *at = mmap(NULL, length + DAX_ALIGN, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        die(EXIT_USAGE, "no memory");
    }
    at = (uint8_t *)(((uintptr_t)at + DAX_ALIGN - 1) & ~(DAX_ALIGN - 1));
    madvise(at, length, small_pages ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    memset(at, 1, length);
    return at;
}

static void open_targets(char *list)
{
    char *save, *name = strtok_r(list, ",", &save);

    for (; name; name = strtok_r(NULL, ",", &save)) {
        Target *target = &targets[nr_targets];

        if (nr_targets == MAX_DEVICES) {
            die(EXIT_USAGE, "--devs accepts %d devices at most", MAX_DEVICES);
        }
        nr_targets++;
        target->name = name;
        target->at = !strcmp(name, "none") ? anonymous(common.offset + bytes)
            : map_device(name, common.offset + bytes);
        target->at += common.offset;
    }
}

static double per_op(uint64_t start, uint64_t times)
{
    return (double)(now_ns() - start) / times;
}

/* ns for each access, or for each byte of a copy. */
static double measure(uint8_t *at, int op)
{
    uint64_t i, where = 0, sum = 0, start = now_ns();

    if (op == OP_READ || op == OP_WRITE) {
        for (i = 0; i < copies; i++) {
            memcpy(op == OP_READ ? buffer : at,
                   op == OP_READ ? at : buffer, bytes);
            __asm__ volatile("" : : : "memory");
        }
        return per_op(start, copies * bytes);
    }
    for (i = 0; i < count; i++) {
        volatile uint64_t *word = (volatile uint64_t *)(at + where);

        if (op == OP_LOAD) {
            sum += *word;
        } else if (op == OP_STORE) {
            *word = i;
        } else {
            __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
        }
        where += stride;
        if (where >= bytes) {
            where = 0;
        }
    }
    __asm__ volatile("" : : "r"(sum));
    return per_op(start, count);
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

static void report(void)
{
    unsigned i, op;
    uint64_t round;

    json_begin();
    json_number("bytes", bytes);
    json_number("count", count);
    json_number("rounds", rounds);
    printf(",\"unit\":\"ns per access, ns per byte of memcpy\""
           ",\"results\":{");
    for (i = 0; i < nr_targets; i++) {
        bool first = true;

        printf("%s\"%s\":{", i ? "," : "", targets[i].name);
        for (op = 0; op < NR_OPS; op++) {
            if (!wanted(op)) {
                continue;
            }
            printf("%s\"%s\":[", first ? "" : ",", op_names[op]);
            first = false;
            for (round = 0; round < rounds; round++) {
                printf("%s%.4f", round ? "," : "", targets[i].ns[op][round]);
            }
            printf("]");
        }
        printf("}");
    }
    printf("}");
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "devs", .text = &dev_list, .help = "devices to compare, with "
          "commas; none is ordinary memory" },
        { "ops", .text = &op_list, .help = "operations, with commas" },
        { "bytes", .number = &bytes, .help = "how much is touched" },
        { "stride", .number = &stride, .help = "bytes between accesses" },
        { "count", .number = &count, .help = "accesses of one measurement" },
        { "copies", .number = &copies, .help = "copies of one measurement" },
        { "rounds", .number = &rounds, .help = "measurements of each" },
        { "small-pages", .flag = &small_pages, .help = "4 KiB pages for "
          "ordinary memory" },
        { NULL },
    };
    uint64_t round;
    unsigned i, op;

    parse(argc, argv, "Times accesses to shared and to ordinary memory.",
          options);
    if (!rounds || rounds > MAX_ROUNDS || bytes < stride || !copies ||
        !count || stride % 8 || !stride || common.offset % 8) {
        die(EXIT_USAGE, "--rounds accepts 1 to %d, --count and --copies 1 "
            "and more, --stride multiples of 8 up to --bytes", MAX_ROUNDS);
    }
    open_targets(strdup(dev_list));
    buffer = anonymous(bytes);
    for (round = 0; round < rounds; round++) {
        for (op = 0; op < NR_OPS; op++) {
            for (i = 0; wanted(op) && i < nr_targets; i++) {
                if (!round) {
                    /* Once untimed: translation and page faults. */
                    measure(targets[i].at, op);
                }
                targets[i].ns[op][round] = measure(targets[i].at, op);
            }
        }
    }
    report();
    return json_end(true);
}
