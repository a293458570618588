#include "relay/sprt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"

static bool
chance(struct prng *r, double p)
{
	return prng_percent(r, p * 100);
}

static void
a_fault_weighs_what_its_likelihoods_say(void **state)
{
	struct relay_sprt_odds odds = relay_sprt_odds(0.01, 0.2);
	struct relay_sprt t = { 0 };

	(void)state;
	relay_sprt_add(&t, &odds, true);
	assert_true(fabs(t.sum - log(20)) < 1e-12);
	relay_sprt_add(&t, &odds, false);
	assert_true(fabs(t.sum - log(20) - log(0.8 / 0.99)) < 1e-12);
	assert_int_equal(t.clean, 1);
	assert_int_equal(t.faults, 1);
}

static void
counters_stay_at_their_end(void **state)
{
	struct relay_sprt_odds odds = relay_sprt_odds(0.01, 0.2);
	struct relay_sprt t = { .clean = UINT32_MAX, .faults = UINT32_MAX };

	(void)state;
	relay_sprt_add(&t, &odds, true);
	relay_sprt_add(&t, &odds, false);
	assert_int_equal(t.clean, UINT32_MAX);
	assert_int_equal(t.faults, UINT32_MAX);
}

static void
a_cumulative_sum_saves_nothing_up(void **state)
{
	struct relay_sprt_odds odds = relay_sprt_odds(0.01, 0.5);
	double sum = 0;

	(void)state;
	for (int i = 0; i < 100000; i++)
		sum = relay_sprt_cusum(sum, &odds, false);
	assert_true(sum >= 0 && sum < 1e-12);
	sum = relay_sprt_cusum(sum, &odds, true);
	assert_true(fabs(sum - log(50)) < 1e-12);
}

/* Ville's inequality, tried: at p0 the sum ever reaches the bound at most that often. */
static void
at_p0_the_bound_is_reached_as_rarely_as_said(void **state)
{
	static const double worst[] = { 0.05, 0.1, 0.2, 0.5 };

	(void)state;
	for (size_t k = 0; k < sizeof(worst) / sizeof(worst[0]); k++) {
		struct relay_sprt_odds odds = relay_sprt_odds(0.01, worst[k]);
		struct prng r = prng_make(k + 1);
		double bound = relay_sprt_bound(0.02);
		int reached = 0;
		for (int run = 0; run < 5000; run++) {
			struct relay_sprt t = { 0 };
			for (int i = 0; i < 400 && t.sum < bound; i++)
				relay_sprt_add(&t, &odds, chance(&r, 0.01));
			reached += t.sum >= bound;
		}
		assert_true(reached <= 120); /* 100 expected at most, 10 the deviation */
	}
}

static void
at_p1_the_other_bound_is_reached_as_rarely_as_said(void **state)
{
	struct relay_sprt_odds odds = relay_sprt_odds(0.01, 0.2);
	struct prng r = prng_make(7);
	double bound = -relay_sprt_bound(0.01);
	int reached = 0;

	(void)state;
	for (int run = 0; run < 20000; run++) {
		struct relay_sprt t = { 0 };
		for (int i = 0; i < 300 && t.sum > bound; i++)
			relay_sprt_add(&t, &odds, chance(&r, 0.2));
		reached += t.sum <= bound;
	}
	assert_true(reached > 0 && reached <= 242);
}

static void
few_messages_prove_little(void **state)
{
	(void)state;
	assert_true(relay_sprt_wilson(0, 0) >= 1);
	assert_true(fabs(relay_sprt_wilson(0, 50) - 0.0513) < 0.0005);
	assert_true(relay_sprt_wilson(0, 10) > relay_sprt_wilson(0, 100));
	assert_true(relay_sprt_wilson(5, 100) > 0.05);
	assert_true(relay_sprt_wilson(100, 100) <= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_weighs_what_its_likelihoods_say),
		cmocka_unit_test(counters_stay_at_their_end),
		cmocka_unit_test(a_cumulative_sum_saves_nothing_up),
		cmocka_unit_test(at_p0_the_bound_is_reached_as_rarely_as_said),
		cmocka_unit_test(at_p1_the_other_bound_is_reached_as_rarely_as_said),
		cmocka_unit_test(few_messages_prove_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
