#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "mail/address.h"

static struct mail_addr
good(struct arena *a, const char *path, unsigned flags)
{
	struct mail_addr addr = { 0 };
	const char *why = "";

	if (mail_addr_parse(str_from(path), flags, a, &addr, &why) != RC_OK)
		fail_msg("%s: %s", path, why);
	return addr;
}

/* What the address `path` is written as. */
static void
check_form(const char *path, const char *form)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1024);
	struct mail_addr addr = good(&a, path, MAIL_ADDR_UTF8 | MAIL_ADDR_POSTMASTER);
	mail_addr_format(&b, &addr);
	assert_string_equal(buf_cstr(&b), form);
	struct mail_addr again = good(&a, buf_cstr(&b), MAIL_ADDR_UTF8 | MAIL_ADDR_POSTMASTER);
	assert_true(mail_addr_eq(&addr, &again));
	assert_int_equal(mail_addr_hash(&addr, 7), mail_addr_hash(&again, 7));
}

static void
addresses_are_written_in_their_shortest_form(void **state)
{
	static const char *const rows[][2] = {
		{ "a@x.org", "a@x.org" },
		{ "A.b@X.Org", "A.b@x.org" },
		{ "\"a.b\"@x", "a.b@x" },
		{ "\"a b\"@x", "\"a b\"@x" },
		{ "\"a\\b\"@x", "ab@x" },
		{ "\"a\\\\b\\\"c\"@x", "\"a\\\\b\\\"c\"@x" },
		{ "\"\"@x", "\"\"@x" },
		{ "\"a@b\"@x", "\"a@b\"@x" },
		{ "\".a\"@x", "\".a\"@x" },
		{ "a+tag=1@x.org", "a+tag=1@x.org" },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
		{ "a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]" },
		{ "a@[IPv6:::ffff:192.0.2.1]", "a@[ipv6:::ffff:192.0.2.1]" },
		{ "a@[IPv6:1:2:3:4:5:6:7:8]", "a@[ipv6:1:2:3:4:5:6:7:8]" },
		{ "a@[x400:c=de/o=x]", "a@[x400:c=de/o=x]" },
		{ "a@_dmarc.x-.org", "a@_dmarc.x-.org" },
		{ "Postmaster", "postmaster" },
		{ "", "" },
		{ "\xc3\xbc@x.org", "\xc3\xbc@x.org" },
		{ "\"\xc3\xbc \"@x.org", "\"\xc3\xbc \"@x.org" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check_form(rows[i][0], rows[i][1]);
}

static void
what_is_no_address_is_refused_with_a_reason(void **state)
{
	static const struct str rows[] = {
		STR_INIT("a"),
		STR_INIT("@x"),
		STR_INIT("a@"),
		STR_INIT(".a@x"),
		STR_INIT("a.@x"),
		STR_INIT("a..b@x"),
		STR_INIT("a b@x"),
		STR_INIT("a@x..y"),
		STR_INIT("a@x."),
		STR_INIT("a@.x"),
		STR_INIT("a@x y"),
		STR_INIT("\"a@x"),
		STR_INIT("\"a\"b@x"),
		STR_INIT("\"a\\\"@x"),
		STR_INIT("a@b@c"),
		STR_INIT("a\r\nb@x"),
		STR_INIT("a@x\r\n"),
		STR_INIT("a@x\r\nRCPT TO:<b@x>"),
		STR_INIT("\"a\r\nb\"@x"),
		STR_INIT("\"a\\\r\"@x"),
		STR_INIT("a\0b@x"),
		STR_INIT("a@x\0"),
		STR_INIT("\"\0\"@x"),
		STR_INIT("<a@x>"),
		STR_INIT("a@[1.2.3]"),
		STR_INIT("a@[1.2.3.256]"),
		STR_INIT("a@[1.2.3.4"),
		STR_INIT("a@[]"),
		STR_INIT("a@[IPv6:1::2::3]"),
		STR_INIT("a@[IPv6:12345::]"),
		STR_INIT("a@[IPv6:1:2:3:4:5:6:7]"),
		STR_INIT("a@[IPv6:1:2:3:4:5:6:7:8:9]"),
		STR_INIT("a@[IPv6:1:]"),
		STR_INIT("a@[IPv6:]"),
		STR_INIT("a@[x:a]b]"),
		STR_INIT("a@[x:]"),
		STR_INIT("a@[:x]"),
		STR_INIT("postmaster"),
		STR_INIT("\xff@x"),
		STR_INIT("\xc0\x80@x"),
		STR_INIT("\xed\xa0\x80@x"),
		STR_INIT("\xc2\x85@x"),
		STR_INIT("\xe2\x80\xa8@x"),
		STR_INIT("a@\xff"),
		STR_INIT("\xc3"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AUTO(arena_done) struct arena a = { 0 };
		struct mail_addr addr;
		const char *why = NULL;
		if (mail_addr_parse(rows[i], MAIL_ADDR_UTF8, &a, &addr, &why) != RC_INVALID)
			fail_msg("row %zu was accepted", i);
		assert_non_null(why);
	}
}

static void
the_limits_hold_to_the_byte(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_addr addr;
	const char *why = NULL;
	char label[64], text[400];

	(void)state;
	for (size_t i = 0; i < 63; i++)
		label[i] = 'l';
	label[63] = '\0';
	snprintf(text, sizeof(text), "%s1@x", label);
	assert_int_equal(mail_addr_parse(str_from(text), 0, &a, &addr, &why), RC_OK);
	snprintf(text, sizeof(text), "%s12@x", label);
	assert_int_equal(mail_addr_parse(str_from(text), 0, &a, &addr, &why), RC_INVALID);
	snprintf(text, sizeof(text), "a@%s", label);
	assert_int_equal(mail_addr_parse(str_from(text), 0, &a, &addr, &why), RC_OK);
	snprintf(text, sizeof(text), "a@%sx", label);
	assert_int_equal(mail_addr_parse(str_from(text), 0, &a, &addr, &why), RC_INVALID);
	/* 2 + 4 * 63 with three dots is 257; without the first three letters it is 254. */
	snprintf(text, sizeof(text), "a@%s.%s.%s.%s", label + 3, label, label, label);
	assert_int_equal(strlen(text), 254);
	assert_int_equal(mail_addr_parse(str_from(text), 0, &a, &addr, &why), RC_OK);
	snprintf(text, sizeof(text), "a@%s.%s.%s.%s", label + 2, label, label, label);
	assert_int_equal(mail_addr_parse(str_from(text), 0, &a, &addr, &why), RC_INVALID);
}

static void
non_ascii_needs_smtputf8(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_addr addr, ascii;
	const char *why = NULL;

	(void)state;
	assert_int_equal(mail_addr_parse(STR("\xc3\xbc@x"), 0, &a, &addr, &why), RC_INVALID);
	assert_non_null(strstr(why, "SMTPUTF8"));
	addr = good(&a, "\xc3\xbc@x", MAIL_ADDR_UTF8);
	assert_true(addr.needs_utf8);
	assert_int_equal(mail_addr_to_ascii(&addr, &ascii), RC_INVALID);
	addr = good(&a, "u@x", MAIL_ADDR_UTF8);
	assert_false(addr.needs_utf8);
	assert_int_equal(mail_addr_to_ascii(&addr, &ascii), RC_OK);
	assert_true(mail_addr_eq(&addr, &ascii));
}

static void
an_international_domain_is_one_in_both_alphabets(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_addr u = good(&a, "a@M\xc3\x9cLLER.de", MAIL_ADDR_UTF8), ascii;
	struct mail_addr x = good(&a, "a@xn--mller-kva.DE", 0);
	const char *why = NULL;

	(void)state;
	buf_init(&b, 300);
	assert_true(u.needs_utf8);
	assert_true(mail_addr_eq(&u, &x));
	assert_int_equal(mail_addr_hash(&u, 3), mail_addr_hash(&x, 3));
	assert_int_equal(mail_addr_to_ascii(&u, &ascii), RC_OK);
	assert_false(ascii.needs_utf8);
	mail_addr_format(&b, &ascii);
	assert_string_equal(buf_cstr(&b), "a@xn--mller-kva.de");
	assert_int_equal(mail_addr_parse(STR("a@m\xc3\xbcller.de"), 0, &a, &u, &why), RC_INVALID);
	assert_int_equal(
	    mail_addr_parse(STR("a@\xe2\x80\xae.de"), MAIL_ADDR_UTF8, &a, &u, &why), RC_INVALID);
}

static void
case_counts_in_the_local_part_only(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_addr lower = good(&a, "a@x", 0), domain = good(&a, "a@X", 0);
	struct mail_addr local = good(&a, "A@x", 0), null = good(&a, "", 0);

	(void)state;
	assert_true(mail_addr_eq(&lower, &domain));
	assert_false(mail_addr_eq(&lower, &local));
	assert_false(mail_addr_eq(&lower, &null));
	assert_true(null.is_null);
}

static void
a_copy_does_not_need_the_first_arena(void **state)
{
	AUTO(arena_done) struct arena keep = { 0 };
	struct arena gone = { 0 };
	struct mail_addr addr = good(&gone, "\"a b\"@x.org", 0);
	struct mail_addr copy = mail_addr_copy(&keep, &addr);

	(void)state;
	assert_true(mail_addr_eq(&addr, &copy));
	arena_done(&gone);
	assert_true(str_eq(copy.local, STR("a b")));
	assert_true(str_eq(copy.domain, STR("x.org")));
	assert_true(copy.quoted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_in_their_shortest_form),
		cmocka_unit_test(what_is_no_address_is_refused_with_a_reason),
		cmocka_unit_test(the_limits_hold_to_the_byte),
		cmocka_unit_test(non_ascii_needs_smtputf8),
		cmocka_unit_test(an_international_domain_is_one_in_both_alphabets),
		cmocka_unit_test(case_counts_in_the_local_part_only),
		cmocka_unit_test(a_copy_does_not_need_the_first_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
