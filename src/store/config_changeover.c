/* Rows of changeovers. A route is part of one unsettled changeover at most; that is checked where
 * one is added, inside its transaction. */
#include "store/config_changeover.h"

#include "base/buf.h"
#include "store/private.h"

static bool
next_id(struct str *rest, uint64_t *out)
{
	struct str word;

	while (str_cut(rest, ' ', &word)) {
		if (word.n != 0 && str_to_u64(word, out) == RC_OK)
			return true;
	}
	return false;
}

static bool
has_id(struct str list, uint64_t id)
{
	uint64_t v;

	while (next_id(&list, &v)) {
		if (v == id)
			return true;
	}
	return false;
}

static enum rc
check_routes_are_free(
    struct store_tx *tx, const struct store_changeover_row *row, struct fault *fault)
{
	enum rc rc;
	bool taken = false;
	long long by = 0;
	AUTO(arena_done) struct arena a = { 0 };
	sqlite3_stmt *st = store_db_stmt(
	    tx->db, "SELECT id, routes FROM changeover WHERE open = 1 AND settled_us IS NULL");

	while ((rc = store_db_step(tx->db, st, fault)) == RC_OK) {
		struct str theirs = store_db_col_text(st, 1, &a), ours = row->routes;
		uint64_t id;
		while (next_id(&ours, &id)) {
			if (has_id(theirs, id)) {
				taken = true;
				by = store_db_col_int(st, 0);
			}
		}
	}
	if (rc == RC_DONE && taken)
		return fault_set(fault, RC_EXISTS,
		    "changeover %lld is already moving this route: confirm or revert it first", by);
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_config_changeover_add(
    struct store_tx *tx, struct store_changeover_row *row, struct fault *fault)
{
	enum rc rc = check_routes_are_free(tx, row, fault);

	if (rc != RC_OK)
		return rc;
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "INSERT INTO changeover (routes, from_version, to_version, state, open, who, note,"
	    " allow_weaker, snapshot, machine, started_us, settled_us)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
	store_db_text_always(st, 1, row->routes);
	store_db_id(st, 2, row->from.v);
	store_db_id(st, 3, row->to.v);
	store_db_text_always(st, 4, row->state);
	store_db_int(st, 5, row->open);
	store_db_text_always(st, 6, row->who);
	store_db_text(st, 7, row->note);
	store_db_text(st, 8, row->allow_weaker);
	store_db_id_or_null(st, 9, row->snapshot);
	store_db_text_always(st, 10, row->machine);
	store_db_int(st, 11, row->started_us);
	if (row->settled_us != 0)
		store_db_int(st, 12, row->settled_us);
	return store_config_insert(tx, st, "a changeover", &row->id, fault);
}

enum rc
store_config_changeover_keep(
    struct store_tx *tx, const struct store_changeover_row *row, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "UPDATE changeover SET state = ?2, open = ?3, machine = ?4, settled_us = ?5"
	    " WHERE id = ?1");

	store_db_id(st, 1, row->id);
	store_db_text_always(st, 2, row->state);
	store_db_int(st, 3, row->open);
	store_db_text_always(st, 4, row->machine);
	if (row->settled_us != 0)
		store_db_int(st, 5, row->settled_us);
	return store_config_update(tx, st, "changeover", fault);
}

static enum rc
point_route(struct store_tx *tx, uint64_t route, uint64_t version, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "UPDATE route SET relay = (SELECT relay FROM relay_version WHERE id = ?2)"
	    " WHERE id = ?1");

	store_db_id(st, 1, route);
	store_db_id(st, 2, version);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_changeover_apply(struct store_tx *tx, uint64_t id, struct fault *fault)
{
	AUTO(arena_done) struct arena a = { 0 };
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "SELECT c.routes, c.to_version, v.relay FROM changeover c"
	    " LEFT JOIN relay_version v ON v.id = c.to_version WHERE c.id = ?1");
	uint64_t route;

	store_db_id(st, 1, id);
	enum rc rc = store_db_step(tx->db, st, fault);
	if (rc != RC_OK)
		return rc == RC_DONE ? fault_set(fault, RC_NOT_FOUND, "no such changeover") : rc;
	struct str routes = store_db_col_text(st, 0, &a);
	uint64_t version = store_db_col_id(st, 1), relay = store_db_col_id(st, 2);
	store_db_reset(st);
	if (relay == 0)
		return fault_set(
		    fault, RC_NOT_FOUND, "the relay version that the changeover leads to is gone");
	st = store_db_stmt(tx->db, "UPDATE relay SET version = ?2 WHERE id = ?1");
	store_db_id(st, 1, relay);
	store_db_id(st, 2, version);
	rc = store_db_run(tx->db, st, fault);
	while (rc == RC_OK && next_id(&routes, &route))
		rc = point_route(tx, route, version, fault);
	return rc;
}

enum rc
store_config_changeover_wipe(struct store_tx *tx, struct version_id version, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(tx->db, "UPDATE relay_version SET secret = NULL WHERE id = ?1");

	store_db_id(st, 1, version.v);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_changeover_list(
    struct store_reader *r, struct store_changeover_list *q, struct arena *a, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, routes, from_version, to_version, state, open, who, note, allow_weaker,"
	    " snapshot, machine, started_us, settled_us FROM changeover"
	    " WHERE (?1 = 0 OR open = 1) AND (?2 = 0 OR id = ?2)"
	    " ORDER BY CASE WHEN ?3 > 0 THEN -id ELSE id END LIMIT CASE WHEN ?3 > 0 THEN ?3 ELSE -1 END");

	store_db_int(st, 1, q->only_open);
	store_db_id(st, 2, q->id);
	store_db_int(st, 3, q->max);
	q->rows = NULL;
	q->n = 0;
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		q->rows = store_config_grow(a, q->rows, q->n, sizeof(*q->rows));
		q->rows[q->n++] = (struct store_changeover_row){
			.id = store_db_col_id(st, 0),
			.routes = store_db_col_text(st, 1, a),
			.from = { store_db_col_id(st, 2) },
			.to = { store_db_col_id(st, 3) },
			.state = store_db_col_text(st, 4, a),
			.open = store_db_col_int(st, 5) != 0,
			.who = store_db_col_text(st, 6, a),
			.note = store_db_col_text(st, 7, a),
			.allow_weaker = store_db_col_text(st, 8, a),
			.snapshot = store_db_col_id(st, 9),
			.machine = store_db_col_text(st, 10, a),
			.started_us = store_db_col_int(st, 11),
			.settled_us = store_db_col_int_or(st, 12, 0),
		};
	}
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_config_changeover_event_add(
    struct store_tx *tx, const struct store_changeover_event *e, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "INSERT INTO changeover_event (changeover, at_us, kind, state, step, text)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");

	store_db_id(st, 1, e->changeover);
	store_db_int(st, 2, e->at_us);
	store_db_text_always(st, 3, e->kind);
	store_db_text_always(st, 4, e->state);
	store_db_int(st, 5, e->step);
	store_db_text_always(st, 6, e->text);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_changeover_event_list(struct store_reader *r, struct store_changeover_history *q,
    struct arena *a, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT changeover, at_us, kind, state, step, text, id FROM (SELECT * FROM changeover_event"
	    " WHERE changeover = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id");

	store_db_id(st, 1, q->changeover);
	store_db_int(st, 2, q->max);
	q->rows = NULL;
	q->n = 0;
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		q->rows = store_config_grow(a, q->rows, q->n, sizeof(*q->rows));
		q->rows[q->n++] = (struct store_changeover_event){
			.changeover = store_db_col_id(st, 0),
			.at_us = store_db_col_int(st, 1),
			.kind = store_db_col_text(st, 2, a),
			.state = store_db_col_text(st, 3, a),
			.step = (uint32_t)store_db_col_int(st, 4),
			.text = store_db_col_text(st, 5, a),
			.id = store_db_col_id(st, 6),
		};
	}
	return rc == RC_DONE ? RC_OK : rc;
}
