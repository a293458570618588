/* Requests to a server that the test plays itself, in a child on a port of loopback. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/dns_test.h"
#include "net/fetcher.h"

static const struct dns_row rows[] = {
	{ "here.example", DNS_WIRE_A, 300, "127.0.0.1" },
	{ 0 },
};

struct scene {
	struct loop *loop;
	struct dns_server dns;
	struct resolver *resolver;
	struct fetcher *fetcher;
	struct loop_timer guard;
	int fd; /* listens */
	unsigned port;
	char url[128];
	unsigned answered;
	enum rc rc;
	unsigned status;
	char body[256];
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
	struct net_addr at;

	s = (struct scene){ .loop = loop_new() };
	dns_server_init(&s.dns, s.loop, rows);
	struct resolver_opts opts = { .servers = s.dns.servers };
	s.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (net_addr_parse(STR("127.0.0.1:0"), &at, NULL) != RC_OK ||
	    net_addr_bind(s.fd, &at) != 0 || listen(s.fd, 8) != 0 || !net_addr_of_socket(s.fd, &at))
		return -1;
	s.port = at.port;
	loop_timer_init(&s.guard, too_late, &s);
	loop_timer_set(s.loop, &s.guard, loop_now_us(s.loop) + SECONDS(20));
	*state = &s;
	if (resolver_new(s.loop, &opts, &s.resolver, NULL) != RC_OK)
		return -1;
	s.fetcher = fetcher_new(s.loop, s.resolver);
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	fetcher_free(&s->fetcher);
	resolver_free(&s->resolver);
	dns_server_done(&s->dns);
	loop_timer_cancel(s->loop, &s->guard);
	loop_free(&s->loop);
	close(s->fd);
	return 0;
}

/* A child that takes one request and answers it, exiting with 0 if it held `want`. */
static pid_t
serve(struct scene *s, const char *want, const char *answer)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	char got[8192] = "";
	size_t n = 0;
	int c = accept(s->fd, NULL, NULL);
	while (c >= 0 && strstr(got, want) == NULL && n < sizeof(got) - 1) {
		ssize_t k = read(c, got + n, sizeof(got) - 1 - n);
		if (k <= 0)
			break;
		n += (size_t)k;
		got[n] = '\0';
	}
	bool ok = strstr(got, want) != NULL;
	if (ok)
		ok = write(c, answer, strlen(answer)) == (ssize_t)strlen(answer);
	_exit(ok ? 0 : 1);
}

static void
assert_served(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
on_done(void *arg, const struct fetch_result *r)
{
	struct scene *s = arg;

	s->answered++;
	s->rc = r->rc;
	s->status = r->status;
	s->fault = r->fault;
	snprintf(s->body, sizeof(s->body), "%.*s", STR_ARG(r->body));
	loop_stop(s->loop);
}

static struct fetch *
start(struct scene *s, const char *host, struct net_fetch_request r)
{
	snprintf(s->url, sizeof(s->url), "http://%s:%u/x?y=1", host, s->port);
	r.url = s->url;
	struct fetch *x = fetcher_start(s->fetcher, &r, on_done, s);
	assert_int_equal(s->answered, 0);
	return x;
}

static void
a_request_to_a_name_is_answered(void **state)
{
	struct scene *s = *state;
	pid_t pid = serve(s, "\r\n\r\na=b", "HTTP/1.1 400 No\r\nContent-Length: 5\r\n\r\nhello");

	start(
	    s, "here.example", (struct net_fetch_request){ .method = "POST", .body = STR("a=b") });
	loop_run(s->loop);
	assert_int_equal(s->rc, RC_OK);
	assert_int_equal(s->status, 400);
	assert_string_equal(s->body, "hello");
	assert_served(pid);
}

static void
a_literal_address_needs_no_lookup(void **state)
{
	struct scene *s = *state;
	pid_t pid = serve(s, "GET /x?y=1 ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

	start(s, "127.0.0.1", (struct net_fetch_request){ 0 });
	loop_run(s->loop);
	assert_int_equal(s->rc, RC_OK);
	assert_string_equal(s->body, "ok");
	assert_int_equal(s->dns.asked, 0);
	assert_served(pid);
}

static void
a_private_address_is_refused_where_only_public_ones_will_do(void **state)
{
	struct scene *s = *state;

	start(s, "here.example", (struct net_fetch_request){ .public_only = true });
	loop_run(s->loop);
	assert_int_equal(s->rc, RC_DENIED);
	assert_non_null(strstr(s->fault.text, "private"));
}

static void
a_name_that_is_not_there_is_told(void **state)
{
	struct scene *s = *state;

	start(s, "nowhere.example", (struct net_fetch_request){ 0 });
	loop_run(s->loop);
	assert_int_equal(s->rc, RC_DNS);
	assert_non_null(strstr(s->fault.text, "nowhere.example"));
}

static void
what_is_no_url_is_told_later(void **state)
{
	struct scene *s = *state;
	struct net_fetch_request r = { .url = "http://" };

	fetcher_start(s->fetcher, &r, on_done, s);
	assert_int_equal(s->answered, 0);
	loop_run(s->loop);
	assert_int_equal(s->rc, RC_INVALID);
}

static void
an_answer_past_its_ceiling_ends_the_request(void **state)
{
	struct scene *s = *state;
	pid_t pid = serve(s, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789");

	start(s, "here.example", (struct net_fetch_request){ .answer_max = 8 });
	loop_run(s->loop);
	assert_int_equal(s->rc, RC_LIMIT);
	assert_served(pid);
}

static void
silence_ends_at_the_time_given(void **state)
{
	struct scene *s = *state;

	start(s, "here.example", (struct net_fetch_request){ .timeout_us = MS(100) });
	loop_run(s->loop);
	assert_int_equal(s->rc, RC_TIMEOUT);
}

static void
a_cancelled_request_is_never_answered(void **state)
{
	struct scene *s = *state;
	struct fetch *looking = start(s, "silent.example", (struct net_fetch_request){ 0 });
	struct fetch *running = start(s, "127.0.0.1", (struct net_fetch_request){ 0 });

	fetcher_cancel(&looking);
	fetcher_cancel(&running);
	assert_null(running);
	start(s, "nowhere.example", (struct net_fetch_request){ 0 });
	loop_run(s->loop);
	assert_int_equal(s->answered, 1);
	/* Freed while they run: nothing leaks and nothing is called. */
	s->answered = 0;
	start(s, "silent.example", (struct net_fetch_request){ 0 });
	start(s, "127.0.0.1", (struct net_fetch_request){ 0 });
}

#define IN_SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(a_request_to_a_name_is_answered),
		IN_SCENE(a_literal_address_needs_no_lookup),
		IN_SCENE(a_private_address_is_refused_where_only_public_ones_will_do),
		IN_SCENE(a_name_that_is_not_there_is_told),
		IN_SCENE(what_is_no_url_is_told_later),
		IN_SCENE(an_answer_past_its_ceiling_ends_the_request),
		IN_SCENE(silence_ends_at_the_time_given),
		IN_SCENE(a_cancelled_request_is_never_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
