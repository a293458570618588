#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account/book.h"
#include "base/clock.h"
#include "submit/options.h"

#define NOW SECONDS(1795420000) /* 2026-11-23T07:46:40Z */

static bool
read_from(const char *header, unsigned permitted, struct submit_options *o,
    char why[static SUBMIT_WHY_SIZE])
{
	struct mail_scan scan;
	static char content[512];

	snprintf(content, sizeof(content), "%s\r\n\r\nbody\r\n", header);
	mail_scan(str_from(content), &scan);
	return submit_options_read(&scan, permitted, NOW, o, why);
}

static void
every_option_is_read(void **state)
{
	struct submit_options o;
	char why[SUBMIT_WHY_SIZE];

	(void)state;
	assert_true(read_from(
	    "X-Posthouse-Stream: BULK\r\nX-Posthouse-Tag: code-7.a\r\nX-Posthouse-Doubt: balanced\r\n"
	    "X-Posthouse-Deadline: 10m\r\nX-Posthouse-Send-At: 2026-11-23T16:00:00+08:00",
	    ACCOUNT_OPTIONS_ALL, &o, why));
	assert_true(o.has_stream && o.stream == STREAM_BULK);
	assert_true(str_eq(o.tag, STR("code-7.a")));
	assert_true(o.has_doubt && o.doubt == QUEUE_DOUBT_BALANCED);
	assert_int_equal(o.deadline_us, NOW + MINUTES(10));
	assert_int_equal(o.send_at_us, NOW + MINUTES(13) + SECONDS(20));
}

static void
without_options_nothing_is_chosen(void **state)
{
	struct submit_options o;
	char why[SUBMIT_WHY_SIZE];

	(void)state;
	assert_true(read_from("Subject: x", 0, &o, why));
	assert_false(o.has_stream || o.has_doubt);
	assert_int_equal(o.deadline_us, TIME_NEVER);
	assert_int_equal(o.send_at_us, 0);
}

static void
a_bad_value_refuses_and_says_what_would_do(void **state)
{
	static const struct {
		const char *header, *says;
	} cases[] = {
		{ "X-Posthouse-Stream: fast", "transactional or bulk" },
		{ "X-Posthouse-Tag: two words", "letters, digits" },
		{ "X-Posthouse-Doubt: maybe", "at-least-once" },
		{ "X-Posthouse-Deadline: 2020-01-01T00:00:00Z", "future" },
		{ "X-Posthouse-Deadline: soon", "10m" },
		{ "X-Posthouse-Send-At: 2026-13-01T00:00:00Z", "2026-11-23" },
		{ "X-Posthouse-Strem: bulk", "unknown" },
		{ "X-Posthouse-Tag: a\r\nX-Posthouse-Tag: b", "twice" },
	};
	struct submit_options o;
	char why[SUBMIT_WHY_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_false(read_from(cases[i].header, ACCOUNT_OPTIONS_ALL, &o, why));
		if (strstr(why, cases[i].says) == NULL)
			fail_msg("%s: '%s' does not say '%s'", cases[i].header, why, cases[i].says);
	}
}

static void
an_option_that_the_credential_may_not_use_refuses(void **state)
{
	struct submit_options o;
	char why[SUBMIT_WHY_SIZE];

	(void)state;
	assert_false(read_from("X-Posthouse-Stream: bulk", ACCOUNT_OPTION_TAG, &o, why));
	assert_non_null(strstr(why, "credential edit"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_is_read),
		cmocka_unit_test(without_options_nothing_is_chosen),
		cmocka_unit_test(a_bad_value_refuses_and_says_what_would_do),
		cmocka_unit_test(an_option_that_the_credential_may_not_use_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
