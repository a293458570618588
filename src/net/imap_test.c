/* The IMAP reader against a scripted server on loopback, both on one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/conn.h"
#include "net/dialer.h"
#include "net/imap.h"

/* When what the client said so far holds `wait` (behind what was matched before), say `say`. */
struct line {
	const char *wait; /* "": at once; NULL: the end */
	const char *say;
};
#define CUT "\1cut"
#define WELCOME                                                                                    \
	{                                                                                          \
		"", "* OK hello\r\n"                                                               \
	}
#define CAPS(words)                                                                                \
	{                                                                                          \
		"p1 CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 " words "\r\np1 OK done\r\n"          \
	}

struct play {
	struct loop *loop;
	struct dialer *dialer;
	struct imap *imap;
	struct conn *peer;
	struct loop_watch watch;
	struct loop_timer guard;
	int listening;
	uint16_t port;
	const struct line *script;
	size_t at, matched;
	struct buf heard;
	bool ready, closed, frees_itself;
	unsigned step;
	struct imap_end end;
	char text[400];
	void (*on_ready)(struct play *p);
};

static void
peer_step(struct play *p)
{
	while (p->script[p->at].wait != NULL) {
		const struct line *l = &p->script[p->at];
		struct str rest = str_skip(buf_str(&p->heard), p->matched);
		size_t hit = str_find_str(rest, str_from(l->wait));
		if (hit == rest.n && l->wait[0] != '\0')
			return;
		p->matched += hit + strlen(l->wait);
		p->at++;
		if (strcmp(l->say, CUT) == 0)
			conn_close(p->peer);
		else
			conn_write(p->peer, str_from(l->say));
	}
}

static void
peer_data(void *arg)
{
	struct play *p = arg;
	struct buf *in = conn_input(p->peer);

	buf_add(&p->heard, buf_str(in));
	buf_drop(in, buf_len(in));
	peer_step(p);
}

static void
peer_ready(void *arg)
{
	peer_step(arg);
}

static void
peer_closed(void *arg, const struct fault *why)
{
	(void)arg;
	(void)why;
}

static const struct conn_ops peer_ops = {
	.on_ready = peer_ready, .on_data = peer_data, .on_closed = peer_closed
};

static void
on_knock(void *arg, unsigned what)
{
	struct play *p = arg;
	int fd = accept4(p->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	assert_true(fd >= 0);
	p->peer = conn_new(p->loop, fd, &peer_ops, p, NULL);
}

static void
too_late(void *arg)
{
	struct play *p = arg;

	fail_msg("stuck; heard: %s", buf_cstr(&p->heard));
}

static int
setup(void **state)
{
	static struct play play;
	struct play *p = &play;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(at);

	*p = (struct play){ .loop = loop_new() };
	p->dialer = dialer_new(p->loop, NULL);
	p->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listening, (void *)&at, n), 0);
	assert_int_equal(listen(p->listening, 4), 0);
	assert_int_equal(getsockname(p->listening, (void *)&at, &n), 0);
	p->port = ntohs(at.sin_port);
	loop_watch_init(&p->watch, p->loop, p->listening, on_knock, p);
	loop_watch_set(&p->watch, LOOP_READ);
	loop_timer_init(&p->guard, too_late, p);
	buf_init(&p->heard, 1 << 20);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct play *p = *state;

	imap_free(&p->imap);
	conn_free(&p->peer);
	loop_watch_done(&p->watch);
	close(p->listening);
	dialer_free(&p->dialer);
	loop_free(&p->loop);
	buf_done(&p->heard);
	return 0;
}

static void
on_ready(struct imap *i, void *arg)
{
	struct play *p = arg;

	assert_ptr_equal(i, p->imap);
	p->ready = true;
	if (p->on_ready != NULL)
		p->on_ready(p);
	else
		imap_logout(i);
}

static void
on_closed(struct imap *i, const struct imap_end *why, void *arg)
{
	struct play *p = arg;

	assert_ptr_equal(i, p->imap);
	assert_false(p->closed);
	p->closed = true;
	p->end = *why;
	snprintf(p->text, sizeof(p->text), "%.*s", STR_ARG(why->text));
	loop_stop(p->loop);
}

static void
play(struct play *p, const struct line *script, struct imap_opts opts)
{
	static const struct imap_ops ops = { on_ready, on_closed };

	p->script = script;
	opts.host = STR("127.0.0.1");
	opts.port = p->port;
	if (opts.user.n == 0)
		opts.user = STR("ann");
	if (opts.secret.n == 0)
		opts.secret = STR("pa\"ss");
	loop_timer_set(p->loop, &p->guard, loop_now_us(p->loop) + SECONDS(20));
	p->imap = imap_new(p->loop, p->dialer, &opts, &ops, p);
	loop_run(p->loop);
}

static const struct imap_opts plain = { .tls = IMAP_TLS_NONE };

static void
a_login_says_who_we_are_before_anything_is_opened(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS("ID"),
		{ "p2 LOGIN \"ann\" \"pa\\\"ss\"\r\n",
		    "p2 OK [CAPABILITY IMAP4rev1 ID UIDPLUS] in\r\n" },
		{ "p3 ID (\"name\" \"posthouse\"", "* ID NIL\r\np3 OK done\r\n" },
		{ "p4 LOGOUT\r\n", "* BYE bye\r\np4 OK done\r\n" }, { 0 } };

	play(p, script, plain);
	assert_true(p->ready);
	assert_int_equal(p->end.rc, RC_DONE);
	assert_true(imap_has(p->imap, STR("uidplus")));
	assert_false(imap_has(p->imap, STR("UID")));
	assert_true(str_eq(imap_greeting(p->imap), STR("hello")));
}

static void
plain_is_preferred_and_goes_with_the_command_where_that_is_offered(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS("SASL-IR AUTH=PLAIN"),
		{ "p2 AUTHENTICATE PLAIN AGFubgBwYSJzcw==\r\n", "p2 OK in\r\n" },
		{ "p3 CAPABILITY\r\n", "* CAPABILITY IMAP4rev1\r\np3 OK done\r\n" },
		{ "p4 LOGOUT\r\n", "p4 OK done\r\n" }, { 0 } };

	play(p, script, plain);
	assert_int_equal(p->end.rc, RC_DONE);
}

static void
without_initial_responses_the_secret_waits_for_the_go(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS("AUTH=PLAIN"),
		{ "p2 AUTHENTICATE PLAIN\r\n", "+ \r\n" },
		{ "AGFubgBwYSJzcw==\r\n", "p2 OK [CAPABILITY x] in\r\n" },
		{ "LOGOUT\r\n", "p3 OK done\r\n" }, { 0 } };

	play(p, script, plain);
	assert_int_equal(p->end.rc, RC_DONE);
}

static void
a_refused_login_is_told_in_the_servers_words_and_not_repeated(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS(""),
		{ "p2 LOGIN ", "p2 NO [AUTHENTICATIONFAILED] Login fail.\r\n" }, { 0 } };

	play(p, script, plain);
	assert_false(p->ready);
	assert_int_equal(p->end.stage, IMAP_STAGE_AUTH);
	assert_int_equal(p->end.rc, RC_DENIED);
	assert_string_equal(p->text, "the server says: Login fail.");
}

static void
the_error_of_xoauth2_is_acknowledged(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS("SASL-IR AUTH=XOAUTH2"),
		{ "p2 AUTHENTICATE XOAUTH2 ", "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n" },
		{ "\r\n\r\n", "p2 NO SASL authentication failed\r\n" }, { 0 } };
	struct imap_opts opts = plain;

	opts.login = IMAP_LOGIN_XOAUTH2;
	opts.secret = STR("token");
	play(p, script, opts);
	assert_int_equal(p->end.rc, RC_DENIED);
}

static void
nothing_is_said_in_the_clear_where_tls_is_asked_for(void **state)
{
	struct play *p = *state;
	static const struct line no_tls[] = { WELCOME, CAPS("AUTH=PLAIN"), { 0 } };
	struct imap_opts opts = plain;
	AUTO(tls_ctx_unref) struct tls_ctx *ctx = NULL;

	assert_int_equal(tls_ctx_new_client(NULL, &ctx, NULL), RC_OK);
	opts.tls = IMAP_TLS_STARTTLS;
	opts.tls_ctx = ctx;
	play(p, no_tls, opts);
	assert_int_equal(p->end.stage, IMAP_STAGE_TLS);
	assert_int_equal(p->end.rc, RC_TLS);
	assert_true(str_eq(buf_str(&p->heard), STR("p1 CAPABILITY\r\n")));
}

static void
a_login_before_tls_is_refused(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { { "", "* PREAUTH you are in\r\n" }, { 0 } };
	struct imap_opts opts = plain;
	AUTO(tls_ctx_unref) struct tls_ctx *ctx = NULL;

	assert_int_equal(tls_ctx_new_client(NULL, &ctx, NULL), RC_OK);
	opts.tls = IMAP_TLS_STARTTLS;
	opts.tls_ctx = ctx;
	play(p, script, opts);
	assert_int_equal(p->end.rc, RC_TLS);
	assert_int_equal(buf_len(&p->heard), 0);
}

static void
words_behind_the_consent_to_tls_end_the_connection(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS("STARTTLS"),
		{ "p2 STARTTLS\r\n", "p2 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" }, { 0 } };
	struct imap_opts opts = plain;
	AUTO(tls_ctx_unref) struct tls_ctx *ctx = NULL;

	assert_int_equal(tls_ctx_new_client(NULL, &ctx, NULL), RC_OK);
	opts.tls = IMAP_TLS_STARTTLS;
	opts.tls_ctx = ctx;
	play(p, script, opts);
	assert_int_equal(p->end.rc, RC_TLS);
	assert_false(p->ready);
}

static void
what_is_no_imap_is_said_to_be_none(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { { "", "220 mx ESMTP\r\n" }, { 0 } };

	play(p, script, plain);
	assert_int_equal(p->end.stage, IMAP_STAGE_GREETING);
	assert_int_equal(p->end.rc, RC_INVALID);
}

static void
a_server_that_leaves_is_quoted(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME,
		{ "p1 CAPABILITY\r\n", "* BYE too many connections\r\n" }, { 0 } };

	play(p, script, plain);
	assert_int_equal(p->end.rc, RC_CLOSED);
	assert_non_null(strstr(p->text, "too many connections"));
}

static void
a_silent_server_is_left_in_time(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { { 0 } };
	struct imap_opts opts = plain;

	opts.patience = 0.001;
	play(p, script, opts);
	assert_int_equal(p->end.rc, RC_TIMEOUT);
	assert_int_equal(p->end.stage, IMAP_STAGE_GREETING);
}

static void
nobody_there_is_told_by_its_stage(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { { 0 } };

	loop_watch_done(&p->watch);
	assert_int_equal(shutdown(p->listening, SHUT_RDWR), 0);
	play(p, script, plain);
	assert_int_equal(p->end.stage, IMAP_STAGE_CONNECT);
}

/* ---- commands ---- */

static void
on_fetched(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct play *p = arg;

	p->step++;
	assert_int_equal(a->rc, RC_OK);
	if (p->step == 4) {
		assert_int_equal(a->uid, 7);
		assert_int_equal(a->size, 5000);
		assert_true(str_eq(a->content, STR("Subject: x\r\n")));
		assert_true(a->labels_known && a->label_junk && !a->label_inbox);
		imap_fetch(i, 8, 100, on_fetched);
	} else {
		assert_int_equal(a->uid, 0);
		imap_logout(i);
	}
}

static void
on_found(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct play *p = arg;

	p->step++;
	assert_int_equal(a->n_uids, 2);
	assert_int_equal(a->uids[0], 7);
	assert_int_equal(a->uids[1], 9);
	imap_fetch(i, 7, 100, on_fetched);
}

static void
on_opened(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct play *p = arg;
	struct imap_query q = { .from_uid = 5,
		.since_us = SECONDS(1795420113),
		.header = STR("Message-ID"),
		.value = STR("x@y") };

	p->step++;
	assert_int_equal(a->uidvalidity, 17);
	assert_int_equal(a->uidnext, 10);
	assert_int_equal(a->exists, 3);
	imap_search(i, &q, on_found);
}

static void
on_folders(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct play *p = arg;

	p->step++;
	assert_int_equal(a->n_folders, 4);
	assert_int_equal(a->folders[0].role, IMAP_ROLE_INBOX);
	assert_int_equal(a->folders[1].role, IMAP_ROLE_NONE); /* called so, but another one is it */
	assert_int_equal(a->folders[2].role, IMAP_ROLE_JUNK);
	assert_int_equal(a->folders[3].role, IMAP_ROLE_SENT);
	assert_false(a->folders[3].selectable);
	imap_open(i, a->folders[2].name, on_opened);
}

static void
ask_folders(struct play *p)
{
	imap_folders(p->imap, on_folders);
}

static void
a_mailbox_is_listed_opened_searched_and_read(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS("X-GM-EXT-1"),
		{ "LOGIN ", "p2 OK [CAPABILITY IMAP4rev1 X-GM-EXT-1] in\r\n" },
		{ "p3 LIST \"\" \"*\"\r\n",
		    "* LIST () \"/\" INBOX\r\n* LIST () \"/\" Spam\r\n"
		    "* LIST (\\Junk) \"/\" \"odd name\"\r\n"
		    "* LIST (\\Noselect) \"/\" {4}\r\nSent\r\np3 OK done\r\n" },
		{ "p4 EXAMINE \"odd name\"\r\n",
		    "* 3 EXISTS\r\n* OK [UIDVALIDITY 17] x\r\n* OK [UIDNEXT 10] x\r\n"
		    "p4 OK [READ-ONLY] done\r\n" },
		{ "p5 UID SEARCH UID 5:* SINCE 23-Nov-2026 HEADER Message-ID \"x@y\"\r\n",
		    "* SEARCH 9 7 3\r\np5 OK done\r\n" },
		{ "p6 UID FETCH 7 (UID RFC822.SIZE X-GM-LABELS BODY.PEEK[]<0.100>)\r\n",
		    "* 2 FETCH (UID 3 FLAGS ())\r\n* 1 FETCH (UID 7 RFC822.SIZE 5000 X-GM-LABELS "
		    "(\"\\\\Spam\") BODY[]<0> {12}\r\nSubject: x\r\n)\r\np6 OK done\r\n" },
		{ "p7 UID FETCH 8 ", "p7 OK nothing\r\n" }, { "p8 LOGOUT", "p8 OK bye\r\n" },
		{ 0 } };

	p->on_ready = ask_folders;
	play(p, script, plain);
	assert_string_equal(p->text, "logged out");
	assert_int_equal(p->end.rc, RC_DONE);
	assert_int_equal(p->step, 5);
}

static void
on_no(struct imap *i, const struct imap_answer *a, void *arg)
{
	struct play *p = arg;

	p->step++;
	assert_int_equal(a->rc, RC_DENIED);
	assert_true(str_eq(a->text, STR("Unsafe Login")));
	imap_free(&p->imap);
	(void)i;
	loop_stop(p->loop);
}

static void
open_inbox(struct play *p)
{
	imap_open(p->imap, STR("INBOX"), on_no);
}

static void
a_no_is_an_answer_and_the_reader_may_be_freed_in_it(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS(""),
		{ "LOGIN ", "p2 OK [CAPABILITY x] in\r\n" },
		{ "EXAMINE \"INBOX\"", "p3 NO Unsafe Login\r\n* 1 EXISTS\r\n" }, { 0 } };

	p->on_ready = open_inbox;
	play(p, script, plain);
	assert_int_equal(p->step, 1);
	assert_false(p->closed);
}

static void
fetch_much(struct play *p)
{
	imap_fetch(p->imap, 1, 100, on_fetched);
}

static void
an_answer_without_end_is_not_waited_for(void **state)
{
	struct play *p = *state;
	static const struct line script[] = { WELCOME, CAPS(""),
		{ "LOGIN ", "p2 OK [CAPABILITY x] in\r\n" },
		{ "FETCH", "* 1 FETCH (BODY[] {88888888}\r\n" }, { 0 } };

	p->on_ready = fetch_much;
	play(p, script, plain);
	assert_int_equal(p->end.stage, IMAP_STAGE_FETCH);
	assert_int_equal(p->end.rc, RC_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_login_says_who_we_are_before_anything_is_opened),
		TEST(plain_is_preferred_and_goes_with_the_command_where_that_is_offered),
		TEST(without_initial_responses_the_secret_waits_for_the_go),
		TEST(a_refused_login_is_told_in_the_servers_words_and_not_repeated),
		TEST(the_error_of_xoauth2_is_acknowledged),
		TEST(nothing_is_said_in_the_clear_where_tls_is_asked_for),
		TEST(a_login_before_tls_is_refused),
		TEST(words_behind_the_consent_to_tls_end_the_connection),
		TEST(what_is_no_imap_is_said_to_be_none),
		TEST(a_server_that_leaves_is_quoted),
		TEST(a_silent_server_is_left_in_time),
		TEST(nobody_there_is_told_by_its_stage),
		TEST(a_mailbox_is_listed_opened_searched_and_read),
		TEST(a_no_is_an_answer_and_the_reader_may_be_freed_in_it),
		TEST(an_answer_without_end_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
