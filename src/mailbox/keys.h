/* What is needed to log in to mailboxes and relays: TLS contexts and opened secrets.
 *
 * Contexts are made once for each file of certificate authorities and kept. Secrets are opened for
 * one login and wiped by who asked. One loop. */
#pragma once

#include "base/fault.h"
#include "base/list.h"
#include "base/str.h"
#include "net/imap.h"

struct buf;
struct relay_version_row;
struct seal_key;
struct smtp_client_opts;
struct store_mailbox_row;
struct tls_ctx;

struct mailbox_keys {
	const struct seal_key *seal; /* borrowed */
	struct list tls;
};

void mailbox_keys_init(struct mailbox_keys *k, const struct seal_key *seal);
void mailbox_keys_done(struct mailbox_keys *k);

/* What a mailbox's secret is bound to when it is sealed; NUL-terminated. */
#define MAILBOX_KEYS_BOUND_SIZE 48
void mailbox_keys_bound(uint64_t mailbox, char out[static MAILBOX_KEYS_BOUND_SIZE]);

/* Everything to open `row`'s mailbox, but for patience and log. `secret` gets the opened secret,
 * which *out looks at: it is the caller's to wipe, and begins empty. */
enum rc mailbox_keys_imap(struct mailbox_keys *k, const struct store_mailbox_row *row,
    struct buf *secret, struct imap_opts *out, struct fault *f);
/* The same for a relay version, as deliver/ does it; hostname and patience are the caller's. */
enum rc mailbox_keys_smtp(struct mailbox_keys *k, const struct relay_version_row *v,
    struct buf *secret, struct smtp_client_opts *out, struct fault *f);
