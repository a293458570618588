/* Authentication of a client: the server's side of SMTP AUTH (RFC 4954), text in and verdicts out.
 *
 * Mechanisms: PLAIN, LOGIN, SCRAM-SHA-256. The engine never sees the database: it says what it
 * needs and waits. PLAIN and LOGIN end in NEED_VERIFY, which may be answered late, from a pool
 * thread's result; SCRAM asks for the verifier with NEED_LOOKUP and does the rest itself. While it
 * waits the session reads no further line; a session that cannot get an answer (454) just frees the
 * engine.
 *
 * For a user that does not exist SCRAM goes on with a salt computed from the name, the same each
 * time, and fails at the end, so that names cannot be tried out. Whether a mechanism may be used on
 * this connection at all (TLS) is the session's to decide beforehand. A client acts for itself
 * only: an authorization identity must be empty or the user.
 *
 * Secrets are wiped when they are no longer needed. One owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct password_verifier;
struct sasl_server;

/* For EHLO. */
#define SASL_SERVER_MECHANISMS "PLAIN LOGIN SCRAM-SHA-256"
#define SASL_SERVER_USER_MAX   255
/* Longest line of an exchange without its CRLF (RFC 4954 section 4). */
#define SASL_SERVER_LINE_MAX   12286

enum sasl_verdict {
	SASL_CHALLENGE, /* send "334 " and sasl_server_challenge; the next line goes to _respond */
	SASL_NEED_LOOKUP, /* answer with _found */
	SASL_NEED_VERIFY, /* check _user and _secret; answer with _verified */
	/* The exchange is over: */
	SASL_OK,        /* 235 2.7.0: the client is _user */
	SASL_FAIL,      /* 535 5.7.8: counts as a failed login of _user, which may be empty */
	SASL_CANCELLED, /* 501 5.7.0: the client sent "*" */
	SASL_BROKEN,    /* 501 5.5.2: no base64, or not what the mechanism wants */
	SASL_UNKNOWN,   /* 504 5.5.4: no such mechanism */
};

/* `fake_key` is secret and the same for the life of the installation: the salts of unknown users
 * come from it. `nonce` makes SCRAM reproducible in tests; empty, a random one is drawn for each
 * exchange. */
struct sasl_server *sasl_server_new(const uint8_t fake_key[static 32], struct str nonce);
/* Wipes and frees. Takes NULL; nulls the pointer. Serves with AUTO. */
void sasl_server_free(struct sasl_server **s);

/* Begins an exchange and forgets any before: `args` is what follows "AUTH ". */
enum sasl_verdict sasl_server_start(struct sasl_server *s, struct str args);
/* After CHALLENGE: the client's next line without CRLF. */
enum sasl_verdict sasl_server_respond(struct sasl_server *s, struct str line);
/* After NEED_LOOKUP: the verifier of _user, or NULL when there is no such user or it may not log
 * in. Copied. */
enum sasl_verdict sasl_server_found(struct sasl_server *s, const struct password_verifier *v);
/* After NEED_VERIFY: whether the secret was right. */
enum sasl_verdict sasl_server_verified(struct sasl_server *s, bool is_right);

/* Valid until the next call. A user name is not empty once asked for, valid UTF-8, and free of
 * control characters. The challenge is base64, and may be empty. */
struct str sasl_server_user(const struct sasl_server *s);
struct str sasl_server_secret(const struct sasl_server *s);
struct str sasl_server_challenge(const struct sasl_server *s);
