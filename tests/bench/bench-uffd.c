/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A bare round trip of page ownership by userfaultfd, for comparison with
 * the fabric's: two processes map one memfd, and each has a thread that
 * handles faults.  A touches the block: its handler asks B's by an eventfd,
 * B's drops the block (MADV_DONTNEED) and answers by another, and A's maps
 * it (UFFDIO_CONTINUE).  Then it is B's turn.  No directory, no protocol, no
 * guest: what the kernel alone takes.
 *
 * usage: bench-uffd BYTES COUNT; prints one line of JSON, as pingpong of
 * tests/guest does.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include "../guest/quartiles.h"

#define PAGE 4096
#define MAX_BYTES (1u << 30)
#define MAX_COUNT (1u << 20)

/* What both processes see; times are of the first one. */
typedef struct Shared {
    volatile uint64_t switches[2], wrong[2];
} Shared;

typedef struct Side {
    int uffd;
    int ask, answer;                    /* to the other side, and from it */
    int asked, answers;                 /* from the other side, and to it */
    int go, gone;                       /* turns: mine, and the other's */
    uint8_t *block;
} Side;

static uint64_t bytes, count;
static Shared *shared;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "bench-uffd: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void ring(int fd)
{
    uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) != sizeof(one)) {
        die("eventfd");
    }
}

static void await(int fd)
{
    uint64_t value;

    if (read(fd, &value, sizeof(value)) != sizeof(value)) {
        die("eventfd");
    }
}

static void open_uffd(Side *side)
{
    struct uffdio_api api = { .api = UFFD_API,
                              .features = UFFD_FEATURE_MINOR_SHMEM };
    struct uffdio_register range = {
        .range = { .start = (uintptr_t)side->block, .len = bytes },
        .mode = UFFDIO_REGISTER_MODE_MINOR,
    };

    side->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (side->uffd < 0) {
        int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

        side->uffd = ioctl(device, USERFAULTFD_IOC_NEW,
                           O_CLOEXEC | O_NONBLOCK);
    }
    if (side->uffd < 0 || ioctl(side->uffd, UFFDIO_API, &api) ||
        ioctl(side->uffd, UFFDIO_REGISTER, &range)) {
        die("userfaultfd");
    }
}

/* Map what is still absent of the block, which may be all of it. */
static void map_block(Side *side)
{
    struct uffdio_continue grant = {
        .range = { .start = (uintptr_t)side->block, .len = bytes },
    };

    if (ioctl(side->uffd, UFFDIO_CONTINUE, &grant)) {
        die("UFFDIO_CONTINUE");
    }
}

static void *handle(void *opaque)
{
    Side *side = opaque;
    struct pollfd wait[] = {
        { .fd = side->uffd, .events = POLLIN },
        { .fd = side->asked, .events = POLLIN },
        { .fd = side->answer, .events = POLLIN },
    };
    struct uffd_msg message;

    for (;;) {
        if (poll(wait, 3, -1) < 0) {
            die("poll");
        }
        if (wait[0].revents && read(side->uffd, &message, sizeof(message))
            == sizeof(message)) {
            ring(side->ask);
        }
        if (wait[1].revents) {
            await(side->asked);
            if (madvise(side->block, bytes, MADV_DONTNEED)) {
                die("MADV_DONTNEED");
            }
            ring(side->answers);
        }
        if (wait[2].revents) {
            await(side->answer);
            map_block(side);
        }
    }
    return NULL;
}

static void play(Side *side, unsigned who)
{
    uint64_t *first = calloc(count, sizeof(*first));
    uint64_t *whole = calloc(count, sizeof(*whole));
    uint64_t begin = now_ns(), i, at, start;
    struct rusage usage;
    pthread_t thread;

    if (!first || !whole || pthread_create(&thread, NULL, handle, side)) {
        die("thread");
    }
    for (i = 0; i < count; i++) {
        await(side->go);
        start = now_ns();
        shared->wrong[who] += __atomic_fetch_add(
            (uint64_t *)side->block, 1, __ATOMIC_SEQ_CST) != 2 * i + who;
        first[i] = now_ns() - start;
        for (at = 8; at < bytes; at += 8) {
            *(volatile uint64_t *)(side->block + at) = i;
        }
        whole[i] = now_ns() - start;
        ring(side->gone);
    }
    getrusage(RUSAGE_SELF, &usage);
    shared->switches[who] = usage.ru_nvcsw + usage.ru_nivcsw;
    if (who == 1) {
        return;
    }
    await(side->go);
    begin = now_ns() - begin;
    /* The other side has written its part when it has ended. */
    if (wait(NULL) < 0) {
        die("wait");
    }
    printf("{\"program\":\"bench-uffd\",\"bytes\":%" PRIu64 ",\"transfers\":%"
           PRIu64 ",\"ns\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"context-switches\":%" PRIu64, bytes, 2 * count, begin,
           shared->wrong[0] + shared->wrong[1],
           shared->switches[0] + shared->switches[1]);
    json_quartiles("first-access-ns", first, count);
    json_quartiles("block-ns", whole, count);
    printf("}\n");
}

int main(int argc, char **argv)
{
    int memory = memfd_create("block", MFD_CLOEXEC), fd[6], i;
    bool child;
    Side side;

    bytes = argc == 3 ? strtoull(argv[1], NULL, 0) : 0;
    count = argc == 3 ? strtoull(argv[2], NULL, 0) : 0;
    if (!bytes || bytes % PAGE || bytes > MAX_BYTES || !count ||
        count > MAX_COUNT) {
        fprintf(stderr, "usage: bench-uffd BYTES COUNT\n"
                "BYTES: a multiple of %d up to 2^30; COUNT: up to 2^20\n",
                PAGE);
        return 2;
    }
    for (i = 0; i < 6; i++) {
        fd[i] = eventfd(0, EFD_CLOEXEC);
    }
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    /* Without a page behind it, a MINOR fault is not one. */
    if (memory < 0 || posix_fallocate(memory, 0, bytes) ||
        shared == MAP_FAILED) {
        die("memory");
    }
    child = fork() == 0;
    if (child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    side.ask = fd[child];
    side.asked = fd[!child];
    side.answers = fd[2 + child];
    side.answer = fd[2 + !child];
    side.go = fd[4 + child];
    side.gone = fd[4 + !child];
    side.block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      memory, 0);
    if (side.block == MAP_FAILED) {
        die("mmap");
    }
    open_uffd(&side);
    if (!child) {
        ring(side.go);
    }
    play(&side, child);
    return 0;
}
