#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

static void
times_are_written_as_rfc_3339_in_utc(void **state)
{
	(void)state;
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 999, "1970-01-01T00:00:00.000Z" },
		{ 1000, "1970-01-01T00:00:00.001Z" },
		{ 1795420113123999, "2026-11-23T07:48:33.123Z" },
		{ 951782400000000, "2000-02-29T00:00:00.000Z" },
		{ 4102444799999999, "2099-12-31T23:59:59.999Z" },
		{ -1000, "1969-12-31T23:59:59.999Z" },
		{ -86400000000, "1969-12-31T00:00:00.000Z" },
	};
	char out[CLOCK_TEXT_SIZE];

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		clock_format(rows[i].us, out);
		assert_string_equal(out, rows[i].text);
	}
}

static void
times_beyond_every_calendar_still_have_the_shape(void **state)
{
	(void)state;
	char out[CLOCK_TEXT_SIZE];

	clock_format(TIME_NEVER, out);
	assert_int_equal(strlen(out), 24);
	clock_format(INT64_MIN, out);
	assert_non_null(memchr(out, 'Z', sizeof(out)));
}

static void
monotonic_time_never_goes_back(void **state)
{
	(void)state;
	int64_t before = clock_monotonic_us();

	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_monotonic_us();
		assert_true(now >= before);
		before = now;
	}
}

static void
wall_time_is_that_of_the_system(void **state)
{
	(void)state;
	time_t before = time(NULL);
	int64_t now = clock_wall_us();
	time_t after = time(NULL);

	/* time() may lag behind by a tick, so a second's leeway on either side. */
	assert_true(now >= SECONDS(before - 1) && now <= SECONDS(after + 2));
}

static void
units_are_microseconds(void **state)
{
	(void)state;
	assert_int_equal(MS(3), 3000);
	assert_int_equal(SECONDS(1), MS(1000));
	assert_int_equal(MINUTES(1), SECONDS(60));
	assert_int_equal(HOURS(1), MINUTES(60));
	assert_int_equal(DAYS(5), HOURS(120));
	assert_true(TIME_NEVER > DAYS(365) * 200000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_written_as_rfc_3339_in_utc),
		cmocka_unit_test(times_beyond_every_calendar_still_have_the_shape),
		cmocka_unit_test(monotonic_time_never_goes_back),
		cmocka_unit_test(wall_time_is_that_of_the_system),
		cmocka_unit_test(units_are_microseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
