/* What the writer says: fresh mail, new groups, rows on disk, acknowledgements.
 *
 * Invariant: a recipient is in the window at most once (queue_add refuses a second), and not while
 * an outcome of it is unacked, because a refill may still show the row as it was before. */
#include "deliver/private.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "relay/book.h"
#include "store/store.h"

#define CREDIT_FULL 16384 /* recipients of one lane that the writer may hand over unasked */

/* ---- messages ---- */

void
deliver_msg_unref(struct deliver *d, struct deliver_msg **mp)
{
	struct deliver_msg *m = TAKE(*mp);

	ASSERT(m->refs > 0);
	if (--m->refs != 0)
		return;
	map_remove(&d->messages, m->id.v);
	blob_unref(&m->content);
	store_message_free(&m->fresh);
	arena_done(&m->arena);
	free(m);
}

void
deliver_drop_load(struct deliver *d, struct queue_item *item)
{
	struct deliver_rcpt *r = item->load;

	/* The others die with their message. */
	bool is_own = r->is_own;

	item->load = NULL;
	deliver_msg_unref(d, &r->msg);
	if (is_own)
		free(r);
}

/* A recipient as it would stand in the window, to tell the writer about one that does not. */
static struct queue_item
ghost_of(const struct queue_spec *s, struct deliver_rcpt *r)
{
	return (struct queue_item){ .rcpt_id = s->rcpt_id,
		.msg_id = s->msg_id,
		.account_id = s->account_id,
		.group_id = s->group_id,
		.lane = s->lane,
		.attempts = s->attempts,
		.doubts = s->doubts,
		.lived_us = s->lived_us,
		.load = r };
}

/* A fresh recipient for whom the window has no room: on disk it has no due time yet. */
static void
leave_on_disk(struct deliver *d, const struct queue_spec *s, struct deliver_rcpt *r)
{
	struct queue_item ghost = ghost_of(s, r);
	struct store_result *res = deliver_result(d, &ghost);

	res->to = r->state;
	res->due_us = d->now_us;
	deliver_add_more(d, deliver_group_of(d, s->group_id), s->lane, d->now_us);
}

/* Takes one recipient in, with a reference to its message. RC_LIMIT: the window has no room for it.
 * RC_EXISTS: it is there already. */
static enum rc
take_in(struct deliver *d, const struct queue_spec *s, struct deliver_rcpt *r)
{
	struct queue_spec spec = *s;
	struct deliver_group *g = deliver_group_of(d, s->group_id);
	struct deliver_side *side =
	    g != NULL ? &g->sides[deliver_stand_of(d, g, r, s->deadline_us)] : NULL;

	spec.load = r;
	if (side != NULL)
		spec.group_id = side->id;
	enum rc rc = queue_add(d->queue, &spec, d->now_us, NULL);
	if (rc != RC_OK)
		return rc;
	r->msg->refs++;
	if (side != NULL && side->way != NULL)
		deliver_touch(side->way);
	return RC_OK;
}

static struct deliver_msg *
msg_from_fresh(struct store_message *f)
{
	struct deliver_msg *m = MEM_NEW(struct deliver_msg);

	*m = (struct deliver_msg){
		.id = f->id,
		.refs = 1,
		.fresh = f,
		.content = TAKE(f->content),
		.at = f->at,
		.account = f->account,
		.stream = f->stream,
		.kind = f->kind,
		.sender = f->sender,
		.envid = f->envid,
		.message_id = f->message_id,
		.created_us = f->created_us,
		.n_rcpts = f->n_rcpts,
		.flags = f->flags,
		.ret = f->ret,
		.doubt_policy = f->doubt_policy,
	};
	return m;
}

static void
on_fresh(struct deliver *d, struct store_message *f)
{
	struct deliver_msg *m = msg_from_fresh(f);

	ASSERT(map_put(&d->messages, m->id.v, m) == NULL);
	for (uint32_t i = 0; i < f->n_rcpts; i++) {
		const struct store_recipient *in = &f->rcpts[i];
		if (!in->handed)
			continue;
		d->credits[m->stream]--;
		if (map_get(&d->unacked, in->id.v) != NULL)
			continue; /* a person was faster: held or cancelled before we heard of it */
		struct deliver_rcpt *r = ARENA_NEW(&m->arena, struct deliver_rcpt);
		*r = (struct deliver_rcpt){ .msg = m,
			.address = in->address,
			.orcpt = in->orcpt,
			.notify = in->notify,
			.state = STORE_QUEUED };
		struct queue_spec s = {
			.rcpt_id = in->id,
			.msg_id = m->id,
			.account_id = m->account,
			.group_id = in->group,
			.lane = m->stream,
			.dest = in->domain_hash,
			.deadline_us = f->deadline_us,
			.expire_after_us = d->opts.expire_after_us[m->stream],
		};
		bool fits = deliver_fits(d, deliver_group_of(d, in->group), m->account, m->sender,
		    in->address, m->stream);
		if (!fits || take_in(d, &s, r) == RC_LIMIT)
			leave_on_disk(d, &s, r);
		if (!fits)
			deliver_stray(d, in->group);
	}
	if (blob_total_bytes() > 0 && !blob_budget_has(64u << 20))
		blob_unref(&m->content); /* memory is scarce: it is on disk, and read again when its
					    turn comes */
	deliver_msg_unref(d, &m);
}

/* ---- groups ---- */

/* The stand of a group of the queue is in its highest bits. */
#define STAND_SHIFT 62
static_assert(DELIVER_STANDS <= 4, "two bits");

struct group_id
deliver_store_group(struct group_id in_queue)
{
	return (struct group_id){ in_queue.v & ((1ull << STAND_SHIFT) - 1) };
}

struct deliver_group *
deliver_group_of(struct deliver *d, struct group_id id)
{
	return map_get(&d->groups, deliver_store_group(id).v);
}

struct deliver_side *
deliver_side_of(struct deliver *d, struct group_id id)
{
	struct deliver_group *g = deliver_group_of(d, id);

	return g != NULL ? &g->sides[id.v >> STAND_SHIFT] : NULL;
}

void
deliver_add_more(struct deliver *d, const struct deliver_group *g, enum stream lane, int64_t due_us)
{
	if (g != NULL)
		queue_add_more(
		    d->queue, g->sides[deliver_more_stand(g)].id, lane, due_us, d->now_us);
}

void
deliver_let_go(struct deliver *d, struct queue_item *item, int64_t due_us)
{
	struct deliver_group *g = deliver_group_of(d, item->group_id);
	enum stream lane = item->lane;

	queue_done(d->queue, &item);
	deliver_add_more(d, g, lane, due_us);
}

static void
add_group(struct deliver *d, struct group_id id, struct str key)
{
	struct deliver_group *g = map_get(&d->groups, id.v);

	if (g != NULL)
		return;
	g = MEM_NEW(struct deliver_group);
	g->id = id;
	g->key = arena_str(&d->arena, key);
	g->pass_at_us = TIME_NEVER;
	for (uint64_t s = 0; s < DELIVER_STANDS; s++)
		g->sides[s] =
		    (struct deliver_side){ .id = { id.v | s << STAND_SHIFT }, .group = g };
	map_put(&d->groups, id.v, g);
	uint64_t hash = str_hash(g->key, 0);
	while (map_get(&d->by_key, hash) != NULL)
		hash++;
	map_put(&d->by_key, hash, g);
	deliver_regroup_new(d, g);
	deliver_place(d, g);
}

static void
on_notice(struct deliver *d, struct store_notice *n)
{
	if (n->op.kind == STORE_GROUP)
		add_group(d, n->group, n->key);
	else
		deliver_add_more(d, deliver_group_of(d, n->group), n->lane, n->due_us);
	store_notice_free(&n);
}

/* ---- refills ---- */

struct refill {
	struct store_refill op;
	struct group_id asked; /* the side whose want it answers */
};

static struct deliver_msg *
msg_from_row(struct deliver *d, const struct store_row *row)
{
	struct deliver_msg *m = map_get(&d->messages, row->msg.v);

	if (m != NULL) {
		m->refs++;
		return m;
	}
	m = MEM_NEW(struct deliver_msg);
	*m = (struct deliver_msg){
		.id = row->msg,
		.refs = 1,
		.at = { row->segment, row->offset, row->bytes },
		.account = row->account,
		.stream = row->lane,
		.kind = (enum store_kind)row->kind,
		.created_us = row->created_us,
		.n_rcpts = row->n_rcpts,
		.flags = row->flags,
		.ret = row->ret,
		.doubt_policy = row->doubt_policy,
		.delay_told = (row->flags & STORE_DELAY_NOTICE_SENT) != 0,
	};
	m->sender = arena_str(&m->arena, row->sender);
	m->envid = arena_str(&m->arena, row->envid);
	m->message_id = arena_str(&m->arena, row->message_id);
	map_put(&d->messages, m->id.v, m);
	return m;
}

/* A doubt that a crash left: its policy is applied now, once. */
static bool
settle_old_doubt(struct deliver *d, const struct queue_item *ghost, const struct store_row *row,
    int64_t *due_out)
{
	struct queue_doubt q = { (enum queue_doubt_policy)row->doubt_policy, row->doubts, d->now_us,
		row->deadline_us };
	struct queue_doubt_verdict v = queue_doubt_decide(&q, d->now_us);

	struct store_result *res = deliver_result(d, ghost);
	res->from = STORE_IN_DOUBT;
	res->to = v.step == QUEUE_DOUBT_UNKNOWN ? STORE_UNKNOWN : STORE_IN_DOUBT;
	res->due_us = v.step == QUEUE_DOUBT_UNKNOWN ? 0 : v.at_us;
	*due_out = v.step == QUEUE_DOUBT_UNKNOWN ? TIME_NEVER : v.at_us;
	if (v.step == QUEUE_DOUBT_UNKNOWN)
		atomic_fetch_add_explicit(&d->metrics.unknown, 1, memory_order_relaxed);
	return v.step == QUEUE_DOUBT_REPEAT;
}

/* In one piece with its strings, since pages may bring the same row many times over while its
 * message lives. */
static struct deliver_rcpt *
rcpt_from_row(struct deliver_msg *m, const struct store_row *row)
{
	struct deliver_rcpt *r = mem_zalloc(sizeof(*r) + row->address.n + row->orcpt.n);
	char *p = (char *)(r + 1);

	if (row->address.n != 0)
		memcpy(p, row->address.p, row->address.n);
	if (row->orcpt.n != 0)
		memcpy(p + row->address.n, row->orcpt.p, row->orcpt.n);
	*r = (struct deliver_rcpt){ .msg = m,
		.address = str_make(p, row->address.n),
		.orcpt = str_make(p + row->address.n, row->orcpt.n),
		.notify = row->notify,
		.is_own = true,
		.state = row->state,
		.via = row->via };
	return r;
}

/* Takes a row from disk. Returns when it, left on disk, is due: a page that passes over it must say
 * so, or nobody comes back for it. TIME_NEVER: there is nothing to come back for. */
static int64_t
take_row(struct deliver *d, const struct store_row *row)
{
	if (map_get(&d->unacked, row->rcpt.v) != NULL || queue_find(d->queue, row->rcpt) != NULL)
		return TIME_NEVER;
	if (row->state == STORE_IN_DOUBT && row->due_us == TIME_NEVER)
		return TIME_NEVER; /* waits for a person */
	if (!deliver_fits(d, deliver_group_of(d, row->group), row->account, row->sender,
		row->address, row->lane)) {
		deliver_stray(d, row->group);
		return d->now_us + SECONDS(1); /* by then it will have been moved */
	}
	struct deliver_msg *m = msg_from_row(d, row);
	struct deliver_rcpt *r = rcpt_from_row(m, row);
	int64_t left_due = TIME_NEVER;
	struct queue_spec s = {
		.rcpt_id = row->rcpt,
		.msg_id = row->msg,
		.account_id = row->account,
		.group_id = row->group,
		.lane = row->lane,
		.dest = row->domain_hash,
		.due_us = row->due_us,
		.deadline_us = row->deadline_us,
		.lived_us = row->lived_us,
		.expire_after_us = d->opts.expire_after_us[row->lane],
		.attempts = row->attempts,
		.doubts = (uint8_t)row->doubts,
	};
	bool wanted = true;
	if (row->state == STORE_IN_DOUBT && row->due_us == 0) {
		struct queue_item ghost = ghost_of(&s, r);
		wanted = settle_old_doubt(d, &ghost, row, &s.due_us);
		if (!wanted)
			left_due = s.due_us;
	}
	enum rc rc = wanted ? take_in(d, &s, r) : RC_EXISTS;
	if (rc == RC_LIMIT)
		left_due = s.due_us;
	if (rc != RC_OK)
		free(r);
	deliver_msg_unref(d, &m);
	return left_due;
}

static void
on_refill(struct deliver *d, struct store_refill *r)
{
	struct deliver_group *g = deliver_group_of(d, r->group);
	struct refill *refill = CONTAINER_OF(r, struct refill, op);
	bool from_start = r->after.account.v == 0 && r->after.rcpt.v == 0;
	bool at_end = r->last.account.v == 0 && r->last.rcpt.v == 0;

	if (r->op.rc != RC_OK) {
		queue_set_more(d->queue, refill->asked, r->lane, d->now_us + SECONDS(1), d->now_us);
	} else {
		/* A whole pass from the start tells what is left; anything else goes on. */
		int64_t left = at_end && from_start ? r->next_due_us : d->now_us;
		for (uint32_t i = 0; i < r->n; i++) {
			int64_t due = take_row(d, &r->rows[i]);
			left = due < left ? due : left;
		}
		if (g != NULL)
			g->cursor[r->lane] = at_end ? (struct store_position){ 0 } : r->last;
		queue_set_more(d->queue, refill->asked, r->lane, left, d->now_us);
	}
	store_refill_done(r);
	free(refill);
}

static size_t
window_capacity(const struct deliver *d)
{
	return d->opts.window.capacity != 0 ? d->opts.window.capacity : 100000;
}

static void
grant_credits(struct deliver *d)
{
	struct store_grant *g = NULL;
	size_t held = queue_held(d->queue);
	size_t capacity = window_capacity(d);
	/* A small window has a small allowance: what comes without room costs a row on disk. */
	int64_t full = CREDIT_FULL < capacity / 4 ? CREDIT_FULL : (int64_t)(capacity / 4);

	for (int s = 0; s < STREAM_COUNT; s++) {
		if (d->credits[s] > full / 2 || held + (size_t)full * 2 > capacity || d->stopping)
			continue;
		if (g == NULL)
			g = MEM_NEW(struct store_grant);
		g->credits[s] = full - d->credits[s];
		d->credits[s] = full;
	}
	if (g == NULL)
		return;
	g->op.kind = STORE_GRANT;
	g->op.reply = d->from_store;
	d->ops_out++;
	outbox_add(&d->outbox, store_mailbox(d->store), &g->op.item);
}

void
deliver_refill(struct deliver *d)
{
	struct queue_want w;

	grant_credits(d);
	while (!d->stopping && queue_wants(d->queue, d->now_us, &w)) {
		struct deliver_group *g = deliver_group_of(d, w.group_id);
		struct refill *refill = MEM_NEW(struct refill);
		struct store_refill *r = &refill->op;
		refill->asked = w.group_id;
		r->op.kind = STORE_REFILL;
		r->op.reply = d->from_store;
		r->group = g->id;
		r->lane = w.lane;
		r->after = g->cursor[w.lane];
		r->before_us = d->now_us;
		r->share = (uint32_t)w.per_account;
		r->max = w.count > STORE_REFILL_MAX ? STORE_REFILL_MAX : (uint32_t)w.count;
		d->ops_out++;
		outbox_add(&d->outbox, store_mailbox(d->store), &r->op.item);
	}
}

/* ---- room ---- */

#define EVICT_SLICE 1024

/* Up to `max` items of the side leave; returns how many did. */
static size_t
evict_from(struct deliver *d, struct deliver_side *side, size_t max)
{
	struct queue_item *out[64];
	size_t sum = 0;

	for (int s = 0; s < STREAM_COUNT; s++) {
		size_t n = 1;
		while (n != 0 && sum < max) {
			size_t want = max - sum < COUNT_OF(out) ? max - sum : COUNT_OF(out);
			n = queue_evict(d->queue, side->id, (enum stream)s, want, out, d->now_us);
			for (size_t i = 0; i < n; i++)
				deliver_put_down(d, out[i], out[i]->due_us);
			sum += n;
		}
	}
	return sum;
}

bool
deliver_make_room(struct deliver *d)
{
	size_t full = window_capacity(d) / 4 * 3;
	size_t left = EVICT_SLICE;
	size_t at = 0;
	struct deliver_group *g;

	while (left != 0 && queue_held(d->queue) > full &&
	       (g = map_next(&d->groups, &at, NULL)) != NULL) {
		for (int s = 0; s < DELIVER_STANDS && left != 0; s++) {
			if (!g->sides[s].open)
				left -= evict_from(d, &g->sides[s], left);
		}
	}
	return left == 0;
}

/* ---- acknowledgements ---- */

static void
on_outcome_ack(struct deliver *d, struct store_op *op)
{
	struct store_outcome *o = CONTAINER_OF(op, struct store_outcome, op);
	struct deliver_batch *b = CONTAINER_OF(o, struct deliver_batch, outcome);

	for (uint32_t i = 0; i < o->n; i++) {
		if (map_get(&d->unacked, o->results[i].rcpt.v) == b)
			map_remove(&d->unacked, o->results[i].rcpt.v);
	}
	d->batch_acked = b->seq;
	arena_done(&b->arena);
	free(b);
}

void
deliver_on_store(void *arg, struct mailbox_item *item)
{
	struct deliver *d = FROM_ARG(struct deliver, arg, DELIVER_MAGIC);

	d->now_us = clock_wall_us();
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_op *op = store_op_of(item);
		switch (op->kind) {
		case STORE_FRESH: on_fresh(d, CONTAINER_OF(op, struct store_message, op)); break;
		case STORE_GROUP:
		case STORE_MORE: on_notice(d, CONTAINER_OF(op, struct store_notice, op)); break;
		case STORE_REFILL:
			d->ops_out--;
			on_refill(d, CONTAINER_OF(op, struct store_refill, op));
			break;
		case STORE_OUTCOME:
			d->ops_out--;
			on_outcome_ack(d, op);
			break;
		case STORE_GRANT:
			d->ops_out--;
			free(CONTAINER_OF(op, struct store_grant, op));
			break;
		case STORE_CALL:
			d->ops_out--;
			if (deliver_moves_is_ours(op))
				deliver_on_move_kept(d, op);
			else if (deliver_regroup_is_ours(op))
				deliver_on_regrouped(d, op);
			else
				deliver_on_kept(d, op);
			break;
		case STORE_ACCEPT:
		case STORE_FINISH:
		case STORE_CONFIRM: UNREACHABLE();
		}
		item = next;
	}
}

void
deliver_forget_mail(struct deliver *d)
{
	struct mailbox_item *item = mailbox_take(d->from_store);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_op *op = store_op_of(item);
		if (op->kind == STORE_FRESH) {
			struct store_message *m = CONTAINER_OF(op, struct store_message, op);
			store_message_free(&m);
		} else if (op->kind == STORE_GROUP || op->kind == STORE_MORE) {
			struct store_notice *n = CONTAINER_OF(op, struct store_notice, op);
			store_notice_free(&n);
		} else if (op->kind == STORE_OUTCOME) {
			on_outcome_ack(d, op);
		} else if (op->kind == STORE_GRANT) {
			free(CONTAINER_OF(op, struct store_grant, op));
		}
		item = next;
	}
}

/* ---- what the last run left ---- */

void
deliver_recover(struct deliver *d, struct store_reader *reader)
{
	const struct store_recovery *r = store_recovery(d->store);

	deliver_restore_counts(d, reader);
	for (size_t i = 0; i < r->n_groups; i++)
		add_group(d, r->groups[i].id, r->groups[i].key);
	deliver_regroup_recover(d, reader);
	for (size_t i = 0; i < r->n_backlogs; i++)
		queue_add_more(d->queue, r->backlogs[i].group, r->backlogs[i].lane,
		    r->backlogs[i].due_us, d->now_us);
	for (size_t i = 0; i < r->n_in_doubt; i++) {
		const struct store_row *row = &r->in_doubt[i];
		int64_t due = take_row(d, row);
		if (due != TIME_NEVER)
			queue_add_more(d->queue, row->group, row->lane, due, d->now_us);
	}
	loop_timer_set(d->loop, &d->tick, 0); /* the first turn must not wait for the first mail */
	if (r->crashed_attempts != 0)
		log_event(LOG_WARN, NULL, "deliver.recovered",
		    "the last run ended without warning; %llu recipients were about to finish and are in doubt",
		    (unsigned long long)r->crashed_attempts);
}
