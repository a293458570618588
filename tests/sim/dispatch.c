/* The dispatcher: takes from the queue what may go, follows each transaction, and tells the disk.
 *
 * The rules that keep everything once and only once:
 *
 * - An item stays OUT until the outcome of its attempt is committed and that is read. Pages and
 * acknowledgements come in one order, so a page that was read before the outcome finds the id still
 * held, and is dropped.
 * - No dot without a committed FINISH. One that finds its row no longer live (cancelled meanwhile)
 * is refused.
 * - What the window cannot take gets a due time on disk, if it has none, and the queue is told that
 * there is more. */
#include "sim.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "queue/retry.h"

/* In `load`: the row has a due time on disk, so it can leave the window without a word. */
#define ON_DISK      ((void *)1)

#define EXPIRE_AFTER DAYS(5)

void
dispatch_start(struct sim *s)
{
	struct dispatcher *d = &s->d;
	static const size_t capacities[] = { 12, 40, 200 };

	*d = (struct dispatcher){ 0 };
	d->q = queue_new(
	    &(struct queue_limits){ .capacity = s->world.calm ? 200 : capacities[s->seed % 3],
		.low_water = 1 + pick(s, 8) });
	list_init(&d->txns);
	for (size_t i = 0; i < SIM_RELAYS; i++)
		d->outlets[i] = queue_outlet_new(d->q);
	for (uint64_t g = 1; g <= SIM_GROUPS; g++) {
		queue_outlet_join(d->outlets[s->route[g]], (struct group_id){ g });
		for (size_t l = 0; l < STREAM_COUNT; l++)
			queue_set_more(d->q, (struct group_id){ g }, (enum stream)l,
			    disk_first_due(s, g, (enum stream)l, 0), s->now_us);
	}
	way_start(s);
}

void
dispatch_stop(struct sim *s)
{
	struct txn *txn;

	while ((txn = LIST_FIRST(&s->d.txns, struct txn, link)) != NULL) {
		list_remove(&txn->link);
		free(txn);
	}
	way_stop(s);
	for (size_t i = 0; i < SIM_RELAYS; i++)
		queue_outlet_free(&s->d.outlets[i]);
	queue_free(&s->d.q);
}

/* ---- outcomes ---- */

static struct entry
entry_of(struct sim *s, struct queue_item *item, enum row_state to, int64_t due_us)
{
	return (struct entry){
		.id = item->rcpt_id.v,
		.to = to,
		.due_us = due_us,
		.lived_us = queue_lived_us(s->d.q, item, s->now_us,
		    due_us > s->now_us && due_us != TIME_NEVER ? due_us : s->now_us),
		.attempts = item->attempts,
		.doubts = item->doubts,
		.item = item,
	};
}

static void
end_with(struct sim *s, struct op *op, struct queue_item *item, enum row_state to)
{
	struct entry e = entry_of(s, item, to, DUE_NONE);

	e.bounce = !disk_row(s, e.id)->generated &&
		   (to == ROW_BOUNCED || to == ROW_EXPIRED || to == ROW_FAILED);
	op->entries[op->n++] = e;
}

static void
retry_with(struct sim *s, struct op *op, struct queue_item *item, struct queue_retry retry)
{
	int64_t due_us = queue_retry_due_us(&queue_retry_default, &retry, s->now_us, &s->r);

	op->entries[op->n++] =
	    entry_of(s, item, item->doubts > 0 ? ROW_IN_DOUBT : ROW_QUEUED, due_us);
}

/* The outcome of one recipient, by what was said; a relay's or sender's fault never ends it. */
static void
settle(struct sim *s, struct op *op, struct queue_item *item, struct heard heard)
{
	struct queue_retry retry = { .attempts = item->attempts + 1u, .wait_us = heard.wait_us };

	switch (heard.said) {
	case SAID_OK:
		item->attempts++;
		end_with(s, op, item, ROW_SENT);
		return;
	case SAID_PERM:
		item->attempts++;
		/* It may have arrived the first time: not a failure that we could report. */
		end_with(s, op, item, item->doubts > 0 ? ROW_UNKNOWN : ROW_BOUNCED);
		return;
	case SAID_TEMP:
		item->attempts++;
		retry.kind = QUEUE_RETRY_RECIPIENT;
		break;
	case SAID_CAPACITY: retry.kind = QUEUE_RETRY_CAPACITY; break;
	case SAID_RELAY:
	case SAID_IDENTITY: retry.kind = QUEUE_RETRY_RELAY; break;
	case SAID_NOTHING: UNREACHABLE();
	}
	retry_with(s, op, item, retry);
}

static void
settle_doubt(struct sim *s, struct op *op, struct queue_item *item)
{
	const struct row *row = disk_row(s, item->rcpt_id.v);
	struct queue_doubt doubt = { row->policy, ++item->doubts, s->now_us, item->deadline_us };
	struct queue_doubt_verdict v = queue_doubt_decide(&doubt, s->now_us);
	struct entry e = { 0 };

	s->doubts++;
	item->attempts++;
	switch (v.step) {
	case QUEUE_DOUBT_UNKNOWN: e = entry_of(s, item, ROW_UNKNOWN, DUE_NONE); break;
	case QUEUE_DOUBT_REPEAT:
		e = entry_of(s, item, ROW_IN_DOUBT, v.at_us);
		e.repeat = true;
		break;
	case QUEUE_DOUBT_HOLD: e = entry_of(s, item, ROW_IN_DOUBT, v.at_us); break;
	}
	op->entries[op->n++] = e;
}

static void
read_outcome(struct sim *s, const struct entry *e)
{
	struct queue_item *item = e->item;

	if (e->refused || e->due_us == DUE_NONE) {
		queue_done(s->d.q, &item);
		return;
	}
	item->load = ON_DISK;
	if (queue_defer(s->d.q, &item, e->due_us, s->now_us) == RC_LIMIT) {
		s->let_go++;
		queue_let_go(s->d.q, &item, e->due_us, s->now_us);
	}
}

/* ---- acknowledgements ---- */

static struct queue_spec
spec_of_row(const struct row *row)
{
	return (struct queue_spec){
		.rcpt_id = { row->id },
		.msg_id = { row->msg },
		.account_id = { row->account },
		.group_id = { row->group },
		.lane = row->lane,
		.dest = row->dest,
		.due_us = row->due_us == DUE_NULL ? 0 : row->due_us,
		.deadline_us = row->deadline_us,
		.lived_us = row->lived_us,
		.expire_after_us = EXPIRE_AFTER,
		.attempts = row->attempts,
		.doubts = row->doubts,
		.load = row->due_us == DUE_NULL ? NULL : ON_DISK,
	};
}

static void
write_due(struct sim *s, uint64_t id, struct queue_item *item)
{
	struct op *op = disk_op(OP_DUE);

	op->entries[op->n++] = item != NULL ? entry_of(s, item, ROW_QUEUED, item->due_us)
					    : (struct entry){ .id = id, .due_us = s->now_us };
	disk_post(s, op);
}

static void
read_born(struct sim *s, const struct op *op)
{
	for (size_t i = 0; i < op->n_rows; i++) {
		const struct row *row = &op->rows[i];
		struct queue_spec spec = spec_of_row(row);
		if (!disk_is_live(row))
			continue;
		if (row->due_us != DUE_NULL)
			queue_add_more(s->d.q, spec.group_id, row->lane, row->due_us, s->now_us);
		else if (queue_add(s->d.q, &spec, s->now_us, NULL) != RC_OK)
			write_due(s, row->id, NULL);
	}
}

static void
read_due(struct sim *s, struct entry *e)
{
	const struct row *row = disk_row(s, e->id);

	if (e->item == NULL)
		queue_add_more(
		    s->d.q, (struct group_id){ row->group }, row->lane, e->due_us, s->now_us);
	else
		queue_let_go(s->d.q, &e->item, e->due_us, s->now_us);
}

static void
read_page(struct sim *s, const struct op *op)
{
	struct place *sweep = &s->d.sweep[op->want.group_id.v][op->want.lane];
	bool left = op->skipped;

	for (size_t i = 0; i < op->n_rows; i++) {
		struct queue_spec spec = spec_of_row(&op->rows[i]);
		left |= queue_add(s->d.q, &spec, s->now_us, NULL) == RC_LIMIT;
	}
	*sweep = (struct place){ 0 };
	if (op->full) {
		const struct row *last = &op->rows[op->n_rows - 1];
		*sweep = (struct place){ last->account, last->id, last->due_us };
	}
	/* Rows behind the place where this sweep began are left for the next one. */
	left |= op->full || op->after.account != 0;
	queue_set_more(s->d.q, op->want.group_id, op->want.lane, left ? s->now_us : op->next_due_us,
	    s->now_us);
}

static void
free_txn(struct txn *txn)
{
	list_remove(&txn->link);
	free(txn);
}

static void
end_txn(struct sim *s, struct txn *txn, size_t accepted, bool lost)
{
	way_ended(s, txn, accepted, lost);
	free_txn(txn);
}

static void
read_finish(struct sim *s, struct op *op)
{
	struct txn *txn = op->txn;

	txn->n = 0;
	for (size_t i = 0; i < op->n; i++) {
		if (op->entries[i].refused)
			queue_done(s->d.q, &op->entries[i].item);
		else
			txn->items[txn->n++] = op->entries[i].item;
	}
	if (txn->n == 0) {
		end_txn(s, txn, 0, false);
		return;
	}
	txn->phase = PHASE_DOT;
	txn->at_us = s->now_us + MS(1);
}

bool
dispatch_read(struct sim *s)
{
	AUTO(disk_op_free) struct op *op = disk_read(s);

	if (op == NULL)
		return false;
	switch (op->kind) {
	case OP_ACCEPT: read_born(s, op); break;
	case OP_FINISH: read_finish(s, op); break;
	case OP_OUTCOME:
		for (size_t i = 0; i < op->n; i++)
			read_outcome(s, &op->entries[i]);
		read_born(s, op);
		break;
	case OP_DUE:
		for (size_t i = 0; i < op->n; i++)
			read_due(s, &op->entries[i]);
		break;
	case OP_REFILL: read_page(s, op); break;
	case OP_CANCEL: break;
	}
	return true;
}

/* ---- transactions ---- */

static void
post_outcome(struct sim *s, struct op *op)
{
	if (op->n > 0)
		disk_post(s, op);
	else
		disk_op_free(&op);
}

static void
note_latency(struct sim *s, const struct queue_item *item)
{
	struct row *row = disk_row(s, item->rcpt_id.v);

	if (!row->handed_out && row->lane == STREAM_TRANSACTIONAL && !row->generated &&
	    s->now_us - row->committed_us > s->worst_latency_us)
		s->worst_latency_us = s->now_us - row->committed_us;
	row->handed_out = true;
}

static void
start_txn(struct sim *s, size_t relay, struct queue_item *item)
{
	int64_t until_us;

	if (way_holds_sender(s, relay, item->account_id.v, &until_us)) {
		struct op *op = disk_op(OP_OUTCOME);
		op->entries[op->n++] =
		    entry_of(s, item, item->doubts > 0 ? ROW_IN_DOUBT : ROW_QUEUED, until_us);
		disk_post(s, op);
		return;
	}
	struct txn *txn = MEM_NEW(struct txn);
	txn->relay = relay;
	txn->lane = item->lane;
	txn->since_us = s->now_us;
	txn->account = item->account_id.v;
	do {
		note_latency(s, item);
		txn->items[txn->n++] = item;
	} while (txn->n < SIM_BATCH && (item = queue_sibling(s->d.q, item, s->now_us)) != NULL);
	txn->at_us = s->now_us + world_latency_us(s, relay);
	list_push_back(&s->d.txns, &txn->link);
	way_began(s, txn);
	s->transactions++;
}

static void
refuse_all(struct sim *s, struct txn *txn, const struct reply *reply)
{
	struct op *op = disk_op(OP_OUTCOME);
	struct heard heard = way_told(s, txn, reply);

	for (size_t i = 0; i < txn->n; i++)
		settle(s, op, txn->items[i], heard);
	post_outcome(s, op);
	end_txn(s, txn, 0, false);
}

/* Connect to RCPT. A relay that lets nobody in has attempted nobody: back they go. */
static void
open_txn(struct sim *s, struct txn *txn)
{
	const struct reply *reply = world_opening(s, txn->relay, txn->account);

	if (!way_opened(s, txn, reply)) {
		for (size_t i = 0; i < txn->n; i++)
			queue_put_back(s->d.q, &txn->items[i]);
		free_txn(txn);
		return;
	}
	if (reply->said != SAID_OK) {
		refuse_all(s, txn, reply);
		return;
	}
	struct op *refused = disk_op(OP_OUTCOME), *finish = disk_op(OP_FINISH);
	for (size_t i = 0; i < txn->n; i++) {
		const struct reply *r = world_rcpt(s, disk_row(s, txn->items[i]->rcpt_id.v));
		if (r->said != SAID_OK)
			settle(s, refused, txn->items[i], way_told(s, txn, r));
		else
			finish->entries[finish->n++] =
			    (struct entry){ .id = txn->items[i]->rcpt_id.v, .item = txn->items[i] };
	}
	post_outcome(s, refused);
	if (finish->n == 0) {
		disk_op_free(&finish);
		end_txn(s, txn, 0, false);
		return;
	}
	finish->txn = txn;
	txn->phase = PHASE_FINISHING;
	txn->at_us = TIME_NEVER;
	disk_post(s, finish);
}

static void
dot_txn(struct sim *s, struct txn *txn)
{
	bool arrived;

	txn->reply = world_dot(s, txn->relay, disk_row(s, txn->items[0]->rcpt_id.v), &arrived);
	for (size_t i = 0; i < txn->n && arrived; i++) {
		struct row *row = disk_row(s, txn->items[i]->rcpt_id.v);
		row->arrived++;
		SIM_CHECK(row->finishing && row->arrived <= 1 + row->repeats,
		    "recipient %llu arrived %u times, repeated by policy %u",
		    (unsigned long long)row->id, row->arrived, row->repeats);
	}
	txn->phase = PHASE_REPLY;
	txn->at_us = s->now_us + world_latency_us(s, txn->relay);
}

static void
close_txn(struct sim *s, struct txn *txn)
{
	if (txn->reply->said != SAID_OK && txn->reply->said != SAID_NOTHING) {
		refuse_all(s, txn, txn->reply);
		return;
	}
	struct op *op = disk_op(OP_OUTCOME);
	bool lost = txn->reply->said == SAID_NOTHING;
	for (size_t i = 0; i < txn->n; i++) {
		if (lost)
			settle_doubt(s, op, txn->items[i]);
		else
			settle(s, op, txn->items[i], (struct heard){ .said = SAID_OK });
	}
	post_outcome(s, op);
	end_txn(s, txn, lost ? 0 : txn->n, lost);
}

void
dispatch_tick(struct sim *s)
{
	struct txn *txn;

	LIST_FOREACH(txn, &s->d.txns, struct txn, link) {
		if (txn->at_us > s->now_us)
			continue;
		switch (txn->phase) {
		case PHASE_OPENING: open_txn(s, txn); break;
		case PHASE_DOT: dot_txn(s, txn); break;
		case PHASE_REPLY: close_txn(s, txn); break;
		case PHASE_FINISHING: UNREACHABLE();
		}
	}
}

int64_t
dispatch_next_us(struct sim *s)
{
	int64_t next = queue_next_event_us(s->d.q, s->now_us);
	const struct txn *txn;

	LIST_FOREACH(txn, &s->d.txns, struct txn, link)
		next = txn->at_us < next ? txn->at_us : next;
	return next;
}

static void
end_overdue(struct sim *s)
{
	struct queue_item *item;

	while ((item = queue_overdue(s->d.q, s->now_us)) != NULL) {
		const struct row *row = disk_row(s, item->rcpt_id.v);
		struct op *op = disk_op(OP_OUTCOME);
		bool late = item->deadline_us <= s->now_us;
		if (!late && s->crashes == 0 && s->let_go == 0)
			SIM_CHECK(s->open_us[row->group] - row->open_at_birth_us >= EXPIRE_AFTER,
			    "recipient %llu expired too early", (unsigned long long)row->id);
		end_with(s, op, item,
		    item->doubts > 0 ? ROW_UNKNOWN
		    : late           ? ROW_FAILED
				     : ROW_EXPIRED);
		disk_post(s, op);
	}
}

void
dispatch_work(struct sim *s)
{
	struct queue_want want;
	struct queue_item *item;
	unsigned lanes;

	end_overdue(s);
	while (queue_wants(s->d.q, s->now_us, &want)) {
		struct op *op = disk_op(OP_REFILL);
		op->want = want;
		op->after = s->d.sweep[want.group_id.v][want.lane];
		disk_post(s, op);
	}
	for (size_t i = 0; i < SIM_RELAYS; i++) {
		while ((lanes = way_lanes(s, i)) != 0 &&
		       (item = queue_outlet_next(s->d.outlets[i], lanes, s->now_us)) != NULL)
			start_txn(s, i, item);
	}
}

/* ---- what people do ---- */

void
dispatch_set_open(struct sim *s, size_t relay, bool open)
{
	for (uint64_t g = 1; g <= SIM_GROUPS; g++) {
		if (s->route[g] != relay)
			continue;
		if (open)
			queue_open(s->d.q, (struct group_id){ g }, s->now_us);
		else
			queue_close(s->d.q, (struct group_id){ g }, s->now_us);
	}
}

void
dispatch_move(struct sim *s, uint64_t group, size_t relay)
{
	struct group_id id = { group };

	queue_outlet_leave(s->d.outlets[s->route[group]], id);
	queue_outlet_join(s->d.outlets[relay], id);
	s->route[group] = relay;
	if (way_is_usable(s, relay))
		queue_open(s->d.q, id, s->now_us);
	else
		queue_close(s->d.q, id, s->now_us);
}

void
dispatch_cancel(struct sim *s, uint64_t id)
{
	struct queue_item *item = queue_take(s->d.q, (struct rcpt_id){ id }, s->now_us);
	bool held = queue_find(s->d.q, (struct rcpt_id){ id }) != NULL;

	if (item != NULL && item->doubts > 0) {
		queue_put_back(s->d.q, &item);
	} else if (item != NULL) {
		struct op *op = disk_op(OP_OUTCOME);
		end_with(s, op, item, ROW_CANCELLED);
		disk_post(s, op);
	} else if (!held) {
		struct op *op = disk_op(OP_CANCEL);
		op->entries[op->n++] = (struct entry){ .id = id };
		disk_post(s, op);
	}
}

void
dispatch_hurry(struct sim *s, uint64_t id)
{
	struct queue_item *item = queue_take(s->d.q, (struct rcpt_id){ id }, s->now_us);

	if (item == NULL)
		return;
	if (item->doubts > 0)
		queue_put_back(s->d.q, &item);
	else
		ASSERT(queue_defer(s->d.q, &item, s->now_us, s->now_us) == RC_OK);
}

void
dispatch_evict(struct sim *s, uint64_t group)
{
	struct queue_item *out[SIM_BATCH];

	for (size_t l = 0; l < STREAM_COUNT; l++) {
		size_t n = queue_evict(
		    s->d.q, (struct group_id){ group }, (enum stream)l, SIM_BATCH, out, s->now_us);
		for (size_t i = 0; i < n; i++) {
			if (out[i]->load == ON_DISK) {
				s->let_go++;
				queue_let_go(s->d.q, &out[i], out[i]->due_us, s->now_us);
			} else {
				write_due(s, out[i]->rcpt_id.v, out[i]);
			}
		}
	}
}
