#include "codec/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
spans_read_as_people_write_them(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		uint64_t us;
		const char *out;
	} rows[] = {
		{ "0", 0, "0" },
		{ "0s", 0, "0" },
		{ "2m", 120000000, "2m" },
		{ "500ms", 500000, "500ms" },
		{ "250us", 250, "250us" },
		{ "1h30m", 5400000000, "1h30m" },
		{ "90m", 5400000000, "1h30m" },
		{ "5d", 432000000000, "5d" },
		{ "7d", 604800000000, "1w" },
		{ "30d", 2592000000000, "4w2d" },
		{ "1w1d1h1m1s1ms1us", 694861001001, "1w1d1h1m1s1ms1us" },
		{ "365243d", 31556995200000000, "52177w4d" },
	};
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 100);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *why = "";
		uint64_t us = 1;
		assert_true(duration_parse(str_from(rows[i].in), &us, &why));
		assert_int_equal(us, rows[i].us);
		buf_clear(&b);
		duration_add(&b, us);
		assert_string_equal(buf_cstr(&b), rows[i].out);
		assert_true(duration_parse(buf_str(&b), &us, &why));
		assert_int_equal(us, rows[i].us);
	}
}

static void
spans_that_are_unclear_are_refused_with_the_remedy(void **state)
{
	(void)state;
	static const struct {
		const char *in, *why;
	} rows[] = {
		{ "", "needs a time such as 30s, 5m, 1h30m or 2d" },
		{ "30", "needs a unit: w, d, h, m, s, ms or us" },
		{ "1h30", "needs a unit: w, d, h, m, s, ms or us" },
		{ "s", "not a time: write it as 30s, 5m, 1h30m or 2d" },
		{ "-5s", "not a time: write it as 30s, 5m, 1h30m or 2d" },
		{ "5 m", "unknown unit of time: use w, d, h, m, s, ms or us" },
		{ "5M", "unknown unit of time: use w, d, h, m, s, ms or us" },
		{ "1.5h", "unknown unit of time: use w, d, h, m, s, ms or us" },
		{ "5min", "unknown unit of time: use w, d, h, m, s, ms or us" },
		{ "30m1h", "larger units come first, each once, as in 1h30m" },
		{ "1h1h", "larger units come first, each once, as in 1h30m" },
		{ "365244d", "longer than a thousand years" },
		{ "99999999999999999999s", "longer than a thousand years" },
		{ "18446744073709551615w", "longer than a thousand years" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *why = "";
		uint64_t us = 77;
		assert_false(duration_parse(str_from(rows[i].in), &us, &why));
		assert_string_equal(why, rows[i].why);
		assert_int_equal(us, 77);
	}
}

static void
sizes_are_powers_of_1024(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		uint64_t bytes;
		const char *out;
	} rows[] = {
		{ "0", 0, "0" },
		{ "1000", 1000, "1000" },
		{ "1000B", 1000, "1000" },
		{ "25M", 26214400, "25M" },
		{ "25 MB", 26214400, "25M" },
		{ "25mib", 26214400, "25M" },
		{ "1536K", 1572864, "1536K" },
		{ "2g", 2147483648, "2G" },
		{ "1T", 1099511627776, "1T" },
	};
	static const char *const bad[] = { "", "M", "25X", "25 ", "25  M", "2.5M", "25MBs", "-1",
		"25i", "9223372036854775808", "8388608T", "99999999999999999999" };
	AUTO(buf_done) struct buf b = { 0 };
	const char *why = "";
	uint64_t bytes;

	buf_init(&b, 100);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(duration_parse_size(str_from(rows[i].in), &bytes, &why));
		assert_int_equal(bytes, rows[i].bytes);
		buf_clear(&b);
		duration_add_size(&b, bytes);
		assert_string_equal(buf_cstr(&b), rows[i].out);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (duration_parse_size(str_from(bad[i]), &bytes, &why))
			fail_msg("%s", bad[i]);
	}
}

static void
rates_name_their_time(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		struct rate rate;
	} rows[] = {
		{ "10/s", { 10, DURATION_SECOND_US } },
		{ "300/m", { 300, DURATION_MINUTE_US } },
		{ "1000/h", { 1000, DURATION_HOUR_US } },
		{ "5000/d", { 5000, DURATION_DAY_US } },
	};
	static const char *const bad[] = { "", "10", "/s", "10/", "10/w", "10/S", "10 /s", "0/s",
		"-1/s", "4294967296/s", "10/sec" };
	AUTO(buf_done) struct buf b = { 0 };
	struct rate rate;
	const char *why = "";

	buf_init(&b, 100);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(duration_parse_rate(str_from(rows[i].in), &rate, &why));
		assert_int_equal(rate.count, rows[i].rate.count);
		assert_int_equal(rate.per_us, rows[i].rate.per_us);
		buf_clear(&b);
		duration_add_rate(&b, rate);
		assert_string_equal(buf_cstr(&b), rows[i].in);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (duration_parse_rate(str_from(bad[i]), &rate, &why))
			fail_msg("%s", bad[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_read_as_people_write_them),
		cmocka_unit_test(spans_that_are_unclear_are_refused_with_the_remedy),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(rates_name_their_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
