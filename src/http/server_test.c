#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/server.h"
#include "loop/loop.h"

/* A server on a Unix socket and one on TCP, whose owner does as the path says. */
struct scene {
	struct loop *loop;
	struct http_server *server;
	char path[64];
	uint16_t port;
	struct http_request *held[4];
	size_t n_held;
	char seen[256]; /* what the owner saw of the last request */
	size_t body_n;
	int client;
	struct buf reply;
	bool done;
	struct loop_watch watch;
	struct loop_timer guard;
	struct loop_timer later;
};

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for ten seconds");
}

static void
on_head(void *arg, struct http_request *r)
{
	(void)arg;
	if (str_eq(r->path, STR("/forbidden"))) {
		http_set_header(r, "WWW-Authenticate", STR("Bearer"));
		http_answer(r, 401, "text/plain", STR("no"));
	}
}

static void
on_request(void *arg, struct http_request *r)
{
	struct scene *s = arg;
	struct str agent = http_header(r, "user-agent");
	struct str q = http_query(r, "q");

	s->body_n = r->body.n;
	snprintf(s->seen, sizeof(s->seen), "%.*s %.*s q=%.*s agent=%.*s peer=%.*s uid=%d",
	    STR_ARG(r->verb), STR_ARG(r->path), STR_ARG(q), STR_ARG(agent), STR_ARG(r->peer.text),
	    (int)r->peer.uid);
	if (str_starts(r->path, STR("/hold")))
		s->held[s->n_held++] = r;
	else
		http_answer(r, 200, "text/plain", STR("hello\n"));
}

static void
answer_held(void *arg)
{
	struct scene *s = arg;

	while (s->n_held > 0)
		http_answer(s->held[--s->n_held], 201, "text/plain", STR("at last\n"));
}

static int
listen_unix(struct scene *s)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(s->path, sizeof(s->path), "http_test.%d.sock", (int)getpid());
	unlink(s->path);
	memcpy(un.sun_path, s->path, strlen(s->path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static int
listen_tcp(struct scene *s)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	s->port = ntohs(in.sin_port);
	return fd;
}

static int
setup(void **state)
{
	static struct scene s;
	struct http_server_opts o = { .on_head = on_head, .on_request = on_request, .arg = &s };
	struct fault f = { 0 };

	s = (struct scene){ .loop = loop_new(), .client = -1 };
	o.loop = s.loop;
	o.body_max = 100000;
	o.patience_us = MS(50);
	s.server = http_server_new(&o);
	assert_int_equal(
	    http_server_listen(s.server, listen_unix(&s), HTTP_DOOR_CONTROL, NULL, NULL, &f),
	    RC_OK);
	assert_int_equal(
	    http_server_listen(s.server, listen_tcp(&s), HTTP_DOOR_PLAIN, NULL, NULL, &f), RC_OK);
	buf_init(&s.reply, 1 << 20);
	loop_timer_init(&s.guard, too_late, &s);
	loop_timer_set(s.loop, &s.guard, loop_now_us(s.loop) + SECONDS(10));
	loop_timer_init(&s.later, answer_held, &s);
	*state = &s;
	return 0;
}

static void
hang_up(struct scene *s)
{
	loop_watch_done(&s->watch);
	if (s->client >= 0)
		close(s->client);
	s->client = -1;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	hang_up(s);
	http_server_free(&s->server);
	loop_timer_cancel(s->loop, &s->guard);
	loop_timer_cancel(s->loop, &s->later);
	loop_free(&s->loop);
	buf_done(&s->reply);
	unlink(s->path);
	return 0;
}

/* Reads until the reply's announced body is there, or the server closes. */
static void
on_readable(void *arg, unsigned what)
{
	struct scene *s = arg;
	char bytes[4096];
	ssize_t n = read(s->client, bytes, sizeof(bytes));

	(void)what;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		buf_add(&s->reply, str_make(bytes, (size_t)n));
	struct str all = buf_str(&s->reply);
	size_t head = str_find_str(all, STR("\r\n\r\n"));
	size_t at = str_find_nocase(all, STR("content-length: "));
	uint64_t length = 0;
	if (at < head) {
		struct str rest = str_skip(all, at + 16);
		rest.n = str_find(rest, '\r');
		assert_int_equal(str_to_u64(rest, &length), RC_OK);
	}
	if (n <= 0 || (head < all.n && all.n >= head + 4 + length)) {
		s->done = true;
		loop_stop(s->loop);
	}
}

static void
dial(struct scene *s, bool tcp)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(s->port) };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(un.sun_path, s->path, strlen(s->path) + 1);
	s->client = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (tcp)
		assert_int_equal(connect(s->client, (struct sockaddr *)&in, sizeof(in)), 0);
	else
		assert_int_equal(connect(s->client, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(fcntl(s->client, F_SETFL, O_NONBLOCK), 0);
	loop_watch_init(&s->watch, s->loop, s->client, on_readable, s);
	loop_watch_set(&s->watch, LOOP_READ);
}

static void
tell(struct scene *s, const char *text)
{
	assert_int_equal(write(s->client, text, strlen(text)), (ssize_t)strlen(text));
}

static const char *
hear(struct scene *s)
{
	buf_clear(&s->reply);
	s->done = false;
	loop_run(s->loop);
	assert_true(s->done);
	return buf_cstr(&s->reply);
}

static void
serves_requests_over_a_unix_socket_and_knows_the_peers_user(void **state)
{
	struct scene *s = *state;
	char want[128];

	dial(s, false);
	tell(s, "GET /a%20b?x=1&q=c%26d HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n");
	const char *reply = hear(s);
	assert_non_null(strstr(reply, "HTTP/1.1 200"));
	assert_non_null(strstr(reply, "hello\n"));
	snprintf(want, sizeof(want), "GET /a b q=c&d agent=test peer=unix uid=%d", (int)getuid());
	assert_string_equal(s->seen, want);
}

static void
serves_requests_over_tcp_and_knows_the_address(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(hear(s), "HTTP/1.1 200"));
	assert_string_equal(s->seen, "DELETE /x q= agent= peer=127.0.0.1 uid=-1");
}

static void
keeps_the_connection_for_the_next_request(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	for (int i = 0; i < 3; i++) {
		tell(s, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_non_null(strstr(hear(s), "HTTP/1.1 200"));
	}
}

static void
collects_a_body_whole(void **state)
{
	struct scene *s = *state;
	static char body[90000];
	char head[128];

	memset(body, 'x', sizeof(body));
	dial(s, true);
	snprintf(head, sizeof(head), "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
	    sizeof(body));
	tell(s, head);
	assert_int_equal(write(s->client, body, sizeof(body)), sizeof(body));
	assert_non_null(strstr(hear(s), "HTTP/1.1 200"));
	assert_int_equal(s->body_n, sizeof(body));
}

static void
collects_a_chunked_body(void **state)
{
	struct scene *s = *state;

	dial(s, false);
	tell(s, "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n");
	assert_non_null(strstr(hear(s), "HTTP/1.1 200"));
	assert_int_equal(s->body_n, 8);
}

static void
refuses_a_body_that_announces_too_much_before_it_is_sent(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n");
	const char *reply = hear(s);
	assert_non_null(strstr(reply, "HTTP/1.1 413"));
	assert_non_null(strstr(reply, "\"statusCode\":413"));
	assert_string_equal(s->seen, "");
}

static void
refuses_a_chunked_body_that_grows_too_large(void **state)
{
	struct scene *s = *state;
	static char body[100100];

	memset(body, 'x', sizeof(body));
	dial(s, true);
	tell(s, "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	char head[16];
	snprintf(head, sizeof(head), "%zx\r\n", sizeof(body));
	tell(s, head);
	assert_int_equal(write(s->client, body, sizeof(body)), sizeof(body));
	tell(s, "\r\n0\r\n\r\n");
	assert_non_null(strstr(hear(s), "HTTP/1.1 413"));
	assert_string_equal(s->seen, "");
}

static void
answers_before_the_body_where_the_head_is_enough(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "POST /forbidden HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n");
	const char *reply = hear(s);
	assert_non_null(strstr(reply, "HTTP/1.1 401"));
	assert_non_null(strstr(reply, "WWW-Authenticate: Bearer"));
	assert_string_equal(s->seen, "");
}

static void
answers_later_when_the_owner_does(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	loop_timer_set(s->loop, &s->later, loop_now_us(s->loop) + MS(10));
	const char *reply = hear(s);
	assert_non_null(strstr(reply, "HTTP/1.1 201"));
	assert_non_null(strstr(reply, "at last"));
	tell(s, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(hear(s), "HTTP/1.1 200"));
}

static void
answers_503_when_the_owner_takes_too_long_and_ignores_what_comes_then(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	const char *reply = hear(s);
	assert_non_null(strstr(reply, "HTTP/1.1 503"));
	answer_held(s);
	tell(s, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(hear(s), "HTTP/1.1 200"));
}

static void
survives_a_client_that_hangs_up_while_the_owner_thinks(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
	while (s->n_held == 0) {
		struct loop_task stop;
		loop_task_init(&stop, (loop_fn *)loop_stop, s->loop);
		loop_defer(s->loop, &stop);
		loop_run(s->loop);
	}
	hang_up(s);
	answer_held(s);
	dial(s, true);
	tell(s, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(hear(s), "HTTP/1.1 200"));
}

static void
a_server_that_ends_answers_what_is_open(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	while (s->n_held == 0) {
		struct loop_task stop;
		loop_task_init(&stop, (loop_fn *)loop_stop, s->loop);
		loop_defer(s->loop, &stop);
		loop_run(s->loop);
	}
	http_server_free(&s->server);
	assert_non_null(strstr(hear(s), "HTTP/1.1 503"));
	answer_held(s);
}

static void
accepts_nothing_more_once_drained_but_serves_who_is_there(void **state)
{
	struct scene *s = *state;

	dial(s, true);
	tell(s, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	while (s->n_held == 0) {
		struct loop_task stop;
		loop_task_init(&stop, (loop_fn *)loop_stop, s->loop);
		loop_defer(s->loop, &stop);
		loop_run(s->loop);
	}
	http_server_drain(s->server);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	memcpy(un.sun_path, s->path, strlen(s->path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), -1);
	close(fd);
	answer_held(s);
	assert_non_null(strstr(hear(s), "HTTP/1.1 201"));
}

static void
refuses_a_certificate_that_is_none(void **state)
{
	struct scene *s = *state;
	struct fault f = { 0 };
	int fd = listen_tcp(s);

	assert_int_equal(
	    http_server_listen(s->server, fd, HTTP_DOOR_TLS, "nonsense", "nonsense", &f), RC_TLS);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(serves_requests_over_a_unix_socket_and_knows_the_peers_user),
		TEST(serves_requests_over_tcp_and_knows_the_address),
		TEST(keeps_the_connection_for_the_next_request),
		TEST(collects_a_body_whole),
		TEST(collects_a_chunked_body),
		TEST(refuses_a_body_that_announces_too_much_before_it_is_sent),
		TEST(refuses_a_chunked_body_that_grows_too_large),
		TEST(answers_before_the_body_where_the_head_is_enough),
		TEST(answers_later_when_the_owner_does),
		TEST(answers_503_when_the_owner_takes_too_long_and_ignores_what_comes_then),
		TEST(survives_a_client_that_hangs_up_while_the_owner_thinks),
		TEST(a_server_that_ends_answers_what_is_open),
		TEST(accepts_nothing_more_once_drained_but_serves_who_is_there),
		TEST(refuses_a_certificate_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
