/* A view of bytes that somebody else owns: pointer and length, no NUL needed, none implied.
 *
 * Bytes that came from a peer are always a `struct str`, never a bare `char *`. A view is a value:
 * pass and return it by copy. It is valid as long as what it looks into; whoever keeps one says
 * where its bytes live. An empty view may have p == NULL. Comparisons are of bytes; `_nocase` folds
 * ASCII letters only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/rc.h"

struct str {
	const char *p;
	size_t n;
};

/* A view of a string literal, usable in initialisers. */
#define STR(lit) ((struct str){ ("" lit), sizeof(lit) - 1 })
#define STR_INIT(lit)                                                                              \
	{                                                                                          \
		("" lit), sizeof(lit) - 1                                                          \
	}
/* For printf: `"%.*s", STR_ARG(s)`. */
#define STR_ARG(s) (int)((s).n > INT32_MAX ? INT32_MAX : (s).n), ((s).n != 0 ? (s).p : "")

static inline struct str
str_make(const char *p, size_t n)
{
	return (struct str){ p, n };
}

/* Looks at a NUL-terminated string of our own; NULL gives the empty view. */
struct str str_from(const char *z);

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str head);
bool str_starts_nocase(struct str s, struct str head);
bool str_ends(struct str s, struct str tail);
bool str_ends_nocase(struct str s, struct str tail);
/* <0, 0, >0 by bytes, the shorter first where one begins the other. */
int str_cmp(struct str a, struct str b);

/* Offset of the first `c`, or s.n. */
size_t str_find(struct str s, char c);
size_t str_find_last(struct str s, char c);
/* Offset of the first `needle`, or s.n; an empty needle is found at 0. */
size_t str_find_str(struct str s, struct str needle);
size_t str_find_nocase(struct str s, struct str needle);
bool str_has_byte(struct str s, char c);

/* `n` bytes from `at`, both clipped to what is there. */
struct str str_sub(struct str s, size_t at, size_t n);
struct str str_skip(struct str s, size_t n);
/* Without leading and trailing space, tab, CR and LF. */
struct str str_trim(struct str s);

/* Splits at the first `sep`: *head_out gets what stands before it, *rest what stands after. False
 * once *rest is used up (p == NULL); a final empty field is delivered. Loop: `while (str_cut(&rest,
 * ',', &field))`. */
bool str_cut(struct str *rest, char sep, struct str *head_out);

/* Decimal digits only, the whole of `s`. RC_INVALID when empty, with other bytes, or over the
 * type's range. */
enum rc str_to_u64(struct str s, uint64_t *out);

/* Well-mixed 64 bits for hash tables; not secret-keyed: tables that a peer could flood use `seed`.
 */
uint64_t str_hash(struct str s, uint64_t seed);
uint64_t str_hash_nocase(struct str s, uint64_t seed);

/* A NUL-terminated heap copy; free with free(). */
char *str_dup0(struct str s);

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool
ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}
