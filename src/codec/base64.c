/* Base64.
 *
 * Room for the whole result is reserved once and filled through a pointer; a result too large for
 * the buffer is therefore not begun. */
#include "codec/base64.h"

#include <stdint.h>

#define LINE_BYTES 57u /* 76 characters */
#define FOREIGN    0xff

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value + 1 of each character of the alphabet; 0 for the rest. */
static const uint8_t values[256] = {
	['A'] = 1,
	['B'] = 2,
	['C'] = 3,
	['D'] = 4,
	['E'] = 5,
	['F'] = 6,
	['G'] = 7,
	['H'] = 8,
	['I'] = 9,
	['J'] = 10,
	['K'] = 11,
	['L'] = 12,
	['M'] = 13,
	['N'] = 14,
	['O'] = 15,
	['P'] = 16,
	['Q'] = 17,
	['R'] = 18,
	['S'] = 19,
	['T'] = 20,
	['U'] = 21,
	['V'] = 22,
	['W'] = 23,
	['X'] = 24,
	['Y'] = 25,
	['Z'] = 26,
	['a'] = 27,
	['b'] = 28,
	['c'] = 29,
	['d'] = 30,
	['e'] = 31,
	['f'] = 32,
	['g'] = 33,
	['h'] = 34,
	['i'] = 35,
	['j'] = 36,
	['k'] = 37,
	['l'] = 38,
	['m'] = 39,
	['n'] = 40,
	['o'] = 41,
	['p'] = 42,
	['q'] = 43,
	['r'] = 44,
	['s'] = 45,
	['t'] = 46,
	['u'] = 47,
	['v'] = 48,
	['w'] = 49,
	['x'] = 50,
	['y'] = 51,
	['z'] = 52,
	['0'] = 53,
	['1'] = 54,
	['2'] = 55,
	['3'] = 56,
	['4'] = 57,
	['5'] = 58,
	['6'] = 59,
	['7'] = 60,
	['8'] = 61,
	['9'] = 62,
	['+'] = 63,
	['/'] = 64,
};

static uint32_t
value_of(char c)
{
	return (uint8_t)(values[(unsigned char)c] - 1);
}

/* Writes base64_size(s.n) characters. */
static char *
encode_to(char *to, struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0;

	for (; i + 3 <= s.n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
		*to++ = alphabet[v >> 18];
		*to++ = alphabet[v >> 12 & 63];
		*to++ = alphabet[v >> 6 & 63];
		*to++ = alphabet[v & 63];
	}
	if (i == s.n)
		return to;
	bool two = s.n - i == 2;
	uint32_t v = (uint32_t)p[i] << 16 | (two ? (uint32_t)p[i + 1] << 8 : 0);
	*to++ = alphabet[v >> 18];
	*to++ = alphabet[v >> 12 & 63];
	*to++ = two ? alphabet[v >> 6 & 63] : '=';
	*to++ = '=';
	return to;
}

void
base64_encode(struct buf *b, struct str s)
{
	size_t n = base64_size(s.n);

	if (n == 0)
		return;
	char *to = buf_reserve(b, n);
	if (to == NULL)
		return;
	encode_to(to, s);
	buf_commit(b, n);
}

void
base64_encode_lines(struct buf *b, struct str s)
{
	size_t lines = (s.n + LINE_BYTES - 1) / LINE_BYTES, n = base64_size(s.n) + 2 * lines;

	if (n == 0)
		return;
	char *to = buf_reserve(b, n);
	if (to == NULL)
		return;
	while (s.n != 0) {
		to = encode_to(to, str_sub(s, 0, LINE_BYTES));
		*to++ = '\r';
		*to++ = '\n';
		s = str_skip(s, LINE_BYTES);
	}
	buf_commit(b, n);
}

/* The last one to three bytes' worth of characters; the number of bytes, or 0 if they are not
 * canonical. */
static size_t
decode_tail(const char *p, char *to)
{
	uint32_t a = value_of(p[0]), b = value_of(p[1]), c = value_of(p[2]), d = value_of(p[3]);

	if (a == FOREIGN || b == FOREIGN)
		return 0;
	to[0] = (char)(a << 2 | b >> 4);
	if (p[2] == '=' && p[3] == '=')
		return (b & 15) == 0 ? 1 : 0;
	if (c == FOREIGN)
		return 0;
	to[1] = (char)(b << 4 | c >> 2);
	if (p[3] == '=')
		return (c & 3) == 0 ? 2 : 0;
	if (d == FOREIGN)
		return 0;
	to[2] = (char)(c << 6 | d);
	return 3;
}

bool
base64_decode(struct buf *b, struct str s)
{
	size_t n = 0;

	if (s.n % 4 != 0)
		return false;
	if (s.n == 0)
		return true;
	char *to = buf_reserve(b, s.n / 4 * 3);
	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.n; i += 4) {
		size_t got = decode_tail(s.p + i, to + n);
		if (got == 0 || (got < 3 && i + 4 != s.n))
			return false;
		n += got;
	}
	buf_commit(b, n);
	return true;
}

bool
base64_decode_mime(struct buf *b, struct str s)
{
	uint32_t v = 0;
	unsigned have = 0;
	size_t n = 0;
	bool sound = true;

	if (s.n == 0)
		return true;
	char *to = buf_reserve(b, s.n / 4 * 3 + 3);
	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.n && s.p[i] != '='; i++) {
		uint32_t c = value_of(s.p[i]);
		if (c == FOREIGN) {
			sound &=
			    s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == ' ' || s.p[i] == '\t';
			continue;
		}
		v = v << 6 | c;
		if (++have < 4)
			continue;
		to[n++] = (char)(v >> 16);
		to[n++] = (char)(v >> 8);
		to[n++] = (char)v;
		have = 0;
	}
	if (have >= 2)
		to[n++] = (char)(v >> (have == 3 ? 10 : 4));
	if (have == 3)
		to[n++] = (char)(v >> 2);
	buf_commit(b, n);
	return sound && have != 1;
}
