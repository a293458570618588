/* What deliveries say about the two versions, and what it amounts to.
 *
 * What speaks against the new one: a relay's fault, a connection that failed, a transaction that
 * had to be cut, what the old version took after the new one had refused it, a late report that
 * blames the relay or the sender. What speaks for it: a message taken. A refused sender says
 * nothing until the old version has tried it: taken there, it is a hard stop; refused there too, it
 * is no matter of relays. Doubts have a bound of their own.
 *
 * A hard stop needs no weighing (changeover_weigh.c). A report is never one: it says what a single
 * recipient's server thinks. */
#include "base/check.h"
#include "relay/changeover_private.h"

#define WARN_EVERY  HOURS(1)
#define SHORT_BORNE MINUTES(10)
#define SLOW_EVERY  8 /* messages: sorting samples is the dearest thing here */

enum relay_hard_stop
relay_hard_stop_of(const struct relay_facts *facts, const struct relay_verdict *v)
{
	bool for_good = facts->code >= 500 || facts->code == 0;

	if (facts->trouble == RELAY_TROUBLE_CERTIFICATE ||
	    facts->trouble == RELAY_TROUBLE_NO_STARTTLS)
		return RELAY_STOP_CERTIFICATE;
	if (facts->trouble == RELAY_TROUBLE_NO_AUTH)
		return RELAY_STOP_LOGIN;
	/* Whatever the desk makes of it: that the secret worked today is no reason to go on here.
	 */
	if (facts->stage == RELAY_STAGE_AUTH && v->blame != RELAY_BLAME_CAPACITY &&
	    (facts->code == 535 || facts->code == 534 || facts->code == 538))
		return RELAY_STOP_LOGIN;
	if (v->action == RELAY_ACTION_PAUSE_LOGIN && for_good)
		return RELAY_STOP_LOGIN;
	if (v->blame == RELAY_BLAME_IDENTITY && facts->code >= 500)
		return RELAY_STOP_IDENTITY;
	if (v->blame == RELAY_BLAME_RELAY && v->action == RELAY_ACTION_PAUSE_RELAY &&
	    facts->code >= 500)
		return RELAY_STOP_RELAYING;
	return RELAY_STOP_NONE;
}

static const char *
stop_text(enum relay_hard_stop stop)
{
	switch (stop) {
	case RELAY_STOP_NONE: return "is at fault";
	case RELAY_STOP_LOGIN: return "refuses our login";
	case RELAY_STOP_CERTIFICATE: return "does not prove its name, or offers no TLS any more";
	case RELAY_STOP_RELAYING: return "refuses to send our mail";
	case RELAY_STOP_IDENTITY: return "refuses a sender that the old one takes";
	}
	UNREACHABLE();
}

static bool
is_hard(const struct relay_evidence *e)
{
	return e->stop != RELAY_STOP_NONE && e->kind != RELAY_EVIDENCE_REPORT &&
	       (e->stop != RELAY_STOP_IDENTITY || e->kind == RELAY_EVIDENCE_ALONE);
}

static bool
is_fault(const struct relay_changeover *c, const struct relay_evidence *e)
{
	switch (e->kind) {
	case RELAY_EVIDENCE_CUT: return true;
	case RELAY_EVIDENCE_CONNECT: return e->blame == RELAY_BLAME_RELAY;
	case RELAY_EVIDENCE_REFUSED:
		return e->blame == RELAY_BLAME_RELAY ||
		       (e->blame == RELAY_BLAME_IDENTITY && !relay_changeover_has_way_back(c));
	case RELAY_EVIDENCE_REPORT:
		return e->blame == RELAY_BLAME_RELAY || e->blame == RELAY_BLAME_IDENTITY;
	/* What was the relay's fault was counted when it was refused. */
	case RELAY_EVIDENCE_ALONE: return e->blame != RELAY_BLAME_RELAY;
	case RELAY_EVIDENCE_SENT:
	case RELAY_EVIDENCE_DOUBT: return false;
	}
	UNREACHABLE();
}

/* ---- counting, for people ---- */

static void
count_refusal(struct changeover_tally *t, enum relay_blame blame)
{
	switch (blame) {
	case RELAY_BLAME_RELAY:
	case RELAY_BLAME_IDENTITY: t->relay_faults++; return;
	case RELAY_BLAME_CAPACITY: t->capacity++; return;
	case RELAY_BLAME_RECIPIENT:
	case RELAY_BLAME_CONTENT:
	case RELAY_BLAME_UNKNOWN: t->recipient_faults++; return;
	}
}

static void
count(struct changeover_tally *t, const struct relay_evidence *e)
{
	switch (e->kind) {
	case RELAY_EVIDENCE_SENT: t->sent++; return;
	case RELAY_EVIDENCE_DOUBT: t->in_doubt++; return;
	case RELAY_EVIDENCE_CUT:
		t->cut++;
		t->relay_faults++;
		return;
	case RELAY_EVIDENCE_ALONE:
		t->alone++;
		t->relay_faults +=
		    e->blame != RELAY_BLAME_RELAY && e->blame != RELAY_BLAME_IDENTITY;
		return;
	case RELAY_EVIDENCE_REFUSED:
	case RELAY_EVIDENCE_CONNECT:
	case RELAY_EVIDENCE_REPORT: count_refusal(t, e->blame); return;
	}
}

static void
sample(struct relay_changeover *c, enum relay_side side, int64_t latency_us)
{
	c->latency[side][c->n_latency[side]++ % CHANGEOVER_SAMPLES] =
	    latency_us > 0 ? latency_us : 0;
	if (c->n_latency[side] == UINT32_MAX) /* a ring goes on; only "how many" saturates */
		c->n_latency[side] = UINT32_MAX / 2;
}

/* ---- what it amounts to ---- */

/* Time counts as far as a message vouches for it. */
static void
vouch(struct relay_changeover *c, int64_t now_us)
{
	int64_t gap = c->last_us != 0 ? now_us - c->last_us : 0;
	int64_t most = c->opts.schedule.vouch_us;

	if (gap > 0 && c->green_us < DAYS(36500))
		c->green_us += gap < most ? gap : most;
	c->last_us = now_us;
}

static bool
is_slow(struct relay_changeover *c, int64_t now_us)
{
	const struct relay_changeover_rules *r = &c->opts.rules;
	int64_t old, new;

	if (c->n_latency[RELAY_NEW] < r->slow_from || c->n_latency[RELAY_OLD] < r->slow_from ||
	    c->n_latency[RELAY_NEW] % SLOW_EVERY != 0 || c->state == RELAY_CHANGEOVER_HELD ||
	    c->slow_borne)
		return false;
	old = changeover_latency(c, RELAY_OLD, 0.95);
	new = changeover_latency(c, RELAY_NEW, 0.95);
	if ((double)new <= r->slow_factor *(double)old + (double)r->slow_slack_us)
		return false;
	changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
	    "The new server is slow: the slowest of twenty messages takes it %.1f s, and the old "
	    "one %.1f s. Resume to bear with it, or revert.",
	    (double)new / 1e6, (double)old / 1e6);
	c->slow_borne = true; /* once resumed */
	return true;
}

static bool
has_too_many_doubts(const struct relay_changeover *c)
{
	const struct relay_changeover_rules *r = &c->opts.rules;
	uint64_t n = c->counts[RELAY_NEW].in_doubt;

	return n >= r->doubts && (c->new_total <= r->doubts_within ||
				     (double)n > r->doubt_share * (double)c->new_total);
}

static void
stop(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	char words[CHANGEOVER_WORDS];

	changeover_words(words, sizeof(words), str_from(e->text));
	changeover_suspect(c, now_us, "The new server %s (at %s%s%s).", stop_text(e->stop),
	    relay_stage_name(e->stage), words[0] != '\0' ? ": " : "", words);
}

static void
tell_connect(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	char words[CHANGEOVER_WORDS];

	if (e->blame != RELAY_BLAME_RELAY)
		return;
	if (++c->connects < c->opts.rules.connects) {
		changeover_weigh(c, e, true, now_us);
		return;
	}
	changeover_words(words, sizeof(words), str_from(e->text));
	changeover_suspect(c, now_us,
	    "%u connections to the new server failed in a row (at %s%s%s).", c->connects,
	    relay_stage_name(e->stage), words[0] != '\0' ? ": " : "", words);
}

/* The canary and FULL, also while HELD. */
static void
tell_watched(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	if (c->opts.kind == RELAY_CHANGEOVER_WARM_UP)
		changeover_warm_tell(c, e);
	if (is_hard(e)) {
		stop(c, e, now_us);
		return;
	}
	switch (e->kind) {
	case RELAY_EVIDENCE_SENT:
		c->connects = 0;
		vouch(c, now_us);
		changeover_weigh(c, e, false, now_us);
		if (!is_slow(c, now_us))
			changeover_promote(c, now_us);
		return;
	case RELAY_EVIDENCE_DOUBT:
		if (has_too_many_doubts(c))
			changeover_suspect(c, now_us,
			    "The new server left %llu of %llu messages without an answer after "
			    "the last dot.",
			    (unsigned long long)c->counts[RELAY_NEW].in_doubt,
			    (unsigned long long)c->new_total);
		return;
	case RELAY_EVIDENCE_CONNECT: tell_connect(c, e, now_us); return;
	case RELAY_EVIDENCE_REFUSED:
	case RELAY_EVIDENCE_CUT:
		c->connects = 0; /* there was a connection */
		FALLTHROUGH;
	case RELAY_EVIDENCE_ALONE:
	case RELAY_EVIDENCE_REPORT:
		if (is_fault(c, e))
			changeover_weigh(c, e, true, now_us);
	}
}

/* Too late to go back by itself: people are told, at most once an hour. */
static void
warn_late(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	char words[CHANGEOVER_WORDS];
	bool speaks =
	    e->stop != RELAY_STOP_NONE || (e->kind == RELAY_EVIDENCE_REPORT && is_fault(c, e));

	if (!speaks ||
	    (c->warned_us != 0 && now_us >= c->warned_us && now_us - c->warned_us < WARN_EVERY))
		return;
	c->warned_us = now_us;
	changeover_words(words, sizeof(words), str_from(e->text));
	changeover_say(c, RELAY_CHANGEOVER_WARNED,
	    "After being confirmed the new server %s%s (at %s%s%s).", stop_text(e->stop),
	    e->kind == RELAY_EVIDENCE_REPORT ? ", as a late report says" : "",
	    relay_stage_name(e->stage), words[0] != '\0' ? ": " : "", words);
}

static void
tell_new(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	c->new_total += e->kind == RELAY_EVIDENCE_SENT || e->kind == RELAY_EVIDENCE_DOUBT ||
			e->kind == RELAY_EVIDENCE_REFUSED || e->kind == RELAY_EVIDENCE_CUT;
	if (e->kind == RELAY_EVIDENCE_SENT)
		sample(c, RELAY_NEW, e->latency_us);
	if (c->state == RELAY_CHANGEOVER_CONFIRMED)
		warn_late(c, e, now_us);
	/* The old server was given up before; that the new one takes mail is all there is to ask.
	 */
	if (c->our_side && c->opts.kind == RELAY_CHANGEOVER_EMERGENCY && !c->by_person &&
	    e->kind == RELAY_EVIDENCE_SENT)
		changeover_go_on(c, now_us, "The new server takes mail again.");
	if (changeover_is_watching(c))
		tell_watched(c, e, now_us);
}

static void
tell_old(struct relay_changeover *c, const struct relay_evidence *e)
{
	if (e->kind != RELAY_EVIDENCE_SENT)
		return;
	sample(c, RELAY_OLD, e->latency_us);
	if (c->state != RELAY_CHANGEOVER_REVERTED || c->old_proven)
		return;
	c->old_proven = true;
	changeover_say(c, RELAY_CHANGEOVER_PROVEN,
	    "The old server has taken mail again: the way back is proven.");
}

void
relay_changeover_tell(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	ASSERT((size_t)e->rgroup < RELAY_RGROUP_COUNT);
	count(&c->counts[e->side], e);
	if (e->kind != RELAY_EVIDENCE_CONNECT)
		count(&c->group_counts[e->side][e->rgroup], e);
	c->dirty = true;
	if (e->side == RELAY_NEW)
		tell_new(c, e, now_us);
	else
		tell_old(c, e);
}

void
relay_changeover_short(struct relay_changeover *c, int64_t until_us, int64_t now_us)
{
	bool runs = c->state == RELAY_CHANGEOVER_CANARY || c->state == RELAY_CHANGEOVER_FULL;

	if (!runs || until_us <= now_us || until_us - now_us <= SHORT_BORNE)
		return;
	if (until_us == TIME_NEVER)
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "The new server takes less than is sent, and does not say until when. Raise "
		    "the limit and resume, or revert.");
	else
		changeover_enter(c, RELAY_CHANGEOVER_HELD, now_us,
		    "The new server takes less than is sent: its limit is reached for another %lld "
		    "minutes. Raise the limit and resume, or revert.",
		    (long long)((until_us - now_us) / MINUTES(1)));
}
