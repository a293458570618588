/* Through whom: groups are placed on ways (relay versions in use) by the book, and opened and
 * closed by the desk's news. A group without a way stays closed: its mail waits, its time stands
 * still. */
#include "deliver/private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/book.h"
#include "relay/provider.h"
#include "store/store.h"

struct deliver_way *
deliver_way_of(struct deliver *d, struct version_id v)
{
	struct deliver_way *w = map_get(&d->ways, v.v);

	if (w != NULL)
		return w;
	w = MEM_NEW(struct deliver_way);
	w->version = v;
	w->outlet = queue_outlet_new(d->queue);
	w->ask_again_us = TIME_NEVER;
	list_init(&w->idle);
	map_put(&d->ways, v.v, w);
	return w;
}

static void
grant_group(struct deliver *d, struct deliver_group *g)
{
	struct {
		struct store_grant op;
		struct group_id id;
	} *m = mem_zalloc(sizeof(*m));

	m->id = g->id;
	m->op.op.kind = STORE_GRANT;
	m->op.op.reply = d->from_store;
	if (g->open) {
		m->op.opened = &m->id;
		m->op.n_opened = 1;
	} else {
		m->op.closed = &m->id;
		m->op.n_closed = 1;
	}
	d->ops_out++;
	outbox_add(&d->outbox, store_mailbox(d->store), &m->op.op.item);
}

/* Opens or closes a side as its way is usable or not. */
static void
follow_way(struct deliver *d, struct deliver_side *side)
{
	bool open =
	    side->way != NULL && !d->stopping && relay_desk_is_usable(d->desk, side->way->version);

	if (open == side->open)
		return;
	side->open = open;
	if (open)
		queue_open(d->queue, side->id, d->now_us);
	else
		queue_close(d->queue, side->id, d->now_us);
	if (open)
		deliver_touch(side->way);
}

/* What the changeover of the group's route, if there is one, makes of its senders. */
static void
find_move(struct deliver *d, struct deliver_group *g, const struct relay_decision *dec)
{
	const struct relay_move_row *row =
	    dec->refusal == RELAY_REFUSAL_NONE ? relay_book_move_of(d->book, dec->route) : NULL;

	g->move = row != NULL ? deliver_move_find(d, row->id) : NULL;
	g->new_rewritten = g->old_rewritten = (struct str){ 0 };
	if (g->move == NULL)
		return;
	g->new_carries =
	    relay_book_carries_key(d->book, g->move->to, dec->route, g->key, &g->new_rewritten);
	(void)relay_book_carries_key(d->book, g->move->from, dec->route, g->key, &g->old_rewritten);
}

static void
place_side(struct deliver *d, struct deliver_side *side, const struct relay_decision *dec)
{
	struct deliver_way *to = deliver_side_way(d, side, dec, &side->rewritten);
	struct deliver_move *mv = side->group->move;
	bool spills = mv != NULL && side == &side->group->sides[DELIVER_EITHER];
	struct queue_outlet *spill = spills ? mv->spill : NULL;

	if (side->way != to) {
		if (side->way != NULL)
			queue_outlet_leave(side->way->outlet, side->id);
		side->way = to;
		if (to != NULL)
			queue_outlet_join(to->outlet, side->id);
	}
	if (side->spill != spill) {
		if (side->spill != NULL)
			queue_outlet_leave(side->spill, side->id);
		side->spill = spill;
		if (spill != NULL)
			queue_outlet_join(spill, side->id);
	}
	follow_way(d, side);
}

void
deliver_place(struct deliver *d, struct deliver_group *g)
{
	struct relay_decision dec;
	bool open = false;

	if (relay_book_route_key(d->book, g->key, &dec) != RC_OK)
		dec = (struct relay_decision){ .refusal = RELAY_REFUSAL_NO_ROUTE };
	g->refusal = dec.refusal;
	find_move(d, g, &dec);
	for (int s = 0; s < DELIVER_STANDS; s++) {
		place_side(d, &g->sides[s], &dec);
		open |= g->sides[s].open;
	}
	if (g->open != open) {
		g->open = open;
		grant_group(d, g);
	}
}

void
deliver_place_moved(struct deliver *d, const struct deliver_move *mv)
{
	size_t at = 0;
	struct deliver_group *g;

	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		if (g->move == mv)
			deliver_place(d, g);
	}
}

/* The rows of the present book, for every way; one that no book names any more lets its connections
 * go. */
static void
refresh_ways(struct deliver *d)
{
	size_t at = 0;
	struct deliver_way *w;

	for (size_t i = 0; i < relay_book_version_count(d->book); i++)
		deliver_way_of(d, relay_book_version_at(d->book, i)->id);
	while ((w = map_next(&d->ways, &at, NULL)) != NULL) {
		w->row = relay_book_version(d->book, w->version);
		w->max_rcpts = w->row != NULL && w->row->max_recipients != 0
				   ? w->row->max_recipients
				   : RELAY_DEFAULT_RECIPIENTS;
		w->is_new = false;
		w->dirty = true;
	}
}

void
deliver_set_book(struct deliver *d, struct relay_book *book)
{
	struct relay_book *old = d->book;
	size_t at = 0;
	struct deliver_group *g;

	d->book = relay_book_ref(book);
	d->caps_told = (struct version_id){ 0 };
	relay_desk_set_book(d->desk, book, d->now_us);
	refresh_ways(d);
	deliver_moves_follow_book(d);
	while ((g = map_next(&d->groups, &at, NULL)) != NULL)
		deliver_place(d, g);
	if (old != NULL)
		deliver_regroup(d, old);
	relay_book_unref(&old);
	deliver_news(d);
}

static void
follow_all(struct deliver *d, struct version_id v)
{
	size_t at = 0;
	struct deliver_group *g;

	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		const struct deliver_way *home = g->sides[DELIVER_HOME].way;
		if ((home != NULL && ID_EQ(home->version, v)) ||
		    (g->move != NULL && (ID_EQ(g->move->from, v) || ID_EQ(g->move->to, v))))
			deliver_place(d, g);
	}
}

static void
log_news(struct deliver *d, const struct relay_news *n)
{
	const struct relay_version_row *v = relay_book_version(d->book, n->version);
	const struct relay_row *r = v != NULL ? relay_book_relay(d->book, v->relay) : NULL;
	struct log_ctx ctx = LOG_STR(NULL, "relay", r != NULL ? r->name : STR("?"));
	enum log_level level = n->kind == RELAY_NEWS_RELAY_RESUMED ||
				       n->kind == RELAY_NEWS_LOGIN_RESUMED ||
				       n->kind == RELAY_NEWS_SENDER_RELEASED
				   ? LOG_INFO
				   : LOG_WARN;
	char event[64];

	snprintf(event, sizeof(event), "relay.%s", relay_news_name(n->kind));
	log_event(level, &ctx, event, "%s%s%s%s%s", n->sender, n->sender[0] != '\0' ? ": " : "",
	    n->why[0] != '\0' ? n->why : "mail goes through it again",
	    n->remedy[0] != '\0' ? " " : "", n->remedy);
}

void
deliver_news(struct deliver *d)
{
	struct relay_news n;

	while (relay_desk_next_news(d->desk, &n)) {
		if (n.kind == RELAY_NEWS_USABLE || n.kind == RELAY_NEWS_UNUSABLE) {
			follow_all(d, n.version);
			continue;
		}
		if (n.kind == RELAY_NEWS_SLOWED)
			deliver_moves_tell_short(d, n.version, n.until_us);
		log_news(d, &n);
	}
}
