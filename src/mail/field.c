/* Folding: words are taken with the white space before them; one that would pass the column goes to
 * a new line, where that white space begins the continuation. Nothing is added or lost between the
 * words, so unfolding gives the value back. */
#include "mail/field.h"

#include "base/buf.h"
#include "base/check.h"
#include "codec/utf8.h"

#define COLUMNS  76
#define WORD_MAX 900

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* White space and the word behind it, at the head of `s`. */
static size_t
word_size(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_wsp(s.p[n]))
		n++;
	while (n < s.n && !is_wsp(s.p[n]))
		n++;
	return n;
}

void
mail_field_add(struct buf *b, struct str name, struct header_value value)
{
	struct str s = str_trim(value.s);
	size_t column = name.n + 1;

	ASSERT(mail_header_name_is_valid(name));
	buf_add(b, name);
	buf_add(b, s.n != 0 ? STR(": ") : STR(":"));
	column++;
	while (s.n != 0) {
		size_t n = word_size(s);
		bool is_first = column == name.n + 2;
		if (!is_first && column + n > COLUMNS) {
			buf_add(b, STR("\r\n"));
			column = 0;
		}
		if (n > WORD_MAX) {
			n = utf8_head(s, WORD_MAX).n;
			buf_add(b, str_sub(s, 0, n));
			buf_add(b, STR("\r\n "));
			column = 1;
		} else {
			buf_add(b, str_sub(s, 0, n));
			column += n;
		}
		s = str_skip(s, n);
	}
	buf_add(b, STR("\r\n"));
}
