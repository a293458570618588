#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/dns_test.h"
#include "net/resolver.h"

static const struct dns_row rows[] = {
	{ "mail.example.com", DNS_WIRE_A, 300, "192.0.2.1" },
	{ "mail.example.com", DNS_WIRE_A, 200, "192.0.2.2" },
	{ "mail.example.com", DNS_WIRE_AAAA, 300, "2001:db8::1" },
	{ "example.com", DNS_WIRE_MX, 300, "20 b.example.com" },
	{ "example.com", DNS_WIRE_MX, 300, "10 a.example.com" },
	{ "example.com", DNS_WIRE_TXT, 300, "v=spf1| -all" },
	{ "_submissions._tcp.example.com", DNS_WIRE_SRV, 300, "0 1 465 mail.example.com" },
	{ "1.2.0.192.in-addr.arpa", DNS_WIRE_PTR, 300, "mail.example.com" },
	{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_WIRE_PTR,
	    300, "six.example.com" },
	{ 0 },
};

struct scene {
	struct loop *loop;
	struct dns_server server;
	struct resolver *resolver;
	struct loop_timer guard;
	unsigned waiting; /* answers until the loop stops */
	unsigned answered;
	enum rc rc; /* of the last answer, like what follows */
	bool name_exists;
	size_t count;
	char texts[4][64];
	unsigned preference;
	int64_t ttl_us;
	struct fault fault;
};

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("no answer");
}

static int
setup(void **state)
{
	static struct scene s;
	struct resolver_opts opts;

	s = (struct scene){ .loop = loop_new() };
	dns_server_init(&s.server, s.loop, rows);
	opts = (struct resolver_opts){ .servers = s.server.servers };
	loop_timer_init(&s.guard, too_late, &s);
	*state = &s;
	return resolver_new(s.loop, &opts, &s.resolver, NULL) == RC_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	resolver_free(&s->resolver);
	dns_server_done(&s->server);
	loop_free(&s->loop);
	return 0;
}

static void
on_answer(void *arg, const struct dns_answer *a)
{
	struct scene *s = arg;

	s->answered++;
	s->rc = a->rc;
	s->name_exists = a->name_exists;
	s->count = a->count;
	s->ttl_us = a->ttl_us;
	s->fault = a->fault;
	assert_true((a->rc == RC_OK) == (a->count > 0));
	assert_true((a->rc == RC_OK) == (a->fault.text[0] == '\0'));
	for (size_t i = 0; i < a->count && i < 4; i++) {
		char ip[NET_ADDR_TEXT_SIZE];
		if (a->records[i].addr.family != NET_NONE) {
			net_addr_format_ip(&a->records[i].addr, ip);
			snprintf(s->texts[i], sizeof(s->texts[i]), "%.63s", ip);
		} else {
			snprintf(
			    s->texts[i], sizeof(s->texts[i]), "%.*s", STR_ARG(a->records[i].text));
		}
	}
	if (a->count != 0)
		s->preference = a->records[0].preference;
	if (--s->waiting == 0)
		loop_stop(s->loop);
}

static void
run(struct scene *s, unsigned answers)
{
	s->waiting = answers;
	loop_timer_set(s->loop, &s->guard, loop_now_us(s->loop) + SECONDS(20));
	loop_run(s->loop);
	loop_timer_cancel(s->loop, &s->guard);
}

static void
ask(struct scene *s, enum dns_type type, const char *name)
{
	unsigned before = s->answered;

	resolver_lookup(s->resolver, type, str_from(name), SECONDS(10), on_answer, s);
	assert_int_equal(s->answered, before);
	run(s, 1);
	assert_int_equal(s->answered, before + 1);
}

static void
addresses_are_found_and_kept_for_their_time(void **state)
{
	struct scene *s = *state;

	ask(s, DNS_A, "mail.example.com");
	assert_int_equal(s->rc, RC_OK);
	assert_int_equal(s->count, 2);
	assert_string_equal(s->texts[0], "192.0.2.1");
	assert_string_equal(s->texts[1], "192.0.2.2");
	assert_true(s->ttl_us > SECONDS(190) && s->ttl_us <= SECONDS(200));
	unsigned asked = s->server.asked;
	ask(s, DNS_A, "MAIL.example.com.");
	assert_int_equal(s->count, 2);
	assert_int_equal(s->server.asked, asked);
	ask(s, DNS_AAAA, "mail.example.com");
	assert_string_equal(s->texts[0], "2001:db8::1");
	assert_true(s->server.asked > asked);
	asked = s->server.asked;
	resolver_clear(s->resolver);
	ask(s, DNS_A, "mail.example.com");
	assert_true(s->server.asked > asked);
}

static void
the_least_recently_used_answer_makes_room(void **state)
{
	struct scene *s = *state;
	const struct resolver_opts two = { .servers = s->server.servers, .max_entries = 2 };

	resolver_free(&s->resolver);
	assert_int_equal(resolver_new(s->loop, &two, &s->resolver, NULL), RC_OK);
	ask(s, DNS_MX, "example.com");
	ask(s, DNS_TXT, "example.com");
	ask(s, DNS_MX, "example.com");
	ask(s, DNS_PTR, "192.0.2.1");
	assert_int_equal(s->server.asked, 3);
	ask(s, DNS_MX, "example.com");
	assert_int_equal(s->server.asked, 3);
	ask(s, DNS_TXT, "example.com");
	assert_int_equal(s->server.asked, 4);
}

static void
mail_exchangers_come_in_order(void **state)
{
	struct scene *s = *state;

	ask(s, DNS_MX, "example.com");
	assert_int_equal(s->count, 2);
	assert_string_equal(s->texts[0], "a.example.com");
	assert_int_equal(s->preference, 10);
	assert_string_equal(s->texts[1], "b.example.com");
}

static void
texts_and_names_of_addresses_are_found(void **state)
{
	struct scene *s = *state;

	ask(s, DNS_TXT, "example.com");
	assert_string_equal(s->texts[0], "v=spf1 -all");
	ask(s, DNS_PTR, "192.0.2.1");
	assert_string_equal(s->texts[0], "mail.example.com");
	ask(s, DNS_PTR, "2001:db8::1");
	assert_string_equal(s->texts[0], "six.example.com");
}

static void
a_missing_name_and_a_missing_type_are_told_apart_and_remembered(void **state)
{
	struct scene *s = *state;

	ask(s, DNS_MX, "nowhere.example");
	assert_int_equal(s->rc, RC_NOT_FOUND);
	assert_false(s->name_exists);
	assert_true(s->ttl_us > SECONDS(6) && s->ttl_us <= SECONDS(7));
	assert_non_null(strstr(s->fault.text, "no such name as nowhere.example"));
	ask(s, DNS_MX, "mail.example.com");
	assert_int_equal(s->rc, RC_NOT_FOUND);
	assert_true(s->name_exists);
	assert_non_null(strstr(s->fault.text, "mail.example.com has no MX record"));
	ask(s, DNS_A, "nowhere.example");
	assert_int_equal(s->rc, RC_NOT_FOUND);
	unsigned asked = s->server.asked;
	ask(s, DNS_MX, "nowhere.example");
	ask(s, DNS_MX, "mail.example.com");
	ask(s, DNS_A, "nowhere.example");
	assert_int_equal(s->rc, RC_NOT_FOUND);
	assert_int_equal(s->server.asked, asked);
}

static void
services_are_found(void **state)
{
	struct scene *s = *state;

	ask(s, DNS_SRV, "_submissions._tcp.example.com");
	assert_int_equal(s->rc, RC_OK);
	assert_string_equal(s->texts[0], "mail.example.com");
	ask(s, DNS_SRV, "_imap._tcp.example.com");
	assert_int_equal(s->rc, RC_NOT_FOUND);
	assert_false(s->name_exists);
}

static void
a_failing_server_is_a_failure_and_is_not_remembered(void **state)
{
	struct scene *s = *state;

	ask(s, DNS_MX, "broken.example");
	assert_int_equal(s->rc, RC_DNS);
	unsigned asked = s->server.asked;
	ask(s, DNS_MX, "broken.example");
	assert_int_equal(s->rc, RC_DNS);
	assert_true(s->server.asked > asked);
	ask(s, DNS_A, "broken.example");
	assert_int_equal(s->rc, RC_DNS);
}

static void
a_silent_server_meets_the_deadline(void **state)
{
	struct scene *s = *state;

	resolver_lookup(s->resolver, DNS_A, STR("silent.example"), MS(20), on_answer, s);
	run(s, 1);
	assert_int_equal(s->rc, RC_TIMEOUT);
}

static void
lookups_of_one_name_share_one_query(void **state)
{
	struct scene *s = *state;

	resolver_lookup(s->resolver, DNS_MX, STR("example.com"), SECONDS(10), on_answer, s);
	resolver_lookup(s->resolver, DNS_MX, STR("Example.com"), SECONDS(10), on_answer, s);
	run(s, 2);
	assert_int_equal(s->answered, 2);
	assert_int_equal(s->server.asked, 1);
}

static void
a_cancelled_lookup_is_never_answered(void **state)
{
	struct scene *s = *state;
	struct lookup *a, *b;

	a = resolver_lookup(s->resolver, DNS_MX, STR("example.com"), SECONDS(10), on_answer, s);
	resolver_cancel(&a);
	assert_null(a);
	ask(s, DNS_MX, "example.com");
	/* From the cache, cancelled before it is told. */
	b = resolver_lookup(s->resolver, DNS_MX, STR("example.com"), SECONDS(10), on_answer, s);
	resolver_cancel(&b);
	ask(s, DNS_TXT, "example.com");
	assert_int_equal(s->answered, 2);
}

static void
localhost_needs_no_server(void **state)
{
	struct scene *s = *state;

	ask(s, DNS_A, "localhost");
	assert_int_equal(s->rc, RC_OK);
	assert_string_equal(s->texts[0], "127.0.0.1");
	assert_int_equal(s->server.asked, 0);
}

static void
what_is_no_name_is_refused_without_asking(void **state)
{
	struct scene *s = *state;
	static const char *const bad[] = { "", "a b", "a\r\nb", "a\\b", "b\303\274cher.example" };

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		ask(s, DNS_TXT, bad[i]);
		assert_int_equal(s->rc, RC_INVALID);
	}
	ask(s, DNS_PTR, "example.com");
	assert_int_equal(s->rc, RC_INVALID);
	assert_int_equal(s->server.asked, 0);
}

static void
freeing_ends_what_still_runs(void **state)
{
	struct scene *s = *state;

	resolver_lookup(s->resolver, DNS_MX, STR("silent.example"), SECONDS(10), on_answer, s);
	resolver_lookup(s->resolver, DNS_A, STR("silent.example"), SECONDS(10), on_answer, s);
	resolver_lookup(s->resolver, DNS_MX, STR(""), SECONDS(10), on_answer, s);
	resolver_free(&s->resolver);
	assert_null(s->resolver);
	assert_int_equal(s->answered, 0);
}

static void
a_bad_list_of_servers_is_refused(void **state)
{
	struct scene *s = *state;
	const struct resolver_opts opts = { .servers = "not an address" };
	struct resolver *r = NULL;
	struct fault f = { 0 };

	assert_int_equal(resolver_new(s->loop, &opts, &r, &f), RC_DNS);
	assert_null(r);
	assert_non_null(strstr(f.text, "not an address"));
}

#define IN_SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(addresses_are_found_and_kept_for_their_time),
		IN_SCENE(the_least_recently_used_answer_makes_room),
		IN_SCENE(mail_exchangers_come_in_order),
		IN_SCENE(texts_and_names_of_addresses_are_found),
		IN_SCENE(services_are_found),
		IN_SCENE(a_missing_name_and_a_missing_type_are_told_apart_and_remembered),
		IN_SCENE(a_failing_server_is_a_failure_and_is_not_remembered),
		IN_SCENE(a_silent_server_meets_the_deadline),
		IN_SCENE(lookups_of_one_name_share_one_query),
		IN_SCENE(a_cancelled_lookup_is_never_answered),
		IN_SCENE(localhost_needs_no_server),
		IN_SCENE(what_is_no_name_is_refused_without_asking),
		IN_SCENE(freeing_ends_what_still_runs),
		IN_SCENE(a_bad_list_of_servers_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
