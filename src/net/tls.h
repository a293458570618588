/* TLS: contexts that are made once and shared, and what is known after a handshake.
 *
 * A context is immutable and counted by reference across threads; a new certificate is a new
 * context that its owner swaps in, while connections keep the one they began with. TLS 1.2 and 1.3.
 * A client always verifies: the chain against its certificate authorities and the name of the peer
 * (RFC 6125); there is no way to ask for less and nothing falls back.
 *
 * A tls_cache holds sessions to resume, for one loop. What it may resume is decided by context,
 * name and key together, so a resumed session never skips a check that a full handshake would have
 * made. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"

struct tls_ctx;
struct tls_cache;

/* A server's context from PEM files: `cert_file` holds the certificate and its chain. RC_TLS with a
 * fault that names the file when one cannot be read or they do not belong together. Session tickets
 * are on, their keys live and die with the context. */
enum rc tls_ctx_new_server(
    const char *cert_file, const char *key_file, struct tls_ctx **out, struct fault *f);
/* A client's context: trusts the system's certificate authorities, or, when `ca_file` is not NULL,
 * those in that PEM file and no others. Reading the system's takes 20 ms: make it once. */
enum rc tls_ctx_new_client(const char *ca_file, struct tls_ctx **out, struct fault *f);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx);
/* Takes NULL, nulls the pointer. */
void tls_ctx_unref(struct tls_ctx **cp);
bool tls_ctx_is_server(const struct tls_ctx *ctx);

/* Holds at most `max_sessions`, the least recently used leave first. One loop; outlives the
 * connections that use it. */
struct tls_cache *tls_cache_new(size_t max_sessions);
void tls_cache_free(struct tls_cache **cp);
size_t tls_cache_count(const struct tls_cache *cache);

/* Whom a client talks to. Copied by the call that takes it. */
struct tls_peer {
	struct str name; /* host name or IP literal that the certificate must be for; sent as SNI */
	struct tls_cache *cache; /* NULL: never resume */
	struct str key;          /* what sets sessions apart beside the name, such as "host:port" */
};

/* Why a certificate was refused, as far as somebody can do something about it. */
enum tls_refusal {
	TLS_REFUSAL_NONE,
	TLS_REFUSAL_NAME, /* it is for another name */
	TLS_REFUSAL_EXPIRED,
	TLS_REFUSAL_NOT_YET,     /* valid from later on: a clock is wrong, here or there */
	TLS_REFUSAL_SELF_SIGNED, /* by itself, or its chain ends in an authority nobody knows */
	TLS_REFUSAL_ISSUER,      /* who signed it is unknown, or was not sent along */
	TLS_REFUSAL_OTHER,
};

/* What a handshake found out; strings are NUL-terminated, empty where unknown. */
struct tls_facts {
	char version[16]; /* "TLSv1.3" */
	char cipher[64];  /* "TLS_AES_256_GCM_SHA384" */
	bool is_resumed;
	bool is_verified;  /* client: chain and name were checked and are right */
	bool has_cert;     /* the peer showed a certificate; the rest is about it */
	char subject[256]; /* RFC 2253 */
	char issuer[256];
	char names[512];       /* DNS names it is for, comma-separated */
	int64_t not_before_us; /* wall clock */
	int64_t not_after_us;
	uint8_t sha256[32];     /* of the whole certificate (DER) */
	char verify_error[160]; /* in words, when it was refused */
	enum tls_refusal refusal;
	char refused_issuer[256]; /* who is said to have signed the certificate that was refused,
				     which may be one further up the chain */
};
