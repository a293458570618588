#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/json_writer.h"

static struct json *
parse(const char *text)
{
	struct json *doc = NULL;
	struct fault f = { 0 };

	if (json_parse(str_from(text), 1 << 20, &doc, &f) != RC_OK)
		fail_msg("%s: %s", text, f.text);
	return doc;
}

static void
fields_are_found_by_path(void **state)
{
	(void)state;
	AUTO(json_free)
	struct json *doc = parse(
	    "{\"from\":\"a@b\",\"to\":[{\"email\":\"c@d\"},{\"email\":\"\\u00e9\"}],\"n\":5,\"r\":5.0,\"yes\":true,"
	    "\"none\":null,\"o\":{\"p\":{\"q\":-1}}}");
	const struct json *v = NULL;
	struct fault f = { 0 };
	struct str s;
	int64_t i;
	bool b;

	assert_int_equal(json_get_str(doc, "from", &s, &f), RC_OK);
	assert_true(str_eq(s, STR("a@b")));
	assert_int_equal(json_get_str(doc, "to[1].email", &s, &f), RC_OK);
	assert_true(str_eq(s, STR("\xc3\xa9")));
	assert_int_equal(json_get_int(doc, "n", 0, 9, &i, &f), RC_OK);
	assert_int_equal(i, 5);
	assert_int_equal(json_get_int(doc, "r", 0, 9, &i, &f), RC_OK);
	assert_int_equal(json_get_int(doc, "o.p.q", -9, 9, &i, &f), RC_OK);
	assert_int_equal(i, -1);
	assert_int_equal(json_get_bool(doc, "yes", &b, &f), RC_OK);
	assert_true(b);
	assert_int_equal(json_get_array(doc, "to", &v, &f), RC_OK);
	assert_int_equal(json_count(v), 2);
	assert_int_equal(json_get_str(json_item(v, 0), "email", &s, &f), RC_OK);
	assert_true(str_eq(s, STR("c@d")));
	assert_null(json_item(v, 2));
	assert_int_equal(json_get_object(doc, "o.p", &v, &f), RC_OK);
	assert_null(json_at(doc, "none"));
	assert_null(json_at(doc, "to[2].email"));
	assert_null(json_at(doc, "from.x"));
	assert_null(json_at(doc, "o[0]"));
	assert_int_equal(f.rc, RC_OK);
}

static void
what_is_wrong_with_a_field_is_told_with_its_path(void **state)
{
	(void)state;
	AUTO(json_free)
	struct json *doc =
	    parse("{\"to\":[{\"email\":7}],\"n\":99,\"r\":1.5,\"big\":1e300,\"z\":null}");
	struct fault f = { 0 };
	struct str s = STR("kept");
	const struct json *v = NULL;
	int64_t i = 77;
	bool b = true;

	assert_int_equal(json_get_str(doc, "to[0].email", &s, &f), RC_INVALID);
	assert_string_equal(f.text, "`to[0].email` must be a string, not a whole number");
	f.rc = RC_OK;
	assert_int_equal(json_get_str(doc, "subject", &s, &f), RC_NOT_FOUND);
	assert_string_equal(f.text, "`subject` is missing");
	f.rc = RC_OK;
	assert_int_equal(json_get_int(doc, "n", 1, 50, &i, &f), RC_INVALID);
	assert_string_equal(f.text, "`n` must be 1 to 50, not 99");
	f.rc = RC_OK;
	assert_int_equal(json_get_int(doc, "r", 1, 50, &i, &f), RC_INVALID);
	assert_string_equal(f.text, "`r` must be a whole number, not a number");
	assert_int_equal(json_get_int(doc, "big", INT64_MIN, INT64_MAX, &i, NULL), RC_INVALID);
	assert_int_equal(json_get_bool(doc, "z", &b, NULL), RC_NOT_FOUND);
	assert_int_equal(json_opt_bool(doc, "n", &b, NULL), RC_INVALID);
	assert_int_equal(json_opt_array(doc, "n", &v, NULL), RC_INVALID);
	assert_int_equal(json_opt_object(doc, "to", &v, NULL), RC_INVALID);
	assert_true(str_eq(s, STR("kept")) && i == 77 && b && v == NULL);
}

static void
optional_fields_keep_their_default(void **state)
{
	(void)state;
	AUTO(json_free) struct json *doc = parse("{\"z\":null,\"s\":\"x\"}");
	struct fault f = { 0 };
	struct str s = STR("default");
	int64_t i = 3;

	assert_int_equal(json_opt_str(doc, "nothing", &s, &f), RC_OK);
	assert_int_equal(json_opt_str(doc, "z", &s, &f), RC_OK);
	assert_true(str_eq(s, STR("default")));
	assert_int_equal(json_opt_int(doc, "z", 0, 1, &i, &f), RC_OK);
	assert_int_equal(i, 3);
	assert_int_equal(json_opt_str(doc, "s", &s, &f), RC_OK);
	assert_true(str_eq(s, STR("x")));
}

static void
what_is_no_json_is_refused_with_its_place(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		enum rc rc;
	} rows[] = {
		{ STR_INIT(""), RC_INVALID },
		{ STR_INIT("{"), RC_INVALID },
		{ STR_INIT("{} x"), RC_INVALID },
		{ STR_INIT("{\"a\":1,\"a\":2}"), RC_INVALID },
		{ STR_INIT("{\"a\":\"\\u0000\"}"), RC_INVALID },
		{ STR_INIT("{\"a\":\"\xff\"}"), RC_INVALID },
		{ STR_INIT("{\"a\":01}"), RC_INVALID },
		{ STR_INIT("{'a':1}"), RC_INVALID },
		{ STR_INIT("[1,]"), RC_INVALID },
		{ STR_INIT("\"text\""), RC_INVALID },
		{ STR_INIT("{\"a\": \"0123456789012345678901234567890123456789\"}"), RC_LIMIT },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct json *doc = NULL;
		struct fault f = { 0 };
		assert_int_equal(json_parse(rows[i].text, 40, &doc, &f), rows[i].rc);
		assert_null(doc);
		assert_true(f.text[0] != '\0');
	}
}

static void
depth_is_bounded_and_brackets_in_strings_are_none(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 10000);
	for (unsigned depth = 64; depth <= 65; depth++) {
		AUTO(json_free) struct json *doc = NULL;
		buf_clear(&b);
		for (unsigned i = 0; i < depth; i++)
			buf_add_byte(&b, '[');
		buf_add(&b, STR("\"[[[[\\\"[[[[\""));
		for (unsigned i = 0; i < depth; i++)
			buf_add_byte(&b, ']');
		assert_int_equal(
		    json_parse(buf_str(&b), 10000, &doc, NULL), depth <= 64 ? RC_OK : RC_LIMIT);
	}
}

static void
unknown_fields_are_named(void **state)
{
	(void)state;
	static const char *const names[] = { "from", "to" };
	AUTO(json_free) struct json *doc = parse("{\"from\":1,\"fro\":2}");
	struct fault f = { 0 };

	assert_int_equal(json_only(doc, names, COUNT_OF(names), &f), RC_INVALID);
	assert_string_equal(f.text, "`fro` is not a known field");
	AUTO(json_free) struct json *good = parse("{\"to\":1}");
	assert_int_equal(json_only(good, names, COUNT_OF(names), NULL), RC_OK);
}

static void
a_document_is_written_again_as_it_was(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"b\":[1,-2,0.1,1e+300,true,false,null],\"a\":{\"\\\"\":\"\\n\xe9\x82\xae\"},\"e\":{},\"l\":[]}";
	AUTO(json_free) struct json *doc = parse(text);
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	buf_init(&b, 1000);
	json_writer_init(&w, &b);
	json_write(doc, &w);
	json_writer_done(&w);
	assert_string_equal(buf_cstr(&b), text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found_by_path),
		cmocka_unit_test(what_is_wrong_with_a_field_is_told_with_its_path),
		cmocka_unit_test(optional_fields_keep_their_default),
		cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
		cmocka_unit_test(depth_is_bounded_and_brackets_in_strings_are_none),
		cmocka_unit_test(unknown_fields_are_named),
		cmocka_unit_test(a_document_is_written_again_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
