/* A slice is read whole before anything is changed, since a change moves rows within the very index
 * that is walked. As with refills, two statements follow each other where many rows share one due
 * time, because only so is each seek exact. */
#include "store/regroup.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/private.h"

#define KEY_LIMIT 4096

struct slice {
	struct arena arena;
	struct store_row *rows;
	uint32_t n;
};

static enum rc
read_rows(struct store_tx *tx, sqlite3_stmt *st, uint32_t max, struct slice *out, struct fault *f)
{
	enum rc rc = RC_OK;

	while (out->n < max && (rc = store_db_step(tx->db, st, f)) == RC_OK)
		store_refill_read(st, &out->arena, &out->rows[out->n++]);
	if (rc == RC_OK)
		store_db_reset(st);
	return rc == RC_DONE ? RC_OK : rc;
}

static enum rc
read_due(struct store_tx *tx, const struct store_regroup *r, struct slice *out, struct fault *f)
{
	sqlite3_stmt *same = store_db_stmt(tx->db,
	    "SELECT " STORE_ROW_COLUMNS " FROM recipient r JOIN message m ON m.id = r.msg"
	    " WHERE r.due_us IS NOT NULL AND r.grp = ?1 AND r.lane = ?2 AND r.account = ?3"
	    " AND r.due_us = ?4 AND r.id > ?5 ORDER BY r.id LIMIT ?6");

	store_db_id(same, 1, r->group.v);
	store_db_int(same, 2, r->from.lane);
	store_db_id(same, 3, r->from.account);
	store_db_int(same, 4, r->from.due_us);
	store_db_id(same, 5, r->from.rcpt);
	store_db_int(same, 6, r->max);
	enum rc rc = read_rows(tx, same, r->max, out, f);
	if (rc != RC_OK || out->n == r->max)
		return rc;
	sqlite3_stmt *later = store_db_stmt(tx->db,
	    "SELECT " STORE_ROW_COLUMNS " FROM recipient r JOIN message m ON m.id = r.msg"
	    " WHERE r.due_us IS NOT NULL AND r.grp = ?1"
	    " AND (r.lane, r.account, r.due_us) > (?2, ?3, ?4)"
	    " ORDER BY r.lane, r.account, r.due_us, r.id LIMIT ?5");
	store_db_id(later, 1, r->group.v);
	store_db_int(later, 2, r->from.lane);
	store_db_id(later, 3, r->from.account);
	store_db_int(later, 4, r->from.due_us);
	store_db_int(later, 5, r->max - out->n);
	return read_rows(tx, later, r->max, out, f);
}

/* Those with a due time are met with their group. */
static enum rc
read_aside(struct store_tx *tx, const struct store_regroup *r, struct slice *out, struct fault *f)
{
	sqlite3_stmt *st = store_db_stmt(tx->db,
	    "SELECT " STORE_ROW_COLUMNS " FROM recipient r INDEXED BY recipient_aside"
	    " JOIN message m ON m.id = r.msg WHERE r.state > 0 AND r.state < 4 AND r.state = ?1"
	    " AND r.id > ?2 ORDER BY r.id LIMIT ?3");

	store_db_int(st, 1, r->from.lane);
	store_db_id(st, 2, r->from.rcpt);
	store_db_int(st, 3, r->max);
	return read_rows(tx, st, r->max, out, f);
}

static enum rc
move(struct store_tx *tx, const struct store_row *row, uint64_t group, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(tx->db, "UPDATE recipient SET grp = ?2 WHERE id = ?1 AND grp = ?3");

	store_db_id(st, 1, row->rcpt.v);
	store_db_id(st, 2, group);
	store_db_id(st, 3, row->group.v);
	enum rc rc = store_db_run(tx->db, st, fault);
	if (rc == RC_OK && row->due_us != TIME_NEVER)
		store_window_more(
		    &tx->store->window, group, row->lane, row->due_us > 0 ? row->due_us : 1);
	return rc;
}

static enum rc
place(struct store_tx *tx, struct store_regroup *r, const struct store_row *row, struct fault *f)
{
	AUTO(buf_done) struct buf key = { 0 };
	uint64_t group = 0;

	buf_init(&key, KEY_LIMIT);
	r->key(r->arg, row, &key);
	if (buf_len(&key) == 0 || !buf_is_ok(&key))
		return RC_OK;
	enum rc rc = store_intern_group(tx->store, buf_str(&key), &group, f);
	if (rc != RC_OK || group == row->group.v)
		return rc;
	r->moved++;
	return move(tx, row, group, f);
}

static void
advance(struct store_regroup *r, const struct slice *s)
{
	bool aside = ID_IS_NONE(r->group);

	r->next = r->from;
	r->is_done = s->n < r->max;
	if (s->n != 0) {
		const struct store_row *last = &s->rows[s->n - 1];
		r->next = (struct store_regroup_at){ last->lane, last->account.v, last->due_us,
			last->rcpt.v };
	}
	if (!aside)
		return;
	/* Here the state stands in place of the lane: in doubt, held, captured. */
	r->next.lane = r->from.lane;
	if (r->is_done && r->from.lane < STORE_CAPTURED) {
		r->next = (struct store_regroup_at){ .lane = r->from.lane + 1 };
		r->is_done = false;
	}
}

enum rc
store_regroup_run(struct store_tx *tx, struct store_regroup *r, struct fault *fault)
{
	struct slice s = { 0 };
	bool aside = ID_IS_NONE(r->group);
	enum rc rc;

	ASSERT(r->max > 0 && r->key != NULL);
	r->moved = 0;
	if (aside && r->from.lane == 0)
		r->from.lane = STORE_IN_DOUBT;
	s.rows = ARENA_NEW_ARRAY(&s.arena, struct store_row, r->max);
	rc = aside ? read_aside(tx, r, &s, fault) : read_due(tx, r, &s, fault);
	for (uint32_t i = 0; i < s.n && rc == RC_OK; i++) {
		if (!aside || s.rows[i].due_us == TIME_NEVER)
			rc = place(tx, r, &s.rows[i], fault);
	}
	if (rc == RC_OK)
		advance(r, &s);
	arena_done(&s.arena);
	return rc;
}
