/* Secrets are drawn symbol by symbol, which needs no big numbers: 32 symbols of 5 bits, and 43 of
 * the 62 letters and digits, since 62^43 > 2^256.
 *
 * A public id is deterministic authenticated encryption of one 64-bit number in the manner of SIV
 * (RFC 5297): tag = the first 58 bits of SipHash-128(k1, row); body = row xor SipHash-64(k2, tag).
 * The tag is both proof and nonce: equal rows give equal ids, different rows a fresh pad. Layout of
 * the 128 bits, by RFC 9562:
 *
 *     48 tag | 0b1000 version | 10 tag, 2 body | 0b10 variant | 62 body */
#include "crypto/token.h"

#include <sodium.h>

#include "base/check.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"
#include "crypto/random.h"

static const char base32[] = "0123456789abcdefghjkmnpqrstvwxyz";
static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static_assert(sizeof(base32) == 32 + 1, "five bits a symbol");
static_assert(sizeof(base62) == 62 + 1, "letters and digits");

#define LOW62 (UINT64_C(0x3fffffffffffffff))

void
token_secret(char out[static TOKEN_SECRET_SIZE])
{
	uint8_t bits[32];
	char *p = out;

	random_bytes(bits, sizeof(bits));
	for (size_t i = 0; i < sizeof(bits); i++) {
		if (i != 0 && i % 4 == 0)
			*p++ = '-';
		*p++ = base32[bits[i] & 31];
	}
	*p = '\0';
	ASSERT(p == out + TOKEN_SECRET_SIZE - 1);
	mem_wipe(bits, sizeof(bits));
}

void
token_api_key(char out[static TOKEN_API_KEY_SIZE])
{
	memcpy(out, "ph_", 3);
	for (size_t i = 3; i < TOKEN_API_KEY_SIZE - 1; i++)
		out[i] = base62[random_below(62)];
	out[TOKEN_API_KEY_SIZE - 1] = '\0';
}

bool
token_is_api_key(struct str s)
{
	if (s.n != TOKEN_API_KEY_SIZE - 1 || !str_starts(s, STR("ph_")))
		return false;
	for (size_t i = 3; i < s.n; i++) {
		if (!ascii_is_alnum(s.p[i]))
			return false;
	}
	return true;
}

bool
token_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}

struct token_key
token_key_derive(const uint8_t master[static 32], struct str purpose)
{
	struct token_key key;

	static_assert(sizeof(key.k) == HASH_SHA256_SIZE, "one HMAC fills the key");
	hmac_sha256(str_make((const char *)master, 32), purpose, key.k);
	return key;
}

static void
put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t
get_be64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* The 58 bits that prove `row`. */
static uint64_t
tag_of(const struct token_key *key, uint64_t row)
{
	uint8_t in[8], out[crypto_shorthash_siphashx24_BYTES];

	put_be64(in, row);
	crypto_shorthash_siphashx24(out, in, sizeof(in), key->k);
	return get_be64(out) >> 6;
}

static uint64_t
pad_of(const struct token_key *key, uint64_t tag)
{
	uint8_t in[8], out[crypto_shorthash_BYTES];

	put_be64(in, tag);
	crypto_shorthash(out, in, sizeof(in), key->k + 16);
	return get_be64(out);
}

void
token_public_id(const struct token_key *key, uint64_t row, char out[static TOKEN_PUBLIC_ID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t id[16];
	uint64_t tag = tag_of(key, row);
	uint64_t body = row ^ pad_of(key, tag);
	uint64_t head = tag << 2 | body >> 62; /* 60 bits */

	put_be64(id, head >> 12 << 16 | UINT64_C(0x8000) | (head & 0xfff));
	put_be64(id + 8, UINT64_C(1) << 63 | (body & LOW62));
	for (size_t i = 0; i < sizeof(id); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = hex[id[i] >> 4];
		*out++ = hex[id[i] & 15];
	}
	*out = '\0';
}

static int
hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
uuid_parse(struct str s, uint8_t id[static 16])
{
	size_t at = 0;

	if (s.n != TOKEN_PUBLIC_ID_SIZE - 1)
		return false;
	for (size_t i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && s.p[at++] != '-')
			return false;
		int hi = hex_digit(s.p[at++]);
		int lo = hex_digit(s.p[at++]);
		if (hi < 0 || lo < 0)
			return false;
		id[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

enum rc
token_public_id_parse(const struct token_key *key, struct str s, uint64_t *row_out)
{
	uint8_t id[16];

	if (!uuid_parse(s, id))
		return RC_INVALID;
	uint64_t hi = get_be64(id), lo = get_be64(id + 8);
	if ((hi >> 12 & 0xf) != 8 || lo >> 62 != 2)
		return RC_NOT_FOUND;
	uint64_t head = hi >> 16 << 12 | (hi & 0xfff);
	uint64_t tag = head >> 2;
	uint64_t row = ((head & 3) << 62 | (lo & LOW62)) ^ pad_of(key, tag);
	uint64_t want = tag_of(key, row);
	if (sodium_memcmp(&want, &tag, sizeof(tag)) != 0)
		return RC_NOT_FOUND;
	*row_out = row;
	return RC_OK;
}
