/* Public ids: UUIDs of version 7 (RFC 9562 §5.7) that can be turned back into row ids.
 *
 *	48 bits  milliseconds at which the message was made
 *	 4 bits  version
 *	12 bits  check, a keyed hash of the rest: most made-up UUIDs are found out at once
 *	 2 bits  variant
 *	62 bits  the row id, veiled by a keyed Feistel network over 2 × 31 bits
 *
 * The veil hides how much mail there is. It is no access control: accounts are checked as ever. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/str.h"
#include "store/private.h"

#define HALF_BITS 31
#define HALF_MASK 0x7fffffffu
#define ROUNDS    4

static uint64_t
mix(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t v[3] = { a, b, c };

	/* splitmix64 over a sum: on disk in people's logs, so it must not change. */
	uint64_t z = v[0] * 0x9e3779b97f4a7c15u + v[1] * 0xbf58476d1ce4e5b9u + v[2];
	for (int i = 0; i < 2; i++) {
		z ^= z >> 30;
		z *= 0xbf58476d1ce4e5b9u;
		z ^= z >> 27;
		z *= 0x94d049bb133111ebu;
		z ^= z >> 31;
		z += v[i];
	}
	return z ^ (z >> 29);
}

static uint64_t
veil(const struct store *s, uint64_t id, bool back)
{
	uint64_t l = (id >> HALF_BITS) & HALF_MASK, r = id & HALF_MASK;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t round = (uint64_t)(back ? ROUNDS - 1 - i : i);
		uint64_t f = mix(s->secret[round & 1], back ? l : r, round) & HALF_MASK;
		if (back) {
			uint64_t was = r ^ f;
			r = l;
			l = was;
		} else {
			uint64_t was = l ^ f;
			l = r;
			r = was;
		}
	}
	return l << HALF_BITS | r;
}

static uint64_t
check_of(const struct store *s, uint64_t ms, uint64_t veiled)
{
	return mix(s->secret[0] ^ s->secret[1], ms, veiled) & 0xfff;
}

void
store_public_id(const struct store *s, struct msg_id id, int64_t created_us,
    char out[static STORE_PUBLIC_ID_SIZE])
{
	uint64_t ms = ((uint64_t)created_us / 1000) & 0xffffffffffffu;
	uint64_t v = veil(s, id.v, false);

	ASSERT(id.v >> 62 == 0);
	uint64_t high = ms << 16 | (uint64_t)7 << 12 | check_of(s, ms, v);
	uint64_t low = (uint64_t)2 << 62 | v;
	snprintf(out, STORE_PUBLIC_ID_SIZE,
	    "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
	    (high >> 16) & 0xffff, high & 0xffff, low >> 48, low & 0xffffffffffffu);
}

static bool
parse_hex(struct str text, uint64_t out[2])
{
	size_t digits = 0;

	if (text.n != STORE_PUBLIC_ID_SIZE - 1)
		return false;
	out[0] = out[1] = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = ascii_lower(text.p[i]);
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (c != '-')
				return false;
			continue;
		}
		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return false;
		uint64_t *half = &out[digits++ / 16];
		*half = *half << 4 | (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return true;
}

enum rc
store_public_parse(const struct store *s, struct str text, struct msg_id *out)
{
	uint64_t half[2];

	if (!parse_hex(text, half) || ((half[0] >> 12) & 0xf) != 7 || half[1] >> 62 != 2)
		return RC_NOT_FOUND;
	uint64_t v = half[1] & 0x3fffffffffffffffu;
	if ((half[0] & 0xfff) != check_of(s, half[0] >> 16, v))
		return RC_NOT_FOUND;
	uint64_t id = veil(s, v, true);
	if (id == 0)
		return RC_NOT_FOUND;
	out->v = id;
	return RC_OK;
}
