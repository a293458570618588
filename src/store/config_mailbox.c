/* Rows of mailboxes, their cursors, and runs of probes. */
#include "store/config_mailbox.h"

#include "store/private.h"

#define PROBES_KEPT 20

/* ---- mailboxes */

static void
bind_mailbox(sqlite3_stmt *st, const struct store_mailbox_row *row)
{
	store_db_id(st, 1, row->id);
	store_db_text_always(st, 2, row->name);
	store_db_text_always(st, 3, row->host);
	store_db_int(st, 4, row->port);
	store_db_text_always(st, 5, row->tls);
	store_db_text(st, 6, row->tls_name);
	store_db_text(st, 7, row->ca_file);
	store_db_text_always(st, 8, row->user);
	store_db_blob(st, 9, row->secret);
	store_db_text_always(st, 10, row->auth);
	store_db_text_always(st, 11, row->address);
	store_db_int(st, 12, row->for_probe);
	store_db_int(st, 13, row->for_bounces);
	store_db_text(st, 14, row->receive);
	store_db_text(st, 15, row->smtp_relay);
	store_db_text(st, 16, row->note);
	store_db_int(st, 17, row->created_us);
}

enum rc
store_config_mailbox_put(struct store_tx *tx, struct store_mailbox_row *row, struct fault *fault)
{
	bool new = row->id == 0;
	sqlite3_stmt *st =
	    new ? store_db_stmt(tx->db,
		      "INSERT INTO mailbox (name, host, port, tls, tls_name, ca_file, user, secret, auth,"
		      " address, for_probe, for_bounces, receive, smtp_relay, note, created_us) VALUES (?2,"
		      " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)")
		: store_db_stmt(tx->db,
		      "UPDATE mailbox SET name = ?2, host = ?3, port = ?4, tls = ?5, tls_name = ?6,"
		      " ca_file = ?7, user = ?8, secret = ?9, auth = ?10, address = ?11, for_probe = ?12,"
		      " for_bounces = ?13, receive = ?14, smtp_relay = ?15, note = ?16, created_us = ?17"
		      " WHERE id = ?1");

	bind_mailbox(st, row);
	return new ? store_config_insert(tx, st, "a mailbox", &row->id, fault)
		   : store_config_update(tx, st, "mailbox", fault);
}

enum rc
store_config_mailbox_remove(struct store_tx *tx, uint64_t id, struct fault *fault)
{
	enum rc rc =
	    store_config_delete(tx, "DELETE FROM mailbox WHERE id = ?1", id, "mailbox", fault);

	if (rc != RC_OK)
		return rc;
	sqlite3_stmt *st = store_db_stmt(tx->db, "DELETE FROM mailbox_cursor WHERE mailbox = ?1");
	store_db_id(st, 1, id);
	return store_db_run(tx->db, st, fault);
}

static void
read_mailbox(sqlite3_stmt *st, struct arena *a, struct store_mailbox_row *row)
{
	*row = (struct store_mailbox_row){
		.id = store_db_col_id(st, 0),
		.name = store_db_col_text(st, 1, a),
		.host = store_db_col_text(st, 2, a),
		.port = (uint16_t)store_db_col_int(st, 3),
		.tls = store_db_col_text(st, 4, a),
		.tls_name = store_db_col_text(st, 5, a),
		.ca_file = store_db_col_text(st, 6, a),
		.user = store_db_col_text(st, 7, a),
		.secret = store_db_col_text(st, 8, a),
		.auth = store_db_col_text(st, 9, a),
		.address = store_db_col_text(st, 10, a),
		.for_probe = store_db_col_int(st, 11) != 0,
		.for_bounces = store_db_col_int(st, 12) != 0,
		.receive = store_db_col_text(st, 13, a),
		.smtp_relay = store_db_col_text(st, 14, a),
		.note = store_db_col_text(st, 15, a),
		.created_us = store_db_col_int(st, 16),
		.looked_us = store_db_col_int(st, 17),
		.trouble = store_db_col_text(st, 18, a),
	};
}

enum rc
store_config_mailbox_list(struct store_reader *r, struct arena *a,
    struct store_mailbox_row **rows_out, uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_mailbox_row *rows = NULL;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, name, host, port, tls, tls_name, ca_file, user, secret, auth, address,"
	    " for_probe, for_bounces, receive, smtp_relay, note, created_us, looked_us, trouble"
	    " FROM mailbox ORDER BY id");

	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		read_mailbox(st, a, &rows[n++]);
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_config_mailbox_looked(
    struct store_tx *tx, uint64_t id, int64_t at_us, struct str trouble, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(tx->db, "UPDATE mailbox SET looked_us = ?2, trouble = ?3 WHERE id = ?1");

	store_db_id(st, 1, id);
	store_db_int(st, 2, at_us);
	store_db_text(st, 3, trouble);
	return store_db_run(tx->db, st, fault);
}

/* ---- cursors */

enum rc
store_config_mailbox_cursor_put(
    struct store_tx *tx, const struct store_mailbox_cursor *row, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "INSERT OR REPLACE INTO mailbox_cursor (mailbox, folder, uidvalidity, uid)"
	    " SELECT id, ?2, ?3, ?4 FROM mailbox WHERE id = ?1");

	store_db_id(st, 1, row->mailbox);
	store_db_text_always(st, 2, row->folder);
	store_db_int(st, 3, row->uidvalidity);
	store_db_int(st, 4, row->uid);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_mailbox_cursor_list(struct store_reader *r, struct arena *a,
    struct store_mailbox_cursor **rows_out, uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_mailbox_cursor *rows = NULL;
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT mailbox, folder, uidvalidity, uid FROM mailbox_cursor");

	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		rows[n++] = (struct store_mailbox_cursor){
			.mailbox = store_db_col_id(st, 0),
			.folder = store_db_col_text(st, 1, a),
			.uidvalidity = (uint32_t)store_db_col_int(st, 2),
			.uid = (uint32_t)store_db_col_int(st, 3),
		};
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- probes */

static void
bind_seen(sqlite3_stmt *st, int at, enum store_seen seen)
{
	if (seen != STORE_NOT_SEEN)
		store_db_int(st, at, seen == STORE_SEEN_YES);
}

static enum store_seen
read_seen(sqlite3_stmt *st, int at)
{
	switch (store_db_col_int_or(st, at, -1)) {
	case 0: return STORE_SEEN_NO;
	case 1: return STORE_SEEN_YES;
	default: return STORE_NOT_SEEN;
	}
}

enum rc
store_config_probe_add(struct store_tx *tx, struct store_probe_row *row, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "INSERT INTO probe (version, at_us, passed, preserves_message_id, preserves_date, summary,"
	    " report) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

	store_db_id(st, 1, row->version.v);
	store_db_int(st, 2, row->at_us);
	store_db_int(st, 3, row->passed);
	bind_seen(st, 4, row->preserves_message_id);
	bind_seen(st, 5, row->preserves_date);
	store_db_text_always(st, 6, row->summary);
	store_db_text_always(st, 7, row->report);
	enum rc rc = store_config_insert(tx, st, "a probe", &row->id, fault);
	if (rc != RC_OK)
		return rc;
	st = store_db_stmt(tx->db,
	    "DELETE FROM probe WHERE version = ?1 AND id <= (SELECT id FROM probe WHERE version = ?1"
	    " ORDER BY id DESC LIMIT 1 OFFSET ?2)");
	store_db_id(st, 1, row->version.v);
	store_db_int(st, 2, PROBES_KEPT);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_probe_last(struct store_reader *r, struct version_id version, struct arena *a,
    struct store_probe_row *out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, version, at_us, passed, preserves_message_id, preserves_date, summary, report"
	    " FROM probe WHERE version = ?1 ORDER BY id DESC LIMIT 1");

	store_db_id(st, 1, version.v);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc == RC_DONE)
		return fault_set(fault, RC_NOT_FOUND, "no probe has gone through it yet");
	if (rc != RC_OK)
		return rc;
	*out = (struct store_probe_row){
		.id = store_db_col_id(st, 0),
		.version = { store_db_col_id(st, 1) },
		.at_us = store_db_col_int(st, 2),
		.passed = store_db_col_int(st, 3) != 0,
		.preserves_message_id = read_seen(st, 4),
		.preserves_date = read_seen(st, 5),
		.summary = store_db_col_text(st, 6, a),
		.report = store_db_col_text(st, 7, a),
	};
	store_db_reset(st);
	return RC_OK;
}
