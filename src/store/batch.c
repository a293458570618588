/* One group: contents, rows, commit, answers.
 *
 *	append contents ─▶ BEGIN ─▶ each operation ─▶ counters
 *	      ─▶ sync contents ─▶ COMMIT ─▶ answers
 *
 * The kernel is told to start writing the contents as soon as they are appended, so that the sync,
 * which must precede the commit, finds little left to do once the rows are in place. Whatever fails
 * undoes the whole group, in the database and in memory; the writer then runs its operations
 * singly. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/private.h"

/* ---- memory follows the disk */

static void
commit_memory(struct store *s)
{
	for (size_t i = 0; s->dispatcher != NULL && i < s->groups.n_added; i++) {
		const struct store_interned *e = s->groups.added[i];
		struct store_notice *n = mem_zalloc(sizeof(*n) + e->n + 1);
		char *key = (char *)(n + 1);
		memcpy(key, e->p, e->n);
		n->op.kind = STORE_GROUP;
		n->group.v = e->id;
		n->key = str_make(key, e->n);
		outbox_add(&s->outbox, s->dispatcher, &n->op.item);
	}
	store_intern_commit(&s->groups);
	store_intern_commit(&s->peers);
	store_floor_commit(&s->finishing);
	store_floor_commit(&s->births);
	store_segment_commit(s);
	store_tally_clear(&s->tally);
}

static void
rollback_all(struct store *s)
{
	store_db_rollback(&s->db);
	store_intern_rollback(&s->groups);
	store_intern_rollback(&s->peers);
	store_floor_rollback(&s->finishing);
	store_floor_rollback(&s->births);
	store_segment_rollback(s);
	store_tally_clear(&s->tally);
	store_window_rollback(&s->window);
}

#define FLOOR_STEP 4096

enum rc
store_batch_end(struct store *s, enum rc rc, struct fault *fault)
{
	if (rc == RC_OK)
		rc = store_tally_flush(s, fault);
	if (rc == RC_OK)
		rc = store_segment_flush(s, fault);
	if (rc == RC_OK)
		rc = store_floor_save(s, &s->finishing, FLOOR_STEP, fault);
	if (rc == RC_OK)
		rc = store_floor_save(s, &s->births, FLOOR_STEP, fault);
	if (rc == RC_OK) {
		int64_t from = clock_monotonic_us();
		store_segment_sync(s);
		int64_t synced = clock_monotonic_us();
		rc = store_db_commit(&s->db, fault);
		int64_t done = clock_monotonic_us();
		store_metrics_note(&s->metrics.commit_us, (uint64_t)(done - synced));
		s->sync_us = done - from;
	}
	if (rc == RC_OK)
		commit_memory(s);
	else
		rollback_all(s);
	return rc;
}

/* ---- one operation */

/* A call is fenced by a savepoint, so that its failure takes nobody along. */
static enum rc
run_call(struct store *s, struct store_call *op, struct fault *fault)
{
	struct store_tx tx = { .store = s, .db = &s->db };

	tx.reader = (struct store_reader){ .db = &s->db, .store = s };
	enum rc rc = store_db_run(&s->db, store_db_stmt(&s->db, "SAVEPOINT call"), fault);
	if (rc != RC_OK)
		return rc;
	size_t n_groups = s->groups.n_added;
	op->op.rc = op->run(&tx, op->arg, &op->op.fault);
	/* Some errors undo the whole transaction; then the group is run again without us. */
	if (sqlite3_get_autocommit(s->db.h)) {
		*fault = op->op.fault;
		return op->op.rc != RC_OK ? op->op.rc : fault_set(fault, RC_DB, "transaction lost");
	}
	if (op->op.rc != RC_OK) {
		store_intern_rollback_to(&s->groups, n_groups);
		rc = store_db_run(&s->db, store_db_stmt(&s->db, "ROLLBACK TO call"), fault);
	}
	if (rc == RC_OK)
		rc = store_db_run(&s->db, store_db_stmt(&s->db, "RELEASE call"), fault);
	return rc;
}

static enum rc
run_op(struct store *s, struct store_op *op, struct fault *fault)
{
	enum rc rc = RC_OK;

	if (op->rc != RC_OK)
		return RC_OK; /* refused already */
	switch (op->kind) {
	case STORE_ACCEPT:
		rc = store_accept_run(s, CONTAINER_OF(op, struct store_accept, op));
		break;
	case STORE_FINISH:
		rc = store_outcome_finish(s, CONTAINER_OF(op, struct store_finish, op));
		break;
	case STORE_OUTCOME:
		rc = store_outcome_run(s, CONTAINER_OF(op, struct store_outcome, op));
		break;
	case STORE_REFILL:
		rc = store_refill_run(s, CONTAINER_OF(op, struct store_refill, op));
		break;
	case STORE_CONFIRM:
		rc = store_idem_confirm(s, CONTAINER_OF(op, struct store_confirm, op), &op->fault);
		break;
	case STORE_CALL: return run_call(s, CONTAINER_OF(op, struct store_call, op), fault);
	case STORE_GRANT:
	case STORE_FRESH:
	case STORE_GROUP:
	case STORE_MORE: UNREACHABLE();
	}
	if (rc != RC_OK)
		*fault = op->fault;
	return rc;
}

/* ---- contents */

struct contents {
	struct store_message **v;
	size_t n;
	size_t cap;
};

static void
add_content(struct contents *c, struct store_message *m)
{
	if (c->n == c->cap) {
		c->cap = c->cap != 0 ? c->cap * 2 : 64;
		c->v = mem_realloc(c->v, c->cap * sizeof(struct store_message *));
	}
	c->v[c->n++] = m;
}

/* Decides what is refused before anything is written for it, and writes the contents of the rest.
 */
static enum rc
write_contents(struct store *s, struct store_op **ops, size_t n, struct fault *fault)
{
	struct contents c = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct store_op *op = ops[i];
		op->rc = RC_OK;
		op->fault.rc = RC_OK;
		op->fault.text[0] = '\0';
		if (op->kind == STORE_ACCEPT) {
			struct store_accept *a = CONTAINER_OF(op, struct store_accept, op);
			op->rc = store_accept_check(s, a, &op->fault);
			if (op->rc == RC_OK)
				add_content(&c, a->msg);
		} else if (op->kind == STORE_OUTCOME) {
			struct store_outcome *o = CONTAINER_OF(op, struct store_outcome, op);
			for (uint32_t g = 0; g < o->n_generated; g++)
				add_content(&c, o->generated[g]);
		}
	}
	uint64_t from = s->segments.end;
	enum rc rc = store_segment_append(s, c.v, c.n, fault);
	if (s->segments.dirty && s->segments.end > from)
		sync_file_range(s->segments.fd, (off_t)from, (off_t)(s->segments.end - from),
		    SYNC_FILE_RANGE_WRITE);
	free(c.v);
	return rc;
}

/* ---- answers */

static void
hand_over(struct store *s, struct store_message *m)
{
	if (m->n_handed == 0) {
		store_message_free(&m);
		return;
	}
	m->op.kind = STORE_FRESH;
	m->op.rc = RC_OK;
	outbox_add(&s->outbox, s->dispatcher, &m->op.item);
}

void
store_batch_answer(struct store *s, struct store_op *op)
{
	if (op->reply != NULL)
		outbox_add(&s->outbox, op->reply, &op->item);
	else if (op->dispose != NULL)
		op->dispose(op);
}

static void
settle(struct store *s, struct store_op *op)
{
	if (op->kind == STORE_ACCEPT) {
		struct store_accept *a = CONTAINER_OF(op, struct store_accept, op);
		if (op->rc == RC_OK && !a->duplicate)
			hand_over(s, TAKE(a->msg));
		else
			store_message_free(&a->msg);
		store_count(op->rc != RC_OK ? &s->metrics.refused
			    : a->duplicate  ? &s->metrics.duplicates
					    : &s->metrics.accepted,
		    1);
	} else if (op->kind == STORE_OUTCOME) {
		struct store_outcome *o = CONTAINER_OF(op, struct store_outcome, op);
		for (uint32_t i = 0; i < o->n_generated; i++)
			hand_over(s, TAKE(o->generated[i]));
	}
	store_batch_answer(s, op);
}

void
store_batch_refuse(struct store *s, struct store_op *op, const struct fault *why)
{
	op->rc = why->rc;
	op->fault = *why;
	if (op->kind == STORE_ACCEPT)
		store_message_free(&CONTAINER_OF(op, struct store_accept, op)->msg);
	if (op->kind == STORE_ACCEPT || op->kind == STORE_FINISH)
		store_count(&s->metrics.refused, 1);
	store_batch_answer(s, op);
}

enum rc
store_batch_run(struct store *s, struct store_op **ops, size_t n, struct fault *fault)
{
	int64_t from = clock_monotonic_us();
	int changes = sqlite3_total_changes(s->db.h);

	s->now_us = clock_wall_us();
	enum rc rc = write_contents(s, ops, n, fault);
	if (rc == RC_OK)
		rc = store_db_begin(&s->db, fault);
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = run_op(s, ops[i], fault);
	rc = store_batch_end(s, rc, fault);
	if (rc != RC_OK)
		return rc;
	if (s->accounts_changed) {
		struct fault ignored = { 0 };
		s->accounts_changed = store_accept_load_accounts(s, &ignored) != RC_OK;
	}
	for (size_t i = 0; i < n; i++)
		settle(s, ops[i]);
	store_window_commit(s);
	outbox_flush(&s->outbox);
	s->wrote = sqlite3_total_changes(s->db.h) != changes;
	store_metrics_note(&s->metrics.group_ops, n);
	store_metrics_note(&s->metrics.group_us, (uint64_t)(clock_monotonic_us() - from));
	return RC_OK;
}
