#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp/sasl_server.h"

#include <sodium.h>
#include <stdio.h>

#include "base/buf.h"
#include "crypto/password.h"
#include "smtp/sasl_client.h"

static const uint8_t fake_key[32] = { 1, 2, 3 };
static struct sasl_server *server; /* freed after each test */
static char coded[20000];

static int
set_up(void **state)
{
	(void)state;
	server = sasl_server_new(fake_key, STR(""));
	return sodium_init() < 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sasl_server_free(&server);
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

/* "MECHANISM base64(initial)". */
static enum sasl_verdict
start(const char *mechanism, struct str initial)
{
	char args[20000];
	struct str text = b64(initial);

	snprintf(args, sizeof(args), "%s %s", mechanism, text.n != 0 ? text.p : "=");
	return sasl_server_start(server, str_from(args));
}

static void
assert_user(const char *want)
{
	assert_true(str_eq(sasl_server_user(server), str_from(want)));
}

static void
assert_challenge(struct str want)
{
	assert_true(str_eq(sasl_server_challenge(server), b64(want)));
}

static struct password_verifier
verifier_of(const char *secret)
{
	struct password_verifier v;

	assert_int_equal(password_make(str_from(secret), PASSWORD_GENERATED, true, &v), RC_OK);
	return v;
}

/* ---- PLAIN and LOGIN ---- */

static void
plain_with_an_initial_response_asks_for_the_check(void **state)
{
	(void)state;
	assert_int_equal(start("PLAIN", STR("\0tim\0tanstaaf")), SASL_NEED_VERIFY);
	assert_user("tim");
	assert_true(str_eq(sasl_server_secret(server), STR("tanstaaf")));
	assert_int_equal(sasl_server_verified(server, true), SASL_OK);
	assert_user("tim");
	assert_int_equal(sasl_server_secret(server).n, 0);
}

static void
plain_without_one_fetches_it_by_an_empty_challenge(void **state)
{
	(void)state;
	assert_int_equal(sasl_server_start(server, STR("plain")), SASL_CHALLENGE);
	assert_challenge(STR(""));
	assert_int_equal(
	    sasl_server_respond(server, b64(STR("tim\0tim\0secret"))), SASL_NEED_VERIFY);
	assert_int_equal(sasl_server_verified(server, false), SASL_FAIL);
	assert_user("tim");
}

static void
nobody_acts_for_another(void **state)
{
	(void)state;
	assert_int_equal(start("PLAIN", STR("root\0tim\0secret")), SASL_FAIL);
	assert_int_equal(start("SCRAM-SHA-256", STR("n,a=root,n=tim,r=abc")), SASL_FAIL);
	assert_int_equal(start("SCRAM-SHA-256", STR("n,a=tim,n=tim,r=abc")), SASL_NEED_LOOKUP);
}

static void
malformed_plain_is_broken(void **state)
{
	static const struct str bad[] = { STR_INIT(""), STR_INIT("tim"), STR_INIT("\0tim"),
		STR_INIT("\0tim\0a\0b") };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(start("PLAIN", bad[i]), SASL_BROKEN);
}

static void
names_and_secrets_that_cannot_be_fail(void **state)
{
	char big[2000] = { 0 };

	(void)state;
	assert_int_equal(start("PLAIN", STR("\0\0secret")), SASL_FAIL);
	assert_int_equal(start("PLAIN", STR("\0tim\0")), SASL_FAIL);
	assert_int_equal(start("PLAIN", STR("\0t\nm\0secret")), SASL_FAIL);
	assert_int_equal(start("PLAIN", STR("\0t\xff\0secret")), SASL_FAIL);
	memset(big + 1, 'u', 300);
	big[302] = 's';
	assert_int_equal(start("PLAIN", str_make(big, 303)), SASL_FAIL);
	memset(big + 2, 0, 300);
	memset(big + 3, 's', PASSWORD_MAX + 1);
	assert_int_equal(start("PLAIN", str_make(big, 3 + PASSWORD_MAX)), SASL_NEED_VERIFY);
	assert_int_equal(start("PLAIN", str_make(big, 3 + PASSWORD_MAX + 1)), SASL_FAIL);
}

static void
login_asks_for_name_and_password(void **state)
{
	(void)state;
	assert_int_equal(sasl_server_start(server, STR("LOGIN")), SASL_CHALLENGE);
	assert_challenge(STR("Username:"));
	assert_int_equal(sasl_server_respond(server, b64(STR("tim"))), SASL_CHALLENGE);
	assert_challenge(STR("Password:"));
	assert_int_equal(sasl_server_respond(server, b64(STR("secret"))), SASL_NEED_VERIFY);
	assert_user("tim");
	assert_true(str_eq(sasl_server_secret(server), STR("secret")));
}

static void
login_takes_the_name_with_the_command(void **state)
{
	(void)state;
	assert_int_equal(start("login", STR("tim")), SASL_CHALLENGE);
	assert_challenge(STR("Password:"));
	assert_int_equal(sasl_server_respond(server, b64(STR("secret"))), SASL_NEED_VERIFY);
}

static void
a_star_cancels_at_every_prompt(void **state)
{
	static const char *const mechanisms[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(mechanisms); i++) {
		assert_int_equal(
		    sasl_server_start(server, str_from(mechanisms[i])), SASL_CHALLENGE);
		assert_int_equal(sasl_server_respond(server, STR("*")), SASL_CANCELLED);
	}
	assert_int_equal(start("LOGIN", STR("tim")), SASL_CHALLENGE);
	assert_int_equal(sasl_server_respond(server, STR("*")), SASL_CANCELLED);
}

static void
what_is_no_base64_is_broken(void **state)
{
	static char big[SASL_SERVER_LINE_MAX + 2];

	(void)state;
	assert_int_equal(sasl_server_start(server, STR("PLAIN !!!!")), SASL_BROKEN);
	assert_int_equal(sasl_server_start(server, STR("PLAIN AHRpbQ")), SASL_BROKEN);
	assert_int_equal(sasl_server_start(server, STR("PLAIN * ")), SASL_BROKEN);
	assert_int_equal(sasl_server_start(server, STR("LOGIN")), SASL_CHALLENGE);
	assert_int_equal(sasl_server_respond(server, STR("=")), SASL_BROKEN);
	memset(big, 'A', sizeof(big));
	assert_int_equal(sasl_server_start(server, STR("PLAIN")), SASL_CHALLENGE);
	assert_int_equal(sasl_server_respond(server, str_make(big, sizeof(big))), SASL_BROKEN);
}

static void
mechanisms_not_spoken_here_are_unknown(void **state)
{
	(void)state;
	assert_int_equal(sasl_server_start(server, STR("CRAM-MD5")), SASL_UNKNOWN);
	assert_int_equal(sasl_server_start(server, STR("SCRAM-SHA-256-PLUS")), SASL_UNKNOWN);
	assert_int_equal(sasl_server_start(server, STR("NONSENSE =")), SASL_UNKNOWN);
	assert_int_equal(sasl_server_start(server, STR("")), SASL_UNKNOWN);
}

/* ---- SCRAM ---- */

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define BOTH  "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

/* RFC 7677 section 3: an exchange up to the server's first message. */
static void
begin_rfc_7677(void)
{
	static const uint8_t salt[16] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec,
		0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };
	struct password_verifier v = { .kind = PASSWORD_GENERATED };

	sasl_server_free(&server);
	server = sasl_server_new(fake_key, STR("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"));
	scram_keys_derive(STR("pencil"), salt, 4096, &v.scram);
	assert_int_equal(start("SCRAM-SHA-256", STR("n,,n=user,r=" NONCE)), SASL_NEED_LOOKUP);
	assert_user("user");
	assert_int_equal(sasl_server_found(server, &v), SASL_CHALLENGE);
	assert_challenge(STR("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
}

static void
scram_speaks_as_in_rfc_7677(void **state)
{
	(void)state;
	begin_rfc_7677();
	assert_int_equal(
	    sasl_server_respond(server,
		b64(STR("c=biws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))),
	    SASL_CHALLENGE);
	assert_challenge(STR("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
	assert_int_equal(sasl_server_respond(server, STR("")), SASL_OK);
	assert_user("user");
}

static void
altered_final_messages_get_nowhere(void **state)
{
	static const struct {
		struct str text;
		enum sasl_verdict verdict;
	} cases[] = {
		{ STR_INIT("c=biws,r=" BOTH ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		    SASL_FAIL },
		{ STR_INIT("c=biws,r=" BOTH ",x=y,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		    SASL_FAIL },
		{ STR_INIT("c=eSws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		    SASL_BROKEN },
		{ STR_INIT("c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
		    SASL_BROKEN },
		{ STR_INIT("c=biws,r=" BOTH ",p=dHzb"), SASL_BROKEN },
		{ STR_INIT("c=biws,r=" BOTH), SASL_BROKEN },
		{ STR_INIT("c=biws"), SASL_BROKEN },
		{ STR_INIT(""), SASL_BROKEN },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		begin_rfc_7677();
		if (sasl_server_respond(server, b64(cases[i].text)) != cases[i].verdict)
			fail_msg("case %zu", i);
	}
}

static void
malformed_first_messages_are_broken(void **state)
{
	static const struct str bad[] = {
		STR_INIT(""),
		STR_INIT("n"),
		STR_INIT("n,,"),
		STR_INIT("n,,n=user"),
		STR_INIT("n,,n=user,r="),
		STR_INIT("n,,n=user,r=a b"),
		STR_INIT("n,,m=x,n=user,r=abc"),
		STR_INIT("n,x,n=user,r=abc"),
		STR_INIT("n,,n=a=2Xb,r=abc"),
		STR_INIT("p=tls-unique,,n=user,r=abc"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (start("SCRAM-SHA-256", bad[i]) != SASL_BROKEN)
			fail_msg("case %zu", i);
	}
}

/* The salt that an exchange for `user` shows when there is no such user. */
static void
fake_salt_of(const char *user, char out[static 64])
{
	char first[128], decoded[512] = { 0 };
	size_t n;

	snprintf(first, sizeof(first), "n,,n=%s,r=abc", user);
	assert_int_equal(start("SCRAM-SHA-256", str_from(first)), SASL_NEED_LOOKUP);
	assert_int_equal(sasl_server_found(server, NULL), SASL_CHALLENGE);
	struct str text = sasl_server_challenge(server);
	assert_int_equal(sodium_base642bin((uint8_t *)decoded, sizeof(decoded) - 1, text.p, text.n,
			     NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL),
	    0);
	assert_non_null(strstr(decoded, ",i=20000"));
	snprintf(out, 64, "%.24s", strstr(decoded, ",s=") + 3);
}

static void
unknown_users_look_like_known_ones(void **state)
{
	char a[64], again[64], b[64];

	(void)state;
	fake_salt_of("alice", a);
	fake_salt_of("bob", b);
	fake_salt_of("alice", again);
	assert_string_equal(a, again);
	assert_string_not_equal(a, b);
}

/* Runs our client against our server; the verdict is the server's last. */
static enum sasl_verdict
converse(const char *user, const char *secret, const struct password_verifier *v)
{
	AUTO(sasl_client_free) struct sasl_client *c = NULL;
	AUTO(buf_done) struct buf line = { 0 };

	buf_init(&line, 16384);
	assert_int_equal(sasl_client_new(SMTP_MECH_SCRAM_SHA_256, str_from(user), str_from(secret),
			     STR(""), &c, NULL),
	    RC_OK);
	sasl_client_start(c, &line);
	enum sasl_verdict verdict =
	    sasl_server_start(server, str_skip(buf_str(&line), STR("AUTH ").n));
	for (;;) {
		if (verdict == SASL_NEED_LOOKUP)
			verdict = sasl_server_found(server, v);
		if (verdict != SASL_CHALLENGE)
			break;
		buf_clear(&line);
		if (sasl_client_challenge(c, sasl_server_challenge(server), &line, NULL) != RC_OK)
			return SASL_CANCELLED;
		verdict = sasl_server_respond(server, buf_str(&line));
	}
	assert_int_equal(sasl_client_finish(c, NULL), verdict == SASL_OK ? RC_OK : RC_DENIED);
	return verdict;
}

static void
our_client_and_our_server_understand_each_other(void **state)
{
	struct password_verifier v = verifier_of("pencil");
	struct password_verifier without = v;

	(void)state;
	without.scram.iterations = 0;
	assert_int_equal(converse("user", "pencil", &v), SASL_OK);
	assert_int_equal(converse("a,b=c@example.com", "pencil", &v), SASL_OK);
	assert_user("a,b=c@example.com");
	assert_int_equal(converse("user", "pencils", &v), SASL_FAIL);
	assert_int_equal(converse("user", "pencil", NULL), SASL_FAIL);
	assert_int_equal(converse("user", "pencil", &without), SASL_FAIL);
}

static void
a_proof_does_not_serve_twice(void **state)
{
	struct password_verifier v = verifier_of("pencil");
	char first[1000];

	(void)state;
	assert_int_equal(start("SCRAM-SHA-256", STR("n,,n=user,r=abc")), SASL_NEED_LOOKUP);
	assert_int_equal(sasl_server_found(server, &v), SASL_CHALLENGE);
	snprintf(first, sizeof(first), "%.*s", STR_ARG(sasl_server_challenge(server)));
	assert_int_equal(start("SCRAM-SHA-256", STR("n,,n=user,r=abc")), SASL_NEED_LOOKUP);
	assert_int_equal(sasl_server_found(server, &v), SASL_CHALLENGE);
	assert_false(str_eq(str_from(first), sasl_server_challenge(server)));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(plain_with_an_initial_response_asks_for_the_check),
		TEST(plain_without_one_fetches_it_by_an_empty_challenge),
		TEST(nobody_acts_for_another),
		TEST(malformed_plain_is_broken),
		TEST(names_and_secrets_that_cannot_be_fail),
		TEST(login_asks_for_name_and_password),
		TEST(login_takes_the_name_with_the_command),
		TEST(a_star_cancels_at_every_prompt),
		TEST(what_is_no_base64_is_broken),
		TEST(mechanisms_not_spoken_here_are_unknown),
		TEST(scram_speaks_as_in_rfc_7677),
		TEST(altered_final_messages_get_nowhere),
		TEST(malformed_first_messages_are_broken),
		TEST(unknown_users_look_like_known_ones),
		TEST(our_client_and_our_server_understand_each_other),
		TEST(a_proof_does_not_serve_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
