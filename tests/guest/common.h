/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the guests' test programs share: options, the mapping of a dax
 * device, waits with a bound, the rendezvous of the hosts in the shared
 * memory itself, and the one line of JSON that each prints.
 *
 * A program's area of the memory begins with a control page (who has come
 * how far) and goes on with the program's data.  The rendezvous uses plain
 * aligned 8-byte stores of one writer each and no atomic operation, so it
 * works where the operations under test do not.
 */

#ifndef CXLF_GUEST_COMMON_H
#define CXLF_GUEST_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE 64
#define MAX_HOSTS 62
#define MAX_THREADS 64
#define CONTROL_BYTES 4096
#define DAX_ALIGN (2ull << 20)

enum { EXIT_OK = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_WAIT = 3 };

/* One line each, so that a rendezvous shares no line between writers. */
typedef struct Slot {
    volatile uint64_t arrived;          /* nonce << 32 | generation */
    volatile uint64_t value[7];         /* what the host tells the others */
} Slot;

typedef struct Option {
    const char *name;
    uint64_t *number;                   /* one of these three */
    const char **text;
    bool *flag;
    const char *help;
} Option;

typedef struct Common {
    const char *program;
    const char *dev;
    uint64_t host, hosts, run, offset, timeout;
    uint64_t generation;
    uint8_t *base;                      /* of the program's area */
    Slot *slots;
} Common;

static Common common = {
    .dev = "/dev/cxlf/hot", .hosts = 1, .run = 1, .timeout = 60,
};

static inline uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

__attribute__((noreturn, format(printf, 2, 3)))
static inline void die(int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "%s: host %" PRIu64 ": ", common.program, common.host);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(status);
}

/* A wait that gives the CPU away, and ends with words when it takes long. */
typedef struct Wait {
    uint64_t tries, limit;
} Wait;

static inline void wait_more(Wait *wait, const char *what, uint64_t number)
{
    struct timespec nap = { .tv_nsec = 200000 };

    wait->tries++;
    if (wait->tries < 200) {
        __builtin_ia32_pause();
        return;
    }
    if (wait->tries < 400) {
        sched_yield();
        return;
    }
    if (!wait->limit) {
        wait->limit = now_ns() + common.timeout * 1000000000ull;
    }
    if (now_ns() > wait->limit) {
        die(EXIT_WAIT, "waited %" PRIu64 " s for %s %" PRIu64,
            common.timeout, what, number);
    }
    nanosleep(&nap, NULL);
}

/* All hosts of this run have come here. */
static inline void rendezvous(const char *where)
{
    uint64_t mine = common.run << 32 | ++common.generation;
    uint64_t host;
    char what[64];

    snprintf(what, sizeof(what), "(%s) host", where);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    common.slots[common.host].arrived = mine;
    for (host = 0; host < common.hosts; host++) {
        Wait wait = { 0 };

        /* Words of an earlier run have another nonce in the upper half. */
        for (;;) {
            uint64_t seen = common.slots[host].arrived;

            if (seen >> 32 == common.run && seen >= mine) {
                break;
            }
            wait_more(&wait, what, host);
        }
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Tell the other hosts a number; they read it after the next rendezvous. */
static inline void tell(unsigned index, uint64_t value)
{
    common.slots[common.host].value[index] = value;
}

static inline uint64_t told(uint64_t host, unsigned index)
{
    return common.slots[host].value[index];
}

static inline uint64_t told_sum(unsigned index)
{
    uint64_t host, sum = 0;

    for (host = 0; host < common.hosts; host++) {
        sum += told(host, index);
    }
    return sum;
}

/* Map `bytes` of a dax device (or of a file) from its beginning. */
static inline uint8_t *map_device(const char *path, uint64_t bytes)
{
    uint64_t length = (bytes + DAX_ALIGN - 1) & ~(DAX_ALIGN - 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *at;

    if (fd < 0) {
        die(EXIT_USAGE, "--dev %s: %s", path, strerror(errno));
    }
    at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        die(EXIT_USAGE, "--dev %s: mmap of %" PRIu64 " bytes: %s", path,
            length, strerror(errno));
    }
    close(fd);
    return at;
}

/* Map the area: the control page and `bytes` of data; returns the data. */
static inline uint8_t *map_area(uint64_t bytes)
{
    if (common.offset % LINE) {
        die(EXIT_USAGE, "--offset accepts multiples of %d", LINE);
    }
    common.base = map_device(common.dev, common.offset + CONTROL_BYTES
                             + bytes) + common.offset;
    common.slots = (Slot *)common.base;
    return common.base + CONTROL_BYTES;
}

static inline void show_options(const Option *options)
{
    for (; options->name; options++) {
        printf("  --%-10s %s", options->name, options->help);
        if (options->number) {
            printf(" (default %" PRIu64 ")", *options->number);
        } else if (options->text && *options->text) {
            printf(" (default %s)", *options->text);
        }
        printf("\n");
    }
}

static inline bool take_option(const Option *options, char **argv, int *at)
{
    const char *word = argv[*at];
    const Option *option;
    char *end;

    for (option = options; option->name; option++) {
        if (strncmp(word, "--", 2) || strcmp(word + 2, option->name)) {
            continue;
        }
        if (option->flag) {
            *option->flag = true;
            return true;
        }
        word = argv[++*at];
        if (!word) {
            die(EXIT_USAGE, "--%s needs a value", option->name);
        }
        if (option->text) {
            *option->text = word;
            return true;
        }
        errno = 0;
        *option->number = strtoull(word, &end, 0);
        if (errno || end == word || *end || *word == '-') {
            die(EXIT_USAGE, "--%s %s: accepts a number", option->name, word);
        }
        return true;
    }
    return false;
}

static const Option common_options[] = {
    { "dev", .text = &common.dev, .help = "the dax device" },
    { "host", .number = &common.host, .help = "this host's number" },
    { "hosts", .number = &common.hosts, .help = "how many take part" },
    { "run", .number = &common.run, .help = "a number that no earlier run "
      "on this memory had, below 2^32" },
    { "offset", .number = &common.offset, .help = "where the area begins" },
    { "timeout", .number = &common.timeout, .help = "seconds that any wait "
      "may take" },
    { NULL },
};

static inline void parse(int argc, char **argv, const char *about,
                         const Option *options)
{
    const char *slash = strrchr(argv[0], '/');
    int at;

    common.program = slash ? slash + 1 : argv[0];
    for (at = 1; at < argc; at++) {
        if (!strcmp(argv[at], "--help")) {
            printf("usage: %s [OPTIONS]\n\n%s\n\n", common.program, about);
            show_options(common_options);
            show_options(options);
            printf("\nExit status: 0 as expected, 1 a check failed, 2 usage,"
                   " 3 a wait took too long.\n");
            exit(EXIT_OK);
        }
        if (!take_option(common_options, argv, &at) &&
            !take_option(options, argv, &at)) {
            die(EXIT_USAGE, "%s: no such option; see --help", argv[at]);
        }
    }
    if (common.hosts < 1 || common.hosts > MAX_HOSTS ||
        common.host >= common.hosts) {
        die(EXIT_USAGE, "--hosts accepts 1 to %d and --host less than that",
            MAX_HOSTS);
    }
    if (!common.run || common.run >> 32) {
        die(EXIT_USAGE, "--run accepts 1 to 2^32 - 1");
    }
}

/* The beginning of the line of JSON; end it with json_end(). */
static inline void json_begin(void)
{
    printf("{\"program\":\"%s\",\"host\":%" PRIu64 ",\"hosts\":%" PRIu64,
           common.program, common.host, common.hosts);
}

static inline void json_number(const char *name, uint64_t value)
{
    printf(",\"%s\":%" PRIu64, name, value);
}

static inline void json_text(const char *name, const char *value)
{
    printf(",\"%s\":\"%s\"", name, value);
}

static inline int json_end(bool ok)
{
    printf(",\"ok\":%s}\n", ok ? "true" : "false");
    fflush(stdout);
    return ok ? EXIT_OK : EXIT_WRONG;
}

/* xorshift64*: the same sequence everywhere from one seed. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 0x9e3779b97f4a7c15ull;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* FNV-1a over 8-byte words, `bytes` rounded up to whole words. */
static inline uint64_t checksum(const volatile uint64_t *words,
                                uint64_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325ull, i;

    for (i = 0; i < (bytes + 7) / 8; i++) {
        hash = (hash ^ words[i]) * 0x100000001b3ull;
    }
    return hash;
}

/* Run `threads` threads and wait for them. */
static inline void run_threads(unsigned threads, void *(*body)(void *),
                               void *items, size_t size)
{
    pthread_t ids[MAX_THREADS];
    unsigned i;

    for (i = 0; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, body, (char *)items + i * size)) {
            die(EXIT_USAGE, "cannot start a thread");
        }
    }
    for (i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
}

static inline void check_threads(uint64_t threads)
{
    if (threads < 1 || threads > MAX_THREADS) {
        die(EXIT_USAGE, "--threads accepts 1 to %d", MAX_THREADS);
    }
}

#endif
