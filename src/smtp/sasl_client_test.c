#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp/sasl_client.h"

#include <sodium.h>

#include "base/buf.h"
#include "base/fault.h"

static struct sasl_client *client; /* freed after each test */
static struct buf line;            /* what it said last */
static char coded[4096];

static int
set_up(void **state)
{
	(void)state;
	buf_init(&line, 16384);
	return sodium_init() < 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sasl_client_free(&client);
	buf_done(&line);
	return 0;
}

/* base64, computed by another library than the code's; valid until the next call. */
static struct str
b64(struct str s)
{
	sodium_bin2base64(
	    coded, sizeof(coded), (const uint8_t *)s.p, s.n, sodium_base64_VARIANT_ORIGINAL);
	return str_from(coded);
}

static void
begin(enum smtp_mech mech, const char *user, const char *secret, const char *nonce)
{
	assert_int_equal(
	    sasl_client_new(mech, str_from(user), str_from(secret), str_from(nonce), &client, NULL),
	    RC_OK);
	sasl_client_start(client, &line);
}

static void
assert_line(const char *want)
{
	assert_string_equal(buf_cstr(&line), want);
}

static enum rc
challenge(struct str text)
{
	buf_clear(&line);
	return sasl_client_challenge(client, text, &line, NULL);
}

/* ---- Choosing ---- */

#define BIT(mech) (1u << SMTP_MECH_##mech)
#define ALL                                                                                        \
	(BIT(PLAIN) | BIT(LOGIN) | BIT(CRAM_MD5) | BIT(SCRAM_SHA_256) | BIT(XOAUTH2) | BIT(NTLM))
#define NONE SMTP_MECH_COUNT

static void
the_strongest_mechanism_that_is_safe_is_chosen(void **state)
{
	static const struct {
		struct sasl_choice choice;
		enum rc rc;
		enum smtp_mech mech;
	} cases[] = {
		{ { ALL, NONE, true, false }, RC_OK, SMTP_MECH_SCRAM_SHA_256 },
		{ { ALL, NONE, false, false }, RC_OK, SMTP_MECH_SCRAM_SHA_256 },
		{ { BIT(LOGIN) | BIT(PLAIN) | BIT(CRAM_MD5), NONE, true, false }, RC_OK,
		    SMTP_MECH_PLAIN },
		{ { BIT(LOGIN) | BIT(PLAIN) | BIT(CRAM_MD5), NONE, false, false }, RC_OK,
		    SMTP_MECH_CRAM_MD5 },
		{ { BIT(LOGIN) | BIT(PLAIN) | BIT(CRAM_MD5), NONE, false, true }, RC_OK,
		    SMTP_MECH_CRAM_MD5 },
		{ { BIT(LOGIN) | BIT(CRAM_MD5), NONE, true, false }, RC_OK, SMTP_MECH_LOGIN },
		{ { BIT(CRAM_MD5), NONE, true, false }, RC_OK, SMTP_MECH_CRAM_MD5 },
		{ { BIT(LOGIN) | BIT(PLAIN), NONE, false, true }, RC_OK, SMTP_MECH_PLAIN },
		{ { BIT(LOGIN) | BIT(PLAIN), NONE, false, false }, RC_DENIED, NONE },
		{ { BIT(XOAUTH2), NONE, true, false }, RC_NOT_FOUND, NONE },
		{ { BIT(NTLM), NONE, true, false }, RC_NOT_FOUND, NONE },
		{ { 0, NONE, true, false }, RC_NOT_FOUND, NONE },
		{ { ALL, SMTP_MECH_LOGIN, true, false }, RC_OK, SMTP_MECH_LOGIN },
		{ { ALL, SMTP_MECH_LOGIN, false, false }, RC_DENIED, NONE },
		{ { ALL, SMTP_MECH_XOAUTH2, true, false }, RC_OK, SMTP_MECH_XOAUTH2 },
		{ { ALL, SMTP_MECH_XOAUTH2, false, false }, RC_DENIED, NONE },
		{ { ALL, SMTP_MECH_NTLM, true, false }, RC_NOT_FOUND, NONE },
		{ { BIT(PLAIN), SMTP_MECH_SCRAM_SHA_256, true, false }, RC_NOT_FOUND, NONE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		enum smtp_mech mech = NONE;
		struct fault f = { 0 };
		enum rc rc = sasl_client_choose(&cases[i].choice, &mech, &f);
		if (rc != cases[i].rc || mech != cases[i].mech || f.rc != rc)
			fail_msg("case %zu: rc %d, mechanism %d", i, (int)rc, (int)mech);
	}
}

static void
unusable_names_and_secrets_are_refused(void **state)
{
	static char longest[SASL_CLIENT_SECRET_MAX + 1];
	struct str ok = STR("ok"), empty = { 0 };
	struct str big = str_make(longest, sizeof(longest));

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(
	    sasl_client_new(SMTP_MECH_PLAIN, empty, ok, empty, &client, NULL), RC_INVALID);
	assert_int_equal(
	    sasl_client_new(SMTP_MECH_PLAIN, ok, empty, empty, &client, NULL), RC_INVALID);
	assert_int_equal(
	    sasl_client_new(SMTP_MECH_PLAIN, ok, STR("line\n"), empty, &client, NULL), RC_INVALID);
	assert_int_equal(
	    sasl_client_new(SMTP_MECH_PLAIN, STR("a\0b"), ok, empty, &client, NULL), RC_INVALID);
	assert_int_equal(
	    sasl_client_new(SMTP_MECH_PLAIN, ok, big, empty, &client, NULL), RC_INVALID);
	assert_int_equal(
	    sasl_client_new(SMTP_MECH_PLAIN, big, ok, empty, &client, NULL), RC_INVALID);
	assert_null(client);
}

/* ---- Mechanisms ---- */

static void
plain_says_everything_in_the_command(void **state)
{
	(void)state;
	begin(SMTP_MECH_PLAIN, "tim", "tanstaaftanstaaf", NULL);
	assert_line("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
	assert_int_equal(sasl_client_finish(client, NULL), RC_OK);
}

static void
a_challenge_after_everything_was_said_cancels(void **state)
{
	(void)state;
	begin(SMTP_MECH_PLAIN, "tim", "secret", NULL);
	assert_int_equal(challenge(STR("")), RC_INVALID);
	assert_line("*");
	assert_int_equal(sasl_client_finish(client, NULL), RC_DENIED);
	assert_int_equal(challenge(STR("")), RC_INVALID);
	assert_line("*");
}

static void
login_answers_two_prompts_however_worded(void **state)
{
	(void)state;
	begin(SMTP_MECH_LOGIN, "user", "pass", NULL);
	assert_line("AUTH LOGIN");
	assert_int_equal(sasl_client_finish(client, NULL), RC_DENIED);
	assert_int_equal(challenge(STR("dXNlcm5hbWU6")), RC_OK);
	assert_line("dXNlcg==");
	assert_int_equal(challenge(STR("Password please")), RC_OK);
	assert_line("cGFzcw==");
	assert_int_equal(sasl_client_finish(client, NULL), RC_OK);
}

/* RFC 2195 section 2. */
static void
cram_md5_gives_the_answer_of_rfc_2195(void **state)
{
	(void)state;
	begin(SMTP_MECH_CRAM_MD5, "tim", "tanstaaftanstaaf", NULL);
	assert_line("AUTH CRAM-MD5");
	assert_int_equal(
	    challenge(STR("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+")), RC_OK);
	assert_line("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
	assert_int_equal(sasl_client_finish(client, NULL), RC_OK);
}

static void
challenges_that_are_no_base64_cancel(void **state)
{
	(void)state;
	begin(SMTP_MECH_CRAM_MD5, "tim", "secret", NULL);
	assert_int_equal(challenge(STR("<not base64>")), RC_INVALID);
	assert_line("*");
	sasl_client_free(&client);
	buf_clear(&line);
	begin(SMTP_MECH_CRAM_MD5, "tim", "secret", NULL);
	assert_int_equal(challenge(STR("")), RC_INVALID);
	assert_line("*");
}

static void
xoauth2_sends_the_bearer_token(void **state)
{
	(void)state;
	begin(SMTP_MECH_XOAUTH2, "someuser@example.com",
	    "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg", NULL);
	assert_line("AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRm"
		    "dDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==");
	assert_int_equal(sasl_client_finish(client, NULL), RC_OK);
}

static void
an_xoauth2_error_is_kept_and_answered_by_an_empty_line(void **state)
{
	struct str json = STR("{\"status\":\"401\",\"schemes\":\"bearer\"}");

	(void)state;
	begin(SMTP_MECH_XOAUTH2, "u@example.com", "expired", NULL);
	assert_int_equal(challenge(b64(json)), RC_OK);
	assert_line("");
	assert_true(str_eq(sasl_client_peer_error(client), json));
	assert_int_equal(sasl_client_finish(client, NULL), RC_DENIED);
}

static void
a_response_too_long_for_a_command_waits_for_the_challenge(void **state)
{
	char token[2000];

	(void)state;
	memset(token, 't', sizeof(token));
	token[sizeof(token) - 1] = '\0';
	begin(SMTP_MECH_XOAUTH2, "u@example.com", token, NULL);
	assert_line("AUTH XOAUTH2");
	assert_int_equal(challenge(STR("")), RC_OK);
	assert_true(buf_len(&line) > 2600);
	assert_true(
	    str_starts(buf_str(&line), STR("dXNlcj11QGV4YW1wbGUuY29tAWF1dGg9QmVhcmVyIHR0")));
	assert_int_equal(sasl_client_finish(client, NULL), RC_OK);
}

static void
a_command_line_fills_512_octets_and_no_more(void **state)
{
	char secret[512];

	(void)state;
	/* "AUTH PLAIN " and 496 characters of base64 (372 octets): 507, and CRLF; the next size is
	 * 511. */
	memset(secret, 's', sizeof(secret));
	secret[372 - 2 - 1] = '\0';
	begin(SMTP_MECH_PLAIN, "u", secret, NULL);
	assert_int_equal(buf_len(&line), 507);
	sasl_client_free(&client);
	buf_clear(&line);
	secret[372 - 2 - 1] = 's';
	secret[372 - 2] = '\0';
	begin(SMTP_MECH_PLAIN, "u", secret, NULL);
	assert_line("AUTH PLAIN");
}

/* ---- SCRAM, RFC 7677 section 3 ---- */

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define BOTH  "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

static void
begin_scram(void)
{
	begin(SMTP_MECH_SCRAM_SHA_256, "user", "pencil", NONCE);
}

static void
scram_speaks_as_in_rfc_7677(void **state)
{
	(void)state;
	begin_scram();
	assert_line("AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=");
	assert_int_equal(
	    challenge(b64(STR("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))), RC_OK);
	struct str final =
	    b64(STR("c=biws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
	assert_line(final.p);
	assert_int_equal(
	    challenge(b64(STR("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))), RC_OK);
	assert_line("");
	assert_int_equal(sasl_client_finish(client, NULL), RC_OK);
}

static void
a_server_that_proves_nothing_is_not_believed(void **state)
{
	struct fault f = { 0 };

	(void)state;
	begin_scram();
	assert_int_equal(sasl_client_finish(client, NULL), RC_DENIED);
	assert_int_equal(
	    challenge(b64(STR("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))), RC_OK);
	assert_int_equal(sasl_client_finish(client, &f), RC_DENIED);
	assert_non_null(strstr(f.text, "without proving"));
	assert_int_equal(
	    challenge(b64(STR("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))), RC_DENIED);
	assert_line("*");
	assert_int_equal(sasl_client_finish(client, NULL), RC_DENIED);
}

static void
a_scram_error_is_kept_and_the_reply_awaited(void **state)
{
	(void)state;
	begin_scram();
	assert_int_equal(
	    challenge(b64(STR("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))), RC_OK);
	assert_int_equal(challenge(b64(STR("e=invalid-proof"))), RC_OK);
	assert_line("");
	assert_true(str_eq(sasl_client_peer_error(client), STR("invalid-proof")));
	assert_int_equal(sasl_client_finish(client, NULL), RC_DENIED);
}

static void
unsafe_scram_challenges_cancel(void **state)
{
	static const struct str bad[] = {
		STR_INIT(""),
		STR_INIT("r=" BOTH),
		STR_INIT("r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
		STR_INIT("r=x" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
		STR_INIT("m=x,r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
		STR_INIT("r=" BOTH ",s=,i=4096"),
		STR_INIT("r=" BOTH ",s=!!,i=4096"),
		STR_INIT("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1"),
		STR_INIT("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294971392"),
		STR_INIT("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1"),
		STR_INIT("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ=="),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		begin_scram();
		if (challenge(b64(bad[i])) != RC_INVALID)
			fail_msg("accepted: %s", bad[i].p);
		assert_line("*");
		sasl_client_free(&client);
	}
}

static void
scram_escapes_the_user_name_and_draws_a_nonce(void **state)
{
	char first[512] = { 0 };
	size_t n = 0;

	(void)state;
	begin(SMTP_MECH_SCRAM_SHA_256, "a,b=c", "pencil", NULL);
	struct str initial = str_skip(buf_str(&line), STR("AUTH SCRAM-SHA-256 ").n);
	assert_int_equal(sodium_base642bin((uint8_t *)first, sizeof(first) - 1, initial.p,
			     initial.n, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL),
	    0);
	assert_true(str_starts(str_from(first), STR("n,,n=a=2Cb=3Dc,r=")));
	assert_int_equal(n, STR("n,,n=a=2Cb=3Dc,r=").n + 24);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_strongest_mechanism_that_is_safe_is_chosen),
		TEST(unusable_names_and_secrets_are_refused),
		TEST(plain_says_everything_in_the_command),
		TEST(a_challenge_after_everything_was_said_cancels),
		TEST(login_answers_two_prompts_however_worded),
		TEST(cram_md5_gives_the_answer_of_rfc_2195),
		TEST(challenges_that_are_no_base64_cancel),
		TEST(xoauth2_sends_the_bearer_token),
		TEST(an_xoauth2_error_is_kept_and_answered_by_an_empty_line),
		TEST(a_response_too_long_for_a_command_waits_for_the_challenge),
		TEST(a_command_line_fills_512_octets_and_no_more),
		TEST(scram_speaks_as_in_rfc_7677),
		TEST(a_server_that_proves_nothing_is_not_believed),
		TEST(a_scram_error_is_kept_and_the_reply_awaited),
		TEST(unsafe_scram_challenges_cancel),
		TEST(scram_escapes_the_user_name_and_draws_a_nonce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
