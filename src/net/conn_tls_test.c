#include "net/pair_test.h"

#include <signal.h>
#include <stdlib.h>

#include <openssl/ssl.h>

#include "net/certs_test.h"
#include "net/private.h"

static struct certs certs;
static struct tls_ctx *server;
static struct tls_ctx *client;

static const struct tls_peer mail = { .name = STR_INIT("mail.example.com") };

#define IN_PAIR(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)

/* a is the client, b the server; both begin with TLS. */
static void
connect_tls(struct pair *p, struct tls_ctx *a, struct tls_ctx *b, const struct tls_peer *peer)
{
	pair_connect(p, NULL, NULL);
	assert_int_equal(conn_start_tls(p->a.conn, a, peer, NULL), RC_OK);
	assert_int_equal(conn_start_tls(p->b.conn, b, NULL, NULL), RC_OK);
}

static bool
both_got_something(struct pair *p)
{
	return p->a.got_bytes > 0 && p->b.got_bytes > 0;
}

static void
bytes_flow_both_ways_and_the_facts_are_known(void **state)
{
	struct pair *p = *state;
	struct tls_facts f;
	static const uint8_t zero[32];

	connect_tls(p, client, server, &mail);
	pair_run(p, pair_is_ready);
	conn_write(p->a.conn, STR("EHLO client\r\n"));
	conn_write(p->b.conn, STR("220 server\r\n"));
	pair_run(p, both_got_something);
	assert_string_equal(p->a.got, "220 server\r\n");
	assert_string_equal(p->b.got, "EHLO client\r\n");
	assert_int_equal(p->a.ready, 1);
	assert_true(conn_tls_facts(p->a.conn, &f));
	assert_string_equal(f.version, "TLSv1.3");
	assert_true(f.cipher[0] != '\0');
	assert_true(f.is_verified && f.has_cert && !f.is_resumed);
	assert_string_equal(f.subject, "CN=mail.example.com");
	assert_string_equal(f.issuer, "CN=Test CA");
	assert_string_equal(f.names, "mail.example.com, smtp.example.com");
	assert_string_equal(f.verify_error, "");
	assert_int_equal(f.refusal, TLS_REFUSAL_NONE);
	assert_true(f.not_before_us < clock_wall_us() && clock_wall_us() < f.not_after_us);
	assert_memory_not_equal(f.sha256, zero, 32);
	assert_true(conn_tls_facts(p->b.conn, &f));
	assert_false(f.has_cert || f.is_verified);
}

static void
what_was_written_before_the_handshake_ended_is_sent_after_it(void **state)
{
	struct pair *p = *state;

	connect_tls(p, client, server, &mail);
	conn_write(p->a.conn, STR("early"));
	conn_write(p->b.conn, STR("bird"));
	pair_run(p, both_got_something);
	assert_string_equal(p->a.got, "bird");
	assert_string_equal(p->b.got, "early");
}

static void
expect_refusal(struct pair *p, const char *text, const char *verify_error, enum tls_refusal refusal)
{
	struct tls_facts f;

	pair_run(p, pair_is_closed);
	assert_int_equal(p->a.ready, 0);
	assert_int_equal(p->a.why.rc, RC_TLS);
	assert_non_null(strstr(p->a.why.text, text));
	assert_int_equal(p->b.got_bytes, 0);
	assert_true(conn_tls_facts(p->a.conn, &f));
	assert_true(f.has_cert);
	assert_false(f.is_verified);
	assert_string_equal(f.subject, "CN=mail.example.com");
	assert_non_null(strstr(f.verify_error, verify_error));
	assert_int_equal(f.refusal, refusal);
	if (refusal == TLS_REFUSAL_ISSUER)
		assert_string_equal(f.refused_issuer, "CN=Test CA");
}

static void
a_certificate_for_another_name_is_refused(void **state)
{
	const struct tls_peer other = { .name = STR("mail.example.org") };

	connect_tls(*state, client, server, &other);
	expect_refusal(*state, "not for mail.example.org but for mail.example.com", "mismatch",
	    TLS_REFUSAL_NAME);
}

static void
a_certificate_for_another_address_is_refused_and_for_this_one_taken(void **state)
{
	const struct tls_peer other = { .name = STR("127.0.0.2") };
	const struct tls_peer right = { .name = STR("127.0.0.1") };

	connect_tls(*state, client, server, &other);
	expect_refusal(*state, "not for 127.0.0.2", "mismatch", TLS_REFUSAL_NAME);
	pair_done(*state);
	pair_init(*state);
	connect_tls(*state, client, server, &right);
	pair_run(*state, pair_is_ready);
}

static void
an_expired_certificate_is_refused(void **state)
{
	struct tls_ctx *old = NULL;

	assert_int_equal(tls_ctx_new_server(certs.old_cert, certs.key, &old, NULL), RC_OK);
	connect_tls(*state, client, old, &mail);
	tls_ctx_unref(&old);
	expect_refusal(*state, "expired", "expired", TLS_REFUSAL_EXPIRED);
}

static void
an_unknown_authority_is_refused(void **state)
{
	struct tls_ctx *other = NULL;

	assert_int_equal(tls_ctx_new_client(certs.other_ca, &other, NULL), RC_OK);
	connect_tls(*state, other, server, &mail);
	tls_ctx_unref(&other);
	expect_refusal(*state, "refused", "issuer", TLS_REFUSAL_ISSUER);
}

static void
the_systems_authorities_do_not_know_our_own(void **state)
{
	struct tls_ctx *sys = NULL;
	struct fault f = { 0 };

	if (tls_ctx_new_client(NULL, &sys, &f) != RC_OK)
		skip(); /* a system without authorities */
	connect_tls(*state, sys, server, &mail);
	tls_ctx_unref(&sys);
	expect_refusal(*state, "refused", "issuer", TLS_REFUSAL_ISSUER);
}

static void
a_peer_that_speaks_no_tls_is_named_as_such(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	conn_write(p->b.conn, STR("220 mail.example.com ESMTP\r\n"));
	assert_int_equal(conn_start_tls(p->a.conn, client, &mail, NULL), RC_OK);
	pair_run(p, pair_a_is_closed);
	assert_int_equal(p->a.why.rc, RC_TLS);
	assert_non_null(strstr(p->a.why.text, "does not speak TLS"));
}

static void
a_client_without_a_name_to_verify_is_refused(void **state)
{
	struct pair *p = *state;
	const struct tls_peer nobody = { 0 };

	pair_connect(p, NULL, NULL);
	assert_int_equal(conn_start_tls(p->a.conn, client, NULL, NULL), RC_INVALID);
	assert_int_equal(conn_start_tls(p->a.conn, client, &nobody, NULL), RC_INVALID);
}

/* ---- STARTTLS ---- */

static void
server_line(struct side *s)
{
	struct fault f = { 0 };
	struct buf *in = conn_input(s->conn);

	if (!str_starts(buf_str(in), STR("STARTTLS\r\n"))) {
		side_take(s);
		return;
	}
	buf_drop(in, 10);
	conn_write(s->conn, STR("220 go\r\n"));
	enum rc rc = conn_start_tls(s->conn, server, NULL, &f);
	if (rc != RC_OK) {
		assert_int_equal(rc, RC_INVALID);
		assert_non_null(strstr(f.text, "before TLS"));
		conn_abort(s->conn);
	}
}

static void
client_line(struct side *s)
{
	if (conn_has_tls(s->conn)) {
		side_take(s);
		return;
	}
	assert_true(str_eq(buf_str(conn_input(s->conn)), STR("220 go\r\n")));
	buf_drop(conn_input(s->conn), 8);
	assert_int_equal(conn_start_tls(s->conn, client, &mail, NULL), RC_OK);
	assert_int_equal(conn_start_tls(s->conn, client, &mail, NULL), RC_INVALID);
}

static bool
both_ready_twice(struct pair *p)
{
	return p->a.ready == 2 && p->b.ready == 2;
}

static void
starttls_turns_a_plain_connection_into_a_verified_one(void **state)
{
	struct pair *p = *state;
	struct tls_facts f;

	pair_connect(p, NULL, NULL);
	p->a.on_data = client_line;
	p->b.on_data = server_line;
	conn_write(p->a.conn, STR("STARTTLS\r\n"));
	pair_run(p, both_ready_twice);
	assert_true(conn_tls_facts(p->a.conn, &f) && f.is_verified);
	conn_write(p->a.conn, STR("EHLO again\r\n"));
	conn_write(p->b.conn, STR("250 ok\r\n"));
	pair_run(p, both_got_something);
	assert_string_equal(p->b.got, "EHLO again\r\n");
	assert_string_equal(p->a.got, "250 ok\r\n");
}

static void
commands_pipelined_after_starttls_are_refused(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	p->b.on_data = server_line;
	conn_write(p->a.conn, STR("STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n"));
	pair_run(p, pair_is_closed);
	assert_int_equal(p->b.why.rc, RC_CANCELLED);
	assert_false(conn_has_tls(p->b.conn));
	assert_int_equal(p->b.got_bytes, 0);
}

static bool
b_is_in_tls(struct pair *p)
{
	return conn_has_tls(p->b.conn);
}

static void
commands_that_arrive_between_starttls_and_the_handshake_break_it(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	p->b.on_data = server_line;
	conn_write(p->a.conn, STR("STARTTLS\r\n"));
	pair_run(p, b_is_in_tls);
	conn_write(p->a.conn, STR("MAIL FROM:<evil@example.com>\r\n"));
	pair_run(p, pair_is_closed);
	assert_int_equal(p->b.why.rc, RC_TLS);
	assert_int_equal(p->b.ready, 1);
	assert_int_equal(p->b.got_bytes, 0);
}

/* ---- amounts ---- */

#define MUCH (3u << 20)

static bool
b_got_much(struct pair *p)
{
	return p->b.got_bytes == MUCH;
}

static bool
b_is_full_and_a_clogged(struct pair *p)
{
	return conn_input_is_full(p->b.conn) && conn_is_clogged(p->a.conn);
}

static void
take_nothing(struct side *s)
{
	(void)s;
}

static void
a_slow_reader_loses_nothing_that_tls_held_back(void **state)
{
	struct pair *p = *state;
	char *big = calloc(1, MUCH);

	for (size_t i = 0; i < MUCH; i++)
		big[i] = (char)(i % 251);
	connect_tls(p, client, server, &mail);
	p->b.on_data = take_nothing;
	conn_write(p->a.conn, str_make(big, MUCH));
	pair_run(p, b_is_full_and_a_clogged);
	size_t unsent = conn_unsent_bytes(p->a.conn);
	assert_true(unsent > 0 && unsent < MUCH);
	p->b.on_data = NULL;
	conn_pause(p->b.conn, 1);
	conn_resume(p->b.conn, 1);
	pair_run(p, b_got_much);
	assert_memory_equal(p->b.got, big, sizeof(p->b.got) - 1);
	assert_int_equal(conn_unsent_bytes(p->a.conn), 0);
	assert_int_equal(p->a.drained, 1);
	free(big);
}

static void
take_a_little_and_pause(struct side *s)
{
	size_t n = buf_len(conn_input(s->conn)) < 1000 ? buf_len(conn_input(s->conn)) : 1000;

	buf_drop(conn_input(s->conn), n);
	s->got_bytes += n;
	conn_pause(s->conn, 1);
}

static bool
resume_until_closed(struct pair *p)
{
	conn_resume(p->b.conn, 1);
	return pair_is_closed(p);
}

static void
pausing_after_every_thousand_bytes_still_gets_all(void **state)
{
	struct pair *p = *state;
	char *big = calloc(1, MUCH);

	connect_tls(p, client, server, &mail);
	p->b.on_data = take_a_little_and_pause;
	pair_run(p, pair_is_ready);
	conn_write(p->a.conn, str_make(big, MUCH));
	conn_close(p->a.conn);
	pair_run(p, resume_until_closed);
	assert_int_equal(p->b.got_bytes, MUCH);
	assert_int_equal(p->b.why.rc, RC_CLOSED);
	free(big);
}

/* ---- good-byes ---- */

static SSL *raw;
static int raw_error;

static bool
raw_saw_the_end(struct pair *p)
{
	char c[64];

	if (SSL_is_init_finished(raw) != 1) {
		(void)SSL_do_handshake(raw);
		return false;
	}
	if (p->a.ready > 0 && !conn_is_closed(p->a.conn))
		conn_close(p->a.conn);
	int n = SSL_read(raw, c, sizeof(c));
	raw_error = SSL_get_error(raw, n);
	return raw_error != SSL_ERROR_WANT_READ && raw_error != SSL_ERROR_NONE;
}

static void
close_says_goodbye_in_tls(void **state)
{
	struct pair *p = *state;
	int fds[2];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	raw = SSL_new(ctx);
	SSL_set_fd(raw, fds[1]);
	SSL_set_connect_state(raw);
	side_new(p, &p->a, fds[0], NULL);
	assert_int_equal(conn_start_tls(p->a.conn, server, NULL, NULL), RC_OK);
	(void)SSL_do_handshake(raw);
	pair_run(p, raw_saw_the_end);
	assert_int_equal(raw_error, SSL_ERROR_ZERO_RETURN);
	SSL_free(raw);
	SSL_CTX_free(ctx);
	close(fds[1]);
}

static void
a_peer_that_vanishes_during_the_handshake_is_told(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	assert_int_equal(conn_start_tls(p->a.conn, client, &mail, NULL), RC_OK);
	conn_close(p->b.conn);
	pair_run(p, pair_a_is_closed);
	assert_int_equal(p->a.why.rc, RC_TLS);
	assert_non_null(strstr(p->a.why.text, "during the TLS handshake"));
}

static void
a_handshake_that_stalls_meets_the_deadline(void **state)
{
	struct pair *p = *state;

	pair_connect(p, NULL, NULL);
	conn_pause(p->b.conn, 1);
	assert_int_equal(conn_start_tls(p->a.conn, client, &mail, NULL), RC_OK);
	conn_set_deadline(p->a.conn, loop_now_us(p->loop) + MS(5));
	pair_run(p, pair_a_is_closed);
	assert_int_equal(p->a.why.rc, RC_TIMEOUT);
}

/* ---- resumption and contexts ---- */

/* One conversation under `name`; whether it was resumed. */
static bool
converse(struct pair *p, struct tls_ctx *ctx, struct tls_cache *cache, struct str name)
{
	const struct tls_peer peer = { .name = name, .cache = cache, .key = STR("relay:465") };
	struct tls_facts f;

	pair_init(p);
	connect_tls(p, ctx, server, &peer);
	conn_write(p->a.conn, STR("x"));
	conn_write(p->b.conn, STR("y"));
	pair_run(p, both_got_something);
	assert_true(conn_tls_facts(p->a.conn, &f));
	assert_true(f.is_verified && f.has_cert);
	assert_string_equal(f.subject, "CN=mail.example.com");
	conn_close(p->a.conn);
	pair_run(p, pair_is_closed);
	pair_done(p);
	return f.is_resumed;
}

static void
a_session_is_resumed_for_the_same_context_and_name_only(void **state)
{
	struct pair p;
	struct tls_cache *cache = tls_cache_new(8);
	struct tls_ctx *again = NULL;

	(void)state;
	assert_int_equal(tls_ctx_new_client(certs.ca, &again, NULL), RC_OK);
	assert_false(converse(&p, client, cache, STR("mail.example.com")));
	assert_int_equal(tls_cache_count(cache), 1);
	assert_false(converse(&p, client, cache, STR("smtp.example.com")));
	assert_false(converse(&p, again, cache, STR("mail.example.com")));
	assert_true(converse(&p, client, cache, STR("mail.example.com")));
	assert_false(converse(&p, client, NULL, STR("mail.example.com")));
	tls_ctx_unref(&again);
	tls_cache_free(&cache);
}

static void
the_cache_keeps_at_most_what_it_was_made_for(void **state)
{
	struct pair p;
	struct tls_cache *cache = tls_cache_new(1);

	(void)state;
	converse(&p, client, cache, STR("mail.example.com"));
	converse(&p, client, cache, STR("smtp.example.com"));
	assert_int_equal(tls_cache_count(cache), 1);
	assert_false(converse(&p, client, cache, STR("mail.example.com")));
	tls_cache_free(&cache);
}

static void
a_context_lives_as_long_as_its_last_connection(void **state)
{
	struct pair *p = *state;
	struct tls_ctx *ctx = NULL;

	assert_int_equal(tls_ctx_new_server(certs.cert, certs.key, &ctx, NULL), RC_OK);
	assert_true(tls_ctx_is_server(ctx));
	connect_tls(p, client, ctx, &mail);
	tls_ctx_unref(&ctx);
	assert_null(ctx);
	pair_run(p, pair_is_ready);
}

static void
files_that_do_not_serve_are_named(void **state)
{
	struct tls_ctx *ctx = NULL;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(tls_ctx_new_server("/nonexistent", certs.key, &ctx, &f), RC_TLS);
	assert_non_null(strstr(f.text, "/nonexistent: No such file"));
	f = (struct fault){ 0 };
	assert_int_equal(tls_ctx_new_server(certs.ca, certs.key, &ctx, &f), RC_TLS);
	assert_non_null(strstr(f.text, certs.key));
	f = (struct fault){ 0 };
	assert_int_equal(tls_ctx_new_client(certs.key, &ctx, &f), RC_TLS);
	assert_non_null(strstr(f.text, certs.key));
	assert_null(ctx);
}

static int
make_everything(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	certs_make(&certs);
	if (tls_ctx_new_server(certs.cert, certs.key, &server, NULL) != RC_OK ||
	    tls_ctx_new_client(certs.ca, &client, NULL) != RC_OK)
		return -1;
	return 0;
}

static int
remove_everything(void **state)
{
	(void)state;
	tls_ctx_unref(&server);
	tls_ctx_unref(&client);
	certs_remove(&certs);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PAIR(bytes_flow_both_ways_and_the_facts_are_known),
		IN_PAIR(what_was_written_before_the_handshake_ended_is_sent_after_it),
		IN_PAIR(a_certificate_for_another_name_is_refused),
		IN_PAIR(a_certificate_for_another_address_is_refused_and_for_this_one_taken),
		IN_PAIR(an_expired_certificate_is_refused),
		IN_PAIR(an_unknown_authority_is_refused),
		IN_PAIR(the_systems_authorities_do_not_know_our_own),
		IN_PAIR(a_peer_that_speaks_no_tls_is_named_as_such),
		IN_PAIR(a_client_without_a_name_to_verify_is_refused),
		IN_PAIR(starttls_turns_a_plain_connection_into_a_verified_one),
		IN_PAIR(commands_pipelined_after_starttls_are_refused),
		IN_PAIR(commands_that_arrive_between_starttls_and_the_handshake_break_it),
		IN_PAIR(a_slow_reader_loses_nothing_that_tls_held_back),
		IN_PAIR(pausing_after_every_thousand_bytes_still_gets_all),
		IN_PAIR(close_says_goodbye_in_tls),
		IN_PAIR(a_peer_that_vanishes_during_the_handshake_is_told),
		IN_PAIR(a_handshake_that_stalls_meets_the_deadline),
		cmocka_unit_test(a_session_is_resumed_for_the_same_context_and_name_only),
		cmocka_unit_test(the_cache_keeps_at_most_what_it_was_made_for),
		IN_PAIR(a_context_lives_as_long_as_its_last_connection),
		cmocka_unit_test(files_that_do_not_serve_are_named),
	};

	return cmocka_run_group_tests(tests, make_everything, remove_everything);
}
