/* The start of both libraries. OpenSSL initialises itself at first use; asking it for a digest here
 * turns a broken openssl.cnf into a sentence at start instead of an assertion at the first message.
 */
#include "crypto/crypto.h"

#include <sodium.h>

#include "base/fault.h"
#include "crypto/private.h"

enum rc
crypto_start(struct fault *f)
{
	if (sodium_init() < 0)
		return fault_set(
		    f, RC_IO, "no usable source of random numbers (getrandom, /dev/urandom)");
	if (hash_digest(HASH_SHA256) == NULL || hash_digest(HASH_SHA1) == NULL)
		return fault_set(f, RC_IO, "OpenSSL offers no SHA-256 or SHA-1; check openssl.cnf");
	return RC_OK;
}
