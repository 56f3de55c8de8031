/*
 * libeca without a fabric: processes share a file, and each is a host
 *
 * The file's first page says who lives.  A process takes a slot under
 * flock(), which the kernel drops with it, so a slot is half written only
 * while its life is 0.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "private.h"

#define FILE_MAGIC      0x31656c6966616365ull   /* "ecafile1" */
#define SLOTS           (PAGE_BYTES / ECA_CACHE_LINE - 1)
#define LOCK_MS         10000

typedef struct FileSlot {
    uint64_t life;                  /* 0: nobody's */
    uint64_t count;                 /* how often it was taken */
    uint64_t pid, stamp;
} LINE_ALIGNED FileSlot;

typedef struct FilePage {
    uint64_t magic LINE_ALIGNED;
    FileSlot slot[SLOTS];
} FilePage;

_Static_assert(sizeof(FilePage) == PAGE_BYTES, "the file's first page");

static FilePage *page(Eca *eca)
{
    return eca->map;
}

static bool file_up(Eca *eca)
{
    (void)eca;
    return true;
}

static int file_life(Eca *eca, uint32_t host, uint32_t *life)
{
    FileSlot *slot;
    uint64_t seen, pid, stamp;

    if (host >= SLOTS) {
        return -EINVAL;
    }
    slot = &page(eca)->slot[host];
    seen = get64(&slot->life);
    if (seen && slot != eca->slot) {
        pid = get64(&slot->pid);
        stamp = get64(&slot->stamp);
        /* Of another life than was read, if that has changed. */
        if (libeca_process_stamp(pid) != stamp && get64(&slot->life) == seen) {
            seen = 0;
        }
    }
    *life = seen;
    return 0;
}

static void file_info(Eca *eca, EcaInfo *info)
{
    (void)eca;
    info->hosts = SLOTS;
}

static void file_close(Eca *eca)
{
    if (eca->slot) {
        set64(&eca->slot->life, 0);
    }
}

static const EcaOps file_ops = {
    .up = file_up,
    .life = file_life,
    .info = file_info,
    .close = file_close,
};

static int lock_file(Eca *eca, int fd)
{
    Wait wait = WAIT(eca, LOCK_MS);
    int error;

    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return -errno;
        }
        error = libeca_wait(&wait);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

static int take_slot(Eca *eca)
{
    for (uint32_t host = 0; host < SLOTS; host++) {
        FileSlot *slot = &page(eca)->slot[host];
        uint32_t life;

        file_life(eca, host, &life);
        if (life) {
            continue;
        }
        set64(&slot->life, 0);
        set64(&slot->pid, getpid());
        set64(&slot->stamp, libeca_process_stamp(getpid()));
        /* 0 means nobody, and owners' words have 16 bits of it. */
        eca->incarnation = slot->count % 0xffff + 1;
        set64(&slot->count, slot->count + 1);
        set64(&slot->life, eca->incarnation);
        eca->host = host;
        eca->slot = slot;
        return 0;
    }
    return -EUSERS;
}

int libeca_open_file(Eca *eca, int fd, uint64_t bytes)
{
    int error;

    if (bytes < 2 * PAGE_BYTES || bytes % PAGE_BYTES ||
        get64(&page(eca)->magic) != FILE_MAGIC) {
        return -EINVAL;
    }
    eca->memory = (uint8_t *)eca->map + PAGE_BYTES;
    eca->bytes = bytes - PAGE_BYTES;
    eca->ops = &file_ops;
    error = lock_file(eca, fd);
    if (!error) {
        error = take_slot(eca);
        flock(fd, LOCK_UN);
    }
    return error;
}

int eca_format_file(const char *path, uint64_t bytes)
{
    static const uint64_t magic = FILE_MAGIC;
    int fd, error = 0;

    if (bytes < 2 * PAGE_BYTES || bytes % PAGE_BYTES) {
        return -EINVAL;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, 0) || ftruncate(fd, bytes) ||
        pwrite(fd, &magic, sizeof(magic), 0) != sizeof(magic)) {
        error = -errno;
    }
    close(fd);
    return error;
}
