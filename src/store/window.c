/* The dispatcher's window, as the writer knows it.
 *
 * A recipient whose group is open is handed over in memory as long as there are credits; any other
 * goes to disk with a due time, where STORE_REFILL finds it, and the dispatcher is told once per
 * group and lane that there is something. It is told again only after it has asked, or when
 * something is due earlier than what it was told. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/private.h"

struct told {
	struct list link; /* on window.changed while this transaction has changed it */
	uint64_t group;
	enum stream lane;
	int64_t due_us; /* what the dispatcher was told; TIME_NEVER: nothing since it asked */
	int64_t now_us; /* the earliest of this transaction; TIME_NEVER: none */
};

void
store_window_init(struct store_window *w)
{
	*w = (struct store_window){ 0 };
	list_init(&w->changed);
}

void
store_window_done(struct store_window *w)
{
	size_t at = 0;
	struct told *t;

	while ((t = map_next(&w->told, &at, NULL)) != NULL)
		free(t);
	map_done(&w->told);
	map_done(&w->open);
}

void
store_window_grant(struct store_window *w, const struct store_grant *g)
{
	for (uint32_t i = 0; i < g->n_opened; i++)
		map_put(&w->open, g->opened[i].v, w);
	for (uint32_t i = 0; i < g->n_closed; i++)
		map_remove(&w->open, g->closed[i].v);
	for (int lane = 0; lane < STREAM_COUNT; lane++)
		w->credits[lane] += g->credits[lane];
}

bool
store_window_take(struct store_window *w, uint64_t group, enum stream lane)
{
	if (w->credits[lane] - w->spent[lane] <= 0 || map_get(&w->open, group) == NULL)
		return false;
	w->spent[lane]++;
	return true;
}

static struct told *
told_of(struct store_window *w, uint64_t group, enum stream lane)
{
	uint64_t key = group * STREAM_COUNT + (uint64_t)lane;
	struct told *t = map_get(&w->told, key);

	if (t == NULL) {
		t = MEM_NEW(struct told);
		t->group = group;
		t->lane = lane;
		t->due_us = t->now_us = TIME_NEVER;
		map_put(&w->told, key, t);
	}
	return t;
}

void
store_window_more(struct store_window *w, uint64_t group, enum stream lane, int64_t due_us)
{
	struct told *t = told_of(w, group, lane);

	if (due_us < t->now_us)
		t->now_us = due_us;
	if (!list_is_linked(&t->link))
		list_push_back(&w->changed, &t->link);
}

void
store_window_asked(struct store_window *w, uint64_t group, enum stream lane)
{
	struct told *t = map_get(&w->told, group * STREAM_COUNT + (uint64_t)lane);

	if (t != NULL)
		t->due_us = TIME_NEVER;
}

static void
tell(struct store *s, const struct told *t)
{
	struct store_notice *n = MEM_NEW(struct store_notice);

	n->op.kind = STORE_MORE;
	n->group.v = t->group;
	n->lane = t->lane;
	n->due_us = t->due_us;
	outbox_add(&s->outbox, s->dispatcher, &n->op.item);
}

void
store_window_commit(struct store *s)
{
	struct store_window *w = &s->window;
	struct told *t;

	for (int lane = 0; lane < STREAM_COUNT; lane++)
		w->credits[lane] -= w->spent[lane];
	LIST_FOREACH(t, &w->changed, struct told, link) {
		list_remove(&t->link);
		if (s->dispatcher != NULL && t->now_us < t->due_us) {
			t->due_us = t->now_us;
			tell(s, t);
		}
		t->now_us = TIME_NEVER;
	}
	w->spent[STREAM_TRANSACTIONAL] = w->spent[STREAM_BULK] = 0;
}

void
store_window_rollback(struct store_window *w)
{
	struct told *t;

	LIST_FOREACH(t, &w->changed, struct told, link) {
		list_remove(&t->link);
		t->now_us = TIME_NEVER;
	}
	w->spent[STREAM_TRANSACTIONAL] = w->spent[STREAM_BULK] = 0;
}
