/* The disk: rows and counters that survive, and the writer's FIFO in front of them.
 *
 * An operation is posted, committed in order, and its acknowledgement read in order; a crash may
 * come between any two of these. Rows handed to the window at birth have no due time and are in no
 * index; a page walks the others by (account, due time, id) of one group and lane. */
#include "sim.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct row *
disk_row(struct sim *s, uint64_t id)
{
	ASSERT(id > 0 && id <= s->disk.n_rows);
	return &s->disk.rows[id - 1];
}

bool
disk_is_live(const struct row *row)
{
	return row->state == ROW_QUEUED || (row->state == ROW_IN_DOUBT && row->due_us != DUE_NONE);
}

struct op *
disk_op(enum op_kind kind)
{
	struct op *op = MEM_NEW(struct op);

	op->kind = kind;
	return op;
}

void
disk_op_free(struct op **opp)
{
	struct op *op = TAKE(*opp);

	if (op == NULL)
		return;
	free(op->birth);
	free(op->rows);
	free(op);
}

void
disk_post(struct sim *s, struct op *op)
{
	list_push_back(&s->disk.posted, &op->link);
}

static struct row *
new_row(struct disk *d)
{
	if (d->n_rows == d->cap) {
		d->cap = d->cap != 0 ? d->cap * 2 : 256;
		d->rows = mem_realloc(d->rows, d->cap * sizeof(struct row));
	}
	struct row *row = &d->rows[d->n_rows++];
	*row = (struct row){ .id = d->n_rows };
	return row;
}

static void
born(struct sim *s, struct op *op, const struct row *like)
{
	struct row *row = new_row(&s->disk);
	uint64_t id = row->id;

	*row = *like;
	row->id = id;
	row->committed_us = s->now_us;
	row->open_at_birth_us = s->open_us[row->group];
	if (row->generated)
		s->disk.generated++;
	else
		s->disk.accepted++;
	op->rows = mem_realloc(op->rows, (op->n_rows + 1) * sizeof(struct row));
	op->rows[op->n_rows++] = *row;
}

static void
commit_accept(struct sim *s, struct op *op)
{
	uint64_t msg = ++s->disk.next_msg;

	for (size_t i = 0; i < op->n_birth; i++) {
		op->birth[i].msg = msg;
		born(s, op, &op->birth[i]);
	}
}

/* A report about `about` to its sender: a message of the house, transactional, never repeated
 * unseen. */
static void
report(struct sim *s, struct op *op, const struct row *about)
{
	struct row row = {
		.msg = ++s->disk.next_msg,
		.account = about->account,
		.group = 1,
		.dest = 0,
		.lane = STREAM_TRANSACTIONAL,
		.state = ROW_QUEUED,
		.due_us = DUE_NULL,
		.deadline_us = TIME_NEVER,
		.policy = QUEUE_DOUBT_AT_MOST_ONCE,
		.generated = true,
	};

	born(s, op, &row);
}

static void
commit_finish(struct sim *s, struct op *op)
{
	for (size_t i = 0; i < op->n; i++) {
		struct row *row = disk_row(s, op->entries[i].id);
		op->entries[i].refused = !disk_is_live(row);
		if (!op->entries[i].refused)
			row->finishing = true;
	}
}

static void
commit_outcome(struct sim *s, struct op *op)
{
	for (size_t i = 0; i < op->n; i++) {
		struct entry *e = &op->entries[i];
		struct row *row = disk_row(s, e->id);
		e->refused = !disk_is_live(row);
		if (e->refused)
			continue;
		row->state = e->to;
		row->due_us = e->due_us;
		row->lived_us = e->lived_us;
		row->attempts = e->attempts;
		row->doubts = e->doubts;
		row->finishing = false;
		row->repeats += e->repeat;
		if (e->to < ROW_FINAL_COUNT)
			s->disk.finals[e->to]++;
		if (e->bounce) {
			struct row about = *row;
			report(s, op, &about);
		}
	}
}

static void
commit_due(struct sim *s, struct op *op)
{
	for (size_t i = 0; i < op->n; i++) {
		struct row *row = disk_row(s, op->entries[i].id);
		op->entries[i].refused = !disk_is_live(row);
		if (op->entries[i].refused)
			continue;
		row->due_us = op->entries[i].due_us;
		row->lived_us = op->entries[i].lived_us;
	}
}

/* A row that the window has not got, as far as the dispatcher knows. */
static void
commit_cancel(struct sim *s, struct op *op)
{
	struct row *row = disk_row(s, op->entries[0].id);

	if (row->state != ROW_QUEUED || row->due_us == DUE_NULL || row->finishing)
		return;
	row->state = ROW_CANCELLED;
	s->disk.finals[ROW_CANCELLED]++;
}

static bool
is_after(const struct row *row, const struct place *at)
{
	if (row->account != at->account)
		return row->account > at->account;
	if (row->due_us != at->due_us)
		return row->due_us > at->due_us;
	return row->id > at->id;
}

static int
by_place(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (ID_EQ(((struct rcpt_id){ x->id }), ((struct rcpt_id){ y->id })))
		return 0;
	return is_after(x, &(struct place){ y->account, y->id, y->due_us }) ? 1 : -1;
}

int64_t
disk_first_due(struct sim *s, uint64_t group, enum stream lane, int64_t after_us)
{
	int64_t first = TIME_NEVER;

	for (size_t i = 0; i < s->disk.n_rows; i++) {
		const struct row *row = &s->disk.rows[i];
		if (row->group == group && row->lane == lane && disk_is_live(row) &&
		    row->due_us != DUE_NULL && row->due_us > after_us && row->due_us < first)
			first = row->due_us;
	}
	return first;
}

static void
commit_refill(struct sim *s, struct op *op)
{
	struct row *all = MEM_NEW_ARRAY(struct row, s->disk.n_rows + 1);
	size_t n = 0, same = 0;

	for (size_t i = 0; i < s->disk.n_rows; i++) {
		const struct row *row = &s->disk.rows[i];
		if (row->group == op->want.group_id.v && row->lane == op->want.lane &&
		    disk_is_live(row) && row->due_us != DUE_NULL && row->due_us <= s->now_us &&
		    is_after(row, &op->after))
			all[n++] = *row;
	}
	qsort(all, n, sizeof(*all), by_place);
	op->rows = MEM_NEW_ARRAY(struct row, op->want.count + 1);
	for (size_t i = 0; i < n; i++) {
		if (op->n_rows == op->want.count) {
			op->full = true;
			break;
		}
		same = i > 0 && all[i].account == all[i - 1].account ? same + 1 : 1;
		if (same > op->want.per_account)
			op->skipped = true;
		else
			op->rows[op->n_rows++] = all[i];
	}
	free(all);
	op->next_due_us = disk_first_due(s, op->want.group_id.v, op->want.lane, s->now_us);
	s->refills++;
}

bool
disk_commit(struct sim *s)
{
	struct op *op = LIST_FIRST(&s->disk.posted, struct op, link);

	if (op == NULL)
		return false;
	list_remove(&op->link);
	switch (op->kind) {
	case OP_ACCEPT: commit_accept(s, op); break;
	case OP_FINISH: commit_finish(s, op); break;
	case OP_OUTCOME: commit_outcome(s, op); break;
	case OP_DUE: commit_due(s, op); break;
	case OP_REFILL: commit_refill(s, op); break;
	case OP_CANCEL: commit_cancel(s, op); break;
	}
	list_push_back(&s->disk.committed, &op->link);
	return true;
}

struct op *
disk_read(struct sim *s)
{
	struct op *op = LIST_FIRST(&s->disk.committed, struct op, link);

	if (op != NULL)
		list_remove(&op->link);
	return op;
}

static void
drop_all(struct list *ops)
{
	struct op *op;

	while ((op = LIST_FIRST(ops, struct op, link)) != NULL) {
		list_remove(&op->link);
		disk_op_free(&op);
	}
}

/* What is about to finish and has no outcome may have arrived. */
static void
recover_doubt(struct sim *s, struct row *row)
{
	struct queue_doubt doubt = { row->policy, ++row->doubts, s->now_us, row->deadline_us };
	struct queue_doubt_verdict v = queue_doubt_decide(&doubt, s->now_us);

	row->finishing = false;
	s->doubts++;
	switch (v.step) {
	case QUEUE_DOUBT_UNKNOWN:
		row->state = ROW_UNKNOWN;
		s->disk.finals[ROW_UNKNOWN]++;
		return;
	case QUEUE_DOUBT_REPEAT: row->repeats++; FALLTHROUGH;
	case QUEUE_DOUBT_HOLD: row->state = ROW_IN_DOUBT; row->due_us = v.at_us;
	}
}

void
disk_crash(struct sim *s)
{
	drop_all(&s->disk.posted);
	drop_all(&s->disk.committed);
	for (size_t i = 0; i < s->disk.n_rows; i++) {
		struct row *row = &s->disk.rows[i];
		if (row->finishing)
			recover_doubt(s, row);
		if (row->due_us == DUE_NULL)
			row->due_us = s->now_us;
	}
}

void
disk_free(struct disk *d)
{
	drop_all(&d->posted);
	drop_all(&d->committed);
	free(d->rows);
	*d = (struct disk){ 0 };
}
