/* Composing is mail/compose's work; judging reads the header and the two bodies again.
 *
 * Authentication-Results: anybody can write such a field, so only the topmost one counts, and only
 * when the name in it belongs to the mailbox's own side (RFC 8601 §5): its IMAP host, the domain
 * of its address, the server that wrote the topmost Received field, or one of a few names that the
 * large providers use beside their own. Names belong together when they end in the same two
 * labels, or three where the last two are of the kind "com.cn". */
#include "mailbox/probe_mail.h"

#include "base/fault.h"
#include "codec/base64.h"
#include "codec/qp.h"
#include "codec/rfc2047.h"
#include "mail/compose.h"
#include "mail/date.h"
#include "mail/mime.h"

#define BODY_MAX  65536u
#define DEPTH_MAX 6u

/* ---- sending ---- */

static enum rc
parse_person(struct str address, struct arena *a, struct mail_compose_person *out, struct fault *f)
{
	const char *why = "";

	if (mail_addr_parse(address, MAIL_ADDR_ASCII, a, &out->addr, &why) != RC_OK ||
	    out->addr.is_null)
		return fault_set(f, RC_INVALID, "'%.*s' is no address a probe can use: %s",
		    STR_ARG(str_sub(address, 0, 100)), why);
	return RC_OK;
}

enum rc
probe_mail_compose(struct probe_mail *m, struct arena *a, struct buf *out, struct fault *f)
{
	struct mail_compose_person from = { 0 }, to = { 0 };
	struct mail_compose_field field = { .name = STR(PROBE_MAIL_FIELD) };
	struct mail_compose c = { .to = { &to, 1 },
		.fields = &field,
		.field_count = 1,
		.wall_us = m->wall_us,
		.unique = m->token };
	const char *why = "";
	enum rc rc = parse_person(m->from, a, &from, f);

	if (rc == RC_OK)
		rc = parse_person(m->to, a, &to, f);
	if (rc != RC_OK)
		return rc;
	m->message_id =
	    arena_strf(a, "%.*s@%.*s", STR_ARG(m->token), STR_ARG(from.addr.domain_ascii));
	m->link = arena_strf(
	    a, "https://%.*s/?probe=%.*s", STR_ARG(from.addr.domain_ascii), STR_ARG(m->token));
	m->text = arena_strf(a,
	    "Good day,\r\n\r\n"
	    "this message proves that mail from %.*s arrives when it goes out through %.*s. Nobody "
	    "has to do anything about it, and it may be deleted.\r\n\r\n"
	    "%.*s\r\n\r\n"
	    "\xe8\xbf\x99\xe6\x98\xaf\xe4\xb8\x80\xe5\xb0\x81\xe6\x8a\x95\xe9\x80\x92\xe6\xb5\x8b"
	    "\xe8\xaf\x95\xe9\x82\xae\xe4\xbb\xb6\xef\xbc\x8c\xe5\x8f\xaf\xe4\xbb\xa5\xe5\x88\xa0"
	    "\xe9\x99\xa4\xe3\x80\x82\r\n\r\nProbe %.*s\r\n",
	    STR_ARG(m->from), STR_ARG(m->relay), STR_ARG(m->link), STR_ARG(m->token));
	c.from = from;
	c.message_id = m->message_id;
	c.text = m->text;
	c.html = arena_strf(a,
	    "<html><body><p>Good day,</p><p>this message proves that mail from %.*s arrives when it "
	    "goes out through %.*s. Nobody has to do anything about it, and it may be deleted.</p>"
	    "<p><a href=\"%.*s\">What is a probe?</a></p><p>Probe %.*s</p></body></html>\r\n",
	    STR_ARG(m->from), STR_ARG(m->relay), STR_ARG(m->link), STR_ARG(m->token));
	c.subject = header_value_clean(
	    a, arena_strf(a, "\xe6\x8a\x95\xe9\x80\x92\xe6\xb5\x8b\xe8\xaf\x95 Delivery probe %.*s",
		   STR_ARG(m->token)));
	field.value = header_value_clean(a, m->token);
	if (mail_compose(out, &c, &why) != RC_OK)
		return fault_set(f, RC_INVALID, "the probe cannot be written: %s", why);
	return RC_OK;
}

/* ---- finding ---- */

static struct str
value_of(struct str content, struct str name, struct arena *a)
{
	struct mail_field f;

	if (!mail_header_find(content, name, &f))
		return (struct str){ 0 };
	return str_trim(mail_header_unfolded(a, f.value));
}

bool
probe_mail_is(struct str content, struct str token, struct arena *a)
{
	static const struct str names[] = { STR_INIT(PROBE_MAIL_FIELD), STR_INIT("Message-ID"),
		STR_INIT("Subject") };

	/* A report about the probe quotes its header in a part, never in its own fields. */
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct str v = value_of(content, names[i], a);
		if (str_find_str(v, token) < v.n)
			return true;
	}
	/* A relay may have encoded all of the subject. */
	AUTO(buf_done) struct buf plain = { 0 };
	buf_init(&plain, 8192);
	rfc2047_decode(&plain, str_sub(value_of(content, STR("Subject"), a), 0, 2000));
	return str_find_str(buf_str(&plain), token) < buf_len(&plain);
}

/* ---- judging: who says so ---- */

/* The last labels of a name, by which an organisation is known. */
static struct str
organisation(struct str name)
{
	size_t last = str_find_last(name, '.'), second, third;

	if (last == name.n)
		return name;
	second = str_find_last(str_sub(name, 0, last), '.');
	if (second == last)
		return name;
	/* "com.cn", "co.uk": one label more. */
	if (last - second - 1 <= 3 && name.n - last - 1 == 2) {
		third = str_find_last(str_sub(name, 0, second), '.');
		return third == second ? name : str_skip(name, third + 1);
	}
	return str_skip(name, second + 1);
}

static bool
belong_together(struct str a, struct str b)
{
	static const struct {
		struct str one, other;
	} houses[] = { { STR_INIT("google.com"), STR_INIT("gmail.com") },
		{ STR_INIT("outlook.com"), STR_INIT("office365.com") },
		{ STR_INIT("outlook.com"), STR_INIT("hotmail.com") },
		{ STR_INIT("outlook.com"), STR_INIT("microsoft.com") },
		{ STR_INIT("163.com"), STR_INIT("126.com") },
		{ STR_INIT("163.com"), STR_INIT("yeah.net") },
		{ STR_INIT("qq.com"), STR_INIT("foxmail.com") },
		{ STR_INIT("yahoo.com"), STR_INIT("yahoodns.net") },
		{ STR_INIT("icloud.com"), STR_INIT("me.com") } };

	a = organisation(a);
	b = organisation(b);
	if (str_eq_nocase(a, b))
		return a.n != 0;
	for (size_t i = 0; i < COUNT_OF(houses); i++)
		if ((str_eq_nocase(a, houses[i].one) && str_eq_nocase(b, houses[i].other)) ||
		    (str_eq_nocase(b, houses[i].one) && str_eq_nocase(a, houses[i].other)))
			return true;
	return false;
}

/* The word behind `key` ("by ", "with ") in a Received field; comments are no words. */
static struct str
clause(struct str received, struct str key)
{
	size_t at = 0;
	unsigned depth = 0;

	for (; at + key.n < received.n; at++) {
		if (received.p[at] == '(')
			depth++;
		else if (received.p[at] == ')' && depth > 0)
			depth--;
		bool starts = at == 0 || received.p[at - 1] == ' ' || received.p[at - 1] == '\t';
		if (depth == 0 && starts && str_starts_nocase(str_skip(received, at), key))
			break;
	}
	if (at + key.n >= received.n)
		return (struct str){ 0 };
	struct str rest = str_skip(received, at + key.n);
	size_t n = 0;
	while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != ';' && rest.p[n] != '\t' &&
	       rest.p[n] != '(')
		n++;
	return str_sub(rest, 0, n);
}

static bool
is_own(struct str name, struct str own, struct str content, struct arena *a)
{
	struct str word, by = clause(value_of(content, STR("Received"), a), STR("by "));

	while (own.n != 0 && str_cut(&own, ' ', &word))
		if (word.n != 0 && belong_together(name, word))
			return true;
	return by.n != 0 && str_has_byte(by, '.') && belong_together(name, by);
}

/* "pass" of "; spf=pass (comment) smtp.mailfrom=x"; empty: not there. */
static struct str
method(struct str results, struct str name)
{
	struct str part;

	while (str_cut(&results, ';', &part)) {
		part = str_trim(part);
		if (!str_starts_nocase(part, name) || part.n <= name.n || part.p[name.n] != '=')
			continue;
		part = str_trim(str_skip(part, name.n + 1));
		size_t n = 0;
		while (n < part.n && ascii_is_alpha(part.p[n]))
			n++;
		return str_sub(part, 0, n);
	}
	return (struct str){ 0 };
}

static void
read_results(struct str content, struct str own, struct arena *a, struct probe_mail_facts *out)
{
	struct str v = value_of(content, STR("Authentication-Results"), a);
	struct str id = str_trim(str_sub(v, 0, str_find(v, ';')));
	id = str_sub(id, 0, str_find(id, ' '));
	if (id.n == 0 || !is_own(id, own, content, a))
		return;
	out->authserv = id;
	out->spf = method(v, STR("spf"));
	out->dkim = method(v, STR("dkim"));
	out->dmarc = method(v, STR("dmarc"));
}

/* The first hop from the top that was SMTP: later ones (LMTP, HTTP) are inside the mailbox's side.
 */
static void
read_received(struct str content, struct arena *a, struct probe_mail_facts *out)
{
	struct mail_header_iter it = mail_header_start(content);
	struct mail_field f;

	while (mail_header_next(&it, &f)) {
		if (!str_eq_nocase(f.name, STR("Received")))
			continue;
		struct str with = clause(mail_header_unfolded(a, f.value), STR("with "));
		if (str_find_nocase(with, STR("SMTP")) == with.n)
			continue;
		out->received_with = with;
		out->received_tls = str_starts_nocase(with, STR("ESMTPS")) ||
				    str_starts_nocase(with, STR("UTF8SMTPS"));
		return;
	}
}

/* ---- judging: what it says ---- */

struct bodies {
	struct arena *a;
	struct str text, html;
	unsigned parts;
};

static void
read_bodies(struct bodies *b, struct str content, unsigned depth)
{
	struct mail_mime_entity e;
	struct mail_mime_walk w;
	enum mail_mime_kind kind;
	struct str boundary = { 0 }, piece;
	AUTO(buf_done) struct buf plain = { 0 };

	if (++b->parts > 20)
		return;
	mail_mime_read(content, false, &e);
	if (mail_mime_type_is(&e.type, STR("multipart"), STR("")) && depth < DEPTH_MAX &&
	    mail_mime_param(&e.type, STR("boundary"), b->a, &boundary) && boundary.n != 0) {
		w = mail_mime_walk_start(e.body, boundary);
		while (mail_mime_walk_next(&w, &kind, &piece))
			if (kind == MAIL_MIME_PART)
				read_bodies(b, piece, depth + 1);
		return;
	}
	bool html = mail_mime_type_is(&e.type, STR("text"), STR("html"));
	struct str *to = html ? &b->html : &b->text;
	if (!mail_mime_type_is(&e.type, STR("text"), STR("")) || to->n != 0)
		return;
	buf_init(&plain, BODY_MAX + 16);
	struct str body = str_sub(e.body, 0, BODY_MAX);
	if (e.cte == MAIL_CTE_QP)
		(void)qp_decode(&plain, body);
	else if (e.cte == MAIL_CTE_BASE64)
		(void)base64_decode_mime(&plain, body);
	else
		buf_add(&plain, body);
	*to = arena_str(b->a, buf_str(&plain));
}

/* Equal but for line ends and blanks around. */
static bool
same_text(struct str a, struct str b)
{
	struct str x, y;
	bool more_a, more_b;

	a = str_trim(a);
	b = str_trim(b);
	do {
		more_a = str_cut(&a, '\n', &x);
		more_b = str_cut(&b, '\n', &y);
		if (more_a != more_b || (more_a && !str_eq(str_trim(x), str_trim(y))))
			return false;
	} while (more_a);
	return true;
}

void
probe_mail_judge(const struct probe_mail *m, struct str content, struct str own, struct arena *a,
    struct probe_mail_facts *out)
{
	struct probe_mail_facts f = { 0 };
	struct bodies b = { .a = a };
	int64_t date_us = 0;
	struct str id;

	if (mail_header_message_id(value_of(content, STR("Message-ID"), a), &id))
		f.message_id = id;
	f.message_id_kept = str_eq(f.message_id, m->message_id);
	f.date_kept = mail_date_parse(value_of(content, STR("Date"), a), &date_us) == RC_OK &&
		      date_us / 1000000 == m->wall_us / 1000000;
	f.from = value_of(content, STR("From"), a);
	f.from_kept = str_find_nocase(f.from, m->from) < f.from.n;
	f.field_kept = str_eq(value_of(content, STR(PROBE_MAIL_FIELD), a), m->token);
	f.return_path = value_of(content, STR("Return-Path"), a);
	read_received(content, a, &f);
	read_results(content, own, a, &f);
	read_bodies(&b, content, 0);
	f.body_same = same_text(b.text, m->text);
	f.links_rewritten =
	    str_find_str(b.html, m->link) == b.html.n || str_find_str(b.text, m->link) == b.text.n;
	*out = f;
}
