/* Reads the newest messages by their key, so that the cost does not grow with the history. */
#include "store/query_use.h"

#include "base/clock.h"
#include "store/private.h"

static enum rc
read_sums(struct store_reader *r, struct store_use *out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT count(*), max(size), max(n_rcpt), sum(flags & 1), sum(flags & 2) / 2,"
	    " count(envid) FROM message WHERE id > (SELECT max(id) FROM message) - ?1 AND kind = 0");

	static_assert(STORE_8BITMIME == 1 && STORE_SMTPUTF8 == 2, "the statement says so");
	store_db_int(st, 1, STORE_USE_SAMPLE);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc != RC_OK)
		return rc;
	out->messages = store_db_col_id(st, 0);
	out->max_bytes = store_db_col_id(st, 1);
	out->max_rcpts = (uint32_t)store_db_col_int(st, 2);
	out->eight_bit = store_db_col_id(st, 3);
	out->utf8 = store_db_col_id(st, 4);
	out->dsn = store_db_col_id(st, 5);
	store_db_reset(st);
	return RC_OK;
}

static enum rc
read_senders(struct store_reader *r, struct arena *a, struct store_use *out, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT sender, count(*) FROM message WHERE id > (SELECT max(id) FROM message) - ?1"
	    " AND kind = 0 GROUP BY sender ORDER BY 2 DESC LIMIT ?2");

	store_db_int(st, 1, STORE_USE_SAMPLE);
	store_db_int(st, 2, STORE_USE_SENDERS);
	out->senders = ARENA_NEW_ARRAY(a, struct store_use_sender, STORE_USE_SENDERS);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK)
		out->senders[out->n_senders++] =
		    (struct store_use_sender){ store_db_col_text(st, 0, a),
			    store_db_col_id(st, 1) };
	return rc == RC_DONE ? RC_OK : rc;
}

static enum rc
read_busiest(struct store_reader *r, int64_t hours, uint64_t *out, struct fault *fault)
{
	int64_t most = 0;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT max(n) FROM (SELECT sum(count) AS n FROM stat WHERE hour >= ?1 AND state = ?2"
	    " GROUP BY hour / ?3)");

	store_db_int(st, 1, clock_wall_us() / HOURS(1) - 7 * 24);
	store_db_int(st, 2, STORE_SENT);
	store_db_int(st, 3, hours);
	enum rc rc = store_db_value(r->db, st, 0, &most, fault);
	*out = (uint64_t)most;
	return rc;
}

enum rc
store_query_use(struct store_reader *r, struct arena *a, struct store_use *out, struct fault *fault)
{
	*out = (struct store_use){ 0 };
	enum rc rc = read_sums(r, out, fault);

	if (rc == RC_OK)
		rc = read_senders(r, a, out, fault);
	if (rc == RC_OK)
		rc = read_busiest(r, 1, &out->busiest_hour, fault);
	if (rc == RC_OK)
		rc = read_busiest(r, 24, &out->busiest_day, fault);
	return rc;
}
