#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/dialer.h"
#include "net/dns_test.h"
#include "net/listener.h"

/* 127.0.0.1 is listened on, 127.0.0.2 hangs, 127.0.0.3 and ::1 refuse; all at one port. */
static const struct dns_row rows[] = {
	{ "good.example", DNS_WIRE_A, 300, "127.0.0.1" },
	{ "refusing.example", DNS_WIRE_A, 300, "127.0.0.3" },
	{ "second.example", DNS_WIRE_A, 300, "127.0.0.3" },
	{ "second.example", DNS_WIRE_A, 300, "127.0.0.1" },
	{ "hanging.example", DNS_WIRE_A, 300, "127.0.0.2" },
	{ "staggered.example", DNS_WIRE_A, 300, "127.0.0.2" },
	{ "staggered.example", DNS_WIRE_A, 300, "127.0.0.1" },
	{ "both.example", DNS_WIRE_AAAA, 300, "::1" },
	{ "both.example", DNS_WIRE_A, 300, "127.0.0.1" },
	{ "empty.example", DNS_WIRE_TXT, 300, "nothing else" },
	{ 0 },
};

struct scene {
	struct loop *loop;
	struct dns_server server;
	struct resolver *resolver;
	struct dialer *dialer;
	struct loop_timer guard;
	int listening; /* 127.0.0.1 */
	int hanging;   /* 127.0.0.2, its backlog full */
	int fillers[4];
	uint16_t port;
	unsigned done;
	bool connected;
	struct net_addr addr;
	struct fault why;
	struct dial_try tries[8];
	size_t try_count;
};

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("the dial never ended");
}

/* A full backlog makes the kernel drop what knocks, as a firewall would. */
static void
fill_backlog(struct scene *s)
{
	const struct listener_opts one = { .backlog = 1 };
	struct net_addr at;

	assert_true(net_addr_from_ip(STR("127.0.0.2"), s->port, &at));
	assert_int_equal(listener_open(&at, &one, &s->hanging, NULL), RC_OK);
	for (size_t i = 0; i < COUNT_OF(s->fillers); i++) {
		s->fillers[i] = net_addr_socket(&at);
		(void)net_addr_connect(s->fillers[i], &at);
	}
}

static int
setup(void **state)
{
	static struct scene s;
	struct resolver_opts opts;
	struct net_addr at;

	s = (struct scene){ .loop = loop_new() };
	dns_server_init(&s.server, s.loop, rows);
	opts = (struct resolver_opts){ .servers = s.server.servers };
	loop_timer_init(&s.guard, too_late, &s);
	assert_true(net_addr_from_ip(STR("127.0.0.1"), 0, &at));
	assert_int_equal(listener_open(&at, NULL, &s.listening, NULL), RC_OK);
	assert_true(listener_local_addr(s.listening, &at));
	s.port = at.port;
	fill_backlog(&s);
	assert_int_equal(resolver_new(s.loop, &opts, &s.resolver, NULL), RC_OK);
	s.dialer = dialer_new(s.loop, s.resolver);
	*state = &s;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	dialer_free(&s->dialer);
	resolver_free(&s->resolver);
	dns_server_done(&s->server);
	for (size_t i = 0; i < COUNT_OF(s->fillers); i++)
		close(s->fillers[i]);
	close(s->hanging);
	close(s->listening);
	loop_free(&s->loop);
	return 0;
}

static void
on_done(void *arg, const struct dial_result *r)
{
	struct scene *s = arg;

	s->done++;
	s->connected = r->fd >= 0;
	assert_true(s->connected == (r->fault == NULL));
	if (s->connected) {
		struct net_addr peer;
		assert_true(net_addr_of_peer(r->fd, &peer));
		assert_true(net_addr_eq(&peer, &r->addr));
		close(r->fd);
	} else {
		s->why = *r->fault;
	}
	s->addr = r->addr;
	s->try_count = r->try_count;
	assert_true(r->try_count <= COUNT_OF(s->tries));
	for (size_t i = 0; i < r->try_count; i++)
		s->tries[i] = r->tries[i];
	loop_stop(s->loop);
}

static void
run(struct scene *s)
{
	loop_timer_set(s->loop, &s->guard, loop_now_us(s->loop) + SECONDS(20));
	loop_run(s->loop);
	loop_timer_cancel(s->loop, &s->guard);
}

static void
dial(struct scene *s, const char *host, const struct dial_opts *opts)
{
	unsigned before = s->done;

	dialer_dial(s->dialer, str_from(host), s->port, opts, on_done, s);
	assert_int_equal(s->done, before);
	run(s);
	assert_int_equal(s->done, before + 1);
}

static void
expect_text(const struct net_addr *a, const char *ip)
{
	char out[NET_ADDR_TEXT_SIZE];

	net_addr_format_ip(a, out);
	assert_string_equal(out, ip);
}

static void
literals_connect_without_asking_a_server(void **state)
{
	struct scene *s = *state;

	dial(s, "127.0.0.1", NULL);
	assert_true(s->connected);
	expect_text(&s->addr, "127.0.0.1");
	assert_int_equal(s->addr.port, s->port);
	assert_int_equal(s->server.asked, 0);
}

static void
ipv6_literals_connect_with_and_without_brackets(void **state)
{
	struct scene *s = *state;
	struct net_addr at;
	int fd = -1;

	assert_true(net_addr_from_ip(STR("::1"), s->port, &at));
	if (listener_open(&at, NULL, &fd, NULL) != RC_OK)
		skip();
	dial(s, "::1", NULL);
	assert_true(s->connected);
	dial(s, "[::1]", NULL);
	assert_true(s->connected);
	expect_text(&s->addr, "::1");
	close(fd);
}

static void
a_path_connects_to_a_unix_socket(void **state)
{
	struct scene *s = *state;
	char dir[64], path[96];
	struct net_addr at;
	int fd = -1;

	snprintf(dir, sizeof(dir), P_tmpdir "/dialer-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	assert_int_equal(net_addr_parse(str_from(path), &at, NULL), RC_OK);
	assert_int_equal(listener_open(&at, NULL, &fd, NULL), RC_OK);
	dial(s, path, NULL);
	assert_true(s->connected);
	assert_int_equal(s->addr.family, NET_UNIX);
	close(fd);
	unlink(path);
	dial(s, path, NULL);
	assert_int_equal(s->why.sys_errno, ENOENT);
	rmdir(dir);
}

static void
a_name_is_looked_up_and_connected(void **state)
{
	struct scene *s = *state;

	dial(s, "good.example", NULL);
	assert_true(s->connected);
	expect_text(&s->addr, "127.0.0.1");
	assert_int_equal(s->try_count, 1);
}

static void
a_refusal_names_the_address_and_why(void **state)
{
	struct scene *s = *state;

	dial(s, "refusing.example", NULL);
	assert_false(s->connected);
	assert_int_equal(s->why.rc, RC_IO);
	assert_int_equal(s->why.sys_errno, ECONNREFUSED);
	assert_non_null(strstr(s->why.text, "refusing.example"));
	assert_non_null(strstr(s->why.text, "127.0.0.3: Connection refused"));
}

static void
the_next_address_is_tried_at_once_when_one_refuses(void **state)
{
	struct scene *s = *state;
	const struct dial_opts slow = { .stagger_us = SECONDS(15) };

	dial(s, "second.example", &slow);
	assert_true(s->connected);
	assert_int_equal(s->try_count, 2);
	assert_int_equal(s->tries[0].sys_errno, ECONNREFUSED);
	expect_text(&s->tries[0].addr, "127.0.0.3");
	assert_int_equal(s->tries[1].sys_errno, 0);
}

static void
the_next_address_is_tried_after_the_stagger_when_one_hangs(void **state)
{
	struct scene *s = *state;
	const struct dial_opts quick = { .stagger_us = MS(20) };
	int64_t before = clock_monotonic_us();

	dial(s, "staggered.example", &quick);
	assert_true(s->connected);
	assert_true(clock_monotonic_us() - before >= MS(20));
	expect_text(&s->addr, "127.0.0.1");
	assert_int_equal(s->try_count, 2);
	assert_int_equal(s->tries[0].sys_errno, 0);
}

static void
an_address_that_hangs_is_given_up_after_its_timeout(void **state)
{
	struct scene *s = *state;
	const struct dial_opts quick = { .address_timeout_us = MS(30) };

	dial(s, "hanging.example", &quick);
	assert_false(s->connected);
	assert_int_equal(s->why.rc, RC_TIMEOUT);
	assert_non_null(strstr(s->why.text, "127.0.0.2: timed out"));
	assert_true(s->tries[0].took_us >= MS(30));
}

static void
everything_is_given_up_after_the_total_timeout(void **state)
{
	struct scene *s = *state;
	const struct dial_opts quick = { .total_timeout_us = MS(30) };

	dial(s, "hanging.example", &quick);
	assert_int_equal(s->why.rc, RC_TIMEOUT);
	assert_int_equal(s->tries[0].sys_errno, ETIMEDOUT);
	dial(s, "silent.example", &quick);
	assert_false(s->connected);
	assert_true(s->why.rc == RC_TIMEOUT || s->why.rc == RC_DNS);
	assert_int_equal(s->try_count, 0);
}

static void
a_family_that_failed_where_the_other_worked_goes_last(void **state)
{
	struct scene *s = *state;

	dial(s, "both.example", NULL);
	assert_true(s->connected);
	assert_int_equal(s->try_count, 2);
	expect_text(&s->tries[0].addr, "::1");
	assert_true(s->tries[0].sys_errno != 0);
	dial(s, "both.example", NULL);
	assert_true(s->connected);
	assert_int_equal(s->try_count, 1);
	expect_text(&s->tries[0].addr, "127.0.0.1");
}

static void
a_host_that_does_not_exist_is_told_from_a_failure_to_look_it_up(void **state)
{
	struct scene *s = *state;

	dial(s, "nowhere.example", NULL);
	assert_int_equal(s->why.rc, RC_NOT_FOUND);
	dial(s, "empty.example", NULL);
	assert_int_equal(s->why.rc, RC_NOT_FOUND);
	assert_non_null(strstr(s->why.text, "empty.example"));
	dial(s, "broken.example", NULL);
	assert_int_equal(s->why.rc, RC_DNS);
}

static void
without_a_resolver_only_literals_connect(void **state)
{
	struct scene *s = *state;

	dialer_free(&s->dialer);
	s->dialer = dialer_new(s->loop, NULL);
	dial(s, "good.example", NULL);
	assert_int_equal(s->why.rc, RC_INVALID);
	dial(s, "127.0.0.1", NULL);
	assert_true(s->connected);
}

static void
a_cancelled_dial_is_never_heard_of_again(void **state)
{
	struct scene *s = *state;
	struct dial *a, *b;

	a = dialer_dial(s->dialer, STR("127.0.0.1"), s->port, NULL, on_done, s);
	b = dialer_dial(s->dialer, STR("hanging.example"), s->port, NULL, on_done, s);
	dialer_cancel(&a);
	assert_null(a);
	dial(s, "good.example", NULL);
	dialer_cancel(&b);
	dial(s, "good.example", NULL);
	assert_int_equal(s->done, 2);
}

static void
freeing_the_dialer_cancels_what_runs(void **state)
{
	struct scene *s = *state;

	dialer_dial(s->dialer, STR("127.0.0.2"), s->port, NULL, on_done, s);
	dialer_dial(s->dialer, STR("silent.example"), s->port, NULL, on_done, s);
	dial(s, "good.example", NULL);
	dialer_free(&s->dialer);
	assert_null(s->dialer);
	assert_int_equal(s->done, 1);
}

#define IN_SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(literals_connect_without_asking_a_server),
		IN_SCENE(ipv6_literals_connect_with_and_without_brackets),
		IN_SCENE(a_path_connects_to_a_unix_socket),
		IN_SCENE(a_name_is_looked_up_and_connected),
		IN_SCENE(a_refusal_names_the_address_and_why),
		IN_SCENE(the_next_address_is_tried_at_once_when_one_refuses),
		IN_SCENE(the_next_address_is_tried_after_the_stagger_when_one_hangs),
		IN_SCENE(an_address_that_hangs_is_given_up_after_its_timeout),
		IN_SCENE(everything_is_given_up_after_the_total_timeout),
		IN_SCENE(a_family_that_failed_where_the_other_worked_goes_last),
		IN_SCENE(a_host_that_does_not_exist_is_told_from_a_failure_to_look_it_up),
		IN_SCENE(without_a_resolver_only_literals_connect),
		IN_SCENE(a_cancelled_dial_is_never_heard_of_again),
		IN_SCENE(freeing_the_dialer_cancels_what_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
