/* The states of a changeover and what leads from one to the next.
 *
 * One function sets the state (changeover_enter): it asserts that the step is legal, starts the
 * clocks of the new state, counts a new want and makes the news. Everything else calls it.
 *
 * Bounds of the tests. Each step runs a test of p0 against its own p1. It passes when as much
 * speaks for the new version as `clean` messages without a fault would say, so a fault costs some
 * more of them. It fails at ln(tests / false_revert): by Ville's inequality a version at p0 ever
 * reaches that with a chance of false_revert / tests, and the sum over all tests of the changeover
 * (its steps, FULL, and the sum that is watched) is false_revert. A version that fails one message
 * in five passes the steps with a chance below the product of exp(pass bound) of each: 10 clean at
 * p1 = 20 % give 0.12, 36 at 10 % and 73 at 5 % next to nothing, 30 in FULL 0.002. */
#include "relay/changeover.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/changeover_private.h"

static const char *const state_names[] = {
#define X(name, text, next) [RELAY_CHANGEOVER_##name] = text,
#include "relay/changeover_states.def"
#undef X
};
static_assert(COUNT_OF(state_names) == RELAY_CHANGEOVER_STATE_COUNT, "one name each");

static const uint32_t successors[] = {
#define IN(s)               (1u << RELAY_CHANGEOVER_##s)
#define X(name, text, next) [RELAY_CHANGEOVER_##name] = next,
#include "relay/changeover_states.def"
#undef X
#undef IN
};

const char *
relay_changeover_state_name(enum relay_changeover_state state)
{
	ASSERT((size_t)state < COUNT_OF(state_names));
	return state_names[state];
}

bool
relay_changeover_is_settled(enum relay_changeover_state state)
{
	return state == RELAY_CHANGEOVER_CONFIRMED || state == RELAY_CHANGEOVER_RETIRED ||
	       state == RELAY_CHANGEOVER_REVERTED || state == RELAY_CHANGEOVER_REFUSED;
}

void
relay_changeover_rules_default(struct relay_changeover_rules *out)
{
	*out = (struct relay_changeover_rules){
		.false_revert = 0.01,
		.false_promote = 0.0001,
		.p0 = 0.01,
		.p0_max = 0.02,
		.p0_from = 300,
		.connects = 3,
		.doubts = 2,
		.doubts_within = 50,
		.doubt_share = 0.01,
		.slow_factor = 3,
		.slow_slack_us = SECONDS(2),
		.slow_from = 30,
		.cusum_p1 = 0.05,
		.cusum_h = 8,
		.starved_us = HOURS(72),
		.settled_us = DAYS(7),
		.retry_us = SECONDS(30),
		.near_deadline_us = MINUTES(10),
		.warm_first_pm = 50,
		.warm_days = 2,
		.warm_bad = 0.05,
	};
}

struct relay_changeover *
relay_changeover_new(const struct relay_changeover_opts *opts)
{
	struct relay_changeover *c = MEM_NEW(struct relay_changeover);
	const struct relay_changeover_rules *r = &opts->rules;

	ASSERT(opts->schedule.n_steps > 0 && opts->schedule.n_steps <= RELAY_CHANGEOVER_STEPS_MAX);
	c->opts = *opts;
	c->state = c->before = RELAY_CHANGEOVER_DRAFT;
	c->since_us = opts->now_us;
	c->wants = 1;
	c->p0 = r->p0;
	if (opts->old_outcomes >= r->p0_from) {
		double rate = (double)opts->old_faults / (double)opts->old_outcomes;
		c->p0 = fmin(fmax(rate, r->p0), r->p0_max);
	}
	c->day = c->first_day = opts->now_us / DAYS(1);
	snprintf(c->reason, sizeof(c->reason), "The new server is being checked.");
	c->dirty = c->moved = true;
	return c;
}

void
relay_changeover_free(struct relay_changeover **cp)
{
	struct relay_changeover *c = TAKE(*cp);

	free(c);
}

/* ---- states ---- */

void
changeover_say(struct relay_changeover *c, enum relay_changeover_news_kind kind, const char *text)
{
	struct relay_changeover_news *n;

	if (c->n_news == CHANGEOVER_NEWS) { /* nobody listens: the newest count */
		memmove(&c->news[0], &c->news[1], sizeof(c->news[0]) * (CHANGEOVER_NEWS - 1));
		c->n_news--;
	}
	n = &c->news[c->n_news++];
	*n = (struct relay_changeover_news){
		.kind = kind, .from = c->state, .to = c->state, .step = c->step
	};
	snprintf(n->text, sizeof(n->text), "%s", text);
	c->dirty = true;
}

void
changeover_enter(struct relay_changeover *c, enum relay_changeover_state to, int64_t now_us,
    const char *fmt, ...)
{
	enum relay_changeover_state from = c->state;
	va_list ap;

	ASSERT((successors[from] & 1u << to) != 0);
	va_start(ap, fmt);
	vsnprintf(c->reason, sizeof(c->reason), fmt, ap);
	va_end(ap);
	if ((to == RELAY_CHANGEOVER_HELD || to == RELAY_CHANGEOVER_SUSPECT) &&
	    from != RELAY_CHANGEOVER_SUSPECT && from != RELAY_CHANGEOVER_HELD)
		c->before = from;
	if (to != RELAY_CHANGEOVER_HELD && to != RELAY_CHANGEOVER_SUSPECT)
		c->before = to;
	c->state = to;
	c->since_us = now_us;
	c->last_us = 0;
	c->wants++;
	c->retry_us = 0;
	if (to != RELAY_CHANGEOVER_HELD)
		c->our_side = false;
	if (to != RELAY_CHANGEOVER_SUSPECT)
		c->by_person = false;
	if (relay_changeover_is_settled(to) && c->settled_us == 0)
		c->settled_us = now_us;
	c->moved = true;
	changeover_say(c, RELAY_CHANGEOVER_MOVED, c->reason);
	c->news[c->n_news - 1].from = from;
}

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

static bool
is_full_test(const struct relay_changeover *c)
{
	return c->before == RELAY_CHANGEOVER_FULL;
}

double
changeover_p1(const struct relay_changeover *c)
{
	double p1 = is_full_test(c) ? 0.2 : changeover_step(c)->worst_pm / 1000.0;

	return p1 > c->p0 * 2 ? p1 : c->p0 * 2;
}

uint32_t
changeover_clean_needed(const struct relay_changeover *c)
{
	return is_full_test(c) ? c->opts.schedule.full_clean : changeover_step(c)->clean;
}

static double
clean_adds(double p0, double p1)
{
	return log((1 - p1) / (1 - p0));
}

double
changeover_pass_at(const struct relay_changeover *c)
{
	return changeover_clean_needed(c) * clean_adds(c->p0, changeover_p1(c)) + 1e-9;
}

double
changeover_fail_at(const struct relay_changeover *c)
{
	return log((c->opts.schedule.n_steps + 2) / c->opts.rules.false_revert);
}

void
changeover_start_step(struct relay_changeover *c, int64_t now_us)
{
	c->test = (struct changeover_test){ 0 };
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		c->by_group[g] = (struct changeover_test){ 0 };
	c->cusum = 0;
	c->connects = 0;
	c->green_us = 0;
	c->last_us = 0;
	c->since_us = now_us;
	c->due_told = false;
}

static void
go_full(struct relay_changeover *c, int64_t now_us, const char *why)
{
	changeover_enter(
	    c, RELAY_CHANGEOVER_FULL, now_us, "%s All messages go to the new server.", why);
	changeover_start_step(c, now_us);
}

static void
begin(struct relay_changeover *c, int64_t now_us)
{
	if (c->opts.kind == RELAY_CHANGEOVER_EMERGENCY) {
		go_full(c, now_us, "The old server was said to be dead.");
		return;
	}
	c->step = 0;
	if (c->opts.kind == RELAY_CHANGEOVER_WARM_UP)
		changeover_enter(c, RELAY_CHANGEOVER_CANARY, now_us,
		    "Warming up: each recipient group has a daily cap on the new server.");
	else
		changeover_enter(c, RELAY_CHANGEOVER_CANARY, now_us,
		    "Step 1 of %u: up to %.0f %% of messages try the new server.",
		    c->opts.schedule.n_steps, changeover_step(c)->share / 10.0);
	changeover_start_step(c, now_us);
}

static void
confirm(struct relay_changeover *c, int64_t now_us, const char *why)
{
	changeover_enter(c, RELAY_CHANGEOVER_CONFIRMED, now_us,
	    "%s The routes lead to the new server; the old one is kept ready for %lld days.%s", why,
	    (long long)(c->opts.rules.settled_us / DAYS(1)),
	    c->unproven ? " Arrival in mailboxes was not proven." : "");
}

static int
excluded_count(const struct relay_changeover *c)
{
	int n = 0;

	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		n += c->is_excluded[g];
	return n;
}

static void
finish_full(struct relay_changeover *c, int64_t now_us)
{
	const struct relay_schedule *s = &c->opts.schedule;
	char why[160];

	if (s->full_us == 0 && s->full_clean == 0)
		return;
	if (excluded_count(c) != 0) {
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "All but %d recipient groups go well through the new server; a person must decide: "
		    "confirm, or revert.",
		    excluded_count(c));
		return;
	}
	snprintf(why, sizeof(why), "Confirmed: %u clean messages and %lld s with evidence.",
	    c->test.clean, (long long)(c->green_us / SECONDS(1)));
	confirm(c, now_us, why);
}

void
changeover_promote(struct relay_changeover *c, int64_t now_us)
{
	bool passed = c->test.llr <= changeover_pass_at(c) || changeover_clean_needed(c) == 0;

	if (c->state == RELAY_CHANGEOVER_FULL) {
		if (passed && c->green_us >= c->opts.schedule.full_us)
			finish_full(c, now_us);
		return;
	}
	if (c->state != RELAY_CHANGEOVER_CANARY || c->opts.kind == RELAY_CHANGEOVER_WARM_UP ||
	    !passed || c->green_us < changeover_step(c)->least_us)
		return;
	uint32_t clean = c->test.clean, faults = c->test.faults;
	char why[160];
	snprintf(why, sizeof(why),
	    "Step %u of %u passed: %u of %u messages taken, %u relay faults.", c->step + 1,
	    c->opts.schedule.n_steps, clean, clean + faults, faults);
	if (c->step + 1 == c->opts.schedule.n_steps) {
		go_full(c, now_us, why);
		return;
	}
	c->step++;
	changeover_start_step(c, now_us);
	snprintf(c->reason, sizeof(c->reason), "%s Now %u %% of messages.", why,
	    changeover_step(c)->share / 10u);
	c->moved = true;
	changeover_say(c, RELAY_CHANGEOVER_MOVED, c->reason);
}

void
changeover_suspect(struct relay_changeover *c, int64_t now_us, const char *fmt, ...)
{
	char why[CHANGEOVER_TEXT];
	va_list ap;

	if (!changeover_is_watching(c))
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	changeover_enter(c, RELAY_CHANGEOVER_SUSPECT, now_us, "%s", why);
	/* Should it turn out to be no fault of the new version, its test begins anew. */
	changeover_start_step(c, now_us);
}

/* ---- answers ---- */

static void
cut(char out[static 200], struct str why)
{
	snprintf(out, 200, "%.*s", STR_ARG(str_sub(why, 0, 199)));
}

void
relay_changeover_checked(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us)
{
	char text[200];

	cut(text, why);
	if (c->state != RELAY_CHANGEOVER_DRAFT)
		return;
	if (a == RELAY_ANSWER_FAILED) {
		changeover_enter(c, RELAY_CHANGEOVER_REFUSED, now_us, "Preflight failed: %s", text);
		return;
	}
	changeover_enter(c, RELAY_CHANGEOVER_CHECKED, now_us, "Preflight passed: %s", text);
	if (a == RELAY_ANSWER_HOLD)
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "Preflight passed, but a person must decide: %s", text);
	else if (!c->opts.has_probe)
		relay_changeover_probed(c, RELAY_ANSWER_UNPROVEN,
		    STR("there is no probe mailbox, so it is not proven that mail arrives"),
		    now_us);
}

void
relay_changeover_probed(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us)
{
	char text[200];

	cut(text, why);
	if (c->state != RELAY_CHANGEOVER_CHECKED)
		return;
	if (a == RELAY_ANSWER_FAILED) {
		changeover_enter(c, RELAY_CHANGEOVER_REFUSED, now_us, "Probes failed: %s", text);
		return;
	}
	c->unproven = a == RELAY_ANSWER_UNPROVEN;
	changeover_enter(c, RELAY_CHANGEOVER_PROBED, now_us, "%s: %s",
	    c->unproven ? "No probe" : "Probes arrived", text);
	if (a == RELAY_ANSWER_HOLD)
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "Probes arrived, but a person must decide: %s", text);
	else
		begin(c, now_us);
}

void
relay_changeover_controlled(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us)
{
	char text[200], reason[160];
	bool works = a != RELAY_ANSWER_FAILED;

	cut(text, why);
	if (c->state == RELAY_CHANGEOVER_SUSPECT && works) {
		snprintf(reason, sizeof(reason), "%.159s", c->reason);
		changeover_enter(c, RELAY_CHANGEOVER_REVERTED, now_us,
		    "%s The old server works; all mail goes through it again.", reason);
	} else if (c->state == RELAY_CHANGEOVER_SUSPECT) {
		snprintf(reason, sizeof(reason), "%.159s", c->reason);
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "%s But the old server fails too (%.100s): the fault is nearer home.", reason,
		    text);
		c->our_side = true;
		c->retry_us = now_us + c->opts.rules.retry_us;
	} else if (c->state == RELAY_CHANGEOVER_HELD && c->our_side && works) {
		changeover_enter(c, c->before, now_us,
		    "The old server answers again: what failed meanwhile does not count.");
		changeover_start_step(c, now_us);
	} else if (c->state == RELAY_CHANGEOVER_HELD && c->our_side) {
		c->retry_us = now_us + c->opts.rules.retry_us;
		c->wants++;
		c->dirty = true;
	}
}

/* ---- by a person ---- */

static enum rc
refuse(const struct relay_changeover *c, const char *what, struct fault *f)
{
	const char *can = relay_changeover_is_settled(c->state)
			      ? "it is over"
			      : (c->state == RELAY_CHANGEOVER_HELD ? "resume, confirm or revert it"
								   : "hold or revert it, or wait");

	return fault_set(f, RC_INVALID, "the changeover is %s, so it is not possible to %s it: %s",
	    relay_changeover_state_name(c->state), what, can);
}

enum rc
relay_changeover_hold(struct relay_changeover *c, struct str why, int64_t now_us, struct fault *f)
{
	char text[200];

	cut(text, why);
	if (relay_changeover_is_settled(c->state) || c->state == RELAY_CHANGEOVER_HELD)
		return refuse(c, "hold", f);
	changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us, "Held by a person%s%s.",
	    text[0] != '\0' ? ": " : "", text);
	return RC_OK;
}

enum rc
relay_changeover_resume(struct relay_changeover *c, int64_t now_us, struct fault *f)
{
	if (c->state != RELAY_CHANGEOVER_HELD)
		return refuse(c, "resume", f);
	enum relay_changeover_state to = c->before;
	changeover_enter(c, to, now_us, "Resumed by a person.");
	if (to == RELAY_CHANGEOVER_CHECKED && !c->opts.has_probe)
		relay_changeover_probed(
		    c, RELAY_ANSWER_UNPROVEN, STR("there is no probe mailbox"), now_us);
	else if (to == RELAY_CHANGEOVER_PROBED)
		begin(c, now_us);
	return RC_OK;
}

enum rc
relay_changeover_confirm(struct relay_changeover *c, int64_t now_us, struct fault *f)
{
	bool can = c->state == RELAY_CHANGEOVER_FULL ||
		   (c->state == RELAY_CHANGEOVER_HELD && c->before == RELAY_CHANGEOVER_FULL);

	if (!can)
		return refuse(c, "confirm", f);
	confirm(c, now_us, "Confirmed by a person.");
	return RC_OK;
}

enum rc
relay_changeover_revert(
    struct relay_changeover *c, bool at_once, struct str why, int64_t now_us, struct fault *f)
{
	char text[200];

	cut(text, why);
	if (relay_changeover_is_settled(c->state))
		return refuse(c, "revert", f);
	bool none_moved =
	    c->before != RELAY_CHANGEOVER_CANARY && c->before != RELAY_CHANGEOVER_FULL;
	if (at_once || none_moved)
		changeover_enter(c, RELAY_CHANGEOVER_REVERTED, now_us, "Reverted by a person%s%s.",
		    text[0] != '\0' ? ": " : "", text);
	else if (c->state != RELAY_CHANGEOVER_SUSPECT)
		changeover_enter(c, RELAY_CHANGEOVER_SUSPECT, now_us, "Reverted by a person%s%s.",
		    text[0] != '\0' ? ": " : "", text);
	c->by_person = c->state == RELAY_CHANGEOVER_SUSPECT;
	c->dirty = true;
	return RC_OK;
}

enum rc
relay_changeover_retire(struct relay_changeover *c, int64_t now_us, struct fault *f)
{
	if (c->state != RELAY_CHANGEOVER_CONFIRMED)
		return refuse(c, "retire", f);
	changeover_enter(
	    c, RELAY_CHANGEOVER_RETIRED, now_us, "The old server is no longer kept ready.");
	return RC_OK;
}

/* ---- time ---- */

int64_t
relay_changeover_next_event_us(const struct relay_changeover *c)
{
	const struct relay_changeover_rules *r = &c->opts.rules;

	switch (c->state) {
	case RELAY_CHANGEOVER_CONFIRMED: return c->since_us + r->settled_us;
	case RELAY_CHANGEOVER_CANARY:
		return c->opts.kind == RELAY_CHANGEOVER_WARM_UP ? (c->day + 1) * DAYS(1)
								: c->since_us + r->starved_us;
	case RELAY_CHANGEOVER_FULL: return c->due_told ? TIME_NEVER : c->since_us + r->starved_us;
	case RELAY_CHANGEOVER_HELD:
		return c->our_side && c->retry_us != 0 ? c->retry_us : TIME_NEVER;
	case RELAY_CHANGEOVER_DRAFT:
	case RELAY_CHANGEOVER_CHECKED:
	case RELAY_CHANGEOVER_PROBED:
	case RELAY_CHANGEOVER_SUSPECT:
	case RELAY_CHANGEOVER_RETIRED:
	case RELAY_CHANGEOVER_REVERTED:
	case RELAY_CHANGEOVER_REFUSED:
	case RELAY_CHANGEOVER_STATE_COUNT: return TIME_NEVER;
	}
	UNREACHABLE();
}

void
relay_changeover_tick(struct relay_changeover *c, int64_t now_us)
{
	if (c->state == RELAY_CHANGEOVER_CANARY && c->opts.kind == RELAY_CHANGEOVER_WARM_UP) {
		changeover_warm_tick(c, now_us);
		return;
	}
	if (relay_changeover_next_event_us(c) > now_us)
		return;
	if (c->state == RELAY_CHANGEOVER_CONFIRMED) {
		(void)relay_changeover_retire(c, now_us, NULL);
	} else if (c->state == RELAY_CHANGEOVER_CANARY) {
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "Step %u saw %u of %u messages in %lld hours: too little to judge by. Resume to "
		    "wait on, or revert.",
		    c->step + 1, c->test.clean, changeover_step(c)->clean,
		    (long long)(c->opts.rules.starved_us / HOURS(1)));
	} else if (c->state == RELAY_CHANGEOVER_FULL) {
		c->due_told = true;
		changeover_say(c, RELAY_CHANGEOVER_DUE,
		    "All mail has gone to the new server for days, with too little of it to confirm by "
		    "itself: confirm it, or revert.");
	} else if (c->state == RELAY_CHANGEOVER_HELD) {
		c->retry_us = 0; /* wanted now: relay_changeover_wants */
		c->wants++;
		c->dirty = true;
	}
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
	if (state_of_share(c) != RELAY_CHANGEOVER_CANARY ||
	    c->opts.kind == RELAY_CHANGEOVER_WARM_UP)
		return 0;
	return changeover_step(c)->at_once;
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
		return c->warm_taken[g] < changeover_warm_cap(c, g);
	return s != RELAY_CHANGEOVER_CANARY || c->step != 0 || deadline_us == TIME_NEVER ||
	       deadline_us - now_us > c->opts.rules.near_deadline_us;
}

int64_t
relay_changeover_cut_after_us(const struct relay_changeover *c)
{
	if (relay_changeover_is_settled(c->state))
		return 0;
	int64_t p95 = changeover_latency(c, RELAY_OLD, 0.95);
	int64_t cut_us = c->n_latency[RELAY_OLD] < 20 ? SECONDS(30) : 3 * p95;
	return cut_us > SECONDS(5) ? cut_us : SECONDS(5);
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

static void
fill_counts(const struct relay_changeover *c, const struct changeover_tally *t,
    enum relay_side side, bool with_latency, struct relay_changeover_counts *out)
{
	*out = (struct relay_changeover_counts){ .sent = t->sent,
		.relay_faults = t->relay_faults,
		.recipient_faults = t->recipient_faults,
		.in_doubt = t->in_doubt,
		.capacity = t->capacity,
		.cut = t->cut,
		.alone = t->alone,
		.p50_us = with_latency ? changeover_latency(c, side, 0.5) : 0,
		.p95_us = with_latency ? changeover_latency(c, side, 0.95) : 0 };
}

void
relay_changeover_view(const struct relay_changeover *c, struct relay_changeover_view *out)
{
	bool tests = changeover_is_watching(c);

	*out = (struct relay_changeover_view){ .state = c->state,
		.held_from = c->before,
		.kind = c->opts.kind,
		.step = c->step,
		.n_steps = c->opts.schedule.n_steps,
		.share = relay_changeover_share(c),
		.clean = c->test.clean,
		.clean_needed = changeover_clean_needed(c),
		.green_us = c->green_us,
		.green_needed_us =
		    is_full_test(c) ? c->opts.schedule.full_us : changeover_step(c)->least_us,
		.llr = tests ? c->test.llr : 0,
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
	for (int s = 0; s < 2; s++) {
		fill_counts(c, &c->counts[s], (enum relay_side)s, true, &out->counts[s]);
		for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
			fill_counts(c, &c->group_counts[s][g], (enum relay_side)s, false,
			    &out->by_group[s][g]);
	}
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		out->is_excluded[g] = c->is_excluded[g];
}

void
relay_changeover_audit(const struct relay_changeover *c)
{
	const struct relay_schedule *s = &c->opts.schedule;

	ASSERT(s->n_steps > 0 && s->n_steps <= RELAY_CHANGEOVER_STEPS_MAX && c->step < s->n_steps);
	ASSERT(c->state == RELAY_CHANGEOVER_HELD || c->state == RELAY_CHANGEOVER_SUSPECT ||
	       c->before == c->state);
	ASSERT(c->before != RELAY_CHANGEOVER_HELD && c->before != RELAY_CHANGEOVER_SUSPECT);
	ASSERT(!relay_changeover_is_settled(c->state) == (c->settled_us == 0));
	ASSERT(!c->our_side || c->state == RELAY_CHANGEOVER_HELD);
	ASSERT(c->green_us >= 0 && c->connects <= c->opts.rules.connects);
	ASSERT(relay_changeover_share(c) <= 1000);
	ASSERT(c->n_news <= CHANGEOVER_NEWS);
	if (changeover_is_watching(c))
		ASSERT(c->test.llr < changeover_fail_at(c) && c->cusum < c->opts.rules.cusum_h);
}
