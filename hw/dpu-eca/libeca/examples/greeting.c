/*
 * libeca in one screen, as in libeca(3): who is first makes a note with a
 * count in it; each call of eca-greeting DEVICE counts, and says so.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <eca/eca.h>
#include <errno.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    Eca *eca;
    EcaArena *arena;
    EcaSpin *lock;
    void *note;
    int error;

    error = eca_open(&eca, argc > 1 ? argv[1] : "hot");
    if (!error) {
        error = eca_arena_join(&arena, eca, 0);
    }
    if (!error) {
        error = eca_spin_open(&lock, arena, "note.lock", 1000);
    }
    if (!error) {
        error = eca_alloc(arena, "note", 64, 0, &note, 1000);
        error = error == -EEXIST ? eca_find(arena, "note", &note, NULL)
                                 : error;
    }
    if (!error) {
        error = eca_spin_lock(lock, 5000);
    }
    if (error == -EOWNERDEAD) {
        printf("host %d died while it held the lock\n", eca_dead_host());
        error = 0;
    }
    if (error) {
        fprintf(stderr, "eca-greeting: %s\n", eca_strerror(error));
        return 1;
    }
    printf("greeting %u\n", ++*(unsigned *)note);
    eca_spin_unlock(lock);
    eca_spin_close(lock);
    eca_arena_leave(arena);
    eca_close(eca);
    return 0;
}
