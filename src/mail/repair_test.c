#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/recode.h"
#include "mail/repair.h"

static const struct mail_repair_facts plain_facts = {
	.door = MAIL_DOOR_ESMTP,
	.tls = true,
	.authenticated = true,
	.helo = STR_INIT("laptop.local"),
	.client_name = STR_INIT("c.example.net"),
	.client_ip = STR_INIT("192.0.2.7"),
	.hostname = STR_INIT("mx.example.com"),
	.queue_id = STR_INIT("q-17"),
	.wall_us = SECONDS(1795420113),
};

#define RECEIVED                                                                                   \
	"Received: from laptop.local (c.example.net [192.0.2.7])\r\n"                              \
	"\tby mx.example.com with ESMTPSA id q-17;\r\n\tMon, 23 Nov 2026 07:48:33 +0000\r\n"
#define DATE "Date: Mon, 23 Nov 2026 07:48:33 +0000\r\n"
#define ID   "Message-ID: <q-17@mx.example.com>\r\n"

static enum rc
repair(struct arena *a, struct str content, const struct mail_repair_facts *facts,
    struct mail_pieces *out, const char **why)
{
	struct mail_scan scan;

	mail_scan(content, &scan);
	mail_pieces_init(out, a);
	return mail_repair(content, &scan, facts, out, why);
}

static void
check_repair(struct str content, const struct mail_repair_facts *facts, const char *want)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_pieces out;
	const char *why = "";

	buf_init(&b, 1 << 20);
	if (repair(&a, content, facts, &out, &why) != RC_OK)
		fail_msg("refused: %s", why);
	buf_add(&b, mail_pieces_str(&out));
	assert_string_equal(buf_cstr(&b), want);
}

static void
what_is_missing_goes_before_the_content(void **state)
{
	(void)state;
	check_repair(STR("Subject: hi\r\n\r\nb\r\n"), &plain_facts,
	    RECEIVED DATE ID "Subject: hi\r\n\r\nb\r\n");
	check_repair(STR("DATE: x\r\nmessage-id: <y>\r\n\r\nb\r\n"), &plain_facts,
	    RECEIVED "DATE: x\r\nmessage-id: <y>\r\n\r\nb\r\n");
	check_repair(
	    STR("\r\nDate: body\r\n"), &plain_facts, RECEIVED DATE ID "\r\nDate: body\r\n");
	check_repair(STR("just a body"), &plain_facts, RECEIVED DATE ID "\r\njust a body\r\n");
	check_repair(STR(""), &plain_facts, RECEIVED DATE ID);
}

static void
the_usual_content_is_not_copied(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str content = STR("Subject: hi\r\n\r\nbody\r\n");
	struct mail_pieces out;
	const char *why = "";

	(void)state;
	assert_int_equal(repair(&a, content, &plain_facts, &out, &why), RC_OK);
	assert_int_equal(out.n, 2);
	assert_ptr_equal(out.v[1].p, content.p);
	assert_int_equal(out.v[1].n, content.n);
}

static void
private_fields_leave_and_the_rest_stays(void **state)
{
	(void)state;
	check_repair(STR("To: a@x\r\nbcc: b@y,\r\n c@z\r\nX-Posthouse-Tag: t\r\nResent-Bcc: d@w\r\n"
			 "Subject: hi\r\n\r\nBcc: body\r\n"),
	    &plain_facts, RECEIVED DATE ID "To: a@x\r\nSubject: hi\r\n\r\nBcc: body\r\n");
	check_repair(STR("Bcc: b@y\r\n"), &plain_facts, RECEIVED DATE ID);
	check_repair(STR("Bcc: b@y\r\n\r\n"), &plain_facts, RECEIVED DATE ID "\r\n");
	check_repair(STR("From a@x Mon Nov 23\r\nTo: a\r\n\r\nb\r\n"), &plain_facts,
	    RECEIVED DATE ID "To: a\r\n\r\nb\r\n");
	/* Hiding recipients comes before keeping a signature whole. */
	check_repair(STR("DKIM-Signature: x\r\nBcc: b@y\r\n\r\nb\r\n"), &plain_facts,
	    RECEIVED DATE ID "DKIM-Signature: x\r\n\r\nb\r\n");
}

static void
the_trace_names_the_way_in(void **state)
{
	static const struct {
		enum mail_door door;
		bool tls, auth, utf8;
		const char *with;
	} rows[] = {
		{ MAIL_DOOR_SMTP, false, false, false, " with SMTP " },
		{ MAIL_DOOR_ESMTP, false, false, false, " with ESMTP " },
		{ MAIL_DOOR_ESMTP, true, false, false, " with ESMTPS " },
		{ MAIL_DOOR_ESMTP, false, true, false, " with ESMTPA " },
		{ MAIL_DOOR_ESMTP, true, true, false, " with ESMTPSA " },
		{ MAIL_DOOR_ESMTP, false, false, true, " with UTF8SMTP " },
		{ MAIL_DOOR_ESMTP, true, false, true, " with UTF8SMTPS " },
		{ MAIL_DOOR_ESMTP, false, true, true, " with UTF8SMTPA " },
		{ MAIL_DOOR_ESMTP, true, true, true, " with UTF8SMTPSA " },
		{ MAIL_DOOR_HTTP, true, true, false, " with HTTP " },
		{ MAIL_DOOR_LOCAL, false, false, false, "by mx.example.com id " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AUTO(arena_done) struct arena a = { 0 };
		struct mail_repair_facts f = plain_facts;
		struct mail_pieces out;
		const char *why = "";
		f.door = rows[i].door;
		f.tls = rows[i].tls;
		f.authenticated = rows[i].auth;
		f.utf8 = rows[i].utf8;
		assert_int_equal(repair(&a, STR("A: 1\r\n\r\n"), &f, &out, &why), RC_OK);
		struct str made = mail_pieces_str(&out);
		assert_true(str_find_str(made, str_from(rows[i].with)) < made.n);
	}
}

static void
one_recipient_is_named_and_a_missing_sender_added(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_repair_facts f = plain_facts;
	struct mail_addr rcpt, from;
	const char *why = "";

	(void)state;
	assert_int_equal(mail_addr_parse(STR("\"b c\"@y"), 0, &a, &rcpt, &why), RC_OK);
	assert_int_equal(mail_addr_parse(STR("a@x"), 0, &a, &from, &why), RC_OK);
	f.rcpt = &rcpt;
	f.from = &from;
	f.client_ip = (struct str){ 0 };
	check_repair(STR("Date: x\r\nMessage-ID: y\r\n\r\n"), &f,
	    "Received: by mx.example.com with ESMTPSA id q-17\r\n\tfor <\"b c\"@y>;\r\n"
	    "\tMon, 23 Nov 2026 07:48:33 +0000\r\nFrom: a@x\r\nDate: x\r\nMessage-ID: y\r\n\r\n");
	check_repair(STR("From: z\r\nDate: x\r\nMessage-ID: y\r\n\r\n"), &f,
	    "Received: by mx.example.com with ESMTPSA id q-17\r\n\tfor <\"b c\"@y>;\r\n"
	    "\tMon, 23 Nov 2026 07:48:33 +0000\r\nFrom: z\r\nDate: x\r\nMessage-ID: y\r\n\r\n");
}

static void
a_client_cannot_write_into_the_trace(void **state)
{
	struct mail_repair_facts f = plain_facts;

	(void)state;
	f.helo = STR("a\r\nBcc: x (");
	f.client_name = STR("n)\x7f\xff");
	f.client_ip = STR("2001:db8::1");
	check_repair(STR("Date: x\r\nMessage-ID: y\r\n\r\n"), &f,
	    "Received: from a??Bcc:?x?? (n??? [IPv6:2001:db8::1])\r\n\tby mx.example.com with ESMTPSA id q-17;"
	    "\r\n\tMon, 23 Nov 2026 07:48:33 +0000\r\nDate: x\r\nMessage-ID: y\r\n\r\n");
}

static void
broken_line_ends_are_refused(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_pieces out;
	const char *why = NULL;

	(void)state;
	assert_int_equal(repair(&a, STR("A: 1\n\nb\n"), &plain_facts, &out, &why), RC_INVALID);
	assert_non_null(strstr(why, "CRLF"));
	assert_int_equal(repair(&a, STR("A: 1\r\n\r\n\0"), &plain_facts, &out, &why), RC_INVALID);
	assert_non_null(strstr(why, "NUL"));
}

static void
overlong_lines_are_encoded_while_private_fields_leave(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct mail_pieces out;
	struct mail_scan scan;
	const char *why = "";

	(void)state;
	buf_init(&b, 10000);
	buf_add(&b, STR("Bcc: b@y\r\nDate: x\r\nMessage-ID: y\r\n\r\n"));
	for (int i = 0; i < 300; i++)
		buf_add(&b, STR("word "));
	buf_add(&b, STR("end\r\n"));
	assert_int_equal(repair(&a, buf_str(&b), &plain_facts, &out, &why), RC_OK);
	struct str made = mail_pieces_str(&out);
	mail_scan(made, &scan);
	assert_false(scan.has_bcc);
	assert_true(scan.longest_body_line <= 76);
	assert_int_equal(mail_header_count(made, STR("Content-Transfer-Encoding")), 1);
	assert_true(str_starts(made, STR(RECEIVED)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_missing_goes_before_the_content),
		cmocka_unit_test(the_usual_content_is_not_copied),
		cmocka_unit_test(private_fields_leave_and_the_rest_stays),
		cmocka_unit_test(the_trace_names_the_way_in),
		cmocka_unit_test(one_recipient_is_named_and_a_missing_sender_added),
		cmocka_unit_test(a_client_cannot_write_into_the_trace),
		cmocka_unit_test(broken_line_ends_are_refused),
		cmocka_unit_test(overlong_lines_are_encoded_while_private_fields_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
