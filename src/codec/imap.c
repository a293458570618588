/* Framing first, grammar second. The frame of a response is known without understanding it: a line
 * that ends in {N} is followed by N octets and goes on behind them. So a response of unknown
 * grammar can be stepped over, and only a frame that makes no sense ends the conversation.
 *
 * The free text of conditions is taken out of the frame's first line and never looked at for
 * literals: "* OK ready {5}" has none.
 *
 * The grammar is read by one loop with an explicit stack, so that no peer can nest us out of our
 * own. LIMITS: a quoted string cannot run over a line end, as the RFC has it. */
#include "codec/imap.h"

#include <string.h>

/* ---- frame ---- */

static bool
is_condition(struct str word, enum imap_status *out)
{
	static const struct {
		struct str name;
		enum imap_status status;
	} rows[] = { { STR_INIT("OK"), IMAP_OK }, { STR_INIT("NO"), IMAP_NO },
		{ STR_INIT("BAD"), IMAP_BAD }, { STR_INIT("PREAUTH"), IMAP_PREAUTH },
		{ STR_INIT("BYE"), IMAP_BYE } };

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_eq_nocase(word, rows[i].name)) {
			*out = rows[i].status;
			return true;
		}
	}
	return false;
}

/* The next word of a line, up to a blank. */
static struct str
cut_word(struct str *line)
{
	size_t n = str_find(*line, ' ');
	struct str word = str_sub(*line, 0, n);

	*line = str_skip(*line, n + (n < line->n ? 1 : 0));
	return word;
}

/* Whether a line without its end announces a literal: {5}, {5+} or ~{5}. */
static bool
ends_in_literal(struct str line, uint64_t *size_out)
{
	if (line.n < 3 || line.p[line.n - 1] != '}')
		return false;
	size_t open = str_find_last(line, '{');
	struct str number = str_skip(line, open + 1);
	number.n--;
	if (open == line.n)
		return false;
	if (number.n > 1 && number.p[number.n - 1] == '+')
		number.n--;
	return str_to_u64(number, size_out) == RC_OK;
}

static struct str
without_end(struct str line)
{
	if (line.n != 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* Conditions and continuations end with their first line whatever that looks like. */
static bool
is_one_line(struct str line)
{
	enum imap_status status;
	struct str tag = cut_word(&line);

	return str_eq(tag, STR("+")) || is_condition(cut_word(&line), &status);
}

/* Bytes of the response at the front of `in`, its last line end included. */
static enum parse
find_end(struct str in, size_t *used_out, const char **why_out)
{
	size_t at = 0;

	for (bool first = true;; first = false) {
		struct str rest = str_skip(in, at);
		size_t n = str_find(rest, '\n');
		uint64_t literal = 0;
		if (n > IMAP_LINE_MAX) {
			*why_out = "a line without end";
			return PARSE_BROKEN;
		}
		if (n == rest.n)
			return PARSE_MORE;
		struct str line = without_end(str_sub(rest, 0, n));
		at += n + 1;
		if ((first && is_one_line(line)) || !ends_in_literal(line, &literal)) {
			*used_out = at;
			return PARSE_ONE;
		}
		if (literal > IMAP_TOTAL_MAX || at + literal > IMAP_TOTAL_MAX) {
			*why_out = "a literal that is too long";
			return PARSE_BROKEN;
		}
		if (in.n - at < literal)
			return PARSE_MORE;
		at += (size_t)literal;
	}
}

/* ---- values ---- */

struct reader {
	struct str rest;
	struct arena *a;
	uint32_t count;
};

/* One open list: where its next value is to be hung. */
struct level {
	struct imap_value **tail;
};

static struct imap_value *
add_value(struct reader *r, struct level *l, enum imap_kind kind)
{
	struct imap_value *v = ARENA_NEW(r->a, struct imap_value);

	v->kind = kind;
	*l->tail = v;
	l->tail = &v->next;
	r->count++;
	return v;
}

/* A quoted string, from behind its first quote. */
static bool
read_quoted(struct reader *r, struct str *out)
{
	size_t n = 0;
	bool escaped = false;

	while (n < r->rest.n && r->rest.p[n] != '"') {
		if (r->rest.p[n] == '\r' || r->rest.p[n] == '\n')
			return false;
		if (r->rest.p[n] == '\\') {
			escaped = true;
			n++;
		}
		n++;
	}
	if (n >= r->rest.n)
		return false;
	*out = str_sub(r->rest, 0, n);
	r->rest = str_skip(r->rest, n + 1);
	if (!escaped)
		return true;
	char *to = arena_zalloc(r->a, n);
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		if (out->p[i] == '\\' && i + 1 < n)
			i++;
		to[used++] = out->p[i];
	}
	*out = str_make(to, used);
	return true;
}

/* A literal, from its brace. */
static bool
read_literal(struct reader *r, struct str *out)
{
	size_t n = str_find(r->rest, '\n');
	uint64_t size;

	if (n == r->rest.n || !ends_in_literal(without_end(str_sub(r->rest, 0, n)), &size))
		return false;
	/* The brace that ends the line must be the one we stand at. */
	if (str_find_last(str_sub(r->rest, 0, n), '{') != 0 || size > r->rest.n - n - 1)
		return false;
	*out = str_sub(r->rest, n + 1, (size_t)size);
	r->rest = str_skip(r->rest, n + 1 + (size_t)size);
	return true;
}

/* An atom, from its first byte. What stands in brackets belongs to it, blanks included:
 * BODY[HEADER.FIELDS (DATE FROM)]<0>. */
static bool
read_atom(struct reader *r, struct str *out)
{
	size_t n = 0;
	bool inside = false;

	for (; n < r->rest.n; n++) {
		unsigned char c = (unsigned char)r->rest.p[n];
		if (c < ' ' || c == 0x7f)
			break;
		if (c == '[')
			inside = true;
		else if (c == ']')
			inside = false;
		else if (!inside && (c == ' ' || c == '(' || c == ')' || c == '"'))
			break;
	}
	*out = str_sub(r->rest, 0, n);
	r->rest = str_skip(r->rest, n);
	return n != 0 && !inside;
}

static bool
read_simple(struct reader *r, struct level *l)
{
	char c = r->rest.p[0];
	struct str text = { 0 };
	bool ok;

	if (c == '~' && r->rest.n > 1 && r->rest.p[1] == '{') {
		r->rest = str_skip(r->rest, 1);
		c = '{';
	}
	if (c == '"') {
		r->rest = str_skip(r->rest, 1);
		ok = read_quoted(r, &text);
	} else if (c == '{') {
		ok = read_literal(r, &text);
	} else {
		ok = read_atom(r, &text);
		bool nil = str_eq_nocase(text, STR("NIL"));
		struct imap_value *v = add_value(r, l, nil ? IMAP_NIL : IMAP_ATOM);
		v->text = nil ? (struct str){ 0 } : text;
		return ok;
	}
	add_value(r, l, IMAP_STRING)->text = text;
	return ok;
}

/* All values up to the end. */
static bool
read_values(struct reader *r, struct imap_value **first_out)
{
	struct level stack[IMAP_DEPTH_MAX + 1] = { { first_out } };
	size_t depth = 0;

	while (r->rest.n != 0) {
		char c = r->rest.p[0];
		if (r->count >= IMAP_VALUES_MAX)
			return false;
		if (c == ' ') {
			r->rest = str_skip(r->rest, 1);
		} else if (c == '(') {
			if (depth == IMAP_DEPTH_MAX)
				return false;
			struct imap_value *v = add_value(r, &stack[depth], IMAP_LIST);
			stack[++depth].tail = &v->first;
			r->rest = str_skip(r->rest, 1);
		} else if (c == ')') {
			if (depth == 0)
				return false;
			depth--;
			r->rest = str_skip(r->rest, 1);
		} else if (!read_simple(r, &stack[depth])) {
			return false;
		}
	}
	return depth == 0;
}

/* ---- responses ---- */

/* "[CODE] text" of a condition. A bracket in a quoted string of the code does not end it. */
static void
read_condition(struct str line, struct imap_response *out)
{
	bool quoted = false;

	out->text = line;
	if (line.n == 0 || line.p[0] != '[')
		return;
	for (size_t i = 1; i < line.n; i++) {
		if (line.p[i] == '"')
			quoted = !quoted;
		if (line.p[i] != ']' || quoted)
			continue;
		out->code = str_sub(line, 1, i - 1);
		out->text = str_trim(str_skip(line, i + 1));
		return;
	}
}

static void
read_data(struct str body, struct str word, struct arena *a, struct imap_response *out)
{
	struct reader r = { .rest = body, .a = a };

	if (str_to_u64(word, &out->number) == RC_OK)
		word = cut_word(&r.rest);
	out->name = word;
	if (word.n == 0 || !read_values(&r, &out->values)) {
		out->odd = true;
		out->values = NULL;
	}
}

enum parse
imap_response_parse(struct str in, struct arena *a, struct imap_response *out, size_t *used_out,
    const char **why_out)
{
	struct imap_response r = { 0 };
	size_t used;
	enum parse p = find_end(in, &used, why_out);

	if (p != PARSE_ONE)
		return p;
	struct str body = str_sub(in, 0, used - 1);
	body = without_end(body);
	struct str first = without_end(str_sub(body, 0, str_find(body, '\n')));
	r.tag = cut_word(&first);
	if (str_eq(r.tag, STR("+"))) {
		r.status = IMAP_CONTINUE;
		r.text = first;
	} else if (r.tag.n == 0) {
		r.odd = true;
	} else {
		struct str after = first, word = cut_word(&after);
		if (is_condition(word, &r.status)) {
			read_condition(after, &r);
		} else if (str_eq(r.tag, STR("*"))) {
			body = str_skip(body, r.tag.n + 1);
			(void)cut_word(&body);
			read_data(body, word, a, &r);
		} else {
			r.odd = true;
		}
	}
	*out = r;
	*used_out = used;
	return PARSE_ONE;
}

const struct imap_value *
imap_value_at(const struct imap_value *first, size_t i)
{
	while (first != NULL && i-- != 0)
		first = first->next;
	return first;
}

const struct imap_value *
imap_value_of(const struct imap_value *first, struct str key)
{
	for (const struct imap_value *v = first; v != NULL; v = v->next) {
		struct str name = v->text;
		if (v->kind == IMAP_ATOM && name.n != 0 && name.p[name.n - 1] == '>' &&
		    str_has_byte(name, ']'))
			name = str_sub(name, 0, str_find_last(name, ']') + 1);
		if (v->kind == IMAP_ATOM && str_eq_nocase(name, key))
			return v->next;
		v = v->next;
		if (v == NULL)
			break;
	}
	return NULL;
}

bool
imap_value_number(const struct imap_value *v, uint64_t *out)
{
	return v != NULL && v->kind == IMAP_ATOM && str_to_u64(v->text, out) == RC_OK;
}

bool
imap_value_has(const struct imap_value *first, struct str word)
{
	for (const struct imap_value *v = first; v != NULL; v = v->next)
		if ((v->kind == IMAP_ATOM || v->kind == IMAP_STRING) &&
		    str_eq_nocase(v->text, word))
			return true;
	return false;
}

bool
imap_code_is(struct str code, struct str key, struct str *rest_out)
{
	struct str word = cut_word(&code);

	if (!str_eq_nocase(word, key))
		return false;
	*rest_out = code;
	return true;
}

/* ---- writing ---- */

enum rc
imap_quote(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\r' || c == '\n' || c == '\0' || c >= 0x80)
			return RC_INVALID;
	}
	buf_add_byte(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_byte(b, '\\');
		buf_add_byte(b, s.p[i]);
	}
	buf_add_byte(b, '"');
	return RC_OK;
}

void
imap_date(struct buf *b, int64_t wall_us)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	buf_addf(b, "%d-%.3s-%04d", tm.tm_mday, months + (size_t)tm.tm_mon * 3, tm.tm_year + 1900);
}
