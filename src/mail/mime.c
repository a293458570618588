/* Reading MIME.
 *
 * A delimiter is searched as "--boundary" with memmem and then judged by its surroundings: it
 * begins a line, and nothing but an optional "--" and white space follows it up to the line end
 * (RFC 2046 §5.1.1). That keeps the walk linear in the body for each level of nesting. */
#include "mail/mime.h"

#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "mail/header.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Skips white space and comments (RFC 5322 CFWS). */
static struct str
skip_cfws(struct str s)
{
	size_t depth = 0;

	while (s.n != 0) {
		if (depth != 0 && s.p[0] == '\\' && s.n > 1)
			s = str_skip(s, 1);
		else if (s.p[0] == '(')
			depth++;
		else if (s.p[0] == ')' && depth != 0)
			depth--;
		else if (depth == 0 && !is_space(s.p[0]))
			break;
		s = str_skip(s, 1);
	}
	return s;
}

/* RFC 2045 §5.1 token; empty when there is none. */
static struct str
take_token(struct str *s)
{
	size_t n = 0;

	*s = skip_cfws(*s);
	while (n < s->n && s->p[n] > ' ' && s->p[n] < 0x7f &&
	       strchr("()<>@,;:\\\"/[]?=", s->p[n]) == NULL)
		n++;
	struct str token = str_sub(*s, 0, n);
	*s = str_skip(*s, n);
	return token;
}

bool
mail_mime_type_parse(struct str value, struct mail_mime_type *out)
{
	struct mail_mime_type t = { .type = take_token(&value) };

	*out = (struct mail_mime_type){ 0 };
	if (t.type.n == 0)
		return false;
	value = skip_cfws(value);
	if (str_starts(value, STR("/"))) {
		value = str_skip(value, 1);
		t.subtype = take_token(&value);
		value = skip_cfws(value);
	}
	t.params = value;
	*out = t;
	return true;
}

bool
mail_mime_type_is(const struct mail_mime_type *t, struct str type, struct str subtype)
{
	return str_eq_nocase(t->type, type) &&
	       (subtype.n == 0 || str_eq_nocase(t->subtype, subtype));
}

/* A quoted string from its opening quote on; its inside as it stands, escapes included. */
static struct str
take_quoted(struct str *s)
{
	size_t i = 1;

	while (i < s->n && s->p[i] != '"')
		i += s->p[i] == '\\' ? 2 : 1;
	struct str inside = str_sub(*s, 1, i - 1);
	*s = str_skip(*s, i + 1);
	return inside;
}

/* Without backslashes and folds. */
static struct str
unquote(struct str s, struct arena *a)
{
	char *to = arena_zalloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		if (s.p[i] != '\r' && s.p[i] != '\n')
			to[n++] = s.p[i];
	}
	return str_make(to, n);
}

/* Everything up to white space, ';' or a comment: tolerates the unquoted '=', '/' and ':' that are
 * met. */
static struct str
take_bare(struct str *s)
{
	size_t n = 0;

	while (n < s->n && !is_space(s->p[n]) && s->p[n] != ';' && s->p[n] != '(')
		n++;
	struct str v = str_sub(*s, 0, n);
	*s = str_skip(*s, n);
	return v;
}

bool
mail_mime_param(const struct mail_mime_type *t, struct str name, struct arena *a, struct str *out)
{
	struct str s = t->params;

	while (s.n != 0) {
		s = skip_cfws(s);
		if (str_starts(s, STR(";"))) {
			s = str_skip(s, 1);
			continue;
		}
		struct str key = take_token(&s);
		s = skip_cfws(s);
		if (key.n == 0 || !str_starts(s, STR("="))) {
			s = str_skip(s, str_find(s, ';')); /* junk up to the next one */
			continue;
		}
		s = skip_cfws(str_skip(s, 1));
		bool quoted = str_starts(s, STR("\""));
		struct str v = quoted ? take_quoted(&s) : take_bare(&s);
		if (str_eq_nocase(key, name)) {
			*out = quoted ? unquote(v, a) : v;
			return true;
		}
	}
	return false;
}

static const char *const cte_names[] = {
	[MAIL_CTE_7BIT] = "7bit",
	[MAIL_CTE_8BIT] = "8bit",
	[MAIL_CTE_BINARY] = "binary",
	[MAIL_CTE_QP] = "quoted-printable",
	[MAIL_CTE_BASE64] = "base64",
	[MAIL_CTE_UNKNOWN] = "unknown",
};

enum mail_cte
mail_mime_cte_parse(struct str value)
{
	struct str token = take_token(&value);

	if (token.n == 0)
		return MAIL_CTE_7BIT;
	for (size_t i = 0; i < MAIL_CTE_UNKNOWN; i++) {
		if (str_eq_nocase(token, str_from(cte_names[i])))
			return (enum mail_cte)i;
	}
	return MAIL_CTE_UNKNOWN;
}

const char *
mail_mime_cte_name(enum mail_cte cte)
{
	ASSERT((size_t)cte < COUNT_OF(cte_names));
	return cte_names[cte];
}

void
mail_mime_read(struct str content, bool in_digest, struct mail_mime_entity *out)
{
	struct mail_field f;

	*out = (struct mail_mime_entity){
		.type = { .type = STR("text"), .subtype = STR("plain") },
		.cte = MAIL_CTE_7BIT,
	};
	if (in_digest)
		out->type =
		    (struct mail_mime_type){ .type = STR("message"), .subtype = STR("rfc822") };
	out->has_separator = mail_header_split(content, &out->header, &out->body);
	for (struct mail_header_iter it = mail_header_start(content); mail_header_next(&it, &f);) {
		if (!out->has_type && str_eq_nocase(f.name, STR("Content-Type"))) {
			out->has_type = true;
			mail_mime_type_parse(f.value, &out->type);
		} else if (!out->has_cte &&
			   str_eq_nocase(f.name, STR("Content-Transfer-Encoding"))) {
			out->has_cte = true;
			out->cte = mail_mime_cte_parse(f.value);
		}
	}
}

struct delimiter {
	size_t at;   /* of the line end before it, or of the hyphens at the start of the body */
	size_t size; /* up to and with its own line end */
	bool closes;
};

/* Judges the hit of "--boundary" at `i`. */
static bool
is_delimiter(struct str s, size_t i, size_t boundary_size, struct delimiter *out)
{
	size_t end = i + 2 + boundary_size;

	if (i != 0 && s.p[i - 1] != '\n')
		return false;
	out->closes = str_starts(str_skip(s, end), STR("--"));
	if (out->closes)
		end += 2;
	while (end < s.n && (s.p[end] == ' ' || s.p[end] == '\t'))
		end++;
	if (end + 1 < s.n && s.p[end] == '\r' && s.p[end + 1] == '\n')
		end++;
	if (end < s.n && s.p[end] != '\n')
		return false;
	if (end < s.n)
		end++;
	if (i != 0)
		i -= i > 1 && s.p[i - 2] == '\r' ? 2 : 1;
	out->at = i;
	out->size = end - i;
	return true;
}

/* The first delimiter of `s`, which begins at the start of a line. */
static bool
find_delimiter(struct str s, struct str boundary, struct delimiter *out)
{
	for (size_t i = 0; i < s.n; i++) {
		i += str_find_str(str_skip(s, i), boundary);
		if (i >= s.n)
			return false;
		if (i >= 2 && s.p[i - 1] == '-' && s.p[i - 2] == '-' &&
		    is_delimiter(s, i - 2, boundary.n, out))
			return true;
	}
	return false;
}

struct mail_mime_walk
mail_mime_walk_start(struct str body, struct str boundary)
{
	ASSERT(boundary.n != 0);
	return (struct mail_mime_walk){ body, boundary, MAIL_MIME_PREAMBLE };
}

bool
mail_mime_walk_next(struct mail_mime_walk *w, enum mail_mime_kind *kind_out, struct str *piece_out)
{
	enum mail_mime_kind kind = w->next;
	size_t size = w->rest.n;
	struct delimiter d;

	if (w->rest.p == NULL)
		return false;
	switch (kind) {
	case MAIL_MIME_PREAMBLE:
	case MAIL_MIME_PART:
		w->next = MAIL_MIME_DELIMITER;
		if (find_delimiter(w->rest, w->boundary, &d))
			size = d.at;
		break;
	case MAIL_MIME_DELIMITER:
		if (!find_delimiter(w->rest, w->boundary, &d)) {
			w->rest.p = NULL;
			return false;
		}
		ASSERT(d.at == 0);
		kind = d.closes ? MAIL_MIME_CLOSE : MAIL_MIME_DELIMITER;
		w->next = d.closes ? MAIL_MIME_EPILOGUE : MAIL_MIME_PART;
		size = d.size;
		break;
	case MAIL_MIME_EPILOGUE: w->next = MAIL_MIME_CLOSE; break;
	case MAIL_MIME_CLOSE: return false;
	}
	*kind_out = kind;
	*piece_out = str_sub(w->rest, 0, size);
	w->rest = str_skip(w->rest, size);
	return true;
}
