/* Rows of relays, their versions, routes and login counters. What they mean is known above; here
 * they are text and numbers. */
#include "store/config_relay.h"

#include "store/private.h"

/* ---- relays */

enum rc
store_config_relay_put(struct store_tx *tx, struct store_relay_row *row, struct fault *fault)
{
	bool new = row->id.v == 0;
	sqlite3_stmt *st =
	    new ? store_db_stmt(tx->db,
		      "INSERT INTO relay (name, state, state_why, version, note, created_us)"
		      " VALUES (?2, ?3, ?4, ?5, ?6, ?7)")
		: store_db_stmt(tx->db,
		      "UPDATE relay SET name = ?2, state = ?3, state_why = ?4, version = ?5, note = ?6,"
		      " created_us = ?7 WHERE id = ?1");

	store_db_id(st, 1, row->id.v);
	store_db_text_always(st, 2, row->name);
	store_db_text_always(st, 3, row->state);
	store_db_text(st, 4, row->state_why);
	store_db_id_or_null(st, 5, row->version.v);
	store_db_text(st, 6, row->note);
	store_db_int(st, 7, row->created_us);
	return new ? store_config_insert(tx, st, "a relay", &row->id.v, fault)
		   : store_config_update(tx, st, "relay", fault);
}

enum rc
store_config_relay_remove(struct store_tx *tx, struct relay_id id, struct fault *fault)
{
	int64_t routes;
	sqlite3_stmt *st = store_db_stmt(tx->db, "SELECT count(*) FROM route WHERE relay = ?1");

	store_db_id(st, 1, id.v);
	enum rc rc = store_db_value(tx->db, st, 0, &routes, fault);
	if (rc == RC_OK && routes > 0)
		return fault_set(fault, RC_DENIED, "%lld routes use this relay: move them first",
		    (long long)routes);
	if (rc == RC_OK)
		rc = store_config_delete(
		    tx, "DELETE FROM relay WHERE id = ?1", id.v, "relay", fault);
	if (rc != RC_OK)
		return rc;
	st = store_db_stmt(tx->db, "DELETE FROM relay_version WHERE relay = ?1");
	store_db_id(st, 1, id.v);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_relay_list(struct store_reader *r, struct arena *a, struct store_relay_row **rows_out,
    uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_relay_row *rows = NULL;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, name, state, state_why, version, note, created_us FROM relay ORDER BY id");

	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		rows[n++] = (struct store_relay_row){
			.id = { store_db_col_id(st, 0) },
			.name = store_db_col_text(st, 1, a),
			.state = store_db_col_text(st, 2, a),
			.state_why = store_db_col_text(st, 3, a),
			.version = { store_db_col_id(st, 4) },
			.note = store_db_col_text(st, 5, a),
			.created_us = store_db_col_int(st, 6),
		};
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- versions */

static void
bind_version(sqlite3_stmt *st, const struct store_relay_version_row *row)
{
	store_db_id(st, 1, row->relay.v);
	store_db_int(st, 2, row->number);
	store_db_text_always(st, 3, row->host);
	store_db_int(st, 4, row->port);
	store_db_text_always(st, 5, row->tls);
	store_db_text(st, 6, row->tls_name);
	store_db_text(st, 7, row->ca_file);
	store_db_text(st, 8, row->user);
	store_db_blob(st, 9, row->secret);
	store_db_text(st, 10, row->auth);
	store_db_text(st, 11, row->senders);
	store_db_text(st, 12, row->rewrites);
	store_db_text(st, 13, row->provider);
	store_db_text(st, 14, row->allow_plaintext);
	store_db_text(st, 15, row->bounces);
	store_db_int(st, 16, row->max_connections);
	store_db_int(st, 17, row->max_recipients);
	store_db_int(st, 18, row->rate_count);
	store_db_int(st, 19, row->rate_per_s);
	store_db_int(st, 20, row->daily_quota);
	store_db_text(st, 21, row->note);
	store_db_int(st, 22, row->created_us);
	store_db_int(st, 23, row->caps_seen);
	store_db_int(st, 24, row->caps_smtputf8);
	store_db_int(st, 25, row->caps_eight_bit);
	store_db_int(st, 26, row->caps_dsn);
	store_db_id(st, 27, row->caps_size_bytes);
}

enum rc
store_config_relay_version_add(
    struct store_tx *tx, struct store_relay_version_row *row, struct fault *fault)
{
	int64_t top;
	sqlite3_stmt *st =
	    store_db_stmt(tx->db, "SELECT max(number) FROM relay_version WHERE relay = ?1");

	store_db_id(st, 1, row->relay.v);
	enum rc rc = store_db_value(tx->db, st, 0, &top, fault);
	if (rc != RC_OK)
		return rc;
	row->number = (uint32_t)top + 1;
	st = store_db_stmt(tx->db,
	    "INSERT INTO relay_version (relay, number, host, port, tls, tls_name, ca_file, user,"
	    " secret, auth, senders, rewrites, provider, allow_plaintext, bounces, max_connections,"
	    " max_recipients, rate_count, rate_per_s, daily_quota, note, created_us, caps_seen,"
	    " caps_smtputf8, caps_eight_bit, caps_dsn, caps_size_bytes) VALUES (?1, ?2, ?3, ?4, ?5,"
	    " ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,"
	    " ?24, ?25, ?26, ?27)");
	bind_version(st, row);
	return store_config_insert(tx, st, "a relay version", &row->id.v, fault);
}

enum rc
store_config_relay_version_tune(
    struct store_tx *tx, const struct store_relay_version_row *row, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "UPDATE relay_version SET secret = ?2, max_connections = ?3, max_recipients = ?4,"
	    " rate_count = ?5, rate_per_s = ?6, daily_quota = ?7, note = ?8 WHERE id = ?1");

	store_db_id(st, 1, row->id.v);
	store_db_blob(st, 2, row->secret);
	store_db_int(st, 3, row->max_connections);
	store_db_int(st, 4, row->max_recipients);
	store_db_int(st, 5, row->rate_count);
	store_db_int(st, 6, row->rate_per_s);
	store_db_int(st, 7, row->daily_quota);
	store_db_text(st, 8, row->note);
	return store_config_update(tx, st, "relay version", fault);
}

enum rc
store_config_relay_version_caps(
    struct store_tx *tx, const struct store_relay_version_row *row, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "UPDATE relay_version SET caps_seen = ?2, caps_smtputf8 = ?3, caps_eight_bit = ?4,"
	    " caps_dsn = ?5, caps_size_bytes = ?6 WHERE id = ?1");

	store_db_id(st, 1, row->id.v);
	store_db_int(st, 2, row->caps_seen);
	store_db_int(st, 3, row->caps_smtputf8);
	store_db_int(st, 4, row->caps_eight_bit);
	store_db_int(st, 5, row->caps_dsn);
	store_db_id(st, 6, row->caps_size_bytes);
	return store_config_update(tx, st, "relay version", fault);
}

static void
read_version(sqlite3_stmt *st, struct arena *a, struct store_relay_version_row *row)
{
	*row = (struct store_relay_version_row){
		.id = { store_db_col_id(st, 0) },
		.relay = { store_db_col_id(st, 1) },
		.number = (uint32_t)store_db_col_int(st, 2),
		.host = store_db_col_text(st, 3, a),
		.port = (uint16_t)store_db_col_int(st, 4),
		.tls = store_db_col_text(st, 5, a),
		.tls_name = store_db_col_text(st, 6, a),
		.ca_file = store_db_col_text(st, 7, a),
		.user = store_db_col_text(st, 8, a),
		.secret = store_db_col_text(st, 9, a),
		.auth = store_db_col_text(st, 10, a),
		.senders = store_db_col_text(st, 11, a),
		.rewrites = store_db_col_text(st, 12, a),
		.provider = store_db_col_text(st, 13, a),
		.allow_plaintext = store_db_col_text(st, 14, a),
		.bounces = store_db_col_text(st, 15, a),
		.max_connections = (uint32_t)store_db_col_int(st, 16),
		.max_recipients = (uint32_t)store_db_col_int(st, 17),
		.rate_count = (uint32_t)store_db_col_int(st, 18),
		.rate_per_s = (uint32_t)store_db_col_int(st, 19),
		.daily_quota = (uint32_t)store_db_col_int(st, 20),
		.note = store_db_col_text(st, 21, a),
		.created_us = store_db_col_int(st, 22),
		.caps_seen = store_db_col_int(st, 23) != 0,
		.caps_smtputf8 = store_db_col_int(st, 24) != 0,
		.caps_eight_bit = store_db_col_int(st, 25) != 0,
		.caps_dsn = store_db_col_int(st, 26) != 0,
		.caps_size_bytes = store_db_col_id(st, 27),
	};
}

enum rc
store_config_relay_version_list(struct store_reader *r, struct relay_id relay, struct arena *a,
    struct store_relay_version_row **rows_out, uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_relay_version_row *rows = NULL;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, relay, number, host, port, tls, tls_name, ca_file, user, secret, auth,"
	    " senders, rewrites, provider, allow_plaintext, bounces, max_connections,"
	    " max_recipients, rate_count, rate_per_s, daily_quota, note, created_us, caps_seen,"
	    " caps_smtputf8, caps_eight_bit, caps_dsn, caps_size_bytes"
	    " FROM relay_version WHERE ?1 = 0 OR relay = ?1 ORDER BY id");

	store_db_id(st, 1, relay.v);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		read_version(st, a, &rows[n++]);
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- routes */

enum rc
store_config_route_put(struct store_tx *tx, struct store_route_row *row, struct fault *fault)
{
	bool new = row->id == 0;
	sqlite3_stmt *st =
	    new ? store_db_stmt(tx->db,
		      "INSERT INTO route (name, relay, account, sender, rcpt_domain, stream, is_default,"
		      " for_bounces, note, created_us) VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
		: store_db_stmt(tx->db,
		      "UPDATE route SET name = ?2, relay = ?3, account = ?4, sender = ?5,"
		      " rcpt_domain = ?6, stream = ?7, is_default = ?8, for_bounces = ?9, note = ?10,"
		      " created_us = ?11 WHERE id = ?1");

	store_db_id(st, 1, row->id);
	store_db_text_always(st, 2, row->name);
	store_db_id_or_null(st, 3, row->relay.v);
	store_db_id_or_null(st, 4, row->account.v);
	store_db_text(st, 5, row->sender);
	store_db_text(st, 6, row->rcpt_domain);
	if (row->by_stream)
		store_db_int(st, 7, row->stream);
	store_db_int(st, 8, row->is_default);
	store_db_int(st, 9, row->for_bounces);
	store_db_text(st, 10, row->note);
	store_db_int(st, 11, row->created_us);
	return new ? store_config_insert(tx, st, "a route", &row->id, fault)
		   : store_config_update(tx, st, "route", fault);
}

enum rc
store_config_route_remove(struct store_tx *tx, uint64_t id, struct fault *fault)
{
	return store_config_delete(tx, "DELETE FROM route WHERE id = ?1", id, "route", fault);
}

enum rc
store_config_route_list(struct store_reader *r, struct arena *a, struct store_route_row **rows_out,
    uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_route_row *rows = NULL;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, name, relay, account, sender, rcpt_domain, stream, is_default, for_bounces,"
	    " note, created_us FROM route ORDER BY id");

	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		int64_t stream = store_db_col_int_or(st, 6, -1);
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		rows[n++] = (struct store_route_row){
			.id = store_db_col_id(st, 0),
			.name = store_db_col_text(st, 1, a),
			.relay = { store_db_col_id(st, 2) },
			.account = { store_db_col_id(st, 3) },
			.sender = store_db_col_text(st, 4, a),
			.rcpt_domain = store_db_col_text(st, 5, a),
			.by_stream = stream >= 0,
			.stream = stream == STREAM_BULK ? STREAM_BULK : STREAM_TRANSACTIONAL,
			.is_default = store_db_col_int(st, 7) != 0,
			.for_bounces = store_db_col_int(st, 8) != 0,
			.note = store_db_col_text(st, 9, a),
			.created_us = store_db_col_int(st, 10),
		};
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- logins by day */

enum rc
store_config_login_day_put(
    struct store_tx *tx, const struct store_login_day_row *row, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(tx->db, "INSERT OR REPLACE INTO login_day VALUES (?1, ?2, ?3, ?4)");

	store_db_id(st, 1, row->version.v);
	store_db_text_always(st, 2, row->login);
	store_db_int(st, 3, row->day);
	store_db_id(st, 4, row->count);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_config_login_day_list(struct store_reader *r, int64_t since_day, struct arena *a,
    struct store_login_day_row **rows_out, uint32_t *n_out, struct fault *fault)
{
	enum rc rc;
	uint32_t n = 0;
	struct store_login_day_row *rows = NULL;
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT version, login, day, count FROM login_day WHERE day >= ?1"
				 " ORDER BY version, login, day");

	store_db_int(st, 1, since_day);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		rows = store_config_grow(a, rows, n, sizeof(*rows));
		rows[n++] = (struct store_login_day_row){
			.version = { store_db_col_id(st, 0) },
			.login = store_db_col_text(st, 1, a),
			.day = store_db_col_int(st, 2),
			.count = store_db_col_id(st, 3),
		};
	}
	*rows_out = rows;
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_config_login_day_prune(struct store_tx *tx, int64_t day, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db, "DELETE FROM login_day WHERE day < ?1");

	store_db_int(st, 1, day);
	return store_db_run(tx->db, st, fault);
}
