/* Cryptography: hashes, tokens, sealing, passwords, SCRAM and a first certificate.
 *
 * The algorithms are OpenSSL's and libsodium's; what stands here is the choice among them, their
 * use without failure paths where there can be none, and the formats that Posthouse stores. Both
 * libraries are fenced to this folder (OpenSSL's TLS also to net/).
 *
 * Names here begin with the file's name alone (`hash_`, `seal_`): the prefix `crypto_` belongs to
 * libsodium. */
#pragma once

#include "base/rc.h"

struct fault;

/* Readies both libraries and tries the one digest that everything rests on. Call once at start,
 * before threads; more calls are harmless. RC_IO when the machine has no usable random source or
 * OpenSSL's configuration hides SHA-256: the process cannot go on. */
enum rc crypto_start(struct fault *f);
