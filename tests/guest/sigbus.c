/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Touches an address whose content is lost, in each way that a program can,
 * and checks what it gets: SIGBUS (BUS_MCEERR_AR) with that address, every
 * time, in the instruction itself.  A handler that comes late, or not at
 * all, must have let the access read all ones.  System calls that read the
 * address fail or end in the same signal.  Neighbours stay as they were, and
 * so does the guest.
 */

#include "common.h"
#include <setjmp.h>
#include <signal.h>

static uint64_t at = 1 << 20, count = 3, neighbour;
static const char *want = "sigbus";

/* Signals outside of any try: more of them are one that never ends. */
#define MOST_LATE 16

static sigjmp_buf back;
static volatile sig_atomic_t armed;
static volatile uint64_t caught, wrong_code, wrong_address, late;
static uint8_t *place;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    uint64_t grain = 1ull << info->si_addr_lsb;
    uint64_t address = (uintptr_t)info->si_addr;

    (void)number;
    (void)context;
    caught++;
    wrong_code += info->si_code != BUS_MCEERR_AR;
    /* The kernel tells the block that the device is mapped in. */
    wrong_address += (uintptr_t)place - address >= grain;
    if (armed) {
        siglongjmp(back, 1);
    }
    if (++late > MOST_LATE) {
        static const char text[] = "sigbus: SIGBUS again and again outside of "
                                   "a try: is the neighbour lost, too?\n";

        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
        _exit(EXIT_USAGE);
    }
}

static uint64_t load(void)
{
    return *(volatile uint64_t *)place;
}

static uint64_t load_byte(void)
{
    return *(volatile uint8_t *)place | ~0xffull;
}

static uint64_t store(void)
{
    *(volatile uint64_t *)place = 0x5a5a5a5a5a5a5a5a;
    return ~0ull;
}

static uint64_t locked(void)
{
    return __atomic_fetch_add((volatile uint64_t *)place, 1,
                              __ATOMIC_SEQ_CST);
}

static uint64_t copy(void)
{
    uint64_t word;

    memcpy(&word, place, sizeof(word));
    return word;
}

/* The kernel reads it: SIGBUS or EFAULT, or what a user would read. */
static uint64_t system_call(void)
{
    uint64_t word = 0;
    int fd[2];

    if (pipe(fd)) {
        die(EXIT_USAGE, "pipe: %s", strerror(errno));
    }
    if (write(fd[1], place, sizeof(word)) != sizeof(word)) {
        word = ~0ull;
        caught += errno == EFAULT;
    } else if (read(fd[0], &word, sizeof(word)) != sizeof(word)) {
        word = 0;
    }
    close(fd[0]);
    close(fd[1]);
    return word;
}

typedef struct Way {
    const char *name;
    uint64_t (*touch)(void);
} Way;

/* False if the access gave something else than a signal or all ones. */
static bool try_one(const Way *way)
{
    volatile uint64_t value = ~0ull;

    if (!sigsetjmp(back, 1)) {
        armed = 1;
        value = way->touch();
    }
    armed = 0;
    return value == ~0ull;
}

int main(int argc, char **argv)
{
    static const Option options[] = {
        { "at", .number = &at, .help = "the address, from the beginning" },
        { "neighbour", .number = &neighbour, .help = "one that does not "
          "fail, or 0" },
        { "count", .number = &count, .help = "times that each way is tried" },
        { "want", .text = &want, .help = "sigbus, or ones: no signal" },
        { NULL },
    };
    static const Way ways[] = {
        { "load", load }, { "load-byte", load_byte }, { "copy", copy },
        { "system-call", system_call }, { "store", store },
        { "locked", locked },
    };
    struct sigaction action = { .sa_sigaction = on_sigbus,
                                .sa_flags = SA_SIGINFO };
    uint64_t other = 0x0123456789abcdef, not_ones = 0, missing = 0, i;
    uint8_t *base;
    unsigned way;

    parse(argc, argv, "Touches an address whose content is lost.", options);
    if (strcmp(want, "sigbus") && strcmp(want, "ones")) {
        die(EXIT_USAGE, "--want accepts sigbus or ones");
    }
    base = map_device(common.dev, (at > neighbour ? at : neighbour) + 4096);
    place = base + at;
    sigaction(SIGBUS, &action, NULL);
    if (neighbour) {
        *(volatile uint64_t *)(base + neighbour) = other;
    }
    json_begin();
    for (way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
        uint64_t before = caught;

        for (i = 0; i < count; i++) {
            not_ones += !try_one(&ways[way]);
        }
        json_number(ways[way].name, caught - before);
        missing += strcmp(want, "ones") ? caught - before < count :
                                          caught != before;
    }
    if (neighbour) {
        other ^= *(volatile uint64_t *)(base + neighbour);
    } else {
        other = 0;
    }
    json_number("not-ones", not_ones);
    json_number("wrong-code", wrong_code);
    json_number("wrong-address", wrong_address);
    json_number("late", late);
    json_number("neighbour-changed", other != 0);
    return json_end(!missing && !not_ones && !wrong_code && !wrong_address &&
                    !late && !other);
}
