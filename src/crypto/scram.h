/* SCRAM-SHA-256: the arithmetic of RFC 5802 and RFC 7677, for both sides. The messages themselves
 * are built and read by smtp/sasl_client and smtp/sasl_server.
 *
 * Passwords should go through SASLprep (RFC 4013) first. Here that is reduced to refusing control
 * characters; NFKC is not applied, so a password with characters that Unicode can write in two ways
 * works only as typed when it was set. Pure ASCII passwords, and all generated ones, are
 * unaffected. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/str.h"
#include "crypto/hash.h"

#define SCRAM_KEY_SIZE       HASH_SHA256_SIZE
#define SCRAM_SALT_SIZE      16 /* of salts made here */
#define SCRAM_SALT_MAX       255

/* Bounds on another side's iteration count: RFC 7677 sets the floor; the ceiling keeps a hostile
 * server from holding a thread for more than about half a second. */
#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 1000000

/* What a server keeps instead of the password (RFC 5802 section 3). Secret all the same: with it a
 * server can be impersonated and the password guessed at. */
struct scram_keys {
	uint32_t iterations; /* 0: no keys */
	uint8_t salt[SCRAM_SALT_SIZE];
	uint8_t stored_key[SCRAM_KEY_SIZE];
	uint8_t server_key[SCRAM_KEY_SIZE];
};

/* RC_INVALID when a password holds control characters and so cannot be used with SCRAM. */
enum rc scram_check_password(struct str password);

/* SaltedPassword := Hi(password, salt, iterations): the costly step, `iterations` hashes. Both were
 * checked by the caller: 1 <= salt.n <= SCRAM_SALT_MAX, 1 <= iterations <= SCRAM_ITERATIONS_MAX. */
void scram_salt_password(struct str password, struct str salt, uint32_t iterations,
    uint8_t salted_out[static SCRAM_KEY_SIZE]);

/* Client: the proof to send, and what the server must sign with to show that it knows the password
 * too. */
void scram_client_proof(const uint8_t salted[static SCRAM_KEY_SIZE], struct str auth_message,
    uint8_t proof_out[static SCRAM_KEY_SIZE]);
void scram_server_key(
    const uint8_t salted[static SCRAM_KEY_SIZE], uint8_t server_key_out[static SCRAM_KEY_SIZE]);

/* Server: keys for a new password, with a random salt, or with a given one. */
void scram_keys_make(struct str password, uint32_t iterations, struct scram_keys *out);
void scram_keys_derive(struct str password, const uint8_t salt[static SCRAM_SALT_SIZE],
    uint32_t iterations, struct scram_keys *out);
/* Whether `proof` comes from somebody who knows the password; constant time. */
bool scram_keys_match(const struct scram_keys *keys, struct str auth_message,
    const uint8_t proof[static SCRAM_KEY_SIZE]);

/* Both: ServerSignature := HMAC(server_key, auth_message). */
void scram_server_signature(const uint8_t server_key[static SCRAM_KEY_SIZE],
    struct str auth_message, uint8_t signature_out[static SCRAM_KEY_SIZE]);

/* Takes the attribute `letter=value` and the comma behind it off the front of a message (RFC 5802
 * section 5.1). False, and nothing taken, when something else stands there. */
bool scram_cut(struct str *rest, char letter, struct str *value_out);
