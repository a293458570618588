/* Weighing: what clean messages and faults say, in sums of relay/sprt.h.
 *
 *   test    p0 against the step's own p1; ends when it has passed
 *   creep   watches for the slight fault: CUSUM with rules.cusum_p1 and cusum_h
 *   crash   watches for the gross one: CUSUM with p1 a half, reached by five faults in a row
 *   proof   p1 a fifth; what FULL must have shown before it is confirmed by itself
 *   groups  a CUSUM for each recipient group, p1 a fifth, reached by six faults in a row
 *
 * The chances. A share TEST_PART of false_revert is split over the tests of the steps and of FULL,
 * whose bound is that of Ville's inequality. The rest is for the two watches, measured: with
 * cusum_h = 14 and p0 = 1 %, creep is reached once in 125 million messages and crash once in a
 * thousand million, so an hour at a hundred a second (360,000) costs 0.0033 together. (With h = 8
 * it would be two false alarms an hour.) A version that fails a fifth or more is ever proven with a
 * chance of false_promote, whatever the schedule: again Ville.
 *
 * Which outcomes are weighed must not depend on how they come out, or the chances would not hold.
 * So when a message to some domain has failed from RCPT on, nothing to that domain counts for a
 * minute, neither faults nor clean messages; one dead domain then is one fault a minute.
 *
 * Whose fault. A group is suspected from its first fault until its sum is back at 0. Meanwhile what
 * others come to is summed up as well. Once they have shown that they are well, the group goes back
 * to the old version instead of the whole changeover; or, when all its faults are of one domain and
 * its other domains are well, that domain is no longer weighed. While all faults are of one group
 * and the others have not spoken yet, the verdict waits, for at most ALONE_MOST faults: a dead
 * server is found by its fifth message at the latest. Faults before RCPT are nobody's but the
 * server's. Neither group nor domain is taken out of `proof`: what was seen was seen. */
#include "relay/changeover_private.h"

#define WINDOW        MINUTES(1)
#define TEST_PART     0.6
#define CRASH_P1      0.5
#define GROUP_P1      0.2
#define CRASH_FAULTS  4.99 /* in a row: reached by the fifth */
#define GROUP_FAULTS  5.99
#define REST_CLEAN    1.99 /* messages of others: reached by the second */
#define ALONE_MOST    5
#define EXCLUDED_MOST 2 /* who fails more operators than that is no server */

void
changeover_set_odds(struct relay_changeover *c)
{
	double creep = c->opts.rules.cusum_p1;

	c->odds.test = relay_sprt_odds(c->p0, changeover_p1(c));
	c->odds.creep = relay_sprt_odds(c->p0, creep > 2 * c->p0 ? creep : 2 * c->p0);
	c->odds.crash = relay_sprt_odds(c->p0, CRASH_P1);
	c->odds.group = relay_sprt_odds(c->p0, GROUP_P1);
}

/* As much as so many clean messages say; so each fault costs some more of them. */
double
changeover_pass_at(const struct relay_changeover *c)
{
	return changeover_clean_needed(c) * c->odds.test.clean + 1e-9;
}

double
changeover_fail_at(const struct relay_changeover *c)
{
	uint32_t tests = c->opts.schedule.n_steps + 1;

	return relay_sprt_bound(c->opts.rules.false_revert * TEST_PART / tests);
}

bool
changeover_is_proven(const struct relay_changeover *c)
{
	return c->proof <= -relay_sprt_bound(c->opts.rules.false_promote);
}

void
changeover_forgive(struct relay_changeover *c)
{
	c->creep = c->crash = 0;
	c->proof = c->proof > 0 ? 0 : c->proof;
	c->connects = 0;
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		c->groups[g] = (struct changeover_group){ 0 };
}

/* ---- which outcomes count ---- */

/* A fault that is about the recipient as much as about the server. */
static bool
is_scoped(const struct relay_evidence *e)
{
	return e->stage >= RELAY_STAGE_RCPT &&
	       (e->kind == RELAY_EVIDENCE_REFUSED || e->kind == RELAY_EVIDENCE_ALONE ||
		   e->kind == RELAY_EVIDENCE_REPORT);
}

static bool
is_ignored(const struct relay_changeover *c, uint64_t domain)
{
	for (uint32_t i = 0; i < c->n_ignored; i++) {
		if (c->ignored[i] == domain)
			return true;
	}
	return false;
}

static bool
is_in_window(const struct relay_changeover *c, uint64_t domain, int64_t now_us)
{
	for (uint32_t i = 0; i < CHANGEOVER_DOMAINS; i++) {
		const struct changeover_window *w = &c->windows[i];
		if (w->domain == domain && now_us >= w->at_us && now_us - w->at_us < WINDOW)
			return true;
	}
	return false;
}

static bool
counts(struct relay_changeover *c, const struct relay_evidence *e, bool fault, int64_t now_us)
{
	if (fault && !is_scoped(e))
		return true;
	if (c->is_excluded[e->rgroup])
		return false;
	if (e->domain_hash == 0)
		return true;
	if (is_ignored(c, e->domain_hash)) {
		c->lone_domain |= e->kind == RELAY_EVIDENCE_ALONE;
		return false;
	}
	if (is_in_window(c, e->domain_hash, now_us))
		return false;
	if (fault)
		c->windows[c->n_windows++ % CHANGEOVER_DOMAINS] =
		    (struct changeover_window){ e->domain_hash, now_us };
	return true;
}

/* ---- sums ---- */

static void
add_to_group(struct relay_changeover *c, const struct relay_evidence *e, bool fault, double test)
{
	struct changeover_group *g = &c->groups[e->rgroup];
	bool fresh = g->watch <= 0;

	g->watch = relay_sprt_cusum(g->watch, &c->odds.group, fault);
	if (g->watch <= 0) {
		*g = (struct changeover_group){ 0 };
		return;
	}
	if (fresh)
		g->domain = e->domain_hash;
	else if (fault && g->domain != e->domain_hash)
		g->domain = 0;
	else if (!fault && g->domain != 0 && g->domain != e->domain_hash)
		g->peers += c->odds.group.clean;
	g->gave += test;
	g->faults += fault;
}

static void
add(struct relay_changeover *c, const struct relay_evidence *e, bool fault)
{
	bool of_group = !fault || is_scoped(e);
	double before = c->test.sum;

	/* One that has passed is over; the watches go on. */
	if (before > changeover_pass_at(c))
		relay_sprt_add(&c->test, &c->odds.test, fault);
	else
		relay_sprt_add(&c->test, &(struct relay_sprt_odds){ 0 }, fault);
	c->creep = relay_sprt_cusum(c->creep, &c->odds.creep, fault);
	c->crash = relay_sprt_cusum(c->crash, &c->odds.crash, fault);
	c->proof += fault ? c->odds.group.fault : c->odds.group.clean;
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		if (c->groups[g].watch > 0 && (!of_group || g != (int)e->rgroup))
			c->groups[g].rest += fault ? c->odds.group.fault : c->odds.group.clean;
	}
	if (of_group)
		add_to_group(c, e, fault, c->test.sum - before);
}

/* ---- verdicts ---- */

static bool
is_well(const struct relay_changeover *c, double sum)
{
	return sum <= REST_CLEAN * c->odds.group.clean;
}

/* The most suspected group while the others are well; -1: none. */
static int
group_to_blame(const struct relay_changeover *c)
{
	int worst = -1;

	if (!relay_changeover_has_way_back(c))
		return -1; /* to a dead server */
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		if (c->groups[g].watch > 0 && is_well(c, c->groups[g].rest) &&
		    (worst < 0 || c->groups[g].watch > c->groups[worst].watch))
			worst = g;
	}
	return worst;
}

/* What was only this group's, or this domain's, does not speak against the server any more. */
static void
take_out(struct relay_changeover *c, int group)
{
	c->test.sum -= c->groups[group].gave;
	c->test.faults -=
	    c->test.faults < c->groups[group].faults ? c->test.faults : c->groups[group].faults;
	c->creep = c->crash = 0;
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		c->groups[g].rest = 0;
	c->groups[group] = (struct changeover_group){ 0 };
}

static void
exclude(struct relay_changeover *c, int group)
{
	uint32_t faults = c->groups[group].faults;

	take_out(c, group);
	c->is_excluded[group] = true;
	c->moved = true; /* what stands there is to be sent elsewhere */
	changeover_say(c, RELAY_CHANGEOVER_WARNED,
	    "Mail to %s goes through the old server again: %u of its messages failed at the new "
	    "one, which serves the other recipients well.",
	    relay_rgroup_name((enum relay_rgroup)group), faults);
}

static void
ignore(struct relay_changeover *c, int group, const struct relay_evidence *e)
{
	char words[CHANGEOVER_WORDS];
	uint32_t faults = c->groups[group].faults;

	c->ignored[c->n_ignored++] = c->groups[group].domain;
	c->lone_domain |= e->kind == RELAY_EVIDENCE_ALONE;
	take_out(c, group);
	changeover_words(words, sizeof(words), str_from(e->text));
	changeover_say(c, RELAY_CHANGEOVER_WARNED,
	    "One recipient domain (%s) fails at the new server, %u times so far, and no other does: "
	    "it is left out of the count%s%s.",
	    relay_rgroup_name((enum relay_rgroup)group), faults, words[0] != '\0' ? ": " : "",
	    words);
}

static void
blame(struct relay_changeover *c, int group, const struct relay_evidence *e)
{
	const struct changeover_group *g = &c->groups[group];

	if (g->domain != 0 && is_well(c, g->peers) && c->n_ignored < CHANGEOVER_IGNORED)
		ignore(c, group, e);
	else
		exclude(c, group);
}

/* Nothing but this group's faults has been seen since its first, and the others not yet. */
static bool
waits_for_others(const struct relay_changeover *c, const struct relay_evidence *e)
{
	const struct changeover_group *g = &c->groups[e->rgroup];

	return is_scoped(e) && g->watch > 0 && g->rest <= 0 && g->faults < ALONE_MOST;
}

static bool
is_over_bounds(const struct relay_changeover *c)
{
	return c->test.sum >= changeover_fail_at(c) || c->creep >= c->opts.rules.cusum_h ||
	       c->crash >= CRASH_FAULTS * c->odds.crash.fault;
}

static void
fail(struct relay_changeover *c, const struct relay_evidence *e, int64_t now_us)
{
	char words[CHANGEOVER_WORDS];
	int group = group_to_blame(c);

	if (group >= 0 && changeover_excluded_count(c) < EXCLUDED_MOST) {
		blame(c, group, e);
		if (!is_over_bounds(c))
			return;
	} else if (waits_for_others(c, e)) {
		return;
	}
	changeover_words(words, sizeof(words), str_from(e->text));
	changeover_suspect(c, now_us, "%u of %u messages failed at the new server (at %s%s%s).",
	    c->test.faults, c->test.clean + c->test.faults, relay_stage_name(e->stage),
	    words[0] != '\0' ? ": " : "", words);
}

void
changeover_weigh(
    struct relay_changeover *c, const struct relay_evidence *e, bool fault, int64_t now_us)
{
	const struct changeover_group *g = &c->groups[e->rgroup];

	if (!counts(c, e, fault, now_us))
		return;
	add(c, e, fault);
	if (!fault)
		return;
	if (is_over_bounds(c))
		fail(c, e, now_us);
	else if (g->watch >= GROUP_FAULTS * c->odds.group.fault && is_well(c, g->rest) &&
		 changeover_excluded_count(c) < EXCLUDED_MOST && relay_changeover_has_way_back(c))
		blame(c, (int)e->rgroup, e);
}

const char *
changeover_sums_broken(const struct relay_changeover *c)
{
	bool waits = false;

	if (c->creep < 0 || c->crash < 0)
		return "a cumulative sum below zero";
	if (c->n_ignored > CHANGEOVER_IGNORED)
		return "more domains than there is room for";
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		const struct changeover_group *of = &c->groups[g];
		if (of->watch < 0 || (of->watch > 0) != (of->faults > 0))
			return "a group is suspected without a fault";
		waits |= of->watch > 0 && of->faults < ALONE_MOST;
	}
	/* What is past its bounds is acted upon, but for a group whose peers are still to speak. */
	if (changeover_is_watching(c) && is_over_bounds(c) && !waits)
		return "past its bounds, and nobody acts";
	return NULL;
}
