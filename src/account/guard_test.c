#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account/guard.h"
#include "base/clock.h"
#include "base/compiler.h"

static struct ip
ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(str_from(text), &ip));
	return ip;
}

/* `n` wrong logins of one address, a second apart. */
static void
fail_logins(struct account_guard *g, const struct ip *peer, const char *user, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		account_guard_note(g, peer, str_from(user), false, SECONDS(i + 1));
}

static bool
is_blocked(struct account_guard *g, const struct ip *peer, const char *user, int64_t now_us)
{
	int64_t until = 0;
	bool yes = account_guard_is_blocked(g, peer, str_from(user), now_us, &until);

	assert_true(!yes || until > now_us);
	return yes;
}

static void
an_address_that_guesses_is_blocked_for_a_while(void **state)
{
	AUTO(account_guard_free) struct account_guard *g = account_guard_new();
	struct ip bad = ip_of("192.0.2.1"), other = ip_of("192.0.2.2");

	(void)state;
	for (unsigned i = 0; i < 11; i++) {
		char user[16];
		snprintf(user, sizeof(user), "u%u", i);
		assert_false(is_blocked(g, &bad, "x", SECONDS(i)));
		account_guard_note(g, &bad, str_from(user), false, SECONDS(i));
	}
	assert_true(is_blocked(g, &bad, "x", SECONDS(11)));
	assert_false(is_blocked(g, &other, "x", SECONDS(11)));
	assert_false(is_blocked(g, &bad, "x", SECONDS(11) + MINUTES(1)));
}

static void
a_credential_that_is_guessed_from_everywhere_is_blocked(void **state)
{
	AUTO(account_guard_free) struct account_guard *g = account_guard_new();

	(void)state;
	for (unsigned i = 0; i < 21; i++) {
		char text[32];
		snprintf(text, sizeof(text), "198.51.100.%u", i);
		struct ip peer = ip_of(text);
		account_guard_note(g, &peer, STR("Shop"), false, SECONDS(i));
	}
	struct ip fresh = ip_of("203.0.113.9");
	assert_true(is_blocked(g, &fresh, "shop", SECONDS(22)));
	assert_false(is_blocked(g, &fresh, "other", SECONDS(22)));
}

static void
addresses_of_one_v6_network_are_one_guesser(void **state)
{
	AUTO(account_guard_free) struct account_guard *g = account_guard_new();
	struct ip one = ip_of("2001:db8::1"), two = ip_of("2001:db8::2");
	struct ip far = ip_of("2001:db8:0:1::1");

	(void)state;
	fail_logins(g, &one, "a", 6);
	fail_logins(g, &two, "b", 6);
	assert_true(is_blocked(g, &one, "x", SECONDS(7)));
	assert_false(is_blocked(g, &far, "x", SECONDS(7)));
}

static void
who_mistypes_and_gets_in_starts_anew(void **state)
{
	AUTO(account_guard_free) struct account_guard *g = account_guard_new();
	struct ip peer = ip_of("192.0.2.1");

	(void)state;
	fail_logins(g, &peer, "me", 9);
	account_guard_note(g, &peer, STR("me"), true, SECONDS(10));
	fail_logins(g, &peer, "me", 9);
	assert_false(is_blocked(g, &peer, "me", SECONDS(20)));
}

static void
one_right_secret_does_not_excuse_guesses_at_others(void **state)
{
	AUTO(account_guard_free) struct account_guard *g = account_guard_new();
	struct ip peer = ip_of("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < 11; i++) {
		char victim[16];
		snprintf(victim, sizeof(victim), "v%u", i);
		account_guard_note(g, &peer, str_from(victim), false, SECONDS(i));
		account_guard_note(g, &peer, STR("mine"), true, SECONDS(i));
	}
	assert_true(is_blocked(g, &peer, "v", SECONDS(12)));
}

static void
an_address_that_says_nothing_is_not_blocked_but_the_credential_is(void **state)
{
	AUTO(account_guard_free) struct account_guard *g = account_guard_new();

	(void)state;
	fail_logins(g, NULL, "shop", 21);
	assert_false(is_blocked(g, NULL, "other", SECONDS(22)));
	assert_true(is_blocked(g, NULL, "shop", SECONDS(22)));
}

static void
blocks_grow_with_each_one(void **state)
{
	AUTO(account_guard_free) struct account_guard *g = account_guard_new();
	struct ip peer = ip_of("192.0.2.1");
	int64_t first = 0, second = 0;

	(void)state;
	for (unsigned i = 0; i < 11; i++)
		account_guard_note(g, &peer, STR("a"), false, SECONDS(1));
	assert_true(account_guard_is_blocked(g, &peer, STR("x"), SECONDS(1), &first));
	for (unsigned i = 0; i < 11; i++)
		account_guard_note(g, &peer, STR("a"), false, MINUTES(2));
	assert_true(account_guard_is_blocked(g, &peer, STR("x"), MINUTES(2), &second));
	assert_true(second - MINUTES(2) > first - SECONDS(1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_that_guesses_is_blocked_for_a_while),
		cmocka_unit_test(a_credential_that_is_guessed_from_everywhere_is_blocked),
		cmocka_unit_test(addresses_of_one_v6_network_are_one_guesser),
		cmocka_unit_test(who_mistypes_and_gets_in_starts_anew),
		cmocka_unit_test(one_right_secret_does_not_excuse_guesses_at_others),
		cmocka_unit_test(an_address_that_says_nothing_is_not_blocked_but_the_credential_is),
		cmocka_unit_test(blocks_grow_with_each_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
