/* The dot journal, and what became of recipients.
 *
 * FINISH inserts an attempt without a code for each recipient: an open question, committed before
 * the final dot leaves. OUTCOME answers it. A result costs two updates on the common path: the
 * attempt, and the recipient under the condition that it is still in the state which the dispatcher
 * takes it for. Only where that does not hold (an operator was faster) is the row read. */
#include "base/check.h"
#include "base/clock.h"
#include "store/private.h"

static enum rc
insert_attempt(struct store *s, uint64_t id, struct rcpt_id rcpt, struct version_id version,
    int64_t at_us, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "INSERT INTO attempt (id, rcpt, prev, version, at_us)"
	    " VALUES (?1, ?2, (SELECT last_attempt FROM recipient WHERE id = ?2), ?3, ?4)");

	store_db_id(st, 1, id);
	store_db_id(st, 2, rcpt.v);
	store_db_id_or_null(st, 3, version.v);
	store_db_int(st, 4, at_us);
	return store_db_run(&s->db, st, fault);
}

enum rc
store_outcome_finish(struct store *s, struct store_finish *op)
{
	enum rc rc = RC_OK;

	ASSERT(op->n > 0);
	op->first_attempt = s->next_attempt;
	s->next_attempt += op->n;
	for (uint32_t i = 0; i < op->n && rc == RC_OK; i++)
		rc = insert_attempt(
		    s, op->first_attempt + i, op->rcpts[i], op->version, op->at_us, &op->op.fault);
	if (rc == RC_OK)
		store_floor_open(&s->finishing, op->first_attempt, op->n);
	return rc;
}

static enum rc
answer_attempt(struct store *s, uint64_t id, const struct store_attempt *a, struct fault *fault)
{
	uint64_t peer;
	enum rc rc = store_intern_peer(s, a->remote, a->tls, a->peer, &peer, fault);

	if (rc != RC_OK)
		return rc;
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "UPDATE attempt SET at_us = ?2, duration_us = ?3, code = ?4, stage = ?5,"
	    " attribution = ?6, peer = ?7, enhanced = ?8, text = ?9, version = ?10 WHERE id = ?1");
	store_db_id(st, 1, id);
	store_db_int(st, 2, a->at_us);
	store_db_int(st, 3, a->duration_us);
	store_db_int(st, 4, a->code);
	store_db_int(st, 5, a->stage);
	store_db_int(st, 6, a->attribution);
	store_db_id_or_null(st, 7, peer);
	store_db_text(st, 8, str_sub(a->enhanced, 0, 16));
	store_db_text(st, 9, str_sub(a->text, 0, STORE_TEXT_MAX));
	store_db_id_or_null(st, 10, a->version.v);
	return store_db_run(&s->db, st, fault);
}

static void
count_attempt(struct store *s, const struct store_result *r)
{
	store_tally_stat(&s->tally, &(struct store_stat){ .hour = r->facts->at_us / HOURS(1),
					.version = r->facts->version.v,
					.lane = (uint8_t)r->lane,
					.state = (uint8_t)r->to,
					.attribution = r->facts->attribution,
					.count = 1 });
}

/* Records the try, where there was one. *attempt_out: its id, or 0. */
static enum rc
record_attempt(
    struct store *s, const struct store_result *r, uint64_t *attempt_out, struct fault *fault)
{
	static const struct store_attempt nothing = { 0 };
	const struct store_attempt *facts = r->facts;
	uint64_t id = r->attempt;
	enum rc rc = RC_OK;

	if (facts == NULL && id == 0) {
		*attempt_out = 0;
		return RC_OK;
	}
	if (id == 0) {
		id = s->next_attempt++;
		rc = insert_attempt(s, id, r->rcpt, facts->version, facts->at_us, fault);
	} else {
		store_floor_close(&s->finishing, id);
	}
	if (rc == RC_OK)
		rc = answer_attempt(s, id, facts != NULL ? facts : &nothing, fault);
	if (rc == RC_OK && facts != NULL)
		count_attempt(s, r);
	*attempt_out = id;
	return rc;
}

static int64_t
due_of(const struct store_result *r)
{
	if (store_state_is_final(r->to))
		return TIME_NEVER;
	/* A queued one without a time would be seen by nobody after a restart. 0 has a meaning of
	 * its own. */
	if (r->due_us == TIME_NEVER && r->to == STORE_QUEUED)
		return r->at_us > 0 ? r->at_us : 1;
	return r->due_us > 0 ? r->due_us : 1;
}

/* Updates the row if it is in state `from`; *hit_out says whether it was. */
static enum rc
update_recipient(struct store *s, const struct store_result *r, enum store_state from,
    uint64_t attempt, bool *hit_out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "UPDATE recipient SET state = ?3, due_us = ?4, attempts = ?5, doubts = ?6,"
	    " lived_us = ?7, done_us = ?8, last_attempt = coalesce(?9, last_attempt),"
	    " grp = coalesce(?10, grp), via = CASE ?11 WHEN 0 THEN via ELSE ?12 END WHERE id = ?1 AND state = ?2");
	int64_t due_us = due_of(r);

	store_db_id(st, 1, r->rcpt.v);
	store_db_int(st, 2, from);
	store_db_int(st, 3, r->to);
	if (due_us != TIME_NEVER)
		store_db_int(st, 4, due_us);
	store_db_int(st, 5, r->attempts);
	store_db_int(st, 6, r->doubts);
	store_db_int(st, 7, r->lived_us);
	if (store_state_is_final(r->to))
		store_db_int(st, 8, r->at_us);
	store_db_id_or_null(st, 9, attempt);
	store_db_id_or_null(st, 10, r->to_group.v);
	store_db_int(st, 11, r->via);
	if (r->via != 0 && r->via != STORE_VIA_NONE)
		store_db_int(st, 12, r->via);
	enum rc rc = store_db_run(&s->db, st, fault);
	*hit_out = rc == RC_OK && store_db_changes(&s->db) == 1;
	return rc;
}

/* One recipient of the message less is open. */
static enum rc
close_recipient(struct store *s, const struct store_result *r, struct fault *fault)
{
	if (r->n_rcpts == 1) {
		store_segment_release(s, r->segment, r->msg.v, r->at_us);
		return RC_OK;
	}
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "UPDATE message SET open_rcpt = open_rcpt - 1,"
	    " done_us = CASE open_rcpt WHEN 1 THEN ?2 END WHERE id = ?1 RETURNING open_rcpt, segment");
	store_db_id(st, 1, r->msg.v);
	store_db_int(st, 2, r->at_us);
	enum rc rc = store_db_step(&s->db, st, fault);
	if (rc != RC_OK)
		return rc == RC_DONE ? RC_OK : rc;
	int64_t open = store_db_col_int(st, 0);
	uint32_t segment = (uint32_t)store_db_col_id(st, 1);
	rc = store_db_run(&s->db, st, fault);
	if (rc == RC_OK && open == 0)
		store_segment_release(s, segment, r->msg.v, r->at_us);
	return rc;
}

static enum rc
read_state(struct store *s, struct rcpt_id rcpt, int64_t *state_out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db, "SELECT state FROM recipient WHERE id = ?1");

	store_db_id(st, 1, rcpt.v);
	return store_db_value(&s->db, st, -1, state_out, fault);
}

static enum rc
link_attempt(struct store *s, struct rcpt_id rcpt, uint64_t attempt, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(&s->db, "UPDATE recipient SET last_attempt = ?2 WHERE id = ?1");

	store_db_id(st, 1, rcpt.v);
	store_db_id(st, 2, attempt);
	return store_db_run(&s->db, st, fault);
}

/* The row is not in the state that the dispatcher takes it for. A final state stands, with the
 * attempt put on record; only a mail that went out replaces it, because that is what happened. */
static enum rc
settle_mismatch(struct store *s, struct store_result *r, uint64_t attempt, struct fault *fault)
{
	int64_t found;
	bool hit;
	enum rc rc = read_state(s, r->rcpt, &found, fault);

	if (rc != RC_OK)
		return rc;
	/* A row that history no longer has was final. */
	r->was_final = found < 0 || store_state_is_final((enum store_state)found);
	if (found < 0)
		return RC_OK;
	if (r->was_final && (r->to != STORE_SENT || found == STORE_SENT))
		return attempt != 0 ? link_attempt(s, r->rcpt, attempt, fault) : RC_OK;
	rc = update_recipient(s, r, (enum store_state)found, attempt, &hit, fault);
	if (rc != RC_OK)
		return rc;
	store_tally_move(&s->tally, r->account.v, (enum store_state)found, r->to);
	if (!r->was_final && store_state_is_final(r->to))
		return close_recipient(s, r, fault);
	return RC_OK;
}

static enum rc
run_result(struct store *s, struct store_result *r, struct fault *fault)
{
	uint64_t attempt;
	bool hit = false;

	r->was_final = false;
	store_floor_close(&s->births, r->rcpt.v);
	enum rc rc = record_attempt(s, r, &attempt, fault);
	if (rc == RC_OK && !store_state_is_final(r->from))
		rc = update_recipient(s, r, r->from, attempt, &hit, fault);
	if (rc != RC_OK)
		return rc;
	if (!hit)
		return settle_mismatch(s, r, attempt, fault);
	if (r->from != r->to)
		store_tally_move(&s->tally, r->account.v, r->from, r->to);
	return store_state_is_final(r->to) ? close_recipient(s, r, fault) : RC_OK;
}

enum rc
store_outcome_run(struct store *s, struct store_outcome *op)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < op->n && rc == RC_OK; i++)
		rc = run_result(s, &op->results[i], &op->op.fault);
	for (uint32_t i = 0; i < op->n_generated && rc == RC_OK; i++)
		rc = store_accept_message(s, op->generated[i], &op->op.fault);
	return rc;
}
