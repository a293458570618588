/* Everything that holds, checked one thing after the other. Used by tests, the simulator and
 * fuzzing; too dear for anything else. */
#include "queue/private.h"

struct tally {
	size_t items, waiting[STREAM_COUNT], held[STREAM_COUNT], promised[STREAM_COUNT],
	    hungry[STREAM_COUNT];
};

static size_t
audit_ring(const struct list *head)
{
	size_t n = 0;

	for (const struct list *at = head; at->next != head || n == 0; at = at->next) {
		ASSERT(at->next->prev == at);
		if (at->next == head)
			break;
		n++;
	}
	return n;
}

static void
audit_heap(const struct heap *h)
{
	for (size_t i = 1; i <= h->count; i++) {
		ASSERT(h->nodes[i]->slot == i);
		ASSERT(i == 1 || h->nodes[i / 2]->key <= h->nodes[i]->key);
	}
}

static void
audit_item(const struct queue *q, const struct queue_item *item)
{
	const struct queue_line *line = item->line;
	bool live = item->state == ITEM_READY || item->state == ITEM_WAITING;

	ASSERT(map_get(&q->items, item->rcpt_id.v) == item);
	ASSERT(line->dest->key == item->dest);
	ASSERT(line->sender->account->key == item->account_id.v);
	ASSERT(lane_of(item)->stream == item->lane);
	ASSERT(ID_EQ(lane_of(item)->group->id, item->group_id));
	ASSERT(list_is_linked(&item->mates) || item->mates.next == &item->mates ||
	       item->state != ITEM_READY);
	ASSERT(item->state == ITEM_READY || item->mates.next == NULL);
	if (item->state == ITEM_OUT)
		return;
	ASSERT(heap_has(&item->life) == live);
	ASSERT(heap_has(&item->deadline) == (live && item->deadline_us != TIME_NEVER));
	ASSERT(item->state != ITEM_WAITING || item->wait.key == item->due_us);
	ASSERT(item->state != ITEM_WAITING || heap_has(&item->wait));
	/* Nobody is forgotten: queue_group_catch_up has seen this moment. */
	ASSERT(
	    item->state != ITEM_WAITING || !lane_of(item)->group->open || item->due_us > q->now_us);
}

static size_t
audit_line(const struct queue_sender *s, const struct queue_line *line)
{
	int64_t due_us = INT64_MIN;
	const struct queue_item *item;
	size_t n = audit_ring(&line->items);

	ASSERT(line->sender == s && line->held >= n && line->held > 0);
	ASSERT(list_is_linked(&line->in_sender) == (n > 0));
	LIST_FOREACH(item, &line->items, const struct queue_item, in_line) {
		ASSERT(item->state == ITEM_READY && item->line == line && item->due_us >= due_us);
		due_us = item->due_us;
	}
	return n;
}

static void
audit_lane(const struct queue *q, const struct queue_lane *lane, struct tally *t)
{
	const struct queue_sender *s;
	const struct queue_line *line;
	size_t n_ready = 0, n_held = 0, n_senders = 0;

	for (size_t i = 0; (s = map_next(&lane->by_account, &i, NULL)) != NULL;) {
		size_t n_lines = 0;
		for (size_t j = 0; (line = map_next(&s->by_dest, &j, NULL)) != NULL;) {
			size_t n = audit_line(s, line);
			n_ready += n;
			n_held += line->held;
			n_lines += n > 0;
		}
		ASSERT(s->lane == lane && s->by_dest.count > 0);
		ASSERT(audit_ring(&s->ready) == n_lines);
		ASSERT(list_is_linked(&s->in_lane) == (n_lines > 0));
		n_senders += n_lines > 0;
	}
	ASSERT(audit_ring(&lane->ready) == n_senders);
	ASSERT(lane->n_ready == n_ready);
	ASSERT(n_held == n_ready + lane->waiting.count + lane->n_out + lane->n_overdue);
	audit_heap(&lane->waiting);
	ASSERT(list_is_linked(&lane->hungry) ==
	       (lane->group->open && lane->promised == 0 && lane->more_us <= q->now_us &&
		   n_ready < q->limits.low_water));
	ASSERT(lane->promised > 0 || lane->added_us == TIME_NEVER);
	t->held[lane->stream] += n_held;
	t->waiting[lane->stream] += lane->waiting.count;
	t->promised[lane->stream] += lane->promised;
	t->hungry[lane->stream] += list_is_linked(&lane->hungry);
}

static void
audit_group(const struct queue *q, const struct queue_group *g, struct tally *t)
{
	const struct queue_seat *seat;
	size_t before = t->held[STREAM_TRANSACTIONAL] + t->held[STREAM_BULK];

	for (size_t i = 0; i < STREAM_COUNT; i++) {
		ASSERT(g->lanes[i].group == g && (size_t)g->lanes[i].stream == i);
		audit_lane(q, &g->lanes[i], t);
		LIST_FOREACH(seat, &g->seats, const struct queue_seat, in_group)
			ASSERT(list_is_linked(&seat->ready[i]) ==
			       (g->open && g->lanes[i].n_ready > 0));
	}
	audit_ring(&g->seats);
	audit_heap(&g->life);
	ASSERT(g->held == t->held[STREAM_TRANSACTIONAL] + t->held[STREAM_BULK] - before);
	ASSERT(g->open || !heap_has(&g->event));
	ASSERT(!g->open ||
	       g->held == g->lanes[0].n_out + g->lanes[1].n_out + g->lanes[0].n_overdue +
			      g->lanes[1].n_overdue ||
	       heap_has(&g->event));
}

static void
audit_shares(const struct map *shares, const struct queue *q)
{
	size_t held[STREAM_COUNT] = { 0 }, waiting[STREAM_COUNT] = { 0 };
	const struct queue_share *s;
	uint64_t key;

	for (size_t i = 0; (s = map_next(shares, &i, &key)) != NULL;) {
		ASSERT(s->key == key && s->held[0] + s->held[1] > 0);
		for (size_t k = 0; k < STREAM_COUNT; k++) {
			ASSERT(s->waiting[k] <= s->held[k]);
			held[k] += s->held[k];
			waiting[k] += s->waiting[k];
		}
	}
	for (size_t k = 0; k < STREAM_COUNT; k++)
		ASSERT(held[k] == q->held[k] && waiting[k] == q->waiting[k]);
}

void
queue_audit(const struct queue *q)
{
	struct tally t = { 0 };
	const struct queue_item *item;
	const struct queue_group *g;

	for (size_t i = 0; (item = queue_each(q, &i)) != NULL;) {
		audit_item(q, item);
		t.items++;
	}
	ASSERT(t.items == q->items.count && t.items <= q->limits.capacity);
	for (size_t i = 0; (g = map_next(&q->groups, &i, NULL)) != NULL;)
		audit_group(q, g, &t);
	ASSERT(q->held[0] + q->held[1] == t.items);
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		ASSERT(q->held[i] == t.held[i] && q->waiting[i] == t.waiting[i]);
		ASSERT(q->promised[i] == t.promised[i]);
		ASSERT(audit_ring(&q->hungry[i]) == t.hungry[i] && q->n_hungry[i] == t.hungry[i]);
	}
	audit_shares(&q->accounts, q);
	audit_shares(&q->dests, q);
	audit_heap(&q->deadlines);
	audit_heap(&q->events);
	ASSERT(audit_ring(&q->unused) == q->n_slabs * SLAB_ITEMS - t.items);
}
