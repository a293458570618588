/* Digests through OpenSSL, which uses the processor's SHA instructions; SipHash through libsodium.
 *
 * With the digest fetched beforehand, a call can fail for no reason but lack of memory or a bug, so
 * SHA-256 and SHA-1 have no failure path: crypto_start has refused an OpenSSL without them. */
#include "crypto/hash.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <threads.h>

#include "base/check.h"
#include "crypto/private.h"
#include "crypto/random.h"

static once_flag once = ONCE_FLAG_INIT;
static EVP_MD *digests[HASH_KIND_COUNT];

static void
fetch_all(void)
{
	digests[HASH_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
	digests[HASH_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
	digests[HASH_MD5] = EVP_MD_fetch(NULL, "MD5", NULL);
}

const struct evp_md_st *
hash_digest(enum hash_kind kind)
{
	call_once(&once, fetch_all);
	return digests[kind];
}

static void
digest(enum hash_kind kind, struct str s, uint8_t *out)
{
	int ok = EVP_Digest(s.p, s.n, out, NULL, hash_digest(kind), NULL);

	ASSERT(ok == 1);
}

void
hash_sha256(struct str s, uint8_t out[static HASH_SHA256_SIZE])
{
	digest(HASH_SHA256, s, out);
}

void
hash_sha1(struct str s, uint8_t out[static HASH_SHA1_SIZE])
{
	digest(HASH_SHA1, s, out);
}

enum rc
hash_md5(struct str s, uint8_t out[static HASH_MD5_SIZE])
{
	if (hash_digest(HASH_MD5) == NULL)
		return RC_DENIED;
	digest(HASH_MD5, s, out);
	return RC_OK;
}

static void
stream_begin(struct hash_stream *h)
{
	int ok = EVP_DigestInit_ex2(h->ctx, hash_digest(HASH_SHA256), NULL);

	ASSERT(ok == 1);
}

void
hash_stream_init(struct hash_stream *h)
{
	h->ctx = EVP_MD_CTX_new();
	ASSERT(h->ctx != NULL);
	stream_begin(h);
}

void
hash_stream_add(struct hash_stream *h, struct str s)
{
	int ok = EVP_DigestUpdate(h->ctx, s.p, s.n);

	ASSERT(ok == 1);
}

void
hash_stream_end(struct hash_stream *h, uint8_t out[static HASH_SHA256_SIZE])
{
	int ok = EVP_DigestFinal_ex(h->ctx, out, NULL);

	ASSERT(ok == 1);
	stream_begin(h);
}

void
hash_stream_done(struct hash_stream *h)
{
	EVP_MD_CTX_free(h->ctx);
	h->ctx = NULL;
}

struct hash_key
hash_key_random(void)
{
	struct hash_key key;

	random_bytes(key.k, sizeof(key.k));
	return key;
}

uint64_t
hash_keyed(const struct hash_key *key, struct str s)
{
	uint64_t out;

	static_assert(sizeof(out) == crypto_shorthash_BYTES, "SipHash gives 64 bits");
	static_assert(sizeof(key->k) == crypto_shorthash_KEYBYTES, "SipHash takes 128 bits");
	/* Read in the machine's byte order: the value never leaves the process. */
	crypto_shorthash((uint8_t *)&out, (const uint8_t *)s.p, s.n, key->k);
	return out;
}
