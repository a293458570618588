#include "codec/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CHECK_STR(s, want)                                                                         \
	do {                                                                                       \
		struct str check_ = (s);                                                           \
		assert_int_equal(check_.n, strlen(want));                                          \
		assert_memory_equal(check_.n != 0 ? check_.p : "", want, check_.n);                \
	} while (0)

static enum parse
parse(struct arena *a, struct str in, struct smtp_reply *r, size_t *used, const char **why)
{
	*why = NULL;
	*used = 99999;
	return smtp_reply_parse(in, a, r, used, why);
}

static const struct {
	struct str in;
	uint16_t code, lines;
	struct smtp_enhanced e;
	const char *text;
} good[] = {
	{ STR_INIT("250 OK\r\n"), 250, 1, { 0, 0, 0 }, "OK" },
	{ STR_INIT("250 2.1.0 Sender ok\r\n"), 250, 1, { 2, 1, 0 }, "Sender ok" },
	{ STR_INIT("354\r\n"), 354, 1, { 0, 0, 0 }, "" },
	{ STR_INIT("250 \r\n"), 250, 1, { 0, 0, 0 }, "" },
	{ STR_INIT("220OK\r\n"), 220, 1, { 0, 0, 0 }, "OK" },
	{ STR_INIT("220\tOK\r\n"), 220, 1, { 0, 0, 0 }, "OK" },
	{ STR_INIT("250 OK\n"), 250, 1, { 0, 0, 0 }, "OK" },
	{ STR_INIT("250 OK \r\r\n"), 250, 1, { 0, 0, 0 }, "OK" },
	{ STR_INIT("250-a\r\n250-b\n250 c\r\n"), 250, 3, { 0, 0, 0 }, "a\nb\nc" },
	{ STR_INIT("250-a\r\n250-\r\n250\r\n"), 250, 3, { 0, 0, 0 }, "a\n\n" },
	{ STR_INIT("550-5.7.1 a\r\n550 5.7.1 b\r\n"), 550, 2, { 5, 7, 1 }, "a\nb" },
	{ STR_INIT("550-a\r\n550 5.7.1 b\r\n"), 550, 2, { 5, 7, 1 }, "a\nb" },
	{ STR_INIT("550-5.7.1 a\r\n550 5.1.1 b\r\n"), 550, 2, { 5, 7, 1 }, "a\n5.1.1 b" },
	{ STR_INIT("550 4.7.1 a\r\n"), 550, 1, { 0, 0, 0 }, "4.7.1 a" },
	{ STR_INIT("550 5.7.1\r\n"), 550, 1, { 5, 7, 1 }, "" },
	{ STR_INIT("550 5.7.708 a\r\n"), 550, 1, { 5, 7, 708 }, "a" },
	{ STR_INIT("550 5.7.1234 a\r\n"), 550, 1, { 0, 0, 0 }, "5.7.1234 a" },
	{ STR_INIT("550 5.07.1 a\r\n"), 550, 1, { 0, 0, 0 }, "5.07.1 a" },
	{ STR_INIT("550 5.7.1: a\r\n"), 550, 1, { 0, 0, 0 }, "5.7.1: a" },
	{ STR_INIT("354 3.0.0 go\r\n"), 354, 1, { 0, 0, 0 }, "3.0.0 go" },
	{ STR_INIT("550 a\0b\x01"
		   "c\td\x7f\r\n"),
	    550, 1, { 0, 0, 0 }, "a?b?c d?" },
	{ STR_INIT("550 a\rb\r\n"), 550, 1, { 0, 0, 0 }, "a?b" },
	{ STR_INIT("550 \xd3\xca\xbc\xfe\r\n"), 550, 1, { 0, 0, 0 }, "\xd3\xca\xbc\xfe" },
};

static void
whole_replies_are_taken_and_every_shorter_part_asks_for_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		AUTO(arena_done) struct arena a = { 0 };
		struct smtp_reply r;
		const char *why;
		size_t used;
		for (size_t n = 0; n < good[i].in.n; n++) {
			assert_int_equal(
			    parse(&a, str_sub(good[i].in, 0, n), &r, &used, &why), PARSE_MORE);
			assert_int_equal(used, 99999);
		}
		assert_int_equal(a.total, 0);
		assert_int_equal(parse(&a, good[i].in, &r, &used, &why), PARSE_ONE);
		assert_int_equal(used, good[i].in.n);
		assert_int_equal(r.code, good[i].code);
		assert_int_equal(r.lines, good[i].lines);
		assert_memory_equal(&r.enhanced, &good[i].e, sizeof(r.enhanced));
		CHECK_STR(r.text, good[i].text);
	}
}

static void
bytes_behind_a_reply_are_left_for_the_next(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	struct str in = STR("250 one\r\n550 two\r\n354");
	struct smtp_reply r;
	const char *why;
	size_t used;

	assert_int_equal(parse(&a, in, &r, &used, &why), PARSE_ONE);
	assert_int_equal(used, 9);
	in = str_skip(in, used);
	assert_int_equal(parse(&a, in, &r, &used, &why), PARSE_ONE);
	assert_int_equal(r.code, 550);
	CHECK_STR(r.text, "two");
	assert_int_equal(parse(&a, str_skip(in, used), &r, &used, &why), PARSE_MORE);
}

static const struct {
	struct str in;
	size_t at;
	const char *why;
} broken[] = {
	{ STR_INIT("\r\n"), 0, "line begins with no reply code" },
	{ STR_INIT("25\r\n"), 0, "line begins with no reply code" },
	{ STR_INIT("SSH-2.0"), 0, "line begins with no reply code" },
	{ STR_INIT("\x16\x03"), 0, "line begins with no reply code" },
	{ STR_INIT("2x"), 0, "line begins with no reply code" },
	{ STR_INIT("1"), 0, "reply code out of range" },
	{ STR_INIT("600 a\r\n"), 0, "reply code out of range" },
	{ STR_INIT("2500"), 0, "reply code of more than three digits" },
	{ STR_INIT("250-a\r\n251 b\r\n"), 7, "reply code differs between lines" },
	{ STR_INIT("250-a\r\nb\r\n"), 7, "line begins with no reply code" },
	{ STR_INIT("250-a\r\n\r\n"), 7, "line begins with no reply code" },
};

static void
what_is_no_reply_is_broken_at_the_line_that_shows_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(broken); i++) {
		AUTO(arena_done) struct arena a = { 0 };
		struct smtp_reply r;
		const char *why;
		size_t used;
		assert_int_equal(parse(&a, broken[i].in, &r, &used, &why), PARSE_BROKEN);
		assert_string_equal(why, broken[i].why);
		assert_int_equal(used, broken[i].at);
	}
}

static void
fill(struct buf *b, const char *head, size_t n, const char *tail)
{
	buf_add(b, str_from(head));
	while (n-- != 0)
		buf_add_byte(b, 'x');
	buf_add(b, str_from(tail));
}

static void
limits_hold_to_the_byte(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_reply r;
	const char *why;
	size_t used;

	buf_init(&b, 1 << 20);
	fill(&b, "250 ", SMTP_REPLY_LINE_MAX - 6, "\r\n");
	assert_int_equal(parse(&a, buf_str(&b), &r, &used, &why), PARSE_ONE);
	buf_clear(&b);
	fill(&b, "250 ", SMTP_REPLY_LINE_MAX - 5, "\r\n");
	assert_int_equal(parse(&a, buf_str(&b), &r, &used, &why), PARSE_BROKEN);
	assert_string_equal(why, "reply line too long");
	assert_int_equal(parse(&a, str_sub(buf_str(&b), 0, 4095), &r, &used, &why), PARSE_MORE);
	assert_int_equal(parse(&a, str_sub(buf_str(&b), 0, 4096), &r, &used, &why), PARSE_BROKEN);

	buf_clear(&b);
	for (size_t i = 0; i < SMTP_REPLY_LINES_MAX - 1; i++)
		fill(&b, "250-", 0, "\r\n");
	size_t len = buf_len(&b);
	fill(&b, "250 ", 0, "\r\n");
	assert_int_equal(parse(&a, buf_str(&b), &r, &used, &why), PARSE_ONE);
	assert_int_equal(r.lines, SMTP_REPLY_LINES_MAX);
	buf_truncate(&b, len);
	fill(&b, "250-", 0, "\r\n250 a\r\n");
	assert_int_equal(parse(&a, buf_str(&b), &r, &used, &why), PARSE_BROKEN);
	assert_string_equal(why, "too many reply lines");

	buf_clear(&b);
	for (size_t i = 0; i < 16; i++)
		fill(&b, "250-", 1018, "\r\n");
	assert_int_equal(buf_len(&b), SMTP_REPLY_TOTAL_MAX);
	assert_int_equal(parse(&a, buf_str(&b), &r, &used, &why), PARSE_BROKEN);
	assert_string_equal(why, "reply too long");
}

static void
check_format(uint16_t code, struct smtp_enhanced e, struct str text, const char *want)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 65536);
	smtp_reply_format(&b, code, e, text);
	CHECK_STR(buf_str(&b), want);
}

static void
a_formatted_reply_cannot_be_injected_into(void **state)
{
	(void)state;
	struct smtp_enhanced none = SMTP_ENHANCED_NONE;

	check_format(250, none, STR("OK"), "250 OK\r\n");
	check_format(250, none, STR(""), "250 \r\n");
	check_format(
	    550, SMTP_ENHANCED(5, 1, 1), STR("No such user"), "550 5.1.1 No such user\r\n");
	check_format(250, none, STR("a\nb\r\nc\rd\n"), "250-a\r\n250-b\r\n250-c\r\n250 d\r\n");
	check_format(
	    550, SMTP_ENHANCED(5, 7, 1), STR("a\r\n250 OK"), "550-5.7.1 a\r\n550 5.7.1 250 OK\r\n");
	check_format(250, none, STR("a\n\nb"), "250-a\r\n250-\r\n250 b\r\n");
	check_format(250, none, STR("a\0b\x7f\tc"), "250 a?b? c\r\n");
}

static void
long_lines_are_split_within_512_octets_and_outside_characters(void **state)
{
	(void)state;
	static const char *const fills[] = { "x", "word ", "\xe9\x82\xae", "\xf0\x9f\x93\xae",
		"\x80" };

	for (size_t i = 0; i < COUNT_OF(fills); i++) {
		AUTO(arena_done) struct arena a = { 0 };
		AUTO(buf_done) struct buf text = { 0 }, b = { 0 };
		struct smtp_reply r;
		const char *why;
		size_t used;
		buf_init(&text, 65536);
		buf_init(&b, 65536);
		while (buf_len(&text) < 3000)
			buf_add(&text, str_from(fills[i]));
		smtp_reply_format(&b, 554, SMTP_ENHANCED(5, 7, 1), buf_str(&text));
		struct str rest = buf_str(&b), line;
		while (rest.n != 0 && str_cut(&rest, '\n', &line)) {
			assert_true(line.n + 1 <= 512);
			assert_true(rest.n == 0 || line.n > 250);
			if (i == 2 || i == 3)
				assert_int_equal((line.n - 11) % strlen(fills[i]), 0);
		}
		assert_int_equal(parse(&a, buf_str(&b), &r, &used, &why), PARSE_ONE);
		assert_int_equal(used, buf_len(&b));
		assert_int_equal(r.enhanced.detail, 1);
	}
}

static void
predicates_go_by_the_first_digit(void **state)
{
	(void)state;
	struct smtp_reply r = { .code = 250 };

	assert_true(smtp_reply_is_2xx(&r) && !smtp_reply_is_3xx(&r));
	r.code = 354;
	assert_true(smtp_reply_is_3xx(&r) && !smtp_reply_is_2xx(&r));
	r.code = 451;
	assert_true(smtp_reply_is_4xx(&r) && !smtp_reply_is_5xx(&r));
	r.code = 550;
	assert_true(smtp_reply_is_5xx(&r) && !smtp_reply_is_4xx(&r));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_replies_are_taken_and_every_shorter_part_asks_for_more),
		cmocka_unit_test(bytes_behind_a_reply_are_left_for_the_next),
		cmocka_unit_test(what_is_no_reply_is_broken_at_the_line_that_shows_it),
		cmocka_unit_test(limits_hold_to_the_byte),
		cmocka_unit_test(a_formatted_reply_cannot_be_injected_into),
		cmocka_unit_test(long_lines_are_split_within_512_octets_and_outside_characters),
		cmocka_unit_test(predicates_go_by_the_first_digit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
