#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/charset.h"

static void
check(const char *charset, const char *bytes, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_true(charset_to_utf8(&b, str_from(charset), str_from(bytes)));
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void
text_of_known_charsets_becomes_utf8(void **state)
{
	(void)state;
	check("gb2312", "\xcd\xcb\xd0\xc5\r\n", "\xe9\x80\x80\xe4\xbf\xa1\r\n");
	check("ISO-8859-1", "\xe4\x80", "\xc3\xa4\xe2\x82\xac");
	check("us-ascii", "a\xff z", "a\xef\xbf\xbd z");
	check("GB18030", "a\xcd", "a\xef\xbf\xbd");
}

static void
an_unknown_charset_is_said_to_be_unknown(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_false(charset_to_utf8(&b, STR("../etc/passwd"), STR("x")));
	assert_int_equal(buf_len(&b), 0);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_known_charsets_becomes_utf8),
		cmocka_unit_test(an_unknown_charset_is_said_to_be_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
