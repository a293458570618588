/* Composing a delivery report.
 *
 * The words for people are made in mail/dsn_text. Everything a peer wrote passes header_value_clean
 * before it enters a field, and mail_field_add folds it. The boundary is made of the report's id,
 * which no message older than it can know; it is checked against the content all the same.
 *
 * The machine part and the returned message take the global types of RFC 6533 only where bytes
 * beyond ASCII are in them, since older readers do not know those types. The words are
 * quoted-printable unless they are plain.
 *
 * LIMITS: MAIL_DSN_CONTENT_MAX of returned content, HEADER_MAX of returned header, DIAGNOSTIC_MAX
 * of a reply. */
#include "mail/dsn.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "codec/qp.h"
#include "codec/utf8.h"
#include "mail/date.h"
#include "mail/dsn_text.h"
#include "mail/field.h"
#include "mail/header.h"

#define HEADER_MAX     (64u << 10)
#define DIAGNOSTIC_MAX 1000
#define TEXT_MAX       (8u << 20)

struct report {
	const struct mail_dsn *d;
	struct buf *b;
	struct arena *arena;
	struct str boundary;
	struct str text;     /* the words for people */
	struct str returned; /* what goes back of the message */
	bool whole;          /* all of it, not only the header */
	bool global;         /* an address in the machine part is not ASCII */
};

static void
add_field(const struct report *r, const char *name, struct str value)
{
	mail_field_add(r->b, str_from(name), header_value_clean(r->arena, value));
}

static void
add_date_field(const struct report *r, const char *name, int64_t wall_us)
{
	char date[MAIL_DATE_SIZE];

	if (wall_us == 0)
		return;
	mail_date_format(wall_us, date);
	add_field(r, name, str_from(date));
}

/* Without what is not ASCII: the classic report knows nothing else. */
static struct str
ascii_only(const struct report *r, struct str s)
{
	char *to = arena_zalloc(r->arena, s.n + 1);

	for (size_t i = 0; i < s.n; i++)
		to[i] = ((uint8_t)s.p[i] & 0x80) != 0 ? '?' : s.p[i];
	return str_make(to, s.n);
}

static bool
is_global_rcpt(const struct mail_dsn_rcpt *r)
{
	return r->addr.needs_utf8 || !utf8_is_ascii(r->orcpt);
}

static void
add_begin(const struct report *r, const char *type, bool is_8bit)
{
	buf_addf(r->b, "\r\n--%.*s\r\nContent-Type: %s\r\n", STR_ARG(r->boundary), type);
	if (is_8bit)
		buf_add(r->b, STR("Content-Transfer-Encoding: 8bit\r\n"));
	buf_add(r->b, STR("\r\n"));
}

static void
add_head(const struct report *r)
{
	const struct mail_dsn *d = r->d;
	AUTO(buf_done) struct buf to = { 0 };
	bool is_8bit = r->global || !utf8_is_ascii(r->returned);

	buf_init(&to, 1024);
	add_date_field(r, "Date", d->wall_us);
	buf_addf(r->b, "From: Mail Delivery <mailer-daemon@%.*s>\r\n", STR_ARG(d->hostname));
	buf_add_byte(&to, '<');
	mail_addr_format(&to, d->sender);
	buf_add_byte(&to, '>');
	add_field(r, "To", buf_str(&to));
	buf_addf(r->b, "Subject: %s\r\n", mail_dsn_text_subject(d));
	buf_addf(r->b, "Message-ID: <%.*s@%.*s>\r\n", STR_ARG(d->id), STR_ARG(d->hostname));
	/* RFC 3834 §5: keeps vacation programs from answering. */
	buf_add(r->b, STR("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"));
	buf_addf(r->b,
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%.*s\"\r\n",
	    STR_ARG(r->boundary));
	if (is_8bit)
		buf_add(r->b, STR("Content-Transfer-Encoding: 8bit\r\n"));
	buf_add(r->b, STR("\r\nThis is a delivery report in MIME format.\r\n"));
}

static void
add_words(const struct report *r)
{
	bool plain = utf8_is_ascii(r->text);
	struct str rest = r->text, line;

	while (str_cut(&rest, '\n', &line))
		plain = plain && line.n <= 200;
	buf_addf(r->b, "\r\n--%.*s\r\nContent-Type: text/plain; charset=%s\r\n",
	    STR_ARG(r->boundary), plain ? "us-ascii" : "utf-8");
	if (plain) {
		buf_add(r->b, STR("\r\n"));
		buf_add(r->b, r->text);
	} else {
		buf_add(r->b, STR("Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
		qp_encode(r->b, r->text, true);
	}
}

/* "type; address". What is not ASCII is of type utf-8, whatever it came as, and only in the global
 * form. */
static void
add_address_field(const struct report *r, const char *name, struct str type, struct str address)
{
	AUTO(buf_done) struct buf v = { 0 };

	buf_init(&v, 16384);
	buf_add(&v, utf8_is_ascii(address) ? ascii_only(r, type) : STR("utf-8"));
	buf_add(&v, STR("; "));
	utf8_add_repaired(&v, utf8_head(address, 3000));
	add_field(r, name, buf_str(&v));
}

static struct smtp_enhanced
status_of(const struct mail_dsn *d, const struct mail_dsn_rcpt *rcpt)
{
	if (rcpt->status.cls != 0)
		return rcpt->status;
	switch (d->kind) {
	case MAIL_DSN_FAILED: return SMTP_ENHANCED(5, 0, 0);
	case MAIL_DSN_DELAYED: return SMTP_ENHANCED(4, 0, 0);
	case MAIL_DSN_RELAYED: return SMTP_ENHANCED(2, 0, 0);
	}
	UNREACHABLE();
}

static void
add_diagnostic(const struct report *r, const struct mail_dsn_rcpt *rcpt)
{
	AUTO(buf_done) struct buf v = { 0 };
	struct str reply = utf8_head(rcpt->reply, DIAGNOSTIC_MAX);
	struct smtp_enhanced e = rcpt->status;

	buf_init(&v, DIAGNOSTIC_MAX * 4 + 64);
	if (rcpt->code != 0) {
		buf_addf(&v, "smtp; %u ", rcpt->code);
		if (e.cls != 0)
			buf_addf(&v, "%u.%u.%u ", e.cls, e.subject, e.detail);
		if (r->global)
			utf8_add_repaired(&v, reply);
		else
			buf_add(&v, ascii_only(r, reply));
	} else if (rcpt->reason.n != 0) {
		buf_add(&v, STR("X-Posthouse; "));
		buf_add(&v, ascii_only(r, utf8_head(rcpt->reason, DIAGNOSTIC_MAX)));
	}
	if (buf_len(&v) != 0)
		add_field(r, "Diagnostic-Code", buf_str(&v));
}

static const char *
action_name(enum mail_dsn_kind kind)
{
	switch (kind) {
	case MAIL_DSN_FAILED: return "failed";
	case MAIL_DSN_DELAYED: return "delayed";
	case MAIL_DSN_RELAYED: return "relayed";
	}
	UNREACHABLE();
}

/* RFC 3464 §2.3, in the order of its fields. */
static void
add_rcpt(const struct report *r, const struct mail_dsn_rcpt *rcpt)
{
	AUTO(buf_done) struct buf address = { 0 };
	struct smtp_enhanced status = status_of(r->d, rcpt);

	buf_init(&address, 1024);
	mail_addr_format(&address, &rcpt->addr);
	buf_add(r->b, STR("\r\n"));
	if (rcpt->orcpt_type.n != 0)
		add_address_field(
		    r, "Original-Recipient", utf8_head(rcpt->orcpt_type, 64), rcpt->orcpt);
	add_address_field(r, "Final-Recipient", STR("rfc822"), buf_str(&address));
	buf_addf(r->b, "Action: %s\r\nStatus: %u.%u.%u\r\n", action_name(r->d->kind), status.cls,
	    status.subject, status.detail);
	if (rcpt->remote_mta.n != 0) {
		AUTO(buf_done) struct buf mta = { 0 };
		buf_init(&mta, 300);
		buf_add(&mta, STR("dns; "));
		buf_add(&mta, ascii_only(r, utf8_head(rcpt->remote_mta, 255)));
		add_field(r, "Remote-MTA", buf_str(&mta));
	}
	add_diagnostic(r, rcpt);
	add_date_field(r, "Last-Attempt-Date", rcpt->last_attempt_us);
	if (r->d->kind == MAIL_DSN_DELAYED)
		add_date_field(r, "Will-Retry-Until", rcpt->retry_until_us);
}

static void
add_status(const struct report *r)
{
	add_begin(
	    r, r->global ? "message/global-delivery-status" : "message/delivery-status", r->global);
	buf_addf(r->b, "Reporting-MTA: dns; %.*s\r\n", STR_ARG(r->d->hostname));
	if (r->d->envid.n != 0)
		add_field(r, "Original-Envelope-Id", ascii_only(r, utf8_head(r->d->envid, 255)));
	add_date_field(r, "Arrival-Date", r->d->arrival_us);
	for (size_t i = 0; i < r->d->rcpt_count; i++)
		add_rcpt(r, &r->d->rcpts[i]);
}

static void
add_returned(const struct report *r)
{
	struct str header, body;

	mail_header_split(r->returned, &header, &body);
	bool global = !utf8_is_ascii(header);
	const char *type = r->whole ? (global ? "message/global" : "message/rfc822")
				    : (global ? "message/global-headers" : "text/rfc822-headers");
	add_begin(r, type, !utf8_is_ascii(r->returned));
	buf_add(r->b, r->returned);
	buf_addf(r->b, "\r\n--%.*s--\r\n", STR_ARG(r->boundary));
}

/* Whole fields of the header, up to HEADER_MAX. */
static struct str
clip_header(struct str content)
{
	struct mail_header_iter it = mail_header_start(content);
	struct str start = it.rest;
	struct mail_field f;
	size_t n = 0;

	while (mail_header_next(&it, &f) && n + f.raw.n <= HEADER_MAX)
		n += f.raw.n;
	return str_sub(start, 0, n);
}

static struct str
choose_boundary(const struct report *r)
{
	for (unsigned i = 0;; i++) {
		struct str b =
		    arena_strf(r->arena, "=_report-%.*s-%u", STR_ARG(utf8_head(r->d->id, 48)), i);
		if (str_find_str(r->returned, b) == r->returned.n)
			return b;
	}
}

enum rc
mail_dsn_compose(struct buf *b, const struct mail_dsn *d)
{
	AUTO(arena_done) struct arena arena = { 0 };
	AUTO(buf_done) struct buf text = { 0 };
	struct report r = { .d = d, .b = b, .arena = &arena };

	ASSERT(d->rcpt_count != 0 && !d->sender->is_null && d->id.n != 0);
	buf_init(&text, TEXT_MAX);
	mail_dsn_text_add(&text, d);
	r.text = buf_str(&text);
	r.whole = d->kind == MAIL_DSN_FAILED && d->full && d->content.n <= MAIL_DSN_CONTENT_MAX;
	r.returned = r.whole ? d->content : clip_header(d->content);
	for (size_t i = 0; i < d->rcpt_count; i++)
		r.global = r.global || is_global_rcpt(&d->rcpts[i]);
	r.boundary = choose_boundary(&r);
	add_head(&r);
	add_words(&r);
	add_status(&r);
	add_returned(&r);
	return buf_is_ok(b) && buf_is_ok(&text) ? RC_OK : RC_LIMIT;
}
