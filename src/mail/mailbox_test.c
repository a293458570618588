#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "mail/mailbox.h"

/* The list as "display|address|span;..." */
static void
check_list(struct str value, const char *want)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_mailbox_list list;
	const char *why = "";

	buf_init(&b, 4096);
	if (mail_mailbox_parse(value, &a, &list, &why) != RC_OK)
		fail_msg("%.*s: %s", STR_ARG(value), why);
	for (size_t i = 0; i < list.n; i++) {
		buf_addf(&b, "%.*s|", STR_ARG(list.v[i].display));
		mail_addr_format(&b, &list.v[i].addr);
		buf_addf(&b, "|%.*s;", STR_ARG(list.v[i].span));
	}
	assert_string_equal(buf_cstr(&b), want);
}

static void
mailboxes_are_found_in_every_dress(void **state)
{
	(void)state;
	check_list(STR(" a@x"), "|a@x|a@x;");
	check_list(STR(" Ann Lee <a@X>"), "Ann Lee|a@x|a@X;");
	check_list(STR("\"Lee, Ann\" <a@x>, b@y"), "Lee, Ann|a@x|a@x;|b@y|b@y;");
	check_list(STR("\"a \\\"q\\\"\"\r\n <a@x>"), "a \"q\"|a@x|a@x;");
	check_list(STR("a@x (Ann, Lee)"), "|a@x|a@x;");
	check_list(STR("(c1) a . b (c(2)) @ x . org"), "|a.b@x.org|a . b (c(2)) @ x . org;");
	check_list(STR("<@r1,@r2:a@x>"), "|a@x|a@x;");
	check_list(STR("team: a@x, B <b@y>;, c@z"), "|a@x|a@x;B|b@y|b@y;|c@z|c@z;");
	check_list(STR("undisclosed-recipients:;"), "");
	check_list(STR(""), "");
	check_list(STR(",a@x,,"), "|a@x|a@x;");
	check_list(STR("\"a b\"@x"), "|\"a b\"@x|\"a b\"@x;");
	check_list(STR("a@[IPv6:::1]"), "|a@[ipv6:::1]|a@[IPv6:::1];");
	check_list(STR("=?utf-8?q?M=C3=BC?= <a@x>"), "=?utf-8?q?M=C3=BC?=|a@x|a@x;");
	check_list(STR("M\xc3\xbc <\xc3\xbc@x>"), "M\xc3\xbc|\xc3\xbc@x|\xc3\xbc@x;");
	check_list(STR("a.b. c <a@x>"), "a.b. c|a@x|a@x;");
}

static void
what_holds_no_address_is_refused(void **state)
{
	static const struct str rows[] = {
		STR_INIT("Ann"),
		STR_INIT("Ann Lee a@x"),
		STR_INIT("a@x b@y"),
		STR_INIT("<a@x"),
		STR_INIT("\"a@x"),
		STR_INIT("(a@x"),
		STR_INIT("Ann <>"),
		STR_INIT("a@[1.2.3.4"),
		STR_INIT("<a@x> (c"),
		STR_INIT("\\"),
		STR_INIT("<\"a>"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AUTO(arena_done) struct arena a = { 0 };
		struct mail_mailbox_list list = { NULL, 77 };
		const char *why = NULL;
		if (mail_mailbox_parse(rows[i], &a, &list, &why) != RC_INVALID)
			fail_msg("row %zu was accepted", i);
		assert_non_null(why);
		assert_int_equal(list.n, 77);
	}
}

static void
more_mailboxes_than_the_limit_are_not_read(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_mailbox_list list;
	const char *why = NULL;

	(void)state;
	buf_init(&b, 100000);
	for (int i = 0; i < MAIL_MAILBOX_MAX; i++)
		buf_add(&b, STR("a@x,"));
	assert_int_equal(mail_mailbox_parse(buf_str(&b), &a, &list, &why), RC_OK);
	assert_int_equal(list.n, MAIL_MAILBOX_MAX);
	buf_add(&b, STR("a@x"));
	assert_int_equal(mail_mailbox_parse(buf_str(&b), &a, &list, &why), RC_LIMIT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailboxes_are_found_in_every_dress),
		cmocka_unit_test(what_holds_no_address_is_refused),
		cmocka_unit_test(more_mailboxes_than_the_limit_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
