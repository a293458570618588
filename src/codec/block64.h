/* Looking at 64 bytes at once: which of them are line ends, dots, NUL or above 127.
 *
 * Each kind is a 64-bit mask with bit i for byte i, so that questions about neighbours ("an LF
 * without a CR before it") are a shift and an AND. SSE2 where there is one, else eight bytes at a
 * time in plain C. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK64_SIZE 64u

struct block64 {
	uint64_t cr;
	uint64_t lf;
	uint64_t dot;
	uint64_t nul;
	uint64_t high; /* bytes 128..255 */
};

#ifdef __SSE2__

static inline uint64_t
block64_bits(__m128i x)
{
	return (uint64_t)(uint32_t)_mm_movemask_epi8(x);
}

static inline struct block64
block64_load(const char *p)
{
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), dot = _mm_set1_epi8('.');
	struct block64 b = { 0 };

	for (unsigned i = 0; i < BLOCK64_SIZE; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i_u *)(const void *)(p + i));
		b.cr |= block64_bits(_mm_cmpeq_epi8(x, cr)) << i;
		b.lf |= block64_bits(_mm_cmpeq_epi8(x, lf)) << i;
		b.dot |= block64_bits(_mm_cmpeq_epi8(x, dot)) << i;
		b.nul |= block64_bits(_mm_cmpeq_epi8(x, _mm_setzero_si128())) << i;
		b.high |= block64_bits(x) << i;
	}
	return b;
}

#else

/* The top bits of the eight bytes of `x`, as eight bits. */
static inline uint64_t
block64_bits(uint64_t x)
{
	return ((x & 0x8080808080808080u) >> 7) * 0x0102040810204080u >> 56;
}

/* Bit i: byte i of `x` is `c`. Exact, unlike the usual subtraction, which borrows from the next
 * byte. */
static inline uint64_t
block64_equal(uint64_t x, unsigned char c)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
	uint64_t d = x ^ (0x0101010101010101u * c);

	return block64_bits(~(((d & low) + low) | d | low));
}

static inline struct block64
block64_load(const char *p)
{
	struct block64 b = { 0 };

	for (unsigned i = 0; i < BLOCK64_SIZE; i += 8) {
		uint64_t x;
		memcpy(&x, p + i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		x = __builtin_bswap64(x);
#endif
		b.cr |= block64_equal(x, '\r') << i;
		b.lf |= block64_equal(x, '\n') << i;
		b.dot |= block64_equal(x, '.') << i;
		b.nul |= block64_equal(x, 0) << i;
		b.high |= block64_bits(x) << i;
	}
	return b;
}

#endif
