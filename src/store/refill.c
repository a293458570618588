/* Pages of due rows for the dispatcher's window, in the order of the index: account, due time, id.
 *
 * One account at a time is walked, up to its share, then the next one is found by a seek; so an
 * account with a million rows costs the others nothing, and a page costs what it returns. Nothing
 * is marked: the dispatcher drops what it already holds. */
#include "base/check.h"
#include "base/clock.h"
#include "store/private.h"

void
store_refill_read(sqlite3_stmt *st, struct arena *a, struct store_row *row)
{
	*row = (struct store_row){
		.rcpt = { store_db_col_id(st, 0) },
		.msg = { store_db_col_id(st, 1) },
		.account = { store_db_col_id(st, 2) },
		.credential = { store_db_col_id(st, 3) },
		.group = { store_db_col_id(st, 4) },
		.lane = store_db_col_int(st, 5) == STREAM_BULK ? STREAM_BULK : STREAM_TRANSACTIONAL,
		.state = (enum store_state)store_db_col_int(st, 6),
		.due_us = store_db_col_int_or(st, 7, TIME_NEVER),
		.lived_us = store_db_col_int(st, 8),
		.created_us = store_db_col_int(st, 9),
		.deadline_us = store_db_col_int_or(st, 10, TIME_NEVER),
		.domain_hash = store_db_col_id(st, 11),
		.n_rcpts = (uint32_t)store_db_col_int(st, 12),
		.flags = (uint32_t)store_db_col_int(st, 13),
		.segment = (uint32_t)store_db_col_int(st, 14),
		.offset = (uint32_t)store_db_col_int(st, 15),
		.bytes = (uint32_t)store_db_col_int(st, 16),
		.attempts = (uint16_t)store_db_col_int(st, 17),
		.doubts = (uint16_t)store_db_col_int(st, 18),
		.notify = (uint8_t)store_db_col_int(st, 19),
		.ret = (uint8_t)store_db_col_int(st, 20),
		.doubt_policy = (uint8_t)store_db_col_int(st, 21),
		.kind = (uint8_t)store_db_col_int(st, 22),
		.address = store_db_col_text(st, 23, a),
		.orcpt = store_db_col_text(st, 24, a),
		.sender = store_db_col_text(st, 25, a),
		.envid = store_db_col_text(st, 26, a),
		.message_id = store_db_col_text(st, 27, a),
		.via = store_db_col_int_or(st, 28, 0),
	};
}

/* The first account from `from` on that has rows in this group and lane; 0: none. */
static enum rc
seek_account(struct store *s, const struct store_refill *op, uint64_t from, uint64_t *out,
    struct fault *fault)
{
	int64_t account;
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "SELECT account FROM recipient WHERE due_us IS NOT NULL AND grp = ?1 AND lane = ?2"
	    " AND account >= ?3 ORDER BY account LIMIT 1");

	store_db_id(st, 1, op->group.v);
	store_db_int(st, 2, op->lane);
	store_db_id(st, 3, from);
	enum rc rc = store_db_value(&s->db, st, -1, &account, fault);
	/* Account 0 is an account too: the answer is one more than its number. */
	if (rc == RC_OK)
		*out = (uint64_t)(account + 1);
	return rc;
}

/* Rows of one account after op->last. Two statements, because only so is a seek of the index exact:
 * many rows can share one due time (after a crash, or as recipients of one message), and each page
 * would walk over them all again. */
static sqlite3_stmt *
account_stmt(struct store *s, const struct store_refill *op, bool same_due, uint32_t limit)
{
	sqlite3_stmt *st =
	    same_due
		? store_db_stmt(&s->db,
		      "SELECT " STORE_ROW_COLUMNS " FROM recipient r JOIN message m ON m.id = r.msg"
		      " WHERE r.due_us IS NOT NULL AND r.grp = ?1 AND r.lane = ?2 AND r.account = ?3"
		      " AND r.due_us = ?4 AND r.id > ?6 ORDER BY r.id LIMIT ?5")
		: store_db_stmt(&s->db,
		      "SELECT " STORE_ROW_COLUMNS " FROM recipient r JOIN message m ON m.id = r.msg"
		      " WHERE r.due_us IS NOT NULL AND r.grp = ?1 AND r.lane = ?2 AND r.account = ?3"
		      " AND r.due_us > ?4 ORDER BY r.due_us, r.id LIMIT ?5");

	store_db_id(st, 1, op->group.v);
	store_db_int(st, 2, op->lane);
	store_db_id(st, 3, op->last.account.v);
	store_db_int(st, 4, op->last.due_us);
	store_db_int(st, 5, limit);
	if (same_due)
		store_db_id(st, 6, op->last.rcpt.v);
	return st;
}

/* Why no more rows of an account are taken: none is left, the next one is not due yet, or there is
 * no room for it. */
enum stop { STOP_END, STOP_LATE, STOP_ROOM };

/* Takes rows until `*room_io` is 0. *next_out is the due time of the row at which it stopped. */
static enum rc
take_rows(struct store *s, struct store_refill *op, bool same_due, uint32_t *room_io,
    enum stop *stop_out, int64_t *next_out)
{
	sqlite3_stmt *st = account_stmt(s, op, same_due, *room_io + 1);
	enum rc rc;

	while ((rc = store_db_step(&s->db, st, &op->op.fault)) == RC_OK) {
		int64_t due_us = store_db_col_int(st, 7);
		bool late = due_us > op->before_us;
		if (late || *room_io == 0) {
			*stop_out = late ? STOP_LATE : STOP_ROOM;
			*next_out = due_us;
			store_db_reset(st);
			return RC_OK;
		}
		store_refill_read(st, &op->arena, &op->rows[op->n]);
		op->last.due_us = due_us;
		op->last.rcpt = op->rows[op->n++].rcpt;
		--*room_io;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* Rows of one account, until its share or the page is full. *full_out: the page is, and there is
 * more. */
static enum rc
walk_account(struct store *s, struct store_refill *op, uint32_t max, bool *full_out)
{
	uint32_t room = max - op->n;
	enum stop stop = STOP_END;
	int64_t next_us = TIME_NEVER;
	enum rc rc = RC_OK;

	if (op->share != 0 && op->only.v == 0 && op->share < room)
		room = op->share;
	if (op->last.due_us >= 0)
		rc = take_rows(s, op, true, &room, &stop, &next_us);
	if (rc == RC_OK && stop == STOP_END)
		rc = take_rows(s, op, false, &room, &stop, &next_us);
	*full_out = stop == STOP_ROOM && op->n == max;
	/* What is passed over, because it is not due yet or its account has had its share, must be
	 * told: nobody would come back for it. */
	if (!*full_out && next_us < op->next_due_us)
		op->next_due_us = next_us;
	return rc;
}

static enum rc
walk(struct store *s, struct store_refill *op, uint32_t max)
{
	uint64_t from = op->only.v != 0 ? op->only.v : op->after.account.v;
	bool full;

	for (;;) {
		uint64_t found;
		enum rc rc = seek_account(s, op, from, &found, &op->op.fault);
		if (rc != RC_OK)
			return rc;
		if (found == 0 || (op->only.v != 0 && found - 1 != op->only.v)) {
			op->last = (struct store_position){ 0 };
			return RC_OK;
		}
		if (found - 1 != op->last.account.v)
			op->last =
			    (struct store_position){ .account = { found - 1 }, .due_us = -1 };
		rc = walk_account(s, op, max, &full);
		/* A full page goes on here; a spent share goes on with the next account. */
		if (rc != RC_OK || full)
			return rc;
		from = found;
	}
}

enum rc
store_refill_run(struct store *s, struct store_refill *op)
{
	uint32_t max = op->max < STORE_REFILL_MAX ? op->max : STORE_REFILL_MAX;

	store_refill_done(op);
	arena_init(&op->arena);
	op->next_due_us = TIME_NEVER;
	op->last = op->after;
	if (op->only.v != 0 && op->last.account.v != op->only.v)
		op->last = (struct store_position){ .account = op->only, .due_us = -1 };
	else if (op->last.due_us == 0 && op->last.rcpt.v == 0)
		op->last.due_us = -1;
	if (max == 0)
		return RC_OK;
	op->rows = ARENA_NEW_ARRAY(&op->arena, struct store_row, max);
	enum rc rc = walk(s, op, max);
	if (rc == RC_OK) {
		store_window_asked(&s->window, op->group.v, op->lane);
		store_count(&s->metrics.refilled, op->n);
	}
	return rc;
}
