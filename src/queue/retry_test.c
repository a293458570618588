#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "queue/retry.h"

#define NOW SECONDS(1000000)

/* Draws many times; every draw must lie in [least, most], and both tenths of that span must be met.
 */
static void
assert_spread(struct queue_retry retry, int64_t least, int64_t most)
{
	struct prng r = prng_make(7);
	int64_t low = INT64_MAX, high = 0;

	for (int i = 0; i < 2000; i++) {
		int64_t d = queue_retry_due_us(&queue_retry_default, &retry, NOW, &r) - NOW;
		low = d < low ? d : low;
		high = d > high ? d : high;
	}
	assert_true(low >= least && low <= least + (most - least) / 10);
	assert_true(high <= most && high >= most - (most - least) / 10);
}

static void
a_refused_recipient_follows_the_schedule_and_its_last_step_repeats(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 12; n++) {
		int64_t step = queue_retry_default.step_us[n < 7 ? n - 1 : 6];
		assert_spread((struct queue_retry){ QUEUE_RETRY_RECIPIENT, n, 0 }, step - step / 10,
		    step + step / 10);
	}
}

static void
a_capacity_refusal_never_waits_longer_than_a_quarter_of_an_hour(void **state)
{
	(void)state;
	assert_spread(
	    (struct queue_retry){ QUEUE_RETRY_CAPACITY, 1, 0 }, SECONDS(108), SECONDS(132));
	assert_spread(
	    (struct queue_retry){ QUEUE_RETRY_CAPACITY, 9, 0 }, SECONDS(810), SECONDS(990));
}

static void
after_a_fault_of_the_relay_the_item_is_soon_at_hand_again(void **state)
{
	(void)state;
	assert_spread((struct queue_retry){ QUEUE_RETRY_RELAY, 40, 0 }, SECONDS(54), SECONDS(66));
}

static void
a_named_wait_replaces_the_schedule_and_is_never_undercut(void **state)
{
	(void)state;
	assert_spread((struct queue_retry){ QUEUE_RETRY_RECIPIENT, 3, SECONDS(30) }, SECONDS(30),
	    SECONDS(33));
	assert_spread(
	    (struct queue_retry){ QUEUE_RETRY_CAPACITY, 1, HOURS(1) }, HOURS(1), MINUTES(66));
}

static void
a_short_wait_named_again_and_again_gives_way_to_the_schedule(void **state)
{
	(void)state;
	assert_spread(
	    (struct queue_retry){ QUEUE_RETRY_RECIPIENT, 4, SECONDS(1) }, MINUTES(27), MINUTES(33));
	assert_spread((struct queue_retry){ QUEUE_RETRY_RECIPIENT, 4, MINUTES(29) }, MINUTES(29),
	    MINUTES(33));
}

static void
an_absurd_wait_is_trusted_for_a_day_at_most(void **state)
{
	(void)state;
	assert_spread((struct queue_retry){ QUEUE_RETRY_RECIPIENT, 1, INT64_MAX }, DAYS(1),
	    DAYS(1) + DAYS(1) / 10);
	assert_spread(
	    (struct queue_retry){ QUEUE_RETRY_RECIPIENT, 1, -5 }, SECONDS(108), SECONDS(132));
	assert_spread((struct queue_retry){ QUEUE_RETRY_RECIPIENT, 1, 1 }, SECONDS(1), MS(1100));
}

static void
the_same_seed_gives_the_same_times(void **state)
{
	struct prng a = prng_make(3), b = prng_make(3);
	struct queue_retry retry = { QUEUE_RETRY_RECIPIENT, 2, 0 };

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(queue_retry_due_us(&queue_retry_default, &retry, NOW, &a),
		    queue_retry_due_us(&queue_retry_default, &retry, NOW, &b));
}

static void
a_schedule_is_read_from_text(void **state)
{
	struct queue_retry_schedule s;

	(void)state;
	assert_int_equal(queue_retry_parse(STR("2m 5m 15m 30m 1h 2h 4h"), &s, NULL), RC_OK);
	assert_memory_equal(&s, &queue_retry_default, sizeof(s));
	assert_int_equal(queue_retry_parse(STR("  1s  7D "), &s, NULL), RC_OK);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.step_us[0], SECONDS(1));
	assert_int_equal(s.step_us[1], DAYS(7));
}

static void
a_bad_schedule_is_refused_and_leaves_the_old_one(void **state)
{
	static const char *const bad[] = { "", " ", "5", "m", "0m", "8d", "5m 2m", "-1m", "1.5h",
		"1m,2m", "99999999999999999999s", "18446744073709551615d", "5w",
		"1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s" };
	struct queue_retry_schedule s = queue_retry_default;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fault f = { 0 };
		assert_int_not_equal(queue_retry_parse(str_from(bad[i]), &s, &f), RC_OK);
		assert_true(f.text[0] != '\0');
	}
	assert_memory_equal(&s, &queue_retry_default, sizeof(s));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_refused_recipient_follows_the_schedule_and_its_last_step_repeats),
		cmocka_unit_test(a_capacity_refusal_never_waits_longer_than_a_quarter_of_an_hour),
		cmocka_unit_test(after_a_fault_of_the_relay_the_item_is_soon_at_hand_again),
		cmocka_unit_test(a_named_wait_replaces_the_schedule_and_is_never_undercut),
		cmocka_unit_test(a_short_wait_named_again_and_again_gives_way_to_the_schedule),
		cmocka_unit_test(an_absurd_wait_is_trusted_for_a_day_at_most),
		cmocka_unit_test(the_same_seed_gives_the_same_times),
		cmocka_unit_test(a_schedule_is_read_from_text),
		cmocka_unit_test(a_bad_schedule_is_refused_and_leaves_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
