/* Submission repair.
 *
 * The prefix is written into a buffer, copied to the arena once, and followed by the content: as
 * one view where nothing inside has to change, else by way of mail_recode. Each text of a peer
 * passes a filter for the place it goes to, so a client cannot write fields of its own through its
 * HELO. */
#include "mail/repair.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/recode.h"

#define PREFIX_MAX 4096
#define TEXT_MAX   255

/* Host names, address literals, ids: what is none of their bytes becomes '?'. */
static void
add_name(struct buf *b, struct str s)
{
	s = str_sub(s, 0, TEXT_MAX);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool fits = ascii_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':' ||
			    c == '[' || c == ']';
		buf_add_byte(b, fits ? c : '?');
	}
}

static struct str
with_clause(const struct mail_repair_facts *f)
{
	static const struct str names[2][2][2] = {
		{
		    { STR_INIT("ESMTP"), STR_INIT("ESMTPA") },
		    { STR_INIT("ESMTPS"), STR_INIT("ESMTPSA") },
		},
		{
		    { STR_INIT("UTF8SMTP"), STR_INIT("UTF8SMTPA") },
		    { STR_INIT("UTF8SMTPS"), STR_INIT("UTF8SMTPSA") },
		},
	};

	switch (f->door) {
	case MAIL_DOOR_SMTP: return STR("SMTP");
	case MAIL_DOOR_ESMTP: return names[f->utf8][f->tls][f->authenticated];
	case MAIL_DOOR_HTTP: return STR("HTTP");
	case MAIL_DOOR_LOCAL: return (struct str){ 0 };
	}
	UNREACHABLE();
}

/* RFC 5321 §4.4 From-domain: the name it gave, and in brackets what we know. */
static void
add_from_clause(struct buf *b, const struct mail_repair_facts *f)
{
	buf_add(b, STR("from "));
	add_name(b, f->helo.n != 0 ? f->helo : STR("unknown"));
	buf_add(b, STR(" ("));
	if (f->client_name.n != 0) {
		add_name(b, f->client_name);
		buf_add(b, STR(" "));
	}
	buf_add(b, str_has_byte(f->client_ip, ':') ? STR("[IPv6:") : STR("["));
	add_name(b, f->client_ip);
	buf_add(b, STR("])\r\n\t"));
}

static void
add_received(struct buf *b, const struct mail_repair_facts *f, const char *date)
{
	struct str with = with_clause(f);

	buf_add(b, STR("Received: "));
	if (f->client_ip.n != 0)
		add_from_clause(b, f);
	buf_add(b, STR("by "));
	add_name(b, f->hostname.n != 0 ? f->hostname : STR("localhost"));
	if (with.n != 0)
		buf_addf(b, " with %.*s", STR_ARG(with));
	buf_add(b, STR(" id "));
	add_name(b, f->queue_id);
	if (f->rcpt != NULL && !f->rcpt->is_null && (f->utf8 || !f->rcpt->needs_utf8)) {
		buf_add(b, STR("\r\n\tfor <"));
		mail_addr_format(b, f->rcpt);
		buf_add(b, STR(">"));
	}
	buf_addf(b, ";\r\n\t%s\r\n", date);
}

static struct str
make_prefix(const struct mail_scan *scan, const struct mail_repair_facts *f, struct arena *a)
{
	AUTO(buf_done) struct buf b = { 0 };
	char date[MAIL_DATE_SIZE];

	buf_init(&b, PREFIX_MAX);
	mail_date_format(f->wall_us, date);
	add_received(&b, f, date);
	if (scan->from_count == 0 && f->from != NULL && !f->from->is_null) {
		buf_add(&b, STR("From: "));
		mail_addr_format(&b, f->from);
		buf_add(&b, STR("\r\n"));
	}
	if (!scan->has_date)
		buf_addf(&b, "Date: %s\r\n", date);
	if (!scan->has_message_id) {
		buf_add(&b, STR("Message-ID: <"));
		add_name(&b, f->queue_id);
		buf_add(&b, STR("@"));
		add_name(&b, f->hostname.n != 0 ? f->hostname : STR("localhost"));
		buf_add(&b, STR(">\r\n"));
	}
	ASSERT(buf_is_ok(&b));
	return arena_str(a, buf_str(&b));
}

static bool
is_private(struct str name)
{
	return str_eq_nocase(name, STR("Bcc")) || str_eq_nocase(name, STR("Resent-Bcc")) ||
	       str_starts_nocase(name, STR("X-Posthouse-"));
}

/* Whether the content can stay in one piece. */
static bool
is_fine(struct str content, const struct mail_scan *s)
{
	return !s->has_bcc && !s->has_options && !s->has_mbox_line && !s->bare_eol && !s->has_nul &&
	       s->longest_header_line <= MAIL_LINE_MAX && s->longest_body_line <= MAIL_LINE_MAX &&
	       (s->has_separator || s->header_size == content.n);
}

enum rc
mail_repair(struct str content, const struct mail_scan *scan, const struct mail_repair_facts *facts,
    struct mail_pieces *out, const char **why_out)
{
	static const struct mail_recode_opts opts = { .drops = is_private };

	mail_pieces_add(out, make_prefix(scan, facts, out->arena));
	if (!is_fine(content, scan))
		return mail_recode(content, scan, &opts, out, why_out);
	mail_pieces_add(out, content);
	if (mail_pieces_last(out) != '\n')
		mail_pieces_add(out, STR("\r\n"));
	return RC_OK;
}
