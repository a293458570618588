/* Downgraded content is all ASCII, can be sent, and stays as it is when downgraded again. */
#include "mail/downgrade.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/recode.h"
#include "mail/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
downgrade(struct str content, struct arena *a, struct str *out)
{
	struct mail_pieces pieces;
	struct mail_scan scan;
	const char *why = NULL;

	mail_pieces_init(&pieces, a);
	if (mail_downgrade(content, &pieces, &why) != RC_OK) {
		ASSERT(why != NULL);
		return false;
	}
	*out = mail_pieces_str(&pieces);
	mail_scan(*out, &scan);
	ASSERT(!scan.header_8bit && !scan.body_8bit && !scan.bare_eol);
	ASSERT(
	    scan.longest_header_line <= MAIL_LINE_MAX && scan.longest_body_line <= MAIL_LINE_MAX);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct str once, twice;

	buf_init(&b, 1 << 24);
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
			buf_add_byte(&b, '\r');
		buf_add_byte(&b, (char)data[i]);
	}
	if (!downgrade(buf_str(&b), &a, &once))
		return 0;
	ASSERT(downgrade(once, &a, &twice));
	ASSERT(str_eq(once, twice));
	return 0;
}
