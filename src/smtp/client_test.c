/* The client against a scripted peer on the other end of a socket pair, both on one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "smtp/client.h"

#define EHLO_ALL                                                                                   \
	"250-peer\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n"

/* One line of the peer's part: when what arrived so far holds `wait` (behind what was matched
 * before), send `say`. CUT closes instead. Content counts as arrived text like everything else. */
struct line {
	const char *wait; /* "": at once */
	const char *say;
};
#define CUT "\1cut"

struct play {
	struct loop *loop;
	struct smtp_client *client;
	struct conn *peer;
	const struct line *script;
	size_t at;
	struct buf heard; /* everything the client sent */
	size_t matched;
	struct arena arena;
	struct smtp_job *jobs;
	size_t n_jobs, next_job, done_jobs;
	int grant;      /* 1 yes, 0 no, -1 never */
	unsigned asked; /* on_about_to_finish */
	size_t granted; /* recipients named then */
	bool ready, closed, spoke_early;
	struct smtp_verdict end;
	char end_text[256];
	struct loop_timer patience;
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
		if (str_eq(str_from(l->say), STR(CUT))) {
			conn_close(p->peer);
			return;
		}
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
next(struct play *p, struct smtp_client *c)
{
	if (p->next_job < p->n_jobs && smtp_client_is_idle(c))
		smtp_client_send(c, &p->jobs[p->next_job++]);
	else if (p->next_job == p->n_jobs)
		smtp_client_quit(c);
}

static void
on_ready(struct smtp_client *c, void *arg)
{
	struct play *p = arg;

	p->ready = true;
	next(p, c);
}

static void
on_about_to_finish(struct smtp_client *c, struct smtp_job *job, void *arg)
{
	struct play *p = arg;

	p->asked++;
	p->granted = job->n_granted;
	struct str unanswered = str_skip(buf_str(&p->heard), p->matched);
	assert_true(str_find_str(unanswered, STR("\r\n.\r\n")) == unanswered.n);
	if (p->grant >= 0)
		smtp_client_grant(c, p->grant == 1);
}

static void
on_job_done(struct smtp_client *c, struct smtp_job *job, void *arg)
{
	struct play *p = arg;

	assert_ptr_equal(job, &p->jobs[p->done_jobs]);
	p->done_jobs++;
	next(p, c);
}

static void
on_closed(struct smtp_client *c, const struct smtp_verdict *why, void *arg)
{
	struct play *p = arg;

	assert_false(p->closed);
	p->closed = true;
	p->spoke_early = smtp_client_facts(c)->spoke_early;
	p->end = *why;
	snprintf(p->end_text, sizeof(p->end_text), "%.*s", STR_ARG(why->text));
	loop_stop(p->loop);
}

static const struct smtp_client_ops ops = { on_ready, on_about_to_finish, on_job_done, on_closed };

static void
out_of_patience(void *arg)
{
	struct play *p = arg;

	fail_msg("the conversation hangs after %zu lines; heard: %.*s", p->at,
	    STR_ARG(buf_str(&p->heard)));
}

static void
setup(struct play *p, const struct line *script, struct smtp_job *jobs, size_t n_jobs)
{
	*p = (struct play){ .script = script, .jobs = jobs, .n_jobs = n_jobs, .grant = 1 };
	buf_init(&p->heard, 8u << 20);
	p->loop = loop_new();
	loop_timer_init(&p->patience, out_of_patience, p);
	loop_timer_set(p->loop, &p->patience, clock_monotonic_us() + SECONDS(10));
}

static void
run_with(struct play *p, struct smtp_client_opts *opts)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	p->peer = conn_new(p->loop, fds[1], &peer_ops, p, NULL);
	p->client = smtp_client_new(p->loop, fds[0], opts, &ops, p);
	loop_run(p->loop);
}

static void
run(struct play *p)
{
	struct smtp_client_opts opts = {
		.hostname = STR("client.example"), .peer_name = STR("peer.example"), .patience = 1
	};

	run_with(p, &opts);
}

static void
finish(struct play *p)
{
	loop_timer_cancel(p->loop, &p->patience);
	conn_free(&p->peer);
	buf_done(&p->heard);
	loop_free(&p->loop);
	arena_done(&p->arena);
}

static bool
was_heard(const struct play *p, const char *text)
{
	return str_find_str(buf_str(&p->heard), str_from(text)) < buf_len(&p->heard);
}

/* A job of n recipients r1@, r2@ ... */
static void
make_job(struct smtp_job *job, struct arena *a, size_t n, const char *content)
{
	*job = (struct smtp_job){ .sender = STR("me@a.example"), .arena = a, .n_rcpts = n };
	job->rcpts = ARENA_NEW_ARRAY(a, struct smtp_job_rcpt, n);
	for (size_t i = 0; i < n; i++)
		job->rcpts[i].path = arena_strf(a, "r%zu@b.example", i + 1);
	job->content = blob_from(str_from(content));
}

/* `n` bytes of lines of 76 letters. */
static const char *
lines_of_text(struct arena *a, size_t n)
{
	char *text = arena_zalloc(a, n + 1);

	for (size_t i = 0; i < n; i++)
		text[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : 'a';
	return text;
}

#define HELLO                                                                                      \
	{ "", "220 peer\r\n" },                                                                    \
	{                                                                                          \
		"EHLO client.example\r\n", EHLO_ALL                                                \
	}
#define BYE                                                                                        \
	{ "QUIT\r\n", "221 bye\r\n" },                                                             \
	{                                                                                          \
		NULL, NULL                                                                         \
	}

static void
a_message_goes_out_in_one_pipelined_envelope(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" },
		{ "\r\n.\r\n", "250 2.0.0 kept\r\n" }, BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 1, "Subject: x\r\n\r\n.dot\r\nend\r\n");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_SENT);
	assert_int_equal(job.rcpts[0].verdict.code, 250);
	assert_true(str_eq(job.rcpts[0].verdict.text, STR("kept")));
	assert_int_equal(p.asked, 1);
	assert_true(was_heard(
	    &p, "MAIL FROM:<me@a.example> SIZE=25\r\nRCPT TO:<r1@b.example>\r\nDATA\r\n"));
	assert_true(was_heard(&p, "Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n"));
	assert_int_equal(p.end.outcome, SMTP_NOT_TRIED);
	blob_unref(&job.content);
	finish(&p);
}

static void
refused_recipients_have_their_own_verdicts_and_the_rest_is_sent(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n",
		    "250 ok\r\n250 ok\r\n550 5.1.1 no such user\r\n250 ok\r\n354 go\r\n" },
		{ "\r\n.\r\n", "250 kept\r\n" }, BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 3, "x: y\r\n\r\nhi\r\n");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_SENT);
	assert_int_equal(job.rcpts[1].verdict.outcome, SMTP_REFUSED);
	assert_int_equal(job.rcpts[1].verdict.stage, SMTP_STAGE_RCPT);
	assert_int_equal(job.rcpts[1].verdict.enhanced.detail, 1);
	assert_int_equal(job.rcpts[2].verdict.outcome, SMTP_SENT);
	assert_int_equal(p.granted, 2);
	blob_unref(&job.content);
	finish(&p);
}

static void
a_peer_that_wants_content_for_nobody_gets_a_lone_dot(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n550 no\r\n354 go\r\n" }, { ".\r\n", "554 nothing\r\n" },
		{ "RSET\r\n", "250 ok\r\n" }, BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 1, "x: y\r\n\r\nsecret\r\n");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_REFUSED);
	assert_int_equal(p.asked, 0);
	assert_false(was_heard(&p, "secret"));
	blob_unref(&job.content);
	finish(&p);
}

static void
without_pipelining_each_command_waits_for_its_reply(void **state)
{
	static const struct line script[] = { { "", "220 old\r\n" }, { "EHLO", "502 what\r\n" },
		{ "HELO client.example\r\n", "250 hi\r\n" },
		{ "MAIL FROM:<me@a.example>\r\n", "250 ok\r\n" },
		{ "RCPT TO:<r1@b.example>\r\n", "250 ok\r\n" }, { "DATA\r\n", "354 go\r\n" },
		{ "\r\n.\r\n", "250 kept\r\n" }, BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_SENT);
	blob_unref(&job.content);
	finish(&p);
}

static void
no_record_no_dot(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" }, { NULL, NULL } };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	p.grant = 0;
	make_job(&job, &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_BROKEN);
	assert_false(was_heard(&p, "\r\n.\r\n"));
	blob_unref(&job.content);
	finish(&p);
}

static void
a_reply_lost_after_the_dot_is_a_doubt(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" }, { "\r\n.\r\n", CUT },
		{ NULL, NULL } };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_IN_DOUBT);
	assert_int_equal(p.end.outcome, SMTP_BROKEN);
	blob_unref(&job.content);
	finish(&p);
}

static void
a_connection_cut_before_the_dot_is_no_doubt(void **state)
{
	static const struct line in_envelope[] = { HELLO, { "DATA\r\n", CUT }, { NULL, NULL } };
	static const struct line after_data[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" }, { "aaa", CUT }, { NULL, NULL } };
	const struct line *all[] = { in_envelope, after_data };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		struct smtp_job job;
		struct play p;
		setup(&p, all[i], &job, 1);
		p.grant = -1;
		/* Enough that it does not wait for the grant. */
		make_job(&job, &p.arena, 1, lines_of_text(&p.arena, 20000));
		run(&p);
		assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_BROKEN);
		blob_unref(&job.content);
		finish(&p);
	}
}

static void
closing_421_is_the_verdict_of_what_is_undecided(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n421 4.3.2 going down\r\n" }, BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_REFUSED);
	assert_int_equal(job.rcpts[0].verdict.code, 421);
	assert_int_equal(p.end.code, 421);
	blob_unref(&job.content);
	finish(&p);
}

static void
goodbyes_in_the_middle_of_content_are_heard_once(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" },
		{ "aaa", "421 4.3.2 going down\r\n421 4.3.2 really\r\n250 what\r\n" },
		{ NULL, NULL } };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	p.grant = -1;
	make_job(&job, &p.arena, 1, lines_of_text(&p.arena, 20000));
	run(&p);
	assert_int_equal(p.done_jobs, 1);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_REFUSED);
	assert_int_equal(job.rcpts[0].verdict.code, 421);
	assert_false(was_heard(&p, "QUIT"));
	blob_unref(&job.content);
	finish(&p);
}

static void
a_kept_connection_that_was_closed_already_has_not_heard_of_the_message(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" }, { "\r\n.\r\n", "250 one\r\n" },
		{ "MAIL", CUT }, { NULL, NULL } };
	struct smtp_job jobs[2];
	struct play p;

	(void)state;
	setup(&p, script, jobs, 2);
	make_job(&jobs[0], &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	make_job(&jobs[1], &p.arena, 1, "x: y\r\n\r\nho\r\n");
	run(&p);
	assert_int_equal(p.done_jobs, 2);
	assert_int_equal(jobs[0].rcpts[0].verdict.outcome, SMTP_SENT);
	assert_int_equal(jobs[1].rcpts[0].verdict.outcome, SMTP_NOT_TRIED);
	assert_int_equal(p.end.outcome, SMTP_NOT_TRIED);
	blob_unref(&jobs[0].content);
	blob_unref(&jobs[1].content);
	finish(&p);
}

static void
an_address_beyond_ascii_does_not_keep_the_others_back(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n" },
		{ "\r\n.\r\n", "250 kept\r\n" }, BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 3, "x: y\r\n\r\nhi\r\n");
	job.rcpts[1].path = STR("jos\xc3\xa9@b.example");
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_SENT);
	assert_int_equal(job.rcpts[1].verdict.outcome, SMTP_REFUSED);
	assert_int_equal(job.rcpts[1].verdict.trouble, SMTP_TROUBLE_NO_SMTPUTF8);
	assert_int_equal(job.rcpts[2].verdict.outcome, SMTP_SENT);
	assert_int_equal(p.granted, 2);
	assert_false(was_heard(&p, "jos"));
	blob_unref(&job.content);
	finish(&p);
}

static void
a_record_that_takes_too_long_is_our_own_fault(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" }, { NULL, NULL } };
	struct smtp_client_opts opts = { .hostname = STR("client.example"),
		.peer_name = STR("peer.example"),
		.patience = 0.001 };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	p.grant = -1;
	make_job(&job, &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	run_with(&p, &opts);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_BROKEN);
	assert_int_equal(job.rcpts[0].verdict.trouble, SMTP_TROUBLE_OURS);
	blob_unref(&job.content);
	finish(&p);
}

static void
starttls_that_is_not_offered_ends_it_before_anything_is_said(void **state)
{
	static const struct line script[] = { HELLO, BYE };
	struct smtp_client_opts opts = { .hostname = STR("client.example"),
		.peer_name = STR("peer.example"),
		.patience = 1,
		.tls = SMTP_TLS_STARTTLS,
		.user = STR("u"),
		.secret = STR("s3cret") };
	struct fault f = { 0 };
	struct play p;

	(void)state;
	assert_int_equal(tls_ctx_new_client(NULL, &opts.tls_ctx, &f), RC_OK);
	setup(&p, script, NULL, 0);
	run_with(&p, &opts);
	assert_false(p.ready);
	assert_int_equal(p.end.trouble, SMTP_TROUBLE_NO_STARTTLS);
	assert_false(was_heard(&p, "AUTH"));
	assert_false(was_heard(&p, "MAIL"));
	finish(&p);
	tls_ctx_unref(&opts.tls_ctx);
}

static void
a_refused_login_is_the_connections_verdict(void **state)
{
	static const struct line script[] = { { "", "220 p\r\n" },
		{ "EHLO", "250-p\r\n250 AUTH=LOGIN PLAIN\r\n" },
		{ "AUTH PLAIN AHUAczNjcmV0\r\n", "535 5.7.8 no\r\n" }, BYE };
	struct smtp_client_opts opts = { .hostname = STR("client.example"),
		.peer_name = STR("peer.example"),
		.patience = 1,
		.user = STR("u"),
		.secret = STR("s3cret"),
		.plain_ok = true };
	struct play p;

	(void)state;
	setup(&p, script, NULL, 0);
	run_with(&p, &opts);
	assert_false(p.ready);
	assert_int_equal(p.end.stage, SMTP_STAGE_AUTH);
	assert_int_equal(p.end.code, 535);
	finish(&p);
}

/* A probe of n recipients. */
static void
make_probe(struct smtp_job *job, struct arena *a, size_t n)
{
	*job = (struct smtp_job){
		.sender = STR("me@a.example"), .arena = a, .n_rcpts = n, .is_probe = true
	};
	job->rcpts = ARENA_NEW_ARRAY(a, struct smtp_job_rcpt, n);
	for (size_t i = 0; i < n; i++)
		job->rcpts[i].path = arena_strf(a, "r%zu@b.example", i + 1);
}

static void
a_probe_asks_for_sender_and_recipients_and_sends_nothing(void **state)
{
	static const struct line script[] = { HELLO,
		{ "RCPT TO:<r2@b.example>\r\n", "250 2.1.0 fine\r\n250 ok\r\n550 5.1.1 who\r\n" },
		{ "RSET\r\n", "250 ok\r\n" },
		{ "MAIL FROM:<me@a.example>\r\n", "553 5.7.1 not you\r\n" },
		{ "RSET\r\n", "250 ok\r\n" }, BYE };
	struct smtp_job jobs[2];
	struct play p;

	(void)state;
	setup(&p, script, jobs, 2);
	make_probe(&jobs[0], &p.arena, 2);
	jobs[0].probe_bytes = 4711;
	make_probe(&jobs[1], &p.arena, 0);
	run(&p);
	assert_int_equal(p.done_jobs, 2);
	assert_int_equal(p.asked, 0);
	assert_int_equal(jobs[0].mail.outcome, SMTP_NOT_TRIED);
	assert_int_equal(jobs[0].mail.code, 250);
	assert_int_equal(jobs[0].rcpts[0].verdict.outcome, SMTP_NOT_TRIED);
	assert_int_equal(jobs[0].rcpts[0].verdict.code, 250);
	assert_int_equal(jobs[0].rcpts[1].verdict.outcome, SMTP_REFUSED);
	assert_int_equal(jobs[0].rcpts[1].verdict.code, 550);
	assert_int_equal(jobs[1].mail.outcome, SMTP_REFUSED);
	assert_true(str_eq(jobs[1].mail.text, STR("not you")));
	assert_true(was_heard(&p, "SIZE=4711"));
	assert_false(was_heard(&p, "DATA"));
	finish(&p);
}

static void
a_probe_without_pipelining_stops_at_a_refused_sender(void **state)
{
	static const struct line script[] = { { "", "220 p\r\n" }, { "EHLO", "250 p\r\n" },
		{ "MAIL FROM:<me@a.example>\r\n", "553 no\r\n" }, { "RSET\r\n", "250 ok\r\n" },
		BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_probe(&job, &p.arena, 1);
	run(&p);
	assert_int_equal(job.mail.code, 553);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_NOT_TRIED);
	assert_int_equal(job.rcpts[0].verdict.code, 0);
	assert_false(was_heard(&p, "RCPT"));
	finish(&p);
}

static void
a_probe_that_is_cut_off_says_so(void **state)
{
	static const struct line script[] = { HELLO, { "MAIL", CUT }, { NULL, NULL } };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_probe(&job, &p.arena, 0);
	run(&p);
	assert_int_equal(job.mail.outcome, SMTP_BROKEN);
	assert_int_equal(job.mail.trouble, SMTP_TROUBLE_CLOSED);
	finish(&p);
}

static void
what_is_slipped_in_before_the_handshake_is_noticed(void **state)
{
	static const struct line script[] = { { "", "220 p\r\n" },
		{ "EHLO", "250-p\r\n250 STARTTLS\r\n" },
		{ "STARTTLS\r\n", "220 go\r\n250-p\r\n250 AUTH PLAIN\r\n" }, { NULL, NULL } };
	struct smtp_client_opts opts = { .hostname = STR("client.example"),
		.peer_name = STR("peer.example"),
		.patience = 1,
		.tls = SMTP_TLS_STARTTLS };
	struct fault f = { 0 };
	struct play p;

	(void)state;
	assert_int_equal(tls_ctx_new_client(NULL, &opts.tls_ctx, &f), RC_OK);
	setup(&p, script, NULL, 0);
	run_with(&p, &opts);
	assert_false(p.ready);
	assert_true(p.spoke_early);
	assert_int_equal(p.end.trouble, SMTP_TROUBLE_TLS);
	finish(&p);
	tls_ctx_unref(&opts.tls_ctx);
}

static void
what_the_peer_cannot_carry_is_said_before_it_is_sent(void **state)
{
	static const struct line script[] = { { "", "220 p\r\n" },
		{ "EHLO", "250-p\r\n250 SIZE 20\r\n" }, BYE };
	struct smtp_job jobs[2];
	struct play p;

	(void)state;
	setup(&p, script, jobs, 2);
	make_job(&jobs[0], &p.arena, 1, "Subject: longer than twenty\r\n\r\nhi\r\n");
	make_job(&jobs[1], &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	jobs[1].needs_utf8 = true;
	run(&p);
	assert_int_equal(jobs[0].rcpts[0].verdict.trouble, SMTP_TROUBLE_TOO_BIG);
	assert_int_equal(jobs[1].rcpts[0].verdict.trouble, SMTP_TROUBLE_NO_SMTPUTF8);
	assert_false(was_heard(&p, "MAIL"));
	blob_unref(&jobs[0].content);
	blob_unref(&jobs[1].content);
	finish(&p);
}

static void
eight_bit_content_is_recoded_for_a_seven_bit_peer(void **state)
{
	static const struct line script[] = { { "", "220 p\r\n" }, { "EHLO", "250 p\r\n" },
		{ "MAIL", "250 ok\r\n" }, { "RCPT", "250 ok\r\n" }, { "DATA\r\n", "354 go\r\n" },
		{ "\r\n.\r\n", "250 kept\r\n" }, BYE };
	struct smtp_job job;
	struct play p;

	(void)state;
	setup(&p, script, &job, 1);
	make_job(&job, &p.arena, 1,
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9\r\n");
	job.needs_8bit = true;
	run(&p);
	assert_int_equal(job.rcpts[0].verdict.outcome, SMTP_SENT);
	assert_true(was_heard(&p, "caf=C3=A9"));
	blob_unref(&job.content);
	finish(&p);
}

static void
large_content_is_fed_as_the_peer_takes_it_and_jobs_follow_each_other(void **state)
{
	static const struct line script[] = { HELLO,
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" }, { "\r\n.\r\n", "250 one\r\n" },
		{ "DATA\r\n", "250 ok\r\n250 ok\r\n354 go\r\n" }, { "\r\n.\r\n", "250 two\r\n" },
		BYE };
	struct smtp_job jobs[2];
	struct play p;
	size_t n = 900000;

	(void)state;
	setup(&p, script, jobs, 2);
	make_job(&jobs[0], &p.arena, 1, lines_of_text(&p.arena, n));
	make_job(&jobs[1], &p.arena, 1, "x: y\r\n\r\nhi\r\n");
	run(&p);
	assert_int_equal(jobs[0].rcpts[0].verdict.outcome, SMTP_SENT);
	assert_true(str_eq(jobs[1].rcpts[0].verdict.text, STR("two")));
	assert_true(buf_len(&p.heard) > n);
	blob_unref(&jobs[0].content);
	blob_unref(&jobs[1].content);
	finish(&p);
}

static void
garbage_is_no_smtp(void **state)
{
	static const struct line script[] = { { "", "HTTP/1.1 400 Bad Request\r\n" },
		{ NULL, NULL } };
	struct play p;

	(void)state;
	setup(&p, script, NULL, 0);
	run(&p);
	assert_int_equal(p.end.trouble, SMTP_TROUBLE_PROTOCOL);
	finish(&p);
}

static void
a_silent_peer_is_left_when_the_states_time_is_up(void **state)
{
	static const struct line script[] = { { NULL, NULL } };
	struct smtp_client_opts opts = { .hostname = STR("client.example"),
		.peer_name = STR("peer.example"),
		.patience = 0.0001 };
	struct play p;

	(void)state;
	setup(&p, script, NULL, 0);
	run_with(&p, &opts);
	assert_int_equal(p.end.trouble, SMTP_TROUBLE_TIMEOUT);
	assert_int_equal(p.end.stage, SMTP_STAGE_GREETING);
	finish(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_goes_out_in_one_pipelined_envelope),
		cmocka_unit_test(refused_recipients_have_their_own_verdicts_and_the_rest_is_sent),
		cmocka_unit_test(a_peer_that_wants_content_for_nobody_gets_a_lone_dot),
		cmocka_unit_test(without_pipelining_each_command_waits_for_its_reply),
		cmocka_unit_test(no_record_no_dot),
		cmocka_unit_test(a_reply_lost_after_the_dot_is_a_doubt),
		cmocka_unit_test(a_connection_cut_before_the_dot_is_no_doubt),
		cmocka_unit_test(closing_421_is_the_verdict_of_what_is_undecided),
		cmocka_unit_test(goodbyes_in_the_middle_of_content_are_heard_once),
		cmocka_unit_test(
		    a_kept_connection_that_was_closed_already_has_not_heard_of_the_message),
		cmocka_unit_test(an_address_beyond_ascii_does_not_keep_the_others_back),
		cmocka_unit_test(a_record_that_takes_too_long_is_our_own_fault),
		cmocka_unit_test(starttls_that_is_not_offered_ends_it_before_anything_is_said),
		cmocka_unit_test(a_refused_login_is_the_connections_verdict),
		cmocka_unit_test(a_probe_asks_for_sender_and_recipients_and_sends_nothing),
		cmocka_unit_test(a_probe_without_pipelining_stops_at_a_refused_sender),
		cmocka_unit_test(a_probe_that_is_cut_off_says_so),
		cmocka_unit_test(what_is_slipped_in_before_the_handshake_is_noticed),
		cmocka_unit_test(what_the_peer_cannot_carry_is_said_before_it_is_sent),
		cmocka_unit_test(eight_bit_content_is_recoded_for_a_seven_bit_peer),
		cmocka_unit_test(
		    large_content_is_fed_as_the_peer_takes_it_and_jobs_follow_each_other),
		cmocka_unit_test(garbage_is_no_smtp),
		cmocka_unit_test(a_silent_peer_is_left_when_the_states_time_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
