/* One seed: many random steps, then everything heals, and all that was accepted must come to an
 * end. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

#define T0 DAYS(20000)

/* ---- what must hold ---- */

/* Promise P1: accepted + generated = finals + queued + held + in doubt + captured, whatever
 * happens. */
static void
check_sums(struct sim *s)
{
	size_t by_state[ROW_STATE_COUNT] = { 0 };
	uint64_t sum = 0;

	for (size_t i = 0; i < s->disk.n_rows; i++)
		by_state[s->disk.rows[i].state]++;
	for (size_t i = 0; i < ROW_FINAL_COUNT; i++) {
		SIM_CHECK(by_state[i] == s->disk.finals[i],
		    "final state %zu: %zu rows, counted %llu", i, by_state[i],
		    (unsigned long long)s->disk.finals[i]);
		sum += s->disk.finals[i];
	}
	for (size_t i = ROW_FINAL_COUNT; i < ROW_STATE_COUNT; i++)
		sum += by_state[i];
	SIM_CHECK(s->disk.accepted + s->disk.generated == sum,
	    "accepted %llu, generated %llu, sum %llu", (unsigned long long)s->disk.accepted,
	    (unsigned long long)s->disk.generated, (unsigned long long)sum);
}

/* Promise P2, from the other end: what is called sent has arrived; what is called failed has not,
 * and nothing arrives more often than its policy allows. */
static void
check_rows(struct sim *s)
{
	for (size_t i = 0; i < s->disk.n_rows; i++) {
		const struct row *row = &s->disk.rows[i];
		unsigned long long id = row->id;
		SIM_CHECK(row->arrived <= 1 + row->repeats, "recipient %llu arrived %u times", id,
		    row->arrived);
		SIM_CHECK(
		    row->repeats <= row->doubts, "recipient %llu was repeated without doubt", id);
		switch (row->state) {
		case ROW_SENT:
			SIM_CHECK(row->arrived > 0, "recipient %llu never arrived", id);
			break;
		case ROW_UNKNOWN:
			SIM_CHECK(row->doubts > 0, "recipient %llu is no doubt", id);
			break;
		case ROW_BOUNCED:
		case ROW_EXPIRED:
		case ROW_FAILED:
		case ROW_CANCELLED:
			SIM_CHECK(row->arrived == 0 && row->doubts == 0,
			    "recipient %llu arrived or may have, and was reported failed", id);
			break;
		case ROW_QUEUED:
		case ROW_HELD:
		case ROW_CAPTURED:
			SIM_CHECK(row->finishing || row->arrived <= row->repeats,
			    "recipient %llu has arrived and waits to be sent", id);
			break;
		case ROW_IN_DOUBT:
		case ROW_STATE_COUNT: break;
		}
	}
}

/* Nobody is forgotten: with nothing on its way, a row that no index has is in the window. */
static void
check_window(struct sim *s)
{
	if (!list_is_empty(&s->disk.posted) || !list_is_empty(&s->disk.committed))
		return;
	for (size_t i = 0; i < s->disk.n_rows; i++) {
		const struct row *row = &s->disk.rows[i];
		if (disk_is_live(row) && row->due_us == DUE_NULL)
			SIM_CHECK(queue_find(s->d.q, (struct rcpt_id){ row->id }) != NULL,
			    "recipient %llu is in no index and not in the window",
			    (unsigned long long)row->id);
	}
}

void
run_check(struct sim *s)
{
	check_sums(s);
	check_rows(s);
	check_window(s);
	queue_audit(s->d.q);
}

/* ---- steps ---- */

static void
submit(struct sim *s, enum stream lane, size_t n)
{
	struct op *op = disk_op(OP_ACCEPT);
	/* One draw for each statement: the order inside an initialiser is the compiler's. */
	uint64_t account = 1 + pick(s, SIM_ACCOUNTS);
	bool balanced = pick(s, 3) == 0;
	struct row like = {
		.account = account,
		.lane = lane,
		.state = ROW_QUEUED,
		.due_us = DUE_NULL,
		.deadline_us = TIME_NEVER,
		.policy = balanced ? QUEUE_DOUBT_BALANCED : queue_doubt_default(lane),
	};

	if (!s->world.calm && pick(s, 6) == 0)
		like.deadline_us = s->now_us + MINUTES(10) + (int64_t)pick(s, (uint64_t)HOURS(3));
	if (!s->world.calm && pick(s, 8) == 0)
		like.due_us = s->now_us + (int64_t)pick(s, (uint64_t)HOURS(12));
	if (!s->world.calm && pick(s, 20) == 0) {
		like.state = pick(s, 2) == 0 ? ROW_HELD : ROW_CAPTURED;
		like.due_us = DUE_NONE;
	}
	op->birth = MEM_NEW_ARRAY(struct row, n);
	op->n_birth = n;
	for (size_t i = 0; i < n; i++) {
		op->birth[i] = like;
		op->birth[i].dest = 1 + pick(s, SIM_DESTS - 1);
		op->birth[i].group = 1 + pick(s, SIM_GROUPS);
		/* The writer spends credits of the window; a closed group gets none. */
		if (like.due_us == DUE_NULL &&
		    (pick(s, 8) == 0 ||
			!queue_is_open(s->d.q, (struct group_id){ op->birth[i].group })))
			op->birth[i].due_us = s->now_us;
	}
	disk_post(s, op);
}

/* A person settles what only a person can. */
static void
release(struct sim *s, struct row *row)
{
	uint64_t choice = pick(s, 3);

	if (row->state == ROW_IN_DOUBT && row->due_us == DUE_NONE && choice == 0) {
		row->state = ROW_UNKNOWN;
		s->disk.finals[ROW_UNKNOWN]++;
		return;
	}
	if (row->state == ROW_IN_DOUBT && row->due_us == DUE_NONE)
		row->repeats++;
	else if (row->state == ROW_HELD || row->state == ROW_CAPTURED)
		row->state = ROW_QUEUED;
	else
		return;
	row->due_us = s->now_us;
	queue_add_more(s->d.q, (struct group_id){ row->group }, row->lane, s->now_us, s->now_us);
}

static void
pass_time_to(struct sim *s, int64_t to_us)
{
	if (to_us <= s->now_us)
		return;
	for (uint64_t g = 1; g <= SIM_GROUPS; g++) {
		if (queue_is_open(s->d.q, (struct group_id){ g }))
			s->open_us[g] += to_us - s->now_us;
	}
	s->now_us = to_us;
	world_tick(s);
	way_tick(s);
	dispatch_tick(s);
}

/* To the next moment at which anything happens, but no further than `most_us`. */
static void
pass_time(struct sim *s, int64_t most_us)
{
	int64_t next = dispatch_next_us(s), world = world_next_us(s), way = way_next_us(s);

	next = world < next ? world : next;
	next = way < next ? way : next;
	pass_time_to(s, next - s->now_us < most_us ? next : s->now_us + most_us);
}

static void
crash(struct sim *s)
{
	s->crashes++;
	dispatch_stop(s);
	disk_crash(s);
	dispatch_start(s);
}

static void
person(struct sim *s)
{
	uint64_t relay = pick(s, SIM_RELAYS);
	struct row *row = s->disk.n_rows > 0 ? disk_row(s, 1 + pick(s, s->disk.n_rows)) : NULL;

	switch (pick(s, 8)) {
	case 0: way_pause(s, relay, true); break;
	case 1:
	case 2: way_pause(s, relay, false); break;
	case 3: dispatch_move(s, 1 + pick(s, SIM_GROUPS), relay); break;
	case 4: dispatch_evict(s, 1 + pick(s, SIM_GROUPS)); break;
	case 5:
		if (row != NULL)
			dispatch_cancel(s, row->id);
		break;
	case 6:
		if (row != NULL)
			dispatch_hurry(s, row->id);
		break;
	default:
		if (row != NULL)
			release(s, row);
	}
}

/* Everything that can happen without time passing. */
static void
settle_down(struct sim *s)
{
	do {
		while (disk_commit(s) || dispatch_read(s))
			;
		dispatch_work(s);
	} while (!list_is_empty(&s->disk.posted));
}

/* Nothing goes wrong and nobody dawdles: what is measured is the queue. */
static void
calm_step(struct sim *s)
{
	/* Few enough codes that they do not wait for each other. */
	if (pick(s, 100) < 2)
		submit(s, STREAM_TRANSACTIONAL, 1);
	settle_down(s);
	pass_time(s, MS(5));
}

static void
wild_step(struct sim *s)
{
	uint64_t draw = pick(s, 1000);
	size_t n = 1 + draw % SIM_BATCH;

	if (draw < 80)
		submit(s, pick(s, 3) == 0 ? STREAM_BULK : STREAM_TRANSACTIONAL, n);
	else if (draw < 120)
		person(s);
	else if (draw < 126)
		crash(s);
	else if (draw < 350)
		disk_commit(s);
	else if (draw < 550)
		dispatch_read(s);
	else if (draw < 800)
		dispatch_work(s);
	else
		pass_time(s, pick(s, 20) == 0 ? HOURS(30) : MINUTES(20));
}

static bool
is_over(struct sim *s)
{
	for (size_t i = 0; i < s->disk.n_rows; i++) {
		if (s->disk.rows[i].state >= ROW_FINAL_COUNT)
			return false;
	}
	return list_is_empty(&s->disk.posted) && list_is_empty(&s->disk.committed);
}

/* All is well again: every recipient must end. */
static void
drain(struct sim *s)
{
	world_heal(s);
	for (size_t i = 0; i < SIM_RELAYS; i++)
		way_pause(s, i, false);
	for (uint64_t turn = 0; !is_over(s); turn++) {
		SIM_CHECK(turn < 200000, "it does not end");
		for (size_t i = 0; i < s->disk.n_rows; i++)
			release(s, disk_row(s, i + 1));
		settle_down(s);
		pass_time(s, DAYS(1));
		if (turn % 16 == 0)
			run_check(s);
	}
	run_check(s);
	SIM_CHECK(queue_held(s->d.q) == 0, "the window still holds %zu", queue_held(s->d.q));
}

void
run_seed(struct sim *s, uint64_t seed, uint64_t steps)
{
	bool calm = seed % 8 == 0;

	*s = (struct sim){ .seed = seed, .r = prng_make(seed * 0x9e3779b97f4a7c15u), .now_us = T0 };
	list_init(&s->disk.posted);
	list_init(&s->disk.committed);
	for (uint64_t g = 1; g <= SIM_GROUPS; g++)
		s->route[g] = pick(s, SIM_RELAYS);
	world_start(s, calm);
	dispatch_start(s);
	/* Codes behind a newsletter. */
	for (int i = 0; calm && i < 400; i++)
		submit(s, STREAM_BULK, 1);
	for (uint64_t i = 0; i < steps; i++) {
		if (calm)
			calm_step(s);
		else
			wild_step(s);
		s->steps++;
		run_check(s);
	}
	drain(s);
	if (calm)
		SIM_CHECK(s->worst_latency_us < MS(500), "a code waited %lld ms behind bulk",
		    (long long)s->worst_latency_us / 1000);
	dispatch_stop(s);
	disk_free(&s->disk);
}
