#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/scan.h"

#define ASSERT_STR(got, want) assert_true(str_eq((got), STR(want)))

static void
a_plain_message_is_understood(void **state)
{
	struct str content =
	    STR("Received: x\r\nReceived: y\r\nFrom: a@x\r\nTo: b@y\r\nSubject: hi\r\n there\r\n"
		"Date: now\r\nMessage-ID: <1@x>\r\nReply-To: c@z\r\nSender: d@w\r\n\r\nbody\r\n");
	struct mail_scan s;

	(void)state;
	mail_scan(content, &s);
	assert_int_equal(s.received_count, 2);
	assert_int_equal(s.from_count, 1);
	assert_true(s.has_date && s.has_message_id && s.has_separator);
	assert_false(s.has_bcc || s.is_bulk || s.has_options || s.header_8bit || s.body_8bit);
	assert_false(s.bare_eol || s.has_nul || s.has_mbox_line);
	ASSERT_STR(s.from, " a@x");
	ASSERT_STR(s.subject, " hi\r\n there");
	ASSERT_STR(s.message_id, " <1@x>");
	ASSERT_STR(s.reply_to, " c@z");
	ASSERT_STR(s.sender, " d@w");
	ASSERT_STR(str_skip(content, s.body_at), "body\r\n");
	assert_int_equal(s.body_at, s.header_size + 2);
	assert_int_equal(s.longest_header_line, 17);
	assert_int_equal(s.longest_body_line, 4);
	assert_int_equal(s.seal, MAIL_SEAL_NONE);
}

static void
an_absent_field_is_told_from_an_empty_one(void **state)
{
	struct mail_scan s;

	(void)state;
	mail_scan(STR("Subject:\r\n\r\n"), &s);
	assert_non_null(s.subject.p);
	assert_int_equal(s.subject.n, 0);
	assert_null(s.from.p);
	mail_scan((struct str){ 0 }, &s);
	assert_null(s.subject.p);
	assert_int_equal(s.body_at, 0);
}

static void
option_fields_are_collected(void **state)
{
	struct mail_scan s;

	(void)state;
	mail_scan(
	    STR("X-Posthouse-Stream: bulk\r\nx-posthouse-send-at: later \r\n\r\nX-Posthouse-Tag: t\r\n"),
	    &s);
	assert_true(s.has_options);
	ASSERT_STR(s.options[MAIL_OPTION_STREAM], "bulk");
	ASSERT_STR(s.options[MAIL_OPTION_SEND_AT], "later");
	assert_null(s.options[MAIL_OPTION_TAG].p);
	assert_null(s.bad_option.p);
	mail_scan(STR("X-Posthouse-Steam: bulk\r\n\r\n"), &s);
	ASSERT_STR(s.bad_option, "X-Posthouse-Steam");
	mail_scan(STR("X-Posthouse-Tag: a\r\nX-Posthouse-TAG: b\r\n\r\n"), &s);
	ASSERT_STR(s.bad_option, "X-Posthouse-TAG");
	ASSERT_STR(s.options[MAIL_OPTION_TAG], "a");
}

static void
bulk_mail_is_recognised_by_its_header(void **state)
{
	static const struct {
		struct str content;
		bool bulk;
	} rows[] = {
		{ STR_INIT("List-Unsubscribe: <mailto:a@x>\r\n\r\n"), true },
		{ STR_INIT("LIST-ID: <x>\r\n\r\n"), true },
		{ STR_INIT("Precedence: Bulk\r\n\r\n"), true },
		{ STR_INIT("Precedence: first-class\r\n\r\n"), false },
		{ STR_INIT("\r\nList-Id: <x>\r\n"), false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct mail_scan s;
		mail_scan(rows[i].content, &s);
		assert_int_equal(s.is_bulk, rows[i].bulk);
	}
}

static void
seals_are_recognised(void **state)
{
	static const struct {
		struct str content;
		enum mail_seal seal;
	} rows[] = {
		{ STR_INIT("DKIM-Signature: v=1\r\n\r\n"), MAIL_SEAL_DKIM },
		{ STR_INIT("Content-Type: multipart/signed; boundary=b\r\n\r\n"),
		    MAIL_SEAL_SIGNED },
		{ STR_INIT("Content-Type: Multipart/Encrypted; boundary=b\r\n\r\n"),
		    MAIL_SEAL_ENCRYPTED },
		{ STR_INIT("Content-Type: application/pkcs7-mime\r\n\r\n"), MAIL_SEAL_SMIME },
		{ STR_INIT("Content-Type: application/x-pkcs7-mime\r\n\r\n"), MAIL_SEAL_SMIME },
		{ STR_INIT("\r\n-----BEGIN PGP MESSAGE-----\r\n"), MAIL_SEAL_PGP },
		{ STR_INIT("\r\nhi\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n"), MAIL_SEAL_PGP },
		{ STR_INIT("\r\n> -----BEGIN PGP MESSAGE-----\r\n"), MAIL_SEAL_NONE },
		{ STR_INIT("Content-Type: multipart/mixed\r\n\r\n"), MAIL_SEAL_NONE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct mail_scan s;
		mail_scan(rows[i].content, &s);
		assert_int_equal(s.seal, rows[i].seal);
	}
}

static void
odd_bytes_and_line_ends_are_noticed_where_they_stand(void **state)
{
	static const struct {
		struct str content;
		bool header_8bit, body_8bit, bare_eol, nul;
	} rows[] = {
		{ STR_INIT("S: \xc3\xbc\r\n\r\n1234567890\r\n"), true, false, false, false },
		{ STR_INIT("S: u\r\n\r\n1234567\xc3\xbc\r\n"), false, true, false, false },
		{ STR_INIT("S: u\r\n\r\n\xff"), false, true, false, false },
		{ STR_INIT("S: u\n\r\nb\r\n"), false, false, true, false },
		{ STR_INIT("S: u\r\n\nb\r\n"), false, false, true, false },
		{ STR_INIT("S: u\r\n\r\nb\n"), false, false, true, false },
		{ STR_INIT("S: u\r\n\r\na\rb\r\n"), false, false, true, false },
		{ STR_INIT("S: u\r\n\r\na\r\r\n"), false, false, true, false },
		{ STR_INIT("S: u\r\n\r\na\r"), false, false, true, false },
		{ STR_INIT("S: u\r\n\r\n\0"), false, false, false, true },
		{ STR_INIT("S: u\r\n\r\na"), false, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct mail_scan s;
		mail_scan(rows[i].content, &s);
		assert_int_equal(s.header_8bit, rows[i].header_8bit);
		assert_int_equal(s.body_8bit, rows[i].body_8bit);
		assert_int_equal(s.bare_eol, rows[i].bare_eol);
		assert_int_equal(s.has_nul, rows[i].nul);
	}
}

static void
hidden_recipients_and_mailbox_lines_are_noticed(void **state)
{
	struct mail_scan s;

	(void)state;
	mail_scan(STR("To: a\r\nBCC: b\r\n\r\n"), &s);
	assert_true(s.has_bcc);
	mail_scan(STR("Resent-Bcc: b\r\n\r\n"), &s);
	assert_true(s.has_bcc);
	mail_scan(STR("To: a\r\n\r\nBcc: b\r\n"), &s);
	assert_false(s.has_bcc);
	mail_scan(STR("From a@x Mon Nov 23\r\nTo: a\r\n\r\n"), &s);
	assert_true(s.has_mbox_line);
	assert_int_equal(s.from_count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_message_is_understood),
		cmocka_unit_test(an_absent_field_is_told_from_an_empty_one),
		cmocka_unit_test(option_fields_are_collected),
		cmocka_unit_test(bulk_mail_is_recognised_by_its_header),
		cmocka_unit_test(seals_are_recognised),
		cmocka_unit_test(odd_bytes_and_line_ends_are_noticed_where_they_stand),
		cmocka_unit_test(hidden_recipients_and_mailbox_lines_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
