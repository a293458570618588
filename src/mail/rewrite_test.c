#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "mail/rewrite.h"

static struct str
rewrite(struct arena *a, const char *content, const char *sender)
{
	struct mail_pieces p;
	const char *why = "";

	mail_pieces_init(&p, a);
	assert_int_equal(mail_rewrite_from(str_from(content), str_from(sender), &p, &why), RC_OK);
	return mail_pieces_str(&p);
}

static void
the_address_changes_and_the_old_one_becomes_reply_to(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };

	(void)state;
	struct str s =
	    rewrite(&a, "To: x@y.example\r\nFrom: \"Shop, the\" <old@a.example>\r\n\r\nHi\r\n",
		"new@b.example");
	assert_true(str_eq(s, STR("Reply-To: \"Shop, the\" <old@a.example>\r\nTo: x@y.example\r\n"
				  "From: \"Shop, the\" <new@b.example>\r\n\r\nHi\r\n")));
}

static void
a_reply_to_that_is_there_stays(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };

	(void)state;
	struct str s = rewrite(
	    &a, "From: old@a.example\r\nReply-To: me@c.example\r\n\r\nHi\r\n", "new@b.example");
	assert_true(str_eq(s, STR("From: new@b.example\r\nReply-To: me@c.example\r\n\r\nHi\r\n")));
}

static void
signed_or_unreadable_content_is_refused(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_pieces p;
	const char *why = NULL;

	(void)state;
	mail_pieces_init(&p, &a);
	assert_int_equal(mail_rewrite_from(STR("DKIM-Signature: v=1\r\nFrom: a@b.example\r\n\r\n"),
			     STR("c@d.example"), &p, &why),
	    RC_DENIED);
	assert_int_equal(mail_rewrite_from(STR("Subject: x\r\n\r\n"), STR("c@d.example"), &p, &why),
	    RC_NOT_FOUND);
	assert_non_null(why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_address_changes_and_the_old_one_becomes_reply_to),
		cmocka_unit_test(a_reply_to_that_is_there_stays),
		cmocka_unit_test(signed_or_unreadable_content_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
