/* Whatever a peer or a client wrote, a report is well-formed: three parts, short lines, no bare
 * line ends, and each machine field once for each recipient. The input is cut at bytes 2 into the
 * texts of the report. */
#include "mail/dsn.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/recode.h"
#include "mail/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_status(struct str status)
{
	struct mail_field f;
	struct str header, body;

	ASSERT(mail_header_count(status, STR("Reporting-MTA")) == 1);
	ASSERT(mail_header_split(status, &header, &body));
	ASSERT(mail_header_count(body, STR("Final-Recipient")) == 1);
	ASSERT(mail_header_count(body, STR("Action")) == 1);
	ASSERT(mail_header_count(body, STR("Status")) == 1);
	ASSERT(mail_header_count(body, STR("Diagnostic-Code")) == 1);
	struct mail_header_iter it = mail_header_start(body);
	while (mail_header_next(&it, &f))
		;
	ASSERT(it.rest.n == 0);
}

static void
check_report(struct str made, struct arena *a)
{
	struct mail_mime_entity e;
	struct mail_scan scan;
	struct str boundary, piece;
	enum mail_mime_kind kind;
	int parts = 0;

	mail_scan(made, &scan);
	ASSERT(!scan.bare_eol && scan.longest_header_line <= MAIL_LINE_MAX);
	mail_mime_read(made, false, &e);
	ASSERT(mail_mime_param(&e.type, STR("boundary"), a, &boundary));
	struct mail_mime_walk w = mail_mime_walk_start(e.body, boundary);
	while (mail_mime_walk_next(&w, &kind, &piece)) {
		if (kind != MAIL_MIME_PART)
			continue;
		mail_mime_read(piece, false, &e);
		if (++parts == 2)
			check_status(e.body);
	}
	ASSERT(parts == 3 && kind == MAIL_MIME_EPILOGUE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_dsn_rcpt rcpt = { .code = 550, .status = SMTP_ENHANCED(5, 1, 1) };
	struct mail_addr sender;
	struct str rest = { (const char *)data, size }, content = { 0 };
	struct str *const texts[] = { &rcpt.reply, &rcpt.remote_mta, &rcpt.orcpt_type,
		&rcpt.orcpt };
	const char *why = NULL;

	buf_init(&b, 1 << 24);
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		str_cut(&rest, '\x02', texts[i]);
	struct str envid = { 0 };
	str_cut(&rest, '\x02', &envid);
	/* Stored content has CRLF only; its bytes are otherwise anybody's. */
	AUTO(buf_done) struct buf crlf = { 0 };
	buf_init(&crlf, 1 << 24);
	for (size_t i = 0; i < rest.n; i++) {
		if (rest.p[i] == '\r')
			continue;
		if (rest.p[i] == '\n')
			buf_add_byte(&crlf, '\r');
		buf_add_byte(&crlf, rest.p[i]);
	}
	content = buf_str(&crlf);
	ASSERT(mail_addr_parse(STR("a@x"), 0, &a, &sender, &why) == RC_OK);
	if (mail_addr_parse(str_sub(rcpt.orcpt, 0, 100), MAIL_ADDR_UTF8, &a, &rcpt.addr, &why) !=
		RC_OK ||
	    rcpt.addr.is_null)
		rcpt.addr = sender;
	struct mail_dsn d = {
		.kind = (enum mail_dsn_kind)(size % 3),
		.hostname = STR("h"),
		.id = STR("i"),
		.sender = &sender,
		.envid = envid,
		.rcpts = &rcpt,
		.rcpt_count = 1,
		.full = (size & 4) != 0,
		.content = content,
	};
	ASSERT(mail_dsn_compose(&b, &d) == RC_OK);
	check_report(buf_str(&b), &a);
	return 0;
}
