/* Reports and the search for what they are about. */
#include "store/report.h"

#include "base/clock.h"
#include "store/private.h"

static const char *const action_names[] = {
	[STORE_REPORT_FAILED] = "bounced",
	[STORE_REPORT_DELAYED] = "delayed",
	[STORE_REPORT_DELIVERED] = "delivered",
	[STORE_REPORT_RELAYED] = "relayed",
};
static_assert(COUNT_OF(action_names) == STORE_REPORT_COUNT, "every action has a name");

static const char *const match_names[] = {
	[STORE_MATCH_MESSAGE_ID] = "message-id",
	[STORE_MATCH_ENVID] = "envid",
	[STORE_MATCH_ADDRESS] = "address",
};
static_assert(COUNT_OF(match_names) == STORE_MATCH_COUNT, "every way has a name");

const char *
store_report_name(enum store_action action)
{
	return action_names[action];
}

const char *
store_report_match_name(enum store_match match)
{
	return match_names[match];
}

/* ---- rows */

static enum rc
count_report(struct store_tx *tx, const struct store_report_row *row, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(tx->db, "INSERT INTO report_stat VALUES (?1, ?2, ?3, ?4, ?5, 1)"
				  " ON CONFLICT DO UPDATE SET count = count + 1");

	store_db_int(st, 1, row->at_us / HOURS(1));
	store_db_id(st, 2, row->version.v);
	store_db_int(st, 3, row->lane);
	store_db_int(st, 4, row->action);
	store_db_int(st, 5, row->attribution);
	return store_db_run(tx->db, st, fault);
}

enum rc
store_report_add(struct store_tx *tx, struct store_report_row *row, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "INSERT INTO report (rcpt, version, at_us, action, attribution, matched, status, text,"
	    " reporter, mailbox, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
	    " ON CONFLICT DO NOTHING");

	store_db_id(st, 1, row->rcpt.v);
	store_db_id_or_null(st, 2, row->version.v);
	store_db_int(st, 3, row->at_us);
	store_db_int(st, 4, row->action);
	store_db_int(st, 5, row->attribution);
	store_db_int(st, 6, row->matched);
	store_db_text(st, 7, row->status);
	store_db_text(st, 8, str_sub(row->text, 0, STORE_TEXT_MAX));
	store_db_text(st, 9, str_sub(row->reporter, 0, 255));
	store_db_text(st, 10, row->mailbox);
	sqlite3_bind_blob64(
	    st, 11, row->source.n != 0 ? row->source.p : "", row->source.n, SQLITE_STATIC);
	enum rc rc = store_config_insert(tx, st, "a report", &row->id, fault);
	if (rc == RC_OK && store_db_changes(tx->db) == 0)
		return fault_set(fault, RC_EXISTS, "this report was read before");
	return rc == RC_OK ? count_report(tx, row, fault) : rc;
}

enum rc
store_report_list(
    struct store_reader *r, struct store_report_list *q, struct arena *a, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, rcpt, version, at_us, action, attribution, matched, status, text, reporter,"
	    " mailbox FROM report WHERE rcpt >= ?1 AND rcpt < ?1 + ?2 ORDER BY rcpt, id LIMIT ?3");

	q->rows = ARENA_NEW_ARRAY(a, struct store_report_row, q->max + 1);
	q->n = 0;
	store_db_id(st, 1, q->first.v);
	store_db_int(st, 2, q->n_rcpts);
	store_db_int(st, 3, q->max);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK && q->n < q->max) {
		int64_t action = store_db_col_int(st, 4), matched = store_db_col_int(st, 6);
		if (action < 0 || action >= STORE_REPORT_COUNT || matched < 0 ||
		    matched >= STORE_MATCH_COUNT)
			continue;
		q->rows[q->n++] = (struct store_report_row){
			.id = store_db_col_id(st, 0),
			.rcpt = { store_db_col_id(st, 1) },
			.version = { store_db_col_id(st, 2) },
			.at_us = store_db_col_int(st, 3),
			.action = (enum store_action)action,
			.attribution = (uint8_t)store_db_col_int(st, 5),
			.matched = (enum store_match)matched,
			.status = store_db_col_text(st, 7, a),
			.text = store_db_col_text(st, 8, a),
			.reporter = store_db_col_text(st, 9, a),
			.mailbox = store_db_col_text(st, 10, a),
		};
	}
	store_db_reset(st);
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_report_prune(struct store_tx *tx, int64_t before_us, uint32_t max, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "DELETE FROM report WHERE id IN (SELECT id FROM report WHERE at_us < ?1 LIMIT ?2)");

	store_db_int(st, 1, before_us);
	store_db_int(st, 2, max);
	return store_db_run(tx->db, st, fault);
}

/* ---- numbers */

enum rc
store_report_stats(
    struct store_reader *r, struct store_report_stats *q, struct arena *a, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT hour, version, lane, action, attribution, count FROM report_stat"
	    " WHERE hour >= ?1 AND hour < ?2 AND (?3 = 0 OR version = ?3)"
	    " ORDER BY hour, version, lane, action, attribution LIMIT ?4");

	q->rows = ARENA_NEW_ARRAY(a, struct store_report_stat, q->max + 1);
	q->n = 0;
	store_db_int(st, 1, q->since_hour);
	store_db_int(st, 2, q->until_hour);
	store_db_id(st, 3, q->version.v);
	store_db_int(st, 4, q->max);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK && q->n < q->max) {
		int64_t action = store_db_col_int(st, 3);
		if (action < 0 || action >= STORE_REPORT_COUNT)
			continue;
		q->rows[q->n++] = (struct store_report_stat){
			.hour = store_db_col_int(st, 0),
			.version = { store_db_col_id(st, 1) },
			.lane = store_db_col_int(st, 2) == STREAM_BULK ? STREAM_BULK
								       : STREAM_TRANSACTIONAL,
			.action = (enum store_action)action,
			.attribution = (uint8_t)store_db_col_int(st, 4),
			.count = store_db_col_id(st, 5),
		};
	}
	store_db_reset(st);
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- which message */

/* The time of the message at `id` or the next one there is; INT64_MAX behind the last. */
static enum rc
time_at(struct store_reader *r, int64_t id, int64_t *out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(
	    r->db, "SELECT created_us FROM message WHERE id >= ?1 ORDER BY id LIMIT 1");

	store_db_int(st, 1, id);
	return store_db_value(r->db, st, INT64_MAX, out, fault);
}

/* The lowest id that lies behind every message accepted up to `at_us`. */
static enum rc
find_start(struct store_reader *r, int64_t at_us, uint64_t *out, struct fault *fault)
{
	int64_t low = 1, high, created_us = 0;
	enum rc rc = store_db_value(
	    r->db, store_db_stmt(r->db, "SELECT max(id) FROM message"), 0, &high, fault);

	high++;
	while (rc == RC_OK && low < high) {
		int64_t middle = low + (high - low) / 2;
		rc = time_at(r, middle, &created_us, fault);
		if (created_us > at_us)
			high = middle;
		else
			low = middle + 1;
	}
	*out = (uint64_t)low;
	return rc;
}

static struct str
bare(struct str id)
{
	id = str_trim(id);
	if (id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
		id = str_sub(id, 1, id.n - 2);
	return id;
}

static bool
id_fits(struct str want, struct str have)
{
	have = bare(have);
	/* A very long one was cut when it was kept. */
	return str_eq(want, have) || (have.n >= 240 && str_starts(want, have));
}

/* The newest recipient of the message at hand that was sent to q->address. */
static enum rc
find_rcpt(struct store_reader *r, struct store_report_search *q, uint64_t first, int64_t n,
    struct fault *fault)
{
	int64_t found;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT max(id) FROM recipient WHERE id >= ?1 AND id < ?1 + ?2 AND state = ?3 AND"
	    " address = ?4 COLLATE NOCASE");

	store_db_id(st, 1, first);
	store_db_int(st, 2, n);
	store_db_int(st, 3, STORE_SENT);
	store_db_text_always(st, 4, q->address);
	enum rc rc = store_db_value(r->db, st, 0, &found, fault);
	if (rc == RC_OK && found == 0)
		return RC_NOT_FOUND;
	q->rcpt.v = (uint64_t)found;
	return rc;
}

/* Whether the message in the statement's row is the one. RC_NOT_FOUND: it is not. */
static enum rc
look_at(
    struct store_reader *r, struct store_report_search *q, sqlite3_stmt *st, struct fault *fault)
{
	struct str want = bare(q->message_id);

	if (want.n != 0) {
		if (!id_fits(want, store_db_col_view(st, 2)))
			return RC_NOT_FOUND;
	} else if (q->envid.n != 0) {
		if (!str_eq(q->envid, store_db_col_view(st, 3)))
			return RC_NOT_FOUND;
	} else {
		enum rc rc =
		    find_rcpt(r, q, store_db_col_id(st, 4), store_db_col_int(st, 5), fault);
		if (rc != RC_OK)
			return rc;
	}
	q->msg.v = store_db_col_id(st, 0);
	return RC_OK;
}

enum rc
store_report_find(struct store_reader *r, struct store_report_search *q, struct fault *fault)
{
	int64_t until = clock_monotonic_us() + STORE_READ_BUDGET_US / 2;
	uint64_t seen = 0;
	enum rc rc = RC_OK, found = RC_NOT_FOUND;

	if (bare(q->message_id).n == 0 && q->envid.n == 0 && q->address.n == 0)
		return RC_NOT_FOUND;
	if (q->next == 0)
		rc = find_start(r, q->until_us, &q->next, fault);
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT id, created_us, message_id, envid, first_rcpt, n_rcpt FROM message"
	    " WHERE id < ?1 AND kind = 0 ORDER BY id DESC");
	store_db_id(st, 1, q->next);
	while (rc == RC_OK && (rc = store_db_step(r->db, st, fault)) == RC_OK) {
		if (store_db_col_int(st, 1) < q->since_us) {
			rc = RC_DONE;
			break;
		}
		q->next = store_db_col_id(st, 0);
		found = look_at(r, q, st, fault);
		if (found != RC_NOT_FOUND)
			break;
		if (++seen % 64 == 0 && clock_monotonic_us() > until) {
			found = RC_AGAIN;
			break;
		}
	}
	store_db_reset(st);
	return rc == RC_OK || rc == RC_DONE ? found : rc;
}
