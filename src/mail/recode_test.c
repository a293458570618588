#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "mail/downgrade.h"
#include "mail/header.h"
#include "mail/recode.h"
#include "mail/scan.h"

#define HUNDRED                                                                                    \
	"123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
#define LONG HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

static struct str
recode(struct arena *a, struct str content, bool seven_bit)
{
	struct mail_recode_opts opts = { .seven_bit = seven_bit };
	struct mail_pieces out;
	struct mail_scan scan;
	const char *why = "";

	mail_scan(content, &scan);
	mail_pieces_init(&out, a);
	if (mail_recode(content, &scan, &opts, &out, &why) != RC_OK)
		fail_msg("refused: %s", why);
	struct str made = mail_pieces_str(&out);
	assert_int_equal(made.n, out.bytes);
	mail_scan(made, &scan);
	assert_true(
	    scan.longest_body_line <= MAIL_LINE_MAX && scan.longest_header_line <= MAIL_LINE_MAX);
	assert_false(scan.bare_eol);
	assert_false(seven_bit && (scan.body_8bit || scan.header_8bit));
	return made;
}

static void
check_recode(struct str content, bool seven_bit, struct str want)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str made = recode(&a, content, seven_bit);

	if (!str_eq(made, want))
		fail_msg("got:\n%.*s\nwant:\n%.*s", STR_ARG(made), STR_ARG(want));
	struct str again = recode(&a, made, seven_bit);
	assert_true(str_eq(again, made));
}

static void
check_refused(struct str content, bool seven_bit, enum rc rc, const char *word)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_recode_opts opts = { .seven_bit = seven_bit };
	struct mail_pieces out;
	struct mail_scan scan;
	const char *why = "";

	mail_scan(content, &scan);
	mail_pieces_init(&out, &a);
	assert_int_equal(mail_recode(content, &scan, &opts, &out, &why), rc);
	if (strstr(why, word) == NULL)
		fail_msg("%s", why);
}

static void
content_that_can_pass_stays_byte_for_byte(void **state)
{
	static const struct str rows[] = {
		STR_INIT("Subject: hi\r\n\r\nbody\r\n"),
		STR_INIT("A: 1\r\n\r\n"),
		STR_INIT("\r\nbody\r\n"),
		STR_INIT(
		    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		check_recode(rows[i], false, rows[i]);
		check_recode(rows[i], true, rows[i]);
	}
	check_recode(STR("\xc3\xbc: 1\r\n\r\n\xc3\xbc\r\n"), false,
	    STR("\r\n\xc3\xbc: 1\r\n\r\n\xc3\xbc\r\n"));
}

static void
a_missing_separator_and_last_line_end_are_added(void **state)
{
	(void)state;
	check_recode(STR("A: 1\r\nno field\r\n"), false, STR("A: 1\r\n\r\nno field\r\n"));
	check_recode(STR("A: 1"), false, STR("A: 1\r\n"));
	check_recode(STR("A: 1\r\n\r\nb"), false, STR("A: 1\r\n\r\nb\r\n"));
	check_recode(STR(" x"), false, STR("\r\n x\r\n"));
}

static void
an_8bit_text_becomes_quoted_printable(void **state)
{
	(void)state;
	check_recode(STR("Subject: hi\r\n\r\nM\xc3\xbcll=er\r\n"), true,
	    STR("Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\nM=C3=BCll=3Der\r\n"));
	check_recode(STR("MIME-Version: 1.0\r\nContent-Type: text/html; charset=x\r\n"
			 "content-transfer-encoding:\r\n 8bit\r\nTo: a\r\n\r\n\xff\r\n"),
	    true,
	    STR("MIME-Version: 1.0\r\nContent-Type: text/html; charset=x\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\nTo: a\r\n\r\n=FF\r\n"));
	check_recode(STR("\r\n\xff\r\n"), true,
	    STR("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=FF\r\n"));
}

static void
only_the_parts_that_need_it_are_changed(void **state)
{
	(void)state;
	check_recode(
	    STR("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\npre \xff\r\n"
		"--b\r\n\r\nplain\r\n"
		"--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\x01\xff\r\n"
		"--b \r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		"Subject: in\r\n\r\n\xc3\xbc\r\n"
		"--b--\r\nepi\r\n"),
	    true,
	    STR("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n"
		"Content-Transfer-Encoding: 7bit\r\n\r\n"
		"\r\n--b\r\n\r\nplain\r\n"
		"--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAf8=\r\n"
		"--b \r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
		"Subject: in\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n"
		"--b--\r\nepi\r\n"));
}

static void
labels_are_put_right_for_a_7bit_peer(void **state)
{
	(void)state;
	check_recode(STR("Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"), true,
	    STR("Content-Transfer-Encoding: 7bit\r\n\r\nplain\r\n"));
	check_recode(STR("Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"), false,
	    STR("Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"));
	/* A signature covers the label too. */
	check_recode(STR("DKIM-Signature: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"),
	    true, STR("DKIM-Signature: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"));
}

static void
a_long_line_is_encoded_and_not_cut(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str made = recode(&a, STR("Subject: hi\r\n\r\nshort\r\n" LONG "end\r\n"), false);
	struct mail_scan scan;

	(void)state;
	mail_scan(made, &scan);
	assert_true(scan.longest_body_line <= 76);
	assert_true(str_find_str(made, STR("\r\nContent-Transfer-Encoding: quoted-printable\r\n")) <
		    made.n);
	assert_true(str_find_str(made, STR("\r\n\r\nshort\r\n123456789 ")) < made.n);
	assert_true(str_ends(made, STR("end\r\n")));
	/* 998 octets are no long line, 999 are one. */
	made = recode(&a, str_sub(STR("\r\n" LONG), 0, 2 + 998), false);
	assert_int_equal(made.n, 2 + 998 + 2);
	made = recode(&a, str_sub(STR("\r\n" LONG), 0, 2 + 999), false);
	assert_true(made.n > 2 + 999 + 2);
}

static void
encoded_parts_with_long_lines_are_encoded_anew(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str made;

	(void)state;
	made = recode(&a,
	    STR("MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=FC" LONG
		"\r\n"),
	    false);
	assert_true(str_starts(
	    made, STR("MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n"
		      "\r\n=FC123456789 ")));
	AUTO(buf_done) struct buf b = { 0 };
	buf_init(&b, 10000);
	buf_add(&b, STR("Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
	for (int i = 0; i < 500; i++)
		buf_add(&b, STR("QUJD"));
	buf_add(&b, STR("\r\n"));
	made = recode(&a, buf_str(&b), false);
	assert_int_equal(made.n, buf_len(&b) + (size_t)2 * (2000 / 76));
	assert_true(str_find_str(made, STR("\r\nQUJDQUJD")) < made.n);
}

static void
long_header_lines_are_folded_at_white_space(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct str made = recode(&a, STR("References: " LONG "x\r\nTo: a\r\n\r\nbody\r\n"), false);
	struct mail_field f;

	(void)state;
	assert_true(mail_header_find(made, STR("References"), &f));
	buf_init(&b, 3000);
	mail_header_unfold(&b, f.value);
	assert_string_equal(buf_cstr(&b), LONG "x");
	assert_true(str_ends(made, STR("\r\nTo: a\r\n\r\nbody\r\n")));
}

static void
blanks_at_the_end_of_an_overlong_header_line_go(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	buf_init(&b, 10000);
	buf_add(&b, STR("X: a b"));
	for (int i = 0; i < 2000; i++)
		buf_add_byte(&b, ' ');
	buf_add(&b, STR("\r\n\t"));
	for (int i = 0; i < 2000; i++)
		buf_add_byte(&b, ' ');
	buf_add(&b, STR("\r\nTo: c\r\n\r\nd\r\n"));
	check_recode(buf_str(&b), false, STR("X: a b\r\nTo: c\r\n\r\nd\r\n"));
}

/* Were each fold to look at the rest of the line, this would take minutes. */
static void
a_header_line_of_megabytes_is_folded_in_one_pass(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	buf_init(&b, 32 << 20);
	buf_add(&b, STR("X:"));
	for (int i = 0; i < 8 << 20; i++)
		buf_add(&b, STR(" x"));
	buf_add(&b, STR("\r\n\r\n"));
	struct str made = recode(&a, buf_str(&b), false);
	assert_true(made.n > buf_len(&b) + (size_t)2 * 16000);
}

static void
what_cannot_be_changed_is_refused_with_the_reason(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	check_refused(STR("DKIM-Signature: x\r\n\r\n\xff\r\n"), true, RC_DENIED, "DKIM");
	check_refused(STR("DKIM-Signature: x\r\n\r\n" LONG "\r\n"), false, RC_DENIED, "DKIM");
	check_refused(
	    STR("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
		"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xff\r\n--b--\r\n--a--\r\n"),
	    true, RC_DENIED, "signed");
	check_refused(STR("S: \xff\r\n\r\n"), true, RC_INVALID, "SMTPUTF8");
	check_refused(
	    STR("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nX: \xff\r\n\r\nb\r\n--a--\r\n"),
	    true, RC_INVALID, "SMTPUTF8");
	check_refused(
	    STR("Content-Type: multipart/mixed\r\n\r\n\xff\r\n"), true, RC_INVALID, "boundary");
	check_refused(STR("Content-Type: multipart/mixed; boundary=a\r\n\r\n\xff\r\n"), true,
	    RC_INVALID, "boundary");
	check_refused(
	    STR("Content-Transfer-Encoding: x-uue\r\n\r\n\xff\r\n"), true, RC_INVALID, "unknown");
	check_refused(STR("Content-Type: message/delivery-status\r\n\r\n\xff\r\n"), true,
	    RC_INVALID, "report");
	check_refused(STR("A: 1\r\n\r\na\nb\r\n"), false, RC_INVALID, "CRLF");
	check_refused(STR("A: 1\r\n\r\n\0\r\n"), false, RC_INVALID, "NUL");
	buf_init(&b, 3000);
	buf_add(&b, STR("X: "));
	for (int i = 0; i < 1000; i++)
		buf_add_byte(&b, 'x');
	buf_add(&b, STR("\r\n\r\n"));
	check_refused(buf_str(&b), false, RC_INVALID, "fold");
}

static void
encoded_text_cannot_pose_as_an_enclosing_delimiter(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	/* For some length of the filler the soft line break falls just before the look-alike. */
	for (int filler = 0; filler < 80; filler++) {
		buf_init(&b, 10000);
		buf_add(&b, STR("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"));
		for (int i = 0; i < 1000 + filler; i++)
			buf_add_byte(&b, 'x');
		buf_add(&b, STR("--b\r\n--b--\r\n"));
		struct str made = recode(&a, buf_str(&b), false);
		struct str rest = made;
		size_t delimiters = 0;
		for (size_t at; (at = str_find_str(rest, STR("\n--b\r"))) < rest.n;) {
			delimiters++;
			rest = str_skip(rest, at + 1);
		}
		assert_int_equal(delimiters, 1);
		buf_done(&b);
	}
}

static void
deep_nesting_ends_in_a_refusal_not_in_a_crash(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_add(&b, STR("Content-Type: message/rfc822\r\n\r\n"));
	buf_add(&b, STR("\r\n\xff\r\n"));
	check_refused(buf_str(&b), true, RC_INVALID, "attached");
	buf_clear(&b);
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	buf_add(&b, STR("\r\n\xff\r\n"));
	check_refused(buf_str(&b), true, RC_INVALID, "deep");
}

static void
a_downgrade_is_all_ascii_or_refused(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_pieces out;
	const char *why = "";

	(void)state;
	mail_pieces_init(&out, &a);
	assert_int_equal(mail_downgrade(STR("A: 1\r\n\r\n\xc3\xbc\r\n"), &out, &why), RC_OK);
	assert_true(str_ends(mail_pieces_str(&out), STR("\r\n\r\n=C3=BC\r\n")));
	mail_pieces_init(&out, &a);
	struct str ascii = STR("A: 1\r\n\r\nu\r\n");
	assert_int_equal(mail_downgrade(ascii, &out, &why), RC_OK);
	assert_int_equal(out.n, 1);
	assert_ptr_equal(out.v[0].p, ascii.p);
	assert_int_equal(mail_downgrade(STR("A: \xc3\xbc\r\n\r\nu\r\n"), &out, &why), RC_INVALID);
	assert_non_null(strstr(why, "SMTPUTF8"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_that_can_pass_stays_byte_for_byte),
		cmocka_unit_test(a_missing_separator_and_last_line_end_are_added),
		cmocka_unit_test(an_8bit_text_becomes_quoted_printable),
		cmocka_unit_test(only_the_parts_that_need_it_are_changed),
		cmocka_unit_test(labels_are_put_right_for_a_7bit_peer),
		cmocka_unit_test(a_long_line_is_encoded_and_not_cut),
		cmocka_unit_test(encoded_parts_with_long_lines_are_encoded_anew),
		cmocka_unit_test(long_header_lines_are_folded_at_white_space),
		cmocka_unit_test(blanks_at_the_end_of_an_overlong_header_line_go),
		cmocka_unit_test(a_header_line_of_megabytes_is_folded_in_one_pass),
		cmocka_unit_test(what_cannot_be_changed_is_refused_with_the_reason),
		cmocka_unit_test(encoded_text_cannot_pose_as_an_enclosing_delimiter),
		cmocka_unit_test(deep_nesting_ends_in_a_refusal_not_in_a_crash),
		cmocka_unit_test(a_downgrade_is_all_ascii_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
