/* The life of an item; see the drawing in the header.
 *
 * Every call that is told the time first catches up with it (group.c), so that what follows sees no
 * item that is due and not READY, and none that is READY and overdue. Then the change itself, then
 * queue_group_refresh for what follows from it.
 *
 * What holds in each state, checked by queue_audit:
 *
 *   READY    in its line by due time; on the ring of its mates; on the heaps of deadlines (if it
 * has one) and lives. Past its moment only until the next call that catches up. WAITING  on its
 * lane's heap by due time; on both other heaps. In a closed group its due time may be past. OUT in
 * no line and no ring; on the other heaps or not. OVERDUE  on queue->overdue, on no heap.
 *
 * Items come from slabs that are kept until the queue ends: the window is bounded, and so are they.
 * A freed item has state FREE, and every call that takes an item asserts the state it expects. */
#include "queue/private.h"

#include <stdlib.h>

#include "base/mem.h"

struct queue *
queue_new(const struct queue_limits *limits)
{
	struct queue *q = MEM_NEW(struct queue);

	q->limits = queue_share_limits(limits);
	list_init(&q->overdue);
	list_init(&q->unused);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		list_init(&q->hungry[i]);
	return q;
}

void
queue_free(struct queue **qp)
{
	struct queue *q = TAKE(*qp);
	void *p;

	if (q == NULL)
		return;
	ASSERT(q->n_outlets == 0);
	/* Heaps first: they write into what is on them. */
	heap_done(&q->deadlines);
	heap_done(&q->events);
	for (size_t i = 0; (p = map_next(&q->groups, &i, NULL)) != NULL;)
		queue_group_free(p);
	for (size_t i = 0; (p = map_next(&q->accounts, &i, NULL)) != NULL;)
		free(p);
	for (size_t i = 0; (p = map_next(&q->dests, &i, NULL)) != NULL;)
		free(p);
	map_done(&q->items);
	map_done(&q->groups);
	map_done(&q->accounts);
	map_done(&q->dests);
	map_done(&q->mates);
	while (q->slabs != NULL) {
		struct queue_slab *slab = q->slabs;
		q->slabs = slab->next;
		free(slab);
	}
	free(q);
}

static struct queue_item *
new_item(struct queue *q)
{
	if (list_is_empty(&q->unused)) {
		struct queue_slab *slab = MEM_NEW(struct queue_slab);
		slab->next = q->slabs;
		q->slabs = slab;
		q->n_slabs++;
		for (size_t i = 0; i < SLAB_ITEMS; i++)
			list_push_back(&q->unused, &slab->items[i].in_line);
	}
	struct queue_item *item = CONTAINER_OF(q->unused.next, struct queue_item, in_line);
	list_remove(&item->in_line);
	return item;
}

/* Within [0, a century], so that sums of a few cannot overflow whatever the disk says. */
static int64_t
bounded(int64_t us)
{
	if (us < 0)
		return 0;
	return us < CENTURY ? us : CENTURY;
}

/* Puts an item that is not on any line on those heaps where it belongs by its own times. */
static void
set_ends(struct queue *q, struct queue_item *item)
{
	if (item->deadline_us != TIME_NEVER && !heap_has(&item->deadline))
		heap_set(&q->deadlines, &item->deadline, item->deadline_us);
	if (!heap_has(&item->life))
		heap_set(&lane_of(item)->group->life, &item->life, item->life.key);
}

enum rc
queue_add(
    struct queue *q, const struct queue_spec *spec, int64_t now_us, struct queue_item **item_out)
{
	bool due = spec->due_us <= now_us;

	ASSERT((size_t)spec->lane < STREAM_COUNT);
	queue_group_catch_up(q, now_us);
	if (map_get(&q->items, spec->rcpt_id.v) != NULL)
		return RC_EXISTS;
	if (!queue_share_admits(q, spec, due))
		return RC_LIMIT;

	struct queue_group *g = queue_group_make(q, spec->group_id);
	struct queue_item *item = new_item(q);
	*item = (struct queue_item){
		.rcpt_id = spec->rcpt_id,
		.msg_id = spec->msg_id,
		.account_id = spec->account_id,
		.group_id = spec->group_id,
		.dest = spec->dest,
		.due_us = spec->due_us > 0 ? spec->due_us : now_us,
		.deadline_us = spec->deadline_us,
		.expire_after_us = bounded(spec->expire_after_us),
		.lived_us = bounded(spec->lived_us),
		.load = spec->load,
		.lane = spec->lane,
		.attempts = spec->attempts,
		.doubts = spec->doubts,
	};
	map_put(&q->items, item->rcpt_id.v, item);
	queue_line_hold(q, &g->lanes[item->lane], item);
	/* lived_us is as of the due time: what lies between now and then is not part of it. */
	item->life.key = queue_group_usable_us(q, g) + (due ? 0 : bounded(item->due_us - now_us)) +
			 item->expire_after_us - item->lived_us;
	set_ends(q, item);
	if (due)
		queue_line_enter(q, item, false);
	else
		queue_wait_enter(q, item);
	g->lanes[item->lane].placed = true;
	queue_group_refresh(q, g);
	if (item_out != NULL)
		*item_out = item;
	return RC_OK;
}

void
queue_open(struct queue *q, struct group_id group, int64_t now_us)
{
	queue_group_catch_up(q, now_us);
	struct queue_group *g = queue_group_make(q, group);
	if (g->open)
		return;
	g->open = true;
	g->opened_us = q->elapsed_us;
	queue_group_refresh(q, g);
	/* What fell due while it was closed. */
	queue_group_catch_up(q, now_us);
}

void
queue_close(struct queue *q, struct group_id group, int64_t now_us)
{
	queue_group_catch_up(q, now_us);
	struct queue_group *g = queue_group_find(q, group);
	if (g == NULL || !g->open)
		return;
	g->usable_us = queue_group_usable_us(q, g);
	g->open = false;
	queue_group_refresh(q, g);
}

bool
queue_is_open(const struct queue *q, struct group_id group)
{
	const struct queue_group *g = queue_group_find(q, group);

	return g != NULL && g->open;
}

static int64_t
lived_us(const struct queue *q, const struct queue_item *item)
{
	int64_t left_us = item->life.key - queue_group_usable_us(q, lane_of(item)->group);
	int64_t lived = item->expire_after_us - left_us;

	return lived > 0 ? lived : 0;
}

int64_t
queue_lived_us(const struct queue *q, const struct queue_item *item, int64_t now_us, int64_t at_us)
{
	int64_t until_us = at_us == TIME_NEVER || at_us < now_us ? now_us : at_us;
	int64_t ahead_us = bounded(until_us - q->now_us);

	ASSERT(item->state != ITEM_FREE);
	return lived_us(q, item) + (lane_of(item)->group->open ? ahead_us : 0);
}

/* Takes an item from wherever it stands to OUT. */
static struct queue_item *
hand_out(struct queue *q, struct queue_item *item)
{
	struct queue_lane *lane = lane_of(item);

	switch ((enum item_state)item->state) {
	case ITEM_READY: queue_line_leave(q, item); break;
	case ITEM_WAITING: queue_wait_leave(q, item); break;
	case ITEM_OVERDUE:
		list_remove(&item->in_line);
		lane->n_overdue--;
		break;
	case ITEM_FREE:
	case ITEM_OUT: UNREACHABLE();
	}
	item->state = ITEM_OUT;
	item->lived_us = lived_us(q, item);
	lane->n_out++;
	queue_group_refresh(q, lane->group);
	return item;
}

struct queue_item *
queue_next(struct queue *q, struct group_id group, enum stream lane, int64_t now_us)
{
	ASSERT((size_t)lane < STREAM_COUNT);
	queue_group_catch_up(q, now_us);
	struct queue_group *g = queue_group_find(q, group);
	if (g == NULL || !g->open)
		return NULL;
	struct queue_item *item = queue_line_first(&g->lanes[lane]);
	if (item == NULL)
		return NULL;
	queue_line_turn(item->line);
	return hand_out(q, item);
}

struct queue_item *
queue_sibling(struct queue *q, const struct queue_item *item, int64_t now_us)
{
	ASSERT(item->state == ITEM_OUT);
	queue_group_catch_up(q, now_us);
	if (!lane_of(item)->group->open)
		return NULL;
	struct queue_item *mate = queue_line_mate(q, item);
	return mate != NULL ? hand_out(q, mate) : NULL;
}

struct queue_item *
queue_take(struct queue *q, struct rcpt_id rcpt, int64_t now_us)
{
	queue_group_catch_up(q, now_us);
	struct queue_item *item = queue_find(q, rcpt);
	return item != NULL && item->state != ITEM_OUT ? hand_out(q, item) : NULL;
}

struct queue_item *
queue_overdue(struct queue *q, int64_t now_us)
{
	queue_group_catch_up(q, now_us);
	struct queue_item *item = LIST_FIRST(&q->overdue, struct queue_item, in_line);
	return item != NULL ? hand_out(q, item) : NULL;
}

/* An OUT item stops being that. */
static struct queue_lane *
come_back(struct queue_item *item)
{
	ASSERT(item->state == ITEM_OUT);
	struct queue_lane *lane = lane_of(item);
	lane->n_out--;
	return lane;
}

void
queue_done(struct queue *q, struct queue_item **itemp)
{
	struct queue_item *item = TAKE(*itemp);
	struct queue_group *g = come_back(item)->group;

	heap_remove(&q->deadlines, &item->deadline);
	heap_remove(&g->life, &item->life);
	map_remove(&q->items, item->rcpt_id.v);
	queue_line_drop(q, item);
	item->state = ITEM_FREE;
	item->in_line = (struct list){ 0 };
	list_push_front(&q->unused, &item->in_line);
	queue_group_refresh(q, g);
}

enum rc
queue_defer(struct queue *q, struct queue_item **itemp, int64_t due_us, int64_t now_us)
{
	struct queue_item *item = *itemp;
	bool due = due_us <= now_us;

	queue_group_catch_up(q, now_us);
	ASSERT(item->state == ITEM_OUT);
	if (!due && !queue_share_may_wait(q))
		return RC_LIMIT;
	*itemp = NULL;
	struct queue_lane *lane = come_back(item);
	item->due_us = due_us;
	set_ends(q, item);
	if (due)
		queue_line_enter(q, item, false);
	else
		queue_wait_enter(q, item);
	queue_group_refresh(q, lane->group);
	return RC_OK;
}

void
queue_put_back(struct queue *q, struct queue_item **itemp)
{
	struct queue_item *item = TAKE(*itemp);
	struct queue_lane *lane = come_back(item);

	set_ends(q, item);
	if (item->due_us <= q->now_us)
		queue_line_enter(q, item, true);
	else
		queue_wait_enter(q, item);
	queue_group_refresh(q, lane->group);
}

void
queue_spare(struct queue *q, struct queue_item *item, int64_t us)
{
	struct queue_group *g = lane_of(item)->group;

	ASSERT(item->state == ITEM_OUT);
	item->life.key += bounded(us);
	if (heap_has(&item->life))
		heap_set(&g->life, &item->life, item->life.key);
	queue_group_refresh(q, g);
}

void
queue_move(struct queue *q, struct queue_item *item, struct group_id group, int64_t now_us)
{
	queue_group_catch_up(q, now_us);
	struct queue_group *from = come_back(item)->group;
	struct queue_group *to = queue_group_make(q, group);
	int64_t lived = lived_us(q, item);

	heap_remove(&from->life, &item->life);
	queue_line_drop(q, item);
	item->group_id = group;
	queue_line_hold(q, &to->lanes[item->lane], item);
	to->lanes[item->lane].n_out++;
	item->lived_us = lived;
	item->life.key = queue_group_usable_us(q, to) + item->expire_after_us - lived;
	queue_group_refresh(q, to);
	if (from != to)
		queue_group_refresh(q, from);
}

void
queue_let_go(struct queue *q, struct queue_item **itemp, int64_t due_us, int64_t now_us)
{
	struct group_id group = (*itemp)->group_id;
	enum stream lane = (*itemp)->lane;

	queue_add_more(q, group, lane, due_us, now_us);
	queue_done(q, itemp);
}

int64_t
queue_next_event_us(struct queue *q, int64_t now_us)
{
	queue_group_catch_up(q, now_us);
	const struct heap_node *deadline = heap_first(&q->deadlines);
	const struct heap_node *event = heap_first(&q->events);
	int64_t next = deadline != NULL ? deadline->key : TIME_NEVER;
	return event != NULL ? earlier(next, event->key) : next;
}

/* A page of which nothing could be placed is not asked for again at once: it would spin. */
#define MORE_PAUSE MS(100)

void
queue_set_more(
    struct queue *q, struct group_id group, enum stream lane, int64_t due_us, int64_t now_us)
{
	ASSERT((size_t)lane < STREAM_COUNT);
	queue_group_catch_up(q, now_us);
	struct queue_group *g = queue_group_make(q, group);
	struct queue_lane *l = &g->lanes[lane];
	if (l->promised > 0 && !l->placed && due_us <= now_us)
		due_us = now_us + MORE_PAUSE;
	q->promised[lane] -= l->promised;
	l->promised = 0;
	l->more_us = earlier(due_us, l->added_us);
	l->added_us = TIME_NEVER;
	queue_group_refresh(q, g);
}

void
queue_add_more(
    struct queue *q, struct group_id group, enum stream lane, int64_t due_us, int64_t now_us)
{
	ASSERT((size_t)lane < STREAM_COUNT);
	queue_group_catch_up(q, now_us);
	struct queue_group *g = queue_group_make(q, group);
	struct queue_lane *l = &g->lanes[lane];
	l->more_us = earlier(l->more_us, due_us);
	/* The page that is being read may have been too early to see it. */
	if (l->promised > 0)
		l->added_us = earlier(l->added_us, due_us);
	queue_group_refresh(q, g);
}

struct queue_counts
queue_count(const struct queue *q, struct group_id group, enum stream lane)
{
	const struct queue_group *g = queue_group_find(q, group);

	ASSERT((size_t)lane < STREAM_COUNT);
	if (g == NULL)
		return (struct queue_counts){ 0 };
	const struct queue_lane *l = &g->lanes[lane];
	return (struct queue_counts){ l->n_ready, l->waiting.count + l->n_overdue, l->n_out };
}

size_t
queue_held(const struct queue *q)
{
	return q->items.count;
}

static size_t
bytes_of_heap(const struct heap *h)
{
	return h->cap * sizeof(struct heap_node *);
}

static size_t
bytes_of_map(const struct map *m)
{
	return m->cap * sizeof(struct map_slot);
}

static size_t
bytes_of_lane(const struct queue_lane *lane)
{
	size_t sum = bytes_of_map(&lane->by_account) + bytes_of_heap(&lane->waiting);
	const struct queue_sender *s;

	for (size_t i = 0; (s = map_next(&lane->by_account, &i, NULL)) != NULL;)
		sum += sizeof(*s) + bytes_of_map(&s->by_dest) +
		       s->by_dest.count * sizeof(struct queue_line);
	return sum;
}

size_t
queue_memory_bytes(const struct queue *q)
{
	size_t sum = sizeof(*q) + q->n_slabs * sizeof(struct queue_slab) + bytes_of_map(&q->items) +
		     bytes_of_map(&q->groups) + bytes_of_map(&q->accounts) +
		     bytes_of_map(&q->dests) + bytes_of_map(&q->mates) +
		     bytes_of_heap(&q->deadlines) + bytes_of_heap(&q->events) +
		     (q->accounts.count + q->dests.count) * sizeof(struct queue_share);
	const struct queue_group *g;

	for (size_t i = 0; (g = map_next(&q->groups, &i, NULL)) != NULL;) {
		sum += sizeof(*g) + bytes_of_heap(&g->life);
		for (size_t k = 0; k < STREAM_COUNT; k++)
			sum += bytes_of_lane(&g->lanes[k]);
	}
	return sum;
}

struct queue_item *
queue_find(const struct queue *q, struct rcpt_id rcpt)
{
	return map_get(&q->items, rcpt.v);
}

struct queue_item *
queue_each(const struct queue *q, size_t *at)
{
	return map_next(&q->items, at, NULL);
}

bool
queue_is_out(const struct queue_item *item)
{
	return item->state == ITEM_OUT;
}
