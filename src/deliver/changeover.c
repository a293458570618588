/* Changeovers in force: from the book to the machine, from the machine to disk, and to those who
 * look at things for it.
 *
 * Keeping. Whatever changed a machine shows at the end of the turn (relay_changeover_is_dirty): its
 * JSON and the history it made travel to the writer as one call, and what it decided acts when that
 * call is back (deliver_move_act). Calls of one sender keep their order, so a later state is never
 * overtaken by an earlier one. Evidence alone is written every KEEP_EVERY. A call that fails is
 * made again with what is true then; nothing acts before. Being confirmed and being written into
 * the routes are one commit, after which settings are published again.
 *
 * Wants. What the kept state waits for is asked for once; the answer names the want it belongs to,
 * and one that comes too late is dropped. After a restart the machine wants the same again. */
#include "deliver/changeover.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "deliver/private.h"
#include "relay/book.h"
#include "store/config_changeover.h"
#include "store/config_system.h"
#include "store/store.h"

#define KEEP_EVERY  SECONDS(2)
#define RETRY_AFTER SECONDS(1)
#define MACHINE_MAX (1u << 20)

struct move_call {
	struct store_call call;
	struct arena arena;
	struct store_changeover_row row;
	struct store_changeover_event *events;
	size_t n_events;
	bool applies; /* the routes lead to the new version from now on */
	struct deliver_acting acting;
};

/* ---- coming and going ---- */

static struct deliver_acting
acting_of(const struct deliver_move *mv)
{
	enum relay_changeover_state state = relay_changeover_state(mv->machine);

	return (struct deliver_acting){
		.state = state,
		.share = relay_changeover_share(mv->machine),
		.is_full = relay_changeover_is_full(mv->machine),
		.is_unsettled = !relay_changeover_is_settled(state),
	};
}

static void
free_move(struct deliver_move *mv)
{
	relay_changeover_free(&mv->machine);
	queue_outlet_free(&mv->spill);
	free(mv->events);
	free(mv);
}

static struct deliver_move *
new_move(struct deliver *d, const struct relay_move_row *row)
{
	AUTO(json_free) struct json *doc = NULL;
	struct relay_changeover *machine = NULL;
	struct fault f = { 0 };

	if (json_parse(row->machine, MACHINE_MAX, &doc, &f) != RC_OK ||
	    relay_changeover_read(doc, &machine, &f) != RC_OK) {
		log_event(LOG_ERROR, NULL, "changeover.unreadable",
		    "changeover %llu cannot be read (%s); its mail goes as the routes say",
		    (unsigned long long)row->id, f.text);
		return NULL;
	}
	struct deliver_move *mv = MEM_NEW(struct deliver_move);
	*mv = (struct deliver_move){ .id = row->id,
		.from = row->from,
		.to = row->to,
		.machine = machine,
		.spill = queue_outlet_new(d->queue),
		.kept_us = d->now_us };
	d->moves = mem_realloc(d->moves, (d->n_moves + 1) * sizeof(struct deliver_move *));
	d->moves[d->n_moves++] = mv;
	mv->acting = acting_of(mv);
	return mv;
}

/* Sides no longer go by it; what stands on them goes home. */
static void
leave(struct deliver *d, struct deliver_move *mv)
{
	struct deliver_acting over = { .state = RELAY_CHANGEOVER_RETIRED };

	deliver_move_act(d, mv, &over);
	for (size_t i = 0; i < d->n_moves; i++) {
		if (d->moves[i] != mv)
			continue;
		d->moves[i] = d->moves[--d->n_moves];
		break;
	}
	deliver_place_moved(d, mv);
	free_move(mv);
}

void
deliver_moves_follow_book(struct deliver *d)
{
	for (size_t i = 0; i < d->n_moves; i++)
		d->moves[i]->is_in_book = false;
	for (size_t i = 0; i < relay_book_move_count(d->book); i++) {
		const struct relay_move_row *row = relay_book_move_at(d->book, i);
		struct deliver_move *mv = deliver_move_find(d, row->id);
		if (mv == NULL)
			mv = new_move(d, row);
		if (mv == NULL)
			continue;
		mv->is_in_book = true;
		deliver_way_of(d, mv->to)->is_new = mv->acting.is_unsettled;
	}
	for (size_t i = d->n_moves; i-- > 0;) {
		/* One with calls under way leaves with the book after them. */
		if (!d->moves[i]->is_in_book && d->moves[i]->keeps_out == 0)
			leave(d, d->moves[i]);
	}
}

void
deliver_moves_free(struct deliver *d)
{
	for (size_t i = 0; i < d->n_moves; i++)
		free_move(d->moves[i]);
	free(d->moves);
	d->moves = NULL;
	d->n_moves = 0;
}

/* ---- keeping ---- */

static enum rc
audit_confirmed(struct store_tx *tx, const struct move_call *c, struct fault *f)
{
	char target[32];
	struct store_audit_row row = { .at_us = c->row.settled_us,
		.who = STR("posthouse"),
		.what = STR("changeover.confirm"),
		.target = str_from(target),
		.why = c->n_events != 0 ? c->events[c->n_events - 1].text : (struct str){ 0 } };

	snprintf(target, sizeof(target), "%llu", (unsigned long long)c->row.id);
	row.target = str_from(target);
	return store_config_audit_add(tx, &row, f);
}

static enum rc
run_keep(struct store_tx *tx, void *arg, struct fault *f)
{
	struct move_call *c = arg;
	enum rc rc = store_config_changeover_keep(tx, &c->row, f);

	for (size_t i = 0; i < c->n_events && rc == RC_OK; i++)
		rc = store_config_changeover_event_add(tx, &c->events[i], f);
	if (rc == RC_OK && c->applies)
		rc = store_config_changeover_apply(tx, c->row.id, f);
	if (rc == RC_OK && c->applies)
		rc = audit_confirmed(tx, c, f);
	return rc;
}

static const char *
news_name(enum relay_changeover_news_kind kind)
{
	switch (kind) {
	case RELAY_CHANGEOVER_MOVED: return "moved";
	case RELAY_CHANGEOVER_WARNED: return "warned";
	case RELAY_CHANGEOVER_DUE: return "due";
	case RELAY_CHANGEOVER_PROVEN: return "proven";
	}
	UNREACHABLE();
}

static void
take_news(struct deliver *d, struct deliver_move *mv)
{
	struct relay_changeover_news n;

	while (relay_changeover_next_news(mv->machine, &n)) {
		struct log_ctx ctx = LOG_NUM(NULL, "changeover", mv->id);
		log_event(n.kind == RELAY_CHANGEOVER_WARNED ? LOG_WARN : LOG_INFO, &ctx,
		    "changeover.news", "%s: %s", relay_changeover_state_name(n.to), n.text);
		mv->events = mem_realloc(mv->events, (mv->n_events + 1) * sizeof(*mv->events));
		mv->events[mv->n_events++] = n;
		if (d->opts.on_changeover_news != NULL)
			d->opts.on_changeover_news(d->opts.arg, mv->id, &n);
	}
}

static void
fill_events(struct deliver *d, struct deliver_move *mv, struct move_call *c)
{
	struct arena *a = &c->arena;

	c->n_events = mv->n_events;
	c->events = ARENA_NEW_ARRAY(a, struct store_changeover_event, mv->n_events);
	for (size_t i = 0; i < mv->n_events; i++) {
		const struct relay_changeover_news *n = &mv->events[i];
		c->events[i] = (struct store_changeover_event){ .changeover = mv->id,
			.at_us = d->now_us,
			.kind = str_from(news_name(n->kind)),
			.state = str_from(relay_changeover_state_name(n->to)),
			.step = n->step,
			.text = arena_str(a, str_from(n->text)) };
	}
	mv->n_events = 0;
}

static bool
is_open(const struct deliver_move *mv, const struct deliver_acting *acting)
{
	struct relay_changeover_view v;

	relay_changeover_view(mv->machine, &v);
	return acting->state != RELAY_CHANGEOVER_RETIRED &&
	       acting->state != RELAY_CHANGEOVER_REFUSED &&
	       (acting->state != RELAY_CHANGEOVER_REVERTED || !v.old_proven);
}

static void
keep(struct deliver *d, struct deliver_move *mv)
{
	struct move_call *c = MEM_NEW(struct move_call);
	struct json_writer w;
	AUTO(buf_done) struct buf b = { 0 };
	struct relay_changeover_view v;

	take_news(d, mv);
	relay_changeover_view(mv->machine, &v);
	buf_init(&b, MACHINE_MAX);
	json_writer_init(&w, &b);
	relay_changeover_write(mv->machine, &w);
	json_writer_done(&w);
	c->acting = acting_of(mv);
	c->applies = c->acting.state == RELAY_CHANGEOVER_CONFIRMED &&
		     mv->acting.state != RELAY_CHANGEOVER_CONFIRMED;
	c->row = (struct store_changeover_row){ .id = mv->id,
		.state = str_from(relay_changeover_state_name(c->acting.state)),
		.open = is_open(mv, &c->acting),
		.machine = arena_str(&c->arena, buf_str(&b)),
		.settled_us = v.settled_us };
	fill_events(d, mv, c);
	relay_changeover_kept(mv->machine);
	mv->kept_us = d->now_us;
	mv->must_keep = false;
	mv->keeps_out++;
	c->call.op.kind = STORE_CALL;
	c->call.op.reply = d->from_store;
	c->call.run = run_keep;
	c->call.arg = c;
	d->ops_out++;
	outbox_add(&d->outbox, store_mailbox(d->store), &c->call.op.item);
}

bool
deliver_moves_is_ours(struct store_op *op)
{
	return CONTAINER_OF(op, struct store_call, op)->run == run_keep;
}

void
deliver_on_move_kept(struct deliver *d, struct store_op *op)
{
	struct store_call *call = CONTAINER_OF(op, struct store_call, op);
	struct move_call *c = CONTAINER_OF(call, struct move_call, call);
	struct deliver_move *mv = deliver_move_find(d, c->row.id);

	if (mv != NULL) {
		mv->keeps_out--;
		if (op->rc != RC_OK) {
			log_event(LOG_ERROR, NULL, "changeover.keep",
			    "changeover %llu cannot be kept yet: %s", (unsigned long long)mv->id,
			    op->fault.text);
			mv->must_keep = true;
			mv->kept_us = d->now_us;
		} else {
			bool publish = c->applies || !c->row.open;
			deliver_move_act(d, mv, &c->acting);
			if (publish && d->opts.on_learnt != NULL)
				d->opts.on_learnt(d->opts.arg);
		}
	}
	arena_done(&c->arena);
	free(c);
}

/* ---- time and wants ---- */

static void
ask(struct deliver *d, struct deliver_move *mv)
{
	uint64_t since = 0;
	enum relay_want want = relay_changeover_wants(mv->machine, &since);

	if (want == RELAY_WANT_NOTHING || since == mv->asked || d->stopping)
		return;
	mv->asked = since;
	if (d->opts.on_want != NULL)
		d->opts.on_want(d->opts.arg, mv->id, want, since);
}

static int64_t
step_one(struct deliver *d, struct deliver_move *mv)
{
	int64_t next = relay_changeover_next_event_us(mv->machine);

	if (next <= d->now_us) {
		relay_changeover_tick(mv->machine, d->now_us);
		next = relay_changeover_next_event_us(mv->machine);
	}
	bool dirty = relay_changeover_is_dirty(mv->machine) || mv->must_keep;
	int64_t keep_at = mv->kept_us + (mv->must_keep ? RETRY_AFTER : KEEP_EVERY);
	if ((relay_changeover_has_moved(mv->machine) && !mv->must_keep) ||
	    (dirty && d->now_us >= keep_at)) {
		keep(d, mv);
		dirty = false;
	}
	if (!dirty || !relay_changeover_has_moved(mv->machine))
		ask(d, mv);
	return dirty && keep_at < next ? keep_at : next;
}

int64_t
deliver_moves_step(struct deliver *d)
{
	int64_t next = d->n_moves != 0 ? deliver_spill(d) : TIME_NEVER;

	for (size_t i = 0; i < d->n_moves; i++) {
		int64_t at = step_one(d, d->moves[i]);
		next = at < next ? at : next;
	}
	return next;
}

/* ---- orders ---- */

static struct deliver_move *
find_or_say(struct deliver *d, uint64_t id, struct fault *f)
{
	struct deliver_move *mv = deliver_move_find(d, id);

	if (mv == NULL)
		(void)fault_set(f, RC_NOT_FOUND,
		    "changeover %llu is over; see posthouse changeover history",
		    (unsigned long long)id);
	return mv;
}

enum rc
deliver_changeover_command(struct deliver *d, uint64_t id, enum deliver_changeover_command what,
    struct str why, struct fault *f)
{
	struct deliver_move *mv = find_or_say(d, id, f);
	enum rc rc = RC_NOT_FOUND;

	if (mv == NULL)
		return rc;
	switch (what) {
	case DELIVER_CHANGEOVER_HOLD:
		rc = relay_changeover_hold(mv->machine, why, d->now_us, f);
		break;
	case DELIVER_CHANGEOVER_RESUME:
		rc = relay_changeover_resume(mv->machine, d->now_us, f);
		break;
	case DELIVER_CHANGEOVER_CONFIRM:
		rc = relay_changeover_confirm(mv->machine, d->now_us, f);
		break;
	case DELIVER_CHANGEOVER_REVERT:
	case DELIVER_CHANGEOVER_REVERT_AT_ONCE:
		rc = relay_changeover_revert(
		    mv->machine, what == DELIVER_CHANGEOVER_REVERT_AT_ONCE, why, d->now_us, f);
		break;
	case DELIVER_CHANGEOVER_RETIRE:
		rc = relay_changeover_retire(mv->machine, d->now_us, f);
		break;
	}
	if (rc == RC_OK)
		keep(d, mv);
	return rc;
}

void
deliver_changeover_answer(struct deliver *d, uint64_t id, enum relay_want want, uint64_t since,
    enum relay_answer answer, struct str why)
{
	struct deliver_move *mv = deliver_move_find(d, id);
	uint64_t now = 0;

	if (mv == NULL || relay_changeover_wants(mv->machine, &now) != want || now != since)
		return;
	switch (want) {
	case RELAY_WANT_NOTHING: return;
	case RELAY_WANT_PREFLIGHT:
		relay_changeover_checked(mv->machine, answer, why, d->now_us);
		return;
	case RELAY_WANT_PROBE: relay_changeover_probed(mv->machine, answer, why, d->now_us); return;
	case RELAY_WANT_CONTROL:
		relay_changeover_controlled(mv->machine, answer, why, d->now_us);
		return;
	}
}

void
deliver_changeover_report(
    struct deliver *d, struct version_id version, const struct relay_evidence *e)
{
	for (size_t i = 0; i < d->n_moves; i++) {
		struct deliver_move *mv = d->moves[i];
		struct relay_evidence mine = *e;
		if (!ID_EQ(mv->from, version) && !ID_EQ(mv->to, version))
			continue;
		mine.side = ID_EQ(mv->to, version) ? RELAY_NEW : RELAY_OLD;
		relay_changeover_tell(mv->machine, &mine, d->now_us);
	}
}

enum rc
deliver_changeover_show(
    struct deliver *d, uint64_t id, struct relay_changeover_view *out, struct fault *f)
{
	const struct deliver_move *mv = find_or_say(d, id, f);

	if (mv == NULL)
		return RC_NOT_FOUND;
	relay_changeover_view(mv->machine, out);
	return RC_OK;
}
