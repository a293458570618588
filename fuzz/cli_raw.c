/* Messages from local pipes: whatever comes in, lines end with CRLF, the header is complete, and no
 * address carries a line end. */
#include "base/check.h"
#include "cli/raw.h"
#include "cli/words.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_lines(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		ASSERT(s.p[i] != '\n' || (i != 0 && s.p[i - 1] == '\r'));
		ASSERT(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
		ASSERT(s.p[i] != '\0');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make((const char *)data, size);
	struct cli_raw_list list = { 0 };
	struct arena a = { 0 };
	struct mail_field field;
	struct buf lines, whole;
	int64_t us;

	buf_init(&lines, size * 2 + 16);
	buf_init(&whole, size * 2 + 256);
	cli_raw_normalise(&lines, in, CLI_RAW_DOT_ENDS | CLI_RAW_NO_NULS);
	check_lines(buf_str(&lines));
	cli_raw_complete(&whole, buf_str(&lines), STR("me@a.example"));
	check_lines(buf_str(&whole));
	ASSERT(buf_is_ok(&lines) && buf_is_ok(&whole));
	ASSERT(mail_header_find(buf_str(&whole), STR("From"), &field));
	(void)cli_raw_sender(buf_str(&whole), &a);
	if (cli_raw_recipients(buf_str(&whole), &a, &list, STR("a.example"), NULL) == RC_OK) {
		for (size_t i = 0; i < list.n; i++)
			ASSERT(!str_has_byte(list.v[i], '\n') && !str_has_byte(list.v[i], '\r'));
	}
	(void)cli_words_parse_time(in, &us);
	buf_done(&lines);
	buf_done(&whole);
	arena_done(&a);
	return 0;
}
