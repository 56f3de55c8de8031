/*
 * Random numbers of the simulator: xoshiro256**, seeded by splitmix64
 *
 * Everything that a run decides comes from one of these, so one seed
 * reproduces all of it, on any machine.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_SIM_RNG_H
#define TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Rng {
    uint64_t s[4];
} Rng;

static inline uint64_t rng_mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline void rng_seed(Rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        r->s[i] = rng_mix(&seed);
    }
}

static inline uint64_t rng_rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline uint64_t rng_next(Rng *r)
{
    uint64_t result = rng_rotate(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rng_rotate(r->s[3], 45);
    return result;
}

/* rng_below: 0 to n - 1; n is not 0. */
static inline uint32_t rng_below(Rng *r, uint32_t n)
{
    return (rng_next(r) >> 32) * n >> 32;
}

/* A probability as a threshold for 32 random bits. */
typedef uint64_t Chance;

static inline Chance rng_chance(double p)
{
    return (Chance)(p * 4294967296.0);
}

static inline bool rng_hit(Rng *r, Chance c)
{
    return c && rng_next(r) >> 32 < c;
}

#endif /* TESTS_SIM_RNG_H */
