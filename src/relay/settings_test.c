#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/settings.h"

static void
names_lead_back_to_their_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < RELAY_TLS_COUNT; i++) {
		enum relay_tls tls = (enum relay_tls)((i + 1) % RELAY_TLS_COUNT);
		assert_true(relay_tls_parse(str_from(relay_tls_name((enum relay_tls)i)), &tls));
		assert_int_equal(tls, i);
	}
	for (size_t i = 0; i < RELAY_AUTH_COUNT; i++) {
		enum relay_auth auth = (enum relay_auth)((i + 1) % RELAY_AUTH_COUNT);
		assert_true(relay_auth_parse(str_from(relay_auth_name((enum relay_auth)i)), &auth));
		assert_int_equal(auth, i);
	}
}

static void
ssl_means_implicit_tls_and_nonsense_nothing(void **state)
{
	enum relay_tls tls = RELAY_TLS_NONE;
	enum relay_auth auth = RELAY_AUTH_LOGIN;

	(void)state;
	assert_true(relay_tls_parse(STR("SSL"), &tls));
	assert_int_equal(tls, RELAY_TLS_IMPLICIT);
	assert_false(relay_tls_parse(STR("opportunistic"), &tls));
	assert_false(relay_tls_parse(STR(""), &tls));
	assert_false(relay_auth_parse(STR("ntlm"), &auth));
	assert_int_equal(tls, RELAY_TLS_IMPLICIT);
	assert_int_equal(auth, RELAY_AUTH_LOGIN);
}

static void
rates_are_read_and_written_alike(void **state)
{
	static const char *const rates[] = { "1/s", "200/m", "5000/h", "300/d", "1000000/s" };
	char text[RELAY_RATE_TEXT_SIZE];
	struct relay_rate rate;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rates); i++) {
		assert_int_equal(relay_rate_parse(str_from(rates[i]), &rate), RC_OK);
		relay_rate_format(rate, text);
		assert_string_equal(text, rates[i]);
	}
	relay_rate_format((struct relay_rate){ 0 }, text);
	assert_string_equal(text, "none");
}

static void
a_malformed_rate_is_refused(void **state)
{
	static const char *const bad[] = { "", "/", "/s", "10", "10/", "0/s", "-1/s", "10/w",
		"10/ss", "1000001/s", "10/s ", "1.5/s" };
	struct relay_rate rate = { 7, 60 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(relay_rate_parse(str_from(bad[i]), &rate), RC_INVALID);
	assert_int_equal(rate.count, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_lead_back_to_their_values),
		cmocka_unit_test(ssl_means_implicit_tls_and_nonsense_nothing),
		cmocka_unit_test(rates_are_read_and_written_alike),
		cmocka_unit_test(a_malformed_rate_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
