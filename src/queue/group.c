/* Groups: their usable time, what happens in them next, and what follows from being open.
 *
 * A group's usable time stands still while it is closed. The end of an item's life is a moment of
 * that time, fixed when the item is added, so that closing a group with a hundred thousand items
 * changes none of them.
 *
 * Each open group knows the first moment at which something changes in it (an item falls due, a
 * life ends, the disk has a due row) and stands on queue->events under it. queue_group_catch_up
 * handles those moments that have come, and only those. An OUT item stays on the heaps of deadlines
 * and lives until its moment comes: then it is just taken off, and set again when it returns.
 *
 * LIMITS: the moment a life ends is foretold in wall time. When the clock steps back it comes late
 * by the step, unless something else happens in the group first. */
#include "queue/private.h"

#include <stdlib.h>

#include "base/mem.h"

struct queue_group *
queue_group_find(const struct queue *q, struct group_id id)
{
	return map_get(&q->groups, id.v);
}

struct queue_group *
queue_group_make(struct queue *q, struct group_id id)
{
	struct queue_group *g = queue_group_find(q, id);

	if (g != NULL)
		return g;
	g = MEM_NEW(struct queue_group);
	g->id = id;
	list_init(&g->seats);
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		struct queue_lane *lane = &g->lanes[i];
		lane->group = g;
		lane->stream = (enum stream)i;
		lane->more_us = lane->added_us = TIME_NEVER;
		list_init(&lane->ready);
	}
	map_put(&q->groups, id.v, g);
	return g;
}

void
queue_group_free(struct queue_group *g)
{
	for (size_t i = 0; i < STREAM_COUNT; i++)
		queue_line_free_all(&g->lanes[i]);
	heap_done(&g->life);
	free(g);
}

static bool
is_idle(const struct queue_group *g)
{
	if (g->open || g->held > 0 || !list_is_empty(&g->seats))
		return false;
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		if (g->lanes[i].more_us != TIME_NEVER || g->lanes[i].promised > 0)
			return false;
	}
	return true;
}

int64_t
queue_group_usable_us(const struct queue *q, const struct queue_group *g)
{
	return g->usable_us + (g->open ? q->elapsed_us - g->opened_us : 0);
}

/* When something changes in an open group, seen from now. */
static int64_t
next_event(const struct queue *q, const struct queue_group *g)
{
	const struct heap_node *life = heap_first(&g->life);
	int64_t next = TIME_NEVER;

	if (life != NULL)
		next = q->now_us + (life->key - queue_group_usable_us(q, g));
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		const struct queue_lane *lane = &g->lanes[i];
		const struct heap_node *due = heap_first(&lane->waiting);
		if (due != NULL)
			next = earlier(next, due->key);
		if (lane->more_us > q->now_us)
			next = earlier(next, lane->more_us);
	}
	return next;
}

static void
set_linked(struct list *ring, struct list *link, bool wanted)
{
	if (wanted == list_is_linked(link))
		return;
	if (wanted)
		list_push_back(ring, link);
	else
		list_remove(link);
}

static bool
is_hungry(const struct queue *q, const struct queue_group *g, const struct queue_lane *lane)
{
	return g->open && lane->promised == 0 && lane->more_us <= q->now_us &&
	       lane->n_ready < q->limits.low_water;
}

static void
set_hungry(struct queue *q, struct queue_lane *lane, bool hungry)
{
	if (hungry) {
		list_push_back(&q->hungry[lane->stream], &lane->hungry);
		q->n_hungry[lane->stream]++;
	} else {
		list_remove(&lane->hungry);
		q->n_hungry[lane->stream]--;
	}
}

void
queue_group_refresh(struct queue *q, struct queue_group *g)
{
	struct queue_seat *seat;

	for (size_t i = 0; i < STREAM_COUNT; i++) {
		struct queue_lane *lane = &g->lanes[i];
		if (is_hungry(q, g, lane) != list_is_linked(&lane->hungry))
			set_hungry(q, lane, !list_is_linked(&lane->hungry));
		LIST_FOREACH(seat, &g->seats, struct queue_seat, in_group)
			set_linked(
			    &seat->outlet->ready[i], &seat->ready[i], g->open && lane->n_ready > 0);
	}
	int64_t next = g->open ? next_event(q, g) : TIME_NEVER;
	if (next == TIME_NEVER)
		heap_remove(&q->events, &g->event);
	else if (!heap_has(&g->event) || g->event.key != next)
		heap_set(&q->events, &g->event, next);
	if (is_idle(g)) {
		map_remove(&q->groups, g->id.v);
		queue_group_free(g);
	}
}

/* Its time is up: it waits for queue_overdue. */
static void
set_overdue(struct queue *q, struct queue_item *item)
{
	struct queue_lane *lane = lane_of(item);

	if (item->state == ITEM_READY)
		queue_line_leave(q, item);
	else
		queue_wait_leave(q, item);
	heap_remove(&q->deadlines, &item->deadline);
	heap_remove(&lane->group->life, &item->life);
	item->in_line = (struct list){ 0 };
	list_push_back(&q->overdue, &item->in_line);
	item->state = ITEM_OVERDUE;
	lane->n_overdue++;
}

static void
pass_deadlines(struct queue *q)
{
	struct heap_node *n;

	while ((n = heap_first(&q->deadlines)) != NULL && n->key <= q->now_us) {
		struct queue_item *item = CONTAINER_OF(n, struct queue_item, deadline);
		heap_remove(&q->deadlines, n);
		if (item->state == ITEM_OUT)
			continue;
		set_overdue(q, item);
		queue_group_refresh(q, lane_of(item)->group);
	}
}

static void
pass_events_of(struct queue *q, struct queue_group *g)
{
	int64_t usable_us = queue_group_usable_us(q, g);
	struct heap_node *n;

	while ((n = heap_first(&g->life)) != NULL && n->key <= usable_us) {
		struct queue_item *item = CONTAINER_OF(n, struct queue_item, life);
		heap_remove(&g->life, n);
		if (item->state != ITEM_OUT)
			set_overdue(q, item);
	}
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		struct heap *waiting = &g->lanes[i].waiting;
		while ((n = heap_first(waiting)) != NULL && n->key <= q->now_us) {
			struct queue_item *item = CONTAINER_OF(n, struct queue_item, wait);
			queue_wait_leave(q, item);
			queue_line_enter(q, item, false);
		}
	}
	queue_group_refresh(q, g);
}

void
queue_group_catch_up(struct queue *q, int64_t now_us)
{
	struct heap_node *n;

	if (now_us > q->now_us && q->now_us != 0)
		q->elapsed_us += now_us - q->now_us;
	q->now_us = now_us;
	pass_deadlines(q);
	while ((n = heap_first(&q->events)) != NULL && n->key <= now_us)
		pass_events_of(q, CONTAINER_OF(n, struct queue_group, event));
}
