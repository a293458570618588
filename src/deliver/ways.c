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

/* Opens or closes the group as its way is usable or not. */
static void
follow_way(struct deliver *d, struct deliver_group *g)
{
	bool open =
	    g->way != NULL && !d->stopping && relay_desk_is_usable(d->desk, g->way->version);

	if (open == g->open)
		return;
	g->open = open;
	if (open)
		queue_open(d->queue, g->id, d->now_us);
	else
		queue_close(d->queue, g->id, d->now_us);
	grant_group(d, g);
	if (open)
		deliver_touch(g->way);
}

void
deliver_place(struct deliver *d, struct deliver_group *g)
{
	struct relay_decision dec;
	struct deliver_way *to = NULL;

	if (relay_book_route_key(d->book, g->key, &dec) != RC_OK)
		dec = (struct relay_decision){ .refusal = RELAY_REFUSAL_NO_ROUTE };
	g->refusal = dec.refusal;
	g->rewritten = (struct str){ 0 };
	if (dec.refusal == RELAY_REFUSAL_NONE) {
		to = deliver_way_of(d, dec.version);
		if (dec.rewritten)
			g->rewritten = dec.sender;
	}
	if (g->way != to) {
		if (g->way != NULL)
			queue_outlet_leave(g->way->outlet, g->id);
		g->way = to;
		if (to != NULL)
			queue_outlet_join(to->outlet, g->id);
	}
	follow_way(d, g);
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
		if (g->way != NULL && ID_EQ(g->way->version, v))
			follow_way(d, g);
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
		if (n.kind == RELAY_NEWS_USABLE || n.kind == RELAY_NEWS_UNUSABLE)
			follow_all(d, n.version);
		else
			log_news(d, &n);
	}
}
