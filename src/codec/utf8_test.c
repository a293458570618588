#include "codec/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	struct str in;
	size_t n;
	uint32_t cp;
} steps[] = {
	{ STR_INIT("a"), 1, 'a' },
	{ STR_INIT("\0"), 1, 0 },
	{ STR_INIT("\x7f"), 1, 0x7f },
	{ STR_INIT("\xc2\x80"), 2, 0x80 },
	{ STR_INIT("\xdf\xbf"), 2, 0x7ff },
	{ STR_INIT("\xe0\xa0\x80"), 3, 0x800 },
	{ STR_INIT("\xed\x9f\xbf"), 3, 0xd7ff },
	{ STR_INIT("\xee\x80\x80"), 3, 0xe000 },
	{ STR_INIT("\xef\xbf\xbf"), 3, 0xffff },
	{ STR_INIT("\xf0\x90\x80\x80"), 4, 0x10000 },
	{ STR_INIT("\xf4\x8f\xbf\xbf"), 4, 0x10ffff },
	{ STR_INIT("\xe9\x82\xae\xe4\xbb\xb6"), 3, 0x90ae },
	/* none */
	{ STR_INIT(""), 0, 0 },
	{ STR_INIT("\x80"), 0, 0 },
	{ STR_INIT("\xc0\x80"), 0, 0 },
	{ STR_INIT("\xc1\xbf"), 0, 0 },
	{ STR_INIT("\xe0\x9f\xbf"), 0, 0 },
	{ STR_INIT("\xed\xa0\x80"), 0, 0 },
	{ STR_INIT("\xed\xbf\xbf"), 0, 0 },
	{ STR_INIT("\xf0\x8f\xbf\xbf"), 0, 0 },
	{ STR_INIT("\xf4\x90\x80\x80"), 0, 0 },
	{ STR_INIT("\xf5\x80\x80\x80"), 0, 0 },
	{ STR_INIT("\xff"), 0, 0 },
	{ STR_INIT("\xc2"), 0, 0 },
	{ STR_INIT("\xe9\x82"), 0, 0 },
	{ STR_INIT("\xe9\x82z"), 0, 0 },
};

static void
a_step_takes_exactly_the_code_points_of_the_rfc(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		uint32_t cp = 0;
		assert_int_equal(utf8_step(steps[i].in, &cp), steps[i].n);
		assert_int_equal(cp, steps[i].cp);
	}
}

static void
every_code_point_survives_writing_and_reading(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 16);
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		uint32_t got;
		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		buf_clear(&b);
		utf8_add(&b, cp);
		assert_int_equal(utf8_step(buf_str(&b), &got), buf_len(&b));
		assert_int_equal(got, cp);
	}
}

static void
one_bad_byte_anywhere_makes_a_view_invalid(void **state)
{
	(void)state;
	char text[40];

	for (size_t at = 0; at < sizeof(text); at++) {
		memset(text, 'x', sizeof(text));
		assert_true(utf8_is_valid(str_make(text, sizeof(text))));
		text[at] = (char)0xc3;
		assert_false(utf8_is_valid(str_make(text, sizeof(text))));
		assert_false(utf8_is_ascii(str_make(text, sizeof(text))));
		assert_true(utf8_is_ascii(str_make(text, at)));
	}
	assert_true(utf8_is_valid(STR("")));
	assert_true(utf8_is_valid(STR("gr\xc3\xbc\xc3\x9f"
				      "e \xf0\x9f\x93\xae")));
}

static void
repair_replaces_bad_bytes_singly_and_keeps_the_rest(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 100);
	utf8_add_repaired(&b, STR("a\xff\xe9\x82\xae\xe9\x82z"));
	assert_true(str_eq(buf_str(&b), STR("a\xef\xbf\xbd\xe9\x82\xae\xef\xbf\xbd\xef\xbf\xbdz")));
}

static void
a_head_ends_between_code_points(void **state)
{
	(void)state;
	struct str s = STR("a\xf0\x9f\x93\xaez");

	assert_int_equal(utf8_head(s, 0).n, 0);
	assert_int_equal(utf8_head(s, 1).n, 1);
	for (size_t n = 1; n < 5; n++)
		assert_int_equal(utf8_head(s, n).n, 1);
	assert_int_equal(utf8_head(s, 5).n, 5);
	assert_int_equal(utf8_head(s, 99).n, 6);
	assert_int_equal(utf8_head(STR("\x80\x80\x80\x80\x80\x80\x80"), 5).n, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_takes_exactly_the_code_points_of_the_rfc),
		cmocka_unit_test(every_code_point_survives_writing_and_reading),
		cmocka_unit_test(one_bad_byte_anywhere_makes_a_view_invalid),
		cmocka_unit_test(repair_replaces_bad_bytes_singly_and_keeps_the_rest),
		cmocka_unit_test(a_head_ends_between_code_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
