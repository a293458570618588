/* Parts first: the whole tree of a mail is walked once, and what a report is made of is kept: the
 * first delivery-status, the first returned message or header, and all words for people. With a
 * delivery-status it is a formal report, without one report_text.c looks at the words.
 *
 * A delivery-status is groups of fields between empty lines. Some writers leave the first group
 * out, or the empty line behind it; so every group that names a recipient is one, and what tells
 * about the whole is taken wherever it stands. */
#include "mail/report.h"

#include "codec/base64.h"
#include "codec/charset.h"
#include "codec/qp.h"
#include "codec/utf8.h"
#include "codec/xtext.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/report_private.h"

#define PARTS_MAX  60u
#define DEPTH_MAX  8u
#define TEXT_MAX   65536u
#define STATUS_MAX 65536u
#define GROUPS_MAX 200u

struct mail_report_rcpt *
report_add(struct mail_report *r, struct arena *a)
{
	if (r->rcpts == NULL)
		r->rcpts = ARENA_NEW_ARRAY(a, struct mail_report_rcpt, MAIL_REPORT_RCPTS_MAX);
	return r->n_rcpts < MAIL_REPORT_RCPTS_MAX ? &r->rcpts[r->n_rcpts++] : NULL;
}

/* ---- parts ---- */

/* The body as its encoding stands for, at most `max` bytes of it, in the arena. */
static struct str
decoded(struct arena *a, const struct mail_mime_entity *e, size_t max)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct str body = str_sub(e->body, 0, max);

	if (e->cte != MAIL_CTE_QP && e->cte != MAIL_CTE_BASE64)
		return body;
	buf_init(&b, max + 16);
	if (e->cte == MAIL_CTE_QP)
		(void)qp_decode(&b, body);
	else
		(void)base64_decode_mime(&b, body);
	return arena_str(a, buf_str(&b));
}

static void
add_text(struct report_parts *p, const struct mail_mime_entity *e)
{
	AUTO(buf_done) struct buf utf8 = { 0 };
	struct str bytes = decoded(p->a, e, TEXT_MAX), charset = { 0 };

	buf_init(&utf8, TEXT_MAX * 6);
	if (!mail_mime_param(&e->type, STR("charset"), p->a, &charset) ||
	    !charset_to_utf8(&utf8, charset, bytes))
		utf8_add_repaired(&utf8, bytes);
	if (mail_mime_type_is(&e->type, STR("text"), STR("html")))
		report_add_html(&p->text, buf_str(&utf8));
	else
		buf_add(&p->text, str_sub(buf_str(&utf8), 0, TEXT_MAX));
	buf_add_byte(&p->text, '\n');
}

static bool
is_returned(const struct mail_mime_type *t)
{
	return mail_mime_type_is(t, STR("message"), STR("rfc822")) ||
	       mail_mime_type_is(t, STR("message"), STR("global")) ||
	       mail_mime_type_is(t, STR("message"), STR("global-headers")) ||
	       mail_mime_type_is(t, STR("message"), STR("rfc822-headers")) ||
	       mail_mime_type_is(t, STR("text"), STR("rfc822-headers"));
}

static void
add_leaf(struct report_parts *p, const struct mail_mime_entity *e)
{
	struct str body, header, rest;

	if (is_returned(&e->type)) {
		if (p->returned.n != 0)
			return;
		body = decoded(p->a, e, TEXT_MAX);
		if (!mail_header_split(body, &header, &rest))
			header = body;
		p->returned = header;
	} else if (mail_mime_type_is(&e->type, STR("message"), STR("delivery-status")) ||
		   mail_mime_type_is(&e->type, STR("message"), STR("global-delivery-status"))) {
		if (p->status.n == 0)
			p->status = decoded(p->a, e, STATUS_MAX);
	} else if (mail_mime_type_is(&e->type, STR("text"), STR("")) || !e->has_type) {
		add_text(p, e);
	}
}

static void
walk(struct report_parts *p, struct str content, unsigned depth)
{
	struct mail_mime_entity e;
	struct mail_mime_walk w;
	enum mail_mime_kind kind;
	struct str boundary = { 0 }, piece;

	if (++p->parts > PARTS_MAX)
		return;
	mail_mime_read(content, false, &e);
	if (!mail_mime_type_is(&e.type, STR("multipart"), STR("")) ||
	    !mail_mime_param(&e.type, STR("boundary"), p->a, &boundary) || boundary.n == 0 ||
	    depth == DEPTH_MAX) {
		add_leaf(p, &e);
		return;
	}
	w = mail_mime_walk_start(e.body, boundary);
	while (mail_mime_walk_next(&w, &kind, &piece))
		if (kind == MAIL_MIME_PART)
			walk(p, piece, depth + 1);
}

/* ---- delivery-status ---- */

/* "rfc822; joe@example.net" without its type; *type_out is the type. */
static struct str
typed(struct arena *a, struct str value, struct str *type_out)
{
	struct str v = mail_header_unfolded(a, value);
	size_t at = str_find(v, ';');

	*type_out = at < v.n ? str_trim(str_sub(v, 0, at)) : (struct str){ 0 };
	return at < v.n ? str_trim(str_skip(v, at + 1)) : v;
}

static struct str
read_address(struct arena *a, struct str value)
{
	struct str type, v = typed(a, value, &type), plain;

	if (v.n >= 2 && v.p[0] == '<' && v.p[v.n - 1] == '>')
		v = str_sub(v, 1, v.n - 2);
	if (str_eq_nocase(type, STR("utf-8")) && xtext_decode_utf8(a, v, &plain))
		v = plain;
	return str_sub(v, 0, 512);
}

static bool
read_action(struct str value, enum mail_report_action *out)
{
	static const struct {
		struct str word;
		enum mail_report_action action;
	} rows[] = { { STR_INIT("failed"), MAIL_REPORT_FAILED },
		{ STR_INIT("failure"), MAIL_REPORT_FAILED },
		{ STR_INIT("delayed"), MAIL_REPORT_DELAYED },
		{ STR_INIT("delivered"), MAIL_REPORT_DELIVERED },
		{ STR_INIT("relayed"), MAIL_REPORT_RELAYED },
		{ STR_INIT("expanded"), MAIL_REPORT_RELAYED } };

	value = str_trim(value);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (str_starts_nocase(value, rows[i].word)) {
			*out = rows[i].action;
			return true;
		}
	}
	return false;
}

/* "5.1.1 (bad address)". */
static struct smtp_enhanced
read_status(struct str value)
{
	struct smtp_enhanced e = SMTP_ENHANCED_NONE;
	size_t n = 0;

	value = str_trim(value);
	while (n < value.n && (ascii_is_digit(value.p[n]) || value.p[n] == '.'))
		n++;
	(void)smtp_reply_parse_enhanced(str_sub(value, 0, n), &e);
	return e;
}

/* One group of fields: about the message, a recipient, or both. */
struct group {
	struct mail_report_rcpt rcpt;
	bool has_rcpt, has_action;
};

static void
read_field(struct mail_report *r, struct group *g, const struct mail_field *f, struct arena *a)
{
	struct str type;

	if (str_eq_nocase(f->name, STR("Final-Recipient"))) {
		g->rcpt.address = read_address(a, f->value);
		g->has_rcpt = true;
	} else if (str_eq_nocase(f->name, STR("Original-Recipient"))) {
		g->rcpt.original = read_address(a, f->value);
		g->has_rcpt = true;
	} else if (str_eq_nocase(f->name, STR("Action"))) {
		g->has_action = read_action(f->value, &g->rcpt.action);
	} else if (str_eq_nocase(f->name, STR("Status"))) {
		g->rcpt.status = read_status(f->value);
	} else if (str_eq_nocase(f->name, STR("Diagnostic-Code"))) {
		g->rcpt.text = typed(a, f->value, &type);
	} else if (str_eq_nocase(f->name, STR("Remote-MTA"))) {
		g->rcpt.remote_mta = typed(a, f->value, &type);
	} else if (str_eq_nocase(f->name, STR("Reporting-MTA")) && r->reporter.n == 0) {
		r->reporter = typed(a, f->value, &type);
	} else if (str_eq_nocase(f->name, STR("Original-Envelope-Id")) && r->envid.n == 0) {
		struct str raw = str_trim(mail_header_unfolded(a, f->value));
		if (!xtext_decode(a, raw, &r->envid))
			r->envid = raw;
	}
}

static void
end_group(struct mail_report *r, struct group *g, struct arena *a)
{
	struct mail_report_rcpt *to;

	if (!g->has_rcpt)
		return;
	if (!g->has_action && g->rcpt.status.cls == 2)
		g->rcpt.action = MAIL_REPORT_DELIVERED;
	else if (!g->has_action && g->rcpt.status.cls == 4)
		g->rcpt.action = MAIL_REPORT_DELAYED;
	g->rcpt.is_named = true;
	to = report_add(r, a);
	if (to != NULL)
		*to = g->rcpt;
}

static void
read_groups(struct mail_report *r, struct str status, struct arena *a)
{
	struct str rest = status;

	for (unsigned i = 0; i < GROUPS_MAX && rest.n != 0; i++) {
		struct group g = { .rcpt = { .action = MAIL_REPORT_FAILED } };
		struct mail_field f;
		while (rest.n != 0 && (rest.p[0] == '\r' || rest.p[0] == '\n'))
			rest = str_skip(rest, 1);
		struct mail_header_iter it = mail_header_start(rest);
		bool any = false;
		while (mail_header_next(&it, &f)) {
			/* A second recipient without an empty line between. */
			if (g.has_rcpt && g.rcpt.address.n != 0 &&
			    str_eq_nocase(f.name, STR("Final-Recipient"))) {
				end_group(r, &g, a);
				g = (struct group){ .rcpt = { .action = MAIL_REPORT_FAILED } };
			}
			read_field(r, &g, &f, a);
			any = true;
		}
		end_group(r, &g, a);
		rest = it.rest;
		if (!any) /* a line that is no field: step over it */
			rest = str_skip(rest, str_find(rest, '\n') + 1);
	}
}

/* ---- all of it ---- */

static struct str
id_of(const struct report_parts *p)
{
	struct mail_field f;
	struct str id;

	if (p->returned.n != 0 && mail_header_find(p->returned, STR("Message-ID"), &f) &&
	    mail_header_message_id(mail_header_unfolded(p->a, f.value), &id))
		return id;
	return report_find_message_id(buf_str(&p->text));
}

enum rc
mail_report_read(struct str content, struct arena *a, struct mail_report *out)
{
	struct report_parts p = { .a = a, .content = content };
	struct mail_report r = { 0 };
	enum rc rc = RC_OK;

	buf_init(&p.text, (size_t)TEXT_MAX * 4);
	walk(&p, content, 0);
	if (p.status.n != 0)
		read_groups(&r, p.status, a);
	r.is_formal = r.n_rcpts != 0;
	if (!r.is_formal)
		rc = report_read_text(&p, &r);
	if (rc == RC_OK) {
		r.message_id = arena_str(a, str_sub(id_of(&p), 0, 998));
		r.returned = p.returned;
		*out = r;
	}
	buf_done(&p.text);
	return rc;
}
