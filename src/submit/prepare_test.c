#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account/book.h"
#include "base/arena.h"
#include "base/blob.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "loop/loop.h"
#include "queue/doubt.h"
#include "relay/book.h"
#include "store/message.h"
#include "submit/submit.h"

#define NOW SECONDS(1795420000)

struct bench {
	struct loop *loop;
	struct submit *submit;
	struct arena arena;
};

static struct relay_book *
book_with_relays(size_t n)
{
	struct relay_row relay = { .id = { 1 }, .name = STR_INIT("main"), .current = { 1 } };
	struct relay_version_row version = { .id = { 1 },
		.relay = { 1 },
		.number = 1,
		.host = STR_INIT("127.0.0.1"),
		.port = 25,
		.tls = RELAY_TLS_NONE };
	struct relay_route_row route = { .id = { 1 }, .relay = { 1 }, .is_default = true };
	struct relay_book_rows rows = { &relay, n, &version, n, &route, n, NULL, 0, n != 0 };
	struct relay_book *b = NULL;
	struct fault f = { 0 };

	if (relay_book_new(&rows, &b, &f) != RC_OK)
		fail_msg("%s", f.text);
	return b;
}

static void
setup(struct bench *b, size_t n_relays)
{
	AUTO(relay_book_unref) struct relay_book *relays = book_with_relays(n_relays);
	AUTO(account_book_unref) struct account_book *accounts = NULL;
	struct account_row local = { .id = ACCOUNT_LOCAL, .name = STR_INIT("local") };
	struct fault f = { 0 };

	*b = (struct bench){ .loop = loop_new() };
	assert_int_equal(crypto_start(NULL), RC_OK);
	assert_int_equal(account_book_new(&local, 1, NULL, 0, &accounts, &f), RC_OK);
	struct submit_opts o = {
		.loop = b->loop, .hostname = STR("mx.example"), .max_hold_us = DAYS(30)
	};
	b->submit = submit_new(&o);
	submit_set_books(b->submit, relays, accounts);
}

static void
teardown(struct bench *b)
{
	submit_free(&b->submit);
	loop_free(&b->loop);
	arena_done(&b->arena);
}

static struct mail_addr
addr(struct bench *b, const char *text)
{
	struct mail_addr a;
	const char *why;

	assert_int_equal(
	    mail_addr_parse(str_from(text), MAIL_ADDR_UTF8, &b->arena, &a, &why), RC_OK);
	return a;
}

static bool
prepare(struct bench *b, const char *content, const char *rcpt, struct store_message **m,
    struct submit_refusal *r)
{
	struct submit_rcpt to = { .addr = addr(b, rcpt) };
	struct submit_request req = {
		.account = ACCOUNT_LOCAL,
		.sender = addr(b, "me@a.example"),
		.rcpts = &to,
		.n_rcpts = 1,
		.content = str_from(content),
		.now_us = NOW,
		.facts = { .door = MAIL_DOOR_ESMTP, .client_ip = STR("127.0.0.1") },
	};

	return submit_prepare(b->submit, &req, m, r);
}

static bool
holds(const struct store_message *m, const char *text)
{
	struct str s = blob_str(m->content);

	return str_find_str(s, str_from(text)) < s.n;
}

static void
a_plain_message_gets_what_is_missing(void **state)
{
	AUTO(store_message_free) struct store_message *m = NULL;
	struct submit_refusal r;
	struct bench b;

	(void)state;
	setup(&b, 1);
	assert_true(prepare(&b,
	    "From: me@a.example\r\nSubject: hi\r\nBcc: secret@x.example\r\n\r\nbody\r\n",
	    "You@B.example", &m, &r));
	assert_true(holds(m, "Received: "));
	assert_true(holds(m, "Date: Mon, 23 Nov 2026"));
	assert_true(holds(m, "Message-ID: <"));
	assert_false(holds(m, "secret@x.example"));
	assert_int_equal(m->stream, STREAM_TRANSACTIONAL);
	assert_int_equal(m->doubt_policy, QUEUE_DOUBT_AT_LEAST_ONCE);
	assert_false(m->has_key); /* no Message-ID of the client's: no match */
	assert_int_equal(m->rcpts[0].born, STORE_QUEUED);
	assert_true(str_eq(m->rcpts[0].address, STR("You@b.example")));
	assert_true(m->rcpts[0].group_key.n != 0);
	teardown(&b);
}

static void
bulk_mail_is_known_by_its_header_and_not_repeated_unseen(void **state)
{
	AUTO(store_message_free) struct store_message *m = NULL;
	struct submit_refusal r;
	struct bench b;

	(void)state;
	setup(&b, 1);
	assert_true(prepare(&b, "From: me@a.example\r\nList-Id: <news.a.example>\r\n\r\nbody\r\n",
	    "you@b.example", &m, &r));
	assert_int_equal(m->stream, STREAM_BULK);
	assert_int_equal(m->doubt_policy, QUEUE_DOUBT_AT_MOST_ONCE);
	teardown(&b);
}

static void
a_stream_whose_relay_does_not_carry_the_sender_is_refused_not_kept(void **state)
{
	AUTO(store_message_free) struct store_message *m = NULL;
	AUTO(relay_book_unref) struct relay_book *relays = NULL;
	AUTO(account_book_unref) struct account_book *accounts = NULL;
	struct account_row local = { .id = ACCOUNT_LOCAL, .name = STR_INIT("local") };
	struct relay_row relay = { .id = { 1 }, .name = STR_INIT("main"), .current = { 1 } };
	struct relay_version_row version = { .id = { 1 },
		.relay = { 1 },
		.number = 1,
		.host = STR_INIT("127.0.0.1"),
		.port = 25,
		.tls = RELAY_TLS_NONE,
		.senders = STR_INIT("news@a.example") };
	struct relay_row any = { .id = { 2 }, .name = STR_INIT("any"), .current = { 2 } };
	struct relay_version_row open = version;
	struct relay_route_row routes[] = {
		{ .id = { 1 }, .relay = { 1 }, .is_default = true },
		{ .id = { 2 }, .relay = { 2 }, .by_stream = true, .stream = STREAM_TRANSACTIONAL },
	};
	struct submit_refusal r;
	struct fault f = { 0 };
	struct bench b;

	(void)state;
	open.id = any.current;
	open.relay = any.id;
	open.senders = (struct str){ 0 };
	struct relay_row both[] = { relay, any };
	struct relay_version_row versions[] = { version, open };
	struct relay_book_rows rows = { both, 2, versions, 2, routes, 2, NULL, 0, true };
	setup(&b, 1);
	assert_int_equal(relay_book_new(&rows, &relays, &f), RC_OK);
	assert_int_equal(account_book_new(&local, 1, NULL, 0, &accounts, &f), RC_OK);
	submit_set_books(b.submit, relays, accounts);
	assert_true(prepare(&b, "From: me@a.example\r\n\r\nbody\r\n", "you@b.example", &m, &r));
	store_message_free(&m);
	assert_false(prepare(
	    &b, "From: me@a.example\r\nPrecedence: bulk\r\n\r\nbody\r\n", "you@b.example", &m, &r));
	assert_int_equal(r.code, 550);
	assert_non_null(strstr(r.text, "me@a.example"));
	teardown(&b);
}

static void
the_same_submission_has_the_same_key_and_another_has_not(void **state)
{
	AUTO(store_message_free) struct store_message *m1 = NULL;
	AUTO(store_message_free) struct store_message *m2 = NULL;
	AUTO(store_message_free) struct store_message *m3 = NULL;
	AUTO(store_message_free) struct store_message *m4 = NULL;
	struct submit_refusal r;
	struct bench b;

	(void)state;
	setup(&b, 1);
	const char *text = "From: me@a.example\r\nMessage-ID: <1@a.example>\r\n\r\nbody\r\n";
	assert_true(prepare(&b, text, "you@b.example", &m1, &r));
	assert_true(prepare(&b, text, "you@b.example", &m2, &r));
	assert_true(prepare(&b, text, "her@b.example", &m3, &r));
	assert_true(prepare(&b, "From: me@a.example\r\nMessage-ID: <1@a.example>\r\n\r\nbody 2\r\n",
	    "you@b.example", &m4, &r));
	assert_true(m1->has_key);
	assert_memory_equal(m1->key, m2->key, STORE_KEY_SIZE);
	assert_memory_not_equal(m1->key, m3->key, STORE_KEY_SIZE);
	assert_memory_not_equal(m1->key, m4->key, STORE_KEY_SIZE);
	teardown(&b);
}

static void
before_the_first_relay_mail_is_captured(void **state)
{
	AUTO(store_message_free) struct store_message *m = NULL;
	struct submit_refusal r;
	struct bench b;

	(void)state;
	setup(&b, 0);
	assert_true(prepare(&b, "From: me@a.example\r\n\r\nbody\r\n", "you@b.example", &m, &r));
	assert_int_equal(m->rcpts[0].born, STORE_CAPTURED);
	teardown(&b);
}

static void
what_cannot_be_sent_safely_is_refused_with_its_code(void **state)
{
	char loop_of_hops[4096] = "From: me@a.example\r\n";
	struct store_message *m = NULL;
	struct submit_refusal r;
	struct bench b;

	(void)state;
	setup(&b, 1);
	assert_false(
	    prepare(&b, "From: me@a.example\r\n\r\nbare\nnewline\r\n", "you@b.example", &m, &r));
	assert_int_equal(r.code, 550);
	assert_int_equal(r.enhanced.detail, 11);
	size_t n = strlen(loop_of_hops);
	for (int i = 0; i < 51; i++)
		n += (size_t)snprintf(
		    loop_of_hops + n, sizeof(loop_of_hops) - n, "Received: from a by b; now\r\n");
	snprintf(loop_of_hops + n, sizeof(loop_of_hops) - n, "\r\nround\r\n");
	assert_false(prepare(&b, loop_of_hops, "you@b.example", &m, &r));
	assert_int_equal(r.enhanced.subject, 4);
	assert_int_equal(r.enhanced.detail, 6);
	assert_false(prepare(&b, "From: me@a.example\r\nX-Posthouse-Send-At: 60d\r\n\r\nx\r\n",
	    "you@b.example", &m, &r));
	assert_non_null(strstr(r.text, "30 days"));
	assert_null(m);
	teardown(&b);
}

static void
options_are_taken_out_of_the_content(void **state)
{
	AUTO(store_message_free) struct store_message *m = NULL;
	struct submit_refusal r;
	struct bench b;

	(void)state;
	setup(&b, 1);
	assert_true(prepare(&b,
	    "From: me@a.example\r\nX-Posthouse-Tag: reset\r\nX-Posthouse-Deadline: 10m\r\n\r\nx\r\n",
	    "you@b.example", &m, &r));
	assert_false(holds(m, "X-Posthouse"));
	assert_true(str_eq(m->tag, STR("reset")));
	assert_int_equal(m->deadline_us, NOW + MINUTES(10));
	teardown(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_message_gets_what_is_missing),
		cmocka_unit_test(bulk_mail_is_known_by_its_header_and_not_repeated_unseen),
		cmocka_unit_test(
		    a_stream_whose_relay_does_not_carry_the_sender_is_refused_not_kept),
		cmocka_unit_test(the_same_submission_has_the_same_key_and_another_has_not),
		cmocka_unit_test(before_the_first_relay_mail_is_captured),
		cmocka_unit_test(what_cannot_be_sent_safely_is_refused_with_its_code),
		cmocka_unit_test(options_are_taken_out_of_the_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
