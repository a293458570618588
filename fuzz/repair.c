/* Repaired content can be sent: no line over 998 octets, no bare CR or LF, no private field; and
 * repairing it again changes nothing but the trace. Bare LFs of the input become CRLF first, so
 * that most inputs get past the first check. */
#include "mail/repair.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/recode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mail_repair_facts facts = {
	.door = MAIL_DOOR_ESMTP,
	.helo = STR_INIT("c"),
	.client_ip = STR_INIT("::1"),
	.hostname = STR_INIT("h"),
	.queue_id = STR_INIT("q"),
};

/* With CRLF for LF, and a long line for each byte 1, since those are hard to find by chance. */
static void
spread(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			buf_add_byte(b, '\r');
		if (s.p[i] == '\x01')
			for (int k = 0; k < 100; k++)
				buf_add(b, STR("long line "));
		buf_add_byte(b, s.p[i]);
	}
}

static bool
repair(struct str content, struct arena *a, struct str *out)
{
	struct mail_pieces pieces;
	struct mail_scan scan;
	const char *why = NULL;

	mail_scan(content, &scan);
	mail_pieces_init(&pieces, a);
	if (mail_repair(content, &scan, &facts, &pieces, &why) != RC_OK) {
		ASSERT(why != NULL);
		return false;
	}
	*out = mail_pieces_str(&pieces);
	ASSERT(out->n == pieces.bytes);
	mail_scan(*out, &scan);
	ASSERT(
	    scan.longest_header_line <= MAIL_LINE_MAX && scan.longest_body_line <= MAIL_LINE_MAX);
	ASSERT(!scan.bare_eol && !scan.has_nul && !scan.has_bcc && !scan.has_options);
	ASSERT(scan.has_date && scan.has_message_id && scan.received_count > 0);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct str once, twice;

	buf_init(&b, 1 << 24);
	spread(&b, str_make((const char *)data, size));
	if (!repair(buf_str(&b), &a, &once))
		return 0;
	ASSERT(repair(once, &a, &twice));
	ASSERT(str_ends(twice, once));
	return 0;
}
