/*
 * libeca: BAR 0 of this host's agent, docs/specs/dpu-eca.rst
 *
 * Through sysfs; or through vfio, if the function is bound to vfio-pci.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "private.h"
#include "../eca-regs.h"

#define PCI_DEVICES     "/sys/bus/pci/devices/" "*"
#define PCI_VENDOR      "0x1b36"
#define PCI_DEVICE      "0x0eca"
#define PATH_ROOM       512

static const char *const counter_names[] = {
    "read-hit", "write-hit", "read-miss", "write-miss", "upgrade",
    "bisnp-sent", "bisnp-received", "writeback", "retry", "refusal",
    "atomic", "atomic-retry", "atomic-misaligned", "bulk-trapped", "victim",
    "bisnp-spurious", "no-room", "withheld", "page-fault", "page-mapped",
    "page-prefetched", "page-revoked", "message", "doorbell", "promotion",
    "promotion-refused", "demotion", "view-flush", "machine-check",
    "copy-in", "copy-flushed", "copy-invalidated", "copy-conflict",
};

#define COUNTER_NAMES   (sizeof(counter_names) / sizeof(counter_names[0]))

static bool bar_up(Eca *eca)
{
    return bar_get4(eca, ECA_STATUS) & ECA_STATUS_UP;
}

static int bar_life(Eca *eca, uint32_t host, uint32_t *life)
{
    if (eca->bar_bytes < ECA_HOST_LIFE_END) {
        return -ENOTSUP;
    }
    if (host >= bar_get4(eca, ECA_HOSTS)) {
        return -EINVAL;
    }
    *life = bar_get4(eca, ECA_HOST_LIFE + 4 * host);
    return 0;
}

static void bar_info(Eca *eca, EcaInfo *info)
{
    info->fabric = true;
    info->hosts = bar_get4(eca, ECA_HOSTS);
    info->epoch = bar_get4(eca, ECA_EPOCH);
    info->leaves = bar_get4(eca, ECA_LEAVES);
    info->shards = bar_get4(eca, ECA_SHARDS);
    info->gfams = bar_get4(eca, ECA_GFAMS);
    info->bulk_software = bar_get4(eca, ECA_BULK_MODE);
    info->counters = bar_get4(eca, ECA_COUNTERS);
    for (int i = 0; i < 16; i++) {
        info->uuid[i] = bar_get4(eca, ECA_UUID + i / 4 * 4) >> i % 4 * 8;
    }
    for (uint32_t g = 0; g < info->gfams && g < ECA_MAX_GFAMS; g++) {
        uint32_t block = ECA_GFAM + g * ECA_GFAM_STRIDE;

        info->gfam[g].hot = bar_get8(eca, block + ECA_GFAM_HOT);
        info->gfam[g].bulk = bar_get8(eca, block + ECA_GFAM_BULK);
        info->gfam[g].attached = bar_get4(eca, block + ECA_GFAM_FLAGS) &
                                 ECA_GFAM_ATTACHED;
    }
}

static void bar_close(Eca *eca)
{
    free(eca->folder);
    if (eca->bar) {
        munmap((void *)eca->bar, eca->bar_bytes);
    }
    for (int i = 2; i >= 0; i--) {
        if (eca->vfio[i] >= 0) {
            close(eca->vfio[i]);
        }
    }
}

static const EcaOps bar_ops = {
    .up = bar_up,
    .life = bar_life,
    .info = bar_info,
    .close = bar_close,
};

/* The function */

static bool holds(const char *folder, const char *file, const char *value)
{
    char path[PATH_ROOM], have[16] = "";
    FILE *in;

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    in = fopen(path, "r");
    if (!in) {
        return false;
    }
    if (!fgets(have, sizeof(have), in)) {
        have[0] = '\0';
    }
    fclose(in);
    return !strncmp(have, value, strlen(value));
}

/* It decodes its BAR only when the kernel has enabled it. */
static int enable(const char *folder)
{
    char path[PATH_ROOM];
    int fd, error = 0;

    if (holds(folder, "enable", "1")) {
        return 0;
    }
    snprintf(path, sizeof(path), "%s/enable", folder);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1) {
        error = -errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    return error;
}

static int map_bar(Eca *eca, int fd, uint64_t at, uint64_t bytes)
{
    void *bar = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

    if (bar == MAP_FAILED) {
        return -errno;
    }
    eca->bar = bar;
    eca->bar_bytes = bytes;
    return 0;
}

static int open_sysfs(Eca *eca, const char *folder)
{
    char path[PATH_ROOM];
    struct stat info;
    int fd, error = enable(folder);

    if (error) {
        return error;
    }
    eca->folder = strdup(folder);
    if (!eca->folder) {
        return -ENOMEM;
    }
    snprintf(path, sizeof(path), "%s/resource0", folder);
    fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info)) {
        error = -errno;
    } else {
        error = map_bar(eca, fd, 0, info.st_size);
    }
    if (fd >= 0) {
        close(fd);
    }
    return error;
}

int libeca_bar_file(Eca *eca, const char *name)
{
    char path[PATH_ROOM];
    int fd;

    if (!eca->folder) {
        return eca->bar ? -ENOTSUP : -ENODEV;
    }
    snprintf(path, sizeof(path), "%s/%s", eca->folder, name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int libeca_bar_claim(int fd, uint32_t offset, uint32_t bytes)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = offset,
        .l_len = bytes,
    };

    if (!fcntl(fd, F_OFD_SETLK, &lock)) {
        return 0;
    }
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* The last part of where a link leads, or "". */
static void link_name(const char *folder, const char *name, char *text,
                      size_t room)
{
    char path[PATH_ROOM], target[PATH_ROOM];
    const char *last;
    ssize_t length;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    length = readlink(path, target, sizeof(target) - 1);
    target[length < 0 ? 0 : length] = '\0';
    last = strrchr(target, '/');
    snprintf(text, room, "%.*s", (int)room - 1, last ? last + 1 : "");
}

static int open_vfio(Eca *eca, const char *folder)
{
    struct vfio_region_info region = {
        .argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX,
    };
    char path[PATH_ROOM], group[64];
    bool bare;

    link_name(folder, "iommu_group", group, sizeof(group));
    snprintf(path, sizeof(path), "/dev/vfio/%.60s", group);
    bare = access(path, F_OK) != 0;
    if (bare) {
        snprintf(path, sizeof(path), "/dev/vfio/noiommu-%.50s", group);
    }
    eca->vfio[0] = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (eca->vfio[0] < 0) {
        return -errno;
    }
    eca->vfio[1] = open(path, O_RDWR | O_CLOEXEC);
    if (eca->vfio[1] < 0 ||
        ioctl(eca->vfio[1], VFIO_GROUP_SET_CONTAINER, &eca->vfio[0]) ||
        ioctl(eca->vfio[0], VFIO_SET_IOMMU,
              bare ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU)) {
        return -errno;
    }
    eca->vfio[2] = ioctl(eca->vfio[1], VFIO_GROUP_GET_DEVICE_FD,
                         strrchr(folder, '/') + 1);
    if (eca->vfio[2] < 0 ||
        ioctl(eca->vfio[2], VFIO_DEVICE_GET_REGION_INFO, &region)) {
        return -errno;
    }
    return map_bar(eca, eca->vfio[2], region.offset, region.size);
}

bool libeca_has_rings(Eca *eca)
{
    return eca->bar_bytes >= ECA_BAR_SIZE && bar_get4(eca, ECA_VERSION) >= 2;
}

int libeca_open_bar(Eca *eca)
{
    char driver[32] = "";
    glob_t found;
    int error = -ENODEV;

    eca->ops = &bar_ops;
    if (glob(PCI_DEVICES, 0, NULL, &found)) {
        return -ENODEV;
    }
    for (size_t i = 0; i < found.gl_pathc && error == -ENODEV; i++) {
        const char *folder = found.gl_pathv[i];

        if (holds(folder, "vendor", PCI_VENDOR) &&
            holds(folder, "device", PCI_DEVICE)) {
            link_name(folder, "driver", driver, sizeof(driver));
            error = strcmp(driver, "vfio-pci") ? open_sysfs(eca, folder) :
                    open_vfio(eca, folder);
        }
    }
    globfree(&found);
    if (!error && (eca->bar_bytes < PAGE_BYTES ||
                   bar_get4(eca, ECA_MAGIC) != ECA_MAGIC_VALUE)) {
        error = -ENODEV;
    }
    if (!error) {
        eca->host = bar_get4(eca, ECA_HOST);
        if (bar_life(eca, eca->host, &eca->incarnation)) {
            eca->incarnation = 1;
        }
    }
    return error;
}

/* Counters and commands */

const char *eca_counter_name(uint32_t index)
{
    return index < COUNTER_NAMES ? counter_names[index] : NULL;
}

int eca_counter(Eca *eca, uint32_t index, uint64_t *value)
{
    if (!eca->bar) {
        return -ENODEV;
    }
    if (index >= bar_get4(eca, ECA_COUNTERS)) {
        return -EINVAL;
    }
    *value = bar_get8(eca, ECA_COUNTER + 8 * index);
    return 0;
}

static int await_command(Eca *eca, Wait *wait)
{
    while (bar_get4(eca, ECA_COPY_STATUS) == ECA_COPY_BUSY) {
        int error = libeca_wait(wait);

        if (error < 0) {
            return error;
        }
    }
    return 0;
}

/*
 * Wait for this process's turn at the registers, which ends when *@fd is
 * closed.  With vfio nobody else can have opened them, and *@fd is -1.
 */
static int take_registers(Eca *eca, Wait *wait, int *fd)
{
    int error = *fd = libeca_bar_file(eca, "resource0");

    if (error < 0) {
        *fd = -1;
        return error == -ENOTSUP ? 0 : error;
    }
    do {
        error = libeca_bar_claim(*fd, ECA_COPY, ECA_COPY_END - ECA_COPY);
    } while (error == -EBUSY && (error = libeca_wait(wait)) >= 0);
    return error;
}

static int by_registers(Eca *eca, uint32_t command, uint32_t gfam,
                        uint64_t dpa, uint64_t bytes, uint32_t *status,
                        uint64_t *count, Wait *wait)
{
    bool whole = command == ECA_RESERVE || command == ECA_UNRESERVE;
    uint64_t longest = bar_get4(eca, ECA_COPY_LONGEST);
    bool partly = false;
    int error = await_command(eca, wait);       /* a dead process's */

    do {
        uint64_t piece = longest - dpa % PAGE_BYTES;

        if (error) {
            return error;
        }
        piece = whole || bytes < piece ? bytes : piece;
        bar_set8(eca, ECA_COPY_DPA, dpa);
        bar_set8(eca, ECA_COPY_LENGTH, piece);
        bar_set8(eca, ECA_COPY_GFAM, (uint64_t)command << 32 | gfam);
        error = await_command(eca, wait);
        *status = bar_get4(eca, ECA_COPY_STATUS);
        *count += bar_get4(eca, ECA_COPY_LINES);
        partly |= *status == ECA_COPY_PARTLY;
        dpa += piece;
        bytes -= piece;
    } while (!error && bytes &&
             (*status == ECA_COPY_DONE || *status == ECA_COPY_PARTLY));
    if (!error && *status == ECA_COPY_DONE && partly) {
        *status = ECA_COPY_PARTLY;
    }
    return error;
}

int eca_command(Eca *eca, uint32_t command, uint32_t gfam, uint64_t dpa,
                uint64_t bytes, uint32_t *status, uint64_t *count,
                int timeout_ms)
{
    Wait wait = WAIT(eca, timeout_ms);
    int fd, error;

    *count = 0;
    *status = ECA_COPY_BUSY;
    if (!eca->bar) {
        return -ENODEV;
    }
    error = take_registers(eca, &wait, &fd);
    if (!error) {
        error = by_registers(eca, command, gfam, dpa, bytes, status, count,
                             &wait);
    }
    if (fd >= 0) {
        close(fd);
    }
    return error;
}
