/* What follows from a changeover's state: who goes where, what is wanted, what people see; and what
 * must hold in each state. Nothing here changes anything but the list of news. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "relay/changeover_private.h"

#define CUT_LEAST   SECONDS(5)
#define CUT_UNKNOWN SECONDS(30) /* while too little is known of the old version */
#define CUT_FROM    20          /* samples */
#define FULL_P1     0.2
#define DAY_MOST    (INT64_MAX / DAYS(4))

/* ---- for the other files ---- */

const struct relay_changeover_step *
changeover_step(const struct relay_changeover *c)
{
	uint32_t last = c->opts.schedule.n_steps - 1;

	return &c->opts.schedule.steps[c->step < last ? c->step : last];
}

bool
changeover_is_watching(const struct relay_changeover *c)
{
	return c->state == RELAY_CHANGEOVER_CANARY || c->state == RELAY_CHANGEOVER_FULL ||
	       (c->state == RELAY_CHANGEOVER_HELD && !c->our_side &&
		   (c->before == RELAY_CHANGEOVER_CANARY || c->before == RELAY_CHANGEOVER_FULL));
}

bool
changeover_is_full(const struct relay_changeover *c)
{
	return c->before == RELAY_CHANGEOVER_FULL;
}

double
changeover_p1(const struct relay_changeover *c)
{
	double p1 = changeover_is_full(c) ? FULL_P1 : changeover_step(c)->worst_pm / 1000.0;

	return p1 > c->p0 * 2 ? p1 : c->p0 * 2;
}

uint32_t
changeover_clean_needed(const struct relay_changeover *c)
{
	return changeover_is_full(c) ? c->opts.schedule.full_clean : changeover_step(c)->clean;
}

uint32_t
changeover_excluded_count(const struct relay_changeover *c)
{
	uint32_t n = 0;

	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		n += c->is_excluded[g];
	return n;
}

static int
cmp_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

int64_t
changeover_latency(const struct relay_changeover *c, enum relay_side side, double q)
{
	int64_t sorted[CHANGEOVER_SAMPLES];
	uint32_t n = c->n_latency[side];

	if (n > CHANGEOVER_SAMPLES)
		n = CHANGEOVER_SAMPLES;
	if (n == 0)
		return 0;
	memcpy(sorted, c->latency[side], n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), cmp_times);
	return sorted[(uint32_t)(q * (n - 1) + 0.5)];
}

/* Clean messages until `sum` is down at `bound`. */
static uint32_t
clean_until(double sum, double bound, double clean)
{
	return sum > bound ? (uint32_t)ceil((sum - bound) / -clean - 1e-6) : 0;
}

/* Clean messages still missing: each fault costs some. */
static uint32_t
clean_missing(const struct relay_changeover *c)
{
	const struct relay_schedule *s = &c->opts.schedule;
	uint32_t test = clean_until(c->test.sum, changeover_pass_at(c), c->odds.test.clean);
	uint32_t proof = 0;

	if (c->before == RELAY_CHANGEOVER_FULL && (s->full_us != 0 || s->full_clean != 0))
		proof = clean_until(
		    c->proof, -relay_sprt_bound(c->opts.rules.false_promote), c->odds.group.clean);
	return test > proof ? test : proof;
}

/* ---- what follows ---- */

enum relay_want
relay_changeover_wants(const struct relay_changeover *c, uint64_t *since_out)
{
	*since_out = c->wants;
	switch (c->state) {
	case RELAY_CHANGEOVER_DRAFT: return RELAY_WANT_PREFLIGHT;
	case RELAY_CHANGEOVER_CHECKED: return RELAY_WANT_PROBE;
	case RELAY_CHANGEOVER_SUSPECT: return RELAY_WANT_CONTROL;
	case RELAY_CHANGEOVER_HELD:
		return c->our_side && c->retry_us == 0 ? RELAY_WANT_CONTROL : RELAY_WANT_NOTHING;
	case RELAY_CHANGEOVER_PROBED:
	case RELAY_CHANGEOVER_CANARY:
	case RELAY_CHANGEOVER_FULL:
	case RELAY_CHANGEOVER_CONFIRMED:
	case RELAY_CHANGEOVER_RETIRED:
	case RELAY_CHANGEOVER_REVERTED:
	case RELAY_CHANGEOVER_REFUSED:
	case RELAY_CHANGEOVER_STATE_COUNT: return RELAY_WANT_NOTHING;
	}
	UNREACHABLE();
}

enum relay_changeover_state
relay_changeover_state(const struct relay_changeover *c)
{
	return c->state;
}

/* The state whose share applies. */
static enum relay_changeover_state
state_of_share(const struct relay_changeover *c)
{
	return c->state == RELAY_CHANGEOVER_HELD ? c->before : c->state;
}

bool
relay_changeover_is_full(const struct relay_changeover *c)
{
	enum relay_changeover_state s = state_of_share(c);

	return s == RELAY_CHANGEOVER_FULL || s == RELAY_CHANGEOVER_CONFIRMED ||
	       s == RELAY_CHANGEOVER_RETIRED;
}

uint32_t
relay_changeover_share(const struct relay_changeover *c)
{
	if (relay_changeover_is_full(c))
		return 1000;
	if (state_of_share(c) != RELAY_CHANGEOVER_CANARY)
		return 0;
	return c->opts.kind == RELAY_CHANGEOVER_WARM_UP ? 1000 : changeover_step(c)->share;
}

uint32_t
relay_changeover_place(const struct relay_changeover *c, struct msg_id msg)
{
	uint64_t x = msg.v * 0x9e3779b97f4a7c15u + c->opts.id * 0xbf58476d1ce4e5b9u;

	x ^= x >> 31;
	x *= 0x94d049bb133111ebu;
	x ^= x >> 29;
	return (uint32_t)(x % 1000);
}

uint32_t
relay_changeover_at_once(const struct relay_changeover *c)
{
	uint32_t most = changeover_step(c)->at_once, missing = clean_missing(c);

	if (state_of_share(c) != RELAY_CHANGEOVER_CANARY ||
	    c->opts.kind == RELAY_CHANGEOVER_WARM_UP || most == 0)
		return 0;
	/* No more on their way than the step still needs. */
	return missing < most ? (missing > 0 ? missing : 1) : most;
}

bool
relay_changeover_may_take(
    const struct relay_changeover *c, enum relay_rgroup g, int64_t deadline_us, int64_t now_us)
{
	enum relay_changeover_state s = state_of_share(c);

	if (relay_changeover_is_settled(s))
		return s == RELAY_CHANGEOVER_CONFIRMED || s == RELAY_CHANGEOVER_RETIRED;
	if (c->is_excluded[g])
		return false;
	if (s == RELAY_CHANGEOVER_CANARY && c->opts.kind == RELAY_CHANGEOVER_WARM_UP)
		return c->warm[g].today < c->warm[g].cap;
	return s != RELAY_CHANGEOVER_CANARY || c->step != 0 || deadline_us == TIME_NEVER ||
	       deadline_us - now_us > c->opts.rules.near_deadline_us;
}

int64_t
relay_changeover_cut_after_us(const struct relay_changeover *c)
{
	if (!relay_changeover_has_way_back(c))
		return 0;
	int64_t cut_us = c->n_latency[RELAY_OLD] < CUT_FROM
			     ? CUT_UNKNOWN
			     : 3 * changeover_latency(c, RELAY_OLD, 0.95);
	return cut_us > CUT_LEAST ? cut_us : CUT_LEAST;
}

bool
relay_changeover_has_way_back(const struct relay_changeover *c)
{
	return !relay_changeover_is_settled(c->state) && c->opts.kind != RELAY_CHANGEOVER_EMERGENCY;
}

bool
relay_changeover_is_dirty(const struct relay_changeover *c)
{
	return c->dirty;
}

bool
relay_changeover_has_moved(const struct relay_changeover *c)
{
	return c->moved;
}

void
relay_changeover_kept(struct relay_changeover *c)
{
	c->dirty = c->moved = false;
}

bool
relay_changeover_next_news(struct relay_changeover *c, struct relay_changeover_news *out)
{
	if (c->n_news == 0)
		return false;
	*out = c->news[0];
	memmove(&c->news[0], &c->news[1], sizeof(c->news[0]) * (CHANGEOVER_NEWS - 1));
	c->n_news--;
	return true;
}

/* ---- display ---- */

static struct relay_changeover_counts
counts_of(const struct changeover_tally *t)
{
	return (struct relay_changeover_counts){ .sent = t->sent,
		.relay_faults = t->relay_faults,
		.recipient_faults = t->recipient_faults,
		.in_doubt = t->in_doubt,
		.capacity = t->capacity,
		.cut = t->cut,
		.alone = t->alone };
}

static void
fill_counts(const struct relay_changeover *c, struct relay_changeover_view *out)
{
	for (int s = 0; s < 2; s++) {
		out->counts[s] = counts_of(&c->counts[s]);
		out->counts[s].p50_us = changeover_latency(c, (enum relay_side)s, 0.5);
		out->counts[s].p95_us = changeover_latency(c, (enum relay_side)s, 0.95);
		for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
			out->by_group[s][g] = counts_of(&c->group_counts[s][g]);
	}
	memcpy(out->is_excluded, c->is_excluded, sizeof(out->is_excluded));
}

void
relay_changeover_view(const struct relay_changeover *c, struct relay_changeover_view *out)
{
	bool tests = changeover_is_watching(c);
	uint32_t missing = tests ? clean_missing(c) : 0, needed = changeover_clean_needed(c);

	*out = (struct relay_changeover_view){ .state = c->state,
		.held_from = c->before,
		.kind = c->opts.kind,
		.step = c->step,
		.n_steps = c->opts.schedule.n_steps,
		.share = relay_changeover_share(c),
		.clean = c->test.clean,
		.clean_needed = c->test.clean + missing > needed ? c->test.clean + missing : needed,
		.green_us = c->green_us,
		.green_needed_us =
		    changeover_is_full(c) ? c->opts.schedule.full_us : changeover_step(c)->least_us,
		.llr = tests ? c->test.sum : 0,
		.llr_pass = tests ? changeover_pass_at(c) : 0,
		.llr_fail = tests ? changeover_fail_at(c) : 0,
		.since_us = c->since_us,
		.started_us = c->opts.now_us,
		.settled_us = c->settled_us,
		.reason = c->reason,
		.schedule = &c->opts.schedule,
		.is_unproven = c->unproven,
		.old_proven = c->old_proven,
		.is_our_side = c->our_side };
	if (missing == 0 && out->clean_needed > needed)
		out->clean_needed = needed; /* more than needed have come: it waits for time */
	fill_counts(c, out);
}

const char *
changeover_broken(const struct relay_changeover *c)
{
	bool aside = c->state == RELAY_CHANGEOVER_HELD || c->state == RELAY_CHANGEOVER_SUSPECT;
	bool had_mail = c->before == RELAY_CHANGEOVER_CANARY || c->before == RELAY_CHANGEOVER_FULL;

	/* One state at a time: what a share belongs to is the state itself, or one set aside. */
	if (!aside && c->before != c->state)
		return "two states at once";
	if (aside && (c->before == RELAY_CHANGEOVER_HELD || c->before == RELAY_CHANGEOVER_SUSPECT ||
			 relay_changeover_is_settled(c->before)))
		return "set aside from nowhere";
	if (c->state == RELAY_CHANGEOVER_SUSPECT && !had_mail)
		return "suspected without mail";
	if (relay_changeover_is_settled(c->state) != (c->settled_us != 0))
		return "settled or not";
	if (c->our_side && (c->state != RELAY_CHANGEOVER_HELD || !had_mail))
		return "our side is at fault, but it is not held for that";
	if (c->by_person && c->state != RELAY_CHANGEOVER_SUSPECT && !c->our_side)
		return "to be reverted, but nothing is asked for";
	if (c->old_proven && c->state != RELAY_CHANGEOVER_REVERTED)
		return "the way back is proven before it was taken";
	if (c->step >= c->opts.schedule.n_steps)
		return "a step behind the last";
	if (c->connects >= c->opts.rules.connects)
		return "connections failed, and nobody noticed";
	if (c->day > DAY_MOST || c->n_news > CHANGEOVER_NEWS)
		return "beyond its bounds";
	return changeover_sums_broken(c);
}

void
relay_changeover_audit(const struct relay_changeover *c)
{
	const char *broken = changeover_broken(c);

	if (broken != NULL)
		check_failed(broken, __FILE__, __LINE__);
}
