/* SMTP replies.
 *
 * Reading goes twice over the lines. The first pass finds the end of the reply and judges every
 * line on the way; it allocates nothing, so a peer that dribbles bytes or sends garbage costs
 * nothing but looks. Only a reply that is whole and sound reaches the second pass, which copies its
 * text.
 *
 * Even a line whose end has not arrived is judged as far as it goes: a peer that speaks first and
 * speaks something else (TLS, SSH, HTTP) is told apart at its first byte instead of at a timeout.
 *
 * Each call starts at the front again. A reply is at most 16 KB, so that is cheaper than keeping
 * state.
 *
 * LIMITS: no 1xx replies; RFC 5321 defines none. */
#include "codec/smtp_reply.h"

#include <string.h>

#include "base/check.h"

#define LINE_OUT_MAX 512u /* RFC 5321 §4.5.3.1.5, CRLF included */

/* One line of a reply, as judged by the first pass. */
struct line {
	uint16_t code;
	bool last; /* no hyphen behind the code */
	/* behind code and separator, without the line's end and the blanks before it */
	struct str text;
};

/* Why the first bytes of a line cannot begin a reply line, or NULL. Judges as many bytes as there
 * are. */
static const char *
judge_head(struct str s)
{
	for (size_t i = 0; i < s.n && i < 3; i++) {
		if (!ascii_is_digit(s.p[i]))
			return "line begins with no reply code";
	}
	if (s.n >= 1 && (s.p[0] < '2' || s.p[0] > '5'))
		return "reply code out of range";
	if (s.n >= 4 && ascii_is_digit(s.p[3]))
		return "reply code of more than three digits";
	return NULL;
}

/* Splits a line that has its end (`s` is without the LF). */
static const char *
split_line(struct str s, struct line *out)
{
	while (s.n != 0 && (s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	const char *why = judge_head(s);
	if (why == NULL && s.n < 3)
		why = "line begins with no reply code";
	if (why != NULL)
		return why;
	out->code = (uint16_t)((s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + (s.p[2] - '0'));
	out->last = s.n == 3 || s.p[3] != '-';
	bool separated = s.n > 3 && (s.p[3] == '-' || s.p[3] == ' ' || s.p[3] == '\t');
	out->text = str_skip(s, separated ? 4 : 3);
	return NULL;
}

/* 0..999 without leading zeros up to `stop` or the end; returns the digits used, 0 if there are
 * none such. */
static size_t
read_number(struct str s, uint16_t *out)
{
	size_t n = 0;
	uint16_t v = 0;

	while (n < s.n && n < 4 && ascii_is_digit(s.p[n]))
		v = (uint16_t)(v * 10 + (s.p[n++] - '0'));
	if (n == 0 || n > 3 || (n > 1 && s.p[0] == '0'))
		return 0;
	*out = v;
	return n;
}

bool
smtp_reply_parse_enhanced(struct str word, struct smtp_enhanced *out)
{
	struct smtp_enhanced e = { 0, 0, 0 };

	if (word.n < 5 || word.p[1] != '.' ||
	    (word.p[0] != '2' && word.p[0] != '4' && word.p[0] != '5'))
		return false;
	e.cls = (uint16_t)(word.p[0] - '0');
	struct str rest = str_skip(word, 2);
	size_t n = read_number(rest, &e.subject);
	if (n == 0 || n >= rest.n || rest.p[n] != '.')
		return false;
	rest = str_skip(rest, n + 1);
	n = read_number(rest, &e.detail);
	if (n == 0 || n != rest.n)
		return false;
	*out = e;
	return true;
}

/* Takes the enhanced code off the front of a line: the first that fits the reply's class is the
 * reply's own; on later lines only that same one goes, since another would be lost. */
static struct str
take_enhanced(struct str text, struct smtp_reply *r)
{
	struct smtp_enhanced e;
	size_t n = 0;

	while (n < text.n && text.p[n] != ' ' && text.p[n] != '\t')
		n++;
	if (!smtp_reply_parse_enhanced(str_sub(text, 0, n), &e) || e.cls != r->code / 100)
		return text;
	if (r->enhanced.cls == 0)
		r->enhanced = e;
	else if (r->enhanced.subject != e.subject || r->enhanced.detail != e.detail)
		return text;
	return str_skip(text, n < text.n ? n + 1 : n);
}

static char
clean_byte(char c)
{
	if (c == '\t')
		return ' ';
	return (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
}

/* Copies the text of a reply that is known to be sound and to end where `whole` ends. */
static void
copy_text(struct str whole, struct arena *a, struct smtp_reply *r)
{
	char *text = arena_zalloc(a, whole.n);
	size_t n = 0;

	for (size_t at = 0; at < whole.n;) {
		size_t len = str_find(str_skip(whole, at), '\n');
		struct line line;
		const char *why = split_line(str_sub(whole, at, len), &line);
		ASSERT(why == NULL);
		struct str s = take_enhanced(line.text, r);
		if (at != 0)
			text[n++] = '\n';
		for (size_t i = 0; i < s.n; i++)
			text[n++] = clean_byte(s.p[i]);
		at += len + 1;
	}
	r->text = str_make(text, n);
}

enum parse
smtp_reply_parse(
    struct str in, struct arena *a, struct smtp_reply *out, size_t *used_out, const char **why_out)
{
	struct smtp_reply r = { 0 };
	struct line line = { 0 };
	const char *why = NULL;
	size_t at = 0;

	while (!line.last) {
		struct str rest = str_skip(in, at);
		size_t len = str_find(rest, '\n');
		bool ended = len < rest.n;

		if (len >= SMTP_REPLY_LINE_MAX)
			why = "reply line too long";
		else if (at + len >= SMTP_REPLY_TOTAL_MAX)
			why = "reply too long";
		else
			why = ended ? split_line(str_sub(rest, 0, len), &line) : judge_head(rest);
		if (why == NULL && ended && r.lines != 0 && line.code != r.code)
			why = "reply code differs between lines";
		if (why == NULL && ended && r.lines == SMTP_REPLY_LINES_MAX)
			why = "too many reply lines";
		if (why != NULL) {
			*used_out = at;
			*why_out = why;
			return PARSE_BROKEN;
		}
		if (!ended)
			return PARSE_MORE;
		r.code = line.code;
		r.lines++;
		at += len + 1;
	}
	copy_text(str_sub(in, 0, at), a, &r);
	*out = r;
	*used_out = at;
	return PARSE_ONE;
}

/* How many bytes of `s` (> room) go on this line: up to a blank if the line keeps half its length,
 * else as many as fit without cutting a UTF-8 sequence. */
static size_t
split_at(struct str s, size_t room)
{
	size_t n = room;

	while (n > room / 2 && s.p[n] != ' ')
		n--;
	if (n > room / 2)
		return n;
	n = room;
	while (n > room - 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return n > room - 4 ? n : room;
}

static void
add_line(struct buf *b, struct str head, bool last, struct str text)
{
	buf_add(b, str_sub(head, 0, 3));
	buf_add_byte(b, last ? ' ' : '-');
	buf_add(b, str_skip(head, 4));
	for (size_t i = 0; i < text.n; i++)
		buf_add_byte(b, clean_byte(text.p[i]));
	buf_add(b, STR("\r\n"));
}

void
smtp_reply_format(struct buf *b, uint16_t code, struct smtp_enhanced e, struct str text)
{
	char prefix[32];

	ASSERT(code >= 200 && code <= 599);
	ASSERT(e.cls == 0 ||
	       (e.cls == code / 100 && e.cls != 3 && e.subject <= 999 && e.detail <= 999));
	int n = e.cls == 0 ? snprintf(prefix, sizeof(prefix), "%u ", code)
			   : snprintf(prefix, sizeof(prefix), "%u %u.%u.%u ", code, e.cls,
				 e.subject, e.detail);
	struct str head = str_make(prefix, (size_t)n);
	size_t room = LINE_OUT_MAX - 2 - head.n;

	do {
		size_t len = 0;
		while (len < text.n && text.p[len] != '\r' && text.p[len] != '\n')
			len++;
		struct str line = str_sub(text, 0, len);
		bool crlf = len + 1 < text.n && text.p[len] == '\r' && text.p[len + 1] == '\n';
		text = str_skip(text, len + (crlf ? 2 : 1));
		while (line.n > room) {
			size_t cut = split_at(line, room);
			add_line(b, head, false, str_sub(line, 0, cut));
			line = str_skip(line, line.p[cut] == ' ' ? cut + 1 : cut);
		}
		add_line(b, head, text.n == 0, line);
	} while (text.n != 0);
}
