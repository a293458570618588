/* Sealing: small secrets encrypted and authenticated for keeping in the database, with a key kept
 * outside it.
 *
 * A sealed secret is bound to its associated data, such as "relay 7 version 3 secret": moved to
 * another row it does not open. XChaCha20-Poly1305 with a random nonce; the form carries a version,
 * so that a later algorithm can live beside this one. Any thread. */
#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "base/str.h"

struct buf;
struct fault;

#define SEAL_KEY_SIZE   32
#define SEAL_SECRET_MAX 65536
/* What sealing adds to a secret: version, key mark, nonce, authenticator. */
#define SEAL_OVERHEAD   (1 + 4 + 24 + 16)

struct seal_key {
	uint8_t k[SEAL_KEY_SIZE];
};

/* Reads the key file at `path` or, when there is none, makes one with a fresh key (mode 0600,
 * atomically, synced). The file is one line of 64 hexadecimal digits. Whoever loses it loses every
 * sealed secret. RC_DENIED: other users may read it; RC_INVALID: it holds no key; RC_IO. */
enum rc seal_key_load(const char *path, struct seal_key *out, struct fault *f);
void seal_key_wipe(struct seal_key *key);

/* Appends the sealed form, `secret.n + SEAL_OVERHEAD` bytes, to `out`. RC_LIMIT: the secret is over
 * SEAL_SECRET_MAX or `out` is full. */
enum rc seal_close(
    const struct seal_key *key, struct str secret, struct str associated, struct buf *out);
/* Appends the secret to `out`, which the caller wipes. RC_NOT_FOUND: sealed with another key;
 * RC_INVALID: altered, cut short, bound to other data or of an unknown version; RC_LIMIT: `out` is
 * full. */
enum rc seal_open(const struct seal_key *key, struct str sealed, struct str associated,
    struct buf *out, struct fault *f);
