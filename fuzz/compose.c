/* A message composed of anybody's texts is well-formed, or refused with a reason. The input is cut
 * at bytes 2 into display name, subject, text, HTML, and name, type and content of a file. */
#include "mail/compose.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "mail/mime.h"
#include "mail/recode.h"
#include "mail/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Leaves of an entity. */
static int
count_leaves(struct str content, struct arena *a)
{
	struct mail_mime_entity e;
	struct str boundary, piece;
	enum mail_mime_kind kind = MAIL_MIME_PREAMBLE;
	int n = 0;

	mail_mime_read(content, false, &e);
	if (!str_eq_nocase(e.type.type, STR("multipart")))
		return 1;
	ASSERT(mail_mime_param(&e.type, STR("boundary"), a, &boundary));
	struct mail_mime_walk w = mail_mime_walk_start(e.body, boundary);
	while (mail_mime_walk_next(&w, &kind, &piece)) {
		if (kind == MAIL_MIME_PART)
			n += count_leaves(piece, a);
	}
	ASSERT(kind == MAIL_MIME_EPILOGUE);
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_compose_part part = { 0 };
	struct mail_compose m = { .unique = STR("u") };
	struct str rest = { (const char *)data, size }, display = { 0 }, subject = { 0 };
	struct str *const texts[] = { &display, &subject, &m.text, &m.html, &part.name, &part.type,
		&part.content };
	struct mail_scan scan;
	const char *why = NULL;

	buf_init(&b, 1 << 24);
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		str_cut(&rest, '\x02', texts[i]);
	m.from.display = header_value_clean(&a, display);
	ASSERT(mail_addr_parse(STR("a@x"), 0, &a, &m.from.addr, &why) == RC_OK);
	m.subject = header_value_clean(&a, subject);
	m.parts = &part;
	m.part_count = part.content.p != NULL;
	part.content_id = (size & 1) != 0 ? STR("c") : (struct str){ 0 };
	if (mail_compose(&b, &m, &why) != RC_OK) {
		ASSERT(why != NULL);
		return 0;
	}
	mail_scan(buf_str(&b), &scan);
	ASSERT(!scan.header_8bit && !scan.body_8bit && !scan.bare_eol && !scan.has_nul);
	ASSERT(
	    scan.longest_header_line <= MAIL_LINE_MAX && scan.longest_body_line <= MAIL_LINE_MAX);
	ASSERT(scan.from_count == 1 && scan.has_separator);
	int want = (m.html.p != NULL) + (m.text.p != NULL || m.html.p == NULL) + (int)m.part_count;
	ASSERT(count_leaves(buf_str(&b), &a) == want);
	return 0;
}
