/* Keyed message authentication, RFC 2104. Keys of any length. Any thread. */
#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "base/str.h"
#include "crypto/hash.h"

void hmac_sha256(struct str key, struct str data, uint8_t out[static HASH_SHA256_SIZE]);
void hmac_sha1(struct str key, struct str data, uint8_t out[static HASH_SHA1_SIZE]);
/* For CRAM-MD5 (RFC 2195) only. RC_DENIED where OpenSSL's configuration (FIPS) forbids MD5. */
enum rc hmac_md5(struct str key, struct str data, uint8_t out[static HASH_MD5_SIZE]);
