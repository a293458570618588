#include "codec/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 4648 §10, and the two last characters of the alphabet. */
static const struct {
	struct str plain, coded;
} rows[] = {
	{ STR_INIT(""), STR_INIT("") },
	{ STR_INIT("f"), STR_INIT("Zg==") },
	{ STR_INIT("fo"), STR_INIT("Zm8=") },
	{ STR_INIT("foo"), STR_INIT("Zm9v") },
	{ STR_INIT("foob"), STR_INIT("Zm9vYg==") },
	{ STR_INIT("fooba"), STR_INIT("Zm9vYmE=") },
	{ STR_INIT("foobar"), STR_INIT("Zm9vYmFy") },
	{ STR_INIT("\0user\0secret"), STR_INIT("AHVzZXIAc2VjcmV0") },
	{ STR_INIT("\xfb\xff\xfe"), STR_INIT("+//+") },
};

static void
the_examples_of_the_rfc_hold_both_ways(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		buf_clear(&b);
		base64_encode(&b, rows[i].plain);
		assert_true(str_eq(buf_str(&b), rows[i].coded));
		assert_int_equal(base64_size(rows[i].plain.n), rows[i].coded.n);
		buf_clear(&b);
		assert_true(base64_decode(&b, rows[i].coded));
		assert_true(str_eq(buf_str(&b), rows[i].plain));
	}
}

static void
the_strict_reader_takes_nothing_else(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT("Zg"),
		STR_INIT("Zg="),
		STR_INIT("Zh=="),
		STR_INIT("Zm9="),
		STR_INIT("Zg==Zg=="),
		STR_INIT("===="),
		STR_INIT("Z==="),
		STR_INIT("Zm9v\r\n"),
		STR_INIT("Zm 9"),
		STR_INIT("Zm-_"),
		STR_INIT("=m9v"),
		STR_INIT("Zm=v"),
		STR_INIT("Zm9\xff"),
		STR_INIT("Zm9\0"),
	};
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1000);
	buf_add(&b, STR("kept"));
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(base64_decode(&b, bad[i]));
		assert_true(str_eq(buf_str(&b), STR("kept")));
	}
}

static void
lines_have_76_characters_and_read_back(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 }, out = { 0 };
	char bytes[300];

	buf_init(&b, 10000);
	buf_init(&out, 10000);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		buf_clear(&b);
		buf_clear(&out);
		base64_encode_lines(&b, str_make(bytes, n));
		struct str rest = buf_str(&b), line;
		while (rest.n != 0 && str_cut(&rest, '\n', &line)) {
			assert_true(rest.n != 0 ? line.n == 77 : line.n <= 77);
			assert_true(str_ends(line, STR("\r")));
		}
		assert_true(base64_decode_mime(&out, buf_str(&b)));
		assert_int_equal(buf_len(&out), n);
		assert_memory_equal(buf_cstr(&out), bytes, n);
	}
}

static void
the_mime_reader_saves_what_it_can_and_tells(void **state)
{
	(void)state;
	static const struct {
		struct str in, out;
		bool sound;
	} cases[] = {
		{ STR_INIT("Zm9v\r\nYmFy\r\n"), STR_INIT("foobar"), true },
		{ STR_INIT(" Zm9v \t YmE"), STR_INIT("fooba"), true },
		{ STR_INIT("Zg"), STR_INIT("f"), true },
		{ STR_INIT("Zg==\r\n"), STR_INIT("f"), true },
		{ STR_INIT("Zg==trailer"), STR_INIT("f"), true },
		{ STR_INIT("Zm9v!YmFy"), STR_INIT("foobar"), false },
		{ STR_INIT("Zm9vY"), STR_INIT("foo"), false },
	};
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&b);
		assert_int_equal(base64_decode_mime(&b, cases[i].in), cases[i].sound);
		assert_true(str_eq(buf_str(&b), cases[i].out));
	}
}

static void
a_result_beyond_the_buffer_is_not_begun(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 5);
	base64_encode(&b, STR("four"));
	assert_false(buf_is_ok(&b));
	assert_int_equal(buf_len(&b), 0);
	assert_false(base64_decode(&b, STR("Zm9vYmFy")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc_hold_both_ways),
		cmocka_unit_test(the_strict_reader_takes_nothing_else),
		cmocka_unit_test(lines_have_76_characters_and_read_back),
		cmocka_unit_test(the_mime_reader_saves_what_it_can_and_tells),
		cmocka_unit_test(a_result_beyond_the_buffer_is_not_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
