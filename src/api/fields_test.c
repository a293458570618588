#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/private.h"

static void
times_are_read_with_fraction_and_zone(void **state)
{
	static const struct {
		const char *text;
		const char *same; /* as we write it */
	} rows[] = {
		{ "2026-11-23T07:48:33Z", "2026-11-23T07:48:33.000Z" },
		{ "2026-11-23t07:48:33.25z", "2026-11-23T07:48:33.250Z" },
		{ "2026-11-23 07:48:33+08:00", "2026-11-22T23:48:33.000Z" },
		{ "2024-02-29T23:59:59-01:30", "2024-03-01T01:29:59.000Z" },
		{ "1970-01-01T00:00:01Z", "1970-01-01T00:00:01.000Z" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[CLOCK_TEXT_SIZE];
		int64_t us = 0;
		assert_int_equal(api_parse_time(str_from(rows[i].text), &us, NULL), RC_OK);
		clock_format(us, text);
		assert_string_equal(text, rows[i].same);
	}
}

static void
what_is_no_time_is_refused(void **state)
{
	static const char *const rows[] = { "", "yesterday", "2026-11-23", "2026-11-23T07:48:33",
		"2026-13-23T07:48:33Z", "2026-11-23T25:48:33Z", "2026-11-23T07:48:33+8",
		"2026-11-23T07:48:33Zx" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fault f = { 0 };
		int64_t us = 7;
		assert_int_equal(api_parse_time(str_from(rows[i]), &us, &f), RC_INVALID);
		assert_non_null(strstr(f.text, "write it like"));
		assert_int_equal(us, 7);
	}
}

static struct str
words_of(const char *text, struct arena *a, enum rc *rc, struct fault *f)
{
	struct json *doc = NULL;
	struct str out = STR("untouched");

	assert_int_equal(json_parse(str_from(text), 10000, &doc, NULL), RC_OK);
	*rc = api_get_words(doc, "from", a, &out, f);
	out = arena_str(a, out);
	json_free(&doc);
	return out;
}

static void
lists_come_as_arrays_or_as_one_string(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	enum rc rc;

	(void)state;
	assert_true(str_eq(words_of("{\"from\":[\"a@x\",\"@y\"]}", &a, &rc, NULL), STR("a@x\n@y")));
	assert_int_equal(rc, RC_OK);
	assert_true(str_eq(words_of("{\"from\":\" a@x, @y \"}", &a, &rc, NULL), STR("a@x\n@y")));
	assert_true(str_eq(words_of("{\"from\":[]}", &a, &rc, NULL), STR("")));
	assert_true(str_eq(words_of("{}", &a, &rc, NULL), STR("untouched")));
	assert_int_equal(rc, RC_OK);
}

static void
a_list_of_something_else_is_refused_by_its_name(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct fault f = { 0 };
	enum rc rc;

	(void)state;
	(void)words_of("{\"from\":[\"a@x\",5]}", &a, &rc, &f);
	assert_int_equal(rc, RC_INVALID);
	assert_non_null(strstr(f.text, "from"));
}

static void
names_hold_no_blank_and_no_slash(void **state)
{
	(void)state;
	assert_int_equal(api_check_name("name", STR("main-1_b.c"), NULL), RC_OK);
	assert_int_equal(api_check_name("name", STR(""), NULL), RC_INVALID);
	assert_int_equal(api_check_name("name", STR("a b"), NULL), RC_INVALID);
	assert_int_equal(api_check_name("name", STR("a/b"), NULL), RC_INVALID);
	assert_int_equal(api_check_name("name", STR("\"a\""), NULL), RC_INVALID);
}

static void
a_field_that_must_be_there_is_asked_for_as_such(void **state)
{
	struct json *doc = NULL;
	struct fault f = { 0 };
	struct str out = { 0 };

	(void)state;
	assert_int_equal(json_parse(STR("{}"), 100, &doc, NULL), RC_OK);
	assert_int_equal(api_need_str(doc, "name", &out, &f), RC_INVALID);
	assert_int_equal(f.rc, RC_INVALID);
	assert_non_null(strstr(f.text, "name"));
	json_free(&doc);
}

/* ---- paths ---- */

static void
finds_endpoints_and_the_name_in_the_path(void **state)
{
	const struct api_endpoint *e = NULL;
	struct str name = { 0 };

	(void)state;
	assert_int_equal(api_endpoint_find(HTTP_GET, STR("/relays/main"), &e, &name), RC_OK);
	assert_true(e->run == api_relay_show && str_eq(name, STR("main")));
	assert_int_equal(api_endpoint_find(HTTP_HEAD, STR("/relays/"), &e, &name), RC_OK);
	assert_true(e->run == api_relay_list);
	assert_int_equal(api_endpoint_find(HTTP_POST, STR("/routes/test"), &e, &name), RC_OK);
	assert_true(e->run == api_route_test);
	assert_int_equal(
	    api_endpoint_find(HTTP_POST, STR("/emails/0190-a/2/cancel"), &e, &name), RC_OK);
	assert_true(e->run == api_email_cancel && str_eq(name, STR("0190-a/2")));
}

static void
tells_a_wrong_path_from_a_wrong_method(void **state)
{
	const struct api_endpoint *e = NULL;
	struct str name = { 0 };

	(void)state;
	assert_int_equal(api_endpoint_find(HTTP_DELETE, STR("/status"), &e, &name), RC_DENIED);
	assert_int_equal(
	    api_endpoint_find(HTTP_GET, STR("/relays//secret"), &e, &name), RC_NOT_FOUND);
	assert_int_equal(api_endpoint_find(HTTP_GET, STR("/statusx"), &e, &name), RC_NOT_FOUND);
	assert_int_equal(api_endpoint_find(HTTP_GET, STR(""), &e, &name), RC_NOT_FOUND);
	assert_int_equal(api_endpoint_find(HTTP_GET, STR("/"), &e, &name), RC_NOT_FOUND);
}

static void
only_the_health_is_open_to_everybody(void **state)
{
	static const char *const paths[] = { "/version", "/metrics", "/status", "/relays",
		"/emails", "/queue" };
	const struct api_endpoint *e = NULL;
	struct str name = { 0 };

	(void)state;
	assert_int_equal(api_endpoint_find(HTTP_GET, STR("/healthz"), &e, &name), RC_OK);
	assert_true(e->is_open);
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		assert_int_equal(api_endpoint_find(HTTP_GET, str_from(paths[i]), &e, &name), RC_OK);
		assert_false(e->is_open);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read_with_fraction_and_zone),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(lists_come_as_arrays_or_as_one_string),
		cmocka_unit_test(a_list_of_something_else_is_refused_by_its_name),
		cmocka_unit_test(names_hold_no_blank_and_no_slash),
		cmocka_unit_test(a_field_that_must_be_there_is_asked_for_as_such),
		cmocka_unit_test(finds_endpoints_and_the_name_in_the_path),
		cmocka_unit_test(tells_a_wrong_path_from_a_wrong_method),
		cmocka_unit_test(only_the_health_is_open_to_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
