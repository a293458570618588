/* libsodium's generator, which is the kernel's. */
#include "crypto/random.h"

#include <sodium.h>

#include "base/check.h"

void
random_bytes(void *out, size_t n)
{
	randombytes_buf(out, n);
}

uint64_t
random_u64(void)
{
	uint64_t v;

	randombytes_buf(&v, sizeof(v));
	return v;
}

uint64_t
random_below(uint64_t n)
{
	ASSERT(n > 0);
	/* 2^64 mod n: values below it would make the low results likelier, so they are drawn again.
	 */
	uint64_t unfair = (UINT64_MAX - n + 1) % n;
	uint64_t v;

	do
		v = random_u64();
	while (v < unfair);
	return v % n;
}
