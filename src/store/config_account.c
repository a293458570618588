/* Rows of accounts and credentials. A disabled account is refused inside the transaction of a
 * submission, so every change of an account makes the writer read again which are disabled. */
#include "store/config_account.h"

#include "store/private.h"

/* ---- accounts */

enum rc
store_config_account_put(struct store_tx *tx, struct store_account_row *row, struct fault *fault)
{
	bool new = row->id.v == 0;
	sqlite3_stmt *st =
	    new ? store_db_stmt(tx->db,
		      "INSERT INTO account (name, disabled, options, note, created_us)"
		      " VALUES (?2, ?3, ?4, ?5, ?6)")
		: store_db_stmt(tx->db,
		      "UPDATE account SET name = ?2, disabled = ?3, options = ?4, note = ?5,"
		      " created_us = ?6 WHERE id = ?1");

	store_db_id(st, 1, row->id.v);
	store_db_text_always(st, 2, row->name);
	store_db_int(st, 3, row->disabled);
	store_db_text(st, 4, row->options);
	store_db_text(st, 5, row->note);
	store_db_int(st, 6, row->created_us);
	tx->store->accounts_changed = true;
	return new ? store_config_insert(tx, st, "an account", &row->id.v, fault)
		   : store_config_update(tx, st, "account", fault);
}

enum rc
store_config_account_remove(struct store_tx *tx, struct account_id id, struct fault *fault)
{
	tx->store->accounts_changed = true;
	return store_config_delete(tx, "DELETE FROM account WHERE id = ?1", id.v, "account", fault);
}

enum rc
store_config_account_list(struct store_reader *r, struct arena *a,
    struct store_account_row **rows_out, uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_account_row *rows = NULL;
	sqlite3_stmt *st = store_db_stmt(
	    r->db, "SELECT id, name, disabled, options, note, created_us FROM account ORDER BY id");

	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		rows[n++] = (struct store_account_row){
			.id = { store_db_col_id(st, 0) },
			.name = store_db_col_text(st, 1, a),
			.disabled = store_db_col_int(st, 2) != 0,
			.options = store_db_col_text(st, 3, a),
			.note = store_db_col_text(st, 4, a),
			.created_us = store_db_col_int(st, 5),
		};
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- credentials */

static void
bind_credential(sqlite3_stmt *st, const struct store_credential_row *row)
{
	store_db_id(st, 1, row->id.v);
	store_db_id(st, 2, row->account.v);
	store_db_text_always(st, 3, row->name);
	store_db_text_always(st, 4, row->verifier);
	store_db_text(st, 5, row->senders);
	store_db_text(st, 6, row->networks);
	if (row->has_stream)
		store_db_int(st, 7, row->stream);
	store_db_text(st, 8, row->options);
	store_db_text(st, 9, row->paused);
	store_db_text(st, 10, row->note);
	store_db_int(st, 11, row->created_us);
}

enum rc
store_config_credential_put(
    struct store_tx *tx, struct store_credential_row *row, struct fault *fault)
{
	bool new = row->id.v == 0;
	sqlite3_stmt *st =
	    new ? store_db_stmt(tx->db,
		      "INSERT INTO credential (account, name, verifier, senders, networks, stream, options,"
		      " paused, note, created_us) VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
		: store_db_stmt(tx->db,
		      "UPDATE credential SET account = ?2, name = ?3, verifier = ?4, senders = ?5,"
		      " networks = ?6, stream = ?7, options = ?8, paused = ?9, note = ?10,"
		      " created_us = ?11 WHERE id = ?1");

	bind_credential(st, row);
	return new ? store_config_insert(tx, st, "a credential", &row->id.v, fault)
		   : store_config_update(tx, st, "credential", fault);
}

enum rc
store_config_credential_remove(struct store_tx *tx, struct credential_id id, struct fault *fault)
{
	return store_config_delete(
	    tx, "DELETE FROM credential WHERE id = ?1", id.v, "credential", fault);
}

enum rc
store_config_credential_list(struct store_reader *r, struct arena *a,
    struct store_credential_row **rows_out, uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_credential_row *rows = NULL;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, account, name, verifier, senders, networks, stream, options, paused, note,"
	    " created_us FROM credential ORDER BY id");

	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		int64_t stream = store_db_col_int_or(st, 6, -1);
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		rows[n++] = (struct store_credential_row){
			.id = { store_db_col_id(st, 0) },
			.account = { store_db_col_id(st, 1) },
			.name = store_db_col_text(st, 2, a),
			.verifier = store_db_col_text(st, 3, a),
			.senders = store_db_col_text(st, 4, a),
			.networks = store_db_col_text(st, 5, a),
			.has_stream = stream >= 0,
			.stream = stream == STREAM_BULK ? STREAM_BULK : STREAM_TRANSACTIONAL,
			.options = store_db_col_text(st, 7, a),
			.paused = store_db_col_text(st, 8, a),
			.note = store_db_col_text(st, 9, a),
			.created_us = store_db_col_int(st, 10),
		};
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}
