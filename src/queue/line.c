/* The lines in which READY items stand, and the rings that let accounts and destinations take
 * turns.
 *
 * lane->ready is a ring of senders, sender->ready a ring of lines, line->items a list by due time.
 * The first of each is next; queue_line_turn moves line and sender to the back of their rings. One
 * that was empty joins at the back.
 *
 * Items nearly always come in the order they are due: fresh ones and those whose wait is over at
 * the end, rows read from disk before them. So the place for an item is sought from both ends at
 * once; the cost is the distance to the nearer one.
 *
 * READY items of one message and group also form a ring, found through queue->mates. That map's key
 * is a mix of both ids; should two messages ever fall together, they share a ring and
 * queue_line_mate tells them apart.
 *
 * LIMITS: a turn is a turn, whatever the account; weights would go into queue_line_turn. */
#include "queue/private.h"

#include <stdlib.h>

#include "base/mem.h"

static struct queue_sender *
find_sender(struct queue_lane *lane, struct account_id account)
{
	struct queue_sender *s = map_get(&lane->by_account, account.v);

	if (s == NULL) {
		s = MEM_NEW(struct queue_sender);
		s->lane = lane;
		list_init(&s->ready);
		map_put(&lane->by_account, account.v, s);
	}
	return s;
}

static struct queue_line *
find_line(struct queue_sender *s, uint64_t dest)
{
	struct queue_line *line = map_get(&s->by_dest, dest);

	if (line == NULL) {
		line = MEM_NEW(struct queue_line);
		line->sender = s;
		list_init(&line->items);
		map_put(&s->by_dest, dest, line);
	}
	return line;
}

static void
free_sender(struct queue_sender *s)
{
	map_done(&s->by_dest);
	free(s);
}

void
queue_line_hold(struct queue *q, struct queue_lane *lane, struct queue_item *item)
{
	struct queue_sender *s = find_sender(lane, item->account_id);
	struct queue_line *line = find_line(s, item->dest);

	s->account = queue_share_take(&q->accounts, item->account_id.v, lane->stream);
	line->dest = queue_share_take(&q->dests, item->dest, lane->stream);
	line->held++;
	lane->group->held++;
	q->held[lane->stream]++;
	item->line = line;
}

void
queue_line_drop(struct queue *q, struct queue_item *item)
{
	struct queue_line *line = TAKE(item->line);
	struct queue_sender *s = line->sender;
	struct queue_lane *lane = s->lane;

	ASSERT(line->held > 0 && lane->group->held > 0 && q->held[lane->stream] > 0);
	queue_share_give(&q->accounts, s->account, lane->stream);
	queue_share_give(&q->dests, line->dest, lane->stream);
	q->held[lane->stream]--;
	lane->group->held--;
	if (--line->held > 0)
		return;
	ASSERT(list_is_empty(&line->items) && !list_is_linked(&line->in_sender));
	map_remove(&s->by_dest, item->dest);
	free(line);
	if (s->by_dest.count > 0)
		return;
	ASSERT(list_is_empty(&s->ready) && !list_is_linked(&s->in_lane));
	map_remove(&lane->by_account, item->account_id.v);
	free_sender(s);
}

void
queue_line_free_all(struct queue_lane *lane)
{
	struct queue_sender *s;
	struct queue_line *line;

	for (size_t i = 0; (s = map_next(&lane->by_account, &i, NULL)) != NULL;) {
		for (size_t j = 0; (line = map_next(&s->by_dest, &j, NULL)) != NULL;)
			free(line);
		free_sender(s);
	}
	map_done(&lane->by_account);
	heap_done(&lane->waiting);
}

static uint64_t
mates_key(const struct queue_item *item)
{
	return item->msg_id.v ^ (item->group_id.v * 0x9e3779b97f4a7c15u);
}

static void
join_mates(struct queue *q, struct queue_item *item)
{
	struct queue_item *first = map_get(&q->mates, mates_key(item));

	if (first != NULL) {
		list_insert_before(&first->mates, &item->mates);
		return;
	}
	list_init(&item->mates);
	map_put(&q->mates, mates_key(item), item);
}

static void
leave_mates(struct queue *q, struct queue_item *item)
{
	uint64_t key = mates_key(item);

	if (item->mates.next == &item->mates)
		map_remove(&q->mates, key);
	else if (map_get(&q->mates, key) == item)
		map_put(&q->mates, key, CONTAINER_OF(item->mates.next, struct queue_item, mates));
	list_remove(&item->mates);
}

struct queue_item *
queue_line_mate(const struct queue *q, const struct queue_item *item)
{
	struct queue_item *first = map_get(&q->mates, mates_key(item)), *at = first;

	if (first == NULL)
		return NULL;
	do {
		if (ID_EQ(at->msg_id, item->msg_id) && ID_EQ(at->group_id, item->group_id) &&
		    at->lane == item->lane)
			return at;
		at = CONTAINER_OF(at->mates.next, struct queue_item, mates);
	} while (at != first);
	return NULL;
}

static struct queue_item *
in_line(struct list *link)
{
	return CONTAINER_OF(link, struct queue_item, in_line);
}

/* The link before which an item due at `due_us` belongs. */
static struct list *
find_place(struct queue_line *line, int64_t due_us, bool before)
{
	struct list *head = &line->items, *front = head->next, *back = head;

	/* Everything ahead of `front` goes first, everything from `back` on goes later. */
	while (front != back) {
		int64_t first = in_line(front)->due_us, last = in_line(back->prev)->due_us;
		if (before ? last < due_us : last <= due_us)
			return back;
		if (before ? first >= due_us : first > due_us)
			return front;
		front = front->next;
		if (front != back)
			back = back->prev;
	}
	return back;
}

void
queue_line_enter(struct queue *q, struct queue_item *item, bool before)
{
	struct queue_line *line = item->line;
	struct queue_sender *s = line->sender;
	struct queue_lane *lane = s->lane;

	item->in_line = (struct list){ 0 };
	list_insert_before(find_place(line, item->due_us, before), &item->in_line);
	if (!list_is_linked(&line->in_sender)) {
		if (!list_is_linked(&s->in_lane))
			list_push_back(&lane->ready, &s->in_lane);
		list_push_back(&s->ready, &line->in_sender);
	}
	join_mates(q, item);
	lane->n_ready++;
	item->state = ITEM_READY;
}

void
queue_line_leave(struct queue *q, struct queue_item *item)
{
	struct queue_line *line = item->line;
	struct queue_sender *s = line->sender;

	ASSERT(item->state == ITEM_READY);
	list_remove(&item->in_line);
	leave_mates(q, item);
	s->lane->n_ready--;
	if (!list_is_empty(&line->items))
		return;
	list_remove(&line->in_sender);
	if (list_is_empty(&s->ready))
		list_remove(&s->in_lane);
}

struct queue_item *
queue_line_first(const struct queue_lane *lane)
{
	if (list_is_empty(&lane->ready))
		return NULL;
	struct queue_sender *s = CONTAINER_OF(lane->ready.next, struct queue_sender, in_lane);
	struct queue_line *line = CONTAINER_OF(s->ready.next, struct queue_line, in_sender);
	return in_line(line->items.next);
}

struct queue_item *
queue_line_last(const struct queue_lane *lane)
{
	if (list_is_empty(&lane->ready))
		return NULL;
	struct queue_sender *s = CONTAINER_OF(lane->ready.prev, struct queue_sender, in_lane);
	struct queue_line *line = CONTAINER_OF(s->ready.prev, struct queue_line, in_sender);
	return in_line(line->items.prev);
}

static void
to_the_back(struct list *ring, struct list *link)
{
	if (link->next == NULL)
		return;
	list_remove(link);
	list_push_back(ring, link);
}

void
queue_line_turn(struct queue_line *line)
{
	to_the_back(&line->sender->ready, &line->in_sender);
	to_the_back(&line->sender->lane->ready, &line->sender->in_lane);
}
