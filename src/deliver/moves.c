/* Which way: where mail of a group stands while its route changes over.
 *
 * A group's mail stands on four sides (enum deliver_stand), each a group of the queue's own with a
 * way of its own. The stand of a recipient follows from its message's place in the changeover and
 * from what it has been through already, so it is the same after a restart, and nothing about the
 * changeover is written to the rows of waiting mail: a million of them move by placing four sides.
 *
 *              before CANARY, SUSPECT   CANARY              FULL              settled
 *   HOME       old                      old                 old, nothing new  as the book says
 *   EITHER     old                      new, spills HOME    -                 as the book says
 *   NEW        new for its doubts       new                 new               as the book says
 *   OLD        old                      old                 old               old while it lasts
 *
 * A side whose version cannot be used goes the other way meanwhile, but for doubts: those are
 * repeated where they arose while that works. "Acting" is the state as the last commit left it:
 * what the machine has decided since then acts when it is on disk.
 *
 * The new version is pumped before the old one. What it has no connection for at the end of a turn,
 * and what has waited for one for SPILL_AFTER, spills HOME, so that nobody waits for a canary. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "deliver/private.h"
#include "relay/book.h"
#include "relay/rgroup.h"

#define SPILL_AFTER SECONDS(3)

struct deliver_move *
deliver_move_find(struct deliver *d, uint64_t id)
{
	for (size_t i = 0; i < d->n_moves; i++) {
		if (d->moves[i]->id == id)
			return d->moves[i];
	}
	return NULL;
}

static bool
is_over(const struct deliver_move *mv)
{
	enum relay_changeover_state s = mv->acting.state;

	return s == RELAY_CHANGEOVER_REVERTED || s == RELAY_CHANGEOVER_REFUSED ||
	       s == RELAY_CHANGEOVER_RETIRED;
}

static enum relay_rgroup
rgroup_of(struct str address)
{
	size_t at = address.n;

	while (at > 0 && address.p[at - 1] != '@')
		at--;
	return relay_rgroup_of(str_skip(address, at));
}

/* ---- stands ---- */

enum deliver_stand
deliver_stand_of(struct deliver *d, const struct deliver_group *g, const struct deliver_rcpt *r,
    int64_t deadline_us)
{
	const struct deliver_move *mv = g->move;

	if (mv == NULL)
		return DELIVER_HOME;
	if (r->via > 0 && (uint64_t)r->via == mv->to.v)
		return DELIVER_NEW;
	if (r->via > 0 && (uint64_t)r->via == mv->from.v)
		return DELIVER_OLD;
	if (is_over(mv) || mv->acting.state == RELAY_CHANGEOVER_CONFIRMED || !g->new_carries)
		return DELIVER_HOME;
	/* What tells people about the changeover must not depend on it. */
	if (r->via == -(int64_t)mv->to.v || r->msg->kind != STORE_SUBMITTED)
		return DELIVER_OLD;
	if (!relay_changeover_may_take(mv->machine, rgroup_of(r->address), deadline_us, d->now_us))
		return DELIVER_HOME;
	if (mv->acting.is_full)
		return DELIVER_NEW;
	return relay_changeover_place(mv->machine, r->msg->id) < mv->acting.share ? DELIVER_EITHER
										  : DELIVER_HOME;
}

enum deliver_stand
deliver_more_stand(const struct deliver_group *g)
{
	return g->move != NULL && g->new_carries && g->move->acting.is_full &&
		       g->move->acting.is_unsettled
		   ? DELIVER_NEW
		   : DELIVER_HOME;
}

static bool
is_usable(struct deliver *d, struct version_id version)
{
	return relay_desk_is_usable(d->desk, version);
}

/* Whether this side goes through the new version now. */
static bool
goes_new(struct deliver *d, const struct deliver_side *side)
{
	const struct deliver_group *g = side->group;
	const struct deliver_move *mv = g->move;
	bool new_works = is_usable(d, mv->to), old_works = is_usable(d, mv->from);

	if (!g->new_carries)
		return false;
	switch ((enum deliver_stand)(side - g->sides)) {
	case DELIVER_HOME: return mv->acting.state == RELAY_CHANGEOVER_CONFIRMED;
	case DELIVER_EITHER: return new_works && mv->acting.share != 0 && !is_over(mv);
	case DELIVER_NEW: return new_works || !old_works;
	case DELIVER_OLD: return mv->acting.is_full && !old_works && new_works;
	}
	UNREACHABLE();
}

struct deliver_way *
deliver_side_way(struct deliver *d, const struct deliver_side *side,
    const struct relay_decision *home, struct str *rewritten_out)
{
	const struct deliver_group *g = side->group;
	const struct deliver_move *mv = g->move;

	*rewritten_out = (struct str){ 0 };
	if (home->refusal != RELAY_REFUSAL_NONE)
		return NULL;
	/* Confirmed, and the book that says so is not here yet. */
	bool confirmed = mv != NULL && g->new_carries &&
			 mv->acting.state == RELAY_CHANGEOVER_CONFIRMED &&
			 ID_EQ(home->version, mv->from);
	if (mv == NULL || (side == &g->sides[DELIVER_HOME] && !confirmed)) {
		if (home->rewritten)
			*rewritten_out = home->sender;
		return deliver_way_of(d, home->version);
	}
	bool new = goes_new(d, side);
	*rewritten_out = new ? g->new_rewritten : g->old_rewritten;
	return deliver_way_of(d, new ? mv->to : mv->from);
}

/* Items of the window that stand elsewhere than they should take their new place; those that are
 * being sent do when they are back. */
static void
restand_window(struct deliver *d, const struct deliver_move *mv)
{
	size_t at = 0, n = 0;
	struct queue_item *item;
	struct rcpt_id *wrong = MEM_NEW_ARRAY(struct rcpt_id, queue_held(d->queue));

	while ((item = queue_each(d->queue, &at)) != NULL) {
		struct deliver_group *g = deliver_group_of(d, item->group_id);
		if (queue_is_out(item) || g == NULL || g->move != mv)
			continue;
		enum deliver_stand s = deliver_stand_of(d, g, item->load, item->deadline_us);
		if (g->sides[s].id.v != item->group_id.v)
			wrong[n++] = item->rcpt_id;
	}
	for (size_t i = 0; i < n; i++) {
		item = queue_take(d->queue, wrong[i], d->now_us);
		struct deliver_group *g = deliver_group_of(d, item->group_id);
		enum deliver_stand s = deliver_stand_of(d, g, item->load, item->deadline_us);
		queue_move(d->queue, item, g->sides[s].id, d->now_us);
		queue_put_back(d->queue, &item);
	}
	free(wrong);
}

/* What lies on disk is told to one side at a time: two would read each page twice, and one whose
 * rows all belong to the other would read for ever. */
static void
hand_over_more(struct deliver *d, const struct deliver_move *mv)
{
	size_t at = 0;
	struct deliver_group *g;

	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		if (g->move != mv)
			continue;
		enum deliver_stand to = deliver_more_stand(g);
		for (int lane = 0; lane < STREAM_COUNT; lane++) {
			for (int s = 0; s < DELIVER_STANDS; s++)
				queue_set_more(d->queue, g->sides[s].id, (enum stream)lane,
				    s == (int)to ? d->now_us : TIME_NEVER, d->now_us);
		}
	}
}

void
deliver_move_act(struct deliver *d, struct deliver_move *mv, const struct deliver_acting *acting)
{
	struct deliver_acting was = mv->acting;

	mv->acting = *acting;
	deliver_way_of(d, mv->to)->is_new =
	    acting->is_unsettled && acting->share != 0 && !is_over(mv);
	deliver_place_moved(d, mv);
	if (was.is_full == acting->is_full && was.is_unsettled == acting->is_unsettled &&
	    (was.share == 0) == (acting->share == 0))
		return; /* another step of the canary: what stands, stands */
	hand_over_more(d, mv);
	restand_window(d, mv);
	deliver_touch_all(d);
}

void
deliver_restand(
    struct deliver *d, struct queue_item *item, enum deliver_stand stand, int64_t due_us)
{
	struct deliver_group *g = deliver_group_of(d, item->group_id);

	if (g != NULL) {
		struct deliver_side *side = &g->sides[stand];
		if (side->id.v != item->group_id.v)
			queue_move(d->queue, item, side->id, d->now_us);
		if (side->way != NULL)
			deliver_touch(side->way);
	}
	deliver_defer(d, item, due_us);
}

/* ---- limits of a canary ---- */

uint32_t
deliver_at_once(struct deliver *d, const struct deliver_way *w)
{
	uint32_t least = 0;

	for (size_t i = 0; i < d->n_moves; i++) {
		const struct deliver_move *mv = d->moves[i];
		if (!ID_EQ(mv->to, w->version) || !mv->acting.is_unsettled)
			continue;
		uint32_t n = relay_changeover_at_once(mv->machine);
		if (n != 0 && (least == 0 || n < least))
			least = n;
	}
	return least;
}

bool
deliver_may_go(struct deliver *d, const struct deliver_way *w, struct queue_item *item)
{
	struct deliver_group *g = d->n_moves != 0 ? deliver_group_of(d, item->group_id) : NULL;
	const struct deliver_rcpt *r = item->load;

	if (g == NULL || g->move == NULL || !ID_EQ(g->move->to, w->version) ||
	    !g->move->acting.is_unsettled || r->state == STORE_IN_DOUBT ||
	    relay_changeover_may_take(
		g->move->machine, rgroup_of(r->address), item->deadline_us, d->now_us))
		return true;
	queue_move(d->queue, item, g->sides[DELIVER_HOME].id, d->now_us);
	queue_put_back(d->queue, &item);
	if (g->sides[DELIVER_HOME].way != NULL)
		deliver_touch(g->sides[DELIVER_HOME].way);
	return false;
}

int64_t
deliver_cut_after_us(struct deliver *d, const struct queue_item *item)
{
	const struct deliver_side *side = deliver_side_of(d, item->group_id);
	const struct deliver_move *mv = side != NULL ? side->group->move : NULL;

	return mv != NULL && side->way != NULL && ID_EQ(side->way->version, mv->to) &&
		       mv->acting.is_unsettled
		   ? relay_changeover_cut_after_us(mv->machine)
		   : 0;
}

bool
deliver_has_way_back(struct deliver *d, const struct deliver_way *w, const struct queue_item *item)
{
	const struct deliver_group *g =
	    d->n_moves != 0 ? deliver_group_of(d, item->group_id) : NULL;
	const struct deliver_rcpt *r = item->load;

	return g != NULL && g->move != NULL && ID_EQ(g->move->to, w->version) &&
	       relay_changeover_has_way_back(g->move->machine) && r->state == STORE_QUEUED &&
	       r->via != -(int64_t)w->version.v;
}

/* ---- spilling ---- */

/* Recipients that may stay READY for the new version: as many as it will have connections for. */
static size_t
room_of(struct deliver *d, const struct deliver_way *w)
{
	uint32_t at_once = deliver_at_once(d, w);
	size_t links = w->n_links != 0 ? w->n_links : 1;

	if (w->dialling_us != 0 && d->now_us - w->dialling_us > SPILL_AFTER)
		return 0;
	return at_once != 0 && at_once < links ? at_once : links;
}

static size_t
ready_of(struct deliver *d, const struct deliver_move *mv)
{
	size_t at = 0, n = 0;
	const struct deliver_group *g;

	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		for (int s = 0; g->move == mv && s < STREAM_COUNT; s++)
			n += queue_count(d->queue, g->sides[DELIVER_EITHER].id, (enum stream)s)
				 .ready;
	}
	return n;
}

static bool
spill_one(struct deliver *d, struct deliver_move *mv, int64_t before_us)
{
	struct queue_item *item = queue_outlet_next(mv->spill, QUEUE_LANES_ALL, d->now_us);

	if (item == NULL)
		return false;
	struct deliver_group *g = deliver_group_of(d, item->group_id);
	bool late = item->due_us <= before_us;
	if (late) {
		queue_move(d->queue, item, g->sides[DELIVER_HOME].id, d->now_us);
		if (g->sides[DELIVER_HOME].way != NULL)
			deliver_touch(g->sides[DELIVER_HOME].way);
	}
	queue_put_back(d->queue, &item);
	return late;
}

int64_t
deliver_spill(struct deliver *d)
{
	int64_t again_us = TIME_NEVER;

	for (size_t i = 0; i < d->n_moves; i++) {
		struct deliver_move *mv = d->moves[i];
		if (!queue_outlet_has(mv->spill, QUEUE_LANES_ALL, d->now_us))
			continue;
		size_t room = room_of(d, deliver_way_of(d, mv->to));
		size_t ready = ready_of(d, mv);
		while (ready > room && spill_one(d, mv, d->now_us))
			ready--;
		while (ready > 0 && spill_one(d, mv, d->now_us - SPILL_AFTER))
			ready--;
		if (ready > 0)
			again_us = d->now_us + SECONDS(1);
	}
	return again_us;
}

/* ---- evidence ---- */

static struct deliver_move *
move_of_item(struct deliver *d, const struct queue_item *item, const struct deliver_way *w,
    enum relay_side *side_out)
{
	struct deliver_group *g = d->n_moves != 0 ? deliver_group_of(d, item->group_id) : NULL;
	struct deliver_move *mv = g != NULL ? g->move : NULL;

	if (mv == NULL || (!ID_EQ(mv->from, w->version) && !ID_EQ(mv->to, w->version)))
		return NULL;
	*side_out = ID_EQ(mv->to, w->version) ? RELAY_NEW : RELAY_OLD;
	return mv;
}

static bool
is_told(const struct smtp_job *s, size_t i)
{
	const struct smtp_verdict *v = &s->rcpts[i].verdict;

	for (size_t k = 0; k < i; k++) {
		const struct smtp_verdict *o = &s->rcpts[k].verdict;
		if (o->outcome == v->outcome && o->stage == v->stage && o->code == v->code &&
		    str_eq(o->text, v->text))
			return true;
	}
	return false;
}

static bool
evidence_of(struct deliver *d, const struct deliver_way *w, const struct smtp_job *s, size_t i,
    struct relay_evidence *e)
{
	const struct smtp_verdict *v = &s->rcpts[i].verdict;
	struct relay_verdict judged;

	switch (v->outcome) {
	case SMTP_NOT_TRIED: return false;
	case SMTP_SENT:
		e->kind = RELAY_EVIDENCE_SENT;
		e->latency_us = s->ended_us - s->started_us;
		return true;
	case SMTP_IN_DOUBT: e->kind = RELAY_EVIDENCE_DOUBT; return true;
	case SMTP_REFUSED:
	case SMTP_BROKEN: break;
	}
	if (v->outcome == SMTP_BROKEN && v->trouble == SMTP_TROUBLE_OURS) {
		/* The writer's refusal to record looks alike, and says nothing of the relay. */
		e->kind = RELAY_EVIDENCE_CUT;
		return s->cut_after_us > 0 && s->ended_us - s->started_us >= s->cut_after_us;
	}
	e->kind = RELAY_EVIDENCE_REFUSED;
	e->stop = deliver_judge_stop(d, w, v, false, &judged);
	e->blame = judged.blame;
	e->stage = deliver_stage(v->stage);
	e->code = v->code;
	/* Whether the old version takes this sender shows when it has tried. */
	if (e->stop == RELAY_STOP_IDENTITY)
		e->stop = RELAY_STOP_NONE;
	return true;
}

static void
remember(struct deliver_move *mv, const struct relay_evidence *e)
{
	mv->refusal.code = e->code;
	mv->refusal.stage = e->stage;
	snprintf(mv->refusal.text, sizeof(mv->refusal.text), "%.*s",
	    (int)sizeof(mv->refusal.text) - 1, e->text);
}

void
deliver_moves_tell_job(
    struct deliver *d, const struct deliver_way *w, const struct deliver_job *job)
{
	const struct deliver_load *load = job->load;
	const struct smtp_job *s = &job->smtp;

	if (d->n_moves == 0 || s->n_rcpts == 0 || load->is_lost)
		return;
	for (size_t i = 0; i < s->n_rcpts; i++) {
		const struct deliver_rcpt *r = load->items[i]->load;
		struct relay_evidence e = { 0 };
		struct deliver_move *mv = move_of_item(d, load->items[i], w, &e.side);
		char text[241];
		if (mv == NULL || is_told(s, i) || !evidence_of(d, w, s, i, &e))
			continue;
		snprintf(text, sizeof(text), "%s%.0u%s%.*s", "", s->rcpts[i].verdict.code,
		    s->rcpts[i].verdict.code != 0 ? " " : "",
		    STR_ARG(str_sub(s->rcpts[i].verdict.text, 0, 200)));
		e.text = text;
		e.rgroup = rgroup_of(r->address);
		e.domain_hash = load->items[i]->dest;
		if (e.side == RELAY_NEW && e.kind == RELAY_EVIDENCE_REFUSED)
			remember(mv, &e);
		relay_changeover_tell(mv->machine, &e, d->now_us);
	}
}

void
deliver_moves_tell_connect(struct deliver *d, const struct deliver_way *w,
    const struct smtp_verdict *why, const struct relay_verdict *v, enum relay_hard_stop stop)
{
	for (size_t i = 0; i < d->n_moves; i++) {
		struct deliver_move *mv = d->moves[i];
		char text[241];
		if (!ID_EQ(mv->from, w->version) && !ID_EQ(mv->to, w->version))
			continue;
		snprintf(text, sizeof(text), "%.*s", STR_ARG(str_sub(why->text, 0, 200)));
		struct relay_evidence e = { .side =
						ID_EQ(mv->to, w->version) ? RELAY_NEW : RELAY_OLD,
			.kind = RELAY_EVIDENCE_CONNECT,
			.blame = v->blame,
			.stage = deliver_stage(why->stage),
			.stop = stop,
			.code = why->code,
			.rgroup = RELAY_RGROUP_OTHER,
			.text = text };
		relay_changeover_tell(mv->machine, &e, d->now_us);
	}
}

void
deliver_moves_tell_short(struct deliver *d, struct version_id version, int64_t until_us)
{
	for (size_t i = 0; i < d->n_moves; i++) {
		if (ID_EQ(d->moves[i]->to, version))
			relay_changeover_short(d->moves[i]->machine, until_us, d->now_us);
	}
}

void
deliver_moves_tell_alone(struct deliver *d, const struct queue_item *item)
{
	const struct deliver_rcpt *r = item->load;

	for (size_t i = 0; i < d->n_moves; i++) {
		struct deliver_move *mv = d->moves[i];
		if (r->via != -(int64_t)mv->to.v || r->refusal.stage == 0)
			continue;
		struct relay_evidence e = { .side = RELAY_NEW,
			.kind = RELAY_EVIDENCE_ALONE,
			.blame = (enum relay_blame)r->refusal.blame,
			.stage = (enum relay_stage)r->refusal.stage,
			.stop = (enum relay_hard_stop)r->refusal.stop,
			.code = r->refusal.code,
			.rgroup = rgroup_of(r->address),
			.domain_hash = item->dest };
		if (e.code == mv->refusal.code && e.stage == mv->refusal.stage)
			e.text = mv->refusal.text;
		relay_changeover_tell(mv->machine, &e, d->now_us);
	}
}
