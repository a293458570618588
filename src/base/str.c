/* Views of bytes.
 *
 * memchr, memcmp and memmem carry the weight: they are the vectorised ones. The hash is a 64-bit
 * multiply-and-fold over eight bytes at a time, in the manner of wyhash; it needs speed and spread,
 * not secrecy. */
#include "base/str.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct str
str_from(const char *z)
{
	return (struct str){ z, z != NULL ? strlen(z) : 0 };
}

bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	}
	return true;
}

bool
str_starts(struct str s, struct str head)
{
	return s.n >= head.n && str_eq(str_make(s.p, head.n), head);
}

bool
str_starts_nocase(struct str s, struct str head)
{
	return s.n >= head.n && str_eq_nocase(str_make(s.p, head.n), head);
}

bool
str_ends(struct str s, struct str tail)
{
	return s.n >= tail.n && str_eq(str_skip(s, s.n - tail.n), tail);
}

bool
str_ends_nocase(struct str s, struct str tail)
{
	return s.n >= tail.n && str_eq_nocase(str_skip(s, s.n - tail.n), tail);
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d = n != 0 ? memcmp(a.p, b.p, n) : 0;

	if (d != 0)
		return d;
	return a.n < b.n ? -1 : a.n > b.n;
}

size_t
str_find(struct str s, char c)
{
	const char *hit = s.n != 0 ? memchr(s.p, c, s.n) : NULL;

	return hit != NULL ? (size_t)(hit - s.p) : s.n;
}

size_t
str_find_last(struct str s, char c)
{
	const char *hit = s.n != 0 ? memrchr(s.p, c, s.n) : NULL;

	return hit != NULL ? (size_t)(hit - s.p) : s.n;
}

size_t
str_find_str(struct str s, struct str needle)
{
	if (needle.n == 0)
		return 0;
	const char *hit = s.n >= needle.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return hit != NULL ? (size_t)(hit - s.p) : s.n;
}

size_t
str_find_nocase(struct str s, struct str needle)
{
	for (size_t i = 0; i + needle.n <= s.n; i++) {
		if (str_eq_nocase(str_make(s.p + i, needle.n), needle))
			return i;
	}
	return s.n;
}

bool
str_has_byte(struct str s, char c)
{
	return str_find(s, c) < s.n;
}

struct str
str_sub(struct str s, size_t at, size_t n)
{
	if (at > s.n)
		at = s.n;
	if (n > s.n - at)
		n = s.n - at;
	return s.p != NULL ? (struct str){ s.p + at, n } : (struct str){ NULL, 0 };
}

struct str
str_skip(struct str s, size_t n)
{
	return str_sub(s, n, SIZE_MAX);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str
str_trim(struct str s)
{
	while (s.n != 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n != 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
str_cut(struct str *rest, char sep, struct str *head_out)
{
	if (rest->p == NULL)
		return false;
	size_t at = str_find(*rest, sep);
	*head_out = str_make(rest->p, at);
	*rest =
	    at < rest->n ? str_make(rest->p + at + 1, rest->n - at - 1) : (struct str){ NULL, 0 };
	return true;
}

enum rc
str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return RC_INVALID;
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_digit(s.p[i]))
			return RC_INVALID;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return RC_INVALID;
	}
	*out = v;
	return RC_OK;
}

static uint64_t
fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

#define HASH_K0 0x9e3779b97f4a7c15u
#define HASH_K1 0xd6e8feb86659fd93u

uint64_t
str_hash(struct str s, uint64_t seed)
{
	uint64_t h = seed ^ HASH_K0;
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		uint64_t w;
		memcpy(&w, s.p + i, 8);
		h = fold(h ^ w, HASH_K1);
	}
	uint64_t tail = 0;
	if (i < s.n)
		memcpy(&tail, s.p + i, s.n - i);
	return fold(h ^ tail, HASH_K0 ^ s.n);
}

uint64_t
str_hash_nocase(struct str s, uint64_t seed)
{
	uint64_t h = seed ^ HASH_K0;

	for (size_t i = 0; i < s.n; i++)
		h = fold(h ^ (unsigned char)ascii_lower(s.p[i]), HASH_K1);
	return fold(h, HASH_K0 ^ s.n);
}

char *
str_dup0(struct str s)
{
	return mem_dup0(s.p, s.n);
}
