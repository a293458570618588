/* How much waits, by group and lane: one seek for each pair that has rows, and a count of its
 * range. */
#include "store/private.h"

enum rc
store_backlog_next(struct store_db *db, int64_t *grp, int64_t *lane, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(db,
	    "SELECT grp, lane FROM recipient WHERE due_us IS NOT NULL AND (grp, lane) > (?1, ?2)"
	    " ORDER BY grp, lane LIMIT 1");

	store_db_int(st, 1, *grp);
	store_db_int(st, 2, *lane);
	enum rc rc = store_db_step(db, st, fault);
	if (rc != RC_OK)
		return rc;
	*grp = store_db_col_int(st, 0);
	*lane = store_db_col_int(st, 1);
	store_db_reset(st);
	return RC_OK;
}

enum rc
store_backlog_count(struct store_db *db, int64_t grp, int64_t lane, int64_t *budget,
    struct store_backlog *out, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(db, "SELECT count(*), min(due_us) FROM (SELECT due_us FROM recipient"
			      " WHERE due_us IS NOT NULL AND grp = ?1 AND lane = ?2 LIMIT ?3)");

	store_db_int(st, 1, grp);
	store_db_int(st, 2, lane);
	store_db_int(st, 3, *budget > 1 ? *budget : 1);
	enum rc rc = store_db_step(db, st, fault);
	if (rc != RC_OK)
		return rc;
	int64_t n = store_db_col_int(st, 0);
	*out = (struct store_backlog){ .group = { (uint64_t)grp },
		.lane = lane == STREAM_BULK ? STREAM_BULK : STREAM_TRANSACTIONAL,
		.rows = n >= *budget ? STORE_BACKLOG_MAX : (uint64_t)n,
		.due_us = store_db_col_int(st, 1) };
	*budget -= n;
	store_db_reset(st);
	return RC_OK;
}
