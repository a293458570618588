#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "relay/login.h"

#define NOW SECONDS(100000)

static const struct relay_verdict too_much = { .blame = RELAY_BLAME_CAPACITY,
	.action = RELAY_ACTION_SLOW,
	.cause = "too much",
	.remedy = "" };
static const struct relay_verdict wrong_sender = { .blame = RELAY_BLAME_IDENTITY,
	.action = RELAY_ACTION_HOLD_SENDER,
	.cause = "not yours",
	.remedy = "" };

/* Sends whatever may go, from NOW on in steps of `step`; the times of sending go to `sent`. */
static size_t
send_all(struct relay_login *login, struct relay_rate rate, enum stream lane, int64_t step,
    int64_t *sent, size_t max)
{
	size_t n = 0;

	for (int64_t now = NOW; n < max; now += step) {
		while (n < max && relay_login_rate_due(login, rate, lane) <= now) {
			relay_login_rate_charge(login, rate, now);
			sent[n++] = now;
		}
	}
	return n;
}

static void
no_window_of_the_period_sees_more_than_the_rate(void **state)
{
	static const struct relay_rate rates[] = { { 1, 1 }, { 3, 1 }, { 10, 1 }, { 25, 1 },
		{ 200, 60 }, { 5, 60 }, { 300, 3600 } };
	int64_t sent[1000];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rates); i++) {
		for (int lane = 0; lane < STREAM_COUNT; lane++) {
			struct relay_login *login = relay_login_new(STR("a@b"));
			size_t n = send_all(login, rates[i], (enum stream)lane,
			    SECONDS(rates[i].per_s) / 1000, sent, COUNT_OF(sent));
			for (size_t k = rates[i].count; k < n; k++)
				assert_true(
				    sent[k] - sent[k - rates[i].count] >= SECONDS(rates[i].per_s));
			/* And no less than nine tenths of it go. */
			assert_true(sent[n - 1] - sent[0] <= (int64_t)n * SECONDS(rates[i].per_s) *
								     115 / 100 / rates[i].count +
								 SECONDS(rates[i].per_s));
			relay_login_free(&login);
		}
	}
}

static void
bulk_leaves_a_tenth_of_the_rate_to_transactional_mail(void **state)
{
	struct relay_login *login = relay_login_new(STR("a@b"));
	const struct relay_rate rate = { 100, 1 };
	int early = 0;

	(void)state;
	relay_login_rate_charge(login, rate, NOW);
	assert_true(relay_login_rate_due(login, rate, STREAM_BULK) > NOW);
	while (relay_login_rate_due(login, rate, STREAM_TRANSACTIONAL) <= NOW) {
		relay_login_rate_charge(login, rate, NOW);
		early++;
	}
	assert_int_equal(early, 10);
	assert_true(relay_login_rate_used(login, rate, NOW) > 0.9);
	assert_true(relay_login_rate_used(login, rate, NOW + SECONDS(1)) < 0.001);
	relay_login_free(&login);
}

static void
a_capacity_reply_halves_what_was_in_use_once_for_one_moment(void **state)
{
	struct relay_login *login = relay_login_new(STR("a@b"));
	struct prng r = prng_make(1);

	(void)state;
	assert_true(relay_login_slow(login, &too_much, 12, 20, NOW, &r));
	assert_int_equal(login->learned, 6);
	assert_false(relay_login_slow(login, &too_much, 12, 20, NOW + SECONDS(1), &r));
	assert_int_equal(login->learned, 6);
	(void)relay_login_slow(login, &too_much, 6, 20, NOW + SECONDS(6), &r);
	assert_int_equal(login->learned, 3);
	(void)relay_login_slow(login, &too_much, 3, 20, NOW + SECONDS(12), &r);
	(void)relay_login_slow(login, &too_much, 1, 20, NOW + SECONDS(18), &r);
	assert_int_equal(login->learned, 1);
	relay_login_audit(login);
	relay_login_free(&login);
}

static void
a_calm_minute_gives_one_connection_back(void **state)
{
	struct relay_login *login = relay_login_new(STR("a@b"));
	struct prng r = prng_make(1);

	(void)state;
	(void)relay_login_slow(login, &too_much, 4, 4, NOW, &r);
	assert_int_equal(login->learned, 2);
	relay_login_went_well(login, 4, NOW + SECONDS(59));
	assert_int_equal(login->learned, 2);
	relay_login_went_well(login, 4, NOW + SECONDS(60));
	relay_login_went_well(login, 4, NOW + SECONDS(61));
	assert_int_equal(login->learned, 3);
	relay_login_went_well(login, 4, NOW + SECONDS(120));
	assert_int_equal(login->learned, 0);
	relay_login_free(&login);
}

static void
a_window_lasts_as_long_as_the_reply_asks(void **state)
{
	struct relay_login *login = relay_login_new(STR("a@b"));
	struct prng r = prng_make(1);
	struct relay_verdict v = too_much;

	(void)state;
	v.wait_us = MINUTES(15);
	(void)relay_login_slow(login, &v, 1, 1, NOW, &r);
	assert_int_equal(login->window_until_us, NOW + MINUTES(15));
	assert_int_equal(relay_login_next_us(login), NOW + MINUTES(15));
	relay_login_end_window(login);
	assert_int_equal(relay_login_next_us(login), TIME_NEVER);
	/* Without a named wait it grows from one window to the next. */
	(void)relay_login_slow(login, &too_much, 1, 1, NOW, &r);
	assert_true(login->window_until_us > NOW + SECONDS(15));
	relay_login_free(&login);
}

static void
a_held_sender_is_known_in_any_case_and_held_longer_the_next_time(void **state)
{
	struct relay_login *login = relay_login_new(STR("a@b"));
	struct prng r = prng_make(1);

	(void)state;
	struct relay_hold *h =
	    relay_login_hold(login, STR("Bad@x.org"), &wrong_sender, false, NOW, &r);
	assert_true(h->fresh && h->held);
	assert_int_equal(h->until_us, NOW + HOURS(1));
	assert_ptr_equal(relay_login_find_hold(login, STR("bad@X.org")), h);
	assert_null(relay_login_find_hold(login, STR("good@x.org")));
	(void)relay_login_hold(login, STR("bad@x.org"), &wrong_sender, false, NOW, &r);
	assert_false(h->fresh);
	assert_int_equal(h->times, 1);
	h->held = false;
	(void)relay_login_hold(login, STR("bad@x.org"), &wrong_sender, false, NOW, &r);
	assert_true(h->fresh);
	assert_int_equal(h->until_us, NOW + HOURS(2));
	relay_login_audit(login);
	relay_login_free(&login);
}

static void
the_null_sender_is_held_under_its_own_name(void **state)
{
	struct relay_login *login = relay_login_new(STR("a@b"));
	struct prng r = prng_make(1);

	(void)state;
	(void)relay_login_hold(login, STR(""), &wrong_sender, false, NOW, &r);
	assert_non_null(relay_login_find_hold(login, STR("<>")));
	assert_non_null(relay_login_find_hold(login, STR("")));
	relay_login_free(&login);
}

static void
held_senders_are_bounded(void **state)
{
	struct relay_login *login = relay_login_new(STR("a@b"));
	struct prng r = prng_make(1);
	char name[32];

	(void)state;
	for (int i = 0; i < (int)RELAY_HOLDS_MAX + 50; i++) {
		(void)snprintf(name, sizeof(name), "s%d@x.org", i);
		(void)relay_login_hold(
		    login, str_from(name), &wrong_sender, false, NOW + SECONDS(i), &r);
	}
	assert_int_equal(relay_login_held_count(login), RELAY_HOLDS_MAX);
	assert_null(relay_login_find_hold(login, STR("s0@x.org")));
	assert_non_null(relay_login_find_hold(login, STR("s1049@x.org")));
	relay_login_free(&login);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_window_of_the_period_sees_more_than_the_rate),
		cmocka_unit_test(bulk_leaves_a_tenth_of_the_rate_to_transactional_mail),
		cmocka_unit_test(a_capacity_reply_halves_what_was_in_use_once_for_one_moment),
		cmocka_unit_test(a_calm_minute_gives_one_connection_back),
		cmocka_unit_test(a_window_lasts_as_long_as_the_reply_asks),
		cmocka_unit_test(a_held_sender_is_known_in_any_case_and_held_longer_the_next_time),
		cmocka_unit_test(the_null_sender_is_held_under_its_own_name),
		cmocka_unit_test(held_senders_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
