/* The dispatcher is asked by an order and answers between two turns of its own; walking the window
 * costs it some milliseconds at a hundred thousand recipients, so it is done only where needed.
 *
 * What waits on disk and what waits in memory overlap: refilled and deferred recipients are in
 * both, fresh ones only in memory. The larger of the two counts is shown. */
#include "api/view.h"

#include "base/map.h"
#include "deliver/changeover.h"
#include "deliver/deliver.h"
#include "mail/address.h"
#include "queue/queue.h"
#include "store/query_queue.h"

static const char *
copy_text(struct arena *a, const char *text)
{
	return arena_str(a, str_from(text != NULL ? text : "")).p;
}

static void
see_ways(struct api_call *c, struct deliver *d)
{
	struct api_view *v = c->view;
	size_t n = relay_book_version_count(c->relays);

	v->ways = ARENA_NEW_ARRAY(&c->arena, struct api_way, n);
	v->n_ways = n;
	for (size_t i = 0; i < n; i++) {
		struct api_way *w = &v->ways[i];
		w->row = relay_book_version_at(c->relays, i);
		w->known =
		    relay_desk_status(deliver_desk(d), w->row->id, deliver_now_us(d), &w->status);
		w->status.word = copy_text(&c->arena, w->status.word);
		w->status.why = copy_text(&c->arena, w->status.why);
		w->status.remedy = copy_text(&c->arena, w->status.remedy);
	}
}

static void
see_changeovers(struct api_call *c, struct deliver *d)
{
	struct api_view *v = c->view;
	size_t n = relay_book_move_count(c->relays);

	v->changeovers = ARENA_NEW_ARRAY(&c->arena, struct api_seen_changeover, n);
	for (size_t i = 0; i < n; i++) {
		struct api_seen_changeover *seen = &v->changeovers[v->n_changeovers];
		seen->id = relay_book_move_at(c->relays, i)->id;
		if (deliver_changeover_show(d, seen->id, &seen->view, NULL) != RC_OK)
			continue;
		struct relay_schedule *schedule = ARENA_NEW(&c->arena, struct relay_schedule);
		*schedule = *seen->view.schedule;
		seen->view.schedule = schedule;
		seen->view.reason = copy_text(&c->arena, seen->view.reason);
		v->n_changeovers++;
	}
}

static void
see_waits(struct api_call *c, struct deliver *d)
{
	struct map by_group = { 0 };
	struct queue_item *it;
	struct api_wait *w;
	size_t at = 0;

	while ((it = queue_each(deliver_queue(d), &at)) != NULL) {
		struct group_id group = deliver_store_group(it->group_id);
		w = map_get(&by_group, group.v);
		if (w == NULL) {
			w = ARENA_NEW(&c->arena, struct api_wait);
			w->group = group;
			map_put(&by_group, group.v, w);
		}
		w->n[it->lane]++;
	}
	c->view->waits = ARENA_NEW_ARRAY(&c->arena, struct api_wait, by_group.count);
	at = 0;
	while ((w = map_next(&by_group, &at, NULL)) != NULL)
		c->view->waits[c->view->n_waits++] = *w;
	map_done(&by_group);
}

static void
look_at_ways(struct api_call *c, struct deliver *d)
{
	see_ways(c, d);
	see_changeovers(c, d);
}

static void
look_at_all(struct api_call *c, struct deliver *d)
{
	see_ways(c, d);
	see_changeovers(c, d);
	see_waits(c, d);
}

void
api_look(struct api_call *c, bool with_waits, api_step *then)
{
	c->view = ARENA_NEW(&c->arena, struct api_view);
	api_order(c, with_waits ? look_at_all : look_at_ways, then);
}

const struct api_way *
api_view_way(const struct api_call *c, struct version_id version)
{
	for (size_t i = 0; c->view != NULL && i < c->view->n_ways; i++)
		if (c->view->ways[i].known && ID_EQ(c->view->ways[i].row->id, version))
			return &c->view->ways[i];
	return NULL;
}

const struct relay_changeover_view *
api_view_changeover(const struct api_call *c, uint64_t id)
{
	for (size_t i = 0; c->view != NULL && i < c->view->n_changeovers; i++)
		if (c->view->changeovers[i].id == id)
			return &c->view->changeovers[i].view;
	return NULL;
}

/* ---- groups ---- */

struct joining {
	struct api_call *c;
	struct map by_id;
	struct api_groups *out;
};

/* NULL when there are too many. */
static struct api_group *
group_of(struct joining *j, struct group_id id)
{
	struct api_group *g = map_get(&j->by_id, id.v);

	if (g != NULL)
		return g;
	if (j->out->n == API_GROUPS_MAX) {
		j->out->cut = true;
		return NULL;
	}
	g = &j->out->v[j->out->n++];
	*g = (struct api_group){ .id = id };
	map_put(&j->by_id, id.v, g);
	return g;
}

static void
join_backlog(struct joining *j, const struct store_backlog *rows, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct api_group *g = group_of(j, rows[i].group);
		if (g == NULL)
			continue;
		g->n[rows[i].lane] = rows[i].rows;
		if (g->due_us == 0 || rows[i].due_us < g->due_us)
			g->due_us = rows[i].due_us;
	}
}

static void
join_waits(struct joining *j, const struct api_view *view)
{
	for (size_t i = 0; i < view->n_waits; i++) {
		struct api_group *g = group_of(j, view->waits[i].group);
		for (unsigned lane = 0; g != NULL && lane < STREAM_COUNT; lane++)
			if (view->waits[i].n[lane] > g->n[lane])
				g->n[lane] = view->waits[i].n[lane];
	}
}

enum rc
api_groups_read(struct api_call *c, struct store_reader *r, struct api_groups *out, struct fault *f)
{
	struct joining j = { .c = c, .out = out };
	struct store_backlog *rows;
	uint32_t n;
	enum rc rc = store_query_backlog(r, API_GROUPS_MAX, &c->arena, &rows, &n, f);

	*out = (struct api_groups){ 0 };
	if (rc != RC_OK)
		return rc;
	size_t most = n + (c->view != NULL ? c->view->n_waits : 0);
	out->v = ARENA_NEW_ARRAY(
	    &c->arena, struct api_group, most < API_GROUPS_MAX ? most : API_GROUPS_MAX);
	join_backlog(&j, rows, n);
	if (c->view != NULL)
		join_waits(&j, c->view);
	map_done(&j.by_id);
	for (size_t i = 0; i < out->n && rc == RC_OK; i++) {
		struct api_group *g = &out->v[i];
		rc = store_query_group(r, g->id, &c->arena, &g->key, f);
		if (rc == RC_OK && relay_book_route_key(c->relays, g->key, &g->where) != RC_OK)
			g->where.refusal = RELAY_REFUSAL_NO_ROUTE;
	}
	return rc;
}

bool
api_groups_wait_for(const struct api_groups *g, struct relay_id relay)
{
	for (size_t i = 0; i < g->n; i++)
		if (ID_EQ(g->v[i].where.relay, relay))
			return true;
	return false;
}

/* Recipients of a split group that are looked at one by one. */
#define SPLIT_MAX 500

static bool
moves(const struct api_group *g, const struct relay_decision *now, struct api_move *m)
{
	if (ID_EQ(now->version, g->where.version))
		return false;
	m->is_any = true;
	m->where = *now;
	return true;
}

/* Each recipient by itself, since the group's key does not tell them apart under the new book. */
static enum rc
look_into(struct api_call *c, struct store_reader *r, const struct api_group *g, struct api_move *m,
    struct fault *f)
{
	struct store_queue_list q = { .filter = { .group = g->id }, .max = SPLIT_MAX };
	struct mail_addr sender, rcpt;
	struct relay_decision now;
	const char *why;
	enum rc rc = store_query_queue(r, &q, &c->arena, f);

	for (uint32_t i = 0; rc == RC_OK && i < q.n; i++) {
		const struct store_queue_row *row = &q.rows[i];
		if (mail_addr_parse(row->sender, MAIL_ADDR_UTF8, &c->arena, &sender, &why) !=
			RC_OK ||
		    mail_addr_parse(row->rcpt.address, MAIL_ADDR_UTF8 | MAIL_ADDR_POSTMASTER,
			&c->arena, &rcpt, &why) != RC_OK)
			continue;
		relay_book_route(
		    m->to, row->rcpt.account, &sender, rcpt.domain_ascii, row->rcpt.lane, &now);
		if (moves(g, &now, m))
			return RC_OK;
	}
	if (rc == RC_OK && !q.end && relay_book_route_key(m->to, g->key, &m->where) == RC_OK)
		m->is_any = true;
	return rc;
}

enum rc
api_groups_moved(struct api_call *c, struct store_reader *r, const struct api_groups *g,
    struct api_move *m, struct fault *f)
{
	struct relay_decision now;
	enum rc rc = RC_OK;

	m->is_any = false;
	for (size_t i = 0; rc == RC_OK && !m->is_any && i < g->n; i++) {
		const struct api_group *group = &g->v[i];
		if (group->where.refusal != RELAY_REFUSAL_NONE)
			continue;
		if (relay_book_splits(c->relays, m->to, group->key))
			rc = look_into(c, r, group, m, f);
		else if (relay_book_route_key(m->to, group->key, &now) == RC_OK)
			(void)moves(group, &now, m);
	}
	return rc;
}

/* ---- display ---- */

bool
api_relay_in_use(const struct relay_book *book, struct relay_id relay)
{
	for (size_t i = 0; i < relay_book_route_count(book); i++)
		if (ID_EQ(relay_book_route_at(book, i)->relay, relay))
			return true;
	return false;
}

static void
put_latency(struct json_writer *w, const char *key, int64_t us)
{
	if (us <= 0) {
		json_writer_put_null(w, key);
		return;
	}
	json_writer_key(w, str_from(key));
	json_writer_real(w, (double)us / 1000);
}

void
api_put_way(struct api_call *c, const struct relay_version_row *row)
{
	const struct api_way *way = api_view_way(c, row->id);
	const struct relay_status none = { .word = "unknown", .why = "", .remedy = "" };
	const struct relay_status *s = way != NULL ? &way->status : &none;
	struct json_writer *w = &c->json;

	json_writer_put_str(w, "state", str_from(s->word));
	json_writer_put_bool(w, "usable", s->usable);
	api_put_text(w, "why", str_from(s->why));
	api_put_text(w, "remedy", str_from(s->remedy));
	api_put_time(w, "since", s->since_us);
	api_put_time(w, "until", s->until_us);
	json_writer_put_uint(w, "connections", s->connections);
	json_writer_put_uint(w, "connecting", s->connecting);
	json_writer_put_uint(w, "sending", s->sending);
	json_writer_put_uint(w, "connection_cap", s->connection_cap);
	json_writer_put_uint(w, "sent_today", s->today_recipients);
	json_writer_put_uint(w, "sent", s->sent);
	json_writer_put_uint(w, "held_senders", s->held_senders);
	json_writer_put_bool(w, "in_use", api_relay_in_use(c->relays, row->relay));
	api_put_time(w, "last_success_at", s->last_success_us);
	put_latency(w, "latency_p50_ms", s->latency_p50_us);
	put_latency(w, "latency_p95_ms", s->latency_p95_us);
}
