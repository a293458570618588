#include "codec/smtp_caps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CAP(name)  ((uint64_t)1 << SMTP_CAP_##name)
#define MECH(name) (1u << SMTP_MECH_##name)

static const struct {
	struct str text;
	struct smtp_caps want;
} rows[] = {
	{ STR_INIT(""), { 0 } },
	{ STR_INIT("PIPELINING"), { 0 } }, /* the first line only greets */
	{ STR_INIT("mail\nPIPELINING\n8BITMIME"), { .set = CAP(PIPELINING) | CAP(8BITMIME) } },
	{ STR_INIT("mail\npipelining\nPipelining\n\n  "), { .set = CAP(PIPELINING) } },
	{ STR_INIT("mail\nSIZE"), { .set = CAP(SIZE) } },
	{ STR_INIT("mail\nSIZE 0"), { .set = CAP(SIZE) } },
	{ STR_INIT("mail\nSIZE 73400320"), { .set = CAP(SIZE), .size_max = 73400320 } },
	{ STR_INIT("mail\nSIZE=1000"), { .set = CAP(SIZE), .size_max = 1000 } },
	{ STR_INIT("mail\nSIZE many"), { .set = CAP(SIZE) } },
	{ STR_INIT("mail\nSIZE 2000\nSIZE 1000\nSIZE 3000"),
	    { .set = CAP(SIZE), .size_max = 1000 } },
	{ STR_INIT("mail\nAUTH LOGIN PLAIN\nAUTH=LOGIN PLAIN\ncoremail 1Uxr2x"),
	    { .set = CAP(AUTH), .mechs = MECH(LOGIN) | MECH(PLAIN), .caps_unknown = 1 } },
	{ STR_INIT("mail\nAUTH=LOGIN PLAIN"),
	    { .set = CAP(AUTH), .mechs = MECH(LOGIN) | MECH(PLAIN) } },
	{ STR_INIT("mail\nAUTH =login  xoauth2"),
	    { .set = CAP(AUTH), .mechs = MECH(LOGIN) | MECH(XOAUTH2) } },
	{ STR_INIT("mail\nAUTH SCRAM-SHA-256 SCRAM-SHA-512 X-FOO"),
	    { .set = CAP(AUTH), .mechs = MECH(SCRAM_SHA_256), .mechs_unknown = 2 } },
	{ STR_INIT("mail\nAUTH"), { .set = CAP(AUTH) } },
	{ STR_INIT("mail\nLIMITS RCPTMAX=100 MAILMAX=5"),
	    { .set = CAP(LIMITS), .rcpt_max = 100, .mail_max = 5 } },
	{ STR_INIT("mail\nLIMITS rcptmax=0 MAILMAX=x RCPTDOMAINMAX=1 FOO=2 RCPTMAX=99999999999"),
	    { .set = CAP(LIMITS), .rcpt_domain_max = 1 } },
	{ STR_INIT("mail\nMT-PRIORITY MIXER\nXCLIENT NAME ADDR\nX-FOO"),
	    { .set = CAP(MT_PRIORITY) | CAP(XCLIENT), .caps_unknown = 1 } },
};

static void
an_ehlo_reply_becomes_capabilities(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct smtp_caps got;
		memset(&got, 0xff, sizeof(got));
		smtp_caps_parse(rows[i].text, &got);
		if (got.set != rows[i].want.set || got.mechs != rows[i].want.mechs)
			fail_msg("%.*s", STR_ARG(rows[i].text));
		assert_int_equal(got.mechs_unknown, rows[i].want.mechs_unknown);
		assert_int_equal(got.caps_unknown, rows[i].want.caps_unknown);
		assert_int_equal(got.size_max, rows[i].want.size_max);
		assert_int_equal(got.rcpt_max, rows[i].want.rcpt_max);
		assert_int_equal(got.mail_max, rows[i].want.mail_max);
		assert_int_equal(got.rcpt_domain_max, rows[i].want.rcpt_domain_max);
	}
}

static void
every_name_is_found_again(void **state)
{
	(void)state;
	enum smtp_mech mech;
	enum smtp_cap cap;

	for (unsigned i = 0; i < SMTP_CAP_COUNT; i++) {
		assert_true(smtp_caps_find(str_from(smtp_caps_name((enum smtp_cap)i)), &cap));
		assert_int_equal(cap, i);
	}
	for (unsigned i = 0; i < SMTP_MECH_COUNT; i++) {
		assert_true(
		    smtp_caps_find_mech(str_from(smtp_caps_mech_name((enum smtp_mech)i)), &mech));
		assert_int_equal(mech, i);
	}
	assert_false(smtp_caps_find(STR(""), &cap));
	assert_false(smtp_caps_find_mech(STR("CRAM_MD5"), &mech));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ehlo_reply_becomes_capabilities),
		cmocka_unit_test(every_name_is_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
