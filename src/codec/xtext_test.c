#include "codec/xtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
	struct str plain, coded;
	bool only_read; /* not what we would write */
} good[] = {
	{ STR_INIT(""), STR_INIT(""), false },
	{ STR_INIT("QQ314159"), STR_INIT("QQ314159"), false },
	{ STR_INIT("a+b=c d"), STR_INIT("a+2Bb+3Dc+20d"), false },
	{ STR_INIT("\r\n\0\xff"), STR_INIT("+0D+0A+00+FF"), false },
	{ STR_INIT("a<b>\"~!"), STR_INIT("a<b>\"~!"), false },
	{ STR_INIT("+"), STR_INIT("+2b"), true },
	{ STR_INIT("A"), STR_INIT("+41"), true },
};

static const struct str bad[] = {
	STR_INIT("+"),
	STR_INIT("+2"),
	STR_INIT("+2G"),
	STR_INIT("a b"),
	STR_INIT("a=b"),
	STR_INIT("\x7f"),
	STR_INIT("\xe9"),
	STR_INIT("a\r\n"),
	STR_INIT("a\0"),
};

static void
any_bytes_survive_as_xtext(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct str got;
		assert_true(xtext_decode(&a, good[i].coded, &got));
		assert_true(str_eq(got, good[i].plain));
		buf_clear(&b);
		xtext_encode(&b, good[i].plain);
		assert_int_equal(str_eq(buf_str(&b), good[i].coded), !good[i].only_read);
	}
}

static void
what_is_no_xtext_is_refused(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	struct str got;

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(xtext_decode(&a, bad[i], &got));
}

static void
utf8_addresses_survive_in_ascii(void **state)
{
	(void)state;
	static const struct {
		struct str plain, coded;
	} pairs[] = {
		{ STR_INIT("a@b.example"), STR_INIT("a@b.example") },
		{ STR_INIT("\xe9\x82\xae@b"), STR_INIT("\\x{90AE}@b") },
		{ STR_INIT("\xf0\x9f\x93\xae"), STR_INIT("\\x{1F4EE}") },
		{ STR_INIT("a+b\\ \x01"), STR_INIT("a\\x{2B}b\\x{5C}\\x{20}\\x{01}") },
	};
	static const struct str wrong[] = {
		STR_INIT("\\"),
		STR_INIT("\\x{}"),
		STR_INIT("\\x{4}"),
		STR_INIT("\\x{D800}"),
		STR_INIT("\\x{110000}"),
		STR_INIT("\\x{0000041}"),
		STR_INIT("\\x{41"),
		STR_INIT("a b"),
		STR_INIT("a=b"),
		STR_INIT("\xe9"),
		STR_INIT("+E9"),
		STR_INIT("+4"),
	};
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct str got;

	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		buf_clear(&b);
		xtext_encode_utf8(&b, pairs[i].plain);
		assert_true(str_eq(buf_str(&b), pairs[i].coded));
		assert_true(xtext_decode_utf8(&a, pairs[i].coded, &got));
		assert_true(str_eq(got, pairs[i].plain));
	}
	assert_true(xtext_decode_utf8(&a, STR("\xe9\x82\xae+2Bb"), &got));
	assert_true(str_eq(got, STR("\xe9\x82\xae+b")));
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		assert_false(xtext_decode_utf8(&a, wrong[i], &got));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_bytes_survive_as_xtext),
		cmocka_unit_test(what_is_no_xtext_is_refused),
		cmocka_unit_test(utf8_addresses_survive_in_ascii),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
