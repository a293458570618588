/* Tokens: secrets made for people and programs, their comparison, and the public ids of rows.
 *
 * A generated secret has 160 bits, an API key 256: no dictionary reaches them, so a fast salted
 * hash is enough to store them (crypto/password.h). Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/str.h"

/* 160 random bits in base32 without look-alikes (no i, l, o, u), eight groups of four joined by
 * dashes, such as "7k2m-...": short enough to read out. Lower case. The dashes belong to the
 * secret: SCRAM clients hash what was typed, so no other spelling can be accepted. NUL-terminated.
 */
#define TOKEN_SECRET_SIZE 40
void token_secret(char out[static TOKEN_SECRET_SIZE]);

/* "ph_" and 43 letters and digits that carry 256 random bits. NUL-terminated. */
#define TOKEN_API_KEY_SIZE 47
void token_api_key(char out[static TOKEN_API_KEY_SIZE]);
/* Whether `s` has an API key's form, so that others need no look-up. */
bool token_is_api_key(struct str s);

/* Equality in a time that tells nothing about where two secrets differ; it may tell that lengths
 * do. */
bool token_equal(struct str a, struct str b);

/* Public ids. The id of a row, outside, is a UUID (version 8, RFC 9562 section 5.8) that carries
 * the 64-bit row id itself, enciphered, and 58 bits of a keyed MAC: it is turned back into the row
 * id by computing, so no index of random ids exists, and it shows neither how many rows there are
 * nor lets a caller make up another's. One key for each noun (message, domain ...): the same row
 * number of two nouns gives unrelated ids. */
struct token_key {
	uint8_t k[32];
};

/* The key for `purpose` under the installation's master key of 32 bytes. */
struct token_key token_key_derive(const uint8_t master[static 32], struct str purpose);

/* Lower-case text of 36 characters, NUL-terminated. The same row and key always give the same id.
 */
#define TOKEN_PUBLIC_ID_SIZE 37
void token_public_id(
    const struct token_key *key, uint64_t row, char out[static TOKEN_PUBLIC_ID_SIZE]);
/* The row behind an id; letters of either case. RC_INVALID when `s` is no UUID; RC_NOT_FOUND when
 * it is one that this key never made (a forgery passes with a chance of 2^-58). */
enum rc token_public_id_parse(const struct token_key *key, struct str s, uint64_t *row_out);
