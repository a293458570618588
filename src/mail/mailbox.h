/* Address lists of header fields: From, Sender, Reply-To, To, Cc (RFC 5322 §3.4, RFC 6532).
 *
 * Needed to know which mailbox a message claims to come from, and to put another in its place:
 * `span` says which bytes of the value a rewriter replaces, so display name, comments and folds
 * stay as they were. */
#pragma once

#include "base/str.h"
#include "mail/address.h"

struct arena;

/* More mailboxes than this in one field are not read. */
#define MAIL_MAILBOX_MAX 2000

struct mail_mailbox {
	struct str display; /* without quotes, comments and folds, encoded words as they are; may be
			       empty */
	struct mail_addr addr;
	struct str span; /* the bare address within the value that was parsed */
};

struct mail_mailbox_list {
	struct mail_mailbox *v;
	size_t n; /* 0 for an empty group such as "undisclosed-recipients:;" */
};

/* Parses a field's value. Groups are flattened, empty places between commas skipped. RC_INVALID
 * when something in it is no address, RC_LIMIT above MAIL_MAILBOX_MAX, both with *why_out and *out
 * untouched. Displays and addresses live in `a`, spans in `value`. */
enum rc mail_mailbox_parse(
    struct str value, struct arena *a, struct mail_mailbox_list *out, const char **why_out);
