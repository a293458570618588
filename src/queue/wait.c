/* WAITING items: on their lane's heap by due time, and counted as waiting in the shares. */
#include "queue/private.h"

static void
count(struct queue *q, const struct queue_item *item, int by)
{
	struct queue_line *line = item->line;
	size_t *counts[] = {
		&q->waiting[item->lane],
		&line->dest->waiting[item->lane],
		&line->sender->account->waiting[item->lane],
	};

	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		ASSERT(by > 0 || *counts[i] > 0);
		*counts[i] += (size_t)by;
	}
}

void
queue_wait_enter(struct queue *q, struct queue_item *item)
{
	item->wait = (struct heap_node){ 0 };
	heap_set(&lane_of(item)->waiting, &item->wait, item->due_us);
	item->state = ITEM_WAITING;
	count(q, item, 1);
}

void
queue_wait_leave(struct queue *q, struct queue_item *item)
{
	ASSERT(item->state == ITEM_WAITING);
	heap_remove(&lane_of(item)->waiting, &item->wait);
	count(q, item, -1);
}
