/* Rows of settings, alarms and the audit log. */
#include "store/config_system.h"

#include "store/private.h"

/* ---- settings */

enum rc
store_config_setting_put(struct store_tx *tx, struct str key, struct str value, struct fault *fault)
{
	sqlite3_stmt *st = value.n != 0
			       ? store_db_stmt(tx->db,
				     "INSERT OR REPLACE INTO setting (key, value) VALUES (?1, ?2)")
			       : store_db_stmt(tx->db, "DELETE FROM setting WHERE key = ?1");

	store_db_text_always(st, 1, key);
	if (value.n != 0)
		store_db_text_always(st, 2, value);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_setting_get(struct store_reader *r, struct str key, struct arena *a,
    struct str *value_out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(r->db, "SELECT value FROM setting WHERE key = ?1");

	store_db_text_always(st, 1, key);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc == RC_DONE)
		return fault_set(fault, RC_NOT_FOUND, "%.*s is not set", STR_ARG(key));
	if (rc != RC_OK)
		return rc;
	*value_out = store_db_col_text(st, 0, a);
	store_db_reset(st);
	return RC_OK;
}

/* ---- alarms */

enum rc
store_config_alarm_put(struct store_tx *tx, struct store_alarm_row *row, struct fault *fault)
{
	bool new = row->id == 0;
	sqlite3_stmt *st =
	    new ? store_db_stmt(tx->db,
		      "INSERT INTO alarm (kind, target, secret, created_us) VALUES (?2, ?3, ?4, ?5)")
		: store_db_stmt(tx->db,
		      "UPDATE alarm SET kind = ?2, target = ?3, secret = ?4, created_us = ?5"
		      " WHERE id = ?1");

	store_db_id(st, 1, row->id);
	store_db_text_always(st, 2, row->kind);
	store_db_text_always(st, 3, row->target);
	store_db_blob(st, 4, row->secret);
	store_db_int(st, 5, row->created_us);
	return new ? store_config_insert(tx, st, "an alarm", &row->id, fault)
		   : store_config_update(tx, st, "alarm", fault);
}

enum rc
store_config_alarm_remove(struct store_tx *tx, uint64_t id, struct fault *fault)
{
	return store_config_delete(tx, "DELETE FROM alarm WHERE id = ?1", id, "alarm", fault);
}

enum rc
store_config_alarm_list(struct store_reader *r, struct arena *a, struct store_alarm_row **rows_out,
    uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_alarm_row *rows = NULL;
	sqlite3_stmt *st = store_db_stmt(
	    r->db, "SELECT id, kind, target, secret, created_us FROM alarm ORDER BY id");

	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		rows[n++] = (struct store_alarm_row){
			.id = store_db_col_id(st, 0),
			.kind = store_db_col_text(st, 1, a),
			.target = store_db_col_text(st, 2, a),
			.secret = store_db_col_text(st, 3, a),
			.created_us = store_db_col_int(st, 4),
		};
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- audit */

enum rc
store_config_audit_add(struct store_tx *tx, struct store_audit_row *row, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(tx->db, "INSERT INTO audit (at_us, who, what, target, why, detail)"
				  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");

	store_db_int(st, 1, row->at_us);
	store_db_text_always(st, 2, row->who);
	store_db_text_always(st, 3, row->what);
	store_db_text(st, 4, row->target);
	store_db_text(st, 5, row->why);
	store_db_text(st, 6, row->detail);
	return store_config_insert(tx, st, "an audit entry", &row->id, fault);
}

enum rc
store_config_audit_list(
    struct store_reader *r, struct store_audit_list *q, struct arena *a, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, at_us, who, what, target, why, detail FROM audit"
	    " WHERE id < ?1 AND (?2 = '' OR target = ?2) ORDER BY id DESC LIMIT ?3");

	q->rows = ARENA_NEW_ARRAY(a, struct store_audit_row, q->max + 1);
	q->n = 0;
	store_db_id(st, 1, q->before != 0 ? q->before : INT64_MAX);
	store_db_text_always(st, 2, q->target);
	store_db_int(st, 3, q->max);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK && q->n < q->max) {
		q->rows[q->n++] = (struct store_audit_row){
			.id = store_db_col_id(st, 0),
			.at_us = store_db_col_int(st, 1),
			.who = store_db_col_text(st, 2, a),
			.what = store_db_col_text(st, 3, a),
			.target = store_db_col_text(st, 4, a),
			.why = store_db_col_text(st, 5, a),
			.detail = store_db_col_text(st, 6, a),
		};
	}
	store_db_reset(st);
	return rc == RC_DONE ? RC_OK : rc;
}
