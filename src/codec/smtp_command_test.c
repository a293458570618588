#include "codec/smtp_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CHECK_STR(s, want)                                                                         \
	do {                                                                                       \
		struct str check_ = (s), want_ = (want);                                           \
		assert_int_equal(check_.n, want_.n);                                               \
		assert_memory_equal(check_.n != 0 ? check_.p : "", want_.p, want_.n);              \
	} while (0)

#define ALL UINT32_MAX

static void
verbs_are_found_in_any_case_with_what_follows_them(void **state)
{
	(void)state;
	static const struct {
		struct str line;
		enum smtp_verb verb;
		struct str args;
	} rows[] = {
		{ STR_INIT("EHLO mail.example"), SMTP_VERB_EHLO, STR_INIT("mail.example") },
		{ STR_INIT("ehlo \t mail.example  "), SMTP_VERB_EHLO, STR_INIT("mail.example") },
		{ STR_INIT("Mail From:<a@b>"), SMTP_VERB_MAIL, STR_INIT("From:<a@b>") },
		{ STR_INIT("DATA"), SMTP_VERB_DATA, STR_INIT("") },
		{ STR_INIT("DATA  "), SMTP_VERB_DATA, STR_INIT("") },
		{ STR_INIT("NOOP what ever"), SMTP_VERB_NOOP, STR_INIT("what ever") },
		{ STR_INIT("STARTTLS"), SMTP_VERB_STARTTLS, STR_INIT("") },
		{ STR_INIT("GET / HTTP/1.1"), SMTP_VERB_UNKNOWN, STR_INIT("/ HTTP/1.1") },
		{ STR_INIT("DATAX"), SMTP_VERB_UNKNOWN, STR_INIT("") },
		{ STR_INIT("?"), SMTP_VERB_UNKNOWN, STR_INIT("") },
		{ STR_INIT(""), SMTP_VERB_UNKNOWN, STR_INIT("") },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct smtp_command c;
		struct smtp_refusal refusal;
		assert_true(smtp_command_parse(rows[i].line, &c, &refusal));
		assert_int_equal(c.verb, rows[i].verb);
		CHECK_STR(c.args, rows[i].args);
	}
	for (unsigned v = 0; v < SMTP_VERB_UNKNOWN; v++)
		assert_true(strlen(smtp_command_name((enum smtp_verb)v)) >= 4);
}

static void
lines_a_verb_cannot_have_are_refused(void **state)
{
	(void)state;
	static const struct {
		struct str line;
		uint16_t code;
	} rows[] = {
		{ STR_INIT("DATA now"), 501 },
		{ STR_INIT("QUIT x"), 501 },
		{ STR_INIT("EHLO"), 501 },
		{ STR_INIT("MAIL"), 501 },
		{ STR_INIT("NOOP a\0b"), 500 },
		{ STR_INIT("EHLO a\rb"), 500 },
		{ STR_INIT("\x16\x03\x01"), 500 },
		{ STR_INIT("NOOP a\x7f"), 500 },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct smtp_command c;
		struct smtp_refusal refusal;
		assert_false(smtp_command_parse(rows[i].line, &c, &refusal));
		assert_int_equal(refusal.code, rows[i].code);
	}
}

static void
a_path_ends_at_the_bracket_outside_quotes(void **state)
{
	(void)state;
	static const struct {
		struct str args, path;
	} rows[] = {
		{ STR_INIT("FROM:<a@b.example>"), STR_INIT("a@b.example") },
		{ STR_INIT("from:   <a@b.example>"), STR_INIT("a@b.example") },
		{ STR_INIT("FROM:<>"), STR_INIT("") },
		{ STR_INIT("FROM:<@a.example,@b.example:c@d.example>"), STR_INIT("c@d.example") },
		{ STR_INIT("FROM:<@[IPv6:::1]:c@d>"), STR_INIT("c@d") },
		{ STR_INIT("FROM:<\"a>b <c\"@d.example> SIZE=1"),
		    STR_INIT("\"a>b <c\"@d.example") },
		{ STR_INIT("FROM:<\"a\\\">\"@d.example>\tSIZE=1"),
		    STR_INIT("\"a\\\">\"@d.example") },
		{ STR_INIT("FROM:<\xe9\x82\xae@d.example>"), STR_INIT("\xe9\x82\xae@d.example") },
	};
	AUTO(arena_done) struct arena a = { 0 };

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct smtp_mail m;
		struct smtp_refusal refusal;
		assert_true(smtp_command_parse_mail(rows[i].args, ALL, &a, &m, &refusal));
		CHECK_STR(m.path, rows[i].path);
	}
}

static void
a_path_that_is_none_is_refused_with_the_reason(void **state)
{
	(void)state;
	static const struct {
		struct str args;
		const char *why;
	} rows[] = {
		{ STR_INIT("<a@b>"), "RCPT needs TO:<address>" },
		{ STR_INIT("FROM:<a@b>"), "RCPT needs TO:<address>" },
		{ STR_INIT("TO <a@b>"), "RCPT needs TO:<address>" },
		{ STR_INIT("TO:"), "address must stand in angle brackets" },
		{ STR_INIT("TO:a@b"), "address must stand in angle brackets" },
		{ STR_INIT("TO:\"x\"<a@b>"), "address must stand in angle brackets" },
		{ STR_INIT("TO:<a@b"), "angle bracket is not closed" },
		{ STR_INIT("TO:<\"a@b>"), "quote in address is not closed" },
		{ STR_INIT("TO:<\"a\\\"@b>"), "quote in address is not closed" },
		{ STR_INIT("TO:<\"a\\"), "quote in address is not closed" },
		{ STR_INIT("TO:<<a@b>>"), "second angle bracket in address" },
		{ STR_INIT("TO:<a@b>NOTIFY=NEVER"), "no blank behind the address" },
		{ STR_INIT("TO:<a@b>>"), "no blank behind the address" },
		{ STR_INIT("TO:<\"a\\\tb\"@c>"), "tab in address" },
		{ STR_INIT("TO:<@a,@b>"), "source route without an address behind it" },
		{ STR_INIT("TO:<a@b\r\nRSET>"), "control character in command" },
	};
	AUTO(arena_done) struct arena a = { 0 };

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct smtp_rcpt r;
		struct smtp_refusal refusal;
		assert_false(smtp_command_parse_rcpt(rows[i].args, ALL, &a, &r, &refusal));
		assert_string_equal(refusal.why, rows[i].why);
		assert_int_equal(refusal.code, 501);
		assert_int_equal(refusal.enhanced.subject, 1);
	}
}

static void
bdat_tells_size_and_last(void **state)
{
	(void)state;
	static const struct str bad[] = { STR_INIT(""), STR_INIT("x"), STR_INIT("-1"),
		STR_INIT("1 LAST 2"), STR_INIT("1 FIRST"), STR_INIT("18446744073709551616"),
		STR_INIT("LAST") };
	struct smtp_bdat d;
	struct smtp_refusal refusal;

	assert_true(smtp_command_parse_bdat(STR("86"), &d, &refusal));
	assert_true(d.size == 86 && !d.last);
	assert_true(smtp_command_parse_bdat(STR("0 last"), &d, &refusal));
	assert_true(d.size == 0 && d.last);
	assert_true(smtp_command_parse_bdat(STR("18446744073709551615  LAST"), &d, &refusal));
	assert_true(d.size == UINT64_MAX && d.last);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(smtp_command_parse_bdat(bad[i], &d, &refusal));
}

static void
auth_tells_no_initial_response_from_an_empty_one(void **state)
{
	(void)state;
	struct smtp_auth h;
	struct smtp_refusal refusal;

	assert_true(smtp_command_parse_auth(STR("LOGIN"), &h, &refusal));
	assert_false(h.has_initial);
	CHECK_STR(h.mechanism, STR("LOGIN"));
	assert_true(smtp_command_parse_auth(STR("PLAIN  AGEAYg=="), &h, &refusal));
	assert_true(h.has_initial);
	CHECK_STR(h.initial, STR("AGEAYg=="));
	assert_true(smtp_command_parse_auth(STR("EXTERNAL ="), &h, &refusal));
	assert_true(h.has_initial);
	assert_int_equal(h.initial.n, 0);
	assert_false(smtp_command_parse_auth(STR("PLAIN a b"), &h, &refusal));
	assert_int_equal(refusal.what.n, 0);
	assert_false(smtp_command_parse_auth(STR("PL@IN"), &h, &refusal));
	assert_false(smtp_command_parse_auth(STR("ABCDEFGHIJKLMNOPQRSTU"), &h, &refusal));
}

static void
written_commands_are_read_back_the_same(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_mail_params mail = {
		.seen = ALL & ~SMTP_PARAM_BIT(HOLDFOR),
		.size = 12345,
		.body = SMTP_BODY_8BITMIME,
		.ret = SMTP_RET_HDRS,
		.envid = STR("a b=+"),
		.auth = STR("me@here.example"),
		.hold_until_s = 1792065845,
	};
	struct smtp_rcpt_params rcpt = {
		.seen = ALL,
		.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY,
		.orcpt_type = STR("rfc822"),
		.orcpt = STR("a+b=\"c d\"@e.example"),
	};
	struct smtp_command c;
	struct smtp_mail m;
	struct smtp_rcpt r;
	struct smtp_refusal refusal;

	buf_init(&b, 4096);
	smtp_command_mail(&b, STR("\"a> b\"@c.example"), &mail);
	CHECK_STR(buf_str(&b),
	    STR("MAIL FROM:<\"a> b\"@c.example> SIZE=12345 BODY=8BITMIME SMTPUTF8 RET=HDRS "
		"ENVID=a+20b+3D+2B AUTH=me@here.example HOLDUNTIL=2026-10-15T12:04:05Z\r\n"));
	assert_true(smtp_command_parse(str_sub(buf_str(&b), 0, buf_len(&b) - 2), &c, &refusal));
	assert_true(smtp_command_parse_mail(c.args, ALL, &a, &m, &refusal));
	CHECK_STR(m.path, STR("\"a> b\"@c.example"));
	CHECK_STR(m.params.envid, mail.envid);
	assert_int_equal(m.params.hold_until_s, mail.hold_until_s);

	buf_clear(&b);
	smtp_command_rcpt(&b, STR("d@e.example"), &rcpt);
	CHECK_STR(buf_str(&b),
	    STR("RCPT TO:<d@e.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb+3D\"c+20d\"@e.example\r\n"));
	assert_true(smtp_command_parse(str_sub(buf_str(&b), 0, buf_len(&b) - 2), &c, &refusal));
	assert_true(smtp_command_parse_rcpt(c.args, ALL, &a, &r, &refusal));
	CHECK_STR(r.params.orcpt, rcpt.orcpt);
	assert_int_equal(r.params.notify, rcpt.notify);

	buf_clear(&b);
	mail = (struct smtp_mail_params){ .seen = SMTP_PARAM_BIT(AUTH) };
	smtp_command_mail(&b, STR(""), &mail);
	smtp_command_bdat(&b, 7, true);
	smtp_command_add(&b, SMTP_VERB_EHLO, STR("here.example"));
	smtp_command_add(&b, SMTP_VERB_QUIT, STR(""));
	CHECK_STR(buf_str(&b),
	    STR("MAIL FROM:<> AUTH=<>\r\nBDAT 7 LAST\r\nEHLO here.example\r\nQUIT\r\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs_are_found_in_any_case_with_what_follows_them),
		cmocka_unit_test(lines_a_verb_cannot_have_are_refused),
		cmocka_unit_test(a_path_ends_at_the_bracket_outside_quotes),
		cmocka_unit_test(a_path_that_is_none_is_refused_with_the_reason),
		cmocka_unit_test(bdat_tells_size_and_last),
		cmocka_unit_test(auth_tells_no_initial_response_from_an_empty_one),
		cmocka_unit_test(written_commands_are_read_back_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
