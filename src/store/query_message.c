/* Lists go by id, which is the order of acceptance; a message finds its recipients by their range
 * of ids and a recipient its attempts along their chain. Nothing here needs an index of its own. */
#include "store/query_message.h"

#include "base/clock.h"
#include "store/private.h"

#define MESSAGE_COLUMNS                                                                            \
	"m.id, m.account, m.credential, m.about, m.stream, m.kind, m.segment, m.offset, m.size,"   \
	" m.flags, m.n_rcpt, m.first_rcpt, m.created_us, m.deadline_us, m.send_at_us, m.ret,"      \
	" m.doubt_policy, m.sender, m.envid, m.message_id, m.subject, m.tag, m.client"

static void
read_message(sqlite3_stmt *st, struct arena *a, struct store_message_row *m)
{
	*m = (struct store_message_row){
		.id = { store_db_col_id(st, 0) },
		.account = { store_db_col_id(st, 1) },
		.credential = { store_db_col_id(st, 2) },
		.about = { store_db_col_id(st, 3) },
		.stream =
		    store_db_col_int(st, 4) == STREAM_BULK ? STREAM_BULK : STREAM_TRANSACTIONAL,
		.kind = (enum store_kind)store_db_col_int(st, 5),
		.content = { (uint32_t)store_db_col_int(st, 6), (uint32_t)store_db_col_int(st, 7),
		    (uint32_t)store_db_col_int(st, 8) },
		.flags = (uint32_t)store_db_col_int(st, 9),
		.n_rcpts = (uint32_t)store_db_col_int(st, 10),
		.first_rcpt = store_db_col_id(st, 11),
		.created_us = store_db_col_int(st, 12),
		.deadline_us = store_db_col_int_or(st, 13, TIME_NEVER),
		.send_at_us = store_db_col_int(st, 14),
		.ret = (uint8_t)store_db_col_int(st, 15),
		.doubt_policy = (uint8_t)store_db_col_int(st, 16),
		.sender = store_db_col_text(st, 17, a),
		.envid = store_db_col_text(st, 18, a),
		.message_id = store_db_col_text(st, 19, a),
		.subject = store_db_col_text(st, 20, a),
		.tag = store_db_col_text(st, 21, a),
		.client = store_db_col_text(st, 22, a),
	};
}

/* Fills in counts and the first address. */
static enum rc
read_counts(
    struct store_reader *r, struct arena *a, struct store_message_row *m, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT state, count(*), address, min(id) FROM recipient"
				 " WHERE id >= ?1 AND id < ?1 + ?2 GROUP BY state");

	store_db_id(st, 1, m->first_rcpt);
	store_db_int(st, 2, m->n_rcpts);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		int64_t state = store_db_col_int(st, 0);
		if (state >= 0 && state < STORE_STATE_COUNT)
			m->counts[state] = (uint32_t)store_db_col_int(st, 1);
		/* With min(), the other columns are those of the row that has it. */
		if (store_db_col_id(st, 3) == m->first_rcpt)
			m->first_address = store_db_col_text(st, 2, a);
	}
	return rc == RC_DONE ? RC_OK : rc;
}

static bool
message_fits(const struct store_message_filter *f, sqlite3_stmt *st)
{
	if (f->account.v != 0 && store_db_col_id(st, 1) != f->account.v)
		return false;
	if (f->until_us != 0 && store_db_col_int(st, 12) >= f->until_us)
		return false;
	if (f->tag.n != 0 && !str_eq(store_db_col_view(st, 21), f->tag))
		return false;
	if (f->message_id.n != 0 && !str_eq(store_db_col_view(st, 19), f->message_id))
		return false;
	return store_address_fits(f->sender, store_db_col_view(st, 17));
}

/* Walks down from below q->next; stops at the bound of rows, age or time. */
static enum rc
walk_messages(
    struct store_reader *r, struct store_message_list *q, struct arena *a, struct fault *fault)
{
	int64_t until = clock_monotonic_us() + STORE_READ_BUDGET_US / 2;
	int64_t since_us = q->filter.since_us;
	uint64_t seen = 0;
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(
	    r->db, "SELECT " MESSAGE_COLUMNS " FROM message m WHERE m.id < ?1 ORDER BY m.id DESC");

	store_db_id(st, 1, q->next.v != 0 ? q->next.v : INT64_MAX);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK) {
		int64_t created_us = store_db_col_int(st, 12);
		/* Created and id rise together, but for clocks that were set: a day of slack. */
		if (since_us != 0 && created_us < since_us - DAYS(1)) {
			rc = RC_DONE;
			break;
		}
		q->next.v = store_db_col_id(st, 0);
		if (created_us >= since_us && message_fits(&q->filter, st))
			read_message(st, a, &q->rows[q->n++]);
		if (q->n == q->max || (++seen % 64 == 0 && clock_monotonic_us() > until))
			break;
	}
	store_db_reset(st);
	if (rc == RC_DONE)
		q->next.v = 0;
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_query_messages(
    struct store_reader *r, struct store_message_list *q, struct arena *a, struct fault *fault)
{
	enum rc rc = RC_OK;

	q->rows = ARENA_NEW_ARRAY(a, struct store_message_row, q->max + 1);
	q->n = 0;
	q->next = q->before;
	if (q->max > 0)
		rc = walk_messages(r, q, a, fault);
	for (uint32_t i = 0; i < q->n && rc == RC_OK; i++)
		rc = read_counts(r, a, &q->rows[i], fault);
	return rc;
}

enum rc
store_query_message(struct store_reader *r, struct msg_id id, struct arena *a,
    struct store_message_row *out, struct fault *fault)
{
	struct store_message_row m;
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT " MESSAGE_COLUMNS " FROM message m WHERE m.id = ?1");

	store_db_id(st, 1, id.v);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc == RC_DONE)
		return fault_set(
		    fault, RC_NOT_FOUND, "there is no such message, or its history is gone");
	if (rc != RC_OK)
		return rc;
	read_message(st, a, &m);
	store_db_reset(st);
	rc = read_counts(r, a, &m, fault);
	if (rc == RC_OK)
		*out = m;
	return rc;
}

/* ---- recipients */

#define RCPT_COLUMNS                                                                               \
	"id, msg, account, grp, lane, state, due_us, done_us, lived_us, domain_hash,"              \
	" last_attempt, attempts, doubts, notify, address, orcpt"

static void
read_recipient(sqlite3_stmt *st, struct arena *a, struct store_recipient_row *r)
{
	*r = (struct store_recipient_row){
		.id = { store_db_col_id(st, 0) },
		.msg = { store_db_col_id(st, 1) },
		.account = { store_db_col_id(st, 2) },
		.group = { store_db_col_id(st, 3) },
		.lane = store_db_col_int(st, 4) == STREAM_BULK ? STREAM_BULK : STREAM_TRANSACTIONAL,
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
		.orcpt = store_db_col_text(st, 15, a),
	};
}

enum rc
store_query_recipients(struct store_reader *r, const struct store_message_row *m,
    struct store_recipient_list *q, struct arena *a, struct fault *fault)
{
	uint32_t left = q->skip < m->n_rcpts ? m->n_rcpts - q->skip : 0;
	uint32_t room = left < q->max ? left : q->max;
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT " RCPT_COLUMNS " FROM recipient WHERE id >= ?1 AND id < ?1 + ?2 ORDER BY id");

	q->rows = ARENA_NEW_ARRAY(a, struct store_recipient_row, room + 1);
	q->n = 0;
	store_db_id(st, 1, m->first_rcpt + q->skip);
	store_db_int(st, 2, room);
	while ((rc = store_db_step(r->db, st, fault)) == RC_OK && q->n < room)
		read_recipient(st, a, &q->rows[q->n++]);
	store_db_reset(st);
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_query_recipient(struct store_reader *r, struct rcpt_id id, struct arena *a,
    struct store_recipient_row *out, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT " RCPT_COLUMNS " FROM recipient WHERE id = ?1");

	store_db_id(st, 1, id.v);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc == RC_DONE)
		return fault_set(
		    fault, RC_NOT_FOUND, "there is no such recipient, or its history is gone");
	if (rc != RC_OK)
		return rc;
	read_recipient(st, a, out);
	store_db_reset(st);
	return RC_OK;
}

/* ---- attempts */

static enum rc
read_attempt(struct store_reader *r, uint64_t id, struct arena *a, struct store_attempt_row *out,
    uint64_t *prev_out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(r->db,
	    "SELECT a.rcpt, a.prev, a.version, a.at_us, a.duration_us, a.code, a.stage,"
	    " a.attribution, a.enhanced, a.text, p.remote, p.tls, p.name, a.code IS NULL"
	    " FROM attempt a LEFT JOIN peer p ON p.id = a.peer WHERE a.id = ?1");

	store_db_id(st, 1, id);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc != RC_OK)
		return rc;
	*out = (struct store_attempt_row){
		.id = id,
		.rcpt = { store_db_col_id(st, 0) },
		.is_open = store_db_col_int(st, 13) != 0,
		.facts = { .version = { store_db_col_id(st, 2) },
		    .at_us = store_db_col_int(st, 3),
		    .duration_us = store_db_col_int(st, 4),
		    .code = (uint16_t)store_db_col_int(st, 5),
		    .stage = (uint8_t)store_db_col_int(st, 6),
		    .attribution = (uint8_t)store_db_col_int(st, 7),
		    .enhanced = store_db_col_text(st, 8, a),
		    .text = store_db_col_text(st, 9, a),
		    .remote = store_db_col_text(st, 10, a),
		    .tls = store_db_col_text(st, 11, a),
		    .peer = store_db_col_text(st, 12, a) },
	};
	*prev_out = store_db_col_id(st, 1);
	store_db_reset(st);
	return RC_OK;
}

static enum rc
newest_attempt(struct store_reader *r, struct rcpt_id id, int64_t *out, struct fault *fault)
{
	int64_t linked;
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT coalesce(last_attempt, 0) FROM recipient WHERE id = ?1");

	store_db_id(st, 1, id.v);
	enum rc rc = store_db_value(r->db, st, -1, &linked, fault);
	if (rc != RC_OK)
		return rc;
	if (linked < 0)
		return fault_set(
		    fault, RC_NOT_FOUND, "there is no such recipient, or its history is gone");
	/* One that is about to finish is not linked yet; it is among the newest rows of all. */
	st = store_db_stmt(r->db,
	    "SELECT max(id) FROM attempt WHERE id >= (SELECT value FROM meta WHERE key ="
	    " 'finish_floor') AND rcpt = ?1 AND code IS NULL");
	store_db_id(st, 1, id.v);
	rc = store_db_value(r->db, st, 0, out, fault);
	if (rc == RC_OK && *out == 0)
		*out = linked;
	return rc;
}

enum rc
store_query_attempts(struct store_reader *r, struct rcpt_id id, struct store_attempt_list *q,
    struct arena *a, struct fault *fault)
{
	int64_t newest = 0;
	enum rc rc = newest_attempt(r, id, &newest, fault);

	if (rc != RC_OK)
		return rc;
	struct store_attempt_row *rows = ARENA_NEW_ARRAY(a, struct store_attempt_row, q->max + 1);
	uint64_t at = (uint64_t)newest;
	q->n = 0;
	while (at != 0 && q->n < q->max && rc == RC_OK) {
		/* From the end of the array down, since the chain leads backwards. */
		rc = read_attempt(r, at, a, &rows[q->max - q->n - 1], &at, fault);
		q->n += rc == RC_OK;
	}
	q->rows = &rows[q->max - q->n];
	return rc == RC_DONE ? RC_OK : rc;
}
