/* The states of a changeover and what leads from one to the next.
 *
 * One function sets the state (changeover_enter): it asserts that the step is legal, starts the
 * clocks of the new state, counts a new want and makes the news. Everything else calls it.
 *
 *   DRAFT ─▶ CHECKED, REFUSED     relay_changeover_checked
 *   CHECKED ─▶ PROBED, REFUSED    relay_changeover_probed
 *   PROBED ─▶ CANARY, FULL        changeover_begin
 *   CANARY ─▶ FULL ─▶ CONFIRMED   changeover_promote, or a person (changeover_order.c)
 *   CANARY, FULL ─▶ SUSPECT       changeover_suspect
 *   SUSPECT ─▶ REVERTED, HELD     relay_changeover_controlled
 *   HELD ─▶ what it was           relay_changeover_controlled, or a person
 *   CANARY ─▶ HELD                relay_changeover_tick: too little evidence
 *   CONFIRMED ─▶ RETIRED          relay_changeover_tick, or a person
 *
 * What waits for nothing is passed through at once: a state that is left within the same call never
 * acts, since what acts is what was kept.
 *
 * LIMITS: a step without an end is HELD by the wall clock, so a clock that leaps ahead by days can
 * hold a changeover that went well; a person resumes it. */
#include "relay/changeover.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "relay/changeover_private.h"

#define FEW_MESSAGES 300 /* up to here people are told what they do not prove */

static const struct {
	const char *name;
	uint32_t next;
} states[] = {
#define IN(s)                 (1u << RELAY_CHANGEOVER_##s)
#define X(name_, text, next_) [RELAY_CHANGEOVER_##name_] = { (text), (next_) },
#include "relay/changeover_states.def"
#undef X
#undef IN
};
static_assert(COUNT_OF(states) == RELAY_CHANGEOVER_STATE_COUNT, "every state has a row");

const char *
relay_changeover_state_name(enum relay_changeover_state state)
{
	ASSERT((size_t)state < COUNT_OF(states));
	return states[state].name;
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
		.cusum_h = 14,
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
	if (opts->old_outcomes >= r->p0_from && opts->old_outcomes != 0) {
		double rate = (double)opts->old_faults / (double)opts->old_outcomes;
		c->p0 = fmin(fmax(rate, r->p0), r->p0_max);
	}
	changeover_set_odds(c);
	(void)snprintf(c->reason, sizeof(c->reason), "The new server is being checked.");
	c->dirty = c->moved = true;
	return c;
}

void
relay_changeover_free(struct relay_changeover **cp)
{
	struct relay_changeover *c = TAKE(*cp);

	free(c);
}

/* ---- words ---- */

void
changeover_words(char *out, size_t size, struct str text)
{
	size_t n = 0, step;
	uint32_t cp;

	for (text = str_trim(text); text.n != 0; text = str_skip(text, step)) {
		step = utf8_step(text, &cp);
		bool plain = step > 1 || (step == 1 && cp >= ' ' && cp != 0x7f);
		if (n + (plain ? step : 1) >= size)
			break;
		for (size_t i = 0; plain && i < step; i++)
			out[n++] = text.p[i];
		if (!plain)
			out[n++] = step == 1 ? ' ' : '?';
		step = step != 0 ? step : 1;
	}
	out[n] = '\0';
}

/* Formats into `out`, cut between characters. */
static void PRINTF_LIKE(2, 0)
    write_words(char out[static CHANGEOVER_TEXT], const char *fmt, va_list ap)
{
	char all[2 * CHANGEOVER_TEXT + 200];

	(void)vsnprintf(all, sizeof(all), fmt, ap);
	changeover_words(out, CHANGEOVER_TEXT, str_from(all));
}

static struct relay_changeover_news *
new_news(struct relay_changeover *c, enum relay_changeover_news_kind kind)
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
	c->dirty = true;
	return n;
}

void
changeover_say(
    struct relay_changeover *c, enum relay_changeover_news_kind kind, const char *fmt, ...)
{
	struct relay_changeover_news *n = new_news(c, kind);
	va_list ap;

	va_start(ap, fmt);
	write_words(n->text, fmt, ap);
	va_end(ap);
}

/* The reason, told. */
static struct relay_changeover_news *
say_reason(struct relay_changeover *c)
{
	struct relay_changeover_news *n = new_news(c, RELAY_CHANGEOVER_MOVED);

	memcpy(n->text, c->reason, sizeof(n->text));
	return n;
}
static_assert(
    sizeof(((struct relay_changeover_news *)0)->text) == CHANGEOVER_TEXT, "a reason is news");

/* ---- states ---- */

static bool
is_aside(enum relay_changeover_state state)
{
	return state == RELAY_CHANGEOVER_HELD || state == RELAY_CHANGEOVER_SUSPECT;
}

void
changeover_enter(struct relay_changeover *c, enum relay_changeover_state to, int64_t now_us,
    const char *fmt, ...)
{
	enum relay_changeover_state from = c->state;
	char text[CHANGEOVER_TEXT];
	va_list ap;

	ASSERT((states[from].next & 1u << to) != 0);
	va_start(ap, fmt);
	write_words(text, fmt, ap); /* `reason` may be among its arguments */
	va_end(ap);
	memcpy(c->reason, text, sizeof(c->reason));
	if (!is_aside(to))
		c->before = to;
	else if (!is_aside(from))
		c->before = from;
	c->state = to;
	c->since_us = now_us;
	c->last_us = 0;
	c->retry_us = 0;
	c->wants++;
	if (to != RELAY_CHANGEOVER_HELD)
		c->our_side = false;
	if (!is_aside(to))
		c->by_person = false;
	if (relay_changeover_is_settled(to) && c->settled_us == 0)
		c->settled_us = now_us != 0 ? now_us : 1;
	changeover_set_odds(c);
	c->moved = true;
	say_reason(c)->from = from;
}

void
changeover_start_step(struct relay_changeover *c, int64_t now_us)
{
	c->test = (struct relay_sprt){ 0 };
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		c->groups[g].gave = 0; /* to a test that is over */
	c->green_us = 0;
	c->last_us = 0;
	c->since_us = now_us;
	c->due_told = false;
	changeover_set_odds(c);
}

static void PRINTF_LIKE(3, 4)
    go_full(struct relay_changeover *c, int64_t now_us, const char *fmt, ...)
{
	char why[CHANGEOVER_TEXT];
	va_list ap;

	va_start(ap, fmt);
	write_words(why, fmt, ap);
	va_end(ap);
	changeover_enter(
	    c, RELAY_CHANGEOVER_FULL, now_us, "%s all messages go to the new server.", why);
	changeover_start_step(c, now_us);
}

void
changeover_begin(struct relay_changeover *c, int64_t now_us)
{
	c->step = 0;
	switch (c->opts.kind) {
	case RELAY_CHANGEOVER_EMERGENCY:
		go_full(c, now_us, "The old server was said to be dead:");
		return;
	case RELAY_CHANGEOVER_WARM_UP:
		changeover_warm_begin(c, now_us);
		changeover_enter(c, RELAY_CHANGEOVER_CANARY, now_us,
		    "Warming up: each recipient group has a daily cap on the new server.");
		break;
	case RELAY_CHANGEOVER_GRADUAL:
		changeover_enter(c, RELAY_CHANGEOVER_CANARY, now_us,
		    "Step 1 of %u: up to %.4g %% of messages try the new server.",
		    c->opts.schedule.n_steps, changeover_step(c)->share / 10.0);
		break;
	}
	changeover_start_step(c, now_us);
}

void
changeover_suspect(struct relay_changeover *c, int64_t now_us, const char *fmt, ...)
{
	char why[CHANGEOVER_TEXT];
	va_list ap;

	va_start(ap, fmt);
	write_words(why, fmt, ap);
	va_end(ap);
	changeover_enter(c, RELAY_CHANGEOVER_SUSPECT, now_us, "%s", why);
	/* Should it turn out to be no fault of the new version, its test begins anew. */
	changeover_start_step(c, now_us);
	changeover_forgive(c);
}

void
changeover_go_on(struct relay_changeover *c, int64_t now_us, const char *why)
{
	changeover_enter(c, c->before, now_us, "%s What failed meanwhile does not count.", why);
	changeover_start_step(c, now_us);
	changeover_forgive(c);
}

/* ---- promotion ---- */

/* What so few messages leave possible; "" when they are many. */
static const char *
say_unproven(const struct relay_changeover *c, char *out, size_t size)
{
	const struct changeover_tally *t = &c->counts[RELAY_NEW];
	uint64_t n = t->sent + t->relay_faults;

	out[0] = '\0';
	if (n < FEW_MESSAGES)
		(void)snprintf(out, size,
		    " So few messages prove no more than that fewer than %u %% fail.",
		    (unsigned)ceil(100 * relay_sprt_wilson(t->relay_faults, n)));
	return out;
}

void
changeover_confirm(struct relay_changeover *c, int64_t now_us, const char *why)
{
	char few[100];

	changeover_enter(c, RELAY_CHANGEOVER_CONFIRMED, now_us,
	    "%s The routes lead to the new server; the old one is kept ready for %lld days.%s%s",
	    why, (long long)(c->opts.rules.settled_us / DAYS(1)), say_unproven(c, few, sizeof(few)),
	    c->unproven ? " Arrival in mailboxes was not proven." : "");
}

/* FULL has shown what it must. */
static void
finish_full(struct relay_changeover *c, int64_t now_us)
{
	const struct relay_schedule *s = &c->opts.schedule;
	uint32_t excluded = changeover_excluded_count(c);
	char why[160];

	if (s->full_us == 0 && s->full_clean == 0) {
		if (!c->due_told)
			changeover_say(c, RELAY_CHANGEOVER_DUE,
			    "The new server has taken %u of %u messages since all go there; as "
			    "planned, a person confirms or reverts.",
			    c->test.clean, c->test.clean + c->test.faults);
		c->due_told = true;
		return;
	}
	if (excluded != 0 || c->lone_domain) {
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "All is well but for %u recipient group%s and %u domain%s that the old server "
		    "serves: a person confirms, reverts, or resumes to let them try again.",
		    excluded, excluded == 1 ? "" : "s", c->n_ignored, c->n_ignored == 1 ? "" : "s");
		return;
	}
	(void)snprintf(why, sizeof(why),
	    "Confirmed: %u of %u messages taken, %lld s with evidence.", c->test.clean,
	    c->test.clean + c->test.faults, (long long)(c->green_us / SECONDS(1)));
	changeover_confirm(c, now_us, why);
}

static void
next_step(struct relay_changeover *c, int64_t now_us)
{
	uint32_t n = c->opts.schedule.n_steps, faults = c->test.faults, clean = c->test.clean;
	char why[160];

	(void)snprintf(why, sizeof(why),
	    "Step %u of %u passed: %u of %u messages taken, %u relay fault%s;", c->step + 1, n,
	    clean, clean + faults, faults, faults == 1 ? "" : "s");
	if (c->step + 1 == n) {
		go_full(c, now_us, "%s", why);
		return;
	}
	c->step++;
	changeover_start_step(c, now_us);
	(void)snprintf(c->reason, sizeof(c->reason), "%s now %.4g %% of messages.", why,
	    changeover_step(c)->share / 10.0);
	c->moved = true;
	say_reason(c);
}

void
changeover_promote(struct relay_changeover *c, int64_t now_us)
{
	if (c->test.sum > changeover_pass_at(c))
		return;
	if (c->state == RELAY_CHANGEOVER_FULL) {
		if (c->green_us >= c->opts.schedule.full_us && changeover_is_proven(c))
			finish_full(c, now_us);
	} else if (c->state == RELAY_CHANGEOVER_CANARY &&
		   c->opts.kind != RELAY_CHANGEOVER_WARM_UP &&
		   c->green_us >= changeover_step(c)->least_us) {
		next_step(c, now_us);
	}
}

/* ---- answers ---- */

void
relay_changeover_checked(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us)
{
	char words[CHANGEOVER_WORDS];

	changeover_words(words, sizeof(words), why);
	if (c->state != RELAY_CHANGEOVER_DRAFT)
		return;
	if (a == RELAY_ANSWER_FAILED) {
		changeover_enter(
		    c, RELAY_CHANGEOVER_REFUSED, now_us, "Preflight failed: %s", words);
		return;
	}
	changeover_enter(c, RELAY_CHANGEOVER_CHECKED, now_us, "Preflight passed: %s", words);
	if (a != RELAY_ANSWER_PASSED)
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "Preflight passed, but a person must decide: %s", words);
	else if (!c->opts.has_probe)
		relay_changeover_probed(c, RELAY_ANSWER_UNPROVEN,
		    STR("there is no probe mailbox, so it is not proven that mail arrives"),
		    now_us);
}

void
relay_changeover_probed(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us)
{
	char words[CHANGEOVER_WORDS];

	changeover_words(words, sizeof(words), why);
	if (c->state != RELAY_CHANGEOVER_CHECKED)
		return;
	if (a == RELAY_ANSWER_FAILED) {
		changeover_enter(c, RELAY_CHANGEOVER_REFUSED, now_us, "Probes failed: %s", words);
		return;
	}
	c->unproven = a == RELAY_ANSWER_UNPROVEN;
	changeover_enter(c, RELAY_CHANGEOVER_PROBED, now_us, "%s: %s",
	    c->unproven ? "No probe" : "Probes arrived", words);
	if (a == RELAY_ANSWER_HOLD)
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "Probes arrived, but a person must decide: %s", words);
	else
		changeover_begin(c, now_us);
}

/* The old version does not work either. */
static void
hold_for_control(struct relay_changeover *c, const char *words, int64_t now_us)
{
	const char *what = "the fault is nearer home, and nothing is taken back";

	if (c->by_person)
		what = "mail goes back when it works; revert at once not to wait for that";
	else if (c->opts.kind == RELAY_CHANGEOVER_EMERGENCY)
		what = "there is no way back";
	changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
	    "%s But the old server does not work either (%s): %s.", c->reason, words, what);
	c->our_side = true;
	c->retry_us = now_us + c->opts.rules.retry_us;
}

void
relay_changeover_controlled(
    struct relay_changeover *c, enum relay_answer a, struct str why, int64_t now_us)
{
	bool works = a != RELAY_ANSWER_FAILED, waits = c->our_side;
	char words[CHANGEOVER_WORDS];

	changeover_words(words, sizeof(words), why);
	if (c->state != RELAY_CHANGEOVER_SUSPECT && !waits)
		return;
	if (works && waits && !c->by_person) {
		changeover_go_on(
		    c, now_us, "The old server answers again, so the new one goes on.");
	} else if (works) {
		changeover_enter(c, RELAY_CHANGEOVER_REVERTED, now_us,
		    "%s The old server works; all mail goes through it again.", c->reason);
	} else if (waits) {
		c->retry_us = now_us + c->opts.rules.retry_us;
		c->wants++;
		c->dirty = true;
	} else {
		hold_for_control(c, words, now_us);
	}
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
	if (relay_changeover_next_event_us(c) > now_us)
		return;
	if (c->state == RELAY_CHANGEOVER_CONFIRMED) {
		(void)!relay_changeover_retire(c, now_us, NULL);
	} else if (c->state == RELAY_CHANGEOVER_CANARY &&
		   c->opts.kind == RELAY_CHANGEOVER_WARM_UP) {
		changeover_warm_tick(c, now_us);
	} else if (c->state == RELAY_CHANGEOVER_CANARY) {
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "Step %u saw %u of %u messages in %lld hours: too little to judge by. Resume "
		    "to wait on, or revert.",
		    c->step + 1, c->test.clean, changeover_step(c)->clean,
		    (long long)(c->opts.rules.starved_us / HOURS(1)));
	} else if (c->state == RELAY_CHANGEOVER_FULL) {
		c->due_told = true;
		changeover_say(c, RELAY_CHANGEOVER_DUE,
		    "All mail has gone to the new server for %lld hours, with too little of it to "
		    "confirm by itself: confirm it, or revert.",
		    (long long)(c->opts.rules.starved_us / HOURS(1)));
	} else if (c->state == RELAY_CHANGEOVER_HELD) {
		c->retry_us = 0; /* wanted now: relay_changeover_wants */
		c->wants++;
		c->dirty = true;
	}
}
