/* Who may hand mail in: one immutable snapshot of accounts and their credentials.
 *
 * An account is a tenant. A credential is a user name and secret for SMTP AUTH; it belongs to one
 * account and may be bound to senders (addresses or @domains) and to networks. A book is built from
 * plain rows, checked as a whole, and never changes; a change of settings makes a new one. Counted
 * by reference atomically; any thread may hold and read it. Strings it hands out live as long as
 * the book. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/str.h"
#include "codec/ip.h"
#include "crypto/password.h"
#include "mail/ids.h"
#include "mail/stream.h"

struct account_book;
struct mail_addr;

struct account_row {
	struct account_id id;
	struct str name; /* unique without regard to case */
	bool paused;
};

/* What a message of this credential may choose by X-Posthouse-* headers. A set. */
enum account_option {
	ACCOUNT_OPTION_STREAM = 1,
	ACCOUNT_OPTION_TAG = 2,
	ACCOUNT_OPTION_DOUBT = 4,
	ACCOUNT_OPTION_DEADLINE = 8,
	ACCOUNT_OPTION_SEND_AT = 16,
	ACCOUNT_OPTIONS_ALL = 31,
};

struct account_credential_row {
	struct credential_id id;
	struct account_id account;
	struct str user;     /* unique without regard to case */
	struct str verifier; /* text of password_format */
	struct str senders;  /* addresses and @domains, blank or line between; empty: any */
	struct str networks; /* CIDRs, likewise; empty: any */
	bool has_stream;     /* mail of this credential travels in `stream` */
	enum stream stream;
	unsigned options; /* set of enum account_option */
	bool paused;
};

struct account_credential {
	struct credential_id id;
	struct account_id account;
	struct str user;
	struct password_verifier verifier;
	const struct str *senders; /* lower case */
	size_t n_senders;
	const struct cidr *networks;
	size_t n_networks;
	bool has_stream;
	enum stream stream;
	unsigned options;
	bool paused; /* its account's pause included */
};

/* The account of mail from trusted networks without a login; always there. */
#define ACCOUNT_LOCAL ((struct account_id){ 1 })

/* Checks the rows and copies them. RC_INVALID with a fault that names row and remedy: a name taken
 * twice, a credential of no account, a malformed list entry, a verifier that cannot be read. */
enum rc account_book_new(const struct account_row *accounts, size_t n_accounts,
    const struct account_credential_row *credentials, size_t n_credentials,
    struct account_book **out, struct fault *f);
struct account_book *account_book_ref(struct account_book *b);
/* Takes NULL; nulls the pointer. Serves with AUTO. */
void account_book_unref(struct account_book **b);

/* By user name, any case; NULL when there is none. Paused ones are found too. */
const struct account_credential *account_book_find(const struct account_book *b, struct str user);
/* NULL when the book has no such account. */
const struct account_row *account_book_account(const struct account_book *b, struct account_id id);

/* Whether the credential may use this envelope sender; the null sender is always allowed. */
bool account_credential_may_send_as(
    const struct account_credential *c, const struct mail_addr *sender);
bool account_credential_may_come_from(const struct account_credential *c, const struct ip *peer);

/* Whether `text` is a list that a credential may have; RC_INVALID with a fault that names the bad
 * entry. */
enum rc account_senders_check(struct str text, struct fault *f);
enum rc account_networks_check(struct str text, struct fault *f);
