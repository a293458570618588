#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mail/date.h"

static void
dates_are_read_in_every_form_that_is_met(void **state)
{
	static const struct {
		struct str text;
		int64_t s;
	} rows[] = {
		{ STR_INIT("Thu, 1 Jan 1970 00:00:00 +0000"), 0 },
		{ STR_INIT("Mon, 23 Nov 2026 07:48:33 +0000"), 1795420113 },
		{ STR_INIT("23 Nov 2026 07:48:33 +0000"), 1795420113 },
		{ STR_INIT(" Mon,\r\n 23 nov 2026 15:48:33 +0800 (CST)"), 1795420113 },
		{ STR_INIT("Mon, 23 Nov 2026 02:48:33 EST"), 1795420113 },
		{ STR_INIT("Mon, 23 Nov 26 07:48:33 GMT"), 1795420113 },
		{ STR_INIT("Mon, 23 Nov 2026 07:48 Z"), 1795420080 },
		{ STR_INIT("Tue, 29 Feb 2000 23:59:60 -0000"), 951868800 },
		{ STR_INIT("31 Dec 1999 23:59:59 -0130"), 946690199 },
		{ STR_INIT("1 Jan 99 00:00:00"), 915148800 },
		{ STR_INIT("1 Jan 1900 00:00:00 +0000"), -2208988800 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t us = -1;
		assert_int_equal(mail_date_parse(rows[i].text, &us), RC_OK);
		assert_int_equal(us, SECONDS(rows[i].s));
	}
}

static void
what_is_no_date_is_refused(void **state)
{
	static const struct str rows[] = {
		STR_INIT(""),
		STR_INIT("yesterday"),
		STR_INIT("Mon, 23 Nov"),
		STR_INIT("30 Feb 2026 00:00:00 +0000"),
		STR_INIT("29 Feb 2100 00:00:00 +0000"),
		STR_INIT("0 Jan 2026 00:00:00 +0000"),
		STR_INIT("1 Foo 2026 00:00:00 +0000"),
		STR_INIT("1 Jan 2026 24:00:00 +0000"),
		STR_INIT("1 Jan 2026 0:0:0 +00"),
		STR_INIT("1 Jan 2026 00:00:00 +0000 x"),
		STR_INIT("1 Jan 20260 00:00:00"),
		STR_INIT("1 Jan 1899 00:00:00"),
		STR_INIT("1 Jan 2026"),
		STR_INIT("32 Dec 2026 1:1 Z"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t us = -1;
		assert_int_equal(mail_date_parse(rows[i], &us), RC_INVALID);
		assert_int_equal(us, -1);
	}
}

static void
dates_are_written_in_utc(void **state)
{
	char text[MAIL_DATE_SIZE];

	(void)state;
	mail_date_format(SECONDS(1795420113) + 999999, text);
	assert_string_equal(text, "Mon, 23 Nov 2026 07:48:33 +0000");
	mail_date_format(-1, text);
	assert_string_equal(text, "Thu, 1 Jan 1970 00:00:00 +0000");
	mail_date_format(INT64_MAX, text);
	assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 +0000");
}

static void
every_day_of_400_years_survives_writing_and_reading(void **state)
{
	(void)state;
	for (int64_t day = 0; day < 146097; day++) {
		char text[MAIL_DATE_SIZE];
		int64_t us = -1;
		mail_date_format(SECONDS(day * 86400 + day % 86400), text);
		assert_int_equal(mail_date_parse(str_from(text), &us), RC_OK);
		assert_int_equal(us, SECONDS(day * 86400 + day % 86400));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_read_in_every_form_that_is_met),
		cmocka_unit_test(what_is_no_date_is_refused),
		cmocka_unit_test(dates_are_written_in_utc),
		cmocka_unit_test(every_day_of_400_years_survives_writing_and_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
