/* The door with a server before it and a client on the other end of a socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "account/book.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/base64.h"
#include "crypto/crypto.h"
#include "crypto/password.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "net/conn.h"
#include "relay/book.h"
#include "submit/submit.h"

#define SECRET "a-s3cret-of-some-length"

struct bench {
	struct loop *loop;
	struct pool *pool;
	struct submit *submit;
	struct smtp_server *server;
	struct conn *client;
	struct buf heard;
	struct str wanted;
	struct loop_timer patience;
};

static void
put_verifier(struct arena *a, enum password_kind kind, struct str *out)
{
	struct password_verifier v;
	struct buf b;

	assert_int_equal(password_make(STR(SECRET), kind, false, &v), RC_OK);
	buf_init(&b, PASSWORD_TEXT_MAX);
	password_format(&v, &b);
	*out = arena_str(a, buf_str(&b));
	buf_done(&b);
}

static struct account_book *
accounts(void)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct account_row account = { .id = ACCOUNT_LOCAL, .name = STR_INIT("local") };
	struct account_credential_row rows[] = {
		{ .id = { 1 }, .user = STR_INIT("generated") },
		{ .id = { 2 }, .user = STR_INIT("chosen") },
		{ .id = { 3 }, .user = STR_INIT("near"), .networks = STR_INIT("192.0.2.0/24") },
	};
	struct account_book *b = NULL;
	struct fault f = { 0 };

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		rows[i].account = ACCOUNT_LOCAL;
		put_verifier(&a, i == 1 ? PASSWORD_CHOSEN : PASSWORD_GENERATED, &rows[i].verifier);
	}
	assert_int_equal(account_book_new(&account, 1, rows, COUNT_OF(rows), &b, &f), RC_OK);
	return b;
}

static void
hangs(void *arg)
{
	struct bench *b = arg;

	fail_msg("no '%.*s' in: %.*s", STR_ARG(b->wanted), STR_ARG(buf_str(&b->heard)));
}

static void
setup(struct bench *b)
{
	AUTO(account_book_unref) struct account_book *who = accounts();
	AUTO(relay_book_unref) struct relay_book *relays = NULL;
	struct fault f = { 0 };

	*b = (struct bench){ .loop = loop_new(), .pool = pool_new("pool", 1) };
	log_set_level(LOG_ERROR);
	assert_int_equal(relay_book_new(&(struct relay_book_rows){ 0 }, &relays, &f), RC_OK);
	struct submit_opts o = { .loop = b->loop, .pool = b->pool, .hostname = STR("mx.example") };
	struct smtp_server_opts so = smtp_server_opts_default(STR("mx.example"));
	so.auth_requires_tls = false;
	so.failure_us = 1;
	so.max_failures = 0;
	b->submit = submit_new(&o);
	submit_set_books(b->submit, relays, who);
	b->server = smtp_server_new(b->loop, &so, submit_smtp_ops(), b->submit);
	buf_init(&b->heard, 1u << 20);
	loop_timer_init(&b->patience, hangs, b);
}

static void
teardown(struct bench *b)
{
	conn_free(&b->client);
	smtp_server_free(&b->server);
	pool_free(&b->pool);
	submit_free(&b->submit);
	buf_done(&b->heard);
	loop_free(&b->loop);
}

static void
on_data(void *arg)
{
	struct bench *b = arg;
	struct buf *in = conn_input(b->client);

	buf_add(&b->heard, buf_str(in));
	buf_drop(in, buf_len(in));
	if (str_find_str(buf_str(&b->heard), b->wanted) < buf_len(&b->heard))
		loop_stop(b->loop);
}

static void
on_closed(void *arg, const struct fault *why)
{
	(void)arg;
	(void)why;
}

static void
expect(struct bench *b, const char *text)
{
	b->wanted = str_from(text);
	loop_timer_set(b->loop, &b->patience, clock_monotonic_us() + SECONDS(20));
	if (str_find_str(buf_str(&b->heard), b->wanted) == buf_len(&b->heard))
		loop_run(b->loop);
	loop_timer_cancel(b->loop, &b->patience);
}

static void
connect_from(struct bench *b, const char *address)
{
	static const struct conn_ops ops = { .on_data = on_data, .on_closed = on_closed };
	struct smtp_server_peer peer = { 0 };
	struct fault f = { 0 };
	char text[64];
	int fds[2];

	conn_free(&b->client);
	snprintf(text, sizeof(text), "%s:1000", address);
	assert_int_equal(net_addr_parse(str_from(text), &peer.addr, &f), RC_OK);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	b->client = conn_new(b->loop, fds[0], &ops, b, NULL);
	smtp_server_accept(b->server, fds[1], &peer);
	expect(b, "220 ");
	conn_write(b->client, STR("EHLO c.example\r\n"));
	expect(b, "250 ");
}

/* What AUTH PLAIN with this secret is answered. */
static const char *
log_in(struct bench *b, const char *user, const char *secret)
{
	struct buf plain, line;
	static char answer[512];

	buf_init(&plain, 1024);
	buf_init(&line, 4096);
	buf_add_byte(&plain, '\0');
	buf_add(&plain, str_from(user));
	buf_add_byte(&plain, '\0');
	buf_add(&plain, str_from(secret));
	buf_add(&line, STR("AUTH PLAIN "));
	base64_encode(&line, buf_str(&plain));
	buf_add(&line, STR("\r\n"));
	buf_clear(&b->heard);
	conn_write(b->client, buf_str(&line));
	expect(b, "\r\n");
	snprintf(answer, sizeof(answer), "%.*s", STR_ARG(buf_str(&b->heard)));
	buf_done(&plain);
	buf_done(&line);
	return answer;
}

static void
right_secrets_open_the_door_whether_chosen_or_generated(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	connect_from(&b, "192.0.2.1");
	assert_non_null(strstr(log_in(&b, "generated", SECRET), "235 "));
	connect_from(&b, "192.0.2.1");
	assert_non_null(strstr(log_in(&b, "chosen", SECRET), "235 "));
	connect_from(&b, "192.0.2.1");
	assert_non_null(strstr(log_in(&b, "near", SECRET), "235 "));
	teardown(&b);
}

static void
a_wrong_login_says_the_same_whoever_is_named(void **state)
{
	static const char *const users[] = { "generated", "chosen", "near", "nobody" };
	char first[512] = "";
	struct bench b;

	(void)state;
	setup(&b);
	for (size_t i = 0; i < COUNT_OF(users); i++) {
		connect_from(&b, "198.51.100.1");
		const char *says = log_in(&b, users[i], "wrong");
		assert_non_null(strstr(says, "535 "));
		if (i == 0)
			snprintf(first, sizeof(first), "%s", says);
		assert_string_equal(says, first);
	}
	teardown(&b);
}

static void
a_right_secret_from_elsewhere_is_told_of_the_network(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	connect_from(&b, "198.51.100.1");
	const char *says = log_in(&b, "near", SECRET);
	assert_non_null(strstr(says, "535 "));
	assert_non_null(strstr(says, "network"));
	teardown(&b);
}

static void
who_guesses_many_names_is_turned_away_even_with_a_secret_of_its_own(void **state)
{
	struct bench b;
	char user[16];

	(void)state;
	setup(&b);
	for (unsigned i = 0; i < 11; i++) {
		connect_from(&b, "198.51.100.1");
		snprintf(user, sizeof(user), "v%u", i);
		assert_non_null(strstr(log_in(&b, user, "guess"), "535 "));
		if (i < 10)
			assert_non_null(strstr(log_in(&b, "generated", SECRET), "235 "));
	}
	connect_from(&b, "198.51.100.1");
	assert_non_null(strstr(log_in(&b, "generated", SECRET), "454 "));
	connect_from(&b, "198.51.100.2");
	assert_non_null(strstr(log_in(&b, "generated", SECRET), "235 "));
	teardown(&b);
}

static int
start(void **state)
{
	(void)state;
	return crypto_start(NULL) == RC_OK ? 0 : 1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_secrets_open_the_door_whether_chosen_or_generated),
		cmocka_unit_test(a_wrong_login_says_the_same_whoever_is_named),
		cmocka_unit_test(a_right_secret_from_elsewhere_is_told_of_the_network),
		cmocka_unit_test(
		    who_guesses_many_names_is_turned_away_even_with_a_secret_of_its_own),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
