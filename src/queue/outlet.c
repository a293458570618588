/* Two rings of seats, one for each lane, of the groups that are open and have something READY
 * there; queue_group_refresh links and unlinks them. Asking therefore looks at one seat, and a
 * group with nothing is never looked at. */
#include "queue/private.h"

#include <stdlib.h>

#include "base/mem.h"

struct queue_outlet *
queue_outlet_new(struct queue *q)
{
	struct queue_outlet *o = MEM_NEW(struct queue_outlet);

	o->queue = q;
	for (size_t i = 0; i < STREAM_COUNT; i++)
		list_init(&o->ready[i]);
	q->n_outlets++;
	return o;
}

/* The group may be gone afterwards. */
static void
free_seat(struct queue *q, struct queue_seat *seat)
{
	struct queue_group *g = seat->group;

	list_remove(&seat->in_group);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		list_remove(&seat->ready[i]);
	free(seat);
	queue_group_refresh(q, g);
}

void
queue_outlet_free(struct queue_outlet **op)
{
	struct queue_outlet *o = TAKE(*op);
	struct queue_seat *seat;

	if (o == NULL)
		return;
	for (size_t i = 0; (seat = map_next(&o->seats, &i, NULL)) != NULL;)
		free_seat(o->queue, seat);
	map_done(&o->seats);
	o->queue->n_outlets--;
	free(o);
}

void
queue_outlet_join(struct queue_outlet *o, struct group_id group)
{
	if (map_get(&o->seats, group.v) != NULL)
		return;
	struct queue_group *g = queue_group_make(o->queue, group);
	struct queue_seat *seat = MEM_NEW(struct queue_seat);
	seat->outlet = o;
	seat->group = g;
	list_push_back(&g->seats, &seat->in_group);
	map_put(&o->seats, group.v, seat);
	queue_group_refresh(o->queue, g);
}

void
queue_outlet_leave(struct queue_outlet *o, struct group_id group)
{
	struct queue_seat *seat = map_remove(&o->seats, group.v);

	if (seat != NULL)
		free_seat(o->queue, seat);
}

static bool
has(const struct queue_outlet *o, unsigned lanes, enum stream lane)
{
	return (lanes & QUEUE_LANE(lane)) != 0 && !list_is_empty(&o->ready[lane]);
}

bool
queue_outlet_has(struct queue_outlet *o, unsigned lanes, int64_t now_us)
{
	queue_group_catch_up(o->queue, now_us);
	return has(o, lanes, STREAM_TRANSACTIONAL) || has(o, lanes, STREAM_BULK);
}

static enum stream
pick_lane(struct queue_outlet *o, unsigned lanes)
{
	bool bulk = has(o, lanes, STREAM_BULK);

	if (!has(o, lanes, STREAM_TRANSACTIONAL) ||
	    (bulk && o->bulk_passed + 1 >= QUEUE_OUTLET_BULK_EVERY)) {
		o->bulk_passed = 0;
		return STREAM_BULK;
	}
	if (bulk)
		o->bulk_passed++;
	return STREAM_TRANSACTIONAL;
}

struct queue_item *
queue_outlet_next(struct queue_outlet *o, unsigned lanes, int64_t now_us)
{
	if (!queue_outlet_has(o, lanes, now_us))
		return NULL;
	enum stream lane = pick_lane(o, lanes);
	struct list *ring = &o->ready[lane];
	struct list *turn = ring->next;
	/* Its place in the seat's array is its lane. */
	struct queue_seat *seat = CONTAINER_OF(turn - lane, struct queue_seat, ready);
	list_remove(turn);
	list_push_back(ring, turn);
	return queue_next(o->queue, seat->group->id, lane, now_us);
}
