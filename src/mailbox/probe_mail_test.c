#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "mailbox/probe_mail.h"

struct bed {
	struct arena a;
	struct probe_mail m;
	struct buf out;
	struct probe_mail_facts f;
};

static int
setup(void **state)
{
	static struct bed b;
	struct fault f = { 0 };

	b = (struct bed){ .m = { .token = STR("ph12ab-1"),
			      .from = STR("shop@ours.example"),
			      .to = STR("joe@peer.example"),
			      .relay = STR("main@2"),
			      .wall_us = SECONDS(1795420113) } };
	buf_init(&b.out, 1 << 20);
	assert_int_equal(probe_mail_compose(&b.m, &b.a, &b.out, &f), RC_OK);
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	struct bed *b = *state;

	buf_done(&b->out);
	arena_done(&b->a);
	return 0;
}

#define IS(s, lit) assert_true(str_eq((s), STR(lit)))

/* The message with `head` in front, as a mailbox shows it. */
static struct str
with_head(struct bed *b, const char *head)
{
	return arena_strf(&b->a, "%s%.*s", head, STR_ARG(buf_str(&b->out)));
}

static void
judge(struct bed *b, struct str content)
{
	probe_mail_judge(&b->m, content, STR("imap.peer.example peer.example"), &b->a, &b->f);
}

static void
a_copy_that_nobody_touched_is_found_and_whole(void **state)
{
	struct bed *b = *state;
	struct str mail = with_head(b,
	    "Return-Path: <shop@ours.example>\r\n"
	    "Received: from lmtp by store.peer.example with LMTP id 1; x\r\n"
	    "Received: from r.example (r.example [192.0.2.1])\r\n\tby mx.peer.example (P) with ESMTPS id 2; x\r\n");

	assert_true(probe_mail_is(mail, b->m.token, &b->a));
	assert_false(probe_mail_is(mail, STR("ph12ab-2"), &b->a));
	judge(b, mail);
	assert_true(b->f.message_id_kept && b->f.date_kept && b->f.from_kept && b->f.field_kept);
	assert_true(b->f.body_same);
	assert_false(b->f.links_rewritten);
	assert_true(b->f.received_tls);
	IS(b->f.received_with, "ESMTPS");
	IS(b->f.return_path, "<shop@ours.example>");
	IS(b->f.message_id, "ph12ab-1@ours.example");
}

static void
every_sign_of_it_suffices(void **state)
{
	struct bed *b = *state;

	assert_true(
	    probe_mail_is(STR("Subject: =?UTF-8?B?RGVsaXZlcnkgcHJvYmUgcGgxMmFiLTE=?=\r\n\r\n"),
		b->m.token, &b->a));
	assert_true(probe_mail_is(STR("x-posthouse-probe: ph12ab-1\r\n\r\n"), b->m.token, &b->a));
	assert_false(probe_mail_is(STR("Subject: x\r\n\r\nph12ab-1\r\n"), b->m.token, &b->a));
}

static void
what_a_relay_changed_is_seen(void **state)
{
	struct bed *b = *state;

	judge(
	    b, STR("Message-ID: <other@relay.example>\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n"
		   "From: \"Shop via relay\" <bounce@relay.example>\r\n"
		   "Content-Type: text/html\r\n\r\n"
		   "<a href=\"https://track.relay.example/x\">What is a probe?</a>\r\n"));
	assert_false(b->f.message_id_kept || b->f.date_kept || b->f.from_kept || b->f.field_kept);
	assert_false(b->f.body_same);
	assert_true(b->f.links_rewritten);
	IS(b->f.message_id, "other@relay.example");
}

static void
results_of_the_mailboxs_own_server_are_believed(void **state)
{
	struct bed *b = *state;

	judge(b,
	    with_head(b,
		"Authentication-Results: mx.peer.example;\r\n dkim=pass (good) header.d=ours.example;\r\n"
		" spf=softfail smtp.mailfrom=x; dmarc=fail (p=none)\r\n"));
	IS(b->f.authserv, "mx.peer.example");
	IS(b->f.spf, "softfail");
	IS(b->f.dkim, "pass");
	IS(b->f.dmarc, "fail");
}

static void
results_that_a_stranger_wrote_are_not(void **state)
{
	struct bed *b = *state;

	judge(b, with_head(b, "Authentication-Results: mx.evil.example; spf=pass; dmarc=pass\r\n"));
	assert_int_equal(b->f.authserv.n, 0);
	assert_int_equal(b->f.dmarc.n, 0);
	/* Below the mailbox's own, somebody else's does not count either. */
	judge(b, with_head(b, "Authentication-Results: relay.example; spf=pass\r\n"
			      "Authentication-Results: mx.peer.example; spf=fail\r\n"));
	assert_int_equal(b->f.spf.n, 0);
}

static void
houses_with_many_names_are_known(void **state)
{
	struct bed *b = *state;
	struct str mail = with_head(b, "Authentication-Results: mx.google.com; spf=pass\r\n");

	probe_mail_judge(&b->m, mail, STR("imap.gmail.com gmail.com"), &b->a, &b->f);
	IS(b->f.spf, "pass");
	mail = with_head(b, "Authentication-Results: mx.other.com.cn; spf=pass\r\n");
	probe_mail_judge(&b->m, mail, STR("imap.mine.com.cn"), &b->a, &b->f);
	assert_int_equal(b->f.spf.n, 0);
}

static void
what_is_no_address_is_refused(void **state)
{
	struct bed *b = *state;
	struct fault f = { 0 };

	b->m.to = STR("joe@peer.example>\r\nBcc: x@y");
	assert_int_equal(probe_mail_compose(&b->m, &b->a, &b->out, &f), RC_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_copy_that_nobody_touched_is_found_and_whole),
		TEST(every_sign_of_it_suffices),
		TEST(what_a_relay_changed_is_seen),
		TEST(results_of_the_mailboxs_own_server_are_believed),
		TEST(results_that_a_stranger_wrote_are_not),
		TEST(houses_with_many_names_are_known),
		TEST(what_is_no_address_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
