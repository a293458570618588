#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "queue/doubt.h"

#define NOW SECONDS(1000)

static struct queue_doubt_verdict
decide(enum queue_doubt_policy p, unsigned doubts, int64_t deadline_us)
{
	struct queue_doubt d = {
		.policy = p, .doubts = doubts, .since_us = NOW, .deadline_us = deadline_us
	};
	return queue_doubt_decide(&d, NOW);
}

static void
at_least_once_repeats_after_a_minute(void **state)
{
	struct queue_doubt_verdict v = decide(QUEUE_DOUBT_AT_LEAST_ONCE, 1, TIME_NEVER);

	(void)state;
	assert_int_equal(v.step, QUEUE_DOUBT_REPEAT);
	assert_int_equal(v.at_us, NOW + SECONDS(60));
}

static void
balanced_gives_evidence_a_quarter_of_an_hour(void **state)
{
	struct queue_doubt_verdict v = decide(QUEUE_DOUBT_BALANCED, 1, TIME_NEVER);

	(void)state;
	assert_int_equal(v.step, QUEUE_DOUBT_REPEAT);
	assert_int_equal(v.at_us, NOW + MINUTES(15));
}

static void
at_most_once_is_held_until_somebody_decides(void **state)
{
	struct queue_doubt_verdict v = decide(QUEUE_DOUBT_AT_MOST_ONCE, 1, TIME_NEVER);

	(void)state;
	assert_int_equal(v.step, QUEUE_DOUBT_HOLD);
	assert_int_equal(v.at_us, TIME_NEVER);
	v = decide(QUEUE_DOUBT_AT_MOST_ONCE, 1, NOW + SECONDS(5));
	assert_int_equal(v.step, QUEUE_DOUBT_HOLD);
	assert_int_equal(v.at_us, NOW + SECONDS(5));
}

static void
a_second_doubt_ends_as_unknown_under_every_policy(void **state)
{
	(void)state;
	for (size_t p = 0; p < QUEUE_DOUBT_POLICY_COUNT; p++) {
		assert_int_not_equal(
		    decide((enum queue_doubt_policy)p, 1, TIME_NEVER).step, QUEUE_DOUBT_UNKNOWN);
		assert_int_equal(
		    decide((enum queue_doubt_policy)p, 2, TIME_NEVER).step, QUEUE_DOUBT_UNKNOWN);
	}
}

static void
a_deadline_reached_in_doubt_ends_as_unknown(void **state)
{
	(void)state;
	for (size_t p = 0; p < QUEUE_DOUBT_POLICY_COUNT; p++) {
		assert_int_equal(
		    decide((enum queue_doubt_policy)p, 1, NOW).step, QUEUE_DOUBT_UNKNOWN);
		assert_int_not_equal(
		    decide((enum queue_doubt_policy)p, 1, NOW + 1).step, QUEUE_DOUBT_UNKNOWN);
	}
}

static void
a_repeat_that_would_come_after_the_deadline_is_not_made(void **state)
{
	struct queue_doubt_verdict v = decide(QUEUE_DOUBT_AT_LEAST_ONCE, 1, NOW + SECONDS(60));

	(void)state;
	assert_int_equal(v.step, QUEUE_DOUBT_HOLD);
	assert_int_equal(v.at_us, NOW + SECONDS(60));
	v = decide(QUEUE_DOUBT_AT_LEAST_ONCE, 1, NOW + SECONDS(60) + 1);
	assert_int_equal(v.step, QUEUE_DOUBT_REPEAT);
}

static void
after_a_restart_the_repeat_counts_from_when_the_doubt_arose(void **state)
{
	struct queue_doubt d = { .policy = QUEUE_DOUBT_BALANCED,
		.doubts = 1,
		.since_us = NOW - HOURS(2),
		.deadline_us = TIME_NEVER };
	struct queue_doubt_verdict v = queue_doubt_decide(&d, NOW);

	(void)state;
	assert_int_equal(v.step, QUEUE_DOUBT_REPEAT);
	assert_true(v.at_us < NOW);
}

static void
names_lead_back_to_their_policies(void **state)
{
	enum queue_doubt_policy p = QUEUE_DOUBT_AT_LEAST_ONCE;

	(void)state;
	for (size_t i = QUEUE_DOUBT_POLICY_COUNT; i-- > 0;) {
		assert_true(
		    queue_doubt_parse(str_from(queue_doubt_name((enum queue_doubt_policy)i)), &p));
		assert_int_equal(p, i);
	}
	assert_true(queue_doubt_parse(STR("Balanced"), &p));
	assert_false(queue_doubt_parse(STR("never"), &p));
	assert_int_equal(p, QUEUE_DOUBT_BALANCED);
	assert_int_equal(queue_doubt_default(STREAM_TRANSACTIONAL), QUEUE_DOUBT_AT_LEAST_ONCE);
	assert_int_equal(queue_doubt_default(STREAM_BULK), QUEUE_DOUBT_AT_MOST_ONCE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_least_once_repeats_after_a_minute),
		cmocka_unit_test(balanced_gives_evidence_a_quarter_of_an_hour),
		cmocka_unit_test(at_most_once_is_held_until_somebody_decides),
		cmocka_unit_test(a_second_doubt_ends_as_unknown_under_every_policy),
		cmocka_unit_test(a_deadline_reached_in_doubt_ends_as_unknown),
		cmocka_unit_test(a_repeat_that_would_come_after_the_deadline_is_not_made),
		cmocka_unit_test(after_a_restart_the_repeat_counts_from_when_the_doubt_arose),
		cmocka_unit_test(names_lead_back_to_their_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
