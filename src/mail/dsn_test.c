#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "codec/utf8.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/recode.h"
#include "mail/scan.h"

static const struct str original =
    STR_INIT("From: a@x.org\r\nTo: b@y.org\r\nSubject: hi\r\n\r\nsecret body\r\n");

static struct mail_addr
address(struct arena *a, const char *text)
{
	struct mail_addr addr = { 0 };
	const char *why = "";

	if (mail_addr_parse(str_from(text), MAIL_ADDR_UTF8, a, &addr, &why) != RC_OK)
		fail_msg("%s: %s", text, why);
	return addr;
}

/* A refusal as it happens every day; tests change what they are about. */
struct sample {
	struct arena arena;
	struct mail_addr sender;
	struct mail_dsn_rcpt rcpt;
	struct mail_dsn d;
};

static void
sample_init(struct sample *s)
{
	*s = (struct sample){ 0 };
	s->sender = address(&s->arena, "a@x.org");
	s->rcpt = (struct mail_dsn_rcpt){
		.addr = address(&s->arena, "b@y.org"),
		.status = SMTP_ENHANCED(5, 1, 1),
		.remote_mta = STR("mx.y.org"),
		.code = 550,
		.reply = STR("No such user\nSorry"),
		.last_attempt_us = SECONDS(1795420113),
	};
	s->d = (struct mail_dsn){
		.kind = MAIL_DSN_FAILED,
		.hostname = STR("mx.example.com"),
		.id = STR("r-1"),
		.sender = &s->sender,
		.wall_us = SECONDS(1795420120),
		.arrival_us = SECONDS(1795420100),
		.rcpts = &s->rcpt,
		.rcpt_count = 1,
		.content = original,
	};
}

static void
sample_done(struct sample *s)
{
	arena_done(&s->arena);
}

/* The report, and checks that hold for every one. */
static struct str
compose(struct sample *s)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_scan scan;
	struct mail_field f;

	buf_init(&b, 8 << 20);
	assert_int_equal(mail_dsn_compose(&b, &s->d), RC_OK);
	struct str made = arena_str(&s->arena, buf_str(&b));
	mail_scan(made, &scan);
	assert_false(scan.bare_eol || scan.has_nul);
	assert_true(
	    scan.longest_body_line <= MAIL_LINE_MAX && scan.longest_header_line <= MAIL_LINE_MAX);
	assert_true(mail_header_find(made, STR("Auto-Submitted"), &f));
	assert_true(str_eq(f.value, STR(" auto-replied")));
	return made;
}

/* Part `index` of the report. */
static struct mail_mime_entity
part(struct sample *s, struct str made, int index)
{
	struct mail_mime_entity e;
	struct str boundary, piece;
	enum mail_mime_kind kind;

	mail_mime_read(made, false, &e);
	assert_true(mail_mime_type_is(&e.type, STR("multipart"), STR("report")));
	assert_true(mail_mime_param(&e.type, STR("boundary"), &s->arena, &boundary));
	struct mail_mime_walk w = mail_mime_walk_start(e.body, boundary);
	while (mail_mime_walk_next(&w, &kind, &piece)) {
		if (kind == MAIL_MIME_PART && index-- == 0)
			mail_mime_read(piece, false, &e);
	}
	assert_int_equal(kind, MAIL_MIME_EPILOGUE);
	assert_true(index < 0);
	return e;
}

static bool
contains(struct str s, const char *text)
{
	return str_find_str(s, str_from(text)) < s.n;
}

static void
a_failure_is_told_to_people_and_to_machines(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s);
	struct str made = compose(&s);
	assert_true(str_starts(made,
	    STR("Date: Mon, 23 Nov 2026 07:48:40 +0000\r\nFrom: Mail Delivery <mailer-daemon@mx.example.com>\r\n"
		"To: <a@x.org>\r\nSubject: Your message could not be delivered\r\n"
		"Message-ID: <r-1@mx.example.com>\r\n")));
	struct mail_mime_entity e = part(&s, made, 0);
	assert_true(str_eq(e.body,
	    STR("This is the mail server mx.example.com.\r\n\r\n"
		"Your message could not be delivered to the address below. It will not be\r\n"
		"tried again.\r\n\r\n  b@y.org\r\n\r\nThe server mx.y.org answered:\r\n\r\n"
		"    550 5.1.1 No such user\r\n    Sorry\r\n\r\n"
		"Check the address for typing errors. If it looks right, ask the\r\n"
		"recipient in another way whether it still exists.\r\n\r\n"
		"The message was accepted here on Mon, 23 Nov 2026 07:48:20 +0000.\r\n"
		"Its subject:\r\n\r\n    hi\r\n\r\nThe header of the message is attached.\r\n")));
	e = part(&s, made, 1);
	assert_true(mail_mime_type_is(&e.type, STR("message"), STR("delivery-status")));
	assert_true(str_eq(e.body,
	    STR("Reporting-MTA: dns; mx.example.com\r\nArrival-Date: Mon, 23 Nov 2026 07:48:20 +0000\r\n\r\n"
		"Final-Recipient: rfc822; b@y.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		"Remote-MTA: dns; mx.y.org\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user Sorry\r\n"
		"Last-Attempt-Date: Mon, 23 Nov 2026 07:48:33 +0000\r\n")));
	e = part(&s, made, 2);
	assert_true(mail_mime_type_is(&e.type, STR("text"), STR("rfc822-headers")));
	assert_true(str_eq(e.body, STR("From: a@x.org\r\nTo: b@y.org\r\nSubject: hi\r\n")));
	sample_done(&s);
}

static void
the_whole_message_goes_back_only_when_asked_and_only_for_failures(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s);
	assert_false(contains(compose(&s), "secret body"));
	s.d.full = true;
	struct str made = compose(&s);
	struct mail_mime_entity e = part(&s, made, 2);
	assert_true(mail_mime_type_is(&e.type, STR("message"), STR("rfc822")));
	assert_true(str_eq(e.body, original));
	s.d.kind = MAIL_DSN_DELAYED;
	assert_false(contains(compose(&s), "secret body"));
	sample_done(&s);
}

static void
a_large_message_goes_back_as_its_header(void **state)
{
	AUTO(buf_done) struct buf big = { 0 };
	struct sample s;

	(void)state;
	sample_init(&s);
	buf_init(&big, 4 << 20);
	for (int i = 0; i < 2000; i++)
		buf_addf(
		    &big, "X-Long-%d: 12345678901234567890123456789012345678901234567890\r\n", i);
	buf_add(&big, STR("\r\n"));
	for (int i = 0; i < 100000; i++)
		buf_add(&big, STR("secret body\r\n"));
	s.d.content = buf_str(&big);
	s.d.full = true;
	struct str made = compose(&s);
	assert_false(contains(made, "secret body"));
	struct mail_mime_entity e = part(&s, made, 2);
	assert_true(e.body.n <= 64 << 10 && e.body.n > 60 << 10);
	assert_true(str_ends(e.body, STR("567890\r\n")));
	sample_done(&s);
}

static void
a_delay_says_until_when_and_asks_for_nothing(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s);
	s.d.kind = MAIL_DSN_DELAYED;
	s.rcpt.status = (struct smtp_enhanced){ 0 };
	s.rcpt.code = 0;
	s.rcpt.reason = STR("The server does not answer.");
	s.rcpt.retry_until_us = SECONDS(1795852113);
	struct str made = compose(&s);
	struct mail_mime_entity e = part(&s, made, 0);
	assert_true(contains(e.body, "has not been delivered yet"));
	assert_true(contains(e.body, "    The server does not answer.\r\n"));
	assert_true(
	    contains(e.body, "It will be tried again until Sat, 28 Nov 2026 07:48:33 +0000."));
	e = part(&s, made, 1);
	assert_true(contains(e.body, "\r\nAction: delayed\r\nStatus: 4.0.0\r\n"));
	assert_true(contains(e.body, "\r\nWill-Retry-Until: Sat, 28 Nov 2026 07:48:33 +0000\r\n"));
	assert_true(
	    contains(e.body, "\r\nDiagnostic-Code: X-Posthouse; The server does not answer.\r\n"));
	sample_done(&s);
}

static void
a_relayed_message_is_no_failure(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s);
	s.d.kind = MAIL_DSN_RELAYED;
	s.rcpt.status = (struct smtp_enhanced){ 0 };
	s.rcpt.code = 250;
	struct str made = compose(&s);
	assert_true(contains(made, "Subject: Your message was handed on\r\n"));
	assert_true(contains(part(&s, made, 1).body, "\r\nAction: relayed\r\nStatus: 2.0.0\r\n"));
	sample_done(&s);
}

static void
what_the_sender_called_it_comes_back(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s);
	s.d.envid = STR("QQ314159");
	s.rcpt.orcpt_type = STR("rfc822");
	s.rcpt.orcpt = STR("list+b=y@x.org");
	struct mail_mime_entity e = part(&s, compose(&s), 1);
	assert_true(contains(e.body, "\r\nOriginal-Envelope-Id: QQ314159\r\n"));
	assert_true(
	    contains(e.body, "\r\nOriginal-Recipient: rfc822; list+b=y@x.org\r\nFinal-Recipient:"));
	sample_done(&s);
}

static void
addresses_beyond_ascii_take_the_global_form(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s);
	s.rcpt.addr = address(&s.arena, "\xc3\xbc@y.org");
	s.d.content = STR("To: \xc3\xbc@y.org\r\n\r\nx\r\n");
	struct str made = compose(&s);
	struct mail_mime_entity e = part(&s, made, 1);
	assert_true(mail_mime_type_is(&e.type, STR("message"), STR("global-delivery-status")));
	assert_int_equal(e.cte, MAIL_CTE_8BIT);
	assert_true(contains(e.body, "\r\nFinal-Recipient: utf-8; \xc3\xbc@y.org\r\n"));
	e = part(&s, made, 2);
	assert_true(mail_mime_type_is(&e.type, STR("message"), STR("global-headers")));
	e = part(&s, made, 0);
	assert_int_equal(e.cte, MAIL_CTE_QP);
	mail_mime_read(made, false, &e);
	assert_int_equal(e.cte, MAIL_CTE_8BIT);
	sample_done(&s);
}

static void
a_hostile_reply_cannot_add_fields_or_parts(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s);
	s.rcpt.reply = STR("no\r\nAction: delivered\n\n--=_report-r-1-0--\r\n\xff\x01\t\xe2\x80");
	s.rcpt.remote_mta = STR("mx\r\nStatus: 2.0.0");
	s.d.envid = STR("e\r\nAction: delivered");
	struct str made = compose(&s);
	struct mail_mime_entity e = part(&s, made, 1);
	assert_false(contains(e.body, "\nAction: delivered"));
	assert_false(contains(e.body, "\nStatus: 2"));
	assert_true(utf8_is_ascii(e.body));
	part(&s, made, 2);
	sample_done(&s);
}

static void
a_report_that_does_not_fit_says_so(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct sample s;

	(void)state;
	sample_init(&s);
	buf_init(&b, 500);
	assert_int_equal(mail_dsn_compose(&b, &s.d), RC_LIMIT);
	sample_done(&s);
}

static void
many_recipients_share_one_report(void **state)
{
	struct mail_dsn_rcpt rcpts[3];
	struct sample s;

	(void)state;
	sample_init(&s);
	rcpts[0] = rcpts[1] = rcpts[2] = s.rcpt;
	rcpts[1].addr = address(&s.arena, "c@y.org");
	rcpts[1].status = SMTP_ENHANCED(5, 2, 2);
	rcpts[2].addr = address(&s.arena, "d@y.org");
	s.d.rcpts = rcpts;
	s.d.rcpt_count = 3;
	struct str made = compose(&s);
	struct mail_mime_entity e = part(&s, made, 0);
	assert_true(contains(e.body, "addresses below"));
	assert_true(contains(e.body, "mailbox is full"));
	e = part(&s, made, 1);
	assert_true(contains(e.body, "\r\n\r\nFinal-Recipient: rfc822; b@y.org\r\n"));
	assert_true(contains(e.body, "\r\n\r\nFinal-Recipient: rfc822; c@y.org\r\n"));
	assert_true(contains(e.body, "\r\n\r\nFinal-Recipient: rfc822; d@y.org\r\n"));
	sample_done(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_told_to_people_and_to_machines),
		cmocka_unit_test(the_whole_message_goes_back_only_when_asked_and_only_for_failures),
		cmocka_unit_test(a_large_message_goes_back_as_its_header),
		cmocka_unit_test(a_delay_says_until_when_and_asks_for_nothing),
		cmocka_unit_test(a_relayed_message_is_no_failure),
		cmocka_unit_test(what_the_sender_called_it_comes_back),
		cmocka_unit_test(addresses_beyond_ascii_take_the_global_form),
		cmocka_unit_test(a_hostile_reply_cannot_add_fields_or_parts),
		cmocka_unit_test(a_report_that_does_not_fit_says_so),
		cmocka_unit_test(many_recipients_share_one_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
