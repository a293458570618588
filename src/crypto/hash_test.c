#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/hash.h"

#include <sodium.h>

#include "crypto/crypto.h"
#include "crypto/hmac.h"
#include "crypto/random.h"

static void
assert_hex(const uint8_t *got, size_t n, const char *want)
{
	char text[2 * HASH_SHA256_SIZE + 1];

	sodium_bin2hex(text, sizeof(text), got, n);
	assert_string_equal(text, want);
}

static struct str
fill(char *p, char c, size_t n)
{
	memset(p, c, n);
	return str_make(p, n);
}

static void
sha256_gives_the_published_digests(void **state)
{
	uint8_t out[HASH_SHA256_SIZE];

	(void)state;
	hash_sha256(STR("abc"), out);
	assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hash_sha256((struct str){ 0 }, out);
	assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void
old_digests_give_the_published_values(void **state)
{
	uint8_t sha1[HASH_SHA1_SIZE], md5[HASH_MD5_SIZE];

	(void)state;
	hash_sha1(STR("abc"), sha1);
	assert_hex(sha1, sizeof(sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
	assert_int_equal(hash_md5(STR("message digest"), md5), RC_OK);
	assert_hex(md5, sizeof(md5), "f96b697d7cb7938d525a2f31aaf161d0");
}

static void
a_stream_in_pieces_equals_one_call_and_begins_anew(void **state)
{
	AUTO(hash_stream_done) struct hash_stream h = { 0 };
	uint8_t out[HASH_SHA256_SIZE];

	(void)state;
	hash_stream_init(&h);
	for (int round = 0; round < 2; round++) {
		hash_stream_add(&h, STR("a"));
		hash_stream_add(&h, (struct str){ 0 });
		hash_stream_add(&h, STR("bc"));
		hash_stream_end(&h, out);
		assert_hex(
		    out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	}
}

static void
the_keyed_hash_depends_on_key_and_text(void **state)
{
	struct hash_key a = hash_key_random(), b = hash_key_random();

	(void)state;
	assert_true(hash_keyed(&a, STR("text")) == hash_keyed(&a, STR("text")));
	assert_true(hash_keyed(&a, STR("text")) != hash_keyed(&a, STR("texu")));
	assert_true(hash_keyed(&a, STR("text")) != hash_keyed(&b, STR("text")));
	assert_true(hash_keyed(&a, (struct str){ 0 }) == hash_keyed(&a, STR("")));
}

/* RFC 4231 section 4. */
static void
hmac_sha256_gives_the_values_of_rfc_4231(void **state)
{
	char kb[131], db[152], k4[25];
	uint8_t out[HASH_SHA256_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(k4); i++)
		k4[i] = (char)(i + 1);
	hmac_sha256(fill(kb, 0x0b, 20), STR("Hi There"), out);
	assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
	assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_sha256(fill(kb, '\xaa', 20), fill(db, '\xdd', 50), out);
	assert_hex(out, 32, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	hmac_sha256(str_make(k4, sizeof(k4)), fill(db, '\xcd', 50), out);
	assert_hex(out, 32, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
	hmac_sha256(fill(kb, '\xaa', 131),
	    STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
	assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hmac_sha256(fill(kb, '\xaa', 131),
	    STR("This is a test using a larger than block-size key and a larger than block-size "
		"data. The key needs to be hashed before being used by the HMAC algorithm."),
	    out);
	assert_hex(out, 32, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void
the_old_hmacs_give_the_values_of_rfc_2195_and_2202(void **state)
{
	uint8_t md5[HASH_MD5_SIZE], sha1[HASH_SHA1_SIZE];

	(void)state;
	assert_int_equal(hmac_md5(STR("tanstaaftanstaaf"),
			     STR("<1896.697170952@postoffice.reston.mci.net>"), md5),
	    RC_OK);
	assert_hex(md5, sizeof(md5), "b913a602c7eda7a495b4e6e7334d3890");
	hmac_sha1(STR("Jefe"), STR("what do ya want for nothing?"), sha1);
	assert_hex(sha1, sizeof(sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

static void
an_empty_hmac_key_is_a_key(void **state)
{
	uint8_t out[HASH_SHA256_SIZE];

	(void)state;
	hmac_sha256((struct str){ 0 }, (struct str){ 0 }, out);
	assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void
random_below_stays_below_and_reaches_every_value(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		uint64_t v = random_below(5);
		assert_true(v < 5);
		seen |= 1u << v;
	}
	assert_int_equal(seen, 0x1f);
	assert_true(random_below(1) == 0);
	assert_true(random_u64() != random_u64());
}

static void
starting_twice_is_harmless(void **state)
{
	(void)state;
	assert_int_equal(crypto_start(NULL), RC_OK);
	assert_int_equal(crypto_start(NULL), RC_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starting_twice_is_harmless),
		cmocka_unit_test(sha256_gives_the_published_digests),
		cmocka_unit_test(old_digests_give_the_published_values),
		cmocka_unit_test(a_stream_in_pieces_equals_one_call_and_begins_anew),
		cmocka_unit_test(the_keyed_hash_depends_on_key_and_text),
		cmocka_unit_test(hmac_sha256_gives_the_values_of_rfc_4231),
		cmocka_unit_test(the_old_hmacs_give_the_values_of_rfc_2195_and_2202),
		cmocka_unit_test(an_empty_hmac_key_is_a_key),
		cmocka_unit_test(random_below_stays_below_and_reaches_every_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
