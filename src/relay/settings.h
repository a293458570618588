/* The settings of relays and routes, as plain rows.
 *
 * These rows are what the store keeps and what relay/book.h is built from; here are their types,
 * the names under which people type their values, and the parsers of those names. All strings are
 * views; whoever fills a row owns the bytes, and the book copies what it keeps. Nothing here
 * allocates. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/str.h"
#include "mail/ids.h"
#include "mail/stream.h"

struct route_id {
	uint64_t v;
};

/* How the connection is protected. Required and verified, or not used at all: there is no "if
 * offered". */
enum relay_tls { RELAY_TLS_IMPLICIT, RELAY_TLS_STARTTLS, RELAY_TLS_NONE };
#define RELAY_TLS_COUNT 3
/* "implicit", "starttls", "none". */
const char *relay_tls_name(enum relay_tls tls);
/* Any case; "ssl" is accepted for implicit. False, *out untouched, when it is none of them. */
bool relay_tls_parse(struct str name, enum relay_tls *out);

/* ANY: the strongest that both sides know. */
enum relay_auth {
	RELAY_AUTH_ANY,
	RELAY_AUTH_PLAIN,
	RELAY_AUTH_LOGIN,
	RELAY_AUTH_CRAM_MD5,
	RELAY_AUTH_SCRAM_SHA_256,
	RELAY_AUTH_XOAUTH2,
};
#define RELAY_AUTH_COUNT 6
/* "any", "plain", "login", "cram-md5", "scram-sha-256", "xoauth2". */
const char *relay_auth_name(enum relay_auth auth);
/* Any case. False, *out untouched, when it is none of them. */
bool relay_auth_parse(struct str name, enum relay_auth *out);

/* At most `count` messages in any `per_s` seconds; count 0 is no limit. */
struct relay_rate {
	uint32_t count;
	uint32_t per_s; /* 1, 60, 3,600 or 86,400; 0 only where count is */
};
#define RELAY_RATE_MAX 1000000u
/* "10/s", "200/m", "5000/h" or "300/d". RC_INVALID, *out untouched, otherwise. */
enum rc relay_rate_parse(struct str text, struct relay_rate *out);
/* The same text back, NUL-terminated; "none" for no limit. */
#define RELAY_RATE_TEXT_SIZE 16
void relay_rate_format(struct relay_rate rate, char out[static RELAY_RATE_TEXT_SIZE]);

/* What the server announced when it was last spoken to; all zero before. */
struct relay_caps {
	bool seen;
	bool smtputf8;
	bool eight_bit;
	bool dsn;
	uint64_t size_bytes; /* 0: no limit announced */
};

struct relay_row {
	struct relay_id id;
	struct str name;           /* unique without regard to case */
	struct version_id current; /* the version that mail goes out through */
};

/* One immutable set of a relay's settings. Lists are text with one entry per line or blank between.
 */
struct relay_version_row {
	struct version_id id;
	struct relay_id relay;
	uint32_t number; /* NAME@number, from 1 */
	struct str host; /* a name or an address without brackets */
	uint16_t port;
	enum relay_tls tls;
	struct str tls_name; /* the name the certificate must carry; empty: host */
	struct str ca_file;  /* a private CA; empty: the system's */
	struct str user;     /* empty: no authentication */
	struct str secret;   /* sealed; opaque here */
	enum relay_auth auth;
	struct str senders;       /* addresses, @domains and "<>"; empty: carries every sender */
	struct str rewrites;      /* OLD=NEW; OLD an address, @domain or "*", NEW an address */
	struct str bounces;       /* name of the mailbox where its bounces are read; may be empty */
	uint32_t max_connections; /* 0: the provider's usual */
	struct relay_rate rate;
	uint32_t daily_quota;       /* recipients a day; 0: no limit */
	uint32_t max_recipients;    /* per transaction; 0: the provider's usual */
	struct str provider;        /* of relay/provider.h; empty: told from the host */
	struct str allow_plaintext; /* why mail may go there without TLS; empty: it may not */
	struct relay_caps caps;
};

/* A changeover that the dispatcher has to do with: mail of `routes` moves between two versions. */
struct relay_move_row {
	uint64_t id;
	struct version_id from;
	struct version_id to;
	struct str routes;  /* ids, blanks between */
	struct str machine; /* JSON of relay/changeover.h, as it was kept when the book was read */
};

/* A rule that picks a relay. An attribute left empty (zero, NONE) matches everything. */
struct relay_route_row {
	struct route_id id;
	struct relay_id relay;
	struct account_id account; /* zero: any */
	struct str sender;         /* an address or @domain; empty: any */
	struct str rcpt_domain;    /* empty: any */
	bool by_stream;            /* `stream` counts */
	enum stream stream;
	bool is_default;  /* the one that matches what no other does; no attributes */
	bool for_bounces; /* the one for the null sender; no attributes */
};
