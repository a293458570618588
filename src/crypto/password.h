/* Passwords as they are kept: verifiers, from which nobody gets the password back.
 *
 * Two kinds of secret, two costs. One that a person chose is guessable, so its verifier is Argon2id
 * (64 MB, about a tenth of a second). One that Posthouse generated has 160 random bits, so a salted
 * SHA-256 is as safe and checked in a microsecond. Beside either stand SCRAM keys where the
 * credential may use SCRAM. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/str.h"
#include "crypto/scram.h"

struct buf;

/* Longest secret that is looked at. */
#define PASSWORD_MAX              1024
/* Longest text form. */
#define PASSWORD_TEXT_MAX         512
/* Iterations of every credential's SCRAM keys. One figure for all, so that the answer given for an
 * unknown user looks like that for a known one. */
#define PASSWORD_SCRAM_ITERATIONS 20000

enum password_kind {
	PASSWORD_CHOSEN,    /* by a person: Argon2id */
	PASSWORD_GENERATED, /* by token_secret(): salted SHA-256 */
};

#define PASSWORD_ARGON2_SIZE 128
#define PASSWORD_SALT_SIZE   16

struct password_verifier {
	enum password_kind kind;
	char argon2[PASSWORD_ARGON2_SIZE]; /* CHOSEN: "$argon2id$...", NUL-terminated */
	uint8_t salt[PASSWORD_SALT_SIZE];  /* GENERATED */
	uint8_t digest[HASH_SHA256_SIZE];  /* GENERATED: of salt and secret */
	struct scram_keys scram;           /* iterations == 0: none */
};

/* Makes the verifier of a new secret; about 0.1 s for CHOSEN, and some milliseconds more with
 * SCRAM. SCRAM keys of a chosen password can be guessed at for less than its Argon2id costs; that
 * is the price of offering SCRAM for it. RC_INVALID: empty, over PASSWORD_MAX, or with control
 * characters; RC_AGAIN: not enough memory just now. */
enum rc password_make(
    struct str secret, enum password_kind kind, bool with_scram, struct password_verifier *out);

/* RC_OK: the secret is right; RC_DENIED: it is not; RC_AGAIN: not enough memory for Argon2id just
 * now, which says nothing about the secret. Constant time but for the length. CHOSEN blocks: use
 * the pool. */
enum rc password_check(const struct password_verifier *v, struct str secret);

/* Spends the time of password_check for a CHOSEN verifier on nothing: for user names that do not
 * exist, so that the time of an answer does not tell who does. */
void password_check_nobody(struct str secret);

/* Whether the verifier was made with weaker settings than today's; after the next successful check,
 * make it anew. */
bool password_needs_rehash(const struct password_verifier *v);

/* The text form that is stored: one line of printable ASCII, no blanks, at most PASSWORD_TEXT_MAX.
 */
void password_format(const struct password_verifier *v, struct buf *out);
/* RC_INVALID: not what password_format writes, or with settings that would cost unreasonable time
 * or memory. */
enum rc password_parse(struct str text, struct password_verifier *out);
