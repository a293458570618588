/* Reproducible pseudo-random numbers from a seed: jitter, simulation, misbehaviour on command.
 *
 * Never for secrets; those come from crypto/random.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct prng {
	uint64_t state;
};

static inline struct prng
prng_make(uint64_t seed)
{
	return (struct prng){ seed };
}

/* 64 uniform bits (splitmix64). */
static inline uint64_t
prng_next(struct prng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform in [0, n); n > 0. */
static inline uint64_t
prng_below(struct prng *r, uint64_t n)
{
	__extension__ unsigned __int128 m = (unsigned __int128)prng_next(r) * n;

	return (uint64_t)(m >> 64);
}

/* True in `percent` of 100 cases; fractions count. */
static inline bool
prng_percent(struct prng *r, double percent)
{
	return (double)prng_below(r, 1u << 30) < percent / 100 * (double)(1u << 30);
}
