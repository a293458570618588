#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/answers.h"
#include "net/dns_test.h"

static const struct dns_row rows[] = {
	{ "example.com", DNS_WIRE_TXT, 300, "v=spf1 -all" },
	{ "example.com", DNS_WIRE_MX, 300, "10 a.example.com" },
	{ 0 },
};

static void
done(void *arg)
{
	loop_stop(arg);
}

static void
what_is_not_known_is_noted_and_fetched_together(void **state)
{
	struct dns_server server;
	struct loop *loop = loop_new();
	struct resolver *resolver = NULL;

	(void)state;
	dns_server_init(&server, loop, rows);
	struct resolver_opts opts = { .servers = server.servers };
	assert_int_equal(resolver_new(loop, &opts, &resolver, NULL), RC_OK);
	struct answers *a = answers_new(resolver, SECONDS(10));
	assert_false(answers_is_wanting(a));
	assert_null(answers_ask(a, DNS_TXT, STR("example.com")));
	assert_null(answers_ask(a, DNS_TXT, STR("Example.com.")));
	assert_null(answers_ask(a, DNS_MX, STR("example.com")));
	assert_null(answers_ask(a, DNS_TXT, STR("gone.example")));
	assert_true(answers_is_wanting(a));
	answers_fetch(a, done, loop);
	assert_false(answers_is_wanting(a));
	loop_run(loop);
	assert_int_equal(server.asked, 3);
	const struct dns_answer *txt = answers_ask(a, DNS_TXT, STR("example.com"));
	assert_non_null(txt);
	assert_true(str_eq(txt->records[0].text, STR("v=spf1 -all")));
	assert_int_equal(answers_ask(a, DNS_TXT, STR("gone.example"))->rc, RC_NOT_FOUND);
	assert_false(answers_is_wanting(a));
	answers_free(&a);
	resolver_free(&resolver);
	dns_server_done(&server);
	loop_free(&loop);
}

static void
without_a_resolver_it_knows_what_was_put_in(void **state)
{
	const struct dns_record record = { .text = STR_INIT("hello") };
	const struct dns_answer answer = { .rc = RC_OK, .records = &record, .count = 1 };
	struct answers *a = answers_new(NULL, 0);

	(void)state;
	answers_put(a, DNS_TXT, STR("A.example"), &answer);
	assert_true(
	    str_eq(answers_ask(a, DNS_TXT, STR("a.example"))->records[0].text, STR("hello")));
	assert_int_equal(answers_ask(a, DNS_MX, STR("a.example"))->rc, RC_NOT_FOUND);
	assert_false(answers_is_wanting(a));
	answers_free(&a);
}

static void
a_computation_that_asks_for_ever_meets_a_limit(void **state)
{
	struct loop *loop = loop_new();
	struct resolver *resolver = NULL;
	const struct dns_answer *last = NULL;
	char name[32];

	(void)state;
	assert_int_equal(resolver_new(loop, NULL, &resolver, NULL), RC_OK);
	struct answers *a = answers_new(resolver, SECONDS(1));
	for (unsigned i = 0; i <= ANSWERS_MAX; i++) {
		assert_null(last);
		snprintf(name, sizeof(name), "n%u.example", i);
		last = answers_ask(a, DNS_A, str_from(name));
	}
	assert_non_null(last);
	assert_int_equal(last->rc, RC_LIMIT);
	answers_free(&a);
	resolver_free(&resolver);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_known_is_noted_and_fetched_together),
		cmocka_unit_test(without_a_resolver_it_knows_what_was_put_in),
		cmocka_unit_test(a_computation_that_asks_for_ever_meets_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
