/* OpenSSL's one-call HMAC over digests fetched once. A call can fail only for lack of memory. */
#include "crypto/hmac.h"

#include <limits.h>
#include <openssl/hmac.h>

#include "base/check.h"
#include "crypto/private.h"

static void
mac(enum hash_kind kind, struct str key, struct str data, uint8_t *out)
{
	/* An empty key may have no address, which OpenSSL would take for "the same key as before".
	 */
	const void *k = key.n != 0 ? key.p : "";

	ASSERT(key.n <= INT_MAX);
	const uint8_t *got =
	    HMAC(hash_digest(kind), k, (int)key.n, (const uint8_t *)data.p, data.n, out, NULL);
	ASSERT(got != NULL);
}

void
hmac_sha256(struct str key, struct str data, uint8_t out[static HASH_SHA256_SIZE])
{
	mac(HASH_SHA256, key, data, out);
}

void
hmac_sha1(struct str key, struct str data, uint8_t out[static HASH_SHA1_SIZE])
{
	mac(HASH_SHA1, key, data, out);
}

enum rc
hmac_md5(struct str key, struct str data, uint8_t out[static HASH_MD5_SIZE])
{
	if (hash_digest(HASH_MD5) == NULL)
		return RC_DENIED;
	mac(HASH_MD5, key, data, out);
	return RC_OK;
}
