#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "mail/dsn.h"
#include "mail/report.h"

struct bed {
	struct arena a;
	struct mail_report r;
};

static int
setup(void **state)
{
	static struct bed b;

	b = (struct bed){ 0 };
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	struct bed *b = *state;

	arena_done(&b->a);
	return 0;
}

#define IS(s, lit) assert_true(str_eq((s), STR(lit)))

static void
read_one(struct bed *b, struct str content)
{
	assert_int_equal(mail_report_read(content, &b->a, &b->r), RC_OK);
	assert_true(b->r.n_rcpts > 0);
}

static void
check_status(struct smtp_enhanced e, unsigned cls, unsigned subject, unsigned detail)
{
	assert_int_equal(e.cls, cls);
	assert_int_equal(e.subject, subject);
	assert_int_equal(e.detail, detail);
}

#define POSTFIX                                                                                    \
	"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example (Mail Delivery System)\r\n"             \
	"Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"                    \
	"Content-Type: multipart/report; report-type=delivery-status; boundary=\"B\"\r\n\r\n"      \
	"--B\r\nContent-Type: text/plain\r\n\r\nI'm sorry.\r\n"                                    \
	"--B\r\nContent-Type: message/delivery-status\r\n\r\n"                                     \
	"Reporting-MTA: dns; mx.example\r\nOriginal-Envelope-Id: QQ+3D314\r\n\r\n"                 \
	"Final-Recipient: rfc822; joe@peer.example\r\n"                                            \
	"Original-Recipient: rfc822;Joe@Peer.example\r\nAction: failed\r\n"                        \
	"Status: 5.1.1\r\nRemote-MTA: dns; in.peer.example\r\n"                                    \
	"Diagnostic-Code: smtp; 550 5.1.1 <joe@peer.example>:\r\n    User unknown\r\n\r\n"         \
	"Final-Recipient: rfc822; <ann@peer.example>\r\nAction: delayed\r\nStatus: 4.4.1\r\n\r\n"  \
	"--B\r\nContent-Type: message/rfc822\r\n\r\n"                                              \
	"Message-ID: <m1@ours.example>\r\nSubject: hello\r\n\r\nbody\r\n--B--\r\n"

static void
a_formal_report_is_read_in_full(void **state)
{
	struct bed *b = *state;

	read_one(b, STR(POSTFIX));
	assert_true(b->r.is_formal);
	IS(b->r.message_id, "m1@ours.example");
	IS(b->r.envid, "QQ=314");
	IS(b->r.reporter, "mx.example");
	assert_int_equal(b->r.n_rcpts, 2);
	const struct mail_report_rcpt *p = &b->r.rcpts[0];
	assert_int_equal(p->action, MAIL_REPORT_FAILED);
	assert_true(p->is_named);
	IS(p->address, "joe@peer.example");
	IS(p->original, "Joe@Peer.example");
	check_status(p->status, 5, 1, 1);
	IS(p->text, "550 5.1.1 <joe@peer.example>:    User unknown");
	IS(p->remote_mta, "in.peer.example");
	IS(b->r.rcpts[1].address, "ann@peer.example");
	assert_int_equal(b->r.rcpts[1].action, MAIL_REPORT_DELAYED);
}

static void
a_report_cut_short_is_read_as_far_as_it_goes(void **state)
{
	struct bed *b = *state;
	struct str all = STR(POSTFIX);
	size_t at = str_find_str(all, STR("Remote-MTA"));

	read_one(b, str_sub(all, 0, at));
	assert_int_equal(b->r.n_rcpts, 1);
	check_status(b->r.rcpts[0].status, 5, 1, 1);
	IS(b->r.message_id, "");
}

static void
our_own_reports_are_understood(void **state)
{
	struct bed *b = *state;
	struct buf out;
	const char *why;
	struct mail_addr sender, rcpt;

	assert_int_equal(mail_addr_parse(STR("ann@ours.example"), 0, &b->a, &sender, &why), RC_OK);
	assert_int_equal(mail_addr_parse(STR("joe@peer.example"), 0, &b->a, &rcpt, &why), RC_OK);
	struct mail_dsn_rcpt to = { .addr = rcpt,
		.status = SMTP_ENHANCED(5, 2, 2),
		.code = 552,
		.reply = STR("full"),
		.remote_mta = STR("in.peer.example") };
	struct mail_dsn d = { .kind = MAIL_DSN_FAILED,
		.hostname = STR("ours.example"),
		.id = STR("x1"),
		.sender = &sender,
		.wall_us = 1,
		.arrival_us = 1,
		.envid = STR("e-1"),
		.rcpts = &to,
		.rcpt_count = 1,
		.content = STR("Message-ID: <k@ours.example>\r\nSubject: s\r\n\r\nx\r\n") };
	buf_init(&out, 1 << 20);
	assert_int_equal(mail_dsn_compose(&out, &d), RC_OK);
	read_one(b, buf_str(&out));
	assert_true(b->r.is_formal);
	IS(b->r.message_id, "k@ours.example");
	IS(b->r.envid, "e-1");
	IS(b->r.rcpts[0].address, "joe@peer.example");
	check_status(b->r.rcpts[0].status, 5, 2, 2);
	buf_done(&out);
}

static void
groups_without_their_order_or_action_are_borne_with(void **state)
{
	struct bed *b = *state;

	read_one(b, STR("Content-Type: message/delivery-status\n\n"
			"Reporting-MTA: dns;mx.example\nFinal-Recipient: joe@peer.example\n"
			"Status: 4.2.2 (mailbox full)\n"
			"Final-Recipient: LOCAL;ann\nStatus: 2.0.0\n"));
	assert_int_equal(b->r.n_rcpts, 2);
	IS(b->r.reporter, "mx.example");
	IS(b->r.rcpts[0].address, "joe@peer.example");
	assert_int_equal(b->r.rcpts[0].action, MAIL_REPORT_DELAYED);
	assert_int_equal(b->r.rcpts[1].action, MAIL_REPORT_DELIVERED);
}

static void
a_delivery_status_in_base64_is_read(void **state)
{
	struct bed *b = *state;

	read_one(
	    b, STR("Content-Type: multipart/report; boundary=B\r\n\r\n--B\r\n"
		   "Content-Type: message/delivery-status\r\n"
		   "Content-Transfer-Encoding: base64\r\n\r\n"
		   "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGpvZUBwZWVyLmV4YW1wbGUNCkFjdGlvbjogZmFp\r\n"
		   "bGVkDQpTdGF0dXM6IDUuNy4xDQo=\r\n--B--\r\n"));
	IS(b->r.rcpts[0].address, "joe@peer.example");
	check_status(b->r.rcpts[0].status, 5, 7, 1);
}

static void
qmails_words_are_read(void **state)
{
	struct bed *b = *state;

	read_one(b,
	    STR("Return-Path: <>\r\nFrom: MAILER-DAEMON@qmail.example\r\nSubject: failure notice\r\n\r\n"
		"Hi. This is the qmail-send program at qmail.example.\r\n\r\n"
		"<joe@peer.example>:\r\n"
		"192.0.2.7 does not like recipient.\r\n"
		"Remote host said: 550 5.7.1 refused by policy\r\n\r\n"
		"--- Below this line is a copy of the message.\r\n\r\n"
		"Received: x\r\nMessage-ID: <q1@ours.example>\r\nTo: someone@else.example\r\n"));
	assert_false(b->r.is_formal);
	IS(b->r.message_id, "q1@ours.example");
	IS(b->r.rcpts[0].address, "joe@peer.example");
	assert_true(b->r.rcpts[0].is_named);
	check_status(b->r.rcpts[0].status, 5, 7, 1);
	IS(b->r.rcpts[0].text, "Remote host said: 550 5.7.1 refused by policy");
	IS(b->r.reporter, "qmail.example");
}

static void
netease_bounces_in_chinese_html_are_read(void **state)
{
	struct bed *b = *state;

	read_one(b,
	    STR("From: postmaster@163.com\r\nSubject: =?UTF-8?B?57O757uf6YCA5L+h?=\r\n"
		"Content-Type: text/html; charset=UTF-8\r\n\r\n"
		"<html><style>p { a: b@c.de }</style><body><p>抱歉，您的邮件被退回来了……</p>"
		"<table><tr><td>时间：</td><td>2026-11-23 10:00:00</td></tr>"
		"<tr><td>收件人：</td><td>&lt;joe@peer.example&gt;</td></tr>"
		"<tr><td>退信原因：</td><td>收件人邮件地址（joe@peer.example）不存在，邮件无法送达。"
		"</td></tr></table></body></html>\r\n"));
	assert_int_equal(b->r.n_rcpts, 1);
	IS(b->r.rcpts[0].address, "joe@peer.example");
	assert_true(b->r.rcpts[0].is_named);
	check_status(b->r.rcpts[0].status, 5, 1, 1);
	IS(b->r.rcpts[0].text, "收件人邮件地址（joe@peer.example）不存在，邮件无法送达。");
	IS(b->r.reporter, "163.com");
}

static void
tencents_bounces_in_gb18030_are_read(void **state)
{
	struct bed *b = *state;

	/* "系统退信", "收件人：", "退信原因：", "对方邮箱空间不足" */
	read_one(b, STR("From: =?gb18030?B?UG9zdE1hc3Rlcg==?= <PostMaster@qq.com>\r\n"
			"Subject: =?gb18030?B?z7XNs83L0MU=?=\r\n"
			"Content-Type: text/plain; charset=\"gb18030\"\r\n\r\n"
			"\xca\xd5\xbc\xfe\xc8\xcb\xa3\xba joe@peer.example\r\n"
			"\xcd\xcb\xd0\xc5\xd4\xad\xd2\xf2\xa3\xba\r\n"
			"\xb6\xd4\xb7\xbd\xd3\xca\xcf\xe4\xbf\xd5\xbc\xe4\xb2\xbb\xd7\xe3\r\n"));
	IS(b->r.rcpts[0].address, "joe@peer.example");
	check_status(b->r.rcpts[0].status, 5, 2, 2);
	IS(b->r.rcpts[0].text, "对方邮箱空间不足");
}

static void
addresses_that_merely_stand_there_are_not_named(void **state)
{
	struct bed *b = *state;

	read_one(b, STR("From: postmaster@x.example\r\nSubject: Undeliverable: hello\r\n\r\n"
			"Your message to joe@peer.example was not taken. Ask help@x.example.\r\n"));
	assert_int_equal(b->r.n_rcpts, 2);
	assert_false(b->r.rcpts[0].is_named);
	assert_false(b->r.rcpts[1].is_named);
}

static void
a_delay_is_told_from_a_failure(void **state)
{
	struct bed *b = *state;

	read_one(b, STR("From: mailer-daemon@x.example\r\nX-Failed-Recipients: joe@peer.example\r\n"
			"Subject: Warning: message delayed\r\n\r\n451 4.4.1 no answer\r\n"
			"You do not need to resend.\r\n"));
	assert_int_equal(b->r.rcpts[0].action, MAIL_REPORT_DELAYED);
	check_status(b->r.rcpts[0].status, 4, 4, 1);
}

static void
other_mail_is_no_report(void **state)
{
	struct bed *b = *state;
	static const char *const mails[] = {
		"",
		"From: ann@peer.example\r\nSubject: failure notice\r\n\r\n<joe@peer.example>:\r\n550\r\n",
		"From: postmaster@x.example\r\nSubject: Welcome\r\n\r\njoe@peer.example\r\n",
		"Return-Path: <>\r\nAuto-Submitted: auto-replied\r\nFrom: joe@peer.example\r\n"
		"Subject: Out of office\r\n\r\nask ann@peer.example\r\n",
		"Content-Type: multipart/report; boundary=B\r\n\r\n--B\r\n"
		"Content-Type: message/delivery-status\r\n\r\nnothing here\r\n--B--\r\n",
	};

	for (size_t i = 0; i < COUNT_OF(mails); i++)
		assert_int_equal(mail_report_read(str_from(mails[i]), &b->a, &b->r), RC_NOT_FOUND);
}

static void
a_thousand_recipients_are_bounded(void **state)
{
	struct bed *b = *state;
	struct buf content;

	buf_init(&content, 1 << 20);
	buf_add(&content, STR("Content-Type: message/delivery-status\r\n\r\n"));
	for (int i = 0; i < 1000; i++)
		buf_addf(&content, "Final-Recipient: rfc822; r%d@x\r\nAction: failed\r\n\r\n", i);
	read_one(b, buf_str(&content));
	assert_int_equal(b->r.n_rcpts, MAIL_REPORT_RCPTS_MAX);
	buf_done(&content);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_formal_report_is_read_in_full),
		TEST(a_report_cut_short_is_read_as_far_as_it_goes),
		TEST(our_own_reports_are_understood),
		TEST(groups_without_their_order_or_action_are_borne_with),
		TEST(a_delivery_status_in_base64_is_read),
		TEST(qmails_words_are_read),
		TEST(netease_bounces_in_chinese_html_are_read),
		TEST(tencents_bounces_in_gb18030_are_read),
		TEST(addresses_that_merely_stand_there_are_not_named),
		TEST(a_delay_is_told_from_a_failure),
		TEST(other_mail_is_no_report),
		TEST(a_thousand_recipients_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
