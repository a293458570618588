#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "mail/header.h"

#define ASSERT_STR(got, want) assert_true(str_eq((got), STR(want)))

static void
fields_come_out_in_order_with_their_folds(void **state)
{
	struct str content =
	    STR("From: a@x\r\nSubject: one\r\n two\r\n\tthree\r\nX :\r\n\r\nFrom: body\r\n");
	struct mail_header_iter it = mail_header_start(content);
	struct mail_field f;

	(void)state;
	assert_true(mail_header_next(&it, &f));
	ASSERT_STR(f.name, "From");
	ASSERT_STR(f.value, " a@x");
	ASSERT_STR(f.raw, "From: a@x\r\n");
	assert_true(mail_header_next(&it, &f));
	ASSERT_STR(f.value, " one\r\n two\r\n\tthree");
	assert_true(mail_header_next(&it, &f));
	ASSERT_STR(f.name, "X");
	ASSERT_STR(f.value, "");
	assert_false(mail_header_next(&it, &f));
	ASSERT_STR(it.rest, "\r\nFrom: body\r\n");
}

static void
the_header_ends_at_an_empty_line_or_before_the_first_line_that_is_no_field(void **state)
{
	static const struct {
		struct str content, header, body;
		bool separated;
	} rows[] = {
		{ STR_INIT("A: 1\r\n\r\nb"), STR_INIT("A: 1\r\n"), STR_INIT("b"), true },
		{ STR_INIT("A: 1\n\nb"), STR_INIT("A: 1\n"), STR_INIT("b"), true },
		{ STR_INIT("A: 1\r\n"), STR_INIT("A: 1\r\n"), STR_INIT(""), false },
		{ STR_INIT("A: 1"), STR_INIT("A: 1"), STR_INIT(""), false },
		{ STR_INIT("\r\nb"), STR_INIT(""), STR_INIT("b"), true },
		{ STR_INIT(""), STR_INIT(""), STR_INIT(""), false },
		{ STR_INIT("A: 1\r\nno field\r\n"), STR_INIT("A: 1\r\n"), STR_INIT("no field\r\n"),
		    false },
		{ STR_INIT(" x\r\nA: 1\r\n"), STR_INIT(""), STR_INIT(" x\r\nA: 1\r\n"), false },
		{ STR_INIT("A: 1\r\n \r\nB: 2\r\n\r\nb"), STR_INIT("A: 1\r\n \r\nB: 2\r\n"),
		    STR_INIT("b"), true },
		{ STR_INIT(": x\r\n\r\n"), STR_INIT(""), STR_INIT(": x\r\n\r\n"), false },
		{ STR_INIT("From a 1 Jan\nA: 1\n\nb"), STR_INIT("From a 1 Jan\nA: 1\n"),
		    STR_INIT("b"), true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct str header, body;
		assert_int_equal(
		    mail_header_split(rows[i].content, &header, &body), rows[i].separated);
		assert_true(str_eq(header, rows[i].header));
		assert_true(str_eq(body, rows[i].body));
	}
}

static void
lookup_ignores_case_and_the_body(void **state)
{
	struct str content = STR("To: a\r\nBCC: b\r\nBcc: c\r\n\r\nBcc: d\r\n");
	struct mail_field f;

	(void)state;
	assert_true(mail_header_find(content, STR("bcc"), &f));
	ASSERT_STR(f.value, " b");
	assert_int_equal(mail_header_count(content, STR("Bcc")), 2);
	assert_false(mail_header_find(content, STR("Cc"), &f));
	assert_int_equal(mail_header_count(content, STR("Bc")), 0);
}

static void
unfolding_drops_line_ends_and_keeps_the_space(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	buf_init(&b, 100);
	mail_header_unfold(&b, STR(" one\r\n two\n\tthree \r\n"));
	assert_string_equal(buf_cstr(&b), "one two\tthree");
	ASSERT_STR(mail_header_unfolded(&a, STR(" one\r\n two\n\tthree ")), "one two\tthree");
	ASSERT_STR(mail_header_unfolded(&a, STR(" plain ")), "plain");
	ASSERT_STR(mail_header_unfolded(&a, STR("")), "");
}

static void
a_header_value_cannot_hold_a_line_end(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct header_value v = { STR("before") };

	(void)state;
	assert_int_equal(header_value_parse(STR("a\r\nBcc: b"), &v), RC_INVALID);
	assert_int_equal(header_value_parse(STR("a\nb"), &v), RC_INVALID);
	assert_int_equal(header_value_parse(STR("a\0b"), &v), RC_INVALID);
	assert_int_equal(header_value_parse(STR("a\x7f"), &v), RC_INVALID);
	ASSERT_STR(v.s, "before");
	assert_int_equal(header_value_parse(STR("a\tb \xc3\xbc"), &v), RC_OK);
	ASSERT_STR(v.s, "a\tb \xc3\xbc");
	ASSERT_STR(header_value_clean(&a, STR("a\r\n\0Bcc: b\r\n")).s, "a Bcc: b ");
}

static void
a_message_id_is_what_stands_in_the_brackets(void **state)
{
	struct str id = STR("before");

	(void)state;
	assert_true(mail_header_message_id(STR(" <1.a@x>"), &id));
	ASSERT_STR(id, "1.a@x");
	assert_true(mail_header_message_id(STR("\r\n\t<2@x> (c)\r\n"), &id));
	ASSERT_STR(id, "2@x");
	assert_true(mail_header_message_id(STR(" bare@x "), &id));
	ASSERT_STR(id, "bare@x");
	assert_false(mail_header_message_id(STR(" <a@x"), &id));
	assert_false(mail_header_message_id(STR(" <a b@x>"), &id));
	assert_false(mail_header_message_id(STR(" <>"), &id));
	assert_false(mail_header_message_id(STR(""), &id));
	assert_false(mail_header_message_id(STR("a>b"), &id));
	ASSERT_STR(id, "bare@x");
}

static void
field_names_are_printable_without_colon(void **state)
{
	(void)state;
	assert_true(mail_header_name_is_valid(STR("X-Tag")));
	assert_false(mail_header_name_is_valid(STR("")));
	assert_false(mail_header_name_is_valid(STR("X:")));
	assert_false(mail_header_name_is_valid(STR("X Y")));
	assert_false(mail_header_name_is_valid(STR("X\r\nY")));
	assert_false(mail_header_name_is_valid(STR("X\xc3\xbc")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_out_in_order_with_their_folds),
		cmocka_unit_test(
		    the_header_ends_at_an_empty_line_or_before_the_first_line_that_is_no_field),
		cmocka_unit_test(lookup_ignores_case_and_the_body),
		cmocka_unit_test(unfolding_drops_line_ends_and_keeps_the_space),
		cmocka_unit_test(a_header_value_cannot_hold_a_line_end),
		cmocka_unit_test(a_message_id_is_what_stands_in_the_brackets),
		cmocka_unit_test(field_names_are_printable_without_colon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
