/* Messages from pipes, and the places of the service. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cli/place.h"
#include "cli/raw.h"

static struct arena arena;
static struct buf out;

static int
set_up(void **state)
{
	(void)state;
	buf_init(&out, 10000);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_done(&out);
	arena_done(&arena);
	return 0;
}

static const char *
normalised(const char *in, unsigned flags)
{
	buf_clear(&out);
	cli_raw_normalise(&out, str_from(in), flags);
	return buf_cstr(&out);
}

static void
ends_every_line_with_crlf(void **state)
{
	(void)state;
	assert_string_equal(normalised("a\nb\r\nc\rd", 0), "a\r\nb\r\nc\r\nd\r\n");
	assert_string_equal(normalised("\n\n", 0), "\r\n\r\n");
	assert_string_equal(normalised("", 0), "");
}

static void
ends_at_a_lone_dot_only_where_asked(void **state)
{
	(void)state;
	assert_string_equal(normalised("a\n.\nb\n", CLI_RAW_DOT_ENDS), "a\r\n");
	assert_string_equal(normalised("a\n.\nb\n", 0), "a\r\n.\r\nb\r\n");
	assert_string_equal(normalised("..\n.x\n", CLI_RAW_DOT_ENDS), "..\r\n.x\r\n");
}

static void
leaves_out_nuls_where_asked(void **state)
{
	(void)state;
	cli_raw_normalise(&out, STR("a\0b\n"), CLI_RAW_NO_NULS);
	assert_true(str_eq(buf_str(&out), STR("ab\r\n")));
	buf_clear(&out);
	cli_raw_normalise(&out, STR("a\0b\n"), 0);
	assert_true(str_eq(buf_str(&out), STR("a\0b\r\n")));
}

static const char *
completed(const char *in)
{
	buf_clear(&out);
	cli_raw_complete(&out, str_from(in), STR("me@a.example"));
	return buf_cstr(&out);
}

static void
adds_from_and_the_empty_line_where_they_are_missing(void **state)
{
	(void)state;
	assert_string_equal(completed("To: x@y\r\n\r\nhello\r\n"),
	    "From: me@a.example\r\nTo: x@y\r\n\r\nhello\r\n");
	assert_string_equal(completed("From: you@b.example\r\n\r\nhello\r\n"),
	    "From: you@b.example\r\n\r\nhello\r\n");
	assert_string_equal(completed("hello\r\n"), "From: me@a.example\r\n\r\nhello\r\n");
	assert_string_equal(completed(""), "From: me@a.example\r\n\r\n");
	assert_string_equal(
	    completed("Subject: s\r\n"), "From: me@a.example\r\nSubject: s\r\n\r\n");
}

static void
drops_the_separator_of_a_mailbox_file(void **state)
{
	(void)state;
	assert_string_equal(completed("From a Mon Nov 23 08:50:03 2026\r\nTo: x@y\r\n\r\nhi\r\n"),
	    "From: me@a.example\r\nTo: x@y\r\n\r\nhi\r\n");
}

static void
takes_recipients_from_to_cc_and_bcc_once_each(void **state)
{
	struct cli_raw_list list = { 0 };
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(cli_raw_recipients(
			     STR("To: \"A, B\" <a@x.example>,\r\n c@x.example\r\n"
				 "Cc: c@x.example\r\nBcc: d@x.example\r\n\r\nTo: no@x.example\r\n"),
			     &arena, &list, STR("h.example"), &f),
	    RC_OK);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.v[0].p, "a@x.example");
	assert_string_equal(list.v[1].p, "c@x.example");
	assert_string_equal(list.v[2].p, "d@x.example");
}

static void
takes_resent_fields_instead_where_there_are_any(void **state)
{
	struct cli_raw_list list = { 0 };
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(
	    cli_raw_recipients(STR("Resent-To: a@x.example\r\nTo: b@x.example\r\n\r\n"), &arena,
		&list, STR(""), &f),
	    RC_OK);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.v[0].p, "a@x.example");
}

static void
gives_local_names_a_domain(void **state)
{
	struct cli_raw_list list = { 0 };
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(cli_raw_recipients(STR("To: root, Bob <bob@x.example>\r\n\r\n"), &arena,
			     &list, STR("h.example"), &f),
	    RC_OK);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.v[0].p, "root@h.example");
	assert_string_equal(list.v[1].p, "bob@x.example");
}

static void
says_which_field_cannot_be_read(void **state)
{
	struct cli_raw_list list = { 0 };
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(
	    cli_raw_recipients(STR("To: <<a@>\r\n\r\n"), &arena, &list, STR("h.example"), &f),
	    RC_INVALID);
	assert_non_null(strstr(f.text, "To field"));
	assert_int_equal(list.n, 0);
}

static void
finds_the_sender_of_a_message(void **state)
{
	(void)state;
	assert_string_equal(
	    cli_raw_sender(
		STR("From: a@x.example, b@x.example\r\nSender: b@x.example\r\n\r\n"), &arena)
		.p,
	    "b@x.example");
	assert_string_equal(
	    cli_raw_sender(STR("From: A <a@x.example>\r\n\r\n"), &arena).p, "a@x.example");
	assert_null(cli_raw_sender(STR("To: a@x.example\r\n\r\n"), &arena).p);
}

static void
finds_a_setting_and_passes_comments(void **state)
{
	struct str text =
	    STR("# data = /no\n\ndata=/one # why\n smtp = 127.0.0.1:25, [::1]:25\ndata = /two\n");

	(void)state;
	assert_true(str_eq(cli_place_find(text, STR("data")), STR("/two")));
	assert_true(str_eq(cli_place_find(text, STR("smtp")), STR("127.0.0.1:25, [::1]:25")));
	assert_int_equal(cli_place_find(text, STR("http")).n, 0);
}

static void
connects_to_loopback_where_the_service_listens_everywhere(void **state)
{
	(void)state;
	assert_string_equal(cli_place_reachable(&arena, STR("0.0.0.0:25")).p, "127.0.0.1:25");
	assert_string_equal(cli_place_reachable(&arena, STR("[::]:25")).p, "[::1]:25");
	assert_string_equal(cli_place_reachable(&arena, STR("10.0.0.1:25")).p, "10.0.0.1:25");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(ends_every_line_with_crlf),
		TEST(ends_at_a_lone_dot_only_where_asked),
		TEST(leaves_out_nuls_where_asked),
		TEST(adds_from_and_the_empty_line_where_they_are_missing),
		TEST(drops_the_separator_of_a_mailbox_file),
		TEST(takes_recipients_from_to_cc_and_bcc_once_each),
		TEST(takes_resent_fields_instead_where_there_are_any),
		TEST(gives_local_names_a_domain),
		TEST(says_which_field_cannot_be_read),
		TEST(finds_the_sender_of_a_message),
		TEST(finds_a_setting_and_passes_comments),
		TEST(connects_to_loopback_where_the_service_listens_everywhere),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
