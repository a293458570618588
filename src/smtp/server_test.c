/* Sessions over a connection without a kernel, so that time can be moved. Conversations with a real
 * one are in tests/talk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/blob.h"
#include "smtp/server_fake.h"

/* An owner that remembers, and answers at once unless told to wait. */
static struct {
	struct smtp_server *server;
	struct smtp_server_session *session;
	struct smtp_server_opts opts;
	struct smtp_server_ops ops;
	bool waits; /* leaves every question from MAIL on open */
	struct smtp_server_ticket ticket;
	struct smtp_server_message *message; /* the last */
	unsigned messages, progress, closed, drained, wrong, right;
	const struct smtp_server_reply *to_rcpt, *to_message, *to_content;
	struct str prefix;
} owner;

static void
decide(struct smtp_server_ticket t, const struct smtp_server_reply *reply)
{
	owner.ticket = t;
	if (!owner.waits)
		smtp_server_answer(owner.server, t, reply);
}

static void
on_connect(struct smtp_server_session *s, struct smtp_server_ticket t, void *arg)
{
	(void)arg;
	owner.session = s;
	smtp_server_answer(owner.server, t, NULL);
}

static void
on_mail(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, void *arg)
{
	(void)s;
	(void)m;
	(void)arg;
	decide(t, NULL);
}

static void
on_rcpt(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, const struct smtp_server_rcpt *rcpt, void *arg)
{
	(void)s;
	(void)m;
	(void)arg;
	bool bad = str_eq(rcpt->addr.local, STR("bad"));
	decide(t, bad ? owner.to_rcpt : NULL);
}

static void
on_content_begin(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, uint64_t size_hint, void *arg)
{
	(void)m;
	(void)size_hint;
	(void)arg;
	if (owner.prefix.n != 0)
		smtp_server_prefix(s, owner.prefix);
	decide(t, owner.to_content);
}

static void
on_message(struct smtp_server_session *s, struct smtp_server_ticket t,
    struct smtp_server_message *m, void *arg)
{
	(void)s;
	(void)arg;
	smtp_server_message_free(&owner.message);
	owner.message = m;
	owner.messages++;
	decide(t, owner.to_message);
}

static void
on_progress(struct smtp_server_session *s, void *arg)
{
	(void)s;
	(void)arg;
	owner.progress++;
}

static void
on_closed(struct smtp_server_session *s, void *arg)
{
	(void)s;
	(void)arg;
	owner.closed++;
	owner.session = NULL;
}

static void
on_drained(struct smtp_server *server, void *arg)
{
	(void)server;
	(void)arg;
	owner.drained++;
}

static void
verify_password(struct smtp_server_session *s, struct smtp_server_ticket t, struct str user,
    struct str secret, void *arg)
{
	(void)s;
	(void)arg;
	smtp_server_answer_secret(
	    owner.server, t, str_eq(user, STR("joe")) && str_eq(secret, STR("secret")));
}

static void
on_login(struct smtp_server_session *s, struct str user, bool right, void *arg)
{
	(void)s;
	(void)user;
	(void)arg;
	owner.right += right;
	owner.wrong += !right;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&owner, 0, sizeof(owner));
	fake_start();
	owner.opts = smtp_server_opts_default(STR("mx.test"));
	owner.opts.auth_required = false;
	owner.opts.auth_requires_tls = false;
	owner.ops = (struct smtp_server_ops){
		.on_connect = on_connect,
		.on_mail = on_mail,
		.on_rcpt = on_rcpt,
		.on_content_begin = on_content_begin,
		.on_message = on_message,
		.on_progress = on_progress,
		.on_closed = on_closed,
		.on_drained = on_drained,
	};
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	smtp_server_free(&owner.server);
	smtp_server_message_free(&owner.message);
	fake_end();
	assert_int_equal(blob_total_bytes(), 0);
	return 0;
}

/* ---- talking ---- */

/* What was said since the last time begins so; "" means nothing at all. */
static void
check_said(const char *expected)
{
	const char *said = buf_cstr(&fake.out);
	size_t n = strlen(expected);

	if (n == 0 ? said[0] != '\0' : strncmp(said, expected, n) != 0)
		fail_msg("expected \"%s\", got \"%s\"", expected, said);
	buf_clear(&fake.out);
}

static void
begin(void)
{
	struct smtp_server_peer peer = { .trusted = true };

	owner.server = smtp_server_new(NULL, &owner.opts, &owner.ops, NULL);
	smtp_server_accept(owner.server, -1, &peer);
	fake_ready();
	check_said("220 mx.test ESMTP");
}

static void
send(const char *bytes)
{
	fake_send(str_from(bytes));
}

static void
talk(const char *line, const char *expected)
{
	send(line);
	send("\r\n");
	check_said(expected);
}

static void
begin_data(void)
{
	talk("EHLO client", "250-mx.test\r\n");
	talk("MAIL FROM:<a@x.test>", "250 2.1.0 ");
	talk("RCPT TO:<b@x.test>", "250 2.1.5 ");
	talk("DATA", "354 ");
}

/* ---- tests ---- */

static void
a_message_is_handed_over_whole(void **state)
{
	(void)state;
	owner.prefix = STR("Received: here\r\n");
	begin();
	talk("EHLO client", "250-mx.test\r\n");
	talk("MAIL FROM:<a@x.test> SIZE=20 RET=HDRS ENVID=QQ+2B", "250 2.1.0 ");
	talk("RCPT TO:<b@x.test> NOTIFY=NEVER ORCPT=rfc822;b@x.test", "250 2.1.5 ");
	talk("RCPT TO:<c@x.test>", "250 2.1.5 ");
	talk("DATA", "354 ");
	send("Subject: x\r\n\r\n..dot\r\n.");
	assert_int_equal(owner.messages, 0);
	talk("", "250 2.0.0 ");
	assert_int_equal(owner.messages, 1);
	struct smtp_server_message *m = owner.message;
	assert_true(
	    str_eq(blob_str(m->content), STR("Received: here\r\nSubject: x\r\n\r\n.dot\r\n")));
	assert_int_equal(m->prefix_bytes, 16);
	assert_int_equal(m->header_bytes, 14);
	assert_int_equal(m->longest_line, 10);
	assert_int_equal(m->n_rcpts, 2);
	assert_true(str_eq(m->sender.local, STR("a")));
	assert_true(str_eq(m->params.envid, STR("QQ+")));
	assert_int_equal(m->rcpts[0].params.notify, SMTP_NOTIFY_NEVER);
	assert_true(str_eq(m->rcpts[0].params.orcpt, STR("b@x.test")));
	assert_true(str_eq(m->rcpts[1].addr.local, STR("c")));
	assert_int_equal(m->rcpts[1].params.seen, 0);
}

static void
pipelined_commands_are_answered_in_order(void **state)
{
	static const struct smtp_server_reply no = { 550, { 5, 1, 1 }, STR_INIT("No") };

	(void)state;
	owner.to_rcpt = &no;
	begin();
	talk("EHLO client", "250-mx.test\r\n");
	send("MAIL FROM:<a@x.test>\r\nRCPT TO:<bad@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n");
	check_said("250 2.1.0 Sender taken\r\n550 5.1.1 No\r\n250 2.1.5 Recipient taken\r\n354 ");
}

static void
a_session_waits_for_its_owner(void **state)
{
	(void)state;
	begin();
	talk("EHLO client", "250-mx.test\r\n");
	owner.waits = true;
	talk("MAIL FROM:<a@x.test>", "");
	struct smtp_server_ticket old = owner.ticket;
	send("RSET\r\n");
	check_said("");
	assert_int_not_equal(conn_paused(fake.conn), 0);
	smtp_server_answer(owner.server, old, NULL);
	fake_turn();
	check_said("250 2.1.0 Sender taken\r\n250 2.0.0 Nothing is pending");
	assert_int_equal(conn_paused(fake.conn), 0);
	/* Answering twice does nothing. */
	smtp_server_answer(owner.server, old, NULL);
	fake_turn();
	check_said("");
}

static void
an_owner_that_is_late_is_not_waited_for(void **state)
{
	(void)state;
	begin();
	begin_data();
	owner.waits = true;
	talk("x\r\n.", "");
	struct smtp_server_ticket t = owner.ticket;
	fake_wait(owner.opts.answer_us);
	check_said("451 4.3.0 ");
	smtp_server_answer(owner.server, t, NULL);
	fake_turn();
	check_said("");
	talk("NOOP", "250 ");
}

static void
a_ticket_outlives_its_session_harmlessly(void **state)
{
	(void)state;
	begin();
	begin_data();
	owner.waits = true;
	talk("x\r\n.", "");
	fake_hang_up();
	assert_int_equal(owner.closed, 1);
	smtp_server_answer(owner.server, owner.ticket, NULL);
}

static void
progress_after_a_message_is_told_once(void **state)
{
	(void)state;
	begin();
	begin_data();
	talk("x\r\n.", "250 2.0.0 ");
	assert_int_equal(owner.progress, 0);
	talk("NOOP", "250 ");
	talk("NOOP", "250 ");
	assert_int_equal(owner.progress, 1);
}

static void
an_idle_client_is_told_and_closed(void **state)
{
	(void)state;
	begin();
	fake_wait(owner.opts.idle_us - 1);
	check_said("");
	talk("NOOP", "250 ");
	fake_wait(owner.opts.idle_us - 1);
	check_said("");
	/* Part of a command is no command. */
	send("NO");
	fake_wait(1);
	check_said("421 4.4.2 ");
	assert_int_equal(owner.closed, 1);
}

static void
a_session_has_an_end(void **state)
{
	(void)state;
	begin();
	int64_t left = owner.opts.session_us;
	for (; left > owner.opts.idle_us / 2; left -= owner.opts.idle_us / 2) {
		fake_wait(owner.opts.idle_us / 2);
		talk("NOOP", "250 ");
	}
	fake_wait(left);
	check_said("421 4.4.2 This connection has been open");
	assert_int_equal(owner.closed, 1);
}

static void
slow_content_is_cut(void **state)
{
	(void)state;
	owner.opts.min_rate = 10;
	owner.opts.idle_us = SECONDS(10);
	begin();
	begin_data();
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned j = 0; j < 20; j++)
			send("123456\r\n");
		fake_wait(SECONDS(10));
		check_said("");
	}
	send("1\r\n");
	fake_wait(SECONDS(10));
	check_said("421 4.4.2 The message comes in too slowly");
	assert_int_equal(owner.closed, 1);
	assert_int_equal(owner.messages, 0);
}

static void
failed_logins_are_slowed_and_then_ended(void **state)
{
	/* "\0joe\0wrong" and "\0joe\0secret" */
	const char *wrong = "AUTH PLAIN AGpvZQB3cm9uZw==";

	(void)state;
	owner.ops.verify_password = verify_password;
	owner.ops.on_login = on_login;
	begin();
	talk("EHLO client", "250-mx.test\r\n");
	talk(wrong, "");
	fake_wait(SECONDS(1) - 1);
	check_said("");
	fake_wait(1);
	check_said("535 5.7.8 ");
	talk(wrong, "");
	fake_wait(SECONDS(1));
	check_said("");
	fake_wait(SECONDS(1));
	check_said("535 5.7.8 ");
	talk("MAIL FROM:<a@x.test>", "250 ");
	talk("RSET", "250 ");
	talk(wrong, "");
	fake_wait(SECONDS(4));
	check_said("421 4.7.0 ");
	assert_int_equal(owner.wrong, 3);
	assert_int_equal(owner.closed, 1);
}

static void
a_right_secret_logs_in(void **state)
{
	(void)state;
	owner.ops.verify_password = verify_password;
	owner.ops.on_login = on_login;
	begin();
	talk("EHLO client", "250-mx.test\r\n");
	talk("AUTH PLAIN AGpvZQBzZWNyZXQ=", "235 2.7.0 ");
	assert_true(str_eq(smtp_server_session_facts(owner.session)->user, STR("joe")));
	assert_int_equal(owner.right, 1);
	talk("AUTH PLAIN AGpvZQBzZWNyZXQ=", "503 5.5.1 ");
}

static void
tls_forgets_what_was_said_before(void **state)
{
	static char context[1];

	(void)state;
	owner.opts.tls = (struct tls_ctx *)(void *)context;
	owner.ops.verify_password = verify_password;
	begin();
	talk("EHLO client", "250-mx.test\r\n");
	talk("AUTH PLAIN AGpvZQBzZWNyZXQ=", "235 2.7.0 ");
	talk("STARTTLS", "220 2.0.0 ");
	const struct smtp_server_facts *facts = smtp_server_session_facts(owner.session);
	assert_true(facts->tls);
	assert_true(str_eq(facts->tls_text, STR("TLSv1.3 TLS_AES_256_GCM_SHA384")));
	assert_int_equal(facts->user.n, 0);
	assert_int_equal(facts->helo.n, 0);
	talk("MAIL FROM:<a@x.test>", "503 5.5.1 ");
}

static void
bytes_behind_starttls_close(void **state)
{
	static char context[1];

	(void)state;
	owner.opts.tls = (struct tls_ctx *)(void *)context;
	begin();
	talk("EHLO client", "250-mx.test\r\n");
	send("STARTTLS\r\nNOOP\r\n");
	check_said("554 5.5.0 ");
	assert_int_equal(owner.closed, 1);
}

static void
draining_lets_content_finish(void **state)
{
	(void)state;
	begin();
	begin_data();
	smtp_server_drain(owner.server);
	fake_turn();
	check_said("");
	send("x\r\n.\r\n");
	check_said("250 2.0.0 Message taken\r\n421 4.3.2 ");
	assert_int_equal(owner.messages, 1);
	assert_int_equal(owner.closed, 1);
	assert_int_equal(owner.drained, 1);
}

static void
draining_waits_for_content_only_so_long(void **state)
{
	(void)state;
	begin();
	begin_data();
	smtp_server_drain(owner.server);
	for (int i = 0; i < 19; i++) {
		fake_wait(SECONDS(1));
		send("x");
		check_said("");
	}
	fake_wait(SECONDS(2));
	check_said("421 ");
	assert_int_equal(owner.messages, 0);
	assert_int_equal(owner.drained, 1);
}

static void
many_commands_at_once_are_answered_over_several_turns(void **state)
{
	const char *end;
	size_t in_first_turn = 0, in_all = 0;

	(void)state;
	begin();
	for (int i = 0; i < 1000; i++)
		buf_add(&fake.conn->in, STR("NOOP\r\n"));
	fake.conn->ops->on_data(fake.conn->arg);
	for (end = buf_cstr(&fake.out); (end = strchr(end, '\n')) != NULL; end++)
		in_first_turn++;
	fake_turn();
	for (end = buf_cstr(&fake.out); (end = strchr(end, '\n')) != NULL; end++)
		in_all++;
	assert_in_range(in_first_turn, 1, 100);
	assert_int_equal(in_all, 1000);
}

static void
draining_ends_idle_sessions_at_once(void **state)
{
	(void)state;
	begin();
	smtp_server_drain(owner.server);
	fake_turn();
	check_said("421 4.3.2 ");
	assert_int_equal(owner.drained, 1);
}

static void
memory_that_runs_out_refuses_the_message(void **state)
{
	(void)state;
	blob_budget_set(32768);
	begin();
	begin_data();
	for (unsigned i = 0; i < 2000; i++)
		send("12345678901234567890123456789012345678901234567890\r\n");
	send(".\r\n");
	check_said("452 4.3.1 ");
	talk("MAIL FROM:<a@x.test> SIZE=40000", "250 ");
	talk("RCPT TO:<b@x.test>", "250 ");
	talk("DATA", "452 4.3.1 ");
	blob_budget_set((size_t)256 << 20);
	talk("MAIL FROM:<a@x.test>", "250 ");
}

static void
a_dropped_session_says_nothing_more(void **state)
{
	(void)state;
	begin();
	begin_data();
	owner.waits = true;
	talk("x\r\n.", "");
	smtp_server_drop(owner.session);
	smtp_server_answer(owner.server, owner.ticket, NULL);
	fake_turn();
	check_said("");
	assert_int_equal(owner.closed, 1);
}

static void
published_settings_are_for_new_sessions(void **state)
{
	(void)state;
	begin();
	owner.opts.hostname = STR("other.test");
	smtp_server_publish(owner.server, &owner.opts);
	talk("HELO client", "250 mx.test\r\n");
	talk("QUIT", "221 ");
	smtp_server_accept(owner.server, -1, &(struct smtp_server_peer){ .trusted = true });
	fake_ready();
	check_said("220 other.test ESMTP");
}

static void
messages_and_commands_are_limited(void **state)
{
	(void)state;
	owner.opts.max_messages = 1;
	begin();
	begin_data();
	talk("x\r\n.", "250 ");
	talk("MAIL FROM:<a@x.test>", "421 4.7.0 This connection has carried");
	owner.opts.max_commands = 2;
	smtp_server_publish(owner.server, &owner.opts);
	smtp_server_accept(owner.server, -1, &(struct smtp_server_peer){ .trusted = true });
	fake_ready();
	check_said("220 ");
	talk("NOOP", "250 ");
	talk("NOOP", "250 ");
	talk("NOOP", "421 4.7.0 This connection has sent");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_is_handed_over_whole),
		TEST(pipelined_commands_are_answered_in_order),
		TEST(a_session_waits_for_its_owner),
		TEST(an_owner_that_is_late_is_not_waited_for),
		TEST(a_ticket_outlives_its_session_harmlessly),
		TEST(progress_after_a_message_is_told_once),
		TEST(an_idle_client_is_told_and_closed),
		TEST(a_session_has_an_end),
		TEST(slow_content_is_cut),
		TEST(failed_logins_are_slowed_and_then_ended),
		TEST(a_right_secret_logs_in),
		TEST(tls_forgets_what_was_said_before),
		TEST(bytes_behind_starttls_close),
		TEST(draining_lets_content_finish),
		TEST(draining_waits_for_content_only_so_long),
		TEST(many_commands_at_once_are_answered_over_several_turns),
		TEST(draining_ends_idle_sessions_at_once),
		TEST(memory_that_runs_out_refuses_the_message),
		TEST(a_dropped_session_says_nothing_more),
		TEST(published_settings_are_for_new_sessions),
		TEST(messages_and_commands_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
