#include "codec/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct host_name
host(const char *text)
{
	struct host_name h;
	const char *why;

	if (!name_parse(str_from(text), &h, &why))
		fail_msg("%s: %s", text, why);
	return h;
}

static void
names_take_their_one_form(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "mail.example", "mail.example" },
		{ "MAIL.Example.", "mail.example" },
		{ "localhost", "localhost" },
		{ "a_b.example", "a_b.example" },
		{ "r3---sn.example", "r3---sn.example" },
		{ "163.com", "163.com" },
		{ "1.2.3.4.example", "1.2.3.4.example" },
		{ "b\xc3\xbc"
		  "cher.example",
		    "xn--bcher-kva.example" },
		{ "B\xc3\x9c"
		  "CHER.example",
		    "xn--bcher-kva.example" },
		{ "stra\xc3\x9f"
		  "e.example",
		    "xn--strae-oqa.example" }, /* non-transitional */
		{ "\xe9\x82\xae\xe4\xbb\xb6.\xe4\xb8\xad\xe5\x9b\xbd", "xn--5nq051n.xn--fiqs8s" },
		{ "\xe9\x82\xae\xe4\xbb\xb6\xe3\x80\x82\xe4\xb8\xad\xe5\x9b\xbd",
		    "xn--5nq051n.xn--fiqs8s" },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct host_name h = host(rows[i].in);
		assert_string_equal(h.z, rows[i].out);
		assert_int_equal(h.n, strlen(rows[i].out));
	}
}

static void
what_is_no_name_is_refused(void **state)
{
	(void)state;
	static const struct str bad[] = { STR_INIT(""), STR_INIT("."), STR_INIT(".a"),
		STR_INIT("a..b"), STR_INIT("a.."), STR_INIT("a b"), STR_INIT("a\r\nb"),
		STR_INIT("a\0b"), STR_INIT("-a.b"), STR_INIT("a-.b"), STR_INIT("a,b"),
		STR_INIT("127.0.0.1"), STR_INIT("[127.0.0.1]"), STR_INIT("::1"), STR_INIT("a.1"),
		STR_INIT("a\xff.b"), STR_INIT("\xe9\x82\xae\0.b"), STR_INIT("\xe9\x82\xae b"),
		STR_INIT("\xe2\x80\x8b"), STR_INIT("user@host"), STR_INIT("\xe9\x82\xae\r\n.b"),
		STR_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b") };
	struct host_name h;
	const char *why;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		why = NULL;
		if (name_parse(bad[i], &h, &why))
			fail_msg("%zu: %s", i, h.z);
		assert_non_null(why);
	}
}

static void
a_name_has_at_most_253_bytes(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct host_name h;
	const char *why;

	buf_init(&b, 1000);
	while (buf_len(&b) < 250)
		buf_add(&b, STR("a."));
	buf_add(&b, STR("abc"));
	assert_true(name_parse(buf_str(&b), &h, &why));
	assert_int_equal(h.n, 253);
	buf_add_byte(&b, 'd');
	assert_false(name_parse(buf_str(&b), &h, &why));
}

static void
domains_are_found_by_the_public_suffix_list(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "a.b.example.com", "example.com" },
		{ "example.com", "example.com" },
		{ "mail.example.co.uk", "example.co.uk" },
		{ "smtp.company.com.cn", "company.com.cn" },
		{ "com", NULL },
		{ "co.uk", NULL },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct host_name h = host(rows[i].in), got;
		assert_int_equal(name_registrable(&h, &got), rows[i].out != NULL);
		if (rows[i].out != NULL)
			assert_string_equal(got.z, rows[i].out);
	}
}

static void
being_within_a_domain_goes_by_labels(void **state)
{
	(void)state;
	struct host_name parent = host("example.com"), sub = host("a.example.com"),
			 other = host("notexample.com");

	assert_true(name_is_within(&parent, &parent));
	assert_true(name_is_within(&sub, &parent));
	assert_false(name_is_within(&parent, &sub));
	assert_false(name_is_within(&other, &parent));
	assert_true(name_eq(&parent, &parent) && !name_eq(&parent, &sub));
}

static void
people_see_the_letters_of_their_language(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct host_name h = host("xn--5nq051n.example");

	buf_init(&b, 1000);
	name_add_display(&b, &h);
	assert_string_equal(buf_cstr(&b), "\xe9\x82\xae\xe4\xbb\xb6.example");
	buf_clear(&b);
	h = host("xn--99999999.example");
	name_add_display(&b, &h);
	assert_string_equal(buf_cstr(&b), "xn--99999999.example");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_take_their_one_form),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(a_name_has_at_most_253_bytes),
		cmocka_unit_test(domains_are_found_by_the_public_suffix_list),
		cmocka_unit_test(being_within_a_domain_goes_by_labels),
		cmocka_unit_test(people_see_the_letters_of_their_language),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
