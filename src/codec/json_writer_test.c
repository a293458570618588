#include "codec/json_writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
commas_and_colons_fall_into_place(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	buf_init(&b, 1000);
	json_writer_init(&w, &b);
	json_writer_object(&w);
	json_writer_put_str(&w, "object", STR("list"));
	json_writer_put_bool(&w, "has_more", false);
	json_writer_put_array(&w, "data");
	json_writer_object(&w);
	json_writer_put_int(&w, "min", INT64_MIN);
	json_writer_put_uint(&w, "max", UINT64_MAX);
	json_writer_end(&w);
	json_writer_array(&w);
	json_writer_end(&w);
	json_writer_null(&w);
	json_writer_raw(&w, STR("{\"kept\":1}"));
	json_writer_end(&w);
	json_writer_put_object(&w, "empty");
	json_writer_end(&w);
	json_writer_put_null(&w, "last");
	json_writer_end(&w);
	json_writer_done(&w);
	assert_string_equal(buf_cstr(&b),
	    "{\"object\":\"list\",\"has_more\":false,\"data\":[{\"min\":-9223372036854775808,"
	    "\"max\":18446744073709551615},[],null,{\"kept\":1}],\"empty\":{},\"last\":null}");
}

static void
strings_may_hold_anything(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	buf_init(&b, 1000);
	json_writer_init(&w, &b);
	json_writer_str(&w, STR("\"\\/\b\f\n\r\t\0\x1f\x7f \xe9\x82\xae \xff \xe9\x82"));
	json_writer_done(&w);
	assert_string_equal(buf_cstr(&b),
	    "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f \xe9\x82\xae \xef\xbf\xbd "
	    "\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void
numbers_take_the_shortest_form_that_reads_back(void **state)
{
	(void)state;
	static const struct {
		double d;
		const char *text;
	} rows[] = {
		{ 0, "0.0" },
		{ -0.0, "-0.0" },
		{ 25, "25.0" },
		{ 0.1, "0.1" },
		{ -1.5, "-1.5" },
		{ 1e100, "1e+100" },
		{ 1.0 / 3, "0.3333333333333333" },
		{ (double)NAN, "null" },
		{ -(double)INFINITY, "null" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AUTO(buf_done) struct buf b = { 0 };
		struct json_writer w;
		buf_init(&b, 1000);
		json_writer_init(&w, &b);
		json_writer_real(&w, rows[i].d);
		json_writer_done(&w);
		assert_string_equal(buf_cstr(&b), rows[i].text);
	}
}

static void
sixty_four_levels_can_be_open(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	buf_init(&b, 1000);
	json_writer_init(&w, &b);
	for (unsigned i = 0; i < 64; i++) {
		if (i % 2 == 0) {
			json_writer_object(&w);
			json_writer_key(&w, STR("k"));
		} else {
			json_writer_array(&w);
		}
	}
	json_writer_int(&w, 1);
	for (unsigned i = 0; i < 64; i++)
		json_writer_end(&w);
	json_writer_done(&w);
	assert_true(str_starts(buf_str(&b), STR("{\"k\":[{\"k\":[")));
	assert_true(str_ends(buf_str(&b), STR("]}]}]}")));
	assert_int_equal(buf_len(&b), 32 * 6 + 1 + 64);
}

static void
a_full_buffer_is_told_and_harms_nothing(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	buf_init(&b, 10);
	json_writer_init(&w, &b);
	json_writer_array(&w);
	json_writer_str(&w, STR("a string too long"));
	json_writer_end(&w);
	json_writer_done(&w);
	assert_false(buf_is_ok(&b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_and_colons_fall_into_place),
		cmocka_unit_test(strings_may_hold_anything),
		cmocka_unit_test(numbers_take_the_shortest_form_that_reads_back),
		cmocka_unit_test(sixty_four_levels_can_be_open),
		cmocka_unit_test(a_full_buffer_is_told_and_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
