/* Folding: words are taken with the white space before them; one that would pass the column goes to
 * a new line, where that white space begins the continuation. Nothing is added or lost between the
 * words, so unfolding gives the value back. */
#include "mail/field.h"

#include "base/buf.h"
#include "base/check.h"
#include "codec/rfc2047.h"
#include "codec/utf8.h"

#define COLUMNS  76
#define WORD_MAX 900

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static size_t
blanks(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_wsp(s.p[n]))
		n++;
	return n;
}

/* White space and the word behind it, at the head of `s`; of a word over WORD_MAX somewhat more
 * than that. */
static size_t
word_size(struct str s)
{
	size_t n = blanks(s);

	while (n < s.n && n <= WORD_MAX && !is_wsp(s.p[n]))
		n++;
	return n;
}

void
mail_field_add(struct buf *b, struct str name, struct header_value value)
{
	struct str s = str_trim(value.s);
	size_t column = name.n + 2;

	ASSERT(mail_header_name_is_valid(name));
	buf_add(b, name);
	buf_add(b, s.n != 0 ? STR(": ") : STR(":"));
	/* A line with an encoded word must not pass 76 columns (RFC 2047 §2), so even the first may
	 * move. */
	if (str_starts(s, STR("=?")) && column + word_size(s) > COLUMNS) {
		buf_add(b, STR("\r\n "));
		column = 1;
	}
	bool may_fold = false; /* there is something on this line, and white space next */
	while (s.n != 0) {
		/* A longer run could only be folded into a line of nothing but blanks. */
		if (blanks(s) > COLUMNS)
			s = str_skip(s, blanks(s) - 1);
		size_t n = word_size(s);
		if (may_fold && column + n > COLUMNS) {
			buf_add(b, STR("\r\n"));
			column = 0;
		}
		may_fold = n <= WORD_MAX;
		if (!may_fold)
			n = utf8_head(s, WORD_MAX).n;
		buf_add(b, str_sub(s, 0, n));
		column += n;
		s = str_skip(s, n);
		if (!may_fold) {
			buf_add(b, STR("\r\n "));
			column = 1;
		}
	}
	buf_add(b, STR("\r\n"));
}

void
mail_field_add_text(struct buf *b, struct str name, struct header_value value)
{
	AUTO(buf_done) struct buf coded = { 0 };
	struct header_value v;

	buf_init(&coded, value.s.n * 8 + 256);
	rfc2047_encode_text(&coded, value.s);
	enum rc rc = header_value_parse(buf_str(&coded), &v);
	ASSERT(rc == RC_OK && buf_is_ok(&coded));
	mail_field_add(b, name, v);
}
