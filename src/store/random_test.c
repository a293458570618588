/* Seeded random lives of messages: every kind of operation in random groups, restarts with and
 * without warning, a disk that fails now and then; the rules of bed_audit hold after each step.
 * Runs without the writer thread, so a seed always does the same. */
#include "store/test_store.h"

#include <errno.h>

#include "base/prng.h"
#include "store/disk.h"

#define MESSAGES 60
#define STEPS    400

struct life {
	struct bed b;
	struct prng r;
	/* What the dispatcher would hold: open recipients as the store last told them. */
	struct store_result held[MESSAGES * 8];
	uint64_t attempt[MESSAGES * 8]; /* about to finish */
	size_t n;
	uint64_t accepted, generated;
};

static bool disk_fails;

static ssize_t
failing_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	if (disk_fails) {
		errno = ENOSPC;
		return -1;
	}
	return pwritev(fd, iov, n, at);
}

static uint64_t
pick(struct life *l, uint64_t n)
{
	return prng_below(&l->r, n);
}

static void
hold(struct life *l, const struct store_message *m)
{
	for (uint32_t i = 0; i < m->n_rcpts && l->n < COUNT_OF(l->held); i++) {
		if (m->rcpts[i].handed) {
			l->attempt[l->n] = 0;
			l->held[l->n++] = bed_result(m, i, STORE_QUEUED, STORE_QUEUED);
		}
	}
}

static void
hear(struct life *l)
{
	struct store_op *op;

	bed_take(&l->b, 0);
	while ((op = bed_hear(&l->b)) != NULL) {
		if (op->kind == STORE_FRESH)
			hold(l, CONTAINER_OF(op, struct store_message, op));
		bed_forget(&op->item);
	}
}

static struct store_message *
some_message(struct life *l)
{
	uint32_t n = 1 + (uint32_t)pick(l, 4);
	struct store_message *m = bed_message("0123456789", n);

	m->account.v = 1 + pick(l, 3);
	m->stream = pick(l, 2) == 0 ? STREAM_BULK : STREAM_TRANSACTIONAL;
	for (uint32_t i = 0; i < n; i++) {
		m->rcpts[i].group_key = pick(l, 3) == 0 ? STR("other") : STR("default");
		if (pick(l, 10) == 0)
			m->rcpts[i].born = pick(l, 2) == 0 ? STORE_CAPTURED : STORE_SUPPRESSED;
	}
	return m;
}

static enum rc
run(struct life *l, struct store_op **ops, size_t n)
{
	struct fault fault = { 0 };
	enum rc rc = store_batch_run(l->b.store, ops, n, &fault);

	hear(l);
	l->b.replies = NULL;
	l->b.replies_end = &l->b.replies;
	return rc;
}

static void
step_accept(struct life *l)
{
	struct store_accept op[6] = { 0 };
	struct store_op *ops[6];
	size_t n = 1 + pick(l, 6);
	uint64_t rcpts = 0;

	for (size_t i = 0; i < n; i++) {
		op[i].op.kind = STORE_ACCEPT;
		op[i].msg = some_message(l);
		rcpts += op[i].msg->n_rcpts;
		ops[i] = &op[i].op;
	}
	if (run(l, ops, n) == RC_OK) {
		l->accepted += rcpts;
		return;
	}
	for (size_t i = 0; i < n; i++)
		store_message_free(&op[i].msg);
}

static void
step_finish(struct life *l)
{
	size_t k = l->n > 0 ? pick(l, l->n) : 0;

	if (l->n == 0 || l->attempt[k] != 0)
		return;
	struct store_finish op = {
		.op = { .kind = STORE_FINISH }, .version = { 1 }, .rcpts = &l->held[k].rcpt, .n = 1
	};
	struct store_op *ops[1] = { &op.op };
	if (run(l, ops, 1) == RC_OK)
		l->attempt[k] = op.first_attempt;
}

static void
step_outcome(struct life *l)
{
	static const enum store_state ends[] = { STORE_SENT, STORE_SENT, STORE_SENT, STORE_BOUNCED,
		STORE_QUEUED, STORE_IN_DOUBT, STORE_HELD, STORE_CANCELLED, STORE_UNKNOWN };
	size_t k = l->n > 0 ? pick(l, l->n) : 0;
	struct store_attempt facts = { .at_us = (int64_t)pick(l, 1000), .code = 250 };
	struct store_message *bounce = NULL;

	if (l->n == 0)
		return;
	struct store_result *r = &l->held[k];
	r->to = ends[pick(l, COUNT_OF(ends))];
	r->due_us = pick(l, 3) == 0 ? TIME_NEVER : (int64_t)pick(l, 100000);
	r->attempt = l->attempt[k];
	r->facts = l->attempt[k] != 0 || pick(l, 2) == 0 ? &facts : NULL;
	struct store_outcome op = { .op = { .kind = STORE_OUTCOME }, .results = r, .n = 1 };
	if (r->to == STORE_BOUNCED) {
		bounce = some_message(l);
		bounce->kind = STORE_BOUNCE;
		op.generated = &bounce;
		op.n_generated = 1;
	}
	uint64_t rcpts = bounce != NULL ? bounce->n_rcpts : 0;
	struct store_op *ops[1] = { &op.op };
	if (run(l, ops, 1) != RC_OK) {
		store_message_free(&bounce);
		return;
	}
	l->generated += rcpts;
	assert_false(r->was_final);
	l->attempt[k] = 0;
	r->from = r->to;
	if (store_state_is_final(r->to)) {
		*r = l->held[--l->n];
		l->attempt[k] = l->attempt[l->n];
	}
}

/* Everything in memory goes; the directory stays as it is. */
static void
step_restart(struct life *l)
{
	struct store_grant grant = { .op = { .kind = STORE_GRANT } };
	struct group_id groups[2] = { { 1 }, { 2 } };

	/* Without a thread there is no last commit that a clean end could add: this is a crash,
	 * too. */
	bed_again(&l->b);
	l->n = 0;
	bed_audit(&l->b);
	l->b.store->dispatcher = l->b.box;
	grant.opened = groups;
	grant.n_opened = 1 + (uint32_t)pick(l, 2);
	grant.credits[0] = (int64_t)pick(l, 100);
	grant.credits[1] = (int64_t)pick(l, 100);
	store_window_grant(&l->b.store->window, &grant);
}

static void
step_refill(struct life *l)
{
	struct store_refill op = { .op = { .kind = STORE_REFILL },
		.group = { 1 + pick(l, 2) },
		.lane = pick(l, 2) == 0 ? STREAM_BULK : STREAM_TRANSACTIONAL,
		.before_us = TIME_NEVER,
		.share = (uint32_t)pick(l, 5),
		.max = 1 + (uint32_t)pick(l, 20) };
	struct store_op *ops[1] = { &op.op };

	if (run(l, ops, 1) != RC_OK)
		return;
	for (uint32_t i = 0; i < op.n && l->n < COUNT_OF(l->held); i++) {
		const struct store_row *row = &op.rows[i];
		bool known = false;
		for (size_t k = 0; k < l->n; k++)
			known |= l->held[k].rcpt.v == row->rcpt.v;
		if (known)
			continue;
		l->attempt[l->n] = 0;
		l->held[l->n++] = (struct store_result){ .rcpt = row->rcpt,
			.msg = row->msg,
			.account = row->account,
			.lane = row->lane,
			.n_rcpts = row->n_rcpts,
			.segment = row->segment,
			.from = row->state,
			.at_us = 5 };
	}
	store_refill_done(&op);
}

static void
live(uint64_t seed)
{
	static struct life l;

	l = (struct life){ .r = prng_make(seed) };
	bed_init(&l.b);
	l.b.opts.segment_bytes = 4096;
	bed_open(&l.b);
	step_restart(&l);
	for (int i = 0; i < STEPS; i++) {
		disk_fails = pick(&l, 40) == 0;
		uint64_t what = pick(&l, 100);
		if (what < 25 && l.n < COUNT_OF(l.held) / 2)
			step_accept(&l);
		else if (what < 50)
			step_finish(&l);
		else if (what < 85)
			step_outcome(&l);
		else if (what < 95)
			step_refill(&l);
		else if (what < 97)
			(void)store_upkeep_slice(l.b.store, (int64_t)i * SECONDS(3), true);
		else
			step_restart(&l);
		if (i % 20 == 0)
			bed_audit(&l.b);
	}
	disk_fails = false;
	step_restart(&l);
	struct store_totals t = bed_totals(&l.b);
	assert_int_equal(t.accepted, l.accepted);
	assert_int_equal(t.generated, l.generated);
	bed_down(&l.b);
}

static void
random_lives_keep_every_rule(void **state)
{
	static struct store_disk disk;

	(void)state;
	disk = store_disk_system;
	disk.pwritev = failing_pwritev;
	store_disk_replace(&disk);
	for (uint64_t seed = 1; seed <= 5; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		live(seed);
	}
	store_disk_replace(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_lives_keep_every_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
