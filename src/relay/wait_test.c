#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "relay/wait.h"

static void
a_named_wait_is_read(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "try again in 120 seconds", SECONDS(120) },
		{ "4.7.1 Greylisted for 5 minutes", MINUTES(5) },
		{ "please retry after 2 minutes", MINUTES(2) },
		{ "Come back in 1 hour", HOURS(1) },
		{ "please wait 90s", SECONDS(90) },
		{ "retry in 30sec", SECONDS(30) },
		{ "Please try again in 299 second(s)", SECONDS(299) },
		{ "try again in 10-minutes", MINUTES(10) },
		{ "limit of 100 per 15 minutes reached, retry in 3 min", MINUTES(3) },
		{ "try again in 99999999999999999999 hours", DAYS(1) },
		{ "try again in 25 hours", DAYS(1) },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(relay_wait_in_text(str_from(cases[i].text)), cases[i].us);
}

static void
what_names_no_wait_gives_none(void **state)
{
	static const char *const cases[] = { "", "try again later", "try again in a few minutes",
		"timed out after 30 seconds", "100 messages per 15 minutes, try again later",
		"too many mails in the last 60 minutes; try later", "try again, id a120 s",
		"try again 192.0.2.1 seconds", "retry in 0 seconds", "retry 5 times",
		"4.7.0 wait" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(relay_wait_in_text(str_from(cases[i])), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_named_wait_is_read),
		cmocka_unit_test(what_names_no_wait_gives_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
