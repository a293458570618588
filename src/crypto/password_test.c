#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/password.h"

#include "base/buf.h"
#include "crypto/crypto.h"
#include "crypto/password_cache.h"
#include "crypto/token.h"

static int
set_up(void **state)
{
	(void)state;
	return crypto_start(NULL) == RC_OK ? 0 : -1;
}

static void
a_chosen_password_is_known_again(void **state)
{
	struct password_verifier v;

	(void)state;
	assert_int_equal(password_make(STR("correct horse"), PASSWORD_CHOSEN, false, &v), RC_OK);
	assert_int_equal(v.scram.iterations, 0);
	assert_int_equal(password_check(&v, STR("correct horse")), RC_OK);
	assert_int_equal(password_check(&v, STR("correct horsf")), RC_DENIED);
	assert_int_equal(password_check(&v, STR("")), RC_DENIED);
	assert_false(password_needs_rehash(&v));
}

static void
a_generated_secret_is_known_again(void **state)
{
	struct password_verifier v, w;
	char secret[TOKEN_SECRET_SIZE];

	(void)state;
	token_secret(secret);
	assert_int_equal(password_make(str_from(secret), PASSWORD_GENERATED, true, &v), RC_OK);
	assert_int_equal(password_make(str_from(secret), PASSWORD_GENERATED, true, &w), RC_OK);
	assert_int_equal(password_check(&v, str_from(secret)), RC_OK);
	assert_int_equal(password_check(&v, str_make(secret, strlen(secret) - 1)), RC_DENIED);
	assert_memory_not_equal(v.digest, w.digest, sizeof(v.digest)); /* salted */
	assert_false(password_needs_rehash(&v));
}

static void
the_text_form_holds_everything(void **state)
{
	(void)state;
	for (int round = 0; round < 4; round++) {
		AUTO(buf_done) struct buf text = { 0 }, again = { 0 };
		struct password_verifier v, w;
		enum password_kind kind = (round & 1) != 0 ? PASSWORD_CHOSEN : PASSWORD_GENERATED;

		buf_init(&text, PASSWORD_TEXT_MAX);
		buf_init(&again, PASSWORD_TEXT_MAX);
		assert_int_equal(password_make(STR("pencil"), kind, (round & 2) != 0, &v), RC_OK);
		password_format(&v, &text);
		assert_true(buf_is_ok(&text));
		assert_int_equal(password_parse(buf_str(&text), &w), RC_OK);
		assert_memory_equal(&v.scram, &w.scram, sizeof(v.scram));
		password_format(&w, &again);
		assert_true(str_eq(buf_str(&text), buf_str(&again)));
		assert_int_equal(password_check(&w, STR("pencil")), RC_OK);
		assert_int_equal(password_check(&w, STR("pencim")), RC_DENIED);
	}
}

#define H16 "00112233445566778899aabbccddeeff"
#define H32 H16 H16

static void
a_damaged_text_form_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"1;",
		"2;sha256:" H16 ":" H32,
		"1;sha256:" H16,
		"1;sha256:" H16 ":" H16,
		"1;sha256:" H16 ":" H32 ":",
		"1;sha256:" H16 ":" H32 ";",
		"1;sha256:" H16 ":" H32 ";scram-sha-256:4096:" H16 ":" H32,
		"1;sha256:" H16 ":" H32 ";scram-sha-256:4095:" H16 ":" H32 ":" H32,
		"1;sha256:" H16 ":" H32 ";scram-sha-256:1000001:" H16 ":" H32 ":" H32,
		"1;sha256:" H16 ":" H32 ";scram-sha-256:4096:" H16 ":" H32 ":" H32 ";x",
		"1;sha256:" H16 ":" H32 ";sha256:" H16 ":" H32,
		"1;sha256:zz112233445566778899aabbccddeeff:" H32,
		"1;md5:" H16 ":" H32,
		"1;argon2id:$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
		"1;argon2id:$argon2id$v=19$m=65536,t=99,p=1$c2FsdHNhbHQ$aGFzaA",
		"1;argon2id:$argon2id$v=19$m=65536,t=2,p=9$c2FsdHNhbHQ$aGFzaA",
		"1;argon2id:$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$",
		"1;argon2id:$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFz$aA",
		"1;argon2id:$argon2i$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
	};
	struct password_verifier v;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (password_parse(str_from(bad[i]), &v) != RC_INVALID)
			fail_msg("accepted: %s", bad[i]);
	}
	assert_int_equal(password_parse(STR("1;sha256:" H16 ":" H32), &v), RC_OK);
	assert_int_equal(
	    password_parse(STR("1;argon2id:$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$aGFzaA"), &v),
	    RC_OK);
}

static void
weaker_settings_ask_for_a_new_verifier(void **state)
{
	struct password_verifier v;

	(void)state;
	assert_int_equal(
	    password_parse(STR("1;argon2id:$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
			       "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"),
		&v),
	    RC_OK);
	assert_true(password_needs_rehash(&v));
	assert_int_equal(
	    password_parse(
		STR("1;sha256:" H16 ":" H32 ";scram-sha-256:4096:" H16 ":" H32 ":" H32), &v),
	    RC_OK);
	assert_true(password_needs_rehash(&v));
}

static void
unusable_secrets_are_refused(void **state)
{
	static const char zeros[PASSWORD_MAX + 1];
	static char letters[PASSWORD_MAX + 1];
	struct password_verifier v;

	(void)state;
	memset(letters, 'a', sizeof(letters));
	assert_int_equal(password_make(STR(""), PASSWORD_GENERATED, true, &v), RC_INVALID);
	assert_int_equal(password_make(STR("a\nb"), PASSWORD_GENERATED, true, &v), RC_INVALID);
	assert_int_equal(password_make(STR("a\x7f"), PASSWORD_GENERATED, true, &v), RC_INVALID);
	assert_int_equal(password_make(STR("a\xc2\x85"), PASSWORD_GENERATED, true, &v), RC_INVALID);
	assert_int_equal(
	    password_make(str_make(zeros, 3), PASSWORD_GENERATED, true, &v), RC_INVALID);
	assert_int_equal(
	    password_make(str_make(letters, PASSWORD_MAX + 1), PASSWORD_GENERATED, false, &v),
	    RC_INVALID);
	assert_int_equal(
	    password_make(str_make(letters, PASSWORD_MAX), PASSWORD_GENERATED, false, &v), RC_OK);
	assert_int_equal(
	    password_make(STR("\xe5\xaf\x86\xe7\xa0\x81"), PASSWORD_GENERATED, true, &v), RC_OK);
}

/* RFC 7677 section 3. */
static void
scram_gives_the_values_of_rfc_7677(void **state)
{
	static const char salt[] =
	    "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
	static const char proof[] =
	    "\x74\x7c\xdb\x65\xaa\x56\x22\x4e\x23\x52\x13\x7e\x52\xd7\xbd\xca"
	    "\xd6\xa0\xf7\x38\xdf\x30\x78\x2c\xaa\x69\xa2\xcf\xb0\x27\x75\x54";
	static const char signature[] =
	    "\xea\xba\xe2\x4d\x10\x62\xdb\x75\xa9\x45\x1f\xf0\xb6\xea\x7e\x98"
	    "\xc8\x54\x65\x49\xff\x74\x1e\x67\x2d\x32\x51\xb2\x39\x7d\xe4\x6e";
	struct str auth = STR("n=user,r=rOprNGfwEbeRWgbNEkqO,"
			      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			      "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
			      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
	uint8_t salted[SCRAM_KEY_SIZE], server_key[SCRAM_KEY_SIZE], out[SCRAM_KEY_SIZE];

	(void)state;
	scram_salt_password(STR("pencil"), str_make(salt, 16), 4096, salted);
	scram_client_proof(salted, auth, out);
	assert_memory_equal(out, proof, sizeof(out));
	scram_server_key(salted, server_key);
	scram_server_signature(server_key, auth, out);
	assert_memory_equal(out, signature, sizeof(out));
}

static void
scram_keys_accept_the_right_proof_only(void **state)
{
	struct scram_keys keys;
	uint8_t salted[SCRAM_KEY_SIZE], proof[SCRAM_KEY_SIZE];
	struct str auth = STR("n=a,r=b,r=bc,s=d,i=4096,c=biws,r=bc");

	(void)state;
	scram_keys_make(STR("pencil"), 4096, &keys);
	scram_salt_password(STR("pencil"), str_make((const char *)keys.salt, 16), 4096, salted);
	scram_client_proof(salted, auth, proof);
	assert_true(scram_keys_match(&keys, auth, proof));
	assert_false(scram_keys_match(&keys, STR("other"), proof));
	proof[31] ^= 1;
	assert_false(scram_keys_match(&keys, auth, proof));
}

static struct password_verifier
verifier_of(struct str secret)
{
	struct password_verifier v;

	assert_int_equal(password_make(secret, PASSWORD_GENERATED, false, &v), RC_OK);
	return v;
}

static void
the_cache_knows_exactly_what_was_added(void **state)
{
	AUTO(password_cache_free) struct password_cache *c = password_cache_new(10, 100);
	struct password_verifier v = verifier_of(STR("s")), renewed = verifier_of(STR("s"));

	(void)state;
	assert_false(password_cache_has(c, STR("u"), &v, STR("s"), 0));
	password_cache_add(c, STR("u"), &v, STR("s"), 0);
	assert_true(password_cache_has(c, STR("u"), &v, STR("s"), 0));
	assert_false(password_cache_has(c, STR("u"), &v, STR("t"), 0));
	assert_false(password_cache_has(c, STR("w"), &v, STR("s"), 0));
	assert_false(password_cache_has(c, STR("us"), &v, STR(""), 0));
	assert_false(password_cache_has(c, STR("u"), &renewed, STR("s"), 0));
}

static void
the_cache_forgets_in_time(void **state)
{
	AUTO(password_cache_free) struct password_cache *c = password_cache_new(10, 100);
	struct password_verifier v = verifier_of(STR("s"));

	(void)state;
	password_cache_add(c, STR("u"), &v, STR("s"), 1000);
	assert_true(password_cache_has(c, STR("u"), &v, STR("s"), 1099));
	assert_false(password_cache_has(c, STR("u"), &v, STR("s"), 1100));
	password_cache_add(c, STR("u"), &v, STR("s"), 2000);
	password_cache_add(c, STR("u"), &v, STR("s"), 2050); /* added again: lives anew */
	assert_true(password_cache_has(c, STR("u"), &v, STR("s"), 2149));
	assert_false(password_cache_has(c, STR("u"), &v, STR("s"), 2150));
}

static void
the_cache_drops_the_oldest_when_full(void **state)
{
	AUTO(password_cache_free) struct password_cache *c = password_cache_new(2, 100);
	struct password_verifier v = verifier_of(STR("s"));

	(void)state;
	password_cache_add(c, STR("a"), &v, STR("s"), 0);
	password_cache_add(c, STR("b"), &v, STR("s"), 1);
	password_cache_add(c, STR("c"), &v, STR("s"), 2);
	assert_false(password_cache_has(c, STR("a"), &v, STR("s"), 3));
	assert_true(password_cache_has(c, STR("b"), &v, STR("s"), 3));
	assert_true(password_cache_has(c, STR("c"), &v, STR("s"), 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chosen_password_is_known_again),
		cmocka_unit_test(a_generated_secret_is_known_again),
		cmocka_unit_test(the_text_form_holds_everything),
		cmocka_unit_test(a_damaged_text_form_is_refused),
		cmocka_unit_test(weaker_settings_ask_for_a_new_verifier),
		cmocka_unit_test(unusable_secrets_are_refused),
		cmocka_unit_test(scram_gives_the_values_of_rfc_7677),
		cmocka_unit_test(scram_keys_accept_the_right_proof_only),
		cmocka_unit_test(the_cache_knows_exactly_what_was_added),
		cmocka_unit_test(the_cache_forgets_in_time),
		cmocka_unit_test(the_cache_drops_the_oldest_when_full),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
