/* Whatever a peer sends, its reply can be written again and reads the same. */
#include "codec/smtp_reply.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_round_trip(const struct smtp_reply *r, struct arena *a)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_reply again;
	const char *why;
	size_t used, longest = 0;
	struct str rest = r->text, line;

	while (rest.n != 0 && str_cut(&rest, '\n', &line))
		longest = line.n > longest ? line.n : longest;
	/* Longer ones are split, and a text at the limit outgrows it with the codes. */
	if (longest > 480 || r->text.n + r->lines * 20u > SMTP_REPLY_TOTAL_MAX)
		return;
	buf_init(&b, 1 << 20);
	smtp_reply_format(&b, r->code, r->enhanced, r->text);
	ASSERT(smtp_reply_parse(buf_str(&b), a, &again, &used, &why) == PARSE_ONE);
	ASSERT(
	    used == buf_len(&b) && again.code == r->code && again.enhanced.cls == r->enhanced.cls);
	if (!str_ends(r->text, STR("\n")))
		ASSERT(str_eq(again.text, r->text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct str in = str_make((const char *)data, size);
	struct smtp_reply r;
	const char *why;
	size_t used;

	while (smtp_reply_parse(in, &a, &r, &used, &why) == PARSE_ONE) {
		ASSERT(used > 0 && used <= in.n && r.lines > 0 && r.code >= 200 && r.code <= 599);
		for (size_t i = 0; i < r.text.n; i++)
			ASSERT((unsigned char)r.text.p[i] >= ' ' || r.text.p[i] == '\n');
		check_round_trip(&r, &a);
		in = str_skip(in, used);
	}
	buf_init(&b, 1 << 24);
	smtp_reply_format(&b, 550, SMTP_ENHANCED(5, 7, 1), str_make((const char *)data, size));
	struct str rest = buf_str(&b), line;
	while (rest.n != 0 && str_cut(&rest, '\n', &line)) {
		ASSERT(line.n <= 511 && str_starts(line, STR("550")) && str_ends(line, STR("\r")));
		ASSERT((line.p[3] == ' ') == (rest.n == 0));
	}
	return 0;
}
