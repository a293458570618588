/* xtext.
 *
 * Decoding never yields more bytes than it read: +XX is three bytes for one, and the shortest
 * \x{..} of a code point of n bytes is longer than n. So the output is allocated once, at the size
 * of the input. */
#include "codec/xtext.h"

#include "base/check.h"
#include "codec/utf8.h"

static bool
is_xchar(char c)
{
	return c > ' ' && c < 0x7f && c != '+' && c != '=';
}

static int
hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* +XX at the front of `s`: its byte, or -1. */
static int
read_hexchar(struct str s)
{
	if (s.n < 3 || s.p[0] != '+')
		return -1;
	int high = hex_value(s.p[1]), low = hex_value(s.p[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void
xtext_encode(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (is_xchar(s.p[i]))
			buf_add_byte(b, s.p[i]);
		else
			buf_addf(b, "+%02X", (unsigned char)s.p[i]);
	}
}

bool
xtext_decode(struct arena *a, struct str s, struct str *out)
{
	char *p = arena_zalloc(a, s.n + 1);
	size_t n = 0;

	while (s.n != 0) {
		int c = is_xchar(s.p[0]) ? s.p[0] : read_hexchar(s);
		if (c < 0)
			return false;
		s = str_skip(s, s.p[0] == '+' ? 3 : 1);
		p[n++] = (char)c;
	}
	*out = str_make(p, n);
	return true;
}

void
xtext_encode_utf8(struct buf *b, struct str s)
{
	while (s.n != 0) {
		uint32_t cp;
		size_t n = utf8_step(s, &cp);
		ASSERT(n != 0);
		if (cp < 0x80 && is_xchar((char)cp) && cp != '\\')
			buf_add_byte(b, (char)cp);
		else
			buf_addf(b, "\\x{%02X}", cp);
		s = str_skip(s, n);
	}
}

/* \x{HEX} at the front of `s`: its length, 0 if it is none or names no code point. */
static size_t
read_embedded(struct str s, uint32_t *cp_out)
{
	uint32_t cp = 0;
	size_t i = 3;

	if (!str_starts(s, STR("\\x{")))
		return 0;
	for (; i < s.n && i < 9 && hex_value(s.p[i]) >= 0; i++)
		cp = cp * 16 + (uint32_t)hex_value(s.p[i]);
	if (i < 5 || i == s.n || s.p[i] != '}' || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*cp_out = cp;
	return i + 1;
}

bool
xtext_decode_utf8(struct arena *a, struct str s, struct str *out)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, s.n + 4);
	while (s.n != 0) {
		uint32_t cp = 0;
		size_t n;
		if (s.p[0] == '\\') {
			n = read_embedded(s, &cp);
		} else if (s.p[0] == '+') {
			int c = read_hexchar(s);
			n = c >= 0 && c < 0x80 ? 3 : 0;
			cp = (uint32_t)c;
		} else {
			n = utf8_step(s, &cp);
			if (n == 1 && !is_xchar((char)cp))
				n = 0;
		}
		if (n == 0)
			return false;
		utf8_add(&b, cp);
		s = str_skip(s, n);
	}
	ASSERT(buf_is_ok(&b));
	*out = arena_str(a, buf_str(&b));
	return true;
}
