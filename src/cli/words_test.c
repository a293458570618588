/* Times, spans, sizes and guesses in words. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "cli/words.h"

static struct buf b;

static int
set_up(void **state)
{
	(void)state;
	buf_init(&b, 1000);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_done(&b);
	return 0;
}

#define ASSERT_SAYS(call, want)                                                                    \
	do {                                                                                       \
		buf_clear(&b);                                                                     \
		call;                                                                              \
		assert_string_equal(buf_cstr(&b), want);                                           \
	} while (0)

static void
says_how_long_ago_something_was(void **state)
{
	(void)state;
	ASSERT_SAYS(cli_words_ago(&b, 0, SECONDS(1)), "just now");
	ASSERT_SAYS(cli_words_ago(&b, 0, SECONDS(40)), "40 s ago");
	ASSERT_SAYS(cli_words_ago(&b, 0, SECONDS(119)), "119 s ago");
	ASSERT_SAYS(cli_words_ago(&b, 0, MINUTES(3) + SECONDS(59)), "3 min ago");
	ASSERT_SAYS(cli_words_ago(&b, 0, HOURS(47)), "47 h ago");
	ASSERT_SAYS(cli_words_ago(&b, 0, DAYS(5)), "5 days ago");
}

static void
says_when_something_will_be(void **state)
{
	(void)state;
	ASSERT_SAYS(cli_words_ago(&b, MS(500), 0), "now");
	ASSERT_SAYS(cli_words_ago(&b, MINUTES(5), 0), "in 5 min");
	ASSERT_SAYS(cli_words_ago(&b, HOURS(3), 0), "in 3 h");
}

static void
says_spans_with_the_digits_that_matter(void **state)
{
	(void)state;
	ASSERT_SAYS(cli_words_span(&b, 250), "250 µs");
	ASSERT_SAYS(cli_words_span(&b, MS(12) + 345), "12 ms");
	ASSERT_SAYS(cli_words_span(&b, MS(3450)), "3.4 s");
	ASSERT_SAYS(cli_words_span(&b, SECONDS(40)), "40 s");
	ASSERT_SAYS(cli_words_span(&b, MINUTES(90)), "90 min");
	ASSERT_SAYS(cli_words_span(&b, -1), "0 µs");
}

static void
says_sizes_and_numbers(void **state)
{
	(void)state;
	ASSERT_SAYS(cli_words_size(&b, 1), "1 byte");
	ASSERT_SAYS(cli_words_size(&b, 1023), "1023 bytes");
	ASSERT_SAYS(cli_words_size(&b, 4200), "4.1 KB");
	ASSERT_SAYS(cli_words_size(&b, 25u << 20), "25 MB");
	ASSERT_SAYS(cli_words_size(&b, UINT64_MAX), "16 EB");
	ASSERT_SAYS(cli_words_count(&b, 999), "999");
	ASSERT_SAYS(cli_words_count(&b, 1234567), "1,234,567");
	ASSERT_SAYS(cli_words_plural(&b, 1, "message", "messages"), "1 message");
	ASSERT_SAYS(cli_words_plural(&b, 1000, "message", "messages"), "1,000 messages");
}

static void
says_the_time_of_day_and_the_date_only_of_other_days(void **state)
{
	int64_t noon = SECONDS(1795651200ll) + HOURS(12); /* 2026-11-26 */

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	ASSERT_SAYS(cli_words_clock(&b, noon, noon + HOURS(1)), "12:00:00");
	ASSERT_SAYS(cli_words_clock(&b, noon, noon + DAYS(1)), "2026-11-26 12:00:00");
	ASSERT_SAYS(cli_words_date(&b, noon), "2026-11-26 12:00:00 +0000");
}

static void
reads_the_times_that_the_service_writes(void **state)
{
	int64_t us = 0;

	(void)state;
	assert_true(cli_words_parse_time(STR("1970-01-02T00:00:01.250Z"), &us));
	assert_int_equal(us, DAYS(1) + MS(1250));
	assert_true(cli_words_parse_time(STR("1970-01-01T01:30:00+01:30"), &us));
	assert_int_equal(us, 0);
	assert_true(cli_words_parse_time(STR("1969-12-31T23:00:00-01:00"), &us));
	assert_int_equal(us, 0);
	assert_true(cli_words_parse_time(STR("1970-01-03"), &us));
	assert_int_equal(us, DAYS(2));
}

static void
refuses_what_is_no_time(void **state)
{
	static const char *const none[] = { "", "yesterday", "1970-13-01", "1970-01-00",
		"1970-01-01T25:00", "1970-01-01T00:00:00Zx", "1970-01-01T00:00:00+1",
		"1970-01-01x" };
	int64_t us = 7;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(none); i++)
		assert_false(cli_words_parse_time(str_from(none[i]), &us));
	assert_int_equal(us, 7);
}

static void
counts_a_swap_of_neighbours_as_one_slip(void **state)
{
	(void)state;
	assert_int_equal(cli_words_distance(STR("relya"), STR("relay")), 1);
	assert_int_equal(cli_words_distance(STR("relay"), STR("relay")), 0);
	assert_int_equal(cli_words_distance(STR("Relays"), STR("relay")), 1);
	assert_int_equal(cli_words_distance(STR(""), STR("abc")), 3);
}

static const char *
guess(const char *word)
{
	static const char *const all[] = { "list", "show", "add", "edit", "pause", "resume",
		"remove" };
	struct cli_words_guess g = { .word = str_from(word) };

	for (size_t i = 0; i < COUNT_OF(all); i++)
		cli_words_offer(&g, all[i]);
	return g.best;
}

static void
guesses_the_word_that_was_meant(void **state)
{
	(void)state;
	assert_string_equal(guess("lst"), "list");
	assert_string_equal(guess("rem"), "remove");
	assert_string_equal(guess("pasue"), "pause");
	assert_null(guess("frobnicate"));
	assert_null(guess(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_how_long_ago_something_was),
		cmocka_unit_test(says_when_something_will_be),
		cmocka_unit_test(says_spans_with_the_digits_that_matter),
		cmocka_unit_test(says_sizes_and_numbers),
		cmocka_unit_test(says_the_time_of_day_and_the_date_only_of_other_days),
		cmocka_unit_test(reads_the_times_that_the_service_writes),
		cmocka_unit_test(refuses_what_is_no_time),
		cmocka_unit_test(counts_a_swap_of_neighbours_as_one_slip),
		cmocka_unit_test(guesses_the_word_that_was_meant),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
