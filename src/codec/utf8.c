/* UTF-8.
 *
 * The lead byte says how many bytes follow and the smallest code point that may be written so; that
 * rules out long forms without a table of special second bytes. Whole views skip eight ASCII bytes
 * at a time. */
#include "codec/utf8.h"

#include <string.h>

#include "base/check.h"

#define HIGH_BITS 0x8080808080808080u

/* How many bytes of the front of `s` are ASCII, in steps of eight; what is left is looked at
 * singly. */
static size_t
skip_ascii(struct str s)
{
	size_t i = 0;
	uint64_t w;

	for (; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if ((w & HIGH_BITS) != 0)
			break;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

size_t
utf8_step(struct str s, uint32_t *cp_out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (s.n == 0)
		return 0;
	unsigned char lead = (unsigned char)s.p[0];
	if (lead < 0x80) {
		*cp_out = lead;
		return 1;
	}
	size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || s.n < n)
		return 0;
	uint32_t cp = lead & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (c & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*cp_out = cp;
	return n;
}

bool
utf8_is_valid(struct str s)
{
	uint32_t cp;

	for (;;) {
		s = str_skip(s, skip_ascii(s));
		if (s.n == 0)
			return true;
		size_t n = utf8_step(s, &cp);
		if (n == 0)
			return false;
		s = str_skip(s, n);
	}
}

bool
utf8_is_ascii(struct str s)
{
	return skip_ascii(s) == s.n;
}

void
utf8_add(struct buf *b, uint32_t cp)
{
	char c[4];
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

	ASSERT(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
	if (n == 1) {
		c[0] = (char)cp;
	} else {
		for (size_t i = n - 1; i > 0; i--, cp >>= 6)
			c[i] = (char)(0x80 | (cp & 0x3f));
		c[0] = (char)((0xf00u >> n & 0xf0) | cp);
	}
	buf_add(b, str_make(c, n));
}

void
utf8_add_repaired(struct buf *b, struct str s)
{
	uint32_t cp;

	while (s.n != 0) {
		size_t plain = skip_ascii(s);
		buf_add(b, str_sub(s, 0, plain));
		s = str_skip(s, plain);
		if (s.n == 0)
			return;
		size_t n = utf8_step(s, &cp);
		if (n == 0)
			utf8_add(b, UTF8_REPLACEMENT);
		else
			buf_add(b, str_sub(s, 0, n));
		s = str_skip(s, n != 0 ? n : 1);
	}
}

struct str
utf8_head(struct str s, size_t n)
{
	if (n >= s.n)
		return s;
	size_t cut = n;
	while (cut > 0 && n - cut < 3 && ((unsigned char)s.p[cut] & 0xc0) == 0x80)
		cut--;
	/* Where no lead byte is near, this is no UTF-8, and any place is as good. */
	if (((unsigned char)s.p[cut] & 0xc0) == 0x80)
		cut = n;
	return str_sub(s, 0, cut);
}
