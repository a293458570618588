/* Hashes: SHA-256 at once and in pieces, the two old digests that protocols still name, and a fast
 * keyed hash.
 *
 * Any thread; a stream has one owner. */
#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "base/str.h"

#define HASH_SHA256_SIZE 32
#define HASH_SHA1_SIZE   20
#define HASH_MD5_SIZE    16

void hash_sha256(struct str s, uint8_t out[static HASH_SHA256_SIZE]);
/* Only where a protocol asks for it; never for anything of our own. */
void hash_sha1(struct str s, uint8_t out[static HASH_SHA1_SIZE]);
/* Likewise. RC_DENIED where OpenSSL's configuration (FIPS) forbids MD5. */
enum rc hash_md5(struct str s, uint8_t out[static HASH_MD5_SIZE]);

/* SHA-256 of what arrives in pieces. */
struct hash_stream {
	struct evp_md_ctx_st *ctx; /* NULL outside init .. done */
};

void hash_stream_init(struct hash_stream *h);
void hash_stream_add(struct hash_stream *h, struct str s);
/* The digest of everything added since init or the last call; the stream then begins anew. */
void hash_stream_end(struct hash_stream *h, uint8_t out[static HASH_SHA256_SIZE]);
/* Serves with AUTO; harmless on a zeroed stream. */
void hash_stream_done(struct hash_stream *h);

/* 64 bits that nobody without the key can predict or make collide on purpose (SipHash-2-4): for
 * tables that a peer could flood and for short-lived marks. Too short to authenticate what is
 * stored for long. */
struct hash_key {
	uint8_t k[16];
};

struct hash_key hash_key_random(void);
uint64_t hash_keyed(const struct hash_key *key, struct str s);
