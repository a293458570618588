/* A message becomes rows: one for itself, one for each recipient.
 *
 * What counts is checked here, inside the transaction: the account, the space, the key of a
 * repeated submission. A recipient whose group is open and for whom the dispatcher has room is born
 * without a due time and therefore outside the index; it is handed over in memory. Any other queued
 * one gets a due time and waits on disk. */
#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/private.h"

enum rc
store_accept_load_accounts(struct store *s, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(&s->db, "SELECT id FROM account WHERE disabled");

	map_done(&s->disabled);
	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK)
		map_put(&s->disabled, store_db_col_id(st, 0), s);
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_accept_check(struct store *s, const struct store_accept *op, struct fault *fault)
{
	ASSERT(op->msg != NULL && op->msg->n_rcpts > 0 && op->msg->content != NULL);
	if (map_get(&s->disabled, op->msg->account.v) != NULL)
		return fault_set(fault, RC_DENIED, "the account is disabled");
	return store_guard_check(s, fault);
}

static enum rc
insert_message(
    struct store *s, const struct store_message *m, uint64_t first_rcpt, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "INSERT INTO message (id, first_rcpt, n_rcpt, open_rcpt, account, credential, stream,"
	    " kind, about, created_us, segment, offset, size, flags, ret, doubt_policy, deadline_us,"
	    " send_at_us, done_us, sender, envid, message_id, subject, tag, client) VALUES (?1, ?2,"
	    " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
	    " ?21, ?22, ?23, ?24, ?25)");

	store_db_id(st, 1, m->id.v);
	store_db_id(st, 2, first_rcpt);
	store_db_int(st, 3, m->n_rcpts);
	store_db_int(st, 4, m->n_open);
	store_db_id(st, 5, m->account.v);
	store_db_id_or_null(st, 6, m->credential.v);
	store_db_int(st, 7, m->stream);
	store_db_int(st, 8, m->kind);
	store_db_id_or_null(st, 9, m->about.v);
	store_db_int(st, 10, m->created_us);
	store_db_int(st, 11, m->at.segment);
	store_db_int(st, 12, m->at.offset);
	store_db_int(st, 13, m->at.bytes);
	store_db_int(st, 14, m->flags);
	store_db_int(st, 15, m->ret);
	store_db_int(st, 16, m->doubt_policy);
	if (m->deadline_us != TIME_NEVER)
		store_db_int(st, 17, m->deadline_us);
	if (m->send_at_us != 0)
		store_db_int(st, 18, m->send_at_us);
	if (m->n_open == 0 && m->n_rcpts > 1)
		store_db_int(st, 19, s->now_us);
	store_db_text(st, 20, m->sender);
	store_db_text(st, 21, m->envid);
	store_db_text(st, 22, m->message_id);
	store_db_text(st, 23, m->subject);
	store_db_text(st, 24, m->tag);
	store_db_text(st, 25, m->client);
	return store_db_run(&s->db, st, fault);
}

static enum rc
insert_recipient(struct store *s, const struct store_message *m, const struct store_recipient *r,
    int64_t due_us, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "INSERT INTO recipient (id, msg, account, grp, lane, state, due_us, attempts, doubts,"
	    " lived_us, done_us, notify, domain_hash, address, orcpt) VALUES (?1, ?2, ?3, ?4, ?5,"
	    " ?6, ?7, 0, 0, 0, ?8, ?9, ?10, ?11, ?12)");

	store_db_id(st, 1, r->id.v);
	store_db_id(st, 2, m->id.v);
	store_db_id(st, 3, m->account.v);
	store_db_id(st, 4, r->group.v);
	store_db_int(st, 5, m->stream);
	store_db_int(st, 6, r->born);
	if (due_us != TIME_NEVER)
		store_db_int(st, 7, due_us);
	if (store_state_is_final(r->born))
		store_db_int(st, 8, s->now_us);
	store_db_int(st, 9, r->notify);
	store_db_id(st, 10, r->domain_hash);
	store_db_text_always(st, 11, r->address);
	store_db_text(st, 12, r->orcpt);
	return store_db_run(&s->db, st, fault);
}

/* Where a newborn goes: to the dispatcher (TIME_NEVER), or to disk until the returned time. */
static int64_t
place(struct store *s, struct store_message *m, struct store_recipient *r)
{
	if (r->born != STORE_QUEUED)
		return TIME_NEVER;
	if (m->send_at_us <= s->now_us && s->dispatcher != NULL &&
	    store_window_take(&s->window, r->group.v, m->stream)) {
		r->handed = true;
		m->n_handed++;
		store_floor_open(&s->births, r->id.v, 1);
		return TIME_NEVER;
	}
	/* By age where it is due at once, so that the oldest comes first. 0 has a meaning of its
	 * own. */
	int64_t due_us = m->send_at_us > s->now_us ? m->send_at_us : m->created_us;
	if (due_us <= 0)
		due_us = 1;
	store_window_more(&s->window, r->group.v, m->stream, due_us);
	return due_us;
}

static enum rc
add_recipient(
    struct store *s, struct store_message *m, struct store_recipient *r, struct fault *fault)
{
	r->id.v = s->next_rcpt++;
	r->handed = false;
	enum rc rc = store_intern_group(s, r->group_key, &r->group.v, fault);
	if (rc != RC_OK)
		return rc;
	store_tally_add(&s->tally, m->account.v,
	    m->kind == STORE_SUBMITTED ? COUNT_ACCEPTED : COUNT_GENERATED, 1);
	store_tally_add(&s->tally, m->account.v, store_tally_counter(r->born), 1);
	return insert_recipient(s, m, r, place(s, m, r), fault);
}

enum rc
store_accept_message(struct store *s, struct store_message *m, struct fault *fault)
{
	uint64_t first_rcpt = s->next_rcpt;
	enum rc rc = RC_OK;

	m->n_open = m->n_handed = 0;
	for (uint32_t i = 0; i < m->n_rcpts; i++)
		m->n_open += !store_state_is_final(m->rcpts[i].born);
	for (uint32_t i = 0; i < m->n_rcpts && rc == RC_OK; i++)
		rc = add_recipient(s, m, &m->rcpts[i], fault);
	if (rc != RC_OK)
		return rc;
	store_segment_add(s, m->at.segment, m->id.v, m->n_open > 0);
	return insert_message(s, m, first_rcpt, fault);
}

enum rc
store_accept_run(struct store *s, struct store_accept *op)
{
	struct store_message *m = op->msg;

	op->duplicate = false;
	if (m->has_key) {
		enum rc rc = store_idem_claim(
		    s, m, &op->duplicate, &op->msg_id, &op->created_us, &op->op.fault);
		if (rc != RC_OK || op->duplicate)
			return rc;
	}
	op->msg_id = m->id;
	op->created_us = m->created_us;
	return store_accept_message(s, m, &op->op.fault);
}
