/* What must be done sometime: one slice of about SLICE_US at a time, between groups, each a
 * transaction of its own.
 *
 *	drop	a segment without live messages: its row, then its file
 *	rescue	a recipient that has been in the dispatcher's hands while very many came after
 *		it gets a due time, so that the floor of births, and with it a restart, does not
 *		stay behind
 *	empty	a segment with few live messages: they are moved to the current one
 *	prune	messages whose last recipient was done before the retention of history: all rows
 *	forget	old keys of submissions
 *
 * A pass over history walks the message ids upwards and stops at the first one too young. */
#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/private.h"

#define SLICE_US      2000
#define BUSY_EVERY_US MS(20)
#define PASS_EVERY_US MINUTES(10)
#define MOVE_EVERY_US SECONDS(10)
#define AFTER_FAIL_US SECONDS(5)
#define RESCUE_SPAN   500000
#define RESCUE_SLICE  64
#define MOVE_MESSAGES 16
#define MOVE_BYTES    (256u << 10)

/* ---- drop */

static enum rc
drop_segment(struct store *s, struct store_segment *g, struct fault *fault)
{
	enum rc rc = store_db_begin(&s->db, fault);

	if (rc == RC_OK)
		rc = store_segment_forget(s, g, fault);
	rc = store_batch_end(s, rc, fault);
	if (rc == RC_OK)
		store_segment_unlink(s, g);
	return rc;
}

/* ---- rescue */

static enum rc
rescue_stragglers(struct store *s, struct fault *fault)
{
	uint64_t ids[RESCUE_SLICE];
	size_t n = store_floor_lowest(&s->births, ids, RESCUE_SLICE);
	enum rc rc = store_db_begin(&s->db, fault);

	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		sqlite3_stmt *st = store_db_stmt(&s->db,
		    "UPDATE recipient SET due_us = ?2 WHERE id = ?1 AND due_us IS NULL AND state = 0");
		store_db_id(st, 1, ids[i]);
		store_db_int(st, 2, s->now_us);
		rc = store_db_run(&s->db, st, fault);
		store_floor_close(&s->births, ids[i]);
	}
	return store_batch_end(s, rc, fault);
}

/* ---- empty */

struct mover {
	uint64_t msg;
	struct store_content at;
};

static enum rc
move_one(struct store *s, const struct mover *v, struct fault *fault)
{
	AUTO(store_message_free) struct store_message *m = store_message_new();

	m->id.v = v->msg;
	enum rc rc = store_content_read(s->segments.dir_fd, v->msg, v->at, &m->content, fault);
	if (rc == RC_OK)
		rc = store_segment_append(s, &m, 1, fault);
	if (rc == RC_OK)
		rc = store_segment_move(s, v->msg, v->at.segment, m->at, fault);
	if (rc == RC_OK)
		store_count(&s->metrics.moved, 1);
	return rc;
}

#define MOVER_COLUMNS "m.id, m.offset, m.size"

static enum rc
read_movers(
    struct store *s, sqlite3_stmt *st, struct mover *out, size_t *n_out, struct fault *fault)
{
	enum rc rc;
	size_t n = 0;

	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK && n < MOVE_MESSAGES) {
		out[n++] = (struct mover){ .msg = store_db_col_id(st, 0),
			.at = { s->upkeep.moving, (uint32_t)store_db_col_id(st, 1),
			    (uint32_t)store_db_col_id(st, 2) } };
	}
	store_db_reset(st);
	*n_out = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* The next few live messages of the segment being emptied: first those once moved into it, then its
 * own. */
static enum rc
find_movers(struct store *s, const struct store_segment *g, struct mover *out, size_t *n_out,
    struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "SELECT " MOVER_COLUMNS " FROM moved v JOIN message m ON m.id = v.msg"
	    " WHERE v.segment = ?1 LIMIT ?2");

	store_db_id(st, 1, g->id);
	store_db_int(st, 2, MOVE_MESSAGES);
	enum rc rc = read_movers(s, st, out, n_out, fault);
	if (rc != RC_OK || *n_out > 0)
		return rc;
	st = store_db_stmt(&s->db,
	    "SELECT " MOVER_COLUMNS
	    " FROM message m WHERE m.id BETWEEN ?2 AND ?3 AND m.segment = ?1"
	    " AND EXISTS (SELECT 1 FROM recipient r WHERE r.id >= m.first_rcpt"
	    " AND r.id < m.first_rcpt + m.n_rcpt AND r.done_us IS NULL) ORDER BY m.id LIMIT ?4");
	store_db_id(st, 1, g->id);
	store_db_id(st, 2, s->upkeep.moving_at);
	store_db_id(st, 3, g->last_msg);
	store_db_int(st, 4, MOVE_MESSAGES);
	return read_movers(s, st, out, n_out, fault);
}

static enum rc
move_some(struct store *s, const struct store_segment *g, bool *over_out, struct fault *fault)
{
	struct mover v[MOVE_MESSAGES];
	size_t n = 0;
	uint64_t bytes = 0;

	enum rc rc = store_db_begin(&s->db, fault);
	if (rc == RC_OK)
		rc = find_movers(s, g, v, &n, fault);
	for (size_t i = 0; i < n && rc == RC_OK && bytes < MOVE_BYTES; i++) {
		rc = move_one(s, &v[i], fault);
		bytes += v[i].at.bytes;
		if (rc == RC_OK && v[i].msg >= s->upkeep.moving_at)
			s->upkeep.moving_at = v[i].msg;
	}
	rc = store_batch_end(s, rc, fault);
	if (rc == RC_OK)
		*over_out = n == 0;
	return rc;
}

/* True when a slice was used. */
static bool
empty_segment(struct store *s, int64_t now_us, enum rc *rc_out, struct fault *fault)
{
	struct store_upkeep *u = &s->upkeep;
	struct store_segment *g = map_get(&s->segments.by_id, u->moving);
	bool over = false;

	if (g == NULL && now_us >= u->next_move_us) {
		g = store_segment_sparse(s, s->now_us);
		u->moving = g != NULL ? g->id : 0;
		u->moving_at = g != NULL ? g->first_msg : 0;
		u->next_move_us = now_us + MOVE_EVERY_US;
	}
	if (g == NULL)
		return false;
	*rc_out = move_some(s, g, &over, fault);
	if (*rc_out != RC_OK || over)
		u->moving = 0;
	/* What cannot be read stays where it is, and is not tried again soon. */
	if (*rc_out != RC_OK)
		u->next_move_us = now_us + PASS_EVERY_US;
	return true;
}

/* ---- prune */

struct old_message {
	uint64_t id, first_rcpt;
	int64_t n_rcpt, created_us;
};

static enum rc
is_old(
    struct store *s, const struct old_message *m, int64_t before_us, bool *out, struct fault *fault)
{
	int64_t young;
	sqlite3_stmt *st =
	    store_db_stmt(&s->db, "SELECT count(*) FROM recipient WHERE id >= ?1 AND id < ?1 + ?2"
				  " AND (done_us IS NULL OR done_us >= ?3)");

	store_db_id(st, 1, m->first_rcpt);
	store_db_int(st, 2, m->n_rcpt);
	store_db_int(st, 3, before_us);
	enum rc rc = store_db_value(&s->db, st, 0, &young, fault);
	if (rc == RC_OK)
		*out = young == 0;
	return rc;
}

static enum rc
delete_by_id(struct store *s, const char *sql, uint64_t id, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db, sql);

	store_db_id(st, 1, id);
	return store_db_run(&s->db, st, fault);
}

static enum rc
delete_recipient(struct store *s, uint64_t id, struct fault *fault)
{
	int64_t attempt;
	sqlite3_stmt *st =
	    store_db_stmt(&s->db, "SELECT last_attempt FROM recipient WHERE id = ?1");

	store_db_id(st, 1, id);
	enum rc rc = store_db_value(&s->db, st, 0, &attempt, fault);
	while (rc == RC_OK && attempt != 0) {
		uint64_t this = (uint64_t)attempt;
		st = store_db_stmt(&s->db, "SELECT prev FROM attempt WHERE id = ?1");
		store_db_id(st, 1, this);
		rc = store_db_value(&s->db, st, 0, &attempt, fault);
		if (rc == RC_OK)
			rc = delete_by_id(s, "DELETE FROM attempt WHERE id = ?1", this, fault);
	}
	return rc == RC_OK ? delete_by_id(s, "DELETE FROM recipient WHERE id = ?1", id, fault) : rc;
}

static enum rc
delete_message(struct store *s, const struct old_message *m, struct fault *fault)
{
	enum rc rc = RC_OK;

	for (int64_t i = 0; i < m->n_rcpt && rc == RC_OK; i++)
		rc = delete_recipient(s, m->first_rcpt + (uint64_t)i, fault);
	if (rc == RC_OK)
		rc = delete_by_id(s, "DELETE FROM message WHERE id = ?1", m->id, fault);
	if (rc == RC_OK)
		store_count(&s->metrics.pruned, 1);
	return rc;
}

/* Ids are never used again, though the highest rows may go. */
static enum rc
save_ids(struct store *s, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "INSERT OR REPLACE INTO meta (key, value) VALUES ('next_msg', ?1), ('next_rcpt', ?2),"
	    " ('next_attempt', ?3)");

	store_db_id(st, 1, s->next_msg);
	store_db_id(st, 2, s->next_rcpt);
	store_db_id(st, 3, s->next_attempt);
	return store_db_run(&s->db, st, fault);
}

static enum rc
next_message(struct store *s, uint64_t from, struct old_message *out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "SELECT id, first_rcpt, n_rcpt, created_us FROM message WHERE id >= ?1 ORDER BY id"
	    " LIMIT 1");

	store_db_id(st, 1, from);
	enum rc rc = store_db_step(&s->db, st, fault);
	if (rc != RC_OK)
		return rc;
	*out = (struct old_message){ store_db_col_id(st, 0), store_db_col_id(st, 1),
		store_db_col_int(st, 2), store_db_col_int(st, 3) };
	store_db_reset(st);
	return RC_OK;
}

/* Goes on from *at_io for one slice; *at_io becomes 0 where the pass is over. */
static enum rc
prune_some(struct store *s, uint64_t *at_io, struct fault *fault)
{
	int64_t until = clock_monotonic_us() + SLICE_US;
	int64_t before_us = s->now_us - s->opts.retain_history_us;
	uint64_t at = *at_io;
	bool deleted = false;
	enum rc rc = RC_OK;

	while (rc == RC_OK && clock_monotonic_us() < until) {
		struct old_message m = { 0 };
		bool old = false;
		rc = next_message(s, at, &m, fault);
		if (rc == RC_DONE || (rc == RC_OK && m.created_us >= before_us)) {
			at = 0;
			rc = RC_OK;
			break;
		}
		if (rc == RC_OK)
			rc = is_old(s, &m, before_us, &old, fault);
		if (rc == RC_OK && old) {
			rc = delete_message(s, &m, fault);
			deleted = true;
		}
		at = m.id + 1;
	}
	if (rc == RC_OK && deleted)
		rc = save_ids(s, fault);
	*at_io = at;
	return rc;
}

static enum rc
pass_step(struct store *s, struct fault *fault)
{
	struct store_upkeep *u = &s->upkeep;
	uint64_t at = u->prune_at;
	bool more = false;

	enum rc rc = store_db_begin(&s->db, fault);
	if (rc == RC_OK && at != 0)
		rc = prune_some(s, &at, fault);
	else if (rc == RC_OK)
		rc = store_idem_prune(s, s->now_us, &more, fault);
	rc = store_batch_end(s, rc, fault);
	if (rc != RC_OK)
		return rc;
	if (u->prune_at == 0)
		u->idem_pass = more;
	u->prune_at = at;
	return RC_OK;
}

/* ---- choosing */

/* Does the most urgent thing there is; false when there is none. */
static bool
do_one(struct store *s, int64_t now_us, enum rc *rc_out, struct fault *fault)
{
	struct store_upkeep *u = &s->upkeep;
	struct store_segment *idle = store_segment_idle(s, s->now_us);

	if (idle != NULL) {
		*rc_out = drop_segment(s, idle, fault);
		return true;
	}
	if (s->births.next - s->births.floor > RESCUE_SPAN) {
		*rc_out = rescue_stragglers(s, fault);
		return true;
	}
	if (empty_segment(s, now_us, rc_out, fault))
		return true;
	if (u->prune_at == 0 && !u->idem_pass && now_us >= u->next_pass_us) {
		u->next_pass_us = now_us + PASS_EVERY_US;
		u->prune_at = 1;
		u->idem_pass = true;
	}
	if (u->prune_at == 0 && !u->idem_pass)
		return false;
	*rc_out = pass_step(s, fault);
	return true;
}

bool
store_upkeep_slice(struct store *s, int64_t now_us, bool idle)
{
	struct fault why = { 0 };
	enum rc rc = RC_OK;

	if (now_us < s->upkeep.next_slice_us || s->guard.broken.rc != RC_OK)
		return false;
	s->upkeep.next_slice_us = now_us + (idle ? 0 : BUSY_EVERY_US);
	s->now_us = clock_wall_us();
	bool more = do_one(s, now_us, &rc, &why);
	if (rc != RC_OK) {
		s->upkeep.next_slice_us = now_us + AFTER_FAIL_US;
		log_event(LOG_WARN, NULL, "store.upkeep_failed", "%s", why.text);
		return false;
	}
	/* Nothing to do now: look again when something may have come up. */
	if (!more)
		s->upkeep.next_slice_us = now_us + MS(200);
	return more;
}
