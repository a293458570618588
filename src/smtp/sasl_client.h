/* Authentication towards a relay: the client's side of SMTP AUTH (RFC 4954), text in and text out.
 *
 * Order of use: sasl_client_choose picks the mechanism; _new takes user and secret; _start gives
 * the AUTH command; each 334 goes to _challenge, which gives the answer; a 235 goes to _finish,
 * whose word is the verdict: a server that accepts without having proved that it knows a SCRAM
 * password is not the relay. Any other reply ends the exchange by itself.
 *
 * Nothing is kept of the caller's. Lines come without CRLF and hold secrets: wipe them, never log
 * them. One owner. */
#pragma once

#include <stdbool.h>

#include "base/rc.h"
#include "base/str.h"
#include "codec/smtp_caps.h"

struct buf;
struct fault;
struct sasl_client;

#define SASL_CLIENT_USER_MAX   255
#define SASL_CLIENT_SECRET_MAX 8192 /* OAuth tokens are long */
/* Longest line of an exchange without its CRLF (RFC 4954 section 4). */
#define SASL_CLIENT_LINE_MAX   12286

struct sasl_choice {
	uint32_t offered; /* `mechs` of the last EHLO */
	/* The one that the relay's settings name; SMTP_MECH_COUNT: none. XOAUTH2 is never taken
	 * unasked: its secret is an access token and no password. */
	enum smtp_mech required;
	bool tls;      /* with a verified certificate: nobody else can read along */
	bool plain_ok; /* the settings allow the secret to cross without TLS */
};

/* The strongest common mechanism, or the required one and no other. Within TLS: SCRAM-SHA-256,
 * PLAIN, LOGIN, CRAM-MD5; without: SCRAM-SHA-256, CRAM-MD5, and only with plain_ok PLAIN, LOGIN.
 * RC_NOT_FOUND: none that fits is offered; RC_DENIED: one is, but would show the secret. */
enum rc sasl_client_choose(const struct sasl_choice *choice, enum smtp_mech *out, struct fault *f);

/* Copies user and secret; `mech` is one that sasl_client_choose gave. `nonce` makes SCRAM
 * reproducible in tests; empty, a random one is drawn. RC_INVALID: user or secret is empty, too
 * long, or holds control characters (a secret file's line end, perhaps). */
enum rc sasl_client_new(enum smtp_mech mech, struct str user, struct str secret, struct str nonce,
    struct sasl_client **out, struct fault *f);
/* Wipes and frees. Takes NULL; nulls the pointer. Serves with AUTO. */
void sasl_client_free(struct sasl_client **c);

/* Appends the AUTH command, once; with the initial response where the mechanism has one and the
 * line stays within the 512 octets of RFC 5321 section 4.5.3.1.4. */
void sasl_client_start(struct sasl_client *c, struct buf *line);

/* Takes the text behind "334 " and appends the answer. Not RC_OK: the answer is "*", which cancels;
 * the exchange is over, and the relay's next reply says nothing about the password. RC_INVALID: the
 * challenge breaks the mechanism's rules; RC_DENIED: the server failed to prove itself, or MD5 is
 * forbidden on this machine. With SCRAM one challenge costs as many hashes as the server asks for,
 * some milliseconds as a rule, half a second at most. */
enum rc sasl_client_challenge(
    struct sasl_client *c, struct str text, struct buf *line, struct fault *f);

/* After 235. RC_DENIED: the exchange was not complete; this connection must not be used. */
enum rc sasl_client_finish(const struct sasl_client *c, struct fault *f);

/* The reason that the server gave inside a challenge, decoded (XOAUTH2's JSON, SCRAM's e=); mostly
 * empty. The peer's bytes, at most 512; valid until _free. */
struct str sasl_client_peer_error(const struct sasl_client *c);
