#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "preflight/private.h"

static void
no_failure_in_twenty_says_little(void **state)
{
	(void)state;
	assert_int_equal(preflight_wilson(0, 20), 16);
	assert_int_equal(preflight_wilson(0, 50), 7);
	assert_int_equal(preflight_wilson(0, 100), 4);
	assert_int_equal(preflight_wilson(20, 20), 100);
	assert_int_equal(preflight_wilson(0, 0), 100);
}

static void
a_failure_is_told_under_the_check_of_its_stage(void **state)
{
	struct smtp_verdict v = { .stage = SMTP_STAGE_AUTH, .code = 535 };

	(void)state;
	assert_int_equal(preflight_check_of(&v), PREFLIGHT_P50);
	v = (struct smtp_verdict){ .stage = SMTP_STAGE_TLS, .trouble = SMTP_TROUBLE_CERTIFICATE };
	assert_int_equal(preflight_check_of(&v), PREFLIGHT_P41);
	v = (struct smtp_verdict){ .stage = SMTP_STAGE_EHLO, .trouble = SMTP_TROUBLE_NO_STARTTLS };
	assert_int_equal(preflight_check_of(&v), PREFLIGHT_P40);
	assert_int_equal(preflight_stage_exit(preflight_check_stage(PREFLIGHT_P50)), 15);
	assert_int_equal(preflight_stage_exit(preflight_check_stage(PREFLIGHT_P43)), 20);
	assert_int_equal(preflight_stage_exit(preflight_check_stage(PREFLIGHT_P10)), 11);
}

static void
replies_and_offers_are_put_in_words(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct smtp_verdict v = { .code = 535,
		.enhanced = SMTP_ENHANCED(5, 7, 8),
		.stage = SMTP_STAGE_AUTH,
		.text = STR("wrong") };
	struct smtp_caps caps;

	(void)state;
	assert_true(str_eq(preflight_words(&a, &v), STR("535 5.7.8 wrong")));
	assert_true(preflight_remedy(&v, false, (struct str){ 0 }).n != 0);
	smtp_caps_parse(STR("host\nSIZE 1000\n8BITMIME\nAUTH PLAIN LOGIN"), &caps);
	struct str words = preflight_caps_words(&a, &caps);
	char text[200];
	snprintf(text, sizeof(text), "%.*s", STR_ARG(words));
	assert_non_null(strstr(text, "SIZE 1000"));
	assert_non_null(strstr(text, "AUTH PLAIN LOGIN"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_failure_in_twenty_says_little),
		cmocka_unit_test(a_failure_is_told_under_the_check_of_its_stage),
		cmocka_unit_test(replies_and_offers_are_put_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
