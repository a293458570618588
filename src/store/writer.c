/* The writer thread: takes what has come, forms a group, commits it, answers.
 *
 * Lines. What must not wait (FINISH, OUTCOME, REFILL, CONFIRM, transactional ACCEPT) goes into the
 * next group as it comes. Bulk ACCEPTs and CALLs stand in lines of their own and fill a group up by
 * a slice of about SLICE_US, so a verification code never waits behind a newsletter (promise P6).
 *
 * Groups. After an idle moment a group is committed at once. After one of more than BUSY_OPS the
 * writer waits for FULL_OPS or WAIT_US, whichever is first: syncs are what a commit costs, and they
 * are shared.
 *
 * Failure. A group that fails is run singly. An operation that still fails is answered with the
 * fault, but an OUTCOME is kept in `stuck`, with everything behind it that must not overtake it,
 * and tried again until the disk takes it; nothing is sent a second time because of that. */
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/private.h"

#define GROUP_OPS   256
#define GROUP_BYTES (8u << 20)
#define GROUP_CALLS 4
#define URGENT_OPS  192 /* the rest of a group is left to calls and bulk, so that they move on */
#define BUSY_OPS    8
#define FULL_OPS    48
#define WAIT_US     500
#define NAP_US      100
#define SLICE_US    2000
#define IDLE_US     MS(100)
#define PROBE_US    SECONDS(1)
#define GIVE_UP_US  SECONDS(5)

struct line {
	struct store_op *first, *last;
	size_t n;
};

struct writer {
	struct store *s;
	struct line urgent, bulk, calls, stuck;
	struct store_op *group[GROUP_OPS];
	size_t n;
	size_t last_n;      /* operations of the last group */
	double unit_us;     /* what one row's worth of work costs, smoothed */
	int64_t probe_us;   /* next probe of a broken disk */
	bool stopping;      /* store_close has posted its last word: a CALL without a function */
	int64_t give_up_us; /* then: stuck operations are cancelled at this time; 0: not set yet */
};

static void
line_push(struct line *l, struct store_op *op)
{
	op->item.next = NULL;
	if (l->last != NULL)
		l->last->item.next = &op->item;
	else
		l->first = op;
	l->last = op;
	l->n++;
}

static struct store_op *
line_pop(struct line *l)
{
	struct store_op *op = l->first;

	if (op == NULL)
		return NULL;
	l->first = op->item.next != NULL ? store_op_of(op->item.next) : NULL;
	if (l->first == NULL)
		l->last = NULL;
	l->n--;
	return op;
}

static bool
must_not_be_lost(const struct store_op *op)
{
	return op->kind == STORE_OUTCOME;
}

/* ---- intake */

static void
refuse_finish(struct writer *w, struct store_op *op)
{
	struct fault why = { 0 };
	enum rc rc = fault_set(
	    &why, RC_IO, "earlier outcomes are not written yet: %s", w->s->guard.broken.text);

	(void)rc;
	store_batch_refuse(w->s, op, &why);
}

static void
take_in(struct writer *w, struct store_op *op)
{
	bool stuck = w->stuck.n > 0;

	switch (op->kind) {
	case STORE_ACCEPT:
		line_push(CONTAINER_OF(op, struct store_accept, op)->msg->stream == STREAM_BULK
			      ? &w->bulk
			      : &w->urgent,
		    op);
		return;
	case STORE_OUTCOME:
	case STORE_REFILL: line_push(stuck ? &w->stuck : &w->urgent, op); return;
	case STORE_FINISH:
		if (stuck)
			refuse_finish(w, op);
		else
			line_push(&w->urgent, op);
		return;
	case STORE_CONFIRM: line_push(&w->urgent, op); return;
	case STORE_GRANT:
		/* Memory only; at once, so that a closed group gets nothing more. */
		store_window_grant(&w->s->window, CONTAINER_OF(op, struct store_grant, op));
		op->rc = RC_OK;
		store_batch_answer(w->s, op);
		return;
	case STORE_CALL:
		if (CONTAINER_OF(op, struct store_call, op)->run == NULL)
			w->stopping = true;
		else
			line_push(&w->calls, op);
		return;
	case STORE_FRESH:
	case STORE_GROUP:
	case STORE_MORE: UNREACHABLE();
	}
}

static void
take_all(struct writer *w, struct mailbox_item *item)
{
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		take_in(w, store_op_of(item));
		item = next;
	}
	outbox_flush(&w->s->outbox);
}

static size_t
waiting(const struct writer *w)
{
	return w->urgent.n + w->bulk.n + w->calls.n;
}

/* Lets a busy group fill up. Naps instead of mailbox_wait, so that senders need no system call. */
static void
fill_up(struct writer *w)
{
	int64_t until = clock_monotonic_us() + WAIT_US;

	if (w->last_n <= BUSY_OPS)
		return;
	while (waiting(w) < FULL_OPS && clock_monotonic_us() < until) {
		nanosleep(&(struct timespec){ .tv_nsec = NAP_US * 1000 }, NULL);
		take_all(w, mailbox_take(w->s->inbox));
	}
}

/* ---- forming a group */

static size_t
content_bytes(struct store_op *op)
{
	return op->kind == STORE_ACCEPT ? CONTAINER_OF(op, struct store_accept, op)->msg->content->n
					: 0;
}

/* Rows touched, roughly. */
static uint32_t
units(struct store_op *op)
{
	switch (op->kind) {
	case STORE_ACCEPT: return CONTAINER_OF(op, struct store_accept, op)->msg->n_rcpts + 1;
	case STORE_FINISH: return CONTAINER_OF(op, struct store_finish, op)->n;
	case STORE_OUTCOME: return 2 * CONTAINER_OF(op, struct store_outcome, op)->n;
	case STORE_REFILL: return CONTAINER_OF(op, struct store_refill, op)->max;
	case STORE_CONFIRM: return CONTAINER_OF(op, struct store_confirm, op)->n;
	case STORE_CALL: return 10;
	case STORE_GRANT:
	case STORE_FRESH:
	case STORE_GROUP:
	case STORE_MORE: break;
	}
	return 1;
}

/* Moves operations from `l` to the group until a bound is met; always at least one where there is
 * room. */
static void
draw(struct writer *w, struct line *l, size_t max_ops, uint32_t max_units)
{
	size_t bytes = 0, ops = 0;
	uint32_t sum = 0;

	while (l->first != NULL && w->n < GROUP_OPS && ops < max_ops) {
		bytes += content_bytes(l->first);
		sum += units(l->first);
		if (ops > 0 && (bytes > GROUP_BYTES || sum > max_units))
			return;
		w->group[w->n++] = line_pop(l);
		ops++;
	}
}

static void
form_group(struct writer *w)
{
	w->n = 0;
	draw(w, &w->urgent, URGENT_OPS, UINT32_MAX);
	draw(w, &w->calls, GROUP_CALLS, UINT32_MAX);
	draw(w, &w->bulk, GROUP_OPS, (uint32_t)(SLICE_US / w->unit_us) + 1);
}

static void
learn_cost(struct writer *w, uint64_t sum, int64_t took_us)
{
	if (sum < 16)
		return;
	double each = (double)took_us / (double)sum;
	w->unit_us += (each - w->unit_us) / 16;
	if (w->unit_us < 1)
		w->unit_us = 1;
	if (w->unit_us > 100)
		w->unit_us = 100;
}

/* ---- running it */

/* `op` alone would not be written. */
static void
fail_one(struct writer *w, struct store_op *op, const struct fault *why)
{
	if (must_not_be_lost(op)) {
		line_push(&w->stuck, op);
		store_guard_failed(w->s, why, w->stuck.n);
		return;
	}
	if (op->kind != STORE_CALL)
		store_guard_failed(w->s, why, w->stuck.n);
	store_batch_refuse(w->s, op, why);
}

/* Something was written: so can the rest. */
static void
note_write(struct writer *w)
{
	if (!w->s->wrote)
		return;
	if (w->stuck.n == 0)
		store_guard_worked(w->s);
	else
		w->s->guard.retry_us = 0;
}

static void
run_one(struct writer *w, struct store_op *op)
{
	struct fault why = { 0 };

	if (w->stuck.n > 0 && (op->kind == STORE_OUTCOME || op->kind == STORE_REFILL)) {
		line_push(&w->stuck, op);
		return;
	}
	enum rc rc = store_batch_run(w->s, &op, 1, &why);
	if (rc == RC_LIMIT && must_not_be_lost(op) && store_guard_release(w->s)) {
		why = (struct fault){ 0 };
		rc = store_batch_run(w->s, &op, 1, &why);
	}
	if (rc == RC_OK)
		note_write(w);
	else
		fail_one(w, op, &why);
}

static void
run_group(struct writer *w)
{
	struct fault why = { 0 };
	uint64_t sum = 0;
	int64_t from = clock_monotonic_us();

	if (w->n == 0)
		return;
	for (size_t i = 0; i < w->n; i++)
		sum += units(w->group[i]);
	w->last_n = w->n;
	if (store_batch_run(w->s, w->group, w->n, &why) == RC_OK) {
		learn_cost(w, sum, clock_monotonic_us() - from - w->s->sync_us);
		note_write(w);
		return;
	}
	store_count(&w->s->metrics.replayed, 1);
	log_event(LOG_WARN, NULL, "store.group_failed", "%s; %zu operations are run singly",
	    why.text, w->n);
	for (size_t i = 0; i < w->n; i++)
		run_one(w, w->group[i]);
	outbox_flush(&w->s->outbox);
}

/* Tries again what the disk would not take, in order. */
static void
retry_stuck(struct writer *w)
{
	struct line again = w->stuck;
	struct store_op *op;
	struct fault why = { 0 };

	if (w->stuck.n == 0 || !store_guard_may_try(w->s, clock_monotonic_us()))
		return;
	w->stuck = (struct line){ 0 };
	while ((op = line_pop(&again)) != NULL) {
		why = (struct fault){ 0 };
		if (w->stuck.n == 0 && store_batch_run(w->s, &op, 1, &why) == RC_OK) {
			if (again.n == 0)
				note_write(w);
			continue;
		}
		line_push(&w->stuck, op);
		if (why.rc != RC_OK)
			store_guard_failed(w->s, &why, w->stuck.n + again.n);
	}
}

/* A disk that nobody writes to heals unseen; so one small write a second looks. */
static void
probe(struct writer *w, int64_t now_us)
{
	struct store *s = w->s;
	struct fault why = { 0 };

	if (s->guard.broken.rc == RC_OK || w->stuck.n > 0 || now_us < w->probe_us)
		return;
	w->probe_us = now_us + PROBE_US;
	s->now_us = clock_wall_us();
	enum rc rc = store_db_begin(&s->db, &why);
	if (rc == RC_OK) {
		sqlite3_stmt *st = store_db_stmt(
		    &s->db, "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', ?1)");
		store_db_int(st, 1, s->now_us);
		rc = store_db_run(&s->db, st, &why);
	}
	if (store_batch_end(s, rc, &why) == RC_OK)
		store_guard_worked(s);
}

/* ---- the thread */

static int64_t
idle_wait_us(const struct writer *w)
{
	if (w->stuck.n > 0 || w->s->guard.broken.rc != RC_OK || store_checkpoint_pending(w->s))
		return IDLE_US;
	return SECONDS(1);
}

static void
cancel_all(struct writer *w)
{
	struct fault why = { 0 };
	struct store_op *op;
	enum rc rc = fault_set(&why, RC_CANCELLED, "the store is closing and the disk fails: %s",
	    w->s->guard.broken.text);

	(void)rc;
	if (w->stuck.n > 0)
		log_event(LOG_ERROR, NULL, "store.outcomes_lost",
		    "%zu operations could not be written; what they told is in doubt", w->stuck.n);
	while ((op = line_pop(&w->stuck)) != NULL)
		store_batch_refuse(w->s, op, &why);
	outbox_flush(&w->s->outbox);
}

/* True once all is done that can be done. */
static bool
is_over(struct writer *w, int64_t now_us)
{
	if (!w->stopping || waiting(w) > 0)
		return false;
	if (w->give_up_us == 0)
		w->give_up_us = now_us + GIVE_UP_US;
	if (w->stuck.n > 0 && now_us < w->give_up_us)
		return false;
	cancel_all(w);
	return true;
}

static void
turn(struct writer *w)
{
	struct store *s = w->s;
	struct mailbox_item *items = mailbox_take(s->inbox);
	bool idle = items == NULL && waiting(w) == 0;

	if (idle && !w->stopping) {
		bool more = store_upkeep_slice(s, clock_monotonic_us(), true);
		items = mailbox_wait(s->inbox, more ? 0 : idle_wait_us(w));
		if (items == NULL && !more)
			store_checkpoint_step(s, true);
		w->last_n = 0;
	}
	take_all(w, items);
	store_guard_look(s, clock_monotonic_us());
	retry_stuck(w);
	probe(w, clock_monotonic_us());
	if (waiting(w) == 0)
		return;
	fill_up(w);
	form_group(w);
	run_group(w);
	store_checkpoint_step(s, false);
	(void)store_upkeep_slice(s, clock_monotonic_us(), false);
}

void *
store_writer_main(void *arg)
{
	struct store *s = FROM_ARG(struct store, arg, STORE_MAGIC);
	struct writer *w = MEM_NEW(struct writer);

	prctl(PR_SET_NAME, "store-writer");
	prctl(PR_SET_TIMERSLACK, 1000ul);
	w->s = s;
	w->unit_us = 10;
	while (!is_over(w, clock_monotonic_us()))
		turn(w);
	free(w);
	return NULL;
}
