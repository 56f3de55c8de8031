/*
 * libeca's first example: a counter that hosts share, under a lock that
 * survives its owner.  eca-counter DEVICE TIMES, on any hosts at once.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "eca/eca.h"

static int check(const char *what, int error)
{
    if (error < 0 && error != -EOWNERDEAD && error != -EEXIST) {
        fprintf(stderr, "eca-counter: %s: %s\n", what, eca_strerror(error));
        exit(1);
    }
    return error;
}

int main(int argc, char **argv)
{
    const char *device = argc > 1 ? argv[1] : "hot";
    long times = argc > 2 ? atol(argv[2]) : 1000;
    Eca *eca;
    EcaArena *arena;
    EcaSpin *lock;
    void *at;
    uint64_t *count;

    check(device, eca_open(&eca, device));
    check("arena", eca_arena_join(&arena, eca, 0));
    check("lock", eca_spin_open(&lock, arena, "counter.lock", 1000));
    /* Whoever comes first makes it, with 0 in it. */
    check("counter", eca_alloc(arena, "counter", sizeof(*count), 0, &at,
                               1000));
    check("counter", eca_find(arena, "counter", &at, NULL));
    count = at;
    for (long i = 0; i < times; i++) {
        if (check("lock", eca_spin_lock(lock, 10000)) == -EOWNERDEAD) {
            printf("host %d died with the lock\n", eca_dead_host());
        }
        ++*count;
        check("unlock", eca_spin_unlock(lock));
    }
    printf("counter: %llu\n", (unsigned long long)
           __atomic_load_n(count, __ATOMIC_RELAXED));
    eca_spin_close(lock);
    eca_arena_leave(arena);
    eca_close(eca);
    return 0;
}
