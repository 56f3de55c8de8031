/*
 * DPU Edge Coherence Agent: permissions of a mapping's pages
 *
 * QEMU's util/userfaultfd.c has neither MINOR faults nor UFFDIO_CONTINUE.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "qemu/atomic.h"
#include "qemu/cutils.h"
#include "qemu/memfd.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "eca-uffd.h"

#define FEATURES (UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MINOR_SHMEM | \
                  UFFD_FEATURE_MISSING_SHMEM | \
                  UFFD_FEATURE_PAGEFAULT_FLAG_WP | \
                  UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EXACT_ADDRESS | \
                  UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

static int open_uffd(bool of_kernel)
{
    int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int fd = -1;

    /* O_NONBLOCK, or poll() reports an error for ever. */
    if (dev >= 0) {
        fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        close(dev);
    }
    if (fd < 0) {
        fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    }
    if (fd < 0 && !of_kernel) {
        fd = syscall(SYS_userfaultfd,
                     O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    }
    return fd;
}

/* A whole call of an ioctl: again while the mapping is being changed. */
static int control(ECAUffd *u, unsigned long request, void *argument)
{
    while (ioctl(u->fd, request, argument) < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Whether a page can be mapped write-protected: found by doing it. */
static bool can_share(ECAUffd *u)
{
    size_t size = qemu_real_host_page_size();
    int fd = qemu_memfd_create("cxlf-probe", size, false, 0, 0, NULL);
    uint8_t *back = MAP_FAILED, *front = MAP_FAILED;
    bool can = false;

    if (fd >= 0) {
        back = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        front = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (back != MAP_FAILED && front != MAP_FAILED) {
        qatomic_set(back, 1);
        can = eca_uffd_register(u, front, size, true, NULL) &&
              eca_uffd_map(u, front, size, false) == 0;
    }
    if (back != MAP_FAILED) {
        munmap(back, size);
    }
    if (front != MAP_FAILED) {
        munmap(front, size);
    }
    if (fd >= 0) {
        close(fd);
    }
    return can;
}

bool eca_uffd_open(ECAUffd *u, bool of_kernel, Error **errp)
{
    ERRP_GUARD();
    struct uffdio_api api = { .api = UFFD_API, .features = FEATURES };

    u->can_share = false;
    u->fd = open_uffd(of_kernel);
    if (u->fd < 0) {
        error_setg_errno(errp, errno, "page ownership needs userfaultfd");
        error_append_hint(errp, "Allow it in one of three ways: give this "
                          "user access to /dev/userfaultfd; set "
                          "vm.unprivileged_userfaultfd=1 with sysctl; or "
                          "start QEMU with CAP_SYS_PTRACE. Or do without: "
                          "ownership=off for dpu-eca.\n");
        return false;
    }
    if (ioctl(u->fd, UFFDIO_API, &api) < 0) {
        error_setg_errno(errp, errno, "page ownership: this kernel's "
                         "userfaultfd lacks faults on shared memory");
        error_append_hint(errp, "Linux 5.19 or later has them. Or do "
                          "without: ownership=off for dpu-eca.\n");
        eca_uffd_close(u);
        return false;
    }
    u->can_share = can_share(u);
    return true;
}

void eca_uffd_close(ECAUffd *u)
{
    close(u->fd);
    u->fd = -1;
}

bool eca_uffd_register(ECAUffd *u, void *at, size_t size, bool shared,
                       Error **errp)
{
    struct uffdio_register r = {
        .range = { .start = (uintptr_t)at, .len = size },
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP |
                (shared ? UFFDIO_REGISTER_MODE_MINOR : 0),
    };
    int ret = control(u, UFFDIO_REGISTER, &r);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "page ownership: cannot register "
                         "memory with userfaultfd");
    }
    return ret == 0;
}

int eca_uffd_map(ECAUffd *u, void *at, size_t size, bool writable)
{
    size_t page = qemu_real_host_page_size();
    bool single = false;

    while (size) {
        struct uffdio_continue c = {
            .range = { .start = (uintptr_t)at, .len = single ? page : size },
            .mode = writable ? 0 : UFFDIO_CONTINUE_MODE_WP,
        };
        int ret = 0;

        if (ioctl(u->fd, UFFDIO_CONTINUE, &c) < 0) {
            ret = -errno;
        }
        if (c.mapped > 0) {
            at += c.mapped;
            size -= c.mapped;
            single = false;
            continue;
        }
        switch (ret) {
        case -EAGAIN:
        case -EINTR:
            break;
        case -EEXIST:
            eca_uffd_wake(u, at, page);
            at += page;
            size -= page;
            break;
        default:
            /* A range may be of several mappings, which a page is not. */
            if (single || size == page) {
                return ret;
            }
            single = true;
            break;
        }
    }
    return 0;
}

int eca_uffd_protect(ECAUffd *u, void *at, size_t size, bool writable)
{
    struct uffdio_writeprotect w = {
        .range = { .start = (uintptr_t)at, .len = size },
        .mode = writable ? 0 : UFFDIO_WRITEPROTECT_MODE_WP,
    };

    return control(u, UFFDIO_WRITEPROTECT, &w);
}

int eca_uffd_copy(ECAUffd *u, void *at, const void *from, size_t size,
                  bool writable)
{
    size_t page = qemu_real_host_page_size();

    while (size) {
        struct uffdio_copy c = {
            .dst = (uintptr_t)at, .src = (uintptr_t)from, .len = size,
            .mode = writable ? 0 : UFFDIO_COPY_MODE_WP,
        };
        size_t done = size;

        if (ioctl(u->fd, UFFDIO_COPY, &c) < 0) {
            if (c.copy > 0) {
                done = c.copy;
            } else if (errno == EEXIST) {
                eca_uffd_wake(u, at, page);
                done = page;
            } else if (errno == EAGAIN || errno == EINTR) {
                done = 0;
            } else {
                return -errno;
            }
        }
        at += done;
        from += done;
        size -= done;
    }
    return 0;
}

void eca_uffd_wake(ECAUffd *u, void *at, size_t size)
{
    struct uffdio_range r = { .start = (uintptr_t)at, .len = size };

    control(u, UFFDIO_WAKE, &r);
}

typedef struct Move {
    void *from, *to;
    size_t size;
    int ret;
    bool done;
} Move;

static void *move_thread(void *opaque)
{
    Move *m = opaque;

    if (mremap(m->from, m->size, m->size, MREMAP_MAYMOVE | MREMAP_FIXED,
               m->to) == MAP_FAILED) {
        m->ret = -errno;
    }
    qatomic_store_release(&m->done, true);
    return NULL;
}

/*
 * A mapping keeps its registration when it is moved only if the move is
 * reported, and then the call lasts until the report is read: so it is made
 * by a thread of its own.  Until then every ioctl returns EAGAIN.
 */
static int replace(ECAUffd *u, void *at, void *fresh, size_t size)
{
    g_autoptr(GArray) faults = g_array_new(false, false, sizeof(ECAFault));
    struct pollfd p = { .fd = u->fd, .events = POLLIN };
    Move m = { .from = fresh, .to = at, .size = size };
    QemuThread thread;
    ECAFault fault;

    qemu_thread_create(&thread, "eca-move", move_thread, &m,
                       QEMU_THREAD_JOINABLE);
    while (!qatomic_load_acquire(&m.done)) {
        poll(&p, 1, 1);
        while (eca_uffd_next(u, &fault)) {
            g_array_append_val(faults, fault);
        }
    }
    qemu_thread_join(&thread);
    /* Who is woken makes its fault again. */
    for (unsigned i = 0; i < faults->len; i++) {
        eca_uffd_wake(u, g_array_index(faults, ECAFault, i).address,
                      qemu_real_host_page_size());
    }
    eca_uffd_wake(u, at, size);
    return m.ret;
}

bool eca_uffd_show(ECAUffd *u, void *at, size_t size, int fd,
                   uint64_t offset, Error **errp)
{
    void *fresh = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_NORESERVE, fd, offset);
    int ret;

    if (fresh == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map %zu bytes", size);
        return false;
    }
    /* Pages are taken away one by one, and large ones would be split. */
    madvise(fresh, size, MADV_NOHUGEPAGE);
    if (!eca_uffd_register(u, fresh, size, true, errp)) {
        munmap(fresh, size);
        return false;
    }
    ret = replace(u, at, fresh, size);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot move a mapping of %zu bytes",
                         size);
        munmap(fresh, size);
    }
    return ret == 0;
}

void eca_uffd_zap(void *at, size_t size)
{
    madvise(at, size, MADV_DONTNEED);
}

bool eca_uffd_next(ECAUffd *u, ECAFault *fault)
{
    struct uffd_msg m;
    ssize_t got;

    do {
        got = RETRY_ON_EINTR(read(u->fd, &m, sizeof(m)));
        if (got != sizeof(m)) {
            return false;
        }
    } while (m.event != UFFD_EVENT_PAGEFAULT);
    *fault = (ECAFault) {
        .address = (void *)(uintptr_t)(m.arg.pagefault.address &
                                       qemu_real_host_page_mask()),
        .offset = m.arg.pagefault.address & ~qemu_real_host_page_mask(),
        .write = m.arg.pagefault.flags & (UFFD_PAGEFAULT_FLAG_WRITE |
                                          UFFD_PAGEFAULT_FLAG_WP),
        .thread = m.arg.pagefault.feat.ptid,
    };
    return true;
}

int64_t eca_uffd_thread_ns(uint32_t thread)
{
    /* Linux's clock of a thread's processor time, by its number. */
    clockid_t id = (~(clockid_t)thread << 3) | 6;
    struct timespec t;

    if (!thread || clock_gettime(id, &t) < 0) {
        return -1;
    }
    return t.tv_sec * NANOSECONDS_PER_SECOND + t.tv_nsec;
}
