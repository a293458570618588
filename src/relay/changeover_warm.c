/* Warming up: a new address earns its name with the large providers by sending little first.
 *
 * Each recipient group has a cap of a day. When it has had mail on `warm_days` days and next to all
 * of it was taken, the cap doubles; otherwise it stays for as many days more. A day is one of the
 * clock; days without mail, and days that the clock leaps over, prove nothing. Once every cap
 * reaches the group's usual volume, all mail goes. */
#include "relay/changeover_private.h"

#define CAP_LEAST 50
#define CAP_MOST  (UINT64_C(1) << 48)

void
changeover_warm_begin(struct relay_changeover *c, int64_t now_us)
{
	c->day = now_us / DAYS(1);
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		uint64_t cap = c->opts.usual[g] / 1000 * c->opts.rules.warm_first_pm +
			       c->opts.usual[g] % 1000 * c->opts.rules.warm_first_pm / 1000;
		cap = cap < CAP_LEAST ? CAP_LEAST : cap;
		c->warm[g] = (struct changeover_warm){ .cap = cap < CAP_MOST ? cap : CAP_MOST };
	}
}

void
changeover_warm_tell(struct relay_changeover *c, const struct relay_evidence *e)
{
	struct changeover_warm *w = &c->warm[e->rgroup];

	switch (e->kind) {
	case RELAY_EVIDENCE_SENT: w->today++; return;
	case RELAY_EVIDENCE_REFUSED:
		/* An address that does not exist says nothing of our name. */
		w->today_bad += e->blame != RELAY_BLAME_RECIPIENT;
		return;
	case RELAY_EVIDENCE_DOUBT:
	case RELAY_EVIDENCE_CUT:
	case RELAY_EVIDENCE_REPORT: w->today_bad++; return;
	case RELAY_EVIDENCE_ALONE: /* counted when it was refused */
	case RELAY_EVIDENCE_CONNECT: /* nobody's mail */ return;
	}
}

static void
end_day(struct relay_changeover *c, struct changeover_warm *w)
{
	const struct relay_changeover_rules *r = &c->opts.rules;

	if (w->today + w->today_bad == 0)
		return;
	w->days++;
	w->taken += w->today;
	w->bad += w->today_bad;
	w->today = w->today_bad = 0;
	if (w->days < r->warm_days)
		return;
	if ((double)w->bad < r->warm_bad * (double)(w->taken + w->bad) && w->cap < CAP_MOST)
		w->cap *= 2;
	w->taken = w->bad = 0;
	w->days = 0;
}

void
changeover_warm_tick(struct relay_changeover *c, int64_t now_us)
{
	int64_t today = now_us / DAYS(1);
	bool suffices = c->test.clean >= changeover_clean_needed(c);

	if (today <= c->day)
		return;
	c->day = today;
	c->dirty = true;
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		end_day(c, &c->warm[g]);
		suffices &= c->is_excluded[g] || c->warm[g].cap >= c->opts.usual[g];
	}
	if (!suffices)
		return;
	changeover_enter(c, RELAY_CHANGEOVER_FULL, now_us,
	    "Warmed up: the daily caps suffice for all mail, and all goes to the new server.");
	changeover_start_step(c, now_us);
}
