/* What deliveries say about the two versions.
 *
 * What counts against the new one: a relay's fault, a transaction that had to be cut, what the old
 * version took after the new one had refused it, a late report that blames the relay. What counts
 * for it: a message taken. From RCPT on a failure counts once a minute for each recipient domain
 * and code, so that one dead domain does not look like a dead relay.
 *
 * When the test of all groups fails and one group alone is to blame, while the others have shown
 * that they are well, that group goes back and the test begins anew. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"
#include "relay/changeover_private.h"

#define SAME_WITHIN  MINUTES(1)
#define OTHERS_CLEAN 10

enum relay_hard_stop
relay_hard_stop_of(const struct relay_facts *facts, const struct relay_verdict *v)
{
	bool for_good = facts->code >= 500 || facts->code == 0;

	if (facts->trouble == RELAY_TROUBLE_CERTIFICATE ||
	    facts->trouble == RELAY_TROUBLE_NO_STARTTLS)
		return RELAY_STOP_CERTIFICATE;
	if (facts->trouble == RELAY_TROUBLE_NO_AUTH ||
	    (v->action == RELAY_ACTION_PAUSE_LOGIN && for_good))
		return RELAY_STOP_LOGIN;
	if (v->blame == RELAY_BLAME_IDENTITY && facts->code >= 500)
		return RELAY_STOP_IDENTITY;
	if (v->blame == RELAY_BLAME_RELAY && v->action == RELAY_ACTION_PAUSE_RELAY &&
	    facts->code >= 500)
		return RELAY_STOP_RELAYING;
	return RELAY_STOP_NONE;
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

/* ---- counting ---- */

static bool
is_fault(const struct relay_evidence *e)
{
	switch (e->kind) {
	case RELAY_EVIDENCE_CUT: return true;
	case RELAY_EVIDENCE_REFUSED:
	case RELAY_EVIDENCE_REPORT:
	case RELAY_EVIDENCE_CONNECT: return e->blame == RELAY_BLAME_RELAY;
	/* What was the relay's fault was counted when it was refused. */
	case RELAY_EVIDENCE_ALONE: return e->blame != RELAY_BLAME_RELAY;
	case RELAY_EVIDENCE_SENT:
	case RELAY_EVIDENCE_DOUBT: return false;
	}
	UNREACHABLE();
}

static void
count(struct changeover_tally *t, const struct relay_evidence *e)
{
	t->sent += e->kind == RELAY_EVIDENCE_SENT;
	t->in_doubt += e->kind == RELAY_EVIDENCE_DOUBT;
	t->cut += e->kind == RELAY_EVIDENCE_CUT;
	t->alone += e->kind == RELAY_EVIDENCE_ALONE;
	if (e->kind != RELAY_EVIDENCE_REFUSED && e->kind != RELAY_EVIDENCE_CONNECT &&
	    e->kind != RELAY_EVIDENCE_REPORT) {
		t->relay_faults += is_fault(e);
		return;
	}
	switch (e->blame) {
	case RELAY_BLAME_RELAY:
	case RELAY_BLAME_IDENTITY: t->relay_faults++; return;
	case RELAY_BLAME_CAPACITY: t->capacity++; return;
	case RELAY_BLAME_RECIPIENT:
	case RELAY_BLAME_CONTENT:
	case RELAY_BLAME_UNKNOWN: t->recipient_faults++; return;
	}
}

static void
sample(struct relay_changeover *c, enum relay_side side, int64_t latency_us)
{
	c->latency[side][c->n_latency[side]++ % CHANGEOVER_SAMPLES] = latency_us;
	if (c->n_latency[side] == UINT32_MAX) /* a ring goes on; only "how many" saturates */
		c->n_latency[side] = UINT32_MAX / 2;
}

/* Whether the same was told within the minute. */
static bool
is_repetition(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	uint64_t key = (e->domain_hash ^ (uint64_t)e->code << 48) | 1;
	uint32_t oldest = 0;

	if (e->stage < RELAY_STAGE_RCPT || e->kind == RELAY_EVIDENCE_CUT)
		return false;
	for (uint32_t i = 0; i < CHANGEOVER_SEEN; i++) {
		if (c->seen[i].key == key && now_us >= c->seen[i].at_us &&
		    now_us - c->seen[i].at_us < SAME_WITHIN)
			return true;
		if (c->seen[i].at_us < c->seen[oldest].at_us)
			oldest = i;
	}
	c->seen[oldest].key = key;
	c->seen[oldest].at_us = now_us;
	return false;
}

/* ---- tests ---- */

static void
add_to(struct changeover_test *t, bool fault, double p0, double p1)
{
	t->llr += fault ? log(p1 / p0) : log((1 - p1) / (1 - p0));
	t->faults += fault;
	t->clean += !fault;
}

/* The one group that the faults come from, while others have shown that they are well. */
static int
group_to_blame(const struct relay_changeover *c)
{
	uint32_t clean_elsewhere = 0, groups = 0;
	int worst = 0;

	for (int g = 1; g < RELAY_RGROUP_COUNT; g++) {
		if (c->by_group[g].faults > c->by_group[worst].faults)
			worst = g;
	}
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		if (g == worst)
			continue;
		clean_elsewhere += c->by_group[g].clean;
		groups += c->by_group[g].faults;
	}
	return groups == 0 && clean_elsewhere >= OTHERS_CLEAN ? worst : -1;
}

static void
fail(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	int g = group_to_blame(c);
	uint32_t n = c->test.clean + c->test.faults, faults = c->test.faults;
	char text[CHANGEOVER_TEXT];

	if (g < 0) {
		changeover_suspect(c, now_us,
		    "%u of %u messages failed at the new server (%s%s%.100s).", faults, n,
		    relay_stage_name(e->stage), e->text != NULL ? ": " : "",
		    e->text != NULL ? e->text : "");
		return;
	}
	c->is_excluded[g] = true;
	changeover_start_step(c, now_us);
	snprintf(text, sizeof(text),
	    "Mail to %s goes through the old server again: %u of its messages failed at the new one, "
	    "where other recipients are well.",
	    relay_rgroup_name((enum relay_rgroup)g), faults);
	changeover_say(c, RELAY_CHANGEOVER_WARNED, text);
	c->moved = true; /* what stands there is to be sent elsewhere */
}

static void
weigh(struct relay_changeover *c, const struct relay_evidence *e, bool fault, int64_t now_us)
{
	double p1 = changeover_p1(c), q1 = c->opts.rules.cusum_p1;

	add_to(&c->test, fault, c->p0, p1);
	add_to(&c->by_group[e->rgroup], fault, c->p0, p1);
	if (c->before == RELAY_CHANGEOVER_FULL) {
		c->cusum += fault ? log(q1 / c->p0) : log((1 - q1) / (1 - c->p0));
		c->cusum = c->cusum > 0 ? c->cusum : 0;
		/* FULL goes on after its test has passed: nothing is saved up. */
		double floor = changeover_pass_at(c);
		c->test.llr = c->test.llr < floor ? floor : c->test.llr;
	}
	if (c->test.llr >= changeover_fail_at(c) || c->cusum >= c->opts.rules.cusum_h)
		fail(c, e, now_us);
}

/* Time counts as far as a message vouches for it. */
static void
vouch(struct relay_changeover *c, int64_t now_us)
{
	int64_t gap = c->last_us != 0 ? now_us - c->last_us : 0;
	int64_t most = c->opts.schedule.vouch_us;

	if (gap > 0)
		c->green_us += gap < most ? gap : most;
	c->last_us = now_us;
}

static bool
is_slow(struct relay_changeover *c, int64_t now_us)
{
	const struct relay_changeover_rules *r = &c->opts.rules;
	int64_t old, new;

	if (c->n_latency[RELAY_NEW] < r->slow_from || c->n_latency[RELAY_OLD] < r->slow_from ||
	    c->n_latency[RELAY_NEW] % 8 != 0 || c->state == RELAY_CHANGEOVER_HELD)
		return false;
	old = changeover_latency(c, RELAY_OLD, 0.95);
	new = changeover_latency(c, RELAY_NEW, 0.95);
	if ((double)new <= r->slow_factor *(double)old + (double)r->slow_slack_us)
		return false;
	changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
	    "The new server is slow: %.1f s for the slowest of twenty messages, %.1f s at the old one.",
	    (double)new / 1e6, (double)old / 1e6);
	return true;
}

static bool
has_too_many_doubts(const struct relay_changeover *c)
{
	const struct relay_changeover_rules *r = &c->opts.rules;
	uint64_t n = c->counts[RELAY_NEW].in_doubt;

	return c->new_total <= r->doubts_within
		   ? n >= r->doubts
		   : n >= r->doubts && (double)n > r->doubt_share * (double)c->new_total;
}

static const char *
stop_text(enum relay_hard_stop stop)
{
	switch (stop) {
	case RELAY_STOP_NONE: return "";
	case RELAY_STOP_LOGIN: return "refuses our login";
	case RELAY_STOP_CERTIFICATE: return "does not prove its name, or offers no TLS any more";
	case RELAY_STOP_RELAYING: return "refuses to send our mail";
	case RELAY_STOP_IDENTITY: return "refuses a sender that the old one takes";
	}
	UNREACHABLE();
}

/* ---- of the new version ---- */

static void
count_warm(struct relay_changeover *c, const struct relay_evidence *e)
{
	if (e->kind == RELAY_EVIDENCE_SENT)
		c->warm_taken[e->rgroup]++;
	else
		c->warm_bad[e->rgroup]++;
}

static void
tell_new(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	bool fault = is_fault(e);

	c->new_total += e->kind == RELAY_EVIDENCE_SENT || e->kind == RELAY_EVIDENCE_DOUBT ||
			e->kind == RELAY_EVIDENCE_REFUSED || e->kind == RELAY_EVIDENCE_CUT;
	if (e->kind == RELAY_EVIDENCE_SENT)
		sample(c, RELAY_NEW, e->latency_us);
	if (c->state == RELAY_CHANGEOVER_CONFIRMED && e->stop != RELAY_STOP_NONE) {
		char text[CHANGEOVER_TEXT];
		snprintf(text, sizeof(text), "After being confirmed the new server %s.",
		    stop_text(e->stop));
		if (!c->due_told)
			changeover_say(c, RELAY_CHANGEOVER_WARNED, text);
		c->due_told = true;
	}
	if (!changeover_is_watching(c))
		return;
	count_warm(c, e);
	if (e->stop != RELAY_STOP_NONE) {
		changeover_suspect(c, now_us, "The new server %s (%s%s%.160s).", stop_text(e->stop),
		    relay_stage_name(e->stage), e->text != NULL ? ": " : "",
		    e->text != NULL ? e->text : "");
		return;
	}
	if (e->kind == RELAY_EVIDENCE_DOUBT && has_too_many_doubts(c)) {
		changeover_suspect(c, now_us,
		    "The new server left %llu of %llu messages without an answer after the last dot.",
		    (unsigned long long)c->counts[RELAY_NEW].in_doubt,
		    (unsigned long long)c->new_total);
		return;
	}
	if (e->kind == RELAY_EVIDENCE_CONNECT) {
		if (fault && ++c->connects >= c->opts.rules.connects) {
			uint32_t n = c->connects;
			c->connects = 0;
			changeover_suspect(c, now_us,
			    "%u connections to the new server failed in a row (%s%s%.120s).", n,
			    relay_stage_name(e->stage), e->text != NULL ? ": " : "",
			    e->text != NULL ? e->text : "");
		}
		return;
	}
	if (e->kind == RELAY_EVIDENCE_SENT) {
		c->connects = 0;
		vouch(c, now_us);
		weigh(c, e, false, now_us);
		if (!is_slow(c, now_us))
			changeover_promote(c, now_us);
		return;
	}
	if (fault && !is_repetition(c, e, now_us))
		weigh(c, e, true, now_us);
}

void
relay_changeover_tell(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	ASSERT((size_t)e->rgroup < RELAY_RGROUP_COUNT);
	count(&c->counts[e->side], e);
	count(&c->group_counts[e->side][e->rgroup], e);
	c->dirty = true;
	if (e->side == RELAY_NEW) {
		tell_new(c, e, now_us);
		return;
	}
	if (e->kind != RELAY_EVIDENCE_SENT)
		return;
	sample(c, RELAY_OLD, e->latency_us);
	if (c->state == RELAY_CHANGEOVER_REVERTED && !c->old_proven) {
		c->old_proven = true;
		changeover_say(c, RELAY_CHANGEOVER_PROVEN,
		    "The old server has taken mail again: the way back is proven.");
	}
}

void
relay_changeover_short(struct relay_changeover *c, int64_t until_us, int64_t now_us)
{
	bool watching = c->state == RELAY_CHANGEOVER_CANARY || c->state == RELAY_CHANGEOVER_FULL;

	if (!watching || until_us == TIME_NEVER || until_us - now_us <= MINUTES(10))
		return;
	changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
	    "The new server takes less than is sent: its limit is reached for another %lld minutes. "
	    "Raise the limit and resume, or revert.",
	    (long long)((until_us - now_us) / MINUTES(1)));
}

/* ---- warming up ---- */

uint64_t
changeover_warm_cap(const struct relay_changeover *c, enum relay_rgroup g)
{
	uint64_t first = c->opts.usual[g] * c->opts.rules.warm_first_pm / 1000;

	if (first < 50)
		first = 50;
	return c->warm_round < 32 ? first << c->warm_round : UINT64_MAX;
}

void
changeover_warm_tick(struct relay_changeover *c, int64_t now_us)
{
	int64_t today = now_us / DAYS(1);
	uint64_t taken = 0, bad = 0;
	bool suffices = true;

	if (today <= c->day)
		return;
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		taken += c->warm_taken[g];
		bad += c->warm_bad[g];
	}
	/* A day without mail proves nothing. */
	bool good = taken > 0 && (double)bad <= c->opts.rules.warm_bad * (double)(taken + bad);
	c->day = today;
	if (good && (today - c->first_day) % (int64_t)c->opts.rules.warm_days == 0)
		c->warm_round++;
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		c->warm_taken[g] = c->warm_bad[g] = 0;
		suffices &= changeover_warm_cap(c, (enum relay_rgroup)g) >= c->opts.usual[g];
	}
	c->dirty = true;
	if (!suffices)
		return;
	changeover_enter(c, RELAY_CHANGEOVER_FULL, now_us,
	    "Warmed up: the daily caps suffice for all mail, and all goes to the new server.");
	changeover_start_step(c, now_us);
}
