/* Composing a message.
 *
 * Boundaries begin with "=_", which can stand neither in quoted-printable nor in base64; a plain
 * text that holds it is made quoted-printable, so no body can contain a delimiter.
 *
 * LIMITS: none of its own; the caller's buffer has a ceiling. */
#include "mail/compose.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "codec/base64.h"
#include "codec/qp.h"
#include "codec/rfc2047.h"
#include "codec/utf8.h"
#include "mail/date.h"
#include "mail/field.h"
#include "mail/mime.h"
#include "mail/recode.h"

#define NO(why)     (*c->why_out = (why), RC_INVALID)
/* RFC 2231: octets of one segment of a parameter's value; keeps its line below 78. */
#define SEGMENT_MAX 54

struct composer {
	const struct mail_compose *m;
	struct buf *b;
	struct arena *arena;
	const char **why_out;
	unsigned boundaries; /* given out so far */
};

static const struct str own_fields[] = {
	STR_INIT("From"),
	STR_INIT("To"),
	STR_INIT("Cc"),
	STR_INIT("Bcc"),
	STR_INIT("Reply-To"),
	STR_INIT("Subject"),
	STR_INIT("Date"),
	STR_INIT("Message-ID"),
	STR_INIT("MIME-Version"),
	STR_INIT("Content-Type"),
	STR_INIT("Content-Transfer-Encoding"),
	STR_INIT("Content-Disposition"),
	STR_INIT("Received"),
	STR_INIT("Return-Path"),
	STR_INIT("DKIM-Signature"),
};

static enum rc
add_people(const struct composer *c, const char *name, struct mail_compose_people people)
{
	AUTO(buf_done) struct buf v = { 0 };

	buf_init(&v, c->b->limit);
	if (people.n == 0)
		return RC_OK;
	for (size_t i = 0; i < people.n; i++) {
		struct str display = str_trim(people.v[i].display.s);
		if (!utf8_is_valid(display))
			return NO("a name beside an address is not valid UTF-8");
		if (i != 0)
			buf_add(&v, STR(", "));
		rfc2047_encode_phrase(&v, display);
		buf_add(&v, display.n != 0 ? STR(" <") : STR(""));
		mail_addr_format(&v, &people.v[i].addr);
		buf_add(&v, display.n != 0 ? STR(">") : STR(""));
	}
	if (buf_is_ok(&v))
		mail_field_add(c->b, str_from(name), header_value_clean(c->arena, buf_str(&v)));
	else
		c->b->over = true;
	return RC_OK;
}

static enum rc
add_extra_fields(const struct composer *c)
{
	for (size_t i = 0; i < c->m->field_count; i++) {
		const struct mail_compose_field *f = &c->m->fields[i];
		if (!mail_header_name_is_valid(f->name))
			return NO("a header's name is not valid");
		for (size_t k = 0; k < COUNT_OF(own_fields); k++) {
			if (str_eq_nocase(f->name, own_fields[k]))
				return NO(
				    "a header that the message has a field of its own for was given as an "
				    "extra header");
		}
		if (!utf8_is_valid(f->value.s))
			return NO("a header is not valid UTF-8");
		mail_field_add_text(c->b, f->name, f->value);
	}
	return RC_OK;
}

static enum rc
add_message_header(const struct composer *c)
{
	const struct mail_compose *m = c->m;
	char date[MAIL_DATE_SIZE];
	struct header_value id;

	if (m->wall_us != 0) {
		mail_date_format(m->wall_us, date);
		buf_addf(c->b, "Date: %s\r\n", date);
	}
	enum rc rc = add_people(c, "From", (struct mail_compose_people){ &m->from, 1 });
	if (rc == RC_OK)
		rc = add_people(c, "To", m->to);
	if (rc == RC_OK)
		rc = add_people(c, "Cc", m->cc);
	if (rc == RC_OK)
		rc = add_people(c, "Reply-To", m->reply_to);
	if (rc != RC_OK)
		return rc;
	if (!utf8_is_valid(m->subject.s))
		return NO("the subject is not valid UTF-8");
	mail_field_add_text(c->b, STR("Subject"), m->subject);
	if (m->message_id.n != 0) {
		if (header_value_parse(m->message_id, &id) != RC_OK || m->message_id.n > 250)
			return NO("the message id is not valid");
		buf_addf(c->b, "Message-ID: <%.*s>\r\n", STR_ARG(id.s));
	}
	rc = add_extra_fields(c);
	buf_add(c->b, STR("MIME-Version: 1.0\r\n"));
	return rc;
}

/* LF alone becomes CRLF. */
static void
add_crlf_text(struct buf *to, struct str s)
{
	while (s.n != 0) {
		size_t nl = str_find(s, '\n');
		bool ended = nl < s.n;
		struct str line = str_sub(s, 0, nl);
		if (ended && line.n != 0 && line.p[line.n - 1] == '\r')
			line.n--;
		buf_add(to, line);
		if (ended)
			buf_add(to, STR("\r\n"));
		s = str_skip(s, nl + 1);
	}
}

static bool
fits_7bit(struct str text)
{
	struct str rest = text, line;

	if (!utf8_is_ascii(text) || str_has_byte(text, '\0') ||
	    str_find_str(text, STR("--=_")) < text.n)
		return false;
	while (str_cut(&rest, '\n', &line)) {
		if (line.n > MAIL_LINE_MAX || str_find(line, '\r') + 1 < line.n ||
		    (rest.p == NULL && str_has_byte(line, '\r')))
			return false;
	}
	return true;
}

/* Whether base64 is shorter than quoted-printable, which takes three bytes for one beyond ASCII. */
static bool
wants_base64(struct str text)
{
	size_t beyond = 0;

	for (const char *p = text.p; p != text.p + text.n; p++)
		beyond += ((uint8_t)*p & 0x80) != 0;
	return beyond > text.n / 6;
}

static void
add_cte(const struct composer *c, enum mail_cte cte)
{
	buf_addf(c->b, "Content-Transfer-Encoding: %s\r\n\r\n", mail_mime_cte_name(cte));
}

/* A body of text: type, encoding, and the text, ended by CRLF. */
static enum rc
add_text(const struct composer *c, const char *subtype, struct str s)
{
	AUTO(buf_done) struct buf text = { 0 };

	buf_init(&text, s.n * 2 + 16);
	if (!utf8_is_valid(s))
		return NO("the text is not valid UTF-8");
	add_crlf_text(&text, s);
	if (!str_ends(buf_str(&text), STR("\n")))
		buf_add(&text, STR("\r\n"));
	s = buf_str(&text);
	buf_addf(c->b, "Content-Type: text/%s; charset=utf-8\r\n", subtype);
	if (fits_7bit(s)) {
		add_cte(c, MAIL_CTE_7BIT);
		buf_add(c->b, s);
	} else if (wants_base64(s)) {
		add_cte(c, MAIL_CTE_BASE64);
		base64_encode_lines(c->b, s);
	} else {
		add_cte(c, MAIL_CTE_QP);
		qp_encode(c->b, s, true);
	}
	return RC_OK;
}

static bool
is_plain_file_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
			return false;
	}
	return s.n <= SEGMENT_MAX;
}

static bool
is_plain_in_name(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_';
}

static size_t
encoded_size(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += is_plain_in_name(s.p[i]) ? 1 : 3;
	return n;
}

/* RFC 2231: "; filename*=utf-8''..." or, when long, "; filename*0*=...; filename*1*=...". A segment
 * ends between code points, since some readers decode each by itself. */
static void
add_extended_name(struct buf *b, struct str s)
{
	static const struct str charset = STR_INIT("utf-8''");
	bool split = charset.n + encoded_size(s) > SEGMENT_MAX;
	size_t used = charset.n;
	unsigned segment = 0;
	uint32_t cp;

	buf_add(b, split ? STR(";\r\n\tfilename*0*=") : STR(";\r\n\tfilename*="));
	buf_add(b, charset);
	while (s.n != 0) {
		struct str point = str_sub(s, 0, utf8_step(s, &cp));
		ASSERT(point.n != 0); /* checked by the caller */
		if (used + encoded_size(point) > SEGMENT_MAX) {
			buf_addf(b, ";\r\n\tfilename*%u*=", ++segment);
			used = 0;
		}
		for (size_t i = 0; i < point.n; i++) {
			if (is_plain_in_name(point.p[i]))
				buf_add_byte(b, point.p[i]);
			else
				buf_addf(b, "%%%02X", (uint8_t)point.p[i]);
		}
		used += encoded_size(point);
		s = str_skip(s, point.n);
	}
}

static bool
is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_alnum(s.p[i]) &&
		    (s.p[i] == '\0' || strchr("!#$&-^_.+", s.p[i]) == NULL))
			return false;
	}
	return s.n != 0 && s.n <= 127;
}

static enum rc
add_part(const struct composer *c, const struct mail_compose_part *p)
{
	struct str type = p->type.n != 0 ? p->type : STR("application/octet-stream");
	size_t slash = str_find(type, '/');

	if (!is_token(str_sub(type, 0, slash)) || !is_token(str_skip(type, slash + 1)))
		return NO("the type of an attachment is not of the form image/png");
	/* These two cannot be base64 (RFC 2046 §5). */
	if (str_starts_nocase(type, STR("multipart/")) || str_starts_nocase(type, STR("message/")))
		type = STR("application/octet-stream");
	if (!utf8_is_valid(p->name) || p->name.n > 1000)
		return NO(
		    "the name of an attachment is not valid UTF-8, or longer than 1000 bytes");
	buf_addf(c->b, "Content-Type: %.*s\r\n", STR_ARG(type));
	buf_addf(c->b, "Content-Disposition: %s", p->content_id.n != 0 ? "inline" : "attachment");
	if (p->name.n != 0 && is_plain_file_name(p->name))
		buf_addf(c->b, ";\r\n\tfilename=\"%.*s\"", STR_ARG(p->name));
	else if (p->name.n != 0)
		add_extended_name(c->b, p->name);
	buf_add(c->b, STR("\r\n"));
	for (size_t i = 0; i < p->content_id.n; i++) {
		if (p->content_id.p[i] <= ' ' || p->content_id.p[i] >= 0x7f ||
		    p->content_id.p[i] == '<' || p->content_id.p[i] == '>' || p->content_id.n > 250)
			return NO(
			    "a content id holds a character that is not allowed, or is too long");
	}
	if (p->content_id.n != 0)
		buf_addf(c->b, "Content-ID: <%.*s>\r\n", STR_ARG(p->content_id));
	add_cte(c, MAIL_CTE_BASE64);
	base64_encode_lines(c->b, p->content);
	return RC_OK;
}

/* Begins a multipart and returns its boundary. */
static struct str
open_multipart(struct composer *c, const char *subtype)
{
	struct str boundary = arena_strf(
	    c->arena, "=_%.*s-%u", STR_ARG(str_sub(c->m->unique, 0, 50)), c->boundaries++);

	buf_addf(c->b, "Content-Type: multipart/%s;\r\n\tboundary=\"%.*s\"\r\n", subtype,
	    STR_ARG(boundary));
	return boundary;
}

static void
add_delimiter(const struct composer *c, struct str boundary, bool closes)
{
	buf_addf(c->b, "\r\n--%.*s%s\r\n", STR_ARG(boundary), closes ? "--" : "");
}

static size_t
count_inline(const struct mail_compose *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->part_count && m->html.p != NULL; i++)
		n += m->parts[i].content_id.n != 0;
	return n;
}

/* Those parts that belong to the HTML, or the others. */
static enum rc
add_parts(const struct composer *c, struct str boundary, bool inline_ones)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < c->m->part_count && rc == RC_OK; i++) {
		const struct mail_compose_part *p = &c->m->parts[i];
		if ((c->m->html.p != NULL && p->content_id.n != 0) != inline_ones)
			continue;
		add_delimiter(c, boundary, false);
		rc = add_part(c, p);
	}
	return rc;
}

static enum rc
add_html(struct composer *c)
{
	if (count_inline(c->m) == 0)
		return add_text(c, "html", c->m->html);
	struct str boundary = open_multipart(c, "related; type=\"text/html\"");
	add_delimiter(c, boundary, false);
	enum rc rc = add_text(c, "html", c->m->html);
	if (rc == RC_OK)
		rc = add_parts(c, boundary, true);
	add_delimiter(c, boundary, true);
	return rc;
}

static enum rc
add_body(struct composer *c)
{
	if (c->m->html.p == NULL)
		return add_text(c, "plain", c->m->text);
	if (c->m->text.p == NULL)
		return add_html(c);
	struct str boundary = open_multipart(c, "alternative");
	add_delimiter(c, boundary, false);
	enum rc rc = add_text(c, "plain", c->m->text);
	if (rc != RC_OK)
		return rc;
	add_delimiter(c, boundary, false);
	rc = add_html(c);
	add_delimiter(c, boundary, true);
	return rc;
}

enum rc
mail_compose(struct buf *b, const struct mail_compose *m, const char **why_out)
{
	AUTO(arena_done) struct arena arena = { 0 };
	struct composer composer = { .m = m, .b = b, .arena = &arena, .why_out = why_out },
			*c = &composer;

	ASSERT(!m->from.addr.is_null && m->unique.n != 0);
	enum rc rc = add_message_header(c);
	if (rc != RC_OK)
		return rc;
	if (m->part_count == count_inline(m)) {
		rc = add_body(c);
	} else {
		struct str boundary = open_multipart(c, "mixed");
		add_delimiter(c, boundary, false);
		rc = add_body(c);
		if (rc == RC_OK)
			rc = add_parts(c, boundary, false);
		add_delimiter(c, boundary, true);
	}
	if (rc != RC_OK)
		return rc;
	if (!buf_is_ok(b)) {
		*why_out = "the message is too large";
		return RC_LIMIT;
	}
	return RC_OK;
}
