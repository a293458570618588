/* The queue has no index of its own for listing, so that mail which passes quickly does not pay for
 * one. The list is walked in three phases instead:
 *
 *	1  what has a due time: the dispatcher's index, in its order
 *	2  in doubt, held and captured without one: the index of what is set aside
 *	3  queued without one: in the dispatcher's hands; few, all above the floor of births
 *
 * Filters are applied row by row; a page stops when its time is used up. */
#include "store/query_queue.h"

#include "base/clock.h"
#include "store/private.h"

#define QUEUE_COLUMNS                                                                              \
	"r.id, r.msg, r.account, r.grp, r.lane, r.state, r.due_us, r.done_us, r.lived_us,"         \
	" r.domain_hash, r.last_attempt, r.attempts, r.doubts, r.notify, r.address, r.orcpt,"      \
	" m.created_us, m.deadline_us, m.segment, m.offset, m.size, m.n_rcpt, m.sender,"           \
	" m.subject, m.tag"
#define FROM_QUEUE " FROM recipient r JOIN message m ON m.id = r.msg WHERE "

enum phase { PHASE_DUE, PHASE_ASIDE, PHASE_IN_HAND, PHASE_END };

static void
read_row(sqlite3_stmt *st, struct arena *a, struct store_queue_row *row)
{
	*row = (struct store_queue_row){
		.rcpt = { .id = { store_db_col_id(st, 0) },
		    .msg = { store_db_col_id(st, 1) },
		    .account = { store_db_col_id(st, 2) },
		    .group = { store_db_col_id(st, 3) },
		    .lane =
			store_db_col_int(st, 4) == STREAM_BULK ? STREAM_BULK : STREAM_TRANSACTIONAL,
		    .state = (enum store_state)store_db_col_int(st, 5),
		    .due_us = store_db_col_int_or(st, 6, TIME_NEVER),
		    .done_us = store_db_col_int(st, 7),
		    .lived_us = store_db_col_int(st, 8),
		    .domain_hash = store_db_col_id(st, 9),
		    .last_attempt = store_db_col_id(st, 10),
		    .attempts = (uint16_t)store_db_col_int(st, 11),
		    .doubts = (uint16_t)store_db_col_int(st, 12),
		    .notify = (uint8_t)store_db_col_int(st, 13),
		    .address = store_db_col_text(st, 14, a),
		    .orcpt = store_db_col_text(st, 15, a) },
		.created_us = store_db_col_int(st, 16),
		.deadline_us = store_db_col_int_or(st, 17, TIME_NEVER),
		.content = { (uint32_t)store_db_col_int(st, 18), (uint32_t)store_db_col_int(st, 19),
		    (uint32_t)store_db_col_int(st, 20) },
		.n_rcpts = (uint32_t)store_db_col_int(st, 21),
		.sender = store_db_col_text(st, 22, a),
		.subject = store_db_col_text(st, 23, a),
		.tag = store_db_col_text(st, 24, a),
	};
}

static bool
row_fits(const struct store_queue_filter *f, sqlite3_stmt *st)
{
	if (f->by_state && store_db_col_int(st, 5) != (int64_t)f->state)
		return false;
	if (f->by_lane && store_db_col_int(st, 4) != (int64_t)f->lane)
		return false;
	if (f->account.v != 0 && store_db_col_id(st, 2) != f->account.v)
		return false;
	if (f->group.v != 0 && store_db_col_id(st, 3) != f->group.v)
		return false;
	if (f->tag.n != 0 && !str_eq(store_db_col_view(st, 24), f->tag))
		return false;
	return store_address_fits(f->address, store_db_col_view(st, 14)) &&
	       store_address_fits(f->sender, store_db_col_view(st, 22));
}

/* The statement of a phase, bound to go on after `at`. */
static sqlite3_stmt *
phase_stmt(struct store_reader *r, const struct store_queue_filter *f,
    const struct store_queue_position *at)
{
	sqlite3_stmt *st = NULL;

	switch ((enum phase)at->phase) {
	case PHASE_DUE:
		/* A filter on the group is a range of the index. */
		st = store_db_stmt(r->db,
		    "SELECT " QUEUE_COLUMNS FROM_QUEUE
		    "r.due_us IS NOT NULL AND (r.grp, r.lane, r.account, r.due_us, r.id) >"
		    " (?1, ?2, ?3, ?4, ?5) AND r.grp <= ?6"
		    " ORDER BY r.grp, r.lane, r.account, r.due_us, r.id");
		for (int i = 0; i < 5; i++)
			store_db_int(st, 1 + i, at->key[i]);
		if (f->group.v != 0 && at->key[0] < (int64_t)f->group.v) {
			store_db_id(st, 1, f->group.v);
			for (int i = 1; i < 5; i++)
				store_db_int(st, 1 + i, -1);
		}
		store_db_int(st, 6, f->group.v != 0 ? (int64_t)f->group.v : INT64_MAX);
		return st;
	case PHASE_ASIDE:
		st = store_db_stmt(r->db,
		    "SELECT " QUEUE_COLUMNS FROM_QUEUE
		    "r.state > 0 AND r.state < 4 AND (r.state, r.id) > (?1, ?2)"
		    " AND r.due_us IS NULL ORDER BY r.state, r.id");
		break;
	case PHASE_IN_HAND:
		st = store_db_stmt(r->db,
		    "SELECT " QUEUE_COLUMNS FROM_QUEUE
		    "r.id > max(?2, (SELECT value FROM meta WHERE key = 'birth_floor') - 1)"
		    " AND r.due_us IS NULL AND r.state = 0 ORDER BY r.id");
		break;
	case PHASE_END: return NULL;
	}
	store_db_int(st, 1, at->key[0]);
	store_db_int(st, 2, at->key[1]);
	return st;
}

static void
note_position(struct store_queue_position *at, sqlite3_stmt *st)
{
	int64_t id = store_db_col_int(st, 0);

	if (at->phase == PHASE_DUE) {
		at->key[0] = store_db_col_int(st, 3);
		at->key[1] = store_db_col_int(st, 4);
		at->key[2] = store_db_col_int(st, 2);
		at->key[3] = store_db_col_int(st, 6);
		at->key[4] = id;
	} else {
		at->key[0] = store_db_col_int(st, 5);
		at->key[1] = id;
	}
}

enum rc
store_query_queue(
    struct store_reader *r, struct store_queue_list *q, struct arena *a, struct fault *fault)
{
	int64_t until = clock_monotonic_us() + STORE_READ_BUDGET_US;
	uint64_t seen = 0;
	bool late = false;

	q->rows = ARENA_NEW_ARRAY(a, struct store_queue_row, q->max + 1);
	q->n = 0;
	while (q->at.phase < PHASE_END && q->n < q->max && !late) {
		enum rc rc = RC_OK;
		sqlite3_stmt *st = phase_stmt(r, &q->filter, &q->at);
		while (q->n < q->max && !late && (rc = store_db_step(r->db, st, fault)) == RC_OK) {
			note_position(&q->at, st);
			if (row_fits(&q->filter, st))
				read_row(st, a, &q->rows[q->n++]);
			late = ++seen % 64 == 0 && clock_monotonic_us() > until;
		}
		store_db_reset(st);
		if (rc != RC_OK && rc != RC_DONE)
			return rc;
		if (rc == RC_DONE)
			q->at =
			    (struct store_queue_position){ .phase = (uint8_t)(q->at.phase + 1) };
	}
	q->end = q->at.phase >= PHASE_END;
	return RC_OK;
}

/* ---- counts */

enum rc
store_query_backlog(struct store_reader *r, uint32_t max, struct arena *a,
    struct store_backlog **rows_out, uint32_t *n_out, struct fault *fault)
{
	struct store_backlog *rows = ARENA_NEW_ARRAY(a, struct store_backlog, max + 1);
	int64_t grp = -1, lane = 0, budget = STORE_BACKLOG_MAX;
	uint32_t n = 0;
	enum rc rc = RC_OK;

	while (rc == RC_OK && n < max) {
		rc = store_backlog_next(r->db, &grp, &lane, fault);
		if (rc == RC_OK)
			rc = store_backlog_count(r->db, grp, lane, &budget, &rows[n++], fault);
	}
	if (rc != RC_OK && rc != RC_DONE)
		return rc;
	*rows_out = rows;
	*n_out = n;
	return RC_OK;
}

enum rc
store_query_aside(
    struct store_reader *r, struct store_aside out[static STORE_STATE_COUNT], struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT state, n, (SELECT m.created_us FROM recipient x JOIN message m ON m.id = x.msg"
	    " WHERE x.id = lowest) FROM (SELECT state, count(*) AS n, min(id) AS lowest"
	    " FROM recipient WHERE state > 0 AND state < 4 GROUP BY state)");

	memset(out, 0, STORE_STATE_COUNT * sizeof(*out));
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		int64_t state = store_db_col_int(st, 0);
		out[state] =
		    (struct store_aside){ store_db_col_id(st, 1), store_db_col_int(st, 2) };
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- totals and statistics */

enum rc
store_query_totals(struct store_reader *r, struct account_id account, struct store_totals *out,
    struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT sum(accepted), sum(generated), sum(queued), sum(in_doubt), sum(captured),"
	    " sum(sent), sum(bounced), sum(expired), sum(failed), sum(cancelled), sum(suppressed),"
	    " sum(unknown) FROM totals WHERE ?1 = 0 OR account = ?1");

	store_db_id(st, 1, account.v);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc != RC_OK)
		return rc;
	*out = (struct store_totals){
		.account = account,
		.accepted = store_db_col_id(st, 0),
		.generated = store_db_col_id(st, 1),
		.queued = store_db_col_id(st, 2),
		.in_doubt = store_db_col_id(st, 3),
		.captured = store_db_col_id(st, 4),
		.sent = store_db_col_id(st, 5),
		.bounced = store_db_col_id(st, 6),
		.expired = store_db_col_id(st, 7),
		.failed = store_db_col_id(st, 8),
		.cancelled = store_db_col_id(st, 9),
		.suppressed = store_db_col_id(st, 10),
		.unknown = store_db_col_id(st, 11),
	};
	store_db_reset(st);
	return RC_OK;
}

bool
store_query_totals_balance(const struct store_totals *t)
{
	return t->accepted + t->generated == t->queued + t->in_doubt + t->captured + t->sent +
						 t->bounced + t->expired + t->failed +
						 t->cancelled + t->suppressed + t->unknown;
}

enum rc
store_query_stats(
    struct store_reader *r, struct store_stat_list *q, struct arena *a, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT hour, version, lane, state, attribution, count FROM stat"
				 " WHERE hour >= ?1 AND hour < ?2 AND (?3 = 0 OR version = ?3)"
				 " ORDER BY hour, version, lane, state, attribution LIMIT ?4");

	q->rows = ARENA_NEW_ARRAY(a, struct store_stat_row, q->max + 1);
	q->n = 0;
	store_db_int(st, 1, q->since_hour);
	store_db_int(st, 2, q->until_hour);
	store_db_id(st, 3, q->version.v);
	store_db_int(st, 4, q->max);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK && q->n < q->max) {
		q->rows[q->n++] = (struct store_stat_row){
			.hour = store_db_col_int(st, 0),
			.version = { store_db_col_id(st, 1) },
			.lane = store_db_col_int(st, 2) == STREAM_BULK ? STREAM_BULK
								       : STREAM_TRANSACTIONAL,
			.state = (enum store_state)store_db_col_int(st, 3),
			.attribution = (uint8_t)store_db_col_int(st, 4),
			.count = store_db_col_id(st, 5),
		};
	}
	store_db_reset(st);
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_query_group(struct store_reader *r, struct group_id id, struct arena *a, struct str *key_out,
    struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(r->db, "SELECT key FROM grp WHERE id = ?1");

	store_db_id(st, 1, id.v);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc != RC_OK)
		return rc == RC_DONE ? fault_set(fault, RC_NOT_FOUND, "there is no such group")
				     : rc;
	*key_out = store_db_col_text(st, 0, a);
	store_db_reset(st);
	return RC_OK;
}
