/* Quoted-printable.
 *
 * Encoding makes the line break decision before each unit (one character, or "=XX"): it goes on
 * this line if after it there is still room for the "=" of a soft break, or if it ends the line and
 * so needs none. */
#include "codec/qp.h"

#include <stddef.h>

#define LINE_WIDTH 76u

static const char hex[] = "0123456789ABCDEF";

static bool
at_line_end(struct str s, bool text)
{
	return s.n == 0 || (text && s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n');
}

/* Whether the first byte of `s` must be coded, standing at column `column`. */
static bool
needs_code(struct str s, bool text, size_t column)
{
	char c = s.p[0];

	if (c == ' ' || c == '\t')
		return at_line_end(str_skip(s, 1), text);
	if (c == '.' && column == 0)
		return true;
	if (c == 'F' && column == 0)
		return str_starts(s, STR("From "));
	return c < ' ' || c > '~' || c == '=';
}

void
qp_encode(struct buf *b, struct str s, bool text)
{
	size_t column = 0;

	while (s.n != 0) {
		if (text && at_line_end(s, true)) {
			buf_add(b, STR("\r\n"));
			s = str_skip(s, 2);
			column = 0;
			continue;
		}
		bool coded = needs_code(s, text, column);
		size_t width = coded ? 3 : 1;
		if (column + width + (at_line_end(str_skip(s, 1), text) ? 0 : 1) > LINE_WIDTH) {
			buf_add(b, STR("=\r\n"));
			column = 0;
			coded = needs_code(s, text, column);
			width = coded ? 3 : 1;
		}
		unsigned char c = (unsigned char)s.p[0];
		if (coded)
			buf_add(b, str_make((char[]){ '=', hex[c >> 4], hex[c & 15] }, 3));
		else
			buf_add_byte(b, s.p[0]);
		column += width;
		s = str_skip(s, 1);
	}
}

static int
hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One line without its end and without the blanks before that. Tells whether it ends in a soft
 * break. */
static bool
decode_line(struct buf *b, struct str line, bool *soft)
{
	bool sound = true;

	*soft = line.n != 0 && line.p[line.n - 1] == '=';
	if (*soft)
		line.n--;
	while (line.n != 0) {
		size_t plain = str_find(line, '=');
		buf_add(b, str_sub(line, 0, plain));
		line = str_skip(line, plain);
		if (line.n == 0)
			break;
		int high = line.n >= 3 ? hex_value(line.p[1]) : -1,
		    low = line.n >= 3 ? hex_value(line.p[2]) : -1;
		bool good = high >= 0 && low >= 0;
		sound &= good;
		buf_add_byte(b, good ? (char)(high * 16 + low) : '=');
		line = str_skip(line, good ? 3 : 1);
	}
	return sound;
}

bool
qp_decode(struct buf *b, struct str s)
{
	bool sound = true;

	while (s.n != 0) {
		size_t len = str_find(s, '\n');
		bool ended = len < s.n, soft;
		struct str line = str_sub(s, 0, len);
		bool crlf = ended && str_ends(line, STR("\r"));
		if (crlf)
			line.n--;
		while (line.n != 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
			line.n--;
		sound &= decode_line(b, line, &soft);
		if (ended && !soft)
			buf_add(b, crlf ? STR("\r\n") : STR("\n"));
		s = str_skip(s, len + 1);
	}
	return sound;
}
