#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

static void
a_seed_gives_the_same_numbers_for_ever(void **state)
{
	(void)state;
	/* The published sequence of splitmix64 for seed 1234567. */
	static const uint64_t want[] = { 6457827717110365317u, 3203168211198807973u,
		9817491932198370423u, 4593380528125082431u, 16408922859458223821u };
	struct prng r = prng_make(1234567);

	for (size_t i = 0; i < COUNT_OF(want); i++)
		assert_true(prng_next(&r) == want[i]);
}

static void
numbers_below_a_bound_fill_its_whole_range_evenly(void **state)
{
	(void)state;
	struct prng r = prng_make(1);
	size_t hits[10] = { 0 };

	for (int i = 0; i < 100000; i++) {
		uint64_t n = prng_below(&r, COUNT_OF(hits));
		assert_true(n < COUNT_OF(hits));
		hits[n]++;
	}
	for (size_t i = 0; i < COUNT_OF(hits); i++)
		assert_in_range(hits[i], 9500, 10500);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(prng_below(&r, 1), 0);
		assert_true(prng_below(&r, UINT64_MAX) < UINT64_MAX);
	}
}

static void
percentages_hold_fractions_too(void **state)
{
	(void)state;
	struct prng r = prng_make(2);
	size_t half_percent = 0;
	size_t thirty = 0;

	for (int i = 0; i < 100000; i++) {
		half_percent += prng_percent(&r, 0.5);
		thirty += prng_percent(&r, 30);
		assert_false(prng_percent(&r, 0));
		assert_true(prng_percent(&r, 100));
	}
	assert_in_range(half_percent, 400, 600);
	assert_in_range(thirty, 29000, 31000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_numbers_for_ever),
		cmocka_unit_test(numbers_below_a_bound_fill_its_whole_range_evenly),
		cmocka_unit_test(percentages_hold_fractions_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
