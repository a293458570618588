/* A table of atomic counters, indexed by a hash of the address under a key of this process: nothing
 * to lock, nothing to allocate, and a connection is counted the same on whatever loop it lands.
 *
 * Two addresses can share a counter. With 65,536 of them and the 20,000 connections that are
 * allowed by default, one that makes the hundred forbidden connections by itself is what fills a
 * counter; the key keeps others from choosing whom to share with. */
#include "submit/crowd.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/str.h"
#include "crypto/random.h"

#define COUNTERS 65536

static _Atomic uint32_t counters[COUNTERS];
static _Atomic uint64_t key; /* 0: not drawn yet */

/* Drawn once, whoever comes first. */
static uint64_t
key_of_process(void)
{
	uint64_t now = atomic_load_explicit(&key, memory_order_relaxed);

	if (now != 0)
		return now;
	uint64_t fresh = random_u64() | 1;
	return atomic_compare_exchange_strong(&key, &now, fresh) ? fresh : now;
}

static _Atomic uint32_t *
counter_of(const struct ip *ip)
{
	/* Who has one IPv6 address has 2^64 of them. */
	size_t n = ip_is_v4(ip) ? sizeof(ip->b) : 8;
	struct str bytes = str_make((const char *)ip->b, n);

	return &counters[str_hash(bytes, key_of_process()) % COUNTERS];
}

size_t
submit_crowd_add(const struct ip *ip)
{
	return (size_t)atomic_fetch_add_explicit(counter_of(ip), 1, memory_order_relaxed) + 1;
}

void
submit_crowd_remove(const struct ip *ip)
{
	uint32_t before = atomic_fetch_sub_explicit(counter_of(ip), 1, memory_order_relaxed);

	ASSERT(before > 0);
}
