/* The dispatcher's turn and its life.
 *
 * A turn takes what arrived (mail and acks from the writer, reports from carriers, orders), changes
 * queue and desk, and only marks ways as dirty. At its end, once: overdue items, pumping of dirty
 * ways, refills, one outcome operation with all results of the turn, one wake of each other thread.
 * So the cost of a hop is shared by everything that happened in the same turn. */
#include "deliver/deliver.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "deliver/private.h"
#include "relay/book.h"
#include "store/reader.h"
#include "store/store.h"

static struct deliver *
deliver_of(void *arg)
{
	return FROM_ARG(struct deliver, arg, DELIVER_MAGIC);
}

void
deliver_touch(struct deliver_way *w)
{
	w->dirty = true;
}

void
deliver_touch_all(struct deliver *d)
{
	size_t at = 0;
	struct deliver_way *w;

	while ((w = map_next(&d->ways, &at, NULL)) != NULL)
		w->dirty = true;
}

int64_t
deliver_now_us(struct deliver *d)
{
	return d->now_us;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Arms the timer for the first moment at which something happens by itself. */
static void
arm(struct deliver *d, int64_t trim_at_us, int64_t again_at_us)
{
	int64_t wall = earlier(queue_next_event_us(d->queue, d->now_us), again_at_us);
	size_t at = 0;
	struct deliver_way *w;

	wall = earlier(wall, relay_desk_next_event_us(d->desk));
	while ((w = map_next(&d->ways, &at, NULL)) != NULL) {
		wall = earlier(wall, w->ask_again_us);
		/* Marked by what came after it was pumped, such as a relay that is usable again. */
		if (w->dirty)
			wall = d->now_us;
	}
	int64_t mono = loop_now_us(d->loop);
	int64_t due = TIME_NEVER;
	if (wall != TIME_NEVER)
		due = mono + (wall > d->now_us ? earlier(wall - d->now_us, HOURS(1)) : MS(1));
	loop_timer_set(d->loop, &d->tick, earlier(due, trim_at_us));
}

/* What is ready and since when, by lane: a walk over the window, once a second. */
static void
count_lanes(struct deliver *d)
{
	uint64_t ready[STREAM_COUNT] = { 0 };
	int64_t oldest[STREAM_COUNT] = { 0 };
	size_t at = 0;
	struct queue_item *item;

	while ((item = queue_each(d->queue, &at)) != NULL) {
		const struct deliver_rcpt *r = item->load;
		if (queue_is_out(item) || item->due_us > d->now_us)
			continue;
		ready[item->lane]++;
		if (oldest[item->lane] == 0 || r->msg->created_us < oldest[item->lane])
			oldest[item->lane] = r->msg->created_us;
	}
	for (int s = 0; s < STREAM_COUNT; s++) {
		atomic_store_explicit(&d->metrics.ready[s], ready[s], memory_order_relaxed);
		atomic_store_explicit(&d->metrics.oldest_us[s], oldest[s], memory_order_relaxed);
	}
}

static void
count_metrics(struct deliver *d)
{
	atomic_store_explicit(&d->metrics.window, queue_held(d->queue), memory_order_relaxed);
	atomic_store_explicit(&d->metrics.links, d->links.count, memory_order_relaxed);
	if (d->now_us < d->counted_us + SECONDS(1))
		return;
	d->counted_us = d->now_us;
	count_lanes(d);
}

/* Stopping: the last jobs' counts are kept, then `on_idle` is called, once. */
static void
maybe_idle(struct deliver *d)
{
	if (d->jobs_out != 0 || d->reads_out != 0 || d->links.count != 0 || d->ops_out != 0 ||
	    d->on_idle == NULL)
		return;
	if (deliver_keep_counts(d, true) != TIME_NEVER) {
		outbox_flush(&d->outbox);
		return;
	}
	void (*on_idle)(void *) = TAKE(d->on_idle);
	on_idle(d->on_idle_arg);
}

/* The new versions of changeovers first: what they have no room for goes to the old ones. */
static void
pump_dirty(struct deliver *d)
{
	struct deliver_way *w;

	for (int pass = d->n_moves != 0 ? 0 : 1; pass < 2; pass++) {
		for (size_t at = 0; (w = map_next(&d->ways, &at, NULL)) != NULL;) {
			if (w->ask_again_us <= d->now_us)
				w->dirty = true;
			if (w->dirty && (pass == 1 || w->is_new)) {
				w->dirty = false;
				deliver_pump(d, w);
			}
		}
		if (pass == 0)
			deliver_spill(d);
	}
}

static void
on_turn_end(void *arg)
{
	struct deliver *d = deliver_of(arg);

	d->now_us = clock_wall_us();
	deliver_overdue(d);
	pump_dirty(d);
	deliver_news(d);
	int64_t again_at = earlier(deliver_keep_counts(d, false), deliver_regroup_step(d));
	again_at = earlier(again_at, deliver_moves_step(d));
	bool crowded = deliver_make_room(d);
	/* Before the refills: they must see the rows as these results leave them. */
	deliver_flush(d);
	deliver_refill(d);
	outbox_flush(&d->outbox);
	arm(d, deliver_trim_links(d), crowded ? d->now_us : again_at);
	outbox_flush(&d->outbox);
	count_metrics(d);
	if (d->stopping)
		maybe_idle(d);
}

static void
on_tick(void *arg)
{
	struct deliver *d = deliver_of(arg);

	d->now_us = clock_wall_us();
	relay_desk_tick(d->desk, d->now_us);
	deliver_news(d);
	deliver_touch_all(d);
}

static void
on_orders(void *arg, struct mailbox_item *item)
{
	struct deliver *d = deliver_of(arg);

	d->now_us = clock_wall_us();
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct deliver_order *o = CONTAINER_OF(item, struct deliver_order, item);
		struct mailbox *reply = o->reply;
		o->run(d, o);
		if (reply != NULL)
			outbox_add(&d->outbox, reply, item);
		item = next;
	}
}

struct deliver *
deliver_new(const struct deliver_opts *opts)
{
	struct deliver *d = MEM_NEW(struct deliver);

	d->magic = DELIVER_MAGIC;
	d->opts = *opts;
	d->opts.hostname = arena_str(&d->arena, opts->hostname);
	d->loop = opts->loop;
	d->store = opts->store;
	d->prng = prng_make(opts->seed);
	d->aside_at_us = TIME_NEVER;
	d->now_us = clock_wall_us();
	d->from_store = mailbox_new();
	d->from_carriers = mailbox_new();
	d->orders = mailbox_new();
	d->loaded = mailbox_new();
	mailbox_attach(d->from_store, d->loop, deliver_on_store, d);
	mailbox_attach(d->from_carriers, d->loop, deliver_on_reports, d);
	mailbox_attach(d->orders, d->loop, on_orders, d);
	mailbox_attach(d->loaded, d->loop, deliver_on_loaded, d);
	d->readers = pool_new("content", 1);
	outbox_init(&d->outbox);
	loop_hook_add(d->loop, &d->turn_end, on_turn_end, d);
	loop_timer_init(&d->tick, on_tick, d);
	d->queue = queue_new(&opts->window);
	d->desk = relay_desk_new(opts->seed, 0);
	deliver_set_book(d, opts->book);
	return d;
}

void
deliver_close_readers(struct deliver *d)
{
	pool_free(&d->readers);
	store_reader_free(&d->reader);
}

static void
free_loads(struct deliver *d)
{
	size_t at = 0;
	struct queue_item *item;

	while ((item = queue_each(d->queue, &at)) != NULL)
		deliver_drop_load(d, item);
}

void
deliver_free(struct deliver **dp)
{
	struct deliver *d = *dp;
	size_t at = 0;
	struct deliver_way *w;
	void *p;

	if (d == NULL)
		return;
	*dp = NULL;
	ASSERT(d->jobs_out == 0 && d->reads_out == 0 && d->links.count == 0);
	loop_hook_remove(&d->turn_end);
	loop_timer_cancel(d->loop, &d->tick);
	deliver_close_readers(d);
	outbox_done(&d->outbox);
	deliver_forget_mail(d);
	free_loads(d);
	deliver_moves_free(d);
	while ((w = map_next(&d->ways, &at, NULL)) != NULL) {
		queue_outlet_free(&w->outlet);
		free(w);
	}
	at = 0;
	while ((p = map_next(&d->groups, &at, NULL)) != NULL)
		free(p);
	queue_free(&d->queue);
	relay_desk_free(&d->desk);
	relay_book_unref(&d->book);
	mailbox_free(&d->from_store);
	mailbox_free(&d->from_carriers);
	mailbox_free(&d->orders);
	mailbox_free(&d->loaded);
	map_done(&d->messages);
	map_done(&d->groups);
	map_done(&d->by_key);
	map_done(&d->ways);
	map_done(&d->links);
	map_done(&d->unacked);
	free(d->carriers);
	arena_done(&d->arena);
	d->magic = 0;
	free(d);
}

struct mailbox *
deliver_store_mailbox(struct deliver *d)
{
	return d->from_store;
}

struct mailbox *
deliver_report_mailbox(struct deliver *d)
{
	return d->from_carriers;
}

void
deliver_add_carrier(struct deliver *d, struct mailbox *carrier)
{
	d->carriers = mem_realloc(d->carriers, (d->n_carriers + 1) * sizeof(struct mailbox *));
	d->carriers[d->n_carriers++] = carrier;
}

void
deliver_post(struct deliver *d, struct deliver_order *o)
{
	mailbox_post(d->orders, &o->item);
}

struct relay_desk *
deliver_desk(struct deliver *d)
{
	return d->desk;
}

struct queue *
deliver_queue(struct deliver *d)
{
	return d->queue;
}

void
deliver_settle(struct deliver *d)
{
	deliver_news(d);
	deliver_touch_all(d);
}

const struct deliver_metrics *
deliver_metrics(const struct deliver *d)
{
	return &d->metrics;
}

void
deliver_stop(struct deliver *d, void (*on_idle)(void *arg), void *arg)
{
	d->stopping = true;
	d->on_idle = on_idle;
	d->on_idle_arg = arg;
	for (size_t i = 0; i < d->n_carriers; i++) {
		struct carrier_note *n = MEM_NEW(struct carrier_note);
		n->kind = CARRIER_STOP;
		outbox_add(&d->outbox, d->carriers[i], &n->item);
	}
}
