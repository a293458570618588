/* Accounts and credentials: what belongs to a tenant.
 *
 * Rows are plain values; the judging is done by those who use them. Functions with a `tx` run
 * inside a STORE_CALL; lists read through a reader, strings live in the arena given. A row with id
 * 0 is inserted, and its id filled in; any other is updated as a whole. RC_EXISTS: the name is
 * taken. RC_NOT_FOUND. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "store/op.h"
#include "store/reader.h"

struct store_account_row {
	struct account_id id;
	struct str name;
	bool disabled; /* its submissions are refused */
	struct str options;
	struct str note;
	int64_t created_us;
};

enum rc store_config_account_put(
    struct store_tx *tx, struct store_account_row *row, struct fault *fault);
enum rc store_config_account_remove(struct store_tx *tx, struct account_id id, struct fault *fault);
enum rc store_config_account_list(struct store_reader *r, struct arena *a,
    struct store_account_row **rows_out, uint32_t *n_out, struct fault *fault);

struct store_credential_row {
	struct credential_id id;
	struct account_id account;
	struct str name;     /* the user name of AUTH; unique */
	struct str verifier; /* of the secret: a password hash in its own format */
	struct str senders; /* addresses and @domains it may send as, comma-separated; empty: any */
	struct str networks; /* CIDR, comma-separated; empty: any */
	bool has_stream;
	enum stream stream;
	struct str options; /* which message options it may set */
	struct str paused;  /* why; empty: not paused */
	struct str note;
	int64_t created_us;
};

enum rc store_config_credential_put(
    struct store_tx *tx, struct store_credential_row *row, struct fault *fault);
enum rc store_config_credential_remove(
    struct store_tx *tx, struct credential_id id, struct fault *fault);
enum rc store_config_credential_list(struct store_reader *r, struct arena *a,
    struct store_credential_row **rows_out, uint32_t *n_out, struct fault *fault);
