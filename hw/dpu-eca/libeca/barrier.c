/*
 * libeca: barriers whose members may die
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include "private.h"

typedef struct BarrierPlace {
    uint64_t member;                /* owner's word */
    uint64_t arrived;               /* at how many rounds */
} LINE_ALIGNED BarrierPlace;

struct EcaBarrier {
    Eca *eca;
    BarrierPlace *place;
    uint32_t members, index;
    bool pending;                   /* arrived, and the round is not over */
};

static int take(EcaBarrier *barrier, int index)
{
    int error = -EBUSY;

    for (uint32_t i = 0; i < barrier->members && error == -EBUSY; i++) {
        if (index < 0 || index == (int)i) {
            error = libeca_take_place(barrier->eca,
                                      &barrier->place[i].member);
            barrier->index = i;
        }
    }
    return error;
}

int eca_barrier_open(EcaBarrier **out, EcaArena *arena, const char *name,
                     uint32_t members, int index, int timeout_ms)
{
    EcaBarrier *barrier;
    void *at;
    int error;

    if (members < 2 || members > ECA_MAX_MEMBERS || index < -1 ||
        index >= (int)members) {
        return -EINVAL;
    }
    barrier = calloc(1, sizeof(*barrier));
    error = barrier ? libeca_object_open(arena, name, ECA_KIND_BARRIER,
                                         members * sizeof(BarrierPlace), NULL,
                                         NULL, &at, timeout_ms) : -ENOMEM;
    if (!error) {
        barrier->eca = arena->eca;
        barrier->place = at;
        barrier->members = members;
        error = take(barrier, index);
    }
    if (error) {
        free(barrier);
        return error;
    }
    *out = barrier;
    return 0;
}

void eca_barrier_close(EcaBarrier *barrier)
{
    if (barrier) {
        libeca_leave_place(barrier->eca,
                           &barrier->place[barrier->index].member);
        free(barrier);
    }
}

int eca_barrier_index(const EcaBarrier *barrier)
{
    return barrier->index;
}

int eca_barrier_wait(EcaBarrier *barrier, int timeout_ms)
{
    Wait wait = WAIT(barrier->eca, timeout_ms);
    uint64_t *mine = &barrier->place[barrier->index].arrived;
    uint64_t round = get64(mine) + !barrier->pending;

    if (!barrier->pending) {
        STEP("barrier-arrive");
        __atomic_store_n(mine, round, __ATOMIC_SEQ_CST);
        STEP("barrier-arrived");
        barrier->pending = true;
    }
    for (uint32_t i = 0; i < barrier->members; i++) {
        BarrierPlace *place = &barrier->place[i];

        while (get64(&place->arrived) < round) {
            int look = libeca_wait(&wait);
            uint64_t member;

            if (look <= 0) {
                if (look) {
                    return look;
                }
                continue;
            }
            /* A death is seen after the last store, so look for that too. */
            LOOK("barrier-late");
            member = get64(&place->member);
            LOOK("barrier-alone");
            if (member && member != LIBECA_CLOSED &&
                libeca_dead(barrier->eca, member) &&
                get64(&place->arrived) < round &&
                get64(&place->member) == member) {
                return libeca_died(member, -EHOSTDOWN);
            }
        }
    }
    barrier->pending = false;
    return 0;
}
