/* Mailboxes that are read over IMAP: where they are, how far they have been read, and what probes
 * found in them.
 *
 * Conventions as in config_account.h. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "store/op.h"
#include "store/reader.h"

struct store_mailbox_row {
	uint64_t id;
	struct str name; /* unique without regard to case */
	struct str host;
	uint16_t port;
	struct str tls; /* "implicit", "starttls", "none" */
	struct str tls_name;
	struct str ca_file;
	struct str user;
	struct str secret;  /* sealed bytes */
	struct str auth;    /* "password", "xoauth2" */
	struct str address; /* that mail for it goes to */
	bool for_probe;
	bool for_bounces;
	struct str receive;    /* list of addresses of ours that it reads */
	struct str smtp_relay; /* name of the relay that sends as this mailbox; may be empty */
	struct str note;
	int64_t created_us;
	int64_t looked_us;  /* when it was last read for reports; 0: never. Not set by _put */
	struct str trouble; /* what was wrong then; empty: nothing. Not set by _put */
};

enum rc store_config_mailbox_put(
    struct store_tx *tx, struct store_mailbox_row *row, struct fault *fault);
/* With its cursors. */
enum rc store_config_mailbox_remove(struct store_tx *tx, uint64_t id, struct fault *fault);
enum rc store_config_mailbox_list(struct store_reader *r, struct arena *a,
    struct store_mailbox_row **rows_out, uint32_t *n_out, struct fault *fault);
/* Notes how the last reading went; no such mailbox is no error. */
enum rc store_config_mailbox_looked(
    struct store_tx *tx, uint64_t id, int64_t at_us, struct str trouble, struct fault *fault);

struct store_mailbox_cursor {
	uint64_t mailbox;
	struct str folder; /* as the server writes it */
	uint32_t uidvalidity;
	uint32_t uid; /* all up to this one have been looked at */
};

/* Inserts or updates. */
enum rc store_config_mailbox_cursor_put(
    struct store_tx *tx, const struct store_mailbox_cursor *row, struct fault *fault);
/* Of all mailboxes. */
enum rc store_config_mailbox_cursor_list(struct store_reader *r, struct arena *a,
    struct store_mailbox_cursor **rows_out, uint32_t *n_out, struct fault *fault);

/* Whether something was seen to hold. */
enum store_seen { STORE_NOT_SEEN, STORE_SEEN_NO, STORE_SEEN_YES };

/* A finished run of probes through one relay version. */
struct store_probe_row {
	uint64_t id;
	struct version_id version;
	int64_t at_us;
	bool passed;
	enum store_seen preserves_message_id;
	enum store_seen preserves_date;
	struct str summary; /* one sentence */
	struct str report;  /* JSON, an object */
};

/* Inserts; of each version the newest twenty are kept. */
enum rc store_config_probe_add(
    struct store_tx *tx, struct store_probe_row *row, struct fault *fault);
/* The newest run through `version`. RC_NOT_FOUND. */
enum rc store_config_probe_last(struct store_reader *r, struct version_id version, struct arena *a,
    struct store_probe_row *out, struct fault *fault);
