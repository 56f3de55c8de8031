/*
 * libeca: memory that the agent reaches by DMA, and the claim of what uses it
 *
 * The agent knows guest physical addresses, so pages must stay where they
 * are: they are registered as buffers of an io_uring, which pins them as for
 * a device's DMA.  They are those of a file in /run, because a process can be
 * killed: what the agent writes before the next one turns it off must not go
 * to pages that the kernel has given to somebody else.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "private.h"

#define FILE_NAME       "/run/libeca-%x"
#define FRAME_MASK      ((1ull << 55) - 1)
#define PCI_COMMAND     4
#define PCI_MASTER      (1u << 2)

static void file_of(uint32_t offset, char *path, size_t room)
{
    snprintf(path, room, FILE_NAME, offset);
}

static int map_file(Pinned *p, uint32_t offset)
{
    char path[32];
    int fd, error = 0;

    file_of(offset, path, sizeof(path));
    unlink(path);                   /* a dead process's, which is off */
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, PINNED_BYTES)) {
        error = -errno;
    } else {
        p->at = mmap(NULL, PINNED_BYTES, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_POPULATE, fd, 0);
        error = p->at == MAP_FAILED ? -errno : 0;
        p->at = error ? NULL : p->at;
    }
    close(fd);
    return error;
}

static int pin(Pinned *p)
{
    struct io_uring_params params = { 0 };
    struct iovec memory = { p->at, PINNED_BYTES };

    p->pin = syscall(SYS_io_uring_setup, 1, &params);
    if (p->pin < 0 || syscall(SYS_io_uring_register, p->pin,
                              IORING_REGISTER_BUFFERS, &memory, 1)) {
        return -errno;
    }
    return 0;
}

static int find_addresses(Pinned *p)
{
    uint64_t entry[PINNED_PAGES];
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0) {
        return -errno;
    }
    got = pread(fd, entry, sizeof(entry), (uintptr_t)p->at / PAGE_BYTES * 8);
    close(fd);
    if (got != sizeof(entry)) {
        return -EIO;
    }
    for (int i = 0; i < PINNED_PAGES; i++) {
        p->address[i] = (entry[i] & FRAME_MASK) * PAGE_BYTES;
        if (!p->address[i]) {
            return -EACCES;         /* who may not know reads 0 */
        }
    }
    return 0;
}

/* The function may do DMA. */
static int enable_master(Eca *eca)
{
    uint16_t command;
    int fd = libeca_bar_file(eca, "config"), error = 0;

    if (fd < 0) {
        return fd;
    }
    if (pread(fd, &command, sizeof(command), PCI_COMMAND) !=
        sizeof(command)) {
        error = -EIO;
    } else if (!(command & PCI_MASTER)) {
        command |= PCI_MASTER;
        error = pwrite(fd, &command, sizeof(command), PCI_COMMAND) ==
                sizeof(command) ? 0 : -EACCES;
    }
    close(fd);
    return error;
}

void libeca_unpin(Pinned *p)
{
    char path[32];

    if (p->at) {
        munmap(p->at, PINNED_BYTES);
        file_of(p->offset, path, sizeof(path));
        unlink(path);
    }
    if (p->pin >= 0) {
        close(p->pin);
    }
    if (p->claim >= 0) {
        close(p->claim);            /* last: the next one may come */
    }
}

int libeca_pin(Pinned *p, Eca *eca, uint32_t offset, uint32_t bytes,
               uint32_t control)
{
    int error;

    *p = (Pinned) { .offset = offset, .pin = -1, .claim = -1 };
    p->claim = libeca_bar_file(eca, "resource0");
    if (p->claim < 0) {
        return p->claim;
    }
    error = libeca_bar_claim(p->claim, offset, bytes);
    if (!error) {
        bar_set4(eca, offset + control, 0);     /* a dead process's */
        error = enable_master(eca);
    }
    error = error ? error : map_file(p, offset);
    error = error ? error : pin(p);
    error = error ? error : find_addresses(p);
    if (error) {
        libeca_unpin(p);
    }
    return error;
}
