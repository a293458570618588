#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "relay/breaker.h"

#define NOW SECONDS(1000)

static void
rests_double_from_five_seconds_to_five_minutes(void **state)
{
	struct prng r = prng_make(1);
	int64_t expected = SECONDS(5);

	(void)state;
	for (uint32_t n = 1; n <= 40; n++) {
		int64_t rest = relay_breaker_rest_us(n, &r);
		assert_in_range((uint64_t)rest, (uint64_t)(expected - expected / 10),
		    (uint64_t)(expected + expected / 10));
		expected = expected * 2 < MINUTES(5) ? expected * 2 : MINUTES(5);
	}
}

static void
an_open_breaker_is_tried_after_its_rest_and_closes_when_well(void **state)
{
	struct relay_breaker b = { 0 };
	struct prng r = prng_make(1);

	(void)state;
	assert_true(relay_breaker_open(&b, "why", "remedy", 0, NOW, &r));
	relay_breaker_audit(&b);
	assert_false(relay_breaker_tick(&b, b.until_us - 1));
	assert_true(relay_breaker_tick(&b, b.until_us));
	assert_int_equal(b.state, RELAY_BREAKER_HALF_OPEN);
	assert_string_equal(b.why, "why");
	relay_breaker_audit(&b);
	assert_true(relay_breaker_well(&b));
	assert_false(relay_breaker_well(&b));
	assert_int_equal(b.state, RELAY_BREAKER_CLOSED);
	relay_breaker_audit(&b);
}

static void
a_failed_trial_rests_longer_and_is_no_news(void **state)
{
	struct relay_breaker b = { 0 };
	struct prng r = prng_make(1);

	(void)state;
	assert_true(relay_breaker_open(&b, "a", "", 0, NOW, &r));
	assert_true(relay_breaker_tick(&b, NOW + SECONDS(10)));
	assert_false(relay_breaker_open(&b, "b", "", 0, NOW + SECONDS(10), &r));
	assert_true(b.until_us >= NOW + SECONDS(10) + SECONDS(9));
	assert_int_equal(b.since_us, NOW);
}

static void
failures_of_one_moment_count_once_and_never_shorten_the_rest(void **state)
{
	struct relay_breaker b = { 0 };
	struct prng r = prng_make(1);

	(void)state;
	(void)relay_breaker_open(&b, "a", "", SECONDS(90), NOW, &r);
	for (int i = 0; i < 10; i++)
		assert_false(relay_breaker_open(&b, "a", "", 0, NOW, &r));
	assert_int_equal(b.opened, 1);
	assert_int_equal(b.until_us, NOW + SECONDS(90));
}

static void
opened_for_good_it_never_tries_by_itself(void **state)
{
	struct relay_breaker b = { 0 };
	struct prng r = prng_make(1);

	(void)state;
	(void)relay_breaker_open(&b, "a", "", TIME_NEVER, NOW, &r);
	assert_false(relay_breaker_tick(&b, NOW + DAYS(365)));
	assert_true(relay_breaker_well(&b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rests_double_from_five_seconds_to_five_minutes),
		cmocka_unit_test(an_open_breaker_is_tried_after_its_rest_and_closes_when_well),
		cmocka_unit_test(a_failed_trial_rests_longer_and_is_no_news),
		cmocka_unit_test(failures_of_one_moment_count_once_and_never_shorten_the_rest),
		cmocka_unit_test(opened_for_good_it_never_tries_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
