/*
 * DPU Edge Coherence Agent: permissions of a mapping's pages
 *
 * A thin layer over userfaultfd: a page that is absent, write-protected or
 * writable is Invalid, Shared or Owned (docs/page-ownership.md).  All
 * functions may be called by any thread; addresses and sizes are multiples of
 * the page size.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DPU_ECA_UFFD_H
#define HW_DPU_ECA_UFFD_H

#include "qapi/error.h"

typedef struct ECAUffd {
    int fd;
    bool can_share;     /* a page can be mapped write-protected: Linux 6.4 */
} ECAUffd;

typedef struct ECAFault {
    void *address;      /* of the page */
    unsigned offset;    /* of the access in it */
    bool write;
    uint32_t thread;    /* kernel id of the thread that waits */
} ECAFault;

/*
 * eca_uffd_open: prefers /dev/userfaultfd.  Faults of the kernel itself
 * (KVM, system calls) are served only with @of_kernel, which needs a right;
 * the error names the ways to get it.
 */
bool eca_uffd_open(ECAUffd *u, bool of_kernel, Error **errp);
void eca_uffd_close(ECAUffd *u);

/*
 * eca_uffd_register: have faults on a mapping reported.  @shared: a shared
 * mapping of a file (pages that exist are reported, too); else anonymous
 * memory, which eca_uffd_copy() fills.
 */
bool eca_uffd_register(ECAUffd *u, void *at, size_t size, bool shared,
                       Error **errp);

/*
 * eca_uffd_map: let the accesses to pages of a shared mapping go on, and
 * wake who waits for them.  The pages must exist in the file.  What is
 * mapped already stays as it is.  Returns 0 or -errno.
 */
int eca_uffd_map(ECAUffd *u, void *at, size_t size, bool writable);

/* eca_uffd_protect: make mapped pages read-only, or writable and wake. */
int eca_uffd_protect(ECAUffd *u, void *at, size_t size, bool writable);

/* eca_uffd_copy: fill absent pages of anonymous memory, and wake. */
int eca_uffd_copy(ECAUffd *u, void *at, const void *from, size_t size,
                  bool writable);

/* eca_uffd_wake: let who waits make its access again. */
void eca_uffd_wake(ECAUffd *u, void *at, size_t size);

/*
 * eca_uffd_show: let a registered mapping of @fd from @offset on take the
 * place of what is mapped at @at, at once, and wake who waits there.  Only
 * the thread that reads faults may call it.
 */
bool eca_uffd_show(ECAUffd *u, void *at, size_t size, int fd,
                   uint64_t offset, Error **errp);

/* eca_uffd_zap: take pages away; what a file holds stays. */
void eca_uffd_zap(void *at, size_t size);

/* eca_uffd_next: the next fault; false if none waits.  Never blocks. */
bool eca_uffd_next(ECAUffd *u, ECAFault *fault);

/* How long the thread of a fault has run in all; -1: nobody knows. */
int64_t eca_uffd_thread_ns(uint32_t thread);

#endif /* HW_DPU_ECA_UFFD_H */
