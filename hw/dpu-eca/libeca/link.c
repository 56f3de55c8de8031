/*
 * libeca: the device that is mapped, who owns, who is dead, and waiting
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include "private.h"

#define HOST_SHIFT      52
#define LIFE_SHIFT      36
#define LIFE_MASK       0xffffu
#define PID_SHIFT       14
#define PID_MASK        0x3fffffu
#define STAMP_MASK      0x3fffu

#define SPINS           200
#define YIELDS          400
#define NAP_NS          50000

static _Thread_local int dead_host = -1;

int eca_dead_host(void)
{
    return dead_host;
}

const char *eca_strerror(int error)
{
    switch (error) {
    case -EOWNERDEAD:
        return "taken; its owner died and may have left things half done";
    case -EHOSTDOWN:
        return "the host that had to act is dead";
    case -EPIPE:
        return "the other end is closed";
    case -ETIMEDOUT:
        return "the time is over";
    case -ENOLINK:
        return "the fabric is lost";
    case -EUCLEAN:
        return "the arena's metadata is damaged";
    case -EPROTOTYPE:
        return "an object of that name is of another kind or shape";
    case -EBUSY:
        return "somebody who lives has it";
    case -EMSGSIZE:
        return "the message is too long";
    case -EEXIST:
        return "it exists already";
    case -ENOENT:
        return "there is none";
    case -ENOSPC:
        return "no room for so many bytes";
    case -ENFILE:
        return "no room for more objects";
    case -EUSERS:
        return "no room for more processes";
    case -EPERM:
        return "not held by the caller";
    case -ENOSR:
        return "the agent's four queues are taken";
    case -EACCES:
        return "permission denied; the agent's queues need root";
    case -ENODEV:
        return "this host has no dpu-eca";
    case -ENOTSUP:
        return "not supported here";
    default:
        return error >= 0 ? "success" : strerror(-error);
    }
}

/* Who is dead */

/*
 * The start time differs between processes of one pid; the boot id between
 * boots, in which a guest may start the same process at the same time.
 */
static uint64_t hash(uint64_t seed, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        seed = (seed ^ (unsigned char)text[i]) * 0x100000001b3ull;
    }
    return seed;
}

static size_t read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, room - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[got < 0 ? 0 : got] = '\0';
    return got < 0 ? 0 : got;
}

uint64_t libeca_process_stamp(uint32_t pid)
{
    char path[64], text[1024], boot[64], state;
    unsigned long long start;
    long threads;
    const char *at;
    uint64_t stamp;

    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    if (!read_text(path, text, sizeof(text))) {
        return 0;
    }
    /* The command's name may have anything in it, but is in brackets. */
    at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                      "%*u %*u %*d %*d %*d %*d %ld %*d %llu", &state,
                      &threads, &start) != 3) {
        return 0;
    }
    /* The first thread may have ended before the others. */
    if ((state == 'Z' || state == 'X') && threads <= 1) {
        return 0;
    }
    stamp = hash(0xcbf29ce484222325ull, boot,
                 read_text("/proc/sys/kernel/random/boot_id", boot,
                           sizeof(boot)));
    stamp = hash(stamp, (const char *)&start, sizeof(start));
    stamp ^= stamp >> 29;
    return stamp ? stamp : 1;
}

static uint64_t owner_word(uint32_t host, uint32_t life, uint32_t pid,
                           uint64_t stamp)
{
    return (uint64_t)host << HOST_SHIFT |
           (uint64_t)(life & LIFE_MASK) << LIFE_SHIFT |
           (uint64_t)(pid & PID_MASK) << PID_SHIFT | (stamp & STAMP_MASK);
}

bool libeca_dead(Eca *eca, uint64_t word)
{
    uint32_t host = word >> HOST_SHIFT;
    uint32_t life, pid = word >> PID_SHIFT & PID_MASK;
    uint64_t stamp;
    bool dead;
    int error;

    if (word == eca->self) {
        return false;
    }
    error = eca->ops->life(eca, host, &life);
    if (error) {
        dead = error == -EINVAL;    /* no host's, so not an owner's word */
    } else if (!life ||
               (life & LIFE_MASK) != (word >> LIFE_SHIFT & LIFE_MASK)) {
        dead = true;
    } else if (host != eca->host) {
        dead = false;
    } else {
        stamp = libeca_process_stamp(pid);
        dead = !stamp || ((stamp ^ word) & STAMP_MASK);
    }
    /* A lost fabric reads as all ones, and shows neither life nor death. */
    return dead && eca->ops->up(eca);
}

int libeca_died(uint64_t word, int error)
{
    dead_host = word >> HOST_SHIFT;
    return error;
}

int libeca_take_place(Eca *eca, uint64_t *word)
{
    uint64_t seen = get64(word);

    if (seen && seen != LIBECA_CLOSED && !libeca_dead(eca, seen)) {
        return -EBUSY;
    }
    STEP("place-take");
    if (!swap64(word, seen, eca->self)) {
        return -EBUSY;
    }
    STEP("place-taken");
    return 0;
}

void libeca_leave_place(Eca *eca, uint64_t *word)
{
    STEP("place-leave");
    swap64(word, eca->self, LIBECA_CLOSED);
}

int libeca_look_at_peer(Eca *eca, uint64_t word)
{
    if (!word) {
        return 0;                   /* it has not come yet */
    }
    if (word == LIBECA_CLOSED) {
        return -EPIPE;
    }
    return libeca_dead(eca, word) ? libeca_died(word, -EHOSTDOWN) : 0;
}

/* Waiting */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

int libeca_wait_left(Wait *wait)
{
    uint64_t now = now_ns();

    if (!wait->deadline) {
        wait->deadline = now + wait->timeout_ms * 1000000ull;
    }
    /* Rounded up: 0 is the end. */
    return now >= wait->deadline ? 0 :
           (wait->deadline - now + 999999) / 1000000;
}

int libeca_wait_moved(Wait *wait)
{
    wait->tries = 0;
    wait->last = false;
    return libeca_wait_left(wait) || !wait->timeout_ms ? 0 : -ETIMEDOUT;
}

int libeca_wait(Wait *wait)
{
    static const struct timespec nap = { .tv_nsec = NAP_NS };

    if (wait->timeout_ms < 0) {
        return -EINVAL;
    }
    if (wait->timeout_ms && wait->tries < SPINS + YIELDS) {
        if (wait->tries++ < SPINS) {
            __builtin_ia32_pause();
        } else {
            sched_yield();
        }
        return 0;
    }
    if (wait->last) {
        return -ETIMEDOUT;
    }
    if (!wait->eca->ops->up(wait->eca)) {
        return -ENOLINK;
    }
    if (!libeca_wait_left(wait)) {
        wait->last = true;
    } else {
        nanosleep(&nap, NULL);
    }
    return 1;
}

/* Messages */

void libeca_copy_to(uint64_t *shared, const void *data, uint32_t bytes)
{
    const uint8_t *from = data;

    for (uint32_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint32_t left = bytes - at;
        uint64_t word = 0;

        memcpy(&word, from + at, left < sizeof(word) ? left : sizeof(word));
        __atomic_store_n(shared++, word, __ATOMIC_RELAXED);
    }
}

void libeca_copy_from(void *data, const uint64_t *shared, uint32_t bytes)
{
    uint8_t *to = data;

    for (uint32_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint32_t left = bytes - at;
        uint64_t word = __atomic_load_n(shared++, __ATOMIC_RELAXED);

        memcpy(to + at, &word, left < sizeof(word) ? left : sizeof(word));
    }
}

/* The device */

/* Bytes of a dax device, which fstat() does not tell; 0 if it is none. */
static uint64_t dax_bytes(const struct stat *info)
{
    char path[96], text[32], link[128];
    uint64_t bytes;
    ssize_t length;

    snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/subsystem",
             major(info->st_rdev), minor(info->st_rdev));
    length = readlink(path, link, sizeof(link) - 1);
    if (length < 4 || memcmp(link + length - 4, "/dax", 4)) {
        return 0;
    }
    snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/size",
             major(info->st_rdev), minor(info->st_rdev));
    return read_text(path, text, sizeof(text)) &&
           sscanf(text, "%" SCNu64, &bytes) == 1 ? bytes : 0;
}

static int map(Eca *eca, int fd, uint64_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (at == MAP_FAILED) {
        return -errno;
    }
    eca->map = at;
    eca->map_bytes = bytes;
    eca->memory = at;
    eca->bytes = bytes;
    return 0;
}

static int open_device(Eca *eca, const char *device)
{
    EcaRegion region;
    struct stat info;
    uint64_t bytes;
    int error, fd;

    if (!strcmp(device, "hot") || !strcmp(device, "bulk")) {
        error = eca_find_region(*device == 'h' ? ECA_CLASS_HOT :
                                ECA_CLASS_BULK, 1, &region);
        if (error) {
            return error;
        }
        device = region.path;
    }
    fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info)) {
        error = -errno;
    } else if (S_ISREG(info.st_mode)) {
        error = map(eca, fd, info.st_size);
        error = error ? error : libeca_open_file(eca, fd, info.st_size);
    } else {
        bytes = S_ISCHR(info.st_mode) ? dax_bytes(&info) : 0;
        error = bytes ? map(eca, fd, bytes) : -EINVAL;
        error = error ? error : libeca_open_bar(eca);
    }
    if (fd >= 0) {
        close(fd);
    }
    return error;
}

int eca_open(Eca **out, const char *device)
{
    Eca *eca = calloc(1, sizeof(*eca));
    int error;

    if (!eca) {
        return -ENOMEM;
    }
    for (int i = 0; i < 3; i++) {
        eca->vfio[i] = -1;
    }
    error = device ? open_device(eca, device) : libeca_open_bar(eca);
    if (error) {
        eca_close(eca);
        return error;
    }
    eca->self = owner_word(eca->host, eca->incarnation, getpid(),
                           libeca_process_stamp(getpid()));
    *out = eca;
    return 0;
}

void eca_close(Eca *eca)
{
    if (!eca) {
        return;
    }
    if (eca->ops) {
        eca->ops->close(eca);
    }
    if (eca->map) {
        munmap(eca->map, eca->map_bytes);
    }
    free(eca);
}

void *eca_memory(Eca *eca)
{
    return eca->memory;
}

uint64_t eca_bytes(Eca *eca)
{
    return eca->bytes;
}

int eca_info(Eca *eca, EcaInfo *info)
{
    uint32_t life;

    memset(info, 0, sizeof(*info));
    info->host = eca->host;
    info->incarnation = eca->incarnation;
    info->up = eca->ops->up(eca);
    info->life = !eca->ops->life(eca, eca->host, &life);
    eca->ops->info(eca, info);
    return 0;
}

int eca_life(Eca *eca, uint32_t host, uint32_t *life)
{
    return eca->ops->life(eca, host, life);
}
